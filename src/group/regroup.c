/* SPDX-License-Identifier: Apache-2.0 */
/* Groups made from a group: by color, and of those that are left. */
#include "group/group.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>
#include <time.h>

/* Who gave up says why to all, but that may come later than its going. */
#define REASON_NS UINT64_C(1000000000)
#define PAUSE_NS  1000000

/* Subsets of survivors, counted from there; those of splits are named by their call's number. */
#define SURVIVORS_ID (UINT64_C(1) << 63)

/* Color and key of each rank. */
mls_status mls__run_split(mls_group *group, mls__call *call)
{
    const size_t size = 2 * sizeof *call->colors;
    memcpy(mls__payload(group), call->colors + (size_t) group->rank * 2, size);
    mls_status status = mls__round(group, call, 0, NULL, size);
    for (uint32_t i = 0; !status && i < group->size; i++) {
        const void *payload;
        status = mls__payload_of(group, i, size, &payload);
        if (!status)
            memcpy(call->colors + (size_t) i * 2, payload, size);
    }
    return status;
}

/* By key, then by rank: an insertion into what is sorted. */
static void insert(uint32_t *ranks, uint32_t count, const uint32_t *colors, uint32_t rank)
{
    uint32_t at = count;
    for (; at > 0 && colors[2 * ranks[at - 1] + 1] > colors[2 * rank + 1]; at--)
        ranks[at] = ranks[at - 1];
    ranks[at] = rank;
}

/* The ranks of this rank's color, in their new order. */
static uint32_t pick(const mls_group *group, const uint32_t *colors, uint32_t *ranks)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < group->size; i++)
        if (colors[2 * i] == colors[2 * group->rank])
            insert(ranks, count++, colors, i);
    return count;
}

/* --- making one ------------------------------------------------------------------------------ */

/* Of which ranks of which group, this one among them. */
typedef struct making {
    mls_group *group;
    const mls__call *call; /* a split; NULL: they are survivors, whose group is aborted already */
    const uint32_t *ranks;
    uint32_t count, epoch;
    uint64_t id, until_ns;
} making;

/* The first of them that has left or died, or NULL. */
static const uint32_t *find_gone(const making *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (mls__peer_is_gone(m->group, m->ranks[i]))
            return &m->ranks[i];
    return NULL;
}

static bool is_aborted(const making *m)
{
    uint32_t rank;
    char reason[16];
    return m->call && m->group->transport.ops->aborted(m->group->link, &rank, reason,
                                                       sizeof reason) != MLS_ENOTFOUND;
}

/* Whether some of them will not come: what the new link cannot know of those it has not met. */
static int is_over(void *user)
{
    const making *m = user;
    return is_aborted(m) || find_gone(m) != NULL;
}

/* Waits for what must come: who gave up has told all, and who died is dead on all links. */
static void await_reason(making *m)
{
    const struct timespec pause = {0, PAUSE_NS};
    const uint64_t until_ns = mls__clock_monotonic_ns() + REASON_NS;
    while (!is_over(m) && mls__clock_monotonic_ns() < until_ns)
        nanosleep(&pause, NULL);
}

/* Why the new link came to nothing is found at the old one, whose numbers the caller knows. */
static mls_status explain(making *m, mls_status status)
{
    if (status == MLS_EPEER || status == MLS_ECANCELLED) {
        await_reason(m);
        const uint32_t *gone = find_gone(m);
        if (is_aborted(m))
            return mls__call_lost(m->group, m->call, MLS_ECANCELLED);
        if (gone)
            return mls__peer_lost(m->group, m->call, *gone);
    }
    return m->call ? mls__call_failed(m->call, status) : status;
}

static mls_status open_part(making *m, const mls_group_options *options, mls_group **ret_group)
{
    const mls_group *group = m->group;
    const mls_transport *ops = group->transport.ops;
    uint32_t rank = 0;
    while (m->ranks[rank] != group->rank)
        rank++;
    const mls_transport_subset subset = {
        .size = sizeof subset,
        .id = m->id,
        .ranks = m->ranks,
        .count = m->count,
        .rank = rank,
        .until_ns = m->until_ns,
        .spin_us = options->spin_us,
        .is_over = is_over,
        .user = m,
    };
    void *link;
    mls__error_clear();
    const mls_status status = ops->split(group->link, &subset, &link);
    return status ? status : mls__group_adopt(group, options, link, &subset, m->epoch, ret_group);
}

static mls_status make(making *m, const mls_group_options *options, mls_group **ret_group)
{
    const mls_status status = open_part(m, options, ret_group);
    return status ? explain(m, status) : MLS_OK;
}

static mls_group_options inherited(const mls_group *group, uint32_t shards)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = group->timeout_ms;
    options.spin_us = group->spin_us;
    options.shards = shards;
    return options;
}

static mls_status split(mls_group *group, mls__call *call, const mls_group_options *options,
                        mls_group **ret_group)
{
    const mls__allocator *allocator = &group->context->allocator;
    const uint32_t color = call->colors[2 * (size_t) group->rank];
    uint32_t *ranks = mls__alloc_array(allocator, group->size, sizeof *ranks);
    if (!ranks)
        return mls__error_nomem(group->size * sizeof *ranks);
    mls_status status = mls__call_start(group, call, NULL);
    if (!status && color != MLS_GROUP_NO_COLOR) {
        const uint32_t count = pick(group, call->colors, ranks);
        making m = {.group = group,
                    .call = call,
                    .ranks = ranks,
                    .count = count,
                    .id = call->header.seq,
                    .until_ns = call->until_ns};
        status = make(&m, options, ret_group);
        /* As any collective does; what all of them find wrong alike is no reason. */
        if (status && status != MLS_EINVAL)
            status = mls__group_break(group, status);
    } else if (!status) {
        *ret_group = NULL;
    }
    mls__free(allocator, ranks);
    return status;
}

mls_status mls_group_split(mls_group *group, uint32_t color, uint32_t key,
                           const mls_group_options *given, mls_group **ret_group)
{
    if (!group || !ret_group)
        return mls__error_null(__func__, "group and ret_group");
    mls__call call;
    mls_group_options options;
    mls_status status = mls__call_begin(group, MLS__CALL_SPLIT, NULL, &call);
    if (status)
        return status;
    const mls_group_options defaults = inherited(group, 0);
    status = mls__group_read_options(given, &defaults, &options);
    if (status)
        return status;
    call.until_ns = mls__group_until(call.started_ns, options.timeout_ms);
    call.colors =
        mls__alloc_array(&group->context->allocator, group->size, 2 * sizeof *call.colors);
    if (!call.colors)
        return mls__error_nomem(group->size * 2 * sizeof *call.colors);
    call.colors[2 * (size_t) group->rank] = color;
    call.colors[2 * (size_t) group->rank + 1] = key;
    status = split(group, &call, &options, ret_group);
    mls__free(&group->context->allocator, call.colors);
    return status;
}

/* Those that still wait hear of who was lost, if anybody was, rather than of what is done then. */
static void end_for_shrink(mls_group *group)
{
    mls_status status = MLS_OK;
    for (uint32_t i = 0; !status && i < group->size; i++)
        if (mls__peer_is_gone(group, i))
            status = mls__peer_lost(group, NULL, i);
    if (!status)
        status = mls__error(MLS_ECANCELLED, "it makes a new group of those that are left");
    mls__group_break(group, status);
}

static mls_status shrink(mls_group *group, const mls_group_options *options, mls_group **ret_group)
{
    const mls_transport *ops = group->transport.ops;
    const mls__allocator *allocator = &group->context->allocator;
    uint32_t count;
    uint32_t *ranks = mls__alloc_array(allocator, group->size, sizeof *ranks);
    if (!ranks)
        return mls__error_nomem(group->size * sizeof *ranks);
    pthread_mutex_lock(&group->mutex);
    const uint64_t nth = group->shrinks++;
    pthread_mutex_unlock(&group->mutex);
    end_for_shrink(group);
    const uint64_t until_ns = mls__group_until(mls__clock_monotonic_ns(), options->timeout_ms);
    mls_status status = ops->survivors(group->link, until_ns, ranks, &count);
    if (!status && count < options->min_ranks)
        status = mls__error(MLS_EPEER,
                            "of %u ranks %u are left; mls_group_options.min_ranks asks for %u",
                            group->size, count, options->min_ranks);
    if (!status) {
        making m = {.group = group,
                    .ranks = ranks,
                    .count = count,
                    .epoch = group->epoch + 1,
                    .id = SURVIVORS_ID + nth,
                    .until_ns = mls__group_until(mls__clock_monotonic_ns(), options->timeout_ms)};
        status = make(&m, options, ret_group);
    }
    mls__free(allocator, ranks);
    return status;
}

mls_status mls_group_shrink(mls_group *group, const mls_group_options *given, mls_group **ret_group)
{
    if (!group || !ret_group)
        return mls__error_null(__func__, "group and ret_group");
    mls_group_options options;
    mls_status status = mls__group_check_fork(group);
    if (!status)
        status = mls__group_check(group, MLS__GROUP_ON_SHRINK);
    if (!status)
        status = mls__call_check_nested(group);
    if (status)
        return status;
    if (!mls__group_is_connected(group))
        return mls__error(MLS_ESTATE, "the group was never joined");
    if (!MLS_HAS_OP(group->transport.ops, mls_transport, survivors))
        return mls__error(MLS_EUNSUPPORTED, "transport '%s' cannot tell who is left",
                          group->transport.ops->plugin.name);
    const mls_group_options defaults = inherited(group, group->stated_shards);
    status = mls__group_read_options(given, &defaults, &options);
    return status ? status : shrink(group, &options, ret_group);
}
