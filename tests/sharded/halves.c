/* SPDX-License-Identifier: Apache-2.0 */
/*
 * float16 and bfloat16: products, ops and reductions against float64, within what is lost by sums
 * in float32 and a rounding to 16 bits of each result and each term; and the same bytes on any
 * number of ranks.
 */
#include "sharded/suite.h"

#include "tensor/float_format.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { M = 5, K = 211, MAX_N = 40, SHARDS = 11 };

/* Half the distance of two neighbours, of what is 1. */
static double unit_of(mls_dtype dtype)
{
    return ldexp(1, -1 - mls__float_format_of((int32_t) dtype)->fraction_bits);
}

/* As near as 16 bits come; where they are sparse, near 0, half of the least of them is lost. */
static double lost(mls_dtype dtype, double value)
{
    const double least = dtype == MLS_FLOAT16 ? 0x1p-25 : 0x1p-134;
    return unit_of(dtype) * fabs(value) + least;
}

static const mls_dtype dtypes[] = {MLS_FLOAT16, MLS_BFLOAT16};
static const uint32_t counts[] = {1, 2, 3, 4, 7, 8};
enum { COUNTS = sizeof counts / sizeof counts[0] };

/* What is compared with other numbers of ranks. */
typedef struct results {
    uint16_t bits[M * K];
    double values[M * K];
    int64_t count;
} results;

static void keep(ranked *r, const mls_sharded *y, results *ret_results)
{
    mls_tensor *all = NULL;
    ck_assert_ok(mls_sharded_gather(y, 0, NULL, &all));
    if (r->rank == 0) {
        ret_results->count = mls_tensor_element_count(all);
        memcpy(ret_results->bits, mls_tensor_data(all), mls_tensor_size_bytes(all));
        for (int64_t i = 0; i < ret_results->count; i++)
            ret_results->values[i] = element(all, i);
    }
    mls_tensor_free(all);
}

static void expect_same(const results *a, const results *b, const char *what, uint32_t ranks)
{
    mls_test_expect(a->count == b->count &&
                        memcmp(a->bits, b->bits, (size_t) a->count * sizeof *a->bits) == 0,
                    "%s: %u ranks have other bytes", what, ranks);
}

/* Between -1 and 1, and of 16 bits. */
static double made_up_half(mls_dtype dtype, uint64_t seed, int64_t i)
{
    const mls__float_format *format = mls__float_format_of((int32_t) dtype);
    uint64_t state = seed * 1000003 + (uint64_t) i;
    const double value = (double) mls_test_random(&state) / 0x1p63 - 1;
    return mls__float_decode(format, mls__float_encode(format, value, false));
}

static mls_sharded *make_half(const ranked *r, mls_dtype dtype, int64_t rows, int64_t columns,
                              int32_t layout, uint64_t seed)
{
    const int64_t dims[2] = {rows, columns};
    int64_t first[2], count[2];
    mls_sharded *x;
    ck_assert_ok(mls_sharded_create(r->mesh, dtype, 2, dims, &layout, &x));
    ck_assert_ok(mls_sharded_block(x, first, count));
    for (int64_t i = 0; i < count[0] * count[1]; i++) {
        const int64_t at = (first[0] + i / count[1]) * columns + first[1] + i % count[1];
        set_element(mls_sharded_local(x), i, made_up_half(dtype, seed, at));
    }
    return x;
}

/* --- products -------------------------------------------------------------------------------- */

typedef struct product {
    mls_dtype dtype;
    int64_t n;
    int32_t a_layout, b_layout;
    results *ret_results;
} product;

static void multiply(ranked *r)
{
    const product *p = r->arg;
    mls_sharded *a = make_half(r, p->dtype, M, K, p->a_layout, 1), *c;
    mls_sharded *b = make_half(r, p->dtype, K, p->n, p->b_layout, 2);
    ck_assert_ok(mls_sharded_matmul(a, b, NULL, &c));
    keep(r, c, p->ret_results);
    mls_sharded_free(c);
    mls_sharded_free(b);
    mls_sharded_free(a);
}

/* Terms are there where K is cut: each is rounded, and so is their sum. */
static void check_product(const product *p, bool has_terms)
{
    for (int64_t i = 0; i < M * p->n; i++) {
        double sum = 0, all = 0;
        for (int64_t k = 0; k < K; k++) {
            const double term = made_up_half(p->dtype, 1, i / p->n * K + k) *
                                made_up_half(p->dtype, 2, k * p->n + i % p->n);
            sum += term;
            all += fabs(term);
        }
        const double bound = lost(p->dtype, sum) + (K + SHARDS) * FLT_EPSILON / 2 * all +
                             (has_terms ? SHARDS * lost(p->dtype, 0) + lost(p->dtype, all) : 0);
        mls_test_expect(fabs(p->ret_results->values[i] - sum) <= bound,
                        "%s, %lld columns: element %lld is %g, not %g within %g",
                        mls_dtype_name(p->dtype), (long long) p->n, (long long) i,
                        p->ret_results->values[i], sum, bound);
    }
}

static void check_products(mls_dtype dtype, int64_t n, int32_t a_layout, int32_t b_layout)
{
    results first, other;
    for (size_t i = 0; i < COUNTS; i++) {
        const product p = {dtype, n, a_layout, b_layout, i ? &other : &first};
        const arrangement on = one_axis(counts[i], SHARDS);
        on_mesh(&on, multiply, &p);
        if (i)
            expect_same(&first, &other, mls_dtype_name(dtype), counts[i]);
        else
            check_product(&p, a_layout == 1 || b_layout == 0);
    }
}

START_TEST(products)
{
    for (size_t d = 0; d < 2; d++)
        for (int64_t n = 6; n <= MAX_N; n += MAX_N - 6) {
            check_products(dtypes[d], n, 0, -1);
            check_products(dtypes[d], n, -1, 1);
            check_products(dtypes[d], n, 1, 0);
            check_products(dtypes[d], n, -1, -1);
        }
}
END_TEST

/* --- ops ------------------------------------------------------------------------------------- */

static double add(double x, double y)
{
    return x + y;
}

static double multiply_two(double x, double y)
{
    return x * y;
}

static double divide(double x, double y)
{
    return x / y;
}

static double is_less(double x, double y)
{
    return x < y;
}

static double exponential(double x, double y)
{
    (void) y;
    return exp(x);
}

static double hyperbolic(double x, double y)
{
    (void) y;
    return tanh(x);
}

static double absolute(double x, double y)
{
    (void) y;
    return fabs(x);
}

static const struct op {
    const char *name;
    size_t count;
    double (*value)(double x, double y);
} ops[] = {
    {"Add", 2, add},         {"Mul", 2, multiply_two}, {"Div", 2, divide}, {"Min", 2, fmin},
    {"Max", 2, fmax},        {"Less", 2, is_less},     {"Pow", 2, pow},    {"Abs", 1, absolute},
    {"Exp", 1, exponential}, {"Tanh", 1, hyperbolic},
};
enum { OPS = sizeof ops / sizeof ops[0] };

typedef struct applied {
    mls_dtype dtype;
    results *ret_results; /* of each op */
} applied;

static void apply_ops(ranked *r)
{
    const applied *a = r->arg;
    for (size_t i = 0; i < OPS; i++) {
        const bool is_power = ops[i].value == pow; /* of what is not below 0 */
        mls_sharded *x = make_half(r, a->dtype, M, K, 1, 3), *y, *z, *base;
        y = make_half(r, a->dtype, M, K, 0, 4);
        const mls_sharded *const x_alone[1] = {x};
        ck_assert_ok(mls_sharded_apply("Abs", x_alone, 1, NULL, &base));
        const mls_sharded *const inputs[2] = {is_power ? base : x, y};
        ck_assert_ok(mls_sharded_apply(ops[i].name, inputs, ops[i].count, NULL, &z));
        if (ops[i].value == is_less) { /* as numbers again */
            const mls_sharded *const choice[3] = {z, y, x};
            mls_sharded *chosen;
            ck_assert_ok(mls_sharded_apply("Where", choice, 3, NULL, &chosen));
            mls_sharded_free(z);
            z = chosen;
        }
        keep(r, z, &a->ret_results[i]);
        mls_sharded_free(z);
        mls_sharded_free(base);
        mls_sharded_free(y);
        mls_sharded_free(x);
    }
}

static double op_value(const struct op *op, double x, double y)
{
    if (op->value == is_less)
        return x < y ? y : x;
    return op->value(op->value == pow ? fabs(x) : x, y);
}

/* Computed in float32, whose last bits an op may miss, and rounded. */
static void check_op(mls_dtype dtype, const struct op *op, const results *found)
{
    for (int64_t i = 0; i < (int64_t) M * K; i++) {
        const double x = made_up_half(dtype, 3, i), y = made_up_half(dtype, 4, i);
        const double is = op_value(op, x, y);
        const double bound = lost(dtype, is) + 8 * FLT_EPSILON * fabs(is);
        mls_test_expect(fabs(found->values[i] - is) <= bound || found->values[i] == is,
                        "%s of %s %g and %g is %g, not %g", op->name, mls_dtype_name(dtype), x, y,
                        found->values[i], is);
    }
}

START_TEST(elementwise)
{
    static results first[OPS], other[OPS];
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < COUNTS; i++) {
            const applied a = {dtypes[d], i ? other : first};
            const arrangement on = one_axis(counts[i], 0);
            on_mesh(&on, apply_ops, &a);
            for (size_t k = 0; k < OPS; k++) {
                if (i)
                    expect_same(&first[k], &other[k], ops[k].name, counts[i]);
                else
                    check_op(dtypes[d], &ops[k], &first[k]);
            }
        }
}
END_TEST

/* --- reductions ------------------------------------------------------------------------------ */

static const uint32_t reductions[] = {MLS_REDUCE_SUM, MLS_REDUCE_MEAN, MLS_REDUCE_MIN,
                                      MLS_REDUCE_MAX};
enum { REDUCTIONS = 4 };

typedef struct reduced {
    mls_dtype dtype;
    int dim; /* -1: all */
    results *ret_results;
} reduced;

static void reduce_all(ranked *r)
{
    const reduced *c = r->arg;
    mls_sharded *x = make_half(r, c->dtype, K, M, 0, 5), *y;
    for (size_t i = 0; i < REDUCTIONS; i++) {
        ck_assert_ok(mls_sharded_reduce(x, reductions[i], c->dim < 0 ? NULL : &c->dim, c->dim >= 0,
                                        0, NULL, &y));
        keep(r, y, &c->ret_results[i]);
        mls_sharded_free(y);
    }
    mls_sharded_free(x);
}

static void check_reduction(const reduced *c, int64_t i)
{
    double sum = 0, all = 0, least = INFINITY, most = -INFINITY, count = 0;
    for (int64_t k = 0; k < (int64_t) K * M; k++) {
        const double x = made_up_half(c->dtype, 5, k);
        if (c->dim >= 0 && (c->dim ? k / M : k % M) != i)
            continue;
        sum += x;
        all += fabs(x);
        least = fmin(least, x);
        most = fmax(most, x);
        count++;
    }
    const double in_float32 = (count + SHARDS) * FLT_EPSILON / 2 * all;
    const double terms = lost(c->dtype, all) + SHARDS * lost(c->dtype, 0);
    mls_test_expect(fabs(c->ret_results[0].values[i] - sum) <=
                        lost(c->dtype, sum) + in_float32 + terms,
                    "%s: the sum %lld is %g, not %g", mls_dtype_name(c->dtype), (long long) i,
                    c->ret_results[0].values[i], sum);
    mls_test_expect(fabs(c->ret_results[1].values[i] - sum / count) <=
                        lost(c->dtype, sum / count) + in_float32 / count,
                    "%s: the mean %lld is %g, not %g", mls_dtype_name(c->dtype), (long long) i,
                    c->ret_results[1].values[i], sum / count);
    ck_assert(c->ret_results[2].values[i] == least && c->ret_results[3].values[i] == most);
}

START_TEST(reductions_of_halves)
{
    static results first[REDUCTIONS], other[REDUCTIONS];
    for (int k = 0; k < 2 * 3; k++)
        for (size_t i = 0; i < COUNTS; i++) {
            const reduced c = {dtypes[k % 2], k / 2 - 1, i ? other : first};
            const arrangement on = one_axis(counts[i], SHARDS);
            on_mesh(&on, reduce_all, &c);
            for (size_t n = 0; i && n < REDUCTIONS; n++)
                expect_same(&first[n], &other[n], mls_dtype_name(c.dtype), counts[i]);
            for (int64_t n = 0; !i && n < first[0].count; n++)
                check_reduction(&c, n);
        }
}
END_TEST

/* More ones than float16 can count, and more than bfloat16 can count one by one. */
static void average(ranked *r)
{
    const int64_t dims[1] = {70001};
    const int32_t cut[1] = {0};
    for (size_t d = 0; d < 2; d++) {
        mls_sharded *x, *y;
        ck_assert_ok(mls_sharded_create(r->mesh, dtypes[d], 1, dims, cut, &x));
        mls_tensor *local = mls_sharded_local(x);
        set_element(local, 0, 1);
        for (int64_t i = 1; i < mls_tensor_element_count(local); i++)
            memcpy((uint16_t *) mls_tensor_data(local) + i, mls_tensor_data(local), 2);
        ck_assert_ok(mls_sharded_reduce(x, MLS_REDUCE_MEAN, NULL, 0, 0, NULL, &y));
        mls_test_expect(element(mls_sharded_local(y), 0) == 1, "the mean of ones of %s is %g",
                        mls_dtype_name(dtypes[d]), element(mls_sharded_local(y), 0));
        mls_sharded_free(y);
        mls_sharded_free(x);
    }
}

START_TEST(means_of_many)
{
    const arrangement on = one_axis(3, 0);
    on_mesh(&on, average, NULL);
}
END_TEST

void sharded_add_halves(TCase *tests)
{
    tcase_add_test(tests, products);
    tcase_add_test(tests, elementwise);
    tcase_add_test(tests, reductions_of_halves);
    tcase_add_test(tests, means_of_many);
}
