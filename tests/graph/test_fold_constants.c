/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes are computed when a model is loaded, and that its results stay. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"
#include "tensor/tensor.h"

#include <string.h>

static mls_context *context;
static mls_model *model;
static onnx_build *b;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "2,3");
    onnx_build_floats(b, "c", "3", (float[]){1, -2, 3});
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

static const mls__graph *load(void)
{
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    return &model->optimized;
}

/* The constant that node `node` takes as its input `input`, of so many floats. */
static const float *constant_of(const mls__graph *graph, size_t node, size_t input, int64_t count)
{
    const uint32_t value = mls__graph_node(graph, node)->inputs[input];
    const mls_tensor *tensor = mls__graph_value(graph, value)->constant;
    ck_assert_ptr_nonnull(tensor);
    ck_assert_int_eq(tensor->dtype, MLS_FLOAT32);
    ck_assert_int_eq(tensor->count, count);
    ck_assert_uint_ne(mls__graph_value(graph, value)->weight_id, 0);
    return mls_tensor_data(tensor);
}

static void expect_output(uint64_t flags, size_t count, const float *expected)
{
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    mls_session *session;
    ck_assert_ok(mls_session_create(model, &options, &session));
    float *x = mls_session_input_data(session, 0);
    for (int i = 0; i < 6; i++)
        x[i] = (float) i;
    ck_assert_ok(mls_session_run(session));
    ck_assert_mem_eq(mls_session_output_data(session, 0), expected, count * sizeof *expected);
    mls_session_free(session);
}

START_TEST(a_chain_of_constants_is_computed)
{
    onnx_build_node(b, "Neg", "c", "n");
    onnx_build_node(b, "Mul", "n c", "m");
    onnx_build_node(b, "Sub", "x m", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2,3");
    const mls__graph *graph = load();
    ck_assert_uint_eq(graph->nodes.count, 1);
    ck_assert_mem_eq(constant_of(graph, 0, 1, 3), ((float[]){-1, -4, -9}), 3 * sizeof(float));
    ck_assert_uint_eq(model->graph.nodes.count, 3);
    const float expected[] = {1, 5, 11, 4, 8, 14};
    expect_output(0, 6, expected);
    expect_output(MLS_SESSION_NO_OPTIMIZE, 6, expected);
}
END_TEST

/* As the models of the ONNX project come: without weights, but with their shapes. */
START_TEST(passes_find_what_was_computed)
{
    onnx_build_input(b, "image", MLS_FLOAT32, "1,2,4,4");
    onnx_build_ints(b, "dims", "4", (int64_t[]){16, 2, 3, 3});
    onnx_build_node(b, "ConstantOfShape", "dims", "w");
    onnx_build_node(b, "Conv", "image w", "a");
    onnx_build_node(b, "Relu", "a", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    const mls__graph *graph = load();
    ck_assert_str_eq(mls__graph_node(graph, 0)->type, "FusedConv");
    constant_of(graph, 0, 1, 288);
}
END_TEST

/* Of 8-bit weights of a convolution of floats. */
START_TEST(what_quantized_passes_leave_is_computed)
{
    static const int8_t weights[16 * 2] = {1, -2, 3};
    onnx_build_input(b, "image", MLS_FLOAT32, "1,2,4,4");
    onnx_build_raw(b, "q", MLS_INT8, "16,2,1,1", weights, sizeof weights);
    onnx_build_floats(b, "scale", "", (float[]){0.5f});
    onnx_build_node(b, "DequantizeLinear", "q scale", "w");
    onnx_build_node(b, "Conv", "image w", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    const mls__graph *graph = load();
    ck_assert_str_eq(mls__graph_node(graph, 0)->type, "FusedConv");
    ck_assert_mem_eq(constant_of(graph, 0, 1, 32), ((float[]){0.5f, -1, 1.5f}), 3 * sizeof(float));
}
END_TEST

START_TEST(an_output_may_be_a_constant)
{
    onnx_build_node(b, "Neg", "c", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "3");
    ck_assert_uint_eq(load()->nodes.count, 0);
    expect_output(0, 3, (float[]){-1, 2, -3});
}
END_TEST

START_TEST(every_output_of_a_node_is_a_constant)
{
    onnx_build_ints(b, "parts", "2", (int64_t[]){1, 2});
    onnx_build_node(b, "Split", "c parts", "one two");
    onnx_build_node(b, "Add", "x one", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2,3");
    onnx_build_output(b, "two", MLS_FLOAT32, "2");
    const mls__graph *graph = load();
    ck_assert_uint_eq(graph->nodes.count, 1);
    ck_assert_float_eq(constant_of(graph, 0, 1, 1)[0], 1);
}
END_TEST

START_TEST(an_empty_constant_is_one)
{
    onnx_build_ints(b, "none", "1", (int64_t[]){0});
    onnx_build_node(b, "ConstantOfShape", "none", "e");
    onnx_build_node(b, "Neg", "e", "n");
    onnx_node_int(onnx_build_node(b, "Concat", "n c", "all"), "axis", 0);
    onnx_build_node(b, "Add", "x all", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2,3");
    const mls__graph *graph = load();
    ck_assert_uint_eq(graph->nodes.count, 1);
    constant_of(graph, 0, 1, 3);
    expect_output(0, 6, (float[]){1, -1, 5, 4, 2, 8});
}
END_TEST

/* Kernels compute with the addresses of what is empty, too: sanitizers see whether it has any. */
START_TEST(nothing_is_joined_and_split)
{
    onnx_build_ints(b, "none", "1", (int64_t[]){0});
    onnx_build_ints(b, "parts", "2", (int64_t[]){0, 0});
    onnx_build_node(b, "ConstantOfShape", "none", "e");
    onnx_node_int(onnx_build_node(b, "Concat", "e e", "joined"), "axis", 0);
    onnx_build_node(b, "Split", "joined parts", "one two");
    onnx_node_int(onnx_build_node(b, "Concat", "one c two", "all"), "axis", 0);
    onnx_build_node(b, "Add", "x all", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2,3");
    const mls__graph *graph = load();
    ck_assert_uint_eq(graph->nodes.count, 1);
    expect_output(0, 6, (float[]){1, -1, 5, 4, 2, 8});
}
END_TEST

/* Its kernel keeps a table with the model, as those of trees and support vectors do. */
START_TEST(kernels_with_tables_compute_too)
{
    onnx_build_opset(b, "ai.onnx.ml", 5);
    onnx_node *node = onnx_build_node(b, "ai.onnx.ml:LabelEncoder", "c", "other");
    onnx_node_floats(node, "keys_floats", 3, (const float[]){1, -2, 3});
    onnx_node_floats(node, "values_floats", 3, (const float[]){10, 20, 30});
    onnx_build_node(b, "Add", "x other", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2,3");
    const mls__graph *graph = load();
    ck_assert_uint_eq(graph->nodes.count, 1);
    expect_output(0, 6, (float[]){10, 21, 32, 13, 24, 35});
}
END_TEST

/* Without a seed and a name of its own, a node's numbers follow from its output's name. */
START_TEST(random_numbers_are_those_of_a_run)
{
    float expected[6];
    onnx_build_node(b, "RandomUniformLike", "c", "r");
    onnx_build_node(b, "Add", "x r", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2,3");
    const float *numbers = constant_of(load(), 0, 1, 3);
    for (int i = 0; i < 6; i++)
        expected[i] = (float) i + numbers[i % 3];
    expect_output(MLS_SESSION_NO_OPTIMIZE, 6, expected);
}
END_TEST

/* What depends on an input, gives strings, has dims that only a run tells, or is large. */
static const struct {
    const char *type, *input;
} kept[] = {{"Neg", "x"}, {"Identity", "words"}, {"NonZero", "c"}, {"ConstantOfShape", "large"}};

START_TEST(others_stay)
{
    onnx_node_string(onnx_build_node(b, "Constant", "", "words"), "value_string", "ab");
    onnx_build_ints(b, "large", "1", (int64_t[]){(INT64_C(128) << 20) + 1});
    onnx_build_node(b, kept[_i].type, kept[_i].input, "y");
    onnx_build_output(b, "y", 0, NULL);
    const mls__graph *graph = load();
    ck_assert_uint_eq(graph->nodes.count, 1);
    ck_assert_str_eq(mls__graph_node(graph, 0)->type, kept[_i].type);
}
END_TEST

/* The error comes when a session is made, as for any other node. */
START_TEST(what_is_wrong_is_said_in_planning)
{
    onnx_build_ints(b, "five", "1", (int64_t[]){5});
    onnx_node_name(onnx_build_node(b, "Reshape", "c five", "r"), "wrong");
    onnx_build_node(b, "Add", "x r", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    load();
    ck_assert_str_eq(mls_error_message(), "");
    mls_session *session;
    ck_assert_int_eq(mls_session_create(model, NULL, &session), MLS_ESHAPE);
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "wrong"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/fold_constants");
    TCase *tests = tcase_create("fold_constants");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_chain_of_constants_is_computed);
    tcase_add_test(tests, passes_find_what_was_computed);
    tcase_add_test(tests, what_quantized_passes_leave_is_computed);
    tcase_add_test(tests, an_output_may_be_a_constant);
    tcase_add_test(tests, every_output_of_a_node_is_a_constant);
    tcase_add_test(tests, an_empty_constant_is_one);
    tcase_add_test(tests, nothing_is_joined_and_split);
    tcase_add_test(tests, kernels_with_tables_compute_too);
    tcase_add_test(tests, random_numbers_are_those_of_a_run);
    tcase_add_loop_test(tests, others_stay, 0, sizeof kept / sizeof kept[0]);
    tcase_add_test(tests, what_is_wrong_is_said_in_planning);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
