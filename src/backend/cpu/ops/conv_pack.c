/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights in the order of the kernels (kernels/conv.h): panels of 16 filters whose rows follow the
 * canonical order of a sum. 16-bit floats become float32.
 */
#include "backend/cpu/ops/conv.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

enum { RUN = 64 };

bool mls__conv_is_unpacked(const mls__conv_op *conv)
{
    return conv->method == MLS__CONV_PLAIN || conv->method == MLS__CONV_FAST ||
           (conv->method == MLS__CONV_ROWS && !conv->is_half);
}

/* What is packed: of a depthwise convolution each channel counts as a filter. */
typedef struct packing {
    const mls__conv_op *conv;
    const void *weights;
    int64_t groups, filters, channels, positions, panels;
} packing;

static packing packing_of(const mls__conv_op *conv, const void *weights)
{
    const mls__convolution *s = &conv->shape;
    packing p = {conv, weights, s->groups, s->filters, s->channels, conv->positions, conv->panels};
    if (conv->method == MLS__CONV_DEPTHWISE) {
        p.filters = s->groups;
        p.groups = 1;
        p.panels = mls__channel_blocks(p.filters);
    }
    return p;
}

bool mls__conv_pack_size(const mls__conv_op *conv, size_t *ret_bytes)
{
    const packing p = packing_of(conv, NULL);
    const bool is_plain = conv->method == MLS__CONV_ROWS;
    const int64_t filters = is_plain ? p.filters : p.panels * MLS__CONV_BLOCK;
    size_t size;
    return mls__mul_size((size_t) (p.groups * filters), (size_t) p.channels, &size) &&
           mls__mul_size(size, (size_t) p.positions, &size) &&
           mls__mul_size(size, sizeof(float), ret_bytes);
}

/* `count` elements from `index` on, as float32. */
static void read_run(const mls__conv_op *conv, const void *weights, int64_t index, int64_t count,
                     float *ret_run)
{
    if (conv->is_half)
        conv->half.to_f32(ret_run, (const uint16_t *) weights + index, count);
    else
        memcpy(ret_run, (const float *) weights + index, (size_t) count * sizeof *ret_run);
}

/* All positions of one channel of one filter. */
static void pack_channel(const packing *p, int64_t group, int64_t filter, int64_t channel,
                         float *ret_packed)
{
    const bool is_turned = p->conv->shape.is_transposed;
    const int64_t row = is_turned ? (group * p->channels + channel) * p->filters + filter
                                  : (group * p->filters + filter) * p->channels + channel;
    const int64_t block = channel / MLS__CONV_BLOCK, panel = filter / MLS__CONV_BLOCK;
    const int64_t left = p->channels - block * MLS__CONV_BLOCK;
    const int64_t channels = left < MLS__CONV_BLOCK ? left : MLS__CONV_BLOCK;
    float *packed =
        ret_packed + ((group * p->panels + panel) * p->channels * p->positions +
                      block * MLS__CONV_BLOCK * p->positions + channel % MLS__CONV_BLOCK) *
                         MLS__CONV_BLOCK;
    packed += filter % MLS__CONV_BLOCK;
    float run[RUN];
    for (int64_t k = 0; k < p->positions; k += RUN) {
        const int64_t count = p->positions - k < RUN ? p->positions - k : RUN;
        read_run(p->conv, p->weights, row * p->positions + k, count, run);
        for (int64_t i = 0; i < count; i++)
            packed[(k + i) * channels * MLS__CONV_BLOCK] = run[i];
    }
}

void mls__conv_pack(const mls__conv_op *conv, const void *weights, float *ret_packed)
{
    const packing p = packing_of(conv, weights);
    if (conv->method == MLS__CONV_ROWS) {
        read_run(conv, weights, 0, p.groups * p.filters * p.channels * p.positions, ret_packed);
        return;
    }
    const int64_t rows = p.groups * p.panels * p.channels * p.positions;
    memset(ret_packed, 0, (size_t) (rows * MLS__CONV_BLOCK) * sizeof *ret_packed);
    for (int64_t g = 0; g < p.groups; g++)
        for (int64_t f = 0; f < p.filters; f++)
            for (int64_t c = 0; c < p.channels; c++)
                pack_channel(&p, g, f, c, ret_packed);
}

/* --- constants ------------------------------------------------------------------------------- */

/* No padding: keys are compared byte by byte. */
typedef struct pack_key {
    char what[8];
    uint64_t weight_id, method, is_transposed;
    int64_t groups;
} pack_key;

typedef struct pack_job {
    const mls__conv_op *conv;
    const void *weights;
} pack_job;

static void fill_packed(void *block, void *arg)
{
    const pack_job *job = arg;
    mls__conv_pack(job->conv, job->weights, block);
}

mls_status mls__conv_pack_constant(mls__conv_op *conv, const mls_op *op)
{
    const mls_arg *w = &op->inputs[1];
    if (!w->data || !w->weight_id || !op->weights_ops || mls__conv_is_unpacked(conv))
        return MLS_OK;
    size_t bytes;
    if (!mls__conv_pack_size(conv, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "input 1 is larger than memory can be");
    pack_job job = {conv, w->data};
    const pack_key key = {"conv", w->weight_id, conv->method, conv->shape.is_transposed,
                          conv->shape.groups};
    conv->packed = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill_packed, &job);
    return conv->packed ? MLS_OK : mls__error_nomem(bytes);
}
