/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes make of convolutions and what is around them: the nodes that are left, and that the
 * results are those of the model as it was.
 */
#include "graph/conv_model.h"
#include "support/test.h"

#include <stdio.h>

static onnx_build *b;

static void setup(void)
{
    b = conv_model_begin();
}

static void teardown(void)
{
    conv_model_end();
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
    optimize();
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
    optimize();
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
    optimize();
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
    optimize();
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
    optimize();
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
    optimize();
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
    optimize();
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
    optimize();
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
    optimize();
    ck_assert_uint_eq(count_nodes(_i ? "BlockedMaxPool" : "FusedConvMaxPool"), 1);
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
    optimize();
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
    optimize();
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
    optimize();
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
    add_constant("term", "1,12,1,1", 12, -1);
    if (_i)
        onnx_build_node(b, "Add", "c term", "a");
    add_norm(_i ? "a" : "c", "y", "12", 12);
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_nodes("BatchNormalization") + count_nodes("Add"), 0);
    expect_equal(1e-4);
}
END_TEST

/* A term in front of the normalization, on top of a bias or without one. */
START_TEST(a_normalization_of_a_sum_is_taken)
{
    add_constant("term", "20,1,1", 20, -1);
    add_conv(_i ? "x w bias" : "x w", "c");
    onnx_build_node(b, "Add", "c term", "a");
    add_norm("a", "n", "20", 20);
    onnx_build_node(b, "Relu", "n", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_nodes("BatchNormalization") + count_nodes("Add"), 0);
    ck_assert_uint_eq(count_nodes("FusedConv"), 1);
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
    optimize();
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
    optimize();
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
    optimize();
    ck_assert_uint_eq(count_nodes("BatchNormalization"), 1);
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
    tcase_add_loop_test(tests, a_transposed_conv_takes_a_batch_normalization, 0, 2);
    tcase_add_loop_test(tests, a_normalization_of_a_sum_is_taken, 0, 2);
    tcase_add_loop_test(tests, a_conv_takes_factors_and_terms, 0, 8);
    tcase_add_loop_test(tests, other_factors_stay, 0, 3);
    tcase_add_test(tests, a_normalization_of_more_than_a_conv_stays);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
