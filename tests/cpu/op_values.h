/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elements of every dtype as numbers of C, for references that are worked out one element
 * at a time. Nothing here is shared with the library.
 */
#ifndef TESTS_CPU_OP_VALUES_H
#define TESTS_CPU_OP_VALUES_H

#include <mlscale/tensor.h>

#include <stdbool.h>

/* Float dtypes of 16 bits and more; integers of 8 and more, which count bool. */
bool op_is_float(mls_dtype dtype);
bool op_is_signed(mls_dtype dtype);

/* A float element, exactly. */
double op_float(mls_dtype dtype, const void *data, int64_t i);
/* Stores the dtype's number nearest to `value`, ties to even. */
void op_float_set(mls_dtype dtype, void *data, int64_t i, double value);

/* An integer element, also of fewer than 8 bits: uint64 as the int64 of the same bits. */
int64_t op_integer(mls_dtype dtype, const void *data, int64_t i);
/* Stores the low bits. */
void op_integer_set(mls_dtype dtype, void *data, int64_t i, int64_t value);

/*
 * Numbers with all that is special among them: zeros of both signs, the extremes,
 * infinities, NaN, denormals. The same for the same seed.
 */
void op_fill(mls_dtype dtype, void *data, int64_t count, uint64_t seed);

/* A pseudo-random number, and the next seed. */
uint64_t op_random(uint64_t *seed);

/*
 * The element of an input of the given dims that broadcasting puts at element `index` of
 * an output.
 */
int64_t op_broadcast_index(int64_t index, int rank, const int64_t *dims, int input_rank,
                           const int64_t *input_dims);

#endif
