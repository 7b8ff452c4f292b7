/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x times a gate of x: Swish (SiLU), HardSwish and Mish, from their pieces.
 *
 *     x * Sigmoid(x), x * Sigmoid(c * x)      Swish; the same bits where x is finite, in float32
 *     x * HardSigmoid(x; 1/6, 1/2)            HardSwish; likewise
 *     x * Clip(x + 3; 0, 6) / 6               HardSwish; within 2^-22 * |x| of the pieces' result
 *     x * Tanh(Softplus(x))                   Mish; within 2^-21 of the pieces' result
 *
 * At infinity the pieces may give NaN, where the fused op has its limit. Floats of 16 bits are
 * rounded once and not after each piece.
 */
#include "graph/passes/passes.h"

#include "graph/passes/formula.h"

#include <math.h>

/* What the gate says of the product. */
typedef struct gated {
    const char *type; /* NULL: nothing */
    bool has_alpha;
    float alpha;
} gated;

static float float_attr(const mls__node *node, const char *name, float fallback)
{
    const mls_attr *attr = mls__node_attr(node, name);
    return attr && attr->type == MLS_ATTR_FLOAT ? attr->f : fallback;
}

static gated match_sigmoid(const mls__links *links, uint32_t argument, uint32_t x)
{
    const mls__node *scaled = mls__giver(links, argument);
    uint32_t value;
    double alpha;
    if (argument == x)
        return (gated){.type = "Swish"};
    if (scaled && mls__node_is(scaled, "Mul") &&
        mls__formula_operand(links->graph, scaled, &value, &alpha) && value == x &&
        (double) (float) alpha == alpha)
        return (gated){"Swish", true, (float) alpha};
    return (gated){.type = NULL};
}

static gated match_gate(const mls__links *links, uint32_t gate, uint32_t x)
{
    const mls__node *node = mls__giver(links, gate);
    if (!node || node->input_count != 1)
        return (gated){.type = NULL};
    if (mls__node_is(node, "Sigmoid"))
        return match_sigmoid(links, node->inputs[0], x);
    if (mls__node_is(node, "HardSigmoid") && node->inputs[0] == x &&
        float_attr(node, "alpha", 0.2f) == 1.0f / 6 && float_attr(node, "beta", 0.5f) == 0.5f)
        return (gated){.type = "HardSwish"};
    const mls__node *softplus =
        mls__node_is(node, "Tanh") ? mls__giver(links, node->inputs[0]) : NULL;
    if (softplus && mls__node_is(softplus, "Softplus") && softplus->inputs[0] == x)
        return (gated){.type = "Mish"};
    return (gated){.type = NULL};
}

/* --- HardSwish by Clip ----------------------------------------------------------------------- */

/* A bound of Clip, an input or, in old opsets, an attribute. */
static bool is_bound(const mls__links *links, const mls__node *clip, size_t input, const char *name,
                     double number)
{
    double found;
    if (mls__node_input(clip, input) == MLS__NO_VALUE)
        return (double) float_attr(clip, name, NAN) == number;
    return mls__formula_number(links->graph, clip->inputs[input], &found) && found == number;
}

/* Clip(x + 3; 0, 6) */
static bool is_clipped(const mls__links *links, uint32_t value, uint32_t x)
{
    const mls__node *clip = mls__giver(links, value);
    uint32_t base;
    double three;
    if (!clip || !mls__node_is(clip, "Clip") || !is_bound(links, clip, 1, "min", 0) ||
        !is_bound(links, clip, 2, "max", 6))
        return false;
    const mls__node *add = mls__giver(links, clip->inputs[0]);
    return add && mls__node_is(add, "Add") &&
           mls__formula_operand(links->graph, add, &base, &three) && base == x && three == 3;
}

/* The x of which the node gives HardSwish, or MLS__NO_VALUE. */
static uint32_t match_clipped(const mls__links *links, const mls__node *node)
{
    uint32_t candidates[MLS__MAX_CANDIDATES];
    const int count = mls__formula_candidates(links, node, candidates);
    for (int i = 0; i < count; i++) {
        mls__product p;
        if (candidates[i] != MLS__NO_VALUE &&
            mls__formula_product(links, node->outputs[0], candidates[i], &p) &&
            mls__formula_is_near(p.number, 1.0 / 6) &&
            is_clipped(links, mls__formula_cofactor(&p, candidates[i]), candidates[i]))
            return candidates[i];
    }
    return MLS__NO_VALUE;
}

/* --- the pass -------------------------------------------------------------------------------- */

static mls_status fuse(mls__graph *graph, mls__node *last, uint32_t x, const gated *found)
{
    mls_attr *attrs;
    const mls_status status =
        mls__formula_replace(graph, last, found->type, 1, &x, found->has_alpha, &attrs);
    if (!status && found->has_alpha)
        attrs[0] =
            (mls_attr){.name = "alpha", .type = MLS_ATTR_FLOAT, .count = 1, .f = found->alpha};
    return status;
}

static mls_status visit(mls__graph *graph, const mls__links *links, mls__node *node,
                        bool *ret_changed)
{
    if (node->input_count != 2 || !(mls__node_is(node, "Mul") || mls__node_is(node, "Div")))
        return MLS_OK;
    const uint32_t clipped = match_clipped(links, node);
    if (clipped != MLS__NO_VALUE) {
        *ret_changed = true;
        return fuse(graph, node, clipped, &(gated){.type = "HardSwish"});
    }
    for (size_t k = 0; k < 2 && mls__node_is(node, "Mul"); k++) {
        const uint32_t x = node->inputs[k];
        const gated found = match_gate(links, node->inputs[1 - k], x);
        if (!found.type)
            continue;
        *ret_changed = true;
        return fuse(graph, node, x, &found);
    }
    return MLS_OK;
}

mls_status mls__pass_fuse_gate(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, visit, ret_changed);
}
