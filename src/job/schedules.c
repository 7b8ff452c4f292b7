/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules of jobs: which are set, when they fire, and what becomes of what was missed. */
#include "job/schedules.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "base/vec.h"
#include "job/cron.h"
#include "job/queue.h"
#include "plugin/drivers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The policy */

/* Copies a string to `*at`, which moves behind it. */
static const char *copy_text(char **at, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

#define TEXTS 8

/* Where the strings of a schedule and its job are. */
static void list_texts(mls_schedule *s, mls_job_options *job, const char **texts[TEXTS])
{
    const char **const all[TEXTS] = {&s->name,   &s->cron,    &s->zone,     &s->source,
                                     &job->type, &job->queue, &job->tenant, &job->batch_key};
    memcpy(texts, all, sizeof all);
}

mls_schedule *mls__schedule_copy(const mls_plugin_host *host, const mls_schedule *schedule)
{
    mls_schedule s = *schedule;
    mls_job_options job = *schedule->job;
    const char **texts[TEXTS];
    list_texts(&s, &job, texts);
    size_t size = sizeof s + sizeof job + job.payload_bytes; /* each is bounded */
    for (size_t i = 0; i < TEXTS; i++)
        size += strlen(*texts[i]) + 1;
    char *block = host->alloc(host->context, size);
    if (!block)
        return NULL;
    char *at = block + sizeof s + sizeof job;
    for (size_t i = 0; i < TEXTS; i++)
        *texts[i] = copy_text(&at, *texts[i]);
    if (job.payload && job.payload_bytes)
        memcpy(at, job.payload, job.payload_bytes);
    job.payload = job.payload ? at : NULL;
    job.key = "";
    s.job = memcpy(block + sizeof s, &job, sizeof job);
    return memcpy(block, &s, sizeof s);
}

/* All that were missed, the earliest first, of too many the latest. */
static size_t list_missed(const mls__cron *cron, const mls__zone *zone, int64_t from_ms,
                          int64_t last_ms, int64_t *ret_due_ms)
{
    size_t count = 0;
    while (last_ms != MLS__CRON_NEVER && count < MLS_MISSED_MOST) {
        ret_due_ms[count++] = last_ms;
        last_ms = mls__cron_last(cron, zone, from_ms - 1, last_ms - 1);
    }
    for (size_t i = 0; i < count / 2; i++) {
        const int64_t moved = ret_due_ms[i];
        ret_due_ms[i] = ret_due_ms[count - 1 - i];
        ret_due_ms[count - 1 - i] = moved;
    }
    return count;
}

/* The instants of which it fires. A zone whose rules changed may have none where one was. */
static size_t list_due(const mls_schedule *s, const mls__cron *cron, const mls__zone *zone,
                       int64_t now_ms, int64_t *ret_due_ms)
{
    const int64_t last_ms = mls__cron_last(cron, zone, s->next_ms - 1, now_ms);
    if (last_ms == MLS__CRON_NEVER)
        return 0;
    if (s->missed == MLS_MISSED_ALL)
        return list_missed(cron, zone, s->next_ms, last_ms, ret_due_ms);
    if (s->missed == MLS_MISSED_SKIP && now_ms - last_ms >= MLS_SCHEDULE_LATE_MS)
        return 0;
    ret_due_ms[0] = last_ms;
    return 1;
}

static mls_status open_line(const mls__allocator *allocator, const mls_schedule *s,
                            mls__cron *ret_cron, mls__zone **ret_zone)
{
    mls_status status = mls__cron_parse(s->cron, ret_cron);
    if (!status)
        status = mls__zone_load(allocator, s->zone, ret_zone);
    return status ? mls__error_at(status, "schedule '%s'", s->name) : MLS_OK;
}

mls_status mls__schedule_advance(const mls_plugin_host *host, mls_schedule *schedule,
                                 int64_t now_ms, int64_t *ret_due_ms, size_t *ret_count)
{
    const mls__allocator *allocator = &host->context->allocator;
    mls__cron cron;
    mls__zone *zone;
    const mls_status status = open_line(allocator, schedule, &cron, &zone);
    if (status)
        return status;
    const size_t count = list_due(schedule, &cron, zone, now_ms, ret_due_ms);
    schedule->next_ms = mls__cron_next(&cron, zone, now_ms);
    if (count)
        schedule->last_ms = ret_due_ms[count - 1];
    mls__zone_free(allocator, zone);
    *ret_count = count;
    return MLS_OK;
}

void mls__schedule_fire(const mls_schedule *schedule, int64_t due_ms, mls_queue_firing *ret_firing)
{
    mls_queue_firing *f = ret_firing;
    snprintf(f->key, sizeof f->key, "cron:%s@%lld", schedule->name, (long long) due_ms);
    f->options = *schedule->job;
    f->options.key = f->key;
    f->options.flags = MLS_JOB_JOIN;
    f->item = (mls_queue_item){
        .size = sizeof f->item, .options = &f->options, .state = MLS_JOB_READY, .due_ms = due_ms};
}

/* Setting */

static mls_status check_driver(const mls_queue *queue, const char *function)
{
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_CRON, function);
    if (status || MLS_HAS_OP(queue->ops, mls_queue_driver, visit_schedules))
        return status;
    return mls__error(MLS_EUNSUPPORTED,
                      "queue driver '%s' says that it keeps schedules, and cannot",
                      queue->ops->plugin.name);
}

static mls_status check_texts(const mls_schedule *s)
{
    mls_status status = MLS_OK;
    if (!s->name || !s->cron)
        return mls__error(MLS_EINVAL, "mls_schedule.name and cron: neither may be NULL");
    status = mls__queue_check_name("mls_schedule.name", s->name);
    if (!status)
        status = mls__queue_check_text("mls_schedule.source", s->source, MLS_SCHEDULE_SOURCE_MAX);
    return status;
}

/* What a job of a schedule has, and cannot have. */
static mls_status check_job(const mls_job_options *o)
{
    const struct {
        bool is_set;
        const char *field;
    } never[] = {
        {o->key[0], "key"},
        {o->flags, "flags"},
        {o->run_at_ms, "run_at_ms"},
        {o->delay_ms, "delay_ms"},
        {o->deadline_ms, "deadline_ms"},
        {o->depends_on_count, "depends_on"},
        {o->payload_free, "payload_free"},
    };
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (never[i].is_set)
            return mls__error(MLS_EINVAL, "mls_schedule.job: a schedule's job has no %s",
                              never[i].field);
    if (o->payload_bytes > MLS_SCHEDULE_PAYLOAD_MAX)
        return mls__error(MLS_ELIMIT,
                          "mls_schedule.job: its payload is of %zu bytes; up to %d are possible",
                          o->payload_bytes, MLS_SCHEDULE_PAYLOAD_MAX);
    return MLS_OK;
}

static mls_status find_next(const mls_queue *queue, mls_schedule *s)
{
    const mls__allocator *allocator = &queue->context->allocator;
    mls__cron cron;
    mls__zone *zone;
    const mls_status status = open_line(allocator, s, &cron, &zone);
    if (status)
        return status;
    s->next_ms = mls__cron_next(&cron, zone, mls__clock_wall_ms());
    s->last_ms = 0;
    mls__zone_free(allocator, zone);
    if (s->next_ms == MLS__CRON_NEVER)
        return mls__error(MLS_EINVAL, "schedule '%s': it would never fire", s->name);
    return MLS_OK;
}

/* Fills in `ret_schedule` and `ret_job`, to which it points, with nothing left to resolve. */
static mls_status read_schedule(const mls_queue *queue, const mls_schedule *given,
                                mls_schedule *ret_schedule, mls_job_options *ret_job)
{
    mls_schedule s = MLS_SCHEDULE_INIT;
    mls_queue_item item;
    mls_status status = mls__options_read("mls_schedule", given, sizeof s, sizeof s, &s);
    if (status)
        return status;
    s.zone = s.zone ? s.zone : "UTC";
    s.source = s.source ? s.source : "";
    if (s.missed > MLS_MISSED_ALL || s.reserved)
        return mls__error(MLS_EINVAL,
                          "mls_schedule.missed is %u; it is one of MLS_MISSED_*, and reserved is 0",
                          s.missed);
    if (!s.job)
        return mls__error(MLS_EINVAL, "mls_schedule.job is NULL; say what is submitted");
    status = check_texts(&s);
    if (!status)
        status = mls__queue_check_submit(queue, s.job, 0, ret_job, &item);
    if (!status)
        status = check_job(ret_job);
    if (!status)
        status = find_next(queue, &s);
    s.job = ret_job;
    *ret_schedule = s;
    return status;
}

mls_status mls_queue_schedule(mls_queue *queue, const mls_schedule *given)
{
    if (!queue || !given)
        return mls__error_null(__func__, "queue and schedule");
    mls_schedule schedule;
    mls_job_options job;
    mls_status status = check_driver(queue, __func__);
    if (!status)
        status = read_schedule(queue, given, &schedule, &job);
    return status ? status : queue->ops->set_schedule(queue->self, &schedule);
}

mls_status mls_queue_unschedule(mls_queue *queue, const char *name)
{
    if (!queue || !name)
        return mls__error_null(__func__, "queue and name");
    mls_status status = check_driver(queue, __func__);
    if (!status)
        status = mls__queue_check_name("the schedule's name", name);
    return status ? status : queue->ops->remove_schedule(queue->self, name);
}

/* Looking */

/* Copies of what a driver showed, perhaps on another thread and under its locks. */
typedef struct collection {
    const mls_plugin_host *host;
    mls__vec schedules; /* mls_schedule * */
    bool has_failed;
} collection;

static void collect(void *user, const mls_schedule *schedule)
{
    collection *all = user;
    mls_schedule *copy = mls__schedule_copy(all->host, schedule);
    mls_schedule **place = copy ? mls__vec_push(&all->schedules) : NULL;
    if (place)
        *place = copy;
    else if (copy)
        all->host->free(all->host->context, copy);
    all->has_failed |= !place;
}

static mls_schedule *at(const collection *all, size_t index)
{
    return *(mls_schedule **) mls__vec_at(&all->schedules, index);
}

static int compare_names(const void *a, const void *b)
{
    const mls_schedule *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

mls_status mls_queue_visit_schedules(mls_queue *queue, mls_schedule_fn visit, void *user)
{
    if (!queue || !visit)
        return mls__error_null(__func__, "queue and visit");
    mls_status status = check_driver(queue, __func__);
    if (status)
        return status;
    collection all = {.host = mls__drivers_host(queue->context->drivers)};
    mls__vec_init(&all.schedules, &queue->context->allocator, sizeof(mls_schedule *));
    status = queue->ops->visit_schedules(queue->self, collect, &all);
    const size_t count = all.schedules.count;
    if (!status && all.has_failed)
        status = mls__error_nomem(count);
    if (count)
        qsort(all.schedules.data, count, sizeof(mls_schedule *), compare_names);
    for (size_t i = 0; !status && i < count; i++)
        visit(user, at(&all, i));
    for (size_t i = 0; i < count; i++)
        all.host->free(all.host->context, at(&all, i));
    mls__vec_clear(&all.schedules);
    return status;
}
