/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a group after it is open: looking at it, aborting and freeing it. */
#include "group/group.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void mls__group_ref(mls_group *group)
{
    mls__refcount_take(&group->refs);
}

static void free_memory(mls_group *group)
{
    const mls__allocator *allocator = &group->context->allocator;
    for (int i = 0; i < MLS__SCRATCHES; i++)
        mls__free(allocator, group->scratch[i].data);
    mls__free(allocator, group->stack);
    mls__free(allocator, group->leaves);
    mls__free(allocator, group->take);
    mls__free(allocator, group->give);
    mls__free(allocator, group->messages);
    mls__free(allocator, group->records);
    mls__free(allocator, group->record);
    mls__tree_clear(&group->tree);
}

void mls__group_unref(mls_group *group)
{
    if (!mls__refcount_drop(&group->refs))
        return;
    mls_context *context = group->context;
    /* In a forked child the link's locks and lists are in no known state: leave them. */
    if (group->fork_generation == mls__fork_generation()) {
        if (group->stage)
            group->transport.ops->release(group->link, group->stage);
        if (group->link)
            group->transport.ops->close_link(group->link);
        mls__cond_destroy(&group->changed);
        pthread_mutex_destroy(&group->mutex);
    }
    free_memory(group);
    explicit_bzero(group->token, sizeof group->token);
    mls__free(&context->allocator, group);
    mls__context_unref(context);
}

mls_status mls__group_check_fork(const mls_group *group)
{
    if (group->fork_generation == mls__fork_generation())
        return MLS_OK;
    return mls__error(MLS_EFORKED, "the group was made before fork(): make one in the child");
}

uint64_t mls__group_until(uint64_t now_ns, int64_t timeout_ms)
{
    const uint64_t most_ms = (MLS__FOREVER - now_ns) / UINT64_C(1000000);
    return (uint64_t) timeout_ms < most_ms ? now_ns + (uint64_t) timeout_ms * UINT64_C(1000000)
                                           : MLS__FOREVER;
}

/* Why nothing of the kind can happen. */
static mls_status refuse(const mls_group *group, mls__group_state state)
{
    switch ((int) state) {
    case MLS__GROUP_OFFERED:
        return mls__error(MLS_ESTATE, "the group has not been joined: mls_group_join()");
    case MLS__GROUP_JOINING:
        return mls__error(MLS_ESTATE, "the group is being joined");
    case MLS__GROUP_OPEN:
        return mls__error(MLS_ESTATE, "the group has been joined already");
    case MLS__GROUP_LEFT:
        return mls__error(MLS_ECANCELLED, "this rank has freed the group");
    default: /* the failure stays once it is set */
        return mls__error(group->failure, "the group is broken: %s", group->failure_text);
    }
}

mls_status mls__group_check(mls_group *group, mls__group_event event)
{
    const mls__group_state state = group->state;
    const bool is_possible = mls__group_next_state(state, event) != MLS__GROUP_REFUSED;
    return is_possible ? MLS_OK : refuse(group, state);
}

mls_status mls__group_enter(mls_group *group, mls__group_event event)
{
    pthread_mutex_lock(&group->mutex);
    const mls__group_state state = group->state;
    const mls__group_state next = mls__group_next_state(state, event);
    if (next != MLS__GROUP_REFUSED)
        group->state = next;
    pthread_mutex_unlock(&group->mutex);
    return next != MLS__GROUP_REFUSED ? MLS_OK : refuse(group, state);
}

bool mls__group_is_connected(mls_group *group)
{
    pthread_mutex_lock(&group->mutex);
    const bool is_connected = group->is_connected;
    pthread_mutex_unlock(&group->mutex);
    return is_connected;
}

const void *mls_group_address(const mls_group *group, size_t *ret_size)
{
    const size_t size = group ? group->address_bytes : 0;
    if (ret_size)
        *ret_size = size;
    return size ? group->address : NULL;
}

uint32_t mls_group_rank(const mls_group *group)
{
    return group ? group->rank : 0;
}

uint32_t mls_group_size(const mls_group *group)
{
    return group ? group->size : 0;
}

uint32_t mls_group_shards(const mls_group *group, uint32_t rank, uint32_t *ret_first,
                          uint32_t *ret_count)
{
    if (!group || rank >= group->size)
        return 0;
    const mls__range range = mls__tree_range(group->shards, group->size, rank);
    if (ret_first)
        *ret_first = range.first;
    if (ret_count)
        *ret_count = range.end - range.first;
    return group->shards;
}

mls_status mls_group_abort(mls_group *group, const char *reason)
{
    if (!group)
        return mls__error_null(__func__, "group");
    mls_status status = mls__group_check_fork(group);
    if (status)
        return status;
    mls__error(MLS_ECANCELLED, "%.500s", reason ? reason : "mls_group_abort()");
    mls__group_break(group, MLS_ECANCELLED);
    return MLS_OK;
}

/* What others wait for ends at once, and so do this rank's works. */
static void leave(mls_group *group)
{
    pthread_mutex_lock(&group->mutex);
    const bool is_busy = group->next_ticket != group->serving;
    const bool is_connected = group->is_connected;
    group->state = mls__group_next_state(group->state, MLS__GROUP_ON_FREE);
    pthread_mutex_unlock(&group->mutex);
    if (is_busy && is_connected)
        group->transport.ops->abort(group->link, MLS_EPEER, "it has freed the group in a call");
    if (is_connected)
        group->transport.ops->leave(group->link);
    mls__works_stop(group);
}

void mls_group_free(mls_group *group)
{
    if (!group)
        return;
    if (group->fork_generation == mls__fork_generation())
        leave(group);
    mls__group_unref(group);
}
