/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reductions ask for: inference and kernels read it through these, so that they cannot
 * disagree.
 */
#ifndef MLS_OP_REDUCTION_H
#define MLS_OP_REDUCTION_H

#include "op/op.h"

/*
 * Reduce*: whether each dimension of input 0 is reduced, by the axes in input 1. Without axes all
 * are, or none if noop_with_empty_axes says so. Errors: those of mls__op_axes().
 */
mls_status mls__op_reduced(const mls_op *op, bool *ret_reduced);

/*
 * MeanVarianceNormalization: whether each dimension of input 0 counts as one slice with its
 * neighbours, by the attribute axes, 0, 2 and 3 by default. Errors: MLS_EINVAL.
 */
mls_status mls__op_normalized(const mls_op *op, bool *ret_reduced);

/*
 * TopK: the axis, and the k of input 1. Errors: MLS_EINVAL (axis, k that is negative or more than
 * there are elements), those of mls__op_known_ints().
 */
mls_status mls__op_top_k(const mls_op *op, int *ret_axis, int64_t *ret_k);

/* The attribute axis of an op whose input 0 it is of, else `fallback`. Errors: MLS_EINVAL. */
mls_status mls__op_attr_axis(const mls_op *op, int64_t fallback, int *ret_axis);

#endif
