/* SPDX-License-Identifier: Apache-2.0 */
/* Every pair of dtypes, against conversions that are worked out one element at a time. */
#include "cpu/cast_test.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- numbers of 8 bits and more -------------------------------------------------------------- */

/* What x86-64's truncating conversions give: the most negative number where it does not fit. */
static int64_t truncated(double value, double limit, int64_t otherwise)
{
    return value >= -limit && value < limit ? (int64_t) value : otherwise;
}

static int64_t integer_of_float(mls_dtype to, double value)
{
    const double whole = trunc(value);
    if (to == MLS_INT64 || to == MLS_UINT32)
        return truncated(whole, 0x1p63, INT64_MIN);
    if (to != MLS_UINT64)
        return truncated(whole, 0x1p31, INT32_MIN);
    if (whole >= 0x1p64)
        return 0;
    return whole >= 0x1p63 ? (int64_t) (uint64_t) whole : truncated(whole, 0x1p63, INT64_MIN);
}

/* The 16-bit float nearest to an integer: the neighbours of one that rounded twice. */
static void half_of_integer(mls_dtype to, uint16_t *y, int64_t i, long double value)
{
    uint16_t best, next;
    op_float_set(to, &best, 0, (double) value);
    if (isinf(op_float(to, &best, 0))) { /* no integer is near enough to the limit to matter */
        y[i] = best;
        return;
    }
    for (int step = -1; step <= 1; step += 2) {
        next = (uint16_t) (best + step);
        const long double a = fabsl(op_float(to, &best, 0) - value);
        const long double b = fabsl(op_float(to, &next, 0) - value);
        if (b < a || (b == a && !(next & 1)))
            best = next;
    }
    y[i] = best;
}

static void float_of_integer(mls_dtype from, mls_dtype to, void *y, int64_t i, int64_t value)
{
    const uint64_t u = (uint64_t) value;
    const bool is_unsigned = from == MLS_UINT64;
    if (to == MLS_FLOAT32)
        ((float *) y)[i] = is_unsigned ? (float) u : (float) value;
    else if (to == MLS_FLOAT64)
        ((double *) y)[i] = is_unsigned ? (double) u : (double) value;
    else if (value == 0)
        ((uint16_t *) y)[i] = 0;
    else
        half_of_integer(to, y, i, is_unsigned ? (long double) u : (long double) value);
}

static void convert(mls_dtype from, mls_dtype to, const void *x, void *y, int64_t i)
{
    if (op_is_float(from)) {
        const double value = op_float(from, x, i);
        if (op_is_float(to))
            op_float_set(to, y, i, value);
        else if (to == MLS_BOOL)
            ((uint8_t *) y)[i] = value != 0;
        else
            op_integer_set(to, y, i, integer_of_float(to, value));
        return;
    }
    const int64_t value = op_integer(from, x, i);
    if (op_is_float(to))
        float_of_integer(from, to, y, i, value);
    else
        op_integer_set(to, y, i, to == MLS_BOOL ? value != 0 : value);
}

START_TEST(numbers_to_numbers)
{
    uint64_t x[N], y[N];
    const mls_dtype from = numbers[_i];
    for (size_t t = 0; t < COUNT(numbers); t++) {
        op_fill(from, x, N, t + 1);
        for (int64_t i = 0; i < N; i++)
            convert(from, numbers[t], x, y, i);
        check_cast(from, numbers[t], N, x, y);
    }
}
END_TEST

START_TEST(out_of_range)
{
    const float x[] = {3e9f, -3e9f, 1e20f, -1e20f, NAN, INFINITY, -1.5f, 300.7f, 70000.f, 5e9f};
    const int32_t i32[] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN,
                           INT32_MIN, -1,        300,       70000,     INT32_MIN};
    const int64_t i64[] = {3000000000, -3000000000, INT64_MIN, INT64_MIN, INT64_MIN,
                           INT64_MIN,  -1,          300,       70000,     5000000000};
    const uint8_t u8[] = {0, 0, 0, 0, 0, 0, 255, 44, 112, 0};
    const uint64_t u64[] = {3000000000,
                            UINT64_MAX - 2999999999,
                            0,
                            UINT64_C(1) << 63,
                            UINT64_C(1) << 63,
                            0,
                            UINT64_MAX,
                            300,
                            70000,
                            5000000000};
    check_cast(MLS_FLOAT32, MLS_INT32, 10, x, i32);
    check_cast(MLS_FLOAT32, MLS_INT64, 10, x, i64);
    check_cast(MLS_FLOAT32, MLS_UINT8, 10, x, u8);
    check_cast(MLS_FLOAT32, MLS_UINT64, 10, x, u64);
}
END_TEST

/* A tie by all but its last bit: a stop at float64 on the way would lose that. */
START_TEST(integers_round_once)
{
    const int64_t tie = (INT64_C(1) << 62) + (INT64_C(1) << 54);
    check_cast(MLS_INT64, MLS_BFLOAT16, 4, ((int64_t[]){tie, tie + 1, -tie, -tie - 1}),
               ((uint16_t[]){0x5e80, 0x5e81, 0xde80, 0xde81}));
    check_cast(MLS_UINT64, MLS_BFLOAT16, 2, ((int64_t[]){tie, tie + 1}),
               ((uint16_t[]){0x5e80, 0x5e81}));
    check_cast(MLS_FLOAT32, MLS_INT64, 2, ((float[]){-0x1.8p62f, 0x1.8p62f}),
               ((int64_t[]){-(INT64_C(3) << 61), INT64_C(3) << 61}));
}
END_TEST

/* --- floats of 8 and 4 bits ------------------------------------------------------------------ */

static const struct small_float {
    mls_dtype dtype;
    int bits, fraction_bits, bias;
    int nan, infinity; /* their codes; -1: none */
    int nothing;       /* the code that is NaN instead of -0; -1: none */
} small_floats[] = {
    {MLS_FLOAT8E4M3FN, 8, 3, 7, 0x7f, -1, -1},  {MLS_FLOAT8E4M3FNUZ, 8, 3, 8, 0x80, -1, 0x80},
    {MLS_FLOAT8E5M2, 8, 2, 15, 0x7e, 0x7c, -1}, {MLS_FLOAT8E5M2FNUZ, 8, 2, 16, 0x80, -1, 0x80},
    {MLS_FLOAT4E2M1, 4, 1, 1, 0x8, -1, -1},
};

static double small_value(const struct small_float *f, int code)
{
    const int sign = 1 << (f->bits - 1);
    const int magnitude = code & (sign - 1);
    const int exponent = magnitude >> f->fraction_bits;
    const double fraction = ldexp(magnitude & ((1 << f->fraction_bits) - 1), -f->fraction_bits);
    const double value =
        exponent ? ldexp(1 + fraction, exponent - f->bias) : ldexp(fraction, 1 - f->bias);
    if (code == f->nothing)
        return NAN;
    if (f->bits == 8 && f->nothing < 0 && magnitude >= (f->infinity < 0 ? f->nan : f->infinity))
        return magnitude == f->infinity ? (code & sign ? -(double) INFINITY : (double) INFINITY)
                                        : (double) NAN;
    return code & sign ? -value : value;
}

START_TEST(small_floats_to_floats)
{
    const struct small_float *f = &small_floats[_i];
    uint8_t x[256];
    float y[256];
    double wide[256];
    for (int code = 0; code < 1 << f->bits; code++) {
        x[code] = (uint8_t) code;
        wide[code] = small_value(f, code);
        y[code] = (float) wide[code];
    }
    check_cast(f->dtype, MLS_FLOAT32, 1 << f->bits, x, y);
    check_cast(f->dtype, MLS_FLOAT64, 1 << f->bits, x, wide);
}
END_TEST

/* The code of the finite magnitude nearest to one, ties to even. */
static int nearest_code(const struct small_float *f, int largest, double magnitude)
{
    int best = 0;
    for (int code = 1; code <= largest; code++) {
        const double was = fabs(magnitude - small_value(f, best));
        const double is = fabs(magnitude - small_value(f, code));
        if (is < was || (is == was && !(code & 1)))
            best = code;
    }
    return best;
}

static uint8_t small_code(const struct small_float *f, double value, bool saturate)
{
    const int sign = 1 << (f->bits - 1);
    const int negative = signbit(value) ? sign : 0;
    int largest = sign - 1;
    while (!isfinite(small_value(f, largest)))
        largest--;
    if (isnan(value))
        return (uint8_t) (f->nan | negative);
    /* Half a step past the largest: a tie goes to the even code, the one past an odd largest. */
    const double limit = small_value(f, largest);
    const double end = limit + (limit - small_value(f, largest - 1)) / 2;
    if (fabs(value) > end || (fabs(value) == end && (largest & 1))) {
        const int past = f->infinity >= 0 ? f->infinity : f->nan;
        return (uint8_t) ((saturate ? largest : past) | negative);
    }
    const int code = nearest_code(f, largest, fabs(value));
    return code == 0 && f->nothing >= 0 ? 0 : (uint8_t) (code | negative);
}

static void check_small(const struct small_float *f, mls_dtype from, const void *x, bool saturate)
{
    uint8_t y[N];
    for (int64_t i = 0; i < N; i++)
        y[i] = small_code(f, op_float(from, x, i), saturate || f->bits < 8);
    op_test *test = cast_test(from, f->dtype, N, x);
    if (!saturate)
        op_test_int(test, "saturate", 0);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, f->dtype, OP_DIMS(N), y);
    op_test_free(test);
}

START_TEST(floats_to_small_floats)
{
    const struct small_float *f = &small_floats[_i];
    double x[N];
    uint64_t seed = 7;
    for (size_t t = 0; t < 4; t++) {
        op_fill(numbers[t], x, N, t);
        for (int64_t i = 0; i < N; i += 3) /* every code, what is near it, and half-way */
            op_float_set(numbers[t], x, i,
                         small_value(f, (int) (op_random(&seed) & 0xff) & ((1 << f->bits) - 1)) *
                             (1 + (double) (i % 5 - 2) / 16));
        check_small(f, numbers[t], x, true);
        check_small(f, numbers[t], x, false);
    }
}
END_TEST

static void check_powers(const char *round_mode, bool saturate, const uint8_t *expected)
{
    static const float x[] = {1.0f,     2.5f, 3.0f,      3.5f,     -4.0f,      0.0f,
                              INFINITY, NAN,  0x1p-127f, 0x1p127f, 0x1.8p127f, 0x1p-128f};
    op_test *test = cast_test(MLS_FLOAT32, MLS_FLOAT8E8M0, 12, x);
    op_test_string(test, "round_mode", round_mode);
    op_test_int(test, "saturate", saturate);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT8E8M0, OP_DIMS(12), expected);
    op_test_free(test);
}

START_TEST(powers_of_two)
{
    const uint8_t up[] = {127, 129, 129, 129, 129, 0, 254, 255, 0, 254, 254, 0};
    const uint8_t down[] = {127, 128, 128, 128, 129, 0, 254, 255, 0, 254, 254, 0};
    const uint8_t nearest[] = {127, 128, 129, 129, 129, 255, 255, 255, 0, 254, 255, 255};
    check_powers("up", true, up);
    check_powers("down", true, down);
    check_powers("nearest", false, nearest);
    check_cast(MLS_FLOAT8E8M0, MLS_FLOAT32, 5, ((uint8_t[]){0, 127, 130, 254, 255}),
               ((float[]){0x1p-127f, 1, 8, 0x1p127f, NAN}));
}
END_TEST

/* --- integers of 4 and 2 bits ---------------------------------------------------------------- */

START_TEST(narrow_integers_keep_their_low_bits)
{
    const float x[] = {-9, -8, -1.9f, 0, 1, 2.7f, 7, 8, 15, 100, NAN};
    const int64_t wide[] = {-9, -8, -1, 0, 1, 2, 7, 8, 15, 100, INT64_MIN};
    const int8_t i4[] = {7, -8, -1, 0, 1, 2, 7, -8, -1, 4, 0};
    const uint8_t u4[] = {7, 8, 15, 0, 1, 2, 7, 8, 15, 4, 0};
    const int8_t i2[] = {-1, 0, -1, 0, 1, -2, -1, 0, -1, 0, 0};
    const uint8_t u2[] = {3, 0, 3, 0, 1, 2, 3, 0, 3, 0, 0};
    check_cast(MLS_FLOAT32, MLS_INT4, 11, x, i4);
    check_cast(MLS_FLOAT32, MLS_UINT4, 11, x, u4);
    check_cast(MLS_FLOAT32, MLS_INT2, 11, x, i2);
    check_cast(MLS_FLOAT32, MLS_UINT2, 11, x, u2);
    check_cast(MLS_INT64, MLS_INT4, 11, wide, i4);
    check_cast(MLS_INT64, MLS_UINT4, 11, wide, u4);
    check_cast(MLS_INT64, MLS_INT2, 11, wide, i2);
    check_cast(MLS_INT64, MLS_UINT2, 11, wide, u2);
    check_cast(MLS_UINT64, MLS_INT4, 11, wide, i4);
    check_cast(MLS_INT4, MLS_FLOAT32, 3, i4, ((float[]){7, -8, -1}));
    check_cast(MLS_UINT4, MLS_INT64, 3, u4, ((int64_t[]){7, 8, 15}));
    check_cast(MLS_INT2, MLS_INT8, 3, i2, ((int8_t[]){-1, 0, -1}));
    check_cast(MLS_UINT2, MLS_FLOAT16, 3, u2, ((uint16_t[]){0x4200, 0, 0x4200}));
}
END_TEST

/* --- the rest -------------------------------------------------------------------------------- */

START_TEST(cast_like)
{
    op_test *test = op_test_create("", "CastLike");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 2), ((float[]){1.5f, -2, 300, 0}));
    op_test_planned(test, OP_DIMS(20, 2), NULL);
    op_test_input(test, MLS_INT8, OP_DIMS(0), NULL);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT8, OP_DIMS(2, 2), ((int8_t[]){1, -2, 44, 0}));
    op_test_free(test);
}
END_TEST

START_TEST(threads_share_large_casts)
{
    const int64_t count = 100003;
    float *x = malloc((size_t) count * sizeof *x);
    void *y = malloc((size_t) count * 8);
    op_fill(MLS_FLOAT32, x, count, 3);
    for (size_t t = 0; t < COUNT(numbers); t++) {
        for (int64_t i = 0; i < count; i++)
            convert(MLS_FLOAT32, numbers[t], x, y, i);
        check_cast(MLS_FLOAT32, numbers[t], count, x, y);
    }
    free(x);
    free(y);
}
END_TEST

START_TEST(empty_and_scalar)
{
    check_cast(MLS_FLOAT32, MLS_INT64, 0, NULL, NULL);
    check_cast(MLS_FLOAT32, MLS_STRING, 0, NULL, NULL);
    check_cast(MLS_STRING, MLS_FLOAT32, 0, NULL, NULL);
    op_test *test = op_test_create("", "Cast");
    op_test_input(test, MLS_INT32, OP_SCALAR, ((int32_t[]){7}));
    op_test_int(test, "to", MLS_FLOAT32);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_SCALAR, ((float[]){7}));
    op_test_free(test);
}
END_TEST

START_TEST(attributes_are_checked)
{
    op_test *test = cast_test(MLS_INT32, (mls_dtype) 14, 1, ((int32_t[]){7}));
    ck_assert_fails(op_test_infer(test), MLS_EUNSUPPORTED, "data type 14");
    op_test_free(test);
    test = cast_test(MLS_INT32, MLS_FLOAT8E8M0, 1, ((int32_t[]){7}));
    op_test_string(test, "round_mode", "sideways");
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "round_mode is 'sideways'");
    op_test_free(test);
    test = op_test_create("", "Cast");
    op_test_input(test, MLS_INT32, OP_SCALAR, ((int32_t[]){7}));
    ck_assert_fails(op_test_infer(test), MLS_EFORMAT, "'to' (int) is missing");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_cast");
    TCase *tests = tcase_create("cast");
    tcase_add_loop_test(tests, numbers_to_numbers, 0, COUNT(numbers));
    tcase_add_test(tests, out_of_range);
    tcase_add_test(tests, integers_round_once);
    tcase_add_loop_test(tests, small_floats_to_floats, 0, COUNT(small_floats));
    tcase_add_loop_test(tests, floats_to_small_floats, 0, COUNT(small_floats));
    tcase_add_test(tests, powers_of_two);
    tcase_add_test(tests, narrow_integers_keep_their_low_bits);
    add_cast_strings(tests);
    tcase_add_test(tests, cast_like);
    tcase_add_test(tests, threads_share_large_casts);
    tcase_add_test(tests, empty_and_scalar);
    tcase_add_test(tests, attributes_are_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
