/* SPDX-License-Identifier: Apache-2.0 */
/* Making tensors: what is refused, who frees what and when. */
#include "support/test.h"

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

static void expect_dims(const mls_tensor *tensor, int rank, const int64_t *dims)
{
    ck_assert_int_eq(mls_tensor_rank(tensor), rank);
    for (int i = 0; i < rank; i++)
        ck_assert_int_eq(mls_tensor_dims(tensor)[i], dims[i]);
}

START_TEST(new_tensor_is_zero_contiguous_and_aligned)
{
    const int64_t dims[] = {3, 1, 5};
    for (int d = 0; d < 30; d++) {
        mls_tensor *tensor;
        if (!mls__dtype_is_valid(d))
            continue;
        const size_t size = mls_dtype_size((mls_dtype) d);
        ck_assert_ok(mls_tensor_create(context, (mls_dtype) d, 3, dims, &tensor));
        ck_assert_int_eq(mls_tensor_dtype(tensor), d);
        expect_dims(tensor, 3, dims);
        ck_assert_int_eq(mls_tensor_strides(tensor)[0], 5);
        ck_assert_int_eq(mls_tensor_strides(tensor)[2], 1);
        ck_assert_int_eq(mls_tensor_element_count(tensor), 15);
        ck_assert_uint_eq(mls_tensor_size_bytes(tensor), 15 * size);
        ck_assert(mls_tensor_is_contiguous(tensor));
        const unsigned char *data = mls_tensor_data(tensor);
        ck_assert_uint_eq((uintptr_t) data % 64, 0);
        for (size_t i = 0; i < 15 * size; i++)
            ck_assert_uint_eq(data[i], 0);
        mls_tensor_free(tensor);
    }
}
END_TEST

START_TEST(scalar_needs_no_dims)
{
    mls_tensor *tensor, *copy;
    float value = 2.5F;
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 0, NULL, &tensor));
    ck_assert_int_eq(mls_tensor_rank(tensor), 0);
    ck_assert_int_eq(mls_tensor_element_count(tensor), 1);
    ck_assert_ptr_nonnull(mls_tensor_data(tensor));
    ck_assert(mls_tensor_is_contiguous(tensor));
    mls_tensor_free(tensor);
    ck_assert_ok(mls_tensor_wrap(context, MLS_FLOAT32, 0, NULL, NULL, &value, NULL, NULL, &tensor));
    ck_assert_ok(mls_tensor_copy(tensor, &copy));
    ck_assert_float_eq(*(float *) mls_tensor_data(copy), 2.5F);
    mls_tensor_free(copy);
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(empty_tensor_has_no_data)
{
    const int64_t dims[] = {4, 0, 3};
    mls_tensor *tensor, *copy;
    ck_assert_ok(mls_tensor_create(context, MLS_INT64, 3, dims, &tensor));
    ck_assert_int_eq(mls_tensor_element_count(tensor), 0);
    ck_assert_uint_eq(mls_tensor_size_bytes(tensor), 0);
    ck_assert_ptr_null(mls_tensor_data(tensor));
    ck_assert(mls_tensor_is_contiguous(tensor));
    ck_assert_ok(mls_tensor_copy(tensor, &copy));
    expect_dims(copy, 3, dims);
    ck_assert_ok(mls_tensor_copy_into(tensor, copy));
    mls_tensor_free(copy);
    mls_tensor_free(tensor);
    /* Memory is not asked for where there are no elements. */
    ck_assert_ok(mls_tensor_wrap(context, MLS_INT64, 3, dims, NULL, NULL, NULL, NULL, &tensor));
    mls_tensor_free(tensor);
}
END_TEST

static void expect_refused(mls_dtype dtype, int rank, const int64_t *dims, const char *words)
{
    mls_tensor *const untouched = (mls_tensor *) &heap;
    mls_tensor *tensor = untouched;
    char data[8];
    ck_assert_fails(mls_tensor_create(context, dtype, rank, dims, &tensor), MLS_EINVAL, words);
    ck_assert_fails(mls_tensor_wrap(context, dtype, rank, dims, NULL, data, NULL, NULL, &tensor),
                    MLS_EINVAL, words);
    ck_assert_ptr_eq(tensor, untouched);
}

START_TEST(dtype_rank_and_dims_are_checked)
{
    const int64_t one[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    expect_refused(MLS_DTYPE_NONE, 1, one, "0 is no dtype");
    expect_refused((mls_dtype) 14, 1, one, "14 is no dtype");
    expect_refused((mls_dtype) -1, 1, one, "no dtype");
    expect_refused(MLS_FLOAT32, -1, one, "rank -1 is outside 0 to 8");
    expect_refused(MLS_FLOAT32, 9, one, "rank 9");
    expect_refused(MLS_FLOAT32, 2, (const int64_t[]){2, -3}, "dimension 1 is negative (-3)");
    expect_refused(MLS_FLOAT32, 2, (const int64_t[]){INT64_MAX, 2}, "more than memory can hold");
    expect_refused(MLS_FLOAT64, 1, (const int64_t[]){INT64_MAX / 4}, "more than memory can hold");
    expect_refused(MLS_INT8, 3, (const int64_t[]){INT64_MAX, 2, 0}, "more than memory can hold");
}
END_TEST

START_TEST(more_than_there_is_memory)
{
    mls_tensor *tensor;
    const int64_t dims[] = {INT64_MAX / 8};
    ck_assert_fails(mls_tensor_create(context, MLS_FLOAT64, 1, dims, &tensor), MLS_ENOMEM,
                    "out of memory");
}
END_TEST

typedef struct release {
    int calls;
    void *data;
} release;

static void count_release(void *user, void *data)
{
    release *r = user;
    r->calls++;
    r->data = data;
}

START_TEST(foreign_memory_goes_back_once_with_its_last_view)
{
    int32_t data[6] = {0, 1, 2, 3, 4, 5};
    const int64_t dims[] = {2, 3};
    release r = {0};
    mls_tensor *tensor, *view, *view_of_view;
    ck_assert_ok(
        mls_tensor_wrap(context, MLS_INT32, 2, dims, NULL, data, count_release, &r, &tensor));
    ck_assert_ptr_eq(mls_tensor_data(tensor), data);
    ck_assert_ok(mls_tensor_slice(tensor, 0, 1, 2, 1, &view));
    mls_tensor_free(tensor);
    ck_assert_ok(mls_tensor_slice(view, 1, 2, 3, 1, &view_of_view));
    mls_tensor_free(view);
    ck_assert_int_eq(r.calls, 0);
    ck_assert_int_eq(*(int32_t *) mls_tensor_data(view_of_view), 5);
    mls_tensor_free(view_of_view);
    ck_assert_int_eq(r.calls, 1);
    ck_assert_ptr_eq(r.data, data);
    mls_tensor_free(NULL);
}
END_TEST

START_TEST(tensor_keeps_its_context)
{
    const int64_t dims[] = {4};
    mls_test_heap *own = mls_test_heap_create();
    mls_context *short_lived;
    mls_tensor *tensor, *copy;
    ck_assert_ok(mls_test_heap_context(own, &short_lived));
    ck_assert_ok(mls_tensor_create(short_lived, MLS_INT32, 1, dims, &tensor));
    mls_context_free(short_lived);
    ck_assert_ok(mls_tensor_copy(tensor, &copy));
    mls_tensor_free(tensor);
    ck_assert_uint_gt(mls_test_heap_live(own), 0);
    mls_tensor_free(copy);
    ck_assert_uint_eq(mls_test_heap_live(own), 0);
    mls_test_heap_free(own);
}
END_TEST

START_TEST(wrapped_data_is_checked)
{
    const int64_t dims[] = {2};
    _Alignas(16) unsigned char bytes[64];
    release r = {0};
    mls_tensor *tensor;
    ck_assert_fails(
        mls_tensor_wrap(context, MLS_INT8, 1, dims, NULL, NULL, count_release, &r, &tensor),
        MLS_EINVAL, "data is NULL, but there are 2 bytes");
    ck_assert_fails(
        mls_tensor_wrap(context, MLS_FLOAT32, 1, dims, NULL, bytes + 2, count_release, &r, &tensor),
        MLS_EINVAL, "float32 needs a multiple of 4");
    ck_assert_fails(
        mls_tensor_wrap(context, MLS_STRING, 1, dims, NULL, bytes + 4, count_release, &r, &tensor),
        MLS_EINVAL, "string needs a multiple of 8");
    ck_assert_ok(
        mls_tensor_wrap(context, MLS_STRING, 1, dims, NULL, bytes + 8, NULL, NULL, &tensor));
    mls_tensor_free(tensor);
    ck_assert_int_eq(r.calls, 0);
}
END_TEST

START_TEST(wrapped_strides_are_checked)
{
    static const struct {
        int64_t strides[2];
        bool is_fine;
    } rows[] = {
        {{3, 1}, true},
        {{1, 2}, true},
        {{0, 0}, true},
        {{-3, 1}, true},
        {{-3, -1}, true},
        {{INT64_MAX, 1}, false},
        {{INT64_MIN, 1}, false},
        {{1, INT64_MAX / 4}, false},
        {{1, INT64_MIN / 4}, false},
        {{INT64_MAX / 8, 1}, false},                  /* past the end of the address space */
        {{INT64_MIN / 8, 1}, false},                  /* before its start */
        {{INT64_MAX / 12, -(INT64_MAX / 12)}, false}, /* each fits, both do not */
    };
    const int64_t dims[] = {2, 3};
    int64_t data[12] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mls_tensor *tensor;
        release r = {0};
        const mls_status status = mls_tensor_wrap(context, MLS_INT64, 2, dims, rows[i].strides,
                                                  data + 6, count_release, &r, &tensor);
        ck_assert_msg(status == (rows[i].is_fine ? MLS_OK : MLS_EINVAL), "row %zu: %s", i,
                      mls_error_message());
        if (!status)
            mls_tensor_free(tensor);
        ck_assert_int_eq(r.calls, rows[i].is_fine);
    }
}
END_TEST

/* Nothing is read, so addresses at both ends can be tried. */
static mls_status wrap_at(uintptr_t address, int64_t stride)
{
    const int64_t dims[] = {2};
    mls_tensor *tensor;
    const mls_status status = mls_tensor_wrap(context, MLS_INT64, 1, dims, &stride,
                                              (void *) address, NULL, NULL, &tensor);
    if (!status)
        mls_tensor_free(tensor);
    return status;
}

START_TEST(addresses_do_not_wrap_around)
{
    ck_assert_ok(wrap_at(UINTPTR_MAX - 31, 1));
    ck_assert_ok(wrap_at(UINTPTR_MAX - 31, 2));
    ck_assert_int_eq(wrap_at(UINTPTR_MAX - 31, 3), MLS_EINVAL);
    ck_assert_ok(wrap_at(UINTPTR_MAX - 31, -3));
    ck_assert_ok(wrap_at(16, -2));
    ck_assert_int_eq(wrap_at(16, -3), MLS_EINVAL);
}
END_TEST

START_TEST(strides_that_mean_nothing_are_dropped)
{
    const int64_t one[] = {1, 3, 1}, none[] = {2, 0};
    const int64_t wild[] = {INT64_MAX, 1, INT64_MIN};
    float data[3] = {1, 2, 3};
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_wrap(context, MLS_FLOAT32, 3, one, wild, data, NULL, NULL, &tensor));
    ck_assert(mls_tensor_is_contiguous(tensor));
    for (int i = 0; i < 3; i++)
        ck_assert_int_le(mls_tensor_strides(tensor)[i], 3);
    mls_tensor_free(tensor);
    ck_assert_ok(mls_tensor_wrap(context, MLS_FLOAT32, 2, none, wild, data, NULL, NULL, &tensor));
    ck_assert_int_le(mls_tensor_strides(tensor)[0], 3);
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(contiguity_ignores_dimensions_of_one)
{
    static const struct {
        int64_t dims[3], strides[3];
        int is_contiguous;
    } rows[] = {
        {{2, 3, 4}, {12, 4, 1}, 1}, {{2, 1, 4}, {4, 99, 1}, 1}, {{1, 1, 1}, {7, 7, 7}, 1},
        {{2, 3, 4}, {12, 4, 2}, 0}, {{2, 3, 4}, {13, 4, 1}, 0}, {{4, 3, 2}, {1, 4, 12}, 0},
        {{2, 3, 4}, {0, 4, 1}, 0},  {{2, 3, 1}, {-3, 1, 1}, 0},
    };
    unsigned char data[128];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mls_tensor *tensor;
        ck_assert_ok(mls_tensor_wrap(context, MLS_UINT8, 3, rows[i].dims, rows[i].strides,
                                     data + 32, NULL, NULL, &tensor));
        ck_assert_int_eq(mls_tensor_is_contiguous(tensor), rows[i].is_contiguous);
        mls_tensor_free(tensor);
    }
}
END_TEST

START_TEST(null_is_an_error_where_something_is_needed)
{
    const int64_t dims[] = {1};
    int64_t data[1] = {0};
    mls_tensor *tensor;
    const char *words = "must not be NULL";
    ck_assert_fails(mls_tensor_create(NULL, MLS_INT64, 1, dims, &tensor), MLS_EINVAL, words);
    ck_assert_fails(mls_tensor_create(context, MLS_INT64, 1, NULL, &tensor), MLS_EINVAL, words);
    ck_assert_fails(mls_tensor_create(context, MLS_INT64, 1, dims, NULL), MLS_EINVAL, words);
    ck_assert_fails(mls_tensor_wrap(NULL, MLS_INT64, 1, dims, NULL, data, NULL, NULL, &tensor),
                    MLS_EINVAL, words);
    ck_assert_fails(mls_tensor_wrap(context, MLS_INT64, 1, NULL, NULL, data, NULL, NULL, &tensor),
                    MLS_EINVAL, words);
    ck_assert_fails(mls_tensor_wrap(context, MLS_INT64, 1, dims, NULL, data, NULL, NULL, NULL),
                    MLS_EINVAL, "mls_tensor_wrap: context");
}
END_TEST

START_TEST(null_has_no_values)
{
    ck_assert_int_eq(mls_tensor_dtype(NULL), MLS_DTYPE_NONE);
    ck_assert_int_eq(mls_tensor_rank(NULL), 0);
    ck_assert_ptr_null(mls_tensor_dims(NULL));
    ck_assert_ptr_null(mls_tensor_strides(NULL));
    ck_assert_int_eq(mls_tensor_element_count(NULL), 0);
    ck_assert_uint_eq(mls_tensor_size_bytes(NULL), 0);
    ck_assert_ptr_null(mls_tensor_data(NULL));
    ck_assert_int_eq(mls_tensor_is_contiguous(NULL), 0);
}
END_TEST

static mls_status create_and_wrap(mls_context *tested, void *arg)
{
    const int64_t dims[] = {2, 2};
    mls_tensor *created, *wrapped;
    release *r = arg;
    int64_t data[4];
    mls_status status = mls_tensor_create(tested, MLS_FLOAT64, 2, dims, &created);
    if (status)
        return status;
    const int before = r->calls;
    status = mls_tensor_wrap(tested, MLS_INT64, 2, dims, NULL, data, count_release, r, &wrapped);
    ck_assert_int_eq(r->calls, before); /* a failed wrap leaves the memory to the caller */
    if (!status)
        mls_tensor_free(wrapped);
    mls_tensor_free(created);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    release r = {0};
    mls_test_each_allocation(create_and_wrap, &r);
    ck_assert_int_eq(r.calls, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor/tensor");
    TCase *tests = tcase_create("tensor");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, new_tensor_is_zero_contiguous_and_aligned);
    tcase_add_test(tests, scalar_needs_no_dims);
    tcase_add_test(tests, empty_tensor_has_no_data);
    tcase_add_test(tests, dtype_rank_and_dims_are_checked);
    tcase_add_test(tests, more_than_there_is_memory);
    tcase_add_test(tests, foreign_memory_goes_back_once_with_its_last_view);
    tcase_add_test(tests, tensor_keeps_its_context);
    tcase_add_test(tests, wrapped_data_is_checked);
    tcase_add_test(tests, wrapped_strides_are_checked);
    tcase_add_test(tests, addresses_do_not_wrap_around);
    tcase_add_test(tests, strides_that_mean_nothing_are_dropped);
    tcase_add_test(tests, contiguity_ignores_dimensions_of_one);
    tcase_add_test(tests, null_is_an_error_where_something_is_needed);
    tcase_add_test(tests, null_has_no_values);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
