/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/bit_models.h"

#include "support/test.h"

#include <stdio.h>

static void random_weights(onnx_build *b, uint64_t *state, const char *name, const char *shape,
                           size_t count)
{
    float *data = onnx_build_alloc(b, count * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = (float) mls_test_random_below(state, 2001) / 1000.0f - 1.0f;
    onnx_build_floats(b, name, shape, data);
}

onnx_build *bit_model_network(void)
{
    uint64_t state = 5;
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,37");
    random_weights(b, &state, "w1", "37,130", 37 * 130);
    random_weights(b, &state, "c1", "130", 130);
    random_weights(b, &state, "w2", "130,50", 130 * 50);
    random_weights(b, &state, "c2", "50", 50);
    random_weights(b, &state, "w3", "50,3", 50 * 3);
    random_weights(b, &state, "w4", "3,1", 3);
    onnx_build_node(b, "Gemm", "x w1 c1", "a1");
    onnx_build_node(b, "Tanh", "a1", "h1");
    onnx_build_node(b, "MatMul", "h1 w2", "m2");
    onnx_build_node(b, "Add", "m2 c2", "a2");
    onnx_build_node(b, "Sigmoid", "a2", "h2");
    onnx_build_node(b, "Gemm", "h2 w3", "h3");
    onnx_build_node(b, "Elu", "h3", "e3");
    onnx_build_node(b, "MatMul", "e3 w4", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,1");
    onnx_build_output(b, "h2", MLS_FLOAT32, "batch,50");
    return b;
}

onnx_build *bit_model_functions(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,45");
    onnx_build_floats(b, "eps", "1", (float[]){1e-5f});
    onnx_node_ints(onnx_build_node(b, "ReduceMean", "x", "mean"), "axes", 1, (int64_t[]){1});
    onnx_build_node(b, "Sub", "x mean", "d");
    onnx_build_node(b, "Mul", "d d", "dd");
    onnx_node_ints(onnx_build_node(b, "ReduceMean", "dd", "var"), "axes", 1, (int64_t[]){1});
    onnx_build_node(b, "Add", "var eps", "ve");
    onnx_build_node(b, "Sqrt", "ve", "sd");
    onnx_build_node(b, "Div", "d sd", "n");
    onnx_build_node(b, "Exp", "n", "e");
    onnx_build_node(b, "Log", "e", "l");
    onnx_build_node(b, "Erf", "l", "f");
    onnx_build_node(b, "Pow", "e f", "p");
    onnx_build_node(b, "Softplus", "p", "q");
    onnx_build_node(b, "Softmax", "q", "s");
    onnx_node_ints(onnx_build_node(b, "ReduceL2", "n", "l2"), "axes", 1, (int64_t[]){1});
    onnx_build_output(b, "s", MLS_FLOAT32, "batch,45");
    onnx_build_output(b, "l2", MLS_FLOAT32, "batch,1");
    return b;
}

/* --- images ---------------------------------------------------------------------------------- */

static void add_conv(onnx_build *b, const char *inputs, const char *output, int64_t group,
                     int64_t pad)
{
    onnx_node *conv = onnx_build_node(b, "Conv", inputs, output);
    onnx_node_int(conv, "group", group);
    onnx_node_ints(conv, "pads", 4, (int64_t[]){pad, pad, pad, pad});
}

static void add_pool(onnx_build *b, const char *type, const char *input, const char *output)
{
    onnx_node *pool = onnx_build_node(b, type, input, output);
    onnx_node_ints(pool, "kernel_shape", 2, (int64_t[]){2, 2});
    onnx_node_ints(pool, "strides", 2, (int64_t[]){2, 2});
}

onnx_build *bit_model_images(void)
{
    uint64_t state = 21;
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,3,12,12");
    random_weights(b, &state, "w0", "32,3,3,3", 32 * 3 * 9);
    random_weights(b, &state, "b0", "32", 32);
    random_weights(b, &state, "w1", "48,32,1,1", 48 * 32);
    random_weights(b, &state, "b1", "48", 48);
    random_weights(b, &state, "w2", "48,1,3,3", 48 * 9);
    random_weights(b, &state, "b2", "48", 48);
    random_weights(b, &state, "w3", "32,48,1,1", 32 * 48);
    random_weights(b, &state, "w4", "20,32,3,3", 20 * 32 * 9);
    random_weights(b, &state, "w5", "20,5", 20 * 5);
    random_weights(b, &state, "b5", "5", 5);
    add_conv(b, "x w0 b0", "c0", 1, 1);
    onnx_build_node(b, "Relu", "c0", "h0");
    add_conv(b, "h0 w1 b1", "c1", 1, 0);
    onnx_build_node(b, "Relu", "c1", "h1");
    add_conv(b, "h1 w2 b2", "c2", 48, 1);
    onnx_build_node(b, "HardSwish", "c2", "h2");
    add_conv(b, "h2 w3", "c3", 1, 0);
    onnx_build_node(b, "Add", "c3 h0", "h3");
    add_pool(b, "MaxPool", "h3", "p3");
    add_conv(b, "p3 w4", "c4", 1, 1);
    onnx_build_node(b, "Sigmoid", "c4", "h4");
    add_pool(b, "AveragePool", "h4", "p4");
    onnx_build_node(b, "GlobalAveragePool", "p4", "g");
    onnx_build_node(b, "Flatten", "g", "f");
    onnx_build_node(b, "Gemm", "f w5 b5", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,5");
    onnx_build_output(b, "p4", MLS_FLOAT32, "batch,20,3,3");
    return b;
}

static void random_bytes(onnx_build *b, uint64_t *state, const char *name, const char *shape,
                         size_t count)
{
    int8_t *data = onnx_build_alloc(b, count);
    for (size_t i = 0; i < count; i++)
        data[i] = (int8_t) ((int) mls_test_random_below(state, 255) - 127);
    onnx_build_raw(b, name, MLS_INT8, shape, data, count);
    char inputs[64], output[64];
    snprintf(inputs, sizeof inputs, "%.20s ws wz", name);
    snprintf(output, sizeof output, "%.20s_d", name);
    onnx_build_node(b, "DequantizeLinear", inputs, output);
}

/* `output` is `input` in eight bits, and back in float32. */
static void requantize(onnx_build *b, const char *input, const char *params, const char *output)
{
    char inputs[64], bytes[64];
    snprintf(inputs, sizeof inputs, "%.20s %.20s", input, params);
    snprintf(bytes, sizeof bytes, "%.20s_q", input);
    onnx_build_node(b, "QuantizeLinear", inputs, bytes);
    snprintf(inputs, sizeof inputs, "%.40s %.20s", bytes, params);
    onnx_build_node(b, "DequantizeLinear", inputs, output);
}

onnx_build *bit_model_quantized(void)
{
    uint64_t state = 31;
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,3,8,8");
    onnx_build_floats(b, "xs", "", (float[]){0.025f});
    onnx_build_raw(b, "xz", MLS_UINT8, "", (uint8_t[]){120}, 1);
    onnx_build_floats(b, "hs", "", (float[]){0.06f});
    onnx_build_raw(b, "hz", MLS_UINT8, "", (uint8_t[]){0}, 1);
    onnx_build_floats(b, "ys", "", (float[]){0.2f});
    onnx_build_raw(b, "yz", MLS_UINT8, "", (uint8_t[]){128}, 1);
    onnx_build_floats(b, "ws", "", (float[]){0.006f});
    onnx_build_raw(b, "wz", MLS_INT8, "", (int8_t[]){0}, 1);
    random_bytes(b, &state, "w0", "20,3,3,3", 20 * 3 * 9);
    random_bytes(b, &state, "w1", "20,1,3,3", 20 * 9);
    random_bytes(b, &state, "w2", "20,20,1,1", 20 * 20);
    random_bytes(b, &state, "w3", "320,7", 320 * 7);
    requantize(b, "x", "xs xz", "xd");
    add_conv(b, "xd w0_d", "c0", 1, 1);
    onnx_build_node(b, "Relu", "c0", "r0");
    requantize(b, "r0", "hs hz", "h0");
    add_conv(b, "h0 w1_d", "c1", 20, 1);
    onnx_build_node(b, "Relu", "c1", "r1");
    requantize(b, "r1", "hs hz", "h1");
    add_conv(b, "h1 w2_d", "c2", 1, 0);
    requantize(b, "c2", "ys yz", "h2");
    onnx_build_node(b, "Add", "h2 h0", "a");
    requantize(b, "a", "ys yz", "h3");
    add_pool(b, "MaxPool", "h3", "p");
    onnx_build_node(b, "Flatten", "p", "f");
    onnx_build_node(b, "MatMul", "f w3_d", "m");
    requantize(b, "m", "ys yz", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,7");
    onnx_build_output(b, "h3", MLS_FLOAT32, "batch,20,8,8");
    return b;
}

/* --- sequences ------------------------------------------------------------------------------- */

/* The projection by `weights`, split into two heads and turned. */
static void add_heads(onnx_build *b, const char *weights, const char *output, const int64_t *turn)
{
    char inputs[64], projected[64], split[64];
    snprintf(inputs, sizeof inputs, "n %.20s", weights);
    snprintf(projected, sizeof projected, "%.20s_p", weights);
    onnx_build_node(b, "MatMul", inputs, projected);
    snprintf(inputs, sizeof inputs, "%.40s heads", projected);
    snprintf(split, sizeof split, "%.20s_s", weights);
    onnx_build_node(b, "Reshape", inputs, split);
    onnx_node_ints(onnx_build_node(b, "Transpose", split, output), "perm", 4, turn);
}

onnx_build *bit_model_transformer(void)
{
    uint64_t state = 41;
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,10,32");
    onnx_build_ints(b, "heads", "4", (int64_t[]){0, 0, 2, 16});
    onnx_build_ints(b, "whole", "3", (int64_t[]){0, 0, 32});
    onnx_build_floats(b, "root", "", (float[]){4});
    onnx_build_floats(b, "sqrt2", "", (float[]){1.41421356f});
    onnx_build_floats(b, "one", "", (float[]){1});
    onnx_build_floats(b, "half", "", (float[]){0.5f});
    random_weights(b, &state, "gain", "32", 32);
    random_weights(b, &state, "shift", "32", 32);
    random_weights(b, &state, "wq", "32,32", 32 * 32);
    random_weights(b, &state, "wk", "32,32", 32 * 32);
    random_weights(b, &state, "wv", "32,32", 32 * 32);
    random_weights(b, &state, "wo", "32,32", 32 * 32);
    random_weights(b, &state, "w1", "32,80", 32 * 80);
    random_weights(b, &state, "c1", "80", 80);
    random_weights(b, &state, "w2", "80,32", 80 * 32);
    onnx_build_node(b, "LayerNormalization", "x gain shift", "n");
    add_heads(b, "wq", "q", (int64_t[]){0, 2, 1, 3});
    add_heads(b, "wk", "k", (int64_t[]){0, 2, 3, 1});
    add_heads(b, "wv", "v", (int64_t[]){0, 2, 1, 3});
    onnx_build_node(b, "MatMul", "q k", "qk");
    onnx_build_node(b, "Div", "qk root", "scaled");
    onnx_node_int(onnx_build_node(b, "Softmax", "scaled", "weights"), "axis", -1);
    onnx_build_node(b, "MatMul", "weights v", "mixed");
    onnx_node_ints(onnx_build_node(b, "Transpose", "mixed", "turned"), "perm", 4,
                   (int64_t[]){0, 2, 1, 3});
    onnx_build_node(b, "Reshape", "turned whole", "joined");
    onnx_build_node(b, "MatMul", "joined wo", "attended");
    onnx_build_node(b, "Add", "attended x", "first");
    onnx_build_node(b, "LayerNormalization", "first gain shift", "n2");
    onnx_build_node(b, "MatMul", "n2 w1", "m1");
    onnx_build_node(b, "Add", "m1 c1", "a1");
    onnx_build_node(b, "Div", "a1 sqrt2", "g1");
    onnx_build_node(b, "Erf", "g1", "g2");
    onnx_build_node(b, "Add", "g2 one", "g3");
    onnx_build_node(b, "Mul", "a1 g3", "g4");
    onnx_build_node(b, "Mul", "g4 half", "gelu");
    onnx_build_node(b, "MatMul", "gelu w2", "m2");
    onnx_build_node(b, "Add", "m2 first", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,10,32");
    return b;
}

onnx_build *bit_model_recurrent(void)
{
    uint64_t state = 51;
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,7,6");
    onnx_build_ints(b, "joined", "3", (int64_t[]){0, 0, 18});
    onnx_build_ints(b, "row", "2", (int64_t[]){-1, 11});
    random_weights(b, &state, "w", "2,36,6", 2 * 36 * 6);
    random_weights(b, &state, "r", "2,36,9", 2 * 36 * 9);
    random_weights(b, &state, "c", "2,72", 2 * 72);
    random_weights(b, &state, "gw", "1,33,18", 33 * 18);
    random_weights(b, &state, "gr", "1,33,11", 33 * 11);
    random_weights(b, &state, "gc", "1,66", 66);
    onnx_node_ints(onnx_build_node(b, "Transpose", "x", "steps"), "perm", 3, (int64_t[]){1, 0, 2});
    onnx_node *lstm = onnx_build_node(b, "LSTM", "steps w r c", "both");
    onnx_node_int(lstm, "hidden_size", 9);
    onnx_node_string(lstm, "direction", "bidirectional");
    onnx_node_ints(onnx_build_node(b, "Transpose", "both", "sides"), "perm", 4,
                   (int64_t[]){0, 2, 1, 3});
    onnx_build_node(b, "Reshape", "sides joined", "above");
    onnx_node *gru = onnx_build_node(b, "GRU", "above gw gr gc", "- last");
    onnx_node_int(gru, "hidden_size", 11);
    onnx_node_int(gru, "linear_before_reset", 1);
    onnx_build_node(b, "Reshape", "last row", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,11");
    return b;
}
