/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MatMulNBits of com.microsoft: rows times weights of 2, 4 or 8 bits, which stay packed in memory.
 * A few panels at a time become float32, in the second-level cache, and are multiplied as any wide
 * product is (kernels/gemm.h), or in registers where there are few rows: an output has the bytes
 * that DequantizeLinear and a wide MatMul would give. 16-bit floats are computed in float32, and
 * rounded once.
 */
#include "backend/cpu/ops/block_product.h"

#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "base/alloc.h"

#include <string.h>

/* Panels that are multiplied together: as many as this many floats hold, at most four. */
#define GROUP_FLOATS 65536
/* Rows that are multiplied without weights in memory. */
#define FEW_ROWS 2
/* Multiply-adds that take longer than waking a thread. */
#define LARGE_WORK (INT64_C(1) << 20)

typedef struct block_product {
    mls__cpu_kernel base;
    mls__block_product p;
    mls__block_pack pack;
    mls__half half;
    bool is_half, has_bias;
    uint32_t threads;
    size_t y_index;
    int64_t m;
    int64_t group; /* panels */
    /* The workspace: A and the bias as float32, then a slot a thread: panels, then Y. */
    size_t bias_offset, slots_offset, slot_bytes, y_offset;
} block_product;

typedef struct work {
    const block_product *k;
    const mls_kernel_call *call;
    const float *a, *bias;
    int64_t group; /* panels that are multiplied together */
} work;

static void store_rows(const block_product *k, const float *from, int64_t column, int64_t columns,
                       uint16_t *y)
{
    const int64_t step = k->group * MLS__GEMM_PANEL;
    for (int64_t i = 0; i < k->m; i++)
        k->half.from_f32(y + i * k->p.n + column, from + i * step, columns);
}

/* Columns of one row, once they are summed. */
static void finish_row(const work *w, int64_t row, int64_t column, int64_t columns, float *sums)
{
    const block_product *k = w->k;
    const int64_t at = row * k->p.n + column;
    void *y = w->call->buffers[k->y_index];
    for (int64_t i = 0; w->bias && i < columns; i++)
        sums[i] += w->bias[column + i];
    if (k->is_half)
        k->half.from_f32((uint16_t *) y + at, sums, columns);
    else
        memcpy((float *) y + at, sums, (size_t) columns * sizeof *sums);
}

static void run_few_rows(const work *w, int64_t index)
{
    const block_product *k = w->k;
    const int64_t first = index * w->group, column = first * MLS__GEMM_PANEL;
    const int64_t left = k->p.n - column, most = w->group * MLS__GEMM_PANEL;
    const int64_t columns = left < most ? left : most, panels = mls__gemm_panels(columns);
    mls__block_weights weights[MLS__BLOCK_PANELS];
    float sums[MLS__BLOCK_PANELS * MLS__GEMM_PANEL];
    for (int64_t i = 0; i < panels; i++)
        weights[i] = mls__block_pack_panel(&k->pack, &k->p, first + i);
    for (int64_t i = 0; i < k->m; i++) {
        k->base.cpu->kernels->block_weights->multiply(weights, (int) panels, w->a + i * k->p.k,
                                                      sums);
        finish_row(w, i, column, columns, sums);
    }
}

static void run_group(const work *w, int64_t index, char *slot)
{
    const block_product *k = w->k;
    const int64_t first = index * k->group, column = first * MLS__GEMM_PANEL;
    const int64_t left = k->p.n - column, most = k->group * MLS__GEMM_PANEL;
    const int64_t columns = left < most ? left : most, panels = mls__gemm_panels(columns);
    float *b = (float *) (void *) slot, *own_y = (float *) (void *) (slot + k->y_offset);
    void *y = w->call->buffers[k->y_index];
    for (int64_t i = 0; i < panels; i++) {
        const mls__block_weights weights = mls__block_pack_panel(&k->pack, &k->p, first + i);
        k->base.cpu->kernels->block_weights->expand(&weights, b + i * MLS__GEMM_PANEL * k->p.k);
    }
    const mls__gemm gemm = {
        .n = columns,
        .k = k->p.k,
        .a = w->a,
        .a_row = k->p.k,
        .a_step = 1,
        .b = b,
        .c = w->bias ? w->bias + column : NULL,
        .c_step = 1,
        .alpha = 1,
        .beta = 1,
        .y = k->is_half ? own_y : (float *) y + column,
        .y_row = k->is_half ? most : k->p.n,
    };
    k->base.cpu->kernels->gemm->wide(&gemm, 0, k->m, 0, panels);
    if (k->is_half)
        store_rows(k, own_y, column, columns, y);
}

static void run_groups(void *arg, const mls__cpu_take *take)
{
    const work *w = arg;
    const block_product *k = w->k;
    char *slot = (char *) w->call->workspace + k->slots_offset + take->slot * k->slot_bytes;
    for (int64_t i = take->begin; i < take->end; i++)
        if (k->m <= FEW_ROWS)
            run_few_rows(w, i);
        else
            run_group(w, i, slot);
}

/* 16-bit floats in the workspace, as float32. */
static const float *widen(const block_product *k, const mls_kernel_call *call, size_t input,
                          size_t offset, int64_t count)
{
    float *to = (float *) (void *) ((char *) call->workspace + offset);
    if (!k->is_half)
        return call->buffers[input];
    k->half.to_f32(to, call->buffers[input], count);
    return to;
}

static mls_status block_product_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const block_product *k = (const block_product *) kernel;
    const bool is_large = (double) k->m * (double) k->p.n * (double) k->p.k >= LARGE_WORK;
    if (k->m == 0)
        return MLS_OK;
    work w = {.k = k, .call = call};
    w.group = k->m <= FEW_ROWS ? MLS__BLOCK_PANELS : k->group;
    w.a = widen(k, call, MLS__BLOCK_PRODUCT_A, 0, k->m * k->p.k);
    if (k->has_bias)
        w.bias = widen(k, call, MLS__BLOCK_PRODUCT_BIAS, k->bias_offset, k->p.n);
    const int64_t panels = mls__gemm_panels(k->p.n), groups = (panels + w.group - 1) / w.group;
    mls__cpu_tasks(call, is_large ? k->threads : 1, groups, 1, run_groups, &w);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static bool add_floats(size_t *total, int64_t rows, int64_t columns, size_t *ret_offset)
{
    size_t count, bytes;
    *ret_offset = *total;
    return mls__mul_size((size_t) rows, (size_t) columns, &count) &&
           mls__mul_size(count, sizeof(float), &bytes) && mls__align_size(bytes, &bytes) &&
           mls__add_size(*total, bytes, total);
}

static bool lay_out(block_product *k, size_t *ret_bytes)
{
    const int64_t wide = k->group * MLS__GEMM_PANEL;
    size_t shared = 0, slot = 0, slots, offset;
    const bool fits = add_floats(&shared, k->is_half ? k->m : 0, k->p.k, &offset) &&
                      add_floats(&shared, k->is_half ? k->p.n : 0, 1, &k->bias_offset) &&
                      add_floats(&slot, k->p.k, wide, &offset) &&
                      add_floats(&slot, k->is_half ? k->m : 0, wide, &k->y_offset) &&
                      mls__mul_size(slot, k->threads, &slots) &&
                      mls__add_size(shared, slots, ret_bytes);
    k->slots_offset = shared;
    k->slot_bytes = slot;
    return fits;
}

static int64_t count_rows(const mls_op *op)
{
    const mls_arg *a = &op->inputs[MLS__BLOCK_PRODUCT_A];
    return mls__arg_span(a, 0, a->rank - 1);
}

/* Fewer rows need less of each part; the parts stay where they are. */
static mls_status block_product_reshape(mls_kernel *kernel, const mls_op *op)
{
    ((block_product *) kernel)->m = count_rows(op);
    return MLS_OK;
}

static mls_status prepare(block_product *k, const mls_op *op)
{
    size_t bytes;
    mls_status status = mls__op_block_product(op, &k->p);
    if (!status)
        status = mls__block_pack_make(k->base.cpu, op, &k->p, &k->pack);
    if (status)
        return status;
    k->threads = op->threads ? op->threads : 1;
    k->y_index = op->input_count;
    k->m = count_rows(op);
    k->has_bias = mls__op_input(op, MLS__BLOCK_PRODUCT_BIAS) != NULL;
    k->is_half = mls__is_half(op->inputs[MLS__BLOCK_PRODUCT_A].dtype);
    if (k->is_half)
        k->half = mls__half_of(k->base.cpu, op->inputs[MLS__BLOCK_PRODUCT_A].dtype);
    k->group = GROUP_FLOATS / MLS__GEMM_PANEL / k->p.k;
    k->group = k->group < 1 ? 1 : k->group > MLS__BLOCK_PANELS ? MLS__BLOCK_PANELS : k->group;
    if (!lay_out(k, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    block_product *k;
    if (mls__op_input(op, MLS__BLOCK_PRODUCT_GROUPS) || mls__op_int(op, "weight_prepacked", 0))
        return mls__op_error(op, MLS_EUNSUPPORTED, "g_idx and weight_prepacked are not supported");
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "block_product", block_product_run, &k);
    if (status)
        return status;
    k->base.base.reshape = block_product_reshape;
    status = prepare(k, op);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_block_product = {
    {"com.microsoft", "MatMulNBits", create, 0},
    {.type = NULL},
};
