/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ops on quantized elements share: scales and zero points as a call has them, and the
 * conversions they ask for. Elements are converted as DequantizeLinear and QuantizeLinear do.
 */
#ifndef MLS_BACKEND_CPU_OPS_QLINEAR_H
#define MLS_BACKEND_CPU_OPS_QLINEAR_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"

#include <stdbool.h>

#define MLS__QLINEAR_CODES 256

/* Where a scale and its zero point are among a call's buffers. */
typedef struct mls__qlinear_place {
    size_t scale, zero;
    bool has_zero;
    bool is_signed;
} mls__qlinear_place;

static inline mls__qlinear_place mls__qlinear_place_of(const mls_op *op, size_t scale, size_t zero,
                                                       int32_t dtype)
{
    return (mls__qlinear_place){scale, zero, mls__op_input(op, zero) != NULL, dtype == MLS_INT8};
}

static inline mls__quant_params mls__qlinear_params(const mls__qlinear_place *place,
                                                    const mls_kernel_call *call)
{
    return (mls__quant_params){call->buffers[place->scale],
                               place->has_zero ? call->buffers[place->zero] : NULL, 0};
}

static inline mls__dequantize_fn mls__qlinear_reader(const mls__cpu *cpu, bool is_signed)
{
    return is_signed ? cpu->kernels->quantize->of_int8 : cpu->kernels->quantize->of_uint8;
}

static inline mls__quantize_fn mls__qlinear_writer(const mls__cpu *cpu, bool is_signed)
{
    return is_signed ? cpu->kernels->quantize->to_int8 : cpu->kernels->quantize->to_uint8;
}

#endif
