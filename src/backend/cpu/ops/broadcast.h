/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broadcasting as loops over runs.
 *
 * Neighbouring dimensions in which the same inputs are broadcast count as one, so that
 * what is left is an inner run, in which each input is either contiguous (step 1) or one
 * element (step 0), and as few outer loops around it as the shapes allow: none for equal
 * shapes and scalars, one for a bias.
 */
#ifndef MLS_BACKEND_CPU_OPS_BROADCAST_H
#define MLS_BACKEND_CPU_OPS_BROADCAST_H

#include <mlscale/ext/backend.h>

#define MLS__BROADCAST_INPUTS 3

typedef struct mls__broadcast {
    int inputs;
    int loops;     /* around the run */
    int64_t count; /* elements of the output */
    /* The run: its elements, at least 1, and each input's step, 0 or 1. */
    int64_t run;
    int64_t steps[MLS__BROADCAST_INPUTS];
    /* The loops, the outermost first, and how far each input goes in them. */
    int64_t dims[MLS_MAX_RANK];
    int64_t strides[MLS_MAX_RANK][MLS__BROADCAST_INPUTS];
} mls__broadcast;

/* The inputs' shapes broadcast to the output's; at most MLS__BROADCAST_INPUTS of them. */
void mls__broadcast_plan(mls__broadcast *plan, const mls_arg *output, const mls_arg *inputs,
                         int input_count);

/*
 * A run or a part of one: n elements from y on of the output, and x[i] of input i, all
 * positions in elements. The steps are the plan's.
 */
typedef mls_status (*mls__segment_fn)(void *arg, int64_t y, const int64_t *x, int64_t n);

/* fn over elements [begin, end) of the output, in order; stops at the first failure. */
mls_status mls__broadcast_walk(const mls__broadcast *plan, int64_t begin, int64_t end,
                               mls__segment_fn fn, void *arg);

#endif
