/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that exporters write out in pieces: recognised, with the results that the pieces give. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/graph_nodes.h"
#include "graph/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT 6000 /* elements of x, in rows of 60 */
#define ROW   60

static mls_context *context;
static mls_model *model;
static onnx_build *b;
static float row_a[ROW], row_b[ROW];

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    model = NULL;
    b = NULL;
    for (int i = 0; i < ROW; i++) {
        row_a[i] = (float) (i % 7) / 4 - 0.8f;
        row_b[i] = (float) (i % 11) / 8 - 0.4f;
    }
}

static void teardown(void)
{
    mls_model_free(model);
    onnx_build_free(b);
    mls_context_free(context);
}

/* Numbers by their names. */
static const struct number {
    const char *name;
    float value;
} numbers[] = {
    {"half", 0.5f},
    {"one", 1},
    {"two", 2},
    {"three", 3},
    {"root2", 1.41421354f},
    {"root_half", 0.707106769f},
    {"cubic", 0.044715f},
    {"linear", 0.797884583f},
    {"zero", 0},
    {"six", 6},
    {"sixth", 0.166666672f},
    {"epsilon", 1e-5f},
    {"alpha", 1.702f},
};

/* A graph of x [100,60] whose nodes a test adds. */
static void begin(void)
{
    mls_model_free(model);
    model = NULL;
    onnx_build_free(b);
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "100,60");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        onnx_build_floats(b, numbers[i].name, "", &numbers[i].value);
    onnx_build_floats(b, "a", "60", row_a);
    onnx_build_floats(b, "b", "60", row_b);
    onnx_build_output(b, "y", MLS_FLOAT32, "100,60");
}

/* Nodes as lines "Op inputs > output"; ReduceMean is over the last axis. */
static void add_nodes(const char *const *lines)
{
    for (; *lines; lines++) {
        char op[32], inputs[64], output[16];
        ck_assert_int_eq(sscanf(*lines, "%31s %63[^>]> %15s", op, inputs, output), 3);
        inputs[strlen(inputs) - 1] = '\0';
        onnx_node *node = onnx_build_node(b, op, inputs, output);
        if (strcmp(op, "ReduceMean") == 0)
            onnx_node_ints(node, "axes", 1, (int64_t[]){-1});
        if (strcmp(op, "Cast") == 0)
            onnx_node_int(node, "to", MLS_FLOAT32);
        if (strcmp(op, "HardSigmoid") == 0)
            onnx_node_float(node, "alpha", 1.0f / 6);
    }
}

static void run(uint64_t flags, const float *x, float *y)
{
    mls_session *session;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    ck_assert_ok(mls_session_create(model, &options, &session));
    memcpy(mls_session_input_data(session, 0), x, COUNT * sizeof *x);
    ck_assert_ok(mls_session_run(session));
    memcpy(y, mls_session_output_data(session, 0), COUNT * sizeof *y);
    mls_session_free(session);
}

/*
 * The nodes are one of this type once they are optimised, and its results are those of the pieces
 * but for `relative` of them and `of_x` of x.
 */
static const mls__node *check(const char *const *lines, const char *type, float relative,
                              float of_x)
{
    static float x[COUNT], pieces[COUNT], fused[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = (float) (i * 37 % COUNT) / 300 - 10;
    begin();
    add_nodes(lines);
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(model->optimized.nodes.count, 1);
    const mls__node *node = mls__graph_node(&model->optimized, 0);
    ck_assert_str_eq(node->type, type);
    run(MLS_SESSION_NO_OPTIMIZE, x, pieces);
    run(0, x, fused);
    for (int i = 0; i < COUNT; i++)
        if (!(fabsf(fused[i] - pieces[i]) <= relative * fabsf(pieces[i]) + of_x * fabsf(x[i])))
            ck_abort_msg("%s of %a is %a, and %a of its pieces", type, (double) x[i],
                         (double) fused[i], (double) pieces[i]);
    return node;
}

/* The nodes stay as many as they are. */
static void check_stays(const char *const *lines)
{
    size_t count = 0;
    begin();
    add_nodes(lines);
    while (lines[count])
        count++;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(graph_nodes(&model->optimized, NULL), count);
}

#define NODES(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* --- norms ----------------------------------------------------------------------------------- */

#define DEVIATION "ReduceMean x > mean", "Sub x mean > d"
#define SPREAD    "ReduceMean s > v", "Add v epsilon > e", "Sqrt e > r"

START_TEST(layer_norm)
{
    /* n within 3 * 2^-24 of the pieces' is within 2^-22 of y and the scale. */
    const float bound = 0x1p-21f;
    const mls__node *node = check(
        NODES(DEVIATION, "Pow d two > s", SPREAD, "Div d r > n", "Mul n a > m", "Add m b > y"),
        "LayerNormalization", bound, bound);
    ck_assert_uint_eq(node->input_count, 3);
    ck_assert_int_eq(node->attrs[0].i, -1);
    ck_assert_float_eq(node->attrs[1].f, 1e-5f);
    check(NODES(DEVIATION, "Mul d d > s", SPREAD, "Div d r > n", "Mul a n > m", "Add b m > y"),
          "LayerNormalization", bound, bound);
    check(
        NODES(DEVIATION, "Sub x mean > d2", "Mul d2 d2 > s", SPREAD, "Div d r > n", "Mul n a > y"),
        "LayerNormalization", bound, bound);
}
END_TEST

START_TEST(layer_norm_by_reciprocal_has_the_same_bits)
{
    check(NODES(DEVIATION, "Pow d two > s", SPREAD, "Reciprocal r > i", "Mul d i > n",
                "Mul n a > m", "Add m b > y"),
          "LayerNormalization", 0, 0);
    check(NODES("Mul x x > s", SPREAD, "Reciprocal r > i", "Mul i x > n", "Mul a n > y"),
          "RMSNormalization", 0, 0);
}
END_TEST

START_TEST(rms_norm)
{
    const mls__node *node = check(NODES("Pow x two > s", SPREAD, "Div x r > n", "Mul n a > y"),
                                  "RMSNormalization", 0x1p-21f, 0);
    ck_assert_uint_eq(node->input_count, 2);
}
END_TEST

START_TEST(what_is_no_norm_stays)
{
    /* Another deviation, another square, a scale that is not constant. */
    check_stays(NODES("ReduceMean x > mean", "Sub mean x > d", "Pow d three > s", SPREAD,
                      "Div d r > n", "Mul n a > m", "Add m b > y"));
    check_stays(NODES(DEVIATION, "Mul d x > s", SPREAD, "Div d r > n", "Mul n a > y"));
    check_stays(NODES(DEVIATION, "Mul d d > s", SPREAD, "Div d r > n", "Mul n x > y"));
}
END_TEST

START_TEST(a_deviation_that_is_needed_is_still_given)
{
    begin();
    add_nodes(NODES(DEVIATION, "Pow d two > s", SPREAD, "Div d r > n", "Mul n a > y"));
    onnx_build_output(b, "d", MLS_FLOAT32, "100,60");
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(graph_nodes(&model->optimized, NULL), 3);
}
END_TEST

/* Over axes that are the last ones only if the rank is known. */
START_TEST(axes_from_the_start)
{
    for (int64_t axis = 0; axis < 2; axis++) {
        begin();
        onnx_node *first = onnx_build_node(b, "Mul", "x x", "s");
        onnx_node *mean = onnx_build_node(b, "ReduceMean", "s", "v");
        onnx_node_ints(mean, "axes", 1, &axis);
        add_nodes(NODES("Add v epsilon > e", "Sqrt e > r", "Div x r > n", "Mul n a > y"));
        ck_assert_ptr_nonnull(first);
        ck_assert_ok(onnx_build_load(b, context, 0, &model));
        ck_assert_uint_eq(graph_nodes(&model->optimized, NULL), 6);
    }
    begin();
    onnx_build_value(b, "s", MLS_FLOAT32, "100,60");
    onnx_build_node(b, "Mul", "x x", "s");
    onnx_node_ints(onnx_build_node(b, "ReduceMean", "s", "v"), "axes", 1, (int64_t[]){1});
    add_nodes(NODES("Add v epsilon > e", "Sqrt e > r", "Div x r > n", "Mul n a > y"));
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(model->optimized.nodes.count, 1);
}
END_TEST

/* --- activations ----------------------------------------------------------------------------- */

START_TEST(gelu_by_erf)
{
    const float bound = 0x1p-22f;
    const mls__node *node = check(
        NODES("Div x root2 > d", "Erf d > e", "Add e one > s", "Mul x s > m", "Mul m half > y"),
        "Gelu", 0, bound);
    ck_assert_uint_eq(node->attr_count, 0);
    check(
        NODES("Mul x root_half > d", "Erf d > e", "Add one e > s", "Mul half x > h", "Mul h s > y"),
        "Gelu", 0, bound);
    check(
        NODES("Mul root_half x > d", "Erf d > e", "Add one e > s", "Mul half s > h", "Mul x h > y"),
        "Gelu", 0, bound);
    check(NODES("Div x root2 > d", "Erf d > e", "Add e one > s", "Mul x s > m", "Div m two > y"),
          "Gelu", 0, bound);
}
END_TEST

#define TANH_END "Tanh t > h", "Add h one > g", "Mul x half > f", "Mul f g > y"

START_TEST(gelu_by_tanh)
{
    const float bound = 0x1p-22f;
    const mls__node *node = check(
        NODES("Pow x three > p", "Mul p cubic > q", "Add x q > r", "Mul r linear > t", TANH_END),
        "Gelu", 0, bound);
    ck_assert_str_eq(node->attrs[0].name, "approximate");
    ck_assert_mem_eq(node->attrs[0].strings[0].data, "tanh", 4);
    check(NODES("Mul x x > p", "Mul p x > c", "Mul cubic c > q", "Add q x > r", "Mul linear r > t",
                TANH_END),
          "Gelu", 0, bound);
    check(NODES("Mul x linear > l", "Mul x cubic > c", "Mul c x > q", "Add q one > r",
                "Mul l r > t", TANH_END),
          "Gelu", 0, bound);
}
END_TEST

START_TEST(what_is_no_gelu_stays)
{
    check_stays(NODES("Div x root2 > d", "Erf d > e", "Add e one > s", "Mul x s > y"));
    check_stays(
        NODES("Div x two > d", "Erf d > e", "Add e one > s", "Mul x s > m", "Mul m half > y"));
    check_stays(
        NODES("Pow x two > p", "Mul p cubic > q", "Add x q > r", "Mul r linear > t", TANH_END));
}
END_TEST

START_TEST(hard_swish_by_clip)
{
    const float bound = 0x1p-22f;
    check(NODES("Add x three > a3", "Clip a3 zero six > c", "Div c six > g", "Mul x g > y"),
          "HardSwish", 0, bound);
    check(NODES("Add three x > a3", "Clip a3 zero six > c", "Mul x c > m", "Div m six > y"),
          "HardSwish", 0, bound);
    check(NODES("Add x three > a3", "Clip a3 zero six > c", "Mul c sixth > g", "Mul g x > y"),
          "HardSwish", 0, bound);
    check_stays(NODES("Add x three > a3", "Clip a3 one six > c", "Div c six > g", "Mul x g > y"));
    check_stays(NODES("Add x two > a3", "Clip a3 zero six > c", "Div c six > g", "Mul x g > y"));
    check_stays(NODES("Add x three > a3", "Clip a3 zero six > c", "Div c two > g", "Mul x g > y"));
}
END_TEST

START_TEST(gates)
{
    check(NODES("Sigmoid x > g", "Mul x g > y"), "Swish", 0, 0);
    const mls__node *node =
        check(NODES("Mul x alpha > s", "Sigmoid s > g", "Mul g x > y"), "Swish", 0, 0);
    ck_assert_float_eq(node->attrs[0].f, 1.702f);
    check(NODES("HardSigmoid x > g", "Mul x g > y"), "HardSwish", 0, 0);
    check(NODES("Softplus x > s", "Tanh s > g", "Mul x g > y"), "Mish", 0x1p-21f, 0);
    check_stays(NODES("Sigmoid x > g", "Mul a g > y"));
    check_stays(NODES("Mul x a > s", "Sigmoid s > g", "Mul x g > y"));
}
END_TEST

static const float *weights(void)
{
    static float w[ROW * ROW];
    for (int i = 0; i < ROW * ROW; i++)
        w[i] = (float) (i * 29 % 101) / 200 - 0.25f;
    return w;
}

/* What is recognised goes into the product before it, with the same bits. */
START_TEST(activations_of_products)
{
    static const char *const ops[] = {"Gelu", "Swish", "com.microsoft:FastGelu"};
    static const char *const names[] = {"Gelu", "Swish", "GeluTanh"};
    static float x[COUNT], apart[COUNT], fused[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = (float) (i * 37 % COUNT) / 3000 - 1;
    for (size_t i = 0; i < 3; i++) {
        begin();
        onnx_build_opset(b, "com.microsoft", 1);
        onnx_build_floats(b, "w", "60,60", weights());
        onnx_build_node(b, "MatMul", "x w", "p");
        onnx_build_node(b, "Add", "p b", "m");
        onnx_build_node(b, ops[i], "m", "y");
        ck_assert_ok(onnx_build_load(b, context, 0, &model));
        ck_assert_uint_eq(model->optimized.nodes.count, 1);
        const mls_attr *attr = &mls__graph_node(&model->optimized, 0)->attrs[0];
        ck_assert_str_eq(attr->strings[0].data, names[i]);
        run(MLS_SESSION_NO_OPTIMIZE, x, apart);
        run(0, x, fused);
        ck_assert_mem_eq(apart, fused, sizeof apart);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/recognized");
    TCase *tests = tcase_create("recognized");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, layer_norm);
    tcase_add_test(tests, layer_norm_by_reciprocal_has_the_same_bits);
    tcase_add_test(tests, rms_norm);
    tcase_add_test(tests, what_is_no_norm_stays);
    tcase_add_test(tests, a_deviation_that_is_needed_is_still_given);
    tcase_add_test(tests, axes_from_the_start);
    tcase_add_test(tests, gelu_by_erf);
    tcase_add_test(tests, gelu_by_tanh);
    tcase_add_test(tests, what_is_no_gelu_stays);
    tcase_add_test(tests, hard_swish_by_clip);
    tcase_add_test(tests, gates);
    tcase_add_test(tests, activations_of_products);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
