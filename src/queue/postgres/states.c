/* SPDX-License-Identifier: Apache-2.0 */
/* Moves jobs between states as the library's table says, and keeps the counts. */
#include "queue/postgres/postgres.h"

#define LOCKED_US 5000 /* to when a job is looked at again that is due, and locked by others */

static const char too_late[] = "the deadline passed before the job was claimed";

int32_t mls__pg_next(const mls__pg_store *store, int64_t state, int32_t event)
{
    if (state < MLS_JOB_SCHEDULED || state > MLS_JOB_CANCELLED)
        return MLS_JOB_REFUSED;
    return store->rules->next_state((int32_t) state, event);
}

bool mls__pg_has_ended(const mls__pg_store *store, int64_t state)
{
    return mls__pg_next(store, state, MLS_JOB_ON_FORGET) == MLS_JOB_GONE;
}

int64_t mls__pg_now_ms(const mls__pg_store *store)
{
    return store->txn.now_us / 1000;
}

static int counter_of(int64_t state)
{
    return (int) state - MLS_JOB_SCHEDULED;
}

const char *mls__pg_state_name(int64_t state)
{
    static const char *const names[] = {
        [MLS_JOB_SCHEDULED] = "scheduled", [MLS_JOB_BLOCKED] = "blocked",
        [MLS_JOB_READY] = "ready",         [MLS_JOB_RUNNING] = "running",
        [MLS_JOB_STOPPING] = "stopping",   [MLS_JOB_SUCCEEDED] = "succeeded",
        [MLS_JOB_DEAD] = "dead",           [MLS_JOB_CANCELLED] = "cancelled"};
    return state >= MLS_JOB_SCHEDULED && state <= MLS_JOB_CANCELLED ? names[state] : "damaged";
}

/* Other timers are found by looking. */
void mls__pg_set_timer(mls__pg_store *store, int64_t timer_ms)
{
    if (timer_ms && (!store->next_timer_us || timer_ms * 1000 < store->next_timer_us))
        store->next_timer_us = timer_ms * 1000;
}

static void set_timer(mls__pg_store *store, mls__pg_row *row, int64_t timer_ms)
{
    row->numbers[MLS__PG_TIMER] = timer_ms;
    mls__pg_set_timer(store, timer_ms);
}

int64_t mls__pg_next_rank(mls__pg_store *store)
{
    const int64_t now_us = store->txn.now_us;
    store->last_rank = store->last_rank < now_us ? now_us : store->last_rank + 1;
    return store->last_rank;
}

/* The longest first. */
static void enter_ready(mls__pg_store *store, mls__pg_row *row)
{
    mls__pg_txn *txn = &store->txn;
    row->numbers[MLS__PG_RANK] = mls__pg_next_rank(store);
    row->numbers[MLS__PG_SINCE] = txn->now_us;
    set_timer(store, row, row->numbers[MLS__PG_DEADLINE]);
    txn->news |= MLS__PG_NEWS_READY;
    txn->is_ready_news = true;
    txn->found_none = false;
}

static void enter_waiting(mls__pg_store *store, mls__pg_row *row)
{
    const int64_t deadline_ms = row->numbers[MLS__PG_DEADLINE];
    int64_t timer_ms =
        row->numbers[MLS__PG_STATE] == MLS_JOB_SCHEDULED ? row->numbers[MLS__PG_RUN_AT] : 0;
    if (deadline_ms && (!timer_ms || deadline_ms < timer_ms))
        timer_ms = deadline_ms;
    set_timer(store, row, timer_ms);
}

static void enter_ended(mls__pg_store *store, mls__pg_row *row)
{
    const int64_t state = row->numbers[MLS__PG_STATE];
    const int counter = state == MLS_JOB_SUCCEEDED ? MLS__PG_SUCCEEDED
                        : state == MLS_JOB_DEAD    ? MLS__PG_DEAD
                                                   : MLS__PG_CANCELLED;
    mls__pg_lane_add(row->lane, counter, 1);
    row->numbers[MLS__PG_ENDED_AT] = mls__pg_now_ms(store);
    /* One that is not kept goes in this transaction: no timer has to be looked for. */
    if (row->numbers[MLS__PG_RETENTION])
        set_timer(store, row, mls__pg_now_ms(store) + row->numbers[MLS__PG_RETENTION]);
    row->has_ended = true;
    store->txn.news |= MLS__PG_NEWS_ENDED;
}

void mls__pg_begin_row(mls__pg_store *store, mls__pg_row *row)
{
    if (row->numbers[MLS__PG_STATE] == MLS_JOB_READY)
        enter_ready(store, row);
    else
        enter_waiting(store, row);
    mls__pg_lane_add(row->lane, MLS__PG_SUBMITTED, 1);
    mls__pg_lane_add(row->lane, counter_of(row->numbers[MLS__PG_STATE]), 1);
}

bool mls__pg_move(mls__pg_store *store, mls__pg_row *row, int32_t event)
{
    const int32_t next = mls__pg_next(store, row->numbers[MLS__PG_STATE], event);
    if (next == MLS_JOB_REFUSED) {
        mls__pg_fail(store, MLS_EFORMAT, "job %lld: its row is damaged",
                     (long long) row->numbers[MLS__PG_ID]);
        return false;
    }
    mls__pg_lane_add(row->lane, counter_of(row->numbers[MLS__PG_STATE]), -1);
    if (row->numbers[MLS__PG_STATE] == MLS_JOB_READY && store->has_aside)
        mls__pg_room_changed(store);
    row->is_changed = true;
    row->has_left = row->numbers[MLS__PG_STATE] == MLS_JOB_BLOCKED;
    row->is_gone = next == MLS_JOB_GONE;
    if (row->is_gone)
        return true;
    row->numbers[MLS__PG_STATE] = next;
    row->numbers[MLS__PG_TIMER] = 0;
    if (next != MLS_JOB_RUNNING && next != MLS_JOB_STOPPING)
        row->numbers[MLS__PG_MEMBER] = 0;
    if (next == MLS_JOB_READY)
        enter_ready(store, row);
    else if (next == MLS_JOB_SCHEDULED || next == MLS_JOB_BLOCKED)
        enter_waiting(store, row);
    else if (mls__pg_has_ended(store, next))
        enter_ended(store, row);
    mls__pg_lane_add(row->lane, counter_of(next), 1);
    return true;
}

static bool escalate(mls__pg_store *store, const mls__pg_row *row)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, row->numbers[MLS__PG_ID]);
    mls__pg_add_number(&p, row->numbers[MLS__PG_MEMORY]);
    mls__pg_lane_add(row->lane, MLS__PG_ESCALATED, 1);
    return mls__pg_run_none(store, MLS__PG_JOB_ESCALATE, &p) && mls__pg_room_mark(store);
}

bool mls__pg_end_claim(mls__pg_store *store, mls__pg_row *row, int32_t event)
{
    const int64_t ran_us = store->txn.now_us - row->numbers[MLS__PG_SINCE];
    if (ran_us > 0) {
        row->numbers[MLS__PG_RAN] += ran_us;
        mls__pg_lane_add(row->lane, MLS__PG_RUNNING_US, ran_us);
    }
    mls__pg_rules_end(store, row);
    if (row->is_escalated && !escalate(store, row))
        return false;
    mls__pg_room_changed(store);
    if (event == MLS_JOB_ON_RELEASE || event == MLS_JOB_ON_LOSE || event == MLS_JOB_ON_ESCALATE)
        row->numbers[MLS__PG_ATTEMPT]--;
    if (event == MLS_JOB_ON_RELEASE)
        mls__pg_lane_add(row->lane, MLS__PG_RELEASED, 1);
    if (mls__pg_next(store, row->numbers[MLS__PG_STATE], event) == MLS_JOB_SCHEDULED)
        mls__pg_lane_add(row->lane, MLS__PG_RETRIED, 1);
    return mls__pg_move(store, row, event);
}

static bool go_off(mls__pg_store *store, mls__pg_row *row)
{
    const int64_t deadline_ms = row->numbers[MLS__PG_DEADLINE];
    if (mls__pg_has_ended(store, row->numbers[MLS__PG_STATE]))
        return mls__pg_move(store, row, MLS_JOB_ON_FORGET);
    if (deadline_ms && deadline_ms <= mls__pg_now_ms(store)) {
        row->numbers[MLS__PG_ERROR] = MLS_EDEADLINE;
        if (!row->texts[MLS__PG_ERROR_TEXT][0])
            row->texts[MLS__PG_ERROR_TEXT] = too_late;
        return mls__pg_move(store, row, MLS_JOB_ON_EXPIRE);
    }
    return mls__pg_move(store, row, MLS_JOB_ON_DUE);
}

/* Behind a look at all that is due: what still is, others have locked. */
static bool find_timer(mls__pg_store *store)
{
    PGresult *result = mls__pg_run(store, MLS__PG_NEXT_TIMER, NULL);
    if (!result)
        return false;
    store->next_timer_us = PQntuples(result) ? mls__pg_number(result, 0, 0) * 1000 : 0;
    PQclear(result);
    if (store->next_timer_us && store->next_timer_us <= store->txn.now_us)
        store->next_timer_us = store->txn.now_us + LOCKED_US;
    return true;
}

/* Passes over what others have locked: they are at it, but may be so for a reason of their own. */
static bool tick_some(mls__pg_store *store, size_t *ret_count)
{
    PGresult *result;
    mls__pg_row *rows;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, mls__pg_now_ms(store));
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_DUE, &p, &result, &rows, ret_count))
        return false;
    bool is_good = true;
    for (size_t i = 0; is_good && i < *ret_count; i++)
        is_good = go_off(store, &rows[i]);
    is_good = is_good && mls__pg_rows_save(store, rows, *ret_count);
    mls__pg_rows_free(store, result, rows);
    return is_good;
}

bool mls__pg_tick(mls__pg_store *store)
{
    size_t count = 0;
    do
        if (!tick_some(store, &count))
            return false;
    while (count);
    return find_timer(store);
}
