/* SPDX-License-Identifier: Apache-2.0 */
/* Submitters and workers on one file are killed at random. */
#include "job/fixture.h"
#include "queue/crashes.h"
#include "support/folder.h"

START_TEST(acknowledged_jobs_survive_crashes)
{
    /* The deaths here are no job's fault. */
    crashes_run(mls_test_folder_url("sqlite", "jobs.db?poison=1000000"), crashes_rounds(500), NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue/sqlite/crashes");
    TCase *tests = tcase_create("crashes");
    tcase_add_test(tests, acknowledged_jobs_survive_crashes);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
