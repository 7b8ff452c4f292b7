/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of com.microsoft that exported transformers carry, and that no other family has. */
#include "graph/schema/families.h"

#include "tensor/shape.h"

#include <inttypes.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))

static const char *const float_words = "a float of 16 bits or more";

/* Input `index` has `count` elements in one dimension. */
static mls_status check_row(const mls_op *op, size_t index, int64_t count)
{
    const mls_arg *arg = &op->inputs[index];
    char text[MLS__SHAPE_TEXT];
    if (arg->rank == 1 && arg->dims[0] == count)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has shape %s, expected [%" PRId64 "]", index,
                         mls__shape_text(arg->rank, arg->dims, text), count);
}

static mls_status infer_bias_gelu(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls_status status = mls__infer_dtype(op, 0, FLOATS, float_words);
    if (!status && x->rank < 1)
        status = mls__op_error(op, MLS_ESHAPE, "input 0 is a scalar and has no axis");
    if (!status)
        status = mls__infer_same_dtype(op, 1, 0);
    if (!status)
        status = check_row(op, 1, x->dims[x->rank - 1]);
    return status ? status : mls__infer_same(op, ret_outputs);
}

/* --- EmbedLayerNormalization ----------------------------------------------------------------- */

enum { IDS, SEGMENT_IDS, WORDS, POSITIONS, SEGMENTS, SCALE, BIAS, MASK, POSITION_IDS };

static mls_status check_given(const mls_op *op, size_t index)
{
    return mls__op_input(op, index) ? MLS_OK
                                    : mls__op_error(op, MLS_EINVAL, "input %zu is missing", index);
}

/* A table of embeddings, as wide as the first one. */
static mls_status check_table(const mls_op *op, size_t index)
{
    const mls_arg *words = &op->inputs[WORDS], *table = &op->inputs[index];
    const mls_status status = mls__infer_dtype(op, index, FLOATS, float_words);
    if (status)
        return status;
    if (table->rank != 2 || words->rank != 2 || table->dims[1] != words->dims[1])
        return mls__op_error(op, MLS_ESHAPE,
                             "input %zu is not a matrix of embeddings as wide as those of input 2",
                             index);
    return mls__infer_same_dtype(op, index, WORDS);
}

/* Ids of [batch, sequence]; where a batch shares them, of [1, sequence]. */
static mls_status check_ids(const mls_op *op, size_t index, bool is_shared)
{
    const mls_arg *first = &op->inputs[IDS], *ids = mls__op_input(op, index);
    if (!ids)
        return MLS_OK;
    const mls_status status =
        mls__infer_dtype(op, index, BIT(MLS_INT32) | BIT(MLS_INT64), "int32 or int64");
    if (status)
        return status;
    if (ids->rank == 2 && first->rank == 2 && ids->dims[1] == first->dims[1] &&
        (ids->dims[0] == first->dims[0] || (is_shared && ids->dims[0] == 1)))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu does not have the batch and length of input 0",
                         index);
}

static mls_status check_inputs(const mls_op *op)
{
    mls_status status = check_ids(op, IDS, false);
    for (size_t i = WORDS; !status && i <= BIAS; i++)
        if (i != SEGMENTS)
            status = check_given(op, i);
    if (!status && !mls__op_input(op, SEGMENT_IDS) != !mls__op_input(op, SEGMENTS))
        status = mls__op_error(op, MLS_EINVAL, "inputs 1 and 4 go together: one is missing");
    for (size_t i = WORDS; !status && i <= SEGMENTS; i++)
        if (mls__op_input(op, i))
            status = check_table(op, i);
    for (size_t i = SCALE; !status && i <= BIAS; i++) {
        status = mls__infer_same_dtype(op, i, WORDS);
        if (!status)
            status = check_row(op, i, op->inputs[WORDS].dims[1]);
    }
    if (!status)
        status = check_ids(op, SEGMENT_IDS, false);
    if (!status)
        status = check_ids(op, MASK, false);
    if (!status)
        status = check_ids(op, POSITION_IDS, true);
    return status;
}

/* Without ids of their own, positions are 0, 1, ... */
static mls_status check_positions(const mls_op *op)
{
    const int64_t length = op->inputs[IDS].dims[1], rows = op->inputs[POSITIONS].dims[0];
    if (mls__op_input(op, POSITION_IDS) || length <= rows)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "input 0 has %" PRId64 " positions, and input 3 embeds %" PRId64, length,
                         rows);
}

static mls_status infer_embed_norm(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_inputs(op);
    if (!status)
        status = check_positions(op);
    if (status)
        return status;
    const mls_arg *ids = &op->inputs[IDS], *words = &op->inputs[WORDS];
    const int64_t dims[] = {ids->dims[0], ids->dims[1], words->dims[1]};
    status = mls__infer_set(op, &ret_outputs[0], words->dtype, 3, dims);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], MLS_INT32, 1, dims);
    if (!status && op->output_count > 2)
        status = mls__infer_set(op, &ret_outputs[2], words->dtype, 3, dims);
    return status;
}

mls__op_schema_table mls__schemas_contrib = {
    {"com.microsoft", "BiasGelu", 2, 2, 1, 1, 0, 0, infer_bias_gelu, NULL},
    {"com.microsoft", "FastGelu", 2, 2, 1, 1, 0, 0, infer_bias_gelu, NULL},
    {"com.microsoft", "EmbedLayerNormalization", 1, 9, 1, 3, 0, 0, infer_embed_norm,
     "epsilon:float mask_index_type:int"},
    {.type = NULL},
};
