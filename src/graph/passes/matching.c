/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/passes/matching.h"

#include "base/error.h"

#include <string.h>

static void note(const mls__links *links, size_t index)
{
    const mls__node *node = mls__graph_node(links->graph, index);
    for (size_t k = 0; k < node->input_count; k++)
        if (node->inputs[k] != MLS__NO_VALUE)
            links->reader[node->inputs[k]] = index;
    for (size_t k = 0; k < node->output_count; k++)
        if (node->outputs[k] != MLS__NO_VALUE)
            links->giver[node->outputs[k]] = index;
}

mls_status mls__links_find(const mls__graph *graph, mls__links *ret_links)
{
    const size_t count = graph->values.count;
    mls__links links = {
        .graph = graph,
        .value_count = count,
        .reader = mls__alloc_array(graph->allocator, count, sizeof *links.reader),
        .giver = mls__alloc_array(graph->allocator, count, sizeof *links.giver),
    };
    mls_status status = mls__graph_count_uses(graph, &links.uses);
    if (!status && (!links.reader || !links.giver))
        status = mls__error_nomem(count * sizeof *links.reader);
    if (status) {
        mls__links_free(&links);
        return status;
    }
    for (size_t v = 0; v < count; v++)
        links.reader[v] = links.giver[v] = SIZE_MAX;
    for (size_t i = 0; i < graph->nodes.count; i++)
        if (!mls__graph_node(graph, i)->is_dead)
            note(&links, i);
    *ret_links = links;
    return MLS_OK;
}

void mls__links_free(mls__links *links)
{
    mls__free(links->graph->allocator, links->uses);
    mls__free(links->graph->allocator, links->reader);
    mls__free(links->graph->allocator, links->giver);
}

mls_status mls__visit_nodes(mls__graph *graph, mls__node_visit visit, bool *ret_changed)
{
    mls__links links;
    const size_t count = graph->nodes.count;
    mls_status status = mls__links_find(graph, &links);
    if (status)
        return status;
    for (size_t i = 0; !status && i < count; i++) {
        mls__node *node = mls__graph_node(graph, i);
        if (!node->is_dead)
            status = visit(graph, &links, node, ret_changed);
    }
    mls__links_free(&links);
    return status;
}

static mls__node *live_node(const mls__links *links, size_t index)
{
    mls__node *node = index == SIZE_MAX ? NULL : mls__graph_node(links->graph, index);
    return node && !node->is_dead ? node : NULL;
}

mls__node *mls__only_reader(const mls__links *links, const mls__node *node)
{
    const uint32_t out = node->output_count ? node->outputs[0] : MLS__NO_VALUE;
    for (size_t k = 1; k < node->output_count; k++)
        if (node->outputs[k] != MLS__NO_VALUE)
            return NULL;
    if (out >= links->value_count || links->uses[out] != 1)
        return NULL;
    return live_node(links, links->reader[out]);
}

mls__node *mls__giver(const mls__links *links, uint32_t value)
{
    return value < links->value_count ? live_node(links, links->giver[value]) : NULL;
}

bool mls__node_is(const mls__node *node, const char *type)
{
    return node->domain[0] == '\0' && strcmp(node->type, type) == 0;
}

bool mls__node_adds(const mls__node *node)
{
    return node->input_count == 2 && (mls__node_is(node, "Add") || mls__node_is(node, "Sum"));
}

const mls_attr *mls__node_attr(const mls__node *node, const char *name)
{
    for (size_t i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}

int64_t mls__node_int(const mls__node *node, const char *name, int64_t fallback)
{
    const mls_attr *attr = mls__node_attr(node, name);
    return attr && attr->type == MLS_ATTR_INT ? attr->i : fallback;
}

mls_status mls__node_set_ints(mls__graph *graph, mls__node *node, size_t count,
                              const char *const *names, const int64_t *values)
{
    mls_attr *attrs = mls__arena_array(&graph->arena, node->attr_count + count, sizeof *attrs);
    if (!attrs)
        return mls__error_nomem((node->attr_count + count) * sizeof *attrs);
    if (node->attr_count)
        memcpy(attrs, node->attrs, node->attr_count * sizeof *attrs);
    for (size_t i = 0; i < count; i++)
        attrs[node->attr_count + i] =
            (mls_attr){.name = names[i], .type = MLS_ATTR_INT, .count = 1, .i = values[i]};
    node->attrs = attrs;
    node->attr_count += count;
    return MLS_OK;
}

uint32_t mls__node_input(const mls__node *node, size_t k)
{
    return k < node->input_count ? node->inputs[k] : MLS__NO_VALUE;
}

const mls_tensor *mls__node_constant(const mls__graph *graph, const mls__node *node, size_t k,
                                     int32_t dtype)
{
    const uint32_t value = mls__node_input(node, k);
    if (value == MLS__NO_VALUE)
        return NULL;
    const mls_tensor *tensor = mls__graph_value(graph, value)->constant;
    return tensor && (int32_t) mls_tensor_dtype(tensor) == dtype ? tensor : NULL;
}

bool mls__is_known_float(const mls__graph *graph, uint32_t value, int rank)
{
    return mls__is_known_weight(graph, value, rank) &&
           mls__graph_value(graph, value)->dtype == MLS_FLOAT32;
}

bool mls__is_image_dtype(int32_t dtype)
{
    return dtype == MLS_FLOAT32 || dtype == MLS_FLOAT16 || dtype == MLS_BFLOAT16;
}

bool mls__is_known_weight(const mls__graph *graph, uint32_t value, int rank)
{
    if (value == MLS__NO_VALUE)
        return false;
    const mls__value *v = mls__graph_value(graph, value);
    if (!mls__is_image_dtype(v->dtype) || v->rank < 0 || (rank && v->rank != rank))
        return false;
    for (int i = 0; i < v->rank; i++)
        if (v->dims[i] < 0)
            return false;
    return true;
}
