/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a row's totals to outputs: averages, base values, post transforms, labels.
 *
 * This follows ONNX Runtime where the specification is silent. A single target knows no
 * transform but PROBIT. With two classes and weights for only one of them, the other
 * column is made from that one, and the label follows from its sign, or, where no weight
 * is negative, from being above 1/2; all before the transform. Base values of such a
 * model belong to that one score (one value), or stand in their columns (two).
 *
 * It does not follow it where a label would be none of the model's classes: with weights
 * for both of two classes, the label is that of the greater score, and base values are
 * added to their own class.
 */
#ifndef MLS_BACKEND_CPU_OPS_ML_TREE_FINISH_H
#define MLS_BACKEND_CPU_OPS_ML_TREE_FINISH_H

#include "backend/cpu/ops/ml_numbers.h"
#include "backend/cpu/ops/ml_scores.h"
#include "backend/cpu/ops/ml_trees.h"

typedef struct mls__tree_finish {
    const mls__cpu *cpu;
    mls__transform transform;
    bool is_classifier;
    uint32_t target_count; /* of the forest */
    double divisor;        /* the trees, for an average; else 1 */
    mls__numbers base;
    int32_t dtype; /* of a regressor's output */
    mls__labels labels;
    int only_class;      /* of two that has weights; -1: both */
    bool is_probability; /* no weight is negative */
} mls__tree_finish;

mls_status mls__tree_finish_init(mls__tree_finish *finish, const mls__cpu *cpu, const mls_op *op,
                                 const mls__tree_source *source);

/*
 * Totals and `seen` (a byte that says whether a leaf had a weight; NULL: all had) of row r and
 * target t at r * row_stride + t * target_stride for seen; totals are [row][target].
 */
typedef struct mls__tree_totals {
    const double *totals;
    float *scores; /* scratch, as large as totals */
    const uint8_t *seen;
    size_t row_stride, target_stride;
} mls__tree_totals;

/* Writes rows `first` to first + rows - 1 of the outputs that are not NULL. */
void mls__tree_finish_rows(const mls__tree_finish *finish, const mls__tree_totals *totals,
                           int64_t first, int64_t rows, void *const outputs[2]);

#endif
