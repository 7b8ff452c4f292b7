/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GroupQueryAttention against what it is defined to be, worked out a number at a time in double
 * precision; ONNX Runtime agrees with it on float32.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BATCHES 2
#define CACHE_ROWS   24 /* of cos_cache */

typedef struct group_case {
    int64_t batch, rows, heads, kv_heads, size;
    int64_t past; /* rows of the past; -1: there is none */
    int64_t total;
    int32_t lengths[MOST_BATCHES]; /* seqlens_k */
    int64_t turned;                /* columns of cos_cache; 0: no rotary */
    int64_t window;                /* 0: none */
    float softcap, scale;
    bool is_interleaved, is_packed, has_positions;
    int64_t bias_batch, bias_heads; /* 0: no bias */
    mls_dtype dtype;
} group_case;

/* Tensors as numbers, and what should come of them. */
typedef struct numbers {
    double *q, *k, *v, *past_k, *past_v, *cosines, *sines, *bias;
    int64_t positions[64];
    double *y, *present_k, *present_v;
} numbers;

static int64_t least_one(int64_t n)
{
    return n > 0 ? n : 1;
}

static double *make(int64_t count)
{
    double *values = calloc((size_t) least_one(count), sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

/* Whole sixteenths between -1 and 1, which every dtype has. */
static double *random_numbers(int64_t count, uint64_t seed)
{
    double *values = make(count);
    for (int64_t i = 0; i < count; i++)
        values[i] = (double) (op_random(&seed) % 33) / 16 - 1;
    return values;
}

static int64_t present_rows(const group_case *c)
{
    return c->past > c->total ? c->past : c->total;
}

static numbers make_numbers(const group_case *c)
{
    const int64_t kv = c->batch * c->rows * c->kv_heads * c->size;
    const int64_t past = c->batch * c->kv_heads * least_one(c->past) * c->size;
    const int64_t present = c->batch * c->kv_heads * present_rows(c) * c->size;
    numbers n = {
        .q = random_numbers(c->batch * c->rows * c->heads * c->size, 1),
        .k = random_numbers(kv, 2),
        .v = random_numbers(kv, 3),
        .past_k = random_numbers(past, 4),
        .past_v = random_numbers(past, 5),
        .cosines = random_numbers(CACHE_ROWS * c->turned, 6),
        .sines = random_numbers(CACHE_ROWS * c->turned, 7),
        .bias = random_numbers(c->bias_batch * c->bias_heads * c->rows * c->total, 8),
        .y = make(c->batch * c->rows * c->heads * c->size),
        .present_k = make(present),
        .present_v = make(present),
    };
    for (int64_t i = 0; i < c->batch * c->rows; i++)
        n.positions[i] = (i * 7 + 3) % CACHE_ROWS;
    return n;
}

static void free_numbers(numbers *n)
{
    double *all[] = {n->q,     n->k,    n->v, n->past_k,    n->past_v,   n->cosines,
                     n->sines, n->bias, n->y, n->present_k, n->present_v};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* --- the definition -------------------------------------------------------------------------- */

static int64_t first_key(const group_case *c, int64_t batch)
{
    return c->rows == c->total ? 0 : c->lengths[batch] + 1 - c->rows;
}

static void turn(const group_case *c, const numbers *n, int64_t batch, int64_t row, double *x)
{
    const int64_t place =
        c->has_positions ? n->positions[batch * c->rows + row] : first_key(c, batch) + row;
    for (int64_t i = 0; i < c->turned; i++) {
        double *a = x + (c->is_interleaved ? 2 * i : i);
        double *b = x + (c->is_interleaved ? 2 * i + 1 : c->turned + i);
        const double cosine = n->cosines[place * c->turned + i], x1 = *a, x2 = *b;
        const double sine = n->sines[place * c->turned + i];
        *a = cosine * x1 - sine * x2;
        *b = sine * x1 + cosine * x2;
    }
}

static double *present_row(const group_case *c, double *present, int64_t batch, int64_t head,
                           int64_t row)
{
    return present + ((batch * c->kv_heads + head) * present_rows(c) + row) * c->size;
}

/* K or V behind its past; a present that is 16 bits wide is rounded. */
static void define_present(const group_case *c, const numbers *n, const double *past,
                           const double *fresh, double *present, bool is_turned)
{
    const size_t bytes = (size_t) c->size * sizeof(double);
    for (int64_t b = 0; b < c->batch; b++)
        for (int64_t h = 0; h < c->kv_heads; h++) {
            for (int64_t r = 0; r < first_key(c, b); r++)
                memcpy(present_row(c, present, b, h, r),
                       past + ((b * c->kv_heads + h) * c->past + r) * c->size, bytes);
            for (int64_t r = 0; r < c->rows; r++) {
                double *to = present_row(c, present, b, h, first_key(c, b) + r);
                memcpy(to, fresh + ((b * c->rows + r) * c->kv_heads + h) * c->size, bytes);
                if (is_turned)
                    turn(c, n, b, r, to);
            }
        }
}

static double dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static double bias_of(const group_case *c, const numbers *n, int64_t batch, int64_t head,
                      int64_t row, int64_t key)
{
    if (!c->bias_batch)
        return 0;
    const int64_t unit = batch % c->bias_batch * c->bias_heads + head % c->bias_heads;
    return n->bias[(unit * c->rows + row) * c->total + key];
}

static void define_row(const group_case *c, numbers *n, int64_t batch, int64_t head, int64_t row)
{
    double q[128], weights[64], sum = 0, highest = -INFINITY;
    const int64_t kv_head = head / (c->heads / c->kv_heads);
    const int64_t end = first_key(c, batch) + row + 1;
    const int64_t begin = c->window && end > c->window ? end - c->window : 0;
    double *y = n->y + ((batch * c->rows + row) * c->heads + head) * c->size;
    memcpy(q, n->q + ((batch * c->rows + row) * c->heads + head) * c->size,
           (size_t) c->size * sizeof *q);
    turn(c, n, batch, row, q);
    for (int64_t i = begin; i < end; i++) {
        const double *key = present_row(c, n->present_k, batch, kv_head, i);
        double score =
            dot(q, key, c->size) * (c->scale != 0 ? (double) c->scale : 1 / sqrt((double) c->size));
        if (c->softcap > 0)
            score = (double) c->softcap * tanh(score / (double) c->softcap);
        weights[i] = score + bias_of(c, n, batch, head, row, i);
        highest = fmax(highest, weights[i]);
    }
    for (int64_t i = begin; i < end; i++)
        sum += weights[i] = exp(weights[i] - highest);
    for (int64_t i = begin; i < end; i++)
        for (int64_t e = 0; e < c->size; e++)
            y[e] += weights[i] / sum * present_row(c, n->present_v, batch, kv_head, i)[e];
}

static void define(const group_case *c, numbers *n)
{
    define_present(c, n, n->past_k, n->k, n->present_k, true);
    define_present(c, n, n->past_v, n->v, n->present_v, false);
    for (int64_t b = 0; b < c->batch; b++)
        for (int64_t h = 0; h < c->heads; h++)
            for (int64_t r = 0; r < c->rows; r++)
                define_row(c, n, b, h, r);
}

/* --- the op ---------------------------------------------------------------------------------- */

static void add(op_test *test, mls_dtype dtype, int rank, const int64_t *dims, const double *values)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    void *data = calloc((size_t) least_one(count), sizeof(double));
    ck_assert_ptr_nonnull(data);
    for (int64_t i = 0; i < count; i++)
        op_float_set(dtype, data, i, values[i]);
    op_test_input(test, dtype, rank, dims, data);
    free(data);
}

static void add_packed(op_test *test, const group_case *c, const numbers *n)
{
    const int64_t q = c->heads * c->size, kv = c->kv_heads * c->size, all = q + 2 * kv;
    double *packed = make(c->batch * c->rows * all);
    for (int64_t r = 0; r < c->batch * c->rows; r++) {
        memcpy(packed + r * all, n->q + r * q, (size_t) q * sizeof *packed);
        memcpy(packed + r * all + q, n->k + r * kv, (size_t) kv * sizeof *packed);
        memcpy(packed + r * all + q + kv, n->v + r * kv, (size_t) kv * sizeof *packed);
    }
    add(test, c->dtype, OP_DIMS(c->batch, c->rows, all), packed);
    op_test_left_out(test);
    op_test_left_out(test);
    free(packed);
}

static void add_operands(op_test *test, const group_case *c, const numbers *n)
{
    const int64_t columns = c->kv_heads * c->size;
    if (c->is_packed) {
        add_packed(test, c, n);
    } else {
        add(test, c->dtype, OP_DIMS(c->batch, c->rows, c->heads * c->size), n->q);
        add(test, c->dtype, OP_DIMS(c->batch, c->rows, columns), n->k);
        add(test, c->dtype, OP_DIMS(c->batch, c->rows, columns), n->v);
    }
    for (int i = 0; i < 2; i++)
        if (c->past < 0)
            op_test_left_out(test);
        else
            add(test, c->dtype, OP_DIMS(c->batch, c->kv_heads, c->past, c->size),
                i ? n->past_v : n->past_k);
}

static void add_rest(op_test *test, const group_case *c, const numbers *n)
{
    const int32_t total = (int32_t) c->total;
    op_test_input(test, MLS_INT32, OP_DIMS(c->batch), c->lengths);
    op_test_known(test, MLS_INT32, OP_SCALAR, &total);
    for (int i = 0; i < 2; i++)
        if (c->turned)
            add(test, c->dtype, OP_DIMS(CACHE_ROWS, c->turned), i ? n->sines : n->cosines);
        else
            op_test_left_out(test);
    if (c->has_positions)
        op_test_input(test, MLS_INT64, OP_DIMS(c->batch, c->rows), n->positions);
    else
        op_test_left_out(test);
    if (c->bias_batch)
        add(test, c->dtype, OP_DIMS(c->bias_batch, c->bias_heads, c->rows, c->total), n->bias);
}

static op_test *create_test(const group_case *c, const numbers *n)
{
    op_test *test = op_test_create("com.microsoft", "GroupQueryAttention");
    op_test_outputs(test, 3);
    op_test_int(test, "num_heads", c->heads);
    op_test_int(test, "kv_num_heads", c->kv_heads);
    if (c->turned)
        op_test_int(test, "do_rotary", 1);
    op_test_int(test, "rotary_interleaved", c->is_interleaved);
    if (c->window)
        op_test_int(test, "local_window_size", c->window);
    if (c->softcap > 0)
        op_test_float(test, "softcap", c->softcap);
    if (c->scale > 0)
        op_test_float(test, "scale", c->scale);
    add_operands(test, c, n);
    add_rest(test, c, n);
    return test;
}

/* Rows that pad a prompt mean nothing. */
static void check_rows(const group_case *c, const op_test *test, const numbers *n, double tolerance)
{
    const int64_t columns = c->heads * c->size;
    const mls_arg *y = op_test_output(test, 0);
    ck_assert_int_eq(y->rank, 3);
    ck_assert_int_eq(y->dims[2], columns);
    for (int64_t i = 0; i < c->batch * c->rows * columns; i++) {
        const int64_t batch = i / columns / c->rows, row = i / columns % c->rows;
        const double got = op_float(c->dtype, op_test_data(test, 0), i);
        if (first_key(c, batch) + row <= c->lengths[batch])
            ck_assert_msg(fabs(got - n->y[i]) <= tolerance, "element %d: %g, expected %g", (int) i,
                          got, n->y[i]);
    }
}

static void check_present(const group_case *c, const op_test *test, size_t output,
                          const double *want, double tolerance)
{
    const mls_arg *arg = op_test_output(test, output);
    ck_assert_int_eq(arg->rank, 4);
    ck_assert_int_eq(arg->dims[2], present_rows(c));
    for (int64_t i = 0; i < c->batch * c->kv_heads * present_rows(c) * c->size; i++)
        ck_assert_double_le(fabs(op_float(c->dtype, op_test_data(test, output), i) - want[i]),
                            tolerance);
}

static void check_case(const group_case *c)
{
    const double tolerance = c->dtype == MLS_FLOAT32 ? 4e-6 : c->dtype == MLS_FLOAT16 ? 4e-3 : 3e-2;
    numbers n = make_numbers(c);
    op_test *test = create_test(c, &n);
    define(c, &n);
    ck_assert_ok(op_test_run(test));
    check_rows(c, test, &n, tolerance);
    check_present(c, test, 1, n.present_k, c->turned ? tolerance : 0);
    check_present(c, test, 2, n.present_v, 0);
    op_test_free(test);
    free_numbers(&n);
}

static const group_case cases[] = {
    {1, 5, 4, 2, 16, -1, 5, {4}, .dtype = MLS_FLOAT32},
    {2, 5, 4, 4, 16, 0, 5, {4, 4}, .turned = 8, .dtype = MLS_FLOAT32},
    /* A prompt that is padded, into a cache that is longer. */
    {2, 5, 4, 4, 16, 8, 5, {4, 2}, .turned = 8, .dtype = MLS_FLOAT32},
    {2, 1, 4, 2, 16, 7, 8, {7, 4}, .turned = 4, .dtype = MLS_FLOAT32},
    {2, 1, 4, 1, 16, 16, 8, {7, 0}, .turned = 8, .is_interleaved = true, .dtype = MLS_FLOAT32},
    {2, 3, 6, 2, 8, 7, 9, {8, 2}, .turned = 4, .dtype = MLS_FLOAT32},
    {1, 9, 6, 2, 16, -1, 9, {8}, .window = 3, .dtype = MLS_FLOAT32},
    {1, 1, 6, 2, 16, 8, 9, {8}, .window = 1, .turned = 8, .dtype = MLS_FLOAT32},
    {1, 4, 2, 2, 16, 5, 9, {8}, .softcap = 0.75f, .scale = 0.5f, .dtype = MLS_FLOAT32},
    {2, 4, 4, 2, 16, -1, 4, {3, 3}, .turned = 8, .is_packed = true, .dtype = MLS_FLOAT32},
    {2, 1, 4, 2, 16, 6, 7, {6, 5}, .softcap = 5, .is_packed = true, .dtype = MLS_FLOAT32},
    {2, 4, 4, 2, 16, -1, 4, {3, 3}, .bias_batch = 2, .bias_heads = 4, .dtype = MLS_FLOAT32},
    {2, 2, 4, 2, 16, 6, 7, {6, 4}, .bias_batch = 1, .bias_heads = 1, .dtype = MLS_FLOAT32},
    {2, 3, 4, 2, 16, 5, 8, {7, 5}, .turned = 8, .has_positions = true, .dtype = MLS_FLOAT32},
    {2, 3, 4, 2, 16, 5, 8, {7, 5}, .turned = 8, .is_packed = true, .dtype = MLS_FLOAT16},
    {2, 3, 4, 2, 16, 5, 8, {7, 5}, .turned = 8, .dtype = MLS_BFLOAT16},
    {1, 20, 16, 4, 64, 0, 20, {19}, .turned = 32, .window = 11, .dtype = MLS_FLOAT32},
    {0, 3, 4, 2, 16, -1, 3, {0}, .dtype = MLS_FLOAT32},
};

START_TEST(agrees_with_its_definition)
{
    check_case(&cases[_i]);
}
END_TEST

/* --- what is wrong --------------------------------------------------------------------------- */

static void check_error(const group_case *c, mls_status code, const char *words)
{
    numbers n = make_numbers(c);
    op_test *test = create_test(c, &n);
    ck_assert_fails(op_test_run(test), code, words);
    op_test_free(test);
    free_numbers(&n);
}

START_TEST(wrong_lengths_are_named)
{
    group_case c = cases[3];
    c.lengths[1] = 8;
    check_error(&c, MLS_ERANGE, "seqlens_k[1] is 8; 0 to 7 is possible");
    c.lengths[1] = -1;
    check_error(&c, MLS_ERANGE, "seqlens_k[1] is -1");
    c.past = 3;
    c.lengths[1] = 4;
    check_error(&c, MLS_ERANGE, "the past has only 3 rows");
    c = cases[5];
    c.lengths[1] = 1;
    check_error(&c, MLS_ERANGE, "seqlens_k[1] is 1; 2 to 8 is possible");
    c.lengths[1] = 2;
    c.total = 2;
    check_error(&c, MLS_EINVAL, "total_sequence_length is 2, and 3 rows are new");
    c = cases[1];
    c.total = c.rows = 25;
    c.lengths[0] = c.lengths[1] = 24;
    check_error(&c, MLS_ERANGE, "row 24 is at position 24, and cos_cache has 24");
}
END_TEST

START_TEST(wrong_forms_are_named)
{
    group_case c = cases[0];
    c.kv_heads = 3;
    check_error(&c, MLS_EINVAL, "kv_num_heads is 3; it must divide the 4 heads");
    c = cases[1];
    c.turned = 9;
    check_error(&c, MLS_ESHAPE, "cos_cache has 9 columns");
    c = cases[0];
    numbers n = make_numbers(&c);
    op_test *test = create_test(&c, &n);
    op_test_int(test, "do_rotary", 1);
    ck_assert_fails(op_test_run(test), MLS_EINVAL, "do_rotary needs cos_cache and sin_cache");
    op_test_free(test);
    test = create_test(&c, &n);
    op_test_int(test, "smooth_softmax", 1);
    ck_assert_fails(op_test_run(test), MLS_EUNSUPPORTED, "smooth_softmax and head_sink");
    op_test_free(test);
    test = create_test(&c, &n);
    op_test_int(test, "causal", 0);
    ck_assert_fails(op_test_run(test), MLS_EUNSUPPORTED, "causal = 0 and sliding_window_cache");
    op_test_free(test);
    test = create_test(&c, &n);
    op_test_int(test, "sliding_window_cache", 1);
    ck_assert_fails(op_test_run(test), MLS_EUNSUPPORTED, "causal = 0 and sliding_window_cache");
    op_test_free(test);
    test = create_test(&c, &n);
    op_test_outputs(test, 4);
    ck_assert_fails(op_test_run(test), MLS_EUNSUPPORTED, "output 3, the scores");
    op_test_free(test);
    test = op_test_create("com.microsoft", "GroupQueryAttention");
    op_test_int(test, "num_heads", 4);
    op_test_int(test, "kv_num_heads", 4);
    add_operands(test, &c, &n);
    ck_assert_fails(op_test_run(test), MLS_EINVAL, "seqlens_k and total_sequence_length must be");
    op_test_free(test);
    free_numbers(&n);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("GroupQueryAttention");
    TCase *tests = tcase_create("GroupQueryAttention");
    tcase_add_loop_test(tests, agrees_with_its_definition, 0,
                        (int) (sizeof cases / sizeof cases[0]));
    tcase_add_test(tests, wrong_lengths_are_named);
    tcase_add_test(tests, wrong_forms_are_named);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
