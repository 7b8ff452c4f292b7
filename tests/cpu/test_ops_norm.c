/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations along the last axes, against their definitions worked out in double, one element
 * at a time. */
#include "cpu/elements.h"
#include "cpu/norm_test.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include "op/op.h"

#include <stdlib.h>
#include <string.h>

/* --- along the last axes --------------------------------------------------------------------- */

static const struct rows_case {
    int rank;
    int64_t dims[4];
    int64_t axis;
    int scale_rank;
    int64_t scale_dims[4];
} rows_cases[] = {
    {2, {3, 7}, -1, 1, {7}},
    {3, {2, 3, 130}, 2, 1, {130}},
    {3, {2, 3, 5}, 1, 2, {3, 5}},
    {3, {2, 3, 5}, 0, 3, {2, 3, 5}},
    {1, {64}, 0, 1, {64}},
    {3, {2, 3, 67}, -1, 0, {0}},
    {3, {2, 3, 5}, 1, 1, {5}},
    {3, {2, 3, 5}, -1, 3, {2, 1, 5}},
    {4, {2, 3, 4, 6}, -1, 4, {1, 3, 1, 1}},
    {4, {2, 3, 4, 6}, 3, 3, {3, 4, 6}},
    {2, {1, 17}, -1, 2, {1, 17}},
    {2, {130, 200}, 1, 1, {200}},
};

typedef struct rows_result {
    double *y, *mean, *factor;
} rows_result;

static rows_result expected_rows(const op_numbers *x, const op_numbers *scale,
                                 const op_numbers *bias, int axis, bool is_centred)
{
    const int64_t n = count_of(x->rank - axis, x->dims + axis), rows = x->count / n;
    rows_result r = {calloc((size_t) x->count, sizeof(double)),
                     calloc((size_t) rows, sizeof(double)), calloc((size_t) rows, sizeof(double))};
    for (int64_t i = 0; i < rows; i++)
        norm_moments(x->values + i * n, n, is_centred, EPSILON, &r.mean[i], &r.factor[i]);
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t s = op_broadcast_index(i, x->rank, x->dims, scale->rank, scale->dims);
        r.y[i] = (x->values[i] - r.mean[i / n]) * r.factor[i / n] * scale->values[s];
        r.y[i] += bias ? bias->values[s] : 0;
    }
    return r;
}

static void free_rows(rows_result *r)
{
    free(r->y);
    free(r->mean);
    free(r->factor);
}

static void check_rows(const struct rows_case *c, const char *type, mls_dtype dtype,
                       mls_dtype scale_dtype, bool has_bias, size_t outputs)
{
    op_numbers x = norm_numbers(dtype, c->rank, c->dims, -1, 1);
    op_numbers scale = norm_numbers(scale_dtype, c->scale_rank, c->scale_dims, -2, 2);
    op_numbers bias = norm_numbers(scale_dtype, c->scale_rank, c->scale_dims, -3, 3);
    const int axis = (int) (c->axis < 0 ? c->axis + c->rank : c->axis);
    const bool is_centred = strcmp(type, "LayerNormalization") == 0;
    rows_result r = expected_rows(&x, &scale, has_bias ? &bias : NULL, axis, is_centred);
    op_test *test = op_test_create("", type);
    op_test_outputs(test, outputs);
    op_test_int(test, "axis", c->axis);
    op_test_float(test, "epsilon", (float) EPSILON);
    op_numbers_give(test, &x);
    op_numbers_give(test, &scale);
    if (has_bias)
        op_numbers_give(test, &bias);
    ck_assert_ok(op_test_run(test));
    int64_t dims[4];
    for (int i = 0; i < c->rank; i++)
        dims[i] = i < axis ? c->dims[i] : 1;
    norm_expect(test, 0, scale_dtype, c->rank, c->dims, r.y, norm_tolerance(scale_dtype));
    if (outputs > 1)
        norm_expect(test, 1, MLS_FLOAT32, c->rank, dims, is_centred ? r.mean : r.factor, 1e-5);
    if (outputs > 2)
        norm_expect(test, 2, MLS_FLOAT32, c->rank, dims, r.factor, 1e-5);
    op_test_free(test);
    free_rows(&r);
    op_numbers_free(&x);
    op_numbers_free(&scale);
    op_numbers_free(&bias);
}

START_TEST(layer_norm)
{
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_rows(&rows_cases[_i], "LayerNormalization", dtypes[d], dtypes[d], true, 3);
        check_rows(&rows_cases[_i], "LayerNormalization", dtypes[d], dtypes[d], false, 1);
    }
}
END_TEST

START_TEST(rms_norm)
{
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_rows(&rows_cases[_i], "RMSNormalization", dtypes[d], dtypes[d], false, 1);
        check_rows(&rows_cases[_i], "SimplifiedLayerNormalization", dtypes[d], dtypes[d], false, 2);
    }
    check_rows(&rows_cases[_i], "RMSNormalization", MLS_FLOAT16, MLS_FLOAT32, false, 1);
    check_rows(&rows_cases[_i], "RMSNormalization", MLS_FLOAT32, MLS_FLOAT16, false, 1);
}
END_TEST

START_TEST(the_stash_type_is_that_of_statistics)
{
    const float x[] = {1, 2, 3, 6}, scale[] = {1, 1, 1, 1};
    op_test *test = op_test_create("", "LayerNormalization");
    op_test_outputs(test, 2);
    op_test_int(test, "stash_type", MLS_BFLOAT16);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 4), x);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(4), scale);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 1, MLS_BFLOAT16, OP_DIMS(1, 1), (uint16_t[]){0x4040});
    op_test_free(test);
}
END_TEST

/* The result of an op, as the next one's input. free() it. */
static float *piece(const char *type, const op_numbers *shape, const float *a, bool a_is_row,
                    const float *b, bool b_is_row)
{
    const int64_t row[] = {shape->dims[0], 1};
    op_test *test = op_test_create("", type);
    op_test_input(test, MLS_FLOAT32, 2, a_is_row ? row : shape->dims, a);
    if (b && strcmp(type, "ReduceMean") != 0)
        op_test_input(test, MLS_FLOAT32, 2, b_is_row ? row : shape->dims, b);
    else if (strcmp(type, "ReduceMean") == 0)
        op_test_constant(test, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    ck_assert_ok(op_test_run(test));
    const size_t bytes = mls__arg_bytes(op_test_output(test, 0));
    float *result = malloc(bytes);
    memcpy(result, op_test_data(test, 0), bytes);
    op_test_free(test);
    return result;
}

static void keep(float **slot, float *next)
{
    free(*slot);
    *slot = next;
}

/* Of rows of 300: the bytes that ONNX's own function gives, op by op. */
START_TEST(layer_norm_has_the_bytes_of_its_pieces)
{
    const int64_t dims[] = {5, 300}, one[] = {5, 1};
    op_numbers x = norm_numbers(MLS_FLOAT32, 2, dims, -1, 7),
               scale = norm_numbers(MLS_FLOAT32, 2, dims, -2, 8);
    op_numbers bias = norm_numbers(MLS_FLOAT32, 2, dims, -2, 9),
               epsilon = norm_numbers(MLS_FLOAT32, 2, one, 0, 1);
    for (int i = 0; i < 5; i++)
        ((float *) epsilon.data)[i] = 1e-5f;
    float *mean = piece("ReduceMean", &x, x.data, false, NULL, false);
    float *deviation = piece("Sub", &x, x.data, false, mean, true);
    float *y = piece("Mul", &x, deviation, false, deviation, false);
    keep(&y, piece("ReduceMean", &x, y, false, NULL, false));
    keep(&y, piece("Add", &x, y, true, epsilon.data, true));
    keep(&y, piece("Sqrt", &x, y, true, NULL, true));
    keep(&y, piece("Reciprocal", &x, y, true, NULL, true));
    keep(&y, piece("Mul", &x, deviation, false, y, true));
    keep(&y, piece("Mul", &x, y, false, scale.data, false));
    keep(&y, piece("Add", &x, y, false, bias.data, false));
    op_test *test = op_test_create("", "LayerNormalization");
    op_numbers_give(test, &x);
    op_numbers_give(test, &scale);
    op_numbers_give(test, &bias);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, 2, dims, y);
    op_test_free(test);
    free(mean);
    free(deviation);
    free(y);
    op_numbers_free(&x);
    op_numbers_free(&scale);
    op_numbers_free(&bias);
    op_numbers_free(&epsilon);
}
END_TEST

START_TEST(rows_follow_smaller_dims)
{
    const int64_t planned[] = {4, 9}, dims[] = {3, 5};
    op_numbers x = norm_numbers(MLS_FLOAT16, 2, dims, -1, 1),
               scale = norm_numbers(MLS_FLOAT16, 1, dims + 1, -2, 2);
    rows_result r = expected_rows(&x, &scale, NULL, 1, true);
    op_test *test = op_test_create("", "LayerNormalization");
    op_test_float(test, "epsilon", (float) EPSILON);
    op_numbers_give(test, &x);
    op_test_planned(test, 2, planned, NULL);
    op_numbers_give(test, &scale);
    op_test_planned(test, 1, planned + 1, NULL);
    ck_assert_ok(op_test_run(test));
    norm_expect(test, 0, MLS_FLOAT16, 2, dims, r.y, 2e-3);
    op_test_free(test);
    free_rows(&r);
    op_numbers_free(&x);
    op_numbers_free(&scale);
}
END_TEST

static void check_skip(mls_dtype dtype, bool is_simple, bool has_all, int skip_rank)
{
    const int64_t dims[] = {2, 3, 65}, row[] = {65}, ones[] = {2, 3, 1};
    op_numbers x = norm_numbers(dtype, 3, dims, -1, 1), scale = norm_numbers(dtype, 1, row, -2, 2);
    op_numbers skip = norm_numbers(dtype, skip_rank, dims + 3 - skip_rank, 0, 3);
    op_numbers bias = norm_numbers(dtype, 1, row, -3, 4),
               skip_bias = norm_numbers(dtype, 1, row, -1, 5);
    op_test *test = op_test_create("com.microsoft", is_simple ? "SkipSimplifiedLayerNormalization"
                                                              : "SkipLayerNormalization");
    op_test_float(test, "epsilon", (float) EPSILON);
    op_test_outputs(test, has_all ? 4 : 1);
    op_numbers_give(test, &x);
    op_numbers_give(test, &skip);
    op_numbers_give(test, &scale);
    if (has_all && !is_simple)
        op_numbers_give(test, &bias);
    if (has_all)
        op_numbers_give(test, &skip_bias);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < x.count; i++)
        x.values[i] += skip.values[op_broadcast_index(i, 3, dims, skip.rank, skip.dims)] +
                       (has_all ? skip_bias.values[i % 65] : 0);
    rows_result r = expected_rows(&x, &scale, has_all && !is_simple ? &bias : NULL, 2, !is_simple);
    norm_expect(test, 0, dtype, 3, dims, r.y, norm_tolerance(dtype));
    if (has_all) {
        norm_expect(test, 1, MLS_FLOAT32, 3, ones, r.mean, 1e-5);
        norm_expect(test, 2, MLS_FLOAT32, 3, ones, r.factor, 1e-5);
        norm_expect(test, 3, dtype, 3, dims, x.values, norm_tolerance(dtype));
    }
    op_test_free(test);
    free_rows(&r);
    op_numbers_free(&x);
    op_numbers_free(&skip);
    op_numbers_free(&scale);
    op_numbers_free(&bias);
    op_numbers_free(&skip_bias);
}

START_TEST(skip_norm)
{
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (int way = 0; way < 4; way++)
            check_skip(dtypes[d], way & 1, way & 2, 2 + _i);
}
END_TEST

/* --- nothing, and what is wrong -------------------------------------------------------------- */

START_TEST(nothing_is_normalized)
{
    static const char *const types[] = {"LayerNormalization", "InstanceNormalization",
                                        "LpNormalization", "MeanVarianceNormalization"};
    for (size_t i = 0; i < COUNT(types); i++) {
        op_test *test = op_test_create("", types[i]);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(0, 3, 2, 3), NULL);
        for (int k = 0; k < 2 && i < 2; k++)
            op_test_input(test, MLS_FLOAT32, OP_DIMS(3), (float[]){1, 2, 3});
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(0, 3, 2, 3), NULL);
        op_test_free(test);
    }
}
END_TEST

static const float numbers[24];

/* An op of x [2,3,4] and inputs of the given lengths. */
static op_test *wrong(const char *type, size_t count, const int64_t *lengths)
{
    op_test *test = op_test_create("", type);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3, 4), numbers);
    for (size_t i = 0; i < count; i++)
        op_test_input(test, MLS_FLOAT32, 1, &lengths[i], numbers);
    return test;
}

START_TEST(errors)
{
    op_test *test = wrong("LayerNormalization", 1, (int64_t[]){3});
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "does not broadcast");
    op_test_free(test);
    test = wrong("LayerNormalization", 1, (int64_t[]){4});
    op_test_int(test, "stash_type", MLS_INT32);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "stash_type is 6");
    op_test_free(test);
    test = wrong("RMSNormalization", 1, (int64_t[]){4});
    op_test_int(test, "axis", 3);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "axis 3");
    op_test_free(test);
    test = wrong("BatchNormalization", 4, (int64_t[]){3, 3, 4, 3});
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "input 3 has shape [4]");
    op_test_free(test);
    test = wrong("BatchNormalization", 4, (int64_t[]){3, 3, 3, 3});
    op_test_int(test, "training_mode", 1);
    ck_assert_fails(op_test_infer(test), MLS_EUNSUPPORTED, "training");
    op_test_free(test);
    test = wrong("GroupNormalization", 2, (int64_t[]){3, 3});
    op_test_int(test, "num_groups", 2);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "num_groups is 2");
    op_test_free(test);
    test = wrong("LpNormalization", 0, NULL);
    op_test_int(test, "p", 3);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "p is 3");
    op_test_free(test);
    test = wrong("LRN", 0, NULL);
    op_test_int(test, "size", 0);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "size is 0");
    op_test_free(test);
    test = wrong("MeanVarianceNormalization", 0, NULL);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "axis 3");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_norm");
    TCase *tests = tcase_create("norms");
    tcase_add_loop_test(tests, layer_norm, 0, COUNT(rows_cases));
    tcase_add_loop_test(tests, rms_norm, 0, COUNT(rows_cases));
    tcase_add_test(tests, the_stash_type_is_that_of_statistics);
    tcase_add_test(tests, layer_norm_has_the_bytes_of_its_pieces);
    tcase_add_test(tests, rows_follow_smaller_dims);
    tcase_add_loop_test(tests, skip_norm, 0, 2);
    add_norm_channels(tests);
    tcase_add_test(tests, nothing_is_normalized);
    tcase_add_test(tests, errors);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
