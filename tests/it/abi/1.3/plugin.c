/* A plugin of ABI 1.3, kept as it is for ever: it is compiled against the header beside it and loaded by the polyport of the
 * day. It uses what 1.1, 1.2 and 1.3 brought; what 1.0 had is used by the plugin kept there. One instance serves all addresses
 * of its listener. A word says what it does; what is no such word goes back as it came.
 *
 * options  answers with its options, lists
 * made     answers with what `create` was told: addresses, '+' for a secret, and the state of the instance before
 * facts    '+' if the traffic class and the address asked are known, and the class
 * whole    comes back whole or not at all, proved, with a traffic class
 * delay    comes back when the option `wait` has passed
 * ask      is answered by a ticket, when a thread has woken the instance
 * by       is sent to its sender by the last address of the listener
 * refusal  answers why its own address would be refused
 * group    joins a group and leaves it
 * close    ends the session
 * break    breaks the instance, which leaves a state
 * relay... goes to the first address of `to`, by a session, and its answer comes back
 *
 * Macros make the plugins of a later time from it: CLAIM is the minor that it was built for, NEEDS the oldest minor that it works
 * with, LONGER has it export a table with more functions, ODD_OPTION a type of its option `odd`, NEW_BIT a bit in the flags of its
 * identity and of an option. MARKED has the library make the file that the environment names when code of it runs. */
#ifdef LONGER
#define polyport_plugin_v1 of_this_header
#include "polyport_plugin.h"
#undef polyport_plugin_v1
#else
#include "polyport_plugin.h"
#endif

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef NEW_BIT
#define NEW_BIT 0
#endif

enum {
    TO, WEIGHTS, WAIT,
#ifdef ODD_OPTION
    ODD,
#endif
    OPTIONS
};

static const pp_opt options[OPTIONS] = {
    [TO] = { .name = "to", .help = "Upstreams", .type = PP_OPT_LIST | PP_OPT_ADDR, .flags = PP_OPT_REQUIRED },
    [WEIGHTS] = { .name = "weights", .help = "Weights", .def = "1, 2", .min = 1, .max = 9, .type = PP_OPT_LIST | PP_OPT_INT },
    [WAIT] = { .name = "wait", .help = "A time", .def = "1ms", .type = PP_OPT_DURATION, .flags = NEW_BIT },
#ifdef ODD_OPTION
    [ODD] = { .name = "odd", .help = "Of a later type", .type = ODD_OPTION },
#endif
};

struct frozen {
    pp_ctx *ctx;
    const pp_host *host;
    uint64_t *words, *ended;
    pp_addr to, own;
    int64_t wait;
    uint64_t session, ticket;
    uint32_t addresses;
    pthread_t thread;
    int running;
    char shown[100], made[60];
};

static void show(struct frozen *f, const pp_value *v)
{
    size_t n = 0;
    for (uint32_t i = 0; i < v[TO].len && i < 4; i++)
        n += (size_t)snprintf(f->shown + n, sizeof f->shown - n, "%u ", v[TO].v.list[i].addr.port);
    for (uint32_t i = 0; i < v[WEIGHTS].len && i < 4; i++)
        n += (size_t)snprintf(f->shown + n, sizeof f->shown - n, "%d ", (int)v[WEIGHTS].v.list[i].v.i);
    snprintf(f->shown + n, sizeof f->shown - n, "%lld", (long long)v[WAIT].v.i);
}

static void *create(const pp_create *c, pp_error *e)
{
    struct frozen *f;
    uint8_t any = 0;
    if (c->values[TO].len < 1) { pp_refuse(e, 1 + TO, "at least one upstream"); return NULL; }
    if (!pp_reserve(c->host, c->ctx, sizeof *f)) { pp_refuse(e, 0, "no memory is granted"); return NULL; }
    f = calloc(1, sizeof *f);
    if (!f) { pp_refuse(e, 0, "out of memory"); return NULL; }
    f->ctx = c->ctx; f->host = c->host;
    f->to = c->values[TO].v.list[0].addr;
    f->wait = c->values[WAIT].v.i;
    f->addresses = pp_addresses(c);
    f->own = c->local;
    f->words = c->host->metric(c->ctx, PP_COUNTER, "words_total", "Words that it knew");
    f->ended = c->host->metric(c->ctx, PP_COUNTER, "ended_total", "Sessions that have ended");
    pp_want(c->host, c->ctx, PP_WANT_TOS | PP_WANT_LOCAL);
    for (size_t i = 0; i < sizeof c->secret; i++) any |= c->secret[i];
    snprintf(f->made, sizeof f->made, "%u %c %u %u %.*s", f->addresses, any ? '+' : '-', c->why,
        c->state ? c->state_version : 0, (int)c->state_len, c->state ? (const char *)c->state : "");
    if (PP_HAS(c, n_sessions) && c->n_sessions && c->host->session_set(c->ctx, c->sessions[0].id, PP_SET_USER, 7) == PP_OK)
        f->session = c->sessions[0].id;
    show(f, c->values);
    return f;
}

static void destroy(void *self)
{
    struct frozen *f = self;
    if (f->running) pthread_join(f->thread, NULL);
    pp_release(f->host, f->ctx, sizeof *f);
    free(f);
}

static int is(const pp_dgram *d, const char *word) { return d->len == strlen(word) && !memcmp(d->data, word, d->len); }

static void text(pp_batch *b, uint32_t i, const char *words)
{
    uint32_t n = (uint32_t)strlen(words);
    char *copy = pp_alloc(b, n);
    if (copy) { memcpy(copy, words, n); pp_reply(b, i, copy, n); }
}

static void *look_up(void *self)
{
    struct frozen *f = self;
    pp_wake(f->host, f->ctx);
    return NULL;
}

static void ask(struct frozen *f, pp_batch *b, uint32_t i)
{
    if (f->running) pthread_join(f->thread, NULL);
    f->ticket = pp_ticket(b, i, 10000000000ull);
    f->running = f->ticket && !pthread_create(&f->thread, NULL, look_up, f);
}

static void facts(pp_batch *b, uint32_t i)
{
    char words[16];
    const pp_dgram *d = &b->rx[i];
    snprintf(words, sizeof words, "%c%c %u", d->flags & PP_RX_HAS_TOS ? '+' : '-', d->flags & PP_RX_HAS_LOCAL ? '+' : '-', d->tos);
    text(b, i, words);
}

static void join(pp_batch *b, uint32_t i)
{
    pp_addr group = { .ip = { 239, 1, 2, 3 }, .family = 4 };
    const pp_host *h = b->host;
    int32_t joined = h->group(b->ctx, PP_GROUP_JOIN, &group, NULL, 0), none = h->group(b->ctx, PP_GROUP_JOIN, &b->rx[i].peer, NULL, 0);
    h->group(b->ctx, PP_GROUP_LEAVE, &group, NULL, 0);
    text(b, i, joined == PP_OK && none == PP_ERROR ? "+" : "-");
}

static int32_t on_batch(void *self, pp_batch *b)
{
    struct frozen *f = self;
    for (uint32_t i = 0; i < b->rx_len; i++) {
        pp_dgram *d = &b->rx[i];
        uint32_t known = 1;
        pp_handling(b, i);
        if (d->session) {
            if (d->user == 7) pp_to_client(b, i);
            continue;
        }
        if (is(d, "options")) {
            text(b, i, f->shown);
        } else if (is(d, "made")) {
            text(b, i, f->made);
        } else if (is(d, "facts")) {
            facts(b, i);
        } else if (is(d, "whole")) {
            if (pp_echo(b, i)) b->tx[b->tx_len - 1].tos = 0xB8;
            pp_prove(b);
            pp_dont_fragment(b);
        } else if (is(d, "delay")) {
            if (pp_echo(b, i) && !pp_delay(b, b->now_ns + (uint64_t)f->wait)) b->refused++;
        } else if (is(d, "ask")) {
            ask(f, b, i);
        } else if (is(d, "by")) {
            pp_send_by(b, f->addresses - 1, &d->peer, "by the last", 11);
        } else if (is(d, "refusal")) {
            text(b, i, b->host->refusal(b->ctx, &f->own, NULL) == PP_REFUSED_OWN_LISTENER ? "own listener" : "another");
        } else if (is(d, "group")) {
            join(b, i);
        } else if (is(d, "close")) {
            text(b, i, pp_close(b, f->session) ? "+" : "-");
        } else if (is(d, "break")) {
            return PP_FATAL;
        } else if (d->len >= 5 && !memcmp(d->data, "relay", 5)) {
            pp_session s = { .size = sizeof s, .to = f->to, .user = 7, .rx = i };
            if (!f->session) f->session = pp_open(b, &s);
            pp_to_session(b, i, f->session);
        } else {
            known = 0;
            pp_echo(b, i);
        }
        pp_count(f->words, known);
    }
    return PP_OK;
}

static int32_t on_wake(void *self, pp_batch *b)
{
    struct frozen *f = self;
    uint64_t ticket = f->ticket;
    f->ticket = 0;
    if (ticket) pp_answer(b, ticket, "woken", 5);
    return PP_OK;
}

static int32_t on_session(void *self, pp_batch *b, const pp_event *e)
{
    struct frozen *f = self;
    (void)b;
    if (e->kind != PP_EV_CLOSED) return PP_OK;
    pp_count(f->ended, 1);
    if (e->session == f->session) f->session = 0;
    return PP_OK;
}

static int64_t rescue(void *self, uint8_t *buf, uint64_t cap, uint32_t *version)
{
    (void)self;
    *version = 13;
    if (cap >= 4) memcpy(buf, "kept", 4);
    return 4;
}

#ifdef MARKED
__attribute__((constructor)) static void ran(void)
{
    const char *path = getenv("POLYPORT_TEST_MARKER");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) fclose(file);
}
#endif
#ifdef CLAIM
#undef PP_ABI_MINOR
#define PP_ABI_MINOR CLAIM
#endif

#define TABLE \
    PP_PLUGIN_HEAD_WITH("frozen-c", "1.3.0", "What 1.1 to 1.3 brought, in C", PP_F_PER_LISTENER | NEW_BIT), \
    .options = options, .n_options = OPTIONS, .create = create, .destroy = destroy, .on_batch = on_batch, \
    .on_session = on_session, .rescue = rescue, .on_wake = on_wake

/* The header's first fields are overridden: nothing else says what a plugin of a later time would. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifndef NEEDS
#define NEEDS 0
#endif
#ifdef LONGER
static void newer(void) { abort(); }
struct longer { pp_plugin known; void (*newer[8])(void); };
PP_EXPORT const struct longer polyport_plugin_v1 = {
    .known = { TABLE, .ident.min_host_minor = NEEDS, .size = sizeof(struct longer) },
    .newer = { newer, newer, newer, newer, newer, newer, newer, newer },
};
#else
PP_EXPORT const pp_plugin polyport_plugin_v1 = { TABLE, .ident.min_host_minor = NEEDS };
#endif
