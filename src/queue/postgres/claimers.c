/* SPDX-License-Identifier: Apache-2.0 */
/* Those who claim: what they serve, stopping them, and giving back what they run. */
#include "queue/postgres/postgres.h"

#include <string.h>

mls_status mls__pg_claimer_open(void *self, const mls_claimer_options *options, void **ret_claimer)
{
    mls__pg_store *store = self;
    mls__pg_claimer *claimer = mls__pg_alloc(store, sizeof *claimer + mls__served_size(options));
    if (!claimer)
        return store->host->error(MLS_ENOMEM, "no memory for a claimer");
    claimer->id = atomic_fetch_add(&store->next_claimer, 1) + 1;
    claimer->served = mls__served_copy(options, claimer->names);
    claimer->patience_us = (int64_t) options->patience_ms * 1000;
    claimer->has_capacity = options->capacity != NULL;
    if (options->capacity) {
        claimer->capacity = *options->capacity;
        atomic_fetch_add(&store->bounded_claimers, 1);
    }
    /* In its place: it gets no longer. */
    mls__pg_clean(claimer->names, strlen(claimer->names) + 1, options->name);
    *ret_claimer = claimer;
    return MLS_OK;
}

/* Pools are the committer's. */
typedef struct pool_op {
    mls__pg_op op; /* first: they share an address */
    mls__pg_claimer *claimer, *with;
} pool_op;

static void join_pool(mls__pg_store *store, mls__pg_claimer *claimer, int64_t pool)
{
    claimer->pool = pool;
    claimer->next_pooled = store->pooled;
    store->pooled = claimer;
}

/* The first one's id is the pool's. */
static mls_status run_pool(mls__pg_store *store, mls__pg_op *op)
{
    const pool_op *both = (pool_op *) (void *) op;
    if (!both->with->pool)
        join_pool(store, both->with, both->with->id);
    join_pool(store, both->claimer, both->with->pool);
    return MLS_OK;
}

void mls__pg_claimer_pool(void *self, void *claimer, void *with)
{
    static const mls__pg_kind kind = {.run = run_pool, .no_transaction = true};
    pool_op both = {.op = {.kind = &kind}, .claimer = claimer, .with = with};
    mls__pg_call(self, &both.op);
}

static mls_status run_leave_pool(mls__pg_store *store, mls__pg_op *op)
{
    const mls__pg_claimer *claimer = ((pool_op *) (void *) op)->claimer;
    mls__pg_claimer **link = &store->pooled;
    while (*link != claimer)
        link = &(*link)->next_pooled;
    *link = claimer->next_pooled;
    return MLS_OK;
}

static void leave_pool(mls__pg_store *store, mls__pg_claimer *claimer)
{
    static const mls__pg_kind kind = {.run = run_leave_pool, .no_transaction = true};
    pool_op leave = {.op = {.kind = &kind}, .claimer = claimer};
    mls__pg_call(store, &leave.op);
}

void mls__pg_claimer_close(void *self, void *ptr)
{
    mls__pg_store *store = self;
    mls__pg_claimer *claimer = ptr;
    if (claimer->has_capacity)
        atomic_fetch_sub(&store->bounded_claimers, 1);
    if (claimer->pool)
        leave_pool(store, claimer);
    mls__pg_offer_end(store, claimer);
    mls__pg_free(store, claimer);
}

static void add_name(mls__pg_store *store, mls__pg_parameters *p, const char *name)
{
    mls__pg_put_text(store, mls__pg_begin_array(store, p, true, 1), name);
}

void mls__pg_add_served(mls__pg_store *store, mls__pg_parameters *p, const mls__served *served,
                        const mls_queue_job *like)
{
    if (like) {
        add_name(store, p, like->info->type);
        add_name(store, p, like->info->queue);
    } else {
        mls__pg_add_names(store, p, served->types, served->type_count);
        mls__pg_add_names(store, p, served->queues, served->queue_count);
    }
}

typedef struct claimer_op {
    mls__pg_op op; /* first: they share an address */
    mls__pg_claimer *claimer;
    uint32_t flags;
    size_t count;
} claimer_op;

static mls_status run_stop(mls__pg_store *store, mls__pg_op *op)
{
    const claimer_op *stop = (claimer_op *) (void *) op;
    stop->claimer->is_draining = true;
    if (!(stop->flags & MLS_CLAIMER_DRAIN))
        stop->claimer->is_stopped = true;
    mls__pg_claims_stop(store);
    if (stop->claimer->is_stopped)
        mls__pg_offer_end(store, stop->claimer);
    return MLS_OK;
}

void mls__pg_claimer_stop(void *self, void *claimer, uint32_t flags)
{
    static const mls__pg_kind kind = {.run = run_stop, .no_transaction = true};
    claimer_op stop = {.op = {.kind = &kind}, .claimer = claimer, .flags = flags};
    mls__pg_call(self, &stop.op);
}

static mls_status run_surrender(mls__pg_store *store, mls__pg_op *op)
{
    claimer_op *surrender = (claimer_op *) (void *) op;
    PGresult *result;
    mls__pg_row *rows;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    mls__pg_add_number(&p, surrender->claimer->id);
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_OF_MEMBER, &p, &result, &rows, &surrender->count))
        return store->txn.status;
    bool is_good = true;
    for (size_t i = 0; is_good && i < surrender->count; i++)
        is_good = mls__pg_end_claim(store, &rows[i], MLS_JOB_ON_RELEASE);
    if (is_good)
        mls__pg_rows_save(store, rows, surrender->count);
    mls__pg_rows_free(store, result, rows);
    return store->txn.status;
}

/* Its handlers are told once that is committed. */
static void publish_surrender(mls__pg_store *store, mls__pg_op *op)
{
    mls__holds_lose(&store->holds, ((claimer_op *) (void *) op)->claimer->id);
}

mls_status mls__pg_claimer_surrender(void *self, void *claimer, size_t *ret_count)
{
    static const mls__pg_kind kind = {.run = run_surrender, .publish = publish_surrender};
    claimer_op surrender = {.op = {.kind = &kind}, .claimer = claimer};
    const mls_status status = mls__pg_call(self, &surrender.op);
    if (!status)
        *ret_count = surrender.count;
    return status;
}
