/* SPDX-License-Identifier: Apache-2.0 */
/* Those who claim: what they serve, and waking them. */
#include "queue/memory/memory.h"

#include "base/error.h"

#include <string.h>

static size_t names_size(const char *const *names, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(names[i]) + 1;
    return size;
}

static char *copy_name(char *at, const char *name)
{
    const size_t size = strlen(name) + 1;
    memcpy(at, name, size);
    return at + size;
}

static mls_status copy_names(mls__mem_store *store, const mls_claimer_options *options,
                             mls__mem_claimer *claimer)
{
    const size_t size = strlen(options->name) + 1 +
                        names_size(options->types, options->type_count) +
                        names_size(options->queues, options->queue_count);
    claimer->names = mls__alloc(&store->context->allocator, size);
    if (!claimer->names)
        return mls__error_nomem(size);
    char *at = copy_name(claimer->names, options->name);
    for (size_t i = 0; i < options->type_count; i++)
        at = copy_name(at, options->types[i]);
    for (size_t i = 0; i < options->queue_count; i++)
        at = copy_name(at, options->queues[i]);
    claimer->type_count = options->type_count;
    claimer->queue_count = options->queue_count;
    return MLS_OK;
}

static mls_status init_conds(mls__mem_claimer *claimer)
{
    mls_status status = mls__cond_init(&claimer->any);
    if (status)
        return status;
    status = mls__cond_init(&claimer->batch);
    if (status)
        mls__cond_destroy(&claimer->any);
    return status;
}

mls_status mls__mem_claimer_open(void *self, const mls_claimer_options *options, void **ret_claimer)
{
    mls__mem_store *store = self;
    const mls__allocator *allocator = &store->context->allocator;
    mls__mem_claimer *claimer = mls__alloc_array(allocator, 1, sizeof *claimer);
    if (!claimer)
        return mls__error_nomem(sizeof *claimer);
    mls_status status = copy_names(store, options, claimer);
    if (!status)
        status = init_conds(claimer);
    if (status) {
        mls__free(allocator, claimer->names);
        mls__free(allocator, claimer);
        return status;
    }
    claimer->refs = 1;
    mls__mem_window_create(claimer);
    claimer->spin_ns = (uint64_t) options->spin_us * 1000;
    claimer->patience_ns = (uint64_t) options->patience_ms * UINT64_C(1000000);
    claimer->has_capacity = options->capacity != NULL;
    if (options->capacity)
        claimer->capacity = *options->capacity;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    mls__mem_match_lanes(store, claimer);
    claimer->next = store->claimers;
    store->claimers = claimer;
    mls__mem_leave(&visit);
    *ret_claimer = claimer;
    return MLS_OK;
}

void mls__mem_claimer_stop(void *self, void *ptr, uint32_t flags)
{
    mls__mem_claimer *claimer = ptr;
    mls__mem_visit visit;
    mls__mem_enter(self, &visit);
    claimer->is_draining = true;
    if (!(flags & MLS_CLAIMER_DRAIN))
        claimer->is_stopped = true;
    atomic_fetch_add_explicit(&visit.store->ready_events, 1, memory_order_relaxed);
    pthread_cond_broadcast(&claimer->any.cond);
    pthread_cond_broadcast(&claimer->batch.cond);
    mls__mem_leave(&visit);
}

/* Takes the claim from who has it; false: none has, or it is ended by now. */
static bool lose_claim(mls__mem_job *job)
{
    const uint64_t claim =
        atomic_fetch_and_explicit(&job->claim, ~MLS__MEM_CLAIM_RUNS, memory_order_acq_rel);
    return claim & MLS__MEM_CLAIM_RUNS;
}

mls_status mls__mem_claimer_surrender(void *self, void *claimer, size_t *ret_count)
{
    mls__mem_store *store = self;
    size_t count = 0;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    for (uint32_t i = 0; i < store->created; i++) {
        mls__mem_job *job = mls__mem_at(store, i);
        if (job->owner == claimer && lose_claim(job)) {
            mls__mem_end_claim(&visit, job, MLS_JOB_ON_RELEASE);
            count++;
        }
    }
    mls__mem_leave(&visit);
    *ret_count = count;
    return MLS_OK;
}

void mls__mem_claimer_unref(mls__mem_store *store, mls__mem_claimer *claimer)
{
    if (--claimer->refs)
        return;
    mls__cond_destroy(&claimer->batch);
    mls__cond_destroy(&claimer->any);
    mls__free(&store->context->allocator, claimer->names);
    mls__free(&store->context->allocator, claimer);
}

void mls__mem_claimer_close(void *self, void *claimer)
{
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    mls__mem_claimer **link = &store->claimers;
    while (*link != claimer)
        link = &(*link)->next;
    *link = (*link)->next;
    mls__mem_claimer_unref(store, claimer);
    mls__mem_leave(&visit);
}

/*
 * A job became ready in `lane`: one sleeper of each claimer that serves it wakes,
 * since a sleeper of another may be told while all threads of the first are busy.
 */
void mls__mem_wake_claimers(mls__mem_store *store, const mls__mem_lane *lane)
{
    if (!atomic_load_explicit(&store->sleepers, memory_order_relaxed))
        return;
    for (mls__mem_claimer *claimer = store->claimers; claimer; claimer = claimer->next) {
        if (!(claimer->lanes[lane->index / 64] >> lane->index % 64 & 1))
            continue;
        if (claimer->any_waiting)
            pthread_cond_signal(&claimer->any.cond);
    }
}

/* An earlier timer was set: every sleeper must be up by then, as others may be busy. */
void mls__mem_rearm_claimers(mls__mem_store *store)
{
    for (mls__mem_claimer *claimer = store->claimers; claimer; claimer = claimer->next) {
        if (claimer->any_waiting)
            pthread_cond_broadcast(&claimer->any.cond);
        if (claimer->batch_waiting)
            pthread_cond_broadcast(&claimer->batch.cond);
    }
}
