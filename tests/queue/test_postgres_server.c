/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the postgres driver promises when the server is killed, or a worker is, and what it
 * refuses in a URL.
 */
#include "job/fixture.h"
#include "queue/postgres_clients.h"
#include "queue/postgres_losses.h"

#include "support/postgres.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS     3
#define MOST_JOBS 200000
#define PER_ROUND 50 /* jobs acknowledged between kills */

static atomic_uchar runs[MOST_JOBS]; /* by the number in its payload: successes accepted */
static atomic_bool acknowledged[MOST_JOBS];
static atomic_uint submitted;
static sem_t acknowledgements;
static atomic_bool stops;

static void *submit_many(void *user)
{
    mls_queue *queue = user;
    for (uint32_t number; !stops && (number = atomic_fetch_add(&submitted, 1)) < MOST_JOBS;) {
        mls_job_options options = MLS_JOB_OPTIONS_INIT;
        options.type = "t";
        options.payload = &number;
        options.payload_bytes = sizeof number;
        if (mls_queue_submit(queue, &options, NULL) == MLS_OK)
            acknowledged[number] = sem_post(&acknowledgements) == 0;
    }
    return NULL;
}

static void *run_many(void *user)
{
    mls_claimer *claimer = fixture_claimer(user, NULL);
    mls_status status;
    do {
        mls_job *job;
        size_t count;
        status = mls_claimer_claim(claimer, 100, 1, &job, &count);
        if (status == MLS_OK) {
            uint32_t number;
            memcpy(&number, mls_job_payload(job, NULL), sizeof number);
            if (mls_job_complete(job) == MLS_OK)
                atomic_fetch_add(&runs[number], 1);
            mls_job_free(job);
        }
    } while (!stops || status != MLS_ETIMEDOUT);
    mls_claimer_close(claimer);
    return NULL;
}

/* Until so many more submits were acknowledged from now on. */
static void await_acknowledgements(unsigned count)
{
    while (sem_trywait(&acknowledgements) == 0)
        ;
    while (count)
        count -= sem_wait(&acknowledgements) == 0;
}

START_TEST(a_killed_server_loses_nothing)
{
    pthread_t threads[4];
    mls_queue *queue = fixture_queue(mls_test_postgres_url());
    ck_assert_int_eq(sem_init(&acknowledgements, 0, 0), 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i < 2 ? submit_many : run_many, queue);
    for (int i = 0; i < KILLS; i++) {
        await_acknowledgements(PER_ROUND);
        mls_test_postgres_kill(SIGKILL);
        mls_test_postgres_restart();
    }
    stops = true;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_ok(mls_queue_drain(queue, 30000));
    const unsigned end = submitted < MOST_JOBS ? submitted : MOST_JOBS;
    for (unsigned i = 0; i < end; i++) {
        ck_assert_uint_le(runs[i], 1);
        if (acknowledged[i])
            ck_assert_uint_eq(runs[i], 1);
    }
    mls_queue_close(queue);
}
END_TEST

/* A server that crashes forgets which ids it gave, unless what used them was synced. */
START_TEST(ids_are_not_given_twice)
{
    const char *url = mls_test_postgres_url();
    mls_queue *queue = fixture_queue(url);
    mls_job_options options = fixture_options("t", NULL);
    options.ack = MLS_ACK_ASYNC;
    mls_test_postgres_hold_writes();
    fixture_submit(queue, &options);
    mls_test_postgres_kill(SIGKILL);
    mls_test_postgres_restart();
    fixture_submit_type(queue, "t");
    mls_queue *other = fixture_queue(url);
    for (int i = 0; i < 3; i++)
        fixture_submit_type(other, "t");
    ck_assert_uint_ge(fixture_stats(queue).jobs[MLS_JOB_READY], 4);
    mls_queue_close(other);
    mls_queue_close(queue);
}
END_TEST

/* In a child: claims the job, says so, and waits to be killed. */
static void claim_and_hang(const char *url, int said)
{
    mls_queue *queue = fixture_queue(url);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t count;
    if (mls_claimer_claim(claimer, 10000, 1, &job, &count) != MLS_OK || write(said, "", 1) != 1)
        _exit(1);
    pause();
    _exit(0);
}

static void die_of_the_job(const char *url)
{
    int said[2];
    char byte;
    ck_assert_int_eq(pipe(said), 0);
    const pid_t child = fork();
    if (child == 0)
        claim_and_hang(url, said[1]);
    close(said[1]);
    ck_assert_int_eq(read(said[0], &byte, 1), 1);
    close(said[0]);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

START_TEST(jobs_of_killed_workers_come_back_until_they_are_quarantined)
{
    const char *url = mls_test_postgres_url();
    mls_queue *queue = fixture_queue(url);
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_job *job;
    mls_queue_close(queue); /* forks are of one thread, which sanitizers ask for */
    for (int i = 0; i < 3; i++)
        die_of_the_job(url);
    queue = fixture_queue(url);
    ck_assert_ok(mls_queue_wait(queue, id, 30000, &job));
    mls_job_info info = MLS_JOB_INFO_INIT;
    ck_assert_ok(mls_job_get_info(job, &info));
    ck_assert_int_eq(info.state, MLS_JOB_DEAD);
    ck_assert_uint_eq(info.deaths, 3);
    ck_assert_uint_eq(info.epoch, 3);
    ck_assert_ptr_nonnull(strstr(info.error_message, "quarantined"));
    mls_job_free(job);
    mls_queue_close(queue);
}
END_TEST

START_TEST(bad_urls_are_refused)
{
    static const struct {
        const char *url;
        mls_status status;
        const char *message;
    } rows[] = {
        {"postgres:file", MLS_EINVAL, "postgres://USER@HOST"},
        {"postgres://x/y?schema=a\";drop", MLS_EINVAL, "schema"},
        {"postgres://x/y?schema=pg_catalog", MLS_EINVAL, "pg_"},
        {"postgres://x/y?schema=", MLS_EINVAL, "schema"},
        {"postgres://x/y?poison=0", MLS_EINVAL, "1 to 1000000"},
        {"postgres://x/y?patience=0", MLS_EINVAL, "patience=0: 1 to 3600"},
        {"postgres://x/y?patience=1s", MLS_EINVAL, "1 to 3600"},
        {"postgres://x/y?poison=99999999999999999999", MLS_EINVAL, "1 to 1000000"},
        {"postgres://x/y?init=2", MLS_EINVAL, "init"},
        {"postgres://x/y?nonsense=1", MLS_EINVAL, "nonsense"},
        {"postgres://x:y:z%zz/", MLS_EINVAL, "%40 for '@'"},
        {"postgres://me:secret%zz@x/y", MLS_EINVAL, "%XX"},
        {"postgres://me:secret@[x/y", MLS_EINVAL, "write postgres://"},
        {"postgres://me@x/y?password=secret%zz", MLS_EINVAL, "%XX"},
        {"postgres://me@x/y?sslpassword=secret=&", MLS_EINVAL, "write postgres://"},
        {"postgres://me:secret@%2Fnowhere/y?init=1", MLS_EIO, "see that the server runs"},
        {"postgres://me@%2Fnowhere/y?init=1&password=secret", MLS_EIO, "password=***"},
        {"../postgres://x:secret@y", MLS_ENOTFOUND, "no queue driver"},
        {"nopostgres://x:secret@y", MLS_ENOTFOUND, "no module"},
    };
    mls_context *context;
    mls_queue *queue;
    ck_assert_ok(mls_context_create(NULL, &context));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_fails(mls_queue_open(context, rows[i].url, NULL, &queue), rows[i].status,
                        rows[i].message);
        ck_assert_msg(!strstr(mls_error_message(), "secret"), "%s", mls_error_message());
    }
    mls_context_free(context);
}
END_TEST

/* The test's URL with another user, database and end. Static storage. */
static const char *url_of(const char *user, const char *database, const char *rest)
{
    static char url[700];
    const char *given = mls_test_postgres_url();
    const char *host = strchr(given, '@'), *query = strchr(given, '?');
    const char *host_end = strchr(host, '/');
    snprintf(url, sizeof url, "postgres://%s%.*s/%s%s%s", user, (int) (host_end - host), host,
             database, query, rest);
    return url;
}

START_TEST(what_the_server_refuses_says_what_to_do)
{
    mls_context *context;
    mls_queue *queue;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_fails(mls_queue_open(context, url_of("mls", "nowhere", ""), NULL, &queue), MLS_EIO,
                    "createdb");
    ck_assert_fails(mls_queue_open(context, url_of("stranger", "postgres", ""), NULL, &queue),
                    MLS_EIO, "pg_hba.conf");
    ck_assert_fails(mls_queue_open(context, url_of("locked:wrong", "postgres", ""), NULL, &queue),
                    MLS_EIO, "~/.pgpass");
    ck_assert_ptr_null(strstr(mls_error_message(), "wrong"));
    /* The right one, but no right to create. */
    ck_assert_fails(mls_queue_open(context, url_of("locked:key", "postgres", ""), NULL, &queue),
                    MLS_EIO, "ask the owner");
    mls_context_free(context);
}
END_TEST

/* Runs the command; what it printed, to both of its outputs. Static storage. */
static const char *run_tool(const char *words, const char *url, bool *ret_is_good)
{
    static char said[4000];
    char command[1500];
    snprintf(command, sizeof command, MLS_TEST_DRIVERS "/../mlscale %s --queue '%s' 2>&1", words,
             url);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    said[fread(said, 1, sizeof said - 1, pipe)] = '\0';
    *ret_is_good = pclose(pipe) == 0;
    return said;
}

START_TEST(the_command_makes_queues)
{
    bool is_good;
    char url[700];
    snprintf(url, sizeof url, "%s", url_of("mls:hidden", "postgres", ""));
    *strstr(url, "&init=1") = '\0';
    const char *said = run_tool("queue stats", url, &is_good);
    ck_assert_msg(!is_good && strstr(said, "mlscale queue init"), "%s", said);
    ck_assert_ptr_null(strstr(said, "hidden"));
    said = run_tool("queue init", url, &is_good);
    ck_assert_msg(is_good && strstr(said, "is ready"), "%s", said);
    ck_assert_ptr_null(strstr(said, "hidden"));
    said = run_tool("queue init --json", url, &is_good);
    ck_assert_msg(is_good && !strstr(said, "hidden"), "%s", said);
    said = run_tool("queue submit --type t", url, &is_good);
    ck_assert_msg(is_good, "%s", said);
    said = run_tool("queue stats", url, &is_good);
    ck_assert_msg(is_good && strstr(said, "submitted               1"), "%s", said);
    said = run_tool("queue top --once", url, &is_good);
    ck_assert_msg(is_good && strstr(said, "postgres://mls:***@") && !strstr(said, "hidden"), "%s",
                  said);
}
END_TEST

START_TEST(newer_schemas_are_refused)
{
    char url[700], sql[700];
    mls_context *context;
    mls_queue *queue;
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    const char *schema = strstr(url, "schema=") + strlen("schema=");
    mls_queue_close(fixture_queue(url));
    snprintf(sql, sizeof sql, "UPDATE %.*s.meta SET version = 1000", (int) strcspn(schema, "&"),
             schema);
    mls_test_postgres_sql(sql);
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_fails(mls_queue_open(context, url, NULL, &queue), MLS_EUNSUPPORTED,
                    "use a newer library");
    mls_context_free(context);
}
END_TEST

/* Takes away what a schema of version 1 did not have. */
static void age_schema(const char *url)
{
    char sql[900];
    const char *schema = strstr(url, "schema=") + strlen("schema=");
    const int length = (int) strcspn(schema, "&");
    snprintf(sql, sizeof sql,
             "SET search_path TO %.*s; ALTER TABLE jobs DROP COLUMN children;"
             "DROP TABLE edges; DROP TABLE rules; ALTER TABLE members DROP COLUMN process,"
             " DROP COLUMN came_us; DROP INDEX jobs_turns; DROP TABLE turns, shares, schedules;"
             "DROP FUNCTION now_us; DROP TABLE offers, costs; ALTER TABLE meta DROP COLUMN room;"
             "ALTER TABLE jobs DROP COLUMN cpu_milli, DROP COLUMN memory_bytes, DROP COLUMN gpus,"
             " DROP COLUMN escalations; DROP INDEX jobs_types, jobs_queues;"
             "CREATE INDEX jobs_ready_like ON jobs(queue, type, batch_key, priority DESC, rank)"
             " WHERE state = 3;"
             "ALTER TABLE meta DROP COLUMN shares; UPDATE meta SET version = 1",
             length, schema);
    mls_test_postgres_sql(sql);
}

START_TEST(older_schemas_are_brought_up_to_date)
{
    char url[700];
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    mls_queue *queue = fixture_queue(url);
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    age_schema(url);
    queue = fixture_queue(url);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    options.depends_on = &id;
    options.depends_on_count = 1;
    const uint64_t child = fixture_submit(queue, &options);
    ck_assert_ok(mls_queue_pause(queue, NULL));
    fixture_claim_none(claimer);
    ck_assert_ok(mls_queue_resume(queue, NULL));
    fixture_complete(claimer, id, NULL);
    fixture_complete(claimer, child, NULL);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

typedef struct opening {
    const char *url;
    mls_context *context;
    mls_queue *queue;
    mls_status status;
} opening;

static pthread_barrier_t all_are_there;

static void *open_at_once(void *user)
{
    opening *o = user;
    pthread_barrier_wait(&all_are_there);
    o->status = mls_queue_open(o->context, o->url, NULL, &o->queue);
    return NULL;
}

/* Those who find it old at once do not wait for each other in a ring. */
START_TEST(many_may_bring_a_schema_up_to_date)
{
    enum { OPENERS = 4, ROUNDS = 2 };
    char url[700];
    opening openings[OPENERS] = {0};
    pthread_t threads[OPENERS];
    snprintf(url, sizeof url, "%s", mls_test_postgres_url());
    mls_queue_close(fixture_queue(url));
    for (int i = 0; i < OPENERS; i++) {
        openings[i].url = url;
        ck_assert_ok(mls_context_create(NULL, &openings[i].context));
    }
    ck_assert_int_eq(pthread_barrier_init(&all_are_there, NULL, OPENERS), 0);
    for (int round = 0; round < ROUNDS; round++) {
        age_schema(url);
        for (int i = 0; i < OPENERS; i++)
            pthread_create(&threads[i], NULL, open_at_once, &openings[i]);
        for (int i = 0; i < OPENERS; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < OPENERS; i++) {
            ck_assert_int_eq(openings[i].status, MLS_OK);
            mls_queue_close(openings[i].queue);
        }
    }
    for (int i = 0; i < OPENERS; i++)
        mls_context_free(openings[i].context);
    pthread_barrier_destroy(&all_are_there);
}
END_TEST

/* What cannot be stored takes nothing with it: its call fails as a whole, and no other. */
START_TEST(bytes_that_are_no_text_are_refused)
{
    mls_queue *queue = fixture_queue(mls_test_postgres_url());
    mls_job_options jobs[2] = {fixture_options("t", "a"), fixture_options("t", "b")};
    jobs[1].batch_key = "\xff";
    ck_assert_fails(mls_queue_submit_many(queue, jobs, 2, NULL), MLS_EINVAL, "UTF-8");
    jobs[1] = fixture_options("t", "b");
    jobs[1].key = "\xc3";
    ck_assert_fails(mls_queue_submit_many(queue, jobs, 2, NULL), MLS_EINVAL, "UTF-8");
    ck_assert_uint_eq(fixture_stats(queue).jobs[0], 0);
    fixture_submit_type(queue, "t");
    ck_assert_uint_eq(fixture_stats(queue).jobs[0], 1);
    mls_queue_close(queue);
}
END_TEST

/* Nobody waits for anything when it happens; then somebody asks. */
START_TEST(cut_connections_are_made_again)
{
    mls_queue *queue = fixture_queue(mls_test_postgres_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_job *job = fixture_claim(claimer);
    mls_test_postgres_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE application_name = 'mlscale'");
    ck_assert_ok(mls_job_complete(job)); /* nobody else was there to take it for dead */
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_SUCCEEDED);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

START_TEST(a_queue_that_is_not_there_is_made_on_request_only)
{
    char url[600];
    mls_context *context;
    mls_queue *queue;
    strcpy(url, mls_test_postgres_url());
    *strstr(url, "&init=1") = '\0';
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_fails(mls_queue_open(context, url, NULL, &queue), MLS_ENOTFOUND,
                    "mlscale queue init");
    strcat(url, "&init=1");
    ck_assert_ok(mls_queue_open(context, url, NULL, &queue));
    mls_queue_close(queue);
    *strstr(url, "&init=1") = '\0';
    ck_assert_ok(mls_queue_open(context, url, NULL, &queue));
    mls_queue_close(queue);
    mls_context_free(context);
}
END_TEST

int main(void)
{
    setenv("MLSCALE_DRIVERS", MLS_TEST_DRIVERS, 1);
    if (!mls_test_postgres_start())
        return mls_test_postgres_skip();
    /* In this process: it kills the server, which is its child. */
    setenv("CK_FORK", "no", 1);
    Suite *suite = suite_create("queue/postgres_server");
    TCase *tests = tcase_create("server");
    tcase_add_test(tests, bad_urls_are_refused);
    tcase_add_test(tests, what_the_server_refuses_says_what_to_do);
    tcase_add_test(tests, the_command_makes_queues);
    tcase_add_test(tests, newer_schemas_are_refused);
    tcase_add_test(tests, older_schemas_are_brought_up_to_date);
    tcase_add_test(tests, many_may_bring_a_schema_up_to_date);
    tcase_add_test(tests, bytes_that_are_no_text_are_refused);
    tcase_add_test(tests, cut_connections_are_made_again);
    tcase_add_test(tests, a_queue_that_is_not_there_is_made_on_request_only);
    tcase_add_test(tests, ids_are_not_given_twice);
    tcase_add_test(tests, jobs_of_killed_workers_come_back_until_they_are_quarantined);
    tcase_add_test(tests, a_killed_server_loses_nothing);
    postgres_claims_add(tests);
    postgres_plans_add(tests);
    postgres_clients_add(tests);
    suite_add_tcase(suite, tests);
    postgres_losses_add(suite);
    postgres_stops_add(suite);
    return mls_test_run(suite);
}
