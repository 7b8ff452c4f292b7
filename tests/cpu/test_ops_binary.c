/* SPDX-License-Identifier: Apache-2.0 */
/* Every op of two inputs over every dtype and many shapes, against one element at a time. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mls_dtype floats[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64};
static const mls_dtype integers[] = {MLS_INT8,  MLS_INT16,  MLS_INT32,  MLS_INT64,
                                     MLS_UINT8, MLS_UINT16, MLS_UINT32, MLS_UINT64};

typedef struct shape {
    int rank;
    int64_t dims[MLS_MAX_RANK];
} shape;

/* Two inputs and what they broadcast to. */
static const struct shape_case {
    shape a, b, y;
} shape_cases[] = {
    {{0, {0}}, {0, {0}}, {0, {0}}},
    {{1, {1}}, {0, {0}}, {1, {1}}},
    {{2, {2, 3}}, {2, {2, 3}}, {2, {2, 3}}},
    {{0, {0}}, {1, {5}}, {1, {5}}},
    {{1, {67}}, {1, {1}}, {1, {67}}},
    {{3, {2, 3, 4}}, {1, {4}}, {3, {2, 3, 4}}},
    {{3, {2, 3, 4}}, {2, {3, 1}}, {3, {2, 3, 4}}},
    {{2, {3, 1}}, {2, {1, 4}}, {2, {3, 4}}},
    {{4, {2, 1, 3, 1}}, {4, {1, 4, 1, 5}}, {4, {2, 4, 3, 5}}},
    {{4, {2, 3, 4, 5}}, {3, {3, 1, 1}}, {4, {2, 3, 4, 5}}},
    {{2, {7, 33}}, {3, {2, 1, 33}}, {3, {2, 7, 33}}},
    {{8, {2, 1, 2, 1, 2, 1, 2, 1}}, {8, {1, 2, 1, 2, 1, 2, 1, 2}}, {8, {2, 2, 2, 2, 2, 2, 2, 2}}},
    {{2, {0, 3}}, {1, {1}}, {2, {0, 3}}},
    {{2, {1, 3}}, {2, {0, 1}}, {2, {0, 3}}},
    {{1, {700}}, {1, {700}}, {1, {700}}},
    {{2, {2, 300}}, {2, {2, 1}}, {2, {2, 300}}},
};

static int64_t count_of(const shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++)
        count *= s->dims[i];
    return count;
}

/* --- references ------------------------------------------------------------------------------ */

static double reference_float(const char *op, double a, double b)
{
    if (strcmp(op, "Add") == 0)
        return a + b;
    if (strcmp(op, "Sub") == 0)
        return a - b;
    if (strcmp(op, "Mul") == 0)
        return a * b;
    if (strcmp(op, "Div") == 0)
        return a / b;
    if (strcmp(op, "PRelu") == 0)
        return a < 0 ? a * b : a;
    if (isnan(a) || isnan(b))
        return NAN;
    if (strcmp(op, "Min") == 0)
        return a < b ? a : b;
    return a > b ? a : b;
}

/* In the dtype's own precision: float64 would round twice for float32 alone. */
static double reference_float32(const char *op, float a, float b)
{
    if (strcmp(op, "Add") == 0)
        return (double) (a + b);
    if (strcmp(op, "Sub") == 0)
        return (double) (a - b);
    if (strcmp(op, "Mul") == 0)
        return (double) (a * b);
    if (strcmp(op, "Div") == 0)
        return (double) (a / b);
    return reference_float(op, (double) a, (double) b);
}

static int64_t reference_integer(const char *op, bool is_signed, int64_t a, int64_t b)
{
    const uint64_t u = (uint64_t) a, v = (uint64_t) b;
    const bool less = is_signed ? a < b : u < v;
    if (strcmp(op, "Add") == 0)
        return (int64_t) (u + v);
    if (strcmp(op, "Sub") == 0)
        return (int64_t) (u - v);
    if (strcmp(op, "Mul") == 0)
        return (int64_t) (u * v);
    if (strcmp(op, "PRelu") == 0)
        return is_signed && a < 0 ? (int64_t) (u * v) : a;
    if (strcmp(op, "Min") == 0)
        return less ? a : b;
    if (strcmp(op, "Max") == 0)
        return less ? b : a;
    if (!is_signed)
        return (int64_t) (u / v);
    return b == -1 ? (int64_t) (0 - u) : a / b;
}

/* -1, 0, 1, or 2 where one is NaN. */
static int order_of(mls_dtype dtype, const void *a, int64_t i, const void *b, int64_t j)
{
    if (op_is_float(dtype)) {
        const double u = op_float(dtype, a, i), v = op_float(dtype, b, j);
        return isnan(u) || isnan(v) ? 2 : u < v ? -1 : u > v;
    }
    const int64_t u = op_integer(dtype, a, i), v = op_integer(dtype, b, j);
    if (dtype == MLS_UINT64)
        return (uint64_t) u < (uint64_t) v ? -1 : (uint64_t) u > (uint64_t) v;
    return u < v ? -1 : u > v;
}

static bool reference_compare(const char *op, int order)
{
    if (strcmp(op, "Equal") == 0)
        return order == 0;
    if (strcmp(op, "Less") == 0)
        return order == -1;
    if (strcmp(op, "LessOrEqual") == 0)
        return order == -1 || order == 0;
    if (strcmp(op, "Greater") == 0)
        return order == 1;
    return order == 1 || order == 0;
}

static bool reference_logic(const char *op, bool a, bool b)
{
    if (strcmp(op, "And") == 0)
        return a && b;
    return strcmp(op, "Or") == 0 ? a || b : a != b;
}

/* --- every op, dtype and shape ---------------------------------------------------------------- */

static void reference_element(const char *op, mls_dtype dtype, mls_dtype result, void *y, int64_t k,
                              const void *a, int64_t i, const void *b, int64_t j)
{
    if (result == MLS_BOOL && dtype == MLS_BOOL && strcmp(op, "Equal") != 0)
        ((uint8_t *) y)[k] =
            reference_logic(op, ((const uint8_t *) a)[i], ((const uint8_t *) b)[j]);
    else if (result == MLS_BOOL)
        ((uint8_t *) y)[k] = reference_compare(op, order_of(dtype, a, i, b, j));
    else if (dtype == MLS_FLOAT32)
        op_float_set(dtype, y, k,
                     reference_float32(op, ((const float *) a)[i], ((const float *) b)[j]));
    else if (op_is_float(dtype))
        op_float_set(dtype, y, k,
                     reference_float(op, op_float(dtype, a, i), op_float(dtype, b, j)));
    else
        op_integer_set(dtype, y, k,
                       reference_integer(op, op_is_signed(dtype), op_integer(dtype, a, i),
                                         op_integer(dtype, b, j)));
}

static void no_zeros(mls_dtype dtype, void *data, int64_t count)
{
    for (int64_t i = 0; !op_is_float(dtype) && i < count; i++)
        if (op_integer(dtype, data, i) == 0)
            op_integer_set(dtype, data, i, 5);
}

static void check_shapes(const char *op, mls_dtype dtype, mls_dtype result, const shape *a,
                         const shape *b, const shape *y)
{
    const size_t size = mls_dtype_size(dtype);
    void *p = malloc((size_t) count_of(a) * size + 1);
    void *q = malloc((size_t) count_of(b) * size + 1);
    void *expected = malloc((size_t) count_of(y) * mls_dtype_size(result) + 1);
    op_fill(dtype, p, count_of(a), 1);
    op_fill(dtype, q, count_of(b), 2);
    if (strcmp(op, "Div") == 0)
        no_zeros(dtype, q, count_of(b));
    for (int64_t k = 0; k < count_of(y); k++)
        reference_element(op, dtype, result, expected, k, p,
                          op_broadcast_index(k, y->rank, y->dims, a->rank, a->dims), q,
                          op_broadcast_index(k, y->rank, y->dims, b->rank, b->dims));
    op_test *test = op_test_create("", op);
    op_test_input(test, dtype, a->rank, a->dims, p);
    op_test_input(test, dtype, b->rank, b->dims, q);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, result, y->rank, y->dims, expected);
    op_test_free(test);
    free(p);
    free(q);
    free(expected);
}

static void check_op(const char *op, mls_dtype dtype, mls_dtype result)
{
    for (size_t i = 0; i < COUNT(shape_cases); i++) {
        const struct shape_case *c = &shape_cases[i];
        check_shapes(op, dtype, result, &c->a, &c->b, &c->y);
        if (strcmp(op, "PRelu") != 0) /* whose slope alone broadcasts */
            check_shapes(op, dtype, result, &c->b, &c->a, &c->y);
    }
}

static const char *const arithmetic[] = {"Add", "Sub", "Mul", "Div", "Min", "Max"};
static const char *const comparisons[] = {"Equal", "Less", "LessOrEqual", "Greater",
                                          "GreaterOrEqual"};

START_TEST(arithmetic_of_floats)
{
    for (size_t d = 0; d < COUNT(floats); d++)
        check_op(arithmetic[_i], floats[d], floats[d]);
}
END_TEST

START_TEST(arithmetic_of_integers)
{
    for (size_t d = 0; d < COUNT(integers); d++)
        check_op(arithmetic[_i], integers[d], integers[d]);
}
END_TEST

START_TEST(prelu)
{
    static const mls_dtype wide[] = {MLS_INT32, MLS_INT64, MLS_UINT32, MLS_UINT64};
    for (size_t i = 0; i < COUNT(shape_cases); i++) {
        const struct shape_case *c = &shape_cases[i];
        if (c->a.rank != c->y.rank || count_of(&c->a) != count_of(&c->y))
            continue;
        for (size_t d = 0; d < 4; d++) {
            check_shapes("PRelu", floats[d], floats[d], &c->a, &c->b, &c->y);
            check_shapes("PRelu", wide[d], wide[d], &c->a, &c->b, &c->y);
        }
    }
}
END_TEST

START_TEST(order_of_numbers)
{
    for (size_t d = 0; d < COUNT(floats); d++)
        check_op(comparisons[_i], floats[d], MLS_BOOL);
    for (size_t d = 0; d < COUNT(integers); d++)
        check_op(comparisons[_i], integers[d], MLS_BOOL);
}
END_TEST

START_TEST(logic)
{
    static const char *const ops[] = {"And", "Or", "Xor", "Equal"};
    for (size_t i = 0; i < COUNT(ops); i++)
        check_op(ops[i], MLS_BOOL, MLS_BOOL);
}
END_TEST

START_TEST(equal_strings)
{
    const mls_string a[] = {OP_STRING("one"), OP_STRING(""), OP_STRING("thre"), OP_STRING("x\0y")};
    const mls_string b[] = {OP_STRING("one"), OP_STRING(""), OP_STRING("three"), OP_STRING("x\0z")};
    const uint8_t expected[] = {1, 1, 0, 0};
    op_test *test = op_test_create("", "Equal");
    op_test_input(test, MLS_STRING, OP_DIMS(2, 2), a);
    op_test_input(test, MLS_STRING, OP_DIMS(4, 2, 2),
                  ((mls_string[]){b[0], b[1], b[2], b[3], b[0], b[0], b[0], b[0], a[0], a[1], a[2],
                                  a[3], a[3], a[2], a[1], a[0]}));
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_BOOL, OP_DIMS(4, 2, 2),
                   ((uint8_t[]){1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0}));
    op_test_free(test);

    test = op_test_create("", "Equal");
    op_test_input(test, MLS_STRING, OP_DIMS(4), a);
    op_test_input(test, MLS_STRING, OP_DIMS(4), b);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_BOOL, OP_DIMS(4), expected);
    op_test_free(test);
}
END_TEST

/* Enough elements that three threads share them, and runs are cut in their middle. */
START_TEST(threads_share_large_outputs)
{
    const shape shapes[] = {{2, {3, 50001}}, {2, {1, 50001}}, {2, {3, 1}}, {0, {0}}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        check_shapes("Add", MLS_FLOAT32, MLS_FLOAT32, &shapes[0], &shapes[i], &shapes[0]);
        check_shapes("Mul", MLS_INT16, MLS_INT16, &shapes[i], &shapes[0], &shapes[0]);
        check_shapes("Less", MLS_FLOAT16, MLS_BOOL, &shapes[i], &shapes[0], &shapes[0]);
    }
    const shape rows = {2, {50001, 3}}, row = {1, {3}};
    check_shapes("Sub", MLS_FLOAT32, MLS_FLOAT32, &rows, &row, &rows);
}
END_TEST

START_TEST(short_rows_with_one_that_repeats)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT16, MLS_FLOAT32, MLS_FLOAT64, MLS_INT64, MLS_UINT8};
    for (int64_t width = 1; width < 40; width += 6)
        for (size_t d = 0; d < COUNT(dtypes); d++) {
            const shape rows = {2, {1111, width}}, row = {1, {width}};
            check_shapes("Sub", dtypes[d], dtypes[d], &rows, &row, &rows);
            check_shapes("Sub", dtypes[d], dtypes[d], &row, &rows, &rows);
            check_shapes("Less", dtypes[d], MLS_BOOL, &rows, &row, &rows);
            const shape blocks = {3, {3, 555, width}}, points = {3, {3, 1, width}};
            check_shapes("Sub", dtypes[d], dtypes[d], &blocks, &points, &blocks);
            check_shapes("Less", dtypes[d], MLS_BOOL, &points, &blocks, &blocks);
        }
    /* In the middle of a period threads take turns. */
    const shape blocks = {3, {2, 5001, 16}}, points = {3, {2, 1, 16}};
    check_shapes("Sub", MLS_FLOAT32, MLS_FLOAT32, &points, &blocks, &blocks);
}
END_TEST

START_TEST(follows_smaller_dims)
{
    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20, 30};
    op_test *test = op_test_create("", "Add");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), a);
    op_test_planned(test, OP_DIMS(64, 3), NULL);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 3), b);
    op_test_planned(test, OP_DIMS(64, 3), NULL);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(2, 3), ((float[]){11, 22, 33, 14, 25, 36}));
    op_test_free(test);
}
END_TEST

static op_test *int32_test(const char *op, int rank, const int64_t *dims, const int32_t *a,
                           const int32_t *b)
{
    op_test *test = op_test_create("", op);
    op_test_input(test, MLS_INT32, rank, dims, a);
    op_test_input(test, MLS_INT32, rank, dims, b);
    return test;
}

START_TEST(division_by_zero_is_an_error)
{
    op_test *test =
        int32_test("Div", OP_DIMS(3), (int32_t[]){1, 2, INT32_MIN}, (int32_t[]){1, 0, 2});
    ck_assert_fails(op_test_run(test), MLS_ERANGE, "node 'tested' (Div): an integer is divided");
    op_test_free(test);
    test = int32_test("Div", OP_DIMS(2), (int32_t[]){INT32_MIN, -7}, (int32_t[]){-1, 2});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(2), ((int32_t[]){INT32_MIN, -3}));
    op_test_free(test);
}
END_TEST

static void check_refused(const char *op, mls_dtype a, mls_dtype b, mls_status status,
                          const char *words)
{
    static const uint64_t zeros[4];
    op_test *test = op_test_create("", op);
    op_test_input(test, a, OP_DIMS(2), zeros);
    op_test_input(test, b, OP_DIMS(2), zeros);
    ck_assert_fails(op_test_infer(test), status, words);
    op_test_free(test);
}

START_TEST(dtypes_are_checked)
{
    check_refused("Add", MLS_FLOAT32, MLS_FLOAT64, MLS_EDTYPE, "input 0 is float32 and input 1");
    check_refused("Add", MLS_BOOL, MLS_BOOL, MLS_EDTYPE, "input 0 is bool, expected a number");
    check_refused("Less", MLS_STRING, MLS_STRING, MLS_EDTYPE, "input 0 is string");
    check_refused("And", MLS_INT8, MLS_INT8, MLS_EDTYPE, "expected bool");
    check_refused("PRelu", MLS_INT8, MLS_INT8, MLS_EDTYPE, "input 0 is int8");
    check_refused("Add", MLS_FLOAT8E5M2, MLS_FLOAT8E5M2, MLS_EDTYPE, "input 0 is float8e5m2");
}
END_TEST

static void check_shapes_refused(const char *op, const shape *a, const shape *b, const char *words)
{
    static const float zeros[16];
    op_test *test = op_test_create("", op);
    op_test_input(test, MLS_FLOAT32, a->rank, a->dims, zeros);
    op_test_input(test, MLS_FLOAT32, b->rank, b->dims, zeros);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, words);
    op_test_free(test);
}

START_TEST(shapes_are_checked)
{
    const shape two = {1, {2}}, three = {1, {3}}, one = {1, {1}}, two_by_two = {2, {2, 2}};
    check_shapes_refused("Add", &two, &three, "[3] does not broadcast with [2]");
    check_shapes_refused("PRelu", &one, &two, "a slope of shape [2] does not broadcast to [1]");
    check_shapes_refused("PRelu", &two, &two_by_two, "does not broadcast to [2]");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_binary");
    TCase *tests = tcase_create("binary");
    tcase_add_loop_test(tests, arithmetic_of_floats, 0, 4);
    tcase_add_loop_test(tests, arithmetic_of_integers, 0, 4);
    tcase_add_test(tests, prelu);
    tcase_add_loop_test(tests, order_of_numbers, 0, COUNT(comparisons));
    tcase_add_test(tests, logic);
    tcase_add_test(tests, equal_strings);
    tcase_add_test(tests, threads_share_large_outputs);
    tcase_add_test(tests, short_rows_with_one_that_repeats);
    tcase_add_test(tests, follows_smaller_dims);
    tcase_add_test(tests, division_by_zero_is_an_error);
    tcase_add_test(tests, dtypes_are_checked);
    tcase_add_test(tests, shapes_are_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
