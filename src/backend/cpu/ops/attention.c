/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of ai.onnx: past and new keys joined, then ops/attend.h. */
#include "backend/cpu/ops/attend.h"

#include "backend/cpu/ops/families.h"
#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Positions of inputs and outputs. */
enum { Q, K, V, MASK, PAST_K, PAST_V, LENGTHS };
enum { Y, PRESENT_K, PRESENT_V, SCORES };

/* K or V: what is new, and where past and new are joined. */
typedef struct cache {
    mls__attend_joint joint;
    bool is_joined; /* there is a past, or an output of all */
    size_t offset;  /* in the workspace, for where that output is left out */
} cache;

typedef struct attention {
    mls__cpu_kernel base;
    mls__attend attend;
    cache caches[2];
    size_t input_count, output_count;
    bool has_mask, has_past, has_lengths;
    uint64_t attend_bytes;
} attention;

/* --- shapes ---------------------------------------------------------------------------------- */

static mls__attend_steps steps_of(const mls_arg *arg, int64_t heads, int64_t *ret_rows,
                                  int64_t *ret_size)
{
    if (arg->rank == 4) {
        *ret_rows = arg->dims[2];
        *ret_size = arg->dims[3];
        return (mls__attend_steps){arg->dims[1] * *ret_rows * *ret_size, *ret_rows * *ret_size,
                                   *ret_size};
    }
    *ret_rows = arg->dims[1];
    *ret_size = heads ? arg->dims[2] / heads : 0;
    return (mls__attend_steps){arg->dims[1] * arg->dims[2], *ret_size, arg->dims[2]};
}

/* The step of dimension `axis` of a mask broadcast to four dimensions. */
static int64_t mask_step(const mls_arg *mask, int axis)
{
    const int own = axis - (4 - mask->rank);
    if (own < 0 || mask->dims[own] == 1)
        return 0;
    return mls__arg_span(mask, own + 1, mask->rank);
}

static void read_mask(const mls_op *op, mls__attend *attend)
{
    const mls_arg *mask = mls__op_input(op, MASK);
    if (mask)
        attend->masks[0] = (mls__attend_mask){
            .dtype = mask->dtype,
            .steps = {mask_step(mask, 0), mask_step(mask, 1), mask_step(mask, 2)},
            .columns = mask->dims[mask->rank - 1],
        };
}

/* K or V as rows of [batch, kv_heads, rows, size] once they are joined. */
static mls__attend_steps join_steps(attention *k, int which, const mls_arg *arg,
                                    const mls_arg *past)
{
    cache *c = &k->caches[which];
    mls__attend_joint *j = &c->joint;
    j->fresh = steps_of(arg, k->attend.kv_heads, &j->rows, &j->size);
    j->batch = k->attend.batch;
    j->heads = k->attend.kv_heads;
    j->past = past ? past->dims[2] : 0;
    j->element = mls_dtype_size((mls_dtype) arg->dtype);
    if (!c->is_joined)
        return j->fresh;
    const int64_t head = (j->past + j->rows) * j->size;
    return (mls__attend_steps){j->heads * head, head, j->size};
}

static void read_dims(attention *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const mls_arg *q = &op->inputs[Q], *keys = &op->inputs[K];
    a->batch = q->dims[0];
    a->heads = q->rank == 4 ? q->dims[1] : mls__op_int(op, "q_num_heads", 0);
    a->kv_heads = q->rank == 4 ? keys->dims[1] : mls__op_int(op, "kv_num_heads", 0);
    a->q = steps_of(q, a->heads, &a->queries, &a->size);
    a->k = join_steps(k, 0, keys, mls__op_input(op, PAST_K));
    a->v = join_steps(k, 1, &op->inputs[V], mls__op_input(op, PAST_V));
    a->past = k->caches[0].joint.past;
    a->keys = a->past + k->caches[0].joint.rows;
    a->v_size = k->caches[1].joint.size;
    a->y =
        (mls__attend_steps){a->heads * a->queries * a->v_size, a->queries * a->v_size, a->v_size};
    if (q->rank == 3)
        a->y = (mls__attend_steps){a->y.batch, a->v_size, a->heads * a->v_size};
    read_mask(op, a);
    const mls_attr *scale = mls__op_attr(op, "scale");
    a->scale = scale ? (double) scale->f : 1 / sqrt((double) a->size);
}

static mls_status attention_reshape(mls_kernel *kernel, const mls_op *op)
{
    attention *k = (attention *) kernel;
    size_t bytes;
    read_dims(k, op);
    if (!mls__attend_workspace(&k->attend, &bytes) || bytes > k->attend_bytes)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "its heads need more memory than those that it was planned for");
    return MLS_OK;
}

/* --- runs ------------------------------------------------------------------------------------ */

/* K (0) or V (1) of all rows. */
static const void *joined(const attention *k, const mls_kernel_call *call, int which)
{
    const cache *c = &k->caches[which];
    void *const *in = call->buffers;
    if (!c->is_joined)
        return in[K + which];
    const size_t output = PRESENT_K + (size_t) which;
    char *memory = k->output_count > output ? in[k->input_count + output] : NULL;
    if (!memory)
        memory = (char *) call->workspace + c->offset;
    mls__attend_join(&c->joint, k->has_past ? in[PAST_K + which] : NULL, in[K + which], memory);
    return memory;
}

static mls_status check_lengths(const mls_kernel *kernel, const int64_t *lengths)
{
    const mls__attend *a = &((const attention *) kernel)->attend;
    for (int64_t i = 0; lengths && i < a->batch; i++)
        if (lengths[i] < 0 || lengths[i] > a->keys)
            return mls__cpu_run_error(kernel, MLS_EINVAL,
                                      "nonpad_kv_seqlen[%" PRId64 "] is %" PRId64
                                      ", and there are %" PRId64 " keys",
                                      i, lengths[i], a->keys);
    return MLS_OK;
}

static mls_status attention_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const attention *k = (const attention *) kernel;
    void *const *out = call->buffers + k->input_count;
    mls__attend_data data = {
        .q = call->buffers[Q],
        .k = joined(k, call, 0),
        .v = joined(k, call, 1),
        .masks = {k->has_mask ? call->buffers[MASK] : NULL},
        .lengths = k->has_lengths ? call->buffers[LENGTHS] : NULL,
        .y = out[Y],
        .scores = k->output_count > SCORES ? out[SCORES] : NULL,
    };
    const mls_status status = check_lengths(kernel, data.lengths);
    if (!status)
        mls__attend_run(&k->attend, &data, call, call->workspace);
    return status;
}

/* --- kernels --------------------------------------------------------------------------------- */

static void read_attributes(attention *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    a->cpu = k->base.cpu;
    a->dtype = op->inputs[Q].dtype;
    a->threads = op->threads;
    a->softcap = mls__op_float(op, "softcap", 0);
    a->is_causal = mls__op_int(op, "is_causal", 0) != 0;
    a->left = mls__op_int(op, "left_window_size", -1);
    a->right = mls__op_int(op, "right_window_size", -1);
    a->scores = op->output_count > SCORES
                    ? (mls__attend_scores) mls__op_int(op, "qk_matmul_output_mode", 0)
                    : MLS__SCORES_NONE;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    k->has_mask = mls__op_input(op, MASK) != NULL;
    k->has_past = mls__op_input(op, PAST_K) != NULL;
    k->has_lengths = mls__op_input(op, LENGTHS) != NULL;
    for (size_t i = 0; i < 2; i++)
        k->caches[i].is_joined = k->has_past || op->output_count > PRESENT_K + i;
}

/* Behind what attention needs: joined keys and values, where their output may be left out. */
static mls_status plan(attention *k, const mls_op *op)
{
    size_t bytes;
    bool fits = mls__attend_workspace(&k->attend, &bytes);
    k->attend_bytes = bytes;
    for (size_t i = 0; fits && i < 2; i++) {
        cache *c = &k->caches[i];
        size_t rows, count;
        c->offset = bytes;
        if (c->is_joined)
            fits = mls__mul_size((size_t) k->attend.keys, (size_t) c->joint.size, &rows) &&
                   mls__mul_size(rows, (size_t) (k->attend.batch * k->attend.kv_heads), &count) &&
                   mls__mul_size(count, mls_dtype_size((mls_dtype) k->attend.dtype), &count) &&
                   mls__align_size(count, &count) && mls__add_size(bytes, count, &bytes);
    }
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    attention *k;
    if (op->inputs[V].dtype != op->inputs[Q].dtype)
        return mls__cpu_dtype_error(op, V);
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "attention", attention_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = attention_reshape;
    read_attributes(k, op);
    read_dims(k, op);
    status = plan(k, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_attention = {
    {"", "Attention", create, 0},
    {.type = NULL},
};
