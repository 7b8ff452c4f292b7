/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Col2Im: blocks added up where they overlap. An element's sum is over the places within a block,
 * in order. 16-bit floats add up in float32; integers wrap around.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "op/image.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

/* y[i * stride] += x[i] for i < n. */
typedef void (*add_fn)(void *y, int64_t stride, const void *x, int64_t n);

#define ADD(name, T)                                                                               \
    static void name(void *y, int64_t stride, const void *x, int64_t n)                            \
    {                                                                                              \
        T *sums = y;                                                                               \
        const T *p = x;                                                                            \
        for (int64_t i = 0; i < n; i++)                                                            \
            sums[i * stride] = (T) (sums[i * stride] + p[i]);                                      \
    }

ADD(add_f32, float)
ADD(add_f64, double)
ADD(add_u8, uint8_t)
ADD(add_u16, uint16_t)
ADD(add_u32, uint32_t)
ADD(add_u64, uint64_t)

static add_fn add_of(int32_t dtype)
{
    static const add_fn table[] = {
        [MLS_FLOAT32] = add_f32,  [MLS_FLOAT64] = add_f64, [MLS_FLOAT16] = add_f32,
        [MLS_BFLOAT16] = add_f32, [MLS_INT8] = add_u8,     [MLS_UINT8] = add_u8,
        [MLS_INT16] = add_u16,    [MLS_UINT16] = add_u16,  [MLS_INT32] = add_u32,
        [MLS_UINT32] = add_u32,   [MLS_INT64] = add_u64,   [MLS_UINT64] = add_u64,
    };
    return (size_t) dtype < sizeof table / sizeof table[0] ? table[dtype] : NULL;
}

typedef struct col2im_kernel {
    mls__cpu_kernel base;
    add_fn add;
    mls__blocks blocks;
    int32_t dtype, work_dtype;
    int64_t size;                  /* bytes of an element that is added */
    int64_t images, image, column; /* images; elements of one, and of the blocks of one */
    uint64_t x_offset, y_offset;   /* in the workspace, where the dtype is not added as it is */
    uint32_t threads;
} col2im_kernel;

/* The positions p of blocks whose element `offset` is inside the image: [*ret_from, return). */
static int64_t inside(const mls__blocks *b, int axis, int64_t offset, int64_t *ret_from)
{
    const int64_t shift = offset * b->dilation[axis] - b->before[axis], stride = b->stride[axis];
    const int64_t below = shift < 0 ? (-shift + stride - 1) / stride : 0;
    const int64_t room = b->image[axis] - shift;
    const int64_t end = room <= 0 ? 0 : (room - 1) / stride + 1;
    const int64_t to = end < b->positions[axis] ? end : b->positions[axis];
    *ret_from = below < to ? below : to;
    return to;
}

/* One place within the blocks: all blocks' elements at it. Rows are along the last dimension. */
static void add_place(const col2im_kernel *k, const int64_t *place, char *y, const char *x)
{
    const mls__blocks *b = &k->blocks;
    const int last = b->rank - 1;
    const int64_t columns = b->positions[last];
    int64_t from;
    const int64_t to = inside(b, last, place[last], &from);
    for (int64_t row = 0; row < b->position_count / columns; row++) {
        int64_t rest = row, stride = b->image[last], at = 0;
        bool is_inside = from < to;
        for (int i = last - 1; i >= 0; i--) {
            const int64_t index =
                rest % b->positions[i] * b->stride[i] - b->before[i] + place[i] * b->dilation[i];
            is_inside &= index >= 0 && index < b->image[i];
            rest /= b->positions[i];
            at += index * stride;
            stride *= b->image[i];
        }
        if (!is_inside)
            continue;
        at += from * b->stride[last] - b->before[last] + place[last] * b->dilation[last];
        k->add(y + at * k->size, b->stride[last], x + (row * columns + from) * k->size, to - from);
    }
}

static void add_image(const col2im_kernel *k, char *y, const char *x)
{
    const mls__blocks *b = &k->blocks;
    int64_t place[MLS_MAX_RANK] = {0};
    memset(y, 0, (size_t) (k->image * k->size));
    for (int64_t i = 0; i < b->block_count; i++) {
        add_place(k, place, y, x + i * b->position_count * k->size);
        for (int d = b->rank - 1; d >= 0 && ++place[d] == b->block[d]; d--)
            place[d] = 0;
    }
}

typedef struct work {
    const col2im_kernel *kernel;
    const char *x;
    char *y;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const col2im_kernel *k = w->kernel;
    for (int64_t i = begin; i < end; i++)
        add_image(k, w->y + i * k->image * k->size, w->x + i * k->column * k->size);
    return MLS_OK;
}

static mls_status col2im_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const col2im_kernel *k = (const col2im_kernel *) base;
    const bool is_converted = k->work_dtype != k->dtype;
    char *workspace = call->workspace;
    work w = {k, call->buffers[0], call->buffers[3]};
    if (!k->images || !k->image)
        return MLS_OK;
    if (!k->column) {
        memset(w.y, 0, (size_t) (k->images * k->image) * mls_dtype_size((mls_dtype) k->dtype));
        return MLS_OK;
    }
    if (is_converted) {
        w.x = workspace + k->x_offset;
        w.y = workspace + k->y_offset;
        mls__float_convert(k->base.cpu, k->work_dtype, workspace + k->x_offset, k->dtype,
                           call->buffers[0], k->images * k->column);
    }
    const mls_status status =
        mls__cpu_row_ranges(call, k->threads, k->images, GRAIN / k->column + 1, run_range, &w);
    if (is_converted)
        mls__float_convert(k->base.cpu, k->dtype, call->buffers[3], k->work_dtype, w.y,
                           k->images * k->image);
    return status;
}

static mls_status col2im_reshape(mls_kernel *base, const mls_op *op)
{
    col2im_kernel *k = (col2im_kernel *) base;
    const mls_arg *y = &op->outputs[0];
    const mls_status status = mls__op_blocks(op, &k->blocks);
    if (status)
        return status;
    k->images = y->dims[0] * y->dims[1];
    k->image = mls__arg_span(y, 2, y->rank);
    k->column = k->blocks.block_count * k->blocks.position_count;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    const bool is_half = mls__is_half(dtype);
    col2im_kernel *k;
    size_t bytes = 0;
    if (!add_of(dtype))
        return mls__cpu_dtype_error(op, 0);
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "col2im", col2im_run, &k);
    if (status)
        return status;
    k->base.base.reshape = col2im_reshape;
    k->add = add_of(dtype);
    k->dtype = dtype;
    k->work_dtype = is_half ? MLS_FLOAT32 : dtype;
    k->size = (int64_t) mls_dtype_size((mls_dtype) k->work_dtype);
    k->threads = op->threads;
    if (is_half &&
        (!mls__work_region(&bytes, mls__arg_count(&op->inputs[0]), sizeof(float), &k->x_offset) ||
         !mls__work_region(&bytes, mls__arg_count(&op->outputs[0]), sizeof(float), &k->y_offset))) {
        k->base.base.free(&k->base.base);
        return mls__op_error(op, MLS_ESHAPE, "the image is larger than memory can be");
    }
    k->base.base.workspace_bytes = bytes;
    *ret_kernel = &k->base.base;
    return col2im_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_col2im = {
    {"", "Col2Im", create, 0},
    {.type = NULL},
};
