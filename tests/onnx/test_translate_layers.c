/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations whose form changed between opsets, and ops that ONNX has by another name. */
#include "onnx/translate_test.h"

#include <string.h>

/* A model of one node, op(x, ...) -> y. */
static onnx_node *begin(int64_t opset, const char *op, const char *inputs, const char *outputs)
{
    begin_model(opset);
    onnx_build_opset(b, "com.microsoft", 1);
    onnx_build_input(b, "x", MLS_FLOAT32, "2,3,4");
    onnx_build_floats(b, "c", "3", (float[]){1, 1, 1});
    return onnx_build_node(b, op, inputs, outputs);
}

static bool has_int(const mls__node *node, const char *name, int64_t value)
{
    const mls_attr *attr = find_attr(node, name);
    return attr && attr->type == MLS_ATTR_INT && attr->i == value;
}

START_TEST(batch_norm_of_elements)
{
    for (int64_t spatial = 0; spatial < 2; spatial++) {
        onnx_node_int(begin(8, "BatchNormalization", "x c c c c", "y"), "spatial", spatial);
        const mls__node *node = load();
        ck_assert_ptr_nonnull(node->schema);
        ck_assert(has_int(node, "mls_per_element", 1) == (spatial == 0));
        ck_assert(!has_int(node, "spatial", spatial));
    }
    onnx_node_int(begin(9, "BatchNormalization", "x c c c c", "y"), "spatial", 0);
    ck_assert_ptr_null(load()->schema);
}
END_TEST

START_TEST(statistics_of_training)
{
    begin(8, "BatchNormalization", "x c c c c", "y mean variance saved spread");
    ck_assert_uint_eq(load()->output_count, 1);
    begin(8, "BatchNormalization", "x c c c c", "y mean variance");
    onnx_build_output(b, "mean", MLS_FLOAT32, NULL);
    ck_assert_ptr_null(load()->schema);
    onnx_node_int(begin(15, "BatchNormalization", "x c c c c", "y"), "training_mode", 1);
    ck_assert_ptr_null(load()->schema);
    onnx_node_int(begin(15, "BatchNormalization", "x c c c c", "y"), "training_mode", 0);
    ck_assert_ptr_nonnull(load()->schema);
}
END_TEST

START_TEST(scales_of_groups)
{
    for (int64_t opset = 18; opset < 22; opset++) {
        onnx_node_int(begin(opset, "GroupNormalization", "x c c", "y"), "num_groups", 3);
        ck_assert(has_int(load(), "mls_scale_groups", 1) == (opset < 21));
    }
}
END_TEST

START_TEST(activations_of_other_names)
{
    begin(17, "com.microsoft:Gelu", "x", "y");
    ck_assert_str_eq(load()->domain, "");
    ck_assert_ptr_null(find_attr(load(), "approximate"));
    begin(17, "com.microsoft:FastGelu", "x", "y");
    ck_assert_str_eq(load()->type, "Gelu");
    ck_assert_str_eq(find_attr(load(), "approximate")->strings[0].data, "tanh");
    begin(17, "com.microsoft:FastGelu", "x c", "y");
    ck_assert_str_eq(load()->type, "FastGelu");
    begin(17, "com.microsoft:QuickGelu", "x", "y");
    ck_assert_str_eq(load()->type, "Swish");
    ck_assert_float_eq(find_attr(load(), "alpha")->f, 1.702f);
    onnx_node_float(begin(17, "com.microsoft:QuickGelu", "x", "y"), "alpha", 2.0f);
    ck_assert_float_eq(find_attr(load(), "alpha")->f, 2.0f);
}
END_TEST

/* --- DynamicQuantizeLSTM --- */

/* One direction, two inputs, one of state: weights of [1, 2, 4] and [1, 1, 4]. */
static void begin_lstm(int32_t dtype, const char *scales, const void *zeros)
{
    const int8_t w[] = {1, 2, 3, 4, 5, 6, 7, -8}, r[] = {1, -1, 2, -2};
    const float factors[] = {0.5f, 1, 2, 4};
    const size_t count = strcmp(scales, "1") == 0 ? 1 : 4;
    begin_model(17);
    onnx_build_opset(b, "com.microsoft", 1);
    onnx_build_input(b, "x", MLS_FLOAT32, "3,1,2");
    onnx_build_raw(b, "w", dtype, "1,2,4", w, sizeof w);
    onnx_build_raw(b, "r", dtype, "1,1,4", r, sizeof r);
    onnx_build_floats(b, "s", scales, factors);
    onnx_build_raw(b, "z", dtype, scales, zeros, count);
    onnx_node_int(
        onnx_build_node(b, "com.microsoft:DynamicQuantizeLSTM", "x w r - - - - - s z s z", "y"),
        "hidden_size", 1);
}

static void check_weights(const mls__node *node, size_t input, int64_t columns, const float *values)
{
    const mls_tensor *tensor = mls__graph_value(&model->graph, node->inputs[input])->constant;
    ck_assert_ptr_nonnull(tensor);
    ck_assert_int_eq(mls_tensor_dtype(tensor), MLS_FLOAT32);
    ck_assert_int_eq(mls_tensor_dims(tensor)[1], 4);
    ck_assert_int_eq(mls_tensor_dims(tensor)[2], columns);
    ck_assert_mem_eq(mls_tensor_data(tensor), values, 4 * (size_t) columns * sizeof *values);
}

START_TEST(quantized_lstms)
{
    begin_lstm(MLS_INT8, "1", (int8_t[]){-1});
    const mls__node *node = load();
    ck_assert_ptr_nonnull(node->schema);
    ck_assert_str_eq(node->type, "LSTM");
    ck_assert_uint_eq(node->input_count, 3);
    check_weights(node, 1, 2, (float[]){1, 3, 1.5f, 3.5f, 2, 4, 2.5f, -3.5f});
    check_weights(node, 2, 1, (float[]){1, 0, 1.5f, -0.5f});
    begin_lstm(MLS_INT8, "1,4", (int8_t[]){0, 1, 0, -8});
    check_weights(load(), 1, 2, (float[]){0.5f, 2.5f, 1, 5, 6, 14, 48, 0});
    begin_lstm(MLS_UINT8, "1", (uint8_t[]){4});
    check_weights(load(), 2, 1, (float[]){-1.5f, 125.5f, -1, 125});
}
END_TEST

START_TEST(wrong_quantized_lstms)
{
    mls_model *none;
    begin_lstm(MLS_INT8, "4", (int8_t[]){0, 0, 0, 0});
    ck_assert_ptr_nonnull(load()->schema);
    begin_lstm(MLS_INT8, "1", (int8_t[]){0});
    onnx_build_model(b)->graph->node[0]->n_input = 11;
    ck_assert_fails(onnx_build_load(b, context, 0, &none), MLS_EFORMAT, "11 inputs; it takes 12");
    begin_lstm(MLS_INT8, "1", (int8_t[]){0});
    onnx_build_model(b)->graph->node[0]->input[8] = onnx_build_text(b, "x");
    ck_assert_ptr_null(load()->schema);
    ck_assert_msg(strstr(load()->unsupported, "input 8 is no constant") != NULL, "%s",
                  load()->unsupported);
    begin_lstm(MLS_INT8, "1", (int8_t[]){0});
    onnx_build_model(b)->graph->node[0]->input[8] = onnx_build_text(b, "w");
    ck_assert_fails(onnx_build_load(b, context, 0, &none), MLS_EFORMAT, "inputs 1, 8 and 9");
    onnx_build_floats(b, "two", "2", (float[]){1, 2});
    onnx_build_model(b)->graph->node[0]->input[8] = onnx_build_text(b, "two");
    ck_assert_fails(onnx_build_load(b, context, 0, &none), MLS_EFORMAT,
                    "have 2 and 1 elements, expected one a direction or one a column");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/translate_layers");
    TCase *tests = tcase_create("translate_layers");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, batch_norm_of_elements);
    tcase_add_test(tests, statistics_of_training);
    tcase_add_test(tests, scales_of_groups);
    tcase_add_test(tests, activations_of_other_names);
    tcase_add_test(tests, quantized_lstms);
    tcase_add_test(tests, wrong_quantized_lstms);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
