/* SPDX-License-Identifier: Apache-2.0 */
/* Moves jobs between states as the library's table says, and keeps the counts. */
#include "queue/memory/memory.h"

/* What a job is told that was not claimed in time. Never changes. */
static char too_late[] = "the deadline passed before the job was claimed";

bool mls__mem_has_ended(const mls__mem_store *store, const mls__mem_job *job)
{
    return store->rules->next_state(job->state, MLS_JOB_ON_FORGET) == MLS_JOB_GONE;
}

static void wake_timekeepers(mls__mem_store *store, const mls__mem_heap *heap)
{
    if (heap != &store->expiry)
        mls__mem_rearm_claimers(store);
    if (store->drain_waiters)
        pthread_cond_broadcast(&store->drained.cond);
    if (atomic_load_explicit(&store->room_waiters, memory_order_relaxed))
        pthread_cond_broadcast(&store->room.cond);
}

/* Sets a timer; those who sleep until the earliest one must learn of an earlier. */
static void set_timer(mls__mem_store *store, mls__mem_heap *heap, mls__mem_job *job, uint64_t at_ns)
{
    mls__mem_timer_set(heap, job, at_ns);
    if (mls__mem_timer_first(heap) == job)
        wake_timekeepers(store, heap);
    if (job->waiters)
        pthread_cond_broadcast(&store->ended[job->index % MLS__MEM_WAIT_CONDS].cond);
}

static void enter_ready(mls__mem_visit *visit, mls__mem_job *job)
{
    mls__mem_store *store = visit->store;
    if (mls__mem_closes_windows(store, job->has_extras, job->priority))
        mls__mem_windows_recall(visit);
    job->ready_ns = visit->now_ns;
    job->order = ++store->order;
    mls__mem_link_ready(store, job);
    if (mls__mem_deliver(visit, job))
        return;
    if (job->has_extras && job->deadline_ns)
        set_timer(store, &store->deadlines, job, job->deadline_ns);
    atomic_fetch_add_explicit(&store->ready_events, 1, memory_order_relaxed);
    mls__mem_wake_claimers(store, job->lane);
}

static void enter_scheduled(mls__mem_visit *visit, mls__mem_job *job)
{
    mls__mem_windows_recall(visit); /* they end when the first is due */
    const bool dies_first = job->deadline_ns && job->deadline_ns < job->due_ns;
    set_timer(visit->store, &visit->store->due, job, dies_first ? job->deadline_ns : job->due_ns);
}

static void enter_blocked(mls__mem_visit *visit, mls__mem_job *job)
{
    atomic_fetch_add_explicit(&visit->store->watchers, 1, memory_order_seq_cst);
    if (job->deadline_ns)
        set_timer(visit->store, &visit->store->deadlines, job, job->deadline_ns);
}

static void count_end(mls__mem_job *job)
{
    mls_queue_stats *stats = &job->lane->stats;
    if (job->state == MLS_JOB_SUCCEEDED)
        stats->succeeded++;
    else if (job->state == MLS_JOB_DEAD)
        stats->dead++;
    else
        stats->cancelled++;
}

static void enter_ended(mls__mem_visit *visit, mls__mem_job *job)
{
    mls__mem_store *store = visit->store;
    count_end(job);
    if (job->has_extras && job->children)
        mls__mem_parents_end(visit, job);
    if (job->waiters)
        pthread_cond_broadcast(&store->ended[job->index % MLS__MEM_WAIT_CONDS].cond);
    if (--store->alive == 0 && store->drain_waiters)
        pthread_cond_broadcast(&store->drained.cond);
    if (job->retention_ms || job->waiters) {
        job->has_extras = true;
        job->ended_ns = visit->now_ns;
    }
    if (job->retention_ms == 0) {
        mls__mem_move(visit, job, MLS_JOB_ON_FORGET);
        return;
    }
    set_timer(store, &store->expiry, job,
              visit->now_ns + (uint64_t) job->retention_ms * UINT64_C(1000000));
}

void mls__mem_die(mls__mem_visit *visit, mls__mem_job *job)
{
    if (job->owner)
        mls__mem_claimer_unref(visit->store, job->owner);
    job->owner = NULL;
    job->id = 0;
    job->is_gone = false;
    job->next = visit->dying;
    visit->dying = job;
}

static void enter_gone(mls__mem_visit *visit, mls__mem_job *job)
{
    job->lane->stats.jobs[0]--;
    if (job->has_extras && job->key && job->key[0])
        mls__mem_key_remove(visit->store, job);
    job->is_gone = true; /* it keeps its last state for the handles that show it */
    if (!job->pins)
        mls__mem_die(visit, job);
}

static void enter_state(mls__mem_visit *visit, mls__mem_job *job, int32_t state)
{
    if (state == MLS_JOB_GONE) {
        enter_gone(visit, job);
        return;
    }
    job->state = (uint8_t) state;
    job->lane->stats.jobs[state]++;
    if (state == MLS_JOB_READY)
        enter_ready(visit, job);
    else if (state == MLS_JOB_SCHEDULED)
        enter_scheduled(visit, job);
    else if (state == MLS_JOB_BLOCKED)
        enter_blocked(visit, job);
    else if (mls__mem_has_ended(visit->store, job))
        enter_ended(visit, job);
}

bool mls__mem_move(mls__mem_visit *visit, mls__mem_job *job, int32_t event)
{
    mls__mem_store *store = visit->store;
    const int32_t next = store->rules->next_state(job->state, event);
    if (next == MLS_JOB_REFUSED)
        return false;
    if (job->state == MLS_JOB_READY)
        mls__mem_unlink_ready(store, job);
    if (job->state == MLS_JOB_BLOCKED) {
        mls__mem_parents_leave(job);
        atomic_fetch_sub_explicit(&store->watchers, 1, memory_order_relaxed);
    }
    mls__mem_timer_clear(job);
    job->lane->stats.jobs[job->state]--;
    if (event == MLS_JOB_ON_REQUEUE)
        store->alive++;
    enter_state(visit, job, next);
    return true;
}

void mls__mem_begin(mls__mem_visit *visit, mls__mem_job *job)
{
    if (job->has_extras && job->flow)
        mls__mem_share_begin(visit, job);
    if (visit->store->has_tenants)
        job->lane = mls__mem_lane_of_tenant(visit->store, job);
    job->id = job->new_id;
    job->lane->stats.submitted++;
    job->lane->stats.jobs[0]++;
    visit->store->alive++;
    enter_state(visit, job, job->state);
}

static void expire(mls__mem_visit *visit, mls__mem_job *job)
{
    job->error = MLS_EDEADLINE;
    if (!job->error_text.data)
        job->error_text = (mls_queue_bytes){too_late, sizeof too_late, NULL, NULL};
    mls__mem_move(visit, job, MLS_JOB_ON_EXPIRE);
}

static void go_off(mls__mem_visit *visit, mls__mem_job *job)
{
    if (mls__mem_has_ended(visit->store, job))
        mls__mem_move(visit, job, MLS_JOB_ON_FORGET);
    else if (job->deadline_ns && job->deadline_ns <= visit->now_ns)
        expire(visit, job);
    else
        mls__mem_move(visit, job, MLS_JOB_ON_DUE);
}

void mls__mem_tick(mls__mem_visit *visit)
{
    mls__mem_store *store = visit->store;
    mls__mem_heap *const heaps[] = {&store->due, &store->deadlines, &store->expiry};
    for (size_t i = 0; i < sizeof heaps / sizeof heaps[0]; i++)
        while (heaps[i]->root && heaps[i]->root->key <= visit->now_ns)
            go_off(visit, mls__mem_timer_first(heaps[i]));
}
