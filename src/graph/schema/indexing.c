/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that take elements from where indices say, or put them there. */
#include "graph/schema/families.h"

#include "op/indexing.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define WIDE_OR_NARROW (MLS__DTYPE_BIT(MLS_INT64) | MLS__DTYPE_BIT(MLS_INT32))
#define WIDE           MLS__DTYPE_BIT(MLS_INT64)
#define NUMBERS                                                                                    \
    (MLS__DTYPE_BIT(MLS_FLOAT32) | MLS__DTYPE_BIT(MLS_FLOAT64) | MLS__DTYPE_BIT(MLS_FLOAT16) |     \
     MLS__DTYPE_BIT(MLS_BFLOAT16) | MLS__DTYPE_BIT(MLS_INT8) | MLS__DTYPE_BIT(MLS_INT16) |         \
     MLS__DTYPE_BIT(MLS_INT32) | MLS__DTYPE_BIT(MLS_INT64) | MLS__DTYPE_BIT(MLS_UINT8) |           \
     MLS__DTYPE_BIT(MLS_UINT16) | MLS__DTYPE_BIT(MLS_UINT32) | MLS__DTYPE_BIT(MLS_UINT64) |        \
     MLS__DTYPE_BIT(MLS_BOOL))

static mls_status rank_error(const mls_op *op, size_t index, const char *words)
{
    return mls__op_error(op, MLS_ESHAPE, "input %zu has %d dimensions, expected %s", index,
                         op->inputs[index].rank, words);
}

static mls_status dims_error(const mls_op *op, size_t index, const char *words, int rank,
                             const int64_t *dims)
{
    char is[MLS__SHAPE_TEXT], wanted[MLS__SHAPE_TEXT];
    const mls_arg *arg = &op->inputs[index];
    return mls__op_error(op, MLS_ESHAPE, "input %zu is %s, %s %s", index,
                         mls__shape_text(arg->rank, arg->dims, is), words,
                         mls__shape_text(rank, dims, wanted));
}

/* --- along an axis ---------------------------------------------------------------------------- */

/* Indices of the data's rank, which reach past it along no other axis. */
static mls_status check_elements(const mls_op *op)
{
    const mls_arg *data = &op->inputs[0], *indices = &op->inputs[1];
    int axis;
    mls_status status = mls__infer_dtype(op, 1, WIDE_OR_NARROW, "int64 or int32");
    if (!status)
        status = mls__op_axis(op, mls__op_int(op, "axis", 0), data->rank, &axis);
    if (status)
        return status;
    if (indices->rank != data->rank)
        return mls__op_error(op, MLS_ESHAPE,
                             "the indices have %d dimensions and the data %d; they must be equal",
                             indices->rank, data->rank);
    for (int i = 0; i < data->rank; i++)
        if (i != axis && indices->dims[i] > data->dims[i])
            return dims_error(op, 1, "which reaches past input 0 of", data->rank, data->dims);
    return MLS_OK;
}

static mls_status infer_gather_elements(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *indices = &op->inputs[1];
    const mls_status status = check_elements(op);
    if (status)
        return status;
    return mls__infer_set(op, &ret_outputs[0], op->inputs[0].dtype, indices->rank, indices->dims);
}

/* Updates of the data's dtype, and a reduction that it has. */
static mls_status check_updates(const mls_op *op)
{
    mls__scatter_reduction reduction;
    mls_status status = mls__infer_same_dtype(op, 2, 0);
    if (!status)
        status = mls__op_scatter_reduction(op, &reduction);
    if (!status && reduction != MLS__SCATTER_NONE)
        status = mls__infer_dtype(op, 0, NUMBERS, "a number to reduce with");
    return status;
}

static mls_status infer_scatter_elements(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *indices = &op->inputs[1], *updates = &op->inputs[2];
    mls_status status = check_elements(op);
    if (!status)
        status = check_updates(op);
    if (status)
        return status;
    if (!mls__shape_equal(updates->rank, updates->dims, indices->rank, indices->dims))
        return dims_error(op, 2, "expected the indices'", indices->rank, indices->dims);
    return mls__infer_same(op, ret_outputs);
}

/* --- by tuples of indices --------------------------------------------------------------------- */

/* The last dimension of the indices is a tuple of at least `least`, for axes from `batch` on. */
static mls_status check_tuples(const mls_op *op, int batch, int64_t least, int *ret_tuple)
{
    const mls_arg *data = &op->inputs[0], *indices = &op->inputs[1];
    const mls_status status = mls__infer_dtype(op, 1, WIDE, "int64");
    if (status)
        return status;
    const int64_t tuple = indices->dims[indices->rank - 1];
    if (tuple < least || tuple > data->rank - batch)
        return mls__op_error(op, MLS_ESHAPE,
                             "the last dimension of the indices is %" PRId64
                             "; it must be in [%" PRId64 ", %d]",
                             tuple, least, data->rank - batch);
    *ret_tuple = (int) tuple;
    return MLS_OK;
}

/* The dims that the indices have before their tuples, then those of the slices of the data. */
static int slice_dims(const mls_op *op, int first, int64_t *ret_dims)
{
    const mls_arg *data = &op->inputs[0], *indices = &op->inputs[1];
    int rank = 0;
    for (int i = 0; i < indices->rank - 1; i++)
        ret_dims[rank++] = indices->dims[i];
    for (int i = first; i < data->rank; i++)
        ret_dims[rank++] = data->dims[i];
    return rank;
}

static mls_status infer_gather_nd(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0], *indices = &op->inputs[1];
    int64_t dims[2 * MLS_MAX_RANK];
    int batch, tuple;
    mls_status status = mls__op_batch_dims(op, &batch);
    if (!status)
        status = check_tuples(op, batch, 1, &tuple);
    if (status)
        return status;
    if (!mls__shape_equal(batch, data->dims, batch, indices->dims))
        return dims_error(op, 1, "expected it to begin with", batch, data->dims);
    const int rank = slice_dims(op, batch + tuple, dims);
    return mls__infer_set(op, &ret_outputs[0], data->dtype, rank, dims);
}

static mls_status infer_scatter_nd(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *updates = &op->inputs[2];
    int64_t dims[2 * MLS_MAX_RANK];
    int tuple;
    if (op->inputs[0].rank < 1)
        return rank_error(op, 0, "at least 1");
    if (op->inputs[1].rank < 1)
        return rank_error(op, 1, "at least 1");
    mls_status status = check_tuples(op, 0, 0, &tuple);
    if (!status)
        status = check_updates(op);
    if (status)
        return status;
    const int rank = slice_dims(op, tuple, dims);
    if (rank > MLS_MAX_RANK)
        return mls__op_error(op, MLS_ESHAPE, "updates would have %d dimensions; at most %d are had",
                             rank, MLS_MAX_RANK);
    if (!mls__shape_equal(updates->rank, updates->dims, rank, dims))
        return dims_error(op, 2, "expected", rank, dims);
    return mls__infer_same(op, ret_outputs);
}

/* --- sequences -------------------------------------------------------------------------------- */

/* Input `index` has one int64 for each of `batch` sequences. */
static mls_status check_batch(const mls_op *op, size_t index, int64_t batch)
{
    const mls_arg *arg = &op->inputs[index];
    const mls_status status = mls__infer_dtype(op, index, WIDE, "int64");
    if (status)
        return status;
    return mls__shape_equal(arg->rank, arg->dims, 1, &batch)
               ? MLS_OK
               : dims_error(op, index, "expected", 1, &batch);
}

static mls_status infer_reverse_sequence(const mls_op *op, mls_arg *ret_outputs)
{
    bool is_time_first;
    mls_status status = mls__op_time_first(op, &is_time_first);
    if (!status && op->inputs[0].rank < 2)
        status = rank_error(op, 0, "at least 2");
    if (!status)
        status = check_batch(op, 1, op->inputs[0].dims[is_time_first ? 1 : 0]);
    return status ? status : mls__infer_same(op, ret_outputs);
}

static mls_status infer_tensor_scatter(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *cache = &op->inputs[0], *update = &op->inputs[1];
    int64_t dims[MLS_MAX_RANK];
    int axis;
    bool is_circular;
    mls_status status = mls__op_cache_axis(op, &axis, &is_circular);
    if (!status)
        status = mls__infer_same_dtype(op, 1, 0);
    if (!status && mls__op_input(op, 2))
        status = check_batch(op, 2, cache->dims[0]);
    if (status)
        return status;
    memcpy(dims, cache->dims, sizeof dims);
    if (update->rank == cache->rank && update->dims[axis] < cache->dims[axis])
        dims[axis] = update->dims[axis];
    if (!mls__shape_equal(update->rank, update->dims, cache->rank, dims))
        return dims_error(op, 1, "expected, but for a smaller axis, the cache's", cache->rank,
                          cache->dims);
    return mls__infer_same(op, ret_outputs);
}

mls__op_schema_table mls__schemas_indexing = {
    {"", "GatherElements", 2, 2, 1, 1, 0, 0, infer_gather_elements, "axis:int"},
    {"", "GatherND", 2, 2, 1, 1, 0, 0, infer_gather_nd, "batch_dims:int"},
    {"", "ScatterElements", 3, 3, 1, 1, 0, 0, infer_scatter_elements, "axis:int reduction:string"},
    {"", "ScatterND", 3, 3, 1, 1, 0, 0, infer_scatter_nd, "reduction:string"},
    {"", "ReverseSequence", 2, 2, 1, 1, 0, 0, infer_reverse_sequence,
     "batch_axis:int time_axis:int"},
    {"", "TensorScatter", 2, 3, 1, 1, 0, 0, infer_tensor_scatter, "axis:int mode:string"},
    {.type = NULL},
};
