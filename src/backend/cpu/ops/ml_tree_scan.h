/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of a forest for scanning: every tree as blocks of at most 32 exits. */
#ifndef MLS_BACKEND_CPU_OPS_ML_TREE_SCAN_H
#define MLS_BACKEND_CPU_OPS_ML_TREE_SCAN_H

#include "backend/cpu/ops/ml_trees.h"
#include "base/vec.h"

typedef struct mls__tree_scan {
    mls__vec tests, links, blocks, exits; /* as in mls__forest; exits by 32 a block */
    uint32_t *first_block;                /* of each tree of all groups, and the end */
    bool is_possible; /* else nothing else is set: a tree is too large, or not only orderings */
} mls__tree_scan;

/* MLS_ENOMEM. To be cleared in any case. */
mls_status mls__tree_scan_build(const mls__tree_plan *plan, uint32_t group_count,
                                mls__tree_scan *scan);
void mls__tree_scan_clear(const mls__allocator *allocator, mls__tree_scan *scan);

#endif
