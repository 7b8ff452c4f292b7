/* SPDX-License-Identifier: Apache-2.0 */
/* Binary floats of 16 bits and fewer, to and from float64, one rounding each way. */
#ifndef MLS_TENSOR_FLOAT_FORMAT_H
#define MLS_TENSOR_FLOAT_FORMAT_H

#include <mlscale/tensor.h>

#include <stdbool.h>

typedef struct mls__float_format {
    int exponent_bits, fraction_bits, bias;
    uint16_t sign;     /* the bit, which FLOAT8E8M0 lacks */
    uint16_t largest;  /* the largest finite magnitude */
    uint16_t overflow; /* what is past it: infinity, or NaN where there is none */
    uint16_t nan;      /* of positive sign */
    bool signed_zero;  /* the FNUZ formats have none: its code is their NaN */
} mls__float_format;

/* NULL for a dtype that is no float of 16 bits or fewer, and for FLOAT8E8M0. */
const mls__float_format *mls__float_format_of(int32_t dtype);

double mls__float_decode(const mls__float_format *format, uint16_t bits);

/*
 * To nearest, ties to even. A magnitude that rounds past the largest one, infinity among
 * them, becomes the largest if `saturate`, else `overflow`.
 */
uint16_t mls__float_encode(const mls__float_format *format, double value, bool saturate);

/* FLOAT8E8M0: powers of two from 2^-127 to 2^127, and NaN as 0xff. */
typedef enum mls__power_rounding {
    MLS__POWER_UP,
    MLS__POWER_DOWN,
    MLS__POWER_NEAREST /* ties up */
} mls__power_rounding;

double mls__power_decode(uint8_t bits);

/*
 * Of the magnitude. What rounds past the largest power, and what is below the least one,
 * 0 among it, becomes that power if `saturate`, else NaN.
 */
uint8_t mls__power_encode(double value, mls__power_rounding rounding, bool saturate);

#endif
