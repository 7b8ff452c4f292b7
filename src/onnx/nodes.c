/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes. One that cannot be run is kept and marked with the reason, so that a model
 * can be looked at although not run.
 */
#include "onnx/reader.h"
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The node in messages: "node 'conv1' (Conv)", or by its place when it has no name. */
static mls_status at_node(mls_status status, const mls__node_proto *proto, size_t index)
{
    const char *type = mls__proto_text(proto->op_type);
    if (proto->name && proto->name[0])
        return mls__error_at(status, "node '%.200s' (%.64s)", proto->name, type);
    return mls__error_at(status, "node #%zu (%.64s)", index, type);
}

static bool is_op(const mls__onnx_node *node, const char *domain, const char *type)
{
    return strcmp(node->type, type) == 0 && strcmp(node->domain, domain) == 0;
}

static mls_status check_callable(mls__onnx_node *node)
{
    if (node->reader->unsupported)
        return mls__error(MLS_EUNSUPPORTED, "%s", node->reader->unsupported);
    return mls__onnx_version(node->reader, node->domain, &node->version);
}

static mls_status check_value(const mls__onnx_node *node, const char *name)
{
    size_t value;
    if (!mls__map_get(&node->reader->values, name, strlen(name), &value) || value == MLS__NO_VALUE)
        return MLS_OK;
    const char *reason = mls__onnx_note(node->reader, (uint32_t) value)->unsupported;
    return reason ? mls__error(MLS_EUNSUPPORTED, "%s", reason) : MLS_OK;
}

static mls_status check_values(const mls__onnx_node *node)
{
    const mls__node_proto *proto = node->proto;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < proto->n_input; i++)
        status = check_value(node, proto->input[i]);
    /* What ZipMap gives is declared a sequence of maps; it is a tensor here. */
    if (is_op(node, "ai.onnx.ml", "ZipMap"))
        return status;
    for (size_t i = 0; !status && i < proto->n_output; i++)
        status = check_value(node, proto->output[i]);
    return status;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static mls_status read_attr(mls__onnx_node *node, const mls__attr_proto *given)
{
    const char *name = mls__proto_text(given->name);
    mls__onnx_reader *reader;
    /* Notes of the program that wrote the file: no op has a name like that. */
    if (has_prefix(name, "__"))
        return MLS_OK;
    /* Those are set by the translation alone. */
    if (has_prefix(name, "mls_"))
        return mls__error(MLS_EUNSUPPORTED, "attribute '%.100s' is unknown", name);
    if (mls__onnx_attr(node, name))
        return mls__error(MLS_EFORMAT, "attribute '%.100s' is given twice", name);
    const mls__attr_proto *proto = mls__onnx_resolve_attr(node->reader, given, &reader);
    if (!proto)
        return MLS_OK;
    if (proto->ref_attr_name && proto->ref_attr_name[0])
        return mls__error(MLS_EFORMAT,
                          "attribute '%.100s' refers to a function's, but is in no function", name);
    /* What an Optional may hold: nothing here depends on it. */
    if (proto->type == MLS__ATTR_TYPE && is_op(node, "", "Optional") && strcmp(name, "type") == 0)
        return MLS_OK;
    if (proto->type == MLS__ATTR_GRAPH && proto->g) {
        const mls_status status = mls__onnx_read_body(node, reader, name, proto->g);
        return status ? mls__error_at(status, "attribute '%.100s'", name) : MLS_OK;
    }
    mls_attr *attr = &node->attrs[node->attr_count];
    const mls_status status = mls__onnx_read_attr(reader, proto, name, attr);
    node->attr_count += !status;
    return status;
}

static mls_status read_attrs(mls__onnx_node *node)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < node->proto->n_attribute; i++)
        status = read_attr(node, node->proto->attribute[i]);
    return status;
}

/* Everything about the node but its inputs; what it lacks is found in the new form only. */
static mls_status read_form(mls__onnx_node *node)
{
    mls_status status = check_callable(node);
    if (!status)
        status = check_values(node);
    if (!status)
        status = read_attrs(node);
    if (!status)
        status = mls__onnx_translate(node);
    if (!status && !is_op(node, "", "Constant") && !mls__op_schema_find(node->domain, node->type))
        status = mls__error(MLS_EUNSUPPORTED, "op %.100s of opset %" PRId64 " is not supported",
                            node->type, node->version);
    return status;
}

static mls_status read_inputs(mls__onnx_node *node)
{
    const mls__node_proto *proto = node->proto;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < proto->n_input; i++)
        status = mls__onnx_value(node->reader, proto->input[i], &node->inputs[i]);
    node->input_count = proto->n_input;
    while (node->input_count && node->inputs[node->input_count - 1] == MLS__NO_VALUE)
        node->input_count--;
    return status;
}

static mls_status begin_node(mls__onnx_reader *reader, const mls__node_proto *proto,
                             mls__onnx_node *ret_node)
{
    mls__arena *arena = &reader->graph->arena;
    mls__onnx_node node = {
        .reader = reader,
        .proto = proto,
        .domain = mls__arena_string(arena, mls__onnx_domain(proto->domain)),
        .type = mls__arena_string(arena, mls__proto_text(proto->op_type)),
        .attrs = mls__arena_array(arena, proto->n_attribute + MLS__ONNX_SPARE, sizeof(mls_attr)),
        .inputs = mls__arena_array(arena, proto->n_input + MLS__ONNX_SPARE, sizeof(uint32_t)),
        .output_count = proto->n_output,
    };
    mls__vec_init(&node.captures, reader->graph->allocator, sizeof(uint32_t));
    *ret_node = node;
    if (!node.domain || !node.type || !node.attrs || !node.inputs)
        return mls__error(MLS_ENOMEM, "out of memory while reading a node");
    if (!node.type[0])
        return mls__error(MLS_EFORMAT, "it has no op_type");
    return read_inputs(ret_node);
}

/* Optional outputs at the end that are left out; of a list of outputs each has its place. */
static size_t used_outputs(const mls__onnx_node *node, const mls__op_schema *schema)
{
    size_t count = node->output_count;
    if (schema && schema->max_outputs == MLS__VARIADIC)
        return count;
    while (count && !node->proto->output[count - 1][0])
        count--;
    return count;
}

static mls_status check_count(const mls__onnx_node *node, const char *what, size_t count,
                              size_t min, size_t max)
{
    if (count >= min && (count <= max || max == MLS__VARIADIC))
        return MLS_OK;
    if (max == MLS__VARIADIC)
        return mls__error(MLS_EFORMAT, "%zu %s; %s takes %zu or more", count, what, node->type,
                          min);
    return mls__error(MLS_EFORMAT, "%zu %s; %s takes %zu to %zu", count, what, node->type, min,
                      max);
}

static mls_status check_arity(const mls__onnx_node *node, const mls__op_schema *schema,
                              size_t output_count)
{
    for (size_t i = 0; i < node->input_count && i < schema->min_inputs; i++)
        if (node->inputs[i] == MLS__NO_VALUE)
            return mls__error(MLS_EFORMAT, "input %zu is left out, which %s must have", i,
                              node->type);
    const mls_status status =
        check_count(node, "inputs", node->input_count, schema->min_inputs, schema->max_inputs);
    if (status)
        return status;
    return check_count(node, "outputs", output_count, schema->min_outputs, schema->max_outputs);
}

static mls_status add_bodies(const mls__onnx_node *node, mls__node *added)
{
    const size_t own = node->input_count, captures = node->captures.count;
    if (own)
        memcpy(added->inputs, node->inputs, own * sizeof *added->inputs);
    if (captures)
        memcpy(added->inputs + own, node->captures.data, captures * sizeof *added->inputs);
    added->own_input_count = own;
    added->body_count = node->body_count;
    added->bodies =
        mls__arena_array(&node->reader->graph->arena, node->body_count, sizeof *added->bodies);
    if (!added->bodies)
        return mls__error_nomem(sizeof *added->bodies);
    if (node->body_count)
        memcpy(added->bodies, node->bodies, node->body_count * sizeof *added->bodies);
    return MLS_OK;
}

/* A node with attributes that are not known is one that cannot be run. */
static mls_status check_attrs(const mls__onnx_reader *reader, mls__node *node)
{
    const mls_status status = mls__node_check_attrs(node);
    if (status != MLS_EUNSUPPORTED)
        return status;
    node->schema = NULL;
    node->unsupported = mls__onnx_reason(reader);
    return node->unsupported ? MLS_OK : mls__error_nomem(1);
}

static mls_status add_node(mls__onnx_node *node, const char *unsupported)
{
    const mls__node_proto *proto = node->proto;
    const size_t output_count = used_outputs(node, mls__op_schema_find(node->domain, node->type));
    mls__node *added;
    mls_status status =
        mls__graph_add_node(node->reader->graph, node->domain, node->type,
                            node->input_count + node->captures.count, output_count, &added);
    if (status)
        return status;
    added->name = mls__arena_string(&node->reader->graph->arena, mls__proto_text(proto->name));
    if (!added->name)
        return mls__error_nomem(1);
    added->unsupported = unsupported;
    if (unsupported)
        added->schema = NULL;
    added->attrs = node->attrs;
    added->attr_count = node->attr_count;
    status = add_bodies(node, added);
    for (size_t i = 0; !status && i < output_count; i++)
        status = mls__onnx_value(node->reader, proto->output[i], &added->outputs[i]);
    if (!status && added->schema)
        status = check_arity(node, added->schema, output_count);
    if (!status && added->schema)
        status = check_attrs(node->reader, added);
    return status;
}

/* An op, or a node that is marked with the reason why it is none. */
static mls_status read_op(mls__onnx_node *node)
{
    const char *reason = NULL;
    mls_status status = read_form(node);
    if (status == MLS_EUNSUPPORTED) {
        reason = mls__onnx_reason(node->reader);
        status = reason ? MLS_OK : mls__error_nomem(1);
    }
    if (status)
        return status;
    if (!reason && is_op(node, "", "Constant"))
        return mls__onnx_read_constant(node);
    return add_node(node, reason);
}

static mls_status read_node(mls__onnx_reader *reader, const mls__node_proto *proto)
{
    mls__onnx_node node;
    const mls__function_proto *function;
    mls_status status = begin_node(reader, proto, &node);
    if (!status)
        status = mls__onnx_find_function(reader, proto, &function);
    if (!status)
        status = function ? mls__onnx_read_call(&node, function) : read_op(&node);
    mls__vec_clear(&node.captures);
    return status;
}

mls_status mls__onnx_read_nodes(mls__onnx_reader *reader, mls__node_proto *const *nodes,
                                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_status status = read_node(reader, nodes[i]);
        if (status)
            return at_node(status, nodes[i], i);
    }
    return MLS_OK;
}
