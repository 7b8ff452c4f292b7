/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing results by their bytes, where any NaN is any other. */
#ifndef MLS_TESTS_SUPPORT_BITS_H
#define MLS_TESTS_SUPPORT_BITS_H

#include <mlscale/tensor.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether an element is of a float type, and no number. */
bool mls_test_is_nan(int32_t dtype, const void *element);

/* FNV-1a; what a hash begins with, and with more bytes, or one element. */
#define MLS_TEST_HASH UINT64_C(0xcbf29ce484222325)
uint64_t mls_test_hash_bytes(uint64_t hash, const void *data, size_t size);
uint64_t mls_test_hash_element(uint64_t hash, int32_t dtype, const void *element);

#endif
