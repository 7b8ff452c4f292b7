/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue's file that somebody has edited: each input is a list of edits of its rows, made
 * behind the library's back in a copy of a sound file. All that the library may do then is
 * to refuse, or to show what is there.
 *
 * An edit: a column, a row, a kind of value, and the value (see read_edit).
 */
#include "fuzz/fuzz.h"

#include <mlscale.h>

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS       8
#define MOST_EDITS 8

static const struct {
    const char *table, *column;
} columns[] = {
    {"jobs", "state"},
    {"jobs", "priority"},
    {"jobs", "rank"},
    {"jobs", "epoch"},
    {"jobs", "attempt"},
    {"jobs", "max_attempts"},
    {"jobs", "deaths"},
    {"jobs", "backoff_ms"},
    {"jobs", "backoff_max_ms"},
    {"jobs", "jitter_percent"},
    {"jobs", "retention_ms"},
    {"jobs", "submitted_ms"},
    {"jobs", "run_at_ms"},
    {"jobs", "deadline_ms"},
    {"jobs", "claimed_ms"},
    {"jobs", "ended_ms"},
    {"jobs", "since_ns"},
    {"jobs", "waiting_ns"},
    {"jobs", "running_ns"},
    {"jobs", "timer_ms"},
    {"jobs", "member"},
    {"jobs", "claimer"},
    {"jobs", "owner"},
    {"jobs", "key"},
    {"jobs", "tenant"},
    {"jobs", "batch_key"},
    {"jobs", "payload_at"},
    {"jobs", "payload"},
    {"jobs", "payload_bytes"},
    {"jobs", "result_at"},
    {"jobs", "result"},
    {"jobs", "result_bytes"},
    {"jobs", "error"},
    {"jobs", "error_text"},
    {"jobs", "progress"},
    {"jobs", "note"},
    {"jobs", "lane"},
    {"jobs", "id"},
    {"lanes", "id"},
    {"lanes", "queue"},
    {"lanes", "type"},
    {"lanes", "is_keyed"},
    {"lanes", "ready"},
    {"lanes", "sum_claimed"},
    {"blobs", "data"},
    {"blobs", "id"},
    {"meta", "next_id"},
    {"meta", "next_rank"},
    {"meta", "schedules"},
    {"schedules", "id"},
    {"schedules", "name"},
    {"schedules", "cron"},
    {"schedules", "zone"},
    {"schedules", "next_ms"},
    {"schedules", "missed"},
    {"schedules", "priority"},
    {"schedules", "type"},
    {"schedules", "payload"},
};

static char folder[64], path[96], url[128];
static char *sound; /* the bytes of the file without edits */
static long sound_size;

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", what, mls_error_message());
    abort();
}

static void submit(mls_queue *queue, const char *type, size_t payload, int64_t delay_ms,
                   uint64_t parent)
{
    static const char bytes[20000];
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    job.type = type;
    job.payload = bytes;
    job.payload_bytes = payload;
    job.delay_ms = delay_ms;
    job.max_attempts = 3;
    job.backoff_ms = 0;
    job.tenant = "tenant";
    job.batch_key = payload ? "batch" : NULL;
    job.depends_on = parent ? &parent : NULL;
    job.depends_on_count = parent != 0;
    need(mls_queue_submit(queue, &job, NULL) == MLS_OK, "submit");
}

/* Of which an edit makes it due. */
static void schedule(mls_queue *queue, const char *name)
{
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    mls_schedule s = MLS_SCHEDULE_INIT;
    job.type = "fired";
    job.payload = name;
    job.payload_bytes = 1;
    s.name = name;
    s.cron = "0 0 1 1 *";
    s.missed = MLS_MISSED_ALL;
    s.job = &job;
    need(mls_queue_schedule(queue, &s) == MLS_OK, "schedule");
}

/* Claims up to `most` and ends each in another way. */
static void run_jobs(mls_queue *queue, size_t most)
{
    mls_claimer *claimer;
    mls_job *jobs[JOBS];
    size_t count = 0;
    if (mls_claimer_open(queue, NULL, &claimer))
        return;
    if (mls_claimer_claim(claimer, 0, most, jobs, &count))
        count = 0;
    for (size_t i = 0; i < count; i++) {
        if (i % 4 == 0) {
            mls_job_set_result(jobs[i], "result", 6);
            mls_job_complete(jobs[i]);
        } else if (i % 4 == 1) {
            mls_job_fail(jobs[i], MLS_EIO, "message", MLS_FAIL_FINAL);
        } else if (i % 4 == 2) {
            mls_job_set_progress(jobs[i], 0.5, "note");
            mls_job_fail(jobs[i], MLS_EIO, "message", 0);
        }
        mls_job_free(jobs[i]); /* the last ones are given back */
    }
    mls_claimer_close(claimer);
}

/* A job in every state and with its bytes in every place. */
static void fill(mls_queue *queue)
{
    submit(queue, "done", 10, 0, 0);
    submit(queue, "dead", 0, 0, 0);
    run_jobs(queue, 2);
    submit(queue, "small", 10, 0, 0);
    submit(queue, "blob", 4000, 0, 0);
    submit(queue, "segment", 20000, 0, 0);
    submit(queue, "small", 0, 0, 0);
    submit(queue, "later", 5, 100000000, 0);
    submit(queue, "child", 5, 0, 7);
    schedule(queue, "a");
    schedule(queue, "b");
}

static void read_sound(void)
{
    FILE *file = fopen(path, "rb");
    need(file && fseek(file, 0, SEEK_END) == 0, "fopen");
    sound_size = ftell(file);
    rewind(file);
    sound = malloc((size_t) sound_size);
    need(sound && fread(sound, 1, (size_t) sound_size, file) == (size_t) sound_size, "fread");
    fclose(file);
}

static void remove_all(void)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        perror(folder);
    free(sound);
}

static mls_queue *open_queue(void)
{
    mls_context *context;
    mls_queue *queue = NULL;
    need(mls_context_create(NULL, &context) == MLS_OK, "context");
    if (mls_queue_open(context, url, NULL, &queue))
        queue = NULL;
    mls_context_free(context);
    return queue;
}

static void make_sound(void)
{
    snprintf(folder, sizeof folder, "%s/mls-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    need(mkdtemp(folder) != NULL, "mkdtemp");
    snprintf(path, sizeof path, "%s/q.db", folder);
    snprintf(url, sizeof url, "sqlite:%s", path);
    atexit(remove_all);
    mls_queue *queue = open_queue();
    need(queue != NULL, "open");
    fill(queue);
    mls_queue_close(queue);
    read_sound();
}

static void restore(void)
{
    char other[112];
    snprintf(other, sizeof other, "%s-wal", path);
    unlink(other);
    snprintf(other, sizeof other, "%s-shm", path);
    unlink(other);
    FILE *file = fopen(path, "wb");
    need(file && fwrite(sound, 1, (size_t) sound_size, file) == (size_t) sound_size &&
             fclose(file) == 0,
         "fwrite");
}

/* --- edits --- */

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static uint8_t take(input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

/* Binds the value: of eight bytes, of one, of text or bytes with a length in front, or none. */
static void bind_value(sqlite3_stmt *statement, input *in)
{
    const uint8_t kind = take(in) % 6;
    uint64_t number = 0;
    for (int i = 0; i < (kind == 0 || kind == 4 ? 8 : kind == 5); i++)
        number = number << 8 | take(in);
    double real;
    memcpy(&real, &number, sizeof real);
    size_t size = kind == 1 || kind == 2 ? take(in) : 0;
    size = size < in->left ? size : in->left;
    const char *bytes = (const char *) in->at;
    in->at += size;
    in->left -= size;
    if (kind == 0)
        sqlite3_bind_int64(statement, 1, (int64_t) number);
    else if (kind == 1)
        sqlite3_bind_text(statement, 1, bytes, (int) size, SQLITE_TRANSIENT);
    else if (kind == 2)
        sqlite3_bind_blob(statement, 1, bytes, (int) size, SQLITE_TRANSIENT);
    else if (kind == 4)
        sqlite3_bind_double(statement, 1, real);
    else if (kind == 5)
        sqlite3_bind_int64(statement, 1, (int8_t) number);
}

static void read_edit(sqlite3 *db, input *in)
{
    char sql[160];
    sqlite3_stmt *statement;
    const size_t column = take(in) % (sizeof columns / sizeof columns[0]);
    const unsigned row = take(in);
    snprintf(sql, sizeof sql,
             "UPDATE OR IGNORE %s SET %s = ?1 WHERE rowid = (SELECT rowid FROM %s ORDER BY rowid "
             "LIMIT 1 OFFSET %u)",
             columns[column].table, columns[column].column, columns[column].table, row % JOBS);
    need(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, sql);
    bind_value(statement, in);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
}

static void edit(const uint8_t *data, size_t size)
{
    input in = {data, size};
    sqlite3 *db;
    need(sqlite3_open(path, &db) == SQLITE_OK, "sqlite3_open");
    sqlite3_exec(db, "PRAGMA ignore_check_constraints = 1; PRAGMA synchronous = 0; BEGIN", NULL,
                 NULL, NULL);
    for (int i = 0; i < MOST_EDITS && in.left; i++)
        read_edit(db, &in);
    sqlite3_exec(db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    sqlite3_close(db);
}

/* --- use --- */

static volatile size_t sum; /* of all that is shown: to have it read */

static void touch(const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum += ((const unsigned char *) data)[i];
}

static void look_at(const mls_job *job)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    need(mls_job_get_info(job, &info) == MLS_OK, "info");
    const char *texts[] = {info.type,      info.queue, info.tenant,        info.key,
                           info.batch_key, info.owner, info.error_message, info.progress_note};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        touch(texts[i], strlen(texts[i]));
    touch(info.payload, info.payload ? info.payload_bytes : 0);
    touch(info.result, info.result ? info.result_bytes : 0);
    touch(mls_job_state_name(info.state), 1);
}

static void use(mls_queue *queue)
{
    uint64_t ids[2 * JOBS];
    size_t count = 0;
    mls_queue_stats stats = MLS_QUEUE_STATS_INIT;
    if (mls_queue_list(queue, NULL, 0, 2 * JOBS, ids, &count))
        count = 0;
    for (size_t i = 0; i < count; i++) {
        mls_job *job;
        if (mls_queue_get(queue, ids[i], &job))
            continue;
        look_at(job);
        mls_job_free(job);
    }
    run_jobs(queue, JOBS);
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    job.type = "small";
    if (mls_queue_submit(queue, &job, NULL) == MLS_OK)
        run_jobs(queue, 1);
    for (size_t i = 0; i < count; i++) {
        mls_queue_requeue(queue, ids[i]);
        mls_queue_cancel(queue, ids[i]);
        if (i % 2)
            mls_queue_forget(queue, ids[i]);
    }
    mls_queue_get_stats(queue, NULL, &stats);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!sound)
        make_sound();
    restore();
    edit(data, size);
    mls_queue *queue = open_queue();
    if (queue)
        use(queue);
    mls_queue_close(queue);
    return 0;
}
