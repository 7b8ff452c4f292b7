/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the runs that quantize.h declares. */
#include "backend/cpu/kernels/quantize.h"

#include "backend/cpu/simd/simd.h"

extern const mls__quantize_kernels MLS_ISA_NAME(quantize);

MLS_SIMD_FN mls_vi load_bytes(bool is_signed, const void *p, int64_t i, int lanes)
{
    return is_signed ? vi_load_i8_n((const int8_t *) p + i, lanes)
                     : vi_load_u8_n((const uint8_t *) p + i, lanes);
}

/* The scale and the zero point of a vector's elements. */
typedef struct params {
    mls_vf scale;
    mls_vi zero;
} params;

MLS_SIMD_FN params params_at(bool is_signed, const mls__quant_params *p, int64_t i, int lanes)
{
    params at = {vf_load_n(p->scale + i, lanes), vi_zero()};
    if (p->zero)
        at.zero = load_bytes(is_signed, p->zero, i, lanes);
    return at;
}

MLS_SIMD_FN params params_of_all(bool is_signed, const mls__quant_params *p)
{
    int32_t zero = 0;
    if (p->zero)
        zero = is_signed ? *(const int8_t *) p->zero : *(const uint8_t *) p->zero;
    return (params){vf_set1(*p->scale), vi_set1(zero)};
}

/* Bounds come before the sum, where float32 holds them all; the right operand takes NaN's place. */
MLS_SIMD_FN mls_vi quantized(bool is_signed, mls_vf x, const params *at)
{
    const mls_vf zero = vi_to_float(at->zero);
    const mls_vf low = vf_sub(vf_set1(is_signed ? -128.0f : 0.0f), zero);
    const mls_vf high = vf_sub(vf_set1(is_signed ? 127.0f : 255.0f), zero);
    const mls_vf bounded = vf_min(vf_max(vf_div(x, at->scale), low), high);
    return vi_add(vf_to_int_rint(bounded), at->zero);
}

MLS_SIMD_FN void quantize_run(bool is_signed, uint8_t *y, const float *x, int64_t n,
                              const mls__quant_params *p)
{
    params at = params_of_all(is_signed, p);
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        if (p->step)
            at = params_at(is_signed, p, i, lanes);
        vi_store_u8_n(y + i, quantized(is_signed, vf_load_n(x + i, lanes), &at), lanes);
    }
}

MLS_SIMD_FN void dequantize_run(bool is_signed, float *y, const void *x, int64_t n,
                                const mls__quant_params *p)
{
    params at = params_of_all(is_signed, p);
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        if (p->step)
            at = params_at(is_signed, p, i, lanes);
        const mls_vi difference = vi_sub(load_bytes(is_signed, x, i, lanes), at.zero);
        vf_store_n(y + i, vf_mul(vi_to_float(difference), at.scale), lanes);
    }
}

static void to_int8(void *y, const float *x, int64_t n, const mls__quant_params *p)
{
    quantize_run(true, y, x, n, p);
}

static void to_uint8(void *y, const float *x, int64_t n, const mls__quant_params *p)
{
    quantize_run(false, y, x, n, p);
}

static void of_int8(float *y, const void *x, int64_t n, const mls__quant_params *p)
{
    dequantize_run(true, y, x, n, p);
}

static void of_uint8(float *y, const void *x, int64_t n, const mls__quant_params *p)
{
    dequantize_run(false, y, x, n, p);
}

const mls__quantize_kernels MLS_ISA_NAME(quantize) = {
    .to_int8 = to_int8,
    .to_uint8 = to_uint8,
    .of_int8 = of_int8,
    .of_uint8 = of_uint8,
};
