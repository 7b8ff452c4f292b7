/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each primitive of the virtual vector against scalar C, on every instruction set that this
 * machine has: all pairs of special values, and pseudo-random bit patterns.
 */
#include "cpu_test.h"

#include "base/isa.h"

#include "simd_ops.h"

#include <float.h>
#include <stdlib.h>

enum { LANES = 16, VALUES = 256 };

static const simd_ops *const all_sets[] = {
    &mls__simd_ops_portable,
#if defined(__x86_64__)
    &mls__simd_ops_avx2,
    &mls__simd_ops_avx512,
#elif defined(__aarch64__)
    &mls__simd_ops_neon,
#endif
};

enum { SETS = sizeof all_sets / sizeof all_sets[0] };

/* The set for a loop test, NULL where this machine lacks it. */
static const simd_ops *set_at(int index)
{
    return mls__isa_is_supported(all_sets[index]->isa) ? all_sets[index] : NULL;
}

/* Values whose handling differs between instruction sets, then random bit patterns. */
static float values[VALUES];

static const float special[] = {
    0.0f,       1.0f,       0.5f,       1.5f,          2.5f,        0.49999997f,      0.99999994f,
    3.0f,       10.0f,      100.25f,    0x1p-149f,     0x1.8p-148f, 0x1.fffffcp-127f, FLT_MIN,
    0x1p-24f,   0x1p-25f,   0x1.8p-25f, 65504.0f,      65519.0f,    65520.0f,         8388607.5f,
    8388608.0f, 8388609.0f, 0x1p24f,    2147483520.0f, 0x1p31f,     0x1p63f,          0x1p100f,
    FLT_MAX,    INFINITY,   1.0009766f, 0.33333334f,
};

static void set_up(void)
{
    const size_t count = sizeof special / sizeof special[0];
    uint32_t state = 1;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        values[n++] = special[i];
        values[n++] = -special[i];
    }
    values[n++] = NAN;
    values[n++] = -NAN;
    values[n++] = float_of(0x7fa12345u);
    while (n < VALUES)
        values[n++] = float_of(next_random(&state));
}

/* --- floats ---------------------------------------------------------------------------------- */

typedef struct float_reference {
    const char *name;
    float (*of)(float a, float b, float c);
} float_reference;

#define REFERENCE(name, expression)                                                                \
    static float ref_##name(float a, float b, float c)                                             \
    {                                                                                              \
        (void) a, (void) b, (void) c;                                                              \
        return expression;                                                                         \
    }

REFERENCE(sqrt, sqrtf(a))
REFERENCE(neg, float_of(bits_of(a) ^ 0x80000000u))
REFERENCE(abs, float_of(bits_of(a) & 0x7fffffffu))
REFERENCE(floor, floorf(a))
REFERENCE(ceil, ceilf(a))
REFERENCE(trunc, truncf(a))
REFERENCE(rint, rintf(a))
REFERENCE(add, a + b)
REFERENCE(sub, a - b)
REFERENCE(mul, a *b)
REFERENCE(div, a / b)
REFERENCE(copysign, copysignf(a, b))
REFERENCE(min, a < b ? a : b)
REFERENCE(max, a > b ? a : b)
REFERENCE(min_nan, isnan(a) ? a : ref_min(a, b, c))
REFERENCE(max_nan, isnan(a) ? a : ref_max(a, b, c))
REFERENCE(fma, fmaf(a, b, c))
REFERENCE(fms, fmaf(a, b, -c))
REFERENCE(fnma, fmaf(-a, b, c))
REFERENCE(zero, 0.0f)
REFERENCE(copy, a)

static const float_reference float_references[] = {
    {"sqrt", ref_sqrt}, {"neg", ref_neg},     {"abs", ref_abs},         {"floor", ref_floor},
    {"ceil", ref_ceil}, {"trunc", ref_trunc}, {"rint", ref_rint},       {"add", ref_add},
    {"sub", ref_sub},   {"mul", ref_mul},     {"div", ref_div},         {"copysign", ref_copysign},
    {"min", ref_min},   {"max", ref_max},     {"min_nan", ref_min_nan}, {"max_nan", ref_max_nan},
    {"fma", ref_fma},   {"fms", ref_fms},     {"fnma", ref_fnma},       {"zero", ref_zero},
    {"copy", ref_copy}, {NULL, NULL},
};

static const float_reference *find_reference(const char *name)
{
    for (const float_reference *row = float_references; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static void check_float_op(const simd_ops *set, const simd_float_op *op, const float *a,
                           const float *b, const float *c)
{
    const float_reference *reference = find_reference(op->name);
    float y[LANES];
    EXPECT_MSG(reference != NULL, "no reference for %s", op->name);
    op->run(y, a, b, c);
    for (int i = 0; i < LANES; i++) {
        const float expected = reference->of(a[i], b[i], c[i]);
        EXPECT_MSG(same(y[i], expected), "%s %s(%a, %a, %a): %a, expected %a", set->isa, op->name,
                   (double) a[i], (double) b[i], (double) c[i], (double) y[i], (double) expected);
    }
}

START_TEST(float_ops)
{
    const simd_ops *set = set_at(_i);
    for (const simd_float_op *op = set ? set->float_ops : NULL; op && op->name; op++) {
        if (strcmp(op->name, "set1") == 0)
            continue;
        for (int i = 0; i < VALUES; i += LANES)
            for (int j = 0; j < VALUES; j++) {
                float b[LANES], c[LANES];
                for (int k = 0; k < LANES; k++) {
                    b[k] = values[j];
                    c[k] = j % 2 ? values[(i + j + 7 * k) % VALUES] : -(values[i + k] * b[k]);
                }
                check_float_op(set, op, values + i, b, c);
            }
    }
}
END_TEST

START_TEST(constants)
{
    const simd_ops *set = set_at(_i);
    for (const simd_float_op *op = set ? set->float_ops : NULL; op && op->name; op++) {
        float y[LANES];
        if (strcmp(op->name, "set1") != 0)
            continue;
        op->run(y, values + 5, values, values);
        for (int i = 0; i < LANES; i++)
            EXPECT(same(y[i], values[5]));
    }
}
END_TEST

/* Where products and addends nearly cancel, or results are denormal: fma by software is hard. */
START_TEST(fused_sums)
{
    const simd_ops *set = set_at(_i);
    const simd_float_op *op = set ? set->float_ops : NULL;
    uint32_t state = 29;
    while (op && strcmp(op->name, "fma") != 0)
        op++;
    for (int round = 0; op && round < 20000; round++) {
        float a[LANES], b[LANES], c[LANES];
        for (int i = 0; i < LANES; i++) {
            a[i] = float_of((next_random(&state) & 0x83ffffffu) + 0x3e000000u);
            b[i] = float_of((next_random(&state) & 0x83ffffffu) + 0x3e000000u);
            c[i] = -a[i] * b[i];
            if (i & 1)
                c[i] = float_of(bits_of(c[i]) + (next_random(&state) & 0x1ffffffu));
            if (i & 2) {
                a[i] *= 0x1p-70f;
                b[i] *= 0x1p-64f;
                c[i] *= (i & 4) ? 0x1p-134f : 0x1p-120f;
            }
        }
        check_float_op(set, op, a, b, c);
    }
}
END_TEST

/* --- comparisons and masks ------------------------------------------------------------------- */

static bool compare_reference(const char *name, float a, float b)
{
    if (strcmp(name, "eq") == 0)
        return a == b;
    if (strcmp(name, "ne") == 0)
        return !(a == b);
    if (strcmp(name, "lt") == 0)
        return a < b;
    if (strcmp(name, "le") == 0)
        return a <= b;
    if (strcmp(name, "gt") == 0)
        return a > b;
    if (strcmp(name, "ge") == 0)
        return a >= b;
    ck_assert_str_eq(name, "isnan");
    return isnan(a);
}

START_TEST(comparisons)
{
    const simd_ops *set = set_at(_i);
    for (const simd_compare_op *op = set ? set->compare_ops : NULL; op && op->name; op++)
        for (int i = 0; i < VALUES; i += LANES)
            for (int j = 0; j < VALUES; j++) {
                float b[LANES];
                for (int k = 0; k < LANES; k++)
                    b[k] = values[j];
                const uint32_t bits = op->run(values + i, b);
                for (int k = 0; k < LANES; k++)
                    EXPECT_MSG(
                        ((bits >> k) & 1u) == compare_reference(op->name, values[i + k], b[k]),
                        "%s %s(%a, %a)", set->isa, op->name, (double) values[i + k], (double) b[k]);
            }
}
END_TEST

START_TEST(masks)
{
    const simd_ops *set = set_at(_i);
    uint32_t state = 7;
    for (int round = 0; set && round < 200; round++) {
        const uint32_t a = next_random(&state) & 0xffffu;
        const uint32_t b = next_random(&state) & 0xffffu;
        EXPECT(set->mask('&', a, b) == (a & b));
        EXPECT(set->mask('|', a, b) == (a | b));
        EXPECT(set->mask('^', a, b) == (a ^ b));
        EXPECT(set->mask('-', a, b) == (a & ~b));
        EXPECT(set->mask('~', a, b) == (~a & 0xffffu));
    }
    for (int n = 0; set && n <= LANES; n++) {
        EXPECT(set->mask_first(n) == ((1u << n) - 1u));
        EXPECT(set->mask_any((1u << n) & 0xffffu) == (n < LANES));
        EXPECT(set->mask_all((1u << n) - 1u) == (n == LANES));
        EXPECT(set->mask_all(0xffffu & ~(1u << n)) == (n == LANES));
    }
}
END_TEST

START_TEST(bool_bytes)
{
    const simd_ops *set = set_at(_i);
    uint8_t in[LANES], out[LANES + 1];
    for (int i = 0; i < LANES; i++)
        in[i] = (uint8_t) (i % 3 == 0 ? 0 : 85 * i + (i == 3));
    for (int n = 0; set && n <= LANES; n++) {
        memset(out, 0xaa, sizeof out);
        set->copy_bool_n(out, in, n);
        for (int i = 0; i <= LANES; i++)
            EXPECT(out[i] == (i < n ? in[i] != 0 : 0xaa));
    }
    memset(out, 0xaa, sizeof out);
    if (set)
        set->copy_bool(out, in);
    for (int i = 0; set && i <= LANES; i++)
        EXPECT(out[i] == (i < LANES ? in[i] != 0 : 0xaa));
}
END_TEST

START_TEST(selection)
{
    const simd_ops *set = set_at(_i);
    uint32_t state = 3;
    for (int round = 0; set && round < 100; round++) {
        const uint32_t bits = next_random(&state) & 0xffffu;
        float y[LANES];
        int32_t z[LANES], a[LANES], b[LANES];
        for (int i = 0; i < LANES; i++) {
            a[i] = (int32_t) next_random(&state);
            b[i] = (int32_t) next_random(&state);
        }
        set->select(y, bits, values + 16, values + 32);
        set->select_int(z, bits, a, b);
        for (int i = 0; i < LANES; i++) {
            const bool on = (bits >> i) & 1u;
            EXPECT(same(y[i], on ? values[16 + i] : values[32 + i]));
            EXPECT(z[i] == (on ? a[i] : b[i]));
        }
    }
}
END_TEST

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
        set->to_int(toward_zero, values + i);
        set->to_int_rint(nearest, values + i);
        fill_ints(ints, &state);
        set->to_float(floats, ints);
        for (int k = 0; k < LANES; k++) {
            const float x = values[i + k];
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
        memcpy(x, values + n, (size_t) n * sizeof *x);
        memset(y, 0x55, sizeof y);
        memset(z, 0x55, sizeof z);
        set->copy_n(y, x, n);
        set->copy_int_n(z, (const int32_t *) (const void *) x, n);
        for (int i = 0; i <= LANES; i++) {
            EXPECT(bits_of(y[i]) == (i < n ? bits_of(values[n + i]) : 0x55555555u));
            EXPECT((uint32_t) z[i] == bits_of(y[i]));
        }
        free(x);
    }
}
END_TEST

START_TEST(gathers)
{
    const simd_ops *set = set_at(_i);
    const int32_t *ints = (const int32_t *) (const void *) values;
    uint32_t state = 19;
    for (int round = 0; set && round < 100; round++) {
        const uint32_t mask = next_random(&state) & 0xffffu;
        int32_t at[LANES], masked_at[LANES], near_at[LANES], z[LANES], mz[LANES], pz[LANES];
        float y[LANES], my[LANES], py[LANES], even[LANES];
        for (int i = 0; i < LANES; i++) {
            at[i] = (int32_t) (next_random(&state) % VALUES) - 128;
            near_at[i] = at[i] / 2;
            masked_at[i] = (mask >> i) & 1u ? at[i] : INT32_MAX;
            my[i] = values[i];
            mz[i] = i;
        }
        set->gather(y, values + 128, at);
        set->gather_int(z, ints + 128, at);
        set->even(even, values + round, values + 128);
        set->gather_pair(py, values + 128, near_at);
        set->gather_int_pair(pz, ints + 129, near_at);
        set->gather_mask(my, mask, values + 128, masked_at);
        set->gather_int_mask(mz, mask, ints + 128, masked_at);
        for (int i = 0; i < LANES; i++) {
            const bool on = (mask >> i) & 1u;
            EXPECT(same(even[i], i < LANES / 2 ? values[round + 2 * i] : values[112 + 2 * i]));
            EXPECT(same(y[i], values[128 + at[i]]));
            EXPECT(z[i] == (ints[128 + at[i]]));
            EXPECT(same(py[i], values[128 + 2 * near_at[i]]));
            EXPECT(pz[i] == (ints[129 + 2 * near_at[i]]));
            EXPECT(same(my[i], on ? values[128 + at[i]] : values[i]));
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

/* --- across lanes ---------------------------------------------------------------------------- */

static float tree_reference(const char *name, const float *x)
{
    float v[LANES];
    memcpy(v, x, sizeof v);
    for (int width = strcmp(name, "lane0") == 0 ? 0 : 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) {
            const float a = v[i], b = v[i + width];
            if (strcmp(name, "hsum") == 0)
                v[i] = a + b;
            else if (strcmp(name, "hmul") == 0)
                v[i] = a * b;
            else
                v[i] = find_reference(name + 1)->of(a, b, 0.0f);
        }
    return v[0];
}

START_TEST(trees)
{
    const simd_ops *set = set_at(_i);
    uint32_t state = 23;
    for (const simd_reduce_op *op = set ? set->reduce_ops : NULL; op && op->name; op++)
        for (int round = 0; round < 500; round++) {
            float x[LANES];
            for (int i = 0; i < LANES; i++)
                x[i] = round % 2 ? values[next_random(&state) % VALUES]
                                 : (float) (next_random(&state) % 2000) / 999.0f - 1.0f;
            const float expected = tree_reference(op->name, x);
            EXPECT_MSG(same(op->run(x), expected), "%s %s", set->isa, op->name);
        }
}
END_TEST

/* --- 16-bit floats --------------------------------------------------------------------------- */

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
        float x[LANES], value[LANES];
        uint16_t y[LANES], half[LANES];
        for (int i = 0; i < LANES; i++)
            half[i] = (uint16_t) h;
        set->load_f16(value, half);
        /* The half itself, half a step up and its neighbours, and odd bits. */
        for (uint32_t i = 0; i < LANES; i++)
            x[i] = float_of(bits_of(value[0]) + (i < 8 ? 0x1000u * (i / 3) + i % 3 - 1 : i * 997u));
        set->store_f16(y, x);
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
        set->load_bf16(wide, b);
        for (int i = 0; i < LANES; i++) {
            EXPECT(y[i] == nearest_bfloat(x[i]));
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

int main(void)
{
    Suite *suite = suite_create("cpu/simd");
    TCase *tests = tcase_create("primitives");
    set_up();
    tcase_add_loop_test(tests, float_ops, 0, SETS);
    tcase_add_loop_test(tests, constants, 0, SETS);
    tcase_add_loop_test(tests, fused_sums, 0, SETS);
    tcase_add_loop_test(tests, comparisons, 0, SETS);
    tcase_add_loop_test(tests, masks, 0, SETS);
    tcase_add_loop_test(tests, bool_bytes, 0, SETS);
    tcase_add_loop_test(tests, bytes, 0, SETS);
    tcase_add_loop_test(tests, selection, 0, SETS);
    tcase_add_loop_test(tests, int_ops, 0, SETS);
    tcase_add_loop_test(tests, shifts_and_lanes, 0, SETS);
    tcase_add_loop_test(tests, int_conversions, 0, SETS);
    tcase_add_loop_test(tests, powers_of_two, 0, SETS);
    tcase_add_loop_test(tests, partial_loads_and_stores, 0, SETS);
    tcase_add_loop_test(tests, gathers, 0, SETS);
    tcase_add_loop_test(tests, lookups_and_clears, 0, SETS);
    tcase_add_loop_test(tests, trees, 0, SETS);
    tcase_add_loop_test(tests, halves_widen, 0, SETS);
    tcase_add_loop_test(tests, halves_narrow, 0, SETS);
    tcase_add_loop_test(tests, bfloats, 0, SETS);
    tcase_add_loop_test(tests, partial_16_bit, 0, SETS);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
