/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MeanVarianceNormalization, along any axes. Means are ReduceMean's, whose kernel this one holds;
 * the variance is the mean of the squares of x less its mean.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "op/reduction.h"

#include <string.h>

/* What is added to the standard deviation. */
#define EPSILON 1e-9

typedef struct mvn_kernel {
    mls__cpu_kernel base;
    int32_t dtype;
    size_t size; /* of an element of the computation */
    mls__number epsilon;
    mls_kernel *means;
    int64_t axes[MLS_MAX_RANK];
    int64_t axis_count;
    mls_arg x, mean; /* in the type of the computation */
    uint64_t x_offset, stretched_offset, mean_offset, means_offset; /* in the workspace */
} mvn_kernel;

static void binary(const mvn_kernel *k, mls__binary_op op, void *y, const void *a, const void *b)
{
    mls__float_binary(k->base.cpu, k->x.dtype, op, y, a, 1, b, 1, mls__arg_count(&k->x));
}

static mls_status take_means(const mvn_kernel *k, const mls_kernel_call *call, void *x,
                             void *ret_means)
{
    union {
        const int64_t *axes;
        void *buffer;
    } axes = {.axes = k->axes};
    void *const buffers[] = {x, axes.buffer, ret_means};
    const mls_kernel_call inner = {
        .buffers = buffers,
        .workspace = (char *) call->workspace + k->means_offset,
        .parallel_for = call->parallel_for,
        .executor = call->executor,
    };
    return k->means->run(k->means, &inner);
}

static mls_status normalize(const mvn_kernel *k, const mls_kernel_call *call, void *x, void *y)
{
    const mls__cpu *cpu = k->base.cpu;
    void *means = (char *) call->workspace + k->mean_offset;
    void *stretched = (char *) call->workspace + k->stretched_offset;
    const int64_t mean_count = mls__arg_count(&k->mean);
    mls_status status = take_means(k, call, x, means);
    if (status)
        return status;
    mls__float_stretch(cpu, &k->x, stretched, &k->mean, means);
    binary(k, MLS__BINARY_SUB, y, x, stretched);
    binary(k, MLS__BINARY_MUL, stretched, y, y);
    status = take_means(k, call, stretched, means);
    if (status)
        return status;
    mls__float_unary(cpu, k->x.dtype, MLS__UNARY_SQRT, means, means, mean_count);
    mls__float_binary(cpu, k->x.dtype, MLS__BINARY_ADD, means, means, 1, &k->epsilon, 0,
                      mean_count);
    mls__float_stretch(cpu, &k->x, stretched, &k->mean, means);
    binary(k, MLS__BINARY_DIV, y, y, stretched);
    return MLS_OK;
}

static mls_status mvn_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mvn_kernel *k = (const mvn_kernel *) kernel;
    const int64_t count = mls__arg_count(&k->x);
    void *x = call->buffers[0], *y = call->buffers[1];
    if (!count)
        return MLS_OK;
    if (k->dtype == k->x.dtype)
        return normalize(k, call, x, y);
    void *wide = (char *) call->workspace + k->x_offset;
    mls__float_convert(k->base.cpu, k->x.dtype, wide, k->dtype, x, count);
    const mls_status status = normalize(k, call, wide, wide);
    mls__float_convert(k->base.cpu, k->dtype, y, k->x.dtype, wide, count);
    return status;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status read_dims(mvn_kernel *k, const mls_op *op)
{
    bool reduced[MLS_MAX_RANK];
    const mls_status status = mls__op_normalized(op, reduced);
    if (status)
        return status;
    k->x = op->inputs[0];
    k->x.dtype = mls__work_dtype(k->dtype);
    k->mean = k->x;
    k->axis_count = 0;
    for (int i = 0; i < k->x.rank; i++)
        if (reduced[i]) {
            k->axes[k->axis_count++] = i;
            k->mean.dims[i] = 1;
        }
    return MLS_OK;
}

/* ReduceMean of what is computed; `inputs` holds it. Without axes nothing is reduced. */
static mls_op means_op(const mvn_kernel *k, const mls_op *op, mls_arg inputs[2])
{
    static const mls_attr attrs[] = {
        {.name = "noop_with_empty_axes", .type = MLS_ATTR_INT, .i = 1, .count = 1}};
    inputs[0] = k->x;
    inputs[0].data = NULL;
    inputs[0].weight_id = 0;
    inputs[1] = (mls_arg){.dtype = MLS_INT64, .rank = 1, .dims = {k->axis_count}, .data = k->axes};
    mls_op means = *op;
    means.domain = "";
    means.type = "ReduceMean";
    means.attrs = attrs;
    means.attr_count = 1;
    means.inputs = inputs;
    means.input_count = 2;
    means.outputs = &k->mean;
    means.output_count = 1;
    return means;
}

static mls_status mvn_reshape(mls_kernel *kernel, const mls_op *op)
{
    mvn_kernel *k = (mvn_kernel *) kernel;
    mls_arg inputs[2];
    const mls_status status = read_dims(k, op);
    if (status)
        return status;
    const mls_op means = means_op(k, op, inputs);
    return k->means->reshape(k->means, &means);
}

static mls_status create_means(mvn_kernel *k, const mls_op *op)
{
    mls_arg inputs[2];
    const mls_op means = means_op(k, op, inputs);
    const mls__cpu_op *row = mls__cpu_ops_reduction;
    while (strcmp(row->type, means.type) != 0)
        row++;
    return row->create(k->base.cpu, &means, &k->means);
}

static mls_status plan_workspace(mvn_kernel *k, const mls_op *op)
{
    const int64_t count = mls__arg_count(&k->x), wide = k->dtype == k->x.dtype ? 0 : count;
    size_t bytes = 0;
    if (!mls__work_region(&bytes, wide, k->size, &k->x_offset) ||
        !mls__work_region(&bytes, count, k->size, &k->stretched_offset) ||
        !mls__work_region(&bytes, mls__arg_count(&k->mean), k->size, &k->mean_offset) ||
        !mls__work_region(&bytes, (int64_t) k->means->workspace_bytes, 1, &k->means_offset))
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static void mvn_free(mls_kernel *kernel)
{
    mvn_kernel *k = (mvn_kernel *) kernel;
    if (k->means)
        k->means->free(k->means);
    mls__cpu_kernel_free(kernel);
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    static const double epsilon = EPSILON;
    mvn_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "norm", mvn_run, &k);
    if (status)
        return status;
    k->base.base.reshape = mvn_reshape;
    k->base.base.free = mvn_free;
    k->dtype = op->inputs[0].dtype;
    const int32_t work_dtype = mls__work_dtype(k->dtype);
    k->size = mls_dtype_size((mls_dtype) work_dtype);
    mls__float_convert(cpu, work_dtype, &k->epsilon, MLS_FLOAT64, &epsilon, 1);
    status = read_dims(k, op);
    if (!status)
        status = create_means(k, op);
    if (!status)
        status = plan_workspace(k, op);
    if (status) {
        mvn_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_mvn = {
    {"", "MeanVarianceNormalization", create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
