/* SPDX-License-Identifier: Apache-2.0 */
/* Workers whose handlers run on the host's thread: the descriptor, polling, stopping. */
#include "job/worker_fixture.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_t host;
static unsigned ran;

static mls_status run_here(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    ck_assert(pthread_equal(pthread_self(), host));
    ran++;
    return MLS_OK;
}

static mls_worker *create_polled(uint32_t slots, uint32_t prefetch, const mls_handler *handler)
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = slots;
    options.prefetch = prefetch;
    options.flags = MLS_WORKER_POLLED;
    ck_assert_ok(mls_worker_create(worker_queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, handler));
    host = pthread_self();
    ran = 0;
    return worker;
}

static mls_worker *start_polled(uint32_t slots, uint32_t prefetch, const mls_handler *handler)
{
    mls_worker *worker = create_polled(slots, prefetch, handler);
    ck_assert_ok(mls_worker_start(worker));
    return worker;
}

static mls_handler here(void)
{
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.run = run_here;
    return handler;
}

/* Whether the worker's descriptor is readable within that time; -1 waits for it. */
static bool is_readable(const mls_worker *worker, int timeout_ms)
{
    struct pollfd end = {-1, POLLIN, 0};
    ck_assert_ok(mls_worker_fd(worker, &end.fd));
    return poll(&end, 1, timeout_ms) == 1;
}

static size_t poll_worker(mls_worker *worker, size_t max_jobs)
{
    size_t count = SIZE_MAX;
    ck_assert_ok(mls_worker_poll(worker, max_jobs, 0, &count));
    return count;
}

static void submit(int count)
{
    for (int i = 0; i < count; i++)
        fixture_submit_type(worker_queue, "t");
}

START_TEST(a_polled_attempt_takes_its_course)
{
    const mls_handler handler = worker_handler();
    mls_worker *worker = start_polled(1, 1, &handler);
    ck_assert_str_eq(worker_log.events, "o"); /* by this thread: no other runs handlers */
    ck_assert(!is_readable(worker, 0));
    ck_assert_uint_eq(poll_worker(worker, 0), 0);
    const uint64_t id = fixture_submit_type(worker_queue, "t");
    ck_assert(is_readable(worker, -1));
    ck_assert_int_eq(fixture_state(worker_queue, id), MLS_JOB_RUNNING); /* claimed ahead */
    ck_assert_str_eq(worker_log.events, "o");
    ck_assert_uint_eq(poll_worker(worker, 0), 1);
    ck_assert_str_eq(worker_log.events, "oprc");
    ck_assert(!is_readable(worker, 0));
    mls_job *job = fixture_wait(worker_queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_SUCCEEDED);
    mls_job_free(job);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_str_eq(worker_log.events, "oprcx");
    ck_assert_uint_gt(worker_stats(worker).run_ns, 0);
    mls_worker_free(worker);
}
END_TEST

START_TEST(polls_are_bounded)
{
    const mls_handler handler = here();
    submit(7);
    mls_worker *worker = start_polled(1, 5, &handler);
    ck_assert(is_readable(worker, -1));
    ck_assert_uint_eq(poll_worker(worker, 2), 2);
    ck_assert(is_readable(worker, 0)); /* three are left of what was claimed */
    size_t count;
    ck_assert_ok(mls_worker_poll(worker, 0, 1, &count)); /* the time is soon over */
    ck_assert_uint_ge(count, 1);
    while (ran < 7) {
        ck_assert(is_readable(worker, -1));
        ck_assert_ok(mls_worker_poll(worker, 1, 1000000, NULL));
    }
    ck_assert_ok(mls_queue_drain(worker_queue, 60000));
    ck_assert_uint_eq(fixture_stats(worker_queue).succeeded, 7);
    mls_worker_free(worker);
}
END_TEST

START_TEST(many_slots_stand_in_one_line)
{
    const mls_handler handler = here();
    mls_worker *worker = start_polled(4, 3, &handler);
    submit(200);
    while (ran < 200) {
        ck_assert(is_readable(worker, -1));
        ck_assert_uint_gt(poll_worker(worker, 0), 0);
    }
    ck_assert_ok(mls_queue_drain(worker_queue, 60000));
    ck_assert(!is_readable(worker, 0));
    ck_assert_uint_eq(fixture_stats(worker_queue).succeeded, 200);
    mls_worker_free(worker);
}
END_TEST

static mls_status run_batch_here(void *slot, mls_job *const *jobs, size_t count)
{
    (void) jobs;
    for (size_t i = 0; i < count; i++)
        run_here(slot, jobs[i]);
    return MLS_OK;
}

START_TEST(a_polled_batch_is_not_divided)
{
    mls_handler handler = here();
    handler.run_batch = run_batch_here;
    handler.batch_max = 4;
    submit(4);
    mls_worker *worker = start_polled(1, 1, &handler);
    ck_assert(is_readable(worker, -1));
    ck_assert_uint_eq(poll_worker(worker, 1), 4);
    ck_assert_ok(mls_queue_drain(worker_queue, 60000));
    ck_assert_uint_eq(worker_stats(worker).batches, 1);
    mls_worker_free(worker);
}
END_TEST

START_TEST(a_job_cancelled_before_the_poll_is_not_run)
{
    const mls_handler handler = here();
    mls_worker *worker = start_polled(1, 1, &handler);
    const uint64_t id = fixture_submit_type(worker_queue, "t");
    ck_assert(is_readable(worker, -1));
    ck_assert_ok(mls_queue_cancel(worker_queue, id));
    ck_assert_uint_eq(poll_worker(worker, 0), 1);
    mls_job *job = fixture_wait(worker_queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_CANCELLED);
    mls_job_free(job);
    ck_assert_uint_eq(ran, 0);
    mls_worker_free(worker);
}
END_TEST

START_TEST(what_waits_for_the_host_goes_back_at_stop)
{
    const mls_handler handler = here();
    submit(3);
    mls_worker *worker = start_polled(1, 2, &handler);
    ck_assert(is_readable(worker, -1));
    ck_assert_ok(mls_worker_stop(worker, 0, 0));
    ck_assert_uint_eq(ran, 0);
    ck_assert_uint_eq(fixture_stats(worker_queue).jobs[MLS_JOB_READY], 3);
    ck_assert_uint_eq(worker_stats(worker).released, 2);
    ck_assert_fails(mls_worker_poll(worker, 0, 0, NULL), MLS_ESTATE, "not running");
    ck_assert_ok(mls_worker_stop(worker, 0, 0));
    mls_worker_free(worker);
}
END_TEST

START_TEST(stop_drains_on_the_calling_thread)
{
    const mls_handler handler = here();
    submit(20);
    mls_worker *worker = start_polled(2, 3, &handler);
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    ck_assert_uint_eq(ran, 20);
    ck_assert_uint_eq(fixture_stats(worker_queue).succeeded, 20);
    mls_worker_free(worker);
}
END_TEST

START_TEST(a_late_drain_gives_the_rest_back)
{
    const mls_handler handler = here();
    submit(20);
    mls_worker *worker = start_polled(2, 3, &handler);
    ck_assert_fails(mls_worker_stop(worker, MLS_WORKER_DRAIN, 0), MLS_ETIMEDOUT, "given back");
    ck_assert_uint_eq(fixture_stats(worker_queue).jobs[MLS_JOB_RUNNING], 0);
    ck_assert_uint_eq(fixture_stats(worker_queue).jobs[MLS_JOB_READY], 20 - ran);
    mls_worker_free(worker);
}
END_TEST

static mls_worker *own;
static mls_status stop_status, poll_status;

static mls_status drive_myself(void *slot, mls_job *job)
{
    stop_status = mls_worker_stop(own, 0, -1);
    poll_status = mls_worker_poll(own, 0, 0, NULL);
    return run_here(slot, job);
}

START_TEST(a_handler_cannot_drive_its_worker)
{
    mls_handler handler = here();
    handler.run = drive_myself;
    own = start_polled(1, 1, &handler);
    submit(1);
    ck_assert(is_readable(own, -1));
    ck_assert_uint_eq(poll_worker(own, 0), 1);
    ck_assert_int_eq(stop_status, MLS_ESTATE);
    ck_assert_int_eq(poll_status, MLS_ESTATE);
    ck_assert_ok(mls_worker_stop(own, 0, -1)); /* outside of it: possible again */
    mls_worker_free(own);
}
END_TEST

static mls_status fail_second(void *user, uint32_t index, void **ret_slot)
{
    return index == 1 ? mls_queue_get(worker_queue, UINT64_MAX, &(mls_job *){NULL})
                      : worker_log_open(user, index, ret_slot);
}

START_TEST(a_failed_slot_fails_a_polled_start)
{
    mls_handler handler = worker_handler();
    handler.slot_open = fail_second;
    mls_worker *worker = create_polled(3, 1, &handler);
    ck_assert_fails(mls_worker_start(worker), MLS_ENOTFOUND, "there is no job");
    ck_assert_str_eq(worker_log.events, "ox");
    ck_assert_fails(mls_worker_poll(worker, 0, 0, NULL), MLS_ESTATE, "not running");
    mls_worker_free(worker);
}
END_TEST

START_TEST(only_polled_workers_are_polled)
{
    const mls_handler handler = worker_handler();
    mls_worker *worker = worker_start(1, &handler);
    int fd;
    ck_assert_fails(mls_worker_fd(worker, &fd), MLS_ESTATE, "MLS_WORKER_POLLED");
    ck_assert_fails(mls_worker_poll(worker, 0, 0, NULL), MLS_ESTATE, "MLS_WORKER_POLLED");
    ck_assert_fails(mls_worker_fd(NULL, &fd), MLS_EINVAL, "worker");
    ck_assert_fails(mls_worker_poll(NULL, 0, 0, NULL), MLS_EINVAL, "worker");
    mls_worker_free(worker);
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.flags = 2;
    ck_assert_fails(mls_worker_create(worker_queue, &options, &worker), MLS_EINVAL, "flags");
}
END_TEST

START_TEST(a_forked_child_cannot_poll)
{
    const mls_handler handler = here();
    mls_worker *worker = start_polled(1, 1, &handler);
    const pid_t child = fork();
    if (child == 0)
        _exit(mls_worker_poll(worker, 0, 0, NULL) == MLS_EFORKED ? 0 : 1);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mls_worker_free(worker);
}
END_TEST

void add_worker_polls(TCase *tests)
{
    tcase_add_test(tests, a_polled_attempt_takes_its_course);
    tcase_add_test(tests, polls_are_bounded);
    tcase_add_test(tests, many_slots_stand_in_one_line);
    tcase_add_test(tests, a_polled_batch_is_not_divided);
    tcase_add_test(tests, a_job_cancelled_before_the_poll_is_not_run);
    tcase_add_test(tests, what_waits_for_the_host_goes_back_at_stop);
    tcase_add_test(tests, stop_drains_on_the_calling_thread);
    tcase_add_test(tests, a_late_drain_gives_the_rest_back);
    tcase_add_test(tests, a_handler_cannot_drive_its_worker);
    tcase_add_test(tests, a_failed_slot_fails_a_polled_start);
    tcase_add_test(tests, only_polled_workers_are_polled);
    tcase_add_test(tests, a_forked_child_cannot_poll);
}
