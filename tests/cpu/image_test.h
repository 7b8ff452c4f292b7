/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of ops on images share. */
#ifndef TESTS_CPU_IMAGE_TEST_H
#define TESTS_CPU_IMAGE_TEST_H

#include "cpu/op_numbers.h"
#include "cpu/op_values.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

static inline double image_slack(mls_dtype dtype)
{
    return dtype == MLS_FLOAT64   ? 1e-12
           : dtype == MLS_FLOAT32 ? 2e-5
           : dtype == MLS_FLOAT16 ? 0x1p-8
                                  : 0x1p-5;
}

static inline void image_expect(const op_test *test, mls_dtype dtype, const double *expected)
{
    ck_assert_int_eq(op_test_output(test, 0)->dtype, dtype);
    op_numbers_expect_near(test, 0, expected, image_slack(dtype));
}

/* Numbers from -4 to 4, as the dtype has them. */
static inline void image_fill(mls_dtype dtype, void *data, double *numbers, int64_t count,
                              uint64_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        op_float_set(dtype, data, i, (double) (op_random(&seed) % 8193) / 1024 - 4);
        numbers[i] = op_float(dtype, data, i);
    }
}

#endif
