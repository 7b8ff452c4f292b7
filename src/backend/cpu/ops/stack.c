/* SPDX-License-Identifier: Apache-2.0 */
/* Making the kernel of ConvStack: its stages, which of them make groups, and the workspace. */
#include "backend/cpu/ops/stack.h"

#include "backend/cpu/ops/families.h"
#include "base/alloc.h"
#include "op/pooling.h"

#include <stdio.h>
#include <string.h>

/*
 * An image as large as this leaves nothing else in the second cache: bytes. Smaller ones gain less
 * than the calls for some rows at a time cost.
 */
#define LARGE_IMAGE (INT64_C(384) << 10)
/* What stays there between two batches of a group: the weights of a stage, and all rings. */
#define MOST_WEIGHTS (INT64_C(96) << 10)
#define MOST_RINGS   (INT64_C(384) << 10)
/* Outputs at once are worth the calls of each stage. */
#define FEW_OUTPUTS 128

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

int mls__stack_group_end(const mls__stack_kernel *k, int first)
{
    int end = first + 1;
    while (end < k->stack.count && k->parts[end].joins)
        end++;
    return end;
}

static const mls__conv_op *conv_of_part(const mls__stack_part *p)
{
    return p->is_pool ? NULL : (const mls__conv_op *) p->kernel;
}

/* --- dims ------------------------------------------------------------------------------------ */

static void set_image(const mls_arg *arg, bool is_blocked, int64_t *ret_rows, int64_t *ret_width,
                      int64_t *ret_elements)
{
    const bool is_plane = arg->rank == 4 + is_blocked;
    *ret_rows = is_plane ? arg->dims[2] : 0;
    *ret_width = is_plane ? arg->dims[3] : 0;
    *ret_elements = mls__arg_span(arg, 1, arg->rank);
}

static mls_status set_window(mls__stack_part *p, const mls_op *op)
{
    mls__convolution c;
    if (!p->is_pool) {
        const mls_status status = mls__op_convolution(op, &c);
        const mls__conv_axis *axis = &c.axes[0];
        if (status)
            return status;
        p->extent = (axis->kernel - 1) * axis->dilation + 1;
        p->stride = axis->stride;
        p->before = axis->before;
        return MLS_OK;
    }
    mls__pooling g;
    const mls_status status = mls__op_blocked_pooling(op, &g, NULL);
    if (status)
        return status;
    p->extent = (g.axes[0].kernel - 1) * g.axes[0].dilation + 1;
    p->stride = g.axes[0].stride;
    p->before = g.axes[0].before;
    return MLS_OK;
}

static mls_status set_dims(mls__stack_kernel *k, int stage, const mls_op *op)
{
    mls__stack_part *p = &k->parts[stage];
    const bool is_blocked = p->is_pool || mls__op_int(op, "x_blocked", 0) != 0;
    set_image(&op->inputs[0], is_blocked, &p->x_rows, &p->x_width, &p->x_elements);
    set_image(&op->outputs[0], true, &p->y_rows, &p->y_width, &p->y_elements);
    p->y_blocks = op->outputs[0].dims[1];
    p->y_size = mls_dtype_size((mls_dtype) op->outputs[0].dtype);
    return set_window(p, op);
}

/* Works out the dims of all stages, and has `visit` see each with its own. */
typedef mls_status (*stage_fn)(mls__stack_kernel *k, int stage, const mls_op *op);
static mls_status visit_stages(mls__stack_kernel *k, const mls_op *op, stage_fn visit)
{
    mls_arg x = op->inputs[0];
    mls_status status = MLS_OK;
    for (int i = 0; i < k->stack.count && !status; i++) {
        mls__stage_view view;
        mls_arg result;
        mls__stack_view_stage(&k->stack, i, op, &x, &view);
        status = mls__stack_result(&view, &result);
        view.op.outputs = &result;
        if (!status)
            status = visit(k, i, &view.op);
        if (!status)
            status = set_dims(k, i, &view.op);
        if (!status)
            x = result;
    }
    k->images = x.dims[0];
    k->is_empty = !status && mls__arg_count(&x) == 0;
    return status;
}

/* --- groups ---------------------------------------------------------------------------------- */

static bool is_banded(const mls__stack_part *p)
{
    if (!p->y_rows || !p->x_rows || !p->x_width)
        return false;
    return p->is_pool ? mls__blocked_pool_is_banded(p->kernel)
                      : mls__conv_is_banded(conv_of_part(p));
}

static int64_t weights_bytes(const mls__stack_part *p)
{
    const mls__conv_op *conv = conv_of_part(p);
    size_t bytes;
    return conv && mls__conv_pack_size(conv, &bytes) ? (int64_t) bytes : 0;
}

/* Rows at once, and the rings that this needs; their bytes. */
static int64_t set_batches(mls__stack_kernel *k, int first, int end)
{
    mls__stack_part *p = &k->parts[end - 1];
    int64_t bytes = 0;
    p->batch = divide_up(FEW_OUTPUTS, p->y_width);
    for (int i = end - 1; i > first; i--) {
        p = &k->parts[i];
        k->parts[i - 1].batch = p->batch * p->stride;
        k->parts[i - 1].ring_rows = (p->batch - 1) * p->stride + p->extent;
        bytes += p[-1].ring_rows * p[-1].y_width * p[-1].y_blocks * MLS__CONV_BLOCK *
                 (int64_t) sizeof(float);
    }
    return bytes;
}

/* Whether a stage gains by running with the group before it, which begins with `first`. */
static bool is_joined(mls__stack_kernel *k, int first, int stage)
{
    const mls__stack_part *p = &k->parts[stage], *before = p - 1;
    const bool has_residual = !before->is_pool && before->input_count == 3;
    return is_banded(before) && is_banded(p) && !has_residual &&
           before->y_elements * (int64_t) sizeof(float) >= LARGE_IMAGE &&
           weights_bytes(before) <= MOST_WEIGHTS && weights_bytes(p) <= MOST_WEIGHTS &&
           p->extent <= before->y_rows && set_batches(k, first, stage + 1) <= MOST_RINGS;
}

static void choose_groups(mls__stack_kernel *k)
{
    for (int i = 1, first = 0; i < k->stack.count; i++) {
        k->parts[i].joins = is_joined(k, first, i);
        if (!k->parts[i].joins)
            first = i;
    }
    for (int i = 0, end; i < k->stack.count; i = end) {
        end = mls__stack_group_end(k, i);
        if (end - i > 1)
            set_batches(k, i, end);
    }
}

/* --- workspace ------------------------------------------------------------------------------- */

/* Room for `bytes` at *ret_offset; false when it overflows. */
static bool add_bytes(size_t *total, size_t bytes, uint64_t *ret_offset)
{
    *ret_offset = *total;
    return mls__align_size(bytes, &bytes) && mls__add_size(*total, bytes, total);
}

static bool add_ring(const mls__stack_part *p, size_t *total, uint64_t *ret_offset)
{
    size_t bytes;
    return mls__mul_size((size_t) p->ring_rows, (size_t) p->y_width, &bytes) &&
           mls__mul_size(bytes, (size_t) p->y_blocks, &bytes) &&
           mls__mul_size(bytes, MLS__CONV_BLOCK * sizeof(float), &bytes) &&
           add_bytes(total, bytes, ret_offset);
}

/* A thread's slot of a group: its rings, and what its stages' rows need. */
static bool place_slot(mls__stack_kernel *k, int first, int end)
{
    size_t bytes = 0;
    for (int i = first; i < end; i++) {
        mls__stack_part *p = &k->parts[i];
        const size_t own =
            p->is_pool ? mls__blocked_pool_slot(p->kernel) : (size_t) conv_of_part(p)->slot_bytes;
        if (!add_bytes(&bytes, own, &p->own_offset) ||
            (i + 1 < end && !add_ring(p, &bytes, &p->ring_offset)))
            return false;
    }
    if (bytes > k->slot_bytes)
        k->slot_bytes = bytes;
    return true;
}

/* The workspaces of kernels that are at work together. */
static bool place_kernels(mls__stack_kernel *k, int first, int end, size_t offset, size_t *most)
{
    for (int i = first; i < end; i++)
        if (!add_bytes(&offset, (size_t) k->parts[i].kernel->workspace_bytes,
                       &k->parts[i].workspace_offset))
            return false;
    if (offset > *most)
        *most = offset;
    return true;
}

/* Images between groups are in two regions by turns. */
static bool place_images(mls__stack_kernel *k, size_t *total)
{
    size_t most[2] = {0, 0};
    for (int i = 0, at = 0, end; i < k->stack.count; i = end, at ^= 1) {
        const mls__stack_part *p = &k->parts[(end = mls__stack_group_end(k, i)) - 1];
        size_t bytes;
        if (!mls__mul_size((size_t) p->y_elements, (size_t) k->images, &bytes) ||
            !mls__mul_size(bytes, p->y_size, &bytes))
            return false;
        if (end < k->stack.count && bytes > most[at])
            most[at] = bytes;
    }
    uint64_t offsets[2];
    if (!add_bytes(total, most[0], &offsets[0]) || !add_bytes(total, most[1], &offsets[1]))
        return false;
    for (int i = 0, at = 0, end; i < k->stack.count; i = end, at ^= 1) {
        end = mls__stack_group_end(k, i);
        k->parts[end - 1].y_offset = offsets[at];
    }
    return true;
}

static mls_status place(mls__stack_kernel *k, const mls_op *op, size_t *ret_bytes)
{
    size_t slots, most;
    bool fits = true;
    k->slot_bytes = k->slots_offset = 0;
    for (int i = 0, end; i < k->stack.count && fits; i = end) {
        end = mls__stack_group_end(k, i);
        fits = end - i < 2 || place_slot(k, i, end);
    }
    fits = fits && mls__mul_size((size_t) k->slot_bytes, k->threads, &slots);
    most = fits ? slots : 0;
    for (int i = 0, end; i < k->stack.count && fits; i = end) {
        end = mls__stack_group_end(k, i);
        fits = place_kernels(k, i, end, slots, &most);
    }
    fits = fits && place_images(k, &most);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its images are larger than memory can be");
    *ret_bytes = most;
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status follow_stage(mls__stack_kernel *k, int stage, const mls_op *op)
{
    mls_kernel *kernel = k->parts[stage].kernel;
    return kernel->reshape ? kernel->reshape(kernel, op) : MLS_OK;
}

static mls_status stack_reshape(mls_kernel *kernel, const mls_op *op)
{
    mls__stack_kernel *k = (mls__stack_kernel *) kernel;
    size_t bytes = 0;
    mls_status status = visit_stages(k, op, follow_stage);
    bool fits = true;
    for (int i = 1; i < k->stack.count && !k->is_empty; i++)
        fits = fits &&
               (!k->parts[i].joins || (is_banded(&k->parts[i]) && is_banded(&k->parts[i - 1])));
    if (!status)
        status = place(k, op, &bytes);
    if (!status && (!fits || bytes > kernel->workspace_bytes))
        status = mls__op_error(op, MLS_ELIMIT, "needs more memory at these dims than planned");
    return status;
}

static void stack_free(mls_kernel *kernel)
{
    mls__stack_kernel *k = (mls__stack_kernel *) kernel;
    for (int i = 0; i < k->stack.count; i++)
        if (k->parts[i].kernel)
            k->parts[i].kernel->free(k->parts[i].kernel);
    mls__cpu_kernel_free(kernel);
}

static mls_status create_stage(mls__stack_kernel *k, int stage, const mls_op *op)
{
    mls__stack_part *p = &k->parts[stage];
    p->is_pool = strcmp(op->type, "FusedConv") != 0;
    p->input = k->stack.stages[stage].input_begin;
    p->input_count = k->stack.stages[stage].input_count;
    return mls__cpu_op_find(op->domain, op->type)->create(k->base.cpu, op, &p->kernel);
}

/* The stages' kernels, those of a group with a plus between them. */
static void set_name(mls__stack_kernel *k)
{
    int length = snprintf(k->name, sizeof k->name, "stack:");
    for (int i = 0; i < k->stack.count && length < (int) sizeof k->name; i++)
        length += snprintf(k->name + length, sizeof k->name - (size_t) length, "%s%s",
                           k->parts[i].joins ? "+" : " ", k->parts[i].kernel->name);
    k->base.base.name = k->name;
}

static mls_status prepare(mls__stack_kernel *k, const mls_op *op)
{
    size_t bytes = 0;
    mls_status status = mls__stack_read(op, &k->stack);
    if (status) {
        k->stack.count = 0;
        return status;
    }
    status = visit_stages(k, op, create_stage);
    if (status)
        return status;
    choose_groups(k);
    set_name(k);
    status = place(k, op, &bytes);
    k->base.base.workspace_bytes = bytes;
    return status;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__stack_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "stack", mls__stack_run, &k);
    if (status)
        return status;
    k->base.base.reshape = stack_reshape;
    k->base.base.free = stack_free;
    k->threads = op->threads;
    status = prepare(k, op);
    if (status) {
        stack_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_stack = {
    {"mlscale", MLS__STACK_TYPE, create, 0},
    {.type = NULL},
};
