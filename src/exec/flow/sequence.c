/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on sequences. An item is shared, never copied: objects do not change. */
#include "exec/flow/flow.h"

#include "base/error.h"
#include "op/op.h"

#include <string.h>

/* A position among `count` items, counted from the end when negative. */
static mls_status read_position(const mls__flow *flow, const mls__flow_step *step, size_t input,
                                size_t count, int64_t fallback, size_t *ret_position)
{
    int64_t position = fallback;
    mls_status status = MLS_OK;
    if (mls__flow_input(flow, step, input))
        status = mls__flow_number(flow, step, input, &position);
    if (status)
        return status;
    const int64_t from_start = position < 0 ? position + (int64_t) count : position;
    if (from_start < 0 || from_start >= (int64_t) count)
        return mls__op_error(&step->op, MLS_ERANGE,
                             "position %lld is outside a sequence with room for %zu",
                             (long long) position, count);
    *ret_position = (size_t) from_start;
    return MLS_OK;
}

static mls_status run_empty(mls__flow *flow, const mls__flow_step *step)
{
    const int64_t dtype = mls__op_int(&step->op, "dtype", MLS_FLOAT32);
    mls__object *sequence;
    if (dtype < 0 || dtype > INT32_MAX || !mls_dtype_size((mls_dtype) dtype))
        return mls__op_error(&step->op, MLS_EUNSUPPORTED, "dtype %lld", (long long) dtype);
    const mls_status status =
        mls__object_sequence(&flow->host->pool, (int32_t) dtype, 0, &sequence);
    if (!status)
        mls__flow_give(flow, step, 0, sequence);
    return status;
}

/* A new sequence of `source`, but for item `without`, and with `item` at `at`. */
static mls_status copy_sequence(mls__flow *flow, const mls__object *source, size_t without,
                                size_t at, mls__object *item, mls__object **ret_sequence)
{
    mls__pool *pool = &flow->host->pool;
    mls__object *copy;
    mls_status status = mls__object_sequence(pool, source->dtype, source->count + 1, &copy);
    if (status)
        return status;
    for (size_t i = 0; !status && i <= source->count; i++) {
        if (item && i == at)
            status = mls__object_append(pool, copy, item);
        if (!status && i < source->count && i != without)
            status = mls__object_append(pool, copy, source->items[i]);
    }
    if (status)
        mls__object_unref(pool, copy);
    else
        *ret_sequence = copy;
    return status;
}

static mls_status run_construct(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *sequence;
    mls_status status =
        mls__object_sequence(&flow->host->pool, MLS_DTYPE_NONE, step->input_count, &sequence);
    if (status)
        return status;
    for (size_t i = 0; !status && i < step->input_count; i++) {
        mls__object *tensor;
        status = mls__flow_tensor(flow, step, i, &tensor);
        if (!status && i && tensor->dtype != sequence->dtype)
            status = mls__op_error(&step->op, MLS_EDTYPE, "input %zu is %s, the first %s", i,
                                   mls_dtype_name((mls_dtype) tensor->dtype),
                                   mls_dtype_name((mls_dtype) sequence->dtype));
        if (!status) {
            sequence->dtype = tensor->dtype;
            status = mls__object_append(&flow->host->pool, sequence, tensor);
        }
    }
    if (status)
        mls__object_unref(&flow->host->pool, sequence);
    else
        mls__flow_give(flow, step, 0, sequence);
    return status;
}

static mls_status run_insert(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *sequence, *tensor, *result;
    size_t at;
    mls_status status = mls__flow_sequence(flow, step, 0, &sequence);
    if (!status)
        status = mls__flow_tensor(flow, step, 1, &tensor);
    if (!status && sequence->dtype && tensor->dtype != sequence->dtype)
        status = mls__op_error(&step->op, MLS_EDTYPE, "a tensor of %s into a sequence of %s",
                               mls_dtype_name((mls_dtype) tensor->dtype),
                               mls_dtype_name((mls_dtype) sequence->dtype));
    /* A negative position counts from the end of what is there; the end itself is a place too. */
    if (!status && mls__flow_input(flow, step, 2)) {
        int64_t position;
        status = mls__flow_number(flow, step, 2, &position);
        const int64_t count = (int64_t) sequence->count;
        if (!status && (position < -count || position > count))
            status = mls__op_error(&step->op, MLS_ERANGE,
                                   "position %lld is outside a sequence of %lld items",
                                   (long long) position, (long long) count);
        at = status ? 0 : (size_t) (position < 0 ? position + count : position);
    } else {
        at = status ? 0 : sequence->count;
    }
    if (!status)
        status = copy_sequence(flow, sequence, SIZE_MAX, at, tensor, &result);
    if (!status)
        mls__flow_give(flow, step, 0, result);
    return status;
}

static mls_status run_erase(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *sequence, *result;
    size_t at;
    mls_status status = mls__flow_sequence(flow, step, 0, &sequence);
    if (!status)
        status = read_position(flow, step, 1, sequence->count, -1, &at);
    if (!status)
        status = copy_sequence(flow, sequence, at, SIZE_MAX, NULL, &result);
    if (!status)
        mls__flow_give(flow, step, 0, result);
    return status;
}

static mls_status run_at(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *sequence;
    size_t at;
    mls_status status = mls__flow_sequence(flow, step, 0, &sequence);
    if (!status)
        status = read_position(flow, step, 1, sequence->count, 0, &at);
    if (!status)
        mls__flow_give(flow, step, 0, mls__object_ref(sequence->items[at]));
    return status;
}

static mls_status run_length(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *sequence, *length;
    mls_status status = mls__flow_sequence(flow, step, 0, &sequence);
    if (!status)
        status = mls__flow_give_new(flow, step, 0, MLS_INT64, 0, NULL, &length);
    if (!status)
        *(int64_t *) length->data = (int64_t) sequence->count;
    return status;
}

static mls_status run_concat(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *sequence, *tensor;
    const int64_t new_axis = mls__op_int(&step->op, "new_axis", 0);
    mls_status status = mls__flow_sequence(flow, step, 0, &sequence);
    if (!status)
        status = mls__flow_join(flow, step, "sequence", sequence->items, sequence->count,
                                mls__op_int(&step->op, "axis", 0), new_axis != 0, false, &tensor);
    if (!status)
        mls__flow_give(flow, step, 0, tensor);
    return status;
}

/* --- SplitToSequence --- */

typedef struct split {
    const mls__flow_step *step;
    mls__pool *pool;
    mls__object *tensor, *sequence;
    int axis;
    bool keeps_axis;
} split;

/* Elements [from, from + length) along the axis. */
static mls_status add_piece(const split *s, int64_t from, int64_t length)
{
    const mls__object *tensor = s->tensor;
    size_t outer = 1, inner = mls_dtype_size((mls_dtype) tensor->dtype);
    int64_t dims[MLS_MAX_RANK];
    int rank = 0;
    for (int k = 0; k < tensor->rank; k++) {
        if (k != s->axis || s->keeps_axis)
            dims[rank++] = k == s->axis ? length : tensor->dims[k];
        if (k != s->axis)
            *(k < s->axis ? &outer : &inner) *= (size_t) tensor->dims[k];
    }
    mls__object *piece;
    mls_status status = mls__object_create(s->pool, tensor->dtype, rank, dims, &piece);
    if (status)
        return status;
    const size_t row = inner * (size_t) tensor->dims[s->axis], bytes = inner * (size_t) length;
    const char *source = (const char *) tensor->data + (size_t) from * inner;
    for (size_t o = 0; o < outer && bytes; o++)
        memcpy((char *) piece->data + o * bytes, source + o * row, bytes);
    status = mls__object_keep_text(s->pool, piece);
    if (!status)
        status = mls__object_append(s->pool, s->sequence, piece);
    mls__object_unref(s->pool, piece);
    return status;
}

static mls_status split_evenly(const split *s, int64_t length)
{
    const int64_t total = s->tensor->dims[s->axis];
    mls_status status = MLS_OK;
    if (length < 1)
        return mls__op_error(&s->step->op, MLS_EINVAL, "pieces of length %lld", (long long) length);
    for (int64_t at = 0; !status && at < total; at += length) {
        status = add_piece(s, at, length < total - at ? length : total - at);
        if (total - at <= length)
            break;
    }
    return status;
}

static int64_t element(const mls__object *tensor, int64_t i)
{
    return tensor->dtype == MLS_INT64 ? ((const int64_t *) tensor->data)[i]
                                      : ((const int32_t *) tensor->data)[i];
}

static mls_status split_by_list(const split *s, const mls__object *lengths)
{
    const int64_t total = s->tensor->dims[s->axis], count = mls__object_count(lengths);
    int64_t at = 0;
    mls_status status = MLS_OK;
    for (int64_t i = 0; !status && i < count; i++) {
        const int64_t length = element(lengths, i);
        if (length < 0 || length > total - at)
            return mls__op_error(
                &s->step->op, MLS_EINVAL, "split: element %lld is %lld, and %lld of %lld are left",
                (long long) i, (long long) length, (long long) (total - at), (long long) total);
        status = add_piece(s, at, length);
        at += length;
    }
    if (!status && at != total)
        return mls__op_error(&s->step->op, MLS_EINVAL, "split: the elements sum to %lld, not %lld",
                             (long long) at, (long long) total);
    return status;
}

static mls_status split_tensor(split *s, const mls__object *lengths)
{
    if (!lengths)
        return split_evenly(s, 1);
    s->keeps_axis = true;
    if (lengths->kind != MLS_VALUE_TENSOR ||
        (lengths->dtype != MLS_INT64 && lengths->dtype != MLS_INT32) || lengths->rank > 1)
        return mls__op_error(&s->step->op, MLS_EDTYPE,
                             "input 1, split, must be int64 or int32 of one dimension or none");
    return lengths->rank == 0 ? split_evenly(s, element(lengths, 0)) : split_by_list(s, lengths);
}

static mls_status run_split(mls__flow *flow, const mls__flow_step *step)
{
    split s = {.step = step,
               .pool = &flow->host->pool,
               .keeps_axis = mls__op_int(&step->op, "keepdims", 1) != 0};
    mls_status status = mls__flow_tensor(flow, step, 0, &s.tensor);
    if (!status)
        status =
            mls__op_axis(&step->op, mls__op_int(&step->op, "axis", 0), s.tensor->rank, &s.axis);
    if (!status)
        status = mls__object_sequence(s.pool, s.tensor->dtype, 0, &s.sequence);
    if (status)
        return status;
    status = split_tensor(&s, mls__flow_input(flow, step, 1));
    if (status)
        mls__object_unref(s.pool, s.sequence);
    else
        mls__flow_give(flow, step, 0, s.sequence);
    return status;
}

const mls__host_op mls__host_ops_sequence[] = {
    {"", "ConcatFromSequence", run_concat, MLS_VALUE_TENSOR, false},
    {"", "SequenceAt", run_at, MLS_VALUE_TENSOR, false},
    {"", "SequenceConstruct", run_construct, MLS_VALUE_SEQUENCE, false},
    {"", "SequenceEmpty", run_empty, MLS_VALUE_SEQUENCE, false},
    {"", "SequenceErase", run_erase, MLS_VALUE_SEQUENCE, false},
    {"", "SequenceInsert", run_insert, MLS_VALUE_SEQUENCE, false},
    {"", "SequenceLength", run_length, MLS_VALUE_TENSOR, false},
    {"", "SplitToSequence", run_split, MLS_VALUE_SEQUENCE, false},
    {NULL, NULL, NULL, 0, false},
};
