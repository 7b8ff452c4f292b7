/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of numbers from a CSV or .npy file, as the inputs of a model want them: a chunk
 * holds, for each input, its columns of all the chunk's rows.
 */
#ifndef MLSCALE_TOOL_ROWS_H
#define MLSCALE_TOOL_ROWS_H

#include <mlscale.h>

#include <stdbool.h>

/* An input of a model as a group of columns. */
typedef struct row_group {
    const char *name;
    mls_dtype dtype;
    int64_t width; /* columns */
    size_t offset; /* of its block in a chunk, in bytes a row of the chunk's capacity */
} row_group;

/* All inputs of a model. */
typedef struct row_layout {
    row_group *groups;
    size_t group_count;
    int64_t width;    /* columns in all */
    size_t row_bytes; /* of all groups */
    bool one_by_one;  /* the model takes one row at a time */
} row_layout;

/* Reads the layout off a model. false after a message that says why rows do not fit it. */
bool row_layout_read(const mls_model *model, row_layout *ret_layout);
void row_layout_free(row_layout *layout);

typedef struct row_options {
    const char *columns; /* "a,b,c", or NULL for all in order */
    bool skip_bad;       /* skip and count rows that are wrong instead of stopping */
    bool empty_is_nan;   /* an empty field of a float column is a missing value */
} row_options;

typedef struct row_source row_source;

/* Where a chunk's rows came from, for messages. */
typedef struct row_chunk {
    int64_t count;
    uint64_t first_line, last_line; /* lines of a CSV file, rows (from 1) of an .npy file */
} row_chunk;

/* Opens a file by its ending. NULL after a message. */
row_source *row_source_open(mls_context *context, const char *path, const row_layout *layout,
                            const row_options *options);
void row_source_close(row_source *source);

/*
 * Fills `data` (capacity rows; group g begins at groups[g].offset * capacity) with the
 * next rows. A count of 0 is the end. false after a message: a bad row, at which
 * *ret_chunk still has the good rows before it.
 */
bool row_source_next(row_source *source, void *data, int64_t capacity, row_chunk *ret_chunk);

/* Rows skipped so far, and how far the file is read: 0 to 1, negative if unknown. */
uint64_t row_source_skipped(const row_source *source);
double row_source_progress(const row_source *source);

#endif
