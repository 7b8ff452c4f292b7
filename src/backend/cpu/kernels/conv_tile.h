/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of conv.c: a tile of a few outputs by a few panels of filters, whose sums stay in registers.
 * Where a tap is outside of the input for some outputs of the tile, the others take it one after
 * another.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_CONV_TILE_H
#define MLS_BACKEND_CPU_KERNELS_CONV_TILE_H

#include "backend/cpu/kernels/conv.h"
#include "backend/cpu/kernels/unary_ops.h"
#include "backend/cpu/simd/simd.h"

#include <math.h>

_Static_assert(MLS__CONV_BLOCK == MLS_LANES, "a panel is one vector wide");

enum {
    BLOCK = MLS_LANES,
#if defined(MLS_SIMD_AVX512)
    TILE_OUTPUTS = 14,
    TILE_PANELS = 4,
    FEW_OUTPUTS = 7,
#else
    TILE_OUTPUTS = 6,
    TILE_PANELS = 2,
#endif
};

/* The most outputs that the sums of so many panels may have, by the number of registers. */
#if defined(MLS_SIMD_AVX512)
static const int outputs_of_panels[TILE_PANELS + 1] = {0, 14, 14, 8, 6};
#else
static const int outputs_of_panels[TILE_PANELS + 1] = {0, 6, 3};
#endif

/*
 * How far apart the inputs of neighbours are, where loops have the distance as a constant. These
 * ask for its name: compilers know a number that was compared, and make the loops one again.
 */
enum spacing { SPACING_OTHER, SPACING_1, SPACING_2, SPACING_BLOCK, SPACING_2_BLOCKS };

/* A tile's place: what of it is not the same for the whole row. */
struct tile {
    int64_t i, panel;
    int64_t block, blocks;
    enum spacing spacing;
    bool is_dense;         /* outputs lie one behind the other */
    bool is_first;         /* of the tiles of these outputs, of which each has other panels */
    mls__conv_ahead ahead; /* the tile's share */
    int64_t ahead_rows;    /* to be fetched before each of the kernel's positions */
    int64_t left;          /* outputs behind the tile */
};

typedef mls_vf tile_sums[TILE_OUTPUTS][TILE_PANELS];

/* `outputs` and `panels` are constants in every caller: the loops unroll, the sums are registers.
 */
MLS_SIMD_FN void load_sums(int outputs, int panels, const mls__conv *c, const float *y,
                           tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = vf_load(y + r * c->y_step + p * c->y_panel);
    }
}

/* `y_step` is that of the convolution, as a constant where it is known. */
MLS_SIMD_FN void store_sums(int outputs, int panels, int64_t y_step, int64_t y_panel, float *y,
                            tile_sums sums)
{
    MLS_UNROLL
    for (int p = 0; p < panels; p++) {
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            vf_store(y + r * y_step, sums[r][p]);
        y += y_panel;
    }
}

MLS_SIMD_FN void clear_sums(int outputs, int panels, tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = vf_zero();
    }
}

/*
 * A tap that is inside for outputs first .. end-1, which are constants too; x is that of output 0.
 * `step` and `x_channel` are those of the convolution, as constants where they are known.
 */
MLS_SIMD_FN void take_range(int first, int end, int panels, int64_t step, int64_t x_channel,
                            int64_t w_panel, const float *x, const float *w, int64_t channels,
                            tile_sums sums)
{
    for (int64_t k = 0; k < channels; k++) {
        mls_vf row[TILE_PANELS];
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            row[p] = vf_load(w + p * w_panel);
        MLS_UNROLL
        for (int r = first; r < end; r++) {
            const mls_vf scalar = vf_set1(x[r * step]);
            MLS_UNROLL
            for (int p = 0; p < panels; p++)
                sums[r][p] = vf_fma(scalar, row[p], sums[r][p]);
        }
        x += x_channel;
        w += BLOCK;
    }
}

/* A tap that is inside for all outputs. */
MLS_SIMD_FN void take_all(int outputs, int panels, int64_t step, int64_t x_channel, int64_t w_panel,
                          const float *x, const float *w, int64_t channels, tile_sums sums)
{
    take_range(0, outputs, panels, step, x_channel, w_panel, x, w, channels, sums);
}

/* A tap that is inside for the outputs whose bits are set; x is that of output 0. */
MLS_SIMD_FN void take_some(int outputs, int panels, const mls__conv *c, const float *x,
                           const float *w, int64_t channels, uint32_t inside, tile_sums sums)
{
    const int64_t w_panel = c->channels * c->positions * BLOCK;
    for (int64_t k = 0; k < channels; k++) {
        mls_vf row[TILE_PANELS];
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            row[p] = vf_load(w + p * w_panel);
        MLS_UNROLL
        for (int r = 0; r < outputs; r++) {
            if (!(inside >> r & 1))
                continue;
            const mls_vf scalar = vf_set1(x[r * c->x_step]);
            MLS_UNROLL
            for (int p = 0; p < panels; p++)
                sums[r][p] = vf_fma(scalar, row[p], sums[r][p]);
        }
        x += c->x_channel;
        w += BLOCK;
    }
}

/* Taps of lines, `count` channels of them all in all, for outputs that have these; x is that of the
 * first. */
MLS_SIMD_FN void take_line(int outputs, int panels, int64_t w_panel, int64_t step,
                           const int64_t *offsets, int64_t count, const float *x, const float *w,
                           tile_sums sums)
{
    for (int64_t k = 0; k < count; k++) {
        const float *own = x + offsets[k];
        mls_vf weights[TILE_PANELS];
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            weights[p] = vf_load(w + p * w_panel);
        MLS_UNROLL
        for (int r = 0; r < outputs; r++) {
            const mls_vf scalar = vf_set1(own[r * step]);
            MLS_UNROLL
            for (int p = 0; p < panels; p++)
                sums[r][p] = vf_fma(scalar, weights[p], sums[r][p]);
        }
        w += BLOCK;
    }
}

/* Those of a row's taps that are inside for an output are neighbours. */
MLS_SIMD_FN void find_taps(const mls__conv_row *row, int64_t i, int64_t *ret_first,
                           int64_t *ret_count)
{
    int64_t first = 0, end = row->tap_count;
    while (first < end && (row->taps[first].begin > i || row->taps[first].end <= i))
        first++;
    while (end > first && (row->taps[end - 1].begin > i || row->taps[end - 1].end <= i))
        end--;
    *ret_first = first;
    *ret_count = end - first;
}

/*
 * Plain rows are too short for the machine to foresee the next ones: asks for what the tile below
 * will read of the lines that this one does not have.
 */
MLS_SIMD_FN void fetch_lines(int outputs, const mls__conv *c, const mls__conv_row *row,
                             const struct tile *at)
{
    enum { LINE = 64 / sizeof(float) };
    const int64_t floats = outputs * c->x_step;
    for (int64_t l = row->line_count - row->fresh_lines; l < row->line_count; l++) {
        const float *x = row->x + (row->lines[l].x + row->ahead_x + at->i * c->x_step);
        for (int64_t k = 0; k < c->channels; k++)
            for (int64_t j = 0; j < floats; j += LINE)
                __builtin_prefetch(x + k * c->x_channel + j);
    }
}

/* All lines, for one output or for some that have all taps. */
MLS_SIMD_FN void take_lines(int outputs, int panels, const mls__conv *c, const mls__conv_row *row,
                            const struct tile *at, tile_sums sums)
{
    const int64_t w_panel = c->channels * c->positions * BLOCK;
    int64_t tap = 0, taps = row->tap_count;
    if (outputs == 1)
        find_taps(row, at->i, &tap, &taps);
    const int64_t lines = taps == row->tap_count ? row->lines_at_once : 1;
    const int64_t *offsets = row->offsets + tap * c->channels, count = lines * taps * c->channels;
    const float *w = c->w + at->panel * w_panel + tap * c->channels * BLOCK;
    for (int64_t l = 0; l < row->line_count; l += lines) {
        const float *own_x = row->x + (row->lines[l].x + at->i * c->x_step);
        const float *own_w = w + row->lines[l].index * c->channels * BLOCK;
        if (at->spacing == SPACING_1)
            take_line(outputs, panels, w_panel, 1, offsets, count, own_x, own_w, sums);
        else if (at->spacing == SPACING_2)
            take_line(outputs, panels, w_panel, 2, offsets, count, own_x, own_w, sums);
        else
            take_line(outputs, panels, w_panel, c->x_step, offsets, count, own_x, own_w, sums);
    }
}

/*
 * A tile of few channels is done sooner than memory takes the outputs of the one before: asks for
 * the lines that the next one writes.
 */
MLS_SIMD_FN void fetch_outputs(int outputs, int panels, const mls__conv *c, const struct tile *at,
                               const float *y)
{
    if (at->left < outputs || !at->is_dense || c->is_y_near)
        return;
    MLS_UNROLL
    for (int p = 0; p < panels; p++) {
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            __builtin_prefetch(y + (outputs + r) * BLOCK, 1);
        y += c->y_panel;
    }
}

/* Asks for a few of the weights that are wanted next, well before they are. */
MLS_SIMD_FN void fetch_ahead(struct tile *at)
{
    mls__conv_ahead *ahead = &at->ahead;
    const int64_t left = ahead->end - ahead->begin;
    const int64_t rows = left < at->ahead_rows ? left : at->ahead_rows;
    for (int64_t k = 0; k < rows; k++, ahead->begin++)
        for (int64_t p = 0; p < ahead->panels; p++)
            __builtin_prefetch(ahead->w + p * ahead->panel + ahead->begin * BLOCK, 0, 2);
}

/* Bits begin .. end-1, of the outputs of a tile. */
MLS_SIMD_FN uint32_t bits_between(int outputs, int64_t begin, int64_t end)
{
    const int64_t first = begin > 0 ? begin : 0, last = end < outputs ? end : outputs;
    return first < last ? (UINT32_C(1) << last) - (UINT32_C(1) << first) : 0;
}

/* A tap of a whole block, of neighbours of which the first or the last may be outside. */
MLS_SIMD_FN bool take_neighbours(int outputs, int panels, int64_t w_panel, const mls__conv_tap *tap,
                                 int64_t i, const float *x, const float *w, tile_sums sums)
{
    const int64_t begin = tap->begin - i, end = tap->end - i;
    if (begin <= 0 && end >= outputs)
        take_all(outputs, panels, BLOCK, 1, w_panel, x, w, BLOCK, sums);
    else if (begin == 1 && end >= outputs)
        take_range(1, outputs, panels, BLOCK, 1, w_panel, x, w, BLOCK, sums);
    else if (begin <= 0 && end == outputs - 1)
        take_range(0, outputs - 1, panels, BLOCK, 1, w_panel, x, w, BLOCK, sums);
    else
        return false;
    return true;
}

/* All positions of one block of channels; x is that of output 0 of the tile. */
MLS_SIMD_FN void take_block(int outputs, int panels, const mls__conv *c, const mls__conv_row *row,
                            struct tile *at, const float *x, const float *w, int64_t channels,
                            tile_sums sums)
{
    const int64_t w_panel = c->channels * c->positions * BLOCK, i = at->i;
    const bool is_dense = at->spacing == SPACING_BLOCK && channels == BLOCK;
    const bool is_halved = at->spacing == SPACING_2_BLOCKS && channels == BLOCK;
    for (int64_t l = 0; l < row->line_count; l++) {
        const mls__conv_line *line = &row->lines[l];
        for (int64_t t = 0; t < row->tap_count; t++) {
            const mls__conv_tap *tap = &row->taps[t];
            const float *own_x = x + (line->x + tap->x);
            const float *own_w = w + (line->index + tap->index) * channels * BLOCK;
            fetch_ahead(at);
            if (is_dense && take_neighbours(outputs, panels, w_panel, tap, i, own_x, own_w, sums))
                continue;
            if (tap->begin > i || tap->end < i + outputs)
                take_some(outputs, panels, c, own_x, own_w, channels,
                          bits_between(outputs, tap->begin - i, tap->end - i), sums);
            else if (is_halved)
                take_all(outputs, panels, 2 * BLOCK, 1, w_panel, own_x, own_w, BLOCK, sums);
            else
                take_all(outputs, panels, c->x_step, c->x_channel, w_panel, own_x, own_w, channels,
                         sums);
        }
    }
}

/* A plane lies between a block and the next: too far for the machine to foresee. */
MLS_SIMD_FN void fetch_inputs(int outputs, int64_t step, const float *x)
{
    MLS_UNROLL
    for (int r = 0; r < outputs; r++)
        __builtin_prefetch(x + r * step);
}

/* Whole blocks at the kernel's only position, for neighbours that all have it. */
MLS_SIMD_FN void take_points(int outputs, int panels, const mls__conv *c, int64_t step,
                             struct tile *at, const float *x, const float *w, int64_t blocks,
                             tile_sums sums)
{
    const int64_t w_panel = c->channels * BLOCK, x_block = c->x_block;
    for (int64_t b = 0; b < blocks; b++) {
        fetch_ahead(at);
        if (b + 2 < blocks)
            fetch_inputs(outputs, step, x + 2 * x_block);
        take_all(outputs, panels, step, 1, w_panel, x, w, BLOCK, sums);
        x += x_block;
        w += BLOCK * BLOCK;
    }
}

/* How many of the tile's first blocks are for take_points. */
MLS_SIMD_FN int64_t count_points(int outputs, const mls__conv *c, const mls__conv_row *row,
                                 const struct tile *at)
{
    const bool is_near = at->spacing == SPACING_BLOCK || at->spacing == SPACING_2_BLOCKS;
    if (!is_near || c->positions != 1 || row->line_count * row->tap_count != 1 ||
        row->begin > at->i || row->end < at->i + outputs)
        return 0;
    const int64_t whole = c->channels / BLOCK - at->block;
    return whole < at->blocks ? whole : at->blocks;
}

/*
 * Of the lines that a row reads, the one above it has read all but the last: asks for what the
 * block behind block b reads of it, or the next tile's first one.
 */
MLS_SIMD_FN void fetch_line(int outputs, const mls__conv *c, const mls__conv_row *row,
                            const struct tile *at, const float *x, int64_t b)
{
    if (c->is_x_near || !at->is_first || !row->line_count || !row->tap_count)
        return;
    x += row->lines[row->line_count - 1].x + row->taps[row->tap_count - 1].x;
    x += b + 1 < at->blocks ? (b + 1) * c->x_block : outputs * c->x_step;
    fetch_inputs(outputs, at->spacing == SPACING_BLOCK ? BLOCK : 2 * BLOCK, x);
}

MLS_SIMD_FN void take_blocks(int outputs, int panels, const mls__conv *c, const mls__conv_row *row,
                             struct tile *at, tile_sums sums)
{
    const float *w = c->w + (at->panel * c->channels + at->block * BLOCK) * c->positions * BLOCK;
    const float *x = row->x + (at->block * c->x_block + at->i * c->x_step);
    const int64_t points = count_points(outputs, c, row, at);
    const float *first = points ? x + (row->lines->x + row->taps->x) : x;
    if (at->spacing == SPACING_BLOCK)
        take_points(outputs, panels, c, BLOCK, at, first, w, points, sums);
    else
        take_points(outputs, panels, c, 2 * BLOCK, at, first, w, points, sums);
    for (int64_t b = points; b < at->blocks; b++) {
        const int64_t left = c->channels - (at->block + b) * BLOCK;
        if (at->spacing == SPACING_BLOCK || at->spacing == SPACING_2_BLOCKS)
            fetch_line(outputs, c, row, at, x, b);
        take_block(outputs, panels, c, row, at, x + b * c->x_block,
                   w + b * BLOCK * c->positions * BLOCK, left < BLOCK ? left : BLOCK, sums);
    }
}

MLS_SIMD_FN void add_bias(int outputs, int panels, const float *bias, tile_sums sums)
{
    MLS_UNROLL
    for (int p = 0; p < panels; p++) {
        const mls_vf own = vf_load(bias + p * BLOCK);
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            sums[r][p] = vf_add(sums[r][p], own);
    }
}

MLS_SIMD_FN void add_residual(int outputs, int panels, const mls__conv *c, const float *z,
                              tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = vf_add(sums[r][p], vf_load(z + r * c->y_step + p * c->y_panel));
    }
}

MLS_SIMD_FN void bound_sums(int outputs, int panels, const mls__conv *c, tile_sums sums)
{
    const mls_vf low = vf_set1(c->low), high = vf_set1(c->high);
    if (c->high == INFINITY) {
        MLS_UNROLL
        for (int r = 0; r < outputs; r++) {
            MLS_UNROLL
            for (int p = 0; p < panels; p++)
                sums[r][p] = vf_max(low, sums[r][p]);
        }
        return;
    }
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = op_clip(sums[r][p], low, high);
    }
}

/*
 * The bias, the residual and bounds; other activations follow when a row is in y. Each is asked for
 * once a tile: a tile of few channels takes no longer than a question for each of its sums.
 */
MLS_SIMD_FN void finish_sums(int outputs, int panels, const mls__conv *c, const mls__conv_row *row,
                             const struct tile *at, tile_sums sums)
{
    if (c->bias)
        add_bias(outputs, panels, c->bias + at->panel * BLOCK, sums);
    if (row->z)
        add_residual(outputs, panels, c, row->z + at->panel * c->y_panel + at->i * c->y_step, sums);
    if (c->is_bounded)
        bound_sums(outputs, panels, c, sums);
}

/*
 * What a tile ends with lies too far from what the one before it had for the machine to foresee:
 * asks for the lines that it writes, and for the residual, when its sums begin.
 */
MLS_SIMD_FN void fetch_ends(int outputs, int panels, const mls__conv *c, const mls__conv_row *row,
                            const struct tile *at, const float *y)
{
    if (c->is_y_near)
        return;
    const bool is_last = (at->block + at->blocks) * BLOCK >= c->channels;
    const float *z = row->z && is_last ? row->z + (y - row->y) : NULL;
    MLS_UNROLL
    for (int p = 0; p < panels; p++) {
        if (at->block == 0) {
            MLS_UNROLL
            for (int r = 0; r < outputs; r++)
                __builtin_prefetch(y + p * c->y_panel + r * c->y_step, 1);
        }
        if (z) {
            MLS_UNROLL
            for (int r = 0; r < outputs; r++)
                __builtin_prefetch(z + p * c->y_panel + r * c->y_step);
        }
    }
}

MLS_SIMD_FN void run_tile(int outputs, int panels, const mls__conv *c, const mls__conv_row *row,
                          struct tile *at)
{
    float *y = row->y + at->panel * c->y_panel + at->i * c->y_step;
    tile_sums sums;
    if (at->block > 0)
        load_sums(outputs, panels, c, y, sums);
    else
        clear_sums(outputs, panels, sums);
    if (row->offsets && (outputs == 1 || (at->i >= row->begin && at->i + outputs <= row->end))) {
        fetch_outputs(outputs, panels, c, at, y);
        if (outputs > 1)
            fetch_lines(outputs, c, row, at);
        take_lines(outputs, panels, c, row, at, sums);
    } else {
        fetch_ends(outputs, panels, c, row, at, y);
        take_blocks(outputs, panels, c, row, at, sums);
    }
    if ((at->block + at->blocks) * BLOCK >= c->channels)
        finish_sums(outputs, panels, c, row, at, sums);
    if (at->is_dense)
        store_sums(outputs, panels, BLOCK, c->y_panel, y, sums);
    else
        store_sums(outputs, panels, c->y_step, c->y_panel, y, sums);
}

#endif
