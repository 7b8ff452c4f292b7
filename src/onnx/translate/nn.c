/* SPDX-License-Identifier: Apache-2.0 */
/* Activations, and what goes with them in networks. */
#include "onnx/translate/translate.h"

#include "base/error.h"

/*
 * Before 13 these made a matrix of their input, cut at `axis` (1 when not given), and
 * worked on its rows; since then they work along one dimension, the last by default.
 */
static mls_status flatten_at_axis(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    if (!mls__onnx_attr(node, "axis"))
        mls__onnx_set_int(node, "axis", 1);
    mls__onnx_set_int(node, "mls_flatten", 1);
    return MLS_OK;
}

/* The mask had the type of the data; since then it is bool. Mostly it is only named. */
static mls_status drop_mask(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    if (mls__onnx_is_output_used(node, 1))
        return mls__error(MLS_EUNSUPPORTED, "the mask of Dropout below opset 10 is not supported");
    node->output_count = node->output_count ? 1 : 0;
    return MLS_OK;
}

/*
 * Dropout passes its input on, unless training_mode says otherwise: then it is another op. Most
 * models say that it does not, in a constant.
 */
static mls_status choose_dropout(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    if (!mls__onnx_has_input(node, 2))
        return MLS_OK;
    const mls_tensor *mode = mls__graph_value(node->reader->graph, node->inputs[2])->constant;
    if (mode && mls_tensor_dtype(mode) == MLS_BOOL && mls_tensor_element_count(mode) == 1 &&
        !*(const uint8_t *) mls_tensor_data(mode)) {
        node->input_count = 2;
        return MLS_OK;
    }
    node->domain = "mlscale";
    node->type = "TrainingDropout";
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_nn[] = {
    {"", "Softmax", 13, flatten_at_axis, NULL, 0},
    {"", "LogSoftmax", 13, flatten_at_axis, NULL, 0},
    {"", "Hardmax", 13, flatten_at_axis, NULL, 0},
    /* Bounds have the type of the data, which is not known before types are inferred. */
    {"", "Clip", 11, mls__onnx_keep_attr, "min", 1},
    {"", "Clip", 11, mls__onnx_keep_attr, "max", 2},
    {"", "Dropout", 10, drop_mask, NULL, 0},
    {"", "Dropout", 12, mls__onnx_drop_attr, "ratio", 0}, /* inference has no use for it */
    {"", "Dropout", 7, mls__onnx_drop_attr, "is_test", 0},
    {"", "Dropout", INT64_MAX, choose_dropout, NULL, 0},
    {.type = NULL},
};
