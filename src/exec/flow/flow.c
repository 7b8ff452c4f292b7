/* SPDX-License-Identifier: Apache-2.0 */
/* Making a flow, and walking over its steps. */
#include "exec/flow/flow.h"

#include "base/clock.h"
#include "base/error.h"
#include "exec/flow/partition.h"
#include "op/op.h"

#include <string.h>

static const mls__host_op *const families[] = {
    mls__host_ops_control,  mls__host_ops_map,  mls__host_ops_sequence,
    mls__host_ops_optional, mls__host_ops_text,
};

const mls__host_op *mls__host_op_find(const char *domain, const char *type)
{
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (const mls__host_op *row = families[f]; row->type; row++)
            if (strcmp(row->type, type) == 0 && strcmp(row->domain, domain) == 0)
                return row;
    return NULL;
}

bool mls__flow_is_needed(const mls__graph *graph)
{
    for (size_t i = 0; i < graph->nodes.count; i++)
        if (mls__graph_node(graph, i)->schema->flags & (MLS__OP_HOST | MLS__OP_LATE))
            return true;
    for (size_t i = 0; i < graph->inputs.count; i++)
        if (mls__graph_value(graph, mls__graph_input(graph, i))->kind != MLS_VALUE_TENSOR)
            return true;
    return false;
}

/* --- making it --- */

static mls_status create_bodies(mls__flow *flow, mls__flow_step *step)
{
    const mls__node *node = step->node;
    step->bodies = mls__arena_array(&flow->arena, node->body_count, sizeof *step->bodies);
    if (!step->bodies)
        return mls__error_nomem(sizeof *step->bodies);
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < node->body_count; i++)
        status = mls__flow_create(flow->host, node->bodies[i].graph, &step->bodies[i]);
    return status;
}

static mls_status create_host_step(mls__flow *flow, mls__flow_step *step, const mls__node *node,
                                   const mls__host_op *host)
{
    step->host = host;
    step->node = node;
    step->inputs = node->inputs;
    step->input_count = node->own_input_count;
    step->outputs = node->outputs;
    step->op = (mls_op){
        .size = sizeof step->op,
        .domain = node->domain,
        .type = node->type,
        .node = mls__graph_node_name(flow->graph, node),
        .node_id = node->id,
        .attrs = node->attrs,
        .attr_count = node->attr_count,
        .input_count = node->own_input_count,
        .output_count = node->output_count,
    };
    return create_bodies(flow, step);
}

static mls_status create_step(mls__flow *flow, const mls__part *part)
{
    mls__flow_step *step = &flow->steps[flow->step_count++];
    const mls__node *node = mls__graph_node(flow->graph, part->nodes[0]);
    if (part->host)
        return create_host_step(flow, step, node, part->host);
    return mls__segment_create(flow, part->nodes, part->count, &step->segment);
}

/* The values that a step reads. */
static const uint32_t *step_inputs(const mls__flow_step *step, size_t *ret_count)
{
    if (step->segment)
        return mls__segment_inputs(step->segment, ret_count);
    *ret_count = step->node->input_count;
    return step->inputs;
}

static mls_status add_constant(mls__flow *flow, uint32_t value)
{
    const mls_tensor *constant =
        value == MLS__NO_VALUE ? NULL : mls__graph_value(flow->graph, value)->constant;
    if (!constant || flow->cells[value])
        return MLS_OK;
    return mls__object_wrap(&flow->host->pool, constant, &flow->cells[value]);
}

/* Constants that no plan holds: those that host ops read, or that are outputs. */
static mls_status add_constants(mls__flow *flow)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; i < flow->step_count; i++) {
        size_t count;
        const uint32_t *inputs = step_inputs(&flow->steps[i], &count);
        for (size_t k = 0; !status && k < count; k++)
            status = add_constant(flow, inputs[k]);
    }
    for (size_t i = 0; !status && i < flow->graph->outputs.count; i++)
        status = add_constant(flow, mls__graph_output(flow->graph, i));
    return status;
}

/* Each value's memory goes back once its last reader has run; the caller reads outputs. */
static mls_status note_releases(mls__flow *flow, bool *is_noted)
{
    for (size_t i = 0; i < flow->graph->outputs.count; i++)
        is_noted[mls__graph_output(flow->graph, i)] = true;
    for (size_t i = flow->step_count; i-- > 0;) {
        mls__flow_step *step = &flow->steps[i];
        size_t count;
        const uint32_t *inputs = step_inputs(step, &count);
        step->releases = mls__arena_array(&flow->arena, count, sizeof *step->releases);
        if (!step->releases)
            return mls__error_nomem(count * sizeof *step->releases);
        for (size_t k = 0; k < count; k++) {
            const uint32_t v = inputs[k];
            if (v == MLS__NO_VALUE || is_noted[v] || mls__graph_value(flow->graph, v)->constant)
                continue;
            is_noted[v] = true;
            step->releases[step->release_count++] = v;
        }
    }
    return MLS_OK;
}

static mls_status init_flow(mls__flow *flow)
{
    const mls__allocator *allocator = flow->graph->allocator;
    mls__partition partition;
    mls_status status = mls__partition_make(flow->graph, &partition);
    if (status)
        return status;
    flow->cells = mls__arena_array(&flow->arena, flow->graph->values.count, sizeof *flow->cells);
    flow->steps = mls__arena_array(&flow->arena, partition.count, sizeof *flow->steps);
    bool *is_noted = mls__alloc_array(allocator, flow->graph->values.count, sizeof *is_noted);
    if (!flow->cells || !flow->steps || !is_noted)
        status = mls__error_nomem(flow->graph->values.count * sizeof *flow->cells);
    for (size_t i = 0; !status && i < partition.count; i++)
        status = create_step(flow, &partition.parts[i]);
    if (!status)
        status = add_constants(flow);
    if (!status)
        status = note_releases(flow, is_noted);
    mls__free(allocator, is_noted);
    mls__partition_clear(&partition);
    return status;
}

mls_status mls__flow_create(mls__flow_host *host, const mls__graph *graph, mls__flow **ret_flow)
{
    mls__flow *flow = mls__alloc_array(graph->allocator, 1, sizeof *flow);
    if (!flow)
        return mls__error_nomem(sizeof *flow);
    flow->host = host;
    flow->graph = graph;
    mls__arena_init(&flow->arena, graph->allocator);
    const mls_status status = init_flow(flow);
    if (status)
        mls__flow_free(flow);
    else
        *ret_flow = flow;
    return status;
}

static void free_step(mls__flow *flow, mls__flow_step *step)
{
    for (size_t i = 0; step->bodies && i < step->node->body_count; i++)
        mls__flow_free(step->bodies[i]);
    mls__segment_free(flow, step->segment);
}

void mls__flow_free(mls__flow *flow)
{
    if (!flow)
        return;
    for (size_t i = 0; i < flow->step_count; i++)
        free_step(flow, &flow->steps[i]);
    for (size_t v = 0; flow->cells && v < flow->graph->values.count; v++)
        mls__object_unref(&flow->host->pool, flow->cells[v]);
    mls__arena_clear(&flow->arena);
    mls__free(flow->graph->allocator, flow);
}

/* --- running it --- */

static void set_cell(mls__flow *flow, uint32_t value, mls__object *object)
{
    mls__object *before = flow->cells[value];
    flow->cells[value] = object;
    mls__object_unref(&flow->host->pool, before);
}

void mls__flow_set_input(mls__flow *flow, size_t index, mls__object *object)
{
    set_cell(flow, mls__graph_input(flow->graph, index), object ? mls__object_ref(object) : NULL);
}

mls__object *mls__flow_output(const mls__flow *flow, size_t index)
{
    return flow->cells[mls__graph_output(flow->graph, index)];
}

bool mls__flow_is_profiled(const mls__flow *flow)
{
    return (flow->host->blank->flags & MLS_SESSION_PROFILE) != 0;
}

/* What is measured inside, in the bodies, counts there and not for the op. */
static mls_status run_measured(mls__flow *flow, mls__flow_step *step)
{
    mls__flow_host *host = flow->host;
    const uint64_t before = host->measured_ns, start = mls__clock_monotonic_ns();
    const mls_status status = step->host->run(flow, step);
    const uint64_t all = mls__clock_monotonic_ns() - start, inside = host->measured_ns - before;
    const uint64_t own = all > inside ? all - inside : 0;
    host->measured_ns += own;
    if (status)
        return status;
    step->time_ns += own;
    step->runs++;
    return MLS_OK;
}

static mls_status run_step(mls__flow *flow, mls__flow_step *step)
{
    if (step->segment)
        return mls__segment_run(flow, step->segment);
    const mls_status status = mls__run_control_check(flow->host->control);
    if (status)
        return status;
    return mls__flow_is_profiled(flow) ? run_measured(flow, step) : step->host->run(flow, step);
}

mls_status mls__flow_run(mls__flow *flow)
{
    for (size_t i = 0; i < flow->step_count; i++) {
        mls__flow_step *step = &flow->steps[i];
        const mls_status status = run_step(flow, step);
        if (status)
            return status;
        for (size_t k = 0; k < step->release_count; k++)
            set_cell(flow, step->releases[k], NULL);
    }
    return MLS_OK;
}

/* --- for host ops --- */

mls__object *mls__flow_input(const mls__flow *flow, const mls__flow_step *step, size_t index)
{
    if (index >= step->input_count || step->inputs[index] == MLS__NO_VALUE)
        return NULL;
    return flow->cells[step->inputs[index]];
}

static mls_status get_input(const mls__flow *flow, const mls__flow_step *step, size_t index,
                            uint8_t kind, mls__object **ret_object)
{
    mls__object *object = mls__flow_input(flow, step, index);
    if (!object || object->kind != kind)
        return mls__op_error(&step->op, MLS_EDTYPE, "input %zu is %s; it must be %s", index,
                             mls__object_kind(object),
                             mls__object_kind(&(const mls__object){.kind = kind}));
    *ret_object = object;
    return MLS_OK;
}

mls_status mls__flow_tensor(const mls__flow *flow, const mls__flow_step *step, size_t index,
                            mls__object **ret_tensor)
{
    return get_input(flow, step, index, MLS_VALUE_TENSOR, ret_tensor);
}

mls_status mls__flow_sequence(const mls__flow *flow, const mls__flow_step *step, size_t index,
                              mls__object **ret_sequence)
{
    return get_input(flow, step, index, MLS_VALUE_SEQUENCE, ret_sequence);
}

mls_status mls__flow_map(const mls__flow *flow, const mls__flow_step *step, size_t index,
                         mls__object **ret_map)
{
    return get_input(flow, step, index, MLS_VALUE_MAP, ret_map);
}

mls_status mls__flow_number(const mls__flow *flow, const mls__flow_step *step, size_t index,
                            int64_t *ret_number)
{
    mls__object *tensor;
    const mls_status status = mls__flow_tensor(flow, step, index, &tensor);
    if (status)
        return status;
    if (mls__object_count(tensor) != 1)
        return mls__op_error(&step->op, MLS_ESHAPE, "input %zu has %lld elements; it must have one",
                             index, (long long) mls__object_count(tensor));
    switch (tensor->dtype) {
    case MLS_INT64:
        *ret_number = *(const int64_t *) tensor->data;
        return MLS_OK;
    case MLS_INT32:
        *ret_number = *(const int32_t *) tensor->data;
        return MLS_OK;
    case MLS_BOOL:
        *ret_number = *(const uint8_t *) tensor->data;
        return MLS_OK;
    default:
        return mls__op_error(&step->op, MLS_EDTYPE,
                             "input %zu is %s; it must be int64, int32 or bool", index,
                             mls_dtype_name((mls_dtype) tensor->dtype));
    }
}

void mls__flow_give(mls__flow *flow, const mls__flow_step *step, size_t index, mls__object *object)
{
    if (index < step->op.output_count && step->outputs[index] != MLS__NO_VALUE)
        set_cell(flow, step->outputs[index], object);
    else
        mls__object_unref(&flow->host->pool, object);
}

mls_status mls__flow_give_new(mls__flow *flow, const mls__flow_step *step, size_t index,
                              int32_t dtype, int32_t rank, const int64_t *dims,
                              mls__object **ret_tensor)
{
    const mls_status status = mls__object_create(&flow->host->pool, dtype, rank, dims, ret_tensor);
    if (!status)
        mls__flow_give(flow, step, index, *ret_tensor);
    return status;
}

void mls__flow_set_captures(mls__flow *flow, const mls__flow_step *step, size_t index)
{
    const mls__node *node = step->node;
    const uint32_t *outer = node->inputs + node->own_input_count;
    for (size_t i = 0; i < index; i++)
        outer += node->bodies[i].capture_count;
    const size_t count = node->bodies[index].capture_count;
    mls__flow *body = step->bodies[index];
    const size_t first = body->graph->inputs.count - count;
    for (size_t i = 0; i < count; i++)
        mls__flow_set_input(body, first + i, flow->cells[outer[i]]);
}
