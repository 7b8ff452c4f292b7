/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unary ops over the dtypes that have no vector kernel: integers, float64, bool. Integers
 * wrap around; what float32 does with NaN and infinity, float64 does too.
 */
#ifndef MLS_BACKEND_CPU_OPS_UNARY_LOOPS_H
#define MLS_BACKEND_CPU_OPS_UNARY_LOOPS_H

#include "backend/cpu/kernels/elementwise.h"

#include <mlscale/tensor.h>

#include <stddef.h>

/* y[i] = f(x[i]; params[0], params[1]) for i < n. y may be x. */
typedef void (*mls__loop1)(void *y, const void *x, int64_t n, const float *params);

/* NULL where the dtype has none. */
mls__loop1 mls__unary_loop(mls__unary_op op, int32_t dtype);

/* y[i] = !x[i] */
void mls__not_loop(void *y, const void *x, int64_t n, const float *params);

/* y[i] = ~x[i], of integers of so many bytes. */
mls__loop1 mls__bits_not_loop(size_t element_size);

#endif
