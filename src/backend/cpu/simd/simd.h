/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual vector: 16 lanes of float32 or int32 and a 16-lane mask, on every instruction set.
 *
 * Kernels are written once over these functions and compiled once an instruction set, with one of
 * MLS_SIMD_AVX512, MLS_SIMD_AVX2, MLS_SIMD_NEON, MLS_SIMD_PORTABLE defined as 1. Every function
 * gives the same bits on all of them for every input, save the sign and payload of a NaN that
 * arithmetic makes. So the order of a reduction over lanes is the same everywhere, and with it
 * the result (see "same bits" in the documentation of numerics).
 *
 * Types:  mls_vf 16 x float, mls_vi 16 x int32_t, mls_vm 16 x bool.
 * Lane i of a load comes from p[i]. No pointer needs more alignment than its element.
 * The rounding mode is the default one (nearest, ties to even), and denormals are not flushed.
 *
 * Floats
 *   vf_zero() vf_set1(s)
 *   vf_load(p) vf_store(p, v)          all lanes
 *   vf_load_n(p, n) vf_store_n(p, v, n)
 *                                      lanes 0..n-1, 0 <= n <= 16; memory from p[n] on is not
 *                                      touched, and lanes from n on load as 0; 16 is fast
 *   vf_add vf_sub vf_mul vf_div vf_sqrt    IEEE 754, correctly rounded
 *   vf_fma(a, b, c)                    a * b + c  with one rounding, always
 *   vf_fms(a, b, c)                    a * b - c  likewise
 *   vf_fnma(a, b, c)                   c - a * b  likewise
 *   vf_neg vf_abs vf_copysign(m, s)    on the sign bit only; m's magnitude with s's sign
 *   vf_floor vf_ceil vf_trunc vf_rint  to integral values; rint ties to even; sign of zero kept
 *   vf_min(a, b)                       a < b ? a : b, so b where a lane is NaN or both are zeros
 *   vf_max(a, b)                       a > b ? a : b, likewise
 *   vf_min_nan vf_max_nan              a where a is NaN, else as above: NaN if either is NaN
 *   vf_ldexp(a, n)                     a * 2^n with one rounding: overflow to inf, exact denormals;
 *                                      n integral, -252 <= n <= 252, and 2^-2 <= |a| <= 2^2
 *   vf_pow2(n)                         2^n, n integral, -126 <= n <= 127
 *   vf_as_int(v) vi_as_float(v)        the same bits
 *   vf_to_int(v)                       toward zero; INT32_MIN where NaN or out of range
 *   vf_to_int_rint(v)                  to nearest even; likewise
 *   vi_to_float(v)                     to nearest even
 *
 * Sixteen-bit floats (IEEE half and bfloat16), as bits in uint16_t
 *   vf_load_f16(p) vf_store_f16(p, v) vf_load_f16_n(p, n) vf_store_f16_n(p, v, n)
 *   vf_load_bf16(p) vf_store_bf16(p, v) vf_load_bf16_n(p, n) vf_store_bf16_n(p, v, n)
 *                                      nearest even; denormals exact; a NaN keeps its sign and
 *                                      the top bits of its payload, f16 NaNs and stored NaNs
 *                                      become quiet (a loaded bfloat16 NaN is kept as it is)
 *   vf_through_f16(v) vf_through_bf16(v)
 *                                      as if stored and loaded
 *
 * Across lanes
 *   vf_down8 vf_down4 vf_down2 vf_down1
 *                                      lane i from lane i + k where i < k; the others unspecified
 *   vf_even(a, b)                      lanes 0, 2, .. 14 of a, then those of b
 *   vf_odd(a, b)                       likewise lanes 1, 3, .. 15
 *   vf_lane0(v)                        float
 *   vf_hsum vf_hmul vf_hmin vf_hmax vf_hmin_nan vf_hmax_nan
 *                                      all lanes in one fixed tree: lane i with i + 8, then i + 4,
 *                                      i + 2, i + 1; the lower lane is the left operand
 *
 * Comparisons give masks; all but vf_ne and vf_isnan are false where a lane is NaN
 *   vf_eq vf_ne vf_lt vf_le vf_gt vf_ge vf_isnan
 *   vf_select(m, a, b)                 m ? a : b
 *
 * Integers wrap around
 *   vi_zero() vi_set1(s) vi_iota()     iota: 0, 1, .. 15
 *   vi_load vi_store vi_load_n vi_store_n
 *   vi_store_twice(p, v)               32 elements: each lane twice in a row
 *   vi_load_u16(p) vi_store_u16(p, v)  widen with zeros; keep the low 16 bits
 *   vi_load_u8(p) vi_load_i8(p) vi_store_u8(p, v)
 *   vi_load_u8_n(p, n) vi_load_i8_n(p, n) vi_store_u8_n(p, v, n)
 *                                      widen with zeros or the sign; keep the low 8 bits
 *   vi_add vi_sub vi_mul vi_and vi_or vi_xor
 *   vi_andnot(a, b)                    a & ~b
 *   vi_clear(m, a, b)                  m ? a & ~b : a
 *   vi_min vi_max                      signed
 *   vi_shl(v, k) vi_shr(v, k) vi_sar(v, k)   0 <= k <= 31; shr shifts zeros in, sar the sign
 *   vi_eq vi_lt vi_gt vi_select(m, a, b)
 *
 * Masks
 *   vm_first(n)                        lanes 0..n-1, 0 <= n <= 16
 *   vm_and vm_or vm_xor vm_not vm_andnot(a, b) = a & ~b
 *   vm_any(m) vm_all(m)                bool
 *   vm_bits(m) vm_from_bits(b)         lane i is bit i of a uint32_t
 *   vm_load_bool(p) vm_store_bool(p, m) vm_load_bool_n(p, n) vm_store_bool_n(p, m, n)
 *                                      bytes; any value but 0 loads as true, true stores as 1
 *
 * Gathers read base[index[i]]; a lane that the mask has off is not read and keeps src
 *   vf_gather(base, index) vf_gather_mask(src, m, base, index)
 *   vi_gather(base, index) vi_gather_mask(src, m, base, index)
 *   vf_gather_pair(base, index) vi_gather_pair(base, index)
 *                                      elements of 8 bytes: 4 bytes at base + 8 * index
 *   vi_lookup32(table, index)          table[index[i]] of 32 elements, all of which may be read
 */
#ifndef MLS_BACKEND_CPU_SIMD_SIMD_H
#define MLS_BACKEND_CPU_SIMD_SIMD_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MLS_LANES 16

/*
 * Inlined always: a vector that goes through memory in a call costs more than the work on it. Not
 * so in plain C, where sixteen lanes of everything inlined take compilers minutes to chew, and a
 * fused multiply-add costs more than all else.
 */
#if defined(MLS_SIMD_PORTABLE)
#define MLS_SIMD_FN static __attribute__((noinline, unused))
#else
#define MLS_SIMD_FN static inline __attribute__((always_inline))
#endif

/*
 * In front of a loop whose bounds the compiler knows once its function is inlined: unrolled whole,
 * so that arrays of vectors become registers. Plain C has no such registers to fill; and checks of
 * each access leave none, while clang takes five times as long over the copies of one check.
 */
#if defined(MLS_SIMD_PORTABLE) || defined(MLS_SANITIZED)
#define MLS_UNROLL
#elif defined(__clang__)
#define MLS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MLS_UNROLL _Pragma("GCC unroll 16")
#endif

_Static_assert(FLT_EVAL_METHOD == 0, "float expressions must be evaluated as float (not x87)");

#if defined(MLS_SIMD_AVX512)
#define MLS_ISA avx512
#include "backend/cpu/simd/avx512.h"
#elif defined(MLS_SIMD_AVX2)
#define MLS_ISA avx2
#include "backend/cpu/simd/avx2.h"
#elif defined(MLS_SIMD_NEON)
#define MLS_ISA neon
#include "backend/cpu/simd/neon.h"
#elif defined(MLS_SIMD_PORTABLE)
#define MLS_ISA portable
#include "backend/cpu/simd/portable.h"
#else
#error "define MLS_SIMD_AVX512, MLS_SIMD_AVX2, MLS_SIMD_NEON or MLS_SIMD_PORTABLE as 1"
#endif

/* The external names of a file compiled once an instruction set: x becomes mls__x_avx2, ... */
#define MLS_ISA_PASTE(x, isa)       mls__##x##_##isa
#define MLS_ISA_EXPAND(x, isa)      MLS_ISA_PASTE(x, isa)
#define MLS_ISA_NAME(x)             MLS_ISA_EXPAND(x, MLS_ISA)
#define MLS_ISA_QUOTE(isa)          #isa
#define MLS_ISA_QUOTE_EXPANDED(isa) MLS_ISA_QUOTE(isa)
#define MLS_ISA_STRING              MLS_ISA_QUOTE_EXPANDED(MLS_ISA)

/*
 * Some instructions matter for few kernels. A file of such kernels is compiled once more with
 * MLS_SIMD_VNNI (products of bytes), MLS_SIMD_BF16 (products of bfloat16) or MLS_SIMD_AMX (the
 * same by tiles) defined as 1 beside its instruction set, and has names of its own. A level is an
 * instruction set with some of them, each of which comes with those before it.
 */
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_VNNI)
#define MLS_ISA_INT8 avx512vnni
#elif defined(MLS_SIMD_AVX2) && defined(MLS_SIMD_VNNI)
#define MLS_ISA_INT8 avx2vnni
#else
#define MLS_ISA_INT8 MLS_ISA
#endif
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_BF16)
#define MLS_ISA_BF16 avx512bf16
#else
#define MLS_ISA_BF16 MLS_ISA
#endif
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_AMX)
#define MLS_ISA_LEVEL amx
#elif defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_BF16)
#define MLS_ISA_LEVEL MLS_ISA_BF16
#else
#define MLS_ISA_LEVEL MLS_ISA_INT8
#endif
#define MLS_ISA_INT8_NAME(x)  MLS_ISA_EXPAND(x, MLS_ISA_INT8)
#define MLS_ISA_BF16_NAME(x)  MLS_ISA_EXPAND(x, MLS_ISA_BF16)
#define MLS_ISA_BF16_STRING   MLS_ISA_QUOTE_EXPANDED(MLS_ISA_BF16)
#define MLS_ISA_LEVEL_NAME(x) MLS_ISA_EXPAND(x, MLS_ISA_LEVEL)
#define MLS_ISA_LEVEL_STRING  MLS_ISA_QUOTE_EXPANDED(MLS_ISA_LEVEL)

/* What follows is the same on every instruction set. */

/* How many of n elements the vector at element i holds: the n of the partial loads and stores. */
MLS_SIMD_FN int lanes_at(int64_t i, int64_t n)
{
    return n - i < MLS_LANES ? (int) (n - i) : MLS_LANES;
}

MLS_SIMD_FN mls_vf vf_min_nan(mls_vf a, mls_vf b)
{
    return vf_select(vf_isnan(a), a, vf_min(a, b));
}

MLS_SIMD_FN mls_vf vf_max_nan(mls_vf a, mls_vf b)
{
    return vf_select(vf_isnan(a), a, vf_max(a, b));
}

MLS_SIMD_FN float vf_hsum(mls_vf v)
{
    v = vf_add(v, vf_down8(v));
    v = vf_add(v, vf_down4(v));
    v = vf_add(v, vf_down2(v));
    return vf_lane0(vf_add(v, vf_down1(v)));
}

MLS_SIMD_FN float vf_hmul(mls_vf v)
{
    v = vf_mul(v, vf_down8(v));
    v = vf_mul(v, vf_down4(v));
    v = vf_mul(v, vf_down2(v));
    return vf_lane0(vf_mul(v, vf_down1(v)));
}

MLS_SIMD_FN float vf_hmin(mls_vf v)
{
    v = vf_min(v, vf_down8(v));
    v = vf_min(v, vf_down4(v));
    v = vf_min(v, vf_down2(v));
    return vf_lane0(vf_min(v, vf_down1(v)));
}

MLS_SIMD_FN float vf_hmax(mls_vf v)
{
    v = vf_max(v, vf_down8(v));
    v = vf_max(v, vf_down4(v));
    v = vf_max(v, vf_down2(v));
    return vf_lane0(vf_max(v, vf_down1(v)));
}

MLS_SIMD_FN float vf_hmin_nan(mls_vf v)
{
    v = vf_min_nan(v, vf_down8(v));
    v = vf_min_nan(v, vf_down4(v));
    v = vf_min_nan(v, vf_down2(v));
    return vf_lane0(vf_min_nan(v, vf_down1(v)));
}

MLS_SIMD_FN float vf_hmax_nan(mls_vf v)
{
    v = vf_max_nan(v, vf_down8(v));
    v = vf_max_nan(v, vf_down4(v));
    v = vf_max_nan(v, vf_down2(v));
    return vf_lane0(vf_max_nan(v, vf_down1(v)));
}

MLS_SIMD_FN mls_vf vf_load_bf16(const uint16_t *p)
{
    return vi_as_float(vi_shl(vi_load_u16(p), 16));
}

/* The bits that are stored. */
MLS_SIMD_FN mls_vi bf16_of(mls_vf v)
{
    const mls_vi bits = vf_as_int(v);
    const mls_vi high = vi_shr(bits, 16);
    const mls_vi odd = vi_and(high, vi_set1(1));
    const mls_vi rounded = vi_shr(vi_add(bits, vi_add(odd, vi_set1(0x7fff))), 16);
    const mls_vi quiet = vi_or(high, vi_set1(0x40));
    return vi_select(vf_isnan(v), quiet, rounded);
}

MLS_SIMD_FN void vf_store_bf16(uint16_t *p, mls_vf v)
{
    vi_store_u16(p, bf16_of(v));
}

MLS_SIMD_FN mls_vf vf_through_bf16(mls_vf v)
{
    return vi_as_float(vi_shl(bf16_of(v), 16));
}

MLS_SIMD_FN mls_vf vf_load_f16_n(const uint16_t *p, int n)
{
    if (n == MLS_LANES)
        return vf_load_f16(p);
    uint16_t buffer[MLS_LANES] = {0};
    memcpy(buffer, p, (size_t) n * sizeof *p);
    return vf_load_f16(buffer);
}

MLS_SIMD_FN void vf_store_f16_n(uint16_t *p, mls_vf v, int n)
{
    if (n == MLS_LANES) {
        vf_store_f16(p, v);
        return;
    }
    uint16_t buffer[MLS_LANES];
    vf_store_f16(buffer, v);
    memcpy(p, buffer, (size_t) n * sizeof *p);
}

MLS_SIMD_FN mls_vf vf_load_bf16_n(const uint16_t *p, int n)
{
    if (n == MLS_LANES)
        return vf_load_bf16(p);
    uint16_t buffer[MLS_LANES] = {0};
    memcpy(buffer, p, (size_t) n * sizeof *p);
    return vf_load_bf16(buffer);
}

MLS_SIMD_FN void vf_store_bf16_n(uint16_t *p, mls_vf v, int n)
{
    if (n == MLS_LANES) {
        vf_store_bf16(p, v);
        return;
    }
    uint16_t buffer[MLS_LANES];
    vf_store_bf16(buffer, v);
    memcpy(p, buffer, (size_t) n * sizeof *p);
}

MLS_SIMD_FN mls_vi vi_load_u8_n(const uint8_t *p, int n)
{
    if (n == MLS_LANES)
        return vi_load_u8(p);
    uint8_t buffer[MLS_LANES] = {0};
    memcpy(buffer, p, (size_t) n);
    return vi_load_u8(buffer);
}

MLS_SIMD_FN mls_vi vi_load_i8_n(const int8_t *p, int n)
{
    if (n == MLS_LANES)
        return vi_load_i8(p);
    int8_t buffer[MLS_LANES] = {0};
    memcpy(buffer, p, (size_t) n);
    return vi_load_i8(buffer);
}

MLS_SIMD_FN void vi_store_u8_n(uint8_t *p, mls_vi v, int n)
{
    if (n == MLS_LANES) {
        vi_store_u8(p, v);
        return;
    }
    uint8_t buffer[MLS_LANES];
    vi_store_u8(buffer, v);
    memcpy(p, buffer, (size_t) n);
}

MLS_SIMD_FN mls_vm vm_load_bool_n(const uint8_t *p, int n)
{
    if (n == MLS_LANES)
        return vm_load_bool(p);
    uint8_t buffer[MLS_LANES] = {0};
    memcpy(buffer, p, (size_t) n);
    return vm_load_bool(buffer);
}

MLS_SIMD_FN void vm_store_bool_n(uint8_t *p, mls_vm m, int n)
{
    if (n == MLS_LANES) {
        vm_store_bool(p, m);
        return;
    }
    uint8_t buffer[MLS_LANES];
    vm_store_bool(buffer, m);
    memcpy(p, buffer, (size_t) n);
}

#endif
