/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical order of reductions: a binary tree over the shards 0 to V - 1, a function of V
 * alone. Node i of level l is over the shards from i 2^l, 2^l of them or what there is; it
 * combines its left half with its right half, which, where V ends before, is empty.
 *
 * A rank has a range of shards. It reduces those to the nodes that lie in the range and in no
 * larger such node, its parts: at most 2 log2 V. From the parts of all ranks the rest of
 * the tree is reduced in the same order, whoever does it.
 */
#ifndef MLS_GROUP_TREE_H
#define MLS_GROUP_TREE_H

#include "base/alloc.h"

#include <mlscale/status.h>

/* A step of a program on a stack: a part by its index is pushed, or the upper two combined. */
#define MLS__STEP_COMBINE INT32_C(-1)

typedef struct mls__program {
    int32_t *steps;
    uint32_t step_count;
    uint32_t depth; /* of the stack, at most */
} mls__program;

/* Shards from `first` up to and without `end`. */
typedef struct mls__range {
    uint32_t first, end;
} mls__range;

typedef struct mls__tree {
    const mls__allocator *allocator;
    uint32_t shards, ranks;
    mls__range *parts;    /* of all ranks, in order */
    uint32_t *first_part; /* of each rank, and one past the last */
    uint32_t *own_shards; /* of each rank: how many */
    mls__program whole;   /* from all parts */
    mls__program *local;  /* of one rank: its parts from its shards, counted from its first */
    uint32_t local_count;
} mls__tree;

/* The shards of a rank. */
mls__range mls__tree_range(uint32_t shards, uint32_t ranks, uint32_t rank);

/* For `rank` of so many. Errors: MLS_ENOMEM. */
mls_status mls__tree_init(mls__tree *tree, const mls__allocator *allocator, uint32_t shards,
                          uint32_t ranks, uint32_t rank);
void mls__tree_clear(mls__tree *tree);

static inline uint32_t mls__tree_part_count(const mls__tree *tree, uint32_t rank)
{
    return tree->first_part[rank + 1] - tree->first_part[rank];
}

/* The deepest stack of all its programs. */
uint32_t mls__tree_depth(const mls__tree *tree);

#endif
