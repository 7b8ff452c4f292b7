/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the runs that quantize.h declares. */
#include "backend/cpu/kernels/quantize.h"

#include "backend/cpu/simd/simd.h"

extern const mls__quantize_kernels MLS_ISA_NAME(quantize);

/* A type of quantized elements; constant in every caller. */
typedef struct kind {
    bool is_signed;
    int bits; /* 8 or 16 */
} kind;

MLS_SIMD_FN mls_vi load_pairs(bool is_signed, const uint16_t *p, int lanes)
{
    uint16_t buffer[MLS_LANES] = {0};
    if (lanes < MLS_LANES)
        p = memcpy(buffer, p, (size_t) lanes * sizeof *p);
    const mls_vi pairs = vi_load_u16(p);
    return is_signed ? vi_sar(vi_shl(pairs, 16), 16) : pairs;
}

MLS_SIMD_FN mls_vi load_elements(kind k, const void *p, int64_t i, int lanes)
{
    if (k.bits == 16)
        return load_pairs(k.is_signed, (const uint16_t *) p + i, lanes);
    return k.is_signed ? vi_load_i8_n((const int8_t *) p + i, lanes)
                       : vi_load_u8_n((const uint8_t *) p + i, lanes);
}

MLS_SIMD_FN void store_elements(kind k, void *p, int64_t i, mls_vi v, int lanes)
{
    if (k.bits == 8) {
        vi_store_u8_n((uint8_t *) p + i, v, lanes);
    } else if (lanes == MLS_LANES) {
        vi_store_u16((uint16_t *) p + i, v);
    } else {
        uint16_t buffer[MLS_LANES];
        vi_store_u16(buffer, v);
        memcpy((uint16_t *) p + i, buffer, (size_t) lanes * sizeof *buffer);
    }
}

MLS_SIMD_FN int32_t first_element(kind k, const void *p)
{
    if (k.bits == 16)
        return k.is_signed ? *(const int16_t *) p : *(const uint16_t *) p;
    return k.is_signed ? *(const int8_t *) p : *(const uint8_t *) p;
}

/* The scale and the zero point of a vector's elements. */
typedef struct params {
    mls_vf scale;
    mls_vi zero;
} params;

MLS_SIMD_FN params params_at(kind k, const mls__quant_params *p, int64_t i, int lanes)
{
    params at = {vf_load_n(p->scale + i, lanes), vi_zero()};
    if (p->zero)
        at.zero = load_elements(k, p->zero, i, lanes);
    return at;
}

MLS_SIMD_FN params params_of_all(kind k, const mls__quant_params *p)
{
    return (params){vf_set1(*p->scale), vi_set1(p->zero ? first_element(k, p->zero) : 0)};
}

/* What quantizing asks of a vector's elements. */
typedef struct target {
    mls_vf scale, low, high; /* bounds less the zero point */
    mls_vi zero;
} target;

MLS_SIMD_FN target target_of(kind k, params at)
{
    const float values = (float) (1 << k.bits), lowest = k.is_signed ? -values / 2 : 0;
    const mls_vf zero = vi_to_float(at.zero);
    return (target){at.scale, vf_sub(vf_set1(lowest), zero),
                    vf_sub(vf_set1(lowest + values - 1), zero), at.zero};
}

/* Bounds come before the sum, where float32 holds them all; the right operand takes NaN's place. */
MLS_SIMD_FN mls_vi quantized(mls_vf x, const target *to)
{
    const mls_vf bounded = vf_min(vf_max(vf_div(x, to->scale), to->low), to->high);
    return vi_add(vf_to_int_rint(bounded), to->zero);
}

MLS_SIMD_FN void quantize_run(kind k, void *y, const float *x, int64_t n,
                              const mls__quant_params *p)
{
    const bool has_steps = p->step != 0; /* which elements of y may be part of */
    target to = target_of(k, params_of_all(k, p));
    int64_t i = 0;
    for (; !has_steps && i + MLS_LANES <= n; i += MLS_LANES)
        store_elements(k, y, i, quantized(vf_load(x + i), &to), MLS_LANES);
    for (; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        if (has_steps)
            to = target_of(k, params_at(k, p, i, lanes));
        store_elements(k, y, i, quantized(vf_load_n(x + i, lanes), &to), lanes);
    }
}

MLS_SIMD_FN void dequantize_run(kind k, float *y, const void *x, int64_t n,
                                const mls__quant_params *p)
{
    params at = params_of_all(k, p);
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        if (p->step)
            at = params_at(k, p, i, lanes);
        const mls_vi difference = vi_sub(load_elements(k, x, i, lanes), at.zero);
        vf_store_n(y + i, vf_mul(vi_to_float(difference), at.scale), lanes);
    }
}

/* --- two operands ---------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf value_of(kind k, const void *x, int64_t i, int lanes, const params *at)
{
    return vf_mul(vi_to_float(vi_sub(load_elements(k, x, i, lanes), at->zero)), at->scale);
}

MLS_SIMD_FN void pair_run(kind k, bool is_product, uint8_t *y, const uint8_t *a, const uint8_t *b,
                          int64_t n, const mls__quant_params *p)
{
    const params of_a = params_of_all(k, &p[0]), of_b = params_of_all(k, &p[1]);
    const target to = target_of(k, params_of_all(k, &p[2]));
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        const mls_vf left = value_of(k, a, i, lanes, &of_a);
        const mls_vf right = value_of(k, b, i, lanes, &of_b);
        const mls_vf value = is_product ? vf_mul(left, right) : vf_add(left, right);
        store_elements(k, y, i, quantized(value, &to), lanes);
    }
}

/* --- types ----------------------------------------------------------------------------------- */

#define PAIRS(name, is_signed, is_product)                                                         \
    static void name(uint8_t *y, const uint8_t *a, const uint8_t *b, int64_t n,                    \
                     const mls__quant_params *p)                                                   \
    {                                                                                              \
        pair_run((kind){is_signed, 8}, is_product, y, a, b, n, p);                                 \
    }

PAIRS(add_int8, true, false)
PAIRS(add_uint8, false, false)
PAIRS(mul_int8, true, true)
PAIRS(mul_uint8, false, true)

#define RUNS(name, is_signed, bits)                                                                \
    static void to_##name(void *y, const float *x, int64_t n, const mls__quant_params *p)          \
    {                                                                                              \
        quantize_run((kind){is_signed, bits}, y, x, n, p);                                         \
    }                                                                                              \
    static void of_##name(float *y, const void *x, int64_t n, const mls__quant_params *p)          \
    {                                                                                              \
        dequantize_run((kind){is_signed, bits}, y, x, n, p);                                       \
    }

RUNS(int8, true, 8)
RUNS(uint8, false, 8)
RUNS(int16, true, 16)
RUNS(uint16, false, 16)

const mls__quantize_kernels MLS_ISA_NAME(quantize) = {
    .to_int8 = to_int8,
    .to_uint8 = to_uint8,
    .to_int16 = to_int16,
    .to_uint16 = to_uint16,
    .of_int8 = of_int8,
    .of_uint8 = of_uint8,
    .of_int16 = of_int16,
    .of_uint16 = of_uint16,
    .pairs = {{add_uint8, add_int8}, {mul_uint8, mul_int8}},
};
