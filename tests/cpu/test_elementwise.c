/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The elementwise runs: exact ops against scalar C, and for all ops of every instruction set of
 * this machine the same bytes at every length, alignment and place in the run, also in place, and
 * nothing written past the end. (test_math.c has the accuracy of the transcendental ones.)
 */
#include "cpu_test.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/math/f64.h"
#include "base/isa.h"

#include <float.h>

enum { LONGEST = 67, GUARD = 4, SETS = 4 };

/* The set for a loop test, NULL where there is none or this machine lacks it. */
static const mls__elementwise_kernels *set_at(int index)
{
    const mls__cpu_kernels *set = mls__cpu_kernels_at(index);
    return set && mls__isa_is_supported(set->isa) ? set->elementwise : NULL;
}

/* Ordinary numbers of all sizes, with special ones between them. */
static void fill(float *x, int n, uint32_t seed)
{
    static const float special[] = {0.0f,      -0.0f,    1.0f,      -1.0f,  0.5f,      2.5f,
                                    -3.5f,     INFINITY, -INFINITY, NAN,    FLT_MAX,   FLT_MIN,
                                    0x1p-149f, -20.0f,   88.0f,     -88.0f, 8388609.0f};
    const uint32_t count = sizeof special / sizeof special[0];
    uint32_t state = seed * 2654435761u + 1;
    for (int i = 0; i < n; i++) {
        const uint32_t r = next_random(&state);
        const float ordinary = (float) (int32_t) next_random(&state) * 0x1p-28f;
        x[i] = r % 3 == 0 ? special[(r >> 8) % count] : ordinary;
    }
}

/* --- unary ----------------------------------------------------------------------------------- */

static const float params[MLS__UNARY_COUNT][2] = {
    [MLS__UNARY_LEAKY_RELU] = {0.01f}, [MLS__UNARY_THRESHOLDED_RELU] = {0.75f},
    [MLS__UNARY_CLIP] = {-0.5f, 1.5f}, [MLS__UNARY_HARD_SIGMOID] = {0.2f, 0.5f},
    [MLS__UNARY_ELU] = {1.5f},         [MLS__UNARY_SELU] = {1.6732632f, 1.050701f},
    [MLS__UNARY_CELU] = {0.75f},       [MLS__UNARY_SWISH] = {1.0f},
};

static float clip(float x, float low, float high)
{
    if (x < low)
        x = low;
    return x > high ? high : x;
}

/* The exact ops by their definition; `*ret_y` for the others. */
static bool unary_reference(mls__unary_op op, float x, float *ret_y)
{
    const float a = params[op][0], b = params[op][1];
    switch (op) {
    case MLS__UNARY_NEG:
        *ret_y = -x;
        return true;
    case MLS__UNARY_ABS:
        *ret_y = fabsf(x);
        return true;
    case MLS__UNARY_SQRT:
        *ret_y = sqrtf(x);
        return true;
    case MLS__UNARY_RECIPROCAL:
        *ret_y = 1.0f / x;
        return true;
    case MLS__UNARY_FLOOR:
        *ret_y = floorf(x);
        return true;
    case MLS__UNARY_CEIL:
        *ret_y = ceilf(x);
        return true;
    case MLS__UNARY_ROUND:
        *ret_y = rintf(x);
        return true;
    case MLS__UNARY_SIGN:
        *ret_y = isnan(x) ? x : (float) ((x > 0) - (x < 0));
        return true;
    case MLS__UNARY_RELU:
        *ret_y = x < 0 ? 0 : x;
        return true;
    case MLS__UNARY_LEAKY_RELU:
        *ret_y = x < 0 ? a * x : x;
        return true;
    case MLS__UNARY_THRESHOLDED_RELU:
        *ret_y = x <= a ? 0 : x;
        return true;
    case MLS__UNARY_CLIP:
        *ret_y = clip(x, a, b);
        return true;
    case MLS__UNARY_HARD_SIGMOID:
        *ret_y = clip(fmaf(a, x, b), 0, 1);
        return true;
    case MLS__UNARY_HARD_SWISH:
        *ret_y = x == -INFINITY ? -0.0f : x * clip(fmaf(1.0f / 6.0f, x, 0.5f), 0, 1);
        return true;
    case MLS__UNARY_SOFTSIGN:
        *ret_y = isinf(x) ? copysignf(1, x) : x / (1 + fabsf(x));
        return true;
    default:
        return false;
    }
}

START_TEST(unary_definitions)
{
    const mls__elementwise_kernels *set = set_at(_i);
    float x[512], y[512];
    fill(x, 512, 3);
    for (int op = 0; set && op < MLS__UNARY_COUNT; op++) {
        set->unary[op](y, x, 512, params[op]);
        for (int i = 0; i < 512; i++) {
            float expected;
            if (unary_reference((mls__unary_op) op, x[i], &expected))
                EXPECT_MSG(same(y[i], expected), "op %d of %a is %a, expected %a", op,
                           (double) x[i], (double) y[i], (double) expected);
        }
    }
}
END_TEST

START_TEST(unary_runs)
{
    const mls__elementwise_kernels *set = set_at(_i), *portable = set_at(0);
    float x[LONGEST], one_by_one[LONGEST];
    float y[LONGEST + 2 * GUARD];
    for (int op = 0; set && op < MLS__UNARY_COUNT; op++) {
        fill(x, LONGEST, (uint32_t) op);
        for (int i = 0; i < LONGEST; i++)
            portable->unary[op](&one_by_one[i], &x[i], 1, params[op]);
        for (int n = 0; n <= LONGEST; n++) {
            float *at = y + n % GUARD; /* in place, at any alignment */
            for (int i = 0; i < LONGEST + 2 * GUARD; i++)
                y[i] = -77.0f;
            memcpy(at, x, (size_t) n * sizeof *x);
            set->unary[op](at, at, n, params[op]);
            for (int i = 0; i < n; i++)
                EXPECT_MSG(same(at[i], one_by_one[i]), "op %d, n %d, element %d", op, n, i);
            EXPECT(at[n] == -77.0f);
        }
    }
}
END_TEST

/* --- binary ---------------------------------------------------------------------------------- */

static float binary_reference(mls__binary_op op, float a, float b)
{
    switch (op) {
    case MLS__BINARY_ADD:
        return a + b;
    case MLS__BINARY_SUB:
        return a - b;
    case MLS__BINARY_MUL:
        return a * b;
    case MLS__BINARY_DIV:
        return a / b;
    case MLS__BINARY_MIN:
        return isnan(a) ? a : a < b ? a : b;
    case MLS__BINARY_MAX:
        return isnan(a) ? a : a > b ? a : b;
    case MLS__BINARY_POW: /* test_f64.c has its values */
        return (float) mls__f64_pow((double) a, (double) b);
    default:
        return a < 0 ? a * b : a;
    }
}

/* Each form: vectors, scalar left, scalar right, both; in place of the left or the right. */
START_TEST(binary_runs)
{
    const mls__elementwise_kernels *set = set_at(_i);
    float a[LONGEST], b[LONGEST], x[LONGEST + GUARD], y[LONGEST + GUARD];
    for (int op = 0; set && op < MLS__BINARY_COUNT; op++)
        for (int n = 0; n <= LONGEST; n++)
            for (int form = 0; form < 8; form++) {
                const int a_step = form & 1, b_step = form >> 1 & 1, left = form >> 2;
                fill(a, LONGEST, (uint32_t) (n + 100));
                fill(b, LONGEST, (uint32_t) (n + 200));
                memcpy(x, left ? a : b, sizeof a);
                for (int i = n; i < LONGEST + GUARD; i++)
                    x[i] = -77.0f;
                /* A scalar in place of the result is read before it is written. */
                if (n == 0)
                    set->binary[op](x, NULL, a_step, NULL, b_step, 0);
                else
                    set->binary[op](x, left ? x : a, a_step, left ? b : x, b_step, n);
                memcpy(y, x, sizeof y);
                for (int i = 0; i < n; i++) {
                    const float expected =
                        binary_reference((mls__binary_op) op, a[i * a_step], b[i * b_step]);
                    EXPECT_MSG(same(y[i], expected), "op %d, n %d, form %d, element %d: %a, not %a",
                               op, n, form, i, (double) y[i], (double) expected);
                }
                EXPECT(y[n] == -77.0f);
            }
}
END_TEST

/* --- comparisons and selection --------------------------------------------------------------- */

static bool compare_reference(mls__compare_op op, float a, float b)
{
    switch (op) {
    case MLS__COMPARE_EQUAL:
        return a == b;
    case MLS__COMPARE_LESS:
        return a < b;
    case MLS__COMPARE_LESS_EQUAL:
        return a <= b;
    case MLS__COMPARE_GREATER:
        return a > b;
    default:
        return a >= b;
    }
}

START_TEST(compare_runs)
{
    const mls__elementwise_kernels *set = set_at(_i);
    float a[LONGEST], b[LONGEST];
    uint8_t y[LONGEST + 1];
    for (int op = 0; set && op < MLS__COMPARE_COUNT; op++)
        for (int n = 0; n <= LONGEST; n++)
            for (int form = 0; form < 4; form++) {
                const int a_step = form & 1, b_step = form >> 1;
                fill(a, LONGEST, (uint32_t) (n + 7));
                fill(b, LONGEST, (uint32_t) (n + 8));
                for (int i = 0; i < LONGEST; i += 4)
                    b[i] = a[i];
                memset(y, 0xaa, sizeof y);
                set->compare[op](y, a, a_step, b, b_step, n);
                for (int i = 0; i < n; i++)
                    EXPECT(y[i] ==
                           compare_reference((mls__compare_op) op, a[i * a_step], b[i * b_step]));
                EXPECT(y[n] == 0xaa);
            }
}
END_TEST

START_TEST(nan_and_inf)
{
    const mls__elementwise_kernels *set = set_at(_i);
    float x[LONGEST];
    uint8_t y[LONGEST + 1];
    for (int n = 0; set && n <= LONGEST; n++) {
        fill(x, LONGEST, (uint32_t) n);
        memset(y, 0xaa, sizeof y);
        set->is_nan(y, x, n);
        for (int i = 0; i < n; i++)
            EXPECT(y[i] == (isnan(x[i]) != 0));
        EXPECT(y[n] == 0xaa);
        for (int kind = 0; kind < 4; kind++) {
            set->is_inf(y, x, n, kind & 1, kind >> 1);
            for (int i = 0; i < n; i++)
                EXPECT(y[i] == ((x[i] == INFINITY && kind & 1) || (x[i] == -INFINITY && kind & 2)));
            EXPECT(y[n] == 0xaa);
        }
    }
}
END_TEST

START_TEST(where_runs)
{
    const mls__elementwise_kernels *set = set_at(_i);
    float a[LONGEST], b[LONGEST], y[LONGEST + 1];
    uint8_t condition[LONGEST];
    uint32_t state = 5;
    for (int n = 0; set && n <= LONGEST; n++)
        for (int form = 0; form < 8; form++) {
            const int c_step = form & 1, a_step = form >> 1 & 1, b_step = form >> 2;
            fill(a, LONGEST, (uint32_t) n);
            fill(b, LONGEST, (uint32_t) (n + 1));
            for (int i = 0; i < LONGEST; i++)
                condition[i] = (uint8_t) (next_random(&state) % 3);
            y[n] = -77.0f;
            set->where(y, condition, c_step, a, a_step, b, b_step, n);
            for (int i = 0; i < n; i++)
                EXPECT(same(y[i], condition[i * c_step] ? a[i * a_step] : b[i * b_step]));
            EXPECT(y[n] == -77.0f);
        }
}
END_TEST

/* --- 16-bit floats: test_simd.c has their values, this the runs ------------------------------- */

START_TEST(sixteen_bit_runs)
{
    const mls__elementwise_kernels *set = set_at(_i);
    uint16_t half[LONGEST], out[LONGEST + 1];
    float wide[LONGEST + 1];
    for (int i = 0; i < LONGEST; i++)
        half[i] = (uint16_t) (0x3c00 + 64 * i);
    for (int n = 0; set && n <= LONGEST; n++) {
        wide[n] = -77.0f;
        out[n] = 0xaaaa;
        set->f16_to_f32(wide, half, n);
        for (int i = 0; i < n; i++)
            EXPECT(wide[i] == ldexpf(1.0f + (float) (i % 16) / 16.0f, i / 16));
        set->f32_to_f16(out, wide, n);
        EXPECT(memcmp(out, half, (size_t) n * sizeof *half) == 0);
        EXPECT(wide[n] == -77.0f && out[n] == 0xaaaa);
        set->bf16_to_f32(wide, half, n);
        for (int i = 0; i < n; i++)
            EXPECT(bits_of(wide[i]) == (uint32_t) half[i] << 16);
        set->f32_to_bf16(out, wide, n);
        EXPECT(memcmp(out, half, (size_t) n * sizeof *half) == 0);
        EXPECT(wide[n] == -77.0f && out[n] == 0xaaaa);
    }
}
END_TEST

/* As if narrowed and widened; what is behind stays. */
START_TEST(sixteen_bit_rounds)
{
    enum { MOST = 600 };
    const mls__elementwise_kernels *set = set_at(_i);
    uint16_t half[MOST];
    float x[MOST], y[MOST + 1], expected[MOST];
    fill(x, MOST, 9);
    for (int n = 0; set && n <= MOST; n += n < 40 ? 1 : 37) {
        memcpy(y, x, sizeof x);
        y[n] = -77.1f;
        set->f32_to_f16(half, x, n);
        set->f16_to_f32(expected, half, n);
        set->f16_round(y, n);
        EXPECT(memcmp(y, expected, (size_t) n * sizeof *y) == 0 && y[n] == -77.1f);
        memcpy(y, x, (size_t) n * sizeof *x);
        set->f32_to_bf16(half, x, n);
        set->bf16_to_f32(expected, half, n);
        set->bf16_round(y, n);
        EXPECT(memcmp(y, expected, (size_t) n * sizeof *y) == 0 && y[n] == -77.1f);
    }
}
END_TEST

START_TEST(tables_are_complete)
{
    const mls__elementwise_kernels *set = set_at(_i);
    for (int op = 0; set && op < MLS__UNARY_COUNT; op++)
        EXPECT(set->unary[op] != NULL);
    for (int op = 0; set && op < MLS__BINARY_COUNT; op++)
        EXPECT(set->binary[op] != NULL);
    for (int op = 0; set && op < MLS__COMPARE_COUNT; op++)
        EXPECT(set->compare[op] != NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/elementwise");
    TCase *tests = tcase_create("runs");
    tcase_add_loop_test(tests, tables_are_complete, 0, SETS);
    tcase_add_loop_test(tests, unary_definitions, 0, SETS);
    tcase_add_loop_test(tests, unary_runs, 0, SETS);
    tcase_add_loop_test(tests, binary_runs, 0, SETS);
    tcase_add_loop_test(tests, compare_runs, 0, SETS);
    tcase_add_loop_test(tests, nan_and_inf, 0, SETS);
    tcase_add_loop_test(tests, where_runs, 0, SETS);
    tcase_add_loop_test(tests, sixteen_bit_runs, 0, SETS);
    tcase_add_loop_test(tests, sixteen_bit_rounds, 0, SETS);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
