/* SPDX-License-Identifier: Apache-2.0 */
/* What the command does to many jobs: each once, and several together. */
#include "support/test.h"
#include "tools/mlscale/at_once.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { COUNT = 100000, TOGETHER = 4, MINUTE_S = 60, ODD_CODE = 7 };

static uint64_t *make_ids(size_t count)
{
    uint64_t *ids = calloc(count, sizeof *ids);
    ck_assert_ptr_nonnull(ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = i;
    return ids;
}

static int note(void *user, uint64_t id)
{
    atomic_uchar *seen = user;
    atomic_fetch_add(&seen[id], 1);
    return 0;
}

START_TEST(each_is_visited_once)
{
    uint64_t *ids = make_ids(COUNT);
    atomic_uchar *seen = calloc(COUNT, sizeof *seen);
    ck_assert_ptr_nonnull(seen);
    ck_assert_int_eq(at_once(ids, 0, note, seen), 0);
    ck_assert_int_eq(at_once(ids, COUNT, note, seen), 0);
    for (size_t i = 0; i < COUNT; i++)
        mls_test_expect(atomic_load(&seen[i]) == 1, "%zu: %d times", i, atomic_load(&seen[i]));
    ck_assert_int_eq(at_once(ids, 1, note, seen), 0);
    ck_assert_int_eq(atomic_load(&seen[0]), 2);
    free(seen);
    free(ids);
}
END_TEST

typedef struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int arrived;
} meeting;

/* Nobody leaves before all have come. */
static int meet(void *user, uint64_t id)
{
    meeting *m = user;
    struct timespec until;
    int late = 0;
    (void) id;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += MINUTE_S;
    pthread_mutex_lock(&m->mutex);
    m->arrived++;
    pthread_cond_broadcast(&m->changed);
    while (m->arrived < TOGETHER && !late)
        late = pthread_cond_timedwait(&m->changed, &m->mutex, &until);
    pthread_mutex_unlock(&m->mutex);
    return late;
}

START_TEST(several_are_visited_together)
{
    meeting m = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    uint64_t *ids = make_ids(TOGETHER);
    ck_assert_int_eq(at_once(ids, TOGETHER, meet, &m), 0);
    free(ids);
}
END_TEST

static int refuse_last(void *user, uint64_t id)
{
    (void) user;
    return id == COUNT - 1 ? ODD_CODE : 0;
}

START_TEST(a_failure_is_told)
{
    uint64_t *ids = make_ids(COUNT);
    ck_assert_int_eq(at_once(ids, COUNT, refuse_last, NULL), ODD_CODE);
    free(ids);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tool/at_once");
    TCase *tests = mls_test_case(suite, "at_once", NULL, NULL);
    tcase_add_test(tests, each_is_visited_once);
    tcase_add_test(tests, several_are_visited_together);
    tcase_add_test(tests, a_failure_is_told);
    return mls_test_run(suite);
}
