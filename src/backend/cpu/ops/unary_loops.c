/* SPDX-License-Identifier: Apache-2.0 */
/* One loop a dtype and op, all made from the expression that the op is. */
#include "backend/cpu/ops/unary_loops.h"

#include "backend/cpu/math/f64.h"

#include <math.h>

#define DTYPES (MLS_INT2 + 1)

/* `expression` of x and the parameters a and b. */
#define LOOP(name, T, expression)                                                                  \
    static void name(void *y, const void *elements, int64_t n, const float *params)                \
    {                                                                                              \
        T *out = y;                                                                                \
        const T *p = elements;                                                                     \
        (void) params;                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T x = p[i];                                                                      \
            out[i] = (T) (expression);                                                             \
        }                                                                                          \
    }

/* The negative of the least number is itself: in the unsigned type W it wraps around. */
#define SIGNED_LOOPS(s, T, W)                                                                      \
    LOOP(neg_##s, T, (W) 0 - (W) x)                                                                \
    LOOP(abs_##s, T, x < 0 ? (T) ((W) 0 - (W) x) : x)                                              \
    LOOP(sign_##s, T, (x > 0) - (x < 0))                                                           \
    LOOP(relu_##s, T, x > 0 ? x : 0)

#define UNSIGNED_LOOPS(s, T)                                                                       \
    LOOP(abs_##s, T, x)                                                                            \
    LOOP(sign_##s, T, x > 0)

SIGNED_LOOPS(i8, int8_t, uint32_t)
SIGNED_LOOPS(i16, int16_t, uint32_t)
SIGNED_LOOPS(i32, int32_t, uint32_t)
SIGNED_LOOPS(i64, int64_t, uint64_t)
UNSIGNED_LOOPS(u8, uint8_t)
UNSIGNED_LOOPS(u16, uint16_t)
UNSIGNED_LOOPS(u32, uint32_t)
UNSIGNED_LOOPS(u64, uint64_t)

LOOP(not_bool, uint8_t, !x)
LOOP(bits_not_8, uint8_t, ~(unsigned) x)
LOOP(bits_not_16, uint16_t, ~(unsigned) x)
LOOP(bits_not_32, uint32_t, ~x)
LOOP(bits_not_64, uint64_t, ~x)

/* `expression` of x and the parameters a and b in float64. */
#define DOUBLE_LOOP(name, expression)                                                              \
    static void name(void *y, const void *elements, int64_t n, const float *params)                \
    {                                                                                              \
        double *out = y;                                                                           \
        const double *p = elements;                                                                \
        const double a = (double) params[0], b = (double) params[1];                               \
        (void) a, (void) b;                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const double x = p[i];                                                                 \
            out[i] = (expression);                                                                 \
        }                                                                                          \
    }

static inline double sign_of(double x)
{
    return x != x ? x : (double) ((x > 0) - (x < 0));
}

static inline double hard_sigmoid(double x, double a, double b)
{
    const double line = fma(a, x, b);
    return line < 0 ? 0 : line > 1 ? 1 : line;
}

/* The product with a gate that is 0 is the limit 0, and not NaN where x is infinite. */
static inline double gated(double x, double gate)
{
    return gate == 0 ? copysign(0, x) : x * gate;
}

static inline double softsign(double x)
{
    return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
}

/* NaN is neither above nor below, and stays. */
static inline double shrink(double x, double a, double b)
{
    return x < -a ? x + b : x > a ? x - b : x != x ? x : 0;
}

static inline double elu(double x, double a)
{
    return x < 0 ? a * mls__f64_expm1(x) : x;
}

/* Next to 0 it is x, of which the quotient may have lost bits. */
static inline double celu(double x, double a)
{
    return x < 0 && fabs(x / a) >= 0x1p-54 ? a * mls__f64_expm1(x / a) : x;
}

static inline double softplus(double x)
{
    return (x < 0 ? 0 : x) + mls__f64_log1p(mls__f64_exp(-fabs(x)));
}

static inline double swish(double x, double a)
{
    return gated(x, mls__f64_sigmoid(a * x));
}

/* With n = e^x (e^x + 2), tanh(log(1 + e^x)) is n / (n + 2); above 40 it has long been 1. */
static inline double mish(double x)
{
    const double e = mls__f64_exp(x > 40 ? 40 : x);
    const double n = e * (e + 2);
    return gated(x, n / (n + 2));
}

/* Far below 0 the sum cancels: the error is small against x, not against the result. */
static inline double gelu(double x)
{
    return gated(x, 0.5 + 0.5 * mls__f64_erf(x * 0x1.6a09e667f3bcdp-1));
}

/* (1 + tanh(u)) / 2 is the sigmoid of 2u, here with u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline double gelu_tanh(double x)
{
    const double u = 0x1.9884533d43651p-1 * fma(0.044715 * x * x, x, x);
    return gated(x, mls__f64_sigmoid(2 * u));
}

DOUBLE_LOOP(neg_f64, -x)
DOUBLE_LOOP(abs_f64, fabs(x))
DOUBLE_LOOP(sqrt_f64, sqrt(x))
DOUBLE_LOOP(reciprocal_f64, 1 / x)
DOUBLE_LOOP(floor_f64, floor(x))
DOUBLE_LOOP(ceil_f64, ceil(x))
DOUBLE_LOOP(round_f64, rint(x))
DOUBLE_LOOP(sign_f64, sign_of(x))
DOUBLE_LOOP(relu_f64, x < 0 ? 0 : x)
DOUBLE_LOOP(leaky_relu_f64, x < 0 ? a * x : x)
DOUBLE_LOOP(thresholded_relu_f64, x <= a ? 0 : x)
DOUBLE_LOOP(hard_sigmoid_f64, hard_sigmoid(x, a, b))
DOUBLE_LOOP(hard_swish_f64, gated(x, hard_sigmoid(x, 1.0 / 6, 0.5)))
DOUBLE_LOOP(shrink_f64, shrink(x, a, b))
DOUBLE_LOOP(softsign_f64, softsign(x))
DOUBLE_LOOP(exp_f64, mls__f64_exp(x))
DOUBLE_LOOP(log_f64, mls__f64_log(x))
DOUBLE_LOOP(tanh_f64, mls__f64_tanh(x))
DOUBLE_LOOP(sigmoid_f64, mls__f64_sigmoid(x))
DOUBLE_LOOP(erf_f64, mls__f64_erf(x))
DOUBLE_LOOP(sin_f64, mls__f64_sin(x))
DOUBLE_LOOP(cos_f64, mls__f64_cos(x))
DOUBLE_LOOP(tan_f64, mls__f64_tan(x))
DOUBLE_LOOP(asin_f64, mls__f64_asin(x))
DOUBLE_LOOP(acos_f64, mls__f64_acos(x))
DOUBLE_LOOP(atan_f64, mls__f64_atan(x))
DOUBLE_LOOP(sinh_f64, mls__f64_sinh(x))
DOUBLE_LOOP(cosh_f64, mls__f64_cosh(x))
DOUBLE_LOOP(asinh_f64, mls__f64_asinh(x))
DOUBLE_LOOP(acosh_f64, mls__f64_acosh(x))
DOUBLE_LOOP(atanh_f64, mls__f64_atanh(x))
DOUBLE_LOOP(elu_f64, elu(x, a))
DOUBLE_LOOP(selu_f64, elu(x, a) * b)
DOUBLE_LOOP(celu_f64, celu(x, a))
DOUBLE_LOOP(softplus_f64, softplus(x))
DOUBLE_LOOP(swish_f64, swish(x, a))
DOUBLE_LOOP(mish_f64, mish(x))
DOUBLE_LOOP(gelu_f64, gelu(x))
DOUBLE_LOOP(gelu_tanh_f64, gelu_tanh(x))

#define SIGNED_ROW(op)                                                                             \
    [MLS_INT8] = op##_i8, [MLS_INT16] = op##_i16, [MLS_INT32] = op##_i32, [MLS_INT64] = op##_i64
#define UNSIGNED_ROW(op)                                                                           \
    [MLS_UINT8] = op##_u8, [MLS_UINT16] = op##_u16, [MLS_UINT32] = op##_u32, [MLS_UINT64] = op##_u64

static const mls__loop1 loops[MLS__UNARY_COUNT][DTYPES] = {
    [MLS__UNARY_NEG] = {SIGNED_ROW(neg), [MLS_FLOAT64] = neg_f64},
    [MLS__UNARY_ABS] = {SIGNED_ROW(abs), UNSIGNED_ROW(abs), [MLS_FLOAT64] = abs_f64},
    [MLS__UNARY_SIGN] = {SIGNED_ROW(sign), UNSIGNED_ROW(sign), [MLS_FLOAT64] = sign_f64},
    [MLS__UNARY_RELU] = {SIGNED_ROW(relu), [MLS_FLOAT64] = relu_f64},
    [MLS__UNARY_SQRT] = {[MLS_FLOAT64] = sqrt_f64},
    [MLS__UNARY_RECIPROCAL] = {[MLS_FLOAT64] = reciprocal_f64},
    [MLS__UNARY_FLOOR] = {[MLS_FLOAT64] = floor_f64},
    [MLS__UNARY_CEIL] = {[MLS_FLOAT64] = ceil_f64},
    [MLS__UNARY_ROUND] = {[MLS_FLOAT64] = round_f64},
    [MLS__UNARY_LEAKY_RELU] = {[MLS_FLOAT64] = leaky_relu_f64},
    [MLS__UNARY_THRESHOLDED_RELU] = {[MLS_FLOAT64] = thresholded_relu_f64},
    [MLS__UNARY_HARD_SIGMOID] = {[MLS_FLOAT64] = hard_sigmoid_f64},
    [MLS__UNARY_HARD_SWISH] = {[MLS_FLOAT64] = hard_swish_f64},
    [MLS__UNARY_SHRINK] = {[MLS_FLOAT64] = shrink_f64},
    [MLS__UNARY_SOFTSIGN] = {[MLS_FLOAT64] = softsign_f64},
    [MLS__UNARY_EXP] = {[MLS_FLOAT64] = exp_f64},
    [MLS__UNARY_LOG] = {[MLS_FLOAT64] = log_f64},
    [MLS__UNARY_TANH] = {[MLS_FLOAT64] = tanh_f64},
    [MLS__UNARY_SIGMOID] = {[MLS_FLOAT64] = sigmoid_f64},
    [MLS__UNARY_ERF] = {[MLS_FLOAT64] = erf_f64},
    [MLS__UNARY_SIN] = {[MLS_FLOAT64] = sin_f64},
    [MLS__UNARY_COS] = {[MLS_FLOAT64] = cos_f64},
    [MLS__UNARY_TAN] = {[MLS_FLOAT64] = tan_f64},
    [MLS__UNARY_ASIN] = {[MLS_FLOAT64] = asin_f64},
    [MLS__UNARY_ACOS] = {[MLS_FLOAT64] = acos_f64},
    [MLS__UNARY_ATAN] = {[MLS_FLOAT64] = atan_f64},
    [MLS__UNARY_SINH] = {[MLS_FLOAT64] = sinh_f64},
    [MLS__UNARY_COSH] = {[MLS_FLOAT64] = cosh_f64},
    [MLS__UNARY_ASINH] = {[MLS_FLOAT64] = asinh_f64},
    [MLS__UNARY_ACOSH] = {[MLS_FLOAT64] = acosh_f64},
    [MLS__UNARY_ATANH] = {[MLS_FLOAT64] = atanh_f64},
    [MLS__UNARY_ELU] = {[MLS_FLOAT64] = elu_f64},
    [MLS__UNARY_SELU] = {[MLS_FLOAT64] = selu_f64},
    [MLS__UNARY_CELU] = {[MLS_FLOAT64] = celu_f64},
    [MLS__UNARY_SOFTPLUS] = {[MLS_FLOAT64] = softplus_f64},
    [MLS__UNARY_SWISH] = {[MLS_FLOAT64] = swish_f64},
    [MLS__UNARY_MISH] = {[MLS_FLOAT64] = mish_f64},
    [MLS__UNARY_GELU] = {[MLS_FLOAT64] = gelu_f64},
    [MLS__UNARY_GELU_TANH] = {[MLS_FLOAT64] = gelu_tanh_f64},
};

mls__loop1 mls__unary_loop(mls__unary_op op, int32_t dtype)
{
    return dtype > 0 && dtype < DTYPES ? loops[op][dtype] : NULL;
}

void mls__not_loop(void *y, const void *x, int64_t n, const float *params)
{
    not_bool(y, x, n, params);
}

mls__loop1 mls__bits_not_loop(size_t element_size)
{
    switch (element_size) {
    case 1:
        return bits_not_8;
    case 2:
        return bits_not_16;
    case 4:
        return bits_not_32;
    default:
        return bits_not_64;
    }
}
