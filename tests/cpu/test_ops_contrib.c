/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of com.microsoft, against their definitions worked out in double. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};
static const double tolerances[] = {1e-5, 1e-12, 2e-3, 2e-2};

/* `count` elements in [-2, 2), and what they are as doubles. */
static void *make(mls_dtype dtype, int64_t count, uint64_t seed, double **ret_wide)
{
    void *data = calloc((size_t) count, mls_dtype_size(dtype));
    *ret_wide = calloc((size_t) count, sizeof **ret_wide);
    for (int64_t i = 0; i < count; i++) {
        op_float_set(dtype, data, i, (double) (op_random(&seed) % 4096) / 1024 - 2);
        (*ret_wide)[i] = op_float(dtype, data, i);
    }
    return data;
}

static void expect(const op_test *test, size_t index, const double *expected, int64_t count,
                   double tolerance)
{
    const mls_dtype dtype = (mls_dtype) op_test_output(test, index)->dtype;
    for (int64_t i = 0; i < count; i++) {
        const double got = op_float(dtype, op_test_data(test, index), i);
        if (!(fabs(got - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("output %zu of %s: element %d is %g, expected %g", index,
                         mls_dtype_name(dtype), (int) i, got, expected[i]);
    }
}

/* --- Gelu with a bias ------------------------------------------------------------------------ */

static void check_gelu(const char *type, size_t d, int64_t rows, int64_t n)
{
    double *x, *bias;
    void *x_data = make(dtypes[d], rows * n, 1, &x), *bias_data = make(dtypes[d], n, 2, &bias);
    op_test *test = op_test_create("com.microsoft", type);
    op_test_input(test, dtypes[d], OP_DIMS(rows, n), x_data);
    op_test_input(test, dtypes[d], OP_DIMS(n), bias_data);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < rows * n; i++) {
        const double s = x[i] + bias[i % n];
        const double u = 0.79788456080286536 * (s + 0.044715 * s * s * s);
        x[i] = type[0] == 'B' ? s * 0.5 * erfc(-s / sqrt(2)) : s * 0.5 * (1 + tanh(u));
    }
    expect(test, 0, x, rows * n, tolerances[d]);
    op_test_free(test);
    free(x_data);
    free(bias_data);
    free(x);
    free(bias);
}

START_TEST(gelu_with_a_bias)
{
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_gelu("BiasGelu", d, 3, 37);
        check_gelu("FastGelu", d, 3, 37);
    }
    check_gelu("BiasGelu", 0, 400, 130);
}
END_TEST

START_TEST(gelu_errors)
{
    op_test *test = op_test_create("com.microsoft", "BiasGelu");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), (float[6]){0});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2), (float[2]){0});
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "input 1 has shape [2], expected [3]");
    op_test_free(test);
}
END_TEST

/* --- EmbedLayerNormalization ----------------------------------------------------------------- */

enum { BATCH = 2, LENGTH = 3, WIDTH = 21, WORDS = 6, POSITIONS = 4, SEGMENTS = 2 };

static const int32_t ids[] = {5, 0, 3, 1, -1, 4}, segments[] = {0, 1, 0, 1, 1, 0};
static const int64_t places[] = {3, 0, 1};
static const int32_t mask[] = {1, 1, 0, 1, 1, 1};

typedef struct tables {
    void *words, *positions, *segments, *scale, *bias;
    double *wide[5];
} tables;

static tables make_tables(mls_dtype dtype)
{
    tables t;
    t.words = make(dtype, WORDS * WIDTH, 1, &t.wide[0]);
    t.positions = make(dtype, POSITIONS * WIDTH, 2, &t.wide[1]);
    t.segments = make(dtype, SEGMENTS * WIDTH, 3, &t.wide[2]);
    t.scale = make(dtype, WIDTH, 4, &t.wide[3]);
    t.bias = make(dtype, WIDTH, 5, &t.wide[4]);
    return t;
}

static void free_tables(tables *t)
{
    void *const all[] = {t->words, t->positions, t->segments, t->scale, t->bias};
    for (size_t i = 0; i < COUNT(all); i++) {
        free(all[i]);
        free(t->wide[i]);
    }
}

/* Everything that is optional, or nothing. */
static op_test *embed(mls_dtype dtype, const tables *t, bool has_all, size_t outputs)
{
    op_test *test = op_test_create("com.microsoft", "EmbedLayerNormalization");
    op_test_outputs(test, outputs);
    op_test_float(test, "epsilon", 0.0078125f);
    op_test_input(test, MLS_INT32, OP_DIMS(BATCH, LENGTH), ids);
    if (has_all)
        op_test_input(test, MLS_INT32, OP_DIMS(BATCH, LENGTH), segments);
    else
        op_test_left_out(test);
    op_test_constant(test, dtype, OP_DIMS(WORDS, WIDTH), t->words);
    op_test_constant(test, dtype, OP_DIMS(POSITIONS, WIDTH), t->positions);
    if (has_all)
        op_test_constant(test, dtype, OP_DIMS(SEGMENTS, WIDTH), t->segments);
    else
        op_test_left_out(test);
    op_test_constant(test, dtype, OP_DIMS(WIDTH), t->scale);
    op_test_constant(test, dtype, OP_DIMS(WIDTH), t->bias);
    if (has_all) {
        op_test_input(test, MLS_INT32, OP_DIMS(BATCH, LENGTH), mask);
        op_test_input(test, MLS_INT64, OP_DIMS(1, LENGTH), places);
    }
    return test;
}

static void normalize(double *y, const double *x, const tables *t)
{
    double mean = 0, variance = 0;
    for (int i = 0; i < WIDTH; i++)
        mean += x[i] / WIDTH;
    for (int i = 0; i < WIDTH; i++)
        variance += (x[i] - mean) * (x[i] - mean) / WIDTH;
    for (int i = 0; i < WIDTH; i++)
        y[i] = (x[i] - mean) / sqrt(variance + 0.0078125) * t->wide[3][i] + t->wide[4][i];
}

static void check_embed(size_t d, bool has_all, size_t outputs)
{
    tables t = make_tables(dtypes[d]);
    double sums[BATCH * LENGTH * WIDTH], y[BATCH * LENGTH * WIDTH];
    for (int r = 0; r < BATCH * LENGTH; r++) {
        const int word = ids[r] < 0 ? ids[r] + WORDS : ids[r];
        const int64_t place = has_all ? places[r % LENGTH] : r % LENGTH;
        for (int i = 0; i < WIDTH; i++)
            sums[r * WIDTH + i] = t.wide[0][word * WIDTH + i] + t.wide[1][place * WIDTH + i] +
                                  (has_all ? t.wide[2][segments[r] * WIDTH + i] : 0);
        normalize(y + r * WIDTH, sums + r * WIDTH, &t);
    }
    op_test *test = embed(dtypes[d], &t, has_all, outputs);
    ck_assert_ok(op_test_run(test));
    ck_assert_int_eq(op_test_output(test, 0)->rank, 3);
    expect(test, 0, y, BATCH * LENGTH * WIDTH, tolerances[d]);
    if (outputs > 1)
        op_test_expect(test, 1, MLS_INT32, OP_DIMS(BATCH),
                       has_all ? (int32_t[]){2, 3} : (int32_t[]){0, 0});
    if (outputs > 2)
        expect(test, 2, sums, BATCH * LENGTH * WIDTH, tolerances[d]);
    op_test_free(test);
    free_tables(&t);
}

START_TEST(embeddings)
{
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (size_t outputs = 1; outputs <= 3; outputs++) {
            check_embed(d, false, outputs);
            check_embed(d, true, outputs);
        }
}
END_TEST

START_TEST(embedding_errors)
{
    tables t = make_tables(MLS_FLOAT32);
    op_test *test = op_test_create("com.microsoft", "EmbedLayerNormalization");
    op_test_input(test, MLS_INT32, OP_DIMS(1, 2), (int32_t[]){0, WORDS});
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "input 2 is missing");
    op_test_left_out(test);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(WORDS, WIDTH), t.words);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(POSITIONS, WIDTH), t.positions);
    op_test_left_out(test);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(WIDTH), t.scale);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(WIDTH), t.bias);
    ck_assert_fails(op_test_run(test), MLS_ERANGE, "input 0");
    op_test_free(test);
    test = op_test_create("com.microsoft", "EmbedLayerNormalization");
    op_test_input(test, MLS_INT32, OP_DIMS(1, POSITIONS + 1), ids);
    op_test_left_out(test);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(WORDS, WIDTH), t.words);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(POSITIONS, WIDTH), t.positions);
    op_test_left_out(test);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(WIDTH), t.scale);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(WIDTH), t.bias);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "input 0 has 5 positions");
    op_test_free(test);
    free_tables(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_contrib");
    TCase *tests = tcase_create("contrib");
    tcase_add_test(tests, gelu_with_a_bias);
    tcase_add_test(tests, gelu_errors);
    tcase_add_test(tests, embeddings);
    tcase_add_test(tests, embedding_errors);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
