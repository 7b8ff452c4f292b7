/* SPDX-License-Identifier: Apache-2.0 */
/* Sketches: quantiles against those of all values, sorted. */
#include "support/test.h"

#include "base/sketch.h"

#include <stdlib.h>
#include <string.h>

enum { MANY = 3000 };

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static void check(const mls__sketch *sketch, const uint64_t *sorted, size_t count, unsigned percent)
{
    const uint64_t exact = sorted[(count * percent + 99) / 100 - 1];
    const uint64_t got = mls__sketch_quantile(sketch, percent);
    ck_assert_uint_ge(got, exact);
    ck_assert_uint_le(got, exact + exact / 8);
}

START_TEST(quantiles_are_near)
{
    static uint64_t values[MANY];
    mls__sketch all = {.total = 0}, halves[2] = {{.total = 0}, {.total = 0}};
    uint64_t seed = 1;
    for (size_t i = 0; i < MANY; i++) {
        values[i] = UINT64_C(1) << (10 + mls_test_random_below(&seed, 40));
        values[i] += mls_test_random(&seed) % values[i];
        mls__sketch_add(&all, values[i]);
        mls__sketch_add(&halves[i % 2], values[i]);
    }
    mls__sketch_merge(&halves[0], &halves[1]);
    ck_assert_mem_eq(&halves[0], &all, sizeof all);
    qsort(values, MANY, sizeof values[0], compare);
    for (unsigned percent = 1; percent <= 100; percent++)
        check(&all, values, MANY, percent);
    ck_assert_uint_eq(mls__sketch_quantile(&all, 100), values[MANY - 1]);
}
END_TEST

START_TEST(ends_of_the_range_are_kept)
{
    mls__sketch sketch = {.total = 0};
    ck_assert_uint_eq(mls__sketch_quantile(&sketch, 95), 0);
    mls__sketch_add(&sketch, 0);
    ck_assert_uint_eq(mls__sketch_quantile(&sketch, 95), 0);
    mls__sketch_add(&sketch, UINT64_MAX);
    ck_assert_uint_lt(mls__sketch_quantile(&sketch, 50), 1024);
    ck_assert_uint_eq(mls__sketch_quantile(&sketch, 95), UINT64_MAX);
}
END_TEST

START_TEST(what_is_old_fades)
{
    mls__sketch sketch = {.total = 0};
    for (size_t i = 0; i < 10 * MLS__SKETCH_RECENT; i++)
        mls__sketch_add(&sketch, 5000);
    ck_assert_uint_lt(sketch.total, MLS__SKETCH_RECENT);
    for (size_t i = 0; i < 2 * MLS__SKETCH_RECENT; i++)
        mls__sketch_add(&sketch, 70000);
    ck_assert_uint_ge(mls__sketch_quantile(&sketch, 50), 70000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/sketch");
    TCase *tests = tcase_create("sketch");
    tcase_add_test(tests, quantiles_are_near);
    tcase_add_test(tests, ends_of_the_range_are_kept);
    tcase_add_test(tests, what_is_old_fades);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
