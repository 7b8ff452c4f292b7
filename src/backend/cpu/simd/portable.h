/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual vector in plain C: arrays of 16, loops that compilers can vectorise. It is the
 * reference that the other instruction sets are tested against. The contract is in simd.h.
 */
#ifndef MLS_BACKEND_CPU_SIMD_PORTABLE_H
#define MLS_BACKEND_CPU_SIMD_PORTABLE_H

#include <math.h>

typedef struct {
    float lane[MLS_LANES];
} mls_vf;

typedef struct {
    int32_t lane[MLS_LANES];
} mls_vi;

/* All ones or all zeros a lane, as vector comparisons give them. */
typedef struct {
    uint32_t lane[MLS_LANES];
} mls_vm;

/* The expression, which may use i, in every lane of a new vector. */
#define MLS_EACH_LANE(type, expression)                                                            \
    type result;                                                                                   \
    for (int i = 0; i < MLS_LANES; i++)                                                            \
        result.lane[i] = (expression);                                                             \
    return result

/* --- masks ----------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vm vm_first(int n)
{
    MLS_EACH_LANE(mls_vm, i < n ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vm_and(mls_vm a, mls_vm b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] & b.lane[i]);
}

MLS_SIMD_FN mls_vm vm_or(mls_vm a, mls_vm b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] | b.lane[i]);
}

MLS_SIMD_FN mls_vm vm_xor(mls_vm a, mls_vm b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] ^ b.lane[i]);
}

MLS_SIMD_FN mls_vm vm_andnot(mls_vm a, mls_vm b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] & ~b.lane[i]);
}

MLS_SIMD_FN mls_vm vm_not(mls_vm m)
{
    MLS_EACH_LANE(mls_vm, ~m.lane[i]);
}

MLS_SIMD_FN uint32_t vm_bits(mls_vm m)
{
    uint32_t bits = 0;
    for (int i = 0; i < MLS_LANES; i++)
        bits |= (m.lane[i] & 1u) << i;
    return bits;
}

MLS_SIMD_FN bool vm_any(mls_vm m)
{
    return vm_bits(m) != 0;
}

MLS_SIMD_FN bool vm_all(mls_vm m)
{
    return vm_bits(m) == 0xffff;
}

MLS_SIMD_FN mls_vm vm_from_bits(uint32_t bits)
{
    MLS_EACH_LANE(mls_vm, 0u - ((bits >> i) & 1u));
}

MLS_SIMD_FN mls_vm vm_load_bool(const uint8_t *p)
{
    MLS_EACH_LANE(mls_vm, p[i] != 0 ? UINT32_MAX : 0u);
}

MLS_SIMD_FN void vm_store_bool(uint8_t *p, mls_vm m)
{
    for (int i = 0; i < MLS_LANES; i++)
        p[i] = (uint8_t) (m.lane[i] & 1u);
}

/* --- integers: unsigned where the sum or the shift may wrap ---------------------------------- */

MLS_SIMD_FN mls_vi vi_zero(void)
{
    MLS_EACH_LANE(mls_vi, 0);
}

MLS_SIMD_FN mls_vi vi_set1(int32_t s)
{
    MLS_EACH_LANE(mls_vi, s);
}

MLS_SIMD_FN mls_vi vi_iota(void)
{
    MLS_EACH_LANE(mls_vi, i);
}

MLS_SIMD_FN mls_vi vi_load(const int32_t *p)
{
    mls_vi v;
    memcpy(v.lane, p, sizeof v.lane);
    return v;
}

MLS_SIMD_FN void vi_store(int32_t *p, mls_vi v)
{
    memcpy(p, v.lane, sizeof v.lane);
}

MLS_SIMD_FN void vi_store_twice(int32_t *p, mls_vi v)
{
    for (int i = 0; i < MLS_LANES; i++)
        p[2 * i] = p[2 * i + 1] = v.lane[i];
}

MLS_SIMD_FN mls_vi vi_load_n(const int32_t *p, int n)
{
    if (n == MLS_LANES)
        return vi_load(p);
    mls_vi v = vi_zero();
    memcpy(v.lane, p, (size_t) n * sizeof *p);
    return v;
}

MLS_SIMD_FN void vi_store_n(int32_t *p, mls_vi v, int n)
{
    if (n == MLS_LANES) {
        vi_store(p, v);
        return;
    }
    memcpy(p, v.lane, (size_t) n * sizeof *p);
}

MLS_SIMD_FN mls_vi vi_load_u8(const uint8_t *p)
{
    MLS_EACH_LANE(mls_vi, p[i]);
}

MLS_SIMD_FN mls_vi vi_load_i8(const int8_t *p)
{
    MLS_EACH_LANE(mls_vi, p[i]);
}

MLS_SIMD_FN void vi_store_u8(uint8_t *p, mls_vi v)
{
    for (int i = 0; i < MLS_LANES; i++)
        p[i] = (uint8_t) ((uint32_t) v.lane[i] & 0xffu);
}

MLS_SIMD_FN mls_vi vi_load_u16(const uint16_t *p)
{
    MLS_EACH_LANE(mls_vi, p[i]);
}

MLS_SIMD_FN void vi_store_u16(uint16_t *p, mls_vi v)
{
    for (int i = 0; i < MLS_LANES; i++)
        p[i] = (uint16_t) ((uint32_t) v.lane[i] & 0xffffu);
}

MLS_SIMD_FN mls_vi vi_add(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, (int32_t) ((uint32_t) a.lane[i] + (uint32_t) b.lane[i]));
}

MLS_SIMD_FN mls_vi vi_sub(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, (int32_t) ((uint32_t) a.lane[i] - (uint32_t) b.lane[i]));
}

MLS_SIMD_FN mls_vi vi_mul(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, (int32_t) ((uint32_t) a.lane[i] * (uint32_t) b.lane[i]));
}

MLS_SIMD_FN mls_vi vi_and(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, a.lane[i] & b.lane[i]);
}

MLS_SIMD_FN mls_vi vi_or(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, a.lane[i] | b.lane[i]);
}

MLS_SIMD_FN mls_vi vi_xor(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, a.lane[i] ^ b.lane[i]);
}

MLS_SIMD_FN mls_vi vi_andnot(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, a.lane[i] & ~b.lane[i]);
}

MLS_SIMD_FN mls_vi vi_min(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}

MLS_SIMD_FN mls_vi vi_max(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}

MLS_SIMD_FN mls_vi vi_shl(mls_vi v, int k)
{
    MLS_EACH_LANE(mls_vi, (int32_t) ((uint32_t) v.lane[i] << k));
}

MLS_SIMD_FN mls_vi vi_shr(mls_vi v, int k)
{
    MLS_EACH_LANE(mls_vi, (int32_t) ((uint32_t) v.lane[i] >> k));
}

/* Right shifts of negative numbers are arithmetic in every compiler the library supports. */
_Static_assert((-2 >> 1) == -1, "arithmetic right shift");

MLS_SIMD_FN mls_vi vi_sar(mls_vi v, int k)
{
    MLS_EACH_LANE(mls_vi, v.lane[i] >> k);
}

MLS_SIMD_FN mls_vm vi_eq(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] == b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vi_lt(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] < b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vi_gt(mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] > b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vi vi_select(mls_vm m, mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, m.lane[i] != 0 ? a.lane[i] : b.lane[i]);
}

/* --- floats ---------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_zero(void)
{
    MLS_EACH_LANE(mls_vf, 0.0f);
}

MLS_SIMD_FN mls_vf vf_set1(float s)
{
    MLS_EACH_LANE(mls_vf, s);
}

MLS_SIMD_FN mls_vf vf_load(const float *p)
{
    mls_vf v;
    memcpy(v.lane, p, sizeof v.lane);
    return v;
}

MLS_SIMD_FN void vf_store(float *p, mls_vf v)
{
    memcpy(p, v.lane, sizeof v.lane);
}

MLS_SIMD_FN mls_vf vf_load_n(const float *p, int n)
{
    if (n == MLS_LANES)
        return vf_load(p);
    mls_vf v = vf_zero();
    memcpy(v.lane, p, (size_t) n * sizeof *p);
    return v;
}

MLS_SIMD_FN void vf_store_n(float *p, mls_vf v, int n)
{
    if (n == MLS_LANES) {
        vf_store(p, v);
        return;
    }
    memcpy(p, v.lane, (size_t) n * sizeof *p);
}

MLS_SIMD_FN mls_vi vf_as_int(mls_vf v)
{
    mls_vi result;
    memcpy(result.lane, v.lane, sizeof result.lane);
    return result;
}

MLS_SIMD_FN mls_vf vi_as_float(mls_vi v)
{
    mls_vf result;
    memcpy(result.lane, v.lane, sizeof result.lane);
    return result;
}

MLS_SIMD_FN mls_vf vf_add(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, a.lane[i] + b.lane[i]);
}

MLS_SIMD_FN mls_vf vf_sub(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, a.lane[i] - b.lane[i]);
}

MLS_SIMD_FN mls_vf vf_mul(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, a.lane[i] * b.lane[i]);
}

MLS_SIMD_FN mls_vf vf_div(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, a.lane[i] / b.lane[i]);
}

/*
 * fmaf. Where that is no instruction, C libraries change the rounding mode or take the numbers
 * apart, which is ten times slower than this: the product is exact in double precision, and the
 * sum is rounded to odd (when inexact, to the neighbour whose last bit is 1), so that its rounding
 * to float, which has far fewer bits, is as if it were exact.
 */
static inline float fused_multiply_add(float a, float b, float c)
{
#if defined(FP_FAST_FMAF)
    return fmaf(a, b, c);
#else
    const double product = (double) a * (double) b;
    double sum = product + (double) c;
    const double part = sum - product;
    const double lost = (product - (sum - part)) + ((double) c - part);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    /* False where the sum is infinite or NaN, as then so is what was lost. */
    const uint64_t inexact = (uint64_t) (lost > 0) | (uint64_t) (lost < 0);
    const uint64_t toward = (lost > 0) == (sum > 0) ? 1 : UINT64_MAX;
    /* No branches: each would be taken at random. */
    bits += toward & (0 - (inexact & ~bits));
    memcpy(&sum, &bits, sizeof sum);
    return (float) sum;
#endif
}

MLS_SIMD_FN mls_vf vf_fma(mls_vf a, mls_vf b, mls_vf c)
{
    MLS_EACH_LANE(mls_vf, fused_multiply_add(a.lane[i], b.lane[i], c.lane[i]));
}

MLS_SIMD_FN mls_vf vf_fms(mls_vf a, mls_vf b, mls_vf c)
{
    MLS_EACH_LANE(mls_vf, fused_multiply_add(a.lane[i], b.lane[i], -c.lane[i]));
}

MLS_SIMD_FN mls_vf vf_fnma(mls_vf a, mls_vf b, mls_vf c)
{
    MLS_EACH_LANE(mls_vf, fused_multiply_add(-a.lane[i], b.lane[i], c.lane[i]));
}

MLS_SIMD_FN mls_vf vf_sqrt(mls_vf a)
{
    MLS_EACH_LANE(mls_vf, sqrtf(a.lane[i]));
}

MLS_SIMD_FN mls_vf vf_neg(mls_vf a)
{
    MLS_EACH_LANE(mls_vf, -a.lane[i]);
}

MLS_SIMD_FN mls_vf vf_abs(mls_vf a)
{
    MLS_EACH_LANE(mls_vf, fabsf(a.lane[i]));
}

MLS_SIMD_FN mls_vf vf_floor(mls_vf a)
{
    MLS_EACH_LANE(mls_vf, floorf(a.lane[i]));
}

MLS_SIMD_FN mls_vf vf_ceil(mls_vf a)
{
    MLS_EACH_LANE(mls_vf, ceilf(a.lane[i]));
}

MLS_SIMD_FN mls_vf vf_trunc(mls_vf a)
{
    MLS_EACH_LANE(mls_vf, truncf(a.lane[i]));
}

MLS_SIMD_FN mls_vf vf_rint(mls_vf a)
{
    MLS_EACH_LANE(mls_vf, rintf(a.lane[i]));
}

MLS_SIMD_FN mls_vf vf_copysign(mls_vf magnitude, mls_vf sign)
{
    MLS_EACH_LANE(mls_vf, copysignf(magnitude.lane[i], sign.lane[i]));
}

MLS_SIMD_FN mls_vf vf_min(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}

MLS_SIMD_FN mls_vf vf_max(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}

MLS_SIMD_FN mls_vm vf_eq(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] == b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vf_ne(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] != b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vf_lt(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] < b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vf_le(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] <= b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vf_gt(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] > b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vf_ge(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] >= b.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vm vf_isnan(mls_vf a)
{
    MLS_EACH_LANE(mls_vm, a.lane[i] != a.lane[i] ? UINT32_MAX : 0u);
}

MLS_SIMD_FN mls_vf vf_select(mls_vm m, mls_vf a, mls_vf b)
{
    return vi_as_float(vi_select(m, vf_as_int(a), vf_as_int(b)));
}

/* The comparison also rejects NaN; a conversion out of range would be undefined. */
MLS_SIMD_FN int32_t int_of_integral(float x)
{
    return fabsf(x) < 0x1p31f ? (int32_t) x : INT32_MIN;
}

MLS_SIMD_FN mls_vi vf_to_int(mls_vf v)
{
    MLS_EACH_LANE(mls_vi, int_of_integral(v.lane[i]));
}

MLS_SIMD_FN mls_vi vf_to_int_rint(mls_vf v)
{
    MLS_EACH_LANE(mls_vi, int_of_integral(rintf(v.lane[i])));
}

MLS_SIMD_FN mls_vf vi_to_float(mls_vi v)
{
    MLS_EACH_LANE(mls_vf, (float) v.lane[i]);
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

/*
 * Half to single: a normal number moves its exponent by 112; a denormal is an integer of 2^-24,
 * which converts exactly.
 */
MLS_SIMD_FN float float_of_half(uint16_t half)
{
    const uint32_t sign = (uint32_t) (half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu;
    const uint32_t fraction = half & 0x3ffu;
    const float tiny = (float) (int32_t) fraction * 0x1p-24f;
    uint32_t bits = ((exponent + 112u) << 23) | (fraction << 13);
    float result;

    if (exponent == 0)
        memcpy(&bits, &tiny, sizeof bits);
    if (exponent == 31)
        bits = 0x7f800000u | (fraction << 13) | (fraction != 0 ? 0x400000u : 0u);
    bits |= sign;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/*
 * Single to half. A normal result is the fraction rounded by an addition that may carry into the
 * exponent, up to infinity. A denormal result is |x| in units of 2^-24, rounded by the addition
 * of 0.5: the sum's last place is 2^-24 there.
 */
MLS_SIMD_FN uint16_t half_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;

    if (magnitude > 0x7f800000u)
        return (uint16_t) (sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
    if (magnitude >= 0x47800000u)
        return (uint16_t) (sign | 0x7c00u);
    if (magnitude < 0x38800000u) {
        const float sum = fabsf(x) + 0.5f;
        uint32_t sum_bits;
        memcpy(&sum_bits, &sum, sizeof sum_bits);
        return (uint16_t) (sign | (sum_bits - 0x3f000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    return (uint16_t) (sign | ((magnitude - (112u << 23) + 0xfffu + odd) >> 13));
}

MLS_SIMD_FN mls_vf vf_load_f16(const uint16_t *p)
{
    MLS_EACH_LANE(mls_vf, float_of_half(p[i]));
}

MLS_SIMD_FN void vf_store_f16(uint16_t *p, mls_vf v)
{
    for (int i = 0; i < MLS_LANES; i++)
        p[i] = half_of_float(v.lane[i]);
}

MLS_SIMD_FN mls_vf vf_through_f16(mls_vf v)
{
    MLS_EACH_LANE(mls_vf, float_of_half(half_of_float(v.lane[i])));
}

/* --- gathers --------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_gather(const float *base, mls_vi index)
{
    MLS_EACH_LANE(mls_vf, base[index.lane[i]]);
}

MLS_SIMD_FN mls_vf vf_gather_mask(mls_vf src, mls_vm m, const float *base, mls_vi index)
{
    MLS_EACH_LANE(mls_vf, m.lane[i] != 0 ? base[index.lane[i]] : src.lane[i]);
}

MLS_SIMD_FN mls_vf vf_gather_pair(const void *base, mls_vi index)
{
    const char *bytes = base;
    mls_vf result;
    for (int i = 0; i < MLS_LANES; i++)
        memcpy(&result.lane[i], bytes + 8 * (ptrdiff_t) index.lane[i], sizeof result.lane[i]);
    return result;
}

MLS_SIMD_FN mls_vi vi_gather(const int32_t *base, mls_vi index)
{
    MLS_EACH_LANE(mls_vi, base[index.lane[i]]);
}

MLS_SIMD_FN mls_vi vi_gather_mask(mls_vi src, mls_vm m, const int32_t *base, mls_vi index)
{
    MLS_EACH_LANE(mls_vi, m.lane[i] != 0 ? base[index.lane[i]] : src.lane[i]);
}

MLS_SIMD_FN mls_vi vi_gather_pair(const void *base, mls_vi index)
{
    const char *bytes = base;
    mls_vi result;
    for (int i = 0; i < MLS_LANES; i++)
        memcpy(&result.lane[i], bytes + 8 * (ptrdiff_t) index.lane[i], sizeof result.lane[i]);
    return result;
}

MLS_SIMD_FN mls_vi vi_lookup32(const int32_t *table, mls_vi index)
{
    return vi_gather(table, index);
}

MLS_SIMD_FN mls_vi vi_clear(mls_vm m, mls_vi a, mls_vi b)
{
    MLS_EACH_LANE(mls_vi, a.lane[i] & ~(b.lane[i] & (int32_t) m.lane[i]));
}

/* --- lanes: rotations, so that every lane has a value ---------------------------------------- */

MLS_SIMD_FN mls_vf vf_down8(mls_vf v)
{
    MLS_EACH_LANE(mls_vf, v.lane[(i + 8) % MLS_LANES]);
}

MLS_SIMD_FN mls_vf vf_down4(mls_vf v)
{
    MLS_EACH_LANE(mls_vf, v.lane[(i + 4) % MLS_LANES]);
}

MLS_SIMD_FN mls_vf vf_down2(mls_vf v)
{
    MLS_EACH_LANE(mls_vf, v.lane[(i + 2) % MLS_LANES]);
}

MLS_SIMD_FN mls_vf vf_down1(mls_vf v)
{
    MLS_EACH_LANE(mls_vf, v.lane[(i + 1) % MLS_LANES]);
}

MLS_SIMD_FN mls_vf vf_even(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, i < MLS_LANES / 2 ? a.lane[2 * i] : b.lane[2 * i - MLS_LANES]);
}

MLS_SIMD_FN mls_vf vf_odd(mls_vf a, mls_vf b)
{
    MLS_EACH_LANE(mls_vf, i < MLS_LANES / 2 ? a.lane[2 * i + 1] : b.lane[2 * i + 1 - MLS_LANES]);
}

MLS_SIMD_FN float vf_lane0(mls_vf v)
{
    return v.lane[0];
}

#endif
