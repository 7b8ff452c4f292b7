/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives of the library's own, for sharded tensors: pieces of any size between any ranks,
 * and a reduce_scatter to blocks of any size. What a rank needs is told by plans that all ranks
 * can make; a digest of what they are made from makes sure that they agree.
 */
#include "group/group.h"

#include "base/error.h"

#include <string.h>

/* Errors of one rank alone are found before it tells the others anything. */
static mls_status begin(mls_group *group, uint32_t op, int32_t dtype, uint64_t count,
                        uint64_t digest, const mls_group_call *given, mls__call *ret_call)
{
    const mls_status status = mls__call_begin(group, op, given, ret_call);
    if (status)
        return status;
    if (count > SIZE_MAX / 512 / group->size)
        return mls__error(MLS_ELIMIT, "%s: %llu elements are too many", mls__family_get(op)->name,
                          (unsigned long long) count);
    ret_call->header.dtype = dtype;
    ret_call->header.count = count;
    ret_call->header.digest = digest;
    return MLS_OK;
}

mls_status mls__group_swap(mls_group *group, const mls__swap *swap, const mls_group_call *given)
{
    mls__call call;
    const mls_status status =
        begin(group, MLS__CALL_SWAP, swap->dtype, swap->count, swap->digest, given, &call);
    if (status)
        return status;
    call.swap = swap;
    return mls__call_queue(group, &call);
}

mls_status mls__group_reduce_blocks(mls_group *group, int32_t dtype, const void *source,
                                    void *target, const uint64_t *bounds, uint64_t digest,
                                    const mls_group_call *given)
{
    mls__call call;
    const mls_status status =
        begin(group, MLS__CALL_REDUCE_BLOCKS, dtype, bounds[group->size], digest, given, &call);
    if (status)
        return status;
    call.header.reduction = MLS_REDUCE_SUM;
    call.bounds = bounds;
    call.source_data = source;
    call.target_data = target;
    return mls__call_queue(group, &call);
}

/* --- pieces ---------------------------------------------------------------------------------- */

/* What a rank shows comes with its record. */
static mls_status swap_small(mls_group *group, mls__call *call)
{
    const mls__swap *swap = call->swap;
    mls__swap_pieces pieces;
    mls_status status = swap->prepare(swap->user, true, &pieces);
    if (status)
        return status;
    if (swap->base_bytes)
        memcpy(mls__payload(group), swap->base, swap->base_bytes);
    status = mls__round(group, call, 0, NULL, swap->base_bytes);
    if (status)
        return status;
    for (uint32_t i = 0; i < group->size; i++) {
        const mls__piece *piece = &pieces.take[i];
        const size_t shown = mls__payload_bytes(group, i);
        if (piece->offset > shown || piece->size_bytes > shown - piece->offset)
            return mls__error(MLS_EFORMAT, "rank %u gave %zu bytes where %zu belong", i, shown,
                              piece->offset + piece->size_bytes);
        if (piece->size_bytes)
            swap->store(swap->user, i,
                        (const unsigned char *) group->records[i].data + sizeof(mls__mark) +
                            piece->offset);
    }
    return MLS_OK;
}

static mls_status swap_large(mls_group *group, mls__call *call)
{
    const mls__swap *swap = call->swap;
    const mls__piece none = {0, 0, NULL, NULL};
    mls__swap_pieces pieces;
    mls_status status = mls__round(group, call, 0, swap->base, 0);
    const bool is_read = !status && mls__reads_now(group);
    if (!status)
        status = swap->prepare(swap->user, is_read, &pieces);
    if (status)
        return status;
    for (uint32_t i = 0; i < group->size; i++) {
        group->give[i] = is_read ? none : pieces.give[i];
        group->take[i] = pieces.take[i];
    }
    status = mls__exchange(group, call, 0, pieces.base);
    for (uint32_t i = 0; !status && i < group->size; i++) {
        if (!group->take[i].size_bytes)
            continue;
        swap->store(swap->user, i, group->take[i].found);
        status = mls__reading_pause(group, call);
    }
    return status ? status : mls__exchange_end(group, call, 1);
}

mls_status mls__run_swap(mls_group *group, mls__call *call)
{
    return call->swap->is_small ? swap_small(group, call) : swap_large(group, call);
}
