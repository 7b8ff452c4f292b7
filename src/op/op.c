/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes are few: a linear search beats any index. */
#include "op/op.h"

#include "base/error.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

mls_status mls__op_error(const mls_op *op, mls_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mls__error_v(status, format, args);
    va_end(args);
    return mls__error_at(status, "node '%.200s' (%.64s)", op->node, op->type);
}

const mls_attr *mls__op_attr(const mls_op *op, const char *name)
{
    for (size_t i = 0; i < op->attr_count; i++)
        if (strcmp(op->attrs[i].name, name) == 0)
            return &op->attrs[i];
    return NULL;
}

static const mls_attr *typed_attr(const mls_op *op, const char *name, mls_attr_type type)
{
    const mls_attr *attr = mls__op_attr(op, name);
    return attr && attr->type == (int32_t) type ? attr : NULL;
}

int64_t mls__op_int(const mls_op *op, const char *name, int64_t fallback)
{
    const mls_attr *attr = typed_attr(op, name, MLS_ATTR_INT);
    return attr ? attr->i : fallback;
}

float mls__op_float(const mls_op *op, const char *name, float fallback)
{
    const mls_attr *attr = typed_attr(op, name, MLS_ATTR_FLOAT);
    return attr ? attr->f : fallback;
}

mls_string mls__op_string(const mls_op *op, const char *name)
{
    const mls_attr *attr = typed_attr(op, name, MLS_ATTR_STRING);
    return attr ? attr->strings[0] : (mls_string){NULL, 0};
}

bool mls__op_string_is(const mls_op *op, const char *name, const char *value, const char *fallback)
{
    mls_string string = mls__op_string(op, name);
    if (!string.data)
        string = (mls_string){fallback, strlen(fallback)};
    return mls__string_equal(string, (mls_string){value, strlen(value)});
}

const int64_t *mls__op_ints(const mls_op *op, const char *name, size_t *ret_count)
{
    const mls_attr *attr = typed_attr(op, name, MLS_ATTR_INTS);
    *ret_count = attr ? attr->count : 0;
    return attr ? attr->ints : NULL;
}

const float *mls__op_floats(const mls_op *op, const char *name, size_t *ret_count)
{
    const mls_attr *attr = typed_attr(op, name, MLS_ATTR_FLOATS);
    *ret_count = attr ? attr->count : 0;
    return attr ? attr->floats : NULL;
}

const mls_string *mls__op_strings(const mls_op *op, const char *name, size_t *ret_count)
{
    const mls_attr *attr = typed_attr(op, name, MLS_ATTR_STRINGS);
    *ret_count = attr ? attr->count : 0;
    return attr ? attr->strings : NULL;
}

const mls_tensor *mls__op_tensor(const mls_op *op, const char *name)
{
    const mls_attr *attr = typed_attr(op, name, MLS_ATTR_TENSOR);
    return attr ? attr->tensor : NULL;
}

const mls_arg *mls__op_input(const mls_op *op, size_t index)
{
    if (index >= op->input_count || op->inputs[index].dtype == MLS_DTYPE_NONE)
        return NULL;
    return &op->inputs[index];
}

int64_t mls__arg_span(const mls_arg *arg, int from, int to)
{
    int64_t count = 1;
    for (int i = from; i < to; i++)
        count *= arg->dims[i];
    return count;
}

int64_t mls__arg_count(const mls_arg *arg)
{
    return mls__arg_span(arg, 0, arg->rank);
}

size_t mls__arg_bytes(const mls_arg *arg)
{
    return (size_t) mls__arg_count(arg) * mls_dtype_size((mls_dtype) arg->dtype);
}

void *mls__arg_address(const void *data)
{
    static const max_align_t nothing;
    return (void *) (uintptr_t) (data ? data : &nothing);
}

mls_status mls__op_known_arg(const mls_op *op, size_t index, size_t capacity,
                             const mls_arg **ret_arg)
{
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg) {
        *ret_arg = NULL;
        return MLS_OK;
    }
    if (arg->dtype != MLS_INT64 && arg->dtype != MLS_INT32)
        return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, expected int64", index,
                             mls_dtype_name((mls_dtype) arg->dtype));
    const int64_t count = mls__arg_count(arg);
    if (arg->rank > 1 || count > (int64_t) capacity)
        return mls__op_error(op, MLS_ESHAPE,
                             "input %zu has %" PRId64 " elements in %d dimensions; expected at "
                             "most %zu in one",
                             index, count, arg->rank, capacity);
    if (!arg->data && count)
        return mls__op_error(
            op, MLS_ESTATE, "input %zu decides a shape, and its contents are not known yet", index);
    *ret_arg = arg;
    return MLS_OK;
}

int64_t mls__arg_int(const mls_arg *arg, size_t i)
{
    return arg->dtype == MLS_INT64 ? ((const int64_t *) arg->data)[i]
                                   : ((const int32_t *) arg->data)[i];
}

mls_status mls__op_known_ints(const mls_op *op, size_t index, int64_t *ret_values, size_t capacity,
                              size_t *ret_count, bool *ret_is_given)
{
    const mls_arg *arg;
    const mls_status status = mls__op_known_arg(op, index, capacity, &arg);
    if (status)
        return status;
    const size_t count = arg ? (size_t) mls__arg_count(arg) : 0;
    for (size_t i = 0; i < count; i++)
        ret_values[i] = mls__arg_int(arg, i);
    *ret_is_given = arg != NULL;
    *ret_count = count;
    return MLS_OK;
}

mls_status mls__op_axis(const mls_op *op, int64_t axis, int rank, int *ret_axis)
{
    if (!mls__shape_axis(axis, rank, ret_axis))
        return mls__op_error(op, MLS_EINVAL, "axis %" PRId64 " is outside [%d, %d]", axis, -rank,
                             rank - 1);
    return MLS_OK;
}
