/* SPDX-License-Identifier: Apache-2.0 */
/* The collectives of the public interface. */
#include "group/group.h"

#include "base/error.h"

/* What is left to do is the same for all of them. */
static mls_status start(mls_group *group, uint32_t op, const mls_tensor *source, mls_tensor *target,
                        uint32_t reduction, uint32_t root, const mls_group_call *given,
                        mls_work **ret_work)
{
    mls__call call;
    const mls_status status = mls__call_begin(group, op, given, &call);
    if (status)
        return status;
    call.source = source;
    call.target = target;
    call.header.reduction = reduction;
    call.header.root = root;
    return mls__call_start(group, &call, ret_work);
}

mls_status mls_group_barrier(mls_group *group, const mls_group_call *call, mls_work **ret_work)
{
    if (!group)
        return mls__error_null(__func__, "group");
    return start(group, MLS__CALL_BARRIER, NULL, NULL, 0, 0, call, ret_work);
}

mls_status mls_group_broadcast(mls_group *group, mls_tensor *tensor, uint32_t root,
                               const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !tensor)
        return mls__error_null(__func__, "group and tensor");
    const bool is_root = group->rank == root;
    return start(group, MLS__CALL_BROADCAST, is_root ? tensor : NULL, is_root ? NULL : tensor, 0,
                 root, call, ret_work);
}

mls_status mls_group_allreduce(mls_group *group, const mls_tensor *source, mls_tensor *target,
                               uint32_t reduction, const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !source || !target)
        return mls__error_null(__func__, "group, source and target");
    return start(group, MLS__CALL_ALLREDUCE, source, target, reduction, 0, call, ret_work);
}

mls_status mls_group_reduce(mls_group *group, const mls_tensor *source, mls_tensor *target,
                            uint32_t reduction, uint32_t root, const mls_group_call *call,
                            mls_work **ret_work)
{
    if (!group || !source)
        return mls__error_null(__func__, "group and source");
    return start(group, MLS__CALL_REDUCE, source, target, reduction, root, call, ret_work);
}

mls_status mls_group_reduce_scatter(mls_group *group, const mls_tensor *source, mls_tensor *target,
                                    uint32_t reduction, const mls_group_call *call,
                                    mls_work **ret_work)
{
    if (!group || !source || !target)
        return mls__error_null(__func__, "group, source and target");
    return start(group, MLS__CALL_REDUCE_SCATTER, source, target, reduction, 0, call, ret_work);
}

mls_status mls_group_gather(mls_group *group, const mls_tensor *source, mls_tensor *target,
                            uint32_t root, const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !source)
        return mls__error_null(__func__, "group and source");
    return start(group, MLS__CALL_GATHER, source, target, 0, root, call, ret_work);
}

mls_status mls_group_allgather(mls_group *group, const mls_tensor *source, mls_tensor *target,
                               const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !source || !target)
        return mls__error_null(__func__, "group, source and target");
    return start(group, MLS__CALL_ALLGATHER, source, target, 0, 0, call, ret_work);
}

mls_status mls_group_scatter(mls_group *group, const mls_tensor *source, mls_tensor *target,
                             uint32_t root, const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !target)
        return mls__error_null(__func__, "group and target");
    return start(group, MLS__CALL_SCATTER, source, target, 0, root, call, ret_work);
}

mls_status mls_group_all_to_all(mls_group *group, const mls_tensor *source, mls_tensor *target,
                                const mls_group_call *call, mls_work **ret_work)
{
    if (!group || !source || !target)
        return mls__error_null(__func__, "group, source and target");
    return start(group, MLS__CALL_ALL_TO_ALL, source, target, 0, 0, call, ret_work);
}
