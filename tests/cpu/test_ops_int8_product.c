/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of 8-bit integers against sums in 64 bits, one output at a time. The harness compares
 * the bytes of all instruction sets, those with VNNI and those without.
 */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MOST = 70000, WIDEST = 1200 };

/* Elements of all operands; parameters have as many as they need. */
typedef struct operands {
    int8_t a[MOST], b[MOST];
    int8_t a_zero[WIDEST], b_zero[WIDEST];
    float a_scale[WIDEST], b_scale[WIDEST];
    int32_t sums[MOST];
    int8_t y[MOST];
    float floats[MOST];
} operands;

static operands o;

typedef struct product {
    int64_t m, n, k;
    mls_dtype a_dtype, b_dtype;
    int64_t a_zeros, b_zeros; /* 0: none, 1, or m and n */
    bool is_b_constant;
} product;

static const product products[] = {
    {1, 1, 1, MLS_UINT8, MLS_INT8, 0, 0, true},
    {1, 300, 64, MLS_UINT8, MLS_INT8, 1, 0, true},
    {7, 33, 19, MLS_UINT8, MLS_INT8, 1, 1, true},
    {7, 33, 19, MLS_INT8, MLS_UINT8, 1, 1, false},
    {13, 130, 66, MLS_INT8, MLS_INT8, 13, 130, true},
    {6, 64, 257, MLS_UINT8, MLS_UINT8, 6, 64, false},
    {50, 17, 1000, MLS_UINT8, MLS_INT8, 1, 17, true},
    {3, 16, 0, MLS_UINT8, MLS_INT8, 1, 1, false},
    {0, 16, 4, MLS_UINT8, MLS_INT8, 1, 1, false},
    {5, 0, 4, MLS_UINT8, MLS_INT8, 1, 1, false},
    {150, 140, 130, MLS_UINT8, MLS_UINT8, 1, 1, true},
    {5, 300, 21, MLS_UINT8, MLS_INT8, 1, 300, false},
    {40, 330, 150, MLS_INT8, MLS_INT8, 40, 1, false},
};

/* Extremes are frequent: they are where sums of pairs saturate. */
static void fill_bytes(int8_t *bytes, int64_t count, uint64_t seed)
{
    static const int8_t extremes[] = {-128, 127, -1, 0};
    for (int64_t i = 0; i < count; i++) {
        const uint64_t r = op_random(&seed);
        bytes[i] = r % 3 ? extremes[r / 3 % 4] : (int8_t) (uint8_t) (r >> 40);
    }
}

static void fill_scales(float *scales, int64_t count, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        scales[i] = (float) (op_random(&seed) % 100 + 1) / 4096;
}

static void fill_operands(const product *p)
{
    fill_bytes(o.a, p->m * p->k, 1);
    fill_bytes(o.b, p->n * p->k, 2);
    fill_bytes(o.a_zero, WIDEST, 3);
    fill_bytes(o.b_zero, WIDEST, 4);
    fill_scales(o.a_scale, WIDEST, 5);
    fill_scales(o.b_scale, WIDEST, 6);
}

static int64_t param_index(int64_t count, int64_t index)
{
    return count > 1 ? index : 0;
}

static void fill_sums(const product *p)
{
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            const int64_t a_zero =
                p->a_zeros ? op_integer(p->a_dtype, o.a_zero, param_index(p->a_zeros, i)) : 0;
            const int64_t b_zero =
                p->b_zeros ? op_integer(p->b_dtype, o.b_zero, param_index(p->b_zeros, j)) : 0;
            int64_t sum = 0;
            for (int64_t k = 0; k < p->k; k++)
                sum += (op_integer(p->a_dtype, o.a, i * p->k + k) - a_zero) *
                       (op_integer(p->b_dtype, o.b, k * p->n + j) - b_zero);
            o.sums[i * p->n + j] = (int32_t) sum;
        }
    }
}

static void add_b(op_test *test, const product *p, int rank, const int64_t *dims)
{
    (p->is_b_constant ? op_test_constant : op_test_input)(test, p->b_dtype, rank, dims, o.b);
}

static void add_param(op_test *test, mls_dtype dtype, int64_t count, const void *data)
{
    if (count == 0)
        op_test_left_out(test);
    else
        op_test_input(test, dtype, count > 1, &count, data);
}

START_TEST(matmul_integer)
{
    const product *p = &products[_i];
    fill_operands(p);
    fill_sums(p);
    op_test *test = op_test_create("", "MatMulInteger");
    op_test_input(test, p->a_dtype, OP_DIMS(p->m, p->k), o.a);
    add_b(test, p, OP_DIMS(p->k, p->n));
    add_param(test, p->a_dtype, p->a_zeros, o.a_zero);
    add_param(test, p->b_dtype, p->b_zeros, o.b_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(p->m, p->n), o.sums);
    op_test_free(test);
}
END_TEST

/* --- scaled ---------------------------------------------------------------------------------- */

static int8_t quantized(mls_dtype dtype, float value, int zero)
{
    const int low = dtype == MLS_INT8 ? -128 : 0;
    const float rounded = nearbyintf(value) + (float) zero;
    const float bounded = fminf(fmaxf(rounded, (float) low), (float) (low + 255));
    return (int8_t) (uint8_t) (int) bounded;
}

static void check_qlinear(const product *p, mls_dtype y_dtype, bool has_row_scales,
                          bool has_column_scales)
{
    const float y_scale = 0.75f;
    const int8_t y_zero = 100;
    fill_operands(p);
    fill_sums(p);
    for (int64_t at = 0; at < p->m * p->n; at++) {
        const float a_scale = o.a_scale[has_row_scales ? at / p->n : 0];
        const float b_scale = o.b_scale[has_column_scales ? at % p->n : 0];
        o.y[at] = quantized(y_dtype, (float) o.sums[at] * (a_scale * b_scale / y_scale), y_zero);
    }
    op_test *test = op_test_create("", "QLinearMatMul");
    op_test_input(test, p->a_dtype, OP_DIMS(p->m, p->k), o.a);
    add_param(test, MLS_FLOAT32, has_row_scales && p->m ? p->m : 1, o.a_scale);
    add_param(test, p->a_dtype, p->a_zeros, o.a_zero);
    add_b(test, p, OP_DIMS(p->k, p->n));
    add_param(test, MLS_FLOAT32, has_column_scales && p->n ? p->n : 1, o.b_scale);
    add_param(test, p->b_dtype, p->b_zeros, o.b_zero);
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, &y_scale);
    op_test_input(test, y_dtype, OP_SCALAR, &y_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, y_dtype, OP_DIMS(p->m, p->n), o.y);
    op_test_free(test);
}

START_TEST(qlinear_matmul)
{
    for (int which = 0; which < 8; which++)
        if (products[_i].a_zeros && products[_i].b_zeros)
            check_qlinear(&products[_i], which & 4 ? MLS_INT8 : MLS_UINT8, which & 1,
                          (which & 2) != 0);
}
END_TEST

/* With a bias and without, and from float32 elements. */
START_TEST(to_float)
{
    const product *p = &products[_i];
    float bias[WIDEST];
    fill_operands(p);
    fill_sums(p);
    for (int64_t j = 0; j < p->n; j++)
        bias[j] = (float) (j % 11) - 5.3f;
    for (int64_t at = 0; at < p->m * p->n; at++)
        o.floats[at] = (float) o.sums[at] * (o.a_scale[0] * o.b_scale[at % p->n]) + bias[at % p->n];
    op_test *test = op_test_create("com.microsoft", "MatMulIntegerToFloat");
    op_test_input(test, p->a_dtype, OP_DIMS(p->m, p->k), o.a);
    add_b(test, p, OP_DIMS(p->k, p->n));
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, o.a_scale);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(p->n), o.b_scale);
    add_param(test, p->a_dtype, p->a_zeros, o.a_zero);
    add_param(test, p->b_dtype, p->b_zeros, o.b_zero);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(p->n), bias);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(p->m, p->n), o.floats);
    op_test_free(test);
}
END_TEST

START_TEST(dynamic)
{
    product p = products[_i];
    static float x[MOST];
    float least = 0, most = 0;
    p.a_dtype = MLS_UINT8;
    p.a_zeros = 1;
    fill_operands(&p);
    for (int64_t i = 0; i < p.m * p.k; i++) {
        x[i] = (float) o.a[i] * 0.037f;
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    const float scale = most == least ? 1 : (most - least) / 255;
    o.a_zero[0] = (int8_t) (uint8_t) nearbyintf(-least / scale);
    for (int64_t i = 0; i < p.m * p.k; i++)
        o.a[i] = quantized(MLS_UINT8, x[i] / scale, (uint8_t) o.a_zero[0]);
    fill_sums(&p);
    for (int64_t at = 0; at < p.m * p.n; at++)
        o.floats[at] = (float) o.sums[at] * (scale * o.b_scale[0]);
    op_test *test = op_test_create("com.microsoft", "DynamicQuantizeMatMul");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(p.m, p.k), x);
    add_b(test, &p, OP_DIMS(p.k, p.n));
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, o.b_scale);
    add_param(test, p.b_dtype, p.b_zeros, o.b_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(p.m, p.n), o.floats);
    op_test_free(test);
}
END_TEST

/* --- QGemm ----------------------------------------------------------------------------------- */

static void turn(int8_t *bytes, int64_t rows, int64_t columns)
{
    static int8_t copy[MOST];
    memcpy(copy, bytes, (size_t) (rows * columns));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            bytes[j * rows + i] = copy[i * columns + j];
}

START_TEST(qgemm)
{
    const product p = {9, 21, 35, MLS_INT8, MLS_UINT8, 1, 1, _i & 8};
    const bool is_a_turned = _i & 1, is_b_turned = _i & 2, is_quantized = _i & 4;
    int32_t c[21];
    fill_operands(&p);
    fill_sums(&p);
    for (int j = 0; j < 21; j++)
        c[j] = j * 1000 - 7000;
    for (int64_t at = 0; at < p.m * p.n; at++) {
        const float multiplier = 0.5f * o.a_scale[0] * o.b_scale[0];
        const float sum = (float) (o.sums[at] + c[at % p.n]);
        o.floats[at] = sum * multiplier;
        o.y[at] = quantized(MLS_INT8, sum * (multiplier / 3.0f), -5);
    }
    if (is_a_turned)
        turn(o.a, p.m, p.k);
    if (is_b_turned)
        turn(o.b, p.k, p.n);
    op_test *test = op_test_create("com.microsoft", "QGemm");
    op_test_int(test, "transA", is_a_turned);
    op_test_int(test, "transB", is_b_turned);
    op_test_float(test, "alpha", 0.5f);
    op_test_input(test, p.a_dtype, OP_DIMS(is_a_turned ? p.k : p.m, is_a_turned ? p.m : p.k), o.a);
    add_param(test, MLS_FLOAT32, 1, o.a_scale);
    add_param(test, p.a_dtype, 1, o.a_zero);
    add_b(test, &p, OP_DIMS(is_b_turned ? p.n : p.k, is_b_turned ? p.k : p.n));
    add_param(test, MLS_FLOAT32, 1, o.b_scale);
    add_param(test, p.b_dtype, 1, o.b_zero);
    op_test_constant(test, MLS_INT32, OP_DIMS(21), c);
    if (is_quantized) {
        op_test_input(test, MLS_FLOAT32, OP_SCALAR, (float[]){3});
        op_test_input(test, MLS_INT8, OP_SCALAR, (int8_t[]){-5});
    }
    ck_assert_ok(op_test_run(test));
    if (is_quantized)
        op_test_expect(test, 0, MLS_INT8, OP_DIMS(p.m, p.n), o.y);
    else
        op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(p.m, p.n), o.floats);
    op_test_free(test);
}
END_TEST

/* --- batches --------------------------------------------------------------------------------- */

/* A is [2, 1, m, k] with a zero point a row, B is [3, k, n] with one a column. */
START_TEST(batches)
{
    enum { M = 5, N = 18, K = 23 };
    const product p = {2 * M, 3 * N, K, MLS_UINT8, MLS_INT8, 0, 0, _i};
    static int32_t y[2][3][M][N];
    fill_operands(&p);
    for (int index = 0; index < 2 * 3 * M * N; index++) {
        const int j = index % N, i = index / N % M, b = index / N / M % 3, a = index / N / M / 3;
        int32_t sum = 0;
        for (int k = 0; k < K; k++)
            sum += ((uint8_t) o.a[(a * M + i) * K + k] - (uint8_t) o.a_zero[a * M + i]) *
                   (o.b[(b * K + k) * N + j] - o.b_zero[b * N + j]);
        y[a][b][i][j] = sum;
    }
    op_test *test = op_test_create("", "MatMulInteger");
    op_test_input(test, MLS_UINT8, OP_DIMS(2, 1, M, K), o.a);
    add_b(test, &p, OP_DIMS(3, K, N));
    op_test_input(test, MLS_UINT8, OP_DIMS(2, 1, M, 1), o.a_zero);
    op_test_input(test, MLS_INT8, OP_DIMS(3, 1, N), o.b_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(2, 3, M, N), y);
    op_test_free(test);
}
END_TEST

START_TEST(vectors)
{
    op_test *test = op_test_create("", "MatMulInteger");
    op_test_input(test, MLS_UINT8, OP_DIMS(3), (uint8_t[]){1, 2, 255});
    op_test_input(test, MLS_INT8, OP_DIMS(3), (int8_t[]){-128, 5, 127});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_SCALAR, (int32_t[]){-128 + 10 + 255 * 127});
    op_test_free(test);
}
END_TEST

/* A kernel made for more rows follows to fewer. */
START_TEST(fewer_rows)
{
    const product p = {4, 20, 30, MLS_INT8, MLS_INT8, 0, 0, true};
    fill_operands(&p);
    fill_sums(&p);
    op_test *test = op_test_create("", "MatMulInteger");
    op_test_input(test, MLS_INT8, OP_DIMS(4, 30), o.a);
    op_test_planned(test, OP_DIMS(11, 30), NULL);
    add_b(test, &p, OP_DIMS(30, 20));
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(4, 20), o.sums);
    op_test_free(test);
}
END_TEST

static mls_status infer_status(mls_dtype a, int64_t depth, mls_dtype zero, int64_t zeros)
{
    op_test *test = op_test_create("", "MatMulInteger");
    op_test_input(test, a, OP_DIMS(4, 6), o.a);
    op_test_input(test, MLS_INT8, OP_DIMS(depth, 5), o.b);
    op_test_input(test, zero, OP_DIMS(zeros), o.a_zero);
    const mls_status status = op_test_infer(test);
    op_test_free(test);
    return status;
}

START_TEST(what_does_not_fit)
{
    ck_assert_int_eq(infer_status(MLS_UINT8, 6, MLS_UINT8, 4), MLS_OK);
    ck_assert_int_eq(infer_status(MLS_UINT8, 5, MLS_UINT8, 4), MLS_ESHAPE);
    ck_assert_int_eq(infer_status(MLS_UINT8, 6, MLS_UINT8, 3), MLS_ESHAPE);
    ck_assert_int_eq(infer_status(MLS_UINT8, 6, MLS_INT8, 4), MLS_EDTYPE);
    ck_assert_int_eq(infer_status(MLS_INT32, 6, MLS_INT32, 4), MLS_EDTYPE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops/int8_product");
    TCase *tests = tcase_create("int8_product");
    tcase_add_loop_test(tests, matmul_integer, 0, COUNT(products));
    tcase_add_loop_test(tests, qlinear_matmul, 0, COUNT(products));
    tcase_add_loop_test(tests, to_float, 0, COUNT(products));
    tcase_add_loop_test(tests, dynamic, 0, COUNT(products));
    tcase_add_loop_test(tests, qgemm, 0, 16);
    tcase_add_loop_test(tests, batches, 0, 2);
    tcase_add_test(tests, vectors);
    tcase_add_test(tests, fewer_rows);
    tcase_add_test(tests, what_does_not_fit);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
