/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call of SQLite that writes, syncs, cuts or opens a file fails once, or from then
 * on; and at each of them the power fails. What was acknowledged is there afterwards,
 * and what was not is there wholly or not at all.
 */
#include "job/fixture.h"
#include "queue/shim_vfs.h"
#include "queue/sqlite_file.h"
#include "support/folder.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS = 6, BULK = 3 };

/* What a run was told: told[i] says that what it did with job i was acknowledged. */
typedef struct history {
    uint64_t ids[JOBS];
    bool submitted[JOBS];
    bool ended[JOBS]; /* completed, the last one buried */
    bool opened;
} history;

static void remove_store(void)
{
    static const char *const names[] = {"jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-lock"};
    char path[400];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", mls_test_folder(), names[i]);
        unlink(path);
    }
}

/* What a boot of the machine removes: memory that processes shared. */
static void reboot(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/jobs.db-shm", mls_test_folder());
    unlink(path);
}

static void check_error(mls_status status)
{
    ck_assert_msg(status == MLS_OK || status == MLS_EIO || status == MLS_ENOMEM, "%s: %s",
                  mls_status_name(status), mls_error_message());
    if (status)
        ck_assert_uint_gt(strlen(mls_error_message()), 10);
}

static void submit_jobs(mls_queue *queue, history *h)
{
    char payload[2][700];
    memset(payload, 'p', sizeof payload);
    mls_job_options jobs[BULK];
    for (size_t i = 0; i < JOBS; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.payload = payload[i % 2];
        options.payload_bytes = i % 2 ? sizeof payload[0] : 8;
        if (i < JOBS - BULK) {
            const mls_status status = mls_queue_submit(queue, &options, &h->ids[i]);
            check_error(status);
            h->submitted[i] = status == MLS_OK;
        } else {
            jobs[i - (JOBS - BULK)] = options;
        }
    }
    const mls_status status = mls_queue_submit_many(queue, jobs, BULK, &h->ids[JOBS - BULK]);
    check_error(status);
    for (size_t i = JOBS - BULK; i < JOBS; i++)
        h->submitted[i] = status == MLS_OK;
}

static void end_job(mls_job *job, history *h)
{
    const uint64_t id = mls_job_id(job);
    mls_status status = mls_job_set_result(job, &id, sizeof id);
    ck_assert_ok(status);
    const bool is_last = h->submitted[JOBS - 1] && id == h->ids[JOBS - 1];
    status =
        is_last ? mls_job_fail(job, MLS_ESHAPE, "buried", MLS_FAIL_FINAL) : mls_job_complete(job);
    check_error(status);
    for (size_t i = 0; i < JOBS; i++)
        if (h->submitted[i] && h->ids[i] == id)
            h->ended[i] = status == MLS_OK;
    mls_job_free(job);
}

/* A life of some jobs. Reports are written as soon as they are true. */
static void live(history *h, int report)
{
    mls_queue *queue;
    const mls_status status = sqlite_file_open(sqlite_file_url(), &queue);
    check_error(status);
    h->opened = status == MLS_OK;
    if (!h->opened)
        return;
    submit_jobs(queue, h);
    if (report >= 0)
        ck_assert_int_eq(write(report, h, sizeof *h), sizeof *h);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t count;
    for (int tries = 0; tries < 2 * JOBS; tries++) {
        if (mls_claimer_claim(claimer, 0, 1, &job, &count) != MLS_OK)
            continue;
        end_job(job, h);
        if (report >= 0)
            ck_assert_int_eq(write(report, h, sizeof *h), sizeof *h);
    }
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

static void check_ended(const mls_job *job, const history *h, size_t index)
{
    const bool is_last = index == JOBS - 1;
    const int32_t state = mls_job_state(job);
    const void *data;
    size_t size;
    if (h->ended[index])
        ck_assert_int_eq(state, is_last ? MLS_JOB_DEAD : MLS_JOB_SUCCEEDED);
    if (state == MLS_JOB_SUCCEEDED) {
        ck_assert_ok(mls_job_result(job, &data, &size));
        ck_assert_uint_eq(size, sizeof h->ids[index]);
        ck_assert_mem_eq(data, &h->ids[index], size);
    }
    if (state == MLS_JOB_READY) {
        size_t payload;
        ck_assert_ptr_nonnull(mls_job_payload(job, &payload));
        ck_assert_uint_eq(payload, index % 2 ? 700 : 8);
    }
}

static void check_counts(mls_queue *queue)
{
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_RUNNING], 0);
    ck_assert_uint_eq(stats.jobs[0], stats.submitted);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_SUCCEEDED], stats.succeeded);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_DEAD], stats.dead);
    /* A bulk is there wholly or not at all: what is unknown of it was not acknowledged. */
    ck_assert_uint_le(stats.jobs[0], JOBS);
}

/* The store afterwards, with nothing failing any more. */
static void check_store(const history *h)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    for (size_t i = 0; i < JOBS; i++) {
        mls_job *job;
        if (!h->submitted[i])
            continue;
        ck_assert_ok(mls_queue_get(queue, h->ids[i], &job));
        check_ended(job, h, i);
        mls_job_free(job);
    }
    check_counts(queue);
    fixture_submit_type(queue, "after");
    mls_queue_close(queue);
    sqlite3 *db;
    sqlite3_stmt *check;
    char path[400];
    snprintf(path, sizeof path, "%s/jobs.db", mls_test_folder());
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(check), SQLITE_ROW);
    ck_assert_str_eq((const char *) sqlite3_column_text(check, 0), "ok");
    sqlite3_finalize(check);
    sqlite3_close(db);
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
        history h = {0};
        remove_store();
        shim_vfs_fail_at(nth, faults[_i].code, faults[_i].stays);
        live(&h, -1);
        const bool was_reached = shim_vfs_calls() >= nth;
        shim_vfs_fail_at(0, 0, false);
        check_store(&h);
        if (!was_reached) {
            for (size_t i = 0; i < JOBS; i++)
                ck_assert(h.ended[i]);
            break;
        }
        nth += step;
    } while (true);
    ck_assert_uint_gt(nth, 10);
}
END_TEST

/* The last report of the child; false: it got to the end. */
static bool lose_power_at(unsigned nth, uint64_t seed, history *h)
{
    int ends[2], status;
    mls_test_folder();
    mls_test_folder_share();
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        shim_vfs_power_loss_at(nth, seed);
        live(h, ends[1]);
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
            history h = {0};
            remove_store();
            const bool is_lost = lose_power_at(nth, mls_test_random(&seed), &h);
            reboot();
            check_store(&h);
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
    remove_store();
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
    remove_store();
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
    remove_store();
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
    tcase_add_loop_test(tests, every_call_may_fail, 0, sizeof faults / sizeof faults[0]);
    tcase_add_test(tests, power_may_fail_at_every_call);
    tcase_add_test(tests, claims_that_cannot_be_ended_come_back);
    tcase_add_test(tests, jobs_in_memory_outlive_a_disk_that_fails);
    tcase_add_test(tests, durable_is_refused_where_syncing_cannot_be_set);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
