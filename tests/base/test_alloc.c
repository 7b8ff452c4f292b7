/* SPDX-License-Identifier: Apache-2.0 */
/* Alignment, zero-filling and copies of the allocator; sizes that do not fit. */
#include "support/test.h"

#include "base/alloc.h"

#include <string.h>

static const mls__allocator *const heap = &mls__allocator_default;

START_TEST(blocks_are_aligned)
{
    for (size_t size = 0; size < 200; size++) {
        unsigned char *block = mls__alloc(heap, size);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_eq((uintptr_t) block % MLS__ALIGN, 0);
        memset(block, 0xa5, size);
        mls__free(heap, block);
    }
    mls__free(heap, NULL);
}
END_TEST

START_TEST(arrays_are_zero)
{
    static const unsigned char zero[96];
    unsigned char *block = mls__alloc(heap, sizeof zero);
    memset(block, 0xa5, sizeof zero);
    mls__free(heap, block);
    block = mls__alloc_array(heap, 12, 8);
    ck_assert_mem_eq(block, zero, sizeof zero);
    mls__free(heap, block);
}
END_TEST

START_TEST(copies_end_with_nul)
{
    char *string = mls__alloc_string(heap, "risk");
    ck_assert_str_eq(string, "risk");
    mls__free(heap, string);
    char *bytes = mls__alloc_bytes(heap, "a\0b", 3);
    ck_assert_mem_eq(bytes, "a\0b", 4);
    mls__free(heap, bytes);
    char *empty = mls__alloc_bytes(heap, NULL, 0);
    ck_assert_str_eq(empty, "");
    mls__free(heap, empty);
}
END_TEST

START_TEST(sizes_that_do_not_fit_give_null)
{
    ck_assert_ptr_null(mls__alloc(heap, SIZE_MAX));
    ck_assert_ptr_null(mls__alloc(heap, SIZE_MAX - MLS__ALIGN));
    ck_assert_ptr_null(mls__alloc_array(heap, SIZE_MAX / 8 + 1, 8));
    ck_assert_ptr_null(mls__alloc_bytes(heap, "x", SIZE_MAX));
}
END_TEST

START_TEST(arithmetic_is_checked)
{
    size_t size;
    int64_t number;
    ck_assert(mls__mul_size(SIZE_MAX / 3, 3, &size) && size == SIZE_MAX / 3 * 3);
    ck_assert(!mls__mul_size(SIZE_MAX / 3 + 1, 3, &size));
    ck_assert(mls__add_size(SIZE_MAX - 1, 1, &size) && size == SIZE_MAX);
    ck_assert(!mls__add_size(SIZE_MAX, 1, &size));
    ck_assert(mls__mul_i64(INT64_MAX, 1, &number) && number == INT64_MAX);
    ck_assert(!mls__mul_i64(INT64_MAX / 2 + 1, 2, &number));
    ck_assert(mls__add_i64(INT64_MAX - 1, 1, &number) && number == INT64_MAX);
    ck_assert(!mls__add_i64(INT64_MAX, 1, &number));
    ck_assert(mls__align_size(0, &size) && size == 0);
    ck_assert(mls__align_size(1, &size) && size == MLS__ALIGN);
    ck_assert(mls__align_size(MLS__ALIGN, &size) && size == MLS__ALIGN);
    ck_assert(!mls__align_size(SIZE_MAX, &size));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/alloc");
    TCase *tests = tcase_create("alloc");
    tcase_add_test(tests, blocks_are_aligned);
    tcase_add_test(tests, arrays_are_zero);
    tcase_add_test(tests, copies_end_with_nul);
    tcase_add_test(tests, sizes_that_do_not_fit_give_null);
    tcase_add_test(tests, arithmetic_is_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
