/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual vector on AVX-512 (F, BW, DQ, VL): one zmm register. The contract is in simd.h.
 */
#ifndef MLS_BACKEND_CPU_SIMD_AVX512_H
#define MLS_BACKEND_CPU_SIMD_AVX512_H

#include <immintrin.h>

/* Without optimisation gcc's intrinsics are macros, whose casts are not ours to correct. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"

typedef __m512 mls_vf;
typedef __m512i mls_vi;
typedef __mmask16 mls_vm;

/* For shifts by a count, which the intrinsics take only as a literal. */
typedef int32_t mls__i32x16 __attribute__((vector_size(64)));
typedef uint32_t mls__u32x16 __attribute__((vector_size(64)));

/* --- masks ------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vm vm_first(int n)
{
    return (mls_vm) ((1u << n) - 1u);
}
MLS_SIMD_FN mls_vm vm_and(mls_vm a, mls_vm b)
{
    return (mls_vm) (a & b);
}
MLS_SIMD_FN mls_vm vm_or(mls_vm a, mls_vm b)
{
    return (mls_vm) (a | b);
}
MLS_SIMD_FN mls_vm vm_xor(mls_vm a, mls_vm b)
{
    return (mls_vm) (a ^ b);
}
MLS_SIMD_FN mls_vm vm_not(mls_vm a)
{
    return (mls_vm) ~a;
}
MLS_SIMD_FN mls_vm vm_andnot(mls_vm a, mls_vm b)
{
    return (mls_vm) (a & ~b);
}
MLS_SIMD_FN bool vm_any(mls_vm m)
{
    return m != 0;
}
MLS_SIMD_FN bool vm_all(mls_vm m)
{
    return m == 0xffff;
}
MLS_SIMD_FN uint32_t vm_bits(mls_vm m)
{
    return m;
}
MLS_SIMD_FN mls_vm vm_from_bits(uint32_t bits)
{
    return (mls_vm) bits;
}

MLS_SIMD_FN mls_vm vm_load_bool(const uint8_t *p)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *) (const void *) p);
    return _mm_test_epi8_mask(bytes, bytes);
}

MLS_SIMD_FN void vm_store_bool(uint8_t *p, mls_vm m)
{
    _mm_storeu_si128((__m128i *) (void *) p, _mm_maskz_set1_epi8(m, 1));
}

/* --- integers ---------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vi vi_zero(void)
{
    return _mm512_setzero_si512();
}
MLS_SIMD_FN mls_vi vi_set1(int32_t s)
{
    return _mm512_set1_epi32(s);
}
MLS_SIMD_FN mls_vi vi_load(const int32_t *p)
{
    return _mm512_loadu_si512(p);
}
MLS_SIMD_FN void vi_store(int32_t *p, mls_vi v)
{
    _mm512_storeu_si512(p, v);
}
MLS_SIMD_FN void vi_store_twice(int32_t *p, mls_vi v)
{
    const __m512i low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(low, v));
    _mm512_storeu_si512(p + 16, _mm512_permutexvar_epi32(high, v));
}
MLS_SIMD_FN mls_vi vi_add(mls_vi a, mls_vi b)
{
    return _mm512_add_epi32(a, b);
}
MLS_SIMD_FN mls_vi vi_sub(mls_vi a, mls_vi b)
{
    return _mm512_sub_epi32(a, b);
}
MLS_SIMD_FN mls_vi vi_mul(mls_vi a, mls_vi b)
{
    return _mm512_mullo_epi32(a, b);
}
MLS_SIMD_FN mls_vi vi_and(mls_vi a, mls_vi b)
{
    return _mm512_and_si512(a, b);
}
MLS_SIMD_FN mls_vi vi_or(mls_vi a, mls_vi b)
{
    return _mm512_or_si512(a, b);
}
MLS_SIMD_FN mls_vi vi_xor(mls_vi a, mls_vi b)
{
    return _mm512_xor_si512(a, b);
}
MLS_SIMD_FN mls_vi vi_andnot(mls_vi a, mls_vi b)
{
    return _mm512_andnot_si512(b, a);
}
MLS_SIMD_FN mls_vi vi_min(mls_vi a, mls_vi b)
{
    return _mm512_min_epi32(a, b);
}
MLS_SIMD_FN mls_vi vi_max(mls_vi a, mls_vi b)
{
    return _mm512_max_epi32(a, b);
}
MLS_SIMD_FN mls_vm vi_eq(mls_vi a, mls_vi b)
{
    return _mm512_cmpeq_epi32_mask(a, b);
}
MLS_SIMD_FN mls_vm vi_lt(mls_vi a, mls_vi b)
{
    return _mm512_cmplt_epi32_mask(a, b);
}
MLS_SIMD_FN mls_vm vi_gt(mls_vi a, mls_vi b)
{
    return _mm512_cmpgt_epi32_mask(a, b);
}

MLS_SIMD_FN mls_vi vi_iota(void)
{
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

MLS_SIMD_FN mls_vi vi_load_n(const int32_t *p, int n)
{
    return _mm512_maskz_loadu_epi32(vm_first(n), p);
}

MLS_SIMD_FN void vi_store_n(int32_t *p, mls_vi v, int n)
{
    _mm512_mask_storeu_epi32(p, vm_first(n), v);
}

MLS_SIMD_FN mls_vi vi_load_u8(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) (const void *) p));
}

MLS_SIMD_FN mls_vi vi_load_i8(const int8_t *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) (const void *) p));
}

MLS_SIMD_FN void vi_store_u8(uint8_t *p, mls_vi v)
{
    _mm_storeu_si128((__m128i *) (void *) p, _mm512_cvtepi32_epi8(v));
}

MLS_SIMD_FN mls_vi vi_load_u16(const uint16_t *p)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *) (const void *) p));
}

MLS_SIMD_FN void vi_store_u16(uint16_t *p, mls_vi v)
{
    _mm256_storeu_si256((__m256i *) (void *) p, _mm512_cvtepi32_epi16(v));
}

MLS_SIMD_FN mls_vi vi_shl(mls_vi v, int k)
{
    return (mls_vi) ((mls__u32x16) v << k);
}
MLS_SIMD_FN mls_vi vi_shr(mls_vi v, int k)
{
    return (mls_vi) ((mls__u32x16) v >> k);
}
MLS_SIMD_FN mls_vi vi_sar(mls_vi v, int k)
{
    return (mls_vi) ((mls__i32x16) v >> k);
}

MLS_SIMD_FN mls_vi vi_select(mls_vm m, mls_vi a, mls_vi b)
{
    return _mm512_mask_mov_epi32(b, m, a);
}

/* --- floats ------------------------------------------------------------------------------ */

MLS_SIMD_FN mls_vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
MLS_SIMD_FN mls_vf vf_set1(float s)
{
    return _mm512_set1_ps(s);
}
MLS_SIMD_FN mls_vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
MLS_SIMD_FN void vf_store(float *p, mls_vf v)
{
    _mm512_storeu_ps(p, v);
}

MLS_SIMD_FN mls_vf vf_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(vm_first(n), p);
}

MLS_SIMD_FN void vf_store_n(float *p, mls_vf v, int n)
{
    _mm512_mask_storeu_ps(p, vm_first(n), v);
}

MLS_SIMD_FN mls_vi vf_as_int(mls_vf v)
{
    return _mm512_castps_si512(v);
}
MLS_SIMD_FN mls_vf vi_as_float(mls_vi v)
{
    return _mm512_castsi512_ps(v);
}
MLS_SIMD_FN mls_vf vf_add(mls_vf a, mls_vf b)
{
    return _mm512_add_ps(a, b);
}
MLS_SIMD_FN mls_vf vf_sub(mls_vf a, mls_vf b)
{
    return _mm512_sub_ps(a, b);
}
MLS_SIMD_FN mls_vf vf_mul(mls_vf a, mls_vf b)
{
    return _mm512_mul_ps(a, b);
}
MLS_SIMD_FN mls_vf vf_div(mls_vf a, mls_vf b)
{
    return _mm512_div_ps(a, b);
}
MLS_SIMD_FN mls_vf vf_sqrt(mls_vf a)
{
    return _mm512_sqrt_ps(a);
}
MLS_SIMD_FN mls_vf vf_fma(mls_vf a, mls_vf b, mls_vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
MLS_SIMD_FN mls_vf vf_fms(mls_vf a, mls_vf b, mls_vf c)
{
    return _mm512_fmsub_ps(a, b, c);
}
MLS_SIMD_FN mls_vf vf_fnma(mls_vf a, mls_vf b, mls_vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
MLS_SIMD_FN mls_vf vf_min(mls_vf a, mls_vf b)
{
    return _mm512_min_ps(a, b);
}
MLS_SIMD_FN mls_vf vf_max(mls_vf a, mls_vf b)
{
    return _mm512_max_ps(a, b);
}
MLS_SIMD_FN mls_vf vf_abs(mls_vf a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}
MLS_SIMD_FN mls_vf vf_neg(mls_vf a)
{
    return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a);
}

MLS_SIMD_FN mls_vf vf_copysign(mls_vf magnitude, mls_vf sign)
{
    const mls_vf bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
}

MLS_SIMD_FN mls_vf vf_floor(mls_vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

MLS_SIMD_FN mls_vf vf_ceil(mls_vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}

MLS_SIMD_FN mls_vf vf_trunc(mls_vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}

MLS_SIMD_FN mls_vf vf_rint(mls_vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

MLS_SIMD_FN mls_vm vf_eq(mls_vf a, mls_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
MLS_SIMD_FN mls_vm vf_ne(mls_vf a, mls_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ);
}
MLS_SIMD_FN mls_vm vf_lt(mls_vf a, mls_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
MLS_SIMD_FN mls_vm vf_le(mls_vf a, mls_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
MLS_SIMD_FN mls_vm vf_gt(mls_vf a, mls_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
MLS_SIMD_FN mls_vm vf_ge(mls_vf a, mls_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
MLS_SIMD_FN mls_vm vf_isnan(mls_vf a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
MLS_SIMD_FN mls_vf vf_select(mls_vm m, mls_vf a, mls_vf b)
{
    return _mm512_mask_mov_ps(b, m, a);
}
MLS_SIMD_FN mls_vi vf_to_int(mls_vf v)
{
    return _mm512_cvttps_epi32(v);
}
MLS_SIMD_FN mls_vi vf_to_int_rint(mls_vf v)
{
    return _mm512_cvtps_epi32(v);
}
MLS_SIMD_FN mls_vf vi_to_float(mls_vi v)
{
    return _mm512_cvtepi32_ps(v);
}

MLS_SIMD_FN mls_vf vf_ldexp(mls_vf a, mls_vf n)
{
    return _mm512_scalef_ps(a, n);
}

MLS_SIMD_FN mls_vf vf_pow2(mls_vf n)
{
    return _mm512_scalef_ps(_mm512_set1_ps(1.0f), n);
}

MLS_SIMD_FN mls_vf vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) (const void *) p));
}

MLS_SIMD_FN void vf_store_f16(uint16_t *p, mls_vf v)
{
    const __m256i half = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_storeu_si256((__m256i *) (void *) p, half);
}

MLS_SIMD_FN mls_vf vf_through_f16(mls_vf v)
{
    return _mm512_cvtph_ps(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* --- gathers ----------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_gather(const float *base, mls_vi index)
{
    return _mm512_i32gather_ps(index, base, 4);
}

MLS_SIMD_FN mls_vf vf_gather_mask(mls_vf src, mls_vm m, const float *base, mls_vi index)
{
    return _mm512_mask_i32gather_ps(src, m, index, base, 4);
}

MLS_SIMD_FN mls_vi vi_gather(const int32_t *base, mls_vi index)
{
    return _mm512_i32gather_epi32(index, base, 4);
}

MLS_SIMD_FN mls_vi vi_gather_mask(mls_vi src, mls_vm m, const int32_t *base, mls_vi index)
{
    return _mm512_mask_i32gather_epi32(src, m, index, base, 4);
}

MLS_SIMD_FN mls_vf vf_gather_pair(const void *base, mls_vi index)
{
    return _mm512_i32gather_ps(index, base, 8);
}

MLS_SIMD_FN mls_vi vi_gather_pair(const void *base, mls_vi index)
{
    return _mm512_i32gather_epi32(index, base, 8);
}

MLS_SIMD_FN mls_vi vi_lookup32(const int32_t *table, mls_vi index)
{
    return _mm512_permutex2var_epi32(vi_load(table), index, vi_load(table + 16));
}

MLS_SIMD_FN mls_vi vi_clear(mls_vm m, mls_vi a, mls_vi b)
{
    return _mm512_mask_andnot_epi32(a, m, b, a);
}

/* --- lanes ------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_down8(mls_vf v)
{
    return _mm512_shuffle_f32x4(v, v, 0x0e);
}
MLS_SIMD_FN mls_vf vf_down4(mls_vf v)
{
    return _mm512_shuffle_f32x4(v, v, 0x01);
}
MLS_SIMD_FN mls_vf vf_down2(mls_vf v)
{
    return _mm512_permute_ps(v, 0x0e);
}
MLS_SIMD_FN mls_vf vf_down1(mls_vf v)
{
    return _mm512_permute_ps(v, 0x01);
}
MLS_SIMD_FN mls_vf vf_even(mls_vf a, mls_vf b)
{
    const __m512i lanes =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(a, lanes, b);
}
MLS_SIMD_FN mls_vf vf_odd(mls_vf a, mls_vf b)
{
    const __m512i lanes =
        _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_permutex2var_ps(a, lanes, b);
}
MLS_SIMD_FN float vf_lane0(mls_vf v)
{
    return _mm512_cvtss_f32(v);
}

#pragma GCC diagnostic pop

#endif
