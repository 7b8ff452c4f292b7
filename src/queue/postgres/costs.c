/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs of a type cost, of those that need the same memory. Ends are noted in memory once
 * they are committed, and added to the table at most once a second, in a transaction that is
 * there anyway, by one member at a time; what cannot be added is dropped, and takes nothing with
 * it. Rows also have the numbers that claims go by, so that those read no sketches.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

#define PAUSE_NS UINT64_C(1000000000)

struct mls__pg_cost {
    mls__pg_cost *next;
    int64_t memory_bytes;
    bool is_dirty;    /* there is more than in the table */
    const char *type; /* behind `more` */
    _Alignas(16) unsigned char more[];
};

static mls__pg_cost *cost_of(mls__pg_store *store, const char *type, int64_t memory_bytes)
{
    mls__pg_cost *cost = store->costs;
    while (cost && (cost->memory_bytes != memory_bytes || strcmp(cost->type, type) != 0))
        cost = cost->next;
    if (cost)
        return cost;
    const size_t size = strlen(type) + 1, at = store->rules->costs_bytes; /* both are bounded */
    cost = mls__pg_alloc(store, sizeof *cost + at + size);
    if (!cost)
        return NULL;
    cost->type = memcpy(cost->more + at, type, size);
    cost->memory_bytes = memory_bytes;
    cost->next = store->costs;
    store->costs = cost;
    return cost;
}

void mls__pg_costs_free(mls__pg_store *store)
{
    for (mls__pg_cost *cost = store->costs, *next; cost; cost = next) {
        next = cost->next;
        mls__pg_free(store, cost);
    }
}

void mls__pg_costs_note(mls__pg_store *store, mls_queue_end *const *ends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_queue_end *end = ends[i];
        const mls_job_info *info = end->job->info;
        if (end->status != MLS_OK || !end->wall_ns)
            continue;
        mls__pg_cost *cost = cost_of(store, info->type, info->needs.memory_bytes);
        if (!cost)
            continue;
        store->rules->costs_note(cost->more, end->wall_ns, end->cpu_ns, end->peak_bytes);
        cost->is_dirty = store->costs_are_dirty = true;
    }
}

/* Writing */

static bool load(mls__pg_store *store, mls__pg_cost *cost)
{
    mls__pg_parameters p = {0};
    mls__pg_add_text(&p, cost->type);
    mls__pg_add_number(&p, cost->memory_bytes);
    PGresult *result = mls__pg_run(store, MLS__PG_COST_LOAD, &p);
    if (!result)
        return false;
    if (PQntuples(result)) {
        const mls__pg_bytes stored = mls__pg_bytes_at(result, 0, 0);
        store->rules->costs_merge(cost->more, stored.data, stored.size);
    }
    PQclear(result);
    return true;
}

static int64_t bounded(uint64_t value, int64_t most)
{
    return value < (uint64_t) most ? (int64_t) value : most;
}

static bool save(mls__pg_store *store, mls__pg_cost *cost)
{
    mls_queue_cost shown;
    mls__pg_parameters p = {0};
    if (!load(store, cost))
        return false;
    const uint64_t samples = store->rules->costs_show(cost->more, &shown);
    mls__pg_add_text(&p, cost->type);
    mls__pg_add_number(&p, cost->memory_bytes);
    mls__pg_add_number(&p, (int64_t) samples);
    mls__pg_add_number(&p, bounded(shown.peak_bytes.p95, MLS_MEMORY_BYTES_MAX));
    mls__pg_add_number(&p, (int64_t) shown.samples);
    mls__pg_add_number(&p, bounded(shown.wall_ns.p95, INT64_MAX >> 2));
    mls__pg_add_bytes(&p, (mls__pg_bytes){cost->more, store->rules->costs_bytes});
    /* Jobs that stated no need take room from now on. */
    return mls__pg_run_none(store, MLS__PG_COST_SAVE, &p) && (!samples || mls__pg_room_mark(store));
}

static bool save_all(mls__pg_store *store)
{
    for (mls__pg_cost *cost = store->costs; cost; cost = cost->next)
        if (cost->is_dirty && !save(store, cost))
            return false;
    return true;
}

/* Drops what was noted: it is in the table, or could not be brought there. */
static void clear(mls__pg_store *store)
{
    for (mls__pg_cost *cost = store->costs; cost; cost = cost->next) {
        memset(cost->more, 0, store->rules->costs_bytes);
        cost->is_dirty = false;
    }
    store->costs_are_dirty = false;
}

/* Whether it is our turn to write: nobody waits for that. */
static bool may_write(mls__pg_store *store, bool *ret_may)
{
    PGresult *result = mls__pg_run(store, MLS__PG_COSTS_LOCK, NULL);
    *ret_may = result && mls__pg_number(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

/* What failed in it, but for the connection, is undone alone. */
static bool write_down(mls__pg_store *store)
{
    const bool room = store->txn.room;
    if (!mls__pg_do(store, "SAVEPOINT costs"))
        return false;
    if (!save_all(store) && store->txn.failure == MLS__PG_FAILED) {
        store->txn.status = MLS_OK;
        store->txn.room = room;
        if (!mls__pg_do(store, "ROLLBACK TO costs"))
            return false;
    }
    clear(store);
    store->txn.is_writing = true;
    return !store->txn.status && mls__pg_do(store, "RELEASE costs");
}

bool mls__pg_costs_ride(mls__pg_store *store, bool is_urgent)
{
    const uint64_t now_ns = mls__pg_clock_ns();
    bool may;
    if (!store->costs_are_dirty || (!is_urgent && now_ns - store->costs_saved_ns < PAUSE_NS))
        return true;
    store->costs_saved_ns = now_ns;
    if (!may_write(store, &may))
        return false;
    return !may || write_down(store);
}

/* Looking */

typedef struct look_op {
    mls__pg_op op; /* first: they share an address */
    PGresult *result;
} look_op;

/* It may run again, after a rollback. */
static mls_status run_look(mls__pg_store *store, mls__pg_op *op)
{
    look_op *look = (look_op *) (void *) op;
    PQclear(look->result);
    look->result = mls__pg_costs_ride(store, true) ? mls__pg_run(store, MLS__PG_COSTS, NULL) : NULL;
    return store->txn.status;
}

static void show(mls__pg_store *store, const PGresult *result, int at, mls_queue_cost_fn visit,
                 void *user, void *costs)
{
    const mls__pg_bytes stored = mls__pg_bytes_at(result, at, 2);
    mls_queue_cost cost = {.size = sizeof cost,
                           .type = PQgetvalue(result, at, 0),
                           .memory_bytes = mls__pg_number(result, at, 1)};
    memset(costs, 0, store->rules->costs_bytes);
    store->rules->costs_merge(costs, stored.data, stored.size);
    store->rules->costs_show(costs, &cost);
    visit(user, &cost);
}

mls_status mls__pg_visit_costs(void *self, mls_queue_cost_fn visit, void *user)
{
    static const mls__pg_kind kind = {.run = run_look};
    mls__pg_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    void *costs = mls__pg_alloc(store, store->rules->costs_bytes);
    if (!costs)
        return store->host->error(MLS_ENOMEM, "no memory for what jobs took");
    const mls_status status = mls__pg_call(store, &look.op);
    for (int i = 0; !status && i < PQntuples(look.result); i++)
        show(store, look.result, i, visit, user, costs);
    PQclear(look.result);
    mls__pg_free(store, costs);
    return status;
}
