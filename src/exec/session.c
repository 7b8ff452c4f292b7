/* SPDX-License-Identifier: Apache-2.0 */
/* Making a session, and keeping its plan in step with the dims. */
#include "exec/session.h"

#include "base/error.h"
#include "base/options.h"

#include <string.h>

#define KNOWN_FLAGS (MLS_SESSION_PROFILE | MLS_SESSION_NO_REUSE | MLS_SESSION_NO_OPTIMIZE)

static mls_status read_options(const mls_session_options *given, mls_session_options *ret_options)
{
    const mls_status status =
        mls__options_read("mls_session_options", given, sizeof *given, sizeof *given, ret_options);
    if (status)
        return status;
    if (ret_options->flags & ~KNOWN_FLAGS)
        return mls__error(MLS_EINVAL, "mls_session_options.flags has unknown bits: 0x%llx",
                          (unsigned long long) (ret_options->flags & ~KNOWN_FLAGS));
    if (ret_options->numerics > MLS_NUMERICS_FAST)
        return mls__error(
            MLS_EUNSUPPORTED,
            "mls_session_options.numerics is %u: there are MLS_NUMERICS_EXACT (0) and "
            "MLS_NUMERICS_FAST (1)",
            ret_options->numerics);
    if (ret_options->dim_count && !ret_options->dims)
        return mls__error(MLS_EINVAL, "mls_session_options: dim_count is %zu and dims is NULL",
                          ret_options->dim_count);
    return MLS_OK;
}

static mls_status open_backend(mls_session *session, const mls_session_options *options)
{
    mls__drivers *drivers = session->model->context->drivers;
    const mls_status status = mls__drivers_backend(
        drivers, options->backend ? options->backend : "cpu", &session->plan.backend);
    if (status)
        return status;
    session->plan.numerics = options->numerics;
    if (options->numerics == MLS_NUMERICS_EXACT &&
        !(session->plan.backend.ops->flags & MLS_BACKEND_SAME_BITS))
        return mls__error(MLS_EUNSUPPORTED, "backend '%s' does not promise the same bits always",
                          session->plan.backend.ops->plugin.name);
    session->plan.share = (mls__executor_share){session->model->context->executor,
                                                options->threads ? options->threads : 1};
    return mls__executor_reserve(session->model->context->executor, session->plan.share.threads);
}

static mls_status choose_graph(mls_session *session, uint64_t flags)
{
    const mls_model *model = session->model;
    if (!model->has_optimized) {
        const char *op, *node, *reason;
        mls_model_unsupported(model, 0, &op, &node, &reason);
        return mls__error(MLS_EUNSUPPORTED, "the model cannot run: node '%.200s' (%.64s): %s", node,
                          op, reason);
    }
    session->plan.model = session->model;
    session->plan.flags = flags;
    session->plan.graph = flags & MLS_SESSION_NO_OPTIMIZE ? &model->graph : &model->optimized;
    return MLS_OK;
}

static mls_status alloc_arrays(mls_session *session)
{
    mls__arena *arena = &session->dims.arena;
    const size_t inputs = session->plan.graph->inputs.count;
    session->inputs = mls__arena_array(arena, inputs, sizeof *session->inputs);
    session->outputs =
        mls__arena_array(arena, session->plan.graph->outputs.count, sizeof *session->outputs);
    session->plan_inputs = mls__arena_array(arena, inputs, sizeof *session->plan_inputs);
    session->plan_dims = mls__arena_array(arena, inputs, sizeof *session->plan_dims);
    if (!session->inputs || !session->outputs || !session->plan_inputs || !session->plan_dims)
        return mls__error_nomem(inputs * sizeof *session->inputs);
    for (size_t i = 0; i < inputs; i++)
        session->inputs[i].rank = -1;
    return MLS_OK;
}

static mls_status mark_decisive(mls_session *session)
{
    bool *decisive;
    const mls_status status = mls__plan_decisive(session->plan.graph, &decisive);
    if (status)
        return status;
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++) {
        session->inputs[i].is_decisive = decisive[mls__graph_input(session->plan.graph, i)];
        session->has_decisive = session->has_decisive || session->inputs[i].is_decisive;
    }
    mls__free(session->plan.graph->allocator, decisive);
    return MLS_OK;
}

static mls_status set_options_dims(mls_session *session, const mls_session_options *options)
{
    for (size_t i = 0; i < options->dim_count; i++) {
        mls__dim *dim;
        if (!options->dims[i].name)
            return mls__error(MLS_EINVAL, "mls_session_options.dims[%zu] has no name", i);
        const mls_status status = mls__dims_find(&session->dims, options->dims[i].name, &dim);
        if (status)
            return status;
        if (options->dims[i].value < 0)
            return mls__error(MLS_EINVAL, "dimension '%.200s' is negative: %lld", dim->name,
                              (long long) options->dims[i].value);
        dim->value = options->dims[i].value;
    }
    return MLS_OK;
}

/* Whether the options and the model alone say all that planning needs. */
static bool can_plan(const mls_session *session)
{
    int64_t dims[MLS_MAX_RANK];
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++)
        if (!mls__dims_shape(&session->dims, i, dims) || session->inputs[i].is_decisive)
            return false;
    return true;
}

static mls_status init_session(mls_session *session, const mls_session_options *options)
{
    mls_status status = choose_graph(session, options->flags);
    if (status)
        return status;
    status = mls__dims_init(&session->dims, session->plan.graph);
    if (!status)
        status = open_backend(session, options);
    if (!status)
        status = alloc_arrays(session);
    if (!status)
        status = mls__session_make_flow(session);
    if (!status && !session->flow)
        status = mark_decisive(session);
    if (!status)
        status = set_options_dims(session, options);
    if (!status && !session->flow && can_plan(session))
        status = mls__session_settle(session);
    return status;
}

mls_status mls_session_create(mls_model *model, const mls_session_options *given,
                              mls_session **ret_session)
{
    if (!model || !ret_session)
        return mls__error(MLS_EINVAL, "mls_session_create: %s is NULL",
                          model ? "ret_session" : "model");
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    mls_status status = read_options(given, &options);
    if (status)
        return status;
    mls_session *session = mls__alloc_array(&model->context->allocator, 1, sizeof *session);
    if (!session)
        return mls__error_nomem(sizeof *session);
    mls__model_ref(model);
    session->model = model;
    status = init_session(session, &options);
    if (status) {
        mls_session_free(session);
        return status;
    }
    *ret_session = session;
    return MLS_OK;
}

void mls_session_free(mls_session *session)
{
    if (!session)
        return;
    mls_model *model = session->model;
    if (session->outputs) {
        for (size_t i = 0; i < session->plan.graph->inputs.count; i++)
            mls_tensor_free(session->inputs[i].tensor);
        for (size_t i = 0; i < session->plan.graph->outputs.count; i++)
            mls_tensor_free(session->outputs[i].tensor);
    }
    mls__session_unseal(session);
    mls__session_free_flow(session);
    if (session->is_planned)
        mls__plan_clear(&session->plan);
    if (session->dims.arena.allocator)
        mls__dims_clear(&session->dims);
    mls__free(&model->context->allocator, session);
    mls__model_unref(model);
}

/* --- keeping the plan in step --- */

static bool is_input_dynamic(const mls__input_shape *shape)
{
    for (int axis = 0; axis < shape->rank; axis++)
        if (shape->entry[axis] != MLS__DIM_FIXED)
            return true;
    return false;
}

mls_status mls__session_describe_inputs(mls_session *session, bool at_maximum)
{
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++) {
        const mls__input_shape *shape = &session->dims.inputs[i];
        const mls__binding *binding = &session->inputs[i];
        mls__plan_input *input = &session->plan_inputs[i];
        *input = (mls__plan_input){
            .rank = shape->rank,
            .dims = session->plan_dims[i],
            .data = binding->data,
            .is_dynamic = is_input_dynamic(shape),
        };
        if (shape->rank < 0) {
            const mls__value *value =
                mls__graph_value(session->plan.graph, mls__graph_input(session->plan.graph, i));
            if (value->kind != MLS_VALUE_TENSOR)
                continue;
            if (binding->rank < 0)
                return mls__error(MLS_ESTATE,
                                  "the model does not say the shape of input '%.200s': bind a "
                                  "tensor to it first",
                                  value->name);
            input->rank = binding->rank;
            input->dims = binding->dims;
            continue;
        }
        for (int axis = 0; axis < shape->rank; axis++) {
            const uint32_t entry = shape->entry[axis];
            const mls__dim *dim =
                entry == MLS__DIM_FIXED ? NULL : mls__dims_at(&session->dims, entry);
            session->plan_dims[i][axis] = !dim         ? shape->fixed[axis]
                                          : at_maximum ? dim->planned
                                                       : dim->value;
        }
    }
    return MLS_OK;
}

/* The contents of a decisive input are those at its present dims: plan for just these. */
static void fix_decisive_dims(mls_session *session)
{
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++) {
        const mls__input_shape *shape = &session->dims.inputs[i];
        for (int axis = 0; session->inputs[i].is_decisive && axis < shape->rank; axis++)
            if (shape->entry[axis] != MLS__DIM_FIXED) {
                mls__dim *dim = mls__dims_at(&session->dims, shape->entry[axis]);
                dim->planned = dim->value;
            }
    }
}

void mls__session_settle_dims(mls_session *session)
{
    for (size_t i = 0; i < session->dims.table.count; i++) {
        mls__dim *dim = mls__dims_at(&session->dims, i);
        if (dim->value < 0)
            dim->value = 1;
        if (dim->planned < dim->value)
            dim->planned = dim->value;
    }
    fix_decisive_dims(session);
}

static bool is_below_maximum(const mls_session *session)
{
    for (size_t i = 0; i < session->dims.table.count; i++) {
        const mls__dim *dim = mls__dims_at(&session->dims, i);
        if (dim->value < dim->planned)
            return true;
    }
    return false;
}

static bool is_past_maximum(const mls_session *session)
{
    for (size_t i = 0; i < session->dims.table.count; i++) {
        const mls__dim *dim = mls__dims_at(&session->dims, i);
        if (dim->value > dim->planned)
            return true;
    }
    return false;
}

static void drop_plan(mls_session *session)
{
    if (session->is_planned)
        mls__plan_clear(&session->plan);
    session->is_planned = false;
}

static void point_ports(mls_session *session)
{
    mls__plan *plan = &session->plan;
    for (size_t i = 0; i < plan->graph->inputs.count; i++)
        if (session->inputs[i].data)
            mls__plan_point(&plan->inputs[i], session->inputs[i].data);
    for (size_t i = 0; i < plan->graph->outputs.count; i++)
        if (session->outputs[i].data)
            mls__plan_point(&plan->outputs[i], session->outputs[i].data);
}

static mls_status build_plan(mls_session *session)
{
    drop_plan(session);
    mls__session_settle_dims(session);
    mls_status status = mls__session_describe_inputs(session, true);
    if (!status)
        status = mls__plan_build(&session->plan, session->plan_inputs);
    if (status)
        return status;
    session->is_planned = true;
    point_ports(session);
    return MLS_OK;
}

static mls_status follow_dims(mls_session *session)
{
    mls_status status = mls__session_describe_inputs(session, false);
    if (!status)
        status = mls__plan_reshape(&session->plan, session->plan_inputs);
    if (!status)
        point_ports(session);
    return status;
}

/* Dims for which the maximum does not bound everything get a plan of their own. */
static mls_status build_for_present(mls_session *session)
{
    for (size_t i = 0; i < session->dims.table.count; i++) {
        mls__dim *dim = mls__dims_at(&session->dims, i);
        dim->planned = dim->value;
    }
    return build_plan(session);
}

mls_status mls__session_settle(mls_session *session)
{
    if (session->flow)
        return mls__session_settle_flow(session);
    if (session->is_settled)
        return MLS_OK;
    mls_status status = MLS_OK;
    const bool is_new = !session->is_planned || is_past_maximum(session);
    if (is_new && session->is_sealed)
        return mls__error(MLS_ESTATE, "the session is sealed, and these dims need another plan");
    if (is_new)
        status = build_plan(session);
    if (!status && (!is_new || is_below_maximum(session))) {
        status = follow_dims(session);
        if (status == MLS_ELIMIT && !session->is_sealed)
            status = build_for_present(session);
    }
    if (status) {
        drop_plan(session);
        return status;
    }
    session->is_settled = true;
    session->is_checked = false;
    return MLS_OK;
}

mls_status mls_session_plan(mls_session *session)
{
    return mls__session_settle(session);
}

mls_status mls_session_set_dim(mls_session *session, const char *name, int64_t value)
{
    mls__dim *dim;
    const mls_status status = mls__dims_find(&session->dims, name, &dim);
    if (status)
        return status;
    if (value < 0)
        return mls__error(MLS_EINVAL, "dimension '%.200s' cannot be %lld", name, (long long) value);
    if (dim->value == value)
        return MLS_OK;
    dim->value = value;
    session->is_settled = false;
    return MLS_OK;
}
