/* The server for sockperf(1): answers ping-pong and under-load, and swallows what wants no answer (throughput). Build, from
 * the root of the repository:
 * cc -O2 -shared -fPIC -I plugins/abi/include examples/plugins/sockperf-c/sockperf.c -o libsockperf_c.so
 * Then: sockperf ping-pong -i 127.0.0.1 -p 7000 */
#include <stdlib.h>

#include "polyport_plugin.h"

/* A message begins with a sequence number of 8 octets, flags of 2, and its length of 4, in network order. */
enum { FLAGS = 8, LENGTH = 10, HEADER = 14 };
enum { CLIENT = 1, PONG = 2, WARMUP = 4 };

struct sockperf {
    uint64_t *answered, *swallowed, *malformed;
};

static uint32_t number(const uint8_t *octets, int n)
{
    uint32_t number = 0;
    while (n-- > 0) number = number << 8 | *octets++;
    return number;
}

static void *create(const pp_create *c, pp_error *e)
{
    struct sockperf *s = malloc(sizeof *s);
    if (!s) { pp_refuse(e, 0, "out of memory"); return NULL; }
    s->answered = c->host->metric(c->ctx, PP_COUNTER, "answered_total", "Messages that wanted an answer");
    s->swallowed = c->host->metric(c->ctx, PP_COUNTER, "swallowed_total", "Messages that wanted none");
    s->malformed = c->host->metric(c->ctx, PP_COUNTER, "malformed_total", "Datagrams that are no client's message");
    return s;
}

static void destroy(void *self) { free(self); }

static int32_t on_batch(void *self, pp_batch *b)
{
    struct sockperf *s = self;
    for (uint32_t i = 0; i < b->rx_len; i++) {
        uint8_t *message = b->rx[i].data;
        uint32_t flags = b->rx[i].len < HEADER ? 0 : number(message + FLAGS, 2);
        /* A server's message is not answered: two servers would never stop. */
        if (!(flags & CLIENT) || number(message + LENGTH, 4) != b->rx[i].len) {
            pp_count(s->malformed, 1);
            pp_discard(b, i);
        } else if (flags & WARMUP || !(flags & PONG)) {
            pp_count(s->swallowed, 1);
        } else {
            message[FLAGS + 1] = (uint8_t)(flags & ~(uint32_t)CLIENT);
            pp_count(s->answered, (uint64_t)pp_echo(b, i));
        }
    }
    return PP_OK;
}

const pp_plugin polyport_plugin_v1 = {
    PP_PLUGIN_HEAD("sockperf-c", "1.0.0", "Answers sockperf(1) in ping-pong and under load"),
    .create = create,
    .destroy = destroy,
    .on_batch = on_batch,
};
