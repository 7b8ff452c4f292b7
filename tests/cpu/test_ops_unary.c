/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of one input over every dtype, against the C library in float64. */
#include "cpu/op_values.h"
#include "cpu/topics.h"
#include "cpu/unary_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    add_functions(tests);
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
