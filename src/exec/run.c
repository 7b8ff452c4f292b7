/* SPDX-License-Identifier: Apache-2.0 */
/* The run: a walk over prepared calls. Everything rare is out of its way. */
#include "exec/session.h"

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
    mls_status status = session->is_sealed ? mls__session_check_thread(session) : MLS_OK;
    if (!status)
        status = mls__session_settle(session);
    if (!status && !session->is_checked && !session->flow)
        status = mls__session_check_bindings(session);
    return status;
}

mls_status mls_session_run(mls_session *session)
{
    if (!session->is_settled || !session->is_checked || session->has_decisive ||
        session->is_sealed) {
        const mls_status status = make_ready(session);
        if (status)
            return status;
        if (session->is_seal_checked)
            return mls__session_run_checked(session);
        if (session->flow)
            return mls__session_run_flow(session);
    }
    return mls__plan_run(&session->plan, &session->control);
}

mls_status mls_session_run_until(mls_session *session, uint64_t deadline_ns)
{
    session->control.deadline_ns = deadline_ns ? deadline_ns : 1;
    const mls_status status = mls_session_run(session);
    session->control.deadline_ns = 0;
    return status;
}

void mls_session_cancel(mls_session *session)
{
    atomic_store_explicit(&session->control.is_cancelled, true, memory_order_relaxed);
}
