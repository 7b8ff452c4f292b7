/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of jobs have every job that the filter lets pass, once, a page at a time. */
#include "conformance/queue/suite.h"

#define JOBS 23

/* All ids, by pages of `page`. */
static size_t list_all(const mls_queue_filter *filter, size_t page, uint64_t *ret_ids)
{
    size_t count = 0, got = page;
    while (got == page) {
        const uint64_t after = count ? ret_ids[count - 1] : 0;
        ck_assert_ok(mls_queue_list(the_queue, filter, after, page, ret_ids + count, &got));
        ck_assert_uint_le(got, page);
        for (size_t i = count; i < count + got; i++)
            ck_assert(ret_ids[i] > (i ? ret_ids[i - 1] : 0));
        count += got;
        ck_assert_uint_le(count, JOBS);
    }
    return count;
}

static bool has(const uint64_t *ids, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

START_TEST(pages_have_every_job_once)
{
    uint64_t made[JOBS], ids[2 * JOBS + 1];
    if (!conformance_can(MLS_QUEUE_CAN_LIST))
        return;
    ck_assert_uint_eq(list_all(NULL, 4, ids), 0);
    /* Of some that are gone too, so that places are used again. */
    for (int i = 0; i < 5; i++) {
        const uint64_t id = fixture_submit_type(the_queue, "gone");
        fixture_complete(the_claimer, id, "");
        ck_assert_ok(mls_queue_forget(the_queue, id));
    }
    for (size_t i = 0; i < JOBS; i++)
        made[i] = fixture_submit_type(the_queue, i % 3 ? "a" : "b");
    for (size_t page = 1; page <= JOBS + 1; page += 5) {
        ck_assert_uint_eq(list_all(NULL, page, ids), JOBS);
        for (size_t i = 0; i < JOBS; i++)
            ck_assert(has(ids, JOBS, made[i]));
    }
    mls_queue_filter filter = MLS_QUEUE_FILTER_INIT;
    filter.type = "b";
    ck_assert_uint_eq(list_all(&filter, 3, ids), (JOBS + 2) / 3);
    for (size_t i = 0; i < JOBS; i += 3)
        ck_assert(has(ids, (JOBS + 2) / 3, made[i]));
    filter.type = "c";
    ck_assert_uint_eq(list_all(&filter, 3, ids), 0);
}
END_TEST

START_TEST(filters_go_by_state_and_queue)
{
    uint64_t ids[JOBS];
    if (!conformance_can(MLS_QUEUE_CAN_LIST | MLS_QUEUE_CAN_NAMED_QUEUES))
        return;
    const uint64_t done = fixture_submit_type(the_queue, "t");
    fixture_complete(the_claimer, done, "good");
    const uint64_t dead = fixture_submit_type(the_queue, "t");
    fixture_fail(the_claimer, dead, MLS_EIO, "bad", MLS_FAIL_FINAL);
    mls_job_options options = fixture_options("t", NULL);
    options.queue = "gpu";
    const uint64_t waits = fixture_submit(the_queue, &options);

    mls_queue_filter filter = MLS_QUEUE_FILTER_INIT;
    filter.states = MLS_QUEUE_STATE(MLS_JOB_DEAD);
    ck_assert_uint_eq(list_all(&filter, 2, ids), 1);
    ck_assert_uint_eq(ids[0], dead);
    filter.states |= MLS_QUEUE_STATE(MLS_JOB_SUCCEEDED);
    ck_assert_uint_eq(list_all(&filter, 2, ids), 2);
    ck_assert(has(ids, 2, done) && has(ids, 2, dead));
    filter.states = 0;
    filter.queue = "gpu";
    ck_assert_uint_eq(list_all(&filter, 2, ids), 1);
    ck_assert_uint_eq(ids[0], waits);
    filter.states = MLS_QUEUE_STATE(MLS_JOB_DEAD);
    ck_assert_uint_eq(list_all(&filter, 2, ids), 0);
    ck_assert_ok(mls_queue_list(the_queue, NULL, UINT64_MAX, JOBS, ids, &(size_t){0}));
}
END_TEST

START_TEST(bad_lists_are_refused)
{
    uint64_t ids[1];
    size_t count = 9;
    mls_queue_filter filter = MLS_QUEUE_FILTER_INIT;
    if (!conformance_can(MLS_QUEUE_CAN_LIST)) {
        ck_assert_fails(mls_queue_list(the_queue, NULL, 0, 1, ids, &count), MLS_EUNSUPPORTED,
                        "listing");
        return;
    }
    ck_assert_fails(mls_queue_list(the_queue, NULL, 0, 0, ids, &count), MLS_EINVAL, "max_count");
    filter.states = MLS_QUEUE_STATE(MLS_JOB_CANCELLED + 1);
    ck_assert_fails(mls_queue_list(the_queue, &filter, 0, 1, ids, &count), MLS_EINVAL, "states");
    filter.states = MLS_QUEUE_STATE(MLS_JOB_DEAD);
    mls_queue_stats stats = MLS_QUEUE_STATS_INIT;
    ck_assert_fails(mls_queue_get_stats(the_queue, &filter, &stats), MLS_EINVAL, "states");
    ck_assert_uint_eq(count, 9);

    /* What was compiled before there were states. */
    filter.size = offsetof(mls_queue_filter, states);
    filter.states = UINT32_MAX;
    ck_assert_ok(mls_queue_get_stats(the_queue, &filter, &stats));
    ck_assert_ok(mls_queue_list(the_queue, &filter, 0, 1, ids, &count));
    ck_assert_uint_eq(count, 0);
}
END_TEST

void conformance_add_listing(TCase *tests)
{
    tcase_add_test(tests, pages_have_every_job_once);
    tcase_add_test(tests, filters_go_by_state_and_queue);
    tcase_add_test(tests, bad_lists_are_refused);
}
