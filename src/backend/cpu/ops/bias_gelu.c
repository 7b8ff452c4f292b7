/* SPDX-License-Identifier: Apache-2.0 */
/* Gelu of rows and a bias, exact (BiasGelu) or by tanh (FastGelu): the bytes of Add and Gelu. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 8192

typedef struct gelu_kernel {
    mls__cpu_kernel base;
    mls__unary_op op;
    int32_t dtype, work_dtype;
    size_t x_size, size; /* of an element; `size` of the computation */
    uint32_t threads;
    int64_t rows, n;
    uint64_t bias_offset, row_offset; /* in the workspace */
} gelu_kernel;

typedef struct work {
    const gelu_kernel *k;
    const char *x, *bias; /* the bias in the type of the work */
    char *y, *wide;
} work;

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const gelu_kernel *k = w->k;
    const mls__cpu *cpu = k->base.cpu;
    const bool is_direct = k->dtype == k->work_dtype;
    for (int64_t r = begin; r < end; r++) {
        const size_t at = (size_t) (r * k->n);
        const char *x = w->x + at * k->x_size;
        char *y = w->y + at * k->x_size, *row = is_direct ? y : w->wide + at * k->size;
        if (!is_direct)
            mls__float_convert(cpu, k->work_dtype, row, k->dtype, x, k->n);
        mls__float_binary(cpu, k->work_dtype, MLS__BINARY_ADD, row, is_direct ? x : row, 1, w->bias,
                          1, k->n);
        mls__float_unary(cpu, k->work_dtype, k->op, row, row, k->n);
        if (!is_direct)
            mls__float_convert(cpu, k->dtype, y, k->work_dtype, row, k->n);
    }
    return MLS_OK;
}

static mls_status gelu_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const gelu_kernel *k = (const gelu_kernel *) kernel;
    char *workspace = call->workspace;
    work w = {k, call->buffers[0], call->buffers[1], call->buffers[2], workspace + k->row_offset};
    if (!k->rows || !k->n)
        return MLS_OK;
    if (k->dtype != k->work_dtype) {
        char *bias = workspace + k->bias_offset;
        mls__float_convert(k->base.cpu, k->work_dtype, bias, k->dtype, w.bias, k->n);
        w.bias = bias;
    }
    return mls__cpu_row_ranges(call, k->threads, k->rows, GRAIN / k->n + 1, run_rows, &w);
}

static mls_status gelu_reshape(mls_kernel *kernel, const mls_op *op)
{
    gelu_kernel *k = (gelu_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    k->rows = mls__arg_span(x, 0, x->rank - 1);
    k->n = x->dims[x->rank - 1];
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    gelu_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "gelu", gelu_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = gelu_reshape;
    k->op = strcmp(op->type, "BiasGelu") == 0 ? MLS__UNARY_GELU : MLS__UNARY_GELU_TANH;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->x_size = mls_dtype_size((mls_dtype) k->dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    k->threads = op->threads;
    gelu_reshape(kernel, op);
    size_t bytes = 0;
    const bool is_wide = k->dtype != k->work_dtype;
    if (!mls__work_region(&bytes, is_wide ? k->n : 0, k->size, &k->bias_offset) ||
        !mls__work_region(&bytes, is_wide ? k->rows * k->n : 0, k->size, &k->row_offset)) {
        kernel->free(kernel);
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    }
    kernel->workspace_bytes = bytes;
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_bias_gelu = {
    {"com.microsoft", "BiasGelu", create, MLS__CPU_IN_PLACE},
    {"com.microsoft", "FastGelu", create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
