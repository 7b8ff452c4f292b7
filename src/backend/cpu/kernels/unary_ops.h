/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unary ops on one vector: for the runs of elementwise.c and for kernels that apply an
 * activation to results still in registers. All have one form, f(x, a, b); elementwise.h says
 * what each one is.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_UNARY_OPS_H
#define MLS_BACKEND_CPU_KERNELS_UNARY_OPS_H

#include "backend/cpu/simd/simd.h"

#include <float.h>
#include <math.h>

MLS_SIMD_FN mls_vf op_neg(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_neg(x);
}

MLS_SIMD_FN mls_vf op_abs(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_abs(x);
}

MLS_SIMD_FN mls_vf op_sqrt(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_sqrt(x);
}

MLS_SIMD_FN mls_vf op_reciprocal(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_div(vf_set1(1.0f), x);
}

MLS_SIMD_FN mls_vf op_floor(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_floor(x);
}

MLS_SIMD_FN mls_vf op_ceil(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_ceil(x);
}

MLS_SIMD_FN mls_vf op_round(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_rint(x);
}

MLS_SIMD_FN mls_vf op_sign(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
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
    (void)a, (void)b;
    return vf_max(vf_zero(), x);
}

MLS_SIMD_FN mls_vf op_leaky_relu(mls_vf x, mls_vf a, mls_vf b)
{
    (void)b;
    return vf_select(vf_lt(x, vf_zero()), vf_mul(a, x), x);
}

MLS_SIMD_FN mls_vf op_thresholded_relu(mls_vf x, mls_vf a, mls_vf b)
{
    (void)b;
    return vf_select(vf_le(x, a), vf_zero(), x);
}

MLS_SIMD_FN mls_vf op_hard_sigmoid(mls_vf x, mls_vf a, mls_vf b)
{
    return op_clip(vf_fma(a, x, b), vf_zero(), vf_set1(1.0f));
}

/* -inf becomes the least finite number, so that a product with 0 is the limit -0 and not NaN. */
MLS_SIMD_FN mls_vf op_finite_below(mls_vf x)
{
    return vf_max(vf_set1(-FLT_MAX), x);
}

MLS_SIMD_FN mls_vf op_hard_swish(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    return vf_mul(op_finite_below(x), op_hard_sigmoid(x, vf_set1(1.0f / 6.0f), vf_set1(0.5f)));
}

MLS_SIMD_FN mls_vf op_softsign(mls_vf x, mls_vf a, mls_vf b)
{
    (void)a, (void)b;
    const mls_vf magnitude = vf_abs(x);
    const mls_vf one = vf_set1(1.0f);
    const mls_vf result = vf_div(x, vf_add(one, magnitude));
    return vf_select(vf_eq(magnitude, vf_set1(INFINITY)), vf_copysign(one, x), result);
}

#endif
