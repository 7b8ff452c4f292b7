/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the kernels that block_weights.h declares. */
#include "backend/cpu/kernels/block_weights.h"

#include "backend/cpu/simd/simd.h"

extern const mls__block_weight_kernels MLS_ISA_NAME(block_weights);

MLS_SIMD_FN void put(float *to, mls_vi q, mls_vf scale, mls_vf zero)
{
    vf_store(to, vf_mul(vf_sub(vi_to_float(q), zero), scale));
}

static const uint8_t *expand_bytes(float *to, const uint8_t *from, int64_t rows, mls_vf scale,
                                   mls_vf zero)
{
    for (int64_t i = 0; i < rows; i++, from += MLS_LANES)
        put(to + i * MLS_LANES, vi_load_u8(from), scale, zero);
    return from;
}

static const uint8_t *expand_halves(float *to, const uint8_t *from, int64_t rows, mls_vf scale,
                                    mls_vf zero)
{
    for (int64_t i = 0; i < rows; i += 2, from += MLS_LANES) {
        const mls_vi two = vi_load_u8(from);
        put(to + i * MLS_LANES, vi_and(two, vi_set1(15)), scale, zero);
        if (i + 1 < rows)
            put(to + (i + 1) * MLS_LANES, vi_shr(two, 4), scale, zero);
    }
    return from;
}

static void expand(const mls__block_weights *w, float *ret_panel)
{
    const uint8_t *from = w->packed;
    for (int64_t row = 0, block = 0; row < w->rows; row += w->block, block++) {
        const int64_t rows = w->rows - row < w->block ? w->rows - row : w->block;
        const mls_vf scale = vf_load(w->scales + block * MLS_LANES);
        const mls_vf zero = vf_load(w->zeros + block * MLS_LANES);
        float *to = ret_panel + row * MLS_LANES;
        from = w->bits == 8 ? expand_bytes(to, from, rows, scale, zero)
                            : expand_halves(to, from, rows, scale, zero);
    }
}

const mls__block_weight_kernels MLS_ISA_NAME(block_weights) = {expand};
