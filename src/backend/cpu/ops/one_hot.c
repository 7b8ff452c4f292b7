/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OneHot: all is `off`, then one element for each index is `on`. Indices are data; those out of
 * range, and NaN, mark nothing.
 */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/families.h"

#include <string.h>

typedef struct one_hot_kernel {
    mls__cpu_kernel base;
    mls__copy fill;
    int32_t dtype;               /* of the indices */
    int64_t index_size, size;    /* bytes of an index and of an element */
    int64_t count, inner, depth; /* indices, those behind the new axis, its length */
} one_hot_kernel;

/* The place along the axis that an index means, or -1. */
static int64_t place_of(mls__wide_kind kind, const mls__wide *wide, int64_t i, int64_t depth)
{
    int64_t index = wide->i[i];
    if (kind == MLS__WIDE_UINT && wide->u[i] > INT64_MAX)
        return -1;
    if (kind == MLS__WIDE_FLOAT) {
        if (!(wide->f[i] > -0x1p62 && wide->f[i] < 0x1p62))
            return -1;
        index = (int64_t) wide->f[i];
    }
    if (index < -depth || index >= depth)
        return -1;
    return index < 0 ? index + depth : index;
}

static void mark(const one_hot_kernel *k, char *y, const char *indices, const char *on)
{
    const mls__wide_kind kind = mls__wide_kind_of(k->dtype);
    for (int64_t i = 0; i < k->count; i += MLS__BLOCK) {
        const int64_t n = k->count - i < MLS__BLOCK ? k->count - i : MLS__BLOCK;
        mls__wide wide;
        mls__widen(k->dtype, &wide, indices + i * k->index_size, n);
        for (int64_t j = 0; j < n; j++) {
            const int64_t place = place_of(kind, &wide, j, k->depth);
            const int64_t outer = (i + j) / k->inner, inner = (i + j) % k->inner;
            const int64_t at = (outer * k->depth + place) * k->inner + inner;
            if (place >= 0)
                memcpy(y + at * k->size, on, (size_t) k->size);
        }
    }
}

static mls_status run_one_hot(const mls_kernel *base, const mls_kernel_call *call)
{
    const one_hot_kernel *k = (const one_hot_kernel *) base;
    const char *values = call->buffers[2];
    if (!k->count || !k->depth)
        return MLS_OK;
    mls__copy_run(&k->fill, call, call->buffers[3], values);
    mark(k, call->buffers[3], call->buffers[0], values + k->size);
    return MLS_OK;
}

static mls_status one_hot_reshape(mls_kernel *base, const mls_op *op)
{
    one_hot_kernel *k = (one_hot_kernel *) base;
    const mls_arg *y = &op->outputs[0];
    int axis;
    const mls_status status = mls__op_axis(op, mls__op_int(op, "axis", -1), y->rank, &axis);
    if (status)
        return status;
    k->count = mls__arg_count(&op->inputs[0]);
    k->depth = y->dims[axis];
    k->inner = mls__arg_span(y, axis + 1, y->rank);
    mls__copy_begin(&k->fill, (size_t) k->size);
    mls__copy_loop(&k->fill, mls__arg_count(y), 1, 0);
    mls__copy_end(&k->fill, op->threads);
    return MLS_OK;
}

static mls_status create_one_hot(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    one_hot_kernel *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "one_hot", run_one_hot, &k);
    if (status)
        return status;
    k->base.base.reshape = one_hot_reshape;
    k->dtype = op->inputs[0].dtype;
    k->index_size = (int64_t) mls_dtype_size((mls_dtype) k->dtype);
    k->size = (int64_t) mls_dtype_size((mls_dtype) op->outputs[0].dtype);
    *ret_kernel = &k->base.base;
    return one_hot_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_one_hot = {
    {"", "OneHot", create_one_hot, 0},
    {.type = NULL},
};
