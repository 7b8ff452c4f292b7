/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agreeing on who is left: ranks raise their hand; the first that sees all hands that can
 * still be raised, or whose deadline passes, decides for all. Once decided it stays so.
 */
#include "transport/inproc/inproc.h"

static bool all_raised(const inproc_room *room)
{
    for (uint32_t i = 0; i < room->size; i++)
        if (!room->seats[i].survives && !atomic_load(&room->seats[i].has_left))
            return false;
    return true;
}

static void wait_for_others(inproc_room *room, uint64_t until_ns)
{
    bool in_time = true;
    atomic_fetch_add(&room->sleepers, 1);
    while (!room->is_decided && !all_raised(room) && in_time)
        in_time = mls__cond_wait_until(&room->changed, &room->mutex, until_ns);
    atomic_fetch_sub(&room->sleepers, 1);
    room->is_decided = true;
    inproc_wake_locked(room);
}

mls_status inproc_survivors(void *self, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count)
{
    const inproc_link *link = self;
    inproc_room *room = link->room;
    uint32_t count = 0;
    if (!room)
        return link->hall->host->error(MLS_ESTATE, "the ranks were never joined to a group");
    pthread_mutex_lock(&room->mutex);
    const bool is_late = room->is_decided && !room->seats[link->rank].survives;
    if (!is_late) {
        room->seats[link->rank].survives = true;
        inproc_wake_locked(room);
        wait_for_others(room, until_ns);
        for (uint32_t i = 0; i < room->size; i++)
            if (room->seats[i].survives)
                ret_ranks[count++] = i;
    }
    pthread_mutex_unlock(&room->mutex);
    if (is_late)
        return link->hall->host->error(MLS_EPEER,
                                       "the others went on without rank %u, which "
                                       "came late",
                                       link->rank);
    *ret_count = count;
    return MLS_OK;
}
