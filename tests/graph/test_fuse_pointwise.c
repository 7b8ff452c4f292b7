/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of ops that work element by element: which become one node, and where its results lie. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "base/isa.h"
#include "graph/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static mls_context *context;
static mls_model *model;
static onnx_build *b;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    model = NULL;
    b = NULL;
}

static void teardown(void)
{
    mls_model_free(model);
    onnx_build_free(b);
    mls_context_free(context);
}

static void begin(void)
{
    mls_model_free(model);
    model = NULL;
    onnx_build_free(b);
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "N,6");
    onnx_build_input(b, "z", MLS_FLOAT32, "N,6");
    onnx_build_floats(b, "two", "", (float[]){2});
    onnx_build_floats(b, "row", "6", (float[]){1, 2, 3, 4, 5, 6});
}

static void load(void)
{
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
}

/* The optimised graph has these nodes; of a fused one its pieces. */
static void expect_nodes(size_t count, const char *const *nodes)
{
    ck_assert_uint_eq(model->optimized.nodes.count, count);
    for (size_t i = 0; i < count; i++) {
        const mls__node *node = mls__graph_node(&model->optimized, i);
        char text[512] = "";
        if (strcmp(node->type, "FusedPointwise") != 0) {
            ck_assert_str_eq(node->type, nodes[i]);
            continue;
        }
        ck_assert_str_eq(node->domain, "mlscale");
        ck_assert_str_eq(node->attrs[0].name, "pieces");
        for (size_t k = 0; k < node->attrs[0].count; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", k ? " " : "",
                     node->attrs[0].strings[k].data);
        ck_assert_str_eq(text, nodes[i]);
    }
}

#define EXPECT_NODES(...)                                                                          \
    expect_nodes(COUNT(((const char *const[]){__VA_ARGS__})), (const char *const[]){__VA_ARGS__})

/* --- what is fused --------------------------------------------------------------------------- */

START_TEST(a_chain)
{
    begin();
    onnx_build_node(b, "Mul", "x two", "a");
    onnx_build_node(b, "Sub", "row a", "c");
    onnx_node_float(onnx_build_node(b, "LeakyRelu", "c", "y"), "alpha", 0.5f);
    load();
    EXPECT_NODES("Mul Sub LeakyRelu");
    const mls__node *node = mls__graph_node(&model->optimized, 0);
    static const int64_t program[] = {0, 2, 0, 1, 0, 2, 2, 3, 1, 1, 4};
    ck_assert_uint_eq(node->input_count, 3);
    ck_assert_str_eq(node->attrs[1].name, "program");
    ck_assert_uint_eq(node->attrs[1].count, COUNT(program));
    ck_assert_mem_eq(node->attrs[1].ints, program, sizeof program);
    ck_assert_uint_eq(node->attr_count, 3);
    ck_assert_float_eq(node->attrs[2].f, 0.5f);
}
END_TEST

START_TEST(branches_that_meet)
{
    begin();
    onnx_build_node(b, "Add", "x z", "a");
    onnx_build_node(b, "Exp", "a", "e");
    onnx_build_node(b, "Tanh", "a", "t");
    onnx_build_node(b, "Less", "e t", "l");
    onnx_build_node(b, "Where", "l a x", "w");
    onnx_build_node(b, "Clip", "w - two", "y");
    load();
    EXPECT_NODES("Add Exp Tanh Less Where Clip");
}
END_TEST

/* A value that somebody else reads is given; what gives it is the end of a chain of its own. */
START_TEST(other_readers)
{
    begin();
    onnx_build_node(b, "Add", "x z", "a");
    onnx_build_node(b, "Exp", "a", "e");
    onnx_build_node(b, "Neg", "e", "n");
    onnx_build_node(b, "Abs", "n", "y");
    onnx_node_ints(onnx_build_node(b, "Transpose", "e", "t"), "perm", 2, (int64_t[]){1, 0});
    onnx_build_output(b, "t", MLS_FLOAT32, NULL);
    load();
    EXPECT_NODES("Add Exp", "Neg Abs", "Transpose");

    begin();
    onnx_build_node(b, "Add", "x z", "a");
    onnx_build_node(b, "Exp", "a", "e");
    onnx_build_node(b, "Neg", "e", "y");
    onnx_build_output(b, "e", MLS_FLOAT32, NULL);
    load();
    EXPECT_NODES("Add Exp", "Neg");
}
END_TEST

/* A path out of the chain and back into it would be a cycle. */
START_TEST(paths_around)
{
    begin();
    onnx_build_node(b, "Add", "x z", "a");
    onnx_build_node(b, "Softmax", "a", "s");
    onnx_build_node(b, "Neg", "a", "n");
    onnx_build_node(b, "Mul", "n s", "y");
    load();
    EXPECT_NODES("Add", "Softmax", "Neg Mul");
}
END_TEST

START_TEST(what_is_known_stays_apart)
{
    begin();
    onnx_build_node(b, "Exp", "row", "e");
    onnx_build_node(b, "Neg", "e", "n");
    onnx_build_node(b, "Shape", "x", "shape");
    onnx_node_int(onnx_build_node(b, "Cast", "shape", "sizes"), "to", MLS_FLOAT32);
    onnx_node_ints(onnx_build_node(b, "ReduceMean", "sizes", "size"), "axes", 1, (int64_t[]){0});
    onnx_build_node(b, "Sqrt", "size", "root");
    onnx_build_node(b, "Div", "x root", "d");
    onnx_build_node(b, "Mul", "d n", "y");
    load();
    EXPECT_NODES("Shape", "Cast", "ReduceMean", "Sqrt", "Div Mul");
}
END_TEST

/* The longest program is 32 pieces, and the widest has 16 inputs. */
START_TEST(limits)
{
    begin();
    for (int i = 0; i < 40; i++) {
        char from[8], to[8];
        snprintf(from, sizeof from, i ? "v%d" : "x", i);
        snprintf(to, sizeof to, i < 39 ? "v%d" : "y", i + 1);
        onnx_build_node(b, i % 2 ? "Neg" : "Abs", from, to);
    }
    load();
    ck_assert_uint_eq(model->optimized.nodes.count, 2);
    ck_assert_uint_eq(mls__graph_node(&model->optimized, 0)->attrs[0].count, 8);
    ck_assert_uint_eq(mls__graph_node(&model->optimized, 1)->attrs[0].count, 32);

    begin();
    for (int i = 0; i < 20; i++) {
        char inputs[24], name[8], to[8];
        snprintf(name, sizeof name, "c%d", i);
        onnx_build_floats(b, name, "", (float[]){(float) i});
        snprintf(inputs, sizeof inputs, i ? "v%d c%d" : "x c%d", i, i);
        if (!i)
            snprintf(inputs, sizeof inputs, "x c0");
        snprintf(to, sizeof to, i < 19 ? "v%d" : "y", i + 1);
        onnx_build_node(b, "Add", inputs, to);
    }
    load();
    ck_assert_uint_eq(model->optimized.nodes.count, 2);
    ck_assert_uint_eq(mls__graph_node(&model->optimized, 1)->input_count, 16);
}
END_TEST

START_TEST(what_the_plan_shows)
{
    mls_session *session;
    mls_step_info info = MLS_STEP_INFO_INIT;
    begin();
    onnx_build_node(b, "Mul", "x two", "a");
    onnx_node_name(onnx_build_node(b, "Add", "a z", "y"), "sum");
    load();
    ck_assert_ok(mls_session_create(model, NULL, &session));
    ck_assert_ok(mls_session_run(session));
    ck_assert_uint_eq(mls_session_step_count(session), 1);
    ck_assert_ok(mls_session_step_info(session, 0, &info));
    ck_assert_str_eq(info.op, "FusedPointwise");
    ck_assert_str_eq(info.node, "sum");
    ck_assert_str_eq(info.kernel, "pointwise: Mul, Add");
    mls_session_free(session);
}
END_TEST

/* --- where results lie ----------------------------------------------------------------------- */

/* Output `y` of the model as fused, and as the file has it. */
static void expect_same_y(size_t output)
{
    float y[2][6];
    for (int i = 0; i < 2; i++) {
        mls_session_options options = MLS_SESSION_OPTIONS_INIT;
        mls_session *session;
        options.flags = i ? MLS_SESSION_NO_OPTIMIZE : 0;
        ck_assert_ok(mls_session_create(model, &options, &session));
        for (size_t input = 0; input < 2; input++)
            for (int k = 0; k < 6; k++)
                ((float *) mls_session_input_data(session, input))[k] =
                    (float) (k * (input ? 3 : 7) % 5) - 1.5f;
        ck_assert_ok(mls_session_run(session));
        memcpy(y[i], mls_session_output_data(session, output), sizeof y[i]);
        mls_session_free(session);
    }
    ck_assert_mem_eq(y[0], y[1], sizeof y[0]);
}

/* The memory of what dies is the output's, and what dies is read by the first step or the last. */
START_TEST(in_the_place_of_an_input)
{
    for (int is_late = 0; is_late < 2; is_late++) {
        begin();
        onnx_node_int(onnx_build_node(b, "Softmax", "x", "p"), "axis", 0);
        onnx_node_int(onnx_build_node(b, "Softmax", "z", "q"), "axis", 1);
        onnx_build_output(b, is_late ? "p" : "q", MLS_FLOAT32, NULL);
        onnx_build_node(b, "Mul", "p two", "m");
        onnx_build_node(b, "Sub", "m q", "y");
        load();
        EXPECT_NODES("Softmax", "Softmax", "Mul Sub");
        expect_same_y(1);
    }
}
END_TEST

/* What Exp gives waits for Tanh; a bool is smaller than what becomes of it. */
START_TEST(results_that_need_places_of_their_own)
{
    begin();
    onnx_build_node(b, "Add", "x z", "a");
    onnx_build_node(b, "Exp", "a", "e");
    onnx_build_node(b, "Tanh", "a", "t");
    onnx_build_node(b, "Sub", "e t", "y");
    load();
    EXPECT_NODES("Add Exp Tanh Sub");
    expect_same_y(0);

    begin();
    onnx_build_node(b, "Less", "x z", "l");
    onnx_node_int(onnx_build_node(b, "Cast", "l", "c"), "to", MLS_FLOAT32);
    onnx_build_node(b, "Add", "c z", "y");
    load();
    EXPECT_NODES("Less Cast Add");
    expect_same_y(0);
}
END_TEST

/* Between convolutions chains are in blocks of channels. */
START_TEST(chains_of_blocked_images)
{
    float *w = malloc(20 * 20 * 9 * sizeof *w), slopes[20];
    for (int i = 0; i < 20 * 20 * 9; i++)
        w[i] = (float) (i * 29 % 101) / 400 - 0.125f;
    for (int i = 0; i < 20; i++)
        slopes[i] = (float) i / 10;
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "1,20,9,9");
    onnx_build_floats(b, "w", "20,20,3,3", w);
    onnx_build_floats(b, "half", "", (float[]){0.5f});
    onnx_build_floats(b, "slopes", "20,1,1", slopes);
    onnx_node_ints(onnx_build_node(b, "Conv", "x w", "c"), "pads", 4, (int64_t[]){1, 1, 1, 1});
    onnx_build_node(b, "Mul", "c half", "m");
    onnx_build_node(b, "Tanh", "m", "t");
    onnx_build_node(b, "Mul", "c t", "g");
    onnx_build_node(b, "GlobalAveragePool", "g", "p");
    onnx_build_node(b, "Sigmoid", "p", "s");
    onnx_build_node(b, "Mul", "g s", "h");
    onnx_build_node(b, "Abs", "h", "a");
    onnx_node_ints(onnx_build_node(b, "Conv", "a w", "d"), "pads", 4, (int64_t[]){1, 1, 1, 1});
    onnx_build_node(b, "PRelu", "d slopes", "r");
    onnx_build_node(b, "Neg", "r", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    EXPECT_NODES("FusedConv", "Mul Tanh Mul", "BlockedGlobalAveragePool", "Sigmoid Mul Abs",
                 "FusedConv", "PRelu Neg");
    mls_session *pieces, *fused;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    ck_assert_ok(mls_session_create(model, &options, &fused));
    options.flags = MLS_SESSION_NO_OPTIMIZE;
    ck_assert_ok(mls_session_create(model, &options, &pieces));
    for (int i = 0; i < 20 * 81; i++)
        ((float *) mls_session_input_data(pieces, 0))[i] =
            ((float *) mls_session_input_data(fused, 0))[i] = (float) (i * 37 % 103) / 50 - 1;
    ck_assert_ok(mls_session_run(pieces));
    ck_assert_ok(mls_session_run(fused));
    ck_assert_mem_eq(mls_session_output_data(fused, 0), mls_session_output_data(pieces, 0),
                     20 * 81 * sizeof(float));
    mls_session_free(pieces);
    mls_session_free(fused);
    free(w);
}
END_TEST

static mls_status load_chain(mls_context *own, void *arg)
{
    mls_model *loaded;
    mls_session *session;
    mls_status status = onnx_build_load(arg, own, 0, &loaded);
    if (status)
        return status;
    status = mls_session_create(loaded, NULL, &session);
    if (!status) {
        status = mls_session_run(session);
        mls_session_free(session);
    }
    mls_model_free(loaded);
    return status;
}

START_TEST(no_memory)
{
    begin();
    onnx_build_node(b, "Mul", "x two", "a");
    onnx_build_node(b, "Sub", "row a", "c");
    onnx_build_node(b, "Exp", "c", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    mls_test_each_allocation(load_chain, b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/fuse_pointwise");
    TCase *tests = tcase_create("fuse_pointwise");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_chain);
    tcase_add_test(tests, branches_that_meet);
    tcase_add_test(tests, other_readers);
    tcase_add_test(tests, paths_around);
    tcase_add_test(tests, what_is_known_stays_apart);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, what_the_plan_shows);
    tcase_add_test(tests, in_the_place_of_an_input);
    tcase_add_test(tests, results_that_need_places_of_their_own);
    tcase_add_test(tests, chains_of_blocked_images);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
