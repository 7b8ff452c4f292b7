/* SPDX-License-Identifier: Apache-2.0 */
/* The queue driver "memory": jobs in this process, bounded, gone with it. */
#include "queue/memory/memory.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_CAPACITY     65536
#define DEFAULT_RETENTION_MS 60000

extern const mls_queue_driver mls__queue_driver_memory;

static mls_status parse_capacity(const char *text, size_t length, uint32_t *ret_capacity)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || value > MLS__MEM_MAX_CAPACITY)
            return mls__error(MLS_EINVAL, "capacity '%.*s' is not a number up to %u",
                              length > 64 ? 64 : (int) length, text, MLS__MEM_MAX_CAPACITY);
        value = value * 10 + (uint64_t) (text[i] - '0');
    }
    if (value < 1 || value > MLS__MEM_MAX_CAPACITY)
        return mls__error(MLS_EINVAL, "capacity is %llu; 1 to %u is possible",
                          (unsigned long long) value, MLS__MEM_MAX_CAPACITY);
    *ret_capacity = (uint32_t) value;
    return MLS_OK;
}

/* What follows "memory:": nothing, or "?capacity=N". */
static mls_status parse_config(const char *config, uint32_t *ret_capacity)
{
    static const char name[] = "capacity=";
    uint32_t capacity = DEFAULT_CAPACITY;
    if (*config && *config != '?')
        return mls__error(MLS_EINVAL, "a memory queue has no path; write \"memory:\" or "
                                      "\"memory:?capacity=N\"");
    const char *at = *config ? config + 1 : config;
    while (*at) {
        const size_t length = strcspn(at, "&");
        if (strncmp(at, name, sizeof name - 1) != 0)
            return mls__error(MLS_EINVAL,
                              "a memory queue has no option '%.64s'; capacity=N is "
                              "the only one",
                              at);
        const mls_status status =
            parse_capacity(at + sizeof name - 1, length - (sizeof name - 1), &capacity);
        if (status)
            return status;
        at += length;
        at += *at == '&';
    }
    *ret_capacity = capacity;
    return MLS_OK;
}

static mls_status init_conds(mls__cond **conds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_status status = mls__cond_init(conds[i]);
        if (status) {
            while (i--)
                mls__cond_destroy(conds[i]);
            return status;
        }
    }
    return MLS_OK;
}

#define CONDS (2 + MLS__MEM_WAIT_CONDS)

static void list_conds(mls__mem_store *store, mls__cond *conds[CONDS])
{
    conds[0] = &store->room;
    conds[1] = &store->drained;
    for (size_t i = 0; i < MLS__MEM_WAIT_CONDS; i++)
        conds[2 + i] = &store->ended[i];
}

static mls_status init_locks(mls__mem_store *store)
{
    mls__cond *conds[CONDS];
    list_conds(store, conds);
    mls_status status = mls__mutex_init(&store->mutex);
    if (status)
        return status;
    status = init_conds(conds, CONDS);
    if (!status) {
        status = mls__mutex_init(&store->shares_mutex);
        if (status)
            for (size_t i = 0; i < CONDS; i++)
                mls__cond_destroy(conds[i]);
    }
    if (status)
        pthread_mutex_destroy(&store->mutex);
    return status;
}

static void free_memory(mls__mem_store *store)
{
    const mls__allocator *allocator = &store->context->allocator;
    mls__mem_shares_free(store);
    mls__mem_keys_free(store);
    mls__mem_costs_free(store);
    mls__vec_clear(&store->runs);
    mls__free(allocator, store->chunks);
    mls__free(allocator, store);
}

static mls_status open_store(const mls_plugin_host *host, const char *config, void **ret_self)
{
    uint32_t capacity;
    mls_status status = parse_config(config, &capacity);
    if (status)
        return status;
    const mls__allocator *allocator = &host->context->allocator;
    mls__mem_store *store = mls__alloc_array(allocator, 1, sizeof *store);
    if (!store)
        return mls__error_nomem(sizeof *store);
    store->context = host->context;
    store->host = host;
    store->capacity = capacity;
    mls__vec_init(&store->runs, allocator, sizeof(mls_queue_run));
    mls__mem_windows_create(store);
    const size_t chunks = (capacity + MLS__MEM_CHUNK - 1) / MLS__MEM_CHUNK;
    store->chunks = mls__alloc_array(allocator, chunks, sizeof store->chunks[0]);
    status = store->chunks ? mls__mem_keys_create(store) : mls__error_nomem(chunks);
    if (!status)
        status = mls__mem_shares_create(store);
    if (!status)
        status = init_locks(store);
    if (status) {
        free_memory(store);
        return status;
    }
    *ret_self = store;
    return MLS_OK;
}

static mls_status bind_store(void *self, const mls_queue_host *rules)
{
    mls__mem_store *store = self;
    store->rules = rules;
    return MLS_OK;
}

/* Nobody uses the queue any more: no handle, no claimer, no call. */
static void close_store(void *self)
{
    mls__mem_store *store = self;
    const mls__allocator *allocator = &store->context->allocator;
    mls__cond *conds[CONDS];
    mls__mem_visit visit;
    mls__mem_enter(store, &visit); /* what lies in the inbox owns memory too */
    mls__mem_leave(&visit);
    for (uint32_t i = 0; i < store->created; i++) {
        mls__mem_job *job = mls__mem_at(store, i);
        if (job->owner)
            mls__mem_claimer_unref(store, job->owner);
        mls__mem_empty(store, job);
    }
    for (uint32_t i = 0; i < store->created; i += MLS__MEM_CHUNK)
        mls__free(allocator, mls__mem_at(store, i));
    for (uint32_t i = 0; i < store->lane_count; i++)
        mls__free(allocator, store->lanes[i]);
    mls__mem_rules_free(store);
    mls__mem_schedules_free(store);
    list_conds(store, conds);
    for (size_t i = 0; i < CONDS; i++)
        mls__cond_destroy(conds[i]);
    pthread_mutex_destroy(&store->mutex);
    pthread_mutex_destroy(&store->shares_mutex);
    free_memory(store);
}

const mls_queue_driver mls__queue_driver_memory = {
    .plugin = {sizeof(mls_queue_driver), MLS_PLUGIN_ABI, MLS_PLUGIN_QUEUE_DRIVER, "memory",
               open_store, close_store},
    .capabilities = MLS_QUEUE_CAN_PRIORITIES | MLS_QUEUE_CAN_SCHEDULES | MLS_QUEUE_CAN_RETRIES |
                    MLS_QUEUE_CAN_KEYS | MLS_QUEUE_CAN_DEADLINES | MLS_QUEUE_CAN_CANCEL |
                    MLS_QUEUE_CAN_PROGRESS | MLS_QUEUE_CAN_BATCHES | MLS_QUEUE_CAN_NAMED_QUEUES |
                    MLS_QUEUE_CAN_DEPENDENCIES | MLS_QUEUE_CAN_LIMITS | MLS_QUEUE_CAN_PAUSE |
                    MLS_QUEUE_CAN_FAIRNESS | MLS_QUEUE_CAN_LIST | MLS_QUEUE_CAN_RESOURCES |
                    MLS_QUEUE_CAN_CRON,
    .retention_ms = DEFAULT_RETENTION_MS,
    .bind = bind_store,
    .submit = mls__mem_submit,
    .claimer_open = mls__mem_claimer_open,
    .claimer_stop = mls__mem_claimer_stop,
    .claimer_surrender = mls__mem_claimer_surrender,
    .claimer_close = mls__mem_claimer_close,
    .claim = mls__mem_claim,
    .finish = mls__mem_finish,
    .signals = mls__mem_signals,
    .progress = mls__mem_progress,
    .drop = mls__mem_drop,
    .get = mls__mem_get,
    .wait = mls__mem_wait,
    .change = mls__mem_change,
    .drain = mls__mem_drain,
    .stats = mls__mem_stats,
    .list = mls__mem_list_jobs,
    .set_rule = mls__mem_set_rule,
    .visit_rules = mls__mem_visit_rules,
    .visit_offers = mls__mem_visit_offers,
    .visit_costs = mls__mem_visit_costs,
    .set_schedule = mls__mem_set_schedule,
    .remove_schedule = mls__mem_remove_schedule,
    .visit_schedules = mls__mem_visit_schedules,
    .claimer_pool = mls__mem_claimer_pool,
};
