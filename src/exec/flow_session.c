/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions whose graph needs a flow: what is bound becomes objects, and what the flow gave is
 * there to be read after the run. No dim but those of inputs is known before it.
 */
#include "exec/session.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

mls_status mls__session_make_flow(mls_session *session)
{
    if (!mls__flow_is_needed(session->plan.graph))
        return MLS_OK;
    session->flow_host.blank = &session->plan;
    session->flow_host.control = &session->control;
    mls__pool_init(&session->flow_host.pool, session->model->context);
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++)
        session->inputs[i].is_stale = true;
    session->has_decisive = true; /* each run has to look at its inputs */
    return mls__flow_create(&session->flow_host, session->plan.graph, &session->flow);
}

void mls__session_free_flow(mls_session *session)
{
    if (!session->flow_host.blank)
        return;
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++)
        mls__object_unref(&session->flow_host.pool, session->inputs[i].object);
    mls__flow_free(session->flow);
    mls__pool_clear(&session->flow_host.pool);
}

static const mls__value *input_value(const mls_session *session, size_t index)
{
    return mls__graph_value(session->plan.graph, mls__graph_input(session->plan.graph, index));
}

/* --- inputs --- */

static mls_status make_own(mls_session *session, size_t index, mls__object **ret_object)
{
    const mls__plan_input *input = &session->plan_inputs[index];
    const mls_status status =
        mls__object_create(&session->flow_host.pool, input_value(session, index)->dtype,
                           input->rank, input->dims, ret_object);
    if (status)
        return mls__error_at(status, "input '%.200s'", input_value(session, index)->name);
    memset((*ret_object)->data, 0, mls__object_bytes(*ret_object));
    return MLS_OK;
}

/* At the present dims. Those of an input of this kind are known. */
static size_t input_bytes(const mls_session *session, size_t index)
{
    const mls__plan_input *input = &session->plan_inputs[index];
    size_t bytes = mls_dtype_size((mls_dtype) input_value(session, index)->dtype);
    for (int i = 0; i < input->rank; i++)
        if (!mls__mul_size(bytes, (size_t) input->dims[i], &bytes))
            return SIZE_MAX;
    return bytes;
}

static mls_status make_object(mls_session *session, size_t index, mls__object **ret_object)
{
    const mls__binding *binding = &session->inputs[index];
    const mls__plan_input *input = &session->plan_inputs[index];
    mls__pool *pool = &session->flow_host.pool;
    if (binding->tensor)
        return mls__object_wrap(pool, binding->tensor, ret_object);
    if (binding->data) {
        const size_t needed = input_bytes(session, index);
        if (needed != binding->size_bytes)
            return mls__error(MLS_ESHAPE,
                              "input '%.200s': %zu bytes are bound; at the present dims it takes "
                              "%zu",
                              input_value(session, index)->name, binding->size_bytes, needed);
        return mls__object_borrow(pool, input_value(session, index)->dtype, input->rank,
                                  input->dims, binding->data, ret_object);
    }
    return make_own(session, index, ret_object);
}

/* Memory without dims of its own, the session's or the caller's, has the present ones. */
static bool fits(const mls_session *session, size_t index)
{
    const mls__binding *binding = &session->inputs[index];
    const mls__plan_input *input = &session->plan_inputs[index];
    const mls__object *object = binding->object;
    if (binding->is_stale)
        return false;
    if (!object || object->kind != MLS_VALUE_TENSOR || binding->tensor || input->rank < 0)
        return true;
    return mls__shape_equal(object->rank, object->dims, input->rank, input->dims);
}

static mls_status settle_input(mls_session *session, size_t index)
{
    mls__binding *binding = &session->inputs[index];
    mls__object *object = NULL;
    const bool is_bound = binding->tensor || binding->data;
    const uint8_t kind = input_value(session, index)->kind;
    if (fits(session, index))
        return MLS_OK;
    if (kind == MLS_VALUE_SEQUENCE || kind == MLS_VALUE_MAP)
        return mls__error(MLS_ESTATE, "input '%.200s' is a %s, and none is bound",
                          input_value(session, index)->name,
                          kind == MLS_VALUE_MAP ? "map" : "sequence");
    if (kind == MLS_VALUE_TENSOR || is_bound) {
        const mls_status status = make_object(session, index, &object);
        if (status)
            return status;
    }
    mls__object_unref(&session->flow_host.pool, binding->object);
    binding->object = object;
    binding->is_own = object && !is_bound;
    binding->is_stale = false;
    return MLS_OK;
}

mls_status mls__session_flow_input_bytes(mls_session *session, size_t index, size_t *ret_bytes)
{
    mls__session_settle_dims(session);
    const mls_status status = mls__session_describe_inputs(session, false);
    if (status)
        return status;
    if (input_value(session, index)->kind != MLS_VALUE_TENSOR)
        return mls__error(MLS_EDTYPE, "input '%.200s' may be no tensor: bind one to it instead",
                          input_value(session, index)->name);
    *ret_bytes = input_bytes(session, index);
    return MLS_OK;
}

mls_status mls__session_settle_flow(mls_session *session)
{
    mls__session_settle_dims(session);
    mls_status status = mls__session_describe_inputs(session, false);
    for (size_t i = 0; !status && i < session->plan.graph->inputs.count; i++)
        status = settle_input(session, i);
    session->is_settled = !status;
    return status;
}

/* What an input is from now on; takes the object over. */
static void set_object(mls_session *session, size_t index, mls__object *object)
{
    mls__binding *binding = &session->inputs[index];
    mls__object_unref(&session->flow_host.pool, binding->object);
    binding->object = object;
    binding->is_own = binding->is_stale = false;
}

static mls_status check_index(const mls_session *session, size_t index)
{
    const size_t count = session->plan.graph->inputs.count;
    if (index < count)
        return MLS_OK;
    return mls__error(MLS_EINVAL, "input %zu: the model has %zu inputs", index, count);
}

mls_status mls_session_bind_input_sequence(mls_session *session, size_t index,
                                           const mls_tensor *const *items, size_t count)
{
    mls__object *sequence, *item;
    mls_status status = check_index(session, index);
    if (status)
        return status;
    const mls__value *value = input_value(session, index);
    if (value->kind == MLS_VALUE_TENSOR || value->kind == MLS_VALUE_MAP)
        return mls__error(MLS_EDTYPE, "input '%.200s' is a %s, not a sequence", value->name,
                          value->kind == MLS_VALUE_MAP ? "map" : "tensor");
    mls__pool *pool = &session->flow_host.pool;
    status = mls__object_sequence(pool, value->dtype, count, &sequence);
    if (status)
        return status;
    for (size_t i = 0; !status && i < count; i++) {
        if (value->dtype && items[i]->dtype != value->dtype)
            status = mls__error(MLS_EDTYPE, "input '%.200s': item %zu is %s; the model wants %s",
                                value->name, i, mls_dtype_name((mls_dtype) items[i]->dtype),
                                mls_dtype_name((mls_dtype) value->dtype));
        else if (!mls_tensor_is_contiguous(items[i]))
            status = mls__error(MLS_EINVAL, "input '%.200s': item %zu is not contiguous",
                                value->name, i);
        if (!status)
            status = mls__object_wrap(pool, items[i], &item);
        if (!status) {
            status = mls__object_append(pool, sequence, item);
            mls__object_unref(pool, item);
        }
    }
    if (status) {
        mls__object_unref(pool, sequence);
        return status;
    }
    set_object(session, index, sequence);
    return MLS_OK;
}

/* Keys or values, as `what` says. */
static mls_status check_entries(const mls__value *value, const char *what, int32_t dtype,
                                const mls_tensor *tensor)
{
    if (tensor->dtype != dtype)
        return mls__error(MLS_EDTYPE, "input '%.200s': the %s are %s; the model wants %s",
                          value->name, what, mls_dtype_name((mls_dtype) tensor->dtype),
                          mls_dtype_name((mls_dtype) dtype));
    if (tensor->rank != 1)
        return mls__error(MLS_ESHAPE, "input '%.200s': the %s have %d dimensions; one is wanted",
                          value->name, what, tensor->rank);
    if (!mls_tensor_is_contiguous(tensor))
        return mls__error(MLS_EINVAL, "input '%.200s': the %s are not contiguous", value->name,
                          what);
    return MLS_OK;
}

static mls_status check_map(const mls__value *value, const mls_tensor *keys,
                            const mls_tensor *values)
{
    if (value->kind != MLS_VALUE_MAP)
        return mls__error(MLS_EDTYPE, "input '%.200s' is no map", value->name);
    mls_status status = check_entries(value, "keys", value->key_dtype, keys);
    if (!status)
        status = check_entries(value, "values", value->dtype, values);
    if (!status && keys->dims[0] != values->dims[0])
        return mls__error(MLS_ESHAPE, "input '%.200s': %lld keys and %lld values", value->name,
                          (long long) keys->dims[0], (long long) values->dims[0]);
    return status;
}

mls_status mls_session_bind_input_map(mls_session *session, size_t index, const mls_tensor *keys,
                                      const mls_tensor *values)
{
    mls__object *map, *own_keys = NULL, *own_values = NULL;
    mls__pool *pool = &session->flow_host.pool;
    mls_status status = check_index(session, index);
    if (!status)
        status = check_map(input_value(session, index), keys, values);
    if (!status)
        status = mls__object_wrap(pool, keys, &own_keys);
    if (!status)
        status = mls__object_wrap(pool, values, &own_values);
    if (!status)
        status = mls__object_map(pool, own_keys, own_values, &map);
    mls__object_unref(pool, own_keys);
    mls__object_unref(pool, own_values);
    if (!status)
        set_object(session, index, map);
    return status;
}

/* --- outputs --- */

mls_status mls__session_flow_object(mls_session *session, bool is_input, size_t index,
                                    mls__object **ret_object)
{
    const mls__graph *graph = session->plan.graph;
    mls_status status = MLS_OK;
    if (is_input)
        status = mls__session_settle_flow(session);
    else if (!session->has_run)
        status = mls__error(MLS_ESTATE, "output '%.200s': its shape is known once a run is done",
                            mls__graph_value(graph, mls__graph_output(graph, index))->name);
    if (!status)
        *ret_object =
            is_input ? session->inputs[index].object : mls__flow_output(session->flow, index);
    return status;
}

/* Into the memory that the caller bound. */
static mls_status copy_output(const mls_session *session, size_t index)
{
    char have[MLS__SHAPE_TEXT], got[MLS__SHAPE_TEXT];
    const mls__binding *binding = &session->outputs[index];
    const mls__object *object = mls__flow_output(session->flow, index);
    const mls__graph *graph = session->plan.graph;
    const char *name = mls__graph_value(graph, mls__graph_output(graph, index))->name;
    const mls_tensor *tensor = binding->tensor;
    if (!binding->data)
        return MLS_OK;
    if (!object || object->kind != MLS_VALUE_TENSOR)
        return mls__error(MLS_EDTYPE, "output '%.200s': a tensor is bound; the model gave %s", name,
                          object ? mls__object_kind(object) : "nothing");
    if (tensor && tensor->dtype != object->dtype)
        return mls__error(MLS_EDTYPE, "output '%.200s': the bound tensor is %s; the model gave %s",
                          name, mls_dtype_name((mls_dtype) tensor->dtype),
                          mls_dtype_name((mls_dtype) object->dtype));
    if (tensor && !mls__shape_equal(tensor->rank, tensor->dims, object->rank, object->dims))
        return mls__error(MLS_ESHAPE, "output '%.200s': the bound tensor is %s; the model gave %s",
                          name, mls__shape_text(tensor->rank, tensor->dims, have),
                          mls__shape_text(object->rank, object->dims, got));
    if (binding->size_bytes != mls__object_bytes(object))
        return mls__error(MLS_ESHAPE, "output '%.200s': %zu bytes are bound; the model gave %zu",
                          name, binding->size_bytes, mls__object_bytes(object));
    memcpy(binding->data, object->data, binding->size_bytes);
    return MLS_OK;
}

mls_status mls__session_run_flow(mls_session *session)
{
    session->has_run = false;
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++)
        mls__flow_set_input(session->flow, i, session->inputs[i].object);
    mls_status status = mls__flow_run(session->flow);
    session->has_run = !status;
    for (size_t i = 0; !status && i < session->plan.graph->outputs.count; i++)
        status = copy_output(session, i);
    return status;
}
