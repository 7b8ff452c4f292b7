/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opsets 1 to 6 of ai.onnx. Models from classical machine learning still import them
 * for the few ops they need beside ai.onnx.ml; of these many have not changed since.
 */
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define FIRST_WHOLE_OPSET 7

/* Since when the op has a form that the rules know. What is not here begins at 7. */
static const struct {
    const char *type;
    int64_t since;
} early[] = {
    {"Abs", 1},        {"Add", 1},          {"And", 1},
    {"ArgMax", 1},     {"ArgMin", 1},       {"Cast", 6},
    {"Ceil", 1},       {"Clip", 1},         {"Concat", 4},
    {"Constant", 1},   {"Div", 1},          {"Dropout", 1},
    {"Elu", 1},        {"Equal", 1},        {"Exp", 1},
    {"Flatten", 1},    {"Floor", 1},        {"Gather", 1},
    {"Gemm", 1},       {"Greater", 1},      {"HardSigmoid", 1},
    {"Hardmax", 1},    {"Identity", 1},     {"LeakyRelu", 1},
    {"Less", 1},       {"Log", 1},          {"LogSoftmax", 1},
    {"MatMul", 1},     {"Max", 1},          {"Mean", 1},
    {"Min", 1},        {"Mul", 1},          {"Neg", 1},
    {"Not", 1},        {"Or", 1},           {"Pad", 2},
    {"Pow", 1},        {"Reciprocal", 1},   {"ReduceL1", 1},
    {"ReduceL2", 1},   {"ReduceLogSum", 1}, {"ReduceLogSumExp", 1},
    {"ReduceMax", 1},  {"ReduceMean", 1},   {"ReduceMin", 1},
    {"ReduceProd", 1}, {"ReduceSum", 1},    {"ReduceSumSquare", 1},
    {"Relu", 1},       {"Reshape", 5},      {"Selu", 6},
    {"Shape", 1},      {"Sigmoid", 1},      {"Size", 1},
    {"Slice", 1},      {"Softmax", 1},      {"Softplus", 1},
    {"Softsign", 1},   {"Split", 2},        {"Sqrt", 1},
    {"Squeeze", 1},    {"Sub", 1},          {"Sum", 1},
    {"Tanh", 1},       {"Tile", 6},         {"TopK", 1},
    {"Transpose", 1},  {"Unsqueeze", 1},    {"Xor", 1},
};

mls_status mls__onnx_check_early(const mls__onnx_node *node)
{
    if (node->domain[0] || node->version >= FIRST_WHOLE_OPSET)
        return MLS_OK;
    int64_t since = FIRST_WHOLE_OPSET;
    for (size_t i = 0; i < sizeof early / sizeof early[0]; i++)
        if (strcmp(early[i].type, node->type) == 0)
            since = early[i].since;
    if (node->version >= since)
        return MLS_OK;
    return mls__error(MLS_EUNSUPPORTED,
                      "op %.100s of opset %" PRId64 " is not supported; below opset 7 only ops "
                      "that kept their form are",
                      node->type, node->version);
}

/*
 * Shapes had to be equal, unless `broadcast` let the second one match the end of the
 * first, or with `axis` its middle. Since 7 they always match at the end.
 */
const mls__onnx_rule mls__onnx_rules_early[] = {
    {"", "Add", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Add", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Sub", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Sub", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Mul", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Mul", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Div", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Div", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Pow", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Pow", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "And", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "And", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Or", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Or", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Xor", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Xor", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Equal", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Equal", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Less", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Less", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Greater", 7, mls__onnx_refuse_attr, "axis", 0},
    {"", "Greater", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Gemm", 7, mls__onnx_drop_attr, "broadcast", 0},
    {.type = NULL},
};
