/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of Cast share. */
#ifndef TESTS_CPU_CAST_TEST_H
#define TESTS_CPU_CAST_TEST_H

#include "cpu/op_harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define N            600

static const mls_dtype numbers[] = {MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT32, MLS_FLOAT64, MLS_INT8,
                                    MLS_INT16,   MLS_INT32,    MLS_INT64,   MLS_UINT8,   MLS_UINT16,
                                    MLS_UINT32,  MLS_UINT64,   MLS_BOOL};

static inline op_test *cast_test(mls_dtype from, mls_dtype to, int64_t count, const void *x)
{
    op_test *test = op_test_create("", "Cast");
    op_test_input(test, from, OP_DIMS(count), x);
    op_test_int(test, "to", to);
    return test;
}

static inline void check_cast(mls_dtype from, mls_dtype to, int64_t count, const void *x,
                              const void *expected)
{
    op_test *test = cast_test(from, to, count, x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, to, OP_DIMS(count), expected);
    op_test_free(test);
}

#endif
