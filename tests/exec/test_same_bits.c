/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same bits, always: a row's scores do not depend on the instruction set, the batch
 * it came in, its place there, the number of threads, or (but for the pairs that
 * docs/numerics.md names) the optimizing passes. `./dev cross` sets MLS_TEST_DIGESTS to a folder,
 * where the scores are written down to be compared with another machine's.
 */
#include "exec/bit_models.h"
#include "support/bits.h"
#include "support/test.h"

#include "base/isa.h"

#include <errno.h>
#include <inttypes.h>
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
    int64_t width;    /* the elements of a row of its float32 input, whose first dim is "batch" */
    bool all_batches; /* from 1 to ROWS; else those of `some_batches` */
    bool keeps_bytes; /* the passes that it meets keep them */
    const char *steps[4]; /* ops that its plan must have, or the test proves less than it says */
} subject;

/* One, fewer than threads, those that leave a part over, and all. */
static const int64_t some_batches[] = {1, 3, 16, ROWS};

static const subject subjects[] = {
    {"network", NULL, bit_model_network, 37, true, true, {NULL}},
    {"functions", NULL, bit_model_functions, 45, true, true, {NULL}},
    {"example network", "examples/models/volatility_mlp.onnx", NULL, 11, true, true, {NULL}},
    {"example trees", "examples/models/volatility_trees.onnx", NULL, 11, true, true, {NULL}},
    {"images", NULL, bit_model_images, 3 * 12 * 12, false, true, {"ConvStack", NULL}},
    {"quantized", NULL, bit_model_quantized, 3 * 8 * 8, false, false, {"QLinearConv", NULL}},
    {"transformer", NULL, bit_model_transformer, 10 * 32, false, false, {"FusedAttention", NULL}},
    {"recurrent", NULL, bit_model_recurrent, 7 * 6, false, true, {"LSTM", "GRU", NULL}},
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

/* The plan has the steps that the subject is there for. */
static void check_steps(const rig *r, const subject *s)
{
    for (size_t k = 0; s->steps[k]; k++) {
        bool is_there = false;
        for (size_t i = 0; i < mls_session_step_count(r->session); i++) {
            mls_step_info info = MLS_STEP_INFO_INIT;
            ck_assert_ok(mls_session_step_info(r->session, i, &info));
            is_there = is_there || strstr(info.op, s->steps[k]);
        }
        ck_assert_msg(is_there, "%s: no step is %s", s->label, s->steps[k]);
    }
}

static void check_batch(rig *r, const subject *s, const float *rows, unsigned char *const *want,
                        int64_t batch, const char *where)
{
    unsigned char *scores[OUTPUTS_MOST] = {NULL};
    size_t row_bytes[OUTPUTS_MOST];
    score_all(r, s, rows, batch, scores, row_bytes);
    for (size_t i = 0; i < r->outputs; i++) {
        ck_assert_msg(memcmp(scores[i], want[i], ROWS * row_bytes[i]) == 0,
                      "%s: output %zu differs on %s with batches of %d", s->label, i, where,
                      (int) batch);
        free(scores[i]);
    }
}

/* Emulated machines and thread sanitizers take a hundred times as long. */
static bool is_brief(void)
{
    return getenv("MLS_TEST_DIGESTS") || mls_test_is_quick();
}

static void check_batches(const subject *s, const float *rows, unsigned char *const *want,
                          const char *isa, uint32_t threads)
{
    rig r;
    char where[64];
    const size_t some = sizeof some_batches / sizeof some_batches[0];
    snprintf(where, sizeof where, "%s and %u threads", isa, threads);
    rig_open(&r, s, isa, threads, 0);
    check_steps(&r, s);
    const bool all = s->all_batches && !is_brief();
    for (size_t i = 0; i < (all ? ROWS : some); i++)
        check_batch(&r, s, rows, want, all ? (int64_t) i + 1 : some_batches[i], where);
    rig_close(&r);
}

static uint64_t digest(const unsigned char *scores, size_t bytes)
{
    uint64_t hash = MLS_TEST_HASH;
    for (size_t i = 0; i < bytes; i += sizeof(float))
        hash = mls_test_hash_element(hash, MLS_FLOAT32, scores + i);
    return hash;
}

static void write_digests(const subject *s, unsigned char *const *scores, const size_t *row_bytes,
                          size_t outputs)
{
    char path[4096];
    const char *folder = getenv("MLS_TEST_DIGESTS");
    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, program_invocation_short_name);
    FILE *file = fopen(path, "a");
    ck_assert_msg(file != NULL, "cannot write '%s'", path);
    for (size_t i = 0; i < outputs; i++)
        fprintf(file, "%s %zu %016" PRIx64 "\n", s->label, i,
                digest(scores[i], ROWS * row_bytes[i]));
    ck_assert_int_eq(fclose(file), 0);
}

/* Digests are of one thread: what threads could change is seen without emulation. */
static uint32_t threads_most(void)
{
    return getenv("MLS_TEST_DIGESTS") ? 1 : 4;
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
    const uint64_t flags = MLS_SESSION_NO_REUSE | (s->keeps_bytes ? MLS_SESSION_NO_OPTIMIZE : 0);
    rig_open(&r, s, "portable", 1, flags);
    score_all(&r, s, rows, 1, want, row_bytes);
    write_digests(s, want, row_bytes, r.outputs);
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++)
        for (uint32_t threads = 1; threads <= threads_most(); threads += is_brief() ? 2 : 1)
            if (mls__isa_is_supported(isas[k]))
                check_batches(s, rows, want, isas[k], threads);
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
