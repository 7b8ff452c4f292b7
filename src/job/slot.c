/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a slot: opens its handlers, goes through rounds of claims, closes. */
#include "job/worker.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

/* Pauses while the driver fails, growing from the first to the last. */
#define FIRST_PAUSE_NS UINT64_C(100000000)
#define LAST_PAUSE_NS  UINT64_C(5000000000)

static _Thread_local const mls_worker *worker_here;

bool mls__slot_is_here(const mls_worker *worker)
{
    return worker_here == worker;
}

const mls_worker *mls__slot_enter(const mls_worker *worker)
{
    const mls_worker *before = worker_here;
    worker_here = worker;
    return before;
}

void mls__slot_count(atomic_uint_fast64_t *counter, uint64_t more)
{
    /* One writer: a plain addition, made visible. */
    const uint64_t value = atomic_load_explicit(counter, memory_order_relaxed) + more;
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

mls_status mls__slot_open(mls__slot *slot)
{
    const mls__vec *handlers = &slot->worker->handlers;
    for (slot->opened = 0; slot->opened < handlers->count; slot->opened++) {
        const mls_handler *handler = mls__vec_at(handlers, slot->opened);
        void **state = &slot->states[slot->opened];
        *state = handler->user;
        const mls_status status =
            handler->slot_open ? handler->slot_open(handler->user, slot->index, state) : MLS_OK;
        if (status)
            return status < MLS_OK ? status : MLS_EHANDLER;
    }
    return MLS_OK;
}

void mls__slot_close(mls__slot *slot)
{
    for (; slot->opened; slot->opened--) {
        const size_t last = slot->opened - 1;
        const mls_handler *handler = mls__vec_at(&slot->worker->handlers, last);
        if (handler->slot_close)
            handler->slot_close(handler->user, slot->states[last]);
    }
}

/* Reports how opening went, and waits for what comes of it; true: the worker runs. */
static bool report_open(mls_worker *worker, mls_status status)
{
    pthread_mutex_lock(&worker->mutex);
    if (status && !worker->open_status) {
        worker->open_status = status;
        strncpy(worker->open_message, mls_error_message(), sizeof worker->open_message - 1);
    }
    worker->slots_opening--;
    pthread_cond_broadcast(&worker->changed.cond);
    while (worker->phase == MLS__WORKER_OPENING)
        mls__cond_wait_until(&worker->changed, &worker->mutex, MLS__FOREVER);
    const bool runs = worker->phase != MLS__WORKER_FAILED;
    pthread_mutex_unlock(&worker->mutex);
    return runs;
}

static void count_end(mls__slot *slot, const mls_queue_end *end)
{
    mls__slot_counts *counts = &slot->counts;
    if (end->status != MLS_OK)
        mls__slot_count(&counts->stale, 1);
    else if (end->state == MLS_JOB_SUCCEEDED)
        mls__slot_count(&counts->succeeded, 1);
    else if (end->state == MLS_JOB_CANCELLED)
        mls__slot_count(&counts->cancelled, 1);
    else if (end->event == MLS_JOB_ON_RELEASE || end->event == MLS_JOB_ON_ESCALATE)
        mls__slot_count(&counts->released, 1);
    else
        mls__slot_count(&counts->failed, 1);
}

/* The ends of the round before that the driver has judged are done with. */
static void close_ends(mls__slot *slot)
{
    mls__slot_bank *bank = &slot->banks[!slot->bank];
    size_t left = 0;
    for (size_t i = 0; i < slot->pending_count; i++) {
        mls_queue_end *end = slot->pending[i];
        if (end->status == MLS_EEMPTY) {
            slot->pending[left++] = end;
            continue;
        }
        count_end(slot, end);
        mls__job_close_end(&bank->jobs[end - slot->ends], end);
    }
    slot->pending_count = left;
}

/* Makes the ends of the present round pending, and its bank the one before. */
static void queue_ends(mls__slot *slot)
{
    mls__slot_bank *bank = &slot->banks[slot->bank];
    for (size_t i = 0; i < bank->count; i++) {
        mls__job_fill_end(&bank->jobs[i], &slot->ends[i]);
        slot->ends[i].flags = MLS_END_DROP;
        slot->pending[i] = &slot->ends[i];
    }
    slot->pending_count = bank->count;
    slot->bank = !slot->bank;
}

static void open_claims(mls__slot *slot, size_t from, size_t to)
{
    mls__slot_bank *bank = &slot->banks[slot->bank];
    for (size_t i = from; i < to; i++)
        mls__job_open_claim(&bank->jobs[i], MLS__JOB_IN_SLOT, slot->worker->names);
    bank->count = to;
    mls__slot_count(&slot->counts.claimed, to - from);
}

/* A batch may wait for more of its kind. What it has is run, whatever happens. */
static void fill_batch(mls__slot *slot)
{
    const mls_worker *worker = slot->worker;
    mls__slot_bank *bank = &slot->banks[slot->bank];
    const mls_handler *handler = mls__slot_handler(slot, bank->jobs[0].info.type);
    if (!handler->run_batch)
        return;
    const mls_queue_claim request = {
        .size = sizeof request,
        .max_count = handler->batch_max - bank->count,
        .until_ns = mls__queue_until(handler->batch_wait_ms),
        .like = bank->shown[0],
    };
    size_t more = 0;
    if (request.max_count &&
        worker->queue->ops->claim(worker->queue->self, worker->claimer->self, &request, NULL, 0,
                                  bank->shown + bank->count, &more) == MLS_OK)
        open_claims(slot, bank->count, bank->count + more);
}

/* Ends the last round and claims for the next. */
static mls_status claim(mls__slot *slot)
{
    const mls_worker *worker = slot->worker;
    mls__slot_bank *bank = &slot->banks[slot->bank];
    const mls_queue_claim request = {
        .size = sizeof request,
        .flags = worker->has_batches ? MLS_CLAIM_SAME_BATCH : 0,
        .max_count = worker->claim_count,
        .until_ns = MLS__FOREVER,
    };
    size_t claimed = 0;
    bank->count = 0;
    const mls_status status =
        worker->queue->ops->claim(worker->queue->self, worker->claimer->self, &request,
                                  slot->pending, slot->pending_count, bank->shown, &claimed);
    close_ends(slot);
    if (status)
        return status;
    open_claims(slot, 0, claimed);
    fill_batch(slot);
    return MLS_OK;
}

/* The driver failed: says so, and waits a while; false when the worker is to stop. */
static bool pause_slot(mls__slot *slot, mls_status status, uint64_t *pause_ns)
{
    mls_worker *worker = slot->worker;
    mls__log(worker->queue->context, MLS_LOG_WARNING,
             "worker '%s', slot %u: the queue cannot be reached: %s: %s", worker->names,
             slot->index, mls_status_name(status), mls_error_message());
    const uint64_t until_ns = mls__clock_monotonic_ns() + *pause_ns;
    *pause_ns = *pause_ns * 2 < LAST_PAUSE_NS ? *pause_ns * 2 : LAST_PAUSE_NS;
    pthread_mutex_lock(&worker->mutex);
    while (!worker->is_stopping)
        if (!mls__cond_wait_until(&worker->changed, &worker->mutex, until_ns))
            break;
    const bool goes_on = !worker->is_stopping;
    pthread_mutex_unlock(&worker->mutex);
    return goes_on;
}

/* Last try to report; what cannot be is left to the driver's leases. */
static void give_up_ends(mls__slot *slot)
{
    const mls_queue *queue = slot->worker->queue;
    if (slot->pending_count &&
        queue->ops->finish(queue->self, slot->pending, slot->pending_count) == MLS_OK)
        close_ends(slot);
    mls__slot_bank *bank = &slot->banks[!slot->bank];
    for (size_t i = 0; i < slot->pending_count; i++) {
        mls_job *job = &bank->jobs[slot->pending[i] - slot->ends];
        queue->ops->drop(queue->self, &job->shown);
        mls__job_reset(job);
    }
}

/* The thread's clock costs a system call: jobs of microseconds are not slowed down by it. */
#define SAMPLE_NS UINT64_C(1000000)

/* What a round took is shared between its jobs, but for those that say it themselves. */
static void note_cost(mls__slot *slot, uint64_t wall_ns, uint64_t cpu_ns)
{
    mls__slot_bank *bank = &slot->banks[slot->bank];
    for (size_t i = 0; i < bank->count; i++) {
        mls_job *job = &bank->jobs[i];
        if (job->wall_ns)
            continue;
        job->wall_ns = wall_ns / bank->count + 1;
        job->cpu_ns = cpu_ns / bank->count;
    }
}

static void run_round(mls__slot *slot)
{
    slot->done = 0;
    if (slot->worker->is_polled) {
        mls__poll_hand_over(slot);
        return;
    }
    const uint64_t begin_ns = mls__clock_monotonic_ns();
    const bool samples = begin_ns - slot->sampled_ns >= SAMPLE_NS;
    const uint64_t cpu_ns = samples ? mls__clock_thread_ns() : 0;
    while (mls__slot_has_more(slot))
        mls__slot_run_next(slot);
    const uint64_t took_ns = mls__clock_monotonic_ns() - begin_ns;
    mls__slot_count(&slot->counts.run_ns, took_ns);
    if (!samples)
        return;
    note_cost(slot, took_ns, mls__clock_thread_ns() - cpu_ns);
    slot->sampled_ns = begin_ns;
}

static void run_rounds(mls__slot *slot)
{
    uint64_t pause_ns = FIRST_PAUSE_NS;
    for (;;) {
        const mls_status status = claim(slot);
        if (status == MLS_ECANCELLED)
            return;
        if (status) {
            if (!pause_slot(slot, status, &pause_ns))
                return;
            continue;
        }
        pause_ns = FIRST_PAUSE_NS;
        run_round(slot);
        queue_ends(slot);
    }
}

static void leave(mls_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    worker->slots_running--;
    pthread_cond_broadcast(&worker->changed.cond);
    pthread_mutex_unlock(&worker->mutex);
}

void *mls__slot_main(void *arg)
{
    mls__slot *slot = arg;
    const bool has_handlers = !slot->worker->is_polled;
    mls__slot_enter(slot->worker);
    const mls_status status = has_handlers ? mls__slot_open(slot) : MLS_OK;
    if (report_open(slot->worker, status)) {
        run_rounds(slot);
        give_up_ends(slot);
    }
    if (has_handlers)
        mls__slot_close(slot);
    leave(slot->worker);
    return NULL;
}
