/* SPDX-License-Identifier: Apache-2.0 */
/* RotaryEmbedding against its definition, worked out a number at a time. */
#include "cpu/op_numbers.h"
#include "cpu/topics.h"

#include <stdbool.h>

typedef struct rotary_case {
    mls_dtype dtype;
    int64_t batch, heads, rows, size, turned;
    bool is_flat, is_interleaved, has_positions;
} rotary_case;

enum { PLACES = 50 };

static double rotated(const rotary_case *c, const op_numbers *x, const op_numbers *cosines,
                      const op_numbers *sines, const int64_t *positions, int64_t i)
{
    const int64_t turned = c->turned ? c->turned : c->size, half = turned / 2;
    const int64_t head = i / c->size, j = i % c->size;
    const int64_t row =
        c->is_flat ? head / c->heads : head / c->heads / c->rows * c->rows + head % c->rows;
    if (j >= turned)
        return x->values[i];
    const int64_t pair = c->is_interleaved ? j / 2 : j % half;
    const bool is_first = c->is_interleaved ? j % 2 == 0 : j < half;
    const int64_t step = c->is_interleaved ? 1 : half;
    const int64_t at = (c->has_positions ? positions[row] : row) * half + pair;
    const double cosine = cosines->values[at], sine = sines->values[at];
    return is_first ? cosine * x->values[i] - sine * x->values[i + step]
                    : sine * x->values[i - step] + cosine * x->values[i];
}

static void check_rotary(const rotary_case *c)
{
    const int64_t half = (c->turned ? c->turned : c->size) / 2;
    const int64_t flat[] = {c->batch, c->rows, c->heads * c->size};
    const int64_t deep[] = {c->batch, c->heads, c->rows, c->size};
    const int64_t by_row[] = {c->batch, c->rows, half}, by_place[] = {PLACES, half};
    const int cache_rank = c->has_positions ? 2 : 3;
    const int64_t *cache_dims = c->has_positions ? by_place : by_row;
    op_numbers x =
        op_numbers_random(c->dtype, c->is_flat ? 3 : 4, c->is_flat ? flat : deep, -1, 2, 1);
    op_numbers cosines = op_numbers_random(c->dtype, cache_rank, cache_dims, -1, 2, 2);
    op_numbers sines = op_numbers_random(c->dtype, cache_rank, cache_dims, -1, 2, 3);
    op_numbers y = op_numbers_make(c->dtype, x.rank, x.dims);
    int64_t positions[64];
    for (int64_t i = 0; i < c->batch * c->rows; i++)
        positions[i] = i * 7 % PLACES;
    for (int64_t i = 0; i < y.count; i++)
        y.values[i] = rotated(c, &x, &cosines, &sines, positions, i);
    op_test *test = op_test_create("", "RotaryEmbedding");
    if (c->is_flat)
        op_test_int(test, "num_heads", c->heads);
    if (c->turned)
        op_test_int(test, "rotary_embedding_dim", c->turned);
    if (c->is_interleaved)
        op_test_int(test, "interleaved", 1);
    op_numbers_give(test, &x);
    op_numbers_give(test, &cosines);
    op_numbers_give(test, &sines);
    if (c->has_positions)
        op_test_input(test, MLS_INT64, OP_DIMS(c->batch, c->rows), positions);
    ck_assert_ok(op_test_run(test));
    op_numbers_expect(test, 0, &y, attention_bound(c->dtype));
    op_test_free(test);
    op_numbers_free(&x);
    op_numbers_free(&cosines);
    op_numbers_free(&sines);
    op_numbers_free(&y);
}

START_TEST(rotary)
{
    static const mls_dtype singles[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16};
    static const int64_t sizes[] = {2, 10, 64, 300};
    const rotary_case c = {.dtype = singles[_i % 3],
                           .batch = 2,
                           .heads = 3,
                           .rows = 5,
                           .size = sizes[_i / 3 % 4],
                           .turned = _i / 12 % 2 && sizes[_i / 3 % 4] > 2 ? 6 : 0,
                           .is_flat = _i / 24 % 2,
                           .is_interleaved = _i / 48 % 2,
                           .has_positions = _i / 96};
    check_rotary(&c);
}
END_TEST

START_TEST(wrong_rotary)
{
    static const float zeros[64] = {0};
    const int64_t positions[] = {0, _i ? -1 : 3};
    op_test *test = op_test_create("", "RotaryEmbedding");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 2, 4), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(3, 2), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(3, 2), zeros);
    op_test_input(test, MLS_INT64, OP_DIMS(1, 2), positions);
    ck_assert_int_eq(op_test_run(test), MLS_EINVAL);
    op_test_free(test);
}
END_TEST

void add_rotary(TCase *tests)
{
    tcase_add_loop_test(tests, rotary, 0, 192);
    tcase_add_loop_test(tests, wrong_rotary, 0, 2);
}
