/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcendental functions in double precision from IEEE operations and explicit fma only, so that
 * the bits depend on no C library. Special cases as C99's Annex F has them. They are inline for
 * the kernels, whose instruction set may have fma; f64.h has them as functions.
 *
 * The errors stated are the largest seen in 10^7 random arguments over each function's range
 * against 80-bit arithmetic, in units in the last place.
 */
#ifndef MLS_BACKEND_CPU_MATH_F64_INLINE_H
#define MLS_BACKEND_CPU_MATH_F64_INLINE_H

#include "backend/cpu/math/f64_tables.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A number as an unevaluated sum; |low| is at most about half an ulp of high. */
typedef struct f64_pair {
    double high, low;
} f64_pair;

static inline uint64_t f64_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double f64_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* a + b exactly, for |a| >= |b| or a = 0. */
static inline f64_pair f64_sum(double a, double b)
{
    const double high = a + b;
    return (f64_pair){high, b - (high - a)};
}

/* sum of q[i] * x^i, by Horner's rule with fused steps. */
static inline double f64_polynomial(double x, const double *q, int degree)
{
    double sum = q[degree];
    for (int i = degree - 1; i >= 0; i--)
        sum = fma(sum, x, q[i]);
    return sum;
}

/* 2^n for -1022 <= n <= 1023. */
static inline double f64_pow2(int n)
{
    return f64_of_bits((uint64_t) (n + 1023) << 52);
}

/* x * 2^n with one rounding, for 2^-1 < x < 2^2 and -1080 <= n <= 1025. */
static inline double f64_scale(double x, int n)
{
    const int half = n / 2;
    return x * f64_pow2(half) * f64_pow2(n - half);
}

/* --- exponentials ---------------------------------------------------------------------------- */

/*
 * e^(x + low) = (high + low) * 2^n with high in [1, 2), for |x| <= 750 and |low| small. With
 * x + low = k * log(2) / 128 + r: a table has 2^(k / 128), a short polynomial e^r - 1.
 */
static inline f64_pair f64_exp_parts(double x, double low, int *ret_n)
{
    const double k = rint(x * step_inverse);
    const double r = fma(-k, step_low, fma(-k, step_high, x)) + low;
    const int64_t whole = (int64_t) k;
    const double *power = exp_table[whole & 127];

    const double q = fma(r, fma(r, fma(r, 1.0 / 120, 1.0 / 24), 1.0 / 6), 0.5);
    const double p = fma(r * r, q, r);
    *ret_n = (int) ((whole - (whole & 127)) / 128);
    return (f64_pair){power[0], fma(power[0], p, power[1])};
}

/* e^(x + low) for |low| small. */
static inline double f64_exp_pair(double x, double low)
{
    int n;
    if (!(x < 710))
        return x > 0 ? INFINITY : x;
    if (x < -746)
        return 0;
    const f64_pair e = f64_exp_parts(x, low, &n);
    return f64_scale(e.high + e.low, n);
}

/* e^x. Error below 0.52 ulp, 0.76 where the result is denormal. */
static inline double f64_exp(double x)
{
    return f64_exp_pair(x, 0);
}

/* e^x as a pair, for |x| <= 700. */
static inline f64_pair f64_exp_as_pair(double x)
{
    int n;
    const f64_pair e = f64_exp_parts(x, 0, &n);
    const double power = f64_pow2(n);
    return (f64_pair){e.high * power, e.low * power};
}

/* e^x - 1. Error below 0.7 ulp. */
static inline double f64_expm1(double x)
{
    if (fabs(x) < 0x1p-54)
        return x;
    if (fabs(x) <= 0.25)
        return fma(x * x, f64_polynomial(x, expm1_q, 11), x);
    if (x < -40)
        return -1;
    if (!(x < 40))
        return f64_exp(x);
    const f64_pair e = f64_exp_as_pair(x);
    const f64_pair s = e.high >= 1 ? f64_sum(e.high, -1) : f64_sum(-1, e.high);
    return s.high + (s.low + e.low);
}

/* a + b for |a| >= |b|. */
static inline f64_pair f64_sum_pair(double a, f64_pair b)
{
    const f64_pair s = f64_sum(a, b.high);
    return f64_sum(s.high, s.low + b.low);
}

static inline f64_pair f64_ratio(f64_pair a, f64_pair b)
{
    const double quotient = a.high / b.high;
    const double rest = fma(-quotient, b.high, a.high) + fma(-quotient, b.low, a.low);
    return (f64_pair){quotient, rest / b.high};
}

/* Hyperbolic tangent. Error below 0.6 ulp. */
static inline double f64_tanh(double x)
{
    const double magnitude = fabs(x);
    const double square = x * x;
    if (magnitude <= 0.125)
        return copysign(fma(x * square, f64_polynomial(square, tanh_q, 6), x), x);
    if (!(magnitude < 20))
        return magnitude >= 20 ? copysign(1, x) : x;
    /* 1 - 2 e / (1 + e) with e = e^-2|x| */
    const f64_pair e = f64_exp_as_pair(-2 * magnitude);
    const f64_pair twice = {2 * e.high, 2 * e.low};
    const f64_pair gap = f64_ratio(twice, f64_sum_pair(1, e));
    const f64_pair y = f64_sum(1, -gap.high);
    return copysign(y.high + (y.low - gap.low), x);
}

/* 1 / (1 + e^-x). Error below 0.6 ulp. */
static inline double f64_sigmoid(double x)
{
    if (!(fabs(x) < 40))
        return x > 0 ? 1 : f64_exp(x);
    const f64_pair one = {1, 0};
    const f64_pair e = f64_exp_as_pair(-fabs(x));
    const f64_pair y = f64_ratio(x < 0 ? e : one, f64_sum_pair(1, e));
    return y.high + y.low;
}

/* --- logarithms ------------------------------------------------------------------------------ */

/*
 * log(x) to about 2^-67 of itself, for positive finite x. With x = 2^k z and c a point next to z
 * from a table, it is k log(2) + log(c) + log(1 + r), where r = z / c - 1 is exact as a pair.
 */
static inline f64_pair f64_log_pair(double x)
{
    static const double q[] = {1.0 / 3,  -1.0 / 4, 1.0 / 5,   -1.0 / 6, 1.0 / 7,
                               -1.0 / 8, 1.0 / 9,  -1.0 / 10, 1.0 / 11};
    const uint64_t start = UINT64_C(0x3fe6000000000000); /* 0.6875, where z begins */
    int denormal = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p52;
        denormal = 52;
    }
    const uint64_t offset = f64_bits(x) - start;
    const int binary =
        (int) ((int64_t) (offset - (offset & UINT64_C(0xfffffffffffff))) / (INT64_C(1) << 52));
    const double z = f64_of_bits((offset & UINT64_C(0xfffffffffffff)) + start);
    const double *c = log_table[offset >> 45 & 127];
    const double k = binary - denormal;

    const double product = z * c[0];
    const f64_pair r = f64_sum(product - 1, fma(z, c[0], -product));
    const double square = r.high * r.high;
    const double square_low = fma(r.high, r.high, -square);
    const double cubic = r.high * square * f64_polynomial(r.high, q, 8);

    /* From the largest term to the least; the first sum is exact. */
    const double whole = fma(k, ln2_high, c[1]);
    const f64_pair s1 = f64_sum(whole, r.high);
    const f64_pair s2 = f64_sum(s1.high, -0.5 * square);
    const double small = fma(k, ln2_low, c[2]) + fma(-r.high, r.low, r.low) - 0.5 * square_low;
    return f64_sum(s2.high, ((s1.low + s2.low) + small) + cubic);
}

/* Natural logarithm. Error below 0.51 ulp. */
static inline double f64_log(double x)
{
    if (!(x > 0))
        return x == 0 ? -INFINITY : NAN;
    if (x == INFINITY)
        return x;
    return f64_log_pair(x).high;
}

/* log(1 + x). Error below 0.7 ulp. */
static inline double f64_log1p(double x)
{
    if (fabs(x) < 0x1p-54 || x == INFINITY)
        return x;
    if (!(x > -1))
        return x == -1 ? -INFINITY : NAN;
    /* 1 + x = sum (1 + low / sum) */
    const f64_pair sum = fabs(x) > 1 ? f64_sum(x, 1) : f64_sum(1, x);
    const f64_pair y = f64_log_pair(sum.high);
    return y.high + (y.low + sum.low / sum.high);
}

/* --- the error function ---------------------------------------------------------------------- */

/* The error function. Error below 1 ulp. */
static inline double f64_erf(double x)
{
    const double magnitude = fabs(x);
    if (magnitude < 0.75)
        return fma(x, f64_polynomial(x * x, erf_q, 11), x);
    if (!(magnitude < 6))
        return magnitude >= 6 ? copysign(1, x) : x;
    const double part = rint((magnitude - 1) * 2);
    const double tail = f64_polynomial(magnitude - (1 + 0.5 * part), erfc_table[(int) part], 15);
    return copysign(1 - tail, x);
}

/* --- powers ---------------------------------------------------------------------------------- */

/* Whether y is an odd integer. */
static inline bool f64_is_odd(double y)
{
    return fabs(y) < 0x1p53 && y == trunc(y) && ((int64_t) y & 1) != 0;
}

/* x^y where x or y is a zero, an infinity or NaN. */
static inline double f64_pow_special(double x, double y)
{
    if (y == 0 || x == 1)
        return 1;
    if (isnan(x) || isnan(y))
        return x + y;
    const double magnitude = fabs(x);
    if (isinf(y)) {
        if (magnitude == 1)
            return 1;
        return (magnitude > 1) == (y > 0) ? INFINITY : 0;
    }
    /* x is a zero or an infinity. */
    const double result = (magnitude == 0) == (y > 0) ? 0 : INFINITY;
    return f64_is_odd(y) ? copysign(result, x) : result;
}

/* x^y. Error below 0.52 ulp, 0.76 where the result is denormal. */
static inline double f64_pow(double x, double y)
{
    const double magnitude = fabs(x);
    if (!(magnitude > 0 && magnitude < INFINITY && fabs(y) < INFINITY) || y == 0 || x == 1)
        return f64_pow_special(x, y);
    if (x < 0 && y != trunc(y))
        return NAN;
    const f64_pair log_x = f64_log_pair(magnitude);
    const double product = y * log_x.high;
    const double low = fabs(product) < 1000 ? fma(y, log_x.high, -product) + y * log_x.low : 0;
    const double result = f64_exp_pair(product, low);
    return x < 0 && f64_is_odd(y) ? -result : result;
}

#endif
