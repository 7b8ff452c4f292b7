/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service is a line of crews: a set of types and a worker over them. To change the types
 * is to start a new crew and to retire the one before it, which ends what it runs.
 */
#include "job_types/types.h"

#include "base/clock.h"
#include "base/context.h"
#include "base/error.h"
#include "base/options.h"
#include "job/worker.h"

#include <mlscale/service.h>

#include <stdatomic.h>
#include <string.h>

typedef struct crew crew;
struct crew {
    crew *older;
    mls_job_types *types;
    mls_worker *worker;
};

struct mls_service {
    mls_queue *queue;
    char *name;
    uint32_t slots;
    bool has_capacity;
    mls_resources capacity;
    mls_job_types_options handlers;
    atomic_bool is_stopped;

    pthread_mutex_t mutex; /* guards what follows against mls_service_get_stats(); a leaf */
    crew *crews;           /* the present one first */
    mls_worker_stats sums; /* of crews that are gone */
};

static const mls__allocator *allocator_of(const mls_service *service)
{
    return &service->queue->context->allocator;
}

/* --- crews --- */

/* The named queues of all types, each once. */
static size_t collect_queues(const mls_job_types *types, const char **ret_queues)
{
    size_t count = 0;
    for (size_t i = 0; i < types->count; i++) {
        const char *queue = types->items[i].queue ? types->items[i].queue : "default";
        size_t at = 0;
        while (at < count && strcmp(ret_queues[at], queue) != 0)
            at++;
        ret_queues[at] = queue;
        count += at == count;
    }
    return count;
}

static mls_status create_worker(const mls_service *service, const mls_job_types *types,
                                mls_worker **ret_worker)
{
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    const char **queues = mls__alloc_array(allocator_of(service), types->count, sizeof *queues);
    if (!queues)
        return mls__error_nomem(types->count * sizeof *queues);
    options.name = service->name;
    options.slots = service->slots;
    options.capacity = service->has_capacity ? &service->capacity : NULL;
    options.queue_count = collect_queues(types, queues);
    options.queues = queues;
    /* Drivers without named queues have the one. */
    if (options.queue_count == 1 && strcmp(queues[0], "default") == 0 &&
        !(mls_queue_capabilities(service->queue) & MLS_QUEUE_CAN_NAMED_QUEUES))
        options.queue_count = 0;
    const mls_status status = mls_worker_create(service->queue, &options, ret_worker);
    mls__free(allocator_of(service), (void *) queues);
    return status;
}

/*
 * Starts a crew, which has the service's capacity together with the one `before` it (NULL: none).
 * The types are its own from then on, unless it fails.
 */
static mls_status start_crew(const mls_service *service, mls_job_types *types, const crew *before,
                             crew **ret_crew)
{
    crew *c = mls__alloc_array(allocator_of(service), 1, sizeof *c);
    if (!c)
        return mls__error_nomem(sizeof *c);
    mls_status status = create_worker(service, types, &c->worker);
    if (!status)
        status = mls_worker_add_types(c->worker, types, &service->handlers);
    if (!status && before)
        mls__worker_pool(c->worker, before->worker);
    if (!status)
        status = mls_worker_start(c->worker);
    if (status) {
        mls_worker_free(c->worker);
        mls__free(allocator_of(service), c);
        return status;
    }
    c->types = types;
    *ret_crew = c;
    return MLS_OK;
}

static void add_stats(const mls_worker *worker, mls_worker_stats *sums)
{
    mls_worker_stats stats = MLS_WORKER_STATS_INIT;
    mls_worker_get_stats(worker, &stats);
    sums->claimed += stats.claimed;
    sums->succeeded += stats.succeeded;
    sums->failed += stats.failed;
    sums->cancelled += stats.cancelled;
    sums->released += stats.released;
    sums->stale += stats.stale;
    sums->batches += stats.batches;
    sums->run_ns += stats.run_ns;
}

static void free_crew(mls_service *service, crew *c)
{
    mls_worker_free(c->worker);
    mls_job_types_free(c->types);
    mls__free(allocator_of(service), c);
}

/* Frees the crews of which nothing runs any more, but for the present one. */
static void drop_finished(mls_service *service)
{
    crew **link = &service->crews->older;
    while (*link) {
        crew *c = *link;
        if (!mls__worker_has_left(c->worker)) {
            link = &c->older;
            continue;
        }
        mls_worker_stop(c->worker, 0, -1); /* now that counts of its last ends are in */
        pthread_mutex_lock(&service->mutex);
        add_stats(c->worker, &service->sums);
        *link = c->older;
        pthread_mutex_unlock(&service->mutex);
        free_crew(service, c);
    }
}

/* --- from outside --- */

static mls_status read_options(const mls_service_options *given, mls_service_options *ret_options)
{
    mls_service_options options = MLS_SERVICE_OPTIONS_INIT;
    const mls_status status =
        mls__options_read("mls_service_options", given, sizeof options, sizeof options, &options);
    if (status)
        return status;
    if (options.reserved)
        return mls__error(MLS_EINVAL, "mls_service_options.reserved is %u; it must be 0",
                          options.reserved);
    *ret_options = options;
    return MLS_OK;
}

static mls_status create_service(mls_queue *queue, const mls_service_options *options,
                                 mls_service **ret_service)
{
    const mls__allocator *allocator = &queue->context->allocator;
    mls_service *service = mls__alloc_array(allocator, 1, sizeof *service);
    char *name = mls__alloc_string(allocator, options->name ? options->name : "");
    mls_status status = service && name ? MLS_OK : mls__error_nomem(sizeof *service);
    if (!status)
        status = mls__mutex_init(&service->mutex);
    if (status) {
        mls__free(allocator, name);
        mls__free(allocator, service);
        return status;
    }
    service->queue = queue;
    service->name = name;
    service->slots = options->slots;
    service->has_capacity = options->capacity != NULL;
    if (options->capacity)
        service->capacity = *options->capacity;
    service->handlers = (mls_job_types_options) MLS_JOB_TYPES_OPTIONS_INIT;
    service->handlers.handlers = options->handlers;
    service->handlers.handler_count = options->handler_count;
    mls__queue_ref(queue);
    *ret_service = service;
    return MLS_OK;
}

static void destroy_service(mls_service *service)
{
    mls_queue *queue = service->queue;
    const mls__allocator *allocator = allocator_of(service);
    pthread_mutex_destroy(&service->mutex);
    mls__free(allocator, service->name);
    mls__free(allocator, service);
    mls__queue_unref(queue);
}

mls_status mls_service_start(mls_queue *queue, mls_job_types *types,
                             const mls_service_options *given, mls_service **ret_service)
{
    if (!queue || !types || !ret_service)
        return mls__error_null(__func__, "queue, types and ret_service");
    mls_service_options options;
    mls_service *service;
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = read_options(given, &options);
    if (!status)
        status = create_service(queue, &options, &service);
    if (status)
        return status;
    status = start_crew(service, types, NULL, &service->crews);
    if (status) {
        destroy_service(service);
        return status;
    }
    *ret_service = service;
    return MLS_OK;
}

mls_status mls_service_reload(mls_service *service, mls_job_types *types)
{
    if (!service || !types)
        return mls__error_null(__func__, "service and types");
    if (service->is_stopped)
        return mls__error(MLS_ESTATE, "the service was stopped");
    crew *next, *before = service->crews;
    mls_status status = mls__queue_check_fork(service->queue);
    if (!status)
        status = start_crew(service, types, before, &next);
    if (status)
        return status;
    pthread_mutex_lock(&service->mutex);
    next->older = before;
    service->crews = next;
    pthread_mutex_unlock(&service->mutex);
    mls__worker_retire(before->worker);
    drop_finished(service);
    return MLS_OK;
}

/* What is left of the time; -1: no bound. */
static int64_t left_ms(int64_t timeout_ms, uint64_t begin_ns)
{
    const int64_t gone_ms = (int64_t) ((mls__clock_monotonic_ns() - begin_ns) / 1000000);
    if (timeout_ms < 0)
        return -1;
    return timeout_ms > gone_ms ? timeout_ms - gone_ms : 0;
}

mls_status mls_service_stop(mls_service *service, uint32_t flags, int64_t timeout_ms)
{
    if (!service)
        return mls__error_null(__func__, "service");
    const uint64_t begin_ns = mls__clock_monotonic_ns();
    mls_status status = mls_worker_stop(service->crews->worker, flags, timeout_ms);
    if (status && status != MLS_ETIMEDOUT)
        return status;
    service->is_stopped = true;
    for (crew *c = service->crews->older; c; c = c->older)
        if (mls_worker_stop(c->worker, 0, left_ms(timeout_ms, begin_ns)) == MLS_ETIMEDOUT)
            status = MLS_ETIMEDOUT;
    return status;
}

void mls_service_free(mls_service *service)
{
    if (!service || mls__queue_check_fork(service->queue))
        return;
    mls_service_stop(service, 0, -1);
    for (crew *c = service->crews, *older; c; c = older) {
        older = c->older;
        free_crew(service, c);
    }
    destroy_service(service);
}

mls_status mls_service_get_stats(const mls_service *service, mls_worker_stats *ret_stats)
{
    if (!service || !ret_stats)
        return mls__error_null(__func__, "service and ret_stats");
    pthread_mutex_t *mutex = (pthread_mutex_t *) (uintptr_t) &service->mutex;
    pthread_mutex_lock(mutex);
    mls_worker_stats sums = service->sums;
    sums.size = sizeof sums;
    for (const crew *c = service->crews; c; c = c->older)
        add_stats(c->worker, &sums);
    pthread_mutex_unlock(mutex);
    return mls__options_write("mls_worker_stats", &sums, sizeof sums, sizeof sums, ret_stats);
}
