/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions that kernels are fast at go through them, the others block by block. */
#include "backend/cpu/ops/float_work.h"

#include "backend/cpu/ops/binary_loops.h"
#include "backend/cpu/ops/broadcast.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/unary_loops.h"
#include "base/alloc.h"

#include <string.h>

static void convert_blocks(int32_t to, char *y, int32_t from, const char *x, int64_t n)
{
    static const mls__cast_rules rules = {.saturate = false};
    const int64_t x_size = (int64_t) mls_dtype_size((mls_dtype) from);
    const int64_t y_size = (int64_t) mls_dtype_size((mls_dtype) to);
    mls__wide wide;
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        mls__widen(from, &wide, x + i * x_size, m);
        mls__narrow(to, MLS__WIDE_FLOAT, &wide, y + i * y_size, m, &rules);
    }
}

void mls__float_convert(const mls__cpu *cpu, int32_t to, void *y, int32_t from, const void *x,
                        int64_t n)
{
    if (to == from) {
        if (n && y != x)
            memcpy(y, x, (size_t) n * mls_dtype_size((mls_dtype) to));
    } else if (mls__is_half(from) && to == MLS_FLOAT32) {
        mls__half_of(cpu, from).to_f32(y, x, n);
    } else if (mls__is_half(to) && from == MLS_FLOAT32) {
        mls__half_of(cpu, to).from_f32(y, x, n);
    } else {
        convert_blocks(to, y, from, x, n);
    }
}

const void *mls__float_widened(const mls__cpu *cpu, const mls_kernel_call *call, size_t input,
                               int32_t dtype, uint64_t offset, int64_t count)
{
    if (mls__work_dtype(dtype) == dtype)
        return call->buffers[input];
    void *wide = (char *) call->workspace + offset;
    mls__float_convert(cpu, mls__work_dtype(dtype), wide, dtype, call->buffers[input], count);
    return wide;
}

typedef struct stretch {
    const mls__cpu *cpu;
    const mls__broadcast *plan;
    int32_t to, from;
    char *y;
    const char *x;
} stretch;

static mls_status stretch_segment(void *arg, int64_t y, const int64_t *x, int64_t n)
{
    const stretch *s = arg;
    const size_t x_size = mls_dtype_size((mls_dtype) s->from);
    const size_t y_size = mls_dtype_size((mls_dtype) s->to);
    char *out = s->y + (size_t) y * y_size;
    const char *in = s->x + (size_t) x[0] * x_size;
    if (s->plan->steps[0]) {
        mls__float_convert(s->cpu, s->to, out, s->from, in, n);
        return MLS_OK;
    }
    mls__float_convert(s->cpu, s->to, out, s->from, in, 1);
    for (int64_t i = 1; i < n; i++)
        memcpy(out + (size_t) i * y_size, out, y_size);
    return MLS_OK;
}

void mls__float_stretch(const mls__cpu *cpu, const mls_arg *shape, void *y, const mls_arg *input,
                        const void *x)
{
    mls__broadcast plan;
    mls__broadcast_plan(&plan, shape, input, 1);
    stretch s = {cpu, &plan, shape->dtype, input->dtype, y, x};
    mls__broadcast_walk(&plan, 0, plan.count, stretch_segment, &s);
}

void mls__float_unary(const mls__cpu *cpu, int32_t dtype, mls__unary_op op, void *y, const void *x,
                      int64_t n)
{
    if (dtype == MLS_FLOAT64)
        mls__unary_loop(op, dtype)(y, x, n, (const float[]){0, 0});
    else
        cpu->kernels->elementwise->unary[op](y, x, n, NULL);
}

void mls__float_binary(const mls__cpu *cpu, int32_t dtype, mls__binary_op op, void *y,
                       const void *a, int64_t a_step, const void *b, int64_t b_step, int64_t n)
{
    if (dtype == MLS_FLOAT64)
        mls__binary_loop(op, dtype)(y, a, a_step, b, b_step, n);
    else
        cpu->kernels->elementwise->binary[op](y, a, a_step, b, b_step, n);
}

bool mls__work_region(size_t *total, int64_t count, size_t size, uint64_t *ret_offset)
{
    size_t bytes;
    *ret_offset = *total;
    return mls__mul_size((size_t) count, size, &bytes) && mls__align_size(bytes, &bytes) &&
           mls__add_size(*total, bytes, total);
}
