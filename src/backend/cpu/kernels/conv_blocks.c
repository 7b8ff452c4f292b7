/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set: convolution of each channel with a filter of its own, lanes
 * across channels (conv.h), and the way into blocks of channels and out of them.
 */
#include "backend/cpu/kernels/conv.h"

#include "backend/cpu/simd/simd.h"

#include <math.h>

void MLS_ISA_NAME(conv_depthwise)(const mls__conv *conv, const mls__conv_row *row, int64_t count,
                                  int64_t block);
void MLS_ISA_NAME(conv_unblock)(float *y, int64_t y_channel, int64_t y_step, const float *x,
                                int64_t count, int64_t channels);
void MLS_ISA_NAME(conv_block)(float *y, const float *x, int64_t x_channel, int64_t x_step,
                              int64_t count, int64_t channels);

void MLS_ISA_NAME(conv_max_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation);
void MLS_ISA_NAME(conv_sum_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation);

#if defined(MLS_SIMD_AVX512)
enum { TILE_OUTPUTS = 8 };
#else
enum { TILE_OUTPUTS = 4 };
#endif

/* --- depthwise ------------------------------------------------------------------------------- */

/* `outputs` is a constant in every caller: the loops unroll, the sums are registers. */
MLS_SIMD_FN void take_tap(int outputs, const mls__conv *c, const float *x, mls_vf weight,
                          int64_t begin, int64_t end, mls_vf *sums)
{
    const int64_t step = c->x_step;
    if (begin <= 0 && end >= outputs) {
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            sums[r] = vf_fma(vf_load(x + r * step), weight, sums[r]);
        return;
    }
    MLS_UNROLL
    for (int r = 0; r < outputs; r++)
        if (r >= begin && r < end)
            sums[r] = vf_fma(vf_load(x + r * step), weight, sums[r]);
}

MLS_SIMD_FN void run_tile(int outputs, const mls__conv *c, const mls__conv_row *row, int64_t i,
                          int64_t block)
{
    const float *w = c->w + block * c->positions * MLS_LANES;
    const float *x = row->x + (block * c->x_block + i * c->x_step);
    const int64_t at = block * c->y_panel + i * c->y_step;
    const mls_vf bias = c->bias ? vf_load(c->bias + block * MLS_LANES) : vf_zero();
    mls_vf sums[TILE_OUTPUTS];
    MLS_UNROLL
    for (int r = 0; r < outputs; r++)
        sums[r] = vf_zero();
    for (int64_t l = 0; l < row->line_count; l++)
        for (int64_t t = 0; t < row->tap_count; t++) {
            const mls__conv_tap *tap = &row->taps[t];
            const mls_vf weight = vf_load(w + (row->lines[l].index + tap->index) * MLS_LANES);
            take_tap(outputs, c, x + (row->lines[l].x + tap->x), weight, tap->begin - i,
                     tap->end - i, sums);
        }
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        mls_vf v = c->bias ? vf_add(sums[r], bias) : sums[r];
        if (row->z)
            v = vf_add(v, vf_load(row->z + at + r * c->y_step));
        vf_store(row->y + at + r * c->y_step, v);
    }
}

typedef void (*tile_fn)(const mls__conv *c, const mls__conv_row *row, int64_t i, int64_t block);

#define TILE(outputs)                                                                              \
    static void tile_##outputs(const mls__conv *c, const mls__conv_row *row, int64_t i,            \
                               int64_t block)                                                      \
    {                                                                                              \
        run_tile(outputs, c, row, i, block);                                                       \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
#if defined(MLS_SIMD_AVX512)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
#endif

static const tile_fn tiles[TILE_OUTPUTS] = {
    tile_1, tile_2, tile_3, tile_4,
#if defined(MLS_SIMD_AVX512)
    tile_5, tile_6, tile_7, tile_8,
#endif
};

void MLS_ISA_NAME(conv_depthwise)(const mls__conv *c, const mls__conv_row *row, int64_t count,
                                  int64_t block)
{
    int64_t parts = (count + TILE_OUTPUTS - 1) / TILE_OUTPUTS, i = 0;
    for (; i < count; parts--) {
        const int64_t outputs = (count - i + parts - 1) / parts;
        tiles[outputs - 1](c, row, i, block);
        i += outputs;
    }
    float *y = row->y + block * c->y_panel;
    for (int64_t k = 0; c->activation && c->y_step != MLS_LANES && k < count; k++)
        c->activation(y + k * c->y_step, y + k * c->y_step, MLS_LANES, c->activation_params);
    if (c->activation && c->y_step == MLS_LANES)
        c->activation(y, y, count * MLS_LANES, c->activation_params);
}

/* --- blocks ---------------------------------------------------------------------------------- */

void MLS_ISA_NAME(conv_unblock)(float *y, int64_t y_channel, int64_t y_step, const float *x,
                                int64_t count, int64_t channels)
{
    for (int64_t i = 0; i < count; i += MLS_LANES) {
        const int64_t n = count - i < MLS_LANES ? count - i : MLS_LANES;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t k = 0; k < n; k++)
                y[c * y_channel + (i + k) * y_step] = x[(i + k) * MLS_LANES + c];
    }
}

void MLS_ISA_NAME(conv_block)(float *y, const float *x, int64_t x_channel, int64_t x_step,
                              int64_t count, int64_t channels)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t c = 0; c < channels; c++)
            y[i * MLS_LANES + c] = x[c * x_channel + i * x_step];
        for (int64_t c = channels; c < MLS_LANES; c++)
            y[i * MLS_LANES + c] = 0;
    }
}

/* --- pools ----------------------------------------------------------------------------------- */

void MLS_ISA_NAME(conv_max_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation)
{
    for (int64_t o = 0; o < n; o++) {
        mls_vf v = vf_set1(-INFINITY);
        for (int64_t k = 0; k < kernel; k++)
            v = vf_max_nan(v, vf_load(x + (o * stride + k * dilation) * MLS_LANES));
        vf_store(y + o * MLS_LANES, v);
    }
}

void MLS_ISA_NAME(conv_sum_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation)
{
    for (int64_t o = 0; o < n; o++) {
        mls_vf v = vf_zero();
        for (int64_t k = 0; k < kernel; k++)
            v = vf_add(v, vf_load(x + (o * stride + k * dilation) * MLS_LANES));
        vf_store(y + o * MLS_LANES, v);
    }
}
