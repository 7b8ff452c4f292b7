/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitting: all jobs of a call in one transaction. Jobs without keys gather in buffers,
 * which go to the server as one COPY when somebody may look for them: those of all calls
 * of a group, most of the time. Jobs with keys go one by one, since each may be taken.
 * Bytes are copied to the server, so that what was handed over is given back as soon as
 * that is done. Ids come in blocks, so that no round trip is needed for one.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

#define MOST_TRIES  16 /* to find who has a key that others take and give back */
#define ADD_NUMBERS 17
#define MOST_BYTES  (4u << 20) /* that are gathered before they are sent */

typedef struct submit_op {
    mls__pg_op op; /* first: they share an address */
    const mls_queue_item *const *items;
    size_t count;
    uint64_t *ids;
    bool is_keyed, has_parents;
    mls__pg_family *family; /* while it runs, if it has parents */
} submit_op;

static bool take_id(mls__pg_store *store, int64_t *ret_id)
{
    if (!store->ids_left) {
        PGresult *result = mls__pg_run(store, MLS__PG_TAKE_IDS, NULL);
        if (!result)
            return false;
        store->next_id = mls__pg_number(result, 0, 0);
        store->ids_left = MLS__PG_ID_BLOCK;
        PQclear(result);
    }
    store->ids_left--;
    *ret_id = store->next_id++;
    return true;
}

static bool fill_row(mls__pg_store *store, const submit_op *s, size_t index, mls__pg_row *row)
{
    const mls_queue_item *item = s->items[index];
    const mls_job_options *o = item->options;
    *row = (mls__pg_row){0};
    row->numbers[MLS__PG_STATE] = item->state;
    row->numbers[MLS__PG_PRIORITY] = o->priority;
    row->numbers[MLS__PG_MAX_ATTEMPTS] = o->max_attempts;
    row->numbers[MLS__PG_BACKOFF] = o->backoff_ms;
    row->numbers[MLS__PG_BACKOFF_MAX] = o->backoff_max_ms;
    row->numbers[MLS__PG_JITTER] = o->jitter_percent;
    row->numbers[MLS__PG_RETENTION] = o->retention_ms;
    row->numbers[MLS__PG_SUBMITTED_AT] = mls__pg_now_ms(store);
    row->numbers[MLS__PG_RUN_AT] = item->due_ms;
    row->numbers[MLS__PG_DEADLINE] = o->deadline_ms;
    row->numbers[MLS__PG_SINCE] = store->txn.now_us;
    row->numbers[MLS__PG_CPU] = o->needs.cpu_milli;
    row->numbers[MLS__PG_MEMORY] = o->needs.memory_bytes;
    row->numbers[MLS__PG_GPUS] = o->needs.gpus;
    row->lane = mls__pg_lane_of(store, o->queue, o->type);
    if (!row->lane || !take_id(store, &row->numbers[MLS__PG_ID]))
        return false;
    if (s->family && !mls__pg_family_judge(store, s->family, index, row))
        return false;
    /* An attempt that was not kept may have been at it before: it counts anew. */
    mls__pg_begin_row(store, row);
    return true;
}

/* What a statement that adds a job begins with. */
static const int add_numbers[ADD_NUMBERS] = {
    MLS__PG_ID,      MLS__PG_STATE,       MLS__PG_PRIORITY, MLS__PG_RANK,      MLS__PG_MAX_ATTEMPTS,
    MLS__PG_BACKOFF, MLS__PG_BACKOFF_MAX, MLS__PG_JITTER,   MLS__PG_RETENTION, MLS__PG_SUBMITTED_AT,
    MLS__PG_RUN_AT,  MLS__PG_DEADLINE,    MLS__PG_SINCE,    MLS__PG_TIMER,     MLS__PG_CPU,
    MLS__PG_MEMORY,  MLS__PG_GPUS};

/* 1 added, 0 the key is taken, -1 failed. */
static int add_one(mls__pg_store *store, const mls_job_options *o, const mls__pg_row *row)
{
    mls__pg_parameters p = {0};
    for (int i = 0; i < ADD_NUMBERS; i++)
        mls__pg_add_number(&p, row->numbers[add_numbers[i]]);
    mls__pg_add_text(&p, o->queue);
    mls__pg_add_text(&p, o->type);
    mls__pg_add_text(&p, o->tenant);
    mls__pg_add_text(&p, o->key);
    mls__pg_add_text(&p, o->batch_key);
    mls__pg_add_bytes(&p, (mls__pg_bytes){o->payload, o->payload_bytes});
    PGresult *result = mls__pg_run(store, MLS__PG_JOB_ADD, &p);
    if (!result)
        return -1;
    const int added = PQntuples(result);
    PQclear(result);
    return added;
}

int64_t mls__pg_find_key(mls__pg_store *store, const char *key)
{
    mls__pg_parameters p = {0};
    mls__pg_add_text(&p, key);
    PGresult *result = mls__pg_run(store, MLS__PG_JOB_BY_KEY, &p);
    if (!result)
        return -1;
    const int64_t id = PQntuples(result) ? mls__pg_number(result, 0, 0) : 0;
    PQclear(result);
    return id;
}

/* Takes the counts of a row back that was not added. */
static void uncount(mls__pg_row *row)
{
    mls__pg_lane_add(row->lane, MLS__PG_SUBMITTED, -1);
    mls__pg_lane_add(row->lane, (int) row->numbers[MLS__PG_STATE] - MLS_JOB_SCHEDULED, -1);
}

/* Adds one job, or finds the one that it joins. MLS_EEXIST: its key is taken. */
static mls_status add_job(mls__pg_store *store, submit_op *s, size_t index)
{
    const mls_job_options *o = s->items[index]->options;
    mls__pg_row row;
    if (!fill_row(store, s, index, &row))
        return store->txn.status;
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        s->ids[index] = (uint64_t) row.numbers[MLS__PG_ID];
        const int added = add_one(store, o, &row);
        if (added > 0 && s->family)
            mls__pg_family_add(store, s->family, index, &row);
        if (added)
            return store->txn.status;
        const int64_t holder = mls__pg_find_key(store, o->key);
        if (holder < 0)
            return store->txn.status;
        if (!holder)
            continue; /* it went meanwhile */
        uncount(&row);
        s->ids[index] = (uint64_t) holder;
        if (o->flags & MLS_JOB_JOIN)
            return MLS_OK;
        return mls__pg_set_status(&s->op, MLS_EEXIST, "key '%s' is taken by job %lld", o->key,
                                  (long long) holder);
    }
    return mls__pg_fail(store, MLS_EIO, "key '%s' is taken and given back by others", o->key);
}

static mls_status add_each(mls__pg_store *store, submit_op *s)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < s->count; i++)
        status = add_job(store, s, i);
    return status;
}

/* A bulk in which a key is taken leaves nothing: what was added of it, and counted, goes. */
static mls_status add_keyed(mls__pg_store *store, submit_op *s)
{
    if (!mls__pg_lanes_save(store) || !mls__pg_do(store, "SAVEPOINT bulk"))
        return store->txn.status;
    const mls__pg_txn before = store->txn;
    const mls_status status = add_each(store, s);
    if (store->txn.status)
        return status;
    if (status) {
        mls__pg_do(store, "ROLLBACK TO bulk");
        mls__pg_lanes_clear(store);
        store->txn.news = before.news;
        store->txn.is_ready_news = before.is_ready_news;
    }
    mls__pg_do(store, "RELEASE bulk");
    return store->txn.status ? store->txn.status : status;
}

static void put_job(mls__pg_store *store, mls__pg_buffer *jobs, const mls_job_options *o,
                    const mls__pg_row *row)
{
    mls__pg_put_int16(store, jobs, ADD_NUMBERS + 4);
    for (int i = 0; i < ADD_NUMBERS; i++) {
        if (add_numbers[i] == MLS__PG_TIMER && !row->numbers[MLS__PG_TIMER])
            mls__pg_put_null(store, jobs);
        else
            mls__pg_put_number(store, jobs, row->numbers[add_numbers[i]]);
    }
    mls__pg_put_text(store, jobs, o->queue);
    mls__pg_put_text(store, jobs, o->type);
    mls__pg_put_text(store, jobs, o->tenant);
    mls__pg_put_text(store, jobs, o->batch_key);
}

static void put_payload(mls__pg_store *store, mls__pg_buffer *payloads, const mls_job_options *o,
                        int64_t id)
{
    mls__pg_put_int16(store, payloads, 3);
    mls__pg_put_number(store, payloads, id);
    mls__pg_put_number(store, payloads, 0);
    mls__pg_put_bytes(store, payloads, o->payload, o->payload_bytes);
}

static const char copy_jobs[] =
    "COPY jobs(id, state, priority, rank, max_attempts, backoff_ms, backoff_max_ms,"
    " jitter_percent, retention_ms, submitted_ms, run_at_ms, deadline_ms, since_us, timer_ms,"
    " cpu_milli, memory_bytes, gpus,"
    " queue, type, tenant, batch_key) FROM STDIN (FORMAT binary)";
static const char copy_payloads[] = "COPY payloads FROM STDIN (FORMAT binary)";

static bool gather(mls__pg_store *store, submit_op *s, size_t index)
{
    const mls_job_options *o = s->items[index]->options;
    mls__pg_row row;
    if (!fill_row(store, s, index, &row))
        return false;
    s->ids[index] = (uint64_t) row.numbers[MLS__PG_ID];
    put_job(store, &store->jobs, o, &row);
    if (o->payload)
        put_payload(store, &store->payloads, o, row.numbers[MLS__PG_ID]);
    if (s->family && !mls__pg_family_add(store, s->family, index, &row))
        return false;
    return store->jobs.size + store->payloads.size < MOST_BYTES || mls__pg_submit_flush(store);
}

static mls_status gather_all(mls__pg_store *store, submit_op *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!gather(store, s, i))
            return store->txn.status;
    return MLS_OK;
}

static bool flush(mls__pg_store *store, mls__pg_buffer *rows, const char *sql)
{
    if (!rows->size && !rows->has_failed)
        return true;
    const bool is_good = mls__pg_copy(store, sql, rows);
    if (is_good && rows->room <= MOST_BYTES)
        rows->size = 0; /* its memory serves the next ones */
    else
        mls__pg_buffer_clear(store, rows);
    return is_good;
}

bool mls__pg_submit_flush(mls__pg_store *store)
{
    return flush(store, &store->jobs, copy_jobs) && flush(store, &store->payloads, copy_payloads);
}

void mls__pg_submit_forget(mls__pg_store *store)
{
    mls__pg_buffer_clear(store, &store->jobs);
    mls__pg_buffer_clear(store, &store->payloads);
}

static mls_status add_jobs(mls__pg_store *store, submit_op *s)
{
    if (!s->is_keyed)
        return gather_all(store, s);
    return s->count == 1 ? add_job(store, s, 0) : add_keyed(store, s);
}

/* Jobs of which some depend on others. */
static mls_status add_family(mls__pg_store *store, submit_op *s)
{
    mls_status status;
    if (!mls__pg_submit_flush(store))
        return store->txn.status;
    s->family = mls__pg_family_begin(store, &s->op, s->items, s->count, s->ids, &status);
    if (!s->family)
        return status;
    status = add_jobs(store, s);
    if (!status && !mls__pg_family_end(store, s->family))
        status = store->txn.status;
    mls__pg_family_free(store, s->family);
    s->family = NULL;
    return status;
}

static mls_status run_submit(mls__pg_store *store, mls__pg_op *op)
{
    submit_op *s = (submit_op *) (void *) op;
    store->txn.is_writing = true;
    store->txn.must_sync |= !op->is_async;
    if (s->has_parents)
        return add_family(store, s);
    if (s->is_keyed && !mls__pg_submit_flush(store))
        return store->txn.status;
    return add_jobs(store, s);
}

bool mls__pg_needs_any(const mls_job_options *o)
{
    return o->needs.cpu_milli || o->needs.memory_bytes || o->needs.gpus;
}

mls_status mls__pg_submit_now(mls__pg_store *store, const mls_queue_item *item)
{
    const mls_job_options *o = item->options;
    uint64_t id;
    submit_op s = {.items = &item, .count = 1, .ids = &id, .is_keyed = o->key[0] != '\0'};
    const mls_status status = run_submit(store, &s.op);
    return s.op.status ? mls__pg_status_of(store, &s.op) : status;
}

static void give_back(const submit_op *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const mls_job_options *o = s->items[i]->options;
        if (o->payload_free)
            o->payload_free(o->payload_user, (void *) (uintptr_t) o->payload, o->payload_bytes);
    }
}

mls_status mls__pg_submit(void *self, const mls_queue_item *const *items, size_t count,
                          uint64_t until_ns, uint64_t *ret_ids)
{
    static const mls__pg_kind kind = {.run = run_submit, .gathers = true};
    submit_op s = {
        .op = {.kind = &kind, .is_async = true}, .items = items, .count = count, .ids = ret_ids};
    (void) until_ns; /* there is always room */
    for (size_t i = 0; i < count; i++) {
        const mls_job_options *o = items[i]->options;
        s.is_keyed |= o->key[0] != '\0';
        s.has_parents |= o->depends_on_count != 0;
        s.op.shares |= o->tenant[0] != '\0';
        s.op.needs |= mls__pg_needs_any(o);
        /* One that joins promises what the other may not have done yet: it syncs both. */
        if (o->ack == MLS_ACK_DEFAULT || o->ack == MLS_ACK_DURABLE)
            s.op.is_async = false;
    }
    const mls_status status = mls__pg_call(self, &s.op);
    if (!status)
        give_back(&s);
    return status;
}
