/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: pools as pool.h declares them. */
#include "backend/cpu/kernels/pool.h"

#include "backend/cpu/simd/simd.h"

#include <math.h>

extern const mls__pool_kernels MLS_ISA_NAME(pool);

/* Positions past this are no longer an int32 index for sixteen lanes. */
#define MAX_STRIDE (1 << 26)

typedef mls_vf (*step_op)(mls_vf sum, mls_vf x);

MLS_SIMD_FN mls_vf step_max(mls_vf max, mls_vf x)
{
    return vf_max_nan(max, x);
}

MLS_SIMD_FN mls_vf step_max_numbers(mls_vf max, mls_vf x)
{
    return vf_max(max, x);
}

MLS_SIMD_FN mls_vf step_sum(mls_vf sum, mls_vf x)
{
    return vf_add(sum, x);
}

MLS_SIMD_FN mls_vf step_sum_abs(mls_vf sum, mls_vf x)
{
    return vf_add(sum, vf_abs(x));
}

MLS_SIMD_FN mls_vf step_sum_square(mls_vf sum, mls_vf x)
{
    return vf_fma(x, x, sum);
}

/* Of the elements from i on, as many as there are lanes. */
MLS_SIMD_FN void reduce_rows_at(step_op step, float neutral, float *y, const void *const *rows,
                                int64_t count, int64_t i, int lanes)
{
    mls_vf v = vf_set1(neutral);
    for (int64_t r = 0; r < count; r++)
        v = step(v, vf_load_n((const float *) rows[r] + i, lanes));
    vf_store_n(y + i, v, lanes);
}

MLS_SIMD_FN void reduce_some_rows(step_op step, float neutral, float *y, const void *const *rows,
                                  int64_t count, int64_t n)
{
    int64_t i = 0;
    for (; i + MLS_LANES <= n; i += MLS_LANES)
        reduce_rows_at(step, neutral, y, rows, count, i, MLS_LANES);
    if (i < n)
        reduce_rows_at(step, neutral, y, rows, count, i, (int) (n - i));
}

/* With a constant count, as most windows have, rows are in registers, and no loop goes over them.
 */
MLS_SIMD_FN void reduce_rows(step_op step, float neutral, float *y, const void *const *rows,
                             int64_t count, int64_t n)
{
    if (count == 2) {
        const void *const own[] = {rows[0], rows[1]};
        reduce_some_rows(step, neutral, y, own, 2, n);
    } else if (count == 3) {
        const void *const own[] = {rows[0], rows[1], rows[2]};
        reduce_some_rows(step, neutral, y, own, 3, n);
    } else {
        reduce_some_rows(step, neutral, y, rows, count, n);
    }
}

/* Windows next to each other: each position is a run. */
MLS_SIMD_FN mls_vf dense_at(step_op step, float neutral, const float *x, int64_t kernel,
                            int64_t dilation)
{
    mls_vf v = vf_set1(neutral);
    for (int64_t k = 0; k < kernel; k++)
        v = step(v, vf_load(x + k * dilation));
    return v;
}

MLS_SIMD_FN void reduce_dense(step_op step, float neutral, float *y, const float *x, int64_t n,
                              int64_t kernel, int64_t dilation)
{
    int64_t o = 0;
    for (; o + MLS_LANES <= n; o += MLS_LANES)
        vf_store(y + o, dense_at(step, neutral, x + o, kernel, dilation));
    if (o < n)
        vf_store_n(y + o, dense_at(step, neutral, x + o, kernel, dilation), (int) (n - o));
}

/* Windows two apart: every other element of two runs. */
MLS_SIMD_FN mls_vf pairs_at(step_op step, float neutral, const float *x, int64_t kernel,
                            int64_t dilation)
{
    mls_vf v = vf_set1(neutral);
    for (int64_t k = 0; k < kernel; k++, x += dilation)
        v = step(v, vf_even(vf_load(x), vf_load(x + MLS_LANES)));
    return v;
}

MLS_SIMD_FN void reduce_pairs(step_op step, float neutral, float *y, const float *x, int64_t n,
                              int64_t kernel, int64_t dilation)
{
    int64_t o = 0;
    for (; o + MLS_LANES <= n; o += MLS_LANES)
        vf_store(y + o, pairs_at(step, neutral, x + 2 * o, kernel, dilation));
    if (o < n)
        vf_store_n(y + o, pairs_at(step, neutral, x + 2 * o, kernel, dilation), (int) (n - o));
}

MLS_SIMD_FN void reduce_strided(step_op step, float neutral, float *y, const float *x, int64_t n,
                                int64_t kernel, int64_t stride, int64_t dilation)
{
    const mls_vi index = vi_mul(vi_iota(), vi_set1((int32_t) stride));
    for (int64_t o = 0; o < n; o += MLS_LANES) {
        const int lanes = lanes_at(o, n);
        const mls_vm mask = vm_first(lanes);
        const float *start = x + o * stride;
        mls_vf v = vf_set1(neutral);
        for (int64_t k = 0; k < kernel; k++)
            v = step(v, vf_gather_mask(vf_zero(), mask, start + k * dilation, index));
        vf_store_n(y + o, v, lanes);
    }
}

MLS_SIMD_FN void reduce_along(step_op step, float neutral, float *y, const float *x,
                              const mls__pool_along *along)
{
    const int64_t n = along->n, kernel = along->kernel, dilation = along->dilation;
    if (along->stride == 1 && kernel == 3) {
        reduce_dense(step, neutral, y, x, n, 3, dilation);
    } else if (along->stride == 1) {
        reduce_dense(step, neutral, y, x, n, kernel, dilation);
    } else if (along->stride == 2 && kernel == 2) {
        reduce_pairs(step, neutral, y, x, n, 2, dilation);
    } else if (along->stride == 2 && kernel == 3) {
        reduce_pairs(step, neutral, y, x, n, 3, dilation);
    } else if (along->stride == 2) {
        reduce_pairs(step, neutral, y, x, n, kernel, dilation);
    } else if (along->stride <= MAX_STRIDE) {
        reduce_strided(step, neutral, y, x, n, kernel, along->stride, dilation);
    } else {
        for (int64_t o = 0; o < n; o++)
            reduce_dense(step, neutral, y + o, x + o * along->stride, 1, kernel, dilation);
    }
}

/* x * 0 is NaN for infinities, too, which is as well: it only costs time. */
MLS_SIMD_FN mls_vf step_suspect(mls_vf suspect, mls_vf x)
{
    return vf_fma(x, vf_zero(), suspect);
}

static bool may_have_nan(const void *elements, int64_t n)
{
    const float *x = elements;
    mls_vf suspects[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    int64_t i = 0;
    for (; i + 4 * MLS_LANES <= n; i += 4 * MLS_LANES) {
        suspects[0] = step_suspect(suspects[0], vf_load(x + i));
        suspects[1] = step_suspect(suspects[1], vf_load(x + i + MLS_LANES));
        suspects[2] = step_suspect(suspects[2], vf_load(x + i + 2 * MLS_LANES));
        suspects[3] = step_suspect(suspects[3], vf_load(x + i + 3 * MLS_LANES));
    }
    for (; i < n; i += MLS_LANES)
        suspects[0] = step_suspect(suspects[0], vf_load_n(x + i, lanes_at(i, n)));
    const mls_vf left = vf_add(suspects[0], suspects[1]);
    const mls_vf right = vf_add(suspects[2], suspects[3]);
    return vm_any(vf_isnan(vf_add(left, right)));
}

/* The two steps of one op, as functions for the table. */
#define POOL_ROWS(name, neutral)                                                                   \
    static void rows_##name(void *y, const void *const *rows, int64_t count, int64_t n)            \
    {                                                                                              \
        reduce_rows(step_##name, neutral, y, rows, count, n);                                      \
    }
#define POOL_ALONG(name, neutral)                                                                  \
    static void along_##name(void *y, const void *x, int64_t rows, int64_t x_stride,               \
                             const mls__pool_along *along)                                         \
    {                                                                                              \
        for (int64_t r = 0; r < rows; r++)                                                         \
            reduce_along(step_##name, neutral, (float *) y + r * along->n,                         \
                         (const float *) x + r * x_stride, along);                                 \
    }

POOL_ROWS(max, -INFINITY)
POOL_ROWS(max_numbers, -INFINITY)
POOL_ROWS(sum, 0.0f)
POOL_ROWS(sum_abs, 0.0f)
POOL_ROWS(sum_square, 0.0f)
POOL_ALONG(max, -INFINITY)
POOL_ALONG(max_numbers, -INFINITY)
POOL_ALONG(sum, 0.0f)

const mls__pool_kernels MLS_ISA_NAME(pool) = {
    .rows =
        {
            [MLS__POOL_MAX] = rows_max,
            [MLS__POOL_MAX_NUMBERS] = rows_max_numbers,
            [MLS__POOL_SUM] = rows_sum,
            [MLS__POOL_SUM_ABS] = rows_sum_abs,
            [MLS__POOL_SUM_SQUARE] = rows_sum_square,
        },
    .along =
        {
            [MLS__POOL_MAX] = along_max,
            [MLS__POOL_MAX_NUMBERS] = along_max_numbers,
            [MLS__POOL_SUM] = along_sum,
            [MLS__POOL_SUM_ABS] = along_sum,
            [MLS__POOL_SUM_SQUARE] = along_sum,
        },
    .may_have_nan = may_have_nan,
};
