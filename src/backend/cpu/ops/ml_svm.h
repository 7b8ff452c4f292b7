/* SPDX-License-Identifier: Apache-2.0 */
/* Support vector machines: what ml_svm.c, which makes them, shares with ml_svm_classify.c. */
#ifndef MLS_BACKEND_CPU_OPS_ML_SVM_H
#define MLS_BACKEND_CPU_OPS_ML_SVM_H

#include "backend/cpu/ops/ml_product.h"
#include "backend/cpu/ops/ml_rows.h"
#include "backend/cpu/ops/ml_scores.h"

typedef enum mls__svm_type {
    MLS__SVM_LINEAR,
    MLS__SVM_POLY,
    MLS__SVM_RBF,
    MLS__SVM_SIGMOID
} mls__svm_type;

typedef struct mls__svm {
    mls__cpu_kernel base;
    mls__svm_type type;
    float gamma, coef0, degree;
    /*
     * The support vectors, or, without any ("linear mode"), the coefficients of each class;
     * vector_count of them in either case.
     */
    bool has_vectors;
    int64_t vector_count;
    mls__ml_product product; /* all but RBF */
    const float *panels;     /* RBF */
    mls__ml_product combine; /* of a regressor: with the coefficients of the vectors */
    bool is_classifier, is_one_class, has_scores;
    mls__transform transform;
    mls__rows rows;
    int32_t dtype;

    /* Of a classifier. */
    mls__labels labels;
    const float *coefficients;          /* [class - 1][vector] */
    const float *rho, *prob_a, *prob_b; /* of each pair of classes; prob_* may be NULL */
    const int64_t *class_vectors;       /* how many of each class */
    int64_t score_columns;
    bool is_probability; /* no coefficient is negative */

    mls__row_tasks tasks;
    /* In a slice: rows as float32, what the vectors give, scratch of one row. */
    size_t values_offset, scores_offset, votes_offset, pairs_offset, matrix_offset;
} mls__svm;

/* Labels and scores (either may be NULL) of a row from `values`, one for each vector. */
void mls__svm_classify(const mls__svm *svm, const float *values, int64_t row, char *slice,
                       void *labels, float *scores);

#endif
