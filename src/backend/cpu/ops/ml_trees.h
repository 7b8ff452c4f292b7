/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree ensembles, from the attributes to a forest that kernels/tree.h runs:
 *
 *   read   ml_tree_read.c (TreeEnsembleRegressor and -Classifier) and ml_tree_read5.c
 *          (TreeEnsemble) check every length and index and give an mls__tree_source
 *   lower  ml_tree_lower.c makes each node one or more integer tests, and finds cycles
 *   pack   ml_tree_pack.c lays the tests out for walking, ml_tree_scan.c for scanning
 *
 * Nothing in the attributes is trusted. A source and a plan live while a kernel is made;
 * the packed forest lives in the model's weight cache.
 */
#ifndef MLS_BACKEND_CPU_OPS_ML_TREES_H
#define MLS_BACKEND_CPU_OPS_ML_TREES_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/tree.h"

#include <stdbool.h>

#define MLS__TREE_NONE UINT32_MAX

/* In the order of TreeEnsemble's numbers. */
typedef enum mls__tree_mode {
    MLS__TREE_LEQ,
    MLS__TREE_LT,
    MLS__TREE_GTE,
    MLS__TREE_GT,
    MLS__TREE_EQ,
    MLS__TREE_NEQ,
    MLS__TREE_MEMBER,
    MLS__TREE_LEAF
} mls__tree_mode;

/* A node as the model has it; the children are indices of nodes. */
typedef struct mls__source_node {
    uint8_t mode; /* mls__tree_mode */
    bool missing_is_true;
    uint32_t tree; /* MLS__TREE_NONE until a tree reaches it (v5) */
    uint32_t feature;
    uint32_t on_true, on_false;
    uint32_t first, count; /* of a leaf's weights, or of MEMBER's members */
    double value;
} mls__source_node;

typedef struct mls__source_weight {
    uint32_t target;
    double value;
} mls__source_weight;

typedef struct mls__tree_source {
    const mls_op *op;
    const mls__allocator *allocator;
    uint32_t node_count, tree_count, target_count;
    mls__source_node *nodes;
    uint32_t *roots;
    mls__source_weight *weights;
    double *members;
    uint32_t weight_count, member_count;
    mls__tree_aggregate aggregate;
    bool is_double; /* thresholds or features are float64 */
    int only_class; /* of two classes, the one that has weights, as target 0; or -1 */
    const int64_t *tree_ids, *node_ids; /* of nodes, for messages; NULL: their index */
} mls__tree_source;

/* Both leave a source that mls__tree_source_clear() frees, also when they fail. */
mls_status mls__tree_read(const mls__cpu *cpu, const mls_op *op, mls__tree_source *source);
mls_status mls__tree_read5(const mls__cpu *cpu, const mls_op *op, mls__tree_source *source);
void mls__tree_source_clear(mls__tree_source *source);

/* An error at a node: "tree 3, node 7: ...". */
mls_status mls__tree_error(const mls__tree_source *source, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A test in integers, as kernels/tree.h makes it; leaves have key 0 and their payload in width. */
typedef struct mls__plan_node {
    uint64_t low, width;
    uint32_t key;
    uint32_t on_true, on_false;
    uint32_t height; /* steps to the deepest leaf */
    uint32_t pair;   /* where the children stand, once they do */
} mls__plan_node;

/* Nodes 0 .. source->node_count - 1 are the source's; what takes more tests has more after them. */
typedef struct mls__tree_plan {
    const mls__tree_source *source;
    mls__plan_node *nodes;
    uint32_t node_count;
    uint32_t *key_source; /* see mls__forest */
    uint32_t key_count;
    uint32_t feature_count;
    bool has_ranges;       /* some low is not 0 */
    bool has_leaf_lists;   /* payloads are leaf numbers */
    uint32_t leaf_count;   /* that have numbers, the empty one for missing trees the last */
    uint32_t *tree_target; /* without lists: a target for each tree */
} mls__tree_plan;

mls_status mls__tree_lower(const mls__tree_source *source, mls__tree_plan *plan);
void mls__tree_plan_clear(mls__tree_plan *plan);

/* The forest in the model's weight cache, made by the first session. */
mls_status mls__tree_pack(const mls__cpu *cpu, const mls_op *op, mls__tree_plan *plan,
                          const mls__forest **ret_forest);

#endif
