/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Det: Gaussian elimination with the largest pivot of a column, in float64 for every dtype. The
 * order of all sums is that of rows and columns, so a matrix has one determinant wherever it is.
 */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "base/alloc.h"

#include <math.h>
#include <string.h>

typedef struct det_kernel {
    mls__cpu_kernel base;
    int32_t dtype;
    int64_t size; /* bytes of an element */
    int64_t matrices, n;
} det_kernel;

static int64_t find_pivot(const double *a, int64_t n, int64_t column)
{
    int64_t pivot = column;
    for (int64_t i = column + 1; i < n; i++)
        if (fabs(a[i * n + column]) > fabs(a[pivot * n + column]))
            pivot = i;
    return pivot;
}

static void swap_rows(double *a, double *b, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        const double kept = a[j];
        a[j] = b[j];
        b[j] = kept;
    }
}

/* Overwrites the matrix. */
static double determinant(double *a, int64_t n)
{
    double product = 1;
    for (int64_t c = 0; c < n; c++) {
        const int64_t pivot = find_pivot(a, n, c);
        double *row = a + c * n;
        if (pivot != c) {
            swap_rows(row, a + pivot * n, n);
            product = -product;
        }
        product *= row[c];
        if (row[c] == 0)
            return product;
        for (int64_t i = c + 1; i < n; i++) {
            const double factor = a[i * n + c] / row[c];
            for (int64_t j = c + 1; j < n; j++)
                a[i * n + j] = fma(-factor, row[j], a[i * n + j]);
        }
    }
    return product;
}

static void load(const det_kernel *k, double *a, const char *x, int64_t count)
{
    for (int64_t i = 0; i < count; i += MLS__BLOCK) {
        const int64_t m = count - i < MLS__BLOCK ? count - i : MLS__BLOCK;
        mls__wide wide;
        mls__widen(k->dtype, &wide, x + i * k->size, m);
        memcpy(a + i, wide.f, (size_t) m * sizeof *a);
    }
}

static mls_status det_run(const mls_kernel *base, const mls_kernel_call *call)
{
    static const mls__cast_rules rules;
    const det_kernel *k = (const det_kernel *) base;
    const char *x = call->buffers[0];
    char *y = call->buffers[1];
    for (int64_t i = 0; i < k->matrices; i++) {
        mls__wide result;
        load(k, call->workspace, x + i * k->n * k->n * k->size, k->n * k->n);
        result.f[0] = determinant(call->workspace, k->n);
        mls__narrow(k->dtype, MLS__WIDE_FLOAT, &result, y + i * k->size, 1, &rules);
    }
    return MLS_OK;
}

static mls_status det_reshape(mls_kernel *base, const mls_op *op)
{
    det_kernel *k = (det_kernel *) base;
    const mls_arg *x = &op->inputs[0];
    k->n = x->dims[x->rank - 1];
    k->matrices = mls__arg_count(&op->outputs[0]);
    if ((uint64_t) (k->n * k->n) * sizeof(double) > base->workspace_bytes)
        return mls__op_error(op, MLS_ELIMIT, "a matrix is larger than planned");
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    det_kernel *k;
    const mls_arg *x = &op->inputs[0];
    const int64_t matrix = mls__arg_span(x, x->rank - 2, x->rank);
    size_t bytes;
    if (!mls__mul_size((size_t) matrix, sizeof(double), &bytes))
        return mls__op_error(op, MLS_ESHAPE, "a matrix of input 0 is larger than memory can be");
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "det", det_run, &k);
    if (status)
        return status;
    k->base.base.reshape = det_reshape;
    k->base.base.workspace_bytes = bytes;
    k->dtype = x->dtype;
    k->size = (int64_t) mls_dtype_size((mls_dtype) x->dtype);
    *ret_kernel = &k->base.base;
    return det_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_det = {
    {"", "Det", create, 0},
    {.type = NULL},
};
