/* SPDX-License-Identifier: Apache-2.0 */
/* Pow over every pair of dtypes, against the C library in 80 bits and integers one by one. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ROWS         5
#define COLUMNS      130

static const mls_dtype bases[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32,
                                  MLS_FLOAT64, MLS_INT32,    MLS_INT64};
static const mls_dtype exponents[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64,
                                      MLS_INT8,    MLS_INT16,    MLS_INT32,   MLS_INT64,
                                      MLS_UINT8,   MLS_UINT16,   MLS_UINT32,  MLS_UINT64};

static double value_at(mls_dtype dtype, const void *x, int64_t i)
{
    if (op_is_float(dtype))
        return op_float(dtype, x, i);
    const int64_t value = op_integer(dtype, x, i);
    return dtype == MLS_UINT64 ? (double) (uint64_t) value : (double) value;
}

static int64_t integer_power(int64_t base, int64_t exponent)
{
    uint64_t product = 1;
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
    for (int64_t i = 0; i < exponent; i++)
        product *= (uint64_t) base;
    return (int64_t) product;
}

/* The result, or the next number of the dtype: float64 powers are not always correctly rounded. */
static void expect_power(mls_dtype dtype, double a, double b, double got)
{
    const long double exact = powl((long double) a, (long double) b);
    uint64_t rounded;
    op_float_set(dtype, &rounded, 0, (double) exact);
    const double expected = op_float(dtype, &rounded, 0);
    if (got == expected || (isnan(got) && isnan(expected)))
        return;
    const double next = nextafter(expected, got);
    if (dtype != MLS_FLOAT64 || got != next)
        ck_abort_msg("%s: %.17g to the %.17g is %.17g, expected %.17g", mls_dtype_name(dtype), a, b,
                     got, expected);
}

static void fill_exponents(mls_dtype dtype, void *x, int64_t count, bool is_float_base)
{
    op_fill(dtype, x, count, 9);
    for (int64_t i = 0; i < count; i++)
        if (!op_is_float(dtype)) /* small, and negative ones only for floats */
            op_integer_set(dtype, x, i, (i * 7) % 23 - (op_is_signed(dtype) && is_float_base) * 9);
        else if (i % 2)
            op_float_set(dtype, x, i, (double) ((i * 5) % 41 - 20) / 4);
}

static void check_result(mls_dtype a_dtype, const void *a, int64_t i, mls_dtype b_dtype,
                         const void *b, int64_t j, const void *y, int64_t k)
{
    const double base = value_at(a_dtype, a, i), exponent = value_at(b_dtype, b, j);
    if (op_is_float(a_dtype)) {
        expect_power(a_dtype, base, exponent, op_float(a_dtype, y, k));
        return;
    }
    const int64_t got = op_integer(a_dtype, y, k);
    int64_t expected;
    if (!op_is_float(b_dtype))
        op_integer_set(a_dtype, &expected, 0,
                       integer_power(op_integer(a_dtype, a, i), op_integer(b_dtype, b, j)));
    const long double power = powl((long double) base, (long double) exponent);
    if (op_is_float(b_dtype)) {
        if (!(fabsl(power) < 2e9L)) /* out of range is Cast's to test */
            return;
        op_integer_set(a_dtype, &expected, 0, (int64_t) power);
    }
    expected = op_integer(a_dtype, &expected, 0);
    if (got != expected)
        ck_abort_msg("%.17g to the %.17g is %lld, expected %lld", base, exponent, (long long) got,
                     (long long) expected);
}

/* Rows of bases to one row of exponents, or to one exponent, known or not. */
static void check(mls_dtype a_dtype, mls_dtype b_dtype, int64_t columns, bool is_constant)
{
    uint64_t a[ROWS * COLUMNS], b[COLUMNS];
    op_fill(a_dtype, a, ROWS * COLUMNS, 3);
    fill_exponents(b_dtype, b, columns, op_is_float(a_dtype));
    op_test *test = op_test_create("", "Pow");
    op_test_input(test, a_dtype, OP_DIMS(ROWS, COLUMNS), a);
    op_test_planned(test, OP_DIMS(ROWS + 2, COLUMNS), NULL);
    if (is_constant)
        op_test_constant(test, b_dtype, OP_DIMS(columns), b);
    else
        op_test_input(test, b_dtype, OP_DIMS(columns), b);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < ROWS * COLUMNS; i++)
        check_result(a_dtype, a, i, b_dtype, b, columns == 1 ? 0 : i % COLUMNS,
                     op_test_data(test, 0), i);
    op_test_free(test);
}

START_TEST(powers_of_every_pair)
{
    for (size_t e = 0; e < COUNT(exponents); e++) {
        check(bases[_i], exponents[e], COLUMNS, false);
        check(bases[_i], exponents[e], 1, false);
    }
}
END_TEST

static void check_one(mls_dtype a_dtype, mls_dtype b_dtype, double exponent, bool is_constant)
{
    uint64_t a[COLUMNS], b;
    op_fill(a_dtype, a, COLUMNS, 3);
    if (op_is_float(b_dtype))
        op_float_set(b_dtype, &b, 0, exponent);
    else
        op_integer_set(b_dtype, &b, 0, (int64_t) exponent);
    op_test *test = op_test_create("", "Pow");
    op_test_input(test, a_dtype, OP_DIMS(COLUMNS), a);
    if (is_constant)
        op_test_constant(test, b_dtype, OP_DIMS(1, 1), &b);
    else
        op_test_input(test, b_dtype, OP_DIMS(1, 1), &b);
    ck_assert_ok(op_test_run(test));
    ck_assert_int_eq(op_test_output(test, 0)->rank, 2);
    for (int64_t i = 0; i < COLUMNS; i++)
        check_result(a_dtype, a, i, b_dtype, &b, 0, op_test_data(test, 0), i);
    op_test_free(test);
}

/* Exponents with a short way, as constants and as values of the run. */
START_TEST(one_exponent)
{
    static const double values[] = {0, 1, 2, 3, -1, 0.5, 4, -2.5};
    for (size_t v = 0; v < COUNT(values); v++)
        for (size_t a = 0; a < 4; a++)
            for (int is_constant = 0; is_constant < 2; is_constant++) {
                check_one(bases[a], MLS_FLOAT32, values[v], is_constant);
                check_one(bases[a], MLS_FLOAT64, values[v], is_constant);
                check_one(bases[a], bases[a], values[v], is_constant);
                check_one(bases[a], MLS_INT64, trunc(values[v]), is_constant);
            }
}
END_TEST

/* A row of exponents that float32 holds, but for one, gives what each alone gives. */
START_TEST(exponents_do_not_touch_each_other)
{
    float a[COLUMNS], alone[COLUMNS];
    double b[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        a[i] = 1.0f + (float) i / 64;
        b[i] = i == 77 ? 0.1 : (double) (i % 13) / 4;
    }
    for (int i = 0; i < COLUMNS; i++) {
        op_test *test = op_test_create("", "Pow");
        op_test_input(test, MLS_FLOAT32, OP_DIMS(1), &a[i]);
        op_test_input(test, MLS_FLOAT64, OP_DIMS(1), &b[i]);
        ck_assert_ok(op_test_run(test));
        alone[i] = *(const float *) op_test_data(test, 0);
        op_test_free(test);
    }
    op_test *test = op_test_create("", "Pow");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(COLUMNS), a);
    op_test_input(test, MLS_FLOAT64, OP_DIMS(COLUMNS), b);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(COLUMNS), alone);
    op_test_free(test);
}
END_TEST

START_TEST(negative_powers_of_integers)
{
    op_test *test = op_test_create("", "Pow");
    op_test_input(test, MLS_INT32, OP_DIMS(5), ((int32_t[]){1, -1, -1, 2, INT32_MIN}));
    op_test_input(test, MLS_INT32, OP_DIMS(5), ((int32_t[]){-5, -4, -5, -1, INT32_MIN}));
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(5), ((int32_t[]){1, 1, -1, 0, 0}));
    op_test_free(test);
    test = op_test_create("", "Pow");
    op_test_input(test, MLS_INT32, OP_DIMS(2), ((int32_t[]){1, 0}));
    op_test_input(test, MLS_INT64, OP_SCALAR, ((int64_t[]){-1}));
    ck_assert_fails(op_test_run(test), MLS_ERANGE, "an integer 0 is raised to a negative power");
    op_test_free(test);
}
END_TEST

START_TEST(threads_share_large_outputs)
{
    const int64_t count = 30001;
    float *a = malloc((size_t) count * sizeof *a);
    op_fill(MLS_FLOAT32, a, count, 1);
    op_test *test = op_test_create("", "Pow");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(count), a);
    op_test_input(test, MLS_INT64, OP_SCALAR, ((int64_t[]){5}));
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < count; i++)
        expect_power(MLS_FLOAT32, (double) a[i], 5,
                     op_float(MLS_FLOAT32, op_test_data(test, 0), i));
    op_test_free(test);
    free(a);
}
END_TEST

START_TEST(dtypes_are_checked)
{
    op_test *test = op_test_create("", "Pow");
    op_test_input(test, MLS_INT8, OP_DIMS(1), ((int8_t[]){1}));
    op_test_input(test, MLS_INT8, OP_DIMS(1), ((int8_t[]){1}));
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 0 is int8, expected a float");
    op_test_free(test);
    test = op_test_create("", "Pow");
    op_test_input(test, MLS_INT32, OP_DIMS(1), ((int32_t[]){1}));
    op_test_input(test, MLS_BOOL, OP_DIMS(1), ((uint8_t[]){1}));
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 1 is bool, expected a number");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_pow");
    TCase *tests = tcase_create("pow");
    tcase_add_loop_test(tests, powers_of_every_pair, 0, COUNT(bases));
    tcase_add_test(tests, one_exponent);
    tcase_add_test(tests, exponents_do_not_touch_each_other);
    tcase_add_test(tests, negative_powers_of_integers);
    tcase_add_test(tests, threads_share_large_outputs);
    tcase_add_test(tests, dtypes_are_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
