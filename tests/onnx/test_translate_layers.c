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

int main(void)
{
    Suite *suite = suite_create("onnx/translate_layers");
    TCase *tests = tcase_create("translate_layers");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, batch_norm_of_elements);
    tcase_add_test(tests, statistics_of_training);
    tcase_add_test(tests, scales_of_groups);
    tcase_add_test(tests, activations_of_other_names);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
