/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a FusedPointwise of the domain mlscale computes: a list of ops, the pieces, each of which
 * gives its elements one by one from those of its operands. A pass writes it, inference checks it,
 * and a backend runs it; this file is what they have in common.
 *
 * Values are numbered: the fused op's inputs, then the result of each piece. The last piece's is
 * the output. The attributes are
 *
 *     pieces   strings: the pieces' types, ops of ai.onnx
 *     program  ints: for each piece how many attributes it has, how many operands, and the
 *              operands' numbers, of which MLS__POINTWISE_NONE is one that is left out
 *
 * and behind these two the attributes of the pieces, one piece after another.
 */
#ifndef MLS_OP_POINTWISE_H
#define MLS_OP_POINTWISE_H

#include "op/op.h"

#define MLS__POINTWISE_TYPE     "FusedPointwise"
#define MLS__POINTWISE_PIECES   32
#define MLS__POINTWISE_INPUTS   16
#define MLS__POINTWISE_OPERANDS 3
#define MLS__POINTWISE_VALUES   (MLS__POINTWISE_INPUTS + MLS__POINTWISE_PIECES)

#define MLS__POINTWISE_NONE (-1)

/* The dtype of what an op gives. */
typedef enum mls__pointwise_dtype {
    MLS__POINTWISE_FIRST, /* that of the first operand */
    MLS__POINTWISE_LAST,  /* that of the last one */
    MLS__POINTWISE_BOOL,
    MLS__POINTWISE_TO /* what its attribute `to` says */
} mls__pointwise_dtype;

/* An op that may be a piece. Its first `shaping` operands broadcast to what it gives. */
typedef struct mls__pointwise_op {
    const char *type;
    uint8_t min_operands, max_operands, shaping;
    uint8_t dtype; /* mls__pointwise_dtype */
} mls__pointwise_op;

/* NULL: it cannot be a piece. */
const mls__pointwise_op *mls__pointwise_find(mls_string type);

typedef struct mls__pointwise_piece {
    const mls__pointwise_op *op;
    size_t attr_begin, attr_count; /* among those of the fused op */
    int operand_count;
    int operands[MLS__POINTWISE_OPERANDS];
} mls__pointwise_piece;

typedef struct mls__pointwise {
    int inputs; /* of the fused op: the first piece gives value number `inputs` */
    int count;  /* of pieces */
    mls__pointwise_piece pieces[MLS__POINTWISE_PIECES];
} mls__pointwise;

/*
 * Reads the program and checks it: operands are there when they are read, and each piece but the
 * last is read, so that all of them broadcast to the output. Errors: MLS_EINVAL.
 */
mls_status mls__pointwise_read(const mls_op *op, mls__pointwise *ret_program);

/* A piece as an op of its own, which borrows `fused` and itself. */
typedef struct mls__pointwise_view {
    mls_op op;
    mls_arg inputs[MLS__POINTWISE_OPERANDS];
} mls__pointwise_view;

/* `values` are by number. The op's output is not set. */
void mls__pointwise_view_piece(const mls__pointwise *program, int piece, const mls_op *fused,
                               const mls_arg *values, mls__pointwise_view *view);

/* What the piece gives, of operands that inference has taken. */
void mls__pointwise_result(const mls__pointwise *program, int piece,
                           const mls__pointwise_view *view, mls_arg *ret_result);

#endif
