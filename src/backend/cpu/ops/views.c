/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops whose output is the input under other dims. Plans make the two one memory where
 * they can; these kernels are for where they cannot, and for Dropout's mask.
 */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/copy.h"

#include <string.h>

typedef struct view {
    mls__cpu_kernel base;
    mls__copy copy;
    size_t output; /* its position among the buffers */
    size_t mask_bytes;
} view;

static mls_status run_view(const mls_kernel *base, const mls_kernel_call *call)
{
    const view *kernel = (const view *) base;
    const void *source = call->buffers[0];
    void *target = call->buffers[kernel->output];
    if (target != source)
        mls__copy_run(&kernel->copy, call, target, source);
    void *mask = kernel->mask_bytes ? call->buffers[kernel->output + 1] : NULL;
    if (mask) /* the model may name no value for it */
        memset(mask, 1, kernel->mask_bytes);
    return MLS_OK;
}

static mls_status plan_view(mls_kernel *base, const mls_op *op)
{
    view *kernel = (view *) base;
    const mls_arg *input = &op->inputs[0];
    mls__copy_flat(&kernel->copy, mls_dtype_size((mls_dtype) input->dtype), mls__arg_count(input),
                   op->threads);
    kernel->mask_bytes = op->output_count > 1 ? mls__arg_bytes(&op->outputs[1]) : 0;
    return MLS_OK;
}

static mls_status create_view(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    view *kernel;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "view", run_view, &kernel);
    if (status)
        return status;
    kernel->output = op->input_count;
    kernel->base.base.reshape = plan_view;
    *ret_kernel = &kernel->base.base;
    return plan_view(*ret_kernel, op);
}

const mls__cpu_op mls__cpu_ops_views[] = {
    {"", "Reshape", create_view, MLS__CPU_IN_PLACE},
    {"", "Flatten", create_view, MLS__CPU_IN_PLACE},
    {"", "Squeeze", create_view, MLS__CPU_IN_PLACE},
    {"", "Unsqueeze", create_view, MLS__CPU_IN_PLACE},
    {"", "Identity", create_view, MLS__CPU_IN_PLACE},
    {"", "Dropout", create_view, MLS__CPU_IN_PLACE},
    {"", "BitCast", create_view, MLS__CPU_IN_PLACE},
    {"ai.onnx.ml", "ZipMap", create_view, MLS__CPU_IN_PLACE},
    {0},
};
