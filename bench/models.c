/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes as in docs/benchmarks.md; the numbers in them do not matter. */
#include "models.h"

#include <stdio.h>
#include <stdlib.h>

float model_random(void)
{
    /* xorshift64 (Marsaglia, 2003) */
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (float) ((double) (state >> 11) / 4503599627370496.0 - 1.0);
}

onnx_build *model_adds(int count)
{
    char from[16] = "x", to[16], constant[16], inputs[40];
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "1,1");
    for (int i = 0; i < count; i++) {
        const float value = model_random();
        snprintf(constant, sizeof constant, "c%d", i);
        snprintf(to, sizeof to, "y%d", i);
        snprintf(inputs, sizeof inputs, "%s %s", from, constant);
        onnx_build_floats(b, constant, "1", &value);
        onnx_build_node(b, "Add", inputs, to);
        snprintf(from, sizeof from, "%s", to);
    }
    onnx_build_output(b, from, MLS_FLOAT32, "1,1");
    return b;
}

static float *random_floats(onnx_build *b, size_t count, float scale)
{
    float *values = onnx_build_alloc(b, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = scale * model_random();
    return values;
}

static void add_layer(onnx_build *b, int layer, int width_in, int width_out, bool has_relu)
{
    char shape[40], w[16], c[16], in[16], inputs[60], out[16], act[16];
    snprintf(w, sizeof w, "w%d", layer);
    snprintf(c, sizeof c, "c%d", layer);
    snprintf(in, sizeof in, layer ? "h%d" : "x", layer);
    snprintf(out, sizeof out, has_relu ? "z%d" : "y", layer);
    snprintf(act, sizeof act, "h%d", layer + 1);
    snprintf(shape, sizeof shape, "%d,%d", width_out, width_in);
    onnx_build_floats(b, w, shape, random_floats(b, (size_t) width_in * (size_t) width_out, 0.2f));
    snprintf(shape, sizeof shape, "%d", width_out);
    onnx_build_floats(b, c, shape, random_floats(b, (size_t) width_out, 0.2f));
    snprintf(inputs, sizeof inputs, "%s %s %s", in, w, c);
    onnx_node_int(onnx_build_node(b, "Gemm", inputs, out), "transB", 1);
    if (has_relu)
        onnx_build_node(b, "Relu", out, act);
}

onnx_build *model_mlp(const int *widths)
{
    char shape[40];
    onnx_build *b = onnx_build_create(17);
    snprintf(shape, sizeof shape, "N,%d", widths[0]);
    onnx_build_input(b, "x", MLS_FLOAT32, shape);
    int layer = 0;
    for (; widths[layer + 1]; layer++)
        add_layer(b, layer, widths[layer], widths[layer + 1], widths[layer + 2] != 0);
    snprintf(shape, sizeof shape, "N,%d", widths[layer]);
    onnx_build_output(b, "y", MLS_FLOAT32, shape);
    return b;
}

/* The attribute arrays of a TreeEnsembleRegressor. */
typedef struct forest {
    int64_t *tree, *node, *feature, *yes, *no;
    int64_t *leaf_tree, *leaf_node, *leaf_target;
    float *threshold, *weight;
    const char **mode;
    size_t nodes, leaves;
} forest;

static void add_tree(forest *f, int tree, int depth, int features)
{
    const int inner = (1 << depth) - 1, all = (2 << depth) - 1;
    for (int i = 0; i < all; i++) {
        const bool is_leaf = i >= inner;
        const size_t at = f->nodes++;
        f->tree[at] = tree;
        f->node[at] = i;
        f->mode[at] = is_leaf ? "LEAF" : "BRANCH_LEQ";
        if (is_leaf) {
            f->leaf_tree[f->leaves] = tree;
            f->leaf_node[f->leaves] = i;
            f->weight[f->leaves++] = model_random();
            continue;
        }
        f->feature[at] = (int64_t) ((model_random() + 1) * 0.5f * (float) features) % features;
        f->threshold[at] = model_random() * 0.6f;
        f->yes[at] = 2 * i + 1;
        f->no[at] = 2 * i + 2;
    }
}

static int64_t *int_array(onnx_build *b, size_t count)
{
    return onnx_build_alloc(b, count * sizeof(int64_t));
}

onnx_build *model_trees(int trees, int depth, int features)
{
    char shape[40];
    onnx_build *b = onnx_build_create(17);
    const size_t nodes = (size_t) trees * ((2u << depth) - 1);
    const size_t leaves = (size_t) trees * (1u << depth);
    forest f = {
        .tree = int_array(b, nodes),
        .node = int_array(b, nodes),
        .feature = int_array(b, nodes),
        .yes = int_array(b, nodes),
        .no = int_array(b, nodes),
        .leaf_tree = int_array(b, leaves),
        .leaf_node = int_array(b, leaves),
        .leaf_target = int_array(b, leaves),
        .threshold = onnx_build_alloc(b, nodes * sizeof(float)),
        .weight = onnx_build_alloc(b, leaves * sizeof(float)),
        .mode = onnx_build_alloc(b, nodes * sizeof(char *)),
    };
    for (int i = 0; i < trees; i++)
        add_tree(&f, i, depth, features);
    onnx_build_opset(b, "ai.onnx.ml", 3);
    snprintf(shape, sizeof shape, "N,%d", features);
    onnx_build_input(b, "x", MLS_FLOAT32, shape);
    onnx_node *node = onnx_build_node(b, "ai.onnx.ml:TreeEnsembleRegressor", "x", "y");
    onnx_node_int(node, "n_targets", 1);
    onnx_node_ints(node, "nodes_treeids", nodes, f.tree);
    onnx_node_ints(node, "nodes_nodeids", nodes, f.node);
    onnx_node_ints(node, "nodes_featureids", nodes, f.feature);
    onnx_node_ints(node, "nodes_truenodeids", nodes, f.yes);
    onnx_node_ints(node, "nodes_falsenodeids", nodes, f.no);
    onnx_node_floats(node, "nodes_values", nodes, f.threshold);
    onnx_node_strings(node, "nodes_modes", nodes, f.mode);
    onnx_node_ints(node, "target_treeids", leaves, f.leaf_tree);
    onnx_node_ints(node, "target_nodeids", leaves, f.leaf_node);
    onnx_node_ints(node, "target_ids", leaves, f.leaf_target);
    onnx_node_floats(node, "target_weights", leaves, f.weight);
    onnx_build_output(b, "y", MLS_FLOAT32, "N,1");
    return b;
}
