/* The smallest plugin in C. Build, from the root of the repository:
 * cc -O2 -shared -fPIC -I plugins/abi/include examples/plugins/echo-c/echo.c -o libecho_c.so */
#include "polyport_plugin.h"

static void *create(const pp_create *c, pp_error *e)
{
    (void)e;
    return (void *)c->ctx; /* no state of our own: anything but NULL */
}

static void destroy(void *self) { (void)self; }

static int32_t on_batch(void *self, pp_batch *b)
{
    (void)self;
    pp_echo_run(b, 0, b->rx_len);
    return PP_OK;
}

const pp_plugin polyport_plugin_v1 = {
    PP_PLUGIN_HEAD("echo-c", "1.0.0", "Sends every datagram back to its sender"),
    .create = create,
    .destroy = destroy,
    .on_batch = on_batch,
};
