/* SPDX-License-Identifier: Apache-2.0 */
/* The run: a walk over prepared calls. Everything rare is out of its way. */
#include "exec/session.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"

#include <string.h>

/* The contents that shapes depend on may have changed since they were last looked at. */
static void notice_decisive(mls_session *session)
{
    for (size_t i = 0; i < session->plan.graph->inputs.count; i++) {
        const mls__port *port = &session->plan.inputs[i];
        const mls__binding *binding = &session->inputs[i];
        if (!port->baked || !binding->data || !port->baked_bytes)
            continue;
        if (memcmp(port->baked, binding->data, port->baked_bytes) != 0)
            session->is_settled = false;
    }
}

/* Whatever must be true before the walk and seldom is not. */
static mls_status make_ready(mls_session *session)
{
    if (session->has_decisive && session->is_planned && session->is_settled)
        notice_decisive(session);
    mls_status status = mls__session_settle(session);
    if (!status && !session->is_checked)
        status = mls__session_check_bindings(session);
    return status;
}

static mls_status run_profiled(const mls__plan *plan)
{
    for (size_t i = 0; i < plan->run_count; i++) {
        const mls__run_step *step = &plan->run_steps[i];
        const uint64_t start = mls__clock_monotonic_ns();
        const mls_status status = step->run(step->kernel, &step->call);
        if (status)
            return status;
        step->step->time_ns += mls__clock_monotonic_ns() - start;
        step->step->runs++;
    }
    return MLS_OK;
}

mls_status mls_session_run(mls_session *session)
{
    if (!session->is_settled || !session->is_checked || session->has_decisive) {
        const mls_status status = make_ready(session);
        if (status)
            return status;
    }
    const mls__plan *plan = &session->plan;
    if (plan->flags & MLS_SESSION_PROFILE)
        return run_profiled(plan);
    const mls__run_step *end = plan->run_steps + plan->run_count;
    for (const mls__run_step *step = plan->run_steps; step < end; step++) {
        const mls_status status = step->run(step->kernel, &step->call);
        if (status)
            return status;
    }
    return MLS_OK;
}

size_t mls_session_plan_bytes(const mls_session *session)
{
    return session->is_planned ? session->plan.block_bytes : 0;
}

size_t mls_session_step_count(const mls_session *session)
{
    return session->is_planned ? session->plan.run_count : 0;
}

mls_status mls_session_step_info(const mls_session *session, size_t index, mls_step_info *ret_info)
{
    if (index >= mls_session_step_count(session))
        return mls__error(MLS_EINVAL, "step %zu: the plan has %zu", index,
                          mls_session_step_count(session));
    const mls__step *step = session->plan.run_steps[index].step;
    const mls_step_info filled = {
        .size = sizeof filled,
        .op = step->op.type,
        .node = step->op.node,
        .kernel = step->kernel->name,
        .runs = step->runs,
        .time_ns = step->time_ns,
    };
    return mls__options_write("mls_step_info", &filled, sizeof filled, sizeof filled, ret_info);
}
