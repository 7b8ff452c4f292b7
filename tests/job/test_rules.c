/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that hold back jobs, simulated on a virtual clock with seeded demands. */
#include "support/test.h"

#include "job/rules.h"

#include <mlscale/ext/queue_driver.h>

#include <string.h>

enum { ROUNDS = 60, STEPS = 1500, MOST_CLAIMS = STEPS * 4 };

static mls_queue_rule rate(uint32_t jobs, int64_t ms, uint32_t burst)
{
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.rate_jobs = jobs;
    rule.rate_ms = ms;
    rule.burst = burst;
    return rule;
}

START_TEST(rules_cover_what_they_name)
{
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    ck_assert(mls__rule_covers(&rule, "q", "t", "a"));
    ck_assert(mls__rule_covers(&rule, "q", "t", ""));
    rule.queue = "q";
    rule.tenant = "a";
    ck_assert(mls__rule_covers(&rule, "q", "t", "a"));
    ck_assert(!mls__rule_covers(&rule, "q", "t", ""));
    ck_assert(!mls__rule_covers(&rule, "p", "t", "a"));
    rule.type = "u";
    ck_assert(!mls__rule_covers(&rule, "q", "t", "a"));
    ck_assert(mls__rule_covers(&rule, "q", "u", "a"));
}
END_TEST

START_TEST(rules_are_set_in_parts)
{
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT, pause = MLS_QUEUE_RULE_INIT;
    const mls_queue_rule limits = rate(5, 1000, 7);
    pause.is_paused = 1;
    ck_assert(mls__rule_is_empty(&rule));
    mls__rule_set(&rule, &pause, MLS_RULE_PAUSE);
    ck_assert_int_eq(mls__rule_holds_until(&rule, 0), INT64_MAX);
    mls__rule_set(&rule, &limits, MLS_RULE_LIMITS);
    ck_assert_uint_eq(rule.is_paused, 1);
    ck_assert_uint_eq(rule.burst, 7);
    rule.bucket_ns = 99;
    mls__rule_set(&rule, &limits, MLS_RULE_LIMITS); /* the same: the bucket stays */
    ck_assert_int_eq(rule.bucket_ns, 99);
    mls__rule_set(&rule, &(mls_queue_rule){0}, MLS_RULE_PAUSE);
    ck_assert(!mls__rule_is_empty(&rule));
    mls__rule_set(&rule, &(mls_queue_rule){0}, MLS_RULE_LIMITS);
    ck_assert(mls__rule_is_empty(&rule));
}
END_TEST

/* A seeded sequence (SplitMix64). */
static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Claims of a simulation, and the times at which the demand was there. */
typedef struct history {
    int64_t at_ms[MOST_CLAIMS];
    size_t count;
} history;

/* A claimer that asks at random times, or when the rule said; it takes all that it may. */
static void simulate(mls_queue_rule *rule, uint64_t *rng, bool is_greedy, history *all)
{
    int64_t now_ms = 1000000;
    all->count = 0;
    for (size_t i = 0; i < STEPS; i++) {
        const uint32_t wanted = is_greedy ? 4 : (uint32_t) (draw(rng) % 4);
        int64_t until_ms = 0;
        for (uint32_t k = 0; k < wanted; k++) {
            until_ms = mls__rule_holds_until(rule, now_ms);
            if (until_ms)
                break;
            mls__rule_note_claim(rule, now_ms);
            all->at_ms[all->count++] = now_ms;
        }
        if (until_ms) {
            ck_assert_int_gt(until_ms, now_ms);
            ck_assert_int_ne(mls__rule_holds_until(rule, until_ms - 1), 0); /* not too late */
            ck_assert_int_eq(mls__rule_holds_until(rule, until_ms), 0);     /* nor too early */
        }
        now_ms = is_greedy && until_ms ? until_ms : now_ms + (int64_t) (draw(rng) % 20);
    }
}

/* The most claims in any window of that length. */
static size_t densest(const history *all, int64_t window_ms)
{
    size_t most = 0, first = 0;
    for (size_t i = 0; i < all->count; i++) {
        while (all->at_ms[i] - all->at_ms[first] >= window_ms)
            first++;
        most = i - first + 1 > most ? i - first + 1 : most;
    }
    return most;
}

START_TEST(no_window_has_more_than_burst_and_rate)
{
    static history all;
    uint64_t rng = 20261122;
    for (size_t i = 0; i < ROUNDS; i++) {
        mls_queue_rule rule =
            rate((uint32_t) (1 + draw(&rng) % 50), (int64_t) (1 + draw(&rng) % 3000),
                 (uint32_t) (1 + draw(&rng) % 40));
        simulate(&rule, &rng, i % 2, &all);
        ck_assert_uint_le(densest(&all, rule.rate_ms), rule.rate_jobs + rule.burst);
        ck_assert_uint_eq(rule.running, all.count);
    }
}
END_TEST

START_TEST(who_always_asks_gets_the_rate)
{
    static history all;
    uint64_t rng = 7;
    for (size_t i = 0; i < ROUNDS; i++) {
        /* Tokens come no faster than the clock of milliseconds can tell. */
        mls_queue_rule rule = rate((uint32_t) (1 + draw(&rng) % 50), 3000, 1 + i % 5);
        simulate(&rule, &rng, true, &all);
        const int64_t took_ms = all.at_ms[all.count - 1] - all.at_ms[0];
        const double due = (double) took_ms * rule.rate_jobs / (double) rule.rate_ms;
        ck_assert_double_ge((double) all.count, 0.9 * due);
        ck_assert_double_le((double) all.count, due + rule.burst + 1);
    }
}
END_TEST

START_TEST(a_clock_set_back_fills_the_bucket)
{
    mls_queue_rule rule = rate(10, 1000, 5);
    const int64_t now_ms = INT64_C(1800000000000), back_ms = now_ms - INT64_C(100000000000);
    for (size_t i = 0; i < 5; i++)
        mls__rule_note_claim(&rule, now_ms);
    ck_assert_int_eq(mls__rule_holds_until(&rule, now_ms), now_ms + 100);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(mls__rule_holds_until(&rule, back_ms), 0);
        mls__rule_note_claim(&rule, back_ms);
    }
    ck_assert_int_eq(mls__rule_holds_until(&rule, back_ms), back_ms + 100);
    ck_assert_int_eq(mls__rule_holds_until(&rule, back_ms - 50), back_ms + 100); /* a little */
}
END_TEST

START_TEST(so_many_run_and_no_more)
{
    uint64_t rng = 3;
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.max_running = 4;
    uint32_t running = 0;
    for (size_t i = 0; i < STEPS; i++) {
        const bool is_held = mls__rule_holds_until(&rule, 5) != 0;
        ck_assert_int_eq(is_held, running == 4);
        if (draw(&rng) % 2 && !is_held) {
            mls__rule_note_claim(&rule, 5);
            running++;
        } else if (running) {
            mls__rule_note_end(&rule);
            running--;
        }
        ck_assert_uint_eq(rule.running, running);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/rules");
    TCase *tests = tcase_create("rules");
    tcase_add_test(tests, rules_cover_what_they_name);
    tcase_add_test(tests, rules_are_set_in_parts);
    tcase_add_test(tests, no_window_has_more_than_burst_and_rate);
    tcase_add_test(tests, who_always_asks_gets_the_rate);
    tcase_add_test(tests, a_clock_set_back_fills_the_bucket);
    tcase_add_test(tests, so_many_run_and_no_more);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
