/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual vector on ARMv8 Advanced SIMD: four q registers, lanes 4k..4k+3 in the k-th. A mask
 * is a vector of all-ones or all-zeros lanes. The contract is in simd.h.
 */
#ifndef MLS_BACKEND_CPU_SIMD_NEON_H
#define MLS_BACKEND_CPU_SIMD_NEON_H

#include <arm_neon.h>

typedef struct {
    float32x4_t q[4];
} mls_vf;

typedef struct {
    int32x4_t q[4];
} mls_vi;

typedef struct {
    uint32x4_t q[4];
} mls_vm;

/* One intrinsic on each of the four registers, written out so that they stay registers. */
#define MLS_NEON1(type, op, a) ((type){{op(a.q[0]), op(a.q[1]), op(a.q[2]), op(a.q[3])}})
#define MLS_NEON2(type, op, a, b)                                                                  \
    ((type){{op(a.q[0], b.q[0]), op(a.q[1], b.q[1]), op(a.q[2], b.q[2]), op(a.q[3], b.q[3])}})
#define MLS_NEON3(type, op, a, b, c)                                                               \
    ((type){{op(a.q[0], b.q[0], c.q[0]), op(a.q[1], b.q[1], c.q[1]), op(a.q[2], b.q[2], c.q[2]),   \
             op(a.q[3], b.q[3], c.q[3])}})

/* --- integers -------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vi vi_set1(int32_t s)
{
    return (mls_vi){{vdupq_n_s32(s), vdupq_n_s32(s), vdupq_n_s32(s), vdupq_n_s32(s)}};
}

MLS_SIMD_FN mls_vi vi_zero(void)
{
    return vi_set1(0);
}

MLS_SIMD_FN mls_vi vi_load(const int32_t *p)
{
    return (mls_vi){{vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)}};
}

MLS_SIMD_FN void vi_store(int32_t *p, mls_vi v)
{
    vst1q_s32(p, v.q[0]);
    vst1q_s32(p + 4, v.q[1]);
    vst1q_s32(p + 8, v.q[2]);
    vst1q_s32(p + 12, v.q[3]);
}

MLS_SIMD_FN void vi_store_twice(int32_t *p, mls_vi v)
{
    for (int i = 0; i < 4; i++) {
        vst1q_s32(p + 8 * i, vzip1q_s32(v.q[i], v.q[i]));
        vst1q_s32(p + 8 * i + 4, vzip2q_s32(v.q[i], v.q[i]));
    }
}

MLS_SIMD_FN mls_vi vi_iota(void)
{
    static const int32_t lanes[MLS_LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vi_load(lanes);
}

MLS_SIMD_FN mls_vi vi_load_n(const int32_t *p, int n)
{
    if (n == MLS_LANES)
        return vi_load(p);
    int32_t buffer[MLS_LANES] = {0};
    memcpy(buffer, p, (size_t) n * sizeof *p);
    return vi_load(buffer);
}

MLS_SIMD_FN void vi_store_n(int32_t *p, mls_vi v, int n)
{
    if (n == MLS_LANES) {
        vi_store(p, v);
        return;
    }
    int32_t buffer[MLS_LANES];
    vi_store(buffer, v);
    memcpy(p, buffer, (size_t) n * sizeof *p);
}

MLS_SIMD_FN mls_vi vi_load_u8(const uint8_t *p)
{
    const uint8x16_t bytes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
    return (mls_vi){{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                     vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))),
                     vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                     vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)))}};
}

MLS_SIMD_FN mls_vi vi_load_i8(const int8_t *p)
{
    const int8x16_t bytes = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return (mls_vi){{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)),
                     vmovl_s16(vget_low_s16(high)), vmovl_s16(vget_high_s16(high))}};
}

MLS_SIMD_FN void vi_store_u8(uint8_t *p, mls_vi v)
{
    const uint16x8_t low = vcombine_u16(vmovn_u32(vreinterpretq_u32_s32(v.q[0])),
                                        vmovn_u32(vreinterpretq_u32_s32(v.q[1])));
    const uint16x8_t high = vcombine_u16(vmovn_u32(vreinterpretq_u32_s32(v.q[2])),
                                         vmovn_u32(vreinterpretq_u32_s32(v.q[3])));
    vst1q_u8(p, vcombine_u8(vmovn_u16(low), vmovn_u16(high)));
}

MLS_SIMD_FN mls_vi vi_load_u16(const uint16_t *p)
{
    const uint16x8_t low = vld1q_u16(p);
    const uint16x8_t high = vld1q_u16(p + 8);
    return (mls_vi){{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                     vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))),
                     vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                     vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)))}};
}

MLS_SIMD_FN void vi_store_u16(uint16_t *p, mls_vi v)
{
    vst1_u16(p, vmovn_u32(vreinterpretq_u32_s32(v.q[0])));
    vst1_u16(p + 4, vmovn_u32(vreinterpretq_u32_s32(v.q[1])));
    vst1_u16(p + 8, vmovn_u32(vreinterpretq_u32_s32(v.q[2])));
    vst1_u16(p + 12, vmovn_u32(vreinterpretq_u32_s32(v.q[3])));
}

MLS_SIMD_FN mls_vi vi_add(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vaddq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_sub(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vsubq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_mul(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vmulq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_and(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vandq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_or(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vorrq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_xor(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, veorq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_andnot(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vbicq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_min(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vminq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_max(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vi, vmaxq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_shl(mls_vi v, int k)
{
    const mls_vi count = vi_set1(k);
    return MLS_NEON2(mls_vi, vshlq_s32, v, count);
}

MLS_SIMD_FN mls_vi vi_sar(mls_vi v, int k)
{
    const mls_vi count = vi_set1(-k);
    return MLS_NEON2(mls_vi, vshlq_s32, v, count);
}

MLS_SIMD_FN mls_vi vi_shr(mls_vi v, int k)
{
    const int32x4_t count = vdupq_n_s32(-k);
    return (mls_vi){{vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v.q[0]), count)),
                     vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v.q[1]), count)),
                     vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v.q[2]), count)),
                     vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v.q[3]), count))}};
}

MLS_SIMD_FN mls_vm vi_eq(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vm, vceqq_s32, a, b);
}

MLS_SIMD_FN mls_vm vi_lt(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vm, vcltq_s32, a, b);
}

MLS_SIMD_FN mls_vm vi_gt(mls_vi a, mls_vi b)
{
    return MLS_NEON2(mls_vm, vcgtq_s32, a, b);
}

MLS_SIMD_FN mls_vi vi_select(mls_vm m, mls_vi a, mls_vi b)
{
    return MLS_NEON3(mls_vi, vbslq_s32, m, a, b);
}

/* --- floats ---------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_set1(float s)
{
    return (mls_vf){{vdupq_n_f32(s), vdupq_n_f32(s), vdupq_n_f32(s), vdupq_n_f32(s)}};
}

MLS_SIMD_FN mls_vf vf_zero(void)
{
    return vf_set1(0.0f);
}

MLS_SIMD_FN mls_vf vf_load(const float *p)
{
    return (mls_vf){{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}

MLS_SIMD_FN void vf_store(float *p, mls_vf v)
{
    vst1q_f32(p, v.q[0]);
    vst1q_f32(p + 4, v.q[1]);
    vst1q_f32(p + 8, v.q[2]);
    vst1q_f32(p + 12, v.q[3]);
}

MLS_SIMD_FN mls_vf vf_load_n(const float *p, int n)
{
    if (n == MLS_LANES)
        return vf_load(p);
    float buffer[MLS_LANES] = {0};
    memcpy(buffer, p, (size_t) n * sizeof *p);
    return vf_load(buffer);
}

MLS_SIMD_FN void vf_store_n(float *p, mls_vf v, int n)
{
    if (n == MLS_LANES) {
        vf_store(p, v);
        return;
    }
    float buffer[MLS_LANES];
    vf_store(buffer, v);
    memcpy(p, buffer, (size_t) n * sizeof *p);
}

MLS_SIMD_FN mls_vi vf_as_int(mls_vf v)
{
    return MLS_NEON1(mls_vi, vreinterpretq_s32_f32, v);
}

MLS_SIMD_FN mls_vf vi_as_float(mls_vi v)
{
    return MLS_NEON1(mls_vf, vreinterpretq_f32_s32, v);
}

MLS_SIMD_FN mls_vf vf_add(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vf, vaddq_f32, a, b);
}

MLS_SIMD_FN mls_vf vf_sub(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vf, vsubq_f32, a, b);
}

MLS_SIMD_FN mls_vf vf_mul(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vf, vmulq_f32, a, b);
}

MLS_SIMD_FN mls_vf vf_div(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vf, vdivq_f32, a, b);
}

MLS_SIMD_FN mls_vf vf_sqrt(mls_vf a)
{
    return MLS_NEON1(mls_vf, vsqrtq_f32, a);
}

MLS_SIMD_FN mls_vf vf_neg(mls_vf a)
{
    return MLS_NEON1(mls_vf, vnegq_f32, a);
}

MLS_SIMD_FN mls_vf vf_abs(mls_vf a)
{
    return MLS_NEON1(mls_vf, vabsq_f32, a);
}

MLS_SIMD_FN mls_vf vf_floor(mls_vf a)
{
    return MLS_NEON1(mls_vf, vrndmq_f32, a);
}

MLS_SIMD_FN mls_vf vf_ceil(mls_vf a)
{
    return MLS_NEON1(mls_vf, vrndpq_f32, a);
}

MLS_SIMD_FN mls_vf vf_trunc(mls_vf a)
{
    return MLS_NEON1(mls_vf, vrndq_f32, a);
}

MLS_SIMD_FN mls_vf vf_rint(mls_vf a)
{
    return MLS_NEON1(mls_vf, vrndnq_f32, a);
}

/* The intrinsics take the addend first. */
MLS_SIMD_FN mls_vf vf_fma(mls_vf a, mls_vf b, mls_vf c)
{
    return MLS_NEON3(mls_vf, vfmaq_f32, c, a, b);
}

MLS_SIMD_FN mls_vf vf_fms(mls_vf a, mls_vf b, mls_vf c)
{
    return vf_fma(a, b, vf_neg(c));
}

MLS_SIMD_FN mls_vf vf_fnma(mls_vf a, mls_vf b, mls_vf c)
{
    return MLS_NEON3(mls_vf, vfmsq_f32, c, a, b);
}

MLS_SIMD_FN mls_vf vf_copysign(mls_vf magnitude, mls_vf sign)
{
    const uint32x4_t bit = vdupq_n_u32(0x80000000u);
    const mls_vm bits = {{bit, bit, bit, bit}};
    return MLS_NEON3(mls_vf, vbslq_f32, bits, sign, magnitude);
}

MLS_SIMD_FN mls_vm vf_eq(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vm, vceqq_f32, a, b);
}

MLS_SIMD_FN mls_vm vf_lt(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vm, vcltq_f32, a, b);
}

MLS_SIMD_FN mls_vm vf_le(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vm, vcleq_f32, a, b);
}

MLS_SIMD_FN mls_vm vf_gt(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vm, vcgtq_f32, a, b);
}

MLS_SIMD_FN mls_vm vf_ge(mls_vf a, mls_vf b)
{
    return MLS_NEON2(mls_vm, vcgeq_f32, a, b);
}

MLS_SIMD_FN mls_vm vm_not(mls_vm m)
{
    return MLS_NEON1(mls_vm, vmvnq_u32, m);
}

MLS_SIMD_FN mls_vm vf_ne(mls_vf a, mls_vf b)
{
    return vm_not(vf_eq(a, b));
}

MLS_SIMD_FN mls_vm vf_isnan(mls_vf a)
{
    return vf_ne(a, a);
}

MLS_SIMD_FN mls_vf vf_select(mls_vm m, mls_vf a, mls_vf b)
{
    return MLS_NEON3(mls_vf, vbslq_f32, m, a, b);
}

/* Not vminq and vmaxq, whose rules for NaN and zeros are others. */
MLS_SIMD_FN mls_vf vf_min(mls_vf a, mls_vf b)
{
    return vf_select(vf_lt(a, b), a, b);
}

MLS_SIMD_FN mls_vf vf_max(mls_vf a, mls_vf b)
{
    return vf_select(vf_gt(a, b), a, b);
}

/* The instructions saturate and turn NaN into 0; the contract has INT32_MIN for all of these. */
MLS_SIMD_FN mls_vi vf_int_in_range(mls_vf v, mls_vi converted)
{
    return vi_select(vf_lt(vf_abs(v), vf_set1(0x1p31f)), converted, vi_set1(INT32_MIN));
}

MLS_SIMD_FN mls_vi vf_to_int(mls_vf v)
{
    return vf_int_in_range(v, MLS_NEON1(mls_vi, vcvtq_s32_f32, v));
}

MLS_SIMD_FN mls_vi vf_to_int_rint(mls_vf v)
{
    return vf_int_in_range(v, MLS_NEON1(mls_vi, vcvtnq_s32_f32, v));
}

MLS_SIMD_FN mls_vf vi_to_float(mls_vi v)
{
    return MLS_NEON1(mls_vf, vcvtq_f32_s32, v);
}

/* Two exact powers of two; only the second product can round, and does so once. */
MLS_SIMD_FN mls_vf vf_ldexp(mls_vf a, mls_vf n)
{
    const mls_vi whole = MLS_NEON1(mls_vi, vcvtq_s32_f32, n);
    const mls_vi n1 = vi_sar(whole, 1);
    const mls_vi n2 = vi_sub(whole, n1);
    const mls_vi bias = vi_set1(127);
    const mls_vf power1 = vi_as_float(vi_shl(vi_add(n1, bias), 23));
    const mls_vf power2 = vi_as_float(vi_shl(vi_add(n2, bias), 23));
    return vf_mul(vf_mul(a, power1), power2);
}

MLS_SIMD_FN mls_vf vf_pow2(mls_vf n)
{
    return vi_as_float(vi_shl(vi_add(MLS_NEON1(mls_vi, vcvtq_s32_f32, n), vi_set1(127)), 23));
}

MLS_SIMD_FN float32x4_t vf_widen_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

MLS_SIMD_FN mls_vf vf_load_f16(const uint16_t *p)
{
    return (mls_vf){
        {vf_widen_f16(p), vf_widen_f16(p + 4), vf_widen_f16(p + 8), vf_widen_f16(p + 12)}};
}

MLS_SIMD_FN void vf_store_f16(uint16_t *p, mls_vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v.q[0])));
    vst1_u16(p + 4, vreinterpret_u16_f16(vcvt_f16_f32(v.q[1])));
    vst1_u16(p + 8, vreinterpret_u16_f16(vcvt_f16_f32(v.q[2])));
    vst1_u16(p + 12, vreinterpret_u16_f16(vcvt_f16_f32(v.q[3])));
}

MLS_SIMD_FN mls_vf vf_through_f16(mls_vf v)
{
    return (mls_vf){{vcvt_f32_f16(vcvt_f16_f32(v.q[0])), vcvt_f32_f16(vcvt_f16_f32(v.q[1])),
                     vcvt_f32_f16(vcvt_f16_f32(v.q[2])), vcvt_f32_f16(vcvt_f16_f32(v.q[3]))}};
}

/* --- masks ----------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vm vm_first(int n)
{
    return vi_lt(vi_iota(), vi_set1(n));
}

MLS_SIMD_FN mls_vm vm_and(mls_vm a, mls_vm b)
{
    return MLS_NEON2(mls_vm, vandq_u32, a, b);
}

MLS_SIMD_FN mls_vm vm_or(mls_vm a, mls_vm b)
{
    return MLS_NEON2(mls_vm, vorrq_u32, a, b);
}

MLS_SIMD_FN mls_vm vm_xor(mls_vm a, mls_vm b)
{
    return MLS_NEON2(mls_vm, veorq_u32, a, b);
}

MLS_SIMD_FN mls_vm vm_andnot(mls_vm a, mls_vm b)
{
    return MLS_NEON2(mls_vm, vbicq_u32, a, b);
}

MLS_SIMD_FN bool vm_any(mls_vm m)
{
    return vmaxvq_u32(vorrq_u32(vorrq_u32(m.q[0], m.q[1]), vorrq_u32(m.q[2], m.q[3]))) != 0;
}

MLS_SIMD_FN bool vm_all(mls_vm m)
{
    return vminvq_u32(vandq_u32(vandq_u32(m.q[0], m.q[1]), vandq_u32(m.q[2], m.q[3]))) != 0;
}

MLS_SIMD_FN uint32_t vm_bits(mls_vm m)
{
    static const uint32_t weights[MLS_LANES] = {
        1u,      1u << 1, 1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,
        1u << 8, 1u << 9, 1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15};
    const uint32x4_t low =
        vorrq_u32(vandq_u32(m.q[0], vld1q_u32(weights)), vandq_u32(m.q[1], vld1q_u32(weights + 4)));
    const uint32x4_t high = vorrq_u32(vandq_u32(m.q[2], vld1q_u32(weights + 8)),
                                      vandq_u32(m.q[3], vld1q_u32(weights + 12)));
    return vaddvq_u32(vorrq_u32(low, high));
}

MLS_SIMD_FN mls_vm vm_from_bits(uint32_t bits)
{
    int32_t lanes[MLS_LANES];
    for (int i = 0; i < MLS_LANES; i++)
        lanes[i] = (int32_t) ((bits >> i) & 1u);
    return vi_gt(vi_load(lanes), vi_zero());
}

MLS_SIMD_FN mls_vm vm_load_bool(const uint8_t *p)
{
    const uint8x16_t bytes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes));
    const uint16x8_t high = vmovl_u8(vget_high_u8(bytes));
    const mls_vi wide = {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                          vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))),
                          vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                          vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)))}};
    return vi_gt(wide, vi_zero());
}

MLS_SIMD_FN void vm_store_bool(uint8_t *p, mls_vm m)
{
    const uint16x8_t low = vcombine_u16(vmovn_u32(m.q[0]), vmovn_u32(m.q[1]));
    const uint16x8_t high = vcombine_u16(vmovn_u32(m.q[2]), vmovn_u32(m.q[3]));
    const uint8x16_t bytes = vcombine_u8(vmovn_u16(low), vmovn_u16(high));
    vst1q_u8(p, vandq_u8(bytes, vdupq_n_u8(1)));
}

/* --- gathers: there is no instruction, so a load a lane -------------------------------------- */

MLS_SIMD_FN mls_vf vf_gather(const float *base, mls_vi index)
{
    int32_t at[MLS_LANES];
    float lanes[MLS_LANES];
    vi_store(at, index);
    for (int i = 0; i < MLS_LANES; i++)
        lanes[i] = base[at[i]];
    return vf_load(lanes);
}

MLS_SIMD_FN mls_vf vf_gather_mask(mls_vf src, mls_vm m, const float *base, mls_vi index)
{
    const uint32_t on = vm_bits(m);
    int32_t at[MLS_LANES];
    float lanes[MLS_LANES];
    vi_store(at, index);
    vf_store(lanes, src);
    for (int i = 0; i < MLS_LANES; i++) {
        if ((on >> i) & 1u)
            lanes[i] = base[at[i]];
    }
    return vf_load(lanes);
}

MLS_SIMD_FN mls_vf vf_gather_pair(const void *base, mls_vi index)
{
    const char *bytes = base;
    int32_t at[MLS_LANES];
    float lanes[MLS_LANES];
    vi_store(at, index);
    for (int i = 0; i < MLS_LANES; i++)
        memcpy(&lanes[i], bytes + 8 * (ptrdiff_t) at[i], sizeof lanes[i]);
    return vf_load(lanes);
}

MLS_SIMD_FN mls_vi vi_gather(const int32_t *base, mls_vi index)
{
    int32_t at[MLS_LANES];
    int32_t lanes[MLS_LANES];
    vi_store(at, index);
    for (int i = 0; i < MLS_LANES; i++)
        lanes[i] = base[at[i]];
    return vi_load(lanes);
}

MLS_SIMD_FN mls_vi vi_gather_mask(mls_vi src, mls_vm m, const int32_t *base, mls_vi index)
{
    const uint32_t on = vm_bits(m);
    int32_t at[MLS_LANES];
    int32_t lanes[MLS_LANES];
    vi_store(at, index);
    vi_store(lanes, src);
    for (int i = 0; i < MLS_LANES; i++) {
        if ((on >> i) & 1u)
            lanes[i] = base[at[i]];
    }
    return vi_load(lanes);
}

MLS_SIMD_FN mls_vi vi_gather_pair(const void *base, mls_vi index)
{
    const char *bytes = base;
    int32_t at[MLS_LANES];
    int32_t lanes[MLS_LANES];
    vi_store(at, index);
    for (int i = 0; i < MLS_LANES; i++)
        memcpy(&lanes[i], bytes + 8 * (ptrdiff_t) at[i], sizeof lanes[i]);
    return vi_load(lanes);
}

MLS_SIMD_FN mls_vi vi_lookup32(const int32_t *table, mls_vi index)
{
    return vi_gather(table, index);
}

MLS_SIMD_FN mls_vi vi_clear(mls_vm m, mls_vi a, mls_vi b)
{
    mls_vi result;
    for (int i = 0; i < 4; i++)
        result.q[i] = vbicq_s32(a.q[i], vandq_s32(vreinterpretq_s32_u32(m.q[i]), b.q[i]));
    return result;
}

/* --- lanes ----------------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf vf_down8(mls_vf v)
{
    return (mls_vf){{v.q[2], v.q[3], v.q[2], v.q[3]}};
}

MLS_SIMD_FN mls_vf vf_down4(mls_vf v)
{
    return (mls_vf){{v.q[1], v.q[1], v.q[1], v.q[1]}};
}

MLS_SIMD_FN mls_vf vf_down2(mls_vf v)
{
    return (mls_vf){{vextq_f32(v.q[0], v.q[0], 2), v.q[1], v.q[2], v.q[3]}};
}

MLS_SIMD_FN mls_vf vf_down1(mls_vf v)
{
    return (mls_vf){{vextq_f32(v.q[0], v.q[0], 1), v.q[1], v.q[2], v.q[3]}};
}

MLS_SIMD_FN mls_vf vf_even(mls_vf a, mls_vf b)
{
    return (mls_vf){{vuzp1q_f32(a.q[0], a.q[1]), vuzp1q_f32(a.q[2], a.q[3]),
                     vuzp1q_f32(b.q[0], b.q[1]), vuzp1q_f32(b.q[2], b.q[3])}};
}

MLS_SIMD_FN mls_vf vf_odd(mls_vf a, mls_vf b)
{
    return (mls_vf){{vuzp2q_f32(a.q[0], a.q[1]), vuzp2q_f32(a.q[2], a.q[3]),
                     vuzp2q_f32(b.q[0], b.q[1]), vuzp2q_f32(b.q[2], b.q[3])}};
}

MLS_SIMD_FN float vf_lane0(mls_vf v)
{
    return vgetq_lane_f32(v.q[0], 0);
}

#endif
