/* SPDX-License-Identifier: Apache-2.0 */
/* The table of states, and what follows a failure. */
#include "support/test.h"

#include "job/lifecycle.h"

#include <string.h>

/* Every move there is; all others are refused. Written out by event, the table is by state. */
static const struct {
    int32_t event, from, to;
} moves[] = {
    {MLS_JOB_ON_DUE, MLS_JOB_SCHEDULED, MLS_JOB_READY},
    {MLS_JOB_ON_UNBLOCK, MLS_JOB_BLOCKED, MLS_JOB_READY},
    {MLS_JOB_ON_DEFER, MLS_JOB_BLOCKED, MLS_JOB_SCHEDULED},
    {MLS_JOB_ON_CLAIM, MLS_JOB_READY, MLS_JOB_RUNNING},
    {MLS_JOB_ON_SUCCEED, MLS_JOB_RUNNING, MLS_JOB_SUCCEEDED},
    {MLS_JOB_ON_SUCCEED, MLS_JOB_STOPPING, MLS_JOB_SUCCEEDED},
    {MLS_JOB_ON_RETRY, MLS_JOB_RUNNING, MLS_JOB_SCHEDULED},
    {MLS_JOB_ON_RETRY, MLS_JOB_STOPPING, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_BURY, MLS_JOB_RUNNING, MLS_JOB_DEAD},
    {MLS_JOB_ON_BURY, MLS_JOB_STOPPING, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_RELEASE, MLS_JOB_RUNNING, MLS_JOB_READY},
    {MLS_JOB_ON_RELEASE, MLS_JOB_STOPPING, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_ESCALATE, MLS_JOB_RUNNING, MLS_JOB_READY},
    {MLS_JOB_ON_ESCALATE, MLS_JOB_STOPPING, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_LOSE, MLS_JOB_RUNNING, MLS_JOB_READY},
    {MLS_JOB_ON_LOSE, MLS_JOB_STOPPING, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_POISON, MLS_JOB_RUNNING, MLS_JOB_DEAD},
    {MLS_JOB_ON_POISON, MLS_JOB_STOPPING, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_CANCEL, MLS_JOB_SCHEDULED, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_CANCEL, MLS_JOB_BLOCKED, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_CANCEL, MLS_JOB_READY, MLS_JOB_CANCELLED},
    {MLS_JOB_ON_CANCEL, MLS_JOB_RUNNING, MLS_JOB_STOPPING},
    {MLS_JOB_ON_CANCEL, MLS_JOB_STOPPING, MLS_JOB_STOPPING},
    {MLS_JOB_ON_EXPIRE, MLS_JOB_SCHEDULED, MLS_JOB_DEAD},
    {MLS_JOB_ON_EXPIRE, MLS_JOB_BLOCKED, MLS_JOB_DEAD},
    {MLS_JOB_ON_EXPIRE, MLS_JOB_READY, MLS_JOB_DEAD},
    {MLS_JOB_ON_REQUEUE, MLS_JOB_DEAD, MLS_JOB_READY},
    {MLS_JOB_ON_REQUEUE, MLS_JOB_CANCELLED, MLS_JOB_READY},
    {MLS_JOB_ON_FORGET, MLS_JOB_SUCCEEDED, MLS_JOB_GONE},
    {MLS_JOB_ON_FORGET, MLS_JOB_DEAD, MLS_JOB_GONE},
    {MLS_JOB_ON_FORGET, MLS_JOB_CANCELLED, MLS_JOB_GONE},
};

static int32_t expected(int32_t from, int32_t event)
{
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++)
        if (moves[i].from == from && moves[i].event == event)
            return moves[i].to;
    return MLS_JOB_REFUSED;
}

START_TEST(only_listed_moves_happen)
{
    for (int32_t state = -1; state <= MLS_JOB_GONE + 1; state++)
        for (int32_t event = -1; event <= MLS_JOB_EVENTS + 1; event++)
            ck_assert_int_eq(mls__job_next_state(state, event), expected(state, event));
}
END_TEST

START_TEST(ended_states_are_three)
{
    for (int32_t state = 0; state <= MLS_JOB_CANCELLED; state++)
        ck_assert_int_eq(mls__job_has_ended(state), state == MLS_JOB_SUCCEEDED ||
                                                        state == MLS_JOB_DEAD ||
                                                        state == MLS_JOB_CANCELLED);
}
END_TEST

START_TEST(only_ended_parents_move_children)
{
    for (int32_t state = 0; state <= MLS_JOB_CANCELLED; state++) {
        const bool has_ended = mls__job_has_ended(state), is_good = state == MLS_JOB_SUCCEEDED;
        ck_assert_int_eq(mls__job_after_parent(state, 0), !has_ended ? MLS_JOB_REFUSED
                                                          : is_good  ? MLS_JOB_ON_UNBLOCK
                                                                     : MLS_JOB_ON_CANCEL);
        ck_assert_int_eq(mls__job_after_parent(state, MLS_JOB_JOIN | MLS_JOB_DEPENDS_ANY_END),
                         has_ended ? MLS_JOB_ON_UNBLOCK : MLS_JOB_REFUSED);
    }
}
END_TEST

START_TEST(states_have_names)
{
    ck_assert_str_eq(mls_job_state_name(MLS_JOB_SCHEDULED), "scheduled");
    ck_assert_str_eq(mls_job_state_name(MLS_JOB_STOPPING), "stopping");
    ck_assert_str_eq(mls_job_state_name(MLS_JOB_CANCELLED), "cancelled");
    ck_assert_str_eq(mls_job_state_name(0), "?");
    ck_assert_str_eq(mls_job_state_name(-5), "?");
    ck_assert_str_eq(mls_job_state_name(MLS_JOB_CANCELLED + 1), "?");
}
END_TEST

static mls_job_info attempt_of(uint32_t attempt, uint32_t most)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    info.id = 77;
    info.attempt = attempt;
    info.max_attempts = most;
    info.backoff_ms = 1000;
    info.backoff_max_ms = 3600000;
    return info;
}

START_TEST(spent_or_final_is_buried)
{
    int64_t delay_ms = -1;
    mls_job_info info = attempt_of(3, 3);
    ck_assert_int_eq(mls__job_after_failure(&info, false, 0, 1, &delay_ms), MLS_JOB_ON_BURY);
    info = attempt_of(1, 3);
    ck_assert_int_eq(mls__job_after_failure(&info, true, 0, 1, &delay_ms), MLS_JOB_ON_BURY);
    ck_assert_int_eq(delay_ms, -1);
}
END_TEST

START_TEST(pauses_double_up_to_the_most)
{
    for (uint32_t attempt = 1; attempt < 200; attempt++) {
        int64_t delay_ms = -1;
        const mls_job_info info = attempt_of(attempt, 1000);
        ck_assert_int_eq(mls__job_after_failure(&info, false, 0, 1, &delay_ms), MLS_JOB_ON_RETRY);
        const int64_t doubled = attempt < 13 ? INT64_C(1000) << (attempt - 1) : 3600000;
        ck_assert_int_eq(delay_ms, doubled < 3600000 ? doubled : 3600000);
    }
}
END_TEST

START_TEST(extreme_pauses_do_not_overflow)
{
    int64_t delay_ms = -1;
    mls_job_info info = attempt_of(1000000, 1000001);
    info.backoff_ms = info.backoff_max_ms = UINT32_MAX;
    info.jitter_percent = 100;
    ck_assert_int_eq(mls__job_after_failure(&info, false, 0, 1, &delay_ms), MLS_JOB_ON_RETRY);
    ck_assert(delay_ms >= 0 && delay_ms <= UINT32_MAX);
    info.backoff_ms = 0;
    ck_assert_int_eq(mls__job_after_failure(&info, false, 0, 1, &delay_ms), MLS_JOB_ON_RETRY);
    ck_assert_int_eq(delay_ms, 0);
    info.backoff_ms = 5000;
    info.backoff_max_ms = 10;
    info.jitter_percent = 0;
    ck_assert_int_eq(mls__job_after_failure(&info, false, 0, 1, &delay_ms), MLS_JOB_ON_RETRY);
    ck_assert_int_eq(delay_ms, 10);
}
END_TEST

/* Over many jobs the drawn part spreads over all of its range, and over no more. */
static void check_spread(uint32_t percent)
{
    int64_t least = INT64_MAX, most = INT64_MIN, sum = 0;
    for (uint64_t id = 1; id <= 2000; id++) {
        mls_job_info info = attempt_of(1, 2);
        info.id = id;
        info.jitter_percent = percent;
        int64_t delay_ms;
        mls__job_after_failure(&info, false, 0, 42, &delay_ms);
        least = delay_ms < least ? delay_ms : least;
        most = delay_ms > most ? delay_ms : most;
        sum += delay_ms;
    }
    const int64_t floor_ms = 1000 - 10 * (int64_t) percent;
    ck_assert_int_ge(least, floor_ms);
    ck_assert_int_le(least, floor_ms + 10);
    ck_assert_int_le(most, 1000);
    ck_assert_int_ge(most, 990);
    const int64_t mean = (floor_ms + 1000) / 2;
    ck_assert(sum / 2000 > mean - 30 && sum / 2000 < mean + 30);
}

START_TEST(jitter_spreads_the_last_part)
{
    check_spread(100);
    check_spread(50);
    check_spread(10);
}
END_TEST

START_TEST(jitter_repeats_for_its_seed)
{
    mls_job_info info = attempt_of(2, 9);
    info.jitter_percent = 100;
    info.backoff_ms = 1000000;
    int64_t first, again, other;
    mls__job_after_failure(&info, false, 0, 5, &first);
    mls__job_after_failure(&info, false, 0, 5, &again);
    mls__job_after_failure(&info, false, 0, 6, &other);
    ck_assert_int_eq(first, again);
    ck_assert_int_ne(first, other);
}
END_TEST

START_TEST(no_attempt_past_the_deadline)
{
    int64_t delay_ms = -1;
    mls_job_info info = attempt_of(1, 3);
    info.deadline_ms = 100000;
    ck_assert_int_eq(mls__job_after_failure(&info, false, 98999, 1, &delay_ms), MLS_JOB_ON_RETRY);
    ck_assert_int_eq(mls__job_after_failure(&info, false, 99000, 1, &delay_ms), MLS_JOB_ON_BURY);
    ck_assert_int_eq(mls__job_after_failure(&info, false, 200000, 1, &delay_ms), MLS_JOB_ON_BURY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/lifecycle");
    TCase *tests = tcase_create("lifecycle");
    tcase_add_test(tests, only_listed_moves_happen);
    tcase_add_test(tests, ended_states_are_three);
    tcase_add_test(tests, only_ended_parents_move_children);
    tcase_add_test(tests, states_have_names);
    tcase_add_test(tests, spent_or_final_is_buried);
    tcase_add_test(tests, pauses_double_up_to_the_most);
    tcase_add_test(tests, extreme_pauses_do_not_overflow);
    tcase_add_test(tests, jitter_spreads_the_last_part);
    tcase_add_test(tests, jitter_repeats_for_its_seed);
    tcase_add_test(tests, no_attempt_past_the_deadline);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
