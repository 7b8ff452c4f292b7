/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling, requeueing, forgetting, and what handlers say of their progress. */
#include "queue/postgres/postgres.h"

typedef struct change_op {
    mls__pg_op op; /* first: they share an address */
    uint64_t id;
    int32_t event;
    uint64_t told_epoch; /* of the claim that shall stop; 0: none */
} change_op;

/* A job that is made ready anew starts as when it was submitted, and at once. */
static void renew(mls__pg_row *row)
{
    row->numbers[MLS__PG_ATTEMPT] = 0;
    row->numbers[MLS__PG_DEATHS] = 0;
    row->numbers[MLS__PG_DEADLINE] = 0;
    row->numbers[MLS__PG_ENDED_AT] = 0;
}

static mls_status change_row(mls__pg_store *store, change_op *change, mls__pg_row *row)
{
    const int64_t state = row->numbers[MLS__PG_STATE];
    const int32_t next = mls__pg_next(store, state, change->event);
    if (next == MLS_JOB_REFUSED)
        return mls__pg_set_status(&change->op, MLS_ESTATE, "job %llu is %s",
                                  (unsigned long long) change->id, mls__pg_state_name(state));
    if (change->event == MLS_JOB_ON_REQUEUE)
        renew(row);
    change->told_epoch = next == MLS_JOB_STOPPING ? (uint64_t) row->numbers[MLS__PG_EPOCH] : 0;
    if (next == MLS_JOB_STOPPING)
        store->txn.news |= MLS__PG_NEWS_CANCEL;
    if (mls__pg_move(store, row, change->event))
        mls__pg_rows_save(store, row, 1);
    return store->txn.status;
}

static mls_status run_change(mls__pg_store *store, mls__pg_op *op)
{
    change_op *change = (change_op *) (void *) op;
    PGresult *result;
    mls__pg_row *rows;
    size_t count;
    mls__pg_parameters p = {0};
    const int64_t id = (int64_t) change->id;
    mls__pg_add_numbers(store, &p, &id, 1);
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_LOCK, &p, &result, &rows, &count))
        return store->txn.status;
    const mls_status status =
        count ? change_row(store, change, &rows[0])
              : mls__pg_set_status(op, MLS_ENOTFOUND,
                                   "there is no job %llu, or it was forgotten after its end",
                                   (unsigned long long) change->id);
    mls__pg_rows_free(store, result, rows);
    return status;
}

static void publish_change(mls__pg_store *store, mls__pg_op *op)
{
    const change_op *change = (change_op *) (void *) op;
    if (change->told_epoch)
        mls__holds_signal(&store->holds, change->id, change->told_epoch, MLS_STOP_CANCELLED);
}

mls_status mls__pg_change(void *self, uint64_t id, int32_t event)
{
    static const mls__pg_kind kind = {.run = run_change, .publish = publish_change};
    change_op change = {.op = {.kind = &kind}, .id = id, .event = event};
    return mls__pg_call(self, &change.op);
}

bool mls__pg_cancels_look(mls__pg_store *store)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    PGresult *result = mls__pg_run(store, MLS__PG_STOPPING, &p);
    for (int i = 0; result && i < PQntuples(result); i++)
        mls__holds_signal(&store->holds, (uint64_t) mls__pg_number(result, i, 0),
                          (uint64_t) mls__pg_number(result, i, 1), MLS_STOP_CANCELLED);
    PQclear(result);
    return result != NULL;
}

typedef struct progress_op {
    mls__pg_op op; /* first: they share an address */
    const mls__pg_hold *hold;
    double progress;
    char note[MLS_JOB_NOTE_MAX + 1];
} progress_op;

static mls_status run_progress(mls__pg_store *store, mls__pg_op *op)
{
    const progress_op *progress = (progress_op *) (void *) op;
    const mls__pg_hold *hold = progress->hold;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, (int64_t) hold->base.id);
    mls__pg_add_number(&p, (int64_t) hold->base.epoch);
    mls__pg_add_number(&p, hold->member);
    mls__pg_add_double(&p, progress->progress);
    mls__pg_add_text(&p, progress->note);
    PGresult *result = mls__pg_run(store, MLS__PG_PROGRESS, &p);
    if (!result)
        return store->txn.status;
    const bool is_mine = PQntuples(result) == 1;
    PQclear(result);
    store->txn.is_writing |= is_mine;
    if (!is_mine)
        return mls__pg_set_status(op, MLS_ESTALE, "job %llu: claim %llu is lost",
                                  (unsigned long long) hold->base.id,
                                  (unsigned long long) hold->base.epoch);
    return MLS_OK;
}

mls_status mls__pg_progress(void *self, const mls_queue_job *shown, double progress,
                            const char *note)
{
    static const mls__pg_kind kind = {.run = run_progress};
    progress_op op = {.op = {.kind = &kind}, .hold = shown->hold, .progress = progress};
    mls__pg_clean(op.note, sizeof op.note, note);
    return mls__pg_call(self, &op.op);
}
