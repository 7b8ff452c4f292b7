/* SPDX-License-Identifier: Apache-2.0 */
/* Each op that changed between opsets, in the form before and the form after the change. */
#include "onnx/translate_test.h"

#include <stdbool.h>
#include <string.h>

/* A model of one node, op(x, ...) -> y. */
static onnx_node *begin(int64_t opset, const char *op, const char *inputs, const char *outputs)
{
    begin_model(opset);
    onnx_build_opset(b, "ai.onnx.ml", 3);
    onnx_build_input(b, "x", MLS_FLOAT32, "2,3");
    onnx_build_floats(b, "c", "1", (float[]){1});
    return onnx_build_node(b, op, inputs, outputs);
}

static void check_int(const mls__node *node, const char *name, int64_t expected)
{
    const mls_attr *attr = find_attr(node, name);
    ck_assert_msg(attr != NULL, "%s has no %s", node->type, name);
    ck_assert_int_eq(attr->type, MLS_ATTR_INT);
    ck_assert_int_eq(attr->i, expected);
}

/* Input `index` is a constant of one dimension with these elements. */
static void check_input(const mls__node *node, size_t index, size_t count, const int64_t *expected)
{
    ck_assert_msg(index < node->input_count && node->inputs[index] != MLS__NO_VALUE,
                  "%s has no input %zu", node->type, index);
    const mls__value *value = mls__graph_value(&model->graph, node->inputs[index]);
    ck_assert_ptr_nonnull(value->constant);
    ck_assert_uint_ne(value->weight_id, 0);
    ck_assert_int_eq(value->dtype, MLS_INT64);
    ck_assert_int_eq(value->rank, 1);
    ck_assert_int_eq(value->dims[0], (int64_t) count);
    ck_assert_mem_eq(mls_tensor_data(value->constant), expected, count * sizeof *expected);
}

/* Attributes that became input 1, the last opset that had each, and whether it must be there. */
static const struct moved {
    const char *op, *attr;
    int64_t last;
    bool is_required;
} moved[] = {
    {"Squeeze", "axes", 12, false},         {"Unsqueeze", "axes", 12, true},
    {"ReduceSum", "axes", 12, false},       {"ReduceMean", "axes", 17, false},
    {"ReduceMax", "axes", 17, false},       {"ReduceMin", "axes", 17, false},
    {"ReduceProd", "axes", 17, false},      {"ReduceL1", "axes", 17, false},
    {"ReduceL2", "axes", 17, false},        {"ReduceLogSum", "axes", 17, false},
    {"ReduceLogSumExp", "axes", 17, false}, {"ReduceSumSquare", "axes", 17, false},
    {"Split", "split", 12, false},          {"Pad", "pads", 10, true},
};

START_TEST(attributes_become_inputs)
{
    const struct moved *m = &moved[_i];
    static const int64_t values[] = {1, 0};
    onnx_node_ints(begin(m->last, m->op, "x", "y"), m->attr, 2, values);
    const mls__node *node = load();
    ck_assert_uint_eq(node->input_count, 2);
    check_input(node, 1, 2, values);
    ck_assert_ptr_null(find_attr(node, m->attr));
}
END_TEST

START_TEST(empty_lists_are_left_out)
{
    const struct moved *m = &moved[_i];
    onnx_node_ints(begin(m->last, m->op, "x", "y"), m->attr, 0, NULL);
    if (m->is_required) {
        ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "1 inputs");
        return;
    }
    const mls__node *node = load();
    ck_assert_uint_eq(node->input_count, 1);
    ck_assert_ptr_null(find_attr(node, m->attr));
}
END_TEST

/* The attribute no longer means anything: not to be passed over. */
START_TEST(old_attributes_are_refused_in_new_opsets)
{
    const struct moved *m = &moved[_i];
    const char *op, *name, *reason;
    onnx_node_ints(begin(m->last + 1, m->op, "x", "y"), m->attr, 1, (int64_t[]){0});
    load();
    ck_assert_uint_eq(mls_model_unsupported_count(model), 1);
    ck_assert_ok(mls_model_unsupported(model, 0, &op, &name, &reason));
    ck_assert_ptr_nonnull(strstr(reason, "has no meaning since opset"));
    onnx_node_ints(begin(m->last, m->op, "x c c c c", "y"), m->attr, 1, (int64_t[]){0});
    ck_assert_fails(onnx_build_load(b, context, MLS_MODEL_ALLOW_UNSUPPORTED, &(mls_model *){NULL}),
                    MLS_EFORMAT, "has both attribute");
}
END_TEST

START_TEST(slice_gets_all_three)
{
    onnx_node *slice = begin(9, "Slice", "x", "y");
    onnx_node_ints(slice, "axes", 1, (int64_t[]){1});
    onnx_node_ints(slice, "ends", 1, (int64_t[]){2});
    onnx_node_ints(slice, "starts", 1, (int64_t[]){-1});
    const mls__node *node = load();
    ck_assert_uint_eq(node->input_count, 4);
    check_input(node, 1, 1, (int64_t[]){-1});
    check_input(node, 2, 1, (int64_t[]){2});
    check_input(node, 3, 1, (int64_t[]){1});

    slice = begin(9, "Slice", "x", "y");
    onnx_node_ints(slice, "axes", 1, (int64_t[]){1});
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "input 1 is left out");
}
END_TEST

START_TEST(topk_gets_k)
{
    onnx_node_int(begin(9, "TopK", "x", "y"), "k", 3);
    check_input(load(), 1, 1, (int64_t[]){3});
}
END_TEST

START_TEST(wrong_type_of_a_moved_attribute)
{
    onnx_node_float(begin(12, "Squeeze", "x", "y"), "axes", 1);
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "expected an int");
}
END_TEST

START_TEST(split_counts_its_outputs)
{
    begin(17, "Split", "x", "y z -");
    check_int(load(), "num_outputs", 3);
    onnx_node_ints(begin(12, "Split", "x", "y z"), "split", 2, (int64_t[]){1, 1});
    ck_assert_ptr_null(find_attr(load(), "num_outputs"));
    begin(17, "Split", "x c", "y z");
    ck_assert_ptr_null(find_attr(load(), "num_outputs"));
    begin(18, "Split", "x", "y z");
    ck_assert_ptr_null(find_attr(load(), "num_outputs"));
}
END_TEST

START_TEST(softmax_flattens_before_13)
{
    static const char *const ops[] = {"Softmax", "LogSoftmax", "Hardmax"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        begin(12, ops[i], "x", "y");
        const mls__node *node = load();
        check_int(node, "mls_flatten", 1);
        check_int(node, "axis", 1);
        onnx_node_int(begin(12, ops[i], "x", "y"), "axis", 0);
        node = load();
        check_int(node, "mls_flatten", 1);
        check_int(node, "axis", 0);
        begin(13, ops[i], "x", "y");
        ck_assert_uint_eq(load()->attr_count, 0);
    }
}
END_TEST

/* Their type is that of the data; kernels read the attributes where the inputs are left out. */
START_TEST(bounds_and_fills_stay_attributes)
{
    onnx_node *clip = begin(10, "Clip", "x", "y");
    onnx_node_float(clip, "min", 0);
    onnx_node_float(clip, "max", 6);
    const mls__node *node = load();
    ck_assert_uint_eq(node->input_count, 1);
    ck_assert(find_attr(node, "max")->f == 6.0f);
    onnx_node *pad = begin(10, "Pad", "x", "y");
    onnx_node_ints(pad, "pads", 4, (int64_t[]){0, 0, 1, 1});
    onnx_node_float(pad, "value", 2);
    ck_assert(find_attr(load(), "value")->f == 2.0f);
}
END_TEST

static bool is_refused(const mls__node *node, const char *reason)
{
    return node->unsupported && strstr(node->unsupported, reason);
}

START_TEST(mask_of_old_dropout_must_not_be_used)
{
    begin(9, "Dropout", "x", "y mask");
    ck_assert(!is_refused(load(), "mask"));
    ck_assert_uint_eq(load()->output_count, 1);
    begin(9, "Dropout", "x", "y mask");
    onnx_build_output(b, "mask", MLS_FLOAT32, NULL);
    ck_assert(is_refused(load(), "mask"));
    begin(10, "Dropout", "x", "y mask");
    ck_assert_uint_eq(load()->output_count, 2);
}
END_TEST

/* Its default changed when it became an input. */
START_TEST(axis_of_dft_becomes_an_input)
{
    begin(19, "DFT", "x", "y");
    check_input(load(), 2, 1, (int64_t[]){1});
    onnx_node_int(begin(17, "DFT", "x c", "y"), "axis", -2);
    check_input(load(), 2, 1, (int64_t[]){-2});
    begin(20, "DFT", "x", "y");
    ck_assert_uint_eq(load()->input_count, 1);
}
END_TEST

START_TEST(dropout_that_may_train_is_another_op)
{
    static const uint8_t modes[] = {0, 1};
    begin(12, "Dropout", "x", "y");
    ck_assert_str_eq(load()->type, "Dropout");
    for (int i = 0; i < 2; i++) {
        begin(22, "Dropout", "x - mode", "y");
        onnx_build_raw(b, "mode", MLS_BOOL, "", &modes[i], 1);
        const mls__node *node = load();
        ck_assert_str_eq(node->type, i ? "TrainingDropout" : "Dropout");
        ck_assert_uint_eq(node->input_count, i ? 3 : 2);
        ck_assert(!node->unsupported);
    }
    begin(12, "Dropout", "x c mode", "y");
    onnx_build_input(b, "mode", MLS_BOOL, "");
    ck_assert_str_eq(load()->type, "TrainingDropout");
    ck_assert_str_eq(load()->domain, "mlscale");
}
END_TEST

/* What the ops of the test below must have. */
static void add_needed(onnx_node *node)
{
    static const struct {
        const char *op, *attr;
        int64_t value;
    } needed[] = {{"Cast", "to", MLS_FLOAT32}, {"Concat", "axis", 0}};
    static const int64_t shape[] = {2};
    const char *op = onnx_node_proto(node)->op_type;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (strcmp(op, needed[i].op) == 0)
            onnx_node_int(node, needed[i].attr, needed[i].value);
    if (strcmp(op, "MaxUnpool") == 0)
        onnx_node_ints(node, "kernel_shape", 1, shape);
}

START_TEST(early_opsets_have_the_ops_that_stayed)
{
    static const struct {
        const char *op, *inputs;
        int64_t since;
    } ops[] = {
        {"Identity", "x", 1}, {"Relu", "x", 1},   {"Cast", "x", 6},   {"Reshape", "x c", 5},
        {"Selu", "x", 6},     {"Tile", "x c", 6}, {"Concat", "x", 4}, {"MaxUnpool", "x c", 7},
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        add_needed(begin(ops[i].since, ops[i].op, ops[i].inputs, "y"));
        ck_assert(!is_refused(load(), "below opset 7"));
        if (ops[i].since == 1)
            continue;
        add_needed(begin(ops[i].since - 1, ops[i].op, ops[i].inputs, "y"));
        ck_assert(is_refused(load(), "below opset 7"));
    }
}
END_TEST

START_TEST(early_broadcasts_have_an_axis)
{
    onnx_node_int(begin(6, "Add", "x c", "y"), "broadcast", 1);
    ck_assert_ptr_null(load()->unsupported);
    ck_assert_uint_eq(load()->attr_count, 0);
    onnx_node *add = begin(6, "Add", "x c", "y");
    onnx_node_int(add, "broadcast", 1);
    onnx_node_int(add, "axis", 5);
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "axis 5 does not fit");
    onnx_node_int(begin(7, "Add", "x c", "y"), "axis", 0);
    ck_assert(is_refused(load(), "has no meaning since opset 7"));
}
END_TEST

/* The constant that is the graph's output y. */
static const mls_tensor *load_constant(void)
{
    mls_model_free(model);
    model = NULL;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(model->graph.nodes.count, 0);
    return mls__graph_value(&model->graph, mls__graph_output(&model->graph, 0))->constant;
}

static void check_constant(mls_dtype dtype, int rank, int64_t count, const void *data,
                           size_t size_bytes)
{
    const mls_tensor *tensor = load_constant();
    ck_assert_ptr_nonnull(tensor);
    ck_assert_int_eq(mls_tensor_dtype(tensor), dtype);
    ck_assert_int_eq(mls_tensor_rank(tensor), rank);
    ck_assert_int_eq(mls_tensor_element_count(tensor), count);
    ck_assert_mem_eq(mls_tensor_data(tensor), data, size_bytes);
}

static void check_string(const mls_tensor *tensor, size_t index, const char *expected)
{
    const mls_string *strings = mls_tensor_data(tensor);
    ck_assert_uint_eq(strings[index].size, strlen(expected));
    ck_assert_mem_eq(strings[index].data, expected, strlen(expected));
}

START_TEST(constant_nodes_become_constants)
{
    onnx_node_float(begin(13, "Constant", "", "y"), "value_float", 2.5f);
    check_constant(MLS_FLOAT32, 0, 1, (float[]){2.5f}, 4);
    onnx_node_floats(begin(13, "Constant", "", "y"), "value_floats", 2, (float[]){1, 2});
    check_constant(MLS_FLOAT32, 1, 2, (float[]){1, 2}, 8);
    onnx_node_int(begin(13, "Constant", "", "y"), "value_int", -7);
    check_constant(MLS_INT64, 0, 1, (int64_t[]){-7}, 8);
    onnx_node_ints(begin(13, "Constant", "", "y"), "value_ints", 2, (int64_t[]){1, 2});
    check_constant(MLS_INT64, 1, 2, (int64_t[]){1, 2}, 16);
    onnx_node *node = begin(13, "Constant", "", "y");
    onnx_node_tensor(node, "value", onnx_build_tensor(b, "", MLS_INT8, "2", "\1\2", 2));
    check_constant(MLS_INT8, 1, 2, "\1\2", 2);
    ck_assert_int_eq(mls_model_parameter_count(model), 3); /* and the initializer c */
    onnx_node_string(begin(13, "Constant", "", "y"), "value_string", "ab");
    check_string(load_constant(), 0, "ab");
    onnx_node_strings(begin(13, "Constant", "", "y"), "value_strings", 2,
                      (const char *[]){"ab", ""});
    check_string(load_constant(), 0, "ab");
    check_string(load_constant(), 1, "");
}
END_TEST

START_TEST(sparse_constant_becomes_dense)
{
    onnx_node *node = begin(13, "Constant", "", "y");
    mls__sparse_proto sparse;
    mls__onnx__sparse_tensor_proto__init(&sparse);
    sparse.n_dims = 1;
    sparse.dims = (int64_t[]){3};
    sparse.values = onnx_build_tensor(b, "", MLS_FLOAT32, "1", (float[]){4}, 4);
    sparse.indices = onnx_build_tensor(b, "", MLS_INT64, "1", (int64_t[]){1}, 8);
    onnx_node_attr(node, "sparse_value", MLS__ATTR_SPARSE_TENSOR)->sparse_tensor = &sparse;
    check_constant(MLS_FLOAT32, 1, 3, (float[]){0, 4, 0}, 12);
}
END_TEST

START_TEST(constants_that_are_none)
{
    begin(13, "Constant", "", "y");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "0, 0 and 1");
    onnx_node_int(begin(13, "Constant", "x", "y"), "value_int", 1);
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "1, 1 and 1");
    onnx_node_int(begin(13, "Constant", "", "y z"), "value_int", 1);
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "1, 0 and 2");
    onnx_node_int(begin(13, "Constant", "", "y"), "value_float", 1);
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "'value_float' of type 2");
}
END_TEST

START_TEST(attributes_are_what_they_say)
{
    mls__attr_proto *attr = onnx_node_attr(begin(13, "Foo", "x", "y"), "a", MLS__ATTR_INT);
    check_int(load(), "a", 0); /* a zero need not be written */
    attr->has_f = 1;
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "value of another type");
    attr->has_f = 0;
    attr->type = 0;
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "type 0, which is none");
    attr->type = 15;
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "type 15");
    attr->type = INT32_MIN;
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "is none");
    attr->type = MLS__ATTR_TENSOR;
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "no value");
    attr->type = MLS__ATTR_INT;
    attr->ref_attr_name = onnx_build_text(b, "outer");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "in no function");
    onnx_node *node = begin(13, "Foo", "x", "y");
    onnx_node_int(node, "a", 1);
    onnx_node_int(node, "a", 2);
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "'a' is given twice");
}
END_TEST

START_TEST(arity_is_checked)
{
    begin(13, "Add", "x", "y");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "1 inputs; Add takes 2");
    begin(13, "Add", "x x x", "y");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "3 inputs");
    begin(13, "Add", "- x", "y");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "input 0 is left out");
    begin(13, "Add", "x x", "y z");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "2 outputs");
    begin(13, "Add", "x x", "y");
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/translate");
    TCase *tests = tcase_create("translate");
    const int rows = (int) (sizeof moved / sizeof moved[0]);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, attributes_become_inputs, 0, rows);
    tcase_add_loop_test(tests, empty_lists_are_left_out, 0, rows);
    tcase_add_loop_test(tests, old_attributes_are_refused_in_new_opsets, 0, rows);
    tcase_add_test(tests, slice_gets_all_three);
    tcase_add_test(tests, topk_gets_k);
    tcase_add_test(tests, wrong_type_of_a_moved_attribute);
    tcase_add_test(tests, split_counts_its_outputs);
    tcase_add_test(tests, softmax_flattens_before_13);
    tcase_add_test(tests, bounds_and_fills_stay_attributes);
    tcase_add_test(tests, mask_of_old_dropout_must_not_be_used);
    tcase_add_test(tests, axis_of_dft_becomes_an_input);
    tcase_add_test(tests, dropout_that_may_train_is_another_op);
    tcase_add_test(tests, early_opsets_have_the_ops_that_stayed);
    tcase_add_test(tests, early_broadcasts_have_an_axis);
    tcase_add_test(tests, constant_nodes_become_constants);
    tcase_add_test(tests, sparse_constant_becomes_dense);
    tcase_add_test(tests, constants_that_are_none);
    tcase_add_test(tests, attributes_are_what_they_say);
    tcase_add_test(tests, arity_is_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
