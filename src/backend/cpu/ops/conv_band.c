/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Some rows of a blocked convolution, by one thread, from and to rings of rows (stack.h). Each
 * output is what conv.c makes of it.
 */
#include "backend/cpu/ops/conv.h"

bool mls__conv_is_banded(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const bool is_direct = conv->method == MLS__CONV_DIRECT && s->groups == 1;
    const bool is_dropped = conv->is_dropped[0] || conv->is_dropped[1];
    return !conv->is_empty && !conv->is_x_half && !conv->is_y_half && !s->is_transposed &&
           s->is_y_blocked && conv->packed && !is_dropped &&
           (is_direct || conv->method == MLS__CONV_DEPTHWISE);
}

/* Where outputs are neighbours whatever their row (conv_ops.c), the image is one row. */
static bool is_flat(const mls__conv_op *conv)
{
    return conv->shape.rank == 1;
}

/* Rows from `first` on, whose inputs and outputs lie in one piece if there are several. */
static void place_rows(const mls__conv_op *conv, const mls__band *band, int64_t first,
                       mls__conv_row *row)
{
    mls__conv_line *lines = (mls__conv_line *) (void *) band->slot;
    const int64_t y = first % band->y_rows * band->width * MLS__CONV_BLOCK;
    mls__conv_set_row(conv, is_flat(conv) ? 0 : first, lines, row);
    row->x = band->x;
    row->y = band->y + y;
    row->z = band->z ? band->z + y : NULL;
    if (is_flat(conv)) {
        row->x +=
            first % band->x_rows * band->width * (conv->shape.is_x_blocked ? MLS__CONV_BLOCK : 1);
        return;
    }
    const int64_t step = conv->shape.axes[1].input * MLS__CONV_BLOCK;
    if (!conv->shape.is_x_blocked)
        return;
    row->lines_at_once = 1; /* where the ring begins again they do not follow each other */
    for (int64_t l = 0; l < row->line_count; l++)
        lines[l].x = lines[l].x / step % band->x_rows * step;
}

static void run_direct(const mls__conv_op *conv, const mls__conv *c, const mls__conv_row *row,
                       int64_t count, int64_t panel)
{
    const mls__conv_kernels *kernels = conv->base.cpu->kernels->conv;
    const int64_t blocks = mls__channel_blocks(c->channels);
    const int64_t panels = mls__at_most(conv->panels - panel, MLS__CONV_PANELS);
    for (int64_t b = 0; b == 0 || b < blocks; b += conv->step_blocks)
        kernels->direct(c, row, 0, count, panel, panels, b,
                        mls__at_most(conv->step_blocks, blocks - b));
}

/* So many rows from `first` on, of what is before `last`, that lie in one piece. */
static int64_t rows_at_once(const mls__conv_op *conv, const mls__band *band, int64_t first,
                            int64_t last)
{
    if (!is_flat(conv))
        return 1;
    const int64_t x = band->x_rows - first % band->x_rows;
    const int64_t y = band->y_rows - first % band->y_rows;
    return mls__at_most(last - first, mls__at_most(x, y));
}

static int64_t run_direct_rows(const mls__conv_op *conv, const mls__conv *c, const mls__band *band,
                               const mls__conv_row *row, int64_t first)
{
    const int64_t rows = rows_at_once(conv, band, first, band->last);
    for (int64_t p = 0; p < conv->panels; p += MLS__CONV_PANELS)
        run_direct(conv, c, row, rows * band->width, p);
    return rows;
}

/* As far as neither ring begins again. */
static int64_t run_depthwise_rows(const mls__conv_op *conv, const mls__conv *c,
                                  const mls__band *band, const mls__conv_row *row, int64_t first)
{
    const mls__conv_axis *axis = &conv->shape.axes[0];
    const int64_t blocks = mls__channel_blocks(conv->shape.groups);
    mls__conv_rows rows = mls__conv_rows_from(conv, row, first, band->last);
    const int64_t x_begin = (first * axis->stride - axis->before) % band->x_rows;
    const int64_t x_left = band->x_rows - x_begin - (axis->kernel - 1) * axis->dilation - 1;
    if (rows.count > 1) {
        const int64_t most = x_left < 0 ? 1 : x_left / axis->stride + 1;
        rows.count =
            mls__at_most(rows.count, mls__at_most(most, band->y_rows - first % band->y_rows));
    }
    for (int64_t b = 0; b < blocks; b++)
        conv->base.cpu->kernels->conv->depthwise(c, row, &rows, band->width, b);
    return rows.count;
}

void mls__conv_run_band(const mls__conv_op *conv, const mls__band *band)
{
    const bool is_direct = conv->method == MLS__CONV_DIRECT;
    mls__conv c = mls__conv_of(conv);
    c.y_step = MLS__CONV_BLOCK;
    c.y_panel = band->y_block;
    c.w = conv->packed;
    c.bias = band->bias;
    c.is_x_near = c.is_x_near || band->x_block < conv->x_plane * MLS__CONV_BLOCK;
    c.is_y_near = c.is_y_near || band->y_block < conv->y_plane * MLS__CONV_BLOCK;
    if (conv->shape.is_x_blocked)
        c.x_block = band->x_block;
    mls__conv_row row = mls__conv_rows_of(conv, conv->classes);
    for (int64_t r = band->first; r < band->last;) {
        place_rows(conv, band, r, &row);
        r += is_direct ? run_direct_rows(conv, &c, band, &row, r)
                       : run_depthwise_rows(conv, &c, band, &row, r);
    }
}
