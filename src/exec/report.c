/* SPDX-License-Identifier: Apache-2.0 */
/* What a session tells about its plan: how large it is, what its steps are and took. */
#include "exec/session.h"

#include "base/error.h"
#include "base/options.h"

/* --- the steps of a run --- */

/* Steps are counted off until `left` is 0; then `found` is the one. */
typedef struct search {
    size_t left;
    mls_step_info found;
} search;

static mls_step_info kernel_step(const mls__step *step)
{
    return (mls_step_info){
        .size = sizeof(mls_step_info),
        .op = step->op.type,
        .node = step->op.node,
        .kernel = step->kernel->name,
        .runs = step->runs,
        .time_ns = step->time_ns,
    };
}

static mls_step_info host_step(const mls__flow *flow, const mls__flow_step *step)
{
    return (mls_step_info){
        .size = sizeof(mls_step_info),
        .op = step->op.type,
        .node = mls__graph_node_name(flow->graph, step->node),
        .kernel = "",
        .runs = step->runs,
        .time_ns = step->time_ns,
    };
}

static bool find_in_plan(search *s, const mls__plan *plan)
{
    if (s->left >= plan->run_count) {
        s->left -= plan->run_count;
        return false;
    }
    s->found = kernel_step(plan->run_steps[s->left].step);
    return true;
}

static bool find_in_flow(search *s, const mls__flow *flow);

static bool find_in_bodies(search *s, const mls__flow_step *step)
{
    for (size_t i = 0; i < step->node->body_count; i++)
        if (find_in_flow(s, step->bodies[i]))
            return true;
    return false;
}

/* Of a segment that no run has reached there is nothing. */
static bool find_in_segment(search *s, const mls__segment *segment)
{
    const mls__plan *plan = mls__segment_plan(segment);
    return plan && find_in_plan(s, plan);
}

/* Bodies lie no deeper than the reader allows. */
static bool find_in_flow(search *s, const mls__flow *flow)
{
    for (size_t i = 0; i < flow->step_count; i++) {
        const mls__flow_step *step = &flow->steps[i];
        if (step->segment) {
            if (find_in_segment(s, step->segment))
                return true;
            continue;
        }
        if (s->left-- == 0) {
            s->found = host_step(flow, step);
            return true;
        }
        if (find_in_bodies(s, step))
            return true;
    }
    return false;
}

static bool find_step(search *s, const mls_session *session)
{
    if (session->flow)
        return find_in_flow(s, session->flow);
    return session->is_planned && find_in_plan(s, &session->plan);
}

size_t mls_session_plan_bytes(const mls_session *session)
{
    return session->is_planned ? session->plan.block_bytes : 0;
}

size_t mls_session_step_count(const mls_session *session)
{
    search s = {.left = SIZE_MAX};
    find_step(&s, session);
    return SIZE_MAX - s.left;
}

mls_status mls_session_step_info(const mls_session *session, size_t index, mls_step_info *ret_info)
{
    search s = {.left = index};
    if (index == SIZE_MAX || !find_step(&s, session))
        return mls__error(MLS_EINVAL, "step %zu: the plan has %zu", index,
                          mls_session_step_count(session));
    return mls__options_write("mls_step_info", &s.found, sizeof s.found, sizeof s.found, ret_info);
}

/* --- the whole plan, entry by entry --- */

typedef struct reporter {
    mls_plan_visitor visit;
    void *user;
    mls__vec values; /* mls_plan_value: those of the entry at hand */
    uint64_t depth;
} reporter;

/* An entry that says nothing but what it is. */
static mls_plan_entry blank_entry(uint64_t kind)
{
    return (mls_plan_entry){.kind = kind, .domain = "", .op = "", .node = "", .kernel = ""};
}

static mls_plan_entry node_entry(uint64_t kind, const mls__graph *graph, const mls__node *node)
{
    mls_plan_entry entry = blank_entry(kind);
    entry.domain = node->domain;
    entry.op = node->type;
    entry.node = mls__graph_node_name(graph, node);
    return entry;
}

/* Hands the entry over with the values collected for it, and begins the next. */
static mls_status tell(reporter *r, mls_plan_entry *entry)
{
    entry->size = sizeof *entry;
    entry->depth = r->depth;
    entry->values = r->values.data;
    entry->value_count = r->values.count;
    const mls_status status = r->visit(r->user, entry);
    r->values.count = 0;
    return status;
}

static mls_status add_value(reporter *r, const mls_plan_value *value)
{
    mls_plan_value *slot = mls__vec_push(&r->values);
    if (!slot)
        return mls__error_nomem(sizeof *slot);
    *slot = *value;
    return MLS_OK;
}

/* --- what is not planned --- */

static mls_status add_declared(reporter *r, const mls__graph *graph, uint32_t value)
{
    const mls__value *declared = mls__graph_value(graph, value);
    const mls_plan_value told = {
        .name = declared->name,
        .dims = declared->dims,
        .dtype = declared->dtype,
        .rank = declared->rank,
        .place = MLS_PLACE_UNKNOWN,
    };
    return add_value(r, &told);
}

static mls_status tell_node(reporter *r, uint64_t kind, const mls__graph *graph,
                            const mls__node *node)
{
    mls_plan_entry entry = node_entry(kind, graph, node);
    mls_status status = MLS_OK;
    for (size_t k = 0; !status && k < node->output_count; k++)
        if (node->outputs[k] != MLS__NO_VALUE)
            status = add_declared(r, graph, node->outputs[k]);
    return status ? status : tell(r, &entry);
}

static mls_status tell_unplanned(reporter *r, const mls__graph *graph)
{
    mls_plan_entry block = blank_entry(MLS_PLAN_LATER);
    mls_status status = tell(r, &block);
    for (size_t i = 0; !status && i < graph->nodes.count; i++)
        status = tell_node(r, MLS_PLAN_NODE, graph, mls__graph_node(graph, i));
    return status;
}

/* --- a plan --- */

/* A slot past the graph's values is the copy that an output needs. */
static const char *slot_name(const mls__plan *plan, uint32_t slot, const mls__step *step)
{
    if (slot < plan->graph->values.count)
        return mls__graph_value(plan->graph, slot)->name;
    return step->op.node;
}

static mls_status add_slot(reporter *r, const mls__plan *plan, uint32_t index, const char *name,
                           uint64_t place)
{
    const mls__slot *slot = &plan->slots[index];
    const bool is_inside = place == MLS_PLACE_BLOCK || place == MLS_PLACE_INPUT;
    const mls_plan_value told = {
        .name = name,
        .dims = slot->arg.dims,
        .offset = is_inside ? (size_t) ((const unsigned char *) slot->data - plan->block) : 0,
        .bytes = slot->capacity,
        .dtype = slot->arg.dtype,
        .rank = slot->arg.rank,
        .place = place,
    };
    return add_value(r, &told);
}

static mls_status tell_inputs(reporter *r, const mls__plan *plan)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < plan->graph->inputs.count; i++) {
        mls_plan_entry entry = blank_entry(MLS_PLAN_INPUT);
        const uint32_t slot = plan->inputs[i].slot;
        status = add_slot(r, plan, slot, slot_name(plan, slot, NULL), MLS_PLACE_BLOCK);
        if (!status)
            status = tell(r, &entry);
    }
    return status;
}

static uint64_t output_place(const mls__step *step, size_t output)
{
    if (step->mode == MLS__STEP_EVAL)
        return MLS_PLACE_APART;
    if (step->mode == MLS__STEP_VIEW || (output == 0 && step->alias_input != MLS__NO_VALUE))
        return MLS_PLACE_INPUT;
    return MLS_PLACE_BLOCK;
}

static mls_status tell_step(reporter *r, const mls__plan *plan, const mls__step *step)
{
    static const uint64_t kinds[] = {
        [MLS__STEP_RUN] = MLS_PLAN_STEP,
        [MLS__STEP_EVAL] = MLS_PLAN_KNOWN,
        [MLS__STEP_VIEW] = MLS_PLAN_VIEW,
    };
    mls_plan_entry entry = blank_entry(kinds[step->mode]);
    mls_status status = MLS_OK;
    entry.domain = step->op.domain;
    entry.op = step->op.type;
    entry.node = step->op.node;
    if (step->kernel) {
        entry.kernel = step->kernel->name;
        entry.workspace_bytes = step->kernel->workspace_bytes;
        entry.workspace_offset = step->workspace_offset;
    }
    for (size_t k = 0; !status && k < step->op.output_count; k++) {
        const uint32_t slot = step->output_values[k];
        if (slot != MLS__NO_VALUE)
            status = add_slot(r, plan, slot, slot_name(plan, slot, step), output_place(step, k));
    }
    return status ? status : tell(r, &entry);
}

static mls_status tell_plan(reporter *r, const mls__plan *plan)
{
    mls_plan_entry block = blank_entry(MLS_PLAN_BLOCK);
    block.block_bytes = plan->block_bytes;
    block.unshared_bytes = mls__plan_unshared_bytes(plan);
    mls_status status = tell(r, &block);
    if (!status)
        status = tell_inputs(r, plan);
    for (size_t i = 0; !status && i < plan->step_count; i++)
        status = tell_step(r, plan, &plan->steps[i]);
    return status;
}

/* --- a flow --- */

static mls_status tell_flow(reporter *r, const mls__flow *flow);

static mls_status tell_bodies(reporter *r, const mls__flow_step *step)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < step->node->body_count; i++) {
        mls_plan_entry entry = blank_entry(MLS_PLAN_BODY);
        entry.op = step->node->bodies[i].name;
        status = tell(r, &entry);
        r->depth++;
        if (!status)
            status = tell_flow(r, step->bodies[i]);
        r->depth--;
    }
    return status;
}

static mls_status tell_segment(reporter *r, const mls__segment *segment)
{
    const mls__plan *plan = mls__segment_plan(segment);
    return plan ? tell_plan(r, plan) : tell_unplanned(r, mls__segment_graph(segment));
}

/* Bodies lie no deeper than the reader allows. */
static mls_status tell_flow(reporter *r, const mls__flow *flow)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < flow->step_count; i++) {
        const mls__flow_step *step = &flow->steps[i];
        if (step->segment) {
            status = tell_segment(r, step->segment);
            continue;
        }
        status = tell_node(r, MLS_PLAN_HOST, flow->graph, step->node);
        if (!status)
            status = tell_bodies(r, step);
    }
    return status;
}

mls_status mls_session_report(mls_session *session, mls_plan_visitor visit, void *user)
{
    if (!visit)
        return mls__error(MLS_EINVAL, "mls_session_report: visit is NULL");
    mls_status status = session->flow ? MLS_OK : mls__session_settle(session);
    if (status)
        return status;
    reporter r = {.visit = visit, .user = user};
    mls__vec_init(&r.values, &session->model->context->allocator, sizeof(mls_plan_value));
    status = session->flow ? tell_flow(&r, session->flow) : tell_plan(&r, &session->plan);
    mls__vec_clear(&r.values);
    return status;
}
