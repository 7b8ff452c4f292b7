/* SPDX-License-Identifier: Apache-2.0 */
/* LRN: each element divided by a power of the squares of its neighbouring channels. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/reduce_plain.h"

/* Fewer elements are not worth a second thread. */
#define GRAIN 4096

typedef struct lrn_kernel {
    mls__cpu_kernel base;
    int32_t dtype, work_dtype;
    size_t y_size, size; /* of an element; `size` of the computation */
    mls__number scale, bias, beta;
    bool is_root;          /* beta is 3/4 */
    int64_t before, after; /* channels */
    uint32_t threads;
    int64_t batch, channels, plane; /* x is [batch, channels, plane] */
} lrn_kernel;

typedef union block {
    float f[MLS__BLOCK];
    double d[MLS__BLOCK];
} block;

typedef struct work {
    const lrn_kernel *k;
    const char *x; /* in the type of the work */
    char *y;
} work;

static void binary(const lrn_kernel *k, mls__binary_op op, void *y, const void *a, const void *b,
                   int64_t b_step, int64_t n)
{
    mls__float_binary(k->base.cpu, k->work_dtype, op, y, a, 1, b, b_step, n);
}

/* sums^beta; b^(3/4) is the product of the root and the root's root. */
static void take_power(const lrn_kernel *k, void *sums, int64_t n)
{
    block root;
    if (!k->is_root) {
        binary(k, MLS__BINARY_POW, sums, sums, &k->beta, 0, n);
        return;
    }
    mls__float_unary(k->base.cpu, k->work_dtype, MLS__UNARY_SQRT, &root, sums, n);
    mls__float_unary(k->base.cpu, k->work_dtype, MLS__UNARY_SQRT, sums, &root, n);
    binary(k, MLS__BINARY_MUL, sums, sums, &root, 1, n);
}

/* n <= MLS__BLOCK elements of one plane, from element `at` of x on. */
static void run_block(const work *w, int64_t channel, int64_t at, int64_t n)
{
    const lrn_kernel *k = w->k;
    const int64_t first = channel > k->before ? channel - k->before : 0;
    const int64_t last =
        k->channels - 1 - channel > k->after ? channel + k->after : k->channels - 1;
    const char *x = w->x + (size_t) (at - (channel - first) * k->plane) * k->size;
    block sums;
    if (k->work_dtype == MLS_FLOAT64)
        mls__reduce_f64.columns[MLS__REDUCE_SUM_SQUARE](sums.d, x, last - first + 1, k->plane, n);
    else
        k->base.cpu->kernels->reduce->columns[MLS__REDUCE_SUM_SQUARE](
            sums.f, (const float *) (const void *) x, last - first + 1, k->plane, n);
    binary(k, MLS__BINARY_MUL, &sums, &sums, &k->scale, 0, n);
    binary(k, MLS__BINARY_ADD, &sums, &sums, &k->bias, 0, n);
    take_power(k, &sums, n);
    binary(k, MLS__BINARY_DIV, &sums, w->x + (size_t) at * k->size, &sums, 1, n);
    mls__float_convert(k->base.cpu, k->dtype, w->y + (size_t) at * k->y_size, k->work_dtype, &sums,
                       n);
}

/* Planes [begin, end) of batch * channels. */
static mls_status run_planes(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const lrn_kernel *k = w->k;
    for (int64_t p = begin; p < end; p++)
        for (int64_t i = 0; i < k->plane; i += MLS__BLOCK) {
            const int64_t n = k->plane - i < MLS__BLOCK ? k->plane - i : MLS__BLOCK;
            run_block(w, p % k->channels, p * k->plane + i, n);
        }
    return MLS_OK;
}

static mls_status lrn_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const lrn_kernel *k = (const lrn_kernel *) kernel;
    const int64_t planes = k->batch * k->channels, count = planes * k->plane;
    work w = {k, call->buffers[0], call->buffers[1]};
    if (!count)
        return MLS_OK;
    if (k->dtype != k->work_dtype) {
        mls__float_convert(k->base.cpu, k->work_dtype, call->workspace, k->dtype, w.x, count);
        w.x = call->workspace;
    }
    return mls__cpu_row_ranges(call, k->threads, planes, GRAIN / k->plane + 1, run_planes, &w);
}

static mls_status lrn_reshape(mls_kernel *kernel, const mls_op *op)
{
    lrn_kernel *k = (lrn_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    k->batch = x->dims[0];
    k->channels = x->dims[1];
    k->plane = mls__arg_span(x, 2, x->rank);
    return MLS_OK;
}

static void read_attrs(lrn_kernel *k, const mls_op *op)
{
    const int64_t size = mls__op_int(op, "size", 1);
    const double beta = (double) mls__op_float(op, "beta", 0.75f);
    const double bias = (double) mls__op_float(op, "bias", 1.0f);
    const double scale = (double) mls__op_float(op, "alpha", 1e-4f) / (double) size;
    k->before = (size - 1) / 2;
    k->after = size / 2;
    k->is_root = beta == 0.75;
    const mls__cpu *cpu = k->base.cpu;
    mls__float_convert(cpu, k->work_dtype, &k->beta, MLS_FLOAT64, &beta, 1);
    mls__float_convert(cpu, k->work_dtype, &k->bias, MLS_FLOAT64, &bias, 1);
    mls__float_convert(cpu, k->work_dtype, &k->scale, MLS_FLOAT64, &scale, 1);
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    lrn_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "lrn", lrn_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = lrn_reshape;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->y_size = mls_dtype_size((mls_dtype) k->dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    k->threads = op->threads;
    read_attrs(k, op);
    lrn_reshape(kernel, op);
    size_t bytes = 0;
    uint64_t offset;
    const int64_t count = k->dtype == k->work_dtype ? 0 : mls__arg_count(&op->inputs[0]);
    if (!mls__work_region(&bytes, count, k->size, &offset)) {
        kernel->free(kernel);
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    }
    kernel->workspace_bytes = bytes;
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_lrn = {
    {"", "LRN", create, 0},
    {.type = NULL},
};
