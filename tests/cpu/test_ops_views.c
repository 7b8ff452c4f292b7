/* SPDX-License-Identifier: Apache-2.0 */
/* Reshape, Flatten, Squeeze, Unsqueeze, Identity and Dropout: the same elements, other dims. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <stdlib.h>
#include <string.h>

#define ROWS(table) (int) (sizeof(table) / sizeof((table)[0]))
#define CASES       40

/* A shape, or the contents of an int input. */
typedef struct ints {
    int count;
    int64_t values[MLS_MAX_RANK + 1];
} ints;

static op_test *begin(const char *type, mls_dtype dtype, const ints *dims, void **ret_data)
{
    op_test *t = op_test_create("", type);
    *ret_data = make_elements(dtype, count_of(dims->count, dims->values));
    op_test_input(t, dtype, dims->count, dims->values, *ret_data);
    return t;
}

/* The op has run well if it gave these dims and the input's elements. */
static void finish(op_test *t, mls_dtype dtype, const ints *dims, void *data)
{
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, dims->count, dims->values, data);
    op_test_free(t);
    free(data);
}

static void finish_error(op_test *t, void *data, mls_status status, const char *words)
{
    ck_assert_fails(op_test_infer(t), status, words);
    op_test_free(t);
    free(data);
}

static void add_ints(op_test *t, const ints *contents)
{
    op_test_constant(t, MLS_INT64, OP_DIMS(contents->count), contents->values);
}

/* --- Reshape --------------------------------------------------------------------------------- */

static const struct {
    ints dims, shape, expected;
    bool allow_zero;
} reshapes[] = {
    {{2, {4, 6}}, {2, {6, 4}}, {2, {6, 4}}, false},
    {{2, {4, 6}}, {3, {2, -1, 3}}, {3, {2, 4, 3}}, false},
    {{3, {2, 3, 4}}, {2, {0, -1}}, {2, {2, 12}}, false},
    {{3, {2, 3, 4}}, {4, {0, 0, 2, 2}}, {4, {2, 3, 2, 2}}, false},
    {{0, {0}}, {0, {0}}, {0, {0}}, false},
    {{0, {0}}, {3, {1, -1, 1}}, {3, {1, 1, 1}}, false},
    {{1, {1}}, {0, {0}}, {0, {0}}, false},
    {{8, {1, 2, 1, 2, 1, 2, 1, 2}},
     {8, {2, 1, 2, 1, 2, 1, 2, 1}},
     {8, {2, 1, 2, 1, 2, 1, 2, 1}},
     false},
    /* Nothing stays nothing; what can be known of the rest is. */
    {{2, {0, 3}}, {2, {-1, 3}}, {2, {0, 3}}, false},
    {{3, {0, 3, 4}}, {2, {0, -1}}, {2, {0, 12}}, false},
    {{3, {0, 3, 4}}, {3, {0, 2, -1}}, {3, {0, 2, 6}}, false},
    {{2, {3, 0}}, {2, {5, 0}}, {2, {5, 0}}, false},
    {{2, {0, 3}}, {3, {3, 0, 7}}, {3, {3, 0, 7}}, true},
    {{2, {4, 6}}, {2, {-1, 4}}, {2, {6, 4}}, true},
};

START_TEST(reshapes_as_asked)
{
    void *data;
    const mls_dtype dtype = sized_dtypes[(size_t) _i % sized_dtype_count];
    op_test *t = begin("Reshape", dtype, &reshapes[_i].dims, &data);
    if (reshapes[_i].allow_zero)
        op_test_int(t, "allowzero", 1);
    add_ints(t, &reshapes[_i].shape);
    finish(t, dtype, &reshapes[_i].expected, data);
}
END_TEST

static const struct {
    ints dims, shape;
    bool allow_zero;
    mls_status status;
    const char *words;
} bad_reshapes[] = {
    {{2, {2, 3}}, {1, {5}}, false, MLS_ESHAPE, "[2,3] cannot be reshaped to [5]"},
    {{2, {2, 3}}, {2, {4, -1}}, false, MLS_ESHAPE, "[2,3] cannot be reshaped to [4,?]"},
    {{3, {2, 3, 4}}, {3, {0, 4, 0}}, false, MLS_ESHAPE, "cannot be reshaped to [2,4,4]"},
    {{2, {2, 3}}, {2, {-1, -1}}, false, MLS_EINVAL, "more than one entry of the shape is -1"},
    {{2, {2, 3}}, {2, {-2, 3}}, false, MLS_EINVAL, "entry 0 of the shape is -2"},
    {{2, {2, 3}},
     {1, {INT64_MIN}},
     false,
     MLS_EINVAL,
     "entry 0 of the shape is -9223372036854775808"},
    {{2, {2, 3}}, {3, {2, 3, 0}}, false, MLS_ESHAPE, "the input has no dimension 2"},
    {{2, {2, 3}}, {2, {2, 0}}, true, MLS_ESHAPE, "[2,3] cannot be reshaped to [2,0]"},
    {{2, {0, 3}}, {2, {0, -1}}, true, MLS_EINVAL, "may not hold both 0 and -1"},
    {{2, {2, 3}}, {2, {INT64_MAX, INT64_MAX}}, false, MLS_ESHAPE, "cannot be reshaped"},
    {{2, {2, 3}}, {3, {INT64_MAX, 4, -1}}, false, MLS_ESHAPE, "cannot be reshaped"},
    {{2, {2, 3}}, {9, {1, 1, 1, 1, 1, 1, 1, 2, 3}}, false, MLS_ESHAPE, "input 1 has 9 elements"},
};

START_TEST(reshape_refuses_what_does_not_fit)
{
    void *data;
    op_test *t = begin("Reshape", MLS_FLOAT32, &bad_reshapes[_i].dims, &data);
    op_test_int(t, "allowzero", bad_reshapes[_i].allow_zero);
    add_ints(t, &bad_reshapes[_i].shape);
    finish_error(t, data, bad_reshapes[_i].status, bad_reshapes[_i].words);
}
END_TEST

START_TEST(reshape_checks_its_input)
{
    void *data;
    op_test *t = begin("Reshape", MLS_FLOAT32, &(ints){1, {6}}, &data);
    op_test_input(t, MLS_INT64, OP_DIMS(1), (int64_t[]){6});
    finish_error(t, data, MLS_ESTATE, "input 1 decides a shape");
    t = begin("Reshape", MLS_FLOAT32, &(ints){1, {6}}, &data);
    op_test_constant(t, MLS_FLOAT32, OP_DIMS(1), (float[]){6});
    finish_error(t, data, MLS_EDTYPE, "input 1 is float32, expected int64");
    t = begin("Reshape", MLS_FLOAT32, &(ints){1, {6}}, &data);
    op_test_constant(t, MLS_INT64, OP_DIMS(1, 1), (int64_t[]){6});
    finish_error(t, data, MLS_ESHAPE, "1 elements in 2 dimensions");
}
END_TEST

START_TEST(reshape_follows_smaller_dims)
{
    const float data[] = {1, 2, 3, 4, 5, 6};
    op_test *t = op_test_create("", "Reshape");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1, 6), data);
    op_test_planned(t, OP_DIMS(100, 6), NULL);
    op_test_known(t, MLS_INT64, OP_DIMS(3), (int64_t[]){1, 3, 2});
    op_test_planned(t, OP_DIMS(3), (int64_t[]){-1, 3, 2});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(1, 3, 2), data);
    op_test_free(t);
}
END_TEST

/* --- Flatten --------------------------------------------------------------------------------- */

static const struct {
    ints dims;
    int axis;
    ints expected;
} flattens[] = {
    {{4, {2, 3, 4, 5}}, 0, {2, {1, 120}}},
    {{4, {2, 3, 4, 5}}, 1, {2, {2, 60}}},
    {{4, {2, 3, 4, 5}}, 2, {2, {6, 20}}},
    {{4, {2, 3, 4, 5}}, 4, {2, {120, 1}}},
    {{4, {2, 3, 4, 5}}, -1, {2, {24, 5}}},
    {{4, {2, 3, 4, 5}}, -4, {2, {1, 120}}},
    {{0, {0}}, 0, {2, {1, 1}}},
    {{1, {3}}, 1, {2, {3, 1}}},
    {{3, {0, 3, 4}}, 1, {2, {0, 12}}},
    {{3, {3, 0, 4}}, 1, {2, {3, 0}}},
};

START_TEST(flattens_as_asked)
{
    void *data;
    op_test *t = begin("Flatten", MLS_INT64, &flattens[_i].dims, &data);
    if (flattens[_i].axis != 1 || _i % 2)
        op_test_int(t, "axis", flattens[_i].axis);
    finish(t, MLS_INT64, &flattens[_i].expected, data);
}
END_TEST

START_TEST(flatten_refuses_what_does_not_fit)
{
    void *data;
    op_test *t = begin("Flatten", MLS_FLOAT32, &(ints){2, {2, 3}}, &data);
    op_test_int(t, "axis", 3);
    finish_error(t, data, MLS_EINVAL, "axis 3 is outside [-2, 2]");
    t = begin("Flatten", MLS_FLOAT32, &(ints){2, {2, 3}}, &data);
    op_test_int(t, "axis", INT64_MIN);
    finish_error(t, data, MLS_EINVAL, "is outside [-2, 2]");
    t = begin("Flatten", MLS_FLOAT32, &(ints){0, {0}}, &data);
    finish_error(t, data, MLS_EINVAL, "axis 1 is outside [0, 0]");
    t = begin("Flatten", MLS_FLOAT32, &(ints){3, {0, INT64_MAX, 2}}, &data);
    finish_error(t, data, MLS_ESHAPE, "do not fit 64 bits");
}
END_TEST

/* --- Squeeze, Unsqueeze ---------------------------------------------------------------------- */

static const struct {
    const char *type;
    ints dims;
    bool has_axes;
    ints axes, expected;
} squeezes[] = {
    {"Squeeze", {4, {1, 3, 1, 5}}, false, {0}, {2, {3, 5}}},
    {"Squeeze", {4, {1, 3, 1, 5}}, true, {1, {0}}, {3, {3, 1, 5}}},
    {"Squeeze", {4, {1, 3, 1, 5}}, true, {2, {-2, 0}}, {2, {3, 5}}},
    {"Squeeze", {4, {1, 3, 1, 5}}, true, {0}, {4, {1, 3, 1, 5}}},
    {"Squeeze", {3, {1, 1, 1}}, false, {0}, {0}},
    {"Squeeze", {0}, false, {0}, {0}},
    {"Squeeze", {2, {1, 0}}, false, {0}, {1, {0}}},
    {"Unsqueeze", {2, {3, 4}}, true, {1, {0}}, {3, {1, 3, 4}}},
    {"Unsqueeze", {2, {3, 4}}, true, {2, {-1, 1}}, {4, {3, 1, 4, 1}}},
    {"Unsqueeze", {2, {3, 4}}, true, {3, {4, 0, 2}}, {5, {1, 3, 1, 4, 1}}},
    {"Unsqueeze", {0}, true, {8, {7, 6, 5, 4, 3, 2, 1, 0}}, {8, {1, 1, 1, 1, 1, 1, 1, 1}}},
    {"Unsqueeze", {1, {0}}, true, {1, {1}}, {2, {0, 1}}},
    {"Unsqueeze", {1, {5}}, true, {0}, {1, {5}}},
};

START_TEST(squeezes_as_asked)
{
    void *data;
    const mls_dtype dtype = sized_dtypes[(size_t) _i % sized_dtype_count];
    op_test *t = begin(squeezes[_i].type, dtype, &squeezes[_i].dims, &data);
    if (squeezes[_i].has_axes)
        add_ints(t, &squeezes[_i].axes);
    finish(t, dtype, &squeezes[_i].expected, data);
}
END_TEST

static const struct {
    const char *type;
    ints dims, axes;
    mls_status status;
    const char *words;
} bad_squeezes[] = {
    {"Squeeze", {2, {1, 3}}, {1, {1}}, MLS_ESHAPE, "axis 1 has 3 elements"},
    {"Squeeze", {2, {1, 3}}, {2, {0, -2}}, MLS_EINVAL, "axis 0 appears twice in input 1"},
    {"Squeeze", {2, {1, 3}}, {1, {2}}, MLS_EINVAL, "axis 2 is outside [-2, 1]"},
    {"Squeeze", {2, {1, 3}}, {1, {INT64_MIN}}, MLS_EINVAL, "is outside [-2, 1]"},
    {"Unsqueeze", {2, {1, 3}}, {2, {1, 1}}, MLS_EINVAL, "axis 1 appears twice in input 1"},
    {"Unsqueeze", {2, {1, 3}}, {2, {1, -3}}, MLS_EINVAL, "axis 1 appears twice in input 1"},
    {"Unsqueeze", {2, {1, 3}}, {1, {3}}, MLS_EINVAL, "axis 3 is outside [-3, 2]"},
    {"Unsqueeze", {2, {1, 3}}, {1, {INT64_MAX}}, MLS_EINVAL, "is outside [-3, 2]"},
    {"Unsqueeze", {2, {1, 3}}, {7, {0, 1, 2, 3, 4, 5, 6}}, MLS_ESHAPE, "an output of rank 9"},
};

START_TEST(squeeze_refuses_what_does_not_fit)
{
    void *data;
    op_test *t = begin(bad_squeezes[_i].type, MLS_FLOAT32, &bad_squeezes[_i].dims, &data);
    add_ints(t, &bad_squeezes[_i].axes);
    finish_error(t, data, bad_squeezes[_i].status, bad_squeezes[_i].words);
}
END_TEST

/* --- Identity, Dropout ----------------------------------------------------------------------- */

START_TEST(identity_keeps_every_dtype)
{
    mls_dtype dtype = MLS_FLOAT32;
    do {
        void *data;
        const ints dims = {2, {3, 5}};
        op_test *t = begin("Identity", dtype, &dims, &data);
        finish(t, dtype, &dims, data);
        dtype = next_dtype(dtype);
    } while (dtype != MLS_FLOAT32);
}
END_TEST

START_TEST(identity_keeps_random_shapes)
{
    random_state random = {(uint64_t) _i};
    void *data;
    ints dims = {.count = (int) random_in(&random, 0, MLS_MAX_RANK)};
    random_dims(&random, dims.count, random_in(&random, 0, 4) ? 1 : 0, 9, 5000, dims.values);
    const mls_dtype dtype = random_dtype(&random);
    op_test *t = begin("Identity", dtype, &dims, &data);
    finish(t, dtype, &dims, data);
}
END_TEST

START_TEST(identity_with_threads)
{
    void *data;
    const ints dims = {1, {300007}};
    op_test *t = begin("Identity", MLS_INT16, &dims, &data);
    finish(t, MLS_INT16, &dims, data);
}
END_TEST

static op_test *begin_dropout(const ints *dims, void **ret_data)
{
    op_test *t = begin("Dropout", MLS_FLOAT64, dims, ret_data);
    op_test_outputs(t, 2);
    return t;
}

START_TEST(dropout_drops_nothing)
{
    void *data;
    uint8_t mask[12];
    memset(mask, 1, sizeof mask);
    const ints dims = {2, {3, 4}};
    op_test *t = begin_dropout(&dims, &data);
    op_test_planned(t, OP_DIMS(7, 4), NULL);
    op_test_constant(t, MLS_FLOAT32, OP_SCALAR, (float[]){_i == 2 ? 0.0f : 0.9f});
    if (_i == 1)
        op_test_constant(t, MLS_BOOL, OP_SCALAR, (uint8_t[]){0});
    if (_i == 2)
        op_test_constant(t, MLS_BOOL, OP_SCALAR, (uint8_t[]){1});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 1, MLS_BOOL, OP_DIMS(3, 4), mask);
    finish(t, MLS_FLOAT64, &dims, data);
}
END_TEST

START_TEST(dropout_is_for_inference)
{
    void *data;
    const ints dims = {1, {2}};
    op_test *t = begin_dropout(&dims, &data);
    op_test_left_out(t);
    op_test_constant(t, MLS_BOOL, OP_SCALAR, (uint8_t[]){1});
    finish_error(t, data, MLS_EUNSUPPORTED, "only inference is provided");
    t = begin_dropout(&dims, &data);
    op_test_constant(t, MLS_FLOAT32, OP_SCALAR, (float[]){0.5f});
    op_test_constant(t, MLS_BOOL, OP_SCALAR, (uint8_t[]){1});
    finish_error(t, data, MLS_EUNSUPPORTED, "only inference is provided");
    t = begin_dropout(&dims, &data);
    op_test_left_out(t);
    op_test_input(t, MLS_BOOL, OP_SCALAR, (uint8_t[]){0});
    finish_error(t, data, MLS_ESTATE, "training_mode, is not known");
    t = begin_dropout(&dims, &data);
    op_test_left_out(t);
    op_test_constant(t, MLS_INT64, OP_SCALAR, (int64_t[]){0});
    finish_error(t, data, MLS_EDTYPE, "training_mode, is not a bool scalar");
    t = begin_dropout(&dims, &data);
    op_test_constant(t, MLS_FLOAT32, OP_DIMS(2), (float[]){0, 0});
    finish_error(t, data, MLS_ESHAPE, "the ratio, is not a scalar");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_views");
    TCase *tests = tcase_create("views");
    tcase_add_loop_test(tests, reshapes_as_asked, 0, ROWS(reshapes));
    tcase_add_loop_test(tests, reshape_refuses_what_does_not_fit, 0, ROWS(bad_reshapes));
    tcase_add_test(tests, reshape_checks_its_input);
    tcase_add_test(tests, reshape_follows_smaller_dims);
    tcase_add_loop_test(tests, flattens_as_asked, 0, ROWS(flattens));
    tcase_add_test(tests, flatten_refuses_what_does_not_fit);
    tcase_add_loop_test(tests, squeezes_as_asked, 0, ROWS(squeezes));
    tcase_add_loop_test(tests, squeeze_refuses_what_does_not_fit, 0, ROWS(bad_squeezes));
    tcase_add_test(tests, identity_keeps_every_dtype);
    tcase_add_loop_test(tests, identity_keeps_random_shapes, 0, CASES);
    tcase_add_test(tests, identity_with_threads);
    tcase_add_loop_test(tests, dropout_drops_nothing, 0, 3);
    tcase_add_test(tests, dropout_is_for_inference);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
