/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of ops of one input share. */
#ifndef TESTS_CPU_UNARY_TEST_H
#define TESTS_CPU_UNARY_TEST_H

#include "cpu/op_harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define N            700

static const mls_dtype floats[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64};

/* An op of N elements. */
static inline op_test *unary_test(const char *type, mls_dtype dtype, const void *x)
{
    op_test *test = op_test_create("", type);
    op_test_input(test, dtype, OP_DIMS(7, N / 7), x);
    op_test_planned(test, OP_DIMS(8, N / 7), NULL);
    return test;
}

#endif
