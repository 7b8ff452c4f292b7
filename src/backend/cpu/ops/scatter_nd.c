/* SPDX-License-Identifier: Apache-2.0 */
/* ScatterND: a copy of the data, then slices put or reduced by tuples of indices. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/combine.h"
#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/tuples.h"

/* Elements that are worth a second thread. */
#define GRAIN 16384

typedef struct scatter {
    mls__cpu_kernel base;
    mls__tuples tuples;
    mls__copy copy; /* of the data */
    mls__combine combine;
    uint32_t threads;
} scatter;

typedef struct work {
    const scatter *kernel;
    const int64_t *indices;
    const char *updates;
    char *y;
} work;

/* Elements [begin, end) of all slices: two slices may be the same, so threads share each. */
static mls_status run_columns(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const mls__combine *combine = &w->kernel->combine;
    const mls__tuples *tuples = &w->kernel->tuples;
    const int64_t size = (int64_t) combine->size;
    for (int64_t i = 0; i < tuples->count; i++) {
        const int64_t offset = mls__tuple_offset(tuples, w->indices, i);
        combine->row(combine, w->y + (offset + begin) * size,
                     w->updates + (i * tuples->slice + begin) * size, end - begin);
    }
    return MLS_OK;
}

static mls_status run_scatter(const mls_kernel *base, const mls_kernel_call *call)
{
    const scatter *kernel = (const scatter *) base;
    const mls__tuples *tuples = &kernel->tuples;
    const mls__indices indices = {call->buffers[1], true, tuples->count * tuples->size};
    const mls_status status = mls__indices_check(base, 1, &indices, tuples->bounds, tuples->size);
    if (status)
        return status;
    work w = {kernel, indices.data, call->buffers[2], call->buffers[3]};
    if (w.y != call->buffers[0])
        mls__copy_run(&kernel->copy, call, w.y, call->buffers[0]);
    if (!tuples->count || !tuples->slice)
        return MLS_OK;
    return mls__cpu_ranges(call, kernel->threads, tuples->slice, GRAIN / tuples->count + 1,
                           run_columns, &w);
}

static mls_status plan_scatter(mls_kernel *base, const mls_op *op)
{
    scatter *kernel = (scatter *) base;
    mls__copy_flat(&kernel->copy, kernel->combine.size, mls__arg_count(&op->inputs[0]),
                   op->threads);
    mls__tuples_plan(&kernel->tuples, &op->inputs[0], &op->inputs[1], 0);
    return MLS_OK;
}

static mls_status create_scatter(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__combine combine;
    mls_status status = mls__combine_read(cpu, op, &combine);
    if (status)
        return status;
    scatter *kernel;
    status = mls__cpu_kernel_create(cpu, op, sizeof *kernel, "scatter_nd", run_scatter, &kernel);
    if (status)
        return status;
    kernel->combine = combine;
    kernel->threads = op->threads;
    kernel->base.base.reshape = plan_scatter;
    *ret_kernel = &kernel->base.base;
    return plan_scatter(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_scatter_nd = {
    {"", "ScatterND", create_scatter, MLS__CPU_IN_PLACE_OF_FIRST},
    {.type = NULL},
};
