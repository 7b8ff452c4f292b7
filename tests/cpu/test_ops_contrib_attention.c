/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attention ops of com.microsoft against what they are defined to be, worked out a number at a
 * time in double precision.
 */
#include "cpu/contrib_scene.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include "op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- Attention and QAttention ---------------------------------------------------------------- */

typedef struct projected_case {
    mls_dtype dtype; /* of the output */
    int64_t batch, rows, heads, size, v_size, past;
    int padding;
    bool is_causal, is_constant, has_bias, is_quantized, has_columns;
} projected_case;

enum { INPUTS = 6 };

/* Row r of x W + b, columns first .. first+count-1. */
static void project(const double *x, const double *w, const double *b, int64_t columns,
                    int64_t first, int64_t count, double *ret_y)
{
    for (int64_t j = 0; j < count; j++) {
        ret_y[j] = b[first + j];
        for (int64_t i = 0; i < INPUTS; i++)
            ret_y[j] += x[i] * w[i * columns + first + j];
    }
}

/* Heads of the product, behind those of half `part` of the past. */
static heads project_heads(const projected_case *c, const double *x, const double *w,
                           const double *b, const double *past, int part)
{
    const int64_t q = c->heads * c->size, columns = 2 * q + c->heads * c->v_size;
    const int64_t size = part == 2 ? c->v_size : c->size, before = part ? c->past : 0;
    heads h = heads_make(c->batch, c->heads, before + c->rows, size);
    for (int64_t i = 0; i < c->batch * c->heads; i++) {
        for (int64_t r = 0; r < before * size; r++)
            heads_at(&h, i / c->heads, i % c->heads, 0)[r] =
                past[((part - 1) * c->batch * c->heads + i) * before * size + r];
        for (int64_t r = 0; r < c->rows; r++)
            project(x + (i / c->heads * c->rows + r) * INPUTS, w, b, columns,
                    part * q + i % c->heads * size, size,
                    heads_at(&h, i / c->heads, i % c->heads, before + r));
    }
    return h;
}

static void add_bytes(op_test *test, mls_dtype dtype, int rank, const int64_t *dims, int64_t count,
                      const double *values, double zero)
{
    uint8_t *data = calloc((size_t) count + 1, 1);
    ck_assert_ptr_nonnull(data);
    for (int64_t i = 0; i < count; i++)
        op_integer_set(dtype, data, i, (int64_t) (values[i] * 16 + zero));
    op_test_input(test, dtype, rank, dims, data);
    free(data);
}

static void add_quantized(op_test *test, const projected_case *c, const double *x, const double *w,
                          const double *b)
{
    const int64_t columns = c->heads * (2 * c->size + c->v_size);
    const float sixteenth = 1.0f / 16;
    float *scales = calloc((size_t) columns, sizeof *scales);
    ck_assert_ptr_nonnull(scales);
    for (int64_t i = 0; i < columns; i++)
        scales[i] = sixteenth;
    add_bytes(test, MLS_UINT8, 3, (int64_t[]){c->batch, c->rows, INPUTS},
              c->batch * c->rows * INPUTS, x, 100);
    add_bytes(test, MLS_INT8, 2, (int64_t[]){INPUTS, columns}, INPUTS * columns, w, 3);
    contrib_give(test, MLS_FLOAT32, 1, &columns, b, c->is_constant);
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, &sixteenth);
    if (c->has_columns)
        op_test_input(test, MLS_FLOAT32, OP_DIMS(columns), scales);
    else
        op_test_input(test, MLS_FLOAT32, OP_SCALAR, &sixteenth);
    free(scales);
}

static void add_projection(op_test *test, const projected_case *c, const double *x, const double *w,
                           const double *b)
{
    const int64_t columns = c->heads * (2 * c->size + c->v_size);
    contrib_give(test, c->dtype, 3, (int64_t[]){c->batch, c->rows, INPUTS}, x, false);
    contrib_give(test, c->dtype, 2, (int64_t[]){INPUTS, columns}, w, c->is_constant);
    contrib_give(test, c->dtype, 1, &columns, b, c->is_constant);
}

static void check_projected(const projected_case *c)
{
    const int64_t q = c->heads * c->size, columns = 2 * q + c->heads * c->v_size;
    const int64_t past_count = 2 * c->batch * c->heads * c->past * c->size;
    double *x = contrib_random(c->batch * c->rows * INPUTS, 1);
    double *w = contrib_random(INPUTS * columns, 2), *b = contrib_random(columns, 3);
    double *past = contrib_random(past_count, 4);
    double *bias = contrib_random(c->heads * c->rows * (c->past + c->rows), 5);
    scene s = {.q = project_heads(c, x, w, b, past, 0),
               .k = project_heads(c, x, w, b, past, 1),
               .v = project_heads(c, x, w, b, past, 2),
               .past = c->past,
               .is_causal = c->is_causal,
               .scale = 1 / sqrt((double) c->size),
               .padding = c->padding,
               .bias = c->has_bias ? bias : NULL,
               .bias_batch = 1,
               .bias_heads = c->heads};
    op_test *test = op_test_create("com.microsoft", c->is_quantized ? "QAttention" : "Attention");
    op_test_int(test, "num_heads", c->heads);
    op_test_outputs(test, c->past ? 2 : 1);
    if (c->is_causal)
        op_test_int(test, "unidirectional", 1);
    if (c->v_size != c->size)
        op_test_ints(test, "qkv_hidden_sizes", 3, (int64_t[]){q, q, c->heads * c->v_size});
    (c->is_quantized ? add_quantized : add_projection)(test, c, x, w, b);
    scene_add_mask(test, &s);
    if (c->is_quantized) {
        op_test_input(test, MLS_UINT8, OP_SCALAR, &(uint8_t){100});
        op_test_input(test, MLS_INT8, OP_SCALAR, &(int8_t){3});
    }
    if (c->past)
        contrib_give(test, c->dtype, 5, (int64_t[]){2, c->batch, c->heads, c->past, c->size}, past,
                     false);
    else
        op_test_left_out(test);
    if (c->has_bias)
        contrib_give(test, c->dtype, 4, (int64_t[]){1, c->heads, c->rows, c->past + c->rows}, bias,
                     false);
    ck_assert_ok(op_test_run(test));
    scene_expect(test, c->dtype, &s);
    if (c->past) {
        const int64_t count = s.k.batch * s.k.heads * s.k.rows * s.k.size;
        double *present = calloc((size_t) (2 * count), sizeof *present);
        ck_assert_ptr_nonnull(present);
        memcpy(present, s.k.values, (size_t) count * sizeof *present);
        memcpy(present + count, s.v.values, (size_t) count * sizeof *present);
        contrib_expect(test, 1, c->dtype, present, 2 * count);
        free(present);
    }
    op_test_free(test);
    scene_free(&s);
    free(x);
    free(w);
    free(b);
    free(past);
    free(bias);
}

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16};

START_TEST(attention)
{
    const projected_case c = {.dtype = dtypes[_i % 3],
                              .batch = 3,
                              .rows = 5,
                              .heads = 2,
                              .size = 4,
                              .v_size = _i / 3 % 4 == 1 ? 6 : 4,
                              .past = _i / 3 % 4 == 2 ? 3 : 0,
                              .padding = _i / 12 % PADDINGS,
                              .is_causal = _i % 2,
                              .is_constant = _i / 2 % 2,
                              .has_bias = _i / 3 % 4 == 3};
    check_projected(&c);
}
END_TEST

START_TEST(q_attention)
{
    const projected_case c = {.dtype = MLS_FLOAT32,
                              .batch = 2,
                              .rows = 4,
                              .heads = 3,
                              .size = 8,
                              .v_size = 8,
                              .past = _i / 2 % 2 ? 2 : 0,
                              .padding = _i / 8 ? KEYS : NO_PADDING,
                              .is_causal = _i % 2,
                              .is_constant = _i / 4 % 2,
                              .is_quantized = true,
                              .has_columns = _i / 4 % 2};
    check_projected(&c);
}
END_TEST

/* --- MultiHeadAttention ---------------------------------------------------------------------- */

enum { IN_ROWS, PACKED, PACKED_KV, DEEP, FORMS };

typedef struct multi_case {
    mls_dtype dtype;
    int form;
    int64_t batch, heads, queries, rows, size, v_size, past;
    int padding;
    bool is_causal, has_bias, has_score_bias;
} multi_case;

/* An operand with its bias, behind the past. */
static heads read_heads(const multi_case *c, const double *x, const int64_t steps[4], int64_t rows,
                        int64_t size, const double *bias, const double *past)
{
    const int64_t before = past ? c->past : 0;
    heads h = heads_make(c->batch, c->heads, before + rows, size);
    for (int64_t i = 0; i < c->batch * c->heads; i++) {
        const int64_t b = i / c->heads, head = i % c->heads;
        for (int64_t r = 0; r < before * size; r++)
            heads_at(&h, b, head, 0)[r] = past[i * before * size + r];
        for (int64_t r = 0; r < rows; r++)
            for (int64_t e = 0; e < size; e++)
                heads_at(&h, b, head, before + r)[e] =
                    x[b * steps[0] + head * steps[1] + r * steps[2] + steps[3] + e] +
                    (c->has_bias ? bias[head * size + e] : 0);
    }
    return h;
}

static void add_operands(op_test *test, const multi_case *c, double *const x[3])
{
    const int64_t n = c->heads, d = c->size, v = c->v_size;
    const bool is_one = c->form == PACKED, is_two = c->form == PACKED_KV;
    if (is_one) {
        contrib_give(test, c->dtype, 5, (int64_t[]){c->batch, c->queries, n, 3, d}, x[0], false);
        op_test_left_out(test);
        op_test_left_out(test);
        return;
    }
    contrib_give(test, c->dtype, 3, (int64_t[]){c->batch, c->queries, n * d}, x[0], false);
    if (is_two) {
        contrib_give(test, c->dtype, 5, (int64_t[]){c->batch, c->rows, n, 2, d}, x[1], false);
        op_test_left_out(test);
    } else if (c->form == DEEP) {
        contrib_give(test, c->dtype, 4, (int64_t[]){c->batch, n, c->rows, d}, x[1], false);
        contrib_give(test, c->dtype, 4, (int64_t[]){c->batch, n, c->rows, v}, x[2], false);
    } else {
        contrib_give(test, c->dtype, 3, (int64_t[]){c->batch, c->rows, n * d}, x[1], false);
        contrib_give(test, c->dtype, 3, (int64_t[]){c->batch, c->rows, n * v}, x[2], false);
    }
}

static scene make_scene(const multi_case *c, double *const x[3], const double *bias,
                        double *const pasts[2])
{
    const int64_t n = c->heads, d = c->size, v = c->v_size;
    const bool is_one = c->form == PACKED, is_two = c->form == PACKED_KV, is_deep = c->form == DEEP;
    const int64_t parts = is_one ? 3 : is_two ? 2 : 1;
    const int64_t flat_q[] = {c->queries * n * d, d, n * d, 0};
    const int64_t one[][4] = {{c->rows * n * parts * d, parts * d, n * parts * d, 0},
                              {c->rows * n * parts * d, parts * d, n * parts * d, d},
                              {c->rows * n * parts * d, parts * d, n * parts * d, 2 * d}};
    const int64_t flat_v[] = {c->rows * n * v, v, n * v, 0};
    const int64_t deep_k[] = {c->rows * n * d, c->rows * d, d, 0};
    const int64_t deep_v[] = {c->rows * n * v, c->rows * v, v, 0};
    const double *k_past = c->past ? pasts[0] : NULL, *v_past = c->past ? pasts[1] : NULL;
    scene s = {.past = c->past,
               .is_causal = c->is_causal,
               .scale = 1 / sqrt((double) d),
               .padding = c->padding};
    s.q = read_heads(c, x[0], is_one ? one[0] : flat_q, c->queries, d, bias, NULL);
    s.k = read_heads(c, x[is_one ? 0 : 1], is_deep ? deep_k : one[is_one ? 1 : 0], c->rows, d,
                     bias + n * d, k_past);
    s.v = read_heads(c,
                     x[is_one   ? 0
                       : is_two ? 1
                                : 2],
                     is_one    ? one[2]
                     : is_two  ? one[1]
                     : is_deep ? deep_v
                               : flat_v,
                     c->rows, v, bias + 2 * n * d, v_past);
    return s;
}

static void check_multi(const multi_case *c)
{
    const int64_t n = c->heads, keys = c->past + c->rows, columns = n * (2 * c->size + c->v_size);
    double *x[3], *pasts[2];
    for (uint64_t i = 0; i < 3; i++)
        x[i] = contrib_random(c->batch * (c->queries + c->rows) * n * 3 * (c->size + c->v_size),
                              i + 1);
    for (uint64_t i = 0; i < 2; i++)
        pasts[i] = contrib_random(c->batch * n * c->past * (c->size + c->v_size), i + 9);
    double *bias = contrib_random(columns, 5);
    double *score_bias = contrib_random(c->batch * c->queries * keys, 6);
    scene s = make_scene(c, x, bias, pasts);
    op_test *test = op_test_create("com.microsoft", "MultiHeadAttention");
    op_test_int(test, "num_heads", n);
    op_test_outputs(test, c->past ? 3 : 1);
    if (c->is_causal)
        op_test_int(test, "unidirectional", 1);
    add_operands(test, c, x);
    if (c->has_bias)
        contrib_give(test, c->dtype, 1, &columns, bias, true);
    else
        op_test_left_out(test);
    scene_add_mask(test, &s);
    if (c->has_score_bias) {
        contrib_give(test, c->dtype, 4, (int64_t[]){c->batch, 1, c->queries, keys}, score_bias,
                     false);
        s.bias = score_bias;
        s.bias_batch = c->batch;
        s.bias_heads = 1;
    } else {
        op_test_left_out(test);
    }
    if (c->past) {
        contrib_give(test, c->dtype, 4, (int64_t[]){c->batch, n, c->past, c->size}, pasts[0],
                     false);
        contrib_give(test, c->dtype, 4, (int64_t[]){c->batch, n, c->past, c->v_size}, pasts[1],
                     false);
    }
    ck_assert_ok(op_test_run(test));
    scene_expect(test, c->dtype, &s);
    if (c->past) {
        contrib_expect(test, 1, c->dtype, s.k.values, c->batch * n * keys * c->size);
        contrib_expect(test, 2, c->dtype, s.v.values, c->batch * n * keys * c->v_size);
    }
    op_test_free(test);
    scene_free(&s);
    for (int i = 0; i < 3; i++)
        free(x[i]);
    free(pasts[0]);
    free(pasts[1]);
    free(bias);
    free(score_bias);
}

START_TEST(multi_head)
{
    const int form = _i / 3 % FORMS;
    const multi_case c = {.dtype = dtypes[_i % 3],
                          .form = form,
                          .batch = 2,
                          .heads = 3,
                          .queries = form == PACKED ? 4 : 3,
                          .rows = 4,
                          .size = 5,
                          .v_size = form == IN_ROWS || form == DEEP ? 7 : 5,
                          .past = _i / 12 % 2 ? 2 : 0,
                          .padding = _i / 24 % PADDINGS,
                          .is_causal = _i % 2,
                          .has_bias = form != DEEP && _i / 4 % 2,
                          .has_score_bias = _i / 8 % 2};
    check_multi(&c);
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

START_TEST(wrong_masks)
{
    static const float zeros[64] = {0};
    static const int32_t ones[16] = {1};
    static const struct {
        int rank;
        int64_t dims[4];
    } masks[] = {{1, {3}}, {2, {1, 3}}, {2, {2, 4}}, {3, {1, 2, 3}}, {4, {1, 2, 2, 2}}};
    op_test *test = op_test_create("com.microsoft", "Attention");
    op_test_int(test, "num_heads", 1);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 4, 2), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 6), zeros);
    op_test_left_out(test);
    op_test_input(test, MLS_INT32, masks[_i].rank, masks[_i].dims, ones);
    ck_assert_int_eq(op_test_infer(test), MLS_ESHAPE);
    op_test_free(test);
}
END_TEST

START_TEST(unknown_features)
{
    static const char *const names[] = {"do_rotary", "past_present_share_buffer"};
    static const float zeros[64] = {0};
    op_test *test = op_test_create("com.microsoft", "Attention");
    op_test_int(test, "num_heads", 1);
    op_test_int(test, names[_i], 1);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 4, 2), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 6), zeros);
    ck_assert_int_eq(op_test_run(test), MLS_EUNSUPPORTED);
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_contrib_attention");
    TCase *tests = tcase_create("contrib_attention");
    tcase_add_loop_test(tests, attention, 0, 12 * PADDINGS);
    tcase_add_loop_test(tests, q_attention, 0, 16);
    tcase_add_loop_test(tests, multi_head, 0, 24 * PADDINGS);
    add_contrib_rotary(tests);
    tcase_add_loop_test(tests, wrong_masks, 0, 5);
    tcase_add_loop_test(tests, unknown_features, 0, 2);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
