/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the runs that elementwise.h declares. */
#include "backend/cpu/kernels/elementwise.h"

#include "backend/cpu/kernels/unary_ops.h"
#include "backend/cpu/math/f64_inline.h"
#include "backend/cpu/simd/simd.h"
#include "backend/cpu/simd/trig.h"

#include <math.h>

extern const mls__elementwise_kernels MLS_ISA_NAME(elementwise);

/* --- unary ----------------------------------------------------------------------------------- */

typedef mls_vf (*unary_op)(mls_vf x, mls_vf a, mls_vf b);

/* `op` is a constant in every caller, so that it is inlined. */
MLS_SIMD_FN void run_unary(unary_op op, float *y, const float *x, int64_t n, const float *params)
{
    const mls_vf a = vf_set1(params != NULL ? params[0] : 0.0f);
    const mls_vf b = vf_set1(params != NULL ? params[1] : 0.0f);
    int64_t i = 0;
    for (; i + MLS_LANES <= n; i += MLS_LANES)
        vf_store(y + i, op(vf_load(x + i), a, b));
    if (i < n) {
        const int rest = (int) (n - i);
        vf_store_n(y + i, op(vf_load_n(x + i, rest), a, b), rest);
    }
}

/* The run of op_NAME, as a function for the table. */
#define UNARY_RUN(name)                                                                            \
    static void unary_##name(float *y, const float *x, int64_t n, const float *params)             \
    {                                                                                              \
        run_unary(op_##name, y, x, n, params);                                                     \
    }

UNARY_RUN(neg)
UNARY_RUN(abs)
UNARY_RUN(sqrt)
UNARY_RUN(reciprocal)
UNARY_RUN(floor)
UNARY_RUN(ceil)
UNARY_RUN(round)
UNARY_RUN(sign)
UNARY_RUN(relu)
UNARY_RUN(leaky_relu)
UNARY_RUN(thresholded_relu)
UNARY_RUN(clip)
UNARY_RUN(hard_sigmoid)
UNARY_RUN(hard_swish)
UNARY_RUN(shrink)
UNARY_RUN(softsign)
UNARY_RUN(exp)
UNARY_RUN(log)
UNARY_RUN(tanh)
UNARY_RUN(sigmoid)
UNARY_RUN(erf)
UNARY_RUN(elu)
UNARY_RUN(selu)
UNARY_RUN(celu)
UNARY_RUN(softplus)
UNARY_RUN(swish)
UNARY_RUN(mish)
UNARY_RUN(gelu)
UNARY_RUN(gelu_tanh)

/* --- circular and hyperbolic functions ------------------------------------------------------- */

typedef mls_vf (*plain_op)(mls_vf x);

MLS_SIMD_FN void run_plain(plain_op op, float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_n(y + i, op(vf_load_n(x + i, lanes)), lanes);
    }
}

/* The run of vf_NAME. */
#define PLAIN_RUN(name)                                                                            \
    static void unary_##name(float *y, const float *x, int64_t n, const float *params)             \
    {                                                                                              \
        (void) params;                                                                             \
        run_plain(vf_##name, y, x, n);                                                             \
    }

PLAIN_RUN(sin)
PLAIN_RUN(cos)
PLAIN_RUN(tan)
PLAIN_RUN(asin)
PLAIN_RUN(acos)
PLAIN_RUN(atan)
PLAIN_RUN(sinh)
PLAIN_RUN(cosh)

/* In double precision: models that have these at all have few of them. */
#define DOUBLE_RUN(name)                                                                           \
    static void unary_##name(float *y, const float *x, int64_t n, const float *params)             \
    {                                                                                              \
        (void) params;                                                                             \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = (float) f64_##name((double) x[i]);                                              \
    }

DOUBLE_RUN(asinh)
DOUBLE_RUN(acosh)
DOUBLE_RUN(atanh)

/* --- binary ---------------------------------------------------------------------------------- */

typedef mls_vf (*binary_op)(mls_vf a, mls_vf b);

MLS_SIMD_FN mls_vf op_prelu(mls_vf a, mls_vf b)
{
    return vf_select(vf_lt(a, vf_zero()), vf_mul(a, b), a);
}

/* x^0.5, which differs from the square root for -0 and -inf. */
MLS_SIMD_FN mls_vf op_square_root(mls_vf x, mls_vf a, mls_vf b)
{
    (void) a, (void) b;
    const mls_vf infinity = vf_set1(INFINITY);
    const mls_vf root = vf_sqrt(vf_add(x, vf_zero()));
    return vf_select(vf_eq(x, vf_neg(infinity)), infinity, root);
}

/*
 * With constant steps (0 or 1) the loop has no branch, and a scalar operand is loaded once, before
 * y, which may be the same memory, is written.
 */
MLS_SIMD_FN void run_binary_steps(binary_op op, float *y, const float *a, int a_step,
                                  const float *b, int b_step, int64_t n)
{
    const mls_vf a0 = vf_set1(*a);
    const mls_vf b0 = vf_set1(*b);
    int64_t i = 0;
    for (; i + MLS_LANES <= n; i += MLS_LANES)
        vf_store(y + i, op(a_step ? vf_load(a + i) : a0, b_step ? vf_load(b + i) : b0));
    if (i < n) {
        const int rest = (int) (n - i);
        const mls_vf a_rest = a_step ? vf_load_n(a + i, rest) : a0;
        const mls_vf b_rest = b_step ? vf_load_n(b + i, rest) : b0;
        vf_store_n(y + i, op(a_rest, b_rest), rest);
    }
}

MLS_SIMD_FN void run_binary(binary_op op, float *y, const float *a, int64_t a_step, const float *b,
                            int64_t b_step, int64_t n)
{
    if (n <= 0)
        return;
    if (a_step && b_step)
        run_binary_steps(op, y, a, 1, b, 1, n);
    else if (a_step)
        run_binary_steps(op, y, a, 1, b, 0, n);
    else if (b_step)
        run_binary_steps(op, y, a, 0, b, 1, n);
    else
        run_binary_steps(op, y, a, 0, b, 0, n);
}

/* The run of OP, as a function for the table. */
#define BINARY_RUN(name, op)                                                                       \
    static void binary_##name(float *y, const float *a, int64_t a_step, const float *b,            \
                              int64_t b_step, int64_t n)                                           \
    {                                                                                              \
        run_binary(op, y, a, a_step, b, b_step, n);                                                \
    }

BINARY_RUN(add, vf_add)
BINARY_RUN(sub, vf_sub)
BINARY_RUN(mul, vf_mul)
BINARY_RUN(div, vf_div)
BINARY_RUN(min, vf_min_nan)
BINARY_RUN(max, vf_max_nan)
BINARY_RUN(prelu, op_prelu)

/* The powers that are other ops too; f64_pow gives the same bits for them, only later. */
static bool pow_shortcut(float *y, const float *x, float exponent, int64_t n)
{
    if (exponent == 2.0f)
        binary_mul(y, x, 1, x, 1, n);
    else if (exponent == -1.0f)
        unary_reciprocal(y, x, n, NULL);
    else if (exponent == 0.5f)
        run_unary(op_square_root, y, x, n, NULL);
    else
        return false;
    return true;
}

/* In double precision, where rounding to float32 after it costs next to no accuracy. */
static void binary_pow(float *y, const float *a, int64_t a_step, const float *b, int64_t b_step,
                       int64_t n)
{
    if (n <= 0)
        return;
    const float exponent = *b;
    if (a_step == 1 && b_step == 0 && pow_shortcut(y, a, exponent, n))
        return;
    const float base = *a;
    for (int64_t i = 0; i < n; i++) {
        const float x = a_step ? a[i] : base;
        y[i] = (float) f64_pow((double) x, (double) (b_step ? b[i] : exponent));
    }
}

/* --- comparisons and selection --------------------------------------------------------------- */

typedef mls_vm (*compare_op)(mls_vf a, mls_vf b);

MLS_SIMD_FN void run_compare_steps(compare_op op, uint8_t *y, const float *a, int a_step,
                                   const float *b, int b_step, int64_t n)
{
    const mls_vf a0 = vf_set1(*a);
    const mls_vf b0 = vf_set1(*b);
    int64_t i = 0;
    for (; i + MLS_LANES <= n; i += MLS_LANES)
        vm_store_bool(y + i, op(a_step ? vf_load(a + i) : a0, b_step ? vf_load(b + i) : b0));
    if (i < n) {
        const int rest = (int) (n - i);
        const mls_vf a_rest = a_step ? vf_load_n(a + i, rest) : a0;
        const mls_vf b_rest = b_step ? vf_load_n(b + i, rest) : b0;
        vm_store_bool_n(y + i, op(a_rest, b_rest), rest);
    }
}

MLS_SIMD_FN void run_compare(compare_op op, uint8_t *y, const float *a, int64_t a_step,
                             const float *b, int64_t b_step, int64_t n)
{
    if (n <= 0)
        return;
    if (a_step && b_step)
        run_compare_steps(op, y, a, 1, b, 1, n);
    else if (a_step)
        run_compare_steps(op, y, a, 1, b, 0, n);
    else if (b_step)
        run_compare_steps(op, y, a, 0, b, 1, n);
    else
        run_compare_steps(op, y, a, 0, b, 0, n);
}

#define COMPARE_RUN(name, op)                                                                      \
    static void compare_##name(uint8_t *y, const float *a, int64_t a_step, const float *b,         \
                               int64_t b_step, int64_t n)                                          \
    {                                                                                              \
        run_compare(op, y, a, a_step, b, b_step, n);                                               \
    }

COMPARE_RUN(equal, vf_eq)
COMPARE_RUN(less, vf_lt)
COMPARE_RUN(less_equal, vf_le)
COMPARE_RUN(greater, vf_gt)
COMPARE_RUN(greater_equal, vf_ge)

static void is_nan(uint8_t *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vm_store_bool_n(y + i, vf_isnan(vf_load_n(x + i, lanes)), lanes);
    }
}

static void is_inf(uint8_t *y, const float *x, int64_t n, int positive, int negative)
{
    /* A NaN equals nothing: it stands for an infinity that was not asked for. */
    const mls_vf above = vf_set1(positive ? INFINITY : NAN);
    const mls_vf below = vf_set1(negative ? -INFINITY : NAN);
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        const mls_vf v = vf_load_n(x + i, lanes);
        vm_store_bool_n(y + i, vm_or(vf_eq(v, above), vf_eq(v, below)), lanes);
    }
}

static void where(float *y, const uint8_t *condition, int64_t condition_step, const float *a,
                  int64_t a_step, const float *b, int64_t b_step, int64_t n)
{
    if (n <= 0)
        return;
    const mls_vm c0 = vm_first(*condition ? MLS_LANES : 0);
    const mls_vf a0 = vf_set1(*a);
    const mls_vf b0 = vf_set1(*b);
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        const mls_vm c = condition_step ? vm_load_bool_n(condition + i, lanes) : c0;
        const mls_vf x = a_step ? vf_load_n(a + i, lanes) : a0;
        vf_store_n(y + i, vf_select(c, x, b_step ? vf_load_n(b + i, lanes) : b0), lanes);
    }
}

/* --- 16-bit floats --------------------------------------------------------------------------- */

/* Whole images go through here: so many elements a step that the loop itself takes no time. */
enum { HALVES = 4 * MLS_LANES };

static void f16_to_f32(float *y, const uint16_t *x, int64_t n)
{
    int64_t i = 0;
    for (; i + HALVES <= n; i += HALVES) {
        MLS_UNROLL
        for (int k = 0; k < HALVES; k += MLS_LANES)
            vf_store(y + i + k, vf_load_f16(x + i + k));
    }
    for (; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_n(y + i, vf_load_f16_n(x + i, lanes), lanes);
    }
}

static void f32_to_f16(uint16_t *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + HALVES <= n; i += HALVES) {
        MLS_UNROLL
        for (int k = 0; k < HALVES; k += MLS_LANES)
            vf_store_f16(y + i + k, vf_load(x + i + k));
    }
    for (; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_f16_n(y + i, vf_load_n(x + i, lanes), lanes);
    }
}

static void bf16_to_f32(float *y, const uint16_t *x, int64_t n)
{
    int64_t i = 0;
    for (; i + HALVES <= n; i += HALVES) {
        MLS_UNROLL
        for (int k = 0; k < HALVES; k += MLS_LANES)
            vf_store(y + i + k, vf_load_bf16(x + i + k));
    }
    for (; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_n(y + i, vf_load_bf16_n(x + i, lanes), lanes);
    }
}

static void f32_to_bf16(uint16_t *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + HALVES <= n; i += HALVES) {
        MLS_UNROLL
        for (int k = 0; k < HALVES; k += MLS_LANES)
            vf_store_bf16(y + i + k, vf_load(x + i + k));
    }
    for (; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_bf16_n(y + i, vf_load_n(x + i, lanes), lanes);
    }
}

typedef mls_vf (*round_op)(mls_vf x);

/* `op` is a constant in every caller, so that it is inlined. */
MLS_SIMD_FN void run_round(round_op op, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + HALVES <= n; i += HALVES) {
        MLS_UNROLL
        for (int k = 0; k < HALVES; k += MLS_LANES)
            vf_store(y + i + k, op(vf_load(y + i + k)));
    }
    for (; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_n(y + i, op(vf_load_n(y + i, lanes)), lanes);
    }
}

static void f16_round(float *y, int64_t n)
{
    run_round(vf_through_f16, y, n);
}

static void bf16_round(float *y, int64_t n)
{
    run_round(vf_through_bf16, y, n);
}

const mls__elementwise_kernels MLS_ISA_NAME(elementwise) = {
    .unary =
        {
            [MLS__UNARY_NEG] = unary_neg,
            [MLS__UNARY_ABS] = unary_abs,
            [MLS__UNARY_SQRT] = unary_sqrt,
            [MLS__UNARY_RECIPROCAL] = unary_reciprocal,
            [MLS__UNARY_FLOOR] = unary_floor,
            [MLS__UNARY_CEIL] = unary_ceil,
            [MLS__UNARY_ROUND] = unary_round,
            [MLS__UNARY_SIGN] = unary_sign,
            [MLS__UNARY_RELU] = unary_relu,
            [MLS__UNARY_LEAKY_RELU] = unary_leaky_relu,
            [MLS__UNARY_THRESHOLDED_RELU] = unary_thresholded_relu,
            [MLS__UNARY_CLIP] = unary_clip,
            [MLS__UNARY_HARD_SIGMOID] = unary_hard_sigmoid,
            [MLS__UNARY_HARD_SWISH] = unary_hard_swish,
            [MLS__UNARY_SHRINK] = unary_shrink,
            [MLS__UNARY_SOFTSIGN] = unary_softsign,
            [MLS__UNARY_EXP] = unary_exp,
            [MLS__UNARY_LOG] = unary_log,
            [MLS__UNARY_TANH] = unary_tanh,
            [MLS__UNARY_SIGMOID] = unary_sigmoid,
            [MLS__UNARY_ERF] = unary_erf,
            [MLS__UNARY_ELU] = unary_elu,
            [MLS__UNARY_SELU] = unary_selu,
            [MLS__UNARY_CELU] = unary_celu,
            [MLS__UNARY_SOFTPLUS] = unary_softplus,
            [MLS__UNARY_SWISH] = unary_swish,
            [MLS__UNARY_MISH] = unary_mish,
            [MLS__UNARY_GELU] = unary_gelu,
            [MLS__UNARY_GELU_TANH] = unary_gelu_tanh,
            [MLS__UNARY_SIN] = unary_sin,
            [MLS__UNARY_COS] = unary_cos,
            [MLS__UNARY_TAN] = unary_tan,
            [MLS__UNARY_ASIN] = unary_asin,
            [MLS__UNARY_ACOS] = unary_acos,
            [MLS__UNARY_ATAN] = unary_atan,
            [MLS__UNARY_SINH] = unary_sinh,
            [MLS__UNARY_COSH] = unary_cosh,
            [MLS__UNARY_ASINH] = unary_asinh,
            [MLS__UNARY_ACOSH] = unary_acosh,
            [MLS__UNARY_ATANH] = unary_atanh,
        },
    .binary =
        {
            [MLS__BINARY_ADD] = binary_add,
            [MLS__BINARY_SUB] = binary_sub,
            [MLS__BINARY_MUL] = binary_mul,
            [MLS__BINARY_DIV] = binary_div,
            [MLS__BINARY_MIN] = binary_min,
            [MLS__BINARY_MAX] = binary_max,
            [MLS__BINARY_PRELU] = binary_prelu,
            [MLS__BINARY_POW] = binary_pow,
        },
    .compare =
        {
            [MLS__COMPARE_EQUAL] = compare_equal,
            [MLS__COMPARE_LESS] = compare_less,
            [MLS__COMPARE_LESS_EQUAL] = compare_less_equal,
            [MLS__COMPARE_GREATER] = compare_greater,
            [MLS__COMPARE_GREATER_EQUAL] = compare_greater_equal,
        },
    .is_nan = is_nan,
    .is_inf = is_inf,
    .where = where,
    .f16_to_f32 = f16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_bf16 = f32_to_bf16,
    .f16_round = f16_round,
    .bf16_round = bf16_round,
};
