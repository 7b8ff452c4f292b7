/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EmbedLayerNormalization: the sum of a word's embedding, its position's and its segment's,
 * normalised. A negative id counts from the end of its table, as in Gather.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/indices.h"
#include "backend/cpu/ops/norm_plain.h"
#include "backend/cpu/ops/ranges.h"

/* Fewer elements are not worth a second thread. */
#define GRAIN 8192

enum { IDS, SEGMENT_IDS, WORDS, POSITIONS, SEGMENTS, SCALE, BIAS, MASK, POSITION_IDS, INPUTS };

typedef struct embed_kernel {
    mls__cpu_kernel base;
    const mls__norm_kernels *fns;
    int32_t dtype, work_dtype;
    size_t x_size, size; /* of an element; `size` of the computation */
    float epsilon;
    uint32_t threads;
    size_t input_count, output_count;
    bool is_given[INPUTS], is_wide[INPUTS]; /* is_wide: ids of int64 */
    int64_t bounds[INPUTS];                 /* rows of a table */
    int64_t batch, length, n;
    bool shares_positions; /* the batch has one row of position ids */
    uint64_t scale_offset, bias_offset, row_offset, next_offset; /* in the workspace */
} embed_kernel;

typedef struct work {
    const embed_kernel *k;
    const mls_kernel_call *call;
    const char *scale, *bias; /* in the type of the work */
    char *y, *sum;            /* sum: NULL when it is left out */
    char *rows, *next;        /* in the workspace */
} work;

/* --- rows ------------------------------------------------------------------------------------ */

static mls__indices ids_of(const embed_kernel *k, const mls_kernel_call *call, size_t input)
{
    const int64_t batch = input == POSITION_IDS && k->shares_positions ? 1 : k->batch;
    return (mls__indices){call->buffers[input], k->is_wide[input], batch * k->length};
}

/* The row of a table that the id at `at` names. */
static const char *table_row(const work *w, size_t table, size_t ids, int64_t at)
{
    const embed_kernel *k = w->k;
    int64_t row = at % k->length; /* a position without an id */
    if (ids != POSITION_IDS || k->is_given[POSITION_IDS]) {
        const mls__indices indices = ids_of(k, w->call, ids);
        const int64_t index = mls__index_at(&indices, at % indices.count);
        row = mls__index_from_start(index, k->bounds[table]);
    }
    return (const char *) w->call->buffers[table] + (size_t) (row * k->n) * k->x_size;
}

/* sum = a + b, a of the type of the work, b of the tables'. */
static void add_row(const work *w, char *sum, const char *a, const char *b, char *next)
{
    const embed_kernel *k = w->k;
    if (k->dtype != k->work_dtype) {
        mls__float_convert(k->base.cpu, k->work_dtype, next, k->dtype, b, k->n);
        b = next;
    }
    mls__float_binary(k->base.cpu, k->work_dtype, MLS__BINARY_ADD, sum, a, 1, b, 1, k->n);
}

static void embed_row(const work *w, int64_t r)
{
    const embed_kernel *k = w->k;
    const mls__cpu *cpu = k->base.cpu;
    const size_t at = (size_t) (r * k->n);
    const bool is_direct = k->dtype == k->work_dtype;
    char *y = w->y + at * k->x_size, *sum = w->sum ? w->sum + at * k->x_size : NULL;
    char *row = !is_direct ? w->rows + at * k->size : sum ? sum : y;
    char *next = w->next + at * k->size;
    const char *word = table_row(w, WORDS, IDS, r);
    mls__number mean, factor;
    if (!is_direct) {
        mls__float_convert(cpu, k->work_dtype, row, k->dtype, word, k->n);
        word = row;
    }
    add_row(w, row, word, table_row(w, POSITIONS, POSITION_IDS, r), next);
    if (k->is_given[SEGMENTS])
        add_row(w, row, row, table_row(w, SEGMENTS, SEGMENT_IDS, r), next);
    if (!is_direct && sum)
        mls__float_convert(cpu, k->dtype, sum, k->work_dtype, row, k->n);
    k->fns->moments(row, k->n, true, k->epsilon, &mean, &factor);
    k->fns->row(is_direct ? y : row, row, k->n, &mean, &factor, w->scale, w->bias);
    if (!is_direct)
        mls__float_convert(cpu, k->dtype, y, k->work_dtype, row, k->n);
}

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    for (int64_t r = begin; r < end; r++)
        embed_row(arg, r);
    return MLS_OK;
}

/* --- a run ----------------------------------------------------------------------------------- */

static mls_status check_ids(const embed_kernel *k, const mls_kernel_call *call)
{
    static const struct {
        size_t ids, table;
    } pairs[] = {{IDS, WORDS}, {SEGMENT_IDS, SEGMENTS}, {POSITION_IDS, POSITIONS}};
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < sizeof pairs / sizeof pairs[0]; i++) {
        if (!k->is_given[pairs[i].ids])
            continue;
        const mls__indices ids = ids_of(k, call, pairs[i].ids);
        status =
            mls__indices_check(&k->base.base, pairs[i].ids, &ids, &k->bounds[pairs[i].table], 1);
    }
    return status;
}

/* How many of a row's mask are 1; 0 without a mask. */
static void count_mask(const embed_kernel *k, const mls_kernel_call *call, int32_t *counts)
{
    for (int64_t b = 0; b < k->batch; b++) {
        counts[b] = 0;
        if (!k->is_given[MASK])
            continue;
        const mls__indices mask = ids_of(k, call, MASK);
        for (int64_t i = 0; i < k->length; i++)
            counts[b] += mls__index_at(&mask, b * k->length + i) == 1;
    }
}

/* Input `input` in the type of the work. */
static const char *stage(const embed_kernel *k, const mls_kernel_call *call, size_t input,
                         uint64_t offset)
{
    char *wide = (char *) call->workspace + offset;
    if (k->dtype == k->work_dtype)
        return call->buffers[input];
    mls__float_convert(k->base.cpu, k->work_dtype, wide, k->dtype, call->buffers[input], k->n);
    return wide;
}

static mls_status embed_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const embed_kernel *k = (const embed_kernel *) kernel;
    void *const *outputs = call->buffers + k->input_count;
    const mls_status status = check_ids(k, call);
    if (status)
        return status;
    if (k->output_count > 1 && outputs[1])
        count_mask(k, call, outputs[1]);
    if (!k->batch || !k->length || !k->n)
        return MLS_OK;
    work w = {
        .k = k,
        .call = call,
        .scale = stage(k, call, SCALE, k->scale_offset),
        .bias = stage(k, call, BIAS, k->bias_offset),
        .y = outputs[0],
        .sum = k->output_count > 2 ? outputs[2] : NULL,
        .rows = (char *) call->workspace + k->row_offset,
        .next = (char *) call->workspace + k->next_offset,
    };
    return mls__cpu_row_ranges(call, k->threads, k->batch * k->length, GRAIN / k->n + 1, run_rows,
                               &w);
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status embed_reshape(mls_kernel *kernel, const mls_op *op)
{
    embed_kernel *k = (embed_kernel *) kernel;
    for (size_t i = 0; i < INPUTS; i++) {
        const mls_arg *arg = mls__op_input(op, i);
        k->is_given[i] = arg != NULL;
        k->is_wide[i] = arg && arg->dtype == MLS_INT64;
        k->bounds[i] = arg ? arg->dims[0] : 0;
    }
    k->batch = op->inputs[IDS].dims[0];
    k->length = op->inputs[IDS].dims[1];
    k->n = op->inputs[WORDS].dims[1];
    k->shares_positions = k->is_given[POSITION_IDS] && op->inputs[POSITION_IDS].dims[0] == 1;
    return MLS_OK;
}

static mls_status plan_workspace(embed_kernel *k, const mls_op *op)
{
    const bool is_wide = k->dtype != k->work_dtype;
    const int64_t row = is_wide ? k->n : 0, all = is_wide ? k->batch * k->length * k->n : 0;
    size_t bytes = 0;
    if (!mls__work_region(&bytes, row, k->size, &k->scale_offset) ||
        !mls__work_region(&bytes, row, k->size, &k->bias_offset) ||
        !mls__work_region(&bytes, all, k->size, &k->row_offset) ||
        !mls__work_region(&bytes, all, k->size, &k->next_offset))
        return mls__op_error(op, MLS_ESHAPE, "the output is larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    embed_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "embed", embed_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = embed_reshape;
    k->dtype = op->inputs[WORDS].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->fns = mls__norm_of(cpu, k->work_dtype);
    k->x_size = mls_dtype_size((mls_dtype) k->dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    k->epsilon = mls__op_float(op, "epsilon", 1e-12f);
    k->threads = op->threads;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    embed_reshape(kernel, op);
    status = plan_workspace(k, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_embed_norm = {
    {"com.microsoft", "EmbedLayerNormalization", create, 0},
    {.type = NULL},
};
