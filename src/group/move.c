/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives that move elements as they are: broadcast, gather, allgather, scatter and
 * all_to_all differ only in who gives a piece to whom, and which one.
 *
 * Few bytes go with the record of the one round that says what the call is. More than that
 * are taken by those who want them, each piece once, when all have said the same.
 */
#include "group/group.h"

#include <string.h>

typedef struct move_plan {
    const mls__family *family;
    uint32_t ranks, root;
    size_t piece; /* bytes */
} move_plan;

/* Whether `from` gives `to` a piece. */
static bool gives(const move_plan *plan, uint32_t from, uint32_t to)
{
    return (!plan->family->from_root || from == plan->root) &&
           (!plan->family->to_root || to == plan->root);
}

/* Where the piece for `to` lies in the source of its giver, and that of `from` in a target. */
static size_t source_offset(const move_plan *plan, uint32_t to)
{
    return plan->family->source_is_all ? to * plan->piece : 0;
}

static size_t target_offset(const move_plan *plan, uint32_t from)
{
    return plan->family->target_is_all ? from * plan->piece : 0;
}

/* What a rank's record carries. */
static size_t payload_bytes(const move_plan *plan, uint32_t rank)
{
    if (plan->family->from_root && rank != plan->root)
        return 0;
    return plan->family->source_is_all ? plan->ranks * plan->piece : plan->piece;
}

static bool is_small(const mls_group *group, const move_plan *plan)
{
    return payload_bytes(plan, plan->root) <= mls__payload_room(group);
}

static mls_status move_small(mls_group *group, mls__call *call, const move_plan *plan,
                             const unsigned char *source, unsigned char *target)
{
    const size_t own_bytes = payload_bytes(plan, group->rank);
    if (source && own_bytes)
        memcpy(mls__payload(group), source, own_bytes);
    mls_status status = mls__round(group, call, 0, NULL, own_bytes);
    for (uint32_t from = 0; !status && target && from < plan->ranks; from++) {
        const void *payload;
        if (!gives(plan, from, group->rank))
            continue;
        status = mls__payload_of(group, from, payload_bytes(plan, from), &payload);
        if (!status && plan->piece)
            memcpy(target + target_offset(plan, from),
                   (const unsigned char *) payload + source_offset(plan, group->rank), plan->piece);
    }
    return status;
}

/* --- a broadcast by slices ------------------------------------------------------------------- */

/* Slices begin at multiples of this, so that elements are whole and copies aligned. */
#define SLICE_BYTES 64

static size_t slice_first(const move_plan *plan, uint32_t slice)
{
    const size_t each = (plan->piece / plan->ranks / SLICE_BYTES + 1) * SLICE_BYTES;
    return slice * each < plan->piece ? slice * each : plan->piece;
}

/* That of `giver`, of which `taker` lacks it. */
static void pass_slice(mls_group *group, const move_plan *plan, uint32_t slice, uint32_t giver,
                       uint32_t taker, unsigned char *data)
{
    const size_t first = slice_first(plan, slice);
    const mls__piece piece = {first, slice_first(plan, slice + 1) - first, data + first, NULL};
    if (giver == group->rank)
        group->give[taker] = piece;
    if (taker == group->rank)
        group->take[giver] = piece;
}

static void pass_none(mls_group *group)
{
    for (uint32_t i = 0; i < group->size; i++)
        group->give[i] = group->take[i] = (mls__piece){0, 0, NULL, NULL};
}

/*
 * The root gives each rank a slice, and the ranks give theirs to each other: so that what the
 * root sends does not grow with the number of ranks.
 */
static mls_status spread(mls_group *group, mls__call *call, const move_plan *plan,
                         unsigned char *data)
{
    pass_none(group);
    for (uint32_t i = 0; i < plan->ranks; i++)
        if (i != plan->root)
            pass_slice(group, plan, i, plan->root, i, data);
    const mls_status status = mls__exchange(group, call, 0, data);
    if (status)
        return status;
    pass_none(group);
    for (uint32_t i = 0; i < plan->ranks; i++) {
        if (i == group->rank)
            continue;
        if (i != plan->root)
            pass_slice(group, plan, group->rank, group->rank, i, data);
        if (group->rank != plan->root)
            pass_slice(group, plan, i, i, group->rank, data);
    }
    return mls__exchange(group, call, 1, data);
}

/* By messages alone: memory that can be read is read of the root by all at once. */
static bool does_spread(const mls_group *group, const move_plan *plan)
{
    return plan->family->from_root && !plan->family->source_is_all && plan->ranks > 2 &&
           !mls__reads_now(group);
}

/* --- many bytes ------------------------------------------------------------------------------ */

static mls_status move_large(mls_group *group, mls__call *call, const move_plan *plan,
                             const unsigned char *source, unsigned char *target)
{
    for (uint32_t i = 0; i < plan->ranks; i++) {
        group->give[i] = group->take[i] = (mls__piece){0, 0, NULL, NULL};
        if (source && gives(plan, group->rank, i))
            group->give[i] = (mls__piece){source_offset(plan, i), plan->piece, NULL, NULL};
        if (target && gives(plan, i, group->rank))
            group->take[i] = (mls__piece){source_offset(plan, group->rank), plan->piece,
                                          target + target_offset(plan, i), NULL};
    }
    mls_status status = mls__round(group, call, 0, source, 0);
    if (!status && does_spread(group, plan)) {
        /* The root's is only read. */
        status = spread(group, call, plan, source ? (void *) (uintptr_t) source : target);
        return status ? status : mls__exchange_end(group, call, 2);
    }
    if (!status)
        status = mls__exchange(group, call, 0, source);
    return status ? status : mls__exchange_end(group, call, 1);
}

mls_status mls__run_move(mls_group *group, mls__call *call)
{
    const move_plan plan = {
        .family = mls__family_get(call->header.op),
        .ranks = group->size,
        .root = call->header.root,
        .piece = (size_t) call->header.count * mls_dtype_size((mls_dtype) call->header.dtype),
    };
    /* In place, pieces would be overwritten that others have not read. */
    const bool copy = plan.family->source_is_all && plan.family->target_is_all &&
                      mls__tensors_overlap(call->source, call->target);
    const void *source = NULL;
    void *target = NULL;
    mls_status status = MLS_OK;
    if (call->source)
        status = mls__flat_source(group, call->source, copy, &source);
    if (!status && call->target)
        status = mls__flat_target(group, call->target, &target);
    if (!status)
        status = is_small(group, &plan)         ? move_small(group, call, &plan, source, target)
                 : mls__engine_can(group, call) ? mls__engine_run(group, call, source, target)
                                                : move_large(group, call, &plan, source, target);
    if (!status && call->target)
        status = mls__flat_store(target, call->target);
    return status;
}
