/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue and a model of it go the same random way, step by step on a clock that stands still
 * between steps, and are compared after each: the same jobs in the same states, every claim one
 * that the model would allow, none refused that it would give. One that fails says its seed;
 * with that in MLS_TEST_SEED it is gone again, first.
 *
 * What a driver can do by its flags is what it is asked. Schedules have a run of their own, in
 * schedules.c; steps in simulation_steps.c, comparisons in simulation_compare.c.
 */
#include "queue/simulation.h"

#include "queue/clocks.h"
#include "queue/memory_times.h"
#include "queue/schedules.h"
#include "queue/stores.h"
#include "queue/virtual_clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SEEDS = 8 };

const model_claimer claimer_kinds[CLAIMERS] = {{NULL, NULL}, {"a", NULL}, {NULL, "q"}};
const char *the_url;
mls_queue *the_queue;
mls_claimer *the_claimers[CLAIMERS];
model the_model;
held holds[HELD];
size_t held_count;

static uint64_t *the_seed; /* of the run; shared with who reports on the test's process */
static uint64_t the_state; /* of its random numbers */

size_t sim_below(size_t count)
{
    return mls_test_random_below(&the_state, count);
}

bool sim_chance(size_t percent)
{
    return sim_below(100) < percent;
}

/* Opening and closing */

void sim_open_claimer(size_t index)
{
    const model_claimer *kind = &claimer_kinds[index];
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.types = &kind->type;
    options.type_count = kind->type != NULL;
    options.queues = &kind->queue;
    options.queue_count = kind->queue != NULL;
    ck_assert_ok(mls_claimer_open(the_queue, &options, &the_claimers[index]));
}

void sim_open(void)
{
    the_queue = fixture_queue(the_url);
    for (size_t i = 0; i < CLAIMERS; i++)
        sim_open_claimer(i);
}

void sim_close(void)
{
    for (size_t i = 0; i < CLAIMERS; i++)
        mls_claimer_close(the_claimers[i]);
    mls_queue_close(the_queue);
}

model_job *sim_any_job(void)
{
    return the_model.count ? &the_model.jobs[sim_below(the_model.count)] : NULL;
}

/* The run */

/* All but weights. */
static void lift_rules(void)
{
    for (size_t i = 0; i < the_model.rule_count; i++) {
        model_rule *rule = &the_model.rules[i];
        mls_queue_rule lifted = MLS_QUEUE_RULE_INIT;
        mls_queue_filter which = MLS_QUEUE_FILTER_INIT;
        lifted.queue = which.queue = rule->queue;
        lifted.type = which.type = rule->type;
        lifted.tenant = rule->tenant;
        ck_assert_ok(mls_queue_limit(the_queue, &lifted));
        if (rule->is_paused)
            ck_assert_ok(mls_queue_resume(the_queue, &which));
        model_rule_limit(&the_model, rule, 0, 0, 0, 0);
        rule->is_paused = false;
    }
    model_rules_drop_empty(&the_model);
}

static bool is_all_ended(void)
{
    for (size_t i = 0; i < the_model.count; i++)
        if (the_model.jobs[i].state != MODEL_GONE && !model_has_ended(&the_model.jobs[i]))
            return false;
    return true;
}

/* Everything that was submitted comes to an end when nothing holds it back. */
static void run_out(void)
{
    lift_rules();
    for (int tries = 0; !is_all_ended() && tries < 10 * STEPS; tries++) {
        the_model.step++;
        sim_claim();
        while (held_count)
            sim_end_held(0, 0);
        if (!is_all_ended() && sim_chance(30))
            virtual_clock_advance(60);
        sim_compare();
    }
    ck_assert(is_all_ended());
    ck_assert_ok(mls_queue_drain(the_queue, 0));
    sim_compare_sums();
}

static void simulate(uint64_t seed)
{
    *the_seed = the_state = seed;
    held_count = 0;
    the_model = (model){
        .jobs = the_model.jobs, .capacity = the_model.capacity, .now_ms = virtual_clock_ms()};
    sim_open();
    const uint64_t can = mls_queue_capabilities(the_queue);
    const bool dies = can & MLS_QUEUE_CAN_LEASES && !MLS_TEST_SANITIZED;
    the_model.is_fair = (can & MLS_QUEUE_CAN_FAIRNESS) != 0;
    sim_choose_weights();
    for (the_model.step = 1; the_model.step <= STEPS; the_model.step++) {
        if (dies && sim_below(100) == 0)
            sim_crash();
        else
            sim_step();
        sim_compare();
    }
    run_out();
    sim_close();
    *the_seed = 0;
}

/* MLS_TEST_CRASHES asks for long runs: a tenth as many seeds, here. */
static uint64_t count_seeds(void)
{
    const char *wanted = getenv("MLS_TEST_CRASHES");
    if (wanted)
        return (uint64_t) (atoi(wanted) / 10);
    return MLS_TEST_SANITIZED || mls_test_is_quick() ? SEEDS / 4 : SEEDS;
}

/* For main() too, in whose process no test runs. */
static void share_seeds(void)
{
    the_seed =
        mmap(NULL, 3 * sizeof *the_seed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (the_seed == MAP_FAILED)
        abort();
}

static void say_seed(const char *driver, uint64_t seed)
{
    if (seed)
        printf("# %s: MLS_TEST_SEED=%llu goes there again\n", driver, (unsigned long long) seed);
}

static void simulate_all(store_url_fn make_url, uint64_t count)
{
    const uint64_t first = mls_test_seed(1);
    virtual_clock_start();
    for (uint64_t seed = first; seed < first + count; seed++) {
        the_url = make_url();
        simulate(seed);
    }
    virtual_clock_stop();
    free(the_model.jobs);
}

START_TEST(memory_does_as_the_model)
{
    simulate_all(store_memory_url, count_seeds());
}
END_TEST

START_TEST(sqlite_does_as_the_model)
{
    the_seed++;
    if (store_has_sqlite())
        simulate_all(store_sqlite_url, count_seeds());
}
END_TEST

START_TEST(postgres_does_as_the_model)
{
    the_seed += 2;
    if (store_has_postgres())
        simulate_all(store_postgres_url, count_seeds() / 16 + 1); /* each step asks a server */
}
END_TEST

int main(void)
{
    share_seeds();
    stores_start();
    const uint64_t *seeds = the_seed; /* of memory, of sqlite, and of postgres */
    Suite *suite = suite_create("queue/simulation");
    TCase *tests = tcase_create("simulation");
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, memory_does_as_the_model);
    tcase_add_test(tests, sqlite_does_as_the_model);
    tcase_add_test(tests, postgres_does_as_the_model);
    clocks_add(tests);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, schedules_tests());
    suite_add_tcase(suite, memory_times_tests());
    const int code = mls_test_run(suite);
    say_seed("memory", seeds[0]);
    say_seed("sqlite", seeds[1]);
    say_seed("postgres", seeds[2]);
    return code;
}
