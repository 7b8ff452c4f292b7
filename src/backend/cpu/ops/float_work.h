/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floats brought to the type that is computed in, and back: float64 stays what it is, all others
 * are computed as float32. For kernels that take every float dtype.
 */
#ifndef MLS_BACKEND_CPU_OPS_FLOAT_WORK_H
#define MLS_BACKEND_CPU_OPS_FLOAT_WORK_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"

#include <stdbool.h>

/* An element of the type that is computed in. */
typedef union mls__number {
    float f;
    double d;
} mls__number;

static inline int32_t mls__work_dtype(int32_t dtype)
{
    return dtype == MLS_FLOAT64 ? MLS_FLOAT64 : MLS_FLOAT32;
}

/* n elements of float dtypes, each rounded once. Not in place, unless the dtypes are equal. */
void mls__float_convert(const mls__cpu *cpu, int32_t to, void *y, int32_t from, const void *x,
                        int64_t n);

/*
 * `count` elements of an input in the dtype that is computed in: where they lie, or in the
 * workspace from `offset` on.
 */
const void *mls__float_widened(const mls__cpu *cpu, const mls_kernel_call *call, size_t input,
                               int32_t dtype, uint64_t offset, int64_t count);

/* The input in the dtype of `shape`, stretched over its dims as broadcasting has it. */
void mls__float_stretch(const mls__cpu *cpu, const mls_arg *shape, void *y, const mls_arg *input,
                        const void *x);

/* The kernels of elementwise.h that take no parameters, for float32 and float64. */
void mls__float_unary(const mls__cpu *cpu, int32_t dtype, mls__unary_op op, void *y, const void *x,
                      int64_t n);
void mls__float_binary(const mls__cpu *cpu, int32_t dtype, mls__binary_op op, void *y,
                       const void *a, int64_t a_step, const void *b, int64_t b_step, int64_t n);

/*
 * A region of count elements of `size` bytes behind those of *total; false when memory cannot
 * hold it. Regions are aligned to 64.
 */
bool mls__work_region(size_t *total, int64_t count, size_t size, uint64_t *ret_offset);

#endif
