/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules as stores keep them. */
#include "queue/durable/schedules.h"

#include <string.h>

/* Rows */

mls__schedule_columns mls__schedule_pack(const mls_schedule *s)
{
    const mls_job_options *o = s->job;
    return (mls__schedule_columns){
        .texts = {s->name, s->source, s->cron, s->zone, o->type, o->queue, o->tenant, o->batch_key},
        .numbers = {s->missed, s->next_ms, s->last_ms, o->priority, o->max_attempts, o->backoff_ms,
                    o->backoff_max_ms, o->jitter_percent, o->retention_ms, o->needs.cpu_milli,
                    o->needs.memory_bytes, o->needs.gpus},
        .payload = o->payload,
        .payload_bytes = o->payload ? o->payload_bytes : 0,
    };
}

static bool is_sound(const mls__schedule_columns *c)
{
    static const size_t most[MLS__SCHEDULE_TEXTS] = {
        MLS_JOB_NAME_MAX, MLS_SCHEDULE_SOURCE_MAX, MLS_SCHEDULE_CRON_MAX, MLS_SCHEDULE_ZONE_MAX,
        MLS_JOB_NAME_MAX, MLS_JOB_NAME_MAX,        MLS_JOB_KEY_MAX,       MLS_JOB_KEY_MAX};
    static const struct {
        int64_t least, most;
    } ranges[MLS__SCHEDULE_NUMBERS] = {
        {MLS_MISSED_SKIP, MLS_MISSED_ALL},
        {0, INT64_MAX},
        {0, INT64_MAX},
        {MLS_PRIORITY_LOWEST, MLS_PRIORITY_HIGHEST},
        {1, UINT32_MAX},
        {0, UINT32_MAX},
        {0, UINT32_MAX},
        {0, 100},
        {0, INT64_MAX >> 2},
        {0, MLS_CPU_MILLI_MAX},
        {0, MLS_MEMORY_BYTES_MAX},
        {0, MLS_GPUS_MAX},
    };
    for (size_t i = 0; i < MLS__SCHEDULE_TEXTS; i++)
        if (!c->texts[i] || strlen(c->texts[i]) > most[i])
            return false;
    for (size_t i = 0; i < MLS__SCHEDULE_NUMBERS; i++)
        if (c->numbers[i] < ranges[i].least || c->numbers[i] > ranges[i].most)
            return false;
    return c->payload_bytes <= MLS_SCHEDULE_PAYLOAD_MAX;
}

static void unpack_job(const mls__schedule_columns *c, mls_job_options *job)
{
    const int64_t *n = c->numbers;
    *job = (mls_job_options) MLS_JOB_OPTIONS_INIT;
    job->type = c->texts[4];
    job->queue = c->texts[5];
    job->tenant = c->texts[6];
    job->batch_key = c->texts[7];
    job->priority = (int32_t) n[3];
    job->max_attempts = (uint32_t) n[4];
    job->backoff_ms = (uint32_t) n[5];
    job->backoff_max_ms = (uint32_t) n[6];
    job->jitter_percent = (uint32_t) n[7];
    job->retention_ms = n[8];
    job->needs = (mls_resources){n[9], n[10], n[11]};
    job->payload = c->payload;
    job->payload_bytes = c->payload_bytes;
}

bool mls__schedule_unpack(const mls__schedule_columns *c, mls_schedule *ret_schedule,
                          mls_job_options *ret_job)
{
    if (!is_sound(c))
        return false;
    unpack_job(c, ret_job);
    *ret_schedule = (mls_schedule) MLS_SCHEDULE_INIT;
    ret_schedule->name = c->texts[0];
    ret_schedule->source = c->texts[1];
    ret_schedule->cron = c->texts[2];
    ret_schedule->zone = c->texts[3];
    ret_schedule->missed = (uint32_t) c->numbers[0];
    ret_schedule->next_ms = c->numbers[1];
    ret_schedule->last_ms = c->numbers[2];
    ret_schedule->job = ret_job;
    return true;
}

/* Firing */

/* Submits what is due; what is refused is still to come. */
static mls_status submit_due(const mls_queue_host *policy, mls_schedule *schedule,
                             const int64_t *due_ms, size_t count, mls__schedule_submit_fn submit,
                             void *user)
{
    for (size_t i = 0; i < count; i++) {
        mls_queue_firing firing;
        policy->schedule_fire(schedule, due_ms[i], &firing);
        const mls_status status = submit(user, &firing.item);
        if (status) {
            schedule->next_ms = due_ms[i];
            return status;
        }
        schedule->last_ms = due_ms[i];
    }
    return MLS_OK;
}

mls_status mls__schedule_go_off(const mls_plugin_host *host, const mls_queue_host *policy,
                                mls_schedule *schedule, int64_t now_ms,
                                mls__schedule_submit_fn submit, void *user)
{
    int64_t due_ms[MLS_MISSED_MOST];
    size_t count = 0;
    const int64_t last_ms = schedule->last_ms;
    mls_status status = policy->schedule_advance(host, schedule, now_ms, due_ms, &count);
    if (!status) {
        schedule->last_ms = last_ms;
        status = submit_due(policy, schedule, due_ms, count, submit, user);
    }
    if (status && !mls__schedule_may_pass(status))
        schedule->next_ms = INT64_MAX;
    return status;
}

/* Its zone's file may be missing on this host alone; what is wrong in its line stays so. */
bool mls__schedule_may_pass(mls_status status)
{
    return status != MLS_EINVAL;
}

/* One that fires no more is kept for people to see, and to be set again. */
void mls__schedule_say(const mls_plugin_host *host, const char *store, mls_status status)
{
    host->log(host->context, MLS_LOG_WARNING, "queue '%s': %s: this schedule %s", store,
              host->error_message(),
              mls__schedule_may_pass(status) ? "waits a minute, and is then tried again"
                                             : "does not fire any more, until it is set again");
}

/* Looking */

bool mls__schedule_list_add(const mls_plugin_host *host, const mls_queue_host *policy,
                            mls__schedule_list *all, const mls_schedule *schedule)
{
    if (all->count == all->room) {
        const size_t room = all->room ? 2 * all->room : 16;
        mls_schedule **larger = host->alloc(host->context, room * sizeof(mls_schedule *));
        if (!larger)
            return false;
        if (all->count)
            memcpy(larger, all->list, all->count * sizeof(mls_schedule *));
        if (all->list)
            host->free(host->context, all->list);
        all->list = larger;
        all->room = room;
    }
    mls_schedule *copy = policy->schedule_copy(host, schedule);
    if (copy)
        all->list[all->count++] = copy;
    return copy != NULL;
}

void mls__schedule_list_free(const mls_plugin_host *host, mls__schedule_list *all)
{
    for (size_t i = 0; i < all->count; i++)
        host->free(host->context, all->list[i]);
    if (all->list)
        host->free(host->context, all->list);
    *all = (mls__schedule_list){0};
}

/* Pauses, in the order of names */

/* Where the pause of that name is, or would be. */
static size_t find_place(const mls__schedule_pauses *pauses, const char *name)
{
    size_t first = 0, end = pauses->count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (strcmp(pauses->list[middle].name, name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

const mls__schedule_pause *mls__schedule_pauses_find(const mls__schedule_pauses *pauses,
                                                     const char *name)
{
    const size_t at = find_place(pauses, name);
    return at < pauses->count && !strcmp(pauses->list[at].name, name) ? &pauses->list[at] : NULL;
}

static bool make_room(const mls_plugin_host *host, mls__schedule_pauses *pauses)
{
    if (pauses->count < pauses->room)
        return true;
    const size_t room = pauses->room ? 2 * pauses->room : 4;
    mls__schedule_pause *larger = host->alloc(host->context, room * sizeof *larger);
    if (!larger)
        return false;
    if (pauses->count)
        memcpy(larger, pauses->list, pauses->count * sizeof *larger);
    if (pauses->list)
        host->free(host->context, pauses->list);
    pauses->list = larger;
    pauses->room = room;
    return true;
}

bool mls__schedule_pauses_add(const mls_plugin_host *host, mls__schedule_pauses *pauses,
                              const char *name, int64_t now_ms)
{
    if (!make_room(host, pauses))
        return false;
    const size_t at = find_place(pauses, name), length = strnlen(name, MLS_JOB_NAME_MAX);
    mls__schedule_pause *pause = &pauses->list[at];
    memmove(pause + 1, pause, (pauses->count++ - at) * sizeof *pause);
    memcpy(pause->name, name, length);
    pause->name[length] = '\0';
    pause->until_ms = now_ms + MLS__SCHEDULE_PAUSE_MS;
    return true;
}

int64_t mls__schedule_pauses_look(mls__schedule_pauses *pauses, int64_t now_ms)
{
    size_t kept = 0;
    int64_t next_ms = 0;
    for (size_t i = 0; i < pauses->count; i++) {
        const int64_t until_ms = pauses->list[i].until_ms;
        if (until_ms <= now_ms || until_ms > now_ms + MLS__SCHEDULE_PAUSE_MS)
            continue;
        if (kept != i)
            pauses->list[kept] = pauses->list[i];
        kept++;
        next_ms = !next_ms || until_ms < next_ms ? until_ms : next_ms;
    }
    pauses->count = kept;
    return next_ms;
}

void mls__schedule_pauses_free(const mls_plugin_host *host, mls__schedule_pauses *pauses)
{
    if (pauses->list)
        host->free(host->context, pauses->list);
    *pauses = (mls__schedule_pauses){0};
}
