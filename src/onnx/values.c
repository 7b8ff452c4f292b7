/* SPDX-License-Identifier: Apache-2.0 */
/* Values: who gives each one, and what the file declares of its type. */
#include "onnx/reader.h"

#include "base/error.h"
#include "onnx/tensor.h"
#include "tensor/dtype.h"

#include <inttypes.h>
#include <string.h>

mls__value_note *mls__onnx_note(const mls__onnx_reader *reader, uint32_t value)
{
    return mls__vec_at(reader->notes, value);
}

mls_status mls__onnx_add_value(mls__onnx_reader *reader, const char *name, uint32_t *ret_value)
{
    /* The note first, so that every value has one whatever fails. */
    if (!mls__vec_push(reader->notes))
        return mls__error_nomem(sizeof(mls__value_note));
    return mls__graph_add_value(reader->graph, name, ret_value);
}

static mls_status add_named(mls__onnx_reader *reader, const char *name, uint32_t *ret_value)
{
    const mls_status status = mls__onnx_add_value(reader, name, ret_value);
    if (status)
        return status;
    if (!mls__map_set(&reader->values, name, strlen(name), *ret_value))
        return mls__error_nomem(strlen(name));
    return MLS_OK;
}

/* The value of this graph alone. */
static mls_status own_value(mls__onnx_reader *reader, const char *name, uint32_t *ret_value)
{
    size_t known;
    if (!mls__map_get(&reader->values, name, strlen(name), &known))
        return add_named(reader, name, ret_value);
    *ret_value = (uint32_t) known;
    return MLS_OK;
}

/* Whether a graph around this body has the name. A function sees nothing of its caller's. */
static bool is_outside(const mls__onnx_reader *reader, const char *name)
{
    for (; reader->captures; reader = reader->outer)
        if (mls__map_get(&reader->outer->values, name, strlen(name), NULL))
            return true;
    return false;
}

/* What is known of a value outside holds inside too; a constant needs no input. */
static void take_over(mls__onnx_reader *reader, uint32_t outer, uint32_t inner)
{
    const mls__value *source = mls__graph_value(reader->outer->graph, outer);
    mls__value *value = mls__graph_value(reader->graph, inner);
    mls__value_note *note = mls__onnx_note(reader, inner);
    value->dtype = source->dtype;
    value->kind = source->kind;
    value->rank = source->rank;
    value->dims = source->dims;
    value->dim_names = source->dim_names;
    value->constant = source->constant;
    value->weight_id = source->weight_id;
    note->origin = source->constant ? MLS__ORIGIN_INITIALIZER : MLS__ORIGIN_INPUT;
    note->unsupported = mls__onnx_note(reader->outer, outer)->unsupported;
}

static mls_status capture(mls__onnx_reader *reader, const char *name, uint32_t *ret_value)
{
    uint32_t outer;
    mls_status status = mls__onnx_value(reader->outer, name, &outer);
    if (status)
        return status;
    if (outer == MLS__NO_VALUE) {
        *ret_value = MLS__NO_VALUE;
        return MLS_OK;
    }
    mls__onnx_note(reader->outer, outer)->is_used = true;
    status = add_named(reader, name, ret_value);
    if (status)
        return status;
    take_over(reader, outer, *ret_value);
    if (mls__graph_value(reader->graph, *ret_value)->constant)
        return MLS_OK;
    mls__capture *slot = mls__vec_push(reader->captures);
    if (!slot)
        return mls__error_nomem(sizeof *slot);
    *slot = (mls__capture){outer, *ret_value};
    return mls__graph_add_input(reader->graph, *ret_value);
}

mls_status mls__onnx_value(mls__onnx_reader *reader, const char *name, uint32_t *ret_value)
{
    *ret_value = MLS__NO_VALUE;
    if (!name[0])
        return MLS_OK;
    if (!mls__map_get(&reader->values, name, strlen(name), NULL) && is_outside(reader, name))
        return capture(reader, name, ret_value);
    return own_value(reader, name, ret_value);
}

mls_status mls__onnx_add_constant(mls__onnx_reader *reader, const char *name, mls_tensor *tensor,
                                  uint32_t *ret_value)
{
    mls_status status = mls__model_add_tensor(reader->model, tensor);
    if (!status)
        status = mls__onnx_add_value(reader, name, ret_value);
    if (!status)
        mls__graph_set_constant(reader->graph, *ret_value, tensor);
    return status;
}

mls_status mls__onnx_add_unsupported_constant(mls__onnx_reader *reader, uint32_t value,
                                              const char *name, const char *reason)
{
    mls__node *node;
    const mls_status status = mls__graph_add_node(reader->graph, "", "Constant", 0, 1, &node);
    if (status)
        return status;
    node->name = mls__arena_string(&reader->graph->arena, name);
    if (!node->name || !reason)
        return mls__error_nomem(1);
    node->schema = NULL;
    node->unsupported = reason;
    node->outputs[0] = value;
    return MLS_OK;
}

/*
 * Exporters that unroll loops give a name to several Constant nodes. Other readers take
 * the last one, and models that were tested with them count on it.
 */
static bool may_replace(const mls__onnx_reader *reader, const char *name, mls__origin earlier,
                        mls__origin later)
{
    if (earlier != MLS__ORIGIN_CONSTANT || later != MLS__ORIGIN_CONSTANT)
        return false;
    mls__log(reader->model->context, MLS_LOG_WARNING,
             "value '%.200s' is given by several Constant nodes; the last one is taken", name);
    return true;
}

/* The value of a name that nobody gave yet. `what` is who gives it, for the message. */
static mls_status claim_value(mls__onnx_reader *reader, const char *name, mls__origin origin,
                              const char *what, uint32_t *ret_value)
{
    if (!name || !name[0])
        return mls__error(MLS_EFORMAT, "an entry of %s has no name", what);
    const mls_status status = own_value(reader, name, ret_value);
    if (status)
        return status;
    mls__value_note *note = mls__onnx_note(reader, *ret_value);
    if (note->origin != MLS__ORIGIN_NONE && !may_replace(reader, name, note->origin, origin))
        return mls__error(MLS_EFORMAT, "value '%.200s' is given twice, also by %s", name, what);
    note->origin = origin;
    return MLS_OK;
}

/* Puts a constant that was read, or failed to be, in its value's place. */
static mls_status set_constant(mls__onnx_reader *reader, mls_status status, const char *name,
                               uint32_t value, mls_tensor *tensor)
{
    if (status) {
        mls__error_at(status, "tensor '%.200s'", name);
        if (status != MLS_EUNSUPPORTED)
            return status;
        return mls__onnx_add_unsupported_constant(reader, value, name, mls__onnx_reason(reader));
    }
    status = mls__model_add_tensor(reader->model, tensor);
    if (!status)
        mls__graph_set_constant(reader->graph, value, tensor);
    return status;
}

static mls_status read_initializers(mls__onnx_reader *reader)
{
    const mls__graph_proto *graph = reader->graph_proto;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < graph->n_initializer; i++) {
        mls__tensor_proto *proto = graph->initializer[i];
        mls_tensor *tensor = NULL;
        uint32_t value;
        status =
            claim_value(reader, proto->name, MLS__ORIGIN_INITIALIZER, "graph.initializer", &value);
        if (status)
            break;
        status = mls__onnx_tensor_read(reader->external, proto, &tensor);
        status = set_constant(reader, status, proto->name, value, tensor);
    }
    for (size_t i = 0; !status && i < graph->n_sparse_initializer; i++) {
        mls__sparse_proto *proto = graph->sparse_initializer[i];
        const char *name = proto->values ? proto->values->name : NULL;
        mls_tensor *tensor = NULL;
        uint32_t value;
        status =
            claim_value(reader, name, MLS__ORIGIN_INITIALIZER, "graph.sparse_initializer", &value);
        if (status)
            break;
        status = mls__onnx_sparse_read(reader->external, proto, &tensor);
        status = set_constant(reader, status, name, value, tensor);
    }
    return status;
}

static const char *type_text(const mls__type_proto *type)
{
    switch (type->value_case) {
    case MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        return "a tensor";
    case MLS__ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return "a sequence";
    case MLS__ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return "a map";
    case MLS__ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return "an optional";
    case MLS__ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        return "a sparse tensor";
    default:
        return "of an unknown type";
    }
}

static mls_status read_dim(mls__arena *arena, const mls__dim_proto *proto, int64_t *ret_dim,
                           const char **ret_name)
{
    *ret_dim = -1;
    if (proto->value_case == MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
        /* -1 is how some exporters write a dynamic dimension. */
        if (proto->dim_value < -1)
            return mls__error(MLS_EFORMAT, "its dimension %" PRId64 " is negative",
                              proto->dim_value);
        *ret_dim = proto->dim_value;
    } else if (proto->value_case == MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
               proto->dim_param[0]) {
        *ret_name = mls__arena_string(arena, proto->dim_param);
        if (!*ret_name)
            return mls__error_nomem(1);
    }
    return MLS_OK;
}

static mls_status read_shape(mls__arena *arena, const mls__shape_proto *shape, mls__value *value)
{
    int64_t *dims = mls__arena_array(arena, shape->n_dim, sizeof *dims);
    const char **names = mls__arena_array(arena, shape->n_dim, sizeof *names);
    if (!dims || !names)
        return mls__error_nomem(shape->n_dim * sizeof *dims);
    for (size_t i = 0; i < shape->n_dim; i++) {
        const mls_status status = read_dim(arena, shape->dim[i], &dims[i], &names[i]);
        if (status)
            return status;
    }
    value->rank = (int32_t) shape->n_dim;
    value->dims = dims;
    value->dim_names = names;
    return MLS_OK;
}

static mls_status read_element_type(const Mls__Onnx__TypeProto__Tensor *tensor, mls__value *value)
{
    if (tensor->elem_type != MLS_DTYPE_NONE && !mls__dtype_is_valid(tensor->elem_type))
        return mls__error(MLS_EUNSUPPORTED, "has elem_type %d, which is not supported",
                          tensor->elem_type);
    value->dtype = tensor->elem_type;
    return MLS_OK;
}

static mls_status read_tensor_type(mls__arena *arena, const Mls__Onnx__TypeProto__Tensor *tensor,
                                   mls__value *value)
{
    const mls_status status = read_element_type(tensor, value);
    if (status || !tensor->shape)
        return status;
    if (tensor->shape->n_dim > MLS_MAX_RANK)
        return mls__error(MLS_EUNSUPPORTED, "has %zu dimensions; at most %d are supported",
                          tensor->shape->n_dim, MLS_MAX_RANK);
    return read_shape(arena, tensor->shape, value);
}

/* The tensors of a sequence differ in shape: nothing but their element type is taken over. */
static mls_status read_sequence_type(const mls__type_proto *element, mls__value *value)
{
    const bool is_open = !element || element->value_case == MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET;
    /* ZipMap's sequence of maps is a tensor here. */
    if (!is_open && element->value_case != MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return mls__error(MLS_EUNSUPPORTED,
                          "is a sequence of what is %s; only sequences of "
                          "tensors are supported",
                          type_text(element));
    value->kind = MLS_VALUE_SEQUENCE;
    return is_open ? MLS_OK : read_element_type(element->tensor_type, value);
}

/* A value is one element, however its shape says so. */
static bool is_one_element(const mls__shape_proto *shape)
{
    for (size_t i = 0; shape && i < shape->n_dim; i++)
        if (shape->dim[i]->value_case ==
                MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            shape->dim[i]->dim_value > 1)
            return false;
    return true;
}

static mls_status read_map_type(const Mls__Onnx__TypeProto__Map *map, mls__value *value)
{
    const mls__type_proto *type = map->value_type;
    mls__value read = {.dtype = MLS_DTYPE_NONE};
    if (map->key_type != MLS_STRING && map->key_type != MLS_INT64)
        return mls__error(
            MLS_EUNSUPPORTED,
            "is a map with keys of key_type %d; string, 8, and int64, 7, are supported",
            map->key_type);
    if (!type || type->value_case != MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !is_one_element(type->tensor_type->shape))
        return mls__error(MLS_EUNSUPPORTED,
                          "is a map to what is %s; only single elements are "
                          "supported",
                          type ? type_text(type) : type_text(&(const mls__type_proto){0}));
    const mls_status status = read_element_type(type->tensor_type, &read);
    if (status)
        return status;
    if (read.dtype == MLS_DTYPE_NONE)
        return mls__error(MLS_EUNSUPPORTED, "is a map to elements of no type");
    value->dtype = read.dtype;
    value->key_dtype = map->key_type;
    value->kind = MLS_VALUE_MAP;
    return MLS_OK;
}

static mls_status read_optional_type(const mls__type_proto *element, mls__value *value)
{
    mls_status status = MLS_OK;
    const int kind = element ? (int) element->value_case : MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET;
    if (kind == MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        status = read_element_type(element->tensor_type, value);
    else if (kind == MLS__ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE)
        status = read_sequence_type(element->sequence_type->elem_type, value);
    else if (kind != MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET)
        status = mls__error(MLS_EUNSUPPORTED,
                            "is an optional of what is %s; only optional tensors and sequences of "
                            "tensors are supported",
                            type_text(element));
    if (!status)
        value->kind = MLS_VALUE_OPTIONAL;
    return status;
}

static mls_status read_type(mls__arena *arena, const mls__type_proto *type, mls__value *value)
{
    switch (type->value_case) {
    case MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET: /* nothing is said */
        return MLS_OK;
    case MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        return read_tensor_type(arena, type->tensor_type, value);
    case MLS__ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return read_sequence_type(type->sequence_type->elem_type, value);
    case MLS__ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return read_optional_type(type->optional_type->elem_type, value);
    case MLS__ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return read_map_type(type->map_type, value);
    default:
        return mls__error(MLS_EUNSUPPORTED,
                          "is %s; tensors, sequences, optionals and maps are supported",
                          type_text(type));
    }
}

/* Takes over what is declared of a value, and notes what we cannot do with it. */
static mls_status declare(mls__onnx_reader *reader, const mls__value_proto *proto, uint32_t index)
{
    mls__value *value = mls__graph_value(reader->graph, index);
    mls__value_note *note = mls__onnx_note(reader, index);
    /* Of a constant we know more than anybody declares; what was said first stays. */
    if (!proto->type || value->constant || value->dtype || note->unsupported)
        return MLS_OK;
    const mls_status status = read_type(&reader->graph->arena, proto->type, value);
    if (!status)
        return MLS_OK;
    mls__error_at(status, "value '%.200s'", value->name);
    if (status != MLS_EUNSUPPORTED)
        return status;
    note->unsupported = mls__onnx_reason(reader);
    return note->unsupported ? MLS_OK : mls__error_nomem(1);
}

/* A graph input; one that is an initializer too only tells its default (IR 4) or type (IR 3). */
static mls_status read_input(mls__onnx_reader *reader, const mls__value_proto *proto)
{
    uint32_t value;
    size_t known;
    const char *name = mls__proto_text(proto->name);
    if (mls__map_get(&reader->values, name, strlen(name), &known) &&
        mls__onnx_note(reader, (uint32_t) known)->origin == MLS__ORIGIN_INITIALIZER)
        return MLS_OK;
    mls_status status = claim_value(reader, name, MLS__ORIGIN_INPUT, "graph.input", &value);
    if (!status)
        status = declare(reader, proto, value);
    if (!status)
        status = mls__graph_add_input(reader->graph, value);
    const char *unsupported = status ? NULL : mls__onnx_note(reader, value)->unsupported;
    if (unsupported && !reader->allow_unsupported)
        return mls__error(MLS_EUNSUPPORTED, "input: %s", unsupported);
    return status;
}

static mls__origin node_origin(const mls__node_proto *node)
{
    const bool is_constant = strcmp(mls__proto_text(node->op_type), "Constant") == 0 &&
                             mls__onnx_domain(node->domain)[0] == '\0';
    return is_constant ? MLS__ORIGIN_CONSTANT : MLS__ORIGIN_NODE;
}

static mls_status claim_outputs(mls__onnx_reader *reader, const mls__node_proto *node)
{
    const mls__origin origin = node_origin(node);
    mls_status status = MLS_OK;
    uint32_t value;
    for (size_t i = 0; !status && i < node->n_output; i++)
        if (node->output[i][0])
            status = claim_value(reader, node->output[i], origin, "a node's output", &value);
    if (status)
        mls__error_at(status, "node '%.200s' (%.64s)", mls__proto_text(node->name),
                      mls__proto_text(node->op_type));
    return status;
}

/* What is declared of a name that nobody uses is passed over. */
static mls_status declare_known(mls__onnx_reader *reader, mls__value_proto *const *protos,
                                size_t count)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++) {
        const char *name = mls__proto_text(protos[i]->name);
        size_t known;
        if (mls__map_get(&reader->values, name, strlen(name), &known) && known != MLS__NO_VALUE)
            status = declare(reader, protos[i], (uint32_t) known);
    }
    return status;
}

static void mark_used(const mls__onnx_reader *reader, const char *name)
{
    size_t value;
    if (mls__map_get(&reader->values, name, strlen(name), &value) && value != MLS__NO_VALUE)
        mls__onnx_note(reader, (uint32_t) value)->is_used = true;
}

static void mark_node_uses(const mls__onnx_reader *reader, mls__node_proto *const *nodes,
                           size_t count);

/* What a body inside names may be a value of ours. */
static void mark_body_uses(const mls__onnx_reader *reader, const mls__node_proto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        const mls__graph_proto *body = node->attribute[i]->g;
        if (!body)
            continue;
        mark_node_uses(reader, body->node, body->n_node);
        for (size_t k = 0; k < body->n_output; k++)
            mark_used(reader, mls__proto_text(body->output[k]->name));
    }
}

static void mark_node_uses(const mls__onnx_reader *reader, mls__node_proto *const *nodes,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < nodes[i]->n_input; k++)
            mark_used(reader, nodes[i]->input[k]);
        mark_body_uses(reader, nodes[i]);
    }
}

mls_status mls__onnx_claim_nodes(mls__onnx_reader *reader, mls__node_proto *const *nodes,
                                 size_t count)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = claim_outputs(reader, nodes[i]);
    if (!status)
        mark_node_uses(reader, nodes, count);
    return status;
}

mls_status mls__onnx_read_values(mls__onnx_reader *reader)
{
    const mls__graph_proto *graph = reader->graph_proto;
    mls_status status = read_initializers(reader);
    for (size_t i = 0; !status && i < graph->n_input; i++)
        status = read_input(reader, graph->input[i]);
    if (!status)
        status = mls__onnx_claim_nodes(reader, graph->node, graph->n_node);
    for (size_t i = 0; !status && i < graph->n_output; i++)
        mark_used(reader, mls__proto_text(graph->output[i]->name));
    if (!status)
        status = declare_known(reader, graph->output, graph->n_output);
    if (!status)
        status = declare_known(reader, graph->value_info, graph->n_value_info);
    return status;
}

mls_status mls__onnx_read_outputs(mls__onnx_reader *reader)
{
    const mls__graph_proto *graph = reader->graph_proto;
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = mls__proto_text(graph->output[i]->name);
        uint32_t value;
        if (!name[0])
            return mls__error(MLS_EFORMAT, "an entry of graph.output has no name");
        mls_status status = mls__onnx_value(reader, name, &value);
        if (!status)
            status = mls__graph_add_output(reader->graph, value);
        if (status)
            return status;
    }
    return MLS_OK;
}
