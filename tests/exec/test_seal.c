/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed sessions: no page fault, one thread, one plan. */
#include "exec/flow_models.h"
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

/* --- control flow --- */

static mls_session *open_flow(onnx_build *b)
{
    mls_model *model;
    mls_session *session;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_ok(mls_session_create(model, NULL, &session));
    mls_model_free(model);
    onnx_build_free(b);
    return session;
}

START_TEST(control_flow_keeps_the_seal)
{
    onnx_build *(*const models[])(void) = {flow_gathering, flow_growing,  flow_alternating,
                                           flow_scanning,  flow_sequence, flow_late};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        mls_session *session = open_flow(models[i]());
        if (seal(session)) {
            float *x = mls_session_input_data(session, 0);
            for (int k = 0; k < 20; k++) {
                for (int j = 0; j < 12; j++)
                    x[j] = (float) (j + k);
                ck_assert_ok(mls_session_run(session));
            }
        }
        mls_session_free(session);
    }
}
END_TEST

/* One step, so that nothing is spare when a run is over. */
static onnx_build *places(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "4,3");
    onnx_build_node(b, "NonZero", "x", "y");
    onnx_build_output(b, "y", MLS_INT64, "2,?");
    return b;
}

/* Memory of the caller's, bound after the seal. */
START_TEST(sealed_control_flow_takes_other_inputs)
{
    static float x[12];
    onnx_build *(*const models[])(void) = {flow_gathering, places};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        mls_session *session = open_flow(models[i]());
        if (seal(session)) {
            ck_assert_ok(mls_session_bind_input_data(session, 0, x, sizeof x));
            ck_assert_ok(mls_session_run(session));
        }
        mls_session_free(session);
    }
}
END_TEST

/* y = cond ? x + x : -x, and x is of some length. */
static onnx_build *choosing(void)
{
    onnx_build *b = onnx_build_create(17), *yes = onnx_build_create(17);
    onnx_build *no = onnx_build_create(17);
    onnx_build_input(b, "cond", MLS_BOOL, "");
    onnx_build_input(b, "x", MLS_FLOAT32, "N");
    onnx_build_node(yes, "Add", "x x", "sum");
    onnx_build_output(yes, "sum", MLS_FLOAT32, "N");
    onnx_build_node(no, "Neg", "x", "less");
    onnx_build_output(no, "less", MLS_FLOAT32, "N");
    onnx_node *node = onnx_build_node(b, "If", "cond", "y");
    onnx_node_body(node, "then_branch", yes);
    onnx_node_body(node, "else_branch", no);
    onnx_build_output(b, "y", MLS_FLOAT32, "N");
    return b;
}

static void set_condition(mls_session *session, bool condition)
{
    *(bool *) mls_session_input_data(session, 0) = condition;
}

/* Only the ways that runs have gone before the seal are open after it. */
START_TEST(other_ways_are_closed_after_the_seal)
{
    mls_session *session = open_flow(choosing());
    ck_assert_ok(mls_session_set_dim(session, "N", 3));
    set_condition(session, true);
    if (seal(session)) {
        set_condition(session, false);
        ck_assert_fails(mls_session_run(session), MLS_ESTATE, "(Neg) needs another plan");
        set_condition(session, true);
        ck_assert_ok(mls_session_run(session));
    }
    mls_session_free(session);
}
END_TEST

/* The same run on other memory, of another length. */
static mls_status run_on(mls_session *session, float *x, int64_t length)
{
    ck_assert_ok(mls_session_bind_input_data(session, 1, NULL, 0));
    ck_assert_ok(mls_session_set_dim(session, "N", length));
    mls_status status = mls_session_bind_input_data(session, 1, x, (size_t) length * sizeof *x);
    return status ? status : mls_session_run(session);
}

START_TEST(ways_gone_before_stay_open)
{
    static float x[300] = {1, 2};
    mls_session *session = open_flow(choosing());
    for (int i = 0; i < 8; i++) {
        set_condition(session, i % 2);
        ck_assert_ok(run_on(session, x, i % 4 < 2 ? 200 : 2));
    }
    if (seal(session)) {
        const float want[2] = {-1, -2};
        set_condition(session, false);
        ck_assert_ok(run_on(session, x, 2));
        ck_assert_mem_eq(mls_session_output_data(session, 0), want, sizeof want);
        ck_assert_fails(run_on(session, x, 300), MLS_ESTATE, "before it is sealed");
        ck_assert_ok(run_on(session, x, 2));
        ck_assert_mem_eq(mls_session_output_data(session, 0), want, sizeof want);
        ck_assert_ok(run_on(session, x, 200));
    }
    mls_session_free(session);
}
END_TEST

START_TEST(sealed_control_flow_has_one_thread)
{
    mls_session *session = open_flow(flow_gathering());
    pthread_t thread;
    if (seal(session)) {
        ck_assert_int_eq(pthread_create(&thread, NULL, run_elsewhere, session), 0);
        pthread_join(thread, NULL);
        ck_assert_ok(mls_session_run(session));
    }
    mls_session_free(session);
}
END_TEST

START_TEST(what_allocates_in_each_run_is_not_sealed)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_STRING, "2");
    onnx_node_name(onnx_build_node(b, "StringNormalizer", "x", "y"), "tidy");
    onnx_build_output(b, "y", MLS_STRING, "?");
    mls_session *session = open_flow(b);
    ck_assert_fails(mls_session_seal(session, 0), MLS_EUNSUPPORTED, "node 'tidy'");
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
    tcase_add_test(tests, control_flow_keeps_the_seal);
    tcase_add_test(tests, sealed_control_flow_takes_other_inputs);
    tcase_add_test(tests, other_ways_are_closed_after_the_seal);
    tcase_add_test(tests, ways_gone_before_stay_open);
    tcase_add_test(tests, sealed_control_flow_has_one_thread);
    tcase_add_test(tests, what_allocates_in_each_run_is_not_sealed);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
