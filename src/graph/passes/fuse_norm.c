/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LayerNormalization and RMSNormalization over the last axes, from their pieces:
 *
 *     d = x - ReduceMean(x)                 for LayerNormalization; else d is x
 *     n = d / Sqrt(ReduceMean(d^2) + epsilon)
 *     y = n * scale + bias                  the bias only for LayerNormalization, and if there
 *
 * The square may be Pow or Mul, the quotient a product with Reciprocal. In float32 mean and
 * variance have the bits of the pieces. So has y where they take the reciprocal; where they
 * divide, n is within 3 * 2^-24 of theirs, relative. Floats of 16 bits are rounded once and not
 * after each piece.
 */
#include "graph/passes/passes.h"

#include "graph/passes/formula.h"
#include "tensor/tensor.h"

typedef struct match {
    uint32_t x, scale, bias;
    int64_t axes; /* how many, the last ones */
    float epsilon;
    bool is_centred;
    mls__node *last;
} match;

static const mls_tensor *constant_of(const mls__links *links, uint32_t value)
{
    return value == MLS__NO_VALUE ? NULL : mls__graph_value(links->graph, value)->constant;
}

static const mls__node *giver_of(const mls__links *links, uint32_t value, const char *type)
{
    const mls__node *node = mls__giver(links, value);
    return node && mls__node_is(node, type) ? node : NULL;
}

/* --- means ----------------------------------------------------------------------------------- */

/*
 * How many last axes a ReduceMean takes; 0 when it takes others, or may. An axis counted from the
 * start is a last one only where the rank is known.
 */
static int64_t last_axes(const mls__links *links, const mls__node *mean)
{
    const mls_tensor *axes = mls__node_constant(links->graph, mean, 1, MLS_INT64);
    const int rank = mls__graph_value(links->graph, mean->inputs[0])->rank;
    uint64_t seen = 0;
    if (!axes || axes->rank > 1 || axes->count < 1 || axes->count > MLS_MAX_RANK ||
        mls__node_int(mean, "keepdims", 1) == 0)
        return 0;
    for (int64_t i = 0; i < axes->count; i++) {
        const int64_t axis = ((const int64_t *) mls_tensor_data(axes))[i];
        const int64_t from_end = axis < 0 ? -axis : rank - axis;
        if (from_end < 1 || from_end > axes->count || (axis >= 0 && rank < 0))
            return 0;
        seen |= UINT64_C(1) << (from_end - 1);
    }
    return seen == (UINT64_C(1) << axes->count) - 1 ? axes->count : 0;
}

/* What is subtracted from its mean over `axes` last axes to give a value; or MLS__NO_VALUE. */
static uint32_t centred(const mls__links *links, uint32_t value, int64_t axes)
{
    const mls__node *sub = giver_of(links, value, "Sub");
    const mls__node *mean = sub ? giver_of(links, sub->inputs[1], "ReduceMean") : NULL;
    if (!mean || mean->inputs[0] != sub->inputs[0] || last_axes(links, mean) != axes)
        return MLS__NO_VALUE;
    return sub->inputs[0];
}

/*
 * What a value is the square of, or MLS__NO_VALUE. A Cast before it changes nothing: what comes of
 * the square divides its base, so both are of one dtype.
 */
static uint32_t square_root(const mls__links *links, uint32_t value)
{
    const mls__node *node = mls__giver(links, value);
    double power;
    if (!node || node->input_count != 2)
        return MLS__NO_VALUE;
    const bool is_product = mls__node_is(node, "Mul") && node->inputs[0] == node->inputs[1];
    const bool is_power = mls__node_is(node, "Pow") &&
                          mls__formula_number(links->graph, node->inputs[1], &power) && power == 2;
    if (!is_product && !is_power)
        return MLS__NO_VALUE;
    const mls__node *cast = giver_of(links, node->inputs[0], "Cast");
    return cast ? cast->inputs[0] : node->inputs[0];
}

/* --- the whole ------------------------------------------------------------------------------- */

/* The deviation `d` and its root mean square are what `m` says. */
static bool match_deviation(const mls__links *links, uint32_t d, uint32_t root, match *m)
{
    const mls__node *sqrt = giver_of(links, root, "Sqrt");
    const mls__node *add = sqrt ? giver_of(links, sqrt->inputs[0], "Add") : NULL;
    uint32_t variance;
    double epsilon;
    if (!add || !mls__formula_operand(links->graph, add, &variance, &epsilon))
        return false;
    const mls__node *mean = giver_of(links, variance, "ReduceMean");
    m->axes = mean ? last_axes(links, mean) : 0;
    const uint32_t squared = m->axes ? square_root(links, mean->inputs[0]) : MLS__NO_VALUE;
    if (squared == MLS__NO_VALUE)
        return false;
    const uint32_t x = centred(links, d, m->axes);
    m->epsilon = (float) epsilon;
    m->is_centred = x != MLS__NO_VALUE;
    m->x = m->is_centred ? x : d;
    /* Some exporters write the deviation out twice. */
    return squared == d || (m->is_centred && centred(links, squared, m->axes) == x);
}

/* `value` is normalised. */
static bool match_quotient(const mls__links *links, uint32_t value, match *m)
{
    const mls__node *node = mls__giver(links, value);
    if (!node || node->input_count != 2)
        return false;
    if (mls__node_is(node, "Div"))
        return match_deviation(links, node->inputs[0], node->inputs[1], m);
    for (size_t k = 0; k < 2 && mls__node_is(node, "Mul"); k++) {
        const mls__node *inverse = giver_of(links, node->inputs[k], "Reciprocal");
        if (inverse && match_deviation(links, node->inputs[1 - k], inverse->inputs[0], m))
            return true;
    }
    return false;
}

/* A constant that stretches over the normalised axes and no others. */
static bool is_scale(const mls__links *links, uint32_t value, int64_t axes)
{
    const mls_tensor *tensor = constant_of(links, value);
    return tensor && tensor->rank <= axes;
}

static void match_bias(const mls__links *links, match *m)
{
    mls__node *add = mls__only_reader(links, m->last);
    m->bias = MLS__NO_VALUE;
    if (!m->is_centred || !add || !mls__node_is(add, "Add") || add->input_count != 2)
        return;
    for (size_t k = 0; k < 2; k++)
        if (add->inputs[k] != m->last->outputs[0] && is_scale(links, add->inputs[k], m->axes)) {
            m->bias = add->inputs[k];
            m->last = add;
            return;
        }
}

static bool find_match(const mls__links *links, mls__node *mul, match *m)
{
    if (!mls__node_is(mul, "Mul") || mul->input_count != 2)
        return false;
    for (size_t k = 0; k < 2; k++) {
        if (!match_quotient(links, mul->inputs[1 - k], m) ||
            !is_scale(links, mul->inputs[k], m->axes))
            continue;
        m->scale = mul->inputs[k];
        m->last = mul;
        match_bias(links, m);
        return true;
    }
    return false;
}

static mls_status fuse(mls__graph *graph, const match *m)
{
    const uint32_t inputs[] = {m->x, m->scale, m->bias};
    const size_t count = m->bias == MLS__NO_VALUE ? 2 : 3;
    mls_attr *attrs;
    const mls_status status = mls__formula_replace(
        graph, m->last, m->is_centred ? "LayerNormalization" : "RMSNormalization", count, inputs, 2,
        &attrs);
    if (status)
        return status;
    attrs[0] = (mls_attr){.name = "axis", .type = MLS_ATTR_INT, .count = 1, .i = -m->axes};
    attrs[1] = (mls_attr){.name = "epsilon", .type = MLS_ATTR_FLOAT, .count = 1, .f = m->epsilon};
    return MLS_OK;
}

static mls_status visit(mls__graph *graph, const mls__links *links, mls__node *node,
                        bool *ret_changed)
{
    match m;
    if (!find_match(links, node, &m))
        return MLS_OK;
    *ret_changed = true;
    return fuse(graph, &m);
}

mls_status mls__pass_fuse_norm(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, visit, ret_changed);
}
