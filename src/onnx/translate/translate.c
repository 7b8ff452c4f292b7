/* SPDX-License-Identifier: Apache-2.0 */
/* Finds and applies the rules of a node, and what rules are made of. */
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <inttypes.h>
#include <string.h>

/* Each family is a file in this folder, and a line here. */
/* clang-format off */
static const mls__onnx_rule *const families[] = {
    mls__onnx_rules_contrib,
    mls__onnx_rules_control,
    mls__onnx_rules_early,
    mls__onnx_rules_image,
    mls__onnx_rules_indexing,
    mls__onnx_rules_maps,
    mls__onnx_rules_movement,
    mls__onnx_rules_nn,
    mls__onnx_rules_norm,
    mls__onnx_rules_quantized_lstm,
    mls__onnx_rules_reduce,
    mls__onnx_rules_spectral,
};
/* clang-format on */

mls_attr *mls__onnx_attr(const mls__onnx_node *node, const char *name)
{
    for (size_t i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}

static void remove_attr(mls__onnx_node *node, mls_attr *attr)
{
    const size_t after = node->attr_count - (size_t) (attr - node->attrs) - 1;
    memmove(attr, attr + 1, after * sizeof *attr);
    node->attr_count--;
}

void mls__onnx_set_int(mls__onnx_node *node, const char *name, int64_t value)
{
    mls_attr *attr = mls__onnx_attr(node, name);
    if (!attr)
        attr = &node->attrs[node->attr_count++];
    *attr = (mls_attr){.name = name, .type = MLS_ATTR_INT, .i = value, .count = 1};
}

bool mls__onnx_has_input(const mls__onnx_node *node, size_t index)
{
    return index < node->input_count && node->inputs[index] != MLS__NO_VALUE;
}

bool mls__onnx_is_output_used(const mls__onnx_node *node, size_t index)
{
    const mls__node_proto *proto = node->proto;
    size_t value;
    return index < proto->n_output &&
           mls__map_get(&node->reader->values, proto->output[index], strlen(proto->output[index]),
                        &value) &&
           mls__onnx_note(node->reader, (uint32_t) value)->is_used;
}

static mls_status create_ints(mls__onnx_node *node, const mls_attr *attr, mls_tensor **ret_tensor)
{
    if (attr->type != MLS_ATTR_INT && attr->type != MLS_ATTR_INTS)
        return mls__error(MLS_EFORMAT, "attribute '%s' has type %d, expected an int or ints",
                          attr->name, attr->type);
    const int64_t dims[] = {(int64_t) attr->count};
    const mls_status status =
        mls_tensor_create(node->reader->model->context, MLS_INT64, 1, dims, ret_tensor);
    if (!status)
        memcpy(mls_tensor_data(*ret_tensor), attr->type == MLS_ATTR_INTS ? attr->ints : &attr->i,
               attr->count * sizeof(int64_t));
    return status;
}

static mls_status add_input(mls__onnx_node *node, const mls_attr *attr, size_t input)
{
    mls_tensor *tensor;
    uint32_t value;
    mls_status status = create_ints(node, attr, &tensor);
    if (!status)
        status = mls__onnx_add_constant(node->reader, attr->name, tensor, &value);
    if (status)
        return status;
    while (node->input_count <= input)
        node->inputs[node->input_count++] = MLS__NO_VALUE;
    node->inputs[input] = value;
    return MLS_OK;
}

mls_status mls__onnx_attr_to_input(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    mls_attr *attr = mls__onnx_attr(node, rule->attr);
    if (!attr)
        return MLS_OK;
    if (mls__onnx_has_input(node, rule->input))
        return mls__error(MLS_EFORMAT, "it has both attribute '%s' and input %zu", rule->attr,
                          rule->input);
    /* An empty list is one way to write that there is none. */
    const mls_status status = attr->count ? add_input(node, attr, rule->input) : MLS_OK;
    if (!status)
        remove_attr(node, attr);
    return status;
}

mls_status mls__onnx_keep_attr(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) node;
    (void) rule;
    return MLS_OK;
}

mls_status mls__onnx_drop_attr(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    mls_attr *attr = mls__onnx_attr(node, rule->attr);
    if (attr)
        remove_attr(node, attr);
    return MLS_OK;
}

static mls_status apply(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    if (strcmp(rule->type, node->type) != 0 || strcmp(rule->domain, node->domain) != 0)
        return MLS_OK;
    if (node->version < rule->below)
        return rule->apply(node, rule);
    if (rule->attr && mls__onnx_attr(node, rule->attr))
        return mls__error(MLS_EUNSUPPORTED,
                          "attribute '%s' has no meaning since opset %" PRId64
                          ", the model imports %" PRId64,
                          rule->attr, rule->below, node->version);
    return MLS_OK;
}

mls_status mls__onnx_translate(mls__onnx_node *node)
{
    mls_status status = mls__onnx_begin_early(node);
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (const mls__onnx_rule *rule = families[f]; !status && rule->type; rule++)
            status = apply(node, rule);
    return status;
}
