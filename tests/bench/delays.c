/* How late delayed answers leave, by the kernel's stamps of arrival and departure (SO_TIMESTAMPING, Linux).
 *
 *   polyport run --listen 127.0.0.1:7000=lossy,delay=200ms
 *   cc -O2 -pthread -o delays tests/bench/delays.c
 *   ./delays 7000 200000 5000 4        port, delay in us, datagrams a second, seconds
 *
 * On loopback a datagram arrives at the moment in which the kernel stamps its departure. So an answer's departure less that
 * of its request is the delay and how late the answer is, wake-ups included; below zero it would be early. With the word
 * `thread` in place of a port it measures how late a thread is that only sleeps: what the machine makes of any wait. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define BUFFER (8 << 20) /* room for what comes while this program waits for a processor */

static int64_t *sent, *answered; /* departures, ns, by number; 0 is none */
static uint32_t total;
static int sock;
static atomic_bool done;

static int64_t ns(const struct timespec *t)
{
    return t->tv_sec * SECOND + t->tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void fail(const char *what)
{
    perror(what);
    exit(71);
}

/* Reads all that waits: answers, or with MSG_ERRQUEUE the stamps of what was sent. */
static void drain(int queue)
{
    for (;;) {
        char payload[2048], control[512];
        struct iovec part = {payload, sizeof payload};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t length = recvmsg(sock, &message, MSG_DONTWAIT | queue);
        if (length < 0)
            return;
        int64_t stamp = 0;
        uint32_t number = UINT32_MAX;
        if (!queue && length >= (ssize_t)sizeof number)
            memcpy(&number, payload, sizeof number);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING)
                stamp = ns((struct timespec *)CMSG_DATA(c));
            if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
                struct sock_extended_err *error = (struct sock_extended_err *)CMSG_DATA(c);
                if (error->ee_origin == SO_EE_ORIGIN_TIMESTAMPING)
                    number = error->ee_data;
            }
        }
        if (number < total)
            (queue ? sent : answered)[number] = stamp;
    }
}

static void *receive(void *unused)
{
    while (!atomic_load(&done)) {
        struct pollfd ready = {sock, POLLIN, 0};
        poll(&ready, 1, 100);
        drain(MSG_ERRQUEUE);
        drain(0);
    }
    return unused;
}

/* Sleeps until the moment, and returns how much later it woke up, ns. */
static int64_t sleep_until(int64_t at)
{
    struct timespec moment = {at / SECOND, at % SECOND}, now;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ns(&now) - at;
}

static void print(int64_t *late, uint32_t count)
{
    if (!count) {
        puts("no answer");
        exit(69);
    }
    qsort(late, count, sizeof *late, by_size);
    uint32_t early = 0;
    while (early < count && late[early] < 0)
        early++;
    double share[] = {0.5, 0.9, 0.99, 0.999};
    printf("%u of %u, early %u", count, total, early);
    for (size_t i = 0; i < sizeof share / sizeof *share; i++)
        printf(", p%g %.1f us", share[i] * 100, late[(uint32_t)(count * share[i])] / 1e3);
    printf(", max %.1f us\n", late[count - 1] / 1e3);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: delays PORT|thread DELAY_US DATAGRAMS_A_SECOND SECONDS\n", stderr);
        return 64;
    }
    int64_t delay = atoll(argv[2]) * 1000, rate = atoll(argv[3]), seconds = atoll(argv[4]);
    if (delay < 0 || rate < 1 || rate > 1000000 || seconds < 1 || seconds > 100) {
        fputs("at most 1,000,000 datagrams a second, for 1 to 100 s\n", stderr);
        return 64;
    }
    total = (uint32_t)(rate * seconds);
    sent = calloc(total, sizeof *sent);
    answered = calloc(total, sizeof *answered);
    int64_t *late = calloc(total, sizeof *late);
    if (!sent || !answered || !late)
        fail("calloc");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t start = ns(&now) + SECOND / 100;
    if (!strcmp(argv[1], "thread")) {
        for (uint32_t i = 0; i < total; i++)
            late[i] = sleep_until(start + i * SECOND / rate);
        print(late, total);
        return 0;
    }

    sock = socket(AF_INET, SOCK_DGRAM, 0);
    int size = BUFFER, stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE
        | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps))
        fail("SO_TIMESTAMPING");
    if (connect(sock, (struct sockaddr *)&server, sizeof server))
        fail("connect");
    pthread_t receiver;
    if (pthread_create(&receiver, NULL, receive, NULL))
        fail("pthread_create");
    for (uint32_t i = 0; i < total; i++) {
        char payload[64] = {0};
        memcpy(payload, &i, sizeof i);
        sleep_until(start + i * SECOND / rate);
        send(sock, payload, sizeof payload, 0);
    }
    sleep_until(start + total * SECOND / rate + delay + SECOND / 2);
    atomic_store(&done, 1);
    pthread_join(receiver, NULL);

    uint32_t count = 0;
    for (uint32_t i = 0; i < total; i++)
        if (sent[i] && answered[i])
            late[count++] = answered[i] - sent[i] - delay;
    print(late, count);
    return 0;
}
