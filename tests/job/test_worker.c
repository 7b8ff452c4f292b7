/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: the course of an attempt, slots, starting and stopping. */
#include "job/fixture.h"
#include "job/gate.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static mls_queue *queue;

/* What the handlers of a test saw, in order: "o" slot_open, "p", "r", "c" cleanup, "x" close. */
static struct log {
    pthread_mutex_t mutex;
    char events[256];
    _Atomic mls_status last_cleanup;
} seen = {PTHREAD_MUTEX_INITIALIZER, "", MLS_OK};

static void note(const char *event)
{
    pthread_mutex_lock(&seen.mutex);
    strncat(seen.events, event, sizeof seen.events - strlen(seen.events) - 1);
    pthread_mutex_unlock(&seen.mutex);
}

static void setup(void)
{
    queue = fixture_queue("memory:");
}

static void teardown(void)
{
    mls_queue_close(queue);
}

static mls_status log_open(void *user, uint32_t index, void **ret_slot)
{
    (void) user;
    (void) index;
    note("o");
    *ret_slot = &seen;
    return MLS_OK;
}

static void log_close(void *user, void *slot)
{
    (void) user;
    ck_assert_ptr_eq(slot, &seen);
    note("x");
}

static mls_status log_prepare(void *slot, mls_job *job)
{
    ck_assert_ptr_eq(slot, &seen);
    ck_assert_ptr_null(mls_job_user(job));
    mls_job_set_user(job, &queue);
    note("p");
    return MLS_OK;
}

static mls_status log_run(void *slot, mls_job *job)
{
    ck_assert_ptr_eq(slot, &seen);
    ck_assert_ptr_eq(mls_job_user(job), &queue);
    note("r");
    return mls_job_set_result(job, "ok", 2);
}

static void log_cleanup(void *slot, mls_job *job, mls_status status)
{
    ck_assert_ptr_eq(slot, &seen);
    ck_assert_ptr_eq(mls_job_user(job), &queue);
    seen.last_cleanup = status;
    note("c");
}

static mls_handler log_handler(void)
{
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.slot_open = log_open;
    handler.slot_close = log_close;
    handler.prepare = log_prepare;
    handler.run = log_run;
    handler.cleanup = log_cleanup;
    return handler;
}

static mls_worker *create(uint32_t slots, const mls_handler *handler)
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.name = "w1";
    options.slots = slots;
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, handler));
    return worker;
}

static mls_worker *start(uint32_t slots, const mls_handler *handler)
{
    mls_worker *worker = create(slots, handler);
    ck_assert_ok(mls_worker_start(worker));
    return worker;
}

static mls_worker_stats stats_of(const mls_worker *worker)
{
    mls_worker_stats stats = MLS_WORKER_STATS_INIT;
    ck_assert_ok(mls_worker_get_stats(worker, &stats));
    return stats;
}

START_TEST(an_attempt_takes_its_course)
{
    const mls_handler handler = log_handler();
    mls_worker *worker = start(1, &handler);
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(queue, fixture_submit_type(queue, "t"));
    ck_assert_str_eq(seen.events, "oprc"); /* before the waiter knows */
    ck_assert_int_eq(seen.last_cleanup, MLS_OK);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_mem_eq(data, "ok", 2);
    ck_assert_str_eq(fixture_info(job).owner, "w1");
    mls_job_free(job);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_str_eq(seen.events, "oprcx");
    const mls_worker_stats stats = stats_of(worker);
    ck_assert_uint_eq(stats.claimed, 1);
    ck_assert_uint_eq(stats.succeeded, 1);
    ck_assert_uint_gt(stats.run_ns, 0);
    mls_worker_free(worker);
}
END_TEST

static mls_status fail_with_message(void *slot, mls_job *job)
{
    (void) slot;
    mls_job *other;
    (void) job;
    note("r");
    return mls_queue_get(queue, UINT64_MAX, &other);
}

static mls_status fail_without_message(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    return (mls_status) 77;
}

/* Fails with a final error that overrules the returned status, and a retry that is not made. */
static mls_status fail_finally(void *slot, mls_job *job)
{
    (void) slot;
    ck_assert_ok(mls_job_set_result(job, "dropped", 7));
    ck_assert_ok(mls_job_fail(job, MLS_EFORMAT, "row 7 is text", MLS_FAIL_FINAL));
    return MLS_OK;
}

static mls_job *run_to_end(mls_status (*run)(void *, mls_job *), uint32_t max_attempts)
{
    mls_handler handler = log_handler();
    handler.run = run;
    mls_worker *worker = start(1, &handler);
    mls_job_options options = fixture_options("t", NULL);
    options.max_attempts = max_attempts;
    options.backoff_ms = 0;
    mls_job *job = fixture_wait(queue, fixture_submit(queue, &options));
    mls_worker_free(worker);
    return job;
}

START_TEST(the_librarys_message_is_kept)
{
    mls_job *job = run_to_end(fail_with_message, 1);
    ck_assert_int_eq(fixture_info(job).error, MLS_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(fixture_info(job).error_message, "there is no job"));
    ck_assert_int_eq(seen.last_cleanup, MLS_ENOTFOUND);
    ck_assert_str_eq(seen.events, "oprcx");
    mls_job_free(job);
}
END_TEST

START_TEST(messages_of_others_are_not_kept)
{
    mls_job_free(run_to_end(fail_with_message, 1));
    mls_job *job = run_to_end(fail_without_message, 1);
    ck_assert_int_eq(fixture_info(job).error, MLS_EHANDLER);
    ck_assert_str_eq(fixture_info(job).error_message, "");
    mls_job_free(job);
}
END_TEST

START_TEST(failures_are_tried_again)
{
    mls_job *job = run_to_end(fail_with_message, 3);
    ck_assert_str_eq(seen.events, "oprcprcprcx");
    ck_assert_uint_eq(fixture_info(job).attempt, 3);
    mls_job_free(job);
}
END_TEST

START_TEST(a_handler_can_decide)
{
    mls_job *job = run_to_end(fail_finally, 5);
    ck_assert_str_eq(fixture_info(job).error_message, "row 7 is text");
    ck_assert_int_eq(seen.last_cleanup, MLS_EFORMAT);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    mls_job_free(job);
}
END_TEST

static mls_status release_first(void *slot, mls_job *job)
{
    (void) slot;
    note("r");
    return fixture_info(job).epoch == 1 ? mls_job_release(job) : MLS_OK;
}

START_TEST(a_released_job_runs_again)
{
    mls_job *job = run_to_end(release_first, 1);
    ck_assert_str_eq(seen.events, "oprcprcx");
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_SUCCEEDED);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    mls_job_free(job);
}
END_TEST

static mls_status fail_prepare(void *slot, mls_job *job)
{
    log_prepare(slot, job);
    return MLS_ERANGE;
}

static mls_status complete_prepare(void *slot, mls_job *job)
{
    log_prepare(slot, job);
    ck_assert_ok(mls_job_set_result(job, "early", 5));
    return mls_job_complete(job);
}

START_TEST(cleanup_follows_a_failed_prepare)
{
    mls_handler handler = log_handler();
    handler.prepare = fail_prepare;
    mls_worker *worker = start(1, &handler);
    mls_job *job = fixture_wait(queue, fixture_submit_type(queue, "t"));
    ck_assert_str_eq(seen.events, "opc");
    ck_assert_int_eq(seen.last_cleanup, MLS_ERANGE);
    ck_assert_int_eq(fixture_info(job).error, MLS_ERANGE);
    mls_job_free(job);
    mls_worker_free(worker);
}
END_TEST

START_TEST(prepare_may_take_the_place_of_run)
{
    mls_handler handler = log_handler();
    handler.prepare = complete_prepare;
    mls_worker *worker = start(1, &handler);
    mls_job *job = fixture_wait(queue, fixture_submit_type(queue, "t"));
    ck_assert_str_eq(seen.events, "opc");
    ck_assert_ok(mls_job_result(job, NULL, NULL));
    mls_job_free(job);
    mls_worker_free(worker);
}
END_TEST

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
    mls_handler handler = log_handler();
    handler.run = run_until_stopped;
    mls_worker *worker = start(1, &handler);
    const uint64_t id = fixture_submit_type(queue, "t");
    gate_await(&barrier, 1);
    ck_assert_ok(mls_queue_cancel(queue, id));
    gate_open(&barrier);
    mls_job *job = fixture_wait(queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_CANCELLED);
    ck_assert_int_eq(seen.last_cleanup, MLS_ECANCELLED);
    mls_job_free(job);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_uint_eq(stats_of(worker).cancelled, 1);
    mls_worker_free(worker);
}
END_TEST

START_TEST(stopping_tells_handlers)
{
    mls_handler handler = log_handler();
    handler.run = run_until_stopped;
    mls_worker *worker = start(1, &handler);
    const uint64_t id = fixture_submit_type(queue, "t");
    const uint64_t waiting = fixture_submit_type(queue, "t");
    gate_open(&barrier);
    gate_await(&barrier, 1);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_READY);
    ck_assert_int_eq(fixture_state(queue, waiting), MLS_JOB_READY);
    ck_assert_uint_eq(stats_of(worker).released, 1);
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
    mls_handler handler = log_handler();
    handler.run = run_past_stop;
    mls_worker *worker = start(2, &handler);
    const uint64_t ids[] = {fixture_submit_type(queue, "t"), fixture_submit_type(queue, "t")};
    gate_await(&barrier, 2);
    ck_assert_fails(mls_worker_stop(worker, 0, 0), MLS_ETIMEDOUT, "2 jobs");
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job = fixture_claim(claimer);
    ck_assert_ok(mls_job_set_result(job, "other", 5));
    ck_assert_ok(mls_job_complete(job));
    const uint64_t done = mls_job_id(job);
    mls_job_free(job);
    gate_open(&barrier);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_uint_eq(reasons_seen & MLS_STOP_LOST, MLS_STOP_LOST);
    ck_assert_uint_eq(stats_of(worker).stale, 2);
    ck_assert_uint_eq(stats_of(worker).succeeded, 0);
    const void *data;
    job = fixture_wait(queue, done);
    ck_assert_ok(mls_job_result(job, &data, NULL));
    ck_assert_mem_eq(data, "other", 5);
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(queue, done == ids[0] ? ids[1] : ids[0]), MLS_JOB_READY);
    mls_claimer_close(claimer);
    mls_worker_free(worker);
}
END_TEST

START_TEST(draining_runs_what_is_ready)
{
    const mls_handler handler = log_handler();
    mls_worker *worker = create(2, &handler);
    for (int i = 0; i < 20; i++)
        fixture_submit_type(queue, "t");
    const uint64_t other = fixture_submit_type(queue, "unserved");
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 20);
    ck_assert_int_eq(fixture_state(queue, other), MLS_JOB_READY);
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
    mls_handler handler = log_handler();
    handler.run = stop_myself;
    own = start(1, &handler);
    gate_open(&barrier);
    mls_job *job = fixture_wait(queue, fixture_submit_type(queue, "t"));
    ck_assert_int_eq(fixture_info(job).error, MLS_ESTATE);
    mls_job_free(job);
    mls_worker_free(own);
}
END_TEST

START_TEST(slots_run_side_by_side)
{
    mls_handler handler = log_handler();
    handler.run = run_past_stop;
    mls_worker *worker = start(4, &handler);
    for (int i = 0; i < 4; i++)
        fixture_submit_type(queue, "t");
    gate_await(&barrier, 4);
    gate_open(&barrier);
    ck_assert_ok(mls_queue_drain(queue, 10000));
    mls_worker_free(worker);
}
END_TEST

/* Each slot has what its own slot_open gave. */
static _Atomic(pthread_t) slot_threads[3];

static mls_status own_open(void *user, uint32_t index, void **ret_slot)
{
    ck_assert_ptr_eq(user, slot_threads);
    slot_threads[index] = pthread_self();
    *ret_slot = &slot_threads[index];
    return MLS_OK;
}

static mls_status own_run(void *slot, mls_job *job)
{
    (void) job;
    ck_assert(pthread_equal(*(_Atomic(pthread_t) *) slot, pthread_self()));
    gate_pass(&barrier);
    return MLS_OK;
}

START_TEST(each_slot_has_its_own_state)
{
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.user = slot_threads;
    handler.slot_open = own_open;
    handler.run = own_run;
    mls_worker *worker = start(3, &handler);
    for (int i = 0; i < 30; i++)
        fixture_submit_type(queue, "t");
    gate_await(&barrier, 3);
    gate_open(&barrier);
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(stats_of(worker).succeeded, 30);
    mls_worker_free(worker);
}
END_TEST

static bool open_fails = true;

static mls_status fail_third(void *user, uint32_t index, void **ret_slot)
{
    log_open(user, index, ret_slot);
    mls_job *job;
    return index == 2 && open_fails ? mls_queue_get(queue, 999, &job) : MLS_OK;
}

START_TEST(a_failed_slot_fails_the_start)
{
    mls_handler handler = log_handler();
    handler.slot_open = fail_third;
    mls_worker *worker = create(4, &handler);
    ck_assert_fails(mls_worker_start(worker), MLS_ENOTFOUND, "there is no job 999");
    ck_assert_uint_eq(strlen(seen.events), 7); /* four opened, three of them closed */
    ck_assert_fails(mls_worker_stop(worker, 0, -1), MLS_ESTATE, "not started");
    open_fails = false;
    ck_assert_ok(mls_worker_start(worker));
    mls_job_free(fixture_wait(queue, fixture_submit_type(queue, "t")));
    mls_worker_free(worker);
}
END_TEST

/* The slot is in the first of three jobs that it claimed; the second is cancelled. */
START_TEST(cancelled_jobs_are_not_begun)
{
    mls_handler handler = log_handler();
    handler.run = run_past_stop;
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.prefetch = 3;
    uint64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = fixture_submit_type(queue, "t");
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_start(worker));
    gate_await(&barrier, 1);
    ck_assert_int_eq(fixture_state(queue, ids[2]), MLS_JOB_RUNNING);
    ck_assert_int_eq(fixture_state(queue, ids[3]), MLS_JOB_READY);
    ck_assert_ok(mls_queue_cancel(queue, ids[1]));
    gate_open(&barrier);
    ck_assert_ok(mls_queue_drain(queue, 10000));
    ck_assert_int_eq(fixture_state(queue, ids[0]), MLS_JOB_SUCCEEDED);
    ck_assert_int_eq(fixture_state(queue, ids[1]), MLS_JOB_CANCELLED);
    ck_assert_int_eq(fixture_state(queue, ids[2]), MLS_JOB_SUCCEEDED);
    ck_assert_str_eq(seen.events, "opcpcpc");
    mls_worker_free(worker);
}
END_TEST

START_TEST(claimed_jobs_go_back_at_stop)
{
    mls_handler handler = log_handler();
    handler.run = run_until_stopped;
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.prefetch = 3;
    for (int i = 0; i < 3; i++)
        fixture_submit_type(queue, "t");
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_start(worker));
    gate_await(&barrier, 1);
    gate_open(&barrier);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], 3);
    ck_assert_str_eq(seen.events, "opcx"); /* two were not begun */
    mls_worker_free(worker);
}
END_TEST

START_TEST(workers_serve_their_queues)
{
    const char *const names[] = {"gpu", "fast"};
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.queues = names;
    options.queue_count = 2;
    const mls_handler handler = log_handler();
    mls_worker *worker;
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    const uint64_t other = fixture_submit_type(queue, "t");
    mls_job_options job = fixture_options("t", NULL);
    job.queue = "fast";
    fixture_submit(queue, &job);
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 1);
    ck_assert_int_eq(fixture_state(queue, other), MLS_JOB_READY);
    mls_worker_free(worker);
}
END_TEST

START_TEST(arguments_are_checked)
{
    mls_worker *worker = NULL;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = 0;
    ck_assert_fails(mls_worker_create(queue, &options, &worker), MLS_EINVAL, "slots is 0");
    options.slots = MLS_SLOTS_MAX + 1;
    ck_assert_fails(mls_worker_create(queue, &options, &worker), MLS_EINVAL, "slots is 1025");
    options.slots = 1;
    options.prefetch = MLS_BATCH_MAX + 1;
    ck_assert_fails(mls_worker_create(queue, &options, &worker), MLS_EINVAL, "prefetch");
    options.prefetch = 0;
    options.queue_count = 1;
    ck_assert_fails(mls_worker_create(queue, &options, &worker), MLS_EINVAL, "queues is NULL");
    ck_assert_fails(mls_worker_create(NULL, NULL, &worker), MLS_EINVAL, "NULL");
    ck_assert_ok(mls_worker_create(queue, NULL, &worker));
    ck_assert_fails(mls_worker_start(worker), MLS_ESTATE, "no handler");
    mls_handler handler = MLS_HANDLER_INIT;
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EINVAL, "type is NULL");
    handler.type = "a b";
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EINVAL, "mls_handler.type");
    handler.type = "t";
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EINVAL, "neither run");
    handler = log_handler();
    handler.batch_max = MLS_BATCH_MAX + 1;
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EINVAL, "batch_max");
    handler.batch_max = 0;
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EEXIST, "'t'");
    ck_assert_fails(mls_worker_stop(worker, 0, 0), MLS_ESTATE, "not started");
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_fails(mls_worker_start(worker), MLS_ESTATE, "before");
    handler.type = "u";
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_ESTATE, "too late");
    ck_assert_fails(mls_worker_stop(worker, 2, 0), MLS_EINVAL, "flags");
    mls_worker_free(worker);
    mls_worker_free(NULL);
}
END_TEST

START_TEST(a_forked_child_is_told)
{
    const mls_handler handler = log_handler();
    mls_worker *worker = start(2, &handler);
    const pid_t child = fork();
    if (child == 0) {
        const bool told = mls_worker_stop(worker, 0, -1) == MLS_EFORKED;
        mls_worker_free(worker);
        mls_queue_close(queue);
        _exit(told ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mls_job_free(fixture_wait(queue, fixture_submit_type(queue, "t")));
    mls_worker_free(worker);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/worker");
    TCase *tests = tcase_create("worker");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_attempt_takes_its_course);
    tcase_add_test(tests, the_librarys_message_is_kept);
    tcase_add_test(tests, messages_of_others_are_not_kept);
    tcase_add_test(tests, failures_are_tried_again);
    tcase_add_test(tests, a_handler_can_decide);
    tcase_add_test(tests, a_released_job_runs_again);
    tcase_add_test(tests, cleanup_follows_a_failed_prepare);
    tcase_add_test(tests, prepare_may_take_the_place_of_run);
    tcase_add_test(tests, a_running_job_is_cancelled);
    tcase_add_test(tests, stopping_tells_handlers);
    tcase_add_test(tests, jobs_are_given_back_when_time_is_over);
    tcase_add_test(tests, draining_runs_what_is_ready);
    tcase_add_test(tests, a_handler_cannot_stop_its_worker);
    tcase_add_test(tests, slots_run_side_by_side);
    tcase_add_test(tests, each_slot_has_its_own_state);
    tcase_add_test(tests, a_failed_slot_fails_the_start);
    tcase_add_test(tests, cancelled_jobs_are_not_begun);
    tcase_add_test(tests, claimed_jobs_go_back_at_stop);
    tcase_add_test(tests, workers_serve_their_queues);
    tcase_add_test(tests, arguments_are_checked);
    tcase_add_test(tests, a_forked_child_is_told);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
