/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a sqlite queue, in a folder of the test's own: opened, written and looked into. */
#ifndef MLS_TESTS_QUEUE_SQLITE_FILE_H
#define MLS_TESTS_QUEUE_SQLITE_FILE_H

#include <mlscale.h>

/* "sqlite:FOLDER/jobs.db". Static storage. */
const char *sqlite_file_url(void);

/* Opens a queue in a context of its own; unlike fixture_queue() it may fail. */
mls_status sqlite_file_open(const char *url, mls_queue **ret_queue);

/* Executes statements on the file, past the queue. */
void sqlite_file_run(const char *sql);

/* Makes a file of that name beside it. */
void sqlite_file_write(const char *name, const char *text);

#endif
