/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that are runs of a model: one by one, or many as the rows of one run. */
#ifndef MLS_JOB_TYPES_SCORE_H
#define MLS_JOB_TYPES_SCORE_H

#include "job_types/types.h"

#include <mlscale/session.h>

#define MLS__SCORE_ALL SIZE_MAX /* rows */

typedef struct mls__score_slot {
    const mls__type *type;
    mls_session *session;
    size_t input_count;
    mls_tensor **inputs; /* for each job of a batch those of the model; NULL: not read */
    size_t *members;     /* as many as a batch has jobs: those of one run */
} mls__score_slot;

/* score.c: the tensors of a job's payload. When it fails, so does the job. */
mls_status mls__score_read(const mls__score_slot *slot, mls_job *job, mls_tensor **ret_inputs);
void mls__score_drop(const mls__score_slot *slot, mls_tensor **inputs);

/* Runs the model on one job's inputs. When it fails, so does the job. */
mls_status mls__score_run(const mls__score_slot *slot, mls_job *job, mls_tensor *const *inputs);

/* With the limit of time of so many jobs. */
mls_status mls__score_run_session(const mls__score_slot *slot, size_t jobs);

/* The result: these rows of the outputs, or (0, MLS__SCORE_ALL) outputs of any shape. */
mls_status mls__score_set_result(const mls__score_slot *slot, mls_job *job, size_t first,
                                 size_t rows);

/* score_joined.c: whether the model has rows; else the message says what has none. */
mls_status mls__score_check_rows(const mls_model *model);
mls_status mls__type_run_joined(void *slot, mls_job *const *jobs, size_t count);

#endif
