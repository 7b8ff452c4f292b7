/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: operations that came together run in one transaction, and are answered when it
 * is committed.
 *
 * When the connection is lost, a group is tried again on a new one, for at most ten
 * seconds unless the URL says otherwise; what was lost while it was being committed only after the
 * member's row said that it was not. Meanwhile, what is parked stays so. When even that is not to
 * be learned in time, the next connection gives back what was claimed in it.
 */
#include "queue/postgres/postgres.h"

#include <stdio.h>

#define MOST_CLASHES 8 /* of one operation with others */
#define AGAIN_NS     UINT64_C(5000000)

static bool run_op(mls__pg_store *store, mls__pg_op *op)
{
    op->parks = op->is_parked = op->is_served = false;
    op->status = MLS_OK;
    if (!op->kind->gathers && !mls__pg_submit_flush(store))
        return false;
    const mls_status status = op->kind->run(store, op);
    if (store->txn.status)
        return false;
    op->status = status;
    return true;
}

static bool serve_parked(mls__pg_store *store, unsigned news)
{
    const bool is_news = store->txn.is_ready_news || news & MLS__PG_NEWS_READY;
    if ((is_news || news & MLS__PG_NEWS_AGAIN) && !mls__pg_claims_serve(store, is_news))
        return false;
    if (news & MLS__PG_NEWS_ENDED && !mls__pg_waits_look(store))
        return false;
    if (news & MLS__PG_NEWS_CANCEL && !mls__pg_cancels_look(store))
        return false;
    return !((news | store->txn.news) & MLS__PG_NEWS_ENDED) || mls__pg_drains_serve(store);
}

static bool is_due(const mls__pg_store *store)
{
    return store->next_timer_us && store->next_timer_us <= store->txn.now_us;
}

/* Whether the transaction may claim jobs. */
static bool may_claim(const mls__pg_store *store, mls__pg_op **ops, size_t count)
{
    bool may = store->claims.first || store->fillers.first;
    for (size_t i = 0; !may && i < count; i++)
        may = ops[i]->kind->claims;
    return may;
}

/* Whether there is a job with a tenant among them. */
static bool have_tenants(mls__pg_op **ops, size_t count)
{
    bool have = false;
    for (size_t i = 0; !have && i < count; i++)
        have = ops[i]->shares;
    return have;
}

/* Whether one of them needs something. */
static bool have_needs(mls__pg_op **ops, size_t count)
{
    bool have = false;
    for (size_t i = 0; !have && i < count; i++)
        have = ops[i]->needs;
    return have;
}

/* Rules are asked, and locked where they are limits, before any row is; then what fires. */
static bool run_all(mls__pg_store *store, mls__pg_op **ops, size_t count, unsigned news)
{
    if (!store->txn.room && have_needs(ops, count) && !mls__pg_room_begin(store))
        return false;
    if (!store->txn.shares && have_tenants(ops, count) && !mls__pg_turns_begin(store))
        return false;
    if ((store->txn.rules || store->txn.shares) && may_claim(store, ops, count) &&
        !mls__pg_rules_load(store))
        return false;
    if (!mls__pg_schedules_tick(store))
        return false;
    if (news & MLS__PG_NEWS_MEMBER && !mls__pg_reap(store))
        return false;
    if ((news & MLS__PG_NEWS_READY || is_due(store)) && !mls__pg_tick(store))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!run_op(store, ops[i]))
            return false;
    if (!mls__pg_submit_flush(store))
        return false;
    /* Again: a deadline may have passed when the job came. */
    if (is_due(store) && !mls__pg_tick(store))
        return false;
    return serve_parked(store, news) && mls__pg_rules_save(store) && mls__pg_lanes_save(store) &&
           mls__pg_costs_ride(store, false) && (!store->txn.is_writing || mls__pg_mark(store));
}

static void sift(mls__pg_store *store, mls__pg_list *list, bool is_committed)
{
    mls__pg_op *op = list->first;
    mls__pg_list_init(list);
    while (op) {
        mls__pg_op *next = op->next;
        const bool was_parked = op->is_parked;
        if (!is_committed) {
            if (was_parked) {
                op->kind->abandon(store, op);
                op->is_served = false;
                mls__pg_list_add(list, op);
            }
        } else {
            if (op->kind->publish)
                op->kind->publish(store, op);
            op->is_parked = true;
            if (!op->is_served)
                mls__pg_list_add(list, op);
            else if (was_parked)
                mls__pg_finish_parked(store, op);
            else
                op->parks = false; /* it is answered with its group */
        }
        op = next;
    }
}

static void sift_all(mls__pg_store *store, bool is_committed)
{
    mls__pg_list *const lists[] = {&store->claims, &store->fillers, &store->waits, &store->drains};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        sift(store, lists[i], is_committed);
}

static void take_back(mls__pg_store *store, mls__pg_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i]->kind->abandon)
            ops[i]->kind->abandon(store, ops[i]);
    sift_all(store, false);
    mls__pg_submit_forget(store);
    mls__pg_lanes_clear(store);
    store->next_timer_us = 1; /* not known: to be looked for */
}

/* What claims did not see is looked at soon, and that ends with a walk that finds none. */
static void plan_look(mls__pg_store *store, unsigned news)
{
    if (store->txn.passed_over || store->txn.is_more)
        store->again_ns = mls__pg_clock_ns() + AGAIN_NS;
    else if (news & (MLS__PG_NEWS_READY | MLS__PG_NEWS_AGAIN))
        store->again_ns = 0;
}

static void keep(mls__pg_store *store, mls__pg_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!ops[i]->parks && ops[i]->kind->publish)
            ops[i]->kind->publish(store, ops[i]);
    sift_all(store, true);
}

/* Whether what was lost at its commit took effect: 1, 0, -1 not to be known. */
static int decide(mls__pg_store *store, uint64_t until_ns)
{
    const int64_t member = store->member;
    if (!member)
        return 0; /* it has left, and can do so twice */
    for (;;) {
        if (!mls__pg_reconnect(store, NULL, until_ns) || store->member != member)
            return -1;
        const int was = mls__pg_was_committed(store);
        if (was >= 0 || mls__pg_is_over(store, until_ns))
            return was;
    }
}

static mls_status try_group(mls__pg_store *store, mls__pg_op **ops, size_t count, unsigned news)
{
    const bool is_exclusive = count && ops[0]->kind->is_exclusive;
    store->moment++;
    if (mls__pg_begin(store, is_exclusive ? MLS__PG_EXCLUSIVE : MLS__PG_SHARED) == MLS_OK) {
        if (run_all(store, ops, count, news) && mls__pg_commit(store) == MLS_OK) {
            keep(store, ops, count);
            plan_look(store, news);
            mls__pg_tell(store);
            return MLS_OK;
        }
        if (store->txn.failure != MLS__PG_UNDECIDED)
            mls__pg_rollback(store);
    }
    if (store->txn.failure != MLS__PG_UNDECIDED) {
        take_back(store, ops, count);
        return store->txn.status;
    }
    const mls__pg_txn lost = store->txn;
    const int was = decide(store, mls__pg_clock_ns() + store->patience_ns);
    if (was > 0) {
        keep(store, ops, count);
        store->txn.passed_over = lost.passed_over;
        store->txn.is_more = lost.is_more;
        plan_look(store, news);
        store->txn.news = lost.news;
        mls__pg_tell(store);
        return MLS_OK;
    }
    take_back(store, ops, count);
    mls__pg_claims_stop(store); /* of those that could not be while that was undecided */
    store->is_doubtful |= was < 0;
    if (was < 0 && store->connection)
        mls__pg_disconnect(store); /* the next one asks again */
    store->txn = lost;
    store->txn.failure = was == 0 ? MLS__PG_CLASHED : MLS__PG_UNDECIDED;
    if (was < 0)
        snprintf(store->txn.message, sizeof store->txn.message,
                 "the server went away while it committed, and whether that took effect is not "
                 "known: %.300s",
                 lost.message);
    return store->txn.status;
}

/* A group, again where that can help. While the server is away, once. */
static mls_status run_group_once(mls__pg_store *store, mls__pg_ops *group)
{
    const uint64_t until_ns = mls__pg_clock_ns() + (store->is_failing ? 0 : store->patience_ns);
    mls_status status = MLS_OK;
    for (int clashes = 0;;) {
        if (!store->connection)
            mls__pg_claims_stop(store); /* also who drains, and would see more */
        if (!store->connection && !mls__pg_reconnect(store, group, until_ns))
            return store->txn.status;
        status = try_group(store, group->ops, group->count, group->news);
        if (!status || store->txn.failure == MLS__PG_FAILED ||
            store->txn.failure == MLS__PG_UNDECIDED)
            return status;
        if (store->txn.failure == MLS__PG_LOST) {
            mls__pg_disconnect(store);
            if (mls__pg_clock_ns() >= until_ns)
                return status;
        }
        if (store->txn.failure == MLS__PG_CLASHED || mls__pg_is_closing(store))
            if (++clashes >= MOST_CLASHES)
                return status;
    }
}

static void fail_op(mls__pg_store *store, mls__pg_op *op)
{
    op->parks = false;
    mls__pg_set_status(op, store->txn.status, "%s", store->txn.message);
}

/* Answers each at once: one that parks may be served, and gone, by the next. */
static void answer_alone(mls__pg_store *store, mls__pg_op *op, bool runs)
{
    mls__pg_ops alone = {.ops = &op, .count = 1};
    mls_status status = store->txn.status;
    if (runs) {
        /* While the server is away those behind it do not wait for it again. */
        status = run_group_once(store, &alone);
        store->is_failing = status && !store->connection;
    }
    if (status && alone.count)
        fail_op(store, op);
    mls__pg_answer(store, alone.ops, alone.count);
}

/*
 * One operation that cannot be must not take others with it: then each goes alone. Not when
 * they may have taken effect.
 */
void mls__pg_run_group(mls__pg_store *store, mls__pg_ops *group)
{
    const mls_status status = run_group_once(store, group);
    const bool go_alone =
        group->count > 1 && store->connection && store->txn.failure != MLS__PG_UNDECIDED;
    store->is_failing = status && (!store->connection || group->count == 0);
    if (status)
        store->news_left |= group->news;
    if (!status)
        mls__pg_answer(store, group->ops, group->count);
    for (size_t i = 0; status && i < group->count; i++)
        answer_alone(store, group->ops[i], go_alone);
}

mls_status mls__pg_run_alone(mls__pg_store *store, mls__pg_op *op)
{
    mls__pg_ops alone = {.ops = &op, .count = 1};
    if (run_group_once(store, &alone))
        fail_op(store, op);
    return mls__pg_status_of(store, op);
}
