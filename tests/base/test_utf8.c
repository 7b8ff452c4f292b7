/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in another case, and bytes that are no text. */
#include "base/utf8.h"
#include "support/test.h"

#include <string.h>

static void check(mls__text_case which, const char *text, const char *expected)
{
    char memory[64];
    const size_t size = strlen(text);
    ck_assert_uint_le(MLS__CASE_ROOM(size), sizeof memory);
    const size_t written = mls__text_to_case(which, text, size, memory);
    ck_assert_uint_eq(written, strlen(expected));
    ck_assert_mem_eq(memory, expected, written);
}

START_TEST(changes_case)
{
    static const char *const pairs[][2] = {
        {"az09@[`{", "AZ09@[`{"},
        {"\xc3\xa4\xc3\xb6\xc3\xbc", "\xc3\x84\xc3\x96\xc3\x9c"}, /* Latin */
        {"\xc4\x81\xc4\x83", "\xc4\x80\xc4\x82"},                 /* every second one */
        {"\xce\xb1\xcf\x89", "\xce\x91\xce\xa9"},                 /* Greek */
        {"\xd0\xb0\xd1\x8f\xd1\x91", "\xd0\x90\xd0\xaf\xd0\x81"}, /* Cyrillic */
        {"\xe2\xb1\xa5", "\xc8\xba"},                             /* of three bytes and of two */
        {"\xf0\x90\x90\xa8", "\xf0\x90\x90\x80"},                 /* of four */
        {"\xe4\xb8\xad \xf0\x9f\x98\x80", "\xe4\xb8\xad \xf0\x9f\x98\x80"}, /* of no case */
        {"\xc3\x9f", "\xc3\x9f"}, /* whose other case is two characters */
    };
    const char *lower = pairs[_i][0], *upper = pairs[_i][1];
    check(MLS__CASE_UPPER, lower, upper);
    check(MLS__CASE_UPPER, upper, upper);
    check(MLS__CASE_LOWER, upper, lower);
    check(MLS__CASE_LOWER, lower, lower);
    check(MLS__CASE_AS_IS, lower, lower);
    check(MLS__CASE_AS_IS, upper, upper);
}
END_TEST

/* Cut off, overlong, surrogates, past the last character, no first byte. */
START_TEST(leaves_other_bytes)
{
    static const char *const texts[] = {"\xc3",         "\xc3(",
                                        "\xc1\x81",     "\xe0\x83\xa4",
                                        "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\x80",         "\xf8\x88\x80\x80",
                                        "\xe2\xb1"};
    check(MLS__CASE_UPPER, texts[_i], texts[_i]);
    check(MLS__CASE_LOWER, texts[_i], texts[_i]);
}
END_TEST

START_TEST(goes_on_after_other_bytes)
{
    check(MLS__CASE_UPPER, "a\xffz\xc3", "A\xffZ\xc3");
    check(MLS__CASE_LOWER, "", "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/utf8");
    TCase *tests = tcase_create("utf8");
    tcase_add_loop_test(tests, changes_case, 0, 9);
    tcase_add_loop_test(tests, leaves_other_bytes, 0, 9);
    tcase_add_test(tests, goes_on_after_other_bytes);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
