/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of mlscale score over a queue that stays: named by what it scores and where to, so
 * that the same command, started again, finds the chunks that were scored already.
 */
#ifndef MLSCALE_TOOL_SCORE_RUN_H
#define MLSCALE_TOOL_SCORE_RUN_H

#include "options.h"

#include <mlscale.h>

typedef struct score_run {
    char name[32];   /* "score-0123456789abcdef": the type of its jobs */
    char path[4096]; /* where the output is written until it is whole */
    const char *output;
    int lock;      /* of that file */
    uint64_t *ids; /* of all chunks */
    size_t count, room;
} score_run;

/* The run of these arguments, which nobody else runs until it is closed. Gives an exit code, after
 * a message. */
int score_run_open(const arguments *args, score_run *ret_run);
void score_run_close(score_run *run);

/* Submits the next chunk, or finds it: then its id is that of the earlier one. */
mls_status score_run_submit(score_run *run, mls_queue *queue, mls_job_options *job,
                            uint64_t *ret_id);

/* The output is whole: gives it its name, and then forgets the chunks. false after a message. */
bool score_run_finish(score_run *run, mls_queue *queue);

#endif
