/* SPDX-License-Identifier: Apache-2.0 */
/* A job that is a program's run, or a container's. */
#include "job_types/container.h"
#include "job_types/process.h"

#include "base/context.h"
#include "base/error.h"
#include "job/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REMOVE_MS 30000 /* that a container's engine has to remove one */

extern char **environ;

static const char *should_stop(void *user)
{
    static const struct {
        uint32_t reason;
        const char *text;
    } texts[] = {{MLS_STOP_LOST, "its job went elsewhere"},
                 {MLS_STOP_CANCELLED, "it was cancelled"},
                 {MLS_STOP_DEADLINE, "its deadline passed"}};
    const uint32_t reasons = mls_job_stop_reasons(user);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (reasons & texts[i].reason)
            return texts[i].text;
    return NULL; /* MLS_STOP_WORKER: it may end by itself, until the job is given back */
}

static bool is_set(const mls__type_pairs *pairs, const char *entry)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const size_t length = strlen(pairs->items[i].name);
        if (strncmp(entry, pairs->items[i].name, length) == 0 && entry[length] == '=')
            return true;
    }
    return strncmp(entry, "MLS_JOB_", 8) == 0;
}

/* The worker's environment, the type's over it, and what says which job it is. */
static char **make_environment(const mls__allocator *allocator, const mls__type *type,
                               const mls_job_info *info)
{
    const mls__type_pairs *pairs = &type->handler.environment;
    size_t count = 0, at = 0, bytes = 512;
    while (environ[count])
        count++;
    for (size_t i = 0; i < pairs->count; i++)
        bytes += strlen(pairs->items[i].name) + strlen(pairs->items[i].text) + 2;
    const size_t words = (count + pairs->count + 4) * sizeof(char *);
    char **all = mls__alloc(allocator, words + bytes);
    if (!all)
        return NULL;
    char *text = (char *) all + words;
    for (size_t i = 0; i < count; i++)
        if (!is_set(pairs, environ[i]))
            all[at++] = environ[i];
    for (size_t i = 0; i < pairs->count; i++) {
        all[at++] = text;
        text += sprintf(text, "%s=%s", pairs->items[i].name, pairs->items[i].text) + 1;
    }
    all[at++] = text;
    text += sprintf(text, "MLS_JOB_ID=%" PRIu64, info->id) + 1;
    all[at++] = text;
    text += sprintf(text, "MLS_JOB_ATTEMPT=%" PRIu32, info->attempt) + 1;
    all[at++] = text;
    sprintf(text, "MLS_JOB_TYPE=%.127s", info->type);
    all[at] = NULL;
    return all;
}

static void free_output(void *user, void *data, size_t size_bytes)
{
    (void) size_bytes;
    mls__free(user, data);
}

/* What the process did is what the job did. */
static mls_status report(mls_job *job, const mls__allocator *allocator, mls__process_result *result)
{
    if (result->failure[0]) {
        mls__free(allocator, result->output);
        return mls_job_fail(job, MLS_EHANDLER, result->failure, 0);
    }
    const mls_status status =
        mls_job_take_result(job, result->output, result->output_size, free_output,
                            (void *) (uintptr_t) allocator); /* the queue keeps the context */
    if (!status)
        return MLS_OK;
    mls__free(allocator, result->output);
    return mls_job_fail(job, status, mls_error_message(), MLS_FAIL_FINAL);
}

/* The first class with more than a job has; 0: there is none. */
static int64_t next_class(const mls__type *type, int64_t memory)
{
    for (size_t i = 0; i < type->resources.escalate.count; i++)
        if (type->resources.escalate.items[i] > memory)
            return type->resources.escalate.items[i];
    return 0;
}

/* It ran out of what its class has: it gets the next, or that was the last. */
static mls_status report_want(const mls__type *type, mls_job *job, int64_t memory,
                              mls__process_result *result)
{
    char text[1200];
    const int64_t next = next_class(type, memory);
    mls__free(&type->context->allocator, result->output);
    if (next)
        snprintf(text, sizeof text, "out of memory with %" PRId64 " bytes: %s", memory,
                 result->failure);
    else
        snprintf(text, sizeof text,
                 "out of memory with %" PRId64 " bytes, and no larger class is left: %s", memory,
                 result->failure);
    return next ? mls_job_escalate(job, next, text)
                : mls_job_fail(job, MLS_ENOMEM, text, MLS_FAIL_FINAL);
}

static mls_status fail_nomem(mls_job *job)
{
    return mls_job_fail(job, MLS_ENOMEM, "no memory for the program's command line", 0);
}

static mls_status run_program(const mls__type *type, mls_job *job, const mls_job_info *info,
                              char **environment)
{
    const mls__allocator *allocator = &type->context->allocator;
    mls__process_result result;
    mls__type_limits limits = type->limits;
    if (type->resources.escalate.count) {
        limits.memory = info->needs.memory_bytes;
        if (limits.memory < type->resources.memory) /* submitted without what its type says */
            limits.memory = type->resources.memory;
    }
    const mls__process_request request = {
        .allocator = allocator,
        .words = (char *const *) (uintptr_t) type->handler.command.items,
        .directory = type->handler.directory,
        .limits = &limits,
        .environment = environment,
        .input = info->payload,
        .input_size = info->payload_bytes,
        .should_stop = should_stop,
        .user = job,
        .keeper = type->keeper,
    };
    mls__process_run(&request, &result);
    job->wall_ns = result.wall_ns;
    job->cpu_ns = result.cpu_ns;
    job->peak_bytes = result.peak_bytes;
    if (result.ran_out && type->resources.escalate.count)
        return report_want(type, job, limits.memory, &result);
    return report(job, allocator, &result);
}

static const char *never_stop(void *user)
{
    (void) user;
    return NULL;
}

/* To end the engine's command is not to end the container, which may be a service's child. */
static void remove_container(const mls__type *type, char **words, char **environment)
{
    static const mls__type_limits limits = {.time_ms = REMOVE_MS, .output = 1 << 16};
    const mls__allocator *allocator = &type->context->allocator;
    mls__process_result result;
    const mls__process_request request = {.allocator = allocator,
                                          .words = words,
                                          .limits = &limits,
                                          .environment = environment,
                                          .should_stop = never_stop,
                                          .keeper = type->keeper};
    mls__process_run(&request, &result);
    mls__free(allocator, result.output);
}

/* The engine bounds the container's memory and processors; its own command is not bounded. */
static mls_status run_container(const mls__type *type, mls_job *job, const mls_job_info *info,
                                char **environment)
{
    const mls__allocator *allocator = &type->context->allocator;
    const mls__type_limits limits = {.time_ms = type->limits.time_ms,
                                     .grace_ms = type->limits.grace_ms,
                                     .output = type->limits.output};
    char name[96];
    snprintf(name, sizeof name, "mls-%ld-%" PRIu64 "-%" PRIu64, (long) getpid(), info->id,
             info->epoch);
    char **run = mls__container_run_words(allocator, type, name);
    char **remove = mls__container_remove_words(allocator, type, name);
    mls_status status = run && remove ? MLS_OK : fail_nomem(job);
    if (run && remove) {
        mls__process_result result;
        const mls__process_request request = {.allocator = allocator,
                                              .words = run,
                                              .limits = &limits,
                                              .environment = environment,
                                              .input = info->payload,
                                              .input_size = info->payload_bytes,
                                              .should_stop = should_stop,
                                              .user = job,
                                              .keeper = type->keeper};
        mls__kept *kept = mls__keeper_add(type->keeper, "", remove);
        mls__process_run(&request, &result);
        if (result.was_ended)
            remove_container(type, remove, environment);
        mls__kept_drop(kept);
        status = report(job, allocator, &result);
    }
    mls__free(allocator, run);
    mls__free(allocator, remove);
    return status;
}

mls_status mls__type_run_command(void *slot, mls_job *job)
{
    const mls__type *type = slot;
    const mls__allocator *allocator = &type->context->allocator;
    mls_job_info info = MLS_JOB_INFO_INIT;
    mls_status status = mls_job_get_info(job, &info);
    if (status)
        return mls_job_fail(job, status, mls_error_message(), 0);
    char **environment = make_environment(allocator, type, &info);
    if (!environment)
        return fail_nomem(job);
    status = type->handler.container ? run_container(type, job, &info, environment)
                                     : run_program(type, job, &info, environment);
    mls__free(allocator, environment);
    return status;
}
