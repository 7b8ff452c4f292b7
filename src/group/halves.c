/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In integers, so that neither the processor's treatment of denormals nor its instructions
 * decide a bit. A float16's bits, moved to where a float32 has them, are its value times
 * 2^-112.
 */
#include "group/halves.h"

#include <string.h>

static float as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t as_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A denormal's leading bit goes to where the implicit one is. */
static uint32_t widen_denormal(uint32_t fraction)
{
    if (!fraction)
        return 0;
    const uint32_t shift = (uint32_t) __builtin_clz(fraction) - 21;
    return (UINT32_C(113) - shift) << 23 | (fraction << shift & 0x3ff) << 13;
}

static float from_float16(uint16_t half)
{
    const uint32_t sign = (uint32_t) (half & 0x8000) << 16;
    const uint32_t magnitude = half & 0x7fff;
    if (magnitude < 0x0400)
        return as_float(sign | widen_denormal(magnitude));
    if (magnitude >= 0x7c00)
        return as_float(sign | UINT32_C(0x7f800000) | (magnitude & 0x3ff) << 13);
    return as_float(sign | ((magnitude << 13) + (UINT32_C(112) << 23)));
}

/* `value` >> `shift`, to nearest, ties to even. */
static uint32_t shift_round(uint32_t value, uint32_t shift)
{
    const uint32_t half = UINT32_C(1) << (shift - 1);
    return (value + half - 1 + (value >> shift & 1)) >> shift;
}

static uint16_t to_float16(float value)
{
    const uint32_t bits = as_bits(value);
    const uint32_t magnitude = bits & 0x7fffffff;
    const uint16_t sign = (uint16_t) (bits >> 16 & 0x8000);
    if (magnitude > 0x7f800000)
        return sign | 0x7e00;
    if (magnitude >= 0x47800000) /* 2^16 */
        return sign | 0x7c00;
    if (magnitude >= 0x38800000) /* 2^-14; what rounds up to 2^16 becomes infinity by itself */
        return (uint16_t) (sign | shift_round(magnitude - (UINT32_C(112) << 23), 13));
    if (magnitude < 0x33000000) /* 2^-25, and less than half of the least denormal */
        return sign;
    const uint32_t fraction = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t) (sign | shift_round(fraction, 126 - (magnitude >> 23)));
}

static uint16_t to_bfloat16(float value)
{
    const uint32_t bits = as_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t) (bits >> 16 | 0x40);
    return (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void mls__halves_from_float16(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from_float16(from[i]);
}

void mls__halves_to_float16(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = to_float16(from[i]);
}

void mls__halves_from_bfloat16(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = as_float((uint32_t) from[i] << 16);
}

void mls__halves_to_bfloat16(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = to_bfloat16(from[i]);
}
