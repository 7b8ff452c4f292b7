/* SPDX-License-Identifier: Apache-2.0 */
/* See op_values.h. Slow and plain. */
#include "cpu/op_values.h"

#include <check.h>
#include <math.h>
#include <string.h>

/* 16-bit floats: sign, exponent, `fraction_bits`. */
typedef struct half_format {
    int exponent_bits, fraction_bits;
} half_format;

static half_format format_of(mls_dtype dtype)
{
    return dtype == MLS_FLOAT16 ? (half_format){5, 10} : (half_format){8, 7};
}

bool op_is_float(mls_dtype dtype)
{
    return dtype == MLS_FLOAT16 || dtype == MLS_BFLOAT16 || dtype == MLS_FLOAT32 ||
           dtype == MLS_FLOAT64;
}

bool op_is_signed(mls_dtype dtype)
{
    return dtype == MLS_INT8 || dtype == MLS_INT16 || dtype == MLS_INT32 || dtype == MLS_INT64;
}

static double decode_half(half_format format, uint16_t bits)
{
    const int all_ones = (1 << format.exponent_bits) - 1;
    const int exponent = bits >> format.fraction_bits & all_ones;
    const int fraction = bits & ((1 << format.fraction_bits) - 1);
    const int bias = all_ones >> 1;
    const double part = ldexp(fraction, -format.fraction_bits);
    double value = exponent ? ldexp(1 + part, exponent - bias) : ldexp(part, 1 - bias);
    if (exponent == all_ones)
        value = fraction ? (double) NAN : (double) INFINITY;
    return bits >> 15 ? -value : value;
}

static uint16_t encode_half(half_format format, double value)
{
    const int all_ones = (1 << format.exponent_bits) - 1;
    const int bias = all_ones >> 1;
    const unsigned sign = signbit(value) ? 0x8000u : 0u;
    const unsigned infinite = (unsigned) all_ones << format.fraction_bits;
    int exponent;
    if (isnan(value))
        return (uint16_t) (sign | infinite | 1u << (format.fraction_bits - 1));
    if (isinf(value))
        return (uint16_t) (sign | infinite);
    frexp(value, &exponent); /* value is in [2^(exponent-1), 2^exponent) */
    if (value == 0 || exponent - 1 < 1 - bias)
        exponent = 2 - bias;
    /* A multiple of the last place; a carry goes on into the exponent by itself. */
    const double units = rint(ldexp(fabs(value), format.fraction_bits - (exponent - 1)));
    const int64_t hidden = (int64_t) (exponent - 2 + bias) << format.fraction_bits;
    const int64_t bits = (int64_t) units + hidden;
    return (uint16_t) (sign | (bits > infinite ? infinite : (unsigned) bits));
}

double op_float(mls_dtype dtype, const void *data, int64_t i)
{
    if (dtype == MLS_FLOAT64)
        return ((const double *) data)[i];
    if (dtype == MLS_FLOAT32)
        return (double) ((const float *) data)[i];
    if (!op_is_float(dtype))
        ck_abort_msg("no float dtype: %s", mls_dtype_name(dtype));
    return decode_half(format_of(dtype), ((const uint16_t *) data)[i]);
}

void op_float_set(mls_dtype dtype, void *data, int64_t i, double value)
{
    if (dtype == MLS_FLOAT64)
        ((double *) data)[i] = value;
    else if (dtype == MLS_FLOAT32)
        ((float *) data)[i] = (float) value;
    else
        ((uint16_t *) data)[i] = encode_half(format_of(dtype), value);
}

int64_t op_integer(mls_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case MLS_INT2:
    case MLS_INT4:
    case MLS_INT8:
        return ((const int8_t *) data)[i];
    case MLS_INT16:
        return ((const int16_t *) data)[i];
    case MLS_INT32:
        return ((const int32_t *) data)[i];
    case MLS_INT64:
        return ((const int64_t *) data)[i];
    case MLS_BOOL:
    case MLS_UINT2:
    case MLS_UINT4:
    case MLS_UINT8:
        return ((const uint8_t *) data)[i];
    case MLS_UINT16:
        return ((const uint16_t *) data)[i];
    case MLS_UINT32:
        return ((const uint32_t *) data)[i];
    case MLS_UINT64:
        return (int64_t) ((const uint64_t *) data)[i];
    default:
        ck_abort_msg("no integer dtype: %s", mls_dtype_name(dtype));
    }
}

void op_integer_set(mls_dtype dtype, void *data, int64_t i, int64_t value)
{
    const size_t size = mls_dtype_size(dtype);
    const uint8_t low8 = (uint8_t) value;
    const uint16_t low16 = (uint16_t) value;
    const uint32_t low32 = (uint32_t) value;
    const void *bits = size == 1   ? (const void *) &low8
                       : size == 2 ? (const void *) &low16
                       : size == 4 ? (const void *) &low32
                                   : (const void *) &value;
    memcpy((char *) data + (size_t) i * size, bits, size);
}

uint64_t op_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const uint64_t mixed = (*seed >> 33) ^ *seed;
    return mixed * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static double special_float(mls_dtype dtype, uint64_t which)
{
    const double values[] = {0.0,     -0.0,   1.0,     -1.0,     INFINITY, -(double) INFINITY,
                             NAN,     65504,  -65504,  6e-8,     -1e-40,   0.5,
                             1.0 / 3, 2.5,    -3.5,    3.38e38,  -3.38e38, 1e-5,
                             2049,    5e-324, 1.7e308, -4.0 / 3, 88.7,     -103.9};
    const double value = values[which % (sizeof values / sizeof values[0])];
    return dtype == MLS_FLOAT64 || fabs(value) < 1e39 || !isfinite(value) ? value : 7.0;
}

static int64_t special_integer(mls_dtype dtype, uint64_t which)
{
    const uint64_t high = UINT64_C(1) << (8 * mls_dtype_size(dtype) - 1);
    const uint64_t values[] = {0, 1, UINT64_MAX,      high, high - 1, high + 1, 2, 0 - UINT64_C(2),
                               3, 7, 0 - UINT64_C(7), 100};
    return (int64_t) values[which % (sizeof values / sizeof values[0])];
}

void op_fill(mls_dtype dtype, void *data, int64_t count, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        const uint64_t random = op_random(&seed);
        const bool special = random % 3 == 0;
        const int64_t whole = (int64_t) (random >> 8 & 0xffff) - 0x8000;
        if (dtype == MLS_BOOL)
            ((uint8_t *) data)[i] = random >> 5 & 1;
        else if (op_is_float(dtype))
            op_float_set(dtype, data, i,
                         special ? special_float(dtype, random >> 8) : (double) whole / 1024);
        else
            op_integer_set(dtype, data, i,
                           special ? special_integer(dtype, random >> 8)
                                   : (int64_t) (op_random(&seed) >> (random >> 20 & 31)));
    }
}

int64_t op_broadcast_index(int64_t index, int rank, const int64_t *dims, int input_rank,
                           const int64_t *input_dims)
{
    int64_t position = 0, stride = 1;
    for (int d = rank - 1; d >= rank - input_rank; d--) {
        const int64_t dim = input_dims[d - (rank - input_rank)];
        position += dim == 1 ? 0 : index % dims[d] * stride;
        stride *= dim;
        index /= dims[d];
    }
    return position;
}
