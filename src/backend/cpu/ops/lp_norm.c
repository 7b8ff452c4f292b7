/* SPDX-License-Identifier: Apache-2.0 */
/* LpNormalization: each slice along an axis, divided by the sum of its magnitudes or its length. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/reduce_plain.h"
#include "op/reduction.h"

#include <math.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

typedef struct lp_kernel {
    mls__cpu_kernel base;
    int32_t dtype, work_dtype;
    size_t size; /* of an element of the computation */
    mls__reduce_op sum;
    uint32_t threads;
    bool is_rows; /* along the innermost axis: inner is 1 */
    int64_t outer, n, inner;
    uint64_t x_offset, norm_offset; /* in the workspace */
} lp_kernel;

typedef struct work {
    const lp_kernel *k;
    const char *x; /* in the type of the work, as y is */
    char *y, *norms;
} work;

/* --- a run ----------------------------------------------------------------------------------- */

/* A norm of 0 makes results of 0: the quotients by infinity. */
static void replace_zeros(const lp_kernel *k, void *norms, int64_t n)
{
    float *f = norms;
    double *d = norms;
    for (int64_t i = 0; i < n; i++) {
        if (k->work_dtype == MLS_FLOAT64)
            d[i] = d[i] == 0 ? (double) INFINITY : d[i];
        else
            f[i] = f[i] == 0 ? INFINITY : f[i];
    }
}

static void finish_norms(const lp_kernel *k, void *norms, int64_t n)
{
    if (k->sum == MLS__REDUCE_SUM_SQUARE)
        mls__float_unary(k->base.cpu, k->work_dtype, MLS__UNARY_SQRT, norms, norms, n);
    replace_zeros(k, norms, n);
}

static void divide(const lp_kernel *k, char *y, const char *x, const void *norms, int64_t step,
                   int64_t n)
{
    mls__float_binary(k->base.cpu, k->work_dtype, MLS__BINARY_DIV, y, x, 1, norms, step, n);
}

static void run_row(const work *w, int64_t r)
{
    const lp_kernel *k = w->k;
    const size_t at = (size_t) (r * k->n) * k->size;
    const char *x = w->x + at;
    mls__number norm;
    if (k->work_dtype == MLS_FLOAT64)
        mls__reduce_f64.row[k->sum](&norm.d, x, k->n);
    else
        norm.f = k->base.cpu->kernels->reduce->row[k->sum]((const float *) (const void *) x, k->n);
    finish_norms(k, &norm, 1);
    divide(k, w->y + at, x, &norm, 0, k->n);
}

/* `columns` neighbouring columns; the first is slice `slice`. */
static void run_columns(const work *w, int64_t slice, int64_t columns)
{
    const lp_kernel *k = w->k;
    const size_t stride = (size_t) k->inner * k->size;
    const int64_t first = slice / k->inner * k->n * k->inner + slice % k->inner;
    const char *x = w->x + (size_t) first * k->size;
    char *y = w->y + (size_t) first * k->size, *norms = w->norms + (size_t) slice * k->size;
    if (k->work_dtype == MLS_FLOAT64)
        mls__reduce_f64.columns[k->sum](norms, x, k->n, k->inner, columns);
    else
        k->base.cpu->kernels->reduce->columns[k->sum](
            (float *) (void *) norms, (const float *) (const void *) x, k->n, k->inner, columns);
    finish_norms(k, norms, columns);
    for (int64_t i = 0; i < k->n; i++)
        divide(k, y + (size_t) i * stride, x + (size_t) i * stride, norms, 1, columns);
}

/* Slices [begin, end) of outer * inner. */
static mls_status run_slices(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const lp_kernel *k = w->k;
    for (int64_t i = begin; k->is_rows && i < end; i++)
        run_row(w, i);
    for (int64_t i = begin; !k->is_rows && i < end;) {
        const int64_t left = k->inner - i % k->inner;
        const int64_t columns = left < end - i ? left : end - i;
        run_columns(w, i, columns);
        i += columns;
    }
    return MLS_OK;
}

static mls_status lp_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const lp_kernel *k = (const lp_kernel *) kernel;
    char *workspace = call->workspace;
    const int64_t slices = k->outer * k->inner, count = slices * k->n;
    const bool is_direct = k->dtype == k->work_dtype;
    if (!count)
        return MLS_OK;
    work w = {k, call->buffers[0], call->buffers[1], workspace + k->norm_offset};
    if (!is_direct) {
        w.y = workspace + k->x_offset;
        mls__float_convert(k->base.cpu, k->work_dtype, w.y, k->dtype, w.x, count);
        w.x = w.y;
    }
    mls__cpu_ranges(call, k->threads, slices, GRAIN / k->n + 1, run_slices, &w);
    if (!is_direct)
        mls__float_convert(k->base.cpu, k->dtype, call->buffers[1], k->work_dtype, w.y, count);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status lp_reshape(mls_kernel *kernel, const mls_op *op)
{
    lp_kernel *k = (lp_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    int axis;
    const mls_status status = mls__op_attr_axis(op, -1, &axis);
    if (status)
        return status;
    k->is_rows = axis + 1 == x->rank;
    k->outer = mls__arg_span(x, 0, axis);
    k->n = x->dims[axis];
    k->inner = mls__arg_span(x, axis + 1, x->rank);
    return MLS_OK;
}

/* Where n is 0 there is nothing to do; else x has at least as many elements as slices. */
static mls_status plan_workspace(lp_kernel *k, const mls_op *op)
{
    const int64_t count = mls__arg_count(&op->inputs[0]);
    size_t bytes = 0;
    if (!mls__work_region(&bytes, k->dtype == k->work_dtype ? 0 : count, k->size, &k->x_offset) ||
        !mls__work_region(&bytes, k->is_rows ? 0 : k->outer * k->inner, k->size, &k->norm_offset))
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    lp_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "lp_norm", lp_run, &k);
    if (status)
        return status;
    k->base.base.reshape = lp_reshape;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    k->sum = mls__op_int(op, "p", 2) == 1 ? MLS__REDUCE_SUM_ABS : MLS__REDUCE_SUM_SQUARE;
    k->threads = op->threads;
    status = lp_reshape(&k->base.base, op);
    if (!status)
        status = plan_workspace(k, op);
    if (status) {
        k->base.base.free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_lp_norm = {
    {"", "LpNormalization", create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
