/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on images: [batch, channels, height, width], mostly of any number of dimensions. */
#include "graph/schema/families.h"

#include "op/resize.h"

#include <inttypes.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))

static mls_status infer_resize(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__resize resize;
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__op_resize(op, &resize);
    if (status)
        return status;
    if (mls__op_int(op, "antialias", 0) && resize.mode == MLS__RESIZE_NEAREST)
        return mls__op_error(op, MLS_EINVAL, "antialias goes with linear and cubic only");
    for (int i = 0; i < x->rank; i++)
        dims[i] = resize.axes[i].out;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

mls__op_schema_table mls__schemas_image = {
    {"", "Resize", 1, 4, 1, 1, 0, 0xeu, infer_resize},
    {.type = NULL},
};
