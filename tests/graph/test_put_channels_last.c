/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which quantized images get their channels last, where they are transposed, and that no byte of a
 * result changes.
 */
#include "graph/take_floats.h"
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 12, INPUTS = 2 * CHANNELS * 9 * 10, WEIGHTS = 16 * 12 * 9 };

static mls_context *context;
static mls_model *model;
static onnx_build *b;

/* Weights of a convolution: so many filters, channels of each, and a square kernel. */
static void add_weights(const char *name, int filters, int channels, int kernel)
{
    int8_t bytes[WEIGHTS];
    char shape[32];
    uint64_t seed = (uint64_t) name[1];
    const size_t count = (size_t) (filters * channels * kernel * kernel);
    ck_assert_uint_le(count, WEIGHTS);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (int8_t) ((int) mls_test_random_below(&seed, 255) - 127);
    snprintf(shape, sizeof shape, "%d,%d,%d,%d", filters, channels, kernel, kernel);
    onnx_build_raw(b, name, MLS_INT8, shape, bytes, count);
}

/* What the models are made of; x is an image of 12 channels. */
static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_opset(b, "com.microsoft", 1);
    onnx_build_input(b, "x", MLS_UINT8, "2,12,9,10");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    onnx_build_floats(b, "s", "", (float[]){0.02f});
    onnx_build_floats(b, "ws", "", (float[]){0.01f});
    onnx_build_floats(b, "one", "", (float[]){1});
    onnx_build_raw(b, "z", MLS_UINT8, "", (uint8_t[]){110}, 1);
    onnx_build_raw(b, "wz", MLS_INT8, "", (int8_t[]){0}, 1);
    add_weights("w1", 12, 12, 1);
    add_weights("w3", 12, 12, 3);
    add_weights("wd", 12, 1, 3);
    add_weights("w4", 4, 12, 1);
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

static onnx_node *add_conv(const char *x, const char *weights, const char *y, int64_t pad)
{
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s s z %s ws wz s z", x, weights);
    onnx_node *node = onnx_build_node(b, "QLinearConv", inputs, y);
    onnx_node_ints(node, "pads", 4, (int64_t[]){pad, pad, pad, pad});
    return node;
}

static void add_depthwise(const char *x, const char *y)
{
    onnx_node_int(add_conv(x, "wd", y, 1), "group", CHANNELS);
}

/* The model's only output is `y`, as numbers. */
static void add_output(const char *q)
{
    char inputs[32];
    snprintf(inputs, sizeof inputs, "%s one z", q);
    onnx_build_node(b, "DequantizeLinear", inputs, "y");
}

static size_t count_nodes(const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < model->optimized.nodes.count; i++)
        count += strcmp(mls__graph_node(&model->optimized, i)->type, type) == 0;
    return count;
}

static size_t count_last(void)
{
    size_t count = 0;
    for (size_t i = 0; i < model->optimized.nodes.count; i++) {
        const mls__node *node = mls__graph_node(&model->optimized, i);
        for (size_t k = 0; k < node->attr_count; k++)
            count += strcmp(node->attrs[k].name, "channels_last") == 0 && node->attrs[k].i == 1;
    }
    return count;
}

static float *run(uint64_t flags, size_t *ret_count)
{
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    mls_session *session;
    ck_assert_ok(mls_session_create(model, &options, &session));
    uint8_t *x = mls_session_input_data(session, 0);
    uint64_t seed = 9;
    for (size_t i = 0; i < INPUTS; i++)
        x[i] = (uint8_t) mls_test_random_below(&seed, 256);
    return take_floats(session, ret_count);
}

/* So many nodes have channels last, between so many transposes, and the results are the same. */
static void expect(size_t last, size_t transposes)
{
    size_t count, same_count;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(count_nodes("Transpose"), transposes);
    ck_assert_uint_eq(count_last(), last);
    float *plain = run(MLS_SESSION_NO_OPTIMIZE, &same_count);
    float *laid = run(0, &count);
    ck_assert_uint_eq(count, same_count);
    ck_assert_mem_eq(plain, laid, count * sizeof *plain);
    free(plain);
    free(laid);
}

START_TEST(convolutions_in_a_row)
{
    add_conv("x", "w1", "a", 0);
    add_depthwise("a", "c");
    add_conv("c", "w3", "q", 1);
    add_output("q");
    expect(3, 2);
}
END_TEST

/* The sum of two images needs no other layout, whichever of them came first. */
START_TEST(a_residual)
{
    add_conv("x", "w1", "a", 0);
    add_conv("a", "w3", "c", 1);
    onnx_build_node(b, "com.microsoft:QLinearAdd", _i ? "a s z c s z s z" : "x s z c s z s z", "q");
    add_output("q");
    expect(2, 2);
}
END_TEST

START_TEST(what_works_on_elements)
{
    add_conv("x", "w1", "a", 0);
    onnx_build_node(b, "com.microsoft:QLinearSigmoid", "a s z s z", "c");
    onnx_build_node(b, "com.microsoft:QLinearMul", "a s z c s z s z", "d");
    onnx_build_node(b, "com.microsoft:QLinearLeakyRelu", "d s z s z", "e");
    add_conv("e", "w3", "q", 1);
    add_output("q");
    expect(2, 2);
}
END_TEST

/* A row along the last axis is another one when that is the channels'. */
START_TEST(a_sum_with_what_is_no_image)
{
    uint8_t row[10] = {3, 200, 7, 9, 90, 0, 255, 1, 2, 3};
    onnx_build_raw(b, "row", MLS_UINT8, "10", row, sizeof row);
    add_conv("x", "w1", "a", 0);
    add_conv("a", "w3", "c", 1);
    onnx_build_node(b, "com.microsoft:QLinearAdd", "c s z row s z s z", "q");
    add_output("q");
    expect(2, 2);
}
END_TEST

/* By channels, and by rows: as a negative axis says. */
START_TEST(images_side_by_side)
{
    add_conv("x", "w1", "a", 0);
    add_conv("a", "w3", "c", 1);
    onnx_node_int(onnx_build_node(b, "com.microsoft:QLinearConcat", "s z a s z c s z", "q"), "axis",
                  _i ? -2 : 1);
    add_output("q");
    expect(2, 2);
}
END_TEST

/* What is pooled has channels last, too, and so few elements that their order hardly matters. */
START_TEST(a_global_pool)
{
    add_conv("x", "w1", "a", 0);
    add_conv("a", "w3", "c", 1);
    onnx_build_node(b, "com.microsoft:QLinearGlobalAveragePool", "c s z s z", "q");
    add_output("q");
    expect(3, 2);
}
END_TEST

/* Who else reads an image gets it as it was. */
START_TEST(other_readers)
{
    add_conv("x", "w1", "a", 0);
    add_conv("a", "w3", "c", 1);
    add_conv("c", "w1", "d", 0);
    onnx_node_ints(onnx_build_node(b, "MaxPool", "a", "e"), "kernel_shape", 2, (int64_t[]){1, 1});
    onnx_build_node(b, "com.microsoft:QLinearAdd", "e s z d s z s z", "q");
    add_output("q");
    expect(3, 3);
}
END_TEST

START_TEST(one_convolution_alone)
{
    add_conv("x", "w3", "q", 1);
    add_output("q");
    expect(0, 0);
}
END_TEST

/* Transposes on both sides of each convolution would take longer. */
START_TEST(more_transposes_than_convolutions)
{
    add_conv("x", "w1", "a", 0);
    onnx_node_ints(onnx_build_node(b, "MaxPool", "a", "c"), "kernel_shape", 2, (int64_t[]){2, 2});
    add_conv("c", "w3", "d", 1);
    onnx_node_ints(onnx_build_node(b, "MaxPool", "d", "q"), "kernel_shape", 2, (int64_t[]){2, 2});
    add_output("q");
    expect(0, 0);
}
END_TEST

/* Four filters would leave most of a vector empty. */
START_TEST(few_filters)
{
    add_conv("x", "w1", "a", 0);
    add_conv("a", "w3", "c", 1);
    add_conv("c", "w4", "q", 0);
    add_output("q");
    expect(2, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/put_channels_last");
    TCase *tests = tcase_create("put_channels_last");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, convolutions_in_a_row);
    tcase_add_loop_test(tests, a_residual, 0, 2);
    tcase_add_test(tests, what_works_on_elements);
    tcase_add_test(tests, a_sum_with_what_is_no_image);
    tcase_add_loop_test(tests, images_side_by_side, 0, 2);
    tcase_add_test(tests, a_global_pool);
    tcase_add_test(tests, other_readers);
    tcase_add_test(tests, one_convolution_alone);
    tcase_add_test(tests, more_transposes_than_convolutions);
    tcase_add_test(tests, few_filters);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
