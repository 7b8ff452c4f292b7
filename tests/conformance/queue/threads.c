/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads at once: nothing is lost, nothing runs twice, whoever sleeps wakes. */
#include "conformance/queue/suite.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SUBMITTERS = 3, CLAIMERS = 3, JOBS_EACH = 400, JOBS = SUBMITTERS * JOBS_EACH };

static atomic_uint completed[JOBS];
static atomic_uint completed_count;

static void *submit_jobs(void *arg)
{
    const uint32_t first = *(const uint32_t *) arg * JOBS_EACH;
    for (uint32_t i = first; i < first + JOBS_EACH; i++) {
        mls_job_options options = fixture_options(i % 2 ? "odd" : "even", NULL);
        options.payload = &i;
        options.payload_bytes = sizeof i;
        options.retention_ms = 0;
        options.max_attempts = 3;
        options.backoff_ms = 0;
        if (!conformance_can(MLS_QUEUE_CAN_RETRIES))
            options.max_attempts = 1;
        fixture_submit(the_queue, &options);
    }
    return NULL;
}

/* Every seventh job fails once, every eleventh is released once. */
static void run_job(mls_job *job)
{
    uint32_t number;
    memcpy(&number, mls_job_payload(job, NULL), sizeof number);
    const mls_job_info info = fixture_info(job);
    if (number % 7 == 0 && info.attempt < info.max_attempts) {
        ck_assert_ok(mls_job_fail(job, MLS_EIO, "once more", 0));
    } else if (number % 11 == 0 && info.epoch == 1) {
        ck_assert_ok(mls_job_release(job));
    } else {
        ck_assert_ok(mls_job_complete(job));
        atomic_fetch_add(&completed[number], 1);
        atomic_fetch_add(&completed_count, 1);
    }
    mls_job_free(job);
}

static void *claim_jobs(void *arg)
{
    mls_claimer *mine = arg;
    mls_job *jobs[4];
    size_t count;
    for (;;) {
        const mls_status status = mls_claimer_claim(mine, -1, 4, jobs, &count);
        if (status == MLS_ECANCELLED)
            return NULL;
        ck_assert_ok(status);
        for (size_t i = 0; i < count; i++)
            run_job(jobs[i]);
    }
}

START_TEST(every_job_is_completed_once)
{
    pthread_t submitters[SUBMITTERS], claimers[2 * CLAIMERS];
    uint32_t numbers[SUBMITTERS];
    mls_claimer *odd = fixture_claimer(the_queue, "odd");
    for (size_t i = 0; i < CLAIMERS; i++) {
        pthread_create(&claimers[2 * i], NULL, claim_jobs, the_claimer);
        pthread_create(&claimers[2 * i + 1], NULL, claim_jobs, odd);
    }
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        numbers[i] = i;
        pthread_create(&submitters[i], NULL, submit_jobs, &numbers[i]);
    }
    for (size_t i = 0; i < SUBMITTERS; i++)
        pthread_join(submitters[i], NULL);
    ck_assert_ok(mls_queue_drain(the_queue, 60000));
    mls_claimer_stop(the_claimer, 0);
    mls_claimer_stop(odd, 0);
    for (size_t i = 0; i < 2 * CLAIMERS; i++)
        pthread_join(claimers[i], NULL);
    ck_assert_uint_eq(completed_count, JOBS);
    for (size_t i = 0; i < JOBS; i++)
        ck_assert_uint_eq(completed[i], 1);
    const mls_queue_stats stats = fixture_stats(the_queue);
    ck_assert_uint_eq(stats.succeeded, JOBS);
    ck_assert_uint_eq(stats.jobs[0], 0);
    mls_claimer_close(odd);
}
END_TEST

static void *claim_one(void *arg)
{
    mls_job *job = fixture_claim(arg);
    ck_assert_ok(mls_job_set_result(job, "woken", 5));
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    return NULL;
}

START_TEST(sleeping_claims_wake)
{
    for (int round = 0; round < 50; round++) {
        pthread_t thread;
        pthread_create(&thread, NULL, claim_one, the_claimer);
        const uint64_t id = fixture_submit_type(the_queue, "t");
        mls_job *job = fixture_wait(the_queue, id);
        ck_assert_ok(mls_job_result(job, NULL, NULL));
        mls_job_free(job);
        pthread_join(thread, NULL);
    }
}
END_TEST

/* One thread that takes only what it serves must not swallow another's wake-up. */
START_TEST(each_claimer_wakes_for_its_own)
{
    mls_claimer *a = fixture_claimer(the_queue, "a");
    mls_claimer *b = fixture_claimer(the_queue, "b");
    for (int round = 0; round < 30; round++) {
        pthread_t threads[2];
        pthread_create(&threads[0], NULL, claim_one, a);
        pthread_create(&threads[1], NULL, claim_one, b);
        const uint64_t for_b = fixture_submit_type(the_queue, "b");
        const uint64_t for_a = fixture_submit_type(the_queue, "a");
        mls_job_free(fixture_wait(the_queue, for_a));
        mls_job_free(fixture_wait(the_queue, for_b));
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
    }
    mls_claimer_close(a);
    mls_claimer_close(b);
}
END_TEST

static void *wait_for_result(void *arg)
{
    const uint64_t id = *(const uint64_t *) arg;
    mls_job *job = fixture_wait(the_queue, id);
    const void *data;
    size_t size;
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_uint_eq(size, sizeof id);
    ck_assert_mem_eq(data, &id, sizeof id);
    mls_job_free(job);
    return NULL;
}

/* Jobs that are kept no longer than their end are still shown to those who wait. */
START_TEST(all_who_wait_get_the_result)
{
    pthread_t threads[6];
    uint64_t ids[3];
    mls_job_options options = fixture_options("t", NULL);
    for (size_t i = 0; i < 3; i++)
        ids[i] = fixture_submit(the_queue, &options);
    for (size_t i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, wait_for_result, &ids[i % 3]);
    for (size_t i = 0; i < 3; i++) {
        mls_job *job = fixture_claim(the_claimer);
        const uint64_t id = mls_job_id(job);
        ck_assert_ok(mls_job_set_result(job, &id, sizeof id));
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

static void *claim_until_stopped(void *arg)
{
    mls_job *job;
    size_t count;
    ck_assert_int_eq(mls_claimer_claim(arg, -1, 1, &job, &count), MLS_ECANCELLED);
    return NULL;
}

START_TEST(stopping_wakes_all)
{
    for (int round = 0; round < 20; round++) {
        pthread_t threads[3];
        mls_claimer *mine = fixture_claimer(the_queue, NULL);
        for (size_t i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, claim_until_stopped, mine);
        mls_claimer_stop(mine, round % 2 ? MLS_CLAIMER_DRAIN : 0);
        for (size_t i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        mls_claimer_close(mine);
    }
}
END_TEST

static void *drain(void *arg)
{
    (void) arg;
    ck_assert_ok(mls_queue_drain(the_queue, 60000));
    return NULL;
}

START_TEST(draining_wakes_at_the_last_end)
{
    pthread_t thread;
    const uint64_t id = fixture_submit_type(the_queue, "t");
    pthread_create(&thread, NULL, drain, NULL);
    fixture_complete(the_claimer, id, NULL);
    pthread_join(thread, NULL);
}
END_TEST

/* Claims that sleep are up when a scheduled job is due, also one that came later. */
START_TEST(sleeping_claims_wake_for_schedules)
{
    if (!conformance_can(MLS_QUEUE_CAN_SCHEDULES))
        return;
    pthread_t threads[2];
    uint64_t ids[2];
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, claim_one, the_claimer);
    mls_job_options options = fixture_options("t", NULL);
    options.delay_ms = 60;
    ids[0] = fixture_submit(the_queue, &options);
    options.delay_ms = 20;
    ids[1] = fixture_submit(the_queue, &options);
    for (size_t i = 0; i < 2; i++)
        mls_job_free(fixture_wait(the_queue, ids[i]));
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

/* Cancelled while they are being claimed: each ends, one way or the other. */
static void *cancel_jobs(void *arg)
{
    const uint64_t *ids = arg;
    for (size_t i = 0; i < JOBS_EACH; i++) {
        const mls_status status = mls_queue_cancel(the_queue, ids[i]);
        ck_assert(status == MLS_OK || status == MLS_ESTATE);
    }
    return NULL;
}

START_TEST(cancelling_races_with_claiming)
{
    if (!conformance_can(MLS_QUEUE_CAN_CANCEL))
        return;
    static uint64_t ids[JOBS_EACH];
    pthread_t canceller, thread;
    for (uint32_t i = 0; i < JOBS_EACH; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.payload = &i;
        options.payload_bytes = sizeof i;
        ids[i] = fixture_submit(the_queue, &options);
    }
    pthread_create(&thread, NULL, claim_jobs, the_claimer);
    pthread_create(&canceller, NULL, cancel_jobs, ids);
    pthread_join(canceller, NULL);
    ck_assert_ok(mls_queue_drain(the_queue, 60000));
    mls_claimer_stop(the_claimer, 0);
    pthread_join(thread, NULL);
    const mls_queue_stats stats = fixture_stats(the_queue);
    ck_assert_uint_eq(stats.succeeded + stats.cancelled + stats.dead, JOBS_EACH);
    ck_assert_uint_eq(stats.succeeded, completed_count);
}
END_TEST

START_TEST(a_forked_child_is_told)
{
    fixture_submit_type(the_queue, "t");
    const pid_t child = fork();
    if (child == 0) {
        mls_job *job;
        size_t count;
        const mls_job_options options = fixture_options("t", NULL);
        const bool told = mls_queue_submit(the_queue, &options, NULL) == MLS_EFORKED &&
                          mls_claimer_claim(the_claimer, -1, 1, &job, &count) == MLS_EFORKED &&
                          mls_queue_wait(the_queue, 1, -1, NULL) == MLS_EFORKED &&
                          mls_queue_get(the_queue, 1, &job) == MLS_EFORKED &&
                          mls_queue_cancel(the_queue, 1) == MLS_EFORKED &&
                          mls_queue_drain(the_queue, -1) == MLS_EFORKED;
        mls_claimer_close(the_claimer);
        mls_queue_close(the_queue);
        _exit(told ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mls_job_free(fixture_claim(the_claimer));
}
END_TEST

static unsigned polled;

static mls_status count_polled(void *user, mls_job *job)
{
    ck_assert(pthread_equal(pthread_self(), *(const pthread_t *) user));
    polled++;
    return mls_job_set_result(job, "here", 4);
}

/* A worker without threads for its handlers: its host sleeps on the descriptor. */
START_TEST(a_host_is_told_of_its_jobs)
{
    enum { COUNT = 30 };
    pthread_t self = pthread_self();
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    mls_handler handler = MLS_HANDLER_INIT;
    struct pollfd end = {-1, POLLIN, 0};
    options.flags = MLS_WORKER_POLLED;
    options.slots = 2;
    handler.type = "t";
    handler.user = &self;
    handler.run = count_polled;
    ck_assert_ok(mls_worker_create(the_queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_fd(worker, &end.fd));
    const uint64_t first = fixture_submit_type(the_queue, "t");
    for (int i = 1; i < COUNT; i++)
        fixture_submit_type(the_queue, "t");
    while (polled < COUNT) {
        ck_assert_int_eq(poll(&end, 1, 60000), 1);
        ck_assert_ok(mls_worker_poll(worker, 4, 0, NULL));
    }
    ck_assert_ok(mls_queue_drain(the_queue, 60000));
    mls_job *job = fixture_wait(the_queue, first);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_SUCCEEDED);
    mls_job_free(job);
    mls_worker_free(worker);
}
END_TEST

void conformance_add_threads(TCase *tests)
{
    tcase_add_test(tests, every_job_is_completed_once);
    tcase_add_test(tests, sleeping_claims_wake);
    tcase_add_test(tests, each_claimer_wakes_for_its_own);
    tcase_add_test(tests, all_who_wait_get_the_result);
    tcase_add_test(tests, stopping_wakes_all);
    tcase_add_test(tests, draining_wakes_at_the_last_end);
    tcase_add_test(tests, sleeping_claims_wake_for_schedules);
    tcase_add_test(tests, cancelling_races_with_claiming);
    tcase_add_test(tests, a_forked_child_is_told);
    tcase_add_test(tests, a_host_is_told_of_its_jobs);
}
