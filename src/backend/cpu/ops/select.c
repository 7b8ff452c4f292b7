/* SPDX-License-Identifier: Apache-2.0 */
/* NonZero and Compress: how much they give is known once they have run. */
#include "backend/cpu/ops/families.h"

#include "tensor/tensor.h"

#include <string.h>

/* --- NonZero --------------------------------------------------------------------------------- */

typedef struct non_zero {
    mls__cpu_kernel base;
    bool (*is_set)(const void *x, int64_t i);
    int rank;
    int64_t count, dims[MLS_MAX_RANK];
} non_zero;

/* An element whose bits under the mask are not all 0: the sign of a zero does not count. */
#define IS_SET(name, T, mask)                                                                      \
    static bool name(const void *x, int64_t i)                                                     \
    {                                                                                              \
        return (((const T *) x)[i] & (mask)) != 0;                                                 \
    }

IS_SET(is_set_8, uint8_t, UINT8_MAX)
IS_SET(is_set_16, uint16_t, UINT16_MAX)
IS_SET(is_set_32, uint32_t, UINT32_MAX)
IS_SET(is_set_64, uint64_t, UINT64_MAX)
IS_SET(is_set_half, uint16_t, 0x7fff)
IS_SET(is_set_f32, uint32_t, 0x7fffffff)
IS_SET(is_set_f64, uint64_t, UINT64_MAX >> 1)

static bool is_set_string(const void *x, int64_t i)
{
    return ((const mls_string *) x)[i].size != 0;
}

static bool (*is_set_of(int32_t dtype))(const void *, int64_t)
{
    switch (dtype) {
    case MLS_STRING:
        return is_set_string;
    case MLS_FLOAT16:
    case MLS_BFLOAT16:
        return is_set_half;
    case MLS_FLOAT32:
        return is_set_f32;
    case MLS_FLOAT64:
        return is_set_f64;
    default:
        break;
    }
    const size_t size = mls_dtype_size((mls_dtype) dtype);
    return size == 1 ? is_set_8 : size == 2 ? is_set_16 : size == 4 ? is_set_32 : is_set_64;
}

/* The coordinates of element i in a column of y, whose rows have `columns`. */
static void put_coordinates(const non_zero *k, int64_t *y, int64_t columns, int64_t i)
{
    for (int d = k->rank - 1; d >= 0; d--) {
        y[d * columns] = i % k->dims[d];
        i /= k->dims[d];
    }
}

static mls_status non_zero_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const non_zero *k = (const non_zero *) base;
    const void *x = call->buffers[0];
    int64_t *y = call->buffers[1], columns = 0, column = 0;
    for (int64_t i = 0; i < k->count; i++)
        columns += k->is_set(x, i);
    for (int64_t i = 0; i < k->count; i++)
        if (k->is_set(x, i))
            put_coordinates(k, y + column++, columns, i);
    call->output_dims[0][0] = k->rank;
    call->output_dims[0][1] = columns;
    return MLS_OK;
}

static mls_status non_zero_reshape(mls_kernel *base, const mls_op *op)
{
    non_zero *k = (non_zero *) base;
    const mls_arg *x = &op->inputs[0];
    k->rank = x->rank;
    k->count = mls__arg_count(x);
    memcpy(k->dims, x->dims, sizeof k->dims);
    return MLS_OK;
}

static mls_status create_non_zero(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    non_zero *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "non_zero", non_zero_run, &k);
    if (status)
        return status;
    k->base.base.reshape = non_zero_reshape;
    k->is_set = is_set_of(op->inputs[0].dtype);
    *ret_kernel = &k->base.base;
    return non_zero_reshape(*ret_kernel, op);
}

/* --- Compress -------------------------------------------------------------------------------- */

typedef struct compress {
    mls__cpu_kernel base;
    int rank; /* of the output */
    int axis;
    int64_t dims[MLS_MAX_RANK]; /* of the output, but for the axis */
    int64_t outer, n, asked;    /* slabs, rows of each, conditions for these */
    int64_t row;                /* bytes */
} compress;

static mls_status compress_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const compress *k = (const compress *) base;
    const char *x = call->buffers[0];
    const uint8_t *condition = call->buffers[1];
    char *y = call->buffers[2];
    int64_t kept = 0;
    for (int64_t i = 0; i < k->asked; i++)
        kept += condition[i] != 0;
    for (int64_t o = 0; k->row && o < k->outer; o++, x += k->n * k->row)
        for (int64_t i = 0; i < k->asked; i++)
            if (condition[i]) {
                memcpy(y, x + i * k->row, (size_t) k->row);
                y += k->row;
            }
    memcpy(call->output_dims[0], k->dims, (size_t) k->rank * sizeof *k->dims);
    call->output_dims[0][k->axis] = kept;
    return MLS_OK;
}

static mls_status compress_reshape(mls_kernel *base, const mls_op *op)
{
    compress *k = (compress *) base;
    const mls_arg *x = &op->inputs[0], *y = &op->outputs[0];
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) x->dtype);
    const bool has_axis = mls__op_attr(op, "axis") != NULL;
    k->axis = 0;
    if (has_axis) {
        const mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), x->rank, &k->axis);
        if (status)
            return status;
    }
    k->rank = y->rank;
    memcpy(k->dims, y->dims, sizeof k->dims);
    k->asked = y->dims[k->axis];
    k->outer = has_axis ? mls__arg_span(x, 0, k->axis) : 1;
    k->n = has_axis ? x->dims[k->axis] : mls__arg_count(x);
    k->row = has_axis ? mls__arg_span(x, k->axis + 1, x->rank) * size : size;
    return MLS_OK;
}

static mls_status create_compress(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof(compress), "compress", compress_run, ret_kernel);
    if (status)
        return status;
    (*ret_kernel)->reshape = compress_reshape;
    return compress_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_select = {
    {"", "NonZero", create_non_zero, 0},
    {"", "Compress", create_compress, 0},
    {.type = NULL},
};
