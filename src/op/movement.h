/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ops that move data ask for: permutations, slices, pads. Inference and
 * kernels read it through these, so that they cannot disagree.
 */
#ifndef MLS_OP_MOVEMENT_H
#define MLS_OP_MOVEMENT_H

#include "op/op.h"

/*
 * The elements of input `index` as distinct axes of a tensor of rank `rank`, each in
 * [0, rank). Errors: MLS_EINVAL (range, an axis twice), those of mls__op_known_ints().
 */
mls_status mls__op_axes(const mls_op *op, size_t index, int rank, int *ret_axes, size_t *ret_count,
                        bool *ret_is_given);

/* Transpose: dimension i of the output is dimension ret_perm[i] of input 0. */
mls_status mls__op_perm(const mls_op *op, int *ret_perm);

/*
 * Slice: along a dimension, element i of the output is element start + i * step of the
 * input, for i below count. `step` is 1 where count is less than 2, so that no product
 * with an element that exists can overflow.
 */
typedef struct mls__slice {
    int64_t start, step, count;
} mls__slice;

/* One for each dimension of input 0. */
mls_status mls__op_slices(const mls_op *op, mls__slice *ret_slices);

/*
 * Pad: along a dimension, the output is `before` elements that are made up, then `kept`
 * elements of the input from `source` on, then made up ones up to `dim` in all. Where
 * nothing is kept, all are before.
 */
typedef struct mls__pad {
    int64_t dim, before, source, kept;
} mls__pad;

typedef enum mls__pad_mode {
    MLS__PAD_CONSTANT,
    MLS__PAD_REFLECT,
    MLS__PAD_EDGE,
    MLS__PAD_WRAP
} mls__pad_mode;

/* One for each dimension of input 0. */
mls_status mls__op_pads(const mls_op *op, mls__pad *ret_pads);
/* CenterCropPad, likewise: the middle is kept, and made up elements are around it. */
mls_status mls__op_center(const mls_op *op, mls__pad *ret_pads);
mls_status mls__op_pad_mode(const mls_op *op, mls__pad_mode *ret_mode);

#endif
