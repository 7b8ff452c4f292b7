/* SPDX-License-Identifier: Apache-2.0 */
/* Making a group: by a URL where ranks meet, by offers, or from a link of another group. */
#include "group/group.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"

#include <inttypes.h>
#include <string.h>

mls_status mls__group_read_options(const mls_group_options *given,
                                   const mls_group_options *defaults,
                                   mls_group_options *ret_options)
{
    mls_group_options options = *defaults;
    const mls_status status =
        mls__options_read("mls_group_options", given, offsetof(mls_group_options, min_ranks),
                          sizeof options, &options);
    if (status)
        return status;
    if (options.timeout_ms < 1)
        return mls__error(MLS_EINVAL,
                          "mls_group_options.timeout_ms is %" PRId64 "; write 1 or more",
                          options.timeout_ms);
    if (options.token_bytes > MLS_GROUP_TOKEN_MAX || (options.token_bytes && !options.token))
        return mls__error(MLS_EINVAL,
                          "mls_group_options.token has %zu bytes; it is a pointer to at most %d",
                          options.token_bytes, MLS_GROUP_TOKEN_MAX);
    if (options.shards > MLS_GROUP_MAX_SHARDS)
        return mls__error(MLS_EINVAL, "mls_group_options.shards is %u; at most %d are possible",
                          options.shards, MLS_GROUP_MAX_SHARDS);
    *ret_options = options;
    return MLS_OK;
}

/* --- a group that is not connected ----------------------------------------------------------- */

static void set_options(mls_group *group, const mls_group_options *options)
{
    group->timeout_ms = options->timeout_ms;
    group->spin_us = options->spin_us;
    group->stated_shards = options->shards;
    group->token_bytes = options->token_bytes;
    if (options->token_bytes)
        memcpy(group->token, options->token, options->token_bytes);
}

static mls_status create(mls_context *context, mls__transport transport,
                         const mls_group_options *options, mls_group **ret_group)
{
    mls_group *group = mls__alloc_array(&context->allocator, 1, sizeof *group);
    if (!group)
        return mls__error_nomem(sizeof *group);
    mls_status status = mls__mutex_init(&group->mutex);
    if (!status) {
        status = mls__cond_init(&group->changed);
        if (status)
            pthread_mutex_destroy(&group->mutex);
    }
    if (status) {
        mls__free(&context->allocator, group);
        return status;
    }
    mls__refcount_init(&group->refs);
    mls__context_ref(context);
    group->context = context;
    group->transport = transport;
    group->fork_generation = mls__fork_generation();
    group->state = MLS__GROUP_OFFERED;
    group->works_end = &group->works;
    set_options(group, options);
    *ret_group = group;
    return MLS_OK;
}

static mls_status offer(mls_context *context, const char *url, const mls_group_options *given,
                        mls_group **ret_group)
{
    const mls_group_options defaults = MLS_GROUP_OPTIONS_INIT;
    mls_group_options options;
    const char *config;
    mls__transport transport;
    mls_group *group;
    mls_status status = mls__group_read_options(given, &defaults, &options);
    if (!status)
        status = mls__drivers_transport(context->drivers, url, &config, &transport);
    if (!status)
        status = create(context, transport, &options, &group);
    if (status)
        return status;
    status = transport.ops->open_link(transport.self, config, &group->link);
    if (status) {
        group->link = NULL;
        mls__group_unref(group);
        return mls__error_at(status, "group '%.200s'", url);
    }
    *ret_group = group;
    return MLS_OK;
}

/* --- connecting ------------------------------------------------------------------------------ */

static void *alloc_each(mls_group *group, size_t count, size_t size, mls_status *status)
{
    void *data = *status ? NULL : mls__alloc_array(&group->context->allocator, count, size);
    if (!data && !*status)
        *status = mls__error_nomem(count * size);
    return data;
}

/* What collectives need, for so many ranks and shards. */
static mls_status allocate(mls_group *group)
{
    const size_t ranks = group->size;
    mls_status status = mls__tree_init(&group->tree, &group->context->allocator, group->shards,
                                       group->size, group->rank);
    if (status)
        return status;
    const size_t parts = group->tree.first_part[ranks];
    const size_t leaves = parts > group->shards ? parts : group->shards;
    mls__ways_find(group);
    group->record = alloc_each(group, (size_t) group->transport.ops->record_bytes, 1, &status);
    group->records = alloc_each(group, ranks, sizeof *group->records, &status);
    group->messages = alloc_each(group, 2 * ranks, sizeof *group->messages, &status);
    group->give = alloc_each(group, ranks, sizeof *group->give, &status);
    group->take = alloc_each(group, ranks, sizeof *group->take, &status);
    group->leaves = alloc_each(group, leaves, sizeof *group->leaves, &status);
    group->stack = alloc_each(group, mls__tree_depth(&group->tree), MLS__REDUCTION_PLACE, &status);
    return status;
}

/* All ranks say how many shards they want to add up; calls are counted from then on. */
static mls_status first_round(mls_group *group, uint64_t until_ns)
{
    mls__call call;
    memset(&call, 0, sizeof call);
    call.header.version = MLS__HEADER_VERSION;
    call.header.epoch = group->epoch;
    call.header.op = MLS__CALL_OPEN;
    call.header.shards = group->shards;
    call.started_ns = mls__clock_monotonic_ns();
    call.until_ns = until_ns;
    const mls_status status = mls__call_run(group, &call);
    group->seq = 0;
    memset(&group->last, 0, sizeof group->last);
    if (status != MLS_EMISMATCH)
        return status;
    char text[512];
    strncpy(text, mls_error_message(), sizeof text - 1);
    text[sizeof text - 1] = '\0';
    return mls__error(MLS_EINVAL, "%s", text);
}

static void set_rank(mls_group *group, uint32_t rank, uint32_t size, uint32_t epoch)
{
    group->rank = rank;
    group->size = size;
    group->epoch = epoch;
    group->shards = group->stated_shards ? group->stated_shards : size;
}

/* The link is connected. An abort meanwhile has not told the others: that is done now. */
static mls_status start(mls_group *group, uint64_t until_ns)
{
    pthread_mutex_lock(&group->mutex);
    group->is_connected = true;
    pthread_mutex_unlock(&group->mutex);
    const mls_status status = mls__group_enter(group, MLS__GROUP_ON_OPEN);
    return status ? mls__group_break(group, status) : first_round(group, until_ns);
}

static mls_status check_place(uint32_t rank, uint32_t size)
{
    if (size < 1 || size > MLS_GROUP_MAX_RANKS)
        return mls__error(MLS_EINVAL, "a group of %u ranks; it has 1 to %d", size,
                          MLS_GROUP_MAX_RANKS);
    if (rank >= size)
        return mls__error(MLS_EINVAL, "rank %u of %u; ranks are 0 to %u", rank, size, size - 1);
    return MLS_OK;
}

/* `addresses` and their sizes may be NULL: ranks meet by the URL. */
static mls_status join(mls_group *group, uint32_t rank, uint32_t size, const void *const *addresses,
                       const size_t *address_sizes)
{
    const mls_transport *ops = group->transport.ops;
    const uint64_t until_ns = mls__group_until(mls__clock_monotonic_ns(), group->timeout_ms);
    const mls_transport_join request = {
        .size = sizeof request,
        .rank = rank,
        .group_size = size,
        .addresses = addresses,
        .address_sizes = address_sizes,
        .token = group->token,
        .token_bytes = group->token_bytes,
        .until_ns = until_ns,
        .spin_us = group->spin_us,
    };
    set_rank(group, rank, size, 0);
    mls_status status = allocate(group);
    if (!status)
        status = ops->connect(group->link, &request);
    return status ? status : start(group, until_ns);
}

mls_status mls__group_adopt(const mls_group *parent, const mls_group_options *options, void *link,
                            const mls_transport_subset *subset, uint32_t epoch,
                            mls_group **ret_group)
{
    mls_group *group;
    mls_group_options own = *options;
    own.token = parent->token;
    own.token_bytes = parent->token_bytes;
    mls_status status = create(parent->context, parent->transport, &own, &group);
    if (status) {
        parent->transport.ops->close_link(link);
        return status;
    }
    group->link = link;
    group->is_connected = true;
    group->names = subset->ranks;
    set_rank(group, subset->rank, subset->count, epoch);
    status = mls__group_enter(group, MLS__GROUP_ON_JOIN);
    if (!status)
        status = allocate(group);
    if (!status)
        status = start(group, subset->until_ns);
    group->names = NULL;
    if (status) {
        mls_group_free(group);
        return status;
    }
    *ret_group = group;
    return MLS_OK;
}

/* --- the public interface -------------------------------------------------------------------- */

mls_status mls_group_create(mls_context *context, const char *url, uint32_t rank,
                            uint32_t group_size, const mls_group_options *options,
                            mls_group **ret_group)
{
    if (!context || !url || !ret_group)
        return mls__error_null(__func__, "context, url and ret_group");
    mls_group *group;
    mls_status status = check_place(rank, group_size);
    if (!status)
        status = offer(context, url, options, &group);
    if (status)
        return status;
    status = mls__group_enter(group, MLS__GROUP_ON_JOIN);
    if (!status)
        status = join(group, rank, group_size, NULL, NULL);
    if (status) {
        mls_group_free(group);
        return mls__error_at(status, "group '%.200s'", url);
    }
    *ret_group = group;
    return MLS_OK;
}

mls_status mls_group_offer(mls_context *context, const char *url, const mls_group_options *options,
                           mls_group **ret_group)
{
    if (!context || !url || !ret_group)
        return mls__error_null(__func__, "context, url and ret_group");
    mls_group *group;
    mls_status status = offer(context, url, options, &group);
    if (status)
        return status;
    status = group->transport.ops->address(group->link, group->address, sizeof group->address,
                                           &group->address_bytes);
    if (status) {
        mls_group_free(group);
        return mls__error_at(status, "group '%.200s'", url);
    }
    *ret_group = group;
    return MLS_OK;
}

static mls_status check_addresses(uint32_t size, const void *const *addresses, const size_t *sizes)
{
    for (uint32_t i = 0; i < size; i++)
        if (!addresses[i] || !sizes[i] || sizes[i] > MLS_TRANSPORT_ADDRESS_MAX)
            return mls__error(MLS_EINVAL, "the address of rank %u has %zu bytes; it has 1 to %d", i,
                              sizes[i], MLS_TRANSPORT_ADDRESS_MAX);
    return MLS_OK;
}

mls_status mls_group_join(mls_group *group, uint32_t rank, uint32_t group_size,
                          const void *const *addresses, const size_t *address_sizes)
{
    if (!group || !addresses || !address_sizes)
        return mls__error_null(__func__, "group, addresses and address_sizes");
    mls_status status = mls__group_check_fork(group);
    if (!status)
        status = check_place(rank, group_size);
    if (!status)
        status = check_addresses(group_size, addresses, address_sizes);
    if (!status)
        status = mls__group_enter(group, MLS__GROUP_ON_JOIN);
    if (status)
        return status;
    status = join(group, rank, group_size, addresses, address_sizes);
    return status ? mls__group_break(group, status) : MLS_OK;
}
