/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products of 8-bit integers, exact in int32 (modulo 2^32), so that every order of
 * summing has the same bytes.
 *
 * The sum for output (i, j) over k is of (A[i][k] - a_zero) * (B[k][j] - b_zero), of which the
 * kernel multiplies out only the bytes: one side's are unsigned, the other's signed, as the
 * instructions want it. A byte of the other sign is given with its top bit flipped and a zero
 * point that is 128 more or less. Then comes `bias`, and what mls__gemm_int8_form says.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_GEMM_INT8_H
#define MLS_BACKEND_CPU_KERNELS_GEMM_INT8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Columns of a panel, and bytes of k side by side in one. */
#define MLS__INT8_PANEL 16
#define MLS__INT8_GROUP 4

typedef enum mls__gemm_int8_form {
    MLS__INT8_SUM,     /* y is int32: the sum */
    MLS__INT8_FLOAT,   /* y is float32: sum * scale + addend, each rounded once */
    MLS__INT8_SIGNED,  /* y is int8: rint(sum * scale) + y_zero, ties to even, saturated */
    MLS__INT8_UNSIGNED /* y is uint8: likewise */
} mls__gemm_int8_form;

/* Something for output (i, j): at data[i * row + j * step], step 0 or 1. NULL: none. */
typedef struct mls__int8_ints {
    const int32_t *data;
    int64_t row, step;
} mls__int8_ints;

typedef struct mls__int8_floats {
    const float *data;
    int64_t row, step;
} mls__int8_floats;

/* One product; the number of rows comes with the call. */
typedef struct mls__gemm_int8 {
    int64_t n, k;
    bool is_a_signed; /* A's bytes are int8 and B's uint8, else the other way round */
    const uint8_t *a; /* A[i][k] = a[i * a_row + k] */
    int64_t a_row;
    /*
     * Panels of 16 columns, mls__int8_panel_bytes(k) each: the group of rows 4 g .. 4 g + 3 is 64
     * bytes, four for each column. What is past n or k is 0.
     */
    const uint8_t *b;
    /* Zero points; NULL: all are 0. Those of A have step 0, those of B row 0. */
    mls__int8_ints a_zeros, b_zeros;
    const int32_t *a_sums;  /* of each row of A, where there are b_zeros */
    const int32_t *b_terms; /* where there are a_zeros: the column's sum - k * its zero point */
    mls__int8_ints bias;
    const int32_t *starts; /* more bias, of columns alone: whole panels of it; NULL: none */
    mls__gemm_int8_form form;
    mls__int8_floats scale, addend;
    int32_t y_zero;
    void *y; /* Y[i][j] = y[i * y_row + j] */
    int64_t y_row;
} mls__gemm_int8;

static inline int64_t mls__int8_panels(int64_t n)
{
    return n / MLS__INT8_PANEL + (n % MLS__INT8_PANEL != 0);
}

static inline int64_t mls__int8_groups(int64_t k)
{
    return k / MLS__INT8_GROUP + (k % MLS__INT8_GROUP != 0);
}

static inline int64_t mls__int8_panel_bytes(int64_t k)
{
    return mls__int8_groups(k) * MLS__INT8_GROUP * MLS__INT8_PANEL;
}

/*
 * Filters of one channel each over images whose pixels have their channels side by side. 64
 * channels are a block, in an order that MLS__INT8_BLOCK_PLACE says. Rows of a filter go in groups
 * of four, columns in steps of `step` pixels. With up to 32 channels, of which 64 is a multiple,
 * and a stride of 1 a block is that of several pixels.
 */
typedef struct mls__int8_depth {
    int64_t channels;
    int64_t groups, columns;  /* of the filter: of rows, and the columns in each */
    int64_t stride, dilation; /* along columns */
    const int8_t *weights;    /* blocks of [groups][columns][256] bytes, interleaved */
    const int32_t *bias;      /* and what else is added to a sum; blocks of 64 */
    const float *scales;      /* blocks of 64 */
    mls__gemm_int8_form form; /* MLS__INT8_SIGNED or MLS__INT8_UNSIGNED */
    int32_t y_zero;
} mls__int8_depth;

#define MLS__INT8_BLOCK 64
/* The place in a block of byte b of it. */
#define MLS__INT8_BLOCK_PLACE(b) ((b) % 16 / 4 * 16 + (b) / 16 * 4 + (b) % 4)
/* Pixels of the output that are done at a time. */
#define MLS__INT8_DEPTH_PIXELS 32

/* Pixels of which a block is. */
static inline int64_t mls__int8_block_pixels(int64_t channels, int64_t stride)
{
    const bool is_part = channels < MLS__INT8_BLOCK && MLS__INT8_BLOCK % channels == 0;
    return stride == 1 && is_part ? MLS__INT8_BLOCK / channels : 1;
}

/* Columns of the input under `pixels` of the output. */
static inline int64_t mls__int8_depth_columns(const mls__int8_depth *d, int64_t pixels)
{
    return (pixels - 1) * d->stride + (d->columns - 1) * d->dilation + 1;
}

typedef struct mls__gemm_int8_kernels {
    /* Rows row .. row+rows-1 of panels panel .. panel+panels-1. */
    void (*run)(const mls__gemm_int8 *gemm, int64_t row, int64_t rows, int64_t panel,
                int64_t panels);
    /*
     * One group of panels that lie panel_bytes apart: row r of `row_count` <= 4 is `columns` bytes
     * at rows + r * row_step, each xored with `flip`.
     */
    void (*pack_group)(uint8_t *y, int64_t panel_bytes, const uint8_t *rows, int64_t row_step,
                       int row_count, int64_t columns, uint8_t flip);
    /* Sums of the columns of panels of k rows: 16 for each, also past n. */
    void (*panel_sums)(int32_t *sums, const uint8_t *b, int64_t k, int64_t panels, bool is_signed);
    /* The sum of n bytes. */
    int32_t (*row_sum)(const uint8_t *a, int64_t n, bool is_signed);
    /* Adds to each of n sums those of the bytes of its column, of rows `step` apart. */
    void (*column_sums)(int32_t *sums, const uint8_t *x, int64_t rows, int64_t step, int64_t n,
                        bool is_signed);
    /* y = x with each top bit flipped; may be in place. */
    void (*flip)(uint8_t *y, const uint8_t *x, int64_t n);
    /* y[i] = x[i * stride] */
    void (*take_steps)(uint8_t *y, const uint8_t *x, int64_t n, int64_t stride);

    /*
     * For products with few rows and a short k, whose columns need no packing: sums[i] of
     * weights[t] * x[offsets[t] + i] over `count` taps. Up to 15 bytes and sums past n are
     * touched.
     */
    void (*taps)(int32_t *sums, const uint8_t *x, const int64_t *offsets, const int32_t *weights,
                 int64_t count, int64_t n);
    /* Brings rows of `width` sums that are `length` >= width apart together. */
    void (*close_up)(int32_t *sums, int64_t rows, int64_t width, int64_t length);
    /*
     * Rows i .. i+rows-1 of y, `columns` from `column` on, from sums of products of bytes, of
     * which a row is sums_row after the one before.
     */
    void (*finish)(const mls__gemm_int8 *gemm, const int32_t *sums, int64_t sums_row, int64_t i,
                   int64_t rows, int64_t column, int64_t columns);

    /*
     * `pixels` of one row of the output, from unsigned bytes: rows[4 g + r] is what lies under row
     * r of group g of the filter, with its padding and MLS__INT8_BLOCK bytes more that may be read.
     * `scratch` has 256 bytes for each group and column under MLS__INT8_DEPTH_PIXELS pixels.
     */
    void (*depth)(const mls__int8_depth *depth, const uint8_t *const *rows, int64_t pixels,
                  uint8_t *y, uint8_t *scratch);
} mls__gemm_int8_kernels;

#endif
