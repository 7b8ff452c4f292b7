/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A convolution with float32 weights takes the batch normalization that follows it into its
 * weights and its bias, and what is multiplied and added to each channel after that, or added
 * before.
 * FoldBatchNorm computes these when a session is planned, in double precision with one rounding
 * each. So results are not those of the ops to the bit: they differ by a few roundings of a sum's
 * terms.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/model.h"
#include "graph/passes/matching.h"
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

static bool is_conv(const mls__graph *graph, const mls__node *node)
{
    const uint32_t bias = mls__node_input(node, 2);
    const bool is_type = mls__node_is(node, "Conv") || mls__node_is(node, "ConvTranspose");
    return is_type && node->schema && mls__is_known_float(graph, mls__node_input(node, 1), 0) &&
           mls__node_constant(graph, node, 1, MLS_FLOAT32) &&
           (bias == MLS__NO_VALUE || mls__node_constant(graph, node, 2, MLS_FLOAT32));
}

/* Whether a node normalizes by constants, one for each of so many channels. */
static bool is_norm(const mls__graph *graph, const mls__node *node, int64_t channels)
{
    if (!mls__node_is(node, "BatchNormalization") || mls__node_int(node, "training_mode", 0))
        return false;
    for (size_t k = 1; k < 5; k++) {
        const mls_tensor *tensor = mls__node_constant(graph, node, k, MLS_FLOAT32);
        if (!tensor || tensor->rank != 1 || tensor->count != channels)
            return false;
    }
    return true;
}

static int64_t filters_of(const mls__graph *graph, const mls__node *conv)
{
    const int64_t *dims = mls__graph_value(graph, conv->inputs[1])->dims;
    const int64_t groups = mls__node_int(conv, "group", 1);
    return mls__node_is(conv, "Conv") ? dims[0] : dims[1] * groups;
}

/* A float32 value of known dims that a node will give. */
static mls_status add_value(mls__graph *graph, const mls__node *conv, const char *what, int rank,
                            const int64_t *dims, uint32_t *ret_value)
{
    char name[256];
    snprintf(name, sizeof name, "%.200s/%s", conv->name, what);
    const mls_status status = mls__graph_add_value(graph, name, ret_value);
    if (status)
        return status;
    int64_t *own = mls__arena_array(&graph->arena, (size_t) rank, sizeof *own);
    if (!own)
        return mls__error_nomem((size_t) rank * sizeof *own);
    memcpy(own, dims, (size_t) rank * sizeof *own);
    mls__value *value = mls__graph_value(graph, *ret_value);
    value->dtype = MLS_FLOAT32;
    value->rank = rank;
    value->dims = own;
    return MLS_OK;
}

static mls_status set_attrs(mls__graph *graph, mls__node *fold, const mls__node *conv,
                            float epsilon)
{
    mls_attr *attrs = mls__arena_array(&graph->arena, 3, sizeof *attrs);
    if (!attrs)
        return mls__error_nomem(3 * sizeof *attrs);
    attrs[0] = (mls_attr){.name = "epsilon", .type = MLS_ATTR_FLOAT, .count = 1, .f = epsilon};
    attrs[1] = (mls_attr){
        .name = "axis", .type = MLS_ATTR_INT, .count = 1, .i = !mls__node_is(conv, "Conv")};
    attrs[2] = (mls_attr){
        .name = "group", .type = MLS_ATTR_INT, .count = 1, .i = mls__node_int(conv, "group", 1)};
    fold->attrs = attrs;
    fold->attr_count = 3;
    return MLS_OK;
}

/* --- what follows a convolution -------------------------------------------------------------- */

/* Terms and a normalization, then factors and terms of each channel, in any order. */
typedef struct tail {
    const mls__node *norm; /* NULL: none */
    mls__node *last;       /* gives the result; NULL: nothing follows */
    size_t factors;
    bool has_terms; /* in front of the normalization */
    /* Of each channel: those terms; those of the normalization, and all that follows. */
    float *term, *scale, *shift;
} tail;

/* The constant that a node of two inputs, one of them `x`, has for each channel of an image. */
static const float *constant_of_channels(const mls__graph *graph, const mls__node *node, uint32_t x,
                                         int rank, int64_t channels)
{
    if (node->input_count != 2 || node->output_count != 1 || node->inputs[0] == node->inputs[1])
        return NULL;
    const mls_tensor *tensor =
        mls__node_constant(graph, node, node->inputs[0] == x ? 1 : 0, MLS_FLOAT32);
    const int axis = tensor ? tensor->rank - (rank - 1) : -1;
    const bool fits =
        axis >= 0 && axis <= 1 && tensor->count == channels && tensor->dims[axis] == channels;
    return fits ? tensor->data : NULL;
}

/* Takes a node into the tail; false where it is none of its kind. */
static bool take_node(const mls__graph *graph, const mls__node *conv, uint32_t x, int64_t channels,
                      const mls__node *node, tail *t)
{
    const bool is_factor = mls__node_is(node, "Mul");
    if (!t->norm && !t->factors && is_norm(graph, node, channels) && node->inputs[0] == x &&
        node->output_count == 1) {
        t->norm = node;
        t->has_terms = t->last != NULL;
        memcpy(t->term, t->shift, (size_t) channels * sizeof *t->term);
        memcpy(t->scale, mls_tensor_data(mls__node_constant(graph, node, 1, MLS_FLOAT32)),
               (size_t) channels * sizeof *t->scale);
        memcpy(t->shift, mls_tensor_data(mls__node_constant(graph, node, 2, MLS_FLOAT32)),
               (size_t) channels * sizeof *t->shift);
        return true;
    }
    const int rank = mls__graph_value(graph, conv->inputs[1])->rank;
    const float *numbers = is_factor || mls__node_adds(node)
                               ? constant_of_channels(graph, node, x, rank, channels)
                               : NULL;
    for (int64_t c = 0; numbers && c < channels; c++) {
        t->scale[c] *= is_factor ? numbers[c] : 1;
        t->shift[c] = is_factor ? t->shift[c] * numbers[c] : t->shift[c] + numbers[c];
    }
    t->factors += numbers && is_factor;
    return numbers != NULL;
}

/* Terms alone stay: to add a bias is exact. */
static mls_status find_tail(const mls__graph *graph, const mls__links *links, const mls__node *conv,
                            tail *ret_tail)
{
    const int64_t channels = filters_of(graph, conv);
    tail t = {.norm = NULL};
    t.term = mls__alloc_array(graph->allocator, (size_t) channels, sizeof *t.term);
    t.scale = mls__alloc_array(graph->allocator, (size_t) channels, sizeof *t.scale);
    t.shift = mls__alloc_array(graph->allocator, (size_t) channels, sizeof *t.shift);
    *ret_tail = t;
    if (!t.term || !t.scale || !t.shift)
        return mls__error_nomem((size_t) channels * sizeof *t.scale);
    for (int64_t c = 0; c < channels; c++)
        t.scale[c] = 1;
    const mls__node *at = conv;
    mls__node *next = mls__only_reader(links, at);
    while (next && take_node(graph, conv, at->outputs[0], channels, next, &t)) {
        at = t.last = next;
        next = mls__only_reader(links, at);
    }
    if (!t.norm && !t.factors)
        t.last = NULL;
    *ret_tail = t;
    return MLS_OK;
}

/* --- folding --------------------------------------------------------------------------------- */

/* A constant of one number a channel. */
static mls_status add_constant(mls__graph *graph, const mls__node *conv, const char *what,
                               int64_t channels, const float *numbers, uint32_t *ret_value)
{
    mls_tensor *tensor;
    mls_status status =
        mls_tensor_create(graph->model->context, MLS_FLOAT32, 1, &channels, &tensor);
    if (status)
        return status;
    memcpy(mls_tensor_data(tensor), numbers, (size_t) channels * sizeof *numbers);
    status = mls__model_add_tensor(graph->model, tensor);
    if (!status)
        status = add_value(graph, conv, what, 1, &channels, ret_value);
    if (!status)
        mls__graph_set_constant(graph, *ret_value, tensor);
    return status;
}

/* Scale, shift, mean and variance; without a normalization the last two change nothing. */
static mls_status find_operands(mls__graph *graph, const mls__node *conv, const tail *t,
                                uint32_t *ret_values)
{
    const int64_t channels = filters_of(graph, conv);
    const mls__node norm = t->norm ? *t->norm : (mls__node){.name = ""};
    mls_status status = add_constant(graph, conv, "scale", channels, t->scale, &ret_values[0]);
    if (!status)
        status = add_constant(graph, conv, "shift", channels, t->shift, &ret_values[1]);
    if (t->norm) {
        ret_values[2] = norm.inputs[3];
        ret_values[3] = norm.inputs[4];
        return status;
    }
    for (int64_t c = 0; c < channels; c++) {
        t->shift[c] = 0;
        t->scale[c] = 1;
    }
    if (!status)
        status = add_constant(graph, conv, "mean", channels, t->shift, &ret_values[2]);
    if (!status)
        status = add_constant(graph, conv, "variance", channels, t->scale, &ret_values[3]);
    return status;
}

/* The convolution's own bias with the terms in front of the normalization, if there are any. */
static mls_status find_bias(mls__graph *graph, const mls__node *conv, const tail *t,
                            uint32_t *ret_bias)
{
    const mls_tensor *own = mls__node_constant(graph, conv, 2, MLS_FLOAT32);
    const int64_t channels = filters_of(graph, conv);
    *ret_bias = mls__node_input(conv, 2);
    if (!t->has_terms || (own && own->count != channels)) /* which inference will refuse */
        return MLS_OK;
    for (int64_t c = 0; own && c < channels; c++)
        t->term[c] += ((const float *) own->data)[c];
    return add_constant(graph, conv, "bias", channels, t->term, ret_bias);
}

static float epsilon_of(const mls__node *norm)
{
    if (!norm)
        return 0;
    const mls_attr *epsilon = mls__node_attr(norm, "epsilon");
    return epsilon && epsilon->type == MLS_ATTR_FLOAT ? epsilon->f : 1e-5f;
}

/* FoldBatchNorm(W, scale, B, mean, var, bias of the convolution) gives weights and a bias. */
static mls_status add_fold(mls__graph *graph, const mls__node *conv, const tail *t,
                           uint32_t *ret_weights, uint32_t *ret_bias)
{
    const uint32_t w = conv->inputs[1];
    const mls__value weights = *mls__graph_value(graph, w);
    const int64_t filters = filters_of(graph, conv);
    const float epsilon = epsilon_of(t->norm);
    const char *name = t->last->name;
    uint32_t operands[4], bias;
    mls_status status = find_operands(graph, conv, t, operands);
    if (!status)
        status = find_bias(graph, conv, t, &bias);
    if (!status)
        status = add_value(graph, conv, "folded_weights", weights.rank, weights.dims, ret_weights);
    if (!status)
        status = add_value(graph, conv, "folded_bias", 1, &filters, ret_bias);
    mls__node *fold;
    if (!status)
        status = mls__graph_add_node(graph, MLS__DOMAIN_FUSED, "FoldBatchNorm",
                                     bias == MLS__NO_VALUE ? 5 : 6, 2, &fold);
    if (status)
        return status;
    fold->name = name;
    fold->inputs[0] = w;
    memcpy(fold->inputs + 1, operands, sizeof operands);
    if (bias != MLS__NO_VALUE)
        fold->inputs[5] = bias;
    fold->outputs[0] = *ret_weights;
    fold->outputs[1] = *ret_bias;
    return set_attrs(graph, fold, conv, epsilon);
}

/* The nodes between a convolution and the end of its tail die with it. */
static void drop_nodes(const mls__links *links, mls__node *conv, const mls__node *last)
{
    mls__node *node = conv;
    while (node != last) {
        mls__node *next = mls__only_reader(links, node);
        node->is_dead = true;
        node = next;
    }
    node->is_dead = true;
}

static mls_status fold(mls__graph *graph, const mls__links *links, mls__node *conv_node,
                       const tail *t)
{
    const mls__node conv = *conv_node; /* the nodes move when one is added */
    const uint32_t output = t->last->outputs[0];
    drop_nodes(links, conv_node, t->last);
    uint32_t weights, bias;
    mls__node *node;
    mls_status status = add_fold(graph, &conv, t, &weights, &bias);
    if (!status)
        status = mls__graph_add_node(graph, conv.domain, conv.type, 3, 1, &node);
    if (status)
        return status;
    node->name = conv.name;
    node->inputs[0] = conv.inputs[0];
    node->inputs[1] = weights;
    node->inputs[2] = bias;
    node->outputs[0] = output;
    node->attrs = conv.attrs;
    node->attr_count = conv.attr_count;
    return MLS_OK;
}

mls_status mls__pass_fold_batch_norm(mls__graph *graph, bool *ret_changed)
{
    mls__links links;
    mls_status status = mls__links_find(graph, &links);
    if (status)
        return status;
    const size_t count = graph->nodes.count;
    for (size_t i = 0; !status && i < count; i++) {
        mls__node *conv = mls__graph_node(graph, i);
        if (conv->is_dead || !is_conv(graph, conv) || filters_of(graph, conv) < 1)
            continue;
        tail t;
        status = find_tail(graph, &links, conv, &t);
        if (!status && t.last) {
            status = fold(graph, &links, conv, &t);
            *ret_changed = true;
        }
        mls__free(graph->allocator, t.term);
        mls__free(graph->allocator, t.scale);
        mls__free(graph->allocator, t.shift);
    }
    mls__links_free(&links);
    return status;
}
