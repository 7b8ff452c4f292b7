/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical order of reductions (reduce.h) over a row and over columns, for any step. Steps
 * and joins are constants in every caller, so that they are inlined.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_ROW_OPS_H
#define MLS_BACKEND_CPU_KERNELS_ROW_OPS_H

#include "backend/cpu/simd/math.h"

/* Takes x into an accumulator. Some steps need another value of the row or column, its shift. */
typedef mls_vf (*step_op)(mls_vf sum, mls_vf x, mls_vf shift);
/* Joins two accumulators, the lower lanes on the left. */
typedef mls_vf (*join_op)(mls_vf left, mls_vf right);

MLS_SIMD_FN mls_vf step_sum(mls_vf sum, mls_vf x, mls_vf shift)
{
    (void) shift;
    return vf_add(sum, x);
}

MLS_SIMD_FN mls_vf step_sum_exp(mls_vf sum, mls_vf x, mls_vf shift)
{
    return vf_add(sum, vf_exp(vf_sub(x, shift)));
}

/* One level of the tree after another; the first two join whole vectors. */
MLS_SIMD_FN float join_lanes(join_op join, const mls_vf lanes[4])
{
    const mls_vf even = join(lanes[0], lanes[2]);
    const mls_vf odd = join(lanes[1], lanes[3]);
    mls_vf v = join(even, odd);
    v = join(v, vf_down8(v));
    v = join(v, vf_down4(v));
    v = join(v, vf_down2(v));
    return vf_lane0(join(v, vf_down1(v)));
}

MLS_SIMD_FN float reduce_row(step_op step, join_op join, float neutral, const float *x, int64_t n,
                             float shift)
{
    const mls_vf start = vf_set1(neutral);
    const mls_vf s = vf_set1(shift);
    mls_vf lanes[4] = {start, start, start, start};
    int64_t i = 0;
    for (; i + 4 * MLS_LANES <= n; i += 4 * MLS_LANES) {
        lanes[0] = step(lanes[0], vf_load(x + i), s);
        lanes[1] = step(lanes[1], vf_load(x + i + MLS_LANES), s);
        lanes[2] = step(lanes[2], vf_load(x + i + 2 * MLS_LANES), s);
        lanes[3] = step(lanes[3], vf_load(x + i + 3 * MLS_LANES), s);
    }
    /* Three whole vectors and a part of one may be left; a lane without an element stays. */
    MLS_UNROLL
    for (int k = 0; k < 4; k++, i += MLS_LANES) {
        if (i >= n)
            break;
        const int rest = lanes_at(i, n);
        const mls_vf next = step(lanes[k], vf_load_n(x + i, rest), s);
        lanes[k] = vf_select(vm_first(rest), next, lanes[k]);
    }
    return join_lanes(join, lanes);
}

/* The first `columns` <= 16 of them. */
MLS_SIMD_FN mls_vf reduce_column(step_op step, float neutral, const float *x, int64_t rows,
                                 int64_t stride, int columns, mls_vf shift)
{
    mls_vf v = vf_set1(neutral);
    if (columns == MLS_LANES) {
        for (int64_t i = 0; i < rows; i++, x += stride)
            v = step(v, vf_load(x), shift);
    } else {
        for (int64_t i = 0; i < rows; i++, x += stride)
            v = step(v, vf_load_n(x, columns), shift);
    }
    return v;
}

/* y[0 .. columns-1]; the steps get no shift. */
MLS_SIMD_FN void reduce_columns(step_op step, float neutral, float *y, const float *x, int64_t rows,
                                int64_t stride, int64_t columns)
{
    const mls_vf start = vf_set1(neutral);
    int64_t j = 0;
    for (; j + 4 * MLS_LANES <= columns; j += 4 * MLS_LANES) {
        mls_vf v0 = start, v1 = start, v2 = start, v3 = start;
        const float *row = x + j;
        for (int64_t i = 0; i < rows; i++, row += stride) {
            v0 = step(v0, vf_load(row), start);
            v1 = step(v1, vf_load(row + MLS_LANES), start);
            v2 = step(v2, vf_load(row + 2 * MLS_LANES), start);
            v3 = step(v3, vf_load(row + 3 * MLS_LANES), start);
        }
        vf_store(y + j, v0);
        vf_store(y + j + MLS_LANES, v1);
        vf_store(y + j + 2 * MLS_LANES, v2);
        vf_store(y + j + 3 * MLS_LANES, v3);
    }
    for (; j < columns; j += MLS_LANES) {
        const int rest = lanes_at(j, columns);
        vf_store_n(y + j, reduce_column(step, neutral, x + j, rows, stride, rest, start), rest);
    }
}

#endif
