/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a store as a transaction sees them. */
#include "queue/durable/rules.h"

#include <string.h>

static void point_to_names(mls__kept_rule *r)
{
    r->rule.queue = r->queue[0] ? r->queue : NULL;
    r->rule.type = r->type[0] ? r->type : NULL;
    r->rule.tenant = r->tenant[0] ? r->tenant : NULL;
}

/* Into memory of their own. */
static void copy_all(mls__kept_rule *to, const mls__kept_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        to[i] = rules->list[i];
        point_to_names(&to[i]);
    }
}

static bool make_room(const mls_plugin_host *host, mls__kept_rules *rules, size_t count)
{
    if (count <= rules->room)
        return true;
    const size_t room = count > 8 ? 2 * count : 8;
    mls__kept_rule *larger =
        room < SIZE_MAX / sizeof *larger ? host->alloc(host->context, room * sizeof *larger) : NULL;
    if (!larger)
        return false;
    copy_all(larger, rules);
    if (rules->list)
        host->free(host->context, rules->list);
    rules->list = larger;
    rules->room = room;
    return true;
}

static void copy_name(char *to, size_t room, const char *name)
{
    const size_t length = name ? strnlen(name, room - 1) : 0;
    if (length)
        memcpy(to, name, length);
    to[length] = '\0';
}

bool mls__kept_rules_add(const mls_plugin_host *host, mls__kept_rules *rules,
                         const mls_queue_rule *stored)
{
    if (!make_room(host, rules, rules->count + 1))
        return false;
    mls__kept_rule *r = &rules->list[rules->count++];
    r->is_dirty = false;
    r->rule = *stored;
    r->rule.size = sizeof r->rule;
    copy_name(r->queue, sizeof r->queue, stored->queue);
    copy_name(r->type, sizeof r->type, stored->type);
    copy_name(r->tenant, sizeof r->tenant, stored->tenant);
    if (r->rule.rate_ms < 1 || r->rule.burst < 1)
        r->rule.rate_jobs = 0; /* the store is damaged, or there is no rate */
    point_to_names(r);
    return true;
}

void mls__kept_rules_free(const mls_plugin_host *host, mls__kept_rules *rules)
{
    if (rules->list)
        host->free(host->context, rules->list);
    *rules = (mls__kept_rules){0};
}

bool mls__kept_rules_copy(const mls_plugin_host *host, const mls__kept_rules *rules,
                          mls__kept_rules *ret_copy)
{
    mls__kept_rules copy = {0};
    if (!make_room(host, &copy, rules->count))
        return false;
    copy_all(copy.list, rules);
    copy.count = rules->count;
    *ret_copy = copy;
    return true;
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

mls_queue_rule *mls__kept_rules_find(const mls__kept_rules *rules, const mls_queue_rule *wanted)
{
    for (size_t i = 0; i < rules->count; i++) {
        mls_queue_rule *rule = &rules->list[i].rule;
        if (is_same(rule->queue, wanted->queue) && is_same(rule->type, wanted->type) &&
            is_same(rule->tenant, wanted->tenant))
            return rule;
    }
    return NULL;
}

static bool covers(const mls_queue_host *policy, const mls_queue_rule *rule, mls__rule_scope scope)
{
    return policy->rule_covers(rule, scope.queue, scope.type, scope.tenant);
}

bool mls__kept_rules_hold(const mls__kept_rules *rules, const mls_queue_host *policy,
                          mls__rule_scope scope, int64_t now_ms)
{
    for (size_t i = 0; i < rules->count; i++) {
        const mls_queue_rule *rule = &rules->list[i].rule;
        if (covers(policy, rule, scope) && policy->rule_holds_until(rule, now_ms))
            return true;
    }
    return false;
}

bool mls__kept_rules_name(const mls__kept_rules *rules, const mls_queue_host *policy,
                          mls__rule_scope scope)
{
    for (size_t i = 0; i < rules->count; i++) {
        const mls_queue_rule *rule = &rules->list[i].rule;
        if (rule->tenant && covers(policy, rule, scope))
            return true;
    }
    return false;
}

uint32_t mls__kept_rules_step(const mls__kept_rules *rules, const mls_queue_host *policy,
                              const char *queue, const char *tenant)
{
    uint32_t weight = 0;
    for (size_t i = 0; i < rules->count; i++) {
        const uint32_t said = policy->rule_weight(&rules->list[i].rule, queue, tenant);
        weight = said > weight ? said : weight;
    }
    return policy->weight_step(weight);
}

void mls__kept_rules_claim(mls__kept_rules *rules, const mls_queue_host *policy,
                           mls__rule_scope scope, int64_t now_ms)
{
    for (size_t i = 0; i < rules->count; i++) {
        mls__kept_rule *r = &rules->list[i];
        if (!covers(policy, &r->rule, scope))
            continue;
        policy->rule_note_claim(&r->rule, now_ms);
        r->is_dirty = true;
    }
}

bool mls__kept_rules_end(mls__kept_rules *rules, const mls_queue_host *policy,
                         mls__rule_scope scope)
{
    bool may_pass = false;
    for (size_t i = 0; i < rules->count; i++) {
        mls__kept_rule *r = &rules->list[i];
        if (!covers(policy, &r->rule, scope))
            continue;
        policy->rule_note_end(&r->rule);
        r->is_dirty = true;
        may_pass |= r->rule.max_running != 0;
    }
    return may_pass;
}

int64_t mls__kept_rules_next_ms(const mls__kept_rules *rules, const mls_queue_host *policy,
                                int64_t now_ms)
{
    int64_t next_ms = 0;
    for (size_t i = 0; i < rules->count; i++) {
        const int64_t until_ms = policy->rule_holds_until(&rules->list[i].rule, now_ms);
        if (until_ms && until_ms < INT64_MAX && (!next_ms || until_ms < next_ms))
            next_ms = until_ms;
    }
    return next_ms;
}

/* Claims on a copy until it holds. */
static size_t room_of(const mls_queue_rule *rule, const mls_queue_host *policy, int64_t now_ms,
                      size_t most)
{
    mls_queue_rule copy = *rule;
    size_t count = 0;
    if (!rule->max_running && !rule->rate_jobs)
        return most;
    while (count < most && !policy->rule_holds_until(&copy, now_ms)) {
        policy->rule_note_claim(&copy, now_ms);
        count++;
    }
    return count;
}

size_t mls__kept_rules_room(const mls__kept_rules *rules, const mls_queue_host *policy,
                            int64_t now_ms, size_t most)
{
    size_t room = most;
    for (size_t i = 0; i < rules->count; i++) {
        const mls_queue_rule *rule = &rules->list[i].rule;
        if (!policy->rule_holds_until(rule, now_ms))
            room = room_of(rule, policy, now_ms, room);
    }
    return room;
}
