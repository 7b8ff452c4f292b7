/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds, and what ends them early. A record is copied to its slot before the number of its round
 * is, and read after that was seen. The slot was read two rounds ago, and by all: each of them gave
 * its record of the last round after that, and the caller has seen these.
 *
 * A sleeper says for whose record it sleeps before it looks again, and who gives a record says
 * so before it looks who sleeps for it, both in one order (sequentially consistent): so one of the
 * two sees the other. That costs who gives it the time until its line has come from the others, so
 * it looks for their records first.
 */
#include "transport/shm/shm.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define LOOKS_A_CLOCK 64
#define LOOKS_FIRST   8
#define TOLD_WAIT_NS  UINT64_C(100000000)

static shm_slot *slot_of(const shm_link *link, uint32_t rank, uint64_t round)
{
    return &shm_seat_of(link, rank)->slots[round % 2];
}

static bool has_given(const shm_link *link, uint32_t rank, uint64_t round)
{
    return atomic_load(&slot_of(link, rank, round)->round) >= round;
}

/* The first rank whose record is missing; `size`: none is. */
static uint32_t first_missing(const shm_link *link, uint64_t round)
{
    uint32_t rank = 0;
    while (rank < link->size && has_given(link, rank, round))
        rank++;
    return rank;
}

static bool is_complete(const shm_link *link, uint64_t round)
{
    return first_missing(link, round) == link->size;
}

bool shm_is_aborted(const shm_link *link)
{
    return atomic_load(&link->room->abort_rank) != 0;
}

/* What a rank gave before it left or died is seen after that. */
static bool is_lost(const shm_link *link, uint64_t round)
{
    if (!atomic_load(&link->room->gone))
        return false;
    for (uint32_t i = 0; i < link->size; i++)
        if (shm_fate_of(link, i) != SHM_ALIVE && !has_given(link, i, round))
            return true;
    return false;
}

/* MLS_ETIMEDOUT: nothing is known yet. */
static mls_status look(const shm_link *link, uint64_t round)
{
    if (is_complete(link, round))
        return MLS_OK;
    if (shm_fate_of(link, link->rank) != SHM_ALIVE)
        return MLS_ECANCELLED;
    /* What was given before the abort counts, so look once more. */
    if (shm_is_aborted(link))
        return is_complete(link, round) ? MLS_OK : MLS_ECANCELLED;
    return is_lost(link, round) ? MLS_EPEER : MLS_ETIMEDOUT;
}

static mls_status look_often(const shm_link *link, uint64_t round, int looks)
{
    mls_status status = look(link, round);
    while (status == MLS_ETIMEDOUT && --looks > 0) {
        mls__thread_pause();
        status = look(link, round);
    }
    return status;
}

static mls_status spin(const shm_link *link, uint64_t round, uint64_t until_ns)
{
    mls_status status = look_often(link, round, LOOKS_A_CLOCK);
    if (status != MLS_ETIMEDOUT)
        return status;
    /* The clock is for those that wait for longer. */
    const uint64_t begin = mls__clock_monotonic_ns();
    uint64_t now = begin;
    while (status == MLS_ETIMEDOUT && now - begin < link->spin_ns && now < until_ns) {
        shm_lose_patience(now - begin);
        status = look_often(link, round, LOOKS_A_CLOCK);
        now = mls__clock_monotonic_ns();
    }
    return status;
}

static mls_status sleep_until(shm_link *link, uint64_t round, uint64_t until_ns)
{
    shm_seat *own = shm_seat_of(link, link->rank);
    bool in_time = true;
    mls_status status;
    for (;;) {
        const uint32_t seen = shm_bell(link);
        atomic_store(&own->waits_for, first_missing(link, round) + 1);
        status = look(link, round);
        if (status != MLS_ETIMEDOUT || !in_time)
            break;
        in_time = shm_sleep(link, seen, until_ns);
    }
    atomic_store(&own->waits_for, 0);
    return status == MLS_ETIMEDOUT ? MLS_EDEADLINE : status;
}

/* ThreadSanitizer knows no fences: there the store has the order that one behind it would give. */
#ifdef __SANITIZE_THREAD__
#define GIVING memory_order_seq_cst
#else
#define GIVING memory_order_release
#endif

static void give(const shm_link *link, uint64_t round, const void *record, size_t size_bytes)
{
    shm_slot *slot = slot_of(link, link->rank, round);
    memcpy(slot->record, record, size_bytes);
    slot->size = size_bytes;
    atomic_store_explicit(&slot->round, round, GIVING);
}

/* Behind a record that was given: until the fence its line may be on its way. */
static void wake(const shm_link *link)
{
    if (GIVING != memory_order_seq_cst)
        atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < link->size; i++)
        if (atomic_load(&shm_seat_of(link, i)->waits_for) == link->rank + 1)
            shm_ring(link, i);
}

static mls_status collect(const shm_link *link, uint64_t round, mls_transport_record *ret_records)
{
    for (uint32_t i = 0; i < link->size; i++) {
        const shm_slot *slot = slot_of(link, i, round);
        const uint64_t size = *(const volatile uint64_t *) &slot->size;
        if (size > SHM_RECORD_BYTES)
            return link->hub->host->error(MLS_EFORMAT, "rank %u gave a record of %llu bytes", i,
                                          (unsigned long long) size);
        ret_records[i] = (mls_transport_record){slot->record, (size_t) size};
    }
    return MLS_OK;
}

#if defined __x86_64__
/* Where a processor has no such instruction, it does nothing. */
#define FOR_WRITING __attribute__((target("prfchw")))
#else
#define FOR_WRITING
#endif

/*
 * Others have read what the slot of the next round holds: its line can come back now, so that the
 * next record need not wait for that.
 */
FOR_WRITING static void take_back(const shm_link *link, uint64_t round)
{
    __builtin_prefetch(slot_of(link, link->rank, round), 1);
}

mls_status shm_round(void *self, const void *record, size_t size_bytes, uint64_t until_ns,
                     mls_transport_record *ret_records)
{
    shm_link *link = self;
    if (size_bytes > SHM_RECORD_BYTES)
        return link->hub->host->error(MLS_EINVAL, "a record of %zu bytes", size_bytes);
    /* Those that ended the group have given up this round, too. */
    if (shm_is_aborted(link))
        return MLS_ECANCELLED;
    const uint64_t round = ++link->rounds;
    give(link, round, record, size_bytes);
    mls_status status = look_often(link, round, link->spin_ns ? LOOKS_FIRST : 1);
    wake(link);
    if (status == MLS_ETIMEDOUT && link->spin_ns)
        status = spin(link, round, until_ns);
    if (status == MLS_ETIMEDOUT)
        status = sleep_until(link, round, until_ns);
    if (status)
        return status;
    take_back(link, round + 1);
    return collect(link, round, ret_records);
}

/* --- the end --------------------------------------------------------------------------------- */

void shm_abort(void *self, mls_status status, const char *reason)
{
    shm_link *link = self;
    shm_room *room = link->room;
    uint32_t nobody = 0;
    if (!room || !atomic_compare_exchange_strong(&room->abort_rank, &nobody, link->rank + 1))
        return;
    room->abort_status = status;
    snprintf(room->abort_reason, sizeof room->abort_reason, "%s", reason);
    atomic_store(&room->abort_told, 1);
    shm_ring_all(link);
}

/* Who aborts is about to say why, unless it was stopped or killed just there. */
static bool is_told(const shm_room *room)
{
    const uint64_t until_ns = mls__clock_monotonic_ns() + TOLD_WAIT_NS;
    while (!atomic_load(&room->abort_told)) {
        if (mls__clock_monotonic_ns() >= until_ns)
            return false;
        sched_yield();
    }
    return true;
}

mls_status shm_aborted(void *self, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    const shm_link *link = self;
    const shm_room *room = link->room;
    char reason[SHM_REASON_BYTES] = "it did not say why";
    mls_status status = MLS_ECANCELLED;
    if (!room || !shm_is_aborted(link))
        return MLS_ENOTFOUND;
    *ret_rank = atomic_load(&room->abort_rank) - 1;
    if (is_told(room)) {
        memcpy(reason, room->abort_reason, sizeof reason);
        reason[sizeof reason - 1] = '\0';
        status = (mls_status) room->abort_status;
    }
    snprintf(ret_reason, capacity, "%s", reason);
    return status < MLS_OK && status >= MLS_EMISMATCH ? status : MLS_ECANCELLED;
}

void shm_peer(void *self, uint32_t rank, mls_transport_peer *ret_peer)
{
    static const uint32_t states[] = {
        [SHM_ALIVE] = MLS_PEER_ALIVE, [SHM_LEFT] = MLS_PEER_LEFT, [SHM_DEAD] = MLS_PEER_DEAD};
    shm_link *link = self;
    const uint64_t now = mls__clock_monotonic_ns();
    shm_watch_soon(link, now); /* perhaps nobody waits here who would */
    ret_peer->state = states[shm_fate_of(link, rank)];
    const shm_slot *slots = shm_seat_of(link, rank)->slots;
    const uint64_t even = atomic_load(&slots[0].round), odd = atomic_load(&slots[1].round);
    ret_peer->rounds = even > odd ? even : odd;
    mls__peer_heard(ret_peer, now);
}
