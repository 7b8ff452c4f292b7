/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GroupQueryAttention of com.microsoft: attention of language models with a cache of keys and
 * values. How many rows the cache has afterwards is in an input, which must be known when the
 * session is planned; exporters compute it from the shape of the attention mask.
 */
#include "graph/schema/contrib_attention.h"
#include "graph/schema/families.h"

#include "base/alloc.h"
#include "op/group_attention.h"
#include "tensor/tensor.h"

#include <inttypes.h>

typedef struct group {
    int64_t batch, rows, heads, kv_heads, size;
    int64_t past, total;
} group;

static mls_status check_dtypes(const mls_op *op)
{
    static const size_t same[] = {MLS__GROUP_K,      MLS__GROUP_V,       MLS__GROUP_PAST_K,
                                  MLS__GROUP_PAST_V, MLS__GROUP_COSINES, MLS__GROUP_SINES,
                                  MLS__GROUP_BIAS};
    if (!mls__op_input(op, MLS__GROUP_LENGTHS) || !mls__op_input(op, MLS__GROUP_TOTAL))
        return mls__op_error(op, MLS_EINVAL, "seqlens_k and total_sequence_length must be given");
    mls_status status =
        mls__infer_dtype(op, MLS__GROUP_Q, MLS__CONTRIB_FLOATS, "a float of 16 or 32 bits");
    for (size_t i = 0; !status && i < sizeof same / sizeof same[0]; i++)
        status = mls__infer_same_dtype(op, same[i], MLS__GROUP_Q);
    if (!status)
        status = mls__infer_dtype(op, MLS__GROUP_LENGTHS, MLS__DTYPE_BIT(MLS_INT32), "int32");
    if (!status && mls__op_input(op, MLS__GROUP_POSITIONS))
        status = mls__infer_dtype(op, MLS__GROUP_POSITIONS, MLS__DTYPE_BIT(MLS_INT64), "int64");
    return status;
}

static mls_status read_heads(const mls_op *op, group *g)
{
    mls_status status = mls__contrib_heads(op, &g->heads);
    g->kv_heads = mls__op_int(op, "kv_num_heads", 0);
    if (status)
        return status;
    if (g->kv_heads < 1 || g->heads % g->kv_heads)
        return mls__op_error(op, MLS_EINVAL,
                             "kv_num_heads is %" PRId64 "; it must divide the %" PRId64 " heads",
                             g->kv_heads, g->heads);
    return MLS_OK;
}

/* Q of [batch, rows, heads * size] with K and V, or all three side by side in it. */
static mls_status read_operands(const mls_op *op, group *g)
{
    const mls_arg *q = &op->inputs[MLS__GROUP_Q];
    const bool has_k = mls__op_input(op, MLS__GROUP_K), has_v = mls__op_input(op, MLS__GROUP_V);
    int64_t all = g->heads, columns = 0;
    mls_status status = mls__contrib_rank(op, MLS__GROUP_Q, 3);
    if (status)
        return status;
    if (has_k != has_v)
        return mls__op_error(op, MLS_EINVAL, "key and value go together");
    if (!has_k && (!mls__mul_i64(2, g->kv_heads, &all) || !mls__add_i64(all, g->heads, &all)))
        return mls__op_error(op, MLS_EINVAL, "it has too many heads");
    g->batch = q->dims[0];
    g->rows = q->dims[1];
    status = mls__contrib_divide(op, "query", q->dims[2], all, &g->size);
    if (status)
        return status;
    columns = g->kv_heads * g->size; /* at most the query's */
    const int64_t dims[] = {g->batch, g->rows, columns};
    status = mls__contrib_dims(op, MLS__GROUP_K, 3, dims);
    return status ? status : mls__contrib_dims(op, MLS__GROUP_V, 3, dims);
}

static mls_status read_past(const mls_op *op, group *g)
{
    const mls_arg *past = mls__op_input(op, MLS__GROUP_PAST_K);
    size_t count;
    bool is_given;
    g->past = past && past->rank == 4 ? past->dims[2] : 0;
    if (!past != !mls__op_input(op, MLS__GROUP_PAST_V))
        return mls__op_error(op, MLS_EINVAL, "past_key and past_value go together");
    const int64_t dims[] = {g->batch, g->kv_heads, g->past, g->size};
    mls_status status = mls__contrib_dims(op, MLS__GROUP_PAST_K, 4, dims);
    if (!status)
        status = mls__contrib_dims(op, MLS__GROUP_PAST_V, 4, dims);
    if (!status)
        status = mls__op_known_ints(op, MLS__GROUP_TOTAL, &g->total, 1, &count, &is_given);
    if (!status && count != 1)
        status = mls__op_error(op, MLS_ESHAPE, "total_sequence_length has no element");
    if (!status && g->total < g->rows)
        status = mls__op_error(op, MLS_EINVAL,
                               "total_sequence_length is %" PRId64 ", and %" PRId64 " rows are new",
                               g->total, g->rows);
    if (!status && mls__arg_count(&op->inputs[MLS__GROUP_LENGTHS]) != g->batch)
        status = mls__op_error(op, MLS_ESHAPE,
                               "seqlens_k has %" PRId64 " elements, expected one for each of the "
                               "%" PRId64 " batches",
                               mls__arg_count(&op->inputs[MLS__GROUP_LENGTHS]), g->batch);
    return status;
}

static mls_status check_rotary(const mls_op *op, const group *g)
{
    const mls_arg *cosines = mls__op_input(op, MLS__GROUP_COSINES);
    const int64_t positions[] = {g->batch, g->rows};
    if (!mls__op_int(op, "do_rotary", 0))
        return MLS_OK;
    if (!cosines || !mls__op_input(op, MLS__GROUP_SINES))
        return mls__op_error(op, MLS_EINVAL, "do_rotary needs cos_cache and sin_cache");
    mls_status status = mls__contrib_rank(op, MLS__GROUP_COSINES, 2);
    if (!status && cosines->dims[1] > g->size / 2)
        status = mls__op_error(op, MLS_ESHAPE,
                               "cos_cache has %" PRId64 " columns, and a head of %" PRId64
                               " elements only half as many pairs",
                               cosines->dims[1], g->size);
    if (!status)
        status = mls__contrib_dims(op, MLS__GROUP_SINES, 2, cosines->dims);
    return status ? status : mls__contrib_dims(op, MLS__GROUP_POSITIONS, 2, positions);
}

static mls_status infer(const mls_op *op, mls_arg *ret_outputs)
{
    group g;
    const int32_t dtype = op->inputs[MLS__GROUP_Q].dtype;
    mls_status status = check_dtypes(op);
    if (!status)
        status = read_heads(op, &g);
    if (!status)
        status = read_operands(op, &g);
    if (!status)
        status = read_past(op, &g);
    if (!status)
        status = check_rotary(op, &g);
    if (!status)
        status = mls__contrib_score_bias(op, MLS__GROUP_BIAS, g.batch, g.heads, g.rows, g.total);
    if (status)
        return status;
    const int64_t y[] = {g.batch, g.rows, g.heads * g.size};
    const int64_t present[] = {g.batch, g.kv_heads, g.past > g.total ? g.past : g.total, g.size};
    status = mls__infer_set(op, &ret_outputs[0], dtype, 3, y);
    for (size_t i = 1; !status && i < op->output_count; i++)
        status = mls__infer_set(op, &ret_outputs[i], dtype, 4, present);
    return status;
}

mls__op_schema_table mls__schemas_group_attention = {
    {"com.microsoft", "GroupQueryAttention", 1, 14, 1, 4, 0, 1u << MLS__GROUP_TOTAL, infer,
     "causal:int do_rotary:int k_quant_type:string kv_cache_bit_width:int kv_num_heads:int! "
     "local_window_size:int num_heads:int! qk_norm_epsilon:float qk_output:int "
     "rotary_interleaved:int scale:float sliding_window_cache:int smooth_softmax:int "
     "softcap:float v_quant_type:string"},
    {.type = NULL},
};
