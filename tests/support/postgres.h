/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PostgreSQL server of the test's own, from the programs that Debian's package installs:
 * in a temporary folder, on a Unix socket there, as a user without rights when the test is
 * root's. It ends with the process that started it, however that ends.
 */
#ifndef MLS_TESTS_SUPPORT_POSTGRES_H
#define MLS_TESTS_SUPPORT_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Starts it, unless it runs; false: there is none to start. Who reaches its socket is
 * trusted, but for the role "locked", which has no rights and the password "key".
 */
bool mls_test_postgres_start(void);

/* The URL of a queue that is not there yet, made when it is opened. Static storage. */
const char *mls_test_postgres_url(void);

/*
 * Ends it: with SIGKILL as a machine that goes down would, but for what was not synced, with
 * SIGQUIT by its immediate stop; and starts it on what it left.
 */
void mls_test_postgres_kill(int signal);
void mls_test_postgres_restart(void);

/* It hangs: all of its processes stay as they are, with their connections. */
void mls_test_postgres_suspend(void);
void mls_test_postgres_resume(void);

/* Until it is killed, nothing is written that no commit waits for. */
void mls_test_postgres_hold_writes(void);

/*
 * From now on the clock of the queue at that URL, which must be there, is told the time: it
 * stands until then.
 */
void mls_test_postgres_hold_clock(const char *url);
void mls_test_postgres_set_clock(int64_t wall_ms);

/* Runs statements, as who may all. */
void mls_test_postgres_sql(const char *sql);

/* Prints that all tests of a program are skipped, and why. */
int mls_test_postgres_skip(void);

#endif
