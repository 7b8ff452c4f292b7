/* SPDX-License-Identifier: Apache-2.0 */
/* Ops over quantized types. */
#include "fuzz/generate/pattern.h"

#define MS "com.microsoft:"

/* Edges by which windows of 3 x 3 give an image of the same size. */
static void pad_by_one(gen *g, onnx_node *node)
{
    onnx_node_ints(node, "pads", 4, (const int64_t[]){1, 1, 1, 1});
    if (gen_chance(g, 3))
        onnx_node_ints(node, "strides", 2, (const int64_t[]){2, 2});
}

static void add_window(gen *g, onnx_node *node)
{
    const gen_value *image = gen_first(g);
    const int64_t window[] = {image->dims[2] > 1 ? 2 : 1, image->dims[3] > 2 ? 3 : 1};
    onnx_node_ints(node, "kernel_shape", 2, window);
}

static void bind_heads(gen *g)
{
    gen_set_letter(g, 'H', gen_between(g, 1, 3));
    gen_set_letter(g, 'P', gen_letter(g, 'H') * gen_between(g, 1, 8));
}

/* Weights of 4 bits, 16 of which have a scale. */
static void four_bits(gen *g, const gen_row *row)
{
    static const int32_t dtype = MLS_FLOAT32;
    const int64_t columns = gen_between(g, 1, 18);
    gen_take_patterns(g, "F[N,K]", NULL);
    const int64_t inputs = gen_letter(g, 'K'), blocks = (inputs + 15) / 16;
    gen_take_name(g, gen_constant(g, MLS_UINT8, 3, (const int64_t[]){columns, blocks, 8}, 0, 255));
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 1, (const int64_t[]){columns * blocks}, 0, 1));
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    onnx_node_int(node, "K", inputs);
    onnx_node_int(node, "N", columns);
    onnx_node_int(node, "bits", 4);
    onnx_node_int(node, "block_size", 16);
}

static void gather_blocks(gen *g, const gen_row *row)
{
    static const int32_t dtype = MLS_FLOAT32;
    const int64_t rows = gen_between(g, 1, 9), blocks = gen_between(g, 1, 3);
    gen_take_name(g, gen_constant(g, MLS_UINT8, 2, (const int64_t[]){rows, 16 * blocks}, 0, 255));
    gen_take(g, gen_input_between(g, MLS_INT64, 1, (const int64_t[]){4}, 0, (double) rows - 1));
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 2, (const int64_t[]){rows, blocks}, 0, 1));
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    onnx_node_int(node, "bits", 8);
    onnx_node_int(node, "block_size", 16);
    onnx_node_int(node, "quantize_axis", 1);
    onnx_node_int(node, "gather_axis", 0);
}

static void quantized_lstm(gen *g, const gen_row *row)
{
    static const int32_t dtypes[] = {MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT32};
    const int64_t hidden = gen_between(g, 1, 9);
    gen_take_patterns(g, "F[S,N,K]", NULL);
    const int64_t inputs = gen_letter(g, 'K'), one[] = {1};
    const int64_t w[] = {1, inputs, 4 * hidden}, r[] = {1, hidden, 4 * hidden},
                  b[] = {1, 8 * hidden};
    gen_take_name(g, gen_constant(g, MLS_INT8, 3, w, -128, 127));
    gen_take_name(g, gen_constant(g, MLS_INT8, 3, r, -128, 127));
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 2, b, -1, 1));
    for (int i = 0; i < 4; i++)
        gen_take_name(g, NULL);
    for (int i = 0; i < 2; i++) {
        gen_take_name(g, gen_constant(g, MLS_FLOAT32, 1, one, 0.01, 0.02));
        gen_take_name(g, gen_constant(g, MLS_INT8, 1, one, 0, 0));
    }
    onnx_node_int(gen_node(g, row->op, row->flags, 3, dtypes), "hidden_size", hidden);
}

const gen_row gen_rows_quantized[] = {
    {.op = "QuantizeLinear", .inputs = "F[*] s[] q[]", .outputs = "Q"},
    {.op = "QuantizeLinear", .inputs = "F[N,C,*] s[C] q[C]", .outputs = "Q", .attrs = "axis:1,1"},
    {.op = "DequantizeLinear", .inputs = "Q[*] s[] q[]", .outputs = "F", .flags = GEN_ROUNDS},
    {.op = "DequantizeLinear",
     .inputs = "Q[N,C,*] s[C] q[C]",
     .outputs = "F",
     .attrs = "axis:1,1",
     .flags = GEN_ROUNDS},
    {.op = "DynamicQuantizeLinear", .inputs = "F[*]", .outputs = "UFU", .flags = GEN_JUMPS},
    {.op = "MatMulInteger", .inputs = "Q[N,K] q[K,M] ?q[] ?q[]", .outputs = "J"},
    {.op = "MatMulInteger", .inputs = "U[N,S,K] q[K,M] u[] q[]", .outputs = "J"},
    {.op = "ConvInteger",
     .inputs = "Q[N,C,H,W] q[M,C,3,3] ?q[] ?q[]",
     .outputs = "J",
     .finish = pad_by_one},
    {.op = "QLinearMatMul", .inputs = "Q[N,K] s[] q[] q[K,M] s[] q[] s[] q[]", .outputs = "Q"},
    {.op = "QLinearConv",
     .inputs = "Q[N,C,H,W] s[] q[] q[M,C,3,3] s[] q[] s[] q[] ?j[M]",
     .outputs = "Q",
     .finish = pad_by_one},
    {.op = MS "QLinearConv",
     .inputs = "Q[N,C,H,W] s[] q[] q[M,C,1,1] s[] q[] s[] q[]",
     .outputs = "Q"},
    {.op = MS "QuantizeLinear", .inputs = "F[*] s[] q[]", .outputs = "Q"},
    {.op = MS "DequantizeLinear", .inputs = "Q[*] s[] q[]", .outputs = "F", .flags = GEN_ROUNDS},
    {.op = MS "QLinearAdd", .inputs = "Q[*] s[] q[] Q[^] s[] q[] s[] q[]", .outputs = "Q"},
    {.op = MS "QLinearMul", .inputs = "Q[*] s[] q[] Q[^] s[] q[] s[] q[]", .outputs = "Q"},
    {.op = MS "QLinearSigmoid", .inputs = "Q[*] s[] q[] s[] q[]", .outputs = "Q"},
    {.op = MS "QLinearLeakyRelu",
     .inputs = "Q[*] s[] q[] s[] q[]",
     .outputs = "Q",
     .attrs = "?alpha:0.01,0.9"},
    {.op = MS "QLinearGlobalAveragePool", .inputs = "Q[N,C,H,W] s[] q[] s[] q[]", .outputs = "Q"},
    {.op = MS "QLinearAveragePool",
     .inputs = "Q[N,C,H,W] s[] q[] s[] q[]",
     .outputs = "Q",
     .finish = add_window},
    {.op = MS "QLinearConcat",
     .inputs = "s[] q[] Q[N,C] s[] q[] Q[N,M] s[] q[]",
     .outputs = "Q",
     .attrs = "axis:1,1"},
    {.op = MS "MatMulIntegerToFloat",
     .inputs = "Q[N,K] q[K,M] s[] s[] q[] q[] ?f[M]",
     .outputs = "F"},
    {.op = MS "DynamicQuantizeMatMul",
     .inputs = "F[N,K] q[K,M] s[] ?q[] ?f[M]",
     .outputs = "F",
     .flags = GEN_JUMPS},
    {.op = MS "QGemm", .inputs = "Q[N,K] s[] q[] q[K,M] s[] q[] j[M] s[] q[]", .outputs = "Q"},
    {.op = MS "QAttention",
     .inputs = "U[N,S,K] u[K,3P] f[3P] s[] s[]",
     .outputs = "F",
     .attrs = "num_heads:*H",
     .flags = GEN_JUMPS,
     .bind = bind_heads},
    {.op = MS "Attention",
     .inputs = "F[N,S,K] f[K,3P] f[3P]",
     .outputs = "F",
     .attrs = "num_heads:*H ?unidirectional:0,1",
     .flags = GEN_JUMPS,
     .bind = bind_heads},
    {.op = MS "MatMulNBits", .make = four_bits},
    {.op = MS "GatherBlockQuantized", .make = gather_blocks},
    {.op = MS "DynamicQuantizeLSTM", .flags = GEN_JUMPS, .make = quantized_lstm},
    {.op = NULL},
};
