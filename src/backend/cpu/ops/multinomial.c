/* SPDX-License-Identifier: Apache-2.0 */
/* Multinomial: classes drawn by their chances, which are given as logarithms up to a constant. */
#include "backend/cpu/math/f64.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/random.h"
#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>

typedef struct multinomial {
    mls__cpu_kernel base;
    mls__rng rng;
    int32_t input_dtype, dtype;
    int64_t rows, classes, samples;
} multinomial;

/* The workspace: for each class, its chance and those before it; the last one is the total. */
static void add_up(const multinomial *kernel, const char *x, double *ret_sums)
{
    const int64_t n = kernel->classes;
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) kernel->input_dtype);
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        mls__wide block;
        const int64_t count = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        mls__widen(kernel->input_dtype, &block, x + i * size, count);
        for (int64_t j = 0; j < count; j++) {
            ret_sums[i + j] = block.f[j];
            most = isnan(most) || most > block.f[j] ? most : block.f[j];
        }
    }
    for (int64_t i = 0; i < n; i++) {
        sum += mls__f64_exp(ret_sums[i] - most);
        ret_sums[i] = sum;
    }
}

/* The first class whose sum is past `target`, which is less than the last sum. */
static int64_t find_class(const double *sums, int64_t n, double target)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sums[middle] > target)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void draw_row(const multinomial *kernel, const double *sums, int64_t row, void *y)
{
    const double total = sums[kernel->classes - 1];
    for (int64_t i = 0; i < kernel->samples; i++) {
        const int64_t at = row * kernel->samples + i;
        double number;
        mls__rng_uniform(kernel->rng, (uint64_t) at, &number, 1);
        /* Rounding may make it the total itself, which no class is past. */
        const double target = fmin(number * total, nextafter(total, 0));
        const int64_t drawn = find_class(sums, kernel->classes, target);
        if (kernel->dtype == MLS_INT64)
            ((int64_t *) y)[at] = drawn;
        else
            ((int32_t *) y)[at] = (int32_t) drawn;
    }
}

static mls_status run_multinomial(const mls_kernel *base, const mls_kernel_call *call)
{
    const multinomial *kernel = (const multinomial *) base;
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) kernel->input_dtype);
    double *sums = call->workspace;
    for (int64_t row = 0; row < kernel->rows && kernel->samples; row++) {
        const char *x = (const char *) call->buffers[0] + row * kernel->classes * size;
        if (kernel->classes)
            add_up(kernel, x, sums);
        /* Not only infinite sums: infinities and NaN among the logarithms too. */
        if (!kernel->classes || !isfinite(sums[kernel->classes - 1]))
            return mls__cpu_run_error(base, MLS_ERANGE,
                                      "row %" PRId64 " of input 0 has no chances to draw by", row);
        draw_row(kernel, sums, row, call->buffers[1]);
    }
    return MLS_OK;
}

static mls_status plan_multinomial(mls_kernel *base, const mls_op *op)
{
    multinomial *kernel = (multinomial *) base;
    kernel->rows = op->inputs[0].dims[0];
    kernel->classes = op->inputs[0].dims[1];
    kernel->samples = op->outputs[0].dims[1];
    return MLS_OK;
}

static mls_status create_multinomial(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    multinomial *kernel;
    size_t bytes;
    if (op->inputs[0].dims[1] > INT32_MAX ||
        !mls__mul_size((size_t) op->inputs[0].dims[1], sizeof(double), &bytes))
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %" PRId64 " classes; at most %d are had",
                             op->inputs[0].dims[1], INT32_MAX);
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "multinomial", run_multinomial, &kernel);
    if (status)
        return status;
    kernel->base.base.reshape = plan_multinomial;
    kernel->base.base.workspace_bytes = bytes;
    kernel->rng = mls__op_rng(op);
    kernel->input_dtype = op->inputs[0].dtype;
    kernel->dtype = op->outputs[0].dtype;
    *ret_kernel = &kernel->base.base;
    return plan_multinomial(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_multinomial = {
    {"", "Multinomial", create_multinomial, 0},
    {.type = NULL},
};
