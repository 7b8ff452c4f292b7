/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GatherBlockQuantized of com.microsoft: slices of quantized data picked by index, as floats:
 * (q - zero) * scale, each step rounded once, and once more to a float of 16 bits. An index that is
 * out of range gives zeros.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/indices.h"
#include "backend/cpu/ops/ranges.h"
#include "op/block_gather.h"

#include <string.h>

/* Elements that are worth a second thread. */
#define GRAIN 8192

typedef struct gather_blocks {
    mls__cpu_kernel base;
    mls__block_gather g;
    mls__half half;
    int32_t dtype;     /* of the data */
    int32_t out_dtype; /* of scales and output */
    bool has_zeros, is_wide;
    size_t y_index;
    uint32_t threads;
    int64_t outer, bound, inner; /* the data as [outer, bound, inner] */
    int64_t count;               /* of indices */
    int64_t behind;              /* elements of one step along block_axis */
} gather_blocks;

typedef struct work {
    const gather_blocks *k;
    const mls_kernel_call *call;
} work;

/* Element `index` of a packed list; of the 4-bit types, one in each byte. */
static float element_at(const gather_blocks *k, const uint8_t *list, int64_t index)
{
    const int64_t in_byte = 8 / k->g.bits;
    const unsigned shift = (unsigned) (index % in_byte * k->g.bits);
    const int value = (list[index / in_byte] >> shift) & ((1 << k->g.bits) - 1);
    if (k->dtype == MLS_INT4)
        return (float) (((value & 15) ^ 8) - 8);
    return (float) (k->dtype == MLS_UINT4 ? value & 15 : value);
}

static float scale_at(const work *w, int64_t index)
{
    float scale;
    if (w->k->out_dtype == MLS_FLOAT32)
        return ((const float *) w->call->buffers[2])[index];
    w->k->half.to_f32(&scale, (const uint16_t *) w->call->buffers[2] + index, 1);
    return scale;
}

/* Rows of packed zero points begin at whole bytes. */
static float zero_at(const work *w, int64_t index)
{
    const gather_blocks *k = w->k;
    const int64_t in_byte = 8 / k->g.bits, columns = k->g.columns;
    if (!k->has_zeros)
        return k->dtype == MLS_UINT8 ? (float) (1 << (k->g.bits - 1)) : 0;
    const int64_t padded = (columns + in_byte - 1) / in_byte * in_byte;
    return element_at(k, w->call->buffers[3], index / columns * padded + index % columns);
}

/* Elements from `from` on that share a scale, or have neighbouring ones: at most `most`. */
static int64_t run_at(const gather_blocks *k, int64_t from, int64_t most, int64_t *ret_scale)
{
    const int64_t length = k->g.dims[k->g.block_axis];
    const int64_t step = from / k->behind, place = step % length;
    const int64_t left =
        k->behind == 1 ? k->g.block - place % k->g.block : k->behind - from % k->behind;
    const int64_t to_end = k->behind == 1 ? length - place : left;
    const int64_t run = left < to_end ? left : to_end;
    *ret_scale = (step / length * k->g.blocks + place / k->g.block) * k->behind + from % k->behind;
    return run < most ? run : most;
}

/* `count` elements of the data from `from` on. */
static void expand(const work *w, int64_t from, int64_t count, float *ret_values)
{
    const gather_blocks *k = w->k;
    const uint8_t *data = w->call->buffers[0];
    for (int64_t done = 0, run; done < count; done += run) {
        int64_t at;
        run = run_at(k, from + done, count - done, &at);
        float scale = scale_at(w, at), zero = zero_at(w, at);
        for (int64_t i = done; i < done + run; i++) {
            ret_values[i] = (element_at(k, data, from + i) - zero) * scale;
            if (k->behind == 1 || i + 1 == done + run)
                continue;
            at++;
            scale = scale_at(w, at);
            zero = zero_at(w, at);
        }
    }
}

static void put(const work *w, int64_t at, const float *values, int64_t count)
{
    const gather_blocks *k = w->k;
    void *y = w->call->buffers[k->y_index];
    if (k->out_dtype == MLS_FLOAT32)
        memcpy((float *) y + at, values, (size_t) count * sizeof *values);
    else
        k->half.from_f32((uint16_t *) y + at, values, count);
}

/* Slices begin .. end-1 of the output. */
static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const gather_blocks *k = w->k;
    const mls__indices indices = {w->call->buffers[1], k->is_wide, k->count};
    for (int64_t i = begin; i < end; i++) {
        const int64_t asked = mls__index_at(&indices, i % k->count);
        const bool is_outside = mls__index_is_outside(asked, k->bound);
        const int64_t slice = i / k->count * k->bound + mls__index_from_start(asked, k->bound);
        float values[MLS__BLOCK] = {0};
        for (int64_t e = 0; e < k->inner; e += MLS__BLOCK) {
            const int64_t n = k->inner - e < MLS__BLOCK ? k->inner - e : MLS__BLOCK;
            if (!is_outside)
                expand(w, slice * k->inner + e, n, values);
            put(w, i * k->inner + e, values, n);
        }
    }
    return MLS_OK;
}

static mls_status gather_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const gather_blocks *k = (const gather_blocks *) kernel;
    work w = {k, call};
    return mls__cpu_ranges(call, k->threads, k->outer * k->count, GRAIN / (k->inner + 1) + 1,
                           run_range, &w);
}

static mls_status gather_reshape(mls_kernel *kernel, const mls_op *op)
{
    gather_blocks *k = (gather_blocks *) kernel;
    const mls_status status = mls__op_block_gather(op, &k->g);
    if (status)
        return status;
    k->outer = k->inner = k->behind = 1;
    for (int i = 0; i < k->g.rank; i++) {
        if (i < k->g.gather_axis)
            k->outer *= k->g.dims[i];
        if (i > k->g.gather_axis)
            k->inner *= k->g.dims[i];
        if (i > k->g.block_axis)
            k->behind *= k->g.dims[i];
    }
    k->bound = k->g.dims[k->g.gather_axis];
    k->count = mls__arg_count(&op->inputs[1]);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    gather_blocks *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "gather_blocks", gather_run, &k);
    if (status)
        return status;
    k->base.base.reshape = gather_reshape;
    k->dtype = op->inputs[0].dtype;
    k->is_wide = op->inputs[1].dtype == MLS_INT64;
    k->out_dtype = op->inputs[2].dtype;
    k->has_zeros = mls__op_input(op, 3) != NULL;
    k->threads = op->threads;
    k->y_index = op->input_count;
    if (mls__is_half(k->out_dtype))
        k->half = mls__half_of(cpu, k->out_dtype);
    status = gather_reshape(&k->base.base, op);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_gather_blocks = {
    {"com.microsoft", "GatherBlockQuantized", create, 0},
    {.type = NULL},
};
