/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Einsum against the sum over all indices that its definition is. Elements are small whole
 * numbers, so that every order of sums gives the same.
 */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES    400
#define OPERANDS 4
#define LETTERS  6

typedef struct term {
    int rank;
    int labels[MLS_MAX_RANK];
    int64_t dims[MLS_MAX_RANK];
} term;

typedef struct einsum {
    char equation[128];
    int count;
    term operands[OPERANDS], output;
    int64_t sizes[LETTERS];
    mls_dtype dtype;
} einsum;

static const mls_dtype dtypes[] = {
    MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16, MLS_INT8,   MLS_INT16,
    MLS_INT32,   MLS_INT64,   MLS_UINT8,   MLS_UINT16,   MLS_UINT32, MLS_UINT64,
};
#define DTYPES (int) (sizeof dtypes / sizeof dtypes[0])

/* --- the reference ---------------------------------------------------------------------------- */

/* The element at these values of the labels; an operand with 1 along a label has but one. */
static int64_t element(const term *t, mls_dtype dtype, const void *data, const int64_t *index)
{
    int64_t own[MLS_MAX_RANK];
    for (int i = 0; i < t->rank; i++)
        own[i] = t->dims[i] == 1 ? 0 : index[t->labels[i]];
    const int64_t at = position_of(t->rank, t->dims, own);
    return op_is_float(dtype) ? (int64_t) op_float(dtype, data, at) : op_integer(dtype, data, at);
}

/* Unsigned: sums and products wrap around, as those of the op do. */
static uint64_t *sums_of(const einsum *e, void *const *data)
{
    const int64_t count = count_of(e->output.rank, e->output.dims);
    uint64_t *sums = calloc((size_t) count + 1, sizeof *sums);
    index_walk walk = {.rank = LETTERS, .dims = e->sizes};
    while (next_index(&walk)) {
        uint64_t product = 1;
        int64_t own[MLS_MAX_RANK];
        for (int i = 0; i < e->count; i++)
            product *= (uint64_t) element(&e->operands[i], e->dtype, data[i], walk.index);
        for (int i = 0; i < e->output.rank; i++)
            own[i] = walk.index[e->output.labels[i]];
        sums[position_of(e->output.rank, e->output.dims, own)] += product;
    }
    return sums;
}

static void set_element(mls_dtype dtype, void *data, int64_t i, int64_t value)
{
    if (op_is_float(dtype))
        op_float_set(dtype, data, i, (double) value);
    else
        op_integer_set(dtype, data, i, value);
}

/* Floats have a zero of each sign, so none of them becomes zero here. */
static void *make_data(random_state *random, const einsum *e, int64_t count)
{
    static const int64_t values[] = {-2, -1, 1, 2};
    void *data = malloc(((size_t) count + 1) * 8);
    for (int64_t i = 0; i < count; i++)
        set_element(e->dtype, data, i, values[random_in(random, op_is_float(e->dtype) ? 2 : 0, 3)]);
    return data;
}

static void check(random_state *random, const einsum *e, bool is_constant)
{
    void *data[OPERANDS];
    op_test *t = op_test_create("", "Einsum");
    op_test_string(t, "equation", e->equation);
    for (int i = 0; i < e->count; i++) {
        const term *o = &e->operands[i];
        data[i] = make_data(random, e, count_of(o->rank, o->dims));
        (i && is_constant ? op_test_constant : op_test_input)(t, e->dtype, o->rank, o->dims,
                                                              data[i]);
    }
    uint64_t *sums = sums_of(e, data);
    const int64_t count = count_of(e->output.rank, e->output.dims);
    void *expected = malloc(((size_t) count + 1) * 8);
    for (int64_t i = 0; i < count; i++)
        set_element(e->dtype, expected, i, (int64_t) sums[i]);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, e->dtype, e->output.rank, e->output.dims, expected);
    op_test_free(t);
    free(expected);
    free(sums);
    for (int i = 0; i < e->count; i++)
        free(data[i]);
}

/* --- random equations ------------------------------------------------------------------------- */

static void write_term(char *equation, const term *t)
{
    for (int i = 0; i < t->rank; i++) {
        const char letter[] = {(char) ((t->labels[i] % 2 ? 'A' : 'a') + t->labels[i]), 0};
        strcat(equation, letter);
        if (i % 3 == 1)
            strcat(equation, " ");
    }
}

/* Along all of a term's axes of one label, its size, or else 1 now and then. */
static void random_term_dims(random_state *random, const einsum *e, term *t)
{
    int64_t own[LETTERS];
    for (int i = 0; i < LETTERS; i++)
        own[i] = random_in(random, 0, 7) ? e->sizes[i] : 1;
    for (int i = 0; i < t->rank; i++)
        t->dims[i] = own[t->labels[i]];
}

/* The sizes that the operands leave: 1 where all of them have 1, or none has the label. */
static void settle_sizes(einsum *e)
{
    int64_t sizes[LETTERS];
    for (int i = 0; i < LETTERS; i++)
        sizes[i] = 1;
    for (int i = 0; i < e->count; i++)
        for (int j = 0; j < e->operands[i].rank; j++)
            if (e->operands[i].dims[j] != 1)
                sizes[e->operands[i].labels[j]] = e->operands[i].dims[j];
    memcpy(e->sizes, sizes, sizeof sizes);
}

static void random_output(random_state *random, einsum *e)
{
    int order[LETTERS];
    bool is_used[LETTERS] = {false};
    random_axes(random, LETTERS, LETTERS, order);
    for (int i = 0; i < e->count; i++)
        for (int j = 0; j < e->operands[i].rank; j++)
            is_used[e->operands[i].labels[j]] = true;
    e->output.rank = 0;
    for (int i = 0; i < LETTERS; i++)
        if (is_used[order[i]] && random_in(random, 0, 2))
            e->output.labels[e->output.rank++] = order[i];
    for (int i = 0; i < e->output.rank; i++)
        e->output.dims[i] = e->sizes[e->output.labels[i]];
}

static void random_einsum(random_state *random, einsum *e)
{
    *e = (einsum){.count = (int) random_in(random, 1, OPERANDS),
                  .dtype = dtypes[random_in(random, 0, DTYPES - 1)]};
    for (int i = 0; i < LETTERS; i++)
        e->sizes[i] = random_in(random, random_in(random, 0, 30) ? 1 : 0, 4);
    for (int i = 0; i < e->count; i++) {
        term *t = &e->operands[i];
        t->rank = (int) random_in(random, 0, 4);
        for (int j = 0; j < t->rank; j++)
            t->labels[j] = (int) random_in(random, 0, LETTERS - 1);
        random_term_dims(random, e, t);
        if (i)
            strcat(e->equation, ",");
        write_term(e->equation, t);
    }
    settle_sizes(e);
    random_output(random, e);
    strcat(e->equation, " -> ");
    write_term(e->equation, &e->output);
}

START_TEST(sums_random_products)
{
    random_state random = {(uint64_t) _i + 1};
    einsum e;
    random_einsum(&random, &e);
    check(&random, &e, _i % 3 == 0);
}
END_TEST

/* --- written out ------------------------------------------------------------------------------ */

/* The first of two inputs is 1, 2, 3, ... as [2, 3] or another shape, the second 1, -1, 2, ... */
START_TEST(understands_equations)
{
    static const struct {
        const char *equation;
        struct {
            int rank;
            int64_t dims[4];
        } a, b, y;
        int32_t values[12];
    } cases[] = {
        {"ij->ji", {2, {2, 3}}, {-1, {0}}, {2, {3, 2}}, {1, 4, 2, 5, 3, 6}},
        {"ji", {2, {2, 3}}, {-1, {0}}, {2, {3, 2}}, {1, 4, 2, 5, 3, 6}},
        {"ba", {2, {2, 3}}, {-1, {0}}, {2, {3, 2}}, {1, 4, 2, 5, 3, 6}},
        {"aB", {2, {2, 3}}, {-1, {0}}, {2, {3, 2}}, {1, 4, 2, 5, 3, 6}},
        {" i j -> ", {2, {2, 3}}, {-1, {0}}, {0, {0}}, {21}},
        {"ii", {2, {3, 3}}, {-1, {0}}, {0, {0}}, {15}},
        {"ii->i", {2, {3, 3}}, {-1, {0}}, {1, {3}}, {1, 5, 9}},
        {"...i->i...", {2, {2, 3}}, {-1, {0}}, {2, {3, 2}}, {1, 4, 2, 5, 3, 6}},
        {"...i->i", {2, {2, 3}}, {-1, {0}}, {1, {3}}, {5, 7, 9}},
        {"i...", {2, {2, 3}}, {-1, {0}}, {2, {3, 2}}, {1, 4, 2, 5, 3, 6}},
        {"ij,jk", {2, {2, 3}}, {2, {3, 2}}, {2, {2, 2}}, {14, -14, 32, -32}},
        {"ij,jk->ki", {2, {2, 3}}, {2, {3, 2}}, {2, {2, 2}}, {14, 32, -14, -32}},
        {"...,...", {2, {2, 3}}, {1, {3}}, {2, {2, 3}}, {1, -2, 6, 4, -5, 12}},
        {"i...j,...j->i...", {2, {2, 3}}, {2, {2, 3}}, {2, {2, 2}}, {5, -5, 11, -11}},
        {"i,j->ij", {1, {2}}, {1, {3}}, {2, {2, 3}}, {1, -1, 2, 2, -2, 4}},
        {",->", {0, {0}}, {0, {0}}, {0, {0}}, {1}},
    };
    static const int32_t a[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, b[] = {1, -1, 2, -2, 3, -3};
    ck_assert_int_eq(sizeof cases / sizeof cases[0], 16);
    op_test *t = op_test_create("", "Einsum");
    op_test_string(t, "equation", cases[_i].equation);
    op_test_input(t, MLS_INT32, cases[_i].a.rank, cases[_i].a.dims, a);
    if (cases[_i].b.rank >= 0)
        op_test_input(t, MLS_INT32, cases[_i].b.rank, cases[_i].b.dims, b);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT32, cases[_i].y.rank, cases[_i].y.dims, cases[_i].values);
    op_test_free(t);
}
END_TEST

/* Large enough for threads, for packed panels and for rows in the workspace. */
START_TEST(multiplies_large_matrices)
{
    static const struct {
        const char *equation;
        int labels[2][4], ranks[2], output[4], output_rank;
    } cases[] = {
        {"aBc,BD->acD", {{0, 1, 2}, {1, 3}}, {3, 2}, {0, 2, 3}, 3},
        {"aBc,aDc->aBD", {{0, 1, 2}, {0, 3, 2}}, {3, 3}, {0, 1, 3}, 3},
        {"aBc,DB->Dac", {{0, 1, 2}, {3, 1}}, {3, 2}, {3, 0, 2}, 3},
        {"Bca,BDa->acD", {{1, 2, 0}, {1, 3, 0}}, {3, 3}, {0, 2, 3}, 3},
    };
    random_state random = {3};
    einsum e = {.count = 2, .sizes = {3, 70, 90, 80, 1, 1}, .dtype = MLS_FLOAT32};
    snprintf(e.equation, sizeof e.equation, "%s", cases[_i].equation);
    for (int i = 0; i < 2; i++) {
        e.operands[i].rank = cases[_i].ranks[i];
        memcpy(e.operands[i].labels, cases[_i].labels[i], sizeof cases[_i].labels[i]);
        for (int j = 0; j < e.operands[i].rank; j++)
            e.operands[i].dims[j] = e.sizes[e.operands[i].labels[j]];
    }
    e.output.rank = cases[_i].output_rank;
    memcpy(e.output.labels, cases[_i].output, sizeof cases[_i].output);
    for (int j = 0; j < e.output.rank; j++)
        e.output.dims[j] = e.sizes[e.output.labels[j]];
    check(&random, &e, false);
    check(&random, &e, true);
}
END_TEST

START_TEST(follows_smaller_dims)
{
    op_test *t = op_test_create("", "Einsum");
    op_test_string(t, "equation", "bij,bkj,k->bi");
    op_test_input(t, MLS_FLOAT16, OP_DIMS(1, 2, 3),
                  (uint16_t[]){0x3c00, 0x4000, 0x4200, 0x3c00, 0x3c00, 0x3c00});
    op_test_planned(t, OP_DIMS(4, 5, 6), NULL);
    op_test_input(t, MLS_FLOAT16, OP_DIMS(1, 1, 3), (uint16_t[]){0x3c00, 0x3c00, 0x4000});
    op_test_planned(t, OP_DIMS(4, 7, 6), NULL);
    op_test_input(t, MLS_FLOAT16, OP_DIMS(1), (uint16_t[]){0x4000});
    op_test_planned(t, OP_DIMS(7), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT16, OP_DIMS(1, 2), (uint16_t[]){0x4c80, 0x4800});
    op_test_free(t);
}
END_TEST

START_TEST(refuses_what_it_does_not_understand)
{
    static const struct {
        const char *equation;
        mls_status status;
        const char *words;
    } cases[] = {
        {"ij", MLS_EINVAL, "the equation has 1 terms for 2 inputs"},
        {"ij,jk,kl", MLS_EINVAL, "byte 5 of the equation, ',', goes on"},
        {"ij,jk->i k?", MLS_EINVAL, "byte 10 of the equation, '?', goes on"},
        {"ij,jk-ik", MLS_EINVAL, "byte 5 of the equation, '-', goes on"},
        {"ij,jk->ix", MLS_EINVAL, "'x' of the output is in no other term"},
        {"ij,jk->ii", MLS_EINVAL, "'i' is twice in the output"},
        {"i...j...,jk", MLS_EINVAL, "two ellipses"},
        {"i..j,jk", MLS_ESHAPE, "input 0 has 2 dimensions, its term of the equation 1"},
        {"ijk,jk", MLS_ESHAPE, "input 0 has 2 dimensions, its term of the equation 3"},
        {"i,jk", MLS_ESHAPE, "input 0 has 2 dimensions, its term of the equation 1"},
        {"abcdefghi,jk", MLS_EINVAL, "more than 8 axes"},
        {"ij,ik", MLS_ESHAPE, "axis 0 of input 1, 'i' in the equation, has 3 elements; expected 2"},
        {"ii,jk", MLS_ESHAPE, "axis 1 of input 0, 'i' in the equation, has 3 elements; expected 2"},
        {"...,...", MLS_ESHAPE, "axis 0 of input 1, '.' in the equation"},
    };
    ck_assert_int_eq(sizeof cases / sizeof cases[0], 14);
    op_test *t = op_test_create("", "Einsum");
    op_test_string(t, "equation", cases[_i].equation);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 3), (const float[6]){0});
    op_test_input(t, MLS_FLOAT32, OP_DIMS(3, 4), (const float[12]){0});
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_einsum");
    TCase *tests = tcase_create("einsum");
    tcase_add_loop_test(tests, sums_random_products, 0, CASES);
    tcase_add_loop_test(tests, understands_equations, 0, 16);
    tcase_add_loop_test(tests, multiplies_large_matrices, 0, 4);
    tcase_add_test(tests, follows_smaller_dims);
    tcase_add_loop_test(tests, refuses_what_it_does_not_understand, 0, 14);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
