/* SPDX-License-Identifier: Apache-2.0 */
/* RoiAlign and MaxRoiPool, each against its definition worked out one element at a time. */
#include "cpu/image_test.h"
#include "cpu/topics.h"

#include <math.h>

/* --- RoiAlign --------------------------------------------------------------------------------- */

/* An image of 6 by 7 between its elements. */
static double between(const double *image, double y, double x, double *ret_largest)
{
    double sum = 0;
    *ret_largest = 0;
    if (y < -1 || y > 6 || x < -1 || x > 7)
        return 0;
    y = fmin(fmax(y, 0), 5);
    x = fmin(fmax(x, 0), 6);
    *ret_largest = -INFINITY;
    for (int i = 0; i < 4; i++) {
        const double row = fmin(floor(y) + (i / 2), 5), column = fmin(floor(x) + (i % 2), 6);
        const double v = i / 2 ? y - floor(y) : 1 - (y - floor(y));
        const double h = i % 2 ? x - floor(x) : 1 - (x - floor(x));
        const double part = v * h * image[(int) row * 7 + (int) column];
        sum += part;
        *ret_largest = fmax(*ret_largest, part);
    }
    return sum;
}

static double pooled(const double *image, const double *region, bool is_max, bool is_half,
                     int64_t sampling, int64_t row, int64_t column)
{
    const double offset = is_half ? 0.5 : 0, scale = 0.5;
    const double x = region[0] * scale - offset, y = region[1] * scale - offset;
    double width = region[2] * scale - offset - x, height = region[3] * scale - offset - y;
    if (!is_half) {
        width = fmax(width, 1);
        height = fmax(height, 1);
    }
    const double down = height / 2, across = width / 3;
    const int64_t rows = sampling ? sampling : (int64_t) ceil(down);
    const int64_t columns = sampling ? sampling : (int64_t) ceil(across);
    double sum = 0, top = -INFINITY, largest;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            sum += between(image, y + ((double) row + ((double) i + 0.5) / (double) rows) * down,
                           x + ((double) column + ((double) j + 0.5) / (double) columns) * across,
                           &largest);
            top = fmax(top, largest);
        }
    if (rows < 1 || columns < 1)
        return 0;
    return is_max ? top : sum / (double) (rows * columns);
}

static void check_roi(mls_dtype dtype, bool is_max, bool is_half, int64_t sampling)
{
    static const double corners[5][4] = {
        {0, 0, 12, 10}, {3.25, 1.5, 8, 9.75}, {-6, -4, 30, 22}, {5, 5, 5, 5}, {4, 2, 11, 3}};
    const int64_t batches[] = {0, 1, 1, 0, 1};
    uint64_t x[2 * 3 * 42], regions[20];
    double numbers[2 * 3 * 42], expected[5 * 3 * 6];
    image_fill(dtype, x, numbers, 2 * 3 * 42, 12);
    for (int i = 0; i < 20; i++)
        op_float_set(dtype, regions, i, corners[i / 4][i % 4]);
    for (int64_t i = 0; i < 5 * 3 * 6; i++)
        expected[i] = pooled(numbers + (batches[i / 18] * 3 + i / 6 % 3) * 42, corners[i / 18],
                             is_max, is_half, sampling, i % 6 / 3, i % 3);
    op_test *test = op_test_create("", "RoiAlign");
    op_test_string(test, "mode", is_max ? "max" : "avg");
    if (!is_half)
        op_test_string(test, "coordinate_transformation_mode", "output_half_pixel");
    op_test_int(test, "output_height", 2);
    op_test_int(test, "output_width", 3);
    op_test_int(test, "sampling_ratio", sampling);
    op_test_float(test, "spatial_scale", 0.5f);
    op_test_input(test, dtype, OP_DIMS(2, 3, 6, 7), x);
    op_test_input(test, dtype, OP_DIMS(5, 4), regions);
    op_test_input(test, MLS_INT64, OP_DIMS(5), batches);
    ck_assert_ok(op_test_run(test));
    image_expect(test, dtype, expected);
    op_test_free(test);
}

START_TEST(roi_align)
{
    for (int way = 0; way < 8; way++)
        check_roi(floats[_i], way & 1, way & 2, way & 4 ? 2 : 0);
}
END_TEST

static void check_roi_refused(const float *region, int64_t batch, const char *words)
{
    const float x[4] = {0};
    op_test *test = op_test_create("", "RoiAlign");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 2, 2), x);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 4), region);
    op_test_input(test, MLS_INT64, OP_DIMS(1), &batch);
    ck_assert_fails(op_test_run(test), MLS_ERANGE, words);
    op_test_free(test);
}

START_TEST(roi_align_refused)
{
    check_roi_refused((float[]){0, 0, 1, 1}, 1, "region 0 is of image 1 of 1");
    check_roi_refused((float[]){0, 0, 1, 1}, -1, "region 0 is of image -1 of 1");
    check_roi_refused((float[]){0, 0, 1e9f, 1}, 0, "region 0 is larger than");
    check_roi_refused((float[]){0, 0, 1, INFINITY}, 0, "region 0 is larger than");
}
END_TEST

/* --- MaxRoiPool ------------------------------------------------------------------------------- */

/* The elements of an axis from `from` to `to`, of which bin `bin` has those that it touches. */
static bool is_in_bin(int64_t element, double from, double to, int64_t bin, int64_t bins)
{
    const int64_t first = (int64_t) floor(from / 2 + 0.5), last = (int64_t) floor(to / 2 + 0.5);
    const int64_t length = last < first ? 1 : last - first + 1, at = element - first;
    return (at + 1) * bins > bin * length && at * bins < (bin + 1) * length;
}

static double max_pooled(const double *image, const double *region, int64_t row, int64_t column)
{
    double largest = -INFINITY;
    for (int64_t i = 0; i < 42; i++)
        if (is_in_bin(i / 7, region[2], region[4], row, 4) &&
            is_in_bin(i % 7, region[1], region[3], column, 2))
            largest = fmax(largest, image[i]);
    return largest == -INFINITY ? 0 : largest;
}

START_TEST(max_roi_pool)
{
    static const double corners[6][5] = {{0, 0, 0, 13, 11},   {1, 3.25, 1.5, 8, 9.75},
                                         {1, -6, -4, 30, 22}, {0, 5, 5, 5, 5},
                                         {1, 11, 8, 4, 2},    {0, 40, -40, 50, -30}};
    const mls_dtype dtype = floats[_i];
    uint64_t x[2 * 50 * 42], regions[30], y[6 * 50 * 8];
    double numbers[2 * 50 * 42];
    image_fill(dtype, x, numbers, 2 * 50 * 42, 12);
    for (int i = 0; i < 30; i++)
        op_float_set(dtype, regions, i, corners[i / 5][i % 5]);
    for (int64_t i = 0; i < 6 * 50 * 8; i++) {
        const double *region = corners[i / 400];
        op_float_set(dtype, y, i,
                     max_pooled(numbers + ((int64_t) region[0] * 50 + i / 8 % 50) * 42, region,
                                i % 8 / 2, i % 2));
    }
    op_test *test = op_test_create("", "MaxRoiPool");
    op_test_ints(test, "pooled_shape", 2, (int64_t[]){4, 2});
    op_test_float(test, "spatial_scale", 0.5f);
    op_test_input(test, dtype, OP_DIMS(2, 50, 6, 7), x);
    op_test_input(test, dtype, OP_DIMS(6, 5), regions);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(6, 50, 4, 2), y);
    op_test_free(test);
}
END_TEST

/* Regions for threads to share: each element is a bin of its own. */
START_TEST(max_roi_pool_many)
{
    enum { REGIONS = 100 };
    float x[12], regions[REGIONS * 5], y[REGIONS * 12];
    for (int i = 0; i < 12; i++)
        x[i] = (float) (i * 7 % 12) - 6;
    for (int i = 0; i < REGIONS * 5; i++)
        regions[i] = (const float[]){0, 0, 0, 3, 2}[i % 5];
    for (int i = 0; i < REGIONS * 12; i++)
        y[i] = x[i % 12];
    op_test *test = op_test_create("", "MaxRoiPool");
    op_test_ints(test, "pooled_shape", 2, (int64_t[]){3, 4});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 3, 4), x);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(REGIONS, 5), regions);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(REGIONS, 1, 3, 4), y);
    op_test_free(test);
}
END_TEST

/* Corners that are no numbers or far away; elements that are none, or as small as can be. */
START_TEST(max_roi_pool_far_away)
{
    static const float x[] = {1, NAN, -INFINITY, -INFINITY};
    static const float regions[] = {0, NAN,    0,         0,     0,        /* */
                                    0, 0,      -INFINITY, 1,     INFINITY, /* */
                                    0, -1e30f, -1e30f,    1e30f, 1e30f,    /* */
                                    0, 0,      0,         1,     1,        /* */
                                    0, 0,      1,         1,     1};
    static const float expected[] = {0, 0, NAN, NAN, -INFINITY};
    op_test *test = op_test_create("", "MaxRoiPool");
    op_test_ints(test, "pooled_shape", 2, (int64_t[]){1, 1});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 2, 2), x);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(5, 5), regions);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(5, 1, 1, 1), expected);
    op_test_free(test);
}
END_TEST

START_TEST(max_roi_pool_refused)
{
    static const float images[] = {2, -1, NAN, 1e30f};
    const float x[8] = {0};
    for (size_t i = 0; i <= COUNT(images); i++) {
        const float region[] = {i < COUNT(images) ? images[i] : 0, 0, 0, 1, 1};
        op_test *test = op_test_create("", "MaxRoiPool");
        op_test_ints(test, "pooled_shape", i < COUNT(images) ? 2 : 1, (int64_t[]){1, 1});
        op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 1, 2, 2), x);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 5), region);
        if (i < COUNT(images))
            ck_assert_fails(op_test_run(test), MLS_ERANGE, "region 0 is of image ");
        else
            ck_assert_fails(op_test_run(test), MLS_EINVAL, "pooled_shape has 1 elements");
        op_test_free(test);
    }
}
END_TEST

void add_roi(TCase *tests)
{
    tcase_add_loop_test(tests, roi_align, 0, COUNT(floats));
    tcase_add_test(tests, roi_align_refused);
    tcase_add_loop_test(tests, max_roi_pool, 0, COUNT(floats));
    tcase_add_test(tests, max_roi_pool_many);
    tcase_add_test(tests, max_roi_pool_far_away);
    tcase_add_test(tests, max_roi_pool_refused);
}
