/* SPDX-License-Identifier: Apache-2.0 */
/* A program as a job: its input, its output with a bound, and an end for all of its group. */
#ifndef MLSCALE_TOOL_PROCESS_H
#define MLSCALE_TOOL_PROCESS_H

#include "job_types.h"

#include <stdbool.h>

typedef struct process_request {
    const job_type *type;
    char *const *environment; /* ended by NULL */
    const void *input;
    size_t input_size;
    /* Asked now and then while it runs: NULL, or why it shall end. */
    const char *(*should_stop)(void *user);
    void *user;
} process_request;

typedef struct process_result {
    char *output; /* what it wrote, to be freed */
    size_t output_size;
    char failure[1024]; /* "" when it succeeded; else why not, with the end of its errors */
    bool was_stopped;   /* should_stop said so */
} process_result;

/*
 * Runs the type's command in a process group of its own and waits for its end; nothing of
 * the group is left when it returns. SIGPIPE must be ignored.
 */
void process_run(const process_request *request, process_result *ret_result);

#endif
