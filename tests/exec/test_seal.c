/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed sessions: no page fault, one thread, one plan. */
#include "support/onnx_build.h"
#include "support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define ROWS 4096

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

/* y = relu(x * w), of as many rows as make an input of many pages. */
static mls_session *open_session(uint32_t threads)
{
    static float weights[64];
    mls_model *model;
    mls_session *session;
    onnx_build *b = onnx_build_create(17);
    const mls_dim_value dim = {"batch", ROWS};
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.dims = &dim;
    options.dim_count = 1;
    options.threads = threads;
    for (int i = 0; i < 64; i++)
        weights[i] = (float) (i % 7) - 3;
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,8");
    onnx_build_floats(b, "w", "8,8", weights);
    onnx_build_node(b, "MatMul", "x w", "m");
    onnx_build_node(b, "Relu", "m", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,8");
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_ok(mls_session_create(model, &options, &session));
    mls_model_free(model);
    onnx_build_free(b);
    return session;
}

/*
 * false, with a word about it, where the system does not let memory be locked, or where a sanitizer
 * has memory of its own.
 */
static bool seal(mls_session *session)
{
    if (MLS_TEST_SANITIZED) {
        printf("# not tested: sanitizers touch memory of their own\n");
        return false;
    }
    const mls_status status = mls_session_seal(session, MLS_SEAL_CHECK);
    if (status == MLS_EIO) {
        ck_assert_ptr_nonnull(strstr(mls_error_message(), "RLIMIT_MEMLOCK"));
        printf("# not tested: %s\n", mls_error_message());
        return false;
    }
    ck_assert_ok(status);
    return true;
}

START_TEST(sealed_runs_have_no_fault)
{
    mls_session *session = open_session(1);
    if (seal(session)) {
        float *x = mls_session_input_data(session, 0);
        for (int i = 0; i < 8 * ROWS; i++)
            x[i] = (float) (i % 5);
        for (int i = 0; i < 100; i++)
            ck_assert_ok(mls_session_run(session));
        ck_assert_ok(mls_session_set_dim(session, "batch", 3));
        ck_assert_ok(mls_session_run(session));
    }
    mls_session_free(session);
}
END_TEST

/* Memory that is bound after the seal, and not there yet. */
START_TEST(faults_are_noticed)
{
    const size_t bytes = ROWS * 8 * sizeof(float);
    mls_session *session = open_session(1);
    void *far = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(far, MAP_FAILED);
    if (seal(session)) {
        ck_assert_ok(mls_session_bind_output_data(session, 0, far, bytes));
        ck_assert_fails(mls_session_run(session), MLS_ESTATE, "page faults");
        ck_assert_ok(mls_session_run(session));
    }
    mls_session_free(session);
    munmap(far, bytes);
}
END_TEST

static void *run_elsewhere(void *session)
{
    ck_assert_fails(mls_session_run(session), MLS_ESTATE, "thread that sealed it");
    return NULL;
}

START_TEST(the_seal_fixes_thread_and_plan)
{
    mls_session *session = open_session(1);
    pthread_t thread;
    if (seal(session)) {
        ck_assert_int_eq(pthread_create(&thread, NULL, run_elsewhere, session), 0);
        pthread_join(thread, NULL);
        ck_assert_ok(mls_session_set_dim(session, "batch", ROWS + 1));
        ck_assert_fails(mls_session_run(session), MLS_ESTATE, "need another plan");
        ck_assert_ok(mls_session_set_dim(session, "batch", 2));
        ck_assert_ok(mls_session_run(session));
    }
    mls_session_free(session);
}
END_TEST

START_TEST(what_cannot_be_sealed_is_said)
{
    mls_session *session = open_session(2);
    ck_assert_fails(mls_session_seal(session, 0), MLS_EUNSUPPORTED, "threads = 1");
    ck_assert_fails(mls_session_seal(session, 8), MLS_EINVAL, "0x8");
    mls_session_free(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seal");
    TCase *tests = tcase_create("seal");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, sealed_runs_have_no_fault);
    tcase_add_test(tests, faults_are_noticed);
    tcase_add_test(tests, the_seal_fixes_thread_and_plan);
    tcase_add_test(tests, what_cannot_be_sealed_is_said);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
