/* SPDX-License-Identifier: Apache-2.0 */
/* What rules of a queue mean: policy over plain data, which drivers are lent. */
#ifndef MLS_JOB_RULES_H
#define MLS_JOB_RULES_H

#include <mlscale/queue.h>

#include <stdbool.h>

/* Whether the rule is of jobs of this named queue, type and tenant. */
bool mls__rule_covers(const mls_queue_rule *rule, const char *queue, const char *type,
                      const char *tenant);

/* Until when the rule holds back jobs: 0 it does not; INT64_MAX until something changes. */
int64_t mls__rule_holds_until(const mls_queue_rule *rule, int64_t now_ms);

/* A job that it covers is claimed, or its claim ended. */
void mls__rule_note_claim(mls_queue_rule *rule, int64_t now_ms);
void mls__rule_note_end(mls_queue_rule *rule);

/* Takes over parts (MLS_RULE_*) of another rule. */
void mls__rule_set(mls_queue_rule *rule, const mls_queue_rule *given, uint64_t parts);

/* Whether the rule says nothing and need not be kept. */
bool mls__rule_is_empty(const mls_queue_rule *rule);

/*
 * What the rule says of the weight of a tenant in a named queue, to be compared with what
 * others say: the largest counts. 0: nothing.
 */
uint32_t mls__rule_weight(const mls_queue_rule *rule, const char *queue, const char *tenant);

/* By how much a claim moves on the pass of a tenant of that weight. */
uint32_t mls__weight_step(uint32_t weight);

#endif
