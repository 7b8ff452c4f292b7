/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions of nothing, of special numbers and of integers; dims that change; errors. */
#include "cpu/op_harness.h"
#include "cpu/topics.h"

#include <math.h>

static void check_empty(const char *type, mls_dtype dtype, const void *y)
{
    static const int64_t axes[] = {1};
    op_test *test = op_test_create("", type);
    op_test_input(test, dtype, OP_DIMS(1, 0, 1), NULL);
    op_test_constant(test, MLS_INT64, OP_DIMS(1), axes);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(1, 1, 1), y);
    op_test_free(test);
}

START_TEST(test_empty_sets)
{
    const float zero = 0, one = 1, above = INFINITY, below = -INFINITY, nan = NAN;
    check_empty("ReduceSum", MLS_FLOAT32, &zero);
    check_empty("ReduceL1", MLS_FLOAT32, &zero);
    check_empty("ReduceL2", MLS_FLOAT32, &zero);
    check_empty("ReduceSumSquare", MLS_FLOAT32, &zero);
    check_empty("ReduceProd", MLS_FLOAT32, &one);
    check_empty("ReduceMax", MLS_FLOAT32, &below);
    check_empty("ReduceMin", MLS_FLOAT32, &above);
    check_empty("ReduceLogSum", MLS_FLOAT32, &below);
    check_empty("ReduceLogSumExp", MLS_FLOAT32, &below);
    check_empty("ReduceMean", MLS_FLOAT32, &nan);
    check_empty("ReduceMax", MLS_FLOAT64, &(double){-INFINITY});
    check_empty("ReduceLogSumExp", MLS_FLOAT64, &(double){-INFINITY});
    check_empty("ReduceMax", MLS_FLOAT16, &(uint16_t){0xfc00});
    check_empty("ReduceMax", MLS_INT8, &(int8_t){INT8_MIN});
    check_empty("ReduceMin", MLS_INT8, &(int8_t){INT8_MAX});
    check_empty("ReduceMax", MLS_INT32, &(int32_t){INT32_MIN});
    check_empty("ReduceMin", MLS_UINT32, &(uint32_t){UINT32_MAX});
    check_empty("ReduceMax", MLS_UINT64, &(uint64_t){0});
    check_empty("ReduceMin", MLS_UINT64, &(uint64_t){UINT64_MAX});
    check_empty("ReduceMin", MLS_INT64, &(int64_t){INT64_MAX});
    check_empty("ReduceMax", MLS_BOOL, &(uint8_t){0});
    check_empty("ReduceMin", MLS_BOOL, &(uint8_t){1});
    check_empty("ReduceMean", MLS_INT32, &(int32_t){0});
}
END_TEST

/* An empty result of a first pass, and a full one of the second. */
START_TEST(test_empty_passes)
{
    static const int64_t axes[] = {0, 2};
    static const float y[5] = {0};
    op_test *test = op_test_create("", "ReduceSum");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(0, 5, 3), NULL);
    op_test_constant(test, MLS_INT64, OP_DIMS(2), axes);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 5, 1), y);
    op_test_free(test);
}
END_TEST

static void check_all(const char *type, mls_dtype dtype, int64_t count, const void *x,
                      const void *y)
{
    op_test *test = op_test_create("", type);
    op_test_int(test, "keepdims", 0);
    op_test_input(test, dtype, OP_DIMS(count), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_SCALAR, y);
    op_test_free(test);
}

START_TEST(test_special_numbers)
{
    const float with_nan[] = {1, NAN, 3}, nan = NAN, large[] = {1000, 1000},
                lse = (float) (1000 + 0.69314718055994530942);
    const float mixed[] = {-INFINITY, 2}, two = 2, infinite[] = {INFINITY, 1}, above = INFINITY;
    check_all("ReduceMax", MLS_FLOAT32, 3, with_nan, &nan);
    check_all("ReduceMin", MLS_FLOAT32, 3, with_nan, &nan);
    check_all("ReduceLogSumExp", MLS_FLOAT32, 3, with_nan, &nan);
    check_all("ReduceLogSumExp", MLS_FLOAT32, 2, large, &lse);
    check_all("ReduceLogSumExp", MLS_FLOAT32, 2, mixed, &two);
    check_all("ReduceLogSumExp", MLS_FLOAT32, 2, infinite, &above);
    const double large64[] = {-1e4, -1e4}, lse64 = -1e4 + 0.69314718055994530942;
    const double with_nan64[] = {1, NAN, 3}, infinite64[] = {INFINITY, 1};
    check_all("ReduceLogSumExp", MLS_FLOAT64, 2, large64, &lse64);
    check_all("ReduceMax", MLS_FLOAT64, 3, with_nan64, &(double){NAN});
    check_all("ReduceMin", MLS_FLOAT64, 3, with_nan64, &(double){NAN});
    check_all("ReduceLogSumExp", MLS_FLOAT64, 2, infinite64, &(double){INFINITY});
}
END_TEST

/* Sums of integers wrap around, means drop the fraction, and large ones lose no bit. */
START_TEST(test_integers)
{
    const int32_t wraps[] = {INT32_MAX, 1}, low = INT32_MIN, fraction[] = {-3, -4, -4}, mean = -3;
    const int64_t large[] = {INT64_C(1) << 62, -1}, exact = (INT64_C(1) << 62) - 1;
    const uint64_t unsigned_large[] = {UINT64_MAX, 1}, most = UINT64_MAX;
    const uint64_t mean_of[] = {UINT64_MAX - 1};
    const int32_t edge[] = {INT32_MIN}, magnitude = INT32_MIN;
    check_all("ReduceSum", MLS_INT32, 2, wraps, &low);
    check_all("ReduceMean", MLS_INT32, 3, fraction, &mean);
    check_all("ReduceSum", MLS_INT64, 2, large, &exact);
    check_all("ReduceMax", MLS_UINT64, 2, unsigned_large, &most);
    check_all("ReduceMin", MLS_UINT64, 2, unsigned_large, &(uint64_t){1});
    check_all("ReduceMean", MLS_UINT64, 1, mean_of, mean_of);
    check_all("ReduceL1", MLS_INT32, 1, edge, &magnitude);
}
END_TEST

START_TEST(test_reshape)
{
    const float x[] = {1, 2, 3, 4, 5, 6};
    static const int64_t last[] = {-1};
    for (int half = 0; half < 2; half++) {
        op_test *test = op_test_create("", "ReduceSum");
        const uint16_t bf16[] = {0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0};
        op_test_input(test, half ? MLS_BFLOAT16 : MLS_FLOAT32, OP_DIMS(3, 2),
                      half ? (const void *) bf16 : x);
        op_test_planned(test, OP_DIMS(20, 70), NULL);
        op_test_known(test, MLS_INT64, OP_DIMS(1), last);
        op_test_planned(test, OP_DIMS(1), last);
        ck_assert_ok(op_test_run(test));
        const float y[] = {3, 7, 11};
        const uint16_t y_bf16[] = {0x4040, 0x40e0, 0x4130};
        op_test_expect(test, 0, half ? MLS_BFLOAT16 : MLS_FLOAT32, OP_DIMS(3, 1),
                       half ? (const void *) y_bf16 : y);
        op_test_free(test);
    }
}
END_TEST

START_TEST(test_errors)
{
    static const int64_t axes[] = {2, -3, 0, 0};
    static const float x[6];
    static const int8_t bytes[6];
    for (int i = 0; i < 2; i++) {
        op_test *test = op_test_create("", "ReduceSum");
        op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
        op_test_known(test, MLS_INT64, OP_DIMS(1), axes + i);
        ck_assert_fails(op_test_infer(test), MLS_EINVAL, "is outside [-2, 1]");
        op_test_free(test);
    }
    op_test *test = op_test_create("", "ReduceSum");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    op_test_known(test, MLS_INT64, OP_DIMS(2), axes + 2);
    ck_assert_fails(op_test_infer(test), MLS_EINVAL, "twice");
    op_test_free(test);
    test = op_test_create("", "ReduceSum");
    op_test_input(test, MLS_INT8, OP_DIMS(2, 3), bytes);
    ck_assert_fails(op_test_infer(test), MLS_EDTYPE, "input 0 is int8");
    op_test_free(test);
    test = op_test_create("", "ReduceSum");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3), x);
    op_test_input(test, MLS_INT64, OP_DIMS(1), axes);
    ck_assert_fails(op_test_infer(test), MLS_ESTATE, "input 1");
    op_test_free(test);
}
END_TEST

void add_special_reductions(TCase *tests)
{
    tcase_add_test(tests, test_empty_sets);
    tcase_add_test(tests, test_empty_passes);
    tcase_add_test(tests, test_special_numbers);
    tcase_add_test(tests, test_integers);
    tcase_add_test(tests, test_reshape);
    tcase_add_test(tests, test_errors);
}
