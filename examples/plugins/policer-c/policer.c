/* A policer in front of an echo: each prefix of peers has a token bucket, and what finds no token is dropped. Build, from
 * the root of the repository:
 * cc -O2 -shared -fPIC -I plugins/abi/include examples/plugins/policer-c/policer.c -o libpolicer_c.so
 *
 * Shows options, counters, a verdict, the host's time, and memory that the host is asked for: the buckets lie in a table of
 * fixed size, so a flood from forged addresses costs no more than that. */
#include <stdlib.h>

#include "polyport_plugin.h"

/* A bucket is one number (GCRA): the moment at which it is full again. It lets a datagram pass if that moment is not more than a
 * burst away, and moves it by the time of one token. */
struct bucket {
    uint64_t prefix;   /* a keyed hash of it; 0 is an empty place */
    uint64_t full_ns;
};

enum { WAYS = 4 };     /* places a prefix may have; the one that is full for longest gives way */
static const uint64_t SECOND = 1000000000;

struct policer {
    uint64_t token_ns, burst_ns, key[2];
    uint32_t prefix_v4, prefix_v6, sets;
    uint64_t *passed, *dropped, *forgotten;
    struct bucket *table;
};

static const pp_opt options[] = {
    { .name = "rate",  .help = "Datagrams a second that pass, of each prefix", .def = "100", .type = PP_OPT_FLOAT,
      .min = 0.0001, .max = 1e9 },
    { .name = "burst", .help = "Datagrams that pass at once after a pause", .def = "20", .type = PP_OPT_INT,
      .min = 1, .max = 1e6 },
    { .name = "prefix_v4", .help = "Bits of an IPv4 address that make a prefix", .def = "24", .type = PP_OPT_INT,
      .min = 1, .max = 32 },
    { .name = "prefix_v6", .help = "Bits of an IPv6 address that make a prefix", .def = "56", .type = PP_OPT_INT,
      .min = 1, .max = 128 },
    { .name = "prefixes", .help = "Prefixes known at once, 16 octets each", .def = "65536", .type = PP_OPT_INT,
      .min = WAYS, .max = 1 << 24 },
};
enum { RATE, BURST, PREFIX_V4, PREFIX_V6, PREFIXES, N_OPTIONS };

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDull;
    x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53ull;
    return x ^ (x >> 33);
}

/* Nobody who does not know the key can choose addresses that meet in one place. */
static uint64_t prefix_of(const struct policer *p, const pp_addr *peer)
{
    uint32_t bits = peer->family == 4 ? p->prefix_v4 : p->prefix_v6;
    uint64_t hash = p->key[0] ^ peer->family;
    uint8_t ip[16] = { 0 };
    for (uint32_t at = 0; at * 8 < bits; at++)
        ip[at] = peer->ip[at] & (uint8_t)(bits - at * 8 >= 8 ? 0xFF : 0xFF << (8 - (bits - at * 8)));
    for (int half = 0; half < 2; half++) {
        uint64_t word;
        memcpy(&word, ip + 8 * half, 8);
        hash = mix(hash ^ word) + p->key[1];
    }
    hash = mix(hash);
    return hash ? hash : 1;
}

static struct bucket *find(struct policer *p, uint64_t prefix, uint64_t now_ns)
{
    struct bucket *set = p->table + prefix % p->sets * WAYS, *place = set;
    for (int way = 0; way < WAYS; way++) {
        if (set[way].prefix == prefix) return &set[way];
        if (set[way].full_ns < place->full_ns) place = &set[way];
    }
    if (place->full_ns > now_ns) pp_count(p->forgotten, 1);
    place->prefix = prefix;
    place->full_ns = 0;
    return place;
}

static void *create(const pp_create *c, pp_error *e)
{
    const pp_value *v = c->values;
    struct policer *p = calloc(1, sizeof *p);
    if (!p) { pp_refuse(e, 0, "out of memory"); return NULL; }
    p->token_ns = (uint64_t)((double)SECOND / v[RATE].v.f);
    if (!p->token_ns) p->token_ns = 1;
    p->burst_ns = p->token_ns * (uint64_t)v[BURST].v.i;
    p->prefix_v4 = (uint32_t)v[PREFIX_V4].v.i;
    p->prefix_v6 = (uint32_t)v[PREFIX_V6].v.i;
    p->sets = (uint32_t)v[PREFIXES].v.i / WAYS;
    p->key[0] = p->key[1] = c->seed;
    if (PP_HAS(c, secret)) memcpy(p->key, c->secret, sizeof p->key);
    /* As much as was asked for, or the half, or the half of that. */
    pp_reserve(c->host, c->ctx, 0);
    while (p->sets > 1 && !pp_reserve(c->host, c->ctx, p->sets * WAYS * sizeof *p->table)) p->sets /= 2;
    p->table = calloc((size_t)p->sets * WAYS, sizeof *p->table);
    if (!p->table) { free(p); pp_refuse(e, 1 + PREFIXES, "out of memory"); return NULL; }
    p->passed = c->host->metric(c->ctx, PP_COUNTER, "passed_total", "Datagrams that found a token");
    p->dropped = c->host->metric(c->ctx, PP_COUNTER, "dropped_total", "Datagrams that found none");
    p->forgotten = c->host->metric(c->ctx, PP_COUNTER, "forgotten_total", "Buckets given to another prefix before they were full");
    return p;
}

static void destroy(void *self)
{
    struct policer *p = self;
    free(p->table);
    free(p);
}

static int32_t on_batch(void *self, pp_batch *b)
{
    struct policer *p = self;
    for (uint32_t i = 0; i < b->rx_len; i++) {
        struct bucket *bucket = find(p, prefix_of(p, &b->rx[i].peer), b->now_ns);
        uint64_t full_ns = (bucket->full_ns > b->now_ns ? bucket->full_ns : b->now_ns) + p->token_ns;
        if (full_ns - b->now_ns > p->burst_ns) {
            pp_count(p->dropped, 1);
            pp_discard(b, i);
            continue;
        }
        bucket->full_ns = full_ns;
        pp_count(p->passed, 1);
        pp_echo(b, i);
    }
    return PP_OK;
}

const pp_plugin polyport_plugin_v1 = {
    PP_PLUGIN_HEAD("policer-c", "1.0.0", "An echo behind a token bucket for each prefix of peers"),
    .n_options = N_OPTIONS,
    .options = options,
    .create = create,
    .destroy = destroy,
    .on_batch = on_batch,
};
