/* A plugin of ABI 1.0, kept as it is for ever: it is compiled against the header beside it and loaded by the polyport of the
 * day. It uses all that 1.0 had. A word says what it does; what is no such word goes back as it came.
 *
 * options  answers with its options, one of each type
 * later    comes back when the option `wait` has passed
 * timer    is answered by a timer
 * send     is sent to its sender by its address, not as an answer
 * flush    comes back twice, with a flush between
 * drop     is dropped on purpose
 * log      writes a line
 * why      answers why this instance was made, and 'L' behind it if it knows its listener and address
 * error    comes back, and the call fails
 * break    breaks the instance */
#include "polyport_plugin.h"

#include <stdio.h>
#include <stdlib.h>

enum { ON, COUNT, FACTOR, PART, WAIT, ROOM, TEXT, COLOUR, PEER, MORE, KEY, OPTIONS };

static const pp_opt options[OPTIONS] = {
    [ON] = { .name = "on", .help = "On or off", .def = "true", .type = PP_OPT_BOOL },
    [COUNT] = { .name = "count", .help = "How many", .def = "7", .min = 1, .max = 9, .type = PP_OPT_INT },
    [FACTOR] = { .name = "factor", .help = "A number", .def = "0.5", .type = PP_OPT_FLOAT },
    [PART] = { .name = "part", .help = "A part", .def = "25%", .type = PP_OPT_RATIO },
    [WAIT] = { .name = "wait", .help = "A time", .def = "1ms", .type = PP_OPT_DURATION },
    [ROOM] = { .name = "room", .help = "A size", .def = "64KiB", .type = PP_OPT_SIZE },
    [TEXT] = { .name = "text", .help = "A text", .def = "none", .type = PP_OPT_STRING },
    [COLOUR] = { .name = "colour", .help = "A word", .def = "red", .choices = "red|blue", .type = PP_OPT_ENUM },
    [PEER] = { .name = "peer", .help = "An address", .type = PP_OPT_ADDR },
    [MORE] = { .name = "more", .help = "Anything", .type = PP_OPT_JSON },
    [KEY] = { .name = "key", .help = "A secret", .type = PP_OPT_STRING, .flags = PP_OPT_SECRET },
};

struct frozen {
    pp_ctx *ctx;
    const pp_host *host;
    uint64_t *words, *longest;
    int64_t wait;
    uint32_t why, knows;
    pp_addr waiting;
    uint32_t saved;
    char shown[400];
};

static void show(struct frozen *f, const pp_value *v)
{
    snprintf(f->shown, sizeof f->shown, "%lld %lld %g %g %lld %lld %.*s %lld %u:%u.%u %.*s %u",
        (long long)v[ON].v.i, (long long)v[COUNT].v.i, v[FACTOR].v.f, v[PART].v.f, (long long)v[WAIT].v.i,
        (long long)v[ROOM].v.i, (int)v[TEXT].len, v[TEXT].v.str, (long long)v[COLOUR].v.i, v[PEER].type ? v[PEER].addr.port : 0,
        v[PEER].addr.ip[0], v[PEER].addr.ip[3], (int)v[MORE].len, v[MORE].type ? v[MORE].v.str : "", v[KEY].len);
    f->wait = v[WAIT].v.i;
}

static int32_t check(const pp_value *v, uint32_t n, pp_error *e)
{
    if (n != OPTIONS) return pp_refuse(e, 0, "another number of options");
    if (v[COUNT].v.i > v[ROOM].v.i) return pp_refuse(e, 1 + COUNT, "more than there is room for");
    return PP_OK;
}

static void *create(const pp_create *c, pp_error *e)
{
    struct frozen *f;
    if (check(c->values, c->n_values, e) != PP_OK) return NULL;
    f = calloc(1, sizeof *f);
    if (!f) { pp_refuse(e, 0, "out of memory"); return NULL; }
    f->ctx = c->ctx; f->host = c->host; f->why = c->why;
    f->knows = c->size >= sizeof *c && strlen(c->listener) && c->local.port && c->now_ns && c->host->abi_minor < 1000;
    f->words = c->host->metric(c->ctx, PP_COUNTER, "words_total", "Words that it knew");
    f->longest = c->host->metric(c->ctx, PP_GAUGE, "longest_bytes", "Longest datagram");
    show(f, c->values);
    return f;
}

static void destroy(void *self) { free(self); }

static int is(const pp_dgram *d, const char *word) { return d->len == strlen(word) && !memcmp(d->data, word, d->len); }

static void text(pp_batch *b, uint32_t i, const char *words)
{
    uint32_t n = (uint32_t)strlen(words);
    char *copy = pp_alloc(b, n);
    if (copy) { memcpy(copy, words, n); pp_reply(b, i, copy, n); }
}

static int32_t on_batch(void *self, pp_batch *b)
{
    struct frozen *f = self;
    int32_t result = PP_OK;
    for (uint32_t i = 0; i < b->rx_len; i++) {
        pp_dgram *d = &b->rx[i];
        uint32_t known = 1;
        if (d->len > *f->longest) *f->longest = d->len;
        if (is(d, "options")) {
            text(b, i, f->shown);
        } else if (is(d, "later")) {
            if (pp_echo(b, i)) b->tx[b->tx_len - 1].at_ns = b->now_ns + (uint64_t)f->wait;
        } else if (is(d, "timer")) {
            f->waiting = d->peer;
            f->host->timer(f->ctx, 42, b->now_ns + 1000000, 0);
        } else if (is(d, "send")) {
            pp_send(b, &d->peer, "sent", 4);
        } else if (is(d, "flush")) {
            pp_echo(b, i);
            if (b->host->flush(b->ctx, b) == PP_OK) pp_echo(b, i);
        } else if (is(d, "drop")) {
            pp_discard(b, i);
        } else if (is(d, "log")) {
            if (b->log_level >= PP_LOG_INFO) f->host->log(f->ctx, PP_LOG_INFO, "a line of 1.0", 13);
        } else if (is(d, "why")) {
            char words[] = { (char)('0' + f->why), f->knows ? 'L' : '-', 0 };
            text(b, i, words);
        } else if (is(d, "error")) {
            pp_echo(b, i);
            result = PP_ERROR;
        } else if (is(d, "break")) {
            return PP_FATAL;
        } else {
            known = 0;
            pp_echo(b, i);
        }
        pp_count(f->words, known);
    }
    return result;
}

static int32_t on_timer(void *self, pp_batch *b, uint64_t token)
{
    struct frozen *f = self;
    if (token == 42 && !b->rx_len) pp_send(b, &f->waiting, "timer", 5);
    return PP_OK;
}

static int32_t reconfigure(void *self, const pp_value *v, uint32_t n, pp_error *e)
{
    if (check(v, n, e) != PP_OK) return PP_ERROR;
    show(self, v);
    return PP_OK;
}

static int64_t save(void *self, uint8_t *buf, uint64_t cap, uint32_t *version)
{
    struct frozen *f = self;
    *version = 1;
    if (cap >= sizeof f->saved) memcpy(buf, &f->saved, sizeof f->saved);
    return sizeof f->saved;
}

PP_EXPORT const pp_plugin polyport_plugin_v1 = {
    PP_PLUGIN_HEAD("frozen-c", "1.0.0", "All of ABI 1.0, in C"),
    .options = options, .n_options = OPTIONS,
    .create = create, .destroy = destroy, .on_batch = on_batch,
    .on_timer = on_timer, .check = check, .reconfigure = reconfigure, .save = save,
};
