/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/sqlite_life.h"

#include "job/fixture.h"
#include "queue/shim_files.h"
#include "queue/sqlite_file.h"
#include "support/folder.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENT = 9000 };

static void report(const sqlite_life *h)
{
    if (h->report_fd > 0)
        ck_assert_int_eq(write(h->report_fd, h, sizeof *h), sizeof *h);
}

void sqlite_life_remove(void)
{
    static const char *const names[] = {"jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(mls_test_folder_path(names[i]));
    shim_files_remove();
}

static void check_error(mls_status status)
{
    ck_assert_msg(status == MLS_OK || status == MLS_EIO || status == MLS_ENOMEM, "%s: %s",
                  mls_status_name(status), mls_error_message());
    if (status)
        ck_assert_uint_gt(strlen(mls_error_message()), 10);
}

static bool has_segment(size_t index)
{
    return index == LIFE_LARGE || index == LIFE_RETRIED || index == LIFE_CHILD ||
           index == LIFE_BULK_LARGE;
}

static size_t payload_of(size_t index, char bytes[SEGMENT])
{
    memset(bytes, index == LIFE_BULK_LARGE ? LIFE_LARGE : (int) index, SEGMENT);
    return has_segment(index) ? SEGMENT : index % 2 ? 700 : 8;
}

/* It says who it is of, and from LIFE_LARGE it is a segment. */
static size_t result_of(size_t index, char bytes[SEGMENT])
{
    memset(bytes, 100 + (int) index, SEGMENT);
    return index == LIFE_LARGE ? SEGMENT : 8;
}

static mls_job_options options_of(const sqlite_life *h, size_t index, char bytes[SEGMENT])
{
    mls_job_options options = fixture_options("t", NULL);
    options.payload = bytes;
    options.payload_bytes = payload_of(index, bytes);
    options.max_attempts = index == LIFE_RETRIED ? 2 : 1;
    options.backoff_ms = 0;
    options.key = index == LIFE_KEYED ? "key" : NULL;
    if (index == LIFE_CHILD && h->submitted[LIFE_SMALL]) {
        options.depends_on = &h->ids[LIFE_SMALL];
        options.depends_on_count = 1;
    }
    return options;
}

static void submit_one(mls_queue *queue, sqlite_life *h, size_t index)
{
    char bytes[SEGMENT];
    const mls_job_options options = options_of(h, index, bytes);
    mls_status status = mls_queue_submit(queue, &options, &h->ids[index]);
    check_error(status);
    h->submitted[index] = status == MLS_OK;
    report(h);
    if (index != LIFE_KEYED || status)
        return;
    status = mls_queue_submit(queue, &options, NULL);
    ck_assert_int_ne(status, MLS_OK);
    if (status != MLS_EEXIST)
        check_error(status);
}

static void submit_bulk(mls_queue *queue, sqlite_life *h)
{
    static char bytes[LIFE_JOBS][SEGMENT];
    mls_job_options jobs[LIFE_JOBS - LIFE_BULK];
    for (size_t i = LIFE_BULK; i < LIFE_JOBS; i++)
        jobs[i - LIFE_BULK] = options_of(h, i, bytes[i]);
    const mls_status status =
        mls_queue_submit_many(queue, jobs, LIFE_JOBS - LIFE_BULK, &h->ids[LIFE_BULK]);
    check_error(status);
    for (size_t i = LIFE_BULK; i < LIFE_JOBS; i++)
        h->submitted[i] = status == MLS_OK;
    report(h);
}

static void cancel(mls_queue *queue, sqlite_life *h)
{
    if (!h->submitted[LIFE_CANCELLED])
        return;
    const mls_status status = mls_queue_cancel(queue, h->ids[LIFE_CANCELLED]);
    check_error(status);
    h->cancelled = h->ended[LIFE_CANCELLED] = status == MLS_OK;
    report(h);
}

/* Which it is, or one with the same payload. */
static size_t index_of(const mls_job *job)
{
    const char *payload = mls_job_payload(job, NULL);
    ck_assert_ptr_nonnull(payload);
    ck_assert_int_lt(payload[0], LIFE_JOBS);
    return (size_t) payload[0];
}

/* By its payload where its submit failed, and it is there nevertheless. */
static size_t find(const mls_job *job, const sqlite_life *h)
{
    for (size_t i = 0; i < LIFE_JOBS; i++)
        if (h->submitted[i] && h->ids[i] == mls_job_id(job))
            return i;
    return index_of(job);
}

static mls_status end_as(mls_job *job, size_t index, const sqlite_life *h)
{
    char bytes[SEGMENT];
    if (index == LIFE_RETRIED && !h->failed)
        return mls_job_fail(job, MLS_ESHAPE, "to be tried again", 0);
    const size_t size = result_of(index, bytes);
    ck_assert_ok(mls_job_set_result(job, bytes, size));
    return index == LIFE_BURIED ? mls_job_fail(job, MLS_ESHAPE, "buried", MLS_FAIL_FINAL)
                                : mls_job_complete(job);
}

static void end_job(mls_job *job, sqlite_life *h)
{
    const size_t index = find(job, h);
    const bool is_first_failure = index == LIFE_RETRIED && !h->failed;
    const mls_status status = end_as(job, index, h);
    check_error(status);
    if (is_first_failure)
        h->failed = status == MLS_OK;
    else if (h->submitted[index] && h->ids[index] == mls_job_id(job))
        h->ended[index] = status == MLS_OK;
    report(h);
    mls_job_free(job);
}

static void forget(mls_queue *queue, sqlite_life *h)
{
    if (!h->ended[LIFE_LARGE])
        return;
    h->was_to_be_forgotten = true;
    report(h);
    const mls_status status = mls_queue_forget(queue, h->ids[LIFE_LARGE]);
    check_error(status);
    h->forgotten = status == MLS_OK;
    report(h);
}

static void end_jobs(mls_queue *queue, sqlite_life *h)
{
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (int tries = 0; tries < 2 * LIFE_JOBS; tries++) {
        mls_job *jobs[2];
        size_t count;
        if (mls_claimer_claim(claimer, 0, 2, jobs, &count) != MLS_OK)
            continue;
        for (size_t i = 0; i < count; i++)
            end_job(jobs[i], h);
    }
    mls_claimer_close(claimer);
}

void sqlite_life_run(sqlite_life *h)
{
    mls_queue *queue;
    const mls_status status = sqlite_file_open(sqlite_file_url(), &queue);
    check_error(status);
    if (status)
        return;
    for (size_t i = 0; i < LIFE_BULK; i++)
        submit_one(queue, h, i);
    submit_bulk(queue, h);
    cancel(queue, h);
    end_jobs(queue, h);
    forget(queue, h);
    check_error(mls_queue_get_stats(queue, NULL, &(mls_queue_stats) MLS_QUEUE_STATS_INIT));
    mls_queue_close(queue);
}

/* A cancel that failed may have come to pass, or the job was run. */
static void check_end(const sqlite_life *h, size_t index, int32_t state)
{
    if (!h->ended[index])
        return;
    if (index == LIFE_CANCELLED)
        ck_assert(state == MLS_JOB_CANCELLED || (!h->cancelled && state == MLS_JOB_SUCCEEDED));
    else
        ck_assert_int_eq(state, index == LIFE_BURIED ? MLS_JOB_DEAD : MLS_JOB_SUCCEEDED);
}

/* It is as it was given, all of it. */
static void check_bytes(const void *data, size_t size, const char *wanted, size_t wanted_size)
{
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(size, wanted_size);
    ck_assert_mem_eq(data, wanted, size);
}

static void check_job(const mls_job *job, const sqlite_life *h, size_t index)
{
    const int32_t state = mls_job_state(job);
    char bytes[SEGMENT];
    const void *data;
    size_t size;
    check_end(h, index, state);
    if (index == LIFE_RETRIED && h->failed)
        ck_assert_uint_ge(fixture_info(job).attempt, 1);
    if (state == MLS_JOB_SUCCEEDED) {
        ck_assert_ok(mls_job_result(job, &data, &size));
        check_bytes(data, size, bytes, result_of(index, bytes));
    } else if (state < MLS_JOB_SUCCEEDED) {
        data = mls_job_payload(job, &size);
        check_bytes(data, size, bytes, payload_of(index, bytes));
    }
}

/* Jobs that were forgotten. */
static uint64_t check_jobs(mls_queue *queue, const sqlite_life *h)
{
    uint64_t gone = 0;
    for (size_t i = 0; i < LIFE_JOBS; i++) {
        mls_job *job;
        if (!h->submitted[i])
            continue;
        const mls_status status = mls_queue_get(queue, h->ids[i], &job);
        if (i == LIFE_LARGE && h->was_to_be_forgotten && status == MLS_ENOTFOUND) {
            gone++;
            continue;
        }
        ck_assert_ok(status);
        ck_assert(i != LIFE_LARGE || !h->forgotten);
        check_job(job, h, i);
        mls_job_free(job);
    }
    return gone;
}

static void check_counts(mls_queue *queue, uint64_t gone)
{
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_RUNNING], 0);
    ck_assert_uint_eq(stats.jobs[0], stats.submitted - gone);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_SUCCEEDED], stats.succeeded - gone);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_DEAD], stats.dead);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_CANCELLED], stats.cancelled);
    /* A bulk is there wholly or not at all: what is unknown of it was not acknowledged. */
    ck_assert_uint_le(stats.jobs[0], LIFE_JOBS);
}

static void check_sql(const char *sql, const char *wanted)
{
    sqlite3 *db;
    sqlite3_stmt *check;
    ck_assert_int_eq(sqlite3_open(mls_test_folder_path("jobs.db"), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &check, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(check), SQLITE_ROW);
    ck_assert_str_eq((const char *) sqlite3_column_text(check, 0), wanted);
    sqlite3_finalize(check);
    sqlite3_close(db);
}

/* What is named is there; what is there has its row, and is found when nobody names it. */
static void check_segments(void)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FILTER (WHERE refs > 0) <= %zu AND %zu <= count(*) FROM segments",
             shim_files_count(), shim_files_count());
    check_sql(sql, "1");
}

/* Of jobs that nobody was told of, too, each ends with what it was given. */
static void end_rest(mls_queue *queue)
{
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t count;
    while (mls_claimer_claim(claimer, 0, 1, &job, &count) == MLS_OK) {
        char bytes[SEGMENT];
        const size_t index = index_of(job);
        size_t size;
        const void *data = mls_job_payload(job, &size);
        if (size > 0 && strcmp(fixture_info(job).type, "t") == 0)
            check_bytes(data, size, bytes, payload_of(index, bytes));
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    mls_claimer_close(claimer);
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_READY] + stats.jobs[MLS_JOB_BLOCKED], 0);
}

void sqlite_life_check(const sqlite_life *h)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    check_counts(queue, check_jobs(queue, h));
    end_rest(queue);
    fixture_submit_type(queue, "after");
    mls_queue_close(queue);
    check_sql("PRAGMA integrity_check", "ok");
    check_segments();
}

bool sqlite_life_is_whole(const sqlite_life *h)
{
    for (size_t i = 0; i < LIFE_JOBS; i++)
        if (!h->ended[i])
            return false;
    return h->failed && h->cancelled && h->forgotten;
}
