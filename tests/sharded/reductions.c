/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions over random meshes and layouts against the definition, and the bytes of sums. */
#include "sharded/suite.h"

#include <math.h>
#include <string.h>

typedef struct reduction {
    uint32_t op;
    whole input;
    int32_t layout[MLS_MESH_MAX_AXES];
    size_t count;
    int dims[MLS_MAX_RANK];
    int keeps;
} reduction;

static bool is_reduced(const reduction *c, int dim)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->dims[i] == dim)
            return true;
    return false;
}

/* Which element of the result element i goes to. */
static int64_t goes_to(const reduction *c, int64_t i)
{
    int64_t index = 0, stride = 1;
    for (int d = c->input.rank - 1; d >= 0; d--) {
        if (!is_reduced(c, d)) {
            index += i % c->input.dims[d] * stride;
            stride *= c->input.dims[d];
        }
        i /= c->input.dims[d];
    }
    return index;
}

static double join(uint32_t op, double x, double y)
{
    return op == MLS_REDUCE_MIN ? fmin(x, y) : op == MLS_REDUCE_MAX ? fmax(x, y) : x + y;
}

/* What the result is, into `ret_values`; false: an extreme of nothing. */
static bool expect(const ranked *r, const reduction *c, double *ret_values, int64_t *ret_count)
{
    int64_t of_each = 1, count = 1, all = 1;
    for (int d = 0; d < c->input.rank; d++) {
        *(is_reduced(c, d) ? &of_each : &count) *= c->input.dims[d];
        all *= c->input.dims[d];
    }
    const double start = c->op == MLS_REDUCE_MIN   ? INFINITY
                         : c->op == MLS_REDUCE_MAX ? -INFINITY
                                                   : 0;
    for (int64_t i = 0; i < count; i++)
        ret_values[i] = start;
    for (int64_t i = 0; i < all; i++) {
        double *to = &ret_values[goes_to(c, i)];
        *to = join(c->op, *to, (double) value_of(r->on, &c->input, c->layout, i));
    }
    for (int64_t i = 0; c->op == MLS_REDUCE_MEAN && i < count; i++)
        ret_values[i] /= (double) of_each;
    *ret_count = count;
    return of_each > 0 || c->op == MLS_REDUCE_SUM || c->op == MLS_REDUCE_MEAN;
}

static void check_reduction(ranked *r, const reduction *c)
{
    double expected[512];
    int64_t count;
    mls_sharded *x = make(r, &c->input, c->layout), *y;
    mls_tensor *all = NULL;
    const bool is_possible = expect(r, c, expected, &count);
    const mls_status status = mls_sharded_reduce(x, c->op, c->count || c->keeps ? c->dims : NULL,
                                                 c->count, c->keeps, NULL, &y);
    mls_sharded_free(x);
    if (!is_possible) {
        mls_test_expect(status == MLS_ESHAPE, "%s", mls_error_message());
        return;
    }
    ck_assert_ok(status);
    ck_assert_int_eq(mls_sharded_rank(y),
                     c->keeps ? c->input.rank : c->input.rank - (int) c->count);
    ck_assert_ok(mls_sharded_gather(y, 0, NULL, &all));
    for (int64_t i = 0; all && i < mls_tensor_element_count(all); i++)
        mls_test_expect(
            element(all, i) == expected[i] || (isnan(expected[i]) && isnan(element(all, i))),
            "reduction %u,%s: element %lld is %g, not %g", c->op, text(r->on, c->layout, c->layout),
            (long long) i, element(all, i), expected[i]);
    mls_test_expect(!all || mls_tensor_element_count(all) == count, "another number of results");
    mls_tensor_free(all);
    mls_sharded_free(y);
}

static void check_reductions(ranked *r)
{
    const reduction *c = r->arg;
    for (; c->op; c++)
        check_reduction(r, c);
}

static reduction random_reduction(uint64_t *state, const arrangement *on)
{
    static const uint32_t ops[] = {MLS_REDUCE_SUM, MLS_REDUCE_MEAN, MLS_REDUCE_MIN, MLS_REDUCE_MAX};
    static const mls_dtype dtypes[] = {MLS_FLOAT64, MLS_INT64, MLS_INT32};
    reduction c = {.op = ops[mls_test_random_below(state, 4)], .keeps = 1};
    c.input.dtype = c.op == MLS_REDUCE_MEAN ? MLS_FLOAT64 : dtypes[mls_test_random_below(state, 3)];
    c.input.rank = 1 + (int) mls_test_random_below(state, 3);
    c.input.seed = mls_test_random(state);
    for (int d = 0; d < c.input.rank; d++)
        c.input.dims[d] = (int64_t) mls_test_random_below(state, 8);
    for (int d = 0; d < c.input.rank; d++)
        if (mls_test_random_below(state, 2))
            c.dims[c.count++] = d;
    if (c.count)
        c.keeps = (int) mls_test_random_below(state, 2);
    random_layout(state, on->axis_count, c.input.rank, true, c.layout);
    return c;
}

void check_random_reduction(ranked *r, uint64_t *state)
{
    const reduction c = random_reduction(state, r->on);
    check_reduction(r, &c);
}

START_TEST(reductions)
{
    uint64_t state = mls_test_seed(32);
    for (int i = 0; i < 60; i++) {
        reduction c[6] = {{.op = 0}};
        const arrangement on = random_arrangement(&state);
        for (int k = 0; k < 5; k++)
            c[k] = random_reduction(&state, &on);
        on_mesh(&on, check_reductions, c);
    }
}
END_TEST

/* --- products -------------------------------------------------------------------------------- */

typedef struct product_case {
    mls_dtype dtype;
    int32_t layout[MLS_MESH_MAX_AXES];
    int dim; /* -1: all */
} product_case;

enum { ROWS = 5, COLUMNS = 7 };

/* What multiplies without being rounded. */
static double factor(int64_t i)
{
    static const double factors[] = {1, -1, 2, 1, -2};
    return factors[(i * 3 + i / COLUMNS) % 5];
}

static void multiply_elements(ranked *r)
{
    const product_case *c = r->arg;
    const int64_t dims[2] = {ROWS, COLUMNS};
    int64_t first[2], count[2];
    mls_sharded *x, *y;
    mls_tensor *all = NULL;
    ck_assert_ok(mls_sharded_create(r->mesh, c->dtype, 2, dims, c->layout, &x));
    ck_assert_ok(mls_sharded_block(x, first, count));
    for (int64_t i = 0; i < count[0] * count[1]; i++)
        set_element(mls_sharded_local(x), i,
                    factor((first[0] + i / count[1]) * COLUMNS + first[1] + i % count[1]));
    ck_assert_ok(mls_sharded_reduce(x, MLS_REDUCE_PRODUCT, c->dim < 0 ? NULL : &c->dim, c->dim >= 0,
                                    0, NULL, &y));
    ck_assert_ok(mls_sharded_gather(y, 0, NULL, &all));
    for (int64_t i = 0; all && i < mls_tensor_element_count(all); i++) {
        double is = 1;
        for (int64_t k = 0; k < (int64_t) ROWS * COLUMNS; k++)
            if (c->dim < 0 || (c->dim == 0 ? k % COLUMNS : k / COLUMNS) == i)
                is *= factor(k);
        mls_test_expect(element(all, i) == is, "%s, dim %d,%s: element %lld is %g, not %g",
                        mls_dtype_name(c->dtype), c->dim, text(r->on, c->layout, c->layout),
                        (long long) i, element(all, i), is);
    }
    mls_tensor_free(all);
    mls_sharded_free(y);
    mls_sharded_free(x);
}

START_TEST(products)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32,  MLS_FLOAT64, MLS_FLOAT16,
                                       MLS_BFLOAT16, MLS_INT32,   MLS_INT64};
    for (uint32_t ranks = 1; ranks <= 8; ranks++)
        for (int k = 0; k < 6 * 3 * 3; k++) {
            const product_case c = {dtypes[k % 6], {k / 6 % 3 - 1}, k / 18 - 1};
            const arrangement on = one_axis(ranks, ranks % 2 ? 0 : 5);
            on_mesh(&on, multiply_elements, &c);
        }
}
END_TEST

static void multiply_nothing(ranked *r)
{
    const int64_t dims[2] = {0, 4};
    const int32_t rows[1] = {0};
    const int dim = 0;
    mls_sharded *x, *y;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, rows, &x));
    ck_assert_fails(mls_sharded_reduce(x, MLS_REDUCE_MIN, &dim, 1, 0, NULL, &y), MLS_ESHAPE,
                    "dimension 0 is empty");
    ck_assert_fails(mls_sharded_reduce(x, MLS_REDUCE_USER, &dim, 1, 0, NULL, &y), MLS_EINVAL,
                    "sum, product, mean");
    ck_assert_ok(mls_sharded_reduce(x, MLS_REDUCE_PRODUCT, &dim, 1, 0, NULL, &y));
    for (int64_t i = 0; i < 4; i++)
        ck_assert(element(mls_sharded_local(y), i) == 1);
    mls_sharded_free(y);
    mls_sharded_free(x);
}

START_TEST(products_of_nothing)
{
    const arrangement on = one_axis(3, 0);
    on_mesh(&on, multiply_nothing, NULL);
}
END_TEST

/* --- sums ------------------------------------------------------------------------------------ */

/* Over all dimensions, cut along one: the same bytes on any number of ranks. */
static void sum_all(ranked *r)
{
    float *ret_sums = (float *) (uintptr_t) r->arg;
    const int64_t dims[2] = {301, 7};
    const int32_t rows[1] = {0};
    const uint32_t ops[2] = {MLS_REDUCE_SUM, MLS_REDUCE_MEAN};
    int64_t first[2], count[2];
    mls_sharded *x, *y;
    mls_tensor *all = NULL;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, rows, &x));
    ck_assert_ok(mls_sharded_block(x, first, count));
    for (int64_t i = 0; i < count[0] * count[1]; i++)
        set_element(mls_sharded_local(x), i, 1.0 / (double) (1 + first[0] * 7 + i));
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(mls_sharded_reduce(x, ops[i], NULL, 0, 0, NULL, &y));
        ck_assert_ok(mls_sharded_gather(y, 0, NULL, &all));
        if (all)
            memcpy(&ret_sums[i], mls_tensor_data(all), sizeof *ret_sums);
        mls_tensor_free(all);
        mls_sharded_free(y);
    }
    mls_sharded_free(x);
}

START_TEST(sums_over_shards)
{
    float first[2] = {0, 0};
    double exact = 0;
    for (int i = 0; i < 301 * 7; i++)
        exact += (double) (float) (1.0 / (1 + i));
    for (uint32_t ranks = 1; ranks <= 8; ranks++) {
        float sums[2] = {0, 0};
        const arrangement on = one_axis(ranks, 12);
        on_mesh(&on, sum_all, sums);
        if (ranks == 1)
            memcpy(first, sums, sizeof sums);
        mls_test_expect(memcmp(first, sums, sizeof sums) == 0, "%u ranks: %.9g and %.9g", ranks,
                        (double) sums[0], (double) first[0]);
    }
    ck_assert_double_eq_tol((double) first[0], exact, 1e-5);
    ck_assert_double_eq_tol((double) first[1], exact / 2107, 1e-8);
}
END_TEST

void sharded_add_reductions(TCase *tests)
{
    tcase_add_test(tests, reductions);
    tcase_add_test(tests, products);
    tcase_add_test(tests, products_of_nothing);
    tcase_add_test(tests, sums_over_shards);
}
