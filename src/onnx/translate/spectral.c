/* SPDX-License-Identifier: Apache-2.0 */
/* Fourier transforms: the axis became an input, with another default. */
#include "onnx/translate/translate.h"

static mls_status axis_to_input(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    if (!mls__onnx_attr(node, "axis"))
        mls__onnx_set_int(node, "axis", 1);
    return mls__onnx_attr_to_input(node, rule);
}

const mls__onnx_rule mls__onnx_rules_spectral[] = {
    {"", "DFT", 20, axis_to_input, "axis", 2},
    {.type = NULL},
};
