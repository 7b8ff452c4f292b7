/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops hang on a board. Who runs one takes a post of it, writes there what is to be done, and sets
 * the post's bit on the board; helpers look at the board, take a seat at a post, and then indices
 * from its counter, as the caller does from the start. So nobody waits for a helper that has not
 * begun: one that comes late finds no index left. The caller takes the seats away, waits for the
 * helpers that are at their last index, and leaves the post.
 *
 * Waking a thread takes longer than most loops of a run, and these follow each other closely. So
 * both sides look for a while before they sleep, and whoever looks finds everything without a lock:
 *
 * - `state` of a post counts seats and helpers, and owns the rest of it. A caller takes a free post
 *   (0) by TAKEN, writes what is not atomic, and gives out the seats (release). A seat is taken by
 *   an exchange (acquire) that turns it into a helper; which loop the exchange was meant for does
 *   not matter, since what it reads comes after. Helpers count themselves out (release); the post
 *   is the caller's again once it has seen none (acquire), and only then free.
 * - The board's bits tell where to look, its sleepers whether to wake any. To hang up a loop and to
 *   count oneself a sleeper are each one step on that word, and each looks at what the other wrote
 *   before it (sequentially consistent): either the caller sees a sleeper, or that one the loop.
 * - The mutex is only for sleeping: who goes to sleep holds it from counting itself until it
 *   waits, who wakes holds it once in between. It is a leaf: no lock is taken under it.
 */
#include "base/executor.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define MAX_THREADS 1024
/* Loops that run at once; any more of them run on their callers' threads alone. */
#define POSTS 32

/* Looks between two readings of the clock. */
#define LOOKS 64

/* The board: a bit for each post, then how many helpers sleep, then whether to end. */
#define OPEN    UINT64_C(0x00000000ffffffff)
#define SLEEPER (UINT64_C(1) << 32)
#define STOP    (UINT64_C(1) << 63)

/* The state of a post: helpers at work, seats for more of them, and flags. */
#define HELPER  UINT64_C(1)
#define HELPERS UINT64_C(0xffff)
#define SEAT    (UINT64_C(1) << 16)
#define SEATS   (UINT64_C(0xffff) << 16)
#define TAKEN   (UINT64_C(1) << 32) /* a caller has it */
#define AWAITED (UINT64_C(1) << 33) /* the caller sleeps until the last helper has left */

typedef struct post {
    _Alignas(64) _Atomic uint64_t state;
    atomic_size_t next_index;
    atomic_size_t count; /* looked at before a seat is taken */
    mls_task_fn task;
    void *arg;
} post;

struct mls__executor {
    const mls__allocator *allocator;
    mls_parallel_for_fn host_parallel_for;
    void *host_user;
    uint64_t spin_ns;
    uint64_t fork_generation;
    pthread_mutex_t mutex;    /* guards sleeping, and the making of threads */
    mls__cond work;           /* `wakes` was raised, or STOP set */
    mls__cond left;           /* the last helper left a post that is awaited */
    uint32_t wakes;           /* sleepers that are to wake, and no longer on the board */
    atomic_uint thread_count; /* without the callers */
    _Atomic uint64_t look_ns; /* how long to look before sleeping */
    pthread_t threads[MAX_THREADS];
    _Alignas(64) _Atomic uint64_t board;
    atomic_int caller_core; /* where the last loop was hung up */
    post posts[POSTS];
};

/* The cores that this thread and those that it makes may use. */
static uint32_t count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (uint32_t) CPU_COUNT(&set);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (uint32_t) cores : 1;
}

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

void mls__executor_free(mls__executor *executor)
{
    if (!executor)
        return;
    if (executor->fork_generation == mls__fork_generation()) {
        enter(executor);
        atomic_fetch_or(&executor->board, STOP);
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

/* Between looks: whether `ns` have passed since the first call, which sets *end from 0. */
static bool is_over(uint64_t *end, uint64_t ns)
{
    const uint64_t now = mls__clock_monotonic_ns();
    if (!*end)
        *end = now + ns;
    return now >= *end;
}

static uint64_t count_of(uint64_t state, uint64_t mask, uint64_t one)
{
    return (state & mask) / one;
}

/* --- helpers --------------------------------------------------------------------------------- */

static void run_indices(post *p)
{
    const size_t count = atomic_load_explicit(&p->count, memory_order_relaxed);
    for (;;) {
        const size_t i = atomic_fetch_add_explicit(&p->next_index, 1, memory_order_relaxed);
        if (i >= count)
            return;
        p->task(p->arg, i);
    }
}

/* Whether to sit down there, as far as one sees from outside. */
static bool has_work(post *p)
{
    return atomic_load_explicit(&p->state, memory_order_relaxed) & SEATS &&
           atomic_load_explicit(&p->next_index, memory_order_relaxed) <
               atomic_load_explicit(&p->count, memory_order_relaxed);
}

static post *find_work(mls__executor *executor, uint64_t board)
{
    for (size_t i = 0; i < POSTS && board >> i & OPEN; i++)
        if (board >> i & 1 && has_work(&executor->posts[i]))
            return &executor->posts[i];
    return NULL;
}

static bool take_seat(post *p)
{
    uint64_t state = atomic_load_explicit(&p->state, memory_order_relaxed);
    while (state & SEATS)
        if (atomic_compare_exchange_weak_explicit(&p->state, &state, state - SEAT + HELPER,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

/* The post may be another loop's once its count of helpers says so. */
static void leave_post(mls__executor *executor, post *p)
{
    const uint64_t state = atomic_fetch_sub_explicit(&p->state, HELPER, memory_order_release);
    if (count_of(state, HELPERS, HELPER) > 1 || !(state & AWAITED))
        return;
    enter(executor);
    pthread_cond_broadcast(&executor->left.cond);
    leave(executor);
}

/*
 * Where all cores are busy, the scheduler may put a helper where its caller runs, and leave it
 * there for long: then each waits for the other. A helper that may use other cores goes to one of
 * them.
 */
static void leave_core(const mls__executor *executor)
{
    cpu_set_t all, others;
    const int core = sched_getcpu();
    if (core < 0 || core != atomic_load_explicit(&executor->caller_core, memory_order_relaxed) ||
        !atomic_load_explicit(&executor->look_ns, memory_order_relaxed) ||
        sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    others = all;
    CPU_CLR((size_t) core, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
        sched_setaffinity(0, sizeof all, &all);
}

/* Whether there is work to do, or to end. */
static bool look_for_work(mls__executor *executor)
{
    const uint64_t ns = atomic_load_explicit(&executor->look_ns, memory_order_relaxed);
    uint64_t end = 0;
    do {
        for (int i = 0; i < LOOKS; i++) {
            const uint64_t board = atomic_load_explicit(&executor->board, memory_order_acquire);
            if (board & STOP || find_work(executor, board))
                return true;
            mls__thread_pause();
        }
        leave_core(executor);
    } while (!is_over(&end, ns));
    return false;
}

static void sleep_until_woken(mls__executor *executor)
{
    enter(executor);
    const uint64_t board = atomic_fetch_add(&executor->board, SLEEPER);
    if (board & STOP || find_work(executor, board)) {
        atomic_fetch_sub(&executor->board, SLEEPER);
    } else {
        while (!executor->wakes && !(atomic_load(&executor->board) & STOP))
            mls__cond_wait_until(&executor->work, &executor->mutex, MLS__FOREVER);
        executor->wakes -= executor->wakes > 0;
    }
    leave(executor);
}

static void *helper_main(void *arg)
{
    mls__executor *executor = arg;
    for (;;) {
        const uint64_t board = atomic_load_explicit(&executor->board, memory_order_acquire);
        if (board & STOP)
            return NULL;
        leave_core(executor);
        post *p = find_work(executor, board);
        if (p && take_seat(p)) {
            run_indices(p);
            leave_post(executor, p);
        } else if (!p && !look_for_work(executor)) {
            sleep_until_woken(executor);
        }
    }
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
    uint32_t made = atomic_load(&executor->thread_count);
    while (!status && made < threads - 1) {
        status =
            mls__thread_create(&executor->threads[made], "mls-executor", helper_main, executor);
        if (!status)
            atomic_store(&executor->thread_count, ++made);
    }
    /* Without a core for each thread, who looks keeps others from working. */
    atomic_store(&executor->look_ns, made < count_cores() ? executor->spin_ns : 0);
    leave(executor);
    return status;
}

/* --- callers --------------------------------------------------------------------------------- */

/* Sessions begin to search in different places, so that each has its post in its own cache. */
static post *take_post(mls__executor *executor, const mls__executor_share *share)
{
    const size_t first = (uintptr_t) share / sizeof *share;
    for (size_t i = 0; i < POSTS; i++) {
        post *p = &executor->posts[(first + i) % POSTS];
        uint64_t free = 0;
        if (atomic_load_explicit(&p->state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&p->state, &free, TAKEN, memory_order_acquire,
                                                    memory_order_relaxed))
            return p;
    }
    return NULL;
}

/* Helpers that are neither asleep nor at a post. */
static uint64_t count_idle(mls__executor *executor, uint64_t sleepers)
{
    uint64_t busy = sleepers;
    for (size_t i = 0; i < POSTS; i++)
        busy += count_of(atomic_load_explicit(&executor->posts[i].state, memory_order_relaxed),
                         HELPERS, HELPER);
    const uint64_t threads = atomic_load(&executor->thread_count);
    return threads > busy ? threads - busy : 0;
}

/* As many as have a seat, and nobody who looks takes it. */
static void wake_helpers(mls__executor *executor, uint64_t board, uint64_t seats)
{
    const uint64_t sleepers = count_of(board, ~(OPEN | STOP), SLEEPER);
    const uint64_t idle = sleepers ? count_idle(executor, sleepers) : seats;
    if (idle >= seats)
        return;
    enter(executor);
    const uint64_t left = count_of(atomic_load(&executor->board), ~(OPEN | STOP), SLEEPER);
    const uint32_t woken = (uint32_t) (seats - idle < left ? seats - idle : left);
    atomic_fetch_sub(&executor->board, woken * SLEEPER);
    executor->wakes += woken;
    leave(executor);
    for (uint32_t i = 0; i < woken; i++)
        pthread_cond_signal(&executor->work.cond);
}

/* Whether the helpers left while one looked. */
static bool look_for_end(const mls__executor *executor, const post *p)
{
    const uint64_t ns = atomic_load_explicit(&executor->look_ns, memory_order_relaxed);
    uint64_t end = 0;
    do {
        for (int i = 0; i < LOOKS; i++) {
            if (!(atomic_load_explicit(&p->state, memory_order_acquire) & HELPERS))
                return true;
            mls__thread_pause();
        }
    } while (!is_over(&end, ns));
    return false;
}

/* Nobody sits down any more; who is there is at its last index. */
static void wait_for_helpers(mls__executor *executor, post *p)
{
    if (look_for_end(executor, p))
        return;
    enter(executor);
    uint64_t state = atomic_fetch_or(&p->state, AWAITED);
    while (state & HELPERS) {
        mls__cond_wait_until(&executor->left, &executor->mutex, MLS__FOREVER);
        state = atomic_load(&p->state);
    }
    leave(executor);
}

static void run_with_helpers(mls__executor *executor, post *p, uint64_t seats)
{
    const uint64_t bit = UINT64_C(1) << (p - executor->posts);
    atomic_store_explicit(&p->state, TAKEN | seats * SEAT, memory_order_release);
    atomic_store_explicit(&executor->caller_core, sched_getcpu(), memory_order_relaxed);
    wake_helpers(executor, atomic_fetch_or(&executor->board, bit), seats);

    run_indices(p);

    atomic_fetch_and(&executor->board, ~bit);
    const uint64_t state = atomic_fetch_and_explicit(&p->state, ~SEATS, memory_order_acquire);
    if (state & HELPERS)
        wait_for_helpers(executor, p);
    atomic_store_explicit(&p->state, 0, memory_order_release);
}

static void run_alone(size_t count, mls_task_fn task, void *arg)
{
    for (size_t i = 0; i < count; i++)
        task(arg, i);
}

void mls__executor_parallel_for(void *share, size_t count, mls_task_fn task, void *arg)
{
    const mls__executor_share *s = share;
    mls__executor *executor = s->executor;
    const size_t useful = count < s->threads ? count : s->threads;
    if (useful <= 1 || executor->fork_generation != mls__fork_generation()) {
        run_alone(count, task, arg);
        return;
    }
    if (executor->host_parallel_for) {
        executor->host_parallel_for(executor->host_user, count, task, arg);
        return;
    }
    const size_t helpers = atomic_load(&executor->thread_count);
    post *p = helpers ? take_post(executor, s) : NULL;
    if (!p) {
        run_alone(count, task, arg);
        return;
    }
    atomic_store_explicit(&p->count, count, memory_order_relaxed);
    atomic_store_explicit(&p->next_index, 0, memory_order_relaxed);
    p->task = task;
    p->arg = arg;
    run_with_helpers(executor, p, useful - 1 < helpers ? useful - 1 : helpers);
}
