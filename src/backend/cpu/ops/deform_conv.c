/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeformConv: every element of a kernel looks at a place of its own, which an offset moves, and
 * finds there what is between the elements around it; all outside of the image is 0.
 *
 * A tile of outputs gathers what its kernels see as columns of a matrix, which the filters are
 * then multiplied by: an output is one chain over its group's channels and their positions of the
 * kernel, ascending (kernels/gemm.h), then the bias. What is between elements is the sum of those
 * around it in the order of corners, the last axis fastest; a weight, with the mask in it, is
 * computed in double and rounded once. 16-bit floats are computed as float32.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "base/alloc.h"
#include "op/deform.h"

#include <math.h>

/* Outputs of a tile; of them, those that share a panel are looked up together. */
#define TILE_PANELS 4
#define LANES       MLS__GEMM_PANEL
#define TILE        (TILE_PANELS * LANES)

/* Fewer products are not worth a second thread. */
#define GRAIN 65536

typedef struct deform_kernel {
    mls__cpu_kernel base;
    mls__deform deform;
    int32_t dtype, work_dtype;
    size_t input_count;
    bool is_given[MLS__DEFORM_INPUTS];
    int64_t counts[MLS__DEFORM_INPUTS], y_count;
    uint32_t threads;
    int64_t x_plane, k; /* elements of a channel of X; of a filter */
    int64_t tiles;      /* of an image */
    uint64_t input_offsets[MLS__DEFORM_INPUTS], y_offset; /* in the workspace */
    /* Each thread's part of it: corners, their weights, columns. */
    uint64_t slots_offset, slot_bytes, weight_offset, column_offset;
} deform_kernel;

/* --- places ---------------------------------------------------------------------------------- */

/* A position of the kernel at a panel of outputs. */
typedef struct lookup {
    int count;                           /* of outputs */
    int64_t corners;                     /* 2^rank */
    uint32_t whole;                      /* bit i: all corners of output i are inside */
    int64_t *at;                         /* [lane][corner]: the element of the image; -1: outside */
    void *weights;                       /* likewise: of that element, times the mask */
    int64_t starts[LANES][MLS_MAX_RANK]; /* where the kernel begins, along each axis */
} lookup;

typedef struct work {
    const deform_kernel *kernel;
    const void *inputs[MLS__DEFORM_INPUTS]; /* of the dtype that is computed in */
    void *y;
    char *slots;
    int64_t tasks, shares;
} work;

static double number_at(const deform_kernel *k, const void *x, int64_t i)
{
    return k->work_dtype == MLS_FLOAT64 ? ((const double *) x)[i] : (double) ((const float *) x)[i];
}

static void find_starts(const mls__convolution *c, lookup *l, int64_t output)
{
    for (int lane = 0; lane < l->count; lane++) {
        int64_t o = output + lane;
        for (int i = c->rank - 1; i >= 0; i--) {
            const mls__conv_axis *axis = &c->axes[i];
            l->starts[lane][i] = o % axis->output * axis->stride - axis->before;
            o /= axis->output;
        }
    }
}

/* How far from there an element of the kernel is. */
static void find_reach(const mls__convolution *c, int64_t position, int64_t *ret_reach)
{
    for (int i = c->rank - 1; i >= 0; i--) {
        ret_reach[i] = position % c->axes[i].kernel * c->axes[i].dilation;
        position /= c->axes[i].kernel;
    }
}

/* A place: the elements in front of it, and how far behind them it is. */
typedef struct place {
    int64_t low[MLS_MAX_RANK];
    double rest[MLS_MAX_RANK];
} place;

/* Where an element of the kernel looks; false if it sees nothing. */
static bool find_place(const work *w, const int64_t *starts, const int64_t *reach, int64_t row,
                       int64_t output, place *ret_place)
{
    const mls__deform *d = &w->kernel->deform;
    for (int i = 0; i < d->conv.rank; i++) {
        const int64_t at = (row * d->conv.rank + i) * d->outputs + output;
        const double offset = number_at(w->kernel, w->inputs[MLS__DEFORM_OFFSETS], at);
        const double where = (double) (starts[i] + reach[i]) + offset;
        if (!(where > -1 && where < (double) d->conv.axes[i].input))
            return false;
        const double low = floor(where);
        ret_place->low[i] = (int64_t) low;
        ret_place->rest[i] = where - low;
    }
    return true;
}

/* One corner of the elements around a place: -1 if it is outside. */
static int64_t corner_at(const mls__convolution *c, const place *p, int64_t corner,
                         double *ret_weight)
{
    int64_t index = 0;
    double weight = 1;
    for (int i = 0; i < c->rank; i++) {
        const int64_t bit = corner >> (c->rank - 1 - i) & 1;
        const int64_t element = p->low[i] + bit;
        if (element < 0 || element >= c->axes[i].input)
            return -1;
        index = index * c->axes[i].input + element;
        weight *= bit ? p->rest[i] : 1 - p->rest[i];
    }
    *ret_weight = weight;
    return index;
}

/* The corners of one output; gives whether all are inside. */
static bool set_corners(const deform_kernel *k, const lookup *l, int lane, const place *p,
                        double mask)
{
    bool is_whole = true;
    for (int64_t corner = 0; corner < l->corners; corner++) {
        const int64_t i = lane * l->corners + corner;
        double weight = 0;
        l->at[i] = corner_at(&k->deform.conv, p, corner, &weight);
        is_whole = is_whole && l->at[i] >= 0;
        if (k->work_dtype == MLS_FLOAT64)
            ((double *) l->weights)[i] = weight * mask;
        else
            ((float *) l->weights)[i] = (float) (weight * mask);
    }
    return is_whole;
}

/* `row` is the kernel's position, of an image and a group of offsets. */
static void find_corners(const work *w, lookup *l, const int64_t *reach, int64_t row,
                         int64_t output)
{
    const deform_kernel *k = w->kernel;
    const void *masks = w->inputs[MLS__DEFORM_MASK];
    place p;
    l->whole = 0;
    for (int lane = 0; lane < LANES; lane++) {
        if (lane < l->count && find_place(w, l->starts[lane], reach, row, output + lane, &p)) {
            const int64_t at = row * k->deform.outputs + output + lane;
            const double mask = masks ? number_at(k, masks, at) : 1;
            l->whole |= (uint32_t) set_corners(k, l, lane, &p, mask) << lane;
            continue;
        }
        for (int64_t corner = 0; corner < l->corners; corner++)
            l->at[lane * l->corners + corner] = -1;
    }
}

/* --- columns --------------------------------------------------------------------------------- */

/* What a channel has at the places of a panel; the usual case, of two axes, is written out. */
#define GATHER(name, T)                                                                            \
    static T name##_some(const T *weights, const T *x, const int64_t *at, int64_t corners)         \
    {                                                                                              \
        T sum = 0;                                                                                 \
        for (int64_t i = 0; i < corners; i++)                                                      \
            if (at[i] >= 0)                                                                        \
                sum += weights[i] * x[at[i]];                                                      \
        return sum;                                                                                \
    }                                                                                              \
    static void name(const lookup *l, T *y, const T *x)                                            \
    {                                                                                              \
        const T *w = l->weights;                                                                   \
        const int64_t *at = l->at, n = l->corners;                                                 \
        for (int j = 0; j < LANES; j++, at += n, w += n)                                           \
            if (n == 4 && l->whole >> j & 1)                                                       \
                y[j] = 0 + w[0] * x[at[0]] + w[1] * x[at[1]] + w[2] * x[at[2]] + w[3] * x[at[3]];  \
            else                                                                                   \
                y[j] = name##_some(w, x, at, n);                                                   \
    }

GATHER(gather_f32, float)
GATHER(gather_f64, double)

/* Row `position` of all channels that go by a group of offsets, in one panel of a tile. */
static void fill_rows(const work *w, const lookup *l, int64_t image, int64_t offset_group,
                      int64_t position, int64_t panel, char *columns)
{
    const deform_kernel *k = w->kernel;
    const mls__deform *d = &k->deform;
    const int64_t all = d->conv.channels * d->conv.groups, count = all / d->offset_groups;
    for (int64_t channel = offset_group * count; channel < (offset_group + 1) * count; channel++) {
        const int64_t group = channel / d->conv.channels;
        const int64_t row = channel % d->conv.channels * d->positions + position;
        const int64_t y = ((group * TILE_PANELS + panel) * k->k + row) * LANES;
        const int64_t x = (image * all + channel) * k->x_plane;
        if (k->work_dtype == MLS_FLOAT64)
            gather_f64(l, (double *) (void *) columns + y, (const double *) w->inputs[0] + x);
        else
            gather_f32(l, (float *) (void *) columns + y, (const float *) w->inputs[0] + x);
    }
}

static void fill_panel(const work *w, int64_t image, int64_t output, int64_t panel, char *slot)
{
    const deform_kernel *k = w->kernel;
    const mls__deform *d = &k->deform;
    const int64_t left = d->outputs - output;
    lookup l = {.count = left < LANES ? (int) left : LANES,
                .corners = INT64_C(1) << d->conv.rank,
                .at = (int64_t *) (void *) slot,
                .weights = slot + k->weight_offset};
    int64_t reach[MLS_MAX_RANK];
    find_starts(&d->conv, &l, output);
    for (int64_t group = 0; group < d->offset_groups; group++)
        for (int64_t position = 0; position < d->positions; position++) {
            const int64_t row = (image * d->offset_groups + group) * d->positions + position;
            find_reach(&d->conv, position, reach);
            find_corners(w, &l, reach, row, output);
            fill_rows(w, &l, image, group, position, panel, slot + k->column_offset);
        }
}

/* --- products -------------------------------------------------------------------------------- */

static void multiply_f32(const work *w, int64_t group, const float *columns, float *y, int64_t n)
{
    const deform_kernel *k = w->kernel;
    const mls__deform *d = &k->deform;
    const int64_t filters = d->conv.filters;
    const float *bias = w->inputs[MLS__DEFORM_BIAS];
    const mls__gemm g = {.n = n,
                         .k = k->k,
                         .a = (const float *) w->inputs[1] + group * filters * k->k,
                         .a_row = k->k,
                         .a_step = 1,
                         .b = columns,
                         .c = bias ? bias + group * filters : NULL,
                         .c_row = 1,
                         .alpha = 1,
                         .beta = 1,
                         .y = y,
                         .y_row = d->outputs};
    k->base.cpu->kernels->gemm->wide(&g, 0, filters, 0, mls__gemm_panels(n));
}

static void multiply_f64(const work *w, int64_t group, const double *columns, double *y, int64_t n)
{
    const deform_kernel *k = w->kernel;
    const mls__deform *d = &k->deform;
    const int64_t filters = d->conv.filters;
    const double *bias = w->inputs[MLS__DEFORM_BIAS];
    for (int64_t at = 0; at < n; at += LANES) {
        const mls__gemm_plain g = {.n = n - at < LANES ? n - at : LANES,
                                   .k = k->k,
                                   .a = (const double *) w->inputs[1] + group * filters * k->k,
                                   .a_row = k->k,
                                   .a_step = 1,
                                   .b = columns + at * k->k,
                                   .b_row = LANES,
                                   .b_step = 1,
                                   .c = bias ? bias + group * filters : NULL,
                                   .c_row = 1,
                                   .alpha = 1,
                                   .beta = 1,
                                   .y = y + at,
                                   .y_row = d->outputs};
        k->base.cpu->kernels->gemm->float64(&g, 0, filters);
    }
}

static void run_tile(const work *w, int64_t image, int64_t tile, char *slot)
{
    const deform_kernel *k = w->kernel;
    const mls__deform *d = &k->deform;
    const int64_t begin = tile * TILE, left = d->outputs - begin, n = left < TILE ? left : TILE;
    const void *columns = slot + k->column_offset;
    for (int64_t panel = 0; panel < mls__gemm_panels(n); panel++)
        fill_panel(w, image, begin + panel * LANES, panel, slot);
    for (int64_t group = 0; group < d->conv.groups; group++) {
        const int64_t at = group * TILE * k->k;
        const int64_t y = (image * d->conv.groups + group) * d->conv.filters * d->outputs + begin;
        if (k->work_dtype == MLS_FLOAT64)
            multiply_f64(w, group, (const double *) columns + at, (double *) w->y + y, n);
        else
            multiply_f32(w, group, (const float *) columns + at, (float *) w->y + y, n);
    }
}

/* --- a run ----------------------------------------------------------------------------------- */

static void run_share(void *arg, size_t index)
{
    const work *w = arg;
    const deform_kernel *k = w->kernel;
    char *slot = w->slots + index * k->slot_bytes;
    const int64_t share = (int64_t) index, step = w->tasks / w->shares, rest = w->tasks % w->shares;
    const int64_t begin = share * step + (share < rest ? share : rest);
    for (int64_t i = begin; i < begin + step + (share < rest); i++)
        run_tile(w, i / k->tiles, i % k->tiles, slot);
}

static mls_status deform_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const deform_kernel *k = (const deform_kernel *) base;
    const bool is_wide = k->work_dtype != k->dtype;
    char *memory = call->workspace;
    void *y = call->buffers[k->input_count];
    if (!k->y_count)
        return MLS_OK;
    work w = {.kernel = k,
              .y = is_wide ? memory + k->y_offset : y,
              .slots = memory + k->slots_offset,
              .tasks = k->deform.conv.batch * k->tiles};
    for (size_t i = 0; i < MLS__DEFORM_INPUTS; i++) {
        if (!k->is_given[i])
            continue;
        w.inputs[i] = is_wide ? memory + k->input_offsets[i] : call->buffers[i];
        if (is_wide)
            mls__float_convert(k->base.cpu, k->work_dtype, memory + k->input_offsets[i], k->dtype,
                               call->buffers[i], k->counts[i]);
    }
    w.shares = k->threads > 1 && k->y_count > GRAIN / (k->k + 1) ? k->threads : 1;
    if (w.shares > 1)
        call->parallel_for(call->executor, (size_t) w.shares, run_share, &w);
    else
        run_share(&w, 0);
    if (is_wide)
        mls__float_convert(k->base.cpu, k->dtype, y, k->work_dtype, w.y, k->y_count);
    return MLS_OK;
}

/* --- the plan -------------------------------------------------------------------------------- */

static mls_status follow(deform_kernel *k, const mls_op *op)
{
    const mls_status status = mls__op_deform(op, &k->deform);
    if (status)
        return status;
    const mls__deform *d = &k->deform;
    k->x_plane = mls__arg_span(&op->inputs[0], 2, op->inputs[0].rank);
    k->y_count = mls__arg_count(&op->outputs[0]);
    k->k = d->conv.channels * d->positions;
    k->tiles = d->outputs / TILE + (d->outputs % TILE != 0);
    for (size_t i = 0; i < MLS__DEFORM_INPUTS; i++)
        k->counts[i] = k->is_given[i] ? mls__arg_count(&op->inputs[i]) : 0;
    return MLS_OK;
}

static bool add_slots(deform_kernel *k, size_t size, size_t *total)
{
    const mls__deform *d = &k->deform;
    const int64_t corners = (INT64_C(1) << d->conv.rank) * LANES;
    uint64_t at_offset;
    size_t bytes = 0, all;
    int64_t columns;
    const bool fits = mls__mul_i64(d->conv.groups * d->conv.channels, d->positions, &columns) &&
                      mls__mul_i64(columns, TILE, &columns) &&
                      mls__work_region(&bytes, corners, sizeof(int64_t), &at_offset) &&
                      mls__work_region(&bytes, corners, size, &k->weight_offset) &&
                      mls__work_region(&bytes, columns, size, &k->column_offset);
    k->slot_bytes = bytes;
    k->slots_offset = *total;
    return fits && mls__mul_size(bytes, k->threads, &all) && mls__add_size(*total, all, total);
}

/* What the present dims need. */
static mls_status measure(deform_kernel *k, const mls_op *op, size_t *ret_bytes)
{
    const size_t size = mls_dtype_size((mls_dtype) k->work_dtype);
    const bool is_wide = k->work_dtype != k->dtype;
    size_t bytes = 0;
    bool fits = true;
    if (!k->y_count) {
        *ret_bytes = 0;
        return MLS_OK;
    }
    for (size_t i = 0; fits && i < MLS__DEFORM_INPUTS; i++)
        fits = mls__work_region(&bytes, is_wide ? k->counts[i] : 0, size, &k->input_offsets[i]);
    fits = fits && mls__work_region(&bytes, is_wide ? k->y_count : 0, size, &k->y_offset) &&
           add_slots(k, size, &bytes);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    *ret_bytes = bytes;
    return MLS_OK;
}

/* Smaller dims may still need more: a larger kernel of fewer filters. */
static mls_status deform_reshape(mls_kernel *base, const mls_op *op)
{
    deform_kernel *k = (deform_kernel *) base;
    size_t bytes;
    mls_status status = follow(k, op);
    if (!status)
        status = measure(k, op, &bytes);
    if (!status && bytes > base->workspace_bytes)
        status = mls__op_error(op, MLS_ELIMIT, "needs more memory at these dims than planned");
    return status;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    deform_kernel *k;
    size_t bytes;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "deform_conv", deform_run, &k);
    if (status)
        return status;
    k->base.base.reshape = deform_reshape;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->input_count = op->input_count;
    k->threads = op->threads;
    for (size_t i = 0; i < MLS__DEFORM_INPUTS; i++)
        k->is_given[i] = mls__op_input(op, i) != NULL;
    status = follow(k, op);
    if (!status)
        status = measure(k, op, &bytes);
    if (status) {
        k->base.base.free(&k->base.base);
        return status;
    }
    k->base.base.workspace_bytes = bytes;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_deform_conv = {
    {"", "DeformConv", create, 0},
    {.type = NULL},
};
