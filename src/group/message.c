/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between two ranks. The transport has them from their post on, so that a handle needs no
 * thread. */
#include "group/group.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

struct mls__letter {
    mls_group *group;
    mls__call call;
    mls_tensor *tensor; /* a view */
    void *buffer;       /* its elements, where they are not contiguous */
    pthread_mutex_t mutex;
    mls__cond changed; /* it has ended, or nobody is in the transport for it */
    /* Guarded by it, but the message between post and end. */
    bool is_awaited; /* somebody is in the transport, without the mutex */
    bool has_ended;
    mls_status status;
    char text[MLS__FAILURE_TEXT];
    mls_transport_message message;
};

static bool is_receive(const mls__letter *letter)
{
    return letter->message.kind == MLS_MESSAGE_RECEIVE;
}

static void destroy(mls__letter *letter)
{
    const mls__allocator *allocator = &letter->group->context->allocator;
    mls__cond_destroy(&letter->changed);
    pthread_mutex_destroy(&letter->mutex);
    mls_tensor_free(letter->tensor);
    mls__free(allocator, letter->buffer);
    mls__free(allocator, letter);
}

/* The elements where a transport can read or write them. */
static mls_status lay_out(mls__letter *letter)
{
    const size_t bytes = mls_tensor_size_bytes(letter->tensor);
    letter->message.data = mls_tensor_data(letter->tensor);
    letter->message.size_bytes = bytes;
    if (mls_tensor_is_contiguous(letter->tensor))
        return MLS_OK;
    letter->buffer = mls__alloc(&letter->group->context->allocator, bytes);
    if (!letter->buffer)
        return mls__error_nomem(bytes);
    letter->message.data = letter->buffer;
    return is_receive(letter) ? MLS_OK : mls__flat_load(letter->tensor, letter->buffer);
}

static mls_status create(mls_group *group, const mls__call *call, const mls_tensor *tensor,
                         uint32_t kind, uint32_t peer, mls__letter **ret_letter)
{
    mls__letter *letter = mls__alloc_array(&group->context->allocator, 1, sizeof *letter);
    if (!letter)
        return mls__error_nomem(sizeof *letter);
    letter->group = group;
    letter->call = *call;
    letter->message = (mls_transport_message){.size = sizeof letter->message,
                                              .kind = kind,
                                              .peer = peer,
                                              .tag = call->header.seq,
                                              .head = &letter->call.header,
                                              .head_bytes = sizeof letter->call.header};
    mls_status status = mls__mutex_init(&letter->mutex);
    if (!status) {
        status = mls__cond_init(&letter->changed);
        if (status)
            pthread_mutex_destroy(&letter->mutex);
    }
    if (status) {
        mls__free(&group->context->allocator, letter);
        return status;
    }
    status = mls__tensor_view(tensor, &letter->tensor);
    if (!status)
        status = lay_out(letter);
    if (status) {
        destroy(letter);
        return status;
    }
    *ret_letter = letter;
    return MLS_OK;
}

/* --- the end --------------------------------------------------------------------------------- */

static mls_status tell_mismatch(const mls__letter *letter)
{
    char text[MLS__HEADER_TEXT], other_text[MLS__HEADER_TEXT];
    mls__header other;
    memcpy(&other, letter->message.other_head, sizeof other);
    other.name[MLS_GROUP_NAME_MAX] = '\0';
    return mls__error(MLS_EMISMATCH, "rank %u %s a %s, rank %u %s a %s", letter->group->rank,
                      is_receive(letter) ? "receives" : "sends",
                      mls__header_text(&letter->call.header, text), letter->message.peer,
                      is_receive(letter) ? "sends" : "receives",
                      mls__header_text(&other, other_text));
}

static mls_status tell(const mls__letter *letter, mls_status status)
{
    if (status == MLS_EMISMATCH)
        return tell_mismatch(letter);
    return mls__call_lost_peer(letter->group, &letter->call, letter->message.peer, status,
                               is_receive(letter) ? "has not sent it" : "has not received it");
}

static void end_locked(mls__letter *letter, mls_status status)
{
    if (status)
        status = tell(letter, status);
    else if (letter->buffer && is_receive(letter))
        status = mls__flat_store(letter->buffer, letter->tensor);
    if (status)
        snprintf(letter->text, sizeof letter->text, "%s", mls_error_message());
    letter->status = status;
    letter->has_ended = true;
}

/* MLS_ETIMEDOUT: it goes on. Past its own deadline it does not. */
static mls_status wait_in_transport(mls__letter *letter, uint64_t until_ns)
{
    const mls_transport *ops = letter->group->transport.ops;
    const uint64_t last_ns = letter->call.until_ns;
    mls_status status =
        ops->wait(letter->group->link, &letter->message, until_ns < last_ns ? until_ns : last_ns);
    if (status != MLS_ETIMEDOUT || mls__clock_monotonic_ns() < last_ns)
        return status;
    status = ops->retract(letter->group->link, &letter->message);
    return status == MLS_ECANCELLED ? MLS_EDEADLINE : status;
}

/* One is in the transport at a time; the others wait until that one is back. */
static void wait_locked(mls__letter *letter, uint64_t until_ns)
{
    bool in_time = true;
    while (letter->is_awaited && !letter->has_ended && in_time)
        in_time = mls__cond_wait_until(&letter->changed, &letter->mutex, until_ns);
    if (letter->is_awaited || letter->has_ended)
        return;
    letter->is_awaited = true;
    pthread_mutex_unlock(&letter->mutex);
    const mls_status status = wait_in_transport(letter, until_ns);
    pthread_mutex_lock(&letter->mutex);
    letter->is_awaited = false;
    if (status != MLS_ETIMEDOUT)
        end_locked(letter, status);
    pthread_cond_broadcast(&letter->changed.cond);
}

mls_status mls__letter_wait(mls__letter *letter, uint64_t until_ns)
{
    pthread_mutex_lock(&letter->mutex);
    wait_locked(letter, until_ns);
    const bool has_ended = letter->has_ended;
    pthread_mutex_unlock(&letter->mutex);
    if (!has_ended)
        return mls__error(MLS_ETIMEDOUT, "the work has not ended yet");
    return letter->status ? mls__error(letter->status, "%s", letter->text) : MLS_OK;
}

mls_status mls__letter_cancel(mls__letter *letter)
{
    pthread_mutex_lock(&letter->mutex);
    const bool has_ended = letter->has_ended;
    pthread_mutex_unlock(&letter->mutex);
    if (has_ended)
        return MLS_OK;
    /* Ends the wait of whoever is in the transport, too. */
    const mls_status status =
        letter->group->transport.ops->retract(letter->group->link, &letter->message);
    pthread_mutex_lock(&letter->mutex);
    while (letter->is_awaited)
        mls__cond_wait_until(&letter->changed, &letter->mutex, MLS__FOREVER);
    if (!letter->has_ended)
        end_locked(letter, status);
    pthread_mutex_unlock(&letter->mutex);
    return MLS_OK;
}

void mls__letter_free(mls__letter *letter)
{
    if (!letter->has_ended && !mls__group_check_fork(letter->group))
        letter->group->transport.ops->retract(letter->group->link, &letter->message);
    destroy(letter);
}

/* --- the public interface -------------------------------------------------------------------- */

static mls_status check(const mls_group *group, const mls_tensor *tensor, uint32_t kind,
                        uint32_t peer)
{
    if (peer >= group->size)
        return mls__error(MLS_EINVAL, "a message with rank %u; ranks are 0 to %u", peer,
                          group->size - 1);
    if (tensor->dtype == MLS_STRING)
        return mls__error(MLS_EDTYPE, "a message cannot have strings");
    if (kind == MLS_MESSAGE_RECEIVE && mls__tensor_repeats(tensor))
        return mls__error(MLS_EINVAL, "a message: elements of the target share memory");
    return MLS_OK;
}

/* With a handle for it, or NULL. Both are freed when it fails. */
static mls_status post(mls_group *group, mls__letter *letter, mls_work **ret_work)
{
    mls_work *work = NULL;
    mls_status status = MLS_OK;
    if (ret_work)
        status = mls__work_of_letter(group, letter, &work);
    if (status) {
        destroy(letter);
        return status;
    }
    status = group->transport.ops->post(group->link, &letter->message);
    if (!status) {
        if (ret_work)
            *ret_work = work;
        return MLS_OK;
    }
    letter->has_ended = true; /* nothing is on its way */
    if (work)
        mls_work_free(work);
    else
        destroy(letter);
    return status;
}

static mls_status start(mls_group *group, const mls_tensor *tensor, uint32_t kind, uint32_t peer,
                        const mls_group_call *given, mls_work **ret_work)
{
    mls__call call;
    mls__letter *letter;
    mls_status status = mls__call_begin(group, MLS__CALL_MESSAGE, given, &call);
    if (!status)
        status = check(group, tensor, kind, peer);
    if (status)
        return status;
    call.header.dtype = tensor->dtype;
    call.header.count = (uint64_t) tensor->count;
    status = create(group, &call, tensor, kind, peer, &letter);
    if (!status)
        status = post(group, letter, ret_work);
    if (status || ret_work)
        return status;
    status = mls__letter_wait(letter, MLS__FOREVER);
    destroy(letter);
    return status;
}

mls_status mls_group_send(mls_group *group, const mls_tensor *source, uint32_t to,
                          const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !source)
        return mls__error_null(__func__, "group and source");
    return start(group, source, MLS_MESSAGE_SEND, to, call, ret_work);
}

mls_status mls_group_receive(mls_group *group, mls_tensor *target, uint32_t from,
                             const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !target)
        return mls__error_null(__func__, "group and target");
    return start(group, target, MLS_MESSAGE_RECEIVE, from, call, ret_work);
}
