/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the steps of an Einsum. 16-bit floats are computed in float32, with one rounding at the
 * end, and integers of fewer than 32 bits in int32, whose low bits are theirs.
 */
#include "backend/cpu/ops/einsum.h"

#include "backend/cpu/ops/binary_loops.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/reduce_plain.h"

/* Elements that are worth a second thread. */
#define GRAIN 16384

static void *region_at(const mls_kernel_call *call, const mls__einsum_region *region)
{
    return (char *) call->workspace + region->offset;
}

/* --- the type that is computed in ------------------------------------------------------------- */

static int32_t computed_dtype(int32_t dtype)
{
    if (mls__is_half(dtype))
        return MLS_FLOAT32;
    return mls_dtype_size((mls_dtype) dtype) < sizeof(int32_t) ? MLS_INT32 : dtype;
}

/* Numbers of one dtype as those of another, which holds them or has their low bits. */
static void convert(int32_t from, const char *x, int32_t to, char *y, int64_t n)
{
    static const mls__cast_rules rules;
    const int64_t x_size = (int64_t) mls_dtype_size((mls_dtype) from);
    const int64_t y_size = (int64_t) mls_dtype_size((mls_dtype) to);
    mls__wide wide;
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t block = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        mls__widen(from, &wide, x + i * x_size, block);
        mls__narrow(to, mls__wide_kind_of(from), &wide, y + i * y_size, block, &rules);
    }
}

static void widen(const mls__einsum_kernel *kernel, const void *x, void *y, int64_t n)
{
    if (mls__is_half(kernel->dtype))
        kernel->half.to_f32(y, x, n);
    else
        convert(kernel->dtype, x, kernel->computed, y, n);
}

static void narrow(const mls__einsum_kernel *kernel, const void *x, void *y, int64_t n)
{
    if (mls__is_half(kernel->dtype))
        kernel->half.from_f32(y, x, n);
    else
        convert(kernel->computed, x, kernel->dtype, y, n);
}

/* --- sums of rows ----------------------------------------------------------------------------- */

static uint32_t sum_u32(const uint32_t *x, int64_t n)
{
    uint32_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* Rows of n > 0 elements lie one after the other; those of n = 0 nowhere. */
static void sum_row(const mls__einsum_kernel *kernel, const void *x, int64_t n, int64_t row,
                    void *sums)
{
    const int64_t at = row * n;
    if (kernel->computed == MLS_FLOAT32)
        ((float *) sums)[row] =
            kernel->base.cpu->kernels->reduce->row[MLS__REDUCE_SUM]((const float *) x + at, n);
    else if (kernel->computed == MLS_FLOAT64)
        mls__reduce_f64.row[MLS__REDUCE_SUM]((double *) sums + row, (const double *) x + at, n);
    else if (mls_dtype_size((mls_dtype) kernel->computed) == sizeof(uint32_t))
        ((uint32_t *) sums)[row] = sum_u32((const uint32_t *) x + at, n);
    else
        mls__reduce_u64.row[MLS__REDUCE_SUM]((uint64_t *) sums + row, (const uint64_t *) x + at, n);
}

typedef struct sum_work {
    const mls__einsum_kernel *kernel;
    const void *x;
    int64_t n;
    void *sums;
} sum_work;

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    const sum_work *w = arg;
    for (int64_t i = begin; i < end; i++)
        sum_row(w->kernel, w->x, w->n, i, w->sums);
    return MLS_OK;
}

/* --- steps ------------------------------------------------------------------------------------ */

static const void *move(const mls__einsum_move *move, const mls_kernel_call *call, const void *x)
{
    if (!move->is_needed)
        return x;
    void *y = region_at(call, &move->region);
    mls__copy_run(&move->copy, call, y, x);
    return y;
}

/* Input `index`, widened and summed. */
static const void *prepare(const mls__einsum_kernel *kernel, const mls__einsum_operand *operand,
                           const mls_kernel_call *call, size_t index)
{
    const void *x = call->buffers[index];
    if (kernel->dtype != kernel->computed) {
        void *wide = region_at(call, &operand->wide);
        widen(kernel, x, wide, operand->count);
        x = wide;
    }
    if (!operand->is_summed)
        return x;
    sum_work w = {kernel, move(&operand->rows, call, x), operand->row_length,
                  region_at(call, &operand->sums)};
    mls__cpu_ranges(call, kernel->threads, operand->row_count, GRAIN / (w.n + 1) + 1, run_rows, &w);
    return w.sums;
}

typedef struct multiply_work {
    const mls__einsum_kernel *kernel;
    const char *a, *b;
    char *y;
} multiply_work;

static mls_status multiply_range(void *arg, int64_t begin, int64_t end)
{
    const multiply_work *w = arg;
    const int32_t dtype = w->kernel->computed;
    const int64_t at = begin * (int64_t) mls_dtype_size((mls_dtype) dtype);
    const void *a = w->a + at, *b = w->b + at;
    void *y = w->y + at;
    if (dtype != MLS_FLOAT32)
        return mls__binary_loop(MLS__BINARY_MUL, dtype)(y, a, 1, b, 1, end - begin);
    w->kernel->base.cpu->kernels->elementwise->binary[MLS__BINARY_MUL](y, a, 1, b, 1, end - begin);
    return MLS_OK;
}

static mls_status multiply(const mls__einsum_kernel *kernel, const mls__einsum_step *step,
                           const mls_kernel_call *call, const void *a, const void *b, void *y)
{
    multiply_work w = {kernel, a, b, y};
    if (step->is_elementwise)
        return mls__cpu_ranges(call, kernel->threads, step->result_count, GRAIN, multiply_range,
                               &w);
    void *buffers[] = {(void *) (uintptr_t) a, (void *) (uintptr_t) b, y};
    mls_kernel_call product = *call;
    product.buffers = buffers;
    product.workspace = region_at(call, &step->workspace);
    if (step->product.dtype == MLS_FLOAT32)
        return mls__product_run(&step->product.base.base, &product);
    return mls__product_run_plain(&step->product.base.base, &product);
}

static mls_status run_step(const mls__einsum_kernel *kernel, size_t index,
                           const mls_kernel_call *call, const void **result)
{
    const mls__einsum_step *step = &kernel->steps[index - 1];
    const void *next = prepare(kernel, &step->operand, call, index);
    const void *a = step->is_swapped ? next : *result, *b = step->is_swapped ? *result : next;
    void *y = step->gives_output ? call->buffers[kernel->operands] : region_at(call, &step->result);
    *result = y;
    if (step->result_count == 0)
        return MLS_OK;
    a = move(&step->sides[0], call, a);
    b = move(&step->sides[1], call, b);
    return multiply(kernel, step, call, a, b, y);
}

static mls_status run_einsum(const mls_kernel *base, const mls_kernel_call *call)
{
    const mls__einsum_kernel *kernel = (const mls__einsum_kernel *) base;
    void *y = call->buffers[kernel->operands];
    if (kernel->output_count == 0)
        return MLS_OK;
    const void *result = prepare(kernel, &kernel->first, call, 0);
    for (size_t i = 1; i < kernel->operands; i++) {
        const mls_status status = run_step(kernel, i, call, &result);
        if (status)
            return status;
    }
    if (kernel->dtype != kernel->computed)
        narrow(kernel, move(&kernel->last, call, result), y, kernel->output_count);
    else if (kernel->last.is_needed)
        mls__copy_run(&kernel->last.copy, call, y, result);
    else if (result != y)
        memcpy(y, result,
               (size_t) kernel->output_count * mls_dtype_size((mls_dtype) kernel->dtype));
    return MLS_OK;
}

/* --- kernels ---------------------------------------------------------------------------------- */

static mls_status einsum_reshape(mls_kernel *base, const mls_op *op)
{
    return mls__einsum_plan((mls__einsum_kernel *) base, op, false);
}

static mls_status create_einsum(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__einsum_kernel *kernel;
    const size_t size = sizeof *kernel + (op->input_count - 1) * sizeof kernel->steps[0];
    mls_status status = mls__cpu_kernel_create(cpu, op, size, "einsum", run_einsum, &kernel);
    if (status)
        return status;
    kernel->dtype = op->inputs[0].dtype;
    kernel->computed = computed_dtype(kernel->dtype);
    kernel->threads = op->threads;
    kernel->operands = op->input_count;
    if (mls__is_half(kernel->dtype))
        kernel->half = mls__half_of(cpu, kernel->dtype);
    kernel->base.base.reshape = einsum_reshape;
    status = mls__einsum_plan(kernel, op, true);
    if (status) {
        mls__cpu_kernel_free(&kernel->base.base);
        return status;
    }
    *ret_kernel = &kernel->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_einsum = {
    {"", "Einsum", create_einsum, 0},
    {.type = NULL},
};
