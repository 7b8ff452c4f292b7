/* SPDX-License-Identifier: Apache-2.0 */
/* Where scores go: a CSV or .npy file, a chunk of rows at a time. */
#ifndef MLSCALE_TOOL_SCORES_H
#define MLSCALE_TOOL_SCORES_H

#include <mlscale.h>

#include <stdbool.h>

/* An output of the model as a group of columns. */
typedef struct score_group {
    const char *name; /* borrowed from the model */
    mls_dtype dtype;
    int64_t width;
} score_group;

typedef struct score_sink score_sink;

/*
 * Opens `path` (NULL: CSV on standard output) for rows of these groups, which must
 * live as long. NULL after a message.
 */
score_sink *score_sink_open(const char *path, const score_group *groups, size_t group_count);

/*
 * Writes `rows` rows; `data` holds each group's block [rows, width] in turn, strings
 * as mls_string. false after a message.
 */
bool score_sink_write(score_sink *sink, const void *data, int64_t rows);

/* Completes the file. false after a message. Frees the sink in any case. */
bool score_sink_close(score_sink *sink);

#endif
