/* SPDX-License-Identifier: Apache-2.0 */
/* What a sqlite queue does with a file that holds what it never wrote. */
#include "job/fixture.h"
#include "queue/sqlite_file.h"
#include "queue/sqlite_files.h"
#include "support/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Overwrites all pages but the first: what is read of them is refused, and says so. */
START_TEST(damaged_pages_are_told)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    for (int i = 0; i < 200; i++)
        fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    const int fd = open(mls_test_folder_path("jobs.db"), O_RDWR);
    struct stat info;
    char noise[4096];
    memset(noise, 0x5a, sizeof noise);
    ck_assert_int_eq(fstat(fd, &info), 0);
    ck_assert_int_gt(info.st_size, 8 * 4096);
    for (off_t at = 4096; at < info.st_size; at += 4096)
        ck_assert_int_eq(pwrite(fd, noise, sizeof noise, at), sizeof noise);
    close(fd);
    mls_status status = sqlite_file_open(sqlite_file_url(), &queue);
    if (status == MLS_OK) {
        mls_job *job;
        status = mls_queue_get(queue, 1, &job);
        mls_queue_close(queue);
    }
    ck_assert_int_eq(status, MLS_EFORMAT);
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "damaged"));
}
END_TEST

START_TEST(damaged_rows_are_told)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_job *job;
    size_t count;
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    sqlite_file_run("UPDATE jobs SET payload_at = 1, payload_bytes = 1000000");
    queue = fixture_queue(sqlite_file_url());
    ck_assert_fails(mls_queue_get(queue, id, &job), MLS_EFORMAT, "damaged");
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    ck_assert_fails(mls_claimer_claim(claimer, 0, 1, &job, &count), MLS_EFORMAT, "damaged");
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* Every transaction looks at what is due: one such row must not stop them. */
START_TEST(damaged_rows_that_are_due_are_quarantined)
{
    static const char *const damages[] = {
        "UPDATE jobs SET timer_ms = 1, epoch = 9223372036854775807 WHERE ",
        "UPDATE jobs SET timer_ms = 1, payload_at = 1, payload_bytes = 77 WHERE ",
        "UPDATE jobs SET timer_ms = 1, state = 55 WHERE ",
        "UPDATE jobs SET timer_ms = 1, lane = 77 WHERE ",
        "UPDATE jobs SET timer_ms = 1, state = 4 WHERE ", /* runs: none is set then */
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        char sql[200];
        mls_job_options options = fixture_options("t", NULL);
        options.delay_ms = 3600000;
        mls_queue *queue = fixture_queue(sqlite_file_url());
        const uint64_t id = fixture_submit(queue, &options);
        options = fixture_options("t", NULL);
        options.depends_on = &id;
        options.depends_on_count = 1;
        const uint64_t child = fixture_submit(queue, &options);
        snprintf(sql, sizeof sql, "%sid = %llu", damages[i], (unsigned long long) id);
        sqlite_file_run(sql);
        mls_claimer *claimer = fixture_claimer(queue, NULL);
        fixture_complete(claimer, fixture_submit_type(queue, "t"), NULL);
        ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_DEAD);
        const mls_job_info info = fixture_look(queue, id);
        ck_assert_int_eq(info.error, MLS_EFORMAT);
        ck_assert_int_eq(fixture_state(queue, child), MLS_JOB_CANCELLED);
        ck_assert_ok(mls_queue_drain(queue, 0)); /* it is counted as what it is */
        ck_assert_ok(mls_queue_forget(queue, id));
        ck_assert_ok(mls_queue_forget(queue, child));
        mls_claimer_close(claimer);
        mls_queue_close(queue);
    }
}
END_TEST

/* What is due goes off by and by, and a claim that finds nothing waits for its turn. */
START_TEST(much_that_is_due_is_bounded)
{
    enum { MANY = 4000 };
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_job_options *jobs = calloc(MANY, sizeof *jobs);
    ck_assert_ptr_nonnull(jobs);
    for (size_t i = 0; i < MANY; i++) {
        jobs[i] = fixture_options("t", NULL);
        jobs[i].delay_ms = 3600000;
        jobs[i].deadline_ms = i % 2 ? INT64_C(4102444800000) : 0; /* soon set to long ago */
    }
    ck_assert_ok(mls_queue_submit_many(queue, jobs, MANY, NULL));
    sqlite_file_run(
        "UPDATE jobs SET timer_ms = 1, run_at_ms = 1, deadline_ms = min(deadline_ms, 1)");
    ck_assert_uint_gt(fixture_stats(queue).jobs[MLS_JOB_SCHEDULED], MANY / 2);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t claimed = 0, count;
    while (mls_claimer_claim(claimer, 0, 1, &job, &count) == MLS_OK) {
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
        claimed++;
    }
    ck_assert_uint_eq(claimed, MANY / 2);
    ck_assert_ok(mls_queue_drain(queue, 0));
    ck_assert_uint_eq(fixture_stats(queue).dead, MANY / 2);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    free(jobs);
}
END_TEST

/* Numbers that no queue would write: sums of them could overflow. */
START_TEST(impossible_numbers_are_told)
{
    static const char *const damages[] = {
        "UPDATE jobs SET waiting_ns = 9223372036854775807",
        "UPDATE jobs SET epoch = 9223372036854775807",
        "UPDATE jobs SET retention_ms = -9223372036854775807",
        "UPDATE jobs SET lane = 5000; UPDATE lanes SET id = 5000",
        "UPDATE meta SET next_rank = 9223372036854775807",
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        mls_job *job;
        mls_queue *queue = fixture_queue(sqlite_file_url());
        const uint64_t id = fixture_submit_type(queue, "t");
        sqlite_file_run(damages[i]);
        ck_assert_fails(mls_queue_get(queue, id, &job), MLS_EFORMAT, "damaged");
        mls_queue_close(queue);
        sqlite_file_run("DELETE FROM jobs; DELETE FROM lanes; UPDATE meta SET next_rank = 1");
    }
}
END_TEST

void sqlite_damages_add(TCase *tests)
{
    tcase_add_test(tests, damaged_pages_are_told);
    tcase_add_test(tests, damaged_rows_are_told);
    tcase_add_test(tests, damaged_rows_that_are_due_are_quarantined);
    tcase_add_test(tests, much_that_is_due_is_bounded);
    tcase_add_test(tests, impossible_numbers_are_told);
}
