/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of normalisations share. */
#ifndef TESTS_CPU_NORM_TEST_H
#define TESTS_CPU_NORM_TEST_H

#include "cpu/op_numbers.h"

#include "tensor/shape.h"

#include <math.h>
#include <stdbool.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define EPSILON 0.0078125 /* a float, too */

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

static inline double norm_tolerance(mls_dtype dtype)
{
    static const double tolerances[] = {
        [MLS_FLOAT32] = 1e-5, [MLS_FLOAT64] = 1e-13, [MLS_FLOAT16] = 2e-3, [MLS_BFLOAT16] = 2e-2};
    return tolerances[dtype];
}

/* Elements in [low, low + 4]. */
static inline op_numbers norm_numbers(mls_dtype dtype, int rank, const int64_t *dims, double low,
                                      uint64_t seed)
{
    return op_numbers_random(dtype, rank, dims, low, 4, seed);
}

static inline void norm_expect(const op_test *test, size_t index, mls_dtype dtype, int rank,
                               const int64_t *dims, const double *expected, double tolerance)
{
    const mls_arg *arg = op_test_output(test, index);
    ck_assert_int_eq(arg->dtype, dtype);
    ck_assert(mls__shape_equal(arg->rank, arg->dims, rank, dims));
    op_numbers_expect_near(test, index, expected, tolerance);
}

/* mean and 1 / sqrt(variance + epsilon) of n elements; without a centre the mean is 0. */
static inline void norm_moments(const double *x, int64_t n, bool is_centred, double epsilon,
                                double *ret_mean, double *ret_factor)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; is_centred && i < n; i++)
        mean += x[i] / (double) n;
    for (int64_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean) / (double) n;
    *ret_mean = mean;
    *ret_factor = 1 / sqrt(squares + epsilon);
}

#endif
