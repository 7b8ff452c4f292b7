/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims that were dropped without an end, as when the server was away while what ended
 * them was tried: their jobs are given back, and that is tried until it can be done. Else
 * they would run, to all appearances, as long as this process lives.
 */
#include "queue/postgres/postgres.h"

typedef struct return_op {
    mls__pg_op op; /* first: they share an address */
    int64_t id, epoch, member;
} return_op;

static bool is_ours(const return_op *given, const mls__pg_row *row)
{
    return row->numbers[MLS__PG_EPOCH] == given->epoch &&
           row->numbers[MLS__PG_MEMBER] == given->member;
}

static mls_status run_return(mls__pg_store *store, mls__pg_op *op)
{
    const return_op *given = (return_op *) (void *) op;
    PGresult *result;
    mls__pg_row *rows;
    size_t count;
    mls__pg_parameters p = {0};
    mls__pg_add_numbers(store, &p, &given->id, 1);
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_LOCK, &p, &result, &rows, &count))
        return store->txn.status;
    if (count && is_ours(given, &rows[0]) && mls__pg_end_claim(store, &rows[0], MLS_JOB_ON_RELEASE))
        mls__pg_rows_save(store, rows, count);
    mls__pg_rows_free(store, result, rows);
    return store->txn.status;
}

static void end_return(mls__pg_store *store, mls__pg_op *op)
{
    if (op->status && op->status != MLS_EFORMAT) /* a damaged row stays so */
        mls__pg_list_add(&store->returns, op);
    else
        mls__pg_free(store, op);
}

void mls__pg_return(mls__pg_store *store, const mls__pg_hold *hold)
{
    static const mls__pg_kind kind = {.run = run_return, .end = end_return};
    return_op *given = mls__pg_alloc(store, sizeof *given);
    if (!given)
        return; /* its lease ends with this process */
    given->op.kind = &kind;
    given->id = (int64_t) hold->base.id;
    given->epoch = (int64_t) hold->base.epoch;
    given->member = hold->member;
    mls__pg_push(store, &given->op);
}

/* A queue that closes gives back all that it runs. */
void mls__pg_returns_free(mls__pg_store *store)
{
    for (mls__pg_op *op = store->returns.first, *next; op; op = next) {
        next = op->next;
        mls__pg_free(store, op);
    }
    mls__pg_list_init(&store->returns);
}
