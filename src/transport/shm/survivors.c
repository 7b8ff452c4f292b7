/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agreeing on who is left: ranks raise their hand; the first that sees all hands that can
 * still be raised, or whose deadline passes, decides for all. A rank's next hand is for the
 * next agreement, among those of the last one. Who died while it decided is replaced by another:
 * what it wrote and did not declare counts for nothing, and the agreement before lies elsewhere.
 */
#include "transport/shm/shm.h"

#include "base/clock.h"

#include <string.h>

/* To write a decision takes microseconds, once the rank that does has a core. */
#define DECISION_NS UINT64_C(1000000000)

/* Who decides the nth agreement, as one word. */
static uint64_t decider_of(uint64_t nth, uint32_t rank)
{
    return nth << 32 | (rank + 1);
}

static bool has_bit(const uint64_t *words, uint32_t rank)
{
    return words[rank / 64] >> rank % 64 & 1;
}

/* Whether the rank may be part of the nth agreement: it was of the one before, and is there. */
static bool is_asked(const shm_link *link, uint64_t nth, uint32_t rank)
{
    return (nth == 1 || has_bit(link->room->survivors[(nth - 1) % 2], rank)) &&
           shm_fate_of(link, rank) == SHM_ALIVE;
}

static bool has_raised(const shm_link *link, uint64_t nth, uint32_t rank)
{
    return atomic_load(&shm_seat_of(link, rank)->raised) >= nth;
}

static bool all_raised(const shm_link *link, uint64_t nth)
{
    for (uint32_t i = 0; i < link->size; i++)
        if (is_asked(link, nth, i) && !has_raised(link, nth, i))
            return false;
    return true;
}

static void decide(const shm_link *link, uint64_t nth)
{
    uint64_t survivors[SHM_MAIL_WORDS] = {0};
    for (uint32_t i = 0; i < link->size; i++)
        if (is_asked(link, nth, i) && has_raised(link, nth, i))
            survivors[i / 64] |= UINT64_C(1) << i % 64;
    memcpy(link->room->survivors[nth % 2], survivors, sizeof survivors);
    atomic_store(&link->room->decided, nth);
    shm_ring_all(link);
}

/* Whether this rank is the one that decides: nobody does, or who did is gone. */
static bool may_decide(const shm_link *link, uint64_t nth)
{
    _Atomic uint64_t *decider = &link->room->decider;
    const uint64_t own = decider_of(nth, link->rank);
    uint64_t now = atomic_load(decider);
    const uint32_t rank = (uint32_t) now - 1;
    if (now >> 32 == nth && rank < link->size && shm_fate_of(link, rank) == SHM_ALIVE)
        return now == own;
    return now >> 32 <= nth && atomic_compare_exchange_strong(decider, &now, own);
}

/* Whether it is decided: if nobody did, by this rank where it may, `at_once` or with all hands. */
static bool is_decided(const shm_link *link, uint64_t nth, bool at_once)
{
    if (atomic_load(&link->room->decided) >= nth)
        return true;
    if (!(at_once || all_raised(link, nth)) || !may_decide(link, nth))
        return false;
    decide(link, nth);
    return true;
}

/*
 * Hands are waited for until the deadline, and after it only for who decides: ranks that began
 * together reach their deadlines together, and the decision counts those that are awake, too.
 * false: that rank says nothing, as one that is stopped.
 */
static bool agree(shm_link *link, uint64_t nth, uint64_t until_ns)
{
    bool is_over = false;
    for (;;) {
        const uint32_t seen = shm_bell(link);
        if (is_decided(link, nth, is_over))
            return true;
        if (shm_sleep(link, seen, until_ns))
            continue;
        if (is_over)
            return false;
        is_over = true;
        until_ns = mls__clock_monotonic_ns() + DECISION_NS;
    }
}

/* Of the last two agreements it is known who is part of them. */
static bool is_late(const shm_link *link, uint64_t nth)
{
    return atomic_load(&link->room->decided) > nth + 1 ||
           !has_bit(link->room->survivors[nth % 2], link->rank);
}

mls_status shm_survivors(void *self, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count)
{
    shm_link *link = self;
    const mls_plugin_host *host = link->hub->host;
    uint32_t count = 0;
    if (!link->room)
        return host->error(MLS_ESTATE, "the ranks were never joined to a group");
    const uint64_t nth = atomic_fetch_add(&link->shrinks, 1) + 1;
    atomic_store(&shm_seat_of(link, link->rank)->raised, nth);
    shm_ring_all(link);
    if (!agree(link, nth, until_ns))
        return host->error(MLS_EDEADLINE, "a rank that was about to say who is left does not");
    if (is_late(link, nth))
        return host->error(MLS_EPEER, "the others went on without rank %u, which came late",
                           link->rank);
    for (uint32_t i = 0; i < link->size; i++)
        if (i == link->rank || has_bit(link->room->survivors[nth % 2], i))
            ret_ranks[count++] = i;
    *ret_count = count;
    return MLS_OK;
}
