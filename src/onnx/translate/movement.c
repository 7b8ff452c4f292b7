/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that move elements: what they move where became inputs. */
#include "onnx/translate/translate.h"

/* From 18 on a Split without sizes says into how many parts; before, its outputs did. */
static mls_status count_parts(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    if (!mls__onnx_has_input(node, 1))
        mls__onnx_set_int(node, "num_outputs", (int64_t) node->proto->n_output);
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_movement[] = {
    {"", "Squeeze", 13, mls__onnx_attr_to_input, "axes", 1},
    {"", "Unsqueeze", 13, mls__onnx_attr_to_input, "axes", 1},
    {"", "Split", 13, mls__onnx_attr_to_input, "split", 1},
    {"", "Split", 18, count_parts, NULL, 0},
    {"", "Slice", 10, mls__onnx_attr_to_input, "starts", 1},
    {"", "Slice", 10, mls__onnx_attr_to_input, "ends", 2},
    {"", "Slice", 10, mls__onnx_attr_to_input, "axes", 3},
    {"", "Pad", 11, mls__onnx_attr_to_input, "pads", 1},
    /* It has the type of the data, which is not known before types are inferred. */
    {"", "Pad", 11, mls__onnx_keep_attr, "value", 2},
    {"", "TopK", 10, mls__onnx_attr_to_input, "k", 1},
    {.type = NULL},
};
