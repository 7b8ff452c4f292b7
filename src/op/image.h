/* SPDX-License-Identifier: Apache-2.0 */
/* What ops on images ask for: inference and kernels read it through these. */
#ifndef MLS_OP_IMAGE_H
#define MLS_OP_IMAGE_H

#include "op/op.h"

/* Col2Im: blocks, along each of `rank` dimensions. */
typedef struct mls__blocks {
    int rank;
    int64_t image[MLS_MAX_RANK];     /* the output's lengths */
    int64_t block[MLS_MAX_RANK];     /* elements of a block ... */
    int64_t dilation[MLS_MAX_RANK];  /* ... that are so far apart */
    int64_t stride[MLS_MAX_RANK];    /* from block to block */
    int64_t before[MLS_MAX_RANK];    /* elements that the first block begins before the image */
    int64_t positions[MLS_MAX_RANK]; /* of blocks */
    int64_t block_count, position_count;
} mls__blocks;

/* Errors: MLS_EINVAL, MLS_ESHAPE, those of mls__op_known_ints(). */
mls_status mls__op_blocks(const mls_op *op, mls__blocks *ret_blocks);

#endif
