/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MLS_NUMERICS_FAST in sessions: which kernel an instruction set gets, how far results are from
 * sums in double precision, and that exact sessions of the same model stay what they were.
 */
#include "support/onnx_build.h"
#include "support/test.h"

#include "base/isa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 20, DEPTH = 96, COLUMNS = 128, CHANNELS = 32, FILTERS = 48, SIDE = 12, KERNEL = 3 };

static const char *const isas[] = {"portable",   "avx2",       "avx2vnni", "avx512",
                                   "avx512vnni", "avx512bf16", "amx",      "neon"};

static float a[ROWS * DEPTH], b[DEPTH * COLUMNS];
static float x[CHANNELS * SIDE * SIDE], w[FILTERS * CHANNELS * KERNEL * KERNEL];

static float same[CHANNELS * CHANNELS]; /* gives each channel back */

static void fill(float *values, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float) (int32_t) seed * 0x1p-31f;
    }
}

static void set_up(void)
{
    fill(a, ROWS * DEPTH, 1);
    fill(b, DEPTH * COLUMNS, 2);
    fill(x, CHANNELS * SIDE * SIDE, 3);
    fill(w, FILTERS * CHANNELS * KERNEL * KERNEL, 4);
    /* So that no kernel rounds what is given back. */
    for (size_t i = 0; i < CHANNELS * SIDE * SIDE; i++)
        x[i] = truncf(x[i] * 128) / 128;
    for (size_t i = 0; i < CHANNELS; i++)
        same[i * CHANNELS + i] = 1;
}

static onnx_build *product_model(void)
{
    onnx_build *build = onnx_build_create(17);
    onnx_build_input(build, "x", MLS_FLOAT32, "N,96");
    onnx_build_floats(build, "b", "96,128", b);
    onnx_build_node(build, "MatMul", "x b", "y");
    onnx_build_output(build, "y", MLS_FLOAT32, "N,128");
    return build;
}

/* Between other ops that like blocks of channels the convolution has them on both sides. */
static onnx_build *conv_model(void)
{
    onnx_build *build = onnx_build_create(17);
    const int64_t pads[] = {1, 1, 1, 1}, ones[] = {1, 1};
    onnx_build_input(build, "x", MLS_FLOAT32, "N,32,12,12");
    onnx_build_floats(build, "w", "48,32,3,3", w);
    onnx_build_floats(build, "same", "32,32,1,1", same);
    onnx_build_node(build, "Conv", "x same", "s");
    onnx_node_ints(onnx_build_node(build, "Conv", "s w", "c"), "pads", 4, pads);
    onnx_build_node(build, "Relu", "c", "r");
    onnx_node_ints(onnx_build_node(build, "MaxPool", "r", "y"), "kernel_shape", 2, ones);
    onnx_build_output(build, "y", MLS_FLOAT32, "N,48,12,12");
    return build;
}

typedef struct rig {
    mls_context *context;
    mls_model *model;
    mls_session *session;
} rig;

static rig open_rig(onnx_build *build, const char *isa, uint32_t numerics, int64_t rows)
{
    rig r;
    mls_context_options context_options = MLS_CONTEXT_OPTIONS_INIT;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    const mls_dim_value dim = {"N", rows};
    context_options.isa = isa;
    options.numerics = numerics;
    options.dims = &dim;
    options.dim_count = 1;
    ck_assert_ok(mls_context_create(&context_options, &r.context));
    ck_assert_ok(onnx_build_load(build, r.context, 0, &r.model));
    ck_assert_ok(mls_session_create(r.model, &options, &r.session));
    return r;
}

static void close_rig(rig *r)
{
    mls_session_free(r->session);
    mls_model_free(r->model);
    mls_context_free(r->context);
}

static float *results(rig *r, const float *input, size_t inputs, size_t outputs)
{
    float *copy = malloc(outputs * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(mls_session_input_data(r->session, 0), input, inputs * sizeof *input);
    ck_assert_ok(mls_session_run(r->session));
    memcpy(copy, mls_session_output_data(r->session, 0), outputs * sizeof *copy);
    return copy;
}

static bool has_kernel(const rig *r, const char *prefix)
{
    for (size_t i = 0; i < mls_session_step_count(r->session); i++) {
        mls_step_info info = MLS_STEP_INFO_INIT;
        ck_assert_ok(mls_session_step_info(r->session, i, &info));
        if (strncmp(info.kernel, prefix, strlen(prefix)) == 0)
            return true;
    }
    return false;
}

/* |a b| over k, and the bound on a sum of kernels/gemm_bf16.h. */
static double product_bound(int64_t i, int64_t j, double *ret_sum)
{
    double sum = 0, size = 0;
    for (int64_t k = 0; k < DEPTH; k++) {
        const double term = (double) a[i * DEPTH + k] * (double) b[k * COLUMNS + j];
        sum += term;
        size += fabs(term);
    }
    *ret_sum = sum;
    return size * (0x1p-7 + 0x1p-15 + DEPTH * 0x1p-23);
}

/* The kernel of a product of so many rows. */
static const char *expected_kernel(const char *isa, int64_t rows)
{
    if (strcmp(isa, "amx") == 0)
        return mls__isa_request_tiles() ? "product.bf16.amx" : "product.bf16.avx512bf16";
    if (strcmp(isa, "avx512bf16") == 0)
        return "product.bf16.avx512bf16";
    if (strncmp(isa, "avx512", 6) == 0 && rows == 1)
        return "product.bf16.avx512";
    return NULL; /* an exact one */
}

static void check_products(const char *isa, int64_t rows)
{
    onnx_build *build = product_model();
    const size_t outputs = (size_t) rows * COLUMNS;
    const char *kernel = expected_kernel(isa, rows);
    rig fast = open_rig(build, isa, MLS_NUMERICS_FAST, rows);
    rig exact = open_rig(build, isa, MLS_NUMERICS_EXACT, rows);
    float *got = results(&fast, a, (size_t) rows * DEPTH, outputs);
    float *want = results(&exact, a, (size_t) rows * DEPTH, outputs);
    ck_assert_msg(has_kernel(&fast, kernel ? kernel : "product") &&
                      has_kernel(&fast, "product.bf16") == (kernel != NULL),
                  "%s, %d rows: not %s", isa, (int) rows, kernel ? kernel : "exact");
    ck_assert(!has_kernel(&exact, "product.bf16"));
    ck_assert_int_eq(memcmp(got, want, outputs * sizeof *got) == 0, kernel == NULL);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < COLUMNS; j++) {
            double sum;
            const double bound = product_bound(i, j, &sum);
            const double error = fabs((double) got[i * COLUMNS + j] - sum);
            ck_assert_msg(error <= bound, "%s: %d, %d is %g off", isa, (int) i, (int) j, error);
        }
    free(got);
    free(want);
    close_rig(&fast);
    close_rig(&exact);
    onnx_build_free(build);
}

START_TEST(test_products)
{
    if (!mls__isa_is_supported(isas[_i]))
        return;
    check_products(isas[_i], 1);
    check_products(isas[_i], ROWS);
}
END_TEST

/* A row whose matrix is larger than the second cache: half of its stream, where that counts. */
START_TEST(test_long_streams)
{
    const bool gains = strcmp(isas[_i], "portable") != 0;
    if (!mls__isa_is_supported(isas[_i]))
        return;
    float *zeros = calloc(1024 * 512, sizeof *zeros);
    onnx_build *build = onnx_build_create(17);
    onnx_build_input(build, "x", MLS_FLOAT32, "N,1024");
    onnx_build_floats(build, "b", "1024,512", zeros);
    onnx_build_node(build, "MatMul", "x b", "y");
    onnx_build_output(build, "y", MLS_FLOAT32, "N,512");
    rig fast = open_rig(build, isas[_i], MLS_NUMERICS_FAST, 1);
    ck_assert_msg(has_kernel(&fast, "product.bf16") == gains, "%s", isas[_i]);
    close_rig(&fast);
    onnx_build_free(build);
    free(zeros);
}
END_TEST

/* As product_bound(), of a filter at a place; ReLU makes no error larger. */
static double conv_bound(int64_t filter, int64_t row, int64_t column, double *ret_sum)
{
    double sum = 0, size = 0;
    for (int64_t t = 0; t < CHANNELS * KERNEL * KERNEL; t++) {
        const int64_t channel = t / (KERNEL * KERNEL);
        const int64_t i = row + t / KERNEL % KERNEL - 1, j = column + t % KERNEL - 1;
        if (i < 0 || i >= SIDE || j < 0 || j >= SIDE)
            continue;
        const double term = (double) x[(channel * SIDE + i) * SIDE + j] *
                            (double) w[filter * CHANNELS * KERNEL * KERNEL + t];
        sum += term;
        size += fabs(term);
    }
    *ret_sum = sum > 0 ? sum : 0;
    return size * (0x1p-7 + 0x1p-15 + CHANNELS * KERNEL * KERNEL * 0x1p-23);
}

START_TEST(test_convolutions)
{
    const char *isa = isas[_i];
    const bool has_bf16 = strcmp(isa, "avx512bf16") == 0 || strcmp(isa, "amx") == 0;
    if (!mls__isa_is_supported(isa))
        return;
    onnx_build *build = conv_model();
    rig fast = open_rig(build, isa, MLS_NUMERICS_FAST, 1);
    float *got = results(&fast, x, CHANNELS * SIDE * SIDE, (size_t) FILTERS * SIDE * SIDE);
    ck_assert_int_eq(has_kernel(&fast, "conv.bf16."), has_bf16);
    for (int64_t i = 0; i < FILTERS * SIDE * SIDE; i++) {
        double sum;
        const double bound = conv_bound(i / SIDE / SIDE, i / SIDE % SIDE, i % SIDE, &sum);
        const double error = fabs((double) got[i] - sum);
        ck_assert_msg(error <= bound, "%s: output %d is %g off", isa, (int) i, error);
    }
    free(got);
    close_rig(&fast);
    onnx_build_free(build);
}
END_TEST

/* What is known before the run is shared with exact sessions, and therefore exact. */
START_TEST(test_constants)
{
    onnx_build *build = onnx_build_create(17);
    onnx_build_floats(build, "a", "20,96", a);
    onnx_build_floats(build, "b", "96,128", b);
    onnx_build_input(build, "x", MLS_FLOAT32, "N,128");
    onnx_build_node(build, "MatMul", "a b", "p");
    onnx_build_node(build, "Add", "x p", "y");
    onnx_build_output(build, "y", MLS_FLOAT32, "20,128");
    const float zeros[COLUMNS] = {0};
    rig fast = open_rig(build, NULL, MLS_NUMERICS_FAST, 1);
    rig exact = open_rig(build, NULL, MLS_NUMERICS_EXACT, 1);
    float *got = results(&fast, zeros, COLUMNS, ROWS * COLUMNS);
    float *want = results(&exact, zeros, COLUMNS, ROWS * COLUMNS);
    ck_assert_int_eq(memcmp(got, want, ROWS * COLUMNS * sizeof *got), 0);
    free(got);
    free(want);
    close_rig(&fast);
    close_rig(&exact);
    onnx_build_free(build);
}
END_TEST

START_TEST(test_misuse)
{
    onnx_build *build = product_model();
    rig r = open_rig(build, NULL, MLS_NUMERICS_EXACT, 1);
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    mls_session *session = NULL;
    options.numerics = 2;
    ck_assert_fails(mls_session_create(r.model, &options, &session), MLS_EUNSUPPORTED,
                    "mls_session_options.numerics is 2: there are MLS_NUMERICS_EXACT (0) and "
                    "MLS_NUMERICS_FAST (1)");
    ck_assert_ptr_null(session);
    close_rig(&r);
    onnx_build_free(build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exec/fast");
    TCase *tests = tcase_create("fast");
    const int count = (int) (sizeof isas / sizeof isas[0]);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_loop_test(tests, test_products, 0, count);
    tcase_add_loop_test(tests, test_long_streams, 0, count);
    tcase_add_loop_test(tests, test_convolutions, 0, count);
    tcase_add_test(tests, test_constants);
    tcase_add_test(tests, test_misuse);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
