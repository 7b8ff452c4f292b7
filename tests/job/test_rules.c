/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy that drivers are lent, simulated on a virtual clock with seeded demands: rules that hold
 * back jobs, and who may pass a job that waits for room.
 */
#include "support/test.h"

#include "job/backfill.h"
#include "job/resources.h"
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

/* Passing a job that waits for room */

enum { PLANS = 400, MOST_RUNS = 64, DIMENSION = 8 };

static const mls_resources whole = {DIMENSION, DIMENSION, DIMENSION}, nothing;

static mls_resources draw_needs(uint64_t *rng)
{
    return (mls_resources){(int64_t) (draw(rng) % 4), (int64_t) (draw(rng) % 4),
                           (int64_t) (draw(rng) % 3)};
}

/* What those use that are expected to run past `at_ns`; 0: all. */
static mls_resources used_past(const mls_queue_run *runs, size_t count, uint64_t at_ns)
{
    mls_resources used = nothing;
    for (size_t i = 0; i < count; i++) {
        if (at_ns && runs[i].ends_ns <= at_ns)
            continue;
        used.cpu_milli += runs[i].takes.cpu_milli;
        used.memory_bytes += runs[i].takes.memory_bytes;
        used.gpus += runs[i].takes.gpus;
    }
    return used;
}

static bool fits_beside(const mls_resources *used, const mls_resources *aside,
                        const mls_resources *needs)
{
    return mls__resources_have_room(&whole, used, aside, needs);
}

/* The earliest of all times at which anything ends. */
static uint64_t search_start(const mls_resources *needs, const mls_queue_run *runs, size_t count,
                             uint64_t now_ns)
{
    uint64_t best_ns = UINT64_MAX;
    for (size_t i = 0; i <= count; i++) {
        const uint64_t at_ns = i == count || runs[i].ends_ns < now_ns ? now_ns : runs[i].ends_ns;
        const mls_resources used = used_past(runs, count, at_ns);
        if (at_ns < best_ns && fits_beside(&used, &nothing, needs))
            best_ns = at_ns;
    }
    return best_ns;
}

/* Running jobs that fit, some late, and of some the end is not known. */
static size_t draw_runs(uint64_t *rng, uint64_t now_ns, mls_queue_run *runs)
{
    size_t count = 0;
    for (size_t tries = draw(rng) % 24; tries; tries--) {
        const mls_resources used = used_past(runs, count, 0), takes = draw_needs(rng);
        if (!fits_beside(&used, &nothing, &takes))
            continue;
        const uint64_t ends_ns = draw(rng) % 4 ? now_ns - 20 + draw(rng) % 100 : 0;
        runs[count++] = (mls_queue_run){ends_ns, takes};
    }
    return count;
}

START_TEST(a_start_is_expected_when_enough_has_ended)
{
    uint64_t rng = 20261123;
    for (size_t i = 0; i < 50 * PLANS; i++) {
        mls_queue_run runs[MOST_RUNS];
        const uint64_t now_ns = 1000;
        const size_t count = draw_runs(&rng, now_ns, runs);
        const mls_resources needs = {(int64_t) (1 + draw(&rng) % DIMENSION),
                                     (int64_t) (draw(&rng) % DIMENSION),
                                     (int64_t) (draw(&rng) % DIMENSION)};
        const uint64_t searched_ns = search_start(&needs, runs, count, now_ns);
        const uint64_t start_ns = mls__backfill_start_ns(&whole, &needs, runs, count, now_ns);
        mls_test_expect(start_ns == searched_ns, "plan %zu: %llu instead of %llu", i,
                        (unsigned long long) start_ns, (unsigned long long) searched_ns);
    }
}
END_TEST

START_TEST(few_samples_say_nothing)
{
    ck_assert_uint_eq(mls__backfill_expected_ns(31, 5), 0);
    ck_assert_uint_eq(mls__backfill_expected_ns(32, 5), 5);
}
END_TEST

typedef struct plan {
    mls_queue_run runs[MOST_RUNS];
    uint64_t really_ends_ns[MOST_RUNS]; /* a run is found again by its takes and end */
    size_t count;
} plan;

static void drop_ended(plan *p, uint64_t now_ns)
{
    for (size_t i = p->count; i--;) {
        if (p->really_ends_ns[i] > now_ns)
            continue;
        p->runs[i] = p->runs[--p->count];
        p->really_ends_ns[i] = p->really_ends_ns[p->count];
    }
}

static void run_job(plan *p, const mls_resources *takes, uint64_t now_ns, uint64_t p95_ns,
                    uint64_t takes_ns)
{
    p->runs[p->count] = (mls_queue_run){p95_ns ? now_ns + p95_ns : 0, *takes};
    p->really_ends_ns[p->count++] = now_ns + takes_ns;
}

static uint64_t expect_start(const plan *p, const mls_resources *large, uint64_t now_ns)
{
    mls_queue_run runs[MOST_RUNS];
    memcpy(runs, p->runs, sizeof runs);
    return mls__backfill_start_ns(&whole, large, runs, p->count, now_ns);
}

/* Lets a job pass, if it may. `overrun`: how much longer than expected it may take. */
static bool offer_job(plan *p, const mls_resources *large, uint64_t now_ns, uint64_t start_ns,
                      uint64_t overrun_ns, uint64_t *rng)
{
    const mls_resources used = used_past(p->runs, p->count, 0), takes = draw_needs(rng);
    const uint64_t p95_ns = draw(rng) % 5 ? 1 + draw(rng) % 40 : 0;
    const bool may_pass = p95_ns && now_ns + p95_ns <= start_ns;
    if (p->count == MOST_RUNS || takes.cpu_milli + takes.memory_bytes + takes.gpus == 0)
        return false;
    if (fits_beside(&used, large, &takes)) {
        run_job(p, &takes, now_ns, p95_ns, 1 + draw(rng) % 200);
        return false;
    }
    if (!may_pass || !fits_beside(&used, &nothing, &takes))
        return false;
    run_job(p, &takes, now_ns, p95_ns, 1 + draw(rng) % (p95_ns + overrun_ns));
    return true;
}

/* Until the large job has room: how many passed it. */
static size_t simulate_plan(uint64_t *rng, uint64_t overrun_ns)
{
    plan p = {.count = 0};
    size_t passed = 0;
    uint64_t now_ns = 1000, last_ns = 0;
    const mls_resources large = {(int64_t) (4 + draw(rng) % 5), (int64_t) (4 + draw(rng) % 5),
                                 (int64_t) (draw(rng) % 3)};
    p.count = draw_runs(rng, now_ns + 20, p.runs);
    for (size_t i = 0; i < p.count; i++) {
        if (p.runs[i].ends_ns <= now_ns)
            p.runs[i].ends_ns = now_ns + 1;
        p.really_ends_ns[i] = now_ns + 1 + draw(rng) % (p.runs[i].ends_ns - now_ns);
    }
    const uint64_t first_ns = expect_start(&p, &large, now_ns);
    for (;; now_ns++) {
        drop_ended(&p, now_ns);
        const mls_resources used = used_past(p.runs, p.count, 0);
        if (fits_beside(&used, &nothing, &large))
            break;
        const uint64_t start_ns = expect_start(&p, &large, now_ns);
        mls_test_expect(!last_ns || start_ns <= (last_ns > now_ns ? last_ns : now_ns),
                        "the start was put off from %llu to %llu", (unsigned long long) last_ns,
                        (unsigned long long) start_ns);
        last_ns = start_ns;
        for (size_t i = 0; i < 3; i++)
            passed += offer_job(&p, &large, now_ns, start_ns, overrun_ns, rng);
    }
    mls_test_expect(overrun_ns || now_ns <= first_ns, "started at %llu instead of %llu",
                    (unsigned long long) now_ns, (unsigned long long) first_ns);
    return passed;
}

START_TEST(who_passes_delays_nobody_if_it_ends_in_time)
{
    uint64_t rng = 11;
    size_t passed = 0;
    for (size_t i = 0; i < PLANS; i++)
        passed += simulate_plan(&rng, 0);
    ck_assert_uint_gt(passed, PLANS);
}
END_TEST

/* It waits longer then, for what ran at that time only. */
START_TEST(who_takes_longer_puts_off_no_plan)
{
    uint64_t rng = 12;
    for (size_t i = 0; i < PLANS; i++)
        simulate_plan(&rng, 100);
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
    TCase *passing = tcase_create("passing");
    tcase_add_test(passing, a_start_is_expected_when_enough_has_ended);
    tcase_add_test(passing, few_samples_say_nothing);
    tcase_add_test(passing, who_passes_delays_nobody_if_it_ends_in_time);
    tcase_add_test(passing, who_takes_longer_puts_off_no_plan);
    suite_add_tcase(suite, passing);
    return mls_test_run(suite);
}
