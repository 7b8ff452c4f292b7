/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circular functions and their inverses, sinh and cosh of the virtual vector, made as those of
 * math.h are. The errors stated were measured over every 331st of all 2^32 floats against double
 * precision, in units in the last place. NaN gives NaN.
 */
#ifndef MLS_BACKEND_CPU_SIMD_TRIG_H
#define MLS_BACKEND_CPU_SIMD_TRIG_H

#include "backend/cpu/math/f64_trig_inline.h"
#include "backend/cpu/simd/math.h"

/* y, with f(x) in double precision in the lanes of the mask. */
MLS_SIMD_FN mls_vf vf_in_double(mls_vf y, mls_vf x, mls_vm lanes, double (*f)(double))
{
    float results[MLS_LANES], arguments[MLS_LANES];
    const uint32_t bits = vm_bits(lanes);
    vf_store(results, y);
    vf_store(arguments, x);
    for (int i = 0; i < MLS_LANES; i++)
        if (bits >> i & 1)
            results[i] = (float) f((double) arguments[i]);
    return vf_load(results);
}

/* --- quarter turns --------------------------------------------------------------------------- */

/* What is left of an angle after quarter turns, as an unevaluated sum; the turns in bits 0, 1. */
typedef struct vf_angle {
    mls_vf high, low;
    mls_vi quarter;
} vf_angle;

/* Past this many radians the lanes are done in double precision. */
#define VF_NEAR_ANGLE 0x1p17f

/*
 * x = quarter * pi / 2 + high + low for |x| <= VF_NEAR_ANGLE, with pi / 2 in three parts. The
 * first product leaves an exact difference; what the second one lacks goes to low.
 */
MLS_SIMD_FN vf_angle vf_reduce_angle(mls_vf x)
{
    const mls_vf k = vf_rint(vf_mul(x, vf_set1(0x1.45f306p-1f)));
    const mls_vf first = vf_fnma(k, vf_set1(0x1.921fb6p+0f), x);
    const mls_vf part = vf_set1(-0x1.777a5cp-25f);
    const mls_vf product = vf_mul(k, part);
    const mls_vf lost = vf_fms(k, part, product);

    const mls_vf sum = vf_sub(first, product);
    const mls_vf step = vf_sub(sum, first);
    const mls_vf rest = vf_sub(vf_sub(first, vf_sub(sum, step)), vf_add(product, step));
    const mls_vf low = vf_fnma(k, vf_set1(-0x1.ee59dap-50f), vf_sub(rest, lost));
    const mls_vf high = vf_add(sum, low);
    return (vf_angle){high, vf_add(vf_sub(sum, high), low), vf_to_int_rint(k)};
}

/* The sine of such an angle in its first quarter turn: sum of the two parts. */
MLS_SIMD_FN mls_vf vf_sin_part(vf_angle r, mls_vf *ret_low)
{
    /* (sin(r) / r - 1) / r^2 in r^2 */
    static const float q[] = {-0x1.555556p-3f, 0x1.111172p-7f, -0x1.a056a2p-13f, 0x1.7b5866p-19f};
    const mls_vf square = vf_mul(r.high, r.high);
    const mls_vf low = vf_fnma(vf_mul(r.low, vf_set1(0.5f)), square, r.low);
    const mls_vf tail = vf_fma(vf_mul(r.high, square), vf_polynomial(square, q, 3), low);
    const mls_vf y = vf_add(r.high, tail);
    *ret_low = vf_add(vf_sub(r.high, y), tail);
    return y;
}

MLS_SIMD_FN mls_vf vf_cos_part(vf_angle r, mls_vf *ret_low)
{
    /* (cos(r) - 1 + r^2 / 2) / r^4 in r^2 */
    static const float q[] = {0x1.55554ap-5f, -0x1.6c0c12p-10f, 0x1.99dd8p-16f};
    const mls_vf one = vf_set1(1.0f);
    const mls_vf square = vf_mul(r.high, r.high);
    const mls_vf half = vf_mul(square, vf_set1(0.5f));
    const mls_vf lost = vf_mul(vf_fms(r.high, r.high, square), vf_set1(0.5f));
    const mls_vf near = vf_sub(one, half);
    const mls_vf rest = vf_sub(vf_sub(one, near), half);
    const mls_vf low = vf_sub(rest, vf_fma(r.high, r.low, lost));
    const mls_vf tail = vf_fma(vf_mul(square, square), vf_polynomial(square, q, 2), low);
    const mls_vf y = vf_add(near, tail);
    *ret_low = vf_add(vf_sub(near, y), tail);
    return y;
}

/* The sine of the angle and `more` quarter turns. */
MLS_SIMD_FN mls_vf vf_sin_turned(vf_angle r, int more)
{
    mls_vf low;
    const mls_vi quarter = vi_add(r.quarter, vi_set1(more));
    const mls_vm odd = vi_eq(vi_and(quarter, vi_set1(1)), vi_set1(1));
    const mls_vf y = vf_select(odd, vf_cos_part(r, &low), vf_sin_part(r, &low));
    const mls_vi sign = vi_shl(vi_and(quarter, vi_set1(2)), 30);
    return vi_as_float(vi_xor(vf_as_int(y), sign));
}

/* Error below 0.75 ulp. */
MLS_SIMD_FN mls_vf vf_sin(mls_vf x)
{
    const mls_vf magnitude = vf_abs(x);
    const mls_vm far = vf_gt(magnitude, vf_set1(VF_NEAR_ANGLE));
    const mls_vf y = vf_sin_turned(vf_reduce_angle(x), 0);
    const mls_vf near = vf_select(vf_lt(magnitude, vf_set1(0x1p-13f)), x, y);
    return vm_any(far) ? vf_in_double(near, x, far, f64_sin) : near;
}

/* Error below 0.75 ulp. */
MLS_SIMD_FN mls_vf vf_cos(mls_vf x)
{
    const mls_vm far = vf_gt(vf_abs(x), vf_set1(VF_NEAR_ANGLE));
    const mls_vf near = vf_sin_turned(vf_reduce_angle(x), 1);
    return vm_any(far) ? vf_in_double(near, x, far, f64_cos) : near;
}

/* Error below 0.85 ulp. */
MLS_SIMD_FN mls_vf vf_tan(mls_vf x)
{
    mls_vf sine_low, cosine_low;
    const mls_vf magnitude = vf_abs(x);
    const mls_vm far = vf_gt(magnitude, vf_set1(VF_NEAR_ANGLE));
    const vf_angle r = vf_reduce_angle(x);
    const mls_vf sine = vf_sin_part(r, &sine_low), cosine = vf_cos_part(r, &cosine_low);

    const mls_vm odd = vi_eq(vi_and(r.quarter, vi_set1(1)), vi_set1(1));
    const mls_vf a = vf_select(odd, vf_neg(cosine), sine);
    const mls_vf a_low = vf_select(odd, vf_neg(cosine_low), sine_low);
    const mls_vf b = vf_select(odd, sine, cosine);
    const mls_vf b_low = vf_select(odd, sine_low, cosine_low);
    const mls_vf quotient = vf_div(a, b);
    const mls_vf rest = vf_fnma(quotient, b_low, vf_add(vf_fnma(quotient, b, a), a_low));
    const mls_vf y = vf_add(quotient, vf_div(rest, b));
    const mls_vf near = vf_select(vf_lt(magnitude, vf_set1(0x1p-13f)), x, y);
    return vm_any(far) ? vf_in_double(near, x, far, f64_tan) : near;
}

/* --- angles ---------------------------------------------------------------------------------- */

/* asin(x) / x - 1 for |x| <= 1 / 2, from x^2. */
MLS_SIMD_FN mls_vf vf_asin_part(mls_vf square)
{
    static const float q[] = {0x1.55554cp-3f, 0x1.3338acp-4f, 0x1.6ca75p-5f,
                              0x1.04d366p-5f, 0x1.d5129ep-7f, 0x1.34cf36p-5f};
    return vf_mul(square, vf_polynomial(square, q, 5));
}

/*
 * 2 asin(root) = acos(1 - 2 root^2), for root^2 <= 1 / 4 and exact: a sum of two parts.
 */
MLS_SIMD_FN mls_vf vf_acos_part(mls_vf square, mls_vf *ret_low)
{
    const mls_vf root = vf_sqrt(square);
    const mls_vf twice = vf_add(root, root);
    const mls_vf lost = vf_div(vf_fnma(root, root, square), root);
    const mls_vf low = vf_select(vf_eq(square, vf_zero()), vf_zero(), lost);
    *ret_low = vf_fma(twice, vf_asin_part(square), low);
    return twice;
}

/* Error below 1.2 ulp. */
MLS_SIMD_FN mls_vf vf_asin(mls_vf x)
{
    mls_vf low;
    const mls_vf magnitude = vf_abs(x);
    const mls_vf near = vf_fma(x, vf_asin_part(vf_mul(x, x)), x);
    const mls_vf half = vf_set1(0.5f);
    const mls_vf high = vf_acos_part(vf_fnma(magnitude, half, half), &low);
    const mls_vf rest = vf_add(low, vf_set1(0x1.777a5cp-25f));
    const mls_vf far = vf_sub(vf_set1(0x1.921fb6p+0f), vf_add(high, rest));
    return vf_select(vf_gt(magnitude, half), vf_copysign(far, x), near);
}

/* Error below 0.8 ulp. */
MLS_SIMD_FN mls_vf vf_acos(mls_vf x)
{
    mls_vf low;
    const mls_vf magnitude = vf_abs(x);
    const mls_vf half = vf_set1(0.5f);
    const mls_vf quarter = vf_set1(0x1.921fb6p+0f), quarter_low = vf_set1(-0x1.777a5cp-25f);
    const mls_vf tail = vf_fms(x, vf_asin_part(vf_mul(x, x)), quarter_low);
    const mls_vf near = vf_sub(quarter, vf_add(x, tail));

    const mls_vf high = vf_acos_part(vf_fnma(magnitude, half, half), &low);
    const mls_vf angle = vf_add(high, low);
    const mls_vf back = vf_add(low, vf_set1(0x1.777a5cp-24f));
    const mls_vf obtuse = vf_sub(vf_set1(0x1.921fb6p+1f), vf_add(high, back));
    const mls_vf far = vf_select(vf_lt(x, vf_zero()), obtuse, angle);
    return vf_select(vf_gt(magnitude, half), far, near);
}

/* Error below 1.2 ulp. */
MLS_SIMD_FN mls_vf vf_atan(mls_vf x)
{
    /* (atan(t) / t - 1) / t^2 in t^2 for |t| <= 1 */
    static const float q[] = {-0x1.55553ep-2f, 0x1.9991e6p-3f,  -0x1.2420b6p-3f,
                              0x1.c08f64p-4f,  -0x1.58155ep-4f, 0x1.da5ed4p-5f,
                              -0x1.fdfc1cp-6f, 0x1.64c1cep-7f,  -0x1.d4984ap-10f};
    const mls_vf magnitude = vf_abs(x);
    const mls_vf one = vf_set1(1.0f);
    const mls_vm large = vf_gt(magnitude, one);
    const mls_vf t = vf_select(large, vf_div(one, magnitude), magnitude);
    const mls_vf square = vf_mul(t, t);
    const mls_vf tail = vf_mul(vf_mul(t, square), vf_polynomial(square, q, 8));
    const mls_vf complement =
        vf_sub(vf_set1(0x1.921fb6p+0f), vf_add(t, vf_add(tail, vf_set1(0x1.777a5cp-25f))));
    return vf_copysign(vf_select(large, complement, vf_add(t, tail)), x);
}

/* --- hyperbolas ------------------------------------------------------------------------------ */

/* e^|x| / 2, which overflows where sinh and cosh do. */
MLS_SIMD_FN mls_vf vf_half_exp(mls_vf magnitude)
{
    mls_vf n;
    const mls_vf fraction = exp_reduced(reduce_ln2(vf_min(vf_set1(90.0f), magnitude), &n));
    return vf_ldexp(fraction, vf_sub(n, vf_set1(1.0f)));
}

/* Error below 1.6 ulp. */
MLS_SIMD_FN mls_vf vf_sinh(mls_vf x)
{
    /* (sinh(x) / x - 1) / x^2 in x^2 for |x| <= 1 */
    static const float q[] = {0x1.555556p-3f, 0x1.1110ep-7f, 0x1.a022bcp-13f, 0x1.756c1ep-19f};
    const mls_vf magnitude = vf_abs(x);
    const mls_vf square = vf_mul(x, x);
    const mls_vf near = vf_fma(vf_mul(x, square), vf_polynomial(square, q, 3), x);
    const mls_vf half = vf_half_exp(magnitude);
    const mls_vf far = vf_sub(half, vf_div(vf_set1(0.25f), half));
    return vf_select(vf_gt(magnitude, vf_set1(1.0f)), vf_copysign(far, x), near);
}

/* Error below 1.3 ulp. */
MLS_SIMD_FN mls_vf vf_cosh(mls_vf x)
{
    const mls_vf half = vf_half_exp(vf_abs(x));
    return vf_add(half, vf_div(vf_set1(0.25f), half));
}

#endif
