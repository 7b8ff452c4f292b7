/* SPDX-License-Identifier: Apache-2.0 */
/* The queue driver "sqlite": jobs in a file, durable, shared by processes of one machine. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_RETENTION_MS INT64_C(86400000)
#define MOST_DEATHS          1000000
#define OLDEST_SQLITE        3037002 /* STRICT result codes at open, RETURNING and upserts */

extern const mls_queue_driver mls__queue_driver_sqlite;

static mls_status parse_poison(const char *text, int64_t *ret_deaths)
{
    char *end;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < 1 || value > MOST_DEATHS)
        return mls__error(MLS_EINVAL, "poison is '%.64s'; 1 to %d is possible", text, MOST_DEATHS);
    *ret_deaths = value;
    return MLS_OK;
}

/* What the URL says. */
typedef struct config {
    char *path;
    int64_t deaths;
    bool must_exist;
} config;

/* One of the options behind '?'. */
static mls_status parse_option(const char *option, config *ret_config)
{
    static const char poison[] = "poison=";
    if (strncmp(option, poison, sizeof poison - 1) == 0)
        return parse_poison(option + sizeof poison - 1, &ret_config->deaths);
    ret_config->must_exist = strcmp(option, "init=0") == 0;
    if (ret_config->must_exist || strcmp(option, "init=1") == 0)
        return MLS_OK;
    return mls__error(MLS_EINVAL,
                      "a sqlite queue has no option '%.64s'; there are poison=K, init=1 and init=0",
                      option);
}

/* What follows '?' : options, separated by '&'. */
static mls_status parse_options(const char *at, config *ret_config)
{
    mls_status status = MLS_OK;
    while (!status && *at) {
        char option[96];
        const size_t length = strcspn(at, "&");
        snprintf(option, sizeof option, "%.*s",
                 length < sizeof option ? (int) length : (int) sizeof option - 1, at);
        status = parse_option(option, ret_config);
        at += length;
        at += *at == '&';
    }
    return status;
}

/* What follows "sqlite:": a path, perhaps with options. */
static mls_status parse_config(const mls__allocator *allocator, const char *text,
                               config *ret_config)
{
    const size_t length = strcspn(text, "?");
    if (length == 0)
        return mls__error(MLS_EINVAL, "a sqlite queue needs a file: write \"sqlite:PATH\"");
    *ret_config = (config){.deaths = MLS__SQL_DEFAULT_DEATHS};
    const mls_status status = parse_options(text[length] ? text + length + 1 : "", ret_config);
    if (status)
        return status;
    ret_config->path = mls__alloc_bytes(allocator, text, length);
    return ret_config->path ? MLS_OK : mls__error_nomem(length);
}

/* Counts the pages of the WAL: an sqlite3_wal_hook(). */
static int note_wal(void *user, sqlite3 *db, const char *name, int pages)
{
    mls__sql_store *store = user;
    (void) db;
    (void) name;
    store->wal_pages = pages;
    return SQLITE_OK;
}

static mls_status set_up(mls__sql_store *store)
{
    mls_status status = mls__sql_lock(store);
    if (status)
        return status;
    status = mls__sql_configure(store->db);
    if (!status)
        status = mls__sql_migrate(store->db, mls__sql_migrations, mls__sql_version);
    sqlite3_wal_hook(store->db, note_wal, store);
    mls__sql_unlock(store);
    return status;
}

/* Under the lock, so that the last one to close does not copy while another writes. */
static void disconnect(mls__sql_store *store)
{
    const bool is_locked = mls__sql_lock(store) == MLS_OK;
    mls__sql_disconnect(store);
    if (is_locked)
        mls__sql_unlock(store);
}

static mls_status open_files(mls__sql_store *store, const char *path)
{
    mls_status status =
        mls__sql_connect(path, &store->db, &store->path, &store->context->allocator);
    if (status)
        return status;
    status = mls__sql_lock_open(store);
    if (status)
        mls__sql_disconnect(store);
    return status;
}

static mls_status connect_store(mls__sql_store *store, const char *path)
{
    mls__sql_hold_forks();
    mls_status status = open_files(store, path);
    mls__sql_allow_forks();
    if (status)
        return status;
    status = set_up(store);
    if (status) {
        disconnect(store);
        mls__sql_lock_close(store);
    }
    return status;
}

#define MUTEXES 3

static void list_mutexes(mls__sql_store *store, pthread_mutex_t *mutexes[MUTEXES])
{
    mutexes[0] = &store->holds.mutex;
    mutexes[1] = &store->segments_mutex;
    mutexes[2] = &store->ids_mutex;
}

static mls_status init_mutexes(mls__sql_store *store)
{
    pthread_mutex_t *mutexes[MUTEXES];
    list_mutexes(store, mutexes);
    for (size_t i = 0; i < MUTEXES; i++) {
        const mls_status status = mls__mutex_init(mutexes[i]);
        if (status) {
            while (i--)
                pthread_mutex_destroy(mutexes[i]);
            return status;
        }
    }
    return MLS_OK;
}

static void destroy_mutexes(mls__sql_store *store)
{
    pthread_mutex_t *mutexes[MUTEXES];
    list_mutexes(store, mutexes);
    for (size_t i = 0; i < MUTEXES; i++)
        pthread_mutex_destroy(mutexes[i]);
}

static void free_store(mls__sql_store *store)
{
    const mls__allocator *allocator = &store->context->allocator;
    mls__sql_lanes_free(store);
    mls__sql_costs_free(store);
    mls__vec_clear(&store->runs);
    mls__sql_schedules_free(store);
    mls__kept_rules_free(store->host, &store->kept);
    if (store->segments_fd >= 0)
        close(store->segments_fd);
    mls__free(allocator, store->path);
    mls__free(allocator, store);
}

static mls__sql_store *create_store(const mls_plugin_host *host)
{
    mls__sql_store *store = mls__alloc_array(&host->context->allocator, 1, sizeof *store);
    if (!store)
        return NULL;
    store->context = host->context;
    mls__vec_init(&store->runs, &host->context->allocator, sizeof(mls_queue_run));
    store->host = host;
    store->segments_fd = -1;
    store->sync_level = -1;
    store->parked_until_ns = MLS__FOREVER;
    mls__sql_list *const lists[] = {&store->claims, &store->fillers, &store->waits, &store->drains,
                                    &store->retries};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        mls__sql_list_init(lists[i]);
    return store;
}

static mls_status open_at(mls__sql_store *store, const config *wanted)
{
    if (wanted->must_exist && access(wanted->path, F_OK) != 0)
        return mls__error(MLS_ENOTFOUND,
                          "there is no file '%s'; 'mlscale queue init', or init=1, makes one",
                          wanted->path);
    mls_status status = init_mutexes(store);
    if (status)
        return status;
    status = connect_store(store, wanted->path);
    if (status)
        destroy_mutexes(store);
    return status;
}

static mls_status open_store(const mls_plugin_host *host, const char *text, void **ret_self)
{
    const mls__allocator *allocator = &host->context->allocator;
    config wanted;
    if (sqlite3_libversion_number() < OLDEST_SQLITE || sodium_init() < 0)
        return mls__error(MLS_EUNSUPPORTED,
                          "SQLite %s is too old; 3.37.2 is needed, with libsodium",
                          sqlite3_libversion());
    mls_status status = parse_config(allocator, text, &wanted);
    if (status)
        return status;
    mls__sql_store *store = create_store(host);
    status = store ? open_at(store, &wanted) : mls__error_nomem(sizeof *store);
    mls__free(allocator, wanted.path);
    if (status) {
        if (store)
            free_store(store);
        return status;
    }
    store->most_deaths = wanted.deaths;
    *ret_self = store;
    return MLS_OK;
}

static mls_status bind_store(void *self, const mls_queue_host *rules)
{
    mls__sql_store *store = self;
    store->rules = rules;
    mls_status status = mls__sql_join(store);
    if (!status)
        status = mls__sql_committer_start(store);
    if (!status)
        store->is_running = true;
    else if (store->member)
        mls__sql_leave(store);
    return status;
}

/* Nobody uses the queue any more: no handle, no claimer, no call. */
static void close_store(void *self)
{
    mls__sql_store *store = self;
    if (store->is_running) {
        mls__sql_committer_stop(store);
        mls__sql_leave(store);
        if (mls__sql_lock(store) == MLS_OK) {
            mls__sql_checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE); /* else the WAL stays */
            mls__sql_unlock(store);
        }
    }
    disconnect(store);
    mls__sql_lock_close(store);
    destroy_mutexes(store);
    free_store(store);
}

const mls_queue_driver mls__queue_driver_sqlite = {
    .plugin = {sizeof(mls_queue_driver), MLS_PLUGIN_ABI, MLS_PLUGIN_QUEUE_DRIVER, "sqlite",
               open_store, close_store},
    .capabilities = MLS_QUEUE_CAN_ACK_ASYNC | MLS_QUEUE_CAN_ACK_DURABLE | MLS_QUEUE_CAN_SHARE |
                    MLS_QUEUE_CAN_PRIORITIES | MLS_QUEUE_CAN_SCHEDULES | MLS_QUEUE_CAN_RETRIES |
                    MLS_QUEUE_CAN_KEYS | MLS_QUEUE_CAN_DEADLINES | MLS_QUEUE_CAN_CANCEL |
                    MLS_QUEUE_CAN_PROGRESS | MLS_QUEUE_CAN_BATCHES | MLS_QUEUE_CAN_NAMED_QUEUES |
                    MLS_QUEUE_CAN_DEPENDENCIES | MLS_QUEUE_CAN_LIMITS | MLS_QUEUE_CAN_PAUSE |
                    MLS_QUEUE_CAN_LEASES | MLS_QUEUE_CAN_FAIRNESS | MLS_QUEUE_CAN_LIST |
                    MLS_QUEUE_CAN_RESOURCES | MLS_QUEUE_CAN_CRON,
    .retention_ms = DEFAULT_RETENTION_MS,
    .bind = bind_store,
    .submit = mls__sql_submit,
    .claimer_open = mls__sql_claimer_open,
    .claimer_stop = mls__sql_claimer_stop,
    .claimer_surrender = mls__sql_claimer_surrender,
    .claimer_close = mls__sql_claimer_close,
    .claim = mls__sql_claim,
    .finish = mls__sql_finish,
    .signals = mls__sql_signals,
    .progress = mls__sql_progress,
    .drop = mls__sql_drop,
    .get = mls__sql_get,
    .wait = mls__sql_wait,
    .change = mls__sql_change,
    .drain = mls__sql_drain,
    .stats = mls__sql_stats,
    .list = mls__sql_list_jobs,
    .set_rule = mls__sql_set_rule,
    .visit_rules = mls__sql_visit_rules,
    .visit_offers = mls__sql_visit_offers,
    .visit_costs = mls__sql_visit_costs,
    .set_schedule = mls__sql_set_schedule,
    .remove_schedule = mls__sql_remove_schedule,
    .visit_schedules = mls__sql_visit_schedules,
    .claimer_pool = mls__sql_claimer_pool,
};
