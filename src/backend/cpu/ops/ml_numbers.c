/* SPDX-License-Identifier: Apache-2.0 */
/* See ml_numbers.h. */
#include "backend/cpu/ops/ml_numbers.h"

#include "tensor/tensor.h"

#include <stdio.h>

/* IEEE half to double, exactly. */
static double half_value(uint16_t half)
{
    const uint64_t sign = (uint64_t) (half & 0x8000u) << 48;
    const uint64_t exponent = (half >> 10) & 0x1fu;
    const uint64_t fraction = half & 0x3ffu;
    double value = (double) fraction * 0x1p-24;
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    if (exponent == 31)
        bits = UINT64_C(0x7ff) << 52 | fraction << 42;
    else if (exponent)
        bits = (exponent + 1008) << 52 | fraction << 42;
    bits |= sign;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

double mls__numbers_at(const mls__numbers *numbers, size_t index)
{
    if (numbers->dtype == MLS_FLOAT32)
        return (double) ((const float *) numbers->data)[index];
    if (numbers->dtype == MLS_FLOAT64)
        return ((const double *) numbers->data)[index];
    return half_value(((const uint16_t *) numbers->data)[index]);
}

mls_status mls__numbers_read_tensor(const mls_op *op, const char *name, mls__numbers *ret_numbers)
{
    const mls_tensor *tensor = mls__op_tensor(op, name);
    *ret_numbers = (mls__numbers){0, MLS_FLOAT32, NULL};
    if (!tensor)
        return MLS_OK;
    if (tensor->dtype != MLS_FLOAT32 && tensor->dtype != MLS_FLOAT64 &&
        tensor->dtype != MLS_FLOAT16)
        return mls__op_error(op, MLS_EDTYPE, "%s is %s, expected a floating-point type", name,
                             mls_dtype_name((mls_dtype) tensor->dtype));
    *ret_numbers = (mls__numbers){(size_t) tensor->count, tensor->dtype, tensor->data};
    return MLS_OK;
}

mls_status mls__numbers_read(const mls_op *op, const char *name, mls__numbers *ret_numbers)
{
    char tensor_name[64];
    mls__numbers numbers;
    snprintf(tensor_name, sizeof tensor_name, "%s_as_tensor", name);
    const mls_status status = mls__numbers_read_tensor(op, tensor_name, &numbers);
    if (status)
        return status;
    size_t count;
    const float *floats = mls__op_floats(op, name, &count);
    if (count && numbers.count)
        return mls__op_error(op, MLS_EINVAL, "both %s and %s are given; one may be", name,
                             tensor_name);
    *ret_numbers = count ? (mls__numbers){count, MLS_FLOAT32, floats} : numbers;
    return MLS_OK;
}
