/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions as products: a chunk of the output at a time, whose patches are gathered into
 * panels. A row of patches is one element of the filter: the input under it, which lies side by
 * side where the stride is 1.
 */
#include "backend/cpu/ops/int8_conv.h"

#include <string.h>

/* The panels of a chunk should fit in the second cache, and be worth a pass over all filters. */
#define CHUNK_BYTES (256 * 1024)
#define MIN_CHUNK   64
#define MAX_CHUNK   1024

static bool plan_slot(mls__int8_conv *c)
{
    const int64_t fitting = CHUNK_BYTES / (c->row_bytes + 1);
    int64_t chunk = fitting < MIN_CHUNK ? MIN_CHUNK : fitting > MAX_CHUNK ? MAX_CHUNK : fitting;
    if (chunk > c->pixels)
        chunk = c->pixels;
    c->chunk = mls__int8_panels(chunk) * MLS__INT8_PANEL;
    uint64_t rows_offset, total = 0;
    const bool fits = mls__int8_conv_region(&total, MLS__INT8_GROUP, c->chunk, &rows_offset) &&
                      mls__int8_conv_region(&total, c->chunk, c->row_bytes, &c->panels_offset) &&
                      mls__int8_conv_region(&total, c->chunk, sizeof(int32_t), &c->terms_offset);
    c->slot_bytes = total;
    return fits;
}

/* --- patches --------------------------------------------------------------------------------- */

/* A place in the filter and one in the output; element `at` of x is that of the channel. */
typedef struct patch {
    const mls__int8_conv_work *work;
    const uint8_t *x; /* the channel */
    int64_t tap[MLS_MAX_RANK];
} patch;

/*
 * The input's row under one of the output's, by the indices along all axes but the last; NULL
 * where it is outside.
 */
static const uint8_t *row_under(const patch *p, int64_t row)
{
    const mls__convolution *shape = &p->work->conv->shape;
    int64_t at = 0, step = shape->axes[shape->rank - 1].input;
    for (int i = shape->rank - 2; i >= 0; i--) {
        const mls__conv_axis *axis = &shape->axes[i];
        const int64_t index =
            row % axis->output * axis->stride - axis->before + p->tap[i] * axis->dilation;
        if (index < 0 || index >= axis->input)
            return NULL;
        at += index * step;
        step *= axis->input;
        row /= axis->output;
    }
    return p->x + at;
}

/* The least o >= 0 for which o * stride >= distance. */
static int64_t first_at(int64_t distance, int64_t stride)
{
    return distance <= 0 ? 0 : (distance + stride - 1) / stride;
}

/* Elements begin .. end-1 of an output's row, of what lies under them in `under`. */
static void gather_row(const patch *p, const uint8_t *under, int64_t begin, int64_t end,
                       uint8_t *ret_bytes)
{
    const mls__int8_conv *c = p->work->conv;
    const mls__conv_axis *axis = &c->shape.axes[c->shape.rank - 1];
    const int64_t shift = p->tap[c->shape.rank - 1] * axis->dilation - axis->before;
    int64_t inside = first_at(-shift, axis->stride);
    int64_t outside = first_at(axis->input - shift, axis->stride);
    inside = inside < begin ? begin : inside > end ? end : inside;
    outside = outside < inside ? inside : outside > end ? end : outside;
    if (!under)
        inside = outside = end;
    memset(ret_bytes, p->work->x_pad, (size_t) (inside - begin));
    memset(ret_bytes + (outside - begin), p->work->x_pad, (size_t) (end - outside));
    if (inside < outside)
        c->base.cpu->kernels->gemm_int8->take_steps(ret_bytes + (inside - begin),
                                                    under + inside * axis->stride + shift,
                                                    outside - inside, axis->stride);
}

/* Output elements first .. first+count-1 of one row of patches. */
static void gather(const patch *p, int64_t first, int64_t count, uint8_t *ret_bytes)
{
    const mls__convolution *shape = &p->work->conv->shape;
    const int64_t width = shape->axes[shape->rank - 1].output;
    int64_t row = first / width, column = first % width;
    while (count > 0) {
        const int64_t taken = width - column < count ? width - column : count;
        gather_row(p, row_under(p, row), column, column + taken, ret_bytes);
        ret_bytes += taken;
        count -= taken;
        column = 0;
        row++;
    }
}

/* The place of element k of a filter. */
static patch patch_of(const mls__int8_conv_work *w, const uint8_t *x, int64_t channel_bytes,
                      int64_t k)
{
    const mls__convolution *shape = &w->conv->shape;
    patch p = {.work = w};
    for (int i = shape->rank - 1; i >= 0; i--) {
        p.tap[i] = k % shape->axes[i].kernel;
        k /= shape->axes[i].kernel;
    }
    p.x = x + k * channel_bytes;
    return p;
}

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

/* --- chunks ---------------------------------------------------------------------------------- */

/* The patches of output elements first .. first+count-1 of a group whose input is at `x`. */
static void pack_patches(const mls__int8_conv_work *w, const uint8_t *x, int64_t channel_bytes,
                         int64_t first, int64_t count, char *slot)
{
    const mls__int8_conv *c = w->conv;
    const mls__gemm_int8_kernels *kernels = c->base.cpu->kernels->gemm_int8;
    const int64_t panel_bytes = mls__int8_panel_bytes(c->depth);
    const uint8_t mask = c->is_x_signed ? 0x80 : 0;
    const bool is_direct = is_pointwise(&c->shape);
    uint8_t *rows = (uint8_t *) slot, *panels = (uint8_t *) slot + c->panels_offset;
    for (int64_t k = 0; k < c->depth; k += MLS__INT8_GROUP) {
        const int taken = (int) (c->depth - k < MLS__INT8_GROUP ? c->depth - k : MLS__INT8_GROUP);
        for (int r = 0; !is_direct && r < taken; r++) {
            const patch p = patch_of(w, x, channel_bytes, k + r);
            gather(&p, first, count, rows + r * count);
        }
        kernels->pack_group(panels + k * MLS__INT8_PANEL, panel_bytes,
                            is_direct ? x + k * channel_bytes + first : rows,
                            is_direct ? channel_bytes : count, taken, count, mask);
    }
}

/* What zero points of filters ask of the chunk: sums of its columns. */
static const int32_t *column_terms(const mls__int8_conv_work *w, int64_t count, char *slot)
{
    const mls__int8_conv *c = w->conv;
    int32_t *terms = (int32_t *) (void *) (slot + c->terms_offset);
    c->base.cpu->kernels->gemm_int8->panel_sums(terms, (uint8_t *) slot + c->panels_offset,
                                                c->depth, mls__int8_panels(count), false);
    const uint32_t zeros = (uint32_t) c->depth * (uint32_t) w->x_zero;
    for (int64_t j = 0; j < count; j++)
        terms[j] = (int32_t) ((uint32_t) terms[j] - zeros);
    return terms;
}

/* Chunk `index` of all groups of all images. */
static void run_chunk(const mls__int8_conv_work *w, int64_t index, char *slot)
{
    const mls__int8_conv *c = w->conv;
    const mls__convolution *shape = &c->shape;
    const int64_t chunks = (c->pixels + c->chunk - 1) / c->chunk;
    const int64_t group = index / chunks % shape->groups, image = index / chunks / shape->groups;
    const int64_t first = index % chunks * c->chunk;
    const int64_t count = c->pixels - first < c->chunk ? c->pixels - first : c->chunk;
    const int64_t filter = group * shape->filters;
    int64_t channel_bytes = 1;
    for (int i = 0; i < shape->rank; i++)
        channel_bytes *= shape->axes[i].input;
    const int64_t channel = (image * shape->groups + group) * shape->channels;
    pack_patches(w, (const uint8_t *) w->call->buffers[c->roles->x] + channel * channel_bytes,
                 channel_bytes, first, count, slot);

    mls__gemm_int8 g = w->gemm;
    const size_t y_size = c->form == MLS__INT8_SUM ? sizeof(int32_t) : 1;
    const int64_t at = (image * shape->groups * shape->filters + filter) * c->pixels + first;
    g.n = count;
    g.a += filter * c->row_bytes;
    g.a_sums += filter;
    g.b = (const uint8_t *) slot + c->panels_offset;
    g.y = (char *) g.y + (size_t) at * y_size;
    if (g.bias.data)
        g.bias.data += filter * g.bias.row;
    if (g.scale.data)
        g.scale.data += filter * g.scale.row;
    if (g.a_zeros.data) {
        g.a_zeros.data += filter * g.a_zeros.row;
        g.b_terms = column_terms(w, count, slot);
    }
    c->base.cpu->kernels->gemm_int8->run(&g, 0, shape->filters, 0, mls__int8_panels(count));
}

static void run_chunks(void *arg, const mls__cpu_take *take)
{
    const mls__int8_conv_work *w = arg;
    for (int64_t i = take->begin; i < take->end; i++)
        run_chunk(w, i, mls__int8_conv_slot(w, take->slot));
}

static mls_status run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__int8_conv *c = (const mls__int8_conv *) kernel;
    mls__int8_conv_work w;
    if (c->pixels == 0 || c->shape.batch == 0 || c->shape.filters == 0)
        return MLS_OK;
    mls__int8_conv_start(c, call, &w);
    const int64_t chunks = (c->pixels + c->chunk - 1) / c->chunk;
    mls__cpu_tasks(call, c->threads, chunks * c->shape.groups * c->shape.batch, 1, run_chunks, &w);
    return MLS_OK;
}

const mls__int8_conv_way mls__int8_way_planes = {
    "int8_conv", "int8cnv", run, mls__int8_conv_pack, mls__int8_conv_plan_filters, plan_slot};
