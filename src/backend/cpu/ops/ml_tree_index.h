/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a tree's node by its ids. Most models number their trees, and each tree's nodes, 0, 1,
 * 2, ... in the order of the attributes: then an id is a position. Maps are for all others.
 */
#ifndef MLS_BACKEND_CPU_OPS_ML_TREE_INDEX_H
#define MLS_BACKEND_CPU_OPS_ML_TREE_INDEX_H

#include "backend/cpu/cpu.h"
#include "base/map.h"

#include <stdbool.h>

typedef struct mls__tree_name {
    int64_t tree, node;
} mls__tree_name;

typedef struct mls__tree_index {
    const mls__allocator *allocator;
    const int64_t *tree_ids, *node_ids; /* of each node */
    uint32_t node_count, tree_count;
    uint32_t *first; /* the first node of each tree, in their order; then node_count */
    bool is_dense;
    mls__tree_name *keys;
    mls__map nodes, trees;
} mls__tree_index;

/* To be cleared, also when it fails: MLS_EINVAL for ids that are there twice, MLS_ENOMEM. */
mls_status mls__tree_index_init(mls__tree_index *index, const mls_op *op,
                                const mls__allocator *allocator, const int64_t *tree_ids,
                                const int64_t *node_ids, uint32_t node_count);
void mls__tree_index_clear(mls__tree_index *index);

/* The node's position; UINT32_MAX when there is none. */
uint32_t mls__tree_index_node(const mls__tree_index *index, int64_t tree, int64_t node);

/* The number of a tree whose id some node has. */
uint32_t mls__tree_index_tree(const mls__tree_index *index, int64_t tree);

#endif
