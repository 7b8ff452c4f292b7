/* SPDX-License-Identifier: Apache-2.0 */
/* Which of two ways is sooner, by a clock of the test's. */
#include "group/choice.h"
#include "support/test.h"

enum { STEPS = 20, SLOW = 1000, FAST = 500 };

typedef struct costs {
    uint64_t first_ns, second_ns; /* of a step that goes that way */
    size_t odd_step;              /* that takes odd_ns; STEPS: none does */
    uint64_t odd_ns;
} costs;

static const costs first_is_sooner = {FAST, SLOW, STEPS, 0};
static const costs second_is_sooner = {SLOW, FAST, STEPS, 0};

/* A call, and one step of another length behind it. Gives how many steps went the second way. */
static size_t run(mls__choice *choice, size_t steps, costs c)
{
    static uint64_t now = 12345;
    size_t seconds = 0;
    mls__choice_begin(choice, steps, now);
    for (size_t step = 0; step <= steps; step++) {
        const bool is_second = mls__choice_is_second(choice, step);
        seconds += is_second && step < steps;
        now += step == c.odd_step || step == steps ? c.odd_ns
               : is_second                         ? c.second_ns
                                                   : c.first_ns;
        mls__choice_note(choice, step, now);
    }
    mls__choice_end(choice);
    return seconds;
}

START_TEST(what_is_sooner_is_chosen)
{
    mls__choice choice = {.calls = 0};
    ck_assert_uint_eq(run(&choice, STEPS, second_is_sooner), STEPS / 2);
    ck_assert_uint_eq(run(&choice, STEPS, second_is_sooner), STEPS / 2);
    for (int call = MLS__CHOICE_TRIALS; call < MLS__CHOICE_PERIOD; call++)
        ck_assert_uint_eq(run(&choice, STEPS, second_is_sooner), STEPS);
    for (int call = 0; call < 3 * MLS__CHOICE_PERIOD; call++)
        ck_assert_uint_ge(run(&choice, STEPS, second_is_sooner), STEPS / 2);
    ck_assert(choice.is_second);
}
END_TEST

START_TEST(the_first_way_stays_where_it_is_sooner)
{
    mls__choice choice = {.calls = 0};
    size_t seconds = 0;
    for (int call = 0; call < 2 * MLS__CHOICE_PERIOD; call++)
        seconds += run(&choice, STEPS, first_is_sooner);
    ck_assert_uint_eq(seconds, 2 * MLS__CHOICE_TRIALS * STEPS / 2);
    ck_assert(!choice.is_second);
}
END_TEST

START_TEST(a_change_is_found)
{
    mls__choice choice = {.calls = 0};
    for (int call = 0; call < MLS__CHOICE_PERIOD; call++)
        run(&choice, STEPS, second_is_sooner);
    ck_assert(choice.is_second);
    for (int call = 0; call < MLS__CHOICE_PERIOD; call++)
        run(&choice, STEPS, first_is_sooner);
    ck_assert(!choice.is_second);
}
END_TEST

START_TEST(little_and_odd_differences_are_none)
{
    mls__choice choice = {.calls = 0};
    for (int call = 0; call < 2 * MLS__CHOICE_PERIOD; call++) {
        run(&choice, STEPS, (costs){SLOW, SLOW - SLOW / 10, STEPS, 0});
        ck_assert(!choice.is_second);
    }
    /* Somebody else had the core in a step of the first half. */
    for (int call = 0; call < 2 * MLS__CHOICE_PERIOD; call++) {
        run(&choice, STEPS, (costs){SLOW, SLOW, STEPS / 2 - 1, 100 * SLOW});
        ck_assert(!choice.is_second);
    }
}
END_TEST

START_TEST(one_trial_alone_decides_nothing)
{
    mls__choice choice = {.calls = 0};
    for (int call = 0; call < 4 * MLS__CHOICE_PERIOD; call++) {
        const bool is_odd = call % MLS__CHOICE_PERIOD == 0;
        run(&choice, STEPS, is_odd ? second_is_sooner : first_is_sooner);
        ck_assert(!choice.is_second);
    }
}
END_TEST

/* What goes another way than the step before still reads what that has left. */
START_TEST(steps_behind_a_change_do_not_count)
{
    for (size_t behind = 0; behind < 2; behind++) {
        mls__choice choice = {.calls = 0};
        for (int call = 0; call < MLS__CHOICE_PERIOD; call++)
            run(&choice, STEPS, (costs){SLOW, SLOW, STEPS / 2 + behind, 1});
        ck_assert(!choice.is_second);
    }
}
END_TEST

START_TEST(short_calls_are_no_trials)
{
    mls__choice choice = {.calls = 0};
    for (int call = 0; call < MLS__CHOICE_PERIOD + MLS__CHOICE_TRIALS; call++)
        ck_assert_uint_eq(run(&choice, MLS__CHOICE_STEPS - 1, second_is_sooner), 0);
    ck_assert_uint_eq(run(&choice, 0, second_is_sooner), 0);
    for (int call = 0; call < MLS__CHOICE_TRIALS; call++)
        ck_assert_uint_eq(run(&choice, STEPS, second_is_sooner), STEPS / 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group/choice");
    TCase *tests = mls_test_case(suite, "choice", NULL, NULL);
    tcase_add_test(tests, what_is_sooner_is_chosen);
    tcase_add_test(tests, the_first_way_stays_where_it_is_sooner);
    tcase_add_test(tests, a_change_is_found);
    tcase_add_test(tests, little_and_odd_differences_are_none);
    tcase_add_test(tests, one_trial_alone_decides_nothing);
    tcase_add_test(tests, steps_behind_a_change_do_not_count);
    tcase_add_test(tests, short_calls_are_no_trials);
    return mls_test_run(suite);
}
