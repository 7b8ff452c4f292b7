/* SPDX-License-Identifier: Apache-2.0 */
/* A set of job types once it is read: looked at, taken for a submit, freed. */
#include "job_types/types.h"

#include "base/context.h"
#include "base/error.h"

#include <string.h>

void mls_job_types_free(mls_job_types *types)
{
    if (!types)
        return;
    const mls__allocator *allocator = types->allocator;
    mls__keeper_stop(types->keeper);
    for (size_t i = 0; i < types->count; i++) {
        mls__type *type = &types->items[i];
        mls_model_free(type->loaded);
        mls__free(allocator, (void *) type->handler.command.items);
        mls__free(allocator, (void *) type->handler.options.items);
        mls__free(allocator, type->handler.environment.items);
        mls__free(allocator, type->handler.inputs.items);
        mls__free(allocator, type->resources.escalate.items);
        mls__free(allocator, (void *) (uintptr_t) type->handler.model);
    }
    mls__free(allocator, types->items);
    mls__types_drop_document(types);
    mls__free(allocator, types->path);
    mls_context *context = types->context;
    mls__free(allocator, types);
    mls__context_unref(context);
}

size_t mls_job_types_count(const mls_job_types *types)
{
    return types ? types->count : 0;
}

const char *mls_job_types_name(const mls_job_types *types, size_t index)
{
    return index < mls_job_types_count(types) ? types->items[index].name : NULL;
}

static const mls__type *find_type(const mls_job_types *types, const char *name)
{
    for (size_t i = 0; i < types->count; i++)
        if (strcmp(types->items[i].name, name) == 0)
            return &types->items[i];
    return NULL;
}

mls_status mls_job_types_fill(const mls_job_types *types, const char *name,
                              mls_job_options *options)
{
    if (!types || !name || !options)
        return mls__error_null(__func__, "types, name and options");
    const mls__type *type = find_type(types, name);
    if (!type)
        return mls__error(MLS_ENOTFOUND, "'%s' has no job type '%.127s'", types->path, name);
    options->type = type->name;
    options->queue = type->queue;
    options->priority = (int32_t) type->priority;
    options->max_attempts = (uint32_t) type->retries.attempts;
    options->backoff_ms = (uint32_t) type->retries.backoff_ms;
    options->backoff_max_ms = (uint32_t) type->retries.backoff_max_ms;
    options->jitter_percent = (uint32_t) type->retries.jitter;
    options->retention_ms = type->retention_ms;
    options->needs = (mls_resources){.cpu_milli = type->resources.cpu,
                                     .memory_bytes = type->resources.memory,
                                     .gpus = type->resources.gpu};
    if (type->dependencies && strcmp(type->dependencies, "any-end") == 0)
        options->flags |= MLS_JOB_DEPENDS_ANY_END;
    options->batch_key = type->batch.size > 1 ? type->name : NULL;
    return MLS_OK;
}
