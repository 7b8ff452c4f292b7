/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs from and to the file, and their bytes: in the row, in a row of their own, in a file. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

static const char *text_or_null(sqlite3_stmt *statement, int column)
{
    return (const char *) sqlite3_column_text(statement, column);
}

static mls__sql_bytes read_bytes(sqlite3_stmt *statement, int column)
{
    mls__sql_bytes bytes = {.at = sqlite3_column_int(statement, column),
                            .data = sqlite3_column_blob(statement, column + 1),
                            .size = sqlite3_column_int64(statement, column + 2)};
    if (bytes.at == MLS__SQL_AT_ROW && !bytes.data)
        bytes.data = ""; /* SQLite has no address for a blob of no bytes */
    return bytes;
}

/* Whether what the row says of its bytes is what it has: the file may be damaged. */
static bool is_sound(sqlite3_stmt *statement, int column, const mls__sql_bytes *bytes)
{
    const int size = sqlite3_column_bytes(statement, column + 1);
    switch (bytes->at) {
    case MLS__SQL_AT_NONE:
        return bytes->size == 0;
    case MLS__SQL_AT_ROW:
        return bytes->size == size;
    case MLS__SQL_AT_BLOB:
        return bytes->size >= 0 && bytes->size <= MLS__SQL_BLOB_BYTES;
    case MLS__SQL_AT_SEGMENT:
        return size == MLS__SQL_HASH_BYTES && bytes->size >= 0;
    default:
        return false;
    }
}

#define NUMBERS 20 /* columns from the rank to the claimer */

static void list_numbers(mls__sql_row *row, int64_t *ret_numbers[NUMBERS])
{
    int64_t *const numbers[NUMBERS] = {
        &row->rank,         &row->epoch,        &row->attempt,        &row->max_attempts,
        &row->deaths,       &row->backoff_ms,   &row->backoff_max_ms, &row->jitter_percent,
        &row->retention_ms, &row->submitted_ms, &row->run_at_ms,      &row->deadline_ms,
        &row->claimed_ms,   &row->ended_ms,     &row->since_ns,       &row->waiting_ns,
        &row->running_ns,   &row->timer_ms,     &row->member,         &row->claimer};
    memcpy(ret_numbers, numbers, sizeof numbers);
}

/* false: a number is none that a queue would write. Sums of few of these cannot overflow. */
static bool read_row(sqlite3_stmt *s, mls__sql_row *row)
{
    int64_t *numbers[NUMBERS];
    bool is_possible = MLS__SQL_IS_POSSIBLE(sqlite3_column_int64(s, 0));
    list_numbers(row, numbers);
    row->id = sqlite3_column_int64(s, 0);
    row->state = sqlite3_column_int(s, 2);
    row->priority = sqlite3_column_int(s, 3);
    for (size_t i = 0; i < NUMBERS; i++) {
        *numbers[i] = sqlite3_column_int64(s, 4 + (int) i);
        is_possible = is_possible && MLS__SQL_IS_POSSIBLE(*numbers[i]);
    }
    row->owner = text_or_null(s, 24);
    row->key = text_or_null(s, 25);
    row->tenant = text_or_null(s, 26);
    row->batch_key = text_or_null(s, 27);
    row->payload = read_bytes(s, 28);
    row->result = read_bytes(s, 31);
    row->error = sqlite3_column_int(s, 34);
    row->error_text = text_or_null(s, 35);
    row->progress = sqlite3_column_double(s, 36);
    row->note = text_or_null(s, 37);
    row->escalations = sqlite3_column_int64(s, 38);
    row->next_lane = NULL;
    return is_possible && MLS__SQL_IS_POSSIBLE(row->escalations);
}

/* The lane, without failing the transaction when the file is damaged; NULL then. */
static mls__sql_lane *find_lane(mls__sql_store *store, int64_t id)
{
    mls__sql_lane *lane = mls__sql_lane_of(store, id);
    if (!lane && store->txn.status == MLS_EFORMAT)
        store->txn.status = MLS_OK;
    return lane;
}

int mls__sql_row_look(mls__sql_store *store, uint64_t id, mls__sql_row *ret_row)
{
    sqlite3_stmt *load = mls__sql_prepare(store, MLS__SQL_JOB_LOAD);
    if (!load)
        return -1;
    if (id > INT64_MAX)
        return 0;
    sqlite3_bind_int64(load, 1, (int64_t) id);
    const int code = mls__sql_step(store, load);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 0 : -1;
    bool is_whole = read_row(load, ret_row);
    ret_row->lane = find_lane(store, sqlite3_column_int64(load, 1));
    if (store->txn.status)
        return -1;
    const bool has_payload = is_sound(load, 28, &ret_row->payload);
    const bool has_result = is_sound(load, 31, &ret_row->result);
    is_whole = is_whole && ret_row->lane && has_payload && has_result &&
               ret_row->state >= MLS_JOB_SCHEDULED && ret_row->state <= MLS_JOB_CANCELLED;
    if (!has_payload)
        ret_row->payload = (mls__sql_bytes){0};
    if (!has_result)
        ret_row->result = (mls__sql_bytes){0};
    return is_whole ? 1 : MLS__SQL_DAMAGED;
}

int mls__sql_row_load(mls__sql_store *store, uint64_t id, mls__sql_row *ret_row)
{
    const int found = mls__sql_row_look(store, id, ret_row);
    if (found != MLS__SQL_DAMAGED)
        return found;
    mls__sql_fail(store, ret_row->lane
                             ? mls__error(MLS_EFORMAT, "job %llu: its row is damaged",
                                          (unsigned long long) id)
                             : mls__error(MLS_EFORMAT,
                                          "the queue's file is damaged: job %llu is of a lane "
                                          "that is not there",
                                          (unsigned long long) id));
    return -1;
}

void mls__sql_row_clear(mls__sql_row *row)
{
    int64_t *numbers[NUMBERS];
    list_numbers(row, numbers);
    for (size_t i = 0; i < NUMBERS; i++)
        if (!MLS__SQL_IS_POSSIBLE(*numbers[i]))
            *numbers[i] = 0;
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    if (text && *text)
        sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, at);
}

static void bind_timer(sqlite3_stmt *statement, int at, int64_t value)
{
    if (value)
        sqlite3_bind_int64(statement, at, value);
    else
        sqlite3_bind_null(statement, at);
}

static void bind_bytes(sqlite3_stmt *statement, int at, const mls__sql_bytes *bytes)
{
    sqlite3_bind_int(statement, at, bytes->at);
    if (bytes->at == MLS__SQL_AT_ROW)
        sqlite3_bind_blob64(statement, at + 1, bytes->data, (sqlite3_uint64) bytes->size,
                            SQLITE_STATIC);
    else if (bytes->at == MLS__SQL_AT_SEGMENT)
        sqlite3_bind_blob(statement, at + 1, bytes->data, MLS__SQL_HASH_BYTES, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, at + 1);
    sqlite3_bind_int64(statement, at + 2, bytes->size);
}

static void bind_numbers(sqlite3_stmt *statement, int first, const int64_t *values, int count)
{
    for (int i = 0; i < count; i++)
        sqlite3_bind_int64(statement, first + i, values[i]);
}

bool mls__sql_row_add(mls__sql_store *store, const mls__sql_row *row)
{
    sqlite3_stmt *add = mls__sql_prepare(store, MLS__SQL_JOB_ADD);
    if (!add)
        return false;
    const int64_t numbers[] = {row->id,           row->lane->id,       row->state,
                               row->priority,     row->rank,           row->max_attempts,
                               row->backoff_ms,   row->backoff_max_ms, row->jitter_percent,
                               row->retention_ms, row->submitted_ms,   row->run_at_ms,
                               row->deadline_ms,  row->since_ns};
    bind_numbers(add, 1, numbers, sizeof numbers / sizeof numbers[0]);
    bind_timer(add, 15, row->timer_ms);
    bind_text(add, 16, row->key);
    bind_text(add, 17, row->tenant);
    bind_text(add, 18, row->batch_key);
    bind_bytes(add, 19, &row->payload);
    return mls__sql_run(store, add);
}

bool mls__sql_row_save(mls__sql_store *store, const mls__sql_row *row)
{
    sqlite3_stmt *save = mls__sql_prepare(store, MLS__SQL_JOB_SAVE);
    if (!save)
        return false;
    const int64_t numbers[] = {row->id,         row->state,    row->rank,      row->epoch,
                               row->attempt,    row->deaths,   row->run_at_ms, row->deadline_ms,
                               row->claimed_ms, row->ended_ms, row->since_ns,  row->waiting_ns,
                               row->running_ns};
    bind_numbers(save, 1, numbers, sizeof numbers / sizeof numbers[0]);
    bind_timer(save, 14, row->timer_ms);
    bind_timer(save, 15, row->member);
    sqlite3_bind_int64(save, 16, row->claimer);
    bind_text(save, 17, row->owner);
    bind_bytes(save, 18, &row->payload);
    bind_bytes(save, 21, &row->result);
    sqlite3_bind_int(save, 24, row->error);
    bind_text(save, 25, row->error_text);
    sqlite3_bind_double(save, 26, row->progress);
    bind_text(save, 27, row->note);
    return mls__sql_run(store, save);
}

bool mls__sql_row_repair(mls__sql_store *store, mls__sql_row *row)
{
    int64_t *numbers[NUMBERS];
    sqlite3_stmt *repair = mls__sql_prepare(store, MLS__SQL_JOB_REPAIR);
    if (!repair)
        return false;
    list_numbers(row, numbers);
    sqlite3_bind_int64(repair, 1, row->id);
    sqlite3_bind_int64(repair, 2, row->lane->id);
    sqlite3_bind_int(repair, 3, row->state);
    for (int i = 0; i < NUMBERS; i++)
        sqlite3_bind_int64(repair, 4 + i, *numbers[i]);
    bind_bytes(repair, 24, &row->payload);
    bind_bytes(repair, 27, &row->result);
    sqlite3_bind_int(repair, 30, row->error);
    bind_text(repair, 31, row->error_text);
    return mls__sql_run(store, repair);
}

static bool delete_by_id(mls__sql_store *store, int statement, int64_t id)
{
    sqlite3_stmt *delete = mls__sql_prepare(store, statement);
    if (!delete)
        return false;
    sqlite3_bind_int64(delete, 1, id);
    return mls__sql_run(store, delete);
}

bool mls__sql_row_delete(mls__sql_store *store, const mls__sql_row *row)
{
    mls__sql_bytes payload = row->payload, result = row->result;
    /* Waits whose time was over are noted still. */
    if (row->retention_ms == 0 && !delete_by_id(store, MLS__SQL_WAIT_FORGET, row->id))
        return false;
    return delete_by_id(store, MLS__SQL_JOB_DELETE, row->id) &&
           mls__sql_bytes_drop(store, row->id, 0, &payload) &&
           mls__sql_bytes_drop(store, row->id, 1, &result);
}

mls__sql_bytes mls__sql_bytes_of(const void *data, size_t size, const unsigned char *hash)
{
    if (!data)
        return (mls__sql_bytes){0};
    mls__sql_bytes bytes = {MLS__SQL_AT_ROW, data, (int64_t) size};
    if (size > MLS__SQL_BLOB_BYTES)
        bytes = (mls__sql_bytes){MLS__SQL_AT_SEGMENT, hash, (int64_t) size};
    else if (size > MLS__SQL_INLINE_BYTES)
        bytes.at = MLS__SQL_AT_BLOB;
    return bytes;
}

bool mls__sql_bytes_store(mls__sql_store *store, int64_t id, int kind, mls__sql_bytes *bytes)
{
    if (bytes->at == MLS__SQL_AT_SEGMENT)
        return mls__sql_segment_ref(store, bytes->data);
    if (bytes->at != MLS__SQL_AT_BLOB)
        return true;
    sqlite3_stmt *add = mls__sql_prepare(store, MLS__SQL_BLOB_ADD);
    if (!add)
        return false;
    sqlite3_bind_int64(add, 1, 2 * id + kind);
    sqlite3_bind_blob64(add, 2, bytes->data, (sqlite3_uint64) bytes->size, SQLITE_STATIC);
    return mls__sql_run(store, add);
}

bool mls__sql_bytes_drop(mls__sql_store *store, int64_t id, int kind, mls__sql_bytes *bytes)
{
    const mls__sql_bytes old = *bytes;
    *bytes = (mls__sql_bytes){0};
    if (old.at == MLS__SQL_AT_SEGMENT)
        return mls__sql_segment_unref(store, old.data);
    return old.at != MLS__SQL_AT_BLOB || delete_by_id(store, MLS__SQL_BLOB_DELETE, 2 * id + kind);
}
