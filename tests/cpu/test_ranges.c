/* SPDX-License-Identifier: Apache-2.0 */
/* How work is cut for threads: nothing twice, nothing left out, and enough parts to share. */
#include "support/test.h"

#include "backend/cpu/ops/ranges.h"
#include "base/alloc.h"
#include "base/executor.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { COUNT_MOST = 3000, RANGES_MOST = 64 };

typedef mls_status (*cut_fn)(const mls_kernel_call *call, uint32_t threads, int64_t count,
                             int64_t grain, mls__cpu_range_fn fn, void *arg);

typedef struct seen {
    int times[COUNT_MOST];
    int64_t begins[RANGES_MOST], ends[RANGES_MOST];
    int ranges;
    int64_t fails_from; /* ranges that begin here or later fail */
} seen;

static mls_status see(void *arg, int64_t begin, int64_t end)
{
    seen *s = arg;
    ck_assert_int_lt(s->ranges, RANGES_MOST);
    s->begins[s->ranges] = begin;
    s->ends[s->ranges++] = end;
    for (int64_t i = begin; i < end; i++)
        s->times[i]++;
    return begin < s->fails_from ? MLS_OK : begin == s->fails_from ? MLS_ERANGE : MLS_EINVAL;
}

/* From the last to the first: no range may count on those before it. */
static void backwards(void *executor, size_t count, mls_task_fn task, void *arg)
{
    (void) executor;
    while (count--)
        task(arg, count);
}

static seen cut(cut_fn fn, uint32_t threads, int64_t count, int64_t grain)
{
    const mls_kernel_call call = {.parallel_for = backwards};
    seen s = {.fails_from = INT64_MAX};
    ck_assert_ok(fn(&call, threads, count, grain, see, &s));
    int64_t once = 0;
    for (int64_t i = 0; i < count; i++)
        once += s.times[i] == 1;
    ck_assert_int_eq(once, count);
    return s;
}

START_TEST(each_once_and_none_too_small)
{
    static const cut_fn fns[] = {mls__cpu_ranges, mls__cpu_row_ranges};
    static const int64_t grains[] = {1, 3, 64, 1000};
    for (size_t f = 0; f < 2; f++)
        for (uint32_t threads = 1; threads <= 4; threads++)
            for (int64_t count = 1; count < COUNT_MOST; count += count / 3 + 1)
                for (size_t g = 0; g < sizeof grains / sizeof grains[0]; g++) {
                    const seen s = cut(fns[f], threads, count, grains[g]);
                    for (int i = 0; i < s.ranges && s.ranges > 1; i++)
                        ck_assert(s.ends[i] == count || s.ends[i] - s.begins[i] >= grains[g]);
                }
}
END_TEST

START_TEST(elements_are_cut_between_cache_lines)
{
    const seen s = cut(mls__cpu_ranges, 3, 1000, 10);
    ck_assert_int_gt(s.ranges, 1);
    for (int i = 0; i < s.ranges; i++)
        ck_assert_int_eq(s.begins[i] % MLS__ALIGN, 0);
}
END_TEST

START_TEST(few_rows_are_shared_too)
{
    ck_assert_int_ge(cut(mls__cpu_row_ranges, 2, 2, 1).ranges, 2);
    ck_assert_int_ge(cut(mls__cpu_row_ranges, 4, 16, 2).ranges, 4);
    ck_assert_int_eq(cut(mls__cpu_row_ranges, 4, 16, 9).ranges, 1);
    ck_assert_int_eq(cut(mls__cpu_row_ranges, 1, 16, 1).ranges, 1);
}
END_TEST

START_TEST(first_failure_is_told)
{
    static const cut_fn fns[] = {mls__cpu_ranges, mls__cpu_row_ranges};
    const mls_kernel_call call = {.parallel_for = backwards};
    for (size_t f = 0; f < 2; f++) {
        seen s = {.fails_from = INT64_MAX};
        ck_assert_ok(fns[f](&call, 2, 256, 1, see, &s));
        s = (seen){.fails_from = s.begins[s.ranges - 2]};
        ck_assert_int_eq(fns[f](&call, 2, 256, 1, see, &s), MLS_ERANGE);
    }
}
END_TEST

/* --- tasks ----------------------------------------------------------------------------------- */

enum { SLOTS = 40 };

typedef struct tasks {
    int64_t count, step;
    uint32_t threads;
    atomic_int times[COUNT_MOST];
    atomic_bool is_busy[SLOTS];
    atomic_int takes, wrong;
} tasks;

static bool is_sound(const tasks *t, const mls__cpu_take *take)
{
    return take->slot < t->threads && take->first <= take->begin && take->begin < take->end &&
           take->end <= take->last && take->first % t->step == 0 && take->last % t->step == 0;
}

static void do_tasks(void *arg, const mls__cpu_take *take)
{
    tasks *t = arg;
    if (!is_sound(t, take) || atomic_exchange(&t->is_busy[take->slot], true)) {
        atomic_fetch_add(&t->wrong, 1);
        return;
    }
    for (int64_t i = take->begin; i < take->end; i++)
        atomic_fetch_add(&t->times[i], 1);
    atomic_fetch_add(&t->takes, 1);
    atomic_store(&t->is_busy[take->slot], false);
}

static int share_tasks(const mls_kernel_call *call, uint32_t threads, int64_t count, int64_t step)
{
    tasks *t = calloc(1, sizeof *t);
    *t = (tasks){.count = count, .step = step, .threads = threads};
    mls__cpu_tasks(call, threads, count, step, do_tasks, t);
    for (int64_t i = 0; i < COUNT_MOST; i++)
        t->wrong += t->times[i] != (i < count);
    ck_assert_int_eq(t->wrong, 0);
    const int takes = t->takes;
    free(t);
    return takes;
}

static void share_all(const mls_kernel_call *call, uint32_t threads)
{
    static const int64_t counts[] = {1, 2, 3, 7, 16, 64, 1000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        share_tasks(call, threads, counts[c], 1);
        share_tasks(call, threads, counts[c], counts[c]);
        share_tasks(call, threads, 3 * counts[c], 3);
    }
}

START_TEST(each_task_once_in_a_slot_of_its_own)
{
    const mls_kernel_call call = {.parallel_for = backwards};
    for (uint32_t threads = 1; threads <= SLOTS; threads++)
        share_all(&call, threads);
}
END_TEST

START_TEST(threads_share_tasks)
{
    for (uint32_t threads = 2; threads <= 5; threads++) {
        mls__executor *executor;
        ck_assert_ok(mls__executor_create(&mls__allocator_default, NULL, NULL, 20, &executor));
        ck_assert_ok(mls__executor_reserve(executor, threads));
        mls__executor_share share = {executor, threads};
        const mls_kernel_call call = {.parallel_for = mls__executor_parallel_for,
                                      .executor = &share};
        for (int round = 0; round < 20; round++)
            share_all(&call, threads);
        mls__executor_free(executor);
    }
}
END_TEST

/* A thread that comes late finds most of its region still there, and none waits for its end. */
START_TEST(tasks_are_taken_a_few_at_a_time)
{
    const mls_kernel_call call = {.parallel_for = backwards};
    ck_assert_int_eq(share_tasks(&call, 1, 64, 1), 1);
    ck_assert_int_ge(share_tasks(&call, 2, 64, 1), 16);
    ck_assert_int_le(share_tasks(&call, 2, 64, 1), 32);
    ck_assert_int_eq(share_tasks(&call, 2, 2, 1), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ranges");
    TCase *tests = tcase_create("ranges");
    tcase_add_test(tests, each_once_and_none_too_small);
    tcase_add_test(tests, elements_are_cut_between_cache_lines);
    tcase_add_test(tests, few_rows_are_shared_too);
    tcase_add_test(tests, first_failure_is_told);
    tcase_add_test(tests, each_task_once_in_a_slot_of_its_own);
    tcase_add_test(tests, threads_share_tasks);
    tcase_add_test(tests, tasks_are_taken_a_few_at_a_time);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
