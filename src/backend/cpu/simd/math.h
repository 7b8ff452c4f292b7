/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcendental functions of the virtual vector: our own polynomials, so that the bits do not
 * depend on a C library, its version or the instruction set. Coefficients are minimax fits,
 * rounded to float32 together. The errors stated were measured over all 2^32 floats (tanh and
 * erf: over all of magnitude 2^-30 to 128, and every 61st of the rest) against
 * double precision, in units in the last place of the exact result (2^-149 where that is
 * denormal). NaN gives NaN.
 */
#ifndef MLS_BACKEND_CPU_SIMD_MATH_H
#define MLS_BACKEND_CPU_SIMD_MATH_H

#include "backend/cpu/simd/simd.h"

#include <math.h>

/* sum of coefficient[i] * x^i, by Horner's rule with fused steps. */
MLS_SIMD_FN mls_vf vf_polynomial(mls_vf x, const float *coefficient, int degree)
{
    mls_vf sum = vf_set1(coefficient[degree]);
    MLS_UNROLL
    for (int i = degree - 1; i >= 0; i--)
        sum = vf_fma(sum, x, vf_set1(coefficient[i]));
    return sum;
}

/*
 * x = n * ln 2 + r with n integral and |r| <= ln 2 / 2 and a little. n times the first constant is
 * exact, as is the difference with x; r is rounded once.
 */
MLS_SIMD_FN mls_vf reduce_ln2(mls_vf x, mls_vf *ret_n)
{
    const mls_vf n = vf_rint(vf_mul(x, vf_set1(0x1.715476p+0f)));
    const mls_vf r = vf_fnma(n, vf_set1(0x1.62e4p-1f), x);
    *ret_n = n;
    return vf_fnma(n, vf_set1(0x1.7f7d1cp-20f), r);
}

/* e^r for the r of reduce_ln2. */
MLS_SIMD_FN mls_vf exp_reduced(mls_vf r)
{
    static const float q[] = {1.0f,          1.0f,           0x1.fffffcp-2f, 0x1.55549p-3f,
                              0x1.5558dp-5f, 0x1.123b22p-7f, 0x1.6a23ep-10f};
    return vf_polynomial(r, q, 6);
}

/* e^x. Over- and underflow as they should; e^-inf = 0. Error below 0.9 ulp. */
MLS_SIMD_FN mls_vf vf_exp(mls_vf x)
{
    mls_vf n;
    /* Past these bounds the result no longer changes; NaN passes as the right operand. */
    x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-104.0f), x));
    const mls_vf fraction = exp_reduced(reduce_ln2(x, &n));
    return vf_ldexp(fraction, n);
}

/* e^x - 1 for x <= 0, and NaN: accurate also next to 0. Error below 0.9 ulp. */
MLS_SIMD_FN mls_vf vf_expm1_negative(mls_vf x)
{
    /* (e^r - 1 - r) / r^2 */
    static const float q[] = {0x1p-1f,        0x1.555554p-3f,  0x1.5554cep-5f,
                              0x1.111234p-7f, 0x1.6d73a2p-10f, 0x1.a0330cp-13f};
    mls_vf n;
    const mls_vf r = reduce_ln2(vf_max(vf_set1(-18.0f), x), &n);
    const mls_vf p = vf_fma(vf_mul(r, r), vf_polynomial(r, q, 5), r);
    /* 2^n (p + 1) - 1 */
    const mls_vf power = vf_pow2(n);
    return vf_fma(p, power, vf_sub(power, vf_set1(1.0f)));
}

/* log(1 + f) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1. */
MLS_SIMD_FN mls_vf log1p_reduced(mls_vf f)
{
    /* (log(1 + f) - f) / f^2 */
    static const float q[] = {-0x1.fffff8p-2f, 0x1.55555p-2f,   -0x1.000428p-2f,
                              0x1.99a3f8p-3f,  -0x1.54272ap-3f, 0x1.227180p-3f,
                              -0x1.0f3ab6p-3f, 0x1.084ae6p-3f,  -0x1.3824cep-4f};
    return vf_fma(vf_mul(f, f), vf_polynomial(f, q, 8), f);
}

/* Natural logarithm; log(0) = -inf, NaN below 0. Error below 0.93 ulp. */
MLS_SIMD_FN mls_vf vf_log(mls_vf x)
{
    const mls_vf zero = vf_zero();
    const mls_vm denormal = vf_lt(x, vf_set1(FLT_MIN));
    const mls_vf normal = vf_select(denormal, vf_mul(x, vf_set1(0x1p23f)), x);

    /* normal = 2^k (1 + f); the integer is the bits of sqrt(1/2), from where fractions count. */
    const mls_vi offset = vi_set1(0x3f3504f3);
    const mls_vi bits = vi_sub(vf_as_int(normal), offset);
    const mls_vi fraction = vi_add(vi_and(bits, vi_set1(0x7fffff)), offset);
    const mls_vf f = vf_sub(vi_as_float(fraction), vf_set1(1.0f));
    const mls_vf shift = vf_select(denormal, vf_set1(-23.0f), zero);
    const mls_vf k = vf_add(vi_to_float(vi_sar(bits, 23)), shift);
    const mls_vf y = vf_fma(k, vf_set1(0x1.62e43p-1f), log1p_reduced(f));

    const mls_vf at_zero = vf_select(vf_eq(x, zero), vf_set1(-INFINITY), vf_set1(NAN));
    const mls_vf special = vf_select(vf_gt(x, zero), x, at_zero);
    return vf_select(vm_and(vf_gt(x, zero), vf_lt(x, vf_set1(INFINITY))), y, special);
}

/* log(1 + x) for 0 <= x <= 1, and NaN. Error below 0.92 ulp. */
MLS_SIMD_FN mls_vf vf_log1p_unit(mls_vf x)
{
    /* (log(1 + f) - f) / f^2 for -1/4 <= f <= 1/2 */
    static const float q[] = {-0x1p-1f,        0x1.5555a6p-2f,  -0x1.000028p-2f,
                              0x1.99687cp-3f,  -0x1.54f29ep-3f, 0x1.2897fp-3f,
                              -0x1.0d8ff6p-3f, 0x1.abf89ep-4f,  -0x1.6feac4p-5f};
    const mls_vf half = vf_set1(0.5f);
    const mls_vm large = vf_gt(x, half);
    /* 1 + x = 2 (1 + f), and f is exact. */
    const mls_vf f = vf_select(large, vf_fms(x, half, half), x);
    const mls_vf y = vf_fma(vf_mul(f, f), vf_polynomial(f, q, 8), f);
    return vf_add(y, vf_select(large, vf_set1(0x1.62e43p-1f), vf_zero()));
}

/* Hyperbolic tangent. Error below 1.6 ulp. */
MLS_SIMD_FN mls_vf vf_tanh(mls_vf x)
{
    /* (tanh(x) / x - 1) / x^2 in x^2 for |x| < 0.55 */
    static const float q[] = {-0x1.55554ap-2f, 0x1.110d22p-3f, -0x1.b928bcp-5f, 0x1.593eccp-6f,
                              -0x1.9b3962p-8f};
    const mls_vf one = vf_set1(1.0f);
    const mls_vf square = vf_mul(x, x);
    const mls_vf near = vf_fma(vf_mul(x, square), vf_polynomial(square, q, 4), x);

    /* 1 - 2 / (e^2|x| + 1); at 10 it has long been 1. */
    mls_vf n;
    const mls_vf magnitude = vf_min(vf_set1(10.0f), vf_abs(x));
    const mls_vf e = exp_reduced(reduce_ln2(vf_add(magnitude, magnitude), &n));
    const mls_vf quotient = vf_div(vf_set1(2.0f), vf_fma(e, vf_pow2(n), one));
    const mls_vf far = vf_sub(one, quotient);
    return vf_copysign(vf_select(vf_lt(magnitude, vf_set1(0.55f)), near, far), x);
}

/* 1 / (1 + e^-x); denormal far below 0. Error below 1.7 ulp. */
MLS_SIMD_FN mls_vf vf_sigmoid(mls_vf x)
{
    const mls_vf one = vf_set1(1.0f);
    const mls_vf e = vf_exp(vf_neg(vf_abs(x)));
    /* Of -|x|. Where e is small, the sum's rounding is the larger error: e - e y has less of it. */
    const mls_vf y = vf_div(e, vf_add(one, e));
    const mls_vf below = vf_select(vf_lt(e, vf_set1(0.4f)), vf_fnma(e, y, e), y);
    return vf_select(vf_lt(x, vf_zero()), below, vf_sub(one, y));
}

/* The error function. Error below 1.6 ulp. */
MLS_SIMD_FN mls_vf vf_erf(mls_vf x)
{
    /*
     * erf(x) / x - 1 in x^2 for |x| < 1.25; 1 - erf(|x|) in |x| - 2.5 from there to 3.95, where
     * it is less than half an ulp of 1
     */
    static const float small_q[] = {0x1.06eba8p-3f,  -0x1.81274p-2f,  0x1.ce2de6p-4f,
                                    -0x1.b8140ap-6f, 0x1.5560cap-8f,  -0x1.b53bd2p-11f,
                                    0x1.b3f366p-14f, -0x1.fc3678p-18f};
    static const float large_q[] = {
        0x1.aab75ap-12f,  -0x1.1d831p-9f,   0x1.64e754p-8f,   -0x1.119de2p-7f,  0x1.1a79a6p-7f,
        -0x1.90e06cp-8f,  0x1.6fae1p-9f,    -0x1.1d91b6p-11f, -0x1.1cef28p-12f, 0x1.0baa5cp-12f,
        -0x1.23f0e2p-14f, -0x1.6164ecp-17f, 0x1.64df34p-17f,  -0x1.e65a68p-20f};
    const mls_vf magnitude = vf_min(vf_set1(3.95f), vf_abs(x));
    const mls_vf near = vf_fma(x, vf_polynomial(vf_mul(x, x), small_q, 7), x);
    const mls_vf tail = vf_polynomial(vf_sub(magnitude, vf_set1(2.5f)), large_q, 13);
    const mls_vf far = vf_copysign(vf_sub(vf_set1(1.0f), tail), x);
    return vf_select(vf_ge(magnitude, vf_set1(1.25f)), far, near);
}

/*
 * The normal distribution's tail, P(Z > a) = erfc(a / sqrt(2)) / 2, for a >= 0: small results keep
 * their relative accuracy. Error below 7 ulp.
 */
MLS_SIMD_FN mls_vf vf_normal_tail(mls_vf a)
{
    /* e^(a^2/2) P(Z > a) in (a - 3) / (a + 3), up to where the result is 0 */
    static const float q[] = {0x1.f1b89cp-4f,  -0x1.a6b66ap-3f, 0x1.f8badp-4f,    -0x1.7a9444p-5f,
                              0x1.91dd5cp-8f,  0x1.7cb038p-9f,  -0x1.01c9acp-10f, -0x1.63946ep-12f,
                              0x1.e2d76cp-14f, 0x1.becbfcp-15f};
    const mls_vf three = vf_set1(3.0f);
    a = vf_min(vf_set1(14.5f), a);
    const mls_vf t = vf_div(vf_sub(a, three), vf_add(a, three));
    const mls_vf half = vf_mul(a, vf_set1(0.5f));
    const mls_vf square = vf_mul(a, half);
    const mls_vf lost = vf_fms(a, half, square);
    const mls_vf e = vf_exp(vf_neg(square));
    return vf_mul(vf_fnma(e, lost, e), vf_polynomial(t, q, 9));
}

#endif
