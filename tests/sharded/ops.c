/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise ops and reductions over random meshes and layouts against the definition. */
#include "sharded/suite.h"

#include <math.h>
#include <string.h>

/* --- elementwise ----------------------------------------------------------------------------- */

typedef struct elementwise {
    const char *op;
    size_t count;
    whole inputs[2];
    int32_t layouts[2][MLS_MESH_MAX_AXES];
    int rank;
    int64_t dims[MLS_MAX_RANK];
} elementwise;

static double apply(const char *op, double x, double y)
{
    switch (op[0]) {
    case 'A':
        return op[1] == 'd' ? x + y : fabs(x);
    case 'S':
        return x - y;
    case 'N':
        return -x;
    case 'R':
        return x > 0 ? x : 0;
    case 'M':
        return op[1] == 'u' ? x * y : x > y ? x : y;
    default:
        return NAN;
    }
}

/* Element i of the result, as that of an input that broadcasts. */
static double input_value(const ranked *r, const elementwise *e, size_t input, int64_t i)
{
    const whole *w = &e->inputs[input];
    int64_t index = 0, stride = 1;
    for (int d = e->rank - 1; d >= 0; d--) {
        const int own = d - (e->rank - w->rank);
        const int64_t at = i % e->dims[d];
        i /= e->dims[d];
        if (own < 0)
            continue;
        if (w->dims[own] > 1)
            index += at * stride;
        stride *= w->dims[own];
    }
    return (double) value_of(r->on, w, e->layouts[input], index);
}

static void check_elementwise(ranked *r, const elementwise *e)
{
    mls_sharded *inputs[2] = {NULL, NULL}, *y;
    mls_tensor *all = NULL;
    for (size_t i = 0; i < e->count; i++)
        inputs[i] = make(r, &e->inputs[i], e->layouts[i]);
    const mls_sharded *const given[2] = {inputs[0], inputs[1]};
    ck_assert_ok(mls_sharded_apply(e->op, given, e->count, NULL, &y));
    ck_assert_ok(mls_sharded_gather(y, 0, NULL, &all));
    for (int64_t i = 0; all && i < mls_tensor_element_count(all); i++) {
        const double is =
            apply(e->op, input_value(r, e, 0, i), e->count > 1 ? input_value(r, e, 1, i) : 0);
        mls_test_expect(element(all, i) == is, "%s of%s: element %lld is %g, not %g", e->op,
                        text(r->on, e->layouts[0], e->layouts[1]), (long long) i, element(all, i),
                        is);
    }
    mls_tensor_free(all);
    mls_sharded_free(y);
    for (size_t i = 0; i < e->count; i++)
        mls_sharded_free(inputs[i]);
}

static void check_all_elementwise(ranked *r)
{
    const elementwise *e = r->arg;
    for (; e->op; e++)
        check_elementwise(r, e);
}

/* Dimensions of the result; an input may lack those in front, and have 1 elsewhere. */
static void random_input(uint64_t *state, const arrangement *on, elementwise *e, size_t i)
{
    whole *w = &e->inputs[i];
    const int missing = i > 0 ? (int) mls_test_random_below(state, (size_t) e->rank + 1) : 0;
    w->rank = e->rank - missing;
    w->seed = mls_test_random(state);
    for (int d = 0; d < w->rank; d++)
        w->dims[d] = i > 0 && mls_test_random_below(state, 4) == 0 ? 1 : e->dims[missing + d];
    random_layout(state, on->axis_count, w->rank, true, e->layouts[i]);
}

static elementwise random_elementwise(uint64_t *state, const arrangement *on)
{
    static const struct {
        const char *op;
        size_t count;
    } ops[] = {{"Add", 2}, {"Sub", 2}, {"Mul", 2}, {"Max", 2}, {"Relu", 1}, {"Neg", 1}, {"Abs", 1}};
    static const mls_dtype dtypes[] = {MLS_FLOAT64, MLS_INT32, MLS_INT64, MLS_FLOAT32};
    const size_t op = mls_test_random_below(state, sizeof ops / sizeof ops[0]);
    elementwise e = {.op = ops[op].op, .count = ops[op].count};
    e.inputs[0].dtype = e.inputs[1].dtype = dtypes[mls_test_random_below(state, 4)];
    e.rank = (int) mls_test_random_below(state, 4);
    for (int d = 0; d < e.rank; d++)
        e.dims[d] = (int64_t) mls_test_random_below(state, 7);
    for (size_t i = 0; i < e.count; i++)
        random_input(state, on, &e, i);
    if (e.count > 1 && mls_test_random_below(state, 3) == 0) /* both terms along the same axes */
        for (int i = 0; i < on->axis_count; i++)
            e.layouts[0][i] = e.layouts[1][i] = mls_test_random_below(state, 2) ? -1 : -2;
    return e;
}

START_TEST(ops_by_element)
{
    uint64_t state = mls_test_seed(31);
    for (int i = 0; i < 50; i++) {
        elementwise e[6] = {{.op = NULL}};
        const arrangement on = random_arrangement(&state);
        for (int k = 0; k < 5; k++)
            e[k] = random_elementwise(&state, &on);
        on_mesh(&on, check_all_elementwise, e);
    }
}
END_TEST

static void keep_layouts(ranked *r)
{
    const int64_t dims[2] = {6, 8}, bias_dims[1] = {8};
    const int32_t terms[1] = {MLS_LAYOUT_PARTIAL}, columns[1] = {1}, all[1] = {-1};
    mls_sharded *x, *y, *bias;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, terms, &x));
    const mls_sharded *const both[2] = {x, x};
    ck_assert_ok(mls_sharded_apply("Add", both, 2, NULL, &y));
    ck_assert_int_eq(mls_sharded_layout(y)[0], MLS_LAYOUT_PARTIAL);
    mls_sharded_free(y);
    ck_assert_ok(mls_sharded_apply("Mul", both, 2, NULL, &y));
    ck_assert_int_eq(mls_sharded_layout(y)[0], MLS_LAYOUT_REPLICATED);
    mls_sharded_free(y);
    mls_sharded_free(x);
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, columns, &x));
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 1, bias_dims, all, &bias));
    const mls_sharded *const biased[2] = {x, bias};
    ck_assert_ok(mls_sharded_apply("Add", biased, 2, NULL, &y));
    ck_assert_int_eq(mls_sharded_layout(y)[0], 1);
    mls_sharded_free(y);
    ck_assert_fails(mls_sharded_apply("Softmax", biased, 2, NULL, &y), MLS_ENOTFOUND, "Softmax");
    ck_assert_fails(mls_sharded_apply("Relu", biased, 2, NULL, &y), MLS_EINVAL, "takes 1");
    mls_sharded_free(bias);
    mls_sharded_free(x);
}

START_TEST(layouts_of_results)
{
    const arrangement on = one_axis(2, 0);
    on_mesh(&on, keep_layouts, NULL);
}
END_TEST

/* Every op that the header lists, against the C library. */
static double one_half(double x)
{
    return nearbyint(x); /* ties to even, as ONNX has it */
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double sign(double x)
{
    return (x > 0) - (x < 0);
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double negate(double x)
{
    return -x;
}

static double divide(double x, double y)
{
    return x / y;
}

static const struct {
    const char *op;
    double (*one)(double x);
    double (*two)(double x, double y);
} listed[] = {
    {"Abs", fabs, NULL},        {"Ceil", ceil, NULL},   {"Erf", erf, NULL},
    {"Exp", exp, NULL},         {"Floor", floor, NULL}, {"Log", log, NULL},
    {"Neg", negate, NULL},      {"Relu", relu, NULL},   {"Round", one_half, NULL},
    {"Sigmoid", sigmoid, NULL}, {"Sign", sign, NULL},   {"Sqrt", sqrt, NULL},
    {"Tanh", tanh, NULL},       {"Div", NULL, divide},  {"Min", NULL, fmin},
    {"Max", NULL, fmax},
};

static void apply_listed(ranked *r)
{
    enum { COUNT = 23 };
    const int64_t dims[1] = {COUNT};
    const int32_t cut[1] = {0}, all[1] = {MLS_LAYOUT_REPLICATED};
    mls_sharded *x, *y, *z;
    int64_t first, count;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 1, dims, cut, &x));
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 1, dims, all, &y));
    ck_assert_ok(mls_sharded_block(x, &first, &count));
    for (int64_t i = 0; i < count; i++)
        set_element(mls_sharded_local(x), i, (double) (first + i + 1) * 0.25);
    for (int64_t i = 0; i < COUNT; i++)
        set_element(mls_sharded_local(y), i, 3.5 - (double) i);
    const mls_sharded *const inputs[2] = {x, y};
    for (size_t k = 0; k < sizeof listed / sizeof listed[0]; k++) {
        ck_assert_ok(mls_sharded_apply(listed[k].op, inputs, listed[k].one ? 1 : 2, NULL, &z));
        for (int64_t i = 0; i < count; i++) {
            const double a = (double) (first + i + 1) * 0.25, b = 3.5 - (double) (first + i);
            const double is = listed[k].one ? listed[k].one(a) : listed[k].two(a, b);
            mls_test_expect(fabs(element(mls_sharded_local(z), i) - is) <= 1e-6 * (1 + fabs(is)),
                            "%s of %g is %g, not %g", listed[k].op, a,
                            element(mls_sharded_local(z), i), is);
        }
        mls_sharded_free(z);
    }
    mls_sharded_free(y);
    mls_sharded_free(x);
}

START_TEST(listed_ops)
{
    const arrangement on = one_axis(3, 0);
    on_mesh(&on, apply_listed, NULL);
}
END_TEST

/* --- reductions ------------------------------------------------------------------------------ */

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

void sharded_add_ops(TCase *tests)
{
    tcase_add_test(tests, ops_by_element);
    tcase_add_test(tests, layouts_of_results);
    tcase_add_test(tests, listed_ops);
    tcase_add_test(tests, reductions);
    tcase_add_test(tests, sums_over_shards);
}
