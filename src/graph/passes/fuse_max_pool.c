/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A convolution takes the maximum behind it: windows are reduced while the rows that they are made
 * of are in the cache, and the image between is never in memory. Both keep their order, so that no
 * byte of a float32 result changes; 16-bit floats are rounded once, behind the maximum, which is
 * that of the rounded ones.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"
#include "op/pooling.h"

#include <string.h>

static bool is_fused(const mls__node *node, const char *type)
{
    return strcmp(node->domain, MLS__DOMAIN_FUSED) == 0 && strcmp(node->type, type) == 0;
}

/* A row or a plane of outputs in blocks, all of whose filters see all channels. */
static bool is_fit(const mls__graph *graph, const mls__node *conv)
{
    const uint32_t w = conv->inputs[1];
    return mls__node_int(conv, "y_blocked", 0) && mls__node_int(conv, "group", 1) == 1 &&
           mls__node_input(conv, 3) == MLS__NO_VALUE &&
           (mls__is_known_weight(graph, w, 3) || mls__is_known_weight(graph, w, 4));
}

/* The attributes of both. */
static mls_status join_attrs(mls__graph *graph, const mls__node *conv, const mls__node *pool,
                             mls__node *fused)
{
    const size_t most = conv->attr_count + pool->attr_count;
    mls_attr *attrs = mls__arena_array(&graph->arena, most, sizeof *attrs);
    if (!attrs)
        return mls__error_nomem(most * sizeof *attrs);
    fused->attrs = attrs;
    for (size_t i = 0; i < conv->attr_count; i++)
        attrs[fused->attr_count++] = conv->attrs[i];
    for (size_t i = 0; i < pool->attr_count; i++) {
        const char *name = mls__pool_attr_within(pool->attrs[i].name);
        if (!name)
            continue;
        attrs[fused->attr_count] = pool->attrs[i];
        attrs[fused->attr_count++].name = name;
    }
    return MLS_OK;
}

static mls_status fuse(mls__graph *graph, const mls__links *links, mls__node *node,
                       bool *ret_changed)
{
    if (!is_fused(node, "FusedConv") || !is_fit(graph, node))
        return MLS_OK;
    mls__node *reader = mls__only_reader(links, node);
    if (!reader || !is_fused(reader, "BlockedMaxPool"))
        return MLS_OK;
    const mls__node conv = *node, pool = *reader; /* the nodes move when one is added */
    node->is_dead = reader->is_dead = true;
    *ret_changed = true;
    mls__node *fused;
    const mls_status status = mls__graph_add_node(graph, MLS__DOMAIN_FUSED, "FusedConvMaxPool",
                                                  conv.input_count, 1, &fused);
    if (status)
        return status;
    fused->name = conv.name;
    memcpy(fused->inputs, conv.inputs, conv.input_count * sizeof *conv.inputs);
    fused->outputs[0] = pool.outputs[0];
    return join_attrs(graph, &conv, &pool, fused);
}

mls_status mls__pass_fuse_max_pool(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, fuse, ret_changed);
}
