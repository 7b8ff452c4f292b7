/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives that reduce. A rank reduces its shards to its parts (group/tree.h); these alone
 * are exchanged, and whoever has all parts of an element finishes it. A rank of one shard has
 * one part, its source as it lies.
 *
 * Few bytes: every rank gives its parts with its record, and each finishes all that it wants.
 * More: rank j finishes slice j of the elements, from what it takes of the others, and then
 * the slices are taken by those who want them. That moves no more bytes than a ring would,
 * whose order of sums follows the number of ranks. They are taken as a whole, or in strides
 * (staged.c, piped.c).
 */
#include "group/reduce.h"
#include "group/stream.h"

#include <string.h>

/* Slices begin at multiples of this, so that no two ranks write to one cache line. */
#define SLICE_ELEMENTS 64

static uint32_t part_count(const mls__reduce_plan *plan, uint32_t rank)
{
    return plan->first_part[rank + 1] - plan->first_part[rank];
}

bool mls__reduce_has_sums(const mls_group *group, uint32_t rank)
{
    return group->tree.own_shards[rank] > 1;
}

size_t mls__reduce_element_bytes(const mls_group *group, const mls__reduce_plan *plan,
                                 uint32_t rank)
{
    const size_t each =
        mls__reduce_has_sums(group, rank) ? plan->reduction.sum_size : plan->reduction.size;
    return part_count(plan, rank) * each;
}

size_t mls__reduce_slice_first(const mls__reduce_plan *plan, uint32_t slice)
{
    if (plan->bounds)
        return (size_t) plan->bounds[slice];
    const size_t first = slice * plan->slice;
    return first < plan->count ? first : plan->count;
}

size_t mls__reduce_slice_count(const mls__reduce_plan *plan, uint32_t slice)
{
    return mls__reduce_slice_first(plan, slice + 1) - mls__reduce_slice_first(plan, slice);
}

static bool wants(const mls__call *call)
{
    return call->target || call->target_data;
}

static bool is_small(const mls_group *group, const mls__reduce_plan *plan)
{
    for (uint32_t i = 0; i < plan->ranks; i++)
        if (plan->count * mls__reduce_element_bytes(group, plan, i) > mls__payload_room(group))
            return false;
    return true;
}

static bool is_plan_of(const mls__reduce_plan *plan, const mls__call *call)
{
    const mls__header *header = &call->header;
    const mls__reduction *r = &plan->reduction;
    return plan->family == mls__family_get(header->op) && plan->piece == header->count &&
           r->dtype == header->dtype && r->op == header->reduction && plan->wants == wants(call) &&
           plan->bounds == call->bounds && !call->bounds &&
           (r->op != MLS_REDUCE_USER ||
            (r->combine == call->combine && r->user == call->combine_user));
}

/* Where it stays: a copy by vectors would wait for each word that was just written. */
static void make_plan(const mls_group *group, const mls__call *call, mls__reduce_plan *plan)
{
    const mls__family *family = mls__family_get(call->header.op);
    const size_t piece = (size_t) call->header.count;
    plan->family = family;
    mls__reduction_make(call->header.reduction, call->header.dtype, call->combine,
                        call->combine_user, group->shards, &plan->reduction);
    plan->ranks = group->size;
    plan->rank = group->rank;
    plan->bounds = call->bounds;
    plan->first_part = group->tree.first_part;
    plan->wants = wants(call);
    plan->piece = piece;
    plan->count = family->source_is_all && !call->bounds ? piece * group->size : piece;
    plan->slice = family->source_is_all
                      ? piece
                      : mls__round_up((piece + group->size - 1) / group->size, SLICE_ELEMENTS);
    plan->is_small = is_small(group, plan);
    plan->is_plain = plan->is_small && !family->source_is_all && group->shards == group->size;
}

static const mls__reduce_plan *plan_of(mls_group *group, const mls__call *call)
{
    if (!is_plan_of(&group->plan, call))
        make_plan(group, call, &group->plan);
    return &group->plan;
}

/* --- a rank's own parts ---------------------------------------------------------------------- */

void mls__reduce_own(mls_group *group, const mls__reduce_plan *plan, const unsigned char *source,
                     size_t first, size_t count, unsigned char *to)
{
    uint32_t shards;
    if (!count) /* nor is there a place */
        return;
    mls_group_shards(group, group->rank, NULL, &shards);
    for (uint32_t i = 0; i < shards; i++)
        group->leaves[i] =
            (mls__leaf){source + (i * plan->count + first) * plan->reduction.size, false};
    for (uint32_t i = 0; i < group->tree.local_count; i++)
        mls__reduction_run(&plan->reduction, &group->tree.local[i], group->leaves, count, false,
                           to + i * count * plan->reduction.sum_size, group->stack);
}

/* The parts of all elements in one piece, or slice behind slice. */
static void reduce_slices(mls_group *group, const mls__reduce_plan *plan,
                          const unsigned char *source, unsigned char *to)
{
    const size_t bytes = mls__reduce_element_bytes(group, plan, group->rank);
    for (uint32_t i = 0; plan->count && i < plan->ranks; i++)
        mls__reduce_own(group, plan, source, mls__reduce_slice_first(plan, i),
                        mls__reduce_slice_count(plan, i),
                        to + mls__reduce_slice_first(plan, i) * bytes);
}

/* --- finishing ------------------------------------------------------------------------------- */

void mls__reduce_set_leaves(mls_group *group, const mls__reduce_plan *plan, uint32_t rank,
                            const void *data, size_t stride, size_t first)
{
    const bool is_sum = mls__reduce_has_sums(group, rank);
    const size_t size = is_sum ? plan->reduction.sum_size : plan->reduction.size;
    for (uint32_t i = 0; i < part_count(plan, rank); i++)
        group->leaves[plan->first_part[rank] + i] =
            (mls__leaf){(const unsigned char *) data + (i * stride + first) * size, is_sum};
}

void mls__reduce_finish(mls_group *group, const mls__reduce_plan *plan, size_t count, void *result)
{
    mls__reduction_run(&plan->reduction, &group->tree.whole, group->leaves, count, true, result,
                       group->stack);
}

/* The same as below, with what is known then: the time of a few bytes is that of the code. */
static mls_status reduce_plain(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                               const void *source, void *target)
{
    const size_t bytes = plan->count * plan->reduction.size;
    if (bytes)
        memcpy(mls__payload(group), source, bytes);
    mls_status status = mls__round(group, call, 0, NULL, bytes);
    for (uint32_t i = 0; !status && i < plan->ranks; i++) {
        const void *payload = NULL;
        status = mls__payload_of(group, i, bytes, &payload);
        group->leaves[i] = (mls__leaf){payload, false};
    }
    if (!status && plan->wants)
        mls__reduce_finish(group, plan, plan->count, target);
    return status;
}

static mls_status reduce_small(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                               const void *source, void *target)
{
    const size_t own_bytes = plan->count * mls__reduce_element_bytes(group, plan, plan->rank);
    if (mls__reduce_has_sums(group, plan->rank))
        mls__reduce_own(group, plan, source, 0, plan->count, mls__payload(group));
    else if (own_bytes)
        memcpy(mls__payload(group), source, own_bytes);
    mls_status status = mls__round(group, call, 0, NULL, own_bytes);
    if (status || !plan->wants)
        return status;
    const size_t first =
        plan->family->source_is_all ? mls__reduce_slice_first(plan, plan->rank) : 0;
    for (uint32_t i = 0; !status && i < plan->ranks; i++) {
        const void *payload;
        status = mls__payload_of(group, i, plan->count * mls__reduce_element_bytes(group, plan, i),
                                 &payload);
        if (!status)
            mls__reduce_set_leaves(group, plan, i, payload, plan->count, first);
    }
    if (!status)
        mls__reduce_finish(group, plan,
                           plan->family->source_is_all ? mls__reduce_slice_count(plan, plan->rank)
                                                       : plan->count,
                           target);
    return status;
}

/* --- many bytes ------------------------------------------------------------------------------ */

/* In strides: the host's function may take its time. */
static mls_status finish_taken(mls_group *group, const mls__call *call,
                               const mls__reduce_plan *plan, size_t count, unsigned char *result)
{
    const size_t stride = MLS__STRIDE_BYTES / plan->reduction.size;
    mls_status status = MLS_OK;
    for (size_t at = 0; !status && at < count; at += stride) {
        const size_t left = count - at;
        for (uint32_t i = 0; i < plan->ranks; i++)
            mls__reduce_set_leaves(group, plan, i, group->take[i].found, count, at);
        mls__reduce_finish(group, plan, left < stride ? left : stride,
                           result + at * plan->reduction.size);
        if (left > stride)
            status = mls__reading_pause(group, call);
    }
    return status;
}

/*
 * What others read next comes to them from memory three times sooner than from the cache of a core
 * that shares none with theirs, and little later than from one that does. Else: what was just read
 * is in the caches, and so is a result in its place.
 */
static bool does_stream(const mls_group *group, const mls__reduce_plan *plan, size_t count,
                        const void *result)
{
    const bool spreads = !plan->family->source_is_all && !(plan->family->to_root && plan->wants);
    if (spreads && mls__reads_now(group))
        return true;
    return count * plan->reduction.size >= MLS__STREAM_BYTES &&
           group->take[plan->rank].found != result;
}

/* Takes this rank's slice of the parts of all, and finishes it at `result`. */
static mls_status finish_slice(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                               const void *parts, void *result)
{
    const size_t own_bytes = mls__reduce_element_bytes(group, plan, plan->rank);
    const size_t first = mls__reduce_slice_first(plan, plan->rank),
                 count = mls__reduce_slice_count(plan, plan->rank);
    unsigned char *taken = NULL;
    size_t taken_bytes = 0;
    for (uint32_t i = 0; i < plan->ranks; i++)
        taken_bytes += mls__round_up(count * mls__reduce_element_bytes(group, plan, i), MLS__ALIGN);
    if (!mls__reads_now(group)) {
        void *data;
        const mls_status status = mls__scratch_get(group, MLS__SCRATCH_TAKEN, taken_bytes, &data);
        if (status)
            return status;
        taken = data;
    }
    for (uint32_t i = 0; i < plan->ranks; i++) {
        const size_t bytes = mls__reduce_element_bytes(group, plan, i);
        group->give[i] = (mls__piece){mls__reduce_slice_first(plan, i) * own_bytes,
                                      mls__reduce_slice_count(plan, i) * own_bytes, NULL, NULL};
        group->take[i] =
            (mls__piece){first * bytes, count * bytes, i == plan->rank ? NULL : taken, NULL};
        if (taken)
            taken += mls__round_up(count * bytes, MLS__ALIGN);
    }
    const mls_status status = mls__exchange(group, call, 0, parts);
    if (status || !count) /* of no elements no place is known */
        return status;
    mls__reduce_plan streaming = *plan;
    streaming.reduction.streams = does_stream(group, plan, count, result);
    return finish_taken(group, call, &streaming, count, result);
}

/*
 * The slices from who finished them to who wants them. `results` is the whole result of
 * those, and of the others their slice alone.
 */
static mls_status spread_slices(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                                unsigned char *results)
{
    const size_t size = plan->reduction.size;
    for (uint32_t i = 0; i < plan->ranks; i++) {
        const bool other = i != plan->rank;
        const bool is_whole = !plan->family->to_root || i == call->header.root;
        const size_t first = mls__reduce_slice_first(plan, i) * size;
        const size_t own_first = plan->wants ? mls__reduce_slice_first(plan, plan->rank) * size : 0;
        group->give[i] = group->take[i] = (mls__piece){0, 0, NULL, NULL};
        if (other && is_whole)
            group->give[i] = (mls__piece){
                own_first, mls__reduce_slice_count(plan, plan->rank) * size, NULL, NULL};
        if (other && plan->wants)
            group->take[i] =
                (mls__piece){is_whole ? first : 0, mls__reduce_slice_count(plan, i) * size,
                             results + first, NULL};
    }
    return mls__exchange(group, call, 1, results);
}

/* What others take of this rank: its source, or the sums of its shards. */
static mls_status make_parts(mls_group *group, const mls__reduce_plan *plan, const void *source,
                             const void **ret_parts)
{
    void *scratch;
    *ret_parts = source;
    if (!mls__reduce_has_sums(group, plan->rank))
        return MLS_OK;
    const mls_status status = mls__scratch_get(
        group, MLS__SCRATCH_PARTS, plan->count * mls__reduce_element_bytes(group, plan, plan->rank),
        &scratch);
    if (status)
        return status;
    reduce_slices(group, plan, source, scratch);
    *ret_parts = scratch;
    return MLS_OK;
}

static mls_status reduce_whole(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                               const void *parts, void *target)
{
    void *results = target;
    mls_status status = MLS_OK;
    if (plan->family->source_is_all) {
        status = finish_slice(group, call, plan, parts, results);
        return status ? status : mls__exchange_end(group, call, 1);
    }
    if (!plan->wants)
        status = mls__scratch_get(group, MLS__SCRATCH_TARGET,
                                  mls__reduce_slice_count(plan, plan->rank) * plan->reduction.size,
                                  &results);
    if (status)
        return status;
    unsigned char *own = results;
    if (plan->wants)
        own += mls__reduce_slice_first(plan, plan->rank) * plan->reduction.size;
    status = finish_slice(group, call, plan, parts, own);
    if (!status)
        status = spread_slices(group, call, plan, results);
    return status ? status : mls__exchange_end(group, call, 2);
}

/* Stride by stride, as messages come. */
static mls_status reduce_piped(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                               const void *source, void *target)
{
    void *results = target;
    mls_status status = MLS_OK;
    if (!plan->wants && !plan->family->source_is_all)
        status = mls__scratch_get(group, MLS__SCRATCH_TARGET,
                                  mls__reduce_slice_count(plan, plan->rank) * plan->reduction.size,
                                  &results);
    if (!status)
        status = mls__round(group, call, 0, NULL, 0);
    return status ? status : mls__piped_reduce(group, call, plan, source, results);
}

/* Whether ranks read what others have, and where, they find out in the first round. */
static mls_status reduce_large(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                               const void *source, void *target)
{
    const void *parts = NULL;
    mls_status status = MLS_OK;
    if (mls__piped_suits(group, plan))
        return reduce_piped(group, call, plan, source, target);
    call->stages = mls__staged_suits(group, plan, source, target);
    if (!call->stages)
        status = make_parts(group, plan, source, &parts);
    if (!status)
        status = mls__round(group, call, 0, parts, 0);
    if (status)
        return status;
    if (mls__stages_now(group))
        return mls__staged_reduce(group, call, plan, source, target);
    if (call->stages)
        status = make_parts(group, plan, source, &parts);
    return status ? status : reduce_whole(group, call, plan, parts, target);
}

/* Source and target lie as they are to be, and have been checked. */
mls_status mls__run_blocks(mls_group *group, mls__call *call)
{
    const mls__reduce_plan *plan = plan_of(group, call);
    return plan->is_small ? reduce_small(group, call, plan, call->source_data, call->target_data)
                          : reduce_large(group, call, plan, call->source_data, call->target_data);
}

mls_status mls__run_reduce(mls_group *group, mls__call *call)
{
    const mls__reduce_plan *plan = plan_of(group, call);
    const void *source;
    void *target = NULL;
    mls_status status = mls__flat_source(group, call->source, false, &source);
    if (!status && call->target)
        status = mls__flat_target(group, call->target, &target);
    if (!status)
        status = plan->is_plain                 ? reduce_plain(group, call, plan, source, target)
                 : plan->is_small               ? reduce_small(group, call, plan, source, target)
                 : mls__engine_can(group, call) ? mls__engine_run(group, call, source, target)
                                                : reduce_large(group, call, plan, source, target);
    if (!status && call->target)
        status = mls__flat_store(target, call->target);
    return status;
}
