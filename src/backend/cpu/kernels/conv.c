/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set: convolution with lanes across filters (conv.h). A row is cut
 * into tiles (conv_tile.h).
 */
#include "backend/cpu/kernels/conv.h"

#include "backend/cpu/kernels/conv_tile.h"

extern const mls__conv_kernels MLS_ISA_NAME(conv);

/* Of conv_rows.c, conv_depthwise.c, conv_blocks.c and conv_plain.c. */
void MLS_ISA_NAME(conv_rows)(const mls__conv *conv, const mls__conv_row *row, int64_t count,
                             int64_t filter, int64_t filters);
void MLS_ISA_NAME(conv_depthwise)(const mls__conv *conv, const mls__conv_row *row,
                                  const mls__conv_rows *rows, int64_t count, int64_t block);
void MLS_ISA_NAME(conv_unblock)(float *y, int64_t y_channel, int64_t y_step, const float *x,
                                int64_t count, int64_t channels);
void MLS_ISA_NAME(conv_block)(float *y, const float *x, int64_t x_channel, int64_t x_step,
                              int64_t count, int64_t channels);
void MLS_ISA_NAME(conv_max_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation);
void MLS_ISA_NAME(conv_max_pairs)(float *y, const void *const *rows, int64_t count,
                                  const mls__conv_pairs *pairs);
void MLS_ISA_NAME(conv_sum_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation);
void MLS_ISA_NAME(conv_plane_sum)(float *y, const float *x, int64_t n);
void MLS_ISA_NAME(conv_float64)(const mls__conv *conv, const mls__conv_row *row, const double *x,
                                const double *w, double bias, double *y, int64_t count);

typedef void (*tile_fn)(const mls__conv *c, const mls__conv_row *row, struct tile *at);

#define TILE(outputs, panels)                                                                      \
    static void tile_##outputs##x##panels(const mls__conv *c, const mls__conv_row *row,            \
                                          struct tile *at)                                         \
    {                                                                                              \
        run_tile(outputs, panels, c, row, at);                                                     \
    }

TILE(1, 1)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
TILE(1, 2)
TILE(2, 2)
TILE(3, 2)
#if defined(MLS_SIMD_AVX512)
TILE(7, 1)
TILE(8, 1)
TILE(9, 1)
TILE(10, 1)
TILE(11, 1)
TILE(12, 1)
TILE(13, 1)
TILE(14, 1)
TILE(4, 2)
TILE(5, 2)
TILE(6, 2)
TILE(7, 2)
TILE(8, 2)
TILE(9, 2)
TILE(10, 2)
TILE(11, 2)
TILE(12, 2)
TILE(13, 2)
TILE(14, 2)
TILE(1, 3)
TILE(2, 3)
TILE(3, 3)
TILE(4, 3)
TILE(5, 3)
TILE(6, 3)
TILE(7, 3)
TILE(8, 3)
TILE(1, 4)
TILE(2, 4)
TILE(3, 4)
TILE(4, 4)
TILE(5, 4)
TILE(6, 4)
#endif

/* By panels - 1 and outputs - 1; filled as far as outputs_of_panels says. */
static const tile_fn tiles[TILE_PANELS][TILE_OUTPUTS] = {
#if defined(MLS_SIMD_AVX512)
    {tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1, tile_9x1,
     tile_10x1, tile_11x1, tile_12x1, tile_13x1, tile_14x1},
    {tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2, tile_9x2,
     tile_10x2, tile_11x2, tile_12x2, tile_13x2, tile_14x2},
    {tile_1x3, tile_2x3, tile_3x3, tile_4x3, tile_5x3, tile_6x3, tile_7x3, tile_8x3},
    {tile_1x4, tile_2x4, tile_3x4, tile_4x4, tile_5x4, tile_6x4},
#else
    {tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1},
    {tile_1x2, tile_2x2, tile_3x2},
#endif
};

/* --- rows ------------------------------------------------------------------------------------ */

/* What is done with results that are in y: `count` floats. */
static void finish_run(const mls__conv *c, float *y, int64_t count)
{
    if (c->activation && !c->is_bounded)
        c->activation(y, y, count, c->activation_params);
    if (c->round)
        c->round(y, count);
}

static void finish_outputs(const mls__conv *c, const mls__conv_row *row, int64_t i, int64_t count,
                           int64_t panel)
{
    float *y = row->y + panel * c->y_panel + i * c->y_step;
    if (c->y_step == BLOCK) {
        finish_run(c, y, count * BLOCK);
        return;
    }
    for (int64_t k = 0; k < count; k++)
        finish_run(c, y + k * c->y_step, BLOCK);
}

/*
 * Wide tiles read the fewest weights for each output. A few outputs alone are bound by the latency
 * of their sums, and few channels by that of what each tile begins and ends with: both take more
 * panels.
 */
static int panels_at_once(const mls__conv_row *row, int64_t count, int64_t panels)
{
#if defined(MLS_SIMD_AVX512)
    return count < FEW_OUTPUTS || (row->offsets && panels > 2) ? TILE_PANELS : 2;
#else
    (void) row, (void) panels;
    return count > outputs_of_panels[TILE_PANELS] ? 1 : TILE_PANELS;
#endif
}

/* Share `index` of `count` of what a row is to fetch. */
static void share_ahead(const mls__conv_row *row, int64_t index, int64_t count, struct tile *at)
{
    const mls__conv_ahead *all = &row->ahead;
    const int64_t rows = all->end - all->begin;
    const int64_t positions = at->blocks * row->line_count * row->tap_count;
    at->ahead_rows = 0;
    if (!all->panels || !positions)
        return;
    at->ahead = *all;
    at->ahead.begin = all->begin + rows * index / count;
    at->ahead.end = all->begin + rows * (index + 1) / count;
    at->ahead_rows = (at->ahead.end - at->ahead.begin) / positions + 1;
}

/* `part` is the place of all panels; the inputs of a tile stay in the first cache for all. */
static void run_outputs(const mls__conv *c, const mls__conv_row *row, const struct tile *part,
                        int64_t count, int64_t panels)
{
    const int64_t end = part->panel + panels, most = panels_at_once(row, count, panels);
    const int64_t groups = (panels + most - 1) / most, widest = outputs_of_panels[most];
    const int64_t tiles_all = (count + widest - 1) / widest;
    struct tile at = *part;
    for (int64_t t = 0, left = count; left > 0; t++) {
        const int64_t parts = tiles_all - t, outputs = (left + parts - 1) / parts;
        at.left = left - outputs;
        for (int64_t g = 0; g < groups; g++) {
            at.panel = part->panel + g * most;
            at.is_first = g == 0;
            const int64_t taken = end - at.panel < most ? end - at.panel : most;
            share_ahead(row, t * groups + g, tiles_all * groups, &at);
            tiles[taken - 1][outputs - 1](c, row, &at);
        }
        at.i += outputs;
        left -= outputs;
    }
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static enum spacing spacing_of(const mls__conv *c)
{
    if (c->x_step <= 2)
        return c->x_step == 1 ? SPACING_1 : SPACING_2;
    if (c->x_channel != 1)
        return SPACING_OTHER;
    return c->x_step == BLOCK       ? SPACING_BLOCK
           : c->x_step == 2 * BLOCK ? SPACING_2_BLOCKS
                                    : SPACING_OTHER;
}

/* With few channels, outputs at the edges have lines of their own. */
static void run_row(const mls__conv *c, const mls__conv_row *row, struct tile at, int64_t count,
                    int64_t panels)
{
    const int64_t end = at.i + count;
    const int64_t first = row->offsets ? clamp(row->begin, at.i, end) : at.i;
    const int64_t last = row->offsets ? clamp(row->end, first, end) : end;
    for (; at.i < first; at.i++)
        run_outputs(c, row, &at, 1, panels);
    run_outputs(c, row, &at, last - first, panels);
    for (at.i = last; at.i < end; at.i++)
        run_outputs(c, row, &at, 1, panels);
}

/* Few channels are bound by what they write: panels that a tile does not hold go row by row. */
static void direct(const mls__conv *c, const mls__conv_row *row, int64_t i, int64_t count,
                   int64_t panel, int64_t panels, int64_t block, int64_t blocks)
{
    const int64_t together = row->offsets ? panels_at_once(row, count, panels) : panels;
    struct tile at = {
        .i = i,
        .block = block,
        .blocks = blocks,
        .spacing = spacing_of(c),
        .is_dense = c->y_step == BLOCK,
    };
    for (int64_t p = 0; p < panels; p += together) {
        at.panel = panel + p;
        run_row(c, row, at, count, panels - p < together ? panels - p : together);
    }
    const bool is_finished = (!c->activation || c->is_bounded) && !c->round;
    if (is_finished || (block + blocks) * BLOCK < c->channels)
        return;
    for (int64_t p = panel; p < panel + panels; p++)
        finish_outputs(c, row, i, count, p);
}

const mls__conv_kernels MLS_ISA_NAME(conv) = {
    .direct_name = "conv.direct." MLS_ISA_STRING,
    .depthwise_name = "conv.depthwise." MLS_ISA_STRING,
    .rows_name = "conv.rows." MLS_ISA_STRING,
    .direct = direct,
    .depthwise = MLS_ISA_NAME(conv_depthwise),
    .rows = MLS_ISA_NAME(conv_rows),
    .unblock = MLS_ISA_NAME(conv_unblock),
    .block = MLS_ISA_NAME(conv_block),
    .max_along = MLS_ISA_NAME(conv_max_along),
    .max_pairs = MLS_ISA_NAME(conv_max_pairs),
    .sum_along = MLS_ISA_NAME(conv_sum_along),
    .plane_sum = MLS_ISA_NAME(conv_plane_sum),
    .float64 = MLS_ISA_NAME(conv_float64),
};
