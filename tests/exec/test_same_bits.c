/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same bits, always: a row's scores do not depend on the instruction set, the batch
 * it came in, its place there, the number of threads, or the optimizing passes.
 */
#include "support/onnx_build.h"
#include "support/test.h"

#include "base/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS         67
#define OUTPUTS_MOST 3

static const char *const isas[] = {"portable",   "avx2",       "avx2vnni", "avx512",
                                   "avx512vnni", "avx512bf16", "amx",      "neon"};

/* A model under test: from a file of the project, or made here. */
typedef struct subject {
    const char *label;
    const char *path; /* below the project's folder, or NULL */
    onnx_build *(*build)(void);
    int64_t width; /* of a row of its float32 input ["batch", width] */
} subject;

static void random_weights(onnx_build *b, uint64_t *state, const char *name, const char *shape,
                           size_t count)
{
    float *data = onnx_build_alloc(b, count * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = (float) mls_test_random_below(state, 2001) / 1000.0f - 1.0f;
    onnx_build_floats(b, name, shape, data);
}

/* Wide and narrow layers, and each activation that a product takes. */
static onnx_build *network(void)
{
    uint64_t state = 5;
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,37");
    random_weights(b, &state, "w1", "37,130", 37 * 130);
    random_weights(b, &state, "c1", "130", 130);
    random_weights(b, &state, "w2", "130,50", 130 * 50);
    random_weights(b, &state, "c2", "50", 50);
    random_weights(b, &state, "w3", "50,3", 50 * 3);
    random_weights(b, &state, "w4", "3,1", 3);
    onnx_build_node(b, "Gemm", "x w1 c1", "a1");
    onnx_build_node(b, "Tanh", "a1", "h1");
    onnx_build_node(b, "MatMul", "h1 w2", "m2");
    onnx_build_node(b, "Add", "m2 c2", "a2");
    onnx_build_node(b, "Sigmoid", "a2", "h2");
    onnx_build_node(b, "Gemm", "h2 w3", "h3");
    onnx_build_node(b, "Elu", "h3", "e3");
    onnx_build_node(b, "MatMul", "e3 w4", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,1");
    onnx_build_output(b, "h2", MLS_FLOAT32, "batch,50");
    return b;
}

/* Reductions, norms and everything transcendental. */
static onnx_build *functions(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,45");
    onnx_build_floats(b, "eps", "1", (float[]){1e-5f});
    onnx_node_ints(onnx_build_node(b, "ReduceMean", "x", "mean"), "axes", 1, (int64_t[]){1});
    onnx_build_node(b, "Sub", "x mean", "d");
    onnx_build_node(b, "Mul", "d d", "dd");
    onnx_node_ints(onnx_build_node(b, "ReduceMean", "dd", "var"), "axes", 1, (int64_t[]){1});
    onnx_build_node(b, "Add", "var eps", "ve");
    onnx_build_node(b, "Sqrt", "ve", "sd");
    onnx_build_node(b, "Div", "d sd", "n");
    onnx_build_node(b, "Exp", "n", "e");
    onnx_build_node(b, "Log", "e", "l");
    onnx_build_node(b, "Erf", "l", "f");
    onnx_build_node(b, "Pow", "e f", "p");
    onnx_build_node(b, "Softplus", "p", "q");
    onnx_build_node(b, "Softmax", "q", "s");
    onnx_node_ints(onnx_build_node(b, "ReduceL2", "n", "l2"), "axes", 1, (int64_t[]){1});
    onnx_build_output(b, "s", MLS_FLOAT32, "batch,45");
    onnx_build_output(b, "l2", MLS_FLOAT32, "batch,1");
    return b;
}

static const subject subjects[] = {
    {"network", NULL, network, 37},
    {"functions", NULL, functions, 45},
    {"example network", "examples/models/volatility_mlp.onnx", NULL, 11},
    {"example trees", "examples/models/volatility_trees.onnx", NULL, 11},
};

/* A session over a context of its own, on one instruction set. */
typedef struct rig {
    mls_context *context;
    mls_model *model;
    mls_session *session;
    size_t outputs;
} rig;

static void rig_open(rig *r, const subject *s, const char *isa, uint32_t threads, uint64_t flags)
{
    mls_context_options context_options = MLS_CONTEXT_OPTIONS_INIT;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    const mls_dim_value batch = {"batch", ROWS};
    context_options.isa = isa;
    options.threads = threads;
    options.flags = flags;
    options.dims = &batch;
    options.dim_count = 1;
    ck_assert_ok(mls_context_create(&context_options, &r->context));
    if (s->path) {
        char path[4096];
        const char *top = getenv("abs_top_srcdir");
        snprintf(path, sizeof path, "%s/%s", top ? top : ".", s->path);
        ck_assert_ok(mls_model_load(r->context, path, NULL, &r->model));
    } else {
        onnx_build *build = s->build();
        ck_assert_ok(onnx_build_load(build, r->context, 0, &r->model));
        onnx_build_free(build);
    }
    ck_assert_ok(mls_session_create(r->model, &options, &r->session));
    r->outputs = mls_model_output_count(r->model);
    ck_assert_uint_le(r->outputs, OUTPUTS_MOST);
}

static void rig_close(rig *r)
{
    mls_session_free(r->session);
    mls_model_free(r->model);
    mls_context_free(r->context);
}

/* Rows [first, first + count) of `rows` in one run; the outputs' bytes row by row. */
static void score(rig *r, const subject *s, const float *rows, int64_t first, int64_t count,
                  unsigned char **scores, size_t *row_bytes)
{
    ck_assert_ok(mls_session_set_dim(r->session, "batch", count));
    memcpy(mls_session_input_data(r->session, 0), rows + first * s->width,
           (size_t) (count * s->width) * sizeof *rows);
    ck_assert_ok(mls_session_run(r->session));
    for (size_t i = 0; i < r->outputs; i++) {
        mls_dtype dtype;
        int rank;
        const int64_t *dims;
        ck_assert_ok(mls_session_output_shape(r->session, i, &dtype, &rank, &dims));
        row_bytes[i] = mls_dtype_size(dtype);
        for (int k = 1; k < rank; k++)
            row_bytes[i] *= (size_t) dims[k];
        if (!scores[i])
            scores[i] = malloc(ROWS * row_bytes[i]);
        memcpy(scores[i] + (size_t) first * row_bytes[i], mls_session_output_data(r->session, i),
               (size_t) count * row_bytes[i]);
    }
}

/* All rows, `batch` at a time. */
static void score_all(rig *r, const subject *s, const float *rows, int64_t batch,
                      unsigned char **scores, size_t *row_bytes)
{
    for (int64_t first = 0; first < ROWS; first += batch)
        score(r, s, rows, first, first + batch <= ROWS ? batch : ROWS - first, scores, row_bytes);
}

static void check_batches(const subject *s, const float *rows, unsigned char *const *want,
                          const char *isa, uint32_t threads, uint64_t flags)
{
    rig r;
    rig_open(&r, s, isa, threads, flags);
    for (int64_t batch = 1; batch <= ROWS; batch++) {
        unsigned char *scores[OUTPUTS_MOST] = {NULL};
        size_t row_bytes[OUTPUTS_MOST];
        score_all(&r, s, rows, batch, scores, row_bytes);
        for (size_t i = 0; i < r.outputs; i++) {
            ck_assert_msg(memcmp(scores[i], want[i], ROWS * row_bytes[i]) == 0,
                          "%s: output %zu differs on %s with batches of %d and %u threads",
                          s->label, i, isa, (int) batch, threads);
            free(scores[i]);
        }
    }
    rig_close(&r);
}

static void check_subject(const subject *s)
{
    rig r;
    uint64_t state = 11;
    unsigned char *want[OUTPUTS_MOST] = {NULL};
    size_t row_bytes[OUTPUTS_MOST];
    float *rows = malloc((size_t) (ROWS * s->width) * sizeof *rows);
    for (int64_t i = 0; i < ROWS * s->width; i++)
        rows[i] = (float) mls_test_random_below(&state, 6001) / 1000.0f - 3.0f;
    rig_open(&r, s, "portable", 1, MLS_SESSION_NO_OPTIMIZE | MLS_SESSION_NO_REUSE);
    score_all(&r, s, rows, 1, want, row_bytes);
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++)
        for (uint32_t threads = 1; threads <= 4; threads++)
            if (mls__isa_is_supported(isas[k]))
                check_batches(s, rows, want, isas[k], threads, 0);
    for (size_t i = 0; i < r.outputs; i++)
        free(want[i]);
    rig_close(&r);
    free(rows);
}

START_TEST(bits_are_the_same)
{
    check_subject(&subjects[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exec/same_bits");
    TCase *tests = tcase_create("same_bits");
    tcase_add_loop_test(tests, bits_are_the_same, 0, sizeof subjects / sizeof subjects[0]);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
