/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of which no two need the same, as who submits may make them: more of them than a claim
 * looks at, or as many as the driver takes.
 */
#include "conformance/queue/suite.h"

enum { MANY = 1152, SOME = 64, FEW = 4 };

static bool lacks_resources(void)
{
    return !conformance_can(MLS_QUEUE_CAN_RESOURCES);
}

static mls_claimer *open_claimer(int64_t memory_bytes)
{
    const char *const types[] = {"t"};
    const mls_resources capacity = {0, memory_bytes, 0};
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    mls_claimer *claimer;
    options.capacity = &capacity;
    options.types = types;
    options.type_count = 1;
    ck_assert_ok(mls_claimer_open(the_queue, &options, &claimer));
    return claimer;
}

static mls_job_options needing(int64_t memory_bytes, int32_t priority)
{
    mls_job_options options = fixture_options("t", NULL);
    options.needs.memory_bytes = memory_bytes;
    options.priority = priority;
    return options;
}

/* From so many bytes on, each a byte more. */
static void submit_many(int64_t memory_bytes, int32_t priority)
{
    mls_job_options jobs[SOME];
    mls_status status = MLS_OK;
    for (int done = 0; status == MLS_OK && done < MANY; done += SOME) {
        for (int i = 0; i < SOME; i++)
            jobs[i] = needing(memory_bytes + done + i, priority);
        status = mls_queue_submit_many(the_queue, jobs, SOME, NULL);
    }
    if (status != MLS_ELIMIT)
        ck_assert_ok(status);
}

START_TEST(what_fits_is_found_behind_what_never_does)
{
    const int32_t high = conformance_can(MLS_QUEUE_CAN_PRIORITIES) ? 9 : MLS_PRIORITY_DEFAULT;
    const mls_job_options fits = needing(100, MLS_PRIORITY_DEFAULT);
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(1000);
    const uint64_t first = fixture_submit(the_queue, &fits);
    submit_many(1001, high);
    fixture_complete(claimer, first, NULL);
    fixture_complete(claimer, fixture_submit(the_queue, &fits), NULL);
    fixture_claim_none(claimer);
    mls_claimer_close(claimer);
}
END_TEST

/* It waits longest, and no claim sees all: then not at once, but soon. */
START_TEST(who_waits_longest_is_not_passed_over)
{
    const mls_job_options least = needing(1, MLS_PRIORITY_DEFAULT);
    bool found = false;
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(1000000);
    const uint64_t id = fixture_submit(the_queue, &least);
    submit_many(2, MLS_PRIORITY_DEFAULT);
    for (int i = 0; i < FEW && !found; i++) {
        mls_job *job = fixture_claim(claimer);
        found = mls_job_id(job) == id;
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    ck_assert(found);
    mls_claimer_close(claimer);
}
END_TEST

/* Who waited briefly may have seen some of them; then what was ready before those is there too. */
START_TEST(who_does_not_wait_sees_all)
{
    const int32_t high = conformance_can(MLS_QUEUE_CAN_PRIORITIES) ? 9 : MLS_PRIORITY_DEFAULT;
    const mls_job_options fits = needing(100, high);
    mls_job *job = NULL;
    size_t count;
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(1000);
    fixture_complete(claimer, fixture_submit(the_queue, &fits), NULL);
    submit_many(1001, MLS_PRIORITY_DEFAULT);
    ck_assert_int_eq(mls_claimer_claim(claimer, 1, 1, &job, &count), MLS_ETIMEDOUT);
    const uint64_t id = fixture_submit(the_queue, &fits);
    ck_assert_ok(mls_claimer_claim(claimer, 0, 1, &job, &count));
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    fixture_claim_none(claimer);
    mls_claimer_close(claimer);
}
END_TEST

START_TEST(who_drains_sees_all)
{
    const int32_t high = conformance_can(MLS_QUEUE_CAN_PRIORITIES) ? 9 : MLS_PRIORITY_DEFAULT;
    const mls_job_options fits = needing(100, MLS_PRIORITY_DEFAULT);
    mls_job *job = NULL;
    size_t count;
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(1000);
    const uint64_t id = fixture_submit(the_queue, &fits);
    submit_many(1001, high);
    mls_claimer_stop(claimer, MLS_CLAIMER_DRAIN);
    ck_assert_ok(mls_claimer_claim(claimer, -1, 1, &job, &count));
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_int_eq(mls_claimer_claim(claimer, -1, 1, &job, &count), MLS_ECANCELLED);
    mls_claimer_close(claimer);
}
END_TEST

void conformance_add_needs(TCase *tests)
{
    tcase_add_test(tests, who_does_not_wait_sees_all);
    tcase_add_test(tests, who_drains_sees_all);
    tcase_add_test(tests, what_fits_is_found_behind_what_never_does);
    tcase_add_test(tests, who_waits_longest_is_not_passed_over);
}
