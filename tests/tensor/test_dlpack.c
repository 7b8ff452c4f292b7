/* SPDX-License-Identifier: Apache-2.0 */
/* DLPack as a consumer and a producer see it: fields, lifetimes, and what is refused. */
#include "support/test.h"

#include "tensor/dlpack.h"
#include "tensor/dtype.h"

#include <string.h>

static mls_test_heap *heap;
static mls_context *context;

static void set_up(void)
{
    heap = mls_test_heap_create();
    ck_assert_ok(mls_test_heap_context(heap, &context));
}

static void tear_down(void)
{
    mls_context_free(context);
    ck_assert_uint_eq(mls_test_heap_live(heap), 0);
    mls_test_heap_free(heap);
}

START_TEST(exported_fields)
{
    const int64_t dims[] = {2, 3};
    mls_tensor *tensor, *view;
    void *exported;
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 2, dims, &tensor));
    ck_assert_ok(mls_tensor_slice(tensor, 1, 2, -1, -2, &view));
    ck_assert_ok(mls_tensor_export_dlpack(view, &exported));
    mls__dlpack_managed *managed = exported;
    ck_assert_uint_eq(managed->version.major, 1);
    ck_assert_uint_eq(managed->flags, 0);
    ck_assert_ptr_eq(managed->tensor.data, mls_tensor_data(view));
    ck_assert_uint_eq(managed->tensor.byte_offset, 0);
    ck_assert_int_eq(managed->tensor.device.type, 1);
    ck_assert_int_eq(managed->tensor.device.id, 0);
    ck_assert_int_eq(managed->tensor.ndim, 2);
    ck_assert_uint_eq(managed->tensor.dtype.code, 2);
    ck_assert_uint_eq(managed->tensor.dtype.bits, 32);
    ck_assert_uint_eq(managed->tensor.dtype.lanes, 1);
    ck_assert_int_eq(managed->tensor.shape[0], 2);
    ck_assert_int_eq(managed->tensor.shape[1], 2);
    ck_assert_int_eq(managed->tensor.strides[0], 3);
    ck_assert_int_eq(managed->tensor.strides[1], -2);
    managed->deleter(managed);
    mls_tensor_free(view);
    mls_tensor_free(tensor);
}
END_TEST

/* What an exported tensor holds on to: its memory and the context, nothing of the caller's. */
START_TEST(exported_memory_outlives_tensor_and_context)
{
    const int64_t dims[] = {4};
    mls_test_heap *own = mls_test_heap_create();
    mls_context *short_lived;
    mls_tensor *tensor;
    void *exported;
    ck_assert_ok(mls_test_heap_context(own, &short_lived));
    ck_assert_ok(mls_tensor_create(short_lived, MLS_INT64, 1, dims, &tensor));
    ((int64_t *) mls_tensor_data(tensor))[3] = 42;
    ck_assert_ok(mls_tensor_export_dlpack(tensor, &exported));
    mls_tensor_free(tensor);
    mls_context_free(short_lived);
    mls__dlpack_managed *managed = exported;
    ck_assert_int_eq(((const int64_t *) managed->tensor.data)[3], 42);
    ck_assert_int_eq(managed->tensor.shape[0], 4);
    managed->deleter(managed);
    ck_assert_uint_eq(mls_test_heap_live(own), 0);
    mls_test_heap_free(own);
}
END_TEST

START_TEST(empty_and_scalar)
{
    const int64_t dims[] = {0, 5};
    mls_tensor *tensor, *back;
    void *exported;
    ck_assert_ok(mls_tensor_create(context, MLS_UINT8, 2, dims, &tensor));
    ck_assert_ok(mls_tensor_export_dlpack(tensor, &exported));
    ck_assert_ptr_null(((mls__dlpack_managed *) exported)->tensor.data);
    ck_assert_ok(mls_tensor_import_dlpack(context, exported, &back));
    ck_assert_int_eq(mls_tensor_dims(back)[1], 5);
    mls_tensor_free(back);
    mls_tensor_free(tensor);
    ck_assert_ok(mls_tensor_create(context, MLS_UINT8, 0, NULL, &tensor));
    ck_assert_ok(mls_tensor_export_dlpack(tensor, &exported));
    ck_assert_ok(mls_tensor_import_dlpack(context, exported, &back));
    ck_assert_int_eq(mls_tensor_rank(back), 0);
    ck_assert_ptr_eq(mls_tensor_data(back), mls_tensor_data(tensor));
    mls_tensor_free(back);
    mls_tensor_free(tensor);
}
END_TEST

/* Code and bits of DLPack's enumeration, by hand. */
static const struct {
    mls_dtype dtype;
    unsigned code, bits;
} types[] = {
    {MLS_INT8, 0, 8},        {MLS_INT16, 0, 16},          {MLS_INT32, 0, 32},
    {MLS_INT64, 0, 64},      {MLS_UINT8, 1, 8},           {MLS_UINT16, 1, 16},
    {MLS_UINT32, 1, 32},     {MLS_UINT64, 1, 64},         {MLS_FLOAT16, 2, 16},
    {MLS_FLOAT32, 2, 32},    {MLS_FLOAT64, 2, 64},        {MLS_BFLOAT16, 4, 16},
    {MLS_BOOL, 6, 8},        {MLS_FLOAT8E4M3FN, 10, 8},   {MLS_FLOAT8E4M3FNUZ, 11, 8},
    {MLS_FLOAT8E5M2, 12, 8}, {MLS_FLOAT8E5M2FNUZ, 13, 8}, {MLS_FLOAT8E8M0, 14, 8},
    {MLS_STRING, 0, 0},      {MLS_UINT4, 0, 0},           {MLS_INT4, 0, 0},
    {MLS_FLOAT4E2M1, 0, 0},  {MLS_UINT2, 0, 0},           {MLS_INT2, 0, 0},
};

START_TEST(round_trip_of_each_dtype)
{
    const int64_t dims[] = {2, 2};
    size_t known = 0;
    for (int d = 0; d < 64; d++)
        known += mls__dtype_is_valid(d);
    ck_assert_uint_eq(sizeof types / sizeof types[0], known);
    for (size_t i = 0; i < known; i++) {
        mls_tensor *tensor, *back;
        void *exported = NULL;
        ck_assert_ok(mls_tensor_create(context, types[i].dtype, 2, dims, &tensor));
        if (!types[i].bits) {
            ck_assert_fails(mls_tensor_export_dlpack(tensor, &exported), MLS_EUNSUPPORTED,
                            mls_dtype_name(types[i].dtype));
            ck_assert_ptr_null(exported);
            mls_tensor_free(tensor);
            continue;
        }
        ck_assert_ok(mls_tensor_export_dlpack(tensor, &exported));
        const mls__dlpack_managed *managed = exported;
        ck_assert_uint_eq(managed->tensor.dtype.code, types[i].code);
        ck_assert_uint_eq(managed->tensor.dtype.bits, types[i].bits);
        ck_assert_ok(mls_tensor_import_dlpack(context, exported, &back));
        ck_assert_int_eq(mls_tensor_dtype(back), types[i].dtype);
        ck_assert_ptr_eq(mls_tensor_data(back), mls_tensor_data(tensor));
        ck_assert(mls_tensor_is_contiguous(back));
        mls_tensor_free(tensor);
        mls_tensor_free(back);
    }
}
END_TEST

/* A producer that counts how often its deleter is called. */
typedef struct producer {
    mls__dlpack_managed managed;
    int64_t shape[9], strides[9];
    float data[8];
    int deleted;
} producer;

static void delete_produced(mls__dlpack_managed *self)
{
    ((producer *) self->manager)->deleted++;
}

/* A row-major 2 by 3 float32. */
static void produce(producer *p)
{
    *p = (producer){
        .managed = {.version = {1, 0}, .manager = p, .deleter = delete_produced},
        .shape = {2, 3},
        .strides = {3, 1},
        .data = {0, 1, 2, 3, 4, 5, 6, 7},
    };
    p->managed.tensor = (mls__dlpack_tensor){
        .data = p->data,
        .device = {1, 0},
        .ndim = 2,
        .dtype = {2, 32, 1},
        .shape = p->shape,
        .strides = p->strides,
    };
}

START_TEST(imported_memory_goes_back_with_its_last_view)
{
    producer p;
    mls_tensor *tensor, *view;
    produce(&p);
    ck_assert_ok(mls_tensor_import_dlpack(context, &p.managed, &tensor));
    ck_assert_ptr_eq(mls_tensor_data(tensor), p.data);
    ck_assert_ok(mls_tensor_slice(tensor, 0, 1, 2, 1, &view));
    mls_tensor_free(tensor);
    ck_assert_int_eq(p.deleted, 0);
    ck_assert_float_eq(*(float *) mls_tensor_data(view), 3.0F);
    mls_tensor_free(view);
    ck_assert_int_eq(p.deleted, 1);
    produce(&p);
    p.managed.deleter = NULL;
    ck_assert_ok(mls_tensor_import_dlpack(context, &p.managed, &tensor));
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(imports_strides_and_offset)
{
    producer p;
    mls_tensor *tensor;
    produce(&p);
    p.managed.tensor.strides = NULL; /* row-major */
    p.managed.tensor.byte_offset = 2 * sizeof(float);
    ck_assert_ok(mls_tensor_import_dlpack(context, &p.managed, &tensor));
    ck_assert_ptr_eq(mls_tensor_data(tensor), p.data + 2);
    ck_assert(mls_tensor_is_contiguous(tensor));
    mls_tensor_free(tensor);
    produce(&p);
    p.strides[0] = -1;
    p.strides[1] = 2;
    p.managed.tensor.byte_offset = sizeof(float);
    p.managed.version.minor = 99; /* newer minor versions only add values */
    p.managed.flags = 2;          /* the producer made a copy: nothing to us */
    ck_assert_ok(mls_tensor_import_dlpack(context, &p.managed, &tensor));
    ck_assert_ptr_eq(mls_tensor_data(tensor), p.data + 1);
    ck_assert_int_eq(mls_tensor_strides(tensor)[0], -1);
    ck_assert_int_eq(mls_tensor_strides(tensor)[1], 2);
    mls_tensor_free(tensor);
}
END_TEST

static void expect_refused(producer *p, mls_status status, const char *words)
{
    mls_tensor *tensor = NULL;
    const mls_status got = mls_tensor_import_dlpack(context, &p->managed, &tensor);
    ck_assert_int_eq(got, status);
    ck_assert_msg(strstr(mls_error_message(), words) != NULL, "'%s' lacks '%s'",
                  mls_error_message(), words);
    ck_assert_ptr_null(tensor);
    ck_assert_int_eq(p->deleted, 0); /* it stays the caller's */
    produce(p);
}

START_TEST(what_is_imported_is_checked)
{
    producer p;
    produce(&p);
    p.managed.version.major = 2;
    expect_refused(&p, MLS_EABI, "version 2.0; this library reads 1.x");
    p.managed.version.major = 0;
    expect_refused(&p, MLS_EABI, "version 0.0");
    p.managed.flags = 1;
    expect_refused(&p, MLS_EUNSUPPORTED, "read-only");
    p.managed.tensor.device.type = 2;
    expect_refused(&p, MLS_EUNSUPPORTED, "device of type 2");
    p.managed.tensor.dtype.lanes = 4;
    expect_refused(&p, MLS_EUNSUPPORTED, "4 lanes");
    p.managed.tensor.dtype.lanes = 0;
    expect_refused(&p, MLS_EUNSUPPORTED, "0 lanes");
    p.managed.tensor.dtype.code = 5; /* complex */
    expect_refused(&p, MLS_EUNSUPPORTED, "code 5 with 32 bits");
    p.managed.tensor.dtype.bits = 80;
    expect_refused(&p, MLS_EUNSUPPORTED, "80 bits");
    p.managed.tensor.ndim = 9;
    expect_refused(&p, MLS_EINVAL, "9 dimensions; at most 8");
    p.managed.tensor.ndim = -1;
    expect_refused(&p, MLS_EINVAL, "-1 dimensions");
    p.managed.tensor.shape = NULL;
    expect_refused(&p, MLS_EINVAL, "shape");
    p.shape[1] = -3;
    expect_refused(&p, MLS_EINVAL, "dimension 1 is negative");
    p.shape[1] = INT64_MAX;
    expect_refused(&p, MLS_EINVAL, "more than memory can hold");
    p.strides[0] = INT64_MAX;
    expect_refused(&p, MLS_EINVAL, "strides");
    p.managed.tensor.byte_offset = UINT64_MAX - 3;
    expect_refused(&p, MLS_EINVAL, "byte_offset");
    p.managed.tensor.byte_offset = 2;
    expect_refused(&p, MLS_EINVAL, "multiple of 4");
    p.managed.tensor.data = NULL;
    expect_refused(&p, MLS_EINVAL, "data is NULL");
}
END_TEST

START_TEST(null_is_an_error)
{
    producer p;
    mls_tensor *tensor;
    void *exported;
    produce(&p);
    ck_assert_fails(mls_tensor_import_dlpack(NULL, &p.managed, &tensor), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_tensor_import_dlpack(context, NULL, &tensor), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_tensor_import_dlpack(context, &p.managed, NULL), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_tensor_export_dlpack(NULL, &exported), MLS_EINVAL, "NULL");
    ck_assert_ok(mls_tensor_import_dlpack(context, &p.managed, &tensor));
    ck_assert_fails(mls_tensor_export_dlpack(tensor, NULL), MLS_EINVAL, "NULL");
    mls_tensor_free(tensor);
}
END_TEST

static mls_status export_and_import(mls_context *tested, void *arg)
{
    producer *p = arg;
    mls_tensor *tensor;
    void *exported = NULL;
    produce(p);
    mls_status status = mls_tensor_import_dlpack(tested, &p->managed, &tensor);
    ck_assert_int_eq(p->deleted, 0);
    if (status)
        return status;
    status = mls_tensor_export_dlpack(tensor, &exported);
    mls_tensor_free(tensor);
    ck_assert_int_eq(p->deleted, status != MLS_OK);
    if (!status)
        ((mls__dlpack_managed *) exported)->deleter(exported);
    ck_assert_int_eq(p->deleted, 1);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    producer p;
    mls_test_each_allocation(export_and_import, &p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor/dlpack");
    TCase *tests = tcase_create("dlpack");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, exported_fields);
    tcase_add_test(tests, exported_memory_outlives_tensor_and_context);
    tcase_add_test(tests, empty_and_scalar);
    tcase_add_test(tests, round_trip_of_each_dtype);
    tcase_add_test(tests, imported_memory_goes_back_with_its_last_view);
    tcase_add_test(tests, imports_strides_and_offset);
    tcase_add_test(tests, what_is_imported_is_checked);
    tcase_add_test(tests, null_is_an_error);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
