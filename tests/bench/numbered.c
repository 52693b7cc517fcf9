/* Numbered datagrams through whatever hangs on loopback, and what became of each.
 *
 *   numbered COUNT GAP_NS FILE
 *
 * Sends COUNT frames of 106 bytes on loopback, GAP_NS after each other or at once, waits until nothing has come for a
 * second, and writes to FILE, all little-endian: COUNT and the number that arrived (u64), when each was sent (u64 ns,
 * the clock read before the send), and for each that arrived, in this order: its number (u32), the bit of the frame
 * that is wrong or 2^32-1 (u32), and when it arrived (u64 ns, of the kernel).
 *
 * A frame has an Ethernet type that nobody takes: what hangs on an interface does not look into it, no checksum hides
 * that a bit is wrong, and the machine does not spend its time on IP. A number is in its frame three times, so that
 * one wrong bit cannot hide it. One thread: the kernel keeps all that arrives in a ring, and nobody competes with the
 * sender.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 106, SLOT = 256, BLOCK = 1 << 16, EXPERIMENTAL = 0x88b5 };

struct arrival { uint32_t number, wrong; uint64_t ns; };

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "numbered: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void rest(uint64_t until)
{
    struct timespec t = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
    while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

static int on_loopback(int protocol)
{
    struct sockaddr_ll lo = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = (int)if_nametoindex("lo") };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    must(fd >= 0, "packet socket");
    must(!bind(fd, (struct sockaddr *)&lo, sizeof lo), "bind to lo");
    return fd;
}

/* A ring that holds every frame loopback delivers, from now on. */
static int watch(size_t slots, unsigned char **ring)
{
    int fd = on_loopback(0), version = TPACKET_V2, on = 1;
    must(!setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version), "PACKET_VERSION");
    must(!setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on), "PACKET_IGNORE_OUTGOING");
    struct tpacket_req request = { BLOCK, (unsigned)(slots * SLOT / BLOCK), SLOT, (unsigned)slots };
    must(!setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request), "PACKET_RX_RING");
    *ring = mmap(NULL, slots * SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(*ring != MAP_FAILED, "ring");
    struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("lo") };
    must(!bind(fd, (struct sockaddr *)&all, sizeof all), "bind to lo");
    return fd;
}

static void make(unsigned char *frame, uint32_t number)
{
    frame[12] = EXPERIMENTAL >> 8, frame[13] = EXPERIMENTAL & 0xff;
    for (int copy = 0; copy < 3; copy++) memcpy(frame + 14 + 4 * copy, &number, 4);
}

static struct arrival look(const struct tpacket2_hdr *slot)
{
    const unsigned char *came = (const unsigned char *)slot + slot->tp_mac;
    unsigned char frame[FRAME] = { 0 };
    struct arrival arrival = { 0, UINT32_MAX, (uint64_t)slot->tp_sec * 1000000000u + slot->tp_nsec };
    uint32_t a, b, c;
    must(slot->tp_len == FRAME, "a frame of another length");
    memcpy(&a, came + 14, 4), memcpy(&b, came + 18, 4), memcpy(&c, came + 22, 4);
    arrival.number = (a & b) | (a & c) | (b & c);
    make(frame, arrival.number);
    if (!memcmp(came, frame, FRAME)) return arrival;
    for (uint32_t bit = 0, wrong = 0; bit < FRAME * 8; bit++)
        if ((came[bit / 8] ^ frame[bit / 8]) >> bit % 8 & 1) {
            must(wrong++ == 0, "more than one bit of a frame is wrong");
            arrival.wrong = bit;
        }
    return arrival;
}

int main(int argc, char **argv)
{
    if (argc != 4) return fprintf(stderr, "numbered COUNT GAP_NS FILE\n"), 2;
    uint64_t count = strtoull(argv[1], NULL, 10), gap = strtoull(argv[2], NULL, 10);
    size_t slots = (count + count / 8 + BLOCK / SLOT) / (BLOCK / SLOT) * (BLOCK / SLOT);
    uint64_t *sent = calloc(count, sizeof *sent), arrived = 0;
    struct arrival *arrivals = calloc(slots, sizeof *arrivals);
    unsigned char *ring, frame[FRAME] = { 0 };
    must(sent && arrivals, "memory");
    int packets = watch(slots, &ring), from = on_loopback(0), large = 1 << 30;
    must(!setsockopt(from, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof large), "SO_SNDBUFFORCE");
    uint64_t begin = now();
    for (uint64_t n = 0; n < count; n++) {
        if (gap) rest(begin + n * gap);
        make(frame, (uint32_t)n);
        sent[n] = now();
        /* A queue that is full says so by ENOBUFS; what it dropped does not arrive. */
        must(send(from, frame, FRAME, 0) == FRAME || errno == ENOBUFS, "send");
    }
    for (uint64_t quiet = now(); now() - quiet < 1000000000u;) {
        must(arrived < slots, "room for all that arrives");
        const struct tpacket2_hdr *slot = (const void *)(ring + arrived * SLOT);
        if (!(*(const volatile uint32_t *)&slot->tp_status & TP_STATUS_USER)) {
            rest(now() + 10000000u);
            continue;
        }
        arrivals[arrived++] = look(slot);
        quiet = now();
    }
    struct tpacket_stats lost = { 0, 0 };
    socklen_t size = sizeof lost;
    must(!getsockopt(packets, SOL_PACKET, PACKET_STATISTICS, &lost, &size) && !lost.tp_drops, "the ring was full");
    FILE *file = fopen(argv[3], "r+");
    must(file && fwrite(&count, 8, 1, file) == 1 && fwrite(&arrived, 8, 1, file) == 1, argv[3]);
    must(fwrite(sent, 8, count, file) == count && fwrite(arrivals, sizeof *arrivals, arrived, file) == arrived, argv[3]);
    must(!fflush(file) && !fsync(fileno(file)), argv[3]);
    printf("numbered: %llu sent, %llu arrived\n", (unsigned long long)count, (unsigned long long)arrived);
    return 0;
}
