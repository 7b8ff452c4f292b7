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
    {"Abs", 1},
    {"Add", 1},
    {"And", 1},
    {"ArgMax", 1},
    {"ArgMin", 1},
    {"AveragePool", 1},
    {"BatchNormalization", 1},
    {"Cast", 6},
    {"Ceil", 1},
    {"Clip", 1},
    {"Concat", 4},
    {"Constant", 1},
    {"Conv", 1},
    {"ConvTranspose", 1},
    {"DepthToSpace", 1},
    {"Div", 1},
    {"Dropout", 1},
    {"Elu", 1},
    {"Equal", 1},
    {"Exp", 1},
    {"Flatten", 1},
    {"Floor", 1},
    {"Gather", 1},
    {"Gemm", 1},
    {"GlobalAveragePool", 1},
    {"GlobalMaxPool", 1},
    {"Greater", 1},
    {"HardSigmoid", 1},
    {"Hardmax", 1},
    {"Identity", 1},
    {"InstanceNormalization", 1},
    {"LRN", 1},
    {"LeakyRelu", 1},
    {"Less", 1},
    {"Log", 1},
    {"LogSoftmax", 1},
    {"LpNormalization", 1},
    {"MatMul", 1},
    {"Max", 1},
    {"MaxPool", 1},
    {"Mean", 1},
    {"Min", 1},
    {"Mul", 1},
    {"Neg", 1},
    {"Not", 1},
    {"Or", 1},
    {"PRelu", 1},
    {"Pad", 2},
    {"Pow", 1},
    {"RandomNormal", 1},
    {"RandomNormalLike", 1},
    {"RandomUniform", 1},
    {"RandomUniformLike", 1},
    {"Reciprocal", 1},
    {"ReduceL1", 1},
    {"ReduceL2", 1},
    {"ReduceLogSum", 1},
    {"ReduceLogSumExp", 1},
    {"ReduceMax", 1},
    {"ReduceMean", 1},
    {"ReduceMin", 1},
    {"ReduceProd", 1},
    {"ReduceSum", 1},
    {"ReduceSumSquare", 1},
    {"Relu", 1},
    {"Reshape", 5},
    {"Selu", 6},
    {"Shape", 1},
    {"Sigmoid", 1},
    {"Size", 1},
    {"Slice", 1},
    {"Softmax", 1},
    {"Softplus", 1},
    {"Softsign", 1},
    {"SpaceToDepth", 1},
    {"Split", 2},
    {"Sqrt", 1},
    {"Squeeze", 1},
    {"Sub", 1},
    {"Sum", 1},
    {"Tanh", 1},
    {"Tile", 6},
    {"TopK", 1},
    {"Transpose", 1},
    {"Unsqueeze", 1},
    {"Xor", 1},
};

/* Most ops said below 6 which inputs they may overwrite; here the plan chooses memory. */
static void drop_consumed_inputs(mls__onnx_node *node)
{
    static const mls__onnx_rule rule = {.attr = "consumed_inputs"};
    if (node->version < 6)
        mls__onnx_drop_attr(node, &rule);
}

mls_status mls__onnx_begin_early(mls__onnx_node *node)
{
    if (node->domain[0] || node->version >= FIRST_WHOLE_OPSET)
        return MLS_OK;
    drop_consumed_inputs(node);
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

/* The rank of input `index`, as it is declared; -1 where it is not. */
static int declared_rank(const mls__onnx_node *node, size_t index)
{
    if (!mls__onnx_has_input(node, index))
        return -1;
    return mls__graph_value(node->reader->graph, node->inputs[index])->rank;
}

static mls_status axes_constant(mls__onnx_node *node, int first, int count, uint32_t *ret_value)
{
    const int64_t dims[] = {count};
    mls_tensor *tensor;
    const mls_status status =
        mls_tensor_create(node->reader->model->context, MLS_INT64, 1, dims, &tensor);
    if (status)
        return status;
    for (int i = 0; i < count; i++)
        ((int64_t *) mls_tensor_data(tensor))[i] = first + i;
    return mls__onnx_add_constant(node->reader, "axes", tensor, ret_value);
}

/* Puts `count` dims of 1 behind those of input `index`, by a node of its own. */
static mls_status append_ones(mls__onnx_node *node, size_t index, int rank, int count)
{
    uint32_t axes, longer;
    mls__node *unsqueeze;
    mls_status status = axes_constant(node, rank, count, &axes);
    if (!status)
        status = mls__onnx_add_value(node->reader, "", &longer);
    if (!status)
        status = mls__graph_add_node(node->reader->graph, "", "Unsqueeze", 2, 1, &unsqueeze);
    if (status)
        return status;
    unsqueeze->inputs[0] = node->inputs[index];
    unsqueeze->inputs[1] = axes;
    unsqueeze->outputs[0] = longer;
    node->inputs[index] = longer;
    return MLS_OK;
}

/*
 * Input 1 matched the dims of input 0 from `axis` on, where it has not all of them: as many dims
 * of 1 behind its own as are left make it match at the end.
 */
static mls_status match_at(mls__onnx_node *node, int64_t axis)
{
    const int a = declared_rank(node, 0), b = declared_rank(node, 1);
    if (a < 0 || b < 0)
        return mls__error(MLS_EUNSUPPORTED,
                          "below opset 7 it needs the ranks of its inputs, which the model does "
                          "not declare");
    const int64_t from = axis < 0 ? axis + a : axis;
    if (from < 0 || from > a - b)
        return mls__error(MLS_EFORMAT, "axis %" PRId64 " does not fit inputs of rank %d and %d",
                          axis, a, b);
    const int left = a - b - (int) from;
    return left ? append_ones(node, 1, b, left) : MLS_OK;
}

static mls_status broadcast_at_axis(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    const mls_attr *attr = mls__onnx_attr(node, rule->attr);
    if (!attr)
        return MLS_OK;
    if (attr->type != MLS_ATTR_INT)
        return mls__error(MLS_EFORMAT, "attribute 'axis' must be an int");
    const mls_status status = match_at(node, attr->i);
    return status ? status : mls__onnx_drop_attr(node, rule);
}

/* The slope was one number, or one a channel; channels are axis 1. */
static mls_status slope_of_channels(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    const mls__value *slope = mls__onnx_has_input(node, 1)
                                  ? mls__graph_value(node->reader->graph, node->inputs[1])
                                  : NULL;
    if (!slope || slope->rank != 1 || slope->dims[0] == 1)
        return MLS_OK;
    return match_at(node, 1);
}

/*
 * Shapes had to be equal, unless `broadcast` let the second one match the end of the
 * first, or with `axis` its middle. Since 7 they always match at the end.
 */
const mls__onnx_rule mls__onnx_rules_early[] = {
    {"", "Add", 7, broadcast_at_axis, "axis", 0},
    {"", "Add", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Sub", 7, broadcast_at_axis, "axis", 0},
    {"", "Sub", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Mul", 7, broadcast_at_axis, "axis", 0},
    {"", "Mul", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Div", 7, broadcast_at_axis, "axis", 0},
    {"", "Div", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Pow", 7, broadcast_at_axis, "axis", 0},
    {"", "Pow", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "And", 7, broadcast_at_axis, "axis", 0},
    {"", "And", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Or", 7, broadcast_at_axis, "axis", 0},
    {"", "Or", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Xor", 7, broadcast_at_axis, "axis", 0},
    {"", "Xor", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Equal", 7, broadcast_at_axis, "axis", 0},
    {"", "Equal", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Less", 7, broadcast_at_axis, "axis", 0},
    {"", "Less", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Greater", 7, broadcast_at_axis, "axis", 0},
    {"", "Greater", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "Gemm", 7, mls__onnx_drop_attr, "broadcast", 0},
    {"", "PRelu", 7, slope_of_channels, NULL, 0},
    /* Inference is what is done here. */
    {"", "BatchNormalization", 7, mls__onnx_drop_attr, "is_test", 0},
    {.type = NULL},
};
