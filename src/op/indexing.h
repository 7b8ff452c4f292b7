/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ops that go by indices ask for. Inference and kernels read it through these, so that
 * they cannot disagree.
 */
#ifndef MLS_OP_INDEXING_H
#define MLS_OP_INDEXING_H

#include "op/op.h"

/* What scattering makes of an element that is there and an update. */
typedef enum mls__scatter_reduction {
    MLS__SCATTER_NONE, /* the update */
    MLS__SCATTER_ADD,
    MLS__SCATTER_MUL,
    MLS__SCATTER_MIN,
    MLS__SCATTER_MAX,
    MLS__SCATTER_COUNT
} mls__scatter_reduction;

/* The attribute `reduction`. Errors: MLS_EINVAL. */
mls_status mls__op_scatter_reduction(const mls_op *op, mls__scatter_reduction *ret_reduction);

/* GatherND: how many of the first dims are a batch. Errors: MLS_EINVAL. */
mls_status mls__op_batch_dims(const mls_op *op, int *ret_batch);

/* ReverseSequence: whether time is the first dimension and the batch the second, or the reverse. */
mls_status mls__op_time_first(const mls_op *op, bool *ret_is_first);

/* TensorScatter: the axis, and whether indices wrap around at its end. */
mls_status mls__op_cache_axis(const mls_op *op, int *ret_axis, bool *ret_is_circular);

#endif
