/* SPDX-License-Identifier: Apache-2.0 */
/* What the slots of mlscale score do: a job is a chunk of rows, its result their scores. */
#ifndef MLSCALE_TOOL_SCORER_H
#define MLSCALE_TOOL_SCORER_H

#include "rows.h"
#include "scores.h"

#include <mlscale.h>

/* The type of the jobs. */
#define SCORE_JOB "score"

/* What all slots share; nobody writes to it while they run. */
typedef struct scorer {
    mls_context *context;
    mls_model *model;
    row_layout layout;
    score_group *groups;
    size_t group_count;
    int64_t batch; /* rows in a full chunk */
    mls_session_options session_options;
} scorer;

/* A job's payload: this, then the rows as row_source_next() laid them out. */
typedef struct chunk {
    row_chunk where;
    uint64_t padding[5]; /* rows begin at a multiple of 64 bytes */
} chunk;

/* The outputs' dtypes and widths, as a session for full chunks has them. false after a message. */
bool scorer_read_groups(scorer *scorer);

/* The sizes of a job's payload, and of its result for `rows` rows with strings as mls_string. */
size_t scorer_chunk_bytes(const scorer *scorer);
size_t scorer_result_bytes(const scorer *scorer, int64_t rows);

/* Handles jobs in a session a slot. The scorer must outlive its worker. */
mls_handler scorer_handler(scorer *scorer);

/* Frees the strings that a job's result points to. */
void scorer_free_strings(const scorer *scorer, const void *scores, int64_t rows);

#endif
