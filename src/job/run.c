/* SPDX-License-Identifier: Apache-2.0 */
/* Running claims through their handlers: prepare, run, cleanup. */
#include "job/worker.h"

#include "base/error.h"

#include <string.h>

const mls_handler *mls__slot_handler(mls__slot *slot, const char *type)
{
    if (slot->last && strcmp(slot->last->type, type) == 0)
        return slot->last;
    const mls__vec *handlers = &slot->worker->handlers;
    for (size_t i = 0; i < handlers->count; i++) {
        const mls_handler *handler = mls__vec_at(handlers, i);
        if (strcmp(handler->type, type) == 0) {
            slot->last = handler;
            return handler;
        }
    }
    return NULL;
}

static void *state_of(const mls__slot *slot, const mls_handler *handler)
{
    const mls_handler *first = mls__vec_at(&slot->worker->handlers, 0);
    return slot->states[handler - first];
}

/* Whether the attempt shall begin; if not, it is decided how the claim ends. */
static bool may_begin(mls_job *job)
{
    const uint32_t reasons = mls_job_stop_reasons(job);
    if (!reasons)
        return true;
    if (reasons & MLS_STOP_CANCELLED)
        mls_job_fail(job, MLS_ECANCELLED, "cancelled before it was run", MLS_FAIL_FINAL);
    else if (reasons & MLS_STOP_DEADLINE)
        mls_job_fail(job, MLS_EDEADLINE, "the deadline passed before it was run", MLS_FAIL_FINAL);
    else
        mls_job_release(job);
    return false;
}

static mls_status prepare(const mls__slot *slot, const mls_handler *handler, mls_job *job)
{
    mls__error_clear();
    return handler->prepare ? handler->prepare(state_of(slot, handler), job) : MLS_OK;
}

/* What the handler's status means, unless it has decided by itself. */
static void decide(mls_job *job, mls_status status)
{
    if (job->decision != MLS__JOB_UNDECIDED)
        return;
    if (status == MLS_OK)
        job->decision = MLS__JOB_COMPLETE;
    else
        mls__job_fail_here(job, status < MLS_OK ? status : MLS_EHANDLER);
}

static void clean_up(const mls__slot *slot, const mls_handler *handler, mls_job *job)
{
    if (!handler->cleanup)
        return;
    mls_status outcome = MLS_OK;
    if (job->decision == MLS__JOB_FAIL || job->decision == MLS__JOB_ESCALATE)
        outcome = job->error;
    else if (job->decision == MLS__JOB_RELEASE)
        outcome = MLS_ECANCELLED;
    handler->cleanup(state_of(slot, handler), job, outcome);
}

static void run_one(const mls__slot *slot, const mls_handler *handler, mls_job *job)
{
    if (!may_begin(job))
        return;
    mls_status status = prepare(slot, handler, job);
    if (!status && job->decision == MLS__JOB_UNDECIDED)
        status = handler->run(state_of(slot, handler), job);
    decide(job, status);
    clean_up(slot, handler, job);
}

/* Halves a batch that fails until the jobs that fail are alone: 2 * count - 1 calls at most. */
static void run_part(mls__slot *slot, const mls_handler *handler, mls_job **jobs, size_t count)
{
    mls__error_clear();
    const mls_status status = handler->run_batch(state_of(slot, handler), jobs, count);
    atomic_fetch_add_explicit(&slot->counts.batches, 1, memory_order_relaxed);
    if (status == MLS_OK || count == 1) {
        for (size_t i = 0; i < count; i++)
            decide(jobs[i], status);
        return;
    }
    for (size_t i = 0; i < count; i++)
        mls__job_reset(jobs[i]);
    const size_t half = count / 2;
    run_part(slot, handler, jobs, half);
    run_part(slot, handler, jobs + half, count - half);
}

/* Those that were prepared come first in slot->batch, those that could not be behind them. */
static void run_batch(mls__slot *slot, const mls_handler *handler, mls__slot_bank *bank)
{
    size_t ready = 0, begun = bank->count;
    for (size_t i = 0; i < bank->count; i++) {
        mls_job *job = &bank->jobs[i];
        if (!may_begin(job))
            continue;
        const mls_status status = prepare(slot, handler, job);
        if (status)
            decide(job, status);
        if (job->decision == MLS__JOB_UNDECIDED)
            slot->batch[ready++] = job;
        else
            slot->batch[--begun] = job;
    }
    if (ready)
        run_part(slot, handler, slot->batch, ready);
    for (size_t i = 0; i < bank->count; i++)
        if (i < ready || i >= begun)
            clean_up(slot, handler, slot->batch[i]);
}

bool mls__slot_has_more(const mls__slot *slot)
{
    return slot->done < slot->banks[slot->bank].count;
}

size_t mls__slot_run_next(mls__slot *slot)
{
    mls__slot_bank *bank = &slot->banks[slot->bank];
    mls_job *job = &bank->jobs[slot->done];
    const mls_handler *handler = mls__slot_handler(slot, job->info.type);
    const size_t takes = handler->run_batch ? bank->count : 1;
    if (handler->run_batch)
        run_batch(slot, handler, bank);
    else
        run_one(slot, handler, job);
    slot->done += takes;
    return takes;
}
