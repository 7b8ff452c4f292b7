/* SPDX-License-Identifier: Apache-2.0 */
/* Networks with shapes of real ones and random weights, which keep their activations near 1. */
#include "models.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A graph that grows at its end: the value that the next layer reads. */
typedef struct tail {
    onnx_build *b;
    char value[24];
    int64_t channels;
    int count; /* of values so far */
} tail;

static void next_name(tail *t, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "v%d", t->count++);
}

/* A weight of dims as written, spread so that sums over `depth` stay near 1; gives its name. */
static void add_weight(tail *t, const char *dims, size_t count, int64_t depth, char *ret_name,
                       size_t size)
{
    const float scale = depth ? sqrtf(6 / (float) depth) : 0.1f;
    float *values = onnx_build_alloc(t->b, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = scale * model_random();
    snprintf(ret_name, size, "w%d", t->count++);
    onnx_build_floats(t->b, ret_name, dims, values);
}

/* The node on the tail (and the values `more`), which becomes the tail. */
static onnx_node *add_node(tail *t, const char *op, const char *more)
{
    char inputs[128], to[24];
    next_name(t, to, sizeof to);
    snprintf(inputs, sizeof inputs, "%s %s", t->value, more);
    onnx_node *node = onnx_build_node(t->b, op, inputs, to);
    snprintf(t->value, sizeof t->value, "%s", to);
    return node;
}

/* --- ResNet-50 ------------------------------------------------------------------------------- */

static void add_conv(tail *t, int64_t filters, int64_t kernel, int64_t stride)
{
    const int64_t depth = t->channels * kernel * kernel;
    const int64_t pads[] = {kernel / 2, kernel / 2, kernel / 2, kernel / 2};
    const int64_t kernels[] = {kernel, kernel}, strides[] = {stride, stride};
    char dims[64], weight[24], bias[24], more[64];
    snprintf(dims, sizeof dims, "%lld,%lld,%lld,%lld", (long long) filters, (long long) t->channels,
             (long long) kernel, (long long) kernel);
    add_weight(t, dims, (size_t) (filters * depth), depth, weight, sizeof weight);
    snprintf(dims, sizeof dims, "%lld", (long long) filters);
    add_weight(t, dims, (size_t) filters, 0, bias, sizeof bias);
    snprintf(more, sizeof more, "%s %s", weight, bias);
    onnx_node *node = add_node(t, "Conv", more);
    onnx_node_ints(node, "kernel_shape", 2, kernels);
    onnx_node_ints(node, "strides", 2, strides);
    onnx_node_ints(node, "pads", 4, pads);
    t->channels = filters;
}

static void add_bottleneck(tail *t, int64_t width, int64_t stride)
{
    tail shortcut = *t;
    if (t->channels != 4 * width) {
        add_conv(&shortcut, 4 * width, 1, stride);
        t->count = shortcut.count;
    }
    add_conv(t, width, 1, 1);
    add_node(t, "Relu", "");
    add_conv(t, width, 3, stride);
    add_node(t, "Relu", "");
    add_conv(t, 4 * width, 1, 1);
    add_node(t, "Add", shortcut.value);
    add_node(t, "Relu", "");
}

static void add_max_pool(tail *t, int64_t kernel)
{
    const int64_t pad = (kernel - 1) / 2;
    const int64_t kernels[] = {kernel, kernel}, strides[] = {2, 2}, pads[] = {pad, pad, pad, pad};
    onnx_node *pool = add_node(t, "MaxPool", "");
    onnx_node_ints(pool, "kernel_shape", 2, kernels);
    onnx_node_ints(pool, "strides", 2, strides);
    onnx_node_ints(pool, "pads", 4, pads);
}

onnx_build *model_resnet50(void)
{
    static const int blocks[] = {3, 4, 6, 3};
    char weight[24];
    tail t = {.b = onnx_build_create(17), .value = "x", .channels = 3};
    onnx_build_input(t.b, "x", MLS_FLOAT32, "1,3,224,224");
    add_conv(&t, 64, 7, 2);
    add_node(&t, "Relu", "");
    add_max_pool(&t, 3);
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < blocks[stage]; i++)
            add_bottleneck(&t, 64 << stage, stage && !i ? 2 : 1);
    add_node(&t, "GlobalAveragePool", "");
    add_node(&t, "Flatten", "");
    add_weight(&t, "2048,1000", 2048 * 1000, 2048, weight, sizeof weight);
    add_node(&t, "MatMul", weight);
    onnx_build_output(t.b, t.value, MLS_FLOAT32, "1,1000");
    return t.b;
}

/* --- VGG-19 ---------------------------------------------------------------------------------- */

/* Without its dense layers, which are one long read of their weights. */
onnx_build *model_vgg19(void)
{
    static const struct {
        int layers, filters;
    } stages[] = {{2, 64}, {2, 128}, {4, 256}, {4, 512}, {4, 512}};
    tail t = {.b = onnx_build_create(17), .value = "x", .channels = 3};
    onnx_build_input(t.b, "x", MLS_FLOAT32, "1,3,224,224");
    for (size_t stage = 0; stage < sizeof stages / sizeof stages[0]; stage++) {
        for (int i = 0; i < stages[stage].layers; i++) {
            add_conv(&t, stages[stage].filters, 3, 1);
            add_node(&t, "Relu", "");
        }
        add_max_pool(&t, 2);
    }
    onnx_build_output(t.b, t.value, MLS_FLOAT32, "1,512,7,7");
    return t.b;
}

/* --- LSTM, GRU ------------------------------------------------------------------------------- */

onnx_build *model_recurrence(const char *op, int steps, int features, int hidden)
{
    const int gates = strcmp(op, "LSTM") == 0 ? 4 : 3;
    char dims[64], w[24], r[24], b[24], inputs[96];
    tail t = {.b = onnx_build_create(17)};
    snprintf(dims, sizeof dims, "%d,1,%d", steps, features);
    onnx_build_input(t.b, "x", MLS_FLOAT32, dims);
    snprintf(dims, sizeof dims, "1,%d,%d", gates * hidden, features);
    add_weight(&t, dims, (size_t) (gates * hidden * features), 6 * features, w, sizeof w);
    snprintf(dims, sizeof dims, "1,%d,%d", gates * hidden, hidden);
    add_weight(&t, dims, (size_t) (gates * hidden * hidden), 6 * hidden, r, sizeof r);
    snprintf(dims, sizeof dims, "1,%d", 2 * gates * hidden);
    add_weight(&t, dims, (size_t) (2 * gates * hidden), 0, b, sizeof b);
    snprintf(inputs, sizeof inputs, "x %s %s %s", w, r, b);
    onnx_node *node = onnx_build_node(t.b, op, inputs, "y");
    onnx_node_int(node, "hidden_size", hidden);
    if (gates == 3)
        onnx_node_int(node, "linear_before_reset", 1); /* as PyTorch exports it */
    snprintf(dims, sizeof dims, "%d,1,1,%d", steps, hidden);
    onnx_build_output(t.b, "y", MLS_FLOAT32, dims);
    return t.b;
}

/* --- a transformer block --------------------------------------------------------------------- */

/* x W + b */
static void add_dense(tail *t, int from, int to)
{
    char dims[40], weight[24], bias[24];
    snprintf(dims, sizeof dims, "%d,%d", from, to);
    add_weight(t, dims, (size_t) from * (size_t) to, 2 * from, weight, sizeof weight);
    snprintf(dims, sizeof dims, "%d", to);
    add_weight(t, dims, (size_t) to, 0, bias, sizeof bias);
    add_node(t, "MatMul", weight);
    add_node(t, "Add", bias);
}

static void add_norm(tail *t, int width)
{
    char dims[24], scale[24], bias[24], more[64];
    snprintf(dims, sizeof dims, "%d", width);
    add_weight(t, dims, (size_t) width, 6, scale, sizeof scale);
    add_weight(t, dims, (size_t) width, 0, bias, sizeof bias);
    snprintf(more, sizeof more, "%s %s", scale, bias);
    onnx_node_int(add_node(t, "LayerNormalization", more), "axis", -1);
}

/* [1, tokens, width] as [1, heads, tokens, width / heads], or its last two axes turned. */
static void add_heads(tail *t, const int64_t *perm)
{
    add_node(t, "Reshape", "split");
    onnx_node_ints(add_node(t, "Transpose", ""), "perm", 4, perm);
}

/* The projection of `from`, split into heads: a branch of the graph. */
static tail project(tail *t, int width, const int64_t *perm)
{
    tail branch = *t;
    add_dense(&branch, width, width);
    add_heads(&branch, perm);
    t->count = branch.count;
    return branch;
}

static void add_attention(tail *t, int width, int heads)
{
    static const int64_t by_head[] = {0, 2, 1, 3}, turned[] = {0, 2, 3, 1};
    const float scale = 1 / sqrtf((float) (width / heads));
    const tail k = project(t, width, turned), v = project(t, width, by_head);
    add_dense(t, width, width);
    add_heads(t, by_head);
    onnx_build_floats(t->b, "scale", "", &scale);
    add_node(t, "MatMul", k.value);
    add_node(t, "Mul", "scale");
    onnx_node_int(add_node(t, "Softmax", ""), "axis", -1);
    add_node(t, "MatMul", v.value);
    onnx_node_ints(add_node(t, "Transpose", ""), "perm", 4, by_head);
    add_node(t, "Reshape", "join");
    add_dense(t, width, width);
}

/* GELU as it is exported: 0.5 x (1 + erf(x / sqrt(2))). */
static void add_gelu(tail *t)
{
    static const float root = 1.41421356f, one = 1, half = 0.5f;
    char x[24];
    snprintf(x, sizeof x, "%s", t->value);
    onnx_build_floats(t->b, "root", "", &root);
    onnx_build_floats(t->b, "one", "", &one);
    onnx_build_floats(t->b, "half", "", &half);
    add_node(t, "Div", "root");
    add_node(t, "Erf", "");
    add_node(t, "Add", "one");
    add_node(t, "Mul", x);
    add_node(t, "Mul", "half");
}

onnx_build *model_transformer(int tokens, int width, int heads)
{
    char dims[40], residual[24];
    const int64_t split[] = {1, tokens, heads, width / heads}, join[] = {1, tokens, width};
    tail t = {.b = onnx_build_create(17), .value = "x"};
    snprintf(dims, sizeof dims, "1,%d,%d", tokens, width);
    onnx_build_input(t.b, "x", MLS_FLOAT32, dims);
    onnx_build_ints(t.b, "split", "4", split);
    onnx_build_ints(t.b, "join", "3", join);
    add_attention(&t, width, heads);
    add_node(&t, "Add", "x");
    add_norm(&t, width);
    snprintf(residual, sizeof residual, "%s", t.value);
    add_dense(&t, width, 4 * width);
    add_gelu(&t);
    add_dense(&t, 4 * width, width);
    add_node(&t, "Add", residual);
    add_norm(&t, width);
    onnx_build_output(t.b, t.value, MLS_FLOAT32, dims);
    return t.b;
}
