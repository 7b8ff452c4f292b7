/* SPDX-License-Identifier: Apache-2.0 */
/* NaN and hashes of elements. */
#include "support/bits.h"

#include <math.h>
#include <string.h>

bool mls_test_is_nan(int32_t dtype, const void *element)
{
    uint16_t half;
    float single;
    double wide;
    switch (dtype) {
    case MLS_FLOAT32:
        return memcpy(&single, element, sizeof single), isnan(single);
    case MLS_FLOAT64:
        return memcpy(&wide, element, sizeof wide), isnan(wide);
    case MLS_FLOAT16:
        return memcpy(&half, element, sizeof half), (half & 0x7fff) > 0x7c00;
    case MLS_BFLOAT16:
        return memcpy(&half, element, sizeof half), (half & 0x7fff) > 0x7f80;
    default:
        return false;
    }
}

uint64_t mls_test_hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t mls_test_hash_element(uint64_t hash, int32_t dtype, const void *element)
{
    if (dtype == MLS_STRING) {
        const mls_string *string = element;
        return mls_test_hash_bytes(hash, string->data, string->size);
    }
    if (mls_test_is_nan(dtype, element))
        return mls_test_hash_bytes(hash, "nan", 3);
    return mls_test_hash_bytes(hash, element, mls_dtype_size((mls_dtype) dtype));
}
