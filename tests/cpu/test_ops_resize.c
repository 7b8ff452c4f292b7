/* SPDX-License-Identifier: Apache-2.0 */
/* Resize in all its ways, against sums over every element of the input. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* [2, 3, height, width] or [2, height, width, 3] to lengths of its own. */
typedef struct setup {
    const char *mode, *transform, *round, *policy;
    bool is_antialiased, excludes_outside, has_scales, is_last;
    int64_t in[2], out[2];
    double scale[2], start[2], end[2];
} setup;

static const setup setups[] = {
    {.mode = "linear", .in = {5, 6}, .out = {10, 12}},
    {.mode = "linear", .in = {5, 6}, .out = {3, 21}},
    {.mode = "linear", .in = {9, 40}, .out = {4, 7}, .is_antialiased = true},
    {.mode = "linear", .in = {9, 40}, .out = {4, 80}, .excludes_outside = true},
    {.mode = "cubic", .in = {5, 6}, .out = {10, 13}},
    {.mode = "cubic", .in = {5, 6}, .out = {10, 13}, .excludes_outside = true},
    {.mode = "cubic", .in = {12, 33}, .out = {5, 13}, .is_antialiased = true},
    {.mode = "linear", .transform = "align_corners", .in = {5, 6}, .out = {11, 4}},
    {.mode = "linear", .transform = "align_corners", .in = {5, 6}, .out = {1, 6}},
    {.mode = "linear", .transform = "asymmetric", .in = {5, 6}, .out = {7, 12}},
    {.mode = "linear", .transform = "pytorch_half_pixel", .in = {5, 6}, .out = {1, 12}},
    {.mode = "linear",
     .transform = "half_pixel_symmetric",
     .has_scales = true,
     .in = {5, 6},
     .out = {3, 14},
     .scale = {0.7, 2.35}},
    {.mode = "cubic",
     .transform = "tf_crop_and_resize",
     .in = {7, 6},
     .out = {9, 5},
     .start = {0.25, -0.5},
     .end = {0.75, 1.5}},
    {.mode = "linear", .in = {5, 6}, .out = {10, 12}, .is_last = true},
    {.mode = "cubic", .in = {5, 6}, .out = {3, 12}, .is_last = true},
    {.mode = "nearest", .in = {5, 6}, .out = {10, 12}},
    {.mode = "nearest", .in = {5, 6}, .out = {10, 12}, .is_last = true},
    {.mode = "nearest", .round = "floor", .transform = "asymmetric", .in = {5, 40}, .out = {7, 17}},
    {.mode = "nearest", .round = "ceil", .in = {5, 40}, .out = {7, 100}},
    {.mode = "nearest",
     .round = "round_prefer_ceil",
     .transform = "asymmetric",
     .in = {4, 6},
     .out = {8, 12}},
    {.mode = "nearest",
     .round = "round_prefer_floor",
     .transform = "asymmetric",
     .in = {4, 6},
     .out = {8, 12}},
    {.mode = "nearest",
     .transform = "tf_crop_and_resize",
     .in = {7, 6},
     .out = {9, 5},
     .start = {0.25, -0.5},
     .end = {0.75, 1.5}},
    {.mode = "nearest", .policy = "not_larger", .in = {4, 8}, .out = {3, 16}},
    {.mode = "linear", .policy = "not_smaller", .in = {4, 8}, .out = {3, 16}},
    {.mode = "linear", .has_scales = true, .in = {10, 10}, .out = {7, 25}, .scale = {0.7, 2.5}},
    {.mode = "linear", .in = {5, 6}, .out = {5, 6}},
    {.mode = "nearest", .in = {5, 6}, .out = {5, 0}},
    {.mode = "nearest", .in = {3, 37}, .out = {6, 74}},
};

/* What the lengths are in the end, and by what factor. */
static void settle(const setup *s, int64_t *ret_out, double *ret_scale)
{
    double ratio[2];
    for (int i = 0; i < 2; i++) {
        ratio[i] = (double) s->out[i] / (double) s->in[i];
        ret_out[i] = s->out[i];
        ret_scale[i] = s->has_scales ? (double) (float) s->scale[i] : ratio[i];
    }
    if (!s->policy)
        return;
    const double one =
        strcmp(s->policy, "not_larger") == 0 ? fmin(ratio[0], ratio[1]) : fmax(ratio[0], ratio[1]);
    for (int i = 0; i < 2; i++) {
        ret_scale[i] = one;
        ret_out[i] = (int64_t) floor(one * (double) s->in[i] + 0.5);
    }
}

static double place_of(const setup *s, int axis, double scale, int64_t out, int64_t i)
{
    const char *transform = s->transform ? s->transform : "half_pixel";
    const double x = (double) i, in = (double) s->in[axis], width = scale * in;
    if (strcmp(transform, "align_corners") == 0)
        return out == 1 ? 0 : x * (in - 1) / (width - 1);
    if (strcmp(transform, "asymmetric") == 0)
        return x / scale;
    if (strcmp(transform, "tf_crop_and_resize") == 0)
        return s->start[axis] * (in - 1) +
               x * (s->end[axis] - s->start[axis]) * (in - 1) / ((double) out - 1);
    if (strcmp(transform, "pytorch_half_pixel") == 0 && out == 1)
        return 0;
    const double place = (x + 0.5) / scale - 0.5;
    if (strcmp(transform, "half_pixel_symmetric") == 0)
        return place + in / 2 * (1 - (double) out / width);
    return place;
}

static double nearest_to(const setup *s, double place)
{
    if (s->round && strcmp(s->round, "floor") == 0)
        return floor(place);
    if (s->round && strcmp(s->round, "ceil") == 0)
        return ceil(place);
    const double below = floor(place), rest = place - below;
    if (rest == 0.5)
        return s->round && strcmp(s->round, "round_prefer_ceil") == 0 ? below + 1 : below;
    return rest < 0.5 ? below : below + 1;
}

/* Keys' kernel in its usual two pieces, a = -0.75; or a tent. */
static double kernel_of(const setup *s, double x)
{
    const double a = -0.75, d = fabs(x);
    if (strcmp(s->mode, "linear") == 0)
        return fmax(0, 1 - d);
    if (d <= 1)
        return (a + 2) * d * d * d - (a + 3) * d * d + 1;
    return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

/* The weight of each element of the input; false where the place is outside of a crop. */
static bool weigh(const setup *s, int axis, double scale, int64_t out, int64_t i, double *weights)
{
    const int64_t in = s->in[axis];
    const double place = place_of(s, axis, scale, out, i), last = (double) in - 1;
    const double narrow = s->is_antialiased && scale < 1 ? scale : 1;
    double sum = 0;
    memset(weights, 0, (size_t) in * sizeof *weights);
    if (s->transform && strcmp(s->transform, "tf_crop_and_resize") == 0 &&
        (place < 0 || place > last))
        return false;
    if (strcmp(s->mode, "nearest") == 0) {
        weights[(int64_t) fmin(fmax(nearest_to(s, place), 0), last)] = 1;
        return true;
    }
    for (int64_t j = -50; j < in + 50; j++) {
        const double weight = kernel_of(s, ((double) j - place) * narrow);
        const bool is_outside = j < 0 || j >= in;
        if (is_outside && s->excludes_outside)
            continue;
        weights[j < 0 ? 0 : j >= in ? in - 1 : j] += weight;
        sum += weight;
    }
    for (int64_t j = 0; j < in; j++)
        weights[j] /= s->is_antialiased || s->excludes_outside ? sum : 1;
    return true;
}

static int64_t element_at(const setup *s, const int64_t *lengths, int64_t image, int64_t row,
                          int64_t column)
{
    if (s->is_last)
        return ((image / 3 * lengths[0] + row) * lengths[1] + column) * 3 + image % 3;
    return (image * lengths[0] + row) * lengths[1] + column;
}

static double expected_at(const setup *s, const int64_t *out, const double *scale, const double *x,
                          int64_t image, const int64_t *at)
{
    double rows[128], columns[128], sum = 0;
    if (!weigh(s, 0, scale[0], out[0], at[0], rows) ||
        !weigh(s, 1, scale[1], out[1], at[1], columns))
        return 10;
    for (int64_t i = 0; i < s->in[0]; i++)
        for (int64_t j = 0; j < s->in[1]; j++)
            if (rows[i] * columns[j] != 0)
                sum += rows[i] * columns[j] * x[element_at(s, s->in, image, i, j)];
    return sum;
}

static op_test *resize_test(const setup *s, mls_dtype dtype, const void *x, const int64_t *x_dims)
{
    const int64_t axes[] = {s->is_last ? 1 : 2, s->is_last ? -2 : 3};
    const float scales[] = {(float) s->scale[0], (float) s->scale[1]};
    const double region[] = {s->start[0], s->start[1], s->end[0], s->end[1]};
    op_test *test = op_test_create("", "Resize");
    op_test_string(test, "mode", s->mode);
    if (s->transform)
        op_test_string(test, "coordinate_transformation_mode", s->transform);
    if (s->round)
        op_test_string(test, "nearest_mode", s->round);
    if (s->policy)
        op_test_string(test, "keep_aspect_ratio_policy", s->policy);
    op_test_int(test, "antialias", s->is_antialiased);
    op_test_int(test, "exclude_outside", s->excludes_outside);
    op_test_float(test, "extrapolation_value", 10);
    op_test_ints(test, "axes", 2, axes);
    op_test_input(test, dtype, 4, x_dims, x);
    op_test_known(test, MLS_FLOAT64, OP_DIMS(4), region);
    if (s->has_scales) {
        op_test_known(test, MLS_FLOAT32, OP_DIMS(2), scales);
    } else {
        op_test_left_out(test);
        op_test_known(test, MLS_INT64, OP_DIMS(2), s->out);
    }
    return test;
}

static double slack_of(mls_dtype dtype)
{
    return dtype == MLS_FLOAT64    ? 1e-12
           : dtype == MLS_FLOAT32  ? 1e-5
           : dtype == MLS_FLOAT16  ? 0x1p-10
           : dtype == MLS_BFLOAT16 ? 0x1p-7
                                   : 0;
}

static void check_element(mls_dtype dtype, const void *y, int64_t at, double expected)
{
    if (op_is_float(dtype)) {
        const double got = op_float(dtype, y, at), slack = slack_of(dtype);
        if (fabs(got - expected) > slack * (1 + fabs(expected)))
            ck_abort_msg("element %d is %g, expected %g", (int) at, got, expected);
        return;
    }
    const double low = dtype == MLS_UINT8 ? 0 : -128, high = dtype == MLS_UINT8 ? 255 : 127;
    const double bounded = fmin(fmax(expected, low), high);
    const double got = (double) op_integer(dtype, y, at);
    if (fabs(got - bounded) > 0.5 + 1e-9)
        ck_abort_msg("element %d is %g, expected about %g", (int) at, got, expected);
}

static void check(const setup *s, mls_dtype dtype)
{
    int64_t out[2];
    double scale[2];
    settle(s, out, scale);
    const int64_t in_count = 6 * s->in[0] * s->in[1];
    const int64_t x_dims[4] = {2, s->is_last ? s->in[0] : 3, s->in[s->is_last],
                               s->is_last ? 3 : s->in[1]};
    const int64_t y_dims[4] = {2, s->is_last ? out[0] : 3, out[s->is_last],
                               s->is_last ? 3 : out[1]};
    uint64_t *bytes = calloc((size_t) in_count, 8), seed = 3;
    double *x = calloc((size_t) in_count, sizeof *x);
    for (int64_t i = 0; i < in_count; i++) {
        x[i] = (double) (op_random(&seed) % 128);
        if (op_is_float(dtype))
            op_float_set(dtype, bytes, i, x[i] = x[i] / 4 - 9);
        else
            op_integer_set(dtype, bytes, i, (int64_t) x[i]);
    }
    op_test *test = resize_test(s, dtype, bytes, x_dims);
    ck_assert_ok(op_test_run(test));
    ck_assert_mem_eq(op_test_output(test, 0)->dims, y_dims, sizeof y_dims);
    for (int64_t image = 0; image < 6; image++)
        for (int64_t i = 0; i < out[0]; i++)
            for (int64_t j = 0; j < out[1]; j++)
                check_element(dtype, op_test_data(test, 0), element_at(s, out, image, i, j),
                              expected_at(s, out, scale, x, image, (int64_t[]){i, j}));
    op_test_free(test);
    free(bytes);
    free(x);
}

START_TEST(every_way)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32,  MLS_FLOAT64, MLS_FLOAT16,
                                       MLS_BFLOAT16, MLS_UINT8,   MLS_INT8};
    for (size_t d = 0; d < COUNT(dtypes); d++)
        check(&setups[_i], dtypes[d]);
}
END_TEST

/* Elements of any size are moved. */
START_TEST(nearest_of_every_size)
{
    const float scales[] = {1, 2, 1.5f};
    for (size_t d = 0; d < sized_dtype_count; d++) {
        void *x = make_elements(sized_dtypes[d], 12);
        static const int64_t columns[] = {0, 0, 1, 2};
        int64_t from[2 * 4 * 4];
        for (int64_t i = 0; i < 2 * 4 * 4; i++)
            from[i] = i / 16 * 6 + i % 16 / 4 / 2 * 3 + columns[i % 4];
        void *y = pick_elements(sized_dtypes[d], x, from, 32, NULL);
        op_test *test = op_test_create("", "Resize");
        op_test_input(test, sized_dtypes[d], OP_DIMS(2, 2, 3), x);
        op_test_left_out(test);
        op_test_constant(test, MLS_FLOAT32, OP_DIMS(3), scales);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, sized_dtypes[d], OP_DIMS(2, 4, 4), y);
        op_test_free(test);
        free(x);
        free(y);
    }
}
END_TEST

START_TEST(follows_smaller_dims)
{
    static const char *const modes[] = {"nearest", "linear"};
    static float x[2 * 4 * 4];
    const float scales[] = {1, 2, 2};
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = (float) i;
    for (int m = 0; m < 2; m++) {
        op_test *test = op_test_create("", "Resize");
        op_test_string(test, "mode", modes[m]);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 4, 4), x);
        op_test_planned(test, OP_DIMS(5, 7, 6), NULL);
        op_test_left_out(test);
        op_test_constant(test, MLS_FLOAT32, OP_DIMS(3), scales);
        ck_assert_ok(op_test_run(test));
        const float *y = op_test_data(test, 0);
        ck_assert(op_test_output(test, 0)->dims[2] == 8);
        ck_assert(y[0] == 0.0f && y[63] == 15.0f && y[64] == 16.0f);
        op_test_free(test);
    }
}
END_TEST

static void check_refused(const setup *s, mls_status status, const char *words)
{
    const int64_t dims[] = {2, 3, 5, 6};
    static float x[2 * 3 * 5 * 6];
    op_test *test = resize_test(s, MLS_FLOAT32, x, dims);
    ck_assert_fails(op_test_run(test), status, words);
    op_test_free(test);
}

START_TEST(refused)
{
    check_refused(&(setup){.mode = "spline"}, MLS_EINVAL, "mode 'spline' is not known");
    check_refused(&(setup){.mode = "linear", .out = {-1, 3}}, MLS_EINVAL, "size -1 of axis 2");
    check_refused(&(setup){.mode = "linear", .has_scales = true, .scale = {0, 1}}, MLS_EINVAL,
                  "scale 0 of axis 2");
    check_refused(&(setup){.mode = "nearest", .is_antialiased = true, .out = {2, 2}}, MLS_EINVAL,
                  "antialias goes with");
    check_refused(&(setup){.mode = "linear",
                           .transform = "tf_crop_and_resize",
                           .out = {2, 2},
                           .start = {(double) NAN, 0}},
                  MLS_EINVAL, "axis 2 has a region");
    check_refused(&(setup){.mode = "linear", .has_scales = true, .scale = {1e30, 1}}, MLS_EINVAL,
                  "scale 1e+30");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_resize");
    TCase *tests = tcase_create("resize");
    tcase_add_loop_test(tests, every_way, 0, COUNT(setups));
    tcase_add_test(tests, nearest_of_every_size);
    tcase_add_test(tests, follows_smaller_dims);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
