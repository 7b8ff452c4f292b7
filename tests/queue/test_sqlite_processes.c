/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes on one file; some of them die. */
#include "job/fixture.h"
#include "support/folder.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *url(void)
{
    return mls_test_folder_url("sqlite", "jobs.db");
}

/* A process that talks through a pipe: each line of its life is one byte. */
typedef struct child {
    pid_t pid;
    int from; /* what it says */
    int to;   /* what it waits for */
} child;

typedef void (*child_fn)(int say, int hear, uint64_t arg);

static child start(child_fn body, uint64_t arg)
{
    int up[2], down[2];
    mls_test_folder();       /* made before the fork, it is the parent's, */
    mls_test_folder_share(); /* and the child's too */
    ck_assert_int_eq(pipe(up), 0);
    ck_assert_int_eq(pipe(down), 0);
    /* Small, so that nobody runs far ahead of who listens. */
    ck_assert_int_ge(fcntl(up[1], F_SETPIPE_SZ, 4096), 0);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(up[0]);
        close(down[1]);
        body(up[1], down[0], arg);
        _exit(0);
    }
    close(up[1]);
    close(down[0]);
    return (child){pid, up[0], down[1]};
}

static void say(int fd, char word)
{
    if (write(fd, &word, 1) != 1)
        _exit(3);
}

static void hear(int fd, char word)
{
    char got = 0;
    ck_assert_int_eq(read(fd, &got, 1), 1);
    ck_assert_int_eq(got, word);
}

static void join(child *c)
{
    int status;
    close(c->from);
    close(c->to);
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void kill_child(child *c)
{
    int status;
    kill(c->pid, SIGKILL);
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    close(c->from);
    close(c->to);
}

/* The children's bodies: a failed assertion there ends the child with a status of its own. */

static void claim_and_hang(int up, int down, uint64_t arg)
{
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (uint64_t i = 0; i < arg; i++)
        fixture_claim(claimer);
    say(up, 'c');
    hear(down, 'g');
}

static void claim_until_cancelled(int up, int down, uint64_t arg)
{
    (void) arg;
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job = fixture_claim(claimer);
    say(up, 'c');
    while (!(mls_job_stop_reasons(job) & MLS_STOP_CANCELLED))
        ;
    if (mls_job_fail(job, MLS_ECANCELLED, "as asked", 0))
        _exit(4);
    mls_job_free(job);
    say(up, 'e');
    hear(down, 'g');
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

static void complete_all(int up, int down, uint64_t arg)
{
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    say(up, 'o');
    for (uint64_t i = 0; i < arg; i++) {
        mls_job *job = fixture_claim(claimer);
        if (mls_job_set_result(job, "from afar", 9) || mls_job_complete(job))
            _exit(4);
        mls_job_free(job);
    }
    say(up, 'e');
    hear(down, 'g');
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

START_TEST(processes_share_jobs)
{
    enum { ROUNDS = 20 };
    child worker = start(complete_all, ROUNDS);
    mls_queue *queue = fixture_queue(url());
    hear(worker.from, 'o');
    for (int i = 0; i < ROUNDS; i++) {
        mls_job_options options = fixture_options("t", NULL);
        options.priority = i % 10;
        const void *data;
        mls_job *job = fixture_wait(queue, fixture_submit(queue, &options));
        ck_assert_ok(mls_job_result(job, &data, NULL));
        ck_assert_mem_eq(data, "from afar", 9);
        mls_job_free(job);
    }
    ck_assert_ok(mls_queue_drain(queue, 10000));
    hear(worker.from, 'e');
    say(worker.to, 'g');
    join(&worker);
    mls_queue_close(queue);
}
END_TEST

static void complete_when_told(int up, int down, uint64_t arg)
{
    (void) arg;
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job = fixture_claim(claimer);
    say(up, 'c');
    hear(down, 'g');
    if (mls_job_set_result(job, "gone", 4) || mls_job_complete(job))
        _exit(4);
    mls_job_free(job);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

static int64_t read_number(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_open(url() + strlen("sqlite:"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
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
    child worker = start(complete_when_told, 0);
    pthread_t thread;
    mls_queue *queue = fixture_queue(url());
    mls_job_options options = fixture_options("t", NULL);
    options.retention_ms = 0;
    waiter w = {queue, fixture_submit(queue, &options)};
    hear(worker.from, 'c');
    pthread_create(&thread, NULL, wait_for_job, &w);
    while (read_number("SELECT count(*) FROM waits") == 0)
        ;
    say(worker.to, 'g');
    pthread_join(thread, NULL);
    join(&worker);
    ck_assert_int_eq(read_number("SELECT count(*) FROM waits"), 0);
    mls_queue_close(queue);
}
END_TEST

START_TEST(cancellation_reaches_other_processes)
{
    child worker = start(claim_until_cancelled, 0);
    mls_queue *queue = fixture_queue(url());
    const uint64_t id = fixture_submit_type(queue, "t");
    hear(worker.from, 'c');
    ck_assert_ok(mls_queue_cancel(queue, id));
    mls_job *job = fixture_wait(queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_CANCELLED);
    mls_job_free(job);
    hear(worker.from, 'e');
    say(worker.to, 'g');
    join(&worker);
    mls_queue_close(queue);
}
END_TEST

/* Killed in the middle: ready again for who waits, as if it had not been claimed. */
START_TEST(jobs_of_the_dead_are_ready_again)
{
    child worker = start(claim_and_hang, 2);
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    uint64_t ids[2];
    for (int i = 0; i < 2; i++)
        ids[i] = fixture_submit_type(queue, "t");
    hear(worker.from, 'c');
    fixture_claim_none(claimer);
    kill_child(&worker);
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
    child worker = start(claim_and_hang, 1);
    mls_queue *queue = fixture_queue(url());
    const uint64_t id = fixture_submit_type(queue, "t");
    hear(worker.from, 'c');
    kill_child(&worker);
    while (fixture_state(queue, id) != MLS_JOB_READY)
        ;
    mls_queue_close(queue);
}
END_TEST

/* Nobody was there when it died: who opens the file next finds out. */
START_TEST(opening_gives_back_what_the_dead_had)
{
    mls_queue *queue = fixture_queue(url());
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    child worker = start(claim_and_hang, 1);
    hear(worker.from, 'c');
    kill_child(&worker);
    queue = fixture_queue(url());
    ck_assert_int_eq(fixture_state(queue, id), MLS_JOB_READY);
    mls_queue_close(queue);
}
END_TEST

START_TEST(jobs_that_kill_are_quarantined)
{
    mls_queue *queue = fixture_queue(url());
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    for (int i = 0; i < 3; i++) {
        child worker = start(claim_and_hang, 1);
        hear(worker.from, 'c');
        kill_child(&worker);
    }
    queue = fixture_queue(url());
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

static void run_sql(const char *sql)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(url() + strlen("sqlite:"), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* The machine went down with all that ran on it: that is no job's fault. */
START_TEST(a_reboot_is_no_death)
{
    mls_queue *queue = fixture_queue(url());
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    child worker = start(claim_and_hang, 1);
    hear(worker.from, 'c');
    kill_child(&worker);
    run_sql("UPDATE members SET boot = 'the boot before'; UPDATE jobs SET since_ns = 1 << 62");
    queue = fixture_queue(url());
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
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    fixture_claim(claimer);
    if (fork() == 0) {
        hear(down, 'g'); /* outlives its parent; ends when the test closes the pipe */
        _exit(0);
    }
    say(up, 'c');
    hear(down, 'g');
}

START_TEST(forked_children_keep_no_locks)
{
    child worker = start(claim_and_fork, 0);
    mls_queue *queue = fixture_queue(url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    hear(worker.from, 'c');
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

/* Crash rounds: submitters and workers are killed at random, and told by what they said. */

enum { WORKERS = 2, SUBMITTERS = 2, MOST_JOBS = 200000 };

/* What a process says in one write, which a pipe does not tear apart. */
typedef struct event {
    char kind; /* 's' submitted, 'd' done */
    uint64_t id, epoch;
} event;

static void report(int fd, char kind, uint64_t id, uint64_t epoch)
{
    const event e = {kind, id, epoch};
    if (write(fd, &e, sizeof e) != sizeof e)
        _exit(3);
}

/* The deaths here are no job's fault. */
static const char *patient_url(void)
{
    return mls_test_folder_url("sqlite", "jobs.db?poison=1000000");
}

static void submit_forever(int up, int down, uint64_t seed)
{
    (void) down;
    mls_queue *queue = fixture_queue(patient_url());
    char payload[9000];
    for (;;) {
        memset(payload, (int) (mls_test_random(&seed) & 0xff), sizeof payload);
        mls_job_options options = fixture_options("t", NULL);
        options.payload = payload;
        options.payload_bytes =
            mls_test_random_below(&seed, 20) ? mls_test_random_below(&seed, 600) : sizeof payload;
        report(up, 's', fixture_submit(queue, &options), 0);
    }
}

static void work_forever(int up, int down, uint64_t seed)
{
    (void) down;
    mls_queue *queue = fixture_queue(patient_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (;;) {
        mls_job *jobs[4];
        size_t count;
        if (mls_claimer_claim(claimer, -1, 1 + mls_test_random_below(&seed, 4), jobs, &count))
            _exit(5);
        for (size_t i = 0; i < count; i++) {
            const mls_job_info info = fixture_info(jobs[i]);
            if (mls_job_set_result(jobs[i], &info.epoch, sizeof info.epoch))
                _exit(5);
            if (mls_test_random_below(&seed, 10) == 0) {
                if (mls_job_release(jobs[i]))
                    _exit(5);
            } else {
                if (mls_job_complete(jobs[i]))
                    _exit(5);
                report(up, 'd', info.id, info.epoch);
            }
            mls_job_free(jobs[i]);
        }
    }
}

typedef struct record {
    bool submitted;
    uint64_t done_epoch;
    unsigned done;
} record;

static record *records;

static void take_event(const event *e)
{
    ck_assert_uint_lt(e->id, MOST_JOBS);
    record *r = &records[e->id];
    if (e->kind == 's') {
        ck_assert_msg(!r->submitted, "job %llu was submitted twice", (unsigned long long) e->id);
        r->submitted = true;
    } else {
        r->done++;
        r->done_epoch = e->epoch;
        ck_assert_msg(r->done == 1, "job %llu ended twice", (unsigned long long) e->id);
    }
}

/* All that is in the pipe of a process that is dead, or one event of one that lives. */
static bool read_event(const child *c)
{
    event e;
    const ssize_t got = read(c->from, &e, sizeof e);
    if (got != sizeof e)
        return false;
    take_event(&e);
    return true;
}

/* An event of whoever has one: to listen to one alone could block all others. */
static void read_any_event(const child *children, uint64_t *seed)
{
    struct pollfd polls[SUBMITTERS + WORKERS];
    for (size_t i = 0; i < SUBMITTERS + WORKERS; i++)
        polls[i] = (struct pollfd){.fd = children[i].from, .events = POLLIN};
    ck_assert_int_gt(poll(polls, SUBMITTERS + WORKERS, -1), 0);
    size_t at = mls_test_random_below(seed, SUBMITTERS + WORKERS);
    while (!polls[at].revents)
        at = (at + 1) % (SUBMITTERS + WORKERS);
    ck_assert_msg(read_event(&children[at]), "a process ended by itself");
}

static child start_one(int index, uint64_t *seed)
{
    return start(index < SUBMITTERS ? submit_forever : work_forever, mls_test_random(seed));
}

static void kill_and_read(child *c)
{
    int status;
    kill(c->pid, SIGKILL);
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    ck_assert_msg(WIFSIGNALED(status), "a process ended by itself with %d", WEXITSTATUS(status));
    while (read_event(c))
        ;
    close(c->from);
    close(c->to);
}

/* Every acknowledged job ended once, by the claim that its result names. */
static void check_records(mls_queue *queue)
{
    uint64_t succeeded = 0;
    for (uint64_t id = 0; id < MOST_JOBS; id++) {
        const record *r = &records[id];
        mls_job *job;
        if (!r->submitted && !r->done)
            continue;
        ck_assert_ok(mls_queue_get(queue, id, &job));
        const mls_job_info info = fixture_info(job);
        ck_assert_int_eq(info.state, MLS_JOB_SUCCEEDED);
        ck_assert_uint_eq(info.result_bytes, sizeof info.epoch);
        ck_assert_mem_eq(info.result, &info.epoch, sizeof info.epoch);
        if (r->done)
            ck_assert_uint_eq(info.epoch, r->done_epoch);
        succeeded++;
        mls_job_free(job);
    }
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_ge(stats.jobs[MLS_JOB_SUCCEEDED], succeeded);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_SUCCEEDED], stats.succeeded);
    ck_assert_uint_eq(stats.jobs[0], stats.submitted);
    ck_assert_uint_eq(stats.jobs[0], stats.succeeded);
    ck_assert_uint_eq(stats.stale, 0);
}

static void finish_rest(mls_queue *queue)
{
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job *job;
    size_t count;
    while (mls_claimer_claim(claimer, 0, 1, &job, &count) == MLS_OK) {
        const uint64_t epoch = fixture_info(job).epoch;
        ck_assert_ok(mls_job_set_result(job, &epoch, sizeof epoch));
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    mls_claimer_close(claimer);
}

START_TEST(acknowledged_jobs_survive_crashes)
{
    const char *wanted = getenv("MLS_TEST_CRASHES");
    const int rounds = wanted ? atoi(wanted) : MLS_TEST_SANITIZED ? 50 : 500;
    uint64_t seed = 20260;
    child children[SUBMITTERS + WORKERS];
    records = calloc(MOST_JOBS, sizeof *records);
    ck_assert_ptr_nonnull(records);
    mls_queue_close(fixture_queue(patient_url()));
    for (int i = 0; i < SUBMITTERS + WORKERS; i++)
        children[i] = start_one(i, &seed);
    for (int round = 0; round < rounds; round++) {
        child *c = &children[mls_test_random_below(&seed, SUBMITTERS + WORKERS)];
        for (size_t i = mls_test_random_below(&seed, 30); i; i--)
            read_any_event(children, &seed);
        kill_and_read(c);
        *c = start_one((int) (c - children), &seed);
    }
    for (int i = 0; i < SUBMITTERS + WORKERS; i++)
        kill_and_read(&children[i]);
    mls_queue *queue = fixture_queue(patient_url());
    finish_rest(queue);
    check_records(queue);
    mls_queue_close(queue);
    free(records);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue/sqlite/processes");
    TCase *tests = tcase_create("processes");
    tcase_add_test(tests, processes_share_jobs);
    tcase_add_test(tests, who_waits_elsewhere_gets_the_result);
    tcase_add_test(tests, cancellation_reaches_other_processes);
    tcase_add_test(tests, jobs_of_the_dead_are_ready_again);
    tcase_add_test(tests, who_asks_finds_jobs_of_the_dead);
    tcase_add_test(tests, opening_gives_back_what_the_dead_had);
    tcase_add_test(tests, jobs_that_kill_are_quarantined);
    tcase_add_test(tests, a_reboot_is_no_death);
    tcase_add_test(tests, forked_children_keep_no_locks);
    suite_add_tcase(suite, tests);
    TCase *crashes = tcase_create("crashes");
    tcase_add_test(crashes, acknowledged_jobs_survive_crashes);
    suite_add_tcase(suite, crashes);
    return mls_test_run(suite);
}
