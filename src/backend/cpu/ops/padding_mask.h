/* SPDX-License-Identifier: Apache-2.0 */
/* Padding (op/padding.h) as a mask of float32: 0, and a number where a key is padding. */
#ifndef MLS_BACKEND_CPU_OPS_PADDING_MASK_H
#define MLS_BACKEND_CPU_OPS_PADDING_MASK_H

#include "backend/cpu/ops/attend.h"
#include "op/padding.h"

/* Its rows of keys: of each batch one, or one for each query; 0 without padding. */
int64_t mls__padding_rows(const mls__padding *padding);

/* As a mask of attention. */
mls__attend_mask mls__padding_mask(const mls__padding *padding);

/* `filter` is what padding has. */
void mls__padding_fill(const mls__padding *padding, const int32_t *data, float filter,
                       float *ret_mask);

#endif
