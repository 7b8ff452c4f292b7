/* SPDX-License-Identifier: Apache-2.0 */
/* Claims for a loop of the host's own. */
#include "job/job.h"

#include "base/error.h"
#include "base/options.h"
#include "job/resources.h"

#include <string.h>

/* Handles are made before the claim, so that nothing can fail behind it. */
#define CLAIMS_AT_ONCE 64

static mls_status check_names(const char *what, const char *const *names, size_t count)
{
    if (count && !names)
        return mls__error(MLS_EINVAL, "mls_claimer_options.%ss is NULL, but %zu are announced",
                          what, count);
    for (size_t i = 0; i < count; i++) {
        if (!names[i])
            return mls__error(MLS_EINVAL, "mls_claimer_options.%ss[%zu] is NULL", what, i);
        const mls_status status = mls__queue_check_name(what, names[i]);
        if (status)
            return mls__error_at(status, "mls_claimer_options.%ss[%zu]", what, i);
    }
    return MLS_OK;
}

static mls_status read_options(const mls_queue *queue, const mls_claimer_options *given,
                               mls_claimer_options *ret_options)
{
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    mls_status status =
        mls__options_read("mls_claimer_options", given, sizeof options, sizeof options, &options);
    if (status)
        return status;
    options.name = options.name ? options.name : "";
    status = mls__queue_check_text("mls_claimer_options.name", options.name, MLS_JOB_NAME_MAX);
    if (!status)
        status = check_names("type", options.types, options.type_count);
    if (!status)
        status = check_names("queue", options.queues, options.queue_count);
    if (!status && options.queue_count)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_NAMED_QUEUES, "mls_claimer_options.queues");
    if (status)
        return status;
    if (options.reserved || options.reserved2)
        return mls__error(MLS_EINVAL, "mls_claimer_options.reserved is %u; it must be 0",
                          options.reserved | options.reserved2);
    if (options.capacity) {
        status = mls__queue_need(queue, MLS_QUEUE_CAN_RESOURCES, "mls_claimer_options.capacity");
        if (!status)
            status = mls__resources_check("mls_claimer_options.capacity", options.capacity);
        if (status)
            return status;
    }
    options.patience_ms = options.patience_ms ? options.patience_ms : MLS__DEFAULT_PATIENCE_MS;
    *ret_options = options;
    return MLS_OK;
}

mls_status mls_claimer_open(mls_queue *queue, const mls_claimer_options *given,
                            mls_claimer **ret_claimer)
{
    if (!queue || !ret_claimer)
        return mls__error_null(__func__, "queue and ret_claimer");
    mls_claimer_options options;
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = read_options(queue, given, &options);
    if (status)
        return status;
    const size_t name_size = strlen(options.name) + 1;
    mls_claimer *claimer = mls__alloc(&queue->context->allocator, sizeof *claimer + name_size);
    if (!claimer)
        return mls__error_nomem(sizeof *claimer);
    memcpy(claimer->name, options.name, name_size);
    status = queue->ops->claimer_open(queue->self, &options, &claimer->self);
    if (status) {
        mls__free(&queue->context->allocator, claimer);
        return status;
    }
    claimer->queue = queue;
    mls__queue_ref(queue);
    *ret_claimer = claimer;
    return MLS_OK;
}

void mls_claimer_close(mls_claimer *claimer)
{
    if (!claimer)
        return;
    mls_queue *queue = claimer->queue;
    if (!mls__queue_check_fork(queue))
        queue->ops->claimer_close(queue->self, claimer->self);
    mls__free(&queue->context->allocator, claimer);
    mls__queue_unref(queue);
}

void mls_claimer_stop(mls_claimer *claimer, uint32_t flags)
{
    if (claimer && !mls__queue_check_fork(claimer->queue))
        claimer->queue->ops->claimer_stop(claimer->queue->self, claimer->self, flags);
}

static void destroy_handles(mls_job **jobs, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        mls__job_destroy(jobs[i]);
}

static mls_status create_handles(const mls_claimer *claimer, mls_job **jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_status status = mls__job_create(claimer->queue, claimer->name, &jobs[i]);
        if (status) {
            destroy_handles(jobs, 0, i);
            return status;
        }
    }
    return MLS_OK;
}

static mls_status claim_into(mls_claimer *claimer, int64_t timeout_ms, mls_job **jobs, size_t count,
                             size_t *ret_claimed)
{
    mls_queue *queue = claimer->queue;
    mls_queue_job *shown[CLAIMS_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        shown[i] = &jobs[i]->shown;
    const mls_queue_claim request = {
        .size = sizeof request,
        .max_count = count,
        .until_ns = mls__queue_until(timeout_ms),
    };
    return queue->ops->claim(queue->self, claimer->self, &request, NULL, 0, shown, ret_claimed);
}

mls_status mls_claimer_claim(mls_claimer *claimer, int64_t timeout_ms, size_t max_count,
                             mls_job **ret_jobs, size_t *ret_count)
{
    if (!claimer || !ret_jobs || !ret_count)
        return mls__error_null(__func__, "claimer, ret_jobs and ret_count");
    if (max_count == 0)
        return mls__error(MLS_EINVAL, "mls_claimer_claim: max_count is 0; claim at least one job");
    mls_job *jobs[CLAIMS_AT_ONCE];
    const size_t wanted = max_count < CLAIMS_AT_ONCE ? max_count : CLAIMS_AT_ONCE;
    mls_status status = mls__queue_check_fork(claimer->queue);
    if (!status)
        status = create_handles(claimer, jobs, wanted);
    if (status)
        return status;
    size_t claimed = 0;
    status = claim_into(claimer, timeout_ms, jobs, wanted, &claimed);
    for (size_t i = 0; i < claimed; i++)
        mls__job_open_claim(jobs[i], MLS__JOB_CLAIM, jobs[i]->owner);
    destroy_handles(jobs, claimed, wanted);
    if (status)
        return status;
    memcpy(ret_jobs, jobs, claimed * sizeof jobs[0]);
    *ret_count = claimed;
    return MLS_OK;
}
