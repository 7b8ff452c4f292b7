/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear models and support vector machines: larger ones against float64, batches against
 * single rows, and attributes that are wrong.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ROWS = 67, COLUMNS = 37, VECTORS = 150 };

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_INT64, MLS_INT32};

static float random_float(uint64_t *seed)
{
    return (float) ((double) op_random(seed) * 0x1p-47 - 1.0);
}

static void fill(float *x, int count, uint64_t seed)
{
    for (int i = 0; i < count; i++)
        x[i] = random_float(&seed);
}

/* Elements of the dtype, and the floats that they are. */
static void fill_input(mls_dtype dtype, void *data, float *x, int count, uint64_t seed)
{
    for (int i = 0; i < count; i++) {
        const double value = 3.0 * (double) random_float(&seed);
        if (op_is_float(dtype)) {
            op_float_set(dtype, data, i, value);
            x[i] = (float) op_float(dtype, data, i);
        } else {
            op_integer_set(dtype, data, i, (int64_t) value);
            x[i] = (float) op_integer(dtype, data, i);
        }
    }
}

static double dot(const float *a, const float *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double) a[i] * (double) b[i];
    return sum;
}

/* --- linear ---------------------------------------------------------------------------------- */

/* Few targets and many take different ways. */
static void check_linear(mls_dtype dtype, int targets)
{
    static float coefficients[40 * COLUMNS], intercepts[40], x[ROWS * COLUMNS], y[ROWS * 40];
    static double data[ROWS * COLUMNS];
    fill(coefficients, targets * COLUMNS, 1);
    fill(intercepts, targets, 2);
    fill_input(dtype, data, x, ROWS * COLUMNS, 3);
    for (int r = 0; r < ROWS; r++)
        for (int t = 0; t < targets; t++)
            y[r * targets + t] =
                (float) (dot(x + r * COLUMNS, coefficients + t * COLUMNS, COLUMNS) +
                         (double) intercepts[t]);
    op_test *test = op_test_create("ai.onnx.ml", "LinearRegressor");
    op_test_floats(test, "coefficients", (size_t) (targets * COLUMNS), coefficients);
    op_test_floats(test, "intercepts", (size_t) targets, intercepts);
    op_test_int(test, "targets", targets);
    op_test_input(test, dtype, OP_DIMS(ROWS, COLUMNS), data);
    ck_assert_ok(op_test_run(test));
    op_test_expect_near(test, 0, MLS_FLOAT32, OP_DIMS(ROWS, targets), y, 2e-5, 1e-6);
    op_test_free(test);
}

START_TEST(linear_regressors)
{
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        check_linear(dtypes[i], 1);
        check_linear(dtypes[i], 40);
    }
}
END_TEST

static op_test *linear_test(const char *type, size_t coefficients, size_t intercepts)
{
    static const float numbers[8], x[2];
    op_test *test = op_test_create("ai.onnx.ml", type);
    op_test_floats(test, "coefficients", coefficients, numbers);
    if (intercepts)
        op_test_floats(test, "intercepts", intercepts, numbers);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2), x);
    return test;
}

static void expect_error(op_test *test, mls_status code, const char *words)
{
    ck_assert_fails(op_test_run(test), code, words);
    op_test_free(test);
}

START_TEST(linear_errors)
{
    expect_error(linear_test("LinearRegressor", 1, 1), MLS_EINVAL,
                 "coefficients has 1 values, expected 1 rows of 2");
    expect_error(linear_test("LinearRegressor", 2, 2), MLS_EINVAL,
                 "intercepts has 2 values, expected none or 1");
    op_test *test = linear_test("LinearRegressor", 2, 1);
    op_test_int(test, "targets", INT64_MAX);
    expect_error(test, MLS_EINVAL, "expected 9223372036854775807 rows of 2");
    test = linear_test("LinearRegressor", 2, 1);
    op_test_int(test, "targets", -1);
    expect_error(test, MLS_EINVAL, "expected -1 rows of 2");
    expect_error(linear_test("LinearClassifier", 4, 2), MLS_EINVAL, "none of classlabels_ints");
    test = linear_test("LinearClassifier", 4, 2);
    op_test_ints(test, "classlabels_ints", 3, (int64_t[]){1, 2, 3});
    expect_error(test, MLS_EINVAL, "3 class labels, but coefficients or intercepts of 2");
    test = linear_test("LinearClassifier", 4, 2);
    op_test_ints(test, "classlabels_ints", 2, (int64_t[]){1, 2});
    op_test_strings(test, "classlabels_strings", 1, (const char *const[]){"a"});
    expect_error(test, MLS_EINVAL, "both of classlabels_ints and classlabels_strings");
    test = linear_test("LinearClassifier", 1, 0);
    op_test_ints(test, "classlabels_ints", 2, (int64_t[]){1, 2});
    expect_error(test, MLS_EINVAL, "coefficients has 1 values");
    test = op_test_create("ai.onnx.ml", "LinearRegressor");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(3, 0), NULL);
    expect_error(test, MLS_ESHAPE, "input 0 has no columns");
}
END_TEST

/* --- support vectors ------------------------------------------------------------------------- */

typedef struct machine {
    const char *kernel;
    float gamma, coef0, degree;
    float vectors[VECTORS * COLUMNS], coefficients[VECTORS];
} machine;

static double kernel_value(const machine *m, const float *x, const float *v)
{
    const double product = (double) m->gamma * dot(x, v, COLUMNS) + (double) m->coef0;
    double distance = 0;
    if (strcmp(m->kernel, "LINEAR") == 0)
        return dot(x, v, COLUMNS);
    if (strcmp(m->kernel, "POLY") == 0)
        return pow(product, (double) m->degree);
    if (strcmp(m->kernel, "SIGMOID") == 0)
        return tanh(product);
    for (int j = 0; j < COLUMNS; j++)
        distance += ((double) x[j] - (double) v[j]) * ((double) x[j] - (double) v[j]);
    return exp(-(double) m->gamma * distance);
}

static void describe(op_test *test, const machine *m)
{
    op_test_string(test, "kernel_type", m->kernel);
    op_test_floats(test, "kernel_params", 3, (float[]){m->gamma, m->coef0, m->degree});
    op_test_floats(test, "support_vectors", VECTORS * COLUMNS, m->vectors);
    op_test_floats(test, "coefficients", VECTORS, m->coefficients);
    op_test_floats(test, "rho", 1, (float[]){0.125f});
}

static void check_regressor(const char *kernel, float degree, mls_dtype dtype)
{
    static machine m;
    static float x[ROWS * COLUMNS], y[ROWS];
    static double data[ROWS * COLUMNS];
    m.kernel = kernel;
    m.gamma = 0.02f;
    m.coef0 = 0.5f;
    m.degree = degree;
    fill(m.vectors, VECTORS * COLUMNS, 4);
    fill(m.coefficients, VECTORS, 5);
    fill_input(dtype, data, x, ROWS * COLUMNS, 6);
    for (int r = 0; r < ROWS; r++) {
        double sum = 0.125;
        for (int v = 0; v < VECTORS; v++)
            sum += (double) m.coefficients[v] *
                   kernel_value(&m, x + r * COLUMNS, m.vectors + v * COLUMNS);
        y[r] = (float) sum;
    }
    op_test *test = op_test_create("ai.onnx.ml", "SVMRegressor");
    describe(test, &m);
    op_test_int(test, "n_supports", VECTORS);
    op_test_input(test, dtype, OP_DIMS(ROWS, COLUMNS), data);
    op_test_planned(test, OP_DIMS(ROWS + 5, COLUMNS), NULL);
    ck_assert_ok(op_test_run(test));
    op_test_expect_near(test, 0, MLS_FLOAT32, OP_DIMS(ROWS, 1), y, 1e-4, 1e-5);
    op_test_free(test);
}

START_TEST(support_vectors)
{
    check_regressor("LINEAR", 3.0f, dtypes[_i]);
    check_regressor("RBF", 3.0f, dtypes[_i]);
    check_regressor("SIGMOID", 3.0f, dtypes[_i]);
    check_regressor("POLY", 3.0f, dtypes[_i]);
    check_regressor("POLY", 2.0f, dtypes[_i]);
    check_regressor("POLY", 5.0f, dtypes[_i]);
}
END_TEST

/* Each row of a batch as on its own, the scores and the labels. */
START_TEST(batches)
{
    enum { CLASSES = 5, PAIRS = 10 };
    static machine m = {.kernel = "RBF", .gamma = 0.05f};
    static float coefficients[(CLASSES - 1) * VECTORS], x[ROWS * COLUMNS], scores[ROWS * CLASSES];
    int64_t labels[ROWS];
    float rho[PAIRS], a[PAIRS], b[PAIRS];
    fill(m.vectors, VECTORS * COLUMNS, 7);
    fill(coefficients, (CLASSES - 1) * VECTORS, 8);
    fill(rho, PAIRS, 9);
    fill(a, PAIRS, 10);
    fill(b, PAIRS, 11);
    fill(x, ROWS * COLUMNS, 12);
    for (int rows = ROWS, row = 0; row < ROWS; row += rows == ROWS ? 0 : 3, rows = 1) {
        op_test *test = op_test_create("ai.onnx.ml", "SVMClassifier");
        op_test_outputs(test, 2);
        op_test_string(test, "kernel_type", "RBF");
        op_test_floats(test, "kernel_params", 3, (float[]){0.05f, 0, 0});
        op_test_floats(test, "support_vectors", VECTORS * COLUMNS, m.vectors);
        op_test_floats(test, "coefficients", COUNT(coefficients), coefficients);
        op_test_ints(test, "vectors_per_class", CLASSES, (int64_t[]){30, 1, 60, 0, 59});
        op_test_ints(test, "classlabels_ints", CLASSES, (int64_t[]){4, 3, 2, 1, 0});
        op_test_floats(test, "rho", PAIRS, rho);
        op_test_floats(test, "prob_a", PAIRS, a);
        op_test_floats(test, "prob_b", PAIRS, b);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(rows, COLUMNS), x + row * COLUMNS);
        ck_assert_ok(op_test_run(test));
        if (rows == ROWS) {
            memcpy(labels, op_test_data(test, 0), sizeof labels);
            memcpy(scores, op_test_data(test, 1), sizeof scores);
        }
        op_test_expect(test, 0, MLS_INT64, OP_DIMS(rows), labels + row);
        op_test_expect(test, 1, MLS_FLOAT32, OP_DIMS(rows, CLASSES), scores + row * CLASSES);
        op_test_free(test);
    }
}
END_TEST

typedef struct classifier {
    size_t coefficients, vectors, rho, prob_a, prob_b, labels, params, per_class;
    int64_t class_vectors[2];
} classifier;

static const classifier good = {.coefficients = 3,
                                .vectors = 6,
                                .rho = 1,
                                .labels = 2,
                                .params = 3,
                                .per_class = 2,
                                .class_vectors = {1, 2}};

static void check_classifier(const classifier *c, const char *words)
{
    static const float numbers[8], x[2];
    static const int64_t labels[2] = {1, 2};
    op_test *test = op_test_create("ai.onnx.ml", "SVMClassifier");
    op_test_outputs(test, 2);
    op_test_floats(test, "kernel_params", c->params, numbers);
    op_test_floats(test, "support_vectors", c->vectors, numbers);
    op_test_floats(test, "coefficients", c->coefficients, numbers);
    op_test_ints(test, "vectors_per_class", c->per_class, c->class_vectors);
    op_test_ints(test, "classlabels_ints", c->labels, labels);
    op_test_floats(test, "rho", c->rho, numbers);
    op_test_floats(test, "prob_a", c->prob_a, numbers);
    op_test_floats(test, "prob_b", c->prob_b, numbers);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2), x);
    if (words)
        ck_assert_fails(op_test_run(test), MLS_EINVAL, words);
    else
        ck_assert_ok(op_test_run(test));
    op_test_free(test);
}

#define CLASSIFIER(words, ...)                                                                     \
    do {                                                                                           \
        classifier c_ = good;                                                                      \
        __VA_ARGS__;                                                                               \
        check_classifier(&c_, words);                                                              \
    } while (0)

START_TEST(svm_errors)
{
    check_classifier(&good, NULL);
    CLASSIFIER("coefficients has 2 values, expected 1 rows of 3", c_.coefficients = 2);
    CLASSIFIER("support_vectors has 5 values, expected 3 rows of 2", c_.vectors = 5);
    CLASSIFIER("rho has 0 values, expected 1", c_.rho = 0);
    CLASSIFIER("prob_a has 2 values, expected none or 1", c_.prob_a = 2);
    CLASSIFIER("prob_a and prob_b must have as many values", c_.prob_a = 1);
    CLASSIFIER("none of classlabels_ints", c_.labels = 0);
    CLASSIFIER("support vectors for 1 class", c_.labels = c_.per_class = 1);
    CLASSIFIER("vectors_per_class has 1 values for 2 classes", c_.per_class = 1);
    CLASSIFIER("kernel_params has 2 values", c_.params = 2);
    CLASSIFIER("vectors_per_class[1] is -1", c_.class_vectors[1] = -1);
    CLASSIFIER("vectors_per_class[1] is 9223372036854775807", c_.class_vectors[1] = INT64_MAX);
    CLASSIFIER("coefficients has 3 values, expected 2 rows of 2", c_.per_class = 0);
    op_test *test = linear_test("SVMRegressor", 2, 0);
    op_test_int(test, "n_supports", -1);
    expect_error(test, MLS_EINVAL, "n_supports is -1");
    test = linear_test("SVMRegressor", 2, 0);
    op_test_int(test, "n_supports", INT64_MAX);
    expect_error(test, MLS_EINVAL, "expected 1 rows of 9223372036854775807");
    expect_error(linear_test("SVMRegressor", 2, 0), MLS_EINVAL, "rho has 0 values");
    test = linear_test("SVMRegressor", 2, 0);
    op_test_floats(test, "rho", 1, (float[]){0.0f});
    op_test_string(test, "kernel_type", "COSINE");
    expect_error(test, MLS_EINVAL, "kernel_type is none of");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_ml_linear");
    TCase *tests = tcase_create("ml_linear");
    tcase_add_test(tests, linear_regressors);
    tcase_add_test(tests, linear_errors);
    tcase_add_loop_test(tests, support_vectors, 0, COUNT(dtypes));
    tcase_add_test(tests, batches);
    tcase_add_test(tests, svm_errors);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
