/* SPDX-License-Identifier: Apache-2.0 */
/* Pools, over windows and whole planes, and what undoes them. */
#include "graph/schema/families.h"

#include "op/pooling.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))
#define BYTES  (BIT(MLS_INT8) | BIT(MLS_UINT8))

static const char *const float_words = "a float of 16 bits or more";

static mls_status set_pooled(const mls_op *op, const mls__pooling *g, int32_t dtype,
                             mls_arg *ret_output)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < 2 ? x->dims[d] : g->axes[d - 2].output;
    return mls__infer_set(op, ret_output, dtype, x->rank, dims);
}

static mls_status infer_max_pool(const mls_op *op, mls_arg *ret_outputs)
{
    mls__pooling g;
    mls_status status =
        mls__infer_dtype(op, 0, FLOATS | BYTES, "a float of 16 bits or more, int8 or uint8");
    if (!status)
        status = mls__op_pooling(op, &g);
    if (!status)
        status = set_pooled(op, &g, op->inputs[0].dtype, &ret_outputs[0]);
    if (!status && op->output_count > 1)
        status = set_pooled(op, &g, MLS_INT64, &ret_outputs[1]);
    return status;
}

static mls_status infer_average_pool(const mls_op *op, mls_arg *ret_outputs)
{
    mls__pooling g;
    mls_status status = mls__infer_dtype(op, 0, FLOATS, float_words);
    if (!status)
        status = mls__op_pooling(op, &g);
    return status ? status : set_pooled(op, &g, op->inputs[0].dtype, &ret_outputs[0]);
}

static mls_status check_power(const mls_op *op)
{
    const int64_t p = mls__op_int(op, "p", 2);
    return p > 0 ? MLS_OK
                 : mls__op_error(op, MLS_EINVAL, "p is %" PRId64 ", expected 1 or more", p);
}

static mls_status infer_lp_pool(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = check_power(op);
    return status ? status : infer_average_pool(op, ret_outputs);
}

/* --- over whole planes ----------------------------------------------------------------------- */

static mls_status infer_global(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__infer_dtype(op, 0, FLOATS, float_words);
    if (status)
        return status;
    if (x->rank < 2)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected at least 2",
                             x->rank);
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < 2 ? x->dims[d] : 1;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

static mls_status infer_global_lp(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = check_power(op);
    return status ? status : infer_global(op, ret_outputs);
}

/* --- MaxUnpool ------------------------------------------------------------------------------- */

/* The dims in input 2, where the implied ones must fit. */
static mls_status read_shape(const mls_op *op, const mls_arg *implied, int64_t *ret_dims)
{
    size_t count;
    bool is_given;
    const mls_status status = mls__op_known_ints(op, 2, ret_dims, MLS_MAX_RANK, &count, &is_given);
    if (status)
        return status;
    if (!is_given) {
        memcpy(ret_dims, implied->dims, sizeof implied->dims);
        return MLS_OK;
    }
    if (count != (size_t) implied->rank)
        return mls__op_error(op, MLS_ESHAPE, "input 2 has %zu dims, expected %d", count,
                             implied->rank);
    for (int d = 0; d < implied->rank; d++)
        if (ret_dims[d] < implied->dims[d])
            return mls__op_error(op, MLS_ESHAPE,
                                 "dim %d of input 2 is %" PRId64 ", expected %" PRId64 " or more",
                                 d, ret_dims[d], implied->dims[d]);
    return MLS_OK;
}

static mls_status infer_max_unpool(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0], *indices = &op->inputs[1];
    int64_t dims[MLS_MAX_RANK];
    mls__pooling g;
    mls_arg implied;
    mls_status status = mls__infer_dtype(op, 0, FLOATS | BYTES, "a float, int8 or uint8");
    if (!status)
        status = mls__infer_dtype(op, 1, BIT(MLS_INT64), "int64");
    if (!status && !mls__shape_equal(x->rank, x->dims, indices->rank, indices->dims))
        status = mls__op_error(op, MLS_ESHAPE,
                               "inputs 0 and 1 have other shapes; they must be "
                               "equal");
    if (!status)
        status = mls__op_unpooling(op, &g);
    if (!status)
        status = set_pooled(op, &g, x->dtype, &implied);
    if (!status)
        status = read_shape(op, &implied, dims);
    return status ? status : mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

#define POOL                                                                                       \
    "auto_pad:string ceil_mode:int dilations:ints kernel_shape:ints! pads:ints strides:ints"

mls__op_schema_table mls__schemas_pooling = {
    {"", "MaxPool", 1, 1, 1, 2, 0, 0, infer_max_pool, POOL " storage_order:int"},
    {"", "AveragePool", 1, 1, 1, 1, 0, 0, infer_average_pool, POOL " count_include_pad:int"},
    {"", "LpPool", 1, 1, 1, 1, 0, 0, infer_lp_pool, POOL " p:int"},
    {"", "GlobalAveragePool", 1, 1, 1, 1, 0, 0, infer_global, NULL},
    {"", "GlobalMaxPool", 1, 1, 1, 1, 0, 0, infer_global, NULL},
    {"", "GlobalLpPool", 1, 1, 1, 1, 0, 0, infer_global_lp, "p:int"},
    {"", "MaxUnpool", 2, 3, 1, 1, 0, 1u << 2, infer_max_unpool,
     "kernel_shape:ints! pads:ints strides:ints"},
    {.type = NULL},
};
