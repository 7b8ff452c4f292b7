/* SPDX-License-Identifier: Apache-2.0 */
/* What cannot be submitted or opened is refused, with a message that names the field. */
#include "job/fixture.h"

#include <string.h>

static mls_queue *queue;

static void setup(void)
{
    queue = fixture_queue("memory:?capacity=100");
}

static void teardown(void)
{
    mls_queue_close(queue);
}

static void expect_refused(const mls_job_options *options, mls_status code, const char *words)
{
    uint64_t id = 12345;
    ck_assert_fails(mls_queue_submit(queue, options, &id), code, words);
    ck_assert_uint_eq(id, 12345);
    ck_assert_uint_eq(fixture_stats(queue).submitted, 0);
}

START_TEST(names_are_checked)
{
    char longest[MLS_JOB_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[MLS_JOB_NAME_MAX + 1] = '\0';
    const char *const bad[] = {"", "a b", "tab\t", "\xc3\xa9", "semi;colon", longest};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mls_job_options options = fixture_options(bad[i], NULL);
        expect_refused(&options, MLS_EINVAL, "mls_job_options.type");
        options.type = "good";
        options.queue = bad[i];
        expect_refused(&options, MLS_EINVAL, "mls_job_options.queue");
    }
    const mls_job_options none = fixture_options(NULL, NULL);
    expect_refused(&none, MLS_EINVAL, "type is NULL");
    longest[MLS_JOB_NAME_MAX] = '\0';
    fixture_submit_type(queue, longest);
    fixture_submit_type(queue, "Az09._:/-");
}
END_TEST

START_TEST(texts_are_checked)
{
    char longest[MLS_JOB_KEY_MAX + 2];
    memset(longest, 'k', sizeof longest);
    longest[MLS_JOB_KEY_MAX + 1] = '\0';
    const char *const bad[] = {longest, "line\n", "\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.key = bad[i];
        expect_refused(&options, MLS_EINVAL, "mls_job_options.key");
        options.key = NULL;
        options.tenant = bad[i];
        expect_refused(&options, MLS_EINVAL, "mls_job_options.tenant");
        options.tenant = NULL;
        options.batch_key = bad[i];
        expect_refused(&options, MLS_EINVAL, "mls_job_options.batch_key");
    }
    longest[MLS_JOB_KEY_MAX] = '\0';
    mls_job_options options = fixture_options("t", NULL);
    options.key = options.tenant = options.batch_key = longest;
    fixture_submit(queue, &options);
}
END_TEST

START_TEST(numbers_are_checked)
{
    const mls_job_options good = fixture_options("t", NULL);
    mls_job_options options = good;
    options.priority = 10;
    expect_refused(&options, MLS_EINVAL, "priority is 10; 0 to 9");
    options.priority = -1;
    expect_refused(&options, MLS_EINVAL, "priority is -1");
    options = good;
    options.ack = 4;
    expect_refused(&options, MLS_EINVAL, "ack");
    options = good;
    options.run_at_ms = -1;
    expect_refused(&options, MLS_EINVAL, "run_at_ms");
    options = good;
    options.delay_ms = INT64_MAX;
    expect_refused(&options, MLS_EINVAL, "delay_ms");
    options = good;
    options.deadline_ms = INT64_MAX;
    expect_refused(&options, MLS_EINVAL, "deadline_ms");
    options = good;
    options.max_attempts = 0;
    expect_refused(&options, MLS_EINVAL, "max_attempts is 0");
    options.max_attempts = 1000001;
    expect_refused(&options, MLS_EINVAL, "max_attempts");
    options = good;
    options.jitter_percent = 101;
    expect_refused(&options, MLS_EINVAL, "jitter_percent");
    options = good;
    options.retention_ms = -2;
    expect_refused(&options, MLS_EINVAL, "retention_ms");
    options = good;
    options.flags = UINT64_C(1) << 40;
    expect_refused(&options, MLS_EINVAL, "flags");
    options = good;
    options.size = 8;
    expect_refused(&options, MLS_EINVAL, "mls_job_options.size");
}
END_TEST

static void never(void *user, void *data, size_t size_bytes)
{
    (void) data;
    (void) size_bytes;
    ++*(int *) user;
}

START_TEST(payload_is_checked)
{
    int freed = 0;
    mls_job_options options = fixture_options("t", NULL);
    options.payload_bytes = 1;
    expect_refused(&options, MLS_EINVAL, "payload is NULL");
    options.payload_bytes = 0;
    options.payload_free = never;
    expect_refused(&options, MLS_EINVAL, "payload is NULL");
    options.payload = "x";
    options.payload_user = &freed;
    options.payload_bytes = (UINT64_C(64) << 20) + 1;
    expect_refused(&options, MLS_ELIMIT, "67108865 bytes");
    ck_assert_int_eq(freed, 0);
}
END_TEST

START_TEST(missing_capabilities_are_named)
{
    mls_job_options options = fixture_options("t", NULL);
    options.ack = MLS_ACK_DURABLE;
    expect_refused(&options, MLS_EUNSUPPORTED, "durable acknowledgement");
    options.ack = MLS_ACK_ASYNC;
    expect_refused(&options, MLS_EUNSUPPORTED, "asynchronous acknowledgement");
}
END_TEST

START_TEST(parents_are_checked)
{
    const uint64_t unknown = 1, sibling = MLS_JOB_SIBLING(0);
    mls_job_options options = fixture_options("t", NULL);
    options.depends_on_count = 1;
    expect_refused(&options, MLS_EINVAL, "depends_on is NULL");
    options.depends_on = &unknown;
    expect_refused(&options, MLS_ENOTFOUND, "depends_on[0]: there is no job 1");
    options.depends_on = &sibling;
    expect_refused(&options, MLS_EINVAL, "MLS_JOB_SIBLING(0), in job 0");
}
END_TEST

START_TEST(null_is_refused)
{
    uint64_t id;
    mls_job *job;
    const mls_job_options options = fixture_options("t", NULL);
    ck_assert_fails(mls_queue_submit(NULL, &options, &id), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_submit(queue, NULL, &id), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_submit_many(queue, NULL, 1, &id), MLS_EINVAL, "NULL");
    ck_assert_ok(mls_queue_submit_many(queue, NULL, 0, NULL));
    ck_assert_fails(mls_queue_get(queue, 1, NULL), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_get(NULL, 1, &job), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_wait(NULL, 1, 0, NULL), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_cancel(NULL, 1), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_requeue(NULL, 1), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_forget(NULL, 1), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_drain(NULL, 0), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_get_stats(queue, NULL, NULL), MLS_EINVAL, "NULL");
    ck_assert_uint_eq(mls_queue_capabilities(NULL), 0);
    mls_queue_close(NULL);
    mls_claimer_close(NULL);
    mls_claimer_stop(NULL, 0);
    mls_job_free(NULL);
}
END_TEST

START_TEST(id_is_optional)
{
    const mls_job_options options = fixture_options("t", NULL);
    ck_assert_ok(mls_queue_submit(queue, &options, NULL));
    ck_assert_ok(mls_queue_submit_many(queue, &options, 1, NULL));
    ck_assert_uint_eq(fixture_stats(queue).submitted, 2);
}
END_TEST

START_TEST(many_are_submitted_together_or_not)
{
    mls_job_options jobs[3] = {fixture_options("a", NULL), fixture_options("b", NULL),
                               fixture_options("c d", NULL)};
    uint64_t ids[3] = {7, 7, 7};
    ck_assert_fails(mls_queue_submit_many(queue, jobs, 3, ids), MLS_EINVAL, "job 2");
    ck_assert_uint_eq(ids[0], 7);
    jobs[2].type = "c";
    jobs[1].size = sizeof jobs[1] + 8;
    ck_assert_fails(mls_queue_submit_many(queue, jobs, 3, ids), MLS_EINVAL, "job 1");
    ck_assert_uint_eq(fixture_stats(queue).submitted, 0);
    jobs[1].size = sizeof jobs[1];
    ck_assert_ok(mls_queue_submit_many(queue, jobs, 3, ids));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(fixture_state(queue, ids[i]), MLS_JOB_READY);
}
END_TEST

/* As a host that was compiled with a later, longer struct would pass them. */
START_TEST(longer_structs_are_stepped_over)
{
    struct longer {
        mls_job_options options;
        uint64_t later[3];
    } jobs[3];
    memset(jobs, 0, sizeof jobs);
    for (int i = 0; i < 3; i++) {
        jobs[i].options = fixture_options(i == 1 ? "odd" : "even", NULL);
        jobs[i].options.size = sizeof jobs[i];
    }
    uint64_t ids[3];
    ck_assert_ok(mls_queue_submit_many(queue, &jobs[0].options, 3, ids));
    mls_claimer *claimer = fixture_claimer(queue, "odd");
    fixture_complete(claimer, ids[1], NULL);
    fixture_claim_none(claimer);
    mls_claimer_close(claimer);
    jobs[1].later[2] = 1;
    ck_assert_fails(mls_queue_submit_many(queue, &jobs[0].options, 3, ids), MLS_EINVAL,
                    "does not know");
}
END_TEST

START_TEST(urls_are_checked)
{
    mls_context *context;
    mls_queue *q = NULL;
    ck_assert_ok(mls_context_create(NULL, &context));
    static const struct {
        const char *url;
        mls_status code;
        const char *words;
    } cases[] = {
        {"memory", MLS_EINVAL, "no scheme"},
        {":x", MLS_EINVAL, "no scheme"},
        {"", MLS_EINVAL, "no scheme"},
        {"mem:", MLS_ENOTFOUND, "there are: memory"},
        {"cpu:", MLS_ENOTFOUND, "there is no queue driver 'cpu'"},
        {"memory:path", MLS_EINVAL, "no path"},
        {"memory:?size=3", MLS_EINVAL, "no option 'size=3'"},
        {"memory:?capacity=", MLS_EINVAL, "capacity"},
        {"memory:?capacity=0", MLS_EINVAL, "capacity is 0"},
        {"memory:?capacity=-1", MLS_EINVAL, "capacity '-1'"},
        {"memory:?capacity=16777216", MLS_EINVAL, "capacity"},
        {"memory:?capacity=99999999999999999999999", MLS_EINVAL, "capacity"},
        {"memory:?capacity=5x", MLS_EINVAL, "capacity '5x'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_fails(mls_queue_open(context, cases[i].url, NULL, &q), cases[i].code,
                        cases[i].words);
    ck_assert_ptr_null(q);
    ck_assert_ok(mls_queue_open(context, "memory:?capacity=3&capacity=16777215", NULL, &q));
    ck_assert_uint_eq(fixture_stats(q).capacity, 16777215);
    mls_queue_close(q);
    ck_assert_ok(mls_queue_open(context, "memory:?", NULL, &q));
    ck_assert_uint_eq(fixture_stats(q).capacity, 65536);
    mls_queue_close(q);
    ck_assert_fails(mls_queue_open(context, NULL, NULL, &q), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_open(NULL, "memory:", NULL, &q), MLS_EINVAL, "NULL");
    mls_context_free(context);
}
END_TEST

START_TEST(options_of_open_are_honoured)
{
    mls_context *context;
    mls_queue *q = NULL;
    ck_assert_ok(mls_context_create(NULL, &context));
    mls_queue_options options = MLS_QUEUE_OPTIONS_INIT;
    options.require = MLS_QUEUE_CAN_KEYS | MLS_QUEUE_CAN_SHARE;
    ck_assert_fails(mls_queue_open(context, "memory:", &options, &q), MLS_EUNSUPPORTED,
                    "sharing between processes");
    options.require = UINT64_C(1) << 63;
    ck_assert_fails(mls_queue_open(context, "memory:", &options, &q), MLS_EUNSUPPORTED,
                    "0x8000000000000000");
    options.require = MLS_QUEUE_CAN_KEYS | MLS_QUEUE_CAN_BATCHES;
    options.retention_ms = -2;
    ck_assert_fails(mls_queue_open(context, "memory:", &options, &q), MLS_EINVAL, "retention_ms");
    options.retention_ms = 1234;
    options.max_payload_bytes = 10;
    ck_assert_ok(mls_queue_open(context, "memory:", &options, &q));
    mls_job_options job = fixture_options("t", "12345678901");
    ck_assert_fails(mls_queue_submit(q, &job, NULL), MLS_ELIMIT, "11 bytes");
    job.payload_bytes = 10;
    const uint64_t id = fixture_submit(q, &job);
    ck_assert_int_eq(fixture_look(q, id).retention_ms, 1234);
    ck_assert_uint_eq(mls_queue_capabilities(q) & MLS_QUEUE_CAN_KEYS, MLS_QUEUE_CAN_KEYS);
    mls_queue_close(q);
    mls_context_free(context);
}
END_TEST

START_TEST(jobs_can_be_kept_for_good)
{
    mls_context *context;
    mls_queue *q = NULL;
    ck_assert_ok(mls_context_create(NULL, &context));
    mls_queue_options options = MLS_QUEUE_OPTIONS_INIT;
    options.retention_ms = INT64_MAX;
    ck_assert_ok(mls_queue_open(context, "memory:", &options, &q));
    const uint64_t id = fixture_submit_type(q, "t");
    mls_claimer *claimer = fixture_claimer(q, NULL);
    fixture_complete(claimer, id, "kept");
    fixture_submit_type(q, "t"); /* what is due goes off with each call */
    ck_assert_int_eq(fixture_state(q, id), MLS_JOB_SUCCEEDED);
    ck_assert_int_gt(fixture_look(q, id).retention_ms, INT64_C(3000000000000));
    mls_claimer_close(claimer);
    mls_queue_close(q);
    mls_context_free(context);
}
END_TEST

START_TEST(claimers_are_checked)
{
    const char *const types[] = {"good", NULL, "b d"};
    mls_claimer *claimer = NULL;
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.type_count = 1;
    ck_assert_fails(mls_claimer_open(queue, &options, &claimer), MLS_EINVAL, "types is NULL");
    options.types = types;
    options.type_count = 2;
    ck_assert_fails(mls_claimer_open(queue, &options, &claimer), MLS_EINVAL, "types[1] is NULL");
    options.types = types + 2;
    options.type_count = 1;
    ck_assert_fails(mls_claimer_open(queue, &options, &claimer), MLS_EINVAL, "types[0]");
    options.type_count = 0;
    options.name = "bell\a";
    ck_assert_fails(mls_claimer_open(queue, &options, &claimer), MLS_EINVAL, "name");
    options.name = NULL;
    options.reserved = 1;
    ck_assert_fails(mls_claimer_open(queue, &options, &claimer), MLS_EINVAL, "reserved");
    ck_assert_ptr_null(claimer);
    ck_assert_ok(mls_claimer_open(queue, NULL, &claimer));
    mls_job *job;
    size_t count;
    ck_assert_fails(mls_claimer_claim(claimer, 0, 0, &job, &count), MLS_EINVAL, "max_count");
    mls_claimer_close(claimer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/submit");
    TCase *tests = tcase_create("submit");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, names_are_checked);
    tcase_add_test(tests, texts_are_checked);
    tcase_add_test(tests, numbers_are_checked);
    tcase_add_test(tests, payload_is_checked);
    tcase_add_test(tests, missing_capabilities_are_named);
    tcase_add_test(tests, parents_are_checked);
    tcase_add_test(tests, null_is_refused);
    tcase_add_test(tests, id_is_optional);
    tcase_add_test(tests, many_are_submitted_together_or_not);
    tcase_add_test(tests, longer_structs_are_stepped_over);
    tcase_add_test(tests, urls_are_checked);
    tcase_add_test(tests, options_of_open_are_honoured);
    tcase_add_test(tests, jobs_can_be_kept_for_good);
    tcase_add_test(tests, claimers_are_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
