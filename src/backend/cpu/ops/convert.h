/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elements of any dtype but strings, converted to any other.
 *
 * A block of elements first becomes numbers of the widest type of its kind, which holds
 * them all, then elements of the other dtype: one rounding in all.
 *
 * Rules, the same on every machine:
 * - integer to integer keeps the low bits; anything but 0 is true.
 * - to a float: to nearest, ties to even; past the largest number is infinity, save for
 *   floats of 8 bits and less (see mls__cast_rules).
 * - float to integer drops the fraction. Out of range, for which ONNX has no rule, is what
 *   x86-64 makes of it in C, as numpy and ONNX Runtime have it there: to int32 INT32_MIN;
 *   to integers of fewer bits the low bits of the number as int32, or 0 where that does
 *   not hold it; to int64 INT64_MIN; to uint32 the low bits of the number as int64, or 0;
 *   to uint64 a negative number's bits as int64, 2^63 for NaN and below -2^63, 0 from
 *   2^64 on. NaN is out of range everywhere.
 */
#ifndef MLS_BACKEND_CPU_OPS_CONVERT_H
#define MLS_BACKEND_CPU_OPS_CONVERT_H

#include "backend/cpu/ops/half.h"
#include "tensor/float_format.h"

typedef enum mls__wide_kind { MLS__WIDE_INT, MLS__WIDE_UINT, MLS__WIDE_FLOAT } mls__wide_kind;

typedef union mls__wide {
    int64_t i[MLS__BLOCK];
    uint64_t u[MLS__BLOCK];
    double f[MLS__BLOCK];
} mls__wide;

/* What Cast's attributes say of floats of 8 bits. */
typedef struct mls__cast_rules {
    bool saturate;
    mls__power_rounding rounding;
} mls__cast_rules;

/* Which member of mls__wide holds the dtype's numbers. */
mls__wide_kind mls__wide_kind_of(int32_t dtype);

/* n <= MLS__BLOCK elements, and back from numbers of a kind. Not for strings. */
void mls__widen(int32_t dtype, mls__wide *ret_wide, const void *x, int64_t n);
void mls__narrow(int32_t dtype, mls__wide_kind kind, const mls__wide *wide, void *y, int64_t n,
                 const mls__cast_rules *rules);

/* Any n elements at once, for pairs that are met often: NULL for the others. */
typedef void (*mls__direct_cast)(void *y, const void *x, int64_t n);
mls__direct_cast mls__direct_cast_find(int32_t from, int32_t to);

#endif
