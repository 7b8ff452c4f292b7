/* SPDX-License-Identifier: Apache-2.0 */
/* What the passes leave of a graph, and what they must not touch. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/graph_nodes.h"
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
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,2");
    onnx_build_floats(b, "w", "2,3", (float[]){1, 2, 3, 4, 5, 6});
    onnx_build_floats(b, "c", "3", (float[]){1, 2, 3});
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

/* A product, a bias and an activation, one after the other. */
static void add_layer(void)
{
    onnx_build_node(b, "MatMul", "x w", "m");
    onnx_build_node(b, "Add", "m c", "a");
    onnx_build_node(b, "Relu", "a", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,3");
}

static const mls__graph *optimized(void)
{
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert(model->has_optimized);
    return &model->optimized;
}

START_TEST(a_layer_becomes_one_node)
{
    add_layer();
    const mls__graph *graph = optimized();
    ck_assert_uint_eq(graph->nodes.count, 1);
    const mls__node *node = mls__graph_node(graph, 0);
    ck_assert_str_eq(node->domain, MLS__DOMAIN_FUSED);
    ck_assert_str_eq(node->type, "FusedGemm");
    ck_assert_uint_eq(node->input_count, 3);
    ck_assert_str_eq(mls__graph_value(graph, node->inputs[2])->name, "c");
    ck_assert_str_eq(mls__graph_value(graph, node->outputs[0])->name, "y");
    ck_assert_uint_eq(node->attr_count, 1);
    ck_assert_str_eq(node->attrs[0].name, "activation");
    ck_assert_mem_eq(node->attrs[0].strings[0].data, "Relu", 4);
    ck_assert_uint_eq(model->graph.nodes.count, 3); /* the file's own graph stays */
}
END_TEST

START_TEST(a_value_that_is_needed_stays)
{
    add_layer();
    onnx_build_output(b, "m", MLS_FLOAT32, "batch,3");
    const mls__graph *graph = optimized();
    ck_assert_uint_eq(graph_nodes(graph, NULL), 3);
    ck_assert_str_eq(mls__graph_node(graph, 0)->type, "MatMul");
}
END_TEST

START_TEST(a_bias_of_another_shape_stays_apart)
{
    onnx_build_floats(b, "column", "1,1", (float[]){7});
    onnx_build_node(b, "MatMul", "x w", "m");
    onnx_build_node(b, "Add", "m column", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,3");
    ck_assert_uint_eq(optimized()->nodes.count, 2);
}
END_TEST

START_TEST(dead_nodes_go)
{
    add_layer();
    onnx_build_node(b, "Neg", "x", "n");
    onnx_build_node(b, "Abs", "n", "unread");
    ck_assert_uint_eq(optimized()->nodes.count, 1);
    ck_assert_uint_eq(model->graph.nodes.count, 5);
}
END_TEST

START_TEST(nodes_are_put_in_order)
{
    onnx_build_node(b, "Softmax", "n", "y");
    onnx_build_node(b, "Neg", "x", "n");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,2");
    const mls__graph *graph = optimized();
    ck_assert_str_eq(mls__graph_node(graph, 0)->type, "Neg");
    ck_assert_str_eq(mls__graph_node(graph, 1)->type, "Softmax");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/passes");
    TCase *tests = tcase_create("passes");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_layer_becomes_one_node);
    tcase_add_test(tests, a_value_that_is_needed_stays);
    tcase_add_test(tests, a_bias_of_another_shape_stays_apart);
    tcase_add_test(tests, dead_nodes_go);
    tcase_add_test(tests, nodes_are_put_in_order);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
