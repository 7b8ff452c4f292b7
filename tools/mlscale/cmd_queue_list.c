/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue list and export: many jobs, for people and for programs. */
#include "cmd_queue.h"

#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* list */

static int add_to_array(void *user, mls_queue *queue, const mls_job *job)
{
    (void) queue;
    return json_array_append_new(user, job_json(job, false)) ? failure("out of memory") : EXIT_GOOD;
}

static int add_to_table(void *user, mls_queue *queue, const mls_job *job)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    char submitted[32];
    (void) queue;
    if (mls_job_get_info(job, &info))
        return library_failure(NULL);
    table_add(user, "%" PRIu64, info.id);
    table_add(user, "%s", mls_job_state_name(info.state));
    table_add(user, "%s", info.type);
    table_add(user, "%s", info.queue);
    table_add(user, "%" PRId32, info.priority);
    table_add(user, "%" PRIu32 "/%" PRIu32, info.attempt, info.max_attempts);
    table_add(user, "%s", time_text(info.submitted_ms, submitted, sizeof submitted));
    table_add(user, "%s", info.error && info.error_message[0] ? info.error_message : info.key);
    return EXIT_GOOD;
}

static int list_jobs(const arguments *args, mls_queue *queue, const job_filter *filter,
                     uint64_t after, uint64_t limit)
{
    static const char *const heads[] = {">ID",      "STATE",     "TYPE",         "QUEUE", ">P",
                                        ">ATTEMPT", "SUBMITTED", "KEY OR ERROR", NULL};
    const bool is_json = arguments_has(args, "json");
    json_t *jobs = is_json ? json_array() : NULL;
    table *lines = is_json ? NULL : table_create(heads);
    if (!jobs && !lines)
        return failure("out of memory");
    const int code = is_json ? jobs_visit(queue, filter, after, limit, add_to_array, jobs)
                             : jobs_visit(queue, filter, after, limit, add_to_table, lines);
    const int printed = is_json ? print_json(json_pack("{s:o}", "jobs", jobs)) : table_print(lines);
    return code ? code : printed;
}

static int list(const arguments *args)
{
    queue_tool tool;
    job_filter filter;
    int64_t limit, after;
    if (!filter_read(args, &filter) || !arguments_int(args, "limit", 1, INT64_MAX, 100, &limit) ||
        !arguments_int(args, "after", 0, INT64_MAX, 0, &after))
        return EXIT_USAGE;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    code = list_jobs(args, tool.queue, &filter, (uint64_t) after, (uint64_t) limit);
    queue_tool_close(&tool);
    return code;
}

static const option_spec list_options[] = {
    QUEUE_OPTION,
    FILTER_OPTIONS,
    {"limit", "N", "at most so many jobs (default 100)"},
    {"after", "ID", "jobs of larger ids only: the next page"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_list = {
    .name = "queue list",
    .operands = "--queue URL",
    .summary = "list jobs in the order of their ids",
    .options = list_options,
    .run = list,
};

/* export */

static int write_job(void *user, mls_queue *queue, const mls_job *job)
{
    FILE *file = user;
    (void) queue;
    json_t *object = job_json(job, true);
    const int failed = !object || json_dumpf(object, file, JSON_COMPACT | JSON_PRESERVE_ORDER) ||
                       putc('\n', file) == EOF;
    json_decref(object);
    return failed ? failure("cannot write the jobs: %s", strerror(errno)) : EXIT_GOOD;
}

static int export(const arguments *args)
{
    queue_tool tool;
    job_filter filter;
    const char *path = arguments_get(args, "output");
    if (!filter_read(args, &filter))
        return EXIT_USAGE;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    FILE *file = path ? fopen(path, "we") : stdout;
    if (!file)
        code = failure("cannot write '%s': %s", path, strerror(errno));
    else
        code = jobs_visit(tool.queue, &filter, 0, UINT64_MAX, write_job, file);
    if (file && (path ? fclose(file) : fflush(file)) != 0 && !code)
        code = failure("cannot write '%s': %s", path ? path : "standard output", strerror(errno));
    queue_tool_close(&tool);
    return code;
}

static const option_spec export_options[] = {
    QUEUE_OPTION,
    FILTER_OPTIONS,
    {"output", "FILE", "where they go (default: standard output)"},
    {"json", NULL, "accepted; there is no other format"},
    {NULL, NULL, NULL},
};

const command command_queue_export = {
    .name = "queue export",
    .operands = "--queue URL",
    .summary = "write jobs with payloads and results, a JSON object a line",
    .details = "Payloads and results that are no UTF-8 are payload_base64 and result_base64.",
    .options = export_options,
    .run = export,
};
