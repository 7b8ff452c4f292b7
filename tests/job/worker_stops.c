/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: jobs that are cancelled, and what becomes of them when a worker is stopped. */
#include "job/worker_fixture.h"

#include <stdatomic.h>

static gate barrier = GATE_INIT;

static mls_status run_until_stopped(void *slot, mls_job *job)
{
    (void) slot;
    gate_pass(&barrier);
    while (!mls_job_stop_reasons(job))
        ;
    return mls_job_stop_reasons(job) & MLS_STOP_WORKER ? mls_job_release(job) : MLS_ECANCELLED;
}

START_TEST(a_running_job_is_cancelled)
{
    mls_handler handler = worker_handler();
    handler.run = run_until_stopped;
    mls_worker *worker = worker_start(1, &handler);
    const uint64_t id = fixture_submit_type(worker_queue, "t");
    gate_await(&barrier, 1);
    ck_assert_ok(mls_queue_cancel(worker_queue, id));
    gate_open(&barrier);
    mls_job *job = fixture_wait(worker_queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_CANCELLED);
    ck_assert_int_eq(worker_log.last_cleanup, MLS_ECANCELLED);
    mls_job_free(job);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_uint_eq(worker_stats(worker).cancelled, 1);
    mls_worker_free(worker);
}
END_TEST

START_TEST(stopping_tells_handlers)
{
    mls_handler handler = worker_handler();
    handler.run = run_until_stopped;
    mls_worker *worker = worker_start(1, &handler);
    const uint64_t id = fixture_submit_type(worker_queue, "t");
    const uint64_t waiting = fixture_submit_type(worker_queue, "t");
    gate_open(&barrier);
    gate_await(&barrier, 1);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_int_eq(fixture_state(worker_queue, id), MLS_JOB_READY);
    ck_assert_int_eq(fixture_state(worker_queue, waiting), MLS_JOB_READY);
    ck_assert_uint_eq(worker_stats(worker).released, 1);
    ck_assert_ok(mls_worker_stop(worker, 0, -1)); /* nothing more to do */
    mls_worker_free(worker);
}
END_TEST

static atomic_uint reasons_seen;

static mls_status run_past_stop(void *slot, mls_job *job)
{
    (void) slot;
    gate_pass(&barrier);
    atomic_store(&reasons_seen, mls_job_stop_reasons(job));
    return mls_job_set_result(job, "late", 4);
}

START_TEST(jobs_are_given_back_when_time_is_over)
{
    mls_handler handler = worker_handler();
    handler.run = run_past_stop;
    mls_worker *worker = worker_start(2, &handler);
    const uint64_t ids[] = {fixture_submit_type(worker_queue, "t"),
                            fixture_submit_type(worker_queue, "t")};
    gate_await(&barrier, 2);
    ck_assert_fails(mls_worker_stop(worker, 0, 0), MLS_ETIMEDOUT, "2 jobs");
    mls_claimer *claimer = fixture_claimer(worker_queue, NULL);
    mls_job *job = fixture_claim(claimer);
    ck_assert_ok(mls_job_set_result(job, "other", 5));
    ck_assert_ok(mls_job_complete(job));
    const uint64_t done = mls_job_id(job);
    mls_job_free(job);
    gate_open(&barrier);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_uint_eq(reasons_seen & MLS_STOP_LOST, MLS_STOP_LOST);
    ck_assert_uint_eq(worker_stats(worker).stale, 2);
    ck_assert_uint_eq(worker_stats(worker).succeeded, 0);
    const void *data;
    job = fixture_wait(worker_queue, done);
    ck_assert_ok(mls_job_result(job, &data, NULL));
    ck_assert_mem_eq(data, "other", 5);
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(worker_queue, done == ids[0] ? ids[1] : ids[0]), MLS_JOB_READY);
    mls_claimer_close(claimer);
    mls_worker_free(worker);
}
END_TEST

START_TEST(draining_runs_what_is_ready)
{
    const mls_handler handler = worker_handler();
    mls_worker *worker = worker_create(2, &handler);
    for (int i = 0; i < 20; i++)
        fixture_submit_type(worker_queue, "t");
    const uint64_t other = fixture_submit_type(worker_queue, "unserved");
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(fixture_stats(worker_queue).succeeded, 20);
    ck_assert_int_eq(fixture_state(worker_queue, other), MLS_JOB_READY);
    mls_worker_free(worker);
}
END_TEST

static mls_worker *own;

static mls_status stop_myself(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    gate_pass(&barrier);
    return mls_worker_stop(own, 0, -1);
}

START_TEST(a_handler_cannot_stop_its_worker)
{
    mls_handler handler = worker_handler();
    handler.run = stop_myself;
    own = worker_start(1, &handler);
    gate_open(&barrier);
    mls_job *job = fixture_wait(worker_queue, fixture_submit_type(worker_queue, "t"));
    ck_assert_int_eq(fixture_info(job).error, MLS_ESTATE);
    mls_job_free(job);
    mls_worker_free(own);
}
END_TEST

/* A started worker that claims three jobs at a time. */
static mls_worker *start_ahead(const mls_handler *handler)
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.prefetch = 3;
    ck_assert_ok(mls_worker_create(worker_queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, handler));
    ck_assert_ok(mls_worker_start(worker));
    return worker;
}

/* The slot is in the first of three jobs that it claimed; the second is cancelled. */
START_TEST(cancelled_jobs_are_not_begun)
{
    mls_handler handler = worker_handler();
    handler.run = run_past_stop;
    uint64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = fixture_submit_type(worker_queue, "t");
    mls_worker *worker = start_ahead(&handler);
    gate_await(&barrier, 1);
    ck_assert_int_eq(fixture_state(worker_queue, ids[2]), MLS_JOB_RUNNING);
    ck_assert_int_eq(fixture_state(worker_queue, ids[3]), MLS_JOB_READY);
    ck_assert_ok(mls_queue_cancel(worker_queue, ids[1]));
    gate_open(&barrier);
    ck_assert_ok(mls_queue_drain(worker_queue, 60000));
    ck_assert_int_eq(fixture_state(worker_queue, ids[0]), MLS_JOB_SUCCEEDED);
    ck_assert_int_eq(fixture_state(worker_queue, ids[1]), MLS_JOB_CANCELLED);
    ck_assert_int_eq(fixture_state(worker_queue, ids[2]), MLS_JOB_SUCCEEDED);
    ck_assert_str_eq(worker_log.events, "opcpcpc");
    mls_worker_free(worker);
}
END_TEST

START_TEST(claimed_jobs_go_back_at_stop)
{
    mls_handler handler = worker_handler();
    handler.run = run_until_stopped;
    for (int i = 0; i < 3; i++)
        fixture_submit_type(worker_queue, "t");
    mls_worker *worker = start_ahead(&handler);
    gate_await(&barrier, 1);
    gate_open(&barrier);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_uint_eq(fixture_stats(worker_queue).jobs[MLS_JOB_READY], 3);
    ck_assert_str_eq(worker_log.events, "opcx"); /* two were not begun */
    mls_worker_free(worker);
}
END_TEST

void add_worker_stops(TCase *tests)
{
    tcase_add_test(tests, a_running_job_is_cancelled);
    tcase_add_test(tests, stopping_tells_handlers);
    tcase_add_test(tests, jobs_are_given_back_when_time_is_over);
    tcase_add_test(tests, draining_runs_what_is_ready);
    tcase_add_test(tests, a_handler_cannot_stop_its_worker);
    tcase_add_test(tests, cancelled_jobs_are_not_begun);
    tcase_add_test(tests, claimed_jobs_go_back_at_stop);
}
