/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normalisations by channels, and those of slices that an axis names: against their definitions
 * worked out in double, one element at a time.
 */
#include "cpu/elements.h"
#include "cpu/norm_test.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <stdlib.h>

/* --- by channels ----------------------------------------------------------------------------- */

static const struct channels_case {
    int rank;
    int64_t dims[5];
} channels_cases[] = {
    {4, {2, 3, 5, 7}}, {2, {5, 70}}, {3, {1, 4, 300}}, {5, {2, 2, 3, 2, 3}}, {4, {3, 40, 30, 30}},
};

static void check_batch(const struct channels_case *c, mls_dtype dtype, mls_dtype param_dtype,
                        bool is_each)
{
    const int64_t spread = is_each ? count_of(c->rank - 1, c->dims + 1) : c->dims[1];
    const int64_t plane = is_each ? 1 : count_of(c->rank - 2, c->dims + 2);
    const int param_rank = is_each ? c->rank - 1 : 1;
    op_numbers x = norm_numbers(dtype, c->rank, c->dims, -1, 1), params[4];
    op_test *test = op_test_create("", "BatchNormalization");
    if (is_each)
        op_test_int(test, "mls_per_element", 1);
    op_test_float(test, "epsilon", (float) EPSILON);
    op_numbers_give(test, &x);
    for (int i = 0; i < 4; i++) {
        params[i] =
            norm_numbers(param_dtype, param_rank, c->dims + 1, i == 3 ? 0.5 : -2, 5 + (uint64_t) i);
        op_numbers_give(test, &params[i]);
    }
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < x.count; i++) {
        const int64_t at = i / plane % spread;
        x.values[i] = (x.values[i] - params[2].values[at]) / sqrt(params[3].values[at] + EPSILON) *
                          params[0].values[at] +
                      params[1].values[at];
    }
    norm_expect(test, 0, dtype, c->rank, c->dims, x.values, norm_tolerance(dtype));
    op_test_free(test);
    op_numbers_free(&x);
    for (int i = 0; i < 4; i++)
        op_numbers_free(&params[i]);
}

START_TEST(batch_norm)
{
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (int is_each = 0; is_each < 2; is_each++)
            check_batch(&channels_cases[_i], dtypes[d], dtypes[d], is_each);
    check_batch(&channels_cases[_i], MLS_FLOAT16, MLS_FLOAT32, false);
    check_batch(&channels_cases[_i], MLS_BFLOAT16, MLS_FLOAT64, false);
    check_batch(&channels_cases[_i], MLS_FLOAT64, MLS_FLOAT32, false);
}
END_TEST

/* groups: 0 for InstanceNormalization. */
static void check_groups(const struct channels_case *c, mls_dtype dtype, int64_t groups,
                         bool by_group)
{
    const int64_t channels = c->dims[1], count = groups ? groups : channels;
    const int64_t params = by_group ? count : channels, plane = count_of(c->rank - 2, c->dims + 2);
    op_numbers x = norm_numbers(dtype, c->rank, c->dims, -1, 1);
    op_numbers scale = norm_numbers(dtype, 1, &params, -2, 2),
               bias = norm_numbers(dtype, 1, &params, -2, 3);
    op_test *test = op_test_create("", groups ? "GroupNormalization" : "InstanceNormalization");
    if (groups)
        op_test_int(test, "num_groups", groups);
    if (by_group)
        op_test_int(test, "mls_scale_groups", 1);
    op_test_float(test, "epsilon", (float) EPSILON);
    op_numbers_give(test, &x);
    op_numbers_give(test, &scale);
    op_numbers_give(test, &bias);
    ck_assert_ok(op_test_run(test));
    const int64_t n = channels / count * plane;
    for (int64_t at = 0; at < x.count; at += n) {
        double mean, factor;
        norm_moments(x.values + at, n, true, EPSILON, &mean, &factor);
        for (int64_t i = at; i < at + n; i++) {
            const int64_t p = by_group ? at / n % count : i / plane % channels;
            x.values[i] = (x.values[i] - mean) * factor * scale.values[p] + bias.values[p];
        }
    }
    norm_expect(test, 0, dtype, c->rank, c->dims, x.values, norm_tolerance(dtype));
    op_test_free(test);
    op_numbers_free(&x);
    op_numbers_free(&scale);
    op_numbers_free(&bias);
}

START_TEST(instance_and_group_norm)
{
    const struct channels_case *c = &channels_cases[_i];
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_groups(c, dtypes[d], 0, false);
        check_groups(c, dtypes[d], 1, false);
        check_groups(c, dtypes[d], c->dims[1], true);
        if (c->dims[1] % 2 == 0) {
            check_groups(c, dtypes[d], c->dims[1] / 2, false);
            check_groups(c, dtypes[d], 2, true);
        }
    }
}
END_TEST

/* --- others ---------------------------------------------------------------------------------- */

static void check_lp(const struct channels_case *c, mls_dtype dtype, int axis, int p)
{
    const int64_t n = c->dims[axis], inner = count_of(c->rank - axis - 1, c->dims + axis + 1);
    op_numbers x = norm_numbers(dtype, c->rank, c->dims, -2, 1);
    op_test *test = op_test_create("", "LpNormalization");
    op_test_int(test, "axis", axis - c->rank);
    op_test_int(test, "p", p);
    for (int64_t i = 0; i < n; i++) { /* the first slice is all zeros */
        op_float_set(dtype, x.data, i * inner, 0);
        x.values[i * inner] = 0;
    }
    op_numbers_give(test, &x);
    ck_assert_ok(op_test_run(test));
    for (int64_t s = 0; s < x.count / n; s++) {
        double *slice = x.values + s / inner * n * inner + s % inner, norm = 0;
        for (int64_t i = 0; i < n; i++)
            norm += p == 1 ? fabs(slice[i * inner]) : slice[i * inner] * slice[i * inner];
        norm = p == 1 ? norm : sqrt(norm);
        for (int64_t i = 0; i < n; i++)
            slice[i * inner] /= norm == 0 ? 1 : norm;
    }
    norm_expect(test, 0, dtype, c->rank, c->dims, x.values, norm_tolerance(dtype));
    op_test_free(test);
    op_numbers_free(&x);
}

START_TEST(lp_norm)
{
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (int axis = 0; axis < channels_cases[_i].rank; axis++)
            for (int p = 1; p <= 2; p++)
                check_lp(&channels_cases[_i], dtypes[d], axis, p);
}
END_TEST

static void check_lrn(const struct channels_case *c, mls_dtype dtype, int64_t size, double beta)
{
    const int64_t channels = c->dims[1], plane = count_of(c->rank - 2, c->dims + 2);
    op_numbers x = norm_numbers(dtype, c->rank, c->dims, -2, 1);
    double *y = calloc((size_t) x.count, sizeof *y);
    for (int64_t i = 0; i < x.count; i++) {
        const int64_t channel = i / plane % channels;
        double squares = 0;
        for (int64_t j = channel - (size - 1) / 2; j <= channel + size / 2; j++)
            if (j >= 0 && j < channels)
                squares += pow(x.values[i + (j - channel) * plane], 2);
        y[i] = x.values[i] / pow(2 + 0.5 / (double) size * squares, beta);
    }
    op_test *test = op_test_create("", "LRN");
    op_test_int(test, "size", size);
    op_test_float(test, "alpha", 0.5f);
    op_test_float(test, "beta", (float) beta);
    op_test_float(test, "bias", 2.0f);
    op_numbers_give(test, &x);
    ck_assert_ok(op_test_run(test));
    norm_expect(test, 0, dtype, c->rank, c->dims, y, norm_tolerance(dtype));
    op_test_free(test);
    free(y);
    op_numbers_free(&x);
}

START_TEST(lrn)
{
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_lrn(&channels_cases[_i], dtypes[d], 1, 0.75);
        check_lrn(&channels_cases[_i], dtypes[d], 4, 0.75);
        check_lrn(&channels_cases[_i], dtypes[d], 5, 1.25);
    }
}
END_TEST

static void check_mean_variance(mls_dtype dtype, size_t axis_count, const int64_t *axes)
{
    const int64_t dims[] = {3, 4, 5, 6};
    bool reduced[4] = {false};
    op_numbers x = norm_numbers(dtype, 4, dims, -2, 1);
    double means[360] = {0}, squares[360] = {0};
    int64_t slots[360], n = 1;
    for (size_t i = 0; i < axis_count; i++) {
        reduced[axes[i] < 0 ? axes[i] + 4 : axes[i]] = true;
        n *= dims[axes[i] < 0 ? axes[i] + 4 : axes[i]];
    }
    for (int64_t i = 0; i < x.count; i++) {
        const int64_t index[] = {i / 120, i / 30 % 4, i / 6 % 5, i % 6};
        slots[i] = 0;
        for (int d = 0; d < 4; d++)
            slots[i] = slots[i] * dims[d] + (reduced[d] ? 0 : index[d]);
        means[slots[i]] += x.values[i] / (double) n;
    }
    for (int64_t i = 0; i < x.count; i++)
        squares[slots[i]] += pow(x.values[i] - means[slots[i]], 2) / (double) n;
    op_test *test = op_test_create("", "MeanVarianceNormalization");
    op_test_ints(test, "axes", axis_count, axes);
    op_numbers_give(test, &x);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < x.count; i++)
        x.values[i] = (x.values[i] - means[slots[i]]) / (sqrt(squares[slots[i]]) + 1e-9);
    norm_expect(test, 0, dtype, 4, dims, x.values, norm_tolerance(dtype));
    op_test_free(test);
    op_numbers_free(&x);
}

START_TEST(mean_variance)
{
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_mean_variance(dtypes[d], 3, (int64_t[]){0, 2, 3});
        check_mean_variance(dtypes[d], 2, (int64_t[]){-1, 1});
        check_mean_variance(dtypes[d], 4, (int64_t[]){0, 1, 2, 3});
        check_mean_variance(dtypes[d], 1, (int64_t[]){0});
    }
}
END_TEST

void add_norm_channels(TCase *tests)
{
    tcase_add_loop_test(tests, batch_norm, 0, COUNT(channels_cases));
    tcase_add_loop_test(tests, instance_and_group_norm, 0, COUNT(channels_cases));
    tcase_add_loop_test(tests, lp_norm, 0, COUNT(channels_cases));
    tcase_add_loop_test(tests, lrn, 0, COUNT(channels_cases));
    tcase_add_test(tests, mean_variance);
}
