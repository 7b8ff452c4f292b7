/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of float32, a row of outputs at a time.
 *
 * Canonical order. An output is one accumulator, which starts at +0 and takes
 * fma(x, w, sum) over channels in blocks of 16, in a block over the kernel's positions in
 * row-major order, at a position over the block's channels. Positions outside of the input are
 * passed over. Then come the bias, the residual and the activation, each rounded once. All kernels
 * here keep that order, whatever their layout, so that they may be chosen freely.
 *
 * A row is the outputs that differ in their last coordinate alone, or every n-th of these: then
 * each of the kernel's positions reads inputs that lie at an even distance. Of the kernel's
 * positions `lines` hold all coordinates but the last and `taps` the last: each line is inside of
 * the input for the whole row, each tap for some of it.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_CONV_H
#define MLS_BACKEND_CPU_KERNELS_CONV_H

#include "backend/cpu/kernels/elementwise.h"

#include <stdbool.h>
#include <stdint.h>

/* Channels of a block, filters of a panel: one vector. */
#define MLS__CONV_BLOCK 16

typedef struct mls__conv_line {
    int64_t x;     /* added to the place of an input */
    int64_t index; /* added to the position's index */
} mls__conv_line;

typedef struct mls__conv_tap {
    int64_t x, index;
    int64_t begin, end; /* the outputs for which it is inside */
} mls__conv_tap;

/* Rows begin .. end-1 of the weights of some panels, `panel` floats apart. */
typedef struct mls__conv_ahead {
    const float *w;
    int64_t panel, panels; /* 0: nothing */
    int64_t begin, end;
} mls__conv_ahead;

typedef struct mls__conv_row {
    const float *x; /* of channel 0; what it points to need not be inside */
    const mls__conv_line *lines;
    int64_t line_count;
    const mls__conv_tap *taps;
    int64_t tap_count;
    int64_t begin, end; /* the outputs for which all taps are inside */
    /*
     * For direct, with no more channels than a block has, or NULL: what is added to the place of an
     * input, for each tap in order and each of its channels, of a line and of those behind it that
     * are taken with it: all lines or one.
     */
    const int64_t *offsets;
    int64_t lines_at_once;
    /*
     * With these: how many of the last lines the row below reads anew, and how far on they lie
     * there; 0: none.
     */
    int64_t fresh_lines, ahead_x;
    float *y;       /* output 0 of panel or filter 0 */
    const float *z; /* the residual, which lies as y does; NULL: none */
    /* For direct: weights that are wanted next, to be fetched meanwhile. */
    mls__conv_ahead ahead;
} mls__conv_row;

/* Rows of outputs that have the same lines: what each adds to the places of the one before. */
typedef struct mls__conv_rows {
    int64_t count, x, y;
} mls__conv_rows;

/* What all rows have in common. */
typedef struct mls__conv {
    int64_t channels;  /* that are summed over */
    int64_t positions; /* of the kernel */
    /* Channel c of block b at output i: x[b * x_block + c * x_channel + i * x_step]. */
    int64_t x_step, x_channel, x_block;
    bool is_x_near; /* in the second cache: need not be fetched ahead */
    /* Output i of panel p: 16 floats at y[p * y_panel + i * y_step]. */
    int64_t y_step, y_panel;
    bool is_y_near; /* in a cache, and the residual: need not be fetched ahead */
    /*
     * direct: panel p is 16 floats for each of channels * positions rows in canonical order, at
     * w + p * 16 * rows; the last one is padded with zeros.
     * depthwise: 16 floats for each position, for each block.
     * rows: filter f, channel c and position k at w[f * w_filter + c * w_channel + k].
     */
    const float *w;
    int64_t w_filter, w_channel;
    const float *bias;        /* padded with zeros to whole panels; NULL: none */
    mls__unary_fn activation; /* NULL: none */
    const float *activation_params;
    /* The activation is to bring results between two bounds: Relu and Clip. */
    bool is_bounded;
    float low, high;
    /* For direct and depthwise: rounds results, behind all else; NULL: they stay as they are. */
    void (*round)(float *y, int64_t n);
} mls__conv;

/* Windows of `kernel` blocks, two apart, the first `before` its row of `width` blocks. */
typedef struct mls__conv_pairs {
    int64_t n, kernel, width, before;
} mls__conv_pairs;

typedef struct mls__conv_kernels {
    const char *direct_name, *depthwise_name, *rows_name;
    /*
     * Outputs i .. i+count-1 of panels panel .. panel+panels-1: the part of their sums over channel
     * blocks block .. block+blocks-1, which starts with what y holds unless block is 0. Finished
     * when the last block is among them.
     */
    void (*direct)(const mls__conv *conv, const mls__conv_row *row, int64_t i, int64_t count,
                   int64_t panel, int64_t panels, int64_t block, int64_t blocks);
    /*
     * One channel and one filter a group: outputs 0 .. count-1 of one block, of `row` and of those
     * behind it; x_channel is 1.
     */
    void (*depthwise)(const mls__conv *conv, const mls__conv_row *row, const mls__conv_rows *rows,
                      int64_t count, int64_t block);
    /*
     * Outputs 0 .. count-1 of filters filter .. filter+filters-1, with lanes along the row: output
     * i of filter f is y[f * y_panel + i * y_step].
     */
    void (*rows)(const mls__conv *conv, const mls__conv_row *row, int64_t count, int64_t filter,
                 int64_t filters);
    /* y[c * y_channel + i * y_step] = x[i * 16 + c] for i < count and c < channels <= 16. */
    void (*unblock)(float *y, int64_t y_channel, int64_t y_step, const float *x, int64_t count,
                    int64_t channels);
    /* y[i * 16 + c] = x[c * x_channel + i * x_step], likewise; 0 where c >= channels. */
    void (*block)(float *y, const float *x, int64_t x_channel, int64_t x_step, int64_t count,
                  int64_t channels);
    /* Blocks along a row as kernels/pool.h has floats, in its second step. */
    void (*max_along)(float *y, const float *x, int64_t n, int64_t kernel, int64_t stride,
                      int64_t dilation);
    /* Both steps of a maximum at once, along `count` rows, at least one. */
    void (*max_pairs)(float *y, const void *const *rows, int64_t count,
                      const mls__conv_pairs *pairs);
    void (*sum_along)(float *y, const float *x, int64_t n, int64_t kernel, int64_t stride,
                      int64_t dilation);
    /* The sum of n elements of each channel of a block, in the order of a row in reduce.h. */
    void (*plane_sum)(float *y, const float *x, int64_t n);
    /*
     * As rows, for one filter of float64 without residual and activation; of `row` only lines and
     * taps are read, of `conv` neither w nor bias.
     */
    void (*float64)(const mls__conv *conv, const mls__conv_row *row, const double *x,
                    const double *w, double bias, double *y, int64_t count);
} mls__conv_kernels;

#endif
