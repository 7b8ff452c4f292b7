/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops on maps. Nothing behind the reader computes on a map: a node of its own takes it apart into
 * keys and values, and the op becomes one on these two tensors.
 */
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <string.h>

/* A node before this one, named like it in messages. */
static mls_status add_node_before(mls__onnx_node *node, const char *domain, const char *type,
                                  uint32_t input, size_t outputs, mls__node **ret_node)
{
    mls__graph *graph = node->reader->graph;
    uint32_t values[2];
    mls__node *added;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < outputs; i++)
        status = mls__onnx_add_value(node->reader, "", &values[i]);
    if (!status)
        status = mls__graph_add_node(graph, domain, type, 1, outputs, &added);
    if (status)
        return status;
    added->name = mls__arena_string(&graph->arena, mls__proto_text(node->proto->name));
    if (!added->name)
        return mls__error_nomem(1);
    added->inputs[0] = input;
    memcpy(added->outputs, values, outputs * sizeof *values);
    *ret_node = added;
    return MLS_OK;
}

/* Inputs 0 and 1 become the keys and the values of what was input 0. */
static mls_status take_apart(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    mls__node *items;
    if (node->input_count != 1 || !mls__onnx_has_input(node, 0))
        return mls__error(MLS_EFORMAT, "%zu inputs; %s takes one, a map", node->input_count,
                          node->type);
    const mls_status status =
        add_node_before(node, MLS__DOMAIN_FUSED, "MapItems", node->inputs[0], 2, &items);
    if (status)
        return status;
    node->inputs[0] = items->outputs[0];
    node->inputs[1] = items->outputs[1];
    node->input_count = 2;
    return MLS_OK;
}

static mls_status read_cast_to(const mls__onnx_node *node, int64_t *ret_dtype)
{
    static const struct {
        const char *text;
        mls_dtype dtype;
    } forms[] = {{"TO_FLOAT", MLS_FLOAT32}, {"TO_STRING", MLS_STRING}, {"TO_INT64", MLS_INT64}};
    const mls_attr *attr = mls__onnx_attr(node, "cast_to");
    *ret_dtype = MLS_FLOAT32;
    if (!attr)
        return MLS_OK;
    for (size_t i = 0; attr->type == MLS_ATTR_STRING && i < sizeof forms / sizeof forms[0]; i++)
        if (attr->strings->size == strlen(forms[i].text) &&
            memcmp(attr->strings->data, forms[i].text, attr->strings->size) == 0) {
            *ret_dtype = forms[i].dtype;
            return MLS_OK;
        }
    return mls__error(MLS_EFORMAT, "cast_to is none of TO_FLOAT, TO_STRING and TO_INT64");
}

/* The values are cast by Cast; what is left is to put them in their places. */
static mls_status cast_values(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    mls__node *cast;
    int64_t dtype;
    mls_status status = take_apart(node, rule);
    if (!status)
        status = read_cast_to(node, &dtype);
    if (!status)
        status = add_node_before(node, "", "Cast", node->inputs[1], 1, &cast);
    if (status)
        return status;
    mls_attr *to = mls__arena_array(&node->reader->graph->arena, 1, sizeof *to);
    if (!to)
        return mls__error_nomem(sizeof *to);
    *to = (mls_attr){.name = "to", .type = MLS_ATTR_INT, .i = dtype, .count = 1};
    cast->attrs = to;
    cast->attr_count = 1;
    node->inputs[1] = cast->outputs[0];
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_maps[] = {
    {"ai.onnx.ml", "CastMap", INT64_MAX, cast_values, NULL, 0},
    {"ai.onnx.ml", "DictVectorizer", INT64_MAX, take_apart, NULL, 0},
    {.type = NULL},
};
