/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix transposes, in tiles that the first level of cache holds. */
#ifndef MLS_BACKEND_CPU_OPS_TILE_H
#define MLS_BACKEND_CPU_OPS_TILE_H

#include <stdint.h>

/*
 * Element (r, c) of a source of `rows` rows becomes element (c, r) of the target. Both
 * have their rows' elements side by side; strides are of rows, in bytes.
 */
typedef void (*mls__tile_fn)(char *target, int64_t target_stride, const char *source,
                             int64_t source_stride, int64_t rows, int64_t columns);

/* For elements of 1, 2, 4, 8 or 16 bytes; else NULL. */
mls__tile_fn mls__tile_find(int64_t element_bytes);

#endif
