/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-1-3 gives what CPython 3.11 gives for bytes under PYTHONHASHSEED=0. */
#include "support/test.h"

#include "base/hash.h"

#include <string.h>

START_TEST(hash_equals_another_implementation)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } cases[] = {
        {"a", UINT64_C(0x407448d2b89b1813)},
        {"abc", UINT64_C(0xc03bc3a0042630f2)},
        {"abcdefgh", UINT64_C(0x3f7b849c0b8e35ea)},
        {"job types and keys come from users", UINT64_C(0x8dd2f6389a0ffaf0)},
    };
    const uint64_t seed[2] = {0, 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_uint_eq(mls__hash_bytes(seed, cases[i].text, strlen(cases[i].text)),
                          cases[i].hash);
}
END_TEST

START_TEST(seeds_differ)
{
    uint64_t a[2], b[2];
    mls__hash_seed(a, a);
    mls__hash_seed(b, b);
    ck_assert(a[0] != b[0] || a[1] != b[1]);
    ck_assert_uint_ne(mls__hash_bytes(a, "abc", 3), mls__hash_bytes(b, "abc", 3));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/hash");
    TCase *tests = tcase_create("hash");
    tcase_add_test(tests, hash_equals_another_implementation);
    tcase_add_test(tests, seeds_differ);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
