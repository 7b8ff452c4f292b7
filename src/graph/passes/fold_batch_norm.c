/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A convolution with float32 weights takes the batch normalization that follows it into its
 * weights and its bias. FoldBatchNorm computes these when a session is planned, in double
 * precision with one rounding each. So results are not those of the two ops to the bit: they
 * differ by a few roundings of a sum's terms.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
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
                            const mls__node *norm)
{
    mls_attr *attrs = mls__arena_array(&graph->arena, 3, sizeof *attrs);
    if (!attrs)
        return mls__error_nomem(3 * sizeof *attrs);
    const mls_attr *epsilon = mls__node_attr(norm, "epsilon");
    attrs[0] = (mls_attr){.name = "epsilon",
                          .type = MLS_ATTR_FLOAT,
                          .count = 1,
                          .f = epsilon && epsilon->type == MLS_ATTR_FLOAT ? epsilon->f : 1e-5f};
    attrs[1] = (mls_attr){
        .name = "axis", .type = MLS_ATTR_INT, .count = 1, .i = !mls__node_is(conv, "Conv")};
    attrs[2] = (mls_attr){
        .name = "group", .type = MLS_ATTR_INT, .count = 1, .i = mls__node_int(conv, "group", 1)};
    fold->attrs = attrs;
    fold->attr_count = 3;
    return MLS_OK;
}

/* FoldBatchNorm(W, scale, B, mean, var, bias of the convolution) gives weights and a bias. */
static mls_status add_fold(mls__graph *graph, const mls__node *conv, const mls__node *norm,
                           uint32_t *ret_weights, uint32_t *ret_bias)
{
    const uint32_t w = conv->inputs[1], bias = mls__node_input(conv, 2);
    const mls__value weights = *mls__graph_value(graph, w);
    const int64_t filters = filters_of(graph, conv);
    mls_status status =
        add_value(graph, conv, "folded_weights", weights.rank, weights.dims, ret_weights);
    if (!status)
        status = add_value(graph, conv, "folded_bias", 1, &filters, ret_bias);
    mls__node *fold;
    if (!status)
        status = mls__graph_add_node(graph, MLS__DOMAIN_FUSED, "FoldBatchNorm",
                                     bias == MLS__NO_VALUE ? 5 : 6, 2, &fold);
    if (status)
        return status;
    fold->name = norm->name;
    fold->inputs[0] = w;
    for (size_t k = 1; k < 5; k++)
        fold->inputs[k] = norm->inputs[k];
    if (bias != MLS__NO_VALUE)
        fold->inputs[5] = bias;
    fold->outputs[0] = *ret_weights;
    fold->outputs[1] = *ret_bias;
    return set_attrs(graph, fold, conv, norm);
}

static mls_status fold(mls__graph *graph, mls__node *conv_node, mls__node *norm_node)
{
    const mls__node conv = *conv_node, norm = *norm_node; /* the nodes move when one is added */
    conv_node->is_dead = norm_node->is_dead = true;
    uint32_t weights, bias;
    mls__node *node;
    mls_status status = add_fold(graph, &conv, &norm, &weights, &bias);
    if (!status)
        status = mls__graph_add_node(graph, conv.domain, conv.type, 3, 1, &node);
    if (status)
        return status;
    node->name = conv.name;
    node->inputs[0] = conv.inputs[0];
    node->inputs[1] = weights;
    node->inputs[2] = bias;
    node->outputs[0] = norm.outputs[0];
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
        if (conv->is_dead || !is_conv(graph, conv))
            continue;
        mls__node *norm = mls__only_reader(&links, conv);
        if (!norm || norm->inputs[0] != conv->outputs[0] || norm->output_count != 1 ||
            !is_norm(graph, norm, filters_of(graph, conv)))
            continue;
        status = fold(graph, conv, norm);
        *ret_changed = true;
    }
    mls__links_free(&links);
    return status;
}
