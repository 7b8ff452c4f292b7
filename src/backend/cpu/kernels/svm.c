/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: what svm.h declares. */
#include "backend/cpu/kernels/svm.h"

#include "backend/cpu/simd/math.h"
#include "backend/cpu/simd/simd.h"

extern const mls__svm_kernels MLS_ISA_NAME(svm);

/* Panels at a time: as many chains of additions hide each other's latency. */
enum { PANELS = 4 };

/* `count` is a constant in every caller, so that the sums stay in registers. */
MLS_SIMD_FN void rbf_panels(const float *x, int64_t k, const float *panels, int count,
                            mls_vf minus_gamma, float *y, int last)
{
    mls_vf sum[PANELS];
    for (int p = 0; p < count; p++)
        sum[p] = vf_zero();
    for (int64_t i = 0; i < k; i++) {
        const mls_vf feature = vf_set1(x[i]);
        for (int p = 0; p < count; p++) {
            const mls_vf d = vf_sub(feature, vf_load(panels + (p * k + i) * MLS_LANES));
            sum[p] = vf_fma(d, d, sum[p]);
        }
    }
    for (int p = 0; p < count; p++)
        vf_store_n(y + p * MLS_LANES, vf_exp(vf_mul(minus_gamma, sum[p])),
                   p + 1 < count ? MLS_LANES : last);
}

static void rbf(const float *x, int64_t rows, int64_t k, const float *panels, int64_t n,
                float gamma, float *y)
{
    const mls_vf minus_gamma = vf_set1(-gamma);
    for (; rows > 0; rows--, x += k, y += n) {
        int64_t j = 0;
        for (; j + PANELS * MLS_LANES <= n; j += PANELS * MLS_LANES)
            rbf_panels(x, k, panels + j * k, PANELS, minus_gamma, y + j, MLS_LANES);
        for (; j < n; j += MLS_LANES)
            rbf_panels(x, k, panels + j * k, 1, minus_gamma, y + j, lanes_at(j, n));
    }
}

const mls__svm_kernels MLS_ISA_NAME(svm) = {
    .rbf = rbf,
};
