/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the scales of QuantizeLinear and DequantizeLinear lie over the elements they are for:
 * inference and kernels read it through this, so that they cannot disagree.
 */
#ifndef MLS_OP_QUANTIZE_H
#define MLS_OP_QUANTIZE_H

#include "op/op.h"

/*
 * Element (o, d, i) of outer * length * inner has scale
 * o * outer_step + d / block * block_step + i * inner_step.
 */
typedef struct mls__quant_grid {
    int64_t count; /* of elements */
    int64_t length, inner;
    int64_t block;
    int64_t outer_step, block_step, inner_step;
} mls__quant_grid;

/*
 * Elements side by side whose scales are one (scale_step 0), or lie side by side (1).
 */
typedef struct mls__quant_run {
    int64_t count;
    int64_t scale, scale_step;
} mls__quant_run;

/*
 * Of inputs 0 (the elements), 1 (scales) and 2 (zero points, may be left out). Errors: MLS_ESHAPE
 * (scales or zero points that do not fit), MLS_EINVAL (axis, block_size).
 */
mls_status mls__op_quant_grid(const mls_op *op, mls__quant_grid *ret_grid);

/* The longest run from element `begin` on that ends at `end` or before. begin < end. */
mls__quant_run mls__quant_run_at(const mls__quant_grid *grid, int64_t begin, int64_t end);

#endif
