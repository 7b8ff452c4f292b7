/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on dims and strides, all of it checked for overflow. */
#ifndef MLS_TENSOR_SHAPE_H
#define MLS_TENSOR_SHAPE_H

#include <mlscale/tensor.h>

#include <stdbool.h>

/* Enough for any shape's text: "[2,3,batch]". */
#define MLS__SHAPE_TEXT 192

/*
 * Product of dims; false when a dim is negative or the product of those that are not
 * 0 overflows.
 */
bool mls__shape_count(int rank, const int64_t *dims, int64_t *ret_count);

/*
 * Product of dims times the dtype's size; false when there is no such dtype, or the
 * same without the zeros is more than PTRDIFF_MAX.
 */
bool mls__shape_bytes(int32_t dtype, int rank, const int64_t *dims, size_t *ret_bytes);

/* Row-major strides, in elements, of dims that mls__shape_count() accepts. */
void mls__shape_strides(int rank, const int64_t *dims, int64_t *ret_strides);

bool mls__shape_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b);

/* ONNX (NumPy) broadcasting of two shapes; false when they do not fit. `ret_dims` may be a or b. */
bool mls__shape_broadcast(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int *ret_rank,
                          int64_t *ret_dims);

/* "[2,3]" into `text` of MLS__SHAPE_TEXT bytes, which it returns. A dim of -1 reads "?". */
const char *mls__shape_text(int rank, const int64_t *dims, char *text);

/* axis in [-rank, rank) to [0, rank); false when it is out of range. */
bool mls__shape_axis(int64_t axis, int rank, int *ret_axis);

#endif
