/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of collectives, held to what their family says; nothing is told to others before. */
#include "group/group.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define COARSE_FROM_MS 1000

static mls_status read_call(const mls_group_call *given, mls_group_call *ret_call)
{
    mls_group_call call = MLS_GROUP_CALL_INIT;
    const mls_status status =
        mls__options_read("mls_group_call", given, sizeof call, sizeof call, &call);
    if (status)
        return status;
    if (call.timeout_ms < 0)
        return mls__error(MLS_EINVAL,
                          "mls_group_call.timeout_ms is %" PRId64 "; every call has a deadline: "
                          "write 1 or more, or 0 for the group's",
                          call.timeout_ms);
    if (call.name && strlen(call.name) > MLS_GROUP_NAME_MAX)
        return mls__error(MLS_EINVAL, "mls_group_call.name has %zu bytes; at most %d are possible",
                          strlen(call.name), MLS_GROUP_NAME_MAX);
    if (call.tag >> 63)
        return mls__error(MLS_EINVAL, "mls_group_call.tag is past 2^63 - 1");
    *ret_call = call;
    return MLS_OK;
}

/* Of seconds, a tick is no part that anybody would miss. */
static void set_deadline(mls__call *call, int64_t timeout_ms)
{
    call->started_ns =
        timeout_ms < COARSE_FROM_MS ? mls__clock_monotonic_ns() : mls__clock_coarse_ns();
    call->until_ns = mls__group_until(call->started_ns, timeout_ms);
}

mls_status mls__call_begin(mls_group *group, uint32_t op, const mls_group_call *given,
                           mls__call *ret_call)
{
    mls_group_call options = MLS_GROUP_CALL_INIT;
    mls_status status = mls__group_check_fork(group);
    if (!status && given)
        status = read_call(given, &options);
    if (!status)
        status = mls__group_check(group, MLS__GROUP_ON_CALL);
    if (status)
        return status;
    memset(ret_call, 0, sizeof *ret_call); /* headers are compared, padding and all */
    mls__header *header = &ret_call->header;
    header->version = MLS__HEADER_VERSION;
    header->epoch = group->epoch;
    header->op = op;
    header->shards = group->shards;
    if (options.name)
        memcpy(header->name, options.name, strlen(options.name));
    if (op == MLS__CALL_MESSAGE)
        header->seq = options.tag;
    ret_call->combine = options.combine;
    ret_call->combine_user = options.combine_user;
    set_deadline(ret_call, options.timeout_ms ? options.timeout_ms : group->timeout_ms);
    return MLS_OK;
}

static mls_status check_reduction(const mls__call *call)
{
    const uint32_t op = call->header.reduction;
    if (op < MLS_REDUCE_SUM || op > MLS_REDUCE_USER)
        return mls__error(
            MLS_EINVAL,
            "%u is no reduction; write MLS_REDUCE_SUM, _PRODUCT, _MIN, _MAX, _MEAN or _USER", op);
    if (op == MLS_REDUCE_USER && !call->combine)
        return mls__error(MLS_EINVAL, "MLS_REDUCE_USER needs mls_group_call.combine");
    if (!mls__reduction_can(op, call->header.dtype))
        return mls__error(MLS_EDTYPE, "a %s of %s is not possible", mls__reduction_name(op),
                          mls_dtype_name((mls_dtype) call->header.dtype));
    return MLS_OK;
}

/* Whether the first dimension counts shards. */
static bool has_shard_dim(const mls_group *group, const mls__family *family)
{
    return family->reduces && group->stated_shards;
}

/* Elements of a source, or of one of its shards. */
static mls_status source_count(const mls_group *group, const mls__family *family,
                               const mls_tensor *source, uint64_t *ret_count)
{
    int64_t count = source->count;
    uint32_t shards;
    if (has_shard_dim(group, family)) {
        mls_group_shards(group, group->rank, NULL, &shards);
        if (source->rank < 1 || source->dims[0] != (int64_t) shards)
            return mls__error(MLS_ESHAPE,
                              "%s: the first dimension of the source must be %u, the shards of "
                              "rank %u",
                              family->name, shards, group->rank);
        if (!mls__shape_count(source->rank - 1, source->dims + 1, &count))
            return mls__error(MLS_ESHAPE, "%s: a shard of the source is too large", family->name);
    }
    *ret_count = (uint64_t) count;
    return MLS_OK;
}

/* Elements of a piece, of a tensor that has one or all of them. */
static mls_status piece_count(const mls_group *group, const mls__family *family, const char *which,
                              uint64_t count, bool is_all, uint64_t *ret_count)
{
    if (is_all && count % group->size)
        return mls__error(MLS_ESHAPE,
                          "%s: the %s has %" PRIu64 " elements, which is no multiple "
                          "of %u ranks",
                          family->name, which, count, group->size);
    *ret_count = is_all ? count / group->size : count;
    return MLS_OK;
}

static mls_status check_counts(const mls_group *group, const mls__family *family, mls__call *call)
{
    uint64_t given = 0, got = 0;
    mls_status status = MLS_OK;
    if (call->source) {
        status = source_count(group, family, call->source, &given);
        if (!status)
            status = piece_count(group, family, "source", given, family->source_is_all, &given);
    }
    if (!status && call->target)
        status = piece_count(group, family, "target", (uint64_t) call->target->count,
                             family->target_is_all, &got);
    if (status)
        return status;
    if (call->source && call->target && given != got)
        return mls__error(
            MLS_ESHAPE, "%s: the source has pieces of %" PRIu64 " elements, the target of %" PRIu64,
            family->name, given, got);
    call->header.count = call->target ? got : given;
    return MLS_OK;
}

/* So that no size overflows: a piece for each rank, of which each element has 64 sums of 8 bytes.
 */
static mls_status check_size(const mls_group *group, const mls__family *family, uint64_t count)
{
    if (count > SIZE_MAX / 512 / group->size)
        return mls__error(MLS_ELIMIT, "%s: pieces of %" PRIu64 " elements are too large",
                          family->name, count);
    return MLS_OK;
}

static mls_status check_dtypes(const mls__family *family, mls__call *call)
{
    const mls_tensor *any = call->target ? call->target : call->source;
    if (call->source && call->target && call->source->dtype != call->target->dtype)
        return mls__error(MLS_EDTYPE, "%s: the source is %s, the target %s", family->name,
                          mls_dtype_name((mls_dtype) call->source->dtype),
                          mls_dtype_name((mls_dtype) call->target->dtype));
    if (any->dtype == MLS_STRING)
        return mls__error(MLS_EDTYPE, "%s: strings cannot be moved", family->name);
    call->header.dtype = any->dtype;
    return family->reduces ? check_reduction(call) : MLS_OK;
}

/* Whether `part` is the rank's piece of `whole`, both contiguous. */
static bool is_own_piece(const mls_group *group, const mls_tensor *part, const mls_tensor *whole)
{
    const unsigned char *data = mls_tensor_data(whole);
    return mls_tensor_is_contiguous(part) && mls_tensor_is_contiguous(whole) &&
           mls_tensor_data(part) == data + group->rank * mls_tensor_size_bytes(part);
}

/* Which overlaps are harmless: the header of mlscale/group.h says so for each family. */
static bool may_overlap(const mls_group *group, const mls__family *family, const mls__call *call)
{
    if (family->reduces && has_shard_dim(group, family) && call->source->dims[0] > 1)
        return false;
    if (family->source_is_all == family->target_is_all)
        return mls__tensors_same(call->source, call->target);
    return family->source_is_all ? is_own_piece(group, call->target, call->source)
                                 : is_own_piece(group, call->source, call->target);
}

static mls_status check_memory(const mls_group *group, const mls__family *family,
                               const mls__call *call)
{
    if (call->target && mls__tensor_repeats(call->target))
        return mls__error(MLS_EINVAL, "%s: elements of the target share memory", family->name);
    if (call->source && call->target && mls__tensors_overlap(call->source, call->target) &&
        !may_overlap(group, family, call))
        return mls__error(MLS_EINVAL, "%s: source and target overlap otherwise than in place",
                          family->name);
    return MLS_OK;
}

mls_status mls__call_check(const mls_group *group, mls__call *call)
{
    const mls__family *family = mls__family_get(call->header.op);
    const bool is_root = group->rank == call->header.root;
    if (!family->moves)
        return MLS_OK;
    if (call->header.root >= group->size)
        return mls__error(MLS_EINVAL, "%s: the root is %u; ranks are 0 to %u", family->name,
                          call->header.root, group->size - 1);
    if (family->from_root && !is_root)
        call->source = NULL;
    if (family->to_root && !is_root)
        call->target = NULL;
    if ((!call->source && (!family->from_root || is_root)) ||
        (!call->target && (!family->to_root || is_root) && call->header.op != MLS__CALL_BROADCAST))
        return mls__error(MLS_EINVAL,
                          "%s: rank %u needs a source and a target: NULL is for those "
                          "that give or get nothing",
                          family->name, group->rank);
    mls_status status = check_dtypes(family, call);
    if (!status)
        status = check_counts(group, family, call);
    if (!status)
        status = check_size(group, family, call->header.count);
    return status ? status : check_memory(group, family, call);
}
