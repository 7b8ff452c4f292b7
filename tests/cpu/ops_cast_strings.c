/* SPDX-License-Identifier: Apache-2.0 */
/* Casts to strings and from them. */
#include "cpu/cast_test.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#define STRINGS(...) ((mls_string[]){__VA_ARGS__})

START_TEST(floats_to_strings)
{
    const double x[] = {0.0,
                        -0.0,
                        1.0,
                        1e-4,
                        9.9e-5,
                        314.15926,
                        1e15,
                        1e16,
                        1.5e300,
                        5e-324,
                        1.0 / 3,
                        -123456789,
                        NAN,
                        INFINITY,
                        -(double) INFINITY,
                        9999999999999998.0,
                        -1.7976931348623157e308,
                        0.1};
    const mls_string y[] = {OP_STRING("0.0"),
                            OP_STRING("-0.0"),
                            OP_STRING("1.0"),
                            OP_STRING("0.0001"),
                            OP_STRING("9.9e-05"),
                            OP_STRING("314.15926"),
                            OP_STRING("1000000000000000.0"),
                            OP_STRING("1e+16"),
                            OP_STRING("1.5e+300"),
                            OP_STRING("5e-324"),
                            OP_STRING("0.3333333333333333"),
                            OP_STRING("-123456789.0"),
                            OP_STRING("nan"),
                            OP_STRING("inf"),
                            OP_STRING("-inf"),
                            OP_STRING("9999999999999998.0"),
                            OP_STRING("-1.7976931348623157e+308"),
                            OP_STRING("0.1")};
    const float single[] = {0.1f, 16777216.0f, 0.039187793f, 1e-45f, 3.4028235e38f};
    const mls_string single_text[] = {OP_STRING("0.1"), OP_STRING("16777216.0"),
                                      OP_STRING("0.039187793"), OP_STRING("1e-45"),
                                      OP_STRING("3.4028235e+38")};
    const uint16_t half[] = {0x2e66, 0x7bff, 0x0001, 0x3c00};
    const mls_string half_text[] = {OP_STRING("0.1"), OP_STRING("65500.0"), OP_STRING("6e-08"),
                                    OP_STRING("1.0")};
    const uint16_t brain[] = {0x3dcd, 0x4049};
    const mls_string brain_text[] = {OP_STRING("0.1"), OP_STRING("3.14")};
    const uint8_t e4m3[] = {0x7e, 0x7f, 0x30};
    const mls_string e4m3_text[] = {OP_STRING("448.0"), OP_STRING("nan"), OP_STRING("0.5")};
    check_cast(MLS_FLOAT64, MLS_STRING, COUNT(x), x, y);
    check_cast(MLS_FLOAT32, MLS_STRING, COUNT(single), single, single_text);
    check_cast(MLS_FLOAT16, MLS_STRING, COUNT(half), half, half_text);
    check_cast(MLS_BFLOAT16, MLS_STRING, COUNT(brain), brain, brain_text);
    check_cast(MLS_FLOAT8E4M3FN, MLS_STRING, COUNT(e4m3), e4m3, e4m3_text);
}
END_TEST

START_TEST(integers_to_strings)
{
    check_cast(MLS_INT64, MLS_STRING, 3, ((int64_t[]){INT64_MIN, 0, 42}),
               STRINGS(OP_STRING("-9223372036854775808"), OP_STRING("0"), OP_STRING("42")));
    check_cast(MLS_UINT64, MLS_STRING, 1, ((uint64_t[]){UINT64_MAX}),
               STRINGS(OP_STRING("18446744073709551615")));
    check_cast(MLS_INT4, MLS_STRING, 1, ((int8_t[]){-8}), STRINGS(OP_STRING("-8")));
    check_cast(MLS_BOOL, MLS_STRING, 2, ((uint8_t[]){1, 0}),
               STRINGS(OP_STRING("True"), OP_STRING("False")));
    check_cast(MLS_STRING, MLS_STRING, 2, STRINGS(OP_STRING("a"), OP_STRING("")),
               STRINGS(OP_STRING("a"), OP_STRING("")));
}
END_TEST

/* The shortest text gives the number again. */
START_TEST(floats_survive_as_strings)
{
    uint64_t x[N];
    for (size_t t = 0; t < 4; t++) {
        op_fill(numbers[t], x, N, t + 11);
        op_test *written = cast_test(numbers[t], MLS_STRING, N, x);
        ck_assert_ok(op_test_run(written));
        check_cast(MLS_STRING, numbers[t], N, op_test_data(written, 0), x);
        op_test_free(written);
    }
}
END_TEST

START_TEST(strings_to_numbers)
{
    const mls_string x[] = {OP_STRING("1.5"),  OP_STRING(" -12\t"), OP_STRING("1E8"),
                            OP_STRING("+.5"),  OP_STRING("5."),     OP_STRING("1e-5"),
                            OP_STRING("TRUE"), OP_STRING("0")};
    check_cast(MLS_STRING, MLS_FLOAT32, 8, x, ((float[]){1.5f, -12, 1e8f, .5f, 5, 1e-5f, 1, 0}));
    check_cast(MLS_STRING, MLS_FLOAT64, 8, x, ((double[]){1.5, -12, 1e8, .5, 5, 1e-5, 1, 0}));
    check_cast(MLS_STRING, MLS_INT32, 8, x, ((int32_t[]){1, -12, 100000000, 0, 5, 0, 1, 0}));
    check_cast(MLS_STRING, MLS_BOOL, 8, x, ((uint8_t[]){1, 1, 1, 1, 1, 1, 1, 0}));
    const mls_string special[] = {OP_STRING("NaN"), OP_STRING("INF"), OP_STRING("+inf"),
                                  OP_STRING("-Infinity"), OP_STRING("1e999")};
    const float inf = INFINITY;
    check_cast(MLS_STRING, MLS_FLOAT32, 5, special, ((float[]){NAN, inf, inf, -inf, inf}));
    const mls_string wide[] = {OP_STRING("9223372036854775807"), OP_STRING("-9223372036854775808"),
                               OP_STRING("300")};
    check_cast(MLS_STRING, MLS_INT64, 3, wide, ((int64_t[]){INT64_MAX, INT64_MIN, 300}));
    check_cast(MLS_STRING, MLS_UINT8, 3, wide, ((uint8_t[]){255, 0, 44}));
}
END_TEST

static void check_no_number(const char *text, size_t size, mls_dtype to)
{
    const mls_string x[] = {OP_STRING("1"), {text, size}};
    op_test *test = cast_test(MLS_STRING, to, 2, x);
    ck_assert_fails(op_test_run(test), MLS_EFORMAT, "element 1, '");
    op_test_free(test);
}

START_TEST(other_strings_are_errors)
{
    static const char *const texts[] = {"",  " ", "abc", "1.2.3", "0x10", "1_0",    "1e",
                                        "-", ".", "e5",  "+true", "1 2",  "nan(1)", "--1"};
    char zeros[2000];
    memset(zeros, '0', sizeof zeros);
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_no_number(texts[i], strlen(texts[i]), MLS_FLOAT32);
        check_no_number(texts[i], strlen(texts[i]), MLS_INT64);
    }
    check_no_number("1\0002", 3, MLS_FLOAT32);
    check_no_number("18446744073709551616", 20, MLS_UINT64);
    check_no_number("-9223372036854775809", 20, MLS_INT64);
    check_no_number(zeros, sizeof zeros, MLS_FLOAT64);
}
END_TEST

START_TEST(the_host_may_have_any_locale)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
    size_t i = 0;
    while (i < COUNT(locales) && !setlocale(LC_NUMERIC, locales[i]))
        i++;
    check_cast(MLS_FLOAT32, MLS_STRING, 1, ((float[]){1.5f}), STRINGS(OP_STRING("1.5")));
    check_cast(MLS_STRING, MLS_FLOAT32, 1, STRINGS(OP_STRING("1.5")), ((float[]){1.5f}));
    setlocale(LC_NUMERIC, "C");
}
END_TEST

void add_cast_strings(TCase *tests)
{
    tcase_add_test(tests, floats_to_strings);
    tcase_add_test(tests, integers_to_strings);
    tcase_add_test(tests, floats_survive_as_strings);
    tcase_add_test(tests, strings_to_numbers);
    tcase_add_test(tests, other_strings_are_errors);
    tcase_add_test(tests, the_host_may_have_any_locale);
}
