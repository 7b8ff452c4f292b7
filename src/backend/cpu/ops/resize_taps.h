/* SPDX-License-Identifier: Apache-2.0 */
/* What each element along an axis that is resized is made of. */
#ifndef MLS_BACKEND_CPU_OPS_RESIZE_TAPS_H
#define MLS_BACKEND_CPU_OPS_RESIZE_TAPS_H

#include "base/alloc.h"
#include "op/resize.h"

/*
 * Element i of the output is the sum over t below `taps` of weight[t * out + i] times element
 * index[t * out + i] of the input; the elements beyond the input's ends are those at its ends.
 * Where `outside` is set it is the extrapolation value instead.
 */
typedef struct mls__taps {
    int64_t in, out, taps;
    size_t room; /* for taps * out; and for out, below: */
    size_t outs_room;
    int32_t *index;
    void *weight; /* float, or double */
    uint8_t *outside;
    bool any_outside;
} mls__taps;

/* The filter, as Resize's attributes have it. */
typedef struct mls__resize_filter {
    bool is_antialiased, excludes_outside, is_double;
    double cubic_a;
} mls__resize_filter;

/* Room for the axis as it is; it has to be filled. Errors: MLS_ENOMEM, MLS_ESHAPE. */
mls_status mls__taps_create(const mls__allocator *allocator, const mls_op *op,
                            const mls__resize *resize, const mls__resize_filter *filter, int axis,
                            mls__taps *ret_taps);
void mls__taps_free(const mls__allocator *allocator, mls__taps *taps);

/* Errors: MLS_ELIMIT where there is no room. */
mls_status mls__taps_fill(const mls_op *op, const mls__resize *resize,
                          const mls__resize_filter *filter, int axis, mls__taps *taps);

#endif
