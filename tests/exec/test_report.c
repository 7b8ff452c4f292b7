/* SPDX-License-Identifier: Apache-2.0 */
/* The report on a plan: what it lists, and that its numbers are those of the plan. */
#include "exec/random_graph.h"
#include "support/onnx_build.h"
#include "support/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* --- what it lists --- */

typedef struct transcript {
    char text[4096];
    size_t used;
} transcript;

static void say(transcript *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->used += (size_t) vsnprintf(t->text + t->used, sizeof t->text - t->used, format, args);
    va_end(args);
    ck_assert_uint_lt(t->used, sizeof t->text);
}

static mls_status write_entry(void *user, const mls_plan_entry *entry)
{
    static const char *const kinds[] = {"block", "later", "input", "step", "known",
                                        "view",  "node",  "host",  "body"};
    static const char *const places[] = {"?", "block", "in place", "apart"};
    transcript *t = user;
    ck_assert_uint_eq(entry->size, sizeof *entry);
    say(t, "%*s%s", (int) entry->depth, "", kinds[entry->kind]);
    if (entry->op[0])
        say(t, " %s", entry->op);
    for (size_t i = 0; i < entry->value_count; i++)
        say(t, " %s:%s", entry->values[i].name, places[entry->values[i].place]);
    say(t, "\n");
    return MLS_OK;
}

static void check_report(mls_session *session, const char *expected)
{
    transcript t = {.used = 0};
    ck_assert_ok(mls_session_report(session, write_entry, &t));
    ck_assert_str_eq(t.text, expected);
}

/* Of each kind of node one: known from dims, in place, a view, a copy for an output. */
static onnx_build *mixed(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "2,6");
    onnx_build_ints(b, "dims", "2", (int64_t[]){3, 4});
    onnx_build_node(b, "Shape", "x", "shape");
    onnx_build_node(b, "Relu", "x", "a");
    onnx_build_node(b, "Reshape", "a dims", "b");
    onnx_build_node(b, "Relu", "b", "c");
    onnx_build_node(b, "Softmax", "c", "d");
    onnx_build_output(b, "d", MLS_FLOAT32, "3,4");
    onnx_build_output(b, "shape", MLS_INT64, "2");
    return b;
}

START_TEST(nodes_are_told_in_order)
{
    mls_session *session = open_session(mixed(), MLS_SESSION_NO_OPTIMIZE);
    check_report(session, "block\n"
                          "input x:block\n"
                          "known Shape shape:apart\n"
                          "step Relu a:block\n"
                          "view Reshape b:in place\n"
                          "step Relu c:in place\n"
                          "step Softmax d:in place\n"
                          "step Identity shape:block\n");
    mls_session_free(session);
}
END_TEST

START_TEST(without_reuse_nothing_is_in_place)
{
    mls_session *session = open_session(mixed(), MLS_SESSION_NO_OPTIMIZE | MLS_SESSION_NO_REUSE);
    check_report(session, "block\n"
                          "input x:block\n"
                          "known Shape shape:apart\n"
                          "step Relu a:block\n"
                          "view Reshape b:in place\n"
                          "step Relu c:block\n"
                          "step Softmax d:block\n"
                          "step Identity shape:block\n");
    mls_session_free(session);
}
END_TEST

/* y = cond ? x + x : -x, negated. */
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
    onnx_node *node = onnx_build_node(b, "If", "cond", "z");
    onnx_node_body(node, "then_branch", yes);
    onnx_node_body(node, "else_branch", no);
    onnx_build_node(b, "Neg", "z", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    return b;
}

START_TEST(bodies_are_planned_by_the_run)
{
    mls_session *session = open_session(choosing(), 0);
    check_report(session, "host If z:?\n"
                          "body then_branch\n"
                          " later\n"
                          " node Add sum:?\n"
                          "body else_branch\n"
                          " later\n"
                          " node Neg less:?\n"
                          "later\n"
                          "node Neg y:?\n");
    *(uint8_t *) mls_session_input_data(session, 0) = 1;
    *(float *) mls_session_input_data(session, 1) = 2;
    ck_assert_ok(mls_session_run(session));
    check_report(session, "host If z:?\n"
                          "body then_branch\n"
                          " block\n"
                          " input x:block\n"
                          " step Add sum:block\n"
                          "body else_branch\n"
                          " later\n"
                          " node Neg less:?\n"
                          "block\n"
                          "input z:block\n"
                          "step Neg y:block\n");
    mls_session_free(session);
}
END_TEST

/* --- its numbers --- */

typedef struct tally {
    const mls_session *session;
    size_t steps, block_bytes, unshared_bytes, most;
} tally;

static void check_within(tally *t, size_t offset, size_t bytes)
{
    ck_assert_uint_eq(offset % 64, 0);
    ck_assert_uint_le(offset + bytes, t->block_bytes);
    if (t->most < offset + bytes)
        t->most = offset + bytes;
}

static mls_status add_up(void *user, const mls_plan_entry *entry)
{
    tally *t = user;
    mls_step_info info = MLS_STEP_INFO_INIT;
    t->block_bytes += entry->block_bytes;
    t->unshared_bytes += entry->unshared_bytes;
    for (size_t i = 0; i < entry->value_count; i++) {
        const mls_plan_value *value = &entry->values[i];
        size_t bytes = mls_dtype_size((mls_dtype) value->dtype);
        for (int k = 0; k < value->rank; k++)
            bytes *= (size_t) value->dims[k];
        ck_assert_uint_eq(value->bytes, bytes);
        check_within(t, value->offset, value->bytes);
    }
    if (entry->kind != MLS_PLAN_STEP)
        return MLS_OK;
    check_within(t, entry->workspace_offset, entry->workspace_bytes);
    ck_assert_ok(mls_session_step_info(t->session, t->steps++, &info));
    ck_assert_str_eq(info.op, entry->op);
    ck_assert_str_eq(info.node, entry->node);
    ck_assert_str_eq(info.kernel, entry->kernel);
    return MLS_OK;
}

static tally add_up_all(mls_session *session)
{
    tally t = {.session = session};
    ck_assert_ok(mls_session_report(session, add_up, &t));
    ck_assert_uint_eq(t.steps, mls_session_step_count(session));
    ck_assert_uint_eq(t.block_bytes, mls_session_plan_bytes(session));
    ck_assert_uint_gt(t.most + 64, t.block_bytes); /* nothing at its end is left out */
    return t;
}

/* What it says of a plan without reuse is what such a plan takes. */
START_TEST(numbers_are_those_of_the_plan)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const int nodes = 4 + (int) (seed % 60);
        mls_session *shared = open_session(random_graph(seed, 3, nodes), 0);
        mls_session *apart = open_session(random_graph(seed, 3, nodes), MLS_SESSION_NO_REUSE);
        ck_assert_ok(mls_session_plan(shared));
        ck_assert_ok(mls_session_plan(apart));
        const tally s = add_up_all(shared), a = add_up_all(apart);
        ck_assert_uint_eq(a.unshared_bytes, a.block_bytes);
        ck_assert_uint_eq(s.unshared_bytes, a.block_bytes);
        mls_session_free(shared);
        mls_session_free(apart);
    }
}
END_TEST

/* --- how it ends --- */

static mls_status refuse_third(void *user, const mls_plan_entry *entry)
{
    (void) entry;
    return ++*(int *) user == 3 ? MLS_ELIMIT : MLS_OK;
}

START_TEST(a_visitor_ends_it)
{
    mls_session *plain = open_session(mixed(), 0), *flow = open_session(choosing(), 0);
    int calls = 0;
    ck_assert_int_eq(mls_session_report(plain, refuse_third, &calls), MLS_ELIMIT);
    ck_assert_int_eq(calls, 3);
    calls = 0;
    ck_assert_int_eq(mls_session_report(flow, refuse_third, &calls), MLS_ELIMIT);
    ck_assert_int_eq(calls, 3);
    ck_assert_fails(mls_session_report(plain, NULL, NULL), MLS_EINVAL, "visit");
    mls_session_free(plain);
    mls_session_free(flow);
}
END_TEST

static mls_status report_all(mls_context *other, void *arg)
{
    transcript t = {.used = 0};
    mls_model *model;
    mls_session *session;
    mls_status status = onnx_build_load(arg, other, 0, &model);
    if (status)
        return status;
    status = mls_session_create(model, NULL, &session);
    mls_model_free(model);
    if (status)
        return status;
    status = mls_session_report(session, write_entry, &t);
    mls_session_free(session);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    onnx_build *builds[] = {mixed(), choosing()};
    for (size_t i = 0; i < sizeof builds / sizeof builds[0]; i++) {
        mls_test_each_allocation(report_all, builds[i]);
        onnx_build_free(builds[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *tests = tcase_create("report");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nodes_are_told_in_order);
    tcase_add_test(tests, without_reuse_nothing_is_in_place);
    tcase_add_test(tests, bodies_are_planned_by_the_run);
    tcase_add_test(tests, numbers_are_those_of_the_plan);
    tcase_add_test(tests, a_visitor_ends_it);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
