/* SPDX-License-Identifier: Apache-2.0 */
/* Workers from outside: made, given handlers, started, stopped. */
#include "job/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/options.h"
#include "job/resources.h"

#include <string.h>

/* What the machine has in the place of what is not given. */
static void fill_capacity(mls_resources *capacity)
{
    if (capacity->cpu_milli == MLS_CAPACITY_MACHINE)
        capacity->cpu_milli = mls__machine_cpu_milli();
    if (capacity->memory_bytes == MLS_CAPACITY_MACHINE)
        capacity->memory_bytes = mls__machine_memory_bytes();
    if (capacity->gpus == MLS_CAPACITY_MACHINE)
        capacity->gpus = 0;
}

static mls_status check_options(const mls_queue *queue, const mls_worker_options *o)
{
    if (o->slots < 1 || o->slots > MLS_SLOTS_MAX)
        return mls__error(MLS_EINVAL, "mls_worker_options.slots is %u; 1 to %d is possible",
                          o->slots, MLS_SLOTS_MAX);
    if (o->prefetch > MLS_BATCH_MAX)
        return mls__error(MLS_EINVAL, "mls_worker_options.prefetch is %u; at most %d is possible",
                          o->prefetch, MLS_BATCH_MAX);
    if (o->flags & ~MLS_WORKER_POLLED)
        return mls__error(MLS_EINVAL,
                          "mls_worker_options.flags are 0x%x; MLS_WORKER_POLLED is the only one",
                          o->flags);
    if (o->reserved)
        return mls__error(MLS_EINVAL, "mls_worker_options.reserved is %u; it must be 0",
                          o->reserved);
    if (o->queue_count && !o->queues)
        return mls__error(MLS_EINVAL, "mls_worker_options.queues is NULL, but %zu are announced",
                          o->queue_count);
    mls_status status = mls__queue_check_text("mls_worker_options.name", o->name, MLS_JOB_NAME_MAX);
    if (!status && o->queue_count)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_NAMED_QUEUES, "mls_worker_options.queues");
    if (!status && o->capacity)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_RESOURCES, "mls_worker_options.capacity");
    if (!status && o->capacity) {
        mls_resources capacity = *o->capacity;
        fill_capacity(&capacity);
        status = mls__resources_check("mls_worker_options.capacity", &capacity);
    }
    for (size_t i = 0; !status && i < o->queue_count; i++)
        status = o->queues[i] ? mls__queue_check_name("mls_worker_options.queues", o->queues[i])
                              : mls__error(MLS_EINVAL, "mls_worker_options.queues[%zu] is NULL", i);
    return status;
}

static mls_status read_options(const mls_queue *queue, const mls_worker_options *given,
                               mls_worker_options *ret_options)
{
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    mls_status status =
        mls__options_read("mls_worker_options", given, sizeof options, sizeof options, &options);
    if (status)
        return status;
    options.name = options.name ? options.name : "";
    options.prefetch = options.prefetch ? options.prefetch : 1;
    status = check_options(queue, &options);
    if (!status)
        *ret_options = options;
    return status;
}

/* One block for all names, and an array that points into it. */
static mls_status copy_names(const mls__allocator *allocator, const mls_worker_options *options,
                             mls_worker *worker)
{
    size_t size = strlen(options->name) + 1;
    for (size_t i = 0; i < options->queue_count; i++)
        size += strlen(options->queues[i]) + 1;
    worker->names = mls__alloc(allocator, size);
    worker->queues = mls__alloc_array(allocator, options->queue_count + 1, sizeof(char *));
    if (!worker->names || !worker->queues)
        return mls__error_nomem(size);
    char *at = worker->names;
    memcpy(at, options->name, strlen(options->name) + 1);
    for (size_t i = 0; i < options->queue_count; i++) {
        at += strlen(at) + 1;
        worker->queues[i] = memcpy(at, options->queues[i], strlen(options->queues[i]) + 1);
    }
    worker->queue_count = options->queue_count;
    return MLS_OK;
}

/* What was given, or what this process may use of the machine. */
static void set_capacity(const mls_queue *queue, const mls_worker_options *options,
                         mls_worker *worker)
{
    static const mls_resources machine = {MLS_CAPACITY_MACHINE, MLS_CAPACITY_MACHINE,
                                          MLS_CAPACITY_MACHINE};
    worker->has_capacity = queue->ops->capabilities & MLS_QUEUE_CAN_RESOURCES;
    worker->patience_ms = options->patience_ms;
    worker->capacity = options->capacity ? *options->capacity : machine;
    fill_capacity(&worker->capacity);
}

static mls_status init_locks(mls_worker *worker)
{
    mls_status status = mls__mutex_init(&worker->mutex);
    if (status)
        return status;
    status = mls__cond_init(&worker->changed);
    if (status)
        pthread_mutex_destroy(&worker->mutex);
    return status;
}

mls_status mls_worker_create(mls_queue *queue, const mls_worker_options *given,
                             mls_worker **ret_worker)
{
    if (!queue || !ret_worker)
        return mls__error_null(__func__, "queue and ret_worker");
    mls_worker_options options;
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = read_options(queue, given, &options);
    if (status)
        return status;
    const mls__allocator *allocator = &queue->context->allocator;
    mls_worker *worker = mls__alloc_array(allocator, 1, sizeof *worker);
    if (!worker)
        return mls__error_nomem(sizeof *worker);
    worker->slot_count = options.slots;
    worker->prefetch = options.prefetch;
    worker->spin_us = options.spin_us;
    set_capacity(queue, &options, worker);
    worker->is_polled = options.flags & MLS_WORKER_POLLED;
    worker->fd = -1;
    mls__vec_init(&worker->handlers, allocator, sizeof(mls_handler));
    status = copy_names(allocator, &options, worker);
    if (!status && worker->is_polled)
        status = mls__poll_create_fd(worker);
    if (!status)
        status = init_locks(worker);
    if (status) {
        mls__poll_close_fd(worker);
        mls__free(allocator, (void *) worker->queues);
        mls__free(allocator, worker->names);
        mls__free(allocator, worker);
        return status;
    }
    worker->queue = queue;
    mls__queue_ref(queue);
    *ret_worker = worker;
    return MLS_OK;
}

static mls_status check_handler(const mls_worker *worker, const mls_handler *handler)
{
    if (!handler->type)
        return mls__error(MLS_EINVAL, "mls_handler.type is NULL; name the job's type");
    const mls_status status = mls__queue_check_name("mls_handler.type", handler->type);
    if (status)
        return status;
    if (!handler->run && !handler->run_batch)
        return mls__error(MLS_EINVAL, "handler '%s' has neither run nor run_batch", handler->type);
    if (handler->batch_max > MLS_BATCH_MAX)
        return mls__error(MLS_EINVAL, "handler '%s': batch_max is %u; at most %d is possible",
                          handler->type, handler->batch_max, MLS_BATCH_MAX);
    if (handler->run_batch)
        return mls__queue_need(worker->queue, MLS_QUEUE_CAN_BATCHES, "mls_handler.run_batch");
    return MLS_OK;
}

static bool has_handler(const mls_worker *worker, const char *type)
{
    for (size_t i = 0; i < worker->handlers.count; i++) {
        const mls_handler *handler = mls__vec_at(&worker->handlers, i);
        if (strcmp(handler->type, type) == 0)
            return true;
    }
    return false;
}

mls_status mls_worker_add_handler(mls_worker *worker, const mls_handler *given)
{
    if (!worker || !given)
        return mls__error_null(__func__, "worker and handler");
    mls_handler handler = MLS_HANDLER_INIT;
    mls_status status =
        mls__options_read("mls_handler", given, sizeof handler, sizeof handler, &handler);
    if (!status)
        status = check_handler(worker, &handler);
    if (status)
        return status;
    if (worker->phase != MLS__WORKER_CREATED)
        return mls__error(MLS_ESTATE, "handler '%s' comes too late: the worker was started",
                          handler.type);
    if (has_handler(worker, handler.type))
        return mls__error(MLS_EEXIST, "type '%s' has a handler already", handler.type);
    handler.batch_max = handler.batch_max ? handler.batch_max : 1;
    const mls__allocator *allocator = &worker->queue->context->allocator;
    char *type = mls__alloc_string(allocator, handler.type);
    mls_handler *kept = type ? mls__vec_push(&worker->handlers) : NULL;
    if (!kept) {
        mls__free(allocator, type);
        return mls__error_nomem(sizeof *kept);
    }
    handler.type = type;
    *kept = handler;
    return MLS_OK;
}

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

static void free_slots(mls_worker *worker)
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

static void set_phase(mls_worker *worker, mls__worker_phase phase)
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
    set_phase(worker, MLS__WORKER_OPENING);
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

static void join_threads(const mls_worker *worker, uint32_t count)
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
        set_phase(worker, MLS__WORKER_RUNNING);
        return MLS_OK;
    }
    set_phase(worker, MLS__WORKER_FAILED);
    join_threads(worker, threads);
    if (worker->is_polled && worker->slots)
        mls__poll_close(worker);
    free_slots(worker);
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
    join_threads(worker, worker->slot_count);
    set_phase(worker, MLS__WORKER_STOPPED);
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
    join_threads(worker, worker->slot_count);
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

void mls_worker_free(mls_worker *worker)
{
    /* In a forked child the threads are gone, and what they held is in no known state. */
    if (!worker || mls__queue_check_fork(worker->queue))
        return;
    if (worker->phase == MLS__WORKER_RUNNING)
        mls_worker_stop(worker, 0, -1);
    mls_queue *queue = worker->queue;
    const mls__allocator *allocator = &queue->context->allocator;
    mls_claimer_close(worker->claimer);
    free_slots(worker);
    for (size_t i = 0; i < worker->handlers.count; i++) {
        const mls_handler *handler = mls__vec_at(&worker->handlers, i);
        mls__free(allocator, (void *) (uintptr_t) handler->type);
    }
    mls__vec_clear(&worker->handlers);
    mls__poll_close_fd(worker);
    mls__cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->mutex);
    mls__free(allocator, (void *) worker->queues);
    mls__free(allocator, worker->names);
    mls__free(allocator, worker);
    mls__queue_unref(queue);
}

mls_status mls_worker_get_stats(const mls_worker *worker, mls_worker_stats *ret_stats)
{
    if (!worker || !ret_stats)
        return mls__error_null(__func__, "worker and ret_stats");
    mls_worker_stats sum = MLS_WORKER_STATS_INIT;
    pthread_mutex_t *mutex = (pthread_mutex_t *) (uintptr_t) &worker->mutex;
    pthread_mutex_lock(mutex); /* a start that fails takes its slots away again */
    for (uint32_t i = 0; worker->slots && i < worker->slot_count; i++) {
        const mls__slot_counts *counts = &worker->slots[i].counts;
        sum.claimed += counts->claimed;
        sum.succeeded += counts->succeeded;
        sum.failed += counts->failed;
        sum.cancelled += counts->cancelled;
        sum.released += counts->released;
        sum.stale += counts->stale;
        sum.batches += counts->batches;
        sum.run_ns += counts->run_ns;
    }
    pthread_mutex_unlock(mutex);
    return mls__options_write("mls_worker_stats", &sum, sizeof sum, sizeof sum, ret_stats);
}
