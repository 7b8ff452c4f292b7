/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax for other ops: where they have no use for the kernels of kernels/softmax.h. */
#ifndef MLS_BACKEND_CPU_OPS_SOFTMAX_H
#define MLS_BACKEND_CPU_OPS_SOFTMAX_H

#include "backend/cpu/cpu.h"

#include <stdbool.h>

/* Softmax of float64: n > 0 contiguous elements; y may be x. */
void mls__softmax_row_f64(double *y, const double *x, int64_t n);

/* Slices of n elements along an axis, `inner` of them side by side. */
typedef struct mls__log_softmax {
    const mls__cpu *cpu;
    int32_t dtype; /* float32 or float64 */
    bool is_rows;  /* along the innermost axis: inner is 1 */
    int64_t n, inner;
} mls__log_softmax;

/* LogSoftmax of slices [begin, end), with its bytes. y may be x. */
void mls__log_softmax_slices(const mls__log_softmax *slices, void *y, const void *x, int64_t begin,
                             int64_t end);

#endif
