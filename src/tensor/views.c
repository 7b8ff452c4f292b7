/* SPDX-License-Identifier: Apache-2.0 */
/* Views: other dims and strides over the same memory. Nothing here touches an element. */
#include "tensor/tensor.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <stdbool.h>

static mls_status view_create(const mls_tensor *tensor, int rank, const int64_t *dims,
                              const int64_t *strides, mls_tensor **ret_view)
{
    mls_tensor *view;
    const mls_status status = mls__tensor_view(tensor, &view);
    if (status)
        return status;
    view->rank = rank;
    for (int i = 0; i < rank; i++) {
        view->dims[i] = dims[i];
        view->strides[i] = strides[i];
    }
    mls__shape_count(rank, dims, &view->count);
    *ret_view = view;
    return MLS_OK;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t) value : (uint64_t) value;
}

/* How many of start, start + step, ... come before stop. */
static uint64_t slice_count(int64_t start, int64_t stop, int64_t step)
{
    const bool is_ahead = step > 0 ? stop > start : stop < start;
    if (!is_ahead)
        return 0;
    /* Unsigned, since the distance of two int64 may not be one. */
    const uint64_t distance =
        step > 0 ? (uint64_t) stop - (uint64_t) start : (uint64_t) start - (uint64_t) stop;
    return (distance - 1) / magnitude(step) + 1;
}

static bool slice_is_inside(int64_t start, uint64_t count, int64_t step, int64_t dim)
{
    if (start < 0 || start >= dim)
        return false;
    const uint64_t room = (uint64_t) (step > 0 ? dim - 1 - start : start);
    return count - 1 <= room / magnitude(step);
}

mls_status mls_tensor_slice(const mls_tensor *tensor, int axis, int64_t start, int64_t stop,
                            int64_t step, mls_tensor **ret_view)
{
    if (!tensor || !ret_view)
        return mls__error_null(__func__, "tensor and ret_view");
    int at;
    if (!mls__shape_axis(axis, tensor->rank, &at))
        return mls__error(MLS_EINVAL, "slice: there is no axis %d in %d dimensions", axis,
                          tensor->rank);
    if (step == 0)
        return mls__error(MLS_EINVAL, "slice: the step must not be 0");
    const uint64_t count = slice_count(start, stop, step);
    if (count && !slice_is_inside(start, count, step, tensor->dims[at]))
        return mls__error(MLS_ERANGE,
                          "slice: elements %" PRId64 " to %" PRId64 " by %" PRId64
                          " are not all in axis %d of length %" PRId64,
                          start, stop, step, at, tensor->dims[at]);

    mls_tensor *view;
    const mls_status status =
        view_create(tensor, tensor->rank, tensor->dims, tensor->strides, &view);
    if (status)
        return status;
    view->dims[at] = (int64_t) count;
    mls__shape_count(view->rank, view->dims, &view->count);
    if (view->count)
        view->data = (unsigned char *) view->data +
                     start * view->strides[at] * (int64_t) mls_dtype_size(view->dtype);
    /* The stride of one element leads nowhere, and its product might overflow. */
    if (count > 1)
        view->strides[at] *= step;
    *ret_view = view;
    return MLS_OK;
}

mls_status mls_tensor_permute(const mls_tensor *tensor, const int *axes, mls_tensor **ret_view)
{
    if (!tensor || (tensor->rank && !axes) || !ret_view)
        return mls__error_null(__func__, "tensor, axes (unless rank is 0) and ret_view");
    int64_t dims[MLS_MAX_RANK], strides[MLS_MAX_RANK];
    bool is_used[MLS_MAX_RANK] = {false};
    for (int i = 0; i < tensor->rank; i++) {
        const int axis = axes[i];
        if (axis < 0 || axis >= tensor->rank || is_used[axis])
            return mls__error(MLS_EINVAL,
                              "permute: axes[%d] is %d; each of 0 to %d must be there once", i,
                              axis, tensor->rank - 1);
        is_used[axis] = true;
        dims[i] = tensor->dims[axis];
        strides[i] = tensor->strides[axis];
    }
    return view_create(tensor, tensor->rank, dims, strides, ret_view);
}

static mls_status reshape_error(const mls_tensor *tensor, int rank, const int64_t *dims)
{
    char from[MLS__SHAPE_TEXT], to[MLS__SHAPE_TEXT];
    return mls__error(MLS_ESHAPE, "reshape: the %" PRId64 " elements of %s do not fit %s",
                      tensor->count, mls__shape_text(tensor->rank, tensor->dims, from),
                      mls__shape_text(rank, dims, to));
}

/* The dims asked for, with -1 replaced by what is left for it. */
static mls_status resolve_dims(const mls_tensor *tensor, int rank, const int64_t *dims,
                               int64_t *ret_dims)
{
    int derived = -1;
    int64_t count;
    size_t bytes;
    if (rank < 0 || rank > MLS_MAX_RANK)
        return mls__error(MLS_EINVAL, "reshape: rank %d is outside 0 to %d", rank, MLS_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        if (dims[i] < -1 || (dims[i] == -1 && derived >= 0))
            return mls__error(MLS_EINVAL,
                              "reshape: dims[%d] is %" PRId64 "; only one may be negative, and "
                              "that -1",
                              i, dims[i]);
        if (dims[i] == -1)
            derived = i;
        ret_dims[i] = dims[i] == -1 ? 1 : dims[i];
    }
    if (!mls__shape_bytes(tensor->dtype, rank, ret_dims, &bytes) ||
        !mls__shape_count(rank, ret_dims, &count))
        return reshape_error(tensor, rank, dims);
    if (derived >= 0 && count) {
        ret_dims[derived] = tensor->count / count;
        count *= ret_dims[derived];
    } else if (derived >= 0) {
        return mls__error(MLS_ESHAPE, "reshape: beside a dimension of 0, -1 can be anything");
    }
    return count == tensor->count ? MLS_OK : reshape_error(tensor, rank, dims);
}

/* A stretch of elements the same distance apart. */
typedef struct run {
    int64_t length, stride;
} run;

/* Splits the tensor, the innermost dimension first, into as few runs as its strides allow. */
static int find_runs(const mls_tensor *tensor, run *ret_runs)
{
    int count = 0;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        const int64_t dim = tensor->dims[i], stride = tensor->strides[i];
        int64_t next;
        if (dim == 1)
            continue;
        run *last = count ? &ret_runs[count - 1] : NULL;
        if (last && mls__mul_i64(last->stride, last->length, &next) && next == stride)
            last->length *= dim;
        else
            ret_runs[count++] = (run){dim, stride};
    }
    return count;
}

/* Cuts the runs into `dims`; false when a dimension would reach over the end of a run. */
static bool cut_runs(const mls_tensor *tensor, int rank, const int64_t *dims, int64_t *ret_strides)
{
    run runs[MLS_MAX_RANK];
    const int count = find_runs(tensor, runs);
    int at = 0;
    mls__shape_strides(rank, dims, ret_strides);
    for (int i = rank - 1; i >= 0; i--) {
        if (dims[i] == 1)
            continue;
        if (at < count && runs[at].length == 1)
            at++;
        if (at == count || runs[at].length % dims[i])
            return false;
        ret_strides[i] = runs[at].stride;
        runs[at].length /= dims[i];
        if (runs[at].length > 1)
            runs[at].stride *= dims[i];
    }
    return true;
}

mls_status mls_tensor_reshape(const mls_tensor *tensor, int rank, const int64_t *dims,
                              mls_tensor **ret_view)
{
    if (!tensor || (rank > 0 && !dims) || !ret_view)
        return mls__error_null(__func__, "tensor, dims (unless rank is 0) and ret_view");
    int64_t resolved[MLS_MAX_RANK], strides[MLS_MAX_RANK];
    char from[MLS__SHAPE_TEXT], to[MLS__SHAPE_TEXT];
    const mls_status status = resolve_dims(tensor, rank, dims, resolved);
    if (status)
        return status;
    if (tensor->count == 0)
        mls__shape_strides(rank, resolved, strides);
    else if (!cut_runs(tensor, rank, resolved, strides))
        return mls__error(
            MLS_EUNSUPPORTED, "reshape: the strides of %s allow no view of %s; copy it first",
            mls__shape_text(tensor->rank, tensor->dims, from), mls__shape_text(rank, resolved, to));
    return view_create(tensor, rank, resolved, strides, ret_view);
}

mls_status mls_tensor_broadcast(const mls_tensor *tensor, int rank, const int64_t *dims,
                                mls_tensor **ret_view)
{
    if (!tensor || (rank > 0 && !dims) || !ret_view)
        return mls__error_null(__func__, "tensor, dims (unless rank is 0) and ret_view");
    char from[MLS__SHAPE_TEXT], to[MLS__SHAPE_TEXT];
    int64_t strides[MLS_MAX_RANK];
    size_t bytes;
    const mls_status status = mls__tensor_check("broadcast", tensor->dtype, rank, dims, &bytes);
    if (status)
        return status;
    const int added = rank - tensor->rank;
    bool fits = added >= 0;
    for (int i = 0; fits && i < rank; i++) {
        const int64_t dim = i < added ? 1 : tensor->dims[i - added];
        fits = dim == 1 || dim == dims[i];
        strides[i] = dim == 1 ? 0 : tensor->strides[i - added];
    }
    if (!fits)
        return mls__error(MLS_ESHAPE, "broadcast: %s cannot become %s",
                          mls__shape_text(tensor->rank, tensor->dims, from),
                          mls__shape_text(rank, dims, to));
    return view_create(tensor, rank, dims, strides, ret_view);
}
