/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of jobs and calls when connections or answers of the server are lost. */
#include "queue/postgres_losses.h"

#include "job/fixture.h"
#include "queue/postgres_proxy.h"
#include "queue/postgres_tables.h"
#include "support/postgres.h"

#include <pthread.h>

/* The server took the claim, and could not say so: nobody runs the job. */
START_TEST(a_claim_that_was_not_answered_goes_back)
{
    tables_use(proxy_start(), "&patience=1");
    mls_queue *queue = fixture_queue(tables_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t count;
    const uint64_t id = fixture_submit_type(queue, "t");
    proxy_lose_commit("UPDATE jobs t SET state");
    ck_assert_fails(mls_claimer_claim(claimer, 0, 1, &job, &count), MLS_EIO, "not known");
    tables_expect("EXISTS (SELECT FROM jobs WHERE state = 4)");
    proxy_let_back();
    job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    const mls_job_info info = fixture_info(job);
    ck_assert_uint_eq(info.epoch, 2);
    ck_assert_uint_eq(info.attempt, 1);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_RUNNING], 0);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_READY], 0);
    ck_assert_uint_eq(stats.succeeded, 1);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

/* The same while another of its jobs runs, which goes on. What it offered is not forgotten. */
START_TEST(claims_that_were_answered_stay)
{
    tables_use(proxy_start(), "&patience=1");
    mls_queue *queue = fixture_queue(tables_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL), *lost = fixture_claimer(queue, NULL);
    fixture_claim_none(lost);
    fixture_submit_type(queue, "t");
    mls_job *job = fixture_claim(claimer), *other = NULL;
    const uint64_t id = fixture_submit_type(queue, "t");
    proxy_lose_commit("COMMIT"); /* of a claim, or of a look around before it */
    size_t count;
    if (mls_claimer_claim(lost, 0, 1, &other, &count))
        other = NULL;
    proxy_let_back();
    mls_claimer_stop(lost, 0);
    if (!other)
        other = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(other), id);
    ck_assert_ok(mls_job_complete(other));
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(other);
    mls_job_free(job);
    tables_expect("(SELECT count(*) FROM offers) = 1");
    mls_claimer_close(lost);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

/* A queue that is opened while its connection is lost is one member. */
START_TEST(who_joins_again_joins_once)
{
    tables_use(proxy_start(), "");
    mls_queue_close(fixture_queue(tables_url())); /* makes the tables */
    proxy_cut_at("pg_try_advisory_xact_lock_shared", false);
    mls_queue *queue = fixture_queue(tables_url());
    tables_expect("(SELECT count(*) FROM members) = 1");
    mls_queue_close(queue);
    tables_expect("(SELECT count(*) FROM members) = 0");
    proxy_stop();
}
END_TEST

/* Whoever has left need not know for how long he could have learned whether he had. */
START_TEST(a_close_that_was_not_answered_ends)
{
    tables_use(proxy_start(), "&patience=3600");
    mls_queue *queue = fixture_queue(tables_url());
    proxy_lose_commit("DELETE FROM counts WHERE member");
    mls_queue_close(queue);
    tables_expect("(SELECT count(*) FROM members) = 0");
    proxy_stop();
}
END_TEST

/* Nor whether he has, who can leave again. */
START_TEST(a_close_that_was_cut_is_tried_again)
{
    tables_use(proxy_start(), "&patience=3600");
    mls_queue *queue = fixture_queue(tables_url());
    proxy_cut_commit("DELETE FROM counts WHERE member", false);
    mls_queue_close(queue);
    tables_expect("(SELECT count(*) FROM members) = 0");
    proxy_stop();
}
END_TEST

/* While a claim waits for a second. */
static int count_looks(mls_claimer *claimer)
{
    mls_job *none;
    size_t count;
    const int before = proxy_commits();
    ck_assert_fails(mls_claimer_claim(claimer, 1000, 1, &none, &count), MLS_ETIMEDOUT, "");
    return proxy_commits() - before;
}

/*
 * Of many members on other machines it makes no difference how often one looks on this: of 25 times
 * within a second, where all that share would look 4 times. A slow machine cannot do as many.
 */
START_TEST(looks_are_divided_among_neighbours_only)
{
    enum { LEAST_LOOKS = 8, MOST_TRIES = 5 };
    tables_use(proxy_start(), "");
    mls_queue *queue = fixture_queue(tables_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    bool are_enough = false;
    for (int tries = 0; !are_enough && tries < MOST_TRIES; tries++) {
        tables_sql("INSERT INTO %s.members VALUES (1000, 0, 0, 'elsewhere 1 0 1 1', 0)",
                   tables_schema());
        count_looks(claimer);
        const int alone = count_looks(claimer);
        tables_sql("INSERT INTO %s.members SELECT 1000 + n, 0, 0, 'elsewhere 1 ' || n || ' 1 1', 0"
                   " FROM generate_series(1, 300) AS n",
                   tables_schema());
        count_looks(claimer);
        const int looks = count_looks(claimer);
        are_enough = looks >= LEAST_LOOKS || looks >= alone / 2;
        tables_sql("DELETE FROM %s.members WHERE id >= 1000", tables_schema());
    }
    ck_assert(are_enough);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

static uint64_t the_job;

static void *wait_for_the_job(void *user)
{
    mls_job *job;
    ck_assert_ok(mls_queue_wait(user, the_job, 60000, &job));
    ck_assert_int_eq(fixture_info(job).state, MLS_JOB_SUCCEEDED);
    mls_job_free(job);
    return NULL;
}

/* What is kept no longer than its end is kept for it still. */
START_TEST(who_was_away_for_long_goes_on_waiting)
{
    char url[700];
    pthread_t thread;
    mls_queue *cut = fixture_queue(guests_url(url, "&patience=1"));
    mls_queue *queue = fixture_queue(tables_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    the_job = fixture_submit(queue, &options);
    mls_job *job = fixture_claim(claimer);
    pthread_create(&thread, NULL, wait_for_the_job, cut);
    tables_await("EXISTS (SELECT FROM waits)");
    guests_cut();
    tables_await("NOT EXISTS (SELECT FROM waits)");
    mls_test_postgres_sql("ALTER ROLE visitor LOGIN");
    tables_await("(SELECT count(*) FROM members) = 2");
    ck_assert_ok(mls_job_complete(job));
    pthread_join(thread, NULL);
    mls_job_free(job);
    mls_claimer_close(claimer);
    mls_queue_close(cut);
    mls_queue_close(queue);
}
END_TEST

/* By one of whom the member that ends it has not heard. */
START_TEST(what_a_stranger_waits_for_is_kept)
{
    tables_use(mls_test_postgres_url(), "");
    mls_queue *queue = fixture_queue(tables_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    const uint64_t id = fixture_submit(queue, &options);
    tables_sql("INSERT INTO %s.waits VALUES (%llu, 1000)", tables_schema(),
               (unsigned long long) id);
    fixture_complete(claimer, id, NULL);
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_SUCCEEDED);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

enum { SUBMITTERS = 5 };

static void *submit_well(void *user)
{
    mls_job_options options = fixture_options("t", NULL);
    mls_queue_submit(user, &options, NULL); /* while the server is away that fails */
    return NULL;
}

static void *submit_badly(void *user)
{
    mls_job_options options = fixture_options("t", NULL);
    options.batch_key = "\xff";
    ck_assert_int_ne(mls_queue_submit(user, &options, NULL), MLS_OK);
    return NULL;
}

static void *cancel(void *user)
{
    mls_queue_cancel(user, 0);
    return NULL;
}

/*
 * Calls that came together, of which one cannot be, go one by one; when the server goes away at the
 * first, the others do not each wait for it again.
 */
START_TEST(calls_wait_together_for_a_server_that_is_away)
{
    pthread_t threads[SUBMITTERS];
    tables_use(proxy_start(), "&patience=1");
    mls_queue *queue = fixture_queue(tables_url());
    tables_sql("BEGIN; LOCK TABLE %s.jobs IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'away'",
               tables_schema());
    pthread_create(&threads[0], NULL, cancel, queue); /* the others gather behind it */
    proxy_lose_commit("COPY jobs");
    for (int i = 1; i < SUBMITTERS; i++)
        pthread_create(&threads[i], NULL, i == 1 ? submit_badly : submit_well, queue);
    mls_test_postgres_sql("ROLLBACK PREPARED 'away'");
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_le(proxy_refusals(), 45); /* 20 a second, for one second and a little */
    proxy_let_back();
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

static void *claim_patiently(void *user)
{
    mls_job *job = fixture_claim(user);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    return NULL;
}

/* Of calls that go one by one, one that waits is answered by another. */
START_TEST(a_claim_that_goes_alone_is_answered_once)
{
    enum { ROUNDS = 5 }; /* the calls gather in the order that is meant in most of them */
    pthread_t threads[SUBMITTERS];
    tables_use(mls_test_postgres_url(), "");
    mls_queue *queue = fixture_queue(tables_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        tables_sql(
            "BEGIN; LOCK TABLE %s.jobs IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'group'",
            tables_schema());
        pthread_create(&threads[0], NULL, cancel, queue); /* the others gather behind it */
        pthread_create(&threads[1], NULL, claim_patiently, claimer);
        pthread_create(&threads[2], NULL, submit_badly, queue);
        pthread_create(&threads[3], NULL, submit_well, queue);
        mls_test_postgres_sql("ROLLBACK PREPARED 'group'");
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(fixture_stats(queue).succeeded, ROUNDS);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

static void *submit_of_tenant(void *user)
{
    mls_job_options options = fixture_options("t", NULL);
    options.tenant = "a";
    fixture_submit(user, &options);
    return NULL;
}

/* Who waits for its turn to claim or to begin with tenants has locked nothing else. */
START_TEST(turns_are_locked_first)
{
    pthread_t thread;
    tables_use(mls_test_postgres_url(), "");
    mls_queue *queue = fixture_queue(tables_url());
    tables_sql(
        "BEGIN; SELECT pg_advisory_xact_lock('%s.rules'::regclass::oid::int8::bit(32)::int4, 0);"
        " PREPARE TRANSACTION 'turn'",
        tables_schema());
    pthread_create(&thread, NULL, submit_of_tenant, queue);
    mls_test_postgres_sql("DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND"
                          " locktype = 'advisory') LOOP PERFORM pg_sleep(0.001); END LOOP; END $$");
    tables_sql("SET lock_timeout TO '1s'; UPDATE %s.meta SET one = 1", tables_schema());
    mls_test_postgres_sql("ROLLBACK PREPARED 'turn'");
    pthread_join(thread, NULL);
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], 1);
    mls_queue_close(queue);
}
END_TEST

void postgres_losses_add(Suite *suite)
{
    TCase *tests = tcase_create("losses");
    tcase_add_test(tests, a_claim_that_was_not_answered_goes_back);
    tcase_add_test(tests, claims_that_were_answered_stay);
    tcase_add_test(tests, who_joins_again_joins_once);
    tcase_add_test(tests, a_close_that_was_not_answered_ends);
    tcase_add_test(tests, a_close_that_was_cut_is_tried_again);
    tcase_add_test(tests, looks_are_divided_among_neighbours_only);
    tcase_add_test(tests, who_was_away_for_long_goes_on_waiting);
    tcase_add_test(tests, what_a_stranger_waits_for_is_kept);
    tcase_add_test(tests, calls_wait_together_for_a_server_that_is_away);
    tcase_add_test(tests, a_claim_that_goes_alone_is_answered_once);
    tcase_add_test(tests, turns_are_locked_first);
    postgres_deaths_add(tests);
    suite_add_tcase(suite, tests);
}
