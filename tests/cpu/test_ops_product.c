/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemm, FusedGemm and MatMul of every dtype, against sums of whole numbers so small that
 * every dtype holds them exactly. The order of sums that are not exact is test_gemm's.
 */
#include "cpu/op_values.h"
#include "cpu/product_matrix.h"
#include "cpu/topics.h"

#include "backend/cpu/kernels/kernels.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT64,
                                   MLS_INT32,   MLS_INT64,   MLS_UINT32,   MLS_UINT64};

/* --- Gemm ------------------------------------------------------------------------------------ */

typedef struct gemm_case {
    const char *domain, *type;
    mls_dtype dtype;
    int64_t m, n, k;
    bool is_a_turned, is_b_turned, is_b_constant;
    int c_rank; /* -1: no C */
    int64_t c_dims[2];
    float alpha, beta;
} gemm_case;

static double c_at(const gemm_case *g, const matrix *c, int64_t i, int64_t j)
{
    const int64_t rows = g->c_rank > 1 ? g->c_dims[0] : 1;
    const int64_t columns = g->c_rank > 0 ? g->c_dims[g->c_rank - 1] : 1;
    return c->values[(rows > 1 ? i : 0) * columns + (columns > 1 ? j : 0)];
}

static void fill_reference(const gemm_case *g, const matrix *a, const matrix *b, const matrix *c,
                           const matrix *y)
{
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            double sum = 0;
            for (int64_t k = 0; k < g->k; k++)
                sum += a->values[g->is_a_turned ? k * g->m + i : i * g->k + k] *
                       b->values[g->is_b_turned ? j * g->k + k : k * g->n + j];
            sum *= (double) g->alpha;
            if (c)
                sum += (double) g->beta * c_at(g, c, i, j);
            y->values[i * g->n + j] = sum;
        }
    }
}

static op_test *gemm_test(const gemm_case *g, const matrix *a, const matrix *b, const matrix *c)
{
    op_test *test = op_test_create(g->domain, g->type);
    if (g->is_a_turned)
        op_test_int(test, "transA", 1);
    if (g->is_b_turned)
        op_test_int(test, "transB", 1);
    if (g->alpha != 1)
        op_test_float(test, "alpha", g->alpha);
    if (g->beta != 1)
        op_test_float(test, "beta", g->beta);
    matrix_give(test, a, false);
    matrix_give(test, b, g->is_b_constant);
    if (c)
        matrix_give(test, c, g->is_b_constant);
    return test;
}

static void check_gemm(const gemm_case *g)
{
    const int64_t a_dims[] = {g->is_a_turned ? g->k : g->m, g->is_a_turned ? g->m : g->k};
    const int64_t b_dims[] = {g->is_b_turned ? g->n : g->k, g->is_b_turned ? g->k : g->n};
    const int64_t y_dims[] = {g->m, g->n};
    const bool has_c = g->c_rank >= 0;
    matrix a = matrix_random(g->dtype, 2, a_dims, 1);
    matrix b = matrix_random(g->dtype, 2, b_dims, 2);
    matrix c = matrix_random(g->dtype, has_c ? g->c_rank : 0, g->c_dims, 3);
    matrix y = matrix_empty(g->dtype, 2, y_dims);
    fill_reference(g, &a, &b, has_c ? &c : NULL, &y);
    op_test *test = gemm_test(g, &a, &b, has_c ? &c : NULL);
    matrix_expect(test, &y);
    op_test_free(test);
    matrix_free(a), matrix_free(b), matrix_free(c), matrix_free(y);
}

static const int64_t gemm_shapes[][3] = {
    {1, 1, 1}, {1, 3, 70}, {5, 20, 9}, {40, 17, 33}, {7, 1, 33}, {130, 9, 200},
    {3, 4, 0}, {0, 4, 3},  {4, 0, 3},  {2, 64, 16},  {33, 2, 5},
};

/* Every way to store A and B, every dtype. */
START_TEST(test_gemm_layouts)
{
    const int64_t *shape = gemm_shapes[_i];
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        for (int way = 0; way < 8; way++) {
            gemm_case g = {"", "Gemm", .dtype = dtypes[d], .alpha = 1, .beta = 1, .c_rank = -1};
            g.m = shape[0], g.n = shape[1], g.k = shape[2];
            g.is_a_turned = way & 1;
            g.is_b_turned = way & 2;
            g.is_b_constant = way & 4;
            check_gemm(&g);
        }
    }
}
END_TEST

/* Every shape of C, and factors. */
START_TEST(test_gemm_c)
{
    const int64_t *shape = gemm_shapes[_i];
    const struct {
        int rank;
        int64_t dims[2];
    } cs[] = {{0, {0}},           {1, {1}},           {1, {shape[1]}},          {2, {1, 1}},
              {2, {1, shape[1]}}, {2, {shape[0], 1}}, {2, {shape[0], shape[1]}}};
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        for (size_t i = 0; i < COUNT(cs); i++) {
            gemm_case g = {"", "Gemm", .dtype = dtypes[d], .c_rank = cs[i].rank};
            g.m = shape[0], g.n = shape[1], g.k = shape[2] < 40 ? shape[2] : 40;
            memcpy(g.c_dims, cs[i].dims, sizeof g.c_dims);
            g.alpha = i % 2 ? 1 : op_is_float(dtypes[d]) ? 0.5f : -2;
            g.beta = i % 3 ? 1 : 3;
            g.is_a_turned = i == 3;
            g.is_b_constant = i % 2;
            check_gemm(&g);
        }
    }
}
END_TEST

/* Large enough for threads, with blocks of rows and panels. */
START_TEST(test_gemm_threads)
{
    static const int64_t shapes[][3] = {{300, 90, 80}, {9, 700, 340}, {2600, 3, 300}};
    static const mls_dtype some[] = {MLS_FLOAT32, MLS_BFLOAT16, MLS_INT64, MLS_FLOAT64};
    for (size_t s = 0; s < COUNT(shapes); s++) {
        gemm_case g = {"", "Gemm", .dtype = some[_i], .alpha = 1, .beta = 1, .c_rank = 1};
        g.m = shapes[s][0], g.n = shapes[s][1], g.k = shapes[s][2];
        g.c_dims[0] = g.n;
        g.is_b_turned = s == 1;
        g.is_a_turned = s == 2;
        g.is_b_constant = s == 0;
        check_gemm(&g);
    }
}
END_TEST

/* beta 0 leaves C out, whatever it holds. */
START_TEST(test_gemm_no_beta)
{
    const float a[] = {1, 2}, b[] = {3, 4}, c[] = {NAN}, y[] = {11};
    op_test *test = op_test_create("", "Gemm");
    op_test_float(test, "beta", 0);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2), a);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 1), b);
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, c);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1), y);
    op_test_free(test);
}
END_TEST

/* Integers wrap around. */
START_TEST(test_gemm_wraps)
{
    const int32_t a[] = {INT32_MAX, 3}, b[] = {2, INT32_MIN}, c[] = {INT32_MIN};
    const int32_t y[] = {(int32_t) (0u - 2u + 3u * 0x80000000u + 0x80000000u)};
    op_test *test = op_test_create("", "Gemm");
    op_test_input(test, MLS_INT32, OP_DIMS(1, 2), a);
    op_test_input(test, MLS_INT32, OP_DIMS(2, 1), b);
    op_test_input(test, MLS_INT32, OP_SCALAR, c);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, OP_DIMS(1, 1), y);
    op_test_free(test);
}
END_TEST

/* A kernel made for more rows, or for other dims of B, follows. */
START_TEST(test_gemm_reshape)
{
    static const int64_t planned[][3] = {{67, 20, 40}, {40, 5, 400}, {100, 70, 50}, {3, 64, 70}};
    for (size_t i = 0; i < COUNT(planned); i++) {
        for (size_t d = 0; d < 4; d++) {
            const int64_t m = _i, n = 5, k = 40, larger = planned[i][0] > m ? planned[i][0] : m;
            gemm_case g = {"",           "Gemm",     .dtype = dtypes[d],  .m = m, .n = n, .k = k,
                           .c_rank = -1, .alpha = 1, .is_b_turned = i % 2};
            matrix a = matrix_random(g.dtype, 2, (int64_t[]){m, k}, 1);
            matrix b = matrix_random(g.dtype, 2,
                                     (int64_t[]){g.is_b_turned ? n : k, g.is_b_turned ? k : n}, 2);
            matrix y = matrix_empty(g.dtype, 2, (int64_t[]){m, n});
            fill_reference(&g, &a, &b, NULL, &y);
            op_test *test = op_test_create("", "Gemm");
            if (g.is_b_turned)
                op_test_int(test, "transB", 1);
            matrix_give(test, &a, false);
            op_test_planned(test, OP_DIMS(larger, planned[i][2]), NULL);
            matrix_give(test, &b, false);
            if (g.is_b_turned)
                op_test_planned(test, OP_DIMS(planned[i][1], planned[i][2]), NULL);
            else
                op_test_planned(test, OP_DIMS(planned[i][2], planned[i][1]), NULL);
            matrix_expect(test, &y);
            op_test_free(test);
            matrix_free(a), matrix_free(b), matrix_free(y);
        }
    }
}
END_TEST

/* --- MatMul ---------------------------------------------------------------------------------- */

typedef struct dims {
    int rank;
    int64_t dims[MLS_MAX_RANK];
} dims;

static const struct {
    dims a, b, y;
} matmul_shapes[] = {
    {{1, {5}}, {1, {5}}, {0, {0}}},
    {{1, {5}}, {2, {5, 3}}, {1, {3}}},
    {{2, {3, 5}}, {1, {5}}, {1, {3}}},
    {{1, {5}}, {3, {2, 5, 3}}, {2, {2, 3}}},
    {{3, {2, 3, 5}}, {1, {5}}, {2, {2, 3}}},
    {{2, {40, 17}}, {2, {17, 33}}, {2, {40, 33}}},
    {{3, {2, 3, 5}}, {2, {5, 20}}, {3, {2, 3, 20}}},
    {{3, {2, 3, 5}}, {3, {1, 5, 4}}, {3, {2, 3, 4}}},
    {{2, {3, 5}}, {3, {4, 5, 20}}, {3, {4, 3, 20}}},
    {{4, {2, 1, 3, 5}}, {4, {1, 4, 5, 17}}, {4, {2, 4, 3, 17}}},
    {{4, {2, 3, 40, 9}}, {3, {3, 9, 17}}, {4, {2, 3, 40, 17}}},
    {{4, {7, 1, 2, 5}}, {3, {3, 5, 1}}, {4, {7, 3, 2, 1}}},
    {{3, {0, 3, 5}}, {3, {1, 5, 4}}, {3, {0, 3, 4}}},
    {{3, {2, 3, 0}}, {3, {2, 0, 4}}, {3, {2, 3, 4}}},
    {{3, {50, 30, 40}}, {3, {50, 40, 40}}, {3, {50, 30, 40}}},
    {{3, {2, 130, 100}}, {3, {2, 100, 90}}, {3, {2, 130, 90}}},
    {{8, {2, 1, 1, 2, 1, 1, 3, 4}}, {8, {1, 1, 2, 2, 1, 2, 4, 5}}, {8, {2, 1, 2, 2, 1, 2, 3, 5}}},
};

/* The matrix of an input that broadcasting gives to matrix `index` of the output. */
static int64_t matrix_index(int64_t index, const dims *y, int y_batch, const dims *x)
{
    const int batch = x->rank > 2 ? x->rank - 2 : 0;
    return op_broadcast_index(index, y_batch, y->dims, batch, x->dims);
}

static void matmul_reference(const matrix *a, const matrix *b, const matrix *y, const dims *da,
                             const dims *db, const dims *dy)
{
    gemm_case g = {.dtype = a->dtype, .alpha = 1, .c_rank = -1};
    g.m = da->rank > 1 ? da->dims[da->rank - 2] : 1;
    g.k = da->dims[da->rank - 1];
    g.n = db->rank > 1 ? db->dims[db->rank - 1] : 1;
    const int batch = dy->rank - (da->rank > 1) - (db->rank > 1);
    for (int64_t i = 0; y->count > 0 && i < y->count / (g.m * g.n); i++) {
        matrix one_a = *a, one_b = *b, one_y = *y;
        one_a.values += matrix_index(i, dy, batch, da) * g.m * g.k;
        one_b.values += matrix_index(i, dy, batch, db) * g.k * g.n;
        one_y.values += i * g.m * g.n;
        fill_reference(&g, &one_a, &one_b, NULL, &one_y);
    }
}

START_TEST(test_matmul)
{
    const dims *da = &matmul_shapes[_i].a, *db = &matmul_shapes[_i].b, *dy = &matmul_shapes[_i].y;
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        matrix a = matrix_random(dtypes[d], da->rank, da->dims, 1);
        matrix b = matrix_random(dtypes[d], db->rank, db->dims, 2);
        matrix y = matrix_empty(dtypes[d], dy->rank, dy->dims);
        matmul_reference(&a, &b, &y, da, db, dy);
        for (int is_constant = 0; is_constant < 2; is_constant++) {
            op_test *test = op_test_create("", "MatMul");
            matrix_give(test, &a, false);
            matrix_give(test, &b, is_constant);
            matrix_expect(test, &y);
            op_test_free(test);
        }
        matrix_free(a), matrix_free(b), matrix_free(y);
    }
}
END_TEST

/* --- FusedGemm ------------------------------------------------------------------------------- */

static const struct activation_case {
    const char *name;
    mls__unary_op op;
    float params[2];
    bool has_params;
} activations[] = {
    {"Relu", MLS__UNARY_RELU, {0, 0}, false},
    {"LeakyRelu", MLS__UNARY_LEAKY_RELU, {0.01f, 0}, false},
    {"LeakyRelu", MLS__UNARY_LEAKY_RELU, {0.3f, 0}, true},
    {"ThresholdedRelu", MLS__UNARY_THRESHOLDED_RELU, {1, 0}, false},
    {"Clip", MLS__UNARY_CLIP, {-1.5f, 2}, true},
    {"Sigmoid", MLS__UNARY_SIGMOID, {0, 0}, false},
    {"HardSigmoid", MLS__UNARY_HARD_SIGMOID, {0.2f, 0.5f}, false},
    {"Tanh", MLS__UNARY_TANH, {0, 0}, false},
    {"Elu", MLS__UNARY_ELU, {1, 0}, false},
    {"Selu", MLS__UNARY_SELU, {1.6732632f, 1.050701f}, false},
    {"Celu", MLS__UNARY_CELU, {2, 0}, true},
    {"Softplus", MLS__UNARY_SOFTPLUS, {0, 0}, false},
    {"Softsign", MLS__UNARY_SOFTSIGN, {0, 0}, false},
    {"Swish", MLS__UNARY_SWISH, {1, 0}, false},
    {"HardSwish", MLS__UNARY_HARD_SWISH, {0, 0}, false},
    {"Mish", MLS__UNARY_MISH, {0, 0}, false},
    {"Gelu", MLS__UNARY_GELU, {0, 0}, false},
    {"GeluTanh", MLS__UNARY_GELU_TANH, {0, 0}, false},
};

/* The same bytes as the product followed by the activation. */
START_TEST(test_fused_gemm)
{
    const struct activation_case *activation = &activations[_i];
    const mls__cpu_kernels *kernels = mls__cpu_kernels_at(0);
    for (int64_t n = 1; n < 200; n += 66) {
        gemm_case g = {
            "mlscale",   "FusedGemm",   MLS_FLOAT32,   4,        n, 10, .is_b_constant = true,
            .c_rank = 1, .c_dims = {n}, .alpha = 0.5f, .beta = 1};
        matrix a = matrix_random(g.dtype, 2, (int64_t[]){4, 10}, 1);
        matrix b = matrix_random(g.dtype, 2, (int64_t[]){10, n}, 2);
        matrix c = matrix_random(g.dtype, 1, &n, 3);
        matrix y = matrix_empty(g.dtype, 2, (int64_t[]){4, n});
        fill_reference(&g, &a, &b, &c, &y);
        matrix_store(&y);
        kernels->elementwise->unary[activation->op](y.data, y.data, 4 * n, activation->params);
        for (int64_t i = 0; i < y.count; i++)
            y.values[i] = (double) ((const float *) y.data)[i];
        op_test *test = gemm_test(&g, &a, &b, &c);
        op_test_string(test, "activation", activation->name);
        if (activation->has_params) {
            op_test_float(test, "activation_alpha", activation->params[0]);
            op_test_float(test, "activation_beta", activation->params[1]);
        }
        matrix_expect(test, &y);
        op_test_free(test);
        matrix_free(a), matrix_free(b), matrix_free(c), matrix_free(y);
    }
}
END_TEST

/* All dimensions of A but the last are rows. */
START_TEST(test_fused_gemm_rows)
{
    gemm_case g = {"mlscale",   "FusedGemm",    dtypes[_i], 6,        20, 9, .is_b_constant = true,
                   .c_rank = 1, .c_dims = {20}, .alpha = 1, .beta = 1};
    matrix a = matrix_random(g.dtype, 3, (int64_t[]){2, 3, 9}, 1);
    matrix b = matrix_random(g.dtype, 2, (int64_t[]){9, 20}, 2);
    matrix c = matrix_random(g.dtype, 1, (int64_t[]){20}, 3);
    matrix y = matrix_empty(g.dtype, 3, (int64_t[]){2, 3, 20});
    fill_reference(&g, &a, &b, &c, &y);
    for (int64_t i = 0; i < y.count; i++)
        y.values[i] = fmax(y.values[i], 0);
    op_test *test = gemm_test(&g, &a, &b, &c);
    op_test_string(test, "activation", "Relu");
    matrix_expect(test, &y);
    op_test_free(test);
    matrix_free(a), matrix_free(b), matrix_free(c), matrix_free(y);
}
END_TEST

/* --- batches --------------------------------------------------------------------------------- */

/* The bytes of a row do not depend on the rows around it. */
START_TEST(test_rows_alone)
{
    enum { ROWS = 67, K = 75, N = 37 };
    float a[ROWS * K], b[K * N], together[ROWS * N];
    uint64_t seed = 5;
    for (int i = 0; i < ROWS * K; i++)
        a[i] = (float) (op_random(&seed) % 10007) / 10007 - 0.5f;
    for (int i = 0; i < K * N; i++)
        b[i] = (float) (op_random(&seed) % 10007) / 10007 - 0.5f;
    for (int is_constant = 0; is_constant < 2; is_constant++) {
        for (int rows = ROWS; rows > 0; rows -= 33) {
            for (int row = 0; row + rows <= ROWS; row += 11) {
                op_test *test = op_test_create("", "MatMul");
                op_test_input(test, MLS_FLOAT32, OP_DIMS(rows, K), a + row * K);
                (is_constant ? op_test_constant : op_test_input)(test, MLS_FLOAT32, OP_DIMS(K, N),
                                                                 b);
                ck_assert_ok(op_test_run(test));
                if (rows == ROWS && !is_constant)
                    memcpy(together, op_test_data(test, 0), sizeof together);
                op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(rows, N), together + row * N);
                op_test_free(test);
            }
        }
    }
}
END_TEST

/* --- errors ---------------------------------------------------------------------------------- */

static void expect_error(const char *domain, const char *type, mls_dtype a_dtype, dims a,
                         mls_dtype b_dtype, dims b, const dims *c, mls_status code,
                         const char *words)
{
    op_test *test = op_test_create(domain, type);
    const matrix ma = matrix_random(a_dtype, a.rank, a.dims, 1);
    const matrix mb = matrix_random(b_dtype, b.rank, b.dims, 1);
    matrix_give(test, &ma, false);
    matrix_give(test, &mb, false);
    if (c) {
        const matrix mc = matrix_random(a_dtype, c->rank, c->dims, 1);
        matrix_give(test, &mc, false);
        matrix_free(mc);
    }
    ck_assert_fails(op_test_infer(test), code, words);
    op_test_free(test);
    matrix_free(ma), matrix_free(mb);
}

START_TEST(test_shape_errors)
{
    const dims scalar = {0, {0}}, c32 = {2, {3, 2}}, c_deep = {3, {1, 1, 1}}, c0 = {1, {0}};
    const dims c_rows = {2, {2, 1}};
    const dims a = {2, {3, 5}}, b = {2, {5, 4}}, other = {2, {6, 4}}, deep = {3, {2, 3, 5}};
    const dims deep_b = {3, {3, 5, 4}};
    const mls_dtype f = MLS_FLOAT32;
    expect_error("", "Gemm", f, a, f, other, NULL, MLS_ESHAPE, "5 elements of input 0");
    expect_error("", "Gemm", f, deep, f, b, NULL, MLS_ESHAPE, "input 0 has 3 dimensions");
    expect_error("", "Gemm", f, a, f, deep_b, NULL, MLS_ESHAPE, "input 1 has 3 dimensions");
    expect_error("", "Gemm", f, a, f, b, &c32, MLS_ESHAPE, "input 2 of shape [3,2]");
    expect_error("", "Gemm", f, a, f, b, &c_deep, MLS_ESHAPE, "input 2 of shape");
    expect_error("", "Gemm", f, a, f, b, &c_rows, MLS_ESHAPE, "input 2 of shape [2,1]");
    expect_error("", "Gemm", f, a, f, b, &c0, MLS_ESHAPE, "input 2 of shape [0]");
    expect_error("", "MatMul", f, a, f, other, NULL, MLS_ESHAPE, "must be equal");
    expect_error("", "MatMul", f, scalar, f, b, NULL, MLS_ESHAPE, "input 0 is a scalar");
    expect_error("", "MatMul", f, a, f, scalar, NULL, MLS_ESHAPE, "input 1 is a scalar");
    expect_error("", "MatMul", f, deep, f, deep_b, NULL, MLS_ESHAPE, "do not broadcast");
    expect_error("mlscale", "FusedGemm", f, scalar, f, b, NULL, MLS_ESHAPE, "input 0");
    expect_error("", "Gemm", f, a, MLS_FLOAT64, b, NULL, MLS_EDTYPE, "must be equal");
    expect_error("", "Gemm", MLS_INT8, a, MLS_INT8, b, NULL, MLS_EDTYPE, "input 0 is int8");
    expect_error("mlscale", "FusedGemm", MLS_INT32, a, MLS_INT32, b, NULL, MLS_EDTYPE,
                 "16 or 32 bits");
}
END_TEST

START_TEST(test_attribute_errors)
{
    const int32_t i[] = {1};
    const float f[] = {1};
    op_test *test = op_test_create("", "Gemm");
    op_test_float(test, "alpha", 0.5f);
    op_test_input(test, MLS_INT32, OP_DIMS(1, 1), i);
    op_test_input(test, MLS_INT32, OP_DIMS(1, 1), i);
    ck_assert_fails(op_test_run(test), MLS_EUNSUPPORTED, "alpha is 0.5");
    op_test_free(test);
    test = op_test_create("mlscale", "FusedGemm");
    op_test_string(test, "activation", "Sinus");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1), f);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1), f);
    ck_assert_fails(op_test_run(test), MLS_EINVAL, "'Sinus'");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_product");
    TCase *gemm = tcase_create("gemm");
    tcase_add_loop_test(gemm, test_gemm_layouts, 0, COUNT(gemm_shapes));
    tcase_add_loop_test(gemm, test_gemm_c, 0, COUNT(gemm_shapes));
    tcase_add_loop_test(gemm, test_gemm_threads, 0, 4);
    tcase_add_test(gemm, test_gemm_no_beta);
    tcase_add_test(gemm, test_gemm_wraps);
    tcase_add_loop_test(gemm, test_gemm_reshape, 1, 4);
    suite_add_tcase(suite, gemm);
    TCase *others = tcase_create("others");
    tcase_add_loop_test(others, test_matmul, 0, COUNT(matmul_shapes));
    tcase_add_loop_test(others, test_fused_gemm, 0, COUNT(activations));
    tcase_add_loop_test(others, test_fused_gemm_rows, 0, 3);
    tcase_add_test(others, test_rows_alone);
    tcase_add_test(others, test_shape_errors);
    tcase_add_test(others, test_attribute_errors);
    add_fused_matmul(others);
    suite_add_tcase(suite, others);
    return mls_test_run(suite);
}
