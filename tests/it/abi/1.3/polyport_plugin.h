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
#define PP_ABI_MINOR 3u   /* this header; a host with a lower minor may still load you   */
#ifdef __cplusplus
#define PP_EXPORT extern __attribute__((visibility("default")))  /* a const is local in C++ */
#else
#define PP_EXPORT __attribute__((visibility("default")))
#endif
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
#define PP_RX_HAS_TOS 0x20u    /* since 1.3: tos is what it came with; without it 0 is unknown */
#define PP_VERDICT_NONE    0u  /* replied if a pp_tx names it, else consumed                 */
#define PP_VERDICT_DISCARD 1u  /* you dropped it on purpose; the host counts it so           */
typedef struct pp_dgram {     /* 96 bytes, frozen */
    uint8_t *data;             /* the host's buffer; you may overwrite data[0..cap]          */
    uint32_t len;              /* 0 is legal in UDP                                          */
    uint32_t cap;              /* == len when the buffer is shared with a neighbour (GRO)    */
    pp_addr peer;             /* who sent it                                                */
    pp_addr local;            /* where it was sent to (see PP_RX_HAS_LOCAL)                */
    uint64_t rx_ns;            /* arrival (see PP_RX_KERNEL_TIME)                            */
    uint32_t ifindex;          /* 0 = unknown                                                */
    uint8_t  tos;              /* traffic class as it came, DSCP << 2 | ECN, with
                                  PP_RX_HAS_TOS; 0 unless PP_WANT_TOS                        */
    uint8_t  flags;            /* PP_RX_*                                                   */
    uint8_t  hop_limit;        /* 0 = unknown                                                */
    uint8_t  verdict;          /* PP_VERDICT_*: 0 when you get it                            */
    uint64_t session;          /* since 1.3; 0: it came to the listener. Else by the socket of this
                                  session, and peer is who sent it there                     */
    uint64_t user;             /* since 1.3; the session's word (pp_session.user), else 0    */
} pp_dgram;

/* ---- one datagram to send ------------------------------------------------------------- */
#define PP_TX_TO   0x01u      /* .to is set;   otherwise: to the sender of rx[.rx]          */
#define PP_TX_FROM 0x02u      /* .from is set; otherwise: from the address rx[.rx] was sent
                                  to (the host picks a unicast one for multicast/broadcast)  */
/* Since ABI 1.3, for who has session_open; see the table in ABI.md. */
#define PP_TX_SESSION 0x04u   /* by the socket of .session, to its upstream, or to .to if it has none */
#define PP_TX_CLIENT  0x08u   /* by the listener's socket, to the client of the session rx[.rx] came
                                  by (with PP_TX_SESSION: of .session), from the address that
                                  client had asked                                           */
/* Since ABI 1.1; a host with a lower minor refuses the entry, so ask b->host->abi_minor first, as
   pp_prove does. */
#define PP_TX_PROVED 0x10u    /* you have proved that the receiver owns the address, or chose
                                  it yourself: the budget of the listener does not count it  */
/* Since ABI 1.2; ask b->host->abi_minor, as pp_dont_fragment does. */
#define PP_TX_DF   0x20u      /* leaves whole or not at all: DF over IPv4, no fragments made
                                  here over IPv6                                             */
/* Since ABI 1.3, for plugins with PP_F_PER_LISTENER; use pp_send_by, which asks the host. */
#define PP_TX_ADDRESS 0x40u   /* leaves by the socket of addresses[.address] of pp_create; otherwise
                                  by that of the address that the call is about (pp_batch.address) */
#define PP_NO_RX   0xFFFFFFFFu
typedef struct pp_tx {        /* 96 bytes, frozen; a reply writes only the first 32         */
    const uint8_t *data;       /* NULL: the bytes of rx[.rx] as they are when you return.
                                  Else: rx buffer, arena, or instance memory that stays
                                  unchanged until the next call into this instance           */
    uint32_t len;
    uint32_t rx;               /* index into batch->rx, what `answer` gave, or PP_NO_RX      */
    uint64_t at_ns;            /* 0 = now; else not before this moment (host copies and owns)*/
    uint32_t segment;          /* 0 = one datagram; else split every `segment` bytes (GSO)   */
    uint8_t  tos;              /* 0: the socket's own; else TOS or traffic class to send with:
                                  DSCP << 2 | ECN (a host before 1.3 sends the two ECN bits)  */
    uint8_t  flags;            /* PP_TX_*; others zero                                      */
    uint16_t run;              /* so many more: rx[.rx+1] ..= rx[.rx+run] go the same way,
                                  each whole; needs data NULL, segment 0, rx[.rx] whole      */
    pp_addr to;
    pp_addr from;
    uint64_t session;          /* with PP_TX_SESSION                                         */
    uint32_t address;          /* with PP_TX_ADDRESS                                         */
    uint32_t reserved;
} pp_tx;

/* ---- sessions: sockets beside the listener's that belong to the instance; since 1.3 ------- */
#define PP_SESSION_IDLE_RX 0x1u /* only what comes in by it counts against idle_ns             */
#define PP_SESSION_DF      0x2u /* never fragment: what is too long is dropped and told        */
#define PP_SESSION_TOS     0x4u /* fill pp_dgram.tos                                           */
typedef struct pp_session {   /* what it shall be; grows at its end */
    uint32_t size, flags;      /* PP_SESSION_*                                               */
    pp_addr  to;               /* it is connected to it; family 0: to nobody, and anybody may
                                  send to the socket                                         */
    pp_addr  from;             /* where it is bound; family 0, port 0: the system's choice   */
    uint64_t user;             /* comes back in pp_dgram.user: index your own table with it  */
    uint64_t idle_ns;          /* it ends after so long without a datagram; 0: never         */
    uint32_t rx;               /* its client is the sender of rx[.rx]; PP_NO_RX: it has none */
    uint32_t recv_buffer, send_buffer;  /* bytes; 0: what the system gives                   */
    uint32_t reserved;
} pp_session;
typedef struct pp_session_info {   /* in pp_create: a session of the instance before */
    uint32_t size, flags;
    uint64_t id, user, opened_ns, heard_ns;
    pp_addr  client, upstream, local;
} pp_session_info;
#define PP_EV_CLOSED 1u       /* once for each id; reason is PP_END_*                        */
#define PP_EV_ERROR  2u       /* the session goes on; reason is PP_NET_*                     */
#define PP_END_ASKED        1u /* session_close                                              */
#define PP_END_IDLE         2u
#define PP_END_NO_PORT      3u /* the ports of the source address are used up                */
#define PP_END_NO_FILE      4u /* the process or the system has no descriptor or memory left */
#define PP_END_LIMIT        5u /* more than the configuration allows                         */
#define PP_END_REFUSED_ADDR 6u /* the system or the host does not send there, or from there  */
#define PP_END_BROKEN       7u /* the socket is unusable                                     */
#define PP_END_RESTART      8u /* the next instance did not keep it                          */
#define PP_NET_REFUSED     1u  /* nobody listens there (ECONNREFUSED)                        */
#define PP_NET_UNREACHABLE 2u
#define PP_NET_TOO_BIG     3u  /* longer than the path takes; see mtu                        */
#define PP_NET_FORBIDDEN   4u
#define PP_NET_OTHER       5u
typedef struct pp_event {
    uint32_t size, kind;       /* PP_EV_*                                                    */
    uint64_t session, user;
    uint32_t reason;
    uint32_t count;            /* PP_EV_ERROR: so many since the last one of this kind       */
    uint32_t mtu;              /* PP_NET_TOO_BIG: bytes of the path with headers; 0 unknown  */
    int32_t  err;              /* the errno behind it, or 0                                  */
    pp_addr  reporter;         /* router or host that said so; family 0: this host           */
    uint64_t opened_ns;        /* 0: it never was                                            */
    uint64_t up_datagrams, up_bytes, down_datagrams, down_bytes;  /* sent, received so far   */
    uint64_t dropped;          /* what was to leave by it and did not                        */
    pp_addr  client, upstream, local;
} pp_event;
#define PP_SET_USER   1u      /* value = word; in create: keeps a session of the instance before */
#define PP_SET_IDLE   2u      /* value = ns                                                  */
#define PP_SET_CLIENT 3u      /* value = rx: its client is now the sender of that datagram   */

/* ---- host services -------------------------------------------------------------------- */
typedef struct pp_ctx pp_ctx;        /* the host's handle for this instance               */
typedef struct pp_batch pp_batch;
#define PP_LOG_ERROR 1
#define PP_LOG_WARN  2
#define PP_LOG_INFO  3
#define PP_LOG_DEBUG 4
#define PP_LOG_TRACE 5
#define PP_WANT_TOS   1u      /* pp_dgram.tos                                              */
#define PP_WANT_HOPS  2u      /* pp_dgram.hop_limit                                        */
#define PP_WANT_LOCAL 4u      /* pp_dgram.local with PP_RX_HAS_LOCAL, and .ifindex         */
#define PP_WANT_TIME  8u      /* pp_dgram.rx_ns with PP_RX_KERNEL_TIME                     */
#define PP_WANT_LONE_TIME 16u /* the same, but only of what came alone: trains stay trains */
#define PP_TICKET_AGE_NS 60000000000 /* longest age of a ticket                              */
#define PP_REFUSED_OWN_LISTENER 1 /* a listener of this host would get it                    */
#define PP_REFUSED_GROUP        2 /* a group or a broadcast address, and the policy forbids it */
#define PP_REFUSED_LOOP_PORT    3 /* a service that answers anything                         */
#define PP_REFUSED_SAME_PORT    4 /* the port of the listener itself                         */
#define PP_REFUSED_DESTINATION  5 /* no address that its socket can send to                  */
#define PP_REFUSED_SOURCE       6 /* the port of `from` is not the listener's                */
#define PP_GROUP_LEAVE 0u
#define PP_GROUP_JOIN  1u
#define PP_COUNTER 1u
#define PP_GAUGE   2u
typedef struct pp_host {
    uint32_t    size;
    uint32_t    abi_minor;
    const char *name;          /* "polyport"  */
    const char *version;       /* "0.4.1"   */
    /* [any thread] One line, no newline. Rate-limited per instance by the host. */
    void      (*log)(pp_ctx *, int32_t level, const char *msg, size_t len);
    /* [create only] Returns the cell to add to or set, never NULL, valid as long as the process
     * (before 1.3: until destroy).
     * `name` is snake_case with a unit ("dropped_total"). The same name gives the same cell
     * again after a reload, so counters do not jump back to zero. */
    uint64_t *(*metric)(pp_ctx *, uint32_t kind, const char *name, const char *help);
    /* [instance thread] Calls on_timer(token) at at_ns, then every every_ns if not 0.
     * The same token again moves the timer; at_ns == 0 cancels it. All are cancelled by
     * destroy. It fires in the first turn of the event loop that begins at at_ns or later. */
    int32_t   (*timer)(pp_ctx *, uint64_t token, uint64_t at_ns, uint64_t every_ns);
    /* [in on_batch/on_timer] Takes what is queued, empties tx and hands out a fresh arena; not
     * PP_OK when the call has used up its share. What was queued leaves when the call returns
     * PP_OK or PP_ERROR. Arena memory handed out before stays valid until then. */
    int32_t   (*flush)(pp_ctx *, pp_batch *);
    /* [any thread] Optional interfaces by name, e.g. "polyport.wake/1"; NULL when absent. */
    const void *(*extension)(pp_ctx *, const char *id);
    /* Since 1.1. [first in create, then any thread] Asks for `bytes` more that the instance may
     * keep beyond a call: PP_OK grants them, PP_ERROR does not. The first call belongs in create,
     * with 0 bytes if need be; without it the answer is PP_UNSUPPORTED. All of it goes back to
     * the host after destroy. Use pp_reserve and pp_release, which ask PP_HAS. */
    int32_t   (*reserve)(pp_ctx *, uint64_t bytes);
    /* Since 1.1. [any thread] Gives back `bytes` of what was granted. */
    void      (*release)(pp_ctx *, uint64_t bytes);
    /* Since 1.2. [create only] Facts to fill in for each datagram of the listener, PP_WANT_*;
     * returns those that will be. Each costs something a datagram, so ask for what you use, by
     * pp_want, which asks PP_HAS. */
    uint32_t  (*want)(pp_ctx *, uint32_t facts);
    /* Since 1.3, the next three, for plugins with on_session. [in a call with a batch] Reserves an
     * id, never 0; 0: not now, or not so. The socket is made when the call has returned, before its
     * entries are sent; what goes wrong then is told by on_session. */
    uint64_t  (*session_open)(pp_ctx *, const pp_session *);
    /* [in a call with a batch] What this call queued for it still leaves. */
    int32_t   (*session_close)(pp_ctx *, uint64_t session);
    /* [in a call with a batch; PP_SET_USER in create, too] PP_SET_*. */
    int32_t   (*session_set)(pp_ctx *, uint64_t session, uint32_t what, uint64_t value);
    /* Since 1.3. [any thread, at any time] on_wake is called soon, once however often this was called
     * before it. PP_ERROR when the instance is gone, for ever after, unless a later one of the same
     * listener has its place and is woken: a late thread harms nobody. PP_UNSUPPORTED without on_wake. */
    int32_t   (*wake)(pp_ctx *);
    /* Since 1.3. [in on_batch] A ticket for rx[rx]: the right to answer it in a later call, for
     * age_ns, at most PP_TICKET_AGE_NS; 0 is that long. 0: there is none to be had. */
    uint64_t  (*ticket)(pp_ctx *, uint32_t rx, uint64_t age_ns);
    /* Since 1.3. [in a call with a batch] Uses a ticket: *rx is what stands for its datagram in pp_tx.rx
     * until the call returns. PP_ERROR: too old, used in an earlier call, or none of this instance's.
     * Use pp_ticket and pp_answer, which ask PP_HAS. */
    int32_t   (*answer)(pp_ctx *, uint64_t ticket, uint32_t *rx);
    /* Since 1.3. [instance thread] The listener's socket joins or leaves (PP_GROUP_*) a multicast group,
     * when the call has returned; a failure is logged and counted. source NULL or family 0: any;
     * ifindex 0: the interface that the system chooses. */
    int32_t   (*group)(pp_ctx *, uint32_t op, const pp_addr *group, const pp_addr *source, uint32_t ifindex);
    /* Since 1.3. [in a call with a batch] Why what goes to `to` will not leave by the listener's socket,
     * PP_REFUSED_*; PP_OK: nothing is known against it yet. `from` NULL or family 0: from where the
     * system likes. The host drops and counts such an entry with or without the question. */
    int32_t   (*refusal)(pp_ctx *, const pp_addr *to, const pp_addr *from);
} pp_host;

/* ---- one call's worth of work --------------------------------------------------------- */
struct pp_batch {
    uint32_t   size;
    uint32_t   rx_len;         /* 0 in on_timer                                              */
    pp_dgram *rx;
    pp_tx    *tx;             /* write tx[tx_len], then tx_len++                            */
    uint32_t   tx_len, tx_cap;
    uint8_t   *arena;          /* scratch for building payloads without copying; the host    */
    uint32_t   arena_len, arena_cap;   /* keeps it alive until the datagrams have left; what
                                  you take is zero (since 1.3); count it in arena_len        */
    uint64_t   now_ns;
    int64_t    wall_offset_ns; /* now_ns + wall_offset_ns = Unix time in ns                  */
    pp_ctx   *ctx;
    const pp_host *host;
    uint32_t   max_payload;    /* largest payload this socket can send in one datagram       */
    uint32_t   log_level;      /* highest level that is kept                                 */
    uint32_t   refused;        /* datagrams that found no room: you count up, the host reads */
    /* Since 1.2. How many more datagrams, and payload bytes of theirs, find room to leave later
     * (at_ns): count them down as you queue such entries. What goes beyond is dropped and counted by
     * the host, unless others give way to it. Use pp_delay, which asks PP_HAS. */
    uint32_t   delay_datagrams;
    uint64_t   delay_bytes;
    /* Since 1.3. 1 + index of the rx[] you work on; 0 = none, or you do not say. If the call breaks the
     * instance, the host reads which datagram did it: it is named in the log, and those behind it
     * go to the next instance. Use pp_handling, which asks PP_HAS. */
    uint32_t   handling;
    /* Since 1.3. The address that the call is about, index into pp_create.addresses: the one that rx came to,
     * or the session's; in on_timer the first that is served. 0 if the instance has only one. */
    uint32_t   address;
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
#define PP_OPT_LIST 0x100u    /* PP_OPT_LIST | PP_OPT_ADDR: a list of addresses; not of JSON (since 1.2) */
#define PP_OPT_REQUIRED 0x1u
#define PP_OPT_SECRET   0x2u  /* never printed                                             */
#define PP_OPT_READS    0x4u  /* text: a file or directory it reads; the host lets it      */
#define PP_OPT_WRITES   0x8u  /* text: a file it makes; the host lets it write beside it   */
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
    uint32_t len;              /* of str, or elements of list                                */
    union { int64_t i; double f; const char *str; const struct pp_value *list; } v;
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
    uint8_t    secret[32];    /* since 1.1: from the operating system, for keys and secrets;
                                  the seed may be known to others                            */
    const pp_session_info *sessions;  /* since 1.3: those of the instance before; each that is
                                  not kept (session_set, PP_SET_USER) ends with create       */
    uint32_t n_sessions, session_stride;   /* how many, and bytes from one to the next       */
    /* Since 1.3: the bound addresses that the instance serves, the first of which is local. One, unless
     * the plugin has PP_F_PER_LISTENER. Their indices are those of pp_batch and pp_tx. */
    const pp_addr *addresses;
    uint32_t n_addresses, reserved;
} pp_create;

/* ---- what the library exports ---------------------------------------------------------- */
#define PP_F_PANIC_ABORT 0x1u /* a panic would stop the daemon: the host warns or refuses   */
#define PP_F_DEBUG       0x2u /* unoptimised build                                          */
#define PP_F_PER_LISTENER 0x4u /* since 1.3: one instance for all addresses of a listener, instead of one
                                  for each; a host before 1.3 makes one for each all the same      */
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
    int32_t (*on_session)(void *self, pp_batch *, const pp_event *);   /* since 1.3; no rx  */
    /* Since 1.3. As save, of an instance that broke: called before destroy, and nothing else is.
     * What it writes goes to create of the next one. May be the same function as save. */
    int64_t (*rescue)(void *self, uint8_t *buf, uint64_t cap, uint32_t *version);
    int32_t (*on_wake)(void *self, pp_batch *);   /* since 1.3: somebody called wake; no rx */
} pp_plugin;

#define PP_PLUGIN_HEAD(NAME, VERSION, ABOUT) PP_PLUGIN_HEAD_WITH(NAME, VERSION, ABOUT, 0)
/* The same with flags of the identity, PP_F_*. */
#define PP_PLUGIN_HEAD_WITH(NAME, VERSION, ABOUT, FLAGS) \
    .ident = { .magic = {'P','O','L','Y','P','O','R','T','-','P','L','U','G','I','N','1'}, \
        .abi_major = PP_ABI_MAJOR, .abi_minor = PP_ABI_MINOR, .min_host_minor = 0, .ident_size = 256, \
        .layout = PP_LAYOUT, .flags = FLAGS, .name = NAME, .version = VERSION, .toolchain = "C", \
        .about = ABOUT }, .size = sizeof(pp_plugin)

#ifdef __cplusplus
PP_EXPORT const pp_plugin polyport_plugin_v1;
#else
extern PP_EXPORT const pp_plugin polyport_plugin_v1;
#endif

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
    t->segment = 0; t->tos = 0; t->flags = 0; t->run = 0;
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
/* Sends rx[i] by the socket of a session, to its upstream. Copies nothing; a host before 1.3 refuses it. */
static inline int pp_to_session(pp_batch *b, uint32_t i, uint64_t session)
{
    if (!pp_echo(b, i)) return 0;
    b->tx[b->tx_len - 1].flags = PP_TX_SESSION;
    b->tx[b->tx_len - 1].session = session;
    return 1;
}
/* Sends rx[i], which came by a session, to the client of that session. */
static inline int pp_to_client(pp_batch *b, uint32_t i)
{
    if (!pp_echo(b, i)) return 0;
    b->tx[b->tx_len - 1].flags = PP_TX_CLIENT;
    return 1;
}
/* As the two above for rx[i] .. rx[i+n-1], n up to 65,536: a train leaves as the one message it came in. */
static inline int pp_to_session_run(pp_batch *b, uint32_t i, uint32_t n, uint64_t session)
{
    if (n == 0 || !pp_to_session(b, i, session)) return n == 0;
    b->tx[b->tx_len - 1].run = (uint16_t)(n - 1);
    return 1;
}
static inline int pp_to_client_run(pp_batch *b, uint32_t i, uint32_t n)
{
    if (n == 0 || !pp_to_client(b, i)) return n == 0;
    b->tx[b->tx_len - 1].run = (uint16_t)(n - 1);
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
    t->segment = 0; t->tos = 0; t->flags = PP_TX_TO; t->run = 0; t->to = *to;
    return 1;
}
/* Sends `len` bytes to `to` by the socket of addresses[address], for plugins with PP_F_PER_LISTENER. A host before 1.3 made
 * an instance for each address: there is no other then. */
static inline int pp_send_by(pp_batch *b, uint32_t address, const pp_addr *to, const void *data, uint32_t len)
{
    if (!pp_send(b, to, data, len)) return 0;
    if (PP_HAS(b, address) && b->host->abi_minor >= 3) {
        b->tx[b->tx_len - 1].flags |= PP_TX_ADDRESS;
        b->tx[b->tx_len - 1].address = address;
    }
    return 1;
}
/* The address that the call is about; 0 of a host before 1.3, which made an instance for each. */
static inline uint32_t pp_address(const pp_batch *b) { return PP_HAS(b, address) ? b->address : 0; }
/* How many addresses an instance serves. */
static inline uint32_t pp_addresses(const pp_create *c) { return PP_HAS(c, n_addresses) ? c->n_addresses : 1; }
/* May the instance keep `bytes` more beyond a call? A host older than 1.1 has no budget: it may. */
static inline int pp_reserve(const pp_host *h, pp_ctx *c, uint64_t bytes)
{
    return !PP_HAS(h, reserve) || h->reserve(c, bytes) == PP_OK;
}
static inline void pp_release(const pp_host *h, pp_ctx *c, uint64_t bytes)
{
    if (PP_HAS(h, release)) h->release(c, bytes);
}
/* Call it in create: from then on these facts (PP_WANT_*) are told. Returns those that are; an older
   host tells none for the asking. */
static inline uint32_t pp_want(const pp_host *h, pp_ctx *c, uint32_t facts)
{
    return PP_HAS(h, want) ? h->want(c, facts) : 0;
}
/* Opens a session; 0 where the host is older than 1.3, too. */
static inline uint64_t pp_open(pp_batch *b, const pp_session *s)
{
    return PP_HAS(b->host, session_open) ? b->host->session_open(b->ctx, s) : 0;
}
static inline int pp_close(pp_batch *b, uint64_t session)
{
    return PP_HAS(b->host, session_close) && b->host->session_close(b->ctx, session) == PP_OK;
}
/* Lets the entry that was just queued, of one datagram, leave at at_ns, and says whether it finds room till then, as far
 * as the host can tell; a host older than 1.2 does not. False as well where nothing is queued. */
static inline int pp_delay(pp_batch *b, uint64_t at_ns)
{
    if (!b->tx_len) return 0;
    pp_tx *t = &b->tx[b->tx_len - 1];
    t->at_ns = at_ns;
    if (at_ns <= b->now_ns || !PP_HAS(b, delay_bytes)) return 1;
    if (b->delay_datagrams < 1 || b->delay_bytes < t->len) return 0;
    b->delay_datagrams -= 1; b->delay_bytes -= t->len;
    return 1;
}
/* Wakes the instance from any thread; a host older than 1.3 cannot. `h` and `c` as create got them. */
static inline int pp_wake(const pp_host *h, pp_ctx *c) { return PP_HAS(h, wake) && h->wake(c) == PP_OK; }
/* A ticket to answer rx[i] in a later call, or 0; a host older than 1.3 has none. */
static inline uint64_t pp_ticket(pp_batch *b, uint32_t i, uint64_t age_ns)
{
    return PP_HAS(b->host, ticket) ? b->host->ticket(b->ctx, i, age_ns) : 0;
}
/* Answers the datagram of a ticket with `len` bytes at `data`, which live as those of pp_reply; false if the ticket is
 * no longer good. */
static inline int pp_answer(pp_batch *b, uint64_t ticket, const void *data, uint32_t len)
{
    uint32_t rx;
    return PP_HAS(b->host, answer) && b->host->answer(b->ctx, ticket, &rx) == PP_OK && pp_reply(b, rx, data, len);
}
/* Says of the entry that was just queued that its receiver has proved the address. */
static inline void pp_prove(pp_batch *b)
{
    if (b->tx_len && b->host->abi_minor >= 1) b->tx[b->tx_len - 1].flags |= PP_TX_PROVED;
}
/* Has the entry that was just queued leave whole or not at all; a host older than 1.2 may cut it. */
static inline void pp_dont_fragment(pp_batch *b)
{
    if (b->tx_len && b->host->abi_minor >= 2) b->tx[b->tx_len - 1].flags |= PP_TX_DF;
}
/* Says that you work on rx[i] from now on; a host older than 1.3 is not told. */
static inline void pp_handling(pp_batch *b, uint32_t i) { if (PP_HAS(b, handling)) b->handling = i + 1; }
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
