/* SPDX-License-Identifier: Apache-2.0 */
/* Option structs between callers and libraries of different ages. */
#include "support/test.h"

#include "base/options.h"

#include <string.h>

/* The struct in its first release, as this library knows it, and as a newer caller does. */
typedef struct first {
    size_t size;
    uint64_t a;
} first;

typedef struct present {
    size_t size;
    uint64_t a, b;
} present;

typedef struct newer {
    size_t size;
    uint64_t a, b, c;
} newer;

static const present defaults = {sizeof(present), 10, 20};

static mls_status read(const void *options, present *ret_options)
{
    return mls__options_read("mls_options", options, sizeof(first), sizeof(present), ret_options);
}

START_TEST(null_is_the_defaults)
{
    present options = defaults;
    ck_assert_ok(read(NULL, &options));
    ck_assert_mem_eq(&options, &defaults, sizeof options);
}
END_TEST

START_TEST(older_caller_gets_defaults_for_the_rest)
{
    const first given = {sizeof given, 1};
    present options = defaults;
    ck_assert_ok(read(&given, &options));
    ck_assert_uint_eq(options.size, sizeof options);
    ck_assert_uint_eq(options.a, 1);
    ck_assert_uint_eq(options.b, 20);
}
END_TEST

START_TEST(newer_caller_may_not_ask_for_what_is_unknown)
{
    newer given = {sizeof given, 1, 2, 0};
    present options = defaults;
    ck_assert_ok(read(&given, &options));
    ck_assert_uint_eq(options.size, sizeof options);
    ck_assert_uint_eq(options.b, 2);
    given.c = 1;
    options = defaults;
    ck_assert_fails(read(&given, &options), MLS_EINVAL, "mls_options has a field at byte 24");
    ck_assert_mem_eq(&options, &defaults, sizeof options);
}
END_TEST

START_TEST(sizes_are_checked)
{
    static const size_t wrong[] = {0, 1, sizeof(first) - 1, 65537, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const present given = {wrong[i], 1, 2};
        present options = defaults;
        ck_assert_fails(read(&given, &options), MLS_EINVAL, "_INIT");
        ck_assert_mem_eq(&options, &defaults, sizeof options);
    }
}
END_TEST

START_TEST(writes_what_the_caller_knows)
{
    const present filled = {sizeof filled, 1, 2};
    newer young = {sizeof young, 0, 0, 7};
    first old[2] = {{sizeof(first), 0}, {8, 9}};
    ck_assert_ok(mls__options_write("mls_info", &filled, sizeof(first), sizeof filled, &young));
    ck_assert_mem_eq(&young, (&(newer){sizeof young, 1, 2, 7}), sizeof young);
    ck_assert_ok(mls__options_write("mls_info", &filled, sizeof(first), sizeof filled, old));
    ck_assert_mem_eq(&old[0], (&(first){sizeof(first), 1}), sizeof old[0]);
    ck_assert_mem_eq(&old[1], (&(first){8, 9}), sizeof old[1]);
    old[0].size = 0;
    ck_assert_fails(mls__options_write("mls_info", &filled, sizeof(first), sizeof filled, old),
                    MLS_EINVAL, "mls_info.size is 0");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/options");
    TCase *tests = tcase_create("options");
    tcase_add_test(tests, null_is_the_defaults);
    tcase_add_test(tests, older_caller_gets_defaults_for_the_rest);
    tcase_add_test(tests, newer_caller_may_not_ask_for_what_is_unknown);
    tcase_add_test(tests, sizes_are_checked);
    tcase_add_test(tests, writes_what_the_caller_knows);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
