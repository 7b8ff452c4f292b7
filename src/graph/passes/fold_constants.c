/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Computes, once for the model, the nodes all of whose inputs are constants, so that the passes
 * find constants where exporters wrote how to compute them. The kernels are those of a plan: no
 * byte changes. Strings stay for planning, whose memory they are in, and so do late ops and what
 * cannot be computed: planning says why.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "base/executor.h"
#include "graph/model.h"
#include "graph/passes/matching.h"
#include "plugin/drivers.h"
#include "tensor/tensor.h"

#include <string.h>

/*
 * Of a model's results: loading a small file must not fill the memory. Planning computes the
 * others.
 */
#define MOST_BYTES ((size_t) 512 << 20)

typedef struct folder {
    mls_model *model;
    mls__graph *graph;
    mls__backend backend;
    bool dequantizes;
} folder;

/* A node's op, and what it works on. */
typedef struct job {
    mls_op op;
    mls_arg *args; /* inputs, then outputs */
    void **buffers;
    mls_tensor **outputs; /* NULL where there is none, or once it is the model's */
    mls_kernel *kernel;
    void *workspace;
} job;

static bool is_foldable(const folder *f, const mls__node *node)
{
    if (node->is_dead || !node->schema || !node->schema->infer || node->body_count ||
        (node->schema->flags & MLS__OP_LATE) ||
        (!f->dequantizes && mls__node_is(node, "DequantizeLinear")))
        return false;
    for (size_t k = 0; k < node->input_count; k++)
        if (node->inputs[k] != MLS__NO_VALUE &&
            !mls__graph_value(f->graph, node->inputs[k])->constant)
            return false;
    return true;
}

/* --- a node ---------------------------------------------------------------------------------- */

static void set_input(const mls__value *value, mls_arg *ret_arg, void **ret_buffer)
{
    ret_arg->dtype = value->dtype;
    ret_arg->rank = value->rank;
    if (value->rank)
        memcpy(ret_arg->dims, value->dims, (size_t) value->rank * sizeof *value->dims);
    ret_arg->data = value->constant->count ? mls_tensor_data(value->constant) : NULL;
    *ret_buffer = mls__arg_address(ret_arg->data);
}

static mls_status open_job(const folder *f, const mls__node *node, job *ret_job)
{
    const mls__allocator *allocator = f->graph->allocator;
    const size_t inputs = node->input_count, all = inputs + node->output_count;
    job *j = ret_job;
    j->args = mls__alloc_array(allocator, all, sizeof *j->args);
    j->buffers = mls__alloc_array(allocator, all, sizeof *j->buffers);
    j->outputs = mls__alloc_array(allocator, node->output_count, sizeof *j->outputs);
    if (!j->args || !j->buffers || !j->outputs)
        return mls__error_nomem(all * sizeof *j->args);
    for (size_t k = 0; k < inputs; k++)
        if (node->inputs[k] != MLS__NO_VALUE)
            set_input(mls__graph_value(f->graph, node->inputs[k]), &j->args[k], &j->buffers[k]);
    j->op = (mls_op){
        .size = sizeof j->op,
        .domain = node->domain,
        .type = node->type,
        .node = mls__graph_node_name(f->graph, node),
        .node_id = node->id,
        .attrs = node->attrs,
        .attr_count = node->attr_count,
        .input_count = inputs,
        .output_count = node->output_count,
        .inputs = j->args,
        .outputs = j->args + inputs,
        .weights = &f->model->weights,
        .weights_ops = &mls__weights_ops,
        .threads = 1,
    };
    return MLS_OK;
}

static void close_job(const folder *f, job *j)
{
    const mls__allocator *allocator = f->graph->allocator;
    if (j->kernel)
        j->kernel->free(j->kernel);
    for (size_t k = 0; j->outputs && k < j->op.output_count; k++)
        mls_tensor_free(j->outputs[k]);
    mls__free(allocator, j->workspace);
    mls__free(allocator, j->outputs);
    mls__free(allocator, j->buffers);
    mls__free(allocator, j->args);
}

/* Makes the tensors of the results; MLS_EUNSUPPORTED where they are not to be folded. */
static mls_status make_outputs(folder *f, const mls__node *node, job *j)
{
    for (size_t k = 0; k < node->output_count; k++) {
        const mls_arg *arg = &j->op.outputs[k];
        size_t bytes;
        mls_status status = mls__tensor_check("constant", arg->dtype, arg->rank, arg->dims, &bytes);
        if (status)
            return status;
        if (arg->dtype == MLS_STRING || bytes > MOST_BYTES - f->model->folded_bytes)
            return mls__error(MLS_EUNSUPPORTED, "constant %zu is not to be folded", k);
        status = mls_tensor_create(f->model->context, (mls_dtype) arg->dtype, arg->rank, arg->dims,
                                   &j->outputs[k]);
        if (status)
            return status;
        f->model->folded_bytes += bytes;
        j->buffers[node->input_count + k] = mls__arg_address(mls_tensor_data(j->outputs[k]));
    }
    return MLS_OK;
}

static mls_status compute(folder *f, const mls__node *node, job *j)
{
    mls_status status = open_job(f, node, j);
    if (!status)
        status = node->schema->infer(&j->op, j->args + node->input_count);
    if (!status)
        status = make_outputs(f, node, j);
    if (!status)
        status = f->backend.ops->kernel_create(f->backend.self, &j->op, &j->kernel);
    if (status)
        return status;
    j->workspace = mls__alloc(f->graph->allocator, j->kernel->workspace_bytes);
    if (!j->workspace)
        return mls__error_nomem(j->kernel->workspace_bytes);
    const mls__executor_share share = {f->model->context->executor, 1};
    const mls_kernel_call call = {
        .buffers = j->buffers,
        .workspace = j->workspace,
        .parallel_for = mls__executor_parallel_for,
        .executor = (void *) (uintptr_t) &share,
    };
    return j->kernel->run(j->kernel, &call);
}

static mls_status keep(const folder *f, mls__node *node, job *j)
{
    for (size_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] == MLS__NO_VALUE)
            continue;
        mls_tensor *tensor = j->outputs[k];
        j->outputs[k] = NULL;
        const mls_status status = mls__model_add_tensor(f->model, tensor);
        if (status)
            return status;
        mls__graph_set_constant(f->graph, node->outputs[k], tensor);
    }
    node->is_dead = true;
    return MLS_OK;
}

/* --- the graph ------------------------------------------------------------------------------- */

static mls_status fold_node(folder *f, mls__node *node)
{
    const size_t before = f->model->folded_bytes;
    job j = {.kernel = NULL};
    mls_status status = compute(f, node, &j);
    if (!status)
        status = keep(f, node, &j);
    else
        f->model->folded_bytes = before;
    close_job(f, &j);
    return status == MLS_ENOMEM ? status : MLS_OK;
}

static mls_status fold_nodes(folder *f, bool *ret_changed)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < f->graph->nodes.count; i++) {
        mls__node *node = mls__graph_node(f->graph, i);
        if (!is_foldable(f, node))
            continue;
        status = fold_node(f, node);
        *ret_changed = *ret_changed || node->is_dead;
    }
    return status;
}

static mls_status fold_graph(mls__graph *graph, bool dequantizes, bool *ret_changed)
{
    folder f = {.graph = graph, .model = graph->model, .dequantizes = dequantizes};
    mls_status status = mls__drivers_backend(f.model->context->drivers, "cpu", &f.backend);
    if (!status)
        status = fold_nodes(&f, ret_changed);
    if (status == MLS_ENOMEM)
        return status;
    mls__error_clear();
    return MLS_OK;
}

mls_status mls__pass_fold_constants(mls__graph *graph, bool *ret_changed)
{
    return fold_graph(graph, false, ret_changed);
}

mls_status mls__pass_fold_dequantized(mls__graph *graph, bool *ret_changed)
{
    return fold_graph(graph, true, ret_changed);
}
