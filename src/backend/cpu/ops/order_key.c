/* SPDX-License-Identifier: Apache-2.0 */
/* Floats are signs and magnitudes: a negative one orders by the complement of its bits. */
#include "backend/cpu/ops/order_key.h"

#include <mlscale/tensor.h>

#include <stddef.h>

#define INTEGER_KEYS(name, T, flip)                                                                \
    static void name(uint64_t *ret_keys, const void *x, int64_t stride, int64_t n)                 \
    {                                                                                              \
        const T *elements = x;                                                                     \
        for (int64_t i = 0; i < n; i++)                                                            \
            ret_keys[i] = (uint64_t) elements[i * stride] ^ (flip);                                \
    }

#define SIGN (UINT64_C(1) << 63)

INTEGER_KEYS(keys_i8, int8_t, SIGN)
INTEGER_KEYS(keys_i16, int16_t, SIGN)
INTEGER_KEYS(keys_i32, int32_t, SIGN)
INTEGER_KEYS(keys_i64, int64_t, SIGN)
INTEGER_KEYS(keys_u8, uint8_t, 0)
INTEGER_KEYS(keys_u16, uint16_t, 0)
INTEGER_KEYS(keys_u32, uint32_t, 0)
INTEGER_KEYS(keys_u64, uint64_t, 0)

/* `infinity` is the bits of the positive one, `sign` the sign bit. */
static inline uint64_t float_key(uint64_t bits, uint64_t sign, uint64_t infinity)
{
    const uint64_t magnitude = bits & (sign - 1);
    if (magnitude > infinity)
        return UINT64_MAX;
    return bits & sign ? sign - magnitude : sign + magnitude;
}

#define FLOAT_KEYS(name, T, sign, infinity)                                                        \
    static void name(uint64_t *ret_keys, const void *x, int64_t stride, int64_t n)                 \
    {                                                                                              \
        const T *bits = x;                                                                         \
        for (int64_t i = 0; i < n; i++)                                                            \
            ret_keys[i] = float_key(bits[i * stride], sign, infinity);                             \
    }

FLOAT_KEYS(keys_f16, uint16_t, 0x8000, 0x7c00)
FLOAT_KEYS(keys_bf16, uint16_t, 0x8000, 0x7f80)
FLOAT_KEYS(keys_f32, uint32_t, 0x80000000, 0x7f800000)
FLOAT_KEYS(keys_f64, uint64_t, SIGN, UINT64_C(0x7ff0000000000000))

mls__order_keys_fn mls__order_keys(int32_t dtype)
{
    static const mls__order_keys_fn table[] = {
        [MLS_INT8] = keys_i8,       [MLS_INT16] = keys_i16,   [MLS_INT32] = keys_i32,
        [MLS_INT64] = keys_i64,     [MLS_UINT8] = keys_u8,    [MLS_UINT16] = keys_u16,
        [MLS_UINT32] = keys_u32,    [MLS_UINT64] = keys_u64,  [MLS_FLOAT16] = keys_f16,
        [MLS_BFLOAT16] = keys_bf16, [MLS_FLOAT32] = keys_f32, [MLS_FLOAT64] = keys_f64,
    };
    const size_t count = sizeof table / sizeof table[0];
    return dtype >= 0 && (size_t) dtype < count ? table[dtype] : NULL;
}
