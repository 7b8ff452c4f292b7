/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions between blocked tensors as products of bfloat16: what an output reads is rounded
 * into a row of A, in the order of a sum (kernels/conv.h) with all blocks of channels whole. Of
 * the rows there are as many at a time as the cache holds.
 */
#include "backend/cpu/ops/conv_tasks.h"

#include "backend/cpu/ops/fast.h"
#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

enum { BLOCK = MLS__CONV_BLOCK };

_Static_assert(BLOCK == MLS__BF16_PANEL, "a panel is a block of filters");

/* Of A; 0 where it is more than can be counted. */
static int64_t depth_of(const mls__conv_op *conv)
{
    int64_t depth;
    const int64_t blocks = mls__channel_blocks(conv->shape.channels);
    return mls__mul_i64(blocks * BLOCK, conv->positions, &depth) ? depth : 0;
}

bool mls__conv_is_fast(mls__conv_op *conv, const mls_op *op)
{
    const mls__convolution *s = &conv->shape;
    const mls_arg *w = &op->inputs[1];
    if (!s->is_x_blocked || !s->is_y_blocked || s->is_transposed || w->dtype != MLS_FLOAT32 ||
        !w->data || !w->weight_id || !op->weights_ops)
        return false;
    conv->fast = mls__fast_kernels(conv->base.cpu, op, conv->y_plane, s->filters, depth_of(conv));
    return conv->fast != NULL;
}

bool mls__conv_fast_size(mls__conv_op *conv, size_t *ret_bytes)
{
    return mls__fast_chunk(conv->y_plane, depth_of(conv), &conv->fast_rows, ret_bytes);
}

/* --- weights --------------------------------------------------------------------------------- */

typedef struct pack_job {
    const mls__conv_op *conv;
    const float *weights;
    int64_t group;
    size_t group_bytes;
} pack_job;

/* Row k of B: a channel of a block at a position. */
static void read_rows(const void *arg, int64_t k, int64_t count, int64_t column, int64_t columns,
                      float *ret_rows)
{
    const pack_job *job = arg;
    const mls__convolution *s = &job->conv->shape;
    const int64_t positions = job->conv->positions;
    memset(ret_rows, 0, (size_t) (count * BLOCK) * sizeof *ret_rows);
    for (int64_t i = 0; i < count; i++) {
        const int64_t channel = (k + i) / (BLOCK * positions) * BLOCK + (k + i) % BLOCK;
        const int64_t position = (k + i) / BLOCK % positions;
        for (int64_t j = 0; channel < s->channels && j < columns; j++) {
            const int64_t filter = job->group * s->filters + column + j;
            ret_rows[i * BLOCK + j] =
                job->weights[(filter * s->channels + channel) * positions + position];
        }
    }
}

static void fill_packed(void *block, void *arg)
{
    pack_job *job = arg;
    const mls__conv_op *conv = job->conv;
    for (job->group = 0; job->group < conv->shape.groups; job->group++)
        mls__fast_pack(
            conv->fast, conv->shape.filters, depth_of(conv), 0, conv->panels, read_rows, job,
            (uint16_t *) (void *) ((char *) block + (size_t) job->group * job->group_bytes));
}

/* No padding: keys are compared byte by byte. */
typedef struct pack_key {
    char what[8];
    uint64_t weight_id;
    int64_t groups;
} pack_key;

mls_status mls__conv_pack_fast(mls__conv_op *conv, const mls_op *op)
{
    const mls_arg *w = &op->inputs[1];
    pack_job job = {.conv = conv, .weights = w->data};
    size_t bytes;
    if (!mls__fast_packed_size(conv->shape.filters, depth_of(conv), &job.group_bytes) ||
        !mls__mul_size(job.group_bytes, (size_t) conv->shape.groups, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "input 1 is larger than memory can be");
    const pack_key key = {"convbf", w->weight_id, conv->shape.groups};
    conv->fast_packed =
        op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill_packed, &job);
    return conv->fast_packed ? MLS_OK : mls__error_nomem(bytes);
}

/* --- rows of A ------------------------------------------------------------------------------- */

/* Some outputs of one row, which go to consecutive rows of A. */
typedef struct stretch {
    const mls__conv_op *conv;
    const float *x;
    int64_t begin, end;
    uint16_t *a; /* of output `begin`, and from row to row */
    int64_t a_row;
} stretch;

static void clear_rows(const stretch *s, int64_t begin, int64_t end, int64_t k, int64_t count)
{
    for (int64_t o = begin; o < end; o++)
        memset(s->a + (o - s->begin) * s->a_row + k, 0, (size_t) count * sizeof *s->a);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* One tap of a line: a block of channels for each output that has it, zeros for the others. */
static void bring_tap(const stretch *s, const mls__conv_line *line, const mls__conv_tap *tap,
                      int64_t block)
{
    const mls__conv_op *conv = s->conv;
    const mls__convolution *shape = &conv->shape;
    const int64_t step = BLOCK * shape->axes[shape->rank - 1].stride;
    const int64_t begin = clamp(tap->begin, s->begin, s->end);
    const int64_t end = clamp(tap->end, begin, s->end);
    const int64_t k = (block * conv->positions + line->index + tap->index) * BLOCK;
    const int64_t channels = clamp(shape->channels - block * BLOCK, 0, BLOCK);
    const float *x = s->x + (block * BLOCK * conv->x_plane + line->x + tap->x + begin * step);
    clear_rows(s, s->begin, begin, k, BLOCK);
    clear_rows(s, end, s->end, k, BLOCK);
    if (begin < end)
        conv->fast->round(s->a + (begin - s->begin) * s->a_row + k, s->a_row, x, step, end - begin,
                          channels);
}

static void bring_stretch(const stretch *s, int64_t row, mls__conv_line *lines)
{
    const mls__conv_op *conv = s->conv;
    const int64_t depth = depth_of(conv), padded = mls__bf16_padded(depth);
    const int64_t line_count = mls__conv_lines(conv, row, lines);
    const bool is_whole =
        line_count == mls__conv_most_lines(conv) && conv->shape.channels % BLOCK == 0;
    if (is_whole)
        clear_rows(s, s->begin, s->end, depth, padded - depth);
    else
        clear_rows(s, s->begin, s->end, 0, padded);
    for (int64_t b = 0; b < mls__channel_blocks(conv->shape.channels); b++)
        for (int64_t l = 0; l < line_count; l++)
            for (int64_t t = 0; t < conv->classes[0].tap_count; t++)
                bring_tap(s, &lines[l], &conv->taps[t], b);
}

void mls__conv_run_piece(const mls__conv_op *conv, const mls__conv_piece *piece)
{
    const int64_t depth = depth_of(conv), count = piece->end - piece->begin;
    mls__conv_line *lines = (mls__conv_line *) (void *) piece->slot;
    stretch s = {.conv = conv,
                 .x = piece->x,
                 .begin = piece->begin,
                 .end = piece->end,
                 .a = (uint16_t *) (void *) (piece->slot + conv->slot_a),
                 .a_row = mls__fast_row(depth)};
    const mls__gemm_bf16 g = {
        .n = piece->panels * BLOCK, /* of the last panel all, as direct convolutions do */
        .k = depth,
        .a = s.a,
        .a_row = s.a_row,
        .b = conv->fast_packed +
             (piece->group * conv->panels + piece->panel) * mls__bf16_panel(depth),
        .alpha = 1,
        .beta = 1,
        .c = piece->bias ? piece->bias + piece->panel * BLOCK : NULL,
        .c_panel = BLOCK,
        .c_step = 1,
        .y = piece->y,
        .y_row = BLOCK,
        .y_panel = piece->y_panel,
        .z = piece->z,
        .activation = conv->activation.run,
        .activation_params = conv->activation.params,
    };
    for (int64_t r = piece->row; r < piece->row + piece->rows; r++) {
        bring_stretch(&s, r, lines);
        s.a += count * s.a_row;
    }
    conv->fast->run(&g, 0, piece->rows * count, 0, piece->panels);
}

/* --- tasks ----------------------------------------------------------------------------------- */

/* What all pieces of a unit begin with. */
static mls__conv_piece piece_of(const mls__conv_image *w, int64_t unit, char *slot)
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
    const int64_t columns = mls__at_most(width, conv->fast_rows);
    const int64_t rows = columns ? conv->fast_rows / columns : 1;
    piece->y_panel = band->y_panel;
    for (int64_t r = band->fresh; r < band->held_end; r += piece->rows)
        for (int64_t i = 0; i < width; i += columns) {
            piece->row = r;
            piece->rows = columns < width ? 1 : mls__at_most(rows, band->held_end - r);
            piece->begin = band->x_begin + i;
            piece->end = band->x_begin + mls__at_most(i + columns, width);
            piece->y = band->y + (r - band->held) * band->y_row + i * MLS__CONV_BLOCK;
            mls__conv_run_piece(conv, piece);
        }
}

static void run_fast_pooled(const mls__conv_image *w, int64_t unit, int64_t index, char *slot)
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

void mls__conv_run_fast(const mls__conv_image *w, int64_t unit, int64_t index, char *slot)
{
    const mls__conv_op *conv = w->conv;
    const mls__convolution *s = &conv->shape;
    if (conv->is_pooled) {
        run_fast_pooled(w, unit, index, slot);
        return;
    }
    const mls__conv_chunk chunk = mls__conv_chunk_at(conv, index);
    mls__conv_piece piece = piece_of(w, unit, slot);
    piece.row = chunk.first;
    piece.rows = chunk.last - chunk.first;
    piece.begin = chunk.begin;
    piece.end = mls__at_most(chunk.end, conv->classes[0].count);
    piece.y_panel = conv->y_plane * MLS__CONV_BLOCK;
    const int64_t at = piece.group * s->filters * conv->y_plane + piece.panel * piece.y_panel +
                       (piece.row * conv->classes[0].count + piece.begin) * MLS__CONV_BLOCK;
    piece.y = (float *) w->y + at;
    piece.z = w->z ? (const float *) w->z + at : NULL;
    mls__conv_run_piece(conv, &piece);
}
