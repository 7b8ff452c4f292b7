/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the `shm:` transport, and its instance for a context. */
#include "transport/shm/shm.h"

extern const mls_transport mls__transport_shm;

static mls_status open_hub(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    shm_hub *hub = host->alloc(host->context, sizeof *hub);
    if (!hub)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *hub);
    *hub = (shm_hub){host};
    *ret_self = hub;
    return MLS_OK;
}

/* Groups keep their context, so no link is left. */
static void close_hub(void *self)
{
    shm_hub *hub = self;
    hub->host->free(hub->host->context, hub);
}

const mls_transport mls__transport_shm = {
    .plugin =
        {
            .size = sizeof(mls_transport),
            .abi = MLS_PLUGIN_ABI,
            .kind = MLS_PLUGIN_TRANSPORT,
            .name = "shm",
            .open = open_hub,
            .close = close_hub,
        },
    .record_bytes = SHM_RECORD_BYTES,
    .open_link = shm_open_link,
    .address = shm_address,
    .connect = shm_connect,
    .leave = shm_leave,
    .close_link = shm_close_link,
    .round = shm_round,
    .post = shm_post,
    .wait = shm_wait,
    .retract = shm_retract,
    .abort = shm_abort,
    .aborted = shm_aborted,
    .peer = shm_peer,
    .split = shm_split,
    .survivors = shm_survivors,
    .read_begin = shm_read_begin,
    .read = shm_read,
    .read_end = shm_read_end,
    .allocate = shm_allocate,
    .release = shm_release,
};
