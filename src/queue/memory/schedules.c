/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules: timers that submit jobs. They go by the wall clock, which may be set, and timers by
 * the monotonic one: so a timer is set for a while only, and then the clock is looked at again.
 */
#include "queue/memory/memory.h"

#include "base/error.h"

#include <stddef.h>
#include <string.h>

#define LOOK_MS  10000 /* longest a clock that was set goes unnoticed, and between tries */
#define NS_OF_MS UINT64_C(1000000)

struct mls__mem_schedule {
    mls__mem_schedule *next;
    mls__mem_node node; /* in the heap while it may fire */
    mls__mem_lane *lane;
    mls_schedule *s; /* a copy */
    uint32_t refs;   /* the list, and those who let it fire */
    bool is_gone;    /* from the list */
};

static mls__mem_schedule *schedule_of(mls__mem_node *node)
{
    char *at = (char *) node;
    return (mls__mem_schedule *) (void *) (at - offsetof(mls__mem_schedule, node));
}

static void free_schedule(const mls__mem_store *store, mls__mem_schedule *schedule)
{
    if (schedule && schedule->s)
        store->host->free(store->host->context, schedule->s);
    mls__free(&store->context->allocator, schedule);
}

static void unref(const mls__mem_store *store, mls__mem_schedule *schedule)
{
    if (schedule && --schedule->refs == 0)
        free_schedule(store, schedule);
}

static void arm_in(mls__mem_visit *visit, mls__mem_schedule *schedule, int64_t ms)
{
    schedule->node.key = visit->now_ns + (uint64_t) ms * NS_OF_MS;
    mls__mem_heap_add(&visit->store->cron, &schedule->node);
}

static void arm(mls__mem_visit *visit, mls__mem_schedule *schedule)
{
    if (schedule->s->next_ms == INT64_MAX)
        return;
    const int64_t left_ms = schedule->s->next_ms - mls__mem_wall_ms(visit);
    arm_in(visit, schedule, left_ms < 0 ? 0 : left_ms > LOOK_MS ? LOOK_MS : left_ms);
}

/* Firing */

/* No room, no memory, no file of the zone go away by themselves; a wrong line does not. */
static bool may_pass(mls_status status)
{
    return status != MLS_EINVAL;
}

static void say(const mls__mem_store *store)
{
    mls__log(store->context, MLS_LOG_WARNING, "%s", mls_error_message());
}

/* What is due, and what follows, is worked out without the mutex: a file is read for it. */
static mls_status advance(mls__mem_visit *visit, mls_schedule *s, int64_t *ret_due_ms,
                          size_t *ret_count)
{
    const mls__mem_store *store = visit->store;
    const int64_t now_ms = mls__mem_wall_ms(visit);
    mls__mem_step_aside(visit);
    const mls_status status =
        store->rules->schedule_advance(store->host, s, now_ms, ret_due_ms, ret_count);
    if (status)
        say(store);
    mls__mem_step_back(visit);
    return status;
}

/* Submits what it fires; what there is no room for is still to come. */
static mls_status submit_due(mls__mem_visit *visit, const mls__mem_schedule *schedule,
                             const int64_t *due_ms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mls_queue_firing firing;
        visit->store->rules->schedule_fire(schedule->s, due_ms[i], &firing);
        const mls_status status = mls__mem_submit_now(visit, schedule->lane, &firing.item);
        if (status) {
            schedule->s->next_ms = due_ms[i];
            return status;
        }
        schedule->s->last_ms = due_ms[i];
    }
    return MLS_OK;
}

/* When it is looked at again. Leaving the mutex gives back records that are free by now. */
static void arm_after(mls__mem_visit *visit, mls__mem_schedule *schedule, mls_status status)
{
    if (!status)
        arm(visit, schedule);
    else if (may_pass(status))
        arm_in(visit, schedule, status == MLS_EFULL && visit->dying ? 1 : LOOK_MS);
    else
        schedule->s->next_ms = INT64_MAX;
    /* It was not among the timers for a while. */
    mls__mem_windows_recall(visit);
    mls__mem_rearm_claimers(visit->store);
}

/* While the mutex was left it may have been taken back, or replaced by another. */
static void fire(mls__mem_visit *visit, mls__mem_schedule *schedule)
{
    int64_t due_ms[MLS_MISSED_MOST];
    size_t count = 0;
    mls_schedule next = *schedule->s; /* texts and job are those of the schedule */
    schedule->refs++;
    mls_status status = advance(visit, &next, due_ms, &count);
    if (!schedule->is_gone) {
        const bool is_known = status == MLS_OK;
        if (is_known) {
            schedule->s->next_ms = next.next_ms;
            status = submit_due(visit, schedule, due_ms, count);
        }
        arm_after(visit, schedule, status);
        if (is_known && status) {
            mls__mem_step_aside(visit);
            say(visit->store);
            mls__mem_step_back(visit);
        }
    }
    unref(visit->store, schedule);
}

bool mls__mem_schedules_fire(mls__mem_visit *visit)
{
    mls__mem_heap *heap = &visit->store->cron;
    while (heap->root && heap->root->key <= visit->now_ns) {
        mls__mem_schedule *schedule = schedule_of(heap->root);
        mls__mem_heap_remove(&schedule->node);
        if (schedule->s->next_ms <= mls__mem_wall_ms(visit)) {
            fire(visit, schedule);
            return true;
        }
        arm(visit, schedule);
    }
    return false;
}

/* Setting */

/* The link of the schedule of that name, or the last. */
static mls__mem_schedule **find(mls__mem_store *store, const char *name)
{
    mls__mem_schedule **link = &store->schedule_list;
    while (*link && strcmp((*link)->s->name, name) != 0)
        link = &(*link)->next;
    return link;
}

/* Takes it out of heap and list. */
static mls__mem_schedule *take_out(mls__mem_schedule **link)
{
    mls__mem_schedule *schedule = *link;
    if (schedule->node.heap)
        mls__mem_heap_remove(&schedule->node);
    *link = schedule->next;
    schedule->is_gone = true;
    return schedule;
}

/* Puts the new one in place of the one of its name. */
static void replace(mls__mem_visit *visit, mls__mem_schedule *schedule)
{
    mls__mem_store *store = visit->store;
    mls__mem_schedule **link = find(store, schedule->s->name);
    mls__mem_schedule *old = *link ? take_out(link) : NULL;
    if (old && strcmp(old->s->cron, schedule->s->cron) == 0 &&
        strcmp(old->s->zone, schedule->s->zone) == 0 && old->s->next_ms != INT64_MAX) {
        schedule->s->next_ms = old->s->next_ms;
        schedule->s->last_ms = old->s->last_ms;
    }
    schedule->next = store->schedule_list;
    store->schedule_list = schedule;
    arm(visit, schedule);
    mls__mem_rearm_claimers(store);
    unref(store, old);
}

mls_status mls__mem_set_schedule(void *self, const mls_schedule *given)
{
    mls__mem_store *store = self;
    const mls_job_options *job = given->job;
    mls__mem_schedule *schedule = mls__alloc_array(&store->context->allocator, 1, sizeof *schedule);
    if (schedule)
        schedule->s = store->rules->schedule_copy(store->host, given);
    if (!schedule || !schedule->s) {
        free_schedule(store, schedule);
        return mls__error_nomem(sizeof *schedule);
    }
    schedule->refs = 1;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    const mls_status status =
        mls__mem_make_lanes(store, job->queue, job->type, &job->needs, &schedule->lane);
    if (!status)
        replace(&visit, schedule);
    mls__mem_leave(&visit);
    if (status)
        free_schedule(store, schedule);
    return status;
}

mls_status mls__mem_remove_schedule(void *self, const char *name)
{
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    mls__mem_schedule **link = find(store, name);
    const bool is_there = *link != NULL;
    if (is_there)
        unref(store, take_out(link));
    mls__mem_leave(&visit);
    return is_there ? MLS_OK : mls__error(MLS_ENOTFOUND, "there is no schedule '%s'", name);
}

mls_status mls__mem_visit_schedules(void *self, mls_schedule_fn show, void *user)
{
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    for (const mls__mem_schedule *at = store->schedule_list; at; at = at->next)
        show(user, at->s);
    mls__mem_leave(&visit);
    return MLS_OK;
}

void mls__mem_schedules_free(mls__mem_store *store)
{
    for (mls__mem_schedule *at = store->schedule_list, *next; at; at = next) {
        next = at->next;
        free_schedule(store, at);
    }
}
