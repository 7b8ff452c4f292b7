/* SPDX-License-Identifier: Apache-2.0 */
/* A driver that fails now and then, as one on a disk may: workers go on, nothing is lost. */
#include "job/fixture.h"

#include "base/error.h"
#include "plugin/drivers.h"

#include <mlscale/ext/queue_driver.h>

#include <stdatomic.h>
#include <string.h>

extern const mls_queue_driver mls__queue_driver_memory;

static mls_queue_driver flaky;
static atomic_int claims_to_fail, finishes_to_fail;
static atomic_uint warnings;

static mls_status flaky_claim(void *self, void *claimer, const mls_queue_claim *request,
                              mls_queue_end *const *ends, size_t end_count,
                              mls_queue_job *const *jobs, size_t *ret_count)
{
    if (atomic_load(&claims_to_fail) > 0 && atomic_fetch_sub(&claims_to_fail, 1) > 0)
        return mls__error(MLS_EIO, "the disk is away");
    return mls__queue_driver_memory.claim(self, claimer, request, ends, end_count, jobs, ret_count);
}

static mls_status flaky_finish(void *self, mls_queue_end *const *ends, size_t count)
{
    if (atomic_load(&finishes_to_fail) > 0 && atomic_fetch_sub(&finishes_to_fail, 1) > 0)
        return mls__error(MLS_EIO, "the disk is away");
    return mls__queue_driver_memory.finish(self, ends, count);
}

static mls_status failing_bind(void *self, const mls_queue_host *host)
{
    (void) self;
    (void) host;
    return mls__error(MLS_EIO, "the schema is newer");
}

static void count_warning(void *user, int level, const char *message)
{
    (void) user;
    ck_assert_int_eq(level, MLS_LOG_WARNING);
    ck_assert_ptr_nonnull(strstr(message, "MLS_EIO: the disk is away"));
    atomic_fetch_add(&warnings, 1);
}

static mls_queue *open_flaky(void)
{
    mls_context *context;
    mls_queue *queue;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    options.log = count_warning;
    ck_assert_ok(mls_context_create(&options, &context));
    flaky = mls__queue_driver_memory;
    flaky.plugin.name = "flaky";
    flaky.claim = flaky_claim;
    flaky.finish = flaky_finish;
    ck_assert_ok(mls__drivers_register(context->drivers, &flaky.plugin));
    ck_assert_ok(mls_queue_open(context, "flaky:", NULL, &queue));
    mls_context_free(context);
    return queue;
}

static mls_status run(void *slot, mls_job *job)
{
    (void) slot;
    atomic_store(&claims_to_fail, 2); /* the call that would report this job */
    return mls_job_set_result(job, "kept", 4);
}

START_TEST(ends_are_reported_when_the_driver_is_back)
{
    mls_queue *queue = open_flaky();
    mls_worker *worker;
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.run = run;
    ck_assert_ok(mls_worker_create(queue, NULL, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_start(worker));
    const void *data;
    mls_job *job = fixture_wait(queue, fixture_submit_type(queue, "t"));
    ck_assert_ok(mls_job_result(job, &data, NULL));
    ck_assert_mem_eq(data, "kept", 4);
    mls_job_free(job);
    ck_assert_uint_eq(warnings, 2);
    mls_worker_free(worker);
    mls_queue_close(queue);
}
END_TEST

/* The driver stays away: stopping tries once more, and ends all the same. */
START_TEST(stopping_does_not_wait_for_a_broken_driver)
{
    for (int broken = 0; broken < 2; broken++) {
        mls_queue *queue = open_flaky();
        mls_worker *worker;
        mls_handler handler = MLS_HANDLER_INIT;
        handler.type = "t";
        handler.run = run;
        atomic_store(&claims_to_fail, 0);
        ck_assert_ok(mls_worker_create(queue, NULL, &worker));
        ck_assert_ok(mls_worker_add_handler(worker, &handler));
        const uint64_t id = fixture_submit_type(queue, "t");
        ck_assert_ok(mls_worker_start(worker));
        while (fixture_look(queue, id).epoch == 0 || !atomic_load(&claims_to_fail))
            ;
        atomic_store(&claims_to_fail, 1000000);
        atomic_store(&finishes_to_fail, broken ? 1000000 : 0);
        ck_assert_ok(mls_worker_stop(worker, 0, -1));
        ck_assert_int_eq(fixture_state(queue, id), broken ? MLS_JOB_RUNNING : MLS_JOB_SUCCEEDED);
        mls_worker_free(worker);
        atomic_store(&finishes_to_fail, 0);
        mls_queue_close(queue);
    }
}
END_TEST

START_TEST(own_claims_are_told)
{
    mls_queue *queue = open_flaky();
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t count;
    fixture_submit_type(queue, "t");
    atomic_store(&claims_to_fail, 1);
    ck_assert_fails(mls_claimer_claim(claimer, 0, 1, &job, &count), MLS_EIO, "the disk");
    job = fixture_claim(claimer);
    atomic_store(&finishes_to_fail, 1);
    ck_assert_ok(mls_job_set_result(job, "lost", 4));
    ck_assert_fails(mls_job_complete(job), MLS_EIO, "the disk");
    mls_job_free(job);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

START_TEST(a_driver_that_cannot_be_bound_is_closed)
{
    static mls_queue_driver newer;
    mls_context *context;
    mls_queue *queue;
    mls_test_heap *heap = mls_test_heap_create();
    ck_assert_ok(mls_test_heap_context(heap, &context));
    newer = mls__queue_driver_memory;
    newer.plugin.name = "newer";
    newer.bind = failing_bind;
    ck_assert_ok(mls__drivers_register(context->drivers, &newer.plugin));
    ck_assert_fails(mls_queue_open(context, "newer:", NULL, &queue), MLS_EIO,
                    "queue 'newer:': the schema is newer");
    mls_context_free(context);
    ck_assert_uint_eq(mls_test_heap_live(heap), 0);
    mls_test_heap_free(heap);
}
END_TEST

START_TEST(incomplete_drivers_are_refused)
{
    static mls_queue_driver partial;
    mls_context *context;
    ck_assert_ok(mls_context_create(NULL, &context));
    partial = mls__queue_driver_memory;
    partial.plugin.name = "partial";
    partial.stats = NULL;
    ck_assert_fails(mls__drivers_register(context->drivers, &partial.plugin), MLS_EABI,
                    "mandatory");
    partial = mls__queue_driver_memory;
    partial.plugin.name = "partial";
    partial.plugin.size = offsetof(mls_queue_driver, stats);
    ck_assert_fails(mls__drivers_register(context->drivers, &partial.plugin), MLS_EABI, "bytes");
    mls_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/faults");
    TCase *tests = tcase_create("faults");
    tcase_add_test(tests, ends_are_reported_when_the_driver_is_back);
    tcase_add_test(tests, stopping_does_not_wait_for_a_broken_driver);
    tcase_add_test(tests, own_claims_are_told);
    tcase_add_test(tests, a_driver_that_cannot_be_bound_is_closed);
    tcase_add_test(tests, incomplete_drivers_are_refused);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
