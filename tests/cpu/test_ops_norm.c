/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations, against their definitions worked out in double, one element at a time. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include "op/op.h"
#include "tensor/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define EPSILON 0.0078125 /* a float, too */

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

static double tolerance_of(mls_dtype dtype)
{
    static const double tolerances[] = {
        [MLS_FLOAT32] = 1e-5, [MLS_FLOAT64] = 1e-13, [MLS_FLOAT16] = 2e-3, [MLS_BFLOAT16] = 2e-2};
    return tolerances[dtype];
}

static int64_t count_of(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

/* A tensor of a float dtype, and its elements as doubles. */
typedef struct values {
    mls_dtype dtype;
    int rank;
    int64_t dims[MLS_MAX_RANK];
    int64_t count;
    void *data;
    double *wide;
} values;

/* Elements in [low, low + 4). */
static values make(mls_dtype dtype, int rank, const int64_t *dims, double low, uint64_t seed)
{
    values v = {.dtype = dtype, .rank = rank, .count = count_of(rank, dims)};
    if (rank)
        memcpy(v.dims, dims, (size_t) rank * sizeof *dims);
    v.data = calloc((size_t) v.count + 1, mls_dtype_size(dtype));
    v.wide = calloc((size_t) v.count + 1, sizeof *v.wide);
    for (int64_t i = 0; i < v.count; i++) {
        op_float_set(dtype, v.data, i, low + (double) (op_random(&seed) % 4096) / 1024);
        v.wide[i] = op_float(dtype, v.data, i);
    }
    return v;
}

static void give(op_test *test, const values *v)
{
    op_test_input(test, v->dtype, v->rank, v->dims, v->data);
}

static void drop(values *v)
{
    free(v->data);
    free(v->wide);
}

static void expect(const op_test *test, size_t index, mls_dtype dtype, int rank,
                   const int64_t *dims, const double *expected, double tolerance)
{
    const mls_arg *arg = op_test_output(test, index);
    ck_assert_int_eq(arg->dtype, dtype);
    ck_assert(mls__shape_equal(arg->rank, arg->dims, rank, dims));
    for (int64_t i = 0; i < count_of(rank, dims); i++) {
        const double got = op_float(dtype, op_test_data(test, index), i);
        if (!(fabs(got - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("output %zu of %s: element %d is %.17g, expected %.17g", index,
                         mls_dtype_name(dtype), (int) i, got, expected[i]);
    }
}

/* mean and 1 / sqrt(variance + epsilon) of n elements; without a centre the mean is 0. */
static void moments(const double *x, int64_t n, bool is_centred, double epsilon, double *ret_mean,
                    double *ret_factor)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; is_centred && i < n; i++)
        mean += x[i] / (double) n;
    for (int64_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean) / (double) n;
    *ret_mean = mean;
    *ret_factor = 1 / sqrt(squares + epsilon);
}

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

static rows_result expected_rows(const values *x, const values *scale, const values *bias, int axis,
                                 bool is_centred)
{
    const int64_t n = count_of(x->rank - axis, x->dims + axis), rows = x->count / n;
    rows_result r = {calloc((size_t) x->count, sizeof(double)),
                     calloc((size_t) rows, sizeof(double)), calloc((size_t) rows, sizeof(double))};
    for (int64_t i = 0; i < rows; i++)
        moments(x->wide + i * n, n, is_centred, EPSILON, &r.mean[i], &r.factor[i]);
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t s = op_broadcast_index(i, x->rank, x->dims, scale->rank, scale->dims);
        r.y[i] = (x->wide[i] - r.mean[i / n]) * r.factor[i / n] * scale->wide[s];
        r.y[i] += bias ? bias->wide[s] : 0;
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
    values x = make(dtype, c->rank, c->dims, -1, 1);
    values scale = make(scale_dtype, c->scale_rank, c->scale_dims, -2, 2);
    values bias = make(scale_dtype, c->scale_rank, c->scale_dims, -3, 3);
    const int axis = (int) (c->axis < 0 ? c->axis + c->rank : c->axis);
    const bool is_centred = strcmp(type, "LayerNormalization") == 0;
    rows_result r = expected_rows(&x, &scale, has_bias ? &bias : NULL, axis, is_centred);
    op_test *test = op_test_create("", type);
    op_test_outputs(test, outputs);
    op_test_int(test, "axis", c->axis);
    op_test_float(test, "epsilon", (float) EPSILON);
    give(test, &x);
    give(test, &scale);
    if (has_bias)
        give(test, &bias);
    ck_assert_ok(op_test_run(test));
    int64_t dims[4];
    for (int i = 0; i < c->rank; i++)
        dims[i] = i < axis ? c->dims[i] : 1;
    expect(test, 0, scale_dtype, c->rank, c->dims, r.y, tolerance_of(scale_dtype));
    if (outputs > 1)
        expect(test, 1, MLS_FLOAT32, c->rank, dims, is_centred ? r.mean : r.factor, 1e-5);
    if (outputs > 2)
        expect(test, 2, MLS_FLOAT32, c->rank, dims, r.factor, 1e-5);
    op_test_free(test);
    free_rows(&r);
    drop(&x);
    drop(&scale);
    drop(&bias);
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
static float *piece(const char *type, const values *shape, const float *a, bool a_is_row,
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
    values x = make(MLS_FLOAT32, 2, dims, -1, 7), scale = make(MLS_FLOAT32, 2, dims, -2, 8);
    values bias = make(MLS_FLOAT32, 2, dims, -2, 9), epsilon = make(MLS_FLOAT32, 2, one, 0, 1);
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
    give(test, &x);
    give(test, &scale);
    give(test, &bias);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, 2, dims, y);
    op_test_free(test);
    free(mean);
    free(deviation);
    free(y);
    drop(&x);
    drop(&scale);
    drop(&bias);
    drop(&epsilon);
}
END_TEST

START_TEST(rows_follow_smaller_dims)
{
    const int64_t planned[] = {4, 9}, dims[] = {3, 5};
    values x = make(MLS_FLOAT16, 2, dims, -1, 1), scale = make(MLS_FLOAT16, 1, dims + 1, -2, 2);
    rows_result r = expected_rows(&x, &scale, NULL, 1, true);
    op_test *test = op_test_create("", "LayerNormalization");
    op_test_float(test, "epsilon", (float) EPSILON);
    give(test, &x);
    op_test_planned(test, 2, planned, NULL);
    give(test, &scale);
    op_test_planned(test, 1, planned + 1, NULL);
    ck_assert_ok(op_test_run(test));
    expect(test, 0, MLS_FLOAT16, 2, dims, r.y, 2e-3);
    op_test_free(test);
    free_rows(&r);
    drop(&x);
    drop(&scale);
}
END_TEST

static void check_skip(mls_dtype dtype, bool is_simple, bool has_all, int skip_rank)
{
    const int64_t dims[] = {2, 3, 65}, row[] = {65}, ones[] = {2, 3, 1};
    values x = make(dtype, 3, dims, -1, 1), scale = make(dtype, 1, row, -2, 2);
    values skip = make(dtype, skip_rank, dims + 3 - skip_rank, 0, 3);
    values bias = make(dtype, 1, row, -3, 4), skip_bias = make(dtype, 1, row, -1, 5);
    op_test *test = op_test_create("com.microsoft", is_simple ? "SkipSimplifiedLayerNormalization"
                                                              : "SkipLayerNormalization");
    op_test_float(test, "epsilon", (float) EPSILON);
    op_test_outputs(test, has_all ? 4 : 1);
    give(test, &x);
    give(test, &skip);
    give(test, &scale);
    if (has_all && !is_simple)
        give(test, &bias);
    if (has_all)
        give(test, &skip_bias);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < x.count; i++)
        x.wide[i] += skip.wide[op_broadcast_index(i, 3, dims, skip.rank, skip.dims)] +
                     (has_all ? skip_bias.wide[i % 65] : 0);
    rows_result r = expected_rows(&x, &scale, has_all && !is_simple ? &bias : NULL, 2, !is_simple);
    expect(test, 0, dtype, 3, dims, r.y, tolerance_of(dtype));
    if (has_all) {
        expect(test, 1, MLS_FLOAT32, 3, ones, r.mean, 1e-5);
        expect(test, 2, MLS_FLOAT32, 3, ones, r.factor, 1e-5);
        expect(test, 3, dtype, 3, dims, x.wide, tolerance_of(dtype));
    }
    op_test_free(test);
    free_rows(&r);
    drop(&x);
    drop(&skip);
    drop(&scale);
    drop(&bias);
    drop(&skip_bias);
}

START_TEST(skip_norm)
{
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (int way = 0; way < 4; way++)
            check_skip(dtypes[d], way & 1, way & 2, 2 + _i);
}
END_TEST

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
    values x = make(dtype, c->rank, c->dims, -1, 1), params[4];
    op_test *test = op_test_create("", "BatchNormalization");
    if (is_each)
        op_test_int(test, "mls_per_element", 1);
    op_test_float(test, "epsilon", (float) EPSILON);
    give(test, &x);
    for (int i = 0; i < 4; i++) {
        params[i] = make(param_dtype, param_rank, c->dims + 1, i == 3 ? 0.5 : -2, 5 + (uint64_t) i);
        give(test, &params[i]);
    }
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < x.count; i++) {
        const int64_t at = i / plane % spread;
        x.wide[i] = (x.wide[i] - params[2].wide[at]) / sqrt(params[3].wide[at] + EPSILON) *
                        params[0].wide[at] +
                    params[1].wide[at];
    }
    expect(test, 0, dtype, c->rank, c->dims, x.wide, tolerance_of(dtype));
    op_test_free(test);
    drop(&x);
    for (int i = 0; i < 4; i++)
        drop(&params[i]);
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
    values x = make(dtype, c->rank, c->dims, -1, 1);
    values scale = make(dtype, 1, &params, -2, 2), bias = make(dtype, 1, &params, -2, 3);
    op_test *test = op_test_create("", groups ? "GroupNormalization" : "InstanceNormalization");
    if (groups)
        op_test_int(test, "num_groups", groups);
    if (by_group)
        op_test_int(test, "mls_scale_groups", 1);
    op_test_float(test, "epsilon", (float) EPSILON);
    give(test, &x);
    give(test, &scale);
    give(test, &bias);
    ck_assert_ok(op_test_run(test));
    const int64_t n = channels / count * plane;
    for (int64_t at = 0; at < x.count; at += n) {
        double mean, factor;
        moments(x.wide + at, n, true, EPSILON, &mean, &factor);
        for (int64_t i = at; i < at + n; i++) {
            const int64_t p = by_group ? at / n % count : i / plane % channels;
            x.wide[i] = (x.wide[i] - mean) * factor * scale.wide[p] + bias.wide[p];
        }
    }
    expect(test, 0, dtype, c->rank, c->dims, x.wide, tolerance_of(dtype));
    op_test_free(test);
    drop(&x);
    drop(&scale);
    drop(&bias);
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
    values x = make(dtype, c->rank, c->dims, -2, 1);
    op_test *test = op_test_create("", "LpNormalization");
    op_test_int(test, "axis", axis - c->rank);
    op_test_int(test, "p", p);
    for (int64_t i = 0; i < n; i++) { /* the first slice is all zeros */
        op_float_set(dtype, x.data, i * inner, 0);
        x.wide[i * inner] = 0;
    }
    give(test, &x);
    ck_assert_ok(op_test_run(test));
    for (int64_t s = 0; s < x.count / n; s++) {
        double *slice = x.wide + s / inner * n * inner + s % inner, norm = 0;
        for (int64_t i = 0; i < n; i++)
            norm += p == 1 ? fabs(slice[i * inner]) : slice[i * inner] * slice[i * inner];
        norm = p == 1 ? norm : sqrt(norm);
        for (int64_t i = 0; i < n; i++)
            slice[i * inner] /= norm == 0 ? 1 : norm;
    }
    expect(test, 0, dtype, c->rank, c->dims, x.wide, tolerance_of(dtype));
    op_test_free(test);
    drop(&x);
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
    values x = make(dtype, c->rank, c->dims, -2, 1);
    double *y = calloc((size_t) x.count, sizeof *y);
    for (int64_t i = 0; i < x.count; i++) {
        const int64_t channel = i / plane % channels;
        double squares = 0;
        for (int64_t j = channel - (size - 1) / 2; j <= channel + size / 2; j++)
            if (j >= 0 && j < channels)
                squares += pow(x.wide[i + (j - channel) * plane], 2);
        y[i] = x.wide[i] / pow(2 + 0.5 / (double) size * squares, beta);
    }
    op_test *test = op_test_create("", "LRN");
    op_test_int(test, "size", size);
    op_test_float(test, "alpha", 0.5f);
    op_test_float(test, "beta", (float) beta);
    op_test_float(test, "bias", 2.0f);
    give(test, &x);
    ck_assert_ok(op_test_run(test));
    expect(test, 0, dtype, c->rank, c->dims, y, tolerance_of(dtype));
    op_test_free(test);
    free(y);
    drop(&x);
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
    values x = make(dtype, 4, dims, -2, 1);
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
        means[slots[i]] += x.wide[i] / (double) n;
    }
    for (int64_t i = 0; i < x.count; i++)
        squares[slots[i]] += pow(x.wide[i] - means[slots[i]], 2) / (double) n;
    op_test *test = op_test_create("", "MeanVarianceNormalization");
    op_test_ints(test, "axes", axis_count, axes);
    give(test, &x);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < x.count; i++)
        x.wide[i] = (x.wide[i] - means[slots[i]]) / (sqrt(squares[slots[i]]) + 1e-9);
    expect(test, 0, dtype, 4, dims, x.wide, tolerance_of(dtype));
    op_test_free(test);
    drop(&x);
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
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, layer_norm, 0, COUNT(rows_cases));
    tcase_add_loop_test(tests, rms_norm, 0, COUNT(rows_cases));
    tcase_add_test(tests, the_stash_type_is_that_of_statistics);
    tcase_add_test(tests, layer_norm_has_the_bytes_of_its_pieces);
    tcase_add_test(tests, rows_follow_smaller_dims);
    tcase_add_loop_test(tests, skip_norm, 0, 2);
    tcase_add_loop_test(tests, batch_norm, 0, COUNT(channels_cases));
    tcase_add_loop_test(tests, instance_and_group_norm, 0, COUNT(channels_cases));
    tcase_add_loop_test(tests, lp_norm, 0, COUNT(channels_cases));
    tcase_add_loop_test(tests, lrn, 0, COUNT(channels_cases));
    tcase_add_test(tests, mean_variance);
    tcase_add_test(tests, nothing_is_normalized);
    tcase_add_test(tests, errors);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
