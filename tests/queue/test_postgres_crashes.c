/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitters and workers on one server are killed at random, and now and then the server
 * is: all of its processes at once, as if the machine had gone down, or at its own word.
 */
#include "job/fixture.h"
#include "queue/crashes.h"
#include "support/postgres.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_PER_KILL 12

static char url[640];

/*
 * What a process ran that the server did not know as dead when it ended itself comes back
 * 10 s after its start: a few rounds have no time for that. So everybody is there, and
 * nobody else, before and behind its end.
 */
static void settle(void)
{
    char sql[640];
    const char *schema = strstr(url, "schema=") + strlen("schema=");
    if (getenv("MLS_TEST_CRASHES"))
        return;
    snprintf(sql, sizeof sql,
             "DO $$ BEGIN FOR i IN 1..3000 LOOP"
             " EXIT WHEN (SELECT count(*) = 4 AND min(server_us) ="
             " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8"
             " FROM %.*s.members) AND (SELECT count(*) FROM pg_locks"
             " WHERE locktype = 'advisory' AND granted) = 4; PERFORM pg_sleep(0.01); END LOOP;"
             " END $$",
             (int) strcspn(schema, "&"), schema);
    mls_test_postgres_sql(sql);
}

static void kill_server(int signal)
{
    mls_test_postgres_kill(signal);
    mls_test_postgres_restart();
}

static void kill_now_and_then(int round)
{
    if (round % ROUNDS_PER_KILL)
        return;
    crashes_await_all();
    settle();
    crashes_take_away(kill_server, round / ROUNDS_PER_KILL % 2 ? SIGKILL : SIGQUIT);
    settle();
}

START_TEST(acknowledged_jobs_survive_crashes)
{
    snprintf(url, sizeof url, "%s&poison=1000000", mls_test_postgres_url());
    crashes_run(url, crashes_rounds(60), kill_now_and_then);
}
END_TEST

int main(void)
{
    setenv("MLSCALE_DRIVERS", MLS_TEST_DRIVERS, 1);
    if (!mls_test_postgres_start())
        return mls_test_postgres_skip();
    /* In this process: it kills the server, which is its child. */
    setenv("CK_FORK", "no", 1);
    Suite *suite = suite_create("queue/postgres/crashes");
    TCase *tests = tcase_create("crashes");
    tcase_add_test(tests, acknowledged_jobs_survive_crashes);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
