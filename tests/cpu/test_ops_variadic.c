/* SPDX-License-Identifier: Apache-2.0 */
/* Min, Max, Sum and Mean of one input to many, and Where, against one element at a time. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_COUNT    1200 /* elements of any shape here */

static const mls_dtype floats[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64};
static const mls_dtype integers[] = {MLS_INT8,  MLS_INT16,  MLS_INT32,  MLS_INT64,
                                     MLS_UINT8, MLS_UINT16, MLS_UINT32, MLS_UINT64};

typedef struct shape {
    int rank;
    int64_t dims[4];
} shape;

/* Shapes that broadcast to the first of their row. */
static const shape rows[][5] = {
    {{0, {0}}, {0, {0}}, {0, {0}}, {0, {0}}, {0, {0}}},
    {{1, {7}}, {1, {7}}, {0, {0}}, {1, {1}}, {1, {7}}},
    {{2, {2, 300}}, {1, {300}}, {2, {2, 1}}, {2, {2, 300}}, {0, {0}}},
    {{3, {4, 5, 6}}, {1, {6}}, {3, {4, 1, 6}}, {2, {5, 1}}, {3, {4, 5, 6}}},
    {{4, {2, 3, 4, 5}}, {4, {2, 1, 4, 1}}, {4, {1, 3, 1, 5}}, {3, {3, 1, 1}}, {1, {5}}},
    {{2, {0, 3}}, {1, {3}}, {2, {0, 1}}, {2, {1, 3}}, {2, {0, 3}}},
};

static int64_t count_of(const shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++)
        count *= s->dims[i];
    return count;
}

static int64_t index_of(const shape *y, int64_t index, const shape *x)
{
    return op_broadcast_index(index, y->rank, y->dims, x->rank, x->dims);
}

/* --- references ------------------------------------------------------------------------------ */

static double fold_float(const char *op, mls_dtype dtype, double a, double b)
{
    if (strcmp(op, "Sum") == 0 || strcmp(op, "Mean") == 0)
        return dtype == MLS_FLOAT64 ? a + b : (double) ((float) a + (float) b);
    if (isnan(a) || isnan(b))
        return NAN;
    return strcmp(op, "Min") == 0 ? (a < b ? a : b) : a > b ? a : b;
}

static int64_t fold_integer(const char *op, bool is_signed, int64_t a, int64_t b)
{
    const bool less = is_signed ? a < b : (uint64_t) a < (uint64_t) b;
    return (strcmp(op, "Min") == 0) == less ? a : b;
}

static void reference(const char *op, mls_dtype dtype, size_t count, const shape *shapes,
                      uint64_t (*x)[MAX_COUNT], void *y)
{
    for (int64_t i = 0; i < count_of(&shapes[0]); i++) {
        double sum = 0;
        int64_t whole = 0;
        for (size_t k = 0; k < count; k++) {
            const int64_t at = index_of(&shapes[0], i, &shapes[k]);
            if (op_is_float(dtype)) {
                const double value = op_float(dtype, x[k], at);
                sum = k ? fold_float(op, dtype, sum, value) : value;
            } else {
                const int64_t value = op_integer(dtype, x[k], at);
                whole = k ? fold_integer(op, op_is_signed(dtype), whole, value) : value;
            }
        }
        if (strcmp(op, "Mean") == 0)
            sum = dtype == MLS_FLOAT64 ? sum / (double) count
                                       : (double) ((float) sum / (float) count);
        if (op_is_float(dtype))
            op_float_set(dtype, y, i, sum);
        else
            op_integer_set(dtype, y, i, whole);
    }
}

static void check(const char *op, mls_dtype dtype, size_t count, const shape *shapes)
{
    static uint64_t x[5][MAX_COUNT], y[MAX_COUNT];
    op_test *test = op_test_create("", op);
    for (size_t k = 0; k < count; k++) {
        op_fill(dtype, x[k], count_of(&shapes[k]), k);
        op_test_input(test, dtype, shapes[k].rank, shapes[k].dims, x[k]);
    }
    reference(op, dtype, count, shapes, x, y);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, shapes[0].rank, shapes[0].dims, y);
    op_test_free(test);
}

START_TEST(folds)
{
    static const char *const ops[] = {"Min", "Max", "Sum", "Mean"};
    for (size_t r = 0; r < COUNT(rows); r++)
        for (size_t count = 1; count <= 5; count++) {
            for (size_t d = 0; d < COUNT(floats); d++)
                check(ops[_i], floats[d], count, rows[r]);
            for (size_t d = 0; _i < 2 && d < COUNT(integers); d++)
                check(ops[_i], integers[d], count, rows[r]);
        }
}
END_TEST

/* Sums in float16 would lose every one of these ones. */
START_TEST(half_sums_round_once)
{
    const uint16_t big = 0x6800, one = 0x3c00, result = 0x6801; /* 2048, 1, 2050 */
    op_test *test = op_test_create("", "Sum");
    op_test_input(test, MLS_FLOAT16, OP_DIMS(1), &big);
    op_test_input(test, MLS_FLOAT16, OP_DIMS(1), &one);
    op_test_input(test, MLS_FLOAT16, OP_DIMS(1), &one);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT16, OP_DIMS(1), &result);
    op_test_free(test);
}
END_TEST

START_TEST(many_inputs)
{
    float x = 1, y = 200;
    op_test *test = op_test_create("", "Sum");
    for (int i = 0; i < 30; i++)
        op_test_input(test, MLS_FLOAT32, OP_SCALAR, &x);
    y = 30;
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_SCALAR, &y);
    op_test_free(test);
}
END_TEST

START_TEST(follows_smaller_dims)
{
    op_test *test = op_test_create("", "Max");
    op_test_input(test, MLS_INT32, OP_DIMS(2, 2), ((int32_t[]){1, 2, 3, 4}));
    op_test_planned(test, OP_DIMS(50, 20), NULL);
    op_test_input(test, MLS_INT32, OP_DIMS(2), ((int32_t[]){3, 0}));
    op_test_planned(test, OP_DIMS(20), NULL);
    op_test_input(test, MLS_INT32, OP_DIMS(2, 1), ((int32_t[]){0, 9}));
    op_test_planned(test, OP_DIMS(50, 1), NULL);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(2, 2), ((int32_t[]){3, 2, 9, 9}));
    op_test_free(test);
}
END_TEST

START_TEST(threads_share_large_sums)
{
    const int64_t count = 60001;
    float *x = malloc((size_t) count * sizeof *x), *y = malloc((size_t) count * sizeof *y);
    const float two = 2;
    op_fill(MLS_FLOAT32, x, count, 1);
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] + two + x[i];
    op_test *test = op_test_create("", "Sum");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(count), x);
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, &two);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(count), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(count), y);
    op_test_free(test);
    free(x);
    free(y);
}
END_TEST

START_TEST(what_is_given_is_checked)
{
    op_test *test = op_test_create("", "Sum");
    op_test_input(test, MLS_INT32, OP_DIMS(1), ((int32_t[]){1}));
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 0 is int32, expected a float");
    op_test_free(test);
    test = op_test_create("", "Max");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), ((float[]){1}));
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), ((float[]){1}));
    op_test_input(test, MLS_FLOAT64, OP_DIMS(1), ((double[]){1}));
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 0 is float32 and input 2 is float64");
    op_test_free(test);
}
END_TEST

/* --- Where ----------------------------------------------------------------------------------- */

static void check_where(mls_dtype dtype, const shape *y, const shape *condition, const shape *a,
                        const shape *b)
{
    const size_t size = mls_dtype_size(dtype);
    static char p[MAX_COUNT * 16], q[MAX_COUNT * 16], expected[MAX_COUNT * 16];
    static uint8_t c[MAX_COUNT];
    static const mls_string strings[] = {OP_STRING("one"), OP_STRING(""), OP_STRING("three")};
    op_fill(MLS_BOOL, c, count_of(condition), 1);
    for (size_t i = 0; i < MAX_COUNT; i++) /* any bits will do, save for strings */
        if (dtype == MLS_STRING) {
            memcpy(p + i * size, &strings[i % 3], size);
            memcpy(q + i * size, &strings[(i / 2) % 3], size);
        } else {
            memset(p + i * size, (int) (i * 7 + 1), size);
            memset(q + i * size, (int) (i * 13 + 2), size);
        }
    for (int64_t i = 0; i < count_of(y); i++) {
        const char *from = c[index_of(y, i, condition)] ? p + (size_t) index_of(y, i, a) * size
                                                        : q + (size_t) index_of(y, i, b) * size;
        memcpy(expected + (size_t) i * size, from, size);
    }
    op_test *test = op_test_create("", "Where");
    op_test_input(test, MLS_BOOL, condition->rank, condition->dims, c);
    op_test_input(test, dtype, a->rank, a->dims, p);
    op_test_input(test, dtype, b->rank, b->dims, q);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, y->rank, y->dims, expected);
    op_test_free(test);
}

START_TEST(where_of_every_dtype)
{
    const mls_dtype dtype = (mls_dtype) _i;
    if (!mls_dtype_size(dtype))
        return;
    for (size_t r = 0; r < COUNT(rows); r++)
        for (size_t i = 0; i < 5; i++) {
            check_where(dtype, &rows[r][0], &rows[r][i], &rows[r][(i + 1) % 5], &rows[r][0]);
            check_where(dtype, &rows[r][0], &rows[r][0], &rows[r][i], &rows[r][(i + 2) % 5]);
            check_where(dtype, &rows[r][0], &rows[r][(i + 1) % 5], &rows[r][0], &rows[r][i]);
        }
}
END_TEST

START_TEST(where_is_checked)
{
    op_test *test = op_test_create("", "Where");
    op_test_input(test, MLS_INT8, OP_DIMS(1), ((int8_t[]){1}));
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), ((float[]){1}));
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), ((float[]){1}));
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 0 is int8, expected bool");
    op_test_free(test);
    test = op_test_create("", "Where");
    op_test_input(test, MLS_BOOL, OP_DIMS(1), ((uint8_t[]){1}));
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), ((float[]){1}));
    op_test_input(test, MLS_INT32, OP_DIMS(1), ((int32_t[]){1}));
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 1 is float32 and input 2 is int32");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_variadic");
    TCase *tests = tcase_create("variadic");
    tcase_add_loop_test(tests, folds, 0, 4);
    tcase_add_test(tests, half_sums_round_once);
    tcase_add_test(tests, many_inputs);
    tcase_add_test(tests, follows_smaller_dims);
    tcase_add_test(tests, threads_share_large_sums);
    tcase_add_test(tests, what_is_given_is_checked);
    tcase_add_loop_test(tests, where_of_every_dtype, MLS_FLOAT32, MLS_INT2 + 1);
    tcase_add_test(tests, where_is_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
