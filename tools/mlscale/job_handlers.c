/* SPDX-License-Identifier: Apache-2.0 */
/* From a job type to the handler that a worker takes. */
#include "job_handlers.h"

#include <stdio.h>
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

/* Whether jobs of the type can be run with its model; else why not. */
static bool check_model(const job_handler *handler, char *message, size_t size)
{
    const job_type *type = handler->type;
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    if (find_odd_value(handler->model, &value)) {
        snprintf(message, size,
                 "type '%s': '%s' of the model is no tensor of float32, float64, int64, int32 or "
                 "bool, which JSON can hold",
                 type->name, value.name);
        return false;
    }
    for (size_t i = 0; i < type->handler.inputs.count; i++)
        if (!has_input(handler->model, type->handler.inputs.items[i].name)) {
            snprintf(message, size, "type '%s': the model has no input '%s'", type->name,
                     type->handler.inputs.items[i].name);
            return false;
        }
    return true;
}

bool job_handler_open(mls_context *context, const job_type *type, const atomic_bool *hurry,
                      job_handler *ret_handler, char *message, size_t size)
{
    job_handler handler = {type, context, NULL, hurry};
    if (type->handler.model) {
        if (mls_model_load(context, type->handler.model, NULL, &handler.model)) {
            snprintf(message, size, "type '%s': %s", type->name, mls_error_message());
            return false;
        }
        if (!check_model(&handler, message, size)) {
            mls_model_free(handler.model);
            return false;
        }
    }
    *ret_handler = handler;
    return true;
}

void job_handler_close(job_handler *handler)
{
    mls_model_free(handler->model);
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
    return run_all(slot, jobs, count, command_job_run);
}

static mls_status run_scores(void *slot, mls_job *const *jobs, size_t count)
{
    return run_all(slot, jobs, count, score_job_run);
}

mls_handler job_handler_table(job_handler *handler)
{
    mls_handler table = MLS_HANDLER_INIT;
    const job_type *type = handler->type;
    table.type = type->name;
    table.user = handler;
    table.run = handler->model ? score_job_run : command_job_run;
    if (handler->model) {
        table.slot_open = score_job_open;
        table.slot_close = score_job_close;
    }
    if (type->batch.size > 1) {
        table.run_batch = handler->model ? run_scores : run_commands;
        table.batch_max = (uint32_t) type->batch.size;
        table.batch_wait_ms = (uint32_t) type->batch.wait_ms;
    }
    return table;
}
