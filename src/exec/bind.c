/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and outputs: finding them, their shapes, and binding the caller's memory. */
#include "exec/session.h"

#include "base/error.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <string.h>

/* Inputs and outputs are handled alike. */
typedef struct side {
    const char *noun;
    size_t count;
    mls__binding *bindings;
    mls__port *ports; /* once planned */
    uint32_t (*value)(const mls__graph *graph, size_t index);
} side;

static side input_side(const mls_session *session)
{
    return (side){"input", session->plan.graph->inputs.count, session->inputs, session->plan.inputs,
                  mls__graph_input};
}

static side output_side(const mls_session *session)
{
    return (side){"output", session->plan.graph->outputs.count, session->outputs,
                  session->plan.outputs, mls__graph_output};
}

static const mls__value *side_value(const mls_session *session, const side *s, size_t index)
{
    return mls__graph_value(session->plan.graph, s->value(session->plan.graph, index));
}

static mls_status check_index(const side *s, size_t index)
{
    if (index < s->count)
        return MLS_OK;
    return mls__error(MLS_EINVAL, "%s %zu: the model has %zu %ss", s->noun, index, s->count,
                      s->noun);
}

static mls_status find_index(const mls_session *session, side s, const char *name,
                             size_t *ret_index)
{
    char names[512] = "";
    for (size_t i = 0; i < s.count; i++) {
        const char *have = side_value(session, &s, i)->name;
        const size_t used = strlen(names);
        if (strcmp(have, name) == 0) {
            *ret_index = i;
            return MLS_OK;
        }
        if (used + strlen(have) + 5 < sizeof names) {
            strcat(names, used ? ", '" : "'");
            strcat(strcat(names, have), "'");
        }
    }
    return mls__error(MLS_ENOTFOUND, "the model has no %s '%.200s'; it has: %s", s.noun, name,
                      names);
}

mls_status mls_session_input_index(const mls_session *session, const char *name, size_t *ret_index)
{
    return find_index(session, input_side(session), name, ret_index);
}

mls_status mls_session_output_index(const mls_session *session, const char *name, size_t *ret_index)
{
    return find_index(session, output_side(session), name, ret_index);
}

static mls_status flow_object(mls_session *session, side (*get)(const mls_session *), size_t index,
                              mls__object **ret_object)
{
    const side s = get(session);
    mls_status status = check_index(&s, index);
    if (!status)
        status = mls__session_flow_object(session, get == input_side, index, ret_object);
    if (status)
        return status;
    if (*ret_object && (*ret_object)->kind == MLS_VALUE_TENSOR)
        return MLS_OK;
    return mls__error(MLS_EDTYPE, "%s '%.200s' is %s, not a tensor", s.noun,
                      side_value(session, &s, index)->name,
                      *ret_object ? mls__object_kind(*ret_object) : "an empty optional");
}

static mls_status settled_port(mls_session *session, side (*get)(const mls_session *), size_t index,
                               mls__port **ret_port)
{
    side s = get(session);
    mls_status status = check_index(&s, index);
    if (!status)
        status = mls__session_settle(session);
    if (status)
        return status;
    s = get(session);
    *ret_port = &s.ports[index];
    return MLS_OK;
}

/* The session's own memory of an input or output; NULL on an error. */
static void *own_data(mls_session *session, side (*get)(const mls_session *), size_t index)
{
    mls__port *port;
    mls__object *object;
    if (session->flow)
        return flow_object(session, get, index, &object) ? NULL : object->data;
    return settled_port(session, get, index, &port) ? NULL : port->own;
}

void *mls_session_input_data(mls_session *session, size_t index)
{
    return own_data(session, input_side, index);
}

const void *mls_session_output_data(mls_session *session, size_t index)
{
    return own_data(session, output_side, index);
}

static mls_status get_shape(mls_session *session, side (*get)(const mls_session *), size_t index,
                            mls_dtype *ret_dtype, int *ret_rank, const int64_t **ret_dims)
{
    mls__port *port;
    mls__object *object;
    const mls_status status = session->flow ? flow_object(session, get, index, &object)
                                            : settled_port(session, get, index, &port);
    if (status)
        return status;
    if (session->flow) {
        *ret_dtype = (mls_dtype) object->dtype;
        *ret_rank = object->rank;
        *ret_dims = object->dims;
        return MLS_OK;
    }
    const mls_arg *arg = &session->plan.slots[port->slot].arg;
    *ret_dtype = (mls_dtype) arg->dtype;
    *ret_rank = arg->rank;
    *ret_dims = arg->dims;
    return MLS_OK;
}

mls_status mls_session_input_shape(mls_session *session, size_t index, mls_dtype *ret_dtype,
                                   int *ret_rank, const int64_t **ret_dims)
{
    return get_shape(session, input_side, index, ret_dtype, ret_rank, ret_dims);
}

mls_status mls_session_output_shape(mls_session *session, size_t index, mls_dtype *ret_dtype,
                                    int *ret_rank, const int64_t **ret_dims)
{
    return get_shape(session, output_side, index, ret_dtype, ret_rank, ret_dims);
}

static mls_status check_tensor(const mls_session *session, const side *s, size_t index,
                               const mls_tensor *tensor)
{
    const mls__value *value = side_value(session, s, index);
    if (value->kind == MLS_VALUE_SEQUENCE || value->kind == MLS_VALUE_MAP)
        return mls__error(MLS_EDTYPE, "%s '%.200s' is a %s, not a tensor", s->noun, value->name,
                          value->kind == MLS_VALUE_MAP ? "map" : "sequence");
    if (value->dtype && tensor->dtype != value->dtype)
        return mls__error(MLS_EDTYPE, "%s '%.200s': the tensor is %s; the model wants %s", s->noun,
                          value->name, mls_dtype_name((mls_dtype) tensor->dtype),
                          mls_dtype_name((mls_dtype) value->dtype));
    if (!mls_tensor_is_contiguous(tensor))
        return mls__error(MLS_EINVAL,
                          "%s '%.200s': the tensor is not contiguous; bind a copy of it "
                          "(mls_tensor_copy)",
                          s->noun, value->name);
    return MLS_OK;
}

/* Where runs read or write from now on. The plan's pointers follow at once if there is one. */
static void set_binding(mls_session *session, const side *s, size_t index, mls_tensor *view,
                        void *data, size_t size_bytes)
{
    mls__binding *binding = &s->bindings[index];
    mls_tensor_free(binding->tensor);
    binding->tensor = view;
    binding->data = data;
    binding->size_bytes = size_bytes;
    binding->is_stale = true;
    session->is_checked = false;
    if (session->is_planned)
        mls__plan_point(&s->ports[index], data);
}

static mls_status bind_tensor(mls_session *session, const side *s, size_t index,
                              const mls_tensor *tensor)
{
    mls_tensor *view;
    const mls_status status = mls__tensor_view(tensor, &view);
    if (status)
        return status;
    /* An empty tensor has no memory, but it is bound all the same. */
    static char nothing;
    void *data = mls_tensor_data(tensor);
    set_binding(session, s, index, view, data ? data : &nothing, mls_tensor_size_bytes(tensor));
    return MLS_OK;
}

/* The tensor's dims become the session's. Whether that changes any is noted. */
static mls_status take_dims(mls_session *session, size_t index, const mls_tensor *tensor)
{
    int64_t before[MLS_MAX_RANK];
    const mls__input_shape *shape = &session->dims.inputs[index];
    mls__binding *binding = &session->inputs[index];
    const bool known = mls__dims_shape(&session->dims, index, before);
    const mls_status status =
        mls__dims_take(&session->dims, session->plan.graph, index, tensor->rank, tensor->dims);
    if (status)
        return status;
    if (shape->rank >= 0) {
        if (!known || !mls__shape_equal(tensor->rank, tensor->dims, shape->rank, before))
            session->is_settled = false;
        return MLS_OK;
    }
    if (!mls__shape_equal(tensor->rank, tensor->dims, binding->rank, binding->dims)) {
        binding->rank = tensor->rank;
        memcpy(binding->dims, tensor->dims, sizeof binding->dims);
        session->is_settled = false;
        if (session->is_planned)
            mls__plan_clear(&session->plan);
        session->is_planned = false;
    }
    return MLS_OK;
}

mls_status mls_session_bind_input(mls_session *session, size_t index, const mls_tensor *tensor)
{
    side s = input_side(session);
    mls_status status = check_index(&s, index);
    if (status)
        return status;
    if (!tensor) {
        set_binding(session, &s, index, NULL, NULL, 0);
        return MLS_OK;
    }
    status = check_tensor(session, &s, index, tensor);
    if (!status)
        status = take_dims(session, index, tensor);
    if (status)
        return status;
    s = input_side(session);
    status = bind_tensor(session, &s, index, tensor);
    if (!status && session->inputs[index].is_decisive)
        session->is_settled = false;
    return status;
}

mls_status mls_session_bind_output(mls_session *session, size_t index, mls_tensor *tensor)
{
    const side s = output_side(session);
    mls_status status = check_index(&s, index);
    if (status)
        return status;
    if (!tensor) {
        set_binding(session, &s, index, NULL, NULL, 0);
        return MLS_OK;
    }
    status = check_tensor(session, &s, index, tensor);
    return status ? status : bind_tensor(session, &s, index, tensor);
}

/* Of what a flow gives, only a run can tell; it is checked then. */
static mls_status needed_bytes(mls_session *session, side (*get)(const mls_session *), size_t index,
                               size_t given, size_t *ret_bytes)
{
    mls__port *port;
    const side s = get(session);
    mls_status status = check_index(&s, index);
    if (status)
        return status;
    *ret_bytes = given;
    if (session->flow && get == output_side)
        return MLS_OK;
    if (session->flow)
        return mls__session_flow_input_bytes(session, index, ret_bytes);
    status = settled_port(session, get, index, &port);
    if (!status)
        *ret_bytes = mls__arg_bytes(&session->plan.slots[port->slot].arg);
    return status;
}

static mls_status bind_data(mls_session *session, side (*get)(const mls_session *), size_t index,
                            void *data, size_t size_bytes)
{
    size_t needed = 0;
    side s = get(session);
    const bool is_reset = !data && !size_bytes;
    const mls_status status =
        is_reset ? check_index(&s, index) : needed_bytes(session, get, index, size_bytes, &needed);
    if (status)
        return status;
    s = get(session);
    if (!is_reset && (size_bytes != needed || !data))
        return mls__error(MLS_ESHAPE, "%s '%.200s' takes %zu bytes at the present dims; %zu given",
                          s.noun, side_value(session, &s, index)->name, needed,
                          data ? size_bytes : 0);
    set_binding(session, &s, index, NULL, data, size_bytes);
    return MLS_OK;
}

mls_status mls_session_bind_input_data(mls_session *session, size_t index, const void *data,
                                       size_t size_bytes)
{
    return bind_data(session, input_side, index, (void *) (uintptr_t) data, size_bytes);
}

mls_status mls_session_bind_output_data(mls_session *session, size_t index, void *data,
                                        size_t size_bytes)
{
    return bind_data(session, output_side, index, data, size_bytes);
}

static mls_status check_binding(const mls_session *session, const side *s, size_t index)
{
    char have[MLS__SHAPE_TEXT], want[MLS__SHAPE_TEXT];
    const mls__binding *binding = &s->bindings[index];
    const mls_arg *arg = &session->plan.slots[s->ports[index].slot].arg;
    const char *name = side_value(session, s, index)->name;
    const mls_tensor *tensor = binding->tensor;
    if (!binding->data)
        return MLS_OK;
    if (tensor && tensor->dtype != arg->dtype)
        return mls__error(MLS_EDTYPE, "%s '%.200s': the bound tensor is %s; the model gives %s",
                          s->noun, name, mls_dtype_name((mls_dtype) tensor->dtype),
                          mls_dtype_name((mls_dtype) arg->dtype));
    if (tensor && !mls__shape_equal(tensor->rank, tensor->dims, arg->rank, arg->dims))
        return mls__error(MLS_ESHAPE,
                          "%s '%.200s': the bound tensor is %s; at the present dims "
                          "it must be %s",
                          s->noun, name, mls__shape_text(tensor->rank, tensor->dims, have),
                          mls__shape_text(arg->rank, arg->dims, want));
    if (binding->size_bytes != mls__arg_bytes(arg))
        return mls__error(MLS_ESHAPE,
                          "%s '%.200s': %zu bytes are bound; at the present dims it takes %zu "
                          "(%s)",
                          s->noun, name, binding->size_bytes, mls__arg_bytes(arg),
                          mls__shape_text(arg->rank, arg->dims, want));
    return MLS_OK;
}

mls_status mls__session_check_bindings(mls_session *session)
{
    const side sides[] = {input_side(session), output_side(session)};
    for (size_t n = 0; n < 2; n++)
        for (size_t i = 0; i < sides[n].count; i++) {
            const mls_status status = check_binding(session, &sides[n], i);
            if (status)
                return status;
        }
    session->is_checked = true;
    return MLS_OK;
}

/* --- sequences, maps and optionals --- */

mls_status mls_session_output_count(mls_session *session, size_t index, size_t *ret_count)
{
    mls__object *object;
    const side s = output_side(session);
    mls_status status = check_index(&s, index);
    if (status)
        return status;
    *ret_count = 1;
    if (!session->flow)
        return MLS_OK;
    status = mls__session_flow_object(session, false, index, &object);
    if (!status)
        *ret_count = !object ? 0 : object->kind == MLS_VALUE_TENSOR ? 1 : object->count;
    return status;
}

mls_status mls_session_output_item(mls_session *session, size_t index, size_t item,
                                   mls_tensor **ret_tensor)
{
    mls__object *object;
    size_t count;
    mls_status status = mls_session_output_count(session, index, &count);
    if (status)
        return status;
    if (item >= count)
        return mls__error(MLS_EINVAL, "item %zu of output %zu: it has %zu", item, index, count);
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    void *data;
    status = session->flow ? mls__session_flow_object(session, false, index, &object) : MLS_OK;
    if (!status && session->flow && object->kind != MLS_VALUE_TENSOR) {
        object = object->items[item];
        dtype = (mls_dtype) object->dtype;
        rank = object->rank;
        dims = object->dims;
        data = object->data;
    } else if (!status) {
        status = mls_session_output_shape(session, index, &dtype, &rank, &dims);
        data = session->outputs[index].data
                   ? session->outputs[index].data
                   : (void *) (uintptr_t) mls_session_output_data(session, index);
    }
    if (status)
        return status;
    return mls_tensor_wrap(session->model->context, dtype, rank, dims, NULL, data, NULL, NULL,
                           ret_tensor);
}
