/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of ops that move data: elements that can be told apart, of any dtype, and
 * expectations written index by index.
 *
 *     index_walk walk = {.rank = rank, .dims = dims};
 *     while (next_index(&walk))
 *         from[walk.position] = ...walk.index...;
 */
#ifndef TESTS_CPU_ELEMENTS_H
#define TESTS_CPU_ELEMENTS_H

#include "support/test.h"

#include <stdbool.h>

/* One dtype of each element size; the dtype after another of all that there are. */
extern const mls_dtype sized_dtypes[];
extern const size_t sized_dtype_count;
mls_dtype next_dtype(mls_dtype dtype);

/* `count` elements: each differs from those near it, none is 0 or NaN. free() it. */
void *make_elements(mls_dtype dtype, int64_t count);

/* Element i is element from[i] of `data`; where that is negative, `value`. free() it. */
void *pick_elements(mls_dtype dtype, const void *data, const int64_t *from, int64_t count,
                    const void *value);

/* A generator of its own, so that a seed names a case. */
typedef struct random_state {
    uint64_t state;
} random_state;

/* In [low, high]. */
int64_t random_in(random_state *random, int64_t low, int64_t high);
mls_dtype random_dtype(random_state *random);

/* dims in [low, high] whose product is at most `limit`. Returns the product. */
int64_t random_dims(random_state *random, int rank, int64_t low, int64_t high, int64_t limit,
                    int64_t *ret_dims);

/* Distinct numbers of [0, count), `picked` of them, in any order. */
void random_axes(random_state *random, int count, int picked, int *ret_axes);

int64_t count_of(int rank, const int64_t *dims);
int64_t position_of(int rank, const int64_t *dims, const int64_t *index);

/* Every index of a shape, in row-major order. */
typedef struct index_walk {
    int rank;
    const int64_t *dims;
    int64_t index[MLS_MAX_RANK];
    int64_t position;
    bool is_started;
} index_walk;

bool next_index(index_walk *walk);

#endif
