/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between random strides, against a loop over single elements. */
#include "support/test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 2000, ROOM = 1 << 15, GUARD = 0xee };

static mls_context *context;

static void set_up(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void tear_down(void)
{
    mls_context_free(context);
}

/* A tensor of random strides in a block of its own. */
typedef struct sample {
    unsigned char *block;
    mls_tensor *tensor;
} sample;

static int random_dims(uint64_t *random, int64_t *dims)
{
    const int rank = (int) mls_test_random_below(random, 6);
    for (int i = 0; i < rank; i++)
        dims[i] = (int64_t) mls_test_random_below(random, 20)
                      ? 1 + (int64_t) mls_test_random_below(random, 4)
                      : 0;
    return rank;
}

/*
 * Lays the dimensions out in a random order, some with gaps behind their elements and
 * some backwards. Returns where, in elements, the first element is.
 */
static int64_t random_strides(uint64_t *random, int rank, const int64_t *dims, int64_t *strides)
{
    int order[MLS_MAX_RANK];
    int64_t stride = 1, first = 0;
    const bool is_plain = mls_test_random_below(random, 4) == 0;
    for (int i = 0; i < rank; i++) {
        const int at = (int) mls_test_random_below(random, (size_t) i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (int i = rank - 1; i >= 0; i--) {
        const int axis = is_plain ? i : order[i];
        const bool is_backwards = !is_plain && mls_test_random_below(random, 3) == 0;
        if (!is_plain && mls_test_random_below(random, 3) == 0)
            stride *= 2;
        strides[axis] = is_backwards ? -stride : stride;
        if (is_backwards && dims[axis])
            first += stride * (dims[axis] - 1);
        stride *= dims[axis] ? dims[axis] : 1;
    }
    return first;
}

static sample random_sample(uint64_t *random, mls_dtype dtype, int rank, const int64_t *dims)
{
    sample s;
    int64_t strides[MLS_MAX_RANK];
    const int64_t first = random_strides(random, rank, dims, strides);
    s.block = aligned_alloc(64, ROOM * mls_dtype_size(dtype));
    memset(s.block, GUARD, ROOM * mls_dtype_size(dtype));
    ck_assert_ok(mls_tensor_wrap(context, dtype, rank, dims, strides,
                                 s.block + (size_t) first * mls_dtype_size(dtype), NULL, NULL,
                                 &s.tensor));
    return s;
}

static void sample_free(sample *s)
{
    mls_tensor_free(s->tensor);
    free(s->block);
}

/* The address of element `index` in row-major order. */
static unsigned char *element_at(const mls_tensor *tensor, int64_t index)
{
    int64_t offset = 0;
    for (int i = mls_tensor_rank(tensor) - 1; i >= 0; i--) {
        const int64_t dim = mls_tensor_dims(tensor)[i];
        offset += index % dim * mls_tensor_strides(tensor)[i];
        index /= dim;
    }
    return (unsigned char *) mls_tensor_data(tensor) +
           offset * (int64_t) mls_dtype_size(mls_tensor_dtype(tensor));
}

/* Different bytes for each element. */
static void element_value(int64_t index, size_t size, unsigned char *value)
{
    for (size_t b = 0; b < size; b++)
        value[b] = (unsigned char) ((index + 1) * 37 + (int64_t) b * 101);
}

static void fill(const mls_tensor *tensor)
{
    const size_t size = mls_dtype_size(mls_tensor_dtype(tensor));
    for (int64_t i = 0; i < mls_tensor_element_count(tensor); i++)
        element_value(i, size, element_at(tensor, i));
}

static bool is_filled(const mls_tensor *tensor)
{
    const size_t size = mls_dtype_size(mls_tensor_dtype(tensor));
    for (int64_t i = 0; i < mls_tensor_element_count(tensor); i++) {
        unsigned char value[16];
        element_value(i, size, value);
        if (memcmp(element_at(tensor, i), value, size) != 0)
            return false;
    }
    return true;
}

/* Clears the elements; then nothing but the guard may be left in the block. */
static bool is_nothing_else(sample *s)
{
    const size_t size = mls_dtype_size(mls_tensor_dtype(s->tensor));
    for (int64_t i = 0; i < mls_tensor_element_count(s->tensor); i++)
        memset(element_at(s->tensor, i), GUARD, size);
    for (size_t i = 0; i < ROOM * size; i++)
        if (s->block[i] != GUARD)
            return false;
    return true;
}

START_TEST(copies_into_any_strides)
{
    /* 1, 2, 4, 8 and 16 bytes; the strings are not looked into. */
    static const mls_dtype dtypes[] = {MLS_BOOL, MLS_BFLOAT16, MLS_FLOAT32, MLS_INT64, MLS_STRING};
    uint64_t random = 4;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t dims[MLS_MAX_RANK];
        const mls_dtype dtype = dtypes[round % 5];
        const int rank = random_dims(&random, dims);
        sample source = random_sample(&random, dtype, rank, dims);
        sample target = random_sample(&random, dtype, rank, dims);
        fill(source.tensor);
        ck_assert_ok(mls_tensor_copy_into(source.tensor, target.tensor));
        ck_assert(is_filled(target.tensor));
        ck_assert(is_nothing_else(&target));
        sample_free(&source);
        sample_free(&target);
    }
}
END_TEST

START_TEST(copies_into_a_new_tensor)
{
    uint64_t random = 5;
    for (int round = 0; round < ROUNDS / 4; round++) {
        int64_t dims[MLS_MAX_RANK];
        mls_tensor *copy;
        const int rank = random_dims(&random, dims);
        sample source = random_sample(&random, MLS_UINT32, rank, dims);
        fill(source.tensor);
        ck_assert_ok(mls_tensor_copy(source.tensor, &copy));
        sample_free(&source);
        ck_assert(mls_tensor_is_contiguous(copy));
        ck_assert_int_eq(mls_tensor_dtype(copy), MLS_UINT32);
        ck_assert_int_eq(mls_tensor_rank(copy), rank);
        ck_assert(is_filled(copy));
        mls_tensor_free(copy);
    }
}
END_TEST

START_TEST(source_may_be_broadcast_but_not_the_target)
{
    const int64_t one[] = {1, 2}, many[] = {3, 2};
    int16_t row[] = {7, 8};
    const int16_t expected[] = {7, 8, 7, 8, 7, 8};
    mls_tensor *tensor, *view, *copy;
    ck_assert_ok(mls_tensor_wrap(context, MLS_INT16, 2, one, NULL, row, NULL, NULL, &tensor));
    ck_assert_ok(mls_tensor_broadcast(tensor, 2, many, &view));
    ck_assert_ok(mls_tensor_copy(view, &copy));
    ck_assert_mem_eq(mls_tensor_data(copy), expected, sizeof expected);
    ck_assert_fails(mls_tensor_copy_into(copy, view), MLS_EINVAL, "dimension 0 is broadcast");
    mls_tensor_free(copy);
    mls_tensor_free(view);
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(pairs_must_agree)
{
    const int64_t a[] = {2, 3}, b[] = {3, 2};
    mls_tensor *source, *other_dtype, *other_dims, *other_rank;
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 2, a, &source));
    ck_assert_ok(mls_tensor_create(context, MLS_INT32, 2, a, &other_dtype));
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 2, b, &other_dims));
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 1, a, &other_rank));
    ck_assert_fails(mls_tensor_copy_into(source, other_dtype), MLS_EDTYPE, "float32 into int32");
    ck_assert_fails(mls_tensor_copy_into(source, other_dims), MLS_ESHAPE, "[2,3] into [3,2]");
    ck_assert_fails(mls_tensor_copy_into(source, other_rank), MLS_ESHAPE, "[2,3] into [2]");
    ck_assert_fails(mls_tensor_copy_into(NULL, source), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_tensor_copy_into(source, NULL), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_tensor_copy(NULL, &source), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_tensor_copy(source, NULL), MLS_EINVAL, "must not be NULL");
    mls_tensor_free(source);
    mls_tensor_free(other_dtype);
    mls_tensor_free(other_dims);
    mls_tensor_free(other_rank);
}
END_TEST

/* Three strings read backwards; the bytes are gone once the copy is made. */
static mls_tensor *copy_strings(char *text)
{
    mls_string strings[] = {{text, 2}, {NULL, 0}, {text + 2, 3}};
    const int64_t dims[] = {3}, strides[] = {-1};
    mls_tensor *tensor, *copy;
    ck_assert_ok(
        mls_tensor_wrap(context, MLS_STRING, 1, dims, strides, strings + 2, NULL, NULL, &tensor));
    ck_assert_ok(mls_tensor_copy(tensor, &copy));
    mls_tensor_free(tensor);
    memset(text, '?', 5);
    memset(strings, 0, sizeof strings);
    return copy;
}

START_TEST(strings_are_copied_with_their_bytes)
{
    char text[] = "ab\0cd";
    mls_tensor *copy = copy_strings(text);
    const mls_string *strings = mls_tensor_data(copy);
    ck_assert_uint_eq(strings[0].size, 3);
    ck_assert_mem_eq(strings[0].data, "\0cd", 3);
    ck_assert_uint_eq(strings[1].size, 0);
    ck_assert_uint_eq(strings[2].size, 2);
    ck_assert_mem_eq(strings[2].data, "ab", 2);
    mls_tensor *again;
    ck_assert_ok(mls_tensor_copy(copy, &again));
    mls_tensor_free(copy);
    ck_assert_mem_eq(((const mls_string *) mls_tensor_data(again))[2].data, "ab", 2);
    mls_tensor_free(again);
}
END_TEST

START_TEST(copied_into_strings_stay_borrowed)
{
    mls_string source[] = {{"x", 1}}, target[1];
    const int64_t dims[] = {1};
    mls_tensor *from, *to;
    ck_assert_ok(mls_tensor_wrap(context, MLS_STRING, 1, dims, NULL, source, NULL, NULL, &from));
    ck_assert_ok(mls_tensor_wrap(context, MLS_STRING, 1, dims, NULL, target, NULL, NULL, &to));
    ck_assert_ok(mls_tensor_copy_into(from, to));
    ck_assert_ptr_eq(target[0].data, source[0].data);
    mls_tensor_free(from);
    mls_tensor_free(to);
}
END_TEST

START_TEST(strings_are_checked)
{
    mls_string null_data[] = {{"x", 1}, {NULL, 4}};
    mls_string overflowing[] = {{"x", SIZE_MAX - 8}, {"y", 8}};
    const int64_t dims[] = {2};
    mls_tensor *tensor, *copy;
    ck_assert_ok(
        mls_tensor_wrap(context, MLS_STRING, 1, dims, NULL, null_data, NULL, NULL, &tensor));
    ck_assert_fails(mls_tensor_copy(tensor, &copy), MLS_EINVAL, "string 1 has 4 bytes");
    mls_tensor_free(tensor);
    ck_assert_ok(
        mls_tensor_wrap(context, MLS_STRING, 1, dims, NULL, overflowing, NULL, NULL, &tensor));
    ck_assert_fails(mls_tensor_copy(tensor, &copy), MLS_ENOMEM, "out of memory");
    mls_tensor_free(tensor);
}
END_TEST

static mls_status copy_both(mls_context *tested, void *arg)
{
    static mls_string strings[] = {{"ab", 2}, {"c", 1}};
    const int64_t dims[] = {2};
    mls_tensor *numbers, *words, *copy;
    (void) arg;
    mls_status status = mls_tensor_create(tested, MLS_FLOAT32, 1, dims, &numbers);
    if (status)
        return status;
    status = mls_tensor_copy(numbers, &copy);
    mls_tensor_free(numbers);
    if (status)
        return status;
    mls_tensor_free(copy);
    status = mls_tensor_wrap(tested, MLS_STRING, 1, dims, NULL, strings, NULL, NULL, &words);
    if (status)
        return status;
    status = mls_tensor_copy(words, &copy);
    mls_tensor_free(words);
    if (!status)
        mls_tensor_free(copy);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(copy_both, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor/copy");
    TCase *tests = tcase_create("copy");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, copies_into_any_strides);
    tcase_add_test(tests, copies_into_a_new_tensor);
    tcase_add_test(tests, source_may_be_broadcast_but_not_the_target);
    tcase_add_test(tests, pairs_must_agree);
    tcase_add_test(tests, strings_are_copied_with_their_bytes);
    tcase_add_test(tests, copied_into_strings_stay_borrowed);
    tcase_add_test(tests, strings_are_checked);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
