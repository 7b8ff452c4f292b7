/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that make a tensor from attributes, dims and scalars. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/copy.h"

#include <math.h>
#include <string.h>

/* --- Shape, Size ------------------------------------------------------------------------------ */

typedef struct dims_kernel {
    mls__cpu_kernel base;
    size_t count;
    int64_t values[MLS_MAX_RANK];
} dims_kernel;

static mls_status run_dims(const mls_kernel *base, const mls_kernel_call *call)
{
    const dims_kernel *kernel = (const dims_kernel *) base;
    if (kernel->count)
        memcpy(call->buffers[1], kernel->values, kernel->count * sizeof *kernel->values);
    return MLS_OK;
}

static mls_status plan_shape(mls_kernel *base, const mls_op *op)
{
    dims_kernel *kernel = (dims_kernel *) base;
    const mls_arg *input = &op->inputs[0];
    const int64_t asked = mls__op_int(op, "start", 0);
    const int64_t start = asked < -(int64_t) input->rank ? 0
                          : asked < 0                    ? asked + input->rank
                                                         : asked;
    kernel->count = (size_t) op->outputs[0].dims[0];
    for (size_t i = 0; i < kernel->count; i++)
        kernel->values[i] = input->dims[(size_t) start + i];
    return MLS_OK;
}

static mls_status plan_size(mls_kernel *base, const mls_op *op)
{
    dims_kernel *kernel = (dims_kernel *) base;
    kernel->count = 1;
    kernel->values[0] = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static mls_status create_dims(const mls__cpu *cpu, const mls_op *op, const char *name,
                              mls_status (*plan)(mls_kernel *, const mls_op *),
                              mls_kernel **ret_kernel)
{
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof(dims_kernel), name, run_dims, ret_kernel);
    if (status)
        return status;
    (*ret_kernel)->reshape = plan;
    return plan(*ret_kernel, op);
}

static mls_status create_shape(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create_dims(cpu, op, "shape", plan_shape, ret_kernel);
}

static mls_status create_size(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create_dims(cpu, op, "size", plan_size, ret_kernel);
}

/* --- ConstantOfShape -------------------------------------------------------------------------- */

typedef struct constant {
    mls__cpu_kernel base;
    mls__copy copy; /* of the one element, to all */
    char element[sizeof(mls_string)];
} constant;

static mls_status run_constant(const mls_kernel *base, const mls_kernel_call *call)
{
    const constant *kernel = (const constant *) base;
    mls__copy_run(&kernel->copy, call, call->buffers[1], kernel->element);
    return MLS_OK;
}

static mls_status plan_constant(mls_kernel *base, const mls_op *op)
{
    constant *kernel = (constant *) base;
    const mls_arg *output = &op->outputs[0];
    mls__copy_begin(&kernel->copy, mls_dtype_size((mls_dtype) output->dtype));
    mls__copy_loop(&kernel->copy, mls__arg_count(output), 1, 0);
    mls__copy_end(&kernel->copy, op->threads);
    return MLS_OK;
}

static mls_status create_constant(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const mls_tensor *value = mls__op_tensor(op, "value");
    constant *kernel;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "constant_of_shape", run_constant, &kernel);
    if (status)
        return status;
    if (value) /* else float32 0, which the kernel's memory holds already */
        memcpy(kernel->element, mls_tensor_data(value), mls_dtype_size(mls_tensor_dtype(value)));
    kernel->base.base.reshape = plan_constant;
    *ret_kernel = &kernel->base.base;
    return plan_constant(*ret_kernel, op);
}

/* --- Range ------------------------------------------------------------------------------------ */

typedef struct range {
    mls__cpu_kernel base;
    int32_t dtype;
    size_t element_size;
    int64_t count;
} range;

/* Elements [begin, begin + n): each is start + i * delta, whatever came before it. */
static void fill_range(mls__wide_kind kind, const mls__wide *start, const mls__wide *delta,
                       int64_t begin, int64_t n, mls__wide *ret_wide)
{
    /* Unsigned: it wraps in elements that do not exist only. */
    const uint64_t first = start->u[0], step = delta->u[0];
    if (kind == MLS__WIDE_FLOAT)
        for (int64_t i = 0; i < n; i++)
            ret_wide->f[i] = fma((double) (begin + i), delta->f[0], start->f[0]);
    else
        for (int64_t i = 0; i < n; i++)
            ret_wide->u[i] = first + (uint64_t) (begin + i) * step;
}

static mls_status run_range(const mls_kernel *base, const mls_kernel_call *call)
{
    static const mls__cast_rules rules;
    const range *kernel = (const range *) base;
    const mls__wide_kind kind = mls__wide_kind_of(kernel->dtype);
    char *output = call->buffers[3];
    mls__wide start, delta, block;
    mls__widen(kernel->dtype, &start, call->buffers[0], 1);
    mls__widen(kernel->dtype, &delta, call->buffers[2], 1);
    for (int64_t i = 0; i < kernel->count; i += MLS__BLOCK) {
        const int64_t left = kernel->count - i, n = left < MLS__BLOCK ? left : MLS__BLOCK;
        fill_range(kind, &start, &delta, i, n, &block);
        mls__narrow(kernel->dtype, kind, &block, output + (size_t) i * kernel->element_size, n,
                    &rules);
    }
    return MLS_OK;
}

static mls_status plan_range(mls_kernel *base, const mls_op *op)
{
    ((range *) base)->count = op->outputs[0].dims[0];
    return MLS_OK;
}

static mls_status create_range(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    range *kernel;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "range", run_range, &kernel);
    if (status)
        return status;
    kernel->dtype = op->inputs[0].dtype;
    kernel->element_size = mls_dtype_size((mls_dtype) kernel->dtype);
    kernel->base.base.reshape = plan_range;
    *ret_kernel = &kernel->base.base;
    return plan_range(*ret_kernel, op);
}

const mls__cpu_op mls__cpu_ops_generate[] = {
    {"", "Shape", create_shape, 0},
    {"", "Size", create_size, 0},
    {"", "ConstantOfShape", create_constant, 0},
    {"", "Range", create_range, 0},
    {0},
};
