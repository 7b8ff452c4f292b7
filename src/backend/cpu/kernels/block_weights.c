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

/* --- products -------------------------------------------------------------------------------- */

/* Where each of a group of panels is. */
typedef struct group {
    const uint8_t *from[MLS__BLOCK_PANELS];
    mls_vf scale[MLS__BLOCK_PANELS], zero[MLS__BLOCK_PANELS], sum[MLS__BLOCK_PANELS];
} group;

MLS_SIMD_FN void add(group *g, int p, mls_vf scalar, mls_vi q)
{
    const mls_vf weight = vf_mul(vf_sub(vi_to_float(q), g->zero[p]), g->scale[p]);
    g->sum[p] = vf_fma(scalar, weight, g->sum[p]);
}

/* Rows of a block, two at a time where they lie in the halves of bytes. */
MLS_SIMD_FN void add_block(group *g, int panels, int bits, const float *row, int64_t rows)
{
    const int each = bits == 8 ? 1 : 2;
    for (int64_t i = 0; i < rows; i += each) {
        const mls_vf first = vf_set1(row[i]);
        const bool has_second = each == 2 && i + 1 < rows;
        const mls_vf second = vf_set1(has_second ? row[i + 1] : 0);
        MLS_UNROLL
        for (int p = 0; p < panels; p++) {
            const mls_vi two = vi_load_u8(g->from[p]);
            g->from[p] += MLS_LANES;
            add(g, p, first, each == 1 ? two : vi_and(two, vi_set1(15)));
            if (has_second)
                add(g, p, second, vi_shr(two, 4));
        }
    }
}

MLS_SIMD_FN void multiply_panels(const mls__block_weights *w, int panels, int bits,
                                 const float *row, float *ret_sums)
{
    group g;
    MLS_UNROLL
    for (int p = 0; p < panels; p++) {
        g.from[p] = w[p].packed;
        g.sum[p] = vf_zero();
    }
    for (int64_t at = 0, block = 0; at < w->rows; at += w->block, block += MLS_LANES) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++) {
            g.scale[p] = vf_load(w[p].scales + block);
            g.zero[p] = vf_load(w[p].zeros + block);
        }
        add_block(&g, panels, bits, row + at, w->rows - at < w->block ? w->rows - at : w->block);
    }
    MLS_UNROLL
    for (int p = 0; p < panels; p++)
        vf_store(ret_sums + p * MLS_LANES, g.sum[p]);
}

static void multiply(const mls__block_weights *w, int panels, const float *row, float *ret_sums)
{
    int done = 0;
    if (panels == MLS__BLOCK_PANELS && w->bits == 4) {
        multiply_panels(w, MLS__BLOCK_PANELS, 4, row, ret_sums);
        return;
    }
    if (panels == MLS__BLOCK_PANELS) {
        multiply_panels(w, MLS__BLOCK_PANELS, 8, row, ret_sums);
        return;
    }
    for (; done < panels; done++)
        multiply_panels(w + done, 1, w->bits, row, ret_sums + done * MLS_LANES);
}

const mls__block_weight_kernels MLS_ISA_NAME(block_weights) = {expand, multiply};
