/* SPDX-License-Identifier: Apache-2.0 */
/* A sketch of many values. */
#include "base/sketch.h"

#include <stddef.h>

static size_t bucket_of(uint64_t value)
{
    if (value >> MLS__SKETCH_LEAST_BIT == 0)
        return 0;
    const int bit = 63 - __builtin_clzll(value);
    if (bit >= MLS__SKETCH_LEAST_BIT + MLS__SKETCH_OCTAVES)
        return MLS__SKETCH_BUCKETS - 1;
    const size_t part = value >> (bit - 3) & 7;
    return 1 + 8 * (size_t) (bit - MLS__SKETCH_LEAST_BIT) + part;
}

/* The largest value of a bucket. */
static uint64_t bound_of(size_t bucket)
{
    if (bucket == 0)
        return (UINT64_C(1) << MLS__SKETCH_LEAST_BIT) - 1;
    const int bit = MLS__SKETCH_LEAST_BIT + (int) ((bucket - 1) / 8);
    return ((9 + (uint64_t) ((bucket - 1) % 8)) << (bit - 3)) - 1;
}

/* So that what is old weighs less, and counts never overflow. */
static void fade(mls__sketch *sketch)
{
    while (sketch->total >= MLS__SKETCH_RECENT) {
        sketch->total = 0;
        for (size_t i = 0; i < MLS__SKETCH_BUCKETS; i++) {
            sketch->counts[i] /= 2;
            sketch->total += sketch->counts[i];
        }
    }
}

void mls__sketch_add(mls__sketch *sketch, uint64_t value)
{
    sketch->counts[bucket_of(value)]++;
    sketch->total++;
    sketch->most = value > sketch->most ? value : sketch->most;
    fade(sketch);
}

void mls__sketch_merge(mls__sketch *sketch, const mls__sketch *more)
{
    for (size_t i = 0; i < MLS__SKETCH_BUCKETS; i++)
        sketch->counts[i] += more->counts[i];
    sketch->total += more->total;
    sketch->most = more->most > sketch->most ? more->most : sketch->most;
    fade(sketch);
}

uint64_t mls__sketch_quantile(const mls__sketch *sketch, unsigned percent)
{
    const uint64_t wanted = ((uint64_t) sketch->total * percent + 99) / 100;
    uint64_t seen = 0;
    for (size_t i = 0; i < MLS__SKETCH_BUCKETS && sketch->total; i++) {
        seen += sketch->counts[i];
        if (seen >= wanted && seen) {
            const uint64_t bound = bound_of(i);
            return bound < sketch->most && i + 1 < MLS__SKETCH_BUCKETS ? bound : sketch->most;
        }
    }
    return 0;
}
