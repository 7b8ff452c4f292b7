/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's table, opening and closing, and the one symbol of the module. */
#include "queue/postgres/postgres.h"

#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_RETENTION_MS INT64_C(86400000)
#define MOST_CLASHES         8                     /* of what makes the schema with others */
#define MAX_PAYLOAD_BYTES    (UINT64_C(256) << 20) /* a row's bound is 1 GiB, escapes and all */

void *mls__pg_alloc(mls__pg_store *store, size_t size)
{
    void *ptr = store->host->alloc(store->host->context, size);
    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

void mls__pg_free(mls__pg_store *store, void *ptr)
{
    if (ptr)
        store->host->free(store->host->context, ptr);
}

uint64_t mls__pg_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

static void free_store(mls__pg_store *store)
{
    if (store->connection)
        mls__pg_disconnect(store);
    mls__pg_lanes_free(store);
    mls__pg_costs_free(store);
    mls__pg_submit_forget(store);
    mls__kept_rules_free(store->host, &store->kept);
    mls__schedule_pauses_free(store->host, &store->pauses);
    mls__pg_forget_away(store);
    mls__pg_returns_free(store);
    if (store->wake_fd >= 0)
        close(store->wake_fd);
    pthread_mutex_destroy(&store->holds.mutex);
    pthread_mutex_destroy(&store->mutex);
    mls__pg_free(store, store->url);
    mls__pg_free(store, store);
}

static mls__pg_store *create_store(const mls_plugin_host *host)
{
    mls__pg_store *store = host->alloc(host->context, sizeof *store);
    if (!store)
        return NULL;
    memset(store, 0, sizeof *store);
    store->host = host;
    store->parked_until_ns = MLS__PG_FOREVER;
    store->next_timer_us = 1; /* not known: to be looked for */
    mls__pg_list *const lists[] = {&store->inbox, &store->queue,  &store->claims, &store->fillers,
                                   &store->waits, &store->drains, &store->returns};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        mls__pg_list_init(lists[i]);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_mutex_init(&store->holds.mutex, NULL);
    store->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return store;
}

/* The schema is made, or refused, in a transaction of its own. */
static mls_status try_schema(mls__pg_store *store)
{
    if (mls__pg_begin(store, MLS__PG_BARE))
        return store->txn.status;
    if (!mls__pg_schema_open(store))
        mls__pg_commit(store);
    else
        mls__pg_rollback(store);
    return store->txn.status;
}

/* On the first connection. Those who use an older schema meanwhile may clash with what changes. */
static mls_status open_schema(mls__pg_store *store)
{
    mls_status status = mls__pg_connect(store);
    if (status)
        return status;
    status = try_schema(store);
    for (int i = 0; i < MOST_CLASHES && status && store->txn.failure == MLS__PG_CLASHED; i++)
        status = try_schema(store);
    return status;
}

static mls_status open_store(const mls_plugin_host *host, const char *config, void **ret_self)
{
    mls__pg_store *store = create_store(host);
    if (!store || store->wake_fd < 0) {
        if (store)
            free_store(store);
        return host->error(MLS_ENOMEM, "no memory or file descriptor for a queue");
    }
    mls_status status = mls__pg_read_url(store, config);
    if (!status && open_schema(store))
        status = host->error(store->txn.status, "%s", store->txn.message);
    if (status) {
        free_store(store);
        return status;
    }
    *ret_self = store;
    return MLS_OK;
}

static mls_status bind_store(void *self, const mls_queue_host *rules)
{
    mls__pg_store *store = self;
    store->rules = rules;
    mls_status status = mls__pg_join(store);
    if (!status)
        status = mls__pg_committer_start(store);
    store->is_running = !status;
    return status;
}

/* Nobody uses the queue any more: no handle, no claimer, no call. */
static void close_store(void *self)
{
    mls__pg_store *store = self;
    if (store->is_running)
        mls__pg_committer_stop(store);
    if (store->member && store->connection)
        mls__pg_leave(store);
    free_store(store);
}

static const mls_queue_driver driver = {
    .plugin = {sizeof(mls_queue_driver), MLS_PLUGIN_ABI, MLS_PLUGIN_QUEUE_DRIVER, "postgres",
               open_store, close_store},
    .capabilities = MLS_QUEUE_CAN_ACK_ASYNC | MLS_QUEUE_CAN_ACK_DURABLE | MLS_QUEUE_CAN_SHARE |
                    MLS_QUEUE_CAN_PRIORITIES | MLS_QUEUE_CAN_SCHEDULES | MLS_QUEUE_CAN_RETRIES |
                    MLS_QUEUE_CAN_KEYS | MLS_QUEUE_CAN_DEADLINES | MLS_QUEUE_CAN_CANCEL |
                    MLS_QUEUE_CAN_PROGRESS | MLS_QUEUE_CAN_BATCHES | MLS_QUEUE_CAN_NAMED_QUEUES |
                    MLS_QUEUE_CAN_LEASES | MLS_QUEUE_CAN_LIST | MLS_QUEUE_CAN_DEPENDENCIES |
                    MLS_QUEUE_CAN_PAUSE | MLS_QUEUE_CAN_LIMITS | MLS_QUEUE_CAN_FAIRNESS |
                    MLS_QUEUE_CAN_CRON | MLS_QUEUE_CAN_RESOURCES,
    .max_payload_bytes = MAX_PAYLOAD_BYTES,
    .retention_ms = DEFAULT_RETENTION_MS,
    .bind = bind_store,
    .submit = mls__pg_submit,
    .claimer_open = mls__pg_claimer_open,
    .claimer_stop = mls__pg_claimer_stop,
    .claimer_surrender = mls__pg_claimer_surrender,
    .claimer_close = mls__pg_claimer_close,
    .claim = mls__pg_claim,
    .finish = mls__pg_finish,
    .signals = mls__pg_signals,
    .progress = mls__pg_progress,
    .drop = mls__pg_drop,
    .get = mls__pg_get,
    .wait = mls__pg_wait,
    .change = mls__pg_change,
    .drain = mls__pg_drain,
    .stats = mls__pg_stats,
    .list = mls__pg_list_ids,
    .set_rule = mls__pg_set_rule,
    .visit_rules = mls__pg_visit_rules,
    .visit_offers = mls__pg_visit_offers,
    .claimer_pool = mls__pg_claimer_pool,
    .visit_costs = mls__pg_visit_costs,
    .set_schedule = mls__pg_set_schedule,
    .remove_schedule = mls__pg_remove_schedule,
    .visit_schedules = mls__pg_visit_schedules,
};

MLS_API const mls_plugin *const *mls_plugin_entry(void);

const mls_plugin *const *mls_plugin_entry(void)
{
    static const mls_plugin *const plugins[] = {&driver.plugin, NULL};
    return plugins;
}
