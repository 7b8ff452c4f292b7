/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the parts of the suite together for one transport. */
#include "conformance/transport/suite.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

mls_context *the_context;
const char *the_url;
const char *the_token;
const conformance_place *the_place;

static void (*prepare)(mls_context *context);
static bool has_processes;
uint32_t the_killed = UINT32_MAX;

bool conformance_has_processes(void)
{
    return has_processes;
}

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &the_context));
    if (prepare)
        prepare(the_context);
}

static void teardown(void)
{
    mls_context_free(the_context);
}

static void add_nothing(TCase *tests)
{
    (void) tests;
}

int conformance_transport_run_with(const char *name, const char *url,
                                   void (*on_context)(mls_context *context),
                                   void (*add)(TCase *tests))
{
    const struct {
        const char *name;
        void (*add)(TCase *tests);
        bool by_threads; /* only */
        int part;
    } parts[] = {
        {"reductions", conformance_add_reductions, false, CONFORMANCE_VALUES},
        {"long reductions", conformance_add_long_reductions, false, CONFORMANCE_VALUES},
        {"moves", conformance_add_moves, false, CONFORMANCE_VALUES},
        {"failures", conformance_add_failures, false, CONFORMANCE_ALL},
        {"handles", conformance_add_handles, false, CONFORMANCE_ALL},
        {"regroup", conformance_add_regroup, false, CONFORMANCE_ALL},
        {"splits", conformance_add_splits, false, CONFORMANCE_ALL},
        {"races", conformance_add_races, true, CONFORMANCE_ALL},
        {"own", add ? add : add_nothing, false, CONFORMANCE_OWN},
    };
    the_url = url;
    prepare = on_context;
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if ((has_processes || the_place) && parts[i].by_threads)
            continue;
        if (the_place && parts[i].part < the_place->from)
            continue;
        if (the_place &&
            (parts[i].add == conformance_add_regroup || parts[i].add == conformance_add_splits))
            continue; /* who is left, and offers, need more than a launcher gives */
        TCase *tests = tcase_create(parts[i].name);
        tcase_add_checked_fixture(tests, setup, teardown);
        parts[i].add(tests);
        suite_add_tcase(suite, tests);
    }
    return mls_test_run(suite);
}

int conformance_transport_run(const char *name, const char *url,
                              void (*on_context)(mls_context *context))
{
    return conformance_transport_run_with(name, url, on_context, NULL);
}

int conformance_transport_run_processes(const char *name, const char *url)
{
    has_processes = true;
    return conformance_transport_run(name, url, NULL);
}

static unsigned meeting_count;

pthread_barrier_t *conformance_meeting(unsigned count)
{
    meeting_count = count;
    pthread_barrierattr_t shared;
    pthread_barrier_t *meeting =
        mmap(NULL, sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(meeting, MAP_FAILED);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    ck_assert_int_eq(pthread_barrier_init(meeting, &shared, count), 0);
    pthread_barrierattr_destroy(&shared);
    return meeting; /* as long as the test */
}

typedef struct started {
    pthread_t thread;
    ranked rank;
    mls_group_options options;
    void (*body)(ranked *rank);
} started;

static void *run_rank(void *arg)
{
    started *s = arg;
    ck_assert_ok(mls_group_create(the_context, the_url, s->rank.rank, s->rank.size, &s->options,
                                  &s->rank.group));
    s->body(&s->rank);
    mls_group_free(s->rank.group);
    return NULL;
}

static void run_threads(started *ranks, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        ck_assert_int_eq(pthread_create(&ranks[i].thread, NULL, run_rank, &ranks[i]), 0);
    for (uint32_t i = 0; i < size; i++)
        pthread_join(ranks[i].thread, NULL);
}

/* The parent's context is not for its children. */
static void run_child(started *rank)
{
    ck_assert_ok(mls_context_create(NULL, &the_context));
    run_rank(rank);
    mls_context_free(the_context);
    _exit(0);
}

static void run_processes(started *ranks, uint32_t size)
{
    pid_t children[8];
    for (uint32_t i = 0; i < size; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            run_child(&ranks[i]);
    }
    for (uint32_t i = 0; i < size; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        const bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        const bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        mls_test_expect(i == the_killed ? is_killed : is_good, "rank %u ended with %#x", i,
                        (unsigned) status);
    }
}

void conformance_meet(pthread_barrier_t *meeting)
{
    if (the_place)
        the_place->meet((uint32_t) meeting_count);
    else
        pthread_barrier_wait(meeting);
}

static uint32_t sizes;

uint32_t conformance_sizes(void)
{
    return sizes;
}

/* Ranks that are processes; those that a small group does not need go on to the next one. */
static void run_own_rank(started *ranks, uint32_t size)
{
    if (size <= the_place->size)
        sizes |= UINT32_C(1) << size;
    if (size <= the_place->size && the_place->rank < size)
        run_rank(&ranks[the_place->rank]);
}

void conformance_ranks(uint32_t size, const mls_group_options *options, void (*body)(ranked *rank),
                       const void *arg)
{
    started ranks[8];
    mls_group_options given = MLS_GROUP_OPTIONS_INIT;
    if (options)
        given = *options;
    if (the_token && !given.token) {
        given.token = the_token;
        given.token_bytes = strlen(the_token);
    }
    for (uint32_t i = 0; i < size; i++)
        ranks[i] = (started){.rank = {NULL, i, size, arg}, .options = given, .body = body};
    if (the_place)
        run_own_rank(ranks, size);
    else if (has_processes)
        run_processes(ranks, size);
    else
        run_threads(ranks, size);
}

mls_group_call conformance_call(const char *name, int64_t timeout_ms)
{
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.name = name;
    call.timeout_ms = timeout_ms;
    return call;
}

mls_tensor *conformance_tensor(mls_dtype dtype, int64_t count)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(the_context, dtype, 1, &count, &tensor));
    return tensor;
}

bool conformance_has_arena(const ranked *r, int whose)
{
    return whose == ARENA_OF_ALL || (whose == ARENA_OF_ODD_RANKS && r->rank % 2);
}

mls_tensor *conformance_view(mls_dtype dtype, int64_t count, void *data)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_wrap(the_context, dtype, 1, &count, NULL, data, NULL, NULL, &tensor));
    return tensor;
}
