/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of jobs: what holds them back, how tenants share, and what is asked of a driver for
 * that.
 */
#include "job/rules.h"

#include "base/error.h"
#include "base/options.h"
#include "base/vec.h"
#include "job/queue.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The policy */

static bool covers(const char *given, const char *name)
{
    return !given || strcmp(given, name) == 0;
}

bool mls__rule_covers(const mls_queue_rule *rule, const char *queue, const char *type,
                      const char *tenant)
{
    return covers(rule->queue, queue) && covers(rule->type, type) && covers(rule->tenant, tenant);
}

/*
 * The bucket is one number, the time when it is full again (the generic cell rate
 * algorithm): a claim moves it on by the time that a token takes to come, and there is a
 * token as long as not all of them are still to come.
 */
#define NS_OF_MS INT64_C(1000000)

static int64_t token_ns(const mls_queue_rule *rule)
{
    const int64_t ns = rule->rate_ms * NS_OF_MS / rule->rate_jobs;
    return ns ? ns : 1;
}

/*
 * When the bucket is full again. A clock that was set back a little is waited for; by more
 * than the bucket's time, and the bucket is full: else it could stand still for years.
 */
static int64_t full_ns(const mls_queue_rule *rule, int64_t now_ns)
{
    const int64_t empty_ns = token_ns(rule) * rule->burst;
    return rule->bucket_ns - now_ns <= 2 * empty_ns ? rule->bucket_ns : now_ns;
}

int64_t mls__rule_holds_until(const mls_queue_rule *rule, int64_t now_ms)
{
    if (rule->is_paused || (rule->max_running && rule->running >= rule->max_running))
        return INT64_MAX;
    if (!rule->rate_jobs)
        return 0;
    const int64_t now_ns = now_ms * NS_OF_MS;
    const int64_t from_ns = full_ns(rule, now_ns) - token_ns(rule) * (rule->burst - 1);
    return from_ns <= now_ns ? 0 : (from_ns + NS_OF_MS - 1) / NS_OF_MS;
}

void mls__rule_note_claim(mls_queue_rule *rule, int64_t now_ms)
{
    rule->running++;
    if (!rule->rate_jobs)
        return;
    const int64_t now_ns = now_ms * NS_OF_MS, full = full_ns(rule, now_ns);
    rule->bucket_ns = (full > now_ns ? full : now_ns) + token_ns(rule);
}

void mls__rule_note_end(mls_queue_rule *rule)
{
    if (rule->running)
        rule->running--;
}

void mls__rule_set(mls_queue_rule *rule, const mls_queue_rule *given, uint64_t parts)
{
    if (parts & MLS_RULE_PAUSE)
        rule->is_paused = given->is_paused;
    if (parts & MLS_RULE_WEIGHT)
        rule->weight = given->weight;
    if (!(parts & MLS_RULE_LIMITS))
        return;
    if (rule->rate_jobs != given->rate_jobs || rule->rate_ms != given->rate_ms ||
        rule->burst != given->burst)
        rule->bucket_ns = 0;
    rule->max_running = given->max_running;
    rule->rate_jobs = given->rate_jobs;
    rule->rate_ms = given->rate_ms;
    rule->burst = given->burst;
}

bool mls__rule_is_empty(const mls_queue_rule *rule)
{
    return !rule->is_paused && !rule->max_running && !rule->rate_jobs && !rule->weight;
}

/* What is said of one queue goes before what is said of all. */
#define OF_THIS_QUEUE (UINT32_C(1) << 31)

uint32_t mls__rule_weight(const mls_queue_rule *rule, const char *queue, const char *tenant)
{
    if (!rule->weight || !rule->tenant || rule->type || strcmp(rule->tenant, tenant) != 0 ||
        !covers(rule->queue, queue))
        return 0;
    return rule->weight | (rule->queue ? OF_THIS_QUEUE : 0);
}

/* The step of the heaviest is 100, so that rounding takes at most a hundredth from anyone. */
uint32_t mls__weight_step(uint32_t weight)
{
    weight &= ~OF_THIS_QUEUE;
    if (!weight)
        weight = MLS_WEIGHT_DEFAULT;
    return weight < MLS_WEIGHT_MAX ? UINT32_C(100) * MLS_WEIGHT_MAX / weight : 100;
}

/* Setting */

static mls_status check_driver(const mls_queue *queue)
{
    if (MLS_HAS_OP(queue->ops, mls_queue_driver, visit_rules))
        return MLS_OK;
    return mls__error(MLS_EUNSUPPORTED, "queue driver '%s' says that it keeps rules, and cannot",
                      queue->ops->plugin.name);
}

static mls_status check_which(const mls_queue *queue, const mls_queue_filter *which)
{
    mls_status status = MLS_OK;
    if (which->states)
        return mls__error(MLS_EINVAL, "mls_queue_filter.states is of mls_queue_list() only: "
                                      "queues and types are paused");
    if (which->queue)
        status = mls__queue_check_name("mls_queue_filter.queue", which->queue);
    if (!status && which->queue && strcmp(which->queue, "default") != 0)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_NAMED_QUEUES, "mls_queue_filter.queue");
    if (!status && which->type)
        status = mls__queue_check_name("mls_queue_filter.type", which->type);
    return status;
}

static mls_status set_pause(const char *function, mls_queue *queue, const mls_queue_filter *given,
                            bool is_paused)
{
    if (!queue)
        return mls__error_null(function, "queue");
    mls_queue_filter which;
    mls_status status = mls__queue_read_filter(given, &which);
    if (!status)
        status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_PAUSE, function);
    if (!status)
        status = check_driver(queue);
    if (!status)
        status = check_which(queue, &which);
    if (status)
        return status;
    const mls_queue_rule rule = {
        .size = sizeof rule, .queue = which.queue, .type = which.type, .is_paused = is_paused};
    return queue->ops->set_rule(queue->self, &rule, MLS_RULE_PAUSE);
}

mls_status mls_queue_pause(mls_queue *queue, const mls_queue_filter *which)
{
    return set_pause(__func__, queue, which, true);
}

mls_status mls_queue_resume(mls_queue *queue, const mls_queue_filter *which)
{
    return set_pause(__func__, queue, which, false);
}

/* Limits are at most this many tokens, so that no sum of their times overflows. */
#define MOST_TOKENS   1000000000
#define MOST_RATE_MS  INT64_C(86400000)
#define MOST_BURST_NS (INT64_MAX / 4)

static mls_status check_limits(const mls_queue_rule *rule)
{
    if (!rule->rate_jobs && (rule->rate_ms || rule->burst))
        return mls__error(MLS_EINVAL, "mls_queue_rule.rate_jobs is 0, so rate_ms and burst must be "
                                      "0 too");
    if (rule->rate_jobs && (rule->rate_ms < 1 || rule->rate_ms > MOST_RATE_MS))
        return mls__error(MLS_EINVAL, "mls_queue_rule.rate_ms is %lld; 1 to %lld is possible",
                          (long long) rule->rate_ms, (long long) MOST_RATE_MS);
    if (rule->rate_jobs > MOST_TOKENS || rule->burst > MOST_TOKENS)
        return mls__error(MLS_EINVAL,
                          "mls_queue_rule.rate_jobs is %u and burst %u; up to %d are "
                          "possible",
                          rule->rate_jobs, rule->burst, MOST_TOKENS);
    int64_t all_ns;
    if (rule->rate_jobs &&
        (!mls__mul_i64(token_ns(rule), rule->burst, &all_ns) || all_ns > MOST_BURST_NS))
        return mls__error(MLS_EINVAL,
                          "mls_queue_rule.burst of %u would take more than 70 years to "
                          "come",
                          rule->burst);
    return MLS_OK;
}

static mls_status check_scope(const mls_queue *queue, const mls_queue_rule *rule)
{
    mls_status status = MLS_OK;
    if (rule->queue)
        status = mls__queue_check_name("mls_queue_rule.queue", rule->queue);
    if (!status && rule->queue && strcmp(rule->queue, "default") != 0)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_NAMED_QUEUES, "mls_queue_rule.queue");
    if (!status && rule->type)
        status = mls__queue_check_name("mls_queue_rule.type", rule->type);
    if (!status && rule->tenant)
        status = mls__queue_check_text("mls_queue_rule.tenant", rule->tenant, MLS_JOB_KEY_MAX);
    if (!status && rule->tenant && !rule->tenant[0])
        status = mls__error(MLS_EINVAL, "mls_queue_rule.tenant is \"\"; name one, or NULL for all");
    return status;
}

/* `weight`, the first field of a later version, ends what was the struct at first. */
static mls_status read_rule(const mls_queue_rule *given, mls_queue_rule *ret_rule)
{
    *ret_rule = (mls_queue_rule) MLS_QUEUE_RULE_INIT;
    return mls__options_read("mls_queue_rule", given, offsetof(mls_queue_rule, weight),
                             sizeof *ret_rule, ret_rule);
}

mls_status mls_queue_limit(mls_queue *queue, const mls_queue_rule *given)
{
    if (!queue || !given)
        return mls__error_null(__func__, "queue and limits");
    mls_queue_rule rule;
    mls_status status = read_rule(given, &rule);
    if (status)
        return status;
    if (rule.rate_jobs && !rule.burst)
        rule.burst = rule.rate_jobs;
    status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_LIMITS, __func__);
    if (!status)
        status = check_driver(queue);
    if (!status)
        status = check_scope(queue, &rule);
    if (!status)
        status = check_limits(&rule);
    return status ? status : queue->ops->set_rule(queue->self, &rule, MLS_RULE_LIMITS);
}

static mls_status check_weight(const mls_queue_rule *rule)
{
    if (!rule->tenant || rule->type)
        return mls__error(MLS_EINVAL, "mls_queue_rule.tenant and type: a weight is of a tenant, in "
                                      "one queue or all, and of no type");
    if (rule->weight > MLS_WEIGHT_MAX)
        return mls__error(MLS_EINVAL,
                          "mls_queue_rule.weight is %u; 1 to %d is possible, and 0 for "
                          "none",
                          rule->weight, MLS_WEIGHT_MAX);
    return MLS_OK;
}

mls_status mls_queue_weigh(mls_queue *queue, const mls_queue_rule *given)
{
    if (!queue || !given)
        return mls__error_null(__func__, "queue and weight");
    mls_queue_rule rule;
    mls_status status = read_rule(given, &rule);
    if (!status)
        status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_FAIRNESS, __func__);
    if (!status)
        status = check_driver(queue);
    if (!status)
        status = check_scope(queue, &rule);
    if (!status)
        status = check_weight(&rule);
    return status ? status : queue->ops->set_rule(queue->self, &rule, MLS_RULE_WEIGHT);
}

/* Looking */

/* What a driver showed, copied: it may have been on another thread, and under its locks. */
typedef struct collection {
    const mls__allocator *allocator;
    mls__vec rules;
    bool has_failed;
} collection;

/* Without memory the name is NULL, and not the driver's. */
static bool copy_name(const mls__allocator *allocator, const char **name)
{
    const char *given = *name;
    *name = given ? mls__alloc_string(allocator, given) : NULL;
    return !given || *name;
}

static void collect(void *user, const mls_queue_rule *rule)
{
    collection *all = user;
    mls_queue_rule *copy = mls__vec_push(&all->rules);
    if (!copy) {
        all->has_failed = true;
        return;
    }
    *copy = *rule;
    const char **const names[] = {&copy->queue, &copy->type, &copy->tenant};
    for (size_t i = 0; i < 3; i++)
        all->has_failed |= !copy_name(all->allocator, names[i]);
}

static int compare_names(const char *a, const char *b)
{
    return !a || !b ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_rules(const void *a, const void *b)
{
    const mls_queue_rule *x = a, *y = b;
    int order = compare_names(x->queue, y->queue);
    if (!order)
        order = compare_names(x->type, y->type);
    return order ? order : compare_names(x->tenant, y->tenant);
}

static void free_collection(collection *all)
{
    for (size_t i = 0; i < all->rules.count; i++) {
        const mls_queue_rule *rule = mls__vec_at(&all->rules, i);
        mls__free(all->allocator, (void *) (uintptr_t) rule->queue);
        mls__free(all->allocator, (void *) (uintptr_t) rule->type);
        mls__free(all->allocator, (void *) (uintptr_t) rule->tenant);
    }
    mls__vec_clear(&all->rules);
}

mls_status mls_queue_visit_rules(mls_queue *queue, mls_queue_rule_fn visit, void *user)
{
    if (!queue || !visit)
        return mls__error_null(__func__, "queue and visit");
    mls_status status = mls__queue_check_fork(queue);
    if (!status && !(queue->ops->capabilities & MLS_QUEUE_CAN_LIMITS))
        status = mls__queue_need(queue, MLS_QUEUE_CAN_PAUSE, __func__);
    if (!status)
        status = check_driver(queue);
    if (status)
        return status;
    collection all = {.allocator = &queue->context->allocator};
    mls__vec_init(&all.rules, all.allocator, sizeof(mls_queue_rule));
    status = queue->ops->visit_rules(queue->self, collect, &all);
    if (!status && all.has_failed)
        status = mls__error_nomem(all.rules.count);
    if (!status && all.rules.count)
        qsort(all.rules.data, all.rules.count, sizeof(mls_queue_rule), compare_rules);
    for (size_t i = 0; !status && i < all.rules.count; i++)
        visit(user, mls__vec_at(&all.rules, i));
    free_collection(&all);
    return status;
}
