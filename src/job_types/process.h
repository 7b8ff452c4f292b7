/* SPDX-License-Identifier: Apache-2.0 */
/* A program as a job: its input, its output with a bound, and an end for all of its group. */
#ifndef MLS_JOB_TYPES_PROCESS_H
#define MLS_JOB_TYPES_PROCESS_H

#include "job_types/keeper.h"
#include "job_types/types.h"

#include <stdbool.h>

typedef struct mls__process_request {
    const mls__allocator *allocator;
    char *const *words;    /* the command line, ended by NULL */
    const char *directory; /* NULL: this process's */
    const mls__type_limits *limits;
    char *const *environment; /* ended by NULL */
    const void *input;
    size_t input_size;
    /* Asked now and then while it runs: NULL, or why it shall end. */
    const char *(*should_stop)(void *user);
    void *user;
    mls__keeper *keeper; /* which ends it when this process is killed; NULL: nobody does */
} mls__process_request;

typedef struct mls__process_result {
    char *output; /* what it wrote, of `allocator` */
    size_t output_size;
    char failure[1024]; /* "" when it succeeded; else why not, with the end of its errors */
    bool was_ended;     /* by us */
    bool ran_out;       /* of memory, by the rule of mlscale-job-types(5) */
    uint64_t wall_ns, cpu_ns, peak_bytes; /* that it took, with its children */
} mls__process_result;

/*
 * Runs a command in a process group and, where there can be one, in a control group of its
 * own, and waits for its end; nothing of them is left when it returns. SIGPIPE must be ignored, or
 * blocked in this thread.
 */
void mls__process_run(const mls__process_request *request, mls__process_result *ret_result);

/* In a child: what this process ignores or blocks is none of a program's. */
void mls__process_reset_signals(void);

#endif
