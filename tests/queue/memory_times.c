/* SPDX-License-Identifier: Apache-2.0 */
/* Time in a memory queue: who notices that it passed, and what must not wait meanwhile. */
#include "queue/memory_times.h"

#include "job/fixture.h"
#include "job/queue.h"
#include "queue/memory/memory.h"
#include "queue/virtual_clock.h"
#include "support/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MINUTE_MS INT64_C(60000)

static mls_queue *queue;
static mls_claimer *claimer;

static void set_schedule(const char *zone, const mls_job_options *job)
{
    mls_schedule schedule = MLS_SCHEDULE_INIT;
    schedule.name = "s";
    schedule.cron = "* * * * *";
    schedule.zone = zone;
    schedule.missed = MLS_MISSED_ALL;
    schedule.job = job;
    ck_assert_ok(mls_queue_schedule(queue, &schedule));
}

static void copy_times(void *user, const mls_schedule *shown)
{
    int64_t *times = user;
    times[0] = shown->next_ms;
    times[1] = shown->last_ms;
}

/* When it fires next, and did last: minutes since the start. */
static void expect_times(int64_t start_ms, int64_t next, int64_t last)
{
    int64_t times[2] = {0, 0};
    ck_assert_ok(mls_queue_visit_schedules(queue, copy_times, times));
    ck_assert_int_eq(times[0], start_ms + next * MINUTE_MS);
    ck_assert_int_eq(times[1], last ? start_ms + last * MINUTE_MS : 0);
}

static void run_one(void)
{
    mls_job *job = fixture_claim(claimer);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
}

/* The record of a job whose retention ends at the moment of a firing is free a moment later. */
START_TEST(a_firing_waits_for_room_that_comes)
{
    virtual_clock_start();
    const int64_t start_ms = virtual_clock_ms();
    queue = fixture_queue("memory:?capacity=1");
    claimer = fixture_claimer(queue, NULL);
    mls_job_options job = fixture_options("t", NULL);
    job.retention_ms = MINUTE_MS;
    fixture_submit(queue, &job);
    run_one();
    job.retention_ms = 0;
    set_schedule("UTC", &job);
    virtual_clock_advance(MINUTE_MS);
    fixture_claim_none(claimer);
    expect_times(start_ms, 1, 0);
    virtual_clock_advance(1);
    run_one();
    expect_times(start_ms, 2, 1);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    virtual_clock_stop();
}
END_TEST

/* While a queue that is full has no room for the second of two firings, the first one is told. */
START_TEST(the_last_firing_is_one_that_took_place)
{
    virtual_clock_start();
    const int64_t start_ms = virtual_clock_ms();
    queue = fixture_queue("memory:?capacity=1");
    claimer = fixture_claimer(queue, NULL);
    const mls_job_options job = fixture_options("t", NULL);
    set_schedule("UTC", &job);
    virtual_clock_advance(3 * MINUTE_MS);
    expect_times(start_ms, 2, 1);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    virtual_clock_stop();
}
END_TEST

static int told;

static void look_at_queue(void *user, int level, const char *message)
{
    (void) user;
    (void) level;
    ck_assert_ptr_nonnull(strstr(message, "time zone 'Z'"));
    told++;
    fixture_stats(queue);
    fixture_submit_type(queue, "of-the-log");
}

/* What is told to the log is told without a lock: who hears it may use the queue. */
START_TEST(the_log_may_use_the_queue)
{
    mls_context *context;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    char target[256];
    const char *folder = getenv("TZDIR");
    snprintf(target, sizeof target, "%s/Europe/Berlin", folder ? folder : "/usr/share/zoneinfo");
    if (access(target, R_OK) != 0)
        return;
    unlink(mls_test_folder_path("Z")); /* another test's */
    ck_assert_int_eq(symlink(target, mls_test_folder_path("Z")), 0);
    ck_assert_int_eq(setenv("TZDIR", mls_test_folder(), 1), 0);
    virtual_clock_start();
    options.log = look_at_queue;
    ck_assert_ok(mls_context_create(&options, &context));
    ck_assert_ok(mls_queue_open(context, "memory:", NULL, &queue));
    mls_context_free(context);
    claimer = fixture_claimer(queue, NULL);
    const mls_job_options job = fixture_options("t", NULL);
    set_schedule("Z", &job);
    ck_assert_int_eq(unlink(mls_test_folder_path("Z")), 0);
    virtual_clock_advance(MINUTE_MS);
    run_one(); /* of the log */
    fixture_claim_none(claimer);
    ck_assert_int_eq(told, 1);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    virtual_clock_stop();
}
END_TEST

/* A deadline that passes makes a job ready that goes before those that are laid out. */
START_TEST(what_is_laid_out_ends_with_a_deadline)
{
    virtual_clock_start();
    queue = fixture_queue("memory:");
    claimer = fixture_claimer(queue, "t");
    mls_job_options late = fixture_options("of-nobody", NULL), child = fixture_options("t", NULL);
    late.deadline_ms = virtual_clock_ms() + 10;
    const uint64_t parent = fixture_submit(queue, &late);
    child.priority = MLS_PRIORITY_HIGHEST;
    child.flags = MLS_JOB_DEPENDS_ANY_END;
    child.depends_on = &parent;
    child.depends_on_count = 1;
    const uint64_t first = fixture_submit(queue, &child);
    for (int i = 0; i < 8; i++)
        fixture_submit_type(queue, "t");
    run_one();
    ck_assert(mls__mem_window_has(claimer->self, 1));
    virtual_clock_advance(10);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), first);
    mls_job_free(job);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    virtual_clock_stop();
}
END_TEST

/* So does a job that is due, and nobody looks at timers meanwhile. */
START_TEST(what_is_laid_out_ends_with_a_delay)
{
    virtual_clock_start();
    queue = fixture_queue("memory:");
    claimer = fixture_claimer(queue, NULL);
    for (int i = 0; i < 8; i++)
        fixture_submit_type(queue, "t");
    run_one();
    mls_job_options options = fixture_options("t", NULL);
    options.priority = MLS_PRIORITY_HIGHEST;
    options.delay_ms = 2;
    const uint64_t due = fixture_submit(queue, &options);
    run_one();
    ck_assert_int_eq(fixture_state(queue, due), MLS_JOB_SCHEDULED);
    run_one();
    ck_assert(mls__mem_window_has(claimer->self, 1));
    virtual_clock_advance(2);
    fixture_complete(claimer, due, NULL);
    run_one();
    ck_assert(mls__mem_window_has(claimer->self, 1));
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    virtual_clock_stop();
}
END_TEST

TCase *memory_times_tests(void)
{
    TCase *tests = tcase_create("memory");
    tcase_add_test(tests, a_firing_waits_for_room_that_comes);
    tcase_add_test(tests, the_last_firing_is_one_that_took_place);
    tcase_add_test(tests, the_log_may_use_the_queue);
    tcase_add_test(tests, what_is_laid_out_ends_with_a_deadline);
    tcase_add_test(tests, what_is_laid_out_ends_with_a_delay);
    return tests;
}
