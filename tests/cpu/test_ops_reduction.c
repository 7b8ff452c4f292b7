/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Reduce ops over every dtype and many axes, against one result at a time: of whole numbers,
 * which every order adds up to the same, and of others in the canonical order written out.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_COUNT = 6000 };

static const char *const types[] = {
    "ReduceSum", "ReduceMean",      "ReduceProd", "ReduceMax",    "ReduceMin",
    "ReduceL1",  "ReduceSumSquare", "ReduceL2",   "ReduceLogSum", "ReduceLogSumExp"};
static const mls_dtype sum_dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16,
                                       MLS_INT32,   MLS_INT64,   MLS_UINT32,  MLS_UINT64};
static const mls_dtype extreme_dtypes[] = {MLS_INT8, MLS_INT16, MLS_UINT8, MLS_UINT16, MLS_BOOL};

/* --- one result at a time -------------------------------------------------------------------- */

/* The numbers that make one result. */
typedef struct numbers {
    int64_t count;
    double values[MAX_COUNT];
} numbers;

static double sum_of(const numbers *x, double (*of)(double))
{
    double sum = 0;
    for (int64_t i = 0; i < x->count; i++)
        sum += of(x->values[i]);
    return sum;
}

static double same_number(double x)
{
    return x;
}

static double square(double x)
{
    return x * x;
}

static double extreme_of(const numbers *x, int sign)
{
    double best = -INFINITY;
    for (int64_t i = 0; i < x->count; i++)
        best = fmax(best, sign * x->values[i]);
    return sign * best;
}

static double reference(const char *type, const numbers *x)
{
    double product = 1;
    for (int64_t i = 0; i < x->count; i++)
        product *= x->values[i];
    if (strcmp(type, "ReduceSum") == 0)
        return sum_of(x, same_number);
    if (strcmp(type, "ReduceMean") == 0)
        return sum_of(x, same_number) / (double) x->count;
    if (strcmp(type, "ReduceProd") == 0)
        return product;
    if (strcmp(type, "ReduceMax") == 0)
        return extreme_of(x, 1);
    if (strcmp(type, "ReduceMin") == 0)
        return extreme_of(x, -1);
    if (strcmp(type, "ReduceL1") == 0)
        return sum_of(x, fabs);
    if (strcmp(type, "ReduceSumSquare") == 0)
        return sum_of(x, square);
    if (strcmp(type, "ReduceL2") == 0)
        return sqrt(sum_of(x, square));
    if (strcmp(type, "ReduceLogSum") == 0)
        return log(sum_of(x, same_number));
    return log(sum_of(x, exp));
}

/* --- shapes ---------------------------------------------------------------------------------- */

static const struct reduction {
    int rank;
    int64_t dims[5];
    int axis_count; /* -1: no axes are given */
    int64_t axes[5];
} reductions[] = {
    {0, {0}, -1, {0}},
    {1, {7}, -1, {0}},
    {1, {200}, 1, {0}},
    {2, {3, 70}, 1, {1}},
    {2, {70, 3}, 1, {-2}},
    {2, {5, 67}, 2, {1, 0}},
    {3, {4, 3, 20}, 1, {1}},
    {3, {4, 3, 20}, 2, {0, 2}},
    {3, {4, 3, 20}, 2, {-1, -2}},
    {3, {2, 33, 2}, 2, {0, 1}},
    {4, {2, 3, 4, 5}, 2, {1, 3}},
    {5, {2, 3, 2, 3, 2}, 3, {4, 2, 0}},
    {5, {1, 2, 1, 3, 1}, 3, {0, 2, 4}},
    {3, {2, 3, 4}, 0, {0}},
    {2, {0, 3}, 1, {1}},
};

static int64_t count_of(const struct reduction *r)
{
    int64_t count = 1;
    for (int i = 0; i < r->rank; i++)
        count *= r->dims[i];
    return count;
}

/* The dims of the results, with the reduced ones as 1. */
static void kept_dims(const struct reduction *r, bool is_noop, int64_t *ret_dims)
{
    for (int i = 0; i < r->rank; i++) {
        bool is_reduced = r->axis_count <= 0 && !is_noop;
        for (int a = 0; a < r->axis_count; a++)
            is_reduced |= r->axes[a] == i || r->axes[a] + r->rank == i;
        ret_dims[i] = is_reduced ? 1 : r->dims[i];
    }
}

/* The numbers of result `index`. */
static void gather(const struct reduction *r, const int64_t *kept, const double *x, int64_t index,
                   numbers *ret_numbers)
{
    ret_numbers->count = 0;
    for (int64_t i = 0; i < count_of(r); i++)
        if (op_broadcast_index(i, r->rank, r->dims, r->rank, kept) == index)
            ret_numbers->values[ret_numbers->count++] = x[i];
}

static int drop_ones(const struct reduction *r, const int64_t *kept, const bool *reduced,
                     int64_t *ret_dims)
{
    int rank = 0;
    for (int i = 0; i < r->rank; i++)
        if (!reduced[i])
            ret_dims[rank++] = kept[i];
    return rank;
}

static op_test *reduce_test(const char *type, const struct reduction *r, mls_dtype dtype,
                            const void *data)
{
    op_test *test = op_test_create("", type);
    op_test_input(test, dtype, r->rank, r->dims, data);
    if (r->axis_count >= 0)
        op_test_known(test, MLS_INT64, OP_DIMS(r->axis_count), r->axes);
    return test;
}

/* --- every op -------------------------------------------------------------------------------- */

/* Whole numbers; those of logarithms and of unsigned types are positive. */
static void fill_numbers(const char *type, mls_dtype dtype, int64_t count, double *values,
                         void *data)
{
    uint64_t seed = 11;
    const bool is_positive =
        strcmp(type, "ReduceLogSum") == 0 || (!op_is_float(dtype) && !op_is_signed(dtype));
    for (int64_t i = 0; i < count; i++) {
        const double value = (double) (op_random(&seed) % 3) + 1;
        values[i] = dtype == MLS_BOOL                     ? (double) (op_random(&seed) % 2)
                    : is_positive || op_random(&seed) % 2 ? value
                                                          : -value;
        if (strcmp(type, "ReduceProd") == 0 && i % 29)
            values[i] = 1;
        if (op_is_float(dtype))
            op_float_set(dtype, data, i, values[i]);
        else
            op_integer_set(dtype, data, i, (int64_t) values[i]);
    }
}

/* What a float of the dtype may be off by, relative to the number. */
static double error_of(mls_dtype dtype)
{
    return dtype == MLS_FLOAT16    ? 0x1p-10
           : dtype == MLS_BFLOAT16 ? 0x1p-7
           : dtype == MLS_FLOAT32  ? 4e-7
                                   : 1e-14;
}

static void expect_number(const char *type, mls_dtype dtype, const void *data, int64_t i,
                          double expected)
{
    if (!op_is_float(dtype)) {
        ck_assert_msg(op_integer(dtype, data, i) == (int64_t) expected, "%s of %s: %lld, not %g",
                      type, mls_dtype_name(dtype), (long long) op_integer(dtype, data, i),
                      expected);
        return;
    }
    char rounded[8];
    op_float_set(dtype, rounded, 0, expected);
    const double got = op_float(dtype, data, i), wanted = op_float(dtype, rounded, 0);
    ck_assert_msg(got == wanted || fabs(got - wanted) <= error_of(dtype) * fabs(wanted) ||
                      fabs(got - wanted) < 1e-7,
                  "%s of %s: %.9g, not %.9g", type, mls_dtype_name(dtype), got, wanted);
}

static void check_reduction(const char *type, mls_dtype dtype, const struct reduction *r,
                            bool is_noop)
{
    static double values[MAX_COUNT];
    static numbers one;
    int64_t kept[5];
    void *data = calloc((size_t) count_of(r) + 1, 8);
    fill_numbers(type, dtype, count_of(r), values, data);
    kept_dims(r, is_noop, kept);
    op_test *test = reduce_test(type, r, dtype, data);
    if (is_noop)
        op_test_int(test, "noop_with_empty_axes", 1);
    ck_assert_ok(op_test_run(test));
    const mls_arg *y = op_test_output(test, 0);
    ck_assert_int_eq(y->dtype, dtype);
    ck_assert_int_eq(y->rank, r->rank);
    for (int i = 0; i < r->rank; i++)
        ck_assert_int_eq(y->dims[i], kept[i]);
    int64_t results = 1;
    for (int i = 0; i < r->rank; i++)
        results *= kept[i];
    for (int64_t i = 0; i < results; i++) {
        gather(r, kept, values, i, &one);
        expect_number(type, dtype, op_test_data(test, 0), i, reference(type, &one));
    }
    op_test_free(test);
    free(data);
}

START_TEST(test_reduce)
{
    for (size_t d = 0; d < COUNT(sum_dtypes); d++)
        for (size_t i = 0; i < COUNT(reductions); i++)
            check_reduction(types[_i], sum_dtypes[d], &reductions[i], false);
}
END_TEST

START_TEST(test_extremes_of_small_types)
{
    for (size_t d = 0; d < COUNT(extreme_dtypes); d++)
        for (size_t i = 0; i < COUNT(reductions); i++)
            check_reduction(_i ? "ReduceMin" : "ReduceMax", extreme_dtypes[d], &reductions[i],
                            false);
}
END_TEST

/* An empty set of axes reduces each element alone. */
START_TEST(test_no_axes)
{
    static const struct reduction none[] = {{3, {2, 3, 4}, 0, {0}}, {2, {5, 70}, -1, {0}}};
    for (size_t d = 0; d < COUNT(sum_dtypes); d++)
        for (size_t i = 0; i < COUNT(none); i++)
            check_reduction(types[_i], sum_dtypes[d], &none[i], true);
}
END_TEST

START_TEST(test_keepdims)
{
    static const float x[2 * 3 * 4] = {[5] = 2, [17] = 3};
    static const bool reduced[] = {true, false, true};
    const struct reduction r = {3, {2, 3, 4}, 2, {0, 2}};
    int64_t kept[5], dims[5];
    kept_dims(&r, false, kept);
    op_test *test = reduce_test("ReduceSum", &r, MLS_FLOAT32, x);
    op_test_int(test, "keepdims", 0);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, drop_ones(&r, kept, reduced, dims), dims,
                   (const float[]){0, 5, 0});
    op_test_free(test);
}
END_TEST

/* Large enough for threads. */
START_TEST(test_threads)
{
    enum { A = 300, B = 6, C = 150 };
    float *x = calloc(A * B * C, sizeof *x);
    float rows[A * B] = {0}, columns[B * C] = {0}, both[B] = {0};
    for (int64_t i = 0; i < A * B * C; i++) {
        x[i] = (float) (i * 7919 % 31) - 15;
        rows[i / C] += x[i];
        columns[i % (B * C)] += x[i];
        both[i / C % B] += x[i];
    }
    const struct {
        int64_t axes[2], axis_count;
        const float *y;
        int64_t dims[3];
    } cases[] = {
        {{2}, 1, rows, {A, B, 1}}, {{0}, 1, columns, {1, B, C}}, {{0, 2}, 2, both, {1, B, 1}}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        op_test *test = op_test_create("", "ReduceSum");
        op_test_input(test, MLS_FLOAT32, OP_DIMS(A, B, C), x);
        op_test_constant(test, MLS_INT64, OP_DIMS(cases[i].axis_count), cases[i].axes);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT32, 3, cases[i].dims, cases[i].y);
        op_test_free(test);
    }
    free(x);
}
END_TEST

/* --- the canonical order --------------------------------------------------------------------- */

static double row_sum(const double *x, int64_t n)
{
    double lanes[64] = {0};
    for (int64_t i = 0; i < n; i++)
        lanes[i % 64] += x[i];
    for (int half = 32; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

/* Innermost axes first; neighbours as one; outer axes one element after the other. */
START_TEST(test_order)
{
    enum { A = 3, B = 5, C = 150 };
    double x[A * B * C], rows[A * B], neighbours[A], columns[B * C] = {0}, both[B] = {0};
    uint64_t seed = 3;
    for (int i = 0; i < A * B * C; i++)
        x[i] = (double) op_random(&seed) / 0x1p60;
    for (int i = 0; i < A * B; i++)
        rows[i] = row_sum(x + i * C, C);
    for (int i = 0; i < A; i++)
        neighbours[i] = row_sum(x + i * B * C, B * C);
    for (int i = 0; i < A * B * C; i++)
        columns[i % (B * C)] += x[i];
    for (int i = 0; i < A * B; i++)
        both[i % B] += rows[i];
    const struct {
        int64_t axes[2], axis_count;
        const double *y;
        int64_t dims[3];
    } cases[] = {{{2}, 1, rows, {A, B, 1}},
                 {{1, 2}, 2, neighbours, {A, 1, 1}},
                 {{0}, 1, columns, {1, B, C}},
                 {{0, 2}, 2, both, {1, B, 1}}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        op_test *test = op_test_create("", "ReduceSum");
        op_test_input(test, MLS_FLOAT64, OP_DIMS(A, B, C), x);
        op_test_constant(test, MLS_INT64, OP_DIMS(cases[i].axis_count), cases[i].axes);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT64, 3, cases[i].dims, cases[i].y);
        op_test_free(test);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_reduction");
    TCase *all = tcase_create("reductions");
    tcase_add_loop_test(all, test_reduce, 0, COUNT(types));
    tcase_add_loop_test(all, test_extremes_of_small_types, 0, 2);
    tcase_add_loop_test(all, test_no_axes, 0, COUNT(types));
    tcase_add_test(all, test_keepdims);
    tcase_add_test(all, test_threads);
    tcase_add_test(all, test_order);
    add_special_reductions(all);
    suite_add_tcase(suite, all);
    return mls_test_run(suite);
}
