/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the sums that resize.h declares. */
#include "backend/cpu/kernels/resize.h"

#include "backend/cpu/simd/simd.h"

extern const mls__resize_kernels MLS_ISA_NAME(resize);

/* `taps` is a constant where there are two of them, the common case. */
MLS_SIMD_FN void blend_taps(float *y, const float *x, int64_t stride, const int32_t *index,
                            const float *weight, int64_t step, int64_t taps, int64_t n)
{
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        mls_vf sum = vf_mul(vf_set1(weight[0]), vf_load_n(x + index[0] * stride + i, lanes));
        for (int64_t t = 1; t < taps; t++) {
            const float *row = x + index[t * step] * stride;
            sum = vf_fma(vf_set1(weight[t * step]), vf_load_n(row + i, lanes), sum);
        }
        vf_store_n(y + i, sum, lanes);
    }
}

static void blend(float *y, const float *x, int64_t stride, const int32_t *index,
                  const float *weight, int64_t step, int64_t taps, int64_t n)
{
    if (taps == 2)
        blend_taps(y, x, stride, index, weight, step, 2, n);
    else
        blend_taps(y, x, stride, index, weight, step, taps, n);
}

MLS_SIMD_FN void pick_taps(float *y, const float *x, const int32_t *index, const float *weight,
                           int64_t taps, int64_t n)
{
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        const mls_vf first = vf_gather(x, vi_load_n(index + i, lanes));
        mls_vf sum = vf_mul(vf_load_n(weight + i, lanes), first);
        for (int64_t t = 1; t < taps; t++) {
            const int64_t at = t * n + i;
            const mls_vf next = vf_gather(x, vi_load_n(index + at, lanes));
            sum = vf_fma(vf_load_n(weight + at, lanes), next, sum);
        }
        vf_store_n(y + i, sum, lanes);
    }
}

static void pick(float *y, const float *x, const int32_t *index, const float *weight, int64_t taps,
                 int64_t n)
{
    if (taps == 2)
        pick_taps(y, x, index, weight, 2, n);
    else
        pick_taps(y, x, index, weight, taps, n);
}

static void twice(int32_t *y, const int32_t *x, int64_t n)
{
    int64_t i = 0;
    for (; i + MLS_LANES <= n; i += MLS_LANES)
        vi_store_twice(y + 2 * i, vi_load(x + i));
    for (; i < n; i++)
        y[2 * i] = y[2 * i + 1] = x[i];
}

const mls__resize_kernels MLS_ISA_NAME(resize) = {
    .blend = blend,
    .pick = pick,
    .twice = twice,
};
