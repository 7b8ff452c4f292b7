/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graphs of If, Loop and Scan. A body is closed when it is read: each value that it takes
 * from outside becomes an input of the body and of the node, so that nothing behind the reader
 * knows scopes.
 */
#include "onnx/reader.h"
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <string.h>

static mls_status check_supported(const mls__graph *graph)
{
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        if (node->unsupported)
            return mls__error(MLS_EUNSUPPORTED, "node '%.200s' (%.64s): %.300s", node->name,
                              node->type, node->unsupported);
    }
    return MLS_OK;
}

static mls_status read_graph(mls__onnx_reader *reader)
{
    mls_status status = mls__onnx_read_values(reader);
    if (!status)
        status =
            mls__onnx_read_nodes(reader, reader->graph_proto->node, reader->graph_proto->n_node);
    if (!status)
        status = mls__onnx_read_outputs(reader);
    if (!status)
        status = check_supported(reader->graph);
    return status ? status : mls__graph_sort(reader->graph);
}

static mls_status add_body(mls__onnx_node *node, const mls__onnx_reader *reader, const char *name)
{
    mls__body *body = &node->bodies[node->body_count];
    body->name = mls__arena_string(&node->reader->graph->arena, name);
    if (!body->name)
        return mls__error_nomem(strlen(name));
    body->graph = reader->graph;
    body->capture_count = reader->captures->count;
    for (size_t i = 0; i < body->capture_count; i++) {
        const mls__capture *capture = mls__vec_at(reader->captures, i);
        uint32_t *slot = mls__vec_push(&node->captures);
        if (!slot)
            return mls__error_nomem(sizeof *slot);
        *slot = capture->outer;
    }
    node->body_count++;
    return MLS_OK;
}

mls_status mls__onnx_read_body(mls__onnx_node *node, mls__onnx_reader *outer, const char *name,
                               const mls__graph_proto *proto)
{
    mls__vec notes, captures;
    mls__onnx_reader reader = *outer;
    if (node->body_count == MLS__ONNX_MAX_BODIES)
        return mls__error(MLS_EFORMAT, "more than %d subgraphs; no op has so many",
                          MLS__ONNX_MAX_BODIES);
    /* A function that is given a body and puts it into a body of its own. */
    if (outer->graph != node->reader->graph)
        return mls__error(MLS_EUNSUPPORTED, "a subgraph that a call hands on to another subgraph");
    mls_status status = mls__graph_add_owned(node->reader->graph, &reader.graph);
    if (status)
        return status;
    reader.graph_proto = proto;
    reader.outer = outer;
    reader.captures = &captures;
    reader.notes = &notes;
    reader.function = NULL;
    reader.depth++;
    mls__map_init(&reader.values, reader.graph->allocator);
    mls__vec_init(&notes, reader.graph->allocator, sizeof(mls__value_note));
    mls__vec_init(&captures, reader.graph->allocator, sizeof(mls__capture));
    status = read_graph(&reader);
    if (!status)
        status = add_body(node, &reader, name);
    mls__vec_clear(&captures);
    mls__vec_clear(&notes);
    mls__map_clear(&reader.values);
    return status;
}
