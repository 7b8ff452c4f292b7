/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Resize asks for: inference and kernels read it through this, so that they cannot
 * disagree.
 */
#ifndef MLS_OP_RESIZE_H
#define MLS_OP_RESIZE_H

#include "op/op.h"

typedef enum mls__resize_mode {
    MLS__RESIZE_NEAREST,
    MLS__RESIZE_LINEAR,
    MLS__RESIZE_CUBIC
} mls__resize_mode;

/* Where in the input an element of the output is. */
typedef enum mls__resize_transform {
    MLS__RESIZE_HALF_PIXEL,
    MLS__RESIZE_HALF_PIXEL_SYMMETRIC,
    MLS__RESIZE_PYTORCH_HALF_PIXEL,
    MLS__RESIZE_ALIGN_CORNERS,
    MLS__RESIZE_ASYMMETRIC,
    MLS__RESIZE_CROP,
    MLS__RESIZE_HALF_PIXEL_FOR_NN /* of opsets 11 and 12 */
} mls__resize_transform;

typedef enum mls__resize_round {
    MLS__RESIZE_PREFER_FLOOR,
    MLS__RESIZE_PREFER_CEIL,
    MLS__RESIZE_FLOOR,
    MLS__RESIZE_CEIL,
    /* Before opset 11: down, save along an axis that becomes shorter. */
    MLS__RESIZE_SIMPLE
} mls__resize_round;

/*
 * The output's `length` is `out` before what is behind the point was dropped. The part of the
 * input from start to end, in units of its own length, counts with a crop.
 */
typedef struct mls__resize_axis {
    int64_t in, out;
    double scale, length, start, end;
} mls__resize_axis;

typedef struct mls__resize {
    mls__resize_mode mode;
    mls__resize_transform transform;
    mls__resize_round round;
    mls__resize_axis axes[MLS_MAX_RANK]; /* one for each dimension of input 0 */
} mls__resize;

/* Errors: MLS_EINVAL, MLS_ESHAPE, MLS_EDTYPE, MLS_ESTATE, those of mls__op_known_ints(). */
mls_status mls__op_resize(const mls_op *op, mls__resize *ret_resize);

/* Whether the axis stays as it is. */
bool mls__resize_is_identity(const mls__resize_axis *axis);

/* The place in the input, counted in its elements, of element `i` of the output. */
double mls__resize_place(const mls__resize *resize, const mls__resize_axis *axis, int64_t i);

/* The element of the input that is nearest to a place, or the one at the end. */
int64_t mls__resize_nearest(const mls__resize *resize, const mls__resize_axis *axis, double place);

#endif
