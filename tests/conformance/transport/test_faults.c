/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen to a rank, in each call, at each of its steps, over each transport that reaches
 * other processes: the call ends on all the others with the right error, which names it, and those
 * that are left go on. One rank's table of the transport is a copy that counts its steps, so that
 * what happens does so at the same place each time.
 */
#include "conformance/transport/calls.h"
#include "group/group.h"
#include "support/folder.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RANKS = 4, GENEROUS_MS = 60000, SHORT_MS = 150, LEFT_BEHIND_MS = 3000 };
enum { SMALL = 3, LARGE = 150007 }; /* with a record; several strides and pieces of messages */
enum { MAX_STEPS = 6 };
enum { KILLED, STOPPED, ABORTS, LEAVES, DIFFERS };

/* Where all ranks wait for each other, and those that are left. */
typedef struct meeting {
    pthread_barrier_t all, others;
} meeting;

typedef struct scene {
    uint32_t number; /* of a group that no other test has */
    bool over_tcp, in_arena;
    int fault;
    size_t kind; /* of call */
    int step;    /* 0: before the call; else at that step of the transport, or behind the last */
    int64_t count;
    uint32_t culprit;
    meeting *meeting;
    pid_t ranks[RANKS];
} scene;

static mls_context *the_context; /* of each rank */

/* --- what the culprit does ------------------------------------------------------------------- */

static const mls_transport *real;
static mls_transport counting;
static mls_group *at_risk;
static int fault, steps_left;

static void do_fault(mls_group *group)
{
    if (fault == ABORTS)
        ck_assert_ok(mls_group_abort(group, "it is enough"));
    else
        raise(fault == KILLED ? SIGKILL : SIGSTOP);
}

static void count_step(void)
{
    if (steps_left > 0 && --steps_left == 0)
        do_fault(at_risk);
}

static mls_status count_round(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                              mls_transport_record *ret_records)
{
    count_step();
    return real->round(link, record, size_bytes, until_ns, ret_records);
}

static mls_status count_post(void *link, mls_transport_message *message)
{
    count_step();
    return real->post(link, message);
}

static mls_status count_wait(void *link, mls_transport_message *message, uint64_t until_ns)
{
    count_step();
    return real->wait(link, message, until_ns);
}

static mls_status count_read_begin(void *link)
{
    count_step();
    return real->read_begin(link);
}

static void count_read_end(void *link)
{
    real->read_end(link);
    count_step();
}

static void count_steps(const scene *s, mls_group *group)
{
    real = group->transport.ops;
    counting = *real;
    counting.round = count_round;
    counting.post = count_post;
    counting.wait = count_wait;
    counting.read_begin = count_read_begin;
    counting.read_end = count_read_end;
    at_risk = group;
    fault = s->fault;
    steps_left = s->step;
    group->transport.ops = &counting;
}

static void go_on(mls_group *group, uint32_t size, int64_t timeout_ms)
{
    mls_group *smaller;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    float data[3] = {1, 1, 1};
    const int64_t count = 3;
    mls_tensor *tensor;
    ck_assert_ok(mls_group_shrink(group, &options, &smaller));
    ck_assert_uint_eq(mls_group_size(smaller), size);
    ck_assert_ok(
        mls_tensor_wrap(the_context, MLS_FLOAT32, 1, &count, NULL, data, NULL, NULL, &tensor));
    ck_assert_ok(mls_group_allreduce(smaller, tensor, tensor, MLS_REDUCE_SUM, NULL, NULL));
    ck_assert(data[0] == (float) size && data[2] == (float) size);
    mls_tensor_free(tensor);
    mls_group_free(smaller);
}

static void be_culprit(const scene *s, const called *c)
{
    mls_group *none;
    count_steps(s, c->group);
    if (!s->step)
        do_fault(c->group);
    mls_status status = call_kinds[s->kind].run(c);
    if (steps_left > 0)
        do_fault(c->group);
    c->group->transport.ops = real;
    if (!status)
        status = mls_group_barrier(c->group, &c->how, NULL);
    if (s->fault == ABORTS) {
        ck_assert_fails(status, MLS_ECANCELLED, "it is enough");
        go_on(c->group, RANKS, GENEROUS_MS);
        return;
    }
    /* It hears that the others have gone on; messages that fail do not break a group. */
    ck_assert_msg(s->kind == CALL_RING ? status != MLS_OK : status == MLS_EDEADLINE, "%s: %s: %s",
                  call_kinds[s->kind].name, mls_status_name(status), mls_error_message());
    ck_assert_fails(mls_group_shrink(c->group, NULL, &none), MLS_EPEER, "came late");
}

/* --- what the others see --------------------------------------------------------------------- */

/* "rank 2" or "ranks 1, 2 have" */
static bool names(const char *message, uint32_t rank)
{
    char alone[16], among[16];
    snprintf(alone, sizeof alone, "rank %u", rank);
    snprintf(among, sizeof among, " %u", rank);
    const char *list = strstr(message, "ranks ");
    const char *found = list ? strstr(list, among) : NULL;
    return strstr(message, alone) || (found && found < strstr(list, " have"));
}

static void expect_failure(const scene *s, mls_status status)
{
    static const struct {
        mls_status status;
        const char *word;
    } expected[] = {
        [KILLED] = {MLS_EPEER, "dead"},
        [STOPPED] = {MLS_EDEADLINE, "after 0."},
        [ABORTS] = {MLS_ECANCELLED, " ended the group: it is enough"},
        [LEAVES] = {MLS_EPEER, "has left the group"},
    };
    const char *message = mls_error_message();
    ck_assert_msg(status == expected[s->fault].status && strstr(message, expected[s->fault].word),
                  "%s: %s: %s", call_kinds[s->kind].name, mls_status_name(status), message);
    /* Who is stopped in the midst of a call may be waited for by those that are. */
    ck_assert_msg(names(message, s->culprit) || (s->fault == STOPPED && s->step),
                  "%s: rank %u is not named: %s", call_kinds[s->kind].name, s->culprit, message);
}

/* The call, and where that ended well, since all that it needed was there, the next one. */
static mls_status call_until_failure(const scene *s, const called *c)
{
    const mls_status status = call_kinds[s->kind].run(c);
    return status ? status : mls_group_barrier(c->group, &c->how, NULL);
}

static void outlive(const scene *s, called *c)
{
    const uint32_t last = s->culprit == RANKS - 1 ? RANKS - 2 : RANKS - 1;
    if (s->fault == STOPPED)
        c->how.timeout_ms = SHORT_MS;
    expect_failure(s, call_until_failure(s, c));
    if (s->fault != STOPPED) {
        go_on(c->group, s->fault == ABORTS ? RANKS : RANKS - 1, GENEROUS_MS);
        return;
    }
    /* One that does not come is waited for until the first of the others has no time left. */
    pthread_barrier_wait(&s->meeting->others);
    go_on(c->group, RANKS - 1, mls_group_rank(c->group) == last ? LEFT_BEHIND_MS : GENEROUS_MS);
}

/* --- calls that differ ----------------------------------------------------------------------- */

/* In its op, or, of messages, in its name. */
static mls_status call_otherwise(const scene *s, const called *c)
{
    called other = *c;
    if (s->kind != CALL_RING)
        return call_kinds[s->kind == 0 ? 1 : 0].run(c);
    other.how.name = "y";
    return call_kinds[s->kind].run(&other);
}

/* Nothing is lost: all find it, and go on. */
static void differ(const scene *s, uint32_t rank, const called *c)
{
    const bool is_culprit = rank == s->culprit;
    const mls_status status = is_culprit ? call_otherwise(s, c) : call_kinds[s->kind].run(c);
    const char *message = mls_error_message();
    if (s->kind == CALL_RING && rank == (s->culprit + 2) % RANKS) {
        ck_assert_ok(status); /* it has no message with that one */
    } else {
        ck_assert_msg(status == MLS_EMISMATCH, "%s: %s", mls_status_name(status), message);
        ck_assert_msg(names(message, s->culprit) && strstr(message, call_kinds[s->kind].name), "%s",
                      message);
    }
    ck_assert_ok(call_kinds[s->kind].run(c));
    ck_assert_ok(mls_group_barrier(c->group, NULL, NULL));
}

/* --- ranks ----------------------------------------------------------------------------------- */

static mls_group *enter(const scene *s, uint32_t rank)
{
    char url[600], name[32];
    mls_group *group;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = GENEROUS_MS;
    snprintf(name, sizeof name, "%u", s->number);
    if (s->over_tcp)
        snprintf(url, sizeof url, "tcp://%s", mls_test_folder_path(name));
    else
        snprintf(url, sizeof url, "shm:%s", name);
    if (s->over_tcp && s->kind % 2) {
        options.token = "secret";
        options.token_bytes = strlen(options.token);
    }
    ck_assert_ok(mls_group_create(the_context, url, rank, RANKS, &options, &group));
    return group;
}

static void be_rank(const scene *s, uint32_t rank)
{
    called c;
    ck_assert_ok(mls_context_create(NULL, &the_context));
    mls_group *group = enter(s, rank);
    called_create(the_context, group, s->in_arena, s->count, &c);
    ck_assert_ok(call_kinds[s->kind].run(&c));
    pthread_barrier_wait(&s->meeting->all);
    if (s->fault == DIFFERS)
        differ(s, rank, &c);
    else if (rank != s->culprit)
        outlive(s, &c);
    else if (s->fault != LEAVES)
        be_culprit(s, &c);
    called_free(&c);
    mls_group_free(group);
    mls_context_free(the_context);
    _exit(0);
}

static meeting *meeting_create(void)
{
    pthread_barrierattr_t shared;
    meeting *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(m, MAP_FAILED);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&m->all, &shared, RANKS);
    pthread_barrier_init(&m->others, &shared, RANKS - 1);
    return m; /* as long as the test */
}

static void start(scene *s)
{
    static uint32_t number;
    char name[32];
    s->number = number++;
    snprintf(name, sizeof name, "%u", s->number);
    mkdir(mls_test_folder_path(name), 0700); /* where ranks over TCP meet */
    s->meeting = meeting_create();
    for (uint32_t i = 0; i < RANKS; i++) {
        s->ranks[i] = fork();
        ck_assert_int_ge(s->ranks[i], 0);
        if (s->ranks[i] == 0)
            be_rank(s, i);
    }
}

static void kill_all(const scene *scenes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t rank = 0; rank < RANKS; rank++)
            kill(scenes[i].ranks[rank], SIGKILL);
}

static const scene *find(const scene *scenes, size_t count, pid_t pid, uint32_t *ret_rank)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t rank = 0; rank < RANKS; rank++)
            if (scenes[i].ranks[rank] == pid) {
                *ret_rank = rank;
                return &scenes[i];
            }
    ck_abort_msg("%ld is no rank", (long) pid);
    return NULL;
}

/* One that fails ends all, since others wait for it. */
static void await_ends(const scene *scenes, size_t count, size_t processes)
{
    for (size_t i = 0; i < processes; i++) {
        uint32_t rank = 0;
        int status;
        const scene *s = find(scenes, count, wait(&status), &rank);
        const bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        const bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (s->fault == KILLED && rank == s->culprit ? is_killed : is_good)
            continue;
        kill_all(scenes, count);
        ck_abort_msg("%s of %lld, fault %d at step %d: rank %u ended with %#x",
                     call_kinds[s->kind].name, (long long) s->count, s->fault, s->step, rank,
                     (unsigned) status);
    }
}

/* --- the table ------------------------------------------------------------------------------- */

static void setup(void)
{
    mls_test_folder_share();
    setenv("XDG_RUNTIME_DIR", mls_test_folder(), 1);
}

/* Each call of a few elements and of many, of which shm: has two ways. */
static scene scene_of(int test, int of_fault, size_t kind, size_t k)
{
    return (scene){
        .over_tcp = test % 2,
        .in_arena = test % 2 == 0 && kind % 2 == 0,
        .fault = of_fault,
        .kind = kind,
        .count = k ? LARGE : SMALL,
        .culprit = (uint32_t) (kind + k) % RANKS,
    };
}

/* The scenes of a call at once, since it takes time to see a death. */
static void play_all(int test, int of_fault, int steps)
{
    scene scenes[2 * MAX_STEPS];
    for (size_t kind = 0; kind < CALL_KINDS; kind++) {
        size_t count = 0;
        for (int step = 0; step < steps; step++)
            for (size_t k = 0; k < 2; k++) {
                scenes[count] = scene_of(test, of_fault, kind, k);
                scenes[count].step = step;
                start(&scenes[count++]);
            }
        await_ends(scenes, count, count * RANKS);
    }
}

START_TEST(deaths_end_every_call)
{
    play_all(_i, KILLED, mls_test_is_quick() ? 2 : MAX_STEPS);
}
END_TEST

START_TEST(aborts_end_every_call)
{
    play_all(_i, ABORTS, 3);
}
END_TEST

START_TEST(leaving_ends_every_call)
{
    play_all(_i, LEAVES, 1);
}
END_TEST

START_TEST(mismatches_end_every_call)
{
    play_all(_i, DIFFERS, 1);
}
END_TEST

/* At once, since deadlines have to pass: each call before it begins or in its midst, in turn. */
START_TEST(stops_end_every_call)
{
    enum { SCENES = 2 * CALL_KINDS };
    static scene scenes[SCENES];
    for (int i = 0; i < SCENES; i++) {
        const size_t kind = (size_t) i / 2;
        scenes[i] = scene_of(i, STOPPED, kind, (kind + (size_t) _i) % 2);
        scenes[i].step = (i / 2 + i + _i) % 2 ? 0 : 1 + i / 2 % 4;
        start(&scenes[i]);
    }
    for (int i = 0; i < SCENES; i++)
        mls_test_await_stop(scenes[i].ranks[scenes[i].culprit]);
    await_ends(scenes, SCENES, SCENES * (RANKS - 1));
    for (int i = 0; i < SCENES; i++)
        kill(scenes[i].ranks[scenes[i].culprit], SIGCONT);
    await_ends(scenes, SCENES, SCENES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conformance/transport/faults");
    TCase *tests = mls_test_case(suite, "faults", setup, NULL);
    tcase_add_loop_test(tests, deaths_end_every_call, 0, 2);
    tcase_add_loop_test(tests, aborts_end_every_call, 0, 2);
    tcase_add_loop_test(tests, leaving_ends_every_call, 0, 2);
    tcase_add_loop_test(tests, mismatches_end_every_call, 0, 2);
    tcase_add_loop_test(tests, stops_end_every_call, 0, mls_test_is_quick() ? 1 : 2);
    return mls_test_run(suite);
}
