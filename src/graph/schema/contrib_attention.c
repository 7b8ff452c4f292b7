/* SPDX-License-Identifier: Apache-2.0 */
/* Attention ops of com.microsoft: Attention, QAttention, MultiHeadAttention, RotaryEmbedding. */
#include "graph/schema/contrib_attention.h"

#include "graph/schema/families.h"

#include "base/alloc.h"
#include "op/padding.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define BYTES (MLS__DTYPE_BIT(MLS_INT8) | MLS__DTYPE_BIT(MLS_UINT8))

mls_status mls__contrib_dims(const mls_op *op, size_t index, int rank, const int64_t *dims)
{
    char has[MLS__SHAPE_TEXT], expected[MLS__SHAPE_TEXT];
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || mls__shape_equal(arg->rank, arg->dims, rank, dims))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu is %s, expected %s", index,
                         mls__shape_text(arg->rank, arg->dims, has),
                         mls__shape_text(rank, dims, expected));
}

mls_status mls__contrib_rank(const mls_op *op, size_t index, int rank)
{
    if (op->inputs[index].rank == rank)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has %d dimensions, expected %d", index,
                         op->inputs[index].rank, rank);
}

mls_status mls__contrib_heads(const mls_op *op, int64_t *ret_heads)
{
    *ret_heads = mls__op_int(op, "num_heads", 0);
    if (*ret_heads > 0)
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL, "num_heads is %" PRId64 ", expected 1 or more",
                         *ret_heads);
}

mls_status mls__contrib_divide(const mls_op *op, const char *what, int64_t columns, int64_t heads,
                               int64_t *ret_size)
{
    *ret_size = columns / heads;
    if (columns % heads == 0)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "%s has %" PRId64 " columns, which %" PRId64 " heads do not divide", what,
                         columns, heads);
}

mls_status mls__contrib_score_bias(const mls_op *op, size_t index, int64_t batch, int64_t heads,
                                   int64_t queries, int64_t keys)
{
    const mls_arg *bias = mls__op_input(op, index);
    if (!bias)
        return MLS_OK;
    const bool is_one = bias->rank == 4 && bias->dims[0] == 1;
    const bool is_shared = bias->rank == 4 && bias->dims[1] == 1;
    const int64_t dims[] = {is_one ? 1 : batch, is_shared ? 1 : heads, queries, keys};
    return mls__contrib_dims(op, index, 4, dims);
}

/* --- Attention and QAttention ---------------------------------------------------------------- */

/* Where the inputs are that differ; -1: the op has none. */
typedef struct roles {
    size_t mask, past;
    int score_bias;
} roles;

static const roles plain_roles = {3, 4, 5}, quantized_roles = {5, 8, -1};

typedef struct projection {
    int64_t batch, rows, heads, past;
    int64_t q_columns, v_columns; /* of Q and of K; of V */
    int64_t q_size, v_size;
} projection;

static mls_status read_columns(const mls_op *op, projection *p)
{
    size_t count;
    const int64_t all = op->inputs[1].dims[1];
    const int64_t *sizes = mls__op_ints(op, "qkv_hidden_sizes", &count);
    p->q_columns = p->v_columns = all / 3;
    if (count == 3) {
        int64_t sum = 0;
        const bool fits = sizes[0] >= 0 && sizes[0] == sizes[1] && sizes[2] >= 0 &&
                          mls__add_i64(sizes[0], sizes[1], &sum) &&
                          mls__add_i64(sum, sizes[2], &sum) && sum == all;
        if (!fits)
            return mls__op_error(op, MLS_EINVAL,
                                 "qkv_hidden_sizes do not make the %" PRId64
                                 " columns of input 1, the first two alike",
                                 all);
        p->q_columns = sizes[0];
        p->v_columns = sizes[2];
    } else if (count || all % 3) {
        return mls__op_error(op, MLS_ESHAPE, "input 1 has %" PRId64 " columns, no three parts",
                             all);
    }
    mls_status status = mls__contrib_divide(op, "Q", p->q_columns, p->heads, &p->q_size);
    return status ? status : mls__contrib_divide(op, "V", p->v_columns, p->heads, &p->v_size);
}

static mls_status read_projection(const mls_op *op, projection *p)
{
    const mls_arg *x = &op->inputs[0];
    mls_status status = mls__contrib_rank(op, 0, 3);
    if (!status)
        status = mls__contrib_rank(op, 1, 2);
    if (!status)
        status = mls__contrib_heads(op, &p->heads);
    if (!status)
        status = read_columns(op, p);
    if (status)
        return status;
    p->batch = x->dims[0];
    p->rows = x->dims[1];
    const int64_t weights[] = {x->dims[2], op->inputs[1].dims[1]};
    status = mls__contrib_dims(op, 1, 2, weights);
    return status ? status : mls__contrib_dims(op, 2, 1, &weights[1]);
}

static mls_status check_past(const mls_op *op, const roles *r, projection *p)
{
    const mls_arg *past = mls__op_input(op, r->past);
    p->past = past && past->rank == 5 ? past->dims[3] : 0;
    if ((past || op->output_count > 1) && p->q_columns != p->v_columns)
        return mls__op_error(op, MLS_EINVAL, "with a past, Q and V must have as many columns");
    const int64_t dims[] = {2, p->batch, p->heads, p->past, p->q_size};
    return mls__contrib_dims(op, r->past, 5, dims);
}

static mls_status infer_projected(const mls_op *op, const roles *r, int32_t dtype,
                                  mls_arg *ret_outputs)
{
    projection p;
    int64_t keys = 0;
    mls_status status = read_projection(op, &p);
    if (!status)
        status = check_past(op, r, &p);
    if (!status && !mls__add_i64(p.past, p.rows, &keys))
        status = mls__op_error(op, MLS_ESHAPE, "its past has too many rows");
    mls__padding padding = {.batch = p.batch, .queries = p.rows, .keys = keys, .past = p.past};
    if (!status)
        status = mls__op_padding(op, r->mask, &padding);
    if (!status && r->score_bias >= 0)
        status =
            mls__contrib_score_bias(op, (size_t) r->score_bias, p.batch, p.heads, p.rows, keys);
    const int64_t y[] = {p.batch, p.rows, p.v_columns};
    const int64_t present[] = {2, p.batch, p.heads, keys, p.q_size};
    if (!status)
        status = mls__infer_set(op, &ret_outputs[0], dtype, 3, y);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], dtype, 5, present);
    return status;
}

static mls_status infer_attention(const mls_op *op, mls_arg *ret_outputs)
{
    static const size_t same[] = {1, 2, 4, 5};
    mls_status status = mls__infer_dtype(op, 0, MLS__CONTRIB_FLOATS, "a float of 16 or 32 bits");
    for (size_t i = 0; !status && i < sizeof same / sizeof same[0]; i++)
        status = mls__infer_same_dtype(op, same[i], 0);
    return status ? status : infer_projected(op, &plain_roles, op->inputs[0].dtype, ret_outputs);
}

/* One element, or (of the weights) one a column. */
static mls_status check_scale(const mls_op *op, size_t index, bool has_columns)
{
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || mls__arg_count(arg) == 1)
        return MLS_OK;
    if (has_columns)
        return mls__contrib_dims(op, index, 1, &op->inputs[1].dims[1]);
    return mls__op_error(op, MLS_ESHAPE, "input %zu has %" PRId64 " elements, expected one", index,
                         mls__arg_count(arg));
}

static mls_status infer_q_attention(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = mls__infer_dtype(op, 0, BYTES, "int8 or uint8");
    if (!status)
        status = mls__infer_dtype(op, 1, BYTES, "int8 or uint8");
    for (size_t i = 2; !status && i <= 4; i++)
        status = mls__infer_dtype(op, i, MLS__DTYPE_BIT(MLS_FLOAT32), "float32");
    if (!status)
        status = mls__infer_same_dtype(op, 6, 0);
    if (!status)
        status = mls__infer_same_dtype(op, 7, 1);
    if (!status)
        status = mls__infer_same_dtype(op, 8, 3);
    if (!status)
        status = mls__contrib_rank(op, 1, 2);
    for (size_t i = 3; !status && i <= 7; i++)
        status = i == 5 ? MLS_OK : check_scale(op, i, i == 4 || i == 7);
    return status ? status : infer_projected(op, &quantized_roles, MLS_FLOAT32, ret_outputs);
}

/* --- MultiHeadAttention ---------------------------------------------------------------------- */

enum { Q, K, V, BIAS, PADDING, SCORE_BIAS, PAST_K, PAST_V };

typedef struct operand {
    int64_t batch, rows, size;
} operand;

/* [batch, rows, heads * size], [batch, rows, heads, parts, size] or [batch, heads, rows, size]. */
static mls_status read_operand(const mls_op *op, size_t index, int64_t heads, int64_t parts,
                               operand *ret_operand)
{
    char text[MLS__SHAPE_TEXT];
    const mls_arg *arg = &op->inputs[index];
    const int64_t *d = arg->dims;
    const bool is_packed = parts > 1 && arg->rank == 5 && d[2] == heads && d[3] == parts;
    const bool is_deep = index != Q && arg->rank == 4 && d[1] == heads;
    *ret_operand = (operand){d[0], is_deep ? d[2] : d[1], is_packed ? d[4] : d[3]};
    if (is_packed || is_deep)
        return MLS_OK;
    if (arg->rank != 3)
        return mls__op_error(op, MLS_ESHAPE,
                             "input %zu is %s, which is no form of %" PRId64 " heads", index,
                             mls__shape_text(arg->rank, arg->dims, text), heads);
    return mls__contrib_divide(op,
                               index == Q   ? "Q"
                               : index == K ? "K"
                                            : "V",
                               d[2], heads, &ret_operand->size);
}

static mls_status read_operands(const mls_op *op, int64_t heads, operand operands[3])
{
    const bool is_one = op->inputs[Q].rank == 5;
    const mls_arg *key = mls__op_input(op, K), *value = mls__op_input(op, V);
    const bool is_two = !is_one && key && key->rank == 5;
    if (is_one ? key || value : is_two ? value != NULL : !key || !value)
        return mls__op_error(op, MLS_EINVAL,
                             "K and V are given, but not those that are packed into an input");
    mls_status status = read_operand(op, Q, heads, is_one ? 3 : 1, &operands[0]);
    operands[1] = operands[2] = operands[0];
    if (!status && !is_one)
        status = read_operand(op, K, heads, is_two ? 2 : 1, &operands[1]);
    if (!is_one)
        operands[2] = operands[1];
    if (!status && !is_one && !is_two)
        status = read_operand(op, V, heads, 1, &operands[2]);
    return status;
}

static mls_status check_operands(const mls_op *op, int64_t heads, const operand o[3])
{
    if (o[0].batch != o[1].batch || o[0].batch != o[2].batch || o[1].rows != o[2].rows ||
        o[0].size != o[1].size)
        return mls__op_error(op, MLS_ESHAPE,
                             "Q, K and V have batches of %" PRId64 ", %" PRId64 " and %" PRId64
                             ", rows %" PRId64 ", %" PRId64 " and %" PRId64 ", heads of %" PRId64
                             ", %" PRId64 " and %" PRId64,
                             o[0].batch, o[1].batch, o[2].batch, o[0].rows, o[1].rows, o[2].rows,
                             o[0].size, o[1].size, o[2].size);
    int64_t columns;
    if (!mls__add_i64(o[0].size, o[1].size, &columns) ||
        !mls__add_i64(columns, o[2].size, &columns) || !mls__mul_i64(columns, heads, &columns))
        return mls__op_error(op, MLS_ESHAPE, "its heads have too many elements");
    const bool is_deep = op->input_count > K && op->inputs[K].rank == 4;
    if (is_deep && mls__op_input(op, BIAS))
        return mls__op_error(op, MLS_EUNSUPPORTED, "a bias with keys that are in heads already");
    return mls__contrib_dims(op, BIAS, 1, &columns);
}

static mls_status check_pasts(const mls_op *op, int64_t heads, const operand o[3],
                              int64_t *ret_past)
{
    const mls_arg *past = mls__op_input(op, PAST_K);
    *ret_past = past && past->rank == 4 ? past->dims[2] : 0;
    if (!past != !mls__op_input(op, PAST_V))
        return mls__op_error(op, MLS_EINVAL, "past_key and past_value go together");
    const int64_t k[] = {o[0].batch, heads, *ret_past, o[1].size};
    const int64_t v[] = {o[0].batch, heads, *ret_past, o[2].size};
    mls_status status = mls__contrib_dims(op, PAST_K, 4, k);
    return status ? status : mls__contrib_dims(op, PAST_V, 4, v);
}

static mls_status set_multi_head(const mls_op *op, int64_t heads, const operand o[3], int64_t keys,
                                 mls_arg *ret_outputs)
{
    const int64_t y[] = {o[0].batch, o[0].rows, heads * o[2].size};
    const int32_t dtype = op->inputs[Q].dtype;
    mls_status status = mls__infer_set(op, &ret_outputs[0], dtype, 3, y);
    for (size_t i = 1; !status && i < op->output_count; i++) {
        const int64_t present[] = {o[0].batch, heads, keys, o[i].size};
        status = mls__infer_set(op, &ret_outputs[i], dtype, 4, present);
    }
    return status;
}

static mls_status infer_multi_head(const mls_op *op, mls_arg *ret_outputs)
{
    static const size_t same[] = {K, V, BIAS, SCORE_BIAS, PAST_K, PAST_V};
    operand o[3];
    int64_t heads = 0, past = 0, keys = 0;
    mls_status status = mls__infer_dtype(op, Q, MLS__CONTRIB_FLOATS, "a float of 16 or 32 bits");
    for (size_t i = 0; !status && i < sizeof same / sizeof same[0]; i++)
        status = mls__infer_same_dtype(op, same[i], Q);
    if (!status)
        status = mls__contrib_heads(op, &heads);
    if (!status)
        status = read_operands(op, heads, o);
    if (!status)
        status = check_operands(op, heads, o);
    if (!status)
        status = check_pasts(op, heads, o, &past);
    if (!status && !mls__add_i64(past, o[1].rows, &keys))
        status = mls__op_error(op, MLS_ESHAPE, "past_key has too many rows");
    if (status)
        return status;
    mls__padding padding = {.batch = o[0].batch, .queries = o[0].rows, .keys = keys, .past = past};
    status = mls__op_padding(op, PADDING, &padding);
    if (!status)
        status = mls__contrib_score_bias(op, SCORE_BIAS, o[0].batch, heads, o[0].rows, keys);
    return status ? status : set_multi_head(op, heads, o, keys, ret_outputs);
}

/* --- RotaryEmbedding ------------------------------------------------------------------------- */

/* Elements of a head: by num_heads, or as many as the caches turn. */
static mls_status read_rotary(const mls_op *op, int64_t *ret_size)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t count = mls__op_int(op, "num_heads", 0);
    int64_t turned;
    if (!mls__mul_i64(2, op->inputs[2].dims[1], &turned))
        return mls__op_error(op, MLS_ESHAPE, "input 2 has too many columns");
    if (x->rank != 3 && x->rank != 4)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected 3 or 4", x->rank);
    *ret_size = x->rank == 4 ? x->dims[3] : turned;
    if (x->rank == 4 || (count == 0 && turned > 0 && x->dims[2] % turned == 0))
        return MLS_OK;
    if (count <= 0)
        return mls__op_error(op, MLS_ESHAPE,
                             "rows of %" PRId64 " elements are no heads of %" PRId64, x->dims[2],
                             turned);
    return mls__contrib_divide(op, "X", x->dims[2], count, ret_size);
}

static mls_status check_rotary(const mls_op *op, int64_t size)
{
    const mls_arg *x = &op->inputs[0], *positions = &op->inputs[1];
    const int64_t turned = mls__op_int(op, "rotary_embedding_dim", 0);
    const int64_t caches[] = {op->inputs[2].dims[0], (turned ? turned : size) / 2};
    const int64_t one = 1, each[] = {x->dims[0], x->dims[x->rank == 4 ? 2 : 1]};
    if (turned < 0 || turned > size || (turned ? turned : size) % 2)
        return mls__op_error(op, MLS_EINVAL,
                             "rotary_embedding_dim is %" PRId64 ", and a head has %" PRId64
                             " elements; what is turned is an even number of them",
                             turned, size);
    mls_status status = positions->rank == 1 ? mls__contrib_dims(op, 1, 1, &one)
                                             : mls__contrib_dims(op, 1, 2, each);
    if (!status)
        status = mls__contrib_dims(op, 2, 2, caches);
    return status ? status : mls__contrib_dims(op, 3, 2, caches);
}

static mls_status infer_rotary(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t size;
    mls_status status = mls__infer_dtype(op, 0, MLS__CONTRIB_FLOATS, "a float of 16 or 32 bits");
    if (!status)
        status = mls__infer_dtype(op, 1, MLS__DTYPE_BIT(MLS_INT64), "int64");
    for (size_t i = 2; !status && i <= 3; i++)
        status = mls__infer_same_dtype(op, i, 0);
    if (!status)
        status = mls__contrib_rank(op, 2, 2);
    if (!status)
        status = read_rotary(op, &size);
    if (!status)
        status = check_rotary(op, size);
    return status ? status : mls__infer_same(op, ret_outputs);
}

mls__op_schema_table mls__schemas_contrib_attention = {
    {"com.microsoft", "Attention", 2, 7, 1, 2, 0, 0, infer_attention,
     "do_rotary:int mask_filter_value:float num_heads:int! past_present_share_buffer:int "
     "qkv_hidden_sizes:ints rotary_embedding_dim:int scale:float unidirectional:int"},
    {"com.microsoft", "QAttention", 5, 9, 1, 2, 0, 0, infer_q_attention,
     "do_rotary:int mask_filter_value:float num_heads:int! past_present_share_buffer:int "
     "scale:float unidirectional:int"},
    {"com.microsoft", "MultiHeadAttention", 1, 10, 1, 3, 0, 0, infer_multi_head,
     "mask_filter_value:float num_heads:int! scale:float unidirectional:int"},
    {"com.microsoft", "RotaryEmbedding", 4, 4, 1, 1, 0, 0, infer_rotary,
     "interleaved:int is_packed_batching:int num_heads:int rotary_embedding_dim:int scale:float"},
    {.type = NULL},
};
