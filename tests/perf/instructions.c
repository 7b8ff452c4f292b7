/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a small model a fixed number of times, for test_instructions.sh to count instructions:
 *
 *     instructions MODEL       runs it
 *     instructions --list      the models, each with its number of runs
 *     instructions --compiler  what this was built with
 *
 * Everything that instructions depend on is fixed: weights, inputs, one thread. The instruction
 * set is what MLS_ISA says; exit code 77 says that the machine does not have it.
 */
#include "support/onnx_build.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 77

typedef struct small_model {
    const char *name;
    void (*fill)(onnx_build *build);
    int runs;
} small_model;

static uint64_t seed = 1;

/* In [-1, 1]. */
static float random_float(void)
{
    return (float) mls_test_random_below(&seed, 2001) / 1000.0f - 1.0f;
}

static void add_weights(onnx_build *b, const char *name, const char *shape, size_t count)
{
    float *data = onnx_build_alloc(b, count * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = random_float() / 8.0f;
    onnx_build_floats(b, name, shape, data);
}

/* --- the models --- */

/* Hardly any work: what a run costs by itself. */
static void fill_add(onnx_build *b)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "1,16");
    onnx_build_input(b, "y", MLS_FLOAT32, "1,16");
    onnx_build_node(b, "Add", "x y", "sum");
    onnx_build_output(b, "sum", MLS_FLOAT32, "1,16");
}

static void fill_mlp(onnx_build *b)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "1,64");
    add_weights(b, "w0", "64,128", 64 * 128);
    add_weights(b, "b0", "128", 128);
    add_weights(b, "w1", "128,64", 128 * 64);
    add_weights(b, "b1", "64", 64);
    add_weights(b, "w2", "64,10", 64 * 10);
    add_weights(b, "b2", "10", 10);
    onnx_build_node(b, "Gemm", "x w0 b0", "a0");
    onnx_build_node(b, "Relu", "a0", "h0");
    onnx_build_node(b, "Gemm", "h0 w1 b1", "a1");
    onnx_build_node(b, "Relu", "a1", "h1");
    onnx_build_node(b, "Gemm", "h1 w2 b2", "a2");
    onnx_build_node(b, "Softmax", "a2", "p");
    onnx_build_output(b, "p", MLS_FLOAT32, "1,10");
}

#define TREES    200
#define NODES    127 /* of a full tree of depth 6: 63 that part, 64 leaves */
#define LEAVES   64
#define FEATURES 32

typedef struct forest {
    int64_t tree[TREES * NODES], node[TREES * NODES], feature[TREES * NODES];
    int64_t on_true[TREES * NODES], on_false[TREES * NODES];
    float value[TREES * NODES];
    const char *mode[TREES * NODES];
    int64_t leaf_tree[TREES * LEAVES], leaf_node[TREES * LEAVES], target[TREES * LEAVES];
    float weight[TREES * LEAVES];
} forest;

static void grow_tree(forest *f, int tree)
{
    for (int n = 0; n < NODES; n++) {
        const int at = tree * NODES + n;
        const int leaf = n - (NODES - LEAVES);
        f->tree[at] = tree;
        f->node[at] = n;
        f->mode[at] = leaf < 0 ? "BRANCH_LEQ" : "LEAF";
        if (leaf < 0) {
            f->feature[at] = (int64_t) mls_test_random_below(&seed, FEATURES);
            f->value[at] = random_float();
            f->on_true[at] = 2 * n + 1;
            f->on_false[at] = 2 * n + 2;
        } else {
            f->leaf_tree[tree * LEAVES + leaf] = tree;
            f->leaf_node[tree * LEAVES + leaf] = n;
            f->weight[tree * LEAVES + leaf] = random_float();
        }
    }
}

static void fill_trees(onnx_build *b)
{
    forest *f = onnx_build_alloc(b, sizeof *f);
    for (int tree = 0; tree < TREES; tree++)
        grow_tree(f, tree);
    onnx_build_opset(b, "ai.onnx.ml", 3);
    onnx_build_input(b, "x", MLS_FLOAT32, "1,32");
    onnx_node *node = onnx_build_node(b, "ai.onnx.ml:TreeEnsembleRegressor", "x", "y");
    onnx_node_int(node, "n_targets", 1);
    onnx_node_ints(node, "nodes_treeids", TREES * NODES, f->tree);
    onnx_node_ints(node, "nodes_nodeids", TREES * NODES, f->node);
    onnx_node_ints(node, "nodes_featureids", TREES * NODES, f->feature);
    onnx_node_floats(node, "nodes_values", TREES * NODES, f->value);
    onnx_node_strings(node, "nodes_modes", TREES * NODES, f->mode);
    onnx_node_ints(node, "nodes_truenodeids", TREES * NODES, f->on_true);
    onnx_node_ints(node, "nodes_falsenodeids", TREES * NODES, f->on_false);
    onnx_node_ints(node, "target_treeids", TREES * LEAVES, f->leaf_tree);
    onnx_node_ints(node, "target_nodeids", TREES * LEAVES, f->leaf_node);
    onnx_node_ints(node, "target_ids", TREES * LEAVES, f->target);
    onnx_node_floats(node, "target_weights", TREES * LEAVES, f->weight);
    onnx_build_output(b, "y", MLS_FLOAT32, "1,1");
}

/* 32 steps, 16 inputs, 64 hidden. */
static void fill_lstm(onnx_build *b)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "32,1,16");
    add_weights(b, "w", "1,256,16", 256 * 16);
    add_weights(b, "r", "1,256,64", 256 * 64);
    add_weights(b, "bias", "1,512", 512);
    onnx_node_int(onnx_build_node(b, "LSTM", "x w r bias", "all last"), "hidden_size", 64);
    onnx_build_output(b, "all", MLS_FLOAT32, "32,1,1,64");
    onnx_build_output(b, "last", MLS_FLOAT32, "1,1,64");
}

static void add_conv(onnx_build *b, const char *inputs, const char *output)
{
    onnx_node *node = onnx_build_node(b, "Conv", inputs, output);
    onnx_node_ints(node, "pads", 4, (int64_t[]){1, 1, 1, 1});
}

static void fill_conv(onnx_build *b)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "1,3,32,32");
    add_weights(b, "w0", "16,3,3,3", 16 * 3 * 9);
    add_weights(b, "b0", "16", 16);
    add_weights(b, "w1", "32,16,3,3", 32 * 16 * 9);
    add_weights(b, "b1", "32", 32);
    add_weights(b, "w2", "32,10", 32 * 10);
    add_conv(b, "x w0 b0", "c0");
    onnx_build_node(b, "Relu", "c0", "h0");
    onnx_node *pool = onnx_build_node(b, "MaxPool", "h0", "p0");
    onnx_node_ints(pool, "kernel_shape", 2, (int64_t[]){2, 2});
    onnx_node_ints(pool, "strides", 2, (int64_t[]){2, 2});
    add_conv(b, "p0 w1 b1", "c1");
    onnx_build_node(b, "Relu", "c1", "h1");
    onnx_build_node(b, "GlobalAveragePool", "h1", "p1");
    onnx_build_node(b, "Flatten", "p1", "flat");
    onnx_build_node(b, "MatMul", "flat w2", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "1,10");
}

static const small_model models[] = {
    {"add", fill_add, 200},  {"mlp", fill_mlp, 50},  {"trees", fill_trees, 50},
    {"lstm", fill_lstm, 10}, {"conv", fill_conv, 5},
};

/* --- running one --- */

static int failure(void)
{
    fprintf(stderr, "%s\n", mls_error_message());
    return EXIT_FAILURE;
}

static mls_status fill_inputs(const mls_model *model, mls_session *session)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_dtype dtype;
        int rank;
        const int64_t *dims;
        const mls_status status = mls_session_input_shape(session, i, &dtype, &rank, &dims);
        if (status)
            return status;
        int64_t count = 1;
        for (int k = 0; k < rank; k++)
            count *= dims[k];
        float *data = mls_session_input_data(session, i);
        for (int64_t k = 0; k < count; k++)
            data[k] = random_float();
    }
    return MLS_OK;
}

static mls_status run_model(mls_model *model, int runs)
{
    mls_session *session;
    mls_status status = mls_session_create(model, NULL, &session);
    if (status)
        return status;
    status = fill_inputs(model, session);
    for (int i = 0; !status && i < runs; i++)
        status = mls_session_run(session);
    mls_session_free(session);
    return status;
}

static int run_small_model(const small_model *row)
{
    mls_context *context;
    mls_model *model;
    if (mls_context_create(NULL, &context)) {
        failure();
        return EXIT_SKIPPED;
    }
    onnx_build *build = onnx_build_create(17);
    row->fill(build);
    mls_status status = onnx_build_load(build, context, 0, &model);
    onnx_build_free(build);
    if (!status) {
        status = run_model(model, row->runs);
        mls_model_free(model);
    }
    mls_context_free(context);
    return status ? failure() : EXIT_SUCCESS;
}

static void print_compiler(void)
{
#if defined(__clang__)
    const char *name = "clang";
#else
    const char *name = "gcc";
#endif
#if defined(__x86_64__)
    const char *machine = "x86_64";
#else
    const char *machine = "other";
#endif
    printf("%s %s %s %s\n", machine, name, __VERSION__, MLS_PERF_FLAGS);
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "--compiler") == 0) {
        print_compiler();
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (strcmp(what, "--list") == 0)
            printf("%s %d\n", models[i].name, models[i].runs);
        else if (strcmp(what, models[i].name) == 0)
            return run_small_model(&models[i]);
    }
    return strcmp(what, "--list") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
