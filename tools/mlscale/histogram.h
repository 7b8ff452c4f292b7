/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles of any number of durations in constant memory, to within 2%. */
#ifndef MLSCALE_TOOL_HISTOGRAM_H
#define MLSCALE_TOOL_HISTOGRAM_H

#include <stdint.h>

/* Powers of two, each cut into 32 equal parts. */
#define HISTOGRAM_PARTS   32
#define HISTOGRAM_BUCKETS (60 * HISTOGRAM_PARTS)

typedef struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
} histogram;

void histogram_add(histogram *h, uint64_t value);

/* The value that a share (0 to 1) of all values is not above; 0 when there are none. */
double histogram_percentile(const histogram *h, double share);

#endif
