/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks of a direct convolution, with lanes across filters. Where the output is not blocked, a
 * chunk is computed in the thread's slot and then turned, or narrowed to 16 bits, or its maxima are
 * taken.
 */
#include "backend/cpu/ops/conv_tasks.h"

/* One class of a chunk, for some panels of a group. */
typedef struct part {
    const mls__conv_image *work;
    const mls__conv_chunk *chunk;
    const mls__conv_class *class;
    mls__conv conv;
    const float *x;
    float *y;
    const float *z;
    int64_t panels, filters;
    int64_t y_row, y_first; /* from row to row of y; the first row and output that y holds */
    int64_t first_row;
    mls__conv_line *lines;
    mls__conv_ahead next; /* the first weights of what comes next */
} part;

/* The weights that the pass over a chunk behind blocks before `block` begins with. */
static mls__conv_ahead weights_at(const part *p, int64_t block)
{
    const int64_t rows = p->conv.channels * p->conv.positions;
    const int64_t step = MLS__CONV_BLOCK * p->conv.positions;
    mls__conv_ahead ahead = p->next;
    if (block * MLS__CONV_BLOCK < p->conv.channels)
        ahead = (mls__conv_ahead){.w = p->conv.w + block * step * MLS__CONV_BLOCK,
                                  .panels = p->panels,
                                  .end = rows - block * step};
    ahead.end = mls__at_most(ahead.end, p->work->conv->step_blocks * step);
    ahead.panel = rows * MLS__CONV_BLOCK;
    return ahead;
}

/* Share `index` of `count`. */
static mls__conv_ahead share_of(const mls__conv_ahead *all, int64_t index, int64_t count)
{
    mls__conv_ahead own = *all;
    own.begin = all->end * index / count;
    own.end = all->end * (index + 1) / count;
    return own;
}

static void run_part(const part *p)
{
    const mls__conv_op *conv = p->work->conv;
    const int64_t blocks = mls__channel_blocks(p->conv.channels);
    const int64_t end = mls__at_most(p->chunk->end, p->class->count);
    const int64_t rows = p->chunk->last - p->chunk->first;
    mls__conv_row row = mls__conv_rows_of(conv, p->class);
    mls__conv_set_row(conv, p->chunk->first, p->lines, &row);
    for (int64_t b = 0; b == 0 || b < blocks; b += conv->step_blocks) {
        const int64_t taken = mls__at_most(conv->step_blocks, blocks - b);
        const mls__conv_ahead ahead = weights_at(p, b + taken);
        for (int64_t r = p->chunk->first; r < p->chunk->last; r++) {
            const int64_t at = (r - p->first_row) * p->y_row - p->y_first * p->conv.y_step;
            if (rows > 1)
                mls__conv_set_row(conv, r, p->lines, &row);
            row.x = p->x;
            row.y = p->y + at;
            row.z = p->z ? p->z + at : NULL;
            row.ahead = share_of(&ahead, r - p->chunk->first, rows);
            p->work->kernels->direct(&p->conv, &row, p->chunk->begin, end - p->chunk->begin, 0,
                                     p->panels, b, taken);
        }
    }
}

/* Turns a panel of a chunk in the workspace: into the output, or the residual from where it lies.
 */
static void turn_panel(const part *p, float *y, const float *z, int64_t panel, float *slot)
{
    const mls__conv_op *conv = p->work->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t width = s->axes[s->rank - 1].output, step = mls__conv_class_step(conv);
    const int64_t count = mls__at_most(p->chunk->end, p->class->count) - p->chunk->begin;
    const int64_t channels = mls__at_most(p->filters - panel * MLS__CONV_BLOCK, MLS__CONV_BLOCK);
    const int64_t class = p->class - conv->classes;
    for (int64_t r = p->chunk->first; r < p->chunk->last; r++) {
        const int64_t at =
            panel * MLS__CONV_BLOCK * conv->y_plane + r * width + class + p->chunk->begin * step;
        float *own = slot + panel * p->conv.y_panel + (r - p->chunk->first) * p->y_row;
        if (z)
            p->work->kernels->block(own, z + at, conv->y_plane, step, count, channels);
        else
            p->work->kernels->unblock(y + at, conv->y_plane, step, own, count, channels);
    }
}

/* A chunk in the workspace. */
static void place_in_slot(part *p, char *slot, bool has_residual)
{
    const mls__conv_op *conv = p->work->conv;
    p->conv.y_step = MLS__CONV_BLOCK;
    p->conv.y_panel = MLS__CONV_CHUNK * MLS__CONV_BLOCK;
    p->conv.is_y_near = true;
    p->y_row = (mls__at_most(p->chunk->end, p->class->count) - p->chunk->begin) * MLS__CONV_BLOCK;
    p->y_first = p->chunk->begin;
    p->first_row = p->chunk->first;
    p->y = (float *) (void *) (slot + conv->slot_y);
    p->z = has_residual ? (const float *) (void *) (slot + conv->slot_z) : NULL;
}

/* A chunk whose output is not blocked, by way of the workspace. */
static void run_turned(part *p, float *y, const float *z, char *slot)
{
    float *slot_z = (float *) (void *) (slot + p->work->conv->slot_z);
    place_in_slot(p, slot, z != NULL);
    for (int64_t i = 0; z && i < p->panels; i++)
        turn_panel(p, NULL, z, i, slot_z);
    run_part(p);
    for (int64_t i = 0; i < p->panels; i++)
        turn_panel(p, y, NULL, i, p->y);
}

/* A chunk in blocks of 16-bit floats, each panel of which lies in one piece, likewise. */
static void run_narrowed(part *p, int64_t filter, char *slot)
{
    const mls__conv_op *conv = p->work->conv;
    const int64_t plane = conv->y_plane * MLS__CONV_BLOCK, width = p->class->count;
    const int64_t first = p->chunk->first * width + p->chunk->begin;
    const int64_t at = filter * conv->y_plane + first * MLS__CONV_BLOCK;
    const uint16_t *z = p->work->z ? (const uint16_t *) p->work->z + at : NULL;
    uint16_t *y = (uint16_t *) p->work->y + at;
    float *slot_z = (float *) (void *) (slot + conv->slot_z);
    place_in_slot(p, slot, z != NULL);
    const int64_t count = (p->chunk->last - p->chunk->first) * p->y_row;
    for (int64_t i = 0; z && i < p->panels; i++)
        conv->half.to_f32(slot_z + i * p->conv.y_panel, z + i * plane, count);
    run_part(p);
    for (int64_t i = 0; i < p->panels; i++)
        conv->half.from_f32(y + i * plane, p->y + i * p->conv.y_panel, count);
}

static void run_blocked(part *p, float *y, const float *z)
{
    const mls__conv_op *conv = p->work->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t class = (p->class - conv->classes) * MLS__CONV_BLOCK;
    p->conv.y_step = mls__conv_class_step(conv) * MLS__CONV_BLOCK;
    p->conv.y_panel = conv->y_plane * MLS__CONV_BLOCK;
    p->y_row = s->axes[s->rank - 1].output * MLS__CONV_BLOCK;
    p->y = y + class;
    p->z = z ? z + class : NULL;
    run_part(p);
}

/* A chunk of maxima, by way of the workspace: y is that of the op. */
static void run_pooled(part *p, float *y, int64_t index, char *slot)
{
    const mls__conv_op *conv = p->work->conv;
    mls__conv_band band = mls__conv_band_at(conv, index, slot);
    p->conv.y_step = MLS__CONV_BLOCK;
    p->conv.y_panel = band.y_panel;
    p->conv.is_y_near = true;
    p->y_row = band.y_row;
    p->y_first = band.x_begin;
    p->y = band.y;
    while (mls__conv_band_next(&band, p->panels)) {
        const mls__conv_chunk chunk = {band.fresh, band.held_end, band.x_begin, band.x_end};
        p->chunk = &chunk;
        p->first_row = band.held;
        run_part(p);
        for (int64_t i = 0; i < p->panels; i++)
            mls__conv_band_reduce(&band, i, y + i * conv->out_plane * MLS__CONV_BLOCK);
    }
}

/* Once all chunks have had these, the panels behind them are next. */
static mls__conv_ahead next_weights(const part *p, int64_t panel, int64_t index)
{
    const mls__conv_op *conv = p->work->conv;
    const int64_t rows = p->conv.channels * p->conv.positions;
    const int64_t left = conv->panels - panel - p->panels;
    if (left <= 0 || (!conv->is_chunk_outer && index + 1 < conv->chunks))
        return (mls__conv_ahead){0};
    return (mls__conv_ahead){.w = p->conv.w + p->panels * rows * MLS__CONV_BLOCK,
                             .panels = mls__at_most(left, MLS__CONV_PANELS),
                             .end = rows};
}

void mls__conv_run_direct(const mls__conv_image *w, int64_t unit, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t groups = (conv->panels + MLS__CONV_PANELS - 1) / MLS__CONV_PANELS;
    const int64_t group = unit / groups, panel = unit % groups * MLS__CONV_PANELS;
    const int64_t filter = group * s->filters + panel * MLS__CONV_BLOCK;
    const int64_t all = group * conv->panels + panel;
    part p = {
        .work = w,
        .class = conv->classes,
        .conv = mls__conv_of(conv),
        .x = (const float *) w->x + group * s->channels * conv->x_plane,
        .panels = mls__at_most(conv->panels - panel, MLS__CONV_PANELS),
        .filters = s->filters - panel * MLS__CONV_BLOCK,
        .lines = (mls__conv_line *) (void *) slot,
    };
    p.conv.w = (const float *) w->w + all * MLS__CONV_BLOCK * s->channels * conv->positions;
    p.conv.bias = w->bias ? (const float *) w->bias + all * MLS__CONV_BLOCK : NULL;
    p.next = next_weights(&p, panel, index);
    const mls__conv_chunk chunk = mls__conv_chunk_at(conv, index);
    p.chunk = &chunk;
    if (conv->is_narrowed) {
        run_narrowed(&p, filter, slot);
        return;
    }
    float *y = (float *) w->y + filter * conv->out_plane;
    const float *z = w->z ? (const float *) w->z + filter * conv->y_plane : NULL;
    if (conv->is_pooled) {
        run_pooled(&p, y, index, slot);
        return;
    }
    for (int64_t c = 0; c < conv->class_count; c++) {
        p.class = &conv->classes[c];
        if (p.class->count <= chunk.begin)
            continue;
        if (s->is_y_blocked)
            run_blocked(&p, y, z);
        else
            run_turned(&p, y, z, slot);
    }
}
