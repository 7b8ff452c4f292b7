/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of bfloat16 by every kernel of this machine, and by that of AMX on a model of its tiles:
 * within the bound of kernels/gemm_bf16.h of the product in double precision, and within one of
 * float32 sums of each other.
 */
#include "cpu_test.h"

#include "backend/cpu/kernels/kernels.h"
#include "base/isa.h"

#include <stdlib.h>

enum { MAX_M = 140, MAX_N = 150, MAX_K = 1100, PADDED_K = 1120 + 32, GUARD = 24 };

extern const mls__gemm_bf16_kernels mls__gemm_tiles_model;

static const float guard = 12345.5f, no_params[2];
static float a[MAX_M * MAX_K], b[MAX_N * MAX_K], c[MAX_M * MAX_N], z[MAX_M * (MAX_N + 16)];
static float y[MAX_M * (MAX_N + 16) + GUARD];
static float first[MAX_M * MAX_N];                       /* of the first kernel */
static double sums[MAX_M * MAX_N], sizes[MAX_M * MAX_N]; /* of a b and of |a b|, in double */
static uint16_t rounded[(MAX_M + 16) * PADDED_K], packed[(MAX_N + 16) * PADDED_K];

enum c_kind { NO_C, C_SCALAR, C_ROW, C_COLUMN, C_FULL, C_KINDS };

typedef struct product {
    int64_t m, n, k;
    enum c_kind c_kind;
    float alpha, beta;
    bool is_blocked; /* y is panel by panel, as blocks of channels are */
    bool has_z, has_relu;
} product;

static void fill(float *values, int64_t count, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (float) (int32_t) next_random(&seed) * 0x1p-31f;
}

static void set_up(void)
{
    fill(a, MAX_M * MAX_K, 1);
    fill(b, MAX_N * MAX_K, 2);
    fill(c, MAX_M * MAX_N, 3);
    fill(z, MAX_M * (MAX_N + 16), 4);
}

/* --- operands -------------------------------------------------------------------------------- */

/* Rows past the last, which may be read, hold what must not matter. */
static void round_a(const product *p, const mls__gemm_bf16_kernels *kernels, int64_t a_row)
{
    memset(rounded, 0x7f, sizeof rounded);
    for (int64_t i = 0; i < p->m; i++)
        memset(rounded + i * a_row, 0, (size_t) a_row * sizeof *rounded);
    kernels->round(rounded, a_row, a, p->k, p->m, p->k);
}

static void pack_b(const product *p, const mls__gemm_bf16_kernels *kernels)
{
    static float panel[PADDED_K * MLS__BF16_PANEL];
    const int64_t padded = mls__bf16_padded(p->k);
    for (int64_t at = 0; at < p->n; at += MLS__BF16_PANEL) {
        memset(panel, 0, sizeof panel);
        for (int64_t k = 0; k < p->k; k++)
            for (int64_t j = 0; j < MLS__BF16_PANEL && at + j < p->n; j++)
                panel[k * MLS__BF16_PANEL + j] = b[k * p->n + at + j];
        kernels->pair(packed + at * padded, panel, padded);
    }
}

static mls__gemm_bf16 prepare(const product *p, const mls__gemm_bf16_kernels *kernels)
{
    const int64_t a_row = mls__bf16_padded(p->k) + MLS__BF16_STEP;
    mls__gemm_bf16 g = {.n = p->n,
                        .k = p->k,
                        .a = rounded,
                        .a_row = a_row,
                        .b = packed,
                        .alpha = p->alpha,
                        .beta = p->beta,
                        .y = y,
                        .y_row = p->is_blocked ? MLS__BF16_PANEL : p->n + 3,
                        .y_panel = p->is_blocked ? p->m * MLS__BF16_PANEL : MLS__BF16_PANEL};
    round_a(p, kernels, a_row);
    pack_b(p, kernels);
    if (p->c_kind != NO_C) {
        g.c = c;
        g.c_row = p->c_kind == C_COLUMN ? 1 : p->c_kind == C_FULL ? p->n : 0;
        g.c_step = p->c_kind == C_ROW || p->c_kind == C_FULL;
        g.c_panel = g.c_step * MLS__BF16_PANEL;
    }
    g.z = p->has_z ? z : NULL;
    if (p->has_relu) {
        g.activation = mls__cpu_kernels_portable.elementwise->unary[MLS__UNARY_RELU];
        g.activation_params = no_params;
    }
    return g;
}

/* --- expectations ---------------------------------------------------------------------------- */

static int64_t place(const mls__gemm_bf16 *g, int64_t i, int64_t j)
{
    return i * g->y_row + j / MLS__BF16_PANEL * g->y_panel + j % MLS__BF16_PANEL;
}

/* Sets `sums` and `sizes`, which are the same for all kernels. */
static void set_sums(const product *p)
{
    for (int64_t i = 0; i < p->m; i++) {
        double *sum = sums + i * p->n, *size = sizes + i * p->n;
        for (int64_t j = 0; j < p->n; j++)
            sum[j] = size[j] = 0;
        for (int64_t k = 0; k < p->k; k++)
            for (int64_t j = 0; j < p->n; j++) {
                const double term = (double) a[i * p->k + k] * (double) b[k * p->n + j];
                sum[j] += term;
                size[j] += fabs(term);
            }
    }
}

/* The result in double precision, and how far from it one may be; `sum_error` is of |a b|. */
static double in_double(const product *p, const mls__gemm_bf16 *g, int64_t i, int64_t j,
                        double sum_error, double *ret_bound)
{
    const double alpha = (double) p->alpha, size = sizes[i * p->n + j];
    double value = alpha * sums[i * p->n + j], all = fabs(alpha) * size;
    if (g->c) {
        const double term = (double) p->beta * (double) c[i * g->c_row + j * g->c_step];
        value += term;
        all += fabs(term);
    }
    if (g->z) {
        value += (double) z[place(g, i, j)];
        all += fabs((double) z[place(g, i, j)]);
    }
    *ret_bound = fabs(alpha) * size * sum_error + all * 0x1p-22 + 0x1p-100;
    return p->has_relu && value < 0 ? 0 : value;
}

/* Near the exact product; what lies between and behind the outputs is as it was. */
static void expect_near(const product *p, const mls__gemm_bf16 *g, const char *name)
{
    static bool is_output[sizeof y / sizeof y[0]];
    const double sum_error = 0x1p-7 + 0x1p-15 + (double) p->k * 0x1p-23;
    memset(is_output, 0, sizeof is_output);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            double bound;
            const double wanted = in_double(p, g, i, j, sum_error, &bound);
            const double got = (double) y[place(g, i, j)];
            is_output[place(g, i, j)] = true;
            EXPECT_MSG(fabs(got - wanted) <= bound,
                       "%s, %d x %d x %d: y[%d][%d] is %a, expected %a within %g", name, (int) p->m,
                       (int) p->n, (int) p->k, (int) i, (int) j, got, wanted, bound);
        }
    for (size_t at = 0; at < sizeof y / sizeof y[0]; at++)
        EXPECT_MSG(is_output[at] || same(y[at], guard), "%s, %d x %d x %d: wrote at %d", name,
                   (int) p->m, (int) p->n, (int) p->k, (int) at);
}

/* All kernels multiply the same numbers: only the order of their float32 sums may differ. */
static void expect_like_first(const product *p, const mls__gemm_bf16 *g, const char *name,
                              bool is_first)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            double bound;
            const float got = y[place(g, i, j)];
            if (is_first)
                first[i * p->n + j] = got;
            in_double(p, g, i, j, (double) p->k * 0x1p-22, &bound);
            const double difference = fabs((double) got - (double) first[i * p->n + j]);
            EXPECT_MSG(difference <= bound, "%s, %d x %d x %d: y[%d][%d] is %a, not %a", name,
                       (int) p->m, (int) p->n, (int) p->k, (int) i, (int) j, (double) got,
                       (double) first[i * p->n + j]);
        }
}

/* --- the kernels ----------------------------------------------------------------------------- */

/* As one call, and cut into parts of `rows` rows and `panels` panels. */
static void run_parts(const mls__gemm_bf16_kernels *kernels, const mls__gemm_bf16 *g,
                      const product *p, int64_t rows, int64_t panels)
{
    const int64_t all = mls__bf16_panels(p->n);
    for (size_t i = 0; i < sizeof y / sizeof y[0]; i++)
        y[i] = guard;
    for (int64_t row = 0; row < p->m; row += rows)
        for (int64_t panel = 0; panel < all; panel += panels)
            kernels->run(g, row, p->m - row < rows ? p->m - row : rows, panel,
                         all - panel < panels ? all - panel : panels);
}

static void check_kernels(const product *p, const mls__gemm_bf16_kernels *kernels, bool is_first)
{
    const mls__gemm_bf16 g = prepare(p, kernels);
    run_parts(kernels, &g, p, p->m + 1, 100);
    expect_near(p, &g, kernels->product_name);
    expect_like_first(p, &g, kernels->product_name, is_first);
    run_parts(kernels, &g, p, 48, 3);
    expect_near(p, &g, kernels->product_name);
}

static void check(product p)
{
    ck_assert(p.m <= MAX_M && p.n <= MAX_N && p.k <= MAX_K);
    set_sums(&p);
    const mls__cpu_kernels *kernels;
    for (int set = 0; (kernels = mls__cpu_kernels_at(set)) != NULL; set++) {
        if (!mls__isa_is_supported(kernels->isa))
            continue;
        check_kernels(&p, kernels->gemm_bf16, set == 0);
        if (kernels->gemm_tiles && mls__isa_request_tiles())
            check_kernels(&p, kernels->gemm_tiles, false);
    }
    check_kernels(&p, &mls__gemm_tiles_model, false);
}

static const product plain = {.alpha = 1, .beta = 1};

START_TEST(test_rows)
{
    product p = plain;
    p.k = 70;
    p.n = _i ? 100 : 20;
    for (p.m = 1; p.m <= 67; p.m++)
        check(p);
}
END_TEST

START_TEST(test_columns)
{
    product p = plain;
    p.k = 33;
    p.is_blocked = _i;
    for (p.n = 1; p.n <= 132; p.n += p.n % 16 == 2 ? 10 : 1) {
        p.m = 1 + p.n % 19;
        check(p);
    }
}
END_TEST

START_TEST(test_depths)
{
    static const int64_t rows[] = {1, 6, 20};
    product p = plain;
    p.n = 40;
    p.m = rows[_i];
    for (p.k = 1; p.k <= 100; p.k++)
        check(p);
}
END_TEST

/* More than one block of rows and of k. */
START_TEST(test_blocks)
{
    product p = plain;
    p.m = MAX_M;
    p.n = 145;
    p.k = _i ? 1024 : MAX_K - 1;
    p.c_kind = C_ROW;
    p.has_relu = true;
    p.is_blocked = _i;
    check(p);
}
END_TEST

START_TEST(test_epilogue)
{
    static const float alphas[] = {1, 0.3f, -2, 0};
    product p = plain;
    p.k = 40;
    p.c_kind = (enum c_kind) _i;
    for (size_t i = 0; i < 4; i++)
        for (p.m = 1; p.m <= 37; p.m += 12) {
            p.n = i % 2 ? 70 : 31;
            p.alpha = alphas[i];
            p.beta = alphas[(i + 1) % 3];
            p.has_relu = i % 2;
            p.has_z = i > 1;
            p.is_blocked = i == 3;
            check(p);
        }
}
END_TEST

/* Infinities and NaN of one row or column stay in it. */
START_TEST(test_specials)
{
    product p = plain;
    p.m = 20;
    p.n = 37;
    p.k = 50;
    a[2 * p.k + 7] = INFINITY;
    a[4 * p.k + 9] = NAN;
    b[11 * p.n + 1] = -INFINITY;
    const mls__cpu_kernels *kernels;
    for (int set = 0; (kernels = mls__cpu_kernels_at(set)) != NULL; set++) {
        const bool is_last = !mls__cpu_kernels_at(set + 1);
        if (!is_last && !mls__isa_is_supported(kernels->isa))
            continue;
        const mls__gemm_bf16_kernels *own = is_last ? &mls__gemm_tiles_model : kernels->gemm_bf16;
        const mls__gemm_bf16 g = prepare(&p, own);
        run_parts(own, &g, &p, p.m, 100);
        for (int64_t i = 0; i < p.m; i++)
            for (int64_t j = 0; j < p.n; j++) {
                const float got = y[place(&g, i, j)];
                const bool is_special = i == 2 || i == 4 || j == 1;
                EXPECT_MSG(!isfinite(got) == is_special, "%s: y[%d][%d] is %g", own->product_name,
                           (int) i, (int) j, (double) got);
                EXPECT(i != 4 || isnan(got));
            }
    }
}
END_TEST

/* --- rounding -------------------------------------------------------------------------------- */

/* To nearest, ties to even, found among the neighbours. */
static uint16_t nearest(float x)
{
    const uint16_t below = (uint16_t) (bits_of(x) >> 16);
    const float low = float_of((uint32_t) below << 16);
    const float high = float_of(((uint32_t) below + 1) << 16);
    const double to_low = fabs((double) x - (double) low);
    const double to_high =
        isinf(high) ? fabs(0x1p128 - fabs((double) x)) : fabs((double) high - (double) x);
    if (to_low != to_high)
        return to_low < to_high ? below : (uint16_t) (below + 1);
    return below % 2 ? (uint16_t) (below + 1) : below;
}

/* Denormals, which some instructions take as zeros, are left out. */
static float normal_number(uint32_t *seed)
{
    const uint32_t bits = next_random(seed);
    const uint32_t exponent = bits >> 23 & 0xff;
    /* Ties are rare unless they are made. */
    return exponent == 0 || exponent == 0xff ? 1.0f
           : next_random(seed) % 4 == 0      ? float_of((bits & 0xffff0000u) | 0x8000u)
                                             : float_of(bits);
}

START_TEST(test_rounding)
{
    enum { COUNT = 61 };
    uint32_t seed = 7;
    const mls__cpu_kernels *kernels;
    for (int set = 0; (kernels = mls__cpu_kernels_at(set)) != NULL; set++) {
        for (int round = 0; mls__isa_is_supported(kernels->isa) && round < 2000; round++) {
            float x[COUNT];
            uint16_t bits[COUNT + 1];
            bits[COUNT] = 0x5555;
            for (int i = 0; i < COUNT; i++)
                x[i] = normal_number(&seed);
            kernels->gemm_bf16->round(bits, COUNT, x, COUNT, 1, COUNT);
            for (int i = 0; i < COUNT; i++)
                EXPECT_MSG(bits[i] == nearest(x[i]), "%s: %a gives %04x, expected %04x",
                           kernels->isa, (double) x[i], bits[i], nearest(x[i]));
            EXPECT(bits[COUNT] == 0x5555);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/gemm_bf16");
    TCase *tests = tcase_create("gemm_bf16");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_loop_test(tests, test_rows, 0, 2);
    tcase_add_loop_test(tests, test_columns, 0, 2);
    tcase_add_loop_test(tests, test_depths, 0, 3);
    tcase_add_loop_test(tests, test_blocks, 0, 2);
    tcase_add_loop_test(tests, test_epilogue, 0, C_KINDS);
    tcase_add_test(tests, test_specials);
    tcase_add_test(tests, test_rounding);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
