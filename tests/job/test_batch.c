/* SPDX-License-Identifier: Apache-2.0 */
/* Batch handlers: what comes together, and who fails alone. */
#include "job/fixture.h"
#include "job/gate.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static mls_queue *queue;
static gate barrier = GATE_INIT;

enum { MOST_CALLS = 4096, JOBS = 37 };

/* One slot: what run_batch was called with, in order. */
static size_t sizes[MOST_CALLS];
static size_t calls;
static uint32_t bad_mask[(JOBS + 31) / 32];

static void setup(void)
{
    queue = fixture_queue("memory:");
}

static void teardown(void)
{
    mls_queue_close(queue);
}

static uint32_t number_of(const mls_job *job)
{
    uint32_t number;
    memcpy(&number, mls_job_payload(job, NULL), sizeof number);
    return number;
}

static uint64_t submit_number(uint32_t number, const char *key)
{
    mls_job_options options = fixture_options("t", NULL);
    options.payload = &number;
    options.payload_bytes = sizeof number;
    options.batch_key = key;
    return fixture_submit(queue, &options);
}

static bool is_bad(uint32_t number)
{
    return bad_mask[number / 32] >> number % 32 & 1;
}

/* Sets results first, as an honest handler might, and fails when any row is bad. */
static mls_status run_rows(void *slot, mls_job *const *jobs, size_t count)
{
    (void) slot;
    mls_job *unknown;
    bool any_bad = false;
    sizes[calls++] = count;
    for (size_t i = 0; i < count; i++) {
        const uint32_t square = number_of(jobs[i]) * number_of(jobs[i]);
        ck_assert_ok(mls_job_set_result(jobs[i], &square, sizeof square));
        any_bad |= is_bad(number_of(jobs[i]));
    }
    return any_bad ? mls_queue_get(queue, UINT64_MAX, &unknown) : MLS_OK;
}

static mls_handler batch_handler(uint32_t batch_max)
{
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.run_batch = run_rows;
    handler.batch_max = batch_max;
    return handler;
}

static mls_worker *create(const mls_handler *handler)
{
    mls_worker *worker;
    ck_assert_ok(mls_worker_create(queue, NULL, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, handler));
    return worker;
}

static void run_all(const mls_handler *handler)
{
    mls_worker *worker = create(handler);
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    mls_worker_stats stats = MLS_WORKER_STATS_INIT;
    ck_assert_ok(mls_worker_get_stats(worker, &stats));
    ck_assert_uint_eq(stats.batches, calls);
    mls_worker_free(worker);
}

static void check_outcome(uint64_t id, uint32_t number)
{
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(queue, id);
    const uint32_t square = number * number;
    if (is_bad(number)) {
        ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EHANDLER, "there is no job");
    } else {
        ck_assert_ok(mls_job_result(job, &data, &size));
        ck_assert_uint_eq(size, sizeof square);
        ck_assert_mem_eq(data, &square, sizeof square);
    }
    mls_job_free(job);
}

START_TEST(batches_are_as_large_as_they_may_be)
{
    uint64_t ids[JOBS];
    for (uint32_t i = 0; i < JOBS; i++)
        ids[i] = submit_number(i, NULL);
    const mls_handler handler = batch_handler(10);
    run_all(&handler);
    ck_assert_uint_eq(calls, 4);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(sizes[i], 10);
    ck_assert_uint_eq(sizes[3], 7);
    for (uint32_t i = 0; i < JOBS; i++)
        check_outcome(ids[i], i);
}
END_TEST

START_TEST(batches_have_one_key)
{
    for (uint32_t i = 0; i < 12; i++)
        submit_number(i, i % 3 ? "a" : "b");
    const mls_handler handler = batch_handler(100);
    run_all(&handler);
    ck_assert_uint_eq(calls, 2);
    ck_assert_uint_eq(sizes[0], 4);
    ck_assert_uint_eq(sizes[1], 8);
}
END_TEST

/* Any set of bad rows: just they fail, in at most 2n - 1 calls. */
START_TEST(bad_rows_fail_alone)
{
    uint64_t random = 4711;
    for (int round = 0; round < 40; round++) {
        uint64_t ids[JOBS];
        const size_t bad_count = mls_test_random_below(&random, round % 4 == 0 ? JOBS : 3);
        memset(bad_mask, 0, sizeof bad_mask);
        for (size_t i = 0; i < bad_count; i++) {
            const size_t number = mls_test_random_below(&random, JOBS);
            bad_mask[number / 32] |= UINT32_C(1) << number % 32;
        }
        for (uint32_t i = 0; i < JOBS; i++)
            ids[i] = submit_number(i, NULL);
        calls = 0;
        const mls_handler handler = batch_handler(JOBS);
        run_all(&handler);
        ck_assert_uint_le(calls, 2 * JOBS - 1);
        ck_assert(calls == 1 || bad_mask[0] || bad_mask[1]);
        for (uint32_t i = 0; i < JOBS; i++)
            check_outcome(ids[i], i);
    }
}
END_TEST

static char prepared[64], cleaned[64];
static mls_status outcomes[64];

static mls_status prepare_row(void *slot, mls_job *job)
{
    (void) slot;
    prepared[number_of(job)]++;
    return number_of(job) % 5 == 3 ? MLS_EFORMAT : MLS_OK;
}

static void clean_row(void *slot, mls_job *job, mls_status status)
{
    (void) slot;
    cleaned[number_of(job)]++;
    outcomes[number_of(job)] = status;
}

START_TEST(prepare_and_cleanup_run_for_each)
{
    mls_handler handler = batch_handler(64);
    handler.prepare = prepare_row;
    handler.cleanup = clean_row;
    bad_mask[0] = 1U << 7;
    for (uint32_t i = 0; i < 20; i++)
        submit_number(i, NULL);
    run_all(&handler);
    ck_assert_uint_eq(sizes[0], 16); /* without 3, 8, 13, 18 */
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(prepared[i], 1);
        ck_assert_int_eq(cleaned[i], 1);
        ck_assert_int_eq(outcomes[i], i % 5 == 3 ? MLS_EFORMAT : i == 7 ? MLS_ENOTFOUND : MLS_OK);
    }
    ck_assert_uint_eq(fixture_stats(queue).dead, 5);
}
END_TEST

static mls_status decide_apart(void *slot, mls_job *const *jobs, size_t count)
{
    (void) slot;
    calls++;
    for (size_t i = 0; i < count; i++) {
        if (number_of(jobs[i]) == 1)
            ck_assert_ok(mls_job_fail(jobs[i], MLS_ERANGE, "row 1", 0));
        if (number_of(jobs[i]) == 2 && calls == 1)
            ck_assert_ok(mls_job_release(jobs[i]));
    }
    return MLS_OK;
}

START_TEST(jobs_of_a_batch_are_decided_apart)
{
    uint64_t ids[4];
    mls_handler handler = batch_handler(10);
    handler.run_batch = decide_apart;
    for (uint32_t i = 0; i < 4; i++)
        ids[i] = submit_number(i, NULL);
    run_all(&handler);
    ck_assert_uint_eq(calls, 2);
    ck_assert_int_eq(fixture_state(queue, ids[0]), MLS_JOB_SUCCEEDED);
    ck_assert_int_eq(fixture_look(queue, ids[1]).error, MLS_ERANGE);
    ck_assert_int_eq(fixture_state(queue, ids[2]), MLS_JOB_SUCCEEDED);
    ck_assert_uint_eq(fixture_look(queue, ids[2]).epoch, 2);
}
END_TEST

/* Decides on a job, and then fails: that decision must not outlive the batch. */
static mls_status decide_and_fail(void *slot, mls_job *const *jobs, size_t count)
{
    (void) slot;
    calls++;
    if (count == 1)
        return MLS_OK;
    ck_assert_ok(mls_job_fail(jobs[0], MLS_ERANGE, "void", MLS_FAIL_FINAL));
    ck_assert_ok(mls_job_release(jobs[1]));
    ck_assert_ok(mls_job_set_result(jobs[0], "void", 4));
    return MLS_EIO;
}

START_TEST(decisions_of_a_failed_batch_are_void)
{
    mls_handler handler = batch_handler(10);
    handler.run_batch = decide_and_fail;
    uint64_t ids[4];
    for (uint32_t i = 0; i < 4; i++)
        ids[i] = submit_number(i, NULL);
    run_all(&handler);
    ck_assert_uint_eq(calls, 7);
    for (uint32_t i = 0; i < 4; i++) {
        const mls_job_info info = fixture_look(queue, ids[i]);
        ck_assert_int_eq(info.state, MLS_JOB_SUCCEEDED);
        ck_assert_uint_eq(info.epoch, 1);
        ck_assert_uint_eq(info.result_bytes, 0);
    }
}
END_TEST

/* The first job waits until the batch is full, however long the others take to come. */
START_TEST(a_batch_waits_to_be_filled)
{
    mls_handler handler = batch_handler(4);
    handler.batch_wait_ms = 3600000;
    mls_worker *worker = create(&handler);
    ck_assert_ok(mls_worker_start(worker));
    uint64_t ids[4];
    for (uint32_t i = 0; i < 4; i++) {
        ids[i] = submit_number(i, "k");
        submit_number(i, "another key");
    }
    for (uint32_t i = 0; i < 4; i++)
        check_outcome(ids[i], i);
    ck_assert_uint_eq(sizes[0], 4);
    mls_worker_free(worker);
}
END_TEST

START_TEST(a_batch_does_not_wait_forever)
{
    mls_handler handler = batch_handler(4);
    handler.batch_wait_ms = 10;
    mls_worker *worker = create(&handler);
    ck_assert_ok(mls_worker_start(worker));
    check_outcome(submit_number(5, "k"), 5);
    ck_assert_uint_eq(sizes[0], 1);
    mls_worker_free(worker);
}
END_TEST

START_TEST(stopping_gives_an_unfilled_batch_back)
{
    mls_handler handler = batch_handler(4);
    handler.batch_wait_ms = 3600000;
    mls_worker *worker = create(&handler);
    const uint64_t id = submit_number(5, "k");
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_READY);
    ck_assert_uint_eq(calls, 0);
    mls_worker_free(worker);
}
END_TEST

START_TEST(draining_runs_an_unfilled_batch)
{
    mls_handler handler = batch_handler(4);
    handler.batch_wait_ms = 3600000;
    const uint64_t id = submit_number(5, "k");
    run_all(&handler);
    check_outcome(id, 5);
}
END_TEST

static mls_status wait_alone(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    gate_pass(&barrier);
    return MLS_OK;
}

/* However long: on a busy machine the two slots may have taken one of the two jobs each. */
static void wait_for_batch(uint64_t id)
{
    mls_job *job;
    ck_assert_ok(mls_queue_wait(queue, id, 60000, &job));
    mls_job_free(job);
}

/* A slot that fills a batch must not swallow the wake-up of one that takes anything. */
START_TEST(others_run_while_a_batch_fills)
{
    mls_handler handler = batch_handler(2);
    handler.batch_wait_ms = 20000; /* longer than anybody waits for the others */
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = 2;
    mls_worker *worker;
    mls_handler other = MLS_HANDLER_INIT;
    other.type = "other";
    other.run = wait_alone;
    ck_assert_ok(mls_worker_create(queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_add_handler(worker, &other));
    ck_assert_ok(mls_worker_start(worker));
    gate_open(&barrier);
    for (uint32_t round = 0; round < 50; round++) {
        const uint64_t first = submit_number(1, "k");
        mls_job_free(fixture_wait(queue, fixture_submit_type(queue, "other")));
        mls_job_free(fixture_wait(queue, fixture_submit_type(queue, "other")));
        const uint64_t second = submit_number(2, "k");
        wait_for_batch(first);
        wait_for_batch(second);
    }
    mls_worker_free(worker);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/batch");
    TCase *tests = tcase_create("batch");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, batches_are_as_large_as_they_may_be);
    tcase_add_test(tests, batches_have_one_key);
    tcase_add_test(tests, bad_rows_fail_alone);
    tcase_add_test(tests, prepare_and_cleanup_run_for_each);
    tcase_add_test(tests, jobs_of_a_batch_are_decided_apart);
    tcase_add_test(tests, decisions_of_a_failed_batch_are_void);
    tcase_add_test(tests, a_batch_waits_to_be_filled);
    tcase_add_test(tests, a_batch_does_not_wait_forever);
    tcase_add_test(tests, stopping_gives_an_unfilled_batch_back);
    tcase_add_test(tests, draining_runs_an_unfilled_batch);
    tcase_add_test(tests, others_run_while_a_batch_fills);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
