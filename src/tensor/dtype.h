/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of element types. */
#ifndef MLS_TENSOR_DTYPE_H
#define MLS_TENSOR_DTYPE_H

#include <mlscale/tensor.h>

#include <stdbool.h>

typedef enum mls__dtype_class {
    MLS__CLASS_NONE,
    MLS__CLASS_SIGNED,
    MLS__CLASS_UNSIGNED,
    MLS__CLASS_FLOAT,     /* IEEE-like: float16, bfloat16, float32, float64 */
    MLS__CLASS_MINIFLOAT, /* 8 bits and less: storage only, computed through Cast */
    MLS__CLASS_BOOL,
    MLS__CLASS_STRING
} mls__dtype_class;

typedef struct mls__dtype_info {
    const char *name;
    uint8_t size;  /* bytes an element takes in memory */
    uint8_t bits;  /* bits it takes in a file; 0 for strings */
    uint8_t class; /* mls__dtype_class */
} mls__dtype_info;

/* NULL for a value that is no dtype. */
const mls__dtype_info *mls__dtype_info_get(int32_t dtype);

bool mls__dtype_is_valid(int32_t dtype);

/* What the address of an element must be a multiple of. */
size_t mls__dtype_alignment(mls_dtype dtype);

/*
 * Whether all of these elements are such as the dtype has: a bool is 0 or 1, and a byte with a type
 * of fewer bits holds no more than that. Others may be anything.
 */
bool mls__dtype_holds(mls_dtype dtype, const void *data, size_t count);

#endif
