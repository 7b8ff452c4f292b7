/* SPDX-License-Identifier: Apache-2.0 */
/* What a DeformConv's attributes and dims say, for inference and kernels alike. */
#ifndef MLS_OP_DEFORM_H
#define MLS_OP_DEFORM_H

#include "op/convolution.h"

/* Inputs behind X and W. */
enum { MLS__DEFORM_OFFSETS = 2, MLS__DEFORM_BIAS, MLS__DEFORM_MASK, MLS__DEFORM_INPUTS };

typedef struct mls__deform {
    mls__convolution conv;
    int64_t offset_groups; /* channels of one go by the same offsets */
    int64_t positions;     /* elements of a kernel */
    int64_t outputs;       /* elements of a channel of the output */
} mls__deform;

/* Errors: those of mls__op_convolution(). */
mls_status mls__op_deform(const mls_op *op, mls__deform *ret_deform);

#endif
