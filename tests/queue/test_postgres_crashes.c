/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitters and workers on one server are killed at random, and now and then the server
 * is: at once, as if the machine had gone down, or at its own word, sessions first.
 */
#include "job/fixture.h"
#include "queue/crashes.h"
#include "support/postgres.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_PER_KILL 12

static char url[640];

static void kill_server(int signal)
{
    mls_test_postgres_kill(signal);
    mls_test_postgres_restart();
}

static void kill_now_and_then(int round)
{
    static const int signals[] = {SIGQUIT, SIGKILL, SIGINT};
    if (round % ROUNDS_PER_KILL)
        return;
    crashes_await_all();
    crashes_take_away(kill_server, signals[round / ROUNDS_PER_KILL % 3]);
}

START_TEST(acknowledged_jobs_survive_crashes)
{
    snprintf(url, sizeof url, "%s&poison=1000000", mls_test_postgres_url());
    crashes_run(url, crashes_rounds(500), kill_now_and_then);
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
