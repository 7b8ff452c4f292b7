/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job that is a model's run. The payload is a JSON object: a number or nested lists of
 * numbers for each input. The result is one with the outputs.
 */
#include "job_types/score.h"

#include "base/clock.h"
#include "base/context.h"
#include "base/error.h"

#include <mlscale/session.h>

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RANK 8
#define NOT_EVEN  "'%s' is not %s in nested lists of equal length"

mls_status mls__type_open_model(void *user, uint32_t slot_index, void **ret_slot)
{
    const mls__type *type = user;
    const mls__allocator *allocator = &type->context->allocator;
    const size_t jobs = (size_t) type->batch.size, inputs = mls_model_input_count(type->loaded);
    mls__score_slot *slot = mls__alloc_array(allocator, 1, sizeof *slot);
    (void) slot_index;
    if (!slot)
        return mls__error_nomem(sizeof *slot);
    *slot = (mls__score_slot){.type = type, .input_count = inputs};
    slot->inputs = mls__alloc_array(allocator, jobs, (inputs + 1) * sizeof *slot->inputs);
    slot->members = mls__alloc_array(allocator, jobs, sizeof *slot->members);
    mls_status status = slot->inputs && slot->members
                            ? MLS_OK
                            : mls__error_nomem(jobs * (inputs + 1) * sizeof *slot->inputs);
    if (!status)
        status = mls_session_create(type->loaded, NULL, &slot->session);
    if (status)
        mls__type_close_model(user, slot);
    else
        *ret_slot = slot;
    return status;
}

void mls__type_close_model(void *user, void *slot)
{
    const mls__type *type = user;
    mls__score_slot *mine = slot;
    mls_session_free(mine->session);
    mls__free(&type->context->allocator, mine->inputs);
    mls__free(&type->context->allocator, mine->members);
    mls__free(&type->context->allocator, mine);
}

/* Fails the job for good: the same payload would fail again. */
static mls_status refuse(mls_job *job, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static mls_status refuse(mls_job *job, const char *format, ...)
{
    char message[512];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    mls_job_fail(job, MLS_EINVAL, message, MLS_FAIL_FINAL);
    return MLS_EINVAL;
}

static mls_status fail_here(mls_job *job, mls_status status, const char *input)
{
    char message[512];
    snprintf(message, sizeof message, "%s%s%s", input ? input : "", input ? ": " : "",
             mls_error_message());
    mls_job_fail(job, status, message, 0);
    return status;
}

/* Numbers in the order of memory. */
static bool put_number(mls_dtype dtype, void *data, size_t at, const json_t *value)
{
    const bool is_real = json_is_number(value), is_whole = json_is_integer(value);
    switch (dtype) {
    case MLS_FLOAT32:
        ((float *) data)[at] = json_is_null(value) ? NAN : (float) json_number_value(value);
        return is_real || json_is_null(value);
    case MLS_FLOAT64:
        ((double *) data)[at] = json_is_null(value) ? (double) NAN : json_number_value(value);
        return is_real || json_is_null(value);
    case MLS_INT64:
        ((int64_t *) data)[at] = json_integer_value(value);
        return is_whole;
    case MLS_INT32:
        ((int32_t *) data)[at] = (int32_t) json_integer_value(value);
        return is_whole && json_integer_value(value) >= INT32_MIN &&
               json_integer_value(value) <= INT32_MAX;
    case MLS_BOOL:
        ((unsigned char *) data)[at] = json_is_true(value);
        return json_is_boolean(value);
    default:
        return false;
    }
}

/*
 * The lists' lengths, along the first of each, and of how many numbers that would be.
 * false: deeper than a tensor.
 */
static bool read_shape(const json_t *value, int *ret_rank, int64_t dims[MOST_RANK],
                       size_t *ret_count)
{
    int rank = 0;
    *ret_count = 1;
    for (; json_is_array(value); value = json_array_get(value, 0)) {
        if (rank == MOST_RANK)
            return false;
        if (!mls__mul_size(*ret_count, json_array_size(value), ret_count))
            *ret_count = SIZE_MAX;
        dims[rank++] = (int64_t) json_array_size(value);
    }
    *ret_rank = rank;
    return true;
}

/* false: a list of other length than its neighbours, or something that does not belong. */
static bool put_values(const json_t *value, int rank, const int64_t *dims, mls_dtype dtype,
                       void *data, size_t *at)
{
    if (rank == 0)
        return put_number(dtype, data, (*at)++, value);
    if (!json_is_array(value) || (int64_t) json_array_size(value) != *dims)
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!put_values(json_array_get(value, i), rank - 1, dims + 1, dtype, data, at))
            return false;
    return true;
}

static const char *payload_name(const mls__type *type, const char *input)
{
    for (size_t i = 0; i < type->handler.inputs.count; i++)
        if (strcmp(type->handler.inputs.items[i].name, input) == 0)
            return type->handler.inputs.items[i].text;
    return input;
}

static mls_status read_input(const mls__score_slot *slot, mls_job *job, const json_t *payload,
                             size_t index, mls_tensor **ret_tensor)
{
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    int64_t dims[MOST_RANK];
    mls_tensor *tensor;
    int rank;
    size_t at = 0, count, payload_bytes;
    mls_status status = mls_model_input(slot->type->loaded, index, &value);
    if (status)
        return fail_here(job, status, NULL);
    const char *name = payload_name(slot->type, value.name);
    const json_t *given = json_object_get(payload, name);
    if (!given)
        return refuse(job, "the payload has no '%s', for input '%s' of the model", name,
                      value.name);
    mls_job_payload(job, &payload_bytes);
    if (!read_shape(given, &rank, dims, &count))
        return refuse(job, "'%s' is more than %d lists deep", name, MOST_RANK);
    if (count > payload_bytes) /* before memory is taken for numbers that are not there */
        return refuse(job, NOT_EVEN, name, mls_dtype_name((mls_dtype) value.dtype));
    status = mls_tensor_create(slot->type->context, (mls_dtype) value.dtype, rank, dims, &tensor);
    if (status)
        return fail_here(job, status, name);
    if (!put_values(given, rank, dims, (mls_dtype) value.dtype, mls_tensor_data(tensor), &at)) {
        mls_tensor_free(tensor);
        return refuse(job, NOT_EVEN, name, mls_dtype_name((mls_dtype) value.dtype));
    }
    *ret_tensor = tensor;
    return MLS_OK;
}

mls_status mls__score_read(const mls__score_slot *slot, mls_job *job, mls_tensor **ret_inputs)
{
    const size_t count = mls_model_input_count(slot->type->loaded);
    json_error_t error;
    size_t size;
    const char *text = mls_job_payload(job, &size);
    json_t *payload = json_loadb(text ? text : "", size, JSON_REJECT_DUPLICATES, &error);
    mls_status status = MLS_OK;
    if (!payload)
        return refuse(job, "the payload is not JSON: line %d, column %d: %s", error.line,
                      error.column, error.text);
    if (!json_is_object(payload))
        status = refuse(job, "the payload is not a JSON object of inputs");
    for (size_t i = 0; !status && i < count; i++)
        status = read_input(slot, job, payload, i, &ret_inputs[i]);
    json_decref(payload);
    if (status)
        mls__score_drop(slot, ret_inputs);
    return status;
}

void mls__score_drop(const mls__score_slot *slot, mls_tensor **inputs)
{
    for (size_t i = 0; i < mls_model_input_count(slot->type->loaded); i++) {
        mls_tensor_free(inputs[i]);
        inputs[i] = NULL;
    }
}

static json_t *get_number(mls_dtype dtype, const void *data, size_t at)
{
    double real;
    switch (dtype) {
    case MLS_FLOAT32:
        real = (double) ((const float *) data)[at];
        break;
    case MLS_FLOAT64:
        real = ((const double *) data)[at];
        break;
    case MLS_INT64:
        return json_integer(((const int64_t *) data)[at]);
    case MLS_INT32:
        return json_integer(((const int32_t *) data)[at]);
    case MLS_BOOL:
        return json_boolean(((const unsigned char *) data)[at]);
    default:
        return json_null();
    }
    return isfinite(real) ? json_real(real) : json_null();
}

static json_t *get_values(int rank, const int64_t *dims, mls_dtype dtype, const void *data,
                          size_t *at)
{
    if (rank == 0)
        return get_number(dtype, data, (*at)++);
    json_t *list = json_array();
    for (int64_t i = 0; i < *dims; i++)
        json_array_append_new(list, get_values(rank - 1, dims + 1, dtype, data, at));
    return list;
}

/* Those from `first` on, as a list; or all that there is, which may be no list. */
static json_t *get_rows(int rank, const int64_t *dims, mls_dtype dtype, const void *data,
                        size_t first, size_t rows)
{
    size_t at = first;
    if (rows == MLS__SCORE_ALL)
        return get_values(rank, dims, dtype, data, &at);
    for (int i = 1; i < rank; i++)
        at *= (size_t) dims[i];
    json_t *list = json_array();
    for (size_t i = 0; i < rows; i++)
        json_array_append_new(list, get_values(rank - 1, dims + 1, dtype, data, &at));
    return list;
}

mls_status mls__score_set_result(const mls__score_slot *slot, mls_job *job, size_t first,
                                 size_t rows)
{
    const mls_model *model = slot->type->loaded;
    json_t *outputs = json_object();
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < mls_model_output_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_dtype dtype;
        const int64_t *dims;
        int rank;
        mls_model_output(model, i, &value);
        status = mls_session_output_shape(slot->session, i, &dtype, &rank, &dims);
        if (status)
            break;
        const void *data = mls_session_output_data(slot->session, i);
        json_object_set_new(outputs, value.name, get_rows(rank, dims, dtype, data, first, rows));
    }
    char *text = status ? NULL : json_dumps(outputs, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(outputs);
    if (!status)
        status = text ? mls_job_set_result(job, text, strlen(text)) : MLS_ENOMEM;
    free(text);
    return status ? fail_here(job, status, NULL) : MLS_OK;
}

mls_status mls__score_run_session(const mls__score_slot *slot, size_t jobs)
{
    const int64_t limit_ms = slot->type->limits.time_ms;
    if (!limit_ms)
        return mls_session_run(slot->session);
    return mls_session_run_until(slot->session,
                                 mls__clock_monotonic_ns() + (uint64_t) limit_ms * jobs * 1000000);
}

mls_status mls__score_run(const mls__score_slot *slot, mls_job *job, mls_tensor *const *inputs)
{
    for (size_t i = 0; i < mls_model_input_count(slot->type->loaded); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_input(slot->type->loaded, i, &value);
        const mls_status status = mls_session_bind_input(slot->session, i, inputs[i]);
        if (status)
            return fail_here(job, status, payload_name(slot->type, value.name));
    }
    const mls_status status = mls__score_run_session(slot, 1);
    return status ? fail_here(job, status, NULL)
                  : mls__score_set_result(slot, job, 0, MLS__SCORE_ALL);
}

mls_status mls__type_run_model(void *slot, mls_job *job)
{
    const mls__score_slot *mine = slot;
    mls_status status = mls__score_read(mine, job, mine->inputs);
    if (status)
        return status;
    status = mls__score_run(mine, job, mine->inputs);
    mls__score_drop(mine, mine->inputs);
    return status;
}
