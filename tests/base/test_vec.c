/* SPDX-License-Identifier: Apache-2.0 */
/* Growing keeps what was pushed; every new element is zero, also where one was dropped. */
#include "support/test.h"

#include "base/context.h"
#include "base/error.h"
#include "base/vec.h"

#include <string.h>

typedef struct element {
    uint64_t key;
    unsigned char tail[8];
} element;

START_TEST(keeps_elements_when_it_grows)
{
    mls__vec vec;
    mls__vec_init(&vec, &mls__allocator_default, sizeof(element));
    for (uint64_t i = 0; i < 1000; i++) {
        element *e = mls__vec_push(&vec);
        ck_assert_ptr_nonnull(e);
        ck_assert_mem_eq(e, &(element){0}, sizeof *e);
        e->key = i;
        memset(e->tail, (int) (i & 0xff), sizeof e->tail);
    }
    ck_assert_uint_eq(vec.count, 1000);
    for (uint64_t i = 0; i < 1000; i++) {
        const element *e = mls__vec_at(&vec, i);
        ck_assert_uint_eq(e->key, i);
        ck_assert_uint_eq(e->tail[4], i & 0xff);
    }
    mls__vec_clear(&vec);
    ck_assert_uint_eq(vec.count, 0);
    ck_assert_ptr_null(vec.data);
}
END_TEST

START_TEST(pushes_zero_where_one_was_dropped)
{
    mls__vec vec;
    mls__vec_init(&vec, &mls__allocator_default, sizeof(uint64_t));
    *(uint64_t *) mls__vec_push(&vec) = UINT64_MAX;
    vec.count--;
    ck_assert_uint_eq(*(uint64_t *) mls__vec_push(&vec), 0);
    mls__vec_clear(&vec);
}
END_TEST

START_TEST(is_used_again_after_clear)
{
    mls__vec vec;
    mls__vec_init(&vec, &mls__allocator_default, 3);
    mls__vec_clear(&vec);
    ck_assert_ptr_nonnull(mls__vec_push(&vec));
    mls__vec_clear(&vec);
    ck_assert_ptr_nonnull(mls__vec_push(&vec));
    ck_assert_uint_eq(vec.count, 1);
    mls__vec_clear(&vec);
}
END_TEST

START_TEST(sizes_that_do_not_fit_give_null)
{
    mls__vec vec;
    mls__vec_init(&vec, &mls__allocator_default, SIZE_MAX / 4);
    ck_assert_ptr_null(mls__vec_push(&vec));
    ck_assert_uint_eq(vec.count, 0);
    mls__vec_clear(&vec);
}
END_TEST

static mls_status push_many(mls_context *context, void *arg)
{
    (void) arg;
    mls__vec vec;
    mls_status status = MLS_OK;
    mls__vec_init(&vec, &context->allocator, sizeof(uint32_t));
    for (uint32_t i = 0; !status && i < 100; i++) {
        uint32_t *slot = mls__vec_push(&vec);
        if (slot)
            *slot = i;
        else
            status = mls__error_nomem(sizeof *slot);
    }
    /* A push that failed leaves what was there. */
    for (uint32_t i = 0; i < vec.count; i++)
        ck_assert_uint_eq(*(uint32_t *) mls__vec_at(&vec, i), i);
    mls__vec_clear(&vec);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(push_many, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/vec");
    TCase *tests = tcase_create("vec");
    tcase_add_test(tests, keeps_elements_when_it_grows);
    tcase_add_test(tests, pushes_zero_where_one_was_dropped);
    tcase_add_test(tests, is_used_again_after_clear);
    tcase_add_test(tests, sizes_that_do_not_fit_give_null);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
