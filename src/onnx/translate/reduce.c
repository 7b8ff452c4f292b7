/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions: their axes became an input, of ReduceSum five opsets before the others. */
#include "onnx/translate/translate.h"

#define AXES(type, below) {"", type, below, mls__onnx_attr_to_input, "axes", 1}

const mls__onnx_rule mls__onnx_rules_reduce[] = {
    AXES("ReduceSum", 13),
    AXES("ReduceMean", 18),
    AXES("ReduceMax", 18),
    AXES("ReduceMin", 18),
    AXES("ReduceProd", 18),
    AXES("ReduceL1", 18),
    AXES("ReduceL2", 18),
    AXES("ReduceLogSum", 18),
    AXES("ReduceLogSumExp", 18),
    AXES("ReduceSumSquare", 18),
    {.type = NULL},
};
