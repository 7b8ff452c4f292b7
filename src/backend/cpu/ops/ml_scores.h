/* SPDX-License-Identifier: Apache-2.0 */
/* What the classifiers and regressors of ai.onnx.ml share: rows, labels, post transforms. */
#ifndef MLS_BACKEND_CPU_OPS_ML_SCORES_H
#define MLS_BACKEND_CPU_OPS_ML_SCORES_H

#include "backend/cpu/cpu.h"

#include <stdbool.h>

/* In the order of TreeEnsemble's numbers. */
typedef enum mls__transform {
    MLS__TRANSFORM_NONE,
    MLS__TRANSFORM_SOFTMAX,
    MLS__TRANSFORM_LOGISTIC,
    MLS__TRANSFORM_SOFTMAX_ZERO,
    MLS__TRANSFORM_PROBIT
} mls__transform;

/* The attribute post_transform, a string or (TreeEnsemble) a number. MLS_EINVAL. */
mls_status mls__transform_read(const mls_op *op, mls__transform *ret_transform);

/* In place, each row on its own. */
void mls__transform_rows(const mls__cpu *cpu, mls__transform transform, float *scores, int64_t rows,
                         int64_t columns);

/*
 * The two columns of a binary classifier that has one score, that of the second class:
 * LOGISTIC sigmoid(-s), sigmoid(s); PROBIT probit(s) and its negative, as ONNX Runtime has
 * them; all others -s, s or, if `is_probability`, 1 - s, s.
 */
void mls__transform_pair(const mls__cpu *cpu, mls__transform transform, bool is_probability,
                         float score, float *ret_pair);

/* The labels of classes: of either type, the other is NULL. */
typedef struct mls__labels {
    size_t count;
    const int64_t *ints;
    const mls_string *strings;
} mls__labels;

/* From the attribute `ints_name` or classlabels_strings. MLS_EINVAL unless one is given. */
mls_status mls__labels_read(const mls_op *op, const char *ints_name, mls__labels *ret_labels);

/* out[row] = label `index`; `out` is NULL for an output that is not asked for. */
static inline void mls__label_set(const mls__labels *labels, void *out, int64_t row, size_t index)
{
    if (!out)
        return;
    if (labels->strings)
        ((mls_string *) out)[row] = labels->strings[index];
    else
        ((int64_t *) out)[row] = labels->ints[index];
}

/* Input 0 as rows: [N, columns], or one row for [columns]. */
typedef struct mls__rows {
    int64_t count, columns;
} mls__rows;

static inline mls__rows mls__rows_of(const mls_arg *input)
{
    if (input->rank < 2)
        return (mls__rows){1, input->rank ? input->dims[0] : 1};
    return (mls__rows){input->dims[0], mls__arg_span(input, 1, input->rank)};
}

/* The first of the greatest; NaN is never greater. */
size_t mls__argmax(const float *scores, size_t count);

/* `count` elements of a float or int type as float32, rounded to nearest. */
void mls__to_float(int32_t dtype, const void *x, int64_t count, float *ret_y);

#endif
