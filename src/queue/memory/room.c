/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs need and claimers have. The jobs of a lane all need the same, so a lane has room
 * in a claimer or has none.
 */
#include "queue/memory/memory.h"

static const mls_resources nothing;

bool mls__mem_has_room(const mls__mem_store *store, const mls__mem_claimer *claimer,
                       const mls__mem_lane *lane)
{
    return !claimer->has_capacity || store->rules->has_room(&claimer->capacity, &claimer->used,
                                                            &claimer->aside, &lane->needs);
}

/* Whether the lane would have room if nothing else ran, and has none. */
static bool is_crowded_out(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                           const mls__mem_lane *lane)
{
    const mls_queue_host *rules = visit->store->rules;
    if (!lane->takes_room || (lane->has_rules && mls__mem_is_held(visit, lane)))
        return false;
    return rules->has_room(&claimer->capacity, &nothing, &nothing, &lane->needs) &&
           !rules->has_room(&claimer->capacity, &claimer->used, &nothing, &lane->needs);
}

void mls__mem_set_aside(const mls__mem_visit *visit, mls__mem_claimer *claimer)
{
    const mls__mem_store *store = visit->store;
    const mls__mem_job *longest = NULL;
    if (!store->has_needs || !claimer->has_capacity)
        return;
    for (size_t word = 0; word < MLS__MEM_LANE_WORDS; word++) {
        uint64_t bits = store->active[word] & claimer->lanes[word];
        for (; bits; bits &= bits - 1) {
            const mls__mem_lane *lane = store->lanes[word * 64 + (size_t) __builtin_ctzll(bits)];
            if (!is_crowded_out(visit, claimer, lane))
                continue;
            const mls__mem_job *job = mls__mem_lane_first(lane);
            if (visit->now_ns - job->ready_ns >= claimer->patience_ns &&
                (!longest || job->ready_ns < longest->ready_ns))
                longest = job;
        }
    }
    claimer->has_aside = longest != NULL;
    claimer->aside = longest ? longest->lane->needs : nothing;
}

/* What a claimer without a bound uses is not counted: it could be more than there are numbers. */
static void add(mls__mem_claimer *claimer, const mls_resources *more, int64_t sign)
{
    if (!claimer->has_capacity)
        return;
    claimer->used.cpu_milli += sign * more->cpu_milli;
    claimer->used.memory_bytes += sign * more->memory_bytes;
    claimer->used.gpus += sign * more->gpus;
}

void mls__mem_room_take(mls__mem_claimer *claimer, mls__mem_job *job)
{
    job->taken = job->lane->needs;
    job->takes_room = true;
    add(claimer, &job->taken, 1);
}

static void wake(mls__mem_store *store, mls__mem_claimer *claimer)
{
    atomic_fetch_add_explicit(&store->ready_events, 1, memory_order_relaxed);
    if (claimer->any_waiting)
        pthread_cond_broadcast(&claimer->any.cond);
    if (claimer->batch_waiting)
        pthread_cond_broadcast(&claimer->batch.cond);
}

void mls__mem_room_give(mls__mem_store *store, mls__mem_job *job)
{
    add(job->owner, &job->taken, -1);
    job->takes_room = false;
    if (job->owner->has_capacity)
        wake(store, job->owner);
}

void mls__mem_room_left(mls__mem_store *store)
{
    for (mls__mem_claimer *claimer = store->claimers; claimer; claimer = claimer->next)
        if (claimer->has_aside)
            wake(store, claimer);
}

mls_status mls__mem_visit_offers(void *self, mls_queue_offer_fn show, void *user)
{
    static const mls_resources everything = {INT64_MAX, INT64_MAX, INT64_MAX};
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    for (const mls__mem_claimer *claimer = store->claimers; claimer; claimer = claimer->next) {
        const mls_queue_offer offer = {.size = sizeof offer,
                                       .name = claimer->names,
                                       .capacity =
                                           claimer->has_capacity ? claimer->capacity : everything};
        show(user, &offer);
    }
    mls__mem_leave(&visit);
    return MLS_OK;
}
