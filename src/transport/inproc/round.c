/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds, and what ends them early. A record is copied to its seat before the seat's count
 * of rounds is raised (release), and read after that was seen (acquire). The place that a
 * record is copied to was read two rounds ago, and by all: each of them gave its record of
 * the last round after that, and the caller has seen these.
 *
 * A sleeper counts itself before it looks again, and who gives a record raises its count
 * before it looks for sleepers, both in one order (sequentially consistent): so one of the
 * two sees the other.
 */
#include "transport/inproc/inproc.h"

#include "base/clock.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define LOOKS_PER_CLOCK 64
/* Who looks for longer lets others have the core: one that it waits for may be on it. */
#define PATIENCE_NS UINT64_C(5000)

void inproc_wake_locked(inproc_room *room)
{
    if (atomic_load(&room->sleepers))
        pthread_cond_broadcast(&room->changed.cond);
}

void inproc_wake(inproc_room *room)
{
    if (!atomic_load(&room->sleepers))
        return;
    pthread_mutex_lock(&room->mutex);
    pthread_cond_broadcast(&room->changed.cond);
    pthread_mutex_unlock(&room->mutex);
}

static bool is_complete(const inproc_room *room, uint64_t round)
{
    for (uint32_t i = 0; i < room->size; i++)
        if (atomic_load(&room->seats[i].rounds) < round)
            return false;
    return true;
}

/* A rank that left gives no record any more; what it gave before it left is seen after that. */
static bool is_lost(const inproc_room *room, uint64_t round)
{
    if (!atomic_load(&room->left_count))
        return false;
    for (uint32_t i = 0; i < room->size; i++)
        if (atomic_load(&room->seats[i].has_left) && atomic_load(&room->seats[i].rounds) < round)
            return true;
    return false;
}

/* MLS_ETIMEDOUT: nothing is known yet. */
static mls_status look(const inproc_link *link, uint64_t round)
{
    const inproc_room *room = link->room;
    if (is_complete(room, round))
        return MLS_OK;
    if (atomic_load(&room->seats[link->rank].has_left))
        return MLS_ECANCELLED;
    /* What was given before the abort counts, so look once more. */
    if (atomic_load(&room->is_aborted))
        return is_complete(room, round) ? MLS_OK : MLS_ECANCELLED;
    return is_lost(room, round) ? MLS_EPEER : MLS_ETIMEDOUT;
}

static mls_status spin(const inproc_link *link, uint64_t round, uint64_t until_ns)
{
    const uint64_t begin = mls__clock_monotonic_ns();
    const uint64_t stop = until_ns - begin < link->spin_ns ? until_ns : begin + link->spin_ns;
    uint64_t now;
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            const mls_status status = look(link, round);
            if (status != MLS_ETIMEDOUT)
                return status;
            mls__thread_pause();
        }
        now = mls__clock_monotonic_ns();
        if (now - begin > PATIENCE_NS)
            sched_yield();
    } while (now < stop);
    return MLS_ETIMEDOUT;
}

static mls_status sleep_until(const inproc_link *link, uint64_t round, uint64_t until_ns)
{
    inproc_room *room = link->room;
    bool in_time = true;
    mls_status status;
    pthread_mutex_lock(&room->mutex);
    atomic_fetch_add(&room->sleepers, 1);
    while ((status = look(link, round)) == MLS_ETIMEDOUT && in_time)
        in_time = mls__cond_wait_until(&room->changed, &room->mutex, until_ns);
    atomic_fetch_sub(&room->sleepers, 1);
    pthread_mutex_unlock(&room->mutex);
    return status == MLS_ETIMEDOUT ? MLS_EDEADLINE : status;
}

static void give(inproc_link *link, uint64_t round, const void *record, size_t size_bytes)
{
    inproc_seat *seat = &link->room->seats[link->rank];
    memcpy(seat->records[round % 2], record, size_bytes);
    seat->sizes[round % 2] = size_bytes;
    atomic_store(&seat->rounds, round);
    inproc_wake(link->room);
}

mls_status inproc_round(void *self, const void *record, size_t size_bytes, uint64_t until_ns,
                        mls_transport_record *ret_records)
{
    inproc_link *link = self;
    inproc_room *room = link->room;
    if (size_bytes > INPROC_RECORD_BYTES)
        return link->hall->host->error(MLS_EINVAL, "a record of %zu bytes", size_bytes);
    /* Those that ended the group have given up this round, too. */
    if (atomic_load(&room->is_aborted))
        return MLS_ECANCELLED;
    const uint64_t round = atomic_load(&room->seats[link->rank].rounds) + 1;
    give(link, round, record, size_bytes);
    mls_status status = look(link, round);
    if (status == MLS_ETIMEDOUT && link->spin_ns && mls__clock_monotonic_ns() < until_ns)
        status = spin(link, round, until_ns);
    if (status == MLS_ETIMEDOUT)
        status = sleep_until(link, round, until_ns);
    if (status)
        return status;
    for (uint32_t i = 0; i < room->size; i++)
        ret_records[i] = (mls_transport_record){room->seats[i].records[round % 2],
                                                room->seats[i].sizes[round % 2]};
    return MLS_OK;
}

/*
 * Who reads says so before it looks whether the room is aborted, and who aborts looks for
 * readers after that, both in one order: so one of the two sees the other.
 */
mls_status inproc_read_begin(void *self)
{
    const inproc_link *link = self;
    atomic_store(&link->room->seats[link->rank].is_reading, true);
    if (!atomic_load(&link->room->is_aborted))
        return MLS_OK;
    inproc_read_end(self);
    return MLS_ECANCELLED;
}

void inproc_read_end(void *self)
{
    const inproc_link *link = self;
    atomic_store(&link->room->seats[link->rank].is_reading, false);
    inproc_wake(link->room);
}

static bool others_read(const inproc_link *link)
{
    for (uint32_t i = 0; i < link->room->size; i++)
        if (i != link->rank && atomic_load(&link->room->seats[i].is_reading))
            return true;
    return false;
}

void inproc_abort(void *self, mls_status status, const char *reason)
{
    inproc_link *link = self;
    inproc_room *room = link->room;
    if (!room)
        return;
    pthread_mutex_lock(&room->mutex);
    if (!atomic_load(&room->is_aborted)) {
        room->abort_rank = link->rank;
        room->abort_status = status;
        snprintf(room->abort_reason, sizeof room->abort_reason, "%s", reason);
        atomic_store(&room->is_aborted, true);
        pthread_cond_broadcast(&room->changed.cond);
    }
    atomic_fetch_add(&room->sleepers, 1);
    /*
     * For the time of a copy or a sum. Not while this rank reads itself, perhaps in a function
     * of the host's that calls this: two such would wait for each other. Its call fails, and
     * comes here again.
     */
    while (!atomic_load(&room->seats[link->rank].is_reading) && others_read(link))
        mls__cond_wait_until(&room->changed, &room->mutex, MLS__FOREVER);
    atomic_fetch_sub(&room->sleepers, 1);
    pthread_mutex_unlock(&room->mutex);
}

mls_status inproc_aborted(void *self, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    const inproc_link *link = self;
    const inproc_room *room = link->room;
    if (!room || !atomic_load(&room->is_aborted))
        return MLS_ENOTFOUND;
    *ret_rank = room->abort_rank;
    snprintf(ret_reason, capacity, "%s", room->abort_reason);
    return room->abort_status;
}

void inproc_peer(void *self, uint32_t rank, mls_transport_peer *ret_peer)
{
    const inproc_link *link = self;
    const inproc_seat *seat = &link->room->seats[rank];
    ret_peer->state = atomic_load(&seat->has_left) ? MLS_PEER_LEFT : MLS_PEER_ALIVE;
    ret_peer->rounds = atomic_load(&seat->rounds);
    mls__peer_heard(ret_peer, mls__clock_monotonic_ns());
}
