/* SPDX-License-Identifier: Apache-2.0 */
/* One loop a dtype and op, all made from the expression that the op is. */
#include "backend/cpu/ops/binary_loops.h"

#include "backend/cpu/math/f64.h"

#include "tensor/tensor.h"

#include <math.h>

#define DTYPES (MLS_INT2 + 1)

/* `expression` of u and v, which are of type T, gives an R. */
#define LOOP(name, T, R, expression)                                                               \
    static mls_status name(void *y, const void *a, int64_t a_step, const void *b, int64_t b_step,  \
                           int64_t n)                                                              \
    {                                                                                              \
        R *out = y;                                                                                \
        const T *p = a, *q = b;                                                                    \
        if (a_step && b_step) { /* apart, so that the compiler can make vectors of it */           \
            for (int64_t i = 0; i < n; i++) {                                                      \
                const T u = p[i], v = q[i];                                                        \
                out[i] = (R) (expression);                                                         \
            }                                                                                      \
            return MLS_OK;                                                                         \
        }                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T u = p[i * a_step], v = q[i * b_step];                                          \
            out[i] = (R) (expression);                                                             \
        }                                                                                          \
        return MLS_OK;                                                                             \
    }

#define COMPARE_LOOPS(s, T)                                                                        \
    LOOP(equal_##s, T, uint8_t, u == v)                                                            \
    LOOP(less_##s, T, uint8_t, u < v)                                                              \
    LOOP(less_equal_##s, T, uint8_t, u <= v)                                                       \
    LOOP(greater_##s, T, uint8_t, u > v)                                                           \
    LOOP(greater_equal_##s, T, uint8_t, u >= v)

/* Of integers by v, which is not to be 0. */
#define DIVIDING_LOOP(name, T, expression)                                                         \
    static mls_status name(void *y, const void *a, int64_t a_step, const void *b, int64_t b_step,  \
                           int64_t n)                                                              \
    {                                                                                              \
        T *out = y;                                                                                \
        const T *p = a, *q = b;                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T u = p[i * a_step], v = q[i * b_step];                                          \
            if (v == 0)                                                                            \
                return MLS_ERANGE;                                                                 \
            out[i] = (T) (expression);                                                             \
        }                                                                                          \
        return MLS_OK;                                                                             \
    }

#define BIT_LOOPS(s, T, W)                                                                         \
    LOOP(bits_and_##s, T, T, (W) u &(W) v)                                                         \
    LOOP(bits_or_##s, T, T, (W) u | (W) v)                                                         \
    LOOP(bits_xor_##s, T, T, (W) u ^ (W) v)

/* Sums and products in the unsigned type W, where they wrap around. */
#define INTEGER_LOOPS(s, T, W, quotient)                                                           \
    LOOP(add_##s, T, T, (W) u + (W) v)                                                             \
    LOOP(sub_##s, T, T, (W) u - (W) v)                                                             \
    LOOP(mul_##s, T, T, ((W) u * (W) v))                                                           \
    LOOP(min_##s, T, T, u < v ? u : v)                                                             \
    LOOP(max_##s, T, T, u > v ? u : v)                                                             \
    COMPARE_LOOPS(s, T)                                                                            \
    DIVIDING_LOOP(div_##s, T, quotient)                                                            \
    BIT_LOOPS(s, T, W)

/* The least number divided by -1 is itself: negation in W wraps around too. */
#define SIGNED_LOOPS(s, T, W)                                                                      \
    INTEGER_LOOPS(s, T, W, v == -1 ? (T) ((W) 0 - (W) u) : u / v)                                  \
    DIVIDING_LOOP(fmod_##s, T, v == -1 ? 0 : u % v)                                                \
    DIVIDING_LOOP(mod_##s, T, v == -1 ? 0 : u % v != 0 && (u < 0) != (v < 0) ? u % v + v : u % v)  \
    LOOP(prelu_##s, T, T, u < 0 ? (T) ((W) u * (W) v) : u)
#define UNSIGNED_LOOPS(s, T, W)                                                                    \
    INTEGER_LOOPS(s, T, W, u / v)                                                                  \
    DIVIDING_LOOP(mod_##s, T, u % v)                                                               \
    LOOP(left_##s, T, T, (uint64_t) v < 8 * sizeof(T) ? (W) u << v : 0)                            \
    LOOP(right_##s, T, T, (uint64_t) v < 8 * sizeof(T) ? (W) u >> v : 0)                           \
    LOOP(prelu_##s, T, T, ((void) v, u))

SIGNED_LOOPS(i8, int8_t, uint32_t)
SIGNED_LOOPS(i16, int16_t, uint32_t)
SIGNED_LOOPS(i32, int32_t, uint32_t)
SIGNED_LOOPS(i64, int64_t, uint64_t)
UNSIGNED_LOOPS(u8, uint8_t, uint32_t)
UNSIGNED_LOOPS(u16, uint16_t, uint32_t)
UNSIGNED_LOOPS(u32, uint32_t, uint32_t)
UNSIGNED_LOOPS(u64, uint64_t, uint64_t)

LOOP(add_f64, double, double, u + v)
LOOP(sub_f64, double, double, u - v)
LOOP(mul_f64, double, double, (u * v))
LOOP(div_f64, double, double, u / v)
LOOP(min_f64, double, double, u != u || u < v ? u : v)
LOOP(max_f64, double, double, u != u || u > v ? u : v)
LOOP(prelu_f64, double, double, u < 0.0 ? u * v : u)
LOOP(pow_f64, double, double, mls__f64_pow(u, v))
LOOP(fmod_f64, double, double, fmod(u, v))
LOOP(fmod_f32, float, float, fmodf(u, v))
COMPARE_LOOPS(f64, double)

LOOP(equal_bool, uint8_t, uint8_t, !u == !v)
LOOP(equal_string, mls_string, uint8_t, mls__string_equal(u, v))
LOOP(and_bool, uint8_t, uint8_t, u != 0 && v != 0)
LOOP(or_bool, uint8_t, uint8_t, u != 0 || v != 0)
LOOP(xor_bool, uint8_t, uint8_t, !u != !v)

/* The loops of an op by dtype. */
#define SIGNED_ROW(op)                                                                             \
    [MLS_INT8] = op##_i8, [MLS_INT16] = op##_i16, [MLS_INT32] = op##_i32, [MLS_INT64] = op##_i64
#define UNSIGNED_ROW(op)                                                                           \
    [MLS_UINT8] = op##_u8, [MLS_UINT16] = op##_u16, [MLS_UINT32] = op##_u32, [MLS_UINT64] = op##_u64
#define INTEGER_ROW(op) SIGNED_ROW(op), UNSIGNED_ROW(op)
#define NUMBER_ROW(op)  INTEGER_ROW(op), [MLS_FLOAT64] = op##_f64

static const mls__loop2 binary_loops[MLS__BINARY_COUNT][DTYPES] = {
    [MLS__BINARY_ADD] = {NUMBER_ROW(add)},     [MLS__BINARY_SUB] = {NUMBER_ROW(sub)},
    [MLS__BINARY_MUL] = {NUMBER_ROW(mul)},     [MLS__BINARY_DIV] = {NUMBER_ROW(div)},
    [MLS__BINARY_MIN] = {NUMBER_ROW(min)},     [MLS__BINARY_MAX] = {NUMBER_ROW(max)},
    [MLS__BINARY_PRELU] = {NUMBER_ROW(prelu)}, [MLS__BINARY_POW] = {[MLS_FLOAT64] = pow_f64},
};

static const mls__loop2 compare_loops[MLS__COMPARE_COUNT][DTYPES] = {
    [MLS__COMPARE_EQUAL] =
        {NUMBER_ROW(equal), [MLS_BOOL] = equal_bool, [MLS_STRING] = equal_string},
    [MLS__COMPARE_LESS] = {NUMBER_ROW(less)},
    [MLS__COMPARE_LESS_EQUAL] = {NUMBER_ROW(less_equal)},
    [MLS__COMPARE_GREATER] = {NUMBER_ROW(greater)},
    [MLS__COMPARE_GREATER_EQUAL] = {NUMBER_ROW(greater_equal)},
};

mls__loop2 mls__binary_loop(mls__binary_op op, int32_t dtype)
{
    return dtype > 0 && dtype < DTYPES ? binary_loops[op][dtype] : NULL;
}

mls__loop2 mls__compare_loop(mls__compare_op op, int32_t dtype)
{
    return dtype > 0 && dtype < DTYPES ? compare_loops[op][dtype] : NULL;
}

/* 16-bit floats are float32 by the time they come here. */
static const mls__loop2 bits_loops[MLS__BITS_COUNT][DTYPES] = {
    [MLS__BITS_MOD] = {INTEGER_ROW(mod)},
    [MLS__BITS_FMOD] = {SIGNED_ROW(fmod),
                        UNSIGNED_ROW(mod), [MLS_FLOAT16] = fmod_f32, [MLS_BFLOAT16] = fmod_f32,
                        [MLS_FLOAT32] = fmod_f32, [MLS_FLOAT64] = fmod_f64},
    [MLS__BITS_LEFT] = {UNSIGNED_ROW(left)},
    [MLS__BITS_RIGHT] = {UNSIGNED_ROW(right)},
    [MLS__BITS_AND] = {INTEGER_ROW(bits_and)},
    [MLS__BITS_OR] = {INTEGER_ROW(bits_or)},
    [MLS__BITS_XOR] = {INTEGER_ROW(bits_xor)},
};

mls__loop2 mls__bits_loop(mls__bits_op op, int32_t dtype)
{
    return dtype > 0 && dtype < DTYPES ? bits_loops[op][dtype] : NULL;
}

mls__loop2 mls__logic_loop(mls__logic_op op)
{
    static const mls__loop2 loops[] = {
        [MLS__LOGIC_AND] = and_bool, [MLS__LOGIC_OR] = or_bool, [MLS__LOGIC_XOR] = xor_bool};
    return loops[op];
}
