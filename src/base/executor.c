/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of running loops under one mutex. A loop lives on its caller's stack:
 * helpers join it under the mutex, take indices from its atomic counter without
 * it, and count themselves out; the caller waits until all helpers have left.
 * Lock order: the mutex is a leaf, no other lock is taken under it.
 *
 * The loops of a run follow each other closely, and waking a thread takes longer
 * than many of them. So both sides look for a while before they sleep: helpers for
 * the next loop, the caller for helpers that are about to leave.
 */
#include "base/executor.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <unistd.h>

#define MAX_THREADS 1024

/* Looks between two readings of the clock. */
#define LOOKS 64

typedef struct loop {
    struct loop *next;
    mls_task_fn task;
    void *arg;
    size_t count;
    atomic_size_t next_index;
    uint32_t seats;      /* helpers that may still join; under the mutex */
    atomic_uint helpers; /* that joined, under the mutex, and have not left */
} loop;

struct mls__executor {
    const mls__allocator *allocator;
    mls_parallel_for_fn host_parallel_for;
    void *host_user;
    uint64_t spin_ns; /* how long to look before sleeping */
    uint64_t fork_generation;
    pthread_mutex_t mutex; /* guards all that follows */
    mls__cond work;        /* a loop was added, or stop was set */
    mls__cond left;        /* the last helper left a loop that someone waits for */
    atomic_uint waiters;   /* for that; raised before they see whether they must */
    loop *loops;
    uint32_t lookers; /* helpers that will see the next event */
    bool stop;
    uint32_t thread_count; /* without the callers */
    uint32_t cores;
    pthread_t threads[MAX_THREADS];
    /* Moves when a loop is added, or stop set; far from what the mutex makes move. */
    atomic_uint events;
};

mls_status mls__executor_create(const mls__allocator *allocator, mls_parallel_for_fn parallel_for,
                                void *parallel_user, uint32_t spin_us, mls__executor **ret_executor)
{
    mls__executor *executor = mls__alloc_array(allocator, 1, sizeof *executor);
    if (!executor)
        return mls__error_nomem(sizeof *executor);
    executor->allocator = allocator;
    executor->host_parallel_for = parallel_for;
    executor->host_user = parallel_user;
    executor->spin_ns = spin_us * UINT64_C(1000);
    executor->fork_generation = mls__fork_generation();
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    executor->cores = cores > 0 ? (uint32_t) cores : 1;
    atomic_init(&executor->waiters, 0);
    atomic_init(&executor->events, 0);

    mls_status status = mls__mutex_init(&executor->mutex);
    if (status)
        goto fail;
    status = mls__cond_init(&executor->work);
    if (status)
        goto fail_mutex;
    status = mls__cond_init(&executor->left);
    if (status)
        goto fail_work;
    *ret_executor = executor;
    return MLS_OK;

fail_work:
    mls__cond_destroy(&executor->work);
fail_mutex:
    pthread_mutex_destroy(&executor->mutex);
fail:
    mls__free(allocator, executor);
    return status;
}

/* Who holds the mutex leaves it within nanoseconds; to sleep for it would take far longer. */
static void enter(mls__executor *executor)
{
    for (int i = 0; i < LOOKS; i++) {
        if (pthread_mutex_trylock(&executor->mutex) == 0)
            return;
        mls__thread_pause();
    }
    pthread_mutex_lock(&executor->mutex);
}

static void leave(mls__executor *executor)
{
    pthread_mutex_unlock(&executor->mutex);
}

/* The mutex is held, and every looker told. */
static void tell_lookers(mls__executor *executor)
{
    atomic_fetch_add_explicit(&executor->events, 1, memory_order_relaxed);
    executor->lookers = 0;
}

void mls__executor_free(mls__executor *executor)
{
    if (!executor)
        return;
    if (executor->fork_generation == mls__fork_generation()) {
        enter(executor);
        executor->stop = true;
        tell_lookers(executor);
        pthread_cond_broadcast(&executor->work.cond);
        leave(executor);
        for (uint32_t i = 0; i < executor->thread_count; i++)
            pthread_join(executor->threads[i], NULL);
        mls__cond_destroy(&executor->left);
        mls__cond_destroy(&executor->work);
        pthread_mutex_destroy(&executor->mutex);
    }
    mls__free(executor->allocator, executor);
}

static void run_indices(loop *l)
{
    for (;;) {
        const size_t i = atomic_fetch_add_explicit(&l->next_index, 1, memory_order_relaxed);
        if (i >= l->count)
            return;
        l->task(l->arg, i);
    }
}

static loop *find_seat(const mls__executor *executor)
{
    for (loop *l = executor->loops; l; l = l->next)
        if (l->seats)
            return l;
    return NULL;
}

/* The mutex is held. Without a core for each thread, who looks keeps others from working. */
static uint64_t look_ns(const mls__executor *executor)
{
    return executor->thread_count < executor->cores ? executor->spin_ns : 0;
}

/* Looks at `word` until it is (or no longer is) `value`, or for `ns`. */
static void look(const atomic_uint *word, unsigned value, bool until_equal, uint64_t ns)
{
    const uint64_t end = mls__clock_monotonic_ns() + ns;
    do {
        for (int i = 0; i < LOOKS; i++) {
            if ((atomic_load_explicit(word, memory_order_acquire) == value) == until_equal)
                return;
            mls__thread_pause();
        }
    } while (mls__clock_monotonic_ns() < end);
}

/* The mutex is held, but not all the time: whether there is work is to be seen again. */
static void wait_for_work(mls__executor *executor)
{
    const unsigned events = atomic_load_explicit(&executor->events, memory_order_relaxed);
    const uint64_t ns = look_ns(executor);
    executor->lookers++;
    leave(executor);
    look(&executor->events, events, false, ns);
    enter(executor);
    if (atomic_load_explicit(&executor->events, memory_order_relaxed) != events)
        return;
    executor->lookers--;
    mls__cond_wait_until(&executor->work, &executor->mutex, MLS__FOREVER);
}

/* The loop may be gone once its count of helpers says so. */
static void leave_loop(mls__executor *executor, loop *l)
{
    if (atomic_fetch_sub(&l->helpers, 1) > 1 || !atomic_load(&executor->waiters))
        return;
    enter(executor);
    pthread_cond_broadcast(&executor->left.cond);
    leave(executor);
}

static void *helper_main(void *arg)
{
    mls__executor *executor = arg;
    enter(executor);
    while (!executor->stop) {
        loop *l = find_seat(executor);
        if (!l) {
            wait_for_work(executor);
            continue;
        }
        l->seats--;
        atomic_fetch_add(&l->helpers, 1);
        leave(executor);
        run_indices(l);
        leave_loop(executor, l);
        enter(executor);
    }
    leave(executor);
    return NULL;
}

mls_status mls__executor_reserve(mls__executor *executor, uint32_t threads)
{
    if (threads <= 1 || executor->host_parallel_for)
        return MLS_OK;
    if (threads > MAX_THREADS)
        return mls__error(MLS_ELIMIT, "%u threads asked for; at most %d are possible", threads,
                          MAX_THREADS);
    if (executor->fork_generation != mls__fork_generation())
        return mls__error(MLS_EFORKED, "the context was made before fork(): its threads exist "
                                       "only in the parent; make a context in the child");
    mls_status status = MLS_OK;
    enter(executor);
    while (!status && executor->thread_count < threads - 1) {
        status = mls__thread_create(&executor->threads[executor->thread_count], "mls-executor",
                                    helper_main, executor);
        if (!status)
            executor->thread_count++;
    }
    leave(executor);
    return status;
}

static void unlink_loop(mls__executor *executor, const loop *l)
{
    loop **link = &executor->loops;
    while (*link != l)
        link = &(*link)->next;
    *link = l->next;
}

/* No helper joins any more; those that did are at their last index. */
static void wait_for_helpers(mls__executor *executor, loop *l, uint64_t ns)
{
    look(&l->helpers, 0, true, ns);
    if (!atomic_load(&l->helpers))
        return;
    enter(executor);
    atomic_fetch_add(&executor->waiters, 1);
    while (atomic_load(&l->helpers))
        mls__cond_wait_until(&executor->left, &executor->mutex, MLS__FOREVER);
    atomic_fetch_sub(&executor->waiters, 1);
    leave(executor);
}

static void run_with_helpers(mls__executor *executor, uint32_t helpers, loop *l)
{
    enter(executor);
    l->seats = helpers;
    l->next = executor->loops;
    executor->loops = l;
    const uint32_t awake = executor->lookers;
    tell_lookers(executor);
    leave(executor);
    for (uint32_t i = awake; i < helpers; i++)
        pthread_cond_signal(&executor->work.cond);

    run_indices(l);

    enter(executor);
    unlink_loop(executor, l);
    const uint64_t ns = look_ns(executor);
    leave(executor);
    wait_for_helpers(executor, l, ns);
}

void mls__executor_parallel_for(void *share, size_t count, mls_task_fn task, void *arg)
{
    const mls__executor_share *s = share;
    const size_t useful = count < s->threads ? count : s->threads;
    if (useful <= 1 || s->executor->fork_generation != mls__fork_generation()) {
        for (size_t i = 0; i < count; i++)
            task(arg, i);
        return;
    }
    if (s->executor->host_parallel_for) {
        s->executor->host_parallel_for(s->executor->host_user, count, task, arg);
        return;
    }
    loop l = {.task = task, .arg = arg, .count = count};
    atomic_init(&l.next_index, 0);
    atomic_init(&l.helpers, 0);
    run_with_helpers(s->executor, (uint32_t) useful - 1, &l);
}
