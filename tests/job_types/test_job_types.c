/* SPDX-License-Identifier: Apache-2.0 */
/* Job types from a text: what a submit gets of them, every kind of fault, memory. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

static mls_status parse(const char *text, mls_job_types **ret_types)
{
    return mls_job_types_parse(context, "types/t.yaml", text, strlen(text), ret_types);
}

START_TEST(a_submit_gets_what_its_type_says)
{
    mls_job_types *types;
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    ck_assert_ok(parse("job-types:\n"
                       "  - name: a\n"
                       "    handler: {command: [cat]}\n"
                       "    queue: q\n"
                       "    priority: 7\n"
                       "    retries: {attempts: 3, backoff: 2s, backoff-max: 5m, jitter: 10}\n"
                       "    retention: 2h\n"
                       "    dependencies: any-end\n"
                       "    batch: {size: 4, wait: 10ms}\n"
                       "  - {name: b, handler: {c: thing}}\n",
                       &types));
    ck_assert_uint_eq(mls_job_types_count(types), 2);
    ck_assert_str_eq(mls_job_types_name(types, 1), "b");
    ck_assert_ptr_null(mls_job_types_name(types, 2));
    ck_assert_ok(mls_job_types_fill(types, "a", &job));
    ck_assert_str_eq(job.type, "a");
    ck_assert_str_eq(job.queue, "q");
    ck_assert_int_eq(job.priority, 7);
    ck_assert_uint_eq(job.max_attempts, 3);
    ck_assert_uint_eq(job.backoff_ms, 2000);
    ck_assert_uint_eq(job.backoff_max_ms, 300000);
    ck_assert_uint_eq(job.jitter_percent, 10);
    ck_assert_int_eq(job.retention_ms, 7200000);
    ck_assert_str_eq(job.batch_key, "a");
    ck_assert_uint_eq(job.flags, MLS_JOB_DEPENDS_ANY_END);
    const mls_job_options plain = MLS_JOB_OPTIONS_INIT;
    ck_assert_ok(mls_job_types_fill(types, "b", &job));
    ck_assert_ptr_null(job.queue);
    ck_assert_int_eq(job.priority, plain.priority);
    ck_assert_uint_eq(job.max_attempts, plain.max_attempts);
    ck_assert_uint_eq(job.backoff_ms, plain.backoff_ms);
    ck_assert_uint_eq(job.backoff_max_ms, plain.backoff_max_ms);
    ck_assert_int_eq(job.retention_ms, plain.retention_ms);
    ck_assert_ptr_null(job.batch_key);
    ck_assert_fails(mls_job_types_fill(types, "c", &job), MLS_ENOTFOUND, "no job type 'c'");
    mls_job_types_free(types);
    mls_job_types_free(NULL);
}
END_TEST

#define ONE "job-types:\n  - name: a\n    handler: {command: [x]}\n"

/* Each is refused, and the message begins like this. */
static const struct fault {
    const char *text, *message;
} faults[] = {
    {"", "types/t.yaml:1:1: the file is empty"},
    {"- a\n", "types/t.yaml:1:1: the file is a mapping"},
    {"job-types: x\n", "types/t.yaml:1:12: job-types is a list"},
    {"job-types: []\n", "types/t.yaml:1:12: there is no job type"},
    {"{}\n", "types/t.yaml:1:1: there is no list"},
    {"job-types: [\n", "types/t.yaml:2:1: "},
    {"\xff\n", "types/t.yaml:1:1: "},
    {"job-types: &a [*a]\n", "types/t.yaml:1:12: a job type is a mapping"},
    {"[x]: y\n", "types/t.yaml:1:1: this key is not a string"},
    {ONE "    colour: red\n", "types/t.yaml:4:5: unknown key 'colour'; there are name, version"},
    {ONE "    priorty: 1\n", "types/t.yaml:4:5: unknown key 'priorty'; did you mean 'priority'?"},
    {ONE "    name: b\n", "types/t.yaml:4:5: key 'name' is there twice"},
    {ONE "    priority: 10\n", "types/t.yaml:4:15: priority: 10 is out of range: 0 to 9"},
    {ONE "    priority: -1\n", "types/t.yaml:4:15: priority: '-1' is not a whole number"},
    {ONE "    priority: [1]\n", "types/t.yaml:4:15: priority is a single value"},
    {ONE "    version: 9223372036854775808\n", "types/t.yaml:4:14: version: "},
    {ONE "    retention: 99999999999999999d\n", "types/t.yaml:4:16: retention: "},
    {ONE "    retention: 5\n", "types/t.yaml:4:16: retention: '5' is not a time"},
    {ONE "    retries: 5\n", "types/t.yaml:4:14: retries is a mapping"},
    {ONE "    limits: {memory: 1X}\n", "types/t.yaml:4:22: memory: '1X' is not a size"},
    {ONE "    limits: {memory: 8}\n", "types/t.yaml:4:22: memory: 8 is out of range"},
    {ONE "    queue: \"a\\0b\"\n", "types/t.yaml:4:12: queue is a single value"},
    {ONE "    queue: ''\n", "types/t.yaml:4:12: queue is empty"},
    {ONE "    queue: a b\n", "types/t.yaml:4:12: queue: 'a b' is not a name"},
    {ONE "    schedule: x\n", "types/t.yaml:4:15: schedule is a mapping"},
    {ONE "    schedule: {cron: 0 25 * * *}\n",
     "types/t.yaml:4:22: cron: cron line '0 25 * * *', field 2 (hour), column 3: 0 to 23"},
    {ONE "    schedule: {cron: 0 0 31 2 *}\n", "types/t.yaml:4:22: cron: cron line '0 0 31 2 *'"},
    {ONE "    schedule: {cron: '@daily', zone: ../x}\n", "types/t.yaml:4:38: zone: '../x' is no"},
    {ONE "    schedule: {zone: UTC}\n", "types/t.yaml:4:5: type 'a': its schedule has no 'cron'"},
    {ONE "    schedule: {cron: '@daily', missed: x}\n", "types/t.yaml:4:32: type 'a': missed is "},
    {ONE "    batch: {run: each}\n", "types/t.yaml:4:13: type 'a': batch.run is nothing"},
    {"job-types: [{name: m, handler: {score: m}, batch: {run: x}}]",
     "types/t.yaml:1:52: type 'm': batch.run is 'each' or 'joined'"},
    {ONE "    dependencies: [x]\n", "types/t.yaml:4:19: dependencies is a single value"},
    {ONE "    dependencies: x\n", "types/t.yaml:4:5: type 'a': dependencies is 'success'"},
    {ONE "  - {name: a, handler: {c: y}}\n", "types/t.yaml:4:5: type 'a' is there already"},
    {"job-types: [{name: a}]\n", "types/t.yaml:1:13: type 'a': its handler has none of"},
    {"job-types: [{handler: {c: x}}]\n", "types/t.yaml:1:13: this job type has no name"},
    {"job-types: [{name: a, handler: {command: x}}]\n", "types/t.yaml:1:42: command is a list"},
    {"job-types: [{name: a, handler: {command: []}}]\n", "types/t.yaml:1:42: command is a list"},
    {"job-types: [{name: a, handler: {command: [[]]}}]\n", "types/t.yaml:1:43: command: this"},
    {"job-types: [{name: a, handler: {command: [x], environment: {a=b: c}}}]\n",
     "types/t.yaml:1:61: environment: this is not a name"},
    {"job-types: [{name: a, handler: {command: [x], environment: {a: [c]}}}]\n",
     "types/t.yaml:1:64: environment: the value of 'a'"},
    {"job-types: [{name: a, handler: {command: [x], inputs: {a: b}}}]\n",
     "types/t.yaml:1:47: type 'a': handler.inputs is nothing for its kind"},
    {"job-types: [{name: a, handler: {command: [x], c: y}}]\n",
     "types/t.yaml:1:23: type 'a': its handler has more than one of"},
    {"job-types: [{name: a, handler: {c: y, directory: z}}]\n",
     "types/t.yaml:1:39: type 'a': handler.directory is nothing for its kind"},
    {"job-types: [{name: a, handler: {c: y}, limits: {time: 1s}}]\n",
     "types/t.yaml:1:49: type 'a': limits.time is nothing for its kind"},
    {"job-types: [{name: a, handler: {container: x, engine: y}}]\n",
     "types/t.yaml:1:33: type 'a': engine is none of docker"},
    {ONE "    resources: {memory: 2G, escalate: [1G]}\n",
     "types/t.yaml:4:29: type 'a': resources.memory is what a job has at first"},
    {ONE "---\n" ONE, "types/t.yaml:4:1: a second document begins here"},
    {ONE "---\n[", "types/t.yaml:6:1: "},
};

START_TEST(faults_are_told_with_their_place)
{
    const struct fault *fault = &faults[_i];
    mls_job_types *types = NULL;
    ck_assert_fails(parse(fault->text, &types), MLS_EINVAL, fault->message);
    ck_assert_int_eq(strncmp(mls_error_message(), fault->message, strlen(fault->message)), 0);
    ck_assert_ptr_null(types);
}
END_TEST

/* A text with `head`, `count` times `item`, its number and `end`, and `tail`. */
static char *repeat(const char *head, const char *item, int count, const char *end,
                    const char *tail)
{
    const size_t each = strlen(item) + strlen(end) + 16;
    char *text = malloc(strlen(head) + (size_t) count * each + strlen(tail) + 1), *at = text;
    at += sprintf(at, "%s", head);
    for (int i = 0; i < count; i++)
        at += sprintf(at, "%s%d%s, ", item, i, end);
    sprintf(at, "%s", tail);
    return text;
}

static void check_bound(const char *head, const char *item, const char *end, const char *tail)
{
    const int most = 1000;
    mls_job_types *types;
    char *text = repeat(head, item, most, end, tail);
    ck_assert_ok(parse(text, &types));
    mls_job_types_free(types);
    free(text);
    text = repeat(head, item, most + 1, end, tail);
    ck_assert_fails(parse(text, &types), MLS_EINVAL, "at most 1000 are possible");
    free(text);
}

/* An alias costs a text nothing: what it stands for is bounded. */
START_TEST(lists_are_bounded)
{
    check_bound("job-types: [{name: a, handler: {command: [", "x", "", "]}}]");
    check_bound("job-types: [{name: a, handler: {command: [x], environment: {", "x", ": y", "}}}]");
    check_bound("job-types: [", "{handler: {c: y}, name: t", "}", "]");
}
END_TEST

START_TEST(files_are_read)
{
    char path[] = "/tmp/mls-types-XXXXXX";
    const int fd = mkstemp(path);
    const char text[] = ONE;
    mls_job_types *types;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    ck_assert_ok(mls_job_types_load(context, path, &types));
    ck_assert_str_eq(mls_job_types_name(types, 0), "a");
    mls_job_types_free(types);
    ck_assert_int_eq(ftruncate(fd, (1 << 20) + 1), 0);
    ck_assert_fails(mls_job_types_load(context, path, &types), MLS_EINVAL, "larger than 1048576");
    close(fd);
    unlink(path);
    ck_assert_fails(mls_job_types_load(context, path, &types), MLS_ENOTFOUND, path);
    ck_assert_fails(mls_job_types_load(context, "/", &types), MLS_EIO, "cannot read '/'");
    ck_assert_fails(mls_job_types_load(NULL, path, &types), MLS_EINVAL, "context");
}
END_TEST

/* libyaml's own memory is its own; ours is given back, whichever request is refused. */
static mls_status parse_in(mls_context *with, void *arg)
{
    mls_job_types *types;
    (void) arg;
    const char *text = "job-types: [{name: a, handler: {command: [x], environment: {a: b}}},"
                       "{name: b, handler: {score: m.onnx, inputs: {a: b}}}]";
    const mls_status status = mls_job_types_parse(with, "t", text, strlen(text), &types);
    if (!status)
        mls_job_types_free(types);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    mls_test_each_allocation(parse_in, NULL);
}
END_TEST

/* All schedules of a queue as text. */
static void note_schedule(void *user, const mls_schedule *s)
{
    char *text = user;
    snprintf(text + strlen(text), 400 - strlen(text), "%s:%s:%s:%u:%s:%s ", s->name, s->cron,
             s->zone, s->missed, s->source, s->job->type);
}

static mls_status schedule_all(mls_queue *queue, const char *text)
{
    mls_job_types *types;
    ck_assert_ok(parse(text, &types));
    const mls_status status = mls_job_types_schedule(types, queue);
    mls_job_types_free(types);
    return status;
}

static void expect_schedules(mls_queue *queue, const char *wanted)
{
    char text[400] = "";
    ck_assert_ok(mls_queue_visit_schedules(queue, note_schedule, text));
    ck_assert_str_eq(text, wanted);
}

START_TEST(schedules_follow_their_file)
{
    static const char both[] =
        "job-types:\n- {name: a, handler: {c: x}, schedule: {cron: '@daily'}}\n"
        "- {name: b, handler: {c: x}, schedule: {cron: 5 4 * * sun, zone: UTC, missed: all}}\n";
    static const char one[] =
        "job-types:\n- {name: a, handler: {c: x}, schedule: {cron: '@hourly', missed: once}}\n"
        "- {name: b, handler: {c: x}, dependencies: any-end}\n";
    const mls_job_options job = {
        .size = sizeof job, .type = "t", .max_attempts = 1, .priority = MLS_PRIORITY_DEFAULT};
    mls_queue *queue;
    ck_assert_ok(mls_queue_open(context, "memory:", NULL, &queue));
    mls_schedule foreign = MLS_SCHEDULE_INIT;
    foreign.name = "c";
    foreign.cron = "@weekly";
    foreign.job = &job;
    ck_assert_ok(mls_queue_schedule(queue, &foreign));
    ck_assert_ok(schedule_all(queue, both));
    expect_schedules(queue, "a:@daily:UTC:0:job-types:types/t.yaml:a "
                            "b:5 4 * * sun:UTC:2:job-types:types/t.yaml:b c:@weekly:UTC:0::t ");
    ck_assert_ok(schedule_all(queue, one));
    expect_schedules(queue, "a:@hourly:UTC:1:job-types:types/t.yaml:a c:@weekly:UTC:0::t ");
    foreign.name = "b";
    ck_assert_ok(mls_queue_schedule(queue, &foreign));
    ck_assert_fails(schedule_all(queue, both), MLS_EEXIST,
                    "types/t.yaml:3:30: type 'b': there is a schedule of this name");
    expect_schedules(queue, "a:@hourly:UTC:1:job-types:types/t.yaml:a b:@weekly:UTC:0::t "
                            "c:@weekly:UTC:0::t ");
    mls_queue_close(queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job_types/types");
    TCase *tests = tcase_create("types");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, schedules_follow_their_file);
    tcase_add_test(tests, a_submit_gets_what_its_type_says);
    tcase_add_loop_test(tests, faults_are_told_with_their_place, 0,
                        (int) (sizeof faults / sizeof faults[0]));
    tcase_add_test(tests, lists_are_bounded);
    tcase_add_test(tests, files_are_read);
    tcase_add_test(tests, memory_may_end_anywhere);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
