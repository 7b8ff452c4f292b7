/* SPDX-License-Identifier: Apache-2.0 */
/* What a seal asks a flow: what memory its runs touch, and whether they ask for more. */
#include "exec/flow/flow.h"

const mls__flow_step *mls__flow_find_allocating(const mls__flow *flow)
{
    for (size_t i = 0; i < flow->step_count; i++) {
        const mls__flow_step *step = &flow->steps[i];
        if (!step->host)
            continue;
        if (step->host->allocates)
            return step;
        for (size_t k = 0; k < step->node->body_count; k++) {
            const mls__flow_step *found = mls__flow_find_allocating(step->bodies[k]);
            if (found)
                return found;
        }
    }
    return NULL;
}

static void visit_step(const mls__flow_step *step, mls__memory_visit visit,
                       mls__memory_visit kernel, void *arg)
{
    if (step->segment) {
        mls__segment_visit(step->segment, visit, kernel, arg);
        return;
    }
    for (size_t i = 0; i < step->node->body_count; i++)
        mls__flow_visit(step->bodies[i], visit, kernel, arg);
}

void mls__flow_visit(const mls__flow *flow, mls__memory_visit visit, mls__memory_visit kernel,
                     void *arg)
{
    visit(arg, (void *) (uintptr_t) flow, sizeof *flow);
    mls__arena_visit(&flow->arena, visit, arg);
    for (size_t i = 0; i < flow->step_count; i++)
        visit_step(&flow->steps[i], visit, kernel, arg);
}
