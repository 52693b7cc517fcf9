/* Load for an echo server: a closed window of datagrams in flight, refilled by the answers.
 *
 *   generate SHAPE ADDRESS PORT SECONDS
 *
 * Where SECONDS is -, each line of standard input says how long another round shall be; the clients stay the same, and a
 * round ends when nothing is in flight or nothing has come for 200 ms.
 *
 * train     one GSO client, trains of 64 x 64 bytes, 8 trains in flight
 * window    4 clients, 64 datagrams of 64 bytes in flight each
 * peers     256 clients, one datagram in flight each, one port
 * ports     1000 ports, one datagram in flight on each
 * pingpong  one client, one datagram in flight
 * stream    32 clients, 192 numbered datagrams of 64 bytes in flight each: what has been overtaken is lost
 *
 * Prints one JSON object for each round; sent = replies + lost + in_flight. Lost is what was in flight when nothing came
 * for 200 ms; in_flight is what was under way when the time was over.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { SIZE = 64, TRAIN = 64, BATCH = 64, MAX_CLIENTS = 256, PORTS = 1000, STREAM_CLIENTS = 32, STREAM = 192 };

static struct client { int fd; int flight; size_t partial; uint32_t next, seen; } clients[MAX_CLIENTS];
static unsigned char payload[TRAIN * SIZE], room[BATCH][65536];
static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec iov_in[BATCH], iov_out[BATCH];
static struct sockaddr_in to[PORTS], from[BATCH];
static int queue[PORTS], queued;
static uint64_t sent, replies, lost, in_flight;
static int rounds; /* more may follow on the same sockets */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void open_client(struct client *c, int segment, int connected)
{
    int size = 4 << 20, on = 1;
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (segment) {
        int s = SIZE;
        setsockopt(c->fd, IPPROTO_UDP, UDP_SEGMENT, &s, sizeof s);
        setsockopt(c->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    }
    if (connected && connect(c->fd, (struct sockaddr *)&to[0], sizeof to[0])) { perror("connect"); exit(1); }
}

static void send_some(struct client *c, int n, size_t bytes)
{
    while (n > 0) {
        int k = n < BATCH ? n : BATCH;
        for (int i = 0; i < k; i++) {
            iov_out[i] = (struct iovec){ payload, bytes };
            out[i].msg_hdr = (struct msghdr){ .msg_iov = &iov_out[i], .msg_iovlen = 1 };
        }
        int m = k == 1 ? (send(c->fd, payload, bytes, 0) < 0 ? -1 : 1) : sendmmsg(c->fd, out, (unsigned)k, 0);
        if (m <= 0) { perror("send"); exit(1); }
        n -= m;
        c->flight += m;
        sent += (uint64_t)m * (bytes / SIZE);
    }
}

/* Takes what waits; returns bytes. */
static size_t receive_some(struct client *c, int *datagrams)
{
    for (int i = 0; i < BATCH; i++) {
        iov_in[i] = (struct iovec){ room[i], sizeof room[i] };
        in[i].msg_hdr = (struct msghdr){ .msg_iov = &iov_in[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i] };
    }
    int n = recvmmsg(c->fd, in, BATCH, MSG_DONTWAIT, NULL);
    size_t bytes = 0;
    *datagrams = n > 0 ? n : 0;
    for (int i = 0; i < *datagrams; i++) bytes += in[i].msg_len;
    return bytes;
}

static void wait_any(int n, double deadline)
{
    static struct pollfd p[MAX_CLIENTS];
    for (int i = 0; i < n; i++) p[i] = (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
    int ms = (int)((deadline - now()) * 1000);
    poll(p, (nfds_t)n, ms < 0 ? 0 : ms > 200 ? 200 : ms);
}

/* Datagrams of a client that have no answer yet; of a train, part may be back. */
static uint64_t under_way(struct client *c, size_t bytes)
{
    return (uint64_t)c->flight * (bytes / SIZE) - c->partial / SIZE;
}

static void run_windows(int n, int window, size_t bytes, double end)
{
    double progress = now();
    for (int i = 0; i < n; i++) send_some(&clients[i], window, bytes);
    while (now() < end) {
        size_t got = 0;
        for (int i = 0; i < n; i++) {
            int datagrams;
            size_t b = receive_some(&clients[i], &datagrams);
            if (!b) continue;
            got += b;
            replies += b / SIZE;
            clients[i].partial += b;
            int back = (int)(clients[i].partial / bytes);
            clients[i].partial %= bytes;
            clients[i].flight -= back;
            if (back) send_some(&clients[i], back, bytes);
        }
        if (got) { progress = now(); continue; }
        if (now() - progress > 0.2) {
            for (int i = 0; i < n; i++) {
                lost += under_way(&clients[i], bytes);
                clients[i].flight = 0;
                clients[i].partial = 0;
                send_some(&clients[i], window, bytes);
            }
            progress = now();
        }
        wait_any(n, end);
    }
    for (int i = 0; i < n; i++) in_flight += under_way(&clients[i], bytes);
}

/* Ends a round of several: what comes now has taken long, and what does not is lost. */
static void rest(int n)
{
    for (double progress = now(); replies < sent && now() - progress < 0.2;) {
        wait_any(n, progress + 0.2);
        for (int i = 0, datagrams; i < n; i++) {
            size_t b = receive_some(&clients[i], &datagrams);
            if (!b) continue;
            replies += b / SIZE;
            progress = now();
        }
    }
    for (int i = 0; i < n; i++) clients[i].flight = 0, clients[i].partial = 0, clients[i].seen = clients[i].next;
    in_flight = 0;
    lost = sent - replies;
}

static void send_numbered(struct client *c, uint32_t n)
{
    static uint32_t numbered[BATCH][SIZE / 4];
    while (n > 0) {
        unsigned k = n < BATCH ? n : BATCH;
        for (unsigned i = 0; i < k; i++) {
            numbered[i][0] = c->next + i;
            iov_out[i] = (struct iovec){ numbered[i], SIZE };
            out[i].msg_hdr = (struct msghdr){ .msg_iov = &iov_out[i], .msg_iovlen = 1 };
        }
        int m = sendmmsg(c->fd, out, k, 0);
        if (m <= 0) { perror("send"); exit(1); }
        n -= (uint32_t)m;
        c->next += (uint32_t)m;
        sent += (uint64_t)m;
    }
}

/* `seen` is one more than the number of the newest answer. */
static uint32_t receive_numbered(struct client *c)
{
    int datagrams;
    receive_some(c, &datagrams);
    for (int i = 0; i < datagrams; i++) {
        uint32_t number;
        memcpy(&number, room[i], sizeof number);
        if ((int32_t)(number + 1 - c->seen) > 0) c->seen = number + 1;
    }
    replies += (uint64_t)datagrams;
    return (uint32_t)datagrams;
}

static void run_stream(int n, double end)
{
    double progress = now();
    while (now() < end) {
        uint32_t got = 0;
        for (int i = 0; i < n; i++) {
            got += receive_numbered(&clients[i]);
            uint32_t flight = clients[i].next - clients[i].seen;
            if (flight <= STREAM - BATCH) send_numbered(&clients[i], STREAM - flight);
        }
        if (got) { progress = now(); continue; }
        if (now() - progress > 0.2) {
            for (int i = 0; i < n; i++) clients[i].seen = clients[i].next;
            progress = now();
        }
        wait_any(n, end);
    }
    for (int i = 0; i < n; i++) in_flight += clients[i].next - clients[i].seen;
    lost = sent - replies - in_flight;
}

static void flush_queue(struct client *c)
{
    for (int done = 0; done < queued;) {
        int k = queued - done < BATCH ? queued - done : BATCH;
        for (int i = 0; i < k; i++) {
            iov_out[i] = (struct iovec){ payload, SIZE };
            out[i].msg_hdr = (struct msghdr){ .msg_iov = &iov_out[i], .msg_iovlen = 1, .msg_name = &to[queue[done + i]], .msg_namelen = sizeof to[0] };
        }
        int m = sendmmsg(c->fd, out, (unsigned)k, 0);
        if (m <= 0) { perror("send"); exit(1); }
        done += m;
        sent += (uint64_t)m;
    }
    queued = 0;
}

static void run_ports(int first, double end)
{
    struct client *c = &clients[0];
    double progress = now();
    for (int i = 0; i < PORTS; i++) queue[queued++] = i;
    flush_queue(c);
    while (now() < end) {
        int datagrams;
        receive_some(c, &datagrams);
        for (int i = 0; i < datagrams; i++) queue[queued++] = ntohs(from[i].sin_port) - first;
        replies += (uint64_t)datagrams;
        if (datagrams) { progress = now(); flush_queue(c); continue; }
        if (now() - progress > 0.2) {
            lost += sent - replies - lost;
            for (int i = 0; i < PORTS; i++) queue[queued++] = i;
            flush_queue(c);
            progress = now();
        }
        wait_any(1, end);
    }
    in_flight = sent - replies - lost;
}

static void run_round(const char *shape, int n, int port, double seconds)
{
    int train = !strcmp(shape, "train"), window = train ? 8 : n == 4 ? 64 : 1;
    double start = now(), end = start + seconds;
    for (int i = 0, late; rounds && i < n; i++) while (receive_some(&clients[i], &late)) continue;
    sent = replies = lost = in_flight = 0;
    if (!strcmp(shape, "ports")) run_ports(port, end);
    else if (!strcmp(shape, "stream")) run_stream(n, end);
    else run_windows(n, window, train ? TRAIN * SIZE : SIZE, end);
    if (rounds) rest(n);
    printf("{\"sent\": %llu, \"replies\": %llu, \"lost\": %llu, \"in_flight\": %llu, \"seconds\": %.3f}\n",
           (unsigned long long)sent, (unsigned long long)replies, (unsigned long long)lost,
           (unsigned long long)in_flight, now() - start);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 5) return fprintf(stderr, "usage: generate SHAPE ADDRESS PORT SECONDS\n"), 64;
    const char *shape = argv[1];
    int port = atoi(argv[3]);
    for (int i = 0; i < PORTS; i++) {
        to[i] = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)(port + i)) };
        inet_pton(AF_INET, argv[2], &to[i].sin_addr);
    }
    int n = !strcmp(shape, "window") ? 4 : !strcmp(shape, "stream") ? STREAM_CLIENTS : !strcmp(shape, "peers") ? MAX_CLIENTS : 1;
    for (int i = 0; i < n; i++) open_client(&clients[i], !strcmp(shape, "train"), strcmp(shape, "ports"));
    rounds = !strcmp(argv[4], "-");
    char line[64];
    if (!rounds) run_round(shape, n, port, atof(argv[4]));
    else while (fgets(line, sizeof line, stdin)) run_round(shape, n, port, atof(line));
}
