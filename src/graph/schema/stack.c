/* SPDX-License-Identifier: Apache-2.0 */
/* ConvStack: each of its stages is inferred as the op that it is. */
#include "graph/schema/families.h"

#include "op/stack.h"

static mls_status infer_stack(const mls_op *op, mls_arg *ret_outputs)
{
    mls__stack stack;
    mls_arg x = op->inputs[0];
    mls_status status = mls__stack_read(op, &stack);
    for (int i = 0; !status && i < stack.count; i++) {
        mls__stage_view view;
        mls_arg result;
        mls__stack_view_stage(&stack, i, op, &x, &view);
        status = mls__op_schema_find(view.op.domain, view.op.type)->infer(&view.op, &result);
        if (!status)
            x = result;
    }
    if (!status)
        ret_outputs[0] = x;
    return status;
}

/* Those of any op that may be a stage. */
#define STAGES                                                                                     \
    "activation:string activation_alpha:float activation_beta:float auto_pad:string "              \
    "ceil_mode:int channels:int count_include_pad:int dilations:ints group:int "                   \
    "kernel_shape:ints pads:ints storage_order:int strides:ints x_blocked:int x_wide:int "         \
    "y_blocked:int y_wide:int"

mls__op_schema_table mls__schemas_stack = {
    {"mlscale", MLS__STACK_TYPE, 1, MLS__STACK_INPUTS, 1, 1, 0, 0, infer_stack,
     "stages:strings! program:ints! " STAGES},
    {.type = NULL},
};
