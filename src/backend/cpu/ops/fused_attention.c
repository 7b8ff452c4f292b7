/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FusedAttention: what MatMul, Mul or Div, Add, Softmax and MatMul give one after the other, with
 * all that these broadcast. The last two batch dimensions are attention's batch and heads.
 */
#include "backend/cpu/ops/attend.h"

#include "backend/cpu/ops/families.h"
#include "base/alloc.h"

#include <string.h>

enum { Q, K, V, MASK, INPUTS };

typedef struct fused {
    mls__cpu_kernel base;
    mls__attend attend;
    bool has_mask, has_keys_inside;
    int outer; /* batch dimensions before the last two */
    int64_t outer_dims[MLS_MAX_RANK];
    int64_t steps[INPUTS + 1][MLS_MAX_RANK]; /* of inputs and output in these */
    size_t output;
    int64_t mask_rows; /* with one column for all keys: rows to be filled; else 0 */
    size_t attend_bytes;
} fused;

/* --- shapes ---------------------------------------------------------------------------------- */

/* An operand's dims as the op has them, and the steps between its elements. */
typedef struct operand {
    int rank;
    int64_t dims[MLS_MAX_RANK], steps[MLS_MAX_RANK];
} operand;

static void swap(int64_t *a, int64_t *b)
{
    const int64_t kept = *a;
    *a = *b;
    *b = kept;
}

static operand operand_of(const mls_arg *arg, bool is_inside)
{
    operand o = {.rank = arg->rank};
    for (int i = 0; i < arg->rank; i++) {
        o.dims[i] = arg->dims[i];
        o.steps[i] = mls__arg_span(arg, i + 1, arg->rank);
    }
    if (is_inside) {
        swap(&o.dims[o.rank - 3], &o.dims[o.rank - 2]);
        swap(&o.steps[o.rank - 3], &o.steps[o.rank - 2]);
    }
    return o;
}

/* The step along the output's axis `axis` of `rank`: 0 where the operand has one element. */
static int64_t step_of(const operand *o, int rank, int axis)
{
    const int own = axis - (rank - o->rank);
    return own < 0 || o->dims[own] == 1 ? 0 : o->steps[own];
}

static mls__attend_steps read_operand(fused *k, int which, const operand *o, int rank)
{
    for (int i = 0; i < k->outer; i++)
        k->steps[which][i] = step_of(o, rank, i);
    return (mls__attend_steps){step_of(o, rank, rank - 4), step_of(o, rank, rank - 3),
                               step_of(o, rank, rank - 2)};
}

/* A mask with one column for all keys is filled to whole rows first. */
static void read_mask(fused *k, const mls_op *op, int rank)
{
    mls__attend *a = &k->attend;
    const mls_arg *mask = mls__op_input(op, MASK);
    k->mask_rows = 0;
    a->masks[0].dtype = MLS_DTYPE_NONE;
    if (!mask)
        return;
    operand o = operand_of(mask, false);
    if (o.rank == 0 || o.dims[o.rank - 1] != a->keys) {
        k->mask_rows = mls__arg_count(mask);
        for (int i = 0; i < o.rank; i++)
            o.steps[i] *= a->keys;
    }
    a->masks[0] = (mls__attend_mask){mask->dtype, read_operand(k, MASK, &o, rank), a->keys};
}

static void read_dims(fused *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const mls_arg *y = &op->outputs[0], *q = &op->inputs[Q], *v = &op->inputs[V];
    const operand operands[] = {operand_of(q, false),
                                operand_of(&op->inputs[K], k->has_keys_inside),
                                operand_of(v, false), operand_of(y, false)};
    const int rank = y->rank;
    k->outer = rank > 4 ? rank - 4 : 0;
    memcpy(k->outer_dims, y->dims, sizeof k->outer_dims);
    a->batch = rank > 3 ? y->dims[rank - 4] : 1;
    a->heads = a->kv_heads = rank > 2 ? y->dims[rank - 3] : 1;
    a->queries = y->dims[rank - 2];
    a->keys = v->dims[v->rank - 2];
    a->size = q->dims[q->rank - 1];
    a->v_size = y->dims[rank - 1];
    a->q = read_operand(k, Q, &operands[0], rank);
    a->k = read_operand(k, K, &operands[1], rank);
    a->v = read_operand(k, V, &operands[2], rank);
    a->y = read_operand(k, INPUTS, &operands[3], rank);
    a->y.row = a->v_size; /* also of one row, where Y is written a row at a time */
    read_mask(k, op, rank);
}

static bool lay_out(const fused *k, size_t *ret_attend, size_t *ret_bytes)
{
    size_t mask;
    return mls__attend_workspace(&k->attend, ret_attend) &&
           mls__mul_size((size_t) k->mask_rows, (size_t) k->attend.keys, &mask) &&
           mls__mul_size(mask, mls_dtype_size((mls_dtype) k->attend.dtype), &mask) &&
           mls__add_size(*ret_attend, mask, ret_bytes);
}

/* --- runs ------------------------------------------------------------------------------------ */

/* The mask's elements, each as often as there are keys. */
static const void *fill_mask(const fused *k, const mls_kernel_call *call)
{
    const size_t size = mls_dtype_size((mls_dtype) k->attend.dtype);
    const char *mask = call->buffers[MASK];
    char *rows = (char *) call->workspace + k->attend_bytes, *to = rows;
    if (!k->mask_rows)
        return mask;
    for (int64_t i = 0; i < k->mask_rows; i++)
        for (int64_t j = 0; j < k->attend.keys; j++, to += size)
            memcpy(to, mask + (size_t) i * size, size);
    return rows;
}

/* Element offset of operand `which` for matrix `index` of the outer dimensions. */
static size_t offset_of(const fused *k, int which, int64_t index)
{
    int64_t offset = 0;
    for (int i = k->outer - 1; i >= 0; i--) {
        offset += index % k->outer_dims[i] * k->steps[which][i];
        index /= k->outer_dims[i];
    }
    return (size_t) offset * mls_dtype_size((mls_dtype) k->attend.dtype);
}

static mls_status fused_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const fused *k = (const fused *) kernel;
    const char *mask = k->has_mask ? fill_mask(k, call) : NULL;
    int64_t count = 1;
    for (int i = 0; i < k->outer; i++)
        count *= k->outer_dims[i];
    for (int64_t i = 0; i < count; i++) {
        const mls__attend_data data = {
            .q = (const char *) call->buffers[Q] + offset_of(k, Q, i),
            .k = (const char *) call->buffers[K] + offset_of(k, K, i),
            .v = (const char *) call->buffers[V] + offset_of(k, V, i),
            .masks = {mask ? mask + offset_of(k, MASK, i) : NULL},
            .y = (char *) call->buffers[k->output] + offset_of(k, INPUTS, i),
        };
        mls__attend_run(&k->attend, &data, call, call->workspace);
    }
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status fused_reshape(mls_kernel *kernel, const mls_op *op)
{
    fused *k = (fused *) kernel;
    size_t attend, bytes;
    read_dims(k, op);
    if (!lay_out(k, &attend, &bytes) || bytes > kernel->workspace_bytes)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "it needs more memory than what it was planned for");
    k->attend_bytes = attend;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    fused *k;
    size_t bytes;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "fused_attention", fused_run, &k);
    if (status)
        return status;
    k->base.base.reshape = fused_reshape;
    k->has_mask = mls__op_input(op, MASK) != NULL;
    k->has_keys_inside = mls__op_int(op, "k_inside", 0) != 0;
    k->output = op->input_count;
    k->attend = (mls__attend){.cpu = cpu,
                              .dtype = op->inputs[Q].dtype,
                              .threads = op->threads,
                              .scale = (double) mls__op_float(op, "scale", 1),
                              .is_divided = mls__op_int(op, "divides", 0) != 0,
                              .left = -1,
                              .right = -1,
                              .scores = MLS__SCORES_NONE,
                              .gives_nan = true};
    read_dims(k, op);
    if (!lay_out(k, &k->attend_bytes, &bytes)) {
        k->base.base.free(&k->base.base);
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    }
    k->base.base.workspace_bytes = bytes;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_fused_attention = {
    {"mlscale", "FusedAttention", create, 0},
    {.type = NULL},
};
