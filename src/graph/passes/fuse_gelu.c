/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gelu, from the pieces that exporters write it in:
 *
 *     0.5 * x * (1 + erf(x / sqrt(2)))
 *     0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
 *
 * with the factors in any order and grouping. Below 0 the pieces subtract what is nearly equal;
 * the fused op does not. In float32 both forms are within 2^-22 * |x| of each other where x is
 * finite.
 */
#include "graph/passes/passes.h"

#include "graph/passes/formula.h"

#define SQRT_HALF    0.70710678118654752
#define SQRT_2_BY_PI 0.79788456080286536
#define CUBIC        0.044715

/* --- the argument of erf and tanh ------------------------------------------------------------ */

/* x / sqrt(2) */
static bool is_erf_argument(const mls__links *links, uint32_t value, uint32_t x)
{
    mls__product p;
    return mls__formula_product(links, value, x, &p) && p.count == 1 && p.factors[0] == x &&
           mls__formula_is_near(p.number, SQRT_HALF);
}

/* 0.044715 * x^power */
static bool is_cubic(const mls__links *links, uint32_t value, uint32_t x, int power)
{
    mls__product p;
    return mls__formula_product(links, value, x, &p) && p.count == power &&
           mls__formula_times(&p, x) == power && mls__formula_is_near(p.number, CUBIC);
}

/* x + 0.044715 * x^3 */
static bool is_sum(const mls__links *links, uint32_t value, uint32_t x)
{
    const mls__node *add = mls__giver(links, value);
    if (!add || !mls__node_is(add, "Add") || add->input_count != 2)
        return false;
    for (size_t k = 0; k < 2; k++)
        if (add->inputs[k] == x && is_cubic(links, add->inputs[1 - k], x, 3))
            return true;
    return false;
}

/* 1 + 0.044715 * x^2 */
static bool is_divided_sum(const mls__links *links, uint32_t value, uint32_t x)
{
    const mls__node *add = mls__giver(links, value);
    double one;
    uint32_t square;
    return add && mls__node_is(add, "Add") &&
           mls__formula_operand(links->graph, add, &square, &one) && one == 1 &&
           is_cubic(links, square, x, 2);
}

static bool is_tanh_argument(const mls__links *links, uint32_t value, uint32_t x)
{
    mls__product p;
    if (!mls__formula_product(links, value, x, &p) || !mls__formula_is_near(p.number, SQRT_2_BY_PI))
        return false;
    if (p.count == 1)
        return is_sum(links, p.factors[0], x);
    const uint32_t other = mls__formula_cofactor(&p, x);
    return other != MLS__NO_VALUE && is_divided_sum(links, other, x);
}

/* --- the whole ------------------------------------------------------------------------------- */

typedef enum kind { NOT_GELU, GELU_ERF, GELU_TANH } kind;

/* What the node gives is Gelu of x. */
static kind match(const mls__links *links, const mls__node *node, uint32_t x)
{
    mls__product p;
    double one;
    uint32_t curve;
    if (!mls__formula_product(links, node->outputs[0], x, &p) || p.number != 0.5)
        return NOT_GELU;
    const uint32_t gate = mls__formula_cofactor(&p, x);
    const mls__node *add = mls__giver(links, gate);
    if (!add || !mls__node_is(add, "Add") ||
        !mls__formula_operand(links->graph, add, &curve, &one) || one != 1)
        return NOT_GELU;
    const mls__node *inner = mls__giver(links, curve);
    if (!inner || inner->input_count != 1)
        return NOT_GELU;
    if (mls__node_is(inner, "Erf") && is_erf_argument(links, inner->inputs[0], x))
        return GELU_ERF;
    if (mls__node_is(inner, "Tanh") && is_tanh_argument(links, inner->inputs[0], x))
        return GELU_TANH;
    return NOT_GELU;
}

static mls_status fuse(mls__graph *graph, mls__node *last, uint32_t x, bool is_tanh)
{
    static const mls_string tanh = {"tanh", 4};
    mls_attr *attrs;
    const mls_status status = mls__formula_replace(graph, last, "Gelu", 1, &x, is_tanh, &attrs);
    if (!status && is_tanh)
        attrs[0] = (mls_attr){
            .name = "approximate", .type = MLS_ATTR_STRING, .count = 1, .strings = &tanh};
    return status;
}

static mls_status visit(mls__graph *graph, const mls__links *links, mls__node *node,
                        bool *ret_changed)
{
    uint32_t candidates[MLS__MAX_CANDIDATES];
    if (node->input_count != 2 || !(mls__node_is(node, "Mul") || mls__node_is(node, "Div")))
        return MLS_OK;
    const int count = mls__formula_candidates(links, node, candidates);
    for (int i = 0; i < count; i++) {
        const kind found =
            candidates[i] == MLS__NO_VALUE ? NOT_GELU : match(links, node, candidates[i]);
        if (found == NOT_GELU)
            continue;
        *ret_changed = true;
        return fuse(graph, node, candidates[i], found == GELU_TANH);
    }
    return MLS_OK;
}

mls_status mls__pass_fuse_gelu(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, visit, ret_changed);
}
