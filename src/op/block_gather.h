/* SPDX-License-Identifier: Apache-2.0 */
/* What com.microsoft's GatherBlockQuantized is given, which inference and kernel read alike. */
#ifndef MLS_OP_BLOCK_GATHER_H
#define MLS_OP_BLOCK_GATHER_H

#include "op/op.h"

typedef struct mls__block_gather {
    int rank;
    int64_t dims[MLS_MAX_RANK]; /* of the data, once they are unpacked */
    int gather_axis, block_axis;
    int64_t bits;    /* of an element in memory: 2, 4 or 8 */
    int64_t block;   /* elements along block_axis that share a scale */
    int64_t blocks;  /* along block_axis */
    int64_t columns; /* scales along the last axis */
} mls__block_gather;

/* Inputs: data, indices, scales, zero points. Errors: MLS_EINVAL, MLS_ESHAPE. */
mls_status mls__op_block_gather(const mls_op *op, mls__block_gather *ret_gather);

#endif
