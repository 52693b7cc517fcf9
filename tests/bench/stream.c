/* A numbered stream to a range of ports, and which of its numbers were answered, how often.
 *
 *   stream IP FIRST_PORT PORTS RATE WINDOW
 *
 * Sends RATE datagrams of 8 bytes a second, the number n to port FIRST_PORT + n % PORTS, while fewer than WINDOW are unanswered: who
 * sends more than a queue holds measures the queue. SIGTERM ends it: it waits until everything is answered, 10 s at most, and
 * prints one line: sent, answered, twice (answered more than once), lost, the longest wait for an answer in us, and how long nothing was
 * sent since too much was unanswered, in us.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 40000000 };

static volatile sig_atomic_t ends;

static void end(int signal)
{
    (void)signal;
    ends = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: stream IP FIRST_PORT PORTS RATE WINDOW\n");
        return 64;
    }
    struct sockaddr_in to = { .sin_family = AF_INET };
    must(inet_pton(AF_INET, argv[1], &to.sin_addr) == 1, "IP");
    unsigned first = atoi(argv[2]), ports = atoi(argv[3]);
    uint64_t gap = 1000000000u / strtoull(argv[4], NULL, 10), window = strtoull(argv[5], NULL, 10);
    int own = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), room = 8 << 20;
    must(own >= 0, "socket");
    if (setsockopt(own, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
        setsockopt(own, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    /* When each was sent, and how often it was answered. */
    size_t bytes = (size_t)MOST * 8;
    uint64_t *sent_at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *seen = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(sent_at != MAP_FAILED && seen != MAP_FAILED, "mmap");
    signal(SIGTERM, end);
    uint64_t sent = 0, answered = 0, twice = 0, longest = 0, held = 0, due = now_ns(), until = 0;
    for (;;) {
        uint64_t now = now_ns();
        if (ends && until == 0)
            until = now + 10000000000u;
        if (until != 0 && (now > until || answered == sent))
            break;
        for (;;) {
            uint64_t number;
            ssize_t n = recv(own, &number, sizeof number, 0);
            if (n < 0 && errno == EAGAIN)
                break;
            if (n != sizeof number || number >= sent)
                continue;
            if (seen[number]++ > 0) {
                twice++;
                continue;
            }
            answered++;
            uint64_t took = now_ns() - sent_at[number];
            if (took > longest)
                longest = took;
        }
        if (until == 0 && sent < MOST && now >= due) {
            if (sent - answered >= window) {
                held += now - due;
                due = now;
            } else {
                to.sin_port = htons(first + sent % ports);
                sent_at[sent] = now;
                if (sendto(own, &sent, sizeof sent, 0, (struct sockaddr *)&to, sizeof to) == sizeof sent)
                    sent++;
                due += gap;
                /* Who was kept from it does not send all of that at once. */
                if (due + 20000000u < now)
                    due = now;
                continue;
            }
        }
        struct timespec wait = { 0, 200000 };
        if (until == 0 && due > now && due - now < 200000u)
            wait.tv_nsec = due - now;
        struct pollfd fd = { own, POLLIN, 0 };
        ppoll(&fd, 1, &wait, NULL);
    }
    printf("%llu %llu %llu %llu %llu %llu\n", (unsigned long long)sent, (unsigned long long)answered,
           (unsigned long long)twice, (unsigned long long)(sent - answered), (unsigned long long)longest / 1000,
           (unsigned long long)held / 1000);
    return 0;
}
