/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dependencies: a row for each pair of a blocked job and a parent that has not ended. Who
 * submits a child locks its parents' rows and marks them, and who ends a job has its row
 * locked: so either the child sees the end, or the end sees the mark, and looks for children.
 * A queue without dependencies never looks.
 *
 * Children move in rounds, those of all that ended in one at once, so that a chain of any
 * length needs no stack. Two that end parents of one child lock its row in turn: only the
 * second finds that nothing is left to wait for.
 */
#include "queue/postgres/postgres.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct ended {
    int64_t id, state;
} ended;

/* A round: what ended in the one before, and their children. */
typedef struct tell_round {
    ended *parents; /* by id */
    size_t parent_count;
    PGresult *edges, *locked;
    mls__pg_row *rows; /* by id */
    size_t count;
    char (*texts)[MLS__PG_CANCEL_TEXT]; /* by row */
} tell_round;

static int compare(const void *a, const void *b)
{
    const ended *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool has_to_tell(const mls__pg_row *row)
{
    return row->has_ended && row->numbers[MLS__PG_CHILDREN];
}

/* Those of the rows that ended. false: the transaction failed. */
static bool find_ended(mls__pg_store *store, const mls__pg_row *rows, size_t count,
                       tell_round *ret_next)
{
    tell_round next = {0};
    next.parents = mls__pg_alloc(store, (count + 1) * sizeof *next.parents);
    if (!next.parents) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory to tell who waits for %zu jobs", count);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (has_to_tell(&rows[i]))
            next.parents[next.parent_count++] =
                (ended){rows[i].numbers[MLS__PG_ID], rows[i].numbers[MLS__PG_STATE]};
    qsort(next.parents, next.parent_count, sizeof *next.parents, compare);
    *ret_next = next;
    return true;
}

static void add_parents(mls__pg_store *store, const tell_round *r, mls__pg_parameters *p)
{
    mls__pg_buffer *ids = mls__pg_begin_array(store, p, false, r->parent_count);
    for (size_t i = 0; i < r->parent_count; i++)
        mls__pg_put_number(store, ids, r->parents[i].id);
}

/* Locks the children: until then none of them leaves or is left by others. */
static bool find_children(mls__pg_store *store, tell_round *r)
{
    mls__pg_parameters p = {0}, children = {0};
    add_parents(store, r, &p);
    r->edges = mls__pg_run(store, MLS__PG_EDGES_OF, &p);
    if (!r->edges)
        return false;
    const int count = PQntuples(r->edges);
    mls__pg_buffer *ids = mls__pg_begin_array(store, &children, false, (size_t) count);
    for (int i = 0; i < count; i++)
        mls__pg_put_number(store, ids, mls__pg_number(r->edges, i, 1));
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_LOCK, &children, &r->locked, &r->rows, &r->count))
        return false;
    r->texts = mls__pg_alloc(store, (r->count + 1) * sizeof *r->texts);
    if (!r->texts)
        mls__pg_fail(store, MLS_ENOMEM, "no memory to cancel %zu jobs", r->count);
    return r->texts != NULL;
}

bool mls__pg_cancel_child(mls__pg_store *store, mls__pg_row *row, int64_t parent,
                          int64_t parent_state, char text[MLS__PG_CANCEL_TEXT])
{
    snprintf(text, MLS__PG_CANCEL_TEXT, "job %lld, which it depends on, is %s", (long long) parent,
             mls__pg_state_name(parent_state));
    row->numbers[MLS__PG_ERROR] = MLS_ECANCELLED;
    row->texts[MLS__PG_ERROR_TEXT] = text;
    return mls__pg_move(store, row, MLS_JOB_ON_CANCEL);
}

static bool is_blocked(const mls__pg_row *row)
{
    return row && row->numbers[MLS__PG_STATE] == MLS_JOB_BLOCKED;
}

/* Cancels those that a parent's end cancels. */
static bool cancel_some(mls__pg_store *store, tell_round *r)
{
    for (int i = 0; i < PQntuples(r->edges); i++) {
        const ended wanted = {.id = mls__pg_number(r->edges, i, 0)};
        const ended *parent = bsearch(&wanted, r->parents, r->parent_count, sizeof wanted, compare);
        mls__pg_row *row =
            mls__pg_row_find(r->rows, r->count, (uint64_t) mls__pg_number(r->edges, i, 1));
        if (!parent || !is_blocked(row) ||
            store->rules->after_parent((int32_t) parent->state,
                                       (uint64_t) mls__pg_number(r->edges, i, 2)) !=
                MLS_JOB_ON_CANCEL)
            continue;
        const size_t at = (size_t) (row - r->rows);
        if (!mls__pg_cancel_child(store, row, parent->id, parent->state, r->texts[at]))
            return false;
    }
    return true;
}

/* Ids of the children that are blocked still, or are not any more. */
static void add_children(mls__pg_store *store, const tell_round *r, bool blocked,
                         mls__pg_parameters *p)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        count += is_blocked(&r->rows[i]) == blocked;
    mls__pg_buffer *ids = mls__pg_begin_array(store, p, false, count);
    for (size_t i = 0; i < r->count; i++)
        if (is_blocked(&r->rows[i]) == blocked)
            mls__pg_put_number(store, ids, r->rows[i].numbers[MLS__PG_ID]);
}

/* Takes the edges away; the children that wait for others still. NULL: failed. */
static PGresult *take_edges(mls__pg_store *store, const tell_round *r)
{
    mls__pg_parameters p = {0};
    add_parents(store, r, &p);
    add_children(store, r, true, &p);
    add_children(store, r, false, &p);
    return mls__pg_run(store, MLS__PG_EDGES_END, &p);
}

bool mls__pg_is_due(const mls__pg_store *store, const mls__pg_row *row)
{
    return row->numbers[MLS__PG_RUN_AT] <= mls__pg_now_ms(store);
}

/* Those that wait no longer. They are in the order of their ids. */
static bool unblock_rest(mls__pg_store *store, tell_round *r, const PGresult *waiting)
{
    for (int i = 0; i < PQntuples(waiting); i++) {
        mls__pg_row *row =
            mls__pg_row_find(r->rows, r->count, (uint64_t) mls__pg_number(waiting, i, 0));
        if (row)
            row->still_waits = true;
    }
    for (size_t i = 0; i < r->count; i++) {
        mls__pg_row *row = &r->rows[i];
        if (!is_blocked(row) || row->still_waits)
            continue;
        if (!mls__pg_move(store, row,
                          mls__pg_is_due(store, row) ? MLS_JOB_ON_UNBLOCK : MLS_JOB_ON_DEFER))
            return false;
    }
    for (size_t i = 0; i < r->count; i++)
        r->rows[i].has_left = false; /* no edge of them is there any more */
    return true;
}

static bool move_children(mls__pg_store *store, tell_round *r)
{
    if (!find_children(store, r) || !cancel_some(store, r))
        return false;
    PGresult *waiting = take_edges(store, r);
    const bool is_good = waiting && unblock_rest(store, r, waiting);
    PQclear(waiting);
    return is_good && mls__pg_rows_store(store, r->rows, r->count);
}

static void free_round(mls__pg_store *store, tell_round *r)
{
    PQclear(r->edges);
    mls__pg_rows_free(store, r->locked, r->rows);
    mls__pg_free(store, r->texts);
    mls__pg_free(store, r->parents);
}

bool mls__pg_parents_end(mls__pg_store *store, const mls__pg_row *rows, size_t count)
{
    tell_round now, next;
    bool is_good = find_ended(store, rows, count, &now);
    if (!is_good)
        return false;
    while (is_good && now.parent_count) {
        is_good = move_children(store, &now) && find_ended(store, now.rows, now.count, &next);
        free_round(store, &now);
        now = is_good ? next : (tell_round){0};
    }
    free_round(store, &now);
    return is_good;
}

bool mls__pg_parents_leave(mls__pg_store *store, const mls__pg_row *rows, size_t count)
{
    mls__pg_parameters p = {0};
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        left += rows[i].has_left;
    mls__pg_buffer *ids = mls__pg_begin_array(store, &p, false, left);
    for (size_t i = 0; i < count; i++)
        if (rows[i].has_left)
            mls__pg_put_number(store, ids, rows[i].numbers[MLS__PG_ID]);
    return mls__pg_run_none(store, MLS__PG_EDGES_LEAVE, &p);
}
