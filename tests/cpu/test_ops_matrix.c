/* SPDX-License-Identifier: Apache-2.0 */
/* Trilu, EyeLike, Det, OneHot and Hardmax, index by index. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

/* --- Trilu ----------------------------------------------------------------------------------- */

static const struct {
    int rank;
    int64_t dims[MLS_MAX_RANK], k;
} triangles[] = {
    {2, {4, 5}, 0},       {2, {5, 4}, 1},         {2, {5, 4}, -2}, {3, {2, 3, 3}, -1},
    {4, {2, 1, 3, 7}, 4}, {2, {3, 3}, INT64_MAX}, {2, {3, 0}, 0},  {2, {3, 3}, INT64_MIN},
    {3, {0, 3, 3}, 0},    {2, {1, 1}, 0},         {2, {1, 1}, 1},  {3, {3, 300, 250}, 17},
};

static void check_trilu(int row, mls_dtype dtype, int upper, bool is_given)
{
    const int rank = triangles[row].rank;
    const int64_t *dims = triangles[row].dims, k = is_given ? triangles[row].k : 0;
    const int64_t count = count_of(rank, dims), columns = dims[rank - 1], rows = dims[rank - 2];
    const uint64_t zero[2] = {0};
    int64_t *from = calloc((size_t) count + 1, sizeof *from);
    for (int64_t i = 0; i < count; i++) {
        const double distance = (double) (i % columns) - (double) (i / columns % rows);
        from[i] = (upper ? distance >= (double) k : distance <= (double) k) ? i : -1;
    }
    void *x = make_elements(dtype, count), *y = pick_elements(dtype, x, from, count, zero);
    op_test *test = op_test_create("", "Trilu");
    if (!upper)
        op_test_int(test, "upper", 0);
    op_test_input(test, dtype, rank, dims, x);
    if (is_given)
        op_test_input(test, MLS_INT64, OP_SCALAR, &k);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, rank, dims, y);
    op_test_free(test);
    free(x);
    free(y);
    free(from);
}

START_TEST(trilu)
{
    for (size_t d = 0; d < sized_dtype_count; d++)
        for (int way = 0; way < 4; way++)
            if (count_of(triangles[_i].rank, triangles[_i].dims) < 1000 || d == 2)
                check_trilu(_i, sized_dtypes[d], way & 1, way & 2);
}
END_TEST

/* --- EyeLike --------------------------------------------------------------------------------- */

START_TEST(eye_like)
{
    static const struct {
        mls_dtype dtype;
        uint64_t one;
    } kinds[] = {{MLS_FLOAT32, 0x3f800000},
                 {MLS_FLOAT16, 0x3c00},
                 {MLS_BFLOAT16, 0x3f80},
                 {MLS_FLOAT64, UINT64_C(0x3ff0000000000000)},
                 {MLS_BOOL, 1},
                 {MLS_UINT64, 1},
                 {MLS_INT8, 1}};
    const int64_t offsets[] = {0, 1, -2, 9, INT64_MIN};
    const float x[12] = {0};
    for (size_t d = 0; d < COUNT(kinds); d++)
        for (size_t o = 0; o < COUNT(offsets); o++) {
            const size_t size = mls_dtype_size(kinds[d].dtype);
            char y[12 * 8] = {0};
            for (size_t i = 0; i < 12; i++)
                if ((double) (i % 4) - (double) (i / 4) == (double) offsets[o])
                    memcpy(y + i * size, &kinds[d].one, size);
            op_test *test = op_test_create("", "EyeLike");
            op_test_int(test, "k", offsets[o]);
            if (kinds[d].dtype != MLS_FLOAT32)
                op_test_int(test, "dtype", kinds[d].dtype);
            op_test_input(test, MLS_FLOAT32, OP_DIMS(3, 4), x);
            ck_assert_ok(op_test_run(test));
            op_test_expect(test, 0, kinds[d].dtype, OP_DIMS(3, 4), y);
            op_test_free(test);
        }
}
END_TEST

/* --- Det ------------------------------------------------------------------------------------- */

/* By the first row's minors. */
static double minors(const double *a, int n)
{
    double rest[36], sum = 0;
    if (n == 0)
        return 1;
    for (int skipped = 0; skipped < n; skipped++) {
        for (int i = 1; i < n; i++)
            for (int j = 0, at = 0; j < n; j++)
                if (j != skipped)
                    rest[(i - 1) * (n - 1) + at++] = a[i * n + j];
        sum += (skipped % 2 ? -1 : 1) * a[skipped] * minors(rest, n - 1);
    }
    return sum;
}

/* Small integers: determinants are exact but for the quotients. */
static void check_det(mls_dtype dtype, int n)
{
    uint64_t x[3 * 36];
    double a[3 * 36], y[3];
    uint64_t seed = (uint64_t) n + 1;
    const int square = n * n;
    for (int i = 0; i < 3 * square; i++) {
        a[i] = (double) (op_random(&seed) % 9) - 4;
        op_float_set(dtype, x, i, a[i]);
    }
    for (int j = 0; j < n; j++) /* the last one is singular */
        op_float_set(dtype, x, 3 * square - n + j, a[3 * square - n + j] = a[2 * square + j]);
    for (int i = 0; i < 3; i++)
        y[i] = n == 1 ? a[i] : minors(a + i * square, n);
    op_test *test = op_test_create("", "Det");
    op_test_input(test, dtype, OP_DIMS(3, 1, n, n), x);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < 3; i++) {
        const double got = op_float(dtype, op_test_data(test, 0), i);
        const double slack = dtype == MLS_BFLOAT16 || dtype == MLS_FLOAT16 ? 0x1p-8 : 1e-6;
        ck_assert_msg(fabs(got - y[i]) <= slack * fabs(y[i]) + 1e-9, "%d x %d: %g, expected %g", n,
                      n, got, y[i]);
    }
    op_test_free(test);
}

START_TEST(det)
{
    for (int n = 1; n <= 5; n++)
        check_det(floats[_i], n);
}
END_TEST

START_TEST(det_of_nothing_and_refused)
{
    const float x[6] = {0}, one[2] = {1, 1};
    op_test *test = op_test_create("", "Det");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 0, 0), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(2), one);
    op_test_free(test);
    test = op_test_create("", "Det");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "2 rows and 3 columns");
    op_test_free(test);
    test = op_test_create("", "Trilu");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(6), x);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "a matrix needs 2");
    op_test_free(test);
    test = op_test_create("", "EyeLike");
    op_test_int(test, "dtype", MLS_STRING);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "a matrix of data type 8");
    op_test_free(test);
}
END_TEST

/* --- OneHot ---------------------------------------------------------------------------------- */

static const mls_dtype index_dtypes[] = {MLS_INT64, MLS_INT8,    MLS_UINT64, MLS_INT32,
                                         MLS_UINT8, MLS_FLOAT32, MLS_FLOAT16};

static void set_index(mls_dtype dtype, void *indices, int64_t i, int64_t value)
{
    if (op_is_float(dtype))
        op_float_set(dtype, indices, i, (double) value);
    else
        op_integer_set(dtype, indices, i, value);
}

/* Indices [3, 5] from -7 to 7 and beyond; depth 4 along `axis`. */
static void check_one_hot(mls_dtype index_dtype, mls_dtype dtype, int64_t axis)
{
    const bool is_signed = op_is_signed(index_dtype) || op_is_float(index_dtype);
    const int position = (int) (axis < 0 ? axis + 3 : axis);
    int64_t dims[3] = {3, 5, 5}, from[60];
    uint64_t indices[15], depth[1];
    dims[position] = 4;
    if (position == 0)
        dims[1] = 3;
    for (int64_t i = 0; i < 15; i++)
        set_index(index_dtype, indices, i, is_signed ? i - 7 : i);
    index_walk walk = {.rank = 3, .dims = dims};
    while (next_index(&walk)) {
        const int64_t row = walk.index[position == 0], column = walk.index[position == 2 ? 1 : 2];
        const int64_t value = row * 5 + column - (is_signed ? 7 : 0);
        const int64_t place = value < 0 ? value + 4 : value;
        from[walk.position] = place == walk.index[position];
    }
    void *values = make_elements(dtype, 2);
    void *y = pick_elements(dtype, values, from, 60, NULL);
    set_index(index_dtype, depth, 0, 4);
    op_test *test = op_test_create("", "OneHot");
    op_test_int(test, "axis", axis);
    op_test_input(test, index_dtype, OP_DIMS(3, 5), indices);
    op_test_known(test, index_dtype, OP_SCALAR, depth);
    op_test_input(test, dtype, OP_DIMS(2), values);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, 3, dims, y);
    op_test_free(test);
    free(values);
    free(y);
}

START_TEST(one_hot)
{
    for (int64_t axis = -3; axis < 3; axis++)
        for (size_t d = 0; d < sized_dtype_count; d++)
            check_one_hot(index_dtypes[_i], sized_dtypes[d], axis);
}
END_TEST

START_TEST(one_hot_of_odd_numbers)
{
    const float indices[] = {NAN, INFINITY, -INFINITY, 1.75f, -0.5f, 1e30f}, values[] = {-1, 5};
    const float y[6][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, 5}, {5, -1}, {-1, -1}};
    const int64_t depth = 2, below = -1;
    op_test *test = op_test_create("", "OneHot");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(6), indices);
    op_test_constant(test, MLS_INT64, OP_DIMS(1), &depth);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2), values);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(6, 2), y);
    op_test_free(test);
    test = op_test_create("", "OneHot");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(6), indices);
    op_test_constant(test, MLS_INT64, OP_DIMS(1), &below);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2), values);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "the depth is not from 0");
    op_test_free(test);
}
END_TEST

/* --- Hardmax --------------------------------------------------------------------------------- */

static void check_hardmax(mls_dtype dtype, int64_t outer, int64_t n, int64_t inner, bool is_flat)
{
    const int64_t count = outer * n * inner;
    uint64_t *x = calloc((size_t) count + 1, 8), *y = calloc((size_t) count + 1, 8), seed = 9;
    for (int64_t i = 0; i < count; i++) {
        const uint64_t pick = op_random(&seed) % 40;
        op_float_set(dtype, x, i, pick == 0 ? (double) NAN : pick == 1 ? -0.0 : (double) pick - 20);
    }
    const int64_t length = is_flat ? n * inner : n, step = is_flat ? 1 : inner;
    for (int64_t s = 0; s < count / length; s++) {
        const int64_t first = is_flat ? s * length : s / inner * n * inner + s % inner;
        int64_t best = first;
        for (int64_t i = 0; i < length; i++) {
            const int64_t at = first + i * step;
            const double value = op_float(dtype, x, at), top = op_float(dtype, x, best);
            if (!isnan(top) && (isnan(value) || value > top))
                best = at;
            op_float_set(dtype, y, at, 0);
        }
        op_float_set(dtype, y, best, 1);
    }
    op_test *test = op_test_create("", "Hardmax");
    op_test_int(test, "axis", 1);
    op_test_int(test, "mls_flatten", is_flat);
    op_test_input(test, dtype, OP_DIMS(outer, n, inner), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(outer, n, inner), y);
    op_test_free(test);
    free(x);
    free(y);
}

START_TEST(hardmax)
{
    check_hardmax(floats[_i], 3, 5, 1, false);
    check_hardmax(floats[_i], 3, 5, 4, false);
    check_hardmax(floats[_i], 2, 5, 4, true);
    check_hardmax(floats[_i], 1, 700, 3, false);
    check_hardmax(floats[_i], 500, 300, 1, false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_matrix");
    TCase *tests = tcase_create("matrix");
    tcase_add_loop_test(tests, trilu, 0, COUNT(triangles));
    tcase_add_test(tests, eye_like);
    tcase_add_loop_test(tests, det, 0, COUNT(floats));
    tcase_add_test(tests, det_of_nothing_and_refused);
    tcase_add_loop_test(tests, one_hot, 0, COUNT(index_dtypes));
    tcase_add_test(tests, one_hot_of_odd_numbers);
    tcase_add_loop_test(tests, hardmax, 0, COUNT(floats));
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
