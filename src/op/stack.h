/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ConvStack of the domain mlscale computes: blocked convolutions and pools, the stages, each
 * of which takes what the one before it gave. A pass writes it, inference checks it, and a backend
 * runs it; this file is what they have in common.
 *
 * Its inputs are the first stage's image, then the other inputs of each stage (weights, bias,
 * residual), one stage after another. The attributes are
 *
 *     stages   strings: the stages' types, ops of mlscale
 *     program  ints: for each stage how many attributes it has, and how many other inputs
 *
 * and behind these two the attributes of the stages, one stage after another.
 */
#ifndef MLS_OP_STACK_H
#define MLS_OP_STACK_H

#include "op/op.h"

#define MLS__STACK_TYPE   "ConvStack"
#define MLS__STACK_STAGES 16
/* Of a stage, with its image. */
#define MLS__STAGE_INPUTS 4
#define MLS__STACK_INPUTS (1 + MLS__STACK_STAGES * (MLS__STAGE_INPUTS - 1))

typedef struct mls__stack_stage {
    const char *type;
    size_t attr_begin, attr_count;   /* among those of the stack */
    size_t input_begin, input_count; /* likewise, without the image */
} mls__stack_stage;

typedef struct mls__stack {
    int count; /* of stages */
    mls__stack_stage stages[MLS__STACK_STAGES];
} mls__stack;

/* Whether an op of mlscale may be a stage. */
bool mls__stack_takes(mls_string type);

/* Reads the program and checks it. Errors: MLS_EINVAL. */
mls_status mls__stack_read(const mls_op *op, mls__stack *ret_stack);

/* A stage as an op of its own, which borrows the stack and itself. */
typedef struct mls__stage_view {
    mls_op op;
    mls_arg inputs[MLS__STAGE_INPUTS];
} mls__stage_view;

/* `x` is the stage's image. The op's output is not set. */
void mls__stack_view_stage(const mls__stack *stack, int stage, const mls_op *op, const mls_arg *x,
                           mls__stage_view *view);

/* What a stage gives. Errors: those of its convolution or pool. */
mls_status mls__stack_result(const mls__stage_view *view, mls_arg *ret_result);

#endif
