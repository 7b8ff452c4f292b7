/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue: the list of its commands, and what they share. */
#include "cmd_queue.h"

#include "at_once.h"
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096 /* ids listed at once */

static const command *const commands[] = {
    &command_queue_init,
    &command_queue_submit,
    &command_queue_list,
    &command_queue_show,
    &command_queue_stats,
    &command_queue_top,
    &command_queue_cancel,
    &command_queue_retry,
    &command_queue_purge,
    &command_queue_pause,
    &command_queue_resume,
    &command_queue_limit,
    &command_queue_weigh,
    &command_queue_rules,
    &command_queue_schedule,
    &command_queue_unschedule,
    &command_queue_schedules,
    &command_queue_export,
    NULL,
};

const command command_queue = {
    .name = "queue",
    .summary = "look at a queue of jobs, and change it",
    .group = commands,
};

int queue_tool_open(const arguments *args, const char *option, queue_tool *ret_tool)
{
    return queue_tool_open_url(args, NULL, option, ret_tool);
}

int queue_tool_open_url(const arguments *args, const char *operand, const char *option,
                        queue_tool *ret_tool)
{
    const char *given = operand ? operand : arguments_get(args, "queue");
    mls_queue_options options = MLS_QUEUE_OPTIONS_INIT;
    queue_tool tool = {0};
    char url[4096];
    if (!given)
        return usage_error(args, "--queue is missing: give a URL such as sqlite:jobs.db");
    if (strncmp(given, "memory:", 7) == 0)
        return usage_error(args,
                           "--queue '%s': such a queue lives and dies with one process; give "
                           "one that stays, such as sqlite:jobs.db",
                           given);
    if (!strchr(given, ':'))
        option = NULL; /* no URL at all: the message shall show what was given */
    const char *joint = option ? (strchr(given, '?') ? "&" : "?") : "";
    if ((size_t) snprintf(url, sizeof url, "%s%s%s", given, joint, option ? option : "") >=
        sizeof url)
        return usage_error(args, "--queue: the URL is longer than %zu bytes", sizeof url - 1);
    options.require = MLS_QUEUE_CAN_SHARE;
    if (mls_context_create(NULL, &tool.context))
        return library_failure(NULL);
    if (mls_queue_open(tool.context, url, &options, &tool.queue)) {
        library_failure(NULL);
        mls_context_free(tool.context);
        return EXIT_FAILED;
    }
    *ret_tool = tool;
    return EXIT_GOOD;
}

void queue_tool_close(queue_tool *tool)
{
    mls_queue_close(tool->queue);
    mls_context_free(tool->context);
}

static bool state_read(const char *text, uint32_t *states)
{
    for (int32_t state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++)
        if (strcmp(text, mls_job_state_name(state)) == 0) {
            *states |= MLS_QUEUE_STATE(state);
            return true;
        }
    return false;
}

bool filter_read(const arguments *args, job_filter *ret_filter)
{
    job_filter filter = {MLS_QUEUE_FILTER_INIT, arguments_get(args, "tenant")};
    filter.listed.type = arguments_get(args, "type");
    filter.listed.queue = arguments_get(args, "in-queue");
    for (size_t i = 0; i < arguments_count(args, "state"); i++) {
        const char *text = arguments_at(args, "state", i);
        if (!state_read(text, &filter.listed.states)) {
            usage_error(args,
                        "--state %s: there are scheduled, blocked, ready, running, stopping, "
                        "succeeded, dead and cancelled",
                        text);
            return false;
        }
    }
    *ret_filter = filter;
    return true;
}

bool id_parse(const arguments *args, const char *text, uint64_t *ret_id)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || value == 0) {
        usage_error(args, "'%s' is not the id of a job, which is a number of 1 or more", text);
        return false;
    }
    *ret_id = value;
    return true;
}

bool id_read(const arguments *args, size_t operand, uint64_t *ret_id)
{
    return id_parse(args, arguments_operand(args, operand), ret_id);
}

/* What is called with the jobs of some ids. */
typedef struct visitor {
    mls_queue *queue;
    const job_filter *filter;
    job_visit visit;
    void *user;
    atomic_uint_least64_t
        left; /* that may be visited still; those on several threads have no end */
    atomic_bool is_any_damaged;
} visitor;

static bool is_meant(const visitor *v, const mls_job *job)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    return !v->filter->tenant ||
           (mls_job_get_info(job, &info) == MLS_OK && strcmp(info.tenant, v->filter->tenant) == 0);
}

static int visit_one(visitor *v, const mls_job *job)
{
    if (!atomic_load(&v->left) || !is_meant(v, job))
        return EXIT_GOOD;
    atomic_fetch_sub(&v->left, 1);
    return v->visit(v->user, v->queue, job);
}

/* A job that is damaged is told, and does not hide the others. */
static int visit_job(void *user, uint64_t id)
{
    visitor *v = user;
    mls_job *job;
    const mls_status status = mls_queue_get(v->queue, id, &job);
    if (status == MLS_ENOTFOUND)
        return EXIT_GOOD; /* gone since it was listed */
    if (status == MLS_EFORMAT) {
        atomic_store(&v->is_any_damaged, true);
        failure("job %" PRIu64 ": %s", id, mls_error_message());
        return EXIT_GOOD;
    }
    if (status)
        return library_failure(NULL);
    const int code = visit_one(v, job);
    mls_job_free(job);
    return code;
}

static int one_by_one(const uint64_t *ids, size_t count, id_fn act, void *user)
{
    int code = EXIT_GOOD;
    for (size_t i = 0; !code && i < count; i++)
        code = act(user, ids[i]);
    return code;
}

typedef int (*page_fn)(const uint64_t *ids, size_t count, id_fn act, void *user);

/* Page by page: what `visit` changes on one is not on the next, whose ids are larger. */
static int visit_pages(visitor *v, uint64_t after_id, page_fn each)
{
    uint64_t ids[PAGE];
    int code = EXIT_GOOD;
    for (size_t count = PAGE; !code && count == PAGE && atomic_load(&v->left);) {
        const uint64_t left = atomic_load(&v->left);
        const size_t wanted = left < PAGE && !v->filter->tenant ? (size_t) left : PAGE;
        if (mls_queue_list(v->queue, &v->filter->listed, after_id, wanted, ids, &count))
            return library_failure(NULL);
        code = each(ids, count, visit_job, v);
        after_id = count ? ids[count - 1] : after_id;
    }
    return code || !atomic_load(&v->is_any_damaged) ? code : EXIT_FAILED;
}

int jobs_visit(mls_queue *queue, const job_filter *filter, uint64_t after_id, uint64_t most,
               job_visit visit, void *user)
{
    visitor v = {.queue = queue, .filter = filter, .visit = visit, .user = user, .left = most};
    return visit_pages(&v, after_id, one_by_one);
}

int jobs_change(mls_queue *queue, const job_filter *filter, job_visit change, void *user)
{
    visitor v = {
        .queue = queue, .filter = filter, .visit = change, .user = user, .left = UINT64_MAX};
    return visit_pages(&v, 0, at_once);
}

static char *base64(const unsigned char *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc(size / 3 * 4 + 5), *at = text;
    for (size_t i = 0; text && i < size; i += 3) {
        const size_t left = size - i;
        const unsigned bits = (unsigned) data[i] << 16 |
                              (left > 1 ? (unsigned) data[i + 1] : 0) << 8 |
                              (left > 2 ? (unsigned) data[i + 2] : 0);
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        *at++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? digits[bits & 63] : '=';
    }
    if (text)
        *at = '\0';
    return text;
}

/* Text as "name", other bytes as "name_base64". */
static void set_bytes(json_t *object, const char *name, const void *data, size_t size)
{
    char key[64];
    json_t *text = json_stringn(data ? data : "", size);
    if (text) {
        json_object_set_new(object, name, text);
        return;
    }
    char *coded = base64(data, size);
    snprintf(key, sizeof key, "%s_base64", name);
    if (coded)
        json_object_set_new(object, key, json_string(coded));
    free(coded);
}

static void set_texts(json_t *object, const mls_job_info *info)
{
    const struct {
        const char *name, *text;
    } texts[] = {
        {"type", info->type},   {"state", mls_job_state_name(info->state)},
        {"queue", info->queue}, {"tenant", info->tenant},
        {"key", info->key},     {"batch_key", info->batch_key},
        {"owner", info->owner},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        json_object_set_new(object, texts[i].name, json_string(texts[i].text));
}

static void set_numbers(json_t *object, const mls_job_info *info)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"priority", info->priority},
        {"attempt", info->attempt},
        {"max_attempts", info->max_attempts},
        {"deaths", info->deaths},
        {"submitted_ms", info->submitted_ms},
        {"run_at_ms", info->run_at_ms},
        {"deadline_ms", info->deadline_ms},
        {"claimed_ms", info->claimed_ms},
        {"ended_ms", info->ended_ms},
        {"waiting_ns", (int64_t) info->waiting_ns},
        {"running_ns", (int64_t) info->running_ns},
        {"payload_bytes", (int64_t) info->payload_bytes},
        {"result_bytes", (int64_t) info->result_bytes},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(object, numbers[i].name, json_integer(numbers[i].value));
}

/* Of jobs that need something, or did. */
static void set_needs(json_t *object, const mls_job_info *info)
{
    if (!needs_are_any(&info->needs) && !info->escalations)
        return;
    json_object_set_new(object, "needs_cpu_milli", json_integer(info->needs.cpu_milli));
    json_object_set_new(object, "needs_memory_bytes", json_integer(info->needs.memory_bytes));
    json_object_set_new(object, "needs_gpus", json_integer(info->needs.gpus));
    json_object_set_new(object, "escalations", json_integer(info->escalations));
}

json_t *job_json(const mls_job *job, bool with_bytes)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    json_t *object = json_object();
    if (!object || mls_job_get_info(job, &info))
        return object;
    json_object_set_new(object, "id", json_integer((json_int_t) info.id));
    set_texts(object, &info);
    set_numbers(object, &info);
    set_needs(object, &info);
    json_object_set_new(object, "progress", json_real(info.progress));
    json_object_set_new(object, "note", json_string(info.progress_note));
    if (info.error) {
        json_object_set_new(object, "error", json_string(mls_status_name(info.error)));
        json_object_set_new(object, "error_message", json_string(info.error_message));
    }
    if (with_bytes && info.payload)
        set_bytes(object, "payload", info.payload, info.payload_bytes);
    if (with_bytes && info.state == MLS_JOB_SUCCEEDED)
        set_bytes(object, "result", info.result, info.result_bytes);
    return object;
}
