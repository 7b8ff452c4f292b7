/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collective piece by piece: from the caller to pinned memory, to the device, through NCCL and
 * back, all in the order of one stream, which is looked at until it is empty.
 */
#include "transport/nccl/nccl.h"

#include <mlscale/group.h>

#include <string.h>

typedef struct job {
    nccl_link *link;
    const mls_transport_collective *c;
    size_t size; /* of an element */
    int type, op;
    uint32_t source_pieces, target_pieces;
} job;

/* --- what NCCL can --------------------------------------------------------------------------- */

static size_t element_size(int32_t dtype)
{
    switch (dtype) {
    case MLS_INT8:
    case MLS_UINT8:
    case MLS_BOOL:
        return 1;
    case MLS_INT16:
    case MLS_UINT16:
    case MLS_FLOAT16:
    case MLS_BFLOAT16:
        return 2;
    case MLS_INT32:
    case MLS_UINT32:
    case MLS_FLOAT32:
        return 4;
    case MLS_INT64:
    case MLS_UINT64:
    case MLS_FLOAT64:
        return 8;
    default:
        return 0;
    }
}

/* -1: not to be reduced there. Sums of 16 bits would not be float32, as they are here. */
static int type_of(int32_t dtype)
{
    switch (dtype) {
    case MLS_INT32:
        return NCCL_INT32;
    case MLS_INT64:
        return NCCL_INT64;
    case MLS_FLOAT32:
        return NCCL_FLOAT32;
    case MLS_FLOAT64:
        return NCCL_FLOAT64;
    default:
        return -1;
    }
}

static int operation_of(uint32_t reduction)
{
    switch (reduction) {
    case MLS_REDUCE_PRODUCT:
        return NCCL_PROD;
    case MLS_REDUCE_MIN:
        return NCCL_MIN;
    case MLS_REDUCE_MAX:
        return NCCL_MAX;
    case MLS_REDUCE_MEAN:
        return NCCL_AVG;
    default:
        return NCCL_SUM;
    }
}

/* A minimum of floats is NaN where any is, which NCCL does not say. */
int nccl_can_run(void *link, const mls_transport_collective *c)
{
    (void) link;
    const bool is_float = c->dtype == MLS_FLOAT32 || c->dtype == MLS_FLOAT64;
    const bool is_extreme = c->reduction == MLS_REDUCE_MIN || c->reduction == MLS_REDUCE_MAX;
    if (!c->reduction)
        return element_size(c->dtype) != 0;
    return type_of(c->dtype) >= 0 && !(is_float && is_extreme);
}

/* --- what is asked of it --------------------------------------------------------------------- */

static void *device_at(const job *j, int which, size_t offset)
{
    const cuda_address address = j->link->on_device[which] + offset;
    return (void *) (uintptr_t) address; // NOLINT(performance-no-int-to-ptr)
}

/* Pieces from those who give to those who get, as messages that NCCL sends at once. */
static nccl_result exchange(const job *j, size_t bytes)
{
    const nccl_library *l = &j->link->hall->library;
    const nccl_link *link = j->link;
    const bool from_root = j->c->op == MLS_COLLECTIVE_SCATTER;
    const bool to_root = j->c->op == MLS_COLLECTIVE_GATHER;
    nccl_result result = l->ncclGroupStart();
    for (uint32_t i = 0; i < link->size; i++) {
        const bool gives =
            (!from_root || link->rank == j->c->root) && (!to_root || i == j->c->root);
        const bool gets = (!from_root || i == j->c->root) && (!to_root || link->rank == j->c->root);
        if (gives && result == NCCL_SUCCESS)
            result = l->ncclSend(device_at(j, 0, j->source_pieces > 1 ? i * bytes : 0), bytes,
                                 NCCL_INT8, (int) i, link->comm, link->stream);
        if (gets && result == NCCL_SUCCESS)
            result = l->ncclRecv(device_at(j, 1, j->target_pieces > 1 ? i * bytes : 0), bytes,
                                 NCCL_INT8, (int) i, link->comm, link->stream);
    }
    const nccl_result end = l->ncclGroupEnd();
    return result == NCCL_SUCCESS ? end : result;
}

static nccl_result start(const job *j, size_t count)
{
    const nccl_library *l = &j->link->hall->library;
    const void *source = device_at(j, 0, 0);
    void *target = device_at(j, 1, 0);
    const nccl_comm comm = j->link->comm;
    const cuda_stream stream = j->link->stream;
    const size_t bytes = count * j->size;
    const int root = (int) j->c->root;
    switch (j->c->op) {
    case MLS_COLLECTIVE_BROADCAST:
        return l->ncclBroadcast(source, target, bytes, NCCL_INT8, root, comm, stream);
    case MLS_COLLECTIVE_REDUCE:
        return l->ncclReduce(source, target, count, j->type, j->op, root, comm, stream);
    case MLS_COLLECTIVE_ALLREDUCE:
        return l->ncclAllReduce(source, target, count, j->type, j->op, comm, stream);
    case MLS_COLLECTIVE_REDUCE_SCATTER:
        return l->ncclReduceScatter(source, target, count, j->type, j->op, comm, stream);
    case MLS_COLLECTIVE_ALLGATHER:
        return l->ncclAllGather(source, target, bytes, NCCL_INT8, comm, stream);
    default:
        return exchange(j, bytes);
    }
}

/* --- a piece --------------------------------------------------------------------------------- */

static void load(const job *j, size_t first, size_t count)
{
    const unsigned char *source = j->c->source;
    for (uint32_t i = 0; source && i < j->source_pieces; i++)
        memcpy(j->link->pinned[0] + i * count * j->size,
               source + (i * (size_t) j->c->count + first) * j->size, count * j->size);
}

static void store(const job *j, size_t first, size_t count)
{
    unsigned char *target = j->c->target;
    for (uint32_t i = 0; target && i < j->target_pieces; i++)
        memcpy(target + (i * (size_t) j->c->count + first) * j->size,
               j->link->pinned[1] + i * count * j->size, count * j->size);
}

/* Nothing of these waits, but for NCCL's in-progress, which the stream's end follows. */
static mls_status enqueue(const job *j, size_t count)
{
    const nccl_hall *hall = j->link->hall;
    const nccl_library *l = &hall->library;
    const size_t bytes = count * j->size;
    mls_status status = MLS_OK;
    if (j->c->source)
        status = nccl_check_cuda(hall,
                                 l->cuMemcpyHtoDAsync(j->link->on_device[0], j->link->pinned[0],
                                                      j->source_pieces * bytes, j->link->stream),
                                 "cuMemcpyHtoDAsync");
    return status ? status : nccl_check(hall, start(j, count), "a collective");
}

/* Until NCCL has put the collective on the stream: only then may what follows be put behind it. */
static mls_status wait_for_start(const job *j)
{
    const nccl_library *l = &j->link->hall->library;
    nccl_result state = NCCL_IN_PROGRESS;
    uint32_t rests = 0;
    for (;;) {
        mls_status status =
            nccl_check(j->link->hall, l->ncclCommGetAsyncError(j->link->comm, &state),
                       "ncclCommGetAsyncError");
        if (status || state != NCCL_IN_PROGRESS)
            return status ? status : nccl_check(j->link->hall, state, "a collective");
        status = nccl_rest(j->link, j->c->until_ns, &rests);
        if (status)
            return status;
    }
}

static mls_status fetch(const job *j, size_t count)
{
    const nccl_library *l = &j->link->hall->library;
    if (!j->c->target)
        return MLS_OK;
    return nccl_check_cuda(j->link->hall,
                           l->cuMemcpyDtoHAsync(j->link->pinned[1], j->link->on_device[1],
                                                j->target_pieces * count * j->size,
                                                j->link->stream),
                           "cuMemcpyDtoHAsync");
}

static mls_status wait_for_end(const job *j)
{
    const nccl_library *l = &j->link->hall->library;
    uint32_t rests = 0;
    for (;;) {
        const cuda_result result = l->cuStreamQuery(j->link->stream);
        if (result != CUDA_NOT_READY)
            return nccl_check_cuda(j->link->hall, result, "a collective");
        const mls_status status = nccl_rest(j->link, j->c->until_ns, &rests);
        if (status)
            return status;
    }
}

static mls_status run_piece(const job *j, size_t first, size_t count)
{
    load(j, first, count);
    mls_status status = enqueue(j, count);
    if (!status)
        status = wait_for_start(j);
    if (!status)
        status = fetch(j, count);
    if (!status)
        status = wait_for_end(j);
    if (!status)
        store(j, first, count);
    return status;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool is_any(uint32_t op, uint32_t first, uint32_t second, uint32_t third)
{
    return op == first || op == second || op == third;
}

static job make_job(nccl_link *link, const mls_transport_collective *c)
{
    const bool source_is_all = is_any(c->op, MLS_COLLECTIVE_SCATTER, MLS_COLLECTIVE_REDUCE_SCATTER,
                                      MLS_COLLECTIVE_ALL_TO_ALL);
    const bool target_is_all =
        is_any(c->op, MLS_COLLECTIVE_GATHER, MLS_COLLECTIVE_ALLGATHER, MLS_COLLECTIVE_ALL_TO_ALL);
    return (job){
        .link = link,
        .c = c,
        .size = element_size(c->dtype),
        .type = type_of(c->dtype),
        .op = operation_of(c->reduction),
        .source_pieces = source_is_all ? link->size : 1,
        .target_pieces = target_is_all ? link->size : 1,
    };
}

static mls_status run_pieces(const job *j)
{
    const nccl_library *l = &j->link->hall->library;
    const size_t step = NCCL_STAGE_BYTES / (j->link->size * j->size);
    cuda_context own;
    mls_status status =
        nccl_check_cuda(j->link->hall, l->cuCtxPushCurrent(j->link->context), "cuCtxPushCurrent");
    if (status)
        return status;
    for (size_t first = 0; !status && first < j->c->count; first += step) {
        const size_t left = (size_t) j->c->count - first;
        status = run_piece(j, first, left < step ? left : step);
    }
    l->cuCtxPopCurrent(&own);
    return status;
}

mls_status nccl_run(void *self, const mls_transport_collective *c)
{
    nccl_link *link = self;
    mls_status status = link->is_open ? MLS_OK : nccl_device_open(link, c->until_ns);
    if (!status) {
        const job j = make_job(link, c);
        status = run_pieces(&j);
    }
    if (status)
        nccl_device_close(link); /* ends what NCCL still does; the group breaks */
    return status;
}
