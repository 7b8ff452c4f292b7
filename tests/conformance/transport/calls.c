/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/transport/calls.h"

#include <string.h>

enum { ROOT = 1 };

static mls_tensor *create(mls_context *context, mls_group *group, bool in_arena, int64_t count)
{
    mls_tensor *tensor;
    if (in_arena)
        ck_assert_ok(mls_group_create_tensor(group, MLS_FLOAT32, 1, &count, &tensor));
    else
        ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 1, &count, &tensor));
    memset(mls_tensor_data(tensor), 0, mls_tensor_size_bytes(tensor));
    return tensor;
}

void called_create(mls_context *context, mls_group *group, bool in_arena, int64_t count,
                   called *ret_called)
{
    const int64_t all = count * mls_group_size(group);
    const mls_group_call how = MLS_GROUP_CALL_INIT;
    *ret_called = (called){
        .group = group,
        .how = how,
        .part = create(context, group, in_arena, count),
        .whole = create(context, group, in_arena, all),
        .part_target = create(context, group, in_arena, count),
        .whole_target = create(context, group, in_arena, all),
    };
    ret_called->how.name = "x";
}

void called_free(called *c)
{
    mls_tensor_free(c->part);
    mls_tensor_free(c->whole);
    mls_tensor_free(c->part_target);
    mls_tensor_free(c->whole_target);
}

static mls_status barrier(const called *c)
{
    return mls_group_barrier(c->group, &c->how, NULL);
}

static mls_status broadcast(const called *c)
{
    return mls_group_broadcast(c->group, c->part, ROOT, &c->how, NULL);
}

static mls_status reduce(const called *c)
{
    return mls_group_reduce(c->group, c->part, c->part_target, MLS_REDUCE_SUM, ROOT, &c->how, NULL);
}

static mls_status allreduce(const called *c)
{
    return mls_group_allreduce(c->group, c->whole, c->whole_target, MLS_REDUCE_SUM, &c->how, NULL);
}

static mls_status allreduce_in_place(const called *c)
{
    return mls_group_allreduce(c->group, c->part, c->part, MLS_REDUCE_SUM, &c->how, NULL);
}

static mls_status allreduce_by_handle(const called *c)
{
    mls_work *work;
    mls_status status =
        mls_group_allreduce(c->group, c->part, c->part_target, MLS_REDUCE_SUM, &c->how, &work);
    if (status)
        return status;
    status = mls_work_wait(work, -1);
    mls_work_free(work);
    return status;
}

static mls_status gather(const called *c)
{
    return mls_group_gather(c->group, c->part, c->whole_target, ROOT, &c->how, NULL);
}

static mls_status allgather(const called *c)
{
    return mls_group_allgather(c->group, c->part, c->whole_target, &c->how, NULL);
}

static mls_status scatter(const called *c)
{
    return mls_group_scatter(c->group, c->whole, c->part_target, ROOT, &c->how, NULL);
}

static mls_status reduce_scatter(const called *c)
{
    return mls_group_reduce_scatter(c->group, c->whole, c->part_target, MLS_REDUCE_SUM, &c->how,
                                    NULL);
}

static mls_status all_to_all(const called *c)
{
    return mls_group_all_to_all(c->group, c->whole, c->whole_target, &c->how, NULL);
}

static mls_status split(const called *c)
{
    mls_group *part;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    if (c->how.timeout_ms)
        options.timeout_ms = c->how.timeout_ms;
    const mls_status status = mls_group_split(c->group, 0, 0, &options, &part);
    if (!status)
        mls_group_free(part);
    return status;
}

/* To the next rank, and of the one before. */
static mls_status ring(const called *c)
{
    const uint32_t rank = mls_group_rank(c->group), size = mls_group_size(c->group);
    mls_work *work;
    mls_status status = mls_group_send(c->group, c->part, (rank + 1) % size, &c->how, &work);
    if (status)
        return status;
    status = mls_group_receive(c->group, c->part_target, (rank + size - 1) % size, &c->how, NULL);
    const mls_status sent = mls_work_wait(work, -1);
    mls_work_free(work);
    return status ? status : sent;
}

const call_kind call_kinds[CALL_KINDS] = {
    {"barrier", barrier},
    {"broadcast", broadcast},
    {"reduce", reduce},
    {"allreduce", allreduce},
    {"allreduce", allreduce_in_place},
    {"allreduce", allreduce_by_handle},
    {"gather", gather},
    {"allgather", allgather},
    {"scatter", scatter},
    {"reduce_scatter", reduce_scatter},
    {"all_to_all", all_to_all},
    [CALL_SPLIT] = {"split", split},
    [CALL_RING] = {"message", ring},
};
