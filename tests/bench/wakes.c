/* How long after a thread has woken a loop its call comes. As a program it is a loop that waits for an eventfd in an epoll
 * instance, the least there is; compiled with -DPLUGIN it is a plugin, which the thread wakes. Both print percentiles.
 *
 * cc -O2 -pthread tests/bench/wakes.c -o wakes
 * cc -O2 -pthread -shared -fPIC -DPLUGIN -I plugins/abi/include tests/bench/wakes.c -o libwakes.so */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { WAKES = 20000, PAUSE_NS = 200000 };

static uint32_t samples[WAKES];
static uint64_t woken_ns;
static int seen;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what)
{
    qsort(samples, WAKES, sizeof *samples, by_size);
    printf("%s: p50 %u ns, p90 %u ns, p99 %u ns, p99.9 %u ns\n", what, samples[WAKES / 2], samples[WAKES / 10 * 9],
           samples[WAKES / 100 * 99], samples[WAKES / 1000 * 999]);
    fflush(stdout);
}

/* The loop was called. */
static void called(void)
{
    uint64_t at = now(), since = __atomic_exchange_n(&woken_ns, 0, __ATOMIC_ACQ_REL);
    if (since && seen < WAKES) samples[__atomic_fetch_add(&seen, 1, __ATOMIC_RELEASE)] = (uint32_t)(at - since);
}

static void wake(void);

/* Wakes the loop, and again when it has seen it and slept for a while. */
static void *thread(void *arg)
{
    struct timespec pause = { 0, PAUSE_NS };
    (void)arg;
    for (int n = 0; n < WAKES; n++) {
        nanosleep(&pause, NULL);
        __atomic_store_n(&woken_ns, now(), __ATOMIC_RELEASE);
        wake();
        while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) <= n) nanosleep(&pause, NULL);
    }
    return NULL;
}

#ifdef PLUGIN
#include "polyport_plugin.h"

static pp_ctx *ctx;
static const pp_host *host;
static pthread_t worker;
static int told;

static void wake(void) { pp_wake(host, ctx); }

static void *create(const pp_create *c, pp_error *e)
{
    ctx = c->ctx; host = c->host;
    if (pthread_create(&worker, NULL, thread, NULL)) { pp_refuse(e, 0, "no thread"); return NULL; }
    return (void *)c->ctx;
}

static void destroy(void *self) { (void)self; }
static int32_t on_batch(void *self, pp_batch *b) { (void)self; pp_echo_run(b, 0, b->rx_len); return PP_OK; }

static int32_t on_wake(void *self, pp_batch *b)
{
    (void)self; (void)b;
    called();
    if (seen == WAKES && !told) { told = 1; report("polyport"); }
    return PP_OK;
}

PP_EXPORT const pp_plugin polyport_plugin_v1 = {
    PP_PLUGIN_HEAD("wakes", "1.0.0", "Measures how long a wake takes"),
    .create = create, .destroy = destroy, .on_batch = on_batch, .on_wake = on_wake,
};
#else
static int event;

static void wake(void)
{
    uint64_t one = 1;
    if (write(event, &one, sizeof one) != sizeof one) abort();
}

int main(void)
{
    int poll = epoll_create1(0);
    event = eventfd(0, EFD_NONBLOCK);
    struct epoll_event wanted = { .events = EPOLLIN | EPOLLET }, got;
    pthread_t worker;
    if (poll < 0 || event < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, event, &wanted)) return 1;
    if (pthread_create(&worker, NULL, thread, NULL)) return 1;
    while (seen < WAKES)
        if (epoll_wait(poll, &got, 1, -1) == 1) called();
    pthread_join(worker, NULL);
    report("eventfd");
    return 0;
}
#endif
