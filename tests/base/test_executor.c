/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel loops: each index exactly once, from any number of callers, and after a fork. */
#include "support/test.h"

#include "base/clock.h"
#include "base/context.h"
#include "base/executor.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_COUNT = 2000, CALLERS = 4 };

typedef struct visits {
    atomic_uint count[MAX_COUNT];
    size_t plain[MAX_COUNT]; /* not atomic: the end of the loop must make it visible */
} visits;

static void visit(void *arg, size_t index)
{
    visits *v = arg;
    v->plain[index] = index * 3;
    atomic_fetch_add(&v->count[index], 1);
}

static bool is_once(const visits *v, size_t count)
{
    for (size_t i = 0; i < MAX_COUNT; i++)
        if (v->count[i] != (i < count) || v->plain[i] != (i < count ? i * 3 : 0))
            return false;
    return true;
}

static mls__executor *make_spinning(uint32_t threads, uint32_t spin_us)
{
    mls__executor *executor;
    ck_assert_ok(mls__executor_create(&mls__allocator_default, NULL, NULL, spin_us, &executor));
    ck_assert_ok(mls__executor_reserve(executor, threads));
    return executor;
}

static mls__executor *make_executor(uint32_t threads)
{
    return make_spinning(threads, MLS_SPIN_US_DEFAULT);
}

static const uint32_t spins_us[] = {0, 20, MLS_SPIN_US_DEFAULT};

START_TEST(each_index_exactly_once)
{
    static const size_t counts[] = {0, 1, 2, 3, 7, 64, MAX_COUNT};
    for (uint32_t threads = 0; threads <= 6; threads++) {
        mls__executor *executor = make_spinning(threads, spins_us[_i]);
        mls__executor_share share = {executor, threads};
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            visits *v = calloc(1, sizeof *v);
            mls__executor_parallel_for(&share, counts[c], visit, v);
            ck_assert(is_once(v, counts[c]));
            free(v);
        }
        mls__executor_free(executor);
    }
}
END_TEST

static void *run_loops(void *arg)
{
    mls__executor_share *share = arg;
    for (size_t round = 0; round < 40; round++) {
        visits *v = calloc(1, sizeof *v);
        const size_t count = round * 37 % MAX_COUNT;
        mls__executor_parallel_for(share, count, visit, v);
        ck_assert(is_once(v, count));
        free(v);
    }
    return NULL;
}

START_TEST(several_threads_loop_at_once)
{
    mls__executor *executor = make_executor(3);
    mls__executor_share shares[CALLERS];
    pthread_t callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        shares[i] = (mls__executor_share){executor, (uint32_t) i + 1};
        ck_assert_int_eq(pthread_create(&callers[i], NULL, run_loops, &shares[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    mls__executor_free(executor);
}
END_TEST

/* Every task waits for all the others, so the loop ends only if all run at once. */
static void meet(void *arg, size_t index)
{
    (void) index;
    pthread_barrier_wait(arg);
}

START_TEST(as_many_threads_as_asked_for_take_part)
{
    mls__executor *executor = make_executor(2);
    ck_assert_ok(mls__executor_reserve(executor, 5));
    ck_assert_ok(mls__executor_reserve(executor, 3)); /* never fewer */
    for (uint32_t threads = 2; threads <= 5; threads++) {
        mls__executor_share share = {executor, threads};
        pthread_barrier_t barrier;
        pthread_barrier_init(&barrier, NULL, threads);
        mls__executor_parallel_for(&share, threads, meet, &barrier);
        pthread_barrier_destroy(&barrier);
    }
    mls__executor_free(executor);
}
END_TEST

static void rest(uint64_t ns)
{
    const uint64_t end = mls__clock_monotonic_ns() + ns;
    while (mls__clock_monotonic_ns() < end)
        sched_yield();
}

/* Between loops helpers first look for more and then sleep; each loop needs all of them. */
START_TEST(helpers_come_soon_and_late)
{
    static const uint64_t rests[] = {0, 1000, 150000, 200000, 250000};
    mls__executor *executor = make_executor(3);
    mls__executor_share share = {executor, 3};
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 3);
    for (size_t i = 0; i < sizeof rests / sizeof rests[0]; i++) {
        for (int round = 0; round < 100; round++) {
            mls__executor_parallel_for(&share, 3, meet, &barrier);
            rest(rests[i]);
        }
    }
    pthread_barrier_destroy(&barrier);
    mls__executor_free(executor);
}
END_TEST

typedef struct crowd {
    unsigned allowed;
    atomic_uint present, most;
} crowd;

/* Stays a while, so that whoever could come does. */
static void join_crowd(void *arg, size_t index)
{
    crowd *c = arg;
    (void) index;
    const unsigned now = atomic_fetch_add(&c->present, 1) + 1;
    unsigned most = atomic_load(&c->most);
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    for (int i = 0; i < 100 && atomic_load(&c->most) <= c->allowed; i++)
        sched_yield();
    atomic_fetch_sub(&c->present, 1);
}

START_TEST(no_more_threads_than_the_share_take_part)
{
    mls__executor *executor = make_executor(8);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        mls__executor_share share = {executor, threads};
        crowd c = {.allowed = threads};
        mls__executor_parallel_for(&share, 500, join_crowd, &c);
        ck_assert_uint_le(c.most, threads);
    }
    mls__executor_free(executor);
}
END_TEST

typedef struct nested {
    mls__executor_share *share;
    visits inner[8];
} nested;

static void run_inner(void *arg, size_t index)
{
    nested *n = arg;
    mls__executor_parallel_for(n->share, 100, visit, &n->inner[index]);
}

START_TEST(loops_nest)
{
    mls__executor *executor = make_executor(3);
    mls__executor_share share = {executor, 3};
    nested *n = calloc(1, sizeof *n);
    n->share = &share;
    mls__executor_parallel_for(&share, 8, run_inner, n);
    for (size_t i = 0; i < 8; i++)
        ck_assert(is_once(&n->inner[i], 100));
    free(n);
    mls__executor_free(executor);
}
END_TEST

typedef struct nest {
    mls__executor_share *share;
    int depth;
    visits *inner;
} nest;

static void run_deeper(void *arg, size_t index)
{
    nest *n = arg;
    nest deeper = {n->share, n->depth - 1, n->inner};
    if (index > 0)
        return;
    if (n->depth > 0)
        mls__executor_parallel_for(n->share, 3, run_deeper, &deeper);
    else
        mls__executor_parallel_for(n->share, 100, visit, n->inner);
}

/* More loops at once than helpers look at: callers always finish alone. */
START_TEST(loops_nest_without_limit)
{
    mls__executor *executor = make_executor(3);
    mls__executor_share share = {executor, 3};
    visits *v = calloc(1, sizeof *v);
    nest n = {&share, 100, v};
    run_deeper(&n, 0);
    ck_assert(is_once(v, 100));
    free(v);
    mls__executor_free(executor);
}
END_TEST

/* A helper that leaves its caller's core may still use all those that it was given. */
static void expect_all_cores(void *arg, size_t index)
{
    cpu_set_t now;
    (void) index;
    ck_assert_int_eq(sched_getaffinity(0, sizeof now, &now), 0);
    ck_assert(CPU_EQUAL(&now, (cpu_set_t *) arg));
}

START_TEST(threads_keep_their_cores)
{
    mls__executor *executor = make_executor(2);
    mls__executor_share share = {executor, 2};
    cpu_set_t all;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    for (int round = 0; round < 1000; round++)
        mls__executor_parallel_for(&share, 4, expect_all_cores, &all);
    mls__executor_free(executor);
}
END_TEST

typedef struct host_pool {
    size_t loops, indices;
} host_pool;

static host_pool the_pool;

static void host_parallel_for(void *user, size_t count, mls_task_fn task, void *arg)
{
    host_pool *pool = user;
    pool->loops++;
    pool->indices += count;
    for (size_t i = count; i-- > 0;)
        task(arg, i);
}

START_TEST(host_runs_the_loops_when_it_wants_to)
{
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    mls_context *context;
    options.parallel_for = host_parallel_for;
    options.parallel_user = &the_pool;
    ck_assert_ok(mls_context_create(&options, &context));
    /* Nothing of ours is started, so no number is too large. */
    ck_assert_ok(mls__executor_reserve(context->executor, 100000));
    visits *v = calloc(1, sizeof *v);
    mls__executor_share share = {context->executor, 100000};
    mls__executor_parallel_for(&share, 50, visit, v);
    ck_assert(is_once(v, 50));
    ck_assert_uint_eq(the_pool.loops, 1);
    ck_assert_uint_eq(the_pool.indices, 50);
    /* One thread is the caller's: the host is not asked. */
    share.threads = 1;
    mls__executor_parallel_for(&share, 50, visit, v);
    ck_assert_uint_eq(the_pool.loops, 1);
    free(v);
    mls_context_free(context);
}
END_TEST

START_TEST(thread_count_is_limited)
{
    mls__executor *executor = make_executor(1);
    ck_assert_fails(mls__executor_reserve(executor, 1025), MLS_ELIMIT, "at most 1024");
    ck_assert_fails(mls__executor_reserve(executor, UINT32_MAX), MLS_ELIMIT, "4294967295 threads");
    mls__executor_free(executor);
    mls__executor_free(NULL);
}
END_TEST

/* What a child may do with its parent's executor; the exit code of the child. */
static int use_after_fork(mls__executor *executor)
{
    static visits v;
    if (mls__executor_reserve(executor, 2) != MLS_EFORKED ||
        !strstr(mls_error_message(), "make a context in the child"))
        return 1;
    mls__executor_share share = {executor, 4};
    mls__executor_parallel_for(&share, 100, visit, &v);
    if (!is_once(&v, 100))
        return 2;
    mls__executor_free(executor);
    return 0;
}

/* The host's threads are gone as well. */
static int use_host_after_fork(mls__executor *executor)
{
    static visits v;
    mls__executor_share share = {executor, 4};
    mls__executor_parallel_for(&share, 100, visit, &v);
    return the_pool.loops ? 1 : is_once(&v, 100) ? 0 : 2;
}

static void expect_of_child(int (*use)(mls__executor *), mls__executor *executor)
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(use(executor));
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result));
    ck_assert_int_eq(WEXITSTATUS(result), 0);
}

START_TEST(child_of_a_fork_gets_an_error_not_a_hang)
{
    mls__executor *executor = make_executor(4);
    expect_of_child(use_after_fork, executor);
    /* The parent's goes on as before. */
    ck_assert_ok(mls__executor_reserve(executor, 5));
    mls__executor_free(executor);
    ck_assert_ok(
        mls__executor_create(&mls__allocator_default, host_parallel_for, &the_pool, 0, &executor));
    expect_of_child(use_host_after_fork, executor);
    mls__executor_free(executor);
}
END_TEST

static mls_status create_executor(mls_context *context, void *arg)
{
    (void) arg;
    mls__executor *executor;
    const mls_status status = mls__executor_create(&context->allocator, NULL, NULL, 0, &executor);
    if (!status)
        mls__executor_free(executor);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(create_executor, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/executor");
    TCase *tests = tcase_create("executor");
    tcase_add_loop_test(tests, each_index_exactly_once, 0, sizeof spins_us / sizeof spins_us[0]);
    tcase_add_test(tests, several_threads_loop_at_once);
    tcase_add_test(tests, as_many_threads_as_asked_for_take_part);
    tcase_add_test(tests, helpers_come_soon_and_late);
    tcase_add_test(tests, no_more_threads_than_the_share_take_part);
    tcase_add_test(tests, loops_nest);
    tcase_add_test(tests, loops_nest_without_limit);
    tcase_add_test(tests, threads_keep_their_cores);
    tcase_add_test(tests, host_runs_the_loops_when_it_wants_to);
    tcase_add_test(tests, thread_count_is_limited);
    tcase_add_test(tests, child_of_a_fork_gets_an_error_not_a_hang);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
