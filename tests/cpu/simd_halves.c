/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats and bytes of the virtual vector, against their definitions. */
#include "simd_test.h"

/* The value of a finite half by its definition. */
static double half_value(uint16_t half)
{
    const int exponent = (half >> 10) & 31;
    const int fraction = half & 1023;
    const double magnitude =
        exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000 ? -magnitude : magnitude;
}

START_TEST(halves_widen)
{
    const simd_ops *set = set_at(_i);
    for (uint32_t h = 0; set && h < 65536; h += LANES) {
        uint16_t x[LANES];
        float y[LANES];
        for (uint32_t i = 0; i < LANES; i++)
            x[i] = (uint16_t) (h + i);
        set->load_f16(y, x);
        for (int i = 0; i < LANES; i++) {
            const uint32_t sign = (x[i] & 0x8000u) << 16, fraction = x[i] & 0x3ffu;
            uint32_t expected = bits_of((float) half_value(x[i]));
            if ((x[i] & 0x7c00) == 0x7c00)
                expected = sign | 0x7f800000u | fraction << 13 | (fraction ? 0x400000u : 0u);
            EXPECT(bits_of(y[i]) == expected);
        }
    }
}
END_TEST

/* The nearest half by search over its neighbours, ties to the even one. */
static uint16_t nearest_half(float x)
{
    const uint16_t sign = (uint16_t) (bits_of(x) >> 16 & 0x8000u);
    const double magnitude = fabs((double) x);
    uint16_t low = 0, high = 0x7c00;
    if (isnan(x))
        return (uint16_t) (sign | 0x7e00u | (bits_of(x) >> 13 & 0x1ffu));
    while (high - low > 1) {
        const uint16_t middle = (uint16_t) ((low + high) / 2);
        if (half_value(middle) <= magnitude)
            low = middle;
        else
            high = middle;
    }
    /* The step past the largest finite half decides what becomes infinite. */
    const double middle = (half_value(low) + half_value(high)) / 2;
    const bool up = magnitude > middle || (magnitude == middle && low & 1);
    return (uint16_t) (sign | (up ? high : low));
}

START_TEST(halves_narrow)
{
    const simd_ops *set = set_at(_i);
    for (uint32_t h = 0; set && h < 65536; h++) {
        float x[LANES], value[LANES], through[LANES];
        uint16_t y[LANES], half[LANES];
        for (int i = 0; i < LANES; i++)
            half[i] = (uint16_t) h;
        set->load_f16(value, half);
        /* The half itself, half a step up and its neighbours, and odd bits. */
        for (uint32_t i = 0; i < LANES; i++)
            x[i] = float_of(bits_of(value[0]) + (i < 8 ? 0x1000u * (i / 3) + i % 3 - 1 : i * 997u));
        set->store_f16(y, x);
        set->load_f16(value, y);
        set->through_f16(through, x);
        EXPECT(memcmp(through, value, sizeof value) == 0);
        for (int i = 0; i < LANES; i++)
            EXPECT_MSG(y[i] == nearest_half(x[i]), "%s %a: %x, expected %x", set->isa,
                       (double) x[i], y[i], nearest_half(x[i]));
    }
}
END_TEST

static uint16_t nearest_bfloat(float x)
{
    const uint32_t bits = bits_of(x), low = bits & 0xffffu;
    const uint32_t high = bits >> 16;
    if (isnan(x))
        return (uint16_t) (high | 0x40u);
    return (uint16_t) (high + (low > 0x8000u || (low == 0x8000u && high & 1u)));
}

START_TEST(bfloats)
{
    const simd_ops *set = set_at(_i);
    static const uint32_t tails[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    for (uint32_t h = 0; set && h < 65536; h++) {
        float x[LANES], wide[LANES];
        uint16_t y[LANES], b[LANES];
        for (int i = 0; i < LANES; i++) {
            x[i] = float_of(h << 16 | tails[i % 6]);
            b[i] = (uint16_t) (h ^ (unsigned) i);
        }
        set->store_bf16(y, x);
        set->through_bf16(x, x);
        set->load_bf16(wide, b);
        for (int i = 0; i < LANES; i++) {
            EXPECT(y[i] == nearest_bfloat(float_of(h << 16 | tails[i % 6])));
            EXPECT(bits_of(x[i]) == (uint32_t) y[i] << 16);
            EXPECT(bits_of(wide[i]) == ((uint32_t) b[i] << 16));
        }
    }
}
END_TEST

START_TEST(partial_16_bit)
{
    const simd_ops *set = set_at(_i);
    int32_t wide[LANES];
    uint16_t x[LANES], low[LANES];
    for (int i = 0; i < LANES; i++) {
        x[i] = (uint16_t) (0x3c00 + 17 * i);
        wide[i] = i * 0x01234567 - (1 << 30);
    }
    for (int n = 0; set && n <= LANES; n++) {
        uint16_t y[LANES + 1], z[LANES + 1];
        memset(y, 0x55, sizeof y);
        memset(z, 0x55, sizeof z);
        set->copy_f16_n(y, x, n);
        set->copy_bf16_n(z, x, n);
        for (int i = 0; i <= LANES; i++) {
            EXPECT(y[i] == (i < n ? x[i] : 0x5555));
            EXPECT(z[i] == y[i]);
        }
    }
    if (set)
        set->copy_u16(low, wide);
    for (int i = 0; set && i < LANES; i++)
        EXPECT(low[i] == ((uint32_t) wide[i] & 0xffffu));
    int32_t twice[2 * LANES + 1] = {[2 * LANES] = 77};
    if (set)
        set->store_twice(twice, wide);
    for (int i = 0; set && i < 2 * LANES; i++)
        EXPECT(twice[i] == wide[i / 2]);
    EXPECT(twice[2 * LANES] == 77);
}
END_TEST

START_TEST(bytes)
{
    const simd_ops *set = set_at(_i);
    uint32_t seed = 17;
    for (int n = 0; set && n <= LANES; n++) {
        uint8_t x[LANES], y[LANES + 1];
        int32_t wide[LANES], zeros[LANES], signs[LANES];
        for (int i = 0; i < LANES; i++) {
            wide[i] = (int32_t) next_random(&seed);
            x[i] = (uint8_t) (next_random(&seed) >> 24);
        }
        memset(y, 0x55, sizeof y);
        set->load_u8_n(zeros, x, n);
        set->load_i8_n(signs, (const int8_t *) x, n);
        set->store_u8_n(y, wide, n);
        for (int i = 0; i < LANES; i++) {
            EXPECT(zeros[i] == (i < n ? x[i] : 0));
            EXPECT(signs[i] == (i < n ? (int8_t) x[i] : 0));
            EXPECT(y[i] == (i < n ? (uint8_t) ((uint32_t) wide[i] & 0xffu) : 0x55));
        }
        EXPECT(y[LANES] == 0x55);
    }
}
END_TEST

void add_simd_halves(TCase *tests)
{
    tcase_add_loop_test(tests, bytes, 0, SETS);
    tcase_add_loop_test(tests, halves_widen, 0, SETS);
    tcase_add_loop_test(tests, halves_narrow, 0, SETS);
    tcase_add_loop_test(tests, bfloats, 0, SETS);
    tcase_add_loop_test(tests, partial_16_bit, 0, SETS);
}
