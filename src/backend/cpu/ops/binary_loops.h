/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binary ops over the dtypes that have no vector kernel: integers, float64, bool, string.
 * Integers wrap around; what float32 does with NaN, float64 does too.
 */
#ifndef MLS_BACKEND_CPU_OPS_BINARY_LOOPS_H
#define MLS_BACKEND_CPU_OPS_BINARY_LOOPS_H

#include "backend/cpu/kernels/elementwise.h"

#include <mlscale/status.h>
#include <mlscale/tensor.h>

/*
 * y[i] = f(a[i * a_step], b[i * b_step]) for i < n; a step is 1, or 0 for a scalar
 * operand. y may be an operand of step 1. Sets no message. Errors: MLS_ERANGE (an
 * integer divided by zero).
 */
typedef mls_status (*mls__loop2)(void *y, const void *a, int64_t a_step, const void *b,
                                 int64_t b_step, int64_t n);

/* NULL where the dtype has none. */
mls__loop2 mls__binary_loop(mls__binary_op op, int32_t dtype);
mls__loop2 mls__compare_loop(mls__compare_op op, int32_t dtype);

/* Remainders and what works on bits. The loops of 16-bit floats take float32. */
typedef enum mls__bits_op {
    MLS__BITS_MOD,  /* of the sign of b, as in Python */
    MLS__BITS_FMOD, /* of the sign of a, as in C */
    MLS__BITS_LEFT, /* a shift by all bits or more leaves 0 */
    MLS__BITS_RIGHT,
    MLS__BITS_AND,
    MLS__BITS_OR,
    MLS__BITS_XOR,
    MLS__BITS_COUNT
} mls__bits_op;
mls__loop2 mls__bits_loop(mls__bits_op op, int32_t dtype);

typedef enum mls__logic_op { MLS__LOGIC_AND, MLS__LOGIC_OR, MLS__LOGIC_XOR } mls__logic_op;
mls__loop2 mls__logic_loop(mls__logic_op op);

#endif
