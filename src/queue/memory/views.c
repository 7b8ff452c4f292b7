/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handles show of a record. A pin keeps the record and all that never changes
 * in it; texts that may be replaced while the handle lives are copied into a view.
 */
#include "queue/memory/memory.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

typedef struct view {
    mls__mem_hold hold; /* first: they share an address */
    char owner[MLS_JOB_NAME_MAX + 1];
    char error[MLS_JOB_ERROR_MAX + 1];
    char note[MLS_JOB_NOTE_MAX + 1];
} view;

mls_status mls__mem_view_create(mls__mem_store *store, mls__mem_hold **ret_hold)
{
    view *v = mls__alloc(&store->context->allocator, sizeof *v);
    if (!v)
        return mls__error_nomem(sizeof *v);
    v->hold = (mls__mem_hold){NULL, true};
    *ret_hold = &v->hold;
    return MLS_OK;
}

void mls__mem_view_free(mls__mem_store *store, mls__mem_hold *hold)
{
    if (hold->is_view)
        mls__free(&store->context->allocator, hold);
}

static void copy_text(char *to, size_t size, const char *from)
{
    const size_t length = from ? strnlen(from, size - 1) : 0;
    if (length)
        memcpy(to, from, length);
    to[length] = '\0';
}

static void show_texts(const mls__mem_job *job, mls__mem_hold *hold, mls_job_info *info)
{
    info->owner = info->error_message = info->progress_note = "";
    if (!hold->is_view)
        return;
    view *v = (view *) (void *) hold;
    copy_text(v->owner, sizeof v->owner, job->owner ? job->owner->names : NULL);
    copy_text(v->error, sizeof v->error, job->error_text.data);
    copy_text(v->note, sizeof v->note, job->note);
    info->owner = v->owner;
    info->error_message = v->error;
    info->progress_note = v->note;
}

static void show_strings(const mls__mem_job *job, mls_job_info *info)
{
    info->type = job->lane->type;
    info->queue = job->lane->names;
    info->tenant = job->strings ? job->strings : "";
    info->key = job->key ? job->key : "";
    info->batch_key = job->batch_key ? job->batch_key : "";
}

static void show_policy(const mls__mem_job *job, mls_job_info *info)
{
    info->priority = job->priority;
    info->attempt = job->attempt;
    info->max_attempts = job->max_attempts;
    info->deaths = 0;
    info->backoff_ms = job->backoff_ms;
    info->backoff_max_ms = job->backoff_max_ms;
    info->jitter_percent = job->jitter_percent;
    info->retention_ms = job->retention_ms;
    info->needs = job->lane->needs;
    info->escalations = job->escalations;
}

/* The wall clock's time of what happened at `at_ns`; 0 when it did not. */
static int64_t wall(int64_t now_ms, uint64_t now_ns, uint64_t at_ns)
{
    return at_ns ? now_ms - (int64_t) (now_ns - at_ns) / 1000000 : 0;
}

int64_t mls__mem_wall_ms(mls__mem_visit *visit)
{
    if (!visit->wall_ms)
        visit->wall_ms = mls__clock_wall_ms();
    return visit->wall_ms;
}

/* As of a claim at `claimed_ns`; 0: there was none. */
static void show_times(mls__mem_visit *visit, const mls__mem_job *job, uint64_t claimed_ns,
                       mls_job_info *info)
{
    const int64_t now_ms = mls__mem_wall_ms(visit);
    info->submitted_ms = wall(now_ms, visit->now_ns, job->submitted_ns);
    info->claimed_ms = wall(now_ms, visit->now_ns, claimed_ns);
    info->ended_ms = wall(now_ms, visit->now_ns, job->ended_ns);
    info->run_at_ms = job->run_at_ms;
    info->deadline_ms = job->deadline_ms;
    info->waiting_ns = job->waiting_ns;
    info->running_ns = job->running_ns;
    if (info->state == MLS_JOB_RUNNING || info->state == MLS_JOB_STOPPING)
        info->waiting_ns += claimed_ns - job->ready_ns; /* added with the end of the claim */
}

static void show_outcome(const mls__mem_job *job, mls_job_info *info)
{
    info->payload = job->payload;
    info->payload_bytes = job->payload_bytes;
    info->result = job->result.size_bytes ? job->result.data : NULL;
    info->result_bytes = job->result.size_bytes;
    info->error = job->error;
    info->reserved = 0;
    info->progress = job->progress;
}

static void show(mls__mem_visit *visit, const mls__mem_job *job, int32_t state, uint64_t claimed_ns,
                 mls__mem_hold *hold, mls_job_info *info)
{
    info->id = job->id;
    info->epoch = atomic_load_explicit(&job->claim, memory_order_relaxed) >> MLS__MEM_EPOCH_SHIFT;
    info->state = state;
    show_strings(job, info);
    show_texts(job, hold, info);
    show_policy(job, info);
    show_times(visit, job, claimed_ns, info);
    show_outcome(job, info);
}

void mls__mem_show_taken(mls__mem_visit *times, mls__mem_job *job, mls_queue_job *ret_job)
{
    show(times, job, MLS_JOB_RUNNING, times->now_ns, &job->hold, ret_job->info);
    ret_job->hold = &job->hold;
}

void mls__mem_show(mls__mem_visit *visit, mls__mem_job *job, mls__mem_hold *hold,
                   mls_queue_job *ret_job)
{
    show(visit, job, job->state, job->claimed_ns, hold, ret_job->info);
    if (hold->is_view) /* a record's own never changes: a lost claim may be reading it */
        hold->job = job;
    ret_job->hold = hold;
    job->pins++;
}

void mls__mem_unpin(mls__mem_visit *visit, mls__mem_job *job)
{
    if (--job->pins)
        return;
    if (job->is_gone)
        mls__mem_die(visit, job);
    else if (job->state == MLS_JOB_SUCCEEDED && job->payload)
        mls__mem_discard(visit, mls__mem_take_payload(visit->store, job));
}
