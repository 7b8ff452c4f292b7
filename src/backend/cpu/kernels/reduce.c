/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the reductions that reduce.h declares. */
#include "backend/cpu/kernels/reduce.h"

#include "backend/cpu/simd/simd.h"

#include <math.h>

extern const mls__reduce_kernels MLS_ISA_NAME(reduce);

/* Takes x into the accumulator; and joins two accumulators. */
typedef mls_vf (*step_op)(mls_vf sum, mls_vf x);

MLS_SIMD_FN mls_vf step_sum_abs(mls_vf sum, mls_vf x)
{
    return vf_add(sum, vf_abs(x));
}

MLS_SIMD_FN mls_vf step_sum_square(mls_vf sum, mls_vf x)
{
    return vf_fma(x, x, sum);
}

/* One level of the tree after another; the first two join whole vectors. */
MLS_SIMD_FN float tree(step_op join, const mls_vf lanes[4])
{
    const mls_vf even = join(lanes[0], lanes[2]);
    const mls_vf odd = join(lanes[1], lanes[3]);
    mls_vf v = join(even, odd);
    v = join(v, vf_down8(v));
    v = join(v, vf_down4(v));
    v = join(v, vf_down2(v));
    return vf_lane0(join(v, vf_down1(v)));
}

/* `step` and `join` are constants in every caller, so that they are inlined. */
MLS_SIMD_FN float run_row(step_op step, step_op join, float neutral, const float *x, int64_t n)
{
    const mls_vf start = vf_set1(neutral);
    mls_vf lanes[4] = {start, start, start, start};
    int64_t i = 0;
    for (; i + 4 * MLS_LANES <= n; i += 4 * MLS_LANES) {
        lanes[0] = step(lanes[0], vf_load(x + i));
        lanes[1] = step(lanes[1], vf_load(x + i + MLS_LANES));
        lanes[2] = step(lanes[2], vf_load(x + i + 2 * MLS_LANES));
        lanes[3] = step(lanes[3], vf_load(x + i + 3 * MLS_LANES));
    }
    for (int k = 0; i < n; k++, i += MLS_LANES) {
        const int rest = n - i < MLS_LANES ? (int)(n - i) : MLS_LANES;
        const mls_vf next = step(lanes[k], vf_load_n(x + i, rest));
        lanes[k] = vf_select(vm_first(rest), next, lanes[k]);
    }
    return tree(join, lanes);
}

MLS_SIMD_FN void run_columns(step_op step, float neutral, float *y, const float *x, int64_t rows,
                             int64_t stride, int64_t columns)
{
    int64_t j = 0;
    for (; j + 4 * MLS_LANES <= columns; j += 4 * MLS_LANES) {
        mls_vf v[4] = {vf_set1(neutral), vf_set1(neutral), vf_set1(neutral), vf_set1(neutral)};
        const float *row = x + j;
        for (int64_t i = 0; i < rows; i++, row += stride) {
            v[0] = step(v[0], vf_load(row));
            v[1] = step(v[1], vf_load(row + MLS_LANES));
            v[2] = step(v[2], vf_load(row + 2 * MLS_LANES));
            v[3] = step(v[3], vf_load(row + 3 * MLS_LANES));
        }
        for (int k = 0; k < 4; k++)
            vf_store(y + j + k * MLS_LANES, v[k]);
    }
    for (; j < columns; j += MLS_LANES) {
        const int rest = columns - j < MLS_LANES ? (int)(columns - j) : MLS_LANES;
        mls_vf v = vf_set1(neutral);
        for (int64_t i = 0; i < rows; i++)
            v = step(v, vf_load_n(x + i * stride + j, rest));
        vf_store_n(y + j, v, rest);
    }
}

/* The reductions of one op, as functions for the table. */
#define REDUCE_RUNS(name, step, join, neutral)                                                     \
    static float row_##name(const float *x, int64_t n)                                             \
    {                                                                                              \
        return run_row(step, join, neutral, x, n);                                                 \
    }                                                                                              \
    static void columns_##name(float *y, const float *x, int64_t rows, int64_t stride,             \
                               int64_t columns)                                                    \
    {                                                                                              \
        run_columns(step, neutral, y, x, rows, stride, columns);                                   \
    }

REDUCE_RUNS(sum, vf_add, vf_add, 0.0f)
REDUCE_RUNS(sum_abs, step_sum_abs, vf_add, 0.0f)
REDUCE_RUNS(sum_square, step_sum_square, vf_add, 0.0f)
REDUCE_RUNS(prod, vf_mul, vf_mul, 1.0f)
REDUCE_RUNS(max, vf_max_nan, vf_max_nan, -INFINITY)
REDUCE_RUNS(min, vf_min_nan, vf_min_nan, INFINITY)

const mls__reduce_kernels MLS_ISA_NAME(reduce) = {
    .row =
        {
            [MLS__REDUCE_SUM] = row_sum,
            [MLS__REDUCE_SUM_ABS] = row_sum_abs,
            [MLS__REDUCE_SUM_SQUARE] = row_sum_square,
            [MLS__REDUCE_PROD] = row_prod,
            [MLS__REDUCE_MAX] = row_max,
            [MLS__REDUCE_MIN] = row_min,
        },
    .columns =
        {
            [MLS__REDUCE_SUM] = columns_sum,
            [MLS__REDUCE_SUM_ABS] = columns_sum_abs,
            [MLS__REDUCE_SUM_SQUARE] = columns_sum_square,
            [MLS__REDUCE_PROD] = columns_prod,
            [MLS__REDUCE_MAX] = columns_max,
            [MLS__REDUCE_MIN] = columns_min,
        },
};
