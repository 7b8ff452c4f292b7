/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of com.microsoft that ONNX has by another name. */
#include "onnx/translate/translate.h"

/* x * sigmoid(alpha * x), of which ONNX's alpha is 1 where it is not given. */
static mls_status become_swish(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    node->domain = "";
    node->type = "Swish";
    if (!mls__onnx_attr(node, "alpha"))
        node->attrs[node->attr_count++] =
            (mls_attr){.name = "alpha", .type = MLS_ATTR_FLOAT, .f = 1.702f, .count = 1};
    return MLS_OK;
}

static mls_status become_gelu(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    node->domain = "";
    node->type = "Gelu";
    return MLS_OK;
}

/* With a bias it stays what it is. */
static mls_status become_tanh_gelu(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    static const mls_string approximate = {"tanh", 4};
    if (mls__onnx_has_input(node, 1))
        return MLS_OK;
    node->attrs[node->attr_count++] = (mls_attr){
        .name = "approximate", .type = MLS_ATTR_STRING, .count = 1, .strings = &approximate};
    return become_gelu(node, rule);
}

const mls__onnx_rule mls__onnx_rules_contrib[] = {
    {"com.microsoft", "Gelu", INT64_MAX, become_gelu, NULL, 0},
    {"com.microsoft", "FastGelu", INT64_MAX, become_tanh_gelu, NULL, 0},
    {"com.microsoft", "QuickGelu", INT64_MAX, become_swish, NULL, 0},
    {.type = NULL},
};
