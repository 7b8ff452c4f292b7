/* SPDX-License-Identifier: Apache-2.0 */
/* What is submitted is what is claimed; what is reported is what is read. */
#include "conformance/queue/suite.h"

#include <stdlib.h>
#include <string.h>

START_TEST(a_job_runs_from_submit_to_result)
{
    const mls_job_options options = fixture_options("score", "rows 0-99");
    const uint64_t id = fixture_submit(the_queue, &options);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_READY);
    mls_job *job = fixture_claim(the_claimer);
    size_t size;
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_RUNNING);
    ck_assert_mem_eq(mls_job_payload(job, &size), "rows 0-99", 9);
    ck_assert_uint_eq(size, 9);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_RUNNING);
    ck_assert_ok(mls_job_set_result(job, "0.5", 3));
    ck_assert_ok(mls_job_complete(job));
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_SUCCEEDED);
    mls_job_free(job);

    const void *data;
    job = fixture_wait(the_queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_SUCCEEDED);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_uint_eq(size, 3);
    ck_assert_mem_eq(data, "0.5", 3);
    mls_job_free(job);
}
END_TEST

START_TEST(info_has_everything)
{
    mls_job_options options = fixture_options("score", "payload");
    options.tenant = "desk \xc3\xa9";
    options.retention_ms = 123456;
    options.backoff_ms = 11;
    options.backoff_max_ms = 22;
    options.jitter_percent = 33;
    options.key = conformance_can(MLS_QUEUE_CAN_KEYS) ? "key 1" : NULL;
    options.batch_key = conformance_can(MLS_QUEUE_CAN_BATCHES) ? "batch 1" : NULL;
    options.queue = conformance_can(MLS_QUEUE_CAN_NAMED_QUEUES) ? "gpu" : NULL;
    options.priority = conformance_can(MLS_QUEUE_CAN_PRIORITIES) ? 7 : MLS_PRIORITY_DEFAULT;
    options.max_attempts = conformance_can(MLS_QUEUE_CAN_RETRIES) ? 5 : 1;
    const int64_t deadline_ms = conformance_wall_ms() + 3600000;
    options.deadline_ms = conformance_can(MLS_QUEUE_CAN_DEADLINES) ? deadline_ms : 0;
    const int64_t before_ms = conformance_wall_ms();
    const uint64_t id = fixture_submit(the_queue, &options);

    mls_job *job = fixture_claim(the_claimer);
    const int64_t after_ms = conformance_wall_ms();
    mls_job_info info = fixture_info(job);
    ck_assert_uint_eq(info.id, id);
    ck_assert_uint_eq(info.epoch, 1);
    ck_assert_str_eq(info.type, "score");
    ck_assert_str_eq(info.queue, options.queue ? "gpu" : "default");
    ck_assert_str_eq(info.tenant, "desk \xc3\xa9");
    ck_assert_str_eq(info.key, options.key ? options.key : "");
    ck_assert_str_eq(info.batch_key, options.batch_key ? options.batch_key : "");
    ck_assert_str_eq(info.owner, "tester");
    ck_assert_int_eq(info.priority, options.priority);
    ck_assert_uint_eq(info.attempt, 1);
    ck_assert_uint_eq(info.max_attempts, options.max_attempts);
    ck_assert_uint_eq(info.deaths, 0);
    ck_assert_uint_eq(info.backoff_ms, 11);
    ck_assert_uint_eq(info.backoff_max_ms, 22);
    ck_assert_uint_eq(info.jitter_percent, 33);
    ck_assert_int_eq(info.retention_ms, 123456);
    ck_assert_int_eq(info.deadline_ms, options.deadline_ms);
    ck_assert(info.submitted_ms >= before_ms - 2 && info.submitted_ms <= after_ms + 2);
    ck_assert(info.claimed_ms >= info.submitted_ms - 2 && info.claimed_ms <= after_ms + 2);
    ck_assert_int_eq(info.ended_ms, 0);
    ck_assert_int_eq(info.error, MLS_OK);
    ck_assert_str_eq(info.error_message, "");
    ck_assert_str_eq(info.progress_note, "");
    ck_assert_ptr_null(info.result);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);

    job = fixture_wait(the_queue, id);
    info = fixture_info(job);
    ck_assert_str_eq(info.type, "score");
    ck_assert_str_eq(info.tenant, "desk \xc3\xa9");
    ck_assert_str_eq(info.owner, "tester");
    ck_assert(info.ended_ms >= info.claimed_ms - 2 && info.ended_ms <= conformance_wall_ms() + 2);
    mls_job_free(job);
}
END_TEST

START_TEST(info_fills_as_much_as_asked)
{
    fixture_submit_type(the_queue, "t");
    mls_job *job = fixture_claim(the_claimer);
    mls_job_info info = MLS_JOB_INFO_INIT;
    info.size = sizeof(size_t);
    ck_assert_fails(mls_job_get_info(job, &info), MLS_EINVAL, "mls_job_info.size");
    mls_job_free(job);
}
END_TEST

/* Bytes of every value, of sizes around every limit that a store may have inside. */
START_TEST(payloads_and_results_are_any_bytes)
{
    static const size_t sizes[] = {0,    1,    63,   64,   65,    127,    4095,
                                   4096, 8191, 8192, 8193, 65537, 1000003};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t size = sizes[i];
        unsigned char *bytes = malloc(size + 1);
        uint64_t random = size;
        for (size_t b = 0; b < size; b++)
            bytes[b] = (unsigned char) mls_test_random(&random);
        mls_job_options options = fixture_options("t", NULL);
        options.payload = bytes;
        options.payload_bytes = size;
        const uint64_t id = fixture_submit(the_queue, &options);
        mls_job *job = fixture_claim(the_claimer);
        size_t got;
        const void *payload = mls_job_payload(job, &got);
        ck_assert_uint_eq(got, size);
        ck_assert(size == 0 || (payload != bytes && memcmp(payload, bytes, size) == 0));
        ck_assert_ok(mls_job_set_result(job, payload, size));
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
        const void *result;
        job = fixture_wait(the_queue, id);
        ck_assert_ok(mls_job_result(job, &result, &got));
        ck_assert_uint_eq(got, size);
        ck_assert(size == 0 || memcmp(result, bytes, size) == 0);
        mls_job_free(job);
        ck_assert_ok(mls_queue_forget(the_queue, id));
        free(bytes);
    }
}
END_TEST

typedef struct handed {
    void *data;
    size_t size;
    int count;
} handed;

static void take_back(void *user, void *data, size_t size_bytes)
{
    handed *h = user;
    ck_assert_ptr_eq(data, h->data);
    ck_assert_uint_eq(size_bytes, h->size);
    h->count++;
}

static mls_job_options hand_over(handed *h, const char *text)
{
    mls_job_options options = fixture_options("t", text);
    *h = (handed){(void *) (uintptr_t) text, strlen(text), 0};
    options.payload_free = take_back;
    options.payload_user = h;
    return options;
}

START_TEST(handed_over_payload_is_given_back_once)
{
    handed h;
    const mls_job_options options = hand_over(&h, "a payload that is handed over");
    const uint64_t id = fixture_submit(the_queue, &options);
    fixture_complete(the_claimer, id, "done");
    mls_job *job = fixture_wait(the_queue, id);
    mls_job_free(job);
    ck_assert_ok(mls_queue_forget(the_queue, id));
    ck_assert_int_eq(h.count, 1);
}
END_TEST

START_TEST(handed_over_payload_stays_for_another_try)
{
    handed h;
    const mls_job_options options = hand_over(&h, "a payload that is needed twice");
    const uint64_t id = fixture_submit(the_queue, &options);
    fixture_fail(the_claimer, id, MLS_EIO, "first", MLS_FAIL_FINAL);
    ck_assert_ok(mls_queue_requeue(the_queue, id));
    mls_job *job = fixture_claim(the_claimer);
    size_t size;
    ck_assert_mem_eq(mls_job_payload(job, &size), "a payload that is needed twice", 30);
    ck_assert_uint_eq(size, 30);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_ok(mls_queue_forget(the_queue, id));
    ck_assert_int_eq(h.count, 1);
}
END_TEST

START_TEST(handed_over_payload_of_a_failed_submit_is_the_callers)
{
    handed h;
    mls_job_options jobs[2];
    jobs[0] = hand_over(&h, "mine");
    jobs[1] = fixture_options("not a name", NULL);
    ck_assert_int_eq(mls_queue_submit_many(the_queue, jobs, 2, NULL), MLS_EINVAL);
    if (conformance_can(MLS_QUEUE_CAN_KEYS)) {
        mls_job_options holder = fixture_options("t", NULL);
        holder.key = jobs[0].key = "taken";
        fixture_submit(the_queue, &holder);
        ck_assert_fails(mls_queue_submit(the_queue, &jobs[0], NULL), MLS_EEXIST, "'taken'");
    }
    ck_assert_int_eq(h.count, 0);
}
END_TEST

START_TEST(handed_over_payload_of_a_joining_submit_is_given_back)
{
    if (!conformance_can(MLS_QUEUE_CAN_KEYS))
        return;
    static handed first, second; /* until the queue is closed */
    mls_job_options options = hand_over(&first, "the one that is kept");
    options.key = "key";
    const uint64_t id = fixture_submit(the_queue, &options);
    options = hand_over(&second, "the one that is not needed");
    options.key = "key";
    options.flags = MLS_JOB_JOIN;
    ck_assert_uint_eq(fixture_submit(the_queue, &options), id);
    /* What a driver has written out it needs no more. */
    ck_assert_int_le(first.count, conformance_can(MLS_QUEUE_CAN_ACK_DURABLE) ? 1 : 0);
    ck_assert_int_eq(second.count, 1);
}
END_TEST

START_TEST(results_come_in_three_ways)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    char text[] = "taken over";
    handed h = {text, sizeof text, 0};
    handed dropped = {text, 4, 0};
    mls_job *job = fixture_claim(the_claimer);
    void *data;
    ck_assert_ok(mls_job_set_result(job, "copied", 6));
    ck_assert_ok(mls_job_alloc_result(job, 100, &data));
    ck_assert_uint_eq((uintptr_t) data % 64, 0);
    memset(data, 7, 100);
    ck_assert_ok(mls_job_take_result(job, text, 4, take_back, &dropped));
    ck_assert_ok(mls_job_take_result(job, text, sizeof text, take_back, &h));
    ck_assert_int_eq(dropped.count, 1);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);

    const void *result;
    size_t size;
    job = fixture_wait(the_queue, id);
    ck_assert_ok(mls_job_result(job, &result, &size));
    ck_assert_uint_eq(size, sizeof text);
    ck_assert_mem_eq(result, "taken over", sizeof text);
    mls_job_free(job);
    ck_assert_ok(mls_queue_forget(the_queue, id));
    ck_assert_int_eq(h.count, 1);
}
END_TEST

START_TEST(result_of_a_failure_is_dropped)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    char text[] = "not used";
    handed h = {text, 8, 0};
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_ok(mls_job_take_result(job, text, 8, take_back, &h));
    ck_assert_ok(mls_job_fail(job, MLS_ERANGE, "no", MLS_FAIL_FINAL));
    ck_assert_int_eq(h.count, 1);
    mls_job_free(job);
    job = fixture_wait(the_queue, id);
    ck_assert_ptr_null(fixture_info(job).result);
    mls_job_free(job);
}
END_TEST

START_TEST(forgotten_jobs_are_unknown)
{
    mls_job *job;
    const uint64_t id = fixture_submit_type(the_queue, "t");
    ck_assert_fails(mls_queue_forget(the_queue, id), MLS_ESTATE, "is ready");
    fixture_complete(the_claimer, id, "r");
    ck_assert_ok(mls_queue_forget(the_queue, id));
    ck_assert_fails(mls_queue_get(the_queue, id, &job), MLS_ENOTFOUND, "there is no job");
    ck_assert_fails(mls_queue_wait(the_queue, id, 0, &job), MLS_ENOTFOUND, "there is no job");
    ck_assert_fails(mls_queue_forget(the_queue, id), MLS_ENOTFOUND, "there is no job");
    ck_assert_fails(mls_queue_requeue(the_queue, id), MLS_ENOTFOUND, "there is no job");
    const uint64_t unknown[] = {0, 1, UINT64_MAX, UINT64_C(1) << 40, id + 1};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        ck_assert_int_eq(mls_queue_get(the_queue, unknown[i], &job), MLS_ENOTFOUND);
}
END_TEST

START_TEST(no_retention_leaves_nothing)
{
    mls_job *job;
    mls_job_options options = fixture_options("t", "payload");
    options.retention_ms = 0;
    const uint64_t id = fixture_submit(the_queue, &options);
    fixture_complete(the_claimer, id, "gone");
    ck_assert_int_eq(mls_queue_get(the_queue, id, &job), MLS_ENOTFOUND);
    ck_assert_uint_eq(fixture_stats(the_queue).jobs[0], 0);
    ck_assert_uint_eq(fixture_stats(the_queue).succeeded, 1);
}
END_TEST

START_TEST(retention_ends_by_itself)
{
    mls_job *job;
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 1;
    const uint64_t id = fixture_submit(the_queue, &options);
    fixture_complete(the_claimer, id, NULL);
    /* Wait for something that comes later: another job's delay. */
    mls_job_options later = fixture_options("t", NULL);
    later.delay_ms = 30;
    if (!conformance_can(MLS_QUEUE_CAN_SCHEDULES))
        return;
    const uint64_t later_id = fixture_submit(the_queue, &later);
    fixture_complete(the_claimer, later_id, NULL);
    ck_assert_int_eq(mls_queue_get(the_queue, id, &job), MLS_ENOTFOUND);
    ck_assert_int_eq(fixture_state(the_queue, later_id), MLS_JOB_SUCCEEDED);
}
END_TEST

START_TEST(snapshots_never_change)
{
    const mls_job_options options = fixture_options("t", "the payload, as it was");
    const uint64_t id = fixture_submit(the_queue, &options);
    mls_job *ready, *dead, *requeued;
    ck_assert_ok(mls_queue_get(the_queue, id, &ready));
    fixture_fail(the_claimer, id, MLS_EIO, "the first error", MLS_FAIL_FINAL);
    ck_assert_ok(mls_queue_get(the_queue, id, &dead));
    ck_assert_ok(mls_queue_requeue(the_queue, id));
    ck_assert_ok(mls_queue_get(the_queue, id, &requeued));
    fixture_complete(the_claimer, id, "result");
    ck_assert_ok(mls_queue_forget(the_queue, id));
    fixture_submit_type(the_queue, "another"); /* may reuse what was freed */

    ck_assert_int_eq(mls_job_state(ready), MLS_JOB_READY);
    ck_assert_fails(mls_job_result(ready, NULL, NULL), MLS_ESTATE, "is ready");
    ck_assert_mem_eq(mls_job_payload(ready, NULL), "the payload, as it was", 22);
    ck_assert_int_eq(mls_job_state(dead), MLS_JOB_DEAD);
    ck_assert_str_eq(fixture_info(dead).error_message, "the first error");
    ck_assert_mem_eq(mls_job_payload(dead, NULL), "the payload, as it was", 22);
    ck_assert_fails(mls_job_result(dead, NULL, NULL), MLS_EHANDLER, "the first error");
    ck_assert_int_eq(mls_job_state(requeued), MLS_JOB_READY);
    ck_assert_uint_eq(fixture_info(requeued).attempt, 0);
    mls_job_free(dead);
    mls_job_free(ready);
    mls_job_free(requeued);
}
END_TEST

START_TEST(snapshots_cannot_end_jobs)
{
    mls_job *job;
    void *data;
    const uint64_t id = fixture_submit_type(the_queue, "t");
    ck_assert_ok(mls_queue_get(the_queue, id, &job));
    ck_assert_fails(mls_job_complete(job), MLS_ESTATE, "snapshot");
    ck_assert_fails(mls_job_fail(job, MLS_EIO, NULL, 0), MLS_ESTATE, "snapshot");
    ck_assert_fails(mls_job_release(job), MLS_ESTATE, "snapshot");
    ck_assert_fails(mls_job_alloc_result(job, 1, &data), MLS_ESTATE, "snapshot");
    ck_assert_fails(mls_job_set_progress(job, 0, NULL), MLS_ESTATE, "snapshot");
    ck_assert_uint_eq(mls_job_stop_reasons(job), 0);
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_READY);
}
END_TEST

START_TEST(a_claim_ends_once)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_ok(mls_job_complete(job));
    ck_assert_fails(mls_job_complete(job), MLS_ESTATE, "before");
    ck_assert_fails(mls_job_fail(job, MLS_EIO, NULL, 0), MLS_ESTATE, "before");
    ck_assert_fails(mls_job_set_result(job, "x", 1), MLS_ESTATE, "before");
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_SUCCEEDED);
}
END_TEST

START_TEST(progress_is_shown)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    mls_job *job = fixture_claim(the_claimer);
    if (!conformance_can(MLS_QUEUE_CAN_PROGRESS)) {
        ck_assert_fails(mls_job_set_progress(job, 0.5, "half"), MLS_EUNSUPPORTED, "progress");
        mls_job_free(job);
        return;
    }
    char longest[MLS_JOB_NOTE_MAX + 40];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    ck_assert_ok(mls_job_set_progress(job, 0.25, longest));
    mls_job *shown;
    ck_assert_ok(mls_queue_get(the_queue, id, &shown));
    ck_assert_uint_eq(strlen(fixture_info(shown).progress_note), MLS_JOB_NOTE_MAX);
    mls_job_free(shown);
    ck_assert_ok(mls_job_set_progress(job, 0.5, "half"));
    ck_assert_ok(mls_queue_get(the_queue, id, &shown));
    ck_assert(fixture_info(shown).progress == 0.5);
    ck_assert_str_eq(fixture_info(shown).progress_note, "half");
    mls_job_free(shown);
    ck_assert_ok(mls_job_set_progress(job, 1, NULL));
    ck_assert_fails(mls_job_set_progress(job, 1.5, NULL), MLS_EINVAL, "1.5");
    ck_assert_fails(mls_job_set_progress(job, -0.1, NULL), MLS_EINVAL, "-0.1");
    mls_job_free(job);
}
END_TEST

START_TEST(stats_count_everything)
{
    mls_job_options retried = fixture_options("a", NULL);
    retried.max_attempts = conformance_can(MLS_QUEUE_CAN_RETRIES) ? 2 : 1;
    retried.backoff_ms = 0;
    fixture_complete(the_claimer, fixture_submit_type(the_queue, "a"), NULL);
    const uint64_t dead = fixture_submit(the_queue, &retried);
    for (uint32_t i = 0; i < retried.max_attempts; i++)
        fixture_fail(the_claimer, dead, MLS_EIO, "no", 0);
    fixture_submit_type(the_queue, "b");
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_ok(mls_job_release(job));
    mls_job_free(job);

    mls_queue_stats stats = fixture_stats(the_queue);
    ck_assert_uint_eq(stats.jobs[0], 3);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_READY], 1);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_RUNNING], 0);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_SUCCEEDED], 1);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_DEAD], 1);
    ck_assert_uint_eq(stats.submitted, 3);
    ck_assert_uint_eq(stats.claimed, 2 + retried.max_attempts);
    ck_assert_uint_eq(stats.succeeded, 1);
    ck_assert_uint_eq(stats.dead, 1);
    ck_assert_uint_eq(stats.retried, retried.max_attempts - 1);
    ck_assert_uint_eq(stats.released, 1);
    ck_assert_uint_eq(stats.stale, 0);
    ck_assert_uint_gt(stats.running_ns, 0);

    mls_queue_filter filter = MLS_QUEUE_FILTER_INIT;
    filter.type = "b";
    ck_assert_ok(mls_queue_get_stats(the_queue, &filter, &stats));
    ck_assert_uint_eq(stats.jobs[0], 1);
    filter.queue = "nowhere";
    ck_assert_ok(mls_queue_get_stats(the_queue, &filter, &stats));
    ck_assert_uint_eq(stats.jobs[0], 0);
    ck_assert_uint_eq(stats.submitted, 0);
}
END_TEST

/* Handles keep what they need, whatever is closed first. */
START_TEST(things_are_freed_in_any_order)
{
    const mls_job_options options = fixture_options("t", "payload");
    fixture_submit(the_queue, &options);
    mls_claimer *other = fixture_claimer(the_queue, NULL);
    mls_job *job = fixture_claim(other);
    mls_claimer_close(other);
    mls_queue_close(the_queue);
    mls_claimer_close(the_claimer);
    ck_assert_mem_eq(mls_job_payload(job, NULL), "payload", 7);
    ck_assert_str_eq(fixture_info(job).owner, "tester");
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    the_queue = NULL;
    the_claimer = NULL;
}
END_TEST

void conformance_add_basics(TCase *tests)
{
    tcase_add_test(tests, a_job_runs_from_submit_to_result);
    tcase_add_test(tests, info_has_everything);
    tcase_add_test(tests, info_fills_as_much_as_asked);
    tcase_add_test(tests, payloads_and_results_are_any_bytes);
    tcase_add_test(tests, handed_over_payload_is_given_back_once);
    tcase_add_test(tests, handed_over_payload_stays_for_another_try);
    tcase_add_test(tests, handed_over_payload_of_a_failed_submit_is_the_callers);
    tcase_add_test(tests, handed_over_payload_of_a_joining_submit_is_given_back);
    tcase_add_test(tests, results_come_in_three_ways);
    tcase_add_test(tests, result_of_a_failure_is_dropped);
    tcase_add_test(tests, forgotten_jobs_are_unknown);
    tcase_add_test(tests, no_retention_leaves_nothing);
    tcase_add_test(tests, retention_ends_by_itself);
    tcase_add_test(tests, snapshots_never_change);
    tcase_add_test(tests, snapshots_cannot_end_jobs);
    tcase_add_test(tests, a_claim_ends_once);
    tcase_add_test(tests, progress_is_shown);
    tcase_add_test(tests, stats_count_everything);
    tcase_add_test(tests, things_are_freed_in_any_order);
}
