/* SPDX-License-Identifier: Apache-2.0 */
/* The families of calls, and running one when its turn has come. */
#include "group/group.h"

#include "base/error.h"

#include <inttypes.h>

/* By MLS__CALL_*. */
static const mls__family families[] = {
    [MLS__CALL_OPEN] = {.name = "open", .run = mls__run_barrier},
    [MLS__CALL_BARRIER] = {.name = "barrier", .run = mls__run_barrier},
    [MLS__CALL_BROADCAST] = {.name = "broadcast",
                             .moves = true,
                             .from_root = true,
                             .run = mls__run_move},
    [MLS__CALL_REDUCE] =
        {.name = "reduce", .moves = true, .reduces = true, .to_root = true, .run = mls__run_reduce},
    [MLS__CALL_ALLREDUCE] = {.name = "allreduce",
                             .moves = true,
                             .reduces = true,
                             .run = mls__run_reduce},
    [MLS__CALL_GATHER] = {.name = "gather",
                          .moves = true,
                          .to_root = true,
                          .target_is_all = true,
                          .run = mls__run_move},
    [MLS__CALL_ALLGATHER] = {.name = "allgather",
                             .moves = true,
                             .target_is_all = true,
                             .run = mls__run_move},
    [MLS__CALL_SCATTER] = {.name = "scatter",
                           .moves = true,
                           .from_root = true,
                           .source_is_all = true,
                           .run = mls__run_move},
    [MLS__CALL_REDUCE_SCATTER] = {.name = "reduce_scatter",
                                  .moves = true,
                                  .reduces = true,
                                  .source_is_all = true,
                                  .run = mls__run_reduce},
    [MLS__CALL_ALL_TO_ALL] = {.name = "all_to_all",
                              .moves = true,
                              .source_is_all = true,
                              .target_is_all = true,
                              .run = mls__run_move},
    [MLS__CALL_SPLIT] = {.name = "split", .run = mls__run_split},
    [MLS__CALL_MESSAGE] = {.name = "message", .moves = true},
    [MLS__CALL_SWAP] = {.name = "redistribution", .moves = true, .run = mls__run_swap},
    [MLS__CALL_REDUCE_BLOCKS] = {.name = "reduce_scatter",
                                 .moves = true,
                                 .reduces = true,
                                 .source_is_all = true,
                                 .run = mls__run_blocks},
};

const mls__family *mls__family_get(uint32_t op)
{
    const bool is_known = op < sizeof families / sizeof families[0] && families[op].name;
    return is_known ? &families[op] : NULL;
}

mls_status mls__run_barrier(mls_group *group, mls__call *call)
{
    return mls__round(group, call, 0, NULL, 0);
}

/*
 * Turns change without the mutex, since most calls find nobody before and behind them. Who waits
 * counts itself and then looks whose turn it is; who ends its turn says so and then looks whether
 * anybody waits, all in one order (sequentially consistent): so one of the two sees the other.
 * 0: it is this one's turn; else how many calls are before it, and the time has passed.
 */
static uint64_t wait_for_turn(mls_group *group, uint64_t ticket, uint64_t until_ns)
{
    bool in_time = true;
    pthread_mutex_lock(&group->mutex);
    atomic_fetch_add(&group->turn_waiters, 1);
    while (atomic_load(&group->serving) != ticket && in_time)
        in_time = mls__cond_wait_until(&group->changed, &group->mutex, until_ns);
    const uint64_t ahead = ticket - atomic_load(&group->serving);
    atomic_fetch_sub(&group->turn_waiters, 1);
    pthread_mutex_unlock(&group->mutex);
    return ahead;
}

/* A call whose deadline passes before its turn ends those before it. */
void mls__turn_wait(mls_group *group, const mls__call *call, uint64_t ticket)
{
    const uint64_t ahead = wait_for_turn(group, ticket, call->until_ns);
    if (!ahead)
        return;
    char text[MLS__HEADER_TEXT];
    mls__error(MLS_EDEADLINE,
               "%s: its time is over, and %" PRIu64 " calls of rank %u before it "
               "have not ended",
               mls__header_text(&call->header, text), ahead, group->rank);
    mls__group_break(group, MLS_EDEADLINE);
    wait_for_turn(group, ticket, MLS__FOREVER);
}

void mls__turn_end_locked(mls_group *group)
{
    atomic_fetch_add(&group->serving, 1);
    pthread_cond_broadcast(&group->changed.cond);
}

/* With the mutex, a waiter that had not seen the turn end is asleep, and is woken. */
static void turn_end(mls_group *group)
{
    atomic_fetch_add(&group->serving, 1);
    if (!atomic_load(&group->turn_waiters))
        return;
    pthread_mutex_lock(&group->mutex);
    pthread_cond_broadcast(&group->changed.cond);
    pthread_mutex_unlock(&group->mutex);
}

/* The calls that this thread is in: of one group, and of those that its combine functions call. */
typedef struct frame {
    const mls_group *group;
    const struct frame *outer;
} frame;

static _Thread_local const frame *innermost;

mls_status mls__call_check_nested(const mls_group *group)
{
    for (const frame *at = innermost; at; at = at->outer)
        if (at->group == group)
            return mls__error(MLS_ESTATE, "a combine function waits for a call of its own group, "
                                          "which would wait for that function");
    return MLS_OK;
}

static mls_status run(mls_group *group, mls__call *call)
{
    const frame own = {group, innermost};
    innermost = &own;
    const mls_status status = mls__family_get(call->header.op)->run(group, call);
    mls__reading_end(group);
    innermost = own.outer;
    return status;
}

mls_status mls__turn_run(mls_group *group, mls__call *call)
{
    mls_status status = mls__group_check(group, MLS__GROUP_ON_CALL);
    if (status)
        return status;
    call->header.seq = ++group->seq;
    status = run(group, call);
    group->last = call->header;
    if (status && status != MLS_EMISMATCH)
        return mls__group_break(group, status);
    return status;
}

mls_status mls__call_run(mls_group *group, mls__call *call)
{
    const uint64_t ticket = atomic_fetch_add(&group->next_ticket, 1);
    if (atomic_load(&group->serving) != ticket)
        mls__turn_wait(group, call, ticket);
    const mls_status status = mls__turn_run(group, call);
    turn_end(group);
    return status;
}

mls_status mls__call_queue(mls_group *group, mls__call *call)
{
    const mls_status status = mls__call_check_nested(group);
    return status ? status : mls__call_run(group, call);
}

mls_status mls__call_start(mls_group *group, mls__call *call, mls_work **ret_work)
{
    const mls_status status = mls__call_check(group, call);
    if (status)
        return status;
    return ret_work ? mls__work_submit(group, call, ret_work) : mls__call_queue(group, call);
}
