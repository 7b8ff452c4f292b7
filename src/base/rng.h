/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers by position: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers:
 * as easy as 1, 2, 3", SC11). A block of 128 bits is a function of a key and a counter, so that
 * there is no state to keep, and any part of a sequence can be made by any thread.
 *
 * Not for secrets.
 */
#ifndef MLS_BASE_RNG_H
#define MLS_BASE_RNG_H

#include <stdint.h>

typedef struct mls__rng {
    uint32_t key[2];
} mls__rng;

typedef struct mls__rng_block {
    uint32_t words[4];
} mls__rng_block;

mls__rng_block mls__rng_at(mls__rng rng, mls__rng_block counter);

/*
 * Numbers [first, first + n) of the sequence, each in [0, 1) and a multiple of 2^-53: number i is
 * made of the first half of block i / 2, or where i is odd of the second.
 */
void mls__rng_uniform(mls__rng rng, uint64_t first, double *ret_numbers, int64_t n);

#endif
