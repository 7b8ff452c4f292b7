/* SPDX-License-Identifier: Apache-2.0 */
/* The sqlite driver conforms. */
#include "conformance/queue/suite.h"

#include "support/folder.h"

static const char *url(void)
{
    return mls_test_folder_url("sqlite", "jobs.db");
}

int main(void)
{
    return conformance_queue_run("conformance/queue/sqlite", url);
}
