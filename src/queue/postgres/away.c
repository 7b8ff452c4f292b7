/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the server is away: the connection is made anew, and what needs no server is answered
 * between the tries, as is who waited for what he wants no longer. So stopping and closing do not
 * wait for it.
 */
#include "queue/postgres/postgres.h"

#include <unistd.h>

void mls__pg_run_without(mls__pg_store *store, mls__pg_op *op)
{
    op->parks = op->is_parked = op->is_served = false;
    op->status = op->kind->run(store, op);
    mls__pg_answer(store, &op, 1);
}

static bool needs_no_server(const mls__pg_op *op)
{
    return op->kind->no_transaction || (op->kind->is_void && op->kind->is_void(op));
}

/* Of those that are not in a group. */
static void answer_queue(mls__pg_store *store)
{
    mls__pg_take_in(store, &store->queue);
    mls__pg_op *op = store->queue.first;
    mls__pg_list_init(&store->queue);
    while (op) {
        mls__pg_op *next = op->next;
        if (needs_no_server(op))
            mls__pg_run_without(store, op);
        else
            mls__pg_list_add(&store->queue, op);
        op = next;
    }
}

/* And of those that are, and are to be run again. */
static void answer_group(mls__pg_store *store, mls__pg_ops *group)
{
    size_t left = 0;
    for (size_t i = 0; i < group->count; i++)
        if (needs_no_server(group->ops[i]))
            mls__pg_run_without(store, group->ops[i]);
        else
            group->ops[left++] = group->ops[i];
    group->count = left;
}

void mls__pg_rest(mls__pg_store *store, struct pollfd *fd, uint64_t until_ns)
{
    uint64_t woken;
    const uint64_t now_ns = mls__pg_clock_ns();
    const int ms = until_ns > now_ns ? (int) ((until_ns - now_ns) / 1000000 + 1) : 0;
    struct pollfd fds[2] = {{store->wake_fd, POLLIN, 0}, *fd};
    fd->revents = poll(fds, 2, ms) > 0 ? fds[1].revents : 0;
    if (fds[0].revents && read(store->wake_fd, &woken, sizeof woken) < 0)
        return; /* nobody came */
    answer_queue(store);
    if (store->group)
        answer_group(store, store->group);
}

/* A queue that closes does not wait for a server. */
bool mls__pg_is_over(mls__pg_store *store, uint64_t until_ns)
{
    return mls__pg_clock_ns() >= until_ns || mls__pg_is_closing(store);
}

static void pause_tries(mls__pg_store *store)
{
    const uint64_t until_ns = mls__pg_clock_ns() + MLS__PG_RECONNECT_PAUSE_NS;
    while (!mls__pg_is_over(store, until_ns))
        mls__pg_rest(store, &(struct pollfd){.fd = -1}, until_ns);
}

static bool try_connect(mls__pg_store *store)
{
    if (store->connection)
        mls__pg_disconnect(store);
    if (!mls__pg_connect(store) && mls__pg_resume(store))
        return true;
    if (store->connection)
        mls__pg_disconnect(store); /* it is not the member's */
    return false;
}

bool mls__pg_reconnect(mls__pg_store *store, mls__pg_ops *group, uint64_t until_ns)
{
    store->group = group;
    store->is_deciding = !group;
    bool is_back = try_connect(store);
    while (!is_back && !mls__pg_is_over(store, until_ns)) {
        pause_tries(store);
        is_back = try_connect(store);
    }
    store->group = NULL;
    store->is_deciding = false;
    if (is_back)
        store->news_left |= MLS__PG_NEWS_READY | MLS__PG_NEWS_ENDED | MLS__PG_NEWS_CANCEL;
    return is_back;
}
