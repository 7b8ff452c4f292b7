/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that hold back ready jobs. They are few; a lane knows whether any covers it, so
 * that a claim pays for rules only where there are some.
 */
#include "queue/memory/memory.h"

#include "base/error.h"

#include <string.h>

static bool covers_lane(const mls__mem_rule *rule, const mls__mem_lane *lane)
{
    return rule->lanes[lane->index / 64] >> lane->index % 64 & 1;
}

bool mls__mem_is_held(const mls__mem_visit *visit, const mls__mem_lane *lane)
{
    const mls__mem_store *store = visit->store;
    const int64_t now_ms = (int64_t) (visit->now_ns / 1000000);
    for (const mls__mem_rule *rule = store->rule_list; rule; rule = rule->next)
        if (covers_lane(rule, lane) && store->rules->rule_holds_until(&rule->rule, now_ms))
            return true;
    return false;
}

void mls__mem_rules_claim(mls__mem_visit *visit, const mls__mem_lane *lane)
{
    const mls__mem_store *store = visit->store;
    const int64_t now_ms = (int64_t) (visit->now_ns / 1000000);
    for (mls__mem_rule *rule = store->rule_list; rule; rule = rule->next)
        if (covers_lane(rule, lane))
            store->rules->rule_note_claim(&rule->rule, now_ms);
}

void mls__mem_rules_end(mls__mem_visit *visit, const mls__mem_lane *lane)
{
    mls__mem_store *store = visit->store;
    bool is_limited = false;
    for (mls__mem_rule *rule = store->rule_list; rule; rule = rule->next) {
        if (!covers_lane(rule, lane))
            continue;
        store->rules->rule_note_end(&rule->rule);
        is_limited |= rule->rule.max_running != 0;
    }
    if (!is_limited)
        return;
    atomic_fetch_add_explicit(&store->ready_events, 1, memory_order_relaxed);
    mls__mem_rearm_claimers(store);
}

uint64_t mls__mem_rules_next(const mls__mem_visit *visit)
{
    const mls__mem_store *store = visit->store;
    const int64_t now_ms = (int64_t) (visit->now_ns / 1000000);
    uint64_t next_ns = MLS__FOREVER;
    for (const mls__mem_rule *rule = store->rule_list; rule; rule = rule->next) {
        const int64_t until_ms = store->rules->rule_holds_until(&rule->rule, now_ms);
        if (until_ms && until_ms < INT64_MAX)
            next_ns = mls__mem_earlier(next_ns, (uint64_t) until_ms * UINT64_C(1000000));
    }
    return next_ns;
}

mls__mem_lane *mls__mem_lane_of_tenant(mls__mem_store *store, mls__mem_job *job)
{
    if (!job->strings || !job->strings[0])
        return job->lane;
    mls__mem_lane *own = mls__mem_find_lane(store, job->lane->names, job->lane->type, job->strings,
                                            &job->lane->needs);
    return own ? own : job->lane;
}

void mls__mem_change_lane(mls__mem_job *job, mls__mem_lane *to)
{
    mls_queue_stats *from = &job->lane->stats;
    from->jobs[0]--;
    from->jobs[job->state]--;
    to->stats.jobs[0]++;
    to->stats.jobs[job->state]++;
    job->lane = to;
}

/* Puts a tenant's jobs of a list, which stay in their order, behind others that were taken. */
static void take_ready(mls__mem_store *store, mls__mem_job *first, const char *tenant,
                       mls__mem_list *taken)
{
    mls__mem_job *next;
    for (mls__mem_job *job = first; job; job = next) {
        next = job->next;
        if (strcmp(job->strings, tenant) != 0)
            continue;
        mls__mem_unlink_ready(store, job);
        job->next = NULL;
        if (taken->last)
            taken->last->next = job;
        else
            taken->first = job;
        taken->last = job;
    }
}

/* A flow is in one lane: all of its jobs leave that before the first is in another. */
static void change_ready(mls__mem_store *store, mls__mem_lane *from, mls__mem_lane *to, size_t p)
{
    mls__mem_list taken = {NULL, NULL};
    for (size_t keyed = 0; keyed < 2; keyed++)
        take_ready(store, from->ready[MLS__MEM_IS_OWNED | keyed][p].first, to->tenant, &taken);
    mls__mem_job *next;
    for (mls__mem_job *job = taken.first; job; job = next) {
        next = job->next;
        mls__mem_change_lane(job, to);
        mls__mem_link_ready(store, job);
    }
}

static void move_tenant(mls__mem_store *store, mls__mem_lane *from, mls__mem_lane *to)
{
    for (size_t p = 0; p < MLS__MEM_PRIORITIES; p++)
        change_ready(store, from, to, p);
    for (uint32_t i = 0; i < store->created; i++) {
        mls__mem_job *job = mls__mem_at(store, i);
        if (job->id && !job->is_gone && job->lane == from && job->strings &&
            strcmp(job->strings, to->tenant) == 0)
            mls__mem_change_lane(job, to);
    }
}

/* Gives a tenant that a new rule names lanes of its own. */
static mls_status part_tenant(mls__mem_store *store, const mls_queue_rule *wanted)
{
    const uint32_t count = store->lane_count;
    mls__mem_lane *own;
    mls_status status = MLS_OK;
    for (uint32_t i = 0; !status && i < count; i++) {
        mls__mem_lane *lane = store->lanes[i];
        if (lane->tenant[0] ||
            !store->rules->rule_covers(wanted, lane->names, lane->type, wanted->tenant))
            continue;
        status =
            mls__mem_make_lane(store, lane->names, lane->type, wanted->tenant, &lane->needs, &own);
        if (!status)
            move_tenant(store, lane, own);
    }
    store->has_tenants |= !status;
    return status;
}

static void match(const mls__mem_store *store, mls__mem_rule *rule, mls__mem_lane *lane)
{
    if (!store->rules->rule_covers(&rule->rule, lane->names, lane->type, lane->tenant))
        return;
    rule->lanes[lane->index / 64] |= UINT64_C(1) << lane->index % 64;
    lane->has_rules = true;
}

void mls__mem_match_rules(mls__mem_store *store, mls__mem_lane *lane)
{
    lane->has_rules = false;
    for (mls__mem_rule *rule = store->rule_list; rule; rule = rule->next)
        match(store, rule, lane);
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The link of the rule of that queue, type and tenant, or the last. */
static mls__mem_rule **find(mls__mem_store *store, const mls_queue_rule *wanted)
{
    mls__mem_rule **link = &store->rule_list;
    while (*link && !(is_same((*link)->rule.queue, wanted->queue) &&
                      is_same((*link)->rule.type, wanted->type) &&
                      is_same((*link)->rule.tenant, wanted->tenant)))
        link = &(*link)->next;
    return link;
}

static void free_list(const mls__mem_store *store, mls__mem_rule *first)
{
    for (mls__mem_rule *rule = first, *next; rule; rule = next) {
        next = rule->next;
        mls__free(&store->context->allocator, rule);
    }
}

static mls__mem_rule *create(mls__mem_store *store, const mls_queue_rule *wanted)
{
    const size_t queue_size = wanted->queue ? strlen(wanted->queue) + 1 : 0;
    const size_t type_size = wanted->type ? strlen(wanted->type) + 1 : 0;
    const size_t tenant_size = wanted->tenant ? strlen(wanted->tenant) + 1 : 0;
    const size_t size = sizeof(mls__mem_rule) + queue_size + type_size + tenant_size; /* bounded */
    mls__mem_rule *rule = mls__alloc_array(&store->context->allocator, 1, size);
    if (!rule)
        return NULL;
    rule->rule.size = sizeof rule->rule;
    if (queue_size)
        rule->rule.queue = memcpy(rule->names, wanted->queue, queue_size);
    if (type_size)
        rule->rule.type = memcpy(rule->names + queue_size, wanted->type, type_size);
    if (tenant_size)
        rule->rule.tenant =
            memcpy(rule->names + queue_size + type_size, wanted->tenant, tenant_size);
    return rule;
}

/* Finds out anew which lanes a rule covers, and what runs there. */
static void match_all(mls__mem_store *store, mls__mem_rule *rule)
{
    for (uint32_t i = 0; i < store->lane_count; i++)
        mls__mem_match_rules(store, store->lanes[i]);
    rule->rule.running = 0;
    for (uint32_t i = 0; i < store->lane_count; i++) {
        const mls__mem_lane *lane = store->lanes[i];
        if (covers_lane(rule, lane))
            rule->rule.running +=
                (uint32_t) (lane->stats.jobs[MLS_JOB_RUNNING] + lane->stats.jobs[MLS_JOB_STOPPING]);
    }
}

/*
 * Sets parts of the rule, or of `spare`, which takes its place where there is none. What is
 * not needed (any more) is left in the list of `spare`.
 */
static mls_status apply(mls__mem_store *store, mls__mem_rule **spare, const mls_queue_rule *wanted,
                        uint64_t parts)
{
    mls__mem_rule **link = find(store, wanted);
    mls__mem_rule *rule = *link ? *link : *spare;
    mls_queue_rule changed = rule->rule;
    store->rules->rule_set(&changed, wanted, parts);
    const bool is_empty = store->rules->rule_is_empty(&changed);
    if (!*link && !is_empty && wanted->tenant) {
        const mls_status status = part_tenant(store, wanted);
        if (status)
            return status;
    }
    rule->rule = changed;
    if (!*link && !is_empty) {
        *link = rule;
        *spare = NULL;
    } else if (*link && is_empty) {
        *link = rule->next;
        rule->next = *spare;
        *spare = rule;
    }
    match_all(store, rule);
    store->rules_changes++;
    store->rules_were_set = true;
    return MLS_OK;
}

/* Who is held back by what runs must learn of its end. */
static void watch_ends(mls__mem_store *store)
{
    const bool has_rules = store->rule_list != NULL;
    if (has_rules && !store->rules_watch)
        atomic_fetch_add_explicit(&store->watchers, 1, memory_order_seq_cst);
    else if (!has_rules && store->rules_watch)
        atomic_fetch_sub_explicit(&store->watchers, 1, memory_order_relaxed);
    store->rules_watch = has_rules;
}

mls_status mls__mem_set_rule(void *self, const mls_queue_rule *wanted, uint64_t parts)
{
    mls__mem_store *store = self;
    mls__mem_rule *spare = create(store, wanted);
    if (!spare)
        return mls__error_nomem(sizeof *spare);
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    const mls_status status = apply(store, &spare, wanted, parts);
    watch_ends(store);
    atomic_fetch_add_explicit(&store->ready_events, 1, memory_order_relaxed);
    mls__mem_rearm_claimers(store);
    mls__mem_leave(&visit);
    free_list(store, spare);
    return status;
}

mls_status mls__mem_visit_rules(void *self, mls_queue_rule_fn show, void *user)
{
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    for (const mls__mem_rule *rule = store->rule_list; rule; rule = rule->next)
        show(user, &rule->rule);
    mls__mem_leave(&visit);
    return MLS_OK;
}

void mls__mem_rules_free(mls__mem_store *store)
{
    free_list(store, store->rule_list);
}
