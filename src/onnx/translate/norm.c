/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations: statistics of elements, outputs of training, scales of groups. */
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <inttypes.h>

/* Not spatial, statistics are those of each element of [channels, ...], and not of each channel. */
static mls_status read_spatial(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    const mls_attr *attr = mls__onnx_attr(node, rule->attr);
    const bool is_each = attr && attr->type == MLS_ATTR_INT && attr->i == 0;
    const mls_status status = mls__onnx_drop_attr(node, rule);
    if (!status && is_each)
        mls__onnx_set_int(node, "mls_per_element", 1);
    return status;
}

/* What training would have put there; nothing reads it where a model is only scored. */
static mls_status drop_statistics(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    const mls_attr *mode = mls__onnx_attr(node, "training_mode");
    if (mode && mode->i)
        return mls__error(MLS_EUNSUPPORTED, "training_mode is set: this is for training");
    for (size_t i = 1; i < node->output_count; i++)
        if (mls__onnx_is_output_used(node, i))
            return mls__error(MLS_EUNSUPPORTED, "output %zu is of training only", i);
    node->output_count = node->output_count ? 1 : 0;
    return MLS_OK;
}

static mls_status scale_groups(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    mls__onnx_set_int(node, "mls_scale_groups", 1);
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_norm[] = {
    {"", "BatchNormalization", 9, read_spatial, "spatial", 0},
    {"", "BatchNormalization", INT64_MAX, drop_statistics, NULL, 0},
    {"", "GroupNormalization", 21, scale_groups, NULL, 0},
    {.type = NULL},
};
