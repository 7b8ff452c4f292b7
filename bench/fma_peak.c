/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: enough independent sums to keep every multiplier busy. */
#include "fma_peak.h"

#include "backend/cpu/simd/simd.h"

/* Vectors: as many registers as hide the latency of the multipliers and still fit. */
#if defined(MLS_SIMD_AVX512)
#define SUMS 12
#elif defined(MLS_SIMD_AVX2) || defined(MLS_SIMD_NEON)
#define SUMS 6
#else
#define SUMS 1
#endif

double MLS_ISA_NAME(fma_peak)(int64_t count)
{
    /* Not known to the compiler, and no two lanes alike, or it would share their work. */
    volatile float seed = 1e-9f;
    float start[MLS_LANES];
    for (int i = 0; i < MLS_LANES; i++)
        start[i] = seed * (float) (i + 1);
    const mls_vf a = vf_sub(vf_set1(1.0f), vf_load(start)), b = vf_load(start);
    mls_vf sums[SUMS];
    MLS_UNROLL
    for (int i = 0; i < SUMS; i++)
        sums[i] = vf_mul(b, vf_set1((float) i));
    for (int64_t n = 0; n < count; n++) {
        MLS_UNROLL
        for (int i = 0; i < SUMS; i++)
            sums[i] = vf_fma(sums[i], a, b);
    }
    mls_vf sum = sums[0];
    MLS_UNROLL
    for (int i = 1; i < SUMS; i++)
        sum = vf_add(sum, sums[i]);
    volatile float used = vf_hsum(sum);
    (void) used;
    return 2.0 * SUMS * MLS_LANES * (double) count;
}
