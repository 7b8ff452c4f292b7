/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions with control flow tell about their steps, and measure. */
#include "support/onnx_build.h"
#include "support/test.h"

#include <string.h>
#include <time.h>

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

static mls_session *open_session(onnx_build *build, uint64_t flags)
{
    mls_model *model;
    mls_session *session;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    ck_assert_ok(mls_session_create(model, &options, &session));
    mls_model_free(model);
    onnx_build_free(build);
    return session;
}

/* The first step of an op. */
static mls_step_info find(const mls_session *session, const char *op)
{
    mls_step_info info = MLS_STEP_INFO_INIT;
    for (size_t i = 0; i < mls_session_step_count(session); i++) {
        ck_assert_ok(mls_session_step_info(session, i, &info));
        if (strcmp(info.op, op) == 0)
            return info;
    }
    ck_abort_msg("no step is of op %s", op);
    return info;
}

static bool has(const mls_session *session, const char *op)
{
    mls_step_info info = MLS_STEP_INFO_INIT;
    for (size_t i = 0; i < mls_session_step_count(session); i++) {
        ck_assert_ok(mls_session_step_info(session, i, &info));
        if (strcmp(info.op, op) == 0)
            return true;
    }
    return false;
}

/* Joins the list's sum to it until that reaches 100, so that each iteration has other dims. */
static onnx_build *growing(void)
{
    onnx_build *b = onnx_build_create(17), *body = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "1");
    onnx_build_floats(b, "limit", "1", (float[]){100});
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "list", MLS_FLOAT32, "?");
    onnx_build_node(body, "ReduceSum", "list", "sum");
    onnx_node_int(onnx_build_node(body, "Concat", "list sum", "longer"), "axis", 0);
    onnx_build_node(body, "Less", "sum limit", "goes_on");
    onnx_build_node(body, "Squeeze", "goes_on", "goes");
    onnx_build_output(body, "goes", MLS_BOOL, "");
    onnx_build_output(body, "longer", MLS_FLOAT32, "?");
    onnx_node *loop = onnx_build_node(b, "Loop", "- - x", "list_of_all");
    onnx_node_name(loop, "grow");
    onnx_node_body(loop, "body", body);
    onnx_build_node(b, "Softmax", "list_of_all", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "?");
    return b;
}

/* 1 1 2 4 ... 64, 128: of 8 iterations. */
static void run_growing(mls_session *session, int times)
{
    *(float *) mls_session_input_data(session, 0) = 1;
    for (int i = 0; i < times; i++)
        ck_assert_ok(mls_session_run(session));
}

/* Also where the body is planned anew, as its dims grow. */
START_TEST(steps_of_bodies_count_iterations)
{
    mls_session *session = open_session(growing(), MLS_SESSION_PROFILE);
    ck_assert_uint_eq(mls_session_step_count(session), 1);
    run_growing(session, 3);
    const mls_step_info loop = find(session, "Loop"), sum = find(session, "ReduceSum");
    const mls_step_info softmax = find(session, "Softmax");
    ck_assert_str_eq(loop.node, "grow");
    ck_assert_str_eq(loop.kernel, "");
    ck_assert_uint_eq(loop.runs, 3);
    ck_assert_uint_eq(sum.runs, 24);
    ck_assert_str_ne(sum.kernel, "");
    ck_assert_uint_eq(softmax.runs, 3);
    mls_session_free(session);
}
END_TEST

/* A Loop has what its body's steps do not account for: planning them, above all. */
START_TEST(time_counts_once)
{
    mls_session *session = open_session(growing(), MLS_SESSION_PROFILE);
    struct timespec before, after;
    uint64_t sum = 0;
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    run_growing(session, 20);
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    const uint64_t all =
        (uint64_t) ((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
    for (size_t i = 0; i < mls_session_step_count(session); i++) {
        mls_step_info info = MLS_STEP_INFO_INIT;
        ck_assert_ok(mls_session_step_info(session, i, &info));
        sum += info.time_ns;
    }
    ck_assert_uint_gt(find(session, "Loop").time_ns, 0);
    ck_assert_uint_gt(find(session, "ReduceSum").time_ns, 0);
    ck_assert_uint_le(sum, all);
    mls_session_free(session);
}
END_TEST

START_TEST(without_the_flag_nothing_is_measured)
{
    mls_session *session = open_session(growing(), 0);
    run_growing(session, 1);
    ck_assert_uint_eq(find(session, "Loop").runs, 0);
    ck_assert_uint_eq(find(session, "ReduceSum").runs, 0);
    ck_assert_uint_eq(find(session, "ReduceSum").time_ns, 0);
    mls_session_free(session);
}
END_TEST

/* y = cond ? x + x : -x */
static onnx_build *choosing(void)
{
    onnx_build *b = onnx_build_create(17), *yes = onnx_build_create(17);
    onnx_build *no = onnx_build_create(17);
    onnx_build_input(b, "cond", MLS_BOOL, "");
    onnx_build_input(b, "x", MLS_FLOAT32, "");
    onnx_build_node(yes, "Add", "x x", "sum");
    onnx_build_output(yes, "sum", MLS_FLOAT32, "");
    onnx_build_node(no, "Neg", "x", "less");
    onnx_build_output(no, "less", MLS_FLOAT32, "");
    onnx_node *node = onnx_build_node(b, "If", "cond", "y");
    onnx_node_body(node, "then_branch", yes);
    onnx_node_body(node, "else_branch", no);
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    return b;
}

START_TEST(a_branch_that_no_run_took_has_no_steps)
{
    mls_step_info info = MLS_STEP_INFO_INIT;
    mls_session *session = open_session(choosing(), MLS_SESSION_PROFILE);
    *(uint8_t *) mls_session_input_data(session, 0) = 1;
    ck_assert_ok(mls_session_run(session));
    ck_assert(has(session, "Add"));
    ck_assert(!has(session, "Neg"));
    *(uint8_t *) mls_session_input_data(session, 0) = 0;
    for (int i = 0; i < 2; i++)
        ck_assert_ok(mls_session_run(session));
    ck_assert_uint_eq(find(session, "If").runs, 3);
    ck_assert_uint_eq(find(session, "Add").runs, 1);
    ck_assert_uint_eq(find(session, "Neg").runs, 2);
    ck_assert_uint_eq(mls_session_step_count(session), 3);
    ck_assert_fails(mls_session_step_info(session, 3, &info), MLS_EINVAL, "the plan has 3");
    ck_assert_fails(mls_session_step_info(session, SIZE_MAX, &info), MLS_EINVAL, "the plan has 3");
    mls_session_free(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flow_steps");
    TCase *tests = tcase_create("flow_steps");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, steps_of_bodies_count_iterations);
    tcase_add_test(tests, time_counts_once);
    tcase_add_test(tests, without_the_flag_nothing_is_measured);
    tcase_add_test(tests, a_branch_that_no_run_took_has_no_steps);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
