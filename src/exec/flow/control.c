/* SPDX-License-Identifier: Apache-2.0 */
/* If and Loop; scan.c has Scan. Each body is a flow of its own that keeps its plans. */
#include "exec/flow/control.h"

#include "base/error.h"
#include "op/op.h"

/* --- what Loop and Scan gather --- */

void mls__gathered_init(mls__gathered *gathered, mls__flow *flow)
{
    *gathered = (mls__gathered){.pool = &flow->host->pool};
}

void mls__gathered_clear(mls__gathered *gathered)
{
    mls__object_unref(gathered->pool, gathered->list);
    gathered->list = NULL;
}

mls_status mls__gathered_add(mls__gathered *gathered, mls__object *item)
{
    mls_status status = MLS_OK;
    if (!gathered->list)
        status = mls__object_sequence(gathered->pool, MLS_DTYPE_NONE, 8, &gathered->list);
    return status ? status : mls__object_append(gathered->pool, gathered->list, item);
}

/* No iteration: as many dims as the body declares, of length 0 where it does not say. */
static mls_status make_none(mls__flow *flow, const mls__flow_step *step, size_t body_output,
                            mls__object **ret_tensor)
{
    const mls__graph *body = step->bodies[0]->graph;
    const mls__value *value = mls__graph_value(body, mls__graph_output(body, body_output));
    const int32_t rank = value->rank < 0 ? 0 : value->rank;
    int64_t dims[MLS_MAX_RANK] = {0};
    if (!value->dtype || rank + 1 > MLS_MAX_RANK)
        return mls__op_error(&step->op, MLS_ESTATE,
                             "no iteration ran, and the body does not declare the type of its "
                             "output '%.200s'",
                             value->name);
    for (int32_t k = 0; k < rank; k++)
        dims[k + 1] = value->dims[k] < 0 ? 0 : value->dims[k];
    return mls__object_create(&flow->host->pool, value->dtype, rank + 1, dims, ret_tensor);
}

mls_status mls__gathered_join(const mls__gathered *gathered, mls__flow *flow,
                              const mls__flow_step *step, size_t body_output, int64_t axis,
                              bool is_reversed, mls__object **ret_tensor)
{
    const mls__object *list = gathered->list;
    if (!list)
        return make_none(flow, step, body_output, ret_tensor);
    return mls__flow_join(flow, step, "scan output", list->items, list->count, axis, true,
                          is_reversed, ret_tensor);
}

/* --- If --- */

static mls_status run_if(mls__flow *flow, const mls__flow_step *step)
{
    int64_t condition;
    mls_status status = mls__flow_number(flow, step, 0, &condition);
    if (status)
        return status;
    const char *name = condition ? "then_branch" : "else_branch";
    const mls__body *body = mls__node_body(step->node, name);
    mls__flow *branch = step->bodies[body - step->node->bodies];
    if (branch->graph->outputs.count < step->op.output_count)
        return mls__op_error(&step->op, MLS_EFORMAT, "%s gives %zu outputs, the node %zu", name,
                             branch->graph->outputs.count, step->op.output_count);
    mls__flow_set_captures(flow, step, (size_t) (body - step->node->bodies));
    status = mls__flow_run(branch);
    for (size_t k = 0; !status && k < step->op.output_count; k++) {
        mls__object *output = mls__flow_output(branch, k);
        mls__flow_give(flow, step, k, output ? mls__object_ref(output) : NULL);
    }
    return status;
}

/* --- Loop --- */

typedef struct loop {
    mls__flow *flow, *body;
    const mls__flow_step *step;
    size_t carried, scanned; /* values handed on from iteration to iteration; gathered outputs */
    mls__gathered *gathered;
    mls__object **next; /* of each carried value */
} loop;

static mls_status init_loop(loop *l, mls__flow *flow, const mls__flow_step *step)
{
    const mls__body *body = mls__node_body(step->node, "body");
    *l = (loop){.flow = flow, .body = step->bodies[0], .step = step};
    const size_t inputs = body->graph->inputs.count - body->capture_count;
    const size_t outputs = body->graph->outputs.count;
    l->carried = step->input_count > 2 ? step->input_count - 2 : 0;
    if (inputs != l->carried + 2 || outputs < l->carried + 1 || step->op.output_count > outputs - 1)
        return mls__op_error(&step->op, MLS_EFORMAT,
                             "the body takes %zu and gives %zu values, which does not fit the "
                             "node's %zu carried values and %zu outputs",
                             inputs, outputs, l->carried, step->op.output_count);
    l->scanned = outputs - 1 - l->carried;
    void *gathered, *next;
    mls__pool *pool = &flow->host->pool;
    mls_status status = mls__pool_take_array(pool, l->scanned, sizeof *l->gathered, &gathered);
    if (status)
        return status;
    l->gathered = gathered;
    for (size_t i = 0; i < l->scanned; i++)
        mls__gathered_init(&l->gathered[i], flow);
    status = mls__pool_take_array(pool, l->carried, sizeof *l->next, &next);
    if (!status)
        l->next = next;
    return status;
}

static void clear_loop(loop *l)
{
    for (size_t i = 0; l->gathered && i < l->scanned; i++)
        mls__gathered_clear(&l->gathered[i]);
    mls__pool_give(&l->flow->host->pool, l->gathered, l->scanned * sizeof *l->gathered);
    mls__pool_give(&l->flow->host->pool, l->next, l->carried * sizeof *l->next);
}

/* The trip count and the condition; those that are left out do not end the loop. */
static mls_status read_limits(const loop *l, int64_t *ret_trips, bool *ret_goes_on)
{
    int64_t condition = 1;
    mls_status status = MLS_OK;
    *ret_trips = INT64_MAX;
    if (mls__flow_input(l->flow, l->step, 0))
        status = mls__flow_number(l->flow, l->step, 0, ret_trips);
    if (!status && mls__flow_input(l->flow, l->step, 1))
        status = mls__flow_number(l->flow, l->step, 1, &condition);
    *ret_goes_on = condition != 0;
    return status;
}

static mls_status set_counters(const loop *l, int64_t iteration)
{
    mls__object *number, *condition;
    mls__pool *pool = &l->flow->host->pool;
    mls_status status = mls__object_create(pool, MLS_INT64, 0, NULL, &number);
    if (status)
        return status;
    *(int64_t *) number->data = iteration;
    mls__flow_set_input(l->body, 0, number);
    mls__object_unref(pool, number);
    status = mls__object_create(pool, MLS_BOOL, 0, NULL, &condition);
    if (status)
        return status;
    *(uint8_t *) condition->data = 1;
    mls__flow_set_input(l->body, 1, condition);
    mls__object_unref(pool, condition);
    return MLS_OK;
}

static mls_status read_condition(const loop *l, bool *ret_goes_on)
{
    const mls__object *condition = mls__flow_output(l->body, 0);
    if (!condition || condition->kind != MLS_VALUE_TENSOR || condition->dtype != MLS_BOOL ||
        mls__object_count(condition) != 1)
        return mls__op_error(&l->step->op, MLS_EDTYPE,
                             "the body's first output, the condition, must be one bool");
    *ret_goes_on = *(const uint8_t *) condition->data != 0;
    return MLS_OK;
}

/* What the body gives is what it takes next. All of it first: a body may swap two values. */
static void hand_on(const loop *l)
{
    for (size_t i = 0; i < l->carried; i++) {
        mls__object *object = mls__flow_output(l->body, 1 + i);
        l->next[i] = object ? mls__object_ref(object) : NULL;
    }
    for (size_t i = 0; i < l->carried; i++) {
        mls__flow_set_input(l->body, 2 + i, l->next[i]);
        mls__object_unref(&l->flow->host->pool, l->next[i]);
    }
}

static mls_status iterate(const loop *l, int64_t iteration, bool *ret_goes_on)
{
    mls__flow_set_captures(l->flow, l->step, 0);
    mls_status status = set_counters(l, iteration);
    if (!status)
        status = mls__flow_run(l->body);
    if (!status)
        status = read_condition(l, ret_goes_on);
    for (size_t i = 0; !status && i < l->scanned; i++) {
        mls__object *item = mls__flow_output(l->body, 1 + l->carried + i);
        if (!item)
            return mls__op_error(&l->step->op, MLS_EDTYPE, "a scan output of the body is empty");
        status = mls__gathered_add(&l->gathered[i], item);
    }
    if (!status)
        hand_on(l);
    return status;
}

static mls_status give_results(const loop *l)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; i < l->carried; i++) {
        /* The body's input: what the last iteration gave, or the first value if none ran. */
        mls__object *value = l->body->cells[mls__graph_input(l->body->graph, 2 + i)];
        mls__flow_give(l->flow, l->step, i, value ? mls__object_ref(value) : NULL);
    }
    for (size_t i = 0; !status && i < l->scanned; i++) {
        mls__object *tensor;
        status = mls__gathered_join(&l->gathered[i], l->flow, l->step, 1 + l->carried + i, 0, false,
                                    &tensor);
        if (!status)
            mls__flow_give(l->flow, l->step, l->carried + i, tensor);
    }
    return status;
}

static mls_status run_iterations(const loop *l)
{
    int64_t trips;
    bool goes_on;
    mls_status status = read_limits(l, &trips, &goes_on);
    if (status)
        return status;
    for (size_t i = 0; i < l->carried; i++)
        mls__flow_set_input(l->body, 2 + i, mls__flow_input(l->flow, l->step, 2 + i));
    for (int64_t i = 0; !status && goes_on && i < trips; i++)
        status = iterate(l, i, &goes_on);
    return status ? status : give_results(l);
}

static mls_status run_loop(mls__flow *flow, const mls__flow_step *step)
{
    loop l = {.flow = flow};
    mls_status status = init_loop(&l, flow, step);
    if (!status)
        status = run_iterations(&l);
    clear_loop(&l);
    return status;
}

const mls__host_op mls__host_ops_control[] = {
    {"", "If", run_if, MLS_VALUE_TENSOR, false},
    {"", "Loop", run_loop, MLS_VALUE_TENSOR, false},
    {"", "Scan", mls__run_scan, MLS_VALUE_TENSOR, false},
    {"", "SequenceMap", mls__run_sequence_map, MLS_VALUE_SEQUENCE, false},
    {NULL, NULL, NULL, 0, false},
};
