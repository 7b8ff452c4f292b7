/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at jobs by id, waiting for their ends, and counting. */
#include "queue/postgres/postgres.h"

/* A look at a job, or a wait for its end. */
typedef struct look_op {
    mls__pg_op op; /* first: they share an address */
    uint64_t id;
    bool waits;
    bool is_noted; /* that this member waits for it */
    mls_queue_job *shown;
    mls__pg_hold *hold;
} look_op;

static look_op *look_of(mls__pg_op *op)
{
    return (look_op *) (void *) op;
}

static mls_status set_unknown(look_op *look)
{
    return mls__pg_set_status(&look->op, MLS_ENOTFOUND,
                              "there is no job %llu, or it was forgotten after its end",
                              (unsigned long long) look->id);
}

static mls_status set_late(look_op *look)
{
    return mls__pg_set_status(&look->op, MLS_ETIMEDOUT, "job %llu has not ended in time",
                              (unsigned long long) look->id);
}

static bool note_wait(mls__pg_store *store, int statement, int64_t id)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, id);
    mls__pg_add_number(&p, store->member);
    store->txn.is_writing = true;
    return mls__pg_run_none(store, statement, &p);
}

static mls_status park(mls__pg_store *store, look_op *look, const mls__pg_row *row)
{
    if (mls__pg_clock_ns() >= look->op.until_ns)
        return set_late(look);
    /* What is kept no longer than its end must be kept for us, if it ends elsewhere. */
    look->is_noted = row->numbers[MLS__PG_RETENTION] == 0;
    if (look->is_noted && !note_wait(store, MLS__PG_WAIT_ADD, row->numbers[MLS__PG_ID]))
        return store->txn.status;
    look->op.parks = true;
    mls__pg_list_add(&store->waits, &look->op);
    return MLS_OK;
}

bool mls__pg_waits_note(mls__pg_store *store)
{
    for (mls__pg_op *op = store->waits.first; op; op = op->next)
        if (look_of(op)->is_noted && !note_wait(store, MLS__PG_WAIT_ADD, (int64_t) look_of(op)->id))
            return false;
    return true;
}

static mls_status show(mls__pg_store *store, look_op *look, const mls__pg_row *row,
                       const PGresult *result)
{
    look->hold =
        mls__pg_show(store, row, mls__pg_bytes_at(result, 0, MLS__PG_EXTRA_COLUMN),
                     mls__pg_bytes_at(result, 0, MLS__PG_EXTRA_COLUMN + 1), look->shown->info);
    return look->hold ? MLS_OK
                      : mls__pg_set_status(&look->op, MLS_ENOMEM, "no memory to show a job");
}

static PGresult *view(mls__pg_store *store, uint64_t id)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, (int64_t) id);
    return mls__pg_run(store, MLS__PG_JOB_VIEW, &p);
}

static mls_status run_look(mls__pg_store *store, mls__pg_op *op)
{
    look_op *look = look_of(op);
    mls__pg_row row;
    PGresult *result = view(store, look->id);
    if (!result)
        return store->txn.status;
    mls_status status;
    if (!PQntuples(result))
        status = set_unknown(look);
    else if (!mls__pg_row_read(store, result, 0, &row))
        status = store->txn.status;
    else if (look->waits && !mls__pg_has_ended(store, row.numbers[MLS__PG_STATE]))
        status = park(store, look, &row);
    else
        status = show(store, look, &row, result);
    PQclear(result);
    return status;
}

static void abandon_look(mls__pg_store *store, mls__pg_op *op)
{
    look_op *look = look_of(op);
    mls__pg_free(store, look->hold);
    look->hold = NULL;
    op->status = MLS_OK;
}

static void expire_look(mls__pg_op *op)
{
    set_late(look_of(op));
}

bool mls__pg_is_awaited(const mls__pg_store *store, int64_t id)
{
    for (mls__pg_op *op = store->waits.first; op; op = op->next)
        if (look_of(op)->id == (uint64_t) id && !op->is_served)
            return true;
    return false;
}

/* Gives a parked wait its answer. Without memory to show the job that is the answer. */
static bool serve(mls__pg_store *store, look_op *look)
{
    mls__pg_row row;
    PGresult *result = view(store, look->id);
    if (!result)
        return false;
    look->op.is_served = true;
    if (!PQntuples(result))
        look->op.status = set_unknown(look);
    else if (mls__pg_row_read(store, result, 0, &row))
        look->op.status = show(store, look, &row, result);
    const bool has_noted =
        PQntuples(result) && !store->txn.status && row.numbers[MLS__PG_RETENTION] == 0;
    PQclear(result);
    return !store->txn.status &&
           (!has_noted || note_wait(store, MLS__PG_WAIT_DELETE, (int64_t) look->id));
}

bool mls__pg_waits_serve(mls__pg_store *store, const mls__pg_row *row)
{
    for (mls__pg_op *op = store->waits.first; op; op = op->next)
        if (look_of(op)->id == (uint64_t) row->numbers[MLS__PG_ID] && !op->is_served &&
            !serve(store, look_of(op)))
            return false;
    return true;
}

static bool serve_id(mls__pg_store *store, uint64_t id)
{
    for (mls__pg_op *op = store->waits.first; op; op = op->next)
        if (look_of(op)->id == id && !op->is_served && !serve(store, look_of(op)))
            return false;
    return true;
}

/* What ended, or went, by what other members did. */
bool mls__pg_waits_look(mls__pg_store *store)
{
    mls__pg_parameters p = {0};
    size_t count = 0;
    for (mls__pg_op *op = store->waits.first; op; op = op->next)
        count += !op->is_served;
    if (!count)
        return true;
    mls__pg_buffer *ids = mls__pg_begin_array(store, &p, false, count);
    for (mls__pg_op *op = store->waits.first; op; op = op->next)
        if (!op->is_served)
            mls__pg_put_number(store, ids, (int64_t) look_of(op)->id);
    PGresult *result = mls__pg_run(store, MLS__PG_JOBS_ENDED, &p);
    if (!result)
        return false;
    bool is_good = true;
    for (int i = 0; is_good && i < PQntuples(result); i++)
        if (PQgetisnull(result, i, 1) || mls__pg_has_ended(store, mls__pg_number(result, i, 1)))
            is_good = serve_id(store, (uint64_t) mls__pg_number(result, i, 0));
    PQclear(result);
    return is_good;
}

static const mls__pg_kind look_kind = {
    .run = run_look, .abandon = abandon_look, .expire = expire_look};

static mls_status look(mls__pg_store *store, look_op *op)
{
    const mls_status status = op->id > INT64_MAX ? set_unknown(op) : MLS_OK;
    if (status)
        return store->host->error(status, "%s", op->op.message);
    const mls_status called = mls__pg_call(store, &op->op);
    if (!called)
        op->shown->hold = op->hold;
    return called;
}

mls_status mls__pg_get(void *self, uint64_t id, mls_queue_job *ret_job)
{
    look_op get = {.op = {.kind = &look_kind}, .id = id, .shown = ret_job};
    return look(self, &get);
}

mls_status mls__pg_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job)
{
    look_op wait = {.op = {.kind = &look_kind, .until_ns = until_ns},
                    .id = id,
                    .waits = true,
                    .shown = ret_job};
    return look(self, &wait);
}

/* Draining */

/* How many jobs have not ended; -1: failed. */
static int64_t count_alive(mls__pg_store *store)
{
    PGresult *result = mls__pg_lanes_save(store) ? mls__pg_run(store, MLS__PG_ALIVE, NULL) : NULL;
    const int64_t alive = result ? mls__pg_number(result, 0, 0) : -1;
    PQclear(result);
    return alive;
}

static mls_status run_drain(mls__pg_store *store, mls__pg_op *op)
{
    const int64_t alive = count_alive(store);
    if (alive <= 0)
        return alive ? store->txn.status : MLS_OK;
    if (mls__pg_clock_ns() >= op->until_ns)
        return mls__pg_set_status(op, MLS_ETIMEDOUT, "%lld jobs have not ended in time",
                                  (long long) alive);
    op->parks = true;
    mls__pg_list_add(&store->drains, op);
    return MLS_OK;
}

static void abandon_drain(mls__pg_store *store, mls__pg_op *op)
{
    (void) store;
    op->status = MLS_OK;
}

static void expire_drain(mls__pg_op *op)
{
    mls__pg_set_status(op, MLS_ETIMEDOUT, "some jobs have not ended in time");
}

bool mls__pg_drains_serve(mls__pg_store *store)
{
    if (!store->drains.first)
        return true;
    const int64_t alive = count_alive(store);
    for (mls__pg_op *op = store->drains.first; op && alive == 0; op = op->next)
        op->is_served = true;
    return alive >= 0;
}

mls_status mls__pg_drain(void *self, uint64_t until_ns)
{
    static const mls__pg_kind kind = {
        .run = run_drain, .abandon = abandon_drain, .expire = expire_drain};
    mls__pg_op drain = {.kind = &kind, .until_ns = until_ns};
    return mls__pg_call(self, &drain);
}

/* Counting */

typedef struct stats_op {
    mls__pg_op op; /* first: they share an address */
    const mls_queue_filter *filter;
    mls_queue_stats *stats;
} stats_op;

static void read_stats(const int64_t counters[MLS__PG_COUNTERS], mls_queue_stats *stats)
{
    uint64_t *const sums[] = {&stats->submitted, &stats->claimed, &stats->succeeded, &stats->dead,
                              &stats->cancelled, &stats->retried, &stats->released,  &stats->stale};
    stats->jobs[0] = 0;
    for (int state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++) {
        stats->jobs[state] = (uint64_t) counters[state - MLS_JOB_SCHEDULED];
        stats->jobs[0] += stats->jobs[state];
    }
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        *sums[i] = (uint64_t) counters[MLS__PG_SUBMITTED + (int) i];
    stats->escalated = (uint64_t) counters[MLS__PG_ESCALATED];
    stats->waiting_ns = (uint64_t) counters[MLS__PG_WAITING_US] * 1000;
    stats->running_ns = (uint64_t) counters[MLS__PG_RUNNING_US] * 1000;
}

static mls_status run_stats(mls__pg_store *store, mls__pg_op *op)
{
    const stats_op *s = (stats_op *) (void *) op;
    int64_t counters[MLS__PG_COUNTERS] = {0};
    mls__pg_parameters p = {0};
    if (!mls__pg_lanes_save(store))
        return store->txn.status;
    mls__pg_add_text(&p, s->filter->queue);
    mls__pg_add_text(&p, s->filter->type);
    PGresult *result = mls__pg_run(store, MLS__PG_SUM, &p);
    if (!result)
        return store->txn.status;
    for (int i = 0; i < PQntuples(result); i++) {
        const int64_t place = mls__pg_number(result, i, 0);
        if (place >= 1 && place <= MLS__PG_COUNTERS)
            counters[place - 1] = mls__pg_number(result, i, 1);
    }
    PQclear(result);
    read_stats(counters, s->stats);
    return MLS_OK;
}

mls_status mls__pg_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats)
{
    static const mls__pg_kind kind = {.run = run_stats};
    stats_op stats = {.op = {.kind = &kind}, .filter = filter, .stats = ret_stats};
    return mls__pg_call(self, &stats.op);
}

/* Listing */

typedef struct list_op {
    mls__pg_op op; /* first: they share an address */
    const mls_queue_filter *filter;
    uint64_t after_id;
    size_t max_count, count;
    uint64_t *ids;
} list_op;

static mls_status run_list(mls__pg_store *store, mls__pg_op *op)
{
    list_op *list = (list_op *) (void *) op;
    const bool is_bounded = list->max_count <= INT32_MAX;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, (int64_t) list->after_id);
    mls__pg_add_text(&p, list->filter->queue);
    mls__pg_add_text(&p, list->filter->type);
    mls__pg_add_number(&p, list->filter->states);
    mls__pg_add_number(&p, is_bounded ? (int64_t) list->max_count : INT32_MAX);
    PGresult *result = mls__pg_run(store, MLS__PG_LIST, &p);
    if (!result)
        return store->txn.status;
    list->count = (size_t) PQntuples(result);
    for (size_t i = 0; i < list->count; i++)
        list->ids[i] = (uint64_t) mls__pg_number(result, (int) i, 0);
    PQclear(result);
    return MLS_OK;
}

mls_status mls__pg_list_ids(void *self, const mls_queue_filter *filter, uint64_t after_id,
                            size_t max_count, uint64_t *ret_ids, size_t *ret_count)
{
    static const mls__pg_kind kind = {.run = run_list};
    list_op list = {.op = {.kind = &kind},
                    .filter = filter,
                    .after_id = after_id,
                    .max_count = max_count,
                    .ids = ret_ids};
    const mls_status status = after_id > INT64_MAX ? MLS_OK : mls__pg_call(self, &list.op);
    if (!status)
        *ret_count = list.count;
    return status;
}
