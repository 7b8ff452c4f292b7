/* SPDX-License-Identifier: Apache-2.0 */
/* The dtype table against what ONNX's TensorProto.DataType and the C types say. */
#include "support/test.h"

#include "tensor/dtype.h"

#include <string.h>

static const struct {
    int value; /* of TensorProto.DataType */
    const char *name;
    size_t size, alignment;
    int bits;
} expected[] = {
    {1, "float32", sizeof(float), _Alignof(float), 32},
    {2, "uint8", 1, 1, 8},
    {3, "int8", 1, 1, 8},
    {4, "uint16", 2, 2, 16},
    {5, "int16", 2, 2, 16},
    {6, "int32", 4, 4, 32},
    {7, "int64", 8, 8, 64},
    {8, "string", sizeof(mls_string), _Alignof(mls_string), 0},
    {9, "bool", 1, 1, 8},
    {10, "float16", 2, 2, 16},
    {11, "float64", sizeof(double), sizeof(double), 64},
    {12, "uint32", 4, 4, 32},
    {13, "uint64", 8, 8, 64},
    {16, "bfloat16", 2, 2, 16},
    {17, "float8e4m3fn", 1, 1, 8},
    {18, "float8e4m3fnuz", 1, 1, 8},
    {19, "float8e5m2", 1, 1, 8},
    {20, "float8e5m2fnuz", 1, 1, 8},
    {21, "uint4", 1, 1, 4},
    {22, "int4", 1, 1, 4},
    {23, "float4e2m1", 1, 1, 4},
    {24, "float8e8m0", 1, 1, 8},
    {25, "uint2", 1, 1, 2},
    {26, "int2", 1, 1, 2},
};

#define EXPECTED_COUNT (sizeof expected / sizeof expected[0])

START_TEST(table_is_as_the_standard_says)
{
    for (size_t i = 0; i < EXPECTED_COUNT; i++) {
        const mls_dtype dtype = (mls_dtype) expected[i].value;
        ck_assert_str_eq(mls_dtype_name(dtype), expected[i].name);
        ck_assert_uint_eq(mls_dtype_size(dtype), expected[i].size);
        ck_assert_uint_eq(mls__dtype_alignment(dtype), expected[i].alignment);
        ck_assert_int_eq(mls__dtype_info_get(dtype)->bits, expected[i].bits);
    }
}
END_TEST

START_TEST(bytes_of_few_bits_are_in_range)
{
    static const struct {
        mls_dtype dtype;
        int lowest, highest; /* -128 to 255: anything */
    } ranges[] = {
        {MLS_BOOL, 0, 1},
        {MLS_UINT2, 0, 3},
        {MLS_INT2, -2, 1},
        {MLS_UINT4, 0, 15},
        {MLS_INT4, -8, 7},
        {MLS_FLOAT4E2M1, 0, 15},
        {MLS_UINT8, -128, 255},
        {MLS_INT8, -128, 255},
        {MLS_FLOAT8E5M2, -128, 255},
        {MLS_FLOAT8E8M0, -128, 255},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        for (int value = 0; value < 256; value++) {
            const int number = ranges[i].lowest < 0 && value > 127 ? value - 256 : value;
            const unsigned char bytes[3] = {0, 1, (unsigned char) value};
            mls_test_expect(mls__dtype_holds(ranges[i].dtype, bytes, 3) ==
                                (number >= ranges[i].lowest && number <= ranges[i].highest),
                            "%s: %d", mls_dtype_name(ranges[i].dtype), value);
        }
    const uint32_t words[1] = {UINT32_MAX};
    ck_assert(mls__dtype_holds(MLS_INT32, words, 1));
    ck_assert(mls__dtype_holds(MLS_BOOL, NULL, 0));
}
END_TEST

static bool is_expected(int value)
{
    for (size_t i = 0; i < EXPECTED_COUNT; i++)
        if (expected[i].value == value)
            return true;
    return false;
}

START_TEST(nothing_else_is_a_dtype)
{
    for (int value = -300; value < 300; value++) {
        ck_assert_int_eq(mls__dtype_is_valid(value), is_expected(value));
        if (is_expected(value))
            continue;
        ck_assert_uint_eq(mls_dtype_size((mls_dtype) value), 0);
        ck_assert_str_eq(mls_dtype_name((mls_dtype) value), "?");
    }
    ck_assert(!mls__dtype_is_valid(INT32_MIN));
    ck_assert(!mls__dtype_is_valid(INT32_MAX));
}
END_TEST

START_TEST(classes_agree_with_names)
{
    static const struct {
        mls_dtype dtype;
        mls__dtype_class class;
    } rows[] = {
        {MLS_INT8, MLS__CLASS_SIGNED},     {MLS_INT4, MLS__CLASS_SIGNED},
        {MLS_UINT64, MLS__CLASS_UNSIGNED}, {MLS_UINT2, MLS__CLASS_UNSIGNED},
        {MLS_FLOAT16, MLS__CLASS_FLOAT},   {MLS_BFLOAT16, MLS__CLASS_FLOAT},
        {MLS_FLOAT64, MLS__CLASS_FLOAT},   {MLS_FLOAT4E2M1, MLS__CLASS_MINIFLOAT},
        {MLS_BOOL, MLS__CLASS_BOOL},       {MLS_STRING, MLS__CLASS_STRING},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_int_eq(mls__dtype_info_get(rows[i].dtype)->class, rows[i].class);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor/dtype");
    TCase *tests = tcase_create("dtype");
    tcase_add_test(tests, table_is_as_the_standard_says);
    tcase_add_test(tests, bytes_of_few_bits_are_in_range);
    tcase_add_test(tests, nothing_else_is_a_dtype);
    tcase_add_test(tests, classes_agree_with_names);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
