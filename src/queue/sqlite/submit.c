/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitting: all jobs of a call in one transaction. Bytes are copied into the file, so
 * that what was handed over is given back as soon as that is done.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

#define MOST_TRIES 8 /* to write segments that others keep removing */

static bool is_large(const mls_job_options *options)
{
    return options->payload && options->payload_bytes > MLS__SQL_BLOB_BYTES;
}

/* The job that has the key; 0: none. */
static int64_t find_key(mls__sql_store *store, const char *key)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_JOB_BY_KEY);
    if (!find)
        return 0;
    sqlite3_bind_text(find, 1, key, -1, SQLITE_STATIC);
    const int64_t id = mls__sql_step(store, find) == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    return id;
}

static void fill_row(mls__sql_store *store, const mls__sql_submit_op *s, size_t index,
                     mls__sql_row *row)
{
    const mls_job_options *o = s->items[index]->options;
    *row = (mls__sql_row){
        .id = s->given_id ? (int64_t) s->given_id : store->txn.meta.next_id++,
        .lane = s->lanes[index],
        .state = s->items[index]->state,
        .priority = o->priority,
        .max_attempts = o->max_attempts,
        .backoff_ms = o->backoff_ms,
        .backoff_max_ms = o->backoff_max_ms,
        .jitter_percent = o->jitter_percent,
        .retention_ms = o->retention_ms,
        .submitted_ms = store->txn.now_ms,
        .run_at_ms = s->items[index]->due_ms,
        .deadline_ms = o->deadline_ms,
        .since_ns = store->txn.boot_ns,
        .key = o->key,
        .tenant = o->tenant,
        .batch_key = o->batch_key,
        .payload =
            mls__sql_bytes_of(o->payload, o->payload_bytes, s->hashes ? s->hashes[index] : NULL),
    };
    store->txn.meta_is_dirty = true;
    if (o->tenant[0])
        store->txn.meta.shares = 1;
}

/* Adds the row of a job that depends on others as what these leave of it. */
static bool add_child(mls__sql_store *store, const mls__sql_submit_op *s, const mls_job_options *o,
                      mls__sql_row *row)
{
    int64_t parent;
    int32_t parent_state;
    if (!mls__sql_parents_begin(store, o, s->ids, row, &parent, &parent_state))
        return false;
    mls__sql_begin_row(store, row);
    if (!mls__sql_row_add(store, row) || !mls__sql_bytes_store(store, row->id, 0, &row->payload))
        return false;
    return !parent || mls__sql_parents_cancel(store, row, parent, parent_state);
}

/* Adds one job, or finds the one that it joins. MLS_EEXIST: its key is taken. */
static mls_status add_job(mls__sql_store *store, const mls__sql_submit_op *s, size_t index)
{
    const mls_job_options *o = s->items[index]->options;
    mls__sql_row row;
    const int64_t holder = o->key[0] ? find_key(store, o->key) : 0;
    s->ids[index] = (uint64_t) holder;
    if (holder && o->flags & MLS_JOB_JOIN)
        return MLS_OK;
    if (holder)
        return mls__error(MLS_EEXIST, "key '%s' is taken by job %lld", o->key, (long long) holder);
    if (store->txn.status)
        return store->txn.status;
    fill_row(store, s, index, &row);
    s->ids[index] = (uint64_t) row.id;
    if (row.state == MLS_JOB_BLOCKED) {
        add_child(store, s, o, &row);
        return store->txn.status;
    }
    mls__sql_begin_row(store, &row);
    if (mls__sql_row_add(store, &row))
        mls__sql_bytes_store(store, row.id, 0, &row.payload);
    return store->txn.status;
}

static mls_status make_lanes(mls__sql_store *store, const mls__sql_submit_op *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const mls_job_options *o = s->items[i]->options;
        const mls_status status = mls__sql_lane_make(
            store, o->queue, o->type, o->tenant, o->batch_key[0] != '\0', &o->needs, &s->lanes[i]);
        if (status)
            return status;
    }
    return MLS_OK;
}

/* Whether all parents are known, before anything is added. */
static mls_status check_parents(mls__sql_store *store, const mls__sql_submit_op *s)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < s->count; i++) {
        const mls_job_options *o = s->items[i]->options;
        if (!o->depends_on_count)
            continue;
        if (o->flags & MLS_JOB_JOIN && o->key[0] && find_key(store, o->key))
            continue; /* nothing of it will be kept */
        status = store->txn.status ? store->txn.status : mls__sql_parents_check(store, o);
    }
    return status;
}

static bool has_segments(mls__sql_store *store, const mls__sql_submit_op *s)
{
    for (size_t i = 0; s->hashes && i < s->count; i++)
        if (is_large(s->items[i]->options) && !mls__sql_segment_exists(store, s->hashes[i]))
            return false;
    return true;
}

/* A bulk in which a key is taken leaves nothing: what was added of it, and counted, goes. */
static mls_status add_all(mls__sql_store *store, const mls__sql_submit_op *s)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < s->count; i++)
        status = add_job(store, s, i);
    return status;
}

static mls_status add_bulk(mls__sql_store *store, const mls__sql_submit_op *s)
{
    if (!mls__sql_lanes_save(store) || !mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_SAVE)))
        return store->txn.status;
    const mls__sql_txn before = store->txn;
    const mls_status status = add_all(store, s);
    if (store->txn.status)
        return status;
    if (status) {
        mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_UNSAVE));
        mls__sql_lanes_clear(store);
        store->txn.news = before.news;
        store->txn.is_ready_news = before.is_ready_news;
        store->txn.meta.edges = before.meta.edges;
    }
    mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_RELEASE));
    return status;
}

mls_status mls__sql_submit_run(mls__sql_store *store, mls__sql_op *op)
{
    mls__sql_submit_op *s = (mls__sql_submit_op *) (void *) op;
    if (!has_segments(store, s)) {
        op->again = true;
        return mls__error(MLS_EIO, "segments of the payloads are gone");
    }
    mls_status status = make_lanes(store, s);
    if (!status)
        status = check_parents(store, s);
    if (status)
        return status;
    mls__sql_ids_reserve(store, s);
    bool is_keyed = false;
    for (size_t i = 0; i < s->count; i++)
        is_keyed |= s->items[i]->options->key[0] != '\0';
    return is_keyed && s->count > 1 ? add_bulk(store, s) : add_all(store, s);
}

mls_status mls__sql_submit_now(mls__sql_store *store, const mls_queue_item *item)
{
    uint64_t id;
    mls__sql_lane *lane;
    const mls_queue_item *const items[] = {item};
    const mls__sql_submit_op s = {.items = items, .count = 1, .ids = &id, .lanes = &lane};
    const mls_status status = make_lanes(store, &s);
    return status ? status : add_all(store, &s);
}

void mls__sql_submit_publish(mls__sql_store *store, mls__sql_op *op)
{
    mls__sql_ids_publish(store, (mls__sql_submit_op *) (void *) op);
}

void mls__sql_submit_abandon(mls__sql_store *store, mls__sql_op *op)
{
    (void) store;
    ((mls__sql_submit_op *) (void *) op)->reserved = 0;
}

static mls_status write_segments(mls__sql_store *store, mls__sql_submit_op *s)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < s->count; i++) {
        const mls_job_options *o = s->items[i]->options;
        if (is_large(o))
            status = mls__sql_segment_write(store, o->payload, o->payload_bytes, s->hashes[i]);
    }
    return status;
}

static mls_status allocate(mls__sql_store *store, mls__sql_submit_op *s)
{
    const mls__allocator *allocator = &store->context->allocator;
    bool is_any_large = false;
    for (size_t i = 0; i < s->count; i++)
        is_any_large |= is_large(s->items[i]->options);
    s->lanes = mls__alloc_array(allocator, s->count, sizeof(mls__sql_lane *));
    if (is_any_large)
        s->hashes = mls__alloc_array(allocator, s->count, sizeof *s->hashes);
    if (!s->lanes || (is_any_large && !s->hashes))
        return mls__error_nomem(s->count);
    return MLS_OK;
}

static bool must_sync(const mls__sql_submit_op *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i]->options->ack == MLS_ACK_DEFAULT ||
            s->items[i]->options->ack == MLS_ACK_DURABLE)
            return true;
    return false;
}

static void give_back(const mls__sql_submit_op *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const mls_job_options *o = s->items[i]->options;
        if (o->payload_free)
            o->payload_free(o->payload_user, (void *) (uintptr_t) o->payload, o->payload_bytes);
    }
}

mls_status mls__sql_submit(void *self, const mls_queue_item *const *items, size_t count,
                           uint64_t until_ns, uint64_t *ret_ids)
{
    static const mls__sql_kind kind = {.run = mls__sql_submit_run,
                                       .publish = mls__sql_submit_publish,
                                       .abandon = mls__sql_submit_abandon};
    mls__sql_store *store = self;
    if (mls__sql_submit_later(store, items, count, ret_ids))
        return MLS_OK;
    mls__sql_lane *one_lane;
    mls__sql_submit_op s = {.op = {.kind = &kind}, .items = items, .count = count, .ids = ret_ids};
    (void) until_ns; /* there is always room */
    s.op.must_sync = must_sync(&s);
    mls_status status = MLS_OK;
    const bool is_small = count == 1 && !is_large(items[0]->options);
    if (is_small)
        s.lanes = &one_lane;
    else
        status = allocate(store, &s);
    for (int tries = 0; !status && tries < MOST_TRIES; tries++) {
        if (s.hashes)
            status = write_segments(store, &s);
        if (status)
            break;
        status = mls__sql_call(store, &s.op);
        if (!s.op.again)
            break;
        status = tries + 1 < MOST_TRIES ? MLS_OK : status;
    }
    if (!status)
        give_back(&s);
    if (!is_small) {
        mls__free(&store->context->allocator, s.lanes);
        mls__free(&store->context->allocator, s.hashes);
    }
    return status;
}
