/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives that reduce. A rank reduces its shards to its parts (group/tree.h); these alone
 * are exchanged, and whoever has all parts of an element finishes it. A rank of one shard has
 * one part, its source as it lies.
 *
 * Few bytes: every rank gives its parts with its record, and each finishes all that it wants.
 * More: rank j finishes slice j of the elements, from what it takes of the others, and then
 * the slices are taken by those who want them. That moves no more bytes than a ring would,
 * whose order of sums follows the number of ranks.
 */
#include "group/group.h"

#include <string.h>

/* Slices begin at multiples of this, so that no two ranks write to one cache line. */
#define SLICE_ELEMENTS 64

typedef struct reduce_plan {
    const mls__family *family;
    mls__reduction reduction;
    uint32_t ranks, rank;
    size_t count; /* elements of a reduced shard */
    size_t slice; /* elements of a slice; of the last ones there may be fewer */
    const uint32_t *first_part;
    bool wants; /* this rank gets results */
} reduce_plan;

static uint32_t part_count(const reduce_plan *plan, uint32_t rank)
{
    return plan->first_part[rank + 1] - plan->first_part[rank];
}

/* Whether the parts of a rank are sums: else it has one shard, or none. */
static bool has_sums(const mls_group *group, uint32_t rank)
{
    uint32_t shards;
    mls_group_shards(group, rank, NULL, &shards);
    return shards > 1;
}

/* Bytes of an element of all parts of a rank. */
static size_t element_bytes(const mls_group *group, const reduce_plan *plan, uint32_t rank)
{
    const size_t each = has_sums(group, rank) ? plan->reduction.sum_size : plan->reduction.size;
    return part_count(plan, rank) * each;
}

static size_t slice_first(const reduce_plan *plan, uint32_t slice)
{
    const size_t first = slice * plan->slice;
    return first < plan->count ? first : plan->count;
}

static size_t slice_count(const reduce_plan *plan, uint32_t slice)
{
    return slice_first(plan, slice + 1) - slice_first(plan, slice);
}

static size_t round_up(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static reduce_plan make_plan(const mls_group *group, const mls__call *call)
{
    const mls__family *family = mls__family_get(call->header.op);
    const size_t piece = (size_t) call->header.count;
    reduce_plan plan = {
        .family = family,
        .reduction = mls__reduction_make(call->header.reduction, call->header.dtype, call->combine,
                                         call->combine_user, group->shards),
        .ranks = group->size,
        .rank = group->rank,
        .first_part = group->tree.first_part,
        .wants = call->target != NULL,
    };
    plan.count = family->source_is_all ? piece * group->size : piece;
    plan.slice = family->source_is_all
                     ? piece
                     : round_up((piece + group->size - 1) / group->size, SLICE_ELEMENTS);
    return plan;
}

/* --- a rank's own parts ---------------------------------------------------------------------- */

/* Elements from `first`, `count` of them: part behind part, as sums. */
static void reduce_own(mls_group *group, const reduce_plan *plan, const unsigned char *source,
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
static void reduce_slices(mls_group *group, const reduce_plan *plan, const unsigned char *source,
                          unsigned char *to)
{
    const size_t bytes = element_bytes(group, plan, group->rank);
    for (uint32_t i = 0; plan->count && i < plan->ranks; i++)
        reduce_own(group, plan, source, slice_first(plan, i), slice_count(plan, i),
                   to + slice_first(plan, i) * bytes);
}

/* --- finishing ------------------------------------------------------------------------------- */

/* `count` elements from `first`, of the parts of `rank` at `data`, each `stride` elements long. */
static void set_leaves(mls_group *group, const reduce_plan *plan, uint32_t rank, const void *data,
                       size_t stride, size_t first)
{
    const bool is_sum = has_sums(group, rank);
    const size_t size = is_sum ? plan->reduction.sum_size : plan->reduction.size;
    for (uint32_t i = 0; i < part_count(plan, rank); i++)
        group->leaves[plan->first_part[rank] + i] =
            (mls__leaf){(const unsigned char *) data + (i * stride + first) * size, is_sum};
}

static void finish(mls_group *group, const reduce_plan *plan, size_t count, void *result)
{
    mls__reduction_run(&plan->reduction, &group->tree.whole, group->leaves, count, true, result,
                       group->stack);
}

static bool is_small(const mls_group *group, const reduce_plan *plan)
{
    for (uint32_t i = 0; i < plan->ranks; i++)
        if (plan->count * element_bytes(group, plan, i) > mls__payload_room(group))
            return false;
    return true;
}

static mls_status reduce_small(mls_group *group, mls__call *call, const reduce_plan *plan,
                               const void *source, void *target)
{
    const size_t own_bytes = plan->count * element_bytes(group, plan, plan->rank);
    if (has_sums(group, plan->rank))
        reduce_own(group, plan, source, 0, plan->count, mls__payload(group));
    else if (own_bytes)
        memcpy(mls__payload(group), source, own_bytes);
    mls_status status = mls__round(group, call, 0, NULL, own_bytes);
    if (status || !plan->wants)
        return status;
    const size_t first = plan->family->source_is_all ? slice_first(plan, plan->rank) : 0;
    for (uint32_t i = 0; !status && i < plan->ranks; i++) {
        const void *payload;
        status = mls__payload_of(group, i, plan->count * element_bytes(group, plan, i), &payload);
        if (!status)
            set_leaves(group, plan, i, payload, plan->count, first);
    }
    if (!status)
        finish(group, plan, (size_t) call->header.count, target);
    return status;
}

/* --- many bytes ------------------------------------------------------------------------------ */

/* Takes this rank's slice of the parts of all, and finishes it at `result`. */
static mls_status finish_slice(mls_group *group, mls__call *call, const reduce_plan *plan,
                               const void *parts, void *result)
{
    const size_t own_bytes = element_bytes(group, plan, plan->rank);
    const size_t first = slice_first(plan, plan->rank), count = slice_count(plan, plan->rank);
    unsigned char *taken = NULL;
    size_t taken_bytes = 0;
    for (uint32_t i = 0; i < plan->ranks; i++)
        taken_bytes += round_up(count * element_bytes(group, plan, i), MLS__ALIGN);
    if (!mls__reads(group)) {
        void *data;
        const mls_status status = mls__scratch_get(group, MLS__SCRATCH_TAKEN, taken_bytes, &data);
        if (status)
            return status;
        taken = data;
    }
    for (uint32_t i = 0; i < plan->ranks; i++) {
        const size_t bytes = element_bytes(group, plan, i);
        group->give[i] = (mls__piece){slice_first(plan, i) * own_bytes,
                                      slice_count(plan, i) * own_bytes, NULL, NULL};
        group->take[i] =
            (mls__piece){first * bytes, count * bytes, i == plan->rank ? NULL : taken, NULL};
        if (taken)
            taken += round_up(count * bytes, MLS__ALIGN);
    }
    const mls_status status = mls__exchange(group, call, 0, parts);
    if (status || !count) /* of no elements no place is known */
        return status;
    for (uint32_t i = 0; i < plan->ranks; i++)
        set_leaves(group, plan, i, group->take[i].found, count, 0);
    finish(group, plan, count, result);
    return MLS_OK;
}

/*
 * The slices from who finished them to who wants them. `results` is the whole result of
 * those, and of the others their slice alone.
 */
static mls_status spread_slices(mls_group *group, mls__call *call, const reduce_plan *plan,
                                unsigned char *results)
{
    const size_t size = plan->reduction.size;
    for (uint32_t i = 0; i < plan->ranks; i++) {
        const bool other = i != plan->rank;
        const bool is_whole = !plan->family->to_root || i == call->header.root;
        const size_t first = slice_first(plan, i) * size;
        const size_t own_first = plan->wants ? slice_first(plan, plan->rank) * size : 0;
        group->give[i] = group->take[i] = (mls__piece){0, 0, NULL, NULL};
        if (other && is_whole)
            group->give[i] =
                (mls__piece){own_first, slice_count(plan, plan->rank) * size, NULL, NULL};
        if (other && plan->wants)
            group->take[i] = (mls__piece){is_whole ? first : 0, slice_count(plan, i) * size,
                                          results + first, NULL};
    }
    return mls__exchange(group, call, 1, results);
}

static mls_status reduce_large(mls_group *group, mls__call *call, const reduce_plan *plan,
                               const void *source, void *target)
{
    const void *parts = source;
    void *scratch, *results = target;
    mls_status status = MLS_OK;
    if (has_sums(group, plan->rank)) {
        status = mls__scratch_get(group, MLS__SCRATCH_PARTS,
                                  plan->count * element_bytes(group, plan, plan->rank), &scratch);
        if (status)
            return status;
        reduce_slices(group, plan, source, scratch);
        parts = scratch;
    }
    if (!plan->wants)
        status = mls__scratch_get(group, MLS__SCRATCH_TARGET,
                                  slice_count(plan, plan->rank) * plan->reduction.size, &results);
    if (!status)
        status = mls__round(group, call, 0, parts, 0);
    if (status)
        return status;
    if (plan->family->source_is_all) {
        status = finish_slice(group, call, plan, parts, results);
        return status ? status : mls__exchange_end(group, call, 1);
    }
    unsigned char *own = results;
    if (plan->wants)
        own += slice_first(plan, plan->rank) * plan->reduction.size;
    status = finish_slice(group, call, plan, parts, own);
    if (!status)
        status = spread_slices(group, call, plan, results);
    return status ? status : mls__exchange_end(group, call, 2);
}

mls_status mls__run_reduce(mls_group *group, mls__call *call)
{
    const reduce_plan plan = make_plan(group, call);
    const void *source;
    void *target = NULL;
    mls_status status = mls__flat_source(group, call->source, false, &source);
    if (!status && call->target)
        status = mls__flat_target(group, call->target, &target);
    if (!status)
        status = is_small(group, &plan) ? reduce_small(group, call, &plan, source, target)
                                        : reduce_large(group, call, &plan, source, target);
    if (!status && call->target)
        status = mls__flat_store(target, call->target);
    return status;
}
