/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the file of a sqlite queue when it is opened again. */
#include "job/fixture.h"
#include "job/queue.h"
#include "queue/sqlite_file.h"
#include "queue/sqlite_files.h"

#include <stdatomic.h>

START_TEST(jobs_outlive_the_queue)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const mls_job_options options = fixture_options("t", "payload");
    uint64_t ids[3];
    ids[0] = fixture_submit(queue, &options);
    fixture_complete(claimer, ids[0], "result");
    ids[1] = fixture_submit(queue, &options);
    fixture_fail(claimer, ids[1], MLS_ESHAPE, "as it was", MLS_FAIL_FINAL);
    ids[2] = fixture_submit(queue, &options);
    mls_claimer_close(claimer);
    mls_queue_close(queue);

    queue = fixture_queue(sqlite_file_url());
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(queue, ids[0]);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_uint_eq(size, 6);
    ck_assert_mem_eq(data, "result", 6);
    mls_job_free(job);
    job = fixture_wait(queue, ids[1]);
    ck_assert_str_eq(fixture_info(job).error_message, "as it was");
    ck_assert_str_eq(fixture_info(job).owner, "tester");
    mls_job_free(job);
    claimer = fixture_claimer(queue, NULL);
    fixture_complete(claimer, ids[2], NULL);
    ck_assert_uint_gt(fixture_submit(queue, &options), ids[2]);
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 2);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* A claim that nobody ends: a handle that is dropped, past what the interface allows. */
static void claim_and_drop(mls_queue *queue, mls_claimer *claimer)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    mls_queue_job shown = {.size = sizeof shown, .info = &info};
    mls_queue_job *const pointers[] = {&shown};
    const mls_queue_claim request = {.size = sizeof request, .max_count = 1};
    size_t count = 0;
    ck_assert_ok(
        queue->ops->claim(queue->self, claimer->self, &request, NULL, 0, pointers, &count));
    ck_assert_uint_eq(count, 1);
    queue->ops->drop(queue->self, &shown);
}

/* A handle that goes without an end is no death: its job is ready again, past a close too. */
START_TEST(dropped_claims_are_given_back)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    claim_and_drop(queue, claimer);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_ok(mls_job_release(job));
    mls_job_free(job);
    claim_and_drop(queue, claimer);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    queue = fixture_queue(sqlite_file_url());
    const mls_job_info info = fixture_look(queue, id);
    ck_assert_int_eq(info.state, MLS_JOB_READY);
    ck_assert_uint_eq(info.attempt, 0);
    ck_assert_uint_eq(info.deaths, 0);
    mls_queue_close(queue);
}
END_TEST

/* Weaker promises are still kept over a close. */
START_TEST(every_acknowledgement_is_kept)
{
    static const uint32_t acks[] = {MLS_ACK_RAM, MLS_ACK_ASYNC, MLS_ACK_DURABLE};
    uint64_t ids[3];
    mls_queue *queue = fixture_queue(sqlite_file_url());
    for (size_t i = 0; i < 3; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.ack = acks[i];
        ids[i] = fixture_submit(queue, &options);
    }
    mls_queue_close(queue);
    queue = fixture_queue(sqlite_file_url());
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(fixture_state(queue, ids[i]), MLS_JOB_READY);
    mls_queue_close(queue);
}
END_TEST

static void count_free(void *user, void *data, size_t size_bytes)
{
    (void) data;
    (void) size_bytes;
    atomic_fetch_add((atomic_uint *) user, 1);
}

/* Submits that nobody waits for come in their order, each once, and before what follows. */
START_TEST(unawaited_submits_lose_nothing)
{
    enum { JOBS = 10000 };
    static atomic_uint freed;
    static uint64_t ids[JOBS];
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (uint32_t i = 0; i < JOBS; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.ack = MLS_ACK_RAM;
        options.payload = i % 2 ? (const void *) "handed over" : &i;
        options.payload_bytes = i % 2 ? 11 : sizeof i;
        options.payload_free = i % 2 ? count_free : NULL;
        options.payload_user = &freed;
        ids[i] = fixture_submit(queue, &options);
        if (i % 1000 == 0)
            ck_assert_int_eq(fixture_state(queue, ids[i]), MLS_JOB_READY);
    }
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], JOBS);
    ck_assert_uint_eq(atomic_load(&freed), JOBS / 2);
    for (uint32_t i = 0; i < 100; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_uint_eq(mls_job_id(job), ids[i]);
        ck_assert_mem_eq(mls_job_payload(job, NULL), i % 2 ? (const void *) "hand" : &i, sizeof i);
        mls_job_free(job);
    }
    for (uint32_t i = 0; i < 50; i++)
        ids[i] = fixture_submit_type(queue, "t");
    mls_job_options options = fixture_options("t", NULL);
    options.ack = MLS_ACK_RAM;
    const uint64_t last = fixture_submit(queue, &options);
    for (uint32_t i = 0; i < JOBS; i++)
        ck_assert_uint_ne(ids[i], last);
    mls_claimer_close(claimer);
    mls_queue_close(queue); /* writes what is still on its way */
    queue = fixture_queue(sqlite_file_url());
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], JOBS + 51);
    mls_queue_close(queue);
}
END_TEST

START_TEST(pauses_stay)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    ck_assert_ok(mls_queue_pause(queue, NULL));
    fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    fixture_claim_none(claimer);
    ck_assert_ok(mls_queue_resume(queue, NULL));
    fixture_complete(claimer, 1, NULL);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* Who opens the file anew goes on with the turns, and knows of weights. */
START_TEST(turns_stay)
{
    const char *const expected = "ababaabaaba";
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.tenant = "a";
    rule.weight = 2 * MLS_WEIGHT_DEFAULT;
    mls_queue *queue = fixture_queue(sqlite_file_url());
    ck_assert_ok(mls_queue_weigh(queue, &rule));
    for (int i = 0; i < 16; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.tenant = i < 8 ? "a" : "b";
        fixture_submit(queue, &options);
    }
    mls_queue_close(queue);
    for (size_t i = 0; expected[i]; i++) {
        queue = fixture_queue(sqlite_file_url());
        mls_claimer *claimer = fixture_claimer(queue, NULL);
        mls_job *job = fixture_claim(claimer);
        ck_assert_int_eq(fixture_info(job).tenant[0], expected[i]);
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
        mls_claimer_close(claimer);
        mls_queue_close(queue);
    }
}
END_TEST

void sqlite_stays_add(TCase *tests)
{
    tcase_add_test(tests, jobs_outlive_the_queue);
    tcase_add_test(tests, dropped_claims_are_given_back);
    tcase_add_test(tests, every_acknowledgement_is_kept);
    tcase_add_test(tests, unawaited_submits_lose_nothing);
    tcase_add_test(tests, pauses_stay);
    tcase_add_test(tests, turns_stay);
}
