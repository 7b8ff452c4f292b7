/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets that grow with the value, as in HdrHistogram: the relative error is bounded. */
#include "histogram.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_PARTS)
        return (unsigned) value;
    const unsigned power = 63 - (unsigned) __builtin_clzll(value);
    const unsigned part = (unsigned) (value >> (power - 5)) & (HISTOGRAM_PARTS - 1);
    return (power - 4) * HISTOGRAM_PARTS + part;
}

/* The middle of a bucket. */
static double bucket_value(unsigned bucket)
{
    if (bucket < HISTOGRAM_PARTS)
        return bucket;
    const unsigned power = bucket / HISTOGRAM_PARTS + 4, part = bucket % HISTOGRAM_PARTS;
    const double width = (double) (UINT64_C(1) << (power - 5));
    return (double) (UINT64_C(1) << power) + (part + 0.5) * width;
}

void histogram_add(histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
}

double histogram_percentile(const histogram *h, double share)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->total; i++) {
        seen += h->counts[i];
        if (h->counts[i] && (double) seen >= share * (double) h->total)
            return bucket_value(i);
    }
    return 0;
}
