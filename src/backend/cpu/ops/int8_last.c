/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions with channels last as products: the output's elements are the rows, the filters the
 * columns. What lies under a filter is one row of patches, of positions and then channels, so that
 * it is copied in runs; with filters of one element the input is the rows as it lies.
 */
#include "backend/cpu/ops/int8_conv.h"

#include "base/alloc.h"

#include <string.h>

/* Patches that stay in the second cache while all filters go past them. */
#define CHUNK_BYTES (128 * 1024)
#define MIN_CHUNK   48
#define MAX_CHUNK   960
/* Bytes that are copied at once, past the end of what is asked for. */
#define PIECE 16
/* Outputs of a task, at least. */
#define TASK_ROWS MIN_CHUNK

/* --- filters --------------------------------------------------------------------------------- */

static bool plan_filters(mls__int8_conv *c)
{
    const mls__convolution *s = &c->shape;
    uint64_t panels_offset, total = 0;
    int64_t panels;
    const bool fits =
        mls__mul_i64(mls__int8_panels(s->filters), s->groups, &panels) &&
        mls__int8_conv_region(&total, panels, mls__int8_panel_bytes(c->depth), &panels_offset) &&
        mls__int8_conv_region(&total, panels, MLS__INT8_PANEL * (int64_t) sizeof(int32_t),
                              &c->sums_offset);
    c->packed_bytes = total;
    c->own_terms = panels * MLS__INT8_PANEL;
    return fits;
}

/* Filter f as a column of the panels of its group. */
static void pack_filter(const mls__int8_conv *c, const uint8_t *w, int64_t f, uint8_t *panels)
{
    const int64_t taps = c->depth / c->shape.channels;
    const uint8_t mask = c->is_w_signed ? 0 : 0x80;
    uint8_t *column = panels + f / MLS__INT8_PANEL * mls__int8_panel_bytes(c->depth) +
                      f % MLS__INT8_PANEL * MLS__INT8_GROUP;
    for (int64_t channel = 0; channel < c->shape.channels; channel++)
        for (int64_t tap = 0; tap < taps; tap++) {
            const int64_t k = tap * c->shape.channels + channel;
            column[k / MLS__INT8_GROUP * MLS__INT8_GROUP * MLS__INT8_PANEL + k % MLS__INT8_GROUP] =
                *w++ ^ mask;
        }
}

static void pack(const mls__int8_conv *c, const uint8_t *w, char *ret_packed)
{
    const int64_t filters = c->shape.filters, panels = mls__int8_panels(filters);
    const int64_t group_bytes = panels * mls__int8_panel_bytes(c->depth);
    uint8_t *bytes = (uint8_t *) ret_packed;
    int32_t *sums = (int32_t *) (void *) (ret_packed + c->sums_offset);
    memset(bytes, 0, (size_t) (group_bytes * c->shape.groups));
    for (int64_t g = 0; g < c->shape.groups; g++)
        for (int64_t f = 0; f < filters; f++)
            pack_filter(c, w + (g * filters + f) * c->depth, f, bytes + g * group_bytes);
    c->base.cpu->kernels->gemm_int8->panel_sums(sums, bytes, c->depth, panels * c->shape.groups,
                                                true);
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Every filter element sees the input as it lies. */
static bool is_pointwise(const mls__convolution *shape)
{
    for (int i = 0; i < shape->rank; i++) {
        const mls__conv_axis *axis = &shape->axes[i];
        if (axis->kernel != 1 || axis->stride != 1 || axis->before || axis->output != axis->input)
            return false;
    }
    return true;
}

static bool is_direct(const mls__int8_conv *c)
{
    return !c->is_x_signed && is_pointwise(&c->shape);
}

/* Positions of a filter on all axes but the last. */
static int64_t row_taps(const mls__int8_conv *c)
{
    return c->depth / c->shape.channels / c->shape.axes[c->shape.rank - 1].kernel;
}

/* A slot: where rows lie, rows of patches, and the sums of these. */
static bool plan_slot(mls__int8_conv *c)
{
    const int64_t fitting = CHUNK_BYTES / (c->row_bytes + 1) / MIN_CHUNK * MIN_CHUNK;
    uint64_t rows_offset, total = 0;
    int64_t bytes;
    c->chunk = fitting < MIN_CHUNK ? MIN_CHUNK : fitting > MAX_CHUNK ? MAX_CHUNK : fitting;
    const bool fits =
        mls__mul_i64(c->chunk, is_direct(c) ? 0 : c->row_bytes, &bytes) &&
        mls__add_i64(bytes, PIECE, &bytes) &&
        mls__int8_conv_region(&total, row_taps(c), sizeof(const uint8_t *), &rows_offset) &&
        mls__int8_conv_region(&total, bytes, 1, &c->panels_offset) &&
        mls__int8_conv_region(&total, c->chunk, sizeof(int32_t), &c->terms_offset);
    c->slot_bytes = total;
    return fits;
}

/* --- patches --------------------------------------------------------------------------------- */

/* One group of the input. */
typedef struct source {
    const mls__int8_conv_work *work;
    const uint8_t *x, *end; /* the group's channels of the first element, and the input's end */
    int64_t step;           /* between elements: all channels */
    const uint8_t **rows;   /* the input's rows under one of the output's; NULL: outside */
    bool is_solid;          /* a filter's row sees bytes that lie side by side */
} source;

static source source_of(const mls__int8_conv_work *w, int64_t group, char *slot)
{
    const mls__int8_conv *c = w->conv;
    const mls__convolution *s = &c->shape;
    const uint8_t *x = w->call->buffers[c->roles->x];
    int64_t bytes = s->batch * s->groups * s->channels;
    for (int i = 0; i < s->rank; i++)
        bytes *= s->axes[i].input;
    return (source){.work = w,
                    .x = x + group * s->channels,
                    .end = x + bytes,
                    .step = s->groups * s->channels,
                    .rows = (const uint8_t **) (void *) slot,
                    .is_solid = s->groups == 1 && s->axes[s->rank - 1].dilation == 1};
}

/* `row` counts the output's rows over all images. */
static void find_rows(const source *from, int64_t row)
{
    const mls__convolution *s = &from->work->conv->shape;
    const int last = s->rank - 1;
    int64_t first[MLS_MAX_RANK];
    for (int i = last - 1; i >= 0; i--) {
        first[i] = row % s->axes[i].output * s->axes[i].stride - s->axes[i].before;
        row /= s->axes[i].output;
    }
    const int64_t taps = row_taps(from->work->conv);
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t left = tap, at = 0, step = s->axes[last].input;
        bool is_inside = true;
        for (int i = last - 1; i >= 0; i--) {
            const mls__conv_axis *axis = &s->axes[i];
            const int64_t index = first[i] + left % axis->kernel * axis->dilation;
            is_inside = is_inside && index >= 0 && index < axis->input;
            at += index * step;
            step *= axis->input;
            left /= axis->kernel;
        }
        from->rows[tap] = is_inside ? from->x + (row * step + at) * from->step : NULL;
    }
}

/* Up to PIECE - 1 bytes more are written, and read where there are so many. */
static void copy_run(uint8_t *to, const uint8_t *from, int64_t n, const uint8_t *end)
{
    if (end - from < n + PIECE) {
        memcpy(to, from, (size_t) n);
        return;
    }
    for (int64_t i = 0; i < n; i += PIECE)
        memcpy(to + i, from + i, PIECE);
}

/* What lies under one row of the filter, whose first element is over column `column`. */
static void gather_taps(const source *from, const uint8_t *row, int64_t column, uint8_t *to)
{
    const mls__convolution *s = &from->work->conv->shape;
    const mls__conv_axis *axis = &s->axes[s->rank - 1];
    const uint8_t pad = from->work->x_pad;
    if (!row) {
        memset(to, pad, (size_t) (axis->kernel * s->channels));
        return;
    }
    if (from->is_solid && column >= 0 && column + axis->kernel <= axis->input) {
        copy_run(to, row + column * from->step, axis->kernel * s->channels, from->end);
        return;
    }
    for (int64_t k = 0; k < axis->kernel; k++, column += axis->dilation, to += s->channels) {
        if (column < 0 || column >= axis->input)
            memset(to, pad, (size_t) s->channels);
        else
            copy_run(to, row + column * from->step, s->channels, from->end);
    }
}

/* The row of patches of output column `column`. */
static void gather_one(const source *from, int64_t column, uint8_t *to)
{
    const mls__int8_conv *c = from->work->conv;
    const mls__conv_axis *axis = &c->shape.axes[c->shape.rank - 1];
    const int64_t taps = row_taps(c), tap_bytes = axis->kernel * c->shape.channels;
    for (int64_t tap = 0; tap < taps; tap++)
        gather_taps(from, from->rows[tap], column * axis->stride - axis->before,
                    to + tap * tap_bytes);
    memset(to + c->depth, 0, (size_t) (c->row_bytes - c->depth));
}

/*
 * Rows of patches that are inside the input on all sides, as many as there are of up to `count`
 * from output column `column` on, whose rows of the filter see at most PIECE bytes.
 */
static int64_t gather_inside(const source *from, int64_t column, int64_t count, uint8_t *to)
{
    const mls__int8_conv *c = from->work->conv;
    const mls__conv_axis *axis = &c->shape.axes[c->shape.rank - 1];
    const int64_t taps = row_taps(c), tap_bytes = axis->kernel * c->shape.channels;
    const int64_t first = column * axis->stride - axis->before, step = axis->stride * from->step;
    const int64_t room = axis->input - axis->kernel - first;
    int64_t inside = room < 0 ? 0 : room / axis->stride + 1;
    if (!from->is_solid || tap_bytes > PIECE || first < 0)
        return 0;
    inside = inside < count ? inside : count;
    for (int64_t tap = 0; tap < taps; tap++)
        if (!from->rows[tap] ||
            from->end - from->rows[tap] < (first + inside * axis->stride) * from->step + PIECE)
            return 0;
    for (int64_t i = 0, at = first * from->step; i < inside; i++, at += step, to += c->row_bytes) {
        for (int64_t tap = 0; tap < taps; tap++)
            memcpy(to + tap * tap_bytes, from->rows[tap] + at, PIECE);
        memset(to + c->depth, 0, MLS__INT8_GROUP);
    }
    return inside;
}

/* Output elements first .. first+count-1, as unsigned bytes. */
static void gather(const source *from, int64_t first, int64_t count, uint8_t *ret_rows)
{
    const mls__int8_conv *c = from->work->conv;
    const mls__conv_axis *axis = &c->shape.axes[c->shape.rank - 1];
    int64_t column = first % axis->output;
    uint8_t *to = ret_rows;
    find_rows(from, first / axis->output);
    for (int64_t i = 0; i < count;) {
        const int64_t left = axis->output - column < count - i ? axis->output - column : count - i;
        int64_t taken = gather_inside(from, column, left, to);
        if (taken == 0) {
            gather_one(from, column, to);
            taken = 1;
        }
        i += taken;
        column += taken;
        to += taken * c->row_bytes;
        if (column == axis->output && i < count) {
            column = 0;
            find_rows(from, (first + i) / axis->output);
        }
    }
    if (c->is_x_signed)
        c->base.cpu->kernels->gemm_int8->flip(ret_rows, ret_rows, count * c->row_bytes);
}

/* --- products -------------------------------------------------------------------------------- */

/* All that is added to a sum but for what its row's own sum adds. */
static void set_bias(const mls__int8_conv_work *w)
{
    const mls__int8_conv *c = w->conv;
    const int64_t filters = c->shape.filters, whole = mls__int8_panels(filters) * MLS__INT8_PANEL;
    const mls__int8_ints *zeros = &w->gemm.a_zeros, *given = &w->gemm.bias;
    int32_t *bias = (int32_t *) (void *) ((char *) w->call->workspace + c->own_bias_offset);
    memset(bias, 0, (size_t) c->own_terms * sizeof *bias);
    for (int64_t f = 0; f < filters * c->shape.groups; f++) {
        const int32_t zero = zeros->data ? zeros->data[f * zeros->row] : 0;
        const uint32_t sum = (uint32_t) w->filters.sums[f / filters * whole + f % filters];
        const uint32_t moved = sum - (uint32_t) c->depth * (uint32_t) zero;
        bias[f / filters * whole + f % filters] =
            (int32_t) ((given->data ? (uint32_t) given->data[f] : 0) -
                       (uint32_t) w->x_zero * moved);
    }
}

/* One scale for each filter, as the kernels want it. */
static const float *set_scales(const mls__int8_conv_work *w)
{
    const mls__int8_conv *c = w->conv;
    const mls__int8_floats *given = &w->gemm.scale;
    float *scales = (float *) (void *) ((char *) w->call->workspace + c->own_scales_offset);
    if (given->row)
        return given->data;
    for (int64_t f = 0; f < c->shape.filters * c->shape.groups; f++)
        scales[f] = *given->data;
    return scales;
}

/* The product of a group, whose first row is the output's first element. */
static mls__gemm_int8 gemm_of(const mls__int8_conv_work *w, const float *scales, int64_t group)
{
    const mls__int8_conv *c = w->conv;
    const mls__convolution *s = &c->shape;
    const int64_t filter = group * s->filters;
    const int64_t group_bytes = mls__int8_panels(s->filters) * mls__int8_panel_bytes(c->depth);
    const int32_t *bias =
        (const int32_t *) (const void *) ((char *) w->call->workspace + c->own_bias_offset);
    const mls__int8_ints *zeros = &w->gemm.a_zeros;
    mls__gemm_int8 g = {.n = s->filters,
                        .k = is_direct(c) ? c->depth : c->row_bytes,
                        .a_row = is_direct(c) ? s->groups * s->channels : c->row_bytes,
                        .b = w->filters.bytes + group * group_bytes,
                        .starts = bias + group * mls__int8_panels(s->filters) * MLS__INT8_PANEL,
                        .form = c->form,
                        .scale = {scales + filter, 0, 1},
                        .y_zero = w->gemm.y_zero,
                        .y = (uint8_t *) w->gemm.y + filter,
                        .y_row = s->groups * s->filters};
    if (zeros->data)
        g.b_zeros = (mls__int8_ints){zeros->data + filter * zeros->row, 0, zeros->row};
    return g;
}

/* What a thread does of each group. */
typedef struct share {
    int64_t begin, end; /* output elements */
    int64_t panel, panels;
} share;

/*
 * Few rows that need no gathering leave the filters to be parted, of which there is more to read:
 * each thread then reads its own.
 */
static bool has_parted_filters(const mls__int8_conv *c)
{
    return is_direct(c) && c->shape.groups == 1 && c->shape.filters > c->pixels * c->shape.batch;
}

static int64_t task_count(const mls__int8_conv *c)
{
    if (has_parted_filters(c))
        return mls__int8_conv_pieces(c, mls__int8_panels(c->shape.filters), 1);
    return mls__int8_conv_pieces(c, c->pixels * c->shape.batch, TASK_ROWS);
}

static share share_of(const mls__int8_conv *c, const mls__cpu_take *take)
{
    const int64_t rows = c->pixels * c->shape.batch, panels = mls__int8_panels(c->shape.filters);
    share s = {0, rows, 0, panels};
    if (has_parted_filters(c)) {
        s.panel = mls__int8_conv_piece(c, panels, 1, take->begin);
        s.panels = mls__int8_conv_piece(c, panels, 1, take->end) - s.panel;
        return s;
    }
    s.begin = mls__int8_conv_piece(c, rows, TASK_ROWS, take->begin);
    s.end = mls__int8_conv_piece(c, rows, TASK_ROWS, take->end);
    return s;
}

/* Output elements first .. first+count-1 of one group. */
static void run_chunk(const source *from, mls__gemm_int8 g, const share *own, int64_t first,
                      int64_t count, char *slot)
{
    const mls__int8_conv *c = from->work->conv;
    const mls__gemm_int8_kernels *kernels = c->base.cpu->kernels->gemm_int8;
    int32_t *sums = (int32_t *) (void *) (slot + c->terms_offset);
    g.a = from->x + first * from->step;
    if (!is_direct(c)) {
        gather(from, first, count, (uint8_t *) slot + c->panels_offset);
        g.a = (const uint8_t *) slot + c->panels_offset;
    }
    for (int64_t i = 0; g.b_zeros.data && i < count; i++)
        sums[i] = kernels->row_sum(g.a + i * g.a_row, c->depth, false);
    g.a_sums = sums;
    g.y = (uint8_t *) g.y + first * g.y_row;
    kernels->run(&g, 0, count, own->panel, own->panels);
}

typedef struct last_work {
    mls__int8_conv_work work;
    const float *scales;
} last_work;

static void run_share(void *arg, const mls__cpu_take *take)
{
    const last_work *l = arg;
    const mls__int8_conv *c = l->work.conv;
    const share own = share_of(c, take);
    char *slot = mls__int8_conv_slot(&l->work, take->slot);
    for (int64_t group = 0; group < c->shape.groups; group++) {
        const source from = source_of(&l->work, group, slot);
        const mls__gemm_int8 g = gemm_of(&l->work, l->scales, group);
        for (int64_t i = own.begin; i < own.end; i += c->chunk)
            run_chunk(&from, g, &own, i, own.end - i < c->chunk ? own.end - i : c->chunk, slot);
    }
}

static mls_status run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__int8_conv *c = (const mls__int8_conv *) kernel;
    last_work l;
    if (c->pixels == 0 || c->shape.batch == 0 || c->shape.filters == 0)
        return MLS_OK;
    mls__int8_conv_start(c, call, &l.work);
    set_bias(&l.work);
    l.scales = set_scales(&l.work);
    mls__cpu_tasks(call, c->threads, task_count(c), 1, run_share, &l);
    return MLS_OK;
}

const mls__int8_conv_way mls__int8_way_last = {"int8_conv_last", "int8lst", run, pack,
                                               plan_filters,     plan_slot};
