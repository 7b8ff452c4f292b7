/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circular and hyperbolic functions and their inverses in double precision, beside those of
 * f64_inline.h and made the same way. The errors stated are the largest seen in 40000 and
 * more random arguments over each function's range against mpmath, in units in the last place.
 *
 * Everything that cancels is kept as a pair: the angle less its quarter turns, the arms of the
 * triangle whose angle an inverse is, the argument of a logarithm.
 */
#ifndef MLS_BACKEND_CPU_MATH_F64_TRIG_INLINE_H
#define MLS_BACKEND_CPU_MATH_F64_TRIG_INLINE_H

#include "backend/cpu/math/f64_inline.h"
#include "backend/cpu/math/f64_trig_tables.h"

/* --- pairs ----------------------------------------------------------------------------------- */

/* a + b exactly, whichever is larger. */
static inline f64_pair f64_any_sum(double a, double b)
{
    const double high = a + b, part = high - a;
    return (f64_pair){high, (a - (high - part)) + (b - part)};
}

static inline f64_pair f64_product(f64_pair a, f64_pair b)
{
    const double high = a.high * b.high;
    return f64_sum(high, fma(a.low, b.high, fma(a.high, b.low, fma(a.high, b.high, -high))));
}

/* The root of a pair that is not negative. */
static inline f64_pair f64_root(f64_pair a)
{
    const double root = sqrt(a.high);
    if (root == 0)
        return (f64_pair){0, 0};
    return (f64_pair){root, (fma(-root, root, a.high) + a.low) / (2 * root)};
}

static inline f64_pair f64_pair_of(double x)
{
    return (f64_pair){x, 0};
}

static inline f64_pair f64_add(f64_pair a, f64_pair b)
{
    const f64_pair s = f64_any_sum(a.high, b.high);
    return f64_sum(s.high, s.low + (a.low + b.low));
}

static inline f64_pair f64_subtract(f64_pair a, f64_pair b)
{
    return f64_add(a, (f64_pair){-b.high, -b.low});
}

/* pi / 2 - a for 0 <= a <= pi / 2. */
static inline f64_pair f64_complement(f64_pair a)
{
    const f64_pair quarter = {quarter_turn[0], quarter_turn[1]};
    return f64_subtract(quarter, a);
}

/* --- quarter turns --------------------------------------------------------------------------- */

/* The 64 bits of a large integer from bit `position` on. */
static inline uint64_t f64_bits_at(const uint32_t *limbs, int position)
{
    const uint32_t *p = limbs + position / 32;
    const int shift = position % 32;
    const uint64_t bits = p[0] | (uint64_t) p[1] << 32;
    return shift ? bits >> shift | (uint64_t) p[2] << (64 - shift) : bits;
}

/* limbs += word array * factor, where the sum fits. */
static inline void f64_add_product(uint32_t *limbs, const uint32_t *words, int count,
                                   uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < count; i++) {
        carry += (uint64_t) words[count - 1 - i] * factor + limbs[i];
        limbs[i] = (uint32_t) carry;
        carry >>= 32;
    }
    limbs[count] = (uint32_t) carry;
}

/* high / 2^64 + low / 2^128 */
static inline f64_pair f64_of_fraction(uint64_t high, uint64_t low)
{
    const uint64_t mask = UINT32_MAX;
    const f64_pair top = f64_sum((double) (high >> 32) * 0x1p-32, (double) (high & mask) * 0x1p-64);
    const double rest = (double) (low >> 32) * 0x1p-96 + (double) (low & mask) * 0x1p-128;
    return f64_sum(top.high, top.low + rest);
}

/*
 * x = quarter * pi / 2 + r for finite x >= 1, with |r| up to pi / 4; quarter is modulo 4. After
 * Payne and Hanek: of the product with 2 / pi only those bits are formed that say where in a
 * turn it ends. Seven words of 2 / pi leave more than 2^-75 of the r next to 0.
 */
static inline f64_pair f64_reduce_far(double x, int *ret_quarter)
{
    enum { WORDS = 7 };
    const uint64_t bits = f64_bits(x);
    const int exponent = (int) (bits >> 52) - 1075;
    const uint64_t integer = (bits & UINT64_C(0xfffffffffffff)) | UINT64_C(0x10000000000000);
    /* Words before this one times x are whole turns. */
    const int first = exponent < 2 ? 0 : (exponent - 2) / 32;
    uint32_t limbs[WORDS + 5] = {0};
    f64_add_product(limbs, two_over_pi + first, WORDS, (uint32_t) integer);
    f64_add_product(limbs + 1, two_over_pi + first, WORDS, (uint32_t) (integer >> 32));

    const int point = 32 * (first + WORDS) - exponent;
    uint64_t high = f64_bits_at(limbs, point - 64), low = f64_bits_at(limbs, point - 128);
    const bool is_past_half = high >> 63;
    if (is_past_half) {
        low = 0 - low;
        high = ~high + (low == 0);
    }
    const f64_pair quarter = {quarter_turn[0], quarter_turn[1]};
    const f64_pair r = f64_product(f64_of_fraction(high, low), quarter);
    *ret_quarter = (int) ((f64_bits_at(limbs, point) + is_past_half) & 3);
    return is_past_half ? (f64_pair){-r.high, -r.low} : r;
}

/* The same for |x| < 2^20: pi / 2 in three parts, the first of which multiplies exactly. */
static inline f64_pair f64_reduce_near(double x, int *ret_quarter)
{
    const double k = rint(x * quarter_inverse);
    const double first = fma(-k, quarter_turn[0], x);
    const double product = k * quarter_turn[1];
    const f64_pair r = f64_any_sum(first, -product);
    const double low = r.low - fma(k, quarter_turn[1], -product);
    *ret_quarter = (int) ((int64_t) k & 3);
    return f64_sum(r.high, fma(-k, quarter_turn[2], low));
}

static inline f64_pair f64_reduce(double x, int *ret_quarter)
{
    if (fabs(x) < 0x1p20)
        return f64_reduce_near(x, ret_quarter);
    const f64_pair r = f64_reduce_far(fabs(x), ret_quarter);
    if (x > 0)
        return r;
    *ret_quarter = -*ret_quarter & 3;
    return (f64_pair){-r.high, -r.low};
}

/* --- sines ----------------------------------------------------------------------------------- */

/* sin(r) for |r| up to pi / 4. */
static inline f64_pair f64_sin_part(f64_pair r)
{
    /* (sin(r) / r - 1) / r^2 in r^2: the series */
    static const double q[] = {
        -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
        -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
    const double square = r.high * r.high;
    const double low = fma(-0.5 * r.low, square, r.low);
    return f64_sum(r.high, fma(r.high * square, f64_polynomial(square, q, 7), low));
}

/* cos(r) for |r| up to pi / 4. */
static inline f64_pair f64_cos_part(f64_pair r)
{
    /* (cos(r) - 1 + r^2 / 2) / r^4 in r^2: the series */
    static const double q[] = {
        1.0 / 24,        -1.0 / 720,         1.0 / 40320,          -1.0 / 3628800,
        1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000, -1.0 / 6402373705728000};
    const double square = r.high * r.high;
    const double square_low = fma(2 * r.high, r.low, fma(r.high, r.high, -square));
    const f64_pair s = f64_sum(1, -0.5 * square);
    const double tail = fma(square * square, f64_polynomial(square, q, 7), -0.5 * square_low);
    return f64_sum(s.high, s.low + tail);
}

/* The sine of r and so many quarter turns. */
static inline double f64_sin_turned(f64_pair r, int quarter)
{
    const f64_pair y = quarter & 1 ? f64_cos_part(r) : f64_sin_part(r);
    return quarter & 2 ? -y.high : y.high;
}

/* Error below 0.7 ulp. */
static inline double f64_sin(double x)
{
    int quarter;
    if (fabs(x) < 0x1p-27)
        return x;
    if (!(fabs(x) < INFINITY))
        return NAN;
    const f64_pair r = f64_reduce(x, &quarter);
    return f64_sin_turned(r, quarter);
}

/* Error below 0.7 ulp. */
static inline double f64_cos(double x)
{
    int quarter;
    if (!(fabs(x) < INFINITY))
        return NAN;
    const f64_pair r = f64_reduce(x, &quarter);
    return f64_sin_turned(r, quarter + 1);
}

/* Error below 0.85 ulp. */
static inline double f64_tan(double x)
{
    int quarter;
    if (fabs(x) < 0x1p-27)
        return x;
    if (!(fabs(x) < INFINITY))
        return NAN;
    const f64_pair r = f64_reduce(x, &quarter);
    const f64_pair sine = f64_sin_part(r), cosine = f64_cos_part(r);
    const f64_pair y = quarter & 1 ? f64_ratio(cosine, sine) : f64_ratio(sine, cosine);
    return quarter & 1 ? -(y.high + y.low) : y.high + y.low;
}

/* --- angles ---------------------------------------------------------------------------------- */

/*
 * The angle whose tangent is a / b, for 0 <= a <= b and b > 0: that of a fraction of 16 from a
 * table, and of what is left, at most 1 / 32, by the series.
 */
static inline f64_pair f64_small_angle(f64_pair a, f64_pair b)
{
    static const double q[] = {-1.0 / 3, 1.0 / 5, -1.0 / 7, 1.0 / 9, -1.0 / 11, 1.0 / 13};
    const double part = rint(16 * (a.high / b.high)), c = part / 16;
    const f64_pair scaled_b = f64_product(f64_pair_of(c), b);
    const f64_pair scaled_a = f64_product(f64_pair_of(c), a);
    const f64_pair t = f64_ratio(f64_subtract(a, scaled_b), f64_add(b, scaled_a));
    const double *table = angle_table[(int) part];
    const double square = t.high * t.high;
    const double tail = t.high * square * f64_polynomial(square, q, 5);
    const f64_pair s = f64_sum(table[0], t.high);
    return f64_sum(s.high, s.low + (table[1] + (t.low + tail)));
}

/* The angle in a triangle of arms x >= 0 and y >= 0, not both 0, where its tangent is y / x. */
static inline f64_pair f64_angle(f64_pair y, f64_pair x)
{
    if (y.high <= x.high)
        return f64_small_angle(y, x);
    return f64_complement(f64_small_angle(x, y));
}

/* Error below 0.52 ulp. */
static inline double f64_atan(double x)
{
    const double magnitude = fabs(x);
    if (magnitude < 0x1p-27 || x != x)
        return x;
    if (magnitude > 0x1p60)
        return copysign(quarter_turn[0], x);
    return copysign(f64_angle(f64_pair_of(magnitude), f64_pair_of(1)).high, x);
}

/* sqrt(1 - x^2) for |x| <= 1. */
static inline f64_pair f64_other_arm(double x)
{
    return f64_root(f64_product(f64_sum(1, -x), f64_sum(1, x)));
}

/* Error below 0.52 ulp. */
static inline double f64_asin(double x)
{
    const double magnitude = fabs(x);
    if (magnitude < 0x1p-27)
        return x;
    if (!(magnitude <= 1))
        return NAN;
    return copysign(f64_angle(f64_pair_of(magnitude), f64_other_arm(x)).high, x);
}

/* Error below 0.52 ulp. */
static inline double f64_acos(double x)
{
    if (!(fabs(x) <= 1))
        return NAN;
    const f64_pair angle = f64_angle(f64_other_arm(x), f64_pair_of(fabs(x)));
    const f64_pair half_turn = {2 * quarter_turn[0], 2 * quarter_turn[1]};
    return x < 0 ? f64_subtract(half_turn, angle).high : angle.high;
}

/* --- hyperbolas ------------------------------------------------------------------------------ */

/* e^|x| for |x| <= 40. */
static inline f64_pair f64_exp_of_magnitude(double x)
{
    const f64_pair e = f64_exp_as_pair(fabs(x));
    return f64_sum(e.high, e.low);
}

/* e^|x| / 2 for |x| > 40, where e^-|x| no longer counts. */
static inline double f64_half_exp(double x)
{
    int n;
    if (!(fabs(x) < 711))
        return x != x ? x : INFINITY;
    const f64_pair e = f64_exp_parts(fabs(x), 0, &n);
    return f64_scale(e.high + e.low, n - 1);
}

/* Error below 0.52 ulp. */
static inline double f64_sinh(double x)
{
    static const double q[] = {1.0 / 6,      1.0 / 120,      1.0 / 5040,
                               1.0 / 362880, 1.0 / 39916800, 1.0 / 6227020800};
    const double square = x * x;
    if (fabs(x) < 0x1p-27)
        return x;
    if (fabs(x) <= 0.25)
        return fma(x * square, f64_polynomial(square, q, 5), x);
    if (!(fabs(x) <= 40))
        return copysign(f64_half_exp(x), x);
    const f64_pair e = f64_exp_of_magnitude(x);
    return copysign(0.5 * f64_subtract(e, f64_ratio(f64_pair_of(1), e)).high, x);
}

/* Error below 0.52 ulp. */
static inline double f64_cosh(double x)
{
    if (!(fabs(x) <= 40))
        return f64_half_exp(x);
    const f64_pair e = f64_exp_of_magnitude(x);
    return 0.5 * f64_add(e, f64_ratio(f64_pair_of(1), e)).high;
}

/* log(y) for y >= 1. */
static inline double f64_log_of_pair(f64_pair y)
{
    const f64_pair log = f64_log_pair(y.high);
    return log.high + (log.low + y.low / y.high);
}

/* log(2 x) for x > 2^28: what sqrt(x^2 + 1) and sqrt(x^2 - 1) leave. */
static inline double f64_log_of_double(double x)
{
    if (x == INFINITY)
        return x;
    const f64_pair log = f64_log_pair(x);
    const f64_pair s = f64_sum(log.high, ln2_high);
    return s.high + (s.low + (log.low + ln2_low));
}

/* Error below 0.52 ulp. */
static inline double f64_asinh(double x)
{
    const double magnitude = fabs(x);
    if (magnitude < 0x1p-27 || x != x)
        return x;
    if (magnitude > 0x1p28)
        return copysign(f64_log_of_double(magnitude), x);
    const f64_pair square = f64_product(f64_pair_of(x), f64_pair_of(x));
    const f64_pair root = f64_root(f64_add(f64_pair_of(1), square));
    return copysign(f64_log_of_pair(f64_add(f64_pair_of(magnitude), root)), x);
}

/* Error below 0.52 ulp. */
static inline double f64_acosh(double x)
{
    if (!(x >= 1))
        return NAN;
    if (x > 0x1p28)
        return f64_log_of_double(x);
    const f64_pair root = f64_root(f64_product(f64_sum(x, -1), f64_sum(x, 1)));
    return f64_log_of_pair(f64_add(f64_pair_of(x), root));
}

/* Error below 0.52 ulp. */
static inline double f64_atanh(double x)
{
    const double magnitude = fabs(x);
    if (magnitude < 0x1p-27)
        return x;
    if (!(magnitude < 1))
        return magnitude == 1 ? copysign(INFINITY, x) : NAN;
    const f64_pair y = f64_ratio(f64_sum(1, magnitude), f64_sum(1, -magnitude));
    return copysign(0.5 * f64_log_of_pair(f64_sum(y.high, y.low)), x);
}

#endif
