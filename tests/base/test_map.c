/* SPDX-License-Identifier: Apache-2.0 */
/* The map against a plain list that is searched from the front. */
#include "support/test.h"

#include "base/context.h"
#include "base/error.h"
#include "base/map.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 400, STEPS = 3000 };

typedef struct reference {
    char keys[KEYS][16];
    bool is_set[KEYS];
    size_t values[KEYS];
    size_t count;
} reference;

/* Keys that begin alike and have all lengths, the empty one among them. */
static void name_keys(reference *ref)
{
    ref->keys[0][0] = '\0';
    for (int i = 1; i < KEYS; i++)
        snprintf(ref->keys[i], sizeof ref->keys[i], "%.*s%d", i % 9, "weight_w", i);
}

static void compare(const reference *ref, const mls__map *map)
{
    ck_assert_uint_eq(map->count, ref->count);
    for (int i = 0; i < KEYS; i++) {
        size_t value = 0;
        const bool found = mls__map_get(map, ref->keys[i], strlen(ref->keys[i]), &value);
        ck_assert_int_eq(found, ref->is_set[i]);
        ck_assert_uint_eq(value, ref->is_set[i] ? ref->values[i] : 0);
    }
}

START_TEST(equals_a_list)
{
    static reference ref;
    mls__map map;
    uint64_t random = (uint64_t) _i;
    name_keys(&ref);
    mls__map_init(&map, &mls__allocator_default);
    for (int step = 0; step < STEPS; step++) {
        const size_t k = mls_test_random_below(&random, KEYS);
        const size_t value = (size_t) mls_test_random(&random);
        ck_assert(mls__map_set(&map, ref.keys[k], strlen(ref.keys[k]), value));
        ref.count += !ref.is_set[k];
        ref.is_set[k] = true;
        ref.values[k] = value;
        if (step % 500 == 0)
            compare(&ref, &map);
    }
    compare(&ref, &map);
    mls__map_clear(&map);
}
END_TEST

START_TEST(keys_are_bytes_not_strings)
{
    mls__map map;
    size_t value;
    mls__map_init(&map, &mls__allocator_default);
    ck_assert(!mls__map_get(&map, "a", 1, NULL));
    ck_assert(mls__map_set(&map, "a\0b", 3, 1));
    ck_assert(mls__map_set(&map, "a\0c", 3, 2));
    ck_assert(!mls__map_get(&map, "a", 1, NULL));
    ck_assert(!mls__map_get(&map, "a\0b", 2, NULL));
    ck_assert(mls__map_get(&map, "a\0b", 3, &value) && value == 1);
    ck_assert(mls__map_get(&map, "a\0c", 3, &value) && value == 2);
    mls__map_clear(&map);
    ck_assert(!mls__map_get(&map, "a\0b", 3, NULL));
    ck_assert(mls__map_set(&map, "again", 5, 3));
    mls__map_clear(&map);
}
END_TEST

static mls_status set_many(mls_context *context, void *arg)
{
    const reference *ref = arg;
    mls__map map;
    mls_status status = MLS_OK;
    size_t set = 0;
    mls__map_init(&map, &context->allocator);
    while (!status && set < KEYS) {
        if (mls__map_set(&map, ref->keys[set], strlen(ref->keys[set]), set))
            set++;
        else
            status = mls__error_nomem(0);
    }
    for (size_t i = 0; i < KEYS; i++)
        ck_assert_int_eq(mls__map_get(&map, ref->keys[i], strlen(ref->keys[i]), NULL), i < set);
    mls__map_clear(&map);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    static reference ref;
    name_keys(&ref);
    mls_test_each_allocation(set_many, &ref);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/map");
    TCase *tests = tcase_create("map");
    tcase_add_loop_test(tests, equals_a_list, 0, 3);
    tcase_add_test(tests, keys_are_bytes_not_strings);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
