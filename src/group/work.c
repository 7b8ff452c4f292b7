/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles. Collectives with one wait in a list for the group's thread, which is made with the
 * first of them; a message is on its way by itself, and its handle only looks after it.
 *
 * A work is held by its handle, and a collective also by the list or the thread. It holds
 * its group.
 */
#include "group/group.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

struct mls_work {
    mls__refcount refs;
    mls_group *group;
    mls__letter *letter; /* NULL: a collective */
    mls_work *next;
    mls__call call;
    mls_tensor *source, *target; /* views of its own */
    uint64_t ticket;
    /* Guarded by the group's mutex. */
    bool has_ended, is_cancelled;
    mls_status status;
    char text[MLS__FAILURE_TEXT];
};

static void unref(mls_work *work)
{
    if (!mls__refcount_drop(&work->refs))
        return;
    mls_group *group = work->group;
    mls_tensor_free(work->source);
    mls_tensor_free(work->target);
    mls__free(&group->context->allocator, work);
    mls__group_unref(group);
}

static mls_status create(mls_group *group, mls_work **ret_work)
{
    mls_work *work = mls__alloc_array(&group->context->allocator, 1, sizeof *work);
    if (!work)
        return mls__error_nomem(sizeof *work);
    mls__refcount_init(&work->refs);
    mls__group_ref(group);
    work->group = group;
    *ret_work = work;
    return MLS_OK;
}

mls_status mls__work_of_letter(mls_group *group, mls__letter *letter, mls_work **ret_work)
{
    const mls_status status = create(group, ret_work);
    if (!status)
        (*ret_work)->letter = letter;
    return status;
}

/* --- the group's thread ---------------------------------------------------------------------- */

/* With its turn: who waited for the last work finds no call in the group. */
static void end(mls_work *work, mls_status status)
{
    mls_group *group = work->group;
    pthread_mutex_lock(&group->mutex);
    /* Whoever cancelled it has broken the group, or is about to. */
    if (work->is_cancelled && !status)
        status = mls__error(MLS_ECANCELLED, "a work was cancelled");
    work->status = status;
    if (status)
        snprintf(work->text, sizeof work->text, "%s", mls_error_message());
    work->has_ended = true;
    mls__turn_end_locked(group);
    pthread_mutex_unlock(&group->mutex);
}

static mls_work *take_next(mls_group *group)
{
    pthread_mutex_lock(&group->mutex);
    while (!group->works && !group->stops)
        mls__cond_wait_until(&group->changed, &group->mutex, MLS__FOREVER);
    mls_work *work = group->works;
    if (work) {
        group->works = work->next;
        if (!group->works)
            group->works_end = &group->works;
    }
    pthread_mutex_unlock(&group->mutex);
    return work;
}

static void *run_works(void *arg)
{
    mls_group *group = arg;
    mls_work *work;
    while ((work = take_next(group))) {
        mls__turn_wait(group, &work->call, work->ticket);
        end(work, mls__turn_run(group, &work->call));
        unref(work);
    }
    return NULL;
}

/* The group has been left, so whatever is in the list fails at once. */
void mls__works_stop(mls_group *group)
{
    pthread_mutex_lock(&group->mutex);
    const bool has_thread = group->has_thread;
    group->has_thread = false;
    group->stops = true;
    pthread_cond_broadcast(&group->changed.cond);
    pthread_mutex_unlock(&group->mutex);
    if (has_thread)
        pthread_join(group->thread, NULL);
}

/* --- submitting ------------------------------------------------------------------------------ */

/* The host may free its tensors before the work ends. */
static mls_status keep_tensors(mls_work *work, const mls__call *call)
{
    mls_status status = MLS_OK;
    work->call = *call;
    if (call->source)
        status = mls__tensor_view(call->source, &work->source);
    if (!status && call->target)
        status = mls__tensor_view(call->target, &work->target);
    work->call.source = work->source;
    work->call.target = work->target;
    return status;
}

static mls_status enqueue_locked(mls_group *group, mls_work *work)
{
    if (group->state == MLS__GROUP_LEFT)
        return mls__error(MLS_ESTATE, "the group has been freed");
    if (!group->has_thread) {
        const mls_status status = mls__thread_create(&group->thread, "mls-group", run_works, group);
        if (status)
            return status;
        group->has_thread = true;
    }
    work->ticket = atomic_fetch_add(&group->next_ticket, 1);
    mls__refcount_take(&work->refs);
    *group->works_end = work;
    group->works_end = &work->next;
    pthread_cond_broadcast(&group->changed.cond);
    return MLS_OK;
}

mls_status mls__work_submit(mls_group *group, const mls__call *call, mls_work **ret_work)
{
    mls_work *work;
    mls_status status = create(group, &work);
    if (status)
        return status;
    status = keep_tensors(work, call);
    if (!status) {
        pthread_mutex_lock(&group->mutex);
        status = enqueue_locked(group, work);
        pthread_mutex_unlock(&group->mutex);
    }
    if (status) {
        unref(work);
        return status;
    }
    *ret_work = work;
    return MLS_OK;
}

/* --- handles --------------------------------------------------------------------------------- */

static mls_status wait_collective(mls_work *work, uint64_t until_ns)
{
    mls_group *group = work->group;
    const mls_status nested = until_ns ? mls__call_check_nested(group) : MLS_OK;
    if (nested)
        return nested;
    bool in_time = true;
    pthread_mutex_lock(&group->mutex);
    while (!work->has_ended && in_time)
        in_time = mls__cond_wait_until(&group->changed, &group->mutex, until_ns);
    const bool has_ended = work->has_ended;
    pthread_mutex_unlock(&group->mutex);
    if (!has_ended)
        return mls__error(MLS_ETIMEDOUT, "the work has not ended yet");
    return work->status ? mls__error(work->status, "%s", work->text) : MLS_OK;
}

static mls_status wait_until(mls_work *work, uint64_t until_ns)
{
    return work->letter ? mls__letter_wait(work->letter, until_ns)
                        : wait_collective(work, until_ns);
}

mls_status mls_work_wait(mls_work *work, int64_t timeout_ms)
{
    if (!work)
        return mls__error_null(__func__, "work");
    const mls_status status = mls__group_check_fork(work->group);
    if (status)
        return status;
    if (timeout_ms == 0)
        return wait_until(work, 0);
    return wait_until(work, timeout_ms < 0
                                ? MLS__FOREVER
                                : mls__group_until(mls__clock_monotonic_ns(), timeout_ms));
}

mls_status mls_work_test(mls_work *work, int *ret_ended)
{
    if (!work || !ret_ended)
        return mls__error_null(__func__, "work and ret_ended");
    mls_status status = mls__group_check_fork(work->group);
    if (status)
        return status;
    status = wait_until(work, 0);
    *ret_ended = status != MLS_ETIMEDOUT;
    return MLS_OK;
}

mls_status mls_work_cancel(mls_work *work)
{
    if (!work)
        return mls__error_null(__func__, "work");
    const mls_status status = mls__group_check_fork(work->group);
    if (status)
        return status;
    if (work->letter)
        return mls__letter_cancel(work->letter);
    pthread_mutex_lock(&work->group->mutex);
    const bool has_ended = work->has_ended;
    work->is_cancelled = !has_ended;
    pthread_mutex_unlock(&work->group->mutex);
    return has_ended ? MLS_OK : mls_group_abort(work->group, "a work was cancelled");
}

void mls_work_free(mls_work *work)
{
    if (!work)
        return;
    if (work->letter)
        mls__letter_free(work->letter);
    unref(work);
}
