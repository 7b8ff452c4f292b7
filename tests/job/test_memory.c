/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to the memory driver: its bounds, its timers, and running out of memory. */
#include "job/fixture.h"

#include "base/clock.h"
#include "job/queue.h"
#include "queue/memory/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mls_queue *queue;
static mls_claimer *claimer;

static void open_queue(const char *url)
{
    queue = fixture_queue(url);
    claimer = fixture_claimer(queue, NULL);
}

static void close_queue(void)
{
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

START_TEST(ended_jobs_take_room_while_they_are_kept)
{
    uint64_t ids[3];
    open_queue("memory:?capacity=3");
    const mls_job_options options = fixture_options("t", NULL);
    for (int i = 0; i < 3; i++)
        ids[i] = fixture_submit(queue, &options);
    fixture_complete(claimer, ids[0], NULL);
    ck_assert_fails(mls_queue_submit(queue, &options, NULL), MLS_EFULL, "the queue holds 3");
    ck_assert_ok(mls_queue_forget(queue, ids[0]));
    fixture_submit(queue, &options);
    ck_assert_fails(mls_queue_submit(queue, &options, NULL), MLS_EFULL, "no room for 1 more job:");
    ck_assert_uint_eq(fixture_stats(queue).capacity, 3);
    close_queue();
}
END_TEST

START_TEST(waiting_for_room_gives_up_in_time)
{
    open_queue("memory:?capacity=2");
    mls_job_options options[3] = {fixture_options("t", NULL), fixture_options("t", NULL),
                                  fixture_options("t", NULL)};
    options[0].room_timeout_ms = -1; /* in vain: three never fit */
    ck_assert_fails(mls_queue_submit_many(queue, options, 3, NULL), MLS_EFULL, "for 3 more jobs");
    ck_assert_ok(mls_queue_submit_many(queue, options, 2, NULL));
    options[0].room_timeout_ms = 10;
    ck_assert_fails(mls_queue_submit(queue, &options[0], NULL), MLS_EFULL, "in time");
    close_queue();
}
END_TEST

static void *submit_two(void *arg)
{
    mls_job_options options[2] = {fixture_options("late", NULL), fixture_options("late", NULL)};
    options[1].room_timeout_ms = -1;
    (void) arg;
    ck_assert_ok(mls_queue_submit_many(queue, options, 2, NULL));
    return NULL;
}

START_TEST(waiting_for_room_ends_with_it)
{
    open_queue("memory:?capacity=2");
    for (int round = 0; round < 100; round++) {
        pthread_t thread;
        mls_job_options options = fixture_options("t", NULL);
        options.retention_ms = round % 2 ? 0 : 60000;
        const uint64_t ids[] = {fixture_submit(queue, &options), fixture_submit(queue, &options)};
        pthread_create(&thread, NULL, submit_two, NULL);
        for (int i = 0; i < 2; i++) {
            fixture_complete(claimer, ids[i], NULL);
            if (round % 2 == 0)
                ck_assert_ok(mls_queue_forget(queue, ids[i]));
        }
        pthread_join(thread, NULL);
        for (int i = 0; i < 2; i++) {
            mls_job *job = fixture_claim(claimer);
            ck_assert_ok(mls_job_complete(job));
            ck_assert_ok(mls_queue_forget(queue, mls_job_id(job)));
            mls_job_free(job);
        }
    }
    close_queue();
}
END_TEST

/* Nobody but the one who waits for room is there to notice that a retention is over. */
START_TEST(retention_makes_room)
{
    open_queue("memory:?capacity=1");
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 20;
    options.room_timeout_ms = -1;
    fixture_complete(claimer, fixture_submit(queue, &options), NULL);
    fixture_submit(queue, &options);
    close_queue();
}
END_TEST

START_TEST(deadlines_make_room)
{
    open_queue("memory:?capacity=1");
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    options.room_timeout_ms = -1;
    options.deadline_ms = (int64_t) time(NULL) * 1000 + 1500;
    fixture_submit(queue, &options);
    options.deadline_ms = 0;
    fixture_submit(queue, &options);
    ck_assert_uint_eq(fixture_stats(queue).dead, 1);
    close_queue();
}
END_TEST

START_TEST(ids_are_never_used_again)
{
    mls_job *job;
    uint64_t previous = 0;
    open_queue("memory:?capacity=1");
    for (int i = 0; i < 1000; i++) {
        const uint64_t id = fixture_submit_type(queue, "t");
        ck_assert_uint_gt(id, previous);
        ck_assert_int_eq(mls_queue_get(queue, previous, &job), MLS_ENOTFOUND);
        fixture_complete(claimer, id, NULL);
        ck_assert_ok(mls_queue_forget(queue, id));
        previous = id;
    }
    close_queue();
}
END_TEST

START_TEST(types_are_bounded)
{
    open_queue("memory:");
    char type[32];
    for (int i = 0; i < MLS__MEM_LANES; i++) {
        snprintf(type, sizeof type, "type-%d", i);
        fixture_submit_type(queue, type);
    }
    const mls_job_options options = fixture_options("one-too-many", NULL);
    ck_assert_fails(mls_queue_submit(queue, &options, NULL), MLS_ELIMIT, "1024");
    fixture_submit_type(queue, type);
    mls_claimer *some = fixture_claimer(queue, "type-1000");
    mls_job_free(fixture_claim(some));
    mls_claimer_close(some);
    close_queue();
}
END_TEST

/* Types that come after a claimer was opened are served by it, if they are its. */
START_TEST(later_types_are_matched)
{
    open_queue("memory:");
    mls_claimer *other = fixture_claimer(queue, "other");
    const uint64_t id = fixture_submit_type(queue, "late");
    fixture_claim_none(other);
    fixture_complete(claimer, id, NULL);
    mls_claimer_close(other);
    close_queue();
}
END_TEST

static void *claim_and_complete(void *arg)
{
    mls_job *job = fixture_claim(arg);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    return NULL;
}

static void await_sleepers(unsigned count)
{
    mls__mem_store *store = queue->self;
    while (atomic_load(&store->sleepers) < count)
        ;
}

/* Both claims sleep when jobs come that are due later, and nobody else looks at the clock. */
START_TEST(sleepers_are_up_when_a_job_is_due)
{
    pthread_t threads[2];
    open_queue("memory:");
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, claim_and_complete, claimer);
    await_sleepers(2);
    mls_job_options options = fixture_options("t", NULL);
    options.delay_ms = 40;
    fixture_submit(queue, &options);
    await_sleepers(2);
    options.delay_ms = 20;
    fixture_submit(queue, &options);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    close_queue();
}
END_TEST

enum { TIMERS = 300 };

/* Random sets, clears and pops against a search for the least. */
START_TEST(heaps_give_the_earliest)
{
    mls__mem_job *jobs = aligned_alloc(64, TIMERS * sizeof *jobs);
    memset(jobs, 0, TIMERS * sizeof *jobs);
    mls__mem_heap heap = {NULL};
    uint64_t random = 20240229;
    for (int step = 0; step < 60000; step++) {
        mls__mem_job *job = &jobs[mls_test_random_below(&random, TIMERS)];
        const mls__mem_job *least = NULL;
        for (size_t i = 0; i < TIMERS; i++)
            if (jobs[i].timer.heap && (!least || jobs[i].timer.key < least->timer.key))
                least = &jobs[i];
        ck_assert(mls__mem_timer_first(&heap) ? least && heap.root->key == least->timer.key
                                              : !least);
        /* Phases of growing, of shrinking, and of popping. */
        const bool grows = step / 1000 % 2 == 0;
        if (job->timer.heap)
            mls__mem_timer_clear(job);
        else if (grows)
            mls__mem_timer_set(&heap, job, mls_test_random_below(&random, 1000));
        else if (heap.root)
            mls__mem_timer_clear(mls__mem_timer_first(&heap));
    }
    free(jobs);
}
END_TEST

/* Everything that asks for memory, once; each refusal must be told and leave nothing. */
/* Whether jobs are laid out to be claimed without the mutex. */
static bool has_window(void)
{
    return mls__mem_window_has(claimer->self, 1);
}

static void expect_next(mls_claimer *of, uint64_t id)
{
    mls_job *job = fixture_claim(of);
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    ck_assert_uint_eq(fixture_info(job).epoch, 1);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
}

static void lay_out(uint64_t *ids, size_t count)
{
    open_queue("memory:");
    for (size_t i = 0; i < count; i++)
        ids[i] = fixture_submit_type(queue, "t");
    expect_next(claimer, ids[0]);
    ck_assert(has_window());
}

START_TEST(what_is_laid_out_is_ready)
{
    uint64_t ids[6];
    lay_out(ids, 6);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), ids[1]);
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_RUNNING], 1);
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], 4);
    ck_assert(!has_window()); /* it was recalled, to look */
    ck_assert_int_eq(fixture_look(queue, ids[1]).state, MLS_JOB_RUNNING);
    ck_assert_int_eq(fixture_look(queue, ids[2]).state, MLS_JOB_READY);
    ck_assert_uint_eq(fixture_look(queue, ids[2]).attempt, 0);
    ck_assert_uint_eq(fixture_look(queue, ids[2]).epoch, 0);
    mls_job_free(job); /* which gives it back, behind the others */
    for (size_t i = 2; i < 6; i++)
        expect_next(claimer, ids[i]);
    mls_job_free(fixture_claim(claimer));
    close_queue();
}
END_TEST

START_TEST(what_is_laid_out_can_be_changed)
{
    uint64_t ids[8];
    lay_out(ids, 8);
    ck_assert_ok(mls_queue_cancel(queue, ids[2]));
    expect_next(claimer, ids[1]);
    ck_assert(has_window());
    ck_assert_ok(mls_queue_pause(queue, NULL));
    fixture_claim_none(claimer);
    ck_assert_ok(mls_queue_resume(queue, NULL));
    expect_next(claimer, ids[3]);
    ck_assert(has_window());
    mls_claimer *other = fixture_claimer(queue, NULL);
    expect_next(other, ids[4]);
    expect_next(claimer, ids[5]);
    ck_assert(!has_window()); /* it is not alone */
    mls_claimer_close(other);
    expect_next(claimer, ids[6]);
    ck_assert(has_window());
    close_queue();
}
END_TEST

START_TEST(who_goes_first_passes_what_is_laid_out)
{
    uint64_t ids[8];
    lay_out(ids, 8);
    mls_job_options options = fixture_options("t", NULL);
    options.priority = 9;
    expect_next(claimer, fixture_submit(queue, &options));
    expect_next(claimer, ids[1]);
    options.delay_ms = 2;
    const uint64_t due = fixture_submit(queue, &options);
    expect_next(claimer, ids[2]);
    ck_assert(has_window());
    const uint64_t due_ns = mls__clock_monotonic_ns() + 3000000;
    while (mls__clock_monotonic_ns() < due_ns)
        sched_yield(); /* and nobody looks at timers meanwhile */
    expect_next(claimer, due);
    expect_next(claimer, ids[3]);
    ck_assert(has_window());
    options = fixture_options("t", NULL);
    options.tenant = "x";
    const uint64_t of_tenant = fixture_submit(queue, &options);
    expect_next(claimer, ids[4]);
    expect_next(claimer, of_tenant); /* by turn */
    expect_next(claimer, ids[5]);
    ck_assert(!has_window());
    close_queue();
}
END_TEST

static void *wait_for(void *arg)
{
    ck_assert_ok(mls_queue_wait(queue, *(const uint64_t *) arg, 10000, NULL));
    return NULL;
}

/* Behind the end lies another job: no visit follows by itself. */
START_TEST(who_waits_is_told_of_an_end_without_the_mutex)
{
    uint64_t ids[4];
    pthread_t thread;
    size_t count;
    mls_job_info info = MLS_JOB_INFO_INIT;
    mls_queue_job shown = {.size = sizeof shown, .info = &info}, *const jobs[] = {&shown};
    const mls_queue_claim request = {.size = sizeof request, .max_count = 1};
    lay_out(ids, 4);
    const mls__mem_store *store = queue->self;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for, &ids[1]), 0);
    while (!atomic_load(&store->watchers))
        sched_yield();
    ck_assert_ok(queue->ops->claim(queue->self, claimer->self, &request, NULL, 0, jobs, &count));
    ck_assert_uint_eq(info.id, ids[1]);
    ck_assert(has_window());
    mls_queue_end end = {.size = sizeof end,
                         .flags = MLS_END_DROP,
                         .job = &shown,
                         .event = MLS_JOB_ON_SUCCEED,
                         .status = MLS_EEMPTY};
    mls_queue_end *const ends[] = {&end};
    ck_assert_ok(queue->ops->finish(queue->self, ends, 1));
    ck_assert_int_eq(end.status, MLS_OK);
    ck_assert_int_eq(end.state, MLS_JOB_SUCCEEDED);
    pthread_join(thread, NULL);
    ck_assert(has_window());
    close_queue();
}
END_TEST

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

int main(void)
{
    Suite *suite = suite_create("job/memory");
    TCase *tests = tcase_create("memory");
    tcase_add_test(tests, ended_jobs_take_room_while_they_are_kept);
    tcase_add_test(tests, waiting_for_room_gives_up_in_time);
    tcase_add_test(tests, waiting_for_room_ends_with_it);
    tcase_add_test(tests, retention_makes_room);
    tcase_add_test(tests, deadlines_make_room);
    tcase_add_test(tests, ids_are_never_used_again);
    tcase_add_test(tests, types_are_bounded);
    tcase_add_test(tests, later_types_are_matched);
    tcase_add_test(tests, sleepers_are_up_when_a_job_is_due);
    tcase_add_test(tests, heaps_give_the_earliest);
    tcase_add_test(tests, what_is_laid_out_is_ready);
    tcase_add_test(tests, what_is_laid_out_can_be_changed);
    tcase_add_test(tests, who_goes_first_passes_what_is_laid_out);
    tcase_add_test(tests, who_waits_is_told_of_an_end_without_the_mutex);
    tcase_add_test(tests, each_allocation_may_fail);
    tcase_add_test(tests, a_worker_may_find_no_memory);
    tcase_add_test(tests, only_words_are_lost);
    tcase_add_test(tests, closing_gives_everything_back);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
