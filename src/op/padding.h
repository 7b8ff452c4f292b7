/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forms in which attention ops of com.microsoft say which keys are padding: int32, told apart
 * by their shape. Shape inference and backends read them with the same function.
 */
#ifndef MLS_OP_PADDING_H
#define MLS_OP_PADDING_H

#include "op/op.h"

typedef enum mls__padding_form {
    MLS__PADDING_NONE,
    MLS__PADDING_ENDS,   /* [batch], or the first of [3 batch + 2]: keys of each */
    MLS__PADDING_RANGES, /* [2 batch]: ends, then begins */
    MLS__PADDING_KEYS,   /* [batch, keys]: 0 is padding */
    MLS__PADDING_ROWS,   /* [batch, queries, keys]: likewise */
    MLS__PADDING_SQUARE  /* [batch, 1, most, most]: rows from the past's end on */
} mls__padding_form;

typedef struct mls__padding {
    mls__padding_form form;
    int64_t batch, queries, keys, past;
    int64_t most; /* of a SQUARE */
} mls__padding;

/* Sets form and most from input `index` for the other members. Errors: MLS_ESHAPE, MLS_EDTYPE. */
mls_status mls__op_padding(const mls_op *op, size_t index, mls__padding *padding);

#endif
