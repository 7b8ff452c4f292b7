/* SPDX-License-Identifier: Apache-2.0 */
/* Files are named by the process, since tests share a folder with the server. */
#include "queue/stores.h"

#include "job/fixture.h"
#include "queue/virtual_clock.h"
#include "support/folder.h"
#include "support/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool has_server;

void stores_start(void)
{
#ifdef MLS_TEST_DRIVERS
    setenv("MLSCALE_DRIVERS", MLS_TEST_DRIVERS, 1);
    has_server = mls_test_postgres_start();
#endif
}

const char *store_memory_url(void)
{
    return "memory:";
}

const char *store_sqlite_url(void)
{
    static unsigned count;
    char name[64];
    snprintf(name, sizeof name, "%d-%u.db", (int) getpid(), ++count);
    return mls_test_folder_url("sqlite", name);
}

const char *store_postgres_url(void)
{
    const char *url = mls_test_postgres_url();
    virtual_clock_tell(mls_test_postgres_set_clock);
    mls_queue_close(fixture_queue(url));
    mls_test_postgres_hold_clock(url);
    return url;
}

bool store_has_sqlite(void)
{
    mls_context *context;
    mls_queue *queue;
    ck_assert_ok(mls_context_create(NULL, &context));
    const mls_status status = mls_queue_open(context, store_sqlite_url(), NULL, &queue);
    mls_context_free(context);
    if (status == MLS_ENOTFOUND)
        return false; /* built without it */
    ck_assert_ok(status);
    mls_queue_close(queue);
    return true;
}

bool store_has_postgres(void)
{
    return has_server;
}
