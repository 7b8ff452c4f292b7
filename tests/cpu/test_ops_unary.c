/* SPDX-License-Identifier: Apache-2.0 */
/* Every op of one input over every dtype, against the C library in float64 or wider. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define N            700

static const mls_dtype floats[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64};
static const mls_dtype integers[] = {MLS_INT8,  MLS_INT16,  MLS_INT32,  MLS_INT64,
                                     MLS_UINT8, MLS_UINT16, MLS_UINT32, MLS_UINT64};

/* --- ops that are exact, or round once ------------------------------------------------------- */

typedef struct exact_op {
    const char *type;
    double (*of)(double x);
} exact_op;

static double negated(double x)
{
    return -x;
}

static double reciprocal(double x)
{
    return 1 / x;
}

static double sign_of(double x)
{
    return isnan(x) ? x : x > 0 ? 1 : x < 0 ? -1 : 0;
}

static double rectified(double x)
{
    return x < 0 ? 0 : x;
}

static const exact_op exact_ops[] = {
    {"Neg", negated},    {"Abs", fabs},  {"Sqrt", sqrt},  {"Reciprocal", reciprocal},
    {"Floor", floor},    {"Ceil", ceil}, {"Round", rint}, {"Sign", sign_of},
    {"Relu", rectified},
};

static op_test *unary_test(const char *type, mls_dtype dtype, const void *x)
{
    op_test *test = op_test_create("", type);
    op_test_input(test, dtype, OP_DIMS(7, N / 7), x);
    op_test_planned(test, OP_DIMS(8, N / 7), NULL);
    return test;
}

START_TEST(exact_floats)
{
    uint64_t x[N], y[N];
    const exact_op *op = &exact_ops[_i];
    for (size_t d = 0; d < COUNT(floats); d++) {
        op_fill(floats[d], x, N, d);
        for (int64_t i = 0; i < N; i++) /* sqrt and 1 / x in float64 do not round twice for it */
            op_float_set(floats[d], y, i, op->of(op_float(floats[d], x, i)));
        op_test *test = unary_test(op->type, floats[d], x);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, floats[d], OP_DIMS(7, N / 7), y);
        op_test_free(test);
    }
}
END_TEST

static int64_t integer_result(const char *type, bool is_signed, int64_t x)
{
    const bool negative = is_signed && x < 0;
    if (strcmp(type, "Neg") == 0)
        return (int64_t) (0 - (uint64_t) x);
    if (strcmp(type, "Abs") == 0)
        return negative ? (int64_t) (0 - (uint64_t) x) : x;
    if (strcmp(type, "Sign") == 0)
        return negative ? -1 : x != 0;
    return negative ? 0 : x;
}

START_TEST(exact_integers)
{
    static const char *const types[] = {"Abs", "Sign", "Neg", "Relu"};
    uint64_t x[N], y[N];
    for (size_t d = 0; d < COUNT(integers); d++) {
        if (_i >= 2 && !op_is_signed(integers[d]))
            continue;
        op_fill(integers[d], x, N, d);
        for (int64_t i = 0; i < N; i++)
            op_integer_set(integers[d], y, i,
                           integer_result(types[_i], op_is_signed(integers[d]),
                                          op_integer(integers[d], x, i)));
        op_test *test = unary_test(types[_i], integers[d], x);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, integers[d], OP_DIMS(7, N / 7), y);
        op_test_free(test);
    }
}
END_TEST

/* --- ops with a function of the C library in them --------------------------------------------- */

typedef long double wide;

typedef struct function_op {
    const char *type, *a_name, *b_name, *string_name, *string;
    float a, b;
    wide (*of)(wide x, wide a, wide b);
    double slack; /* error allowed in terms of x, where terms cancel next to a zero */
    int places;   /* last places allowed where more than 4: a large argument of exp */
} function_op;

static wide of_exp(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return expl(x);
}

static wide of_log(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return logl(x);
}

static wide of_tanh(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return tanhl(x);
}

static wide of_sin(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return sinl(x);
}

static wide of_cos(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return cosl(x);
}

static wide of_tan(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return tanl(x);
}

static wide of_asin(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return asinl(x);
}

static wide of_acos(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return acosl(x);
}

static wide of_atan(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return atanl(x);
}

static wide of_sinh(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return sinhl(x);
}

static wide of_cosh(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return coshl(x);
}

static wide of_asinh(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return asinhl(x);
}

static wide of_acosh(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return acoshl(x);
}

static wide of_atanh(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return atanhl(x);
}

static wide of_erf(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return erfl(x);
}

static wide of_sigmoid(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return 1 / (1 + expl(-x));
}

static wide of_leaky_relu(wide x, wide a, wide b)
{
    (void) b;
    return x < 0 ? a * x : x;
}

static wide of_thresholded_relu(wide x, wide a, wide b)
{
    (void) b;
    return x <= a ? 0 : x;
}

static wide of_elu(wide x, wide a, wide b)
{
    (void) b;
    return x < 0 ? a * expm1l(x) : x;
}

static wide of_selu(wide x, wide a, wide b)
{
    return b * of_elu(x, a, 0);
}

static wide of_celu(wide x, wide a, wide b)
{
    (void) b;
    return x < 0 ? a * expm1l(x / a) : x;
}

static wide of_hard_sigmoid(wide x, wide a, wide b)
{
    return x != x ? x : fminl(fmaxl(a * x + b, 0), 1);
}

static wide of_hard_swish(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return x == -INFINITY ? -0.0L : x * of_hard_sigmoid(x, 1.0L / 6, 0.5L);
}

static wide of_softplus(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}

static wide of_softsign(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return isinf(x) ? copysignl(1, x) : x / (1 + fabsl(x));
}

static wide of_swish(wide x, wide a, wide b)
{
    (void) b;
    return x == -INFINITY ? -0.0L : x / (1 + expl(-a * x));
}

static wide of_mish(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return x == -INFINITY ? -0.0L : x * tanhl(of_softplus(x, 0, 0));
}

static wide of_gelu(wide x, wide a, wide b)
{
    (void) a, (void) b;
    return x == -INFINITY ? -0.0L : x * erfcl(-x / sqrtl(2)) / 2;
}

/* x * (1 + tanh(z)) / 2 is x * sigmoid(2 z), which does not cancel. */
static wide of_gelu_tanh(wide x, wide a, wide b)
{
    const wide z = sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x);
    (void) a, (void) b;
    return x == -INFINITY ? -0.0L : x * of_sigmoid(2 * z, 0, 0);
}

static const function_op function_ops[] = {
    {.type = "Exp", .of = of_exp},
    {.type = "Log", .of = of_log},
    {.type = "Tanh", .of = of_tanh},
    {.type = "Erf", .of = of_erf},
    {.type = "Sigmoid", .of = of_sigmoid},
    {.type = "Sin", .of = of_sin},
    {.type = "Cos", .of = of_cos},
    {.type = "Tan", .of = of_tan},
    {.type = "Asin", .of = of_asin},
    {.type = "Acos", .of = of_acos},
    {.type = "Atan", .of = of_atan},
    {.type = "Sinh", .of = of_sinh},
    {.type = "Cosh", .of = of_cosh},
    {.type = "Asinh", .of = of_asinh},
    {.type = "Acosh", .of = of_acosh},
    {.type = "Atanh", .of = of_atanh},
    {.type = "LeakyRelu", .of = of_leaky_relu, .a = 0.01f},
    {.type = "LeakyRelu", .of = of_leaky_relu, .a_name = "alpha", .a = 0.3f},
    {.type = "ThresholdedRelu", .of = of_thresholded_relu, .a = 1.0f},
    {.type = "ThresholdedRelu", .of = of_thresholded_relu, .a_name = "alpha", .a = -2.5f},
    {.type = "Elu", .of = of_elu, .a = 1.0f},
    {.type = "Elu", .of = of_elu, .a_name = "alpha", .a = 2.0f},
    {.type = "Selu",
     .of = of_selu,
     .a = 1.67326319217681884765625f,
     .b = 1.05070102214813232421875f},
    {.type = "Selu", .of = of_selu, .a_name = "alpha", .a = 2.0f, .b_name = "gamma", .b = 3.0f},
    {.type = "Celu", .of = of_celu, .a = 1.0f},
    {.type = "Celu", .of = of_celu, .a_name = "alpha", .a = 2.0f},
    {.type = "HardSigmoid", .of = of_hard_sigmoid, .a = 0.2f, .b = 0.5f},
    {.type = "HardSigmoid",
     .of = of_hard_sigmoid,
     .a_name = "alpha",
     .a = 0.5f,
     .b_name = "beta",
     .b = 0.25f},
    {.type = "HardSwish", .of = of_hard_swish, .slack = 0x1p-23},
    {.type = "Softplus", .of = of_softplus},
    {.type = "Softsign", .of = of_softsign},
    {.type = "Swish", .of = of_swish, .a = 1.0f},
    {.type = "Swish", .of = of_swish, .a_name = "alpha", .a = 0.5f},
    {.type = "Mish", .of = of_mish},
    {.type = "Gelu", .of = of_gelu, .slack = 0x1p-52}, /* float64 uses the formula as it is */
    {.type = "Gelu",
     .of = of_gelu_tanh,
     .string_name = "approximate",
     .string = "tanh",
     .places = 192,
     .slack = 0x1p-52},
};

/* The distance of two neighbours of the dtype next to a number. */
static wide last_place(mls_dtype dtype, wide value)
{
    static const struct {
        mls_dtype dtype;
        int digits, least; /* binary; exponent of the least denormal */
    } formats[] = {{MLS_FLOAT16, 11, -24},
                   {MLS_BFLOAT16, 8, -133},
                   {MLS_FLOAT32, 24, -149},
                   {MLS_FLOAT64, 53, -1074}};
    int exponent = 0, f = 0;
    while (formats[f].dtype != dtype)
        f++;
    frexpl(value, &exponent);
    const int place = exponent - formats[f].digits;
    return ldexpl(1, place > formats[f].least ? place : formats[f].least);
}

/*
 * Four last places of the dtype in which it is computed: float32 for the narrower ones,
 * which round the result once more. Where a function fades away, so does the precision
 * of a factor of it.
 */
static wide allowed_error(const function_op *op, mls_dtype dtype, wide x, wide exact)
{
    const mls_dtype computed = dtype == MLS_FLOAT64 ? MLS_FLOAT64 : MLS_FLOAT32;
    const wide fading = dtype == MLS_FLOAT64 ? 1e-320L : 2e-43L;
    const wide rounding = dtype == computed ? 0 : last_place(dtype, exact) / 2;
    const int places = op->places ? op->places : 4;
    return rounding + places * last_place(computed, exact) + fading + op->slack * fabsl(x);
}

static void expect_close(const function_op *op, mls_dtype dtype, double x, double got)
{
    const wide exact = op->of((wide) x, (wide) op->a, (wide) op->b);
    double rounded;
    op_float_set(MLS_FLOAT64, &rounded, 0, (double) exact);
    if (dtype != MLS_FLOAT64) {
        uint64_t narrow;
        op_float_set(dtype, &narrow, 0, (double) exact);
        rounded = op_float(dtype, &narrow, 0);
    }
    if (got == rounded || (isnan(got) && isnan(rounded)))
        return;
    const wide error = fabsl((wide) got - exact);
    if (error > allowed_error(op, dtype, (wide) x, exact))
        ck_abort_msg("%s of %.17g is %.17g, expected %.17Lg", op->type, x, got, exact);
}

START_TEST(functions)
{
    const function_op *op = &function_ops[_i];
    uint64_t x[N];
    for (size_t d = 0; d < COUNT(floats); d++) {
        op_fill(floats[d], x, N, d);
        for (int64_t i = 0; i < N; i += 2) /* where the functions are not flat */
            op_float_set(floats[d], x, i, (double) (i - N / 2) / 32);
        op_test *test = unary_test(op->type, floats[d], x);
        if (op->a_name)
            op_test_float(test, op->a_name, op->a);
        if (op->b_name)
            op_test_float(test, op->b_name, op->b);
        if (op->string)
            op_test_string(test, op->string_name, op->string);
        ck_assert_ok(op_test_run(test));
        for (int64_t i = 0; i < N; i++)
            expect_close(op, floats[d], op_float(floats[d], x, i),
                         op_float(floats[d], op_test_data(test, 0), i));
        op_test_free(test);
    }
}
END_TEST

/* --- the rest -------------------------------------------------------------------------------- */

START_TEST(not_of_bools)
{
    op_test *test = op_test_create("", "Not");
    op_test_input(test, MLS_BOOL, OP_DIMS(3), ((uint8_t[]){1, 0, 1}));
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_BOOL, OP_DIMS(3), ((uint8_t[]){0, 1, 0}));
    op_test_free(test);
}
END_TEST

static void check_classes(mls_dtype dtype, const void *x, int64_t count, const uint8_t *nans,
                          const uint8_t *positive, const uint8_t *negative)
{
    uint8_t either[N];
    const uint8_t *const expected[] = {nans, positive, negative, either};
    for (int64_t i = 0; i < count; i++)
        either[i] = positive[i] | negative[i];
    for (int which = 0; which < 4; which++) {
        op_test *test = op_test_create("", which ? "IsInf" : "IsNaN");
        op_test_input(test, dtype, OP_DIMS(count), x);
        if (which == 1)
            op_test_int(test, "detect_negative", 0);
        if (which == 2)
            op_test_int(test, "detect_positive", 0);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_BOOL, OP_DIMS(count), expected[which]);
        op_test_free(test);
    }
}

START_TEST(classes_of_floats)
{
    for (size_t d = 0; d < COUNT(floats); d++) {
        uint64_t x[N];
        uint8_t nans[N], positive[N], negative[N];
        op_fill(floats[d], x, N, d);
        for (int64_t i = 0; i < N; i++) {
            const double value = op_float(floats[d], x, i);
            nans[i] = isnan(value) != 0;
            positive[i] = isinf(value) && value > 0;
            negative[i] = isinf(value) && value < 0;
        }
        check_classes(floats[d], x, N, nans, positive, negative);
    }
    const uint8_t e5m2[] = {0x7c, 0xfc, 0x7f, 0x3c, 0xfd}, e4m3[] = {0x7f, 0xff, 0x7e, 0x80, 0};
    const uint8_t none[5] = {0};
    check_classes(MLS_FLOAT8E5M2, e5m2, 5, ((uint8_t[]){0, 0, 1, 0, 1}),
                  ((uint8_t[]){1, 0, 0, 0, 0}), ((uint8_t[]){0, 1, 0, 0, 0}));
    check_classes(MLS_FLOAT8E4M3FN, e4m3, 5, ((uint8_t[]){1, 1, 0, 0, 0}), none, none);
    check_classes(MLS_FLOAT8E4M3FNUZ, e4m3, 5, ((uint8_t[]){0, 0, 0, 1, 0}), none, none);
}
END_TEST

static void check_clip(mls_dtype dtype, const void *low, const void *high, double a, double b)
{
    uint64_t x[N], y[N];
    op_fill(dtype, x, N, 5);
    for (int64_t i = 0; i < N; i++) {
        if (op_is_float(dtype)) {
            const double value = op_float(dtype, x, i);
            op_float_set(dtype, y, i, isnan(value) ? value : fmin(fmax(value, a), b));
        } else {
            const bool is_unsigned = dtype == MLS_UINT64;
            const int64_t value = op_integer(dtype, x, i);
            const double wide_value = is_unsigned ? (double) (uint64_t) value : (double) value;
            const double clipped = fmin(fmax(wide_value, a), b);
            op_integer_set(dtype, y, i, clipped == wide_value ? value : (int64_t) clipped);
        }
    }
    op_test *test = op_test_create("", "Clip");
    op_test_input(test, dtype, OP_DIMS(N), x);
    if (low)
        op_test_input(test, dtype, OP_SCALAR, low);
    else
        op_test_left_out(test);
    if (high)
        op_test_constant(test, dtype, OP_DIMS(1), high);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(N), y);
    op_test_free(test);
}

START_TEST(clip)
{
    static const double largest[] = {65504, 0x1.fep127, 0x1.fffffep127, 0x1.fffffffffffffp1023};
    for (size_t d = 0; d < COUNT(floats); d++) {
        uint64_t low, high;
        op_float_set(floats[d], &low, 0, -1.5);
        op_float_set(floats[d], &high, 0, 2.25);
        check_clip(floats[d], &low, &high, -1.5, 2.25);
        check_clip(floats[d], &low, NULL, -1.5, largest[d]);
        check_clip(floats[d], NULL, &high, -largest[d], 2.25);
        check_clip(floats[d], NULL, NULL, -largest[d], largest[d]);
        check_clip(floats[d], &high, &low, 2.25, -1.5);
    }
    for (size_t d = 0; d < COUNT(integers); d++) {
        const int64_t low = 2, high = 100;
        check_clip(integers[d], &low, &high, 2, 100);
        check_clip(integers[d], &low, NULL, 2, INFINITY);
        check_clip(integers[d], NULL, &high, -(double) INFINITY, 100);
        check_clip(integers[d], &high, &low, 100, 2);
    }
}
END_TEST

START_TEST(clip_with_nan_and_one_element)
{
    op_test *test = op_test_create("", "Clip");
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2), ((double[]){-5, 5}));
    op_test_input(test, MLS_FLOAT64, OP_SCALAR, ((double[]){NAN}));
    op_test_input(test, MLS_FLOAT64, OP_SCALAR, ((double[]){1}));
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT64, OP_DIMS(2), ((double[]){-5, 1}));
    op_test_free(test);
    test = op_test_create("", "Clip");
    op_test_input(test, MLS_INT32, OP_DIMS(1), ((int32_t[]){7}));
    op_test_input(test, MLS_INT32, OP_SCALAR, ((int32_t[]){1}));
    op_test_input(test, MLS_INT32, OP_SCALAR, ((int32_t[]){5}));
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(1), ((int32_t[]){5}));
    op_test_free(test);
    test = op_test_create("", "Clip");
    op_test_input(test, MLS_INT32, OP_DIMS(1), ((int32_t[]){7}));
    op_test_input(test, MLS_INT32, OP_DIMS(2), ((int32_t[]){1, 2}));
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "input 1 has 2 elements, expected 1");
    op_test_free(test);
}
END_TEST

START_TEST(empty_and_scalar)
{
    static const char *const types[] = {"Exp", "Not", "IsNaN", "Clip"};
    for (size_t i = 0; i < COUNT(types); i++) {
        const mls_dtype dtype = i == 1 ? MLS_BOOL : MLS_FLOAT32;
        op_test *test = op_test_create("", types[i]);
        op_test_input(test, dtype, OP_DIMS(3, 0), NULL);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, i == 2 ? MLS_BOOL : dtype, OP_DIMS(3, 0), NULL);
        op_test_free(test);
    }
    op_test *test = op_test_create("", "Relu");
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, ((float[]){-2}));
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_SCALAR, ((float[]){0}));
    op_test_free(test);
}
END_TEST

START_TEST(threads_share_large_outputs)
{
    const int64_t count = 100003;
    float *x = malloc((size_t) count * sizeof *x), *y = malloc((size_t) count * sizeof *y);
    uint8_t *nans = malloc((size_t) count);
    op_fill(MLS_FLOAT32, x, count, 1);
    for (int64_t i = 0; i < count; i++) {
        y[i] = floorf(x[i]);
        nans[i] = isnan(x[i]) != 0;
    }
    op_test *test = op_test_create("", "Floor");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(count), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(count), y);
    op_test_free(test);
    test = op_test_create("", "IsNaN");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(count), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_BOOL, OP_DIMS(count), nans);
    op_test_free(test);
    free(x);
    free(y);
    free(nans);
}
END_TEST

static void check_refused(const char *type, mls_dtype dtype, const char *words)
{
    op_test *test = op_test_create("", type);
    op_test_input(test, dtype, OP_DIMS(1), ((uint64_t[]){0}));
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, words);
    op_test_free(test);
}

START_TEST(what_is_given_is_checked)
{
    check_refused("Exp", MLS_INT32, "input 0 is int32, expected a float");
    check_refused("Neg", MLS_UINT8, "input 0 is uint8, expected a float or a signed");
    check_refused("Not", MLS_INT8, "input 0 is int8, expected bool");
    check_refused("Abs", MLS_BOOL, "input 0 is bool, expected a number");
    op_test *test = op_test_create("", "Gelu");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), ((float[]){0}));
    op_test_string(test, "approximate", "some");
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "approximate is 'some'");
    op_test_free(test);
    test = op_test_create("", "Celu");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), ((float[]){0}));
    op_test_float(test, "alpha", 0);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "alpha is 0");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_unary");
    TCase *tests = tcase_create("unary");
    tcase_add_loop_test(tests, exact_floats, 0, COUNT(exact_ops));
    tcase_add_loop_test(tests, exact_integers, 0, 4);
    tcase_add_loop_test(tests, functions, 0, COUNT(function_ops));
    tcase_add_test(tests, not_of_bools);
    tcase_add_test(tests, classes_of_floats);
    tcase_add_test(tests, clip);
    tcase_add_test(tests, clip_with_nan_and_one_element);
    tcase_add_test(tests, empty_and_scalar);
    tcase_add_test(tests, threads_share_large_outputs);
    tcase_add_test(tests, what_is_given_is_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
