/* SPDX-License-Identifier: Apache-2.0 */
/* The message and the code belong together, and to one thread. */
#include "support/test.h"

#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

START_TEST(message_and_code_agree)
{
    ck_assert_int_eq(mls__error(MLS_ESHAPE, "dim %d", 3), MLS_ESHAPE);
    ck_assert_str_eq(mls_error_message(), "dim 3");
    ck_assert_int_eq(mls__error_at(MLS_ESHAPE, "node '%s'", "a"), MLS_ESHAPE);
    ck_assert_str_eq(mls_error_message(), "node 'a': dim 3");
}
END_TEST

static void *fail_elsewhere(void *arg)
{
    mls__error(MLS_EIO, "elsewhere");
    return arg;
}

START_TEST(null_names_function_and_arguments)
{
    ck_assert_int_eq(mls__error_null("mls_tensor_copy", "tensor and ret_tensor"), MLS_EINVAL);
    ck_assert_str_eq(mls_error_message(),
                     "mls_tensor_copy: tensor and ret_tensor must not be NULL");
}
END_TEST

START_TEST(system_error_keeps_its_words)
{
    ck_assert_int_eq(mls__error_os(ENOENT, "cannot open '%s'", "x"), MLS_EIO);
    ck_assert_str_eq(mls_error_message(), "cannot open 'x': No such file or directory");
}
END_TEST

START_TEST(message_may_be_its_own_argument)
{
    mls__error(MLS_EINVAL, "inner");
    mls__error(MLS_EINVAL, "outer (%s)", mls_error_message());
    ck_assert_str_eq(mls_error_message(), "outer (inner)");
}
END_TEST

START_TEST(message_is_of_its_thread)
{
    pthread_t thread;
    mls__error(MLS_EINVAL, "here");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_str_eq(mls_error_message(), "here");
}
END_TEST

START_TEST(long_message_is_cut)
{
    char text[4096];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mls__error(MLS_EINVAL, "%s", text);
    ck_assert_uint_lt(strlen(mls_error_message()), sizeof text);
}
END_TEST

START_TEST(cleared_message_is_empty)
{
    mls__error(MLS_EIO, "before");
    mls__error_clear();
    ck_assert_str_eq(mls_error_message(), "");
}
END_TEST

START_TEST(names_are_constants)
{
    ck_assert_str_eq(mls_status_name(MLS_OK), "MLS_OK");
    ck_assert_str_eq(mls_status_name(MLS_EINTERNAL), "MLS_EINTERNAL");
    ck_assert_str_eq(mls_status_name(MLS_EMISMATCH), "MLS_EMISMATCH");
    ck_assert_str_eq(mls_status_name((mls_status) 17), "MLS_E?");
    for (int s = MLS_EMISMATCH; s <= MLS_OK; s++)
        ck_assert_str_ne(mls_status_name((mls_status) s), "MLS_E?");
    ck_assert_str_eq(mls_status_name((mls_status) (MLS_EMISMATCH - 1)), "MLS_E?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/error");
    TCase *tests = tcase_create("error");
    tcase_add_test(tests, message_and_code_agree);
    tcase_add_test(tests, null_names_function_and_arguments);
    tcase_add_test(tests, system_error_keeps_its_words);
    tcase_add_test(tests, message_may_be_its_own_argument);
    tcase_add_test(tests, message_is_of_its_thread);
    tcase_add_test(tests, long_message_is_cut);
    tcase_add_test(tests, cleared_message_is_empty);
    tcase_add_test(tests, names_are_constants);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
