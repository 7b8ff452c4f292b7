/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Features and labels of ai.onnx.ml: the dtypes and forms that ONNX Runtime lacks, against
 * plain loops, and attributes and data that are wrong.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static op_test *ml_test(const char *type)
{
    return op_test_create("ai.onnx.ml", type);
}

static void expect_error(op_test *test, mls_status code, const char *words)
{
    ck_assert_fails(op_test_run(test), code, words);
    op_test_free(test);
}

/* --- Imputer and Binarizer ------------------------------------------------------------------- */

START_TEST(imputers)
{
    static const double x[4] = {1.5, NAN, -0.0, 2.0}, y[4] = {1.5, 0.5, -0.0, 2.0};
    static const int32_t ints[4] = {7, -1, 7, 3}, imputed[4] = {5, -1, 6, 3};
    op_test *test = ml_test("Imputer");
    op_test_floats(test, "imputed_value_floats", 1, (float[]){0.5f});
    op_test_float(test, "replaced_value_float", NAN);
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2, 2), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT64, OP_DIMS(2, 2), y);
    op_test_free(test);
    test = ml_test("Imputer");
    op_test_ints(test, "imputed_value_int64s", 4, (int64_t[]){5, 9, 6, 9});
    op_test_int(test, "replaced_value_int64", 7);
    op_test_input(test, MLS_INT32, OP_DIMS(1, 4), ints);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(1, 4), imputed);
    op_test_free(test);
}
END_TEST

START_TEST(imputer_errors)
{
    static const int32_t ints[2] = {7, 8};
    op_test *test = ml_test("Imputer");
    op_test_floats(test, "imputed_value_floats", 1, (float[]){0.5f});
    op_test_input(test, MLS_INT32, OP_DIMS(1, 2), ints);
    expect_error(test, MLS_EINVAL, "imputed_value_int64s has 0 values, expected 1 or 2");
    test = ml_test("Imputer");
    op_test_ints(test, "imputed_value_int64s", 3, (int64_t[]){1, 2, 3});
    op_test_input(test, MLS_INT32, OP_DIMS(1, 2), ints);
    expect_error(test, MLS_EINVAL, "imputed_value_int64s has 3 values, expected 1 or 2");
    test = ml_test("Imputer");
    op_test_ints(test, "imputed_value_int64s", 1, (int64_t[]){INT64_C(1) << 31});
    op_test_input(test, MLS_INT32, OP_DIMS(1, 2), ints);
    expect_error(test, MLS_EINVAL, "imputed_value_int64s[0] is 2147483648, which is no int32");
    test = ml_test("Scaler");
    op_test_floats(test, "scale", 3, (float[]){1, 2, 3});
    op_test_input(test, MLS_INT32, OP_DIMS(1, 2), ints);
    expect_error(test, MLS_EINVAL, "scale has 3 values, expected 1 or 2");
    test = ml_test("Normalizer");
    op_test_string(test, "norm", "L3");
    op_test_input(test, MLS_INT32, OP_DIMS(1, 2), ints);
    expect_error(test, MLS_EINVAL, "norm is none of MAX, L1 and L2");
    test = ml_test("Normalizer");
    op_test_input(test, MLS_INT32, OP_DIMS(1, 1, 2), ints);
    expect_error(test, MLS_ESHAPE, "input 0 has 3 dimensions");
    test = ml_test("Binarizer");
    op_test_input(test, MLS_UINT8, OP_DIMS(1), ints);
    expect_error(test, MLS_EDTYPE, "input 0 is uint8");
}
END_TEST

static void check_binarizer(mls_dtype dtype, float threshold)
{
    enum { VALUES = 7 };
    static const double values[VALUES] = {-3, -2.5, -2, 0, 0.5, 1, 2};
    static const int64_t wide[VALUES] = {INT64_MIN, -3, -2, 0, 1, 2, INT64_MAX};
    double x[VALUES], y[VALUES];
    for (int i = 0; i < VALUES; i++) {
        bool above;
        if (op_is_float(dtype)) {
            op_float_set(dtype, x, i, values[i]);
            above = op_float(dtype, x, i) > (double) threshold;
            op_float_set(dtype, y, i, above);
        } else {
            op_integer_set(dtype, x, i, wide[i]);
            above = (double) op_integer(dtype, x, i) > (double) threshold;
            op_integer_set(dtype, y, i, above);
        }
    }
    op_test *test = ml_test("Binarizer");
    op_test_float(test, "threshold", threshold);
    op_test_input(test, dtype, OP_DIMS(VALUES), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(VALUES), y);
    op_test_free(test);
}

START_TEST(binarizers)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_INT32, MLS_INT64};
    static const float thresholds[] = {0.0f, -2.5f, 0.5f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN};
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (size_t t = 0; t < COUNT(thresholds); t++)
            check_binarizer(dtypes[d], thresholds[t]);
}
END_TEST

/* More elements than a thread does alone. */
START_TEST(large_scaler)
{
    enum { ROWS = 5000, COLUMNS = 20 };
    static float x[ROWS * COLUMNS], y[ROWS * COLUMNS];
    float offset[COLUMNS], scale[COLUMNS];
    op_fill(MLS_FLOAT32, x, ROWS * COLUMNS, 1);
    for (int j = 0; j < COLUMNS; j++) {
        offset[j] = 0.25f * (float) j;
        scale[j] = 1.5f - (float) j;
    }
    for (int i = 0; i < ROWS * COLUMNS; i++)
        y[i] = (x[i] - offset[i % COLUMNS]) * scale[i % COLUMNS];
    op_test *test = ml_test("Scaler");
    op_test_floats(test, "offset", COLUMNS, offset);
    op_test_floats(test, "scale", COLUMNS, scale);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(ROWS, COLUMNS), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(ROWS, COLUMNS), y);
    op_test_free(test);
}
END_TEST

/* --- LabelEncoder ---------------------------------------------------------------------------- */

/* 70, 50 and the default for keys 7, 5 and anything else, in every pair of number types. */
static void check_number_labels(mls_dtype key, mls_dtype value, bool has_default)
{
    static const int64_t inputs[4] = {5, 6, 7, 5};
    const int64_t unknown = has_default ? 3 : op_is_float(value) ? 0 : -1;
    const int64_t outputs[4] = {50, unknown, 70, 50};
    double keys[2], values[2], x[4], y[4], missing[1];
    for (int i = 0; i < 4; i++) {
        if (op_is_float(key))
            op_float_set(key, x, i, (double) inputs[i]);
        else
            op_integer_set(key, x, i, inputs[i]);
        if (op_is_float(value))
            op_float_set(value, y, i, outputs[i] ? (double) outputs[i] : -0.0);
        else
            op_integer_set(value, y, i, outputs[i]);
    }
    const size_t key_size = mls_dtype_size(key), value_size = mls_dtype_size(value);
    memcpy(keys, (char *) x + 2 * key_size, key_size);
    memcpy((char *) keys + key_size, x, key_size);
    memcpy(values, (char *) y + 2 * value_size, value_size);
    memcpy((char *) values + value_size, y, value_size);
    memcpy(missing, (char *) y + value_size, value_size);
    op_test *test = ml_test("LabelEncoder");
    op_test_tensor(test, "keys_tensor", key, OP_DIMS(2), keys);
    op_test_tensor(test, "values_tensor", value, OP_DIMS(2), values);
    if (has_default)
        op_test_tensor(test, "default_tensor", value, OP_DIMS(1), missing);
    op_test_input(test, key, OP_DIMS(2, 2), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, value, OP_DIMS(2, 2), y);
    op_test_free(test);
}

START_TEST(number_labels)
{
    static const mls_dtype dtypes[] = {MLS_INT64, MLS_INT32, MLS_INT16, MLS_FLOAT32, MLS_FLOAT64};
    for (size_t k = 0; k < COUNT(dtypes); k++)
        for (size_t v = 0; v < COUNT(dtypes); v++) {
            check_number_labels(dtypes[k], dtypes[v], false);
            check_number_labels(dtypes[k], dtypes[v], true);
        }
}
END_TEST

START_TEST(string_labels)
{
    static const mls_string keys[3] = {OP_STRING("a"), OP_STRING(""), OP_STRING("a")};
    static const mls_string x[3] = {OP_STRING("a"), OP_STRING("b"), OP_STRING("")};
    static const int16_t values[3] = {1, 2, 3}, y[3] = {3, -1, 2};
    static const mls_string words[2] = {OP_STRING("nan"), OP_STRING("zero")};
    static const mls_string text[4] = {OP_STRING("zero"), OP_STRING("zero"), OP_STRING("nan"),
                                       OP_STRING("_Unused")};
    static const float reals[4] = {0.0f, -0.0f, -NAN, 1.0f};
    op_test *test = ml_test("LabelEncoder");
    op_test_tensor(test, "keys_tensor", MLS_STRING, OP_DIMS(3), keys);
    op_test_tensor(test, "values_tensor", MLS_INT16, OP_DIMS(3), values);
    op_test_input(test, MLS_STRING, OP_DIMS(3), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT16, OP_DIMS(3), y);
    op_test_free(test);
    test = ml_test("LabelEncoder");
    op_test_floats(test, "keys_floats", 2, (float[]){NAN, -0.0f});
    op_test_tensor(test, "values_tensor", MLS_STRING, OP_DIMS(2), words);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(4, 1), reals);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_STRING, OP_DIMS(4, 1), text);
    op_test_free(test);
}
END_TEST

/* Many keys, and enough elements for several threads. */
START_TEST(many_labels)
{
    enum { KEYS = 3000, ELEMENTS = 20000 };
    static int64_t keys[KEYS], values[KEYS], x[ELEMENTS], y[ELEMENTS];
    for (int i = 0; i < KEYS; i++) {
        keys[i] = (int64_t) i * 7919 - 5000000;
        values[i] = i;
    }
    for (int i = 0; i < ELEMENTS; i++) {
        const int key = (i * 31) % (KEYS + 100);
        x[i] = (int64_t) key * 7919 - 5000000;
        y[i] = key < KEYS ? key : -2;
    }
    op_test *test = ml_test("LabelEncoder");
    op_test_ints(test, "keys_int64s", KEYS, keys);
    op_test_ints(test, "values_int64s", KEYS, values);
    op_test_int(test, "default_int64", -2);
    op_test_input(test, MLS_INT64, OP_DIMS(ELEMENTS), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT64, OP_DIMS(ELEMENTS), y);
    op_test_free(test);
}
END_TEST

static op_test *labels(size_t keys, size_t values, mls_dtype dtype)
{
    static const int64_t ints[2] = {1, 2};
    op_test *test = ml_test("LabelEncoder");
    op_test_ints(test, "keys_int64s", keys, ints);
    op_test_ints(test, "values_int64s", values, ints);
    op_test_input(test, dtype, OP_DIMS(1), ints);
    return test;
}

START_TEST(label_errors)
{
    static const uint8_t bytes[1] = {0};
    expect_error(labels(2, 1, MLS_INT64), MLS_EINVAL, "2 keys and 1 values");
    expect_error(labels(0, 1, MLS_INT64), MLS_EINVAL,
                 "none of keys_strings, keys_int64s, keys_floats and keys_tensor");
    expect_error(labels(2, 2, MLS_INT32), MLS_EDTYPE, "input 0 is int32, the keys are int64");
    op_test *test = labels(1, 1, MLS_INT64);
    op_test_floats(test, "values_floats", 1, (float[]){1.0f});
    expect_error(test, MLS_EINVAL, "both values_int64s and values_floats are given");
    test = ml_test("LabelEncoder");
    op_test_ints(test, "keys_int64s", 1, (int64_t[]){1});
    op_test_tensor(test, "values_tensor", MLS_UINT8, OP_DIMS(1), bytes);
    op_test_input(test, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    expect_error(test, MLS_EDTYPE, "labels of uint8");
    test = ml_test("LabelEncoder");
    op_test_strings(test, "classes_strings", 1, (const char *const[]){"a"});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1), (float[]){1.0f});
    expect_error(test, MLS_EDTYPE, "input 0 is float32, expected string or int64");
}
END_TEST

/* --- OneHotEncoder, columns, ZipMap ---------------------------------------------------------- */

START_TEST(one_hot)
{
    static const int32_t x[3] = {4, 9, 2};
    static const float y[6] = {0, 1, 0, 0, 1, 0}, reals[3] = {1e30f, NAN, -INFINITY};
    static const float nothing[6];
    op_test *test = ml_test("OneHotEncoder");
    op_test_ints(test, "cats_int64s", 2, (int64_t[]){2, 4});
    op_test_input(test, MLS_INT32, OP_DIMS(3), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(3, 2), y);
    op_test_free(test);
    test = ml_test("OneHotEncoder");
    op_test_ints(test, "cats_int64s", 2, (int64_t[]){INT64_MIN, 0});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(3), reals);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(3, 2), nothing);
    op_test_free(test);
    test = ml_test("OneHotEncoder");
    op_test_ints(test, "cats_int64s", 2, (int64_t[]){2, 4});
    op_test_int(test, "zeros", 0);
    op_test_input(test, MLS_INT32, OP_DIMS(3), x);
    expect_error(test, MLS_ERANGE, "element 1 of input 0 is none of the 2 categories");
    test = ml_test("OneHotEncoder");
    op_test_strings(test, "cats_strings", 1, (const char *const[]){"a"});
    op_test_input(test, MLS_INT32, OP_DIMS(3), x);
    expect_error(test, MLS_EDTYPE, "input 0 is int32, the categories are strings");
    test = ml_test("OneHotEncoder");
    op_test_input(test, MLS_INT32, OP_DIMS(3), x);
    expect_error(test, MLS_EINVAL, "none of cats_int64s and cats_strings given");
}
END_TEST

static void check_indices(int64_t index, const char *words)
{
    static const float x[3];
    op_test *test = ml_test("ArrayFeatureExtractor");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 3), x);
    op_test_input(test, MLS_INT64, OP_DIMS(2), (int64_t[]){0, index});
    expect_error(test, MLS_ERANGE, words);
}

START_TEST(columns)
{
    static const double x[4] = {1.5, -2, 3, 4};
    static const float y[6] = {1.5f, -2, 1.5f, 3, 4, 3};
    check_indices(3, "input 1 has index 3, outside [0, 3)");
    check_indices(-1, "input 1 has index -1, outside [0, 3)");
    op_test *test = ml_test("FeatureVectorizer");
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2, 2), x);
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2, 1), (double[]){1.5, 3});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(2, 3), y);
    op_test_free(test);
    test = ml_test("FeatureVectorizer");
    op_test_ints(test, "inputdimensions", 1, (int64_t[]){-1});
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2, 2), x);
    expect_error(test, MLS_EINVAL, "inputdimensions[0] is -1");
    test = ml_test("FeatureVectorizer");
    op_test_ints(test, "inputdimensions", 2, (int64_t[]){1, 1});
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2, 2), x);
    expect_error(test, MLS_EINVAL, "inputdimensions has 2 values for 1 inputs");
    test = ml_test("FeatureVectorizer");
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2, 2), x);
    op_test_input(test, MLS_FLOAT64, OP_DIMS(3, 1), x);
    expect_error(test, MLS_ESHAPE, "input 1 has 3 rows, input 0 has 2");
    test = ml_test("FeatureVectorizer");
    op_test_input(test, MLS_FLOAT64, OP_DIMS(2, 2), x);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 1), x);
    expect_error(test, MLS_EDTYPE, "input 1 is float32 and input 0 is float64");
}
END_TEST

START_TEST(zip_map)
{
    static const float x[4] = {0.25f, 0.75f, 0.5f, 0.5f};
    op_test *test = ml_test("ZipMap");
    op_test_ints(test, "classlabels_int64s", 2, (int64_t[]){3, 4});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 2), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(2, 2), x);
    op_test_free(test);
    test = ml_test("ZipMap");
    op_test_ints(test, "classlabels_int64s", 3, (int64_t[]){3, 4, 5});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 2), x);
    expect_error(test, MLS_ESHAPE, "input 0 has 2 columns for 3 class labels");
}
END_TEST

START_TEST(nothing)
{
    static const char *const types[] = {"Scaler", "Normalizer", "Binarizer"};
    for (size_t i = 0; i < COUNT(types); i++) {
        op_test *test = ml_test(types[i]);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(0, 3), NULL);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(0, 3), NULL);
        op_test_free(test);
    }
    op_test *test = ml_test("OneHotEncoder");
    op_test_ints(test, "cats_int64s", 2, (int64_t[]){2, 4});
    op_test_input(test, MLS_INT64, OP_DIMS(0), NULL);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(0, 2), NULL);
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_ml_features");
    TCase *tests = tcase_create("ml_features");
    tcase_add_test(tests, imputers);
    tcase_add_test(tests, imputer_errors);
    tcase_add_test(tests, binarizers);
    tcase_add_test(tests, large_scaler);
    tcase_add_test(tests, number_labels);
    tcase_add_test(tests, string_labels);
    tcase_add_test(tests, many_labels);
    tcase_add_test(tests, label_errors);
    tcase_add_test(tests, one_hot);
    tcase_add_test(tests, columns);
    tcase_add_test(tests, zip_map);
    tcase_add_test(tests, nothing);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
