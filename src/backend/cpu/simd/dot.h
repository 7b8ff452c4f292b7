/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dot products of bytes on the virtual vector: 16 groups of four, one a lane of int32. One side's
 * bytes are unsigned, the other's signed, as VNNI has it; where there is no such instruction the
 * bytes are widened to 16 bits, even and odd ones apart, whose products and sums are exact. (The
 * older pmaddubsw saturates.) Sums wrap around, on every instruction set alike.
 *
 *   vu_load(p) vs_load(p)    64 bytes: group i, for lane i, at p[4 * i]
 *   vu_set4(g) vs_set4(g)    one group for all lanes; its first byte is the lowest of g's
 *   vi_dot4(sum, u, s)       sum[i] + u[4 i] * s[4 i] + .. + u[4 i + 3] * s[4 i + 3]
 */
#ifndef MLS_BACKEND_CPU_SIMD_DOT_H
#define MLS_BACKEND_CPU_SIMD_DOT_H

#include "backend/cpu/simd/bytes.h"

#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_VNNI)

typedef __m512i mls_vu;
typedef __m512i mls_vs;

MLS_SIMD_FN mls_vu vu_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

MLS_SIMD_FN mls_vs vs_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

MLS_SIMD_FN mls_vu vu_set4(uint32_t group)
{
    return _mm512_set1_epi32((int32_t) group);
}

MLS_SIMD_FN mls_vs vs_set4(uint32_t group)
{
    return _mm512_set1_epi32((int32_t) group);
}

MLS_SIMD_FN mls_vi vi_dot4(mls_vi sum, mls_vu u, mls_vs s)
{
    return _mm512_dpbusd_epi32(sum, u, s);
}

#elif defined(MLS_SIMD_AVX512)

typedef struct {
    __m512i even, odd;
} mls_vu;
typedef mls_vu mls_vs;

MLS_SIMD_FN mls_vu vu_of(__m512i bytes)
{
    return (mls_vu){_mm512_and_si512(bytes, _mm512_set1_epi16(0xff)), _mm512_srli_epi16(bytes, 8)};
}

MLS_SIMD_FN mls_vs vs_of(__m512i bytes)
{
    return (mls_vs){_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8), _mm512_srai_epi16(bytes, 8)};
}

MLS_SIMD_FN mls_vu vu_load(const void *p)
{
    return vu_of(_mm512_loadu_si512(p));
}

MLS_SIMD_FN mls_vs vs_load(const void *p)
{
    return vs_of(_mm512_loadu_si512(p));
}

MLS_SIMD_FN mls_vu vu_set4(uint32_t group)
{
    return vu_of(_mm512_set1_epi32((int32_t) group));
}

MLS_SIMD_FN mls_vs vs_set4(uint32_t group)
{
    return vs_of(_mm512_set1_epi32((int32_t) group));
}

MLS_SIMD_FN mls_vi vi_dot4(mls_vi sum, mls_vu u, mls_vs s)
{
    const __m512i even = _mm512_madd_epi16(u.even, s.even);
    const __m512i odd = _mm512_madd_epi16(u.odd, s.odd);
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}

#elif defined(MLS_SIMD_AVX2) && defined(MLS_SIMD_VNNI)

typedef mls_vi mls_vu;
typedef mls_vi mls_vs;

MLS_SIMD_FN mls_vu vu_load(const void *p)
{
    return vi_load(p);
}

MLS_SIMD_FN mls_vs vs_load(const void *p)
{
    return vi_load(p);
}

MLS_SIMD_FN mls_vu vu_set4(uint32_t group)
{
    return vi_set1((int32_t) group);
}

MLS_SIMD_FN mls_vs vs_set4(uint32_t group)
{
    return vi_set1((int32_t) group);
}

MLS_SIMD_FN mls_vi vi_dot4(mls_vi sum, mls_vu u, mls_vs s)
{
    return (mls_vi){{_mm256_dpbusd_avx_epi32(sum.h[0], u.h[0], s.h[0]),
                     _mm256_dpbusd_avx_epi32(sum.h[1], u.h[1], s.h[1])}};
}

#elif defined(MLS_SIMD_AVX2)

typedef struct {
    __m256i even[2], odd[2];
} mls_vu;
typedef mls_vu mls_vs;

MLS_SIMD_FN mls_vu vu_of(__m256i low, __m256i high)
{
    const __m256i mask = _mm256_set1_epi16(0xff);
    return (mls_vu){{_mm256_and_si256(low, mask), _mm256_and_si256(high, mask)},
                    {_mm256_srli_epi16(low, 8), _mm256_srli_epi16(high, 8)}};
}

MLS_SIMD_FN mls_vs vs_of(__m256i low, __m256i high)
{
    return (mls_vs){{_mm256_srai_epi16(_mm256_slli_epi16(low, 8), 8),
                     _mm256_srai_epi16(_mm256_slli_epi16(high, 8), 8)},
                    {_mm256_srai_epi16(low, 8), _mm256_srai_epi16(high, 8)}};
}

MLS_SIMD_FN mls_vu vu_load(const void *p)
{
    const mls_vi bytes = vi_load(p);
    return vu_of(bytes.h[0], bytes.h[1]);
}

MLS_SIMD_FN mls_vs vs_load(const void *p)
{
    const mls_vi bytes = vi_load(p);
    return vs_of(bytes.h[0], bytes.h[1]);
}

MLS_SIMD_FN mls_vu vu_set4(uint32_t group)
{
    const __m256i bytes = _mm256_set1_epi32((int32_t) group);
    return vu_of(bytes, bytes);
}

MLS_SIMD_FN mls_vs vs_set4(uint32_t group)
{
    const __m256i bytes = _mm256_set1_epi32((int32_t) group);
    return vs_of(bytes, bytes);
}

MLS_SIMD_FN __m256i dot4_of_half(__m256i sum, mls_vu u, mls_vs s, int half)
{
    const __m256i even = _mm256_madd_epi16(u.even[half], s.even[half]);
    const __m256i odd = _mm256_madd_epi16(u.odd[half], s.odd[half]);
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

MLS_SIMD_FN mls_vi vi_dot4(mls_vi sum, mls_vu u, mls_vs s)
{
    return (mls_vi){{dot4_of_half(sum.h[0], u, s, 0), dot4_of_half(sum.h[1], u, s, 1)}};
}

#elif defined(MLS_SIMD_NEON)

typedef struct {
    int16x8_t even[4], odd[4];
} mls_vu;
typedef mls_vu mls_vs;

MLS_SIMD_FN void vu_put(mls_vu *v, int q, uint16x8_t pairs)
{
    v->even[q] = vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(0xff)));
    v->odd[q] = vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8));
}

MLS_SIMD_FN void vs_put(mls_vs *v, int q, int16x8_t pairs)
{
    v->even[q] = vshrq_n_s16(vshlq_n_s16(pairs, 8), 8);
    v->odd[q] = vshrq_n_s16(pairs, 8);
}

MLS_SIMD_FN mls_vu vu_load(const void *p)
{
    const uint8_t *bytes = p;
    mls_vu v;
    MLS_UNROLL
    for (int q = 0; q < 4; q++)
        vu_put(&v, q, vreinterpretq_u16_u8(vld1q_u8(bytes + 16 * q)));
    return v;
}

MLS_SIMD_FN mls_vs vs_load(const void *p)
{
    const uint8_t *bytes = p;
    mls_vs v;
    MLS_UNROLL
    for (int q = 0; q < 4; q++)
        vs_put(&v, q, vreinterpretq_s16_u8(vld1q_u8(bytes + 16 * q)));
    return v;
}

MLS_SIMD_FN mls_vu vu_set4(uint32_t group)
{
    mls_vu v;
    MLS_UNROLL
    for (int q = 0; q < 4; q++)
        vu_put(&v, q, vreinterpretq_u16_u32(vdupq_n_u32(group)));
    return v;
}

MLS_SIMD_FN mls_vs vs_set4(uint32_t group)
{
    mls_vs v;
    MLS_UNROLL
    for (int q = 0; q < 4; q++)
        vs_put(&v, q, vreinterpretq_s16_u32(vdupq_n_u32(group)));
    return v;
}

MLS_SIMD_FN mls_vi vi_dot4(mls_vi sum, mls_vu u, mls_vs s)
{
    MLS_UNROLL
    for (int q = 0; q < 4; q++) {
        int32x4_t low = vmull_s16(vget_low_s16(u.even[q]), vget_low_s16(s.even[q]));
        int32x4_t high = vmull_high_s16(u.even[q], s.even[q]);
        low = vmlal_s16(low, vget_low_s16(u.odd[q]), vget_low_s16(s.odd[q]));
        high = vmlal_high_s16(high, u.odd[q], s.odd[q]);
        sum.q[q] = vaddq_s32(sum.q[q], vpaddq_s32(low, high));
    }
    return sum;
}

#else

typedef struct {
    uint8_t bytes[MLS_GROUP_BYTES];
} mls_vu;
typedef struct {
    int8_t bytes[MLS_GROUP_BYTES];
} mls_vs;

MLS_SIMD_FN mls_vu vu_load(const void *p)
{
    mls_vu v;
    memcpy(v.bytes, p, sizeof v.bytes);
    return v;
}

MLS_SIMD_FN mls_vs vs_load(const void *p)
{
    mls_vs v;
    memcpy(v.bytes, p, sizeof v.bytes);
    return v;
}

MLS_SIMD_FN mls_vu vu_set4(uint32_t group)
{
    mls_vu v;
    for (int i = 0; i < MLS_GROUP_BYTES; i++)
        v.bytes[i] = (uint8_t) (group >> 8 * (i % MLS_GROUP) & 0xffu);
    return v;
}

MLS_SIMD_FN mls_vs vs_set4(uint32_t group)
{
    mls_vs v;
    const mls_vu u = vu_set4(group);
    memcpy(v.bytes, u.bytes, sizeof v.bytes);
    return v;
}

MLS_SIMD_FN mls_vi vi_dot4(mls_vi sum, mls_vu u, mls_vs s)
{
    for (int i = 0; i < MLS_LANES; i++) {
        int32_t dot = 0;
        for (int k = 0; k < MLS_GROUP; k++)
            dot += u.bytes[i * MLS_GROUP + k] * s.bytes[i * MLS_GROUP + k];
        sum.lane[i] = (int32_t) ((uint32_t) sum.lane[i] + (uint32_t) dot);
    }
    return sum;
}

#endif

#endif
