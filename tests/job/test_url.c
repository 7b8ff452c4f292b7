/* SPDX-License-Identifier: Apache-2.0 */
/* No password of a URL is shown. */
#include "support/test.h"

#include "job/url.h"

#include <string.h>

START_TEST(passwords_are_not_shown)
{
    static const char *const rows[][2] = {
        {"memory:", "memory:"},
        {"memory:?capacity=8", "memory:?capacity=8"},
        {"sqlite:/a/b@c:d", "sqlite:/a/b@c:d"},
        {"postgres://host:5432/db", "postgres://host:5432/db"},
        {"postgres://me@host:5432/db?init=1", "postgres://me@host:5432/db?init=1"},
        {"postgres://me:secret@host:5432/db", "postgres://me:***@host:5432/db"},
        {"postgres://me:sec@r/e?t@host/db?a=b", "postgres://me:***@host/db?a=b"},
        {"postgres://:secret@host", "postgres://:***@host"},
        {"postgres://me:@host", "postgres://me:***@host"},
        {"p://h/d?password=secret&init=1", "p://h/d?password=***&init=1"},
        {"p://h/d?init=1&sslPassword=secret", "p://h/d?init=1&sslPassword=***"},
        {"p://h/d?p%61ssword=secret", "p://h/d?p%61ssword=***"},
        {"p://h/d?password", "p://h/d?password"},
        {"p://h/d?&&=&", "p://h/d?&&=&"},
        {"p://", "p://"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char shown[100];
        mls__url_show(rows[i][0], shown, sizeof shown);
        ck_assert_str_eq(shown, rows[i][1]);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_cut_off)
{
    static const char url[] = "postgres://me:secret@host/db?password=secret&x=y";
    char shown[80];
    for (size_t size = 1; size < sizeof shown; size++) {
        memset(shown, 'z', sizeof shown);
        mls__url_show(url, shown, size);
        ck_assert_uint_lt(strlen(shown), size);
        ck_assert_int_eq(
            strncmp(shown, "postgres://me:***@host/db?password=***&x=y", strlen(shown)), 0);
        ck_assert_int_eq(shown[size], 'z');
    }
}
END_TEST

START_TEST(messages_show_no_password)
{
    mls_context *context;
    mls_queue *queue;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_fails(mls_queue_open(context, "memory://me:secret@host", NULL, &queue), MLS_EINVAL,
                    "memory");
    ck_assert_ptr_null(strstr(mls_error_message(), "secret"));
    mls_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/url");
    TCase *tests = tcase_create("url");
    tcase_add_test(tests, passwords_are_not_shown);
    tcase_add_test(tests, what_does_not_fit_is_cut_off);
    tcase_add_test(tests, messages_show_no_password);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
