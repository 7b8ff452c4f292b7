/* SPDX-License-Identifier: Apache-2.0 */
/* FusedPointwise: each way in which its values may lie, and programs that are none. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct shape {
    int rank;
    int64_t dims[4];
} shape;

static int64_t count_of(const shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++)
        count *= s->dims[i];
    return count;
}

static float *floats(const shape *s, uint64_t seed)
{
    const int64_t count = count_of(s);
    float *data = malloc((size_t) (count ? count : 1) * sizeof *data);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float) mls_test_random_below(&seed, 2001) / 500.0f - 2.0f;
    return data;
}

static float at(const float *data, const shape *y, int64_t i, const shape *x)
{
    return data[op_broadcast_index(i, y->rank, y->dims, x->rank, x->dims)];
}

/* --- relu((a + b) * c) of all shapes --------------------------------------------------------- */

static op_test *sum_times(void)
{
    op_test *t = op_test_create("mlscale", "FusedPointwise");
    op_test_strings(t, "pieces", 3, (const char *const[]){"Add", "Mul", "Relu"});
    op_test_ints(t, "program", 11, (const int64_t[]){0, 2, 0, 1, 0, 2, 3, 2, 0, 1, 4});
    return t;
}

static void check_shapes(const shape *y, const shape x[3], bool is_constant)
{
    op_test *t = sum_times();
    float *data[3];
    for (int k = 0; k < 3; k++) {
        data[k] = floats(&x[k], (uint64_t) k + 7);
        if (is_constant && k > 0)
            op_test_constant(t, MLS_FLOAT32, x[k].rank, x[k].dims, data[k]);
        else
            op_test_input(t, MLS_FLOAT32, x[k].rank, x[k].dims, data[k]);
    }
    float *expected = floats(y, 0);
    for (int64_t i = 0; i < count_of(y); i++) {
        const float sum = at(data[0], y, i, &x[0]) + at(data[1], y, i, &x[1]);
        const float product = sum * at(data[2], y, i, &x[2]);
        expected[i] = product < 0 ? 0 : product;
    }
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, y->rank, y->dims, expected);
    op_test_free(t);
    free(expected);
    for (int k = 0; k < 3; k++)
        free(data[k]);
}

/* The output, then a, b and c. */
static const shape forms[][4] = {
    {{0, {0}}, {0, {0}}, {0, {0}}, {0, {0}}},                                /* one element */
    {{1, {9}}, {1, {9}}, {0, {0}}, {1, {1}}},                                /* scalars */
    {{1, {3000}}, {1, {3000}}, {1, {3000}}, {0, {0}}},                       /* tiles */
    {{2, {1, 40000}}, {2, {1, 40000}}, {1, {40000}}, {0, {0}}},              /* threads */
    {{2, {50, 30}}, {2, {50, 30}}, {1, {30}}, {1, {30}}},                    /* rows */
    {{2, {2000, 30}}, {1, {30}}, {2, {2000, 30}}, {1, {1}}},                 /* many rows */
    {{2, {20, 300}}, {2, {20, 300}}, {1, {300}}, {0, {0}}},                  /* long rows */
    {{2, {5, 1500}}, {2, {5, 1500}}, {1, {1500}}, {0, {0}}},                 /* longer ones */
    {{2, {20, 300}}, {2, {20, 300}}, {1, {300}}, {2, {20, 1}}},              /* not alone */
    {{2, {3, 2500}}, {1, {2500}}, {2, {3, 1}}, {2, {3, 2500}}},              /* longer than tiles */
    {{2, {70, 20}}, {2, {70, 20}}, {2, {70, 1}}, {2, {70, 1}}},              /* short runs */
    {{2, {400, 100}}, {2, {400, 1}}, {1, {100}}, {2, {400, 100}}},           /* with threads */
    {{3, {6, 7, 7}}, {3, {6, 7, 7}}, {3, {6, 1, 1}}, {3, {6, 1, 1}}},        /* channels */
    {{4, {2, 6, 20, 20}}, {4, {2, 6, 20, 20}}, {3, {6, 1, 1}}, {0, {0}}},    /* long runs */
    {{4, {2, 3, 9, 16}}, {4, {2, 3, 9, 16}}, {4, {2, 3, 1, 16}}, {1, {16}}}, /* blocks of 16 */
    {{4, {2, 3, 50, 16}}, {4, {2, 3, 50, 16}}, {4, {2, 3, 1, 16}}, {1, {16}}}, /* and many */
    {{3, {3, 300, 16}}, {3, {3, 1, 16}}, {3, {3, 300, 16}}, {3, {3, 1, 16}}},  /* over tiles */
    {{3, {2, 1700, 15}}, {3, {2, 1, 15}}, {3, {2, 1700, 15}}, {1, {15}}},      /* with threads */
    {{4, {2, 3, 4, 5}}, {4, {1, 3, 1, 5}}, {4, {2, 1, 4, 1}}, {2, {4, 1}}},    /* all smaller */
    {{2, {30, 40}}, {2, {30, 1}}, {2, {30, 1}}, {1, {40}}}, /* a sum that is small */
    {{2, {3, 700}}, {1, {1}}, {2, {3, 1}}, {2, {3, 700}}},  /* and one more */
    {{2, {0, 3}}, {2, {0, 3}}, {1, {3}}, {2, {1, 3}}},      /* empty */
};

START_TEST(shapes)
{
    for (size_t i = 0; i < COUNT(forms); i++)
        for (int is_constant = 0; is_constant < 2; is_constant++)
            check_shapes(&forms[i][0], &forms[i][1], is_constant);
}
END_TEST

/* What is small at the planned dims may be as large as the output, and the other way. */
START_TEST(other_dims)
{
    static const struct {
        shape planned[2], now[2], y;
    } cases[] = {
        {{{2, {8, 5}}, {2, {8, 5}}}, {{2, {1, 5}}, {2, {8, 5}}}, {2, {8, 5}}},
        {{{2, {1, 5}}, {2, {8, 5}}}, {{2, {1, 5}}, {2, {1, 5}}}, {2, {1, 5}}},
        {{{2, {1, 50}}, {2, {80, 50}}}, {{2, {1, 7}}, {2, {3, 7}}}, {2, {3, 7}}},
        {{{2, {80, 300}}, {2, {80, 1}}}, {{2, {80, 300}}, {2, {1, 1}}}, {2, {80, 300}}},
        {{{2, {80, 300}}, {2, {80, 1}}}, {{2, {2, 9}}, {2, {2, 1}}}, {2, {2, 9}}},
        {{{1, {4}}, {1, {4}}}, {{1, {0}}, {1, {0}}}, {1, {0}}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* (a + a) * b, where the sum is of a's shape */
        op_test *t = op_test_create("mlscale", "FusedPointwise");
        op_test_strings(t, "pieces", 3, (const char *const[]){"Add", "Neg", "Mul"});
        op_test_ints(t, "program", 11, (const int64_t[]){0, 2, 0, 0, 0, 1, 2, 0, 2, 3, 1});
        const shape *now = cases[i].now, *y = &cases[i].y;
        float *a = floats(&now[0], 1), *b = floats(&now[1], 2), *expected = floats(y, 0);
        op_test_input(t, MLS_FLOAT32, now[0].rank, now[0].dims, a);
        op_test_planned(t, cases[i].planned[0].rank, cases[i].planned[0].dims, NULL);
        op_test_input(t, MLS_FLOAT32, now[1].rank, now[1].dims, b);
        op_test_planned(t, cases[i].planned[1].rank, cases[i].planned[1].dims, NULL);
        for (int64_t k = 0; k < count_of(y); k++) {
            const float x = at(a, y, k, &now[0]);
            expected[k] = -(x + x) * at(b, y, k, &now[1]);
        }
        ck_assert_ok(op_test_run(t));
        op_test_expect(t, 0, MLS_FLOAT32, y->rank, y->dims, expected);
        op_test_free(t);
        free(a);
        free(b);
        free(expected);
    }
}
END_TEST

/* --- other pieces ---------------------------------------------------------------------------- */

/* Where(x < 0, Clip(x; -1 or left out, high), Cast(Cast(x; int8))), with attributes between. */
START_TEST(dtypes_and_attributes)
{
    enum { N = 1500 };
    static const char *const pieces[] = {"Less", "Clip", "LeakyRelu", "Cast", "Cast", "Where"};
    static const int64_t program[] = {0, 2, 0, 1, 0, 3, 0, -1, 2, 1, 1, 4,
                                      1, 1, 0, 1, 1, 6, 0, 3,  3, 5, 7};
    op_test *t = op_test_create("mlscale", "FusedPointwise");
    const float zero = 0, high = 0.5f;
    float x[N], expected[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float) (i * 37 % 101) / 7 - 7;
        const float clipped = x[i] > high ? high : x[i];
        expected[i] = x[i] < 0 ? clipped * (clipped < 0 ? 0.25f : 1) : (float) (int8_t) x[i];
    }
    op_test_strings(t, "pieces", COUNT(pieces), pieces);
    op_test_ints(t, "program", COUNT(program), program);
    op_test_float(t, "alpha", 0.25f);
    op_test_int(t, "to", MLS_INT8);
    op_test_int(t, "to", MLS_FLOAT32);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(N), x);
    op_test_constant(t, MLS_FLOAT32, OP_SCALAR, &zero);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1), &high);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(N), expected);
    op_test_free(t);
}
END_TEST

/* A cast to strings runs as a whole, and so does all before it; what is behind it does not. */
START_TEST(texts)
{
    const float x[] = {1, 1.25f, -3};
    const mls_string sum = {"2.5", 3};
    op_test *t = op_test_create("mlscale", "FusedPointwise");
    op_test_strings(t, "pieces", 4, (const char *const[]){"Add", "Cast", "Equal", "Not"});
    op_test_ints(t, "program", 14, (const int64_t[]){0, 2, 0, 0, 1, 1, 2, 0, 2, 3, 1, 0, 1, 4});
    op_test_int(t, "to", MLS_STRING);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(3), x);
    op_test_input(t, MLS_STRING, OP_SCALAR, &sum);
    op_test_float(t, "alpha", 1); /* of no piece */
    ck_assert_fails(op_test_run(t), MLS_EINVAL, "more than its 4 pieces need");
    op_test_free(t);

    t = op_test_create("mlscale", "FusedPointwise");
    op_test_strings(t, "pieces", 4, (const char *const[]){"Add", "Cast", "Equal", "Not"});
    op_test_ints(t, "program", 14, (const int64_t[]){0, 2, 0, 0, 1, 1, 2, 0, 2, 3, 1, 0, 1, 4});
    op_test_int(t, "to", MLS_STRING);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(3), x);
    op_test_input(t, MLS_STRING, OP_SCALAR, &sum);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_BOOL, OP_DIMS(3), (const uint8_t[]){1, 0, 1});
    op_test_free(t);
}
END_TEST

/* More values at once than there is room for whole tiles of. */
START_TEST(many_registers)
{
    enum { N = 700, INPUTS = 16, PIECES = 31 };
    const char *pieces[PIECES];
    int64_t program[4 * PIECES], *next = program;
    op_test *t = op_test_create("mlscale", "FusedPointwise");
    double x[INPUTS], expected[N], full[N];
    for (int i = 0; i < 16; i++) { /* Neg of each input, then their sum */
        pieces[i] = "Neg";
        memcpy(next, (const int64_t[]){0, 1, i}, 3 * sizeof *next);
        next += 3;
    }
    for (int i = 16; i < PIECES; i++) {
        pieces[i] = "Add";
        const int64_t before = i == 16 ? INPUTS : INPUTS + i - 1;
        memcpy(next, (const int64_t[]){0, 2, before, INPUTS + i - 15}, 4 * sizeof *next);
        next += 4;
    }
    op_test_strings(t, "pieces", PIECES, pieces);
    op_test_ints(t, "program", (size_t) (next - program), program);
    for (int i = 0; i < N; i++)
        full[i] = i;
    for (int k = 0; k < INPUTS; k++) {
        x[k] = k;
        if (k % 2)
            op_test_input(t, MLS_FLOAT64, OP_DIMS(N), full);
        else
            op_test_input(t, MLS_FLOAT64, OP_SCALAR, &x[k]);
    }
    for (int i = 0; i < N; i++)
        expected[i] = -(8.0 * i) - (0 + 2 + 4 + 6 + 8 + 10 + 12 + 14);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT64, OP_DIMS(N), expected);
    op_test_free(t);
}
END_TEST

START_TEST(failures)
{
    const int32_t x[] = {6, 7, 8}, zeros[] = {1, 0, 1};
    op_test *t = op_test_create("mlscale", "FusedPointwise");
    op_test_strings(t, "pieces", 3, (const char *const[]){"Add", "Div", "Sub"});
    op_test_ints(t, "program", 12, (const int64_t[]){0, 2, 0, 0, 0, 2, 2, 1, 0, 2, 3, 0});
    op_test_input(t, MLS_INT32, OP_DIMS(3), x);
    op_test_input(t, MLS_INT32, OP_DIMS(3), zeros);
    ck_assert_fails(op_test_run(t), MLS_ERANGE, "(Div): an integer is divided by zero");
    op_test_free(t);
}
END_TEST

/* --- programs that are none ------------------------------------------------------------------ */

static void check_refused(size_t pieces, const char *const *types, size_t length,
                          const int64_t *program, mls_status status, const char *words)
{
    const float x[] = {1, 2}, y[] = {1, 2, 3};
    op_test *t = op_test_create("mlscale", "FusedPointwise");
    op_test_strings(t, "pieces", pieces, types);
    op_test_ints(t, "program", length, program);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(2), x);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(3), y);
    ck_assert_fails(op_test_infer(t), status, words);
    op_test_free(t);
}

#define TYPES(...)                                                                                 \
    COUNT(((const char *const[]){__VA_ARGS__})), (const char *const[])                             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NUMBERS(...)                                                                               \
    COUNT(((const int64_t[]){__VA_ARGS__})), (const int64_t[])                                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

START_TEST(what_is_no_program)
{
    const char *many[33];
    for (int i = 0; i < 33; i++)
        many[i] = "Neg";
    check_refused(33, many, NUMBERS(0, 1, 0), MLS_EINVAL, "33 pieces");
    check_refused(0, NULL, NUMBERS(0, 1, 0), MLS_EINVAL, "0 pieces");
    check_refused(TYPES("Conv"), NUMBERS(0, 1, 0), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(0, 1), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(0, 1, 2), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(0, 1, -1), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(0, 2, 0, 0), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(1, 1, 0), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(-1, 1, 0), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(0, 1, INT64_MAX), MLS_EINVAL, "piece 0 is not one");
    check_refused(TYPES("Neg"), NUMBERS(0, 1, 0, 0), MLS_EINVAL, "more than its 1 pieces");
    check_refused(TYPES("Neg", "Abs"), NUMBERS(0, 1, 3, 0, 1, 2), MLS_EINVAL, "piece 0 is not");
    check_refused(TYPES("Neg", "Abs"), NUMBERS(0, 1, 0, 0, 1, 1), MLS_EINVAL, "more than its 2");
    check_refused(TYPES("Add"), NUMBERS(0, 2, 0, 1), MLS_ESHAPE, "does not broadcast");
    check_refused(TYPES("Not"), NUMBERS(0, 1, 0), MLS_EDTYPE, "expected bool");
    check_refused(TYPES("Clip"), NUMBERS(0, 2, 0, 1), MLS_ESHAPE, "expected 1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_pointwise");
    TCase *tests = tcase_create("pointwise");
    tcase_add_test(tests, shapes);
    tcase_add_test(tests, other_dims);
    tcase_add_test(tests, dtypes_and_attributes);
    tcase_add_test(tests, texts);
    tcase_add_test(tests, many_registers);
    tcase_add_test(tests, failures);
    tcase_add_test(tests, what_is_no_program);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
