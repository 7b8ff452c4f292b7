/* SPDX-License-Identifier: Apache-2.0 */
/* Which attributes a node of a file may have: those of its op, in the form of its opset. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"

#include <string.h>

static mls_context *context;
static onnx_build *b;
static mls_model *model;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = NULL;
    model = NULL;
}

static void teardown(void)
{
    mls_model_free(model);
    onnx_build_free(b);
    mls_context_free(context);
}

/* A model of one node 'n', op(inputs) -> y, with an attribute of the type, or (0) without one. */
static void begin(int64_t opset, const char *op, const char *inputs, const char *attr, int type)
{
    onnx_build_free(b);
    b = onnx_build_create(opset);
    onnx_build_opset(b, "ai.onnx.ml", 3);
    onnx_build_opset(b, "com.microsoft", 1);
    onnx_build_input(b, "x", MLS_FLOAT32, "2,3");
    onnx_build_floats(b, "c", "3", (float[]){1, 2, 3});
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    onnx_node *node = onnx_build_node(b, op, inputs, "y");
    onnx_node_name(node, "n");
    if (type == MLS_ATTR_INT)
        onnx_node_int(node, attr, 1);
    else if (type == MLS_ATTR_FLOAT)
        onnx_node_float(node, attr, 1);
    else if (type == MLS_ATTR_STRING)
        onnx_node_string(node, attr, "s");
    else if (type == MLS_ATTR_INTS)
        onnx_node_ints(node, attr, 1, (int64_t[]){0});
}

static mls_status load(uint64_t flags)
{
    mls_model_free(model);
    model = NULL;
    return onnx_build_load(b, context, flags, &model);
}

/* Such a model can be looked at, and not be run. */
static void expect_unknown(const char *words)
{
    const char *op, *node, *reason;
    ck_assert_fails(load(0), MLS_EUNSUPPORTED, words);
    ck_assert_ok(load(MLS_MODEL_ALLOW_UNSUPPORTED));
    ck_assert_ok(mls_model_unsupported(model, 0, &op, &node, &reason));
    ck_assert_str_eq(node, "n");
    ck_assert_msg(strstr(reason, words) != NULL, "'%s' lacks '%s'", reason, words);
}

START_TEST(attributes_that_no_op_has_are_unknown)
{
    static const struct {
        const char *op, *inputs, *attr, *words;
    } cases[] = {
        {"MatMul", "x c", "transB", "attribute 'transB' is unknown; MatMul has none"},
        {"LeakyRelu", "x", "beta", "attribute 'beta' is unknown; LeakyRelu has alpha:float"},
        {"Relu", "x", "consumed_inputs", "'consumed_inputs' is unknown"},
        {"Conv", "x c", "x_blocked", "'x_blocked' is unknown"},
        {"com.microsoft:FusedConv", "x c", "x_blocked", "'x_blocked' is unknown"},
        {"com.microsoft:Gelu", "x", "alpha", "'alpha' is unknown"},
        {"com.microsoft:BiasGelu", "x c", "axis", "'axis' is unknown; BiasGelu has none"},
        {"ai.onnx.ml:Binarizer", "x", "scale", "'scale' is unknown; Binarizer has threshold"},
        {"ai.onnx.ml:Scaler", "x", "axis", "'axis' is unknown"},
    };
    begin(17, cases[_i].op, cases[_i].inputs, cases[_i].attr, MLS_ATTR_INT);
    expect_unknown(cases[_i].words);
}
END_TEST

/* What the translation of older opsets sets is not for files to set. */
START_TEST(attributes_of_the_translation_are_unknown)
{
    static const char *const names[][2] = {
        {"Softmax", "mls_flatten"}, {"Softmax", "mls_"}, {"Relu", "mls_flatten"}};
    begin(17, names[_i][0], "x", names[_i][1], MLS_ATTR_INT);
    expect_unknown("attribute 'mls_");
}
END_TEST

START_TEST(notes_of_other_programs_are_passed_over)
{
    begin(17, "Relu", "x", "__backwardpass", MLS_ATTR_INT);
    ck_assert_ok(load(0));
    ck_assert_uint_eq(mls__graph_node(&model->graph, 0)->attr_count, 0);
    begin(17, "Relu", "x", "_backwardpass", MLS_ATTR_INT);
    expect_unknown("attribute '_backwardpass' is unknown");
}
END_TEST

START_TEST(types_are_those_of_the_op)
{
    static const struct {
        const char *op, *inputs, *attr;
        int type;
        const char *words;
    } cases[] = {
        {"Gather", "x c", "axis", MLS_ATTR_FLOAT,
         "node 'n' (Gather): attribute 'axis' is of type float; that of Gather is of type int"},
        {"Gather", "x c", "axis", MLS_ATTR_INTS, "'axis' is of type ints"},
        {"Transpose", "x", "perm", MLS_ATTR_INT, "that of Transpose is of type ints"},
        {"LeakyRelu", "x", "alpha", MLS_ATTR_INT, "that of LeakyRelu is of type float"},
        {"Gelu", "x", "approximate", MLS_ATTR_INT, "that of Gelu is of type string"},
        {"ConstantOfShape", "c", "value", MLS_ATTR_FLOAT, "is of type tensor"},
        {"Loop", "- c x", "body", MLS_ATTR_INT, "that of Loop is of type graph"},
        {"com.microsoft:FusedMatMul", "x c", "alpha", MLS_ATTR_INT, "is of type float"},
        {"ai.onnx.ml:Scaler", "x", "scale", MLS_ATTR_FLOAT, "that of Scaler is of type floats"},
    };
    begin(21, cases[_i].op, cases[_i].inputs, cases[_i].attr, cases[_i].type);
    ck_assert_fails(load(0), MLS_EFORMAT, cases[_i].words);
    ck_assert_fails(load(MLS_MODEL_ALLOW_UNSUPPORTED), MLS_EFORMAT, cases[_i].words);
}
END_TEST

START_TEST(what_an_op_must_have_is_there)
{
    static const struct {
        const char *op, *inputs, *words;
    } cases[] = {
        {"Cast", "x", "node 'n' (Cast): attribute 'to' (int) is missing; Cast must have it"},
        {"Concat", "x x", "'axis' (int) is missing"},
        {"AveragePool", "x", "'kernel_shape' (ints) is missing"},
        {"RandomUniform", "", "'shape' (ints) is missing"},
        {"Einsum", "x x", "'equation' (string) is missing"},
        {"Loop", "- c x", "'body' (graph) is missing"},
        {"com.microsoft:QLinearConcat", "c c x c c", "'axis' (int) is missing"},
        {"ai.onnx.ml:LinearClassifier", "x", "'coefficients' (floats) is missing"},
    };
    begin(21, cases[_i].op, cases[_i].inputs, NULL, 0);
    ck_assert_fails(load(0), MLS_EFORMAT, cases[_i].words);
}
END_TEST

/* What older opsets had is taken where it was, and nowhere else. */
START_TEST(old_attributes_are_of_old_opsets)
{
    static const struct {
        const char *op, *inputs, *attr;
        int type;
        int64_t last; /* opset that has it */
    } cases[] = {
        {"Relu", "x", "consumed_inputs", MLS_ATTR_INTS, 5},
        {"Sum", "x x", "consumed_inputs", MLS_ATTR_INTS, 5},
        {"Clip", "x", "consumed_inputs", MLS_ATTR_INTS, 5},
        {"BatchNormalization", "x c c c c", "consumed_inputs", MLS_ATTR_INTS, 5},
        {"BatchNormalization", "x c c c c", "is_test", MLS_ATTR_INT, 6},
        {"BatchNormalization", "x c c c c", "spatial", MLS_ATTR_INT, 8},
        {"Dropout", "x", "is_test", MLS_ATTR_INT, 6},
        {"Dropout", "x", "ratio", MLS_ATTR_FLOAT, 11},
        {"Clip", "x", "min", MLS_ATTR_FLOAT, 10},
        {"Gemm", "x x c", "broadcast", MLS_ATTR_INT, 6},
        {"ReduceMax", "x", "axes", MLS_ATTR_INTS, 17},
    };
    begin(cases[_i].last, cases[_i].op, cases[_i].inputs, cases[_i].attr, cases[_i].type);
    ck_assert_ok(load(0));
    begin(cases[_i].last + 1, cases[_i].op, cases[_i].inputs, cases[_i].attr, cases[_i].type);
    expect_unknown(cases[_i].attr);
}
END_TEST

START_TEST(old_attributes_have_their_types)
{
    begin(10, "Clip", "x", "min", MLS_ATTR_INT);
    ck_assert_fails(load(0), MLS_EFORMAT, "that of Clip is of type float");
    begin(10, "Clip", "x", "max", MLS_ATTR_STRING);
    ck_assert_fails(load(0), MLS_EFORMAT, "attribute 'max' is of type string");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/attributes");
    TCase *tests = mls_test_case(suite, "attributes", setup, teardown);
    tcase_add_loop_test(tests, attributes_that_no_op_has_are_unknown, 0, 9);
    tcase_add_loop_test(tests, attributes_of_the_translation_are_unknown, 0, 3);
    tcase_add_test(tests, notes_of_other_programs_are_passed_over);
    tcase_add_loop_test(tests, types_are_those_of_the_op, 0, 9);
    tcase_add_loop_test(tests, what_an_op_must_have_is_there, 0, 8);
    tcase_add_loop_test(tests, old_attributes_are_of_old_opsets, 0, 11);
    tcase_add_test(tests, old_attributes_have_their_types);
    return mls_test_run(suite);
}
