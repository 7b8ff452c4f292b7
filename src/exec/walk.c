/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a plan's steps: prepared calls, and a look at whether to go on. */
#include "exec/plan.h"

#include "base/clock.h"
#include "base/error.h"

static bool is_cancelled(const mls__run_control *control)
{
    return atomic_load_explicit(&control->is_cancelled, memory_order_relaxed);
}

mls_status mls__run_control_check(mls__run_control *control)
{
    if (is_cancelled(control)) {
        atomic_store_explicit(&control->is_cancelled, false, memory_order_relaxed);
        return mls__error(MLS_ECANCELLED, "the run was cancelled");
    }
    if (control->deadline_ns && mls__clock_monotonic_ns() >= control->deadline_ns)
        return mls__error(MLS_EDEADLINE, "the deadline passed before the run was done");
    return MLS_OK;
}

static mls_status walk(const mls__plan *plan, mls__run_control *control)
{
    const mls__run_step *end = plan->run_steps + plan->run_count;
    for (const mls__run_step *step = plan->run_steps; step < end; step++) {
        if (is_cancelled(control))
            return mls__run_control_check(control);
        const mls_status status = step->run(step->kernel, &step->call);
        if (status)
            return status;
    }
    return MLS_OK;
}

/* With a deadline, or measured. */
static mls_status walk_watched(const mls__plan *plan, mls__run_control *control)
{
    for (size_t i = 0; i < plan->run_count; i++) {
        const mls__run_step *step = &plan->run_steps[i];
        mls_status status = mls__run_control_check(control);
        if (status)
            return status;
        const uint64_t start = mls__clock_monotonic_ns();
        status = step->run(step->kernel, &step->call);
        if (status)
            return status;
        if (plan->flags & MLS_SESSION_PROFILE) {
            step->step->time_ns += mls__clock_monotonic_ns() - start;
            step->step->runs++;
        }
    }
    return MLS_OK;
}

mls_status mls__plan_run(const mls__plan *plan, mls__run_control *control)
{
    if ((plan->flags & MLS_SESSION_PROFILE) || control->deadline_ns)
        return walk_watched(plan, control);
    return walk(plan, control);
}
