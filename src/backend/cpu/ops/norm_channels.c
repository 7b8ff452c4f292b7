/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normalisations with a scale and a bias for each channel: by statistics that are given (batch),
 * or those of each channel (instance) or group of channels.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/norm_plain.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

enum { SCALE, BIAS, MEAN, VARIANCE, PARAMS };

typedef struct channels_kernel {
    mls__cpu_kernel base;
    const mls__norm_kernels *fns;
    int32_t dtype, work_dtype;
    size_t x_size, size; /* of an element; `size` of the computation */
    float epsilon;
    uint32_t threads;
    int64_t batch, channels, plane; /* x is [batch, channels, plane] */
    int64_t groups;                 /* whose statistics are taken; 0: they are given */
    bool is_scaled_by_group;        /* and biased */
    int param_count;
    mls_arg params[PARAMS];
    uint64_t param_offset[PARAMS], factor_offset, x_offset; /* in the workspace */
} channels_kernel;

typedef struct work {
    const channels_kernel *k;
    const char *x;
    char *y, *wide;
    const char *params[PARAMS]; /* in the type of the work */
    char *factors;              /* of given statistics */
} work;

/* --- a run ----------------------------------------------------------------------------------- */

/* Elements [at, at + n) of x, in the type of the work. */
static const char *wide_x(const work *w, int64_t at, int64_t n)
{
    const channels_kernel *k = w->k;
    if (k->dtype == k->work_dtype)
        return w->x + (size_t) at * k->size;
    char *wide = w->wide + (size_t) at * k->size;
    mls__float_convert(k->base.cpu, k->work_dtype, wide, k->dtype, w->x + (size_t) at * k->x_size,
                       n);
    return wide;
}

/* Where elements from `at` on of y are computed. */
static char *wide_y(const work *w, int64_t at)
{
    const channels_kernel *k = w->k;
    return (k->dtype == k->work_dtype ? w->y : w->wide) + (size_t) at * k->size;
}

static void narrow_y(const work *w, int64_t at, int64_t n)
{
    const channels_kernel *k = w->k;
    if (k->dtype != k->work_dtype)
        mls__float_convert(k->base.cpu, k->dtype, w->y + (size_t) at * k->x_size, k->work_dtype,
                           w->wide + (size_t) at * k->size, n);
}

static const char *param(const work *w, int which, int64_t channel)
{
    return w->params[which] + (size_t) channel * w->k->size;
}

/* Rows [begin, end) of [batch, channels]. */
static mls_status run_batch_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const channels_kernel *k = w->k;
    for (int64_t r = begin; r < end; r++) {
        const int64_t at = r * k->channels;
        const char *x = wide_x(w, at, k->channels);
        k->fns->columns(wide_y(w, at), x, k->channels, param(w, MEAN, 0), w->factors,
                        param(w, BIAS, 0));
        narrow_y(w, at, k->channels);
    }
    return MLS_OK;
}

/* Planes [begin, end) of batch * channels. */
static mls_status run_batch_planes(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const channels_kernel *k = w->k;
    for (int64_t p = begin; p < end; p++) {
        const int64_t at = p * k->plane, channel = p % k->channels;
        const char *x = wide_x(w, at, k->plane);
        k->fns->plane(wide_y(w, at), x, k->plane, param(w, MEAN, channel),
                      w->factors + (size_t) channel * k->size, param(w, BIAS, channel));
        narrow_y(w, at, k->plane);
    }
    return MLS_OK;
}

/* The product of two elements of the type of the work. */
static void multiply(const channels_kernel *k, void *ret_product, const void *a, const void *b)
{
    mls__float_binary(k->base.cpu, k->work_dtype, MLS__BINARY_MUL, ret_product, a, 1, b, 1, 1);
}

/* One of batch * groups. */
static void normalize_group(const work *w, int64_t index)
{
    const channels_kernel *k = w->k;
    const int64_t channels = k->channels / k->groups, n = channels * k->plane;
    const int64_t group = index % k->groups;
    mls__number mean, factor, scaled;
    const char *x = wide_x(w, index * n, n);
    k->fns->moments(x, n, true, k->epsilon, &mean, &factor);
    for (int64_t i = 0; i < channels; i++) {
        const int64_t which = k->is_scaled_by_group ? group : group * channels + i;
        multiply(k, &scaled, &factor, param(w, SCALE, which));
        k->fns->plane(wide_y(w, index * n + i * k->plane), x + (size_t) (i * k->plane) * k->size,
                      k->plane, &mean, &scaled, param(w, BIAS, which));
    }
    narrow_y(w, index * n, n);
}

static mls_status run_groups(void *arg, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        normalize_group(arg, i);
    return MLS_OK;
}

static void read_params(const channels_kernel *k, const mls_kernel_call *call, work *w)
{
    for (int i = 0; i < k->param_count; i++) {
        const mls_arg *arg = &k->params[i];
        char *wide = (char *) call->workspace + k->param_offset[i];
        w->params[i] = call->buffers[1 + i];
        if (arg->dtype == k->work_dtype)
            continue;
        mls__float_convert(k->base.cpu, k->work_dtype, wide, arg->dtype, call->buffers[1 + i],
                           mls__arg_count(arg));
        w->params[i] = wide;
    }
}

static mls_status channels_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const channels_kernel *k = (const channels_kernel *) kernel;
    char *workspace = call->workspace;
    const int64_t count = k->batch * k->channels * k->plane;
    work w = {.k = k, .x = call->buffers[0], .y = call->buffers[1 + k->param_count]};
    if (!count)
        return MLS_OK;
    w.wide = workspace + k->x_offset;
    w.factors = workspace + k->factor_offset;
    read_params(k, call, &w);
    if (k->groups) {
        const int64_t rows = k->batch * k->groups;
        return mls__cpu_row_ranges(call, k->threads, rows, GRAIN / (count / rows) + 1, run_groups,
                                   &w);
    }
    k->fns->factors(w.factors, w.params[SCALE], w.params[VARIANCE], k->channels, k->epsilon);
    if (k->plane == 1)
        return mls__cpu_row_ranges(call, k->threads, k->batch, GRAIN / k->channels + 1,
                                   run_batch_rows, &w);
    return mls__cpu_row_ranges(call, k->threads, k->batch * k->channels, GRAIN / k->plane + 1,
                               run_batch_planes, &w);
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status channels_reshape(mls_kernel *kernel, const mls_op *op)
{
    channels_kernel *k = (channels_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    /* Statistics of each element, and not each channel: then every element is a channel. */
    const int from = mls__op_int(op, "mls_per_element", 0) ? x->rank : 2;
    k->batch = x->rank ? x->dims[0] : 1;
    k->channels = x->rank > 1 ? mls__arg_span(x, 1, from) : 1;
    k->plane = x->rank > 1 ? mls__arg_span(x, from, x->rank) : 1;
    for (int i = 0; i < k->param_count; i++)
        k->params[i] = op->inputs[1 + i];
    if (strcmp(op->type, "InstanceNormalization") == 0)
        k->groups = k->channels;
    return MLS_OK;
}

static mls_status plan_workspace(channels_kernel *k, const mls_op *op)
{
    const bool is_wide = k->dtype != k->work_dtype;
    size_t bytes = 0;
    bool fits = mls__work_region(&bytes, is_wide ? mls__arg_count(&op->inputs[0]) : 0, k->size,
                                 &k->x_offset);
    fits =
        fits && mls__work_region(&bytes, k->groups ? 0 : k->channels, k->size, &k->factor_offset);
    for (int i = 0; fits && i < k->param_count; i++)
        fits = mls__work_region(
            &bytes, k->params[i].dtype == k->work_dtype ? 0 : mls__arg_count(&k->params[i]),
            k->size, &k->param_offset[i]);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    channels_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "norm", channels_run, &k);
    if (status)
        return status;
    k->base.base.reshape = channels_reshape;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->x_size = mls_dtype_size((mls_dtype) k->dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    k->fns = mls__norm_of(cpu, k->work_dtype);
    k->epsilon = mls__op_float(op, "epsilon", 1e-5f);
    k->threads = op->threads;
    k->groups = mls__op_int(op, "num_groups", 0);
    k->is_scaled_by_group = mls__op_int(op, "mls_scale_groups", 0) != 0;
    k->param_count = (int) op->input_count - 1;
    channels_reshape(&k->base.base, op);
    status = plan_workspace(k, op);
    if (status) {
        k->base.base.free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_norm_channels = {
    {"", "BatchNormalization", create, MLS__CPU_IN_PLACE},
    {"", "InstanceNormalization", create, MLS__CPU_IN_PLACE},
    {"", "GroupNormalization", create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
