/* SPDX-License-Identifier: Apache-2.0 */
/* Failures, retries, cancellation, keys, and claims that were lost. */
#include "conformance/queue/suite.h"

#include "job/queue.h"

#include <stdbool.h>
#include <string.h>

START_TEST(a_failure_is_kept)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    fixture_fail(the_claimer, id, MLS_ESHAPE, "3 columns, 4 wanted", 0);
    mls_job *job = fixture_wait(the_queue, id);
    const mls_job_info info = fixture_info(job);
    ck_assert_int_eq(info.state, MLS_JOB_DEAD);
    ck_assert_int_eq(info.error, MLS_ESHAPE);
    ck_assert_str_eq(info.error_message, "3 columns, 4 wanted");
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EHANDLER, "3 columns, 4 wanted");
    mls_job_free(job);
}
END_TEST

START_TEST(long_messages_are_cut_between_characters)
{
    char text[3 * MLS_JOB_ERROR_MAX];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    const uint64_t id = fixture_submit_type(the_queue, "t");
    fixture_fail(the_claimer, id, MLS_EIO, text, 0);
    mls_job *job = fixture_wait(the_queue, id);
    ck_assert_uint_eq(strlen(fixture_info(job).error_message), MLS_JOB_ERROR_MAX - 1);
    mls_job_free(job);
}
END_TEST

START_TEST(bad_failures_are_refused)
{
    fixture_submit_type(the_queue, "t");
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_fails(mls_job_fail(job, MLS_OK, NULL, 0), MLS_EINVAL, "error is 0");
    ck_assert_fails(mls_job_fail(job, (mls_status) 5, NULL, 0), MLS_EINVAL, "error is 5");
    ck_assert_fails(mls_job_fail(job, MLS_EIO, NULL, 2), MLS_EINVAL, "flags");
    ck_assert_ok(mls_job_fail(job, MLS_EIO, NULL, 0));
    mls_job_free(job);
}
END_TEST

START_TEST(attempts_are_spent)
{
    mls_job_options options = fixture_options("t", "payload");
    options.max_attempts = 3;
    options.backoff_ms = 0;
    if (!conformance_can(MLS_QUEUE_CAN_RETRIES)) {
        ck_assert_fails(mls_queue_submit(the_queue, &options, NULL), MLS_EUNSUPPORTED, "retries");
        return;
    }
    const uint64_t id = fixture_submit(the_queue, &options);
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        mls_job *job = fixture_claim(the_claimer);
        const mls_job_info info = fixture_info(job);
        ck_assert_uint_eq(info.attempt, attempt);
        ck_assert_uint_eq(info.epoch, attempt);
        ck_assert_str_eq(info.error_message, attempt == 1 ? "" : "not yet");
        ck_assert_int_eq(info.error, attempt == 1 ? MLS_OK : MLS_EIO);
        ck_assert_mem_eq(info.payload, "payload", 7);
        ck_assert_ok(mls_job_fail(job, MLS_EIO, "not yet", 0));
        ck_assert_int_eq(mls_job_state(job), attempt < 3 ? MLS_JOB_SCHEDULED : MLS_JOB_DEAD);
        mls_job_free(job);
    }
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_DEAD);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(a_final_failure_spends_all_attempts)
{
    if (!conformance_can(MLS_QUEUE_CAN_RETRIES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    options.max_attempts = 10;
    options.backoff_ms = 0;
    const uint64_t id = fixture_submit(the_queue, &options);
    fixture_fail(the_claimer, id, MLS_EIO, "once", 0);
    fixture_fail(the_claimer, id, MLS_EFORMAT, "never", MLS_FAIL_FINAL);
    const mls_job_info info = fixture_look(the_queue, id);
    ck_assert_int_eq(info.state, MLS_JOB_DEAD);
    ck_assert_uint_eq(info.attempt, 2);
    ck_assert_int_eq(info.error, MLS_EFORMAT);
}
END_TEST

START_TEST(retries_pause)
{
    if (!conformance_can(MLS_QUEUE_CAN_RETRIES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    options.max_attempts = 2;
    options.jitter_percent = 0;
    options.backoff_ms = 3600000;
    const uint64_t much_later = fixture_submit(the_queue, &options);
    fixture_fail(the_claimer, much_later, MLS_EIO, "later", 0);
    ck_assert_int_eq(fixture_state(the_queue, much_later), MLS_JOB_SCHEDULED);
    fixture_claim_none(the_claimer);
    options.backoff_ms = 40;
    const uint64_t id = fixture_submit(the_queue, &options);
    const int64_t begin_ms = conformance_wall_ms();
    fixture_fail(the_claimer, id, MLS_EIO, "later", 0);
    fixture_complete(the_claimer, id, NULL); /* waits for it */
    ck_assert_int_ge(conformance_wall_ms() - begin_ms, 38);
}
END_TEST

START_TEST(releases_cost_no_attempt)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    for (uint32_t i = 1; i <= 3; i++) {
        mls_job *job = fixture_claim(the_claimer);
        ck_assert_uint_eq(fixture_info(job).attempt, 1);
        ck_assert_uint_eq(fixture_info(job).epoch, i);
        if (i < 3)
            ck_assert_ok(mls_job_release(job));
        mls_job_free(job); /* releases the third */
        ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_READY);
        ck_assert_uint_eq(fixture_look(the_queue, id).attempt, 0);
    }
    fixture_complete(the_claimer, id, NULL);
}
END_TEST

START_TEST(dead_and_cancelled_jobs_are_requeued)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    ck_assert_fails(mls_queue_requeue(the_queue, id), MLS_ESTATE, "is ready");
    fixture_fail(the_claimer, id, MLS_EIO, "no", 0);
    ck_assert_ok(mls_queue_requeue(the_queue, id));
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_READY);
    fixture_fail(the_claimer, id, MLS_EIO, "no", 0);
    if (conformance_can(MLS_QUEUE_CAN_CANCEL)) {
        ck_assert_ok(mls_queue_requeue(the_queue, id));
        ck_assert_ok(mls_queue_cancel(the_queue, id));
        ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_CANCELLED);
    }
    ck_assert_ok(mls_queue_requeue(the_queue, id));
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    ck_assert_uint_eq(fixture_info(job).epoch, 3);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_fails(mls_queue_requeue(the_queue, id), MLS_ESTATE, "is succeeded");
}
END_TEST

START_TEST(waiting_jobs_are_cancelled_at_once)
{
    const uint64_t id = fixture_submit_type(the_queue, "t");
    if (!conformance_can(MLS_QUEUE_CAN_CANCEL)) {
        ck_assert_fails(mls_queue_cancel(the_queue, id), MLS_EUNSUPPORTED, "cancellation");
        return;
    }
    ck_assert_ok(mls_queue_cancel(the_queue, id));
    fixture_claim_none(the_claimer);
    mls_job *job = fixture_wait(the_queue, id);
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_ECANCELLED, "was cancelled");
    mls_job_free(job);
    ck_assert_fails(mls_queue_cancel(the_queue, id), MLS_ESTATE, "is cancelled");
    ck_assert_fails(mls_queue_cancel(the_queue, id + 1), MLS_ENOTFOUND, "there is no job");
}
END_TEST

/* How a claim of a job ends whose cancellation was requested. */
static int32_t end_cancelled(mls_status (*end)(mls_job *job))
{
    mls_job_options options = fixture_options("t", NULL);
    options.max_attempts = conformance_can(MLS_QUEUE_CAN_RETRIES) ? 5 : 1;
    const uint64_t id = fixture_submit(the_queue, &options);
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_uint_eq(mls_job_stop_reasons(job), 0);
    ck_assert_ok(mls_queue_cancel(the_queue, id));
    ck_assert_uint_eq(mls_job_stop_reasons(job), MLS_STOP_CANCELLED);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_STOPPING);
    ck_assert_ok(mls_queue_cancel(the_queue, id));
    ck_assert_ok(end(job));
    mls_job_free(job);
    return fixture_state(the_queue, id);
}

static mls_status fail_stopped(mls_job *job)
{
    return mls_job_fail(job, MLS_ECANCELLED, "stopped as asked", 0);
}

START_TEST(running_jobs_end_as_their_handlers_do)
{
    if (!conformance_can(MLS_QUEUE_CAN_CANCEL))
        return;
    ck_assert_int_eq(end_cancelled(mls_job_complete), MLS_JOB_SUCCEEDED);
    ck_assert_int_eq(end_cancelled(fail_stopped), MLS_JOB_CANCELLED);
    ck_assert_int_eq(end_cancelled(mls_job_release), MLS_JOB_CANCELLED);
    ck_assert_uint_eq(fixture_stats(the_queue).cancelled, 2);
}
END_TEST

START_TEST(keys_are_unique_while_they_are_kept)
{
    mls_job_options options = fixture_options("t", NULL);
    options.key = "only one";
    uint64_t id = 5;
    if (!conformance_can(MLS_QUEUE_CAN_KEYS)) {
        ck_assert_fails(mls_queue_submit(the_queue, &options, &id), MLS_EUNSUPPORTED,
                        "unique keys");
        return;
    }
    const uint64_t first = fixture_submit(the_queue, &options);
    ck_assert_fails(mls_queue_submit(the_queue, &options, &id), MLS_EEXIST, "'only one'");
    ck_assert_uint_eq(id, 5);
    fixture_complete(the_claimer, first, NULL);
    ck_assert_fails(mls_queue_submit(the_queue, &options, &id), MLS_EEXIST, "'only one'");
    ck_assert_ok(mls_queue_forget(the_queue, first));
    options.retention_ms = 0;
    const uint64_t second = fixture_submit(the_queue, &options);
    fixture_complete(the_claimer, second, NULL);
    fixture_submit(the_queue, &options);
}
END_TEST

START_TEST(joining_gives_the_holder_of_the_key)
{
    if (!conformance_can(MLS_QUEUE_CAN_KEYS))
        return;
    mls_job_options options = fixture_options("t", "first");
    options.key = "shared";
    options.flags = MLS_JOB_JOIN;
    const uint64_t first = fixture_submit(the_queue, &options);
    options.payload = "other";
    ck_assert_uint_eq(fixture_submit(the_queue, &options), first);
    ck_assert_uint_eq(fixture_stats(the_queue).submitted, 1);
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_mem_eq(mls_job_payload(job, NULL), "first", 5);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_uint_eq(fixture_submit(the_queue, &options), first);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(a_taken_key_refuses_all_of_a_bulk)
{
    if (!conformance_can(MLS_QUEUE_CAN_KEYS))
        return;
    mls_job_options jobs[3] = {fixture_options("t", NULL), fixture_options("t", NULL),
                               fixture_options("t", NULL)};
    jobs[0].key = "a";
    jobs[1].key = "b";
    jobs[2].key = "a";
    ck_assert_int_eq(mls_queue_submit_many(the_queue, jobs, 3, NULL), MLS_EEXIST);
    fixture_claim_none(the_claimer);
    jobs[2].flags = MLS_JOB_JOIN;
    uint64_t ids[3];
    ck_assert_ok(mls_queue_submit_many(the_queue, jobs, 3, ids));
    ck_assert_uint_eq(ids[0], ids[2]);
    ck_assert_uint_ne(ids[0], ids[1]);
    ck_assert_uint_eq(fixture_stats(the_queue).submitted, 2);
}
END_TEST

/* The end of a claim as a worker reports it, seen by the driver. */
static mls_status finish(mls_queue_job *claim, int32_t event, const char *result)
{
    mls_queue_end end = {.size = sizeof end, .job = claim, .event = event, .status = MLS_EEMPTY};
    end.data.data = (void *) (uintptr_t) result;
    end.data.size_bytes = result ? strlen(result) : 0;
    mls_queue_end *const ends[] = {&end};
    ck_assert_ok(the_queue->ops->finish(the_queue->self, ends, 1));
    return (mls_status) end.status;
}

static void claim_raw(mls_queue_job *shown, mls_job_info *info)
{
    const mls_queue_claim request = {.size = sizeof request, .max_count = 1};
    mls_queue_job *const jobs[] = {shown};
    size_t count;
    *info = (mls_job_info) MLS_JOB_INFO_INIT;
    *shown = (mls_queue_job){sizeof *shown, NULL, info};
    ck_assert_ok(
        the_queue->ops->claim(the_queue->self, the_claimer->self, &request, NULL, 0, jobs, &count));
    ck_assert_uint_eq(count, 1);
}

START_TEST(only_the_present_claim_ends_a_job)
{
    mls_queue_job first, second;
    mls_job_info first_info, second_info;
    size_t surrendered;
    const mls_job_options options = fixture_options("t", "payload");
    const uint64_t id = fixture_submit(the_queue, &options);
    claim_raw(&first, &first_info);
    ck_assert_uint_eq(the_queue->ops->signals(the_queue->self, &first), 0);
    ck_assert_ok(
        the_queue->ops->claimer_surrender(the_queue->self, the_claimer->self, &surrendered));
    ck_assert_uint_eq(surrendered, 1);
    ck_assert_uint_eq(the_queue->ops->signals(the_queue->self, &first), MLS_STOP_LOST);
    ck_assert_int_eq(finish(&first, MLS_JOB_ON_SUCCEED, "stale"), MLS_ESTALE);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_READY);

    claim_raw(&second, &second_info);
    ck_assert_uint_eq(second_info.epoch, first_info.epoch + 1);
    ck_assert_uint_eq(the_queue->ops->signals(the_queue->self, &first), MLS_STOP_LOST);
    ck_assert_uint_eq(the_queue->ops->signals(the_queue->self, &second), 0);
    static const int32_t events[] = {MLS_JOB_ON_SUCCEED, MLS_JOB_ON_RETRY, MLS_JOB_ON_BURY,
                                     MLS_JOB_ON_RELEASE};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(finish(&first, events[i], "stale"), MLS_ESTALE);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_RUNNING);
    ck_assert_int_eq(finish(&second, MLS_JOB_ON_SUCCEED, "fresh"), MLS_OK);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(finish(&second, events[i], "again"), MLS_ESTALE);
    ck_assert_mem_eq(first_info.payload, "payload", 7);
    the_queue->ops->drop(the_queue->self, &first);
    the_queue->ops->drop(the_queue->self, &second);

    const void *data;
    size_t size;
    mls_job *job = fixture_wait(the_queue, id);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_mem_eq(data, "fresh", 5);
    mls_job_free(job);
    ck_assert_uint_eq(fixture_stats(the_queue).stale, 9);
}
END_TEST

/* As when what ended it could not be written. Where there is no lease the end cannot fail. */
START_TEST(a_claim_that_is_dropped_goes_back)
{
    if (!conformance_can(MLS_QUEUE_CAN_LEASES))
        return;
    mls_queue_job dropped;
    mls_job_info shown;
    mls_job *job;
    size_t count;
    const uint64_t id = fixture_submit_type(the_queue, "t");
    claim_raw(&dropped, &shown);
    the_queue->ops->drop(the_queue->self, &dropped);
    ck_assert_ok(mls_claimer_claim(the_claimer, 60000, 1, &job, &count));
    const mls_job_info info = fixture_info(job);
    ck_assert_uint_eq(info.id, id);
    ck_assert_uint_eq(info.epoch, 2);
    ck_assert_uint_eq(info.attempt, 1);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
}
END_TEST

/* A batch is judged end by end: the stale ones do not spoil the others. */
START_TEST(ends_of_a_batch_are_judged_apart)
{
    mls_queue_job shown[3];
    mls_job_info infos[3];
    mls_queue_end ends[3];
    mls_queue_end *pointers[3];
    for (size_t i = 0; i < 3; i++) {
        fixture_submit_type(the_queue, "t");
        claim_raw(&shown[i], &infos[i]);
        ends[i] = (mls_queue_end){.size = sizeof ends[i],
                                  .flags = MLS_END_DROP,
                                  .job = &shown[i],
                                  .event = MLS_JOB_ON_SUCCEED,
                                  .status = MLS_EEMPTY};
        pointers[i] = &ends[i];
    }
    ck_assert_int_eq(finish(&shown[1], MLS_JOB_ON_RELEASE, NULL), MLS_OK);
    ck_assert_ok(the_queue->ops->finish(the_queue->self, pointers, 3));
    ck_assert_int_eq(ends[0].status, MLS_OK);
    ck_assert_int_eq(ends[0].state, MLS_JOB_SUCCEEDED);
    ck_assert_int_eq(ends[1].status, MLS_ESTALE);
    ck_assert_int_eq(ends[2].status, MLS_OK);
    ck_assert_int_eq(fixture_state(the_queue, infos[1].id), MLS_JOB_READY);
}
END_TEST

void conformance_add_states(TCase *tests)
{
    tcase_add_test(tests, a_failure_is_kept);
    tcase_add_test(tests, long_messages_are_cut_between_characters);
    tcase_add_test(tests, bad_failures_are_refused);
    tcase_add_test(tests, attempts_are_spent);
    tcase_add_test(tests, a_final_failure_spends_all_attempts);
    tcase_add_test(tests, retries_pause);
    tcase_add_test(tests, releases_cost_no_attempt);
    tcase_add_test(tests, dead_and_cancelled_jobs_are_requeued);
    tcase_add_test(tests, waiting_jobs_are_cancelled_at_once);
    tcase_add_test(tests, running_jobs_end_as_their_handlers_do);
    tcase_add_test(tests, keys_are_unique_while_they_are_kept);
    tcase_add_test(tests, joining_gives_the_holder_of_the_key);
    tcase_add_test(tests, a_taken_key_refuses_all_of_a_bulk);
    tcase_add_test(tests, only_the_present_claim_ends_a_job);
    tcase_add_test(tests, a_claim_that_is_dropped_goes_back);
    tcase_add_test(tests, ends_of_a_batch_are_judged_apart);
}
