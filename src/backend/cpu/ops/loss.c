/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, which takes the logarithm of the softmax
 * first, with the bytes of LogSoftmax.
 *
 * The losses of all samples, as they lie in memory, are summed as one row (kernels/reduce.h), and
 * so are their weights: a sum over the batch depends on the batch's size, but on nothing else. A
 * loss is rounded once; 16-bit floats are computed as float32.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/indices.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/reduce_plain.h"
#include "backend/cpu/ops/softmax.h"

#include <inttypes.h>
#include <string.h>

/* Fewer elements of the input are not worth a second thread, nor are fewer samples. */
#define GRAIN 4096

typedef enum reduction { REDUCE_NONE, REDUCE_MEAN, REDUCE_SUM } reduction;

typedef struct loss_kernel {
    mls__cpu_kernel base;
    reduction reduction;
    bool has_softmax, has_weights, has_wide_labels;
    bool has_ignored;
    int64_t ignored; /* label */
    int32_t dtype, work_dtype;
    size_t input_count, output_count;
    uint32_t threads;
    bool is_rows; /* no dimension behind the classes */
    int64_t outer, classes, inner;
    uint64_t x_offset, loss_offset, weight_offset; /* in the workspace */
} loss_kernel;

/* --- elements -------------------------------------------------------------------------------- */

typedef struct work {
    const loss_kernel *kernel;
    mls__indices labels;
    const void *x; /* logarithms of probabilities */
    int32_t x_dtype;
    const void *class_weights;
    void *log_probs;        /* of the type that is computed in, like all below */
    void *losses, *weights; /* of samples; weights may be NULL */
} work;

static double number_at(const loss_kernel *k, int32_t dtype, const void *x, int64_t i)
{
    float wide;
    if (dtype == MLS_FLOAT64)
        return ((const double *) x)[i];
    if (dtype == MLS_FLOAT32)
        return (double) ((const float *) x)[i];
    mls__half_of(k->base.cpu, dtype).to_f32(&wide, (const uint16_t *) x + i, 1);
    return (double) wide;
}

/* A product or quotient of two float32 that was rounded to double first is rounded right. */
static void set_number(const loss_kernel *k, void *y, int64_t i, double value)
{
    if (k->work_dtype == MLS_FLOAT64)
        ((double *) y)[i] = value;
    else
        ((float *) y)[i] = (float) value;
}

static bool is_ignored(const loss_kernel *k, int64_t label)
{
    return k->has_ignored && label == k->ignored;
}

/* Counts what is not ignored. */
static mls_status check_labels(const loss_kernel *k, const mls__indices *labels, int64_t *ret_count)
{
    int64_t count = 0;
    for (int64_t i = 0; i < labels->count; i++) {
        const int64_t label = mls__index_at(labels, i);
        if (is_ignored(k, label))
            continue;
        if (label < 0 || label >= k->classes)
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "label %" PRId64 " at position %" PRId64
                                      " of input 1 is none of %" PRId64 " classes",
                                      label, i, k->classes);
        count++;
    }
    *ret_count = count;
    return MLS_OK;
}

/* --- samples --------------------------------------------------------------------------------- */

static mls_status take_losses(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const loss_kernel *k = w->kernel;
    for (int64_t i = begin; i < end; i++) {
        const int64_t label = mls__index_at(&w->labels, i);
        double loss = 0, weight = 0;
        if (!is_ignored(k, label)) {
            const int64_t row = i / k->inner * k->classes + label;
            loss = -number_at(k, w->x_dtype, w->x, row * k->inner + i % k->inner);
            weight = w->class_weights ? number_at(k, k->dtype, w->class_weights, label) : 1;
        }
        set_number(k, w->losses, i, w->class_weights ? loss * weight : loss);
        if (w->weights)
            set_number(k, w->weights, i, weight);
    }
    return MLS_OK;
}

static mls_status log_slices(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const loss_kernel *k = w->kernel;
    const mls__log_softmax s = {k->base.cpu, k->work_dtype, k->is_rows, k->classes, k->inner};
    mls__log_softmax_slices(&s, w->log_probs, w->x, begin, end);
    return MLS_OK;
}

typedef struct conversion {
    const loss_kernel *kernel;
    int32_t to, from;
    void *y;
    const void *x;
} conversion;

static mls_status convert_range(void *arg, int64_t begin, int64_t end)
{
    const conversion *c = arg;
    const size_t to = mls_dtype_size((mls_dtype) c->to), from = mls_dtype_size((mls_dtype) c->from);
    mls__float_convert(c->kernel->base.cpu, c->to, (char *) c->y + (size_t) begin * to, c->from,
                       (const char *) c->x + (size_t) begin * from, end - begin);
    return MLS_OK;
}

/* --- a run ----------------------------------------------------------------------------------- */

static void take_logarithms(const mls_kernel_call *call, work *w)
{
    const loss_kernel *k = w->kernel;
    const int64_t samples = k->outer * k->inner, count = samples * k->classes;
    const bool is_half = k->dtype != k->work_dtype;
    void *log_probs = k->output_count > 1 ? call->buffers[k->input_count + 1] : NULL;
    void *memory = log_probs && !is_half ? log_probs : (char *) call->workspace + k->x_offset;
    w->log_probs = memory;
    if (is_half) {
        conversion widened = {k, k->work_dtype, k->dtype, memory, w->x};
        mls__cpu_ranges(call, k->threads, count, GRAIN, convert_range, &widened);
        w->x = memory;
    }
    if (count)
        mls__cpu_ranges(call, k->threads, samples, GRAIN / k->classes + 1, log_slices, w);
    w->x = memory;
    w->x_dtype = k->work_dtype;
    if (log_probs && is_half) {
        conversion narrowed = {k, k->dtype, k->work_dtype, log_probs, memory};
        mls__cpu_ranges(call, k->threads, count, GRAIN, convert_range, &narrowed);
    }
}

static double sum_of(const loss_kernel *k, const void *x, int64_t n)
{
    double sum;
    if (k->work_dtype == MLS_FLOAT32)
        return (double) k->base.cpu->kernels->reduce->row[MLS__REDUCE_SUM](x, n);
    mls__reduce_f64.row[MLS__REDUCE_SUM](&sum, x, n);
    return sum;
}

static void reduce_losses(const work *w, int64_t counted, void *y)
{
    const loss_kernel *k = w->kernel;
    const int64_t samples = k->outer * k->inner;
    mls__number result;
    double value = sum_of(k, w->losses, samples);
    if (k->reduction == REDUCE_MEAN) {
        mls__number divisor;
        set_number(k, &divisor, 0, w->weights ? sum_of(k, w->weights, samples) : (double) counted);
        value /= number_at(k, k->work_dtype, &divisor, 0);
    }
    set_number(k, &result, 0, value);
    mls__float_convert(k->base.cpu, k->dtype, y, k->work_dtype, &result, 1);
}

static mls_status loss_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const loss_kernel *k = (const loss_kernel *) base;
    const int64_t samples = k->outer * k->inner;
    char *memory = call->workspace;
    void *y = call->buffers[k->input_count];
    const bool is_direct = k->reduction == REDUCE_NONE && k->dtype == k->work_dtype;
    const bool is_weighed = k->reduction == REDUCE_MEAN && k->has_weights;
    work w = {.kernel = k,
              .labels = {call->buffers[1], k->has_wide_labels, samples},
              .x = call->buffers[0],
              .x_dtype = k->dtype,
              .class_weights = k->has_weights ? call->buffers[2] : NULL,
              .losses = is_direct ? y : memory + k->loss_offset,
              .weights = is_weighed ? memory + k->weight_offset : NULL};
    int64_t counted;
    const mls_status status = check_labels(k, &w.labels, &counted);
    if (status)
        return status;
    if (k->has_softmax)
        take_logarithms(call, &w);
    if (samples)
        mls__cpu_ranges(call, k->threads, samples, GRAIN, take_losses, &w);
    if (k->reduction != REDUCE_NONE)
        reduce_losses(&w, counted, y);
    else if (!is_direct)
        mls__float_convert(k->base.cpu, k->dtype, y, k->work_dtype, w.losses, samples);
    return MLS_OK;
}

/* --- the plan -------------------------------------------------------------------------------- */

static mls_status loss_reshape(mls_kernel *base, const mls_op *op)
{
    loss_kernel *k = (loss_kernel *) base;
    const mls_arg *x = &op->inputs[0];
    k->is_rows = x->rank == 2;
    k->outer = x->dims[0];
    k->classes = x->dims[1];
    k->inner = mls__arg_span(x, 2, x->rank);
    return MLS_OK;
}

/* For all that a run may need, whatever dims it has. */
static mls_status reserve(loss_kernel *k, const mls_op *op)
{
    const size_t size = mls_dtype_size((mls_dtype) k->work_dtype);
    const int64_t x_count = mls__arg_count(&op->inputs[0]);
    const int64_t samples = mls__arg_count(&op->inputs[1]);
    const bool is_half = k->dtype != k->work_dtype;
    const bool has_x = k->has_softmax && (is_half || k->output_count < 2);
    const bool has_losses = is_half || k->reduction != REDUCE_NONE;
    const bool has_weights = k->reduction == REDUCE_MEAN && k->has_weights;
    size_t bytes = 0;
    if (!mls__work_region(&bytes, has_x ? x_count : 0, size, &k->x_offset) ||
        !mls__work_region(&bytes, has_losses ? samples : 0, size, &k->loss_offset) ||
        !mls__work_region(&bytes, has_weights ? samples : 0, size, &k->weight_offset))
        return mls__op_error(op, MLS_ESHAPE, "the inputs are larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static reduction reduction_of(const mls_op *op)
{
    if (mls__op_string_is(op, "reduction", "none", "mean"))
        return REDUCE_NONE;
    return mls__op_string_is(op, "reduction", "sum", "mean") ? REDUCE_SUM : REDUCE_MEAN;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    loss_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "loss", loss_run, &k);
    if (status)
        return status;
    k->base.base.reshape = loss_reshape;
    k->reduction = reduction_of(op);
    k->has_softmax = strcmp(op->type, "SoftmaxCrossEntropyLoss") == 0;
    k->has_weights = mls__op_input(op, 2) != NULL;
    k->has_wide_labels = op->inputs[1].dtype == MLS_INT64;
    const mls_attr *ignored = mls__op_attr(op, "ignore_index");
    k->has_ignored = ignored && ignored->type == MLS_ATTR_INT;
    k->ignored = mls__op_int(op, "ignore_index", -1);
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    k->threads = op->threads;
    status = reserve(k, op);
    if (!status)
        status = loss_reshape(&k->base.base, op);
    if (status)
        k->base.base.free(&k->base.base);
    else
        *ret_kernel = &k->base.base;
    return status;
}

mls__cpu_op_table mls__cpu_ops_loss = {
    {"", "NegativeLogLikelihoodLoss", create, 0},
    {"", "SoftmaxCrossEntropyLoss", create, 0},
    {.type = NULL},
};
