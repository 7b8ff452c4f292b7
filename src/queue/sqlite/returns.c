/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims that were dropped without an end, as when what ended them could not be written:
 * their jobs are given back, and that is tried until the file can be written again. Else
 * they would run, to all appearances, as long as this process lives.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

typedef struct return_op {
    mls__sql_op op; /* first: they share an address */
    uint64_t id, epoch;
} return_op;

static mls_status run_return(mls__sql_store *store, mls__sql_op *op)
{
    const return_op *given = (return_op *) (void *) op;
    mls__sql_row row;
    const int found = mls__sql_row_load(store, given->id, &row);
    if (found > 0 && row.member == store->member && (uint64_t) row.epoch == given->epoch)
        mls__sql_end_claim(store, &row, MLS_JOB_ON_RELEASE);
    return store->txn.status;
}

/* A queue that closes gives back all that it runs. */
static void end_return(mls__sql_store *store, mls__sql_op *op)
{
    if (!op->status || atomic_load(&store->is_closing) || !mls__sql_retry(store, op))
        mls__free(&store->context->allocator, op);
}

void mls__sql_return(mls__sql_store *store, const mls__sql_hold *hold)
{
    static const mls__sql_kind kind = {.run = run_return, .end = end_return};
    return_op *given = mls__alloc_array(&store->context->allocator, 1, sizeof *given);
    if (!given)
        return; /* its lease ends with this process */
    given->op.kind = &kind;
    given->id = hold->base.id;
    given->epoch = hold->base.epoch;
    mls__sql_push(store, &given->op);
}
