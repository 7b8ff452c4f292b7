/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands do alike. */
#ifndef MLSCALE_TOOL_COMMON_H
#define MLSCALE_TOOL_COMMON_H

#include "options.h"

#include <mlscale.h>

#include <jansson.h>

/* "mlscale: 'path': the library's message" on standard error; gives EXIT_FAILED. */
int library_failure(const char *what);

/*
 * The model of a file, in a context of its own. `flags` as of mls_model_options. Gives an exit
 * code, after a message.
 */
int model_open(const char *path, uint64_t flags, mls_context **ret_context, mls_model **ret_model);
void model_close(mls_context *context, mls_model *model);

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* The text of a value's shape: "[batch,3]"; "?" for a rank that is not known. */
const char *value_shape_text(const mls_model_value *value, char *text, size_t size);

/* Its type and shape: "float32 [batch,3]", "map from string to float32". */
const char *value_type_text(const mls_model_value *value, char *text, size_t size);

/* The word for MLS_VALUE_*. */
const char *value_kind_text(uint64_t kind);

/* Writes a JSON document to standard output. Takes it over. Gives an exit code. */
int print_json(json_t *document);

/* --dim NAME=N options, for mls_session_options. false after a message. */
typedef struct dim_options {
    mls_dim_value *dims;
    char (*names)[128];
    size_t count;
} dim_options;
bool dim_options_read(const arguments *args, size_t extra, dim_options *ret_dims);
void dim_options_free(dim_options *dims);

/*
 * --threads N and --numerics exact|fast, for the options of a session; a row of a command's table
 * each. false after a message.
 */
#define SESSION_THREADS                                                                            \
    {                                                                                              \
        "threads", "N", "threads to use (default 1)"                                               \
    }
#define SESSION_NUMERICS                                                                           \
    {                                                                                              \
        "numerics", "exact|fast",                                                                  \
            "exact: the same bits always (default); fast: whatever\ntakes least time"              \
    }
bool session_options_read(const arguments *args, mls_session_options *options);

/* A tensor from an .npy or .pb file, by its ending. Errors as the library's. */
mls_status tensor_read(mls_context *context, const char *path, mls_tensor **ret_tensor);

/* The same, contiguous, as sessions want it. */
mls_status tensor_read_contiguous(mls_context *context, const char *path, mls_tensor **ret_tensor);

/*
 * Binds the --input NAME=FILE tensors; several of one NAME make up a sequence, two the keys
 * and values of a map. Gives an exit code, after a message.
 */
int bind_inputs(const arguments *args, mls_context *context, const mls_model *model,
                mls_session *session);

#endif
