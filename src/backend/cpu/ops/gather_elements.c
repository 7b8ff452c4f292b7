/* SPDX-License-Identifier: Apache-2.0 */
/* GatherElements: single elements picked by index, a block at a time. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/element_walk.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Offsets that are worked out at once, and elements that are worth a second thread. */
#define BLOCK 256
#define GRAIN 16384

#define INLINE static inline __attribute__((always_inline))

typedef void (*take_fn)(char *target, const char *source, const int64_t *offsets, int64_t n);

typedef struct gather {
    mls__cpu_kernel base;
    mls__element_walk walk;
    int axis;
    bool is_wide;
    uint32_t threads;
    int64_t size; /* bytes of an element */
    take_fn take;
} gather;

INLINE void take(char *target, const char *source, const int64_t *offsets, int64_t n, size_t size)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(target + i * (int64_t) size, source + offsets[i] * (int64_t) size, size);
}

#define TAKE(size)                                                                                 \
    static void take_##size(char *target, const char *source, const int64_t *offsets, int64_t n)   \
    {                                                                                              \
        take(target, source, offsets, n, size);                                                    \
    }
TAKE(1)
TAKE(2)
TAKE(4)
TAKE(8)
TAKE(16)

/* By the element's size. */
static const take_fn take_table[17] = {
    [1] = take_1, [2] = take_2, [4] = take_4, [8] = take_8, [16] = take_16};

typedef struct work {
    const gather *kernel;
    mls__indices indices;
    const char *source;
    char *target;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const gather *kernel = w->kernel;
    int64_t offsets[BLOCK];
    for (int64_t i = begin; i < end; i += BLOCK) {
        const int64_t n = end - i < BLOCK ? end - i : BLOCK;
        if (!mls__element_walk_offsets(&kernel->walk, &w->indices, i, n, offsets))
            return MLS_ERANGE;
        kernel->take(w->target + i * kernel->size, w->source, offsets, n);
    }
    return MLS_OK;
}

static mls_status run_gather(const mls_kernel *base, const mls_kernel_call *call)
{
    const gather *kernel = (const gather *) base;
    const mls__element_walk *walk = &kernel->walk;
    work w = {kernel,
              {call->buffers[1], kernel->is_wide, walk->count},
              call->buffers[0],
              call->buffers[2]};
    if (!mls__cpu_ranges(call, kernel->threads, walk->count, GRAIN, run_range, &w))
        return MLS_OK;
    /* For the message, which is this thread's: of the first index that is outside. */
    return mls__indices_check(base, 1, &w.indices, &walk->bound, 1);
}

static mls_status plan_gather(mls_kernel *base, const mls_op *op)
{
    gather *kernel = (gather *) base;
    mls__element_walk_plan(&kernel->walk, &op->inputs[0], &op->inputs[1], kernel->axis);
    return MLS_OK;
}

static mls_status create_gather(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    int axis;
    mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), op->inputs[0].rank, &axis);
    if (status)
        return status;
    gather *kernel;
    status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "gather_elements", run_gather, &kernel);
    if (status)
        return status;
    kernel->axis = axis;
    kernel->is_wide = op->inputs[1].dtype == MLS_INT64;
    kernel->threads = op->threads;
    kernel->size = (int64_t) mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    kernel->take = take_table[kernel->size];
    kernel->base.base.reshape = plan_gather;
    *ret_kernel = &kernel->base.base;
    return plan_gather(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_gather_elements = {
    {"", "GatherElements", create_gather, 0},
    {.type = NULL},
};
