/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: who waits for one is woken when it comes. */
#include "group/group.h"
#include "support/test.h"

#include <sched.h>

enum { SHARDS = 2, HOUR_MS = 3600000, MINUTE_MS = 60000 };

typedef struct turns {
    mls_group *group;
    mls_work *work; /* behind the call that reduces */
} turns;

static mls_context *the_context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &the_context));
}

static void teardown(void)
{
    mls_context_free(the_context);
}

/* In its turn it sees that another call waits for the next one. */
static void submit(void *user, mls_dtype dtype, const void *left, const void *right,
                   void *ret_result, size_t count)
{
    turns *t = user;
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.timeout_ms = HOUR_MS;
    const int32_t *a = left, *b = right;
    int32_t *result = ret_result;
    ck_assert(dtype == MLS_INT32 && count == 1);
    ck_assert_ok(mls_group_barrier(t->group, &call, &t->work));
    while (!atomic_load(&t->group->turn_waiters))
        sched_yield();
    *result = *a + *b;
}

START_TEST(who_waits_is_woken)
{
    turns t = {.work = NULL};
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    mls_group_call call = MLS_GROUP_CALL_INIT;
    const int64_t dims[] = {SHARDS, 1};
    mls_tensor *source, *target;
    options.shards = SHARDS;
    call.combine = submit;
    call.combine_user = &t;
    ck_assert_ok(mls_group_create(the_context, "inproc:turns", 0, 1, &options, &t.group));
    ck_assert_ok(mls_tensor_create(the_context, MLS_INT32, 2, dims, &source));
    ck_assert_ok(mls_tensor_create(the_context, MLS_INT32, 1, dims + 1, &target));
    ((int32_t *) mls_tensor_data(source))[0] = 3;
    ((int32_t *) mls_tensor_data(source))[1] = 4;
    ck_assert_ok(mls_group_allreduce(t.group, source, target, MLS_REDUCE_USER, &call, NULL));
    ck_assert_int_eq(*(int32_t *) mls_tensor_data(target), 7);
    ck_assert_ok(mls_work_wait(t.work, MINUTE_MS));
    ck_assert_uint_eq(t.group->turn_waiters, 0);
    mls_work_free(t.work);
    mls_tensor_free(target);
    mls_tensor_free(source);
    mls_group_free(t.group);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group/turns");
    TCase *tests = mls_test_case(suite, "turns", setup, teardown);
    tcase_add_test(tests, who_waits_is_woken);
    return mls_test_run(suite);
}
