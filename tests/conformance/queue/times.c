/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines, and jobs that wait for their time. */
#include "conformance/queue/suite.h"

#include "job/queue.h"

START_TEST(deadlines_end_waiting_jobs)
{
    mls_job_options options = fixture_options("t", NULL);
    options.deadline_ms = conformance_wall_ms() + 20;
    if (!conformance_can(MLS_QUEUE_CAN_DEADLINES)) {
        ck_assert_fails(mls_queue_submit(the_queue, &options, NULL), MLS_EUNSUPPORTED, "deadlines");
        return;
    }
    const uint64_t id = fixture_submit(the_queue, &options);
    mls_job *job = fixture_wait(the_queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_DEAD);
    ck_assert_int_eq(fixture_info(job).error, MLS_EDEADLINE);
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EDEADLINE, "deadline");
    mls_job_free(job);
    fixture_claim_none(the_claimer);
    ck_assert_ok(mls_queue_requeue(the_queue, id)); /* which forgets the deadline */
    fixture_complete(the_claimer, id, NULL);
}
END_TEST

START_TEST(past_deadlines_end_jobs_at_once)
{
    if (!conformance_can(MLS_QUEUE_CAN_DEADLINES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    options.deadline_ms = 1;
    const uint64_t id = fixture_submit(the_queue, &options);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_DEAD);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(deadlines_end_scheduled_jobs)
{
    if (!conformance_can(MLS_QUEUE_CAN_DEADLINES | MLS_QUEUE_CAN_SCHEDULES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    options.delay_ms = 3600000;
    options.deadline_ms = conformance_wall_ms() + 20;
    mls_job *job = fixture_wait(the_queue, fixture_submit(the_queue, &options));
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EDEADLINE, "deadline");
    mls_job_free(job);
}
END_TEST

/* A claim whose deadline is still to come; on a busy machine not the first try. */
static mls_job *claim_before_deadline(mls_job_options *options)
{
    for (int64_t soon_ms = 40;; soon_ms *= 2) {
        mls_job *job;
        size_t count;
        options->deadline_ms = conformance_wall_ms() + soon_ms;
        fixture_submit(the_queue, options);
        if (mls_claimer_claim(the_claimer, 0, 1, &job, &count) == MLS_OK)
            return job;
    }
}

START_TEST(running_jobs_are_told_of_their_deadline)
{
    if (!conformance_can(MLS_QUEUE_CAN_DEADLINES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    options.max_attempts = conformance_can(MLS_QUEUE_CAN_RETRIES) ? 5 : 1;
    mls_job *job = claim_before_deadline(&options);
    while (!(mls_job_stop_reasons(job) & MLS_STOP_DEADLINE))
        ;
    ck_assert_int_ge(conformance_wall_ms(), options.deadline_ms);
    ck_assert_ok(mls_job_fail(job, MLS_EDEADLINE, "too late", 0));
    ck_assert_int_eq(fixture_state(the_queue, mls_job_id(job)), MLS_JOB_DEAD);
    mls_job_free(job);
}
END_TEST

START_TEST(late_results_are_taken)
{
    if (!conformance_can(MLS_QUEUE_CAN_DEADLINES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    mls_job *job = claim_before_deadline(&options);
    while (!mls_job_stop_reasons(job))
        ;
    ck_assert_ok(mls_job_complete(job));
    ck_assert_int_eq(fixture_state(the_queue, mls_job_id(job)), MLS_JOB_SUCCEEDED);
    mls_job_free(job);
}
END_TEST

START_TEST(scheduled_jobs_wait_for_their_time)
{
    mls_job_options options = fixture_options("t", NULL);
    options.run_at_ms = conformance_wall_ms() + 3600000;
    if (!conformance_can(MLS_QUEUE_CAN_SCHEDULES)) {
        ck_assert_fails(mls_queue_submit(the_queue, &options, NULL), MLS_EUNSUPPORTED, "schedules");
        return;
    }
    const mls_job_info info = fixture_look(the_queue, fixture_submit(the_queue, &options));
    ck_assert_int_eq(info.state, MLS_JOB_SCHEDULED);
    ck_assert_int_eq(info.run_at_ms, options.run_at_ms);
    fixture_claim_none(the_claimer);

    options.run_at_ms = conformance_wall_ms() + 40;
    fixture_complete(the_claimer, fixture_submit(the_queue, &options), NULL);
    ck_assert_int_ge(conformance_wall_ms(), options.run_at_ms - 2);

    options.run_at_ms = 1000; /* long ago */
    const uint64_t now = fixture_submit(the_queue, &options);
    ck_assert_int_eq(fixture_state(the_queue, now), MLS_JOB_READY);
}
END_TEST

enum { SCHEDULED = 5 };

/* Submits jobs for `soon_ms` from now and after; false when that was too soon to be sure. */
static bool submit_scheduled(int64_t soon_ms, const int64_t *delays, uint64_t *ids)
{
    const int64_t first_ms = conformance_wall_ms() + soon_ms;
    for (size_t i = 0; i < SCHEDULED; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.run_at_ms = first_ms + delays[i];
        ids[i] = fixture_submit(the_queue, &options);
    }
    return conformance_wall_ms() < first_ms;
}

START_TEST(scheduled_jobs_come_in_the_order_of_their_times)
{
    if (!conformance_can(MLS_QUEUE_CAN_SCHEDULES))
        return;
    static const int64_t delays[SCHEDULED] = {40, 0, 20, 60, 10};
    static const size_t order[SCHEDULED] = {1, 4, 2, 0, 3};
    uint64_t ids[SCHEDULED];
    for (int64_t soon_ms = 20; !submit_scheduled(soon_ms, delays, ids); soon_ms *= 2)
        for (size_t i = 0; i < SCHEDULED; i++) {
            mls_job *job = fixture_claim(the_claimer);
            ck_assert_ok(mls_job_complete(job));
            mls_job_free(job);
        }
    for (size_t i = 0; i < SCHEDULED; i++)
        fixture_complete(the_claimer, ids[order[i]], NULL);
}
END_TEST

void conformance_add_times(TCase *tests)
{
    tcase_add_test(tests, deadlines_end_waiting_jobs);
    tcase_add_test(tests, past_deadlines_end_jobs_at_once);
    tcase_add_test(tests, deadlines_end_scheduled_jobs);
    tcase_add_test(tests, running_jobs_are_told_of_their_deadline);
    tcase_add_test(tests, late_results_are_taken);
    tcase_add_test(tests, scheduled_jobs_wait_for_their_time);
    tcase_add_test(tests, scheduled_jobs_come_in_the_order_of_their_times);
}
