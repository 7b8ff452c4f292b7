/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitters and workers, many at once: every acknowledged job takes effect exactly
 * once, through retries, batches, cancellations, a queue that is nearly always full,
 * and workers that are stopped in the middle.
 */
#include "job/fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SUBMITTERS = 3, EACH = 1500, JOBS = SUBMITTERS * EACH };

static mls_queue *queue;
static uint64_t ids[JOBS];
static atomic_uint runs[JOBS];     /* that the handler called a success */
static atomic_uint attempts[JOBS]; /* that the handler saw */
static atomic_bool submitted_all;

static uint32_t number_of(const mls_job *job)
{
    uint32_t number;
    memcpy(&number, mls_job_payload(job, NULL), sizeof number);
    return number;
}

typedef struct submitter {
    uint32_t first;
    int64_t retention_ms;
    bool varied; /* priorities, batch keys, bulk submits */
} submitter;

static mls_job_options make_options(const submitter *s, const uint32_t *number)
{
    mls_job_options options = fixture_options(*number % 3 ? "single" : "batch", NULL);
    options.payload = number;
    options.payload_bytes = sizeof *number;
    options.retention_ms = s->retention_ms;
    options.room_timeout_ms = -1;
    options.max_attempts = 4;
    options.backoff_ms = 0;
    if (s->varied) {
        options.priority = (int32_t) (*number % 10);
        options.batch_key = *number % 2 ? "odd" : NULL;
    }
    return options;
}

static void *submit(void *arg)
{
    const submitter *s = arg;
    uint32_t numbers[5];
    mls_job_options options[5];
    for (uint32_t i = s->first; i < s->first + EACH;) {
        const uint32_t bulk = s->varied && i % 7 == 0 && i + 5 <= s->first + EACH ? 5 : 1;
        for (uint32_t b = 0; b < bulk; b++) {
            numbers[b] = i + b;
            options[b] = make_options(s, &numbers[b]);
        }
        ck_assert_ok(mls_queue_submit_many(queue, options, bulk, &ids[i]));
        i += bulk;
    }
    return NULL;
}

static mls_status run_single(void *slot, mls_job *job)
{
    (void) slot;
    const uint32_t number = number_of(job);
    if (atomic_fetch_add(&attempts[number], 1) < number % 4 % 3)
        return MLS_ERANGE; /* fails the first attempts */
    atomic_fetch_add(&runs[number], 1);
    return mls_job_set_result(job, &number, sizeof number);
}

static mls_status run_batch(void *slot, mls_job *const *jobs, size_t count)
{
    (void) slot;
    for (size_t i = 0; i < count; i++) {
        const uint32_t number = number_of(jobs[i]);
        if (atomic_fetch_add(&attempts[number], 1) < number % 4 % 3)
            ck_assert_ok(mls_job_fail(jobs[i], MLS_ERANGE, "not yet", 0));
        else
            ck_assert_ok(mls_job_set_result(jobs[i], &number, sizeof number));
        if (attempts[number] > number % 4 % 3)
            atomic_fetch_add(&runs[number], 1);
    }
    return MLS_OK;
}

static mls_worker *start_worker(uint32_t slots, uint32_t prefetch, uint32_t spin_us)
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = slots;
    options.prefetch = prefetch;
    options.spin_us = spin_us;
    mls_handler single = MLS_HANDLER_INIT, batch = MLS_HANDLER_INIT;
    single.type = "single";
    single.run = run_single;
    batch.type = "batch";
    batch.run_batch = run_batch;
    batch.batch_max = 8;
    batch.batch_wait_ms = 1;
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &single));
    ck_assert_ok(mls_worker_add_handler(worker, &batch));
    ck_assert_ok(mls_worker_start(worker));
    return worker;
}

static void start_submitters(pthread_t *threads, submitter *submitters, int64_t retention_ms,
                             bool varied)
{
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (submitter){i * EACH, retention_ms, varied};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, submit, &submitters[i]), 0);
    }
}

static void join_all(const pthread_t *threads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void expect_all_ran_once(void)
{
    for (uint32_t i = 0; i < JOBS; i++) {
        ck_assert_uint_eq(runs[i], 1);
        ck_assert_uint_eq(attempts[i], 1 + i % 4 % 3);
    }
    ck_assert_uint_eq(fixture_stats(queue).succeeded, JOBS);
}

START_TEST(through_a_full_queue)
{
    pthread_t threads[SUBMITTERS];
    submitter submitters[SUBMITTERS];
    queue = fixture_queue("memory:?capacity=16");
    mls_worker *worker = start_worker(3, _i == 1 ? 4 : 1, _i == 2 ? 20 : 0);
    start_submitters(threads, submitters, 0, _i > 0);
    join_all(threads, SUBMITTERS);
    ck_assert_ok(mls_queue_drain(queue, 60000));
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    expect_all_ran_once();
    ck_assert_uint_eq(fixture_stats(queue).jobs[0], 0);
    mls_worker_free(worker);
    mls_queue_close(queue);
}
END_TEST

static void expect_result(uint32_t number)
{
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(queue, ids[number]);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_uint_eq(size, sizeof number);
    ck_assert_mem_eq(data, &number, sizeof number);
    mls_job_free(job);
    ck_assert_ok(mls_queue_forget(queue, ids[number]));
}

START_TEST(results_are_those_of_their_jobs)
{
    pthread_t threads[SUBMITTERS];
    submitter submitters[SUBMITTERS];
    queue = fixture_queue("memory:");
    mls_worker *worker = start_worker(4, 1, 0);
    start_submitters(threads, submitters, 3600000, true);
    join_all(threads, SUBMITTERS);
    for (uint32_t i = 0; i < JOBS; i++)
        expect_result(i);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    expect_all_ran_once();
    mls_worker_free(worker);
    mls_queue_close(queue);
}
END_TEST

/* Workers come and go; each is stopped, some with no time for their jobs. */
START_TEST(through_workers_that_stop)
{
    pthread_t threads[SUBMITTERS];
    submitter submitters[SUBMITTERS];
    queue = fixture_queue("memory:?capacity=64");
    mls_worker *steady = start_worker(1, 2, 0);
    start_submitters(threads, submitters, 0, true);
    for (int round = 0; round < 40; round++) {
        mls_worker *worker = start_worker(2, 3, 0);
        const mls_status status =
            mls_worker_stop(worker, round % 4 == 0 ? MLS_WORKER_DRAIN : 0, round % 3 ? -1 : 0);
        ck_assert(status == MLS_OK || status == MLS_ETIMEDOUT);
        mls_worker_free(worker);
    }
    join_all(threads, SUBMITTERS);
    ck_assert_ok(mls_queue_drain(queue, 60000));
    mls_worker_free(steady);
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_eq(stats.submitted, JOBS);
    ck_assert_uint_eq(stats.succeeded, JOBS);
    ck_assert_uint_eq(stats.jobs[0], 0);
    /* A job whose claim was lost may have run before; it took effect once. */
    for (uint32_t i = 0; i < JOBS; i++)
        ck_assert_uint_ge(runs[i], 1);
    mls_queue_close(queue);
}
END_TEST

static void *cancel_some(void *arg)
{
    uint32_t *cancelled = arg;
    uint64_t random = 99;
    while (!atomic_load(&submitted_all)) {
        const uint64_t id = ids[mls_test_random_below(&random, JOBS)];
        if (mls_queue_cancel(queue, id) == MLS_OK)
            ++*cancelled;
    }
    return NULL;
}

START_TEST(through_cancellations)
{
    pthread_t canceller;
    uint32_t cancelled = 0;
    submitter submitters[SUBMITTERS];
    queue = fixture_queue("memory:");
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (submitter){i * EACH, 3600000, true};
        submit(&submitters[i]);
    }
    ck_assert_int_eq(pthread_create(&canceller, NULL, cancel_some, &cancelled), 0);
    mls_worker *worker = start_worker(3, 2, 0);
    ck_assert_ok(mls_queue_drain(queue, 60000));
    atomic_store(&submitted_all, true);
    pthread_join(canceller, NULL);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_eq(stats.succeeded + stats.cancelled, JOBS);
    for (uint32_t i = 0; i < JOBS; i++) {
        const int32_t state = fixture_state(queue, ids[i]);
        ck_assert(state == MLS_JOB_SUCCEEDED || state == MLS_JOB_CANCELLED);
        ck_assert_uint_eq(runs[i], state == MLS_JOB_SUCCEEDED);
    }
    mls_worker_free(worker);
    mls_queue_close(queue);
}
END_TEST

/* Jobs with nothing special, one at a time: claimed and ended without the mutex. */

enum { PLAIN_EACH = 2000, PLAIN_JOBS = SUBMITTERS * PLAIN_EACH };

static atomic_uint_fast64_t plain_ids[PLAIN_JOBS];
static atomic_uint plain_runs[PLAIN_JOBS];
static uint32_t plain_last[SUBMITTERS]; /* of each submitter's, where one slot runs them */
static atomic_bool plain_is_done, plain_is_unordered;

typedef struct plain_setup {
    uint32_t slots, spin_us, capacity;
    uint32_t wait_for;            /* submitters wait for the end of each so manieth job */
    void *(*disturb)(void *user); /* NULL: nobody does */
    bool is_ordered;
} plain_setup;

static const plain_setup *plain_is;

static mls_status run_plain(void *slot, mls_job *job)
{
    (void) slot;
    const uint32_t number = number_of(job);
    atomic_fetch_add(&plain_runs[number], 1);
    if (plain_is->slots == 1) {
        if (number < plain_last[number / PLAIN_EACH])
            atomic_store(&plain_is_unordered, true);
        plain_last[number / PLAIN_EACH] = number;
    }
    return number % 3 ? MLS_OK : mls_job_set_result(job, &number, sizeof number);
}

static void *submit_plain(void *arg)
{
    const uint32_t *first = arg;
    for (uint32_t i = *first; i < *first + PLAIN_EACH; i++) {
        mls_job_options options = fixture_options("plain", NULL);
        options.payload = &i;
        options.payload_bytes = sizeof i;
        options.retention_ms = plain_is->capacity ? 0 : 3600000;
        options.room_timeout_ms = -1;
        const uint64_t id = fixture_submit(queue, &options);
        atomic_store(&plain_ids[i], id);
        if (plain_is->wait_for && i % plain_is->wait_for == 0)
            ck_assert_ok(mls_queue_wait(queue, id, 60000, NULL));
    }
    return NULL;
}

/* Looks at jobs, each of which is in one state. */
static void *look_at_some(void *user)
{
    uint64_t random = 5;
    (void) user;
    while (!atomic_load(&plain_is_done)) {
        const uint64_t id = plain_ids[mls_test_random_below(&random, PLAIN_JOBS)];
        const mls_queue_stats stats = fixture_stats(queue);
        ck_assert_uint_eq(stats.jobs[MLS_JOB_READY] + stats.jobs[MLS_JOB_RUNNING] +
                              stats.jobs[MLS_JOB_SUCCEEDED],
                          stats.submitted);
        if (id)
            ck_assert_uint_le(fixture_look(queue, id).attempt, 1);
    }
    return NULL;
}

static void *cancel_plain(void *user)
{
    uint64_t random = 6;
    (void) user;
    while (!atomic_load(&plain_is_done))
        mls_queue_cancel(queue, plain_ids[mls_test_random_below(&random, PLAIN_JOBS)]);
    return NULL;
}

static void *pause_now_and_then(void *user)
{
    (void) user;
    mls_queue_filter plain = MLS_QUEUE_FILTER_INIT;
    plain.type = "plain";
    while (!atomic_load(&plain_is_done)) {
        ck_assert_ok(mls_queue_pause(queue, &plain));
        sched_yield();
        ck_assert_ok(mls_queue_resume(queue, &plain));
        sched_yield();
    }
    return NULL;
}

/* Jobs that go before those that are laid out, and claimers that come and go. */
static void *press_on(void *user)
{
    (void) user;
    while (!atomic_load(&plain_is_done)) {
        mls_job_options options = fixture_options("urgent", NULL);
        options.priority = MLS_PRIORITY_HIGHEST;
        options.retention_ms = 0;
        fixture_submit(queue, &options);
        mls_claimer *claimer = fixture_claimer(queue, NULL);
        mls_job *job;
        size_t count;
        if (mls_claimer_claim(claimer, 0, 1, &job, &count) == MLS_OK) {
            ck_assert_ok(mls_job_release(job));
            mls_job_free(job);
        }
        mls_claimer_close(claimer);
    }
    return NULL;
}

static mls_status run_urgent(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    return MLS_OK;
}

static mls_worker *start_plain_worker(const plain_setup *setup)
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = setup->slots;
    options.spin_us = setup->spin_us;
    mls_handler plain = MLS_HANDLER_INIT, urgent = MLS_HANDLER_INIT;
    plain.type = "plain";
    plain.run = run_plain;
    urgent.type = "urgent";
    urgent.run = run_urgent;
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &plain));
    ck_assert_ok(mls_worker_add_handler(worker, &urgent));
    ck_assert_ok(mls_worker_start(worker));
    return worker;
}

static void expect_plain_runs(void)
{
    ck_assert(!plain_is->is_ordered || !atomic_load(&plain_is_unordered));
    for (uint32_t i = 0; i < PLAIN_JOBS; i++) {
        const bool is_kept = !plain_is->capacity;
        const int32_t state = is_kept ? fixture_state(queue, plain_ids[i]) : MLS_JOB_SUCCEEDED;
        mls_test_expect(plain_runs[i] == (state == MLS_JOB_SUCCEEDED), "job %u ran %u times", i,
                        plain_runs[i]);
    }
}

static const plain_setup plain_setups[] = {
    {.slots = 1, .is_ordered = true},
    {.slots = 1, .is_ordered = true, .capacity = 16},
    {.slots = 1, .is_ordered = true, .disturb = look_at_some},
    {.slots = 3, .spin_us = 20, .wait_for = 8},
    {.slots = 3, .disturb = cancel_plain},
    {.slots = 2, .disturb = pause_now_and_then},
    {.slots = 2, .disturb = press_on},
};

START_TEST(plain_jobs_run_once_and_in_order)
{
    pthread_t threads[SUBMITTERS], disturber;
    uint32_t firsts[SUBMITTERS];
    char url[64];
    plain_is = &plain_setups[_i];
    snprintf(url, sizeof url, "memory:?capacity=%u",
             plain_is->capacity ? plain_is->capacity : 65536);
    queue = fixture_queue(url);
    mls_worker *worker = start_plain_worker(plain_is);
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        firsts[i] = i * PLAIN_EACH;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_plain, &firsts[i]), 0);
    }
    if (plain_is->disturb)
        ck_assert_int_eq(pthread_create(&disturber, NULL, plain_is->disturb, NULL), 0);
    join_all(threads, SUBMITTERS);
    atomic_store(&plain_is_done, true);
    if (plain_is->disturb)
        pthread_join(disturber, NULL);
    ck_assert_ok(mls_queue_drain(queue, 60000));
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    expect_plain_runs();
    mls_worker_free(worker);
    mls_queue_close(queue);
}
END_TEST

static atomic_uint handled;

static mls_status count_up(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    atomic_fetch_add(&handled, 1);
    return MLS_OK;
}

/* One job at a time, and nobody touches the queue until it ran: a lost wake-up hangs. */
START_TEST(no_wake_up_is_lost)
{
    enum { ROUNDS = 10000 };
    mls_worker *worker;
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.run = count_up;
    queue = fixture_queue("memory:");
    ck_assert_ok(mls_worker_create(queue, NULL, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_start(worker));
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        fixture_submit(queue, &options);
        while (atomic_load(&handled) == i)
            sched_yield();
    }
    mls_worker_free(worker);
    mls_queue_close(queue);
}
END_TEST

/* Each key's job is made by exactly one of the threads that submit it. */
static void *submit_keys(void *arg)
{
    uint64_t *mine = arg;
    for (int i = 0; i < EACH; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        mls_job_options options = fixture_options("keyed", NULL);
        options.key = key;
        options.flags = MLS_JOB_JOIN;
        mine[i] = fixture_submit(queue, &options);
    }
    return NULL;
}

START_TEST(keys_are_taken_once)
{
    pthread_t threads[SUBMITTERS];
    queue = fixture_queue("memory:");
    for (size_t i = 0; i < SUBMITTERS; i++)
        pthread_create(&threads[i], NULL, submit_keys, &ids[i * EACH]);
    join_all(threads, SUBMITTERS);
    for (size_t i = 0; i < EACH; i++)
        for (size_t s = 1; s < SUBMITTERS; s++)
            ck_assert_uint_eq(ids[i], ids[s * EACH + i]);
    ck_assert_uint_eq(fixture_stats(queue).submitted, EACH);
    mls_queue_close(queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/stress");
    TCase *tests = tcase_create("stress");
    tcase_add_loop_test(tests, through_a_full_queue, 0, 3);
    tcase_add_test(tests, results_are_those_of_their_jobs);
    tcase_add_test(tests, through_workers_that_stop);
    tcase_add_test(tests, through_cancellations);
    tcase_add_loop_test(tests, plain_jobs_run_once_and_in_order, 0,
                        sizeof plain_setups / sizeof plain_setups[0]);
    tcase_add_test(tests, no_wake_up_is_lost);
    tcase_add_test(tests, keys_are_taken_once);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
