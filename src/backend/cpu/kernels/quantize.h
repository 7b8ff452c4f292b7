/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of n contiguous float32 elements to and from integers of 8 and 16 bits. An element's result
 * depends on its operands only.
 *
 * quantize: rint(x / scale) + zero, ties to even, the quotient rounded once to float32; what is
 * out of range, infinity too, becomes the nearest end of the range, NaN its lower end.
 * dequantize: (x - zero) * scale, rounded once.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_QUANTIZE_H
#define MLS_BACKEND_CPU_KERNELS_QUANTIZE_H

#include <stdint.h>

typedef struct mls__quant_params {
    const float *scale;
    const void *zero; /* of the quantized type; NULL: 0 */
    int64_t step;     /* 0: the first scale and zero point are for all; 1: each has its own */
} mls__quant_params;

typedef void (*mls__quantize_fn)(void *y, const float *x, int64_t n, const mls__quant_params *p);
typedef void (*mls__dequantize_fn)(float *y, const void *x, int64_t n, const mls__quant_params *p);

/*
 * Two operands to a result of the same type: each dequantized, added or multiplied with one
 * rounding, and quantized. Parameters of a, b and y, with step 0.
 */
typedef void (*mls__quantized_pair_fn)(uint8_t *y, const uint8_t *a, const uint8_t *b, int64_t n,
                                       const mls__quant_params *p);

typedef struct mls__quantize_kernels {
    mls__quantize_fn to_int8, to_uint8, to_int16, to_uint16;
    mls__dequantize_fn of_int8, of_uint8, of_int16, of_uint16;
    mls__quantized_pair_fn pairs[2][2]; /* sums and products, of uint8 and of int8 */
} mls__quantize_kernels;

#endif
