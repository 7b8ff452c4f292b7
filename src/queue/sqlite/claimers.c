/* SPDX-License-Identifier: Apache-2.0 */
/* Those who claim: what they serve, stopping them, and giving back what they run. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

typedef struct claimer_op {
    mls__sql_op op; /* first: they share an address */
    mls__sql_claimer *claimer;
    uint32_t flags;
    size_t count;
} claimer_op;

/* The committer's list of those that are open. */
static mls_status run_enlist(mls__sql_store *store, mls__sql_op *op)
{
    mls__sql_claimer *claimer = ((claimer_op *) (void *) op)->claimer;
    claimer->next = store->claimers;
    store->claimers = claimer;
    return MLS_OK;
}

static mls_status run_delist(mls__sql_store *store, mls__sql_op *op)
{
    const mls__sql_claimer *claimer = ((claimer_op *) (void *) op)->claimer;
    mls__sql_claimer **link = &store->claimers;
    while (*link != claimer)
        link = &(*link)->next;
    *link = claimer->next;
    return MLS_OK;
}

static void change_list(mls__sql_store *store, mls__sql_claimer *claimer,
                        mls_status (*run)(mls__sql_store *store, mls__sql_op *op))
{
    const mls__sql_kind kind = {.run = run, .no_transaction = true};
    claimer_op change = {.op = {.kind = &kind}, .claimer = claimer};
    mls__sql_call(store, &change.op);
}

mls_status mls__sql_claimer_open(void *self, const mls_claimer_options *options, void **ret_claimer)
{
    mls__sql_store *store = self;
    const size_t size = sizeof(mls__sql_claimer) + mls__served_size(options);
    mls__sql_claimer *claimer = mls__alloc_array(&store->context->allocator, 1, size);
    if (!claimer)
        return mls__error_nomem(size);
    claimer->id = atomic_fetch_add(&store->next_claimer, 1) + 1;
    claimer->offer_end = mls__sql_offer_end_create(store, claimer->id);
    if (!claimer->offer_end) {
        mls__free(&store->context->allocator, claimer);
        return mls__error_nomem(sizeof *claimer->offer_end);
    }
    claimer->served = mls__served_copy(options, claimer->names);
    claimer->patience_ns = (int64_t) options->patience_ms * 1000000;
    claimer->has_capacity = options->capacity != NULL;
    if (options->capacity)
        claimer->capacity = *options->capacity;
    change_list(store, claimer, run_enlist);
    *ret_claimer = claimer;
    return MLS_OK;
}

typedef struct pool_op {
    mls__sql_op op; /* first: they share an address */
    mls__sql_claimer *claimer, *with;
} pool_op;

/* The first one's id is the pool's. */
static mls_status run_pool(mls__sql_store *store, mls__sql_op *op)
{
    const pool_op *both = (pool_op *) (void *) op;
    (void) store;
    if (!both->with->pool)
        both->with->pool = both->with->id;
    both->claimer->pool = both->with->pool;
    return MLS_OK;
}

void mls__sql_claimer_pool(void *self, void *claimer, void *with)
{
    static const mls__sql_kind kind = {.run = run_pool, .no_transaction = true};
    pool_op both = {.op = {.kind = &kind}, .claimer = claimer, .with = with};
    mls__sql_call(self, &both.op);
}

void mls__sql_claimer_close(void *self, void *ptr)
{
    mls__sql_store *store = self;
    mls__sql_claimer *claimer = ptr;
    change_list(store, claimer, run_delist);
    mls__sql_offer_end(store, claimer);
    mls__free(&store->context->allocator, claimer->offer_end);
    mls__free(&store->context->allocator, claimer);
}

static mls_status run_stop(mls__sql_store *store, mls__sql_op *op)
{
    const claimer_op *stop = (claimer_op *) (void *) op;
    stop->claimer->is_draining = true;
    if (!(stop->flags & MLS_CLAIMER_DRAIN))
        stop->claimer->is_stopped = true;
    mls__sql_claims_stop(store, stop->claimer);
    if (stop->claimer->is_stopped)
        mls__sql_offer_end(store, stop->claimer);
    return MLS_OK;
}

void mls__sql_claimer_stop(void *self, void *claimer, uint32_t flags)
{
    static const mls__sql_kind kind = {.run = run_stop, .no_transaction = true};
    claimer_op stop = {.op = {.kind = &kind}, .claimer = claimer, .flags = flags};
    mls__sql_call(self, &stop.op);
}

typedef struct running {
    int64_t id, claimer, epoch;
} running;

/* The next running job of this process after `id`: 1, 0 when there is none, -1 failed. */
static int next_running(mls__sql_store *store, int64_t id, running *ret_found)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_RUNNING_OF_MEMBER);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, store->member);
    sqlite3_bind_int64(find, 2, id);
    const int code = mls__sql_step(store, find);
    if (code == SQLITE_ROW)
        *ret_found = (running){sqlite3_column_int64(find, 0), sqlite3_column_int64(find, 1),
                               sqlite3_column_int64(find, 2)};
    sqlite3_reset(find);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

static mls_status run_surrender(mls__sql_store *store, mls__sql_op *op)
{
    claimer_op *surrender = (claimer_op *) (void *) op;
    running found = {0};
    mls__sql_row row;
    int there;
    surrender->count = 0;
    while ((there = next_running(store, found.id, &found)) > 0) {
        if (found.claimer != surrender->claimer->id)
            continue;
        if (mls__sql_row_load(store, (uint64_t) found.id, &row) <= 0)
            return MLS_EIO;
        if (!mls__sql_end_claim(store, &row, MLS_JOB_ON_RELEASE))
            return MLS_EIO;
        surrender->count++;
    }
    return MLS_OK;
}

/* Its handlers are told once that is committed. */
static void publish_surrender(mls__sql_store *store, mls__sql_op *op)
{
    const claimer_op *surrender = (claimer_op *) (void *) op;
    mls__holds_lose(&store->holds, surrender->claimer->id);
}

mls_status mls__sql_claimer_surrender(void *self, void *claimer, size_t *ret_count)
{
    static const mls__sql_kind kind = {.run = run_surrender, .publish = publish_surrender};
    claimer_op surrender = {.op = {.kind = &kind}, .claimer = claimer};
    const mls_status status = mls__sql_call(self, &surrender.op);
    if (!status)
        *ret_count = surrender.count;
    return status;
}
