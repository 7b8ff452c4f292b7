/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotary position embedding: pairs of a head's elements turned by the angle of their position,
 *   y1 = cos x1 - sin x2   y2 = sin x1 + cos x2
 * in float32, each step rounded, with a rounding to the dtype at the end. Pairs are the two halves
 * of what is turned, element by element, or neighbours.
 */
#ifndef MLS_BACKEND_CPU_OPS_ROTARY_H
#define MLS_BACKEND_CPU_OPS_ROTARY_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/ops/half.h"

typedef struct mls__rotary {
    int32_t dtype; /* a float of 16 or 32 bits */
    mls__half half;
    int64_t size, turned; /* elements of a head; the first that are turned, an even number */
    bool is_interleaved;
} mls__rotary;

/* One head; cosines and sines are turned / 2 elements of the dtype. y may be x. */
void mls__rotary_head(const mls__rotary *rotary, void *y, const void *x, const void *cosines,
                      const void *sines);

#endif
