/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a worker: its claimer, its slots, and their threads; all of it, or nothing. */
#include "job/worker.h"

#include "base/error.h"

/* How much a round claims: what the least greedy handler takes, and room for the greediest. */
static void size_rounds(mls_worker *worker)
{
    worker->claim_count = MLS_BATCH_MAX;
    worker->bank_size = 1;
    worker->has_batches = false;
    for (size_t i = 0; i < worker->handlers.count; i++) {
        const mls_handler *handler = mls__vec_at(&worker->handlers, i);
        const size_t takes = handler->run_batch ? handler->batch_max : worker->prefetch;
        if (takes < worker->claim_count)
            worker->claim_count = takes;
        if (takes > worker->bank_size)
            worker->bank_size = takes;
        if (handler->run_batch)
            worker->has_batches = true;
    }
}

static mls_status open_claimer(mls_worker *worker)
{
    const mls__allocator *allocator = &worker->queue->context->allocator;
    const size_t count = worker->handlers.count;
    const char **types = mls__alloc_array(allocator, count, sizeof *types);
    if (!types)
        return mls__error_nomem(count * sizeof *types);
    for (size_t i = 0; i < count; i++)
        types[i] = ((const mls_handler *) mls__vec_at(&worker->handlers, i))->type;
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.name = worker->names;
    options.types = types;
    options.type_count = count;
    options.queues = worker->queues;
    options.queue_count = worker->queue_count;
    options.spin_us = worker->spin_us;
    options.capacity = worker->has_capacity ? &worker->capacity : NULL;
    options.patience_ms = worker->patience_ms;
    const mls_status status = mls_claimer_open(worker->queue, &options, &worker->claimer);
    mls__free(allocator, (void *) types);
    const mls_queue *queue = worker->queue;
    if (!status && worker->pools && MLS_HAS_OP(queue->ops, mls_queue_driver, claimer_pool))
        queue->ops->claimer_pool(queue->self, worker->claimer->self, worker->pools->claimer->self);
    return status;
}

static bool create_bank(const mls_worker *worker, mls__slot_bank *bank)
{
    const mls__allocator *allocator = &worker->queue->context->allocator;
    bank->jobs = mls__alloc_array(allocator, worker->bank_size, sizeof *bank->jobs);
    bank->shown = mls__alloc_array(allocator, worker->bank_size, sizeof *bank->shown);
    if (!bank->jobs || !bank->shown)
        return false;
    for (size_t i = 0; i < worker->bank_size; i++) {
        mls__job_init(&bank->jobs[i], worker->queue, &worker->stops);
        bank->shown[i] = &bank->jobs[i].shown;
    }
    return true;
}

static bool create_slot(mls_worker *worker, mls__slot *slot)
{
    const mls__allocator *allocator = &worker->queue->context->allocator;
    const size_t size = worker->bank_size;
    slot->worker = worker;
    slot->states = mls__alloc_array(allocator, worker->handlers.count, sizeof(void *));
    slot->ends = mls__alloc_array(allocator, size, sizeof *slot->ends);
    slot->pending = mls__alloc_array(allocator, size, sizeof *slot->pending);
    slot->batch = mls__alloc_array(allocator, size, sizeof *slot->batch);
    return slot->states && slot->ends && slot->pending && slot->batch &&
           create_bank(worker, &slot->banks[0]) && create_bank(worker, &slot->banks[1]);
}

/* The slots, which from now on are (or are not) there for who asks for counts. */
static mls__slot *swap_slots(mls_worker *worker, mls__slot *slots)
{
    pthread_mutex_lock(&worker->mutex);
    mls__slot *before = worker->slots;
    worker->slots = slots;
    pthread_mutex_unlock(&worker->mutex);
    return before;
}

void mls__worker_free_slots(mls_worker *worker)
{
    const mls__allocator *allocator = &worker->queue->context->allocator;
    mls__slot *slots = swap_slots(worker, NULL);
    for (uint32_t i = 0; slots && i < worker->slot_count; i++) {
        mls__slot *slot = &slots[i];
        for (size_t b = 0; b < 2; b++) {
            mls__free(allocator, slot->banks[b].jobs);
            mls__free(allocator, slot->banks[b].shown);
        }
        mls__free(allocator, slot->batch);
        mls__free(allocator, slot->pending);
        mls__free(allocator, slot->ends);
        mls__free(allocator, slot->states);
    }
    mls__free(allocator, slots);
}

static mls_status create_slots(mls_worker *worker)
{
    const mls__allocator *allocator = &worker->queue->context->allocator;
    mls__slot *slots = mls__alloc_array(allocator, worker->slot_count, sizeof *slots);
    if (!slots)
        return mls__error_nomem(worker->slot_count * sizeof *slots);
    swap_slots(worker, slots);
    for (uint32_t i = 0; i < worker->slot_count; i++) {
        worker->slots[i].index = i;
        if (!create_slot(worker, &worker->slots[i]))
            return mls__error_nomem(worker->bank_size * sizeof(mls_job));
    }
    return MLS_OK;
}

void mls__worker_set_phase(mls_worker *worker, mls__worker_phase phase)
{
    pthread_mutex_lock(&worker->mutex);
    worker->phase = phase;
    pthread_cond_broadcast(&worker->changed.cond);
    pthread_mutex_unlock(&worker->mutex);
}

/* Starts the threads; *ret_count of them exist, all of them when it succeeds. */
static mls_status start_threads(mls_worker *worker, uint32_t *ret_count)
{
    mls_status status = MLS_OK;
    uint32_t count = 0;
    worker->slots_opening = worker->slots_running = worker->slot_count;
    worker->open_status = MLS_OK;
    mls__worker_set_phase(worker, MLS__WORKER_OPENING);
    while (!status && count < worker->slot_count) {
        mls__slot *slot = &worker->slots[count];
        status = mls__thread_create(&slot->thread, "mls-worker", mls__slot_main, slot);
        count += !status;
    }
    *ret_count = count;
    return status;
}

static mls_status wait_opened(mls_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    while (worker->slots_opening)
        mls__cond_wait_until(&worker->changed, &worker->mutex, MLS__FOREVER);
    const mls_status status = worker->open_status;
    pthread_mutex_unlock(&worker->mutex);
    return status ? mls__error(status, "%s", worker->open_message) : MLS_OK;
}

void mls__worker_join_threads(const mls_worker *worker, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        pthread_join(worker->slots[i].thread, NULL);
}

static mls_status open_slots(mls_worker *worker)
{
    uint32_t threads = 0;
    mls_status status = create_slots(worker);
    if (!status && worker->is_polled)
        status = mls__poll_open(worker);
    if (!status)
        status = start_threads(worker, &threads);
    if (!status)
        status = wait_opened(worker);
    if (!status) {
        mls__worker_set_phase(worker, MLS__WORKER_RUNNING);
        return MLS_OK;
    }
    mls__worker_set_phase(worker, MLS__WORKER_FAILED);
    mls__worker_join_threads(worker, threads);
    if (worker->is_polled && worker->slots)
        mls__poll_close(worker);
    mls__worker_free_slots(worker);
    return status;
}

mls_status mls_worker_start(mls_worker *worker)
{
    if (!worker)
        return mls__error_null(__func__, "worker");
    mls_status status = mls__queue_check_fork(worker->queue);
    if (status)
        return status;
    if (worker->phase != MLS__WORKER_CREATED)
        return mls__error(MLS_ESTATE, "the worker was started before");
    if (!worker->handlers.count)
        return mls__error(MLS_ESTATE, "the worker has no handler; add one first");
    size_rounds(worker);
    status = open_claimer(worker);
    if (status)
        return status;
    status = open_slots(worker);
    if (status) {
        mls_claimer_close(worker->claimer);
        worker->claimer = NULL;
        worker->phase = MLS__WORKER_CREATED;
    }
    return status;
}

void mls__worker_pool(mls_worker *worker, const mls_worker *with)
{
    worker->pools = with;
}
