/* SPDX-License-Identifier: Apache-2.0 */
/* Layers with a state that is an input and an output: LinearAttention, CausalConvWithState. */
#include "graph/schema/families.h"

#include "tensor/shape.h"

#include <inttypes.h>

#define SINGLES                                                                                    \
    (MLS__DTYPE_BIT(MLS_FLOAT16) | MLS__DTYPE_BIT(MLS_BFLOAT16) | MLS__DTYPE_BIT(MLS_FLOAT32))

static const char single_words[] = "a float of 16 or 32 bits";

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

static mls_status check_rank(const mls_op *op, size_t index, int rank)
{
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || arg->rank == rank)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has %d dimensions, expected %d", index,
                         arg->rank, rank);
}

/* --- LinearAttention ------------------------------------------------------------------------- */

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA };

typedef struct linear {
    int64_t batch, rows, heads, kv_heads, size, v_size;
} linear;

/* Which gates an update rule has, both or none: exactly these inputs are given. */
static mls_status check_rule(const mls_op *op)
{
    static const struct {
        const char *name;
        bool has_decay, has_beta;
    } rules[] = {{"linear", false, false},
                 {"gated", true, false},
                 {"delta", false, true},
                 {"gated_delta", true, true}};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (!mls__op_string_is(op, "update_rule", rules[i].name, "gated_delta"))
            continue;
        if ((mls__op_input(op, DECAY) != NULL) == rules[i].has_decay &&
            (mls__op_input(op, BETA) != NULL) == rules[i].has_beta)
            return MLS_OK;
        return mls__op_error(op, MLS_EINVAL, "update_rule '%s' takes %s decay and %s beta",
                             rules[i].name, rules[i].has_decay ? "a" : "no",
                             rules[i].has_beta ? "a" : "no");
    }
    return mls__op_error(op, MLS_EINVAL,
                         "update_rule is none of linear, gated, delta and gated_delta");
}

static mls_status check_linear_dtypes(const mls_op *op)
{
    static const size_t same[] = {KEY, VALUE, DECAY, BETA};
    mls_status status = mls__infer_dtype(op, QUERY, SINGLES, single_words);
    for (size_t i = 0; !status && i < sizeof same / sizeof same[0]; i++)
        status = mls__infer_same_dtype(op, same[i], QUERY);
    if (!status && mls__op_input(op, PAST))
        status = mls__infer_dtype(op, PAST, SINGLES, single_words);
    return status;
}

static mls_status read_linear(const mls_op *op, linear *ret_linear)
{
    const mls_arg *q = &op->inputs[QUERY], *v = &op->inputs[VALUE];
    linear l = {.batch = q->dims[0],
                .rows = q->dims[1],
                .heads = mls__op_int(op, "q_num_heads", 0),
                .kv_heads = mls__op_int(op, "kv_num_heads", 0)};
    if (l.heads <= 0 || l.kv_heads <= 0 || l.heads % l.kv_heads)
        return mls__op_error(op, MLS_EINVAL,
                             "q_num_heads is %" PRId64 ", no multiple of kv_num_heads, %" PRId64,
                             l.heads, l.kv_heads);
    if (q->dims[2] % l.heads || v->dims[2] % l.kv_heads)
        return mls__op_error(op, MLS_ESHAPE,
                             "rows of %" PRId64 " and %" PRId64 " elements for %" PRId64
                             " and %" PRId64 " heads",
                             q->dims[2], v->dims[2], l.heads, l.kv_heads);
    l.size = q->dims[2] / l.heads;
    l.v_size = v->dims[2] / l.kv_heads;
    *ret_linear = l;
    return MLS_OK;
}

static mls_status check_linear(const mls_op *op, const linear *l)
{
    const mls_arg *decay = mls__op_input(op, DECAY), *beta = mls__op_input(op, BETA);
    const int64_t columns = l->kv_heads * l->size;
    const bool is_shared = decay && decay->dims[2] == l->kv_heads;
    const int64_t key[] = {l->batch, l->rows, columns};
    const int64_t value[] = {l->batch, l->rows, l->kv_heads * l->v_size};
    const int64_t past[] = {l->batch, l->kv_heads, l->size, l->v_size};
    const int64_t decays[] = {l->batch, l->rows, is_shared ? l->kv_heads : columns};
    const int64_t betas[] = {l->batch, l->rows, beta && beta->dims[2] == 1 ? 1 : l->kv_heads};
    mls_status status = check_dims(op, KEY, 3, key);
    if (!status)
        status = check_dims(op, VALUE, 3, value);
    if (!status)
        status = check_dims(op, PAST, 4, past);
    if (!status)
        status = check_dims(op, DECAY, 3, decays);
    return status ? status : check_dims(op, BETA, 3, betas);
}

static mls_status infer_linear(const mls_op *op, mls_arg *ret_outputs)
{
    static const size_t threes[] = {QUERY, KEY, VALUE, DECAY, BETA};
    linear l;
    mls_status status = check_linear_dtypes(op);
    for (size_t i = 0; !status && i < sizeof threes / sizeof threes[0]; i++)
        status = check_rank(op, threes[i], 3);
    if (!status)
        status = check_rule(op);
    if (!status)
        status = read_linear(op, &l);
    if (!status)
        status = check_linear(op, &l);
    if (status)
        return status;
    const mls_arg *past = mls__op_input(op, PAST);
    const int32_t dtype = op->inputs[QUERY].dtype;
    const int64_t y[] = {l.batch, l.rows, l.heads * l.v_size};
    const int64_t state[] = {l.batch, l.kv_heads, l.size, l.v_size};
    status = mls__infer_set(op, &ret_outputs[0], dtype, 3, y);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], past ? past->dtype : dtype, 4, state);
    return status;
}

/* --- CausalConvWithState --------------------------------------------------------------------- */

enum { INPUT, WEIGHT, BIAS, STATE };

static mls_status check_causal(const mls_op *op)
{
    const mls_arg *x = &op->inputs[INPUT], *w = &op->inputs[WEIGHT];
    mls_status status = check_rank(op, INPUT, 3);
    if (!status)
        status = check_rank(op, WEIGHT, 3);
    if (status)
        return status;
    if (w->dims[2] < 1)
        return mls__op_error(op, MLS_ESHAPE, "input 1 has no taps");
    const int64_t weight[] = {x->dims[1], 1, w->dims[2]};
    const int64_t state[] = {x->dims[0], x->dims[1], w->dims[2] - 1};
    status = check_dims(op, WEIGHT, 3, weight);
    if (!status)
        status = check_dims(op, BIAS, 1, &x->dims[1]);
    return status ? status : check_dims(op, STATE, 3, state);
}

static mls_status infer_causal(const mls_op *op, mls_arg *ret_outputs)
{
    const bool is_known = mls__op_string_is(op, "activation", "none", "none") ||
                          mls__op_string_is(op, "activation", "silu", "none") ||
                          mls__op_string_is(op, "activation", "swish", "none");
    mls_status status = mls__infer_dtype(op, INPUT, SINGLES, single_words);
    for (size_t i = WEIGHT; !status && i <= STATE; i++)
        status = mls__infer_same_dtype(op, i, INPUT);
    if (!status && !is_known)
        status = mls__op_error(op, MLS_EINVAL, "activation is none of none, silu and swish");
    if (!status)
        status = check_causal(op);
    if (!status)
        status = mls__infer_same(op, ret_outputs);
    if (status || op->output_count < 2)
        return status;
    const mls_arg *x = &op->inputs[INPUT];
    const int64_t state[] = {x->dims[0], x->dims[1], op->inputs[WEIGHT].dims[2] - 1};
    return mls__infer_set(op, &ret_outputs[1], x->dtype, 3, state);
}

mls__op_schema_table mls__schemas_linear_attention = {
    {"", "LinearAttention", 3, 6, 1, 2, 0, 0, infer_linear,
     "chunk_size:int kv_num_heads:int! q_num_heads:int! scale:float update_rule:string"},
    {"", "CausalConvWithState", 2, 4, 1, 2, 0, 0, infer_causal, "activation:string"},
    {.type = NULL},
};
