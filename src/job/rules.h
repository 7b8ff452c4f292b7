/* SPDX-License-Identifier: Apache-2.0 */
/* What rules of a queue mean: policy over plain data, which drivers are lent. */
#ifndef MLS_JOB_RULES_H
#define MLS_JOB_RULES_H

#include <mlscale/queue.h>

#include <stdbool.h>

/* Whether the rule is of jobs of this named queue and type. */
bool mls__rule_covers(const mls_queue_rule *rule, const char *queue, const char *type);

/* Until when the rule holds back jobs: 0 it does not; INT64_MAX until something changes. */
int64_t mls__rule_holds_until(const mls_queue_rule *rule, int64_t now_ms);

/* Whether the rule says nothing and need not be kept. */
bool mls__rule_is_empty(const mls_queue_rule *rule);

#endif
