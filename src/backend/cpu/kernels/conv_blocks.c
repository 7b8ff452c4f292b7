/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set: convolution of each channel with a filter of its own, lanes
 * across channels (conv.h), and the way into blocks of channels and out of them.
 */
#include "backend/cpu/kernels/conv.h"

#include "backend/cpu/kernels/unary_ops.h"
#include "backend/cpu/simd/simd.h"

#include <math.h>

void MLS_ISA_NAME(conv_depthwise)(const mls__conv *conv, const mls__conv_row *row, int64_t count,
                                  int64_t block);
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

#if defined(MLS_SIMD_AVX512)
enum { TILE_OUTPUTS = 16 };
#else
enum { TILE_OUTPUTS = 4 };
#endif

/* --- depthwise ------------------------------------------------------------------------------- */

/* `outputs` is a constant in every caller: the loops unroll, the sums are registers. */
MLS_SIMD_FN void take_tap(int outputs, const mls__conv *c, const float *x, mls_vf weight,
                          int64_t begin, int64_t end, mls_vf *sums)
{
    const int64_t step = c->x_step;
    if (begin <= 0 && end >= outputs) {
        MLS_UNROLL
        for (int r = 0; r < outputs; r++)
            sums[r] = vf_fma(vf_load(x + r * step), weight, sums[r]);
        return;
    }
    MLS_UNROLL
    for (int r = 0; r < outputs; r++)
        if (r >= begin && r < end)
            sums[r] = vf_fma(vf_load(x + r * step), weight, sums[r]);
}

MLS_SIMD_FN void take_line(int outputs, const mls__conv *c, const mls__conv_row *row,
                           const mls__conv_line *line, const float *x, const float *w, int64_t i,
                           mls_vf *sums)
{
    for (int64_t t = 0; t < row->tap_count; t++) {
        const mls__conv_tap *tap = &row->taps[t];
        const mls_vf weight = vf_load(w + (line->index + tap->index) * MLS_LANES);
        take_tap(outputs, c, x + (line->x + tap->x), weight, tap->begin - i, tap->end - i, sums);
    }
}

/* How a tile's three taps next to each other meet the input; only the outermost may be outside. */
struct three {
    bool is_known; /* they do so at all */
    bool has_first, has_last;
};

static struct three meet_three(const mls__conv *c, const mls__conv_row *row, int64_t i,
                               int64_t outputs)
{
    const mls__conv_tap *t = row->taps;
    struct three three = {.is_known = false};
    if (row->tap_count != 3 || c->x_step > 2 * MLS_LANES || t[2].index != 2 ||
        t[1].x != t[0].x + MLS_LANES || t[2].x != t[1].x + MLS_LANES)
        return three;
    three.has_first = t[0].begin <= i;
    three.has_last = t[2].end >= i + outputs;
    three.is_known = t[0].begin <= i + 1 && t[0].end >= i + outputs && t[1].begin <= i &&
                     t[1].end >= i + outputs && t[2].begin <= i && t[2].end >= i + outputs - 1;
    return three;
}

/* Neighbours share two of their inputs, each of which is read once. */
MLS_SIMD_FN void take_dense(int outputs, const float *x, const float *w, const struct three *three,
                            mls_vf *sums)
{
    const mls_vf w0 = vf_load(w), w1 = vf_load(w + MLS_LANES), w2 = vf_load(w + 2 * MLS_LANES);
    if (three->has_first)
        sums[0] = vf_fma(vf_load(x), w0, sums[0]);
    MLS_UNROLL
    for (int r = 1; r <= outputs; r++) {
        const mls_vf value = vf_load(x + r * MLS_LANES);
        if (r < outputs)
            sums[r] = vf_fma(value, w0, sums[r]);
        sums[r - 1] = vf_fma(value, w1, sums[r - 1]);
        if (r >= 2)
            sums[r - 2] = vf_fma(value, w2, sums[r - 2]);
    }
    if (three->has_last)
        sums[outputs - 1] = vf_fma(vf_load(x + (outputs + 1) * MLS_LANES), w2, sums[outputs - 1]);
}

/* Likewise for neighbours that share one input. */
MLS_SIMD_FN void take_halved(int outputs, const float *x, const float *w, const struct three *three,
                             mls_vf *sums)
{
    const mls_vf w0 = vf_load(w), w1 = vf_load(w + MLS_LANES), w2 = vf_load(w + 2 * MLS_LANES);
    if (three->has_first)
        sums[0] = vf_fma(vf_load(x), w0, sums[0]);
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        sums[r] = vf_fma(vf_load(x + (2 * r + 1) * MLS_LANES), w1, sums[r]);
        if (r == outputs - 1)
            continue;
        const mls_vf shared = vf_load(x + (2 * r + 2) * MLS_LANES);
        sums[r] = vf_fma(shared, w2, sums[r]);
        sums[r + 1] = vf_fma(shared, w0, sums[r + 1]);
    }
    if (three->has_last)
        sums[outputs - 1] = vf_fma(vf_load(x + 2 * outputs * MLS_LANES), w2, sums[outputs - 1]);
}

MLS_SIMD_FN void take_lines(int outputs, const mls__conv *c, const mls__conv_row *row,
                            const float *x, const float *w, int64_t i, mls_vf *sums)
{
    const struct three three = meet_three(c, row, i, outputs);
    for (int64_t l = 0; l < row->line_count; l++) {
        const mls__conv_line *line = &row->lines[l];
        const float *own = w + line->index * MLS_LANES;
        const float *first = three.is_known ? x + (line->x + row->taps[0].x) : x;
        if (three.is_known && c->x_step == MLS_LANES)
            take_dense(outputs, first, own, &three, sums);
        else if (three.is_known && c->x_step == 2 * MLS_LANES)
            take_halved(outputs, first, own, &three, sums);
        else
            take_line(outputs, c, row, line, x, w, i, sums);
    }
}

MLS_SIMD_FN void run_tile(int outputs, const mls__conv *c, const mls__conv_row *row, int64_t i,
                          int64_t block)
{
    const float *w = c->w + block * c->positions * MLS_LANES;
    const float *x = row->x + (block * c->x_block + i * c->x_step);
    const int64_t at = block * c->y_panel + i * c->y_step;
    const mls_vf bias = c->bias ? vf_load(c->bias + block * MLS_LANES) : vf_zero();
    const mls_vf low = vf_set1(c->low), high = vf_set1(c->high);
    mls_vf sums[TILE_OUTPUTS];
    MLS_UNROLL
    for (int r = 0; r < outputs; r++)
        sums[r] = vf_zero();
    take_lines(outputs, c, row, x, w, i, sums);
    MLS_UNROLL
    for (int r = 0; r < outputs; r++) {
        mls_vf v = c->bias ? vf_add(sums[r], bias) : sums[r];
        if (row->z)
            v = vf_add(v, vf_load(row->z + at + r * c->y_step));
        if (c->is_bounded)
            v = op_clip(v, low, high);
        vf_store(row->y + at + r * c->y_step, v);
    }
}

typedef void (*tile_fn)(const mls__conv *c, const mls__conv_row *row, int64_t i, int64_t block);

#define TILE(outputs)                                                                              \
    static void tile_##outputs(const mls__conv *c, const mls__conv_row *row, int64_t i,            \
                               int64_t block)                                                      \
    {                                                                                              \
        run_tile(outputs, c, row, i, block);                                                       \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
#if defined(MLS_SIMD_AVX512)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)
TILE(15)
TILE(16)
#endif

static const tile_fn tiles[TILE_OUTPUTS] = {
    tile_1,  tile_2,  tile_3,  tile_4,
#if defined(MLS_SIMD_AVX512)
    tile_5,  tile_6,  tile_7,  tile_8,  tile_9,  tile_10,
    tile_11, tile_12, tile_13, tile_14, tile_15, tile_16,
#endif
};

void MLS_ISA_NAME(conv_depthwise)(const mls__conv *c, const mls__conv_row *row, int64_t count,
                                  int64_t block)
{
    int64_t parts = (count + TILE_OUTPUTS - 1) / TILE_OUTPUTS, i = 0;
    for (; i < count; parts--) {
        const int64_t outputs = (count - i + parts - 1) / parts;
        tiles[outputs - 1](c, row, i, block);
        i += outputs;
    }
    if (!c->activation || c->is_bounded)
        return;
    float *y = row->y + block * c->y_panel;
    if (c->y_step == MLS_LANES) {
        c->activation(y, y, count * MLS_LANES, c->activation_params);
        return;
    }
    for (int64_t k = 0; k < count; k++)
        c->activation(y + k * c->y_step, y + k * c->y_step, MLS_LANES, c->activation_params);
}

/* --- blocks ---------------------------------------------------------------------------------- */

/*
 * Columns become rows. An element's place is eight bits, four of its row and four of its lane; even
 * and odd lanes apart turn them by one, and four times that exchanges rows and lanes.
 */
MLS_SIMD_FN void turn(mls_vf *rows)
{
    mls_vf turned[MLS_LANES];
    for (int times = 0; times < 2; times++) {
        MLS_UNROLL
        for (int i = 0; i < MLS_LANES / 2; i++) {
            turned[i] = vf_even(rows[2 * i], rows[2 * i + 1]);
            turned[i + MLS_LANES / 2] = vf_odd(rows[2 * i], rows[2 * i + 1]);
        }
        MLS_UNROLL
        for (int i = 0; i < MLS_LANES / 2; i++) {
            rows[i] = vf_even(turned[2 * i], turned[2 * i + 1]);
            rows[i + MLS_LANES / 2] = vf_odd(turned[2 * i], turned[2 * i + 1]);
        }
    }
}

/* Sixteen elements, next to each other in each channel. */
MLS_SIMD_FN void unblock_tile(float *y, int64_t y_channel, const float *x, int64_t channels)
{
    mls_vf rows[MLS_LANES];
    MLS_UNROLL
    for (int i = 0; i < MLS_LANES; i++)
        rows[i] = vf_load(x + i * MLS_LANES);
    turn(rows);
    MLS_UNROLL
    for (int c = 0; c < MLS_LANES; c++)
        if (c < channels)
            vf_store(y + c * y_channel, rows[c]);
}

MLS_SIMD_FN void block_tile(float *y, const float *x, int64_t x_channel, int64_t channels)
{
    mls_vf rows[MLS_LANES];
    MLS_UNROLL
    for (int c = 0; c < MLS_LANES; c++)
        rows[c] = c < channels ? vf_load(x + c * x_channel) : vf_zero();
    turn(rows);
    MLS_UNROLL
    for (int i = 0; i < MLS_LANES; i++)
        vf_store(y + i * MLS_LANES, rows[i]);
}

void MLS_ISA_NAME(conv_unblock)(float *y, int64_t y_channel, int64_t y_step, const float *x,
                                int64_t count, int64_t channels)
{
    int64_t i = 0;
    for (; y_step == 1 && i + MLS_LANES <= count; i += MLS_LANES)
        unblock_tile(y + i, y_channel, x + i * MLS_LANES, channels);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t k = i; k < count; k++)
            y[c * y_channel + k * y_step] = x[k * MLS_LANES + c];
}

void MLS_ISA_NAME(conv_block)(float *y, const float *x, int64_t x_channel, int64_t x_step,
                              int64_t count, int64_t channels)
{
    int64_t i = 0;
    for (; x_step == 1 && i + MLS_LANES <= count; i += MLS_LANES)
        block_tile(y + i * MLS_LANES, x + i, x_channel, channels);
    for (; i < count; i++) {
        for (int64_t c = 0; c < channels; c++)
            y[i * MLS_LANES + c] = x[c * x_channel + i * x_step];
        for (int64_t c = channels; c < MLS_LANES; c++)
            y[i * MLS_LANES + c] = 0;
    }
}

/* --- pools ----------------------------------------------------------------------------------- */

void MLS_ISA_NAME(conv_max_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation)
{
    for (int64_t o = 0; o < n; o++) {
        mls_vf v = vf_set1(-INFINITY);
        for (int64_t k = 0; k < kernel; k++)
            v = vf_max_nan(v, vf_load(x + (o * stride + k * dilation) * MLS_LANES));
        vf_store(y + o * MLS_LANES, v);
    }
}

/* The first maximum is the first row: nothing is below -inf, and a NaN stays. */
MLS_SIMD_FN mls_vf max_of_column(const void *const *rows, int64_t count, int64_t i)
{
    mls_vf v = vf_load((const float *) rows[0] + i * MLS_LANES);
    for (int64_t r = 1; r < count; r++)
        v = vf_max_nan(v, vf_load((const float *) rows[r] + i * MLS_LANES));
    return v;
}

/* A window some of whose columns may be in the padding. */
MLS_SIMD_FN void max_at_edge(float *y, const void *const *rows, int64_t count,
                             const mls__conv_pairs *pairs, int64_t o)
{
    const int64_t begin = 2 * o - pairs->before, end = begin + pairs->kernel;
    mls_vf v = vf_set1(-INFINITY);
    for (int64_t i = begin < 0 ? 0 : begin; i < end && i < pairs->width; i++)
        v = vf_max_nan(v, max_of_column(rows, count, i));
    vf_store(y + o * MLS_LANES, v);
}

/* Windows of three share a column with the next, whose maximum is kept. */
MLS_SIMD_FN void max_inside(float *y, const void *const *rows, int64_t count, int64_t kernel,
                            int64_t at, int64_t n)
{
    mls_vf shared = max_of_column(rows, count, at);
    for (int64_t o = 0; o < n; o++, at += 2) {
        const mls_vf first = kernel == 3 ? shared : max_of_column(rows, count, at);
        mls_vf v = vf_max_nan(first, max_of_column(rows, count, at + 1));
        if (kernel == 3) {
            shared = max_of_column(rows, count, at + 2);
            v = vf_max_nan(v, shared);
        }
        vf_store(y + o * MLS_LANES, v);
    }
}

MLS_SIMD_FN void max_pairs(float *y, const void *const *rows, int64_t count, int64_t kernel,
                           const mls__conv_pairs *pairs)
{
    const int64_t room = pairs->before + pairs->width - kernel;
    const int64_t inside = room < 0 ? 0 : room / 2 + 1;
    const int64_t end = inside < pairs->n ? inside : pairs->n;
    int64_t o = 0;
    for (; o < pairs->n && 2 * o < pairs->before; o++)
        max_at_edge(y, rows, count, pairs, o);
    if (o < end) {
        max_inside(y + o * MLS_LANES, rows, count, kernel, 2 * o - pairs->before, end - o);
        o = end;
    }
    for (; o < pairs->n; o++)
        max_at_edge(y, rows, count, pairs, o);
}

void MLS_ISA_NAME(conv_max_pairs)(float *y, const void *const *rows, int64_t count,
                                  const mls__conv_pairs *pairs)
{
    if (count == 3 && pairs->kernel == 3) {
        const void *const own[] = {rows[0], rows[1], rows[2]};
        max_pairs(y, own, 3, 3, pairs);
    } else if (count == 2 && pairs->kernel == 2) {
        const void *const own[] = {rows[0], rows[1]};
        max_pairs(y, own, 2, 2, pairs);
    } else {
        max_pairs(y, rows, count, pairs->kernel, pairs);
    }
}

void MLS_ISA_NAME(conv_sum_along)(float *y, const float *x, int64_t n, int64_t kernel,
                                  int64_t stride, int64_t dilation)
{
    for (int64_t o = 0; o < n; o++) {
        mls_vf v = vf_zero();
        for (int64_t k = 0; k < kernel; k++)
            v = vf_add(v, vf_load(x + (o * stride + k * dilation) * MLS_LANES));
        vf_store(y + o * MLS_LANES, v);
    }
}

/* The lanes that reduce.h spreads a row over are vectors here, each of whose lanes is a channel. */
void MLS_ISA_NAME(conv_plane_sum)(float *y, const float *x, int64_t n)
{
    enum { SUMS = 64 };
    mls_vf sums[SUMS];
    for (int i = 0; i < SUMS; i++)
        sums[i] = vf_zero();
    for (int64_t i = 0; i < n; i++)
        sums[i % SUMS] = vf_add(sums[i % SUMS], vf_load(x + i * MLS_LANES));
    for (int half = SUMS / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums[i] = vf_add(sums[i], sums[i + half]);
    vf_store(y, sums[0]);
}
