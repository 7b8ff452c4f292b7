/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/ops/roi.h"

#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/ranges.h"

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const mls__roi_work *w = arg;
    const int64_t columns = w->roi->bin_columns, rows = w->roi->bin_rows;
    for (int64_t i = begin; i < end; i++)
        w->roi->fns->run_bin(w, i / (rows * columns), i / columns % rows, i % columns);
    return MLS_OK;
}

static mls_status roi_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const mls__roi *k = (const mls__roi *) base;
    const int64_t bins = k->regions * k->bin_rows * k->bin_columns;
    const int64_t x_count = k->batches * k->channels * k->height * k->width;
    const int64_t region_count = k->fns->region_numbers * k->regions;
    mls__roi_work w = {.roi = k, .call = call, .y = call->buffers[k->output]};
    if (!bins || !k->channels)
        return MLS_OK;
    const bool is_narrow = k->work_dtype != k->dtype;
    w.x = mls__float_widened(k->base.cpu, call, 0, k->dtype, k->x_offset, x_count);
    w.regions = mls__float_widened(k->base.cpu, call, 1, k->dtype, k->region_offset, region_count);
    if (is_narrow)
        w.y = (char *) call->workspace + k->y_offset;
    mls_status status = k->fns->check(&w);
    if (!status)
        status = mls__cpu_ranges(call, k->threads, bins, k->fns->grain, run_range, &w);
    if (!status && is_narrow)
        mls__float_convert(k->base.cpu, k->dtype, call->buffers[k->output], k->work_dtype, w.y,
                           bins * k->channels);
    return status;
}

static mls_status roi_reshape(mls_kernel *base, const mls_op *op)
{
    mls__roi *k = (mls__roi *) base;
    const mls_arg *x = &op->inputs[0], *y = &op->outputs[0];
    k->batches = x->dims[0];
    k->channels = x->dims[1];
    k->height = x->dims[2];
    k->width = x->dims[3];
    k->regions = y->dims[0];
    k->bin_rows = y->dims[2];
    k->bin_columns = y->dims[3];
    return MLS_OK;
}

static mls_status reserve(mls__roi *k, const mls_op *op)
{
    size_t bytes = 0;
    if (k->work_dtype == k->dtype)
        return MLS_OK;
    if (!mls__work_region(&bytes, mls__arg_count(&op->inputs[0]), sizeof(float), &k->x_offset) ||
        !mls__work_region(&bytes, mls__arg_count(&op->inputs[1]), sizeof(float),
                          &k->region_offset) ||
        !mls__work_region(&bytes, mls__arg_count(&op->outputs[0]), sizeof(float), &k->y_offset))
        return mls__op_error(op, MLS_ESHAPE, "the inputs are larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

mls_status mls__roi_create(const mls__cpu *cpu, const mls_op *op, size_t size,
                           const mls__roi_fns *fns, void *ret_kernel)
{
    mls__roi *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, size, fns->name, roi_run, &k);
    if (status)
        return status;
    k->base.base.reshape = roi_reshape;
    k->fns = fns;
    k->scale = (double) mls__op_float(op, "spatial_scale", 1.0f);
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->output = op->input_count;
    k->threads = op->threads;
    status = reserve(k, op);
    if (!status)
        status = roi_reshape(&k->base.base, op);
    if (status)
        k->base.base.free(&k->base.base);
    else
        *(void **) ret_kernel = k;
    return status;
}
