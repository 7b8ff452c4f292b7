/* SPDX-License-Identifier: Apache-2.0 */
/* ScatterElements: a copy of the data, then single elements put or reduced by index. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/combine.h"
#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/element_walk.h"
#include "backend/cpu/ops/ranges.h"

/* Offsets that are worked out at once, and elements that are worth a second thread. */
#define BLOCK 256
#define GRAIN 16384

typedef struct scatter {
    mls__cpu_kernel base;
    mls__element_walk walk;
    mls__copy copy; /* of the data */
    mls__combine combine;
    int axis;
    bool is_wide;
    uint32_t threads;
} scatter;

typedef struct work {
    const scatter *kernel;
    mls__indices indices;
    const char *updates;
    void *y;
} work;

/* Of the first dims: what lies from the axis on meets nothing of another slab. */
static mls_status run_slabs(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const scatter *kernel = w->kernel;
    const mls__combine *combine = &kernel->combine;
    const int64_t last = end * kernel->walk.slab;
    int64_t offsets[BLOCK];
    for (int64_t i = begin * kernel->walk.slab; i < last; i += BLOCK) {
        const int64_t n = last - i < BLOCK ? last - i : BLOCK;
        if (!mls__element_walk_offsets(&kernel->walk, &w->indices, i, n, offsets))
            return MLS_ERANGE;
        combine->scatter(combine, w->y, offsets, w->updates + i * (int64_t) combine->size, n);
    }
    return MLS_OK;
}

static mls_status run_scatter(const mls_kernel *base, const mls_kernel_call *call)
{
    const scatter *kernel = (const scatter *) base;
    const mls__element_walk *walk = &kernel->walk;
    work w = {kernel,
              {call->buffers[1], kernel->is_wide, walk->count},
              call->buffers[2],
              call->buffers[3]};
    if (w.y != call->buffers[0])
        mls__copy_run(&kernel->copy, call, w.y, call->buffers[0]);
    if (walk->count == 0)
        return MLS_OK;
    if (!mls__cpu_ranges(call, kernel->threads, walk->count / walk->slab, GRAIN / walk->slab + 1,
                         run_slabs, &w))
        return MLS_OK;
    /* For the message, which is this thread's: of the first index that is outside. */
    return mls__indices_check(base, 1, &w.indices, &walk->bound, 1);
}

static mls_status plan_scatter(mls_kernel *base, const mls_op *op)
{
    scatter *kernel = (scatter *) base;
    mls__copy_flat(&kernel->copy, kernel->combine.size, mls__arg_count(&op->inputs[0]),
                   op->threads);
    mls__element_walk_plan(&kernel->walk, &op->inputs[0], &op->inputs[1], kernel->axis);
    return MLS_OK;
}

static mls_status create_scatter(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__combine combine;
    int axis;
    mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), op->inputs[0].rank, &axis);
    if (!status)
        status = mls__combine_read(cpu, op, &combine);
    if (status)
        return status;
    scatter *kernel;
    status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "scatter_elements", run_scatter, &kernel);
    if (status)
        return status;
    kernel->axis = axis;
    kernel->combine = combine;
    kernel->is_wide = op->inputs[1].dtype == MLS_INT64;
    kernel->threads = op->threads;
    kernel->base.base.reshape = plan_scatter;
    *ret_kernel = &kernel->base.base;
    return plan_scatter(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_scatter_elements = {
    {"", "ScatterElements", create_scatter, MLS__CPU_IN_PLACE_OF_FIRST},
    {.type = NULL},
};
