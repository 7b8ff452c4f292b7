/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on a rank's own parts: the kernels that sessions run, on the caller's thread. */
#include "sharded/local.h"

#include "base/error.h"
#include "base/executor.h"
#include "plugin/drivers.h"

#include <mlscale/session.h>

#include <string.h>

#define MAX_ARGS (MLS__LOCAL_INPUTS + 1)

static void set_arg(const mls_tensor *tensor, mls_arg *ret_arg)
{
    ret_arg->dtype = tensor->dtype;
    ret_arg->rank = tensor->rank;
    if (tensor->rank)
        memcpy(ret_arg->dims, tensor->dims, (size_t) tensor->rank * sizeof *tensor->dims);
}

static mls_op describe(const mls__local_op *what, const mls_arg *args)
{
    return (mls_op){
        .size = sizeof(mls_op),
        .domain = "",
        .type = what->type,
        .node = "",
        .node_id = 1,
        .attrs = what->attrs,
        .attr_count = what->attr_count,
        .input_count = what->input_count,
        .output_count = 1,
        .inputs = args,
        .outputs = args + what->input_count,
        .threads = 1,
        .numerics = MLS_NUMERICS_EXACT,
    };
}

static mls_status run(mls_context *context, const mls_kernel *kernel, void **buffers)
{
    void *workspace = mls__alloc(&context->allocator, kernel->workspace_bytes);
    if (!workspace)
        return mls__error_nomem(kernel->workspace_bytes);
    const mls__executor_share share = {context->executor, 1};
    const mls_kernel_call call = {
        .buffers = buffers,
        .workspace = workspace,
        .parallel_for = mls__executor_parallel_for,
        .executor = (void *) (uintptr_t) &share,
    };
    const mls_status status = kernel->run(kernel, &call);
    mls__free(&context->allocator, workspace);
    return status;
}

mls_status mls__local_run(mls_context *context, const mls__local_op *what,
                          const mls_tensor *const *inputs, mls_tensor *output)
{
    static max_align_t nothing; /* where empty inputs are */
    mls_arg args[MAX_ARGS] = {{0}};
    void *buffers[MAX_ARGS];
    mls__backend cpu;
    mls_kernel *kernel;
    if (!output->count)
        return MLS_OK;
    for (size_t i = 0; i <= what->input_count; i++) {
        const mls_tensor *tensor = i < what->input_count ? inputs[i] : output;
        set_arg(tensor, &args[i]);
        buffers[i] = tensor->count ? mls_tensor_data(tensor) : &nothing;
        if (what->known >> i & 1)
            args[i].data = mls_tensor_data(tensor);
    }
    const mls_op op = describe(what, args);
    mls_status status = mls__drivers_backend(context->drivers, "cpu", &cpu);
    if (!status)
        status = cpu.ops->kernel_create(cpu.self, &op, &kernel);
    if (status)
        return status;
    status = run(context, kernel, buffers);
    kernel->free(kernel);
    return status;
}

mls_status mls__local_probe(mls_context *context, const mls__local_op *what, const int32_t *dtypes)
{
    mls_arg args[MAX_ARGS] = {{0}};
    mls__backend cpu;
    mls_kernel *kernel;
    for (size_t i = 0; i <= what->input_count; i++)
        args[i] = (mls_arg){.dtype = dtypes[i], .rank = 1, .dims = {1}};
    const mls_op op = describe(what, args);
    mls_status status = mls__drivers_backend(context->drivers, "cpu", &cpu);
    if (!status)
        status = cpu.ops->kernel_create(cpu.self, &op, &kernel);
    if (!status)
        kernel->free(kernel);
    return status;
}
