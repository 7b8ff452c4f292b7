/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fair sharing between tenants: start-time fair queuing (Goyal, Vin, Cheng 1996) with a
 * claim as the unit of work. Each tenant has a share of each named queue and priority, and
 * the share a pass; the smallest is next, and a claim moves it on by the step of its weight.
 * The time of queue and priority is the pass of the last that had its turn, and who comes
 * back from being idle starts no earlier. A pass is below 2^64 for ten years of three
 * million claims a second.
 *
 * The ready jobs of a share that have one type are a flow. Each lane has its flows with ready
 * jobs in a heap, so that a claim looks at the top of each lane that it serves only. Jobs
 * without a tenant are not linked into their flow: they are in lists of their own in the lane
 * anyway. And as long as no job of a named queue had a tenant, nothing of all this is done.
 *
 * Shares and flows live as long as jobs name them, some shares longer, for what they had.
 * They are found, made and freed under a lock of their own, so that submitting needs no other;
 * what is written of them while jobs are ready is under the mutex.
 */
#include "queue/memory/memory.h"

#include "base/error.h"
#include "base/hash.h"

#include <stddef.h>
#include <string.h>

mls_status mls__mem_shares_create(mls__mem_store *store)
{
    const mls__allocator *allocator = &store->context->allocator;
    store->flows = mls__alloc_array(allocator, store->buckets, sizeof(mls__mem_flow *));
    store->shares = mls__alloc_array(allocator, store->buckets, sizeof(mls__mem_share *));
    return store->flows && store->shares ? MLS_OK : mls__error_nomem(store->buckets);
}

/* All jobs are gone, and with them the flows. */
void mls__mem_shares_free(mls__mem_store *store)
{
    const mls__allocator *allocator = &store->context->allocator;
    for (mls__mem_share *share = store->idle_oldest, *newer; share; share = newer) {
        newer = share->newer;
        mls__free(allocator, share);
    }
    for (mls__mem_group *group = store->groups, *next; group; group = next) {
        next = group->next;
        mls__free(allocator, group);
    }
    mls__free(allocator, store->flows);
    mls__free(allocator, store->shares);
}

static mls__mem_group *create_group(mls__mem_store *store, const char *queue)
{
    mls__mem_group *group = mls__alloc_array(&store->context->allocator, 1, sizeof *group);
    if (!group)
        return NULL;
    group->queue = queue;
    for (uint32_t p = 0; p < MLS__MEM_PRIORITIES; p++) {
        group->plain[p].group = group;
        group->plain[p].priority = p;
        group->plain[p].tenant = "";
        group->plain[p].rules_changes = UINT64_MAX; /* its step is not known yet */
    }
    group->next = store->groups;
    store->groups = group;
    return group;
}

mls_status mls__mem_group_of(mls__mem_store *store, mls__mem_lane *lane)
{
    mls__mem_group *group = store->groups;
    while (group && strcmp(group->queue, lane->names) != 0)
        group = group->next;
    if (!group)
        group = create_group(store, lane->names);
    if (!group)
        return mls__error_nomem(sizeof *group);
    lane->group = group;
    for (size_t p = 0; p < MLS__MEM_PRIORITIES; p++)
        lane->plain[p].share = &group->plain[p];
    return MLS_OK;
}

/* Finding and forgetting, under the lock of shares */

static mls__mem_share **share_bucket(mls__mem_store *store, uint64_t hash)
{
    return &store->shares[hash & (store->buckets - 1)];
}

static mls__mem_flow **flow_bucket(mls__mem_store *store, uint64_t hash)
{
    return &store->flows[hash & (store->buckets - 1)];
}

static void leave_idle(mls__mem_store *store, mls__mem_share *share)
{
    *(share->older ? &share->older->newer : &store->idle_oldest) = share->newer;
    *(share->newer ? &share->newer->older : &store->idle_newest) = share->older;
    store->idle_count--;
}

static void forget_share(mls__mem_store *store, mls__mem_share *share)
{
    mls__mem_share **link = share_bucket(store, share->hash);
    while (*link != share)
        link = &(*link)->next;
    *link = share->next;
    mls__free(&store->context->allocator, share);
}

/* The share is kept a while, so that its tenant cannot have a turn anew with each job. */
static void enter_idle(mls__mem_store *store, mls__mem_share *share)
{
    share->newer = NULL;
    share->older = store->idle_newest;
    *(share->older ? &share->older->newer : &store->idle_oldest) = share;
    store->idle_newest = share;
    if (++store->idle_count <= MLS__MEM_IDLE_SHARES)
        return;
    mls__mem_share *oldest = store->idle_oldest;
    leave_idle(store, oldest);
    forget_share(store, oldest);
}

static mls__mem_share *create_share(mls__mem_store *store, mls__mem_group *group, uint32_t priority,
                                    const char *tenant, uint64_t hash)
{
    const size_t size = strlen(tenant) + 1; /* bounded */
    mls__mem_share *share = mls__alloc_array(&store->context->allocator, 1, sizeof *share + size);
    if (!share)
        return NULL;
    share->group = group;
    share->priority = priority;
    share->rules_changes = UINT64_MAX; /* its step is not known yet */
    share->hash = hash;
    share->tenant = memcpy(share + 1, tenant, size);
    share->next = *share_bucket(store, hash);
    *share_bucket(store, hash) = share;
    return share;
}

/* The share, for one more flow; NULL: no memory. */
static mls__mem_share *take_share(mls__mem_store *store, mls__mem_group *group, uint32_t priority,
                                  const char *tenant, uint64_t hash)
{
    mls__mem_share *share = *share_bucket(store, hash);
    while (share && (share->group != group || share->priority != priority ||
                     strcmp(share->tenant, tenant) != 0))
        share = share->next;
    if (!share)
        share = create_share(store, group, priority, tenant, hash);
    else if (!share->refs)
        leave_idle(store, share);
    if (share)
        share->refs++;
    return share;
}

static mls__mem_flow *create_flow(mls__mem_store *store, const mls__mem_lane *lane,
                                  uint32_t priority, const char *tenant, uint64_t hash)
{
    mls__mem_flow *flow = mls__alloc_array(&store->context->allocator, 1, sizeof *flow);
    if (!flow)
        return NULL;
    flow->share = take_share(store, lane->group, priority, tenant, hash);
    if (!flow->share) {
        mls__free(&store->context->allocator, flow);
        return NULL;
    }
    flow->lane = lane;
    flow->hash = hash;
    flow->next = *flow_bucket(store, hash);
    *flow_bucket(store, hash) = flow;
    return flow;
}

mls_status mls__mem_flow_take(mls__mem_store *store, const mls__mem_lane *lane, uint32_t priority,
                              const char *tenant, mls__mem_flow **ret_flow)
{
    const uint64_t hash = mls__hash_bytes(store->seed, tenant, strlen(tenant)) + priority;
    pthread_mutex_lock(&store->shares_mutex);
    mls__mem_flow *flow = *flow_bucket(store, hash);
    while (flow && (flow->lane != lane || flow->share->priority != priority ||
                    strcmp(flow->share->tenant, tenant) != 0))
        flow = flow->next;
    if (!flow)
        flow = create_flow(store, lane, priority, tenant, hash);
    if (flow)
        flow->refs++;
    pthread_mutex_unlock(&store->shares_mutex);
    *ret_flow = flow;
    return flow ? MLS_OK : mls__error_nomem(sizeof *flow);
}

void mls__mem_flow_drop(mls__mem_store *store, mls__mem_flow *flow)
{
    pthread_mutex_lock(&store->shares_mutex);
    if (--flow->refs == 0) {
        mls__mem_flow **link = flow_bucket(store, flow->hash);
        while (*link != flow)
            link = &(*link)->next;
        *link = flow->next;
        if (--flow->share->refs == 0)
            enter_idle(store, flow->share);
        mls__free(&store->context->allocator, flow);
    }
    pthread_mutex_unlock(&store->shares_mutex);
}

/* What is ready, under the mutex */

static mls__mem_flow *flow_of(const mls__mem_job *job)
{
    return job->has_extras && job->flow ? job->flow : &job->lane->plain[job->priority];
}

static bool is_ready(const mls__mem_flow *flow)
{
    return flow->node.heap != NULL;
}

static bool is_plain(const mls__mem_job *job, const mls__mem_flow *flow)
{
    return flow == &job->lane->plain[job->priority];
}

/* The step of the share by the rules of now. */
static uint64_t step_of(const mls__mem_store *store, mls__mem_share *share)
{
    if (share->rules_changes == store->rules_changes)
        return share->step;
    uint32_t weight = 0;
    for (const mls__mem_rule *rule = store->rule_list; rule; rule = rule->next) {
        const uint32_t said =
            store->rules->rule_weight(&rule->rule, share->group->queue, share->tenant);
        weight = said > weight ? said : weight;
    }
    share->rules_changes = store->rules_changes;
    share->step = store->rules->weight_step(weight);
    return share->step;
}

/* The share is not idle any more: a job of that order is ready. */
static void wake_share(mls__mem_share *share, uint64_t order)
{
    mls__mem_group *group = share->group;
    uint64_t *now = &group->now[share->priority];
    if (share->pass < *now)
        share->pass = *now;
    share->turn = order;
    if (++group->ready_shares[share->priority] == 1)
        *now = share->pass; /* while it is alone nothing is counted */
}

static void start_flow(mls__mem_lane *lane, mls__mem_flow *flow, uint64_t order)
{
    mls__mem_share *share = flow->share;
    if (!share->ready)
        wake_share(share, order);
    flow->next_ready = share->ready;
    if (flow->next_ready)
        flow->next_ready->link_ready = &flow->next_ready;
    flow->link_ready = &share->ready;
    share->ready = flow;
    flow->node.key = share->pass;
    flow->node.tie = share->turn;
    mls__mem_heap_add(&lane->flows[share->priority], &flow->node);
}

static void stop_flow(mls__mem_flow *flow)
{
    mls__mem_share *share = flow->share;
    mls__mem_heap_remove(&flow->node);
    *flow->link_ready = flow->next_ready;
    if (flow->next_ready)
        flow->next_ready->link_ready = flow->link_ready;
    if (!share->ready)
        share->group->ready_shares[share->priority]--;
}

/* The first ready job of a flow in that lane, with a batch key or without; NULL: none. */
static mls__mem_job *flow_head(mls__mem_lane *lane, const mls__mem_flow *flow, size_t keyed)
{
    const uint32_t p = flow->share->priority;
    return flow == &lane->plain[p] ? lane->ready[keyed][p].first : flow->ready[keyed].first;
}

static mls__mem_job *older_of(mls__mem_job *a, mls__mem_job *b)
{
    if (!a || !b)
        return a ? a : b;
    return a->order < b->order ? a : b;
}

/* A lane's jobs without a tenant became ready when nothing was counted. */
static void start_plain(mls__mem_lane *lane)
{
    for (size_t p = 0; p < MLS__MEM_PRIORITIES; p++) {
        mls__mem_flow *flow = &lane->plain[p];
        const mls__mem_job *head = older_of(flow_head(lane, flow, 0), flow_head(lane, flow, 1));
        if (head)
            start_flow(lane, flow, head->order);
    }
}

void mls__mem_share_begin(mls__mem_visit *visit, const mls__mem_job *job)
{
    const mls__mem_store *store = visit->store;
    mls__mem_group *group = job->lane->group;
    if (group->is_shared)
        return;
    mls__mem_windows_recall(visit);
    group->is_shared = true;
    for (uint32_t i = 0; i < store->lane_count; i++)
        if (store->lanes[i]->group == group)
            start_plain(store->lanes[i]);
}

static mls__mem_list *list_of(mls__mem_flow *flow, const mls__mem_job *job)
{
    return &flow->ready[job->batch_key[0] != '\0'];
}

void mls__mem_share_link(mls__mem_job *job)
{
    mls__mem_flow *flow = flow_of(job);
    if (!is_plain(job, flow)) {
        mls__mem_list *list = list_of(flow, job);
        job->flow_next = NULL;
        job->flow_prev = list->last;
        *(list->last ? &list->last->flow_next : &list->first) = job;
        list->last = job;
    }
    if (!is_ready(flow))
        start_flow(job->lane, flow, job->order);
}

void mls__mem_share_unlink(mls__mem_job *job)
{
    mls__mem_flow *flow = flow_of(job);
    if (is_plain(job, flow)) {
        const mls__mem_lane *lane = job->lane;
        if (!((lane->levels[0] | lane->levels[MLS__MEM_IS_KEYED]) >> job->priority & 1))
            stop_flow(flow);
        return;
    }
    mls__mem_list *list = list_of(flow, job);
    *(job->flow_prev ? &job->flow_prev->flow_next : &list->first) = job->flow_next;
    *(job->flow_next ? &job->flow_next->flow_prev : &list->last) = job->flow_prev;
    if (!flow->ready[0].first && !flow->ready[1].first)
        stop_flow(flow);
}

/* Turns */

static mls__mem_flow *flow_at(mls__mem_node *node)
{
    return (mls__mem_flow *) (void *) ((char *) node - offsetof(mls__mem_flow, node));
}

/* Before: by turn, and of one share the longer ready. */
static bool goes_before(const mls__mem_node *a, const mls__mem_job *job_a, const mls__mem_node *b,
                        const mls__mem_job *job_b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->tie != b->tie ? a->tie < b->tie : job_a->order < job_b->order;
}

mls__mem_job *mls__mem_share_pick(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                                  mls__mem_job *first)
{
    const mls__mem_store *store = visit->store;
    const mls__mem_group *group = first->lane->group;
    mls__mem_job *best = NULL;
    mls__mem_node *best_node = NULL;
    for (size_t word = 0; word < MLS__MEM_LANE_WORDS; word++) {
        uint64_t bits = store->active[word] & claimer->lanes[word];
        for (; bits; bits &= bits - 1) {
            mls__mem_lane *lane = store->lanes[word * 64 + (size_t) __builtin_ctzll(bits)];
            mls__mem_node *node = lane->flows[first->priority].root;
            if (lane->group != group || !node ||
                (lane->has_rules && mls__mem_is_held(visit, lane)) ||
                (lane->takes_room && !mls__mem_has_room(visit, claimer, lane)))
                continue;
            const mls__mem_flow *flow = flow_at(node);
            mls__mem_job *head = older_of(flow_head(lane, flow, 0), flow_head(lane, flow, 1));
            if (!best || goes_before(node, head, best_node, best)) {
                best = head;
                best_node = node;
            }
        }
    }
    return best;
}

mls__mem_job *mls__mem_share_pick_like(mls__mem_job *first)
{
    mls__mem_lane *lane = first->lane;
    mls__mem_job *head = flow_head(lane, flow_at(lane->flows[first->priority].root), 0);
    return head ? head : first;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void mls__mem_share_turn(const mls__mem_job *job)
{
    mls__mem_group *group = job->lane->group;
    if (group->ready_shares[job->priority] > 1)
        group->now[job->priority] = later(group->now[job->priority], flow_of(job)->share->pass);
}

void mls__mem_share_charge(mls__mem_store *store, const mls__mem_job *job)
{
    mls__mem_share *share = flow_of(job)->share;
    const mls__mem_group *group = share->group;
    if (group->ready_shares[share->priority] < 2)
        return;
    share->pass = later(share->pass, group->now[share->priority]) + step_of(store, share);
    share->turn = ++store->order;
    for (mls__mem_flow *flow = share->ready; flow; flow = flow->next_ready) {
        mls__mem_heap *heap = flow->node.heap;
        mls__mem_heap_remove(&flow->node);
        flow->node.key = share->pass;
        flow->node.tie = share->turn;
        mls__mem_heap_add(heap, &flow->node);
    }
}
