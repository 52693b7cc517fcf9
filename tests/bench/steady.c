/* A steady stream to an echo server, and how long each datagram waited for its answer, by the kernel's stamps (Linux).
 *
 *   steady ADDRESS PORT PORTS RATE FILE
 *
 * Sends RATE numbered datagrams of 64 bytes a second, to PORTS ports in turn, until standard input ends, and waits for late
 * answers for a second more. Writes to FILE, little-endian, for each datagram two u64: when it left and when its answer
 * came, in ns of CLOCK_REALTIME, both as the kernel has stamped them (SO_TIMESTAMPING); an answer that never came is 0.
 *
 * On loopback a datagram is in the server's queue when the kernel stamps its departure, and an answer in ours when it
 * stamps the arrival: the difference is the server's, and the scheduler's that runs it, however late this program reads.
 * What was not sent in time because this program did not run is sent at once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
enum { SIZE = 64, BUFFER = 64 << 20, MOST = 1 << 24 };

static struct { uint64_t left, answered; } *seen;
static uint32_t total;
static int sock;

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(71);
    }
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* Reads all that waits: answers, or with MSG_ERRQUEUE the stamps of what was sent. */
static void drain(int queue)
{
    for (;;) {
        char payload[2048], control[512];
        struct iovec part = { payload, sizeof payload };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        ssize_t length = recvmsg(sock, &message, MSG_DONTWAIT | queue);
        if (length < 0)
            return;
        uint64_t stamp = 0;
        uint32_t number = UINT32_MAX;
        if (!queue && length >= (ssize_t)sizeof number)
            memcpy(&number, payload, sizeof number);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
                struct timespec t;
                memcpy(&t, CMSG_DATA(c), sizeof t);
                stamp = (uint64_t)(t.tv_sec * SECOND + t.tv_nsec);
            }
            if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
                struct sock_extended_err error;
                memcpy(&error, CMSG_DATA(c), sizeof error);
                if (error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING)
                    number = error.ee_data;
            }
        }
        if (number < total && queue)
            seen[number].left = stamp;
        else if (number < total)
            seen[number].answered = stamp;
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: steady ADDRESS PORT PORTS RATE FILE\n");
        return 64;
    }
    int first = atoi(argv[2]), ports = atoi(argv[3]), size = BUFFER;
    int64_t gap = SECOND / atoi(argv[4]);
    struct sockaddr_in to = { .sin_family = AF_INET };
    must(inet_pton(AF_INET, argv[1], &to.sin_addr) == 1, "address");
    seen = calloc(MOST, sizeof *seen);
    must(seen != NULL, "memory");
    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(sock >= 0, "socket");
    setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    int stamps = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_OPT_ID
        | SOF_TIMESTAMPING_OPT_TSONLY;
    must(!setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps), "SO_TIMESTAMPING");
    printf("ready\n");
    fflush(stdout);
    int64_t due = now(), end = 0;
    for (;;) {
        struct pollfd in = { .fd = 0, .events = POLLIN };
        if (!end && poll(&in, 1, 0) > 0)
            end = now() + SECOND;
        if (end && now() >= end)
            break;
        if (!end && total < MOST && now() >= due) {
            char payload[SIZE] = { 0 };
            memcpy(payload, &total, sizeof total);
            to.sin_port = htons((uint16_t)(first + (int)(total % (uint32_t)ports)));
            total++;
            must(sendto(sock, payload, SIZE, 0, (struct sockaddr *)&to, sizeof to) == SIZE, "sendto");
            due += gap;
        } else {
            struct timespec rest = { 0, gap < 50000 ? gap : 50000 };
            nanosleep(&rest, NULL);
        }
        drain(MSG_ERRQUEUE);
        drain(0);
    }
    FILE *file = fopen(argv[5], "wb");
    must(file != NULL, argv[5]);
    must(fwrite(seen, sizeof *seen, total, file) == total && !fclose(file), argv[5]);
    return 0;
}
