/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention from its pieces, as exporters write it:
 *
 *     s = MatMul(Q, Transpose(K))     K's last two axes turned, or [0, 2, 3, 1], or [1, 2, 0]
 *     s = s * scale or s / scale      with a number, if there
 *     s = s + mask                    if there
 *     y = MatMul(Softmax(s), V)       over the last axis
 *
 * becomes FusedAttention. In float32 and float64 the bytes are those of the pieces, but where
 * float32 products are narrow (kernels/gemm.h): these the pieces sum in another order, so that y
 * is within rounding of theirs. Floats of 16 bits are rounded once and not after each piece.
 */
#include "graph/passes/passes.h"

#include "graph/passes/formula.h"

#include "base/error.h"

#include <string.h>

typedef struct match {
    uint32_t q, k, v, mask;
    bool is_inside, is_divided;
    float scale;  /* 1: none */
    int64_t rank; /* of K */
    mls__node *last;
} match;

/* The node of this type that gives a value which nothing else reads. */
static mls__node *only_giver(const mls__links *links, uint32_t value, const char *type)
{
    mls__node *node = value == MLS__NO_VALUE ? NULL : mls__giver(links, value);
    return node && mls__node_is(node, type) && links->uses[value] == 1 ? node : NULL;
}

/* --- keys ------------------------------------------------------------------------------------ */

/* The keys of which a value is the transpose, in a form that FusedAttention takes. */
static bool match_keys(const mls__links *links, uint32_t turned, match *m)
{
    static const struct form {
        size_t rank;
        int64_t order[4];
        bool is_inside;
    } forms[] = {
        {3, {0, 2, 1}, false},
        {3, {1, 2, 0}, true},
        {4, {0, 1, 3, 2}, false},
        {4, {0, 2, 3, 1}, true},
    };
    const mls__node *node = mls__giver(links, turned);
    const mls_attr *perm =
        node && mls__node_is(node, "Transpose") ? mls__node_attr(node, "perm") : NULL;
    if (!perm || perm->type != MLS_ATTR_INTS)
        return false;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const size_t bytes = forms[i].rank * sizeof perm->ints[0];
        if (perm->count != forms[i].rank || memcmp(perm->ints, forms[i].order, bytes) != 0)
            continue;
        m->k = node->inputs[0];
        m->rank = (int64_t) perm->count;
        m->is_inside = forms[i].is_inside;
        return true;
    }
    return false;
}

/* --- scores ---------------------------------------------------------------------------------- */

/* Q and K of a product that only the scores read. */
static bool match_product(const mls__links *links, uint32_t value, match *m)
{
    const mls__node *product = only_giver(links, value, "MatMul");
    if (!product || product->input_count != 2)
        return false;
    m->q = product->inputs[0];
    return match_keys(links, product->inputs[1], m);
}

/* Likewise, times a number, or divided by one, that a float holds. */
static bool match_scaled(const mls__links *links, uint32_t value, match *m)
{
    const mls__node *product = only_giver(links, value, "Mul");
    const mls__node *quotient = only_giver(links, value, "Div");
    uint32_t scores = value;
    double scale = 1;
    m->is_divided = quotient != NULL;
    m->scale = 1;
    if (product) {
        if (!mls__formula_operand(links->graph, product, &scores, &scale))
            return false;
    } else if (quotient) {
        scores = quotient->inputs[0];
        if (!mls__formula_number(links->graph, quotient->inputs[1], &scale))
            return false;
    }
    m->scale = (float) scale;
    return (double) m->scale == scale && match_product(links, scores, m);
}

static bool match_scores(const mls__links *links, uint32_t value, match *m)
{
    const mls__node *sum = only_giver(links, value, "Add");
    m->mask = MLS__NO_VALUE;
    if (!sum || sum->input_count != 2)
        return match_scaled(links, value, m);
    for (size_t i = 0; i < 2; i++) {
        m->mask = sum->inputs[1 - i];
        if (match_scaled(links, sum->inputs[i], m))
            return true;
    }
    return false;
}

/* --- weights --------------------------------------------------------------------------------- */

/* As far as it is known: declared, or by what gives the value; else -1. */
static int64_t rank_of(const mls__links *links, uint32_t value)
{
    for (int depth = 0; depth < 4; depth++) {
        const int rank = mls__graph_value(links->graph, value)->rank;
        const mls__node *node = mls__giver(links, value);
        const mls_attr *perm = node ? mls__node_attr(node, "perm") : NULL;
        double number;
        if (rank >= 0 || !node)
            return rank;
        if (mls__node_is(node, "Transpose") && perm)
            return (int64_t) perm->count;
        if (node->input_count != 2 || !mls__formula_operand(links->graph, node, &value, &number))
            return -1;
    }
    return -1;
}

/*
 * An axis counted from the start is the last one where the scores have as many dimensions as Q and
 * K, which FusedAttention makes sure of; *ret_rank is 0 for one that is the last anyway.
 */
static bool is_over_last_axis(const mls__links *links, const mls__node *softmax, const match *m,
                              int64_t *ret_rank)
{
    const int64_t axis = mls__node_int(softmax, "axis", -1);
    const bool is_flat = mls__node_int(softmax, "mls_flatten", 0) != 0;
    *ret_rank = axis == -1 ? 0 : m->rank;
    if (axis == -1)
        return !is_flat;
    return axis == m->rank - 1 && rank_of(links, m->q) == m->rank;
}

static bool find_match(const mls__links *links, mls__node *last, match *m)
{
    if (!mls__node_is(last, "MatMul") || last->input_count != 2)
        return false;
    const mls__node *softmax = only_giver(links, last->inputs[0], "Softmax");
    m->v = last->inputs[1];
    m->last = last;
    return softmax && match_scores(links, softmax->inputs[0], m) &&
           is_over_last_axis(links, softmax, m, &m->rank);
}

/* The nodes between lose their only reader: they are dead code now. */
static mls_status fuse(mls__graph *graph, const match *m)
{
    const mls__node last = *m->last; /* the nodes move when one is added */
    mls_attr *attrs = mls__arena_array(&graph->arena, 4, sizeof *attrs);
    mls__node *node;
    if (!attrs)
        return mls__error_nomem(4 * sizeof *attrs);
    attrs[0] = (mls_attr){.name = "scale", .type = MLS_ATTR_FLOAT, .count = 1, .f = m->scale};
    attrs[1] = (mls_attr){.name = "divides", .type = MLS_ATTR_INT, .count = 1, .i = m->is_divided};
    attrs[2] = (mls_attr){.name = "k_inside", .type = MLS_ATTR_INT, .count = 1, .i = m->is_inside};
    attrs[3] = (mls_attr){.name = "rank", .type = MLS_ATTR_INT, .count = 1, .i = m->rank};
    m->last->is_dead = true;
    const size_t inputs = m->mask == MLS__NO_VALUE ? 3 : 4;
    const mls_status status =
        mls__graph_add_node(graph, MLS__DOMAIN_FUSED, "FusedAttention", inputs, 1, &node);
    if (status)
        return status;
    const uint32_t values[] = {m->q, m->k, m->v, m->mask};
    memcpy(node->inputs, values, inputs * sizeof *values);
    node->name = last.name;
    node->outputs[0] = last.outputs[0];
    node->attrs = attrs;
    node->attr_count = 4;
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

mls_status mls__pass_fuse_attention(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, visit, ret_changed);
}
