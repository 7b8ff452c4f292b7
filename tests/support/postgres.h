/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PostgreSQL server of the test's own, from the programs that Debian's package installs:
 * in a temporary folder, on a Unix socket there, as a user without rights when the test is
 * root's. It ends with the process that started it, however that ends.
 */
#ifndef MLS_TESTS_SUPPORT_POSTGRES_H
#define MLS_TESTS_SUPPORT_POSTGRES_H

#include <stdbool.h>

/* Starts it, unless it runs; false, and why on stderr: there is none to start. */
bool mls_test_postgres_start(void);

/* The URL of a queue that is not there yet, made when it is opened. Static storage. */
const char *mls_test_postgres_url(void);

/* Ends it as power loss would, all of its processes at once; and starts it on what it left. */
void mls_test_postgres_kill(void);
void mls_test_postgres_restart(void);

/* Prints that all tests of a program are skipped, and why. */
int mls_test_postgres_skip(void);

#endif
