/* SPDX-License-Identifier: Apache-2.0 */
/* What a claim makes of jobs that other clients of the queue hold locked, or say more of. */
#include "job/fixture.h"
#include "job/job.h"
#include "queue/postgres_clients.h"
#include "queue/postgres_tables.h"
#include "support/postgres.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* What is held is locked, as by a client at it for a while, until it is let go. */
static void hold(uint64_t id)
{
    tables_sql("BEGIN; SELECT FROM %s.jobs WHERE id = %llu FOR UPDATE;"
               " PREPARE TRANSACTION 'held'",
               tables_schema(), (unsigned long long) id);
}

static void let_go(void)
{
    mls_test_postgres_sql("ROLLBACK PREPARED 'held'");
}

static mls_queue *open_held(void)
{
    tables_use(mls_test_postgres_url(), "");
    return fixture_queue(tables_url());
}

static uint64_t submit_of(mls_queue *queue, const char *tenant, int priority)
{
    mls_job_options options = fixture_options("t", NULL);
    options.tenant = tenant;
    options.priority = priority;
    return fixture_submit(queue, &options);
}

static void take(mls_claimer *claimer, uint64_t id)
{
    mls_job *job;
    size_t count;
    ck_assert_ok(mls_claimer_claim(claimer, 0, 1, &job, &count));
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
}

static const struct {
    bool has_rule, has_tenants;
} claims_of_held[] = {{false, false}, {true, false}, {false, true}, {true, true}};

/* The first job is locked; then all of its priority. */
START_TEST(locked_jobs_hide_no_others)
{
    mls_queue *queue = open_held();
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_queue_filter elsewhere = MLS_QUEUE_FILTER_INIT;
    elsewhere.queue = "elsewhere";
    if (claims_of_held[_i].has_rule)
        ck_assert_ok(mls_queue_pause(queue, &elsewhere));
    const char *tenant = claims_of_held[_i].has_tenants ? "a" : NULL;
    const uint64_t held = submit_of(queue, tenant, MLS_PRIORITY_HIGHEST);
    const uint64_t same = submit_of(queue, tenant, MLS_PRIORITY_HIGHEST);
    const uint64_t lower = submit_of(queue, tenant, MLS_PRIORITY_LOWEST);
    hold(held);
    take(claimer, same);
    take(claimer, lower);
    let_go();
    take(claimer, held);
    fixture_claim_none(claimer);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

static void *claim_at_once(void *user)
{
    mls_job *job = NULL;
    size_t count;
    if (mls_claimer_claim(user, 0, 1, &job, &count))
        return NULL;
    ck_assert_ok(mls_job_release(job));
    mls_job_free(job);
    return user;
}

/* Nor are they "none" to who does not wait, if they stay ready: within a bound, hence the tries. */
START_TEST(locked_jobs_are_not_none)
{
    enum { MOST_TRIES = 20 };
    mls_queue *queue = open_held();
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t id = submit_of(queue, claims_of_held[_i].has_tenants ? "a" : NULL, 5);
    void *got = NULL;
    if (claims_of_held[_i].has_rule) {
        mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
        rule.max_running = 3;
        ck_assert_ok(mls_queue_limit(queue, &rule));
    }
    for (int tries = 0; !got && tries < MOST_TRIES; tries++) {
        pthread_t thread;
        hold(id);
        pthread_create(&thread, NULL, claim_at_once, claimer);
        let_go();
        pthread_join(thread, &got);
    }
    ck_assert_ptr_nonnull(got);
    take(claimer, id);
    fixture_claim_none(claimer);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* The only job of one type is locked: it does not stand for those of the other. */
START_TEST(locked_jobs_hide_no_other_types)
{
    const char *const types[] = {"t", "u"};
    mls_queue *queue = open_held();
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    mls_claimer *claimer;
    options.types = types;
    options.type_count = 2;
    ck_assert_ok(mls_claimer_open(queue, &options, &claimer));
    const uint64_t first = fixture_submit_type(queue, "t");
    hold(first);
    take(claimer, fixture_submit_type(queue, "u"));
    let_go();
    take(claimer, first);
    fixture_claim_none(claimer);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

static void ignore_cost(void *user, const mls_queue_cost *cost)
{
    (void) user;
    (void) cost;
}

static uint64_t submit_needing(mls_queue *queue, int64_t cpu_milli)
{
    mls_job_options options = fixture_options("t", NULL);
    options.needs.cpu_milli = cpu_milli;
    return fixture_submit(queue, &options);
}

/* What one client submits and sees of costs, another one fits into what it offers. */
START_TEST(needs_that_other_clients_learn_of_count)
{
    enum { PEAK = 100 * 1024 };
    const char *url = mls_test_postgres_url();
    mls_queue *a = fixture_queue(url), *b = fixture_queue(url);
    const mls_resources capacity = {1000, 5 * PEAK / 2, 0};
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.capacity = &capacity;
    mls_claimer *claimer, *other = fixture_claimer(b, "seen");
    ck_assert_ok(mls_claimer_open(a, &options, &claimer));
    fixture_claim_none(claimer); /* while nothing was ever needed */
    submit_needing(b, 1001);
    fixture_claim_none(claimer);
    const uint64_t first = submit_needing(b, 600), second = submit_needing(b, 600);
    mls_job *jobs[2] = {fixture_claim(claimer)};
    ck_assert_uint_eq(mls_job_id(jobs[0]), first);
    fixture_claim_none(claimer);
    ck_assert_ok(mls_job_complete(jobs[0]));
    mls_job_free(jobs[0]);
    take(claimer, second);

    fixture_submit_type(b, "seen");
    jobs[0] = fixture_claim(other);
    jobs[0]->wall_ns = 1000000; /* as a worker that ran a program would say */
    jobs[0]->peak_bytes = PEAK;
    ck_assert_ok(mls_job_complete(jobs[0]));
    mls_job_free(jobs[0]);
    ck_assert_ok(mls_queue_visit_costs(b, ignore_cost, NULL)); /* writes it down */
    for (int i = 0; i < 3; i++)
        fixture_submit_type(b, "seen");
    for (int i = 0; i < 2; i++)
        jobs[i] = fixture_claim(claimer);
    fixture_claim_none(claimer); /* two of that size fit */
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(mls_job_complete(jobs[i]));
        mls_job_free(jobs[i]);
    }
    mls_claimer_close(claimer);
    mls_claimer_close(other);
    mls_queue_close(a);
    mls_queue_close(b);
}
END_TEST

/* More groups of jobs than a claim looks at. */
static void submit_many_groups(mls_queue *queue)
{
    enum { MANY = 1152, SOME = 64 };
    mls_job_options jobs[SOME];
    for (int done = 0; done < MANY; done += SOME) {
        for (int i = 0; i < SOME; i++) {
            jobs[i] = fixture_options("t", NULL);
            jobs[i].needs.cpu_milli = 1 + done + i;
        }
        ck_assert_ok(mls_queue_submit_many(queue, jobs, SOME, NULL));
    }
}

enum { WAIT_MS = 1500 };

static void *claim_in_vain(void *claimer)
{
    mls_job *job;
    size_t count;
    ck_assert_int_eq(mls_claimer_claim(claimer, WAIT_MS, 1, &job, &count), MLS_ETIMEDOUT);
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Each transaction that may claim reads the rules: so many times, with the two calls. */
START_TEST(claims_that_wait_rest)
{
    enum { POLL_MS = 500, LOOKS = 4 };
    mls_queue *queue = open_held();
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_queue_filter here = MLS_QUEUE_FILTER_INIT;
    pthread_t thread;
    here.queue = "default";
    ck_assert_ok(mls_queue_pause(queue, &here));
    submit_many_groups(queue);
    tables_sql("SET search_path TO %s; CREATE SEQUENCE looks; ALTER TABLE rules RENAME TO kept;"
               " CREATE VIEW rules AS SELECT * FROM kept WHERE nextval('looks') > 0",
               tables_schema());
    const int64_t begin_ms = now_ms();
    pthread_create(&thread, NULL, claim_in_vain, claimer);
    claim_in_vain(claimer);
    pthread_join(thread, NULL);
    char rest[100];
    snprintf(rest, sizeof rest, "(SELECT last_value FROM looks) BETWEEN 2 AND %lld",
             (long long) (LOOKS * ((now_ms() - begin_ms) / POLL_MS + 3)));
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    tables_expect(rest);
}
END_TEST

void postgres_claims_add(TCase *tests)
{
    tcase_add_test(tests, claims_that_wait_rest);
    const int kinds = sizeof claims_of_held / sizeof claims_of_held[0];
    tcase_add_loop_test(tests, locked_jobs_hide_no_others, 0, kinds);
    tcase_add_loop_test(tests, locked_jobs_are_not_none, 0, kinds);
    tcase_add_test(tests, locked_jobs_hide_no_other_types);
    tcase_add_test(tests, needs_that_other_clients_learn_of_count);
}
