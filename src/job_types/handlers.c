/* SPDX-License-Identifier: Apache-2.0 */
/* From job types to the handlers that a worker takes. */
#include "job_types/score.h"
#include "job_types/types.h"

#include "base/error.h"
#include "base/options.h"
#include "job/worker.h"

#include <string.h>

/* Whether JSON can hold it. */
static bool is_plain(const mls_model_value *value)
{
    const uint32_t dtype = (uint32_t) value->dtype;
    return value->kind == MLS_VALUE_TENSOR &&
           (dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64 || dtype == MLS_INT64 ||
            dtype == MLS_INT32 || dtype == MLS_BOOL);
}

/* The first input or output that is not plain; false: all are. */
static bool find_odd_value(const mls_model *model, mls_model_value *ret_value)
{
    const size_t inputs = mls_model_input_count(model), outputs = mls_model_output_count(model);
    for (size_t i = 0; i < inputs + outputs; i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (i < inputs)
            mls_model_input(model, i, &value);
        else
            mls_model_output(model, i - inputs, &value);
        *ret_value = value;
        if (!is_plain(&value))
            return true;
    }
    return false;
}

static bool has_input(const mls_model *model, const char *name)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_input(model, i, &value);
        if (strcmp(value.name, name) == 0)
            return true;
    }
    return false;
}

/* Whether jobs of the type can be run with its model; otherwise which keys say what is wrong. */
static mls_status check_model(const mls__type *type, mls__type_keys *ret_keys)
{
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    const mls__type_pairs *inputs = &type->handler.inputs;
    if (find_odd_value(type->loaded, &value))
        return mls__error(MLS_EINVAL,
                          "'%s' of the model is no tensor of float32, float64, int64, int32 or "
                          "bool, which JSON can hold",
                          value.name);
    for (size_t i = 0; i < inputs->count; i++) {
        const char *name = inputs->items[i].name;
        if (has_input(type->loaded, name))
            continue;
        *ret_keys = (mls__type_keys){{"handler", "inputs", name}};
        return mls__error(MLS_EINVAL, "the model has no input '%s'", name);
    }
    return MLS_OK;
}

/* One after the other: a batch is for what its ends cost. Each decides for itself. */
static mls_status run_all(void *slot, mls_job *const *jobs, size_t count,
                          mls_status (*run)(void *slot, mls_job *job))
{
    for (size_t i = 0; i < count; i++)
        run(slot, jobs[i]);
    return MLS_OK;
}

static mls_status run_commands(void *slot, mls_job *const *jobs, size_t count)
{
    return run_all(slot, jobs, count, mls__type_run_command);
}

static mls_status run_models(void *slot, mls_job *const *jobs, size_t count)
{
    return run_all(slot, jobs, count, mls__type_run_model);
}

static mls_status make_model_handler(mls__type *type, mls_handler *ret_handler,
                                     mls__type_keys *ret_keys)
{
    mls_status status = MLS_OK;
    *ret_keys = (mls__type_keys){{"handler", "score"}};
    if (!type->loaded)
        status = mls_model_load(type->context, type->handler.model, NULL, &type->loaded);
    if (!status)
        status = check_model(type, ret_keys);
    const bool is_joined = type->batch.run && strcmp(type->batch.run, "joined") == 0;
    if (!status && is_joined) {
        *ret_keys = (mls__type_keys){{"batch", "run"}};
        status = mls__score_check_rows(type->loaded);
    }
    ret_handler->slot_open = mls__type_open_model;
    ret_handler->slot_close = mls__type_close_model;
    ret_handler->run = mls__type_run_model;
    if (type->batch.size > 1)
        ret_handler->run_batch = is_joined ? mls__type_run_joined : run_models;
    return status;
}

/* The host's handler that the type names. */
static mls_status find_c_handler(const mls__type *type, const mls_job_types_options *options,
                                 mls_handler *ret_handler)
{
    mls_handler handler = MLS_HANDLER_INIT;
    for (size_t i = 0; i < options->handler_count; i++) {
        const mls_handler *given = options->handlers[i];
        if (!given || !given->type || strcmp(given->type, type->handler.c) != 0)
            continue;
        const mls_status status =
            mls__options_read("mls_handler", given, sizeof handler, sizeof handler, &handler);
        if (!status)
            *ret_handler = handler;
        return status;
    }
    return mls__error(MLS_EINVAL, "no handler '%s' was registered", type->handler.c);
}

/* One for all types of a set; those without programs need none. */
static mls_status take_keeper(mls_job_types *types, mls__type *type)
{
    if (!types->keeper) {
        const mls_status status = mls__keeper_start(types->allocator, &types->keeper);
        if (status)
            return status;
    }
    type->keeper = types->keeper;
    return MLS_OK;
}

/* Or says which keys cannot be followed. */
static mls_status make_handler(mls_job_types *types, mls__type *type,
                               const mls_job_types_options *options, mls_handler *ret_handler,
                               mls__type_keys *ret_keys)
{
    mls_handler handler = MLS_HANDLER_INIT;
    mls_status status = MLS_OK;
    handler.user = type;
    if (type->handler.c) {
        *ret_keys = (mls__type_keys){{"handler", "c"}};
        status = find_c_handler(type, options, &handler);
    } else if (type->handler.model) {
        status = make_model_handler(type, &handler, ret_keys);
    } else {
        status = take_keeper(types, type);
        handler.run = mls__type_run_command;
        handler.run_batch = type->batch.size > 1 ? run_commands : NULL;
    }
    handler.type = type->name;
    if (type->batch.size > 1) {
        handler.batch_max = (uint32_t) type->batch.size;
        handler.batch_wait_ms = (uint32_t) type->batch.wait_ms;
    }
    *ret_handler = handler;
    return status;
}

mls_status mls_worker_add_types(mls_worker *worker, mls_job_types *types,
                                const mls_job_types_options *given)
{
    if (!worker || !types)
        return mls__error_null(__func__, "worker and types");
    mls_job_types_options options = MLS_JOB_TYPES_OPTIONS_INIT;
    mls_status status =
        mls__options_read("mls_job_types_options", given, sizeof options, sizeof options, &options);
    if (status)
        return status;
    if (options.handler_count && !options.handlers)
        return mls__error(MLS_EINVAL,
                          "mls_job_types_options.handlers is NULL, but %zu are "
                          "announced",
                          options.handler_count);
    if (worker->is_polled)
        return mls__error(MLS_EUNSUPPORTED, "job types need slots with threads: their programs "
                                            "and models would hold up who polls the worker");
    for (size_t i = 0; !status && i < types->count; i++) {
        mls__type *type = &types->items[i];
        mls__type_keys keys = {{NULL}};
        mls_handler handler;
        status = make_handler(types, type, &options, &handler, &keys);
        if (!status)
            status = mls_worker_add_handler(worker, &handler);
        if (status)
            mls__type_error_at(types, type, &keys, status);
    }
    return status;
}
