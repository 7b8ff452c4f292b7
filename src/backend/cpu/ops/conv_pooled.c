/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maximum behind a convolution. Its outputs are cut into bands of rows, and wide rows into
 * pieces. A band is worked out from the top, a few rows at a time: the rows of the convolution that
 * these need are computed into the slot of a thread, reduced from there, and kept as long as
 * windows below need them. What bands and pieces share each of them computes for itself.
 */
#include "backend/cpu/ops/conv.h"

#include "backend/cpu/ops/float_work.h"

#include <math.h>
#include <string.h>

enum { LANES = MLS__CONV_BLOCK };

/* A band has so many times the rows that it computes once more than need be. */
#define ROWS_FOR_SHARED 16
/* Bands that a thread should have, to even out what each takes. */
#define BANDS_A_THREAD 4

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Of a row there is but one. */
static const mls__pool_axis one_row = {1, 1, 1, 1, 1, 0, 0};

static mls_status read_axes(mls__conv_op *conv, const mls_op *op, mls__pooling *ret_pool)
{
    int64_t dims[MLS_MAX_RANK];
    const int rank = mls__convolution_dims(&conv->shape, dims);
    if (conv->shape.rank > 2 || !conv->shape.is_y_blocked || conv->has_residual)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "its output must be a row or a plane in blocks, and nothing added");
    return mls__op_pool_within(op, rank - 1, dims, ret_pool);
}

mls_status mls__conv_read_pool(mls__conv_op *conv, const mls_op *op)
{
    mls__pooling pool;
    const mls_status status = read_axes(conv, op, &pool);
    if (status)
        return status;
    conv->pool_rows = pool.rank > 1 ? pool.axes[0] : one_row;
    conv->pool_along = pool.axes[pool.rank - 1];
    return MLS_OK;
}

bool mls__conv_is_pool_point(const mls__conv_op *conv, int axis)
{
    const bool is_last = axis == conv->shape.rank - 1;
    const mls__pool_axis *own = is_last ? &conv->pool_along : &conv->pool_rows;
    return own->kernel == 1 && own->input <= 1 && own->input == own->output && !own->before;
}

void mls__conv_drop_pool_axis(mls__conv_op *conv, int axis)
{
    if (axis > 0)
        conv->pool_along = conv->pool_rows;
    conv->pool_rows = one_row;
}

/* --- cutting --------------------------------------------------------------------------------- */

/* Elements that a window spans. */
static int64_t span_of(const mls__pool_axis *axis)
{
    return (axis->kernel - 1) * axis->dilation + 1;
}

/* Elements that `count` windows read, as far as there are so many. */
static int64_t reach_of(const mls__pool_axis *axis, int64_t count)
{
    return mls__at_most((count - 1) * axis->stride + span_of(axis), axis->input);
}

/* Pieces of rows that are longer than a chunk. */
static void cut_pieces(mls__conv_op *conv)
{
    const mls__pool_axis *along = &conv->pool_along;
    const int64_t room = MLS__CONV_CHUNK - span_of(along);
    const int64_t most = room > 0 ? room / along->stride + 1 : 1;
    conv->pool_pieces = along->input > MLS__CONV_CHUNK ? divide_up(along->output, most) : 1;
    conv->held_columns = reach_of(along, divide_up(along->output, conv->pool_pieces));
}

/* About a chunk of the convolution's outputs a step, which take weights from the cache. */
static void cut_steps(mls__conv_op *conv)
{
    const mls__pool_axis *rows = &conv->pool_rows;
    const int64_t outputs = conv->held_columns * rows->stride;
    const int64_t steps = outputs ? MLS__CONV_CHUNK / outputs : 1;
    conv->pool_step =
        steps < 1 || rows->stride > span_of(rows) ? 1 : mls__at_most(steps, rows->output);
    conv->held_rows = reach_of(rows, conv->pool_step);
}

/*
 * One band for one thread; for several as many as can be without much that is computed twice, and
 * as many for each.
 */
void mls__conv_cut_bands(mls__conv_op *conv)
{
    const mls__pool_axis *rows = &conv->pool_rows;
    const int64_t shared = span_of(rows) - rows->stride, threads = conv->threads;
    const int64_t least = shared > 0 ? divide_up(ROWS_FOR_SHARED * shared, rows->stride) : 1;
    const int64_t size = at_least(least, conv->pool_step);
    const int64_t wanted = threads > 1 ? threads * BANDS_A_THREAD : 1;
    int64_t bands = mls__at_most(divide_up(rows->output, size), wanted);
    if (bands > threads && shared > 0)
        bands -= bands % threads;
    else if (bands > threads)
        bands = mls__at_most(divide_up(bands, threads) * threads, rows->output);
    conv->pool_bands = bands;
    conv->chunks = bands * conv->pool_pieces;
}

/*
 * As much as a band of the planned dims or of smaller ones holds, however these are cut: elements
 * of y that a step reads; elements of a line with its padding.
 */
static int64_t most_held(const mls__conv_op *conv)
{
    const mls__pool_axis *rows = &conv->pool_rows, *along = &conv->pool_along;
    const int64_t span = mls__at_most(span_of(rows), rows->input);
    const int64_t shared = at_least(span - rows->stride, 0);
    const int64_t columns = mls__at_most(along->input, at_least(MLS__CONV_CHUNK, span_of(along)));
    const int64_t many = mls__at_most(shared * columns + MLS__CONV_CHUNK, rows->input * columns);
    return at_least(span * columns, many);
}

static int64_t most_line(const mls__conv_op *conv)
{
    const mls__pool_axis *along = &conv->pool_along;
    return mls__at_most(mls__blocked_line(along), MLS__CONV_CHUNK + 2 * span_of(along));
}

bool mls__conv_band_regions(mls__conv_op *conv, size_t *bytes)
{
    int64_t blocks;
    cut_pieces(conv);
    cut_steps(conv);
    return mls__mul_i64(most_held(conv), mls__conv_pooled_panels(conv), &blocks) &&
           mls__work_region(bytes, blocks, LANES * sizeof(float), &conv->slot_held) &&
           mls__work_region(bytes, mls__at_most(conv->pool_rows.kernel, conv->pool_rows.input),
                            sizeof(void *), &conv->slot_list) &&
           mls__work_region(bytes, most_line(conv), LANES * sizeof(float), &conv->slot_line);
}

int64_t mls__conv_pooled_panels(const mls__conv_op *conv)
{
    return conv->method == MLS__CONV_FAST ? conv->panels
                                          : mls__at_most(conv->panels, MLS__CONV_PANELS);
}

/* --- bands ----------------------------------------------------------------------------------- */

/* The elements that windows begin .. end-1 read. */
static void find_reach(const mls__pool_axis *axis, int64_t begin, int64_t end, int64_t *ret_begin,
                       int64_t *ret_end)
{
    const int64_t first = begin * axis->stride - axis->before;
    const int64_t last = (end - 1) * axis->stride - axis->before + span_of(axis);
    *ret_begin = first < 0 ? 0 : mls__at_most(first, axis->input);
    *ret_end = last < *ret_begin ? *ret_begin : mls__at_most(last, axis->input);
}

mls__conv_band mls__conv_band_at(const mls__conv_op *conv, int64_t index, char *slot)
{
    const int64_t own = index / conv->pool_pieces, piece = index % conv->pool_pieces;
    const int64_t height = conv->pool_rows.output, width = conv->pool_along.output;
    mls__conv_band band = {
        .conv = conv,
        .slot = slot,
        .step_end = height * own / conv->pool_bands,
        .end = height * (own + 1) / conv->pool_bands,
        .column = width * piece / conv->pool_pieces,
        .along = conv->pool_along,
        .y = (float *) (void *) (slot + conv->slot_held),
        .y_panel = conv->held_rows * conv->held_columns * LANES,
    };
    band.along.output = width * (piece + 1) / conv->pool_pieces - band.column;
    find_reach(&conv->pool_along, band.column, band.column + band.along.output, &band.x_begin,
               &band.x_end);
    band.along.input = band.x_end - band.x_begin;
    band.along.before += band.x_begin - band.column * band.along.stride;
    band.y_row = band.along.input * LANES;
    mls__blocked_pad(&band.along, -INFINITY, (float *) (void *) (slot + conv->slot_line));
    return band;
}

/* Brings what is held from row `first` on to where the slot begins. */
static void keep_rows(mls__conv_band *band, int64_t first, int64_t panels)
{
    const size_t bytes = (size_t) ((band->held_end - first) * band->y_row) * sizeof(float);
    for (int64_t p = 0; p < panels; p++) {
        float *own = band->y + p * band->y_panel;
        memmove(own, own + (first - band->held) * band->y_row, bytes);
    }
}

bool mls__conv_band_next(mls__conv_band *band, int64_t panels)
{
    int64_t first, last;
    band->row = band->step_end;
    if (band->row >= band->end)
        return false;
    band->step_end = mls__at_most(band->row + band->conv->pool_step, band->end);
    find_reach(&band->conv->pool_rows, band->row, band->step_end, &first, &last);
    band->fresh = first;
    if (band->held_end > first) {
        keep_rows(band, first, panels);
        band->fresh = band->held_end;
    }
    band->held = first;
    band->held_end = last;
    return true;
}

/* Those of the rows that are held which a row of windows reads; gives their number. */
static int64_t list_rows(const mls__conv_band *band, int64_t row, const float *held,
                         const void **list)
{
    const mls__pool_axis *axis = &band->conv->pool_rows;
    const mls__pool_window window = mls__pool_inside(axis, row);
    for (int64_t k = window.first; k < window.last; k++) {
        const int64_t own = row * axis->stride - axis->before + k * axis->dilation;
        list[k - window.first] = held + (own - band->held) * band->y_row;
    }
    return window.last - window.first;
}

void mls__conv_band_reduce(const mls__conv_band *band, int64_t panel, float *y)
{
    const mls__conv_op *conv = band->conv;
    const void **list = (const void **) (void *) (band->slot + conv->slot_list);
    float *line = (float *) (void *) (band->slot + conv->slot_line);
    for (int64_t r = band->row; r < band->step_end; r++) {
        const int64_t count = list_rows(band, r, band->y + panel * band->y_panel, list);
        float *own = y + (r * conv->pool_along.output + band->column) * LANES;
        mls__blocked_max(conv->base.cpu, &band->along, list, count, line, own);
        if (conv->is_rounded)
            conv->half.round(own, band->along.output * LANES);
    }
}
