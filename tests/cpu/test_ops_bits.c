/* SPDX-License-Identifier: Apache-2.0 */
/* Remainders, shifts and bitwise ops, Shrink and BitCast, against one element at a time. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define N            300

static const mls_dtype floats[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64};
static const mls_dtype integers[] = {MLS_INT8,  MLS_INT16,  MLS_INT32,  MLS_INT64,
                                     MLS_UINT8, MLS_UINT16, MLS_UINT32, MLS_UINT64};

/* --- two integers ---------------------------------------------------------------------------- */

static int64_t floor_mod(int64_t a, int64_t b)
{
    const int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static int64_t of_mod(mls_dtype dtype, int64_t a, int64_t b)
{
    if (dtype == MLS_UINT64)
        return (int64_t) ((uint64_t) a % (uint64_t) b);
    return b == -1 ? 0 : floor_mod(a, b);
}

static int64_t of_fmod(mls_dtype dtype, int64_t a, int64_t b)
{
    if (dtype == MLS_UINT64)
        return (int64_t) ((uint64_t) a % (uint64_t) b);
    return b == -1 ? 0 : a % b;
}

static int64_t of_left(mls_dtype dtype, int64_t a, int64_t b)
{
    (void) dtype;
    return (uint64_t) b > 63 ? 0 : (int64_t) ((uint64_t) a << b);
}

static int64_t of_right(mls_dtype dtype, int64_t a, int64_t b)
{
    (void) dtype;
    return (uint64_t) b > 63 ? 0 : (int64_t) ((uint64_t) a >> b);
}

static int64_t of_and(mls_dtype dtype, int64_t a, int64_t b)
{
    (void) dtype;
    return a & b;
}

static int64_t of_or(mls_dtype dtype, int64_t a, int64_t b)
{
    (void) dtype;
    return a | b;
}

static int64_t of_xor(mls_dtype dtype, int64_t a, int64_t b)
{
    (void) dtype;
    return a ^ b;
}

static const struct integer_op {
    const char *type, *direction;
    int fmod;
    bool is_division, is_shift;
    int64_t (*of)(mls_dtype dtype, int64_t a, int64_t b);
} integer_ops[] = {
    {"Mod", NULL, 0, true, false, of_mod},         {"Mod", NULL, 1, true, false, of_fmod},
    {"BitShift", "LEFT", 0, false, true, of_left}, {"BitShift", "RIGHT", 0, false, true, of_right},
    {"BitwiseAnd", NULL, 0, false, false, of_and}, {"BitwiseOr", NULL, 0, false, false, of_or},
    {"BitwiseXor", NULL, 0, false, false, of_xor},
};

/* Divisors are not 0; half of the shifts are by fewer bits than there are. */
static void set_operand(const struct integer_op *op, mls_dtype dtype, void *b, int64_t i)
{
    const int64_t value = op_integer(dtype, b, i);
    if (op->is_division && value == 0)
        op_integer_set(dtype, b, i, 7);
    if (op->is_division && i % 3 == 0)
        op_integer_set(dtype, b, i, 3 - 2 * (i % 4));
    if (op->is_shift && i % 2)
        op_integer_set(dtype, b, i, i % 70);
}

static op_test *integer_test(const struct integer_op *op, mls_dtype dtype, const void *a,
                             int64_t b_count, const void *b)
{
    op_test *test = op_test_create("", op->type);
    if (op->direction)
        op_test_string(test, "direction", op->direction);
    if (op->fmod)
        op_test_int(test, "fmod", op->fmod);
    op_test_input(test, dtype, OP_DIMS(N), a);
    op_test_input(test, dtype, OP_DIMS(b_count), b);
    return test;
}

static void check_integers(const struct integer_op *op, mls_dtype dtype)
{
    uint64_t a[N], b[N], y[N];
    op_fill(dtype, a, N, 1);
    op_fill(dtype, b, N, 2);
    for (int64_t i = 0; i < N; i++)
        set_operand(op, dtype, b, i);
    for (int64_t b_count = N; b_count > 0; b_count -= N - 1) {
        for (int64_t i = 0; i < N; i++)
            op_integer_set(
                dtype, y, i,
                op->of(dtype, op_integer(dtype, a, i), op_integer(dtype, b, b_count == 1 ? 0 : i)));
        op_test *test = integer_test(op, dtype, a, b_count, b);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, dtype, OP_DIMS(N), y);
        op_test_free(test);
    }
}

START_TEST(integers_by_one_element)
{
    const struct integer_op *op = &integer_ops[_i];
    for (size_t d = 0; d < COUNT(integers); d++)
        if (!op->is_shift || !op_is_signed(integers[d]))
            check_integers(op, integers[d]);
}
END_TEST

START_TEST(remainders_of_the_least_number)
{
    const int64_t a[] = {INT64_MIN, INT64_MIN, -7, 7, -7}, b[] = {-1, INT64_MIN, 3, -3, -3};
    const int64_t python[] = {0, 0, 2, -2, -1}, c[] = {0, 0, -1, 1, -1};
    for (int fmod = 0; fmod < 2; fmod++) {
        op_test *test = op_test_create("", "Mod");
        op_test_int(test, "fmod", fmod);
        op_test_input(test, MLS_INT64, OP_DIMS(5), a);
        op_test_input(test, MLS_INT64, OP_DIMS(5), b);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_INT64, OP_DIMS(5), fmod ? c : python);
        op_test_free(test);
    }
}
END_TEST

START_TEST(refused)
{
    const int32_t zeros[2] = {0};
    op_test *test = op_test_create("", "Mod");
    op_test_input(test, MLS_INT32, OP_DIMS(2), zeros);
    op_test_input(test, MLS_INT32, OP_DIMS(2), zeros);
    ck_assert_fails(op_test_run(test), MLS_ERANGE, "an integer is divided by zero");
    op_test_free(test);
    test = op_test_create("", "Mod");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2), zeros);
    ck_assert_fails(op_test_run(test), MLS_EINVAL, "takes fmod=1");
    op_test_free(test);
    test = op_test_create("", "BitShift");
    op_test_string(test, "direction", "UP");
    op_test_input(test, MLS_UINT32, OP_DIMS(2), zeros);
    op_test_input(test, MLS_UINT32, OP_DIMS(2), zeros);
    ck_assert_fails(op_test_run(test), MLS_EINVAL, "direction is 'UP', expected 'LEFT'");
    op_test_free(test);
    test = op_test_create("", "BitCast");
    op_test_int(test, "to", MLS_INT64);
    op_test_input(test, MLS_INT32, OP_DIMS(2), zeros);
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "int32 has not the bits of int64");
    op_test_free(test);
}
END_TEST

/* --- remainders of floats -------------------------------------------------------------------- */

START_TEST(remainders_of_floats)
{
    const mls_dtype dtype = floats[_i];
    uint64_t a[N], b[N], y[N];
    op_fill(dtype, a, N, 3);
    op_fill(dtype, b, N, 4);
    for (int64_t i = 0; i < N; i += 2)
        op_float_set(dtype, b, i, (double) (i - 150) / 16);
    for (int64_t i = 0; i < N; i++)
        op_float_set(dtype, y, i, fmod(op_float(dtype, a, i), op_float(dtype, b, i)));
    op_test *test = op_test_create("", "Mod");
    op_test_int(test, "fmod", 1);
    op_test_input(test, dtype, OP_DIMS(N), a);
    op_test_input(test, dtype, OP_DIMS(N), b);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(N), y);
    op_test_free(test);
}
END_TEST

/* --- one input ------------------------------------------------------------------------------- */

START_TEST(bitwise_not)
{
    for (size_t d = 0; d < COUNT(integers); d++) {
        uint64_t x[N], y[N];
        op_fill(integers[d], x, N, d);
        for (int64_t i = 0; i < N; i++)
            op_integer_set(integers[d], y, i, ~op_integer(integers[d], x, i));
        op_test *test = op_test_create("", "BitwiseNot");
        op_test_input(test, integers[d], OP_DIMS(N), x);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, integers[d], OP_DIMS(N), y);
        op_test_free(test);
    }
}
END_TEST

static double shrunk(double x, double lambd, double bias)
{
    if (isnan(x))
        return x;
    return x < -lambd ? x + bias : x > lambd ? x - bias : 0;
}

/* Quarters: float32 and the 16-bit ones have all of them. */
START_TEST(shrink)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64,
                                       MLS_INT8,    MLS_INT16,    MLS_INT32,   MLS_INT64,
                                       MLS_UINT8,   MLS_UINT16,   MLS_UINT32,  MLS_UINT64};
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        uint64_t x[64], y[64];
        for (int64_t i = 0; i < 64; i++) {
            const double value =
                op_is_float(dtypes[d]) ? (double) (i - 32) / 4 : (double) (i % 32 - 16);
            if (op_is_float(dtypes[d])) {
                op_float_set(dtypes[d], x, i, i == 5 ? (double) NAN : value);
                op_float_set(dtypes[d], y, i, shrunk(op_float(dtypes[d], x, i), 1.5, 0.75));
            } else {
                op_integer_set(dtypes[d], x, i, op_is_signed(dtypes[d]) ? (int64_t) value : i);
                op_integer_set(dtypes[d], y, i,
                               (int64_t) shrunk((double) op_integer(dtypes[d], x, i), 1.5, 0.75));
            }
        }
        op_test *test = op_test_create("", "Shrink");
        op_test_float(test, "lambd", 1.5f);
        op_test_float(test, "bias", 0.75f);
        op_test_input(test, dtypes[d], OP_DIMS(64), x);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, dtypes[d], OP_DIMS(64), y);
        op_test_free(test);
    }
}
END_TEST

START_TEST(bit_cast)
{
    const float x[] = {1.0f, -2.5f, INFINITY};
    const uint32_t y[] = {0x3f800000, 0xc0200000, 0x7f800000};
    op_test *test = op_test_create("", "BitCast");
    op_test_int(test, "to", MLS_UINT32);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(3, 1), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_UINT32, OP_DIMS(3, 1), y);
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_bits");
    TCase *tests = tcase_create("bits");
    tcase_add_loop_test(tests, integers_by_one_element, 0, COUNT(integer_ops));
    tcase_add_test(tests, remainders_of_the_least_number);
    tcase_add_test(tests, refused);
    tcase_add_loop_test(tests, remainders_of_floats, 0, COUNT(floats));
    tcase_add_test(tests, bitwise_not);
    tcase_add_test(tests, shrink);
    tcase_add_test(tests, bit_cast);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
