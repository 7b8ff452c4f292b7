/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dependencies: a row for each pair of a blocked job and a parent that has not ended. The
 * end of a job marks its rows; then its children move one after another, not inside one
 * another, so that a chain of any length needs no stack. The file counts all rows, so that
 * a queue without dependencies never looks for them.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <stdio.h>

/* The job's state; 0: there is no such job; -1: failed. */
static int32_t state_of(mls__sql_store *store, uint64_t id)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_JOB_STATE);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, (int64_t) id);
    const int code = mls__sql_step(store, find);
    const int32_t state = code == SQLITE_ROW ? sqlite3_column_int(find, 0) : 0;
    sqlite3_reset(find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? state : -1;
}

mls_status mls__sql_parents_check(mls__sql_store *store, const mls_job_options *options)
{
    for (size_t i = 0; i < options->depends_on_count; i++) {
        const uint64_t id = options->depends_on[i];
        const int32_t state = id < MLS_JOB_SIBLING(0) ? state_of(store, id) : MLS_JOB_READY;
        if (state < 0)
            return store->txn.status;
        if (state == 0)
            return mls__error(MLS_ENOTFOUND,
                              "depends_on[%zu]: there is no job %llu, or it was forgotten after "
                              "its end",
                              i, (unsigned long long) id);
    }
    return MLS_OK;
}

static bool add_edge(mls__sql_store *store, int64_t parent, int64_t child, uint64_t flags)
{
    sqlite3_stmt *add = mls__sql_prepare(store, MLS__SQL_EDGE_ADD);
    if (!add)
        return false;
    sqlite3_bind_int64(add, 1, parent);
    sqlite3_bind_int64(add, 2, child);
    sqlite3_bind_int64(add, 3, (int64_t) (flags & MLS_JOB_DEPENDS_ANY_END));
    if (!mls__sql_run(store, add))
        return false;
    store->txn.meta.edges += sqlite3_changes(store->db); /* 0: it was named twice */
    store->txn.meta_is_dirty = true;
    return true;
}

static void unblock(const mls__sql_store *store, mls__sql_row *row)
{
    const bool is_due = row->run_at_ms <= store->txn.now_ms;
    row->state =
        mls__sql_next(store, MLS_JOB_BLOCKED, is_due ? MLS_JOB_ON_UNBLOCK : MLS_JOB_ON_DEFER);
}

bool mls__sql_parents_begin(mls__sql_store *store, const mls_job_options *options,
                            const uint64_t *ids, mls__sql_row *row, int64_t *ret_parent,
                            int32_t *ret_state)
{
    bool waits = false;
    *ret_parent = 0;
    for (size_t i = 0; i < options->depends_on_count; i++) {
        const uint64_t given = options->depends_on[i];
        const uint64_t id = given < MLS_JOB_SIBLING(0) ? given : ids[given - MLS_JOB_SIBLING(0)];
        int32_t state = state_of(store, id);
        if (state < 0)
            return false;
        /* All are there but for jobs of this submit, cancelled with it and not kept. */
        state = state ? state : MLS_JOB_CANCELLED;
        const int32_t event = store->rules->after_parent(state, options->flags);
        if (event == MLS_JOB_ON_CANCEL) {
            *ret_parent = (int64_t) id;
            *ret_state = state;
            return mls__sql_parents_leave(store, row->id);
        }
        if (event == MLS_JOB_REFUSED && !add_edge(store, (int64_t) id, row->id, options->flags))
            return false;
        waits |= event == MLS_JOB_REFUSED;
    }
    if (!waits)
        unblock(store, row);
    return true;
}

bool mls__sql_parents_cancel(mls__sql_store *store, mls__sql_row *row, int64_t parent,
                             int32_t parent_state)
{
    char message[96];
    snprintf(message, sizeof message, "job %lld, which it depends on, is %s", (long long) parent,
             mls_job_state_name(parent_state));
    row->error = MLS_ECANCELLED;
    row->error_text = message;
    return mls__sql_move(store, row, MLS_JOB_ON_CANCEL);
}

bool mls__sql_parents_leave(mls__sql_store *store, int64_t id)
{
    if (!store->txn.meta.edges)
        return true;
    sqlite3_stmt *leave = mls__sql_prepare(store, MLS__SQL_EDGES_LEAVE);
    if (!leave)
        return false;
    sqlite3_bind_int64(leave, 1, id);
    if (!mls__sql_run(store, leave))
        return false;
    store->txn.meta.edges -= sqlite3_changes(store->db);
    store->txn.meta_is_dirty = true;
    return true;
}

/* Marks the job's edges; 1: it has some, 0: none, -1: failed. */
static int mark(mls__sql_store *store, int64_t id, int32_t state)
{
    sqlite3_stmt *end = mls__sql_prepare(store, MLS__SQL_EDGES_END);
    if (!end)
        return -1;
    sqlite3_bind_int64(end, 1, id);
    sqlite3_bind_int(end, 2, state);
    return mls__sql_run(store, end) ? sqlite3_changes(store->db) > 0 : -1;
}

typedef struct edge {
    int64_t parent, child;
    int32_t parent_state;
    uint64_t flags;
} edge;

/* A marked edge, which is taken away; 1: there is one, 0: none, -1: failed. */
static int take_marked(mls__sql_store *store, edge *ret_edge)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_EDGE_ENDED);
    if (!find)
        return -1;
    const int code = mls__sql_step(store, find);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 0 : -1;
    *ret_edge = (edge){sqlite3_column_int64(find, 0), sqlite3_column_int64(find, 1),
                       sqlite3_column_int(find, 2), (uint64_t) sqlite3_column_int64(find, 3)};
    sqlite3_reset(find);
    sqlite3_stmt *delete = mls__sql_prepare(store, MLS__SQL_EDGE_DELETE);
    if (!delete)
        return -1;
    sqlite3_bind_int64(delete, 1, ret_edge->parent);
    sqlite3_bind_int64(delete, 2, ret_edge->child);
    store->txn.meta.edges--;
    store->txn.meta_is_dirty = true;
    return mls__sql_run(store, delete) ? 1 : -1;
}

/* Whether the job waits for another parent; -1: failed. */
static int waits_still(mls__sql_store *store, int64_t id)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_EDGE_LEFT);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, id);
    const int code = mls__sql_step(store, find);
    sqlite3_reset(find);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

static bool tell(mls__sql_store *store, const edge *told)
{
    mls__sql_row row;
    const int32_t event = store->rules->after_parent(told->parent_state, told->flags);
    const int waits = event == MLS_JOB_ON_CANCEL ? 0 : waits_still(store, told->child);
    if (waits)
        return waits > 0;
    const int found = mls__sql_row_load(store, (uint64_t) told->child, &row);
    if (found <= 0 || row.state != MLS_JOB_BLOCKED) {
        if (found >= 0)
            mls__sql_fail(store, mls__error(MLS_EFORMAT,
                                            "job %lld has parents and is not blocked: the "
                                            "queue's file is damaged",
                                            (long long) told->child));
        return false;
    }
    if (event == MLS_JOB_ON_CANCEL)
        return mls__sql_parents_cancel(store, &row, told->parent, told->parent_state);
    const bool is_due = row.run_at_ms <= store->txn.now_ms;
    return mls__sql_move(store, &row, is_due ? MLS_JOB_ON_UNBLOCK : MLS_JOB_ON_DEFER);
}

bool mls__sql_parents_end(mls__sql_store *store, int64_t id, int32_t state)
{
    edge told;
    const int marked = store->txn.meta.edges ? mark(store, id, state) : 0;
    if (marked <= 0 || store->txn.is_telling)
        return marked >= 0;
    int found;
    store->txn.is_telling = true;
    while ((found = take_marked(store, &told)) > 0)
        if (!tell(store, &told))
            return false;
    store->txn.is_telling = false;
    return found == 0;
}
