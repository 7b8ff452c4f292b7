/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DynamicQuantizeLSTM of com.microsoft, what dynamic quantization makes of an LSTM: its weights of
 * 8 bits become float32 constants, and the op an LSTM. ONNX Runtime quantizes what they are
 * multiplied with too, at each step, which is less exact.
 */
#include "onnx/translate/translate.h"

#include "base/error.h"
#include "tensor/tensor.h"

#include <inttypes.h>

enum { W = 1, R = 2, OPERANDS = 8, W_SCALE = 8, W_ZERO, R_SCALE, R_ZERO, INPUTS };

/* The constant of an input. Errors: MLS_EUNSUPPORTED. */
static mls_status constant_of(const mls__onnx_node *node, size_t input, const mls_tensor **ret)
{
    const uint32_t value = mls__onnx_has_input(node, input) ? node->inputs[input] : MLS__NO_VALUE;
    *ret = value == MLS__NO_VALUE ? NULL : mls__graph_value(node->reader->graph, value)->constant;
    return *ret ? MLS_OK
                : mls__error(MLS_EUNSUPPORTED, "input %zu is no constant of the same graph", input);
}

/* Weights of [directions, rows, columns], with a scale and a zero point a direction or column. */
typedef struct weights {
    const mls_tensor *values, *scales, *zeros;
    int64_t directions, rows, columns, each; /* each: scales of a direction */
} weights;

static bool is_bytes(int32_t dtype)
{
    return dtype == MLS_INT8 || dtype == MLS_UINT8;
}

static mls_status read_weights(const mls__onnx_node *node, size_t input, size_t scale,
                               weights *ret_weights)
{
    weights w;
    mls_status status = constant_of(node, input, &w.values);
    if (!status)
        status = constant_of(node, scale, &w.scales);
    if (!status)
        status = constant_of(node, scale + 1, &w.zeros);
    if (status)
        return status;
    if (w.values->rank != 3 || !is_bytes(w.values->dtype) || w.zeros->dtype != w.values->dtype ||
        w.scales->dtype != MLS_FLOAT32)
        return mls__error(
            MLS_EFORMAT,
            "inputs %zu, %zu and %zu are no weights of [directions, rows, columns] of "
            "int8 or uint8 with scales of float32",
            input, scale, scale + 1);
    w.directions = w.values->dims[0];
    w.rows = w.values->dims[1];
    w.columns = w.values->dims[2];
    w.each = w.scales->count == w.directions ? 1 : w.columns;
    if (w.scales->count != w.directions * w.each || w.zeros->count != w.scales->count)
        return mls__error(MLS_EFORMAT,
                          "inputs %zu and %zu have %" PRId64 " and %" PRId64
                          " elements, expected one a direction or one a column",
                          scale, scale + 1, w.scales->count, w.zeros->count);
    *ret_weights = w;
    return MLS_OK;
}

static int byte_at(const mls_tensor *tensor, int64_t index)
{
    return tensor->dtype == MLS_INT8 ? ((const int8_t *) tensor->data)[index]
                                     : ((const uint8_t *) tensor->data)[index];
}

/* As LSTM has them: [directions, columns, rows]. */
static void expand(const weights *w, float *to)
{
    for (int64_t d = 0; d < w->directions; d++)
        for (int64_t c = 0; c < w->columns; c++) {
            const int64_t at = d * w->each + (w->each == 1 ? 0 : c);
            const float scale = ((const float *) w->scales->data)[at];
            const int zero = byte_at(w->zeros, at);
            for (int64_t r = 0; r < w->rows; r++)
                *to++ =
                    (float) (byte_at(w->values, (d * w->rows + r) * w->columns + c) - zero) * scale;
        }
}

static mls_status make_float(mls__onnx_node *node, size_t input, size_t scale)
{
    weights w;
    mls_tensor *tensor;
    mls_status status = read_weights(node, input, scale, &w);
    if (status)
        return status;
    const int64_t dims[] = {w.directions, w.columns, w.rows};
    status = mls_tensor_create(node->reader->model->context, MLS_FLOAT32, 3, dims, &tensor);
    if (status)
        return status;
    if (tensor->count)
        expand(&w, tensor->data);
    return mls__onnx_add_constant(node->reader, "weights", tensor, &node->inputs[input]);
}

static mls_status become_lstm(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    if (node->input_count != INPUTS)
        return mls__error(MLS_EFORMAT, "%zu inputs; it takes %d", node->input_count, INPUTS);
    mls_status status = make_float(node, W, W_SCALE);
    if (!status)
        status = make_float(node, R, R_SCALE);
    if (status)
        return status;
    node->input_count = OPERANDS;
    while (node->inputs[node->input_count - 1] == MLS__NO_VALUE)
        node->input_count--;
    node->domain = "";
    node->type = "LSTM";
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_quantized_lstm[] = {
    {"com.microsoft", "DynamicQuantizeLSTM", INT64_MAX, become_lstm, NULL, 0},
    {.type = NULL},
};
