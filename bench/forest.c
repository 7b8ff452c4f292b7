/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree after tree, the inner nodes of each numbered in the order of a heap, then its leaves.
 * x <= threshold goes to the first child, here and in both formats.
 */
#define _POSIX_C_SOURCE 200809L
#include "forest.h"

#include "limit.h"
#include "models.h"

#include <stdio.h>
#include <stdlib.h>

struct forest {
    int trees, depth, features;
    int *feature; /* of the inner nodes, tree after tree */
    float *threshold;
    float *weight; /* of the leaves */
};

static int inner_count(const forest *f)
{
    return (1 << f->depth) - 1;
}

static int leaf_count(const forest *f)
{
    return 1 << f->depth;
}

forest *forest_create(int trees, int depth, int features)
{
    forest *f = limit_need(calloc(1, sizeof *f));
    *f = (forest){.trees = trees, .depth = depth, .features = features};
    const size_t inner = (size_t) trees * (size_t) inner_count(f);
    const size_t leaves = (size_t) trees * (size_t) leaf_count(f);
    f->feature = limit_need(calloc(inner, sizeof *f->feature));
    f->threshold = limit_need(calloc(inner, sizeof *f->threshold));
    f->weight = limit_need(calloc(leaves, sizeof *f->weight));
    for (size_t i = 0; i < inner; i++) {
        f->feature[i] = (int) ((model_random() + 1) * 0.5f * (float) features) % features;
        f->threshold[i] = model_random() * 0.6f;
    }
    for (size_t i = 0; i < leaves; i++)
        f->weight[i] = model_random();
    return f;
}

void forest_free(forest *f)
{
    free(f->feature);
    free(f->threshold);
    free(f->weight);
    free(f);
}

/* --- ONNX ------------------------------------------------------------------------------------ */

/* The attribute arrays of a TreeEnsembleRegressor. */
typedef struct arrays {
    int64_t *tree, *node, *feature, *yes, *no;
    int64_t *leaf_tree, *leaf_node, *leaf_target;
    float *threshold, *weight;
    const char **mode;
    size_t nodes, leaves;
} arrays;

static void add_tree(arrays *a, const forest *f, int tree)
{
    const int inner = inner_count(f), all = inner + leaf_count(f);
    for (int i = 0; i < all; i++) {
        const size_t at = a->nodes++;
        a->tree[at] = tree;
        a->node[at] = i;
        a->mode[at] = i < inner ? "BRANCH_LEQ" : "LEAF";
        if (i >= inner) {
            a->leaf_tree[a->leaves] = tree;
            a->leaf_node[a->leaves] = i;
            a->weight[a->leaves] = f->weight[a->leaves];
            a->leaves++;
            continue;
        }
        a->feature[at] = f->feature[tree * inner + i];
        a->threshold[at] = f->threshold[tree * inner + i];
        a->yes[at] = 2 * i + 1;
        a->no[at] = 2 * i + 2;
    }
}

static int64_t *int_array(onnx_build *b, size_t count)
{
    return onnx_build_alloc(b, count * sizeof(int64_t));
}

static void make_arrays(const forest *f, onnx_build *b, arrays *ret_arrays)
{
    const size_t leaves = (size_t) f->trees * (size_t) leaf_count(f);
    const size_t nodes = leaves + (size_t) f->trees * (size_t) inner_count(f);
    *ret_arrays = (arrays){
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
    for (int i = 0; i < f->trees; i++)
        add_tree(ret_arrays, f, i);
}

onnx_build *forest_onnx(const forest *f)
{
    char shape[40];
    arrays a;
    onnx_build *b = onnx_build_create(17);
    make_arrays(f, b, &a);
    onnx_build_opset(b, "ai.onnx.ml", 3);
    snprintf(shape, sizeof shape, "N,%d", f->features);
    onnx_build_input(b, "x", MLS_FLOAT32, shape);
    onnx_node *node = onnx_build_node(b, "ai.onnx.ml:TreeEnsembleRegressor", "x", "y");
    onnx_node_int(node, "n_targets", 1);
    onnx_node_ints(node, "nodes_treeids", a.nodes, a.tree);
    onnx_node_ints(node, "nodes_nodeids", a.nodes, a.node);
    onnx_node_ints(node, "nodes_featureids", a.nodes, a.feature);
    onnx_node_ints(node, "nodes_truenodeids", a.nodes, a.yes);
    onnx_node_ints(node, "nodes_falsenodeids", a.nodes, a.no);
    onnx_node_floats(node, "nodes_values", a.nodes, a.threshold);
    onnx_node_strings(node, "nodes_modes", a.nodes, a.mode);
    onnx_node_ints(node, "target_treeids", a.leaves, a.leaf_tree);
    onnx_node_ints(node, "target_nodeids", a.leaves, a.leaf_node);
    onnx_node_ints(node, "target_ids", a.leaves, a.leaf_target);
    onnx_node_floats(node, "target_weights", a.leaves, a.weight);
    onnx_build_output(b, "y", MLS_FLOAT32, "N,1");
    return b;
}

/* --- LightGBM -------------------------------------------------------------------------------- */

static void write_ints(FILE *out, const char *key, const int *values, int count)
{
    fprintf(out, "%s=", key);
    for (int i = 0; i < count; i++)
        fprintf(out, "%s%d", i ? " " : "", values[i]);
    fputc('\n', out);
}

/* A float has few enough digits for 17 to give it back as it is. */
static void write_floats(FILE *out, const char *key, const float *values, int count)
{
    fprintf(out, "%s=", key);
    for (int i = 0; i < count; i++)
        fprintf(out, "%s%.17g", i ? " " : "", (double) values[i]);
    fputc('\n', out);
}

/* Child `side` of each inner node; leaf i is written as -i - 1. */
static void write_children(FILE *out, const char *key, int inner, int side)
{
    fprintf(out, "%s=", key);
    for (int i = 0; i < inner; i++) {
        const int child = 2 * i + 1 + side;
        fprintf(out, "%s%d", i ? " " : "", child < inner ? child : -(child - inner) - 1);
    }
    fputc('\n', out);
}

/* How a node decides: by a number, nothing being missing. */
static void write_decisions(FILE *out, int inner)
{
    fputs("decision_type=", out);
    for (int i = 0; i < inner; i++)
        fputs(i ? " 2" : "2", out);
    fputc('\n', out);
}

static void write_tree(FILE *out, const forest *f, int tree)
{
    const int inner = inner_count(f), leaves = leaf_count(f);
    fprintf(out, "Tree=%d\nnum_leaves=%d\nnum_cat=0\n", tree, leaves);
    write_ints(out, "split_feature", f->feature + tree * inner, inner);
    write_floats(out, "threshold", f->threshold + tree * inner, inner);
    write_decisions(out, inner);
    write_children(out, "left_child", inner, 0);
    write_children(out, "right_child", inner, 1);
    write_floats(out, "leaf_value", f->weight + tree * leaves, leaves);
    fputs("is_linear=0\nshrinkage=1\n\n", out);
}

char *forest_lightgbm(const forest *f)
{
    char *text = NULL;
    size_t size;
    FILE *out = limit_need(open_memstream(&text, &size));
    fputs("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n", out);
    fprintf(out, "max_feature_idx=%d\nobjective=regression\nfeature_names=", f->features - 1);
    for (int i = 0; i < f->features; i++)
        fprintf(out, "%sf%d", i ? " " : "", i);
    fputs("\nfeature_infos=", out);
    for (int i = 0; i < f->features; i++)
        fputs(i ? " none" : "none", out);
    fputs("\n\n", out);
    for (int i = 0; i < f->trees; i++)
        write_tree(out, f, i);
    fputs("end of trees\n\nparameters:\nend of parameters\n", out);
    if (fclose(out))
        limit_need(NULL);
    return text;
}
