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

static void match(const mls__mem_store *store, mls__mem_rule *rule, mls__mem_lane *lane)
{
    if (!store->rules->rule_covers(&rule->rule, lane->names, lane->type))
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

/* The link of the rule of that queue and type, or the last. */
static mls__mem_rule **find(mls__mem_store *store, const mls_queue_rule *wanted)
{
    mls__mem_rule **link = &store->rule_list;
    while (*link && !(is_same((*link)->rule.queue, wanted->queue) &&
                      is_same((*link)->rule.type, wanted->type)))
        link = &(*link)->next;
    return link;
}

static mls__mem_rule *create(mls__mem_store *store, const mls_queue_rule *wanted)
{
    const size_t queue_size = wanted->queue ? strlen(wanted->queue) + 1 : 0;
    const size_t type_size = wanted->type ? strlen(wanted->type) + 1 : 0;
    const size_t size = sizeof(mls__mem_rule) + queue_size + type_size; /* both are bounded */
    mls__mem_rule *rule = mls__alloc_array(&store->context->allocator, 1, size);
    if (!rule)
        return NULL;
    rule->rule.size = sizeof rule->rule;
    if (queue_size)
        rule->rule.queue = memcpy(rule->names, wanted->queue, queue_size);
    if (type_size)
        rule->rule.type = memcpy(rule->names + queue_size, wanted->type, type_size);
    return rule;
}

/* Sets parts of the rule at `link`, or of `spare`, which takes its place where there is none. */
static void apply(mls__mem_store *store, mls__mem_rule **link, mls__mem_rule **spare,
                  const mls_queue_rule *wanted, uint64_t parts)
{
    if (!*link) {
        *link = *spare;
        *spare = NULL;
    }
    mls__mem_rule *rule = *link;
    if (parts & MLS_RULE_PAUSE)
        rule->rule.is_paused = wanted->is_paused;
    if (store->rules->rule_is_empty(&rule->rule)) {
        *link = rule->next;
        *spare = rule;
    }
    for (uint32_t i = 0; i < store->lane_count; i++)
        mls__mem_match_rules(store, store->lanes[i]);
    store->rules_were_set = true;
}

mls_status mls__mem_set_rule(void *self, const mls_queue_rule *wanted, uint64_t parts)
{
    mls__mem_store *store = self;
    mls__mem_rule *spare = create(store, wanted);
    if (!spare)
        return mls__error_nomem(sizeof *spare);
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    apply(store, find(store, wanted), &spare, wanted, parts);
    atomic_fetch_add_explicit(&store->ready_events, 1, memory_order_relaxed);
    mls__mem_rearm_claimers(store);
    mls__mem_leave(&visit);
    mls__free(&store->context->allocator, spare);
    return MLS_OK;
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
    mls__mem_rule *next;
    for (mls__mem_rule *rule = store->rule_list; rule; rule = next) {
        next = rule->next;
        mls__free(&store->context->allocator, rule);
    }
}
