/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions: their axes became an input, of ReduceSum five opsets before the others. */
#include "onnx/translate/translate.h"

const mls__onnx_rule mls__onnx_rules_reduce[] = {
    {"", "ReduceSum", 13, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceMean", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceMax", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceMin", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceProd", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceL1", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceL2", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceLogSum", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceLogSumExp", 18, mls__onnx_attr_to_input, "axes", 1},
    {"", "ReduceSumSquare", 18, mls__onnx_attr_to_input, "axes", 1},
    {.type = NULL},
};
