/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random tree ensembles as attributes of ai.onnx.ml, and what they give: one node after
 * another, in the types and the order of sums that the documentation promises. Nothing
 * here is shared with the library.
 */
#ifndef TESTS_CPU_ML_FOREST_H
#define TESTS_CPU_ML_FOREST_H

#include "cpu/op_harness.h"

#include <stdbool.h>

enum { FOREST_NODES = 90000, FOREST_TARGETS = 40 };

typedef struct forest_options {
    int trees, depth, features, targets;
    int modes; /* how many of BRANCH_LEQ, LT, GTE, GT, EQ, NEQ; from `first_mode` */
    int first_mode;
    double leaf_chance;    /* that a node is a leaf before it must be */
    bool has_missing;      /* nodes_missing_value_tracks_true */
    bool has_many_weights; /* several, or none, at a leaf; else one, of a target a tree */
    bool has_odd_ids;      /* trees and nodes are not numbered 0, 1, 2, ... */
    bool is_double;        /* thresholds and weights are float64 tensors */
} forest_options;

typedef struct forest {
    forest_options options;
    uint64_t seed;
    int nodes, weights;
    int64_t tree[FOREST_NODES], node[FOREST_NODES], feature[FOREST_NODES];
    int64_t on_true[FOREST_NODES], on_false[FOREST_NODES], missing[FOREST_NODES];
    const char *mode[FOREST_NODES];
    float value[FOREST_NODES];
    double double_value[FOREST_NODES];
    int64_t weight_tree[FOREST_NODES], weight_node[FOREST_NODES], weight_target[FOREST_NODES];
    float weight[FOREST_NODES];
    double double_weight[FOREST_NODES];
    int root[FOREST_NODES]; /* of each tree: a position */
} forest;

/* To be freed with free(). */
forest *forest_create(const forest_options *options, uint64_t seed);

/* The attributes; `prefix` is "target" or "class". */
void forest_attributes(const forest *forest, op_test *test, const char *prefix);

/* Features among which are thresholds, NaN, infinities and zeros of both signs. */
void forest_features(const forest *forest, uint64_t seed, int64_t rows, double *ret_x);

/*
 * The totals of a row: 16 lanes a target, tree t to lane t mod 16, then lane i + 8, 4, 2, 1.
 * In float32, or float64 for a double forest. `aggregate` is SUM, MIN or MAX; ret_seen tells
 * whether a leaf had a weight for the target.
 */
void forest_totals(const forest *forest, const double *x, const char *aggregate, double *ret_totals,
                   bool *ret_seen);

#endif
