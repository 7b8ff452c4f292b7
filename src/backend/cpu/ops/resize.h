/* SPDX-License-Identifier: Apache-2.0 */
/* What the two kernels of Resize share: the axes that change, each with its taps. */
#ifndef MLS_BACKEND_CPU_OPS_RESIZE_H
#define MLS_BACKEND_CPU_OPS_RESIZE_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/ops/resize_taps.h"

typedef struct mls__resize_kernel {
    mls__cpu_kernel base;
    mls__resize resize;
    mls__resize_filter filter;
    int rank;
    int first, last; /* of the axes that change; last is -1 where none does */
    mls__taps taps[MLS_MAX_RANK];
    int32_t dtype;
    int64_t size;  /* bytes of an element */
    int64_t count; /* elements of the output */
    size_t output; /* its position among a call's buffers */
    float beyond;  /* the extrapolation value */
    uint32_t threads;
} mls__resize_kernel;

/* A kernel of `size` bytes, the struct above first, with room for its taps, which are not made. */
mls_status mls__resize_create(const mls__cpu *cpu, const mls_op *op, size_t size, const char *name,
                              mls_status (*run)(const mls_kernel *, const mls_kernel_call *),
                              bool is_double, void *ret_kernel);

/* Follows dims. Errors: MLS_ELIMIT. */
mls_status mls__resize_follow(mls__resize_kernel *kernel, const mls_op *op);

/* The kernel of mode nearest, for elements of any dtype. */
mls_status mls__resize_nearest_create(const mls__cpu *cpu, const mls_op *op,
                                      mls_kernel **ret_kernel);

#endif
