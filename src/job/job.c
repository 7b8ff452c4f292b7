/* SPDX-License-Identifier: Apache-2.0 */
/* Handles of jobs: reading what was shown, and deciding how a claim ends. */
#include "job/job.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "base/thread.h"
#include "job/lifecycle.h"

#include <string.h>

void mls__job_init(mls_job *job, mls_queue *queue, const atomic_bool *worker_stops)
{
    *job = (mls_job){.queue = queue, .worker_stops = worker_stops};
    job->info.size = sizeof job->info;
    job->shown.size = sizeof job->shown;
    job->shown.info = &job->info;
}

mls_status mls__job_create(mls_queue *queue, const char *owner, mls_job **ret_job)
{
    const size_t owner_size = strlen(owner) + 1;
    mls_job *job = mls__alloc(&queue->context->allocator, sizeof *job + owner_size);
    if (!job)
        return mls__error_nomem(sizeof *job);
    mls__job_init(job, queue, NULL);
    job->owner = memcpy(job + 1, owner, owner_size);
    mls__queue_ref(queue);
    *ret_job = job;
    return MLS_OK;
}

void mls__job_destroy(mls_job *job)
{
    mls_queue *queue = job->queue;
    mls__free(&queue->context->allocator, job);
    mls__queue_unref(queue);
}

mls_status mls__job_open_snapshot(mls_job *job, mls_status status, mls_job **ret_job)
{
    if (status) {
        mls__job_destroy(job);
        return status;
    }
    job->kind = MLS__JOB_SNAPSHOT;
    *ret_job = job;
    return MLS_OK;
}

void mls__job_open_claim(mls_job *job, mls__job_kind kind, const char *owner)
{
    job->kind = kind;
    job->info.owner = owner;
    job->user = NULL;
    job->decision = MLS__JOB_UNDECIDED;
    job->wall_ns = job->cpu_ns = job->peak_bytes = 0;
    job->fail_final = false;
    job->error = MLS_OK;
    job->error_message = (mls_queue_bytes){0};
    job->result = (mls_queue_bytes){0};
}

static void release_bytes(mls_queue_bytes *bytes)
{
    if (bytes->release)
        bytes->release(bytes->user, bytes->data, bytes->size_bytes);
    *bytes = (mls_queue_bytes){0};
}

static void clear_error(mls_job *job)
{
    release_bytes(&job->error_message);
    job->error = MLS_OK;
    job->fail_final = false;
}

void mls__job_reset(mls_job *job)
{
    job->decision = MLS__JOB_UNDECIDED;
    clear_error(job);
    release_bytes(&job->result);
}

void mls_job_free(mls_job *job)
{
    if (!job || job->kind == MLS__JOB_IN_SLOT)
        return;
    if (!mls__queue_check_fork(job->queue)) {
        if (job->kind == MLS__JOB_CLAIM)
            mls_job_release(job);
        job->queue->ops->drop(job->queue->self, &job->shown);
    }
    mls__job_reset(job);
    mls__job_destroy(job);
}

/* Reading */

uint64_t mls_job_id(const mls_job *job)
{
    return job ? job->info.id : 0;
}

int32_t mls_job_state(const mls_job *job)
{
    return job ? job->info.state : 0;
}

const void *mls_job_payload(const mls_job *job, size_t *ret_size_bytes)
{
    if (ret_size_bytes)
        *ret_size_bytes = job ? job->info.payload_bytes : 0;
    return job ? job->info.payload : NULL;
}

mls_status mls_job_get_info(const mls_job *job, mls_job_info *ret_info)
{
    if (!job || !ret_info)
        return mls__error_null(__func__, "job and ret_info");
    return mls__options_write("mls_job_info", &job->info, sizeof job->info, sizeof job->info,
                              ret_info);
}

static mls_status explain_no_result(const mls_job *job)
{
    const mls_job_info *info = &job->info;
    const unsigned long long id = info->id;
    if (info->state == MLS_JOB_CANCELLED)
        return mls__error(MLS_ECANCELLED, "job %llu (%s) was cancelled%s%s", id, info->type,
                          info->error == MLS_ECANCELLED ? ": " : "",
                          info->error == MLS_ECANCELLED ? info->error_message : "");
    if (info->state != MLS_JOB_DEAD)
        return mls__error(MLS_ESTATE, "job %llu (%s) is %s: it has no result yet", id, info->type,
                          mls_job_state_name(info->state));
    if (info->error == MLS_EDEADLINE)
        return mls__error(MLS_EDEADLINE, "job %llu (%s): %s", id, info->type, info->error_message);
    return mls__error(MLS_EHANDLER, "job %llu (%s) failed in attempt %u of %u: %s: %s", id,
                      info->type, info->attempt, info->max_attempts,
                      mls_status_name((mls_status) info->error), info->error_message);
}

mls_status mls_job_result(const mls_job *job, const void **ret_data, size_t *ret_size_bytes)
{
    if (!job)
        return mls__error_null(__func__, "job");
    if (job->info.state != MLS_JOB_SUCCEEDED)
        return explain_no_result(job);
    if (ret_data)
        *ret_data = job->info.result;
    if (ret_size_bytes)
        *ret_size_bytes = job->info.result_bytes;
    return MLS_OK;
}

void mls_job_set_user(mls_job *job, void *user)
{
    if (job)
        job->user = user;
}

void *mls_job_user(const mls_job *job)
{
    return job ? job->user : NULL;
}

/* Deciding */

static mls_status check_claim(const char *function, const mls_job *job)
{
    if (!job)
        return mls__error_null(function, "job");
    if (job->kind == MLS__JOB_CLAIM || job->kind == MLS__JOB_IN_SLOT)
        return MLS_OK;
    return mls__error(MLS_ESTATE, "%s: job %llu %s", function, (unsigned long long) job->info.id,
                      job->kind == MLS__JOB_REPORTED ? "was ended by this handle before"
                                                     : "is a snapshot, not a claim");
}

static mls_status check_result(const char *function, const mls_job *job, size_t size_bytes)
{
    const mls_status status = check_claim(function, job);
    if (status)
        return status;
    if (size_bytes > job->queue->max_payload_bytes)
        return mls__error(MLS_ELIMIT, "%s: a result of %zu bytes is past the queue's %llu",
                          function, size_bytes, (unsigned long long) job->queue->max_payload_bytes);
    return MLS_OK;
}

/* `user` is the context, which keeps the allocator. */
static void release_block(void *user, void *data, size_t size_bytes)
{
    (void) size_bytes;
    mls_context *context = user;
    mls__free(&context->allocator, data);
}

mls_status mls_job_alloc_result(mls_job *job, size_t size_bytes, void **ret_data)
{
    const mls_status status = check_result(__func__, job, size_bytes);
    if (status)
        return status;
    if (!ret_data)
        return mls__error_null(__func__, "ret_data");
    mls_context *context = job->queue->context;
    void *data = mls__alloc(&context->allocator, size_bytes);
    if (!data)
        return mls__error_nomem(size_bytes);
    release_bytes(&job->result);
    job->result = (mls_queue_bytes){data, size_bytes, release_block, context};
    *ret_data = data;
    return MLS_OK;
}

mls_status mls_job_set_result(mls_job *job, const void *data, size_t size_bytes)
{
    if (!data && size_bytes)
        return mls__error_null(__func__, "data of more than 0 bytes");
    void *copy;
    const mls_status status = mls_job_alloc_result(job, size_bytes, &copy);
    if (status)
        return status;
    if (size_bytes)
        memcpy(copy, data, size_bytes);
    return MLS_OK;
}

mls_status mls_job_take_result(mls_job *job, void *data, size_t size_bytes,
                               mls_bytes_free_fn release, void *user)
{
    const mls_status status = check_result(__func__, job, size_bytes);
    if (status)
        return status;
    if (!data || !release)
        return mls__error_null(__func__, "data and release");
    release_bytes(&job->result);
    job->result = (mls_queue_bytes){data, size_bytes, release, user};
    return MLS_OK;
}

/* The length of `text`, at most `limit`, without cutting a UTF-8 sequence in two. */
static size_t cut_length(const char *text, size_t limit)
{
    size_t length = strnlen(text, limit + 1);
    if (length <= limit)
        return length;
    length = limit;
    while (length > limit - 3 && ((unsigned char) text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

/* Out of memory must not change how the job ends: then its message is lost. */
static void keep_error(mls_job *job, mls_status error, const char *message)
{
    mls_context *context = job->queue->context;
    const size_t length = message ? cut_length(message, MLS_JOB_ERROR_MAX) : 0;
    char *copy = length ? mls__alloc_bytes(&context->allocator, message, length) : NULL;
    clear_error(job);
    job->error = error;
    if (copy)
        job->error_message = (mls_queue_bytes){copy, length + 1, release_block, context};
    job->decision = MLS__JOB_FAIL;
}

void mls__job_fail_here(mls_job *job, mls_status error)
{
    keep_error(job, error, mls_error_message());
}

void mls__job_fill_end(mls_job *job, mls_queue_end *ret_end)
{
    *ret_end = (mls_queue_end){.size = sizeof *ret_end, .job = &job->shown, .status = MLS_EEMPTY};
    ret_end->wall_ns = job->wall_ns;
    ret_end->cpu_ns = job->cpu_ns;
    ret_end->peak_bytes = job->peak_bytes;
    if (job->decision == MLS__JOB_COMPLETE) {
        ret_end->event = MLS_JOB_ON_SUCCEED;
        ret_end->data = job->result;
    } else if (job->decision == MLS__JOB_FAIL) {
        ret_end->event = mls__job_after_failure(&job->info, job->fail_final, mls__clock_wall_ms(),
                                                job->queue->seed, &ret_end->delay_ms);
        ret_end->error = job->error;
        ret_end->data = job->error_message;
    } else if (job->decision == MLS__JOB_ESCALATE) {
        ret_end->event = MLS_JOB_ON_ESCALATE;
        ret_end->memory_bytes = job->memory_bytes;
        ret_end->error = job->error;
        ret_end->data = job->error_message;
    } else {
        ret_end->event = MLS_JOB_ON_RELEASE;
    }
}

void mls__job_close_end(mls_job *job, const mls_queue_end *end)
{
    if (end->status == MLS_OK && job->decision == MLS__JOB_COMPLETE)
        job->result = (mls_queue_bytes){0};
    if (end->status == MLS_OK &&
        (job->decision == MLS__JOB_FAIL || job->decision == MLS__JOB_ESCALATE))
        job->error_message = (mls_queue_bytes){0};
    mls__job_reset(job);
}

/* Ends a claim of the host's own; a worker's job keeps its decision until cleanup is done. */
static mls_status report(mls_job *job)
{
    if (job->kind == MLS__JOB_IN_SLOT)
        return MLS_OK;
    mls_status status = mls__queue_check_fork(job->queue);
    if (status)
        return status;
    mls_queue_end end;
    mls__job_fill_end(job, &end);
    mls_queue_end *const ends[] = {&end};
    status = job->queue->ops->finish(job->queue->self, ends, 1);
    job->kind = MLS__JOB_REPORTED;
    if (!status && end.status == MLS_OK)
        job->info.state = end.state;
    if (!status && end.status != MLS_OK)
        status =
            mls__error(MLS_ESTALE, "job %llu: claim %llu is lost; its end was refused",
                       (unsigned long long) job->info.id, (unsigned long long) job->info.epoch);
    mls__job_close_end(job, &end);
    return status;
}

mls_status mls_job_complete(mls_job *job)
{
    const mls_status status = check_claim(__func__, job);
    if (status)
        return status;
    clear_error(job);
    job->decision = MLS__JOB_COMPLETE;
    return report(job);
}

mls_status mls_job_fail(mls_job *job, mls_status error, const char *message, uint32_t flags)
{
    const mls_status status = check_claim(__func__, job);
    if (status)
        return status;
    if (error >= MLS_OK)
        return mls__error(MLS_EINVAL, "mls_job_fail: error is %d; give one of the MLS_E codes",
                          error);
    if (flags & ~MLS_FAIL_FINAL)
        return mls__error(MLS_EINVAL,
                          "mls_job_fail: flags are 0x%x; MLS_FAIL_FINAL is the only one", flags);
    keep_error(job, error, message);
    job->fail_final = (flags & MLS_FAIL_FINAL) != 0;
    return report(job);
}

mls_status mls_job_release(mls_job *job)
{
    const mls_status status = check_claim(__func__, job);
    if (status)
        return status;
    clear_error(job);
    job->decision = MLS__JOB_RELEASE;
    return report(job);
}

mls_status mls_job_escalate(mls_job *job, int64_t memory_bytes, const char *message)
{
    mls_status status = check_claim(__func__, job);
    if (!status)
        status = mls__queue_need(job->queue, MLS_QUEUE_CAN_RESOURCES, __func__);
    if (status)
        return status;
    if (memory_bytes <= job->info.needs.memory_bytes || memory_bytes > MLS_MEMORY_BYTES_MAX)
        return mls__error(MLS_EINVAL,
                          "mls_job_escalate: memory_bytes is %lld; more than the %lld that the job "
                          "needs is possible, up to %lld",
                          (long long) memory_bytes, (long long) job->info.needs.memory_bytes,
                          (long long) MLS_MEMORY_BYTES_MAX);
    keep_error(job, MLS_ENOMEM, message);
    job->memory_bytes = memory_bytes;
    job->decision = MLS__JOB_ESCALATE;
    return report(job);
}

uint32_t mls_job_stop_reasons(const mls_job *job)
{
    if (!job || job->kind == MLS__JOB_SNAPSHOT || job->kind == MLS__JOB_REPORTED)
        return 0;
    if (job->queue->fork_generation != mls__fork_generation())
        return MLS_STOP_LOST;
    uint32_t reasons = job->queue->ops->signals(job->queue->self, &job->shown);
    if (job->info.deadline_ms && mls__clock_wall_ms() >= job->info.deadline_ms)
        reasons |= MLS_STOP_DEADLINE;
    if (job->worker_stops && atomic_load_explicit(job->worker_stops, memory_order_relaxed))
        reasons |= MLS_STOP_WORKER;
    return reasons;
}

mls_status mls_job_set_progress(mls_job *job, double progress, const char *note)
{
    mls_status status = check_claim(__func__, job);
    if (!status)
        status = mls__queue_check_fork(job->queue);
    if (!status)
        status = mls__queue_need(job->queue, MLS_QUEUE_CAN_PROGRESS, "mls_job_set_progress");
    if (status)
        return status;
    if (!(progress >= 0 && progress <= 1))
        return mls__error(MLS_EINVAL, "mls_job_set_progress: progress is %g; 0 to 1 is possible",
                          progress);
    char cut[MLS_JOB_NOTE_MAX + 1] = "";
    if (note)
        memcpy(cut, note, cut_length(note, MLS_JOB_NOTE_MAX));
    return job->queue->ops->progress(job->queue->self, &job->shown, progress, cut);
}
