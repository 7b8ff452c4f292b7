/* SPDX-License-Identifier: Apache-2.0 */
/* Workers of job types, and services that change theirs while they run. */
#include "job/fixture.h"
#include "job/gate.h"
#include "support/folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mls_queue *queue;
static mls_context *context; /* for types: any will do */
static gate barrier = GATE_INIT;
static atomic_uint runs, batched;

static void setup(void)
{
    queue = fixture_queue("memory:");
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_queue_close(queue);
    mls_context_free(context);
}

static mls_status run_c(void *slot, mls_job *job)
{
    atomic_fetch_add(&runs, 1);
    return mls_job_set_result(job, slot, strlen(slot));
}

static mls_status run_batch_c(void *slot, mls_job *const *jobs, size_t count)
{
    atomic_fetch_add(&batched, 1);
    for (size_t i = 0; i < count; i++)
        run_c(slot, jobs[i]);
    return MLS_OK;
}

static mls_status run_past_gate(void *slot, mls_job *job)
{
    gate_pass(&barrier);
    ck_assert_uint_eq(mls_job_stop_reasons(job) & MLS_STOP_WORKER, 0);
    return run_c(slot, job);
}

static mls_status run_until_lost(void *slot, mls_job *job)
{
    gate_pass(&barrier);
    while (!(mls_job_stop_reasons(job) & MLS_STOP_LOST))
        ;
    return run_c(slot, job);
}

static char names[][2] = {"1", "2", "g", "l", "m"};
static const mls_handler registered[] = {
    {.size = sizeof(mls_handler), .type = "one", .user = names[0], .run = run_c},
    {.size = sizeof(mls_handler), .type = "two", .user = names[1], .run = run_c},
    {.size = sizeof(mls_handler), .type = "gate", .user = names[2], .run = run_past_gate},
    {.size = sizeof(mls_handler), .type = "lost", .user = names[3], .run = run_until_lost},
    {.size = sizeof(mls_handler), .type = "many", .user = names[4], .run_batch = run_batch_c},
};
static const mls_handler *const handlers[] = {&registered[0], &registered[1], &registered[2],
                                              &registered[3], &registered[4]};

static mls_job_types *parse(const char *text)
{
    mls_job_types *types;
    ck_assert_ok(mls_job_types_parse(context, "t.yaml", text, strlen(text), &types));
    return types;
}

static mls_service *start(const char *text, uint32_t slots)
{
    mls_service *service;
    mls_service_options options = MLS_SERVICE_OPTIONS_INIT;
    options.name = "s1";
    options.slots = slots;
    options.handlers = handlers;
    options.handler_count = sizeof handlers / sizeof handlers[0];
    ck_assert_ok(mls_service_start(queue, parse(text), &options, &service));
    return service;
}

static mls_worker_stats stats_of(const mls_service *service)
{
    mls_worker_stats stats = MLS_WORKER_STATS_INIT;
    ck_assert_ok(mls_service_get_stats(service, &stats));
    return stats;
}

/* The job ended well, with this result. */
static void expect(uint64_t id, const char *result)
{
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(queue, id);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_uint_eq(size, strlen(result));
    ck_assert_mem_eq(data, result, size);
    mls_job_free(job);
}

static uint64_t submit(const char *type, const char *payload)
{
    const mls_job_options options = fixture_options(type, payload);
    return fixture_submit(queue, &options);
}

START_TEST(types_name_handlers_of_the_host)
{
    mls_service *service = start("job-types:\n"
                                 "- {name: a, handler: {c: one}}\n"
                                 "- {name: b, handler: {c: two}}\n"
                                 "- {name: c, handler: {command: [cat]}}\n",
                                 2);
    expect(submit("a", NULL), "1");
    expect(submit("b", NULL), "2");
    expect(submit("c", "words"), "words");
    mls_job *job = fixture_wait(queue, submit("a", NULL));
    ck_assert_str_eq(fixture_info(job).owner, "s1");
    mls_job_free(job);
    ck_assert_ok(mls_service_stop(service, 0, -1));
    ck_assert_uint_eq(stats_of(service).succeeded, 4);
    mls_service_free(service);
}
END_TEST

START_TEST(types_change_while_jobs_run)
{
    mls_service *service = start("job-types: [{name: a, handler: {c: gate}}]", 1);
    const uint64_t before = submit("a", NULL);
    gate_await(&barrier, 1);
    ck_assert_ok(mls_service_reload(service, parse("job-types: [{name: a, handler: {c: two}},"
                                                   "{name: new, handler: {c: one}}]")));
    expect(submit("a", NULL), "2"); /* the first one still runs, as it began */
    expect(submit("new", NULL), "1");
    ck_assert_int_eq(fixture_state(queue, before), MLS_JOB_RUNNING);
    gate_open(&barrier);
    expect(before, "g");
    ck_assert_ok(mls_service_reload(service, parse("job-types: [{name: a, handler: {c: one}}]")));
    expect(submit("a", NULL), "1");
    ck_assert_ok(mls_service_stop(service, 0, -1));
    ck_assert_uint_eq(stats_of(service).succeeded, 4);
    mls_job_types *late = parse("job-types: [{name: a, handler: {c: two}}]");
    ck_assert_fails(mls_service_reload(service, late), MLS_ESTATE, "stopped");
    mls_job_types_free(late);
    mls_service_free(service);
}
END_TEST

static void count_offer(void *user, const mls_queue_offer *offer)
{
    (void) offer;
    ++*(unsigned *) user;
}

/* What runs of before a change takes of the capacity until it ends. */
START_TEST(a_change_makes_no_room)
{
    const mls_resources capacity = {.cpu_milli = 1000};
    mls_service *service;
    mls_service_options options = MLS_SERVICE_OPTIONS_INIT;
    options.slots = 2;
    options.handlers = handlers;
    options.handler_count = sizeof handlers / sizeof handlers[0];
    options.capacity = &capacity;
    ck_assert_ok(mls_service_start(queue, parse("job-types: [{name: a, handler: {c: gate}}]"),
                                   &options, &service));
    mls_job_options job = fixture_options("a", NULL);
    job.needs.cpu_milli = 700;
    const uint64_t old = fixture_submit(queue, &job);
    gate_await(&barrier, 1);
    for (int i = 0; i < 2; i++) /* the second one shares with the first, through the one between */
        ck_assert_ok(mls_service_reload(
            service, parse("job-types: [{name: a, handler: {c: two}, queue: default},"
                           "{name: free, handler: {c: one}}]")));
    const uint64_t large = fixture_submit(queue, &job);
    job.needs.cpu_milli = 300;
    expect(fixture_submit(queue, &job), "2"); /* beside the old one */
    unsigned offers = 0;
    ck_assert_ok(mls_queue_visit_offers(queue, count_offer, &offers));
    ck_assert_uint_eq(offers, 1);
    expect(submit("free", NULL), "1");
    ck_assert_int_eq(fixture_state(queue, large), MLS_JOB_READY);
    gate_open(&barrier);
    expect(old, "g");
    expect(large, "2");
    mls_service_free(service);
}
END_TEST

START_TEST(a_bad_change_changes_nothing)
{
    static const char *const bad[][2] = {
        {"job-types: [{name: a, handler: {c: none}}]", "t.yaml:1:33: type 'a': no handler 'none'"},
        {"job-types:\n- {name: a, handler: {c: two}}\n- {name: m, handler: {score: no.onnx}}",
         "t.yaml:3:23: type 'm': there is no file"},
    };
    mls_service *service = start("job-types: [{name: a, handler: {c: one}}]", 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mls_job_types *types = parse(bad[i][0]);
        const mls_status status = mls_service_reload(service, types);
        ck_assert_int_ne(status, MLS_OK);
        ck_assert_ptr_nonnull(strstr(mls_error_message(), bad[i][1]));
        mls_job_types_free(types);
        expect(submit("a", NULL), "1");
    }
    mls_service_free(service);
}
END_TEST

START_TEST(jobs_go_back_when_time_is_over)
{
    mls_service *service = start("job-types: [{name: a, handler: {c: lost}}]", 1);
    const uint64_t old = submit("a", NULL);
    gate_await(&barrier, 1);
    ck_assert_ok(mls_service_reload(service, parse("job-types: [{name: a, handler: {c: lost}}]")));
    const uint64_t now = submit("a", NULL);
    gate_await(&barrier, 2);
    gate_open(&barrier);
    ck_assert_fails(mls_service_stop(service, 0, 0), MLS_ETIMEDOUT, "given back");
    ck_assert_ok(mls_service_stop(service, 0, -1));
    ck_assert_int_eq(fixture_state(queue, old), MLS_JOB_READY);
    ck_assert_int_eq(fixture_state(queue, now), MLS_JOB_READY);
    ck_assert_uint_eq(stats_of(service).stale, 2);
    mls_service_free(service);
}
END_TEST

/* Programs are ended with the claim: nothing waits for them. */
START_TEST(programs_end_when_time_is_over)
{
    const char *begun = mls_test_folder_path("begun");
    char types[300];
    ck_assert_int_eq(mkfifo(begun, 0600), 0);
    snprintf(types, sizeof types,
             "job-types: [{name: a, handler: {command: [sh, -c, '>%s; exec sleep 1000']}}]", begun);
    mls_service *service = start(types, 1);
    const uint64_t id = submit("a", NULL);
    close(open(begun, O_RDONLY)); /* waits for the program to open it */
    ck_assert_fails(mls_service_stop(service, 0, 0), MLS_ETIMEDOUT, "given back");
    mls_service_free(service);
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_READY);
}
END_TEST

/* Else a program that failed would count as one that did well. */
START_TEST(hosts_may_ignore_their_children)
{
    signal(SIGCHLD, SIG_IGN);
    mls_service *service = start("job-types: [{name: a, handler: {command: ['false']}}]", 1);
    const uint64_t id = submit("a", NULL);
    mls_job *job = fixture_wait(queue, id);
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EHANDLER, "ignores SIGCHLD");
    mls_job_free(job);
    mls_service_free(service);
    signal(SIGCHLD, SIG_DFL);
}
END_TEST

START_TEST(programs_ignore_no_signals)
{
    signal(SIGHUP, SIG_IGN); /* as nohup does */
    mls_service *service =
        start("job-types: [{name: a, handler: {command: [sh, -c, 'kill -HUP $$']}}]", 1);
    const uint64_t id = submit("a", NULL);
    mls_job *job = fixture_wait(queue, id);
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EHANDLER, "killed by signal 1");
    mls_job_free(job);
    mls_service_free(service);
    signal(SIGHUP, SIG_DFL);
}
END_TEST

START_TEST(draining_runs_what_is_ready)
{
    for (int i = 0; i < 10; i++)
        submit("a", NULL);
    mls_service *service = start("job-types: [{name: a, handler: {c: many}, "
                                 "batch: {size: 10, wait: 1ms}}]",
                                 1);
    ck_assert_ok(mls_service_stop(service, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 10);
    ck_assert_uint_eq(batched, 1); /* the batch's size is the file's */
    mls_service_free(service);
}
END_TEST

/* A payload may say that it has more numbers than there are bytes in it. */
START_TEST(payloads_cannot_ask_for_memory)
{
    const char *top = getenv("abs_top_srcdir");
    char text[4096], payload[2200] = "";
    snprintf(text, sizeof text,
             "job-types: [{name: m, handler: {score: "
             "%s/examples/models/volatility_mlp.onnx}}]",
             top ? top : "..");
    mls_model *model;
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    mls_job_types *types = parse(text);
    mls_job_types_free(types);
    snprintf(payload, sizeof payload, "%s/examples/models/volatility_mlp.onnx", top ? top : "..");
    ck_assert_ok(mls_model_load(context, payload, NULL, &model));
    ck_assert_ok(mls_model_input(model, 0, &value));
    char *at = payload + sprintf(payload, "{\"%.100s\": ", value.name);
    for (int depth = 0; depth < 8; depth++)
        *at++ = '[';
    *at++ = '0';
    for (int depth = 0; depth < 8; depth++) {
        for (int i = 0; i < 120; i++)
            at = stpcpy(at, ",1");
        *at++ = ']';
    }
    stpcpy(at, "}");
    mls_service *service = start(text, 1);
    mls_job *job = fixture_wait(queue, submit("m", payload));
    ck_assert_int_eq(fixture_info(job).error, MLS_EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture_info(job).error_message, "lists of equal length"));
    mls_job_free(job);
    mls_service_free(service);
    mls_model_free(model);
}
END_TEST

START_TEST(arguments_are_checked)
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    mls_job_types *types = parse("job-types: [{name: a, handler: {c: one}}]");
    mls_service *service;
    options.flags = MLS_WORKER_POLLED;
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_fails(mls_worker_add_types(worker, types, NULL), MLS_EUNSUPPORTED, "threads");
    mls_worker_free(worker);
    ck_assert_ok(mls_worker_create(queue, NULL, &worker));
    ck_assert_fails(mls_worker_add_types(worker, types, NULL), MLS_EINVAL, "no handler 'one'");
    mls_worker_free(worker);
    mls_service_options bad = MLS_SERVICE_OPTIONS_INIT;
    bad.slots = 0;
    ck_assert_fails(mls_service_start(queue, types, &bad, &service), MLS_EINVAL, "slots");
    bad.slots = 1;
    bad.handler_count = 1;
    ck_assert_fails(mls_service_start(queue, types, &bad, &service), MLS_EINVAL, "handlers");
    mls_job_types_free(types);
    service = start("job-types: [{name: a, handler: {c: one}}]", 1);
    ck_assert_fails(mls_service_stop(service, 2, 0), MLS_EINVAL, "flags");
    expect(submit("a", NULL), "1"); /* it goes on */
    mls_service_free(service);
    mls_service_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job_types/service");
    TCase *tests = tcase_create("service");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, types_name_handlers_of_the_host);
    tcase_add_test(tests, types_change_while_jobs_run);
    tcase_add_test(tests, a_change_makes_no_room);
    tcase_add_test(tests, a_bad_change_changes_nothing);
    tcase_add_test(tests, jobs_go_back_when_time_is_over);
    tcase_add_test(tests, programs_end_when_time_is_over);
    tcase_add_test(tests, hosts_may_ignore_their_children);
    tcase_add_test(tests, programs_ignore_no_signals);
    tcase_add_test(tests, draining_runs_what_is_ready);
    tcase_add_test(tests, payloads_cannot_ask_for_memory);
    tcase_add_test(tests, arguments_are_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
