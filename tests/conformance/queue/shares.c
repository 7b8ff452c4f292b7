/* SPDX-License-Identifier: Apache-2.0 */
/* Fair sharing between tenants: its bound, over seeded histories, and what rules make of it. */
#include "conformance/queue/suite.h"

#include <stdio.h>
#include <string.h>

enum { TENANTS = 5, MANY = 64 };

static const char *const names[TENANTS] = {"", "a", "b", "c", "d"};

static bool lacks_fairness(void)
{
    return !conformance_can(MLS_QUEUE_CAN_FAIRNESS | MLS_QUEUE_CAN_NAMED_QUEUES);
}

static mls_queue_rule weight_of(const char *queue, const char *tenant, uint32_t weight)
{
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.queue = queue;
    rule.tenant = tenant;
    rule.weight = weight;
    return rule;
}

static void weigh(const char *queue, const char *tenant, uint32_t weight)
{
    const mls_queue_rule rule = weight_of(queue, tenant, weight);
    ck_assert_ok(mls_queue_weigh(the_queue, &rule));
}

static void submit_many(const char *queue, const char *type, const char *tenant, size_t count)
{
    mls_job_options jobs[MANY];
    for (size_t i = 0; i < count; i++) {
        jobs[i] = fixture_options(type, NULL);
        jobs[i].queue = queue;
        jobs[i].tenant = tenant;
        jobs[i].retention_ms = 0;
    }
    ck_assert_ok(mls_queue_submit_many(the_queue, jobs, count, NULL));
}

/* Claims that many, completes them, and gives their tenants in order. */
static size_t serve(size_t count, const char **ret_tenants)
{
    mls_job *jobs[MANY];
    size_t claimed;
    if (mls_claimer_claim(the_claimer, 0, count, jobs, &claimed))
        return 0;
    for (size_t i = 0; i < claimed; i++) {
        const mls_job_info info = fixture_info(jobs[i]);
        ret_tenants[i] = "?";
        for (size_t k = 0; k < TENANTS; k++)
            if (strcmp(info.tenant, names[k]) == 0)
                ret_tenants[i] = names[k];
        ck_assert_ok(mls_job_complete(jobs[i]));
        mls_job_free(jobs[i]);
    }
    return claimed;
}

static void check_turns(const char *expected)
{
    const char *tenants[MANY];
    char seen[MANY + 1] = "";
    const size_t count = serve(strlen(expected), tenants);
    for (size_t i = 0; i < count; i++)
        seen[i] = tenants[i][0] ? tenants[i][0] : '-';
    seen[count] = '\0';
    ck_assert_str_eq(seen, expected);
}

START_TEST(tenants_take_turns)
{
    if (lacks_fairness()) {
        const mls_queue_rule rule = weight_of(NULL, "a", 100);
        if (!conformance_can(MLS_QUEUE_CAN_FAIRNESS))
            ck_assert_fails(mls_queue_weigh(the_queue, &rule), MLS_EUNSUPPORTED, "fairness");
        return;
    }
    submit_many(NULL, "t", "a", 8);
    submit_many(NULL, "t", "b", 3);
    check_turns("aba");
    submit_many(NULL, "other", "c", 2); /* of another type: behind those it finds */
    check_turns("bcabcaaaaa");
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(without_tenants_it_is_by_time)
{
    if (lacks_fairness())
        return;
    submit_many(NULL, "t", "", 3);
    submit_many(NULL, "t", "a", 3); /* the first that has one */
    check_turns("-a-a-a");
}
END_TEST

START_TEST(priorities_and_queues_are_apart)
{
    if (lacks_fairness())
        return;
    mls_job_options urgent = fixture_options("t", NULL);
    urgent.tenant = "a";
    urgent.priority = MLS_PRIORITY_HIGHEST;
    submit_many("first", "t", "a", 2);
    submit_many("second", "t", "b", 2);
    submit_many("second", "t", "c", 2);
    submit_many("first", "t", "d", 2);
    fixture_submit(the_queue, &urgent);
    check_turns("a");
    /* Of the queue of the longest ready, whose turn it is there. */
    const char *tenants[MANY];
    size_t place[256] = {0};
    ck_assert_uint_eq(serve(8, tenants), 8);
    for (size_t i = 8; i-- > 0;)
        place[(unsigned char) tenants[i][0]] = i; /* the first of each */
    ck_assert_uint_lt(place['a'], place['d']);
    ck_assert_uint_lt(place['b'], place['c']);
    ck_assert_uint_eq(place['a'], 0);
}
END_TEST

START_TEST(weights_give_more_turns)
{
    if (lacks_fairness())
        return;
    const char *tenants[MANY];
    size_t of_a = 0;
    weigh(NULL, "a", 300);
    submit_many(NULL, "t", "a", 40);
    submit_many(NULL, "t", "b", 40);
    for (size_t i = 0; i < 40; i++) {
        ck_assert_uint_eq(serve(1, tenants), 1);
        of_a += tenants[0] == names[1];
    }
    ck_assert_uint_ge(of_a, 29);
    ck_assert_uint_le(of_a, 31);
}
END_TEST

START_TEST(one_at_a_time_gains_nothing)
{
    if (lacks_fairness())
        return;
    const char *tenants[MANY];
    size_t of_b = 0;
    bool is_there = false;
    weigh("default", "b", 20);
    weigh(NULL, "b", 1000); /* what is said of a queue goes before */
    submit_many(NULL, "t", "a", 60);
    for (size_t i = 0; i < 48; i++) {
        if (!is_there)
            submit_many(NULL, "t", "b", 1); /* never more than one waits */
        is_there = true;
        ck_assert_uint_eq(serve(1, tenants), 1);
        if (tenants[0] != names[2])
            continue;
        is_there = false;
        of_b++;
    }
    ck_assert_uint_ge(of_b, 8 - 1);
    ck_assert_uint_le(of_b, 8 + 1);
}
END_TEST

START_TEST(batches_are_counted)
{
    if (lacks_fairness() || !conformance_can(MLS_QUEUE_CAN_BATCHES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    options.batch_key = "k";
    options.tenant = "a";
    for (size_t i = 0; i < 8; i++)
        fixture_submit(the_queue, &options);
    submit_many(NULL, "t", "b", 4);
    check_turns("abababab");
}
END_TEST

/* The bound, over histories */

typedef struct pair {
    double sum, least, most; /* of the difference, since both are ready */
} pair;

typedef struct history {
    uint64_t random;
    uint32_t weights[TENANTS];
    size_t ready[TENANTS];
    pair pairs[TENANTS][TENANTS];
} history;

static size_t draw(history *h, size_t below)
{
    return (size_t) mls_test_random_below(&h->random, below);
}

/* A job of `k` is claimed: any interval of a pair ends at `most` or `least`. */
static void note(history *h, size_t k)
{
    ck_assert_uint_gt(h->ready[k], 0);
    for (size_t a = 0; a < TENANTS; a++)
        for (size_t b = 0; b < TENANTS; b++) {
            pair *p = &h->pairs[a][b];
            if (a == b || !h->ready[a] || !h->ready[b]) {
                *p = (pair){0, 0, 0};
                continue;
            }
            const double bound = 1.0 / h->weights[a] + 1.0 / h->weights[b];
            p->sum += (k == a) * 1.0 / h->weights[a] - (k == b) * 1.0 / h->weights[b];
            p->most = p->sum > p->most ? p->sum : p->most;
            p->least = p->sum < p->least ? p->sum : p->least;
            ck_assert_double_le(p->most - p->least, bound * 1.02); /* steps are rounded */
        }
    h->ready[k]--;
}

static void step(history *h)
{
    static const char *const types[] = {"t", "u"};
    const char *tenants[MANY];
    if (draw(h, 3) == 0) {
        const size_t k = draw(h, TENANTS), count = 1 + draw(h, 12);
        submit_many(NULL, types[draw(h, 2)], names[k], count);
        h->ready[k] += count;
        return;
    }
    const size_t count = serve(1 + draw(h, 4), tenants);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < TENANTS; k++)
            if (tenants[i] == names[k]) {
                note(h, k);
                break;
            }
}

START_TEST(differences_are_bounded)
{
    if (lacks_fairness())
        return;
    history h = {.random = (uint64_t) _i + 1};
    for (size_t k = 0; k < TENANTS; k++) {
        h.weights[k] = MLS_WEIGHT_DEFAULT;
        if (_i % 2 && k) {
            h.weights[k] = (uint32_t) (1 + draw(&h, 8)) * 50;
            weigh(NULL, names[k], h.weights[k]);
        }
    }
    for (size_t i = 0; i < 400; i++)
        step(&h);
}
END_TEST

static void note_weight(void *user, const mls_queue_rule *rule)
{
    ck_assert_str_eq(rule->tenant, "a");
    *(uint32_t *) user = rule->weight * 100 + rule->max_running;
}

START_TEST(weights_are_rules)
{
    if (lacks_fairness() || !conformance_can(MLS_QUEUE_CAN_LIMITS))
        return;
    uint32_t seen = 0;
    mls_queue_rule limits = weight_of(NULL, "a", 77);
    limits.max_running = 3;
    weigh(NULL, "a", 5);
    ck_assert_ok(mls_queue_limit(the_queue, &limits)); /* leaves the weight as it is */
    ck_assert_ok(mls_queue_visit_rules(the_queue, note_weight, &seen));
    ck_assert_uint_eq(seen, 503);
    weigh(NULL, "a", 0);
    ck_assert_ok(mls_queue_visit_rules(the_queue, note_weight, &seen));
    ck_assert_uint_eq(seen, 3);
    limits.max_running = 0;
    ck_assert_ok(mls_queue_limit(the_queue, &limits));
    seen = 12345;
    ck_assert_ok(mls_queue_visit_rules(the_queue, note_weight, &seen));
    ck_assert_uint_eq(seen, 12345); /* there is none */
    limits.weight = MLS_WEIGHT_MAX + 1;
    ck_assert_fails(mls_queue_weigh(the_queue, &limits), MLS_EINVAL, "weight is 10001");
    limits.type = "t";
    ck_assert_fails(mls_queue_weigh(the_queue, &limits), MLS_EINVAL, "of no type");
    limits = weight_of(NULL, NULL, 5);
    ck_assert_fails(mls_queue_weigh(the_queue, &limits), MLS_EINVAL, "of a tenant");
}
END_TEST

START_TEST(who_was_held_back_saves_nothing)
{
    if (lacks_fairness() || !conformance_can(MLS_QUEUE_CAN_LIMITS))
        return;
    mls_queue_rule none = weight_of(NULL, "a", 0);
    mls_queue_rule one = none;
    one.max_running = 1;
    submit_many(NULL, "t", "a", 20);
    submit_many(NULL, "t", "b", 20);
    submit_many(NULL, "t", "c", 20);
    ck_assert_ok(mls_queue_limit(the_queue, &one));
    mls_job *held = fixture_claim(the_claimer);
    check_turns("bcbcbcbc");
    ck_assert_ok(mls_queue_limit(the_queue, &none));
    check_turns("abcabc");
    ck_assert_ok(mls_job_complete(held));
    mls_job_free(held);
}
END_TEST

void conformance_add_shares(TCase *tests)
{
    tcase_add_test(tests, tenants_take_turns);
    tcase_add_test(tests, without_tenants_it_is_by_time);
    tcase_add_test(tests, priorities_and_queues_are_apart);
    tcase_add_test(tests, weights_give_more_turns);
    tcase_add_test(tests, one_at_a_time_gains_nothing);
    tcase_add_test(tests, batches_are_counted);
    tcase_add_loop_test(tests, differences_are_bounded, 0, 10);
    tcase_add_test(tests, weights_are_rules);
    tcase_add_test(tests, who_was_held_back_saves_nothing);
}
