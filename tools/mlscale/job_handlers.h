/* SPDX-License-Identifier: Apache-2.0 */
/* What runs the jobs of a job type: a program, or a model. */
#ifndef MLSCALE_TOOL_JOB_HANDLERS_H
#define MLSCALE_TOOL_JOB_HANDLERS_H

#include "job_types.h"

#include <mlscale.h>

#include <stdatomic.h>
#include <stdbool.h>

/* A job type that a worker serves; it must outlive the worker. */
typedef struct job_handler {
    const job_type *type;
    mls_context *context;
    mls_model *model;         /* of 'score' */
    const atomic_bool *hurry; /* true: programs are ended and their jobs given back */
} job_handler;

/* Loads what the type needs. false: why not is in `message`. */
bool job_handler_open(mls_context *context, const job_type *type, const atomic_bool *hurry,
                      job_handler *ret_handler, char *message, size_t size);
void job_handler_close(job_handler *handler);

/* The same for a worker. */
mls_handler job_handler_table(job_handler *handler);

/* What follows decides on the job by itself whenever it fails. */
/* command_job.c: runs the type's command; the payload is its input, its output the result. */
mls_status command_job_run(void *slot, mls_job *job);

/* score_job.c: runs the model on the JSON of the payload. */
mls_status score_job_open(void *user, uint32_t slot_index, void **ret_slot);
void score_job_close(void *user, void *slot);
mls_status score_job_run(void *slot, mls_job *job);

#endif
