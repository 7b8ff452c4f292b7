/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: the files beside a sqlite queue that hold large payloads and results. */
#include "job/fixture.h"
#include "queue/sqlite_file.h"
#include "support/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LARGE = 100000, HUGE = 10 * LARGE };

static size_t count_segments(char *ret_path, size_t size)
{
    const char *folder = mls_test_folder_path("jobs.db-segments");
    char path[400];
    snprintf(path, sizeof path, "%s", folder);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if (ret_path)
            snprintf(ret_path, size, "%s/%s", path, entry->d_name);
        count++;
    }
    closedir(dir);
    return count;
}

static uint64_t submit_large(mls_queue *queue, char fill)
{
    char *bytes = malloc(LARGE);
    memset(bytes, fill, LARGE);
    mls_job_options options = fixture_options("t", NULL);
    options.payload = bytes;
    options.payload_bytes = LARGE;
    const uint64_t id = fixture_submit(queue, &options);
    free(bytes);
    return id;
}

/* A file that is there already is used for what is the same, if it is. */
START_TEST(damaged_segments_are_written_again)
{
    char path[500];
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    submit_large(queue, 'a');
    ck_assert_uint_eq(count_segments(path, sizeof path), 1);
    const int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "damage", 6, LARGE / 2), 6);
    close(fd);
    submit_large(queue, 'a');
    for (int i = 0; i < 2; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_int_eq(((const char *) mls_job_payload(job, NULL))[LARGE / 2], 'a');
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

START_TEST(segments_come_and_go_with_what_names_them)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t a = submit_large(queue, 'a');
    ck_assert_uint_eq(count_segments(NULL, 0), 1);
    const uint64_t same = submit_large(queue, 'a');
    ck_assert_uint_eq(count_segments(NULL, 0), 1);
    const uint64_t b = submit_large(queue, 'b');
    ck_assert_uint_eq(count_segments(NULL, 0), 2);
    fixture_complete(claimer, a, NULL);
    ck_assert_uint_eq(count_segments(NULL, 0), 2);
    fixture_complete(claimer, same, NULL);
    ck_assert_uint_eq(count_segments(NULL, 0), 1);
    /* A result that is what the payload was. */
    mls_job *job = fixture_claim(claimer);
    size_t size;
    const void *payload = mls_job_payload(job, &size);
    ck_assert_ok(mls_job_set_result(job, payload, size));
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_uint_eq(count_segments(NULL, 0), 1);
    ck_assert_ok(mls_queue_forget(queue, b));
    ck_assert_uint_eq(count_segments(NULL, 0), 0);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

START_TEST(damaged_segments_bury_their_jobs)
{
    char path[800];
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t damaged = submit_large(queue, 'd');
    ck_assert_uint_eq(count_segments(path, sizeof path), 1);
    const int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "!", 1, LARGE / 2), 1);
    close(fd);
    const uint64_t good = fixture_submit_type(queue, "t");
    mls_job *job;
    ck_assert_fails(mls_queue_get(queue, damaged, &job), MLS_EFORMAT, "damaged");
    fixture_complete(claimer, good, NULL);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_fails(mls_queue_get(queue, damaged, &job), MLS_EFORMAT, "missing");
    submit_large(queue, 'd'); /* which brings it back */
    job = fixture_wait(queue, damaged);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_DEAD);
    ck_assert_int_eq(fixture_info(job).error, MLS_EFORMAT);
    ck_assert_ptr_nonnull(strstr(fixture_info(job).error_message, "damaged"));
    mls_job_free(job);
    ck_assert_ok(mls_queue_requeue(queue, damaged));
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

static void limit_files(rlim_t most)
{
    struct rlimit files;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &files), 0);
    files.rlim_cur = most;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &files), 0);
}

/* There is room for what is small: who wants to write more is told, and leaves nothing behind. */
START_TEST(segments_that_cannot_be_written_are_told)
{
    static const char data[HUGE] = "p";
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    signal(SIGXFSZ, SIG_IGN);
    fixture_submit_type(queue, "t");
    mls_job *job = fixture_claim(claimer);
    options.payload = data;
    options.payload_bytes = HUGE;
    limit_files(HUGE - 1);
    ck_assert_fails(mls_queue_submit(queue, &options, NULL), MLS_EIO, "cannot be written");
    ck_assert_uint_eq(count_segments(NULL, 0), 0);
    ck_assert_ok(mls_job_set_result(job, data, HUGE));
    ck_assert_fails(mls_job_complete(job), MLS_EIO, "cannot be written");
    limit_files(RLIM_INFINITY);
    mls_job_free(job);
    job = fixture_claim(claimer); /* given back: nothing of its end was stored */
    ck_assert_uint_eq(fixture_info(job).epoch, 2);
    ck_assert_ok(mls_job_set_result(job, data, HUGE));
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_ok(mls_queue_submit(queue, &options, NULL));
    ck_assert_uint_eq(count_segments(NULL, 0), 1);
    ck_assert_uint_eq(fixture_stats(queue).submitted, 2);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* What a crash may leave is removed when the file is opened, and nothing else. */
START_TEST(left_over_segments_are_removed)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    submit_large(queue, 'k');
    mls_queue_close(queue);
    sqlite_file_write("jobs.db-segments/new-7-1", "unfinished");
    sqlite_file_write("jobs.db-segments/"
                      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                      "never named");
    sqlite_file_write("jobs.db-segments/notes.txt", "somebody's");
    ck_assert_uint_eq(count_segments(NULL, 0), 4);
    queue = fixture_queue(sqlite_file_url());
    ck_assert_uint_eq(count_segments(NULL, 0), 2);
    ck_assert_int_eq(access(mls_test_folder_path("jobs.db-segments/notes.txt"), F_OK), 0);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job = fixture_claim(claimer);
    ck_assert_int_eq(((const char *) mls_job_payload(job, NULL))[LARGE - 1], 'k');
    mls_job_free(job);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue/sqlite/segments");
    TCase *tests = tcase_create("segments");
    tcase_add_test(tests, damaged_segments_are_written_again);
    tcase_add_test(tests, segments_come_and_go_with_what_names_them);
    tcase_add_test(tests, damaged_segments_bury_their_jobs);
    tcase_add_test(tests, segments_that_cannot_be_written_are_told);
    tcase_add_test(tests, left_over_segments_are_removed);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
