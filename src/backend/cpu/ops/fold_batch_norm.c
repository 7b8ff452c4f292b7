/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FoldBatchNorm: the weights and the bias of a convolution that normalizes what it gives. Run when
 * a session is planned, so plain double precision will do.
 */
#include "backend/cpu/ops/conv.h"

#include <math.h>

typedef struct fold_kernel {
    mls__cpu_kernel base;
    int64_t outer, filters, inner; /* of the weights, the filters in one group */
    int64_t groups;
    bool has_bias;
    double epsilon;
} fold_kernel;

static double scale_of(const fold_kernel *k, const mls_kernel_call *call, int64_t filter)
{
    const float *scale = call->buffers[1], *variance = call->buffers[4];
    return (double) scale[filter] / sqrt((double) variance[filter] + k->epsilon);
}

static void fold_weights(const fold_kernel *k, const mls_kernel_call *call, float *y)
{
    const float *w = call->buffers[0];
    const int64_t rows = k->groups ? k->outer / k->groups : 0;
    for (int64_t o = 0; o < k->outer; o++)
        for (int64_t f = 0; f < k->filters; f++) {
            const double scale = scale_of(k, call, o / rows * k->filters + f);
            const int64_t at = (o * k->filters + f) * k->inner;
            for (int64_t i = 0; i < k->inner; i++)
                y[at + i] = (float) ((double) w[at + i] * scale);
        }
}

static mls_status fold_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const fold_kernel *k = (const fold_kernel *) base;
    const size_t outputs = k->has_bias ? 6 : 5;
    const float *shift = call->buffers[2], *mean = call->buffers[3];
    const float *bias = k->has_bias ? call->buffers[5] : NULL;
    float *y = call->buffers[outputs + 1];
    fold_weights(k, call, call->buffers[outputs]);
    for (int64_t f = 0; f < k->filters * k->groups; f++) {
        const double centred = (bias ? (double) bias[f] : 0) - (double) mean[f];
        y[f] = (float) (centred * scale_of(k, call, f) + (double) shift[f]);
    }
    return MLS_OK;
}

mls_status mls__fold_batch_norm_create(const mls__cpu *cpu, const mls_op *op,
                                       mls_kernel **ret_kernel)
{
    const mls_arg *w = &op->inputs[0];
    const int axis = (int) mls__op_int(op, "axis", 0);
    fold_kernel *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "fold_batch_norm", fold_run, &k);
    if (status)
        return status;
    k->outer = mls__arg_span(w, 0, axis);
    k->filters = w->dims[axis];
    k->inner = mls__arg_span(w, axis + 1, w->rank);
    k->groups = axis ? mls__op_int(op, "group", 1) : 1;
    k->has_bias = op->input_count > 5;
    k->epsilon = (double) mls__op_float(op, "epsilon", 1e-5f);
    *ret_kernel = &k->base.base;
    return MLS_OK;
}
