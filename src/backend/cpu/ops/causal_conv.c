/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CausalConvWithState: each channel's row, behind what it carries over, by a kernel of its own. As
 * a product the kernel is A's one row, and the columns of B overlap: row j begins at element j. So
 * an output is a chain of fused multiply-adds over the taps, then the bias, then the activation.
 */
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "base/alloc.h"

#include <string.h>

/* Multiply-adds that take longer than waking a thread. */
#define LARGE_WORK (INT64_C(1) << 20)

enum { INPUT, WEIGHT, BIAS, PAST };

typedef struct causal {
    mls__cpu_kernel base;
    int32_t dtype;
    mls__half half;
    uint32_t threads;
    size_t input_count, output_count;
    bool has_bias, has_past, has_silu;
    int64_t batch, channels, length, taps;
} causal;

/* Float32 numbers of one thread, in elements from its begin. */
typedef struct slot {
    size_t row, y, weight, count;
} slot;

/* Outputs of whole vectors, which the product gives. */
static int64_t padded(int64_t length)
{
    return mls__gemm_panels(length) * MLS__GEMM_PANEL;
}

static bool slot_of(const causal *k, slot *ret_slot)
{
    const size_t outputs = (size_t) padded(k->length), taps = (size_t) k->taps;
    slot at = {0};
    size_t row;
    const bool fits =
        mls__add_size(outputs, taps, &row) && mls__align_size(row, &at.y) &&
        mls__add_size(at.y, outputs, &at.weight) && mls__align_size(at.weight, &at.weight) &&
        mls__add_size(at.weight, taps + 1, &at.count) && mls__align_size(at.count, &at.count);
    *ret_slot = at;
    return fits;
}

/* --- runs ------------------------------------------------------------------------------------ */

static void load(const causal *k, float *to, const void *x, int64_t index, int64_t count)
{
    if (mls__is_half(k->dtype))
        k->half.to_f32(to, (const uint16_t *) x + index, count);
    else
        memcpy(to, (const float *) x + index, (size_t) count * sizeof *to);
}

static void store(const causal *k, void *y, int64_t index, const float *from, int64_t count)
{
    if (mls__is_half(k->dtype))
        k->half.from_f32((uint16_t *) y + index, from, count);
    else
        memcpy((float *) y + index, from, (size_t) count * sizeof *from);
}

typedef struct work {
    const causal *k;
    const mls_kernel_call *call;
    slot at;
    int64_t shares;
} work;

/* What is carried over, the input, and zeros up to whole vectors. */
static void bring_row(const causal *k, const mls_kernel_call *call, int64_t unit, float *row)
{
    const int64_t before = k->taps - 1;
    if (k->has_past)
        load(k, row, call->buffers[PAST], unit * before, before);
    else
        memset(row, 0, (size_t) before * sizeof *row);
    load(k, row + before, call->buffers[INPUT], unit * k->length, k->length);
    memset(row + before + k->length, 0, (size_t) (padded(k->length) - k->length) * sizeof *row);
}

static void run_row(const work *w, float *memory, int64_t unit)
{
    static const float params[2] = {1, 0}; /* of Swish */
    const causal *k = w->k;
    const int64_t channel = unit % k->channels;
    const mls__cpu_kernels *kernels = k->base.cpu->kernels;
    float *row = memory + w->at.row, *y = memory + w->at.y, *weight = memory + w->at.weight;
    float *bias = weight + k->taps;
    void *present = k->output_count > 1 ? w->call->buffers[k->input_count + 1] : NULL;
    bring_row(k, w->call, unit, row);
    load(k, weight, w->call->buffers[WEIGHT], channel * k->taps, k->taps);
    if (k->has_bias)
        load(k, bias, w->call->buffers[BIAS], channel, 1);
    const mls__gemm g = {
        .n = padded(k->length),
        .k = k->taps,
        .a = weight,
        .a_row = k->taps,
        .a_step = 1,
        .b = row,
        .b_row = 1,
        .c = k->has_bias ? bias : NULL,
        .alpha = 1,
        .beta = 1,
        .y = y,
        .y_row = padded(k->length),
        .activation = k->has_silu ? kernels->elementwise->unary[MLS__UNARY_SWISH] : NULL,
        .activation_params = params,
    };
    kernels->gemm->wide(&g, 0, 1, 0, mls__gemm_panels(k->length));
    store(k, w->call->buffers[k->input_count], unit * k->length, y, k->length);
    if (present)
        store(k, present, unit * (k->taps - 1), row + k->length, k->taps - 1);
}

static void run_share(void *arg, size_t index)
{
    const work *w = arg;
    const int64_t units = w->k->batch * w->k->channels, share = (int64_t) index;
    float *memory = (float *) w->call->workspace + index * w->at.count;
    const int64_t end = mls__cpu_part_begin(units, w->shares, share + 1);
    for (int64_t unit = mls__cpu_part_begin(units, w->shares, share); unit < end; unit++)
        run_row(w, memory, unit);
}

static mls_status causal_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const causal *k = (const causal *) kernel;
    const double count =
        (double) k->batch * (double) k->channels * (double) k->length * (double) k->taps;
    work w = {.k = k, .call = call, .shares = 1};
    slot_of(k, &w.at);
    if (k->threads > 1 && count >= LARGE_WORK)
        w.shares = k->threads;
    mls__cpu_shares(call, w.shares, run_share, &w);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status causal_reshape(mls_kernel *kernel, const mls_op *op)
{
    causal *k = (causal *) kernel;
    const mls_arg *x = &op->inputs[INPUT];
    k->batch = x->dims[0];
    k->channels = x->dims[1];
    k->length = x->dims[2];
    k->taps = op->inputs[WEIGHT].dims[2];
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    causal *k;
    slot at;
    size_t bytes;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "causal_conv", causal_run, &k);
    if (status)
        return status;
    k->base.base.reshape = causal_reshape;
    k->dtype = op->inputs[INPUT].dtype;
    if (mls__is_half(k->dtype))
        k->half = mls__half_of(cpu, k->dtype);
    k->threads = op->threads;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    k->has_bias = mls__op_input(op, BIAS) != NULL;
    k->has_past = mls__op_input(op, PAST) != NULL;
    k->has_silu = !mls__op_string_is(op, "activation", "none", "none");
    causal_reshape(&k->base.base, op);
    if (!slot_of(k, &at) || !mls__mul_size(at.count, sizeof(float), &bytes) ||
        !mls__mul_size(bytes, k->threads, &bytes)) {
        k->base.base.free(&k->base.base);
        return mls__op_error(op, MLS_ESHAPE, "its rows are larger than memory can be");
    }
    k->base.base.workspace_bytes = bytes;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_causal_conv = {
    {"", "CausalConvWithState", create, 0},
    {.type = NULL},
};
