/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of claims: only the present epoch ends a job, and its result comes with it. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

#define MOST_TRIES 8 /* to write segments that others keep removing */

static bool is_large(const mls_queue_end *end)
{
    return end->event == MLS_JOB_ON_SUCCEED && end->data.data &&
           end->data.size_bytes > MLS__SQL_BLOB_BYTES;
}

mls_status mls__sql_ends_prepare(mls__sql_store *store, mls__sql_ends *ends)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < ends->count; i++) {
        const mls_queue_end *end = ends->ends[i];
        if (!is_large(end))
            continue;
        if (!ends->hashes)
            ends->hashes =
                mls__alloc_array(&store->context->allocator, ends->count, sizeof *ends->hashes);
        status = ends->hashes ? mls__sql_segment_write(store, end->data.data, end->data.size_bytes,
                                                       ends->hashes[i])
                              : mls__error_nomem(ends->count);
    }
    return status;
}

void mls__sql_ends_clear(mls__sql_store *store, mls__sql_ends *ends)
{
    mls__free(&store->context->allocator, ends->hashes);
    ends->hashes = NULL;
}

bool mls__sql_ends_must_sync(const mls__sql_ends *ends)
{
    for (size_t i = 0; i < ends->count; i++)
        if (ends->ends[i]->event != MLS_JOB_ON_RELEASE)
            return true;
    return false;
}

static bool take_result(mls__sql_store *store, mls__sql_row *row, const mls_queue_end *end,
                        const unsigned char *hash)
{
    row->result = mls__sql_bytes_of(end->data.data, end->data.size_bytes, hash);
    return mls__sql_bytes_store(store, row->id, 1, &row->result);
}

static bool take_data(mls__sql_store *store, mls__sql_row *row, const mls_queue_end *end,
                      const unsigned char *hash)
{
    if (end->event == MLS_JOB_ON_SUCCEED)
        return take_result(store, row, end, hash);
    if (end->event == MLS_JOB_ON_RELEASE)
        return true;
    row->error = end->error;
    row->error_text = end->data.data;
    if (end->event == MLS_JOB_ON_RETRY)
        row->run_at_ms = store->txn.now_ms + end->delay_ms;
    if (end->event != MLS_JOB_ON_ESCALATE)
        return true;
    mls_resources needs = row->lane->needs;
    needs.memory_bytes = end->memory_bytes;
    return mls__sql_lane_make(store, row->lane->names, row->lane->type, row->lane->tenant,
                              row->lane->is_keyed, &needs, &row->next_lane) == MLS_OK;
}

static bool judge(mls__sql_store *store, mls_queue_end *end, const unsigned char *hash)
{
    const mls_job_info *info = end->job->info;
    mls__sql_row row;
    const int found = mls__sql_row_load(store, info->id, &row);
    if (found < 0)
        return false;
    end->status = MLS_ESTALE;
    if (!found)
        return true;
    if ((uint64_t) row.epoch != info->epoch || !row.member) {
        mls__sql_lane_add(store, row.lane, MLS__SQL_STALE, 1);
        return true;
    }
    end->state = mls__sql_next(store, row.state, end->event);
    end->status = MLS_OK;
    return take_data(store, &row, end, hash) && mls__sql_end_claim(store, &row, end->event);
}

static bool has_segments(mls__sql_store *store, const mls__sql_ends *ends)
{
    for (size_t i = 0; ends->hashes && i < ends->count; i++)
        if (is_large(ends->ends[i]) && !mls__sql_segment_exists(store, ends->hashes[i]))
            return false;
    return true;
}

mls_status mls__sql_ends_run(mls__sql_store *store, mls__sql_op *op, const mls__sql_ends *ends)
{
    if (!has_segments(store, ends)) {
        op->again = true;
        return mls__error(MLS_EIO, "segments of the results are gone");
    }
    for (size_t i = 0; i < ends->count; i++)
        if (!judge(store, ends->ends[i], ends->hashes ? ends->hashes[i] : NULL))
            return store->txn.status;
    return MLS_OK;
}

typedef struct finish_op {
    mls__sql_op op; /* first: they share an address */
    mls__sql_ends ends;
} finish_op;

static mls_status run_finish(mls__sql_store *store, mls__sql_op *op)
{
    return mls__sql_ends_run(store, op, &((finish_op *) (void *) op)->ends);
}

static void publish_finish(mls__sql_store *store, mls__sql_op *op)
{
    const finish_op *finish = (finish_op *) (void *) op;
    if (op->status)
        return;
    mls__ends_publish(&store->holds, finish->ends.ends, finish->ends.count);
    mls__sql_costs_note(store, finish->ends.ends, finish->ends.count);
}

static void abandon_finish(mls__sql_store *store, mls__sql_op *op)
{
    const finish_op *finish = (finish_op *) (void *) op;
    (void) store;
    mls__ends_abandon(finish->ends.ends, finish->ends.count);
}

mls_status mls__sql_finish(void *self, mls_queue_end *const *ends, size_t count)
{
    static const mls__sql_kind kind = {
        .run = run_finish, .publish = publish_finish, .abandon = abandon_finish};
    mls__sql_store *store = self;
    finish_op finish = {.op = {.kind = &kind}, .ends = {.ends = ends, .count = count}};
    finish.op.must_sync = mls__sql_ends_must_sync(&finish.ends);
    mls_status status = MLS_OK;
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        status = mls__sql_ends_prepare(store, &finish.ends);
        if (!status)
            status = mls__sql_call(store, &finish.op);
        if (!finish.op.again)
            break;
    }
    if (!status)
        mls__ends_settle(store, mls__sql_drop, ends, count);
    mls__sql_ends_clear(store, &finish.ends);
    return status;
}
