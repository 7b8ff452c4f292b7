/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sketch of many values: quantiles with a bounded relative error from a fixed number of
 * counts, which can be added to those of another sketch. Buckets are octaves in eight equal
 * parts (log-linear, as of Tene's HdrHistogram; with logarithmic ones: Masson, Rim and Lee,
 * "DDSketch: a fast and fully-mergeable quantile sketch", VLDB 2019).
 */
#ifndef MLS_BASE_SKETCH_H
#define MLS_BASE_SKETCH_H

#include <stdint.h>

#define MLS__SKETCH_LEAST_BIT 10 /* values below 2^10 are one bucket */
#define MLS__SKETCH_OCTAVES   40 /* and those from 2^50 on are in the last */
#define MLS__SKETCH_BUCKETS   (1 + 8 * MLS__SKETCH_OCTAVES)
#define MLS__SKETCH_RECENT    4096 /* from so many values on those before count half */

typedef struct mls__sketch {
    uint32_t counts[MLS__SKETCH_BUCKETS];
    uint32_t total; /* of counts */
    uint64_t most;  /* the largest value ever */
} mls__sketch;

void mls__sketch_add(mls__sketch *sketch, uint64_t value);
void mls__sketch_merge(mls__sketch *sketch, const mls__sketch *more);

/*
 * The value below or at which `percent` (1 to 100) percent of the values are: 0 without any,
 * else never too small and at most an eighth too large, for values from 2^10 to 2^50.
 */
uint64_t mls__sketch_quantile(const mls__sketch *sketch, unsigned percent);

#endif
