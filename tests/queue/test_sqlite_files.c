/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a sqlite queue: what it leaves there, and what it does with files it cannot use. */
#include "job/fixture.h"
#include "support/folder.h"

#include "job/queue.h"
#include "queue/sqlite/sqlite.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *url(void)
{
    return mls_test_folder_url("sqlite", "jobs.db");
}

static mls_status open_queue(const char *url_text, mls_queue **ret_queue)
{
    mls_context *context;
    ck_assert_ok(mls_context_create(NULL, &context));
    const mls_status status = mls_queue_open(context, url_text, NULL, ret_queue);
    mls_context_free(context);
    return status;
}

static void run_sql(const char *sql)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(mls_test_folder_path("jobs.db"), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(mls_test_folder_path(name), "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* Opening */

START_TEST(bad_urls_are_refused)
{
    mls_queue *queue;
    char text[500];
    ck_assert_fails(open_queue("sqlite:", &queue), MLS_EINVAL, "sqlite:PATH");
    ck_assert_fails(open_queue("sqlite:?poison=3", &queue), MLS_EINVAL, "sqlite:PATH");
    snprintf(text, sizeof text, "%s?size=3", url());
    ck_assert_fails(open_queue(text, &queue), MLS_EINVAL, "'size=3'");
    static const char *const values[] = {"", "0", "-1", "x", "3x", "1000001"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        snprintf(text, sizeof text, "%s?poison=%s", url(), values[i]);
        ck_assert_fails(open_queue(text, &queue), MLS_EINVAL, "poison");
    }
    snprintf(text, sizeof text, "%s?init=1&poison=0", url());
    ck_assert_fails(open_queue(text, &queue), MLS_EINVAL, "poison");
    snprintf(text, sizeof text, "%s?init=1&poison=2", url());
    ck_assert_ok(open_queue(text, &queue));
    mls_queue_close(queue);
    snprintf(text, sizeof text, "sqlite:%s/none/jobs.db", mls_test_folder());
    ck_assert_fails(open_queue(text, &queue), MLS_EIO, "check the folder");
    snprintf(text, sizeof text, "sqlite:%s", mls_test_folder());
    ck_assert_fails(open_queue(text, &queue), MLS_EIO, "check the folder");
    ck_assert_fails(open_queue("sqlite::memory:", &queue), MLS_EINVAL, "needs a file");
    ck_assert_int_ne(access("-lock", F_OK), 0);
}
END_TEST

START_TEST(files_are_made_unless_told_not_to)
{
    mls_queue *queue;
    char text[500];
    snprintf(text, sizeof text, "%s?init=0", url());
    ck_assert_fails(open_queue(text, &queue), MLS_ENOTFOUND, "there is no file");
    ck_assert_int_ne(access(mls_test_folder_path("jobs.db-lock"), F_OK), 0);
    mls_queue_close(fixture_queue(url()));
    ck_assert_ok(open_queue(text, &queue));
    mls_queue_close(queue);
}
END_TEST

START_TEST(files_of_others_are_left_alone)
{
    mls_queue *queue;
    write_file("jobs.db", "This is a letter, and it is longer than the header of a database. "
                          "It stays as it is, whoever tries to keep jobs in it.............");
    ck_assert_fails(open_queue(url(), &queue), MLS_EFORMAT, "not a SQLite database");
    ck_assert_int_eq(unlink(mls_test_folder_path("jobs.db")), 0);
    run_sql("CREATE TABLE songs(title TEXT)");
    ck_assert_fails(open_queue(url(), &queue), MLS_EFORMAT, "another program");
    run_sql("INSERT INTO songs VALUES('still here')");
    /* Bytes of the header that say how it is written: 1 with a journal, 2 with a WAL. */
    unsigned char written[2];
    const int fd = open(mls_test_folder_path("jobs.db"), O_RDONLY);
    ck_assert_int_eq(pread(fd, written, 2, 18), 2);
    close(fd);
    ck_assert_int_eq(written[0], 1);
    ck_assert_int_eq(written[1], 1);
}
END_TEST

START_TEST(newer_files_are_refused)
{
    mls_queue *queue = fixture_queue(url());
    fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    char mark[64];
    snprintf(mark, sizeof mark, "PRAGMA user_version = %d", mls__sql_version);
    run_sql("PRAGMA user_version = 99");
    ck_assert_fails(open_queue(url(), &queue), MLS_EUNSUPPORTED, "version 99");
    run_sql(mark);
    queue = fixture_queue(url());
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], 1);
    mls_queue_close(queue);
}
END_TEST

START_TEST(read_only_files_are_told)
{
    mls_queue *queue;
    mls_queue_close(fixture_queue(url()));
    ck_assert_int_eq(chmod(mls_test_folder_path("jobs.db"), 0444), 0);
    ck_assert_int_eq(chmod(mls_test_folder(), 0755), 0);
    const uid_t user = geteuid();
    if (user == 0)
        ck_assert_int_eq(seteuid(65534), 0); /* root may write whatever it is */
    const mls_status status = open_queue(url(), &queue);
    if (user == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(status, MLS_EIO);
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "cannot be written"));
}
END_TEST

static int64_t read_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s",
                  sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* A file as the first version of the library made it, with a ready job in it. */
static void make_first_version(void)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(mls_test_folder_path("jobs.db"), &db), SQLITE_OK);
    ck_assert_ok(mls__sql_migrate(db, mls__sql_migrations, 1));
    sqlite3_close(db);
    run_sql("INSERT INTO lanes(id, queue, type, is_keyed, ready, sum_submitted)"
            " VALUES(1, 'default', 't', 0, 1, 1);"
            "INSERT INTO jobs(id, lane, state, priority, rank, max_attempts, backoff_ms,"
            " backoff_max_ms, jitter_percent, retention_ms, submitted_ms, run_at_ms,"
            " deadline_ms, since_ns, payload_at, payload, payload_bytes)"
            " VALUES(1, 1, 3, 4, 1, 1, 0, 0, 0, 60000, 1, 0, 0, 1, 1, x'6f6c64', 3);"
            "UPDATE meta SET next_id = 2, next_rank = 2");
}

START_TEST(jobs_of_the_first_version_go_on)
{
    make_first_version();
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t parent = 1;
    mls_job_options options = fixture_options("t", NULL);
    options.depends_on = &parent;
    options.depends_on_count = 1;
    const uint64_t child = fixture_submit(queue, &options);
    ck_assert_int_eq(fixture_state(queue, child), MLS_JOB_BLOCKED);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), parent);
    ck_assert_mem_eq(mls_job_payload(job, NULL), "old", 3);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    fixture_complete(claimer, child, NULL);
    const mls_job_options scheduled = fixture_options("t", NULL);
    mls_schedule schedule = MLS_SCHEDULE_INIT;
    schedule.name = "s";
    schedule.cron = "@yearly";
    schedule.job = &scheduled;
    ck_assert_ok(mls_queue_schedule(queue, &schedule));
    ck_assert_ok(mls_queue_unschedule(queue, "s"));
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

START_TEST(pauses_stay)
{
    mls_queue *queue = fixture_queue(url());
    ck_assert_ok(mls_queue_pause(queue, NULL));
    fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    fixture_claim_none(claimer);
    ck_assert_ok(mls_queue_resume(queue, NULL));
    fixture_complete(claimer, 1, NULL);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* Who opens the file anew goes on with the turns, and knows of weights. */
START_TEST(turns_stay)
{
    const char *const expected = "ababaabaaba";
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.tenant = "a";
    rule.weight = 2 * MLS_WEIGHT_DEFAULT;
    mls_queue *queue = fixture_queue(url());
    ck_assert_ok(mls_queue_weigh(queue, &rule));
    for (int i = 0; i < 16; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.tenant = i < 8 ? "a" : "b";
        fixture_submit(queue, &options);
    }
    mls_queue_close(queue);
    for (size_t i = 0; expected[i]; i++) {
        queue = fixture_queue(url());
        mls_claimer *claimer = fixture_claimer(queue, NULL);
        mls_job *job = fixture_claim(claimer);
        ck_assert_int_eq(fixture_info(job).tenant[0], expected[i]);
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
        mls_claimer_close(claimer);
        mls_queue_close(queue);
    }
}
END_TEST

START_TEST(older_files_are_brought_up_to_date)
{
    static const mls__sql_migration steps[] = {
        {"CREATE TABLE a(x); INSERT INTO a VALUES(7)"},
        {"ALTER TABLE a ADD COLUMN y DEFAULT 1"},
        {"UPDATE a SET y = x + 1; UPDATE none SET x = 1"},
        {"UPDATE a SET y = x + 2"},
    };
    static const mls__sql_migration good[] = {
        {"CREATE TABLE a(x); INSERT INTO a VALUES(7)"},
        {"ALTER TABLE a ADD COLUMN y DEFAULT 1"},
        {"UPDATE a SET y = x + 1"},
    };
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(mls_test_folder_path("old.db"), &db), SQLITE_OK);
    ck_assert_ok(mls__sql_migrate(db, steps, 1));
    ck_assert_int_eq(read_number(db, "PRAGMA user_version"), 1);
    ck_assert_fails(mls__sql_migrate(db, steps, 4), MLS_EIO, "SQLite");
    ck_assert_int_eq(read_number(db, "PRAGMA user_version"), 1);
    ck_assert_int_eq(read_number(db, "SELECT count(*) FROM pragma_table_info('a')"), 1);
    ck_assert_ok(mls__sql_migrate(db, good, 3));
    ck_assert_int_eq(read_number(db, "PRAGMA user_version"), 3);
    ck_assert_int_eq(read_number(db, "SELECT y FROM a"), 8);
    ck_assert_ok(mls__sql_migrate(db, good, 3));
    ck_assert_fails(mls__sql_migrate(db, good, 2), MLS_EUNSUPPORTED, "version 3");
    sqlite3_close(db);
}
END_TEST

/* Overwrites all pages but the first: what is read of them is refused, and says so. */
START_TEST(damaged_pages_are_told)
{
    mls_queue *queue = fixture_queue(url());
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
    mls_status status = open_queue(url(), &queue);
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
    mls_queue *queue = fixture_queue(url());
    mls_job *job;
    size_t count;
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    run_sql("UPDATE jobs SET payload_at = 1, payload_bytes = 1000000");
    queue = fixture_queue(url());
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
        mls_queue *queue = fixture_queue(url());
        const uint64_t id = fixture_submit(queue, &options);
        options = fixture_options("t", NULL);
        options.depends_on = &id;
        options.depends_on_count = 1;
        const uint64_t child = fixture_submit(queue, &options);
        snprintf(sql, sizeof sql, "%sid = %llu", damages[i], (unsigned long long) id);
        run_sql(sql);
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
    mls_queue *queue = fixture_queue(url());
    mls_job_options *jobs = calloc(MANY, sizeof *jobs);
    ck_assert_ptr_nonnull(jobs);
    for (size_t i = 0; i < MANY; i++) {
        jobs[i] = fixture_options("t", NULL);
        jobs[i].delay_ms = 3600000;
        jobs[i].deadline_ms = i % 2 ? INT64_C(4102444800000) : 0; /* soon set to long ago */
    }
    ck_assert_ok(mls_queue_submit_many(queue, jobs, MANY, NULL));
    run_sql("UPDATE jobs SET timer_ms = 1, run_at_ms = 1, deadline_ms = min(deadline_ms, 1)");
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
        mls_queue *queue = fixture_queue(url());
        const uint64_t id = fixture_submit_type(queue, "t");
        run_sql(damages[i]);
        ck_assert_fails(mls_queue_get(queue, id, &job), MLS_EFORMAT, "damaged");
        mls_queue_close(queue);
        run_sql("DELETE FROM jobs; DELETE FROM lanes; UPDATE meta SET next_rank = 1");
    }
}
END_TEST

/* Staying */

START_TEST(jobs_outlive_the_queue)
{
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const mls_job_options options = fixture_options("t", "payload");
    uint64_t ids[3];
    ids[0] = fixture_submit(queue, &options);
    fixture_complete(claimer, ids[0], "result");
    ids[1] = fixture_submit(queue, &options);
    fixture_fail(claimer, ids[1], MLS_ESHAPE, "as it was", MLS_FAIL_FINAL);
    ids[2] = fixture_submit(queue, &options);
    mls_claimer_close(claimer);
    mls_queue_close(queue);

    queue = fixture_queue(url());
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(queue, ids[0]);
    ck_assert_ok(mls_job_result(job, &data, &size));
    ck_assert_uint_eq(size, 6);
    ck_assert_mem_eq(data, "result", 6);
    mls_job_free(job);
    job = fixture_wait(queue, ids[1]);
    ck_assert_str_eq(fixture_info(job).error_message, "as it was");
    ck_assert_str_eq(fixture_info(job).owner, "tester");
    mls_job_free(job);
    claimer = fixture_claimer(queue, NULL);
    fixture_complete(claimer, ids[2], NULL);
    ck_assert_uint_gt(fixture_submit(queue, &options), ids[2]);
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 2);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* A claim that nobody ends: a handle that is dropped, past what the interface allows. */
static void claim_and_drop(mls_queue *queue, mls_claimer *claimer)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    mls_queue_job shown = {.size = sizeof shown, .info = &info};
    mls_queue_job *const pointers[] = {&shown};
    const mls_queue_claim request = {.size = sizeof request, .max_count = 1};
    size_t count = 0;
    ck_assert_ok(
        queue->ops->claim(queue->self, claimer->self, &request, NULL, 0, pointers, &count));
    ck_assert_uint_eq(count, 1);
    queue->ops->drop(queue->self, &shown);
}

/* A handle that goes without an end is no death: its job is ready again, past a close too. */
START_TEST(dropped_claims_are_given_back)
{
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    claim_and_drop(queue, claimer);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_ok(mls_job_release(job));
    mls_job_free(job);
    claim_and_drop(queue, claimer);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
    queue = fixture_queue(url());
    const mls_job_info info = fixture_look(queue, id);
    ck_assert_int_eq(info.state, MLS_JOB_READY);
    ck_assert_uint_eq(info.attempt, 0);
    ck_assert_uint_eq(info.deaths, 0);
    mls_queue_close(queue);
}
END_TEST

/* Weaker promises are still kept over a close. */
START_TEST(every_acknowledgement_is_kept)
{
    static const uint32_t acks[] = {MLS_ACK_RAM, MLS_ACK_ASYNC, MLS_ACK_DURABLE};
    uint64_t ids[3];
    mls_queue *queue = fixture_queue(url());
    for (size_t i = 0; i < 3; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.ack = acks[i];
        ids[i] = fixture_submit(queue, &options);
    }
    mls_queue_close(queue);
    queue = fixture_queue(url());
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(fixture_state(queue, ids[i]), MLS_JOB_READY);
    mls_queue_close(queue);
}
END_TEST

static void count_free(void *user, void *data, size_t size_bytes)
{
    (void) data;
    (void) size_bytes;
    atomic_fetch_add((atomic_uint *) user, 1);
}

/* Submits that nobody waits for come in their order, each once, and before what follows. */
START_TEST(unawaited_submits_lose_nothing)
{
    enum { JOBS = 10000 };
    static atomic_uint freed;
    static uint64_t ids[JOBS];
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (uint32_t i = 0; i < JOBS; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.ack = MLS_ACK_RAM;
        options.payload = i % 2 ? (const void *) "handed over" : &i;
        options.payload_bytes = i % 2 ? 11 : sizeof i;
        options.payload_free = i % 2 ? count_free : NULL;
        options.payload_user = &freed;
        ids[i] = fixture_submit(queue, &options);
        if (i % 1000 == 0)
            ck_assert_int_eq(fixture_state(queue, ids[i]), MLS_JOB_READY);
    }
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], JOBS);
    ck_assert_uint_eq(atomic_load(&freed), JOBS / 2);
    for (uint32_t i = 0; i < 100; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_uint_eq(mls_job_id(job), ids[i]);
        ck_assert_mem_eq(mls_job_payload(job, NULL), i % 2 ? (const void *) "hand" : &i, sizeof i);
        mls_job_free(job);
    }
    for (uint32_t i = 0; i < 50; i++)
        ids[i] = fixture_submit_type(queue, "t");
    mls_job_options options = fixture_options("t", NULL);
    options.ack = MLS_ACK_RAM;
    const uint64_t last = fixture_submit(queue, &options);
    for (uint32_t i = 0; i < JOBS; i++)
        ck_assert_uint_ne(ids[i], last);
    mls_claimer_close(claimer);
    mls_queue_close(queue); /* writes what is still on its way */
    queue = fixture_queue(url());
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], JOBS + 51);
    mls_queue_close(queue);
}
END_TEST

/* Memory */

static mls_status claim_one(mls_claimer *claimer, mls_status end_status)
{
    mls_job *job;
    size_t count;
    char result[20000];
    memset(result, 'r', sizeof result);
    mls_status status = mls_claimer_claim(claimer, 0, 1, &job, &count);
    if (status)
        return status;
    if (end_status) {
        status = mls_job_fail(job, end_status, NULL, 0);
    } else {
        status = mls_job_set_result(job, result, sizeof result);
        if (!status)
            status = mls_job_complete(job);
    }
    mls_job_free(job);
    return status;
}

static mls_status use_queue(mls_queue *queue)
{
    static char payload[20000];
    mls_claimer *claimer;
    mls_job *job;
    uint64_t ids[2];
    mls_job_options jobs[2] = {fixture_options("a", "small"), fixture_options("b", NULL)};
    jobs[1].payload = payload;
    jobs[1].payload_bytes = sizeof payload;
    jobs[1].key = "key";
    jobs[1].flags = MLS_JOB_JOIN;
    mls_status status = mls_queue_submit_many(queue, jobs, 2, ids);
    if (!status)
        status = mls_claimer_open(queue, NULL, &claimer);
    if (status)
        return status;
    status = claim_one(claimer, MLS_EIO);
    if (!status)
        status = claim_one(claimer, MLS_OK);
    if (!status)
        status = mls_queue_wait(queue, ids[1], 0, &job);
    if (!status)
        mls_job_free(job);
    mls_claimer_close(claimer);
    return status;
}

static mls_status live(mls_context *context, void *arg)
{
    mls_queue *queue;
    (void) arg;
    unlink(mls_test_folder_path("jobs.db"));
    unlink(mls_test_folder_path("jobs.db-wal"));
    unlink(mls_test_folder_path("jobs.db-shm"));
    unlink(mls_test_folder_path("jobs.db-lock"));
    mls_status status = mls_queue_open(context, url(), NULL, &queue);
    if (status)
        return status;
    status = use_queue(queue);
    mls_queue_close(queue);
    return status;
}

START_TEST(no_memory_is_told_and_leaks_nothing)
{
    mls_test_each_allocation(live, NULL);
}
END_TEST

/* Many queues on one file */

enum { MOST_QUEUES = 2000, FILES_OF_QUEUE = 4 };

/* All of them at length only: who dies is found by locks that the system keeps in a list. */
static size_t count_queues(void)
{
    struct rlimit files;
    size_t count = getenv("MLS_TEST_CRASHES") ? MOST_QUEUES : MLS_TEST_SANITIZED ? 40 : 250;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max / FILES_OF_QUEUE <= count)
        count = files.rlim_max / FILES_OF_QUEUE - 10;
    return count;
}

/* Each is submitted to, and what all were given is done by one of them. */
static void use_and_close(mls_queue **queues, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fixture_submit_type(queues[i], "t");
    mls_claimer *claimer = fixture_claimer(queues[count - 1], NULL);
    for (size_t i = 0; i < count; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    fixture_claim_none(claimer);
    ck_assert_ok(mls_queue_drain(queues[0], 0));
    mls_claimer_close(claimer);
    for (size_t i = 0; i < count; i++)
        mls_queue_close(queues[i]);
}

START_TEST(many_queues_share_a_file)
{
    static mls_queue *queues[MOST_QUEUES];
    const size_t count = count_queues();
    for (size_t i = 0; i < count; i++)
        queues[i] = fixture_queue(url());
    use_and_close(queues, count);
    mls_queue *queue = fixture_queue(url());
    ck_assert_uint_eq(fixture_stats(queue).succeeded, count);
    mls_queue_close(queue);
}
END_TEST

/* Whatever is to be opened when no file can be any more; those who came first go on. */
START_TEST(running_out_of_files_is_told)
{
    enum { LEAST = 60, LIMITS = 5 };
    struct rlimit files;
    mls_queue *queues[LEAST + LIMITS];
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    for (rlim_t limit = LEAST; limit < LEAST + LIMITS; limit++) {
        size_t count = 0;
        files.rlim_cur = limit;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
        while (open_queue(url(), &queues[count]) == MLS_OK)
            count++;
        ck_assert_msg(strstr(mls_error_message(), "ulimit -n"), "%s", mls_error_message());
        ck_assert_uint_ge(count, 2);
        use_and_close(queues, count);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue/sqlite/files");
    TCase *tests = tcase_create("files");
    tcase_add_test(tests, bad_urls_are_refused);
    tcase_add_test(tests, files_are_made_unless_told_not_to);
    tcase_add_test(tests, files_of_others_are_left_alone);
    tcase_add_test(tests, newer_files_are_refused);
    tcase_add_test(tests, read_only_files_are_told);
    tcase_add_test(tests, jobs_of_the_first_version_go_on);
    tcase_add_test(tests, pauses_stay);
    tcase_add_test(tests, turns_stay);
    tcase_add_test(tests, older_files_are_brought_up_to_date);
    tcase_add_test(tests, damaged_pages_are_told);
    tcase_add_test(tests, damaged_rows_are_told);
    tcase_add_test(tests, damaged_rows_that_are_due_are_quarantined);
    tcase_add_test(tests, much_that_is_due_is_bounded);
    tcase_add_test(tests, impossible_numbers_are_told);
    tcase_add_test(tests, jobs_outlive_the_queue);
    tcase_add_test(tests, dropped_claims_are_given_back);
    tcase_add_test(tests, every_acknowledgement_is_kept);
    tcase_add_test(tests, unawaited_submits_lose_nothing);
    tcase_add_test(tests, no_memory_is_told_and_leaks_nothing);
    tcase_add_test(tests, many_queues_share_a_file);
    tcase_add_test(tests, running_out_of_files_is_told);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
