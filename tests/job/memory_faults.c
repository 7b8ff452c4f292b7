/* SPDX-License-Identifier: Apache-2.0 */
/* Memory queues that find no memory, and that leave none behind. */
#include "job/memory.h"

/* Everything that asks for memory, once; each refusal must be told and leave nothing. */
static mls_status live_a_life(mls_context *context, void *arg)
{
    (void) arg;
    mls_queue *q;
    mls_claimer *c = NULL;
    mls_job *job = NULL;
    size_t count;
    uint64_t id;
    char payload[1000] = "payload";
    mls_job_options options[2] = {fixture_options("t", NULL), fixture_options("u", NULL)};
    options[0].payload = payload;
    options[0].payload_bytes = sizeof payload;
    options[0].tenant = "tenant";
    options[0].key = "key";
    mls_status status = mls_queue_open(context, "memory:", NULL, &q);
    if (status)
        return status;
    status = mls_claimer_open(q, NULL, &c);
    if (!status)
        status = mls_queue_submit(q, &options[0], &id);
    if (!status)
        status = mls_queue_submit_many(q, &options[1], 1, NULL);
    if (!status)
        status = mls_claimer_claim(c, 0, 1, &job, &count);
    if (!status)
        status = mls_job_set_progress(job, 0.5, "half");
    if (!status)
        status = mls_job_set_result(job, payload, sizeof payload);
    if (!status)
        status = mls_job_complete(job);
    mls_job_free(job);
    if (!status)
        status = mls_queue_wait(q, id, 0, &job);
    if (!status)
        mls_job_free(job);
    if (!status)
        status = mls_queue_get(q, id, &job);
    if (!status)
        mls_job_free(job);
    mls_claimer_close(c);
    mls_queue_close(q);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(live_a_life, NULL);
}
END_TEST

static mls_status run_nothing(void *slot, mls_job *job)
{
    (void) slot;
    (void) job;
    return MLS_OK;
}

static mls_status start_a_worker(mls_context *context, void *arg)
{
    (void) arg;
    mls_queue *q;
    mls_worker *worker = NULL;
    const char *const names[] = {"default"};
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.name = "w";
    options.queues = names;
    options.queue_count = 1;
    options.slots = 2;
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.run = run_nothing;
    mls_status status = mls_queue_open(context, "memory:", NULL, &q);
    if (status)
        return status;
    status = mls_worker_create(q, &options, &worker);
    if (!status)
        status = mls_worker_add_handler(worker, &handler);
    if (!status)
        status = mls_worker_start(worker);
    if (!status)
        status = mls_worker_stop(worker, 0, -1);
    mls_worker_free(worker);
    mls_queue_close(q);
    return status;
}

START_TEST(a_worker_may_find_no_memory)
{
    mls_test_each_allocation(start_a_worker, NULL);
}
END_TEST

/* Without memory for words a job still ends as it should. */
START_TEST(only_words_are_lost)
{
    mls_test_heap *heap = mls_test_heap_create();
    mls_context *context;
    mls_job *job;
    size_t count;
    ck_assert_ok(mls_test_heap_context(heap, &context));
    ck_assert_ok(mls_queue_open(context, "memory:", NULL, &queue));
    mls_context_free(context);
    claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    options.max_attempts = 2;
    options.backoff_ms = 0;
    const uint64_t id = fixture_submit(queue, &options);
    fixture_fail(claimer, id, MLS_EIO, "the first", 0);
    mls_test_heap_fail_at(heap, 2); /* the handle, then the view */
    ck_assert_ok(mls_claimer_claim(claimer, 0, 1, &job, &count));
    ck_assert_str_eq(fixture_info(job).error_message, "");
    ck_assert_int_eq(fixture_info(job).error, MLS_EIO);
    mls_test_heap_fail_at(heap, 1);
    ck_assert_ok(mls_job_fail(job, MLS_ERANGE, "the second", 0));
    mls_test_heap_fail_at(heap, 0);
    mls_job_free(job);
    job = fixture_wait(queue, id);
    ck_assert_int_eq(fixture_info(job).error, MLS_ERANGE);
    ck_assert_str_eq(fixture_info(job).error_message, "");
    mls_job_free(job);
    close_queue();
    ck_assert_uint_eq(mls_test_heap_live(heap), 0);
    mls_test_heap_free(heap);
}
END_TEST

/* A queue that is closed with jobs of every kind in it leaves nothing behind. */
static void count_back(void *user, void *data, size_t size_bytes)
{
    (void) data;
    (void) size_bytes;
    ++*(int *) user;
}

START_TEST(closing_gives_everything_back)
{
    mls_test_heap *heap = mls_test_heap_create();
    mls_context *context;
    int given_back = 0;
    ck_assert_ok(mls_test_heap_context(heap, &context));
    ck_assert_ok(mls_queue_open(context, "memory:", NULL, &queue));
    mls_context_free(context);
    claimer = fixture_claimer(queue, NULL);
    for (int i = 0; i < 300; i++) {
        mls_job_options options = fixture_options("t", "handed over");
        options.tenant = "someone";
        options.payload_free = count_back;
        options.payload_user = &given_back;
        options.delay_ms = i % 5 == 0 ? 3600000 : 0;
        fixture_submit(queue, &options);
    }
    for (int i = 0; i < 100; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_ok(mls_job_set_progress(job, 0.5, "note"));
        ck_assert_ok(mls_job_set_result(job, "result", 6));
        ck_assert_ok(i % 2 ? mls_job_complete(job) : mls_job_fail(job, MLS_EIO, "words", 0));
        mls_job_free(job);
    }
    ck_assert_int_eq(given_back, 50); /* nobody needs what succeeded */
    close_queue();
    ck_assert_int_eq(given_back, 300);
    ck_assert_uint_eq(mls_test_heap_live(heap), 0);
    mls_test_heap_free(heap);
}
END_TEST

void memory_add_faults(TCase *tests)
{
    tcase_add_test(tests, each_allocation_may_fail);
    tcase_add_test(tests, a_worker_may_find_no_memory);
    tcase_add_test(tests, only_words_are_lost);
    tcase_add_test(tests, closing_gives_everything_back);
}
