/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling, requeueing, forgetting, and what handlers say of their progress. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

typedef struct change_op {
    mls__sql_op op; /* first: they share an address */
    uint64_t id;
    int32_t event;
    uint64_t told_epoch; /* of the claim that shall stop; 0: none */
} change_op;

/* A job that is made ready anew starts as when it was submitted, and at once. */
static void renew(mls__sql_row *row)
{
    row->attempt = 0;
    row->deaths = 0;
    row->deadline_ms = 0;
    row->ended_ms = 0;
}

static mls_status run_change(mls__sql_store *store, mls__sql_op *op)
{
    change_op *change = (change_op *) (void *) op;
    mls__sql_row row;
    const int found = mls__sql_row_load(store, change->id, &row);
    if (found <= 0)
        return found ? store->txn.status : mls__sql_error_unknown(change->id);
    const int32_t next = mls__sql_next(store, row.state, change->event);
    if (next == MLS_JOB_REFUSED)
        return mls__error(MLS_ESTATE, "job %llu is %s", (unsigned long long) change->id,
                          mls_job_state_name(row.state));
    if (change->event == MLS_JOB_ON_REQUEUE)
        renew(&row);
    change->told_epoch = next == MLS_JOB_STOPPING ? (uint64_t) row.epoch : 0;
    if (next == MLS_JOB_STOPPING)
        store->txn.news |= MLS__SQL_NEWS_CANCEL;
    return mls__sql_move(store, &row, change->event) ? MLS_OK : store->txn.status;
}

static void publish_change(mls__sql_store *store, mls__sql_op *op)
{
    const change_op *change = (change_op *) (void *) op;
    if (change->told_epoch)
        mls__holds_signal(&store->holds, change->id, change->told_epoch, MLS_STOP_CANCELLED);
}

mls_status mls__sql_change(void *self, uint64_t id, int32_t event)
{
    static const mls__sql_kind kind = {.run = run_change, .publish = publish_change};
    change_op change = {.op = {.kind = &kind, .must_sync = true}, .id = id, .event = event};
    return mls__sql_call(self, &change.op);
}

bool mls__sql_cancels_look(mls__sql_store *store)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_STOPPING);
    if (!find)
        return false;
    sqlite3_bind_int64(find, 1, store->member);
    int code;
    while ((code = mls__sql_step(store, find)) == SQLITE_ROW)
        mls__holds_signal(&store->holds, (uint64_t) sqlite3_column_int64(find, 0),
                          (uint64_t) sqlite3_column_int64(find, 1), MLS_STOP_CANCELLED);
    return code == SQLITE_DONE;
}

typedef struct progress_op {
    mls__sql_op op; /* first: they share an address */
    uint64_t id, epoch;
    double progress;
    const char *note;
} progress_op;

static mls_status run_progress(mls__sql_store *store, mls__sql_op *op)
{
    const progress_op *p = (progress_op *) (void *) op;
    sqlite3_stmt *set = mls__sql_prepare(store, MLS__SQL_PROGRESS);
    if (!set)
        return store->txn.status;
    sqlite3_bind_int64(set, 1, (int64_t) p->id);
    sqlite3_bind_int64(set, 2, (int64_t) p->epoch);
    sqlite3_bind_double(set, 3, p->progress);
    sqlite3_bind_text(set, 4, p->note, -1, SQLITE_STATIC);
    if (!mls__sql_run(store, set))
        return store->txn.status;
    if (sqlite3_changes(store->db) == 0)
        return mls__error(MLS_ESTALE, "job %llu: claim %llu is lost", (unsigned long long) p->id,
                          (unsigned long long) p->epoch);
    return MLS_OK;
}

mls_status mls__sql_progress(void *self, const mls_queue_job *shown, double progress,
                             const char *note)
{
    static const mls__sql_kind kind = {.run = run_progress};
    progress_op op = {.op = {.kind = &kind},
                      .id = shown->info->id,
                      .epoch = shown->info->epoch,
                      .progress = progress,
                      .note = note};
    return mls__sql_call(self, &op.op);
}
