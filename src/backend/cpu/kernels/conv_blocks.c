/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the way into blocks of channels and out of them, and pools. */
#include "backend/cpu/kernels/conv.h"

#include "backend/cpu/kernels/unary_ops.h"
#include "backend/cpu/simd/simd.h"

#include <math.h>

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
