/* SPDX-License-Identifier: Apache-2.0 */
/* See ml_scores.h. */
#include "backend/cpu/ops/ml_scores.h"

#include "backend/cpu/kernels/kernels.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

static const char *const transform_names[] = {
    [MLS__TRANSFORM_NONE] = "NONE",         [MLS__TRANSFORM_SOFTMAX] = "SOFTMAX",
    [MLS__TRANSFORM_LOGISTIC] = "LOGISTIC", [MLS__TRANSFORM_SOFTMAX_ZERO] = "SOFTMAX_ZERO",
    [MLS__TRANSFORM_PROBIT] = "PROBIT",
};

enum { TRANSFORMS = sizeof transform_names / sizeof transform_names[0] };

mls_status mls__transform_read(const mls_op *op, mls__transform *ret_transform)
{
    const mls_attr *attr = mls__op_attr(op, "post_transform");
    if (attr && attr->type == MLS_ATTR_INT) {
        if (attr->i < 0 || attr->i >= TRANSFORMS)
            return mls__op_error(op, MLS_EINVAL, "post_transform is %" PRId64 ", outside [0, %d]",
                                 attr->i, TRANSFORMS - 1);
        *ret_transform = (mls__transform) attr->i;
        return MLS_OK;
    }
    for (int i = 0; i < TRANSFORMS; i++)
        if (mls__op_string_is(op, "post_transform", transform_names[i], "NONE")) {
            *ret_transform = (mls__transform) i;
            return MLS_OK;
        }
    return mls__op_error(op, MLS_EINVAL,
                         "post_transform is none of NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO and "
                         "PROBIT");
}

void mls__transform_rows(const mls__cpu *cpu, mls__transform transform, float *scores, int64_t rows,
                         int64_t columns)
{
    const mls__score_kernels *kernels = cpu->kernels->scores;
    if (transform == MLS__TRANSFORM_SOFTMAX)
        cpu->kernels->softmax->rows(scores, scores, rows, columns);
    else if (transform == MLS__TRANSFORM_SOFTMAX_ZERO)
        kernels->softmax_zero(scores, rows, columns);
    else if (transform == MLS__TRANSFORM_PROBIT)
        kernels->probit(scores, rows * columns);
    else if (transform == MLS__TRANSFORM_LOGISTIC)
        cpu->kernels->elementwise->unary[MLS__UNARY_SIGMOID](scores, scores, rows * columns, NULL);
}

void mls__transform_pair(const mls__cpu *cpu, mls__transform transform, bool is_probability,
                         float score, float *ret_pair)
{
    ret_pair[0] = is_probability ? 1.0f - score : -score;
    ret_pair[1] = score;
    if (transform == MLS__TRANSFORM_LOGISTIC) {
        ret_pair[0] = -score;
        mls__transform_rows(cpu, transform, ret_pair, 1, 2);
    } else if (transform == MLS__TRANSFORM_PROBIT) {
        cpu->kernels->scores->probit(ret_pair + 1, 1);
        ret_pair[0] = ret_pair[1];
        ret_pair[1] = -ret_pair[0];
    }
}

mls_status mls__labels_read(const mls_op *op, const char *ints_name, mls__labels *ret_labels)
{
    size_t int_count, string_count;
    const int64_t *ints = mls__op_ints(op, ints_name, &int_count);
    const mls_string *strings = mls__op_strings(op, "classlabels_strings", &string_count);
    if (!int_count == !string_count)
        return mls__op_error(op, MLS_EINVAL, "%s of %s and classlabels_strings given; one must be",
                             int_count ? "both" : "none", ints_name);
    *ret_labels = (mls__labels){int_count ? int_count : string_count, int_count ? ints : NULL,
                                string_count ? strings : NULL};
    return MLS_OK;
}

size_t mls__argmax(const float *scores, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}

void mls__to_float(int32_t dtype, const void *x, int64_t count, float *ret_y)
{
    if (!count)
        return; /* the pointers may be NULL */
    if (dtype == MLS_FLOAT32)
        memcpy(ret_y, x, (size_t) count * sizeof *ret_y);
    else if (dtype == MLS_FLOAT64)
        for (int64_t i = 0; i < count; i++)
            ret_y[i] = (float) ((const double *) x)[i];
    else if (dtype == MLS_INT64)
        for (int64_t i = 0; i < count; i++)
            ret_y[i] = (float) ((const int64_t *) x)[i];
    else
        for (int64_t i = 0; i < count; i++)
            ret_y[i] = (float) ((const int32_t *) x)[i];
}
