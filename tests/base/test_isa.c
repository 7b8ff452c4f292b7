/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction set is chosen: the option, else MLS_ISA, else the best there is. */
#include "support/test.h"

#include "base/isa.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"portable",   "avx2",       "avx2vnni", "avx512",
                                    "avx512vnni", "avx512bf16", "amx",      "neon"};

static const char *select_or_fail(const char *name)
{
    const char *isa = NULL;
    ck_assert_ok(mls__isa_select(name, &isa));
    return isa;
}

START_TEST(portable_is_always_there)
{
    ck_assert(mls__isa_is_supported("portable"));
    ck_assert(!mls__isa_is_supported("sse2"));
    ck_assert_str_eq(select_or_fail("portable"), "portable");
}
END_TEST

START_TEST(default_is_the_best_there_is)
{
    const char *best = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mls__isa_is_supported(names[i]))
            best = names[i];
    unsetenv("MLS_ISA");
    ck_assert_str_eq(select_or_fail(NULL), best);
    setenv("MLS_ISA", "", 1);
    ck_assert_str_eq(select_or_fail(NULL), best);
}
END_TEST

START_TEST(environment_decides_unless_the_host_does)
{
    setenv("MLS_ISA", "portable", 1);
    ck_assert_str_eq(select_or_fail(NULL), "portable");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mls__isa_is_supported(names[i]))
            ck_assert_str_eq(select_or_fail(names[i]), names[i]);
}
END_TEST

START_TEST(names_are_checked)
{
    const char *isa = "untouched";
    ck_assert_fails(mls__isa_select("avx9", &isa), MLS_EINVAL, "this machine has: portable");
    ck_assert_fails(mls__isa_select("AVX2", &isa), MLS_EINVAL, "'AVX2'");
    setenv("MLS_ISA", "fast", 1);
    ck_assert_fails(mls__isa_select(NULL, &isa), MLS_EINVAL, "MLS_ISA");
    ck_assert_str_eq(isa, "untouched");
}
END_TEST

START_TEST(set_that_the_machine_lacks)
{
    const char *isa = "untouched";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mls__isa_is_supported(names[i]))
            continue;
        /* Of this architecture, but not of this machine; or of another one. */
        const mls_status status = mls__isa_select(names[i], &isa);
        ck_assert(status == MLS_EUNSUPPORTED || status == MLS_EINVAL);
        ck_assert_ptr_nonnull(strstr(mls_error_message(), "portable"));
    }
    ck_assert_str_eq(isa, "untouched");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/isa");
    TCase *tests = tcase_create("isa");
    tcase_add_test(tests, portable_is_always_there);
    tcase_add_test(tests, default_is_the_best_there_is);
    tcase_add_test(tests, environment_decides_unless_the_host_does);
    tcase_add_test(tests, names_are_checked);
    tcase_add_test(tests, set_that_the_machine_lacks);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
