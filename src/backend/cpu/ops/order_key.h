/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elements as integers that order as the elements do, so that ops which only compare need no
 * code for each dtype. Zeros of both signs are equal, and so are all NaN, which are above all
 * else: their key is UINT64_MAX.
 */
#ifndef MLS_BACKEND_CPU_OPS_ORDER_KEY_H
#define MLS_BACKEND_CPU_OPS_ORDER_KEY_H

#include <stdint.h>

/* The keys of n elements, `stride` elements apart. */
typedef void (*mls__order_keys_fn)(uint64_t *ret_keys, const void *x, int64_t stride, int64_t n);

/* NULL for a dtype that is no number. */
mls__order_keys_fn mls__order_keys(int32_t dtype);

#endif
