/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A product with constant float32 weights takes the bias and the activation that follow
 * it: MatMul + Add and Gemm become FusedGemm, with an activation if one comes next. The
 * bytes of the result do not change: the product's own order comes first, then the bias,
 * then the activation, each rounded once, as apart.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"
#include "tensor/tensor.h"

#include <string.h>

/* Activations a product takes, and the attributes that become activation_alpha and _beta. */
static const struct activation {
    const char *type, *alpha, *beta;
} activations[] = {
    {"Relu", NULL, NULL},         {"Sigmoid", NULL, NULL},  {"Tanh", NULL, NULL},
    {"LeakyRelu", "alpha", NULL}, {"Elu", "alpha", NULL},   {"Selu", "alpha", "gamma"},
    {"Softplus", NULL, NULL},     {"Softsign", NULL, NULL}, {"HardSigmoid", "alpha", "beta"},
    {"HardSwish", NULL, NULL},    {"Mish", NULL, NULL},     {"Swish", "alpha", NULL},
    {"Gelu", NULL, NULL},
};

typedef struct fuser {
    mls__graph *graph;
    uint32_t *uses;  /* of each value */
    size_t *reader;  /* of each value: the last node that reads it */
    bool *is_matrix; /* of each value: surely of two dimensions */
} fuser;

static const struct activation *find_activation(const mls__node *node)
{
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (node->domain[0] == '\0' && strcmp(activations[i].type, node->type) == 0)
            return &activations[i];
    return NULL;
}

/* Gelu by tanh is an activation of its own. */
static const char *activation_name(const mls__node *node)
{
    const mls_attr *attr = mls__node_attr(node, "approximate");
    const bool is_by_tanh = attr && attr->type == MLS_ATTR_STRING &&
                            mls__string_equal(attr->strings[0], (mls_string){"tanh", 4});
    return is_by_tanh && mls__node_is(node, "Gelu") ? "GeluTanh" : node->type;
}

static bool is_op(const mls__node *node, const char *type)
{
    return node->domain[0] == '\0' && strcmp(node->type, type) == 0;
}

static const mls_tensor *constant_of(const fuser *f, uint32_t value)
{
    return value == MLS__NO_VALUE ? NULL : mls__graph_value(f->graph, value)->constant;
}

/* The node that alone reads the only output of `node`; NULL if there is none. */
static mls__node *only_reader(const fuser *f, const mls__node *node)
{
    const uint32_t out = node->outputs[0];
    if (out == MLS__NO_VALUE || f->uses[out] != 1 || f->reader[out] == SIZE_MAX)
        return NULL;
    mls__node *reader = mls__graph_node(f->graph, f->reader[out]);
    return reader->is_dead ? NULL : reader;
}

/* Whether a constant adds one number to each of `columns` columns. */
static bool is_bias(const mls_tensor *tensor, int64_t columns)
{
    if (!tensor || tensor->dtype != MLS_FLOAT32 || tensor->rank < 1 || tensor->rank > 2)
        return false;
    return tensor->dims[tensor->rank - 1] == columns && tensor->count == columns;
}

static bool has_weights(const fuser *f, const mls__node *node)
{
    const mls_tensor *weights = constant_of(f, node->inputs[1]);
    return weights && weights->dtype == MLS_FLOAT32 && weights->rank == 2;
}

static bool is_product(const fuser *f, const mls__node *node)
{
    if (node->is_dead || node->input_count < 2 || !has_weights(f, node))
        return false;
    return is_op(node, "Gemm") || (is_op(node, "MatMul") && f->is_matrix[node->inputs[0]]);
}

/* The bias of an Add that reads a product, or MLS__NO_VALUE. */
static uint32_t bias_of(const fuser *f, const mls__node *add, uint32_t product, int64_t columns)
{
    for (size_t k = 0; k < 2; k++)
        if (add->inputs[k] != product && is_bias(constant_of(f, add->inputs[k]), columns))
            return add->inputs[k];
    return MLS__NO_VALUE;
}

/* The attributes of `product`, and `more` places behind them. */
static mls_attr *copy_attrs(const fuser *f, const mls__node *product, size_t more)
{
    mls_attr *attrs = mls__arena_array(&f->graph->arena, product->attr_count + more, sizeof *attrs);
    if (attrs && product->attr_count)
        memcpy(attrs, product->attrs, product->attr_count * sizeof *attrs);
    return attrs;
}

static mls_status set_activation(const fuser *f, mls__node *fused, const mls__node *activation)
{
    const struct activation *row = find_activation(activation);
    mls_attr *attrs = copy_attrs(f, fused, 3);
    mls_string *name = mls__arena_alloc(&f->graph->arena, sizeof *name);
    if (!attrs || !name)
        return mls__error_nomem(3 * sizeof *attrs);
    const char *text = activation_name(activation);
    *name = (mls_string){text, strlen(text)};
    attrs[fused->attr_count++] =
        (mls_attr){.name = "activation", .type = MLS_ATTR_STRING, .count = 1, .strings = name};
    const struct {
        const char *from, *to;
    } params[] = {{row->alpha, "activation_alpha"}, {row->beta, "activation_beta"}};
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; params[p].from && i < activation->attr_count; i++)
            if (strcmp(activation->attrs[i].name, params[p].from) == 0) {
                attrs[fused->attr_count] = activation->attrs[i];
                attrs[fused->attr_count++].name = params[p].to;
            }
    fused->attrs = attrs;
    return MLS_OK;
}

/* What a product is fused with; any of them may be missing. */
typedef struct match {
    mls__node *product, *add, *activation;
    uint32_t bias;
} match;

static match find_match(const fuser *f, mls__node *product)
{
    match m = {.product = product, .bias = MLS__NO_VALUE};
    const mls__node *last = product;
    if (product->input_count > 2)
        m.bias = product->inputs[2];
    mls__node *next = only_reader(f, last);
    if (next && is_op(next, "Add") && m.bias == MLS__NO_VALUE) {
        const mls_tensor *weights = constant_of(f, product->inputs[1]);
        const int64_t columns = is_op(product, "MatMul") ? weights->dims[1] : -1;
        m.bias = bias_of(f, next, product->outputs[0], columns);
        if (m.bias != MLS__NO_VALUE) {
            m.add = next;
            last = next;
            next = only_reader(f, last);
        }
    }
    if (next && find_activation(next))
        m.activation = next;
    return m;
}

static mls_status fuse(fuser *f, const match *m)
{
    const mls__node *last = m->activation ? m->activation : m->add ? m->add : m->product;
    const mls__node product = *m->product; /* the nodes move when one is added */
    const mls__node activation = m->activation ? *m->activation : product;
    const uint32_t out = last->outputs[0];
    const bool has_activation = m->activation != NULL;
    m->product->is_dead = true;
    if (m->add)
        m->add->is_dead = true;
    if (m->activation)
        m->activation->is_dead = true;

    mls__node *fused;
    mls_status status = mls__graph_add_node(f->graph, MLS__DOMAIN_FUSED, "FusedGemm",
                                            m->bias == MLS__NO_VALUE ? 2 : 3, 1, &fused);
    if (status)
        return status;
    fused->name = product.name;
    fused->inputs[0] = product.inputs[0];
    fused->inputs[1] = product.inputs[1];
    if (m->bias != MLS__NO_VALUE)
        fused->inputs[2] = m->bias;
    fused->outputs[0] = out;
    fused->attrs = product.attrs;
    fused->attr_count = product.attr_count;
    return has_activation ? set_activation(f, fused, &activation) : MLS_OK;
}

/* Values that surely are matrices: declared so as inputs, or made by a product. */
static void note_matrices(fuser *f)
{
    for (size_t i = 0; i < f->graph->inputs.count; i++) {
        const uint32_t v = mls__graph_input(f->graph, i);
        f->is_matrix[v] = mls__graph_value(f->graph, v)->rank == 2;
    }
    for (size_t i = 0; i < f->graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(f->graph, i);
        if (!node->output_count || node->outputs[0] == MLS__NO_VALUE || !node->input_count ||
            node->inputs[0] == MLS__NO_VALUE)
            continue;
        const bool keeps = find_activation(node) && f->is_matrix[node->inputs[0]];
        const bool adds = is_op(node, "Add") && node->input_count == 2 &&
                          f->is_matrix[node->inputs[0]] && constant_of(f, node->inputs[1]) &&
                          constant_of(f, node->inputs[1])->rank <= 2;
        f->is_matrix[node->outputs[0]] = is_op(node, "Gemm") || keeps || adds ||
                                         (is_product(f, node) && f->is_matrix[node->inputs[0]]);
    }
}

static void note_readers(fuser *f)
{
    for (size_t v = 0; v < f->graph->values.count; v++)
        f->reader[v] = SIZE_MAX;
    for (size_t i = 0; i < f->graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(f->graph, i);
        for (size_t k = 0; k < node->input_count; k++)
            if (node->inputs[k] != MLS__NO_VALUE)
                f->reader[node->inputs[k]] = i;
    }
}

static mls_status fuse_all(fuser *f, bool *ret_changed)
{
    mls_status status = MLS_OK;
    const size_t count = f->graph->nodes.count;
    note_readers(f);
    note_matrices(f);
    for (size_t i = 0; !status && i < count; i++) {
        mls__node *node = mls__graph_node(f->graph, i);
        if (!is_product(f, node))
            continue;
        const match m = find_match(f, node);
        if (!m.add && !m.activation)
            continue;
        status = fuse(f, &m);
        *ret_changed = true;
    }
    return status;
}

mls_status mls__pass_fuse_gemm(mls__graph *graph, bool *ret_changed)
{
    const mls__allocator *allocator = graph->allocator;
    const size_t values = graph->values.count;
    fuser f = {
        .graph = graph,
        .reader = mls__alloc_array(allocator, values, sizeof *f.reader),
        .is_matrix = mls__alloc_array(allocator, values, sizeof *f.is_matrix),
    };
    mls_status status = mls__graph_count_uses(graph, &f.uses);
    if (!status && (!f.reader || !f.is_matrix))
        status = mls__error_nomem(values * sizeof *f.reader);
    if (!status)
        status = fuse_all(&f, ret_changed);
    mls__free(allocator, f.uses);
    mls__free(allocator, f.reader);
    mls__free(allocator, f.is_matrix);
    return status;
}
