/* SPDX-License-Identifier: Apache-2.0 */
/* A growing array of elements of one size. */
#ifndef MLS_BASE_VEC_H
#define MLS_BASE_VEC_H

#include "base/alloc.h"

typedef struct mls__vec {
    const mls__allocator *allocator;
    void *data; /* count elements; moves when it grows. To drop the last ones, lower count. */
    size_t count, capacity, element_size;
} mls__vec;

void mls__vec_init(mls__vec *vec, const mls__allocator *allocator, size_t element_size);
void mls__vec_clear(mls__vec *vec);

/* Room for one more, zero-filled, or NULL when there is no memory. */
void *mls__vec_push(mls__vec *vec);

/* The element at `index`, which must be below count. */
void *mls__vec_at(const mls__vec *vec, size_t index);

#endif
