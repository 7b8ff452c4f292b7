/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of random windows, against each window gone through element by element. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include "tensor/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_RANK     3

static double tolerance_of(mls_dtype dtype)
{
    static const double tolerances[] = {
        [MLS_FLOAT32] = 1e-5,  [MLS_FLOAT64] = 1e-13, [MLS_FLOAT16] = 2e-3,
        [MLS_BFLOAT16] = 2e-2, [MLS_INT8] = 0,        [MLS_UINT8] = 0};
    return tolerances[dtype];
}

static int64_t in_range(uint64_t *seed, int64_t low, int64_t high)
{
    return low + (int64_t) (op_random(seed) % (uint64_t) (high - low + 1));
}

/* A pool of [batch, channels, input...]. */
typedef struct pool {
    int rank;
    int64_t dims[MAX_RANK + 2], out_dims[MAX_RANK + 2]; /* with batch and channels */
    int64_t kernel[MAX_RANK], strides[MAX_RANK], dilations[MAX_RANK], pads[2 * MAX_RANK];
    const char *auto_pad;
    bool takes_ceiling, counts_padding;
    int64_t p;
} pool;

static int64_t count_of(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

/* Output elements along one dimension: windows are counted until one is past the end. */
static int64_t windows_along(const pool *p, int d)
{
    const int64_t span = (p->kernel[d] - 1) * p->dilations[d] + 1, input = p->dims[d + 2];
    const int64_t before = p->pads[d], padded = input + before + p->pads[p->rank + d];
    int64_t count = 0, start = 0;
    for (; start + span <= padded; start += p->strides[d])
        count++;
    const int64_t end = start - p->strides[d] + span;
    return count + (p->takes_ceiling && end < padded && start < input + before);
}

/* Sets what auto_pad means: pads for an output of one element a stride. */
static void pad_to_same(pool *p, int d, bool is_upper)
{
    const int64_t span = (p->kernel[d] - 1) * p->dilations[d] + 1, input = p->dims[d + 2];
    p->out_dims[d + 2] = (input + p->strides[d] - 1) / p->strides[d];
    int64_t total = (p->out_dims[d + 2] - 1) * p->strides[d] + span - input;
    total = total < 0 ? 0 : total;
    p->pads[d] = is_upper ? total / 2 : (total + 1) / 2;
    p->pads[p->rank + d] = total - p->pads[d];
}

static pool random_pool(uint64_t *seed, int64_t widest)
{
    static const char *const auto_pads[] = {NULL,         NULL,         "NOTSET",
                                            "SAME_UPPER", "SAME_LOWER", "VALID"};
    pool p = {.rank = (int) in_range(seed, 1, MAX_RANK)};
    p.dims[0] = p.out_dims[0] = in_range(seed, 1, 2);
    p.dims[1] = p.out_dims[1] = in_range(seed, 1, 3);
    p.auto_pad = auto_pads[in_range(seed, 0, COUNT(auto_pads) - 1)];
    p.takes_ceiling = in_range(seed, 0, 1);
    p.counts_padding = in_range(seed, 0, 1);
    p.p = in_range(seed, 1, 3);
    const bool is_same = p.auto_pad && p.auto_pad[0] == 'S';
    const bool is_valid = p.auto_pad && p.auto_pad[0] == 'V';
    for (int d = 0; d < p.rank; d++) {
        p.kernel[d] = in_range(seed, 1, 4);
        p.strides[d] = in_range(seed, 1, 3);
        p.dilations[d] = in_range(seed, 1, 2);
        const int64_t span = (p.kernel[d] - 1) * p.dilations[d] + 1;
        p.dims[d + 2] = span + in_range(seed, 0, d == p.rank - 1 ? widest : 6);
        for (int side = 0; side < 2 && !is_valid; side++)
            p.pads[side * p.rank + d] = in_range(seed, 0, span - 1 < 3 ? span - 1 : 3);
        if (is_same)
            pad_to_same(&p, d, p.auto_pad[5] == 'U');
        p.takes_ceiling = p.takes_ceiling && !is_same && !is_valid;
    }
    for (int d = 0; d < p.rank && !is_same; d++)
        p.out_dims[d + 2] = windows_along(&p, d);
    return p;
}

/* What a window came to. */
typedef struct window {
    double max, sum;    /* of |x|^p for LpPool, else of x */
    int64_t index;      /* of the maximum in its plane, -1: none */
    int64_t column;     /* the same, counted by columns */
    int64_t count, all; /* elements; with padding, but not past it */
} window;

static void visit(const pool *p, const double *plane, const int64_t *at, window *w, bool is_lp)
{
    int64_t index = 0, column = 0;
    bool is_inside = true, is_padded = true;
    for (int d = 0; d < p->rank; d++) {
        is_inside = is_inside && at[d] >= 0 && at[d] < p->dims[d + 2];
        is_padded = is_padded && at[d] < p->dims[d + 2] + p->pads[p->rank + d];
        index = index * p->dims[d + 2] + at[d];
    }
    for (int d = p->rank - 1; d >= 0; d--)
        column = column * p->dims[d + 2] + at[d];
    w->all += is_padded;
    if (!is_inside)
        return;
    w->count++;
    w->sum += is_lp ? pow(fabs(plane[index]), (double) p->p) : plane[index];
    if (w->index < 0 || plane[index] > w->max) {
        w->max = plane[index];
        w->index = index;
        w->column = column;
    }
}

static window look(const pool *p, const double *plane, int64_t output, bool is_lp)
{
    window w = {.index = -1, .max = -(double) INFINITY};
    const int64_t positions = count_of(p->rank, p->kernel);
    for (int64_t k = 0; k < positions; k++) {
        int64_t at[MAX_RANK], o = output, rest = k;
        for (int d = p->rank - 1; d >= 0; d--) {
            at[d] = o % p->out_dims[d + 2] * p->strides[d] - p->pads[d] +
                    rest % p->kernel[d] * p->dilations[d];
            o /= p->out_dims[d + 2];
            rest /= p->kernel[d];
        }
        visit(p, plane, at, &w, is_lp);
    }
    return w;
}

/* The input's elements: all different from their neighbours, exact in every dtype. */
static double *fill(mls_dtype dtype, void *x, int64_t count, uint64_t *seed)
{
    double *wide = calloc((size_t) count, sizeof *wide);
    for (int64_t i = 0; i < count; i++) {
        wide[i] = (double) in_range(seed, dtype == MLS_UINT8 ? 0 : -100, 100);
        if (op_is_float(dtype))
            op_float_set(dtype, x, i, wide[i]);
        else
            op_integer_set(dtype, x, i, (int64_t) wide[i]);
    }
    return wide;
}

static double output_at(const op_test *test, int64_t i)
{
    const mls_dtype dtype = (mls_dtype) op_test_output(test, 0)->dtype;
    const void *y = op_test_data(test, 0);
    return op_is_float(dtype) ? op_float(dtype, y, i) : (double) op_integer(dtype, y, i);
}

static void set_attrs(op_test *test, const pool *p)
{
    const size_t rank = (size_t) p->rank;
    op_test_ints(test, "kernel_shape", rank, p->kernel);
    op_test_ints(test, "strides", rank, p->strides);
    op_test_ints(test, "dilations", rank, p->dilations);
    if (p->auto_pad)
        op_test_string(test, "auto_pad", p->auto_pad);
    if (!p->auto_pad || p->auto_pad[0] == 'N')
        op_test_ints(test, "pads", 2 * rank, p->pads);
    op_test_int(test, "ceil_mode", p->takes_ceiling);
}

static double expected_of(const pool *p, const char *type, mls_dtype dtype, const window *w)
{
    if (strcmp(type, "LpPool") == 0)
        return pow(w->sum, 1 / (double) p->p);
    if (strcmp(type, "MaxPool") == 0)
        return w->count ? w->max : dtype == MLS_INT8 ? -128 : dtype == MLS_UINT8 ? 0 : w->max;
    const int64_t count = p->counts_padding ? w->all : w->count;
    return w->sum / (double) (count ? count : 1);
}

static void check_output(const op_test *test, const pool *p, const char *type, mls_dtype dtype,
                         const double *x, bool has_indices, bool by_columns)
{
    const int64_t in_plane = count_of(p->rank, p->dims + 2);
    const int64_t out_plane = count_of(p->rank, p->out_dims + 2);
    const mls_arg *y = op_test_output(test, 0);
    ck_assert(mls__shape_equal(y->rank, y->dims, p->rank + 2, p->out_dims));
    for (int64_t i = 0; i < count_of(p->rank + 2, p->out_dims); i++) {
        const int64_t first = i / out_plane * in_plane;
        const window w = look(p, x + first, i % out_plane, strcmp(type, "LpPool") == 0);
        const double expected = expected_of(p, type, dtype, &w), got = output_at(test, i);
        if (got != expected &&
            !(fabs(got - expected) <= tolerance_of(dtype) * (1 + fabs(expected))))
            ck_abort_msg("%s of %s: element %d is %g, expected %g", type, mls_dtype_name(dtype),
                         (int) i, got, expected);
        const int64_t index = by_columns ? w.column : w.index;
        if (has_indices)
            ck_assert_int_eq(((const int64_t *) op_test_data(test, 1))[i],
                             w.index < 0 ? -1 : first + index);
    }
}

static void check(const pool *p, const char *type, mls_dtype dtype, bool has_indices,
                  bool by_columns, uint64_t seed)
{
    const int64_t count = count_of(p->rank + 2, p->dims);
    void *x = calloc((size_t) count, mls_dtype_size(dtype));
    double *wide = fill(dtype, x, count, &seed);
    op_test *test = op_test_create("", type);
    op_test_outputs(test, has_indices ? 2 : 1);
    set_attrs(test, p);
    if (strcmp(type, "LpPool") == 0)
        op_test_int(test, "p", p->p);
    if (strcmp(type, "AveragePool") == 0)
        op_test_int(test, "count_include_pad", p->counts_padding);
    if (by_columns)
        op_test_int(test, "storage_order", 1);
    op_test_input(test, dtype, p->rank + 2, p->dims, x);
    ck_assert_ok(op_test_run(test));
    check_output(test, p, type, dtype, wide, has_indices, by_columns);
    op_test_free(test);
    free(x);
    free(wide);
}

static const mls_dtype dtypes[] = {MLS_FLOAT32,  MLS_FLOAT64, MLS_FLOAT16,
                                   MLS_BFLOAT16, MLS_INT8,    MLS_UINT8};

START_TEST(max_pool)
{
    uint64_t seed = (uint64_t) _i + 1;
    for (size_t i = 0; i < 24; i++) {
        const pool p = random_pool(&seed, 60);
        check(&p, "MaxPool", dtypes[i % 6], i % 4 == 1, i % 8 == 5, seed);
    }
}
END_TEST

START_TEST(average_pool)
{
    uint64_t seed = (uint64_t) _i + 1;
    for (size_t i = 0; i < 24; i++) {
        const pool p = random_pool(&seed, 60);
        check(&p, "AveragePool", dtypes[i % 4], false, false, seed);
    }
}
END_TEST

START_TEST(lp_pool)
{
    uint64_t seed = (uint64_t) _i + 1;
    for (size_t i = 0; i < 24; i++) {
        const pool p = random_pool(&seed, 40);
        check(&p, "LpPool", dtypes[i % 2], false, false, seed);
    }
}
END_TEST

/* Planes enough for threads, and strides past what lanes can be gathered with. */
START_TEST(large_pools)
{
    const pool many = {2,    {2, 30, 40, 40}, {2, 30, 19, 38}, {3, 3}, {2, 1}, {1, 1}, {0},
                       NULL, false,           false,           0};
    check(&many, "MaxPool", MLS_FLOAT32, false, false, 1);
    check(&many, "MaxPool", MLS_FLOAT32, true, false, 1);
    check(&many, "AveragePool", MLS_FLOAT16, false, false, 1);
    const pool one = {1, {1, 1, 3}, {1, 1, 1}, {2}, {1 << 30}, {1}, {0}, NULL, false, false, 0};
    check(&one, "MaxPool", MLS_FLOAT32, false, false, 1);
}
END_TEST

START_TEST(a_nan_is_the_maximum)
{
    const float x[] = {1, NAN, 5, 2, 3, 4}, y[] = {NAN, NAN, 5, 4};
    op_test *test = op_test_create("", "MaxPool");
    op_test_outputs(test, 1 + (size_t) _i);
    op_test_ints(test, "kernel_shape", 1, (int64_t[]){2});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 6), x);
    ck_assert_ok(op_test_run(test));
    ck_assert(isnan(((const float *) op_test_data(test, 0))[0]));
    ck_assert(isnan(((const float *) op_test_data(test, 0))[1]));
    ck_assert(((const float *) op_test_data(test, 0))[2] == y[2]);
    if (_i)
        ck_assert_int_eq(((const int64_t *) op_test_data(test, 1))[0], 1);
    op_test_free(test);
}
END_TEST

START_TEST(pools_follow_smaller_dims)
{
    const float x[] = {1, 2, 3, 4, 5, 6}, y[] = {2, 4, 5.5f};
    op_test *test = op_test_create("", "AveragePool");
    op_test_ints(test, "kernel_shape", 1, (int64_t[]){3});
    op_test_ints(test, "strides", 1, (int64_t[]){2});
    op_test_int(test, "ceil_mode", 1);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 6), x);
    op_test_planned(test, OP_DIMS(3, 2, 50), NULL);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1, 3), y);
    op_test_free(test);
}
END_TEST

/* --- whole planes ---------------------------------------------------------------------------- */

static void check_global(const char *type, mls_dtype dtype, const int64_t *dims, int64_t power)
{
    uint64_t seed = 3;
    const int64_t n = dims[2] * dims[3], planes = dims[0] * dims[1];
    void *x = calloc((size_t) (planes * n), mls_dtype_size(dtype));
    double *wide = fill(dtype, x, planes * n, &seed);
    op_test *test = op_test_create("", type);
    if (power)
        op_test_int(test, "p", power);
    op_test_input(test, dtype, 4, dims, x);
    ck_assert_ok(op_test_run(test));
    const mls_arg *y = op_test_output(test, 0);
    ck_assert(mls__shape_equal(y->rank, y->dims, OP_DIMS(dims[0], dims[1], 1, 1)));
    for (int64_t i = 0; i < planes; i++) {
        double max = -(double) INFINITY, sum = 0;
        for (int64_t j = i * n; j < (i + 1) * n; j++) {
            max = wide[j] > max ? wide[j] : max;
            sum += power ? pow(fabs(wide[j]), (double) power) : wide[j];
        }
        const double mean = power ? pow(sum, 1 / (double) power) : sum / (double) n;
        const double expected = strcmp(type, "GlobalMaxPool") == 0 ? max : mean;
        ck_assert_double_le(fabs(output_at(test, i) - expected),
                            tolerance_of(dtype) * (1 + fabs(expected)));
    }
    op_test_free(test);
    free(x);
    free(wide);
}

START_TEST(global_pools)
{
    const int64_t shapes[][4] = {{2, 3, 7, 9}, {1, 5, 1, 1}, {2, 70, 40, 20}};
    for (size_t d = 0; d < 4; d++)
        for (size_t s = 0; s < COUNT(shapes); s++) {
            check_global("GlobalAveragePool", dtypes[d], shapes[s], 0);
            check_global("GlobalMaxPool", dtypes[d], shapes[s], 0);
        }
    for (int64_t power = 1; power <= 3; power++) {
        check_global("GlobalLpPool", MLS_FLOAT32, shapes[0], power);
        check_global("GlobalLpPool", MLS_FLOAT64, shapes[0], power);
    }
}
END_TEST

/* --- MaxUnpool ------------------------------------------------------------------------------- */

static op_test *unpool(const int64_t *indices)
{
    op_test *test = op_test_create("", "MaxUnpool");
    op_test_ints(test, "kernel_shape", 2, (int64_t[]){2, 2});
    op_test_ints(test, "strides", 2, (int64_t[]){2, 2});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 2, 1), (float[]){7, 8});
    op_test_input(test, MLS_INT64, OP_DIMS(1, 1, 2, 1), indices);
    return test;
}

START_TEST(max_unpool)
{
    op_test *test = unpool((int64_t[]){1, 6});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1, 4, 2), (float[]){0, 7, 0, 0, 0, 0, 8, 0});
    op_test_free(test);
    test = unpool((int64_t[]){1, 6});
    op_test_known(test, MLS_INT64, OP_DIMS(4), (int64_t[]){1, 1, 4, 3});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1, 4, 3),
                   (float[]){0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0});
    op_test_free(test);
    test = unpool((int64_t[]){1, 8});
    ck_assert_fails(op_test_run(test), MLS_ERANGE, "index 8 at 1 of input 1 is outside [0, 8)");
    op_test_free(test);
    test = unpool((int64_t[]){1, 6});
    op_test_known(test, MLS_INT64, OP_DIMS(4), (int64_t[]){1, 1, 4, 1});
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "dim 3 of input 2 is 1, expected 2 or more");
    op_test_free(test);
}
END_TEST

/* --- what is wrong --------------------------------------------------------------------------- */

static const float numbers[10];

static op_test *wrong(const char *name, size_t count, int64_t a, int64_t b)
{
    op_test *test = op_test_create("", "MaxPool");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 5), numbers);
    if (strcmp(name, "kernel_shape") != 0)
        op_test_ints(test, "kernel_shape", 1, (int64_t[]){2});
    op_test_ints(test, name, count, (int64_t[]){a, b});
    return test;
}

static void check_wrong(op_test *test, mls_status status, const char *words)
{
    ck_assert_fails(op_test_infer(test), status, words);
    op_test_free(test);
}

START_TEST(errors)
{
    check_wrong(wrong("kernel_shape", 2, 2, 2), MLS_EINVAL, "kernel_shape has 2 numbers");
    check_wrong(wrong("kernel_shape", 1, 0, 0), MLS_EINVAL, "kernel_shape has 0, expected 1 to");
    check_wrong(wrong("kernel_shape", 1, 6, 0), MLS_ESHAPE, "a window spans 6 elements");
    check_wrong(wrong("strides", 1, INT64_MAX, 0), MLS_EINVAL, "strides has");
    check_wrong(wrong("dilations", 1, INT32_MAX, 0), MLS_ESHAPE, "a window spans 2147483648");
    check_wrong(wrong("pads", 2, 0, 2), MLS_EINVAL, "pads of 0 and 2 are not less");
    op_test *test = op_test_create("", "AveragePool");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 1, 1, 2), numbers);
    op_test_ints(test, "kernel_shape", 3, (int64_t[]){INT32_MAX, INT32_MAX, 2});
    check_wrong(test, MLS_EINVAL, "more than 2^53 positions");
    test = wrong("pads", 2, 0, 0);
    op_test_string(test, "auto_pad", "SAME");
    check_wrong(test, MLS_EINVAL, "auto_pad is not");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_pool");
    TCase *tests = tcase_create("pools");
    tcase_add_loop_test(tests, max_pool, 0, 6);
    tcase_add_loop_test(tests, average_pool, 0, 6);
    tcase_add_loop_test(tests, lp_pool, 0, 4);
    tcase_add_test(tests, large_pools);
    tcase_add_loop_test(tests, a_nan_is_the_maximum, 0, 2);
    tcase_add_test(tests, pools_follow_smaller_dims);
    tcase_add_test(tests, global_pools);
    tcase_add_test(tests, max_unpool);
    tcase_add_test(tests, errors);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
