/* SPDX-License-Identifier: Apache-2.0 */
/* Groups: operations that came together run in one transaction, and are answered behind it. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

static void set_message(mls__sql_op *op, mls_status status, const char *message)
{
    op->status = status;
    strncpy(op->message, message, sizeof op->message - 1);
    op->message[sizeof op->message - 1] = '\0';
}

void mls__sql_set_status(mls__sql_op *op, mls_status status)
{
    set_message(op, status, status ? mls_error_message() : "");
}

static bool run_op(mls__sql_store *store, mls__sql_op *op)
{
    op->parks = op->again = op->is_served = false;
    const mls_status status = op->kind->run(store, op);
    if (store->txn.status)
        return false;
    mls__sql_set_status(op, status);
    return true;
}

static bool serve_parked(mls__sql_store *store, unsigned news)
{
    if ((store->txn.is_ready_news || news & MLS__SQL_NEWS_READY) && !mls__sql_claims_serve(store))
        return false;
    if (news & MLS__SQL_NEWS_ENDED && !mls__sql_waits_look(store))
        return false;
    if (news & MLS__SQL_NEWS_CANCEL && !mls__sql_cancels_look(store))
        return false;
    return !((news | store->txn.news) & MLS__SQL_NEWS_ENDED) || mls__sql_drains_serve(store);
}

/* The earliest timer, which ends the committer's next sleep. */
static bool find_timer(mls__sql_store *store)
{
    sqlite3_stmt *statement = mls__sql_prepare(store, MLS__SQL_JOB_TIMER);
    if (!statement)
        return false;
    const int code = mls__sql_step(store, statement);
    if (code == SQLITE_ROW)
        store->next_timer_ms = sqlite3_column_int64(statement, 0);
    else if (code == SQLITE_DONE)
        store->next_timer_ms = 0;
    sqlite3_reset(statement);
    const int64_t rules_ms = mls__sql_rules_next_ms(store);
    if (rules_ms && (!store->next_timer_ms || rules_ms < store->next_timer_ms))
        store->next_timer_ms = rules_ms;
    return mls__sql_schedules_find_next(store) && !store->txn.status;
}

static bool run_all(mls__sql_store *store, mls__sql_op **ops, size_t count, unsigned news)
{
    if (news & MLS__SQL_NEWS_DEATH && !mls__sql_reap(store))
        return false;
    if (!mls__sql_schedules_tick(store) || !mls__sql_tick(store))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!run_op(store, ops[i]))
            return false;
    /* Twice: a claim that was served may have ended what a wait is for, or the like. */
    return mls__sql_tick(store) && serve_parked(store, news) && find_timer(store);
}

/*
 * Parked operations that got their answer in this transaction, or lost it again. Those
 * that came with it (still queued) are answered with their group, or leave the list.
 */
static void sift(mls__sql_store *store, mls__sql_list *list, bool is_committed)
{
    mls__sql_op *op = list->first;
    mls__sql_list_init(list);
    while (op) {
        mls__sql_op *next = op->next;
        const bool is_new =
            atomic_load_explicit(&op->phase, memory_order_relaxed) == MLS__SQL_QUEUED;
        if (!is_committed) {
            if (!is_new) {
                op->kind->abandon(store, op);
                op->is_served = false;
                mls__sql_list_add(list, op);
            }
        } else {
            if (op->kind->publish)
                op->kind->publish(store, op);
            if (!op->is_served)
                mls__sql_list_add(list, op);
            else if (is_new)
                op->parks = false;
            else
                mls__sql_finish_parked(op);
        }
        op = next;
    }
}

static void sift_all(mls__sql_store *store, bool is_committed)
{
    mls__sql_list *const lists[] = {&store->claims, &store->fillers, &store->waits, &store->drains};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        sift(store, lists[i], is_committed);
}

bool mls__sql_must_sync(mls__sql_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i]->must_sync)
            return true;
    return false;
}

static void take_back(mls__sql_store *store, mls__sql_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i]->kind->abandon)
            ops[i]->kind->abandon(store, ops[i]);
    sift_all(store, false);
}

static mls_status try_group(mls__sql_store *store, mls__sql_op **ops, size_t count, unsigned news)
{
    mls_status status = mls__sql_begin(store, mls__sql_must_sync(ops, count));
    if (status) {
        store->txn.status = MLS_OK;
        mls__sql_fail(store, status);
        return status;
    }
    if (run_all(store, ops, count, news)) {
        status = mls__sql_commit(store);
    } else {
        status = store->txn.status;
        mls__sql_rollback(store);
    }
    if (status) {
        take_back(store, ops, count);
        return status;
    }
    sift_all(store, true); /* first: what follows may be about claims that were parked */
    for (size_t i = 0; i < count; i++)
        if (!ops[i]->parks && ops[i]->kind->publish)
            ops[i]->kind->publish(store, ops[i]);
    if (store->txn.news)
        mls__sql_slots_tell(store, store->txn.news);
    return MLS_OK;
}

/* While the file cannot be written, those that are parked stay so, and news are kept. */
static void note_outcome(mls__sql_store *store, mls_status status, unsigned news)
{
    store->news_left = status ? store->news_left | news : 0;
    if (status && !store->is_failing)
        mls__log(store->context, MLS_LOG_WARNING, "queue '%s': %s: %s", store->path,
                 mls_status_name(status), store->txn.message);
    store->is_failing = status != MLS_OK;
}

/* One operation that cannot be must not take others with it: then each goes alone. */
void mls__sql_run_group(mls__sql_store *store, mls__sql_op **ops, size_t count, unsigned news)
{
    const mls_status status = try_group(store, ops, count, news);
    note_outcome(store, status, news);
    if (!status) {
        mls__sql_answer_all(store, ops, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (count == 1 || try_group(store, &ops[i], 1, 0)) {
            ops[i]->parks = false;
            set_message(ops[i], store->txn.status, store->txn.message);
        }
        mls__sql_answer_all(store, &ops[i],
                            1); /* at once: one that parks stays parked if the next fails */
    }
}

mls_status mls__sql_run_alone(mls__sql_store *store, mls__sql_op *op)
{
    mls__sql_run_group(store, &op, 1, 0);
    return mls__sql_answer(op);
}
