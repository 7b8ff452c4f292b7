/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a convolution, an image at a time: tasks are units of filters by chunks of outputs, which
 * threads share. Where the output is not blocked, a direct convolution's chunk is computed in the
 * workspace and then turned; 16-bit floats go through float32 images there.
 */
#include "backend/cpu/ops/conv.h"

#include "backend/cpu/ops/ranges.h"

#include <math.h>
#include <string.h>

/* Multiply-adds that take longer than handing some to a thread that looks for work: 2 us. */
#define LARGE_WORK (INT64_C(1) << 18)

/* 16-bit floats that are worth handing over. */
#define CONVERT_GRAIN (INT64_C(1) << 14)

/* The work on one image. */
typedef struct work {
    const mls__conv_op *conv;
    const mls__conv_kernels *kernels;
    /* float32, but for float64; y and z are of 16 bits where outputs are narrowed by the chunk */
    const void *x, *w, *z;
    void *y;
    const void *bias; /* float32: of each group, padded to whole panels; NULL: none */
    char *slots;
} work;

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- tasks ----------------------------------------------------------------------------------- */

/* Rows first .. last-1 of outputs, of which each class gives from begin to end. */
typedef struct span {
    int64_t first, last;
    int64_t begin, end;
} span;

static span chunk_at(const mls__conv_op *conv, int64_t index)
{
    if (conv->row_pieces > 1) {
        const int64_t row = index / conv->row_pieces, piece = index % conv->row_pieces;
        return (span){row, row + 1, piece * conv->piece, (piece + 1) * conv->piece};
    }
    const int64_t first = index * conv->chunk_rows;
    return (span){first, at_most(first + conv->chunk_rows, conv->rows), 0, INT64_MAX};
}

mls__conv mls__conv_of(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t unit = s->is_x_blocked ? MLS__CONV_BLOCK : 1;
    const mls__conv_axis *axis = &s->axes[s->rank - 1];
    const mls__activation *activation = &conv->activation;
    const bool is_relu = activation->run && activation->op == MLS__UNARY_RELU;
    const bool is_clip = activation->run && activation->op == MLS__UNARY_CLIP;
    return (mls__conv){
        .channels = s->channels,
        .positions = conv->positions,
        .x_step = s->is_transposed ? unit : unit * axis->stride,
        .x_channel = s->is_x_blocked ? 1 : conv->x_plane,
        .x_block = MLS__CONV_BLOCK * conv->x_plane,
        .is_x_near = conv->is_x_near,
        .is_y_near = conv->is_y_near,
        .activation = activation->run,
        .activation_params = activation->params,
        .is_bounded = is_relu || is_clip,
        .low = is_relu ? 0 : activation->params[0],
        .high = is_relu ? INFINITY : activation->params[1],
        .round = conv->is_rounded && !conv->is_pooled ? conv->half.round : NULL,
    };
}

/* Outputs of a row lie so many apart that are next to each other in a class. */
static int64_t class_step(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    return s->is_transposed ? s->axes[s->rank - 1].stride : 1;
}

/* How many of the last lines of a plain image the row of outputs below reads anew. */
static int64_t count_fresh_lines(const mls__conv_op *conv, int64_t index, int64_t line_count)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *axis = &s->axes[0];
    if (!conv->offsets || s->rank != 2 || s->is_x_blocked || axis->dilation > 1 ||
        index + 1 >= conv->rows)
        return 0;
    return at_most(axis->stride, line_count);
}

mls__conv_row mls__conv_rows_of(const mls__conv_op *conv, const mls__conv_class *class)
{
    return (mls__conv_row){
        .taps = conv->taps + class->tap,
        .tap_count = class->tap_count,
        .begin = class->begin,
        .end = class->end,
        .offsets = conv->offsets,
    };
}

void mls__conv_set_row(const mls__conv_op *conv, int64_t index, mls__conv_line *lines,
                       mls__conv_row *row)
{
    const mls__conv_axis *axes = conv->shape.axes;
    row->lines = lines;
    row->line_count = mls__conv_lines(conv, index, lines);
    row->lines_at_once = conv->shape.rank == 2 ? row->line_count : 1;
    row->fresh_lines = count_fresh_lines(conv, index, row->line_count);
    row->ahead_x = row->fresh_lines ? axes[0].stride * axes[1].input : 0;
}

/* --- direct ---------------------------------------------------------------------------------- */

/* One class of a chunk, for some panels of a group. */
typedef struct part {
    const work *work;
    const span *chunk;
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
    ahead.end = at_most(ahead.end, p->work->conv->step_blocks * step);
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
    const int64_t end = at_most(p->chunk->end, p->class->count);
    const int64_t rows = p->chunk->last - p->chunk->first;
    mls__conv_row row = mls__conv_rows_of(conv, p->class);
    mls__conv_set_row(conv, p->chunk->first, p->lines, &row);
    for (int64_t b = 0; b == 0 || b < blocks; b += conv->step_blocks) {
        const int64_t taken = at_most(conv->step_blocks, blocks - b);
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
    const int64_t width = s->axes[s->rank - 1].output, step = class_step(conv);
    const int64_t count = at_most(p->chunk->end, p->class->count) - p->chunk->begin;
    const int64_t channels = at_most(p->filters - panel * MLS__CONV_BLOCK, MLS__CONV_BLOCK);
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
    p->y_row = (at_most(p->chunk->end, p->class->count) - p->chunk->begin) * MLS__CONV_BLOCK;
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
    p->conv.y_step = class_step(conv) * MLS__CONV_BLOCK;
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
        const span chunk = {band.fresh, band.held_end, band.x_begin, band.x_end};
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
                             .panels = at_most(left, MLS__CONV_PANELS),
                             .end = rows};
}

static void run_direct(const work *w, int64_t unit, int64_t index, char *slot)
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
        .panels = at_most(conv->panels - panel, MLS__CONV_PANELS),
        .filters = s->filters - panel * MLS__CONV_BLOCK,
        .lines = (mls__conv_line *) (void *) slot,
    };
    p.conv.w = (const float *) w->w + all * MLS__CONV_BLOCK * s->channels * conv->positions;
    p.conv.bias = w->bias ? (const float *) w->bias + all * MLS__CONV_BLOCK : NULL;
    p.next = next_weights(&p, panel, index);
    const span chunk = chunk_at(conv, index);
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
    rows.count = at_most(last, end) - first;
    rows.x = axis->stride * s->axes[1].input * MLS__CONV_BLOCK;
    rows.y = s->axes[1].output * MLS__CONV_BLOCK;
    return rows;
}

static void run_depthwise(const work *w, int64_t block, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t width = s->axes[s->rank - 1].output;
    const span chunk = chunk_at(conv, index);
    mls__conv c = mls__conv_of(conv);
    c.y_step = class_step(conv) * MLS__CONV_BLOCK;
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
    c.y_step = class_step(conv);
    c.y_panel = conv->y_plane;
    return c;
}

static void run_rows(const work *w, int64_t unit, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t tiles = (s->filters + MLS__CONV_FILTERS - 1) / MLS__CONV_FILTERS;
    const int64_t group = unit / tiles, filter = unit % tiles * MLS__CONV_FILTERS;
    const int64_t plane = group * s->filters * conv->y_plane;
    const span chunk = chunk_at(conv, index);
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
                             at_most(s->filters - filter, MLS__CONV_FILTERS));
        }
    }
}

static void run_plain(const work *w, int64_t filter, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t group = filter / s->filters;
    const span chunk = chunk_at(conv, index);
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

/* --- fast ------------------------------------------------------------------------------------ */

/* What all pieces of a unit begin with. */
static mls__conv_piece piece_of(const work *w, int64_t unit, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    const int64_t group = unit / conv->fast_parts, own = unit % conv->fast_parts;
    const int64_t panel = conv->panels * own / conv->fast_parts;
    return (mls__conv_piece){
        .x = (const float *) w->x + group * s->channels * conv->x_plane,
        .bias = w->bias ? (const float *) w->bias + group * conv->panels * MLS__CONV_BLOCK : NULL,
        .group = group,
        .panel = panel,
        .panels = conv->panels * (own + 1) / conv->fast_parts - panel,
        .slot = slot,
    };
}

/* Rows of a step, as many outputs at a time as a piece may have. */
static void run_fast_step(mls__conv_piece *piece, const mls__conv_band *band)
{
    const mls__conv_op *conv = band->conv;
    const int64_t width = band->x_end - band->x_begin;
    const int64_t columns = at_most(width, conv->fast_rows);
    const int64_t rows = columns ? conv->fast_rows / columns : 1;
    piece->y_panel = band->y_panel;
    for (int64_t r = band->fresh; r < band->held_end; r += piece->rows)
        for (int64_t i = 0; i < width; i += columns) {
            piece->row = r;
            piece->rows = columns < width ? 1 : at_most(rows, band->held_end - r);
            piece->begin = band->x_begin + i;
            piece->end = band->x_begin + at_most(i + columns, width);
            piece->y = band->y + (r - band->held) * band->y_row + i * MLS__CONV_BLOCK;
            mls__conv_run_piece(conv, piece);
        }
}

static void run_fast_pooled(const work *w, int64_t unit, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const int64_t plane = conv->out_plane * MLS__CONV_BLOCK;
    mls__conv_piece piece = piece_of(w, unit, slot);
    mls__conv_band band = mls__conv_band_at(conv, index, slot);
    while (mls__conv_band_next(&band, piece.panels)) {
        run_fast_step(&piece, &band);
        for (int64_t i = 0; i < piece.panels; i++)
            mls__conv_band_reduce(&band, i, (float *) w->y + (piece.panel + i) * plane);
    }
}

static void run_fast(const work *w, int64_t unit, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    if (conv->is_pooled) {
        run_fast_pooled(w, unit, index, slot);
        return;
    }
    const span chunk = chunk_at(conv, index);
    mls__conv_piece piece = piece_of(w, unit, slot);
    piece.row = chunk.first;
    piece.rows = chunk.last - chunk.first;
    piece.begin = chunk.begin;
    piece.end = at_most(chunk.end, conv->classes[0].count);
    piece.y_panel = conv->y_plane * MLS__CONV_BLOCK;
    const int64_t at = piece.group * s->filters * conv->y_plane + piece.panel * piece.y_panel +
                       (piece.row * conv->classes[0].count + piece.begin) * MLS__CONV_BLOCK;
    piece.y = (float *) w->y + at;
    piece.z = w->z ? (const float *) w->z + at : NULL;
    mls__conv_run_piece(conv, &piece);
}

/* --- an image -------------------------------------------------------------------------------- */

typedef void (*task_fn)(const work *w, int64_t unit, int64_t chunk, char *slot);

/* By mls__conv_method. */
static const task_fn task_fns[] = {run_direct, run_depthwise, run_rows, run_plain, run_fast};

/* All units of a chunk follow each other, or all chunks of a unit, as far as they are together. */
static void run_tasks(void *arg, const mls__cpu_take *take)
{
    const work *w = arg;
    const mls__conv_op *conv = w->conv;
    const int64_t first = conv->is_region_of_rows ? take->first : 0;
    const int64_t chunks =
        conv->is_region_of_rows ? (take->last - first) / conv->units : conv->chunks;
    for (int64_t t = take->begin - first; t < take->end - first; t++) {
        const int64_t unit = conv->is_chunk_outer ? t % conv->units : t / chunks;
        const int64_t chunk = conv->is_chunk_outer ? t / conv->units : t % chunks;
        task_fns[conv->method](w, unit, first / conv->units + chunk,
                               w->slots + take->slot * conv->slot_bytes);
    }
}

/* Lanes without a filter take time too; without sums over channels loads are most of it. */
double mls__conv_work(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const bool is_depthwise = conv->method == MLS__CONV_DEPTHWISE;
    const int64_t filters = conv->method == MLS__CONV_DIRECT
                                ? conv->panels * MLS__CHANNEL_BLOCK * s->groups
                                : s->filters * s->groups;
    return (double) conv->y_plane * (double) filters * (double) s->channels *
           (double) conv->positions * (is_depthwise ? 4 : 1);
}

static void run_image(work *w, const mls_kernel_call *call)
{
    const mls__conv_op *conv = w->conv;
    const uint32_t threads = mls__conv_work(conv) >= LARGE_WORK ? conv->threads : 1;
    mls__cpu_tasks(call, threads, conv->units * conv->chunks,
                   conv->is_region_of_rows ? conv->units : 1, run_tasks, w);
}

/* --- a run ----------------------------------------------------------------------------------- */

static float *region(const mls_kernel_call *call, uint64_t offset)
{
    return (float *) (void *) ((char *) call->workspace + offset);
}

static const void *weights_of(const mls__conv_op *conv, const mls_kernel_call *call)
{
    if (conv->packed)
        return conv->packed;
    if (mls__conv_is_unpacked(conv))
        return call->buffers[1];
    float *packed = region(call, conv->w_offset);
    mls__conv_pack(conv, call->buffers[1], packed);
    return packed;
}

const void *mls__conv_bias(const mls__conv_op *conv, const mls_kernel_call *call)
{
    const mls__convolution *s = &conv->shape;
    const bool is_depthwise = conv->method == MLS__CONV_DEPTHWISE;
    const int64_t groups = is_depthwise ? 1 : s->groups;
    const int64_t filters = is_depthwise ? s->groups : s->filters;
    const int64_t padded = mls__channel_blocks(filters) * MLS__CONV_BLOCK;
    if (!conv->has_bias || conv->method == MLS__CONV_PLAIN)
        return conv->has_bias ? call->buffers[2] : NULL;
    float *bias = region(call, conv->bias_offset);
    for (int64_t g = 0; g < groups; g++) {
        float *own = bias + g * padded;
        if (conv->is_half)
            conv->half.to_f32(own, (const uint16_t *) call->buffers[2] + g * filters, filters);
        else
            memcpy(own, (const float *) call->buffers[2] + g * filters,
                   (size_t) filters * sizeof *own);
        memset(own + filters, 0, (size_t) (padded - filters) * sizeof *own);
    }
    return bias;
}

/* Elements of an image of the input and of the output. */
static int64_t x_elements(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t channels = s->channels * s->groups;
    return conv->x_plane *
           (s->is_x_blocked ? mls__channel_blocks(channels) * MLS__CONV_BLOCK : channels);
}

static int64_t y_elements(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t filters = s->filters * s->groups;
    return conv->out_plane *
           (s->is_y_blocked ? mls__channel_blocks(filters) * MLS__CONV_BLOCK : filters);
}

/* An image of 16-bit floats from or to float32; `lanes` of a place lie together. */
typedef struct conversion {
    const mls__half *half;
    const uint16_t *from;
    uint16_t *to;
    float *wide;
    int64_t planes, plane, lanes;
} conversion;

/* Places begin .. end-1 of all planes: about those that a region of tasks reads or writes. */
static mls_status convert_places(void *arg, int64_t begin, int64_t end)
{
    const conversion *c = arg;
    for (int64_t i = 0; i < c->planes; i++) {
        const int64_t at = (i * c->plane + begin) * c->lanes, count = (end - begin) * c->lanes;
        if (c->from)
            c->half->to_f32(c->wide + at, c->from + at, count);
        else
            c->half->from_f32(c->to + at, c->wide + at, count);
    }
    return MLS_OK;
}

static void convert(const mls__conv_op *conv, const mls_kernel_call *call, bool is_blocked,
                    int64_t elements, conversion c)
{
    c.half = &conv->half;
    c.lanes = is_blocked ? MLS__CONV_BLOCK : 1;
    c.planes = c.plane ? elements / (c.plane * c.lanes) : 0;
    if (c.planes)
        mls__cpu_row_ranges(call, conv->threads, c.plane, CONVERT_GRAIN / (c.planes * c.lanes) + 1,
                            convert_places, &c);
}

/* An image whose input or output are of 16 bits, but for what is narrowed by the chunk. */
static void run_half(work *w, const mls_kernel_call *call)
{
    const mls__conv_op *conv = w->conv;
    float *wide_x = region(call, conv->x_offset), *wide_y = region(call, conv->y_offset);
    float *wide_z = region(call, conv->z_offset);
    const bool is_wide = conv->is_y_half && !conv->is_narrowed;
    void *y = w->y;
    if (conv->is_x_half) {
        convert(conv, call, conv->shape.is_x_blocked, x_elements(conv),
                (conversion){.from = w->x, .wide = wide_x, .plane = conv->x_plane});
        w->x = wide_x;
    }
    if (is_wide && w->z) {
        convert(conv, call, conv->shape.is_y_blocked, y_elements(conv),
                (conversion){.from = w->z, .wide = wide_z, .plane = conv->out_plane});
        w->z = wide_z;
    }
    if (is_wide)
        w->y = wide_y;
    run_image(w, call);
    if (is_wide)
        convert(conv, call, conv->shape.is_y_blocked, y_elements(conv),
                (conversion){.to = y, .wide = wide_y, .plane = conv->out_plane});
}

mls_status mls__conv_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__conv_op *conv = (const mls__conv_op *) kernel;
    if (conv->is_empty)
        return MLS_OK;
    const int64_t x_size = (int64_t) mls_dtype_size((mls_dtype) conv->dtype);
    const int64_t y_size = (int64_t) mls_dtype_size((mls_dtype) conv->y_dtype);
    work w = {.conv = conv,
              .kernels = conv->base.cpu->kernels->conv,
              .w = weights_of(conv, call),
              .bias = mls__conv_bias(conv, call),
              .slots = (char *) call->workspace + conv->slots_offset};
    for (int64_t n = 0; n < conv->shape.batch; n++) {
        const int64_t at = n * y_elements(conv) * y_size;
        w.x = (const char *) call->buffers[0] + n * x_elements(conv) * x_size;
        w.y = (char *) call->buffers[conv->y_index] + at;
        w.z = conv->has_residual ? (const char *) call->buffers[3] + at : NULL;
        if (conv->is_x_half || conv->is_y_half)
            run_half(&w, call);
        else
            run_image(&w, call);
    }
    return MLS_OK;
}
