/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of claims: only the present epoch ends a job, and its result comes with it. */
#include "queue/postgres/postgres.h"

#include <string.h>

/* An end with its job's row and a copy of its message that the server takes. */
typedef struct ends_work {
    mls__pg_row *rows;
    size_t row_count;
    char (*texts)[MLS_JOB_ERROR_MAX + 1]; /* by end */
} ends_work;

static void take_data(mls__pg_store *store, mls__pg_row *row, const mls_queue_end *end, char *text)
{
    if (end->event == MLS_JOB_ON_RELEASE)
        return;
    if (end->event == MLS_JOB_ON_SUCCEED) {
        if (end->data.data && end->data.size_bytes)
            row->result = (mls__pg_bytes){end->data.data, end->data.size_bytes};
        return;
    }
    mls__pg_clean(text, MLS_JOB_ERROR_MAX + 1, end->data.data ? end->data.data : "");
    row->numbers[MLS__PG_ERROR] = end->error;
    row->texts[MLS__PG_ERROR_TEXT] = text;
    if (end->event == MLS_JOB_ON_RETRY)
        row->numbers[MLS__PG_RUN_AT] = mls__pg_now_ms(store) + end->delay_ms;
    row->is_escalated = end->event == MLS_JOB_ON_ESCALATE;
    if (row->is_escalated)
        row->numbers[MLS__PG_MEMORY] = end->memory_bytes;
}

static bool judge(mls__pg_store *store, const ends_work *work, mls_queue_end *end, char *text)
{
    const mls__pg_hold *hold = end->job->hold;
    mls__pg_row *row = mls__pg_row_find(work->rows, work->row_count, hold->base.id);
    end->status = MLS_ESTALE;
    if (!row)
        return true;
    if ((uint64_t) row->numbers[MLS__PG_EPOCH] != hold->base.epoch ||
        !row->numbers[MLS__PG_MEMBER] || row->numbers[MLS__PG_MEMBER] != hold->member) {
        mls__pg_lane_add(row->lane, MLS__PG_STALE, 1);
        return true;
    }
    end->state = mls__pg_next(store, row->numbers[MLS__PG_STATE], end->event);
    end->status = MLS_OK;
    take_data(store, row, end, text);
    return mls__pg_end_claim(store, row, end->event);
}

static bool judge_all(mls__pg_store *store, const mls__pg_ends *ends, ends_work *work)
{
    work->texts = mls__pg_alloc(store, ends->count * sizeof *work->texts);
    if (!work->texts) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory to end %zu jobs", ends->count);
        return false;
    }
    for (size_t i = 0; i < ends->count; i++)
        if (!judge(store, work, ends->ends[i], work->texts[i]))
            return false;
    return mls__pg_rows_save(store, work->rows, work->row_count);
}

mls_status mls__pg_ends_run(mls__pg_store *store, const mls__pg_ends *ends)
{
    ends_work work = {0};
    PGresult *result;
    mls__pg_parameters p = {0};
    if (!ends->count)
        return MLS_OK;
    mls__pg_buffer *ids = mls__pg_begin_array(store, &p, false, ends->count);
    for (size_t i = 0; i < ends->count; i++)
        mls__pg_put_number(store, ids, (int64_t) ends->ends[i]->job->info->id);
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_LOCK, &p, &result, &work.rows, &work.row_count))
        return store->txn.status;
    judge_all(store, ends, &work);
    mls__pg_rows_free(store, result, work.rows);
    mls__pg_free(store, work.texts);
    return store->txn.status;
}

typedef struct finish_op {
    mls__pg_op op; /* first: they share an address */
    mls__pg_ends ends;
} finish_op;

static mls_status run_finish(mls__pg_store *store, mls__pg_op *op)
{
    return mls__pg_ends_run(store, &((finish_op *) (void *) op)->ends);
}

static void publish_finish(mls__pg_store *store, mls__pg_op *op)
{
    const finish_op *finish = (finish_op *) (void *) op;
    if (op->status)
        return;
    mls__ends_publish(&store->holds, finish->ends.ends, finish->ends.count);
    mls__pg_costs_note(store, finish->ends.ends, finish->ends.count);
}

static void abandon_finish(mls__pg_store *store, mls__pg_op *op)
{
    const finish_op *finish = (finish_op *) (void *) op;
    (void) store;
    mls__ends_abandon(finish->ends.ends, finish->ends.count);
}

mls_status mls__pg_finish(void *self, mls_queue_end *const *ends, size_t count)
{
    static const mls__pg_kind kind = {
        .run = run_finish, .publish = publish_finish, .abandon = abandon_finish};
    finish_op finish = {.op = {.kind = &kind}, .ends = {.ends = ends, .count = count}};
    const mls_status status = mls__pg_call(self, &finish.op);
    if (!status)
        mls__ends_settle(self, mls__pg_drop, ends, count);
    return status;
}
