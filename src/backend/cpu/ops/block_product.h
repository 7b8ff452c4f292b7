/* SPDX-License-Identifier: Apache-2.0 */
/* Constant weights of MatMulNBits, packed for kernels/block_weights.h. */
#ifndef MLS_BACKEND_CPU_OPS_BLOCK_PRODUCT_H
#define MLS_BACKEND_CPU_OPS_BLOCK_PRODUCT_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "op/block_product.h"

/* Panels one after the other: scales, zeros, then elements; see mls__block_weights. */
typedef struct mls__block_pack {
    const char *memory;
    size_t panel_bytes;
    size_t zeros, elements; /* offsets in a panel */
} mls__block_pack;

/*
 * Packs B, its scales and zero points, once for all sessions of the model.
 * Errors: MLS_ENOMEM; MLS_EUNSUPPORTED (they are no constants); MLS_ESHAPE (too large).
 */
mls_status mls__block_pack_make(const mls__cpu *cpu, const mls_op *op, const mls__block_product *p,
                                mls__block_pack *ret_pack);

mls__block_weights mls__block_pack_panel(const mls__block_pack *pack, const mls__block_product *p,
                                         int64_t panel);

#endif
