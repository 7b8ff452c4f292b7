/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discrete Fourier transforms of any length, in float64.
 *
 * A length whose prime factors are small is taken apart into them, in an order that follows from
 * the length (Stockham's form of Cooley and Tukey's algorithm: nothing has to be reversed). Any
 * other one becomes a convolution whose length is a power of 2 (Bluestein, "A linear filtering
 * approach to the computation of the discrete Fourier transform", 1970). All roots of unity are
 * exact to a rounding or two, whatever the length.
 */
#ifndef MLS_BACKEND_CPU_OPS_FFT_H
#define MLS_BACKEND_CPU_OPS_FFT_H

#include "base/alloc.h"

typedef struct mls__complex {
    double re, im;
} mls__complex;

typedef struct mls__fft mls__fft;

/* For transforms of `length` in [1, 2^30]. Errors: MLS_ENOMEM. */
mls_status mls__fft_create(const mls__allocator *allocator, int64_t length, mls__fft **ret_fft);
void mls__fft_free(const mls__allocator *allocator, mls__fft *fft);

/* How many numbers both the input and the scratch need room for: at least `length`. */
int64_t mls__fft_room(const mls__fft *fft);

/*
 * x becomes its transform, sum of x[t] e^(-2 pi i t f / length), in `x` or in `scratch`: the one
 * that is returned. What lies behind the first `length` numbers does not matter.
 */
mls__complex *mls__fft_run(const mls__fft *fft, mls__complex *x, mls__complex *scratch);

#endif
