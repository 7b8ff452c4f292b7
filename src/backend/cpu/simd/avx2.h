/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual vector on AVX2, FMA and F16C: two ymm registers, lanes 0..7 and 8..15. A mask is a
 * vector of all-ones or all-zeros lanes. The contract is in simd.h.
 */
#ifndef MLS_BACKEND_CPU_SIMD_AVX2_H
#define MLS_BACKEND_CPU_SIMD_AVX2_H

#include <immintrin.h>

typedef struct {
    __m256 h[2];
} mls_vf;

typedef struct {
    __m256i h[2];
} mls_vi;

typedef struct {
    __m256 h[2];
} mls_vm;

/* --- integers -------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vi vi_zero(void)
{
    return (mls_vi){{_mm256_setzero_si256(), _mm256_setzero_si256()}};
}

MLS_SIMD_FN mls_vi vi_set1(int32_t s)
{
    return (mls_vi){{_mm256_set1_epi32(s), _mm256_set1_epi32(s)}};
}

MLS_SIMD_FN mls_vi vi_iota(void)
{
    return (mls_vi){{_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                     _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)}};
}

MLS_SIMD_FN mls_vi vi_add(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_add_epi32(a.h[0], b.h[0]), _mm256_add_epi32(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_sub(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_sub_epi32(a.h[0], b.h[0]), _mm256_sub_epi32(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_mul(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_mullo_epi32(a.h[0], b.h[0]), _mm256_mullo_epi32(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_and(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_and_si256(a.h[0], b.h[0]), _mm256_and_si256(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_or(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_or_si256(a.h[0], b.h[0]), _mm256_or_si256(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_xor(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_xor_si256(a.h[0], b.h[0]), _mm256_xor_si256(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_min(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_min_epi32(a.h[0], b.h[0]), _mm256_min_epi32(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_max(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_max_epi32(a.h[0], b.h[0]), _mm256_max_epi32(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vi vi_andnot(mls_vi a, mls_vi b)
{
    return (mls_vi){{_mm256_andnot_si256(b.h[0], a.h[0]), _mm256_andnot_si256(b.h[1], a.h[1])}};
}

MLS_SIMD_FN mls_vi vi_shl(mls_vi v, int k)
{
    return (mls_vi){{_mm256_slli_epi32(v.h[0], k), _mm256_slli_epi32(v.h[1], k)}};
}

MLS_SIMD_FN mls_vi vi_shr(mls_vi v, int k)
{
    return (mls_vi){{_mm256_srli_epi32(v.h[0], k), _mm256_srli_epi32(v.h[1], k)}};
}

MLS_SIMD_FN mls_vi vi_sar(mls_vi v, int k)
{
    return (mls_vi){{_mm256_srai_epi32(v.h[0], k), _mm256_srai_epi32(v.h[1], k)}};
}

MLS_SIMD_FN mls_vi vi_load(const int32_t *p)
{
    const __m256i *half = (const __m256i *) (const void *) p;
    return (mls_vi){{_mm256_loadu_si256(half), _mm256_loadu_si256(half + 1)}};
}

MLS_SIMD_FN void vi_store(int32_t *p, mls_vi v)
{
    __m256i *half = (__m256i *) (void *) p;
    _mm256_storeu_si256(half, v.h[0]);
    _mm256_storeu_si256(half + 1, v.h[1]);
}

MLS_SIMD_FN void vi_store_twice(int32_t *p, mls_vi v)
{
    __m256i *target = (__m256i *) (void *) p;
    for (int i = 0; i < 2; i++) { /* pairs 0, 1, 4, 5 and 2, 3, 6, 7 */
        const __m256i outer = _mm256_unpacklo_epi32(v.h[i], v.h[i]);
        const __m256i inner = _mm256_unpackhi_epi32(v.h[i], v.h[i]);
        _mm256_storeu_si256(target + 2 * i, _mm256_permute2x128_si256(outer, inner, 0x20));
        _mm256_storeu_si256(target + 2 * i + 1, _mm256_permute2x128_si256(outer, inner, 0x31));
    }
}

/* Lanes 0..n-1 all ones: a window on ones then zeros. */
MLS_SIMD_FN mls_vi vi_first(int n)
{
    static const int32_t window[2 * MLS_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                  -1, -1, -1, -1, -1, -1, -1, -1};
    return vi_load(window + MLS_LANES - n);
}

MLS_SIMD_FN mls_vi vi_load_n(const int32_t *p, int n)
{
    if (n == MLS_LANES)
        return vi_load(p);
    const mls_vi m = vi_first(n);
    return (mls_vi){{_mm256_maskload_epi32(p, m.h[0]), _mm256_maskload_epi32(p + 8, m.h[1])}};
}

MLS_SIMD_FN void vi_store_n(int32_t *p, mls_vi v, int n)
{
    if (n == MLS_LANES) {
        vi_store(p, v);
        return;
    }
    const mls_vi m = vi_first(n);
    _mm256_maskstore_epi32(p, m.h[0], v.h[0]);
    _mm256_maskstore_epi32(p + 8, m.h[1], v.h[1]);
}

MLS_SIMD_FN mls_vi vi_load_u8(const uint8_t *p)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *) (const void *) p);
    return (mls_vi){{_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))}};
}

MLS_SIMD_FN mls_vi vi_load_i8(const int8_t *p)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *) (const void *) p);
    return (mls_vi){{_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))}};
}

MLS_SIMD_FN void vi_store_u8(uint8_t *p, mls_vi v)
{
    const __m256i low = _mm256_set1_epi32(0xff);
    const __m256i pairs =
        _mm256_packus_epi32(_mm256_and_si256(v.h[0], low), _mm256_and_si256(v.h[1], low));
    const __m256i ordered = _mm256_permute4x64_epi64(pairs, 0xd8);
    _mm_storeu_si128(
        (__m128i *) (void *) p,
        _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}

MLS_SIMD_FN mls_vi vi_load_u16(const uint16_t *p)
{
    const __m128i *half = (const __m128i *) (const void *) p;
    return (mls_vi){{_mm256_cvtepu16_epi32(_mm_loadu_si128(half)),
                     _mm256_cvtepu16_epi32(_mm_loadu_si128(half + 1))}};
}

MLS_SIMD_FN void vi_store_u16(uint16_t *p, mls_vi v)
{
    const __m256i low = _mm256_set1_epi32(0xffff);
    const __m256i packed =
        _mm256_packus_epi32(_mm256_and_si256(v.h[0], low), _mm256_and_si256(v.h[1], low));
    _mm256_storeu_si256((__m256i *) (void *) p, _mm256_permute4x64_epi64(packed, 0xd8));
}

/* --- floats ---------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_zero(void)
{
    return (mls_vf){{_mm256_setzero_ps(), _mm256_setzero_ps()}};
}

MLS_SIMD_FN mls_vf vf_set1(float s)
{
    return (mls_vf){{_mm256_set1_ps(s), _mm256_set1_ps(s)}};
}

MLS_SIMD_FN mls_vf vf_load(const float *p)
{
    return (mls_vf){{_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}};
}

MLS_SIMD_FN void vf_store(float *p, mls_vf v)
{
    _mm256_storeu_ps(p, v.h[0]);
    _mm256_storeu_ps(p + 8, v.h[1]);
}

MLS_SIMD_FN mls_vf vf_load_n(const float *p, int n)
{
    if (n == MLS_LANES)
        return vf_load(p);
    const mls_vi m = vi_first(n);
    return (mls_vf){{_mm256_maskload_ps(p, m.h[0]), _mm256_maskload_ps(p + 8, m.h[1])}};
}

MLS_SIMD_FN void vf_store_n(float *p, mls_vf v, int n)
{
    if (n == MLS_LANES) {
        vf_store(p, v);
        return;
    }
    const mls_vi m = vi_first(n);
    _mm256_maskstore_ps(p, m.h[0], v.h[0]);
    _mm256_maskstore_ps(p + 8, m.h[1], v.h[1]);
}

MLS_SIMD_FN mls_vi vf_as_int(mls_vf v)
{
    return (mls_vi){{_mm256_castps_si256(v.h[0]), _mm256_castps_si256(v.h[1])}};
}

MLS_SIMD_FN mls_vf vi_as_float(mls_vi v)
{
    return (mls_vf){{_mm256_castsi256_ps(v.h[0]), _mm256_castsi256_ps(v.h[1])}};
}

MLS_SIMD_FN mls_vf vf_add(mls_vf a, mls_vf b)
{
    return (mls_vf){{_mm256_add_ps(a.h[0], b.h[0]), _mm256_add_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vf vf_sub(mls_vf a, mls_vf b)
{
    return (mls_vf){{_mm256_sub_ps(a.h[0], b.h[0]), _mm256_sub_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vf vf_mul(mls_vf a, mls_vf b)
{
    return (mls_vf){{_mm256_mul_ps(a.h[0], b.h[0]), _mm256_mul_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vf vf_div(mls_vf a, mls_vf b)
{
    return (mls_vf){{_mm256_div_ps(a.h[0], b.h[0]), _mm256_div_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vf vf_min(mls_vf a, mls_vf b)
{
    return (mls_vf){{_mm256_min_ps(a.h[0], b.h[0]), _mm256_min_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vf vf_max(mls_vf a, mls_vf b)
{
    return (mls_vf){{_mm256_max_ps(a.h[0], b.h[0]), _mm256_max_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vf vf_sqrt(mls_vf a)
{
    return (mls_vf){{_mm256_sqrt_ps(a.h[0]), _mm256_sqrt_ps(a.h[1])}};
}

MLS_SIMD_FN mls_vf vf_fma(mls_vf a, mls_vf b, mls_vf c)
{
    return (mls_vf){
        {_mm256_fmadd_ps(a.h[0], b.h[0], c.h[0]), _mm256_fmadd_ps(a.h[1], b.h[1], c.h[1])}};
}

MLS_SIMD_FN mls_vf vf_fms(mls_vf a, mls_vf b, mls_vf c)
{
    return (mls_vf){
        {_mm256_fmsub_ps(a.h[0], b.h[0], c.h[0]), _mm256_fmsub_ps(a.h[1], b.h[1], c.h[1])}};
}

MLS_SIMD_FN mls_vf vf_fnma(mls_vf a, mls_vf b, mls_vf c)
{
    return (mls_vf){
        {_mm256_fnmadd_ps(a.h[0], b.h[0], c.h[0]), _mm256_fnmadd_ps(a.h[1], b.h[1], c.h[1])}};
}

MLS_SIMD_FN mls_vf vf_abs(mls_vf a)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (mls_vf){{_mm256_andnot_ps(sign, a.h[0]), _mm256_andnot_ps(sign, a.h[1])}};
}

MLS_SIMD_FN mls_vf vf_neg(mls_vf a)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (mls_vf){{_mm256_xor_ps(sign, a.h[0]), _mm256_xor_ps(sign, a.h[1])}};
}

MLS_SIMD_FN mls_vf vf_copysign(mls_vf magnitude, mls_vf sign)
{
    const __m256 bit = _mm256_set1_ps(-0.0f);
    const mls_vf m = vf_abs(magnitude);
    return (mls_vf){{_mm256_or_ps(m.h[0], _mm256_and_ps(bit, sign.h[0])),
                     _mm256_or_ps(m.h[1], _mm256_and_ps(bit, sign.h[1]))}};
}

MLS_SIMD_FN mls_vf vf_floor(mls_vf a)
{
    return (mls_vf){{_mm256_round_ps(a.h[0], _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC),
                     _mm256_round_ps(a.h[1], _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}};
}

MLS_SIMD_FN mls_vf vf_ceil(mls_vf a)
{
    return (mls_vf){{_mm256_round_ps(a.h[0], _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC),
                     _mm256_round_ps(a.h[1], _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)}};
}

MLS_SIMD_FN mls_vf vf_trunc(mls_vf a)
{
    return (mls_vf){{_mm256_round_ps(a.h[0], _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC),
                     _mm256_round_ps(a.h[1], _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)}};
}

MLS_SIMD_FN mls_vf vf_rint(mls_vf a)
{
    return (mls_vf){{_mm256_round_ps(a.h[0], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                     _mm256_round_ps(a.h[1], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}};
}

MLS_SIMD_FN mls_vi vf_to_int(mls_vf v)
{
    return (mls_vi){{_mm256_cvttps_epi32(v.h[0]), _mm256_cvttps_epi32(v.h[1])}};
}

MLS_SIMD_FN mls_vi vf_to_int_rint(mls_vf v)
{
    return (mls_vi){{_mm256_cvtps_epi32(v.h[0]), _mm256_cvtps_epi32(v.h[1])}};
}

MLS_SIMD_FN mls_vf vi_to_float(mls_vi v)
{
    return (mls_vf){{_mm256_cvtepi32_ps(v.h[0]), _mm256_cvtepi32_ps(v.h[1])}};
}

/* Two exact powers of two; only the second product can round, and does so once. */
MLS_SIMD_FN mls_vf vf_ldexp(mls_vf a, mls_vf n)
{
    const mls_vi whole = vf_to_int(n);
    const mls_vi n1 = vi_sar(whole, 1);
    const mls_vi n2 = vi_sub(whole, n1);
    const mls_vi bias = vi_set1(127);
    const mls_vf power1 = vi_as_float(vi_shl(vi_add(n1, bias), 23));
    const mls_vf power2 = vi_as_float(vi_shl(vi_add(n2, bias), 23));
    return vf_mul(vf_mul(a, power1), power2);
}

MLS_SIMD_FN mls_vf vf_pow2(mls_vf n)
{
    return vi_as_float(vi_shl(vi_add(vf_to_int(n), vi_set1(127)), 23));
}

MLS_SIMD_FN mls_vf vf_load_f16(const uint16_t *p)
{
    const __m128i *half = (const __m128i *) (const void *) p;
    return (mls_vf){
        {_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1))}};
}

MLS_SIMD_FN void vf_store_f16(uint16_t *p, mls_vf v)
{
    __m128i *half = (__m128i *) (void *) p;
    _mm_storeu_si128(half, _mm256_cvtps_ph(v.h[0], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128(half + 1,
                     _mm256_cvtps_ph(v.h[1], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

MLS_SIMD_FN __m256 through_f16(__m256 v)
{
    return _mm256_cvtph_ps(_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

MLS_SIMD_FN mls_vf vf_through_f16(mls_vf v)
{
    return (mls_vf){{through_f16(v.h[0]), through_f16(v.h[1])}};
}

/* --- masks ----------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vm vm_of_int(mls_vi v)
{
    return (mls_vm){{_mm256_castsi256_ps(v.h[0]), _mm256_castsi256_ps(v.h[1])}};
}

MLS_SIMD_FN mls_vm vm_first(int n)
{
    return vm_of_int(vi_first(n));
}

MLS_SIMD_FN mls_vm vm_and(mls_vm a, mls_vm b)
{
    return (mls_vm){{_mm256_and_ps(a.h[0], b.h[0]), _mm256_and_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vm vm_or(mls_vm a, mls_vm b)
{
    return (mls_vm){{_mm256_or_ps(a.h[0], b.h[0]), _mm256_or_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vm vm_xor(mls_vm a, mls_vm b)
{
    return (mls_vm){{_mm256_xor_ps(a.h[0], b.h[0]), _mm256_xor_ps(a.h[1], b.h[1])}};
}

MLS_SIMD_FN mls_vm vm_andnot(mls_vm a, mls_vm b)
{
    return (mls_vm){{_mm256_andnot_ps(b.h[0], a.h[0]), _mm256_andnot_ps(b.h[1], a.h[1])}};
}

MLS_SIMD_FN mls_vm vm_not(mls_vm m)
{
    return vm_xor(m, vm_of_int(vi_set1(-1)));
}

MLS_SIMD_FN uint32_t vm_bits(mls_vm m)
{
    const uint32_t low = (uint32_t) _mm256_movemask_ps(m.h[0]);
    return low | ((uint32_t) _mm256_movemask_ps(m.h[1]) << 8);
}

MLS_SIMD_FN bool vm_any(mls_vm m)
{
    return _mm256_movemask_ps(_mm256_or_ps(m.h[0], m.h[1])) != 0;
}

MLS_SIMD_FN bool vm_all(mls_vm m)
{
    return _mm256_movemask_ps(_mm256_and_ps(m.h[0], m.h[1])) == 0xff;
}

MLS_SIMD_FN mls_vm vm_from_bits(uint32_t bits)
{
    const __m256i all = _mm256_set1_epi32((int32_t) bits);
    const __m256i bit0 = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i bit1 = _mm256_slli_epi32(bit0, 8);
    return vm_of_int((mls_vi){{_mm256_cmpeq_epi32(_mm256_and_si256(all, bit0), bit0),
                               _mm256_cmpeq_epi32(_mm256_and_si256(all, bit1), bit1)}});
}

MLS_SIMD_FN mls_vm vm_load_bool(const uint8_t *p)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *) (const void *) p);
    const __m128i off = _mm_cmpeq_epi8(bytes, _mm_setzero_si128());
    return vm_not(vm_of_int(
        (mls_vi){{_mm256_cvtepi8_epi32(off), _mm256_cvtepi8_epi32(_mm_srli_si128(off, 8))}}));
}

MLS_SIMD_FN void vm_store_bool(uint8_t *p, mls_vm m)
{
    const __m256i words =
        _mm256_packs_epi32(_mm256_castps_si256(m.h[0]), _mm256_castps_si256(m.h[1]));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128((__m128i *) (void *) p, _mm_and_si128(bytes, _mm_set1_epi8(1)));
}

MLS_SIMD_FN mls_vm vf_eq(mls_vf a, mls_vf b)
{
    return (mls_vm){
        {_mm256_cmp_ps(a.h[0], b.h[0], _CMP_EQ_OQ), _mm256_cmp_ps(a.h[1], b.h[1], _CMP_EQ_OQ)}};
}

MLS_SIMD_FN mls_vm vf_ne(mls_vf a, mls_vf b)
{
    return (mls_vm){
        {_mm256_cmp_ps(a.h[0], b.h[0], _CMP_NEQ_UQ), _mm256_cmp_ps(a.h[1], b.h[1], _CMP_NEQ_UQ)}};
}

MLS_SIMD_FN mls_vm vf_lt(mls_vf a, mls_vf b)
{
    return (mls_vm){
        {_mm256_cmp_ps(a.h[0], b.h[0], _CMP_LT_OQ), _mm256_cmp_ps(a.h[1], b.h[1], _CMP_LT_OQ)}};
}

MLS_SIMD_FN mls_vm vf_le(mls_vf a, mls_vf b)
{
    return (mls_vm){
        {_mm256_cmp_ps(a.h[0], b.h[0], _CMP_LE_OQ), _mm256_cmp_ps(a.h[1], b.h[1], _CMP_LE_OQ)}};
}

MLS_SIMD_FN mls_vm vf_gt(mls_vf a, mls_vf b)
{
    return (mls_vm){
        {_mm256_cmp_ps(a.h[0], b.h[0], _CMP_GT_OQ), _mm256_cmp_ps(a.h[1], b.h[1], _CMP_GT_OQ)}};
}

MLS_SIMD_FN mls_vm vf_ge(mls_vf a, mls_vf b)
{
    return (mls_vm){
        {_mm256_cmp_ps(a.h[0], b.h[0], _CMP_GE_OQ), _mm256_cmp_ps(a.h[1], b.h[1], _CMP_GE_OQ)}};
}

MLS_SIMD_FN mls_vm vf_isnan(mls_vf a)
{
    return (mls_vm){
        {_mm256_cmp_ps(a.h[0], a.h[0], _CMP_UNORD_Q), _mm256_cmp_ps(a.h[1], a.h[1], _CMP_UNORD_Q)}};
}

MLS_SIMD_FN mls_vf vf_select(mls_vm m, mls_vf a, mls_vf b)
{
    return (mls_vf){
        {_mm256_blendv_ps(b.h[0], a.h[0], m.h[0]), _mm256_blendv_ps(b.h[1], a.h[1], m.h[1])}};
}

MLS_SIMD_FN mls_vm vi_eq(mls_vi a, mls_vi b)
{
    return vm_of_int(
        (mls_vi){{_mm256_cmpeq_epi32(a.h[0], b.h[0]), _mm256_cmpeq_epi32(a.h[1], b.h[1])}});
}

MLS_SIMD_FN mls_vm vi_gt(mls_vi a, mls_vi b)
{
    return vm_of_int(
        (mls_vi){{_mm256_cmpgt_epi32(a.h[0], b.h[0]), _mm256_cmpgt_epi32(a.h[1], b.h[1])}});
}

MLS_SIMD_FN mls_vm vi_lt(mls_vi a, mls_vi b)
{
    return vi_gt(b, a);
}

MLS_SIMD_FN mls_vi vi_select(mls_vm m, mls_vi a, mls_vi b)
{
    return vf_as_int(vf_select(m, vi_as_float(a), vi_as_float(b)));
}

/* --- gathers --------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_gather(const float *base, mls_vi index)
{
    return (mls_vf){
        {_mm256_i32gather_ps(base, index.h[0], 4), _mm256_i32gather_ps(base, index.h[1], 4)}};
}

MLS_SIMD_FN mls_vi vi_gather(const int32_t *base, mls_vi index)
{
    return (mls_vi){
        {_mm256_i32gather_epi32(base, index.h[0], 4), _mm256_i32gather_epi32(base, index.h[1], 4)}};
}

MLS_SIMD_FN mls_vf vf_gather_pair(const void *base, mls_vi index)
{
    return (mls_vf){
        {_mm256_i32gather_ps(base, index.h[0], 8), _mm256_i32gather_ps(base, index.h[1], 8)}};
}

MLS_SIMD_FN mls_vi vi_gather_pair(const void *base, mls_vi index)
{
    return (mls_vi){
        {_mm256_i32gather_epi32(base, index.h[0], 8), _mm256_i32gather_epi32(base, index.h[1], 8)}};
}

/* Four tables of eight: bits 3 and 4 of the index, moved to the sign, choose among them. */
MLS_SIMD_FN __m256i lookup32_half(const __m256i *table, __m256i index)
{
    const __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    const __m256 bit4 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 27));
    __m256 found[4];
    for (int i = 0; i < 4; i++)
        found[i] =
            _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(_mm256_loadu_si256(table + i), index));
    const __m256 low = _mm256_blendv_ps(found[0], found[1], bit3);
    const __m256 high = _mm256_blendv_ps(found[2], found[3], bit3);
    return _mm256_castps_si256(_mm256_blendv_ps(low, high, bit4));
}

MLS_SIMD_FN mls_vi vi_lookup32(const int32_t *table, mls_vi index)
{
    const __m256i *tables = (const __m256i *) (const void *) table;
    return (mls_vi){{lookup32_half(tables, index.h[0]), lookup32_half(tables, index.h[1])}};
}

MLS_SIMD_FN mls_vi vi_clear(mls_vm m, mls_vi a, mls_vi b)
{
    const __m256i low = _mm256_and_si256(_mm256_castps_si256(m.h[0]), b.h[0]);
    const __m256i high = _mm256_and_si256(_mm256_castps_si256(m.h[1]), b.h[1]);
    return (mls_vi){{_mm256_andnot_si256(low, a.h[0]), _mm256_andnot_si256(high, a.h[1])}};
}

MLS_SIMD_FN mls_vf vf_gather_mask(mls_vf src, mls_vm m, const float *base, mls_vi index)
{
    return (mls_vf){{_mm256_mask_i32gather_ps(src.h[0], base, index.h[0], m.h[0], 4),
                     _mm256_mask_i32gather_ps(src.h[1], base, index.h[1], m.h[1], 4)}};
}

MLS_SIMD_FN mls_vi vi_gather_mask(mls_vi src, mls_vm m, const int32_t *base, mls_vi index)
{
    const __m256i m0 = _mm256_castps_si256(m.h[0]);
    const __m256i m1 = _mm256_castps_si256(m.h[1]);
    return (mls_vi){{_mm256_mask_i32gather_epi32(src.h[0], base, index.h[0], m0, 4),
                     _mm256_mask_i32gather_epi32(src.h[1], base, index.h[1], m1, 4)}};
}

/* --- lanes ----------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_down8(mls_vf v)
{
    return (mls_vf){{v.h[1], v.h[1]}};
}

MLS_SIMD_FN mls_vf vf_down4(mls_vf v)
{
    return (mls_vf){{_mm256_permute2f128_ps(v.h[0], v.h[0], 0x11),
                     _mm256_permute2f128_ps(v.h[1], v.h[1], 0x11)}};
}

MLS_SIMD_FN mls_vf vf_down2(mls_vf v)
{
    return (mls_vf){{_mm256_permute_ps(v.h[0], 0x0e), _mm256_permute_ps(v.h[1], 0x0e)}};
}

MLS_SIMD_FN mls_vf vf_down1(mls_vf v)
{
    return (mls_vf){{_mm256_permute_ps(v.h[0], 0x01), _mm256_permute_ps(v.h[1], 0x01)}};
}

/* What was taken within halves of 128 bits, in its order. */
MLS_SIMD_FN __m256 order_pairs(__m256 taken)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(taken), 0xd8));
}

MLS_SIMD_FN mls_vf vf_even(mls_vf a, mls_vf b)
{
    return (mls_vf){{order_pairs(_mm256_shuffle_ps(a.h[0], a.h[1], 0x88)),
                     order_pairs(_mm256_shuffle_ps(b.h[0], b.h[1], 0x88))}};
}

MLS_SIMD_FN mls_vf vf_odd(mls_vf a, mls_vf b)
{
    return (mls_vf){{order_pairs(_mm256_shuffle_ps(a.h[0], a.h[1], 0xdd)),
                     order_pairs(_mm256_shuffle_ps(b.h[0], b.h[1], 0xdd))}};
}

MLS_SIMD_FN float vf_lane0(mls_vf v)
{
    return _mm256_cvtss_f32(v.h[0]);
}

#endif
