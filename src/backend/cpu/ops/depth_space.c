/* SPDX-License-Identifier: Apache-2.0 */
/* DepthToSpace and SpaceToDepth: strided copies between channels and blocks of pixels. */
#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/families.h"

typedef struct depth_kernel {
    mls__cpu_kernel base;
    mls__copy copy;
    int64_t block;
    bool to_space, is_column_first; /* CRD: a channel's block is made of neighbours */
} depth_kernel;

static mls_status depth_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const depth_kernel *k = (const depth_kernel *) base;
    mls__copy_run(&k->copy, call, call->buffers[1], call->buffers[0]);
    return MLS_OK;
}

/* One loop of an image in blocks: `deep` in the tensor of many channels, `wide` in the other. */
static void add_loop(depth_kernel *k, int64_t count, int64_t deep, int64_t wide)
{
    mls__copy_loop(&k->copy, count, k->to_space ? wide : deep, k->to_space ? deep : wide);
}

static mls_status depth_reshape(mls_kernel *base, const mls_op *op)
{
    depth_kernel *k = (depth_kernel *) base;
    const mls_arg *deep = k->to_space ? &op->inputs[0] : &op->outputs[0];
    const int64_t b = k->block, channels = deep->dims[1] / (b * b);
    const int64_t height = deep->dims[2], width = deep->dims[3], plane = height * width;
    const int64_t place = k->is_column_first ? plane : channels * plane;
    const int64_t channel = k->is_column_first ? b * b * plane : plane;

    mls__copy_begin(&k->copy, mls_dtype_size((mls_dtype) deep->dtype));
    if (k->to_space) { /* outermost first in the output */
        add_loop(k, deep->dims[0], deep->dims[1] * plane, deep->dims[1] * plane);
        add_loop(k, channels, channel, b * b * plane);
        add_loop(k, height, width, b * b * width);
        add_loop(k, b, b * place, b * width);
        add_loop(k, width, 1, b);
        add_loop(k, b, place, 1);
    } else {
        add_loop(k, deep->dims[0], deep->dims[1] * plane, deep->dims[1] * plane);
        add_loop(k, b, b * place, b * width);
        add_loop(k, b, place, 1);
        add_loop(k, channels, channel, b * b * plane);
        add_loop(k, height, width, b * b * width);
        add_loop(k, width, 1, b);
    }
    mls__copy_end(&k->copy, op->threads);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, bool to_space,
                         mls_kernel **ret_kernel)
{
    depth_kernel *k;
    const mls_status status = mls__cpu_kernel_create(
        cpu, op, sizeof *k, to_space ? "depth_to_space" : "space_to_depth", depth_run, &k);
    if (status)
        return status;
    k->base.base.reshape = depth_reshape;
    k->block = mls__op_int(op, "blocksize", 0);
    k->to_space = to_space;
    k->is_column_first = to_space && mls__op_string_is(op, "mode", "CRD", "DCR");
    *ret_kernel = &k->base.base;
    return depth_reshape(*ret_kernel, op);
}

static mls_status create_to_space(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, true, ret_kernel);
}

static mls_status create_to_depth(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, false, ret_kernel);
}

mls__cpu_op_table mls__cpu_ops_depth_space = {
    {"", "DepthToSpace", create_to_space, 0},
    {"", "SpaceToDepth", create_to_depth, 0},
    {.type = NULL},
};
