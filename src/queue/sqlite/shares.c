/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fair sharing between tenants, as in memory queues: start-time fair queuing, with the passes
 * in the file, for all processes. The heads of the tenants that have ready jobs are found by
 * skipping through the index of ready jobs, so that a claim costs by how many these are, and
 * nothing is looked up or written where there is one, or where no job ever had a tenant.
 *
 * A share has a row only while its pass is not behind the time of its queue and priority:
 * without one it is that time. Rows that fell behind are swept now and then.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

static sqlite3_stmt *bind_share(mls__sql_store *store, int statement, const char *queue,
                                int64_t priority, const char *tenant)
{
    sqlite3_stmt *bound = mls__sql_prepare(store, statement);
    if (!bound)
        return NULL;
    sqlite3_bind_text(bound, 1, queue, -1, SQLITE_STATIC);
    sqlite3_bind_int64(bound, 2, priority);
    if (tenant)
        sqlite3_bind_text(bound, 3, tenant, -1, SQLITE_STATIC);
    return bound;
}

/* One row of two numbers; none, or numbers that no queue writes, leave them. false: failed. */
static bool read_numbers(mls__sql_store *store, sqlite3_stmt *find, int64_t *first, int64_t *second)
{
    const int code = find ? mls__sql_step(store, find) : SQLITE_ERROR;
    if (code == SQLITE_ROW) {
        const int64_t a = sqlite3_column_int64(find, 0), b = sqlite3_column_int64(find, 1);
        if (a >= 0 && b >= 0 && MLS__SQL_IS_POSSIBLE(a) && MLS__SQL_IS_POSSIBLE(b)) {
            *first = a;
            *second = b;
        }
        sqlite3_reset(find);
    }
    return code == SQLITE_ROW || code == SQLITE_DONE;
}

bool mls__sql_turn_begin(mls__sql_store *store, const char *queue, int64_t priority,
                         mls__sql_turn *ret_turn)
{
    int64_t unused;
    *ret_turn = (mls__sql_turn){.queue = queue, .priority = priority};
    return read_numbers(store, bind_share(store, MLS__SQL_TURN_LOAD, queue, priority, NULL),
                        &ret_turn->now, &unused);
}

/*
 * The head of the first tenant behind that of the job `last`, or with NULL of all: 1, 0: none,
 * -1: failed. By the job and not by its name, which in a damaged row need not be a text: what
 * is behind a text that was made of it could be the same row again.
 */
static int next_tenant(mls__sql_store *store, const mls__sql_lane *lane, int64_t priority,
                       const int64_t *last, mls__turn_head *ret_head,
                       char ret_tenant[MLS_JOB_KEY_MAX + 1])
{
    sqlite3_stmt *find =
        mls__sql_prepare(store, last ? MLS__SQL_TENANT_NEXT : MLS__SQL_TENANT_FIRST);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, lane->id);
    sqlite3_bind_int64(find, 2, priority);
    if (last)
        sqlite3_bind_int64(find, 3, *last);
    const int code = mls__sql_step(store, find);
    if (code == SQLITE_ROW) {
        const char *name = (const char *) sqlite3_column_text(find, 0);
        const size_t length = name ? strnlen(name, MLS_JOB_KEY_MAX) : 0;
        if (length)
            memcpy(ret_tenant, name, length);
        ret_tenant[length] = '\0';
        *ret_head = (mls__turn_head){.id = sqlite3_column_int64(find, 2),
                                     .rank = sqlite3_column_int64(find, 1)};
    }
    sqlite3_reset(find);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

bool mls__sql_oldest(mls__sql_store *store, const mls__sql_lane *lane, int64_t priority,
                     mls__turn_head *oldest)
{
    char tenant[MLS_JOB_KEY_MAX + 1];
    const int64_t *last = NULL;
    mls__turn_head head;
    int found;
    while ((found = next_tenant(store, lane, priority, last, &head, tenant)) > 0) {
        last = &head.id;
        if (head.rank < oldest->rank)
            *oldest = head;
    }
    return found == 0;
}

/* Without a row, or with one that fell behind, a share starts now. */
static bool load_pass(mls__sql_store *store, const mls__sql_turn *turn, const char *tenant,
                      mls__turn_head *head)
{
    int64_t pass = -1, at = 0;
    if (!read_numbers(store,
                      bind_share(store, MLS__SQL_SHARE_LOAD, turn->queue, turn->priority, tenant),
                      &pass, &at))
        return false;
    mls__turn_place(head, turn->now, pass, at);
    return true;
}

bool mls__sql_turn_look(mls__sql_store *store, const mls__sql_lane *lane, bool is_choice,
                        mls__sql_turn *turn)
{
    char tenant[MLS_JOB_KEY_MAX + 1];
    const int64_t *last = NULL;
    mls__turn_head head;
    int found;
    while ((found = next_tenant(store, lane, turn->priority, last, &head, tenant)) > 0) {
        last = &head.id;
        if (!turn->has_tenant)
            strcpy(turn->tenant, tenant);
        turn->is_contended |= turn->has_tenant && strcmp(turn->tenant, tenant) != 0;
        turn->has_tenant = true;
        if (!is_choice && turn->is_contended)
            return true;
        if (!is_choice)
            continue;
        if (!load_pass(store, turn, tenant, &head))
            return false;
        if (!turn->best.id || mls__turn_goes_before(&head, &turn->best))
            turn->best = head;
    }
    return found == 0;
}

/* Drops what fell behind, at one in 64 ranks, which are not evenly spaced. */
static bool sweep(mls__sql_store *store, const mls__sql_turn *turn, int64_t rank)
{
    if ((uint64_t) rank * UINT64_C(0x9e3779b97f4a7c15) >> 58)
        return true;
    sqlite3_stmt *bound =
        bind_share(store, MLS__SQL_SHARES_SWEEP, turn->queue, turn->priority, NULL);
    if (!bound)
        return false;
    sqlite3_bind_int64(bound, 3, turn->now);
    return mls__sql_run(store, bound);
}

bool mls__sql_turn_charge(mls__sql_store *store, mls__sql_turn *turn, const mls__sql_row *row)
{
    const char *tenant = row->tenant ? row->tenant : "";
    mls__turn_head head = {.rank = row->rank};
    if (!load_pass(store, turn, tenant, &head))
        return false;
    if (turn->best.id == row->id && head.pass > turn->now) {
        turn->now = head.pass;
        sqlite3_stmt *save =
            bind_share(store, MLS__SQL_TURN_SAVE, turn->queue, turn->priority, NULL);
        if (!save)
            return false;
        sqlite3_bind_int64(save, 3, turn->now);
        if (!mls__sql_run(store, save))
            return false;
    }
    const int64_t rank = store->txn.meta.next_rank++; /* behind all of the same pass */
    store->txn.meta_is_dirty = true;
    sqlite3_stmt *save =
        bind_share(store, MLS__SQL_SHARE_SAVE, turn->queue, turn->priority, tenant);
    if (!save)
        return false;
    sqlite3_bind_int64(
        save, 4, head.pass + mls__kept_rules_step(&store->kept, store->rules, turn->queue, tenant));
    sqlite3_bind_int64(save, 5, rank);
    return mls__sql_run(store, save) && sweep(store, turn, rank);
}
