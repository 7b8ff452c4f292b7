/* SPDX-License-Identifier: Apache-2.0 */
/* What a loaded model tells: values, opsets, ops, parameters, what is not supported. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"

#include <stdio.h>
#include <string.h>

static mls_context *context;
static onnx_build *b;
static mls_model *model;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(13);
    model = NULL;
}

static void teardown(void)
{
    mls_model_free(model);
    onnx_build_free(b);
    mls_context_free(context);
}

static mls_status load(uint64_t flags)
{
    mls_model_free(model);
    model = NULL;
    return onnx_build_load(b, context, flags, &model);
}

static mls_status look(void)
{
    return load(MLS_MODEL_ALLOW_UNSUPPORTED);
}

/* x -> Foo -> y, of an op that nobody has. */
static onnx_node *build_foo(void)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "N,3");
    onnx_node *node = onnx_build_node(b, "Foo", "x", "y");
    onnx_node_name(node, "foo");
    onnx_build_output(b, "y", MLS_FLOAT32, "N,?");
    return node;
}

/* The only unsupported node, and why. */
static void check_unsupported(const char *op, const char *node, const char *reason)
{
    const char *got_op, *got_node, *got_reason;
    ck_assert_ok(look());
    ck_assert_uint_eq(mls_model_unsupported_count(model), 1);
    ck_assert_ok(mls_model_unsupported(model, 0, &got_op, &got_node, &got_reason));
    ck_assert_str_eq(got_op, op);
    ck_assert_str_eq(got_node, node);
    ck_assert_msg(strstr(got_reason, reason) != NULL, "'%s' lacks '%s'", got_reason, reason);
    ck_assert_fails(load(0), MLS_EUNSUPPORTED, reason);
}

START_TEST(values_are_as_declared)
{
    build_foo();
    ck_assert_ok(look());
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    ck_assert_uint_eq(mls_model_input_count(model), 1);
    ck_assert_uint_eq(mls_model_output_count(model), 1);
    ck_assert_ok(mls_model_input(model, 0, &value));
    ck_assert_str_eq(value.name, "x");
    ck_assert_int_eq(value.dtype, MLS_FLOAT32);
    ck_assert_int_eq(value.rank, 2);
    ck_assert_int_eq(value.dims[0], -1);
    ck_assert_int_eq(value.dims[1], 3);
    ck_assert_str_eq(value.dim_names[0], "N");
    ck_assert_ptr_null(value.dim_names[1]);
    ck_assert_ok(mls_model_output(model, 0, &value));
    ck_assert_str_eq(value.name, "y");
    ck_assert_int_eq(value.dims[1], -1);
    ck_assert_ptr_null(value.dim_names[1]);
}
END_TEST

START_TEST(shape_may_be_missing)
{
    onnx_build_input(b, "x", MLS_INT64, NULL);
    onnx_build_input(b, "s", MLS_BOOL, "");
    onnx_build_node(b, "Foo", "x s", "y");
    onnx_build_output(b, "y", MLS_DTYPE_NONE, NULL);
    ck_assert_ok(look());
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    ck_assert_ok(mls_model_input(model, 0, &value));
    ck_assert_int_eq(value.rank, -1);
    ck_assert_ok(mls_model_input(model, 1, &value));
    ck_assert_int_eq(value.rank, 0);
    ck_assert_ok(mls_model_output(model, 0, &value));
    ck_assert_int_eq(value.dtype, MLS_DTYPE_NONE);
}
END_TEST

START_TEST(initializers_are_no_inputs)
{
    build_foo();
    onnx_build_input(b, "w", MLS_FLOAT32, "2");
    onnx_build_floats(b, "w", "2", (float[]){1, 2});
    onnx_build_node(b, "Foo", "w", "z");
    for (int64_t ir = 3; ir <= 4; ir++) {
        onnx_build_model(b)->ir_version = ir;
        ck_assert_ok(look());
        ck_assert_uint_eq(mls_model_input_count(model), 1);
        ck_assert_int_eq(mls_model_parameter_count(model), 2);
    }
}
END_TEST

START_TEST(counts_ops_and_parameters_in_subgraphs)
{
    onnx_node *outer = build_foo();
    onnx_build *inner = onnx_build_create(0);
    onnx_build_floats(inner, "w", "4,5", (float[20]){0});
    onnx_node *constant = onnx_build_node(inner, "Constant", "", "c");
    onnx_node_tensor(constant, "value",
                     onnx_build_tensor(inner, "", MLS_FLOAT32, "2", (float[]){1, 2}, 8));
    onnx_build_node(inner, "ai.onnx.ml:Scaler", "c", "d");
    onnx_build_node(inner, "Foo", "d", "e");
    onnx_node_attr(outer, "body", MLS__ATTR_GRAPH)->g = onnx_build_model(inner)->graph;
    onnx_build_opset(b, "ai.onnx.ml", 3);
    ck_assert_ok(look());
    ck_assert_int_eq(mls_model_parameter_count(model), 22);
    const char *const ops[] = {"Constant", "Foo", "ai.onnx.ml.Scaler"};
    const size_t uses[] = {1, 2, 1};
    ck_assert_uint_eq(mls_model_op_count(model), 3);
    for (size_t i = 0; i < 3; i++) {
        const char *op;
        size_t count;
        ck_assert_ok(mls_model_op(model, i, &op, &count));
        ck_assert_str_eq(op, ops[i]);
        ck_assert_uint_eq(count, uses[i]);
    }
    onnx_build_free(inner);
}
END_TEST

START_TEST(metadata_and_opsets_are_kept)
{
    build_foo();
    onnx_build_opset(b, "com.example", 3);
    onnx_build_model(b)->producer_name = onnx_build_text(b, "tester");
    ck_assert_ok(look());
    const char *key, *value, *domain;
    int64_t version;
    ck_assert_uint_eq(mls_model_metadata_count(model), 3);
    ck_assert_ok(mls_model_metadata(model, 0, &key, &value));
    ck_assert_str_eq(key, "ir_version");
    ck_assert_str_eq(value, "8");
    ck_assert_ok(mls_model_metadata(model, 1, &key, &value));
    ck_assert_str_eq(key, "producer_name");
    ck_assert_str_eq(value, "tester");
    ck_assert_ok(mls_model_opset(model, 1, &domain, &version));
    ck_assert_str_eq(domain, "com.example");
    ck_assert_int_eq(version, 3);
}
END_TEST

START_TEST(unknown_op_is_named)
{
    build_foo();
    check_unsupported("Foo", "foo", "op Foo of opset 13");
}
END_TEST

START_TEST(foreign_domain_is_named)
{
    onnx_build_opset(b, "com.example", 1);
    onnx_node_proto(build_foo())->domain = onnx_build_text(b, "com.example");
    check_unsupported("Foo", "foo", "domain 'com.example' (version 1)");
}
END_TEST

START_TEST(nodes_in_subgraphs_are_named)
{
    onnx_build *inner = onnx_build_create(0);
    onnx_node_name(onnx_build_node(inner, "Bar", "", "e"), "inner");
    onnx_node_attr(build_foo(), "body", MLS__ATTR_GRAPH)->g = onnx_build_model(inner)->graph;
    check_unsupported("Foo", "foo", "attribute 'body': node 'inner' (Bar): op Bar of opset 13");
    onnx_build_free(inner);
}
END_TEST

START_TEST(subgraphs_of_ops_that_have_none_are_unknown)
{
    onnx_build *inner = onnx_build_create(0);
    onnx_build_node(inner, "Neg", "x", "e"); /* of the graph around it */
    onnx_build_output(inner, "e", MLS_FLOAT32, NULL);
    onnx_build_input(b, "x", MLS_FLOAT32, "N,3");
    onnx_node_body(onnx_build_node(b, "Size", "x", "y"), "body", inner);
    onnx_build_output(b, "y", MLS_INT64, "");
    check_unsupported("Size", "", "attribute 'body' is unknown; Size has none");
}
END_TEST

START_TEST(opsets_out_of_range_are_named)
{
    build_foo();
    onnx_build_model(b)->opset_import[0]->version = 0;
    check_unsupported("Foo", "foo", "opset 0 of ai.onnx is not supported; 1 to 27 are");
    onnx_build_model(b)->opset_import[0]->version = 6;
    check_unsupported("Foo", "foo", "op Foo of opset 6 is not supported; below opset 7");
    onnx_build_model(b)->opset_import[0]->version = 28;
    check_unsupported("Foo", "foo", "opset 28 of ai.onnx is not supported");
}
END_TEST

START_TEST(ir_versions_out_of_range_are_named)
{
    build_foo();
    onnx_build_model(b)->ir_version = 99;
    ck_assert_ok(look());
    ck_assert_fails(load(0), MLS_EUNSUPPORTED, "IR version 99 is not supported; 3 to 13 are");
}
END_TEST

START_TEST(types_that_are_no_tensors_are_named)
{
    build_foo();
    mls__type_proto *type = onnx_build_model(b)->graph->input[0]->type;
    Mls__Onnx__TypeProto__Other other;
    mls__onnx__type_proto__other__init(&other);
    type->value_case = MLS__ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE;
    type->opaque_type = &other;
    check_unsupported("Foo", "foo", "value 'x': is of an unknown type; tensors, sequences, opt");
}
END_TEST

START_TEST(maps_are_read)
{
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    build_foo();
    mls__value_proto *x = onnx_build_model(b)->graph->input[0];
    x->type->tensor_type->shape = NULL;
    onnx_build_map_type(b, x, MLS_STRING);
    ck_assert_ok(look());
    ck_assert_ok(mls_model_input(model, 0, &value));
    ck_assert_uint_eq(value.kind, MLS_VALUE_MAP);
    ck_assert_uint_eq(value.key_dtype, MLS_STRING);
    ck_assert_int_eq(value.dtype, MLS_FLOAT32);
    ck_assert_int_eq(value.rank, -1);
}
END_TEST

START_TEST(maps_of_other_things_are_named)
{
    build_foo();
    mls__value_proto *x = onnx_build_model(b)->graph->input[0];
    mls__type_proto *const element = x->type;
    onnx_build_map_type(b, x, MLS_FLOAT32);
    Mls__Onnx__TypeProto__Map *map = x->type->map_type;
    check_unsupported("Foo", "foo", "is a map with keys of key_type 1; string, 8, and int64, 7");
    map->key_type = MLS_INT64;
    map->value_type = NULL;
    check_unsupported("Foo", "foo", "is a map to what is of an unknown type");
    x->type = element;
    onnx_build_map_type(b, x, MLS_INT64);
    onnx_build_map_type(b, x, MLS_INT64);
    check_unsupported("Foo", "foo", "is a map to what is a map; only single elements");
    x->type = element;
    onnx_build_map_type(b, x, MLS_INT64);
    check_unsupported("Foo", "foo", "only single elements"); /* [N, 3] */
    element->tensor_type->shape = NULL;
    element->tensor_type->elem_type = 0;
    check_unsupported("Foo", "foo", "is a map to elements of no type");
    element->tensor_type->elem_type = 99;
    check_unsupported("Foo", "foo", "has elem_type 99");
}
END_TEST

START_TEST(complex_initializer_is_named)
{
    onnx_build_raw(b, "c", 14, "1", (float[]){1, 2}, 8);
    onnx_build_output(b, "c", 14, "1");
    check_unsupported("Constant", "c", "tensor 'c': data_type 14 (complex)");
}
END_TEST

START_TEST(wrong_imports_fail)
{
    onnx_node *node = build_foo();
    onnx_node_proto(node)->domain = onnx_build_text(b, "com.example");
    ck_assert_fails(look(), MLS_EFORMAT, "does not import an opset of its domain 'com.example'");
    onnx_build_model(b)->n_opset_import = 0;
    ck_assert_fails(look(), MLS_EFORMAT, "opset_import is empty");
}
END_TEST

static void keep_line(void *user, int level, const char *message)
{
    ck_assert_int_eq(level, MLS_LOG_WARNING);
    snprintf(user, 256, "%s", message);
}

START_TEST(last_import_of_a_domain_counts)
{
    char line[256] = "";
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    options.log = keep_line;
    options.log_user = line;
    mls_context_free(context);
    ck_assert_ok(mls_context_create(&options, &context));
    build_foo();
    onnx_build_opset(b, "ai.onnx", 13);
    ck_assert_ok(look());
    ck_assert_str_eq(line, "");
    onnx_build_opset(b, "ai.onnx", 12);
    ck_assert_ok(look());
    ck_assert_uint_eq(mls_model_opset_count(model), 1);
    ck_assert_ptr_nonnull(strstr(line, "versions 13 and 12 of domain 'ai.onnx'"));
    check_unsupported("Foo", "foo", "op Foo of opset 12");
}
END_TEST

/* As exporters that unroll loops write it. */
START_TEST(last_constant_of_a_name_counts)
{
    onnx_node_int(onnx_build_node(b, "Constant", "", "c"), "value_int", 12);
    onnx_node_int(onnx_build_node(b, "Constant", "", "c"), "value_int", 2);
    onnx_build_output(b, "c", MLS_INT64, "");
    ck_assert_ok(load(0));
    const mls__value *value = mls__graph_value(&model->graph, mls__graph_output(&model->graph, 0));
    ck_assert_int_eq(*(int64_t *) mls_tensor_data(value->constant), 2);
}
END_TEST

START_TEST(duplicate_names_fail)
{
    build_foo();
    onnx_build_input(b, "x", MLS_FLOAT32, "N,3");
    ck_assert_fails(look(), MLS_EFORMAT, "'x' is given twice");
    onnx_build_model(b)->graph->n_input = 1;
    onnx_build_floats(b, "y", "1", (float[]){1});
    ck_assert_fails(look(), MLS_EFORMAT, "'y' is given twice");
    onnx_build_floats(b, "y", "1", (float[]){1});
    ck_assert_fails(look(), MLS_EFORMAT, "'y' is given twice");
    onnx_build_model(b)->graph->n_initializer = 0;
    onnx_build_node(b, "Foo", "x", "x");
    ck_assert_fails(look(), MLS_EFORMAT, "'x' is given twice");
}
END_TEST

START_TEST(graph_must_hang_together)
{
    build_foo();
    onnx_build_node(b, "Foo", "nowhere", "z");
    ck_assert_fails(look(), MLS_EFORMAT, "'nowhere'");
    onnx_build_model(b)->graph->n_node = 1;
    onnx_build_output(b, "missing", MLS_FLOAT32, NULL);
    ck_assert_fails(look(), MLS_EFORMAT, "'missing'");
    onnx_build_model(b)->graph->n_output = 1;
    onnx_build_node(b, "Foo", "q", "p");
    onnx_build_node(b, "Foo", "p", "q");
    ck_assert_fails(look(), MLS_EFORMAT, "cycle");
}
END_TEST

START_TEST(nodes_may_be_unsorted)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "1");
    onnx_node_name(onnx_build_node(b, "Foo", "m", "y"), "second");
    onnx_node_name(onnx_build_node(b, "Foo", "x", "m"), "first");
    onnx_build_output(b, "y", MLS_FLOAT32, "1");
    ck_assert_ok(look());
    ck_assert_str_eq(mls__graph_node(&model->graph, 0)->name, "first");
}
END_TEST

START_TEST(left_out_inputs_and_outputs_are_trimmed)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "1");
    onnx_build_node(b, "Foo", "- x -", "- y -");
    onnx_build_output(b, "y", MLS_FLOAT32, "1");
    ck_assert_ok(look());
    const mls__node *node = mls__graph_node(&model->graph, 0);
    ck_assert_uint_eq(node->input_count, 2);
    ck_assert_uint_eq(node->output_count, 2);
    ck_assert_uint_eq(node->inputs[0], MLS__NO_VALUE);
    ck_assert_uint_eq(node->outputs[0], MLS__NO_VALUE);
}
END_TEST

START_TEST(what_is_no_model_fails)
{
    ck_assert_fails(mls_model_load_memory(context, NULL, 0, NULL, &model), MLS_EFORMAT,
                    "not an ONNX model");
    ck_assert_fails(mls_model_load_memory(context, "hello", 5, NULL, &model), MLS_EFORMAT, "byte");
    ck_assert_fails(mls_model_load_memory(context, NULL, 5, NULL, &model), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_model_load_memory(NULL, "", 0, NULL, &model), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_model_load(context, NULL, NULL, &model), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_model_load(context, "/no/such/file.onnx", NULL, &model), MLS_ENOTFOUND,
                    "/no/such/file.onnx");
    ck_assert_fails(mls_model_load(context, "/tmp", NULL, &model), MLS_EINVAL, "regular");
    ck_assert_fails(load(UINT64_C(1) << 60), MLS_EINVAL, "flags");
    ck_assert_ptr_null(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/load");
    TCase *tests = tcase_create("load");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, values_are_as_declared);
    tcase_add_test(tests, shape_may_be_missing);
    tcase_add_test(tests, initializers_are_no_inputs);
    tcase_add_test(tests, counts_ops_and_parameters_in_subgraphs);
    tcase_add_test(tests, metadata_and_opsets_are_kept);
    tcase_add_test(tests, unknown_op_is_named);
    tcase_add_test(tests, foreign_domain_is_named);
    tcase_add_test(tests, nodes_in_subgraphs_are_named);
    tcase_add_test(tests, subgraphs_of_ops_that_have_none_are_unknown);
    tcase_add_test(tests, opsets_out_of_range_are_named);
    tcase_add_test(tests, ir_versions_out_of_range_are_named);
    tcase_add_test(tests, types_that_are_no_tensors_are_named);
    tcase_add_test(tests, maps_are_read);
    tcase_add_test(tests, maps_of_other_things_are_named);
    tcase_add_test(tests, complex_initializer_is_named);
    tcase_add_test(tests, wrong_imports_fail);
    tcase_add_test(tests, last_import_of_a_domain_counts);
    tcase_add_test(tests, last_constant_of_a_name_counts);
    tcase_add_test(tests, duplicate_names_fail);
    tcase_add_test(tests, graph_must_hang_together);
    tcase_add_test(tests, nodes_may_be_unsorted);
    tcase_add_test(tests, left_out_inputs_and_outputs_are_trimmed);
    tcase_add_test(tests, what_is_no_model_fails);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
