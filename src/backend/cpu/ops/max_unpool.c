/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MaxUnpool: elements go back to where MaxPool took them from, all else is 0. An index counts the
 * elements of the shape that the attributes imply, which lies at the start of a larger output.
 */
#include "backend/cpu/ops/families.h"
#include "op/pooling.h"

#include <inttypes.h>
#include <string.h>

typedef struct unpool_kernel {
    mls__cpu_kernel base;
    size_t size;    /* of an element */
    size_t y_index; /* of the call's buffers */
    int64_t count;
    int rank;
    int64_t implied[MLS_MAX_RANK], dims[MLS_MAX_RANK];
    int64_t implied_count, y_count;
} unpool_kernel;

/* The element of the output that element `index` of the implied shape is. */
static int64_t place_of(const unpool_kernel *k, int64_t index)
{
    int64_t place = 0, stride = 1;
    for (int d = k->rank - 1; d >= 0; d--) {
        place += index % k->implied[d] * stride;
        index /= k->implied[d];
        stride *= k->dims[d];
    }
    return place;
}

static mls_status unpool_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const unpool_kernel *k = (const unpool_kernel *) kernel;
    const char *x = call->buffers[0];
    const int64_t *indices = call->buffers[1];
    char *y = call->buffers[k->y_index];
    if (k->y_count)
        memset(y, 0, (size_t) k->y_count * k->size);
    for (int64_t i = 0; i < k->count; i++) {
        if (indices[i] < 0 || indices[i] >= k->implied_count)
            return mls__cpu_run_error(kernel, MLS_ERANGE,
                                      "index %" PRId64 " at %" PRId64
                                      " of input 1 is outside [0, %" PRId64 ")",
                                      indices[i], i, k->implied_count);
        memcpy(y + (size_t) place_of(k, indices[i]) * k->size, x + (size_t) i * k->size, k->size);
    }
    return MLS_OK;
}

static mls_status unpool_reshape(mls_kernel *kernel, const mls_op *op)
{
    unpool_kernel *k = (unpool_kernel *) kernel;
    const mls_arg *x = &op->inputs[0], *y = &op->outputs[0];
    mls__pooling g;
    const mls_status status = mls__op_unpooling(op, &g);
    if (status)
        return status;
    k->count = mls__arg_count(x);
    k->rank = x->rank;
    k->implied_count = g.planes;
    for (int d = 0; d < x->rank; d++) {
        k->implied[d] = d < 2 ? x->dims[d] : g.axes[d - 2].output;
        k->implied_count *= d < 2 ? 1 : k->implied[d];
        k->dims[d] = y->dims[d];
    }
    k->y_count = mls__arg_count(y);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    unpool_kernel *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "max_unpool", unpool_run, &k);
    if (status)
        return status;
    k->base.base.reshape = unpool_reshape;
    k->size = mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    k->y_index = op->input_count;
    *ret_kernel = &k->base.base;
    return unpool_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_max_unpool = {
    {"", "MaxUnpool", create, 0},
    {.type = NULL},
};
