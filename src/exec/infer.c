/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over the graph that settles every value's dtype and dims, computes what is
 * known before the run (constants, shape arithmetic), and makes the kernels.
 */
#include "exec/plan.h"

#include "base/error.h"
#include "tensor/tensor.h"

#include <string.h>

uint64_t mls__plan_derived_id(const mls__plan *plan, uint32_t value)
{
    /* Ids of the file's constants count up from 1; these cannot meet them. */
    const uint64_t graph = plan->flags & MLS_SESSION_NO_OPTIMIZE ? 0 : UINT64_C(1) << 62;
    return UINT64_C(1) << 63 | graph | mls__graph_value(plan->graph, value)->id;
}

static void set_constants(mls__plan *plan)
{
    for (uint32_t v = 0; v < plan->graph->values.count; v++) {
        const mls__value *value = mls__graph_value(plan->graph, v);
        mls__slot *slot = &plan->slots[v];
        slot->root = v;
        if (!value->constant)
            continue;
        slot->kind = MLS__SLOT_CONSTANT;
        slot->arg.dtype = value->dtype;
        slot->arg.rank = value->rank;
        if (value->rank)
            memcpy(slot->arg.dims, value->dims, (size_t) value->rank * sizeof *value->dims);
        slot->arg.data = mls_tensor_data(value->constant);
        slot->arg.weight_id = value->weight_id;
        slot->data = mls_tensor_data(value->constant);
    }
}

static bool is_any_marked(const bool *marks, const uint32_t *values, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (values[k] != MLS__NO_VALUE && marks[values[k]])
            return true;
    return false;
}

/* From the end: what decides a shape, and all that it is computed from. */
mls_status mls__plan_decisive(const mls__graph *graph, bool **ret_decisive)
{
    bool *decisive = mls__alloc_array(graph->allocator, graph->values.count, sizeof *decisive);
    if (!decisive)
        return mls__error_nomem(graph->values.count * sizeof *decisive);
    for (size_t i = graph->nodes.count; i-- > 0;) {
        const mls__node *node = mls__graph_node(graph, i);
        const bool all = is_any_marked(decisive, node->outputs, node->output_count) &&
                         !(node->schema->flags & MLS__OP_FROM_DIMS);
        for (size_t k = 0; k < node->input_count; k++) {
            const bool decides = k < 32 && (node->schema->value_inputs >> k & 1);
            if (node->inputs[k] != MLS__NO_VALUE && (all || decides))
                decisive[node->inputs[k]] = true;
        }
    }
    *ret_decisive = decisive;
    return MLS_OK;
}

static mls_status mark_decisive(mls__plan *plan)
{
    bool *decisive;
    const mls_status status = mls__plan_decisive(plan->graph, &decisive);
    if (status)
        return status;
    for (size_t v = 0; v < plan->graph->values.count; v++)
        plan->slots[v].is_decisive = decisive[v];
    mls__free(plan->graph->allocator, decisive);
    return MLS_OK;
}

/* The contents of an input that decides a shape become part of the plan. */
static mls_status bake_input(mls__plan *plan, mls__port *port, const void *data)
{
    mls__slot *slot = &plan->slots[port->slot];
    const char *name = mls__graph_value(plan->graph, port->slot)->name;
    slot->is_dynamic = true;
    port->baked_bytes = mls__arg_bytes(&slot->arg);
    if (!data && port->baked_bytes)
        return mls__error(MLS_ESTATE,
                          "the contents of input '%.200s' decide a shape: bind a tensor to it "
                          "before the session is planned",
                          name);
    port->baked = mls__arena_alloc(&plan->arena, port->baked_bytes);
    if (!port->baked)
        return mls__error_nomem(port->baked_bytes);
    if (port->baked_bytes)
        memcpy(port->baked, data, port->baked_bytes);
    slot->arg.data = port->baked;
    return MLS_OK;
}

static mls_status set_input_dims(const mls__plan *plan, const mls__port *port,
                                 const mls__plan_input *input)
{
    mls__slot *slot = &plan->slots[port->slot];
    const mls__value *value = mls__graph_value(plan->graph, port->slot);
    const int32_t dtype = input->dtype ? input->dtype : value->dtype;
    size_t bytes;
    const mls_status status = mls__tensor_check("input", dtype, input->rank, input->dims, &bytes);
    if (status)
        return mls__error_at(MLS_ELIMIT, "input '%.200s'", value->name);
    slot->arg.dtype = dtype;
    slot->arg.rank = input->rank;
    if (input->rank)
        memcpy(slot->arg.dims, input->dims, (size_t) input->rank * sizeof *input->dims);
    return MLS_OK;
}

static mls_status set_inputs(mls__plan *plan, const mls__plan_input *inputs)
{
    for (size_t i = 0; i < plan->graph->inputs.count; i++) {
        mls__port *port = &plan->inputs[i];
        port->slot = mls__graph_input(plan->graph, i);
        mls__slot *slot = &plan->slots[port->slot];
        slot->kind = MLS__SLOT_INPUT;
        slot->is_dynamic = inputs[i].is_dynamic;
        mls_status status = set_input_dims(plan, port, &inputs[i]);
        if (!status && slot->is_decisive)
            status = bake_input(plan, port, inputs[i].data);
        if (status)
            return status;
        slot->capacity = mls__arg_bytes(&slot->arg);
    }
    return MLS_OK;
}

static void refresh_inputs(const mls__plan *plan, mls__step *step)
{
    for (size_t k = 0; k < step->op.input_count; k++) {
        const uint32_t v = step->input_values[k];
        if (v == MLS__NO_VALUE)
            step->inputs[k] = (mls_arg){.dtype = MLS_DTYPE_NONE};
        else
            step->inputs[k] = plan->slots[v].arg;
    }
}

static bool is_known(const mls__slot *slot)
{
    return slot->kind == MLS__SLOT_CONSTANT || slot->kind == MLS__SLOT_KNOWN ||
           (slot->kind == MLS__SLOT_INPUT && slot->is_decisive);
}

/* Whether each input's contents are known, and whether any follows the dynamic dims. */
static bool are_inputs_known(const mls__plan *plan, mls__step *step)
{
    bool known = true;
    for (size_t k = 0; k < step->op.input_count; k++) {
        const uint32_t v = step->input_values[k];
        if (v == MLS__NO_VALUE)
            continue;
        known = known && is_known(&plan->slots[v]);
        step->is_dynamic = step->is_dynamic || plan->slots[v].is_dynamic;
    }
    return known;
}

static bool has_one_output(const mls__step *step)
{
    for (size_t k = 1; k < step->op.output_count; k++)
        if (step->output_values[k] != MLS__NO_VALUE)
            return false;
    return true;
}

static void choose_mode(const mls__plan *plan, mls__step *step, bool is_copy)
{
    const bool known = are_inputs_known(plan, step);
    step->mode = MLS__STEP_RUN;
    if (is_copy || (step->schema->flags & MLS__OP_LATE))
        return;
    if (known || (step->schema->flags & MLS__OP_FROM_DIMS))
        step->mode = MLS__STEP_EVAL;
    else if ((step->schema->flags & MLS__OP_VIEW) && has_one_output(step))
        step->mode = MLS__STEP_VIEW;
}

/* A zeroed step with its arrays. `op` is filled in but for arguments. */
static mls_status add_step(mls__plan *plan, const mls_op *op, const mls__op_schema *schema,
                           const uint32_t *inputs, const uint32_t *outputs, mls__step **ret_step)
{
    mls__step *step = &plan->steps[plan->step_count];
    *step = (mls__step){.schema = schema,
                        .input_values = inputs,
                        .output_values = outputs,
                        .op = *op,
                        .alias_input = MLS__NO_VALUE};
    step->inputs = mls__arena_array(&plan->arena, op->input_count, sizeof *step->inputs);
    step->outputs = mls__arena_array(&plan->arena, op->output_count, sizeof *step->outputs);
    step->buffers =
        mls__arena_array(&plan->arena, op->input_count + op->output_count, sizeof *step->buffers);
    if (!step->inputs || !step->outputs || !step->buffers)
        return mls__error_nomem(sizeof *step);
    step->op.size = sizeof step->op;
    step->op.inputs = step->inputs;
    step->op.outputs = step->outputs;
    step->op.weights = &plan->model->weights;
    step->op.weights_ops = &mls__weights_ops;
    step->op.threads = plan->share.threads;
    plan->step_count++;
    *ret_step = step;
    return MLS_OK;
}

/* Takes the inferred dims over into the slots. */
static void set_outputs(mls__plan *plan, const mls__step *step, uint8_t kind)
{
    for (size_t k = 0; k < step->op.output_count; k++) {
        if (step->output_values[k] == MLS__NO_VALUE)
            continue;
        mls__slot *slot = &plan->slots[step->output_values[k]];
        slot->arg = step->outputs[k];
        slot->kind = kind;
        slot->is_dynamic = step->is_dynamic;
        slot->root = step->output_values[k];
        slot->capacity = mls__arg_bytes(&slot->arg);
    }
    if (step->mode == MLS__STEP_VIEW)
        plan->slots[step->output_values[0]].root = plan->slots[step->input_values[0]].root;
}

static mls_status create_kernel(mls__plan *plan, mls__step *step)
{
    const mls_status status =
        plan->backend.ops->kernel_create(plan->backend.self, &step->op, &step->kernel);
    return status;
}

/* Runs an EVAL step on the caller's thread; its buffers are in place. */
static mls_status eval_run(const mls__plan *plan, const mls__step *step)
{
    const mls_kernel_call call = {
        .buffers = step->buffers,
        .workspace = step->workspace,
        .parallel_for = mls__executor_parallel_for,
        .executor = (void *) (uintptr_t) &plan->share,
    };
    return mls__plan_step_run(step)(step->kernel, &call);
}

static void fill_copy(void *block, void *arg)
{
    const struct {
        const void *data;
        size_t size;
    } *source = arg;
    memcpy(block, source->data, source->size);
}

/* Results computed from constants alone are the same for every session: keep one copy. */
static mls_status share_constant(mls__plan *plan, uint32_t value)
{
    mls__slot *slot = &plan->slots[value];
    struct {
        const void *data;
        size_t size;
    } source = {slot->data, slot->capacity};
    const uint64_t id = mls__plan_derived_id(plan, value);
    const struct {
        char what[8];
        uint64_t id;
    } key = {"derived", id};
    const void *shared = mls__weights_ops.get(&plan->model->weights, &key, sizeof key, source.size,
                                              fill_copy, &source);
    if (!shared)
        return mls__error_nomem(source.size);
    slot->arg.weight_id = id;
    slot->arg.data = shared;
    slot->data = (void *) (uintptr_t) shared;
    return MLS_OK;
}

/* Memory for the results of an EVAL step: of the plan, at the planned maximum. */
static mls_status eval_place(mls__plan *plan, mls__step *step)
{
    const size_t inputs = step->op.input_count;
    for (size_t k = 0; k < inputs; k++)
        if (step->input_values[k] != MLS__NO_VALUE)
            step->buffers[k] = mls__arg_address(step->inputs[k].data);
    for (size_t k = 0; k < step->op.output_count; k++) {
        const size_t bytes = mls__arg_bytes(&step->outputs[k]);
        step->buffers[inputs + k] = mls__arena_alloc(&plan->arena, bytes);
        if (!step->buffers[inputs + k])
            return mls__error_nomem(bytes);
    }
    step->workspace = mls__arena_alloc(&plan->arena, step->kernel->workspace_bytes);
    return step->workspace ? MLS_OK : mls__error_nomem(step->kernel->workspace_bytes);
}

static mls_status eval_step(mls__plan *plan, mls__step *step)
{
    mls_status status = create_kernel(plan, step);
    if (!status)
        status = eval_place(plan, step);
    if (!status)
        status = eval_run(plan, step);
    if (status)
        return status;
    set_outputs(plan, step, step->is_dynamic ? MLS__SLOT_KNOWN : MLS__SLOT_CONSTANT);
    for (size_t k = 0; !status && k < step->op.output_count; k++) {
        if (step->output_values[k] == MLS__NO_VALUE)
            continue;
        mls__slot *slot = &plan->slots[step->output_values[k]];
        slot->data = step->buffers[step->op.input_count + k];
        slot->arg.data = slot->capacity ? slot->data : NULL;
        /* The bytes of strings are in this plan's memory, so those stay here. */
        if (!step->is_dynamic && slot->capacity && slot->arg.dtype != MLS_STRING)
            status = share_constant(plan, step->output_values[k]);
    }
    return status;
}

static mls_status prepare_step(mls__plan *plan, mls__step *step, bool is_copy)
{
    refresh_inputs(plan, step);
    mls_status status = step->schema->infer(&step->op, step->outputs);
    if (status)
        return status;
    choose_mode(plan, step, is_copy);
    if (step->mode == MLS__STEP_EVAL)
        return eval_step(plan, step);
    if (step->mode == MLS__STEP_RUN) {
        step->op.numerics = plan->numerics;
        status = create_kernel(plan, step);
    }
    if (!status)
        set_outputs(plan, step, MLS__SLOT_COMPUTED);
    return status;
}

static mls_status plan_node(mls__plan *plan, const mls__node *node)
{
    const mls_op op = {
        .domain = node->domain,
        .type = node->type,
        .node = mls__graph_node_name(plan->graph, node),
        .node_id = node->id,
        .attrs = node->attrs,
        .attr_count = node->attr_count,
        .input_count = node->input_count,
        .output_count = node->output_count,
    };
    mls__step *step;
    const mls_status status = add_step(plan, &op, node->schema, node->inputs, node->outputs, &step);
    return status ? status : prepare_step(plan, step, false);
}

/* An output that no step writes by itself (an input, a constant, a value given twice). */
static mls_status add_copy(mls__plan *plan, mls__port *port, uint32_t value)
{
    uint32_t *values = mls__arena_array(&plan->arena, 2, sizeof *values);
    if (!values)
        return mls__error_nomem(2 * sizeof *values);
    values[0] = value;
    values[1] = port->slot = (uint32_t) plan->slot_count++;
    const mls_op op = {
        .domain = "",
        .type = "Identity",
        .node = mls__graph_value(plan->graph, value)->name,
        .node_id = UINT64_MAX - port->slot,
        .input_count = 1,
        .output_count = 1,
    };
    mls__step *step;
    const mls_status status =
        add_step(plan, &op, mls__op_schema_find("", "Identity"), &values[0], &values[1], &step);
    return status ? status : prepare_step(plan, step, true);
}

static mls_status set_output_ports(mls__plan *plan)
{
    for (size_t i = 0; i < plan->graph->outputs.count; i++) {
        mls__port *port = &plan->outputs[i];
        const uint32_t value = mls__graph_output(plan->graph, i);
        mls__slot *root = &plan->slots[plan->slots[value].root];
        port->slot = value;
        if (root->kind != MLS__SLOT_COMPUTED || root->is_pinned) {
            const mls_status status = add_copy(plan, port, value);
            if (status)
                return status;
            root = &plan->slots[port->slot];
        }
        root->is_pinned = true;
    }
    return MLS_OK;
}

mls_status mls__plan_infer(mls__plan *plan, const mls__plan_input *inputs)
{
    const size_t values = plan->graph->values.count, outputs = plan->graph->outputs.count;
    plan->slot_count = values;
    plan->slots = mls__arena_array(&plan->arena, values + outputs, sizeof *plan->slots);
    plan->steps =
        mls__arena_array(&plan->arena, plan->graph->nodes.count + outputs, sizeof *plan->steps);
    plan->inputs = mls__arena_array(&plan->arena, plan->graph->inputs.count, sizeof *plan->inputs);
    plan->outputs = mls__arena_array(&plan->arena, outputs, sizeof *plan->outputs);
    if (!plan->slots || !plan->steps || !plan->inputs || !plan->outputs)
        return mls__error_nomem(values * sizeof *plan->slots);
    set_constants(plan);
    mls_status status = mark_decisive(plan);
    if (!status)
        status = set_inputs(plan, inputs);
    for (size_t i = 0; !status && i < plan->graph->nodes.count; i++)
        status = plan_node(plan, mls__graph_node(plan->graph, i));
    return status ? status : set_output_ports(plan);
}

/* --- the same walk for smaller dims, without a malloc --- */

static mls_status reshape_input(const mls__plan *plan, mls__port *port,
                                const mls__plan_input *input)
{
    mls__slot *slot = &plan->slots[port->slot];
    const mls_status status = set_input_dims(plan, port, input);
    if (status)
        return status;
    const size_t bytes = mls__arg_bytes(&slot->arg);
    if (bytes > slot->capacity)
        return mls__error(MLS_ELIMIT, "input '%.200s' is larger than planned",
                          mls__graph_value(plan->graph, port->slot)->name);
    if (slot->is_decisive) {
        port->baked_bytes = bytes;
        if (bytes && input->data)
            memcpy(port->baked, input->data, bytes);
    }
    return MLS_OK;
}

static mls_status check_alias(mls__plan *plan, const mls__step *step)
{
    if (step->alias_input == MLS__NO_VALUE ||
        mls__arg_bytes(&step->inputs[step->alias_input]) == mls__arg_bytes(&step->outputs[0]))
        return MLS_OK;
    plan->no_alias = true;
    return mls__op_error(&step->op, MLS_ELIMIT, "cannot compute in place at these dims");
}

static mls_status update_outputs(mls__plan *plan, const mls__step *step)
{
    for (size_t k = 0; k < step->op.output_count; k++) {
        if (step->output_values[k] == MLS__NO_VALUE)
            continue;
        mls__slot *slot = &plan->slots[step->output_values[k]];
        if (mls__arg_bytes(&step->outputs[k]) > slot->capacity)
            return mls__op_error(&step->op, MLS_ELIMIT, "output %zu is larger than planned", k);
        slot->arg = step->outputs[k];
        if (slot->kind == MLS__SLOT_KNOWN)
            slot->arg.data = slot->data;
    }
    return MLS_OK;
}

static mls_status reshape_step(mls__plan *plan, mls__step *step, bool *has_moved)
{
    refresh_inputs(plan, step);
    mls_status status = step->schema->infer(&step->op, step->outputs);
    if (!status)
        status = check_alias(plan, step);
    if (!status)
        status = update_outputs(plan, step);
    if (!status)
        status = mls__plan_follow_parts(plan, step, has_moved);
    if (!status && step->kernel && step->kernel->reshape)
        status = step->kernel->reshape(step->kernel, &step->op);
    if (!status && step->mode == MLS__STEP_EVAL)
        status = eval_run(plan, step);
    return status;
}

mls_status mls__plan_reshape(mls__plan *plan, const mls__plan_input *inputs)
{
    mls_status status = MLS_OK;
    bool has_moved = false;
    for (size_t i = 0; !status && i < plan->graph->inputs.count; i++)
        if (plan->slots[plan->inputs[i].slot].is_dynamic)
            status = reshape_input(plan, &plan->inputs[i], &inputs[i]);
    for (size_t i = 0; !status && i < plan->step_count; i++)
        if (plan->steps[i].is_dynamic)
            status = reshape_step(plan, &plan->steps[i], &has_moved);
    if (!status && has_moved)
        mls__plan_address(plan);
    for (size_t i = 0; !status && i < plan->run_count; i++)
        plan->run_steps[i].run = mls__plan_step_run(plan->run_steps[i].step);
    return status;
}
