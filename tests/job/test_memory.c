/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to the memory driver: its bounds and its timers. */
#include "job/memory.h"

#include "base/clock.h"
#include "job/queue.h"
#include "queue/memory/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mls_queue *queue;
mls_claimer *claimer;

void open_queue(const char *url)
{
    queue = fixture_queue(url);
    claimer = fixture_claimer(queue, NULL);
}

void close_queue(void)
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

/* The job is ready when its parent's deadline passes, which only who sleeps for it can notice. */
START_TEST(sleepers_are_up_when_a_deadline_passes)
{
    mls_job *job;
    size_t count;
    open_queue("memory:");
    mls_claimer *some = fixture_claimer(queue, "t");
    mls_job_options late = fixture_options("of-nobody", NULL), child = fixture_options("t", NULL);
    late.deadline_ms = mls__clock_wall_ms() + 30;
    const uint64_t parent = fixture_submit(queue, &late);
    child.flags = MLS_JOB_DEPENDS_ANY_END;
    child.depends_on = &parent;
    child.depends_on_count = 1;
    fixture_submit(queue, &child);
    ck_assert_ok(mls_claimer_claim(some, -1, 1, &job, &count));
    mls_job_free(job);
    mls_claimer_close(some);
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
    tcase_add_test(tests, sleepers_are_up_when_a_deadline_passes);
    tcase_add_test(tests, heaps_give_the_earliest);
    memory_add_windows(tests);
    memory_add_faults(tests);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
