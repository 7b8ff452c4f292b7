/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors put together along an axis: what Loop, Scan and ConcatFromSequence gather. */
#include "exec/flow/flow.h"

#include "base/error.h"
#include "op/op.h"
#include "tensor/shape.h"

#include <string.h>

/* Each item as `outer` blocks of some bytes, which go side by side. */
typedef struct layout {
    int64_t dims[MLS_MAX_RANK];
    int32_t rank;
    int axis;
    size_t outer, inner; /* blocks; bytes of one position along the axis */
} layout;

static mls_status check_items(const mls__flow_step *step, const char *what,
                              mls__object *const *items, size_t count, int axis, bool is_new_axis)
{
    char first[MLS__SHAPE_TEXT], other[MLS__SHAPE_TEXT];
    for (size_t i = 0; i < count; i++) {
        bool fits = items[i]->kind == MLS_VALUE_TENSOR && items[i]->rank == items[0]->rank;
        for (int k = 0; fits && k < items[0]->rank; k++)
            fits = items[i]->dims[k] == items[0]->dims[k] || (k == axis && !is_new_axis);
        if (items[i]->kind != MLS_VALUE_TENSOR || items[i]->dtype != items[0]->dtype)
            return mls__op_error(&step->op, MLS_EDTYPE,
                                 "%s: item %zu is not a tensor of %s, as the first is", what, i,
                                 mls_dtype_name((mls_dtype) items[0]->dtype));
        if (!fits)
            return mls__op_error(&step->op, MLS_ESHAPE, "%s: item %zu is %s, the first %s", what, i,
                                 mls__shape_text(items[i]->rank, items[i]->dims, other),
                                 mls__shape_text(items[0]->rank, items[0]->dims, first));
    }
    return MLS_OK;
}

static mls_status plan(const mls__flow_step *step, mls__object *const *items, size_t count,
                       int64_t axis, bool is_new_axis, layout *ret_layout)
{
    const mls__object *first = items[0];
    layout l = {.rank = first->rank + (is_new_axis ? 1 : 0), .outer = 1};
    if (l.rank > MLS_MAX_RANK || l.rank == 0)
        return mls__op_error(&step->op, MLS_ESHAPE, "tensors of rank %d cannot be joined",
                             first->rank);
    const mls_status status = mls__op_axis(&step->op, axis, l.rank, &l.axis);
    if (status)
        return status;
    l.inner = mls_dtype_size((mls_dtype) first->dtype);
    for (int k = 0; k < l.rank; k++) {
        const int from = is_new_axis && k > l.axis ? k - 1 : k;
        if (k == l.axis)
            continue;
        l.dims[k] = first->dims[from];
        if (k < l.axis)
            l.outer *= (size_t) l.dims[k];
        else
            l.inner *= (size_t) l.dims[k];
    }
    for (size_t i = 0; i < count; i++)
        if (!mls__add_i64(l.dims[l.axis], is_new_axis ? 1 : items[i]->dims[l.axis],
                          &l.dims[l.axis]))
            return mls__op_error(&step->op, MLS_ELIMIT, "the joined tensor is too long");
    *ret_layout = l;
    return MLS_OK;
}

static void copy_items(const layout *l, mls__object *const *items, size_t count, bool is_new_axis,
                       bool is_reversed, mls__object *target)
{
    char *to = target->data;
    const size_t row = (size_t) l->dims[l->axis] * l->inner;
    for (size_t i = 0; i < count; i++) {
        const mls__object *item = items[is_reversed ? count - 1 - i : i];
        const size_t bytes = l->inner * (is_new_axis ? 1 : (size_t) item->dims[l->axis]);
        for (size_t o = 0; o < l->outer && bytes; o++)
            memcpy(to + o * row, (const char *) item->data + o * bytes, bytes);
        to += bytes;
    }
}

mls_status mls__flow_join(mls__flow *flow, const mls__flow_step *step, const char *what,
                          mls__object *const *items, size_t count, int64_t axis, bool is_new_axis,
                          bool is_reversed, mls__object **ret_tensor)
{
    layout l;
    if (count == 0)
        return mls__op_error(&step->op, MLS_ESHAPE, "%s: there is nothing to join", what);
    mls_status status = plan(step, items, count, axis, is_new_axis, &l);
    if (!status)
        status = check_items(step, what, items, count, l.axis, is_new_axis);
    if (!status)
        status = mls__object_create(&flow->host->pool, items[0]->dtype, l.rank, l.dims, ret_tensor);
    if (status)
        return status;
    copy_items(&l, items, count, is_new_axis, is_reversed, *ret_tensor);
    return mls__object_keep_text(&flow->host->pool, *ret_tensor);
}
