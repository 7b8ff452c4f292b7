/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss against their definition, worked out in
 * double one sample at a time, and against the ops that they stand for.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};
static const char *const reductions[] = {"none", "mean", "sum"};

/* One op in one of its ways. Dims are outer, classes, and two that make up inner, if any. */
typedef struct loss_case {
    mls_dtype dtype;
    bool has_softmax, has_weights, has_ignored, is_wide;
    int reduction, rank;
    int64_t dims[4], ignored;
} loss_case;

/* Its inputs, as elements and as the numbers that those are. */
typedef struct loss_data {
    int64_t count, samples, classes, inner;
    void *x, *weights;
    double *x_numbers, *weight_numbers;
    int64_t *labels;
    int32_t *narrow_labels;
} loss_data;

/* --- inputs ---------------------------------------------------------------------------------- */

static void *allocated(int64_t count, size_t size)
{
    void *memory = calloc((size_t) count + 1, size);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

/* Numbers from `low`, eight wide, as the dtype has them. */
static void fill(mls_dtype dtype, void *data, double *numbers, int64_t count, double low)
{
    uint64_t seed = 7;
    for (int64_t i = 0; i < count; i++) {
        op_float_set(dtype, data, i, (double) (op_random(&seed) % 8193) / 1024 + low);
        numbers[i] = op_float(dtype, data, i);
    }
}

static loss_data make_data(const loss_case *c)
{
    uint64_t seed = 5;
    loss_data d = {.classes = c->dims[1], .inner = 1};
    for (int i = 2; i < c->rank; i++)
        d.inner *= c->dims[i];
    d.samples = c->dims[0] * d.inner;
    d.count = d.samples * d.classes;
    d.x = allocated(d.count, sizeof(double));
    d.x_numbers = allocated(d.count, sizeof(double));
    d.weights = allocated(d.classes, sizeof(double));
    d.weight_numbers = allocated(d.classes, sizeof(double));
    d.labels = allocated(d.samples, sizeof *d.labels);
    d.narrow_labels = allocated(d.samples, sizeof *d.narrow_labels);
    fill(c->dtype, d.x, d.x_numbers, d.count, -4);
    fill(c->dtype, d.weights, d.weight_numbers, d.classes, 0.125);
    for (int64_t i = 0; i < d.samples; i++) {
        const bool is_ignored = c->has_ignored && op_random(&seed) % 4 == 0;
        d.labels[i] = is_ignored ? c->ignored : (int64_t) (op_random(&seed) % (uint64_t) d.classes);
        d.narrow_labels[i] = (int32_t) d.labels[i];
    }
    return d;
}

static void free_data(loss_data *d)
{
    free(d->x);
    free(d->weights);
    free(d->x_numbers);
    free(d->weight_numbers);
    free(d->labels);
    free(d->narrow_labels);
}

static op_test *make_test(const loss_case *c, const loss_data *d)
{
    const int64_t label_dims[] = {c->dims[0], c->dims[2], c->dims[3]};
    op_test *test = op_test_create("", c->has_softmax ? "SoftmaxCrossEntropyLoss"
                                                      : "NegativeLogLikelihoodLoss");
    if (c->reduction != 1) /* mean is the default */
        op_test_string(test, "reduction", reductions[c->reduction]);
    if (c->has_ignored)
        op_test_int(test, "ignore_index", c->ignored);
    op_test_input(test, c->dtype, c->rank, c->dims, d->x);
    op_test_input(test, c->is_wide ? MLS_INT64 : MLS_INT32, c->rank - 1, label_dims,
                  c->is_wide ? (const void *) d->labels : d->narrow_labels);
    if (c->has_weights)
        op_test_input(test, c->dtype, 1, c->dims + 1, d->weights);
    return test;
}

/* --- the definition -------------------------------------------------------------------------- */

static double log_prob(const loss_case *c, const loss_data *d, int64_t sample, int64_t class)
{
    const double *x = d->x_numbers + sample / d->inner * d->classes * d->inner + sample % d->inner;
    double sum = 0;
    for (int64_t i = 0; i < d->classes; i++)
        sum += exp(x[i * d->inner]);
    return x[class * d->inner] - (c->has_softmax ? log(sum) : 0);
}

/* The losses of all samples, or their sum or mean, which takes the place of the first. */
static void define(const loss_case *c, const loss_data *d, double *ret_losses)
{
    double sum = 0, total = 0;
    for (int64_t i = 0; i < d->samples; i++) {
        const bool is_ignored = c->has_ignored && d->labels[i] == c->ignored;
        const double weight = is_ignored ? 0 : c->has_weights ? d->weight_numbers[d->labels[i]] : 1;
        ret_losses[i] = is_ignored ? 0 : -weight * log_prob(c, d, i, d->labels[i]);
        sum += ret_losses[i];
        total += weight;
    }
    if (c->reduction)
        ret_losses[0] = c->reduction == 1 ? sum / total : sum;
}

static void expect_near(const op_test *test, size_t output, const loss_case *c,
                        const double *expected, int64_t count, double scale)
{
    const double slack = c->dtype == MLS_FLOAT64   ? 1e-12
                         : c->dtype == MLS_FLOAT32 ? 1e-5
                         : c->dtype == MLS_FLOAT16 ? 0x1p-10
                                                   : 0x1p-7;
    for (int64_t i = 0; i < count; i++) {
        const double got = op_float(c->dtype, op_test_data(test, output), i);
        if (!(fabs(got - expected[i]) <= slack * (scale + fabs(expected[i]))))
            ck_abort_msg("output %zu, element %d is %g, expected %g", output, (int) i, got,
                         expected[i]);
    }
}

/* --- all ways -------------------------------------------------------------------------------- */

static void check_case(const loss_case *c)
{
    loss_data d = make_data(c);
    const int64_t count = c->reduction ? 1 : d.samples;
    double *expected = allocated(d.samples, sizeof *expected);
    op_test *test = make_test(c, &d);
    define(c, &d, expected);
    ck_assert_ok(op_test_run(test));
    const mls_arg *y = op_test_output(test, 0);
    ck_assert_int_eq(y->dtype, c->dtype);
    ck_assert_int_eq(y->rank, c->reduction ? 0 : c->rank - 1);
    for (int i = 0; i < y->rank; i++)
        ck_assert_int_eq(y->dims[i], c->dims[i ? i + 1 : 0]);
    expect_near(test, 0, c, expected, count, 1);
    op_test_free(test);
    free(expected);
    free_data(&d);
}

static const struct {
    int rank;
    int64_t dims[4];
} shapes[] = {{2, {5, 7}}, {2, {1, 1}}, {3, {3, 20, 17}}, {4, {2, 3, 4, 5}}, {2, {130, 33}}};

START_TEST(all_ways)
{
    static const int64_t ignored[] = {2, -1, 0, 1 << 20};
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (int way = 0; way < 3 * 32; way++) {
            loss_case c = {.dtype = floats[_i], .reduction = way / 32, .rank = shapes[s].rank};
            c.has_softmax = way & 1;
            c.has_weights = way & 2;
            c.has_ignored = way & 4 && s != 1;
            c.is_wide = way & 8;
            c.ignored = ignored[way / 16 % 2 * 2 + (s & 1)];
            memcpy(c.dims, shapes[s].dims, sizeof c.dims);
            check_case(&c);
        }
}
END_TEST

/* Enough of them for threads to share. */
START_TEST(many_samples)
{
    loss_case c = {.dtype = floats[_i],
                   .has_weights = true,
                   .has_ignored = true,
                   .ignored = -100,
                   .rank = 3,
                   .dims = {7, 3, 2001}};
    for (int way = 0; way < 6; way++) {
        c.has_softmax = way & 1;
        c.reduction = way / 2;
        check_case(&c);
    }
}
END_TEST

/* --- what they stand for --------------------------------------------------------------------- */

/* The second output has LogSoftmax's bytes, and the first is the same with and without it. */
static void check_log_prob(mls_dtype dtype, int reduction, int rank, const int64_t *dims)
{
    loss_case c = {.dtype = dtype, .has_softmax = true, .reduction = reduction, .rank = rank};
    memcpy(c.dims, dims, sizeof c.dims);
    loss_data d = make_data(&c);
    op_test *one = make_test(&c, &d), *two = make_test(&c, &d);
    op_test *log_softmax = op_test_create("", "LogSoftmax");
    op_test_int(log_softmax, "axis", 1);
    op_test_input(log_softmax, dtype, rank, dims, d.x);
    op_test_outputs(two, 2);
    ck_assert_ok(op_test_run(one));
    ck_assert_ok(op_test_run(two));
    ck_assert_ok(op_test_run(log_softmax));
    const mls_arg *y = op_test_output(one, 0);
    op_test_expect(two, 0, dtype, y->rank, y->dims, op_test_data(one, 0));
    op_test_expect(two, 1, dtype, rank, dims, op_test_data(log_softmax, 0));
    op_test_free(one);
    op_test_free(two);
    op_test_free(log_softmax);
    free_data(&d);
}

START_TEST(logarithms)
{
    for (int reduction = 0; reduction < 3; reduction++)
        for (size_t s = 0; s < COUNT(shapes); s++)
            check_log_prob(floats[_i], reduction, shapes[s].rank, shapes[s].dims);
    check_log_prob(floats[_i], 1, 2, (int64_t[]){150, 200, 0, 0});
}
END_TEST

/* Losses are summed in ReduceSum's order. */
START_TEST(order_of_sums)
{
    loss_case c = {.dtype = floats[_i], .has_weights = true, .rank = 2, .dims = {1000, 5}};
    loss_data d = make_data(&c);
    op_test *losses = make_test(&c, &d);
    c.reduction = 2;
    op_test *sum = make_test(&c, &d);
    op_test *expected = op_test_create("", "ReduceSum");
    op_test_int(expected, "keepdims", 0);
    ck_assert_ok(op_test_run(losses));
    ck_assert_ok(op_test_run(sum));
    op_test_input(expected, c.dtype, OP_DIMS(1000), op_test_data(losses, 0));
    ck_assert_ok(op_test_run(expected));
    op_test_expect(sum, 0, c.dtype, OP_SCALAR, op_test_data(expected, 0));
    op_test_free(losses);
    op_test_free(sum);
    op_test_free(expected);
    free_data(&d);
}
END_TEST

/* --- edges ----------------------------------------------------------------------------------- */

static op_test *small_test(const char *type, const char *reduction, int64_t samples,
                           int64_t classes, const void *x, const int64_t *labels)
{
    op_test *test = op_test_create("", type);
    op_test_string(test, "reduction", reduction);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(samples, classes), x);
    op_test_input(test, MLS_INT64, OP_DIMS(samples), labels);
    return test;
}

/* Of nothing, the sum is 0 and there is no mean; nor is there where all are ignored. */
START_TEST(nothing)
{
    static const char *const types[] = {"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"};
    static const float x[] = {NAN, 1, INFINITY, 2}, zero[2] = {0, 0}, none = NAN;
    static const int64_t labels[] = {9, 9};
    const int64_t samples[] = {0, 2, 2}, classes[] = {3, 2, 0};
    for (size_t t = 0; t < COUNT(types); t++)
        for (int i = 0; i < 9; i++) {
            const int64_t n = samples[i / 3];
            op_test *test = small_test(types[t], reductions[i % 3], n, classes[i / 3], x, labels);
            op_test_int(test, "ignore_index", 9);
            ck_assert_ok(op_test_run(test));
            if (i % 3 == 0)
                op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(n), zero);
            else
                op_test_expect(test, 0, MLS_FLOAT32, OP_SCALAR, i % 3 == 1 ? &none : zero);
            op_test_free(test);
        }
}
END_TEST

/* A kernel made for larger dims follows to smaller ones, also where one dim grows. */
START_TEST(smaller_dims)
{
    loss_case c = {
        .dtype = floats[_i], .has_softmax = true, .is_wide = true, .rank = 3, .dims = {2, 3, 40}};
    const int64_t label_dims[] = {2, 40};
    for (c.reduction = 0; c.reduction < 3; c.reduction++) {
        loss_data d = make_data(&c);
        double *expected = allocated(d.samples, sizeof *expected);
        define(&c, &d, expected);
        op_test *test = op_test_create("", "SoftmaxCrossEntropyLoss");
        op_test_string(test, "reduction", reductions[c.reduction]);
        op_test_input(test, c.dtype, 3, c.dims, d.x);
        op_test_planned(test, OP_DIMS(30, 3, 5), NULL);
        op_test_input(test, MLS_INT64, 2, label_dims, d.labels);
        op_test_planned(test, OP_DIMS(30, 5), NULL);
        ck_assert_ok(op_test_run(test));
        expect_near(test, 0, &c, expected, c.reduction ? 1 : d.samples, 1);
        op_test_free(test);
        free(expected);
        free_data(&d);
    }
}
END_TEST

static void check_label(int64_t label, bool has_ignored, const char *words)
{
    static const float x[6] = {0};
    const int64_t labels[] = {1, label};
    for (int is_wide = 0; is_wide < 2; is_wide++) {
        const int32_t narrow[] = {1, (int32_t) label};
        if (!is_wide && narrow[1] != label)
            continue;
        op_test *test =
            op_test_create("", is_wide ? "SoftmaxCrossEntropyLoss" : "NegativeLogLikelihoodLoss");
        if (has_ignored)
            op_test_int(test, "ignore_index", -7);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
        op_test_input(test, is_wide ? MLS_INT64 : MLS_INT32, OP_DIMS(2),
                      is_wide ? (const void *) labels : narrow);
        ck_assert_fails(op_test_run(test), MLS_ERANGE, words);
        op_test_free(test);
    }
}

START_TEST(labels_refused)
{
    check_label(3, false, "label 3 at position 1 of input 1 is none of 3 classes");
    check_label(3, true, "label 3 at position 1 of input 1 is none of 3 classes");
    check_label(-1, false, "label -1 at position 1 of input 1 is none of 3 classes");
    check_label(-7, false, "label -7 at position 1 of input 1 is none of 3 classes");
    check_label(INT64_MIN, true, "is none of 3 classes");
    check_label(INT64_MAX, true, "is none of 3 classes");
    check_label((INT64_C(1) << 32) + 1, true, "is none of 3 classes");
}
END_TEST

static void check_refused(mls_status status, const char *words, const char *reduction, int rank,
                          const int64_t *dims, mls_dtype labels, int label_rank,
                          const int64_t *label_dims, int64_t weights)
{
    static const double data[64] = {0};
    op_test *test = op_test_create("", "NegativeLogLikelihoodLoss");
    op_test_string(test, "reduction", reduction);
    op_test_input(test, MLS_FLOAT32, rank, dims, data);
    op_test_input(test, labels, label_rank, label_dims, data);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(weights), data);
    ck_assert_fails(op_test_infer(test), status, words);
    op_test_free(test);
}

START_TEST(shapes_refused)
{
    check_refused(MLS_ESHAPE, "input 0 has rank 1", "sum", OP_DIMS(3), MLS_INT64, OP_SCALAR, 3);
    check_refused(MLS_ESHAPE, "input 1 has rank 2, expected 1", "sum", OP_DIMS(2, 3), MLS_INT64,
                  OP_DIMS(2, 1), 3);
    check_refused(MLS_ESHAPE, "dimension 1 of input 1 is 3, expected 4", "sum", OP_DIMS(2, 3, 4),
                  MLS_INT64, OP_DIMS(2, 3), 3);
    check_refused(MLS_ESHAPE, "dimension of 3, one for each class", "sum", OP_DIMS(2, 3), MLS_INT64,
                  OP_DIMS(2), 2);
    check_refused(MLS_EINVAL, "reduction is 'max'", "max", OP_DIMS(2, 3), MLS_INT64, OP_DIMS(2), 3);
    check_refused(MLS_EDTYPE, "expected int32 or int64", "sum", OP_DIMS(2, 3), MLS_INT16,
                  OP_DIMS(2), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_loss");
    TCase *tests = tcase_create("loss");
    tcase_add_loop_test(tests, all_ways, 0, COUNT(floats));
    tcase_add_loop_test(tests, many_samples, 0, COUNT(floats));
    tcase_add_loop_test(tests, logarithms, 0, COUNT(floats));
    tcase_add_loop_test(tests, order_of_sums, 0, 2); /* 16-bit losses were rounded */
    tcase_add_test(tests, nothing);
    tcase_add_loop_test(tests, smaller_dims, 0, COUNT(floats));
    tcase_add_test(tests, labels_refused);
    tcase_add_test(tests, shapes_refused);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
