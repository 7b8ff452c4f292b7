/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/sqlite_file.h"

#include "support/folder.h"
#include "support/test.h"

#include <sqlite3.h>
#include <stdio.h>

const char *sqlite_file_url(void)
{
    return mls_test_folder_url("sqlite", "jobs.db");
}

mls_status sqlite_file_open(const char *url, mls_queue **ret_queue)
{
    mls_context *context;
    ck_assert_ok(mls_context_create(NULL, &context));
    const mls_status status = mls_queue_open(context, url, NULL, ret_queue);
    mls_context_free(context);
    return status;
}

void sqlite_file_run(const char *sql)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(mls_test_folder_path("jobs.db"), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

void sqlite_file_write(const char *name, const char *text)
{
    FILE *file = fopen(mls_test_folder_path(name), "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}
