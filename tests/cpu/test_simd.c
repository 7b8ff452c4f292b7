/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each primitive of the virtual vector against scalar C, on every instruction set that this
 * machine has: all pairs of special values, and pseudo-random bit patterns.
 */
#include "simd_test.h"

#include <float.h>
#include <stdlib.h>

float simd_values[VALUES];

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
        simd_values[n++] = special[i];
        simd_values[n++] = -special[i];
    }
    simd_values[n++] = NAN;
    simd_values[n++] = -NAN;
    simd_values[n++] = float_of(0x7fa12345u);
    while (n < VALUES)
        simd_values[n++] = float_of(next_random(&state));
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
                    b[k] = simd_values[j];
                    c[k] = j % 2 ? simd_values[(i + j + 7 * k) % VALUES]
                                 : -(simd_values[i + k] * b[k]);
                }
                check_float_op(set, op, simd_values + i, b, c);
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
        op->run(y, simd_values + 5, simd_values, simd_values);
        for (int i = 0; i < LANES; i++)
            EXPECT(same(y[i], simd_values[5]));
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
                    b[k] = simd_values[j];
                const uint32_t bits = op->run(simd_values + i, b);
                for (int k = 0; k < LANES; k++)
                    EXPECT_MSG(((bits >> k) & 1u) ==
                                   compare_reference(op->name, simd_values[i + k], b[k]),
                               "%s %s(%a, %a)", set->isa, op->name, (double) simd_values[i + k],
                               (double) b[k]);
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
        set->select(y, bits, simd_values + 16, simd_values + 32);
        set->select_int(z, bits, a, b);
        for (int i = 0; i < LANES; i++) {
            const bool on = (bits >> i) & 1u;
            EXPECT(same(y[i], on ? simd_values[16 + i] : simd_values[32 + i]));
            EXPECT(z[i] == (on ? a[i] : b[i]));
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
                x[i] = round % 2 ? simd_values[next_random(&state) % VALUES]
                                 : (float) (next_random(&state) % 2000) / 999.0f - 1.0f;
            const float expected = tree_reference(op->name, x);
            EXPECT_MSG(same(op->run(x), expected), "%s %s", set->isa, op->name);
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
    add_simd_halves(tests);
    tcase_add_loop_test(tests, selection, 0, SETS);
    add_simd_integers(tests);
    tcase_add_loop_test(tests, trees, 0, SETS);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
