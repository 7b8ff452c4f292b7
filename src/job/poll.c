/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers whose handlers run on the host's thread. A slot's thread claims and reports as
 * in any worker, but for the running of a round it stands in a line and waits until the
 * host has run it. So it works over every driver, and the host never waits for one.
 *
 * The descriptor is a counter that is 1 while the line is not empty.
 */
#include "job/worker.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

mls_status mls__poll_create_fd(mls_worker *worker)
{
    worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->fd < 0)
        return mls__error(MLS_EIO, "no descriptor for the worker's fd: %s", strerror(errno));
    return MLS_OK;
}

void mls__poll_close_fd(mls_worker *worker)
{
    if (worker->fd >= 0)
        close(worker->fd);
    worker->fd = -1;
}

mls_status mls__poll_open(mls_worker *worker)
{
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        const mls_status status = mls__slot_open(&worker->slots[i]);
        if (status)
            return status;
    }
    return MLS_OK;
}

void mls__poll_close(mls_worker *worker)
{
    for (uint32_t i = 0; i < worker->slot_count; i++)
        mls__slot_close(&worker->slots[i]);
}

/* --- the line, under the mutex --- */

/* Neither can fail or wait: the counter is 0 or 1, and at most one of them is due. */
static void raise_fd(const mls_worker *worker)
{
    const uint64_t one = 1;
    while (write(worker->fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

static void lower_fd(const mls_worker *worker)
{
    uint64_t value;
    while (read(worker->fd, &value, sizeof value) < 0 && errno == EINTR)
        continue;
}

static void join_line(mls__slot *slot)
{
    mls_worker *worker = slot->worker;
    slot->waits_for_host = true;
    slot->next_waiting = NULL;
    if (worker->first_waiting) {
        worker->last_waiting->next_waiting = slot;
    } else {
        worker->first_waiting = slot;
        raise_fd(worker);
    }
    worker->last_waiting = slot;
}

static void leave_line(mls__slot *first)
{
    mls_worker *worker = first->worker;
    worker->first_waiting = first->next_waiting;
    first->waits_for_host = false;
    if (!worker->first_waiting)
        lower_fd(worker);
    pthread_cond_broadcast(&worker->changed.cond);
}

void mls__poll_hand_over(mls__slot *slot)
{
    mls_worker *worker = slot->worker;
    pthread_mutex_lock(&worker->mutex);
    join_line(slot);
    pthread_cond_broadcast(&worker->changed.cond); /* stop may wait for a round */
    while (slot->waits_for_host)
        mls__cond_wait_until(&worker->changed, &worker->mutex, MLS__FOREVER);
    pthread_mutex_unlock(&worker->mutex);
}

/* --- the host's side --- */

/* The next job or batch of the line's first; how many jobs: 0 when there is none. */
static size_t run_next(mls_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    mls__slot *slot = worker->first_waiting;
    pthread_mutex_unlock(&worker->mutex);
    if (!slot)
        return 0;
    const mls_worker *before = mls__slot_enter(worker);
    const uint64_t begin_ns = mls__clock_monotonic_ns();
    const size_t count = mls__slot_run_next(slot);
    mls__slot_count(&slot->counts.run_ns, mls__clock_monotonic_ns() - begin_ns);
    mls__slot_enter(before);
    if (mls__slot_has_more(slot))
        return count;
    pthread_mutex_lock(&worker->mutex);
    leave_line(slot);
    pthread_mutex_unlock(&worker->mutex);
    return count;
}

static mls_status check_polled(const mls_worker *worker)
{
    const mls_status status = mls__queue_check_fork(worker->queue);
    if (status)
        return status;
    if (!worker->is_polled)
        return mls__error(MLS_ESTATE, "the worker has threads that run its jobs; make it with "
                                      "MLS_WORKER_POLLED to run them yourself");
    return MLS_OK;
}

mls_status mls_worker_fd(const mls_worker *worker, int *ret_fd)
{
    if (!worker || !ret_fd)
        return mls__error_null(__func__, "worker and ret_fd");
    const mls_status status = check_polled(worker);
    if (!status)
        *ret_fd = worker->fd;
    return status;
}

mls_status mls_worker_poll(mls_worker *worker, size_t max_jobs, uint32_t max_us, size_t *ret_count)
{
    if (!worker)
        return mls__error_null(__func__, "worker");
    const mls_status status = check_polled(worker);
    if (status)
        return status;
    if (worker->phase != MLS__WORKER_RUNNING)
        return mls__error(MLS_ESTATE, "the worker is not running");
    if (mls__slot_is_here(worker))
        return mls__error(MLS_ESTATE, "a handler cannot poll its own worker");
    const uint64_t until_ns =
        max_us ? mls__clock_monotonic_ns() + max_us * UINT64_C(1000) : MLS__FOREVER;
    size_t count = 0, more;
    do {
        more = run_next(worker);
        count += more;
    } while (more && (!max_jobs || count < max_jobs) && mls__clock_monotonic_ns() < until_ns);
    if (ret_count)
        *ret_count = count;
    return MLS_OK;
}

/* Waits until a round waits or all slots have left. true: the first. false for the time too. */
static bool wait_for_round(mls_worker *worker, uint64_t until_ns, bool *ret_all_left)
{
    pthread_mutex_lock(&worker->mutex);
    while (!worker->first_waiting && worker->slots_running)
        if (!mls__cond_wait_until(&worker->changed, &worker->mutex, until_ns))
            break;
    const bool is_there = worker->first_waiting != NULL;
    *ret_all_left = !worker->slots_running;
    pthread_mutex_unlock(&worker->mutex);
    return is_there;
}

bool mls__poll_until_left(mls_worker *worker, uint64_t until_ns)
{
    bool is_late = false, all_left = false;
    pthread_mutex_lock(&worker->mutex);
    worker->is_stopping = true;
    pthread_cond_broadcast(&worker->changed.cond);
    pthread_mutex_unlock(&worker->mutex);
    while (!all_left) {
        if (!is_late && !atomic_load(&worker->stops) && mls__clock_monotonic_ns() >= until_ns) {
            is_late = true;
            atomic_store(&worker->stops, true); /* what is claimed goes back from here on */
            mls_claimer_stop(worker->claimer, 0);
        }
        const uint64_t next_ns = is_late || atomic_load(&worker->stops) ? MLS__FOREVER : until_ns;
        if (wait_for_round(worker, next_ns, &all_left))
            run_next(worker);
    }
    return is_late;
}
