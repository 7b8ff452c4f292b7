/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The right operand of a product as the kernels want it (kernels/gemm.h): panels of columns, or,
 * for a narrow product, a row of k for each output. 16-bit floats become float32.
 */
#ifndef MLS_BACKEND_CPU_OPS_PACK_H
#define MLS_BACKEND_CPU_OPS_PACK_H

#include "backend/cpu/kernels/kernels.h"

#include <mlscale/tensor.h>

#include <stdbool.h>
#include <stddef.h>

/* A matrix B of k rows and n columns. */
typedef struct mls__pack_source {
    const mls__elementwise_kernels *elementwise; /* for 16-bit floats */
    const void *data;
    int32_t dtype;      /* float32, float16, bfloat16 */
    bool is_transposed; /* data holds n rows of k */
    int64_t k, n;
} mls__pack_source;

/* The columns of the panels that hold n; INT64_MAX where that is too many to count. */
int64_t mls__pack_columns(int64_t n);

/* What n columns of k take when packed; false when it does not fit a size. */
bool mls__pack_size(int64_t k, int64_t n, size_t *ret_bytes);

/* All of it. */
void mls__pack(const mls__pack_source *source, float *ret_packed);

/* Panels panel .. panel+panels-1 of a wide product, at their places. */
void mls__pack_panels(const mls__pack_source *source, int64_t panel, int64_t panels,
                      float *ret_packed);

/* Rows k .. k+count-1 of columns column .. column+columns-1, <= 16, padded with zeros to 16. */
void mls__pack_rows(const mls__pack_source *source, int64_t k, int64_t count, int64_t column,
                    int64_t columns, float *ret_rows);

/* The columns past the last whole panel, of which there must be some, as a panel. */
void mls__pack_rest(const mls__pack_source *source, float *ret_rest);

#endif
