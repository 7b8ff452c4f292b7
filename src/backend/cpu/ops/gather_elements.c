/* SPDX-License-Identifier: Apache-2.0 */
/* GatherElements: single elements picked by index. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/element_walk.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Elements that are worth a second thread. */
#define GRAIN 16384

#define INLINE static inline __attribute__((always_inline))

typedef struct gather {
    mls__cpu_kernel base;
    mls__element_walk walk;
    int axis;
    bool is_wide;
    uint32_t threads;
    mls__element_line_fn take;
} gather;

typedef struct work {
    const gather *kernel;
    mls__indices indices;
    const char *source;
    char *target;
} work;

/* A line; false at an index that is outside. */
INLINE bool take(const work *w, int64_t begin, int64_t n, int64_t base, bool is_wide, size_t size)
{
    const mls__element_walk *walk = &w->kernel->walk;
    const mls__indices typed = {w->indices.data, is_wide, w->indices.count};
    const int64_t step = walk->steps[walk->rank - 1], axis_step = walk->axis_step;
    const int64_t bound = walk->bound;
    char *target = w->target + begin * (int64_t) size;
    for (int64_t i = 0; i < n; i++) {
        const int64_t asked = mls__index_at(&typed, begin + i);
        if (mls__index_is_outside(asked, bound))
            return false;
        const int64_t from = base + i * step + mls__index_from_start(asked, bound) * axis_step;
        memcpy(target + i * (int64_t) size, w->source + from * (int64_t) size, size);
    }
    return true;
}

#define TAKE(size)                                                                                 \
    static bool take_wide_##size(void *arg, int64_t begin, int64_t n, int64_t base)                \
    {                                                                                              \
        return take(arg, begin, n, base, true, size);                                              \
    }                                                                                              \
    static bool take_narrow_##size(void *arg, int64_t begin, int64_t n, int64_t base)              \
    {                                                                                              \
        return take(arg, begin, n, base, false, size);                                             \
    }
TAKE(1)
TAKE(2)
TAKE(4)
TAKE(8)
TAKE(16)

/* By the indices' width and the element's size. */
static const mls__element_line_fn take_table[2][17] = {
    {[1] = take_narrow_1,
     [2] = take_narrow_2,
     [4] = take_narrow_4,
     [8] = take_narrow_8,
     [16] = take_narrow_16},
    {[1] = take_wide_1,
     [2] = take_wide_2,
     [4] = take_wide_4,
     [8] = take_wide_8,
     [16] = take_wide_16},
};

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    if (end == begin)
        return MLS_OK;
    return mls__element_walk_lines(&w->kernel->walk, begin, end - begin, w->kernel->take, arg)
               ? MLS_OK
               : MLS_ERANGE;
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
    kernel->take = take_table[kernel->is_wide][mls_dtype_size((mls_dtype) op->inputs[0].dtype)];
    kernel->base.base.reshape = plan_gather;
    *ret_kernel = &kernel->base.base;
    return plan_gather(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_gather_elements = {
    {"", "GatherElements", create_gather, 0},
    {.type = NULL},
};
