/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention and what goes with it: Attention and RotaryEmbedding of ai.onnx, and FusedAttention, in
 * which a pass puts the pieces of attention together.
 */
#include "graph/schema/families.h"

#include "base/alloc.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define HALVES (MLS__DTYPE_BIT(MLS_FLOAT16) | MLS__DTYPE_BIT(MLS_BFLOAT16))
#define FLOATS (HALVES | MLS__DTYPE_BIT(MLS_FLOAT32) | MLS__DTYPE_BIT(MLS_FLOAT64))

static mls_status check_dims(const mls_op *op, size_t index, int rank, const int64_t *dims)
{
    char has[MLS__SHAPE_TEXT], expected[MLS__SHAPE_TEXT];
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || mls__shape_equal(arg->rank, arg->dims, rank, dims))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu is %s, expected %s", index,
                         mls__shape_text(arg->rank, arg->dims, has),
                         mls__shape_text(rank, dims, expected));
}

/* --- Attention ------------------------------------------------------------------------------- */

/* Positions of inputs. */
enum { Q, K, V, MASK, PAST_K, PAST_V, LENGTHS };

/* Q, K or V as [batch, heads, rows, size]. */
typedef struct heads {
    int64_t batch, heads, rows, size;
} heads;

static mls_status read_heads(const mls_op *op, size_t index, const char *attribute,
                             heads *ret_heads)
{
    const mls_arg *arg = &op->inputs[index];
    if (arg->rank != op->inputs[Q].rank || (arg->rank != 3 && arg->rank != 4))
        return mls__op_error(op, MLS_ESHAPE,
                             "input %zu has %d dimensions; inputs 0, 1 and 2 all have 3 or all 4",
                             index, arg->rank);
    if (arg->rank == 4) {
        *ret_heads = (heads){arg->dims[0], arg->dims[1], arg->dims[2], arg->dims[3]};
        return MLS_OK;
    }
    const int64_t count = mls__op_int(op, attribute, 0);
    if (count <= 0)
        return mls__op_error(op, MLS_EINVAL, "%s must be given with inputs of 3 dimensions",
                             attribute);
    if (arg->dims[2] % count)
        return mls__op_error(op, MLS_ESHAPE,
                             "input %zu has %" PRId64 " columns, which %s, %" PRId64
                             ", does not divide",
                             index, arg->dims[2], attribute, count);
    *ret_heads = (heads){arg->dims[0], count, arg->dims[1], arg->dims[2] / count};
    return MLS_OK;
}

/* Query heads share heads of K and V, as many each. */
static mls_status check_heads(const mls_op *op, const heads *q, const heads *k, const heads *v)
{
    if (q->batch != k->batch || q->batch != v->batch)
        return mls__op_error(op, MLS_ESHAPE,
                             "inputs 0, 1 and 2 have batches of %" PRId64 ", %" PRId64
                             " and %" PRId64,
                             q->batch, k->batch, v->batch);
    if (k->heads != v->heads || k->rows != v->rows)
        return mls__op_error(op, MLS_ESHAPE,
                             "input 1 has %" PRId64 " heads of %" PRId64 " rows and input 2 "
                             "%" PRId64 " of %" PRId64 "; they must be equal",
                             k->heads, k->rows, v->heads, v->rows);
    if (k->heads <= 0 ? q->heads != 0 : q->heads % k->heads != 0)
        return mls__op_error(op, MLS_ESHAPE,
                             "%" PRId64 " query heads are no multiple of %" PRId64 " key heads",
                             q->heads, k->heads);
    if (q->size != k->size)
        return mls__op_error(op, MLS_ESHAPE,
                             "heads of input 0 have %" PRId64 " elements, of input 1 %" PRId64,
                             q->size, k->size);
    return MLS_OK;
}

/* Rows before those of input 1; 0 without a past. */
static mls_status check_past(const mls_op *op, const heads *k, const heads *v, int64_t *ret_past)
{
    const mls_arg *past = mls__op_input(op, PAST_K);
    *ret_past = 0;
    if (!past != !mls__op_input(op, PAST_V))
        return mls__op_error(op, MLS_EINVAL,
                             "it has one of past_key and past_value; both go "
                             "together");
    if (!past)
        return MLS_OK;
    if (mls__op_input(op, LENGTHS))
        return mls__op_error(op, MLS_EINVAL, "nonpad_kv_seqlen does not go with past_key");
    const int64_t rows = past->rank == 4 ? past->dims[2] : 0;
    const int64_t key[] = {k->batch, k->heads, rows, k->size};
    const int64_t value[] = {v->batch, v->heads, rows, v->size};
    mls_status status = check_dims(op, PAST_K, 4, key);
    if (!status)
        status = check_dims(op, PAST_V, 4, value);
    *ret_past = rows;
    return status;
}

/* Each dimension is 1 or that of the scores; the last one may be shorter. */
static mls_status check_mask(const mls_op *op, const heads *q, int64_t keys)
{
    const mls_arg *mask = mls__op_input(op, MASK);
    const int64_t dims[] = {q->batch, q->heads, q->rows, keys};
    char has[MLS__SHAPE_TEXT], expected[MLS__SHAPE_TEXT];
    if (!mask)
        return MLS_OK;
    bool fits = mask->rank >= 1 && mask->rank <= 4 && mask->dims[mask->rank - 1] <= keys;
    for (int i = 0; fits && i < mask->rank - 1; i++)
        fits = mask->dims[i] == 1 || mask->dims[i] == dims[4 - mask->rank + i];
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "input 3 is %s, which does not broadcast to %s",
                             mls__shape_text(mask->rank, mask->dims, has),
                             mls__shape_text(4, dims, expected));
    if (mask->dtype == MLS_BOOL)
        return MLS_OK;
    return mls__infer_same_dtype(op, MASK, Q);
}

static mls_status check_attention(const mls_op *op)
{
    const int64_t mode = mls__op_int(op, "qk_matmul_output_mode", 0);
    mls_status status = mls__infer_dtype(op, Q, FLOATS, "a float of 16, 32 or 64 bits");
    if (!status)
        status = mls__infer_same_dtype(op, K, Q);
    if (!status)
        status = mls__infer_dtype(op, V, FLOATS, "a float of 16, 32 or 64 bits");
    if (!status)
        status = mls__infer_same_dtype(op, PAST_K, Q);
    if (!status)
        status = mls__infer_same_dtype(op, PAST_V, V);
    if (!status && mls__op_input(op, LENGTHS))
        status = mls__infer_dtype(op, LENGTHS, MLS__DTYPE_BIT(MLS_INT64), "int64");
    if (!status && (mode < 0 || mode > 3))
        status = mls__op_error(op, MLS_EINVAL,
                               "qk_matmul_output_mode is %" PRId64 ", expected 0 to 3", mode);
    return status;
}

static mls_status set_attention(const mls_op *op, const heads *q, const heads *v, int64_t k_size,
                                int64_t keys, mls_arg *ret_outputs)
{
    int64_t columns;
    if (!mls__mul_i64(q->heads, v->size, &columns))
        return mls__op_error(op, MLS_ESHAPE, "its output has too many columns");
    const int64_t y3[] = {q->batch, q->rows, columns};
    const int64_t y4[] = {q->batch, q->heads, q->rows, v->size};
    const int64_t dims[][4] = {{q->batch, v->heads, keys, k_size},
                               {q->batch, v->heads, keys, v->size},
                               {q->batch, q->heads, q->rows, keys}};
    const int rank = op->inputs[Q].rank;
    mls_status status =
        mls__infer_set(op, &ret_outputs[0], op->inputs[Q].dtype, rank, rank == 3 ? y3 : y4);
    for (size_t i = 1; !status && i < op->output_count; i++)
        status =
            mls__infer_set(op, &ret_outputs[i], op->inputs[i == 2 ? V : Q].dtype, 4, dims[i - 1]);
    return status;
}

static mls_status infer_attention(const mls_op *op, mls_arg *ret_outputs)
{
    heads q, k, v;
    int64_t past, keys;
    mls_status status = check_attention(op);
    if (!status)
        status = read_heads(op, Q, "q_num_heads", &q);
    if (!status)
        status = read_heads(op, K, "kv_num_heads", &k);
    if (!status)
        status = read_heads(op, V, "kv_num_heads", &v);
    if (!status)
        status = check_heads(op, &q, &k, &v);
    if (!status)
        status = check_past(op, &k, &v, &past);
    if (!status && !mls__add_i64(past, k.rows, &keys))
        status = mls__op_error(op, MLS_ESHAPE, "past_key has too many rows");
    if (!status)
        status = check_mask(op, &q, keys);
    if (!status)
        status = check_dims(op, LENGTHS, 1, &q.batch);
    return status ? status : set_attention(op, &q, &v, k.size, keys, ret_outputs);
}

/* --- RotaryEmbedding ------------------------------------------------------------------------- */

/* X is [batch, heads, rows, size], or [batch, rows, heads * size]. */
static mls_status read_rotary(const mls_op *op, heads *ret_x)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t count = mls__op_int(op, "num_heads", 0);
    if (x->rank == 4) {
        *ret_x = (heads){x->dims[0], x->dims[1], x->dims[2], x->dims[3]};
    } else if (x->rank != 3) {
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected 3 or 4", x->rank);
    } else if (count <= 0 || x->dims[2] % count) {
        return mls__op_error(op, MLS_EINVAL,
                             "num_heads is %" PRId64 ", and input 0 has %" PRId64
                             " columns, which it must divide",
                             count, x->dims[2]);
    } else {
        *ret_x = (heads){x->dims[0], count, x->dims[1], x->dims[2] / count};
    }
    const int64_t turned = mls__op_int(op, "rotary_embedding_dim", 0);
    if (turned < 0 || turned > ret_x->size || (turned ? turned : ret_x->size) % 2)
        return mls__op_error(op, MLS_EINVAL,
                             "rotary_embedding_dim is %" PRId64 ", and a head has %" PRId64
                             " elements; what is turned is an even number of them",
                             turned, ret_x->size);
    return MLS_OK;
}

static mls_status check_caches(const mls_op *op, const heads *x)
{
    const int64_t turned = mls__op_int(op, "rotary_embedding_dim", 0);
    const int64_t columns = (turned ? turned : x->size) / 2;
    const mls_arg *cache = &op->inputs[1];
    const int64_t by_position[] = {cache->rank ? cache->dims[0] : 0, columns};
    const int64_t by_row[] = {x->batch, x->rows, columns};
    const int64_t positions[] = {x->batch, x->rows};
    const bool has_positions = mls__op_input(op, 3) != NULL;
    mls_status status = MLS_OK;
    for (size_t i = 1; !status && i <= 2; i++)
        status = has_positions ? check_dims(op, i, 2, by_position) : check_dims(op, i, 3, by_row);
    if (!status && has_positions)
        status = mls__infer_dtype(op, 3, MLS__DTYPE_BIT(MLS_INT64), "int64");
    return status ? status : check_dims(op, 3, 2, positions);
}

static mls_status infer_rotary(const mls_op *op, mls_arg *ret_outputs)
{
    heads x;
    mls_status status =
        mls__infer_dtype(op, 0, HALVES | MLS__DTYPE_BIT(MLS_FLOAT32), "a float of 16 or 32 bits");
    for (size_t i = 1; !status && i <= 2; i++)
        status = mls__infer_same_dtype(op, i, 0);
    if (!status)
        status = read_rotary(op, &x);
    if (!status)
        status = check_caches(op, &x);
    return status ? status : mls__infer_same(op, ret_outputs);
}

/* --- FusedAttention -------------------------------------------------------------------------- */

/*
 * K as [.., keys, size]; with k_inside the dimension before these lies between them, as heads do in
 * [batch, keys, heads, size].
 */
static mls_status read_keys(const mls_op *op, int64_t *ret_dims)
{
    const mls_arg *k = &op->inputs[K];
    memcpy(ret_dims, k->dims, sizeof k->dims);
    if (!mls__op_int(op, "k_inside", 0))
        return MLS_OK;
    if (k->rank < 3)
        return mls__op_error(op, MLS_ESHAPE, "input 1 has %d dimensions, expected 3 or more",
                             k->rank);
    ret_dims[k->rank - 3] = k->dims[k->rank - 2];
    ret_dims[k->rank - 2] = k->dims[k->rank - 3];
    return MLS_OK;
}

static mls_status broadcast_error(const mls_op *op, size_t index)
{
    return mls__op_error(op, MLS_ESHAPE, "input %zu does not broadcast to the others", index);
}

/* The scores' dims, mask and all. */
static mls_status read_scores(const mls_op *op, const int64_t *k_dims, int *ret_rank,
                              int64_t *ret_dims)
{
    const mls_arg *q = &op->inputs[Q], *k = &op->inputs[K], *mask = mls__op_input(op, MASK);
    int rank;
    if (!mls__shape_broadcast(q->rank - 2, q->dims, k->rank - 2, k_dims, &rank, ret_dims))
        return broadcast_error(op, K);
    ret_dims[rank] = q->dims[q->rank - 2];
    ret_dims[rank + 1] = k_dims[k->rank - 2];
    *ret_rank = rank + 2;
    if (mask &&
        !mls__shape_broadcast(*ret_rank, ret_dims, mask->rank, mask->dims, ret_rank, ret_dims))
        return broadcast_error(op, MASK);
    const int64_t expected = mls__op_int(op, "rank", 0);
    if (expected && expected != *ret_rank)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "a softmax of %d dimensions over axis %" PRId64 ", not the last one",
                             *ret_rank, expected - 1);
    return MLS_OK;
}

static mls_status set_fused(const mls_op *op, mls_arg *ret_output)
{
    const mls_arg *q = &op->inputs[Q], *k = &op->inputs[K], *v = &op->inputs[V];
    int64_t k_dims[MLS_MAX_RANK], dims[MLS_MAX_RANK + 2];
    int rank;
    mls_status status = read_keys(op, k_dims);
    if (!status && q->dims[q->rank - 1] != k_dims[k->rank - 1])
        status = mls__op_error(op, MLS_ESHAPE,
                               "rows of input 0 have %" PRId64 " elements, of input 1 %" PRId64,
                               q->dims[q->rank - 1], k_dims[k->rank - 1]);
    if (!status)
        status = read_scores(op, k_dims, &rank, dims);
    if (status)
        return status;
    const int64_t queries = dims[rank - 2], keys = dims[rank - 1];
    if (v->dims[v->rank - 2] != keys)
        return mls__op_error(op, MLS_ESHAPE,
                             "input 2 has %" PRId64 " rows, and there are %" PRId64 " keys",
                             v->dims[v->rank - 2], keys);
    if (!mls__shape_broadcast(rank - 2, dims, v->rank - 2, v->dims, &rank, dims))
        return broadcast_error(op, V);
    dims[rank] = queries;
    dims[rank + 1] = v->dims[v->rank - 1];
    return mls__infer_set(op, ret_output, q->dtype, rank + 2, dims);
}

static mls_status infer_fused(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = mls__infer_dtype(op, Q, FLOATS, "a float of 16, 32 or 64 bits");
    for (size_t i = K; !status && i <= MASK; i++)
        status = mls__infer_same_dtype(op, i, Q);
    for (size_t i = Q; !status && i <= V; i++)
        if (op->inputs[i].rank < 2)
            status =
                mls__op_error(op, MLS_ESHAPE, "input %zu has %d dimensions, expected 2 or more", i,
                              op->inputs[i].rank);
    return status ? status : set_fused(op, &ret_outputs[0]);
}

mls__op_schema_table mls__schemas_attention = {
    {"", "Attention", 3, 7, 1, 4, 0, 0, infer_attention,
     "is_causal:int kv_num_heads:int left_window_size:int q_num_heads:int "
     "qk_matmul_output_mode:int right_window_size:int scale:float softcap:float "
     "softmax_precision:int"},
    {"", "RotaryEmbedding", 3, 4, 1, 1, 0, 0, infer_rotary,
     "interleaved:int num_heads:int rotary_embedding_dim:int"},
    {"mlscale", "FusedAttention", 3, 4, 1, 1, 0, 0, infer_fused,
     "divides:int k_inside:int rank:int scale:float"},
    {.type = NULL},
};
