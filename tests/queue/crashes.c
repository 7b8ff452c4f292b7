/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/crashes.h"

#include "job/fixture.h"
#include "job/queue.h"
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
enum { WORKERS = 2, SUBMITTERS = 2, MOST_CLAIMS = 4, LEAST_IDS = 2000000, IDS_OF_ROUND = 8192 };

/* What a process says in one write, which a pipe does not tear apart. */
typedef struct event {
    char kind; /* 'o' the queue is open, 's' submitted, 'd' done, 'f' failed, 'l' late: refused */
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

/* A server may be away for longer than calls are tried again; nothing else may fail. */
static bool is_done(mls_status status)
{
    if (status && status != MLS_EIO)
        give_up(status);
    return status == MLS_OK;
}

/* A key stays its job's: nobody else gets in with it. */
static void knock_again(mls_queue *queue, const mls_job_options *options)
{
    const mls_status status = mls_queue_submit(queue, options, NULL);
    if (status == MLS_OK) {
        fprintf(stderr, "# two jobs have the key %s\n", options->key);
        _exit(6);
    }
    if (status != MLS_EEXIST)
        is_done(status);
}

static void submit_forever(int up, int down, uint64_t seed)
{
    (void) down;
    mls_queue *queue = open_patiently();
    char payload[9000], key[64];
    uint64_t last = 0;
    report(up, 'o', 0, 0);
    for (;;) {
        mls_job_options options = fixture_options("t", NULL);
        uint64_t parent = 0; /* with which the payload begins; 0: it has none */
        memset(payload, (int) (mls_test_random(&seed) & 0xff), sizeof payload);
        options.payload = payload;
        options.payload_bytes = mls_test_random_below(&seed, 20)
                                    ? sizeof parent + mls_test_random_below(&seed, 600)
                                    : sizeof payload;
        options.max_attempts = 1000000; /* failures end no job here */
        options.backoff_ms = 0;
        /* In front of all others, and so again when it is given back. */
        if (mls_test_random_below(&seed, 4) == 0)
            options.priority = MLS_PRIORITY_HIGHEST;
        if (last && mls_test_random_below(&seed, 8) == 0) {
            parent = last;
            options.depends_on = &last;
            options.depends_on_count = 1;
        }
        memcpy(payload, &parent, sizeof parent);
        if (mls_test_random_below(&seed, 8) == 0) {
            snprintf(key, sizeof key, "%llx", (unsigned long long) mls_test_random(&seed));
            options.key = key;
        }
        uint64_t id;
        if (!is_done(mls_queue_submit(queue, &options, &id)))
            continue;
        report(up, 's', id, 0);
        last = id;
        if (options.key)
            knock_again(queue, &options);
    }
}

/* A child runs when its parent has succeeded. */
static void check_parent(mls_queue *queue, const mls_job *job)
{
    uint64_t id;
    size_t size;
    const void *payload = mls_job_payload(job, &size);
    if (!payload || size < sizeof id)
        _exit(7);
    memcpy(&id, payload, sizeof id);
    mls_job *parent;
    if (!id || !is_done(mls_queue_get(queue, id, &parent)))
        return;
    if (mls_job_state(parent) != MLS_JOB_SUCCEEDED) {
        fprintf(stderr, "# job %llu runs before its parent %llu has succeeded\n",
                (unsigned long long) mls_job_id(job), (unsigned long long) id);
        _exit(8);
    }
    mls_job_free(parent);
}

/* Ends a claim in one of its ways, and says which was acknowledged. */
static void end_claim(int up, mls_job *job, size_t way)
{
    const mls_job_info info = fixture_info(job);
    const mls_status status = mls_job_set_result(job, &info.epoch, sizeof info.epoch);
    if (status)
        give_up(status);
    if (way == 0) {
        is_done(mls_job_release(job));
    } else if (way == 1) {
        if (is_done(mls_job_fail(job, MLS_ESHAPE, "to be tried again", 0)))
            report(up, 'f', info.id, info.epoch);
    } else if (is_done(mls_job_complete(job))) {
        report(up, 'd', info.id, info.epoch);
    }
}

static void end_claims(int up, mls_job *const *jobs, size_t count, uint64_t *seed)
{
    for (size_t i = 0; i < count; i++) {
        end_claim(up, jobs[i], mls_test_random_below(seed, 12));
        mls_job_free(jobs[i]);
    }
}

static void report_late(int up, mls_job *job)
{
    const mls_job_info info = fixture_info(job);
    mls_status status = mls_job_set_result(job, "late", 4);
    if (!status)
        status = mls_job_complete(job);
    if (status == MLS_ESTALE) {
        report(up, 'l', info.id, info.epoch);
    } else if (is_done(status)) {
        fprintf(stderr, "# job %llu was ended by a claim that it had lost\n",
                (unsigned long long) info.id);
        _exit(9);
    }
    mls_job_free(job);
}

/*
 * Its claims are taken from it, and it reports nevertheless, when the jobs are claimed again if
 * nobody else was faster: nothing of that may count.
 */
static void end_late(int up, mls_claimer *claimer, mls_job *const *jobs, size_t count,
                     uint64_t *seed)
{
    const mls_queue *queue = claimer->queue;
    mls_job *again[MOST_CLAIMS];
    size_t surrendered, again_count = 0;
    const bool is_lost =
        is_done(queue->ops->claimer_surrender(queue->self, claimer->self, &surrendered));
    const mls_status status = mls_claimer_claim(claimer, 0, MOST_CLAIMS, again, &again_count);
    if (status == MLS_EEMPTY || !is_done(status))
        again_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_lost)
            report_late(up, jobs[i]);
        else
            mls_job_free(jobs[i]);
    }
    end_claims(up, again, again_count, seed);
}

static void work_forever(int up, int down, uint64_t seed)
{
    (void) down;
    mls_queue *queue = open_patiently();
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    report(up, 'o', 0, 0);
    for (;;) {
        mls_job *jobs[MOST_CLAIMS];
        size_t count;
        if (!is_done(mls_claimer_claim(claimer, -1, 1 + mls_test_random_below(&seed, MOST_CLAIMS),
                                       jobs, &count)))
            continue;
        for (size_t i = 0; i < count; i++)
            check_parent(queue, jobs[i]);
        if (mls_test_random_below(&seed, 16) == 0)
            end_late(up, claimer, jobs, count, &seed);
        else
            end_claims(up, jobs, count, &seed);
    }
}

typedef struct record {
    uint64_t done_epoch;
    unsigned done, failed;
    bool submitted;
} record;

static record *records;
static uint64_t most_ids;
static uint64_t refused; /* late reports */

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
    } else if (e->kind == 'f') {
        r->failed++;
    } else if (e->kind == 'l') {
        refused++;
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

/* Every acknowledged job ended once, by the claim that its result names, after each failure. */
static void check_records(mls_queue *queue)
{
    uint64_t succeeded = 0, failed = 0;
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
        ck_assert_uint_gt(info.attempt, r->failed);
        failed += r->failed;
        succeeded++;
        mls_job_free(job);
    }
    const mls_queue_stats stats = fixture_stats(queue);
    ck_assert_uint_ge(stats.jobs[MLS_JOB_SUCCEEDED], succeeded);
    ck_assert_uint_eq(stats.jobs[MLS_JOB_SUCCEEDED], stats.succeeded);
    ck_assert_uint_eq(stats.jobs[0], stats.submitted);
    ck_assert_uint_eq(stats.jobs[0], stats.succeeded);
    ck_assert_uint_ge(stats.stale, refused);
    ck_assert_uint_ge(stats.retried, failed);
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
