/* The floor for relays: hand-written loops that do nothing but what a relay of UDP has to do.
 *
 *   relay_loops plain|mmsg|gro|single ADDRESS PORT UPSTREAM_PORT [REPLIES]
 *
 * plain   recvfrom, a look into the table of clients, send by the client's own connected socket, and back
 * mmsg    recvmmsg on the listener; what comes back from several upstream sockets leaves by one sendmmsg
 * gro     recvmmsg with UDP_GRO on both sides; trains, and runs of equal datagrams of one client, leave as one UDP_SEGMENT send
 * single  as gro, for one client: no table, one upstream socket
 *
 * All wait in a level-triggered epoll. A client is an address and a port; its socket is made at its first datagram, and
 * closed after REPLIES datagrams from upstream, if that is given. There are no idle timeouts: a socket that nobody uses stays
 * for ever. That is less than a relay must do. Nor are there counters, limits, or anything done about errors but to go on. The
 * listener has large buffers, upstream sockets those that the system gives.
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

enum { SLOTS = 64, SLOT = 65536 + 192, EVENTS = 256, MAX_SEGMENTS = 64, MAX_TRAIN = 65507 };

struct session { struct sockaddr_in client; int fd; unsigned replies; };
struct entry { uint64_t key; uint32_t session; }; /* key 0: free */

static unsigned char memory[(size_t)SLOTS * SLOT];
static struct mmsghdr up[SLOTS], down[SLOTS], out[SLOTS]; /* both receive into the same places */
static struct iovec iov_in[SLOTS], iov_out[SLOTS];
static struct sockaddr_in names[SLOTS];
static union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control[SLOTS], segments[SLOTS];

static struct session *sessions;
static uint32_t n_sessions, room_sessions, *unused, n_unused;
static struct entry *table;
static uint32_t n_entries, bits = 10;

static int ep, listener, gro, single;
static unsigned max_replies;
static struct sockaddr_in upstream;

static void die(const char *what) { perror(what); exit(1); }

static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd >= 0 && gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on)) die("UDP_GRO");
    return fd;
}

static void watch(int fd, uint32_t number)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u32 = number };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}

/* ---- the table of clients: linear probing, at most half full ------------------------------ */

static uint64_t key_of(const struct sockaddr_in *a) { return (uint64_t)a->sin_addr.s_addr << 16 | a->sin_port; }

static uint32_t home_of(uint64_t key) { return (uint32_t)(key * 0x9E3779B97F4A7C15u >> (64 - bits)); }

static uint32_t place_of(uint64_t key)
{
    uint32_t mask = (1u << bits) - 1, at = home_of(key);
    while (table[at].key && table[at].key != key) at = (at + 1) & mask;
    return at;
}

static void grow(void)
{
    struct entry *old = table;
    uint32_t size = old ? 1u << bits++ : 0;
    if (!(table = calloc((size_t)1 << bits, sizeof *table))) die("calloc");
    for (uint32_t i = 0; i < size; i++) if (old[i].key) table[place_of(old[i].key)] = old[i];
    free(old);
}

static void forget(uint64_t key)
{
    uint32_t mask = (1u << bits) - 1, hole = place_of(key);
    n_entries--;
    for (uint32_t at = (hole + 1) & mask; table[at].key; at = (at + 1) & mask)
        if (((at - home_of(table[at].key)) & mask) >= ((at - hole) & mask)) {
            table[hole] = table[at];
            hole = at;
        }
    table[hole].key = 0;
}

/* ---- sessions ----------------------------------------------------------------------------- */

/* A free session with a connected socket; UINT32_MAX if there is none to be had. */
static uint32_t open_session(const struct sockaddr_in *client)
{
    int fd = open_socket();
    if (fd < 0) return UINT32_MAX;
    if (connect(fd, (struct sockaddr *)&upstream, sizeof upstream)) return close(fd), UINT32_MAX;
    if (!n_unused && n_sessions == room_sessions) {
        room_sessions = room_sessions ? 2 * room_sessions : 1024;
        sessions = realloc(sessions, room_sessions * sizeof *sessions);
        unused = realloc(unused, room_sessions * sizeof *unused);
        if (!sessions || !unused) die("realloc");
    }
    uint32_t number = n_unused ? unused[--n_unused] : n_sessions++;
    sessions[number] = (struct session){ .client = *client, .fd = fd };
    watch(fd, number);
    return number;
}

static void count_reply(uint32_t number)
{
    struct session *s = &sessions[number];
    if (!max_replies || s->fd < 0 || ++s->replies < max_replies) return;
    forget(key_of(&s->client));
    close(s->fd);
    s->fd = -1;
    unused[n_unused++] = number;
}

static uint32_t session_of(const struct sockaddr_in *client)
{
    uint64_t key = key_of(client);
    if (single) return sessions[0].client = *client, 0;
    uint32_t at = place_of(key);
    if (table[at].key) return table[at].session;
    uint32_t number = open_session(client);
    if (number == UINT32_MAX) return number;
    if (2 * ++n_entries > 1u << bits) grow();
    table[place_of(key)] = (struct entry){ key, number };
    return number;
}

/* ---- plain -------------------------------------------------------------------------------- */

static void up_plain(void)
{
    for (int i = 0; i < SLOTS; i++) {
        struct sockaddr_in client;
        socklen_t len = sizeof client;
        ssize_t n = recvfrom(listener, memory, SLOT, MSG_DONTWAIT, (struct sockaddr *)&client, &len);
        if (n < 0) return;
        uint32_t number = session_of(&client);
        if (number != UINT32_MAX) send(sessions[number].fd, memory, (size_t)n, MSG_DONTWAIT);
    }
}

static void down_plain(uint32_t number)
{
    struct session *s = &sessions[number];
    ssize_t n = recv(s->fd, memory, SLOT, MSG_DONTWAIT);
    if (n < 0) return;
    sendto(listener, memory, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&s->client, sizeof s->client);
    count_reply(number);
}

/* ---- in batches --------------------------------------------------------------------------- */

static void prepare(int i)
{
    iov_in[i] = (struct iovec){ memory + (size_t)i * SLOT, SLOT - 192 };
    down[i].msg_hdr = (struct msghdr){ .msg_iov = &iov_in[i], .msg_iovlen = 1, .msg_control = gro ? &control[i] : NULL,
        .msg_controllen = gro ? sizeof control[i] : 0 };
    up[i].msg_hdr = down[i].msg_hdr;
    up[i].msg_hdr.msg_name = &names[i];
    up[i].msg_hdr.msg_namelen = sizeof names[i];
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

static void leave(int fd, int first, int n)
{
    if (n == 1) {
        sendmsg(fd, &out[first].msg_hdr, MSG_DONTWAIT);
        return;
    }
    for (int done = 0; done < n;) {
        int sent = sendmmsg(fd, out + first + done, (unsigned)(n - done), MSG_DONTWAIT);
        done += sent > 0 ? sent : 1;
    }
}

/* Makes message k of what was received from place i on, up to n, of one session; `name` is where it goes, or NULL. Returns
 * how many places it holds. */
static int join(int k, struct mmsghdr *in, int i, int n, const uint32_t *whose, struct sockaddr_in *name)
{
    int len = (int)in[i].msg_len, train = gro ? train_size(&in[i].msg_hdr) : 0, run = 1;
    iov_out[i] = (struct iovec){ iov_in[i].iov_base, (size_t)len };
    if (gro && len > 0 && !(train && train < len))
        while (i + run < n && run < MAX_SEGMENTS && (int)in[i + run].msg_len == len && len * (run + 1) <= MAX_TRAIN &&
               whose[i + run] == whose[i]) {
            iov_out[i + run] = (struct iovec){ iov_in[i + run].iov_base, (size_t)len };
            run++;
        }
    out[k].msg_hdr = (struct msghdr){ .msg_name = name, .msg_namelen = name ? sizeof *name : 0, .msg_iov = &iov_out[i],
        .msg_iovlen = (size_t)run };
    if (train && train < len) attach_segment(&out[k].msg_hdr, k, train);
    else if (run > 1) attach_segment(&out[k].msg_hdr, k, len);
    return run;
}

static void up_batch(void)
{
    static uint32_t whose[SLOTS];
    int n = recvmmsg(listener, up, SLOTS, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) whose[i] = session_of(&names[i]);
    for (int i = 0; i < n;) {
        int first = i, k = first;
        while (i < n && whose[i] == whose[first]) i += join(k++, up, i, n, whose, NULL);
        if (whose[first] != UINT32_MAX) leave(sessions[whose[first]].fd, first, k - first);
    }
    for (int i = 0; i < n; i++) prepare(i);
}

static void flush(int n, const uint32_t *whose)
{
    int k = 0;
    for (int i = 0; i < n; k++) i += join(k, down, i, n, whose, &sessions[whose[i]].client);
    if (k) leave(listener, 0, k);
    for (int i = 0; i < n; i++) {
        prepare(i);
        count_reply(whose[i]);
    }
}

static void down_batch(const struct epoll_event *events, int n_events)
{
    static uint32_t whose[SLOTS];
    int n = 0;
    for (int e = 0; e < n_events; e++) {
        uint32_t number = events[e].data.u32;
        if (number == UINT32_MAX) continue;
        int got;
        if (gro) {
            got = recvmmsg(sessions[number].fd, down + n, (unsigned)(SLOTS - n), MSG_DONTWAIT, NULL);
        } else {
            ssize_t len = recv(sessions[number].fd, iov_in[n].iov_base, iov_in[n].iov_len, MSG_DONTWAIT);
            down[n].msg_len = len < 0 ? 0 : (unsigned)len;
            got = len < 0 ? 0 : 1;
        }
        for (int i = 0; i < got; i++) whose[n++] = number;
        if (n == SLOTS) flush(n, whose), n = 0;
    }
    flush(n, whose);
}

int main(int argc, char **argv)
{
    if (argc < 5) return fprintf(stderr, "usage: relay_loops MODE ADDRESS PORT UPSTREAM_PORT [REPLIES]\n"), 64;
    int plain = !strcmp(argv[1], "plain");
    single = !strcmp(argv[1], "single");
    gro = single || !strcmp(argv[1], "gro");
    max_replies = argc > 5 ? (unsigned)atoi(argv[5]) : 0;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < SLOTS; i++) prepare(i);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])) };
    inet_pton(AF_INET, argv[2], &a.sin_addr);
    upstream = a;
    upstream.sin_port = htons((uint16_t)atoi(argv[4]));
    grow();
    ep = epoll_create1(EPOLL_CLOEXEC);
    listener = open_socket();
    int size = 4 << 20;
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (bind(listener, (struct sockaddr *)&a, sizeof a)) die("bind");
    watch(listener, UINT32_MAX);
    if (single && open_session(&a) == UINT32_MAX) die("connect");
    puts("ready");
    fflush(stdout);
    static struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS, -1), waits = 0;
        for (int i = 0; i < n; i++)
            if (events[i].data.u32 == UINT32_MAX) waits = 1;
            else if (plain) down_plain(events[i].data.u32);
        if (!plain) down_batch(events, n);
        if (waits) plain ? up_plain() : up_batch();
    }
}
