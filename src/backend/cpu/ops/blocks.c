/* SPDX-License-Identifier: Apache-2.0 */
/* Images into blocks of channels and out of them (op/convolution.h). */
#include "backend/cpu/ops/conv.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Blocks with fewer elements in all are not worth a second thread. */
#define GRAIN 32768

typedef struct reorder_kernel {
    mls__cpu_kernel base;
    bool is_blocking, is_half;
    int64_t batch, channels, plane;
    uint32_t threads;
} reorder_kernel;

typedef struct work {
    const reorder_kernel *k;
    const char *x;
    char *y;
} work;

/* 16-bit floats from where they lie to where they belong, as kernels/conv.h has it for others. */
static void move_halves(const reorder_kernel *k, uint16_t *y, const uint16_t *x, int64_t channels)
{
    const int64_t plane = k->plane;
    if (k->is_blocking)
        memset(y, 0, (size_t) plane * MLS__CHANNEL_BLOCK * sizeof *y);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < plane; i++) {
            const int64_t blocked = i * MLS__CHANNEL_BLOCK + c, plain = c * plane + i;
            y[k->is_blocking ? blocked : plain] = x[k->is_blocking ? plain : blocked];
        }
}

static void move_block(const reorder_kernel *k, void *y, const void *x, int64_t channels)
{
    const mls__conv_kernels *kernels = k->base.cpu->kernels->conv;
    if (k->is_half)
        move_halves(k, y, x, channels);
    else if (k->is_blocking)
        kernels->block(y, x, k->plane, 1, k->plane, channels);
    else
        kernels->unblock(y, k->plane, 1, x, k->plane, channels);
}

/* Blocks begin .. end-1 of all images. */
static mls_status run_blocks(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const reorder_kernel *k = w->k;
    const int64_t blocks = mls__channel_blocks(k->channels), size = k->is_half ? 2 : 4;
    for (int64_t i = begin; i < end; i++) {
        const int64_t channel = i % blocks * MLS__CHANNEL_BLOCK, left = k->channels - channel;
        const int64_t channels = left < MLS__CHANNEL_BLOCK ? left : MLS__CHANNEL_BLOCK;
        const int64_t plain = (i / blocks * k->channels + channel) * k->plane;
        const int64_t blocked = i * k->plane * MLS__CHANNEL_BLOCK;
        if (k->is_blocking)
            move_block(k, w->y + blocked * size, w->x + plain * size, channels);
        else
            move_block(k, w->y + plain * size, w->x + blocked * size, channels);
    }
    return MLS_OK;
}

static mls_status reorder_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const reorder_kernel *k = (const reorder_kernel *) base;
    work w = {k, call->buffers[0], call->buffers[1]};
    const int64_t blocks = k->batch * mls__channel_blocks(k->channels);
    const int64_t grain = GRAIN / (k->plane * MLS__CHANNEL_BLOCK + 1) + 1;
    return mls__cpu_row_ranges(call, k->threads, blocks, grain, run_blocks, &w);
}

static mls_status reorder_reshape(mls_kernel *base, const mls_op *op)
{
    reorder_kernel *k = (reorder_kernel *) base;
    const mls_arg *plain = k->is_blocking ? &op->inputs[0] : &op->outputs[0];
    k->batch = plain->dims[0];
    k->channels = plain->dims[1];
    k->plane = mls__arg_span(plain, 2, plain->rank);
    return MLS_OK;
}

mls_status mls__reorder_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    reorder_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "blocks", reorder_run, &k);
    if (status)
        return status;
    k->base.base.reshape = reorder_reshape;
    k->is_blocking = strcmp(op->type, "BlockChannels") == 0;
    k->is_half = mls__is_half(op->inputs[0].dtype);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return reorder_reshape(&k->base.base, op);
}
