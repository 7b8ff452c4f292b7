/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue submit, and how a command line says what a job is. */
#include "cmd_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BULK 1000 /* jobs of --lines in one commit */

/* --- what a job is --------------------------------------------------------------------------- */

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

#define PAUSE_MAX_MS INT64_C(4233600000)    /* 49 days: fits 32 bits */
#define TIME_MAX_MS  INT64_C(3155760000000) /* a century */

static bool read_retries(const arguments *args, mls_job_options *job)
{
    int64_t attempts, backoff_ms, most_ms, jitter;
    if (!arguments_int(args, "attempts", 1, 1000000, job->max_attempts, &attempts) ||
        !arguments_int(args, "backoff", 0, PAUSE_MAX_MS, job->backoff_ms, &backoff_ms) ||
        !arguments_int(args, "backoff-max", 0, PAUSE_MAX_MS, job->backoff_max_ms, &most_ms) ||
        !arguments_int(args, "jitter", 0, 100, job->jitter_percent, &jitter))
        return false;
    job->max_attempts = (uint32_t) attempts;
    job->backoff_ms = (uint32_t) backoff_ms;
    job->backoff_max_ms = (uint32_t) most_ms;
    job->jitter_percent = (uint32_t) jitter;
    return true;
}

static bool read_options(const arguments *args, const mls_job_types *types, mls_job_options *job)
{
    int64_t priority;
    if (!read_type(args, types, job) ||
        !arguments_int(args, "priority", MLS_PRIORITY_LOWEST, MLS_PRIORITY_HIGHEST, job->priority,
                       &priority) ||
        !read_retries(args, job) ||
        !arguments_int(args, "retention", 0, TIME_MAX_MS, job->retention_ms, &job->retention_ms) ||
        !needs_read(args, &job->needs))
        return false;
    job->type = arguments_get(args, "type");
    if (arguments_has(args, "in-queue"))
        job->queue = arguments_get(args, "in-queue");
    job->tenant = arguments_get(args, "tenant");
    if (arguments_has(args, "batch-key"))
        job->batch_key = arguments_get(args, "batch-key");
    job->priority = (int32_t) priority;
    return true;
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

static int read_payload(const arguments *args, job_input *input)
{
    const char *path = arguments_get(args, "payload-file");
    const char *text = arguments_get(args, "payload");
    if (path && text)
        return usage_error(args, "one of --payload and --payload-file is possible");
    input->options.payload = text;
    input->options.payload_bytes = text ? strlen(text) : 0;
    if (!path)
        return EXIT_GOOD;
    const int code = read_file(path, &input->data, &input->options.payload_bytes);
    input->options.payload = input->data;
    return code;
}

int job_input_read(const arguments *args, job_input *ret_input)
{
    job_input input = {.options = MLS_JOB_OPTIONS_INIT};
    if (!arguments_has(args, "type"))
        return usage_error(args, "--type is missing: it says which handler runs the job");
    int code = load_types(args, &input.types);
    if (!code)
        code = read_options(args, input.types, &input.options) ? read_payload(args, &input)
                                                               : EXIT_USAGE;
    if (code)
        job_input_free(&input);
    else
        *ret_input = input;
    return code;
}

void job_input_free(job_input *input)
{
    free(input->data);
    mls_job_types_free(input->types);
}

/* --- submit ---------------------------------------------------------------------------------- */

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

static int submit_file(const arguments *args, mls_queue *queue, const mls_job_options *job)
{
    char *data;
    size_t size;
    int code = read_file(arguments_get(args, "lines"), &data, &size);
    if (code)
        return code;
    code = submit_lines(args, queue, job, data, size);
    free(data);
    return code;
}

/* What it promises when the command returns. */
static bool read_ack(const arguments *args, mls_job_options *job)
{
    const char *text = arguments_get(args, "ack");
    if (!text)
        return true;
    job->ack = strcmp(text, "durable") == 0 ? MLS_ACK_DURABLE
               : strcmp(text, "async") == 0 ? MLS_ACK_ASYNC
                                            : MLS_ACK_DEFAULT;
    if (job->ack != MLS_ACK_DEFAULT)
        return true;
    usage_error(args,
                "--ack %s: durable (power loss takes no job back) and async (within the time that "
                "the driver states) are possible",
                text);
    return false;
}

/* What jobs have that are submitted only once. */
static bool read_once(const arguments *args, mls_job_options *job)
{
    job->key = arguments_get(args, "key");
    job->flags |= (arguments_has(args, "join") ? MLS_JOB_JOIN : 0) |
                  (arguments_has(args, "any-end") ? MLS_JOB_DEPENDS_ANY_END : 0);
    return arguments_int(args, "delay", 0, TIME_MAX_MS, 0, &job->delay_ms) &&
           time_read(args, "run-at", &job->run_at_ms) &&
           time_read(args, "deadline", &job->deadline_ms) && read_ack(args, job);
}

static int submit_input(const arguments *args, job_input *input)
{
    queue_tool tool;
    uint64_t *parents;
    if (!read_once(args, &input->options))
        return EXIT_USAGE;
    int code = read_parents(args, &input->options, &parents);
    if (code)
        return code;
    code = queue_tool_open(args, NULL, &tool);
    if (!code) {
        code = (arguments_has(args, "lines") ? submit_file : submit_one)(args, tool.queue,
                                                                         &input->options);
        queue_tool_close(&tool);
    }
    free(parents);
    return code;
}

static int submit(const arguments *args)
{
    job_input input;
    if (arguments_has(args, "lines") &&
        (arguments_has(args, "payload") || arguments_has(args, "payload-file")))
        return usage_error(args, "one of --payload, --payload-file and --lines is possible");
    if (arguments_has(args, "lines") && (arguments_has(args, "key") || arguments_has(args, "wait")))
        return usage_error(args, "--lines makes several jobs: --key and --wait are for one");
    int code = job_input_read(args, &input);
    if (code)
        return code;
    code = submit_input(args, &input);
    job_input_free(&input);
    return code;
}

static const option_spec submit_options[] = {
    QUEUE_OPTION,
    JOB_OPTIONS,
    {"lines", "FILE",
     "a job for each line of the file, in groups of 1000 that are\nsubmitted "
     "whole or not"},
    {"key", "KEY", "unique while the job lives and through its retention"},
    {"join", NULL, "when the key is taken, give the id of the job that has it"},
    {"after", "ID",
     "not before that job has succeeded; may be repeated. When it ends\n"
     "in another way, this one is cancelled"},
    {"any-end", NULL, "--after is over with any end of those jobs"},
    {"delay", "MS", "not before so many milliseconds from now"},
    {"run-at", "TIME",
     "not before: a time such as 2026-01-31T12:00:05Z, or +MS, so many\nmilliseconds from now"},
    {"deadline", "TIME", "past it the job is dead if it still waits, and told to stop if it\nruns"},
    {"ack", "WHEN",
     "durable: return when power loss takes it back no more (default);\n"
     "async: when it is written"},
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
