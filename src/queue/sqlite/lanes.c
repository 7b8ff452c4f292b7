/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: queue, type and needs, and what is counted of each. They are few, so the
 * committer keeps those it met. Counts are summed up in memory and added to the file
 * once a transaction, in it.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

/* FNV-1a: names are few, and their number is bounded. */
static uint32_t hash_name(uint32_t hash, const char *name)
{
    for (; *name; name++)
        hash = (hash ^ (unsigned char) *name) * UINT32_C(16777619);
    return hash;
}

static mls__sql_lane **bucket_of(mls__sql_store *store, const char *queue, const char *type)
{
    const uint32_t hash =
        hash_name(hash_name(UINT32_C(2166136261), queue) * UINT32_C(16777619), type);
    return &store->lanes[hash % MLS__SQL_BUCKETS];
}

static bool make_room(mls__sql_store *store, int64_t id)
{
    const mls__allocator *allocator = &store->context->allocator;
    if (id < (int64_t) store->lanes_by_id_count)
        return true;
    size_t count = store->lanes_by_id_count ? store->lanes_by_id_count : 64;
    while ((int64_t) count <= id)
        count *= 2;
    mls__sql_lane **lanes = mls__alloc_array(allocator, count, sizeof(mls__sql_lane *));
    if (!lanes)
        return false;
    if (store->lanes_by_id_count)
        memcpy(lanes, store->lanes_by_id, store->lanes_by_id_count * sizeof(mls__sql_lane *));
    mls__free(allocator, store->lanes_by_id);
    store->lanes_by_id = lanes;
    store->lanes_by_id_count = count;
    return true;
}

/* Keeps a lane that is in the file; NULL: the transaction failed. */
static mls__sql_lane *keep_lane(mls__sql_store *store, int64_t id, const char *queue,
                                const char *type, const char *tenant, bool is_keyed,
                                const mls_resources *needs)
{
    const size_t queue_size = strlen(queue) + 1, type_size = strlen(type) + 1;
    const size_t tenant_size = strlen(tenant) + 1;
    const size_t size = sizeof(mls__sql_lane) + queue_size + type_size + tenant_size;
    mls__sql_lane *lane = NULL;
    if (id > 0 && id <= MLS__SQL_MOST_LANES && make_room(store, id))
        lane = mls__alloc_array(&store->context->allocator, 1, size);
    if (!lane) {
        mls__sql_fail(store, mls__error_nomem(size));
        return NULL;
    }
    lane->id = id;
    lane->is_keyed = is_keyed;
    lane->needs = *needs;
    memcpy(lane->names, queue, queue_size);
    lane->type = memcpy(lane->names + queue_size, type, type_size);
    lane->tenant = memcpy(lane->names + queue_size + type_size, tenant, tenant_size);
    lane->cost = mls__sql_cost_of(store, type, needs->memory_bytes);
    if (!lane->cost)
        mls__sql_fail(store, mls__error_nomem(size));
    if (!lane->cost || !mls__sql_cost_know(store, lane->cost)) {
        mls__free(&store->context->allocator, lane);
        return NULL;
    }
    mls__sql_lane_weigh(store, lane);
    mls__sql_lane **bucket = bucket_of(store, queue, type);
    lane->next = *bucket;
    *bucket = lane;
    store->lanes_by_id[id] = lane;
    return lane;
}

static sqlite3_stmt *bind_names(mls__sql_store *store, int statement, const char *queue,
                                const char *type, const char *tenant, bool is_keyed,
                                const mls_resources *needs)
{
    sqlite3_stmt *bound = mls__sql_prepare(store, statement);
    if (!bound)
        return NULL;
    sqlite3_bind_text(bound, 1, queue, -1, SQLITE_STATIC);
    sqlite3_bind_text(bound, 2, type, -1, SQLITE_STATIC);
    sqlite3_bind_int(bound, 3, is_keyed);
    sqlite3_bind_text(bound, 4, tenant, -1, SQLITE_STATIC);
    sqlite3_bind_int64(bound, 5, needs->cpu_milli);
    sqlite3_bind_int64(bound, 6, needs->memory_bytes);
    sqlite3_bind_int64(bound, 7, needs->gpus);
    return bound;
}

/* The id of the lane in the file, which is added if it is not there; 0: failed. */
static int64_t find_or_add(mls__sql_store *store, const char *queue, const char *type,
                           const char *tenant, bool is_keyed, const mls_resources *needs)
{
    sqlite3_stmt *find =
        bind_names(store, MLS__SQL_LANE_FIND, queue, type, tenant, is_keyed, needs);
    const int code = find ? mls__sql_step(store, find) : SQLITE_ERROR;
    if (code == SQLITE_ROW) {
        const int64_t id = sqlite3_column_int64(find, 0);
        sqlite3_reset(find);
        if (id < 1)
            mls__sql_fail(store, mls__error(MLS_EFORMAT,
                                            "the queue's file is damaged: it has a "
                                            "lane %lld",
                                            (long long) id));
        return id < 1 ? 0 : id;
    }
    if (code != SQLITE_DONE)
        return 0;
    if (!mls__sql_run(store,
                      bind_names(store, MLS__SQL_LANE_ADD, queue, type, tenant, is_keyed, needs)))
        return 0;
    return sqlite3_last_insert_rowid(store->db);
}

static bool is_same(const mls_resources *a, const mls_resources *b)
{
    return a->cpu_milli == b->cpu_milli && a->memory_bytes == b->memory_bytes && a->gpus == b->gpus;
}

mls_status mls__sql_lane_make(mls__sql_store *store, const char *queue, const char *type,
                              const char *tenant, bool is_keyed, const mls_resources *needs,
                              mls__sql_lane **ret_lane)
{
    tenant = mls__sql_is_named(store, queue, type, tenant) ? tenant : "";
    mls__sql_lane *lane = *bucket_of(store, queue, type);
    while (lane && (lane->is_keyed != is_keyed || strcmp(lane->type, type) != 0 ||
                    strcmp(lane->names, queue) != 0 || strcmp(lane->tenant, tenant) != 0 ||
                    !is_same(&lane->needs, needs)))
        lane = lane->next;
    if (!lane) {
        const int64_t id = find_or_add(store, queue, type, tenant, is_keyed, needs);
        if (id > MLS__SQL_MOST_LANES)
            return mls__sql_fail(store, mls__error(MLS_ELIMIT,
                                                   "a queue's file holds at most %d types, "
                                                   "counted for each named queue, and again for "
                                                   "each tenant that a limit names and for what "
                                                   "their jobs need",
                                                   MLS__SQL_MOST_LANES));
        lane = id ? keep_lane(store, id, queue, type, tenant, is_keyed, needs) : NULL;
    }
    *ret_lane = lane;
    return lane ? MLS_OK : store->txn.status;
}

/* The file may be damaged: then it is more than anyone has, and sums of it cannot overflow. */
static int64_t read_need(sqlite3_stmt *load, int column)
{
    const int64_t need = sqlite3_column_int64(load, column);
    return need < 0 || need > MLS_MEMORY_BYTES_MAX ? MLS_MEMORY_BYTES_MAX : need;
}

mls__sql_lane *mls__sql_lane_of(mls__sql_store *store, int64_t id)
{
    if (id >= 0 && id < (int64_t) store->lanes_by_id_count && store->lanes_by_id[id])
        return store->lanes_by_id[id];
    sqlite3_stmt *load = mls__sql_prepare(store, MLS__SQL_LANE_LOAD);
    if (!load)
        return NULL;
    const bool is_possible = id > 0 && id <= MLS__SQL_MOST_LANES;
    sqlite3_bind_int64(load, 1, is_possible ? id : 0); /* none has that */
    const int code = mls__sql_step(store, load);
    if (code != SQLITE_ROW || !is_possible) {
        if (code == SQLITE_DONE || code == SQLITE_ROW)
            mls__sql_fail(store, mls__error(MLS_EFORMAT,
                                            "the queue's file is damaged: a job is of "
                                            "lane %lld, which is not there",
                                            (long long) id));
        return NULL;
    }
    const char *queue = (const char *) sqlite3_column_text(load, 0);
    const char *type = (const char *) sqlite3_column_text(load, 1);
    const char *tenant = (const char *) sqlite3_column_text(load, 3);
    const mls_resources needs = {read_need(load, 4), read_need(load, 5), read_need(load, 6)};
    mls__sql_lane *lane = keep_lane(store, id, queue ? queue : "", type ? type : "",
                                    tenant ? tenant : "", sqlite3_column_int(load, 2) != 0, &needs);
    sqlite3_reset(load);
    return lane;
}

void mls__sql_lane_add(mls__sql_store *store, mls__sql_lane *lane, int counter, int64_t more)
{
    lane->deltas[counter] += more;
    lane->is_dirty = true;
    store->lanes_are_dirty = true;
}

static bool save_lane(mls__sql_store *store, mls__sql_lane *lane)
{
    sqlite3_stmt *count = mls__sql_prepare(store, MLS__SQL_LANE_COUNT);
    if (!count)
        return false;
    sqlite3_bind_int64(count, 1, lane->id);
    for (int i = 0; i < MLS__SQL_COUNTERS; i++)
        sqlite3_bind_int64(count, 2 + i, lane->deltas[i]);
    memset(lane->deltas, 0, sizeof lane->deltas);
    lane->is_dirty = false;
    return mls__sql_run(store, count);
}

bool mls__sql_lanes_save(mls__sql_store *store)
{
    if (!store->lanes_are_dirty)
        return true;
    for (size_t i = 0; i < store->lanes_by_id_count; i++) {
        mls__sql_lane *lane = store->lanes_by_id[i];
        if (lane && lane->is_dirty && !save_lane(store, lane))
            return false;
    }
    store->lanes_are_dirty = false;
    return true;
}

void mls__sql_lanes_clear(mls__sql_store *store)
{
    for (size_t i = 0; i < store->lanes_by_id_count; i++) {
        mls__sql_lane *lane = store->lanes_by_id[i];
        if (!lane || !lane->is_dirty)
            continue;
        memset(lane->deltas, 0, sizeof lane->deltas);
        lane->is_dirty = false;
    }
    store->lanes_are_dirty = false;
}

void mls__sql_lanes_forget(mls__sql_store *store)
{
    const mls__allocator *allocator = &store->context->allocator;
    for (size_t i = 0; i < store->lanes_by_id_count; i++) {
        mls__free(allocator, store->lanes_by_id[i]);
        store->lanes_by_id[i] = NULL;
    }
    memset(store->lanes, 0, sizeof store->lanes);
    store->lanes_are_dirty = false;
    store->lanes_generation++; /* the ids may come again, for others */
}

void mls__sql_lanes_free(mls__sql_store *store)
{
    mls__sql_lanes_forget(store);
    mls__free(&store->context->allocator, store->lanes_by_id);
}

bool mls__sql_lane_is_served(const mls__sql_store *store, mls__sql_claimer *claimer,
                             const mls__sql_lane *lane)
{
    if (claimer->lanes_generation != store->lanes_generation)
        memset(claimer->serves, 0, sizeof claimer->serves);
    claimer->lanes_generation = store->lanes_generation;
    unsigned char *known = &claimer->serves[lane->id];
    if (!*known)
        *known = mls__served_has(&claimer->served, lane->names, lane->type) ? 1 : 2;
    return *known == 1;
}
