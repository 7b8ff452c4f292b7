/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the committer and back: an operation lies in the inbox until it is taken in,
 * and its thread sleeps until it is parked or done.
 */
#include "queue/postgres/postgres.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void mls__pg_list_init(mls__pg_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

void mls__pg_list_add(mls__pg_list *list, mls__pg_op *op)
{
    op->next = NULL;
    *list->last = op;
    list->last = &op->next;
}

void mls__pg_wake(mls__pg_store *store)
{
    const uint64_t one = 1;
    if (write(store->wake_fd, &one, sizeof one) < 0)
        return; /* full: it is awake */
}

/* The caller holds the mutex. */
static void put_in(mls__pg_store *store, mls__pg_op *op)
{
    const bool was_empty = !store->inbox.first;
    op->phase = MLS__PG_QUEUED;
    mls__pg_list_add(&store->inbox, op);
    if (was_empty)
        mls__pg_wake(store);
}

void mls__pg_push(mls__pg_store *store, mls__pg_op *op)
{
    pthread_mutex_lock(&store->mutex);
    put_in(store, op);
    pthread_mutex_unlock(&store->mutex);
}

void mls__pg_post(mls__pg_store *store, mls__pg_op *op)
{
    pthread_cond_init(&op->changed, NULL);
    pthread_mutex_lock(&store->mutex);
    put_in(store, op);
    while (op->phase == MLS__PG_QUEUED)
        pthread_cond_wait(&op->changed, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
}

mls_status mls__pg_status_of(mls__pg_store *store, const mls__pg_op *op)
{
    return op->status ? store->host->error(op->status, "%s", op->message) : MLS_OK;
}

mls_status mls__pg_await(mls__pg_store *store, mls__pg_op *op)
{
    pthread_mutex_lock(&store->mutex);
    while (op->phase != MLS__PG_DONE)
        pthread_cond_wait(&op->changed, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
    pthread_cond_destroy(&op->changed);
    return mls__pg_status_of(store, op);
}

mls_status mls__pg_call(mls__pg_store *store, mls__pg_op *op)
{
    mls__pg_post(store, op);
    return mls__pg_await(store, op);
}

mls_status mls__pg_set_status(mls__pg_op *op, mls_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(op->message, sizeof op->message, format, args);
    va_end(args);
    op->status = status;
    return status;
}

/* From here on the operation may be gone. The caller holds the mutex. */
static void set_phase(mls__pg_op *op, int phase)
{
    op->phase = phase;
    pthread_cond_signal(&op->changed);
}

void mls__pg_finish_parked(mls__pg_store *store, mls__pg_op *op)
{
    pthread_mutex_lock(&store->mutex);
    set_phase(op, MLS__PG_DONE);
    pthread_mutex_unlock(&store->mutex);
}

void mls__pg_answer(mls__pg_store *store, mls__pg_op **ops, size_t count)
{
    pthread_mutex_lock(&store->mutex);
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->kind->end)
            continue;
        if (ops[i]->parks && ops[i]->until_ns < store->parked_until_ns)
            store->parked_until_ns = ops[i]->until_ns;
        set_phase(ops[i], ops[i]->parks ? MLS__PG_PARKED : MLS__PG_DONE);
        ops[i] = NULL;
    }
    pthread_mutex_unlock(&store->mutex);
    for (size_t i = 0; i < count; i++)
        if (ops[i])
            ops[i]->kind->end(store, ops[i]);
}

void mls__pg_list_move(mls__pg_list *from, mls__pg_list *to)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    mls__pg_list_init(from);
}

void mls__pg_take_in(mls__pg_store *store, mls__pg_list *queue)
{
    pthread_mutex_lock(&store->mutex);
    mls__pg_list_move(&store->inbox, queue);
    pthread_mutex_unlock(&store->mutex);
}
