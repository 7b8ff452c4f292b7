/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transcendental functions of the virtual vector, through the elementwise kernels: the error
 * against double precision, special values, and equal bytes on every instruction set of this
 * machine. Every 10007th float is taken; MLS_TEST_STEP=1 takes all of them and prints the errors.
 */
#include "cpu_test.h"

#include "backend/cpu/kernels/kernels.h"
#include "base/isa.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>

static double ref_sigmoid(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static double ref_elu(double x)
{
    return x < 0 ? expm1(x) : x;
}

static double ref_selu(double x)
{
    const double alpha = 1.67326319217681884765625, gamma = 1.05070102214813232421875;
    return gamma * (x < 0 ? alpha * expm1(x) : x);
}

static double ref_celu(double x)
{
    return x < 0 ? 2 * expm1(x / 2) : x;
}

static double ref_softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double ref_swish(double x)
{
    return x == -INFINITY ? -0.0 : x * ref_sigmoid(x);
}

static double ref_mish(double x)
{
    return x == -INFINITY ? -0.0 : x * tanh(ref_softplus(x));
}

static double ref_gelu(double x)
{
    return x == -INFINITY ? -0.0 : x * 0.5 * erfc(-x * 0.70710678118654752440);
}

static double ref_gelu_tanh(double x)
{
    const double u2 = 1.59576912160573071176 * (x + 0.044715 * x * x * x);
    return x == -INFINITY ? -0.0 : x * ref_sigmoid(u2);
}

typedef struct function {
    const char *name;
    mls__unary_op op;
    float params[2];
    double (*reference)(double x);
    double max_ulp;   /* the error allowed */
    double least_ulp; /* what an ulp is at least: more than 2^-149 where x times a denormal is */
} function;

/*
 * The bounds are the errors measured over all floats, rounded up; for celu, tanh, erf, mish, gelu
 * and gelu_tanh over all of magnitude 2^-30 to 128, and every 61st of the rest; for sin and those
 * below it over every 331st. That of
 * gelu_tanh is large only far below 0, where the exponential multiplies the rounding of its
 * argument.
 */
static const function functions[] = {
    {"exp", MLS__UNARY_EXP, {0}, exp, 0.90, 0x1p-149},
    {"log", MLS__UNARY_LOG, {0}, log, 0.93, 0x1p-149},
    {"tanh", MLS__UNARY_TANH, {0}, tanh, 1.60, 0x1p-149},
    {"sigmoid", MLS__UNARY_SIGMOID, {0}, ref_sigmoid, 1.70, 0x1p-149},
    {"erf", MLS__UNARY_ERF, {0}, erf, 1.60, 0x1p-149},
    {"elu", MLS__UNARY_ELU, {1}, ref_elu, 0.90, 0x1p-149},
    {"selu", MLS__UNARY_SELU, {1.6732632f, 1.050701f}, ref_selu, 2.1, 0x1p-149},
    {"celu", MLS__UNARY_CELU, {2}, ref_celu, 0.9, 0x1p-149},
    {"softplus", MLS__UNARY_SOFTPLUS, {0}, ref_softplus, 1.7, 0x1p-149},
    {"swish", MLS__UNARY_SWISH, {1}, ref_swish, 2.7, 0x1p-143},
    {"mish", MLS__UNARY_MISH, {0}, ref_mish, 4.6, 0x1p-143},
    {"gelu", MLS__UNARY_GELU, {0}, ref_gelu, 7, 0x1p-143},
    {"gelu_tanh", MLS__UNARY_GELU_TANH, {0}, ref_gelu_tanh, 202, 0x1p-143},
    {"sin", MLS__UNARY_SIN, {0}, sin, 0.75, 0x1p-149},
    {"cos", MLS__UNARY_COS, {0}, cos, 0.75, 0x1p-149},
    {"tan", MLS__UNARY_TAN, {0}, tan, 0.85, 0x1p-149},
    {"asin", MLS__UNARY_ASIN, {0}, asin, 1.2, 0x1p-149},
    {"acos", MLS__UNARY_ACOS, {0}, acos, 0.8, 0x1p-149},
    {"atan", MLS__UNARY_ATAN, {0}, atan, 1.2, 0x1p-149},
    {"sinh", MLS__UNARY_SINH, {0}, sinh, 1.6, 0x1p-149},
    {"cosh", MLS__UNARY_COSH, {0}, cosh, 1.3, 0x1p-149},
    {"asinh", MLS__UNARY_ASINH, {0}, asinh, 0.51, 0x1p-149},
    {"acosh", MLS__UNARY_ACOSH, {0}, acosh, 0.51, 0x1p-149},
    {"atanh", MLS__UNARY_ATANH, {0}, atanh, 0.51, 0x1p-149},
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0], CHUNK = 4096 };

/* The error of y in units in the last place of the exact value; huge where it is another kind. */
static double ulps(const function *f, float y, double exact)
{
    const float rounded = (float) exact;
    int exponent;
    if (isnan(rounded) || isinf(rounded))
        return same(y, rounded) ? 0 : HUGE_VAL;
    if (isnan(y) || signbit(y) != signbit(rounded))
        return HUGE_VAL;
    /* An overflow that is off by one ulp, no more. */
    if (isinf(y))
        return fabs(exact) >= (double) FLT_MAX ? 1 : HUGE_VAL;
    frexp(exact, &exponent);
    return fabs((double) y - exact) / fmax(ldexp(1, exponent - 24), f->least_ulp);
}

static void check_chunk(const function *f, const float *x, int64_t n, double *worst, float *at)
{
    static float y[CHUNK], other[CHUNK];
    const mls__cpu_kernels *first = NULL;
    const mls__cpu_kernels *set;
    for (int k = 0; (set = mls__cpu_kernels_at(k)) != NULL; k++) {
        if (!mls__isa_is_supported(set->isa))
            continue;
        set->elementwise->unary[f->op](first ? other : y, x, n, f->params);
        for (int64_t i = 0; first && i < n; i++)
            EXPECT_MSG(same(y[i], other[i]), "%s(%a): %s %a, %s %a", f->name, (double) x[i],
                       first->isa, (double) y[i], set->isa, (double) other[i]);
        if (!first)
            first = set;
    }
    for (int64_t i = 0; i < n; i++) {
        const double error = ulps(f, y[i], f->reference((double) x[i]));
        if (error > *worst) {
            *worst = error;
            *at = x[i];
        }
    }
}

START_TEST(error_and_bytes)
{
    const function *f = &functions[_i];
    const char *text = getenv("MLS_TEST_STEP");
    const uint64_t step = text ? strtoull(text, NULL, 10) : 10007;
    static float x[CHUNK];
    ck_assert_uint_gt(step, 0);
    double worst = 0;
    float at = 0;
    int64_t n = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += step) {
        x[n++] = float_of((uint32_t) bits);
        if (n == CHUNK || bits + step > UINT32_MAX) {
            check_chunk(f, x, n, &worst, &at);
            n = 0;
        }
    }
    if (text)
        printf("# %s: %.4f ulp at %a\n", f->name, worst, (double) at);
    EXPECT_MSG(worst <= f->max_ulp, "%s(%a) is off by %.3f ulp", f->name, (double) at, worst);
}
END_TEST

typedef struct special {
    mls__unary_op op;
    float x, y;
} special;

static const special specials[] = {
    {MLS__UNARY_EXP, 0.0f, 1.0f},
    {MLS__UNARY_EXP, -0.0f, 1.0f},
    {MLS__UNARY_EXP, INFINITY, INFINITY},
    {MLS__UNARY_EXP, -INFINITY, 0.0f},
    {MLS__UNARY_EXP, 88.72284f, INFINITY},
    {MLS__UNARY_EXP, 88.72283f, 0x1.ffff08p+127f},
    {MLS__UNARY_EXP, -103.98f, 0.0f},
    {MLS__UNARY_EXP, -103.9f, 0x1p-149f},
    {MLS__UNARY_LOG, 1.0f, 0.0f},
    {MLS__UNARY_LOG, 0.0f, -INFINITY},
    {MLS__UNARY_LOG, -0.0f, -INFINITY},
    {MLS__UNARY_LOG, -1.0f, NAN},
    {MLS__UNARY_LOG, -INFINITY, NAN},
    {MLS__UNARY_LOG, INFINITY, INFINITY},
    {MLS__UNARY_LOG, 0x1p-149f, -0x1.9d1dap+6f},
    {MLS__UNARY_TANH, 0.0f, 0.0f},
    {MLS__UNARY_TANH, -0.0f, -0.0f},
    {MLS__UNARY_TANH, 0x1p-149f, 0x1p-149f},
    {MLS__UNARY_TANH, -9.1f, -1.0f},
    {MLS__UNARY_TANH, INFINITY, 1.0f},
    {MLS__UNARY_TANH, -INFINITY, -1.0f},
    {MLS__UNARY_SIGMOID, 0.0f, 0.5f},
    {MLS__UNARY_SIGMOID, -0.0f, 0.5f},
    {MLS__UNARY_SIGMOID, INFINITY, 1.0f},
    {MLS__UNARY_SIGMOID, -INFINITY, 0.0f},
    {MLS__UNARY_SIGMOID, -103.9f, 0x1p-149f},
    {MLS__UNARY_ERF, 0.0f, 0.0f},
    {MLS__UNARY_ERF, -0.0f, -0.0f},
    {MLS__UNARY_ERF, 4.0f, 1.0f},
    {MLS__UNARY_ERF, INFINITY, 1.0f},
    {MLS__UNARY_ERF, -INFINITY, -1.0f},
    {MLS__UNARY_ELU, -0.0f, -0.0f},
    {MLS__UNARY_ELU, -INFINITY, -1.0f},
    {MLS__UNARY_ELU, INFINITY, INFINITY},
    {MLS__UNARY_SOFTPLUS, -INFINITY, 0.0f},
    {MLS__UNARY_SOFTPLUS, INFINITY, INFINITY},
    {MLS__UNARY_SWISH, -INFINITY, -0.0f},
    {MLS__UNARY_SWISH, INFINITY, INFINITY},
    {MLS__UNARY_MISH, -INFINITY, -0.0f},
    {MLS__UNARY_MISH, INFINITY, INFINITY},
    {MLS__UNARY_GELU, -INFINITY, -0.0f},
    {MLS__UNARY_GELU, INFINITY, INFINITY},
    {MLS__UNARY_GELU, -0.0f, -0.0f},
    {MLS__UNARY_GELU_TANH, -INFINITY, -0.0f},
    {MLS__UNARY_GELU_TANH, INFINITY, INFINITY},
    {MLS__UNARY_SIN, -0.0f, -0.0f},
    {MLS__UNARY_SIN, 0x1p-149f, 0x1p-149f},
    {MLS__UNARY_SIN, INFINITY, NAN},
    {MLS__UNARY_COS, -0.0f, 1.0f},
    {MLS__UNARY_COS, -INFINITY, NAN},
    {MLS__UNARY_TAN, -0.0f, -0.0f},
    {MLS__UNARY_TAN, INFINITY, NAN},
    {MLS__UNARY_ASIN, -0.0f, -0.0f},
    {MLS__UNARY_ASIN, 1.0f, 0x1.921fb6p+0f},
    {MLS__UNARY_ASIN, 1.0000001f, NAN},
    {MLS__UNARY_ACOS, 1.0f, 0.0f},
    {MLS__UNARY_ACOS, -1.0f, 0x1.921fb6p+1f},
    {MLS__UNARY_ACOS, -1.0000001f, NAN},
    {MLS__UNARY_ATAN, -0.0f, -0.0f},
    {MLS__UNARY_ATAN, -INFINITY, -0x1.921fb6p+0f},
    {MLS__UNARY_SINH, -0.0f, -0.0f},
    {MLS__UNARY_SINH, -INFINITY, -INFINITY},
    {MLS__UNARY_SINH, 89.5f, INFINITY},
    {MLS__UNARY_COSH, 0.0f, 1.0f},
    {MLS__UNARY_COSH, -INFINITY, INFINITY},
    {MLS__UNARY_ASINH, -0.0f, -0.0f},
    {MLS__UNARY_ASINH, -INFINITY, -INFINITY},
    {MLS__UNARY_ACOSH, 1.0f, 0.0f},
    {MLS__UNARY_ACOSH, 0.5f, NAN},
    {MLS__UNARY_ACOSH, INFINITY, INFINITY},
    {MLS__UNARY_ATANH, -0.0f, -0.0f},
    {MLS__UNARY_ATANH, -1.0f, -INFINITY},
    {MLS__UNARY_ATANH, 1.5f, NAN},
};

START_TEST(special_values)
{
    static const float params[2] = {1.0f, 1.0f};
    const mls__cpu_kernels *set = mls__cpu_kernels_at(_i);
    if (!set || !mls__isa_is_supported(set->isa))
        return;
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        float y;
        set->elementwise->unary[specials[i].op](&y, &specials[i].x, 1, params);
        EXPECT_MSG(same(y, specials[i].y), "%s: op %d of %a is %a, expected %a", set->isa,
                   (int) specials[i].op, (double) specials[i].x, (double) y,
                   (double) specials[i].y);
    }
    for (int f = 0; f < FUNCTIONS; f++) {
        const float x = NAN;
        float y;
        set->elementwise->unary[functions[f].op](&y, &x, 1, functions[f].params);
        EXPECT_MSG(isnan(y), "%s: %s(NaN) is %a", set->isa, functions[f].name, (double) y);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/math");
    TCase *tests = tcase_create("functions");
    tcase_add_loop_test(tests, error_and_bytes, 0, FUNCTIONS);
    tcase_add_loop_test(tests, special_values, 0, 4);
    tcase_set_timeout(tests, 0);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
