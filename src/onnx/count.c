/* SPDX-License-Identifier: Apache-2.0 */
/* What a model holds, as the file has it: ops and parameters. */
#include "onnx/reader.h"

#include "base/error.h"
#include "tensor/shape.h"

static void count_dims(mls__onnx_reader *reader, const int64_t *dims, size_t rank)
{
    int64_t count;
    if (rank > INT32_MAX || !mls__shape_count((int) rank, dims, &count))
        return; /* an error that reading the tensor reports */
    if (!mls__add_i64(reader->model->parameter_count, count, &reader->model->parameter_count))
        reader->model->parameter_count = INT64_MAX;
}

static mls_status count_nodes(mls__onnx_reader *reader, mls__node_proto *const *nodes,
                              size_t count);

/* Bounded: mls__wire_check() bounds how deep graphs nest. */
static mls_status count_graph(mls__onnx_reader *reader, const mls__graph_proto *graph)
{
    for (size_t i = 0; i < graph->n_initializer; i++)
        count_dims(reader, graph->initializer[i]->dims, graph->initializer[i]->n_dims);
    for (size_t i = 0; i < graph->n_sparse_initializer; i++)
        count_dims(reader, graph->sparse_initializer[i]->dims,
                   graph->sparse_initializer[i]->n_dims);
    return count_nodes(reader, graph->node, graph->n_node);
}

static mls_status count_attr(mls__onnx_reader *reader, const mls__attr_proto *attr)
{
    if (attr->t)
        count_dims(reader, attr->t->dims, attr->t->n_dims);
    if (attr->sparse_tensor)
        count_dims(reader, attr->sparse_tensor->dims, attr->sparse_tensor->n_dims);
    mls_status status = attr->g ? count_graph(reader, attr->g) : MLS_OK;
    for (size_t i = 0; !status && i < attr->n_graphs; i++)
        status = count_graph(reader, attr->graphs[i]);
    return status;
}

static mls_status count_nodes(mls__onnx_reader *reader, mls__node_proto *const *nodes, size_t count)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++) {
        const mls__node_proto *node = nodes[i];
        status = mls__model_count_op(reader->model, mls__onnx_domain(node->domain),
                                     mls__proto_text(node->op_type));
        for (size_t k = 0; !status && k < node->n_attribute; k++)
            status = count_attr(reader, node->attribute[k]);
    }
    return status;
}

mls_status mls__onnx_count(mls__onnx_reader *reader)
{
    const mls__model_proto *proto = reader->proto;
    mls_status status = count_graph(reader, proto->graph);
    for (size_t i = 0; !status && i < proto->n_functions; i++)
        status = count_nodes(reader, proto->functions[i]->node, proto->functions[i]->n_node);
    return status;
}
