/* SPDX-License-Identifier: Apache-2.0 */
/* Ops along one axis, against one slice at a time: ArgMax, ArgMin, TopK, CumSum, CumProd, softmax.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16,
                                   MLS_INT8,    MLS_INT16,   MLS_INT32,   MLS_INT64,
                                   MLS_UINT8,   MLS_UINT16,  MLS_UINT32,  MLS_UINT64};

/* A tensor of [outer, n, inner], whose middle dimension is the axis. */
typedef struct slices {
    int64_t outer, n, inner;
} slices;

static const slices shapes[] = {{1, 1, 1},   {3, 7, 1}, {2, 5, 3},
                                {1, 300, 1}, {4, 1, 5}, {2, 70, 20}};

static int64_t count_of(const slices *s)
{
    return s->outer * s->n * s->inner;
}

static void *make_elements(mls_dtype dtype, int64_t count, uint64_t seed)
{
    void *data = calloc((size_t) count + 1, mls_dtype_size(dtype));
    ck_assert_ptr_nonnull(data);
    op_fill(dtype, data, count, seed);
    /* Some elements are equal. */
    const size_t size = mls_dtype_size(dtype);
    for (int64_t i = 3; i < count; i += 4)
        memcpy((char *) data + (size_t) i * size, (char *) data + (size_t) (i - 3) * size, size);
    return data;
}

/* -1, 0, 1; a NaN is above all else, and equals another. */
static int order(mls_dtype dtype, const void *x, int64_t i, int64_t j)
{
    if (op_is_float(dtype)) {
        const double a = op_float(dtype, x, i), b = op_float(dtype, x, j);
        if (isnan(a) || isnan(b))
            return isnan(a) - isnan(b);
        return a < b ? -1 : a > b;
    }
    const int64_t a = op_integer(dtype, x, i), b = op_integer(dtype, x, j);
    if (dtype == MLS_UINT64)
        return (uint64_t) a < (uint64_t) b ? -1 : (uint64_t) a > (uint64_t) b;
    return a < b ? -1 : a > b;
}

static bool is_nan(mls_dtype dtype, const void *x, int64_t i)
{
    return op_is_float(dtype) && isnan(op_float(dtype, x, i));
}

/* --- ArgMax, ArgMin -------------------------------------------------------------------------- */

/* Whether element i is what is looked for, rather than element j: a NaN, in any case. */
static int better(mls_dtype dtype, const void *x, bool is_min, int64_t i, int64_t j)
{
    if (is_min && (is_nan(dtype, x, i) || is_nan(dtype, x, j)))
        return is_nan(dtype, x, i) - is_nan(dtype, x, j);
    return is_min ? -order(dtype, x, i, j) : order(dtype, x, i, j);
}

static void check_position(const slices *s, mls_dtype dtype, bool is_min, bool takes_last)
{
    void *x = make_elements(dtype, count_of(s), 5);
    int64_t *y = calloc((size_t) (s->outer * s->inner) + 1, sizeof *y);
    for (int64_t i = 0; i < s->outer * s->inner; i++) {
        const int64_t first = i / s->inner * s->n * s->inner + i % s->inner;
        for (int64_t k = 1; k < s->n; k++) {
            const int sign =
                better(dtype, x, is_min, first + k * s->inner, first + y[i] * s->inner);
            if (sign > 0 || (sign == 0 && takes_last))
                y[i] = k;
        }
    }
    op_test *test = op_test_create("", is_min ? "ArgMin" : "ArgMax");
    op_test_int(test, "axis", -2);
    op_test_int(test, "keepdims", takes_last);
    if (takes_last)
        op_test_int(test, "select_last_index", 1);
    op_test_input(test, dtype, OP_DIMS(s->outer, s->n, s->inner), x);
    ck_assert_ok(op_test_run(test));
    if (takes_last)
        op_test_expect(test, 0, MLS_INT64, OP_DIMS(s->outer, 1, s->inner), y);
    else
        op_test_expect(test, 0, MLS_INT64, OP_DIMS(s->outer, s->inner), y);
    op_test_free(test);
    free(x);
    free(y);
}

START_TEST(test_positions)
{
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (int way = 0; way < 4; way++)
            check_position(&shapes[_i], dtypes[d], way & 1, way & 2);
}
END_TEST

START_TEST(test_positions_threads)
{
    const slices s = {300, 50, 9};
    check_position(&s, MLS_FLOAT32, false, false);
}
END_TEST

START_TEST(test_position_errors)
{
    static const float x[6];
    op_test *test = op_test_create("", "ArgMax");
    op_test_int(test, "axis", 2);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "axis 2");
    op_test_free(test);
    test = op_test_create("", "ArgMin");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(0, 3), x);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "no elements along axis 0");
    op_test_free(test);
    test = op_test_create("", "ArgMin");
    op_test_input(test, MLS_BOOL, OP_DIMS(2, 3), x);
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 0 is bool");
    op_test_free(test);
}
END_TEST

/* --- TopK ------------------------------------------------------------------------------------ */

/* The index of the next best element that is not yet taken. */
static int64_t next_best(mls_dtype dtype, const void *x, int64_t first, const slices *s,
                         bool largest, const bool *taken)
{
    int64_t best = -1;
    for (int64_t k = 0; k < s->n; k++) {
        if (taken[k])
            continue;
        const int sign =
            best < 0 ? 1 : order(dtype, x, first + k * s->inner, first + best * s->inner);
        if (best < 0 || (largest ? sign > 0 : sign < 0))
            best = k;
    }
    return best;
}

static void check_top_k(const slices *s, mls_dtype dtype, int64_t k, bool largest)
{
    const size_t size = mls_dtype_size(dtype);
    char *x = make_elements(dtype, count_of(s), 9);
    const size_t results = (size_t) (s->outer * k * s->inner);
    char *values = calloc(results + 1, size);
    int64_t *indices = calloc(results + 1, sizeof *indices);
    bool *taken = calloc((size_t) s->n, sizeof *taken);
    for (int64_t i = 0; i < s->outer * s->inner; i++) {
        const int64_t outer = i / s->inner, column = i % s->inner;
        const int64_t first = outer * s->n * s->inner + column;
        memset(taken, 0, (size_t) s->n * sizeof *taken);
        for (int64_t j = 0; j < k; j++) {
            const int64_t best = next_best(dtype, x, first, s, largest, taken);
            const int64_t at = (outer * k + j) * s->inner + column;
            taken[best] = true;
            indices[at] = best;
            memcpy(values + (size_t) at * size, x + (size_t) (first + best * s->inner) * size,
                   size);
        }
    }
    op_test *test = op_test_create("", "TopK");
    op_test_outputs(test, 2);
    op_test_int(test, "axis", 1);
    op_test_int(test, "largest", largest);
    op_test_input(test, dtype, OP_DIMS(s->outer, s->n, s->inner), x);
    op_test_known(test, MLS_INT64, OP_DIMS(1), &k);
    op_test_planned(test, OP_DIMS(1), &(int64_t){s->n});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(s->outer, k, s->inner), values);
    op_test_expect(test, 1, MLS_INT64, OP_DIMS(s->outer, k, s->inner), indices);
    op_test_free(test);
    free(x);
    free(values);
    free(indices);
    free(taken);
}

START_TEST(test_top_k)
{
    const int64_t n = shapes[_i].n, ks[] = {0, 1, n / 3, n - 1, n};
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (size_t k = 0; k < COUNT(ks); k++)
            for (int largest = 0; largest < 2; largest++)
                check_top_k(&shapes[_i], dtypes[d], ks[k], largest);
}
END_TEST

START_TEST(test_top_k_threads)
{
    const slices s = {60, 100, 8};
    check_top_k(&s, MLS_FLOAT32, 7, true);
}
END_TEST

START_TEST(test_top_k_errors)
{
    static const int64_t ks[] = {-1, 4};
    static const float x[6];
    for (size_t i = 0; i < COUNT(ks); i++) {
        op_test *test = op_test_create("", "TopK");
        op_test_outputs(test, 2);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
        op_test_known(test, MLS_INT64, OP_DIMS(1), &ks[i]);
        ck_assert_fails(op_test_infer(test), MLS_EINVAL, "there are 3 elements along axis 1");
        op_test_free(test);
    }
    op_test *test = op_test_create("", "TopK");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    op_test_known(test, MLS_INT64, OP_DIMS(0), NULL);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "expected one");
    op_test_free(test);
}
END_TEST

/* --- CumSum ---------------------------------------------------------------------------------- */

static const mls_dtype sum_dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16,
                                       MLS_INT32,   MLS_INT64,   MLS_UINT32,  MLS_UINT64};

/* Whole numbers: floats of 16 bits keep their sums in float32. */
static void check_cum(const char *type, const slices *s, mls_dtype dtype, bool is_exclusive,
                      bool is_reverse)
{
    const bool is_product = strcmp(type, "CumProd") == 0;
    const size_t size = mls_dtype_size(dtype);
    char *x = calloc((size_t) count_of(s) + 1, size), *y = calloc((size_t) count_of(s) + 1, size);
    int64_t *numbers = calloc((size_t) count_of(s) + 1, sizeof *numbers);
    uint64_t seed = 5;
    for (int64_t i = 0; i < count_of(s); i++) {
        /* Mostly of magnitude 1, so that products stay exact. */
        numbers[i] = is_product ? 1 - 2 * (int64_t) (op_random(&seed) % 2) : 0;
        if (!is_product || i % 11 == 3)
            numbers[i] = (int64_t) (op_random(&seed) % 9) - 3;
        if (is_product && numbers[i] == 0) /* whose sign floats keep */
            numbers[i] = 2;
        if (op_is_float(dtype))
            op_float_set(dtype, x, i, (double) numbers[i]);
        else
            op_integer_set(dtype, x, i, numbers[i]);
    }
    for (int64_t i = 0; i < s->outer * s->inner; i++) {
        int64_t sum = is_product;
        for (int64_t j = 0; j < s->n; j++) {
            const int64_t along = is_reverse ? s->n - 1 - j : j;
            const int64_t at = (i / s->inner * s->n + along) * s->inner + i % s->inner;
            const int64_t next = is_product ? sum * numbers[at] : sum + numbers[at];
            const int64_t result = is_exclusive ? sum : next;
            sum = next;
            if (op_is_float(dtype))
                op_float_set(dtype, y, at, (double) result);
            else
                op_integer_set(dtype, y, at, result);
        }
    }
    const int32_t axis = -2;
    op_test *test = op_test_create("", type);
    op_test_int(test, "exclusive", is_exclusive);
    op_test_int(test, "reverse", is_reverse);
    op_test_input(test, dtype, OP_DIMS(s->outer, s->n, s->inner), x);
    op_test_input(test, MLS_INT32, OP_SCALAR, &axis);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(s->outer, s->n, s->inner), y);
    op_test_free(test);
    free(x);
    free(y);
    free(numbers);
}

START_TEST(test_cum_sum)
{
    for (size_t d = 0; d < COUNT(sum_dtypes); d++)
        for (int way = 0; way < 4; way++) {
            check_cum("CumSum", &shapes[_i], sum_dtypes[d], way & 1, way & 2);
            check_cum("CumProd", &shapes[_i], sum_dtypes[d], way & 1, way & 2);
        }
}
END_TEST

START_TEST(test_cum_sum_blocks)
{
    const slices s = {2, 40, 1000};
    for (size_t d = 0; d < COUNT(sum_dtypes); d++) {
        check_cum("CumSum", &s, sum_dtypes[d], d % 2, d % 3 == 0);
        check_cum("CumProd", &s, sum_dtypes[d], d % 2, d % 3 == 0);
    }
}
END_TEST

/* A sum of one element is the element, also where that is -0. */
START_TEST(test_cum_sum_negative_zero)
{
    const double x[] = {-0.0, 1};
    const double sums[2][2] = {{-0.0, 1}, {0.0, -0.0}};
    const int64_t axis = 0;
    for (int is_exclusive = 0; is_exclusive < 2; is_exclusive++) {
        op_test *test = op_test_create("", "CumSum");
        op_test_int(test, "exclusive", is_exclusive);
        op_test_input(test, MLS_FLOAT64, OP_DIMS(2), x);
        op_test_input(test, MLS_INT64, OP_SCALAR, &axis);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT64, OP_DIMS(2), sums[is_exclusive]);
        op_test_free(test);
    }
}
END_TEST

START_TEST(test_cum_sum_errors)
{
    static const float x[6];
    static const int64_t axis[] = {2, 0};
    op_test *test = op_test_create("", "CumSum");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    op_test_input(test, MLS_INT64, OP_DIMS(1), axis);
    ck_assert_fails(op_test_run(test), MLS_EINVAL, "axis 2 is outside [-2, 1]");
    op_test_free(test);
    test = op_test_create("", "CumSum");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    op_test_input(test, MLS_INT64, OP_DIMS(2), axis);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "not one element");
    op_test_free(test);
    test = op_test_create("", "CumSum");
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, x);
    op_test_input(test, MLS_INT64, OP_SCALAR, axis);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "scalar");
    op_test_free(test);
}
END_TEST

/* --- softmax --------------------------------------------------------------------------------- */

static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

static double error_of(mls_dtype dtype)
{
    return dtype == MLS_FLOAT16    ? 0x1p-10
           : dtype == MLS_BFLOAT16 ? 0x1p-7
           : dtype == MLS_FLOAT32  ? 1e-6
                                   : 1e-14;
}

static void softmax_slice(const double *x, int64_t n, int64_t step, bool is_log, double *y)
{
    double maximum = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        maximum = fmax(maximum, x[i * step]);
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i * step] - maximum);
    for (int64_t i = 0; i < n; i++)
        y[i * step] = is_log ? x[i * step] - maximum - log(sum) : exp(x[i * step] - maximum) / sum;
}

/* The axis is the middle dimension; flattened, the last one goes with it. */
static void check_softmax(const slices *s, mls_dtype dtype, bool is_log, bool is_flat)
{
    const int64_t count = count_of(s), n = is_flat ? s->n * s->inner : s->n;
    const int64_t step = is_flat ? 1 : s->inner;
    void *x = calloc((size_t) count, mls_dtype_size(dtype));
    double *numbers = calloc((size_t) count, sizeof *numbers);
    double *y = calloc((size_t) count, sizeof *y);
    uint64_t seed = 5;
    for (int64_t i = 0; i < count; i++) {
        op_float_set(dtype, x, i, (double) (op_random(&seed) % 1000) / 100 - 20);
        numbers[i] = op_float(dtype, x, i);
    }
    for (int64_t i = 0; i < count / n; i++) {
        const int64_t first = i / step * n * step + i % step;
        softmax_slice(numbers + first, n, step, is_log, y + first);
    }
    /* A logarithm near 0 is the difference of larger ones; small float16 have fewer digits. */
    const double absolute = is_log ? 2 * error_of(dtype) : dtype == MLS_FLOAT16 ? 0x1p-24 : 0;
    op_test *test = op_test_create("", is_log ? "LogSoftmax" : "Softmax");
    op_test_int(test, "axis", 1);
    if (is_flat)
        op_test_int(test, "mls_flatten", 1);
    op_test_input(test, dtype, OP_DIMS(s->outer, s->n, s->inner), x);
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < count; i++) {
        const double got = op_float(dtype, op_test_data(test, 0), i);
        if (!(fabs(got - y[i]) <= error_of(dtype) * fabs(y[i]) + absolute))
            ck_abort_msg("%s element %lld: %.9g, expected %.9g", mls_dtype_name(dtype),
                         (long long) i, got, y[i]);
    }
    op_test_free(test);
    free(x);
    free(numbers);
    free(y);
}

START_TEST(test_softmax)
{
    for (size_t d = 0; d < COUNT(floats); d++)
        for (int way = 0; way < 4; way++)
            check_softmax(&shapes[_i], floats[d], way & 1, way & 2);
}
END_TEST

START_TEST(test_softmax_threads)
{
    const slices s = {40, 60, 20};
    for (size_t d = 0; d < COUNT(floats); d++)
        for (int way = 0; way < 4; way++)
            check_softmax(&s, floats[d], way & 1, way & 2);
}
END_TEST

START_TEST(test_softmax_specials)
{
    const double x[] = {NAN, 1, INFINITY, 1, -INFINITY, -INFINITY, -INFINITY, 1, 1e300, -1e300};
    const double y[] = {NAN, NAN, NAN, NAN, NAN, NAN, 0, 1, 1, 0};
    const double log_y[] = {NAN, NAN, NAN, NAN, NAN, NAN, -INFINITY, 0, 0, -2e300};
    for (int is_log = 0; is_log < 2; is_log++) {
        op_test *test = op_test_create("", is_log ? "LogSoftmax" : "Softmax");
        op_test_input(test, MLS_FLOAT64, OP_DIMS(5, 2), x);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT64, OP_DIMS(5, 2), is_log ? log_y : y);
        op_test_free(test);
    }
}
END_TEST

START_TEST(test_softmax_empty)
{
    op_test *test = op_test_create("", "Softmax");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 0), NULL);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(2, 0), NULL);
    op_test_free(test);
}
END_TEST

START_TEST(test_softmax_errors)
{
    static const int32_t x[6];
    op_test *test = op_test_create("", "Softmax");
    op_test_input(test, MLS_INT32, OP_DIMS(2, 3), x);
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 0 is int32");
    op_test_free(test);
    test = op_test_create("", "LogSoftmax");
    op_test_int(test, "axis", -3);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "axis -3");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_axis");
    TCase *position = tcase_create("position");
    tcase_add_loop_test(position, test_positions, 0, COUNT(shapes));
    tcase_add_test(position, test_positions_threads);
    tcase_add_test(position, test_position_errors);
    tcase_add_loop_test(position, test_top_k, 0, COUNT(shapes));
    tcase_add_test(position, test_top_k_threads);
    tcase_add_test(position, test_top_k_errors);
    suite_add_tcase(suite, position);
    TCase *elements = tcase_create("elements");
    tcase_add_loop_test(elements, test_cum_sum, 0, COUNT(shapes));
    tcase_add_test(elements, test_cum_sum_blocks);
    tcase_add_test(elements, test_cum_sum_negative_zero);
    tcase_add_test(elements, test_cum_sum_errors);
    tcase_add_loop_test(elements, test_softmax, 0, COUNT(shapes));
    tcase_add_test(elements, test_softmax_threads);
    tcase_add_test(elements, test_softmax_specials);
    tcase_add_test(elements, test_softmax_empty);
    tcase_add_test(elements, test_softmax_errors);
    suite_add_tcase(suite, elements);
    return mls_test_run(suite);
}
