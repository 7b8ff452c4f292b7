/* SPDX-License-Identifier: Apache-2.0 */
/* This library as an engine. */
#include "engine.h"

#include <mlscale.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct ours {
    mls_context *context;
    mls_model *model;
    mls_session *session;
    mls_tensor *input;
} ours;

static void ours_close(void *session)
{
    ours *o = session;
    mls_session_free(o->session);
    mls_tensor_free(o->input);
    mls_model_free(o->model);
    mls_context_free(o->context);
    free(o);
}

static void *ours_open(const void *model, size_t model_bytes, const int64_t *dims, int rank,
                       const float *input, uint32_t threads)
{
    ours *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.threads = threads;
    if (mls_context_create(NULL, &o->context) ||
        mls_model_load_memory(o->context, model, model_bytes, NULL, &o->model) ||
        mls_session_create(o->model, &options, &o->session) ||
        mls_tensor_wrap(o->context, MLS_FLOAT32, rank, dims, NULL, (void *) (uintptr_t) input, NULL,
                        NULL, &o->input) ||
        mls_session_bind_input(o->session, 0, o->input) || mls_session_plan(o->session)) {
        fprintf(stderr, "mlscale: %s\n", mls_error_message());
        ours_close(o);
        return NULL;
    }
    return o;
}

static bool ours_run(void *session)
{
    return mls_session_run(((ours *) session)->session) == MLS_OK;
}

static const float *ours_output(void *session, size_t *ret_count)
{
    ours *o = session;
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    *ret_count = 1;
    if (mls_session_output_shape(o->session, 0, &dtype, &rank, &dims) || dtype != MLS_FLOAT32)
        return NULL;
    for (int i = 0; i < rank; i++)
        *ret_count *= (size_t) dims[i];
    return mls_session_output_data(o->session, 0);
}

const engine engine_mlscale = {"mlscale", ours_open, ours_run, ours_output, ours_close};
