/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of matrix products, of every dtype: elements as numbers, and in their dtype. */
#ifndef TESTS_CPU_PRODUCT_MATRIX_H
#define TESTS_CPU_PRODUCT_MATRIX_H

#include "cpu/op_harness.h"

#include <stdbool.h>

typedef struct matrix {
    mls_dtype dtype;
    int rank;
    int64_t dims[MLS_MAX_RANK];
    int64_t count;
    double *values;
    void *data;
} matrix;

matrix matrix_empty(mls_dtype dtype, int rank, const int64_t *dims);

/* Whole numbers from -2 to 2. */
matrix matrix_random(mls_dtype dtype, int rank, const int64_t *dims, uint64_t seed);

void matrix_free(matrix m);

/* The values in the dtype. */
void matrix_store(const matrix *m);

void matrix_give(op_test *test, const matrix *m, bool is_constant);

/* Runs the test, whose output is to be y's values, exactly. */
void matrix_expect(op_test *test, const matrix *y);

#endif
