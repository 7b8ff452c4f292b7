/* SPDX-License-Identifier: Apache-2.0 */
/* Moves jobs between states as the library's table says, and keeps the counts. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

/* How long an ended job that is kept no longer stays for other processes that wait for it. */
#define FOREIGN_WAIT_MS 10000

#define MOST_DUE 500 /* timers that go off in one look: a transaction takes no minutes */

static const char too_late[] = "the deadline passed before the job was claimed";

int32_t mls__sql_next(const mls__sql_store *store, int32_t state, int32_t event)
{
    return store->rules->next_state(state, event);
}

bool mls__sql_has_ended(const mls__sql_store *store, int32_t state)
{
    return mls__sql_next(store, state, MLS_JOB_ON_FORGET) == MLS_JOB_GONE;
}

static int counter_of(int32_t state)
{
    return state - MLS_JOB_SCHEDULED;
}

static void enter_ready(mls__sql_store *store, mls__sql_row *row)
{
    mls__sql_txn *txn = &store->txn;
    row->rank = txn->meta.next_rank++;
    txn->meta_is_dirty = true;
    row->since_ns = txn->boot_ns;
    row->timer_ms = row->deadline_ms;
    txn->news |= MLS__SQL_NEWS_READY;
    txn->is_ready_news = true;
}

static void enter_waiting(mls__sql_store *store, mls__sql_row *row)
{
    row->timer_ms = row->state == MLS_JOB_SCHEDULED ? row->run_at_ms : 0;
    if (row->deadline_ms && (!row->timer_ms || row->deadline_ms < row->timer_ms))
        row->timer_ms = row->deadline_ms;
    store->txn.news |= MLS__SQL_NEWS_READY; /* of the timer: others may be asleep */
}

static void count_end(mls__sql_store *store, mls__sql_row *row)
{
    const int counter = row->state == MLS_JOB_SUCCEEDED ? MLS__SQL_SUCCEEDED
                        : row->state == MLS_JOB_DEAD    ? MLS__SQL_DEAD
                                                        : MLS__SQL_CANCELLED;
    mls__sql_lane_add(store, row->lane, counter, 1);
}

/* Whether another process waits for the job's end. -1: the transaction failed. */
static int has_foreign_waits(mls__sql_store *store, const mls__sql_row *row)
{
    if (mls__sql_slot_is_alone(store))
        return 0;
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_WAIT_FIND);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, row->id);
    sqlite3_bind_int64(find, 2, store->member);
    const int code = mls__sql_step(store, find);
    sqlite3_reset(find);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

/* The row ends: -1 failed, 0 it is gone with that, 1 it is kept. */
static int enter_ended(mls__sql_store *store, mls__sql_row *row)
{
    mls__sql_txn *txn = &store->txn;
    count_end(store, row);
    row->ended_ms = txn->now_ms;
    row->rank = 0;
    row->timer_ms = txn->now_ms + row->retention_ms;
    txn->news |= MLS__SQL_NEWS_ENDED;
    if (row->state == MLS_JOB_SUCCEEDED && !mls__sql_bytes_drop(store, row->id, 0, &row->payload))
        return -1;
    if (!mls__sql_waits_serve(store, row))
        return -1;
    if (row->retention_ms)
        return 1;
    const int waits = has_foreign_waits(store, row);
    row->timer_ms = txn->now_ms + FOREIGN_WAIT_MS;
    return waits;
}

void mls__sql_begin_row(mls__sql_store *store, mls__sql_row *row)
{
    if (row->state == MLS_JOB_READY)
        enter_ready(store, row);
    else
        enter_waiting(store, row);
    mls__sql_lane_add(store, row->lane, MLS__SQL_SUBMITTED, 1);
    mls__sql_lane_add(store, row->lane, counter_of(row->state), 1);
}

/* What the library's table refuses can only come from a file that is damaged. */
static bool fail_damaged(mls__sql_store *store, int64_t id)
{
    mls__sql_fail(
        store, mls__error(MLS_EFORMAT, "job %lld: its row or an index is damaged", (long long) id));
    return false;
}

bool mls__sql_move(mls__sql_store *store, mls__sql_row *row, int32_t event)
{
    const int32_t next = mls__sql_next(store, row->state, event);
    const int64_t id = row->id;
    if (next == MLS_JOB_REFUSED)
        return fail_damaged(store, id);
    if (row->state == MLS_JOB_BLOCKED && !mls__sql_parents_leave(store, id))
        return false;
    if (row->state == MLS_JOB_READY && row->lane->takes_room)
        mls__sql_room_left(store);
    mls__sql_lane_add(store, row->lane, counter_of(row->state), -1);
    if (next == MLS_JOB_GONE)
        return mls__sql_row_delete(store, row);
    row->state = next;
    row->timer_ms = 0;
    if (next != MLS_JOB_RUNNING && next != MLS_JOB_STOPPING)
        row->member = 0;
    int is_kept = 1;
    if (next == MLS_JOB_READY)
        enter_ready(store, row);
    else if (next == MLS_JOB_SCHEDULED || next == MLS_JOB_BLOCKED)
        enter_waiting(store, row);
    else if (mls__sql_has_ended(store, next))
        is_kept = enter_ended(store, row);
    if (is_kept < 0)
        return false;
    if (is_kept)
        mls__sql_lane_add(store, row->lane, counter_of(next), 1);
    if (is_kept ? !mls__sql_row_save(store, row) : !mls__sql_row_delete(store, row))
        return false;
    return !mls__sql_has_ended(store, next) || mls__sql_parents_end(store, id, next);
}

/* To the lane in which the job needs more. */
static bool escalate(mls__sql_store *store, mls__sql_row *row)
{
    sqlite3_stmt *move = mls__sql_prepare(store, MLS__SQL_JOB_ESCALATE);
    if (!move)
        return false;
    mls__sql_lane_add(store, row->lane, counter_of(row->state), -1);
    row->lane = row->next_lane;
    mls__sql_lane_add(store, row->lane, counter_of(row->state), 1);
    mls__sql_lane_add(store, row->lane, MLS__SQL_ESCALATED, 1);
    sqlite3_bind_int64(move, 1, row->id);
    sqlite3_bind_int64(move, 2, row->lane->id);
    return mls__sql_run(store, move);
}

bool mls__sql_end_claim(mls__sql_store *store, mls__sql_row *row, int32_t event)
{
    /* Past a reboot the clock begins anew: then it is not known how long it ran. */
    const int64_t ran_ns = store->txn.boot_ns - row->since_ns;
    if (ran_ns > 0) {
        row->running_ns += ran_ns;
        mls__sql_lane_add(store, row->lane, MLS__SQL_RUNNING_NS, ran_ns);
    }
    mls__sql_rules_end(store, row->lane);
    if (row->lane->takes_room)
        mls__sql_room_give(store, row);
    if (row->next_lane && !escalate(store, row))
        return false;
    if (event == MLS_JOB_ON_RELEASE || event == MLS_JOB_ON_LOSE || event == MLS_JOB_ON_ESCALATE)
        row->attempt--;
    if (event == MLS_JOB_ON_RELEASE)
        mls__sql_lane_add(store, row->lane, MLS__SQL_RELEASED, 1);
    if (mls__sql_next(store, row->state, event) == MLS_JOB_SCHEDULED)
        mls__sql_lane_add(store, row->lane, MLS__SQL_RETRIED, 1);
    return mls__sql_move(store, row, event);
}

bool mls__sql_is_late(const mls__sql_store *store, const mls__sql_row *row)
{
    return row->deadline_ms && row->deadline_ms <= store->txn.now_ms;
}

bool mls__sql_expire(mls__sql_store *store, mls__sql_row *row)
{
    row->error = MLS_EDEADLINE;
    if (!row->error_text)
        row->error_text = too_late;
    return mls__sql_move(store, row, MLS_JOB_ON_EXPIRE);
}

/* A timer that means nothing in the row's state is damage too. */
static bool go_off(mls__sql_store *store, mls__sql_row *row)
{
    const int32_t event = mls__sql_has_ended(store, row->state) ? MLS_JOB_ON_FORGET
                          : mls__sql_is_late(store, row)        ? MLS_JOB_ON_EXPIRE
                                                                : MLS_JOB_ON_DUE;
    if (mls__sql_next(store, row->state, event) == MLS_JOB_REFUSED)
        return mls__sql_quarantine(store, row);
    return event == MLS_JOB_ON_EXPIRE ? mls__sql_expire(store, row)
                                      : mls__sql_move(store, row, event);
}

/* The job of the earliest timer that is due; 0: none. */
static int64_t find_due(mls__sql_store *store)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_JOB_DUE);
    if (!find)
        return 0;
    sqlite3_bind_int64(find, 1, store->txn.now_ms);
    const int64_t id = mls__sql_step(store, find) == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    return id;
}

bool mls__sql_tick(mls__sql_store *store)
{
    mls__sql_row row;
    store->txn.has_more_due = false;
    for (int count = 0;; count++) {
        const int64_t id = find_due(store);
        store->txn.has_more_due = id && count == MOST_DUE;
        if (!id || count == MOST_DUE)
            return !store->txn.status;
        const int found = mls__sql_row_look(store, (uint64_t) id, &row);
        if (found <= 0)
            return found == 0 ? fail_damaged(store, id) : false;
        if (found == MLS__SQL_DAMAGED ? !mls__sql_quarantine(store, &row) : !go_off(store, &row))
            return false;
    }
}
