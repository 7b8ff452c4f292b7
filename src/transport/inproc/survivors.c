/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agreeing on who is left: ranks raise their hand; the first that sees all hands that can
 * still be raised, or whose deadline passes, decides for all. Once decided it stays so. A
 * rank's next hand is for the next agreement, among those of the last one.
 */
#include "transport/inproc/inproc.h"

/* Who was part of all agreements before the nth. */
static bool is_asked(const inproc_seat *seat, uint64_t nth)
{
    return seat->survived + 1 >= nth;
}

static bool all_raised(const inproc_room *room, uint64_t nth)
{
    for (uint32_t i = 0; i < room->size; i++) {
        const inproc_seat *seat = &room->seats[i];
        if (is_asked(seat, nth) && seat->raised < nth && !atomic_load(&seat->has_left))
            return false;
    }
    return true;
}

static void decide(inproc_room *room, uint64_t nth)
{
    room->decided = nth;
    for (uint32_t i = 0; i < room->size; i++)
        if (is_asked(&room->seats[i], nth) && room->seats[i].raised >= nth)
            room->seats[i].survived = nth;
}

static void agree(inproc_room *room, uint64_t nth, uint64_t until_ns)
{
    bool in_time = true;
    atomic_fetch_add(&room->sleepers, 1);
    while (room->decided < nth && !all_raised(room, nth) && in_time)
        in_time = mls__cond_wait_until(&room->changed, &room->mutex, until_ns);
    atomic_fetch_sub(&room->sleepers, 1);
    if (room->decided < nth)
        decide(room, nth);
    inproc_wake_locked(room);
}

mls_status inproc_survivors(void *self, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count)
{
    const inproc_link *link = self;
    inproc_room *room = link->room;
    uint32_t count = 0;
    if (!room)
        return link->hall->host->error(MLS_ESTATE, "the ranks were never joined to a group");
    inproc_seat *own = &room->seats[link->rank];
    pthread_mutex_lock(&room->mutex);
    const uint64_t nth = ++own->raised;
    const bool is_late = room->decided >= nth || !is_asked(own, nth);
    if (!is_late) {
        inproc_wake_locked(room);
        agree(room, nth, until_ns);
        for (uint32_t i = 0; i < room->size; i++)
            if (room->seats[i].survived >= nth)
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
