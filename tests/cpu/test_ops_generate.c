/* SPDX-License-Identifier: Apache-2.0 */
/* Shape, Size, Constant, ConstantOfShape and Range. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(table) (int) (sizeof(table) / sizeof((table)[0]))
#define NONE        INT64_MIN

/* --- Shape, Size ----------------------------------------------------------------------------- */

static const struct {
    int rank;
    int64_t dims[MLS_MAX_RANK], start, end; /* NONE: the attribute is left out */
    int64_t count, expected[MLS_MAX_RANK];
} shapes[] = {
    {3, {2, 3, 4}, NONE, NONE, 3, {2, 3, 4}},
    {3, {2, 3, 4}, 1, NONE, 2, {3, 4}},
    {3, {2, 3, 4}, NONE, 2, 2, {2, 3}},
    {3, {2, 3, 4}, -1, NONE, 1, {4}},
    {3, {2, 3, 4}, -2, -1, 1, {3}},
    {3, {2, 3, 4}, 2, 1, 0, {0}},
    {3, {2, 3, 4}, -10, 10, 3, {2, 3, 4}},
    {3, {2, 3, 4}, 3, NONE, 0, {0}},
    {3, {2, 3, 4}, INT64_MIN + 1, INT64_MAX, 3, {2, 3, 4}},
    {3, {2, 3, 4}, INT64_MAX, INT64_MIN + 1, 0, {0}},
    {0, {0}, NONE, NONE, 0, {0}},
    {2, {0, 7}, NONE, NONE, 2, {0, 7}},
    {8, {1, 2, 1, 2, 1, 2, 1, 2}, 1, -1, 6, {2, 1, 2, 1, 2, 1}},
};

START_TEST(shape_gives_dims)
{
    void *data = make_elements(MLS_UINT8, count_of(shapes[_i].rank, shapes[_i].dims));
    op_test *t = op_test_create("", "Shape");
    if (shapes[_i].start != NONE)
        op_test_int(t, "start", shapes[_i].start);
    if (shapes[_i].end != NONE)
        op_test_int(t, "end", shapes[_i].end);
    op_test_input(t, MLS_UINT8, shapes[_i].rank, shapes[_i].dims, data);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT64, 1, &shapes[_i].count, shapes[_i].expected);
    op_test_free(t);
    free(data);
}
END_TEST

START_TEST(size_counts_elements)
{
    void *data = make_elements(MLS_STRING, count_of(shapes[_i].rank, shapes[_i].dims));
    const int64_t count = count_of(shapes[_i].rank, shapes[_i].dims);
    op_test *t = op_test_create("", "Size");
    op_test_input(t, MLS_STRING, shapes[_i].rank, shapes[_i].dims, data);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT64, OP_SCALAR, &count);
    op_test_free(t);
    free(data);
}
END_TEST

START_TEST(shape_and_size_follow_smaller_dims)
{
    op_test *t = op_test_create("", "Shape");
    op_test_input(t, MLS_UINT8, OP_DIMS(1, 2), (uint8_t[]){0, 0});
    op_test_planned(t, OP_DIMS(5, 2), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT64, OP_DIMS(2), (int64_t[]){1, 2});
    op_test_free(t);
    t = op_test_create("", "Size");
    op_test_input(t, MLS_UINT8, OP_DIMS(1, 2), (uint8_t[]){0, 0});
    op_test_planned(t, OP_DIMS(5, 2), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT64, OP_SCALAR, (int64_t[]){2});
    op_test_free(t);
}
END_TEST

/* --- Constant -------------------------------------------------------------------------------- */

static void expect_constant(op_test *t, mls_dtype dtype, int rank, const int64_t *dims)
{
    ck_assert_ok(op_test_infer(t));
    const mls_arg *output = op_test_output(t, 0);
    ck_assert_int_eq(output->dtype, dtype);
    ck_assert_int_eq(output->rank, rank);
    for (int i = 0; i < rank; i++)
        ck_assert_int_eq(output->dims[i], dims[i]);
    op_test_free(t);
}

/* Models' constants never reach a backend: their schema is all there is. */
START_TEST(constant_takes_all_forms)
{
    op_test *t = op_test_create("", "Constant");
    op_test_tensor(t, "value", MLS_INT8, OP_DIMS(2, 1), (int8_t[]){1, 2});
    expect_constant(t, MLS_INT8, OP_DIMS(2, 1));
    t = op_test_create("", "Constant");
    op_test_float(t, "value_float", 1.0f);
    expect_constant(t, MLS_FLOAT32, OP_SCALAR);
    t = op_test_create("", "Constant");
    op_test_floats(t, "value_floats", 3, (float[]){1, 2, 3});
    expect_constant(t, MLS_FLOAT32, OP_DIMS(3));
    t = op_test_create("", "Constant");
    op_test_int(t, "value_int", 1);
    expect_constant(t, MLS_INT64, OP_SCALAR);
    t = op_test_create("", "Constant");
    op_test_ints(t, "value_ints", 2, (int64_t[]){1, 2});
    expect_constant(t, MLS_INT64, OP_DIMS(2));
    t = op_test_create("", "Constant");
    op_test_string(t, "value_string", "text");
    expect_constant(t, MLS_STRING, OP_SCALAR);
    t = op_test_create("", "Constant");
    op_test_strings(t, "value_strings", 0, NULL);
    expect_constant(t, MLS_STRING, OP_DIMS(0));
}
END_TEST

START_TEST(constant_takes_one_form)
{
    op_test *t = op_test_create("", "Constant");
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, "there is no attribute value");
    op_test_int(t, "value_float", 1);
    ck_assert_fails(op_test_infer(t), MLS_EFORMAT, "'value_float' is of type int");
    op_test_free(t);
    t = op_test_create("", "Constant");
    op_test_int(t, "value_int", 1);
    op_test_float(t, "value_float", 1);
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, "both value_float and value_int");
    op_test_tensor(t, "sparse_value", MLS_INT8, OP_DIMS(1), (int8_t[]){1});
    ck_assert_fails(op_test_infer(t), MLS_EUNSUPPORTED, "sparse tensors are not provided");
    op_test_free(t);
}
END_TEST

/* --- ConstantOfShape ------------------------------------------------------------------------- */

static void check_constant(mls_dtype dtype, int64_t rank, const int64_t *dims)
{
    const int64_t count = count_of((int) rank, dims);
    int64_t *from = calloc((size_t) count + 1, sizeof *from);
    void *value = make_elements(dtype, 1);
    void *expected = pick_elements(dtype, value, from, count, NULL);
    op_test *t = op_test_create("", "ConstantOfShape");
    op_test_tensor(t, "value", dtype, OP_DIMS(1), value);
    op_test_constant(t, MLS_INT64, 1, &rank, dims);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, (int) rank, dims, expected);
    op_test_free(t);
    free(expected);
    free(value);
    free(from);
}

START_TEST(constant_of_shape_fills_every_dtype)
{
    mls_dtype dtype = MLS_FLOAT32;
    do {
        if (dtype != MLS_STRING) {
            check_constant(dtype, 2, (int64_t[]){3, 5});
            check_constant(dtype, 2, (int64_t[]){3, 6});
            check_constant(dtype, 2, (int64_t[]){3, 0});
            check_constant(dtype, 0, NULL);
            check_constant(dtype, 8, (int64_t[]){2, 1, 2, 1, 2, 1, 2, 3});
        }
        dtype = next_dtype(dtype);
    } while (dtype != MLS_FLOAT32);
    check_constant(MLS_FLOAT32, 2, (int64_t[]){300, 333});
}
END_TEST

START_TEST(constant_of_shape_is_zero_by_default)
{
    op_test *t = op_test_create("", "ConstantOfShape");
    op_test_known(t, MLS_INT64, OP_DIMS(2), (int64_t[]){2, 1});
    op_test_planned(t, OP_DIMS(2), (int64_t[]){5, 1});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(2, 1), (float[]){0, 0});
    op_test_free(t);
}
END_TEST

START_TEST(constant_of_shape_refuses_what_does_not_fit)
{
    static const struct {
        int64_t rank, dims[9];
        mls_status status;
        const char *words;
    } cases[] = {
        {2, {3, -1}, MLS_EINVAL, "entry 1 of the shape is -1"},
        {1, {INT64_MIN}, MLS_EINVAL, "entry 0 of the shape is -9223372036854775808"},
        {2, {INT32_MAX, INT64_MAX}, MLS_ESHAPE, "more than memory can hold"},
        {9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, MLS_ESHAPE, "input 0 has 9 elements"},
    };
    op_test *t = op_test_create("", "ConstantOfShape");
    op_test_constant(t, MLS_INT64, 1, &cases[_i].rank, cases[_i].dims);
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(constant_of_shape_checks_its_input_and_value)
{
    op_test *t = op_test_create("", "ConstantOfShape");
    op_test_input(t, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    ck_assert_fails(op_test_infer(t), MLS_ESTATE, "input 0 decides a shape");
    op_test_free(t);
    t = op_test_create("", "ConstantOfShape");
    op_test_constant(t, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    op_test_tensor(t, "value", MLS_FLOAT32, OP_DIMS(2), (float[]){1, 2});
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, "the attribute value has 2 elements");
    op_test_free(t);
    t = op_test_create("", "ConstantOfShape");
    op_test_constant(t, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    op_test_tensor(t, "value", MLS_STRING, OP_DIMS(1), (mls_string[]){OP_STRING("x")});
    ck_assert_fails(op_test_infer(t), MLS_EDTYPE, "the attribute value is string");
    op_test_free(t);
}
END_TEST

/* --- Range ----------------------------------------------------------------------------------- */

static op_test *range_test(mls_dtype dtype, const void *start, const void *limit, const void *delta)
{
    op_test *t = op_test_create("", "Range");
    op_test_known(t, dtype, OP_SCALAR, start);
    op_test_known(t, dtype, OP_SCALAR, limit);
    op_test_known(t, dtype, OP_SCALAR, delta);
    return t;
}

#define CHECK_INTS(type, dtype, start, limit, delta, ...)                                          \
    do {                                                                                           \
        const type##_t expected[] = {0, __VA_ARGS__};                                              \
        const int64_t n = (int64_t) (sizeof expected / sizeof expected[0]) - 1;                    \
        op_test *t =                                                                               \
            range_test(dtype, (type##_t[]){start}, (type##_t[]){limit}, (type##_t[]){delta});      \
        ck_assert_ok(op_test_run(t));                                                              \
        op_test_expect(t, 0, dtype, 1, &n, expected + 1);                                          \
        op_test_free(t);                                                                           \
    } while (0)

START_TEST(range_of_integers)
{
    CHECK_INTS(int32, MLS_INT32, 3, 9, 3, 3, 6);
    CHECK_INTS(int32, MLS_INT32, 10, 4, -2, 10, 8, 6);
    CHECK_INTS(int32, MLS_INT32, INT32_MIN, INT32_MAX, INT32_MAX, INT32_MIN, -1, INT32_MAX - 1);
    CHECK_INTS(int16, MLS_INT16, -1, 3, 2, -1, 1);
    CHECK_INTS(int16, MLS_INT16, INT16_MAX, INT16_MIN, INT16_MIN, INT16_MAX, -1);
    CHECK_INTS(int64, MLS_INT64, 0, 1, INT64_MAX, 0);
    CHECK_INTS(int64, MLS_INT64, INT64_MIN, INT64_MAX, INT64_MAX, INT64_MIN, -1, INT64_MAX - 1);
    CHECK_INTS(int64, MLS_INT64, INT64_MAX, INT64_MIN, INT64_MIN, INT64_MAX, -1);
    CHECK_INTS(int64, MLS_INT64, INT64_MAX - 3, INT64_MAX, 2, INT64_MAX - 3, INT64_MAX - 1);
}
END_TEST

START_TEST(range_of_many_integers)
{
    enum { COUNT = 1000 };
    int64_t wide[COUNT];
    int16_t narrow[COUNT];
    for (int i = 0; i < COUNT; i++) {
        wide[i] = -7 + (INT64_C(1) << 40) * i;
        narrow[i] = (int16_t) (30000 - 60 * i);
    }
    op_test *t = range_test(MLS_INT64, &wide[0], &wide[COUNT - 1], (int64_t[]){INT64_C(1) << 40});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT64, OP_DIMS(COUNT - 1), wide);
    op_test_free(t);
    t = range_test(MLS_INT16, &narrow[0], (int16_t[]){-29999}, (int16_t[]){-60});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT16, OP_DIMS(COUNT), narrow);
    op_test_free(t);
}
END_TEST

static void expect_no_elements(op_test *t, mls_dtype dtype)
{
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, OP_DIMS(0), NULL);
    op_test_free(t);
}

START_TEST(range_may_be_empty)
{
    expect_no_elements(range_test(MLS_INT64, (int64_t[]){5}, (int64_t[]){5}, (int64_t[]){1}),
                       MLS_INT64);
    expect_no_elements(range_test(MLS_INT64, (int64_t[]){5}, (int64_t[]){6}, (int64_t[]){-1}),
                       MLS_INT64);
    expect_no_elements(range_test(MLS_FLOAT32, (float[]){5}, (float[]){4}, (float[]){1}),
                       MLS_FLOAT32);
    expect_no_elements(range_test(MLS_FLOAT64, (double[]){0}, (double[]){-INFINITY}, (double[]){1}),
                       MLS_FLOAT64);
}
END_TEST

static const struct {
    double start, limit, delta;
    int64_t count;
} float_ranges[] = {
    {0, 5, 1, 5},      {0.5, 2, 0.5, 3}, {1, 5.5, 1, 5},    {10, 4, -2, 3},
    {3, 3.0625, 1, 1}, {-1, 1, 0.25, 8}, {1, 0, -0.125, 8}, {0, 1000, 0.375, 2667},
};

START_TEST(range_of_floats)
{
    const double start = float_ranges[_i].start, limit = float_ranges[_i].limit;
    const double delta = float_ranges[_i].delta;
    const int64_t count = float_ranges[_i].count;
    double *wide = malloc((size_t) count * sizeof *wide);
    float *narrow = malloc((size_t) count * sizeof *narrow);
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (float) (wide[i] = start + (double) i * delta);
    op_test *t = range_test(MLS_FLOAT64, &start, &limit, &delta);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT64, 1, &count, wide);
    op_test_free(t);
    t = range_test(MLS_FLOAT32, (float[]){(float) start}, (float[]){(float) limit},
                   (float[]){(float) delta});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, 1, &count, narrow);
    op_test_free(t);
    free(wide);
    free(narrow);
}
END_TEST

/* Sums that are not exact are rounded once: nothing piles up over the elements. */
START_TEST(range_rounds_each_element_once)
{
    enum { COUNT = 100000 };
    double *expected = malloc(COUNT * sizeof *expected);
    for (int i = 0; i < COUNT; i++)
        expected[i] = (double) (0.1L + (long double) i * 0.1L);
    op_test *t = range_test(MLS_FLOAT64, (double[]){0.1}, (double[]){10000.05}, (double[]){0.1});
    ck_assert_ok(op_test_run(t));
    op_test_expect_near(t, 0, MLS_FLOAT64, OP_DIMS(COUNT), expected, 0.0, 0x1p-51);
    op_test_free(t);
    free(expected);
}
END_TEST

START_TEST(range_of_half_floats)
{
    /* 1, 3, 0.5 and 1, 1.5, 2, 2.5 as float16 and as bfloat16 */
    op_test *t =
        range_test(MLS_FLOAT16, (uint16_t[]){0x3c00}, (uint16_t[]){0x4200}, (uint16_t[]){0x3800});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT16, OP_DIMS(4), (uint16_t[]){0x3c00, 0x3e00, 0x4000, 0x4100});
    op_test_free(t);
    t = range_test(MLS_BFLOAT16, (uint16_t[]){0x3f80}, (uint16_t[]){0x4040}, (uint16_t[]){0x3f00});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_BFLOAT16, OP_DIMS(4), (uint16_t[]){0x3f80, 0x3fc0, 0x4000, 0x4020});
    op_test_free(t);
}
END_TEST

START_TEST(range_follows_new_contents)
{
    op_test *t = op_test_create("", "Range");
    op_test_known(t, MLS_INT32, OP_SCALAR, (int32_t[]){1});
    op_test_planned(t, OP_SCALAR, (int32_t[]){0});
    op_test_known(t, MLS_INT32, OP_DIMS(1), (int32_t[]){4});
    op_test_planned(t, OP_DIMS(1), (int32_t[]){100});
    op_test_known(t, MLS_INT32, OP_SCALAR, (int32_t[]){2});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT32, OP_DIMS(2), (int32_t[]){1, 3});
    op_test_free(t);
}
END_TEST

static const struct {
    double start, limit, delta;
    const char *words;
} bad_ranges[] = {
    {0, 1, 0, "delta is 0"},
    {0, 1, -0.0, "delta is 0"},
    {0, INFINITY, 1, "from 0 to inf by 1"},
    {NAN, 1, 1, "is no count of elements"},
    {0, NAN, 1, "is no count of elements"},
    {0, 1, NAN, "is no count of elements"},
    {INFINITY, INFINITY, 1, "is no count of elements"},
    {0, 1e300, 1e-300, "is no count of elements"},
    {0, 1e16, 1, "is no count of elements"},
};

START_TEST(range_refuses_absurd_floats)
{
    op_test *t = range_test(MLS_FLOAT64, &bad_ranges[_i].start, &bad_ranges[_i].limit,
                            &bad_ranges[_i].delta);
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, bad_ranges[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(range_refuses_what_does_not_fit)
{
    op_test *t = range_test(MLS_INT64, (int64_t[]){0}, (int64_t[]){1}, (int64_t[]){0});
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, "delta is 0");
    op_test_free(t);
    t = range_test(MLS_INT64, (int64_t[]){INT64_MIN}, (int64_t[]){INT64_MAX}, (int64_t[]){1});
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, "is more elements than memory can hold");
    op_test_free(t);
    t = range_test(MLS_INT64, (int64_t[]){0}, (int64_t[]){INT64_MAX}, (int64_t[]){1});
    ck_assert_fails(op_test_infer(t), MLS_ESHAPE, "more than memory can hold");
    op_test_free(t);
    t = range_test(MLS_UINT8, (uint8_t[]){0}, (uint8_t[]){1}, (uint8_t[]){1});
    ck_assert_fails(op_test_infer(t), MLS_EDTYPE, "input 0 is uint8");
    op_test_free(t);
}
END_TEST

START_TEST(range_checks_its_inputs)
{
    op_test *t = op_test_create("", "Range");
    op_test_known(t, MLS_FLOAT32, OP_SCALAR, (float[]){0});
    op_test_input(t, MLS_FLOAT32, OP_SCALAR, (float[]){0});
    op_test_known(t, MLS_FLOAT32, OP_SCALAR, (float[]){0});
    ck_assert_fails(op_test_infer(t), MLS_ESTATE, "input 1 decides a shape");
    op_test_free(t);
    t = op_test_create("", "Range");
    op_test_known(t, MLS_FLOAT32, OP_SCALAR, (float[]){0});
    op_test_known(t, MLS_FLOAT64, OP_SCALAR, (double[]){0});
    op_test_known(t, MLS_FLOAT32, OP_SCALAR, (float[]){0});
    ck_assert_fails(op_test_infer(t), MLS_EDTYPE, "input 1 is float64, input 0 is float32");
    op_test_free(t);
    t = op_test_create("", "Range");
    op_test_known(t, MLS_FLOAT32, OP_SCALAR, (float[]){0});
    op_test_known(t, MLS_FLOAT32, OP_DIMS(2), (float[]){0, 1});
    op_test_known(t, MLS_FLOAT32, OP_SCALAR, (float[]){0});
    ck_assert_fails(op_test_infer(t), MLS_ESHAPE, "input 1 is not a scalar");
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_generate");
    TCase *tests = tcase_create("generate");
    tcase_add_loop_test(tests, shape_gives_dims, 0, ROWS(shapes));
    tcase_add_loop_test(tests, size_counts_elements, 0, ROWS(shapes));
    tcase_add_test(tests, shape_and_size_follow_smaller_dims);
    tcase_add_test(tests, constant_takes_all_forms);
    tcase_add_test(tests, constant_takes_one_form);
    tcase_add_test(tests, constant_of_shape_fills_every_dtype);
    tcase_add_test(tests, constant_of_shape_is_zero_by_default);
    tcase_add_loop_test(tests, constant_of_shape_refuses_what_does_not_fit, 0, 4);
    tcase_add_test(tests, constant_of_shape_checks_its_input_and_value);
    tcase_add_test(tests, range_of_integers);
    tcase_add_test(tests, range_of_many_integers);
    tcase_add_test(tests, range_may_be_empty);
    tcase_add_loop_test(tests, range_of_floats, 0, ROWS(float_ranges));
    tcase_add_test(tests, range_rounds_each_element_once);
    tcase_add_test(tests, range_of_half_floats);
    tcase_add_test(tests, range_follows_new_contents);
    tcase_add_loop_test(tests, range_refuses_absurd_floats, 0, ROWS(bad_ranges));
    tcase_add_test(tests, range_refuses_what_does_not_fit);
    tcase_add_test(tests, range_checks_its_inputs);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
