/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions of float64, in the canonical orders of kernels/reduce.h, and of integers, modulo
 * 2^64. The other integers are widened to 64 bits first.
 */
#ifndef MLS_BACKEND_CPU_OPS_REDUCE_PLAIN_H
#define MLS_BACKEND_CPU_OPS_REDUCE_PLAIN_H

#include "backend/cpu/kernels/reduce.h"

/* One result from n contiguous elements; n may be 0. */
typedef void (*mls__reduce_plain_row)(void *ret_y, const void *x, int64_t n);
/* As in kernels/reduce.h. */
typedef void (*mls__reduce_plain_columns)(void *ret_y, const void *x, int64_t rows, int64_t stride,
                                          int64_t columns);

typedef struct mls__reduce_plain {
    mls__reduce_plain_row row[MLS__REDUCE_COUNT];
    mls__reduce_plain_columns columns[MLS__REDUCE_COUNT];
} mls__reduce_plain;

extern const mls__reduce_plain mls__reduce_f64;
extern const mls__reduce_plain mls__reduce_i64; /* no LOG_SUM_EXP, here and below */
extern const mls__reduce_plain mls__reduce_u64;

#endif
