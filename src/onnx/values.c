/* SPDX-License-Identifier: Apache-2.0 */
/* Values: who gives each one, and what the file declares of it. */
#include "onnx/reader.h"

#include "base/error.h"
#include "onnx/tensor.h"

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

/* Takes over what is declared of a value, and notes what we cannot do with it. */
static mls_status declare(mls__onnx_reader *reader, const mls__value_proto *proto, uint32_t index)
{
    mls__value *value = mls__graph_value(reader->graph, index);
    mls__value_note *note = mls__onnx_note(reader, index);
    /* Of a constant we know more than anybody declares; what was said first stays. */
    if (!proto->type || value->constant || value->dtype || note->unsupported)
        return MLS_OK;
    const mls_status status = mls__onnx_read_type(&reader->graph->arena, proto->type, value);
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
