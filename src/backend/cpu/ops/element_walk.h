/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What GatherElements and ScatterElements share: the element of the data that an index is paired
 * with. Along the axis it lies where the index says, along all others where the index itself lies
 * among the indices.
 */
#ifndef MLS_BACKEND_CPU_OPS_ELEMENT_WALK_H
#define MLS_BACKEND_CPU_OPS_ELEMENT_WALK_H

#include "backend/cpu/ops/indices.h"

typedef struct mls__element_walk {
    int rank; /* loops over the indices; those that can be one are */
    /* `steps` in elements of the data, 0 along the axis. */
    int64_t counts[MLS_MAX_RANK], steps[MLS_MAX_RANK];
    int64_t bound, axis_step; /* of the axis in the data */
    int64_t count, slab;      /* indices in all, and from the axis on */
} mls__element_walk;

void mls__element_walk_plan(mls__element_walk *walk, const mls_arg *data, const mls_arg *indices,
                            int axis);

/*
 * Indices [begin, begin + n), without what the indices add: index begin + i belongs to the data's
 * element base + i * step, where step is that of the last loop. false: stop.
 */
typedef bool (*mls__element_line_fn)(void *arg, int64_t begin, int64_t n, int64_t base);

/* fn for the lines of indices [begin, begin + n), n > 0; false where it gave that. */
bool mls__element_walk_lines(const mls__element_walk *walk, int64_t begin, int64_t n,
                             mls__element_line_fn fn, void *arg);

/*
 * The data's elements for indices [begin, begin + n); n > 0. false where an index is outside, and
 * then they are not to be used.
 */
bool mls__element_walk_offsets(const mls__element_walk *walk, const mls__indices *indices,
                               int64_t begin, int64_t n, int64_t *ret_offsets);

#endif
