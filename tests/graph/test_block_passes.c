/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where images stay in blocks of channels: the nodes that are left, and that the results are those
 * of the model as it was.
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
    optimize();
    ck_assert_uint_eq(count_nodes("FusedConv"), 3);
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    expect_equal(0);
}
END_TEST

/* What is read once only joins what reads it, as far as both have blocks. */
START_TEST(convolutions_are_stacked)
{
    add_constant("depthwise", "20,1,3,3", 180, -1);
    add_conv("x w bias", "a");
    onnx_build_node(b, "Conv", _i ? "a w1" : "a w1 bias", "c");
    add_depthwise("c", "d");
    onnx_node *pool = onnx_build_node(b, "MaxPool", "d", "p");
    onnx_node_ints(pool, "kernel_shape", 2, (int64_t[]){3, 3});
    onnx_build_node(b, "Conv", "p w1", "e");
    if (_i)
        onnx_build_node(b, "Add", "a c", "other"); /* which reads two of them besides */
    onnx_build_output(b, "e", MLS_FLOAT32, NULL);
    if (_i)
        onnx_build_output(b, "other", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_stacks(), 1);
    ck_assert_uint_eq(count_nodes("FusedConv"), 4);
    ck_assert_uint_eq(count_nodes("BlockedMaxPool"), 1);
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
    optimize();
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
    optimize();
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
    optimize();
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    ck_assert_uint_eq(count_nodes(pools[_i].op), 0);
    expect_equal(0);
}
END_TEST

/* To the nearest element, by scales and by sizes, along one axis and two, up and down. */
static const struct {
    float scales[4];
    int64_t sizes[4];
} resizes[] = {
    {.scales = {1, 1, 2, 2}},
    {.scales = {1, 1, 1, 3}},
    {.scales = {1, 1, 0.6f, 1.5f}},
    {.sizes = {2, 20, 18, 5}},
};

START_TEST(blocks_are_resized)
{
    const bool has_sizes = resizes[_i].sizes[0] != 0;
    onnx_build_floats(b, "scales", "4", resizes[_i].scales);
    onnx_build_ints(b, "sizes", "4", resizes[_i].sizes);
    add_conv("x w bias", "a");
    onnx_build_node(b, "Resize", has_sizes ? "a - - sizes" : "a - scales", "r");
    onnx_build_node(b, "Conv", "r w1", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    expect_equal(0);
}
END_TEST

/* Nobody behind it wants blocks, or elements are not moved as they are. */
START_TEST(other_resizes_stay_plain)
{
    onnx_build_floats(b, "scales", "4", (float[]){1, 1, 2, 2});
    add_conv("x w bias", "a");
    onnx_node *resize = onnx_build_node(b, "Resize", "a - scales", _i ? "r" : "y");
    if (_i) {
        onnx_node_string(resize, "mode", "linear");
        onnx_build_node(b, "Conv", "r w1", "y");
    }
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_nodes("FusedConv"), _i ? 2 : 1);
    ck_assert_uint_eq(count_nodes("UnblockChannels"), 0);
    expect_equal(0);
}
END_TEST

/* What only a convolution knows of its input is there for who reads it before. */
START_TEST(all_readers_know_an_image)
{
    onnx_build_floats(b, "scales", "4", (float[]){1, 1, 2, 2});
    onnx_build_node(b, "Shape", "x", "shape");
    onnx_build_node(b, "Reshape", "x shape", "r"); /* to dims that only a plan knows */
    onnx_build_node(b, "Conv", "x w1 bias", "a");
    onnx_build_node(b, "Conv", "r w1", "d");
    onnx_build_node(b, "Add", "a d", "s");
    onnx_build_node(b, "Resize", "s - scales", "t");
    onnx_build_node(b, "Conv", "s w1", "c");
    onnx_build_node(b, "Conv", "t w1", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    onnx_build_output(b, "c", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_nodes("BlockChannels") + count_nodes("UnblockChannels"), 0);
    expect_equal(0);
}
END_TEST

/* A convolution of few filters has its input plain, which costs a step where others want blocks. */
START_TEST(few_filters_read_plain_images)
{
    add_constant("few", "3,20,1,1", 60, -1);
    add_conv("x w bias", "a");
    if (_i)
        onnx_build_node(b, "Conv", "a w1", "other");
    onnx_build_node(b, "Conv", "a few", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    if (_i)
        onnx_build_output(b, "other", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_nodes("BlockChannels"), 0);
    ck_assert_uint_eq(count_nodes("UnblockChannels"), _i ? 1 : 0);
    expect_equal(0);
}
END_TEST

/* Plain outputs of a transposed convolution would lie apart as they are written. */
START_TEST(transposed_convs_give_blocks)
{
    add_constant("t", "20,20,2,2", 1600, -1);
    onnx_node *conv = onnx_build_node(b, "ConvTranspose", "x t bias", "a");
    onnx_node_ints(conv, "strides", 2, (int64_t[]){2, 2});
    onnx_node_int(onnx_build_node(b, "Softmax", "a", "y"), "axis", 1);
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    optimize();
    ck_assert_uint_eq(count_nodes("UnblockChannels"), 1);
    expect_equal(0);
}
END_TEST

static const mls_dtype halves[] = {MLS_FLOAT16, MLS_BFLOAT16};

/* Values of 16 bits, named as those of float32 with an "h" before. */
static void add_halves(mls_dtype dtype, size_t count, const char *const *names)
{
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "h%s", names[i]);
        onnx_node_int(onnx_build_node(b, "Cast", names[i], name), "to", dtype);
    }
}

static void end_halves(const char *output)
{
    onnx_node_int(onnx_build_node(b, "Cast", output, "out"), "to", MLS_FLOAT32);
    onnx_build_output(b, "out", MLS_FLOAT32, NULL);
    optimize();
}

/* Images of 16-bit floats take the same ways, in blocks and out of them. */
START_TEST(halves_stay_in_blocks)
{
    static const char *const names[] = {"x", "w", "w1", "bias", "depthwise"};
    add_constant("depthwise", "20,1,3,3", 180, -1);
    add_halves(halves[_i], 5, names);
    onnx_node_int(add_conv("hx hdepthwise hbias", "d"), "group", 20); /* which wants blocks */
    add_conv("d hw hbias", "c");
    onnx_build_node(b, "Relu", "c", "r");
    onnx_node *max = onnx_build_node(b, "MaxPool", "r", "m");
    onnx_node_ints(max, "kernel_shape", 2, (int64_t[]){3, 3});
    onnx_node_ints(max, "strides", 2, (int64_t[]){2, 2});
    onnx_node *mean = onnx_build_node(b, "AveragePool", "m", "a");
    onnx_node_ints(mean, "kernel_shape", 2, (int64_t[]){2, 2});
    onnx_build_node(b, "Conv", "a hw1 hbias", "e");
    onnx_build_node(b, "GlobalAveragePool", "e", "p");
    onnx_build_node(b, "Mul", "e p", "s");
    end_halves("s");
    ck_assert_uint_eq(count_nodes("BlockChannels"), 1);
    ck_assert_uint_eq(count_nodes("UnblockChannels"), 1);
    ck_assert_uint_eq(count_nodes("FusedConv"), 2);
    ck_assert_uint_eq(count_nodes("FusedConvMaxPool") + count_nodes("BlockedAveragePool"), 2);
    expect_equal(0);
}
END_TEST

/* Through all that only moves them, but not where something else computes with them. */
START_TEST(halves_between_convs_are_wide)
{
    static const char *const names[] = {"x", "w", "w1", "bias", "many", "last", "depthwise"};
    add_constant("many", "32,20,1,1", 640, -1);
    add_constant("last", "20,52,1,1", 1040, -1);
    add_constant("depthwise", "20,1,3,3", 180, -1);
    add_halves(halves[_i], 7, names);
    add_conv("hx hw hbias", "a");
    onnx_build_node(b, "Relu", "a", "r");
    onnx_node_int(add_conv("r hdepthwise hbias", "d"), "group", 20);
    onnx_build_node(b, "Conv", "d hmany", "c1");
    onnx_build_node(b, "Conv", "d hw1", "c2");
    onnx_node_int(onnx_build_node(b, "Concat", "c1 c2", "j"), "axis", 1);
    onnx_node *max = onnx_build_node(b, "MaxPool", "j", "m");
    onnx_node_ints(max, "kernel_shape", 2, (int64_t[]){3, 3});
    onnx_build_node(b, "Conv", "m hlast hbias", "e");
    onnx_build_node(b, "Softmax", "e", "y");
    end_halves("y");
    ck_assert_uint_eq(count_set("y_wide"), 4);
    ck_assert_uint_eq(count_set("x_wide"), 4);
    expect_equal(0);
}
END_TEST

/*
 * A residual is as the sum is, and an input is what the caller gives. A sum that a convolution
 * takes is rounded once.
 */
START_TEST(halves_that_others_read_are_not_wide)
{
    static const char *const names[] = {"x", "w", "w1", "bias"};
    add_halves(halves[_i % 2], 4, names);
    add_conv("hx hw hbias", "a");
    onnx_build_node(b, "Conv", "a hw1", "c");
    onnx_build_node(b, "Add", "c a", "d");
    onnx_build_node(b, "Conv", "d hw1", "e");
    if (_i < 2) {
        onnx_build_node(b, "Sin", "d", "s");
        onnx_build_node(b, "Add", "e s", "y");
    }
    end_halves(_i < 2 ? "y" : "e");
    ck_assert_uint_eq(count_set("y_wide"), _i < 2 ? 0 : 2);
    ck_assert_uint_eq(count_set("x_wide"), _i < 2 ? 0 : 2);
    expect_equal(_i % 2 ? 0.24 : 0.03);
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
    optimize();
    ck_assert_uint_eq(count_nodes("UnblockChannels"), 2);
    expect_equal(0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/block_passes");
    TCase *tests = tcase_create("blocks");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, images_stay_in_blocks);
    tcase_add_loop_test(tests, convolutions_are_stacked, 0, 2);
    tcase_add_test(tests, points_are_spread_in_blocks);
    tcase_add_loop_test(tests, whole_blocks_are_joined, 0, 2);
    tcase_add_loop_test(tests, pools_know_blocks, 0, sizeof pools / sizeof pools[0]);
    tcase_add_loop_test(tests, blocks_are_resized, 0, sizeof resizes / sizeof resizes[0]);
    tcase_add_loop_test(tests, other_resizes_stay_plain, 0, 2);
    tcase_add_test(tests, all_readers_know_an_image);
    tcase_add_loop_test(tests, few_filters_read_plain_images, 0, 2);
    tcase_add_test(tests, transposed_convs_give_blocks);
    tcase_add_loop_test(tests, halves_stay_in_blocks, 0, 2);
    tcase_add_loop_test(tests, halves_between_convs_are_wide, 0, 2);
    tcase_add_loop_test(tests, halves_that_others_read_are_not_wide, 0, 4);
    tcase_add_test(tests, what_knows_no_blocks_gets_none);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
