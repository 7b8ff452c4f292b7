/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forests of decision trees: finding each row's leaf in every tree, and aggregating the
 * leaves' weights.
 *
 * Keys. A row's features become keys once: integers in the order of the features'
 * values, so that a test is one integer comparison whatever the feature's type. A NaN
 * is above all values (UINT32_MAX), or below all (0) in the copy of the feature that
 * tests which send NaN to their true branch read. Key 0 of a row is always UINT32_MAX.
 *
 * Walking. 16 trees are a group; eight of them take a step each in turn, so that their
 * latencies overlap. The children of a node lie side by side and a leaf leads to itself
 * (it tests key 0): a step has no branch, and all trees take as many steps as the
 * deepest. A leaf's payload is its `limit` (or `width`).
 *
 * Scanning (32 rows, float32 keys). All tests of a tree are made, one test on 32 rows
 * at a time. A block is a part of a tree with at most 32 exits, one bit each, left to
 * right; a test that is false clears the exits of its true branch, and the lowest bit
 * left is where the row goes. An exit is a leaf or, as a link says, another block. This
 * reads the tests one after the other and never waits for one.
 *
 * Sums. A target has 16 lanes; tree t adds to lane t mod 16 for ascending t, and lane i
 * then takes lane i + 8, i + 4, i + 2, i + 1. So the bits of a score depend on the
 * forest and the row only, not on how the leaves were found.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_TREE_H
#define MLS_BACKEND_CPU_KERNELS_TREE_H

#include <stddef.h>
#include <stdint.h>

#define MLS__TREE_LANES  16
#define MLS__TREE_EXITS  32 /* of a block */
#define MLS__TREE_BLOCKS 32 /* of a tree */
#define MLS__TREE_ROWS   32 /* scanned together */

/* Leads to slot `child` of its group if its key <= limit, else to child + 1. */
typedef struct mls__tree_node {
    uint32_t limit;
    uint16_t key;
    uint16_t child;
} mls__tree_node;

/* For groups of more slots or keys than 65536, and tests of equality: key - low <= width. */
typedef struct mls__tree_wide_node {
    uint32_t low, width;
    uint32_t key, child;
} mls__tree_wide_node;

/* The same with the keys of float64 features. */
typedef struct mls__tree_double_node {
    uint64_t low, width;
    uint32_t key, child;
} mls__tree_double_node;

typedef enum mls__tree_form { MLS__TREE_COMPACT, MLS__TREE_WIDE, MLS__TREE_DOUBLE } mls__tree_form;

/* Roots are slots 1 to 16; a tree that is missing from the last group is a leaf. */
typedef struct mls__tree_group {
    size_t first;      /* of its nodes */
    uint32_t steps[2]; /* to the deepest leaf of lanes 0 to 7, and of 8 to 15 */
} mls__tree_group;

/* Clears the exits `clear` of the rows whose key (its top bit flipped) > limit. */
typedef struct mls__tree_test {
    int32_t limit;
    uint32_t key;
    uint32_t clear;
} mls__tree_test;

typedef struct mls__tree_link {
    uint32_t exit;
    uint32_t block; /* of the same tree, before this one */
} mls__tree_link;

typedef struct mls__tree_block {
    uint32_t first_test, test_count;
    uint32_t first_link, link_count;
} mls__tree_block;

typedef enum mls__tree_aggregate {
    MLS__TREE_SUM, /* and AVERAGE */
    MLS__TREE_MIN,
    MLS__TREE_MAX
} mls__tree_aggregate;

/*
 * What a payload is: with leaf_first NULL, the bits of the leaf's only weight, which is for
 * target tree_target[t] of its tree; else the number of the leaf.
 */
typedef struct mls__forest {
    mls__tree_form form;
    mls__tree_aggregate aggregate;
    uint32_t group_count;
    uint32_t target_count;
    uint32_t key_count;
    uint32_t feature_count; /* that a row must have */
    /* Key i is of feature key_source[i] / 2; NaN is below all where it is odd. Not for key 0. */
    const uint32_t *key_source;
    const mls__tree_group *groups;
    const void *nodes; /* of the form */

    /* For scanning; tests is NULL where walking is faster. */
    const mls__tree_test *tests;
    const mls__tree_link *links;
    const mls__tree_block *blocks;    /* block b has exits from 32 * b on */
    const uint32_t *exits;            /* payloads */
    const uint32_t *tree_first_block; /* 16 * group_count + 1; a tree's root block is its last */
    uint32_t scan_rows;               /* from this many on, scanning 32 is the faster */

    const uint32_t *tree_target; /* 16 * group_count */
    /* Weights leaf_first[n] up to leaf_first[n + 1] are those of leaf n. */
    const uint32_t *leaf_first;
    const uint32_t *weight_target;
    const void *weights; /* float, or double in the double form */
} mls__forest;

/* What the parts of both ways cost, in tenths of a nanosecond measured on one machine. */
typedef struct mls__tree_costs {
    float step, group;      /* a step of one tree; the rest of walking 16 */
    float test, block, key; /* of a scan of 32 rows */
} mls__tree_costs;

/*
 * Lanes of aggregates, [target][lane] for a row. `seen` has a byte a target that is set when
 * a leaf had a weight for it; only forests with leaf_first have it.
 */
typedef struct mls__tree_kernels {
    mls__tree_costs costs;

    /* key_count keys of a row of float32 or float64 features. */
    void (*keys)(const mls__forest *forest, const float *x, uint32_t *keys);
    void (*double_keys)(const mls__forest *forest, const double *x, uint64_t *keys);

    /*
     * Aggregates rows' leaves: `keys` and `lanes` hold the rows one after the other. lanes
     * starts at 0, or at the infinity that any weight beats.
     */
    void (*walk)(const mls__forest *forest, int64_t rows, const uint32_t *keys, float *lanes,
                 uint8_t *seen);
    void (*walk_double)(const mls__forest *forest, int64_t rows, const uint64_t *keys,
                        double *lanes, uint8_t *seen);

    /* Keys of up to 32 rows as [key][row] and with their top bit flipped; missing rows are 0. */
    void (*scan_keys)(const mls__forest *forest, int64_t rows, const uint32_t *keys,
                      int32_t *scan_keys);
    /* As walk, for 32 rows at once: lanes is [target][lane][row], seen [target][row]. */
    void (*scan)(const mls__forest *forest, const int32_t *scan_keys, float *lanes, uint8_t *seen);

    /* scores[row][target] of what walk left, or of the first rows of what scan left. */
    void (*walk_scores)(const mls__forest *forest, int64_t rows, const float *lanes, float *scores);
    void (*scan_scores)(const mls__forest *forest, int64_t rows, const float *lanes, float *scores);
    void (*double_scores)(const mls__forest *forest, int64_t rows, const double *lanes,
                          double *scores);
} mls__tree_kernels;

#endif
