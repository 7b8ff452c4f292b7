/* SPDX-License-Identifier: Apache-2.0 */
/* Thin wrappers whose failures are statuses with a message. */
#include "base/thread.h"

#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

mls_status mls__mutex_init(pthread_mutex_t *mutex)
{
    const int failed = pthread_mutex_init(mutex, NULL);
    return failed ? mls__error_os(failed, "cannot make a mutex") : MLS_OK;
}

mls_status mls__cond_init(mls__cond *cond)
{
    pthread_condattr_t attr;
    int failed = pthread_condattr_init(&attr);
    if (failed)
        return mls__error_os(failed, "cannot make a condition");
    failed = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!failed)
        failed = pthread_cond_init(&cond->cond, &attr);
    pthread_condattr_destroy(&attr);
    return failed ? mls__error_os(failed, "cannot make a condition") : MLS_OK;
}

void mls__cond_destroy(mls__cond *cond)
{
    pthread_cond_destroy(&cond->cond);
}

bool mls__cond_wait_until(mls__cond *cond, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    if (deadline_ns == MLS__FOREVER) {
        pthread_cond_wait(&cond->cond, mutex);
        return true;
    }
    const struct timespec until = {
        .tv_sec = (time_t) (deadline_ns / UINT64_C(1000000000)),
        .tv_nsec = (long) (deadline_ns % UINT64_C(1000000000)),
    };
    return pthread_cond_timedwait(&cond->cond, mutex, &until) != ETIMEDOUT;
}

/*
 * The host's signals are the host's, so a thread of ours blocks them. Not those that
 * the thread itself causes: blocked, they would end the process past the host's crash
 * handler. Nor SIGPROF, by which profilers see the thread.
 */
static void host_signals(sigset_t *ret_set)
{
    static const int ours[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPROF, SIGSEGV, SIGSYS, SIGTRAP};
    sigfillset(ret_set);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        sigdelset(ret_set, ours[i]);
}

mls_status mls__thread_create(pthread_t *ret_thread, const char *name, void *(*body)(void *),
                              void *arg)
{
    /* A new thread inherits the mask of the one that makes it. */
    sigset_t blocked, old;
    host_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &old);
    const int failed = pthread_create(ret_thread, NULL, body, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        return mls__error_os(failed, "cannot start thread '%s'", name);
#ifdef __linux__
    pthread_setname_np(*ret_thread, name);
#endif
    return MLS_OK;
}

static atomic_uint_fast64_t fork_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

uint64_t mls__fork_generation(void)
{
    pthread_once(&fork_once, watch_forks);
    return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}
