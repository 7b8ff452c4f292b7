/* SPDX-License-Identifier: Apache-2.0 */
/* Indexed by the value itself, which is also the one that ONNX files hold. */
#include "tensor/dtype.h"

static const mls__dtype_info table[] = {
    [MLS_FLOAT32] = {"float32", 4, 32, MLS__CLASS_FLOAT},
    [MLS_UINT8] = {"uint8", 1, 8, MLS__CLASS_UNSIGNED},
    [MLS_INT8] = {"int8", 1, 8, MLS__CLASS_SIGNED},
    [MLS_UINT16] = {"uint16", 2, 16, MLS__CLASS_UNSIGNED},
    [MLS_INT16] = {"int16", 2, 16, MLS__CLASS_SIGNED},
    [MLS_INT32] = {"int32", 4, 32, MLS__CLASS_SIGNED},
    [MLS_INT64] = {"int64", 8, 64, MLS__CLASS_SIGNED},
    [MLS_STRING] = {"string", sizeof(mls_string), 0, MLS__CLASS_STRING},
    [MLS_BOOL] = {"bool", 1, 8, MLS__CLASS_BOOL},
    [MLS_FLOAT16] = {"float16", 2, 16, MLS__CLASS_FLOAT},
    [MLS_FLOAT64] = {"float64", 8, 64, MLS__CLASS_FLOAT},
    [MLS_UINT32] = {"uint32", 4, 32, MLS__CLASS_UNSIGNED},
    [MLS_UINT64] = {"uint64", 8, 64, MLS__CLASS_UNSIGNED},
    [MLS_BFLOAT16] = {"bfloat16", 2, 16, MLS__CLASS_FLOAT},
    [MLS_FLOAT8E4M3FN] = {"float8e4m3fn", 1, 8, MLS__CLASS_MINIFLOAT},
    [MLS_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 1, 8, MLS__CLASS_MINIFLOAT},
    [MLS_FLOAT8E5M2] = {"float8e5m2", 1, 8, MLS__CLASS_MINIFLOAT},
    [MLS_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 1, 8, MLS__CLASS_MINIFLOAT},
    [MLS_UINT4] = {"uint4", 1, 4, MLS__CLASS_UNSIGNED},
    [MLS_INT4] = {"int4", 1, 4, MLS__CLASS_SIGNED},
    [MLS_FLOAT4E2M1] = {"float4e2m1", 1, 4, MLS__CLASS_MINIFLOAT},
    [MLS_FLOAT8E8M0] = {"float8e8m0", 1, 8, MLS__CLASS_MINIFLOAT},
    [MLS_UINT2] = {"uint2", 1, 2, MLS__CLASS_UNSIGNED},
    [MLS_INT2] = {"int2", 1, 2, MLS__CLASS_SIGNED},
};

const mls__dtype_info *mls__dtype_info_get(int32_t dtype)
{
    if (dtype <= 0 || (size_t) dtype >= sizeof table / sizeof table[0] || !table[dtype].name)
        return NULL;
    return &table[dtype];
}

bool mls__dtype_is_valid(int32_t dtype)
{
    return mls__dtype_info_get(dtype) != NULL;
}

size_t mls__dtype_alignment(mls_dtype dtype)
{
    return dtype == MLS_STRING ? _Alignof(mls_string) : mls_dtype_size(dtype);
}

bool mls__dtype_holds(mls_dtype dtype, const void *data, size_t count)
{
    const mls__dtype_info *info = mls__dtype_info_get(dtype);
    const unsigned bits = info->class == MLS__CLASS_BOOL ? 1 : info->bits;
    const unsigned char *bytes = data;
    if (info->size != 1 || bits == 8)
        return true;
    /* With the sign's weight added, what is in range of either kind is below 2^bits. */
    const unsigned sign = info->class == MLS__CLASS_SIGNED ? 1u << (bits - 1) : 0;
    for (size_t i = 0; i < count; i++)
        if (((bytes[i] + sign) & 0xff) >> bits)
            return false;
    return true;
}

size_t mls_dtype_size(mls_dtype dtype)
{
    const mls__dtype_info *info = mls__dtype_info_get(dtype);
    return info ? info->size : 0;
}

const char *mls_dtype_name(mls_dtype dtype)
{
    const mls__dtype_info *info = mls__dtype_info_get(dtype);
    return info ? info->name : "?";
}
