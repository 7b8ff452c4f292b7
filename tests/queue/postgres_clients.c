/* SPDX-License-Identifier: Apache-2.0 */
/* What several clients of one queue on a server, each with its connection, do at once. */
#include "queue/postgres_clients.h"

#include "job/fixture.h"
#include "support/postgres.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 3, LIMIT = 2, LIMITED = 120 };

static atomic_int running, most_running, ended;

static void *run_limited(void *user)
{
    mls_queue *queue = fixture_queue(user);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    while (ended < LIMITED) {
        mls_job *jobs[2 * LIMIT];
        size_t count = 0;
        if (mls_claimer_claim(claimer, 50, 2 * LIMIT, jobs, &count) != MLS_OK)
            continue;
        const int now = atomic_fetch_add(&running, (int) count) + (int) count;
        for (int most = most_running;
             now > most && !atomic_compare_exchange_weak(&most_running, &most, now);)
            ;
        for (size_t i = 0; i < count; i++) {
            atomic_fetch_sub(&running, 1); /* first: another may run as soon as it has ended */
            ck_assert_ok(mls_job_complete(jobs[i]));
            mls_job_free(jobs[i]);
            atomic_fetch_add(&ended, 1);
        }
    }
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    return NULL;
}

static void submit_plain(mls_queue *queue, int count)
{
    for (int i = 0; i < count; i++)
        fixture_submit_type(queue, "t");
}

START_TEST(limits_hold_for_all_clients_together)
{
    pthread_t threads[CLIENTS];
    char url[700];
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    mls_queue *queue = fixture_queue(url);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, run_limited, url);
    rule.max_running = LIMIT;
    ck_assert_ok(mls_queue_limit(queue, &rule));
    submit_plain(queue, LIMITED);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_ge(most_running, 1);
    ck_assert_int_le(most_running, LIMIT);
    mls_queue_close(queue);
}
END_TEST

static atomic_int claimed;

static void *claim_what_there_is(void *user)
{
    mls_queue *queue = fixture_queue(user);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t count;
    while (mls_claimer_claim(claimer, 0, 1, &job, &count) == MLS_OK) {
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
        atomic_fetch_add(&claimed, 1);
    }
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    return NULL;
}

START_TEST(tokens_are_shared_by_all_clients)
{
    enum { BURST = 10 };
    pthread_t threads[CLIENTS];
    char url[700];
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    mls_queue *queue = fixture_queue(url);
    submit_plain(queue, 3 * BURST);
    rule.rate_jobs = 1;
    rule.rate_ms = 86400000;
    rule.burst = BURST;
    ck_assert_ok(mls_queue_limit(queue, &rule));
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, claim_what_there_is, url);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(claimed, BURST);
    mls_queue_close(queue);
}
END_TEST

enum { FAMILIES = 150 };

static void *run_until_empty(void *user)
{
    mls_queue *queue = fixture_queue(user);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (int done = 0; done < 2 * FAMILIES;) {
        mls_job *job;
        size_t count;
        if (mls_claimer_claim(claimer, 5000, 1, &job, &count) != MLS_OK)
            break; /* a child stayed blocked */
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
        done++;
    }
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    return NULL;
}

/* One ends jobs while another makes others depend on them: either sees what the other did. */
START_TEST(children_see_ends_at_other_clients)
{
    pthread_t thread;
    char url[700];
    uint64_t parents[FAMILIES];
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    mls_queue *queue = fixture_queue(url);
    pthread_create(&thread, NULL, run_until_empty, url);
    for (int i = 0; i < FAMILIES; i++) {
        parents[i] = fixture_submit_type(queue, "t");
        mls_job_options options = fixture_options("t", NULL);
        options.depends_on_count = i < 4 ? 1 : 4; /* some have ended, some are about to */
        options.depends_on = parents + i + 1 - options.depends_on_count;
        fixture_submit(queue, &options);
    }
    pthread_join(thread, NULL);
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 2 * FAMILIES);
    mls_queue_close(queue);
}
END_TEST

/* The one that lost its connection cannot come back for a while, in which the other looks. */
START_TEST(a_cut_connection_is_no_death)
{
    char url[700], guest[720];
    mls_job *none;
    size_t count;
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    snprintf(guest, sizeof guest, "postgres://guest%s", strchr(url, '@'));
    mls_test_postgres_sql("CREATE ROLE guest SUPERUSER LOGIN");
    mls_queue *queue = fixture_queue(url), *cut = fixture_queue(guest);
    mls_claimer *waits = fixture_claimer(queue, NULL), *runs = fixture_claimer(cut, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_job *job = fixture_claim(runs);
    mls_test_postgres_sql("ALTER ROLE guest NOLOGIN");
    mls_test_postgres_sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                          " WHERE usename = 'guest'");
    ck_assert_fails(mls_claimer_claim(waits, 200, 1, &none, &count), MLS_ETIMEDOUT, "");
    mls_test_postgres_sql("ALTER ROLE guest LOGIN");
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_SUCCEEDED);
    mls_claimer_close(waits);
    mls_claimer_close(runs);
    mls_queue_close(cut);
    mls_queue_close(queue);
}
END_TEST

enum { TURNS = 150, MOST = 64 }; /* of a claim: more than are looked at at once */

/* Claims that many, which are those of both tenants in turn but for one. */
static void claim_evenly(mls_claimer *claimer, size_t wanted)
{
    mls_job *jobs[MOST];
    size_t count, of_a = 0;
    ck_assert_ok(mls_claimer_claim(claimer, 0, wanted, jobs, &count));
    ck_assert_uint_eq(count, wanted);
    for (size_t i = 0; i < count; i++) {
        of_a += strcmp(fixture_info(jobs[i]).tenant, "a") == 0;
        ck_assert_ok(mls_job_complete(jobs[i]));
        mls_job_free(jobs[i]);
    }
    ck_assert_uint_ge(2 * of_a + 2, count);
    ck_assert_uint_le(2 * of_a, count + 2);
}

START_TEST(turns_are_shared_by_all_clients)
{
    static mls_job_options jobs[2 * TURNS];
    char url[700];
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    mls_queue *queues[2] = {fixture_queue(url), fixture_queue(url)};
    mls_claimer *claimers[2] = {fixture_claimer(queues[0], NULL), fixture_claimer(queues[1], NULL)};
    for (size_t i = 0; i < 2 * TURNS; i++) {
        jobs[i] = fixture_options("t", NULL);
        jobs[i].tenant = i < TURNS ? "a" : "b";
    }
    ck_assert_ok(mls_queue_submit_many(queues[0], jobs, 2 * TURNS, NULL));
    for (int i = 0; i < 20; i++)
        claim_evenly(claimers[i % 2], 3);
    for (int i = 0; i < 3; i++)
        claim_evenly(claimers[i % 2], MOST);
    for (int i = 0; i < 2; i++) {
        mls_claimer_close(claimers[i]);
        mls_queue_close(queues[i]);
    }
}
END_TEST

/* Of many tenants few jobs are looked at, and none is served twice before all were once. */
START_TEST(many_tenants_take_turns)
{
    enum { MANY = 600, EACH = 3 }; /* more than are looked at of each, at once */
    static mls_job_options jobs[EACH * MANY];
    static char names[MANY][8];
    static int served[MANY];
    mls_queue *queue = fixture_queue(mls_test_postgres_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (size_t i = 0; i < EACH * MANY; i++) {
        jobs[i] = fixture_options("t", NULL);
        jobs[i].tenant = names[i / EACH];
        snprintf(names[i / EACH], sizeof names[0], "%zu", i / EACH);
    }
    ck_assert_ok(mls_queue_submit_many(queue, jobs, EACH * MANY, NULL));
    for (int done = 0; done < EACH * MANY;) {
        mls_job *batch[MOST];
        size_t count;
        ck_assert_ok(mls_claimer_claim(claimer, 0, MOST, batch, &count));
        for (size_t i = 0; i < count; i++) {
            const int tenant = atoi(fixture_info(batch[i]).tenant);
            mls_test_expect(served[tenant]++ == done++ / MANY, "tenant %d out of turn", tenant);
            ck_assert_ok(mls_job_complete(batch[i]));
            mls_job_free(batch[i]);
        }
    }
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

static void *wait_for_one(void *user)
{
    mls_claimer *claimer = user;
    mls_job *job;
    size_t count;
    ck_assert_ok(mls_claimer_claim(claimer, 60000, 1, &job, &count));
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    return NULL;
}

/* Its connection is cut, and there is no room for another one for a while: nothing is lost. */
START_TEST(who_finds_no_connection_tries_again)
{
    char url[720];
    pthread_t thread;
    mls_context *context;
    mls_queue *refused;
    snprintf(url, sizeof url, "postgres://few%s", strchr(mls_test_postgres_url(), '@'));
    mls_test_postgres_sql("CREATE ROLE few LOGIN CONNECTION LIMIT 1;"
                          " GRANT CREATE ON DATABASE postgres TO few");
    mls_queue *queue = fixture_queue(url);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_fails(mls_queue_open(context, url, NULL, &refused), MLS_EIO, "max_connections");
    pthread_create(&thread, NULL, wait_for_one, claimer);
    mls_test_postgres_sql("ALTER ROLE few CONNECTION LIMIT 0");
    mls_test_postgres_sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                          " WHERE usename = 'few'");
    mls_test_postgres_sql("ALTER ROLE few CONNECTION LIMIT 1");
    fixture_submit_type(queue, "t");
    pthread_join(thread, NULL);
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 1);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    mls_context_free(context);
}
END_TEST

/*
 * Two thousand clients come to a server that has room for some sixty. What it says may be of any
 * language: it is the code that counts.
 */
enum { MOST_INSIDE = 100, KNOCKERS = 4, FEW_KNOCKS = 200, MANY_KNOCKS = 2000 };

static atomic_int knocks, refusals;
static mls_queue *inside[MOST_INSIDE];
static atomic_size_t inside_count;

static void *knock(void *user)
{
    mls_context *context;
    mls_queue *queue;
    ck_assert_ok(mls_context_create(NULL, &context));
    while (atomic_fetch_sub(&knocks, 1) > 0) {
        const mls_status status = mls_queue_open(context, user, NULL, &queue);
        if (status == MLS_OK) { /* in the place of one that had not quite gone */
            inside[atomic_fetch_add(&inside_count, 1)] = queue;
            continue;
        }
        mls_test_expect(status == MLS_EIO && strstr(mls_error_message(), "max_connections"), "%s",
                        mls_error_message());
        atomic_fetch_add(&refusals, 1);
    }
    mls_context_free(context);
    return NULL;
}

/* Opens the queue until there is no room. */
static void fill_server(const char *url)
{
    mls_context *context;
    ck_assert_ok(mls_context_create(NULL, &context));
    while (inside_count < MOST_INSIDE &&
           mls_queue_open(context, url, NULL, &inside[inside_count]) == MLS_OK)
        inside_count++;
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "max_connections"));
    ck_assert_uint_ge(inside_count, 10);
    mls_context_free(context);
}

static void live_a_life(mls_queue *from, mls_queue *to)
{
    mls_claimer *claimer = fixture_claimer(to, NULL);
    const uint64_t id = fixture_submit_type(from, "t");
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    mls_claimer_close(claimer);
}

START_TEST(a_full_server_refuses_clients_and_loses_nothing)
{
    pthread_t threads[KNOCKERS];
    char url[700];
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    mls_queue_close(fixture_queue(url)); /* which makes its tables */
    const int wanted = mls_test_is_quick() ? FEW_KNOCKS : MANY_KNOCKS;
    fill_server(url);
    const size_t count = inside_count;
    knocks = wanted;
    for (int i = 0; i < KNOCKERS; i++)
        pthread_create(&threads[i], NULL, knock, url);
    for (size_t i = 0; i < count; i++)
        live_a_life(inside[i], inside[(i + 1) % count]);
    for (int i = 0; i < KNOCKERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_ge(refusals, wanted / 2);
    ck_assert_uint_eq(fixture_stats(inside[0]).succeeded, count);
    for (size_t i = 0; i < inside_count; i++)
        mls_queue_close(inside[i]);
    mls_queue *after = fixture_queue(url);
    ck_assert_uint_eq(fixture_stats(after).jobs[MLS_JOB_SUCCEEDED], count);
    mls_queue_close(after);
}
END_TEST

void postgres_clients_add(TCase *tests)
{
    tcase_add_test(tests, who_finds_no_connection_tries_again);
    tcase_add_test(tests, a_full_server_refuses_clients_and_loses_nothing);
    tcase_add_test(tests, turns_are_shared_by_all_clients);
    tcase_add_test(tests, many_tenants_take_turns);
    tcase_add_test(tests, a_cut_connection_is_no_death);
    tcase_add_test(tests, limits_hold_for_all_clients_together);
    tcase_add_test(tests, tokens_are_shared_by_all_clients);
    tcase_add_test(tests, children_see_ends_at_other_clients);
}
