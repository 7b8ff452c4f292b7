/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unary ops on one vector: for the runs of elementwise.c and for kernels that apply an
 * activation to results still in registers. All have one form, f(x, a, b); elementwise.h says
 * what each one is.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_UNARY_OPS_H
#define MLS_BACKEND_CPU_KERNELS_UNARY_OPS_H

#include "backend/cpu/simd/math.h"
#include "backend/cpu/simd/simd.h"

#include <math.h>

MLS_SIMD_FN mls_vf op_neg(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_neg(x);
}

MLS_SIMD_FN mls_vf op_abs(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_abs(x);
}

MLS_SIMD_FN mls_vf op_sqrt(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_sqrt(x);
}

MLS_SIMD_FN mls_vf op_reciprocal(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_div(vf_set1(1.0f), x);
}

MLS_SIMD_FN mls_vf op_floor(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_floor(x);
}

MLS_SIMD_FN mls_vf op_ceil(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_ceil(x);
}

MLS_SIMD_FN mls_vf op_round(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_rint(x);
}

MLS_SIMD_FN mls_vf op_sign(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    const mls_vf one = vf_copysign(vf_set1(1.0f), x);
    const mls_vf nonzero = vf_select(vf_eq(x, vf_zero()), vf_zero(), one);
    return vf_select(vf_isnan(x), x, nonzero);
}

/* The bounds are the left operands, so that a NaN in x is the right one and comes through. */
MLS_SIMD_FN mls_vf op_clip(mls_vf x, mls_vf a, mls_vf b)
{
    return vf_min(b, vf_max(a, x));
}

MLS_SIMD_FN mls_vf op_relu(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_max(vf_zero(), x);
}

MLS_SIMD_FN mls_vf op_leaky_relu(mls_vf x, mls_vf a, mls_vf b)
{
    (void) b;
    return vf_select(vf_lt(x, vf_zero()), vf_mul(a, x), x);
}

MLS_SIMD_FN mls_vf op_thresholded_relu(mls_vf x, mls_vf a, mls_vf b)
{
    (void) b;
    return vf_select(vf_le(x, a), vf_zero(), x);
}

MLS_SIMD_FN mls_vf op_hard_sigmoid(mls_vf x, mls_vf a, mls_vf b)
{
    return op_clip(vf_fma(a, x, b), vf_zero(), vf_set1(1.0f));
}

/* The product with a gate that is 0 is the limit 0, and not NaN where x is infinite. */
MLS_SIMD_FN mls_vf op_gated(mls_vf x, mls_vf gate)
{
    const mls_vf zero = vf_copysign(vf_zero(), x);
    return vf_select(vf_eq(gate, vf_zero()), zero, vf_mul(x, gate));
}

MLS_SIMD_FN mls_vf op_hard_swish(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return op_gated(x, op_hard_sigmoid(x, vf_set1(1.0f / 6.0f), vf_set1(0.5f)));
}

MLS_SIMD_FN mls_vf op_shrink(mls_vf x, mls_vf a, mls_vf b)
{
    const mls_vf rest = vf_select(vf_isnan(x), x, vf_zero());
    const mls_vf above = vf_select(vf_gt(x, a), vf_sub(x, b), rest);
    return vf_select(vf_lt(x, vf_neg(a)), vf_add(x, b), above);
}

MLS_SIMD_FN mls_vf op_softsign(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    const mls_vf magnitude = vf_abs(x);
    const mls_vf one = vf_set1(1.0f);
    const mls_vf result = vf_div(x, vf_add(one, magnitude));
    return vf_select(vf_eq(magnitude, vf_set1(INFINITY)), vf_copysign(one, x), result);
}

MLS_SIMD_FN mls_vf op_exp(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_exp(x);
}

MLS_SIMD_FN mls_vf op_log(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_log(x);
}

MLS_SIMD_FN mls_vf op_tanh(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_tanh(x);
}

MLS_SIMD_FN mls_vf op_sigmoid(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_sigmoid(x);
}

MLS_SIMD_FN mls_vf op_erf(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    return vf_erf(x);
}

MLS_SIMD_FN mls_vf op_elu(mls_vf x, mls_vf a, mls_vf b)
{
    (void) b;
    return vf_select(vf_lt(x, vf_zero()), vf_mul(a, vf_expm1_negative(x)), x);
}

MLS_SIMD_FN mls_vf op_selu(mls_vf x, mls_vf a, mls_vf b)
{
    return vf_mul(b, op_elu(x, a, b));
}

MLS_SIMD_FN mls_vf op_celu(mls_vf x, mls_vf a, mls_vf b)
{
    (void) b;
    const mls_vf scaled = vf_div(x, a);
    /* Only a negative a makes it positive. */
    const mls_vf above = vf_sub(vf_exp(scaled), vf_set1(1.0f));
    const mls_vf power = vf_select(vf_gt(scaled, vf_zero()), above, vf_expm1_negative(scaled));
    /* Next to 0 it is x, of which the quotient may have lost bits. */
    const mls_vm near = vf_lt(vf_abs(scaled), vf_set1(0x1p-25f));
    const mls_vm curved = vm_andnot(vf_lt(x, vf_zero()), near);
    return vf_select(curved, vf_mul(a, power), x);
}

MLS_SIMD_FN mls_vf op_softplus(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    const mls_vf rest = vf_log1p_unit(vf_exp(vf_neg(vf_abs(x))));
    return vf_add(vf_max(vf_zero(), x), rest);
}

MLS_SIMD_FN mls_vf op_swish(mls_vf x, mls_vf a, mls_vf b)
{
    (void) b;
    return op_gated(x, vf_sigmoid(vf_mul(a, x)));
}

/* With n = e^x (e^x + 2), tanh(log(1 + e^x)) is n / (n + 2); above 20 it has long been 1. */
MLS_SIMD_FN mls_vf op_mish(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    const mls_vf two = vf_set1(2.0f);
    const mls_vf e = vf_exp(vf_min(vf_set1(20.0f), x));
    const mls_vf n = vf_mul(e, vf_add(e, two));
    return op_gated(x, vf_div(n, vf_add(n, two)));
}

/* x P(Z < x), with the tail below 0 as it is, and not as a difference from 1. */
MLS_SIMD_FN mls_vf op_gelu(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    const mls_vf tail = vf_normal_tail(vf_abs(x));
    return op_gated(x, vf_select(vf_lt(x, vf_zero()), tail, vf_sub(vf_set1(1.0f), tail)));
}

/* (1 + tanh(u)) / 2 is the sigmoid of 2u, here with u = sqrt(2 / pi) (x + 0.044715 x^3). */
MLS_SIMD_FN mls_vf op_gelu_tanh(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    const mls_vf linear = vf_set1(0x1.988454p+0f);
    const mls_vf cubic = vf_set1(0x1.2444f2p-4f);
    const mls_vf u2 = vf_mul(x, vf_fma(cubic, vf_mul(x, x), linear));
    return op_gated(x, vf_sigmoid(u2));
}

#endif
