/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the transport over one MPI, and the module's entry. */
#include "transport/mpi/link.h"

#ifdef OPEN_MPI
#define OWN_SCHEME "openmpi"
#else
#define OWN_SCHEME "mpich"
#endif

MLS_API const mls_plugin *const *mls_plugin_entry(void);

/* All there is belongs to the process; a context has no more than its host. */
static mls_status open_host(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    const mls_status status = wire_world_check(host);
    if (status)
        return status;
    *ret_self = (void *) (uintptr_t) host; // NOLINT(performance-no-int-to-ptr)
    return MLS_OK;
}

static void close_host(void *self)
{
    (void) self;
}

static const mls_transport transport = {
    .plugin =
        {
            .size = sizeof(mls_transport),
            .abi = MLS_PLUGIN_ABI,
            .kind = MLS_PLUGIN_TRANSPORT,
            .name = OWN_SCHEME,
            .open = open_host,
            .close = close_host,
        },
    .record_bytes = WIRE_RECORD_BYTES,
    .open_link = wire_open_link,
    .address = wire_address,
    .connect = wire_connect,
    .leave = wire_leave,
    .close_link = wire_close_link,
    .round = wire_round,
    .post = wire_post,
    .wait = wire_wait,
    .retract = wire_retract,
    .abort = wire_abort,
    .aborted = wire_aborted,
    .peer = wire_peer_state,
    .split = wire_split,
    .can_run = wire_can_run,
    .run = wire_run,
};

const mls_plugin *const *mls_plugin_entry(void)
{
    static const mls_plugin *const plugins[] = {&transport.plugin, NULL};
    return plugins;
}
