/* SPDX-License-Identifier: Apache-2.0 */
/* The scale and zero point that DynamicQuantizeLinear gives to float32 elements. */
#ifndef MLS_BACKEND_CPU_OPS_QUANTIZE_DYNAMIC_H
#define MLS_BACKEND_CPU_OPS_QUANTIZE_DYNAMIC_H

#include "backend/cpu/cpu.h"

typedef struct mls__dynamic_params {
    float scale;
    uint8_t zero;
} mls__dynamic_params;

/*
 * The range from the least to the largest element, stretched to hold 0, in 255 steps. Elements
 * that are all 0 have scale 1. n may be 0.
 */
mls__dynamic_params mls__dynamic_params_of(const mls__cpu *cpu, const float *x, int64_t n);

/* The op's kernel; quantize.c has its row. */
mls_status mls__dynamic_quantize_create(const mls__cpu *cpu, const mls_op *op,
                                        mls_kernel **ret_kernel);

#endif
