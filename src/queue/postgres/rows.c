/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as rows: reading them, and writing what became of a set of them. */
#include "queue/postgres/postgres.h"

#include <string.h>

/* How long an ended job that is kept no longer stays for other members that wait for it. */
#define FOREIGN_WAIT_MS 10000

bool mls__pg_row_read(mls__pg_store *store, const PGresult *result, int at, mls__pg_row *ret_row)
{
    mls__pg_row row = {.progress = mls__pg_double(result, at, MLS__PG_PROGRESS_COLUMN)};
    for (int i = 0; i < MLS__PG_NUMBERS; i++)
        row.numbers[i] = mls__pg_number(result, at, i);
    for (int i = 0; i < MLS__PG_TEXTS; i++)
        row.texts[i] = PQgetvalue(result, at, MLS__PG_NUMBERS + i);
    row.lane = mls__pg_lane_of(store, row.texts[MLS__PG_QUEUE], row.texts[MLS__PG_TYPE]);
    *ret_row = row;
    return row.lane != NULL;
}

mls__pg_row *mls__pg_rows_read(mls__pg_store *store, const PGresult *result)
{
    const int count = PQntuples(result);
    mls__pg_row *rows = mls__pg_alloc(store, ((size_t) count + 1) * sizeof *rows);
    if (!rows) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory for %d rows", count);
        return NULL;
    }
    for (int i = 0; i < count; i++)
        if (!mls__pg_row_read(store, result, i, &rows[i])) {
            mls__pg_free(store, rows);
            return NULL;
        }
    return rows;
}

bool mls__pg_rows_lock(mls__pg_store *store, int statement, mls__pg_parameters *parameters,
                       PGresult **ret_result, mls__pg_row **ret_rows, size_t *ret_count)
{
    PGresult *result = mls__pg_run(store, statement, parameters);
    if (!result)
        return false;
    mls__pg_row *rows = mls__pg_rows_read(store, result);
    if (!rows) {
        PQclear(result);
        return false;
    }
    *ret_result = result;
    *ret_rows = rows;
    *ret_count = (size_t) PQntuples(result);
    return true;
}

void mls__pg_rows_free(mls__pg_store *store, PGresult *result, mls__pg_row *rows)
{
    mls__pg_free(store, rows);
    PQclear(result);
}

mls__pg_row *mls__pg_row_find(mls__pg_row *rows, size_t count, uint64_t id)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if ((uint64_t) rows[middle].numbers[MLS__PG_ID] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && (uint64_t) rows[low].numbers[MLS__PG_ID] == id ? &rows[low] : NULL;
}

/* Which rows a statement is about. */
typedef bool (*row_test)(const mls__pg_row *row);

static bool is_saved(const mls__pg_row *row)
{
    return row->is_changed && (!row->is_gone || row->is_awaited);
}

static bool is_gone(const mls__pg_row *row)
{
    return row->is_gone;
}

/* The payload of a job that succeeded is not needed any more. */
static bool needs_no_payload(const mls__pg_row *row)
{
    return row->has_ended && !row->is_gone && row->numbers[MLS__PG_STATE] == MLS_JOB_SUCCEEDED;
}

static bool ends_unkept(const mls__pg_row *row)
{
    return row->has_ended && row->numbers[MLS__PG_RETENTION] == 0;
}

static size_t count_rows(const mls__pg_row *rows, size_t count, row_test test)
{
    size_t passed = 0;
    for (size_t i = 0; i < count; i++)
        passed += test(&rows[i]);
    return passed;
}

static void add_column(mls__pg_store *store, mls__pg_parameters *p, const mls__pg_row *rows,
                       size_t count, row_test test, int column)
{
    mls__pg_buffer *array = mls__pg_begin_array(store, p, false, count_rows(rows, count, test));
    for (size_t i = 0; i < count; i++)
        if (test(&rows[i]))
            mls__pg_put_number(store, array, rows[i].numbers[column]);
}

/*
 * Those kept no longer than their end are gone, unless another member waits for it: one that we
 * may not have heard of yet.
 */
static bool judge_unkept(mls__pg_store *store, mls__pg_row *rows, size_t count)
{
    if (!count_rows(rows, count, ends_unkept))
        return true;
    for (size_t i = 0; i < count; i++)
        rows[i].is_gone |= ends_unkept(&rows[i]);
    mls__pg_parameters p = {0};
    add_column(store, &p, rows, count, ends_unkept, MLS__PG_ID);
    mls__pg_add_number(&p, store->member);
    PGresult *result = mls__pg_run(store, MLS__PG_WAITS_FIND, &p);
    if (!result)
        return false;
    for (int k = 0; k < PQntuples(result); k++)
        for (size_t i = 0; i < count; i++)
            if (rows[i].numbers[MLS__PG_ID] == mls__pg_number(result, k, 0)) {
                rows[i].is_gone = false;
                rows[i].numbers[MLS__PG_TIMER] = mls__pg_now_ms(store) + FOREIGN_WAIT_MS;
            }
    PQclear(result);
    for (size_t i = 0; i < count; i++) /* mls__pg_move() counted them as kept */
        if (ends_unkept(&rows[i]) && rows[i].is_gone)
            mls__pg_lane_add(rows[i].lane, (int) rows[i].numbers[MLS__PG_STATE] - MLS_JOB_SCHEDULED,
                             -1);
    return true;
}

static bool save(mls__pg_store *store, const mls__pg_row *rows, size_t count)
{
    static const int columns[] = {
        MLS__PG_ID,     MLS__PG_STATE,    MLS__PG_RANK,     MLS__PG_ATTEMPT, MLS__PG_DEATHS,
        MLS__PG_RUN_AT, MLS__PG_DEADLINE, MLS__PG_ENDED_AT, MLS__PG_SINCE,   MLS__PG_WAITED,
        MLS__PG_RAN,    MLS__PG_TIMER,    MLS__PG_MEMBER,   MLS__PG_ERROR};
    const size_t saved = count_rows(rows, count, is_saved);
    if (!saved)
        return true;
    mls__pg_parameters p = {0};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        add_column(store, &p, rows, count, is_saved, columns[i]);
    mls__pg_buffer *texts = mls__pg_begin_array(store, &p, true, saved);
    for (size_t i = 0; i < count; i++)
        if (is_saved(&rows[i]))
            mls__pg_put_text(store, texts, rows[i].texts[MLS__PG_ERROR_TEXT]);
    return mls__pg_run_none(store, MLS__PG_JOBS_SAVE, &p);
}

static bool save_results(mls__pg_store *store, const mls__pg_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_saved(&rows[i]) || !rows[i].result.data)
            continue;
        mls__pg_parameters p = {0};
        mls__pg_add_number(&p, rows[i].numbers[MLS__PG_ID]);
        mls__pg_add_bytes(&p, rows[i].result);
        if (!mls__pg_run_none(store, MLS__PG_RESULT_ADD, &p))
            return false;
    }
    return true;
}

static bool delete_gone(mls__pg_store *store, const mls__pg_row *rows, size_t count)
{
    if (!count_rows(rows, count, is_gone) && !count_rows(rows, count, needs_no_payload))
        return true;
    mls__pg_parameters p = {0};
    add_column(store, &p, rows, count, is_gone, MLS__PG_ID);
    add_column(store, &p, rows, count, needs_no_payload, MLS__PG_ID);
    return mls__pg_run_none(store, MLS__PG_JOBS_DELETE, &p);
}

static bool serve_waits(mls__pg_store *store, const mls__pg_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].is_awaited && !mls__pg_waits_serve(store, &rows[i]))
            return false;
    return true;
}

static bool has_left(const mls__pg_row *row)
{
    return row->has_left;
}

static bool has_children(const mls__pg_row *row)
{
    return row->has_ended && row->numbers[MLS__PG_CHILDREN];
}

bool mls__pg_rows_store(mls__pg_store *store, mls__pg_row *rows, size_t count)
{
    if (!count)
        return true;
    store->txn.is_writing = store->txn.must_sync = true;
    for (size_t i = 0; i < count; i++)
        rows[i].is_awaited =
            rows[i].has_ended && mls__pg_is_awaited(store, rows[i].numbers[MLS__PG_ID]);
    return judge_unkept(store, rows, count) && save(store, rows, count) &&
           save_results(store, rows, count) && serve_waits(store, rows, count) &&
           delete_gone(store, rows, count) &&
           (!count_rows(rows, count, has_left) || mls__pg_parents_leave(store, rows, count));
}

bool mls__pg_rows_save(mls__pg_store *store, mls__pg_row *rows, size_t count)
{
    return mls__pg_rows_store(store, rows, count) &&
           (!count_rows(rows, count, has_children) || mls__pg_parents_end(store, rows, count));
}
