/* SPDX-License-Identifier: Apache-2.0 */
/* FusedAttention against its definition, in batches that broadcast. */
#include "cpu/op_numbers.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

typedef struct fused_case {
    int ranks[4]; /* of Q, K, V and the mask; 0: no mask */
    int64_t dims[4][5];
    bool is_inside, divides;
    int rank; /* of Y */
    int64_t y_dims[5];
} fused_case;

/* The element that broadcasting puts at [matrix, row, column] of the output's batches. */
static double element(const fused_case *c, const op_numbers *t, int64_t matrix, int64_t row,
                      int64_t rows, int64_t column, int64_t columns)
{
    int64_t dims[5];
    memcpy(dims, c->y_dims, sizeof dims);
    dims[c->rank - 2] = rows;
    dims[c->rank - 1] = columns;
    return t->values[op_broadcast_index((matrix * rows + row) * columns + column, c->rank, dims,
                                        t->rank, t->dims)];
}

/* K as rows of keys, when its heads lie between them. */
static op_numbers turned_keys(const fused_case *c, const op_numbers *k)
{
    const int64_t *d = k->dims;
    op_numbers t = op_numbers_make(k->dtype, k->rank, (int64_t[]){d[0], d[2], d[1], d[3]});
    for (int64_t i = 0; i < t.count; i++) {
        const int64_t e = i % d[3], key = i / d[3] % d[1], head = i / d[3] / d[1] % d[2];
        t.values[i] = k->values[((i / d[3] / d[1] / d[2] * d[1] + key) * d[2] + head) * d[3] + e];
    }
    ck_assert(c->is_inside);
    return t;
}

static void attend_fused(const fused_case *c, const op_numbers inputs[4], const op_numbers *y)
{
    const op_numbers *q = &inputs[0], *k = &inputs[1], *v = &inputs[2];
    const int64_t size = q->dims[q->rank - 1], keys = v->dims[v->rank - 2];
    const int64_t queries = y->dims[y->rank - 2], columns = y->dims[y->rank - 1];
    for (int64_t i = 0; i < y->count; i++) {
        const int64_t column = i % columns, row = i / columns % queries;
        const int64_t matrix = i / columns / queries;
        double sum = 0, weighted = 0;
        for (int64_t j = 0; j < keys; j++) {
            double x = 0;
            for (int64_t e = 0; e < size; e++)
                x += element(c, q, matrix, row, queries, e, size) *
                     element(c, k, matrix, j, keys, e, size);
            x = c->divides ? x / 2.5 : x * 2.5;
            if (c->ranks[3])
                x += element(c, &inputs[3], matrix, row, queries, j, keys);
            sum += exp(x);
            weighted += exp(x) * element(c, v, matrix, j, keys, column, columns);
        }
        y->values[i] = weighted / sum;
    }
}

static void check_fused(const fused_case *c, mls_dtype dtype)
{
    op_numbers inputs[4] = {{.rank = 0}};
    op_numbers y = op_numbers_make(dtype, c->rank, c->y_dims);
    op_test *test = op_test_create("mlscale", "FusedAttention");
    op_test_float(test, "scale", 2.5f);
    op_test_int(test, "divides", c->divides);
    op_test_int(test, "k_inside", c->is_inside);
    for (uint64_t i = 0; i < (c->ranks[3] ? 4 : 3); i++) {
        inputs[i] = op_numbers_random(dtype, c->ranks[i], c->dims[i], -1, 2, i + 1);
        op_numbers_give(test, &inputs[i]);
    }
    const op_numbers keys = inputs[1];
    if (c->is_inside)
        inputs[1] = turned_keys(c, &keys);
    attend_fused(c, inputs, &y);
    ck_assert_ok(op_test_run(test));
    op_numbers_expect(test, 0, &y, attention_bound(dtype));
    op_test_free(test);
    for (int i = 0; i < 4; i++)
        op_numbers_free(&inputs[i]);
    if (c->is_inside) {
        free(keys.values);
        free(keys.data);
    }
    op_numbers_free(&y);
}

START_TEST(fused)
{
    static const fused_case cases[] = {
        {{2, 2, 2, 0}, {{3, 4}, {5, 4}, {5, 6}}, false, false, 2, {3, 6}},
        {{3, 2, 3, 1}, {{2, 3, 4}, {5, 4}, {1, 5, 6}, {5}}, false, true, 3, {2, 3, 6}},
        {{4, 4, 4, 4},
         {{2, 1, 3, 4}, {1, 3, 5, 4}, {2, 3, 5, 7}, {2, 1, 3, 1}},
         false,
         false,
         4,
         {2, 3, 3, 7}},
        {{4, 4, 4, 2},
         {{2, 3, 3, 4}, {2, 5, 3, 4}, {2, 3, 5, 6}, {3, 5}},
         true,
         false,
         4,
         {2, 3, 3, 6}},
        {{5, 3, 4, 3},
         {{2, 2, 1, 3, 4}, {3, 5, 4}, {2, 1, 5, 2}, {3, 1, 5}},
         false,
         true,
         5,
         {2, 2, 3, 3, 2}},
        /* One query and one key, which the mask makes more. */
        {{3, 3, 3, 3}, {{2, 1, 4}, {2, 1, 4}, {2, 6, 3}, {1, 5, 6}}, false, false, 3, {2, 5, 3}},
    };
    check_fused(&cases[_i / 4], dtypes[_i % 4]);
}
END_TEST

START_TEST(wrong_fused)
{
    static const float zeros[64] = {0};
    static const int64_t dims[][3][3] = {
        {{2, 3, 4}, {2, 3, 5}, {2, 3, 4}}, /* sizes differ */
        {{2, 3, 4}, {2, 3, 4}, {2, 2, 4}}, /* fewer values than keys */
        {{2, 3, 4}, {3, 3, 4}, {2, 3, 4}}, /* batches differ */
        {{2, 3, 4}, {2, 3, 4}, {3, 3, 4}},
    };
    op_test *test = op_test_create("mlscale", "FusedAttention");
    for (int i = 0; i < 3; i++)
        op_test_input(test, MLS_FLOAT32, 3, dims[_i][i], zeros);
    ck_assert_int_eq(op_test_infer(test), MLS_ESHAPE);
    op_test_free(test);
}
END_TEST

void add_fused_attention(TCase *tests)
{
    tcase_add_loop_test(tests, fused, 0, 24);
    tcase_add_loop_test(tests, wrong_fused, 0, 4);
}
