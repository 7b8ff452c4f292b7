/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at jobs by id, waiting for their ends, and counting. */
#include "queue/sqlite/sqlite.h"

#include "base/clock.h"
#include "base/error.h"

/* A look at a job, or a wait for its end. */
typedef struct look_op {
    mls__sql_op op; /* first: they share an address */
    uint64_t id;
    bool waits;
    bool is_noted; /* in the file, for other processes */
    mls_queue_job *shown;
    mls__sql_hold *hold;
} look_op;

static look_op *look_of(mls__sql_op *op)
{
    return (look_op *) (void *) op;
}

mls_status mls__sql_error_unknown(uint64_t id)
{
    return mls__error(MLS_ENOTFOUND, "there is no job %llu, or it was forgotten after its end",
                      (unsigned long long) id);
}

static mls_status error_late(uint64_t id)
{
    return mls__error(MLS_ETIMEDOUT, "job %llu has not ended in time", (unsigned long long) id);
}

static bool note_wait(mls__sql_store *store, int statement, int64_t id)
{
    sqlite3_stmt *note = mls__sql_prepare(store, statement);
    if (!note)
        return false;
    sqlite3_bind_int64(note, 1, id);
    sqlite3_bind_int64(note, 2, store->member);
    return mls__sql_run(store, note);
}

static mls_status park(mls__sql_store *store, look_op *look, const mls__sql_row *row)
{
    if (mls__clock_monotonic_ns() >= look->op.until_ns)
        return error_late(look->id);
    /*
     * What is kept no longer than its end must be kept for us, if it ends elsewhere: perhaps
     * in a process that is yet to come.
     */
    if (row->retention_ms == 0) {
        if (!note_wait(store, MLS__SQL_WAIT_ADD, row->id))
            return store->txn.status;
        look->is_noted = true;
    }
    look->op.parks = true;
    mls__sql_list_add(&store->waits, &look->op);
    return MLS_OK;
}

static mls_status run_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = look_of(op);
    mls__sql_row row;
    const int found = mls__sql_row_load(store, look->id, &row);
    if (found <= 0)
        return found ? store->txn.status : mls__sql_error_unknown(look->id);
    if (look->waits && !mls__sql_has_ended(store, row.state))
        return park(store, look, &row);
    return mls__sql_show(store, &row, look->shown->info, &look->hold);
}

static void abandon_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = look_of(op);
    if (look->hold)
        mls__sql_hold_free(store, look->hold);
    look->hold = NULL;
    op->status = MLS_OK;
}

static void expire_look(mls__sql_op *op)
{
    mls__sql_set_status(op, error_late(look_of(op)->id));
}

/* Gives a parked wait its answer. Without memory to show the job that is the answer. */
static bool serve(mls__sql_store *store, look_op *look, const mls__sql_row *row)
{
    const mls_status status = mls__sql_show(store, row, look->shown->info, &look->hold);
    if (store->txn.status)
        return false;
    mls__sql_set_status(&look->op, status);
    look->op.is_served = true;
    return !look->is_noted || note_wait(store, MLS__SQL_WAIT_DELETE, row->id);
}

bool mls__sql_waits_serve(mls__sql_store *store, const mls__sql_row *row)
{
    for (mls__sql_op *op = store->waits.first; op; op = op->next) {
        look_op *look = look_of(op);
        if (look->id == (uint64_t) row->id && !op->is_served && !serve(store, look, row))
            return false;
    }
    return true;
}

bool mls__sql_waits_look(mls__sql_store *store)
{
    mls__sql_row row;
    for (mls__sql_op *op = store->waits.first; op; op = op->next) {
        look_op *look = look_of(op);
        if (op->is_served)
            continue;
        const int found = mls__sql_row_load(store, look->id, &row);
        if (found < 0)
            return false;
        if (found == 0) {
            mls__sql_set_status(op, mls__sql_error_unknown(look->id));
            op->is_served = true;
        } else if (mls__sql_has_ended(store, row.state) && !serve(store, look, &row)) {
            return false;
        }
    }
    return true;
}

static const mls__sql_kind look_kind = {
    .run = run_look, .abandon = abandon_look, .expire = expire_look};

/* The job as it is committed; then what it has in segments. */
static mls_status look(mls__sql_store *store, look_op *op, bool *ret_lacks_segment)
{
    mls_status status = mls__sql_call(store, &op->op);
    if (status)
        return status;
    op->shown->hold = op->hold;
    status = mls__sql_show_segments(store, op->shown);
    if (!status)
        return MLS_OK;
    mls__sql_hold_free(store, op->hold);
    op->shown->hold = op->hold = NULL;
    *ret_lacks_segment = status == MLS_EFORMAT;
    return status;
}

/* A segment may have gone with its job since we looked: then there is no such job. */
static mls_status look_again(mls__sql_store *store, look_op *op)
{
    bool lacks_segment = false;
    const mls_status status = look(store, op, &lacks_segment);
    return lacks_segment ? look(store, op, &lacks_segment) : status;
}

mls_status mls__sql_get(void *self, uint64_t id, mls_queue_job *ret_job)
{
    look_op get = {.op = {.kind = &look_kind}, .id = id, .shown = ret_job};
    return look_again(self, &get);
}

mls_status mls__sql_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job)
{
    look_op wait = {.op = {.kind = &look_kind, .until_ns = until_ns},
                    .id = id,
                    .waits = true,
                    .shown = ret_job};
    return look_again(self, &wait);
}

/* Draining */

/* How many jobs have not ended; -1: failed. */
static int64_t count_alive(mls__sql_store *store)
{
    sqlite3_stmt *count;
    if (!mls__sql_lanes_save(store) || !(count = mls__sql_prepare(store, MLS__SQL_ALIVE)))
        return -1;
    const int64_t alive =
        mls__sql_step(store, count) == SQLITE_ROW ? sqlite3_column_int64(count, 0) : -1;
    sqlite3_reset(count);
    return alive;
}

static mls_status run_drain(mls__sql_store *store, mls__sql_op *op)
{
    const int64_t alive = count_alive(store);
    if (alive <= 0)
        return alive ? store->txn.status : MLS_OK;
    if (mls__clock_monotonic_ns() >= op->until_ns)
        return mls__error(MLS_ETIMEDOUT, "%lld jobs have not ended in time", (long long) alive);
    op->parks = true;
    mls__sql_list_add(&store->drains, op);
    return MLS_OK;
}

static void abandon_drain(mls__sql_store *store, mls__sql_op *op)
{
    (void) store;
    op->status = MLS_OK;
}

static void expire_drain(mls__sql_op *op)
{
    mls__sql_set_status(op, mls__error(MLS_ETIMEDOUT, "some jobs have not ended in time"));
}

bool mls__sql_drains_serve(mls__sql_store *store)
{
    if (!store->drains.first)
        return true;
    const int64_t alive = count_alive(store);
    for (mls__sql_op *op = store->drains.first; op && alive == 0; op = op->next)
        op->is_served = true;
    return alive >= 0;
}

mls_status mls__sql_drain(void *self, uint64_t until_ns)
{
    static const mls__sql_kind kind = {
        .run = run_drain, .abandon = abandon_drain, .expire = expire_drain};
    mls__sql_op drain = {.kind = &kind, .until_ns = until_ns};
    return mls__sql_call(self, &drain);
}

/* Counting */

typedef struct stats_op {
    mls__sql_op op; /* first: they share an address */
    const mls_queue_filter *filter;
    mls_queue_stats *stats;
} stats_op;

static void read_stats(sqlite3_stmt *count, mls_queue_stats *stats)
{
    uint64_t *const sums[] = {&stats->submitted,  &stats->claimed,   &stats->succeeded,
                              &stats->dead,       &stats->cancelled, &stats->retried,
                              &stats->released,   &stats->stale,     &stats->waiting_ns,
                              &stats->running_ns, &stats->escalated};
    stats->jobs[0] = 0;
    for (int state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++) {
        stats->jobs[state] = (uint64_t) sqlite3_column_int64(count, state - MLS_JOB_SCHEDULED);
        stats->jobs[0] += stats->jobs[state];
    }
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        *sums[i] = (uint64_t) sqlite3_column_int64(count, MLS__SQL_SUBMITTED + (int) i);
}

static mls_status run_stats(mls__sql_store *store, mls__sql_op *op)
{
    const stats_op *s = (stats_op *) (void *) op;
    sqlite3_stmt *count;
    if (!mls__sql_lanes_save(store) || !(count = mls__sql_prepare(store, MLS__SQL_LANE_STATS)))
        return store->txn.status;
    sqlite3_bind_text(count, 1, s->filter->queue, -1, SQLITE_STATIC);
    sqlite3_bind_text(count, 2, s->filter->type, -1, SQLITE_STATIC);
    if (mls__sql_step(store, count) == SQLITE_ROW)
        read_stats(count, s->stats);
    sqlite3_reset(count);
    return store->txn.status;
}

mls_status mls__sql_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats)
{
    static const mls__sql_kind kind = {.run = run_stats};
    stats_op stats = {.op = {.kind = &kind}, .filter = filter, .stats = ret_stats};
    return mls__sql_call(self, &stats.op);
}

/* Listing */

typedef struct list_op {
    mls__sql_op op; /* first: they share an address */
    const mls_queue_filter *filter;
    uint64_t after_id;
    size_t max_count, count;
    uint64_t *ids;
} list_op;

static mls_status run_list(mls__sql_store *store, mls__sql_op *op)
{
    list_op *l = (list_op *) (void *) op;
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_JOB_LIST);
    if (!list)
        return store->txn.status;
    const uint32_t states = l->filter->states ? l->filter->states : UINT32_MAX;
    const size_t most = l->max_count < INT32_MAX ? l->max_count : INT32_MAX;
    sqlite3_bind_int64(list, 1, l->after_id < INT64_MAX ? (int64_t) l->after_id : INT64_MAX);
    sqlite3_bind_int64(list, 2, states);
    sqlite3_bind_text(list, 3, l->filter->queue, -1, SQLITE_STATIC);
    sqlite3_bind_text(list, 4, l->filter->type, -1, SQLITE_STATIC);
    sqlite3_bind_int64(list, 5, (int64_t) most);
    l->count = 0;
    while (mls__sql_step(store, list) == SQLITE_ROW)
        l->ids[l->count++] = (uint64_t) sqlite3_column_int64(list, 0);
    return store->txn.status;
}

mls_status mls__sql_list_jobs(void *self, const mls_queue_filter *filter, uint64_t after_id,
                              size_t max_count, uint64_t *ret_ids, size_t *ret_count)
{
    static const mls__sql_kind kind = {.run = run_list};
    list_op list = {.op = {.kind = &kind},
                    .filter = filter,
                    .after_id = after_id,
                    .max_count = max_count,
                    .ids = ret_ids};
    const mls_status status = mls__sql_call(self, &list.op);
    if (!status)
        *ret_count = list.count;
    return status;
}
