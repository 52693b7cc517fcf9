/* polyport_plugin.h - the polyport plugin interface, ABI 1.
 *
 * The twin of the Rust crate `polyport-abi`; a test compares every size, offset and constant.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * RULES (the whole contract in nine lines)
 *  1 Threads    One instance is only ever used by one thread at a time. Two instances of the
 *               same library may run on two threads at once: statics must be thread-safe.
 *  2 Memory     Whoever allocates frees. Nothing allocated on one side is freed on the other.
 *  3 Lifetime   Pointers inside pp_batch are valid until on_batch/on_timer returns.
 *               pp_create.host and .ctx are valid until destroy returns.
 *  4 Growth     A struct that starts with `size` may grow at its end in a later minor version:
 *               test PP_HAS(p, field) before reading a field newer than 1.0.
 *               pp_dgram, pp_tx, pp_addr, pp_opt, pp_value never change within ABI 1.
 *  5 Unwinding  Nothing may unwind out of a plugin or host function (no panic, throw, longjmp).
 *  6 Time       Every *_ns is nanoseconds on one monotonic clock, unless it says wall.
 *  7 Strings    UTF-8. `const char *` is NUL-terminated; ptr+len is not.
 *  8 Blocking   on_batch and on_timer must not block: every listener waits for them.
 *  9 Unknown    Reserved fields are zero when written and ignored when read; unknown flag bits too.
 */
#ifndef PP_PLUGIN_H
#define PP_PLUGIN_H
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#if UINTPTR_MAX != UINT64_MAX
#error "polyport plugins are 64-bit only"
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define PP_ABI_MAJOR 1u   /* also in the symbol name; a host loads only its own major    */
#define PP_ABI_MINOR 0u   /* this header; a host with a lower minor may still load you   */
#define PP_EXPORT __attribute__((visibility("default")))
#define PP_HAS(p, field) \
    ((p)->size >= offsetof(__typeof__(*(p)), field) + sizeof((p)->field))

/* ---- what a call returns -------------------------------------------------------------- */
#define PP_OK            0
#define PP_ERROR       (-1)  /* on_batch/on_timer: this call failed; keep the instance      */
#define PP_FATAL       (-2)  /* on_batch/on_timer: the instance is broken; restart it       */
#define PP_UNSUPPORTED (-3)

/* ---- addresses ------------------------------------------------------------------------ */
typedef struct pp_addr {      /* 24 bytes, frozen */
    uint8_t  ip[16];           /* IPv4 in ip[0..4]                                          */
    uint16_t port;             /* host byte order: 53 is 53                                 */
    uint8_t  family;           /* 4, 6, or 0 for "none"                                     */
    uint8_t  reserved;
    uint32_t scope;            /* IPv6 zone (interface index), else 0                       */
} pp_addr;

/* ---- one received datagram ------------------------------------------------------------ */
#define PP_RX_TRUNCATED  0x01u /* the datagram was longer than the buffer                   */
#define PP_RX_MULTICAST  0x02u /* sent to a multicast group                                 */
#define PP_RX_BROADCAST  0x04u /* sent to a broadcast address                               */
#define PP_RX_HAS_LOCAL  0x08u /* local is the address this datagram was sent to            */
#define PP_RX_KERNEL_TIME 0x10u /* rx_ns came from the kernel, not from the event loop      */
#define PP_VERDICT_NONE    0u  /* replied if a pp_tx names it, else consumed                 */
#define PP_VERDICT_DISCARD 1u  /* you dropped it on purpose; the host counts it so           */
typedef struct pp_dgram {     /* 96 bytes, frozen */
    uint8_t *data;             /* the host's buffer; you may overwrite data[0..cap]          */
    uint32_t len;              /* 0 is legal in UDP                                          */
    uint32_t cap;              /* == len when the buffer is shared with a neighbour (GRO)    */
    pp_addr peer;             /* who sent it                                                */
    pp_addr local;            /* where it was sent to (see PP_RX_HAS_LOCAL)                */
    uint64_t rx_ns;            /* arrival                                                    */
    uint32_t ifindex;          /* 0 = unknown                                                */
    uint8_t  ecn;              /* two ECN bits                                               */
    uint8_t  flags;            /* PP_RX_*                                                   */
    uint8_t  hop_limit;        /* 0 = unknown                                                */
    uint8_t  verdict;          /* PP_VERDICT_*: 0 when you get it                            */
    uint64_t reserved[2];
} pp_dgram;

/* ---- one datagram to send ------------------------------------------------------------- */
#define PP_TX_TO   0x01u      /* .to is set;   otherwise: to the sender of rx[.rx]          */
#define PP_TX_FROM 0x02u      /* .from is set; otherwise: from the address rx[.rx] was sent
                                  to (the host picks a unicast one for multicast/broadcast)  */
#define PP_NO_RX   0xFFFFFFFFu
typedef struct pp_tx {        /* 96 bytes, frozen; a reply writes only the first 32         */
    const uint8_t *data;       /* NULL: the bytes of rx[.rx] as they are when you return.
                                  Else: rx buffer, arena, or instance memory that stays
                                  unchanged until the next call into this instance           */
    uint32_t len;
    uint32_t rx;               /* index into batch->rx, or PP_NO_RX                          */
    uint64_t at_ns;            /* 0 = now; else not before this moment (host copies and owns)*/
    uint32_t segment;          /* 0 = one datagram; else split every `segment` bytes (GSO)   */
    uint8_t  ecn;
    uint8_t  flags;            /* PP_TX_*; bits 0x03 only                                   */
    uint16_t run;              /* so many more: rx[.rx+1] ..= rx[.rx+run] go the same way,
                                  each whole; needs data NULL, segment 0, rx[.rx] whole      */
    pp_addr to;
    pp_addr from;
    uint64_t reserved[2];
} pp_tx;

/* ---- host services -------------------------------------------------------------------- */
typedef struct pp_ctx pp_ctx;        /* the host's handle for this instance               */
typedef struct pp_batch pp_batch;
#define PP_LOG_ERROR 1
#define PP_LOG_WARN  2
#define PP_LOG_INFO  3
#define PP_LOG_DEBUG 4
#define PP_LOG_TRACE 5
#define PP_COUNTER 1u
#define PP_GAUGE   2u
typedef struct pp_host {
    uint32_t    size;
    uint32_t    abi_minor;
    const char *name;          /* "polyport"  */
    const char *version;       /* "0.4.1"   */
    /* [any thread] One line, no newline. Rate-limited per instance by the host. */
    void      (*log)(pp_ctx *, int32_t level, const char *msg, size_t len);
    /* [create only] Returns the cell to add to or set, never NULL, valid until destroy.
     * `name` is snake_case with a unit ("dropped_total"). The same name gives the same cell
     * again after a reload, so counters do not jump back to zero. */
    uint64_t *(*metric)(pp_ctx *, uint32_t kind, const char *name, const char *help);
    /* [instance thread] Calls on_timer(token) at at_ns, then every every_ns if not 0.
     * The same token again moves the timer; at_ns == 0 cancels it. All are cancelled by
     * destroy. Resolution is one event-loop turn (about 1 ms). */
    int32_t   (*timer)(pp_ctx *, uint64_t token, uint64_t at_ns, uint64_t every_ns);
    /* [in on_batch/on_timer] Takes what is queued, empties tx and hands out a fresh arena; not
     * PP_OK when the call has used up its share. What was queued leaves when the call returns
     * PP_OK or PP_ERROR. Arena memory handed out before stays valid until then. */
    int32_t   (*flush)(pp_ctx *, pp_batch *);
    /* [any thread] Optional interfaces by name, e.g. "polyport.wake/1"; NULL when absent. */
    const void *(*extension)(pp_ctx *, const char *id);
} pp_host;

/* ---- one call's worth of work --------------------------------------------------------- */
struct pp_batch {
    uint32_t   size;
    uint32_t   rx_len;         /* 0 in on_timer                                              */
    pp_dgram *rx;
    pp_tx    *tx;             /* write tx[tx_len], then tx_len++                            */
    uint32_t   tx_len, tx_cap;
    uint8_t   *arena;          /* scratch for building payloads without copying; the host    */
    uint32_t   arena_len, arena_cap;   /* keeps it alive until the datagrams have left       */
    uint64_t   now_ns;
    int64_t    wall_offset_ns; /* now_ns + wall_offset_ns = Unix time in ns                  */
    pp_ctx   *ctx;
    const pp_host *host;
    uint32_t   max_payload;    /* largest payload this socket can send in one datagram       */
    uint32_t   log_level;      /* highest level that is kept                                 */
    uint32_t   refused;        /* datagrams that found no room: you count up, the host reads */
    uint32_t   reserved;
};

/* ---- configuration: declared, so that the host checks it ------------------------------ */
#define PP_OPT_BOOL     1u
#define PP_OPT_INT      2u    /* int64                                                     */
#define PP_OPT_FLOAT    3u
#define PP_OPT_RATIO    4u    /* "2.5%" or 0.025 -> double 0..1                            */
#define PP_OPT_DURATION 5u    /* "15ms"          -> int64 nanoseconds                      */
#define PP_OPT_SIZE     6u    /* "64KiB"         -> int64 bytes                            */
#define PP_OPT_STRING   7u
#define PP_OPT_ENUM     8u    /* choices "a|b|c" -> int64 index                            */
#define PP_OPT_ADDR     9u    /* "[::1]:53"      -> pp_addr                               */
#define PP_OPT_JSON    10u    /* anything        -> its JSON text                          */
#define PP_OPT_REQUIRED 0x1u
#define PP_OPT_SECRET   0x2u  /* never printed                                             */
typedef struct pp_opt {       /* 64 bytes, frozen */
    const char *name, *help;
    const char *def;           /* default, written as in the config file; NULL = none        */
    const char *choices;       /* PP_OPT_ENUM                                               */
    double      min, max;      /* both 0 = no bounds                                         */
    uint32_t    type, flags;
    uint64_t    reserved;
} pp_opt;
typedef struct pp_value {     /* 40 bytes, frozen; same order as the options                */
    uint32_t type;             /* 0 = not given and no default                               */
    uint32_t len;              /* of str                                                     */
    union { int64_t i; double f; const char *str; } v;
    pp_addr addr;
} pp_value;
typedef struct pp_error {     /* the host zeroes it; fill it when you refuse                */
    uint32_t size;
    uint32_t opt;              /* 1 + index of the option at fault, 0 = none: lets the host
                                  print file:line of the offending setting                   */
    char     msg[504];
} pp_error;

#define PP_WHY_START   0u
#define PP_WHY_RESTART 1u     /* the previous instance panicked or returned PP_FATAL       */
#define PP_WHY_RELOAD  2u     /* new library or new configuration                           */
typedef struct pp_create {
    uint32_t    size;
    uint32_t    why;           /* PP_WHY_*                                                  */
    pp_ctx    *ctx;
    const pp_host *host;
    const pp_value *values;
    uint32_t    n_values;
    uint32_t    state_version; /* of the saved state                                         */
    const uint8_t *state;      /* from save() of the instance you replace, or NULL           */
    uint64_t    state_len;
    uint64_t    seed;          /* fixed by the config for repeatable runs, else random       */
    uint64_t    now_ns;
    const char *listener;      /* name in the config                                         */
    pp_addr    local;         /* bound address                                              */
} pp_create;

/* ---- what the library exports ---------------------------------------------------------- */
#define PP_F_PANIC_ABORT 0x1u /* a panic would stop the daemon: the host warns or refuses   */
#define PP_F_DEBUG       0x2u /* unoptimised build                                          */
#define PP_LAYOUT ((uint32_t)(sizeof(pp_dgram) << 24 | sizeof(pp_tx) << 16 | \
                    sizeof(pp_opt) << 8 | sizeof(pp_value)))
typedef struct pp_ident {     /* 256 bytes, frozen over ALL majors, no pointers: the host reads
                                  it from the file before any code of the library runs       */
    char     magic[16];        /* "POLYPORT-PLUGIN1"                                         */
    uint16_t abi_major, abi_minor;
    uint16_t min_host_minor;   /* oldest host minor this plugin works with                   */
    uint16_t ident_size;       /* 256                                                        */
    uint32_t layout;           /* PP_LAYOUT                                                 */
    uint32_t flags;            /* PP_F_*                                                    */
    char     name[40], version[24], toolchain[56], about[104];
} pp_ident;

typedef struct pp_plugin {
    pp_ident ident;
    uint32_t  size;            /* sizeof(pp_plugin) when compiled                           */
    uint32_t  n_options;
    const pp_opt *options;
    /* required */
    void   *(*create)(const pp_create *, pp_error *);      /* NULL = refused, see error    */
    void    (*destroy)(void *self);
    int32_t (*on_batch)(void *self, pp_batch *);
    /* optional, NULL if absent */
    int32_t (*on_timer)(void *self, pp_batch *, uint64_t token);
    int32_t (*check)(const pp_value *, uint32_t n, pp_error *);   /* no side effects      */
    int32_t (*reconfigure)(void *self, const pp_value *, uint32_t n, pp_error *);
    int64_t (*save)(void *self, uint8_t *buf, uint64_t cap, uint32_t *version); /* needed size */
    const void *(*extension)(const char *id);
} pp_plugin;

#define PP_PLUGIN_HEAD(NAME, VERSION, ABOUT) \
    .ident = { .magic = {'P','O','L','Y','P','O','R','T','-','P','L','U','G','I','N','1'}, \
        .abi_major = PP_ABI_MAJOR, .abi_minor = PP_ABI_MINOR, .min_host_minor = 0, .ident_size = 256, \
        .layout = PP_LAYOUT, .name = NAME, .version = VERSION, .toolchain = "C", \
        .about = ABOUT }, .size = sizeof(pp_plugin)

extern PP_EXPORT const pp_plugin polyport_plugin_v1;

/* ---- helpers, compiled into the plugin: none of them calls the host unless tx is full ----- */
static inline pp_tx *pp_push(pp_batch *b)
{
    if (b->tx_len >= b->tx_cap && b->host->flush(b->ctx, b) != PP_OK) { b->refused++; return NULL; }
    return &b->tx[b->tx_len++];
}
/* Sends `len` bytes starting at `data` back to the sender of rx[i], from the address it was sent to. */
static inline int pp_reply(pp_batch *b, uint32_t i, const void *data, uint32_t len)
{
    pp_tx *t = pp_push(b);
    if (!t) return 0;
    t->data = (const uint8_t *)data; t->len = len; t->rx = i; t->at_ns = 0;
    t->segment = 0; t->ecn = 0; t->flags = 0; t->run = 0;
    return 1;
}
/* Sends rx[i] back unchanged (or as you changed it in place). Copies nothing. */
static inline int pp_echo(pp_batch *b, uint32_t i) { return pp_reply(b, i, NULL, b->rx[i].len); }
/* Sends rx[i] .. rx[i+n-1] back unchanged; a train leaves as the one message it came in. */
static inline int pp_echo_run(pp_batch *b, uint32_t i, uint32_t n)
{
    while (n > 0) {
        uint32_t some = n <= 0x10000u ? n : 0x10000u;
        if (!pp_echo(b, i)) return 0;
        b->tx[b->tx_len - 1].run = (uint16_t)(some - 1);
        i += some; n -= some;
    }
    return 1;
}
/* Room for n bytes that live until the datagram has left; NULL when n > arena_cap. */
static inline void *pp_alloc(pp_batch *b, uint32_t n)
{
    if (n > b->arena_cap - b->arena_len && (b->host->flush(b->ctx, b) != PP_OK || n > b->arena_cap - b->arena_len))
        return NULL;
    void *p = b->arena + b->arena_len;
    b->arena_len += (n + 7u) & ~7u;
    if (b->arena_len > b->arena_cap) b->arena_len = b->arena_cap;
    return p;
}
static inline int pp_send(pp_batch *b, const pp_addr *to, const void *data, uint32_t len)
{
    pp_tx *t = pp_push(b);
    if (!t) return 0;
    t->data = (const uint8_t *)data; t->len = len; t->rx = PP_NO_RX; t->at_ns = 0;
    t->segment = 0; t->ecn = 0; t->flags = PP_TX_TO; t->run = 0; t->to = *to;
    return 1;
}
/* Drops rx[i] on purpose: counted and logged as such. */
static inline void pp_discard(pp_batch *b, uint32_t i) { b->rx[i].verdict = PP_VERDICT_DISCARD; }
static inline void pp_count(uint64_t *cell, uint64_t n)
{
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
static inline int32_t pp_refuse(pp_error *e, uint32_t opt, const char *why)
{
    size_t n = strlen(why); if (n > sizeof e->msg - 1) n = sizeof e->msg - 1;
    memcpy(e->msg, why, n); e->msg[n] = 0; e->opt = opt; return PP_ERROR;
}
/* splitmix64: the same numbers on every host, for repeatable runs. */
static inline uint64_t pp_random(uint64_t *s)
{
    uint64_t z = (*s += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull; z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(pp_addr) == 24 && sizeof(pp_dgram) == 96 && sizeof(pp_tx) == 96 &&
               sizeof(pp_opt) == 64 && sizeof(pp_value) == 40 && sizeof(pp_ident) == 256 &&
               sizeof(pp_error) == 512 && offsetof(pp_tx, to) == 32, "polyport ABI layout");
#endif
#ifdef __cplusplus
}
#endif
#endif
