/* SPDX-License-Identifier: Apache-2.0 */
/* Pools over whole planes: reductions of rows, as kernels/reduce.h orders them. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/reduce_plain.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

typedef enum finish { FINISH_NONE, FINISH_MEAN, FINISH_SQRT, FINISH_POWER } finish;

typedef struct global_kernel {
    mls__cpu_kernel base;
    mls__reduce_op op;
    finish finish;
    int32_t dtype, work_dtype;
    size_t x_size, size; /* of an element; `size` of the computation */
    bool is_staged;      /* planes are converted, or raised to p, first */
    mls__number p, inverse_p, count;
    uint32_t threads;
    int64_t planes, n;
} global_kernel;

typedef struct work {
    const global_kernel *k;
    const char *x;
    char *y, *wide;
} work;

/* Planes [plane, plane + n) in the type of the work, and for FINISH_POWER |x|^p. */
static const char *stage_planes(const work *w, int64_t plane, int64_t n)
{
    const global_kernel *k = w->k;
    const mls__cpu *cpu = k->base.cpu;
    const size_t at = (size_t) (plane * k->n);
    const int64_t count = n * k->n;
    char *wide = w->wide + at * k->size;
    if (!k->is_staged)
        return w->x + at * k->x_size;
    mls__float_convert(cpu, k->work_dtype, wide, k->dtype, w->x + at * k->x_size, count);
    if (k->finish == FINISH_POWER) {
        mls__float_unary(cpu, k->work_dtype, MLS__UNARY_ABS, wide, wide, count);
        mls__float_binary(cpu, k->work_dtype, MLS__BINARY_POW, wide, wide, 1, &k->p, 0, count);
    }
    return wide;
}

/* Of n planes, in the type of the work. */
static void finish_planes(const global_kernel *k, void *values, int64_t n)
{
    const mls__cpu *cpu = k->base.cpu;
    if (k->finish == FINISH_MEAN)
        mls__float_binary(cpu, k->work_dtype, MLS__BINARY_DIV, values, values, 1, &k->count, 0, n);
    else if (k->finish == FINISH_SQRT)
        mls__float_unary(cpu, k->work_dtype, MLS__UNARY_SQRT, values, values, n);
    else if (k->finish == FINISH_POWER)
        mls__float_binary(cpu, k->work_dtype, MLS__BINARY_POW, values, values, 1, &k->inverse_p, 0,
                          n);
}

static void reduce_planes(const global_kernel *k, void *values, const char *planes, int64_t n)
{
    if (k->work_dtype == MLS_FLOAT32) {
        k->base.cpu->kernels->reduce->rows[k->op](values, (const float *) (const void *) planes, n,
                                                  k->n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        mls__reduce_f64.row[k->op]((double *) values + i, planes + (size_t) (i * k->n) * k->size,
                                   k->n);
}

static mls_status run_planes(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const global_kernel *k = w->k;
    union {
        float f[MLS__BLOCK];
        double d[MLS__BLOCK];
    } block;
    for (int64_t p = begin; p < end; p += MLS__BLOCK) {
        const int64_t n = end - p < MLS__BLOCK ? end - p : MLS__BLOCK;
        const char *planes = stage_planes(w, p, n);
        reduce_planes(k, &block, planes, n);
        finish_planes(k, &block, n);
        mls__float_convert(k->base.cpu, k->dtype, w->y + (size_t) p * k->x_size, k->work_dtype,
                           &block, n);
    }
    return MLS_OK;
}

static mls_status global_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const global_kernel *k = (const global_kernel *) kernel;
    work w = {k, call->buffers[0], call->buffers[1], call->workspace};
    if (!k->planes)
        return MLS_OK;
    return mls__cpu_row_ranges(call, k->threads, k->planes, GRAIN / (k->n + 1) + 1, run_planes, &w);
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status global_reshape(mls_kernel *kernel, const mls_op *op)
{
    global_kernel *k = (global_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    k->planes = x->dims[0] * x->dims[1];
    k->n = mls__arg_span(x, 2, x->rank);
    const double count = (double) k->n;
    mls__float_convert(k->base.cpu, k->work_dtype, &k->count, MLS_FLOAT64, &count, 1);
    return MLS_OK;
}

static void read_power(global_kernel *k, const mls_op *op)
{
    const double p = (double) mls__op_int(op, "p", 2), inverse = 1 / p;
    k->op = p == 1 ? MLS__REDUCE_SUM_ABS : p == 2 ? MLS__REDUCE_SUM_SQUARE : MLS__REDUCE_SUM;
    k->finish = p == 1 ? FINISH_NONE : p == 2 ? FINISH_SQRT : FINISH_POWER;
    mls__float_convert(k->base.cpu, k->work_dtype, &k->p, MLS_FLOAT64, &p, 1);
    mls__float_convert(k->base.cpu, k->work_dtype, &k->inverse_p, MLS_FLOAT64, &inverse, 1);
}

static void read_attrs(global_kernel *k, const mls_op *op)
{
    k->op = MLS__REDUCE_MAX;
    if (strcmp(op->type, "GlobalAveragePool") == 0) {
        k->op = MLS__REDUCE_SUM;
        k->finish = FINISH_MEAN;
    } else if (strcmp(op->type, "GlobalLpPool") == 0) {
        read_power(k, op);
    }
    k->is_staged = k->dtype != k->work_dtype || k->finish == FINISH_POWER;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    global_kernel *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "global_pool", global_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = global_reshape;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->x_size = mls_dtype_size((mls_dtype) k->dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    k->threads = op->threads;
    read_attrs(k, op);
    global_reshape(kernel, op);
    size_t bytes = 0;
    uint64_t offset;
    if (!mls__work_region(&bytes, k->is_staged ? k->planes * k->n : 0, k->size, &offset)) {
        kernel->free(kernel);
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    }
    kernel->workspace_bytes = bytes;
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_global_pool = {
    {"", "GlobalAveragePool", create, 0},
    {"", "GlobalMaxPool", create, 0},
    {"", "GlobalLpPool", create, 0},
    {.type = NULL},
};
