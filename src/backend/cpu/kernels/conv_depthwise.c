/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set: convolution of each channel with a filter of its own, lanes
 * across channels (conv.h). Rows are cut into tiles whose sums stay in registers, at the same
 * places in each: a tile is a few dozen instructions, so that what to do is decided once for all
 * rows.
 */
#include "backend/cpu/kernels/conv.h"

#include "backend/cpu/kernels/unary_ops.h"
#include "backend/cpu/simd/simd.h"

#include <math.h>

void MLS_ISA_NAME(conv_depthwise)(const mls__conv *conv, const mls__conv_row *row,
                                  const mls__conv_rows *rows, int64_t count, int64_t block);

#if defined(MLS_SIMD_AVX512)
enum { TILE_OUTPUTS = 16 };
#else
enum { TILE_OUTPUTS = 4 };
#endif

enum { NEAR_TAPS = 5 };

struct tile {
    int64_t i, block;
    /* Where taps are near: so many of the first and of the last inputs are outside. */
    int64_t before, after;
};

/* --- any taps -------------------------------------------------------------------------------- */

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

MLS_SIMD_FN void take_line(int outputs, const mls__conv *c, const mls__conv_row *row,
                           const mls__conv_line *line, const float *x, const float *w, int64_t i,
                           mls_vf *sums)
{
    for (int64_t t = 0; t < row->tap_count; t++) {
        const mls__conv_tap *tap = &row->taps[t];
        const mls_vf weight = vf_load(w + tap->index * MLS_LANES);
        take_tap(outputs, c, x + (line->x + tap->x), weight, tap->begin - i, tap->end - i, sums);
    }
}

/* --- taps that are near ---------------------------------------------------------------------- */

/*
 * Three or five taps, each next to the one before it, outputs one or two inputs apart: as most are.
 * Neighbours share inputs, each of which is read once. All of that is constants in every caller.
 */

/* Compilers would rather read a value again for each of its uses; loads are what is scarce. */
MLS_SIMD_FN mls_vf load_once(const float *x)
{
    mls_vf value = vf_load(x);
#if defined(MLS_SIMD_AVX512)
    __asm__("" : "+v"(value));
#endif
    return value;
}

/* Input j of a tile, for all outputs that read it. */
MLS_SIMD_FN void take_input(int outputs, int taps, int step, int j, const float *x,
                            const mls_vf *weights, mls_vf *sums)
{
    const mls_vf value = load_once(x + j * MLS_LANES);
    MLS_UNROLL
    for (int t = 0; t < taps; t++) {
        const int from = j - t;
        if (from >= 0 && from % step == 0 && from / step < outputs)
            sums[from / step] = vf_fma(value, weights[t], sums[from / step]);
    }
}

/* Fewer inputs are outside, at either end, than half the taps. */
MLS_SIMD_FN bool is_inside(int outputs, int taps, int step, int j, const struct tile *at)
{
    const int half = taps / 2, last = (outputs - 1) * step + taps - 1 - j;
    return !(j < half && j < at->before) && !(last < half && last < at->after);
}

/* In two loops, since compilers do not unroll longer ones. */
MLS_SIMD_FN void take_near_line(int outputs, int taps, int step, const float *x, const float *w,
                                const struct tile *at, mls_vf *sums)
{
    mls_vf weights[NEAR_TAPS];
    MLS_UNROLL
    for (int t = 0; t < taps; t++)
        weights[t] = vf_load(w + t * MLS_LANES);
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        MLS_UNROLL
        for (int s = 0; s < step; s++)
            if (is_inside(outputs, taps, step, r * step + s, at))
                take_input(outputs, taps, step, r * step + s, x, weights, sums);
    }
    MLS_UNROLL
    for (int s = 0; s < taps - step; s++)
        if (is_inside(outputs, taps, step, outputs * step + s, at))
            take_input(outputs, taps, step, outputs * step + s, x, weights, sums);
}

/* How the rows of a convolution are taken: an index of `tiles`. */
enum { ANY, THREE, THREE_HALVED, FIVE, FIVE_HALVED, KINDS };

static int kind_of(const mls__conv *c, const mls__conv_row *row)
{
    const int64_t step = c->x_step / MLS_LANES;
    if ((row->tap_count != 3 && row->tap_count != 5) || (step != 1 && step != 2) ||
        c->x_step % MLS_LANES || c->y_step != MLS_LANES)
        return ANY;
    for (int64_t t = 0; t < row->tap_count; t++)
        if (row->taps[t].index != t || row->taps[t].x != row->taps->x + t * MLS_LANES)
            return ANY;
    return (row->tap_count == 3 ? THREE : FIVE) + (step == 2);
}

/* Whether a tile of near taps reads no more from outside than its kind knows. */
static bool meet_edges(const mls__conv_row *row, int64_t outputs, struct tile *at)
{
    at->before = at->after = 0;
    if (at->i >= row->begin && at->i + outputs <= row->end)
        return true;
    for (int64_t t = 0; t < row->tap_count; t++) {
        at->before += row->taps[t].begin > at->i;
        at->after += row->taps[t].end < at->i + outputs;
    }
    return at->before <= row->tap_count / 2 && at->after <= row->tap_count / 2;
}

/* --- a tile ---------------------------------------------------------------------------------- */

/* Without `taps`, any; x is that of the tile's first output. */
MLS_SIMD_FN void take_lines(int outputs, int taps, int step, const mls__conv *c,
                            const mls__conv_row *row, const struct tile *at, const float *x,
                            mls_vf *sums)
{
    const float *w = c->w + at->block * c->positions * MLS_LANES;
    for (int64_t l = 0; l < row->line_count; l++) {
        const mls__conv_line *line = &row->lines[l];
        const float *own = w + line->index * MLS_LANES;
        if (taps)
            take_near_line(outputs, taps, step, x + (line->x + row->taps->x), own, at, sums);
        else
            take_line(outputs, c, row, line, x, own, at->i, sums);
    }
}

MLS_SIMD_FN void bound_sums(int outputs, const mls__conv *c, mls_vf *sums)
{
    const mls_vf low = vf_set1(c->low), high = vf_set1(c->high);
    if (c->high == INFINITY) {
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            sums[r] = vf_max(low, sums[r]);
        return;
    }
    MLS_UNROLL
    for (int r = 0; r < outputs; r++)
        sums[r] = op_clip(sums[r], low, high);
}

/* The bias, the residual (or NULL) and bounds; other activations follow when rows are in y. */
MLS_SIMD_FN void finish_sums(int outputs, int64_t y_step, const mls__conv *c, int64_t block,
                             const float *z, float *y, mls_vf *sums)
{
    if (c->bias) {
        const mls_vf bias = vf_load(c->bias + block * MLS_LANES);
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            sums[r] = vf_add(sums[r], bias);
    }
    if (z) {
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            sums[r] = vf_add(sums[r], vf_load(z + r * y_step));
    }
    if (c->is_bounded)
        bound_sums(outputs, c, sums);
    MLS_UNROLL
    for (int r = 0; r < outputs; r++)
        vf_store(y + r * y_step, sums[r]);
}

MLS_SIMD_FN void run_tiles(int outputs, int taps, int step, const mls__conv *c,
                           const mls__conv_row *row, const mls__conv_rows *rows,
                           const struct tile *at)
{
    const int64_t y_step = taps ? MLS_LANES : c->y_step;
    const float *x = row->x + (at->block * c->x_block + at->i * c->x_step);
    const int64_t place = at->block * c->y_panel + at->i * y_step;
    for (int64_t r = 0; r < rows->count; r++) {
        mls_vf sums[TILE_OUTPUTS];
        MLS_UNROLL
        for (int k = 0; k < outputs; k++)
            sums[k] = vf_zero();
        take_lines(outputs, taps, step, c, row, at, x + r * rows->x, sums);
        const int64_t y = place + r * rows->y;
        finish_sums(outputs, y_step, c, at->block, row->z ? row->z + y : NULL, row->y + y, sums);
    }
}

typedef void (*tile_fn)(const mls__conv *c, const mls__conv_row *row, const mls__conv_rows *rows,
                        const struct tile *at);

#define TILE(kind, taps, step, outputs)                                                            \
    static void kind##_##outputs(const mls__conv *c, const mls__conv_row *row,                     \
                                 const mls__conv_rows *rows, const struct tile *at)                \
    {                                                                                              \
        run_tiles(outputs, taps, step, c, row, rows, at);                                          \
    }

#define FOUR_TILES(kind, taps, step, a, b, c, d)                                                   \
    TILE(kind, taps, step, a)                                                                      \
    TILE(kind, taps, step, b)                                                                      \
    TILE(kind, taps, step, c)                                                                      \
    TILE(kind, taps, step, d)

#if defined(MLS_SIMD_AVX512)
#define TILES(kind, taps, step)                                                                    \
    FOUR_TILES(kind, taps, step, 1, 2, 3, 4)                                                       \
    FOUR_TILES(kind, taps, step, 5, 6, 7, 8)                                                       \
    FOUR_TILES(kind, taps, step, 9, 10, 11, 12)                                                    \
    FOUR_TILES(kind, taps, step, 13, 14, 15, 16)
#define NAMES(kind)                                                                                \
    kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6, kind##_7, kind##_8, kind##_9,      \
        kind##_10, kind##_11, kind##_12, kind##_13, kind##_14, kind##_15, kind##_16
#else
#define TILES(kind, taps, step) FOUR_TILES(kind, taps, step, 1, 2, 3, 4)
#define NAMES(kind)             kind##_1, kind##_2, kind##_3, kind##_4
#endif

TILES(any, 0, 0)
TILES(three, 3, 1)
TILES(three_halved, 3, 2)
TILES(five, 5, 1)
TILES(five_halved, 5, 2)

static const tile_fn tiles[KINDS][TILE_OUTPUTS] = {
    [ANY] = {NAMES(any)},
    [THREE] = {NAMES(three)},
    [THREE_HALVED] = {NAMES(three_halved)},
    [FIVE] = {NAMES(five)},
    [FIVE_HALVED] = {NAMES(five_halved)},
};

/* What is done with results that are in y: `count` floats. */
static void finish_run(const mls__conv *c, float *y, int64_t count)
{
    if (c->activation && !c->is_bounded)
        c->activation(y, y, count, c->activation_params);
    if (c->round)
        c->round(y, count);
}

static void finish_outputs(const mls__conv *c, float *y, int64_t count)
{
    if (c->y_step == MLS_LANES) {
        finish_run(c, y, count * MLS_LANES);
        return;
    }
    for (int64_t k = 0; k < count; k++)
        finish_run(c, y + k * c->y_step, MLS_LANES);
}

void MLS_ISA_NAME(conv_depthwise)(const mls__conv *c, const mls__conv_row *row,
                                  const mls__conv_rows *rows, int64_t count, int64_t block)
{
    const int kind = kind_of(c, row);
    int64_t parts = (count + TILE_OUTPUTS - 1) / TILE_OUTPUTS;
    struct tile at = {.block = block};
    for (; at.i < count; parts--) {
        const int64_t outputs = (count - at.i + parts - 1) / parts;
        const bool is_near = kind != ANY && meet_edges(row, outputs, &at);
        tiles[is_near ? kind : ANY][outputs - 1](c, row, rows, &at);
        at.i += outputs;
    }
    const bool is_finished = (!c->activation || c->is_bounded) && !c->round;
    for (int64_t r = 0; !is_finished && r < rows->count; r++)
        finish_outputs(c, row->y + block * c->y_panel + r * rows->y, count);
}
