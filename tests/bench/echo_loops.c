/* The floor: hand-written echo loops that do nothing but what a UDP echo has to do.
 *
 *   echo_loops plain|epoll|mmsg|watched|gro|coalesce ADDRESS FIRST_PORT PORTS
 *
 * plain     recvfrom, sendto
 * epoll     the same, waiting in epoll also with one port: what a loop that could serve more ports costs
 * mmsg      recvmmsg, sendmmsg
 * watched   the same while the socket lies in an epoll instance, which nobody asks: what only being there costs
 * gro       the same with UDP_GRO; a train goes back as one UDP_SEGMENT send
 * coalesce  the same, and runs of equal datagrams to one peer go back as one UDP_SEGMENT send
 *
 * One port is served by blocking calls without epoll: the least a loop can do. Several are served by a
 * level-triggered epoll, so that a port with one datagram costs one receive call.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { SLOTS = 64, SLOT = 65536 + 192, MAX_SEGMENTS = 64, MAX_TRAIN = 65507 };

static unsigned char memory[(size_t)SLOTS * SLOT];
static struct mmsghdr in[SLOTS], out[SLOTS];
static struct iovec iov_in[SLOTS], iov_out[SLOTS];
static struct sockaddr_in names[SLOTS];
static union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control[SLOTS], segments[SLOTS];
static int gro, coalesce;

static void die(const char *what) { perror(what); exit(1); }

static int open_port(const char *address, int port)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, size = 4 << 20;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    inet_pton(AF_INET, address, &a.sin_addr);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a)) die("bind");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on)) die("UDP_GRO");
    return fd;
}

/* Returns 0 when nothing waited. */
static int serve_plain(int fd, int flags)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    ssize_t n = recvfrom(fd, memory, SLOT, flags, (struct sockaddr *)&peer, &len);
    if (n < 0) return 0;
    sendto(fd, memory, (size_t)n, 0, (struct sockaddr *)&peer, len);
    return 1;
}

static void prepare(int i)
{
    iov_in[i] = (struct iovec){ memory + (size_t)i * SLOT, SLOT - 192 };
    in[i].msg_hdr = (struct msghdr){ .msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &iov_in[i],
        .msg_iovlen = 1, .msg_control = gro ? &control[i] : NULL, .msg_controllen = gro ? sizeof control[i] : 0 };
}

static int train_size(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size;
        }
    return 0;
}

static void attach_segment(struct msghdr *h, int k, int size)
{
    h->msg_control = &segments[k];
    h->msg_controllen = CMSG_SPACE(sizeof(uint16_t));
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t s = (uint16_t)size;
    memcpy(CMSG_DATA(c), &s, sizeof s);
}

static int same_peer(int a, int b)
{
    return names[a].sin_port == names[b].sin_port && names[a].sin_addr.s_addr == names[b].sin_addr.s_addr;
}

static int serve_batch(int fd, int flags)
{
    int n = recvmmsg(fd, in, SLOTS, flags, NULL), k = 0;
    if (n <= 0) return 0;
    for (int i = 0; i < n; k++) {
        int train = gro ? train_size(&in[i].msg_hdr) : 0, len = (int)in[i].msg_len, run = 1;
        iov_out[i] = (struct iovec){ iov_in[i].iov_base, (size_t)len };
        if (coalesce && !(train && train < len))
            while (i + run < n && run < MAX_SEGMENTS && (int)in[i + run].msg_len == len && len > 0 &&
                   len * (run + 1) <= MAX_TRAIN && same_peer(i, i + run)) {
                iov_out[i + run] = (struct iovec){ iov_in[i + run].iov_base, (size_t)len };
                run++;
            }
        out[k].msg_hdr = (struct msghdr){ .msg_name = &names[i], .msg_namelen = sizeof names[i],
            .msg_iov = &iov_out[i], .msg_iovlen = (size_t)run };
        if (train && train < len) attach_segment(&out[k].msg_hdr, k, train);
        else if (run > 1) attach_segment(&out[k].msg_hdr, k, len);
        i += run;
    }
    for (int done = 0; done < k;) {
        int sent = k - done == 1 ? (sendmsg(fd, &out[done].msg_hdr, 0) < 0 ? -1 : 1)
                                 : sendmmsg(fd, out + done, (unsigned)(k - done), 0);
        done += sent > 0 ? sent : 1;
    }
    for (int i = 0; i < n; i++) prepare(i);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 5) return fprintf(stderr, "usage: echo_loops MODE ADDRESS FIRST_PORT PORTS\n"), 64;
    int watched = !strcmp(argv[1], "watched"), epoll = !strcmp(argv[1], "epoll"), plain = epoll || !strcmp(argv[1], "plain"), first = atoi(argv[3]), ports = atoi(argv[4]);
    coalesce = !strcmp(argv[1], "coalesce");
    gro = coalesce || !strcmp(argv[1], "gro");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < SLOTS; i++) prepare(i);
    if (ports == 1 && !epoll) {
        int fd = open_port(argv[2], first);
        struct epoll_event e = { .events = EPOLLIN };
        if (watched && epoll_ctl(epoll_create1(EPOLL_CLOEXEC), EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
        puts("ready");
        fflush(stdout);
        for (;;) plain ? serve_plain(fd, 0) : serve_batch(fd, MSG_WAITFORONE);
    }
    int ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < ports; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.fd = open_port(argv[2], first + i) };
        if (epoll_ctl(ep, EPOLL_CTL_ADD, e.data.fd, &e)) die("epoll_ctl");
    }
    puts("ready");
    fflush(stdout);
    static struct epoll_event events[1024];
    for (;;) {
        int n = epoll_wait(ep, events, 1024, -1);
        for (int i = 0; i < n; i++)
            plain ? serve_plain(events[i].data.fd, MSG_DONTWAIT) : serve_batch(events[i].data.fd, MSG_DONTWAIT);
    }
}
