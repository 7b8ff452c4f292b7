/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes on one file; some of them die. */
#include "job/fixture.h"
#include "queue/processes.h"
#include "queue/sqlite_file.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The children's bodies. */

static void claim_and_hang(int up, int down, uint64_t arg)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (uint64_t i = 0; i < arg; i++)
        fixture_claim(claimer);
    child_say(up, 'c');
    child_hear(down, 'g');
}

static void claim_until_cancelled(int up, int down, uint64_t arg)
{
    (void) arg;
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job = fixture_claim(claimer);
    child_say(up, 'c');
    while (!(mls_job_stop_reasons(job) & MLS_STOP_CANCELLED))
        ;
    if (mls_job_fail(job, MLS_ECANCELLED, "as asked", 0))
        _exit(4);
    mls_job_free(job);
    child_say(up, 'e');
    child_hear(down, 'g');
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

static void complete_all(int up, int down, uint64_t arg)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    child_say(up, 'o');
    for (uint64_t i = 0; i < arg; i++) {
        mls_job *job = fixture_claim(claimer);
        if (mls_job_set_result(job, "from afar", 9) || mls_job_complete(job))
            _exit(4);
        mls_job_free(job);
    }
    child_say(up, 'e');
    child_hear(down, 'g');
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

START_TEST(processes_share_jobs)
{
    enum { ROUNDS = 20 };
    child worker = child_start(complete_all, ROUNDS);
    mls_queue *queue = fixture_queue(sqlite_file_url());
    child_hear(worker.from, 'o');
    for (int i = 0; i < ROUNDS; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.priority = i % 10;
        const void *data;
        mls_job *job = fixture_wait(queue, fixture_submit(queue, &options));
        ck_assert_ok(mls_job_result(job, &data, NULL));
        ck_assert_mem_eq(data, "from afar", 9);
        mls_job_free(job);
    }
    ck_assert_ok(mls_queue_drain(queue, 60000));
    child_hear(worker.from, 'e');
    child_say(worker.to, 'g');
    child_join(&worker);
    mls_queue_close(queue);
}
END_TEST

static void complete_when_told(int up, int down, uint64_t arg)
{
    (void) arg;
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job = fixture_claim(claimer);
    child_say(up, 'c');
    child_hear(down, 'g');
    if (mls_job_set_result(job, "gone", 4) || mls_job_complete(job))
        _exit(4);
    mls_job_free(job);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

static void complete_late(int up, int down, uint64_t arg)
{
    child_hear(down, 'o');
    complete_when_told(up, down, arg);
}

static int64_t read_number(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_open(sqlite_file_url() + strlen("sqlite:"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 60000);
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

typedef struct waiter {
    mls_queue *queue;
    uint64_t id;
} waiter;

static void *wait_for_job(void *arg)
{
    const waiter *w = arg;
    const void *data;
    mls_job *job = fixture_wait(w->queue, w->id);
    ck_assert_ok(mls_job_result(job, &data, NULL));
    ck_assert_mem_eq(data, "gone", 4);
    mls_job_free(job);
    return NULL;
}

/* A job that is kept no longer than its end, which comes in another process. */
START_TEST(who_waits_elsewhere_gets_the_result)
{
    child worker = child_start(complete_when_told, 0);
    pthread_t thread;
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    waiter w = {queue, fixture_submit(queue, &options)};
    child_hear(worker.from, 'c');
    pthread_create(&thread, NULL, wait_for_job, &w);
    while (read_number("SELECT count(*) FROM waits") == 0)
        ;
    child_say(worker.to, 'g');
    pthread_join(thread, NULL);
    child_join(&worker);
    ck_assert_int_eq(read_number("SELECT count(*) FROM waits"), 0);
    mls_queue_close(queue);
}
END_TEST

/* The same, but who waits was alone when it began to: who ends the job comes only then. */
START_TEST(who_waited_alone_gets_the_result)
{
    child worker = child_start(complete_late, 0);
    pthread_t thread;
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    waiter w = {queue, fixture_submit(queue, &options)};
    pthread_create(&thread, NULL, wait_for_job, &w);
    for (int i = 0; i < 10000 && read_number("SELECT count(*) FROM waits") == 0; i++)
        ;
    child_say(worker.to, 'o');
    child_hear(worker.from, 'c');
    child_say(worker.to, 'g');
    pthread_join(thread, NULL);
    child_join(&worker);
    mls_queue_close(queue);
}
END_TEST

/* Nobody waits any more, and nothing is left of that in the file when the job has ended. */
START_TEST(waits_that_are_over_leave_nothing)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    const uint64_t id = fixture_submit(queue, &options);
    ck_assert_int_eq(mls_queue_wait(queue, id, 1, NULL), MLS_ETIMEDOUT);
    fixture_complete(claimer, id, NULL);
    ck_assert_int_eq(read_number("SELECT count(*) FROM waits"), 0);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

START_TEST(cancellation_reaches_other_processes)
{
    child worker = child_start(claim_until_cancelled, 0);
    mls_queue *queue = fixture_queue(sqlite_file_url());
    const uint64_t id = fixture_submit_type(queue, "t");
    child_hear(worker.from, 'c');
    ck_assert_ok(mls_queue_cancel(queue, id));
    mls_job *job = fixture_wait(queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_CANCELLED);
    mls_job_free(job);
    child_hear(worker.from, 'e');
    child_say(worker.to, 'g');
    child_join(&worker);
    mls_queue_close(queue);
}
END_TEST

/* Killed in the middle: ready again for who waits, as if it had not been claimed. */
START_TEST(jobs_of_the_dead_are_ready_again)
{
    child worker = child_start(claim_and_hang, 2);
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    uint64_t ids[2];
    for (int i = 0; i < 2; i++)
        ids[i] = fixture_submit_type(queue, "t");
    child_hear(worker.from, 'c');
    fixture_claim_none(claimer);
    child_kill(&worker);
    for (int i = 0; i < 2; i++) {
        mls_job *job = fixture_claim(claimer);
        const mls_job_info info = fixture_info(job);
        ck_assert(info.id == ids[0] || info.id == ids[1]);
        ck_assert_uint_eq(info.epoch, 2);
        ck_assert_uint_eq(info.attempt, 1);
        ck_assert_uint_eq(info.deaths, 1);
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 2);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

/* So too for who only asks now and then. */
START_TEST(who_asks_finds_jobs_of_the_dead)
{
    child worker = child_start(claim_and_hang, 1);
    mls_queue *queue = fixture_queue(sqlite_file_url());
    const uint64_t id = fixture_submit_type(queue, "t");
    child_hear(worker.from, 'c');
    child_kill(&worker);
    while (fixture_state(queue, id) != MLS_JOB_READY)
        ;
    mls_queue_close(queue);
}
END_TEST

/* Nobody was there when it died: who opens the file next finds out. */
START_TEST(opening_gives_back_what_the_dead_had)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    child worker = child_start(claim_and_hang, 1);
    child_hear(worker.from, 'c');
    child_kill(&worker);
    queue = fixture_queue(sqlite_file_url());
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_READY);
    mls_queue_close(queue);
}
END_TEST

START_TEST(jobs_that_kill_are_quarantined)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    for (int i = 0; i < 3; i++) {
        child worker = child_start(claim_and_hang, 1);
        child_hear(worker.from, 'c');
        child_kill(&worker);
    }
    queue = fixture_queue(sqlite_file_url());
    mls_job *job = fixture_wait(queue, id);
    const mls_job_info info = fixture_info(job);
    ck_assert_int_eq(info.state, MLS_JOB_DEAD);
    ck_assert_uint_eq(info.deaths, 3);
    ck_assert_int_eq(info.error, MLS_EHANDLER);
    ck_assert_ptr_nonnull(strstr(info.error_message, "3 processes died"));
    mls_job_free(job);
    ck_assert_ok(mls_queue_requeue(queue, id));
    ck_assert_uint_eq(fixture_look(queue, id).deaths, 0);
    mls_queue_close(queue);
}
END_TEST

/* The machine went down with all that ran on it: that is no job's fault. */
START_TEST(a_reboot_is_no_death)
{
    mls_queue *queue = fixture_queue(sqlite_file_url());
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    child worker = child_start(claim_and_hang, 1);
    child_hear(worker.from, 'c');
    child_kill(&worker);
    sqlite_file_run(
        "UPDATE members SET boot = 'the boot before'; UPDATE jobs SET since_ns = 1 << 60");
    queue = fixture_queue(sqlite_file_url());
    const mls_job_info info = fixture_look(queue, id);
    ck_assert_int_eq(info.state, MLS_JOB_READY);
    ck_assert_uint_eq(info.deaths, 0);
    ck_assert_uint_eq(info.running_ns, 0);
    mls_queue_close(queue);
}
END_TEST

/* The child of a fork does not keep its dead parent's jobs. */
static void claim_and_fork(int up, int down, uint64_t arg)
{
    (void) arg;
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    fixture_claim(claimer);
    if (fork() == 0) {
        child_hear(down, 'g'); /* outlives its parent; ends when the test closes the pipe */
        _exit(0);
    }
    child_say(up, 'c');
    child_hear(down, 'g');
}

START_TEST(forked_children_keep_no_locks)
{
    child worker = child_start(claim_and_fork, 0);
    mls_queue *queue = fixture_queue(sqlite_file_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    child_hear(worker.from, 'c');
    int status;
    kill(worker.pid, SIGKILL);
    ck_assert_int_eq(waitpid(worker.pid, &status, 0), worker.pid);
    fixture_complete(claimer, id, NULL);
    close(worker.from);
    close(worker.to);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

enum { FORKS = 20, BURST = 100 };

/* Submits a burst for each fork. It asserts nothing: a child that is copied then would hang. */
typedef struct submitter {
    mls_queue *queue;
    pthread_barrier_t round;
    atomic_int submitted, failed;
} submitter;

static void *submit_bursts(void *arg)
{
    submitter *s = arg;
    mls_job_options options = fixture_options("t", NULL);
    options.ack = MLS_ACK_ASYNC;
    for (int i = 0; i < FORKS; i++) {
        pthread_barrier_wait(&s->round);
        for (int k = 0; k < BURST; k++) {
            atomic_fetch_add(&s->failed, mls_queue_submit(s->queue, &options, NULL) != MLS_OK);
            atomic_fetch_add(&s->submitted, 1);
        }
    }
    return NULL;
}

/* Children open queues of their own, whatever their parent's committer was doing. */
START_TEST(forked_children_open_queues)
{
    submitter s = {.queue = fixture_queue(sqlite_file_url())};
    pthread_t thread;
    uint64_t seed = 5;
    ck_assert_int_eq(pthread_barrier_init(&s.round, NULL, 2), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, submit_bursts, &s), 0);
    for (int i = 0; i < FORKS; i++) {
        const int at = i * BURST + (int) mls_test_random_below(&seed, BURST);
        int status;
        pthread_barrier_wait(&s.round);
        while (atomic_load(&s.submitted) < at)
            ;
        const pid_t pid = fork();
        if (pid == 0) {
            alarm(100); /* none hangs */
            mls_queue_close(fixture_queue(sqlite_file_url()));
            _exit(0);
        }
        ck_assert_int_gt(pid, 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(atomic_load(&s.failed), 0);
    pthread_barrier_destroy(&s.round);
    mls_queue_close(s.queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue/sqlite/processes");
    TCase *tests = tcase_create("processes");
    tcase_add_test(tests, processes_share_jobs);
    tcase_add_test(tests, who_waits_elsewhere_gets_the_result);
    tcase_add_test(tests, who_waited_alone_gets_the_result);
    tcase_add_test(tests, waits_that_are_over_leave_nothing);
    tcase_add_test(tests, cancellation_reaches_other_processes);
    tcase_add_test(tests, jobs_of_the_dead_are_ready_again);
    tcase_add_test(tests, who_asks_finds_jobs_of_the_dead);
    tcase_add_test(tests, opening_gives_back_what_the_dead_had);
    tcase_add_test(tests, jobs_that_kill_are_quarantined);
    tcase_add_test(tests, a_reboot_is_no_death);
    tcase_add_test(tests, forked_children_keep_no_locks);
    /* Its children start threads, which that sanitizer ends where more than one was copied. */
    if (!MLS_TEST_THREAD_SANITIZED)
        tcase_add_test(tests, forked_children_open_queues);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
