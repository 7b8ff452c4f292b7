/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs need, and claimers that take what fits. */
#include "conformance/queue/suite.h"

#include "job/job.h"

#include <pthread.h>
#include <string.h>

enum { SOME_MS = 5 };

static bool lacks_resources(void)
{
    return !conformance_can(MLS_QUEUE_CAN_RESOURCES);
}

static mls_claimer_options with(const mls_resources *capacity)
{
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.name = "bounded";
    options.capacity = capacity;
    return options;
}

static mls_claimer *open_claimer(const mls_resources *capacity, uint32_t patience_ms)
{
    mls_claimer_options options = with(capacity);
    mls_claimer *claimer;
    options.patience_ms = patience_ms;
    ck_assert_ok(mls_claimer_open(the_queue, &options, &claimer));
    return claimer;
}

static mls_job_options needing(int64_t cpu_milli, int64_t memory_bytes, int64_t gpus)
{
    mls_job_options options = fixture_options("t", NULL);
    options.needs = (mls_resources){cpu_milli, memory_bytes, gpus};
    return options;
}

static uint64_t submit(int64_t cpu_milli, int64_t memory_bytes, int64_t gpus)
{
    const mls_job_options options = needing(cpu_milli, memory_bytes, gpus);
    return fixture_submit(the_queue, &options);
}

/* Claims the job, which is the next for the claimer. */
static mls_job *claim(mls_claimer *claimer, uint64_t id)
{
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    return job;
}

static void complete(mls_job *job)
{
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
}

/* Lets a time pass by waiting for jobs that never come. */
static void pass_time(void)
{
    mls_claimer *nobody = fixture_claimer(the_queue, "of-nobody");
    mls_job *job;
    size_t count;
    ck_assert_int_eq(mls_claimer_claim(nobody, SOME_MS, 1, &job, &count), MLS_ETIMEDOUT);
    mls_claimer_close(nobody);
}

static void note_offer(void *user, const mls_queue_offer *offer)
{
    if (strcmp(offer->name, "bounded") == 0)
        *(mls_resources *) user = offer->capacity;
}

START_TEST(is_refused_where_it_is_not_there)
{
    const mls_resources capacity = {1000, 0, 0};
    const mls_claimer_options options = with(&capacity);
    const mls_job_options job = needing(1000, 0, 0);
    mls_claimer *claimer;
    mls_resources seen;
    if (!lacks_resources())
        return;
    ck_assert_fails(mls_queue_submit(the_queue, &job, NULL), MLS_EUNSUPPORTED, "resources");
    ck_assert_fails(mls_claimer_open(the_queue, &options, &claimer), MLS_EUNSUPPORTED, "resources");
    ck_assert_fails(mls_queue_visit_offers(the_queue, note_offer, &seen), MLS_EUNSUPPORTED,
                    "resources");
}
END_TEST

START_TEST(numbers_are_checked)
{
    const mls_resources wrong = {0, -1, 0};
    const mls_claimer_options options = with(&wrong);
    const mls_job_options job = needing(0, 0, MLS_GPUS_MAX + 1);
    mls_claimer *claimer;
    if (lacks_resources())
        return;
    ck_assert_fails(mls_queue_submit(the_queue, &job, NULL), MLS_EINVAL, "needs.gpus");
    ck_assert_fails(mls_claimer_open(the_queue, &options, &claimer), MLS_EINVAL, "memory_bytes");
}
END_TEST

START_TEST(what_fits_is_claimed)
{
    const mls_resources capacity = {2000, 4096, 1};
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(&capacity, 0);
    const uint64_t a = submit(1500, 1000, 0), b = submit(1000, 0, 0), c = submit(500, 3096, 1);
    const uint64_t d = submit(0, 1, 0), plain = fixture_submit_type(the_queue, "t");
    const uint64_t never = submit(1, 0, 2);
    mls_job *first = claim(claimer, a), *third = claim(claimer, c);
    ck_assert_int_eq(fixture_info(third).needs.memory_bytes, 3096);
    complete(claim(claimer, plain)); /* needs nothing */
    fixture_claim_none(claimer);     /* no processor for b, no memory for d */
    complete(claim(the_claimer, b)); /* which has no bound, and takes what others leave */
    ck_assert_ok(mls_job_release(third));
    mls_job_free(third);
    complete(claim(claimer, d));
    complete(claim(claimer, c));
    complete(first);
    fixture_claim_none(claimer);
    ck_assert_int_eq(fixture_look(the_queue, never).needs.gpus, 2);
    ck_assert_int_eq(fixture_state(the_queue, never), MLS_JOB_READY);
    mls_claimer_close(claimer);
}
END_TEST

START_TEST(each_end_gives_room_back)
{
    const mls_resources capacity = {1000, 0, 0};
    mls_job_options options = needing(1000, 0, 0);
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(&capacity, 0);
    options.max_attempts = 2;
    options.backoff_ms = 0;
    const uint64_t id = fixture_submit(the_queue, &options);
    mls_job *job = claim(claimer, id);
    ck_assert_ok(mls_job_fail(job, MLS_EIO, "once more", 0));
    mls_job_free(job);
    job = claim(claimer, id);
    ck_assert_ok(mls_job_fail(job, MLS_EIO, "no", 0));
    mls_job_free(job);
    const uint64_t next = submit(1000, 0, 0);
    job = claim(claimer, next);
    mls_job_free(job); /* which releases it */
    job = claim(claimer, next);
    submit(1000, 0, 0);
    fixture_claim_none(claimer);
    complete(job);
    complete(fixture_claim(claimer));
    mls_claimer_close(claimer);
}
END_TEST

static void *claim_on_thread(void *arg)
{
    mls_claimer *claimer = arg;
    return fixture_claim(claimer);
}

START_TEST(who_waits_is_told_of_room)
{
    const mls_resources capacity = {0, 100, 0};
    pthread_t thread;
    void *second;
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(&capacity, 0);
    mls_job *first = claim(claimer, submit(0, 60, 0));
    const uint64_t id = submit(0, 60, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, claim_on_thread, claimer), 0);
    pass_time(); /* more often than not it waits by now */
    complete(first);
    ck_assert_int_eq(pthread_join(thread, &second), 0);
    ck_assert_uint_eq(mls_job_id(second), id);
    complete(second);
    mls_claimer_close(claimer);
}
END_TEST

START_TEST(room_is_set_aside_for_what_waits_too_long)
{
    const mls_resources capacity = {4000, 0, 1};
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(&capacity, 1), *patient = open_claimer(&capacity, 0);
    const uint64_t a = submit(1000, 0, 0), b = submit(1000, 0, 0);
    mls_job *first = claim(claimer, a), *second = claim(claimer, b);
    const uint64_t large = submit(4000, 0, 0), small = submit(1000, 0, 0);
    const uint64_t other = submit(0, 0, 1), impossible = submit(5000, 0, 0);
    pass_time();
    complete(claim(claimer, other)); /* takes nothing of what the large one lacks */
    fixture_claim_none(claimer);
    complete(first);
    fixture_claim_none(claimer);
    complete(second);
    first = claim(claimer, large);
    fixture_claim_none(claimer);
    complete(claim(patient, small));
    complete(first);
    ck_assert_int_eq(fixture_state(the_queue, impossible), MLS_JOB_READY);
    mls_claimer_close(patient);
    mls_claimer_close(claimer);
}
END_TEST

START_TEST(room_is_not_kept_for_who_left)
{
    const mls_resources capacity = {4000, 0, 0};
    pthread_t thread;
    void *got;
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(&capacity, 1);
    mls_job *first = claim(claimer, submit(1000, 0, 0));
    const uint64_t large = submit(4000, 0, 0), small = submit(1000, 0, 0);
    pass_time();
    fixture_claim_none(claimer);
    ck_assert_int_eq(pthread_create(&thread, NULL, claim_on_thread, claimer), 0);
    pass_time();
    complete(claim(the_claimer, large)); /* as any that leaves: claimed elsewhere, cancelled */
    ck_assert_int_eq(pthread_join(thread, &got), 0);
    ck_assert_uint_eq(mls_job_id(got), small);
    complete(got);
    complete(first);
    mls_claimer_close(claimer);
}
END_TEST

START_TEST(priorities_count_among_what_fits)
{
    const mls_resources capacity = {1000, 0, 0};
    if (lacks_resources() || !conformance_can(MLS_QUEUE_CAN_PRIORITIES))
        return;
    mls_claimer *claimer = open_claimer(&capacity, 0);
    mls_job_options high = needing(600, 0, 0), higher = needing(700, 0, 0);
    high.priority = 8;
    higher.priority = 9;
    mls_job *first = claim(claimer, submit(400, 0, 0));
    const uint64_t low = submit(600, 0, 0), a = fixture_submit(the_queue, &high);
    const uint64_t b = fixture_submit(the_queue, &higher);
    complete(claim(claimer, a));
    complete(claim(claimer, low));
    complete(first);
    complete(claim(claimer, b));
    mls_claimer_close(claimer);
}
END_TEST

START_TEST(claimers_may_have_one_capacity)
{
    const mls_resources capacity = {1000, 0, 0};
    const mls_queue_driver *ops = the_queue->ops;
    if (lacks_resources() || !MLS_HAS_OP(ops, mls_queue_driver, claimer_pool))
        return;
    mls_claimer *a = open_claimer(&capacity, 0), *b = open_claimer(&capacity, 0);
    mls_claimer *c = open_claimer(&capacity, 0), *apart = open_claimer(&capacity, 0);
    ops->claimer_pool(the_queue->self, b->self, a->self);
    ops->claimer_pool(the_queue->self, c->self, b->self);
    uint64_t ids[3];
    for (size_t i = 0; i < 3; i++)
        ids[i] = submit(600, 0, 0);
    mls_job *first = claim(b, ids[0]);
    fixture_claim_none(a);
    fixture_claim_none(c);
    complete(claim(apart, ids[1]));
    complete(first);
    first = claim(c, ids[2]);
    submit(600, 0, 0);
    mls_claimer_close(b);
    fixture_claim_none(a);
    complete(first);
    complete(fixture_claim(a));
    mls_claimer_close(a);
    mls_claimer_close(c);
    mls_claimer_close(apart);
}
END_TEST

START_TEST(offers_are_shown)
{
    const mls_resources capacity = {1500, 4096, 2};
    mls_resources seen = {0};
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(&capacity, 0);
    fixture_claim_none(claimer);
    ck_assert_ok(mls_queue_visit_offers(the_queue, note_offer, &seen));
    ck_assert_int_eq(seen.cpu_milli, 1500);
    ck_assert_int_eq(seen.memory_bytes, 4096);
    ck_assert_int_eq(seen.gpus, 2);
    seen.gpus = 7;
    mls_claimer_stop(claimer, 0);
    ck_assert_ok(mls_queue_visit_offers(the_queue, note_offer, &seen));
    ck_assert_int_eq(seen.gpus, 7); /* before it is closed, which may be long after */
    mls_claimer_close(claimer);
    claimer = open_claimer(NULL, 0);
    fixture_claim_none(claimer);
    ck_assert_ok(mls_queue_visit_offers(the_queue, note_offer, &seen));
    ck_assert_int_eq(seen.gpus, INT64_MAX);
    mls_claimer_close(claimer);
    seen.gpus = 7;
    ck_assert_ok(mls_queue_visit_offers(the_queue, note_offer, &seen));
    ck_assert_int_eq(seen.gpus, 7);
}
END_TEST

START_TEST(more_memory_is_given)
{
    const mls_resources small = {0, 100, 0}, large = {0, 400, 0};
    if (lacks_resources())
        return;
    mls_claimer *a = open_claimer(&small, 0), *b = open_claimer(&large, 0);
    mls_job_options options = needing(0, 100, 0);
    options.max_attempts = 1;
    const uint64_t id = fixture_submit(the_queue, &options);
    mls_job *job = claim(a, id);
    ck_assert_fails(mls_job_escalate(job, 100, NULL), MLS_EINVAL, "more than the 100");
    ck_assert_ok(mls_job_escalate(job, 400, "it was too small"));
    ck_assert_fails(mls_job_escalate(job, 500, NULL), MLS_ESTATE, "ended");
    mls_job_free(job);
    fixture_claim_none(a);
    const mls_job_info info = fixture_look(the_queue, id);
    ck_assert_int_eq(info.needs.memory_bytes, 400);
    ck_assert_uint_eq(info.escalations, 1);
    ck_assert_int_eq(info.error, MLS_ENOMEM);
    ck_assert_uint_eq(info.attempt, 0);
    const uint64_t next = submit(0, 100, 0);
    job = claim(b, id);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    fixture_claim_none(b);
    complete(claim(a, next)); /* whose room was given back */
    complete(job);
    ck_assert_uint_eq(fixture_stats(the_queue).escalated, 1);
    ck_assert_uint_eq(fixture_stats(the_queue).succeeded, 2);
    ck_assert_uint_eq(fixture_stats(the_queue).jobs[MLS_JOB_RUNNING], 0);
    mls_claimer_close(a);
    mls_claimer_close(b);
}
END_TEST

START_TEST(what_stated_nothing_needs_what_it_is_given)
{
    const mls_resources small = {0, 100, 0};
    if (lacks_resources())
        return;
    mls_claimer *claimer = open_claimer(&small, 0);
    const uint64_t id = fixture_submit_type(the_queue, "t");
    mls_job *job = claim(claimer, id);
    ck_assert_ok(mls_job_escalate(job, 400, NULL));
    mls_job_free(job);
    fixture_claim_none(claimer);
    complete(claim(the_claimer, id));
    mls_claimer_close(claimer);
}
END_TEST

START_TEST(who_is_cancelled_gets_no_more)
{
    if (lacks_resources() || !conformance_can(MLS_QUEUE_CAN_CANCEL))
        return;
    const uint64_t id = submit(0, 100, 0);
    mls_job *job = claim(the_claimer, id);
    ck_assert_ok(mls_queue_cancel(the_queue, id));
    ck_assert_ok(mls_job_escalate(job, 200, NULL));
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_CANCELLED);
}
END_TEST

static void note_cost(void *user, const mls_queue_cost *cost)
{
    mls_queue_cost *seen = user;
    if (strcmp(cost->type, "t") == 0 && cost->memory_bytes == 0) {
        *seen = *cost;
        seen->type = NULL;
    }
}

START_TEST(what_was_seen_is_packed_by)
{
    enum { KIB = 1024, PEAK = 100 * KIB };
    const mls_resources capacity = {0, 250 * KIB, 0};
    mls_queue_cost seen = {0};
    if (lacks_resources() || mls_queue_visit_costs(the_queue, note_cost, &seen) == MLS_EUNSUPPORTED)
        return;
    mls_claimer *claimer = open_claimer(&capacity, 0);
    for (size_t i = 0; i < 4; i++)
        fixture_submit_type(the_queue, "t");
    mls_job *jobs[3];
    jobs[0] = fixture_claim(claimer);
    jobs[0]->wall_ns = 5000000; /* as a worker that ran a program would say */
    jobs[0]->cpu_ns = 2000000;
    jobs[0]->peak_bytes = PEAK;
    complete(jobs[0]);
    ck_assert_ok(mls_queue_visit_costs(the_queue, note_cost, &seen));
    ck_assert_uint_eq(seen.samples, 1);
    ck_assert_uint_eq(seen.wall_ns.most, 5000000);
    ck_assert_uint_eq(seen.cpu_ns.p95, 2000000);
    ck_assert_uint_eq(seen.peak_bytes.p95, PEAK);
    jobs[0] = fixture_claim(claimer);
    jobs[1] = fixture_claim(claimer);
    fixture_claim_none(claimer); /* two of that size fit */
    jobs[2] = fixture_claim(the_claimer);
    complete(jobs[0]);
    fixture_submit_type(the_queue, "t");
    jobs[0] = fixture_claim(claimer);
    fixture_claim_none(claimer);
    for (size_t i = 0; i < 3; i++)
        complete(jobs[i]);
    mls_claimer_close(claimer);
}
END_TEST

static uint64_t submit_as(const char *type, int64_t cpu_milli)
{
    mls_job_options options = needing(cpu_milli, 0, 0);
    options.type = type;
    return fixture_submit(the_queue, &options);
}

/* Lets so many jobs of the type take that long that it is known. */
static void teach(const char *type, uint64_t wall_ns)
{
    enum { ENOUGH = 32 };
    mls_queue_cost seen;
    for (size_t i = 0; i < ENOUGH; i++) {
        fixture_submit_type(the_queue, type);
        mls_job *job = fixture_claim(the_claimer);
        job->wall_ns = wall_ns;
        complete(job);
    }
    ck_assert_ok(mls_queue_visit_costs(the_queue, note_cost, &seen)); /* writes them down */
}

START_TEST(who_ends_in_time_passes_a_large_job)
{
    const uint64_t hour_ns = UINT64_C(3600000000000), ms_ns = 1000000;
    const mls_resources capacity = {4000, 0, 0};
    mls_queue_cost seen = {0};
    if (lacks_resources() || mls_queue_visit_costs(the_queue, note_cost, &seen) == MLS_EUNSUPPORTED)
        return;
    mls_claimer *claimer = open_claimer(&capacity, 1);
    teach("long", hour_ns);
    teach("short", ms_ns);
    mls_job *running = claim(claimer, submit_as("long", 2000));
    const uint64_t large = submit_as("t", 4000), new = submit_as("new", 1000);
    const uint64_t other = submit_as("long", 1000), small = submit_as("short", 1000);
    const uint64_t wide = submit_as("short", 2500);
    pass_time();
    complete(claim(claimer, small)); /* past those of which it is not known, and too long ones */
    fixture_claim_none(claimer);     /* one that is short has no room beside what runs */
    complete(running);
    complete(claim(claimer, large));
    running = claim(claimer, new);
    complete(claim(claimer, other));
    complete(claim(claimer, wide));
    const uint64_t next = submit_as("t", 4000), waits = submit_as("short", 1000);
    pass_time();
    fixture_claim_none(claimer); /* what runs may end at any time: nobody passes */
    complete(running);
    complete(claim(claimer, next));
    complete(claim(claimer, waits));
    mls_claimer_close(claimer);
}
END_TEST

void conformance_add_resources(TCase *tests)
{
    tcase_add_test(tests, who_ends_in_time_passes_a_large_job);
    tcase_add_test(tests, what_was_seen_is_packed_by);
    tcase_add_test(tests, more_memory_is_given);
    tcase_add_test(tests, what_stated_nothing_needs_what_it_is_given);
    tcase_add_test(tests, who_is_cancelled_gets_no_more);
    tcase_add_test(tests, is_refused_where_it_is_not_there);
    tcase_add_test(tests, numbers_are_checked);
    tcase_add_test(tests, what_fits_is_claimed);
    tcase_add_test(tests, each_end_gives_room_back);
    tcase_add_test(tests, who_waits_is_told_of_room);
    tcase_add_test(tests, room_is_set_aside_for_what_waits_too_long);
    tcase_add_test(tests, room_is_not_kept_for_who_left);
    tcase_add_test(tests, priorities_count_among_what_fits);
    tcase_add_test(tests, claimers_may_have_one_capacity);
    tcase_add_test(tests, offers_are_shown);
}
