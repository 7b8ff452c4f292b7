/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue show, cancel, retry: jobs one by one. */
#include "cmd_queue.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

/* show */

static int write_bytes(const void *data, size_t size)
{
    if (size && (fwrite(data, 1, size, stdout) != size || fflush(stdout) != 0))
        return failure("cannot write to standard output");
    return EXIT_GOOD;
}

/* A line of show. */
#define LINE "%-14s "

static void print_text(const char *name, const char *text)
{
    if (!text[0])
        return;
    printf(LINE, name);
    print_visible(stdout, text);
    putchar('\n');
}

static void print_time(const char *name, int64_t wall_ms)
{
    char text[32];
    if (wall_ms)
        printf(LINE "%s\n", name, time_text(wall_ms, text, sizeof text));
}

static void print_times(const mls_job_info *info)
{
    print_time("submitted", info->submitted_ms);
    print_time("run at", info->run_at_ms);
    print_time("deadline", info->deadline_ms);
    print_time("claimed", info->claimed_ms);
    print_time("ended", info->ended_ms);
    printf(LINE "%.3f s\n", "waiting", (double) info->waiting_ns / 1e9);
    printf(LINE "%.3f s\n", "running", (double) info->running_ns / 1e9);
}

/* Of jobs that need something, or did; and of those that nobody takes. */
static void print_needs(mls_queue *queue, const mls_job_info *info)
{
    char text[1024];
    print_text("needs", needs_text(&info->needs, text, sizeof text));
    if (info->escalations)
        printf(LINE "%" PRIu32 "\n", "escalations", info->escalations);
    print_text("waits", waits_text(queue, info, text, sizeof text));
}

/* What JSON has too, but for what says nothing. */
static int print_job(mls_queue *queue, const mls_job *job)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    if (mls_job_get_info(job, &info))
        return library_failure(NULL);
    printf(LINE "%" PRIu64 "\n", "id", info.id);
    print_text("type", info.type);
    print_text("state", mls_job_state_name(info.state));
    print_text("queue", info.queue);
    print_text("tenant", info.tenant);
    print_text("key", info.key);
    print_text("batch key", info.batch_key);
    print_text("owner", info.owner);
    printf(LINE "%" PRId32 "\n", "priority", info.priority);
    printf(LINE "%" PRIu32 " of %" PRIu32 "\n", "attempt", info.attempt, info.max_attempts);
    if (info.deaths)
        printf(LINE "%" PRIu32 "\n", "deaths", info.deaths);
    print_times(&info);
    if (info.payload_bytes)
        printf(LINE "%zu bytes\n", "payload", info.payload_bytes);
    if (info.state == MLS_JOB_SUCCEEDED)
        printf(LINE "%zu bytes\n", "result", info.result_bytes);
    print_needs(queue, &info);
    if (info.progress > 0)
        printf(LINE "%g %%\n", "progress", info.progress * 100);
    print_text("note", info.progress_note);
    print_text("error", info.error ? mls_status_name(info.error) : "");
    print_text("message", info.error ? info.error_message : "");
    return EXIT_GOOD;
}

static int print_job_json(mls_queue *queue, const mls_job *job)
{
    char text[1024];
    mls_job_info info = MLS_JOB_INFO_INIT;
    json_t *object = job_json(job, true);
    if (mls_job_get_info(job, &info) == MLS_OK && waits_text(queue, &info, text, sizeof text)[0])
        json_object_set_new(object, "waits", json_string(text));
    return print_json(object);
}

static int show_job(const arguments *args, mls_queue *queue, const mls_job *job)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    const void *data;
    size_t size;
    if (arguments_has(args, "payload"))
        return mls_job_get_info(job, &info) ? library_failure(NULL)
                                            : write_bytes(info.payload, info.payload_bytes);
    if (arguments_has(args, "result"))
        return mls_job_result(job, &data, &size) ? library_failure(NULL) : write_bytes(data, size);
    return arguments_has(args, "json") ? print_job_json(queue, job) : print_job(queue, job);
}

static int show(const arguments *args)
{
    queue_tool tool;
    mls_job *job;
    uint64_t id;
    if (!id_read(args, 0, &id))
        return EXIT_USAGE;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    if (mls_queue_get(tool.queue, id, &job)) {
        code = library_failure(NULL);
    } else {
        code = show_job(args, tool.queue, job);
        mls_job_free(job);
    }
    queue_tool_close(&tool);
    return code;
}

static const option_spec show_options[] = {
    QUEUE_OPTION,
    {"payload", NULL, "write the payload, as it is"},
    {"result", NULL, "write the result, as it is"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_show = {
    .name = "queue show",
    .operands = "ID --queue URL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "show all that is known of a job",
    .options = show_options,
    .run = show,
};

/* cancel, retry */

typedef mls_status (*change_fn)(mls_queue *queue, uint64_t id);

typedef struct change_state {
    change_fn change;
    atomic_uint_least64_t count;
} change_state;

static int change_job(void *user, mls_queue *queue, const mls_job *job)
{
    change_state *state = user;
    const mls_status status = state->change(queue, mls_job_id(job));
    if (status && status != MLS_ESTATE && status != MLS_ENOTFOUND)
        return library_failure(NULL);
    atomic_fetch_add(&state->count,
                     status == MLS_OK); /* others changed or went since they were listed */
    return EXIT_GOOD;
}

/* All of them are read before one is changed. */
static int change_named(const arguments *args, mls_queue *queue, change_state *state)
{
    const size_t count = arguments_operand_count(args);
    int code = EXIT_GOOD;
    uint64_t id;
    for (size_t i = 0; i < count; i++)
        if (!id_read(args, i, &id))
            return EXIT_USAGE;
    for (size_t i = 0; i < count; i++) {
        id_read(args, i, &id);
        if (state->change(queue, id))
            code = library_failure(NULL);
        else
            atomic_fetch_add(&state->count, 1);
    }
    return code;
}

/* The jobs of the operands, or with --all those of the filter in one of `states`. */
static int change_jobs(const arguments *args, change_fn change, uint32_t states, const char *word)
{
    queue_tool tool;
    job_filter filter;
    change_state state = {.change = change};
    const bool all = arguments_has(args, "all");
    if (!filter_read(args, &filter))
        return EXIT_USAGE;
    if (all == (arguments_operand_count(args) > 0))
        return usage_error(args, "give ids of jobs, or --all and which");
    filter.listed.states = filter.listed.states ? filter.listed.states : states;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    code = all ? jobs_change(tool.queue, &filter, change_job, &state)
               : change_named(args, tool.queue, &state);
    queue_tool_close(&tool);
    if (code == EXIT_USAGE)
        return code;
    const uint64_t count = atomic_load(&state.count);
    if (arguments_has(args, "json")) {
        const int printed = print_json(json_pack("{s:I}", word, (json_int_t) count));
        return code ? code : printed;
    }
    printf("%" PRIu64 " %s\n", count, word);
    return code;
}

static int cancel(const arguments *args)
{
    return change_jobs(args, mls_queue_cancel,
                       MLS_QUEUE_STATE(MLS_JOB_SCHEDULED) | MLS_QUEUE_STATE(MLS_JOB_BLOCKED) |
                           MLS_QUEUE_STATE(MLS_JOB_READY) | MLS_QUEUE_STATE(MLS_JOB_RUNNING),
                       "cancelled");
}

static int retry(const arguments *args)
{
    return change_jobs(args, mls_queue_requeue, MLS_QUEUE_STATE(MLS_JOB_DEAD), "ready");
}

static const option_spec change_options[] = {
    QUEUE_OPTION,       {"all", NULL, "all jobs that the options below let pass"},
    FILTER_OPTIONS,     JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_cancel = {
    .name = "queue cancel",
    .operands = "ID...|--all --queue URL",
    .max_operands = SIZE_MAX,
    .summary = "cancel jobs: waiting ones at once, running ones when their handlers stop",
    .options = change_options,
    .run = cancel,
};

const command command_queue_retry = {
    .name = "queue retry",
    .operands = "ID...|--all --queue URL",
    .max_operands = SIZE_MAX,
    .summary = "make dead or cancelled jobs ready again, with all their attempts",
    .details = "--all is of dead jobs unless --state says which.",
    .options = change_options,
    .run = retry,
};
