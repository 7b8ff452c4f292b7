/* SPDX-License-Identifier: Apache-2.0 */
/* Claims and ends of a memory queue without its mutex, and what takes back what is laid out. */
#include "job/memory.h"

#include "job/job.h"
#include "queue/memory/memory.h"

#include <pthread.h>
#include <sched.h>

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
    expect_next(claimer, ids[2]);
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

/* From the first job on of which it was measured what it takes, others wait for room. */
START_TEST(what_takes_room_is_not_laid_out)
{
    const mls_resources capacity = {0, 100, 0};
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.capacity = &capacity;
    queue = fixture_queue("memory:");
    ck_assert_ok(mls_claimer_open(queue, &options, &claimer));
    for (size_t i = 0; i < 8; i++)
        fixture_submit_type(queue, "t");
    mls_job *job = fixture_claim(claimer);
    ck_assert(has_window());
    job->wall_ns = 1;
    job->peak_bytes = 60;
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert(!has_window());
    job = fixture_claim(claimer);
    fixture_claim_none(claimer); /* one fits */
    mls_job_free(job);
    close_queue();
}
END_TEST

static void *wait_for(void *arg)
{
    ck_assert_ok(mls_queue_wait(queue, *(const uint64_t *) arg, 60000, NULL));
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

void memory_add_windows(TCase *tests)
{
    tcase_add_test(tests, what_is_laid_out_is_ready);
    tcase_add_test(tests, what_is_laid_out_can_be_changed);
    tcase_add_test(tests, who_goes_first_passes_what_is_laid_out);
    tcase_add_test(tests, what_takes_room_is_not_laid_out);
    tcase_add_test(tests, who_waits_is_told_of_an_end_without_the_mutex);
}
