/* SPDX-License-Identifier: Apache-2.0 */
/* One loop a dtype and op, all made from the expression that the op is. */
#include "backend/cpu/ops/unary_loops.h"

#include <float.h>
#include <math.h>

#define DTYPES (MLS_INT2 + 1)

/* `expression` of x and the parameters a and b. */
#define LOOP(name, T, expression)                                                                \
    static void name(void *y, const void *elements, int64_t n, const float *params)              \
    {                                                                                            \
        T *out = y;                                                                              \
        const T *p = elements;                                                                   \
        (void) params;                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                        \
            const T x = p[i];                                                                    \
            out[i] = (T) (expression);                                                           \
        }                                                                                        \
    }

/* The negative of the least number is itself: in the unsigned type W it wraps around. */
#define SIGNED_LOOPS(s, T, W)                                                                    \
    LOOP(neg_##s, T, (W) 0 - (W) x)                                                              \
    LOOP(abs_##s, T, x < 0 ? (T) ((W) 0 - (W) x) : x)                                            \
    LOOP(sign_##s, T, (x > 0) - (x < 0))                                                         \
    LOOP(relu_##s, T, x > 0 ? x : 0)

#define UNSIGNED_LOOPS(s, T)                                                                     \
    LOOP(abs_##s, T, x)                                                                          \
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

/* `expression` of x and the parameters a and b in float64. */
#define DOUBLE_LOOP(name, expression)                                                            \
    static void name(void *y, const void *elements, int64_t n, const float *params)              \
    {                                                                                            \
        double *out = y;                                                                         \
        const double *p = elements;                                                              \
        const double a = (double) params[0], b = (double) params[1];                             \
        (void) a, (void) b;                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                        \
            const double x = p[i];                                                               \
            out[i] = (expression);                                                               \
        }                                                                                        \
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

/* The limit at -infinity is a zero, not the NaN of a product. */
static inline double hard_swish(double x)
{
    return (x < -DBL_MAX ? -DBL_MAX : x) * hard_sigmoid(x, 1.0 / 6, 0.5);
}

static inline double softsign(double x)
{
    return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
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
DOUBLE_LOOP(hard_swish_f64, hard_swish(x))
DOUBLE_LOOP(softsign_f64, softsign(x))

#define SIGNED_ROW(op)                                                                           \
    [MLS_INT8] = op##_i8, [MLS_INT16] = op##_i16, [MLS_INT32] = op##_i32, [MLS_INT64] = op##_i64
#define UNSIGNED_ROW(op)                                                                         \
    [MLS_UINT8] = op##_u8, [MLS_UINT16] = op##_u16, [MLS_UINT32] = op##_u32,                     \
    [MLS_UINT64] = op##_u64

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
    [MLS__UNARY_SOFTSIGN] = {[MLS_FLOAT64] = softsign_f64},
};

mls__loop1 mls__unary_loop(mls__unary_op op, int32_t dtype)
{
    return dtype > 0 && dtype < DTYPES ? loops[op][dtype] : NULL;
}

void mls__not_loop(void *y, const void *x, int64_t n, const float *params)
{
    not_bool(y, x, n, params);
}
