/* SPDX-License-Identifier: Apache-2.0 */
/* Workers from outside: made, given handlers, counted, freed. */
#include "job/worker.h"

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
    mls__worker_free_slots(worker);
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
