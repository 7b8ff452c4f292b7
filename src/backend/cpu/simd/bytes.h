/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that dot products (dot.h) take in groups of four, brought there from rows and, once they
 * are results, back.
 *
 *   interleave4(y, rows)           y[4 * i + r] = rows[r][i] of four rows of 16 bytes
 *   interleave_panels(y, n, rows)  interleave4 of each 16 bytes of four rows of 64, n bytes apart
 *   vi_store_bytes(p, v, z, m)     64 bytes: the lanes of v[0] .. v[3] plus z, which is from 0 to
 *                                  255, saturated to that range too, then xored with m
 *   code_of(value)                 rint(value), ties to even, for such a store: what is too large
 *                                  or too small for int32 saturates all the same, NaN as the least
 *
 * Where four vectors stand for 64 bytes that lie side by side, lane 4 q + e of vector p may be byte
 * 16 q + 4 p + e: so instructions that work in quarters of a register bring them there and back.
 *
 *   interleave_quads(y, rows)      four vectors of groups, of four rows of 64 bytes
 *   vi_store_quads(p, v, z, m)     as vi_store_bytes
 */
#ifndef MLS_BACKEND_CPU_SIMD_BYTES_H
#define MLS_BACKEND_CPU_SIMD_BYTES_H

#include "backend/cpu/simd/simd.h"

#define MLS_GROUP       4
#define MLS_GROUP_BYTES (MLS_LANES * MLS_GROUP)

#if defined(MLS_SIMD_AVX512) || defined(MLS_SIMD_AVX2)

MLS_SIMD_FN void interleave4(uint8_t *y, const uint8_t *const rows[MLS_GROUP])
{
    __m128i r[MLS_GROUP], *out = (__m128i *) (void *) y;
    MLS_UNROLL
    for (int i = 0; i < MLS_GROUP; i++)
        r[i] = _mm_loadu_si128((const __m128i *) (const void *) rows[i]);
    const __m128i low01 = _mm_unpacklo_epi8(r[0], r[1]), high01 = _mm_unpackhi_epi8(r[0], r[1]);
    const __m128i low23 = _mm_unpacklo_epi8(r[2], r[3]), high23 = _mm_unpackhi_epi8(r[2], r[3]);
    _mm_storeu_si128(out, _mm_unpacklo_epi16(low01, low23));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(low01, low23));
    _mm_storeu_si128(out + 2, _mm_unpacklo_epi16(high01, high23));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi16(high01, high23));
}

#elif defined(MLS_SIMD_NEON)

MLS_SIMD_FN void interleave4(uint8_t *y, const uint8_t *const rows[MLS_GROUP])
{
    const uint8x16x4_t all = {
        {vld1q_u8(rows[0]), vld1q_u8(rows[1]), vld1q_u8(rows[2]), vld1q_u8(rows[3])}};
    vst4q_u8(y, all);
}

#else

MLS_SIMD_FN void interleave4(uint8_t *y, const uint8_t *const rows[MLS_GROUP])
{
    for (int i = 0; i < MLS_GROUP_BYTES; i++)
        y[i] = rows[i % MLS_GROUP][i / MLS_GROUP];
}

#endif

#if defined(MLS_SIMD_AVX512)

MLS_SIMD_FN void interleave_quads(uint8_t *y, const uint8_t *const rows[MLS_GROUP])
{
    __m512i r[MLS_GROUP];
    MLS_UNROLL
    for (int i = 0; i < MLS_GROUP; i++)
        r[i] = _mm512_loadu_si512(rows[i]);
    const __m512i low01 = _mm512_unpacklo_epi8(r[0], r[1]);
    const __m512i high01 = _mm512_unpackhi_epi8(r[0], r[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(r[2], r[3]);
    const __m512i high23 = _mm512_unpackhi_epi8(r[2], r[3]);
    _mm512_storeu_si512(y, _mm512_unpacklo_epi16(low01, low23));
    _mm512_storeu_si512(y + MLS_GROUP_BYTES, _mm512_unpackhi_epi16(low01, low23));
    _mm512_storeu_si512(y + 2 * MLS_GROUP_BYTES, _mm512_unpacklo_epi16(high01, high23));
    _mm512_storeu_si512(y + 3 * MLS_GROUP_BYTES, _mm512_unpackhi_epi16(high01, high23));
}

MLS_SIMD_FN void interleave_panels(uint8_t *y, int64_t panel_bytes,
                                   const uint8_t *const rows[MLS_GROUP])
{
    __m512i r[MLS_GROUP];
    MLS_UNROLL
    for (int i = 0; i < MLS_GROUP; i++)
        r[i] = _mm512_loadu_si512(rows[i]);
    const __m512i low01 = _mm512_unpacklo_epi8(r[0], r[1]);
    const __m512i high01 = _mm512_unpackhi_epi8(r[0], r[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(r[2], r[3]);
    const __m512i high23 = _mm512_unpackhi_epi8(r[2], r[3]);
    const __m512i a = _mm512_unpacklo_epi16(low01, low23), b = _mm512_unpackhi_epi16(low01, low23);
    const __m512i c = _mm512_unpacklo_epi16(high01, high23);
    const __m512i d = _mm512_unpackhi_epi16(high01, high23);
    /* Quarter q of a .. d are a panel's. */
    const __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44), ab = _mm512_shuffle_i32x4(a, b, 0xee);
    const __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44), cd = _mm512_shuffle_i32x4(c, d, 0xee);
    _mm512_storeu_si512(y, _mm512_shuffle_i32x4(ab_low, cd_low, 0x88));
    _mm512_storeu_si512(y + panel_bytes, _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd));
    _mm512_storeu_si512(y + 2 * panel_bytes, _mm512_shuffle_i32x4(ab, cd, 0x88));
    _mm512_storeu_si512(y + 3 * panel_bytes, _mm512_shuffle_i32x4(ab, cd, 0xdd));
}

MLS_SIMD_FN __m512i packed_quads(const mls_vi v[MLS_GROUP], int zero)
{
    const __m512i zeros = _mm512_set1_epi16((short) zero);
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zeros);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zeros);
    return _mm512_packus_epi16(low, high);
}

MLS_SIMD_FN void vi_store_quads(uint8_t *p, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    const __m512i masks = _mm512_set1_epi8((char) mask);
    _mm512_storeu_si512(p, _mm512_xor_si512(packed_quads(v, zero), masks));
}

MLS_SIMD_FN void vi_store_bytes(uint8_t *p, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_permutexvar_epi32(order, packed_quads(v, zero));
    _mm512_storeu_si512(p, _mm512_xor_si512(bytes, _mm512_set1_epi8((char) mask)));
}

#elif defined(MLS_SIMD_AVX2)

MLS_SIMD_FN void interleave_quads(uint8_t *y, const uint8_t *const rows[MLS_GROUP])
{
    MLS_UNROLL
    for (int half = 0; half < 2; half++) {
        __m256i r[MLS_GROUP], *out = (__m256i *) (void *) (y + half * 32);
        MLS_UNROLL
        for (int i = 0; i < MLS_GROUP; i++)
            r[i] = _mm256_loadu_si256((const __m256i *) (const void *) (rows[i] + half * 32));
        const __m256i low01 = _mm256_unpacklo_epi8(r[0], r[1]);
        const __m256i high01 = _mm256_unpackhi_epi8(r[0], r[1]);
        const __m256i low23 = _mm256_unpacklo_epi8(r[2], r[3]);
        const __m256i high23 = _mm256_unpackhi_epi8(r[2], r[3]);
        _mm256_storeu_si256(out, _mm256_unpacklo_epi16(low01, low23));
        _mm256_storeu_si256(out + 2, _mm256_unpackhi_epi16(low01, low23));
        _mm256_storeu_si256(out + 4, _mm256_unpacklo_epi16(high01, high23));
        _mm256_storeu_si256(out + 6, _mm256_unpackhi_epi16(high01, high23));
    }
}

MLS_SIMD_FN __m256i packed_bytes(__m256i a, __m256i b, __m256i c, __m256i d, int zero)
{
    const __m256i zeros = _mm256_set1_epi16((short) zero);
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zeros);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zeros);
    return _mm256_packus_epi16(low, high);
}

MLS_SIMD_FN void vi_store_quads(uint8_t *p, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    const __m256i masks = _mm256_set1_epi8((char) mask);
    MLS_UNROLL
    for (int half = 0; half < 2; half++) {
        const __m256i bytes =
            packed_bytes(v[0].h[half], v[1].h[half], v[2].h[half], v[3].h[half], zero);
        _mm256_storeu_si256((__m256i *) (void *) (p + half * 32), _mm256_xor_si256(bytes, masks));
    }
}

MLS_SIMD_FN void vi_store_bytes(uint8_t *p, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    const __m256i masks = _mm256_set1_epi8((char) mask);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    MLS_UNROLL
    for (int half = 0; half < 2; half++) {
        const mls_vi a = v[2 * half], b = v[2 * half + 1];
        const __m256i bytes = packed_bytes(a.h[0], a.h[1], b.h[0], b.h[1], zero);
        _mm256_storeu_si256((__m256i *) (void *) (p + half * 32),
                            _mm256_xor_si256(_mm256_permutevar8x32_epi32(bytes, order), masks));
    }
}

#elif defined(MLS_SIMD_NEON)

MLS_SIMD_FN void interleave_quads(uint8_t *y, const uint8_t *const rows[MLS_GROUP])
{
    MLS_UNROLL
    for (int q = 0; q < 4; q++) {
        const uint8x16x2_t r01 = vzipq_u8(vld1q_u8(rows[0] + 16 * q), vld1q_u8(rows[1] + 16 * q));
        const uint8x16x2_t r23 = vzipq_u8(vld1q_u8(rows[2] + 16 * q), vld1q_u8(rows[3] + 16 * q));
        MLS_UNROLL
        for (int half = 0; half < 2; half++) {
            const uint16x8x2_t groups =
                vzipq_u16(vreinterpretq_u16_u8(r01.val[half]), vreinterpretq_u16_u8(r23.val[half]));
            uint8_t *to = y + 2 * half * MLS_GROUP_BYTES + 16 * q;
            vst1q_u8(to, vreinterpretq_u8_u16(groups.val[0]));
            vst1q_u8(to + MLS_GROUP_BYTES, vreinterpretq_u8_u16(groups.val[1]));
        }
    }
}

MLS_SIMD_FN void store_packed(uint8_t *p, int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d,
                              int zero, uint8_t mask)
{
    const int16x8_t zeros = vdupq_n_s16((int16_t) zero);
    const int16x8_t low = vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), zeros);
    const int16x8_t high = vqaddq_s16(vcombine_s16(vqmovn_s32(c), vqmovn_s32(d)), zeros);
    vst1q_u8(p, veorq_u8(vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)), vdupq_n_u8(mask)));
}

MLS_SIMD_FN void vi_store_quads(uint8_t *p, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    MLS_UNROLL
    for (int q = 0; q < 4; q++)
        store_packed(p + 16 * q, v[0].q[q], v[1].q[q], v[2].q[q], v[3].q[q], zero, mask);
}

MLS_SIMD_FN void vi_store_bytes(uint8_t *p, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    MLS_UNROLL
    for (int i = 0; i < MLS_GROUP; i++)
        store_packed(p + 16 * i, v[i].q[0], v[i].q[1], v[i].q[2], v[i].q[3], zero, mask);
}

#else

MLS_SIMD_FN void interleave_quads(uint8_t *y, const uint8_t *const rows[MLS_GROUP])
{
    for (int p = 0; p < 4; p++)
        for (int i = 0; i < MLS_LANES; i++)
            for (int r = 0; r < MLS_GROUP; r++)
                y[p * MLS_GROUP_BYTES + i * MLS_GROUP + r] = rows[r][i / 4 * 16 + p * 4 + i % 4];
}

MLS_SIMD_FN uint8_t saturated(int32_t lane, int zero, uint8_t mask)
{
    const int64_t sum = (int64_t) lane + zero;
    return (uint8_t) ((uint8_t) (sum < 0 ? 0 : sum > 255 ? 255 : sum) ^ mask);
}

MLS_SIMD_FN void vi_store_quads(uint8_t *y, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    for (int p = 0; p < 4; p++)
        for (int i = 0; i < MLS_LANES; i++)
            y[i / 4 * 16 + p * 4 + i % 4] = saturated(v[p].lane[i], zero, mask);
}

MLS_SIMD_FN void vi_store_bytes(uint8_t *y, const mls_vi v[MLS_GROUP], int zero, uint8_t mask)
{
    for (int p = 0; p < 4; p++)
        for (int i = 0; i < MLS_LANES; i++)
            y[p * MLS_LANES + i] = saturated(v[p].lane[i], zero, mask);
}

#endif

/* The conversion gives its lowest number for NaN, and for what is too large unless it is bounded.
 */
MLS_SIMD_FN mls_vi code_of(mls_vf value)
{
    return vf_to_int_rint(vf_min(vf_set1(0x1p30f), value));
}

#if !defined(MLS_SIMD_AVX512)

MLS_SIMD_FN void interleave_panels(uint8_t *y, int64_t panel_bytes,
                                   const uint8_t *const rows[MLS_GROUP])
{
    for (int p = 0; p < MLS_GROUP; p++) {
        const int at = p * MLS_LANES;
        const uint8_t *const own[] = {rows[0] + at, rows[1] + at, rows[2] + at, rows[3] + at};
        interleave4(y + p * panel_bytes, own);
    }
}

#endif

#endif
