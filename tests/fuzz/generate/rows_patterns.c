/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of ops as exporters write them, which the optimizing passes know. */
#include "fuzz/generate/pattern.h"

static const int32_t float32 = MLS_FLOAT32;

static const gen_value *one(gen *g, const char *op, unsigned flags, const gen_value *x)
{
    gen_take(g, x);
    gen_node(g, op, flags, 1, &float32);
    return gen_result(g, 0);
}

static const gen_value *two(gen *g, const char *op, unsigned flags, const gen_value *x,
                            const gen_value *y)
{
    gen_take(g, x);
    gen_take(g, y);
    gen_node(g, op, flags, 1, &float32);
    return gen_result(g, 0);
}

static const char *scalar(gen *g, float value)
{
    return gen_constant(g, MLS_FLOAT32, 0, NULL, value, value);
}

/* With a constant on either side. */
static const gen_value *by(gen *g, const char *op, unsigned flags, const gen_value *x,
                           const char *constant)
{
    gen_take(g, x);
    gen_take_name(g, constant);
    gen_node(g, op, flags, 1, &float32);
    return gen_result(g, 0);
}

static const gen_value *any(gen *g, const char *pattern)
{
    gen_forget(g);
    gen_take_patterns(g, pattern, NULL);
    const gen_value *value = gen_first(g);
    gen_drop(g);
    return value;
}

static const gen_value *activate(gen *g, const gen_value *x)
{
    switch (gen_below(g, 6)) {
    case 0:
        return one(g, "Relu", 0, x);
    case 1:
        return two(g, "Mul", 0, x, one(g, "Sigmoid", 0, x));
    case 2:
        gen_take(g, x);
        gen_take_name(g, scalar(g, 0));
        gen_take_name(g, scalar(g, 6));
        gen_node(g, "Clip", GEN_ROUNDS, 1, &float32);
        return gen_result(g, 0);
    case 3:
        return one(g, "HardSwish", GEN_ROUNDS, x);
    case 4:
        return two(g, "Mul", 0, x, one(g, "Tanh", 0, one(g, "Softplus", GEN_ROUNDS, x)));
    default:
        return one(g, "LeakyRelu", 0, x);
    }
}

/* A convolution of 1 x 1 or 3 x 3 that keeps the image's size. */
static const gen_value *convolve(gen *g, const gen_value *x, int64_t filters, int64_t groups)
{
    const int64_t window = gen_chance(g, 2) ? 3 : 1,
                  weights[] = {filters, x->dims[1] / groups, window, window},
                  pads[] = {window / 2, window / 2, window / 2, window / 2};
    gen_take(g, x);
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 4, weights, -0.5, 0.5));
    if (gen_chance(g, 2))
        gen_take_name(g, gen_constant(g, MLS_FLOAT32, 1, &filters, -1, 1));
    onnx_node *node = gen_node(g, "Conv", GEN_ROUNDS, 1, &float32);
    onnx_node_ints(node, "pads", 4, pads);
    onnx_node_int(node, "group", groups);
    return gen_result(g, 0);
}

static const gen_value *normalize(gen *g, const gen_value *x)
{
    gen_take(g, x);
    for (int i = 0; i < 3; i++)
        gen_take_name(g, gen_constant(g, MLS_FLOAT32, 1, &x->dims[1], -1, 1));
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 1, &x->dims[1], 0.5, 2));
    gen_node(g, "BatchNormalization", GEN_ROUNDS, 1, &float32);
    return gen_result(g, 0);
}

/* Convolutions with norms, activations and residuals, joined by Concat or pooled at the end. */
static void conv_block(gen *g, const gen_row *row)
{
    static const int64_t widths[] = {3, 8, 16, 17, 32};
    (void) row;
    const gen_value *x = any(g, "F[N,C,H,W]"), *joined = x;
    for (size_t layers = 1 + gen_below(g, 3); layers; layers--) {
        const bool is_depthwise = gen_chance(g, 3);
        const int64_t channels = x->dims[1], filters = is_depthwise || gen_chance(g, 2)
                                                           ? channels
                                                           : widths[gen_below(g, 5)];
        const gen_value *y = convolve(g, x, filters, is_depthwise ? channels : 1);
        if (gen_chance(g, 2))
            y = normalize(g, y);
        if (gen_chance(g, 4))
            y = by(g, "Mul", 0, y,
                   gen_constant(g, MLS_FLOAT32, 4, (const int64_t[]){1, filters, 1, 1}, 0.5, 2));
        if (gen_chance(g, 2))
            y = activate(g, y);
        if (filters == channels && gen_chance(g, 2))
            y = gen_chance(g, 2) ? two(g, "Add", 0, y, x) : two(g, "Add", 0, x, y);
        if (gen_chance(g, 3))
            y = activate(g, y);
        x = y;
    }
    if (gen_chance(g, 3) && joined != x) {
        gen_take(g, joined);
        gen_take(g, x);
        onnx_node_int(gen_node(g, "Concat", 0, 1, &float32), "axis", 1);
    } else if (gen_chance(g, 3) && x->dims[2] > 1 && x->dims[3] > 1) {
        gen_take(g, x);
        onnx_node *node = gen_node(g, gen_chance(g, 2) ? "MaxPool" : "AveragePool", 0, 1, &float32);
        onnx_node_ints(node, "kernel_shape", 2, (const int64_t[]){2, 2});
        onnx_node_ints(node, "strides", 2, (const int64_t[]){2, 2});
    } else if (gen_chance(g, 3)) {
        gen_take(g, x);
        gen_node(g, "GlobalAveragePool", 0, 1, &float32);
    }
}

static const gen_value *mean(gen *g, const gen_value *x)
{
    gen_take(g, x);
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, (const int64_t[]){-1}));
    onnx_node_int(gen_node(g, "ReduceMean", GEN_ROUNDS, 1, &float32), "keepdims", 1);
    return gen_result(g, 0);
}

/* A layer norm or RMS norm of the last dim, piece by piece. */
static void norm_pieces(gen *g, const gen_row *row)
{
    (void) row;
    const gen_value *x = any(g, "F[N,S,D]");
    const int64_t *size = &x->dims[2];
    const gen_value *centred = gen_chance(g, 2) ? x : two(g, "Sub", 0, x, mean(g, x));
    const gen_value *square = gen_chance(g, 2) ? by(g, "Pow", 0, centred, scalar(g, 2))
                                               : two(g, "Mul", 0, centred, centred);
    const gen_value *root = one(g, "Sqrt", 0, by(g, "Add", 0, mean(g, square), scalar(g, 0.01f)));
    const gen_value *y = gen_chance(g, 2)
                             ? two(g, "Div", 0, centred, root)
                             : two(g, "Mul", 0, centred, one(g, "Reciprocal", 0, root));
    y = by(g, "Mul", 0, y, gen_constant(g, MLS_FLOAT32, 1, size, 0.5, 2));
    if (gen_chance(g, 2))
        by(g, "Add", 0, y, gen_constant(g, MLS_FLOAT32, 1, size, -1, 1));
}

static void gelu_pieces(gen *g, const gen_row *row)
{
    (void) row;
    const gen_value *x = any(g, "F[N,S,D]");
    const gen_value *erf = one(g, "Erf", GEN_ROUNDS, by(g, "Div", 0, x, scalar(g, 1.41421356237f)));
    const gen_value *more = by(g, "Add", 0, erf, scalar(g, 1));
    if (gen_chance(g, 2))
        by(g, "Mul", 0, two(g, "Mul", 0, x, more), scalar(g, 0.5f));
    else
        two(g, "Mul", 0, by(g, "Mul", 0, x, scalar(g, 0.5f)), more);
}

static const gen_value *transposed(gen *g, const gen_value *x, const int64_t *perm)
{
    gen_take(g, x);
    onnx_node_ints(gen_node(g, "Transpose", 0, 1, &float32), "perm", 4, perm);
    return gen_result(g, 0);
}

/* Softmax(q k^T * scale + mask) v, with heads cut out of the last dim or not. */
static void attention_pieces(gen *g, const gen_row *row)
{
    static const int64_t heads_first[] = {0, 2, 1, 3}, keys[] = {0, 2, 3, 1},
                         flipped[] = {0, 1, 3, 2};
    (void) row;
    const bool is_cut = gen_chance(g, 2);
    const gen_value *q = any(g, is_cut ? "F[N,S,C,D]" : "F[N,C,S,D]");
    const gen_value *k = gen_input(g, MLS_FLOAT32, 4, q->dims);
    const gen_value *v = gen_chance(g, 2) ? k : gen_input(g, MLS_FLOAT32, 4, q->dims);
    const gen_value *cut = is_cut ? transposed(g, q, heads_first) : q;
    const gen_value *scores =
        two(g, "MatMul", GEN_ROUNDS, cut, transposed(g, k, is_cut ? keys : flipped));
    scores = gen_chance(g, 2) ? by(g, "Mul", 0, scores, scalar(g, 0.25f))
                              : by(g, "Div", 0, scores, scalar(g, 3));
    if (gen_chance(g, 2)) {
        const int64_t mask[] = {1, 1, scores->dims[2], scores->dims[3]};
        scores = by(g, "Add", 0, scores, gen_constant(g, MLS_FLOAT32, 4, mask, -2, 0));
    }
    gen_take(g, scores);
    onnx_node_int(gen_node(g, "Softmax", GEN_ROUNDS, 1, &float32), "axis", -1);
    const gen_value *weights = gen_result(g, 0);
    const gen_value *y = two(g, "MatMul", 0, weights, is_cut ? transposed(g, v, heads_first) : v);
    if (is_cut)
        transposed(g, y, heads_first);
}

/* Between whole numbers: dequantized, computed, quantized. */
static const gen_value *through_bytes(gen *g, const gen_value *x)
{
    static const int32_t uint8 = MLS_UINT8;
    const char *scale = scalar(g, 0.03f), *zero = gen_constant(g, MLS_UINT8, 0, NULL, 100, 140);
    gen_take(g, x);
    gen_take_name(g, scale);
    gen_take_name(g, zero);
    gen_node(g, "QuantizeLinear", 0, 1, &uint8);
    gen_take(g, gen_result(g, 0));
    gen_take_name(g, scale);
    gen_take_name(g, zero);
    gen_node(g, "DequantizeLinear", GEN_ROUNDS, 1, &float32);
    return gen_result(g, 0);
}

static const gen_value *dequantized_weights(gen *g, int rank, const int64_t *dims)
{
    gen_take_name(g, gen_constant(g, MLS_INT8, rank, dims, -127, 127));
    gen_take_name(g, scalar(g, 0.01f));
    gen_take_name(g, gen_constant(g, MLS_INT8, 0, NULL, 0, 0));
    gen_node(g, "DequantizeLinear", GEN_ROUNDS, 1, &float32);
    return gen_result(g, 0);
}

static void quantized_pieces(gen *g, const gen_row *row)
{
    (void) row;
    if (gen_chance(g, 2)) {
        const gen_value *x = through_bytes(g, any(g, "F[N,K]"));
        const int64_t dims[] = {x->dims[1], gen_between(g, 1, 18)};
        const gen_value *y = two(g, "MatMul", GEN_ROUNDS, x, dequantized_weights(g, 2, dims));
        through_bytes(g, y);
        return;
    }
    const gen_value *x = through_bytes(g, any(g, "F[N,C,H,W]"));
    const int64_t dims[] = {gen_between(g, 1, 18), x->dims[1], 1, 1};
    const gen_value *y = two(g, "Conv", GEN_ROUNDS, x, dequantized_weights(g, 4, dims));
    through_bytes(g, gen_chance(g, 2) ? one(g, "Relu", 0, y) : y);
}

/* Cheap ops that become one kernel. */
static void pointwise_chain(gen *g, const gen_row *row)
{
    static const char *const unary[] = {"Relu", "Neg", "Abs", "Tanh", "Sigmoid", "Exp", "Sqrt"};
    static const char *const binary[] = {"Add", "Sub", "Mul", "Max", "Min", "Div"};
    (void) row;
    const gen_value *x = any(g, "F[+]"), *y = x;
    for (size_t more = 2 + gen_below(g, 5); more; more--) {
        if (gen_chance(g, 2)) {
            y = one(g, unary[gen_below(g, 7)], GEN_JUMPS, y);
        } else if (gen_chance(g, 2)) {
            y = by(g, binary[gen_below(g, 6)], GEN_JUMPS, y, scalar(g, 1.5f));
        } else {
            gen_forget(g);
            gen_take(g, y);
            gen_take_patterns(g, "F[^]", NULL);
            gen_node(g, binary[gen_below(g, 6)], GEN_JUMPS, 1, &float32);
            y = gen_result(g, 0);
        }
    }
}

const gen_row gen_rows_patterns[] = {
    {.op = "Conv", .make = conv_block},
    {.op = "Conv", .make = conv_block},
    {.op = "Conv", .make = conv_block},
    {.op = "ReduceMean", .make = norm_pieces},
    {.op = "Erf", .make = gelu_pieces},
    {.op = "Softmax", .make = attention_pieces},
    {.op = "Conv", .make = quantized_pieces},
    {.op = "Conv", .make = quantized_pieces},
    {.op = "Add", .make = pointwise_chain},
    {.op = "Add", .make = pointwise_chain},
    {.op = NULL},
};
