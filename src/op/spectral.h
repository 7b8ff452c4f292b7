/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ops of signals ask for: lengths and axes. Inference and kernels read it through these,
 * so that they cannot disagree.
 */
#ifndef MLS_OP_SPECTRAL_H
#define MLS_OP_SPECTRAL_H

#include "op/op.h"

/* The longest transform, which keeps every product of two positions within 64 bits. */
#define MLS__DFT_LONGEST (INT64_C(1) << 30)

/* Samples and frequencies are of one number, or of two: complex. */
typedef struct mls__dft {
    int axis;
    int64_t length;    /* of the transform */
    int64_t given;     /* samples along the axis; zeros follow, or the last ones are left out */
    int64_t kept;      /* along the output's axis */
    int input, output; /* numbers of a sample and of a frequency: 1 or 2 */
    bool is_inverse;
    bool is_half; /* the input of an inverse: its other half is its mirror image */
} mls__dft;

/* DFT. Errors: MLS_EINVAL, MLS_ESHAPE, those of mls__op_known_ints(). */
mls_status mls__op_dft(const mls_op *op, mls__dft *ret_dft);

typedef struct mls__stft {
    int64_t batch, signal, frames, step;
    mls__dft dft; /* of a frame; its axis means nothing */
} mls__stft;

/* STFT. Errors: as above. */
mls_status mls__op_stft(const mls_op *op, mls__stft *ret_stft);

/* Input `index`, a scalar that is known and in [low, high]. Errors: MLS_EINVAL, as above. */
mls_status mls__op_known_scalar(const mls_op *op, size_t index, int64_t low, int64_t high,
                                int64_t *ret_value);

#endif
