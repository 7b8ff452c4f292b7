/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of an arena are zero, aligned and apart, whatever sizes are mixed. */
#include "support/test.h"

#include "base/arena.h"
#include "base/context.h"
#include "base/error.h"

#include <string.h>

enum { BLOCKS = 500 };

typedef struct block {
    unsigned char *data;
    size_t size;
} block;

/* Small, around the limit of large blocks, and a few really large ones. */
static size_t random_size(uint64_t *random)
{
    static const size_t limits[] = {40, 700, 4200, 40000};
    return mls_test_random_below(random, limits[mls_test_random_below(random, 4)]);
}

/* One assertion a block, not a byte: each writes to a pipe. */
static bool is_filled(block b, unsigned char fill)
{
    for (size_t i = 0; i < b.size; i++)
        if (b.data[i] != fill)
            return false;
    return true;
}

static block take(mls__arena *arena, size_t size, unsigned char fill)
{
    block b = {mls__arena_alloc(arena, size), size};
    ck_assert_ptr_nonnull(b.data);
    ck_assert_uint_eq((uintptr_t) b.data % (size >= 4096 ? 64 : 16), 0);
    ck_assert(is_filled(b, 0));
    memset(b.data, fill, size);
    return b;
}

START_TEST(blocks_are_zero_aligned_and_apart)
{
    mls__arena arena;
    block blocks[BLOCKS];
    uint64_t random = (uint64_t) _i;
    mls__arena_init(&arena, &mls__allocator_default);
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = take(&arena, random_size(&random), (unsigned char) i);
    for (int i = 0; i < BLOCKS; i++)
        ck_assert(is_filled(blocks[i], (unsigned char) i));
    mls__arena_clear(&arena);
}
END_TEST

START_TEST(is_used_again_after_clear)
{
    mls__arena arena;
    mls__arena_init(&arena, &mls__allocator_default);
    mls__arena_clear(&arena);
    for (int round = 0; round < 3; round++) {
        take(&arena, 100, 0xff);
        take(&arena, 5000, 0xff);
        mls__arena_clear(&arena);
        ck_assert_ptr_null(arena.chunks);
    }
}
END_TEST

START_TEST(copies_end_with_nul)
{
    mls__arena arena;
    mls__arena_init(&arena, &mls__allocator_default);
    ck_assert_str_eq(mls__arena_string(&arena, "Gemm"), "Gemm");
    ck_assert_mem_eq(mls__arena_bytes(&arena, "a\0b", 3), "a\0b", 4);
    ck_assert_str_eq(mls__arena_bytes(&arena, NULL, 0), "");
    mls__arena_clear(&arena);
}
END_TEST

START_TEST(sizes_that_do_not_fit_give_null)
{
    mls__arena arena;
    mls__arena_init(&arena, &mls__allocator_default);
    ck_assert_ptr_null(mls__arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(mls__arena_array(&arena, SIZE_MAX / 2, 3));
    ck_assert_ptr_null(mls__arena_bytes(&arena, "x", SIZE_MAX));
    ck_assert_ptr_null(arena.chunks);
}
END_TEST

static mls_status fill_arena(mls_context *context, void *arg)
{
    static const size_t sizes[] = {10, 5000, 16000, 300, 16, 4000, 4000, 4000, 4000, 4000};
    (void) arg;
    mls__arena arena;
    mls_status status = MLS_OK;
    mls__arena_init(&arena, &context->allocator);
    for (size_t i = 0; !status && i < sizeof sizes / sizeof sizes[0]; i++)
        if (!mls__arena_alloc(&arena, sizes[i]))
            status = mls__error_nomem(sizes[i]);
    mls__arena_clear(&arena);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(fill_arena, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/arena");
    TCase *tests = tcase_create("arena");
    tcase_add_loop_test(tests, blocks_are_zero_aligned_and_apart, 0, 5);
    tcase_add_test(tests, is_used_again_after_clear);
    tcase_add_test(tests, copies_end_with_nul);
    tcase_add_test(tests, sizes_that_do_not_fit_give_null);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
