/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules of job types, handed to a queue. Each is named after its type and carries the file's
 * name as its source: that is how a file knows what is its own to take back.
 */
#include "job_types/types.h"

#include "base/context.h"
#include "base/error.h"
#include "base/vec.h"

#include <stdio.h>
#include <string.h>

static const mls__type *find_scheduled(const mls_job_types *types, const char *name)
{
    for (size_t i = 0; i < types->count; i++)
        if (types->items[i].schedule.cron && strcmp(types->items[i].name, name) == 0)
            return &types->items[i];
    return NULL;
}

/* What the queue has that concerns the file. */
typedef struct survey {
    const mls_job_types *types;
    char source[MLS_SCHEDULE_SOURCE_MAX + 1];
    mls__vec gone;            /* char *: names of ours that the file does not have any more */
    const mls__type *foreign; /* one of whose name there is a schedule that is not ours */
    bool has_failed;
} survey;

static void look_at(void *user, const mls_schedule *schedule)
{
    survey *s = user;
    const mls__type *type = find_scheduled(s->types, schedule->name);
    const bool is_ours = strcmp(schedule->source, s->source) == 0;
    if (type && !is_ours)
        s->foreign = type;
    if (type || !is_ours)
        return;
    char *name = mls__alloc_string(s->types->allocator, schedule->name);
    char **place = name ? mls__vec_push(&s->gone) : NULL;
    if (place)
        *place = name;
    else
        mls__free(s->types->allocator, name);
    s->has_failed |= !place;
}

static uint32_t missed_of(const mls__type *type)
{
    const char *missed = type->schedule.missed;
    if (!missed || strcmp(missed, "skip") == 0)
        return MLS_MISSED_SKIP;
    return strcmp(missed, "once") == 0 ? MLS_MISSED_ONCE : MLS_MISSED_ALL;
}

static mls_status set_one(const survey *s, mls_queue *queue, const mls__type *type)
{
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    mls_schedule schedule = MLS_SCHEDULE_INIT;
    mls_status status = mls_job_types_fill(s->types, type->name, &job);
    job.flags = 0; /* it depends on no other job */
    schedule.name = type->name;
    schedule.cron = type->schedule.cron;
    schedule.zone = type->schedule.zone;
    schedule.missed = missed_of(type);
    schedule.source = s->source;
    schedule.job = &job;
    if (!status)
        status = mls_queue_schedule(queue, &schedule);
    const mls__type_keys keys = {{"schedule"}};
    return status ? mls__type_error_at(s->types, type, &keys, status) : MLS_OK;
}

static mls_status apply(survey *s, mls_queue *queue)
{
    const mls_job_types *types = s->types;
    mls_status status = mls_queue_visit_schedules(queue, look_at, s);
    if (!status && s->has_failed)
        status = mls__error_nomem(s->gone.count);
    if (!status && s->foreign)
        status = mls__type_error_at(
            types, s->foreign, &(mls__type_keys){{"schedule"}},
            mls__error(MLS_EEXIST, "there is a schedule of this name in the queue that is not of "
                                   "this file; take that back first, or name the type otherwise"));
    for (size_t i = 0; !status && i < types->count; i++)
        if (types->items[i].schedule.cron)
            status = set_one(s, queue, &types->items[i]);
    for (size_t i = 0; !status && i < s->gone.count; i++) {
        status = mls_queue_unschedule(queue, *(char **) mls__vec_at(&s->gone, i));
        status = status == MLS_ENOTFOUND ? MLS_OK : status; /* somebody else was first */
    }
    return status;
}

static bool has_schedules(const mls_job_types *types)
{
    for (size_t i = 0; i < types->count; i++)
        if (types->items[i].schedule.cron)
            return true;
    return false;
}

mls_status mls_job_types_schedule(const mls_job_types *types, mls_queue *queue)
{
    if (!types || !queue)
        return mls__error_null(__func__, "types and queue");
    if (!has_schedules(types) && !(mls_queue_capabilities(queue) & MLS_QUEUE_CAN_CRON))
        return MLS_OK;
    survey s = {.types = types};
    const int length = snprintf(s.source, sizeof s.source, "job-types:%s", types->path);
    if (length < 0 || (size_t) length >= sizeof s.source)
        return mls__error(MLS_EINVAL, "the file's name is too long for a schedule's source");
    mls__vec_init(&s.gone, types->allocator, sizeof(char *));
    const mls_status status = apply(&s, queue);
    for (size_t i = 0; i < s.gone.count; i++)
        mls__free(types->allocator, *(char **) mls__vec_at(&s.gone, i));
    mls__vec_clear(&s.gone);
    return status;
}
