/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue submit, show, cancel, retry: jobs one by one. */
#include "cmd_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BULK 1000 /* jobs of --lines in one commit */

/* submit */

/* The whole of a file, or of standard input for "-". Gives an exit code, after a message. */
static int read_file(const char *path, char **ret_data, size_t *ret_size)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *data = NULL;
    size_t size = 0, room = 0, got = 1;
    if (!file)
        return failure("cannot read '%s': %s", path, strerror(errno));
    while (got) {
        if (room - size < 4096) {
            char *larger = realloc(data, room = 2 * room + 65536);
            if (!larger)
                break;
            data = larger;
        }
        size += got = fread(data + size, 1, room - size, file);
    }
    const bool failed = got || ferror(file);
    if (file != stdin)
        fclose(file);
    if (failed) {
        free(data);
        return failure("cannot read '%s': %s", path, strerror(errno));
    }
    *ret_data = data;
    *ret_size = size;
    return EXIT_GOOD;
}

/* What its type in the file says; options of the command line come over it. */
static bool read_type(const arguments *args, const mls_job_types *types, mls_job_options *job)
{
    const char *type = arguments_get(args, "type");
    if (!types || mls_job_types_fill(types, type, job) == MLS_OK)
        return true;
    usage_error(args, "--type %s: '%s' has no such type", type, arguments_get(args, "config"));
    return false;
}

static bool read_job(const arguments *args, const mls_job_types *types, mls_job_options *job)
{
    int64_t priority, attempts, backoff_ms;
    if (!read_type(args, types, job))
        return false;
    if (!arguments_int(args, "priority", MLS_PRIORITY_LOWEST, MLS_PRIORITY_HIGHEST, job->priority,
                       &priority) ||
        !arguments_int(args, "attempts", 1, 1000000, job->max_attempts, &attempts) ||
        !arguments_int(args, "backoff", 0, INT64_C(4233600000), job->backoff_ms, &backoff_ms) ||
        !arguments_int(args, "delay", 0, INT64_C(3155760000000), 0, &job->delay_ms))
        return false;
    if (!needs_read(args, &job->needs))
        return false;
    job->type = arguments_get(args, "type");
    if (arguments_has(args, "in-queue"))
        job->queue = arguments_get(args, "in-queue");
    job->key = arguments_get(args, "key");
    job->tenant = arguments_get(args, "tenant");
    if (arguments_has(args, "batch-key"))
        job->batch_key = arguments_get(args, "batch-key");
    job->priority = (int32_t) priority;
    job->max_attempts = (uint32_t) attempts;
    job->backoff_ms = (uint32_t) backoff_ms;
    job->flags |= (arguments_has(args, "join") ? MLS_JOB_JOIN : 0) |
                  (arguments_has(args, "any-end") ? MLS_JOB_DEPENDS_ANY_END : 0);
    return true;
}

/* The jobs of --after, to be freed. Gives an exit code, after a message. */
static int read_parents(const arguments *args, mls_job_options *job, uint64_t **ret_parents)
{
    const size_t count = arguments_count(args, "after");
    uint64_t *parents = calloc(count + 1, sizeof *parents);
    if (!parents)
        return failure("out of memory");
    for (size_t i = 0; i < count; i++)
        if (!id_parse(args, arguments_at(args, "after", i), &parents[i])) {
            free(parents);
            return EXIT_USAGE;
        }
    job->depends_on = count ? parents : NULL;
    job->depends_on_count = count;
    *ret_parents = parents;
    return EXIT_GOOD;
}

/* Waits for the job, and prints its result as it is. */
static int wait_for(mls_queue *queue, uint64_t id)
{
    mls_job *job;
    const void *data;
    size_t size;
    int code = EXIT_GOOD;
    if (mls_queue_wait(queue, id, -1, &job))
        return library_failure(NULL);
    if (mls_job_result(job, &data, &size))
        code = failure("job %" PRIu64 ": %s", id, mls_error_message());
    else if (size && fwrite(data, 1, size, stdout) != size)
        code = failure("cannot write to standard output");
    mls_job_free(job);
    return code;
}

static int print_ids(const arguments *args, const uint64_t *ids, size_t count)
{
    if (!arguments_has(args, "json")) {
        for (size_t i = 0; i < count; i++)
            printf("%" PRIu64 "\n", ids[i]);
        return EXIT_GOOD;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer((json_int_t) ids[i]));
    return print_json(json_pack("{s:o}", "ids", list));
}

static int submit_one(const arguments *args, mls_queue *queue, const mls_job_options *job)
{
    uint64_t id;
    if (mls_queue_submit(queue, job, &id))
        return library_failure(NULL);
    return arguments_has(args, "wait") ? wait_for(queue, id) : print_ids(args, &id, 1);
}

/* A job for each line of `text`. */
static int submit_lines(const arguments *args, mls_queue *queue, const mls_job_options *common,
                        const char *text, size_t size)
{
    const char *end = text + size;
    mls_job_options jobs[BULK];
    uint64_t *ids = NULL;
    size_t count = 0;
    int code = EXIT_GOOD;
    while (!code && text < end) {
        size_t bulk = 0;
        for (; bulk < BULK && text < end; bulk++) {
            const char *line = text, *stop = memchr(text, '\n', (size_t) (end - text));
            stop = stop ? stop : end;
            text = stop < end ? stop + 1 : end;
            jobs[bulk] = *common;
            jobs[bulk].payload = line;
            jobs[bulk].payload_bytes = (size_t) (stop - line);
        }
        uint64_t *more = realloc(ids, (count + bulk) * sizeof *ids);
        if (!more)
            code = failure("out of memory");
        else if (mls_queue_submit_many(queue, jobs, bulk, (ids = more) + count))
            code = failure("%s (%zu jobs were submitted before)", mls_error_message(), count);
        else
            count += bulk;
    }
    const int printed = print_ids(args, ids, count);
    free(ids);
    return code ? code : printed;
}

static int submit_read(const arguments *args, mls_queue *queue, mls_job_options *job)
{
    const char *text = arguments_get(args, "payload");
    const char *path = arguments_get(args, "payload-file");
    const char *lines = arguments_get(args, "lines");
    char *data = NULL;
    size_t size = text ? strlen(text) : 0;
    int code = lines || path ? read_file(lines ? lines : path, &data, &size) : EXIT_GOOD;
    if (code)
        return code;
    job->payload = data ? data : text;
    job->payload_bytes = size;
    code = lines ? submit_lines(args, queue, job, data, size) : submit_one(args, queue, job);
    free(data);
    return code;
}

/* Types keep their context, which is none of the queue's. NULL when there is no --config. */
static int load_types(const arguments *args, mls_job_types **ret_types)
{
    const char *path = arguments_get(args, "config");
    mls_context *context;
    if (!path)
        return EXIT_GOOD;
    mls_status status = mls_context_create(NULL, &context);
    if (!status) {
        status = mls_job_types_load(context, path, ret_types);
        mls_context_free(context);
    }
    return status ? failure("%s", mls_error_message()) : EXIT_GOOD;
}

static int submit(const arguments *args)
{
    queue_tool tool;
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    if (!arguments_has(args, "type"))
        return usage_error(args, "--type is missing: it says which handler runs the job");
    if (arguments_has(args, "payload") + arguments_has(args, "payload-file") +
            arguments_has(args, "lines") >
        1)
        return usage_error(args, "one of --payload, --payload-file and --lines is possible");
    if (arguments_has(args, "lines") && (arguments_has(args, "key") || arguments_has(args, "wait")))
        return usage_error(args, "--lines makes several jobs: --key and --wait are for one");
    mls_job_types *types = NULL;
    uint64_t *parents = NULL;
    int code = load_types(args, &types);
    if (code)
        return code;
    code = read_job(args, types, &job) ? read_parents(args, &job, &parents) : EXIT_USAGE;
    if (!code)
        code = queue_tool_open(args, NULL, &tool);
    if (!code) {
        code = submit_read(args, tool.queue, &job);
        queue_tool_close(&tool);
    }
    free(parents);
    mls_job_types_free(types);
    return code;
}

static const option_spec submit_options[] = {
    QUEUE_OPTION,
    {"type", "TYPE", "which handler runs it"},
    {"config", "FILE",
     "job types, of which this one's queue, priority, retries, retention,\n"
     "resources and batch are taken"},
    {"payload", "TEXT", "what the handler gets"},
    {"payload-file", "FILE", "the same from a file; - for standard input"},
    {"lines", "FILE",
     "a job for each line of the file, in groups of 1000 that are\nsubmitted "
     "whole or not"},
    {"in-queue", "NAME", "the named queue (default: default)"},
    {"tenant", "NAME", "whose job it is"},
    {"key", "KEY", "unique while the job lives and through its retention"},
    {"join", NULL, "when the key is taken, give the id of the job that has it"},
    {"batch-key", "KEY", "jobs of one type and batch key may be run together"},
    {"priority", "P", "0, served last, to 9 (default 4)"},
    {"after", "ID",
     "not before that job has succeeded; may be repeated. When it ends\n"
     "in another way, this one is cancelled"},
    {"any-end", NULL, "--after is over with any end of those jobs"},
    {"delay", "MS", "not before so many milliseconds from now"},
    {"attempts", "N", "how often it may be run (default 1)"},
    {"backoff", "MS", "the pause before the second attempt; it doubles (default 1000)"},
    NEEDS_OPTIONS("it needs"),
    {"wait", NULL, "wait for its end and print its result instead of its id"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_submit = {
    .name = "queue submit",
    .operands = "--queue URL --type TYPE",
    .summary = "submit a job, or one for each line of a file, and print the ids",
    .details = "When it returns, power loss takes no job back, if the driver can promise that.",
    .options = submit_options,
    .run = submit,
};

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

/* Of jobs that need something, or did; and who waits for more than any worker has. */
static void print_needs(mls_queue *queue, const mls_job_info *info)
{
    char text[96];
    print_text("needs", needs_text(&info->needs, text, sizeof text));
    if (info->escalations)
        printf(LINE "%" PRIu32 "\n", "escalations", info->escalations);
    if (info->state == MLS_JOB_READY && needs_are_any(&info->needs) &&
        !needs_are_offered(queue, &info->needs))
        printf(LINE "needs %s; no worker offers that\n", "waits", text);
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
    if (arguments_has(args, "json"))
        return print_json(job_json(job, true));
    return print_job(queue, job);
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
    uint64_t count;
} change_state;

static int change_job(void *user, mls_queue *queue, const mls_job *job)
{
    change_state *state = user;
    const mls_status status = state->change(queue, mls_job_id(job));
    if (status && status != MLS_ESTATE && status != MLS_ENOTFOUND)
        return library_failure(NULL);
    state->count += status == MLS_OK; /* others changed or went since they were listed */
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
            state->count++;
    }
    return code;
}

/* The jobs of the operands, or with --all those of the filter in one of `states`. */
static int change_jobs(const arguments *args, change_fn change, uint32_t states, const char *word)
{
    queue_tool tool;
    mls_queue_filter filter;
    change_state state = {change, 0};
    const bool all = arguments_has(args, "all");
    if (!filter_read(args, &filter))
        return EXIT_USAGE;
    if (all == (arguments_operand_count(args) > 0))
        return usage_error(args, "give ids of jobs, or --all and which");
    filter.states = filter.states ? filter.states : states;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    code = all ? jobs_visit(tool.queue, &filter, 0, UINT64_MAX, change_job, &state)
               : change_named(args, tool.queue, &state);
    queue_tool_close(&tool);
    if (code == EXIT_USAGE)
        return code;
    if (arguments_has(args, "json")) {
        const int printed = print_json(json_pack("{s:I}", word, (json_int_t) state.count));
        return code ? code : printed;
    }
    printf("%" PRIu64 " %s\n", state.count, word);
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
