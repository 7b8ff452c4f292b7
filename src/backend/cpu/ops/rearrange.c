/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that are one strided copy from input 0 to output 0. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/copy.h"
#include "op/movement.h"
#include "tensor/shape.h"

typedef struct rearrange {
    mls__cpu_kernel base;
    mls__copy copy;
    int64_t offset; /* of the first source element, in bytes */
    size_t output;  /* its position among the buffers */
} rearrange;

static mls_status run_rearrange(const mls_kernel *base, const mls_kernel_call *call)
{
    const rearrange *kernel = (const rearrange *) base;
    if (kernel->copy.is_empty)
        return MLS_OK;
    const char *source = (const char *) call->buffers[0] + kernel->offset;
    mls__copy_run(&kernel->copy, call, call->buffers[kernel->output], source);
    return MLS_OK;
}

typedef mls_status (*plan_fn)(mls_kernel *kernel, const mls_op *op);

static mls_status create(const mls__cpu *cpu, const mls_op *op, const char *name, plan_fn plan,
                         mls_kernel **ret_kernel)
{
    rearrange *kernel;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, name, run_rearrange, &kernel);
    if (status)
        return status;
    mls_kernel *base = &kernel->base.base;
    kernel->output = op->input_count;
    base->reshape = plan;
    status = plan(base, op);
    if (status) {
        base->free(base);
        return status;
    }
    *ret_kernel = base;
    return MLS_OK;
}

/* Row-major strides of input 0 and output 0. False: there is nothing to copy. */
static bool begin(rearrange *kernel, const mls_op *op, int64_t *ret_source, int64_t *ret_target)
{
    const mls_arg *input = &op->inputs[0], *output = &op->outputs[0];
    mls__copy_begin(&kernel->copy, mls_dtype_size((mls_dtype) input->dtype));
    mls__shape_strides(input->rank, input->dims, ret_source);
    mls__shape_strides(output->rank, output->dims, ret_target);
    kernel->copy.is_empty = mls__arg_count(output) == 0;
    return !kernel->copy.is_empty;
}

static mls_status plan_transpose(mls_kernel *base, const mls_op *op)
{
    rearrange *kernel = (rearrange *) base;
    const mls_arg *output = &op->outputs[0];
    int64_t source[MLS_MAX_RANK], target[MLS_MAX_RANK];
    int perm[MLS_MAX_RANK];
    const mls_status status = mls__op_perm(op, perm);
    if (status || !begin(kernel, op, source, target))
        return status;
    for (int i = 0; i < output->rank; i++)
        mls__copy_loop(&kernel->copy, output->dims[i], target[i], source[perm[i]]);
    mls__copy_end(&kernel->copy, op->threads);
    return MLS_OK;
}

static mls_status plan_slice(mls_kernel *base, const mls_op *op)
{
    rearrange *kernel = (rearrange *) base;
    const mls_arg *output = &op->outputs[0];
    int64_t source[MLS_MAX_RANK], target[MLS_MAX_RANK], offset = 0;
    mls__slice slices[MLS_MAX_RANK];
    const mls_status status = mls__op_slices(op, slices);
    if (status || !begin(kernel, op, source, target))
        return status;
    for (int i = 0; i < output->rank; i++) {
        offset += slices[i].start * source[i];
        mls__copy_loop(&kernel->copy, output->dims[i], target[i], slices[i].step * source[i]);
    }
    mls__copy_end(&kernel->copy, op->threads);
    kernel->offset = offset * (int64_t) mls_dtype_size((mls_dtype) output->dtype);
    return MLS_OK;
}

static mls_status plan_expand(mls_kernel *base, const mls_op *op)
{
    rearrange *kernel = (rearrange *) base;
    const mls_arg *input = &op->inputs[0], *output = &op->outputs[0];
    int64_t source[MLS_MAX_RANK], target[MLS_MAX_RANK];
    if (!begin(kernel, op, source, target))
        return MLS_OK;
    for (int i = 0; i < output->rank; i++) {
        const int from = i - (output->rank - input->rank);
        const bool repeats = from < 0 || input->dims[from] == 1;
        mls__copy_loop(&kernel->copy, output->dims[i], target[i], repeats ? 0 : source[from]);
    }
    mls__copy_end(&kernel->copy, op->threads);
    return MLS_OK;
}

static mls_status plan_tile(mls_kernel *base, const mls_op *op)
{
    rearrange *kernel = (rearrange *) base;
    const mls_arg *input = &op->inputs[0], *output = &op->outputs[0];
    int64_t source[MLS_MAX_RANK], target[MLS_MAX_RANK];
    if (!begin(kernel, op, source, target))
        return MLS_OK;
    for (int i = 0; i < output->rank; i++) {
        const int64_t dim = input->dims[i], repeats = output->dims[i] / dim;
        mls__copy_loop(&kernel->copy, repeats, target[i] * dim, 0);
        mls__copy_loop(&kernel->copy, dim, target[i], source[i]);
    }
    mls__copy_end(&kernel->copy, op->threads);
    return MLS_OK;
}

static mls_status create_transpose(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, "transpose", plan_transpose, ret_kernel);
}

static mls_status create_slice(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, "slice", plan_slice, ret_kernel);
}

static mls_status create_expand(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, "expand", plan_expand, ret_kernel);
}

static mls_status create_tile(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, "tile", plan_tile, ret_kernel);
}

const mls__cpu_op mls__cpu_ops_rearrange[] = {
    {"", "Transpose", create_transpose, 0},
    {"", "Slice", create_slice, 0},
    {"", "Expand", create_expand, 0},
    {"", "Tile", create_tile, 0},
    {0},
};
