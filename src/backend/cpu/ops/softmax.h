/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of float64 for other ops; that of float32 is in kernels/softmax.h. */
#ifndef MLS_BACKEND_CPU_OPS_SOFTMAX_H
#define MLS_BACKEND_CPU_OPS_SOFTMAX_H

#include <stdint.h>

/* n > 0 contiguous elements; y may be x. */
void mls__softmax_row_f64(double *y, const double *x, int64_t n);

#endif
