/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the transforms that scores.h declares. */
#include "backend/cpu/kernels/scores.h"

#include "backend/cpu/simd/math.h"
#include "backend/cpu/simd/simd.h"

#include <float.h>

extern const mls__score_kernels MLS_ISA_NAME(scores);

/* NaN counts for nothing here; it comes back with the exponentials. */
MLS_SIMD_FN mls_vf row_max(const float *y, int64_t columns)
{
    mls_vf max = vf_set1(-FLT_MAX);
    for (int64_t i = 0; i < columns; i += MLS_LANES) {
        const int n = lanes_at(i, columns);
        max = vf_select(vm_first(n), vf_max(vf_load_n(y + i, n), max), max);
    }
    return vf_set1(vf_hmax(max));
}

MLS_SIMD_FN void divide_row(float *y, int64_t columns, mls_vf sum)
{
    const mls_vf divisor = vf_set1(vf_hsum(sum));
    for (int64_t i = 0; i < columns; i += MLS_LANES) {
        const int n = lanes_at(i, columns);
        vf_store_n(y + i, vf_div(vf_load_n(y + i, n), divisor), n);
    }
}

static void softmax_zero(float *y, int64_t rows, int64_t columns)
{
    const mls_vf near = vf_set1(0.0000001f);
    for (; rows > 0; rows--, y += columns) {
        const mls_vf max = row_max(y, columns);
        const mls_vf scale = vf_exp(vf_neg(max));
        mls_vf sum = vf_zero();
        for (int64_t i = 0; i < columns; i += MLS_LANES) {
            const int n = lanes_at(i, columns);
            const mls_vf x = vf_load_n(y + i, n);
            const mls_vf e = vf_exp(vf_sub(x, max));
            const mls_vm counts = vm_and(vf_gt(vf_abs(x), near), vm_first(n));
            sum = vf_select(counts, vf_add(sum, e), sum);
            vf_store_n(y + i, vf_select(counts, e, vf_mul(x, scale)), n);
        }
        divide_row(y, columns, sum);
    }
}

/*
 * sqrt(2) erfinv(2 y - 1) after Winitzki, with a = 0.147: the root of sqrt(v^2 - w) - v, which is
 * -w / (sqrt(v^2 - w) + v) where that does not cancel.
 */
MLS_SIMD_FN mls_vf quantile(mls_vf y)
{
    const float pi_a = 3.14159274f * 0.147f, inverse_a = 1.0f / 0.147f;
    const mls_vf one = vf_set1(1.0f), zero = vf_zero();
    const mls_vf x = vf_sub(vf_add(y, y), one);
    const mls_vf log = vf_log(vf_mul(vf_sub(one, x), vf_add(one, x)));
    const mls_vf v = vf_add(vf_set1(2.0f / pi_a), vf_mul(vf_set1(0.5f), log));
    const mls_vf w = vf_mul(vf_set1(inverse_a), log);
    const mls_vf r = vf_sqrt(vf_sub(vf_mul(v, v), w));
    const mls_vf quotient = vf_div(vf_neg(w), vf_add(r, v));
    const mls_vf root = vf_sqrt(vf_select(vf_gt(v, zero), quotient, vf_sub(r, v)));
    return vf_mul(vf_set1(1.41421356f), vf_select(vf_lt(x, zero), vf_neg(root), root));
}

static void probit(float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_n(y + i, quantile(vf_load_n(y + i, lanes)), lanes);
    }
}

const mls__score_kernels MLS_ISA_NAME(scores) = {
    .softmax_zero = softmax_zero,
    .probit = probit,
};
