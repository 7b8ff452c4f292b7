/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the `inproc:` transport, and its instance for a context. */
#include "transport/inproc/inproc.h"

extern const mls_transport mls__transport_inproc;

static mls_status open_hall(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    inproc_hall *hall = host->alloc(host->context, sizeof *hall);
    if (!hall)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *hall);
    *hall = (inproc_hall){.host = host};
    const mls_status status = mls__mutex_init(&hall->mutex);
    if (status) {
        host->free(host->context, hall);
        return status;
    }
    *ret_self = hall;
    return MLS_OK;
}

/* Groups keep their context, so no link is left. */
static void close_hall(void *self)
{
    inproc_hall *hall = self;
    pthread_mutex_destroy(&hall->mutex);
    hall->host->free(hall->host->context, hall);
}

static mls_status open_link(void *self, const char *config, void **ret_link)
{
    inproc_link *link;
    const mls_status status = inproc_link_create(self, config, &link);
    if (status)
        return status;
    *ret_link = link;
    return MLS_OK;
}

/* All of a process is readable. */
static const void *read_peer(void *link, uint32_t rank, uint64_t address, size_t size_bytes)
{
    (void) link;
    (void) rank;
    (void) size_bytes;
    return (const void *) (uintptr_t) address; // NOLINT(performance-no-int-to-ptr)
}

const mls_transport mls__transport_inproc = {
    .plugin =
        {
            .size = sizeof(mls_transport),
            .abi = MLS_PLUGIN_ABI,
            .kind = MLS_PLUGIN_TRANSPORT,
            .name = "inproc",
            .open = open_hall,
            .close = close_hall,
        },
    .record_bytes = INPROC_RECORD_BYTES,
    .open_link = open_link,
    .address = inproc_address,
    .connect = inproc_connect,
    .leave = inproc_leave,
    .close_link = inproc_close_link,
    .round = inproc_round,
    .post = inproc_post,
    .wait = inproc_wait,
    .retract = inproc_retract,
    .abort = inproc_abort,
    .aborted = inproc_aborted,
    .peer = inproc_peer,
    .split = inproc_split,
    .survivors = inproc_survivors,
    .read_begin = inproc_read_begin,
    .read = read_peer,
    .read_end = inproc_read_end,
};
