/* SPDX-License-Identifier: Apache-2.0 */
/* A job that is a program's run. */
#include "job_handlers.h"
#include "process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

typedef struct stop_state {
    const job_handler *handler;
    mls_job *job;
    bool is_hurry;
} stop_state;

static const char *should_stop(void *user)
{
    stop_state *state = user;
    const uint32_t reasons = mls_job_stop_reasons(state->job);
    state->is_hurry = atomic_load(state->handler->hurry);
    if (reasons & MLS_STOP_CANCELLED)
        return "it was cancelled";
    if (reasons & MLS_STOP_LOST)
        return "its job went elsewhere";
    if (reasons & MLS_STOP_DEADLINE)
        return "its deadline passed";
    return state->is_hurry ? "the worker stops" : NULL;
}

static bool is_set(const job_pairs *pairs, const char *entry)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const size_t length = strlen(pairs->items[i].name);
        if (strncmp(entry, pairs->items[i].name, length) == 0 && entry[length] == '=')
            return true;
    }
    return strncmp(entry, "MLS_JOB_", 8) == 0;
}

/* The worker's environment, the type's over it, and what says which job it is. */
static char **make_environment(const job_type *type, const mls_job_info *info)
{
    const job_pairs *pairs = &type->handler.environment;
    size_t count = 0, at = 0, bytes = 512;
    while (environ[count])
        count++;
    for (size_t i = 0; i < pairs->count; i++)
        bytes += strlen(pairs->items[i].name) + strlen(pairs->items[i].text) + 2;
    const size_t words = (count + pairs->count + 4) * sizeof(char *);
    char **all = malloc(words + bytes);
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
    (void) user;
    (void) size_bytes;
    free(data);
}

/* What the process did is what the job did. */
static mls_status report(mls_job *job, process_result *result, const stop_state *state)
{
    if (result->was_stopped && state->is_hurry) {
        free(result->output);
        return mls_job_release(job);
    }
    if (result->failure[0]) {
        free(result->output);
        return mls_job_fail(job, MLS_EHANDLER, result->failure, 0);
    }
    const mls_status status =
        mls_job_take_result(job, result->output, result->output_size, free_output, NULL);
    if (!status)
        return MLS_OK;
    free(result->output);
    return mls_job_fail(job, status, mls_error_message(), MLS_FAIL_FINAL);
}

mls_status command_job_run(void *slot, mls_job *job)
{
    const job_handler *handler = slot;
    mls_job_info info = MLS_JOB_INFO_INIT;
    process_result result;
    stop_state state = {handler, job, false};
    mls_status status = mls_job_get_info(job, &info);
    if (status)
        return mls_job_fail(job, status, mls_error_message(), 0);
    char **environment = make_environment(handler->type, &info);
    if (!environment)
        return mls_job_fail(job, MLS_ENOMEM, "no memory for the program's environment", 0);
    const process_request request = {handler->type,      environment, info.payload,
                                     info.payload_bytes, should_stop, &state};
    process_run(&request, &result);
    free(environment);
    return report(job, &result, &state);
}
