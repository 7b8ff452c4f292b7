/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks of convolutions that do not sum over blocks of filters: depthwise ones with lanes across
 * channels, those with lanes along rows, and float64.
 */
#include "backend/cpu/ops/conv_tasks.h"

/* --- depthwise ------------------------------------------------------------------------------- */

mls__conv_rows mls__conv_rows_from(const mls__conv_op *conv, const mls__conv_row *row,
                                   int64_t first, int64_t last)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *axis = &s->axes[0];
    mls__conv_rows rows = {.count = 1};
    if (s->rank != 2 || s->is_transposed || row->line_count < axis->kernel)
        return rows;
    const int64_t extent = (axis->kernel - 1) * axis->dilation + 1;
    const int64_t end = (axis->input + axis->before - extent) / axis->stride + 1;
    rows.count = mls__at_most(last, end) - first;
    rows.x = axis->stride * s->axes[1].input * MLS__CONV_BLOCK;
    rows.y = s->axes[1].output * MLS__CONV_BLOCK;
    return rows;
}

void mls__conv_run_depthwise(const mls__conv_image *w, int64_t block, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t width = s->axes[s->rank - 1].output;
    const mls__conv_chunk chunk = mls__conv_chunk_at(conv, index);
    mls__conv c = mls__conv_of(conv);
    c.y_step = mls__conv_class_step(conv) * MLS__CONV_BLOCK;
    c.y_panel = conv->y_plane * MLS__CONV_BLOCK;
    c.w = w->w;
    c.bias = w->bias;
    for (int64_t i = 0; i < conv->class_count; i++) {
        mls__conv_row row = mls__conv_rows_of(conv, &conv->classes[i]);
        mls__conv_rows rows;
        row.x = w->x;
        for (int64_t r = chunk.first; r < chunk.last; r += rows.count) {
            const int64_t at = (r * width + i) * MLS__CONV_BLOCK;
            mls__conv_set_row(conv, r, (mls__conv_line *) (void *) slot, &row);
            rows = mls__conv_rows_from(conv, &row, r, chunk.last);
            row.y = (float *) w->y + at;
            row.z = w->z ? (const float *) w->z + at : NULL;
            w->kernels->depthwise(&c, &row, &rows, conv->classes[i].count, block);
        }
    }
}

/* --- rows ------------------------------------------------------------------------------------ */

static mls__conv rows_conv(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    mls__conv c = mls__conv_of(conv);
    c.w_filter = conv->positions * (s->is_transposed ? 1 : s->channels);
    c.w_channel = conv->positions * (s->is_transposed ? s->filters : 1);
    c.y_step = mls__conv_class_step(conv);
    c.y_panel = conv->y_plane;
    return c;
}

void mls__conv_run_rows(const mls__conv_image *w, int64_t unit, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t tiles = (s->filters + MLS__CONV_FILTERS - 1) / MLS__CONV_FILTERS;
    const int64_t group = unit / tiles, filter = unit % tiles * MLS__CONV_FILTERS;
    const int64_t plane = group * s->filters * conv->y_plane;
    const mls__conv_chunk chunk = mls__conv_chunk_at(conv, index);
    mls__conv c = rows_conv(conv);
    c.w = (const float *) w->w + group * s->filters * s->channels * conv->positions;
    c.bias = w->bias ? (const float *) w->bias + group * conv->panels * MLS__CONV_BLOCK : NULL;
    for (int64_t i = 0; i < conv->class_count; i++) {
        mls__conv_row row = mls__conv_rows_of(conv, &conv->classes[i]);
        row.x = (const float *) w->x + group * s->channels * conv->x_plane;
        for (int64_t r = chunk.first; r < chunk.last; r++) {
            const int64_t at = plane + r * s->axes[s->rank - 1].output + i;
            mls__conv_set_row(conv, r, (mls__conv_line *) (void *) slot, &row);
            row.y = (float *) w->y + at;
            row.z = w->z ? (const float *) w->z + at : NULL;
            w->kernels->rows(&c, &row, conv->classes[i].count, filter,
                             mls__at_most(s->filters - filter, MLS__CONV_FILTERS));
        }
    }
}

void mls__conv_run_plain(const mls__conv_image *w, int64_t filter, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t group = filter / s->filters;
    const mls__conv_chunk chunk = mls__conv_chunk_at(conv, index);
    const mls__conv c = rows_conv(conv);
    const double *x = (const double *) w->x + group * s->channels * conv->x_plane;
    const double *weights = (const double *) w->w +
                            group * s->filters * s->channels * conv->positions +
                            filter % s->filters * c.w_filter;
    /* To add -0 changes nothing. */
    const double bias = w->bias ? ((const double *) w->bias)[filter] : -0.0;
    for (int64_t i = 0; i < conv->class_count; i++) {
        mls__conv_row row = mls__conv_rows_of(conv, &conv->classes[i]);
        for (int64_t r = chunk.first; r < chunk.last; r++) {
            double *y =
                (double *) w->y + filter * conv->y_plane + r * s->axes[s->rank - 1].output + i;
            mls__conv_set_row(conv, r, (mls__conv_line *) (void *) slot, &row);
            w->kernels->float64(&c, &row, x, weights, bias, y, conv->classes[i].count);
        }
    }
}
