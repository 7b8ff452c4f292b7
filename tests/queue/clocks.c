/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that is set moves what is due, and nothing else: not who runs what, nor for how long.
 * A queue in memory has looked at it when the job was submitted.
 */
#include "queue/clocks.h"

#include "job/fixture.h"
#include "queue/stores.h"
#include "queue/virtual_clock.h"

enum { HOUR_MS = 3600000 };

static void complete(mls_claimer *claimer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    fixture_claim_none(claimer);
}

static void set_clock(const char *url, int64_t by_ms, bool looks_once)
{
    const bool is_due = by_ms > 0 && !looks_once;
    mls_queue *queue = fixture_queue(url);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    const uint64_t runs = fixture_submit(queue, &options);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), runs);
    fixture_submit(queue, &options);
    options.delay_ms = 1000;
    const uint64_t later = fixture_submit(queue, &options);
    virtual_clock_set(by_ms);
    virtual_clock_advance(1);
    complete(claimer, is_due ? 2 : 1);
    ck_assert_uint_eq(mls_job_stop_reasons(job), 0);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_uint_eq(fixture_stats(queue).running_ns, 1000000);
    if (!is_due) {
        ck_assert_int_eq(fixture_state(queue, later), MLS_JOB_SCHEDULED);
        virtual_clock_advance(looks_once ? 1000 : 1000 - by_ms);
        complete(claimer, 1);
    }
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 3);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

START_TEST(clocks_may_be_set)
{
    const int drivers = store_has_sqlite() ? 2 : 1;
    virtual_clock_start();
    for (int i = 0; i < 2 * drivers; i++)
        set_clock(i < 2 ? store_memory_url() : store_sqlite_url(), i % 2 ? HOUR_MS : -HOUR_MS,
                  i < 2);
    virtual_clock_stop();
}
END_TEST

void clocks_add(TCase *tests)
{
    tcase_add_test(tests, clocks_may_be_set);
}
