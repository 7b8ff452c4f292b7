/* SPDX-License-Identifier: Apache-2.0 */
/* FusedPointwise: each of its pieces is inferred as the op that it is. */
#include "graph/schema/families.h"

#include "op/pointwise.h"

#include <string.h>

static mls_status infer_pointwise(const mls_op *op, mls_arg *ret_outputs)
{
    mls__pointwise program;
    mls_arg values[MLS__POINTWISE_VALUES];
    mls_status status = mls__pointwise_read(op, &program);
    if (status)
        return status;
    if (op->input_count)
        memcpy(values, op->inputs, op->input_count * sizeof *values);
    mls_arg *result = values + program.inputs;
    for (int i = 0; i < program.count && !status; i++, result++) {
        mls__pointwise_view view;
        mls__pointwise_view_piece(&program, i, op, values, &view);
        status = mls__op_schema_find("", view.op.type)->infer(&view.op, result);
    }
    if (!status)
        ret_outputs[0] = result[-1];
    return status;
}

/* Those of any op that may be a piece. */
#define PIECES                                                                                     \
    "alpha:float approximate:string beta:float bias:float detect_negative:int "                    \
    "detect_positive:int direction:string fmod:int gamma:float lambd:float max:float min:float "   \
    "round_mode:string saturate:int to:int"

mls__op_schema_table mls__schemas_pointwise = {
    {"mlscale", MLS__POINTWISE_TYPE, 1, MLS__POINTWISE_INPUTS, 1, 1, 0, 0, infer_pointwise,
     "pieces:strings! program:ints! " PIECES},
    {.type = NULL},
};
