/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The double precision functions against values of 2200 bits from mpmath (make_f64_reference.py),
 * their special cases, and x^y in float32 on every instruction set.
 */
#include "cpu_test.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/math/f64.h"
#include "base/isa.h"
#include "f64_reference.h"
#include "f64_trig_reference.h"

#include <float.h>

/* The distance from y to high + low in units in the last place of high. */
static double ulps(double y, double high, double low)
{
    int exponent;
    frexp(high, &exponent);
    return fabs((y - high) - low) / ldexp(1, exponent < -1021 ? -1074 : exponent - 53);
}

/* Equal bits, or NaN both. */
static bool same_double(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

/* --- one argument ---------------------------------------------------------------------------- */

typedef struct function {
    const char *name;
    double (*run)(double x);
    const double (*reference)[3];
    size_t count;
    double max_ulp;
} function;

#define FUNCTION(name, max_ulp)                                                                    \
    {                                                                                              \
#name, mls__f64_##name, name##_reference,                                                  \
            sizeof name##_reference / sizeof name##_reference[0], max_ulp                          \
    }

static const function functions[] = {
    FUNCTION(exp, 0.52),   FUNCTION(expm1, 0.7),   FUNCTION(log, 0.51),  FUNCTION(log1p, 0.7),
    FUNCTION(tanh, 0.6),   FUNCTION(sigmoid, 0.6), FUNCTION(erf, 1),     FUNCTION(sin, 0.7),
    FUNCTION(cos, 0.7),    FUNCTION(tan, 0.85),    FUNCTION(asin, 0.52), FUNCTION(acos, 0.52),
    FUNCTION(atan, 0.52),  FUNCTION(sinh, 0.52),   FUNCTION(cosh, 0.52), FUNCTION(asinh, 0.52),
    FUNCTION(acosh, 0.52), FUNCTION(atanh, 0.52),
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

START_TEST(errors)
{
    const function *f = &functions[_i];
    EXPECT(f->count > 60);
    for (size_t i = 0; i < f->count; i++) {
        const double *row = f->reference[i];
        const double error = ulps(f->run(row[0]), row[1], row[2]);
        EXPECT_MSG(error <= f->max_ulp, "%s(%a) is off by %.3f ulp", f->name, row[0], error);
    }
}
END_TEST

typedef struct special {
    double (*run)(double x);
    double x, y;
} special;

static const special specials[] = {
    {mls__f64_exp, 0.0, 1.0},
    {mls__f64_exp, -0.0, 1.0},
    {mls__f64_exp, INFINITY, INFINITY},
    {mls__f64_exp, -INFINITY, 0.0},
    {mls__f64_exp, 709.782712893384, 0x1.fffffffffff2ap+1023},
    {mls__f64_exp, 709.782712893385, INFINITY},
    {mls__f64_exp, -745.13, 0x1p-1074},
    {mls__f64_exp, -745.14, 0.0},
    {mls__f64_exp, NAN, NAN},
    {mls__f64_expm1, 0.0, 0.0},
    {mls__f64_expm1, -0.0, -0.0},
    {mls__f64_expm1, 0x1p-1074, 0x1p-1074},
    {mls__f64_expm1, INFINITY, INFINITY},
    {mls__f64_expm1, -INFINITY, -1.0},
    {mls__f64_expm1, 710.0, INFINITY},
    {mls__f64_expm1, NAN, NAN},
    {mls__f64_log, 1.0, 0.0},
    {mls__f64_log, 0.0, -INFINITY},
    {mls__f64_log, -0.0, -INFINITY},
    {mls__f64_log, -1.0, NAN},
    {mls__f64_log, -INFINITY, NAN},
    {mls__f64_log, INFINITY, INFINITY},
    {mls__f64_log, 0x1p-1074, -0x1.74385446d71c3p+9},
    {mls__f64_log, NAN, NAN},
    {mls__f64_log1p, 0.0, 0.0},
    {mls__f64_log1p, -0.0, -0.0},
    {mls__f64_log1p, -0x1p-1074, -0x1p-1074},
    {mls__f64_log1p, -1.0, -INFINITY},
    {mls__f64_log1p, -1.5, NAN},
    {mls__f64_log1p, INFINITY, INFINITY},
    {mls__f64_log1p, -INFINITY, NAN},
    {mls__f64_log1p, NAN, NAN},
    {mls__f64_tanh, 0.0, 0.0},
    {mls__f64_tanh, -0.0, -0.0},
    {mls__f64_tanh, 0x1p-1074, 0x1p-1074},
    {mls__f64_tanh, INFINITY, 1.0},
    {mls__f64_tanh, -INFINITY, -1.0},
    {mls__f64_tanh, -20.0, -1.0},
    {mls__f64_tanh, NAN, NAN},
    {mls__f64_sigmoid, 0.0, 0.5},
    {mls__f64_sigmoid, INFINITY, 1.0},
    {mls__f64_sigmoid, -INFINITY, 0.0},
    {mls__f64_sigmoid, -745.13, 0x1p-1074},
    {mls__f64_sigmoid, NAN, NAN},
    {mls__f64_erf, 0.0, 0.0},
    {mls__f64_erf, -0.0, -0.0},
    {mls__f64_erf, 0x1p-1074, 0x1p-1074},
    {mls__f64_erf, 6.0, 1.0},
    {mls__f64_erf, INFINITY, 1.0},
    {mls__f64_erf, -INFINITY, -1.0},
    {mls__f64_erf, NAN, NAN},
    {mls__f64_sin, 0.0, 0.0},
    {mls__f64_sin, -0.0, -0.0},
    {mls__f64_sin, 0x1p-1074, 0x1p-1074},
    {mls__f64_sin, INFINITY, NAN},
    {mls__f64_sin, NAN, NAN},
    {mls__f64_cos, 0.0, 1.0},
    {mls__f64_cos, -INFINITY, NAN},
    {mls__f64_cos, NAN, NAN},
    {mls__f64_tan, -0.0, -0.0},
    {mls__f64_tan, 0x1p-1074, 0x1p-1074},
    {mls__f64_tan, INFINITY, NAN},
    {mls__f64_tan, NAN, NAN},
    {mls__f64_asin, -0.0, -0.0},
    {mls__f64_asin, 1.0, 0x1.921fb54442d18p+0},
    {mls__f64_asin, -1.0, -0x1.921fb54442d18p+0},
    {mls__f64_asin, 1.5, NAN},
    {mls__f64_asin, NAN, NAN},
    {mls__f64_acos, 1.0, 0.0},
    {mls__f64_acos, -1.0, 0x1.921fb54442d18p+1},
    {mls__f64_acos, 0.0, 0x1.921fb54442d18p+0},
    {mls__f64_acos, -1.5, NAN},
    {mls__f64_acos, NAN, NAN},
    {mls__f64_atan, -0.0, -0.0},
    {mls__f64_atan, INFINITY, 0x1.921fb54442d18p+0},
    {mls__f64_atan, -INFINITY, -0x1.921fb54442d18p+0},
    {mls__f64_atan, 1.0, 0x1.921fb54442d18p-1},
    {mls__f64_atan, NAN, NAN},
    {mls__f64_sinh, -0.0, -0.0},
    {mls__f64_sinh, INFINITY, INFINITY},
    {mls__f64_sinh, -INFINITY, -INFINITY},
    {mls__f64_sinh, 710.5, INFINITY},
    {mls__f64_sinh, -1000.0, -INFINITY},
    {mls__f64_sinh, NAN, NAN},
    {mls__f64_cosh, 0.0, 1.0},
    {mls__f64_cosh, -INFINITY, INFINITY},
    {mls__f64_cosh, -710.5, INFINITY},
    {mls__f64_cosh, 1000.0, INFINITY},
    {mls__f64_cosh, NAN, NAN},
    {mls__f64_asinh, -0.0, -0.0},
    {mls__f64_asinh, INFINITY, INFINITY},
    {mls__f64_asinh, -INFINITY, -INFINITY},
    {mls__f64_asinh, NAN, NAN},
    {mls__f64_acosh, 1.0, 0.0},
    {mls__f64_acosh, INFINITY, INFINITY},
    {mls__f64_acosh, 0.999, NAN},
    {mls__f64_acosh, NAN, NAN},
    {mls__f64_atanh, -0.0, -0.0},
    {mls__f64_atanh, 1.0, INFINITY},
    {mls__f64_atanh, -1.0, -INFINITY},
    {mls__f64_atanh, 1.5, NAN},
    {mls__f64_atanh, NAN, NAN},
};

START_TEST(special_values)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        const double y = specials[i].run(specials[i].x);
        EXPECT_MSG(same_double(y, specials[i].y), "row %d: the function of %a is %a, expected %a",
                   (int) i, specials[i].x, y, specials[i].y);
    }
}
END_TEST

/* --- powers ---------------------------------------------------------------------------------- */

START_TEST(pow_errors)
{
    const size_t count = sizeof pow_reference / sizeof pow_reference[0];
    EXPECT(count > 80);
    for (size_t i = 0; i < count; i++) {
        const double *row = pow_reference[i];
        const double error = ulps(mls__f64_pow(row[0], row[1]), row[2], row[3]);
        EXPECT_MSG(error <= 0.52, "pow(%a, %a) is off by %.3f ulp", row[0], row[1], error);
    }
}
END_TEST

/* Exact powers come out exact. */
START_TEST(pow_exact)
{
    for (int base = -40; base <= 40; base++) {
        double power = 1;
        for (int n = 0; fabs(power) < 0x1p53; n++, power *= base) {
            EXPECT(mls__f64_pow(base, n) == power);
            if (base == 0 || base == 1 || base == -1)
                break;
        }
    }
    EXPECT(mls__f64_pow(2, -1074) == 0x1p-1074);
    EXPECT(mls__f64_pow(2, 1023) == 0x1p1023);
    EXPECT(mls__f64_pow(4, 0.5) == 2);
}
END_TEST

/* Every pair of these, by the rules of C99's Annex F written out one by one. */
static double pow_rule(double x, double y, bool *ret_known)
{
    const bool integer = isinf(y) || y == floor(y);
    const bool odd = !isinf(y) && integer && fmod(y, 2) != 0;
    *ret_known = true;
    if (x == 1 || y == 0)
        return 1;
    if (isnan(x) || isnan(y))
        return NAN;
    if (x == 0 && y < 0)
        return odd ? copysign(INFINITY, x) : INFINITY;
    if (x == 0)
        return odd ? x : 0;
    if (x == -1 && isinf(y))
        return 1;
    if (isinf(y) && fabs(x) < 1)
        return y < 0 ? INFINITY : 0;
    if (isinf(y))
        return y < 0 ? 0 : INFINITY;
    if (x == -INFINITY && y < 0)
        return odd ? -0.0 : 0;
    if (x == -INFINITY)
        return odd ? -INFINITY : INFINITY;
    if (x == INFINITY)
        return y < 0 ? 0 : INFINITY;
    if (x < 0 && !integer)
        return NAN;
    *ret_known = false;
    return 0;
}

START_TEST(pow_special)
{
    static const double values[] = {0.0,       1.0,    0.5,      2.0,
                                    3.0,       1.5,    INFINITY, 1e300,
                                    0x1p-1074, 0x1p53, 0x1.8p52, 4503599627370495.5};
    const int count = sizeof values / sizeof values[0];
    for (int i = 0; i <= 2 * count; i++)
        for (int j = 0; j <= 2 * count; j++) {
            const double x = i == 2 * count ? NAN : i % 2 ? -values[i / 2] : values[i / 2];
            const double y = j == 2 * count ? NAN : j % 2 ? -values[j / 2] : values[j / 2];
            const double result = mls__f64_pow(x, y);
            bool known;
            const double expected = pow_rule(x, y, &known);
            EXPECT_MSG(!known || same_double(result, expected), "pow(%a, %a) is %a, expected %a", x,
                       y, result, expected);
            if (!known && x < 0)
                EXPECT(same_double(fabs(result), mls__f64_pow(-x, y)) &&
                       (signbit(result) != 0) == (fmod(y, 2) != 0));
        }
    EXPECT(mls__f64_pow(1.5, 1e6) == INFINITY);
    EXPECT(same_double(mls__f64_pow(-1.5, 1e6 + 1), -INFINITY));
    EXPECT(same_double(mls__f64_pow(-1.5, -1e6 - 1), -0.0));
    EXPECT(mls__f64_pow(0x1p-1074, 1) == 0x1p-1074);
}
END_TEST

/* The float32 kernel is the rounded double, also where it takes a shortcut. */
START_TEST(pow_float32)
{
    enum { N = 4099 };
    const mls__cpu_kernels *set = mls__cpu_kernels_at(_i);
    static const float exponents[] = {2, 0.5f, -1, 1, 0, 3, -0.5f, 1.7f, INFINITY, NAN};
    static const float rare[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, FLT_MAX};
    static float x[N], y[N], e[N];
    uint32_t state = 3;
    if (!set || !mls__isa_is_supported(set->isa))
        return;
    const mls__binary_fn power = set->elementwise->binary[MLS__BINARY_POW];
    for (int i = 0; i < N; i++)
        x[i] = i < 7 ? rare[i] : float_of(next_random(&state));
    for (size_t k = 0; k < sizeof exponents / sizeof exponents[0]; k++) {
        power(y, x, 1, &exponents[k], 0, N);
        for (int i = 0; i < N; i++) {
            const float expected = (float) mls__f64_pow((double) x[i], (double) exponents[k]);
            EXPECT_MSG(same(y[i], expected), "%s: pow(%a, %a) is %a, expected %a", set->isa,
                       (double) x[i], (double) exponents[k], (double) y[i], (double) expected);
            e[i] = exponents[k];
        }
        power(e, x, 1, e, 1, N);
        for (int i = 0; i < N; i++)
            EXPECT(same(e[i], y[i]));
    }
    power(y, exponents + 5, 0, x, 1, N);
    for (int i = 0; i < N; i++)
        EXPECT(same(y[i], (float) mls__f64_pow(3, (double) x[i])));
    power(y, NULL, 1, NULL, 0, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/f64");
    TCase *tests = tcase_create("functions");
    tcase_add_loop_test(tests, errors, 0, FUNCTIONS);
    tcase_add_test(tests, special_values);
    tcase_add_test(tests, pow_errors);
    tcase_add_test(tests, pow_exact);
    tcase_add_test(tests, pow_special);
    tcase_add_loop_test(tests, pow_float32, 0, 4);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
