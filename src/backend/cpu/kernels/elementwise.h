/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise kernels: runs of n contiguous float32 elements. Broadcasting over more than one
 * operand's scalar is the caller's loop.
 *
 * An element's result depends on its operands only, never on its place in the run. y may be the
 * same array as an operand (in place), else they must not overlap. n may be 0.
 *
 * NaN: every function gives NaN for NaN unless stated otherwise. At infinity every function has
 * its limit; so x * gate(x) is 0 where the gate is. The functions with e^x in them are accurate
 * to a few units in the last place also far below 0, where naive formulas cancel.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_ELEMENTWISE_H
#define MLS_BACKEND_CPU_KERNELS_ELEMENTWISE_H

#include <stdint.h>

/* y = f(x; a, b). Those that take neither a nor b may be called with params NULL. */
typedef enum mls__unary_op {
    MLS__UNARY_NEG,
    MLS__UNARY_ABS,
    MLS__UNARY_SQRT,
    MLS__UNARY_RECIPROCAL,
    MLS__UNARY_FLOOR,
    MLS__UNARY_CEIL,
    MLS__UNARY_ROUND,            /* to nearest even */
    MLS__UNARY_SIGN,             /* -1, 0, 1 */
    MLS__UNARY_RELU,             /* max(x, 0) */
    MLS__UNARY_LEAKY_RELU,       /* x < 0 ? a * x : x */
    MLS__UNARY_THRESHOLDED_RELU, /* x > a ? x : 0 */
    MLS__UNARY_CLIP,             /* min(max(x, a), b); a NaN bound bounds nothing */
    MLS__UNARY_HARD_SIGMOID,     /* min(max(a * x + b, 0), 1), one rounding in a * x + b */
    MLS__UNARY_HARD_SWISH,       /* x * min(max(x / 6 + 0.5, 0), 1); */
    MLS__UNARY_SHRINK,           /* x < -a ? x + b : x > a ? x - b : 0 */
    MLS__UNARY_SOFTSIGN,         /* x / (1 + |x|); infinities give -1 and 1 */
    MLS__UNARY_EXP,
    MLS__UNARY_LOG,
    MLS__UNARY_TANH,
    MLS__UNARY_SIGMOID,
    MLS__UNARY_ERF,
    MLS__UNARY_ELU,       /* x < 0 ? a * (e^x - 1) : x */
    MLS__UNARY_SELU,      /* b * elu(x; a) */
    MLS__UNARY_CELU,      /* x < 0 ? a * (e^(x / a) - 1) : x */
    MLS__UNARY_SOFTPLUS,  /* log(1 + e^x) */
    MLS__UNARY_SWISH,     /* x * sigmoid(a * x); SiLU where a = 1 */
    MLS__UNARY_MISH,      /* x * tanh(softplus(x)) */
    MLS__UNARY_GELU,      /* x * P(Z < x), Z normal: also written with erf */
    MLS__UNARY_GELU_TANH, /* the approximation of it by tanh */
    MLS__UNARY_SIN,
    MLS__UNARY_COS,
    MLS__UNARY_TAN,
    MLS__UNARY_ASIN,
    MLS__UNARY_ACOS,
    MLS__UNARY_ATAN,
    MLS__UNARY_SINH,
    MLS__UNARY_COSH,
    MLS__UNARY_ASINH,
    MLS__UNARY_ACOSH,
    MLS__UNARY_ATANH,
    MLS__UNARY_COUNT
} mls__unary_op;

/* params: {a, b}. */
typedef void (*mls__unary_fn)(float *y, const float *x, int64_t n, const float *params);

typedef enum mls__binary_op {
    MLS__BINARY_ADD,
    MLS__BINARY_SUB,
    MLS__BINARY_MUL,
    MLS__BINARY_DIV,
    MLS__BINARY_MIN,   /* NaN if either is */
    MLS__BINARY_MAX,   /* NaN if either is */
    MLS__BINARY_PRELU, /* a < 0 ? a * b : a */
    MLS__BINARY_POW,   /* a^b with the special cases of C99's Annex F */
    MLS__BINARY_COUNT
} mls__binary_op;

/* y[i] = f(a[i * a_step], b[i * b_step]); a step is 1, or 0 for a scalar operand. */
typedef void (*mls__binary_fn)(float *y, const float *a, int64_t a_step, const float *b,
                               int64_t b_step, int64_t n);

typedef enum mls__compare_op {
    MLS__COMPARE_EQUAL,
    MLS__COMPARE_LESS,
    MLS__COMPARE_LESS_EQUAL,
    MLS__COMPARE_GREATER,
    MLS__COMPARE_GREATER_EQUAL,
    MLS__COMPARE_COUNT
} mls__compare_op;

/* y[i] = 0 or 1; all are false where an operand is NaN. */
typedef void (*mls__compare_fn)(uint8_t *y, const float *a, int64_t a_step, const float *b,
                                int64_t b_step, int64_t n);

typedef struct mls__elementwise_kernels {
    mls__unary_fn unary[MLS__UNARY_COUNT];
    mls__binary_fn binary[MLS__BINARY_COUNT];
    mls__compare_fn compare[MLS__COMPARE_COUNT];

    /* y[i] = x[i] is NaN. */
    void (*is_nan)(uint8_t *y, const float *x, int64_t n);
    /* y[i] = x[i] is an infinity of a sign asked for. */
    void (*is_inf)(uint8_t *y, const float *x, int64_t n, int positive, int negative);
    /* y[i] = condition ? a : b; a condition is true where the byte is not 0. Steps as above. */
    void (*where)(float *y, const uint8_t *condition, int64_t condition_step, const float *a,
                  int64_t a_step, const float *b, int64_t b_step, int64_t n);

    /* To and from 16-bit floats, to nearest even; NaN as in simd.h. Not in place. */
    void (*f16_to_f32)(float *y, const uint16_t *x, int64_t n);
    void (*f32_to_f16)(uint16_t *y, const float *x, int64_t n);
    void (*bf16_to_f32)(float *y, const uint16_t *x, int64_t n);
    void (*f32_to_bf16)(uint16_t *y, const float *x, int64_t n);
    /* To them and back, in place. */
    void (*f16_round)(float *y, int64_t n);
    void (*bf16_round)(float *y, int64_t n);
} mls__elementwise_kernels;

#endif
