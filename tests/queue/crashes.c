/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/crashes.h"

#include "job/fixture.h"
#include "queue/processes.h"
#include "support/folder.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

/* A submitter that is killed, and a server more so, may leave ids that no job has. */
enum { WORKERS = 2, SUBMITTERS = 2, LEAST_IDS = 2000000, IDS_OF_ROUND = 8192 };

/* What a process says in one write, which a pipe does not tear apart. */
typedef struct event {
    char kind; /* 'o' the queue is open, 's' submitted, 'd' done */
    uint64_t id, epoch;
} event;

static void report(int fd, char kind, uint64_t id, uint64_t epoch)
{
    const event e = {kind, id, epoch};
    if (write(fd, &e, sizeof e) != sizeof e)
        _exit(3);
}

/* Of a process that cannot go on: why. */
static void give_up(mls_status status)
{
    fprintf(stderr, "# %s: %s\n", mls_status_name(status), mls_error_message());
    _exit(5);
}

static const char *the_url;

/*
 * A file that is locked while the server is away; the kernel takes back the lock of who is
 * killed. Each lock is of a file opened for it.
 */
static int lock_gate(int how)
{
    const int gate = open(mls_test_folder_path("gate"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(gate, 0);
    ck_assert_int_eq(flock(gate, how), 0);
    return gate;
}

/* Its server may be away just now: who takes it away brings it back. */
static mls_queue *open_patiently(void)
{
    enum { MOST_TRIES = 1000 };
    mls_context *context;
    mls_queue *queue;
    mls_status status = MLS_EIO;
    ck_assert_ok(mls_context_create(NULL, &context));
    for (int tries = 0; status == MLS_EIO && tries < MOST_TRIES; tries++) {
        status = mls_queue_open(context, the_url, NULL, &queue);
        if (status == MLS_EIO)
            close(lock_gate(LOCK_SH));
    }
    ck_assert_ok(status);
    mls_context_free(context);
    return queue;
}

static void submit_forever(int up, int down, uint64_t seed)
{
    (void) down;
    mls_queue *queue = open_patiently();
    char payload[9000];
    report(up, 'o', 0, 0);
    for (;;) {
        memset(payload, (int) (mls_test_random(&seed) & 0xff), sizeof payload);
        mls_job_options options = fixture_options("t", NULL);
        options.payload = payload;
        options.payload_bytes =
            mls_test_random_below(&seed, 20) ? mls_test_random_below(&seed, 600) : sizeof payload;
        uint64_t id;
        const mls_status status = mls_queue_submit(queue, &options, &id);
        if (status == MLS_OK)
            report(up, 's', id, 0);
        else if (status != MLS_EIO) /* a server may be away for longer than calls are tried again */
            give_up(status);
    }
}

static void work_forever(int up, int down, uint64_t seed)
{
    (void) down;
    mls_queue *queue = open_patiently();
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    report(up, 'o', 0, 0);
    for (;;) {
        mls_job *jobs[4];
        size_t count;
        mls_status status =
            mls_claimer_claim(claimer, -1, 1 + mls_test_random_below(&seed, 4), jobs, &count);
        if (status == MLS_EIO)
            continue;
        if (status)
            give_up(status);
        for (size_t i = 0; i < count; i++) {
            const mls_job_info info = fixture_info(jobs[i]);
            if (mls_job_set_result(jobs[i], &info.epoch, sizeof info.epoch))
                give_up(status);
            if (mls_test_random_below(&seed, 10) == 0) {
                status = mls_job_release(jobs[i]);
            } else {
                status = mls_job_complete(jobs[i]);
                if (!status)
                    report(up, 'd', info.id, info.epoch);
            }
            if (status && status != MLS_EIO)
                give_up(status);
            mls_job_free(jobs[i]);
        }
    }
}

typedef struct record {
    uint64_t done_epoch;
    unsigned done;
    bool submitted;
} record;

static record *records;
static uint64_t most_ids;

static child children[SUBMITTERS + WORKERS];
static bool has_opened[SUBMITTERS + WORKERS];

static void take_event(const event *e)
{
    ck_assert_uint_lt(e->id, most_ids);
    record *r = &records[e->id];
    if (e->kind == 's') {
        ck_assert_msg(!r->submitted, "job %llu was submitted twice", (unsigned long long) e->id);
        r->submitted = true;
    } else if (e->kind == 'd') {
        r->done++;
        r->done_epoch = e->epoch;
        ck_assert_msg(r->done == 1, "job %llu ended twice", (unsigned long long) e->id);
    }
}

/* The next event of a process; false: it is dead, and said nothing more. */
static bool read_event(size_t index)
{
    event e;
    if (read(children[index].from, &e, sizeof e) != sizeof e)
        return false;
    has_opened[index] |= e.kind == 'o';
    take_event(&e);
    return true;
}

/* An event of whoever has one: to listen to one alone could block all others. */
static void read_any_event(uint64_t *seed)
{
    struct pollfd polls[SUBMITTERS + WORKERS];
    for (size_t i = 0; i < SUBMITTERS + WORKERS; i++)
        polls[i] = (struct pollfd){.fd = children[i].from, .events = POLLIN};
    ck_assert_int_gt(poll(polls, SUBMITTERS + WORKERS, -1), 0);
    size_t at = mls_test_random_below(seed, SUBMITTERS + WORKERS);
    while (!polls[at].revents)
        at = (at + 1) % (SUBMITTERS + WORKERS);
    ck_assert_msg(read_event(at), "a process ended by itself");
}

static void start_one(size_t index, uint64_t *seed)
{
    has_opened[index] = false;
    children[index] =
        child_start(index < SUBMITTERS ? submit_forever : work_forever, mls_test_random(seed));
}

void crashes_await_all(void)
{
    for (size_t i = 0; i < SUBMITTERS + WORKERS; i++)
        while (!has_opened[i])
            ck_assert_msg(read_event(i), "a process ended by itself");
}

static void kill_and_read(size_t index)
{
    child *c = &children[index];
    int status;
    kill(c->pid, SIGKILL);
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    ck_assert_msg(WIFSIGNALED(status), "a process ended by itself with %d", WEXITSTATUS(status));
    while (read_event(index))
        ;
    close(c->from);
    close(c->to);
}

/* Every acknowledged job ended once, by the claim that its result names. */
static void check_records(mls_queue *queue)
{
    uint64_t succeeded = 0;
    for (uint64_t id = 0; id < most_ids; id++) {
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

static bool is_all_done(mls_queue *queue)
{
    const mls_queue_stats stats = fixture_stats(queue);
    return stats.jobs[MLS_JOB_SUCCEEDED] == stats.jobs[0];
}

/* What the dead ran comes back, from a server that was started anew after a while only. */
static void finish_rest(mls_queue *queue)
{
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    for (int tries = 0; !is_all_done(queue) && tries < 600; tries++) {
        mls_job *job;
        size_t count;
        while (mls_claimer_claim(claimer, 100, 1, &job, &count) == MLS_OK) {
            const uint64_t epoch = fixture_info(job).epoch;
            ck_assert_ok(mls_job_set_result(job, &epoch, sizeof epoch));
            ck_assert_ok(mls_job_complete(job));
            mls_job_free(job);
        }
    }
    mls_claimer_close(claimer);
}

static void kill_one(uint64_t *seed)
{
    const size_t index = mls_test_random_below(seed, SUBMITTERS + WORKERS);
    for (size_t i = mls_test_random_below(seed, 30); i; i--)
        read_any_event(seed);
    kill_and_read(index);
    start_one(index, seed);
}

void crashes_take_away(void (*take_away)(int how), int how)
{
    const int gate = lock_gate(LOCK_EX);
    take_away(how);
    close(gate);
}

void crashes_run(const char *url, int rounds, void (*disaster)(int round))
{
    uint64_t seed = mls_test_seed(20260);
    the_url = url;
    most_ids = LEAST_IDS + (uint64_t) rounds * IDS_OF_ROUND;
    records = calloc(most_ids, sizeof *records);
    ck_assert_ptr_nonnull(records);
    mls_queue_close(open_patiently());
    for (size_t i = 0; i < SUBMITTERS + WORKERS; i++)
        start_one(i, &seed);
    for (int round = 0; round < rounds; round++) {
        kill_one(&seed);
        if (disaster)
            disaster(round);
    }
    for (size_t i = 0; i < SUBMITTERS + WORKERS; i++)
        kill_and_read(i);
    mls_queue *queue = open_patiently();
    finish_rest(queue);
    check_records(queue);
    mls_queue_close(queue);
    free(records);
}

int crashes_rounds(int usual)
{
    const char *wanted = getenv("MLS_TEST_CRASHES");
    if (wanted)
        return atoi(wanted);
    return MLS_TEST_SANITIZED || mls_test_is_quick() ? usual / 10 : usual;
}
