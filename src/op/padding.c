/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of padding by their shapes. */
#include "op/padding.h"

#include "tensor/shape.h"

#include <inttypes.h>

/* Vectors; NONE where the length fits none. */
static mls__padding_form vector_form(const mls__padding *p, int64_t length)
{
    const uint64_t batch = (uint64_t) p->batch, count = (uint64_t) length;
    if (count == batch || count == 3 * batch + 2)
        return MLS__PADDING_ENDS;
    return count == 2 * batch ? MLS__PADDING_RANGES : MLS__PADDING_NONE;
}

static mls__padding_form form_of(const mls__padding *p, const mls_arg *arg)
{
    const int64_t *d = arg->dims;
    if (arg->rank == 1)
        return vector_form(p, d[0]);
    if (arg->rank == 0 || d[0] != p->batch)
        return MLS__PADDING_NONE;
    if (arg->rank == 2 && d[1] == p->keys)
        return MLS__PADDING_KEYS;
    if (arg->rank == 3 && d[1] == p->queries && d[2] == p->keys)
        return MLS__PADDING_ROWS;
    if (arg->rank == 4 && d[1] == 1 && d[2] == d[3] && d[3] >= p->keys)
        return MLS__PADDING_SQUARE;
    return MLS__PADDING_NONE;
}

mls_status mls__op_padding(const mls_op *op, size_t index, mls__padding *padding)
{
    char text[MLS__SHAPE_TEXT];
    const mls_arg *arg = mls__op_input(op, index);
    padding->form = MLS__PADDING_NONE;
    if (!arg)
        return MLS_OK;
    if (arg->dtype != MLS_INT32)
        return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, expected int32", index,
                             mls_dtype_name((mls_dtype) arg->dtype));
    padding->form = form_of(padding, arg);
    padding->most = arg->rank == 4 ? arg->dims[3] : 0;
    if (padding->form != MLS__PADDING_NONE)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "input %zu is %s, which is no form of mask for a batch of %" PRId64
                         " with %" PRId64 " queries and %" PRId64 " keys",
                         index, mls__shape_text(arg->rank, arg->dims, text), padding->batch,
                         padding->queries, padding->keys);
}
