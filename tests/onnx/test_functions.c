/* SPDX-License-Identifier: Apache-2.0 */
/* The model's own functions: what a call becomes. */
#include "graph/model.h"
#include "support/onnx_build.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static mls_context *context;
static onnx_build *b;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_opset(b, "local", 1);
    onnx_build_input(b, "x", MLS_FLOAT32, "2");
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_context_free(context);
}

static float run(float x)
{
    mls_model *model;
    mls_session *session;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_ok(mls_session_create(model, NULL, &session));
    float *data = mls_session_input_data(session, 0);
    data[0] = data[1] = x;
    ck_assert_ok(mls_session_run(session));
    const float y = *(const float *) mls_session_output_data(session, 0);
    mls_session_free(session);
    mls_model_free(model);
    return y;
}

static mls_status load(void)
{
    mls_model *model;
    const mls_status status = onnx_build_load(b, context, 0, &model);
    if (!status)
        mls_model_free(model);
    return status;
}

/* scaled(a, c) = leaky(a) * k + c, where the slope of leaky is an attribute. */
static mls__function_proto *add_scaled(void)
{
    onnx_build *body = onnx_build_create(17);
    onnx_build_input(body, "a", MLS_FLOAT32, NULL);
    onnx_build_input(body, "c", MLS_FLOAT32, NULL);
    onnx_node *constant = onnx_build_node(body, "Constant", "", "k");
    onnx_node_tensor(constant, "value",
                     onnx_build_tensor(body, "k", MLS_FLOAT32, "1", (float[]){10}, 4));
    onnx_node *leaky = onnx_build_node(body, "LeakyRelu", "a", "t");
    onnx_node_attr(leaky, "alpha", MLS__ATTR_FLOAT)->ref_attr_name = onnx_build_text(body, "slope");
    onnx_build_node(body, "Mul", "t k", "u");
    onnx_build_node(body, "Sum", "u c", "r");
    onnx_build_output(body, "r", MLS_FLOAT32, NULL);
    onnx_build_output(body, "a", MLS_FLOAT32, NULL); /* an input handed through */
    return onnx_build_function(b, "local", "Scaled", body);
}

START_TEST(a_call_becomes_its_nodes)
{
    add_scaled();
    onnx_build_floats(b, "five", "1", (float[]){5});
    onnx_node_float(onnx_build_node(b, "local:Scaled", "x five", "t same"), "slope", 0.5f);
    /* Twice: its constant is there the second time too. */
    onnx_node_float(onnx_build_node(b, "local:Scaled", "t same", "y"), "slope", 2.0f);
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    ck_assert_float_eq(run(-2), (-1.0f * 10 + 5) * 2 * 10 - 2);
}
END_TEST

START_TEST(attributes_have_defaults)
{
    mls__function_proto *function = add_scaled();
    onnx_build_floats(b, "zero", "1", (float[]){0});
    onnx_build_node(b, "local:Scaled", "x zero", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    /* Neither the caller nor the function gives it: LeakyRelu's own default. */
    ck_assert_float_eq(run(-1), -0.01f * 10);
    mls__attr_proto slope, *slopes[] = {&slope};
    mls__onnx__attribute_proto__init(&slope);
    slope.name = onnx_build_text(b, "slope");
    slope.has_type = 1;
    slope.type = MLS__ATTR_FLOAT;
    slope.has_f = 1;
    slope.f = 0.25f;
    function->n_attribute_proto = 1;
    function->attribute_proto = slopes;
    ck_assert_float_eq(run(-1), -0.25f * 10);
}
END_TEST

START_TEST(calls_nest_and_hide_their_names)
{
    add_scaled();
    onnx_build *body = onnx_build_create(17);
    onnx_build_opset(body, "local", 1);
    onnx_build_input(body, "y", MLS_FLOAT32, NULL); /* a name of the caller's as well */
    onnx_node *inner = onnx_build_node(body, "local:Scaled", "y y", "x");
    onnx_node_attr(inner, "slope", MLS__ATTR_FLOAT)->ref_attr_name = onnx_build_text(body, "s");
    onnx_build_output(body, "x", MLS_FLOAT32, NULL);
    onnx_build_function(b, "local", "Outer", body);
    onnx_node_float(onnx_build_node(b, "local:Outer", "x", "y"), "s", 3);
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    ck_assert_float_eq(run(-1), -31);
}
END_TEST

/* The function's own opset, where Clip still has its bounds as attributes. */
START_TEST(functions_have_opsets_of_their_own)
{
    onnx_build *body = onnx_build_create(6);
    onnx_build_input(body, "a", MLS_FLOAT32, NULL);
    onnx_node *clip = onnx_build_node(body, "Clip", "a", "r");
    onnx_node_float(clip, "max", 4);
    onnx_build_output(body, "r", MLS_FLOAT32, NULL);
    onnx_build_function(b, "local", "Cut", body);
    onnx_build_node(b, "local:Cut", "x", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    ck_assert_float_eq(run(9), 4);
}
END_TEST

/* A body inside a function: names and attributes of the function reach into it. */
START_TEST(functions_may_hold_bodies)
{
    onnx_build *body = onnx_build_create(17), *yes = onnx_build_create(17);
    onnx_build *no = onnx_build_create(17);
    onnx_build_input(body, "a", MLS_FLOAT32, NULL);
    onnx_build_input(body, "cond", MLS_BOOL, NULL);
    onnx_node *leaky = onnx_build_node(yes, "LeakyRelu", "a", "r");
    onnx_node_attr(leaky, "alpha", MLS__ATTR_FLOAT)->ref_attr_name = onnx_build_text(yes, "slope");
    onnx_build_output(yes, "r", MLS_FLOAT32, NULL);
    onnx_build_node(no, "Neg", "a", "r");
    onnx_build_output(no, "r", MLS_FLOAT32, NULL);
    onnx_node *choice = onnx_build_node(body, "If", "cond", "r");
    onnx_node_body(choice, "then_branch", yes);
    onnx_node_body(choice, "else_branch", no);
    onnx_build_output(body, "r", MLS_FLOAT32, NULL);
    onnx_build_function(b, "local", "Choose", body);
    onnx_build_raw(b, "true", MLS_BOOL, "", (char[]){1}, 1);
    onnx_node_float(onnx_build_node(b, "local:Choose", "x true", "y"), "slope", 7);
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    ck_assert_float_eq(run(-1), -7);
}
END_TEST

START_TEST(wrong_calls_are_named)
{
    add_scaled();
    onnx_node *call = onnx_build_node(b, "local:Scaled", "x x x", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    ck_assert_fails(load(), MLS_EFORMAT, "3 inputs; the function takes 2");
    onnx_node_proto(call)->n_input = 2;
    ck_assert_ok(load());
    onnx_build_model(b)->functions[0]->output[0] = onnx_build_text(b, "nowhere");
    ck_assert_fails(load(), MLS_EFORMAT, "no node of the function gives its output 'nowhere'");
}
END_TEST

START_TEST(endless_calls_are_refused)
{
    onnx_build *body = onnx_build_create(17);
    onnx_build_opset(body, "local", 1);
    onnx_build_input(body, "a", MLS_FLOAT32, NULL);
    onnx_build_node(body, "local:Again", "a", "m");
    onnx_build_node(body, "local:Again", "m", "r");
    onnx_build_output(body, "r", MLS_FLOAT32, NULL);
    onnx_build_function(b, "local", "Again", body);
    onnx_build_node(b, "local:Again", "x", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    ck_assert_fails(load(), MLS_EFORMAT, "function 'Again' calls itself");
}
END_TEST

/* Each function calls the one before it twice. */
START_TEST(calls_that_multiply_are_refused)
{
    char name[8] = "f0", inner[16];
    for (int i = 0; i < 20; i++) {
        onnx_build *body = onnx_build_create(17);
        onnx_build_opset(body, "local", 1);
        onnx_build_input(body, "a", MLS_FLOAT32, NULL);
        snprintf(inner, sizeof inner, i ? "local:f%d" : "Neg", i - 1);
        onnx_build_node(body, inner, "a", "m");
        onnx_build_node(body, inner, "m", "r");
        onnx_build_output(body, "r", MLS_FLOAT32, NULL);
        snprintf(name, sizeof name, "f%d", i);
        onnx_build_function(b, "local", name, body);
    }
    onnx_build_node(b, "local:f19", "x", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    ck_assert_fails(load(), MLS_ELIMIT, "become more than 262144 nodes");
    onnx_node_proto(onnx_build_node(b, "local:f9", "x", "z"));
    onnx_build_model(b)->graph->node[0] = onnx_build_model(b)->graph->node[1];
    onnx_build_model(b)->graph->n_node = 1;
    onnx_build_model(b)->graph->output[0]->name = onnx_build_text(b, "z");
    ck_assert_float_eq(run(3), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("functions");
    TCase *tests = tcase_create("functions");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_call_becomes_its_nodes);
    tcase_add_test(tests, attributes_have_defaults);
    tcase_add_test(tests, calls_nest_and_hide_their_names);
    tcase_add_test(tests, functions_have_opsets_of_their_own);
    tcase_add_test(tests, functions_may_hold_bodies);
    tcase_add_test(tests, wrong_calls_are_named);
    tcase_add_test(tests, endless_calls_are_refused);
    tcase_add_test(tests, calls_that_multiply_are_refused);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
