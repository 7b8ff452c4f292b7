/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree ensembles against one node after another, byte for byte: forms, orders, targets,
 * missing values, dtypes, batches; and attributes that are wrong in every way.
 */
#include "cpu/ml_forest.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_ROWS = 80, MAX_FEATURES = 64 };

/* --- regression ------------------------------------------------------------------------------ */

static const forest_options forests[] = {
    {.trees = 1, .depth = 0, .features = 1, .targets = 1, .modes = 1},
    {.trees = 1, .depth = 1, .features = 1, .targets = 1, .modes = 1, .has_missing = true},
    {.trees = 17, .depth = 3, .features = 5, .targets = 1, .modes = 1, .leaf_chance = 0.2},
    {.trees = 40, .depth = 6, .features = 9, .targets = 1, .modes = 1, .has_missing = true},
    {.trees = 40, .depth = 6, .features = 9, .targets = 1, .modes = 1, .first_mode = 1},
    {.trees = 20, .depth = 5, .features = 40, .targets = 1, .modes = 4, .has_missing = true},
    {.trees = 33, .depth = 5, .features = 7, .targets = 3, .modes = 4, .leaf_chance = 0.1},
    {.trees = 20, .depth = 12, .features = 9, .targets = 1, .modes = 2, .leaf_chance = 0.35},
    {.trees = 20, .depth = 4, .features = 6, .targets = 1, .modes = 6, .has_missing = true},
    {.trees = 9, .depth = 4, .features = 6, .targets = 2, .modes = 2, .first_mode = 4},
    {.trees = 18, .depth = 4, .features = 6, .targets = 4, .modes = 1, .has_many_weights = true},
    {.trees = 2, .depth = 2, .features = 6, .targets = 33, .modes = 1, .has_many_weights = true},
    {.trees = 3, .depth = 4, .features = 6, .targets = 7, .modes = 1},
    {.trees = 19, .depth = 4, .features = 6, .targets = 1, .modes = 1, .has_odd_ids = true},
    {.trees = 2, .depth = 13, .features = 6, .targets = 1, .modes = 1, .leaf_chance = 0.01},
    {.trees = 5, .depth = 13, .features = 6, .targets = 1, .modes = 1},
    {.trees = 35,
     .depth = 5,
     .features = 6,
     .targets = 1,
     .modes = 6,
     .has_missing = true,
     .is_double = true},
    {.trees = 17,
     .depth = 4,
     .features = 6,
     .targets = 3,
     .modes = 6,
     .has_many_weights = true,
     .is_double = true},
};

static const char *const aggregates[] = {"SUM", "AVERAGE", "MIN", "MAX"};

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_INT64, MLS_INT32};

/* Features as elements of the dtype, and as the numbers that then are in `x`. */
static void store(mls_dtype dtype, double *x, int64_t count, void *ret_data)
{
    for (int64_t i = 0; i < count; i++) {
        if (op_is_float(dtype)) {
            op_float_set(dtype, ret_data, i, x[i]);
            x[i] = op_float(dtype, ret_data, i);
        } else {
            op_integer_set(dtype, ret_data, i, isfinite(x[i]) ? (int64_t) (3.0 * x[i]) : 1);
            x[i] = (double) op_integer(dtype, ret_data, i);
        }
    }
}

static double expected_score(const forest *f, const char *aggregate, double total, bool is_seen,
                             double base)
{
    const double divisor = strcmp(aggregate, "AVERAGE") == 0 ? f->options.trees : 1.0;
    return (is_seen ? total / divisor : 0.0) + base;
}

static void expect_scores(const forest *f, const char *aggregate, const double *x, int64_t rows,
                          const float *base, float *ret_scores)
{
    for (int64_t r = 0; r < rows; r++) {
        double totals[FOREST_TARGETS];
        bool seen[FOREST_TARGETS];
        forest_totals(f, x + r * f->options.features, aggregate, totals, seen);
        for (int k = 0; k < f->options.targets; k++)
            ret_scores[r * f->options.targets + k] = (float) expected_score(
                f, aggregate, totals[k], seen[k], base ? (double) base[k] : 0.0);
    }
}

static op_test *create_regressor(const forest *f, const char *aggregate, const float *base)
{
    op_test *test = op_test_create("ai.onnx.ml", "TreeEnsembleRegressor");
    forest_attributes(f, test, "target");
    op_test_int(test, "n_targets", f->options.targets);
    op_test_string(test, "aggregate_function", aggregate);
    if (base)
        op_test_floats(test, "base_values", (size_t) f->options.targets, base);
    return test;
}

static void check_regressor(const forest_options *options, uint64_t seed, const char *aggregate,
                            mls_dtype dtype, int64_t rows)
{
    float base[FOREST_TARGETS], scores[MAX_ROWS * FOREST_TARGETS];
    double x[MAX_ROWS * MAX_FEATURES], data[MAX_ROWS * MAX_FEATURES];
    const bool has_base = seed % 2;
    /* A double feature is compared as it is, also with float thresholds. */
    forest_options wide = *options;
    forest *f = forest_create(&wide, seed);
    for (int k = 0; k < options->targets; k++)
        base[k] = 0.25f * (float) (k + 1);
    forest_features(f, seed, rows, x);
    store(dtype, x, rows * options->features, data);
    op_test *test = create_regressor(f, aggregate, has_base ? base : NULL);
    op_test_input(test, dtype, OP_DIMS(rows, options->features), data);
    ck_assert_ok(op_test_run(test));
    if (dtype == MLS_FLOAT64 && !options->is_double) {
        f->options.is_double = true; /* sums are float64 too */
        for (int i = 0; i < f->nodes; i++)
            f->double_value[i] = (double) f->value[i];
        for (int w = 0; w < f->weights; w++)
            f->double_weight[w] = (double) f->weight[w];
    }
    expect_scores(f, aggregate, x, rows, has_base ? base : NULL, scores);
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(rows, options->targets), scores);
    op_test_free(test);
    free(f);
}

START_TEST(regressors)
{
    for (size_t a = 0; a < COUNT(aggregates); a++)
        check_regressor(&forests[_i], (uint64_t) _i * 4 + a, aggregates[a], dtypes[a],
                        a == 0 ? 67 : 5);
    check_regressor(&forests[_i], (uint64_t) _i + 100, "SUM", MLS_FLOAT32, 1);
    check_regressor(&forests[_i], (uint64_t) _i + 101, "SUM", MLS_FLOAT32, 40);
}
END_TEST

/* Rows have the same bytes in every batch and place. */
START_TEST(batches)
{
    static const forest_options options = {
        .trees = 21, .depth = 5, .features = 7, .targets = 2, .modes = 4, .has_missing = true};
    forest *f = forest_create(&options, 3);
    double x[MAX_ROWS * MAX_FEATURES];
    float features[MAX_ROWS * MAX_FEATURES], scores[MAX_ROWS * 2];
    forest_features(f, 9, MAX_ROWS, x);
    store(MLS_FLOAT32, x, MAX_ROWS * options.features, features);
    expect_scores(f, "SUM", x, MAX_ROWS, NULL, scores);
    for (int64_t rows = 1; rows <= 67; rows += rows < 34 ? 1 : 11) {
        const int64_t first = (rows * 7) % (MAX_ROWS - rows);
        op_test *test = create_regressor(f, "SUM", NULL);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(rows, options.features),
                      features + first * options.features);
        op_test_planned(test, OP_DIMS(70, options.features), NULL);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(rows, 2), scores + first * 2);
        op_test_free(test);
    }
    free(f);
}
END_TEST

/* Runs a test of one target, and ends it. */
static void expect_run(op_test *test, int64_t rows, const float *scores)
{
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(rows, 1), scores);
    op_test_free(test);
}

/* Enough rows and trees that threads share them. */
START_TEST(many_rows)
{
    static const forest_options options = {
        .trees = 100, .depth = 3, .features = 8, .targets = 1, .modes = 1};
    enum { ROWS = 700 };
    forest *f = forest_create(&options, 5);
    double *x = malloc(sizeof *x * ROWS * 8);
    float *features = malloc(sizeof *features * ROWS * 8), scores[ROWS];
    forest_features(f, 11, ROWS, x);
    store(MLS_FLOAT32, x, ROWS * 8, features);
    expect_scores(f, "SUM", x, ROWS, NULL, scores);
    op_test *test = create_regressor(f, "SUM", NULL);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(ROWS, 8), features);
    expect_run(test, ROWS, scores);
    free(features);
    free(x);
    free(f);
}
END_TEST

START_TEST(shapes)
{
    static const forest_options options = {
        .trees = 3, .depth = 2, .features = 4, .targets = 1, .modes = 1};
    static const float x[4] = {0.5f, -1.0f, 2.0f, 0.0f};
    const double row[4] = {0.5, -1.0, 2.0, 0.0};
    forest *f = forest_create(&options, 1);
    float score;
    expect_scores(f, "SUM", row, 1, NULL, &score);
    op_test *test = create_regressor(f, "SUM", NULL);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(4), x);
    expect_run(test, 1, &score);
    test = create_regressor(f, "SUM", NULL);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(0, 4), NULL);
    expect_run(test, 0, NULL);
    test = create_regressor(f, "SUM", NULL);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 4), x);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "input 0 has 3 dimensions");
    op_test_free(test);
    test = create_regressor(f, "SUM", NULL);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(4, 1), x);
    ck_assert_fails(op_test_run(test), MLS_ESHAPE, "input 0 has 1 columns");
    op_test_free(test);
    free(f);
}
END_TEST

/* --- TreeEnsemble ---------------------------------------------------------------------------- */

/* x0 in {1.5, 4} ? 10 : (x1 >= 2 ? 20 : 30); and a tree that is a leaf. */
static op_test *create_ensemble(mls_dtype dtype, const void *splits, const void *leaves,
                                const void *members, bool has_missing)
{
    static const uint8_t modes[3] = {6, 2, 0};
    op_test *test = op_test_create("ai.onnx.ml", "TreeEnsemble");
    op_test_ints(test, "tree_roots", 2, (int64_t[]){0, 2});
    op_test_ints(test, "nodes_featureids", 3, (int64_t[]){0, 1, 0});
    op_test_ints(test, "nodes_truenodeids", 3, (int64_t[]){0, 1, 3});
    op_test_ints(test, "nodes_falsenodeids", 3, (int64_t[]){1, 2, 3});
    op_test_ints(test, "nodes_trueleafs", 3, (int64_t[]){1, 1, 1});
    op_test_ints(test, "nodes_falseleafs", 3, (int64_t[]){0, 1, 1});
    op_test_ints(test, "leaf_targetids", 4, (int64_t[]){0, 1, 0, 1});
    op_test_int(test, "n_targets", 2);
    if (has_missing)
        op_test_ints(test, "nodes_missing_value_tracks_true", 3, (int64_t[]){1, 0, 0});
    op_test_tensor(test, "nodes_modes", MLS_UINT8, OP_DIMS(3), modes);
    op_test_tensor(test, "nodes_splits", dtype, OP_DIMS(3), splits);
    op_test_tensor(test, "leaf_weights", dtype, OP_DIMS(4), leaves);
    op_test_tensor(test, "membership_values", dtype, OP_DIMS(5), members);
    return test;
}

static const double ensemble_x[] = {1.5, 0, 4, 9, 2, 2, 3.9, 1, NAN, 5, INFINITY, NAN, -7, 1};
static const double ensemble_y[] = {10, 1, 10, 1, 0, 21, 30, 1, 0, 21, 30, 1, 30, 1};
static const double ensemble_y_missing[] = {10, 1, 10, 1, 0, 21, 30, 1, 10, 1, 30, 1, 30, 1};

static void check_ensemble(mls_dtype dtype, bool has_missing)
{
    static const double splits[3] = {0, 2, 0}, leaves[4] = {10, 20, 30, 1};
    static const double members[5] = {4, 1.5, 4, -2, NAN};
    const double *y = has_missing ? ensemble_y_missing : ensemble_y;
    double s[3], l[4], m[5], x[14], expected[14];
    for (int i = 0; i < 14; i++) {
        op_float_set(dtype, x, i, ensemble_x[i]);
        op_float_set(dtype, expected, i, y[i]);
    }
    for (int i = 0; i < 5; i++)
        op_float_set(dtype, m, i, members[i]);
    for (int i = 0; i < 4; i++)
        op_float_set(dtype, l, i, leaves[i]);
    for (int i = 0; i < 3; i++)
        op_float_set(dtype, s, i, splits[i]);
    op_test *test = create_ensemble(dtype, s, l, m, has_missing);
    op_test_input(test, dtype, OP_DIMS(7, 2), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(7, 2), expected);
    op_test_free(test);
}

START_TEST(ensembles)
{
    static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16};
    for (size_t i = 0; i < COUNT(floats); i++) {
        check_ensemble(floats[i], false);
        check_ensemble(floats[i], true);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_ml_trees");
    TCase *tests = tcase_create("ml_trees");
    tcase_add_loop_test(tests, regressors, 0, COUNT(forests));
    tcase_add_test(tests, batches);
    tcase_add_test(tests, many_rows);
    tcase_add_test(tests, shapes);
    tcase_add_test(tests, ensembles);
    add_hostile_trees(tests);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
