/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention against its definition, worked out a number at a time in double precision with the
 * functions of libm. ops_fused_attention.c and ops_rotary.c are parts of this program.
 */
#include "cpu/op_numbers.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double attention_bound(mls_dtype dtype)
{
    return dtype == MLS_FLOAT64   ? 1e-14
           : dtype == MLS_FLOAT32 ? 2e-6
           : dtype == MLS_FLOAT16 ? 1e-3
                                  : 8e-3;
}

enum { NO_MASK, BOOL_MASK, FLOAT_MASK };

/* What a case asks for; everything else is as it is by default. */
typedef struct attention_case {
    mls_dtype dtype;
    int64_t batch, heads, kv_heads, queries, rows, past, size, v_size;
    bool is_flat; /* inputs of three dimensions */
    int mask;
    int mask_rank;
    int64_t mask_dims[4];
    bool is_causal, has_lengths, has_presents;
    int64_t left, right; /* windows plus 1; 0: not given */
    float scale, softcap;
    int mode; /* of the scores, plus 1; 0: they are no output */
} attention_case;

typedef struct operands {
    op_numbers q, k, v, mask, past_k, past_v;
    int64_t *lengths;
} operands;

static op_numbers heads_numbers(const attention_case *c, int64_t heads, int64_t rows, int64_t size,
                                uint64_t seed)
{
    const int64_t flat[] = {c->batch, rows, heads * size};
    const int64_t deep[] = {c->batch, heads, rows, size};
    return op_numbers_random(c->dtype, c->is_flat ? 3 : 4, c->is_flat ? flat : deep, -1, 2, seed);
}

/* Some are excluded; of the mask's first row all. */
static op_numbers make_mask(const attention_case *c)
{
    if (c->mask == NO_MASK)
        return (op_numbers){.rank = 0};
    const mls_dtype dtype = c->mask == BOOL_MASK ? MLS_BOOL : c->dtype;
    op_numbers mask = op_numbers_make(dtype, c->mask_rank, c->mask_dims);
    const int64_t columns = c->mask_dims[c->mask_rank - 1];
    uint64_t seed = 9;
    for (int64_t i = 0; i < mask.count; i++) {
        const bool is_excluded = i < columns || op_random(&seed) % 4 == 0;
        const double value = is_excluded ? -INFINITY : (double) (op_random(&seed) % 5) / 4;
        if (dtype == MLS_BOOL)
            ((uint8_t *) mask.data)[i] = !is_excluded;
        else
            op_float_set(dtype, mask.data, i, value);
        mask.values[i] = dtype != MLS_BOOL ? value : is_excluded ? -INFINITY : 0;
    }
    return mask;
}

static operands make_operands(const attention_case *c)
{
    const int64_t past_k[] = {c->batch, c->kv_heads, c->past, c->size};
    const int64_t past_v[] = {c->batch, c->kv_heads, c->past, c->v_size};
    operands o = {
        .q = heads_numbers(c, c->heads, c->queries, c->size, 1),
        .k = heads_numbers(c, c->kv_heads, c->rows, c->size, 2),
        .v = heads_numbers(c, c->kv_heads, c->rows, c->v_size, 3),
        .mask = make_mask(c),
        .lengths = calloc((size_t) c->batch + 1, sizeof *o.lengths),
    };
    if (c->past) {
        o.past_k = op_numbers_random(c->dtype, 4, past_k, -1, 2, 4);
        o.past_v = op_numbers_random(c->dtype, 4, past_v, -1, 2, 5);
    }
    for (int64_t i = 0; i < c->batch; i++)
        o.lengths[i] = (i * 3 + 2) % (c->rows + 1);
    return o;
}

static void free_operands(operands *o)
{
    op_numbers *const all[] = {&o->q, &o->k, &o->v, &o->mask, &o->past_k, &o->past_v};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        op_numbers_free(all[i]);
    free(o->lengths);
}

static double at_head(const attention_case *c, const op_numbers *t, int64_t heads, int64_t rows,
                      int64_t size, const int64_t index[4])
{
    const int64_t flat = ((index[0] * rows + index[2]) * heads + index[1]) * size + index[3];
    const int64_t deep = ((index[0] * heads + index[1]) * rows + index[2]) * size + index[3];
    return t->values[c->is_flat ? flat : deep];
}

/* Element [batch, kv_head, key, i] of past and new rows. */
static double joined(const attention_case *c, const op_numbers *past, const op_numbers *fresh,
                     int64_t size, const int64_t index[4])
{
    if (index[2] < c->past)
        return past
            ->values[((index[0] * c->kv_heads + index[1]) * c->past + index[2]) * size + index[3]];
    const int64_t at[] = {index[0], index[1], index[2] - c->past, index[3]};
    return at_head(c, fresh, c->kv_heads, c->rows, size, at);
}

static double mask_at(const attention_case *c, const operands *o, const int64_t index[4])
{
    int64_t at = 0;
    if (c->mask == NO_MASK)
        return 0;
    if (index[3] >= c->mask_dims[c->mask_rank - 1])
        return -INFINITY;
    for (int i = 0; i < c->mask_rank; i++) {
        const int64_t place = index[4 - c->mask_rank + i];
        at = at * c->mask_dims[i] + (c->mask_dims[i] == 1 ? 0 : place);
    }
    return o->mask.values[at];
}

/* What is added to score [batch, head, query, key]. */
static double bias_at(const attention_case *c, const operands *o, const int64_t index[4])
{
    const int64_t length = c->has_lengths ? o->lengths[index[0]] : c->past + c->rows;
    const int64_t place = index[2] + (c->has_lengths ? length - c->queries : c->past),
                  key = index[3];
    if (key >= length || (c->is_causal && key > place) || (c->left && key < place - c->left + 1) ||
        (c->right && key > place + c->right - 1))
        return -INFINITY;
    return mask_at(c, o, index);
}

/* Weights of a row of keys in x; kept in `ret_scores` where the mode says so. */
static void finish_row(const attention_case *c, const operands *o, int64_t index[4], double *x,
                       double *ret_scores)
{
    const int64_t keys = c->past + c->rows;
    double sum = 0, most = -INFINITY;
    bool is_dead = true;
    for (index[3] = 0; index[3] < keys; index[3]++) {
        double *score = &x[index[3]];
        const double bias = bias_at(c, o, index);
        double *kept = &ret_scores[index[3]];
        if (c->mode == 1)
            *kept = *score;
        if (c->softcap > 0)
            *score = (double) c->softcap * tanh(*score / (double) c->softcap);
        if (c->mode == 2)
            *kept = *score;
        *score += bias;
        if (c->mode == 3)
            *kept = *score;
        is_dead = is_dead && bias == -INFINITY;
        most = fmax(most, *score);
    }
    for (int64_t i = 0; i < keys; i++)
        sum += x[i] = is_dead ? 0 : exp(x[i] - most);
    for (int64_t i = 0; i < keys; i++) {
        x[i] = is_dead ? 0 : x[i] / sum;
        if (c->mode == 4)
            ret_scores[i] = x[i];
    }
}

static void attend_row(const attention_case *c, const operands *o, const int64_t row[3], double *y,
                       double *ret_scores)
{
    const int64_t keys = c->past + c->rows, kv_head = row[1] / (c->heads / c->kv_heads);
    double *x = calloc((size_t) keys + 1, sizeof *x);
    int64_t at[] = {row[0], row[1], row[2], 0};
    for (int64_t j = 0; j < keys; j++) {
        for (int64_t i = 0; i < c->size; i++) {
            const int64_t q[] = {row[0], row[1], row[2], i}, k[] = {row[0], kv_head, j, i};
            x[j] += at_head(c, &o->q, c->heads, c->queries, c->size, q) *
                    joined(c, &o->past_k, &o->k, c->size, k);
        }
        x[j] *= c->scale > 0 ? (double) c->scale : 1 / sqrt((double) c->size);
    }
    finish_row(c, o, at, x, ret_scores);
    for (int64_t i = 0; i < c->v_size; i++) {
        y[i] = 0;
        for (int64_t j = 0; j < keys; j++) {
            const int64_t v[] = {row[0], kv_head, j, i};
            y[i] += x[j] * joined(c, &o->past_v, &o->v, c->v_size, v);
        }
    }
    free(x);
}

static op_test *make_test(const attention_case *c, const operands *o)
{
    op_test *test = op_test_create("", "Attention");
    op_test_outputs(test, c->mode ? 4 : c->has_presents ? 3 : 1);
    if (c->is_flat) {
        op_test_int(test, "q_num_heads", c->heads);
        op_test_int(test, "kv_num_heads", c->kv_heads);
    }
    if (c->is_causal)
        op_test_int(test, "is_causal", 1);
    if (c->left)
        op_test_int(test, "left_window_size", c->left - 1);
    if (c->right)
        op_test_int(test, "right_window_size", c->right - 1);
    if (c->scale > 0)
        op_test_float(test, "scale", c->scale);
    if (c->softcap > 0)
        op_test_float(test, "softcap", c->softcap);
    if (c->mode)
        op_test_int(test, "qk_matmul_output_mode", c->mode - 1);
    const op_numbers *const inputs[] = {&o->q, &o->k, &o->v, &o->mask, &o->past_k, &o->past_v};
    for (size_t i = 0; i < 6; i++)
        op_numbers_give(test, inputs[i]);
    if (c->has_lengths)
        op_test_input(test, MLS_INT64, OP_DIMS(c->batch), o->lengths);
    return test;
}

static void expect_present(const attention_case *c, const op_test *test, size_t index,
                           const op_numbers *past, const op_numbers *fresh, int64_t size)
{
    const int64_t keys = c->past + c->rows;
    op_numbers t = op_numbers_make(c->dtype, 4, (int64_t[]){c->batch, c->kv_heads, keys, size});
    for (int64_t i = 0; i < t.count; i++) {
        const int64_t at[] = {i / size / keys / c->kv_heads, i / size / keys % c->kv_heads,
                              i / size % keys, i % size};
        t.values[i] = joined(c, past, fresh, size, at);
    }
    op_numbers_expect(test, index, &t, attention_bound(c->dtype));
    op_numbers_free(&t);
}

static void check(const attention_case *c)
{
    operands o = make_operands(c);
    const int64_t keys = c->past + c->rows;
    const int64_t flat[] = {c->batch, c->queries, c->heads * c->v_size};
    const int64_t deep[] = {c->batch, c->heads, c->queries, c->v_size};
    op_numbers y = op_numbers_make(c->dtype, c->is_flat ? 3 : 4, c->is_flat ? flat : deep);
    op_numbers scores =
        op_numbers_make(c->dtype, 4, (int64_t[]){c->batch, c->heads, c->queries, keys});
    for (int64_t i = 0; i < c->batch * c->heads * c->queries; i++) {
        const int64_t row[] = {i / c->queries / c->heads, i / c->queries % c->heads,
                               i % c->queries};
        const int64_t at = c->is_flat ? (row[0] * c->queries + row[2]) * c->heads + row[1] : i;
        attend_row(c, &o, row, y.values + at * c->v_size, scores.values + i * keys);
    }
    op_test *test = make_test(c, &o);
    ck_assert_ok(op_test_run(test));
    op_numbers_expect(test, 0, &y, attention_bound(c->dtype));
    if (c->has_presents || c->mode) {
        expect_present(c, test, 1, &o.past_k, &o.k, c->size);
        expect_present(c, test, 2, &o.past_v, &o.v, c->v_size);
    }
    if (c->mode)
        op_numbers_expect(test, 3, &scores, attention_bound(c->dtype));
    op_test_free(test);
    op_numbers_free(&y);
    op_numbers_free(&scores);
    free_operands(&o);
}

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

START_TEST(plain)
{
    static const int64_t sizes[] = {1, 8, 16, 21};
    const attention_case c = {.dtype = dtypes[_i % 4],
                              .batch = 2,
                              .heads = 3,
                              .kv_heads = 3,
                              .queries = 5,
                              .rows = 7,
                              .size = sizes[_i / 4 % 4],
                              .v_size = sizes[(_i / 4 + 1) % 4],
                              .is_flat = _i / 16};
    check(&c);
}
END_TEST

START_TEST(masks)
{
    static const int64_t dims[][4] = {{6, 9},       {1, 9},       {4, 6, 9}, {2, 1, 6, 9},
                                      {2, 4, 6, 7}, {2, 4, 1, 5}, {9}};
    static const int ranks[] = {2, 2, 3, 4, 4, 4, 1};
    const int which = _i / 8 % 7;
    attention_case c = {.dtype = dtypes[_i % 4],
                        .batch = 2,
                        .heads = 4,
                        .kv_heads = 2,
                        .queries = 6,
                        .rows = 9,
                        .size = 5,
                        .v_size = 17,
                        .mask = _i / 4 % 2 ? BOOL_MASK : FLOAT_MASK,
                        .mask_rank = ranks[which],
                        .is_flat = _i % 3 == 0,
                        .is_causal = _i % 5 == 0};
    memcpy(c.mask_dims, dims[which], sizeof c.mask_dims);
    check(&c);
}
END_TEST

START_TEST(pasts_and_scores)
{
    const attention_case c = {.dtype = dtypes[_i % 4],
                              .batch = 2,
                              .heads = 6,
                              .kv_heads = 2,
                              .queries = 3,
                              .rows = 4,
                              .past = _i / 4 % 2 ? 6 : 0,
                              .size = 8,
                              .v_size = 6,
                              .is_flat = _i / 8 % 2,
                              .is_causal = _i / 16 % 2,
                              .has_presents = true,
                              .mask = _i % 3 == 0 ? FLOAT_MASK : NO_MASK,
                              .mask_rank = 2,
                              .mask_dims = {3, _i / 4 % 2 ? 10 : 4},
                              .softcap = _i % 2 ? 0.5f : 0,
                              .scale = 0.3f,
                              .mode = _i / 32};
    check(&c);
}
END_TEST

START_TEST(lengths_and_windows)
{
    const attention_case c = {.dtype = dtypes[_i % 4],
                              .batch = 3,
                              .heads = 2,
                              .kv_heads = 1,
                              .queries = 4,
                              .rows = 6,
                              .size = 4,
                              .v_size = 4,
                              .has_lengths = _i / 4 % 2,
                              .is_causal = _i / 8 % 2,
                              .left = _i / 16 % 3,
                              .right = _i / 48 % 3,
                              .mode = _i % 5};
    check(&c);
}
END_TEST

/* Several blocks of rows, parts for threads, and more keys than a group of panels. */
START_TEST(large)
{
    static const attention_case cases[] = {
        {.batch = 1,
         .heads = 2,
         .kv_heads = 2,
         .queries = 130,
         .rows = 150,
         .size = 40,
         .v_size = 32},
        {.batch = 1,
         .heads = 4,
         .kv_heads = 1,
         .queries = 70,
         .rows = 300,
         .size = 16,
         .v_size = 9},
        {.batch = 2,
         .heads = 8,
         .kv_heads = 2,
         .queries = 1,
         .rows = 500,
         .size = 33,
         .v_size = 48},
    };
    attention_case c = cases[_i / 4];
    c.dtype = dtypes[_i % 4];
    c.is_causal = _i % 3 == 0;
    c.is_flat = _i % 2;
    check(&c);
}
END_TEST

START_TEST(empty)
{
    static const int64_t dims[][5] = {
        {0, 3, 4, 2, 2}, {2, 0, 4, 2, 2}, {2, 3, 0, 2, 2}, {2, 3, 4, 0, 2}, {2, 3, 4, 2, 0}};
    const attention_case c = {.dtype = dtypes[_i % 2],
                              .batch = dims[_i / 2][0],
                              .heads = 2,
                              .kv_heads = 2,
                              .queries = dims[_i / 2][1],
                              .rows = dims[_i / 2][2],
                              .size = dims[_i / 2][3],
                              .v_size = dims[_i / 2][4],
                              .scale = 1};
    check(&c);
}
END_TEST

/* One query of one batch has the bytes that it has among many; planned for more of all. */
START_TEST(rows_do_not_depend_on_others)
{
    enum { BATCH = 3, HEADS = 2, QUERIES = 70, KEYS = 45, SIZE = 20 };
    const attention_case c = {.dtype = _i ? MLS_FLOAT16 : MLS_FLOAT32,
                              .batch = BATCH,
                              .heads = HEADS,
                              .kv_heads = HEADS,
                              .queries = QUERIES,
                              .rows = KEYS,
                              .size = SIZE,
                              .v_size = SIZE};
    operands o = make_operands(&c);
    const size_t size = mls_dtype_size(c.dtype), row = SIZE * size;
    const int64_t planned[] = {BATCH, HEADS, QUERIES, SIZE},
                  planned_kv[] = {BATCH, HEADS, 99, SIZE};
    op_test *all = make_test(&c, &o);
    ck_assert_ok(op_test_run(all));
    for (int64_t i = 0; i < BATCH * QUERIES; i += 17) {
        char q[HEADS * SIZE * 4];
        const int64_t batch = i / QUERIES, query = i % QUERIES;
        const size_t kv = (size_t) batch * HEADS * KEYS * row;
        op_test *one = op_test_create("", "Attention");
        for (size_t h = 0; h < HEADS; h++)
            memcpy(q + h * row,
                   (char *) o.q.data +
                       (((size_t) batch * HEADS + h) * QUERIES + (size_t) query) * row,
                   row);
        op_test_input(one, c.dtype, OP_DIMS(1, HEADS, 1, SIZE), q);
        op_test_planned(one, 4, planned, NULL);
        op_test_input(one, c.dtype, OP_DIMS(1, HEADS, KEYS, SIZE), (char *) o.k.data + kv);
        op_test_planned(one, 4, planned_kv, NULL);
        op_test_input(one, c.dtype, OP_DIMS(1, HEADS, KEYS, SIZE), (char *) o.v.data + kv);
        op_test_planned(one, 4, planned_kv, NULL);
        ck_assert_ok(op_test_run(one));
        for (size_t h = 0; h < HEADS; h++)
            ck_assert_mem_eq((const char *) op_test_data(one, 0) + h * row,
                             (const char *) op_test_data(all, 0) +
                                 (((size_t) batch * HEADS + h) * QUERIES + (size_t) query) * row,
                             row);
        op_test_free(one);
    }
    op_test_free(all);
    free_operands(&o);
}
END_TEST

START_TEST(wrong_shapes)
{
    static const float zeros[64] = {0};
    static const int64_t dims[][3][4] = {
        {{1, 3, 2, 2}, {1, 2, 2, 2}, {1, 2, 2, 2}}, /* heads do not divide */
        {{1, 2, 2, 2}, {1, 2, 2, 3}, {1, 2, 2, 2}}, /* sizes differ */
        {{1, 2, 2, 2}, {1, 2, 2, 2}, {1, 2, 3, 2}}, /* rows differ */
        {{1, 2, 2, 2}, {2, 2, 2, 2}, {1, 2, 2, 2}}, /* batches differ */
        {{1, 2, 2, 2}, {1, 0, 2, 2}, {1, 0, 2, 2}}, /* no heads to share */
    };
    op_test *test = op_test_create("", "Attention");
    for (int i = 0; i < 3; i++)
        op_test_input(test, MLS_FLOAT32, 4, dims[_i][i], zeros);
    ck_assert_int_eq(op_test_infer(test), MLS_ESHAPE);
    op_test_free(test);
}
END_TEST

START_TEST(wrong_lengths)
{
    static const float zeros[64] = {0};
    const int64_t length = _i ? -1 : 5;
    op_test *test = op_test_create("", "Attention");
    for (int i = 0; i < 3; i++)
        op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 4, 2), zeros);
    for (int i = 0; i < 3; i++)
        op_test_left_out(test);
    op_test_input(test, MLS_INT64, OP_DIMS(1), &length);
    ck_assert_int_eq(op_test_run(test), MLS_EINVAL);
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_attention");
    TCase *tests = tcase_create("attention");
    tcase_add_loop_test(tests, plain, 0, 32);
    tcase_add_loop_test(tests, masks, 0, 56);
    tcase_add_loop_test(tests, pasts_and_scores, 0, 160);
    tcase_add_loop_test(tests, lengths_and_windows, 0, 144);
    tcase_add_loop_test(tests, large, 0, 12);
    tcase_add_loop_test(tests, empty, 0, 10);
    tcase_add_loop_test(tests, rows_do_not_depend_on_others, 0, 2);
    tcase_add_loop_test(tests, wrong_shapes, 0, 5);
    tcase_add_loop_test(tests, wrong_lengths, 0, 2);
    add_fused_attention(tests);
    add_rotary(tests);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
