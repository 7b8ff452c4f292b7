/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What quantization makes of a MatMul becomes one op: MatMulInteger, Cast to float32, Mul by the
 * product of both scales and perhaps Add of a bias are MatMulIntegerToFloat of com.microsoft. It
 * rounds where they do: the bytes are the same.
 */
#include "graph/passes/passes.h"

#include "graph/passes/matching.h"
#include "tensor/tensor.h"

typedef struct match {
    mls__node *product, *cast, *mul, *add; /* add: NULL where there is none */
    uint32_t a_scale, b_scale, bias;
    int64_t columns;
} match;

/* An input or a constant, whose dims are as declared; NULL: another value. */
static const mls__value *declared(const mls__links *links, uint32_t value)
{
    return value == MLS__NO_VALUE || mls__giver(links, value)
               ? NULL
               : mls__graph_value(links->graph, value);
}

static bool is_single(const mls__value *value)
{
    return value->rank == 0 || (value->rank == 1 && value->dims[0] == 1);
}

/* Whether a DynamicQuantizeLinear gives the value as its output k. */
static bool is_dynamic(const mls__links *links, uint32_t value, size_t k)
{
    const mls__node *giver = value == MLS__NO_VALUE ? NULL : mls__giver(links, value);
    return giver && mls__node_is(giver, "DynamicQuantizeLinear") && giver->output_count > k &&
           giver->outputs[k] == value;
}

/* Whether a value is a scale of one element. */
static bool is_single_scale(const mls__links *links, uint32_t value)
{
    const mls__value *scale = declared(links, value);
    return is_dynamic(links, value, 1) ||
           (scale && scale->dtype == MLS_FLOAT32 && is_single(scale));
}

/*
 * Scales of columns: one, or one for each in one dimension. Where the model does not say how many,
 * another number would not fit the pieces, unless there is but one column.
 */
static bool is_scale_row(const mls__links *links, uint32_t value, int64_t columns)
{
    const mls__value *row = declared(links, value);
    if (!row || row->dtype != MLS_FLOAT32 || row->rank < 0 || row->rank > 1)
        return false;
    return is_single(row) || row->dims[0] == columns || (row->dims[0] < 0 && columns > 1);
}

static bool is_bias(const mls__links *links, uint32_t value, int64_t columns)
{
    const mls__value *row = declared(links, value);
    return row && row->dtype == MLS_FLOAT32 && row->rank == 1 && row->dims[0] == columns;
}

/* Whether input k is left out, one zero point, or (`may_be_row`) also one for each column. */
static bool is_zero_point(const mls__links *links, const mls__node *product, size_t k,
                          bool may_be_row)
{
    const uint32_t value = mls__node_input(product, k);
    const mls__value *zero = declared(links, value);
    return value == MLS__NO_VALUE || is_dynamic(links, value, 2) ||
           (zero && (is_single(zero) || (may_be_row && zero->rank == 1)));
}

/* The columns of a product of elements by weights that are declared; 0: it is none. */
static int64_t columns_of(const mls__links *links, const mls__node *product)
{
    if (!product || !mls__node_is(product, "MatMulInteger") || !product->schema ||
        !is_zero_point(links, product, 2, false) || !is_zero_point(links, product, 3, true))
        return 0;
    const mls__value *b = declared(links, mls__node_input(product, 1));
    return b && b->rank >= 2 && b->dims[b->rank - 1] > 0 ? b->dims[b->rank - 1] : 0;
}

/* Input `k` of the Mul is a product as float32. */
static bool find_product(const mls__links *links, mls__node *mul, size_t k, match *m)
{
    m->cast = mls__giver(links, mul->inputs[k]);
    if (!m->cast || !mls__node_is(m->cast, "Cast") ||
        mls__node_int(m->cast, "to", 0) != MLS_FLOAT32 || mls__only_reader(links, m->cast) != mul ||
        mls__node_input(m->cast, 0) == MLS__NO_VALUE)
        return false;
    m->product = mls__giver(links, m->cast->inputs[0]);
    m->columns = columns_of(links, m->product);
    return m->columns && mls__only_reader(links, m->product) == m->cast;
}

/* The value is the product of both scales. */
static bool find_scales(const mls__links *links, uint32_t value, match *m)
{
    const mls__node *scales = mls__giver(links, value);
    if (!scales || !mls__node_is(scales, "Mul") || scales->input_count != 2)
        return false;
    for (size_t k = 0; k < 2; k++)
        if (is_single_scale(links, scales->inputs[k]) &&
            is_scale_row(links, scales->inputs[1 - k], m->columns)) {
            m->a_scale = scales->inputs[k];
            m->b_scale = scales->inputs[1 - k];
            return true;
        }
    return false;
}

static void find_bias(const mls__links *links, match *m)
{
    mls__node *add = mls__only_reader(links, m->mul);
    m->bias = MLS__NO_VALUE;
    if (!add || !mls__node_is(add, "Add") || add->input_count != 2)
        return;
    for (size_t k = 0; k < 2; k++)
        if (add->inputs[k] != m->mul->outputs[0] && is_bias(links, add->inputs[k], m->columns)) {
            m->add = add;
            m->bias = add->inputs[k];
        }
}

static bool find_match(const mls__links *links, mls__node *mul, match *ret_match)
{
    if (!mls__node_is(mul, "Mul") || mul->input_count != 2)
        return false;
    for (size_t k = 0; k < 2; k++) {
        match m = {.mul = mul};
        if (find_product(links, mul, k, &m) && find_scales(links, mul->inputs[1 - k], &m)) {
            find_bias(links, &m);
            *ret_match = m;
            return true;
        }
    }
    return false;
}

static mls_status apply(mls__graph *graph, const match *m)
{
    const mls__node product = *m->product; /* the nodes move when one is added */
    const uint32_t output = (m->add ? m->add : m->mul)->outputs[0];
    m->product->is_dead = m->cast->is_dead = m->mul->is_dead = true;
    if (m->add)
        m->add->is_dead = true;
    mls__node *node;
    const mls_status status =
        mls__graph_add_node(graph, "com.microsoft", "MatMulIntegerToFloat", 7, 1, &node);
    if (status)
        return status;
    node->name = product.name;
    node->inputs[0] = product.inputs[0];
    node->inputs[1] = product.inputs[1];
    node->inputs[2] = m->a_scale;
    node->inputs[3] = m->b_scale;
    node->inputs[4] = mls__node_input(&product, 2);
    node->inputs[5] = mls__node_input(&product, 3);
    node->inputs[6] = m->bias;
    node->outputs[0] = output;
    return MLS_OK;
}

static mls_status visit(mls__graph *graph, const mls__links *links, mls__node *node,
                        bool *ret_changed)
{
    match m;
    if (!find_match(links, node, &m))
        return MLS_OK;
    *ret_changed = true;
    return apply(graph, &m);
}

mls_status mls__pass_fuse_integer(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, visit, ret_changed);
}
