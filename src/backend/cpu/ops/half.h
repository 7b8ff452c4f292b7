/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats, computed as float32 a block at a time: one rounding, at the end. */
#ifndef MLS_BACKEND_CPU_OPS_HALF_H
#define MLS_BACKEND_CPU_OPS_HALF_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"

#include <stdbool.h>
#include <string.h>

/* Elements of a block: a few of them fit on the stack and in the first cache. */
#define MLS__BLOCK 256

typedef struct mls__half {
    void (*to_f32)(float *y, const uint16_t *x, int64_t n);
    void (*from_f32)(uint16_t *y, const float *x, int64_t n);
    void (*round)(float *y, int64_t n); /* from float32 and back */
} mls__half;

static inline bool mls__is_half(int32_t dtype)
{
    return dtype == MLS_FLOAT16 || dtype == MLS_BFLOAT16;
}

/* The conversions of a 16-bit float dtype. */
static inline mls__half mls__half_of(const mls__cpu *cpu, int32_t dtype)
{
    const mls__elementwise_kernels *kernels = cpu->kernels->elementwise;
    if (dtype == MLS_FLOAT16)
        return (mls__half){kernels->f16_to_f32, kernels->f32_to_f16, kernels->f16_round};
    return (mls__half){kernels->bf16_to_f32, kernels->f32_to_bf16, kernels->bf16_round};
}

/* `value` as an element of a dtype that is a float of 16 bits or more; else false. */
static inline bool mls__float_element(const mls__cpu *cpu, int32_t dtype, float value,
                                      void *ret_element)
{
    const double wide = value;
    if (mls__is_half(dtype))
        mls__half_of(cpu, dtype).from_f32(ret_element, &value, 1);
    else if (dtype == MLS_FLOAT32)
        memcpy(ret_element, &value, sizeof value);
    else if (dtype == MLS_FLOAT64)
        memcpy(ret_element, &wide, sizeof wide);
    else
        return false;
    return true;
}

#endif
