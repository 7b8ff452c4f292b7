/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions of float32. Each has one canonical order, which depends on its length only.
 *
 * Rows: the n contiguous elements of a row go to 64 lanes, element i to lane i mod 64. A lane
 * starts with the operation's neutral element (0, 1, -inf for a maximum) and takes its elements
 * in ascending order; a lane past the end of a short row stays neutral. Then lane i takes lane
 * i + 32, i + 16, i + 8, i + 4, i + 2, i + 1 as its right operand, which leaves the result in lane
 * 0.
 *
 * Columns: y[j] starts with the neutral element and takes x[i * stride + j] for ascending i.
 *
 * Sums and products are rounded after each step; a square is fused into its sum. A maximum or
 * minimum is NaN where an element is. LOG_SUM_EXP is log(sum(e^(x - m))) + m with m the maximum,
 * or 0 where that is infinite, and e^(x - m) summed in the canonical order.
 *
 * A reduction along the innermost axis is of rows, along any other one of columns. Along several
 * axes it goes from the innermost outwards, neighbouring axes counting as one, and from the second
 * step on with the op that joins partial results: SUM for SUM_ABS and SUM_SQUARE, else the op
 * itself. The order then follows from the shape and the attributes alone. What ONNX has more is
 * done on results: ReduceMean divides by the count, ReduceL2 and ReduceLogSum take root and log.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_REDUCE_H
#define MLS_BACKEND_CPU_KERNELS_REDUCE_H

#include <stdint.h>

typedef enum mls__reduce_op {
    MLS__REDUCE_SUM,
    MLS__REDUCE_SUM_ABS,
    MLS__REDUCE_SUM_SQUARE,
    MLS__REDUCE_PROD,
    MLS__REDUCE_MAX,
    MLS__REDUCE_MIN,
    MLS__REDUCE_LOG_SUM_EXP,
    MLS__REDUCE_COUNT
} mls__reduce_op;

typedef float (*mls__reduce_row_fn)(const float *x, int64_t n);
typedef void (*mls__reduce_rows_fn)(float *y, const float *x, int64_t rows, int64_t n);
typedef void (*mls__reduce_columns_fn)(float *y, const float *x, int64_t rows, int64_t stride,
                                       int64_t columns);

typedef struct mls__reduce_kernels {
    /* n >= 0; of no elements: the neutral element, which for LOG_SUM_EXP is -inf. */
    mls__reduce_row_fn row[MLS__REDUCE_COUNT];
    /* The same of each of `rows` rows, one after the other. */
    mls__reduce_rows_fn rows[MLS__REDUCE_COUNT];
    /* y[0 .. columns-1] from rows >= 0 rows, `stride` elements apart. Not in place. */
    mls__reduce_columns_fn columns[MLS__REDUCE_COUNT];
} mls__reduce_kernels;

#endif
