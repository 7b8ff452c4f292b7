/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on images: how one was resized had no attributes at first. */
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <string.h>

/* Input 1, the scales, is input 2 since there is a region. */
static mls_status move_scales(mls__onnx_node *node)
{
    if (node->input_count != 2)
        return mls__error(MLS_EFORMAT, "it has %zu inputs, expected 2", node->input_count);
    node->inputs[2] = node->inputs[1];
    node->inputs[1] = MLS__NO_VALUE;
    node->input_count = 3;
    mls__onnx_set_int(node, "mls_asymmetric", 1);
    return MLS_OK;
}

static mls_status resize_without_region(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    return move_scales(node);
}

static mls_status scales_to_input(mls__onnx_node *node, const mls_attr *attr)
{
    const int64_t dims[] = {(int64_t) attr->count};
    mls_tensor *tensor;
    uint32_t value;
    if (attr->type != MLS_ATTR_FLOATS)
        return mls__error(MLS_EFORMAT, "attribute 'scales' has type %d, expected floats",
                          attr->type);
    mls_status status =
        mls_tensor_create(node->reader->model->context, MLS_FLOAT32, 1, dims, &tensor);
    if (status)
        return status;
    if (attr->count)
        memcpy(mls_tensor_data(tensor), attr->floats, attr->count * sizeof(float));
    status = mls__onnx_add_constant(node->reader, "scales", tensor, &value);
    if (!status)
        node->inputs[node->input_count++] = value;
    return status;
}

/* Upsample became Resize. Its scales were an attribute below 9. */
static mls_status upsample(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    const mls_attr *scales = mls__onnx_attr(node, "scales");
    if (scales) {
        const mls_status status = scales_to_input(node, scales);
        if (status)
            return status;
        mls__onnx_drop_attr(node, rule);
    }
    node->type = "Resize";
    return move_scales(node);
}

/* The shift by half a pixel came with its attribute. */
static mls_status keep_corners(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    static const mls_string corners = {"output_half_pixel", sizeof "output_half_pixel" - 1};
    (void) rule;
    if (!mls__onnx_attr(node, "coordinate_transformation_mode"))
        node->attrs[node->attr_count++] = (mls_attr){.name = "coordinate_transformation_mode",
                                                     .type = MLS_ATTR_STRING,
                                                     .strings = &corners,
                                                     .count = 1};
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_image[] = {
    {"", "Resize", 11, resize_without_region, NULL, 0},
    {"", "Upsample", 10, upsample, "scales", 0}, /* behind the rule of what it becomes */
    {"", "RoiAlign", 16, keep_corners, NULL, 0},
    {.type = NULL},
};
