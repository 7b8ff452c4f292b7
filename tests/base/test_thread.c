/* SPDX-License-Identifier: Apache-2.0 */
/* Threads leave the host's signals alone, waits end by the monotonic clock, forks are seen. */
#include "support/test.h"

#include "base/clock.h"
#include "base/thread.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void *read_mask(void *arg)
{
    pthread_sigmask(SIG_SETMASK, NULL, arg);
    return arg;
}

START_TEST(thread_blocks_the_signals_of_the_host)
{
    static const int host[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM, SIGPIPE};
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPROF};
    sigset_t before, mask, after;
    pthread_t thread;
    void *result;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    ck_assert_ok(mls__thread_create(&thread, "mls-test", read_mask, &mask));
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, &mask);
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++)
        ck_assert_int_eq(sigismember(&mask, host[i]), 1);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        ck_assert_int_eq(sigismember(&mask, own[i]), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int s = 1; s < 32; s++)
        ck_assert_int_eq(sigismember(&after, s), sigismember(&before, s));
}
END_TEST

typedef struct gate {
    pthread_mutex_t mutex;
    mls__cond cond;
    bool is_open;
} gate;

static void gate_init(gate *g)
{
    ck_assert_ok(mls__mutex_init(&g->mutex));
    ck_assert_ok(mls__cond_init(&g->cond));
    g->is_open = false;
}

static void gate_destroy(gate *g)
{
    mls__cond_destroy(&g->cond);
    pthread_mutex_destroy(&g->mutex);
}

static void *open_gate(void *arg)
{
    gate *g = arg;
    pthread_mutex_lock(&g->mutex);
    g->is_open = true;
    pthread_cond_signal(&g->cond.cond);
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

START_TEST(wait_ends_when_signalled)
{
    const uint64_t deadlines[] = {MLS__FOREVER,
                                  mls__clock_monotonic_ns() + UINT64_C(3600000000000)};
    gate g;
    gate_init(&g);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        bool in_time = true;
        g.is_open = false;
        ck_assert_ok(mls__thread_create(&thread, "mls-test", open_gate, &g));
        pthread_mutex_lock(&g.mutex);
        while (!g.is_open && in_time)
            in_time = mls__cond_wait_until(&g.cond, &g.mutex, deadlines[i]);
        pthread_mutex_unlock(&g.mutex);
        ck_assert(in_time);
        pthread_join(thread, NULL);
    }
    gate_destroy(&g);
}
END_TEST

START_TEST(wait_ends_at_its_deadline)
{
    gate g;
    gate_init(&g);
    const uint64_t deadline = mls__clock_monotonic_ns() + 2000000;
    bool in_time = true;
    pthread_mutex_lock(&g.mutex);
    while (in_time)
        in_time = mls__cond_wait_until(&g.cond, &g.mutex, deadline);
    ck_assert(!mls__cond_wait_until(&g.cond, &g.mutex, 0)); /* long past */
    pthread_mutex_unlock(&g.mutex);
    ck_assert_uint_ge(mls__clock_monotonic_ns(), deadline);
    gate_destroy(&g);
}
END_TEST

START_TEST(clocks_go_forward)
{
    uint64_t last = mls__clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        const uint64_t now = mls__clock_monotonic_ns();
        ck_assert_uint_ge(now, last);
        last = now;
    }
    ck_assert_int_gt(mls__clock_wall_ms(), INT64_C(1600000000000)); /* 2020 */
}
END_TEST

START_TEST(fork_is_seen_in_the_child_only)
{
    const uint64_t before = mls__fork_generation();
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(mls__fork_generation() == before);
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result));
    ck_assert_int_eq(WEXITSTATUS(result), 0);
    ck_assert_uint_eq(mls__fork_generation(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/thread");
    TCase *tests = tcase_create("thread");
    tcase_add_test(tests, thread_blocks_the_signals_of_the_host);
    tcase_add_test(tests, wait_ends_when_signalled);
    tcase_add_test(tests, wait_ends_at_its_deadline);
    tcase_add_test(tests, clocks_go_forward);
    tcase_add_test(tests, fork_is_seen_in_the_child_only);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
