/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the `nccl:` transport: all that moves few bytes is the inner transport's. */
#include "transport/nccl/nccl.h"

#include <string.h>

MLS_API const mls_plugin *const *mls_plugin_entry(void);

/* --- the transport of a context -------------------------------------------------------------- */

static mls_status count_devices(nccl_hall *hall)
{
    mls_status status = nccl_check_cuda(hall, hall->library.cuInit(0), "cuInit");
    if (!status)
        status = nccl_check_cuda(hall, hall->library.cuDeviceGetCount(&hall->devices),
                                 "cuDeviceGetCount");
    if (!status && hall->devices < 1)
        return hall->host->error(MLS_ENOTFOUND, "CUDA has no device here");
    return status;
}

static mls_status open_hall(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    if (host->size < offsetof(mls_plugin_host, transport) + sizeof host->transport)
        return host->error(MLS_EABI, "the library is too old to lend another transport");
    nccl_hall *hall = host->alloc(host->context, sizeof *hall);
    if (!hall)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *hall);
    *hall = (nccl_hall){.host = host};
    mls_status status = nccl_library_open(host, &hall->library);
    if (!status) {
        status = count_devices(hall);
        if (status)
            nccl_library_close(&hall->library);
    }
    if (status) {
        host->free(host->context, hall);
        return status;
    }
    *ret_self = hall;
    return MLS_OK;
}

static void close_hall(void *self)
{
    nccl_hall *hall = self;
    nccl_library_close(&hall->library);
    hall->host->free(hall->host->context, hall);
}

/* --- links ----------------------------------------------------------------------------------- */

static mls_status create(nccl_hall *hall, nccl_link **ret_link)
{
    nccl_link *link = hall->host->alloc(hall->host->context, sizeof *link);
    if (!link)
        return hall->host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                                 sizeof *link);
    *link = (nccl_link){.hall = hall};
    *ret_link = link;
    return MLS_OK;
}

static void destroy(nccl_link *link)
{
    link->hall->host->free(link->hall->host->context, link);
}

/* The part behind "nccl:" is the inner group's URL. */
static mls_status open_link(void *self, const char *config, void **ret_link)
{
    nccl_hall *hall = self;
    nccl_link *link;
    const char *rest;
    void *inner;
    mls_status status = create(hall, &link);
    if (status)
        return status;
    status = strncmp(config, "nccl:", 5) == 0
                 ? hall->host->error(MLS_EINVAL, "nccl: within nccl:; write nccl:tcp://HOST:PORT/X")
                 : hall->host->transport(hall->host->context, config, &link->ops, &inner, &rest);
    if (!status)
        status = link->ops->open_link(inner, rest, &link->inner);
    if (status) {
        destroy(link);
        return status;
    }
    *ret_link = link;
    return MLS_OK;
}

static mls_status address(void *self, void *ret_address, size_t capacity, size_t *ret_size)
{
    const nccl_link *link = self;
    return link->ops->address(link->inner, ret_address, capacity, ret_size);
}

static mls_status connect_link(void *self, const mls_transport_join *join)
{
    nccl_link *link = self;
    link->rank = join->rank;
    link->size = join->group_size;
    return link->ops->connect(link->inner, join);
}

static void leave(void *self)
{
    const nccl_link *link = self;
    link->ops->leave(link->inner);
}

static void close_link(void *self)
{
    nccl_link *link = self;
    nccl_device_close(link);
    link->ops->close_link(link->inner);
    destroy(link);
}

static mls_status give_round(void *self, const void *record, size_t size_bytes, uint64_t until_ns,
                             mls_transport_record *ret_records)
{
    const nccl_link *link = self;
    return link->ops->round(link->inner, record, size_bytes, until_ns, ret_records);
}

static mls_status post(void *self, mls_transport_message *message)
{
    const nccl_link *link = self;
    return link->ops->post(link->inner, message);
}

static mls_status wait_for(void *self, mls_transport_message *message, uint64_t until_ns)
{
    const nccl_link *link = self;
    return link->ops->wait(link->inner, message, until_ns);
}

static mls_status retract(void *self, mls_transport_message *message)
{
    const nccl_link *link = self;
    return link->ops->retract(link->inner, message);
}

static void abort_link(void *self, mls_status status, const char *reason)
{
    const nccl_link *link = self;
    link->ops->abort(link->inner, status, reason);
}

static mls_status aborted(void *self, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    const nccl_link *link = self;
    return link->ops->aborted(link->inner, ret_rank, ret_reason, capacity);
}

static void peer_of(void *self, uint32_t rank, mls_transport_peer *ret_peer)
{
    const nccl_link *link = self;
    link->ops->peer(link->inner, rank, ret_peer);
}

static mls_status split(void *self, const mls_transport_subset *subset, void **ret_link)
{
    const nccl_link *parent = self;
    nccl_link *link;
    mls_status status = create(parent->hall, &link);
    if (status)
        return status;
    link->ops = parent->ops;
    link->rank = subset->rank;
    link->size = subset->count;
    status = parent->ops->split(parent->inner, subset, &link->inner);
    if (status) {
        destroy(link);
        return status;
    }
    *ret_link = link;
    return MLS_OK;
}

static mls_status survivors(void *self, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count)
{
    const nccl_link *link = self;
    if (!MLS_HAS_OP(link->ops, mls_transport, survivors))
        return link->hall->host->error(MLS_EUNSUPPORTED, "'%s' cannot tell who is left",
                                       link->ops->plugin.name);
    return link->ops->survivors(link->inner, until_ns, ret_ranks, ret_count);
}

static const mls_transport transport = {
    .plugin =
        {
            .size = sizeof(mls_transport),
            .abi = MLS_PLUGIN_ABI,
            .kind = MLS_PLUGIN_TRANSPORT,
            .name = "nccl",
            .open = open_hall,
            .close = close_hall,
        },
    .record_bytes = MLS_TRANSPORT_RECORD_MIN, /* which every inner transport has */
    .open_link = open_link,
    .address = address,
    .connect = connect_link,
    .leave = leave,
    .close_link = close_link,
    .round = give_round,
    .post = post,
    .wait = wait_for,
    .retract = retract,
    .abort = abort_link,
    .aborted = aborted,
    .peer = peer_of,
    .split = split,
    .survivors = survivors,
    .can_run = nccl_can_run,
    .run = nccl_run,
};

const mls_plugin *const *mls_plugin_entry(void)
{
    static const mls_plugin *const plugins[] = {&transport.plugin, NULL};
    return plugins;
}
