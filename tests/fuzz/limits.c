/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and runs whatever it is given, within limits. */
#include "fuzz/limits.h"

#include "support/bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BLOCK ((size_t) 1 << 20)
#define MAX_TOTAL ((size_t) 16 << 20)
#define RUN_NS    20000000 /* a run is given up after */
#define HEADER    64       /* in front of each block: its size */

static void *limited_alloc(void *user, size_t size, size_t alignment)
{
    fuzz_heap *h = user;
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
    fuzz_heap *h = user;
    void *block = (unsigned char *) ptr - HEADER;
    size_t size;
    memcpy(&size, block, sizeof size);
    h->bytes -= size;
    h->blocks--;
    free(block);
}

mls_context *fuzz_context(fuzz_heap *heap, const char *isa)
{
    mls_context *context;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    options.alloc = limited_alloc;
    options.free = limited_free;
    options.alloc_user = heap;
    options.isa = isa;
    if (mls_context_create(&options, &context) != MLS_OK)
        abort();
    return context;
}

void fuzz_context_free(mls_context *context, const fuzz_heap *heap)
{
    mls_context_free(context);
    if (heap->blocks)
        abort(); /* a leak */
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

static mls_tensor *create_pair(mls_context *context, uint64_t dtype)
{
    const int64_t dims[] = {2};
    mls_tensor *pair;
    return mls_tensor_create(context, (mls_dtype) dtype, 1, dims, &pair) == MLS_OK ? pair : NULL;
}

/* Entries of two keys, 0 and 1, or two texts. */
static void bind_map(mls_context *context, mls_session *session, size_t index,
                     const mls_model_value *value)
{
    mls_tensor *keys = create_pair(context, value->key_dtype);
    mls_tensor *values = create_pair(context, (uint64_t) value->dtype);
    if (keys && value->key_dtype == MLS_INT64)
        ((int64_t *) mls_tensor_data(keys))[1] = 1;
    else if (keys)
        ((mls_string *) mls_tensor_data(keys))[1] = (mls_string){"age", 3};
    if (keys && values)
        mls_session_bind_input_map(session, index, keys, values);
    mls_tensor_free(keys);
    mls_tensor_free(values);
}

/* A sequence or map of two for each input that wants one. */
static void bind_others(mls_context *context, mls_session *session, const mls_model *model)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (mls_model_input(model, i, &value) != MLS_OK || value.kind == MLS_VALUE_TENSOR)
            continue;
        if (value.kind == MLS_VALUE_MAP) {
            bind_map(context, session, i, &value);
            continue;
        }
        mls_tensor *item = create_pair(context, (uint64_t) value.dtype);
        const mls_tensor *items[] = {item, item};
        if (item)
            mls_session_bind_input_sequence(session, i, items, 2);
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

mls_session *fuzz_session(mls_context *context, const uint8_t *data, size_t size, uint64_t flags)
{
    mls_model *model;
    mls_session *session = NULL;
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    mls_session_options session_options = MLS_SESSION_OPTIONS_INIT;
    options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    session_options.flags = flags;
    if (mls_model_load_memory(context, data, size, &options, &model) != MLS_OK)
        return NULL;
    if (mls_model_unsupported_count(model) == 0 &&
        mls_session_create(model, &session_options, &session) == MLS_OK) {
        set_dims(session, model);
        bind_others(context, session, model);
    }
    mls_model_free(model);
    return session;
}

static size_t input_count(mls_session *session)
{
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    size_t count = 0;
    while (mls_session_input_shape(session, count, &dtype, &rank, &dims) != MLS_EINVAL &&
           count < 64)
        count++;
    return count;
}

mls_status fuzz_run(mls_session *session, const uint8_t *data, size_t size)
{
    const mls_status status = mls_session_plan(session);
    if (status)
        return status;
    for (size_t i = 0, count = input_count(session); i < count; i++)
        fill_input(session, i, data, size);
    return mls_session_run_until(session, now_ns() + RUN_NS);
}

static uint64_t add_tensor(uint64_t hash, const mls_tensor *tensor)
{
    const mls_dtype dtype = mls_tensor_dtype(tensor);
    const size_t element = mls_dtype_size(dtype);
    const unsigned char *data = mls_tensor_data(tensor);
    hash = mls_test_hash_bytes(hash, mls_tensor_dims(tensor),
                               (size_t) mls_tensor_rank(tensor) * sizeof(int64_t));
    for (int64_t i = 0; i < mls_tensor_element_count(tensor); i++, data += element)
        hash = mls_test_hash_element(hash, (int32_t) dtype, data);
    return hash;
}

uint64_t fuzz_digest(mls_session *session)
{
    uint64_t hash = MLS_TEST_HASH;
    size_t count;
    mls_tensor *item;
    for (size_t i = 0; mls_session_output_count(session, i, &count) == MLS_OK; i++)
        for (size_t k = 0; k < count; k++)
            if (mls_session_output_item(session, i, k, &item) == MLS_OK) {
                hash = add_tensor(hash, item);
                mls_tensor_free(item);
            }
    return hash;
}
