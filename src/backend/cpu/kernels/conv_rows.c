/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set: convolution with lanes along a row of outputs (conv.h), for
 * groups of too few filters to fill a vector, and for tensors that are not blocked.
 */
#include "backend/cpu/kernels/conv.h"

#include "backend/cpu/simd/simd.h"

void MLS_ISA_NAME(conv_rows)(const mls__conv *conv, const mls__conv_row *row, int64_t count,
                             int64_t filter, int64_t filters);

enum {
    TILE_FILTERS = 4,
    TILE_VECTORS = 4, /* with one filter; half with more than two, if registers are few */
#if defined(MLS_SIMD_AVX512)
    WIDE_VECTORS = 4,
#else
    WIDE_VECTORS = 1,
#endif
    ACTIVATED = 8 * MLS_LANES, /* outputs at once */
};

typedef mls_vf tile_sums[TILE_FILTERS][TILE_VECTORS];

struct tile {
    int64_t i, filter;
    int lanes; /* of the last vector */
};

/* Every other one of `count` floats. */
MLS_SIMD_FN mls_vf load_even(const float *x, int count)
{
    const int first = count < MLS_LANES ? count : MLS_LANES;
    return vf_even(vf_load_n(x, first), vf_load_n(x + MLS_LANES, count - first));
}

/*
 * The inputs of lanes first .. last-1 of a vector of outputs, of which lane 0's is x[at]. Those
 * before lane `first` may be read where they are inside of x, which begins at x[0].
 */
MLS_SIMD_FN mls_vf load_some(const float *x, int64_t at, int64_t step, int first, int last)
{
    if (step == 1 && (first == 0 || at >= 0))
        return vf_load_n(x + at, last);
    if (step == 2 && (first == 0 || at >= 0))
        return load_even(x + at, 2 * last - 1);
    const mls_vm lanes = vm_andnot(vm_first(last), vm_first(first));
    return vf_gather_mask(vf_zero(), lanes, x + at, vi_mul(vi_iota(), vi_set1((int32_t) step)));
}

MLS_SIMD_FN mls_vf load_all(const float *x, int64_t step)
{
    if (step == 1)
        return vf_load(x);
    if (step == 2)
        return load_even(x, 2 * MLS_LANES - 1);
    return vf_gather(x, vi_mul(vi_iota(), vi_set1((int32_t) step)));
}

/* One channel at one of the kernel's positions, all vectors whole. */
MLS_SIMD_FN void take_all(int filters, int vectors, const mls__conv *c, const float *x,
                          const float *w, tile_sums sums)
{
    mls_vf values[TILE_VECTORS];
    MLS_UNROLL
    for (int v = 0; v < vectors; v++)
        values[v] = load_all(x + v * MLS_LANES * c->x_step, c->x_step);
    MLS_UNROLL
    for (int f = 0; f < filters; f++) {
        const mls_vf weight = vf_set1(w[f * c->w_filter]);
        MLS_UNROLL
        for (int v = 0; v < vectors; v++)
            sums[f][v] = vf_fma(values[v], weight, sums[f][v]);
    }
}

/* Likewise, where it is inside for outputs begin .. end-1 of the tile. */
MLS_SIMD_FN void take_some(int filters, int vectors, const mls__conv *c, const float *x, int64_t at,
                           const float *w, int64_t begin, int64_t end, tile_sums sums)
{
    MLS_UNROLL
    for (int v = 0; v < vectors; v++) {
        const int64_t from = begin - v * MLS_LANES, to = end - v * MLS_LANES;
        if (from >= MLS_LANES || to <= 0)
            continue;
        const int first = from > 0 ? (int) from : 0, last = to < MLS_LANES ? (int) to : MLS_LANES;
        const mls_vf values = load_some(x, at + v * MLS_LANES * c->x_step, c->x_step, first, last);
        const mls_vm lanes = vm_andnot(vm_first(last), vm_first(first));
        MLS_UNROLL
        for (int f = 0; f < filters; f++) {
            const mls_vf sum = vf_fma(values, vf_set1(w[f * c->w_filter]), sums[f][v]);
            sums[f][v] = vf_select(lanes, sum, sums[f][v]);
        }
    }
}

/* One of the kernel's positions. */
MLS_SIMD_FN void take_tap(int filters, int vectors, const mls__conv *c, const mls__conv_row *row,
                          const struct tile *at, const mls__conv_line *line,
                          const mls__conv_tap *tap, int64_t block, tile_sums sums)
{
    const int64_t outputs = (vectors - 1) * MLS_LANES + at->lanes;
    const int64_t begin = tap->begin - at->i;
    const int64_t end = tap->end - at->i < outputs ? tap->end - at->i : outputs;
    if (begin >= end || end <= 0)
        return;
    const int64_t left = c->channels - block * MLS_LANES;
    const int64_t channels = left < MLS_LANES ? left : MLS_LANES;
    const float *w = c->w + at->filter * c->w_filter + block * MLS_LANES * c->w_channel +
                     line->index + tap->index;
    const int64_t x = block * c->x_block + line->x + tap->x + at->i * c->x_step;
    const bool is_whole = begin <= 0 && end == vectors * MLS_LANES;
    for (int64_t k = 0; k < channels; k++) {
        const int64_t own = x + k * c->x_channel;
        if (is_whole)
            take_all(filters, vectors, c, row->x + own, w + k * c->w_channel, sums);
        else
            take_some(filters, vectors, c, row->x, own, w + k * c->w_channel, begin, end, sums);
    }
}

MLS_SIMD_FN void store_output(const mls__conv *c, const mls__conv_row *row, int64_t at, mls_vf v,
                              int lanes)
{
    float *y = row->y + at;
    float values[MLS_LANES];
    if (c->y_step == 1) {
        if (row->z)
            v = vf_add(v, vf_load_n(row->z + at, lanes));
        vf_store_n(y, v, lanes);
        return;
    }
    vf_store(values, v);
    for (int k = 0; k < lanes; k++)
        y[k * c->y_step] = row->z ? values[k] + row->z[at + k * c->y_step] : values[k];
}

/* As in conv.c, filters and vectors are constants in every caller. */
MLS_SIMD_FN void run_tile(int filters, int vectors, const mls__conv *c, const mls__conv_row *row,
                          const struct tile *at)
{
    tile_sums sums;
    MLS_UNROLL
    for (int k = 0; k < filters * vectors; k++)
        sums[k / vectors][k % vectors] = vf_zero();
    const int64_t blocks = (c->channels + MLS_LANES - 1) / MLS_LANES;
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t l = 0; l < row->line_count; l++)
            for (int64_t t = 0; t < row->tap_count; t++)
                take_tap(filters, vectors, c, row, at, &row->lines[l], &row->taps[t], b, sums);
    MLS_UNROLL
    for (int f = 0; f < filters; f++) {
        const int64_t y = (at->filter + f) * c->y_panel + at->i * c->y_step;
        MLS_UNROLL
        for (int v = 0; v < vectors; v++) {
            mls_vf value = sums[f][v];
            if (c->bias)
                value = vf_add(value, vf_set1(c->bias[at->filter + f]));
            store_output(c, row, y + v * MLS_LANES * c->y_step, value,
                         v < vectors - 1 ? MLS_LANES : at->lanes);
        }
    }
}

typedef void (*tile_fn)(const mls__conv *c, const mls__conv_row *row, const struct tile *at);

#define TILE(filters, vectors)                                                                     \
    static void tile_##filters##x##vectors(const mls__conv *c, const mls__conv_row *row,           \
                                           const struct tile *at)                                  \
    {                                                                                              \
        run_tile(filters, vectors, c, row, at);                                                    \
    }

TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
#if defined(MLS_SIMD_AVX512)
TILE(2, 2)
TILE(2, 3)
TILE(2, 4)
TILE(3, 2)
TILE(3, 3)
TILE(3, 4)
TILE(4, 2)
TILE(4, 3)
TILE(4, 4)
#endif

/* By filters - 1 and vectors - 1. */
static const tile_fn tiles[TILE_FILTERS][TILE_VECTORS] = {
    {tile_1x1, tile_1x2, tile_1x3, tile_1x4},
#if defined(MLS_SIMD_AVX512)
    {tile_2x1, tile_2x2, tile_2x3, tile_2x4},
    {tile_3x1, tile_3x2, tile_3x3, tile_3x4},
    {tile_4x1, tile_4x2, tile_4x3, tile_4x4},
#else
    {tile_2x1},
    {tile_3x1},
    {tile_4x1},
#endif
};

/* Outputs that lie apart are brought together: activations are slow one by one. */
static void activate_apart(const mls__conv *c, float *y, int64_t count)
{
    float values[ACTIVATED];
    const int64_t step = c->y_step;
    for (int64_t i = 0; i < count; i += ACTIVATED) {
        const int64_t taken = count - i < ACTIVATED ? count - i : ACTIVATED;
        for (int64_t k = 0; k < taken; k++)
            values[k] = y[(i + k) * step];
        c->activation(values, values, taken, c->activation_params);
        for (int64_t k = 0; k < taken; k++)
            y[(i + k) * step] = values[k];
    }
}

static void activate(const mls__conv *c, float *y, int64_t count)
{
    if (c->y_step == 1)
        c->activation(y, y, count, c->activation_params);
    else
        activate_apart(c, y, count);
}

static void run_filters(const mls__conv *c, const mls__conv_row *row, int64_t count, int64_t filter,
                        int filters)
{
    const int most = filters == 1 ? TILE_VECTORS : WIDE_VECTORS;
    for (int64_t i = 0; i < count;) {
        const int64_t vectors = (count - i + MLS_LANES - 1) / MLS_LANES;
        const int taken = vectors < most ? (int) vectors : most;
        const int64_t left = count - i - (taken - 1) * MLS_LANES;
        const struct tile at = {
            .i = i, .filter = filter, .lanes = left < MLS_LANES ? (int) left : MLS_LANES};
        tiles[filters - 1][taken - 1](c, row, &at);
        i += taken * MLS_LANES;
    }
    for (int f = 0; c->activation && f < filters; f++)
        activate(c, row->y + (filter + f) * c->y_panel, count);
}

void MLS_ISA_NAME(conv_rows)(const mls__conv *c, const mls__conv_row *row, int64_t count,
                             int64_t filter, int64_t filters)
{
    const int64_t end = filter + filters;
    while (filter < end) {
        const int taken = end - filter < TILE_FILTERS ? (int) (end - filter) : TILE_FILTERS;
        run_filters(c, row, count, filter, taken);
        filter += taken;
    }
}
