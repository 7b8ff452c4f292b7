/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise ops over random meshes and layouts against the definition. */
#include "sharded/suite.h"

#include <math.h>
#include <string.h>

typedef struct elementwise {
    const struct rule *rule;
    whole inputs[3];
    int32_t layouts[3][MLS_MESH_MAX_AXES];
    int rank;
    int64_t dims[MLS_MAX_RANK];
} elementwise;

static double add(const double *x)
{
    return x[0] + x[1];
}

static double subtract(const double *x)
{
    return x[0] - x[1];
}

static double multiply(const double *x)
{
    return x[0] * x[1];
}

static double largest(const double *x)
{
    return x[0] > x[1] ? x[0] : x[1];
}

static double positive(const double *x)
{
    return x[0] > 0 ? x[0] : 0;
}

static double negated(const double *x)
{
    return -x[0];
}

static double absolute(const double *x)
{
    return fabs(x[0]);
}

static double is_equal(const double *x)
{
    return x[0] == x[1];
}

static double is_greater(const double *x)
{
    return x[0] > x[1];
}

static double is_less_or_equal(const double *x)
{
    return x[0] <= x[1];
}

static double one_only(const double *x)
{
    return (x[0] > 0) != (x[1] > 0);
}

static double neither(const double *x)
{
    return !(x[0] > 0);
}

static double chosen(const double *x)
{
    return x[0] > 0 ? x[1] : x[2];
}

static const struct rule {
    const char *op;
    size_t count, bools; /* inputs, and how many in front are of bool */
    double (*value)(const double *x);
} rules[] = {
    {"Add", 2, 0, add},
    {"Sub", 2, 0, subtract},
    {"Mul", 2, 0, multiply},
    {"Max", 2, 0, largest},
    {"Relu", 1, 0, positive},
    {"Neg", 1, 0, negated},
    {"Abs", 1, 0, absolute},
    {"Equal", 2, 0, is_equal},
    {"Greater", 2, 0, is_greater},
    {"LessOrEqual", 2, 0, is_less_or_equal},
    {"Xor", 2, 2, one_only},
    {"Not", 1, 1, neither},
    {"Where", 3, 1, chosen},
};

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
    const struct rule *rule = e->rule;
    mls_sharded *inputs[3] = {NULL}, *y;
    mls_tensor *all = NULL;
    for (size_t i = 0; i < rule->count; i++)
        inputs[i] = make(r, &e->inputs[i], e->layouts[i]);
    const mls_sharded *const given[3] = {inputs[0], inputs[1], inputs[2]};
    ck_assert_ok(mls_sharded_apply(rule->op, given, rule->count, NULL, &y));
    ck_assert_ok(mls_sharded_gather(y, 0, NULL, &all));
    for (int64_t i = 0; all && i < mls_tensor_element_count(all); i++) {
        double x[3];
        for (size_t k = 0; k < rule->count; k++)
            x[k] = input_value(r, e, k, i);
        mls_test_expect(element(all, i) == rule->value(x), "%s of%s: element %lld is %g, not %g",
                        rule->op, text(r->on, e->layouts[0], e->layouts[1]), (long long) i,
                        element(all, i), rule->value(x));
    }
    mls_tensor_free(all);
    mls_sharded_free(y);
    for (size_t i = 0; i < rule->count; i++)
        mls_sharded_free(inputs[i]);
}

static void check_all_elementwise(ranked *r)
{
    const elementwise *e = r->arg;
    for (; e->rule; e++)
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
    random_layout(state, on->axis_count, w->rank, w->dtype != MLS_BOOL, e->layouts[i]);
}

static elementwise random_elementwise(uint64_t *state, const arrangement *on)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT64, MLS_INT32, MLS_INT64, MLS_FLOAT32};
    const struct rule *rule = &rules[mls_test_random_below(state, sizeof rules / sizeof rules[0])];
    const mls_dtype dtype = dtypes[mls_test_random_below(state, 4)];
    elementwise e = {.rule = rule};
    e.rank = (int) mls_test_random_below(state, 4);
    for (int d = 0; d < e.rank; d++)
        e.dims[d] = (int64_t) mls_test_random_below(state, 7);
    for (size_t i = 0; i < rule->count; i++) {
        e.inputs[i].dtype = i < rule->bools ? MLS_BOOL : dtype;
        random_input(state, on, &e, i);
    }
    /* Both terms along the same axes. */
    if (rule->count == 2 && !rule->bools && mls_test_random_below(state, 3) == 0)
        for (int i = 0; i < on->axis_count; i++)
            e.layouts[0][i] = e.layouts[1][i] = mls_test_random_below(state, 2) ? -1 : -2;
    return e;
}

void check_random_op(ranked *r, uint64_t *state)
{
    const elementwise e = random_elementwise(state, r->on);
    check_elementwise(r, &e);
}

START_TEST(ops_by_element)
{
    uint64_t state = mls_test_seed(31);
    for (int i = 0; i < 80; i++) {
        elementwise e[6] = {{.rule = NULL}};
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
    mls_sharded_free(bias);
    mls_sharded_free(x);
}

START_TEST(layouts_of_results)
{
    const arrangement on = one_axis(2, 0);
    on_mesh(&on, keep_layouts, NULL);
}
END_TEST

static void call_wrongly(ranked *r)
{
    const int64_t dims[1] = {8}, other_dims[1] = {7};
    const int32_t terms[1] = {MLS_LAYOUT_PARTIAL}, cut[1] = {0};
    mls_sharded *x, *shorter, *bytes, *y;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 1, dims, cut, &x));
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 1, other_dims, cut, &shorter));
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_INT8, 1, dims, terms, &bytes));
    const mls_sharded *const floats[3] = {x, x, x}, *const mixed[2] = {x, bytes},
                             *const unlike[2] = {x, shorter}, *const terms_of_bytes[1] = {bytes},
                             *const both_bytes[2] = {bytes, bytes};
    ck_assert_fails(mls_sharded_apply("Softmax", floats, 2, NULL, &y), MLS_ENOTFOUND, "Softmax");
    ck_assert_fails(mls_sharded_apply("Relu", floats, 2, NULL, &y), MLS_EINVAL, "takes 1");
    ck_assert_fails(mls_sharded_apply("Where", floats, 2, NULL, &y), MLS_EINVAL, "takes 3");
    ck_assert_fails(mls_sharded_apply("Where", floats, 3, NULL, &y), MLS_EDTYPE,
                    "tensor 0 of Where is float32; it must be bool");
    ck_assert_fails(mls_sharded_apply("Less", mixed, 2, NULL, &y), MLS_EDTYPE, "float32 and int8");
    ck_assert_fails(mls_sharded_apply("Less", unlike, 2, NULL, &y), MLS_ESHAPE, "[8] and [7]");
    ck_assert_fails(mls_sharded_apply("Xor", floats, 2, NULL, &y), MLS_EDTYPE, "must be bool");
    ck_assert_fails(mls_sharded_apply("Pow", both_bytes, 2, NULL, &y), MLS_EUNSUPPORTED, "int8");
    ck_assert_fails(mls_sharded_apply("Abs", terms_of_bytes, 1, NULL, &y), MLS_EDTYPE,
                    "terms of int8 cannot be added");
    ck_assert_ok(mls_sharded_redistribute(x, terms, NULL, &y)); /* nothing is broken */
    mls_sharded_free(y);
    mls_sharded_free(bytes);
    mls_sharded_free(shorter);
    mls_sharded_free(x);
}

START_TEST(errors)
{
    const arrangement on = one_axis(3, 0);
    on_mesh(&on, call_wrongly, NULL);
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

static double is_above(double x, double y)
{
    return x >= y;
}

static double is_below(double x, double y)
{
    return x < y;
}

static const struct {
    const char *op;
    double (*one)(double x);
    double (*two)(double x, double y);
} listed[] = {
    {"Abs", fabs, NULL},
    {"Ceil", ceil, NULL},
    {"Erf", erf, NULL},
    {"Exp", exp, NULL},
    {"Floor", floor, NULL},
    {"Log", log, NULL},
    {"Neg", negate, NULL},
    {"Relu", relu, NULL},
    {"Round", one_half, NULL},
    {"Sigmoid", sigmoid, NULL},
    {"Sign", sign, NULL},
    {"Sqrt", sqrt, NULL},
    {"Tanh", tanh, NULL},
    {"Div", NULL, divide},
    {"Min", NULL, fmin},
    {"Max", NULL, fmax},
    {"Pow", NULL, pow},
    {"Less", NULL, is_below},
    {"GreaterOrEqual", NULL, is_above},
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

void sharded_add_ops(TCase *tests)
{
    tcase_add_test(tests, ops_by_element);
    tcase_add_test(tests, layouts_of_results);
    tcase_add_test(tests, listed_ops);
    tcase_add_test(tests, errors);
}
