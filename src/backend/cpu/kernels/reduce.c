/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the reductions that reduce.h declares. */
#include "backend/cpu/kernels/reduce.h"

#include "backend/cpu/kernels/row_ops.h"

extern const mls__reduce_kernels MLS_ISA_NAME(reduce);

MLS_SIMD_FN mls_vf step_sum_abs(mls_vf sum, mls_vf x, mls_vf shift)
{
    (void) shift;
    return vf_add(sum, vf_abs(x));
}

MLS_SIMD_FN mls_vf step_sum_square(mls_vf sum, mls_vf x, mls_vf shift)
{
    (void) shift;
    return vf_fma(x, x, sum);
}

MLS_SIMD_FN mls_vf step_prod(mls_vf product, mls_vf x, mls_vf shift)
{
    (void) shift;
    return vf_mul(product, x);
}

MLS_SIMD_FN mls_vf step_max(mls_vf max, mls_vf x, mls_vf shift)
{
    (void) shift;
    return vf_max_nan(max, x);
}

MLS_SIMD_FN mls_vf step_min(mls_vf min, mls_vf x, mls_vf shift)
{
    (void) shift;
    return vf_min_nan(min, x);
}

/* The reductions of one op, as functions for the table. */
#define REDUCE_RUNS(name, step, join, neutral)                                                     \
    static float row_##name(const float *x, int64_t n)                                             \
    {                                                                                              \
        return reduce_row(step, join, neutral, x, n, 0.0f);                                        \
    }                                                                                              \
    static void rows_##name(float *y, const float *x, int64_t rows, int64_t n)                     \
    {                                                                                              \
        for (int64_t r = 0; r < rows; r++)                                                         \
            y[r] = reduce_row(step, join, neutral, x + r * n, n, 0.0f);                            \
    }                                                                                              \
    static void columns_##name(float *y, const float *x, int64_t rows, int64_t stride,             \
                               int64_t columns)                                                    \
    {                                                                                              \
        reduce_columns(step, neutral, y, x, rows, stride, columns);                                \
    }

REDUCE_RUNS(sum, step_sum, vf_add, 0.0f)
REDUCE_RUNS(sum_abs, step_sum_abs, vf_add, 0.0f)
REDUCE_RUNS(sum_square, step_sum_square, vf_add, 0.0f)
REDUCE_RUNS(prod, step_prod, vf_mul, 1.0f)
REDUCE_RUNS(max, step_max, vf_max_nan, -INFINITY)
REDUCE_RUNS(min, step_min, vf_min_nan, INFINITY)

/* A maximum that is infinite must not be subtracted: 0 gives what the definition does. */
MLS_SIMD_FN mls_vf finite_or_zero(mls_vf max)
{
    return vf_select(vf_eq(vf_abs(max), vf_set1(INFINITY)), vf_zero(), max);
}

static float row_log_sum_exp(const float *x, int64_t n)
{
    const mls_vf max = vf_set1(row_max(x, n));
    const mls_vf shift = finite_or_zero(max);
    const float sum = reduce_row(step_sum_exp, vf_add, 0.0f, x, n, vf_lane0(shift));
    return vf_lane0(vf_add(vf_log(vf_set1(sum)), shift));
}

static void rows_log_sum_exp(float *y, const float *x, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        y[r] = row_log_sum_exp(x + r * n, n);
}

static void columns_log_sum_exp(float *y, const float *x, int64_t rows, int64_t stride,
                                int64_t columns)
{
    for (int64_t j = 0; j < columns; j += MLS_LANES) {
        const int lanes = lanes_at(j, columns);
        const mls_vf max =
            reduce_column(step_max, -INFINITY, x + j, rows, stride, lanes, vf_zero());
        const mls_vf shift = finite_or_zero(max);
        const mls_vf sum = reduce_column(step_sum_exp, 0.0f, x + j, rows, stride, lanes, shift);
        vf_store_n(y + j, vf_add(vf_log(sum), shift), lanes);
    }
}

const mls__reduce_kernels MLS_ISA_NAME(reduce) = {
    .row =
        {
            [MLS__REDUCE_SUM] = row_sum,
            [MLS__REDUCE_SUM_ABS] = row_sum_abs,
            [MLS__REDUCE_SUM_SQUARE] = row_sum_square,
            [MLS__REDUCE_PROD] = row_prod,
            [MLS__REDUCE_MAX] = row_max,
            [MLS__REDUCE_MIN] = row_min,
            [MLS__REDUCE_LOG_SUM_EXP] = row_log_sum_exp,
        },
    .rows =
        {
            [MLS__REDUCE_SUM] = rows_sum,
            [MLS__REDUCE_SUM_ABS] = rows_sum_abs,
            [MLS__REDUCE_SUM_SQUARE] = rows_sum_square,
            [MLS__REDUCE_PROD] = rows_prod,
            [MLS__REDUCE_MAX] = rows_max,
            [MLS__REDUCE_MIN] = rows_min,
            [MLS__REDUCE_LOG_SUM_EXP] = rows_log_sum_exp,
        },
    .columns =
        {
            [MLS__REDUCE_SUM] = columns_sum,
            [MLS__REDUCE_SUM_ABS] = columns_sum_abs,
            [MLS__REDUCE_SUM_SQUARE] = columns_sum_square,
            [MLS__REDUCE_PROD] = columns_prod,
            [MLS__REDUCE_MAX] = columns_max,
            [MLS__REDUCE_MIN] = columns_min,
            [MLS__REDUCE_LOG_SUM_EXP] = columns_log_sum_exp,
        },
};
