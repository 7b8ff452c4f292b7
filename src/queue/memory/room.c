/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs need and claimers have. The jobs of a lane all need the same, so a lane has room
 * in a claimer or has none.
 */
#include "queue/memory/memory.h"

static const mls_resources nothing;

/* Whether what the one runs is taken of the other's capacity. */
static bool are_pooled(const mls__mem_claimer *a, const mls__mem_claimer *b)
{
    return a == b || (a->pool && a->pool == b->pool);
}

static void add(mls_resources *sum, const mls_resources *more, int64_t sign)
{
    sum->cpu_milli += sign * more->cpu_milli;
    sum->memory_bytes += sign * more->memory_bytes;
    sum->gpus += sign * more->gpus;
}

static mls_resources used_of(const mls__mem_store *store, const mls__mem_claimer *claimer)
{
    mls_resources used = claimer->used;
    if (!claimer->pool)
        return used;
    for (const mls__mem_claimer *other = store->claimers; other; other = other->next)
        if (other != claimer && are_pooled(claimer, other))
            add(&used, &other->used, 1);
    return used;
}

/* What a job of the lane takes of the claimer: what was stated, and of memory what was seen. */
static mls_resources needs_of(const mls__mem_store *store, const mls__mem_claimer *claimer,
                              const mls__mem_lane *lane)
{
    mls_resources needs = lane->needs;
    needs.memory_bytes = mls__mem_cost_memory(store, lane, claimer->capacity.memory_bytes);
    return needs;
}

/* Whether a job that fits now is expected to end before that for which room is set aside begins. */
static bool may_pass(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                     const mls__mem_lane *lane, const mls_resources *needs)
{
    const mls_queue_host *rules = visit->store->rules;
    const uint64_t takes_ns = claimer->has_aside ? mls__mem_cost_time(visit->store, lane) : 0;
    const mls_resources used = used_of(visit->store, claimer);
    return takes_ns && visit->now_ns + takes_ns <= claimer->start_ns &&
           rules->has_room(&claimer->capacity, &used, &nothing, needs);
}

bool mls__mem_has_room(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                       const mls__mem_lane *lane)
{
    if (!claimer->has_capacity)
        return true;
    const mls_resources needs = needs_of(visit->store, claimer, lane);
    const mls_resources used = used_of(visit->store, claimer);
    return visit->store->rules->has_room(&claimer->capacity, &used, &claimer->aside, &needs) ||
           may_pass(visit, claimer, lane, &needs);
}

/* Whether the lane would have room if nothing else ran, and has none. */
static bool is_crowded_out(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                           const mls__mem_lane *lane)
{
    const mls_queue_host *rules = visit->store->rules;
    if (!lane->takes_room || (lane->has_rules && mls__mem_is_held(visit, lane)))
        return false;
    const mls_resources needs = needs_of(visit->store, claimer, lane);
    const mls_resources used = used_of(visit->store, claimer);
    return rules->has_room(&claimer->capacity, &nothing, &nothing, &needs) &&
           !rules->has_room(&claimer->capacity, &used, &nothing, &needs);
}

/* false: there is no memory. */
static bool list_runs(const mls__mem_claimer *claimer, mls__vec *runs)
{
    for (const mls__mem_job *job = claimer->runs; job; job = job->run_next) {
        mls_queue_run *run = mls__vec_push(runs);
        if (!run)
            return false;
        *run = (mls_queue_run){job->ends_ns, job->taken};
    }
    return true;
}

/* When that for which room is set aside is expected to begin; without memory nobody may pass it. */
static uint64_t expect_start(const mls__mem_visit *visit, const mls__mem_claimer *claimer)
{
    mls__vec *runs = &visit->store->runs;
    runs->count = 0;
    for (const mls__mem_claimer *at = visit->store->claimers; at; at = at->next)
        if (are_pooled(claimer, at) && !list_runs(at, runs))
            return visit->now_ns;
    return visit->store->rules->expected_start_ns(&claimer->capacity, &claimer->aside, runs->data,
                                                  runs->count, visit->now_ns);
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
            if (visit->now_ns >= job->ready_ns + claimer->patience_ns &&
                (!longest || job->ready_ns < longest->ready_ns))
                longest = job;
        }
    }
    claimer->has_aside = longest != NULL;
    claimer->aside = longest ? needs_of(store, claimer, longest->lane) : nothing;
    claimer->start_ns = longest ? expect_start(visit, claimer) : 0;
}

/* What a claimer without a bound uses is not counted: it could be more than there are numbers. */
void mls__mem_room_take(const mls__mem_visit *visit, mls__mem_claimer *claimer, mls__mem_job *job)
{
    if (!claimer->has_capacity)
        return;
    const uint64_t takes_ns = mls__mem_cost_time(visit->store, job->lane);
    job->ends_ns = takes_ns ? visit->now_ns + takes_ns : 0;
    job->taken = needs_of(visit->store, claimer, job->lane);
    atomic_store_explicit(&job->takes_room, true, memory_order_relaxed);
    job->run_next = claimer->runs;
    job->run_link = &claimer->runs;
    if (job->run_next)
        job->run_next->run_link = &job->run_next;
    claimer->runs = job;
    add(&claimer->used, &job->taken, 1);
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
    add(&job->owner->used, &job->taken, -1);
    atomic_store_explicit(&job->takes_room, false, memory_order_relaxed);
    *job->run_link = job->run_next;
    if (job->run_next)
        job->run_next->run_link = job->run_link;
    for (mls__mem_claimer *claimer = store->claimers; claimer; claimer = claimer->next)
        if (are_pooled(job->owner, claimer))
            wake(store, claimer);
}

void mls__mem_claimer_pool(void *self, void *claimer, void *with)
{
    mls__mem_store *store = self;
    mls__mem_claimer *one = claimer, *other = with;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    if (!other->pool)
        other->pool = ++store->pools;
    one->pool = other->pool;
    mls__mem_leave(&visit);
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
        if (claimer->is_stopped)
            continue;
        const mls_queue_offer offer = {.size = sizeof offer,
                                       .name = claimer->names,
                                       .capacity =
                                           claimer->has_capacity ? claimer->capacity : everything};
        show(user, &offer);
    }
    mls__mem_leave(&visit);
    return MLS_OK;
}
