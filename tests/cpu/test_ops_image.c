/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DepthToSpace, SpaceToDepth, CenterCropPad, Col2Im, AffineGrid and GridSample, each against its
 * definition worked out one element at a time.
 */
#include "cpu/elements.h"
#include "cpu/image_test.h"
#include "cpu/topics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- channels and pixels ---------------------------------------------------------------------- */

static void check_depth(mls_dtype dtype, int64_t b, int64_t height, int64_t width, bool is_crd,
                        bool to_space)
{
    const int64_t channels = 3, deep[] = {2, channels * b * b, height, width};
    const int64_t wide[] = {2, channels, height * b, width * b};
    const int64_t count = count_of(4, deep);
    int64_t *from = calloc((size_t) count + 1, sizeof *from);
    index_walk walk = {.rank = 4, .dims = wide};
    while (next_index(&walk)) {
        const int64_t *at = walk.index, row = at[2] % b, column = at[3] % b;
        const int64_t channel =
            is_crd ? at[1] * b * b + row * b + column : (row * b + column) * channels + at[1];
        const int64_t source[] = {at[0], channel, at[2] / b, at[3] / b};
        if (to_space)
            from[walk.position] = position_of(4, deep, source);
        else
            from[position_of(4, deep, source)] = walk.position;
    }
    void *x = make_elements(dtype, count), *y = pick_elements(dtype, x, from, count, NULL);
    op_test *test = op_test_create("", to_space ? "DepthToSpace" : "SpaceToDepth");
    op_test_int(test, "blocksize", b);
    if (is_crd)
        op_test_string(test, "mode", "CRD");
    op_test_input(test, dtype, 4, to_space ? deep : wide, x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, 4, to_space ? wide : deep, y);
    op_test_free(test);
    free(x);
    free(y);
    free(from);
}

START_TEST(depth_and_space)
{
    for (size_t d = 0; d < sized_dtype_count; d++)
        for (int64_t b = 1; b < 4; b++) {
            check_depth(sized_dtypes[d], b, 3, 4, false, true);
            check_depth(sized_dtypes[d], b, 3, 4, true, true);
            check_depth(sized_dtypes[d], b, 2, 5, false, false);
        }
    check_depth(MLS_FLOAT32, 2, 0, 4, false, true);
    check_depth(MLS_FLOAT32, 2, 100, 130, false, true);
}
END_TEST

START_TEST(depth_and_space_refused)
{
    const float x[12] = {0};
    op_test *test = op_test_create("", "DepthToSpace");
    op_test_int(test, "blocksize", 2);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 6, 2, 1), x);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "6 channels are no blocks");
    op_test_free(test);
    test = op_test_create("", "SpaceToDepth");
    op_test_int(test, "blocksize", 0);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 6, 2, 1), x);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "blocksize is 0");
    op_test_free(test);
}
END_TEST

/* --- CenterCropPad ---------------------------------------------------------------------------- */

START_TEST(center)
{
    static const int64_t lengths[][2] = {{4, 5}, {3, 8}, {1, 2}, {9, 5}, {4, 0}};
    const uint64_t zero[2] = {0};
    for (size_t d = 0; d < sized_dtype_count; d++)
        for (size_t l = 0; l < COUNT(lengths); l++) {
            const int64_t x_dims[] = {4, 2, 5}, y_dims[] = {lengths[l][0], 2, lengths[l][1]};
            int64_t from[9 * 2 * 8];
            index_walk walk = {.rank = 3, .dims = y_dims};
            while (next_index(&walk)) {
                int64_t at[3] = {walk.index[0], walk.index[1], walk.index[2]};
                for (int i = 0; i < 3; i += 2)
                    at[i] += x_dims[i] > y_dims[i] ? (x_dims[i] - y_dims[i]) / 2
                                                   : -((y_dims[i] - x_dims[i]) / 2);
                const bool is_kept = at[0] >= 0 && at[0] < 4 && at[2] >= 0 && at[2] < 5;
                from[walk.position] = is_kept ? position_of(3, x_dims, at) : -1;
            }
            void *x = make_elements(sized_dtypes[d], 40);
            void *y = pick_elements(sized_dtypes[d], x, from, count_of(3, y_dims), zero);
            op_test *test = op_test_create("", "CenterCropPad");
            op_test_ints(test, "axes", 2, (int64_t[]){-3, 2});
            op_test_input(test, sized_dtypes[d], 3, x_dims, x);
            op_test_known(test, MLS_INT64, OP_DIMS(2), lengths[l]);
            ck_assert_ok(op_test_run(test));
            op_test_expect(test, 0, sized_dtypes[d], 3, y_dims, y);
            op_test_free(test);
            free(x);
            free(y);
        }
}
END_TEST

/* --- Col2Im ----------------------------------------------------------------------------------- */

typedef struct folding {
    int64_t image[2], block[2], stride[2], dilation[2], pads[4], positions[2];
} folding;

static const folding foldings[] = {
    {{5, 5}, {1, 5}, {1, 1}, {1, 1}, {0}, {5, 1}},
    {{6, 7}, {2, 3}, {1, 1}, {1, 1}, {0}, {5, 5}},
    {{6, 7}, {2, 3}, {2, 2}, {1, 1}, {1, 0, 2, 1}, {4, 3}},
    {{9, 8}, {3, 2}, {1, 2}, {2, 3}, {1, 2, 0, 1}, {6, 4}},
    {{2, 2}, {3, 3}, {1, 1}, {1, 1}, {0}, {0, 0}},
    {{4, 4}, {2, 2}, {2, 2}, {1, 1}, {0, 0, 3, 3}, {3, 3}},
};

static double folded(const folding *f, const double *x, int64_t row, int64_t column)
{
    const int64_t positions = f->positions[0] * f->positions[1];
    double sum = 0;
    for (int64_t k = 0; k < f->block[0] * f->block[1]; k++)
        for (int64_t p = 0; p < positions; p++) {
            const int64_t i =
                p / f->positions[1] * f->stride[0] - f->pads[0] + k / f->block[1] * f->dilation[0];
            const int64_t j =
                p % f->positions[1] * f->stride[1] - f->pads[1] + k % f->block[1] * f->dilation[1];
            if (i == row && j == column)
                sum += x[k * positions + p];
        }
    return sum;
}

static void check_folding(const folding *f, mls_dtype dtype)
{
    const int64_t blocks = f->block[0] * f->block[1], area = f->image[0] * f->image[1];
    const int64_t x_dims[] = {2, 3 * blocks, f->positions[0] * f->positions[1]};
    uint64_t x[2048];
    double numbers[2048], expected[512];
    image_fill(dtype, x, numbers, count_of(3, x_dims), 4);
    for (int64_t i = 0; i < 6 * area; i++)
        expected[i] = folded(f, numbers + i / area * blocks * x_dims[2], i % area / f->image[1],
                             i % f->image[1]);
    op_test *test = op_test_create("", "Col2Im");
    op_test_ints(test, "strides", 2, f->stride);
    op_test_ints(test, "dilations", 2, f->dilation);
    op_test_ints(test, "pads", 4, f->pads);
    op_test_input(test, dtype, 3, x_dims, x);
    op_test_known(test, MLS_INT64, OP_DIMS(2), f->image);
    op_test_known(test, MLS_INT64, OP_DIMS(2), f->block);
    ck_assert_ok(op_test_run(test));
    image_expect(test, dtype, expected);
    op_test_free(test);
}

START_TEST(blocks)
{
    for (size_t d = 0; d < COUNT(floats); d++)
        check_folding(&foldings[_i], floats[d]);
}
END_TEST

/* --- AffineGrid ------------------------------------------------------------------------------- */

static void check_affine(mls_dtype dtype, int space, const int64_t *size, bool aligns)
{
    uint64_t theta[2 * 12];
    double numbers[2 * 12], expected[512];
    const int64_t dims[] = {2, space, space + 1};
    int64_t points = 1;
    image_fill(dtype, theta, numbers, count_of(3, dims), 6);
    for (int i = 0; i < space; i++)
        points *= size[2 + i];
    for (int64_t i = 0; i < 2 * points * space; i++) {
        const double *row = numbers + (i / (points * space) * space + i % space) * (space + 1);
        int64_t rest = i / space % points;
        expected[i] = row[space];
        for (int axis = 0; axis < space; axis++) {
            const int64_t n = size[1 + space - axis], at = rest % n;
            const double place = aligns ? -1 + 2.0 * (double) at / (double) (n - 1)
                                        : (2.0 * (double) at + 1) / (double) n - 1;
            expected[i] += row[axis] * place;
            rest /= n;
        }
    }
    op_test *test = op_test_create("", "AffineGrid");
    op_test_int(test, "align_corners", aligns);
    op_test_input(test, dtype, 3, dims, theta);
    op_test_known(test, MLS_INT64, OP_DIMS(2 + space), size);
    ck_assert_ok(op_test_run(test));
    image_expect(test, dtype, expected);
    op_test_free(test);
}

START_TEST(affine_grid)
{
    for (int aligns = 0; aligns < 2; aligns++) {
        check_affine(floats[_i], 2, (int64_t[]){2, 3, 4, 5}, aligns);
        check_affine(floats[_i], 3, (int64_t[]){2, 3, 2, 4, 5}, aligns);
    }
}
END_TEST

/* --- GridSample ------------------------------------------------------------------------------- */

static const char *const modes[] = {"linear", "nearest", "cubic"};
static const char *const paddings[] = {"zeros", "border", "reflection"};

static double weight_of(int mode, double distance)
{
    const double a = -0.75, x = fabs(distance);
    if (mode == 1)
        return x == 0;
    if (mode == 0)
        return fmax(0, 1 - x);
    return x <= 1  ? (a + 2) * x * x * x - (a + 3) * x * x + 1
           : x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a
                   : 0;
}

/* One bounce at a time. */
static double bounced(double x, double low, double high)
{
    while (low < high && (x < low || x > high))
        x = x < low ? 2 * low - x : 2 * high - x;
    return low < high ? x : low;
}

static int64_t padded_index(int pads, int64_t i, int64_t n, double low, double high)
{
    if (i >= 0 && i < n)
        return i;
    return pads == 0   ? -1
           : pads == 1 ? (i < 0 ? 0 : n - 1)
                       : (int64_t) bounced((double) i, low, high);
}

/* The weight of each of n elements along an axis. */
static void spread(int mode, int pads, bool aligns, double at, int64_t n, double *weights)
{
    const double low = aligns ? 0 : -0.5, high = aligns ? (double) n - 1 : (double) n - 0.5;
    double x = aligns ? (at + 1) / 2 * (double) (n - 1) : ((at + 1) * (double) n - 1) / 2;
    memset(weights, 0, (size_t) n * sizeof *weights);
    if (mode == 1)
        x = rint(x);
    if (pads == 1 && (x < low || x > high))
        x = fmin(fmax(x, 0), (double) n - 1);
    if (pads == 2)
        x = bounced(x, low, high);
    if (mode == 1)
        x = trunc(x);
    for (int64_t i = -20; i < n + 20; i++) {
        const int64_t index = padded_index(pads, i, n, low, high);
        if (index >= 0)
            weights[index] += weight_of(mode, x - (double) i);
    }
}

static void check_grid(mls_dtype dtype, int mode, int pads, bool aligns, int space)
{
    const int64_t x_dims[] = {2, 3, 4, 5, 3}, grid_dims[] = {2, 6, space == 3 ? 2 : 3, 2, 3};
    int64_t points = 1, plane = 1, dims[5] = {2};
    uint64_t x[512], grid[512];
    double numbers[512], places[512], expected[512], w[3][8];
    for (int i = 0; i < space; i++) {
        points *= dims[1 + i] = grid_dims[1 + i];
        plane *= x_dims[2 + i];
    }
    dims[1 + space] = space;
    image_fill(dtype, x, numbers, 6 * plane, 8);
    image_fill(MLS_FLOAT64, grid, places, 2 * points * space, 9);
    for (int64_t i = 0; i < 2 * points * space; i++)
        ((double *) grid)[i] = places[i] = places[i] / 3; /* mostly inside */
    for (int64_t i = 0; i < 6 * points; i++) {
        const double *at = places + (i / (3 * points) * points + i % points) * space;
        for (int axis = 0; axis < space; axis++)
            spread(mode, pads, aligns, at[space - 1 - axis], x_dims[2 + axis], w[axis]);
        expected[i] = 0;
        for (int64_t j = 0; j < plane; j++) {
            const int64_t depth = space == 3 ? j % 3 : 0, rest = space == 3 ? j / 3 : j;
            expected[i] += w[0][rest / 5] * w[1][rest % 5] * (space == 3 ? w[2][depth] : 1) *
                           numbers[i / points * plane + j];
        }
    }
    op_test *test = op_test_create("", "GridSample");
    op_test_string(test, "mode", modes[mode]);
    op_test_string(test, "padding_mode", paddings[pads]);
    op_test_int(test, "align_corners", aligns);
    op_test_input(test, dtype, 2 + space, x_dims, x);
    op_test_input(test, MLS_FLOAT64, 2 + space, dims, grid);
    ck_assert_ok(op_test_run(test));
    image_expect(test, dtype, expected);
    op_test_free(test);
}

START_TEST(grid_sample)
{
    for (int way = 0; way < 3 * 3 * 2 * 2; way++)
        check_grid(floats[_i], way % 3, way / 3 % 3, way / 9 % 2, 2 + way / 18);
}
END_TEST

/* Places that are no numbers, or far away, are outside. */
START_TEST(grid_sample_far_away)
{
    const float x[] = {1, 2, 3, 4};
    const float grid[] = {NAN, 0, INFINITY, 0, -1e30f, 0, 0, 3e38f};
    static const float expected[2][4] = {{0, 0, 0, 0}, {2, 3, 2, 3.5f}};
    for (int pads = 0; pads < 3; pads++) {
        op_test *test = op_test_create("", "GridSample");
        op_test_string(test, "padding_mode", paddings[pads]);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 2, 2), x);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 4, 2), grid);
        ck_assert_ok(op_test_run(test));
        if (pads < 2)
            op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1, 1, 4), expected[pads]);
        op_test_free(test);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_image");
    TCase *tests = tcase_create("image");
    tcase_add_test(tests, depth_and_space);
    tcase_add_test(tests, depth_and_space_refused);
    tcase_add_test(tests, center);
    tcase_add_loop_test(tests, blocks, 0, COUNT(foldings));
    tcase_add_loop_test(tests, affine_grid, 0, COUNT(floats));
    tcase_add_loop_test(tests, grid_sample, 0, COUNT(floats));
    tcase_add_test(tests, grid_sample_far_away);
    add_roi(tests);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
