/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GPU for each rank: the one of its number among the ranks of its host, as launchers say, or
 * of its rank. The communicator does not block, so that a rank that never comes can be given up.
 */
#include "transport/nccl/nccl.h"

#include <stdlib.h>
#include <time.h>

/* The library's own exchanges have 2^63. */
#define ID_TAG ((UINT64_C(1) << 63) + 1)

/* --- waiting --------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

/* Whether the group has ended meanwhile, of which NCCL knows nothing. */
static mls_status look_at_group(const nccl_link *link)
{
    uint32_t rank;
    char reason[8];
    if (link->ops->aborted(link->inner, &rank, reason, sizeof reason) != MLS_ENOTFOUND)
        return MLS_ECANCELLED;
    for (uint32_t i = 0; i < link->size; i++) {
        mls_transport_peer peer = {.size = sizeof peer};
        link->ops->peer(link->inner, i, &peer);
        if (peer.state == MLS_PEER_DEAD)
            return MLS_EPEER;
    }
    return MLS_OK;
}

/* Sleeps for as long again as it has already, up to a millisecond. */
mls_status nccl_rest(const nccl_link *link, uint64_t until_ns, uint32_t *rests)
{
    nccl_result state = NCCL_SUCCESS;
    mls_status status = look_at_group(link);
    if (!status && link->comm) {
        status =
            nccl_check(link->hall, link->hall->library.ncclCommGetAsyncError(link->comm, &state),
                       "ncclCommGetAsyncError");
        if (!status)
            status = nccl_check(link->hall, state, "the communicator");
    }
    if (status)
        return status;
    if (now_ns() >= until_ns)
        return MLS_EDEADLINE;
    const long sleep_ns = 5000l << (*rests < 8 ? *rests : 8);
    ++*rests;
    nanosleep(&(struct timespec){0, sleep_ns < 1000000 ? sleep_ns : 1000000}, NULL);
    return MLS_OK;
}

/* --- the id of the communicator -------------------------------------------------------------- */

static mls_status pass(nccl_link *link, uint32_t kind, uint32_t peer, nccl_id *id,
                       uint64_t until_ns)
{
    static const char head[] = "nccl id";
    mls_transport_message message = {
        .size = sizeof message,
        .kind = kind,
        .peer = peer,
        .tag = ID_TAG,
        .data = id,
        .size_bytes = sizeof *id,
        .head = head,
        .head_bytes = sizeof head,
    };
    mls_status status = link->ops->post(link->inner, &message);
    if (status)
        return status;
    status = link->ops->wait(link->inner, &message, until_ns);
    if (status)
        link->ops->retract(link->inner, &message);
    return status == MLS_ETIMEDOUT ? MLS_EDEADLINE : status;
}

/* Rank 0 tells all others. */
static mls_status agree(nccl_link *link, uint64_t until_ns, nccl_id *ret_id)
{
    if (link->rank)
        return pass(link, MLS_MESSAGE_RECEIVE, 0, ret_id, until_ns);
    mls_status status =
        nccl_check(link->hall, link->hall->library.ncclGetUniqueId(ret_id), "ncclGetUniqueId");
    for (uint32_t i = 1; !status && i < link->size; i++)
        status = pass(link, MLS_MESSAGE_SEND, i, ret_id, until_ns);
    return status;
}

/* --- the device ------------------------------------------------------------------------------ */

static int choose_device(const nccl_link *link)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                        "SLURM_LOCALID", NULL};
    for (size_t i = 0; names[i]; i++) {
        const char *text = getenv(names[i]);
        const int local = text ? atoi(text) : -1;
        if (local >= 0)
            return local % link->hall->devices;
    }
    return (int) (link->rank % (uint32_t) link->hall->devices);
}

static mls_status open_device(nccl_link *link)
{
    const nccl_hall *hall = link->hall;
    const nccl_library *l = &hall->library;
    mls_status status =
        nccl_check_cuda(hall, l->cuDeviceGet(&link->device, choose_device(link)), "cuDeviceGet");
    if (!status)
        status = nccl_check_cuda(hall, l->cuDevicePrimaryCtxRetain(&link->context, link->device),
                                 "cuDevicePrimaryCtxRetain");
    link->has_device = !status;
    if (!status)
        status = nccl_check_cuda(hall, l->cuCtxPushCurrent(link->context), "cuCtxPushCurrent");
    if (status)
        return status;
    status = nccl_check_cuda(hall, l->cuStreamCreate(&link->stream, CUDA_STREAM_NON_BLOCKING),
                             "cuStreamCreate");
    for (int i = 0; !status && i < 2; i++) {
        void *pinned;
        status =
            nccl_check_cuda(hall, l->cuMemAllocHost(&pinned, NCCL_STAGE_BYTES), "cuMemAllocHost");
        if (status)
            break;
        link->pinned[i] = pinned;
        status = nccl_check_cuda(hall, l->cuMemAlloc(&link->on_device[i], NCCL_STAGE_BYTES),
                                 "cuMemAlloc");
    }
    cuda_context own;
    l->cuCtxPopCurrent(&own);
    return status;
}

/* The communicator is there once it is no longer in progress. */
static mls_status wait_for_comm(nccl_link *link, uint64_t until_ns)
{
    const nccl_library *l = &link->hall->library;
    nccl_result state = NCCL_IN_PROGRESS;
    uint32_t rests = 0;
    mls_status status = MLS_OK;
    while (!status) {
        status = nccl_check(link->hall, l->ncclCommGetAsyncError(link->comm, &state),
                            "ncclCommGetAsyncError");
        if (status || state != NCCL_IN_PROGRESS)
            break;
        status = nccl_rest(link, until_ns, &rests);
    }
    return status ? status : nccl_check(link->hall, state, "ncclCommInitRankConfig");
}

static mls_status open_comm(nccl_link *link, const nccl_id *id, uint64_t until_ns)
{
    const nccl_library *l = &link->hall->library;
    nccl_config config = {sizeof config, NCCL_CONFIG_MAGIC, NCCL_CONFIG_VERSION, 0};
    cuda_context own;
    mls_status status =
        nccl_check_cuda(link->hall, l->cuCtxPushCurrent(link->context), "cuCtxPushCurrent");
    if (status)
        return status;
    status = nccl_check(
        link->hall,
        l->ncclCommInitRankConfig(&link->comm, (int) link->size, *id, (int) link->rank, &config),
        "ncclCommInitRankConfig");
    l->cuCtxPopCurrent(&own);
    return status ? status : wait_for_comm(link, until_ns);
}

mls_status nccl_device_open(nccl_link *link, uint64_t until_ns)
{
    nccl_id id;
    mls_status status = open_device(link);
    if (!status)
        status = agree(link, until_ns, &id);
    if (!status)
        status = open_comm(link, &id, until_ns);
    link->is_open = !status;
    return status;
}

/*
 * Collectives that have ended have ended on this rank; those that have not are given up, and then
 * nothing runs on the stream any more.
 */
void nccl_device_close(nccl_link *link)
{
    const nccl_library *l = &link->hall->library;
    cuda_context own;
    if (!link->has_device || l->cuCtxPushCurrent(link->context))
        return;
    if (link->comm)
        l->ncclCommAbort(link->comm);
    link->comm = NULL;
    for (int i = 0; i < 2; i++) {
        if (link->on_device[i])
            l->cuMemFree(link->on_device[i]);
        if (link->pinned[i])
            l->cuMemFreeHost(link->pinned[i]);
        link->on_device[i] = 0;
        link->pinned[i] = NULL;
    }
    if (link->stream)
        l->cuStreamDestroy(link->stream);
    link->stream = NULL;
    l->cuCtxPopCurrent(&own);
    l->cuDevicePrimaryCtxRelease(link->device);
    link->has_device = link->is_open = false;
}
