/* SPDX-License-Identifier: Apache-2.0 */
/*
 * com.microsoft's ops on quantized elements, against their formulas one element at a time. What
 * rounds more than once may be a step away where the reference, in double, is next to a tie.
 */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8000 };

static const char domain[] = "com.microsoft";
static const mls_dtype dtypes[] = {MLS_UINT8, MLS_INT8};

static struct {
    int8_t a[MOST], b[MOST], y[MOST];
} o;

static void fill(void)
{
    uint64_t seed = 11;
    for (int i = 0; i < MOST; i++) {
        o.a[i] = (int8_t) (uint8_t) (op_random(&seed) >> 20);
        o.b[i] = (int8_t) (uint8_t) (op_random(&seed) >> 20);
    }
}

static float real(mls_dtype dtype, const int8_t *x, int64_t i, float scale, int8_t zero)
{
    return (float) (op_integer(dtype, x, i) - op_integer(dtype, &zero, 0)) * scale;
}

static int8_t quantized(mls_dtype dtype, double value, float scale, int8_t zero)
{
    const double low = dtype == MLS_INT8 ? -128 : 0;
    const double rounded =
        nearbyint((double) ((float) value / scale)) + (double) op_integer(dtype, &zero, 0);
    return (int8_t) (uint8_t) (int) fmin(fmax(rounded, low), low + 255);
}

static void add_param(op_test *test, mls_dtype dtype, const float *scale, const int8_t *zero)
{
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, scale);
    op_test_constant(test, dtype, OP_DIMS(1), zero);
}

static void expect_steps(const op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                         int64_t most)
{
    const mls_arg *y = op_test_output(test, 0);
    ck_assert_int_eq(y->dtype, dtype);
    ck_assert_int_eq(y->rank, rank);
    for (int i = 0; i < rank; i++)
        ck_assert_int_eq(y->dims[i], dims[i]);
    for (int64_t i = 0; i < count_of(rank, dims); i++)
        if (llabs(op_integer(dtype, op_test_data(test, 0), i) - op_integer(dtype, o.y, i)) > most)
            ck_abort_msg("element %d is off", (int) i);
}

/* --- elementwise ----------------------------------------------------------------------------- */

static const float a_scale = 0.031f, b_scale = 0.012f, y_scale = 0.045f;
static const int8_t a_zero = 13, b_zero = -7, y_zero = 100;

static void check_binary(mls_dtype dtype, bool is_add, int a_rank, const int64_t *a_dims,
                         int b_rank, const int64_t *b_dims, int rank, const int64_t *dims)
{
    fill();
    for (int64_t i = 0; i < count_of(rank, dims); i++) {
        const float a =
            real(dtype, o.a, op_broadcast_index(i, rank, dims, a_rank, a_dims), a_scale, a_zero);
        const float b =
            real(dtype, o.b, op_broadcast_index(i, rank, dims, b_rank, b_dims), b_scale, b_zero);
        o.y[i] = quantized(dtype, (double) (is_add ? a + b : a * b), y_scale, y_zero);
    }
    op_test *test = op_test_create(domain, is_add ? "QLinearAdd" : "QLinearMul");
    op_test_input(test, dtype, a_rank, a_dims, o.a);
    add_param(test, dtype, &a_scale, &a_zero);
    op_test_input(test, dtype, b_rank, b_dims, o.b);
    add_param(test, dtype, &b_scale, &b_zero);
    add_param(test, dtype, &y_scale, &y_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, rank, dims, o.y);
    op_test_free(test);
}

START_TEST(binary)
{
    for (int is_add = 0; is_add < 2; is_add++) {
        const mls_dtype dtype = dtypes[_i];
        check_binary(dtype, is_add, OP_DIMS(3, 700), OP_DIMS(3, 700), OP_DIMS(3, 700));
        check_binary(dtype, is_add, OP_DIMS(2, 3, 50), OP_DIMS(3, 1), OP_DIMS(2, 3, 50));
        check_binary(dtype, is_add, OP_SCALAR, OP_DIMS(4, 9), OP_DIMS(4, 9));
        check_binary(dtype, is_add, OP_DIMS(0, 9), OP_DIMS(9), OP_DIMS(0, 9));
    }
}
END_TEST

START_TEST(leaky_relu)
{
    const mls_dtype dtype = dtypes[_i];
    fill();
    for (int i = 0; i < 900; i++) {
        const float x = real(dtype, o.a, i, a_scale, a_zero);
        o.y[i] = quantized(dtype, (double) (x < 0 ? 0.2f * x : x), y_scale, y_zero);
    }
    op_test *test = op_test_create(domain, "QLinearLeakyRelu");
    op_test_float(test, "alpha", 0.2f);
    op_test_input(test, dtype, OP_DIMS(30, 30), o.a);
    add_param(test, dtype, &a_scale, &a_zero);
    add_param(test, dtype, &y_scale, &y_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(30, 30), o.y);
    op_test_free(test);
}
END_TEST

START_TEST(sigmoid)
{
    const mls_dtype dtype = dtypes[_i];
    const float scale = 1.0f / 256;
    fill();
    for (int i = 0; i < 900; i++) {
        const double x = (double) real(dtype, o.a, i, a_scale, a_zero);
        o.y[i] = quantized(dtype, 1 / (1 + exp(-x)), scale, b_zero);
    }
    op_test *test = op_test_create(domain, "QLinearSigmoid");
    op_test_input(test, dtype, OP_DIMS(900), o.a);
    add_param(test, dtype, &a_scale, &a_zero);
    add_param(test, dtype, &scale, &b_zero);
    ck_assert_ok(op_test_run(test));
    expect_steps(test, dtype, OP_DIMS(900), 1);
    op_test_free(test);
}
END_TEST

START_TEST(concat)
{
    const mls_dtype dtype = dtypes[_i];
    fill();
    for (int row = 0; row < 3; row++) {
        for (int i = 0; i < 10; i++)
            o.y[row * 17 + i] = quantized(
                dtype, (double) real(dtype, o.a, row * 10 + i, a_scale, a_zero), y_scale, y_zero);
        for (int i = 0; i < 7; i++)
            o.y[row * 17 + 10 + i] = quantized(
                dtype, (double) real(dtype, o.b, row * 7 + i, b_scale, b_zero), y_scale, y_zero);
    }
    op_test *test = op_test_create(domain, "QLinearConcat");
    op_test_int(test, "axis", 1);
    add_param(test, dtype, &y_scale, &y_zero);
    op_test_input(test, dtype, OP_DIMS(3, 2, 5), o.a);
    add_param(test, dtype, &a_scale, &a_zero);
    op_test_input(test, dtype, OP_DIMS(3, 7, 1), o.b);
    add_param(test, dtype, &b_scale, &b_zero);
    ck_assert_int_eq(op_test_infer(test), MLS_ESHAPE);
    op_test_free(test);
    test = op_test_create(domain, "QLinearConcat");
    op_test_int(test, "axis", 1);
    add_param(test, dtype, &y_scale, &y_zero);
    op_test_input(test, dtype, OP_DIMS(3, 10, 1), o.a);
    add_param(test, dtype, &a_scale, &a_zero);
    op_test_input(test, dtype, OP_DIMS(3, 7, 1), o.b);
    add_param(test, dtype, &b_scale, &b_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(3, 17, 1), o.y);
    op_test_free(test);
}
END_TEST

/* --- pools ----------------------------------------------------------------------------------- */

static void check_global(mls_dtype dtype, bool is_last)
{
    enum { N = 2, C = 5, S = 150 };
    fill();
    for (int plane = 0; plane < N * C; plane++) {
        double sum = 0;
        for (int i = 0; i < S; i++) {
            const int at = is_last ? (plane / C * S + i) * C + plane % C : plane * S + i;
            sum += (double) real(dtype, o.a, at, a_scale, a_zero);
        }
        o.y[plane] = quantized(dtype, sum / S, y_scale, y_zero);
    }
    op_test *test = op_test_create(domain, "QLinearGlobalAveragePool");
    if (is_last) {
        op_test_int(test, "channels_last", 1);
        op_test_input(test, dtype, OP_DIMS(N, 10, 15, C), o.a);
    } else {
        op_test_input(test, dtype, OP_DIMS(N, C, 10, 15), o.a);
    }
    add_param(test, dtype, &a_scale, &a_zero);
    add_param(test, dtype, &y_scale, &y_zero);
    ck_assert_ok(op_test_run(test));
    if (is_last)
        expect_steps(test, dtype, OP_DIMS(N, 1, 1, C), 1);
    else
        expect_steps(test, dtype, OP_DIMS(N, C, 1, 1), 1);
    op_test_free(test);
}

START_TEST(global_pool)
{
    check_global(dtypes[_i], false);
    check_global(dtypes[_i], true);
}
END_TEST

static double window_mean(mls_dtype dtype, int plane, int row, int column, bool counts_padding)
{
    double sum = 0;
    int count = 0;
    for (int i = 0; i < 9; i++) {
        const int y = row * 2 - 1 + i / 3, x = column - 1 + i % 3;
        const bool is_inside = y >= 0 && y < 7 && x >= 0 && x < 9;
        count += is_inside || counts_padding;
        if (is_inside)
            sum += (double) real(dtype, o.a, (plane * 7 + y) * 9 + x, a_scale, a_zero);
    }
    return sum / count;
}

START_TEST(average_pool)
{
    const mls_dtype dtype = dtypes[_i % 2];
    const bool counts_padding = _i / 2;
    fill();
    for (int i = 0; i < 6 * 4 * 9; i++)
        o.y[i] = quantized(dtype, window_mean(dtype, i / 36, i / 9 % 4, i % 9, counts_padding),
                           y_scale, y_zero);
    op_test *test = op_test_create(domain, "QLinearAveragePool");
    op_test_ints(test, "kernel_shape", 2, (int64_t[]){3, 3});
    op_test_ints(test, "strides", 2, (int64_t[]){2, 1});
    op_test_ints(test, "pads", 4, (int64_t[]){1, 1, 1, 1});
    op_test_int(test, "count_include_pad", counts_padding);
    op_test_input(test, dtype, OP_DIMS(2, 3, 7, 9), o.a);
    add_param(test, dtype, &a_scale, &a_zero);
    add_param(test, dtype, &y_scale, &y_zero);
    ck_assert_ok(op_test_run(test));
    expect_steps(test, dtype, OP_DIMS(2, 3, 4, 9), 1);
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops/qlinear");
    TCase *tests = tcase_create("qlinear");
    tcase_add_loop_test(tests, binary, 0, 2);
    tcase_add_loop_test(tests, leaky_relu, 0, 2);
    tcase_add_loop_test(tests, sigmoid, 0, 2);
    tcase_add_loop_test(tests, concat, 0, 2);
    tcase_add_loop_test(tests, global_pool, 0, 2);
    tcase_add_loop_test(tests, average_pool, 0, 4);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
