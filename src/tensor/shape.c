/* SPDX-License-Identifier: Apache-2.0 */
/* Dims come from model files: nothing here trusts them. */
#include "tensor/shape.h"

#include "base/alloc.h"
#include "tensor/dtype.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * The product of the dims that are not 0. [0, huge, huge] has no elements, but is
 * refused all the same: so no stride and no product of some of the dims overflows,
 * here or in any kernel.
 */
static bool span(int rank, const int64_t *dims, int64_t *ret_span, bool *ret_is_empty)
{
    *ret_span = 1;
    *ret_is_empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || (dims[i] && !mls__mul_i64(*ret_span, dims[i], ret_span)))
            return false;
        *ret_is_empty = *ret_is_empty || dims[i] == 0;
    }
    return true;
}

bool mls__shape_count(int rank, const int64_t *dims, int64_t *ret_count)
{
    int64_t count;
    bool is_empty;
    if (!span(rank, dims, &count, &is_empty))
        return false;
    *ret_count = is_empty ? 0 : count;
    return true;
}

bool mls__shape_bytes(int32_t dtype, int rank, const int64_t *dims, size_t *ret_bytes)
{
    const mls__dtype_info *info = mls__dtype_info_get(dtype);
    int64_t bytes;
    bool is_empty;
    if (!info || !span(rank, dims, &bytes, &is_empty) || !mls__mul_i64(bytes, info->size, &bytes) ||
        bytes > PTRDIFF_MAX)
        return false;
    *ret_bytes = is_empty ? 0 : (size_t) bytes;
    return true;
}

void mls__shape_strides(int rank, const int64_t *dims, int64_t *ret_strides)
{
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        ret_strides[i] = stride;
        stride *= dims[i];
    }
}

bool mls__shape_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b)
{
    if (rank_a != rank_b)
        return false;
    return rank_a == 0 || memcmp(a, b, (size_t) rank_a * sizeof *a) == 0;
}

bool mls__shape_broadcast(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int *ret_rank,
                          int64_t *ret_dims)
{
    const int rank = rank_a > rank_b ? rank_a : rank_b;
    int64_t dims[MLS_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        const int64_t da = i < rank - rank_a ? 1 : a[i - (rank - rank_a)];
        const int64_t db = i < rank - rank_b ? 1 : b[i - (rank - rank_b)];
        if (da != db && da != 1 && db != 1)
            return false;
        dims[i] = da == 1 ? db : da;
    }
    memcpy(ret_dims, dims, (size_t) rank * sizeof *dims);
    *ret_rank = rank;
    return true;
}

const char *mls__shape_text(int rank, const int64_t *dims, char *text)
{
    size_t used = 0;
    text[used++] = '[';
    for (int i = 0; i < rank; i++) {
        if (i)
            text[used++] = ',';
        if (dims[i] < 0)
            text[used++] = '?';
        else
            used += (size_t) snprintf(text + used, MLS__SHAPE_TEXT - used, "%" PRId64, dims[i]);
    }
    text[used++] = ']';
    text[used] = '\0';
    return text;
}

bool mls__shape_axis(int64_t axis, int rank, int *ret_axis)
{
    if (axis < -(int64_t) rank || axis >= rank)
        return false;
    *ret_axis = (int) (axis < 0 ? axis + rank : axis);
    return true;
}
