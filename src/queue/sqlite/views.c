/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handles show: a copy of the row in one block, so that it stays as it was. What is
 * in segments is read by the thread that asked, outside of the transaction.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

enum { TYPE, QUEUE, TENANT, KEY, BATCH_KEY, OWNER, ERROR_TEXT, NOTE, TEXTS };

typedef struct layout {
    const char *texts[TEXTS];
    size_t sizes[TEXTS];
    size_t payload_at, result_at, total;
} layout;

static size_t own_size(const mls__sql_bytes *bytes)
{
    return bytes->at == MLS__SQL_AT_ROW || bytes->at == MLS__SQL_AT_BLOB ? (size_t) bytes->size : 0;
}

/* Payload and result are aligned as blocks of their own would be. */
static size_t align(size_t size)
{
    return (size + MLS__ALIGN - 1) / MLS__ALIGN * MLS__ALIGN;
}

/* All sizes are bounded by what a row may hold, so that no sum can overflow. */
static void lay_out(const mls__sql_row *row, layout *l)
{
    const char *const texts[TEXTS] = {row->lane->type, row->lane->names, row->tenant,
                                      row->key,        row->batch_key,   row->owner,
                                      row->error_text, row->note};
    l->total = sizeof(mls__sql_hold);
    for (size_t i = 0; i < TEXTS; i++) {
        l->texts[i] = texts[i] ? texts[i] : "";
        l->sizes[i] = strlen(l->texts[i]) + 1;
        l->total += l->sizes[i];
    }
    l->payload_at = align(l->total);
    l->result_at = align(l->payload_at + own_size(&row->payload));
    l->total = l->result_at + own_size(&row->result);
}

static void show_texts(const layout *l, char *at, mls_job_info *info)
{
    const char **const shown[TEXTS] = {&info->type,          &info->queue,        &info->tenant,
                                       &info->key,           &info->batch_key,    &info->owner,
                                       &info->error_message, &info->progress_note};
    for (size_t i = 0; i < TEXTS; at += l->sizes[i++]) {
        memcpy(at, l->texts[i], l->sizes[i]);
        *shown[i] = at;
    }
}

static void show_numbers(const mls__sql_row *row, mls_job_info *info)
{
    info->id = (uint64_t) row->id;
    info->epoch = (uint64_t) row->epoch;
    info->state = row->state;
    info->priority = row->priority;
    info->attempt = (uint32_t) row->attempt;
    info->max_attempts = (uint32_t) row->max_attempts;
    info->deaths = (uint32_t) row->deaths;
    info->backoff_ms = (uint32_t) row->backoff_ms;
    info->backoff_max_ms = (uint32_t) row->backoff_max_ms;
    info->jitter_percent = (uint32_t) row->jitter_percent;
    info->retention_ms = row->retention_ms;
    info->needs = row->lane->needs;
    info->escalations = (uint32_t) row->escalations;
    info->submitted_ms = row->submitted_ms;
    info->run_at_ms = row->run_at_ms;
    info->deadline_ms = row->deadline_ms;
    info->claimed_ms = row->claimed_ms;
    info->ended_ms = row->ended_ms;
    info->waiting_ns = (uint64_t) row->waiting_ns;
    info->running_ns = (uint64_t) row->running_ns;
    info->error = row->error;
    info->reserved = 0;
    info->progress = row->progress;
}

/* A blob's row into `to`; it must be as long as the job's row says. */
static bool load_blob(mls__sql_store *store, int64_t id, char *to, size_t size)
{
    sqlite3_stmt *load = mls__sql_prepare(store, MLS__SQL_BLOB_LOAD);
    if (!load)
        return false;
    sqlite3_bind_int64(load, 1, id);
    const int code = mls__sql_step(store, load);
    const bool is_good = code == SQLITE_ROW && (size_t) sqlite3_column_bytes(load, 0) == size;
    if (is_good)
        memcpy(to, sqlite3_column_blob(load, 0), size);
    else if (code == SQLITE_ROW || code == SQLITE_DONE)
        mls__sql_fail(store, mls__error(MLS_EFORMAT, "the payload or result of job %lld is damaged",
                                        (long long) (id / 2)));
    sqlite3_reset(load);
    return is_good;
}

/* Shows bytes at `to`; of a segment only the hash is taken. */
static bool show_bytes(mls__sql_store *store, const mls__sql_bytes *bytes, int64_t blob_id,
                       char *to, unsigned char *hash, bool *in_segment, const void **ret_data)
{
    *ret_data = NULL;
    if (bytes->at == MLS__SQL_AT_NONE)
        return true;
    *ret_data = to;
    if (bytes->at == MLS__SQL_AT_BLOB)
        return load_blob(store, blob_id, to, (size_t) bytes->size);
    *in_segment = bytes->at == MLS__SQL_AT_SEGMENT;
    if (*in_segment)
        memcpy(hash, bytes->data, MLS__SQL_HASH_BYTES);
    else if (bytes->size)
        memcpy(to, bytes->data, (size_t) bytes->size);
    return true;
}

mls_status mls__sql_show(mls__sql_store *store, const mls__sql_row *row, mls_job_info *info,
                         mls__sql_hold **ret_hold)
{
    layout l;
    lay_out(row, &l);
    mls__sql_hold *hold = mls__alloc(&store->context->allocator, l.total);
    if (!hold)
        return mls__error_nomem(l.total);
    memset(hold, 0, sizeof *hold);
    hold->base.id = (uint64_t) row->id;
    hold->base.epoch = (uint64_t) row->epoch;
    char *block = (char *) hold;
    show_texts(&l, (char *) (hold + 1), info);
    show_numbers(row, info);
    info->payload_bytes = (size_t) row->payload.size;
    info->result_bytes = (size_t) row->result.size;
    if (!show_bytes(store, &row->payload, 2 * row->id, block + l.payload_at, hold->payload_hash,
                    &hold->payload_in_segment, &info->payload) ||
        !show_bytes(store, &row->result, 2 * row->id + 1, block + l.result_at, hold->result_hash,
                    &hold->result_in_segment, &info->result)) {
        mls__free(&store->context->allocator, hold);
        return store->txn.status;
    }
    if (!info->result_bytes)
        info->result = NULL;
    *ret_hold = hold;
    return MLS_OK;
}

mls_status mls__sql_show_segments(mls__sql_store *store, mls_queue_job *shown)
{
    mls__sql_hold *hold = shown->hold;
    mls_job_info *info = shown->info;
    mls_status status = MLS_OK;
    if (hold->payload_in_segment) {
        status = mls__sql_segment_read(store, hold->payload_hash, info->payload_bytes,
                                       &hold->payload_block);
        info->payload = hold->payload_block;
        hold->payload_in_segment = status != MLS_OK;
    }
    if (!status && hold->result_in_segment) {
        status = mls__sql_segment_read(store, hold->result_hash, info->result_bytes,
                                       &hold->result_block);
        info->result = hold->result_block;
        hold->result_in_segment = status != MLS_OK;
    }
    return status;
}

void mls__sql_hold_free(mls__sql_store *store, mls__sql_hold *hold)
{
    const mls__allocator *allocator = &store->context->allocator;
    mls__free(allocator, hold->payload_block);
    mls__free(allocator, hold->result_block);
    mls__free(allocator, hold);
}

uint32_t mls__sql_signals(void *self, const mls_queue_job *shown)
{
    const mls__sql_hold *hold = shown->hold;
    (void) self;
    return mls__hold_signals(&hold->base);
}

void mls__sql_drop(void *self, mls_queue_job *shown)
{
    mls__sql_store *store = self;
    mls__sql_hold *hold = shown->hold;
    shown->hold = NULL;
    if (!hold)
        return;
    if (mls__holds_remove(&store->holds, &hold->base))
        mls__sql_return(store, hold);
    mls__sql_hold_free(store, hold);
}
