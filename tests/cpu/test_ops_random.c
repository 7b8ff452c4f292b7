/* SPDX-License-Identifier: Apache-2.0 */
/* Random ops: which numbers they draw, how those are spread, and what is made of them. */
#include "backend/cpu/math/turn.h"
#include "base/rng.h"
#include "cpu/op_harness.h"
#include "cpu/op_parts.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 40000
/* Of a mean of that many: a fair draw is further off once in 10^9 tries. */
#define SIGMAS 6

static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

static double total(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static void check_mean(double mean, double expected, double deviation, int64_t n)
{
    ck_assert_msg(fabs(mean - expected) <= SIGMAS * deviation / sqrt((double) n),
                  "a mean of %g, expected %g", mean, expected);
}

/* --- turns ------------------------------------------------------------------------------------ */

START_TEST(turns_are_accurate)
{
    const long double pi = acosl(-1.0L);
    uint64_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        const uint64_t n = op_random(&seed) % (i % 3 ? 1000 : UINT64_C(1) << 59) + 1;
        const uint64_t k = op_random(&seed) % n;
        double x, y;
        mls__f64_turn(k, n, &x, &y);
        const long double part = (long double) k / (long double) n;
        mls_test_expect(fabsl((long double) x - cosl(2 * pi * part)) < 0x1p-51L &&
                            fabsl((long double) y - sinl(2 * pi * part)) < 0x1p-51L,
                        "turn %llu of %llu is %.17g, %.17g", (unsigned long long) k,
                        (unsigned long long) n, x, y);
    }
}
END_TEST

START_TEST(eighths_of_a_turn_are_exact)
{
    static const double cosines[] = {1, M_SQRT1_2, 0, -M_SQRT1_2, -1, -M_SQRT1_2, 0, M_SQRT1_2};
    for (uint64_t i = 0; i < 8; i++) {
        double x, y;
        mls__f64_turn(3 * i, 24, &x, &y);
        ck_assert(x == cosines[i] && !(x == 0 && signbit(x)));
        ck_assert(y == cosines[(i + 6) % 8] && !(y == 0 && signbit(y)));
    }
}
END_TEST

START_TEST(angles_that_mirror_each_other_agree)
{
    for (uint64_t n = 1; n < 60; n++)
        for (uint64_t k = 1; k < n; k++) {
            double x, y, mirrored_x, mirrored_y;
            mls__f64_turn(k, n, &x, &y);
            mls__f64_turn(n - k, n, &mirrored_x, &mirrored_y);
            ck_assert(x == mirrored_x && y == -mirrored_y);
        }
}
END_TEST

/* --- RandomUniform, RandomNormal -------------------------------------------------------------- */

static op_test *random_test(const char *type, mls_dtype dtype, int64_t count, float seed)
{
    op_test *t = op_test_create("", type);
    op_test_int(t, "dtype", dtype);
    op_test_ints(t, "shape", 2, (int64_t[]){2, count / 2});
    op_test_float(t, "seed", seed);
    return t;
}

static mls__rng rng_of(float seed)
{
    mls__rng rng = {{0, 0}};
    memcpy(&rng.key[0], &seed, sizeof seed);
    return rng;
}

/* Every dtype: float64 rounded. */
static void check_elements(const op_test *t, mls_dtype dtype, const double *expected, int64_t count)
{
    char *data = malloc((size_t) count * sizeof(double));
    for (int64_t i = 0; i < count; i++)
        op_float_set(dtype, data, i, expected[i]);
    op_test_expect(t, 0, dtype, OP_DIMS(2, count / 2), data);
    free(data);
}

START_TEST(draws_uniform_numbers)
{
    static double numbers[COUNT];
    op_test *t = random_test("RandomUniform", floats[_i], COUNT, 2.5f);
    op_test_float(t, "low", -1.5f);
    op_test_float(t, "high", 2.25f);
    ck_assert_ok(op_test_run(t));
    mls__rng_uniform(rng_of(2.5f), 0, numbers, COUNT);
    for (int i = 0; i < COUNT; i++)
        numbers[i] = -1.5 + numbers[i] * 3.75;
    check_elements(t, floats[_i], numbers, COUNT);
    op_test_free(t);
}
END_TEST

/* The pair at `i` as libm computes it; an element of its own where their count is odd. */
START_TEST(draws_normal_numbers)
{
    static double numbers[COUNT];
    static const int8_t zeros[COUNT];
    mls__rng_uniform(rng_of(-1), 0, numbers, COUNT);
    for (int i = 0; i < COUNT; i += 2) {
        const double radius = sqrt(-2 * log(1 - numbers[i]));
        const double angle = 2 * acos(-1.0) * numbers[i + 1];
        numbers[i] = 3 + 0.5 * radius * cos(angle);
        numbers[i + 1] = 3 + 0.5 * radius * sin(angle);
    }
    for (int64_t count = COUNT; count > 0; count -= COUNT - 1) {
        op_test *t = op_test_create("", "RandomNormalLike");
        op_test_int(t, "dtype", MLS_FLOAT64);
        op_test_float(t, "seed", -1);
        op_test_float(t, "mean", 3);
        op_test_float(t, "scale", 0.5f);
        op_test_input(t, MLS_INT8, OP_DIMS(count), zeros);
        ck_assert_ok(op_test_run(t));
        op_test_expect_near(t, 0, MLS_FLOAT64, OP_DIMS(count), numbers, 1e-14, 1e-14);
        op_test_free(t);
    }
}
END_TEST

START_TEST(normal_numbers_are_normal)
{
    op_test *t = random_test("RandomNormal", MLS_FLOAT64, COUNT, 7);
    ck_assert_ok(op_test_run(t));
    const double *x = op_test_data(t, 0);
    double squares = 0, fourths = 0;
    for (int i = 0; i < COUNT; i++) {
        squares += x[i] * x[i];
        fourths += x[i] * x[i] * x[i] * x[i];
    }
    check_mean(total(x, COUNT) / COUNT, 0, 1, COUNT);
    check_mean(squares / COUNT, 1, sqrt(2.0), COUNT);
    check_mean(fourths / COUNT, 3, sqrt(96.0), COUNT);
    op_test_free(t);
}
END_TEST

START_TEST(other_floats_are_the_same_rounded)
{
    static double numbers[COUNT];
    op_test *wide = random_test("RandomNormal", MLS_FLOAT64, COUNT, 7);
    ck_assert_ok(op_test_run(wide));
    memcpy(numbers, op_test_data(wide, 0), sizeof numbers);
    op_test *t = random_test("RandomNormal", floats[_i], COUNT, 7);
    ck_assert_ok(op_test_run(t));
    check_elements(t, floats[_i], numbers, COUNT);
    op_test_free(wide);
    op_test_free(t);
}
END_TEST

/* What a node draws without a seed, by its name. */
static void draw_unseeded(const char *node, float numbers[8])
{
    op_test *t = op_test_create("", "RandomUniform");
    t->op.node = node;
    op_test_ints(t, "shape", 1, (int64_t[]){8});
    ck_assert_ok(op_test_run(t));
    memcpy(numbers, op_test_data(t, 0), 8 * sizeof *numbers);
    op_test_free(t);
}

START_TEST(nodes_without_seed_differ)
{
    float a[8], again[8], b[8];
    draw_unseeded("a", a);
    draw_unseeded("a", again);
    draw_unseeded("b", b);
    ck_assert_mem_eq(a, again, sizeof a);
    for (int i = 0; i < 8; i++)
        ck_assert(a[i] != b[i]);
}
END_TEST

/* --- Bernoulli -------------------------------------------------------------------------------- */

START_TEST(bernoulli_draws_by_chance)
{
    static const mls_dtype dtypes[] = {MLS_BOOL, MLS_INT8, MLS_UINT64, MLS_FLOAT16, MLS_FLOAT64};
    static double numbers[COUNT];
    static float chances[COUNT];
    char *expected = malloc(COUNT * sizeof(double));
    double sum = 0;
    for (int i = 0; i < COUNT; i++)
        chances[i] = i % 5 == 4 ? NAN : (float) (i % 5) / 3;
    mls__rng_uniform(rng_of(4), 0, numbers, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const int drawn = numbers[i] < (double) chances[i];
        sum += drawn;
        if (op_is_float(dtypes[_i]))
            op_float_set(dtypes[_i], expected, i, drawn);
        else
            op_integer_set(dtypes[_i], expected, i, drawn);
    }
    op_test *t = op_test_create("", "Bernoulli");
    op_test_int(t, "dtype", dtypes[_i]);
    op_test_float(t, "seed", 4);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(COUNT), chances);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtypes[_i], OP_DIMS(COUNT), expected);
    check_mean(sum / COUNT, 0.4, 0.5, COUNT);
    op_test_free(t);
    free(expected);
}
END_TEST

/* --- Multinomial ------------------------------------------------------------------------------ */

START_TEST(multinomial_draws_by_chance)
{
    const double logs[] = {log(1.0), (double) -INFINITY, log(2.0), log(5.0),
                           1000,     1000 + log(3.0),    0,        (double) -INFINITY};
    const double chances[] = {0.125, 0, 0.25, 0.625, 0.25, 0.75, 0, 0};
    op_test *t = op_test_create("", "Multinomial");
    op_test_int(t, "dtype", _i ? MLS_INT64 : MLS_INT32);
    op_test_int(t, "sample_size", COUNT);
    op_test_float(t, "seed", 11);
    op_test_input(t, MLS_FLOAT64, OP_DIMS(2, 4), logs);
    ck_assert_ok(op_test_run(t));
    for (int row = 0; row < 2; row++) {
        int counts[4] = {0};
        for (int i = 0; i < COUNT; i++) {
            const int64_t drawn = op_integer(_i ? MLS_INT64 : MLS_INT32, op_test_data(t, 0),
                                             (int64_t) row * COUNT + i);
            mls_test_expect(drawn >= 0 && drawn < 4, "drawn %lld", (long long) drawn);
            counts[drawn]++;
        }
        for (int i = 0; i < 4; i++) {
            const double chance = chances[row * 4 + i];
            check_mean((double) counts[i] / COUNT, chance, sqrt(chance * (1 - chance)), COUNT);
        }
    }
    op_test_free(t);
}
END_TEST

START_TEST(multinomial_needs_chances)
{
    static const float rows[][2] = {
        {-INFINITY, -INFINITY}, {INFINITY, 0}, {NAN, 0}, {0, NAN}, {INFINITY, NAN}};
    op_test *t = op_test_create("", "Multinomial");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1, 2), rows[_i]);
    ck_assert_fails(op_test_run(t), MLS_ERANGE, "row 0 of input 0 has no chances to draw by");
    op_test_free(t);
}
END_TEST

/* --- TrainingDropout -------------------------------------------------------------------------- */

static op_test *dropout_test(mls_dtype dtype, const void *data, const float *ratio,
                             uint8_t training)
{
    op_test *t = op_test_create("mlscale", "TrainingDropout");
    op_test_outputs(t, 2);
    op_test_int(t, "seed", INT64_C(5) << 32 | 7); /* unlike the others', it is an int */
    op_test_input(t, dtype, OP_DIMS(COUNT), data);
    if (ratio)
        op_test_input(t, MLS_FLOAT32, OP_SCALAR, ratio);
    else
        op_test_left_out(t);
    op_test_input(t, MLS_BOOL, OP_SCALAR, &training);
    return t;
}

START_TEST(drops_and_scales)
{
    const mls_dtype dtype = floats[_i];
    const float ratio = 0.75f;
    static double numbers[COUNT];
    static uint8_t mask[COUNT];
    char *data = malloc(COUNT * sizeof(double)), *expected = malloc(COUNT * sizeof(double));
    double kept = 0;
    mls__rng_uniform((mls__rng){{7, 5}}, 0, numbers, COUNT);
    for (int i = 0; i < COUNT; i++) {
        op_float_set(dtype, data, i, i % 100 - 50);
        mask[i] = numbers[i] >= 0.75;
        kept += mask[i];
        op_float_set(dtype, expected, i, mask[i] ? (i % 100 - 50) * 4 : 0);
    }
    op_test *t = dropout_test(dtype, data, &ratio, 1);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, OP_DIMS(COUNT), expected);
    op_test_expect(t, 1, MLS_BOOL, OP_DIMS(COUNT), mask);
    check_mean(kept / COUNT, 0.25, 0.5, COUNT);
    op_test_free(t);
    free(data);
    free(expected);
}
END_TEST

/* Half of them, where there is no ratio; none for a ratio of 0 or outside of training. */
START_TEST(drops_as_asked)
{
    static float data[COUNT];
    const float none = 0;
    int zeros = 0;
    for (int i = 0; i < COUNT; i++)
        data[i] = (float) i + 1;
    op_test *t = dropout_test(MLS_FLOAT32, data, NULL, 1);
    ck_assert_ok(op_test_run(t));
    for (int i = 0; i < COUNT; i++)
        zeros += ((const float *) op_test_data(t, 0))[i] == 0;
    check_mean((double) zeros / COUNT, 0.5, 0.5, COUNT);
    op_test_free(t);
    for (int training = 0; training < 2; training++) {
        t = dropout_test(MLS_FLOAT32, data, training ? &none : NULL, (uint8_t) training);
        ck_assert_ok(op_test_run(t));
        op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(COUNT), data);
        for (int i = 0; i < COUNT; i++)
            ck_assert_int_eq(((const uint8_t *) op_test_data(t, 1))[i], 1);
        op_test_free(t);
    }
}
END_TEST

START_TEST(dropout_names_its_ratio)
{
    static const float ratios[] = {1, -0.5f, NAN};
    static const float data[COUNT];
    op_test *t = dropout_test(MLS_FLOAT32, data, &ratios[_i], 1);
    ck_assert_fails(op_test_run(t), MLS_ERANGE, "it must be in [0, 1)");
    op_test_free(t);
}
END_TEST

/* --- what does not fit ------------------------------------------------------------------------ */

START_TEST(refuses_what_does_not_fit)
{
    static const struct {
        const char *type, *name;
        int64_t value, shape; /* the shape where there is no input */
        mls_dtype dtype;
        mls_status status;
        const char *words;
    } cases[] = {
        {"RandomUniform", "dtype", MLS_INT32, 2, 0, MLS_EDTYPE, "expected a float"},
        {"RandomUniform", "dtype", INT64_MAX, 2, 0, MLS_EDTYPE, "expected a float"},
        {"RandomNormal", "dtype", MLS_FLOAT32, -1, 0, MLS_EINVAL, "entry 0 of the shape is -1"},
        {"RandomNormalLike", NULL, 0, 0, MLS_INT32, MLS_EDTYPE, "expected a float"},
        {"Bernoulli", NULL, 0, 0, MLS_INT32, MLS_EDTYPE, "input 0 is int32"},
        {"Bernoulli", "dtype", MLS_STRING, 0, MLS_FLOAT32, MLS_EDTYPE, "expected a number"},
        {"Multinomial", "dtype", MLS_FLOAT32, 0, MLS_FLOAT32, MLS_EDTYPE, "int32 or int64"},
        {"Multinomial", "sample_size", 1, 0, MLS_FLOAT32, MLS_ESHAPE, "has 1 dimensions"},
    };
    op_test *t = op_test_create("", cases[_i].type);
    if (cases[_i].name)
        op_test_int(t, cases[_i].name, cases[_i].value);
    if (cases[_i].shape)
        op_test_ints(t, "shape", 1, &cases[_i].shape);
    else
        op_test_input(t, cases[_i].dtype, OP_DIMS(2), (const double[2]){0});
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_random");
    TCase *tests = tcase_create("random");
    tcase_add_test(tests, turns_are_accurate);
    tcase_add_test(tests, eighths_of_a_turn_are_exact);
    tcase_add_test(tests, angles_that_mirror_each_other_agree);
    tcase_add_loop_test(tests, draws_uniform_numbers, 0, 4);
    tcase_add_test(tests, draws_normal_numbers);
    tcase_add_test(tests, normal_numbers_are_normal);
    tcase_add_loop_test(tests, other_floats_are_the_same_rounded, 0, 4);
    tcase_add_test(tests, nodes_without_seed_differ);
    tcase_add_loop_test(tests, bernoulli_draws_by_chance, 0, 5);
    tcase_add_loop_test(tests, multinomial_draws_by_chance, 0, 2);
    tcase_add_loop_test(tests, multinomial_needs_chances, 0, 5);
    tcase_add_loop_test(tests, drops_and_scales, 0, 4);
    tcase_add_test(tests, drops_as_asked);
    tcase_add_loop_test(tests, dropout_names_its_ratio, 0, 3);
    tcase_add_loop_test(tests, refuses_what_does_not_fit, 0, 8);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
