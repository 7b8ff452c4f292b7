/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at jobs by id, waiting for their ends, changing them, and counting. */
#include "queue/memory/memory.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static mls_status error_unknown(uint64_t id)
{
    return mls__error(MLS_ENOTFOUND, "there is no job %llu, or it was forgotten after its end",
                      (unsigned long long) id);
}

mls_status mls__mem_get(void *self, uint64_t id, mls_queue_job *ret_job)
{
    mls__mem_store *store = self;
    mls__mem_hold *hold;
    mls_status status = mls__mem_view_create(store, &hold);
    if (status)
        return status;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    mls__mem_job *job = mls__mem_find(store, id);
    if (job)
        mls__mem_show(&visit, job, hold, ret_job);
    mls__mem_leave(&visit);
    if (job)
        return MLS_OK;
    mls__mem_view_free(store, hold);
    return error_unknown(id);
}

/* Waits, the job pinned, so that it can be shown even if its end was the end of it. */
static mls_status wait_pinned(mls__mem_visit *visit, mls__mem_job *job, uint64_t until_ns)
{
    mls__mem_store *store = visit->store;
    mls_status status = MLS_OK;
    job->waiters++;
    atomic_fetch_add_explicit(&store->watchers, 1, memory_order_seq_cst);
    while (!mls__mem_has_ended(store, job)) {
        if (visit->now_ns >= until_ns) {
            status = mls__error(MLS_ETIMEDOUT, "job %llu has not ended in time",
                                (unsigned long long) job->id);
            break;
        }
        /* While it waits to be claimed, its deadline may be ours to notice. */
        const uint64_t timer_ns =
            job->has_extras && job->timer.heap ? job->timer.key : MLS__FOREVER;
        mls__mem_sleep(visit, &store->ended[job->index % MLS__MEM_WAIT_CONDS],
                       mls__mem_earlier(until_ns, timer_ns));
    }
    atomic_fetch_sub_explicit(&store->watchers, 1, memory_order_relaxed);
    job->waiters--;
    return status;
}

static mls_status wait_and_show(mls__mem_visit *visit, uint64_t id, uint64_t until_ns,
                                mls__mem_hold *hold, mls_queue_job *ret_job)
{
    mls__mem_job *job = mls__mem_find(visit->store, id);
    if (!job)
        return error_unknown(id);
    job->pins++;
    const mls_status status = wait_pinned(visit, job, until_ns);
    if (!status)
        mls__mem_show(visit, job, hold, ret_job);
    mls__mem_unpin(visit, job);
    return status;
}

mls_status mls__mem_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job)
{
    mls__mem_store *store = self;
    mls__mem_hold *hold;
    mls_status status = mls__mem_view_create(store, &hold);
    if (status)
        return status;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    status = wait_and_show(&visit, id, until_ns, hold, ret_job);
    mls__mem_leave(&visit);
    if (status)
        mls__mem_view_free(store, hold);
    return status;
}

/* A job that is made ready anew starts as when it was submitted, and at once. */
static void renew(mls__mem_job *job)
{
    job->attempt = 0;
    job->deadline_ms = 0;
    job->deadline_ns = 0;
    job->ended_ns = 0;
}

mls_status mls__mem_change(void *self, uint64_t id, int32_t event)
{
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    mls__mem_job *job = mls__mem_find(store, id);
    const int32_t state = job ? job->state : 0;
    const bool allowed = job && store->rules->next_state(state, event) != MLS_JOB_REFUSED;
    if (allowed && event == MLS_JOB_ON_REQUEUE)
        renew(job);
    if (allowed && state == MLS_JOB_RUNNING && event == MLS_JOB_ON_CANCEL)
        atomic_fetch_or_explicit(&job->claim, MLS__MEM_CLAIM_CANCEL, memory_order_release);
    if (allowed)
        mls__mem_move(&visit, job, event);
    mls__mem_leave(&visit);
    if (!job)
        return error_unknown(id);
    if (!allowed)
        return mls__error(MLS_ESTATE, "job %llu is %s", (unsigned long long) id,
                          mls_job_state_name(state));
    return MLS_OK;
}

mls_status mls__mem_drain(void *self, uint64_t until_ns)
{
    mls__mem_store *store = self;
    uint64_t alive;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    store->drain_waiters++;
    atomic_fetch_add_explicit(&store->watchers, 1, memory_order_seq_cst);
    while ((alive = store->alive) != 0 && visit.now_ns < until_ns)
        mls__mem_sleep(&visit, &store->drained,
                       mls__mem_earlier(until_ns, mls__mem_next_timer(store)));
    atomic_fetch_sub_explicit(&store->watchers, 1, memory_order_relaxed);
    store->drain_waiters--;
    mls__mem_leave(&visit);
    if (alive)
        return mls__error(MLS_ETIMEDOUT, "%llu jobs have not ended in time",
                          (unsigned long long) alive);
    return MLS_OK;
}

static void add_stats(const mls_queue_stats *lane, mls_queue_stats *sum)
{
    for (size_t i = 0; i < MLS__MEM_STATES; i++)
        sum->jobs[i] += lane->jobs[i];
    sum->submitted += lane->submitted;
    sum->claimed += lane->claimed;
    sum->succeeded += lane->succeeded;
    sum->dead += lane->dead;
    sum->cancelled += lane->cancelled;
    sum->retried += lane->retried;
    sum->released += lane->released;
    sum->stale += lane->stale;
    sum->waiting_ns += lane->waiting_ns;
    sum->running_ns += lane->running_ns;
    sum->escalated += lane->escalated;
}

static bool lane_passes(const mls__mem_lane *lane, const mls_queue_filter *filter)
{
    return (!filter->queue || strcmp(filter->queue, lane->names) == 0) &&
           (!filter->type || strcmp(filter->type, lane->type) == 0);
}

mls_status mls__mem_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats)
{
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    for (uint32_t i = 0; i < store->lane_count; i++) {
        const mls__mem_lane *lane = store->lanes[i];
        if (lane_passes(lane, filter))
            add_stats(&lane->stats, ret_stats);
    }
    ret_stats->capacity = store->capacity;
    mls__mem_leave(&visit);
    return MLS_OK;
}

/* Keeps `id` among the `max_count` smallest, which are a heap with the largest on top. */
static size_t keep_smallest(uint64_t *ids, size_t count, size_t max_count, uint64_t id)
{
    size_t at = 0;
    if (count < max_count) {
        for (at = count; at && ids[(at - 1) / 2] < id; at = (at - 1) / 2)
            ids[at] = ids[(at - 1) / 2];
        ids[at] = id;
        return count + 1;
    }
    if (ids[0] < id)
        return count;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && ids[child + 1] > ids[child])
            child++;
        if (ids[child] <= id)
            break;
        ids[at] = ids[child];
        at = child;
    }
    ids[at] = id;
    return count;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* A record's place says nothing of its job's id, so all are looked at. */
mls_status mls__mem_list_jobs(void *self, const mls_queue_filter *filter, uint64_t after_id,
                              size_t max_count, uint64_t *ret_ids, size_t *ret_count)
{
    mls__mem_store *store = self;
    const uint32_t states = filter->states ? filter->states : UINT32_MAX;
    size_t count = 0;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    for (uint32_t i = 0; i < store->created; i++) {
        const mls__mem_job *job = mls__mem_at(store, i);
        if (job->id > after_id && !job->is_gone && (states & MLS_QUEUE_STATE(job->state)) &&
            lane_passes(job->lane, filter))
            count = keep_smallest(ret_ids, count, max_count, job->id);
    }
    mls__mem_leave(&visit);
    qsort(ret_ids, count, sizeof *ret_ids, compare_ids);
    *ret_count = count;
    return MLS_OK;
}
