/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping a worker: nothing new is claimed, and what runs ends, or is given back in time. */
#include "job/worker.h"

#include "base/error.h"

void mls__worker_retire(mls_worker *worker)
{
    mls_claimer_stop(worker->claimer, 0);
    pthread_mutex_lock(&worker->mutex);
    worker->is_stopping = true;
    pthread_cond_broadcast(&worker->changed.cond);
    pthread_mutex_unlock(&worker->mutex);
}

bool mls__worker_has_left(mls_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    const bool has_left = !worker->slots_running;
    pthread_mutex_unlock(&worker->mutex);
    return has_left;
}

/* Waits for the slots; true: all have left their rounds. */
static bool wait_slots(mls_worker *worker, uint64_t until_ns)
{
    pthread_mutex_lock(&worker->mutex);
    worker->is_stopping = true;
    pthread_cond_broadcast(&worker->changed.cond);
    while (worker->slots_running)
        if (!mls__cond_wait_until(&worker->changed, &worker->mutex, until_ns))
            break;
    const bool all = !worker->slots_running;
    pthread_mutex_unlock(&worker->mutex);
    return all;
}

/* All slots have left: of several threads that stop it one joins theirs, and the rest wait. */
static void join_once(mls_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    const bool is_first = !worker->is_joining;
    worker->is_joining = true;
    while (!is_first && worker->phase != MLS__WORKER_STOPPED)
        mls__cond_wait_until(&worker->changed, &worker->mutex, MLS__FOREVER);
    pthread_mutex_unlock(&worker->mutex);
    if (!is_first)
        return;
    mls__worker_join_threads(worker, worker->slot_count);
    mls__worker_set_phase(worker, MLS__WORKER_STOPPED);
}

static mls__worker_phase phase_of(mls_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    const mls__worker_phase phase = worker->phase;
    pthread_mutex_unlock(&worker->mutex);
    return phase;
}

/* Time is over: handlers are told, and their jobs go back to the queue. */
static mls_status take_jobs_back(mls_worker *worker)
{
    const mls_queue *queue = worker->queue;
    size_t count = 0;
    atomic_store(&worker->stops, true);
    mls_claimer_stop(worker->claimer, 0);
    const mls_status status =
        queue->ops->claimer_surrender(queue->self, worker->claimer->self, &count);
    if (status)
        return status;
    return mls__error(MLS_ETIMEDOUT,
                      "the worker's handlers have not returned in time; %zu jobs "
                      "were given back to the queue",
                      count);
}

/* The calling thread is the one that runs jobs: there are no handlers to wait for. */
static mls_status stop_polled(mls_worker *worker, uint64_t until_ns)
{
    const bool is_late = mls__poll_until_left(worker, until_ns);
    mls__worker_join_threads(worker, worker->slot_count);
    mls__poll_close(worker);
    worker->phase = MLS__WORKER_STOPPED;
    return is_late ? mls__error(MLS_ETIMEDOUT, "the time was over before all jobs were run; what "
                                               "was claimed was given back to the queue")
                   : MLS_OK;
}

mls_status mls_worker_stop(mls_worker *worker, uint32_t flags, int64_t timeout_ms)
{
    if (!worker)
        return mls__error_null(__func__, "worker");
    const mls_status status = mls__queue_check_fork(worker->queue);
    if (status)
        return status;
    if (flags & ~MLS_WORKER_DRAIN)
        return mls__error(MLS_EINVAL,
                          "mls_worker_stop: flags are 0x%x; MLS_WORKER_DRAIN is the "
                          "only one",
                          flags);
    if (mls__slot_is_here(worker))
        return mls__error(MLS_ESTATE, "a handler cannot stop its own worker");
    const mls__worker_phase phase = phase_of(worker);
    if (phase == MLS__WORKER_STOPPED)
        return MLS_OK;
    if (phase != MLS__WORKER_RUNNING)
        return mls__error(MLS_ESTATE, "the worker was not started");
    uint64_t until_ns = mls__queue_until(timeout_ms);
    if (!(flags & MLS_WORKER_DRAIN))
        atomic_store(&worker->stops, true);
    mls_claimer_stop(worker->claimer, flags);
    if (worker->is_polled)
        return stop_polled(worker, until_ns);
    if (!wait_slots(worker, until_ns))
        return take_jobs_back(worker);
    join_once(worker);
    return MLS_OK;
}
