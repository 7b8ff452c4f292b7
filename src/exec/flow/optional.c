/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on optionals. An optional is its element, or no object at all. */
#include "exec/flow/flow.h"

#include "op/op.h"

static mls_status hand_on(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *object = mls__flow_input(flow, step, 0);
    mls__flow_give(flow, step, 0, object ? mls__object_ref(object) : NULL);
    return MLS_OK;
}

static mls_status run_has_element(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *answer;
    const mls_status status = mls__flow_give_new(flow, step, 0, MLS_BOOL, 0, NULL, &answer);
    if (!status)
        *(uint8_t *) answer->data = mls__flow_input(flow, step, 0) != NULL;
    return status;
}

static mls_status run_get_element(mls__flow *flow, const mls__flow_step *step)
{
    if (!mls__flow_input(flow, step, 0))
        return mls__op_error(&step->op, MLS_ESTATE, "the optional is empty; it has no element");
    return hand_on(flow, step);
}

const mls__host_op mls__host_ops_optional[] = {
    {"", "Identity", hand_on, MLS_VALUE_OPTIONAL, false}, /* of what is no tensor */
    {"", "Optional", hand_on, MLS_VALUE_OPTIONAL, false},
    {"", "OptionalGetElement", run_get_element, MLS_VALUE_OPTIONAL, false},
    {"", "OptionalHasElement", run_has_element, MLS_VALUE_TENSOR, false},
    {NULL, NULL, NULL, 0, false},
};
