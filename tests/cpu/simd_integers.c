/* SPDX-License-Identifier: Apache-2.0 */
/* Integers, conversions and memory of the virtual vector, against scalar C. */
#include "simd_test.h"

#include <stdlib.h>

/* --- integers and conversions ---------------------------------------------------------------- */

static int32_t int_reference(const char *name, int32_t a, int32_t b)
{
    const uint32_t ua = (uint32_t) a, ub = (uint32_t) b;
    if (strcmp(name, "add") == 0)
        return (int32_t) (ua + ub);
    if (strcmp(name, "sub") == 0)
        return (int32_t) (ua - ub);
    if (strcmp(name, "mul") == 0)
        return (int32_t) (ua * ub);
    if (strcmp(name, "and") == 0)
        return a & b;
    if (strcmp(name, "or") == 0)
        return a | b;
    if (strcmp(name, "xor") == 0)
        return a ^ b;
    if (strcmp(name, "andnot") == 0)
        return a & ~b;
    if (strcmp(name, "min") == 0)
        return a < b ? a : b;
    if (strcmp(name, "max") == 0)
        return a > b ? a : b;
    ck_assert_str_eq(name, "zero");
    return 0;
}

/* Small numbers, extremes and random ones. */
static void fill_ints(int32_t *x, uint32_t *state)
{
    static const int32_t extremes[] = {INT32_MIN, INT32_MAX, 0, -1, 1, 65536, -65536};
    for (int i = 0; i < LANES; i++) {
        const uint32_t r = next_random(state);
        x[i] = r % 4 == 0 ? extremes[(r >> 4) % 7] : (int32_t) r >> (r >> 3) % 31;
    }
}

START_TEST(int_ops)
{
    const simd_ops *set = set_at(_i);
    uint32_t state = 11;
    int32_t a[LANES], b[LANES], y[LANES];
    for (int round = 0; set && round < 500; round++) {
        fill_ints(a, &state);
        fill_ints(b, &state);
        for (const simd_int_op *op = set->int_ops; op->name; op++) {
            op->run(y, a, b);
            for (int i = 0; i < LANES; i++)
                EXPECT(
                    y[i] ==
                    (strcmp(op->name, "set1") == 0 ? a[0] : int_reference(op->name, a[i], b[i])));
        }
        const uint32_t eq = set->int_compare('=', a, b), lt = set->int_compare('<', a, b);
        const uint32_t gt = set->int_compare('>', a, b);
        for (int i = 0; i < LANES; i++) {
            EXPECT(((eq >> i) & 1u) == (a[i] == b[i]));
            EXPECT(((lt >> i) & 1u) == (a[i] < b[i]));
            EXPECT(((gt >> i) & 1u) == (a[i] > b[i]));
        }
    }
}
END_TEST

START_TEST(shifts_and_lanes)
{
    const simd_ops *set = set_at(_i);
    uint32_t state = 13;
    int32_t a[LANES], y[LANES];
    for (int count = 0; set && count < 32; count++) {
        fill_ints(a, &state);
        set->shift('<', y, a, count);
        for (int i = 0; i < LANES; i++)
            EXPECT(y[i] == ((int32_t) ((uint32_t) a[i] << count)));
        set->shift('>', y, a, count);
        for (int i = 0; i < LANES; i++)
            EXPECT(y[i] == ((int32_t) ((uint32_t) a[i] >> count)));
        set->shift('s', y, a, count);
        for (int i = 0; i < LANES; i++)
            EXPECT(y[i] == ((int32_t) (((int64_t) a[i]) >> count)));
    }
    if (set)
        set->iota(y);
    for (int i = 0; set && i < LANES; i++)
        EXPECT(y[i] == i);
}
END_TEST

START_TEST(int_conversions)
{
    const simd_ops *set = set_at(_i);
    uint32_t state = 17;
    for (int i = 0; set && i < VALUES; i += LANES) {
        int32_t toward_zero[LANES], nearest[LANES], ints[LANES];
        float floats[LANES];
        set->to_int(toward_zero, simd_values + i);
        set->to_int_rint(nearest, simd_values + i);
        fill_ints(ints, &state);
        set->to_float(floats, ints);
        for (int k = 0; k < LANES; k++) {
            const float x = simd_values[i + k];
            const bool fits = fabsf(x) < 0x1p31f;
            EXPECT(toward_zero[k] == (fits ? (int32_t) x : INT32_MIN));
            EXPECT(nearest[k] == (fits ? (int32_t) rintf(x) : INT32_MIN));
            EXPECT(same(floats[k], (float) ints[k]));
        }
    }
}
END_TEST

START_TEST(powers_of_two)
{
    const simd_ops *set = set_at(_i);
    static const float mantissas[] = {1.0f, 0x1.fffffep0f,  -0x1.000002p0f, 0.25f, -0x1.aaaaaap-1f,
                                      4.0f, 0x1.555556p-2f, 3.9999998f};
    for (int exponent = -252; set && exponent <= 252; exponent++) {
        float a[LANES], y[LANES], n[LANES];
        for (int i = 0; i < LANES; i++) {
            a[i] = mantissas[i % 8];
            n[i] = (float) (i < 8 ? exponent : -exponent);
        }
        set->ldexp(y, a, n);
        for (int i = 0; i < LANES; i++)
            EXPECT_MSG(same(y[i], ldexpf(a[i], (int) n[i])), "%s ldexp(%a, %d): %a", set->isa,
                       (double) a[i], (int) n[i], (double) y[i]);
        if (exponent < -126 || exponent > 126)
            continue;
        set->pow2(y, n);
        for (int i = 0; i < LANES; i++)
            EXPECT(same(y[i], ldexpf(1.0f, (int) n[i])));
    }
}
END_TEST

/* --- memory ---------------------------------------------------------------------------------- */

START_TEST(partial_loads_and_stores)
{
    const simd_ops *set = set_at(_i);
    for (int n = 0; set && n <= LANES; n++) {
        /* Blocks of exactly n elements, for the sanitizers; bytes past them in `y`. */
        float *x = malloc((size_t) n * sizeof *x + 1);
        float y[LANES + 1];
        int32_t z[LANES + 1];
        ck_assert_ptr_nonnull(x);
        memcpy(x, simd_values + n, (size_t) n * sizeof *x);
        memset(y, 0x55, sizeof y);
        memset(z, 0x55, sizeof z);
        set->copy_n(y, x, n);
        set->copy_int_n(z, (const int32_t *) (const void *) x, n);
        for (int i = 0; i <= LANES; i++) {
            EXPECT(bits_of(y[i]) == (i < n ? bits_of(simd_values[n + i]) : 0x55555555u));
            EXPECT((uint32_t) z[i] == bits_of(y[i]));
        }
        free(x);
    }
}
END_TEST

START_TEST(gathers)
{
    const simd_ops *set = set_at(_i);
    const int32_t *ints = (const int32_t *) (const void *) simd_values;
    uint32_t state = 19;
    for (int round = 0; set && round < 100; round++) {
        const uint32_t mask = next_random(&state) & 0xffffu;
        int32_t at[LANES], masked_at[LANES], near_at[LANES], z[LANES], mz[LANES], pz[LANES];
        float y[LANES], my[LANES], py[LANES], even[LANES], odd[LANES];
        for (int i = 0; i < LANES; i++) {
            at[i] = (int32_t) (next_random(&state) % VALUES) - 128;
            near_at[i] = at[i] / 2;
            masked_at[i] = (mask >> i) & 1u ? at[i] : INT32_MAX;
            my[i] = simd_values[i];
            mz[i] = i;
        }
        set->gather(y, simd_values + 128, at);
        set->gather_int(z, ints + 128, at);
        set->even(even, simd_values + round, simd_values + 128);
        set->odd(odd, simd_values + round, simd_values + 128);
        set->gather_pair(py, simd_values + 128, near_at);
        set->gather_int_pair(pz, ints + 129, near_at);
        set->gather_mask(my, mask, simd_values + 128, masked_at);
        set->gather_int_mask(mz, mask, ints + 128, masked_at);
        for (int i = 0; i < LANES; i++) {
            const bool on = (mask >> i) & 1u;
            EXPECT(same(even[i],
                        i < LANES / 2 ? simd_values[round + 2 * i] : simd_values[112 + 2 * i]));
            EXPECT(same(odd[i],
                        i < LANES / 2 ? simd_values[round + 2 * i + 1] : simd_values[113 + 2 * i]));
            EXPECT(same(y[i], simd_values[128 + at[i]]));
            EXPECT(z[i] == (ints[128 + at[i]]));
            EXPECT(same(py[i], simd_values[128 + 2 * near_at[i]]));
            EXPECT(pz[i] == (ints[129 + 2 * near_at[i]]));
            EXPECT(same(my[i], on ? simd_values[128 + at[i]] : simd_values[i]));
            EXPECT(mz[i] == (on ? ints[128 + at[i]] : i));
        }
    }
}
END_TEST

START_TEST(lookups_and_clears)
{
    const simd_ops *set = set_at(_i);
    uint32_t state = 23;
    for (int round = 0; set && round < 100; round++) {
        const uint32_t mask = next_random(&state) & 0xffffu;
        int32_t table[32], index[LANES], a[LANES], b[LANES], y[LANES], z[LANES];
        for (int i = 0; i < 32; i++)
            table[i] = (int32_t) next_random(&state);
        for (int i = 0; i < LANES; i++) {
            index[i] = (int32_t) (next_random(&state) % 32);
            a[i] = (int32_t) next_random(&state);
            b[i] = (int32_t) next_random(&state);
        }
        set->lookup32(y, table, index);
        set->clear(z, mask, a, b);
        for (int i = 0; i < LANES; i++) {
            EXPECT(y[i] == table[index[i]]);
            EXPECT(z[i] == (((mask >> i) & 1u) ? (a[i] & ~b[i]) : a[i]));
        }
    }
}
END_TEST

void add_simd_integers(TCase *tests)
{
    tcase_add_loop_test(tests, int_ops, 0, SETS);
    tcase_add_loop_test(tests, shifts_and_lanes, 0, SETS);
    tcase_add_loop_test(tests, int_conversions, 0, SETS);
    tcase_add_loop_test(tests, powers_of_two, 0, SETS);
    tcase_add_loop_test(tests, partial_loads_and_stores, 0, SETS);
    tcase_add_loop_test(tests, gathers, 0, SETS);
    tcase_add_loop_test(tests, lookups_and_clears, 0, SETS);
}
