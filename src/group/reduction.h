/* SPDX-License-Identifier: Apache-2.0 */
/* What a reduction does to elements: runs a program of the canonical tree, block by block. */
#ifndef MLS_GROUP_REDUCTION_H
#define MLS_GROUP_REDUCTION_H

#include "group/tree.h"

#include <mlscale/group.h>

#include <stdbool.h>

/* Elements that a program is run for at a time: what its stack holds stays in the cache. */
#define MLS__REDUCTION_BLOCK 512
/* Bytes of a place of the stack. */
#define MLS__REDUCTION_PLACE (MLS__REDUCTION_BLOCK * 8)

typedef struct mls__reduction {
    uint32_t op; /* MLS_REDUCE_* */
    int32_t dtype;
    int32_t sum_dtype; /* what is computed in: float32 for those of 16 bits */
    size_t size, sum_size;
    mls_combine_fn combine; /* of the library, or the caller's */
    void *user;
    uint32_t divisor; /* of a mean */
    bool streams;     /* the result goes past the caches (group/stream.h) */
} mls__reduction;

/* Where a part's elements lie, in the reduction's dtype or already in the sum's. */
typedef struct mls__leaf {
    const unsigned char *data;
    bool is_sum;
} mls__leaf;

/* Whether the library can reduce elements of `dtype` so. */
bool mls__reduction_can(uint32_t op, int32_t dtype);

/* `combine` is the caller's, for MLS_REDUCE_USER. */
void mls__reduction_make(uint32_t op, int32_t dtype, mls_combine_fn combine, void *user,
                         uint32_t shards, mls__reduction *ret_reduction);

/*
 * Runs `program` on `count` elements of each leaf. The result is final, in the dtype, or
 * else a sum. `stack` has program->depth places. `result` may be one of the leaves.
 */
void mls__reduction_run(const mls__reduction *reduction, const mls__program *program,
                        const mls__leaf *leaves, size_t count, bool is_final, void *result,
                        unsigned char *stack);

/* "sum", "mean", ... */
const char *mls__reduction_name(uint32_t op);

#endif
