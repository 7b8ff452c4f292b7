/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the committer and back.
 *
 * Who posts pushes onto a stack and wakes the committer if it sleeps; both orders are
 * sequentially consistent, so at least one sees the other. Answers of a group are
 * published by one word that moves, so that one system call wakes all of them; who is
 * parked waits on a word of its own.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

void mls__sql_list_init(mls__sql_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

void mls__sql_list_add(mls__sql_list *list, mls__sql_op *op)
{
    op->next = NULL;
    *list->last = op;
    list->last = &op->next;
}

void mls__sql_push(mls__sql_store *store, mls__sql_op *op)
{
    atomic_store_explicit(&op->phase, MLS__SQL_QUEUED, memory_order_relaxed);
    mls__sql_op *below = atomic_load_explicit(&store->inbox, memory_order_relaxed);
    do
        op->next = below;
    while (!atomic_compare_exchange_weak(&store->inbox, &below, op));
    mls__sql_slot_wake(store);
}

bool mls__sql_post(mls__sql_store *store, mls__sql_op *op)
{
    mls__sql_push(store, op);
    for (;;) {
        const uint32_t groups = atomic_load(&store->groups);
        const uint32_t phase = atomic_load(&op->phase);
        if (phase != MLS__SQL_QUEUED)
            return phase == MLS__SQL_DONE;
        mls__sql_futex_wait(&store->groups, groups, MLS__FOREVER);
    }
}

void mls__sql_await(mls__sql_op *op)
{
    while (atomic_load(&op->phase) != MLS__SQL_DONE)
        mls__sql_futex_wait(&op->phase, MLS__SQL_PARKED, MLS__FOREVER);
}

mls_status mls__sql_answer(const mls__sql_op *op)
{
    return op->status ? mls__error(op->status, "%s", op->message) : MLS_OK;
}

mls_status mls__sql_call(mls__sql_store *store, mls__sql_op *op)
{
    if (!mls__sql_post(store, op))
        mls__sql_await(op);
    return mls__sql_answer(op);
}

void mls__sql_answer_all(mls__sql_store *store, mls__sql_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mls__sql_op *op = ops[i];
        if (op->kind->end) {
            op->kind->end(store, op);
            continue;
        }
        if (op->parks && op->until_ns < store->parked_until_ns)
            store->parked_until_ns = op->until_ns;
        /* From here on it may be gone, unless it is parked. */
        atomic_store(&op->phase, op->parks ? MLS__SQL_PARKED : MLS__SQL_DONE);
    }
    atomic_fetch_add(&store->groups, 1);
    mls__sql_futex_wake(&store->groups, INT32_MAX);
}

void mls__sql_finish_parked(mls__sql_op *op)
{
    atomic_store(&op->phase, MLS__SQL_DONE);
    mls__sql_futex_wake(&op->phase, 1);
}

/* Taking in */

size_t mls__sql_take_in(mls__sql_store *store, mls__sql_list *queue)
{
    size_t count = 0;
    mls__sql_op *newest = atomic_exchange(&store->inbox, NULL);
    mls__sql_op *oldest = NULL;
    while (newest) {
        mls__sql_op *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        mls__sql_op *next = oldest->next;
        mls__sql_list_add(queue, oldest);
        oldest = next;
        count++;
    }
    return count;
}

size_t mls__sql_take_group(mls__sql_list *queue, mls__sql_op **ops)
{
    size_t count = 0;
    while (queue->first && count < MLS__SQL_MOST_OPS) {
        mls__sql_op *op = queue->first;
        if (op->kind->no_transaction && count)
            break;
        ops[count++] = op;
        queue->first = op->next;
        if (op->kind->no_transaction)
            break;
    }
    if (!queue->first)
        queue->last = &queue->first;
    return count;
}
