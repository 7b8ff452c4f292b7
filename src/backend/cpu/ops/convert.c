/* SPDX-License-Identifier: Apache-2.0 */
/* Two small tables of loops, one for reading and one for writing, instead of one for each pair. */
#include "backend/cpu/ops/convert.h"

#include "tensor/dtype.h"

#define DTYPES (MLS_INT2 + 1)

mls__wide_kind mls__wide_kind_of(int32_t dtype)
{
    const mls__dtype_info *info = mls__dtype_info_get(dtype);
    if (info->class == MLS__CLASS_FLOAT || info->class == MLS__CLASS_MINIFLOAT)
        return MLS__WIDE_FLOAT;
    return dtype == MLS_UINT64 ? MLS__WIDE_UINT : MLS__WIDE_INT;
}

/* --- out of range: see the rules in convert.h ------------------------------------------------ */

static inline int32_t int32_of(double x)
{
    return x > -0x1p31 - 1 && x < 0x1p31 ? (int32_t) x : INT32_MIN;
}

static inline int64_t int64_of(double x)
{
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t) x : INT64_MIN;
}

static inline uint64_t uint64_of(double x)
{
    if (!(x >= 0x1p63))
        return (uint64_t) int64_of(x);
    return x < 0x1p64 ? (uint64_t) x : 0;
}

/* A float64 that rounds, to at most 50 bits, as the integer would: the last bit is sticky. */
static inline double odd_double_of(uint64_t magnitude)
{
    if (magnitude >> 53 == 0)
        return (double) magnitude;
    return (double) (magnitude >> 11 | ((magnitude & 0x7ff) != 0)) * 0x1p11;
}

static inline double signed_odd_double_of(int64_t value)
{
    return value < 0 ? -odd_double_of(0 - (uint64_t) value) : odd_double_of((uint64_t) value);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Elements of type T into `member`: `number` is made of x. */
#define WIDEN(name, T, member, number)                                                             \
    static void widen_##name(mls__wide *wide, const void *elements, int64_t n)                     \
    {                                                                                              \
        const T *p = elements;                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T x = p[i];                                                                      \
            wide->member[i] = (number);                                                            \
        }                                                                                          \
    }

WIDEN(bool, uint8_t, i, x != 0)
WIDEN(i8, int8_t, i, x)
WIDEN(i16, int16_t, i, x)
WIDEN(i32, int32_t, i, x)
WIDEN(i64, int64_t, i, x)
WIDEN(u8, uint8_t, i, x)
WIDEN(u16, uint16_t, i, x)
WIDEN(u32, uint32_t, i, x)
WIDEN(u64, uint64_t, u, x)
WIDEN(f32, float, f, (double) x)
WIDEN(f64, double, f, x)
WIDEN(power, uint8_t, f, mls__power_decode(x))

static void widen_format(int32_t dtype, mls__wide *wide, const void *elements, int64_t n)
{
    const mls__float_format *format = mls__float_format_of(dtype);
    const uint8_t *bytes = elements;
    const uint16_t *pairs = elements;
    for (int64_t i = 0; i < n; i++)
        wide->f[i] = mls__float_decode(format, mls__is_half(dtype) ? pairs[i] : bytes[i]);
}

void mls__widen(int32_t dtype, mls__wide *ret_wide, const void *x, int64_t n)
{
    static void (*const loops[DTYPES])(mls__wide *, const void *, int64_t) = {
        [MLS_BOOL] = widen_bool,        [MLS_INT2] = widen_i8,     [MLS_INT4] = widen_i8,
        [MLS_INT8] = widen_i8,          [MLS_INT16] = widen_i16,   [MLS_INT32] = widen_i32,
        [MLS_INT64] = widen_i64,        [MLS_UINT2] = widen_u8,    [MLS_UINT4] = widen_u8,
        [MLS_UINT8] = widen_u8,         [MLS_UINT16] = widen_u16,  [MLS_UINT32] = widen_u32,
        [MLS_UINT64] = widen_u64,       [MLS_FLOAT32] = widen_f32, [MLS_FLOAT64] = widen_f64,
        [MLS_FLOAT8E8M0] = widen_power,
    };
    if (loops[dtype])
        loops[dtype](ret_wide, x, n);
    else
        widen_format(dtype, ret_wide, x, n);
}

/* --- writing --------------------------------------------------------------------------------- */

typedef void (*narrow_fn)(mls__wide_kind kind, const mls__wide *wide, void *y, int64_t n,
                          const mls__cast_rules *rules);

/* Elements of type T: `of_integer` is made of x, an int64 or uint64, `of_float` of a double. */
#define NARROW(name, T, of_integer, of_float)                                                      \
    static void narrow_##name(mls__wide_kind kind, const mls__wide *wide, void *y, int64_t n,      \
                              const mls__cast_rules *rules)                                        \
    {                                                                                              \
        T *out = y;                                                                                \
        (void) rules;                                                                              \
        for (int64_t i = 0; kind == MLS__WIDE_INT && i < n; i++) {                                 \
            const int64_t x = wide->i[i];                                                          \
            out[i] = (T) (of_integer);                                                             \
        }                                                                                          \
        for (int64_t i = 0; kind == MLS__WIDE_UINT && i < n; i++) {                                \
            const uint64_t x = wide->u[i];                                                         \
            out[i] = (T) (of_integer);                                                             \
        }                                                                                          \
        for (int64_t i = 0; kind == MLS__WIDE_FLOAT && i < n; i++) {                               \
            const double x = wide->f[i];                                                           \
            out[i] = (T) (of_float);                                                               \
        }                                                                                          \
    }

/* The low bits, with the sign that the highest of them says. */
static inline int low_bits(uint64_t x, int bits)
{
    const int sign = 1 << (bits - 1);
    return ((int) (x & (uint64_t) (2 * sign - 1)) ^ sign) - sign;
}

NARROW(bool, uint8_t, x != 0, x != 0)
NARROW(i2, int8_t, low_bits((uint64_t) x, 2), low_bits((uint64_t) int32_of(x), 2))
NARROW(i4, int8_t, low_bits((uint64_t) x, 4), low_bits((uint64_t) int32_of(x), 4))
NARROW(i8, int8_t, x, int32_of(x))
NARROW(i16, int16_t, x, int32_of(x))
NARROW(i32, int32_t, x, int32_of(x))
NARROW(i64, int64_t, x, int64_of(x))
NARROW(u2, uint8_t, x & 0x3, int32_of(x) & 0x3)
NARROW(u4, uint8_t, x & 0xf, int32_of(x) & 0xf)
NARROW(u8, uint8_t, x, int32_of(x))
NARROW(u16, uint16_t, x, int32_of(x))
NARROW(u32, uint32_t, x, int64_of(x))
NARROW(u64, uint64_t, x, uint64_of(x))
NARROW(f32, float, x, x)
NARROW(f64, double, x, x)

/* The number at i as a float64 that will be rounded to fewer bits. */
static double to_be_rounded(mls__wide_kind kind, const mls__wide *wide, int64_t i)
{
    if (kind == MLS__WIDE_INT)
        return signed_odd_double_of(wide->i[i]);
    return kind == MLS__WIDE_UINT ? odd_double_of(wide->u[i]) : wide->f[i];
}

static void narrow_power(mls__wide_kind kind, const mls__wide *wide, void *y, int64_t n,
                         const mls__cast_rules *rules)
{
    uint8_t *out = y;
    for (int64_t i = 0; i < n; i++)
        out[i] = mls__power_encode(to_be_rounded(kind, wide, i), rules->rounding, rules->saturate);
}

static void narrow_half(int32_t dtype, mls__wide_kind kind, const mls__wide *wide, void *y,
                        int64_t n)
{
    const mls__float_format *format = mls__float_format_of(dtype);
    uint16_t *out = y;
    for (int64_t i = 0; i < n; i++)
        out[i] = mls__float_encode(format, to_be_rounded(kind, wide, i), false);
}

static void narrow_byte(int32_t dtype, mls__wide_kind kind, const mls__wide *wide, void *y,
                        int64_t n, const mls__cast_rules *rules)
{
    const mls__float_format *format = mls__float_format_of(dtype);
    uint8_t *out = y;
    for (int64_t i = 0; i < n; i++)
        out[i] = (uint8_t) mls__float_encode(format, to_be_rounded(kind, wide, i), rules->saturate);
}

void mls__narrow(int32_t dtype, mls__wide_kind kind, const mls__wide *wide, void *y, int64_t n,
                 const mls__cast_rules *rules)
{
    static const narrow_fn loops[DTYPES] = {
        [MLS_BOOL] = narrow_bool,        [MLS_INT2] = narrow_i2,     [MLS_INT4] = narrow_i4,
        [MLS_INT8] = narrow_i8,          [MLS_INT16] = narrow_i16,   [MLS_INT32] = narrow_i32,
        [MLS_INT64] = narrow_i64,        [MLS_UINT2] = narrow_u2,    [MLS_UINT4] = narrow_u4,
        [MLS_UINT8] = narrow_u8,         [MLS_UINT16] = narrow_u16,  [MLS_UINT32] = narrow_u32,
        [MLS_UINT64] = narrow_u64,       [MLS_FLOAT32] = narrow_f32, [MLS_FLOAT64] = narrow_f64,
        [MLS_FLOAT8E8M0] = narrow_power,
    };
    if (loops[dtype])
        loops[dtype](kind, wide, y, n, rules);
    else if (mls__is_half(dtype))
        narrow_half(dtype, kind, wide, y, n);
    else
        narrow_byte(dtype, kind, wide, y, n, rules);
}

/* --- pairs ----------------------------------------------------------------------------------- */

/* From T to R: `number` is made of x. The same results as by way of the widest type. */
#define DIRECT(name, T, R, number)                                                                 \
    static void direct_##name(void *y, const void *elements, int64_t n)                            \
    {                                                                                              \
        R *out = y;                                                                                \
        const T *p = elements;                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T x = p[i];                                                                      \
            out[i] = (R) (number);                                                                 \
        }                                                                                          \
    }

DIRECT(bool_f32, uint8_t, float, x != 0)
DIRECT(bool_i64, uint8_t, int64_t, x != 0)
DIRECT(u8_f32, uint8_t, float, x)
DIRECT(i32_f32, int32_t, float, x)
DIRECT(i32_i64, int32_t, int64_t, x)
DIRECT(i64_f32, int64_t, float, x)
DIRECT(i64_f64, int64_t, double, x)
DIRECT(i64_i32, int64_t, int32_t, x)
DIRECT(i64_bool, int64_t, uint8_t, x != 0)
DIRECT(f32_f64, float, double, x)
DIRECT(f32_i32, float, int32_t, x >= -0x1p31f && x < 0x1p31f ? (int32_t) x : INT32_MIN)
DIRECT(f32_i64, float, int64_t, x >= -0x1p63f && x < 0x1p63f ? (int64_t) x : INT64_MIN)
DIRECT(f32_bool, float, uint8_t, x != 0.0f)
DIRECT(f64_f32, double, float, x)
DIRECT(f64_i64, double, int64_t, int64_of(x))

mls__direct_cast mls__direct_cast_find(int32_t from, int32_t to)
{
    static const struct {
        int32_t from, to;
        mls__direct_cast cast;
    } pairs[] = {
        {MLS_BOOL, MLS_FLOAT32, direct_bool_f32}, {MLS_BOOL, MLS_INT64, direct_bool_i64},
        {MLS_UINT8, MLS_FLOAT32, direct_u8_f32},  {MLS_INT32, MLS_FLOAT32, direct_i32_f32},
        {MLS_INT32, MLS_INT64, direct_i32_i64},   {MLS_INT64, MLS_FLOAT32, direct_i64_f32},
        {MLS_INT64, MLS_FLOAT64, direct_i64_f64}, {MLS_INT64, MLS_INT32, direct_i64_i32},
        {MLS_INT64, MLS_BOOL, direct_i64_bool},   {MLS_FLOAT32, MLS_FLOAT64, direct_f32_f64},
        {MLS_FLOAT32, MLS_INT32, direct_f32_i32}, {MLS_FLOAT32, MLS_INT64, direct_f32_i64},
        {MLS_FLOAT32, MLS_BOOL, direct_f32_bool}, {MLS_FLOAT64, MLS_FLOAT32, direct_f64_f32},
        {MLS_FLOAT64, MLS_INT64, direct_f64_i64},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].from == from && pairs[i].to == to)
            return pairs[i].cast;
    return NULL;
}
