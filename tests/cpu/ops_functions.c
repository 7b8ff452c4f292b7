/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of one input with a function in them, against that of the C library in long double. */
#include "cpu/op_values.h"
#include "cpu/topics.h"
#include "cpu/unary_test.h"

#include <math.h>

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

void add_functions(TCase *tests)
{
    tcase_add_loop_test(tests, functions, 0, COUNT(function_ops));
}
