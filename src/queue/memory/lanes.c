/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: the ready jobs of one queue and type, by priority and in the order they
 * became ready; jobs of other needs and tenants that rules name have lanes of their own, so that
 * no claim walks past jobs that it must not take. Lanes are found without the mutex,
 * by open addressing in a table that only ever gains entries. Jobs with a batch key are also
 * chained by a hash of it, so that those that belong together are found without walking past
 * others.
 */
#include "queue/memory/memory.h"

#include "base/error.h"
#include "base/hash.h"

#include <string.h>

/* FNV-1a: names are few, and their number is bounded. */
static uint32_t hash_name(uint32_t hash, const char *name)
{
    for (; *name; name++)
        hash = (hash ^ (unsigned char) *name) * UINT32_C(16777619);
    return hash;
}

static uint32_t hash_number(uint32_t hash, int64_t number)
{
    const uint64_t bits = (uint64_t) number;
    return (hash ^ (uint32_t) (bits ^ bits >> 32)) * UINT32_C(16777619);
}

static bool is_same(const mls_resources *a, const mls_resources *b)
{
    return a->cpu_milli == b->cpu_milli && a->memory_bytes == b->memory_bytes && a->gpus == b->gpus;
}

static _Atomic(mls__mem_lane *) *find_slot(mls__mem_store *store, const char *queue,
                                           const char *type, const char *tenant,
                                           const mls_resources *needs)
{
    uint32_t at = hash_name(hash_name(UINT32_C(2166136261), queue) * UINT32_C(16777619), type);
    at = hash_name(at, tenant);
    at = hash_number(hash_number(hash_number(at, needs->cpu_milli), needs->memory_bytes),
                     needs->gpus);
    for (;; at++) {
        _Atomic(mls__mem_lane *) *slot = &store->lane_slots[at % MLS__MEM_LANE_SLOTS];
        const mls__mem_lane *lane = atomic_load_explicit(slot, memory_order_acquire);
        if (!lane || (strcmp(lane->type, type) == 0 && strcmp(lane->names, queue) == 0 &&
                      strcmp(lane->tenant, tenant) == 0 && is_same(&lane->needs, needs)))
            return slot;
    }
}

mls__mem_lane *mls__mem_find_lane(mls__mem_store *store, const char *queue, const char *type,
                                  const char *tenant, const mls_resources *needs)
{
    return atomic_load_explicit(find_slot(store, queue, type, tenant, needs), memory_order_acquire);
}

static bool is_listed(const char *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++, names += strlen(names) + 1)
        if (strcmp(names, name) == 0)
            return true;
    return count == 0;
}

static void match_lane(mls__mem_claimer *claimer, const mls__mem_lane *lane)
{
    const char *types = claimer->names + strlen(claimer->names) + 1;
    const char *queues = types;
    for (size_t i = 0; i < claimer->type_count; i++)
        queues += strlen(queues) + 1;
    if (is_listed(types, claimer->type_count, lane->type) &&
        is_listed(queues, claimer->queue_count, lane->names))
        claimer->lanes[lane->index / 64] |= UINT64_C(1) << lane->index % 64;
}

void mls__mem_match_lanes(const mls__mem_store *store, mls__mem_claimer *claimer)
{
    for (uint32_t i = 0; i < store->lane_count; i++)
        match_lane(claimer, store->lanes[i]);
}

static mls__mem_lane *create_lane(const mls__mem_store *store, const char *queue, const char *type,
                                  const char *tenant)
{
    const size_t queue_size = strlen(queue) + 1, type_size = strlen(type) + 1;
    const size_t tenant_size = strlen(tenant) + 1; /* all are bounded */
    mls__mem_lane *lane = mls__alloc_array(&store->context->allocator, 1,
                                           sizeof *lane + queue_size + type_size + tenant_size);
    if (!lane)
        return NULL;
    memcpy(lane->names, queue, queue_size);
    lane->type = memcpy(lane->names + queue_size, type, type_size);
    lane->tenant = memcpy(lane->names + queue_size + type_size, tenant, tenant_size);
    return lane;
}

mls_status mls__mem_make_lane(mls__mem_store *store, const char *queue, const char *type,
                              const char *tenant, const mls_resources *needs,
                              mls__mem_lane **ret_lane)
{
    _Atomic(mls__mem_lane *) *slot = find_slot(store, queue, type, tenant, needs);
    mls__mem_lane *lane = atomic_load_explicit(slot, memory_order_relaxed);
    if (lane) {
        *ret_lane = lane;
        return MLS_OK;
    }
    if (store->lane_count == MLS__MEM_LANES)
        return mls__error(MLS_ELIMIT,
                          "a memory queue holds at most %d types, counted for each named "
                          "queue, and again for each tenant that a limit names and for what "
                          "their jobs need",
                          MLS__MEM_LANES);
    lane = create_lane(store, queue, type, tenant);
    if (!lane)
        return mls__error_nomem(sizeof *lane);
    const mls_status status = mls__mem_group_of(store, lane);
    if (status) {
        mls__free(&store->context->allocator, lane);
        return status;
    }
    lane->needs = *needs;
    lane->cost = mls__mem_cost_find(store, type, needs->memory_bytes);
    lane->takes_room =
        needs->cpu_milli || needs->gpus || mls__mem_cost_memory(store, lane, MLS_MEMORY_BYTES_MAX);
    store->has_needs |= lane->takes_room;
    lane->index = store->lane_count;
    store->lanes[store->lane_count++] = lane;
    for (mls__mem_claimer *claimer = store->claimers; claimer; claimer = claimer->next)
        match_lane(claimer, lane);
    mls__mem_match_rules(store, lane);
    atomic_store_explicit(slot, lane, memory_order_release);
    *ret_lane = lane;
    return MLS_OK;
}

mls_status mls__mem_make_lanes(mls__mem_store *store, const char *queue, const char *type,
                               const mls_resources *needs, mls__mem_lane **ret_lane)
{
    mls_status status = MLS_OK;
    /* First: who finds the lane of all submits to it, and nothing can fail after that. */
    for (const mls__mem_rule *rule = store->rule_list; !status && rule; rule = rule->next) {
        const char *tenant = rule->rule.tenant;
        if (tenant && store->rules->rule_covers(&rule->rule, queue, type, tenant))
            status = mls__mem_make_lane(store, queue, type, tenant, needs, ret_lane);
    }
    return status ? status : mls__mem_make_lane(store, queue, type, "", needs, ret_lane);
}

static bool has_batch_key(const mls__mem_job *job)
{
    return job->strings && job->batch_key[0];
}

static mls__mem_list *batch_chain(const mls__mem_store *store, const mls__mem_job *job)
{
    return &store->batches[job->batch_hash & (store->buckets - 1)];
}

static void chain(mls__mem_store *store, mls__mem_job *job)
{
    job->batch_hash =
        mls__hash_bytes(store->seed, job->batch_key, strlen(job->batch_key)) + job->lane->index;
    mls__mem_list *list = batch_chain(store, job);
    job->chain_next = NULL;
    job->chain_prev = list->last;
    if (list->last)
        list->last->chain_next = job;
    else
        list->first = job;
    list->last = job;
}

static void unchain(mls__mem_store *store, mls__mem_job *job)
{
    mls__mem_list *list = batch_chain(store, job);
    if (job->chain_prev)
        job->chain_prev->chain_next = job->chain_next;
    else
        list->first = job->chain_next;
    if (job->chain_next)
        job->chain_next->chain_prev = job->chain_prev;
    else
        list->last = job->chain_prev;
}

/* The index of its list in the lane. */
static size_t kind_of(const mls__mem_job *job)
{
    if (!job->strings)
        return 0;
    return (job->batch_key[0] ? MLS__MEM_IS_KEYED : 0) | (job->flow ? MLS__MEM_IS_OWNED : 0);
}

void mls__mem_link_ready(mls__mem_store *store, mls__mem_job *job)
{
    mls__mem_lane *lane = job->lane;
    const size_t kind = kind_of(job);
    mls__mem_list *list = &lane->ready[kind][job->priority];
    job->next = NULL;
    job->prev = list->last;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    lane->levels[kind] |= UINT32_C(1) << job->priority;
    store->active[lane->index / 64] |= UINT64_C(1) << lane->index % 64;
    if (kind & MLS__MEM_IS_KEYED)
        chain(store, job);
    if (lane->group->is_shared)
        mls__mem_share_link(job);
}

void mls__mem_link_first(mls__mem_store *store, mls__mem_job *job)
{
    mls__mem_lane *lane = job->lane;
    mls__mem_list *list = &lane->ready[0][job->priority];
    job->prev = NULL;
    job->next = list->first;
    *(list->first ? &list->first->prev : &list->last) = job;
    list->first = job;
    lane->levels[0] |= UINT32_C(1) << job->priority;
    store->active[lane->index / 64] |= UINT64_C(1) << lane->index % 64;
    if (lane->group->is_shared)
        mls__mem_share_link(job);
}

void mls__mem_unlink_ready(mls__mem_store *store, mls__mem_job *job)
{
    mls__mem_lane *lane = job->lane;
    const size_t kind = kind_of(job);
    mls__mem_list *list = &lane->ready[kind][job->priority];
    if (job->prev)
        job->prev->next = job->next;
    else
        list->first = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        list->last = job->prev;
    if (!list->first)
        lane->levels[kind] &= ~(UINT32_C(1) << job->priority);
    if (!lane->levels[0] && !lane->levels[1] && !lane->levels[2] && !lane->levels[3])
        store->active[lane->index / 64] &= ~(UINT64_C(1) << lane->index % 64);
    if (kind & MLS__MEM_IS_KEYED)
        unchain(store, job);
    if (lane->takes_room)
        mls__mem_room_left(store);
    if (lane->group->is_shared)
        mls__mem_share_unlink(job);
}

/* The one that goes first: higher priority, then longer ready. NULL: none. */
static mls__mem_job *first_of(mls__mem_job *a, mls__mem_job *b)
{
    if (!a || !b)
        return a ? a : b;
    if (a->priority != b->priority)
        return a->priority > b->priority ? a : b;
    return a->order < b->order ? a : b;
}

static mls__mem_job *list_head(const mls__mem_lane *lane, size_t kind)
{
    const uint32_t levels = lane->levels[kind];
    return levels ? lane->ready[kind][31 - __builtin_clz(levels)].first : NULL;
}

static mls__mem_job *lane_head(const mls__mem_lane *lane, size_t keyed)
{
    return first_of(list_head(lane, keyed), list_head(lane, keyed | MLS__MEM_IS_OWNED));
}

mls__mem_job *mls__mem_lane_first(const mls__mem_lane *lane)
{
    return first_of(lane_head(lane, false), lane_head(lane, true));
}

mls__mem_job *mls__mem_pick(const mls__mem_visit *visit, mls__mem_claimer *claimer)
{
    const mls__mem_store *store = visit->store;
    mls__mem_job *best = NULL;
    mls__mem_set_aside(visit, claimer);
    for (size_t word = 0; word < MLS__MEM_LANE_WORDS; word++) {
        uint64_t bits = store->active[word] & claimer->lanes[word];
        for (; bits; bits &= bits - 1) {
            const mls__mem_lane *lane = store->lanes[word * 64 + (size_t) __builtin_ctzll(bits)];
            if (lane->has_rules && mls__mem_is_held(visit, lane))
                continue;
            if (lane->takes_room && !mls__mem_has_room(visit, claimer, lane))
                continue;
            best = first_of(best, mls__mem_lane_first(lane));
        }
    }
    if (best && best->lane->group->ready_shares[best->priority] > 1)
        return mls__mem_share_pick(visit, claimer, best);
    return best;
}

bool mls__mem_is_like(const mls__mem_job *a, const mls__mem_job *b)
{
    if (a->lane != b->lane || has_batch_key(a) != has_batch_key(b))
        return false;
    return !has_batch_key(a) || strcmp(a->batch_key, b->batch_key) == 0;
}

mls__mem_job *mls__mem_pick_like(const mls__mem_visit *visit, mls__mem_claimer *claimer,
                                 const mls__mem_job *like)
{
    if (like->lane->has_rules && mls__mem_is_held(visit, like->lane))
        return NULL;
    mls__mem_set_aside(visit, claimer);
    if (like->lane->takes_room && !mls__mem_has_room(visit, claimer, like->lane))
        return NULL;
    if (!has_batch_key(like)) {
        mls__mem_job *first = lane_head(like->lane, 0);
        return first && first->lane->group->ready_shares[first->priority] > 1
                   ? mls__mem_share_pick_like(first)
                   : first;
    }
    mls__mem_job *job = batch_chain(visit->store, like)->first;
    while (job && !mls__mem_is_like(job, like))
        job = job->chain_next;
    return job;
}
