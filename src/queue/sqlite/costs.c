/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs of a type cost, of those that need the same memory. Ends are noted in memory once
 * they are committed, and added to the file at most once a second, in a transaction that is
 * there anyway; what cannot be added is dropped, and takes nothing with it.
 */
#include "queue/sqlite/sqlite.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/vec.h"

#include <string.h>

#define PAUSE_NS UINT64_C(1000000000)

struct mls__sql_cost {
    mls__sql_cost *next;
    int64_t memory_bytes;
    bool is_known;                      /* was read from the file */
    bool is_dirty;                      /* there is more than in the file */
    mls__sql_costs more;                /* since it was written */
    uint64_t samples;                   /* as of the file, of memory */
    int64_t packed_memory;              /* p95 as of the file */
    uint64_t wall_samples, wall_p95_ns; /* likewise */
    char type[];
};

mls__sql_cost *mls__sql_cost_of(mls__sql_store *store, const char *type, int64_t memory_bytes)
{
    mls__sql_cost *cost = store->costs;
    while (cost && (cost->memory_bytes != memory_bytes || strcmp(cost->type, type) != 0))
        cost = cost->next;
    if (cost)
        return cost;
    const size_t size = strlen(type) + 1; /* bounded */
    cost = mls__alloc_array(&store->context->allocator, 1, sizeof *cost + size);
    if (!cost)
        return NULL;
    memcpy(cost->type, type, size);
    cost->memory_bytes = memory_bytes;
    cost->next = store->costs;
    store->costs = cost;
    return cost;
}

void mls__sql_costs_free(mls__sql_store *store)
{
    for (mls__sql_cost *cost = store->costs, *next; cost; cost = next) {
        next = cost->next;
        mls__free(&store->context->allocator, cost);
    }
}

void mls__sql_costs_note(mls__sql_store *store, mls_queue_end *const *ends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_queue_end *end = ends[i];
        const mls_job_info *info = end->job->info;
        if (end->status != MLS_OK || !end->wall_ns)
            continue;
        mls__sql_cost *cost = mls__sql_cost_of(store, info->type, info->needs.memory_bytes);
        if (!cost)
            continue;
        store->rules->costs_note(&cost->more, end->wall_ns, end->cpu_ns, end->peak_bytes);
        cost->is_dirty = true;
        store->costs_are_dirty = true;
    }
}

/* Reading and writing */

/* What the file has; nothing, if it has none or that is damaged. */
static void read_costs(const mls__sql_store *store, sqlite3_stmt *load, int column,
                       mls__sql_costs *ret_costs)
{
    const size_t size = (size_t) sqlite3_column_bytes(load, column);
    memset(ret_costs, 0, sizeof *ret_costs);
    store->rules->costs_merge(ret_costs, sqlite3_column_blob(load, column), size);
}

static sqlite3_stmt *bind(mls__sql_store *store, int statement, const mls__sql_cost *cost)
{
    sqlite3_stmt *bound = mls__sql_prepare(store, statement);
    if (!bound)
        return NULL;
    sqlite3_bind_text(bound, 1, cost->type, -1, SQLITE_STATIC);
    sqlite3_bind_int64(bound, 2, cost->memory_bytes);
    return bound;
}

static bool load(mls__sql_store *store, const mls__sql_cost *cost, mls__sql_costs *ret_costs)
{
    sqlite3_stmt *statement = bind(store, MLS__SQL_COST_LOAD, cost);
    memset(ret_costs, 0, sizeof *ret_costs);
    if (!statement)
        return false;
    if (mls__sql_step(store, statement) == SQLITE_ROW)
        read_costs(store, statement, 0, ret_costs);
    sqlite3_reset(statement);
    return !store->txn.status;
}

static void note_packed(const mls__sql_store *store, mls__sql_cost *cost,
                        const mls__sql_costs *costs)
{
    mls_queue_cost shown;
    cost->samples = store->rules->costs_show(costs, &shown);
    const uint64_t p95 = shown.peak_bytes.p95;
    cost->packed_memory = p95 < MLS_MEMORY_BYTES_MAX ? (int64_t) p95 : MLS_MEMORY_BYTES_MAX;
    cost->wall_samples = shown.samples;
    cost->wall_p95_ns = shown.wall_ns.p95;
    cost->is_known = true;
}

bool mls__sql_cost_know(mls__sql_store *store, mls__sql_cost *cost)
{
    mls__sql_costs costs;
    if (cost->is_known)
        return true;
    if (!load(store, cost, &costs))
        return false;
    note_packed(store, cost, &costs);
    return true;
}

uint64_t mls__sql_cost_time(const mls__sql_store *store, const mls__sql_cost *cost)
{
    return store->rules->expected_ns(cost->wall_samples, cost->wall_p95_ns);
}

int64_t mls__sql_cost_memory(const mls__sql_store *store, const mls__sql_cost *cost,
                             int64_t capacity)
{
    return store->rules->packed_memory(cost->memory_bytes, cost->samples, cost->packed_memory,
                                       capacity);
}

static bool save(mls__sql_store *store, mls__sql_cost *cost)
{
    mls__sql_costs costs;
    if (!load(store, cost, &costs))
        return false;
    store->rules->costs_merge(&costs, &cost->more, sizeof cost->more);
    sqlite3_stmt *statement = bind(store, MLS__SQL_COST_SAVE, cost);
    if (!statement)
        return false;
    sqlite3_bind_blob(statement, 3, &costs, sizeof costs, SQLITE_TRANSIENT);
    if (!mls__sql_run(store, statement))
        return false;
    note_packed(store, cost, &costs);
    return true;
}

static bool save_all(mls__sql_store *store)
{
    for (mls__sql_cost *cost = store->costs; cost; cost = cost->next)
        if (cost->is_dirty && !save(store, cost))
            return false;
    return true;
}

/* Drops what was noted: it is in the file, or could not be brought there. */
static void clear(mls__sql_store *store)
{
    for (mls__sql_cost *cost = store->costs; cost; cost = cost->next) {
        memset(&cost->more, 0, sizeof cost->more);
        cost->is_dirty = false;
    }
    store->costs_are_dirty = false;
}

void mls__sql_costs_ride(mls__sql_store *store, bool is_urgent)
{
    const uint64_t now_ns = mls__clock_monotonic_ns();
    if (!store->costs_are_dirty || store->txn.status ||
        (!is_urgent && now_ns - store->costs_saved_ns < PAUSE_NS))
        return;
    store->costs_saved_ns = now_ns;
    store->room_is_stale = true; /* what jobs need was learned anew */
    if (!mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_SAVE)))
        return;
    if (!save_all(store) && !sqlite3_get_autocommit(store->db)) {
        store->txn.status = MLS_OK;
        mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_UNSAVE));
    }
    clear(store);
    mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_RELEASE));
    mls__sql_lanes_weigh(store);
}

/* Looking */

typedef struct shown_cost {
    mls_queue_cost cost;
    char type[MLS_JOB_NAME_MAX + 1];
} shown_cost;

typedef struct look_op {
    mls__sql_op op; /* first: they share an address */
    mls__vec shown;
} look_op;

static void fill(const mls__sql_store *store, sqlite3_stmt *list, shown_cost *shown)
{
    mls__sql_costs costs;
    const char *type = (const char *) sqlite3_column_text(list, 0);
    strncpy(shown->type, type ? type : "", sizeof shown->type - 1);
    shown->type[sizeof shown->type - 1] = '\0';
    read_costs(store, list, 2, &costs);
    shown->cost =
        (mls_queue_cost){.size = sizeof shown->cost, .memory_bytes = sqlite3_column_int64(list, 1)};
    store->rules->costs_show(&costs, &shown->cost);
}

/* It may run again, after a rollback. */
static mls_status run_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = (look_op *) (void *) op;
    mls__sql_costs_ride(store, true);
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_COSTS);
    mls__vec_clear(&look->shown);
    while (list && mls__sql_step(store, list) == SQLITE_ROW) {
        shown_cost *shown = mls__vec_push(&look->shown);
        if (!shown) {
            sqlite3_reset(list);
            return mls__error_nomem(look->shown.count * sizeof *shown);
        }
        fill(store, list, shown);
    }
    return store->txn.status;
}

mls_status mls__sql_visit_costs(void *self, mls_queue_cost_fn visit, void *user)
{
    static const mls__sql_kind kind = {.run = run_look};
    mls__sql_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    mls__vec_init(&look.shown, &store->context->allocator, sizeof(shown_cost));
    const mls_status status = mls__sql_call(store, &look.op);
    for (size_t i = 0; !status && i < look.shown.count; i++) {
        shown_cost *shown = mls__vec_at(&look.shown, i);
        shown->cost.type = shown->type; /* now that the list does not move any more */
        visit(user, &shown->cost);
    }
    mls__vec_clear(&look.shown);
    return status;
}
