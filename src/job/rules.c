/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that hold back jobs: pausing, and what is asked of a driver for them. */
#include "job/rules.h"

#include "base/error.h"
#include "base/vec.h"
#include "job/queue.h"

#include <stdlib.h>
#include <string.h>

/* The policy */

static bool covers(const char *given, const char *name)
{
    return !given || strcmp(given, name) == 0;
}

bool mls__rule_covers(const mls_queue_rule *rule, const char *queue, const char *type)
{
    return covers(rule->queue, queue) && covers(rule->type, type);
}

int64_t mls__rule_holds_until(const mls_queue_rule *rule, int64_t now_ms)
{
    (void) now_ms;
    return rule->is_paused ? INT64_MAX : 0;
}

bool mls__rule_is_empty(const mls_queue_rule *rule)
{
    return !rule->is_paused;
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

/* Looking */

/* What a driver showed, copied: it may have been on another thread, and under its locks. */
typedef struct collection {
    const mls__allocator *allocator;
    mls__vec rules;
    bool has_failed;
} collection;

static bool copy_name(const mls__allocator *allocator, const char **name)
{
    if (!*name)
        return true;
    *name = mls__alloc_string(allocator, *name);
    return *name != NULL;
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
    copy->queue = copy->type = NULL;
    const char *queue = rule->queue, *type = rule->type;
    if (!copy_name(all->allocator, &queue)) {
        all->has_failed = true;
        return;
    }
    copy->queue = queue;
    if (!copy_name(all->allocator, &type))
        all->has_failed = true;
    else
        copy->type = type;
}

static int compare_names(const char *a, const char *b)
{
    return !a || !b ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_rules(const void *a, const void *b)
{
    const mls_queue_rule *x = a, *y = b;
    const int order = compare_names(x->queue, y->queue);
    return order ? order : compare_names(x->type, y->type);
}

static void free_collection(collection *all)
{
    for (size_t i = 0; i < all->rules.count; i++) {
        const mls_queue_rule *rule = mls__vec_at(&all->rules, i);
        mls__free(all->allocator, (void *) (uintptr_t) rule->queue);
        mls__free(all->allocator, (void *) (uintptr_t) rule->type);
    }
    mls__vec_clear(&all->rules);
}

mls_status mls_queue_visit_rules(mls_queue *queue, mls_queue_rule_fn visit, void *user)
{
    if (!queue || !visit)
        return mls__error_null(__func__, "queue and visit");
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
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
