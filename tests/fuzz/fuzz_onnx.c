/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the input as a model, looks at it, and runs it when all of its ops are
 * supported: on a context that gives out little memory, so that a model that asks for
 * more is refused, not waited for.
 */
#include "fuzz/fuzz.h"

#include <mlscale.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BLOCK ((size_t) 1 << 20)
#define MAX_TOTAL ((size_t) 16 << 20)
#define RUN_NS    20000000 /* a run is given up after */
#define HEADER    64       /* in front of each block: its size */

typedef struct heap {
    size_t bytes, blocks;
} heap;

static void *limited_alloc(void *user, size_t size, size_t alignment)
{
    heap *h = user;
    void *block;
    if (size > MAX_BLOCK || h->bytes + size > MAX_TOTAL || alignment > HEADER)
        return NULL;
    /* Not rounded up: a sanitizer sees the first byte past the end. */
    if (posix_memalign(&block, HEADER, HEADER + size) != 0)
        return NULL;
    memcpy(block, &size, sizeof size);
    h->bytes += size;
    h->blocks++;
    return (unsigned char *) block + HEADER;
}

static void limited_free(void *user, void *ptr)
{
    heap *h = user;
    void *block = (unsigned char *) ptr - HEADER;
    size_t size;
    memcpy(&size, block, sizeof size);
    h->bytes -= size;
    h->blocks--;
    free(block);
}

/* Elements must be what their type allows: two values for bool, packed types in range. */
static unsigned char element_mask(mls_dtype dtype)
{
    switch (dtype) {
    case MLS_BOOL:
        return 1;
    case MLS_UINT2:
    case MLS_INT2:
        return 1;
    case MLS_UINT4:
    case MLS_INT4:
    case MLS_FLOAT4E2M1:
        return 7;
    default:
        return 0xff;
    }
}

static void fill_input(mls_session *session, size_t index, const uint8_t *data, size_t size)
{
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    if (mls_session_input_shape(session, index, &dtype, &rank, &dims) != MLS_OK)
        return;
    unsigned char *bytes = mls_session_input_data(session, index);
    size_t count = mls_dtype_size(dtype);
    for (int i = 0; i < rank; i++)
        count *= (size_t) dims[i];
    if (!bytes)
        return;
    if (dtype == MLS_STRING) {
        mls_string *strings = (mls_string *) (void *) bytes;
        for (size_t i = 0; i < count / sizeof *strings; i++)
            strings[i] = (mls_string){(const char *) data, size ? i % size % 8 : 0};
        return;
    }
    for (size_t i = 0; i < count; i++)
        bytes[i] = size ? data[i % size] & element_mask(dtype) : 0;
}

/* Dynamic dimensions become 2, named ones and others. */
static void set_dims(mls_session *session, const mls_model *model)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (mls_model_input(model, i, &value) != MLS_OK)
            continue;
        for (int32_t k = 0; k < value.rank; k++) {
            char name[300];
            snprintf(name, sizeof name, "%.200s:%d", value.name, k);
            mls_session_set_dim(session, value.dim_names[k] ? value.dim_names[k] : name, 2);
        }
    }
}

/* A sequence of two tensors for each input that wants one. */
static void bind_sequences(mls_context *context, mls_session *session, const mls_model *model)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        const int64_t dims[] = {2};
        mls_tensor *item;
        if (mls_model_input(model, i, &value) != MLS_OK || value.kind == MLS_VALUE_TENSOR ||
            mls_tensor_create(context, (mls_dtype) value.dtype, 1, dims, &item) != MLS_OK)
            continue;
        const mls_tensor *items[] = {item, item};
        mls_session_bind_input_sequence(session, i, items, 2);
        mls_tensor_free(item);
    }
}

static void read_outputs(mls_session *session, const mls_model *model)
{
    for (size_t i = 0; i < mls_model_output_count(model); i++) {
        size_t count;
        mls_tensor *item;
        if (mls_session_output_count(session, i, &count) != MLS_OK)
            continue;
        for (size_t k = 0; k < count && k < 3; k++)
            if (mls_session_output_item(session, i, k, &item) == MLS_OK)
                mls_tensor_free(item);
    }
}

/* Loops may have no end. */
static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static void run(mls_context *context, mls_model *model, const uint8_t *data, size_t size)
{
    mls_session *session;
    if (mls_session_create(model, NULL, &session) != MLS_OK)
        return;
    set_dims(session, model);
    bind_sequences(context, session, model);
    if (mls_session_plan(session) == MLS_OK) {
        for (size_t i = 0; i < mls_model_input_count(model); i++)
            fill_input(session, i, data, size);
        mls_session_run_until(session, now_ns() + RUN_NS);
        read_outputs(session, model);
    }
    mls_session_free(session);
}

static void load(mls_context *context, const uint8_t *data, size_t size)
{
    mls_model *model;
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    if (mls_model_load_memory(context, data, size, &options, &model) != MLS_OK)
        return;
    if (mls_model_unsupported_count(model) == 0)
        run(context, model, data, size);
    mls_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    heap h = {0};
    mls_context *context;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    options.alloc = limited_alloc;
    options.free = limited_free;
    options.alloc_user = &h;
    if (mls_context_create(&options, &context) != MLS_OK)
        abort();
    load(context, data, size);
    mls_context_free(context);
    if (h.blocks)
        abort(); /* a leak */
    return 0;
}
