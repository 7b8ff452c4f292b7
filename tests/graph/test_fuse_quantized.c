/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of ops between DequantizeLinear and QuantizeLinear: which are replaced, and how far
 * the results are from those of the model as it was.
 */
#include "graph/take_floats.h"
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS = 6 * 8 * 8, FILTERS = 6 };

static mls_context *context;
static mls_model *model;
static onnx_build *b;

/* 4 scales and zero points: of x, of weights, of a bias, and of y. */
static void add_params(float y_scale, uint8_t y_zero)
{
    const int32_t no_zero = 0;
    onnx_build_floats(b, "xs", "", (float[]){0.02f});
    onnx_build_raw(b, "xz", MLS_UINT8, "", (uint8_t[]){100}, 1);
    onnx_build_floats(b, "ws", "", (float[]){0.01f});
    onnx_build_raw(b, "wz", MLS_INT8, "", (int8_t[]){0}, 1);
    onnx_build_floats(b, "bs", "", (float[]){0.02f * 0.01f});
    onnx_build_raw(b, "bz", MLS_INT32, "", &no_zero, sizeof no_zero);
    onnx_build_floats(b, "ys", "", &y_scale);
    onnx_build_raw(b, "yz", MLS_UINT8, "", &y_zero, 1);
}

static void add_bytes(const char *name, const char *shape, size_t count)
{
    int8_t bytes[400];
    uint64_t seed = 5;
    for (size_t i = 0; i < count; i++)
        bytes[i] = (int8_t) ((int) mls_test_random_below(&seed, 255) - 127);
    onnx_build_raw(b, name, MLS_INT8, shape, bytes, count);
}

/* The parameters and the weights of a convolution of one by one. */
static void add_point_conv(float y_scale, uint8_t y_zero)
{
    add_params(y_scale, y_zero);
    add_bytes("w", "6,6,1,1", 36);
}

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "1,6,8,8");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    onnx_build_node(b, "QuantizeLinear", "x xs xz", "xq");
    onnx_build_node(b, "DequantizeLinear", "xq xs xz", "xd");
    onnx_build_node(b, "DequantizeLinear", "w ws wz", "wd");
    onnx_build_node(b, "DequantizeLinear", "c bs bz", "cd");
    onnx_build_node(b, "QuantizeLinear", "r ys yz", "q");
    onnx_build_node(b, "DequantizeLinear", "q ys yz", "y");
    onnx_build_raw(b, "c", MLS_INT32, "6", (int32_t[]){9, -900, 5000, 0, 77, -3},
                   FILTERS * sizeof(int32_t));
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

static size_t count_nodes(const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < model->optimized.nodes.count; i++)
        count += strcmp(mls__graph_node(&model->optimized, i)->type, type) == 0;
    return count;
}

static void optimize(void)
{
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert(model->has_optimized);
}

/* The optimized model has so many nodes of a type. */
static void optimize_to(const char *type, size_t count)
{
    optimize();
    ck_assert_uint_eq(count_nodes(type), count);
}

static float *run(uint64_t flags, size_t *ret_count)
{
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    mls_session *session;
    ck_assert_ok(mls_session_create(model, &options, &session));
    float *x = mls_session_input_data(session, 0);
    uint64_t seed = 9;
    for (size_t i = 0; i < INPUTS; i++)
        x[i] = (float) mls_test_random_below(&seed, 5000) / 1000 - 2;
    return take_floats(session, ret_count);
}

/* Optimized and not are at most so many steps of y apart, and not all of one value. */
static void expect_near(double steps, double y_scale)
{
    size_t count, same_count, differing = 0;
    float *plain = run(MLS_SESSION_NO_OPTIMIZE, &same_count);
    float *fast = run(0, &count);
    ck_assert_uint_eq(count, same_count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_double_le(fabs((double) plain[i] - (double) fast[i]), (steps + 1e-3) * y_scale);
        differing += plain[i] != plain[0];
    }
    ck_assert_uint_gt(differing, 0);
    free(plain);
    free(fast);
}

START_TEST(a_convolution)
{
    add_params(0.05f, 30);
    add_bytes("w", "6,6,3,3", 324);
    onnx_node *conv = onnx_build_node(b, "Conv", "xd wd cd", "r");
    onnx_node_ints(conv, "pads", 4, (int64_t[]){1, 1, 1, 1});
    optimize_to("QLinearConv", 1);
    ck_assert_uint_eq(model->optimized.nodes.count, 3);
    expect_near(1, 0.05);
}
END_TEST

/* Copies of quantized elements and of constants are looked through. */
START_TEST(copies_are_looked_through)
{
    add_point_conv(0.05f, 0);
    onnx_build_node(b, "Identity", "xq", "xi");
    onnx_node_int(onnx_build_node(b, "Cast", "xi", "xc"), "to", MLS_UINT8);
    onnx_build_node(b, "Identity", "xs", "xsi");
    onnx_build_node(b, "DequantizeLinear", "xc xsi xz", "xe");
    onnx_build_node(b, "Conv", "xe wd", "p");
    onnx_build_node(b, "Relu", "p", "r");
    optimize_to("QLinearConv", 1);
    ck_assert_uint_eq(count_nodes("Relu"), 0);
    expect_near(1, 0.05);
}
END_TEST

/* With a zero point above 0 the quantized type holds what Relu takes away. */
START_TEST(a_relu_that_bounds_more_stays)
{
    add_point_conv(0.05f, 1);
    onnx_build_node(b, "Conv", "xd wd", "p");
    onnx_build_node(b, "Relu", "p", "r");
    optimize_to("QLinearConv", 0);
    expect_near(0, 0.05);
}
END_TEST

/* 6 has the highest code where the scale is 6 / 255, and not where it is more. */
START_TEST(a_clip)
{
    const float scale = _i ? 6.2f / 255 : 6.0f / 255;
    add_point_conv(scale, 0);
    onnx_build_floats(b, "low", "", (float[]){0});
    onnx_build_floats(b, "high", "", (float[]){6});
    onnx_build_node(b, "Conv", "xd wd", "p");
    onnx_build_node(b, "Clip", "p low high", "r");
    optimize_to("QLinearConv", _i ? 0 : 1);
    expect_near(1, (double) scale);
}
END_TEST

START_TEST(products)
{
    static const int64_t shape[] = {6, 64};
    add_params(0.1f, 120);
    add_bytes("w", _i ? "64,5" : "5,64", 320);
    onnx_build_ints(b, "shape", "2", shape);
    onnx_build_node(b, "Reshape", "xq shape", "rows");
    onnx_build_node(b, "DequantizeLinear", "rows xs xz", "rd");
    if (_i)
        onnx_build_node(b, "MatMul", "rd wd", "r");
    else
        onnx_node_int(onnx_build_node(b, "Gemm", "rd wd", "r"), "transB", 1);
    optimize_to(_i ? "QLinearMatMul" : "QGemm", 1);
    ck_assert_uint_eq(count_nodes(_i ? "MatMul" : "Gemm"), 0);
    expect_near(1, 0.1);
}
END_TEST

START_TEST(sums_and_products_keep_their_bytes)
{
    add_params(0.03f, 60);
    add_bytes("w", "1", 1);
    onnx_build_node(b, _i ? "Add" : "Mul", "xd xd", "r");
    optimize_to(_i ? "QLinearAdd" : "QLinearMul", 1);
    expect_near(0, 0.03);
}
END_TEST

START_TEST(a_pool)
{
    add_params(0.01f, 60);
    add_bytes("w", "1", 1);
    onnx_build_node(b, "GlobalAveragePool", "xd", "r");
    optimize_to("QLinearGlobalAveragePool", 1);
    expect_near(1, 0.01);
}
END_TEST

/* A result that something else reads, too, must be there. */
START_TEST(what_is_needed_stays)
{
    add_point_conv(0.05f, 30);
    onnx_build_node(b, "Conv", "xd wd cd", "r");
    onnx_build_output(b, "r", MLS_FLOAT32, NULL);
    optimize_to("QLinearConv", 0);
}
END_TEST

START_TEST(a_bias_of_another_scale_stays_apart)
{
    add_point_conv(0.05f, 30);
    onnx_build_floats(b, "cs", "", (float[]){0.001f});
    onnx_build_node(b, "DequantizeLinear", "c cs bz", "ce");
    onnx_build_node(b, "Conv", "xd wd ce", "r");
    optimize_to("QLinearConv", 0);
    expect_near(0, 0.05);
}
END_TEST

/* One scale for each filter is along dimension 0. */
START_TEST(scales_of_filters)
{
    add_point_conv(0.05f, 30);
    onnx_build_floats(b, "fs", "6", (float[]){0.01f, 0.02f, 0.003f, 0.01f, 0.004f, 0.03f});
    onnx_build_raw(b, "fz", MLS_INT8, "6", (int8_t[]){0, 1, -3, 0, 0, 5}, 6);
    onnx_node *weights = onnx_build_node(b, "DequantizeLinear", "w fs fz", "we");
    onnx_node_int(weights, "axis", _i);
    onnx_build_node(b, "Conv", "xd we", "r");
    optimize();
    ck_assert_uint_eq(count_nodes("QLinearConv"), _i == 0);
    expect_near(1, 0.05);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/fuse_quantized");
    TCase *tests = tcase_create("fuse_quantized");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_convolution);
    tcase_add_test(tests, copies_are_looked_through);
    tcase_add_test(tests, a_relu_that_bounds_more_stays);
    tcase_add_loop_test(tests, a_clip, 0, 2);
    tcase_add_loop_test(tests, products, 0, 2);
    tcase_add_loop_test(tests, sums_and_products_keep_their_bytes, 0, 2);
    tcase_add_test(tests, a_pool);
    tcase_add_test(tests, what_is_needed_stays);
    tcase_add_test(tests, a_bias_of_another_scale_stays_apart);
    tcase_add_loop_test(tests, scales_of_filters, 0, 2);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
