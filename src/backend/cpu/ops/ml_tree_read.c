/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes of TreeEnsembleRegressor and TreeEnsembleClassifier (ai.onnx.ml 1 to 5):
 * parallel arrays of nodes, named by tree and node, and of weights at those names.
 */
#include "backend/cpu/ops/ml_trees.h"

#include "backend/cpu/ops/ml_numbers.h"
#include "backend/cpu/ops/ml_tree_index.h"
#include "base/error.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_TARGETS  65536
#define MAX_FEATURES (UINT32_C(1) << 30)

void mls__tree_source_clear(mls__tree_source *source)
{
    mls__free(source->allocator, source->nodes);
    mls__free(source->allocator, source->roots);
    mls__free(source->allocator, source->weights);
    mls__free(source->allocator, source->members);
}

mls_status mls__tree_error(const mls__tree_source *source, uint32_t node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mls__error_v(MLS_EINVAL, format, args);
    va_end(args);
    if (source->tree_ids)
        mls__error_at(MLS_EINVAL, "tree %" PRId64 ", node %" PRId64, source->tree_ids[node],
                      source->node_ids[node]);
    else
        mls__error_at(MLS_EINVAL, "node %" PRIu32, node);
    return mls__error_at(MLS_EINVAL, "node '%.200s' (%.64s)", source->op->node, source->op->type);
}

/* --- the arrays ------------------------------------------------------------------------------ */

typedef struct arrays {
    size_t count;
    const mls_string *modes;
    const int64_t *tree_ids, *node_ids, *features, *on_true, *on_false;
    const int64_t *missing; /* NULL: none */
    mls__numbers values;
    /* "target" or "class" weights */
    size_t weight_count;
    const int64_t *weight_trees, *weight_nodes, *weight_targets;
    mls__numbers weights;
} arrays;

static mls_status length_error(const mls_op *op, const char *name, size_t count, size_t expected,
                               const char *like)
{
    return mls__op_error(op, MLS_EINVAL, "%s has %zu values, %s has %zu", name, count, like,
                         expected);
}

static mls_status read_ints(const mls_op *op, const char *name, size_t expected, const char *like,
                            const int64_t **ret_values)
{
    size_t count;
    *ret_values = mls__op_ints(op, name, &count);
    return count == expected ? MLS_OK : length_error(op, name, count, expected, like);
}

static mls_status read_node_arrays(const mls_op *op, arrays *a)
{
    const struct {
        const char *name;
        const int64_t **values;
    } ints[] = {
        {"nodes_treeids", &a->tree_ids},      {"nodes_nodeids", &a->node_ids},
        {"nodes_featureids", &a->features},   {"nodes_truenodeids", &a->on_true},
        {"nodes_falsenodeids", &a->on_false},
    };
    size_t missing_count;
    a->modes = mls__op_strings(op, "nodes_modes", &a->count);
    if (a->count == 0 || a->count > UINT32_MAX / 8)
        return mls__op_error(op, MLS_EINVAL, "nodes_modes has %zu values, expected 1 to %" PRIu32,
                             a->count, UINT32_MAX / 8);
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        const mls_status status =
            read_ints(op, ints[i].name, a->count, "nodes_modes", ints[i].values);
        if (status)
            return status;
    }
    a->missing = mls__op_ints(op, "nodes_missing_value_tracks_true", &missing_count);
    if (missing_count && missing_count != a->count)
        return length_error(op, "nodes_missing_value_tracks_true", missing_count, a->count,
                            "nodes_modes");
    if (!missing_count)
        a->missing = NULL;
    const mls_status status = mls__numbers_read(op, "nodes_values", &a->values);
    if (status)
        return status;
    return a->values.count == a->count
               ? MLS_OK
               : length_error(op, "nodes_values", a->values.count, a->count, "nodes_modes");
}

static mls_status read_weight_arrays(const mls_op *op, const char *prefix, arrays *a)
{
    char ids[32], trees[32], nodes[32], weights[32];
    snprintf(ids, sizeof ids, "%s_ids", prefix);
    snprintf(trees, sizeof trees, "%s_treeids", prefix);
    snprintf(nodes, sizeof nodes, "%s_nodeids", prefix);
    snprintf(weights, sizeof weights, "%s_weights", prefix);
    a->weight_targets = mls__op_ints(op, ids, &a->weight_count);
    if (a->weight_count > UINT32_MAX / 8)
        return mls__op_error(op, MLS_ELIMIT, "%s has %zu values, more than %" PRIu32, ids,
                             a->weight_count, UINT32_MAX / 8);
    mls_status status = read_ints(op, trees, a->weight_count, ids, &a->weight_trees);
    if (!status)
        status = read_ints(op, nodes, a->weight_count, ids, &a->weight_nodes);
    if (!status)
        status = mls__numbers_read(op, weights, &a->weights);
    if (status)
        return status;
    return a->weights.count == a->weight_count
               ? MLS_OK
               : length_error(op, weights, a->weights.count, a->weight_count, ids);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    mls__tree_mode mode;
} mode_rows[] = {
    {"BRANCH_LEQ", MLS__TREE_LEQ}, {"BRANCH_LT", MLS__TREE_LT}, {"BRANCH_GTE", MLS__TREE_GTE},
    {"BRANCH_GT", MLS__TREE_GT},   {"BRANCH_EQ", MLS__TREE_EQ}, {"BRANCH_NEQ", MLS__TREE_NEQ},
    {"LEAF", MLS__TREE_LEAF},
};

static bool read_mode(mls_string text, uint8_t *ret_mode)
{
    for (size_t i = 0; i < sizeof mode_rows / sizeof mode_rows[0]; i++) {
        const mls_string mode = {mode_rows[i].name, strlen(mode_rows[i].name)};
        if (mls__string_equal(text, mode)) {
            *ret_mode = (uint8_t) mode_rows[i].mode;
            return true;
        }
    }
    return false;
}

static mls_status read_branch(mls__tree_source *source, const arrays *a,
                              const mls__tree_index *index, uint32_t i)
{
    mls__source_node *node = &source->nodes[i];
    if (a->features[i] < 0 || a->features[i] >= MAX_FEATURES)
        return mls__tree_error(source, i, "feature %" PRId64 " is outside [0, %" PRIu32 ")",
                               a->features[i], MAX_FEATURES);
    node->feature = (uint32_t) a->features[i];
    node->on_true = mls__tree_index_node(index, a->tree_ids[i], a->on_true[i]);
    node->on_false = mls__tree_index_node(index, a->tree_ids[i], a->on_false[i]);
    if (node->on_true == MLS__TREE_NONE || node->on_false == MLS__TREE_NONE)
        return mls__tree_error(source, i, "the tree has no node %" PRId64 " to go to",
                               node->on_true == MLS__TREE_NONE ? a->on_true[i] : a->on_false[i]);
    return MLS_OK;
}

static mls_status read_nodes(mls__tree_source *source, const arrays *a,
                             const mls__tree_index *index)
{
    mls_status status = MLS_OK;
    for (uint32_t i = 0; !status && i < source->node_count; i++) {
        mls__source_node *node = &source->nodes[i];
        node->tree = mls__tree_index_tree(index, a->tree_ids[i]);
        node->missing_is_true = a->missing && a->missing[i] == 1;
        node->value = mls__numbers_at(&a->values, i);
        if (!read_mode(a->modes[i], &node->mode))
            return mls__tree_error(source, i,
                                   "mode '%.*s' is none of BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, "
                                   "BRANCH_GT, BRANCH_EQ, BRANCH_NEQ and LEAF",
                                   (int) (a->modes[i].size < 40 ? a->modes[i].size : 40),
                                   a->modes[i].data);
        if (node->mode != MLS__TREE_LEAF)
            status = read_branch(source, a, index, i);
    }
    return status;
}

/* --- weights --------------------------------------------------------------------------------- */

static mls_status find_leaf(mls__tree_source *source, const arrays *a, const mls__tree_index *index,
                            size_t w, uint32_t *ret_leaf)
{
    const uint32_t leaf = mls__tree_index_node(index, a->weight_trees[w], a->weight_nodes[w]);
    if (leaf == MLS__TREE_NONE)
        return mls__op_error(source->op, MLS_EINVAL,
                             "weight %zu is for tree %" PRId64 ", node %" PRId64
                             ", which is not there",
                             w, a->weight_trees[w], a->weight_nodes[w]);
    if (a->weight_targets[w] < 0 || a->weight_targets[w] >= source->target_count)
        return mls__tree_error(
            source, leaf, "a weight is for target or class %" PRId64 ", outside [0, %" PRIu32 ")",
            a->weight_targets[w], source->target_count);
    *ret_leaf = leaf;
    return MLS_OK;
}

static mls_status count_weights(mls__tree_source *source, const arrays *a,
                                const mls__tree_index *index)
{
    for (size_t w = 0; w < a->weight_count; w++) {
        uint32_t leaf;
        const mls_status status = find_leaf(source, a, index, w, &leaf);
        if (status)
            return status;
        /* Old exporters give weights to branches, where they mean nothing. */
        if (source->nodes[leaf].mode == MLS__TREE_LEAF)
            source->nodes[leaf].count++;
    }
    for (uint32_t i = 0; i < source->node_count; i++) {
        source->nodes[i].first = source->weight_count;
        source->weight_count += source->nodes[i].count;
        source->nodes[i].count = 0;
    }
    return MLS_OK;
}

/* Weights leaf by leaf, a leaf's in the order of the attributes. */
static mls_status read_weights(mls__tree_source *source, const arrays *a,
                               const mls__tree_index *index)
{
    const mls_status status = count_weights(source, a, index);
    if (status)
        return status;
    source->weights =
        mls__alloc_array(source->allocator, source->weight_count, sizeof *source->weights);
    if (!source->weights)
        return mls__error_nomem(source->weight_count * sizeof *source->weights);
    for (size_t w = 0; w < a->weight_count; w++) {
        const uint32_t leaf = mls__tree_index_node(index, a->weight_trees[w], a->weight_nodes[w]);
        mls__source_node *node = &source->nodes[leaf];
        if (node->mode == MLS__TREE_LEAF)
            source->weights[node->first + node->count++] = (mls__source_weight){
                (uint32_t) a->weight_targets[w], mls__numbers_at(&a->weights, w)};
    }
    return MLS_OK;
}

/* A classifier of two classes whose weights are all for one of them has one target. */
static void join_classes(mls__tree_source *source)
{
    const uint32_t only = source->weight_count ? source->weights[0].target : 0;
    for (uint32_t w = 0; w < source->weight_count; w++)
        if (source->weights[w].target != only)
            return;
    for (uint32_t w = 0; w < source->weight_count; w++)
        source->weights[w].target = 0;
    source->target_count = 1;
    source->only_class = (int) only;
}

/* --- the whole ------------------------------------------------------------------------------- */

static mls_status read_aggregate(const mls_op *op, mls__tree_aggregate *ret_aggregate)
{
    static const struct {
        const char *name;
        mls__tree_aggregate aggregate;
    } rows[] = {{"SUM", MLS__TREE_SUM},
                {"AVERAGE", MLS__TREE_SUM},
                {"MIN", MLS__TREE_MIN},
                {"MAX", MLS__TREE_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mls__op_string_is(op, "aggregate_function", rows[i].name, "SUM")) {
            *ret_aggregate = rows[i].aggregate;
            return MLS_OK;
        }
    return mls__op_error(op, MLS_EINVAL, "aggregate_function is none of SUM, AVERAGE, MIN and MAX");
}

/* The classes, or n_targets. */
static mls_status read_target_count(const mls_op *op, bool is_classifier, uint32_t *ret_count)
{
    size_t ints = 0, strings = 0;
    int64_t count = mls__op_int(op, "n_targets", 1);
    if (is_classifier) {
        (void) mls__op_ints(op, "classlabels_int64s", &ints);
        (void) mls__op_strings(op, "classlabels_strings", &strings);
        count = (int64_t) (strings ? strings : ints);
    }
    if (count < 1 || count > MAX_TARGETS)
        return mls__op_error(op, MLS_EINVAL, "%" PRId64 " %s; expected 1 to %d", count,
                             is_classifier ? "class labels" : "targets", MAX_TARGETS);
    *ret_count = (uint32_t) count;
    return MLS_OK;
}

static mls_status read_all(mls__tree_source *source, const arrays *a, mls__tree_index *index)
{
    source->node_count = (uint32_t) a->count;
    source->tree_ids = a->tree_ids;
    source->node_ids = a->node_ids;
    source->is_double = source->op->inputs[0].dtype == MLS_FLOAT64 ||
                        a->values.dtype == MLS_FLOAT64 || a->weights.dtype == MLS_FLOAT64;
    source->nodes = mls__alloc_array(source->allocator, a->count, sizeof *source->nodes);
    mls_status status = mls__tree_index_init(index, source->op, source->allocator, a->tree_ids,
                                             a->node_ids, source->node_count);
    if (status)
        return status;
    source->tree_count = index->tree_count;
    source->roots = mls__alloc_array(source->allocator, index->tree_count, sizeof(uint32_t));
    if (!source->nodes || !source->roots)
        return mls__error_nomem(a->count * sizeof *source->nodes);
    memcpy(source->roots, index->first, index->tree_count * sizeof(uint32_t));
    status = read_nodes(source, a, index);
    return status ? status : read_weights(source, a, index);
}

mls_status mls__tree_read(const mls__cpu *cpu, const mls_op *op, mls__tree_source *source)
{
    const bool is_classifier = strcmp(op->type, "TreeEnsembleClassifier") == 0;
    arrays a = {0};
    mls__tree_index index = {0};
    *source = (mls__tree_source){.op = op, .allocator = cpu->allocator, .only_class = -1};
    mls_status status = read_target_count(op, is_classifier, &source->target_count);
    if (!status && !is_classifier)
        status = read_aggregate(op, &source->aggregate);
    if (!status)
        status = read_node_arrays(op, &a);
    if (!status)
        status = read_weight_arrays(op, is_classifier ? "class" : "target", &a);
    if (!status)
        status = read_all(source, &a, &index);
    if (!status && is_classifier && source->target_count == 2)
        join_classes(source);
    mls__tree_index_clear(&index);
    return status;
}
