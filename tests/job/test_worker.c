/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: the course of an attempt, slots, starting. */
#include "job/worker_fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(an_attempt_takes_its_course)
{
    const mls_handler handler = worker_handler();
    mls_worker *worker = worker_start(1, &handler);
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(worker_queue, fixture_submit_type(worker_queue, "t"));
    ck_assert_str_eq(worker_log.events, "oprc"); /* before the waiter knows */
    ck_assert_int_eq(worker_log.last_cleanup, MLS_OK);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_mem_eq(data, "ok", 2);
    ck_assert_str_eq(fixture_info(job).owner, "w1");
    mls_job_free(job);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_str_eq(worker_log.events, "oprcx");
    const mls_worker_stats stats = worker_stats(worker);
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
    worker_note("r");
    return mls_queue_get(worker_queue, UINT64_MAX, &other);
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
    mls_handler handler = worker_handler();
    handler.run = run;
    mls_worker *worker = worker_start(1, &handler);
    mls_job_options options = fixture_options("t", NULL);
    options.max_attempts = max_attempts;
    options.backoff_ms = 0;
    mls_job *job = fixture_wait(worker_queue, fixture_submit(worker_queue, &options));
    mls_worker_free(worker);
    return job;
}

START_TEST(the_librarys_message_is_kept)
{
    mls_job *job = run_to_end(fail_with_message, 1);
    ck_assert_int_eq(fixture_info(job).error, MLS_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(fixture_info(job).error_message, "there is no job"));
    ck_assert_int_eq(worker_log.last_cleanup, MLS_ENOTFOUND);
    ck_assert_str_eq(worker_log.events, "oprcx");
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
    ck_assert_str_eq(worker_log.events, "oprcprcprcx");
    ck_assert_uint_eq(fixture_info(job).attempt, 3);
    mls_job_free(job);
}
END_TEST

START_TEST(a_handler_can_decide)
{
    mls_job *job = run_to_end(fail_finally, 5);
    ck_assert_str_eq(fixture_info(job).error_message, "row 7 is text");
    ck_assert_int_eq(worker_log.last_cleanup, MLS_EFORMAT);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    mls_job_free(job);
}
END_TEST

static mls_status release_first(void *slot, mls_job *job)
{
    (void) slot;
    worker_note("r");
    return fixture_info(job).epoch == 1 ? mls_job_release(job) : MLS_OK;
}

START_TEST(a_released_job_runs_again)
{
    mls_job *job = run_to_end(release_first, 1);
    ck_assert_str_eq(worker_log.events, "oprcprcx");
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_SUCCEEDED);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    mls_job_free(job);
}
END_TEST

static mls_status fail_prepare(void *slot, mls_job *job)
{
    worker_log_prepare(slot, job);
    return MLS_ERANGE;
}

static mls_status complete_prepare(void *slot, mls_job *job)
{
    worker_log_prepare(slot, job);
    ck_assert_ok(mls_job_set_result(job, "early", 5));
    return mls_job_complete(job);
}

START_TEST(cleanup_follows_a_failed_prepare)
{
    mls_handler handler = worker_handler();
    handler.prepare = fail_prepare;
    mls_worker *worker = worker_start(1, &handler);
    mls_job *job = fixture_wait(worker_queue, fixture_submit_type(worker_queue, "t"));
    ck_assert_str_eq(worker_log.events, "opc");
    ck_assert_int_eq(worker_log.last_cleanup, MLS_ERANGE);
    ck_assert_int_eq(fixture_info(job).error, MLS_ERANGE);
    mls_job_free(job);
    mls_worker_free(worker);
}
END_TEST

START_TEST(prepare_may_take_the_place_of_run)
{
    mls_handler handler = worker_handler();
    handler.prepare = complete_prepare;
    mls_worker *worker = worker_start(1, &handler);
    mls_job *job = fixture_wait(worker_queue, fixture_submit_type(worker_queue, "t"));
    ck_assert_str_eq(worker_log.events, "opc");
    ck_assert_ok(mls_job_result(job, NULL, NULL));
    mls_job_free(job);
    mls_worker_free(worker);
}
END_TEST

static gate barrier = GATE_INIT;

static mls_status run_at_barrier(void *slot, mls_job *job)
{
    (void) slot;
    gate_pass(&barrier);
    return mls_job_set_result(job, "ok", 2);
}

START_TEST(slots_run_side_by_side)
{
    mls_handler handler = worker_handler();
    handler.run = run_at_barrier;
    mls_worker *worker = worker_start(4, &handler);
    for (int i = 0; i < 4; i++)
        fixture_submit_type(worker_queue, "t");
    gate_await(&barrier, 4);
    gate_open(&barrier);
    ck_assert_ok(mls_queue_drain(worker_queue, 60000));
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
    mls_worker *worker = worker_start(3, &handler);
    for (int i = 0; i < 30; i++)
        fixture_submit_type(worker_queue, "t");
    gate_await(&barrier, 3);
    gate_open(&barrier);
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(worker_stats(worker).succeeded, 30);
    mls_worker_free(worker);
}
END_TEST

static bool open_fails = true;

static mls_status fail_third(void *user, uint32_t index, void **ret_slot)
{
    worker_log_open(user, index, ret_slot);
    mls_job *job;
    return index == 2 && open_fails ? mls_queue_get(worker_queue, 999, &job) : MLS_OK;
}

START_TEST(a_failed_slot_fails_the_start)
{
    mls_handler handler = worker_handler();
    handler.slot_open = fail_third;
    mls_worker *worker = worker_create(4, &handler);
    ck_assert_fails(mls_worker_start(worker), MLS_ENOTFOUND, "there is no job 999");
    ck_assert_uint_eq(strlen(worker_log.events), 7); /* four opened, three of them closed */
    ck_assert_fails(mls_worker_stop(worker, 0, -1), MLS_ESTATE, "not started");
    open_fails = false;
    ck_assert_ok(mls_worker_start(worker));
    mls_job_free(fixture_wait(worker_queue, fixture_submit_type(worker_queue, "t")));
    mls_worker_free(worker);
}
END_TEST

static atomic_bool looks_no_more;

static void *look_at_stats(void *worker)
{
    while (!looks_no_more) {
        worker_stats(worker);
        sched_yield(); /* where there is one core, to who starts */
    }
    return NULL;
}

/* Slots come with a start, and go when it fails. */
START_TEST(stats_are_of_any_thread)
{
    enum { STARTS = 100 };
    pthread_t thread;
    mls_handler handler = worker_handler();
    handler.slot_open = fail_third;
    open_fails = true;
    mls_worker *worker = worker_create(4, &handler);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_at_stats, worker), 0);
    for (int i = 0; i < STARTS; i++)
        ck_assert_int_eq(mls_worker_start(worker), MLS_ENOTFOUND);
    looks_no_more = true;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    mls_worker_free(worker);
}
END_TEST

START_TEST(workers_serve_their_queues)
{
    const char *const names[] = {"gpu", "fast"};
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.queues = names;
    options.queue_count = 2;
    const mls_handler handler = worker_handler();
    mls_worker *worker;
    ck_assert_ok(mls_worker_create(worker_queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    const uint64_t other = fixture_submit_type(worker_queue, "t");
    mls_job_options job = fixture_options("t", NULL);
    job.queue = "fast";
    fixture_submit(worker_queue, &job);
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(fixture_stats(worker_queue).succeeded, 1);
    ck_assert_int_eq(fixture_state(worker_queue, other), MLS_JOB_READY);
    mls_worker_free(worker);
}
END_TEST

static atomic_int running_now, running_most;

static mls_status count_running(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    const int now = atomic_fetch_add(&running_now, 1) + 1;
    if (now > running_most)
        running_most = now;
    sched_yield(); /* others would come in meanwhile */
    atomic_fetch_sub(&running_now, 1);
    return MLS_OK;
}

static void submit_needing(int64_t cpu_milli, int64_t memory_bytes, size_t count)
{
    mls_job_options options = fixture_options("t", NULL);
    options.needs = (mls_resources){cpu_milli, memory_bytes, 0};
    for (size_t i = 0; i < count; i++)
        fixture_submit(worker_queue, &options);
}

START_TEST(slots_share_a_capacity)
{
    const mls_resources capacity = {1000, 0, 0};
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    mls_handler handler = MLS_HANDLER_INIT;
    mls_worker *worker;
    options.slots = 4;
    options.capacity = &capacity;
    handler.type = "t";
    handler.run = count_running;
    running_most = 0;
    ck_assert_ok(mls_worker_create(worker_queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_start(worker));
    submit_needing(501, 0, 200);
    ck_assert_ok(mls_queue_drain(worker_queue, -1));
    ck_assert_int_eq(running_most, 1);
    mls_worker_free(worker);
}
END_TEST

START_TEST(a_worker_offers_its_machine)
{
    const mls_handler handler = worker_handler();
    mls_worker *worker = worker_start(2, &handler);
    submit_needing(MLS_CPU_MILLI_MAX, 0, 1);
    submit_needing(0, MLS_MEMORY_BYTES_MAX, 1);
    submit_needing(1, 1, 1);
    mls_job_free(fixture_wait(worker_queue, fixture_submit_type(worker_queue, "t")));
    ck_assert_uint_le(worker_stats(worker).claimed, 2); /* those that fit */
    mls_worker_free(worker);
}
END_TEST

START_TEST(arguments_are_checked)
{
    mls_worker *worker = NULL;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = 0;
    ck_assert_fails(mls_worker_create(worker_queue, &options, &worker), MLS_EINVAL, "slots is 0");
    options.slots = MLS_SLOTS_MAX + 1;
    ck_assert_fails(mls_worker_create(worker_queue, &options, &worker), MLS_EINVAL,
                    "slots is 1025");
    options.slots = 1;
    options.prefetch = MLS_BATCH_MAX + 1;
    ck_assert_fails(mls_worker_create(worker_queue, &options, &worker), MLS_EINVAL, "prefetch");
    options.prefetch = 0;
    options.queue_count = 1;
    ck_assert_fails(mls_worker_create(worker_queue, &options, &worker), MLS_EINVAL,
                    "queues is NULL");
    ck_assert_fails(mls_worker_create(NULL, NULL, &worker), MLS_EINVAL, "NULL");
    ck_assert_ok(mls_worker_create(worker_queue, NULL, &worker));
    ck_assert_fails(mls_worker_start(worker), MLS_ESTATE, "no handler");
    mls_handler handler = MLS_HANDLER_INIT;
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EINVAL, "type is NULL");
    handler.type = "a b";
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EINVAL, "mls_handler.type");
    handler.type = "t";
    ck_assert_fails(mls_worker_add_handler(worker, &handler), MLS_EINVAL, "neither run");
    handler = worker_handler();
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
    const mls_handler handler = worker_handler();
    mls_worker *worker = worker_start(2, &handler);
    const pid_t child = fork();
    if (child == 0) {
        const bool told = mls_worker_stop(worker, 0, -1) == MLS_EFORKED;
        mls_worker_free(worker);
        mls_queue_close(worker_queue);
        _exit(told ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mls_job_free(fixture_wait(worker_queue, fixture_submit_type(worker_queue, "t")));
    mls_worker_free(worker);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/worker");
    TCase *tests = tcase_create("worker");
    tcase_add_checked_fixture(tests, worker_setup, worker_teardown);
    tcase_add_test(tests, an_attempt_takes_its_course);
    tcase_add_test(tests, the_librarys_message_is_kept);
    tcase_add_test(tests, messages_of_others_are_not_kept);
    tcase_add_test(tests, failures_are_tried_again);
    tcase_add_test(tests, a_handler_can_decide);
    tcase_add_test(tests, a_released_job_runs_again);
    tcase_add_test(tests, cleanup_follows_a_failed_prepare);
    tcase_add_test(tests, prepare_may_take_the_place_of_run);
    add_worker_stops(tests);
    add_worker_polls(tests);
    tcase_add_test(tests, slots_run_side_by_side);
    tcase_add_test(tests, each_slot_has_its_own_state);
    tcase_add_test(tests, a_failed_slot_fails_the_start);
    tcase_add_test(tests, stats_are_of_any_thread);
    tcase_add_test(tests, workers_serve_their_queues);
    tcase_add_test(tests, slots_share_a_capacity);
    tcase_add_test(tests, a_worker_offers_its_machine);
    tcase_add_test(tests, arguments_are_checked);
    tcase_add_test(tests, a_forked_child_is_told);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
