/* SPDX-License-Identifier: Apache-2.0 */
/* What com.microsoft's MatMulNBits is given, which inference and kernel read alike. */
#ifndef MLS_OP_BLOCK_PRODUCT_H
#define MLS_OP_BLOCK_PRODUCT_H

#include "op/op.h"

enum {
    MLS__BLOCK_PRODUCT_A,
    MLS__BLOCK_PRODUCT_B,
    MLS__BLOCK_PRODUCT_SCALES,
    MLS__BLOCK_PRODUCT_ZEROS,
    MLS__BLOCK_PRODUCT_GROUPS,
    MLS__BLOCK_PRODUCT_BIAS
};

typedef struct mls__block_product {
    int64_t n, k;
    int64_t bits, block;   /* of an element; elements that share a scale */
    int64_t blocks;        /* of a column */
    int64_t block_bytes;   /* of B */
    int64_t zero_bytes;    /* of a column's packed zero points */
    bool has_packed_zeros; /* else, where there are any, they are floats */
} mls__block_product;

/* Checks attributes, and the shapes of all inputs but A. Errors: MLS_EINVAL, MLS_ESHAPE. */
mls_status mls__op_block_product(const mls_op *op, mls__block_product *ret_product);

#endif
