/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a sqlite queue: whose it is and of what version, and what a process has for it. */
#include "job/fixture.h"
#include "queue/sqlite_file.h"
#include "queue/sqlite_files.h"
#include "support/folder.h"

#include "queue/sqlite/sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opening */

START_TEST(bad_urls_are_refused)
{
    mls_queue *queue;
    char text[500];
    ck_assert_fails(sqlite_file_open("sqlite:", &queue), MLS_EINVAL, "sqlite:PATH");
    ck_assert_fails(sqlite_file_open("sqlite:?poison=3", &queue), MLS_EINVAL, "sqlite:PATH");
    snprintf(text, sizeof text, "%s?size=3", sqlite_file_url());
    ck_assert_fails(sqlite_file_open(text, &queue), MLS_EINVAL, "'size=3'");
    static const char *const values[] = {"", "0", "-1", "x", "3x", "1000001"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        snprintf(text, sizeof text, "%s?poison=%s", sqlite_file_url(), values[i]);
        ck_assert_fails(sqlite_file_open(text, &queue), MLS_EINVAL, "poison");
    }
    snprintf(text, sizeof text, "%s?init=1&poison=0", sqlite_file_url());
    ck_assert_fails(sqlite_file_open(text, &queue), MLS_EINVAL, "poison");
    snprintf(text, sizeof text, "%s?init=1&poison=2", sqlite_file_url());
    ck_assert_ok(sqlite_file_open(text, &queue));
    mls_queue_close(queue);
    snprintf(text, sizeof text, "sqlite:%s/none/jobs.db", mls_test_folder());
    ck_assert_fails(sqlite_file_open(text, &queue), MLS_EIO, "check the folder");
    snprintf(text, sizeof text, "sqlite:%s", mls_test_folder());
    ck_assert_fails(sqlite_file_open(text, &queue), MLS_EIO, "check the folder");
    ck_assert_fails(sqlite_file_open("sqlite::memory:", &queue), MLS_EINVAL, "needs a file");
    ck_assert_int_ne(access("-lock", F_OK), 0);
}
END_TEST

START_TEST(files_are_made_unless_told_not_to)
{
    mls_queue *queue;
    char text[500];
    snprintf(text, sizeof text, "%s?init=0", sqlite_file_url());
    ck_assert_fails(sqlite_file_open(text, &queue), MLS_ENOTFOUND, "there is no file");
    ck_assert_int_ne(access(mls_test_folder_path("jobs.db-lock"), F_OK), 0);
    mls_queue_close(fixture_queue(sqlite_file_url()));
    ck_assert_ok(sqlite_file_open(text, &queue));
    mls_queue_close(queue);
}
END_TEST

START_TEST(files_of_others_are_left_alone)
{
    mls_queue *queue;
    sqlite_file_write("jobs.db",
                      "This is a letter, and it is longer than the header of a database. "
                      "It stays as it is, whoever tries to keep jobs in it.............");
    ck_assert_fails(sqlite_file_open(sqlite_file_url(), &queue), MLS_EFORMAT,
                    "not a SQLite database");
    ck_assert_int_eq(unlink(mls_test_folder_path("jobs.db")), 0);
    sqlite_file_run("CREATE TABLE songs(title TEXT)");
    ck_assert_fails(sqlite_file_open(sqlite_file_url(), &queue), MLS_EFORMAT, "another program");
    sqlite_file_run("INSERT INTO songs VALUES('still here')");
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
    mls_queue *queue = fixture_queue(sqlite_file_url());
    fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    char mark[64];
    snprintf(mark, sizeof mark, "PRAGMA user_version = %d", mls__sql_version);
    sqlite_file_run("PRAGMA user_version = 99");
    ck_assert_fails(sqlite_file_open(sqlite_file_url(), &queue), MLS_EUNSUPPORTED, "version 99");
    sqlite_file_run(mark);
    queue = fixture_queue(sqlite_file_url());
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], 1);
    mls_queue_close(queue);
}
END_TEST

START_TEST(read_only_files_are_told)
{
    mls_queue *queue;
    mls_queue_close(fixture_queue(sqlite_file_url()));
    ck_assert_int_eq(chmod(mls_test_folder_path("jobs.db"), 0444), 0);
    ck_assert_int_eq(chmod(mls_test_folder(), 0755), 0);
    const uid_t user = geteuid();
    if (user == 0)
        ck_assert_int_eq(seteuid(65534), 0); /* root may write whatever it is */
    const mls_status status = sqlite_file_open(sqlite_file_url(), &queue);
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
    sqlite_file_run("INSERT INTO lanes(id, queue, type, is_keyed, ready, sum_submitted)"
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
    mls_queue *queue = fixture_queue(sqlite_file_url());
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
    mls_status status = mls_queue_open(context, sqlite_file_url(), NULL, &queue);
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

/* Fewer where each is looked at closely: the system keeps locks in a list, so it takes long. */
static size_t count_queues(void)
{
    struct rlimit files;
    size_t count = MLS_TEST_SANITIZED ? 40 : mls_test_is_quick() ? 250 : MOST_QUEUES;
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
        queues[i] = fixture_queue(sqlite_file_url());
    use_and_close(queues, count);
    mls_queue *queue = fixture_queue(sqlite_file_url());
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
        while (sqlite_file_open(sqlite_file_url(), &queues[count]) == MLS_OK)
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
    tcase_add_test(tests, older_files_are_brought_up_to_date);
    tcase_add_test(tests, no_memory_is_told_and_leaks_nothing);
    tcase_add_test(tests, running_out_of_files_is_told);
    sqlite_damages_add(tests);
    sqlite_schedules_add(tests);
    sqlite_stays_add(tests);
    suite_add_tcase(suite, tests);
    TCase *many = tcase_create("many");
    tcase_set_timeout(many, 1200); /* seconds */
    tcase_add_test(many, many_queues_share_a_file);
    suite_add_tcase(suite, many);
    return mls_test_run(suite);
}
