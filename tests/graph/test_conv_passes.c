/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes make of convolutions and what is around them: the nodes that are left, and that the
 * results are those of the model as it was.
 */
#include "graph/take_floats.h"
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/graph_nodes.h"
#include "graph/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mls_context *context;
static mls_model *model;
static onnx_build *b;
static uint64_t seed;

static float number(void)
{
    return (float) (mls_test_random(&seed) % 2001) / 1000 - 1;
}

/* An initializer of `count` numbers at random, all positive if `low` is 0. */
static void add_constant(const char *name, const char *shape, size_t count, float low)
{
    float *data = calloc(count, sizeof *data);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < count; i++)
        data[i] = low < 0 ? number() : fabsf(number()) + 0.5f;
    onnx_build_floats(b, name, shape, data);
    free(data);
}

static void setup(void)
{
    seed = 7;
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,20,9,height");
    add_constant("w", "20,20,3,3", 3600, -1);
    add_constant("w1", "20,20,1,1", 400, -1);
    add_constant("bias", "20", 20, -1);
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

static onnx_node *add_conv(const char *inputs, const char *output)
{
    onnx_node *conv = onnx_build_node(b, "Conv", inputs, output);
    onnx_node_ints(conv, "pads", 4, (int64_t[]){1, 1, 1, 1});
    return conv;
}

static const mls__graph *optimized(void)
{
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert(model->has_optimized);
    return &model->optimized;
}

static size_t count_nodes(const char *type)
{
    return graph_nodes(&model->optimized, type);
}

/* --- results --------------------------------------------------------------------------------- */

/* The only output for an input at random, of so many elements. */
static float *run(uint64_t flags, size_t *ret_count)
{
    const mls_dim_value dims[] = {{"batch", 2}, {"height", 11}};
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    options.dims = dims;
    options.dim_count = 2;
    mls_session *session;
    ck_assert_ok(mls_session_create(model, &options, &session));
    float *x = mls_session_input_data(session, 0);
    seed = 99;
    for (int i = 0; i < 2 * 20 * 9 * 11; i++)
        x[i] = number();
    return take_floats(session, ret_count);
}

/* Optimized and not; equal to the bit where the bound is 0. */
static void expect_equal(double bound)
{
    size_t count, same_count;
    float *plain = run(MLS_SESSION_NO_OPTIMIZE, &same_count);
    float *fast = run(0, &count);
    ck_assert_uint_eq(count, same_count);
    for (size_t i = 0; i < count; i++) {
        if (bound == 0)
            ck_assert_msg(memcmp(&plain[i], &fast[i], sizeof *fast) == 0, "%zu: %a, not %a", i,
                          (double) fast[i], (double) plain[i]);
        ck_assert_double_le(fabs((double) plain[i] - (double) fast[i]),
                            bound * (1 + fabs((double) plain[i])));
    }
    free(plain);
    free(fast);
}

/* --- fusing ---------------------------------------------------------------------------------- */

START_TEST(a_conv_takes_bias_residual_and_activation)
{
    add_constant("added", "1,20,1,1", 20, -1);
    add_conv("x w", "c");
    onnx_build_node(b, "Add", "c added", "a");
    onnx_build_node(b, _i ? "Sum" : "Add", "x a", "r");
    onnx_build_node(b, "Relu", "r", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("FusedConv"), 1);
    ck_assert_uint_eq(count_nodes("Add") + count_nodes("Sum") + count_nodes("Relu"), 0);
    expect_equal(0);
}
END_TEST

/* Two ways that halve an image give one shape, whatever it was. */
START_TEST(a_residual_may_come_from_another_way)
{
    onnx_node *a = add_conv("x w bias", "a");
    onnx_node_ints(a, "strides", 2, (int64_t[]){2, 2});
    onnx_node *shortcut = onnx_build_node(b, "Conv", "x w1 bias", "s");
    onnx_node_ints(shortcut, "strides", 2, (int64_t[]){2, 2});
    onnx_build_node(b, "Add", "a s", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("FusedConv"), 2);
    ck_assert_uint_eq(count_nodes("Add"), 0);
    expect_equal(0);
}
END_TEST

START_TEST(what_broadcasts_stays_apart)
{
    add_conv("x w bias", "a");
    onnx_build_node(b, "GlobalAveragePool", "x", "p");
    onnx_build_node(b, "Add", "a p", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Add"), 1);
    expect_equal(0);
}
END_TEST

START_TEST(a_value_read_twice_stays)
{
    add_conv("x w bias", "c");
    onnx_build_node(b, "Relu", "c", "r");
    onnx_build_node(b, "Neg", "c", "n");
    onnx_build_node(b, "Add", "r n", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Relu"), 1);
    ck_assert_uint_eq(count_nodes("Add"), 1);
    expect_equal(0);
}
END_TEST

/* Pads of zeros become the convolution's; others stay. */
START_TEST(a_conv_takes_pads)
{
    onnx_build_ints(b, "pads", "8", (int64_t[]){0, 0, 1, 0, 0, 0, 2, 3});
    onnx_build_floats(b, "value", "", (float[]){_i == 1 ? 0.5f : 0});
    onnx_node *pad = onnx_build_node(b, "Pad", _i ? "x pads value" : "x pads", "p");
    if (_i == 2)
        onnx_node_string(pad, "mode", "edge");
    add_conv("p w bias", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Pad"), _i ? 1 : 0);
    expect_equal(0);
}
END_TEST

/* What is known of an image behind ops that change its size: enough for a residual. */
START_TEST(sizes_are_followed)
{
    onnx_build_ints(b, "grown", "8", (int64_t[]){0, 0, 1, 1, 0, 0, 1, 1});
    onnx_build_floats(b, "scales", "4", (float[]){1, 1, 2, 2});
    onnx_node_string(onnx_build_node(b, "Pad", "x grown", "p"), "mode", "edge");
    onnx_node *resize = onnx_build_node(b, "Resize", "p - scales", "r");
    onnx_node_string(resize, "mode", "nearest");
    add_conv("r w bias", "c");
    onnx_build_node(b, "Add", "c r", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Add"), 0);
    expect_equal(0);
}
END_TEST

/* Groups of channels trade places, as ShuffleNet has it: the next convolution knows its image. */
START_TEST(a_shuffle_is_followed)
{
    add_constant("each", "20,1,1,1", 20, -1);
    onnx_build_ints(b, "apart", "5", (int64_t[]){0, 4, 5, 1, 1});
    onnx_build_ints(b, "together", "4", (int64_t[]){-1, 20, 1, 1});
    onnx_build_node(b, "GlobalAveragePool", "x", "p");
    onnx_build_node(b, "Reshape", "p apart", "a");
    onnx_node_ints(onnx_build_node(b, "Transpose", "a", "t"), "perm", 5,
                   (int64_t[]){0, 2, 1, 3, 4});
    onnx_build_node(b, "Reshape", "t together", "s");
    onnx_node_int(onnx_build_node(b, "Conv", "s each", "y"), "group", 20);
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BlockChannels"), 1);
    expect_equal(0);
}
END_TEST

/* Shapes that may not be what they seem: a sum with another image is not a residual. */
static const int64_t unknown_shapes[][4] = {{2, 10, 2, 1}, {0, 20, -1, 1}, {0, 0, 0, 0}};

START_TEST(other_shapes_are_not_followed)
{
    add_constant("each", "20,1,1,1", 20, -1);
    onnx_build_node(b, "GlobalAveragePool", "x", "p");
    onnx_build_ints(b, "shape", "4", unknown_shapes[_i]);
    onnx_build_node(b, "Reshape", "p shape", "r");
    onnx_node_int(onnx_build_node(b, "Conv", "r each", "c"), "group", 20);
    onnx_build_node(b, "Add", "c p", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Add"), 1);
}
END_TEST

/* A convolution knows the channels of what it reads, and images stay in blocks behind it. */
START_TEST(what_a_conv_reads_is_an_image)
{
    onnx_build_node(b, "Shape", "x", "shape");
    onnx_build_node(b, "Reshape", "x shape", "r"); /* to dims that only a plan knows */
    onnx_node *conv = onnx_build_node(b, _i ? "ConvTranspose" : "Conv", "r w bias", "a");
    onnx_node_ints(conv, "pads", 4, (int64_t[]){1, 1, 1, 1});
    onnx_node_ints(onnx_build_node(b, "MaxPool", "a", "p"), "kernel_shape", 2, (int64_t[]){2, 2});
    onnx_build_node(b, "Conv", "p w1 bias", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BlockedMaxPool"), 1);
    expect_equal(0);
}
END_TEST

/* Every activation, with its attributes. */
static const struct {
    const char *op;
    float alpha, beta;
} activations[] = {
    {"Relu", 0, 0}, {"LeakyRelu", 0.3f, 0}, {"Sigmoid", 0, 0},  {"HardSigmoid", 0.3f, 0.4f},
    {"Tanh", 0, 0}, {"Elu", 0.5f, 0},       {"Softplus", 0, 0}, {"HardSwish", 0, 0},
};

START_TEST(activations_are_taken)
{
    add_conv("x w bias", "c");
    onnx_node *node = onnx_build_node(b, activations[_i].op, "c", "y");
    if (activations[_i].alpha > 0)
        onnx_node_float(node, "alpha", activations[_i].alpha);
    if (activations[_i].beta > 0)
        onnx_node_float(node, "beta", activations[_i].beta);
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes(activations[_i].op), 0);
    expect_equal(0);
}
END_TEST

START_TEST(clip_is_taken_with_its_bounds)
{
    onnx_build_floats(b, "low", "", (float[]){-0.5f});
    onnx_build_floats(b, "high", "", (float[]){0.75f});
    add_conv("x w bias", "c");
    onnx_build_node(b, "Clip", _i ? "c - high" : "c low high", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Clip"), 0);
    expect_equal(0);
}
END_TEST

/* --- batch normalization --------------------------------------------------------------------- */

static void add_norm(const char *input, const char *output, const char *shape, size_t count)
{
    add_constant("scale", shape, count, 0);
    add_constant("shift", shape, count, -1);
    add_constant("mean", shape, count, -1);
    add_constant("variance", shape, count, 0);
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s scale shift mean variance", input);
    onnx_node *norm = onnx_build_node(b, "BatchNormalization", inputs, output);
    onnx_node_float(norm, "epsilon", 1e-3f);
}

START_TEST(a_conv_takes_a_batch_normalization)
{
    add_conv(_i ? "x w bias" : "x w", "c");
    add_norm("c", "n", "20", 20);
    onnx_build_node(b, "Relu", "n", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BatchNormalization"), 0);
    ck_assert_uint_eq(count_nodes("FusedConv"), 1);
    ck_assert_uint_eq(count_nodes("Relu"), 0);
    expect_equal(1e-4);
}
END_TEST

START_TEST(a_transposed_conv_takes_a_batch_normalization)
{
    add_constant("t", "20,3,2,2", 240, -1);
    onnx_node *conv = onnx_build_node(b, "ConvTranspose", "x t", "c");
    onnx_node_int(conv, "group", 4);
    onnx_node_ints(conv, "strides", 2, (int64_t[]){2, 2});
    add_norm("c", "y", "12", 12);
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BatchNormalization"), 0);
    expect_equal(1e-4);
}
END_TEST

/* With a normalization before them and without, in both orders, on either side. */
START_TEST(a_conv_takes_factors_and_terms)
{
    const bool has_norm = _i & 1;
    add_constant("factor", _i & 2 ? "20,1,1" : "1,20,1,1", 20, -1);
    add_constant("term", "20,1,1", 20, -1);
    add_conv(_i & 4 ? "x w bias" : "x w", has_norm ? "c" : "n");
    if (has_norm)
        add_norm("c", "n", "20", 20);
    onnx_build_node(b, _i & 4 ? "Mul" : "Add", _i & 4 ? "factor n" : "n term", "t");
    onnx_build_node(b, _i & 4 ? "Add" : "Mul", _i & 4 ? "term t" : "t factor", "f");
    onnx_build_node(b, "Relu", "f", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Mul") + count_nodes("Add") + count_nodes("Relu"), 0);
    ck_assert_uint_eq(count_nodes("BatchNormalization"), 0);
    ck_assert_uint_eq(count_nodes("FusedConv"), 1);
    expect_equal(1e-4);
}
END_TEST

/* Along another dimension, of another size, or not of one conv alone. */
static const char *const other_factors[] = {"1,1,9,1", "1", "20,9,1"};

START_TEST(other_factors_stay)
{
    add_constant("factor", other_factors[_i], _i == 2 ? 180 : _i == 1 ? 1 : 9, -1);
    add_conv("x w bias", "c");
    onnx_build_node(b, "Mul", "c factor", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("Mul"), 1);
    expect_equal(0);
}
END_TEST

START_TEST(a_normalization_of_more_than_a_conv_stays)
{
    add_conv("x w bias", "c");
    add_norm("c", "n", "20", 20);
    onnx_build_node(b, "Mul", "n c", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BatchNormalization"), 1);
    expect_equal(0);
}
END_TEST

/* --- blocks of channels ---------------------------------------------------------------------- */

static onnx_node *add_depthwise(const char *input, const char *output)
{
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s depthwise bias", input);
    onnx_node *conv = add_conv(inputs, output);
    onnx_node_int(conv, "group", 20);
    return conv;
}

/* Between the first convolution and the last, nothing is reordered. */
START_TEST(images_stay_in_blocks)
{
    add_constant("depthwise", "20,1,3,3", 180, -1);
    onnx_build_floats(b, "half", "", (float[]){0.5f});
    add_conv("x w bias", "a");
    add_depthwise("a", "d");
    onnx_build_node(b, "Relu", "d", "r");
    onnx_build_node(b, "Neg", "a", "n");
    onnx_build_node(b, "Mul", "n half", "h");
    onnx_build_node(b, "Mul", "r h", "m");
    onnx_build_node(b, "Sigmoid", "m", "s");
    onnx_build_node(b, "Conv", "s w1", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("FusedConv"), 3);
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    expect_equal(0);
}
END_TEST

/* Each channel is scaled by a number of its own. */
START_TEST(points_are_spread_in_blocks)
{
    onnx_build_node(b, "GlobalAveragePool", "x", "p");
    onnx_build_node(b, "Conv", "p w1 bias", "g");
    onnx_build_node(b, "Sigmoid", "g", "s");
    add_conv("x w bias", "c");
    onnx_build_node(b, "Mul", "c s", "m");
    onnx_build_node(b, "Conv", "m w1", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    expect_equal(0);
}
END_TEST

START_TEST(whole_blocks_are_joined)
{
    add_constant("wide", "32,20,1,1", 640, -1);
    add_constant("last", "8,52,1,1", 416, -1);
    onnx_build_node(b, "Conv", "x wide", "a");
    onnx_build_node(b, "Conv", "x w1", "c");
    onnx_node_int(onnx_build_node(b, "Concat", _i ? "a c" : "c a", "j"), "axis", 1);
    onnx_build_node(b, "Conv", "j last", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    expect_equal(0);
}
END_TEST

static const struct {
    const char *op;
    int64_t kernel[2], stride[2], dilation[2], pads[4];
    int64_t ceil_mode, counts_padding;
} pools[] = {
    {"MaxPool", {3, 3}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 0, 0},
    {"MaxPool", {2, 3}, {1, 2}, {2, 1}, {1, 1, 0, 1}, 1, 0},
    {"MaxPool", {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1, 0},
    {"MaxPool", {2, 2}, {2, 2}, {1, 1}, {1, 1, 0, 0}, 1, 0},
    {"MaxPool", {4, 3}, {3, 2}, {1, 1}, {2, 2, 2, 0}, 0, 0},
    {"MaxPool", {2, 3}, {2, 3}, {1, 1}, {0, 0, 0, 0}, 0, 0},
    {"AveragePool", {3, 2}, {2, 1}, {1, 1}, {1, 1, 1, 0}, 0, 0},
    {"AveragePool", {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1, 1},
    {"GlobalAveragePool", {0, 0}, {0, 0}, {0, 0}, {0, 0, 0, 0}, 0, 0},
};

START_TEST(pools_know_blocks)
{
    add_conv("x w bias", "a");
    onnx_node *pool = onnx_build_node(b, pools[_i].op, "a", "p");
    if (pools[_i].kernel[0]) {
        onnx_node_ints(pool, "kernel_shape", 2, pools[_i].kernel);
        onnx_node_ints(pool, "strides", 2, pools[_i].stride);
        onnx_node_ints(pool, "pads", 4, pools[_i].pads);
        onnx_node_int(pool, "ceil_mode", pools[_i].ceil_mode);
    }
    if (pools[_i].dilation[0] > 1)
        onnx_node_ints(pool, "dilations", 2, pools[_i].dilation);
    if (pools[_i].counts_padding)
        onnx_node_int(pool, "count_include_pad", 1);
    onnx_build_node(b, "Conv", "p w1", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    ck_assert_uint_eq(count_nodes(pools[_i].op), 0);
    expect_equal(0);
}
END_TEST

/* Softmax works along the channels, and an output is what the model says. */
START_TEST(what_knows_no_blocks_gets_none)
{
    add_conv("x w bias", "a");
    onnx_node_int(onnx_build_node(b, "Softmax", "a", "s"), "axis", 1);
    onnx_build_node(b, "Neg", "a", "n");
    onnx_build_node(b, "Conv", "n w1 bias", "c");
    onnx_build_node(b, "Add", "s c", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    onnx_build_output(b, "n", MLS_FLOAT32, NULL);
    optimized();
    ck_assert_uint_eq(count_nodes("UnblockChannels"), 2);
    expect_equal(0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/conv_passes");
    TCase *tests = tcase_create("passes");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_conv_takes_bias_residual_and_activation, 0, 2);
    tcase_add_test(tests, a_residual_may_come_from_another_way);
    tcase_add_test(tests, what_broadcasts_stays_apart);
    tcase_add_test(tests, a_value_read_twice_stays);
    tcase_add_loop_test(tests, a_conv_takes_pads, 0, 3);
    tcase_add_test(tests, sizes_are_followed);
    tcase_add_test(tests, a_shuffle_is_followed);
    tcase_add_loop_test(tests, other_shapes_are_not_followed, 0, 3);
    tcase_add_loop_test(tests, what_a_conv_reads_is_an_image, 0, 2);
    tcase_add_loop_test(tests, activations_are_taken, 0,
                        sizeof activations / sizeof activations[0]);
    tcase_add_loop_test(tests, clip_is_taken_with_its_bounds, 0, 2);
    tcase_add_loop_test(tests, a_conv_takes_a_batch_normalization, 0, 2);
    tcase_add_test(tests, a_transposed_conv_takes_a_batch_normalization);
    tcase_add_loop_test(tests, a_conv_takes_factors_and_terms, 0, 8);
    tcase_add_loop_test(tests, other_factors_stay, 0, 3);
    tcase_add_test(tests, a_normalization_of_more_than_a_conv_stays);
    tcase_add_test(tests, images_stay_in_blocks);
    tcase_add_test(tests, points_are_spread_in_blocks);
    tcase_add_loop_test(tests, whole_blocks_are_joined, 0, 2);
    tcase_add_loop_test(tests, pools_know_blocks, 0, sizeof pools / sizeof pools[0]);
    tcase_add_test(tests, what_knows_no_blocks_gets_none);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
