/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pad: the elements that are kept are one strided copy; then each axis, from the last to
 * the first, is padded from what its own line holds by then. So every element of the
 * output is written once, and all modes but constant are copies within the output.
 */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/half.h"
#include "op/movement.h"
#include "tensor/shape.h"

#include <string.h>

typedef struct padded_axis {
    mls__pad pad;
    int64_t stride; /* in the output, in bytes */
} padded_axis;

typedef struct pad {
    mls__cpu_kernel base;
    bool is_centered; /* CenterCropPad, which pads with zeros */
    mls__pad_mode mode;
    size_t element_size;
    size_t value, output; /* their positions among the buffers; no value: SIZE_MAX, then ... */
    mls_string fill;      /* ... the bytes of an element: zero, or below opset 11 an attribute */
    /* The axes in front of the first that changes, as one; what follows is of each. */
    int64_t outer, parts;
    int64_t source_bytes, target_bytes;
    int64_t source_offset, target_offset; /* of the first element that is kept */
    mls__copy kept;
    int rank;
    padded_axis axes[MLS_MAX_RANK];
    bool is_empty;
} pad;

typedef struct pad_call {
    const pad *kernel;
    const mls_kernel_call *call; /* NULL: on this thread */
    const char *source;
    char *target;
    const void *value;
} pad_call;

/* Which of `count` elements stands at `position`, which may lie before or behind them. */
static int64_t source_position(mls__pad_mode mode, int64_t position, int64_t count)
{
    const int64_t period = mode == MLS__PAD_WRAP ? count : 2 * (count - 1);
    if (mode == MLS__PAD_EDGE || count == 1)
        return position < 0 ? 0 : position < count ? position : count - 1;
    int64_t phase = position % period;
    phase = phase < 0 ? phase + period : phase;
    return phase < count ? phase : period - phase;
}

/* Positions [begin, end) of a line whose kept ones are there already. */
static void pad_run(const pad *kernel, const padded_axis *axis, const void *value, char *line,
                    int64_t begin, int64_t end)
{
    if (begin == end)
        return;
    if (kernel->mode == MLS__PAD_CONSTANT) {
        const int64_t count = (end - begin) * axis->stride / (int64_t) kernel->element_size;
        mls__fill(line + begin * axis->stride, count, value, kernel->element_size);
        return;
    }
    const mls__pad *p = &axis->pad;
    for (int64_t i = begin; i < end; i++) {
        const int64_t from = p->before + source_position(kernel->mode, i - p->before, p->kept);
        memcpy(line + i * axis->stride, line + from * axis->stride, (size_t) axis->stride);
    }
}

/* Every line of `axis` at kept positions of the axes in front of it. */
static void pad_lines(const pad_call *call, int axis, int depth, char *target)
{
    const padded_axis *a = &call->kernel->axes[depth];
    if (depth == axis) {
        pad_run(call->kernel, a, call->value, target, 0, a->pad.before);
        pad_run(call->kernel, a, call->value, target, a->pad.before + a->pad.kept, a->pad.dim);
        return;
    }
    for (int64_t i = 0; i < a->pad.kept; i++)
        pad_lines(call, axis, depth + 1, target + (a->pad.before + i) * a->stride);
}

static void run_outer(const pad_call *call, int64_t begin, int64_t end)
{
    const pad *kernel = call->kernel;
    for (int64_t o = begin; o < end; o++) {
        char *target = call->target + o * kernel->target_bytes;
        if (!kernel->kept.is_empty)
            mls__copy_run(&kernel->kept, call->call, target + kernel->target_offset,
                          call->source + o * kernel->source_bytes + kernel->source_offset);
        for (int axis = kernel->rank - 1; axis >= 0; axis--)
            if (kernel->axes[axis].pad.kept < kernel->axes[axis].pad.dim)
                pad_lines(call, axis, 0, target);
    }
}

static void run_part(void *arg, size_t index)
{
    const pad_call *call = arg;
    const int64_t parts = call->kernel->parts, outer = call->kernel->outer;
    const int64_t part = (int64_t) index;
    run_outer(call, mls__part_begin(outer, 1, part, parts),
              mls__part_begin(outer, 1, part + 1, parts));
}

static mls_status run_pad(const mls_kernel *base, const mls_kernel_call *call)
{
    const pad *kernel = (const pad *) base;
    pad_call arg = {.kernel = kernel,
                    .source = call->buffers[0],
                    .target = call->buffers[kernel->output],
                    .value =
                        kernel->value == SIZE_MAX ? &kernel->fill : call->buffers[kernel->value]};
    if (kernel->is_empty)
        return MLS_OK;
    if (kernel->parts > 1) {
        call->parallel_for(call->executor, (size_t) kernel->parts, run_part, &arg);
        return MLS_OK;
    }
    arg.call = call;
    run_outer(&arg, 0, kernel->outer);
    return MLS_OK;
}

/* Which of the axes in front stay as they are, and how far those behind do. */
static void plan_axes(pad *kernel, const mls_arg *input, const mls_arg *output,
                      const mls__pad *pads, int *ret_first)
{
    int first = 0, last = input->rank;
    while (first < input->rank && pads[first].kept == input->dims[first] &&
           pads[first].dim == input->dims[first])
        first++;
    while (last > first && pads[last - 1].kept == pads[last - 1].dim)
        last--;
    int64_t strides[MLS_MAX_RANK];
    mls__shape_strides(output->rank, output->dims, strides);
    kernel->rank = last - first;
    for (int i = first; i < last; i++) {
        kernel->axes[i - first].pad = pads[i];
        kernel->axes[i - first].stride = strides[i] * (int64_t) kernel->element_size;
    }
    *ret_first = first;
}

static void plan_kept(pad *kernel, const mls_op *op, const mls__pad *pads, int first)
{
    const mls_arg *input = &op->inputs[0], *output = &op->outputs[0];
    const int64_t size = (int64_t) kernel->element_size;
    int64_t source[MLS_MAX_RANK], target[MLS_MAX_RANK];
    mls__shape_strides(input->rank, input->dims, source);
    mls__shape_strides(output->rank, output->dims, target);
    kernel->source_offset = kernel->target_offset = 0;
    mls__copy_begin(&kernel->kept, kernel->element_size);
    for (int i = first; i < input->rank; i++)
        kernel->kept.is_empty |= pads[i].kept == 0;
    for (int i = first; i < input->rank && !kernel->kept.is_empty; i++) {
        mls__copy_loop(&kernel->kept, pads[i].kept, target[i], source[i]);
        kernel->source_offset += pads[i].source * source[i] * size;
        kernel->target_offset += pads[i].before * target[i] * size;
    }
    mls__copy_end(&kernel->kept, kernel->parts > 1 ? 1 : op->threads);
}

static mls_status plan_pad(mls_kernel *base, const mls_op *op)
{
    pad *kernel = (pad *) base;
    const mls_arg *input = &op->inputs[0], *output = &op->outputs[0];
    const int64_t bytes = (int64_t) mls__arg_bytes(output);
    mls__pad pads[MLS_MAX_RANK];
    int first;
    mls_status status = mls__op_pad_mode(op, &kernel->mode);
    if (!status)
        status = kernel->is_centered ? mls__op_center(op, pads) : mls__op_pads(op, pads);
    kernel->is_empty = bytes == 0;
    if (status || kernel->is_empty)
        return status;
    plan_axes(kernel, input, output, pads, &first);
    kernel->outer = mls__arg_span(input, 0, first);
    kernel->source_bytes =
        mls__arg_span(input, first, input->rank) * (int64_t) kernel->element_size;
    kernel->target_bytes = bytes / kernel->outer;
    const int64_t parts = mls__copy_parts(op->threads, bytes);
    kernel->parts = kernel->outer >= parts ? parts : 1;
    plan_kept(kernel, op, pads, first);
    return MLS_OK;
}

/* Below opset 11 the value is an attribute. */
static mls_status read_fill(pad *kernel, const mls_op *op)
{
    const mls_attr *attr = mls__op_attr(op, "value");
    if (!attr)
        return MLS_OK;
    if (!mls__float_element(kernel->base.cpu, op->inputs[0].dtype, attr->f, &kernel->fill))
        return mls__op_error(op, MLS_EDTYPE, "attribute value pads %s; only floats can be",
                             mls_dtype_name((mls_dtype) op->inputs[0].dtype));
    return MLS_OK;
}

static mls_status create_pad(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    pad *kernel;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *kernel, "pad", run_pad, &kernel);
    if (status)
        return status;
    mls_kernel *base = &kernel->base.base;
    kernel->element_size = mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    kernel->is_centered = strcmp(op->type, "CenterCropPad") == 0;
    kernel->value = mls__op_input(op, 2) ? 2 : SIZE_MAX;
    kernel->output = op->input_count;
    base->reshape = plan_pad;
    status = read_fill(kernel, op);
    if (!status)
        status = plan_pad(base, op);
    if (status) {
        base->free(base);
        return status;
    }
    *ret_kernel = base;
    return MLS_OK;
}

const mls__cpu_op mls__cpu_ops_pad[] = {
    {"", "Pad", create_pad, 0},
    {"", "CenterCropPad", create_pad, 0},
    {0},
};
