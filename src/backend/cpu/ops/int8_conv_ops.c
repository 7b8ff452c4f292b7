/* SPDX-License-Identifier: Apache-2.0 */
/* ConvInteger and QLinearConv: what they ask for, their memory and their constants. */
#include "backend/cpu/ops/int8_conv.h"

#include "backend/cpu/ops/families.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* Of a group of one channel, more of which are worth packing what they see. */
#define MOST_FILTERS 4
/* Products that are worth a second thread. */
#define LARGE_WORK 262144.0

bool mls__int8_conv_region(uint64_t *total, int64_t count, int64_t size, uint64_t *ret_offset)
{
    size_t bytes, sum;
    *ret_offset = *total;
    if (!mls__mul_size((size_t) count, (size_t) size, &bytes) || !mls__align_size(bytes, &bytes) ||
        !mls__add_size((size_t) *total, bytes, &sum))
        return false;
    *total = sum;
    return true;
}

/* --- filters --------------------------------------------------------------------------------- */

void mls__int8_conv_pack(const mls__int8_conv *c, const uint8_t *w, char *ret_packed)
{
    const mls__gemm_int8_kernels *kernels = c->base.cpu->kernels->gemm_int8;
    const int64_t filters = c->shape.filters * c->shape.groups;
    int32_t *sums = (int32_t *) (void *) (ret_packed + c->sums_offset);
    for (int64_t f = 0; f < filters; f++) {
        uint8_t *row = (uint8_t *) ret_packed + f * c->row_bytes;
        memset(row + c->depth, 0, (size_t) (c->row_bytes - c->depth));
        if (c->is_w_signed)
            memcpy(row, w + f * c->depth, (size_t) c->depth);
        else
            kernels->flip(row, w + f * c->depth, c->depth);
        sums[f] = kernels->row_sum(row, c->depth, true);
    }
}

bool mls__int8_conv_plan_filters(mls__int8_conv *c)
{
    const int64_t filters = c->shape.filters * c->shape.groups;
    uint64_t rows_offset, total = 0;
    const bool fits = mls__int8_conv_region(&total, filters, c->row_bytes, &rows_offset) &&
                      mls__int8_conv_region(&total, filters, sizeof(int32_t), &c->sums_offset);
    c->packed_bytes = total;
    c->own_terms = 0;
    return fits;
}

/* --- parameters ------------------------------------------------------------------------------ */

static int32_t byte_at(const void *bytes, int64_t index, bool is_signed)
{
    return is_signed ? ((const int8_t *) bytes)[index] : ((const uint8_t *) bytes)[index];
}

/* NULL data where all zero points are 0, moved with their bytes as they are. */
static mls__int8_ints read_w_zeros(const mls__int8_conv *c, const mls_kernel_call *call)
{
    int32_t *zeros = (int32_t *) (void *) ((char *) call->workspace + c->zeros_offset);
    int32_t any = 0;
    for (int64_t i = 0; i < (c->w_zeros > 1 ? c->w_zeros : 1); i++) {
        zeros[i] = c->w_zeros ? byte_at(call->buffers[c->roles->w_zero], i, c->is_w_signed) : 0;
        zeros[i] -= c->is_w_signed ? 0 : 128;
        any |= zeros[i];
    }
    return (mls__int8_ints){any ? zeros : NULL, c->w_zeros > 1, 0};
}

static mls__int8_floats read_scales(const mls__int8_conv *c, const mls_kernel_call *call)
{
    if (c->form == MLS__INT8_SUM)
        return (mls__int8_floats){NULL, 0, 0};
    const float x_scale = *(const float *) call->buffers[c->roles->x_scale];
    const float y_scale = *(const float *) call->buffers[c->roles->y_scale];
    const float *w_scales = call->buffers[c->roles->w_scale];
    float *scales = (float *) (void *) ((char *) call->workspace + c->scales_offset);
    for (int64_t i = 0; i < c->w_scales; i++)
        scales[i] = x_scale * w_scales[i] / y_scale;
    return (mls__int8_floats){scales, c->w_scales > 1, 0};
}

static mls__int8_filters read_filters(const mls__int8_conv *c, const mls_kernel_call *call)
{
    const char *packed = c->packed;
    if (!packed) {
        char *memory = (char *) call->workspace + c->filters_offset;
        c->way->pack(c, call->buffers[c->roles->w], memory);
        packed = memory;
    }
    return (mls__int8_filters){(const uint8_t *) packed,
                               (const int32_t *) (const void *) (packed + c->sums_offset)};
}

void mls__int8_conv_start(const mls__int8_conv *c, const mls_kernel_call *call,
                          mls__int8_conv_work *ret_work)
{
    const mls__int8_conv_roles *roles = c->roles;
    mls__int8_conv_work w = {.conv = c, .call = call, .filters = read_filters(c, call)};
    if (c->has_x_zero) {
        w.x_pad = *(const uint8_t *) call->buffers[roles->x_zero];
        w.x_zero = byte_at(call->buffers[roles->x_zero], 0, c->is_x_signed);
    }
    w.x_zero += c->is_x_signed ? 128 : 0;
    w.gemm = (mls__gemm_int8){.k = c->row_bytes,
                              .is_a_signed = true,
                              .a = w.filters.bytes,
                              .a_row = c->row_bytes,
                              .a_sums = w.filters.sums,
                              .a_zeros = read_w_zeros(c, call),
                              .scale = read_scales(c, call),
                              .form = c->form,
                              .y = call->buffers[c->y_index],
                              .y_row = c->pixels};
    if (c->has_bias)
        w.gemm.bias = (mls__int8_ints){call->buffers[roles->bias], 1, 0};
    if (c->has_y_zero)
        w.gemm.y_zero = byte_at(call->buffers[roles->y_zero], 0, c->is_y_signed);
    *ret_work = w;
    if (w.x_zero) /* where it stays */
        ret_work->gemm.b_zeros = (mls__int8_ints){&ret_work->x_zero, 0, 0};
}

/* --- shapes and memory ----------------------------------------------------------------------- */

static int64_t count_of(const mls_op *op, int input)
{
    const mls_arg *arg = mls__op_conv_role(op, input);
    return arg ? mls__arg_count(arg) : 0;
}

static mls_status conv_reshape(mls_kernel *kernel, const mls_op *op)
{
    mls__int8_conv *c = (mls__int8_conv *) kernel;
    mls_status status = mls__op_int8_convolution(op, &c->shape);
    if (status)
        return status;
    c->pixels = 1;
    c->depth = c->shape.channels;
    for (int i = 0; i < c->shape.rank; i++) {
        c->pixels *= c->shape.axes[i].output;
        c->depth *= c->shape.axes[i].kernel;
    }
    c->row_bytes = mls__int8_groups(c->depth) * MLS__INT8_GROUP;
    c->w_zeros = count_of(op, c->roles->w_zero);
    c->w_scales = count_of(op, c->roles->w_scale);
    const double work = (double) c->pixels * (double) c->depth * (double) c->shape.filters *
                        (double) c->shape.groups * (double) c->shape.batch;
    c->threads = work < LARGE_WORK ? 1 : c->most_threads;
    if (!c->way->plan_slot(c))
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    /* A flat image may have more padding than a larger one. */
    if (c->planned_bytes && c->slot_bytes > c->planned_bytes)
        return mls__op_error(op, MLS_ELIMIT, "its workspace is too small for these dims");
    return MLS_OK;
}

static mls_status plan(mls__int8_conv *c, const mls_op *op)
{
    const int64_t zeros = c->w_zeros > 1 ? c->w_zeros : 1;
    uint64_t total = 0;
    const bool fits =
        c->way->plan_filters(c) &&
        mls__int8_conv_region(&total, (int64_t) c->packed_bytes, c->is_constant ? 0 : 1,
                              &c->filters_offset) &&
        mls__int8_conv_region(&total, zeros, sizeof(int32_t), &c->zeros_offset) &&
        mls__int8_conv_region(&total, c->w_scales, sizeof(float), &c->scales_offset) &&
        mls__int8_conv_region(&total, c->own_terms, sizeof(int32_t), &c->own_bias_offset) &&
        mls__int8_conv_region(&total, c->own_terms, sizeof(float), &c->own_scales_offset) &&
        mls__int8_conv_region(&total, (int64_t) c->slot_bytes, c->most_threads, &c->slots_offset);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    c->base.base.workspace_bytes = total;
    c->planned_bytes = c->slot_bytes;
    return MLS_OK;
}

/* --- constants ------------------------------------------------------------------------------- */

/* No padding: keys are compared byte by byte. */
typedef struct pack_key {
    char what[8];
    uint64_t weight_id;
    int64_t filters, depth, channels, columns, stride;
} pack_key;

typedef struct pack_job {
    const mls__int8_conv *conv;
    const uint8_t *w;
} pack_job;

static void fill_packed(void *block, void *arg)
{
    const pack_job *job = arg;
    job->conv->way->pack(job->conv, job->w, block);
}

static mls_status pack(mls__int8_conv *c, const mls_op *op)
{
    const mls_arg *w = &op->inputs[c->roles->w];
    pack_job job = {c, w->data};
    const mls__conv_axis *last = &c->shape.axes[c->shape.rank - 1];
    pack_key key = {"",          w->weight_id,      c->shape.filters * c->shape.groups,
                    c->depth,    c->shape.channels, last->kernel,
                    last->stride};
    memcpy(key.what, c->way->key, sizeof key.what);
    c->packed = op->weights_ops->get(op->weights, &key, sizeof key, (size_t) c->packed_bytes,
                                     fill_packed, &job);
    return c->packed ? MLS_OK : mls__error_nomem((size_t) c->packed_bytes);
}

/* --- the kernel ------------------------------------------------------------------------------ */

/* Whether signed bytes that stand for the filters have the zero point 0, as is known. */
static bool has_even_filters(const mls_op *op, const mls__int8_conv_roles *roles)
{
    const mls_arg *zeros = mls__op_conv_role(op, roles->w_zero);
    const bool is_signed = op->inputs[roles->w].dtype == MLS_INT8;
    if (!zeros || !zeros->data || !zeros->weight_id)
        return !zeros && is_signed;
    for (int64_t i = 0; i < mls__arg_count(zeros); i++)
        if (byte_at(zeros->data, i, is_signed) != (is_signed ? 0 : 128))
            return false;
    return true;
}

static const mls__int8_conv_way *way_of(const mls_op *op, const mls__int8_conv_roles *roles)
{
    const mls_arg *w = &op->inputs[roles->w];
    const int64_t groups = mls__op_int(op, "group", 1);
    if (mls__op_has_channels_last(op))
        return w->dims[1] == 1 && w->dims[0] == groups && w->rank <= 4 &&
                       has_even_filters(op, roles)
                   ? &mls__int8_way_last_depth
                   : &mls__int8_way_last;
    return w->dims[1] == 1 && w->rank - 2 <= MLS__INT8_DEPTH_AXES &&
                   w->dims[0] <= MOST_FILTERS * groups
               ? &mls__int8_way_depth
               : &mls__int8_way_planes;
}

static void read_op(mls__int8_conv *c, const mls_op *op)
{
    const mls__int8_conv_roles *roles = mls__op_int8_conv_roles(op);
    const mls_arg *w = &op->inputs[roles->w];
    const int32_t y_dtype = op->outputs[0].dtype;
    c->roles = roles;
    c->most_threads = op->threads;
    c->y_index = op->input_count;
    c->is_x_signed = op->inputs[roles->x].dtype == MLS_INT8;
    c->is_w_signed = w->dtype == MLS_INT8;
    c->is_y_signed = y_dtype == MLS_INT8;
    c->form = y_dtype == MLS_INT32 ? MLS__INT8_SUM
              : c->is_y_signed     ? MLS__INT8_SIGNED
                                   : MLS__INT8_UNSIGNED;
    c->has_x_zero = mls__op_conv_role(op, roles->x_zero) != NULL;
    c->has_y_zero = mls__op_conv_role(op, roles->y_zero) != NULL;
    c->has_bias = mls__op_conv_role(op, roles->bias) != NULL;
    c->way = way_of(op, roles);
    c->is_constant = w->data && w->weight_id && op->weights_ops;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__int8_conv *c;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *c, "int8_conv", mls__int8_way_planes.run, &c);
    if (status)
        return status;
    mls_kernel *kernel = &c->base.base;
    kernel->reshape = conv_reshape;
    read_op(c, op);
    kernel->run = c->way->run;
    kernel->name = c->way->name;
    status = conv_reshape(kernel, op);
    if (!status)
        status = plan(c, op);
    if (!status && c->is_constant)
        status = pack(c, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_int8_conv = {
    {"", "ConvInteger", create, 0},
    {"", "QLinearConv", create, 0},
    {"com.microsoft", "QLinearConv", create, 0},
    {.type = NULL},
};
