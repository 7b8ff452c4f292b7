/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products on every instruction set of this machine, byte for byte against the canonical order of
 * kernels/gemm.h restated one output at a time, and near the product in double precision.
 */
#include "cpu_test.h"

#include "backend/cpu/ops/pack.h"
#include "base/isa.h"

#include <stdlib.h>

enum { MAX_M = 140, MAX_N = 150, MAX_K = 1100, GUARD = 24 };

static const float guard = 12345.5f;
static float a[MAX_M * MAX_K], a_turned[MAX_M * MAX_K], b[MAX_N * MAX_K], b_turned[MAX_N * MAX_K];
static float c[MAX_M * MAX_N], packed[(MAX_N + 16) * MAX_K], rest[16 * MAX_K];
static float *direct; /* B in memory that ends with it, for address checkers */
static float expected[MAX_M * MAX_N], y[MAX_M * (MAX_N + 3) + GUARD];

enum c_kind { NO_C, C_SCALAR, C_ROW, C_COLUMN, C_FULL, C_KINDS };

typedef struct product {
    int64_t m, n, k;
    enum c_kind c_kind;
    float alpha, beta;
    bool is_direct; /* B as it is, but for the columns that fill no panel */
    bool is_turned; /* A with its rows as columns */
    bool has_relu;
    int64_t y_row; /* 0: n */
} product;

static void fill(float *values, int64_t count, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (float) (int32_t) next_random(&seed) * 0x1p-31f;
}

static void set_up(void)
{
    direct = NULL;
    fill(a, MAX_M * MAX_K, 1);
    fill(b, MAX_N * MAX_K, 2);
    fill(c, MAX_M * MAX_N, 3);
}

static void tear_down(void)
{
    free(direct);
}

/* --- the canonical order --------------------------------------------------------------------- */

static float chain(const product *p, int64_t i, int64_t j)
{
    float sum = 0;
    for (int64_t k = 0; k < p->k; k++)
        sum = fmaf(a[i * p->k + k], b[k * p->n + j], sum);
    return sum;
}

static float row_reduction(const product *p, int64_t i, int64_t j)
{
    float lanes[64] = {0};
    for (int64_t k = 0; k < p->k; k++)
        lanes[k % 64] = fmaf(a[i * p->k + k], b[k * p->n + j], lanes[k % 64]);
    for (int half = 32; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            lanes[lane] += lanes[lane + half];
    return lanes[0];
}

static float c_at(const product *p, int64_t i, int64_t j)
{
    switch (p->c_kind) {
    case C_SCALAR:
        return c[0];
    case C_ROW:
        return c[j];
    case C_COLUMN:
        return c[i];
    default:
        return c[i * p->n + j];
    }
}

static double in_double(const product *p, int64_t i, int64_t j, double *ret_size)
{
    double sum = 0, size = 0;
    for (int64_t k = 0; k < p->k; k++) {
        const double term = (double) a[i * p->k + k] * (double) b[k * p->n + j];
        sum += term;
        size += fabs(term);
    }
    sum *= (double) p->alpha;
    size *= fabs((double) p->alpha);
    if (p->c_kind != NO_C) {
        sum += (double) p->beta * (double) c_at(p, i, j);
        size += fabs((double) p->beta * (double) c_at(p, i, j));
    }
    *ret_size = size;
    return p->has_relu && sum < 0 ? 0 : sum;
}

/* N few enough for the lanes and K long enough for the trees, as the header says. */
static bool is_narrow(const product *p)
{
    return p->n <= 4 || (p->n < 16 && p->k >= 32 * p->n - 128);
}

static float reference(const product *p, int64_t i, int64_t j)
{
    float t = p->alpha * (is_narrow(p) ? row_reduction(p, i, j) : chain(p, i, j));
    if (p->c_kind != NO_C)
        t = fmaf(p->beta, c_at(p, i, j), t);
    return p->has_relu && t < 0 ? 0 : t;
}

static void expect_all(const product *p)
{
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double size;
            const double exact = in_double(p, i, j, &size);
            const float value = reference(p, i, j);
            expected[i * p->n + j] = value;
            EXPECT(fabs((double) value - exact) <= 1e-7 * (double) (p->k + 2) * size + 1e-30);
        }
    }
}

/* --- the kernels ----------------------------------------------------------------------------- */

static mls__gemm prepare(const product *p, const mls__cpu_kernels *kernels)
{
    static const float no_params[2];
    const bool is_direct = p->is_direct && !is_narrow(p);
    mls__pack_source source = {
        .elementwise = kernels->elementwise, .data = b, .dtype = MLS_FLOAT32, .k = p->k, .n = p->n};
    mls__gemm g = {.n = p->n,
                   .k = p->k,
                   .a = a,
                   .a_row = p->k,
                   .a_step = 1,
                   .alpha = p->alpha,
                   .beta = p->beta,
                   .y = y,
                   .y_row = p->y_row ? p->y_row : p->n};
    if (p->is_turned && !is_narrow(p)) {
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t k = 0; k < p->k; k++)
                a_turned[k * p->m + i] = a[i * p->k + k];
        g.a = a_turned;
        g.a_row = 1;
        g.a_step = p->m;
    }
    if (is_direct) {
        const size_t bytes = (size_t) (p->k * p->n) * sizeof *direct;
        direct = realloc(direct, bytes);
        memcpy(direct, b, bytes);
        g.b = direct;
        g.b_row = p->n;
        g.b_rest = rest;
        if (p->n % 16)
            mls__pack_rest(&source, rest);
    } else {
        size_t bytes = 0;
        EXPECT(mls__pack_size(p->k, p->n, &bytes) && bytes <= sizeof packed);
        mls__pack(&source, packed);
        g.b = packed;
    }
    if (p->c_kind != NO_C) {
        g.c = c;
        g.c_row = p->c_kind == C_COLUMN ? 1 : p->c_kind == C_FULL ? p->n : 0;
        g.c_step = p->c_kind == C_ROW || p->c_kind == C_FULL;
    }
    if (p->has_relu) {
        g.activation = kernels->elementwise->unary[MLS__UNARY_RELU];
        g.activation_params = no_params;
    }
    return g;
}

/* What lies between the rows and behind the last one must stay. */
static void expect_bytes(const product *p, const mls__gemm *g, const char *isa)
{
    const int64_t end = p->m ? (p->m - 1) * g->y_row + p->n : 0;
    for (int64_t at = 0; at < end + GUARD; at++) {
        const int64_t i = at / g->y_row, j = at % g->y_row;
        const float wanted = at < end && j < p->n ? expected[i * p->n + j] : guard;
        EXPECT_MSG(same(y[at], wanted), "%s, %d x %d x %d: y[%d][%d] is %a, expected %a", isa,
                   (int) p->m, (int) p->n, (int) p->k, (int) i, (int) j, (double) y[at],
                   (double) wanted);
    }
}

static void clear_y(void)
{
    for (size_t i = 0; i < sizeof y / sizeof y[0]; i++)
        y[i] = guard;
}

/* As one call, and cut into parts of `rows` rows and `panels` panels. */
static void run_parts(const mls__gemm_kernels *kernels, const mls__gemm *g, const product *p,
                      int64_t rows, int64_t panels)
{
    const int64_t all = mls__gemm_panels(p->n);
    for (int64_t row = 0; row < p->m; row += rows) {
        const int64_t taken = p->m - row < rows ? p->m - row : rows;
        if (is_narrow(p)) {
            kernels->narrow(g, row, taken);
            continue;
        }
        for (int64_t panel = 0; panel < all; panel += panels)
            kernels->wide(g, row, taken, panel, all - panel < panels ? all - panel : panels);
    }
}

static void check(product p)
{
    ck_assert(p.m <= MAX_M && p.n <= MAX_N && p.k <= MAX_K);
    EXPECT(mls__gemm_is_narrow(p.n, p.k) == is_narrow(&p));
    expect_all(&p);
    const mls__cpu_kernels *kernels;
    for (int set = 0; (kernels = mls__cpu_kernels_at(set)) != NULL; set++) {
        if (!mls__isa_is_supported(kernels->isa))
            continue;
        const mls__gemm g = prepare(&p, kernels);
        clear_y();
        run_parts(kernels->gemm, &g, &p, p.m + 1, 100);
        expect_bytes(&p, &g, kernels->isa);
        clear_y();
        run_parts(kernels->gemm, &g, &p, 5, 3);
        expect_bytes(&p, &g, kernels->isa);
    }
}

/* --- cases ----------------------------------------------------------------------------------- */

static const product plain = {.alpha = 1, .beta = 1};

START_TEST(test_rows)
{
    static const int64_t ns[] = {1, 3, 20, 100};
    product p = plain;
    p.k = 70;
    p.n = ns[_i];
    for (p.m = 0; p.m <= 67; p.m++)
        check(p);
}
END_TEST

START_TEST(test_columns)
{
    product p = plain;
    p.k = 33;
    for (p.n = 1; p.n <= MAX_N; p.n++) {
        p.m = 1 + p.n % 9;
        p.is_direct = _i;
        check(p);
    }
}
END_TEST

START_TEST(test_depths)
{
    static const int64_t ns[] = {1, 2, 5, 15, 16, 40};
    product p = plain;
    p.n = ns[_i];
    p.m = 3;
    for (p.k = 0; p.k <= 200; p.k++)
        check(p);
}
END_TEST

/* More than one block of rows and of k. */
START_TEST(test_blocks)
{
    product p = plain;
    p.m = MAX_M;
    p.n = 145;
    p.k = MAX_K;
    p.is_direct = _i == 1;
    p.is_turned = _i == 2;
    p.c_kind = C_ROW;
    p.has_relu = true;
    check(p);
}
END_TEST

START_TEST(test_epilogue)
{
    static const float alphas[] = {1, 0.3f, -2, 0};
    static const int64_t ns[] = {1, 3, 31, 130};
    product p = plain;
    p.k = 40;
    p.c_kind = (enum c_kind) _i;
    for (size_t n = 0; n < 4; n++) {
        for (size_t i = 0; i < 4; i++) {
            for (p.m = 1; p.m <= 9; p.m += 4) {
                p.n = ns[n];
                p.alpha = alphas[i];
                p.beta = alphas[(i + 1) % 3];
                p.has_relu = i % 2;
                p.y_row = i < 2 ? 0 : p.n + 3;
                p.is_direct = i == 1;
                p.is_turned = i == 2;
                check(p);
            }
        }
    }
}
END_TEST

/* Infinities and NaN of one row or column stay in it, whatever it is padded with. */
START_TEST(test_specials)
{
    product p = plain;
    p.m = 8;
    p.n = _i ? 37 : 3;
    p.k = 50;
    p.c_kind = C_ROW;
    a[2 * p.k + 7] = INFINITY;
    a[4 * p.k + 9] = NAN;
    b[11 * p.n + 1] = -INFINITY;
    c[2] = INFINITY;
    const float saved = b[12 * p.n];
    b[12 * p.n] = -0.0f;
    const mls__cpu_kernels *kernels;
    for (int64_t i = 0; i < p.m; i++)
        for (int64_t j = 0; j < p.n; j++)
            expected[i * p.n + j] = reference(&p, i, j);
    ck_assert(isfinite(expected[0]) && isinf(expected[1]) && isinf(expected[2]));
    for (int set = 0; (kernels = mls__cpu_kernels_at(set)) != NULL; set++) {
        if (!mls__isa_is_supported(kernels->isa))
            continue;
        const mls__gemm g = prepare(&p, kernels);
        clear_y();
        run_parts(kernels->gemm, &g, &p, p.m, 100);
        expect_bytes(&p, &g, kernels->isa);
    }
    b[12 * p.n] = saved;
}
END_TEST

/* Products too small for a float32: sums of -0 stay so, lanes that take nothing must not add +0. */
START_TEST(test_negative_zero)
{
    product p = plain;
    p.m = 2;
    p.n = _i ? 18 : 1;
    p.k = 69;
    for (int64_t i = 0; i < p.k * p.m; i++)
        a[i] = -1e-30f;
    for (int64_t i = 0; i < p.k * p.n; i++)
        b[i] = 1e-30f;
    check(p);
    ck_assert(expected[0] == 0 && signbit(expected[0]));
}
END_TEST

/* --- packing --------------------------------------------------------------------------------- */

/* Sources that mean the same matrix pack to the same bytes. */
START_TEST(test_pack)
{
    static const int64_t shapes[][2] = {{1, 1}, {70, 3}, {33, 20}, {16, 16}, {50, 149}, {300, 9}};
    static uint16_t halves[MAX_N * MAX_K], turned[MAX_N * MAX_K];
    const int64_t k = shapes[_i][0], n = shapes[_i][1];
    const mls__cpu_kernels *kernels = mls__cpu_kernels_at(0);
    size_t bytes = 0;
    ck_assert(mls__pack_size(k, n, &bytes) && bytes <= sizeof packed);
    for (int is_brain = 0; is_brain < 2; is_brain++) {
        uint32_t seed = 7;
        for (int64_t i = 0; i < k * n; i++)
            halves[i] = (uint16_t) ((next_random(&seed) & 0x83ffu) | 0x3800u);
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < n; j++)
                turned[j * k + i] = halves[i * n + j];
        (is_brain ? kernels->elementwise->bf16_to_f32 : kernels->elementwise->f16_to_f32)(b, halves,
                                                                                          k * n);
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < n; j++)
                b_turned[j * k + i] = b[i * n + j];
        const int32_t half = is_brain ? MLS_BFLOAT16 : MLS_FLOAT16;
        const mls__pack_source sources[] = {
            {kernels->elementwise, b, MLS_FLOAT32, false, k, n},
            {kernels->elementwise, b_turned, MLS_FLOAT32, true, k, n},
            {kernels->elementwise, halves, half, false, k, n},
            {kernels->elementwise, turned, half, true, k, n},
        };
        mls__pack(&sources[0], packed);
        for (int s = 1; s < 4; s++) {
            memset(c, 0xff, sizeof c);
            float *other = malloc(bytes);
            memset(other, 0xff, bytes);
            mls__pack(&sources[s], other);
            ck_assert_msg(memcmp(packed, other, bytes) == 0, "source %d of %d x %d", s, (int) k,
                          (int) n);
            free(other);
        }
    }
}
END_TEST

START_TEST(test_pack_size)
{
    size_t bytes = 0;
    ck_assert(mls__pack_size(7, 17, &bytes));
    ck_assert_uint_eq(bytes, 7 * 32 * sizeof(float));
    ck_assert(mls__pack_size(64, 2, &bytes));
    ck_assert_uint_eq(bytes, 64 * 2 * sizeof(float));
    ck_assert(mls__pack_size(0, 100, &bytes));
    ck_assert_uint_eq(bytes, 0);
    ck_assert(!mls__pack_size(INT64_MAX / 16, 20, &bytes));
    ck_assert(!mls__pack_size(2, INT64_MAX, &bytes));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gemm");
    TCase *products = tcase_create("products");
    tcase_add_checked_fixture(products, set_up, tear_down);
    tcase_add_loop_test(products, test_rows, 0, 4);
    tcase_add_loop_test(products, test_columns, 0, 2);
    tcase_add_loop_test(products, test_depths, 0, 6);
    tcase_add_loop_test(products, test_blocks, 0, 3);
    tcase_add_loop_test(products, test_epilogue, 0, C_KINDS);
    tcase_add_loop_test(products, test_specials, 0, 2);
    tcase_add_loop_test(products, test_negative_zero, 0, 2);
    suite_add_tcase(suite, products);
    TCase *packing = tcase_create("packing");
    tcase_add_loop_test(packing, test_pack, 0, 6);
    tcase_add_test(packing, test_pack_size);
    suite_add_tcase(suite, packing);
    return mls_test_run(suite);
}
