/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors in memory that the other ranks of a group read where it lies. */
#include "group/group.h"

#include "base/error.h"

#include <string.h>

/* In a forked child the memory is the parent's, and is left alone. */
static void release(void *user, void *data)
{
    mls_group *group = user;
    if (group->fork_generation == mls__fork_generation())
        group->transport.ops->release(group->link, data);
    mls__group_unref(group);
}

static mls_status allocate(mls_group *group, mls_dtype dtype, int rank, const int64_t *dims,
                           size_t bytes, mls_tensor **ret_tensor)
{
    void *data;
    mls_status status = group->transport.ops->allocate(group->link, bytes, &data);
    if (status)
        return status;
    memset(data, 0, bytes);
    status =
        mls_tensor_wrap(group->context, dtype, rank, dims, NULL, data, release, group, ret_tensor);
    if (status) {
        group->transport.ops->release(group->link, data);
        return status;
    }
    mls__group_ref(group);
    return MLS_OK;
}

mls_status mls_group_create_tensor(mls_group *group, mls_dtype dtype, int rank, const int64_t *dims,
                                   mls_tensor **ret_tensor)
{
    if (!group || (rank > 0 && !dims) || !ret_tensor)
        return mls__error_null(__func__, "group, dims (unless rank is 0) and ret_tensor");
    size_t bytes;
    mls_status status = mls__group_check_fork(group);
    if (!status)
        status = mls__tensor_check("tensor", dtype, rank, dims, &bytes);
    if (!status && dtype == MLS_STRING)
        status = mls__error(MLS_EDTYPE, "strings cannot be moved by a group");
    if (!status && !mls__group_is_connected(group))
        status = mls__error(MLS_ESTATE, "the group was never joined");
    if (status)
        return status;
    if (!bytes || !group->has_arenas)
        return mls_tensor_create(group->context, dtype, rank, dims, ret_tensor);
    return allocate(group, dtype, rank, dims, bytes, ret_tensor);
}

mls_status mls__group_create_readable(mls_group *group, mls_dtype dtype, int rank,
                                      const int64_t *dims, mls_tensor **ret_tensor)
{
    const mls_status status = mls_group_create_tensor(group, dtype, rank, dims, ret_tensor);
    if (status == MLS_ENOMEM && group->has_arenas)
        return mls_tensor_create(group->context, dtype, rank, dims, ret_tensor);
    return status;
}
