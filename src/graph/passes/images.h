/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of values that are images, [batch, channels, spatial...], before any dim is: their
 * channels, and which of their other dims are equal whatever the model's inputs are. Passes that
 * need two values of one shape ask here.
 */
#ifndef MLS_GRAPH_PASSES_IMAGES_H
#define MLS_GRAPH_PASSES_IMAGES_H

#include "base/vec.h"
#include "graph/graph.h"

enum { MLS__IMAGE_DIMS = 4 }; /* spatial ones, at most */

/* Dims are equal where these numbers are. */
typedef uint32_t mls__image_dim;

typedef struct mls__image {
    int rank; /* spatial dimensions; 0: nothing is known of the value */
    int64_t channels;
    mls__image_dim batch, dims[MLS__IMAGE_DIMS];
} mls__image;

typedef struct mls__images {
    const mls__graph *graph;
    size_t count;
    mls__image *images; /* of each value */
    mls__vec dims;      /* what the numbers mean */
    bool is_short;      /* of memory: something is missing */
} mls__images;

/* For float32 and floats of 16 bits. Errors: MLS_ENOMEM, which leaves nothing to be freed. */
mls_status mls__images_find(const mls__graph *graph, mls__images *ret_images);
void mls__images_free(mls__images *images);

/* NULL when nothing is known. */
const mls__image *mls__images_get(const mls__images *images, uint32_t value);

bool mls__image_equal(const mls__image *a, const mls__image *b);

/* Whether all spatial dims are 1. */
bool mls__image_is_point(const mls__images *images, const mls__image *image);

/* An op that gives its first input's shape, and works on each element alone. */
bool mls__is_pointwise(const mls__node *node);

#endif
