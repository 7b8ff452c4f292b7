/* SPDX-License-Identifier: Apache-2.0 */
/* Part of a graph that one plan takes: its own graph, the plan, and following what it is given. */
#include "exec/flow/flow.h"

#include "base/clock.h"
#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

/* What a step has measured, over one plan after another. */
typedef struct tally {
    uint64_t runs, time_ns;
} tally;

struct mls__segment {
    mls__graph graph;
    mls__vec inputs, outputs; /* uint32_t: the flow's values */
    mls__plan plan;
    mls__plan_input *given; /* what the plan follows; dims are its own */
    int64_t (*given_dims)[MLS_MAX_RANK];
    bool is_planned;
    /* A late op: where its kernel writes the dims of its outputs, by the node's outputs. */
    int64_t **late_dims;
    tally *tallies; /* one a step, by its place in the plan, which the graph decides; or NULL */
};

/* --- cutting it out --- */

/* Copies nodes and the values they touch. */
typedef struct cutter {
    const mls__graph *source;
    mls__segment *segment;
    uint32_t *copies; /* of each value of the source, or MLS__NO_VALUE */
    bool *is_inside;  /* of each value: given by one of the nodes */
} cutter;

static mls_status push(mls__vec *vec, uint32_t value)
{
    uint32_t *slot = mls__vec_push(vec);
    if (!slot)
        return mls__error_nomem(sizeof *slot);
    *slot = value;
    return MLS_OK;
}

static mls_status copy_value(cutter *c, uint32_t value, uint32_t *ret_copy)
{
    mls__graph *graph = &c->segment->graph;
    const mls__value *source = mls__graph_value(c->source, value);
    mls_status status = MLS_OK;
    if (c->copies[value] == MLS__NO_VALUE) {
        status = mls__graph_add_value(graph, source->name, &c->copies[value]);
        if (status)
            return status;
        mls__value *copy = mls__graph_value(graph, c->copies[value]);
        const char *name = copy->name;
        *copy = *source;
        copy->name = name;
        if (!c->is_inside[value] && !source->constant) {
            status = mls__graph_add_input(graph, c->copies[value]);
            if (!status)
                status = push(&c->segment->inputs, value);
        }
    }
    *ret_copy = c->copies[value];
    return status;
}

static mls_status copy_values(cutter *c, const uint32_t *values, size_t count, uint32_t *copies)
{
    mls_status status = MLS_OK;
    for (size_t k = 0; !status && k < count; k++)
        if (values[k] != MLS__NO_VALUE)
            status = copy_value(c, values[k], &copies[k]);
    return status;
}

static mls_status copy_node(cutter *c, const mls__node *source)
{
    mls__node *node;
    mls_status status = mls__graph_add_node(&c->segment->graph, source->domain, source->type,
                                            source->input_count, source->output_count, &node);
    if (status)
        return status;
    node->name = source->name;
    node->id = source->id;
    node->attrs = source->attrs;
    node->attr_count = source->attr_count;
    status = copy_values(c, source->inputs, source->input_count, node->inputs);
    if (!status)
        status = copy_values(c, source->outputs, source->output_count, node->outputs);
    return status;
}

/* What is given inside and read outside, or by the flow's caller, is an output. */
static mls_status add_outputs(cutter *c, const bool *is_chosen)
{
    mls_status status = MLS_OK;
    bool *is_read =
        mls__alloc_array(c->source->allocator, c->source->values.count, sizeof *is_read);
    if (!is_read)
        return mls__error_nomem(c->source->values.count);
    for (size_t i = 0; i < c->source->nodes.count; i++) {
        const mls__node *node = mls__graph_node(c->source, i);
        for (size_t k = 0; k < node->input_count && !is_chosen[i]; k++)
            if (node->inputs[k] != MLS__NO_VALUE)
                is_read[node->inputs[k]] = true;
    }
    for (size_t i = 0; i < c->source->outputs.count; i++)
        is_read[mls__graph_output(c->source, i)] = true;
    for (uint32_t v = 0; !status && v < c->source->values.count; v++)
        if (is_read[v] && c->is_inside[v]) {
            status = mls__graph_add_output(&c->segment->graph, c->copies[v]);
            if (!status)
                status = push(&c->segment->outputs, v);
        }
    mls__free(c->source->allocator, is_read);
    return status;
}

static mls_status cut(cutter *c, const uint32_t *nodes, size_t count, bool *is_chosen)
{
    mls_status status = MLS_OK;
    memset(c->copies, 0xff, c->source->values.count * sizeof *c->copies);
    for (size_t i = 0; i < count; i++) {
        const mls__node *node = mls__graph_node(c->source, nodes[i]);
        is_chosen[nodes[i]] = true;
        for (size_t k = 0; k < node->output_count; k++)
            if (node->outputs[k] != MLS__NO_VALUE)
                c->is_inside[node->outputs[k]] = true;
    }
    for (size_t i = 0; !status && i < count; i++)
        status = copy_node(c, mls__graph_node(c->source, nodes[i]));
    return status ? status : add_outputs(c, is_chosen);
}

static mls_status alloc_given(mls__segment *segment)
{
    mls__arena *arena = &segment->graph.arena;
    const size_t inputs = segment->inputs.count;
    segment->given = mls__arena_array(arena, inputs, sizeof *segment->given);
    segment->given_dims = mls__arena_array(arena, inputs, sizeof *segment->given_dims);
    if (!segment->given || !segment->given_dims)
        return mls__error_nomem(inputs * sizeof *segment->given_dims);
    for (size_t i = 0; i < inputs; i++)
        segment->given[i] = (mls__plan_input){.dims = segment->given_dims[i], .is_dynamic = true};
    const mls__node *first = mls__graph_node(&segment->graph, 0);
    if (!(first->schema->flags & MLS__OP_LATE))
        return MLS_OK;
    segment->late_dims = mls__arena_array(arena, first->output_count, sizeof(int64_t *));
    for (size_t k = 0; segment->late_dims && k < first->output_count; k++) {
        segment->late_dims[k] = mls__arena_array(arena, MLS_MAX_RANK, sizeof(int64_t));
        if (!segment->late_dims[k])
            return mls__error_nomem(1);
    }
    return segment->late_dims ? MLS_OK : mls__error_nomem(1);
}

/* A node is a step, and an output may be copied by one. */
static mls_status alloc_tallies(const mls__flow *flow, mls__segment *segment)
{
    const size_t most = segment->graph.nodes.count + segment->graph.outputs.count;
    if (!mls__flow_is_profiled(flow))
        return MLS_OK;
    segment->tallies = mls__arena_array(&segment->graph.arena, most, sizeof *segment->tallies);
    return segment->tallies ? MLS_OK : mls__error_nomem(most * sizeof *segment->tallies);
}

mls_status mls__segment_create(mls__flow *flow, const uint32_t *nodes, size_t count,
                               mls__segment **ret_segment)
{
    const mls__allocator *allocator = flow->graph->allocator;
    const size_t values = flow->graph->values.count;
    mls__segment *segment = mls__alloc_array(allocator, 1, sizeof *segment);
    if (!segment)
        return mls__error_nomem(sizeof *segment);
    mls__graph_init(&segment->graph, allocator, flow->graph->next_id);
    mls__vec_init(&segment->inputs, allocator, sizeof(uint32_t));
    mls__vec_init(&segment->outputs, allocator, sizeof(uint32_t));
    segment->plan = *flow->host->blank;
    segment->plan.graph = &segment->graph;
    cutter c = {
        .source = flow->graph,
        .segment = segment,
        .copies = mls__alloc_array(allocator, values, sizeof *c.copies),
        .is_inside = mls__alloc_array(allocator, values, sizeof *c.is_inside),
    };
    bool *is_chosen = mls__alloc_array(allocator, flow->graph->nodes.count, sizeof *is_chosen);
    mls_status status = mls__error_nomem(values);
    if (c.copies && c.is_inside && is_chosen)
        status = cut(&c, nodes, count, is_chosen);
    if (!status)
        status = alloc_given(segment);
    if (!status)
        status = alloc_tallies(flow, segment);
    mls__free(allocator, c.copies);
    mls__free(allocator, c.is_inside);
    mls__free(allocator, is_chosen);
    if (status)
        mls__segment_free(flow, segment);
    else
        *ret_segment = segment;
    return status;
}

/* A loop whose shapes grow is planned again and again; its steps go on counting. */
static void keep_tallies(mls__segment *segment)
{
    for (size_t i = 0; segment->tallies && i < segment->plan.step_count; i++) {
        const mls__step *step = &segment->plan.steps[i];
        segment->tallies[i] = (tally){step->runs, step->time_ns};
    }
}

static void restore_tallies(mls__segment *segment)
{
    for (size_t i = 0; segment->tallies && i < segment->plan.step_count; i++) {
        segment->plan.steps[i].runs = segment->tallies[i].runs;
        segment->plan.steps[i].time_ns = segment->tallies[i].time_ns;
    }
}

static void drop_plan(mls__segment *segment)
{
    if (segment->is_planned) {
        keep_tallies(segment);
        mls__plan_clear(&segment->plan);
    }
    segment->is_planned = false;
}

void mls__segment_free(mls__flow *flow, mls__segment *segment)
{
    if (!segment)
        return;
    drop_plan(segment);
    mls__vec_clear(&segment->inputs);
    mls__vec_clear(&segment->outputs);
    mls__graph_clear(&segment->graph);
    mls__free(flow->graph->allocator, segment);
}

const uint32_t *mls__segment_inputs(const mls__segment *segment, size_t *ret_count)
{
    *ret_count = segment->inputs.count;
    return segment->inputs.data;
}

const mls__graph *mls__segment_graph(const mls__segment *segment)
{
    return &segment->graph;
}

const mls__plan *mls__segment_plan(const mls__segment *segment)
{
    return segment->is_planned ? &segment->plan : NULL;
}

void mls__segment_visit(const mls__segment *segment, mls__memory_visit visit,
                        mls__memory_visit kernel, void *arg)
{
    const mls__plan *plan = &segment->plan;
    const mls__vec *const lists[] = {&segment->inputs, &segment->outputs};
    visit(arg, (void *) (uintptr_t) segment, sizeof *segment);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        visit(arg, lists[i]->data, lists[i]->count * lists[i]->element_size);
    mls__graph_visit(&segment->graph, visit, arg);
    if (!segment->is_planned)
        return;
    visit(arg, plan->block, plan->block_bytes);
    mls__arena_visit(&plan->arena, visit, arg);
    for (size_t i = 0; i < plan->run_count; i++)
        kernel(arg, (void *) (uintptr_t) plan->run_steps[i].kernel, 1);
}

/* --- following what it is given --- */

static mls_status given_object(const mls__flow *flow, const mls__segment *segment, size_t index,
                               mls__object **ret_object)
{
    const uint32_t value = *(const uint32_t *) mls__vec_at(&segment->inputs, index);
    mls__object *object = flow->cells[value];
    const char *name = mls__graph_value(flow->graph, value)->name;
    if (!object || object->kind != MLS_VALUE_TENSOR)
        return mls__error(MLS_EDTYPE, "value '%.200s' is %s; a tensor is wanted", name,
                          mls__object_kind(object));
    *ret_object = object;
    return MLS_OK;
}

typedef enum change { SAME, OTHER_DIMS, OTHER_TYPE } change;

static change compare(const mls__segment *segment, size_t index, const mls__object *object)
{
    const mls__plan_input *given = &segment->given[index];
    if (!segment->is_planned || given->dtype != object->dtype || given->rank != object->rank)
        return OTHER_TYPE;
    const mls__port *port = &segment->plan.inputs[index];
    if (!mls__shape_equal(given->rank, given->dims, object->rank, object->dims))
        return OTHER_DIMS;
    const bool is_same =
        !port->baked_bytes || memcmp(port->baked, object->data, port->baked_bytes) == 0;
    return is_same ? SAME : OTHER_DIMS;
}

static void take(mls__segment *segment, size_t index, const mls__object *object)
{
    mls__plan_input *given = &segment->given[index];
    given->dtype = object->dtype;
    given->rank = object->rank;
    given->data = object->data;
    memcpy(segment->given_dims[index], object->dims, sizeof object->dims);
}

static void set_late(mls__segment *segment)
{
    mls__plan *plan = &segment->plan;
    for (size_t i = 0; segment->late_dims && i < plan->run_count; i++)
        if (plan->run_steps[i].step->schema->flags & MLS__OP_LATE)
            plan->run_steps[i].call.output_dims = segment->late_dims;
}

static mls_status build(mls__segment *segment)
{
    drop_plan(segment);
    const mls_status status = mls__plan_build(&segment->plan, segment->given);
    if (status)
        return status;
    segment->is_planned = true;
    restore_tallies(segment);
    set_late(segment);
    return MLS_OK;
}

static mls_status follow(mls__segment *segment, change most)
{
    if (most == SAME)
        return MLS_OK;
    if (most == OTHER_TYPE)
        return build(segment);
    const mls_status status = mls__plan_reshape(&segment->plan, segment->given);
    if (!status)
        return MLS_OK;
    /* Nothing holds of a plan that failed to follow; other dims may fit a new one. */
    segment->plan.no_alias = segment->plan.no_alias || status == MLS_ELIMIT;
    return build(segment);
}

static mls_status refuse_sealed(const mls__segment *segment)
{
    const mls__node *first = mls__graph_node(&segment->graph, 0);
    return mls__error(MLS_ESTATE,
                      "the session is sealed, and the step of node '%.200s' (%.64s) needs another "
                      "plan: let it run on inputs like these before it is sealed",
                      mls__graph_node_name(&segment->graph, first), first->type);
}

/* Of a plan that failed to follow nothing holds, and there will be no other. */
static mls_status follow_sealed(mls__segment *segment, change most)
{
    if (most == SAME || !mls__plan_reshape(&segment->plan, segment->given))
        return MLS_OK;
    drop_plan(segment);
    return refuse_sealed(segment);
}

static mls_status find_change(const mls__flow *flow, const mls__segment *segment, change *ret_most)
{
    *ret_most = segment->is_planned ? SAME : OTHER_TYPE;
    for (size_t i = 0; i < segment->inputs.count; i++) {
        mls__object *object;
        const mls_status status = given_object(flow, segment, i, &object);
        if (status)
            return status;
        const change found = compare(segment, i, object);
        if (found > *ret_most)
            *ret_most = found;
        /* Before anything has changed, so that the next run may be one that fits. */
        if (flow->host->pool.is_sealed &&
            (found == OTHER_TYPE || mls__object_bytes(object) >
                                        segment->plan.slots[segment->plan.inputs[i].slot].capacity))
            return refuse_sealed(segment);
    }
    return *ret_most == OTHER_TYPE && flow->host->pool.is_sealed ? refuse_sealed(segment) : MLS_OK;
}

static mls_status take_inputs(const mls__flow *flow, mls__segment *segment)
{
    change most;
    mls_status status = find_change(flow, segment, &most);
    if (status)
        return status;
    for (size_t i = 0; i < segment->inputs.count; i++)
        take(segment, i, flow->cells[*(const uint32_t *) mls__vec_at(&segment->inputs, i)]);
    status = flow->host->pool.is_sealed ? follow_sealed(segment, most) : follow(segment, most);
    if (status)
        return status;
    for (size_t i = 0; i < segment->inputs.count; i++)
        mls__plan_point(&segment->plan.inputs[i], (void *) (uintptr_t) segment->given[i].data);
    return MLS_OK;
}

static mls_status make_outputs(mls__flow *flow, mls__segment *segment)
{
    for (size_t i = 0; i < segment->outputs.count; i++) {
        const uint32_t value = *(const uint32_t *) mls__vec_at(&segment->outputs, i);
        mls__port *port = &segment->plan.outputs[i];
        const mls_arg *arg = &segment->plan.slots[port->slot].arg;
        mls__object_unref(&flow->host->pool, flow->cells[value]);
        flow->cells[value] = NULL;
        const mls_status status = mls__object_create(&flow->host->pool, arg->dtype, arg->rank,
                                                     arg->dims, &flow->cells[value]);
        if (status)
            return status;
        mls__plan_point(port, flow->cells[value]->data);
    }
    return MLS_OK;
}

/* The dims that the kernel may have set begin as the largest. */
static void begin_late(const mls__segment *segment)
{
    const mls__step *step = &segment->plan.steps[0];
    for (size_t k = 0; segment->late_dims && k < step->op.output_count; k++)
        memcpy(segment->late_dims[k], step->outputs[k].dims, sizeof step->outputs[k].dims);
}

static mls_status take_late(const mls__segment *segment, uint32_t value, mls__object *object)
{
    const mls__node *node = mls__graph_node(&segment->graph, 0);
    const size_t room = mls__object_bytes(object);
    for (size_t k = 0; k < node->output_count; k++) {
        size_t bytes;
        if (node->outputs[k] != value)
            continue;
        if (mls__tensor_check("output", object->dtype, object->rank, segment->late_dims[k],
                              &bytes) ||
            bytes > room)
            return mls__error(MLS_EINTERNAL, "node '%.200s' (%.64s) gave more than it has room for",
                              node->name, node->type);
        memcpy(object->dims, segment->late_dims[k], sizeof object->dims);
    }
    return MLS_OK;
}

static mls_status finish_outputs(mls__flow *flow, const mls__segment *segment)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < segment->outputs.count; i++) {
        const uint32_t value = *(const uint32_t *) mls__vec_at(&segment->outputs, i);
        if (segment->late_dims)
            status = take_late(segment, mls__graph_output(&segment->graph, i), flow->cells[value]);
        if (!status)
            status = mls__object_keep_text(&flow->host->pool, flow->cells[value]);
    }
    return status;
}

static mls_status run_plan(mls__flow *flow, const mls__segment *segment)
{
    if (!mls__flow_is_profiled(flow))
        return mls__plan_run(&segment->plan, flow->host->control);
    const uint64_t start = mls__clock_monotonic_ns();
    const mls_status status = mls__plan_run(&segment->plan, flow->host->control);
    flow->host->measured_ns += mls__clock_monotonic_ns() - start;
    return status;
}

mls_status mls__segment_run(mls__flow *flow, mls__segment *segment)
{
    mls_status status = take_inputs(flow, segment);
    if (!status)
        status = make_outputs(flow, segment);
    if (status)
        return status;
    begin_late(segment);
    status = run_plan(flow, segment);
    return status ? status : finish_outputs(flow, segment);
}
