/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of every type, from each field that may hold them; and all that does not fit. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "onnx/tensor.h"
#include "tensor/dtype.h"

#include <stdlib.h>
#include <string.h>

static mls_context *context;
static mls__external external;
static onnx_build *b;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    mls__external_init(&external, context, NULL);
    b = onnx_build_create(13);
}

static void teardown(void)
{
    mls__external_clear(&external);
    onnx_build_free(b);
    mls_context_free(context);
}

/*
 * Reads a tensor as it comes out of a file: packed and unpacked once, so that its
 * blocks are the context's and may be taken.
 */
static mls_status read_tensor(mls__tensor_proto *tensor, mls_tensor **ret_tensor)
{
    mls__graph_proto *graph = onnx_build_model(b)->graph;
    mls__tensor_proto *list[] = {tensor};
    mls__model_proto *model;
    size_t size;
    graph->initializer = list;
    graph->n_initializer = 1;
    const uint8_t *bytes = onnx_build_bytes(b, &size);
    graph->n_initializer = 0;
    mls_status status = mls__proto_unpack(&external.context->allocator, bytes, size, &model);
    if (status)
        return status;
    status = mls__onnx_tensor_read(&external, model->graph->initializer[0], ret_tensor);
    mls__proto_free(&external.context->allocator, model);
    return status;
}

static void check_tensor(mls__tensor_proto *proto, const void *expected, size_t size_bytes)
{
    mls_tensor *tensor;
    ck_assert_ok(read_tensor(proto, &tensor));
    ck_assert_int_eq(mls_tensor_dtype(tensor), proto->data_type);
    ck_assert_int_eq(mls_tensor_rank(tensor), (int) proto->n_dims);
    ck_assert_uint_eq(mls_tensor_size_bytes(tensor), size_bytes);
    if (size_bytes)
        ck_assert_mem_eq(mls_tensor_data(tensor), expected, size_bytes);
    mls_tensor_free(tensor);
}

START_TEST(raw_data_of_every_type)
{
    for (int32_t dtype = 1; dtype <= MLS_INT2; dtype++) {
        const mls__dtype_info *info = mls__dtype_info_get(dtype);
        if (!info || info->bits < 8 || dtype == MLS_BOOL)
            continue;
        unsigned char bytes[6 * 8];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char) (i * 37 + 1);
        check_tensor(onnx_build_tensor(b, "t", dtype, "2,3", bytes, 6u * info->size), bytes,
                     6u * info->size);
    }
}
END_TEST

START_TEST(scalars_and_empty_tensors)
{
    check_tensor(onnx_build_tensor(b, "t", MLS_FLOAT32, "", (float[]){5}, 4), (float[]){5}, 4);
    check_tensor(onnx_build_tensor(b, "t", MLS_FLOAT32, "0,3", "", 0), NULL, 0);
    check_tensor(onnx_build_tensor(b, "t", MLS_INT4, "0", NULL, 0), NULL, 0);
    check_tensor(onnx_build_tensor(b, "t", MLS_STRING, "0", NULL, 0), NULL, 0);
}
END_TEST

START_TEST(bools_become_0_or_1)
{
    check_tensor(onnx_build_tensor(b, "t", MLS_BOOL, "4", "\0\1\2\377", 4), "\0\1\1\1", 4);
}
END_TEST

START_TEST(small_types_are_unpacked)
{
    static const uint8_t packed[] = {0x81, 0x7e, 0x0f};
    check_tensor(onnx_build_tensor(b, "t", MLS_UINT4, "5", packed, 3), (uint8_t[]){1, 8, 14, 7, 15},
                 5);
    check_tensor(onnx_build_tensor(b, "t", MLS_FLOAT4E2M1, "5", packed, 3),
                 (uint8_t[]){1, 8, 14, 7, 15}, 5);
    check_tensor(onnx_build_tensor(b, "t", MLS_INT4, "5", packed, 3), (int8_t[]){1, -8, -2, 7, -1},
                 5);
    check_tensor(onnx_build_tensor(b, "t", MLS_UINT2, "5", (uint8_t[]){0xe4, 0x02}, 2),
                 (uint8_t[]){0, 1, 2, 3, 2}, 5);
    check_tensor(onnx_build_tensor(b, "t", MLS_INT2, "5", (uint8_t[]){0xe4, 0x02}, 2),
                 (int8_t[]){0, 1, -2, -1, -2}, 5);
}
END_TEST

static mls__tensor_proto *with_int32(int32_t dtype, const char *shape, size_t count,
                                     int32_t *entries)
{
    mls__tensor_proto *proto = onnx_build_tensor(b, "t", dtype, shape, NULL, 0);
    proto->n_int32_data = count;
    proto->int32_data = entries;
    return proto;
}

START_TEST(lists_hold_wide_types)
{
    mls__tensor_proto *proto = onnx_build_tensor(b, "t", MLS_FLOAT32, "2", NULL, 0);
    proto->n_float_data = 2;
    proto->float_data = (float[]){1.5f, -2};
    check_tensor(proto, (float[]){1.5f, -2}, 8);
    proto = onnx_build_tensor(b, "t", MLS_FLOAT64, "2", NULL, 0);
    proto->n_double_data = 2;
    proto->double_data = (double[]){1.5, -2};
    check_tensor(proto, (double[]){1.5, -2}, 16);
    proto = onnx_build_tensor(b, "t", MLS_INT64, "2", NULL, 0);
    proto->n_int64_data = 2;
    proto->int64_data = (int64_t[]){-1, INT64_MIN};
    check_tensor(proto, (int64_t[]){-1, INT64_MIN}, 16);
    proto = onnx_build_tensor(b, "t", MLS_UINT64, "2", NULL, 0);
    proto->n_uint64_data = 2;
    proto->uint64_data = (uint64_t[]){UINT64_MAX, 7};
    check_tensor(proto, (uint64_t[]){UINT64_MAX, 7}, 16);
    proto->data_type = MLS_UINT32;
    ck_assert_fails(read_tensor(proto, &(mls_tensor *){NULL}), MLS_EFORMAT, "uint64_data[0]");
    proto->uint64_data[0] = UINT32_MAX;
    check_tensor(proto, (uint32_t[]){UINT32_MAX, 7}, 8);
    check_tensor(with_int32(MLS_INT32, "2", 2, (int32_t[]){-5, 6}), (int32_t[]){-5, 6}, 8);
}
END_TEST

START_TEST(int32_data_holds_narrow_types)
{
    check_tensor(with_int32(MLS_INT8, "3", 3, (int32_t[]){-128, 0, 127}), (int8_t[]){-128, 0, 127},
                 3);
    check_tensor(with_int32(MLS_UINT8, "3", 3, (int32_t[]){255, 0, 127}), (uint8_t[]){255, 0, 127},
                 3);
    check_tensor(with_int32(MLS_INT16, "3", 3, (int32_t[]){-32768, 1, 32767}),
                 (int16_t[]){-32768, 1, 32767}, 6);
    check_tensor(with_int32(MLS_UINT16, "2", 2, (int32_t[]){65535, 1}), (uint16_t[]){65535, 1}, 4);
    check_tensor(with_int32(MLS_BOOL, "2", 2, (int32_t[]){1, 0}), (uint8_t[]){1, 0}, 2);
    /* 1.0 and -2.0 */
    check_tensor(with_int32(MLS_FLOAT16, "2", 2, (int32_t[]){0x3c00, 0xc000}),
                 (uint16_t[]){0x3c00, 0xc000}, 4);
    check_tensor(with_int32(MLS_BFLOAT16, "2", 2, (int32_t[]){0x3f80, 0xc000}),
                 (uint16_t[]){0x3f80, 0xc000}, 4);
    check_tensor(with_int32(MLS_FLOAT8E4M3FN, "2", 2, (int32_t[]){0x38, 0xc0}),
                 (uint8_t[]){0x38, 0xc0}, 2);
    check_tensor(with_int32(MLS_INT4, "3", 2, (int32_t[]){0x81, 0x0e}), (int8_t[]){1, -8, -2}, 3);
    check_tensor(with_int32(MLS_UINT2, "5", 2, (int32_t[]){0xe4, 0x02}), (uint8_t[]){0, 1, 2, 3, 2},
                 5);
}
END_TEST

START_TEST(entries_must_fit_their_type)
{
    static const struct {
        int32_t dtype, entry;
    } cases[] = {
        {MLS_INT8, 128},    {MLS_INT8, -129},      {MLS_UINT8, 256},   {MLS_UINT8, -1},
        {MLS_INT16, 40000}, {MLS_UINT16, -1},      {MLS_BOOL, 256},    {MLS_FLOAT16, 65536},
        {MLS_FLOAT16, -1},  {MLS_FLOAT8E5M2, 256}, {MLS_UINT4, 0x100}, {MLS_INT2, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t entry = cases[i].entry;
        ck_assert_fails(
            read_tensor(with_int32(cases[i].dtype, "1", 1, &entry), &(mls_tensor *){NULL}),
            MLS_EFORMAT, "int32_data[0]");
    }
}
END_TEST

START_TEST(strings_are_copied)
{
    static uint8_t binary[] = {'x', 0, 'y'};
    mls__tensor_proto *proto = onnx_build_tensor(b, "t", MLS_STRING, "3", NULL, 0);
    proto->n_string_data = 3;
    proto->string_data =
        (ProtobufCBinaryData[]){{2, (uint8_t *) onnx_build_text(b, "ab")}, {0, NULL}, {3, binary}};
    mls_tensor *tensor;
    ck_assert_ok(read_tensor(proto, &tensor));
    const mls_string *strings = mls_tensor_data(tensor);
    ck_assert_uint_eq(strings[0].size, 2);
    ck_assert_mem_eq(strings[0].data, "ab", 2);
    ck_assert_uint_eq(strings[1].size, 0);
    ck_assert_uint_eq(strings[2].size, sizeof binary);
    ck_assert_mem_eq(strings[2].data, binary, sizeof binary);
    mls_tensor_free(tensor);
    proto->n_string_data = 2;
    ck_assert_fails(read_tensor(proto, &tensor), MLS_EFORMAT, "string_data has 2 entries");
    proto = onnx_build_tensor(b, "t", MLS_STRING, "1", "a", 1);
    ck_assert_fails(read_tensor(proto, &tensor), MLS_EFORMAT, "string_data");
}
END_TEST

START_TEST(lengths_must_match_the_dims)
{
    static const struct {
        int32_t dtype;
        const char *shape;
        size_t size;
    } cases[] = {
        {MLS_FLOAT32, "2,3", 23}, {MLS_FLOAT32, "2,3", 25}, {MLS_FLOAT32, "0", 4},
        {MLS_INT4, "5", 2},       {MLS_INT4, "5", 4},       {MLS_UINT2, "5", 1},
        {MLS_FLOAT64, "", 4},
    };
    char bytes[64] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_fails(read_tensor(onnx_build_tensor(b, "t", cases[i].dtype, cases[i].shape, bytes,
                                                      cases[i].size),
                                    &(mls_tensor *){NULL}),
                        MLS_EFORMAT, "raw_data has");
    ck_assert_fails(
        read_tensor(onnx_build_tensor(b, "t", MLS_FLOAT32, "2", NULL, 0), &(mls_tensor *){NULL}),
        MLS_EFORMAT, "float_data has 0 entries; float32 [2] needs 2");
    ck_assert_fails(
        read_tensor(with_int32(MLS_INT8, "2", 3, (int32_t[3]){0}), &(mls_tensor *){NULL}),
        MLS_EFORMAT, "int32_data has 3 entries");
    ck_assert_fails(
        read_tensor(with_int32(MLS_INT4, "2", 2, (int32_t[3]){0}), &(mls_tensor *){NULL}),
        MLS_EFORMAT, "int32_data has 2 entries");
}
END_TEST

START_TEST(dims_must_make_sense)
{
    static const struct {
        const char *shape, *words;
        mls_status status;
    } cases[] = {
        {"2,-1", "dimension 1 is negative", MLS_EFORMAT},
        {"4611686018427387904,4", "more than memory", MLS_EFORMAT},
        {"2305843009213693952", "more than memory", MLS_EFORMAT},
        {"4294967296,4294967296", "more than memory", MLS_EFORMAT},
        {"9223372036854775807", "more than memory", MLS_EFORMAT},
        /* No elements, but products of the other dims would overflow in strides and loops. */
        {"0,9223372036854775807,8", "more than memory", MLS_EFORMAT},
        {"1000000000000", "raw_data has", MLS_EFORMAT},
        {"1,1,1,1,1,1,1,1,1", "9 dimensions", MLS_EUNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_fails(
            read_tensor(onnx_build_tensor(b, "t", MLS_FLOAT32, cases[i].shape, "abcd", 4),
                        &(mls_tensor *){NULL}),
            cases[i].status, cases[i].words);
    check_tensor(onnx_build_tensor(b, "t", MLS_FLOAT32, "0,4294967296,8", NULL, 0), NULL, 0);
}
END_TEST

START_TEST(types_must_exist)
{
    static const struct {
        int32_t dtype;
        mls_status status;
    } cases[] = {{0, MLS_EFORMAT},       {-1, MLS_EFORMAT},      {14, MLS_EUNSUPPORTED},
                 {15, MLS_EUNSUPPORTED}, {27, MLS_EUNSUPPORTED}, {1000000, MLS_EUNSUPPORTED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_fails(read_tensor(onnx_build_tensor(b, "t", cases[i].dtype, "1", "abcd", 4),
                                    &(mls_tensor *){NULL}),
                        cases[i].status, "data_type");
    mls__tensor_proto *proto = onnx_build_tensor(b, "t", MLS_INT32, "1", "abcd", 4);
    Mls__Onnx__TensorProto__Segment segment;
    mls__onnx__tensor_proto__segment__init(&segment);
    proto->segment = &segment;
    ck_assert_fails(read_tensor(proto, &(mls_tensor *){NULL}), MLS_EUNSUPPORTED, "segments");
}
END_TEST

static mls_status read_sparse(const char *dims, mls__tensor_proto *values,
                              mls__tensor_proto *indices, mls_tensor **ret_tensor)
{
    mls__sparse_proto sparse, *list[] = {&sparse};
    mls__onnx__sparse_tensor_proto__init(&sparse);
    const mls__tensor_proto *shape = onnx_build_tensor(b, "", 0, dims, NULL, 0);
    sparse.n_dims = shape->n_dims;
    sparse.dims = shape->dims;
    sparse.values = values;
    sparse.indices = indices;
    mls__graph_proto *graph = onnx_build_model(b)->graph;
    mls__model_proto *model;
    size_t size;
    graph->sparse_initializer = list;
    graph->n_sparse_initializer = 1;
    const uint8_t *bytes = onnx_build_bytes(b, &size);
    graph->n_sparse_initializer = 0;
    mls_status status = mls__proto_unpack(&context->allocator, bytes, size, &model);
    if (status)
        return status;
    status = mls__onnx_sparse_read(&external, model->graph->sparse_initializer[0], ret_tensor);
    mls__proto_free(&context->allocator, model);
    return status;
}

START_TEST(sparse_becomes_dense)
{
    static const float expected[6] = {0, 5, 0, 0, 0, 7};
    mls__tensor_proto *values = onnx_build_tensor(b, "s", MLS_FLOAT32, "2", (float[]){5, 7}, 8);
    mls__tensor_proto *linear = onnx_build_tensor(b, "", MLS_INT64, "2", (int64_t[]){1, 5}, 16);
    mls__tensor_proto *tuples =
        onnx_build_tensor(b, "", MLS_INT64, "2,2", (int64_t[]){0, 1, 1, 2}, 32);
    mls_tensor *tensor;
    ck_assert_ok(read_sparse("2,3", values, linear, &tensor));
    ck_assert_mem_eq(mls_tensor_data(tensor), expected, sizeof expected);
    mls_tensor_free(tensor);
    ck_assert_ok(read_sparse("2,3", values, tuples, &tensor));
    ck_assert_mem_eq(mls_tensor_data(tensor), expected, sizeof expected);
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(sparse_must_fit)
{
    mls__tensor_proto *values = onnx_build_tensor(b, "s", MLS_FLOAT32, "1", (float[]){5}, 4);
    mls__tensor_proto *index = onnx_build_tensor(b, "", MLS_INT64, "1", (int64_t[]){6}, 8);
    mls__tensor_proto *tuple = onnx_build_tensor(b, "", MLS_INT64, "1,2", (int64_t[]){0, 3}, 16);
    mls__tensor_proto *wide = onnx_build_tensor(b, "", MLS_INT64, "2", (int64_t[]){0, 1}, 16);
    mls__tensor_proto *narrow = onnx_build_tensor(b, "", MLS_INT32, "1", (int32_t[]){0}, 4);
    mls_tensor *tensor;
    ck_assert_fails(read_sparse("2,3", values, index, &tensor), MLS_EFORMAT, "index 6");
    ck_assert_fails(read_sparse("2,3", values, tuple, &tensor), MLS_EFORMAT, "index 3");
    ck_assert_fails(read_sparse("0,3", values, tuple, &tensor), MLS_EFORMAT, "index 0");
    ck_assert_fails(read_sparse("2,3", values, wide, &tensor), MLS_EFORMAT, "indices must be");
    ck_assert_fails(read_sparse("2,3", values, narrow, &tensor), MLS_EFORMAT, "int32");
    ck_assert_fails(read_sparse("2,3", values, NULL, &tensor), MLS_EFORMAT, "indices");
    ck_assert_fails(read_sparse("2,-3", values, index, &tensor), MLS_EFORMAT, "negative");
    ck_assert_fails(read_sparse("1000000000", values, index, &tensor), MLS_EUNSUPPORTED, "dense");
}
END_TEST

static mls_status read_both_kinds(mls_context *limited, void *arg)
{
    (void) arg;
    mls__external_init(&external, limited, NULL);
    mls_tensor *raw = NULL, *narrow = NULL;
    mls__tensor_proto *proto = onnx_build_tensor(b, "t", MLS_INT64, "2", "0123456789abcdef", 16);
    mls_status status = read_tensor(proto, &raw);
    if (!status)
        status = read_tensor(with_int32(MLS_INT4, "3", 2, (int32_t[]){1, 2}), &narrow);
    mls_tensor_free(narrow);
    mls_tensor_free(raw);
    mls__external_init(&external, context, NULL);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    mls_test_each_allocation(read_both_kinds, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/tensor");
    TCase *tests = tcase_create("tensor");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, raw_data_of_every_type);
    tcase_add_test(tests, scalars_and_empty_tensors);
    tcase_add_test(tests, bools_become_0_or_1);
    tcase_add_test(tests, small_types_are_unpacked);
    tcase_add_test(tests, lists_hold_wide_types);
    tcase_add_test(tests, int32_data_holds_narrow_types);
    tcase_add_test(tests, entries_must_fit_their_type);
    tcase_add_test(tests, strings_are_copied);
    tcase_add_test(tests, lengths_must_match_the_dims);
    tcase_add_test(tests, dims_must_make_sense);
    tcase_add_test(tests, types_must_exist);
    tcase_add_test(tests, sparse_becomes_dense);
    tcase_add_test(tests, sparse_must_fit);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
