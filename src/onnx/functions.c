/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model's own functions. A call is replaced by the function's nodes: its inputs and outputs
 * are the caller's values, its other values are new ones, and attributes that refer to those of
 * the function are the caller's or their defaults.
 */
#include "onnx/reader.h"
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Functions that call functions could become more nodes than any file could hold. */
#define MAX_DEPTH 64
#define MAX_NODES ((size_t) 1 << 18)

/* What identifies a function, as one string; NULL: no memory. */
static const char *function_key(const mls__onnx_reader *reader, const char *domain,
                                const char *name, const char *overload)
{
    domain = mls__onnx_domain(domain);
    name = mls__proto_text(name);
    overload = mls__proto_text(overload);
    const size_t size = strlen(domain) + strlen(name) + strlen(overload) + 3;
    char *key = mls__arena_alloc(&reader->graph->arena, size);
    if (key)
        snprintf(key, size, "%s\n%s\n%s", domain, name, overload);
    return key;
}

mls_status mls__onnx_note_functions(mls__onnx_reader *reader)
{
    for (size_t i = 0; i < reader->proto->n_functions; i++) {
        const mls__function_proto *function = reader->proto->functions[i];
        const char *key =
            function_key(reader, function->domain, function->name, function->overload);
        if (!key || !mls__map_set(reader->functions, key, strlen(key), i))
            return mls__error_nomem(1);
    }
    return MLS_OK;
}

mls_status mls__onnx_find_function(const mls__onnx_reader *reader, const mls__node_proto *node,
                                   const mls__function_proto **ret_function)
{
    size_t index;
    *ret_function = NULL;
    if (!reader->functions->count)
        return MLS_OK;
    const char *key = function_key(reader, node->domain, node->op_type, node->overload);
    if (!key)
        return mls__error_nomem(1);
    if (mls__map_get(reader->functions, key, strlen(key), &index))
        *ret_function = reader->proto->functions[index];
    return MLS_OK;
}

static const mls__attr_proto *find_attr(mls__attr_proto *const *attrs, size_t count,
                                        const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(mls__proto_text(attrs[i]->name), name) == 0)
            return attrs[i];
    return NULL;
}

const mls__attr_proto *mls__onnx_resolve_attr(mls__onnx_reader *reader, const mls__attr_proto *attr,
                                              mls__onnx_reader **ret_reader)
{
    /* A body inside a function refers to the function's attributes too. */
    while (attr && attr->ref_attr_name && attr->ref_attr_name[0]) {
        while (reader->captures)
            reader = reader->outer;
        if (!reader->function)
            break;
        const mls__function_proto *function = reader->function;
        const char *name = attr->ref_attr_name;
        attr = find_attr(reader->call->attribute, reader->call->n_attribute, name);
        if (!attr) {
            attr = find_attr(function->attribute_proto, function->n_attribute_proto, name);
            break;
        }
        reader = reader->outer;
    }
    *ret_reader = reader;
    return attr;
}

static mls_status map_value(mls__onnx_reader *reader, const char *name, uint32_t value)
{
    if (!name[0])
        return mls__error(MLS_EFORMAT, "an input or output of the function has no name");
    if (mls__map_get(&reader->values, name, strlen(name), NULL))
        return mls__error(MLS_EFORMAT, "the function gives the name '%.200s' twice", name);
    return mls__map_set(&reader->values, name, strlen(name), value) ? MLS_OK : mls__error_nomem(1);
}

static mls_status map_inputs(mls__onnx_reader *reader, const mls__onnx_node *node)
{
    const mls__function_proto *function = reader->function;
    mls_status status = MLS_OK;
    if (node->input_count > function->n_input)
        return mls__error(MLS_EFORMAT, "%zu inputs; the function takes %zu", node->input_count,
                          function->n_input);
    for (size_t i = 0; !status && i < function->n_input; i++)
        status = map_value(reader, function->input[i],
                           i < node->input_count ? node->inputs[i] : MLS__NO_VALUE);
    return status;
}

/* An output that is an input of the function as well is copied. */
static mls_status pass_through(mls__onnx_reader *reader, const char *name, uint32_t value)
{
    size_t source;
    mls__node *node;
    mls__map_get(&reader->values, name, strlen(name), &source);
    if (source == MLS__NO_VALUE)
        return mls__error(MLS_EFORMAT, "output '%.200s' is an input that the call leaves out",
                          name);
    const mls_status status = mls__graph_add_node(reader->graph, "", "Identity", 1, 1, &node);
    if (status)
        return status;
    node->inputs[0] = (uint32_t) source;
    node->outputs[0] = value;
    return MLS_OK;
}

static mls_status map_outputs(mls__onnx_reader *reader, const mls__node_proto *call)
{
    const mls__function_proto *function = reader->function;
    if (call->n_output > function->n_output)
        return mls__error(MLS_EFORMAT, "%zu outputs; the function gives %zu", call->n_output,
                          function->n_output);
    for (size_t i = 0; i < call->n_output; i++) {
        const char *name = function->output[i];
        uint32_t value;
        mls_status status = mls__onnx_value(reader->outer, call->output[i], &value);
        if (status)
            return status;
        if (value == MLS__NO_VALUE)
            continue;
        if (mls__map_get(&reader->values, name, strlen(name), NULL)) {
            status = pass_through(reader, name, value);
        } else {
            /* The node of the function that gives it is still to claim it. */
            mls__onnx_note(reader, value)->origin = MLS__ORIGIN_NONE;
            status = map_value(reader, name, value);
        }
        if (status)
            return status;
    }
    return MLS_OK;
}

static mls_status check_outputs(const mls__onnx_reader *reader)
{
    for (size_t i = 0; i < reader->call->n_output; i++) {
        const char *name = reader->function->output[i];
        size_t value;
        if (mls__map_get(&reader->values, name, strlen(name), &value) && value != MLS__NO_VALUE &&
            mls__onnx_note(reader, (uint32_t) value)->origin == MLS__ORIGIN_NONE)
            return mls__error(MLS_EFORMAT, "no node of the function gives its output '%.200s'",
                              name);
    }
    return MLS_OK;
}

static mls_status read_call(mls__onnx_reader *reader, const mls__onnx_node *node)
{
    const mls__function_proto *function = reader->function;
    mls_status status = map_inputs(reader, node);
    if (!status)
        status = map_outputs(reader, node->proto);
    if (!status)
        status = mls__onnx_claim_nodes(reader, function->node, function->n_node);
    if (!status)
        status = check_outputs(reader);
    if (!status)
        status = mls__onnx_read_nodes(reader, function->node, function->n_node);
    return status ? mls__error_at(status, "function '%.100s'", mls__proto_text(function->name))
                  : MLS_OK;
}

static bool is_in_call(const mls__onnx_reader *reader, const mls__function_proto *function)
{
    for (; reader; reader = reader->outer)
        if (reader->function == function)
            return true;
    return false;
}

mls_status mls__onnx_read_call(mls__onnx_node *node, const mls__function_proto *function)
{
    mls__onnx_reader reader = *node->reader;
    if (is_in_call(node->reader, function))
        return mls__error(MLS_EFORMAT, "function '%.100s' calls itself",
                          mls__proto_text(function->name));
    if (++reader.depth > MAX_DEPTH)
        return mls__error(MLS_ELIMIT, "calls of functions nest deeper than %d", MAX_DEPTH);
    if (function->n_node > MAX_NODES - *reader.call_nodes)
        return mls__error(MLS_ELIMIT, "calls of functions become more than %zu nodes", MAX_NODES);
    *reader.call_nodes += function->n_node;
    reader.graph_proto = NULL;
    reader.captures = NULL;
    reader.outer = node->reader;
    reader.function = function;
    reader.call = node->proto;
    mls__map_init(&reader.values, reader.graph->allocator);
    const bool was_read_again = reader.external->is_read_again;
    reader.external->is_read_again = true;
    const mls_status status = read_call(&reader, node);
    reader.external->is_read_again = was_read_again;
    mls__map_clear(&reader.values);
    return status;
}
