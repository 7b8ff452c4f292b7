/* SPDX-License-Identifier: Apache-2.0 */
/* All in integers: the formats differ in the widths of two fields and in what is special. */
#include "tensor/float_format.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define DOUBLE_FRACTION 52
#define DOUBLE_BIAS     1023

static const mls__float_format formats[] = {
    [MLS_FLOAT16] = {5, 10, 15, 0x8000, 0x7bff, 0x7c00, 0x7e00, true},
    [MLS_BFLOAT16] = {8, 7, 127, 0x8000, 0x7f7f, 0x7f80, 0x7fc0, true},
    [MLS_FLOAT8E4M3FN] = {4, 3, 7, 0x80, 0x7e, 0x7f, 0x7f, true},
    [MLS_FLOAT8E4M3FNUZ] = {4, 3, 8, 0x80, 0x7f, 0x80, 0x80, false},
    [MLS_FLOAT8E5M2] = {5, 2, 15, 0x80, 0x7b, 0x7c, 0x7e, true},
    [MLS_FLOAT8E5M2FNUZ] = {5, 2, 16, 0x80, 0x7f, 0x80, 0x80, false},
    /* It has no NaN; ONNX's reference makes it a negative zero. */
    [MLS_FLOAT4E2M1] = {2, 1, 1, 0x8, 0x7, 0x7, 0x8, true},
};

const mls__float_format *mls__float_format_of(int32_t dtype)
{
    if (dtype < 0 || (size_t) dtype >= sizeof formats / sizeof formats[0] || !formats[dtype].sign)
        return NULL;
    return &formats[dtype];
}

/* 2^exponent of a normal float64. */
static double power_of_two(int exponent)
{
    const uint64_t bits = (uint64_t) (exponent + DOUBLE_BIAS) << DOUBLE_FRACTION;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

static double decode_special(const mls__float_format *format, uint16_t magnitude)
{
    if (magnitude == format->overflow && format->overflow != format->nan)
        return (double) INFINITY;
    return (double) NAN;
}

double mls__float_decode(const mls__float_format *format, uint16_t bits)
{
    const uint16_t magnitude = (uint16_t) (bits & (format->sign - 1));
    const int exponent = magnitude >> format->fraction_bits;
    const int fraction = magnitude & ((1 << format->fraction_bits) - 1);
    const int lowest = 1 - format->bias - format->fraction_bits; /* of the last place */
    double value;
    if (!format->signed_zero && bits == format->nan)
        return (double) NAN;
    if (magnitude > format->largest)
        value = decode_special(format, magnitude);
    else if (exponent == 0)
        value = fraction * power_of_two(lowest);
    else
        value = (fraction | 1 << format->fraction_bits) * power_of_two(lowest + exponent - 1);
    return bits & format->sign ? -value : value;
}

/* value >> shift, to nearest, ties to even; 0 < shift. */
static uint64_t shift_to_nearest(uint64_t value, int shift)
{
    if (shift > 63)
        return 0;
    const uint64_t rest = value & ((UINT64_C(1) << shift) - 1);
    const uint64_t half = UINT64_C(1) << (shift - 1);
    const uint64_t down = value >> shift;
    return down + (rest > half || (rest == half && (down & 1)));
}

/* The magnitude of a finite number. The carry of a rounding goes on into the exponent. */
static uint64_t encode_finite(const mls__float_format *format, uint64_t exponent, uint64_t fraction)
{
    if (exponent == 0) /* of float64: below half of any format's least number */
        return 0;
    const uint64_t significand = fraction | UINT64_C(1) << DOUBLE_FRACTION;
    int above = (int) exponent - DOUBLE_BIAS - (1 - format->bias); /* the least normal one's */
    int shift = DOUBLE_FRACTION - format->fraction_bits;
    if (above < 0) {
        shift -= above;
        above = 0;
    }
    return shift_to_nearest(significand, shift) + ((uint64_t) above << format->fraction_bits);
}

uint16_t mls__float_encode(const mls__float_format *format, double value, bool saturate)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = bits >> 63 ? format->sign : 0;
    const uint64_t exponent = bits >> DOUBLE_FRACTION & 0x7ff;
    const uint64_t fraction = bits & ((UINT64_C(1) << DOUBLE_FRACTION) - 1);
    uint64_t magnitude;
    if (value != value)
        return format->nan | sign;
    magnitude = exponent == 0x7ff ? UINT64_MAX : encode_finite(format, exponent, fraction);
    if (magnitude > format->largest)
        magnitude = saturate ? format->largest : format->overflow;
    if (magnitude == 0 && !format->signed_zero)
        return 0;
    return (uint16_t) (magnitude | sign);
}

#define POWER_NAN     0xff
#define POWER_LARGEST 0xfe
#define POWER_BIAS    127

double mls__power_decode(uint8_t bits)
{
    return bits == POWER_NAN ? (double) NAN : power_of_two(bits - POWER_BIAS);
}

static bool rounds_up(uint64_t fraction, mls__power_rounding rounding)
{
    if (rounding == MLS__POWER_NEAREST)
        return fraction >> (DOUBLE_FRACTION - 1);
    return rounding == MLS__POWER_UP && fraction;
}

uint8_t mls__power_encode(double value, mls__power_rounding rounding, bool saturate)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int exponent = (int) (bits >> DOUBLE_FRACTION & 0x7ff);
    const uint64_t fraction = bits & ((UINT64_C(1) << DOUBLE_FRACTION) - 1);
    if (value != value)
        return POWER_NAN;
    if (exponent - DOUBLE_BIAS < -POWER_BIAS)
        return saturate ? 0 : POWER_NAN;
    const int power = exponent - DOUBLE_BIAS + POWER_BIAS + rounds_up(fraction, rounding);
    if (power > POWER_LARGEST)
        return saturate ? POWER_LARGEST : POWER_NAN;
    return (uint8_t) power;
}
