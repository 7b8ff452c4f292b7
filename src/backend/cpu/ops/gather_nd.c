/* SPDX-License-Identifier: Apache-2.0 */
/* GatherND: slices picked by tuples of indices. */
#include "backend/cpu/ops/families.h"

#include "op/indexing.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/tuples.h"

#include <string.h>

/* Bytes that are worth a second thread. */
#define GRAIN 65536

#define INLINE static inline __attribute__((always_inline))

typedef struct gather {
    mls__cpu_kernel base;
    mls__tuples tuples;
    int batch;
    uint32_t threads;
    int64_t size; /* bytes of an element */
} gather;

typedef struct work {
    const gather *kernel;
    const int64_t *indices;
    const char *source;
    char *target;
} work;

INLINE void take(const work *w, int64_t begin, int64_t end, size_t bytes)
{
    for (int64_t i = begin; i < end; i++) {
        const int64_t offset = mls__tuple_offset(&w->kernel->tuples, w->indices, i);
        memcpy(w->target + i * (int64_t) bytes, w->source + offset * w->kernel->size, bytes);
    }
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const size_t bytes = (size_t) (w->kernel->tuples.slice * w->kernel->size);
    if (bytes == 4)
        take(w, begin, end, 4);
    else if (bytes == 8)
        take(w, begin, end, 8);
    else
        take(w, begin, end, bytes);
    return MLS_OK;
}

static mls_status run_gather(const mls_kernel *base, const mls_kernel_call *call)
{
    const gather *kernel = (const gather *) base;
    const mls__tuples *tuples = &kernel->tuples;
    const mls__indices indices = {call->buffers[1], true, tuples->count * tuples->size};
    const mls_status status = mls__indices_check(base, 1, &indices, tuples->bounds, tuples->size);
    if (status || !tuples->slice)
        return status;
    work w = {kernel, indices.data, call->buffers[0], call->buffers[2]};
    return mls__cpu_ranges(call, kernel->threads, tuples->count,
                           GRAIN / (tuples->slice * kernel->size) + 1, run_range, &w);
}

static mls_status plan_gather(mls_kernel *base, const mls_op *op)
{
    gather *kernel = (gather *) base;
    mls__tuples_plan(&kernel->tuples, &op->inputs[0], &op->inputs[1], kernel->batch);
    return MLS_OK;
}

static mls_status create_gather(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    int batch;
    mls_status status = mls__op_batch_dims(op, &batch);
    if (status)
        return status;
    gather *kernel;
    status = mls__cpu_kernel_create(cpu, op, sizeof *kernel, "gather_nd", run_gather, &kernel);
    if (status)
        return status;
    kernel->batch = batch;
    kernel->threads = op->threads;
    kernel->size = (int64_t) mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    kernel->base.base.reshape = plan_gather;
    *ret_kernel = &kernel->base.base;
    return plan_gather(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_gather_nd = {
    {"", "GatherND", create_gather, 0},
    {.type = NULL},
};
