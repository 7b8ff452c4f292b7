/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a store as a transaction sees them: a list that is read anew with each, asked
 * one after another, since they are few. What a rule means is the library's (mls_queue_host).
 */
#ifndef MLS_QUEUE_DURABLE_RULES_H
#define MLS_QUEUE_DURABLE_RULES_H

#include <mlscale/ext/queue_driver.h>

#include <stdbool.h>

typedef struct mls__kept_rule {
    mls_queue_rule rule; /* its names are below, NULL for any */
    bool is_dirty;       /* its state is to be saved with the transaction */
    char queue[MLS_JOB_NAME_MAX + 1], type[MLS_JOB_NAME_MAX + 1], tenant[MLS_JOB_KEY_MAX + 1];
} mls__kept_rule;

typedef struct mls__kept_rules {
    mls__kept_rule *list;
    size_t count, room;
} mls__kept_rules;

/* Whose jobs: of a queue, type and tenant ("": one that no rule names). */
typedef struct mls__rule_scope {
    const char *queue, *type, *tenant;
} mls__rule_scope;

/* Adds one as a store has it: its names may be "" for any, or too long. false: no memory. */
bool mls__kept_rules_add(const mls_plugin_host *host, mls__kept_rules *rules,
                         const mls_queue_rule *stored);
void mls__kept_rules_free(const mls_plugin_host *host, mls__kept_rules *rules);
/* A copy of them all. false: no memory. */
bool mls__kept_rules_copy(const mls_plugin_host *host, const mls__kept_rules *rules,
                          mls__kept_rules *ret_copy);

/* The rule of exactly the queue, type and tenant of `wanted`; NULL: there is none. */
mls_queue_rule *mls__kept_rules_find(const mls__kept_rules *rules, const mls_queue_rule *wanted);
/* Whether a rule holds back such jobs. */
bool mls__kept_rules_hold(const mls__kept_rules *rules, const mls_queue_host *policy,
                          mls__rule_scope scope, int64_t now_ms);
/* Whether a rule names the tenant, of that queue and type. */
bool mls__kept_rules_name(const mls__kept_rules *rules, const mls_queue_host *policy,
                          mls__rule_scope scope);
/* By how much a claim of the tenant moves on its pass in the queue. */
uint32_t mls__kept_rules_step(const mls__kept_rules *rules, const mls_queue_host *policy,
                              const char *queue, const char *tenant);
/* Such a job is claimed. */
void mls__kept_rules_claim(mls__kept_rules *rules, const mls_queue_host *policy,
                           mls__rule_scope scope, int64_t now_ms);
/* A claim of such a job ended; whether that may let others pass. */
bool mls__kept_rules_end(mls__kept_rules *rules, const mls_queue_host *policy,
                         mls__rule_scope scope);
/* When one of those that hold back jobs lets pass by itself; 0: none does. */
int64_t mls__kept_rules_next_ms(const mls__kept_rules *rules, const mls_queue_host *policy,
                                int64_t now_ms);
/* How many jobs, of at most `most`, every rule lets pass that lets pass any. */
size_t mls__kept_rules_room(const mls__kept_rules *rules, const mls_queue_host *policy,
                            int64_t now_ms, size_t most);

#endif
