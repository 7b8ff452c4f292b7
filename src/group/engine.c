/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives that the transport runs itself. A round goes before, as before all others: so
 * mismatches are found before data moves, and each rank knows how far the others came.
 *
 * Reductions over stated shards are never handed over: their order is the library's, and an
 * engine knows of ranks only.
 */
#include "group/group.h"

/* What engines call the families, by MLS__CALL_*; 0: they run none such. */
static const uint32_t ops[] = {
    [MLS__CALL_BROADCAST] = MLS_COLLECTIVE_BROADCAST,
    [MLS__CALL_REDUCE] = MLS_COLLECTIVE_REDUCE,
    [MLS__CALL_ALLREDUCE] = MLS_COLLECTIVE_ALLREDUCE,
    [MLS__CALL_GATHER] = MLS_COLLECTIVE_GATHER,
    [MLS__CALL_ALLGATHER] = MLS_COLLECTIVE_ALLGATHER,
    [MLS__CALL_SCATTER] = MLS_COLLECTIVE_SCATTER,
    [MLS__CALL_REDUCE_SCATTER] = MLS_COLLECTIVE_REDUCE_SCATTER,
    [MLS__CALL_ALL_TO_ALL] = MLS_COLLECTIVE_ALL_TO_ALL,
};

static mls_transport_collective describe(const mls__call *call)
{
    return (mls_transport_collective){
        .size = sizeof(mls_transport_collective),
        .op = call->header.op < sizeof ops / sizeof ops[0] ? ops[call->header.op] : 0,
        .dtype = call->header.dtype,
        .reduction = call->header.reduction,
        .root = call->header.root,
        .count = call->header.count,
        .until_ns = call->until_ns,
    };
}

bool mls__engine_can(const mls_group *group, const mls__call *call)
{
    const mls_transport *driver = group->transport.ops;
    const mls_transport_collective collective = describe(call);
    if (!MLS_HAS_OP(driver, mls_transport, can_run) || !MLS_HAS_OP(driver, mls_transport, run))
        return false;
    if (!collective.op || !collective.count || group->size < 2)
        return false;
    if (collective.reduction && (group->stated_shards || collective.reduction == MLS_REDUCE_USER))
        return false;
    return driver->can_run(group->link, &collective) != 0;
}

mls_status mls__engine_run(mls_group *group, mls__call *call, const void *source, void *target)
{
    mls_transport_collective collective = describe(call);
    collective.source = source;
    collective.target = target;
    mls_status status = mls__round(group, call, 0, NULL, 0);
    if (status)
        return status;
    call->header.phase = 1; /* every rank has begun it */
    status = group->transport.ops->run(group->link, &collective);
    return status ? mls__call_lost(group, call, status) : MLS_OK;
}
