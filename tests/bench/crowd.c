/* Load of many clients by one socket: each is an address of loopback of its own, and all have one port.
 *
 *   crowd window ADDRESS PORT CLIENTS IN_FLIGHT
 *   crowd pace   ADDRESS PORT CLIENTS A_SECOND
 *   crowd flood  ADDRESS PORT CLIENTS A_SECOND
 *
 * window  so many datagrams of 64 bytes in flight. With as many as there are clients, each has one, and sends the next when it
 *         has been answered; with fewer an answer is followed by a datagram of the client whose turn it is
 * pace    each client in turn, so many a second, whatever comes back; also prints how long the answers took
 * flood   as pace, and nobody looks at the answers
 *
 * Each line of standard input says how many seconds another round shall last, or `all`: every client once. Prints one JSON
 * object for each round; sent = replies + lost. Lost is what has not come 200 ms after anything else did.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, BATCH = 64 };

static int fd, n_clients, queued;
static struct sockaddr_in to;
static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec iov_in[BATCH], iov_out[BATCH];
static unsigned char room[BATCH][2048], payload[SIZE];
static union { char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))]; struct cmsghdr align; } asked[BATCH], from[BATCH];
static uint32_t *order, turn;
static double *sent_at, *waits;
static uint64_t sent, replies, n_waits, max_waits;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *room_for(size_t n, size_t size)
{
    void *room = calloc(n, size);
    if (!room) { perror("calloc"); exit(1); }
    return room;
}

static void open_socket(void)
{
    int size = 4 << 20, on = 1;
    struct sockaddr_in any = { .sin_family = AF_INET };
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any)) { perror("bind"); exit(1); }
}

static void flush(void)
{
    for (int done = 0; done < queued;) {
        int m = sendmmsg(fd, out + done, (unsigned)(queued - done), 0);
        if (m <= 0) { perror("send"); exit(1); }
        done += m;
        sent += (uint64_t)m;
    }
    queued = 0;
}

/* Client n is 127.64.0.0 + n, or begins as the address of the relay does. */
static void queue(uint32_t client)
{
    int i = queued++;
    struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl((ntohl(to.sin_addr.s_addr) & 0xFF000000u) + 0x400000u + client) };
    struct cmsghdr *c = &from[i].align;
    *c = (struct cmsghdr){ .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info) };
    memcpy(CMSG_DATA(c), &info, sizeof info);
    iov_out[i] = (struct iovec){ payload, SIZE };
    out[i].msg_hdr = (struct msghdr){ .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov_out[i], .msg_iovlen = 1,
        .msg_control = &from[i], .msg_controllen = sizeof from[i] };
    if (queued == BATCH) flush();
}

static uint32_t next_client(void)
{
    uint32_t client = order[turn];
    turn = turn + 1 == (uint32_t)n_clients ? 0 : turn + 1;
    return client;
}

/* Takes what waits; whose it was is in `whose`. */
static int receive_some(uint32_t *whose)
{
    for (int i = 0; i < BATCH; i++) {
        iov_in[i] = (struct iovec){ room[i], sizeof room[i] };
        in[i].msg_hdr = (struct msghdr){ .msg_iov = &iov_in[i], .msg_iovlen = 1, .msg_control = &asked[i],
            .msg_controllen = sizeof asked[i] };
    }
    int n = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(&asked[i].align), sizeof info);
        whose[i] = ntohl(info.ipi_addr.s_addr) - 0x7F400000u;
    }
    if (n <= 0) return 0;
    replies += (uint64_t)n;
    return n;
}

static void wait_until(double moment)
{
    double left = moment - now();
    if (left <= 0) return;
    struct timespec t = { (time_t)left, (long)((left - (double)(time_t)left) * 1e9) };
    struct pollfd p = { .fd = fd, .events = POLLIN };
    ppoll(&p, 1, &t, NULL);
}

static void shuffle(void)
{
    static uint64_t state = 88172645463325252u;
    for (int i = n_clients - 1; i > 0; i--) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        int j = (int)(state % (uint64_t)(i + 1));
        uint32_t other = order[i];
        order[i] = order[j], order[j] = other;
    }
}

/* Takes answers until none is missing or none has come for 200 ms. */
static void rest(void)
{
    uint32_t whose[BATCH];
    for (double progress = now(); replies < sent && now() - progress < 0.2;)
        if (receive_some(whose)) progress = now();
        else wait_until(progress + 0.2);
}

static void run_window(uint64_t flight, double end)
{
    uint32_t whose[BATCH];
    uint64_t missing = 0;
    double progress = now();
    while (now() < end) {
        int n = receive_some(whose);
        for (int i = 0; i < n; i++) queue(flight == (uint64_t)n_clients ? whose[i] : next_client());
        /* The first ones go slowly: nobody has room for all of them at once. */
        for (int i = 0; i < BATCH / 2 && sent + (uint64_t)queued - replies - missing < flight; i++) queue(next_client());
        flush();
        if (n) { progress = now(); continue; }
        if (now() - progress > 0.2) missing = sent - replies, progress = now();
        if (sent - replies - missing >= flight) wait_until(progress + 0.2);
    }
    rest();
}

static void run_pace(double a_second, double end, int look)
{
    uint32_t whose[BATCH];
    double start = now(), due = start;
    n_waits = 0;
    for (double moment = start; moment < end; moment = now()) {
        while (due <= moment) {
            uint32_t client = next_client();
            sent_at[client] = now();
            queue(client);
            flush();
            due += 1 / a_second;
        }
        int n = receive_some(whose);
        for (int i = 0; look && i < n; i++) if (n_waits < max_waits) waits[n_waits++] = now() - sent_at[whose[i]];
        if (!n) wait_until(due);
    }
    if (look) rest();
}

/* Each client once, 64 in flight. */
static void run_all(void)
{
    for (int done = 0; done < n_clients;) {
        for (int i = 0; i < BATCH && done < n_clients; i++, done++) queue(next_client());
        flush();
        rest();
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 6) return fprintf(stderr, "usage: crowd window|pace|flood ADDRESS PORT CLIENTS NUMBER\n"), 64;
    to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])) };
    inet_pton(AF_INET, argv[2], &to.sin_addr);
    n_clients = atoi(argv[4]);
    double number = atof(argv[5]);
    int window = !strcmp(argv[1], "window"), pace = !strcmp(argv[1], "pace");
    max_waits = 1 << 20;
    order = room_for((size_t)n_clients, sizeof *order);
    sent_at = room_for((size_t)n_clients, sizeof *sent_at);
    waits = room_for(max_waits, sizeof *waits);
    for (int i = 0; i < n_clients; i++) order[i] = (uint32_t)i;
    open_socket();
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        uint32_t late[BATCH];
        while (receive_some(late)) continue;
        sent = replies = 0;
        double start = now();
        if (!strncmp(line, "all", 3)) {
            turn = 0;
            run_all();
            shuffle();
        } else if (window) run_window((uint64_t)number, start + atof(line));
        else run_pace(number, start + atof(line), pace);
        printf("{\"sent\": %llu, \"replies\": %llu, \"lost\": %llu, \"in_flight\": 0, \"seconds\": %.3f", (unsigned long long)sent,
               (unsigned long long)replies, (unsigned long long)(sent - replies), now() - start);
        if (pace && n_waits) {
            qsort(waits, n_waits, sizeof *waits, by_size);
            printf(", \"p50_us\": %.1f, \"p99_us\": %.1f", waits[n_waits / 2] * 1e6, waits[n_waits * 99 / 100] * 1e6);
        }
        puts("}");
        fflush(stdout);
    }
}
