/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call of SQLite, and of segments, that writes, syncs, cuts, opens, renames or removes a file
 * fails once, or from then on; and at each of them the power fails. What was acknowledged is
 * there afterwards, and what was not is there wholly or not at all.
 */
#include "job/fixture.h"
#include "queue/shim_files.h"
#include "queue/shim_vfs.h"
#include "queue/sqlite_file.h"
#include "queue/sqlite_life.h"
#include "support/folder.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a boot of the machine removes: memory that processes shared. */
static void reboot(void)
{
    unlink(mls_test_folder_path("jobs.db-shm"));
}

static const struct {
    int code;
    bool stays;
} faults[] = {
    {SQLITE_FULL, false},
    {SQLITE_IOERR_WRITE, true},
    {SQLITE_IOERR_FSYNC, false},
};

START_TEST(every_call_may_fail)
{
    const unsigned step = MLS_TEST_SANITIZED || mls_test_is_quick() ? 3 : 1;
    unsigned nth = 1;
    do {
        sqlite_life h = {0};
        sqlite_life_remove();
        shim_vfs_fail_at(nth, faults[_i].code, faults[_i].stays);
        sqlite_life_run(&h);
        const bool was_reached = shim_vfs_calls() >= nth;
        shim_vfs_fail_at(0, 0, false);
        sqlite_life_check(&h);
        if (!was_reached) {
            ck_assert(sqlite_life_is_whole(&h));
            break;
        }
        nth += step;
    } while (true);
    ck_assert_uint_gt(nth, 10);
}
END_TEST

/* The last report of the child; false: it got to the end. */
static bool lose_power_at(unsigned nth, uint64_t seed, sqlite_life *h)
{
    int ends[2], status;
    mls_test_folder();
    mls_test_folder_share();
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        shim_vfs_power_loss_at(nth, seed);
        h->report_fd = ends[1];
        sqlite_life_run(h);
        _exit(shim_vfs_calls() < nth ? 1 : 2);
    }
    close(ends[1]);
    while (read(ends[0], h, sizeof *h) == sizeof *h)
        ;
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
}

START_TEST(power_may_fail_at_every_call)
{
    uint64_t seed = mls_test_seed(1);
    const char *wanted = getenv("MLS_TEST_CRASHES");
    const int trials = wanted ? atoi(wanted) / 400 : 1;
    /* Under sanitizers some of the calls: all take minutes there. */
    const unsigned step = MLS_TEST_SANITIZED || mls_test_is_quick() ? 11 : 1;
    for (int trial = 0; trial < trials; trial++) {
        unsigned nth = 1;
        for (;; nth += step) {
            sqlite_life h = {0};
            sqlite_life_remove();
            const bool is_lost = lose_power_at(nth, mls_test_random(&seed), &h);
            reboot();
            sqlite_life_check(&h);
            if (!is_lost)
                break;
        }
        ck_assert_uint_gt(nth, 10);
    }
}
END_TEST

/* Its host gives up on a job whose end cannot be written: it is ready again when it can. */
START_TEST(claims_that_cannot_be_ended_come_back)
{
    sqlite_life_remove();
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_job *job = fixture_claim(claimer);
    shim_vfs_fail_at(1, SQLITE_IOERR_WRITE, true);
    ck_assert_fails(mls_job_complete(job), MLS_EIO, "SQLite");
    mls_job_free(job);
    shim_vfs_fail_at(0, 0, false);
    job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_uint_eq(fixture_info(job).attempt, 1);
    ck_assert_uint_eq(fixture_info(job).epoch, 2);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

static uint64_t submit_in_memory(mls_queue *queue)
{
    mls_job_options options = fixture_options("t", "payload");
    options.ack = MLS_ACK_RAM;
    return fixture_submit(queue, &options);
}

/* What nobody waits for is written as soon as it can be. */
START_TEST(jobs_in_memory_outlive_a_disk_that_fails)
{
    enum { KEPT = 40 };
    sqlite_life_remove();
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    submit_in_memory(queue); /* it, and one behind it, reserve ids for those to come */
    fixture_submit_type(queue, "t");
    while (mls_queue_get_stats(queue, NULL, &(mls_queue_stats) MLS_QUEUE_STATS_INIT) == MLS_OK &&
           fixture_stats(queue).jobs[MLS_JOB_READY] < 2)
        ;
    shim_vfs_fail_at(1, SQLITE_FULL, true);
    for (int i = 0; i < KEPT; i++)
        submit_in_memory(queue);
    shim_vfs_await_calls(3); /* it was tried, and tried again */
    shim_vfs_fail_at(0, 0, false);
    for (int i = 0; i < KEPT + 2; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    fixture_claim_none(claimer);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* Without memory for the statement that turns on syncing, what needs it is refused. */
START_TEST(durable_is_refused_where_syncing_cannot_be_set)
{
    sqlite_life_remove();
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_job_options options = fixture_options("t", NULL);
    fixture_submit(queue, &options);
    options.ack = MLS_ACK_ASYNC;
    fixture_submit(queue, &options);
    fixture_submit(queue, &options); /* syncs are off, and what it needs is in memory */
    options.ack = MLS_ACK_DURABLE;
    sqlite3_hard_heap_limit64(1);
    const mls_status status = mls_queue_submit(queue, &options, NULL);
    sqlite3_hard_heap_limit64(0);
    ck_assert_int_eq(status, MLS_ENOMEM);
    ck_assert_msg(strstr(mls_error_message(), "syncs"), "%s", mls_error_message());
    ck_assert_uint_eq(fixture_stats(queue).submitted, 3);
    fixture_submit(queue, &options);
    mls_queue_close(queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue/sqlite/faults");
    TCase *tests = tcase_create("faults");
    tcase_add_checked_fixture(tests, shim_vfs_register, NULL);
    tcase_add_checked_fixture(tests, shim_files_register, NULL);
    tcase_add_loop_test(tests, every_call_may_fail, 0, sizeof faults / sizeof faults[0]);
    tcase_add_test(tests, claims_that_cannot_be_ended_come_back);
    tcase_add_test(tests, jobs_in_memory_outlive_a_disk_that_fails);
    tcase_add_test(tests, durable_is_refused_where_syncing_cannot_be_set);
    suite_add_tcase(suite, tests);
    tests = tcase_create("power");
    tcase_add_checked_fixture(tests, shim_vfs_register, NULL);
    tcase_add_checked_fixture(tests, shim_files_register, NULL);
    tcase_add_test(tests, power_may_fail_at_every_call);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
