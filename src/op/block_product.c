/* SPDX-License-Identifier: Apache-2.0 */
/* See block_product.h. */
#include "op/block_product.h"

#include "base/alloc.h"

#include <inttypes.h>

static mls_status check_count(const mls_op *op, size_t index, int64_t columns, int64_t each)
{
    int64_t count;
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || (mls__mul_i64(columns, each, &count) && mls__arg_count(arg) == count))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "input %zu has %" PRId64 " elements, expected %" PRId64
                         " for each of %" PRId64 " columns",
                         index, mls__arg_count(arg), each, columns);
}

static mls_status read_attributes(const mls_op *op, mls__block_product *p)
{
    p->n = mls__op_int(op, "N", 0);
    p->k = mls__op_int(op, "K", 0);
    p->bits = mls__op_int(op, "bits", 4);
    p->block = mls__op_int(op, "block_size", 0);
    if (p->n < 1 || p->k < 1)
        return mls__op_error(op, MLS_EINVAL,
                             "N is %" PRId64 " and K %" PRId64 ", expected 1 or more", p->n, p->k);
    if (p->bits != 2 && p->bits != 4 && p->bits != 8)
        return mls__op_error(op, MLS_EINVAL, "bits is %" PRId64 ", expected 2, 4 or 8", p->bits);
    if (p->block < 16 || p->block > INT32_MAX || (p->block & (p->block - 1)))
        return mls__op_error(op, MLS_EINVAL,
                             "block_size is %" PRId64 ", expected a power of two from 16 on",
                             p->block);
    return MLS_OK;
}

mls_status mls__op_block_product(const mls_op *op, mls__block_product *p)
{
    mls_status status = read_attributes(op, p);
    if (status)
        return status;
    const mls_arg *zeros = mls__op_input(op, MLS__BLOCK_PRODUCT_ZEROS);
    p->blocks = p->k / p->block + (p->k % p->block != 0);
    p->block_bytes = p->block * p->bits / 8;
    const int64_t in_byte = 8 / p->bits;
    p->zero_bytes = p->blocks / in_byte + (p->blocks % in_byte != 0);
    p->has_packed_zeros = zeros && zeros->dtype == MLS_UINT8;
    int64_t column;
    if (!mls__mul_i64(p->blocks, p->block_bytes, &column))
        return mls__op_error(op, MLS_EINVAL, "K is more than memory can hold");
    status = check_count(op, MLS__BLOCK_PRODUCT_B, p->n, column);
    if (!status)
        status = check_count(op, MLS__BLOCK_PRODUCT_SCALES, p->n, p->blocks);
    if (!status)
        status = check_count(op, MLS__BLOCK_PRODUCT_ZEROS, p->n,
                             p->has_packed_zeros ? p->zero_bytes : p->blocks);
    return status ? status : check_count(op, MLS__BLOCK_PRODUCT_BIAS, p->n, 1);
}
