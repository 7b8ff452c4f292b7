/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dot products of bfloat16 on the virtual vector: 16 pairs, one a lane of float32. A lane takes the
 * second product of its pair, then the first, each by a fused multiply-add. Without AVX512-BF16
 * the pairs are widened to float32, with the same results; but that instruction takes denormals as
 * zeros, the results of float32 too.
 *
 *   vp_load(p)               16 pairs: that of lane i is p[2 * i] and p[2 * i + 1]
 *   vp_set(p)                one pair, p[0] and p[1], for all lanes
 *   vf_dot2(sum, a, b)       fma(a[2 i], b[2 i], fma(a[2 i + 1], b[2 i + 1], sum[i]))
 *   vf_round_bf16(p, v)      16 elements, each rounded to nearest even
 */
#ifndef MLS_BACKEND_CPU_SIMD_DOT2_H
#define MLS_BACKEND_CPU_SIMD_DOT2_H

#include "backend/cpu/simd/simd.h"

#define MLS_PAIR 2

#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_BF16)

typedef __m512i mls_vp;

MLS_SIMD_FN mls_vp vp_load(const uint16_t *p)
{
    return _mm512_loadu_si512(p);
}

MLS_SIMD_FN mls_vp vp_set(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

MLS_SIMD_FN mls_vf vf_dot2(mls_vf sum, mls_vp a, mls_vp b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh) a, (__m512bh) b);
}

MLS_SIMD_FN void vf_round_bf16(uint16_t *p, mls_vf v)
{
    _mm256_storeu_si256((__m256i *) (void *) p, (__m256i) _mm512_cvtneps_pbh(v));
}

#else

typedef struct mls_vp {
    mls_vf first, second;
} mls_vp;

MLS_SIMD_FN mls_vp vp_of_bits(mls_vi pairs)
{
    return (mls_vp){vi_as_float(vi_shl(pairs, 16)), vi_as_float(vi_andnot(pairs, vi_set1(0xffff)))};
}

MLS_SIMD_FN mls_vp vp_load(const uint16_t *p)
{
#if defined(MLS_SIMD_AVX2) || defined(MLS_SIMD_AVX512)
    /* Intel's vector types may alias anything, and a copy on the stack costs twenty loads. */
    return vp_of_bits(vi_load((const int32_t *) (const void *) p));
#else
    int32_t pairs[MLS_LANES];
    memcpy(pairs, p, sizeof pairs);
    return vp_of_bits(vi_load(pairs));
#endif
}

MLS_SIMD_FN mls_vp vp_set(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return vp_of_bits(vi_set1(pair));
}

MLS_SIMD_FN mls_vf vf_dot2(mls_vf sum, mls_vp a, mls_vp b)
{
    return vf_fma(a.first, b.first, vf_fma(a.second, b.second, sum));
}

MLS_SIMD_FN void vf_round_bf16(uint16_t *p, mls_vf v)
{
    vf_store_bf16(p, v);
}

#endif
#endif
