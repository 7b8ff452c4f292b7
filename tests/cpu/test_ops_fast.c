/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MLS_NUMERICS_FAST on ops: products and convolutions of whole numbers so small that bfloat16 holds
 * them and float32 their sums, so that every way to compute them gives the same bytes. How far
 * other numbers go astray is tests/exec/test_fast.c's.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16 };

static float *random_numbers(int64_t count, uint64_t seed)
{
    float *values = calloc((size_t) count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float) (int) (op_random(&seed) % 5) - 2;
    return values;
}

/* --- products -------------------------------------------------------------------------------- */

typedef struct product {
    int64_t count, m, n, k; /* a MatMul's count is of products */
    int64_t planned_m;      /* 0: m */
    bool is_b_constant, is_b_turned, is_b_one;
    int c_rank; /* -1: none; 0: one; 1: a row; 2: of all */
    float alpha, beta;
    bool has_relu;
} product;

static float *expected_product(const product *p, const float *a, const float *b, const float *c)
{
    float *y = calloc((size_t) (p->count * p->m * p->n) + 1, sizeof *y);
    ck_assert_ptr_nonnull(y);
    for (int64_t i = 0; i < p->count * p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            const float *own = b + (p->is_b_one ? 0 : i / p->m) * p->n * p->k;
            double sum = 0;
            for (int64_t k = 0; k < p->k; k++)
                sum += (double) a[i * p->k + k] *
                       (double) own[p->is_b_turned ? j * p->k + k : k * p->n + j];
            sum *= (double) p->alpha;
            if (p->c_rank >= 0)
                sum += (double) p->beta * (double) c[p->c_rank == 2   ? i * p->n + j
                                                     : p->c_rank == 1 ? j
                                                                      : 0];
            y[i * p->n + j] = p->has_relu && sum < 0 ? 0 : (float) sum;
        }
    return y;
}

static void check_gemm(const product *p)
{
    float *a = random_numbers(p->m * p->k, 1), *b = random_numbers(p->n * p->k, 2);
    const int64_t c_rows = p->m ? p->m : 1; /* one, of n, where m is none */
    float *c = random_numbers(c_rows * p->n, 3), *y = expected_product(p, a, b, c);
    op_test *test = op_test_create("mlscale", "FusedGemm");
    op_test_fast(test);
    op_test_int(test, "transB", p->is_b_turned);
    op_test_float(test, "alpha", p->alpha);
    op_test_float(test, "beta", p->beta);
    if (p->has_relu)
        op_test_string(test, "activation", "Relu");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(p->m, p->k), a);
    if (p->planned_m)
        op_test_planned(test, OP_DIMS(p->planned_m, p->k), NULL);
    (p->is_b_constant ? op_test_constant : op_test_input)(
        test, MLS_FLOAT32, 2,
        (int64_t[]){p->is_b_turned ? p->n : p->k, p->is_b_turned ? p->k : p->n}, b);
    if (p->c_rank >= 0)
        op_test_constant(test, MLS_FLOAT32, p->c_rank,
                         p->c_rank == 2 ? (int64_t[]){p->m, p->n} : (int64_t[]){p->n, 0}, c);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(p->m, p->n), y);
    op_test_free(test);
    free(a);
    free(b);
    free(c);
    free(y);
}

START_TEST(test_gemm)
{
    static const int64_t rows[] = {1, 3, 20, 150, 700};
    static const int64_t columns[] = {16, 37, 200};
    static const int64_t depths[] = {1, 65, 300};
    product p = {.count = 1, .alpha = 2, .beta = -1, .is_b_constant = true, .is_b_one = true};
    p.m = rows[_i];
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 3; k++) {
            p.n = columns[c];
            p.k = depths[k];
            p.c_rank = (c + k) % 4 - 1;
            p.has_relu = (c + k) % 2;
            p.is_b_turned = k == 1;
            p.is_b_constant = p.m < 128 || c != 1;
            p.planned_m = p.c_rank == 2 ? 0 : p.m + 29 * k;
            check_gemm(&p);
        }
}
END_TEST

static void check_matmul(const product *p)
{
    const int64_t matrices = p->is_b_one ? 1 : p->count;
    float *a = random_numbers(p->count * p->m * p->k, 4);
    float *b = random_numbers(matrices * p->n * p->k, 5);
    float *y = expected_product(p, a, b, NULL);
    op_test *test = op_test_create("", "MatMul");
    op_test_fast(test);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(p->count, p->m, p->k), a);
    (p->is_b_constant ? op_test_constant : op_test_input)(test, MLS_FLOAT32,
                                                          OP_DIMS(matrices, p->k, p->n), b);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(p->count, p->m, p->n), y);
    op_test_free(test);
    free(a);
    free(b);
    free(y);
}

START_TEST(test_matmul)
{
    product p = {.alpha = 1, .c_rank = -1, .n = 70, .k = 90};
    for (int i = 0; i < 8; i++) {
        p.is_b_constant = i & 1;
        p.is_b_one = i & 2;
        p.count = i & 4 ? 7 : 2;
        p.m = i & 4 ? 130 : 300;
        check_matmul(&p);
    }
}
END_TEST

START_TEST(test_empty_products)
{
    product p = {.count = 1, .alpha = 1, .beta = 1, .c_rank = 1, .n = 64, .k = 64};
    p.is_b_constant = p.is_b_one = true;
    check_gemm(&p);
    p.planned_m = 9;
    check_gemm(&p);
    p.m = 4;
    p.k = 0;
    check_gemm(&p);
}
END_TEST

/* --- convolutions ---------------------------------------------------------------------------- */

/* Two spatial dimensions, square but for the input. */
typedef struct conv {
    int64_t batch, groups, channels, filters; /* of one group */
    int64_t height, width;
    int64_t kernel, stride, dilation, pad;
    bool has_bias, has_residual, has_relu;
    int64_t planned_height; /* 0: height */
} conv;

static int64_t extent(const conv *c, int64_t input)
{
    return (input + 2 * c->pad - c->dilation * (c->kernel - 1) - 1) / c->stride + 1;
}

static int64_t blocks_of(int64_t channels)
{
    return (channels + BLOCK - 1) / BLOCK;
}

/* The place of channel c of image n at element `at` of a plane. */
static int64_t place(int64_t channels, int64_t plane, int64_t n, int64_t c, int64_t at)
{
    return ((n * blocks_of(channels) + c / BLOCK) * plane + at) * BLOCK + c % BLOCK;
}

/* Lanes past the channels hold what nothing may depend on. */
static float *random_blocks(int64_t batch, int64_t channels, int64_t plane, float rest,
                            uint64_t seed)
{
    const int64_t count = batch * blocks_of(channels) * plane * BLOCK;
    float *x = random_numbers(count, seed);
    for (int64_t i = 0; i < count; i++)
        if (i / BLOCK / plane % blocks_of(channels) * BLOCK + i % BLOCK >= channels)
            x[i] = rest;
    return x;
}

static double sum_at(const conv *c, const float *x, const float *w, int64_t n, int64_t filter,
                     int64_t row, int64_t column)
{
    const int64_t group = filter / c->filters, all = c->groups * c->channels;
    double sum = 0;
    for (int64_t channel = 0; channel < c->channels; channel++)
        for (int64_t k = 0; k < c->kernel * c->kernel; k++) {
            const int64_t i = row * c->stride - c->pad + k / c->kernel * c->dilation;
            const int64_t j = column * c->stride - c->pad + k % c->kernel * c->dilation;
            if (i < 0 || i >= c->height || j < 0 || j >= c->width)
                continue;
            const int64_t at = place(all, c->height * c->width, n, group * c->channels + channel,
                                     i * c->width + j);
            sum += (double) x[at] *
                   (double) w[(filter * c->channels + channel) * c->kernel * c->kernel + k];
        }
    return sum;
}

static float *expected_conv(const conv *c, const float *x, const float *w, const float *bias,
                            const float *z)
{
    const int64_t filters = c->groups * c->filters;
    const int64_t rows = extent(c, c->height), columns = extent(c, c->width);
    float *y = random_blocks(c->batch, filters, rows * columns, 0, 1);
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t f = 0; f < filters; f++)
            for (int64_t i = 0; i < rows * columns; i++) {
                const int64_t at = place(filters, rows * columns, n, f, i);
                double sum = sum_at(c, x, w, n, f, i / columns, i % columns);
                sum += c->has_bias ? (double) bias[f] : 0;
                sum += c->has_residual ? (double) z[at] : 0;
                y[at] = c->has_relu && sum < 0 ? 0 : (float) sum;
            }
    return y;
}

static void add_inputs(op_test *test, const conv *c, const float *x, const float *w,
                       const float *bias, const float *z)
{
    const int64_t filters = c->groups * c->filters, blocks = blocks_of(c->groups * c->channels);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(c->batch, blocks, c->height, c->width, BLOCK), x);
    if (c->planned_height)
        op_test_planned(test, OP_DIMS(c->batch, blocks, c->planned_height, c->width, BLOCK), NULL);
    op_test_constant(test, MLS_FLOAT32, OP_DIMS(filters, c->channels, c->kernel, c->kernel), w);
    if (c->has_bias)
        op_test_constant(test, MLS_FLOAT32, OP_DIMS(filters), bias);
    else if (c->has_residual)
        op_test_left_out(test);
    if (c->has_residual)
        op_test_input(
            test, MLS_FLOAT32,
            OP_DIMS(c->batch, blocks_of(filters), extent(c, c->height), extent(c, c->width), BLOCK),
            z);
}

static void check_conv(const conv *c)
{
    const int64_t filters = c->groups * c->filters, channels = c->groups * c->channels;
    const int64_t rows = extent(c, c->height), columns = extent(c, c->width);
    float *x = random_blocks(c->batch, channels, c->height * c->width, NAN, 2);
    float *w = random_numbers(filters * c->channels * c->kernel * c->kernel, 3);
    float *bias = random_numbers(filters, 4);
    float *z = random_blocks(c->batch, filters, rows * columns, 0, 5);
    float *y = expected_conv(c, x, w, bias, z);
    const int64_t pads[] = {c->pad, c->pad, c->pad, c->pad};
    op_test *test = op_test_create("mlscale", "FusedConv");
    op_test_fast(test);
    op_test_int(test, "x_blocked", 1);
    op_test_int(test, "y_blocked", 1);
    op_test_int(test, "group", c->groups);
    op_test_ints(test, "strides", 2, (int64_t[]){c->stride, c->stride});
    op_test_ints(test, "dilations", 2, (int64_t[]){c->dilation, c->dilation});
    op_test_ints(test, "pads", 4, pads);
    if (c->has_relu)
        op_test_string(test, "activation", "Relu");
    add_inputs(test, c, x, w, bias, z);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32,
                   OP_DIMS(c->batch, blocks_of(filters), rows, columns, BLOCK), y);
    op_test_free(test);
    free(x);
    free(w);
    free(bias);
    free(z);
    free(y);
}

START_TEST(test_conv)
{
    static const conv cases[] = {
        {.channels = 32, .filters = 64, .height = 7, .width = 9, .kernel = 1},
        {.channels = 48, .filters = 40, .height = 6, .width = 11, .kernel = 3, .pad = 1},
        {.channels = 20, .filters = 33, .height = 9, .width = 8, .kernel = 3, .pad = 2},
        {.channels = 64, .filters = 32, .height = 13, .width = 12, .kernel = 3, .stride = 2},
        {.channels = 16, .filters = 16, .height = 12, .width = 12, .kernel = 2, .dilation = 3},
        {.channels = 16, .filters = 32, .groups = 3, .height = 8, .width = 5, .kernel = 3},
        {.channels = 32, .filters = 20, .height = 9, .width = 9, .kernel = 1, .stride = 2},
        {.channels = 17, .filters = 16, .height = 1, .width = 30, .kernel = 3, .pad = 3},
        {.channels = 256, .filters = 24, .height = 23, .width = 21, .kernel = 3, .pad = 1},
        {.channels = 512, .filters = 16, .height = 2, .width = 120, .kernel = 3, .pad = 1},
    };
    conv c = cases[_i];
    c.batch = 1 + _i % 2;
    c.groups = c.groups ? c.groups : 1;
    c.stride = c.stride ? c.stride : 1;
    c.dilation = c.dilation ? c.dilation : 1;
    for (int i = 0; i < (c.channels < 100 ? 4 : 1); i++) {
        c.has_bias = i & 1;
        c.has_residual = i & 2;
        c.has_relu = i > 1;
        c.planned_height = i == 1 ? c.height + 3 : 0;
        check_conv(&c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_fast");
    TCase *tests = tcase_create("fast");
    tcase_add_loop_test(tests, test_gemm, 0, 5);
    tcase_add_test(tests, test_matmul);
    tcase_add_test(tests, test_empty_products);
    tcase_add_loop_test(tests, test_conv, 0, 10);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
