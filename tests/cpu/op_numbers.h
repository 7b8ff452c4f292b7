/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors of float dtypes for ops that are compared with their definitions: elements as the op has
 * them, and as the numbers that a reference works with.
 */
#ifndef TESTS_CPU_OP_NUMBERS_H
#define TESTS_CPU_OP_NUMBERS_H

#include "cpu/op_harness.h"

typedef struct op_numbers {
    mls_dtype dtype;
    int rank;
    int64_t dims[MLS_MAX_RANK], count;
    double *values;
    void *data;
} op_numbers;

/* Zeros. */
op_numbers op_numbers_make(mls_dtype dtype, int rank, const int64_t *dims);

/* Numbers from `low` on for `width` that the dtype has. */
op_numbers op_numbers_random(mls_dtype dtype, int rank, const int64_t *dims, double low,
                             double width, uint64_t seed);

void op_numbers_free(op_numbers *numbers);

/* The next input; left out where `numbers` is NULL or has no data. */
void op_numbers_give(op_test *test, const op_numbers *numbers);

/* |output - value| <= bound * (1 + |value|) for each element; infinities alike. */
void op_numbers_expect_near(const op_test *test, size_t index, const double *values, double bound);

/* The same, and the dtype and the dims. */
void op_numbers_expect(const op_test *test, size_t index, const op_numbers *expected, double bound);

#endif
