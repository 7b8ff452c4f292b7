/* SPDX-License-Identifier: Apache-2.0 */
/* What passes do to the graphs of If and Loop, and that results stay. */
#include "graph_nodes.h"
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"

static mls_context *context;
static mls_model *model;
static onnx_build *b, *yes, *no;
static onnx_node *choice;

/* y is that of one of two bodies, which are to be filled in; c is a constant. */
static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    yes = onnx_build_create(17);
    no = onnx_build_create(17);
    onnx_build_input(b, "cond", MLS_BOOL, "");
    onnx_build_input(b, "x", MLS_FLOAT32, "3");
    onnx_build_floats(b, "c", "3", (float[]){1, -2, 3});
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

/* Behind the bodies' own nodes, which give y. */
static void choose(void)
{
    onnx_build_output(yes, "y", MLS_FLOAT32, NULL);
    onnx_build_output(no, "y", MLS_FLOAT32, NULL);
    choice = onnx_build_node(b, "If", "cond", "y");
    onnx_node_body(choice, "then_branch", yes);
    onnx_node_body(choice, "else_branch", no);
    onnx_build_output(b, "y", MLS_FLOAT32, "3");
}

static const mls__node *find(const mls__graph *graph, const char *type)
{
    for (size_t i = 0; i < graph->nodes.count; i++)
        if (strcmp(mls__graph_node(graph, i)->type, type) == 0)
            return mls__graph_node(graph, i);
    ck_abort_msg("there is no %s", type);
}

static const mls__graph *body_of(const mls__graph *graph, const char *name)
{
    const mls__body *body = mls__node_body(find(graph, "If"), name);
    ck_assert_ptr_nonnull(body);
    return body->graph;
}

/* Both branches, as the passes left them and as they were. */
static void expect_outputs(const float *of_yes, const float *of_no)
{
    for (int i = 0; i < 4; i++) {
        mls_session_options options = MLS_SESSION_OPTIONS_INIT;
        options.flags = i < 2 ? 0 : MLS_SESSION_NO_OPTIMIZE;
        mls_session *session;
        ck_assert_ok(mls_session_create(model, &options, &session));
        *(uint8_t *) mls_session_input_data(session, 0) = i % 2;
        memcpy(mls_session_input_data(session, 1), (float[]){10, 20, 30}, 3 * sizeof(float));
        ck_assert_ok(mls_session_run(session));
        ck_assert_mem_eq(mls_session_output_data(session, 0), i % 2 ? of_yes : of_no,
                         3 * sizeof(float));
        mls_session_free(session);
    }
}

START_TEST(constants_of_a_body_are_computed)
{
    onnx_build_node(yes, "Neg", "c", "n");
    onnx_build_node(yes, "Add", "x n", "y");
    onnx_build_node(no, "Sub", "x c", "y");
    choose();
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    const mls__graph *body = body_of(&model->optimized, "then_branch");
    ck_assert_uint_eq(graph_nodes(body, NULL), 1);
    const uint32_t n = find(body, "Add")->inputs[1];
    ck_assert_ptr_nonnull(mls__graph_value(body, n)->constant);
    ck_assert_uint_ne(mls__graph_value(body, n)->weight_id, 0);
    ck_assert_uint_eq(graph_nodes(body_of(&model->graph, "then_branch"), NULL), 2);
    const float expected[] = {9, 22, 27};
    expect_outputs(expected, expected);
}
END_TEST

/* What is computed outside is handed in as a constant, not by each run; x still is by each. */
START_TEST(a_body_takes_constants_from_outside)
{
    onnx_build_node(b, "Neg", "c", "n");
    onnx_build_node(yes, "Neg", "n", "m");
    onnx_build_node(yes, "Sub", "x m", "y");
    onnx_build_node(no, "Add", "n x", "y");
    choose();
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    const mls__graph *graph = &model->optimized;
    const mls__node *node = find(graph, "If");
    ck_assert_uint_eq(graph_nodes(graph, NULL), 1);
    ck_assert_uint_eq(node->input_count, 3);
    ck_assert_uint_eq(node->bodies[0].capture_count, 1);
    ck_assert_uint_eq(node->bodies[1].capture_count, 1);
    ck_assert_uint_eq(graph_nodes(body_of(graph, "then_branch"), NULL), 1);
    ck_assert_uint_eq(find(&model->graph, "If")->input_count, 5);
    const float expected[] = {9, 22, 27};
    expect_outputs(expected, expected);
}
END_TEST

/* A body may give what it is given, and give it as a constant. */
START_TEST(an_output_of_a_body_may_be_a_constant)
{
    onnx_build_node(b, "Neg", "c", "n");
    onnx_build_node(yes, "Neg", "n", "y");
    onnx_build_node(no, "Identity", "n", "y");
    choose();
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(find(&model->optimized, "If")->input_count, 1);
    expect_outputs((float[]){1, -2, 3}, (float[]){-1, 2, -3});
}
END_TEST

/* A body inside a body, and a chain in it. */
START_TEST(bodies_of_bodies_are_rewritten)
{
    onnx_build *inner = onnx_build_create(17), *other = onnx_build_create(17);
    onnx_build_node(b, "Neg", "c", "n");
    onnx_build_node(inner, "Neg", "n", "m");
    onnx_build_node(inner, "Sub", "x m", "d");
    onnx_build_node(inner, "Abs", "d", "y");
    onnx_build_output(inner, "y", MLS_FLOAT32, NULL);
    onnx_build_node(other, "Identity", "x", "y");
    onnx_build_output(other, "y", MLS_FLOAT32, NULL);
    onnx_node *node = onnx_build_node(yes, "If", "cond", "y");
    onnx_node_body(node, "then_branch", inner);
    onnx_node_body(node, "else_branch", other);
    onnx_build_node(no, "Neg", "x", "y");
    choose();
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    const mls__graph *body = body_of(body_of(&model->optimized, "then_branch"), "then_branch");
    ck_assert_str_eq(mls__graph_node(body, 0)->type, MLS__POINTWISE_TYPE);
    ck_assert_uint_eq(graph_nodes(body, NULL), 2);
    expect_outputs((float[]){9, 22, 27}, (float[]){-10, -20, -30});
}
END_TEST

/* A Loop whose body declares two images of one shape, and is given one that broadcasts. */
START_TEST(declared_shapes_of_bodies_may_be_wrong)
{
    float ones[16 * 16];
    onnx_build *loop = onnx_build_create(17), *body = onnx_build_create(17);
    for (int i = 0; i < 16 * 16; i++)
        ones[i] = 1;
    onnx_build_input(loop, "x", MLS_FLOAT32, "1,16,2,2");
    onnx_build_input(loop, "a", MLS_FLOAT32, "1,16,1,1");
    onnx_build_ints(loop, "trips", "", (int64_t[]){1});
    onnx_build_floats(loop, "w", "16,16,1,1", ones);
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "image", MLS_FLOAT32, "1,16,2,2");
    onnx_build_input(body, "added", MLS_FLOAT32, "1,16,2,2");
    onnx_build_node(body, "Identity", "go", "goes");
    onnx_build_node(body, "Conv", "image w", "p");
    onnx_build_node(body, "Add", "p added", "next");
    onnx_build_node(body, "Neg", "added", "other");
    onnx_build_output(body, "goes", MLS_BOOL, "");
    onnx_build_output(body, "next", MLS_FLOAT32, NULL);
    onnx_build_output(body, "other", MLS_FLOAT32, NULL);
    onnx_node_body(onnx_build_node(loop, "Loop", "trips - x a", "y -"), "body", body);
    onnx_build_output(loop, "y", MLS_FLOAT32, NULL);
    ck_assert_ok(onnx_build_load(loop, context, 0, &model));
    onnx_build_free(loop);
    mls_session *session;
    ck_assert_ok(mls_session_create(model, NULL, &session));
    for (int i = 0; i < 64; i++)
        ((float *) mls_session_input_data(session, 0))[i] = (float) (i % 4);
    for (int i = 0; i < 16; i++)
        ((float *) mls_session_input_data(session, 1))[i] = (float) i;
    ck_assert_ok(mls_session_run(session));
    for (int i = 0; i < 64; i++)
        ck_assert_float_eq(((const float *) mls_session_output_data(session, 0))[i],
                           (float) (16 * (i % 4) + i / 4));
    mls_session_free(session);
    onnx_build_free(yes);
    onnx_build_free(no);
}
END_TEST

static mls_status load_it(mls_context *own, void *arg)
{
    onnx_build *build = arg;
    mls_model *loaded;
    const mls_status status = onnx_build_load(build, own, 0, &loaded);
    if (!status)
        mls_model_free(loaded);
    return status;
}

START_TEST(memory_may_run_out)
{
    onnx_build_node(b, "Neg", "c", "n");
    onnx_build_node(yes, "Sub", "x n", "y");
    onnx_build_node(no, "Neg", "n", "y");
    choose();
    mls_test_each_allocation(load_it, b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/bodies");
    TCase *tests = tcase_create("bodies");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, constants_of_a_body_are_computed);
    tcase_add_test(tests, a_body_takes_constants_from_outside);
    tcase_add_test(tests, an_output_of_a_body_may_be_a_constant);
    tcase_add_test(tests, bodies_of_bodies_are_rewritten);
    tcase_add_test(tests, declared_shapes_of_bodies_may_be_wrong);
    tcase_add_test(tests, memory_may_run_out);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
