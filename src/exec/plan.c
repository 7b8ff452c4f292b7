/* SPDX-License-Identifier: Apache-2.0 */
/* Lifetime of a plan; infer.c and memory.c make its two halves. */
#include "exec/plan.h"

mls_status mls__plan_build(mls__plan *plan, const mls__plan_input *inputs)
{
    mls__arena_init(&plan->arena, &plan->model->context->allocator);
    mls_status status = mls__plan_infer(plan, inputs);
    if (!status)
        status = mls__plan_place(plan);
    if (status)
        mls__plan_clear(plan);
    return status;
}

void mls__plan_clear(mls__plan *plan)
{
    for (size_t i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kernel)
            plan->steps[i].kernel->free(plan->steps[i].kernel);
    mls__free(&plan->model->context->allocator, plan->block);
    mls__arena_clear(&plan->arena);
    *plan = (mls__plan){
        .model = plan->model,
        .graph = plan->graph,
        .backend = plan->backend,
        .flags = plan->flags,
        .numerics = plan->numerics,
        .share = plan->share,
        .arena = plan->arena,
        .no_alias = plan->no_alias,
        .no_parts = plan->no_parts,
    };
}

void mls__plan_point(mls__port *port, void *data)
{
    if (!data)
        data = port->own;
    for (size_t i = 0; i < port->fixup_count; i++)
        *port->fixups[i].buffer = (char *) data + port->fixups[i].offset;
}
